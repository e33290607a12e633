/** The timeline: one lane for each command, on a canvas, and the same as a table. */
import { h, say } from './dom.ts';
import { glyph } from './glyph.ts';
import { firstFrom, type Gap, type Lane, type Mark, type MarkKind, type Span, spanAt } from './lanes.ts';
import { KINDS, type Kind, LOOKS, type Look, lookOf } from './looks.ts';
import { fitted, following, inside, moved, ticks, type View, zoomed } from './scale.ts';
import type { Store } from './store.ts';
import { lookOfStatus } from './tree.ts';
import { clock, day, duration } from './words.ts';

export interface TimelinePane {
  readonly element: HTMLElement;
  readonly show: () => void;
  /** @param key as in Place.selected */
  readonly select: (key: string | null) => void;
  readonly tick: () => void;
}

/** px. */
const AXIS = 26;
const ROW = 30;
const BAR = 14;
const NEAR = 7;
/** ms in sight at first, at least and at most. */
const LEAST = 30_000;
const MOST = 600_000;
const MOST_ROWS = 200;
/** ms from news to the table that has them. */
const TABLE_PAUSE = 150;

const MARKS: Readonly<Record<MarkKind, { readonly path: string; readonly word: string }>> = {
  death: {
    path: 'M2.6 1L6 4.4L9.4 1L11 2.6L7.6 6L11 9.4L9.4 11L6 7.6L2.6 11L1 9.4L4.4 6L1 2.6z',
    word: 'exit',
  },
  launch: { path: 'M6 1.2L10.8 10.4H1.2z', word: 'launch' },
  signal: { path: 'M7.4 0.6L1.8 7h3.4L4.4 11.4L10.2 4.8H6.6z', word: 'signal' },
  probe: { path: 'M6 0.8L11.2 6L6 11.2L0.8 6z', word: 'probe' },
  order: { path: 'M2 0.8h8.6L8 3.6l2.6 2.8H3.6v5H2z', word: 'order' },
  note: { path: 'M6 3a3 3 0 1 0 0 6a3 3 0 1 0 0-6z', word: 'note' },
};

interface Theme {
  readonly of: Readonly<Record<Kind, string>>;
  readonly patterns: Readonly<Record<Kind, CanvasPattern | null>>;
  readonly ink: string;
  readonly quiet: string;
  readonly line: string;
  readonly paper: string;
  readonly zebra: string;
  readonly accent: string;
}

/** @param names of the commands that are shown */
export function createTimeline(
  store: Store,
  onSelect: (key: string) => void,
  names: () => readonly string[],
): TimelinePane {
  const canvas = h('canvas', { class: 'tl-canvas', role: 'img', 'aria-label': 'Timeline' });
  const space = h('div', { class: 'tl-space' });
  const scroller = h(
    'div',
    {
      class: 'tl-scroll',
      tabindex: 0,
      role: 'group',
      'aria-label':
        'Timeline: up and down choose a command, left and right move in time, plus and minus zoom, brackets go from event to event',
      scroll: () => soon(),
      keydown: (event: KeyboardEvent) => key(event),
    },
    space,
    canvas,
  );
  const tip = h('div', { class: 'tip', role: 'status' });
  tip.hidden = true;
  const followButton = h(
    'button',
    {
      type: 'button',
      'aria-pressed': 'true',
      title: 'Keep the present in sight',
      click: () => setFollows(!follows),
    },
    'Now',
  );
  const allButton = h('button', { type: 'button', 'aria-pressed': 'false', click: () => showAll() }, 'All');
  const tableButton = h(
    'button',
    {
      type: 'button',
      'aria-pressed': 'false',
      title: 'The same as a table',
      click: () => setTable(!showsTable),
    },
    'Table',
  );
  const range = h('span', { class: 'quiet range' });
  const legend = h('div', { class: 'legend' });
  const body = h('tbody', {});
  const table = h(
    'div',
    { class: 'table-frame', tabindex: 0, role: 'group', 'aria-label': 'Events in sight' },
    h(
      'table',
      {},
      h(
        'thead',
        {},
        h('tr', {}, ...['Time', 'Command', 'Kind', 'What'].map((text) => h('th', { scope: 'col' }, text))),
      ),
      body,
    ),
  );
  table.hidden = true;
  const element = h(
    'section',
    { class: 'pane timeline', id: 'timeline', 'aria-label': 'Timeline' },
    h(
      'div',
      { class: 'pane-head' },
      h('h2', {}, 'Timeline'),
      range,
      h(
        'div',
        { class: 'tools', role: 'group', 'aria-label': 'Timeline' },
        followButton,
        allButton,
        h('button', { type: 'button', 'aria-label': 'Show more time', click: () => zoomBy(2) }, '−'),
        h('button', { type: 'button', 'aria-label': 'Show less time', click: () => zoomBy(0.5) }, '+'),
        tableButton,
      ),
    ),
    scroller,
    table,
    legend,
    tip,
  );
  const context = canvas.getContext('2d')!;

  let view: View | null = null;
  let follows = true;
  /** Everything is in sight, and stays so. */
  let isWhole = false;
  let showsTable = false;
  /** undefined: nothing that has a lane. */
  let selected: string | null | undefined;
  let theme: Theme | null = null;
  let pointer: { readonly x: number; readonly y: number } | null = null;
  let asked = false;
  /** What is selected is to come into sight. */
  let isSought = false;
  let tableTimer: number | undefined;
  let gutter = 150;

  new ResizeObserver(() => soon()).observe(scroller);
  for (const query of ['(prefers-color-scheme: dark)', '(prefers-contrast: more)']) {
    matchMedia(query).addEventListener('change', () => {
      theme = null;
      soon();
    });
  }

  /** Lanes from the top: upkeep's own, which is null, and the commands that are shown. */
  const rows = (): readonly (string | null)[] => (store.hasFleet ? [null, ...names()] : names());
  const keyOf = (row: string | null): string => (row === null ? 'root' : `command:${row}`);
  const titleOf = (row: string | null): string => row ?? 'upkeep';

  function setFollows(next: boolean): void {
    follows = next;
    if (next) isWhole = false;
    if (next && view !== null) view = bounded(following(view, store.now()));
    soon();
  }

  const isRecording = (): boolean => store.hello?.mode === 'recording';
  /** Before a recording began and after it ended there is nothing to be seen. */
  const bounded = (next: View): View => (isRecording() ? inside(next, whole()) : next);

  function setTable(next: boolean): void {
    showsTable = next;
    tableButton.setAttribute('aria-pressed', String(next));
    table.hidden = !next;
    scroller.hidden = next;
    legend.hidden = next;
    tip.hidden = true;
    if (next) drawTable();
    else soon();
  }

  function firstTime(): number {
    const first = store.lanes.from ?? store.now();
    return store.hello === null ? first : Math.min(first, Math.max(store.hello.began, first - 60_000));
  }

  function showAll(): void {
    isWhole = true;
    follows = false;
    soon();
  }

  function whole(): View {
    const { hello } = store;
    if (isRecording()) return fitted(hello!.from ?? firstTime(), hello!.to ?? store.now(), 100);
    return fitted(firstTime(), Math.max(store.lanes.to ?? 0, store.now()));
  }

  function sight(): View {
    if (view === null) {
      const now = store.now();
      // What there is to be seen is not known yet.
      if (store.lanes.from === null) return following({ from: now - LEAST, to: now }, now);
      if (isRecording()) {
        view = whole();
        isWhole = true;
        follows = false;
      } else {
        const width = Math.min(MOST, Math.max(LEAST, (now - firstTime()) * 1.15));
        view = following({ from: now - width, to: now }, now);
      }
    }
    return view;
  }

  function zoomBy(factor: number, around?: number): void {
    const before = sight();
    isWhole = false;
    view = bounded(zoomed(before, around ?? (follows ? store.now() : (before.from + before.to) / 2), factor));
    if (follows) view = bounded(following(view, store.now()));
    hideTip();
    soon();
  }

  /** It is of what was there before. */
  function hideTip(): void {
    tip.hidden = true;
  }

  function move(share: number): void {
    view = bounded(moved(sight(), share));
    isWhole = false;
    hideTip();
    if (follows) setFollows(false);
    soon();
  }

  function soon(): void {
    followButton.setAttribute('aria-pressed', String(follows));
    allButton.setAttribute('aria-pressed', String(isWhole));
    if (asked || element.offsetParent === null) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  }

  const timeAt = (x: number): number => {
    const { from, to } = sight();
    return from + ((x - gutter) / Math.max(1, canvas.clientWidth - gutter)) * (to - from);
  };
  const xAt = (time: number): number => {
    const { from, to } = sight();
    return gutter + ((time - from) / (to - from)) * (canvas.clientWidth - gutter);
  };
  /** undefined: there is none. */
  const rowAt = (y: number): string | null | undefined =>
    y < AXIS ? undefined : rows()[Math.floor((y - AXIS + scroller.scrollTop) / ROW)];

  // ---- drawing

  function seek(): void {
    const row = selected === undefined ? -1 : rows().indexOf(selected);
    if (row < 0) return;
    isSought = false;
    const top = row * ROW;
    const room = scroller.clientHeight - AXIS - ROW;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top > scroller.scrollTop + room) scroller.scrollTop = top - room;
  }

  function draw(): void {
    theme ??= readTheme(context);
    const { of, ink, quiet, line, paper, zebra, accent } = theme;
    const width = scroller.clientWidth;
    const height = scroller.clientHeight;
    if (width === 0 || height === 0) return;
    gutter = width < 560 ? 96 : 160;
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const lanes = rows();
    space.style.height = `${AXIS + lanes.length * ROW + 8}px`;
    if (isSought) seek();
    const now = store.now();
    if (isWhole) view = whole();
    else if (follows && view !== null) view = bounded(following(view, now));
    const { from, to } = sight();
    const perMs = (width - gutter) / (to - from);
    const xOf = (time: number): number => gutter + (time - from) * perMs;
    const font = getComputedStyle(document.body).fontFamily;

    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.textBaseline = 'middle';

    const marks = ticks({ from, to }, width - gutter, 84, new Date(to).getTimezoneOffset());
    context.fillStyle = line;
    for (const tick of marks.at) context.fillRect(Math.round(xOf(tick)), AXIS - 4, 1, height);

    const scroll = scroller.scrollTop;
    const first = Math.max(0, Math.floor(scroll / ROW));
    const last = Math.min(lanes.length, Math.ceil((scroll + height - AXIS) / ROW));
    context.save();
    context.beginPath();
    context.rect(0, AXIS, width, height - AXIS);
    context.clip();
    for (let index = first; index < last; index++) {
      const name = lanes[index]!;
      const top = AXIS + index * ROW - scroll;
      if (name === selected || index % 2 === 1) {
        context.fillStyle = zebra;
        context.fillRect(0, top, width, ROW);
      }
      if (name === selected) {
        context.fillStyle = accent;
        context.fillRect(0, top, 3, ROW);
      }
      drawLane(name, top, { from, to, xOf, width, now, font });
    }
    // What has not happened yet.
    const present = xOf(now);
    if (present < width) {
      context.fillStyle = accent;
      context.fillRect(Math.round(present), AXIS, 1.5, height);
    }
    context.restore();

    // Names lie over what comes from the left.
    context.font = `12px ${font}`;
    for (let index = first; index < last; index++) {
      const name = lanes[index]!;
      const top = AXIS + index * ROW - scroll;
      if (top < AXIS - ROW) continue;
      context.fillStyle = name === selected || index % 2 === 1 ? zebra : paper;
      context.save();
      context.beginPath();
      context.rect(0, AXIS, gutter, height);
      context.clip();
      context.fillStyle = paper;
      context.fillRect(0, top, gutter - 1, ROW);
      if (name === selected || index % 2 === 1) {
        context.fillStyle = zebra;
        context.fillRect(0, top, gutter - 1, ROW);
      }
      if (name === selected) {
        context.fillStyle = accent;
        context.fillRect(0, top, 3, ROW);
      }
      const look = nowOf(name);
      shape(look.path, 15, top + ROW / 2, 11, of[look.kind], null);
      context.fillStyle = ink;
      context.textAlign = 'left';
      context.fillText(shortened(titleOf(name), gutter - 36), 26, top + ROW / 2 + 0.5);
      context.restore();
    }
    context.fillStyle = line;
    context.fillRect(gutter - 1, 0, 1, height);

    context.fillStyle = paper;
    context.fillRect(0, 0, width, AXIS);
    context.fillStyle = line;
    context.fillRect(0, AXIS - 1, width, 1);
    context.font = `11px ${font}`;
    context.fillStyle = quiet;
    context.textAlign = 'center';
    for (const tick of marks.at) {
      const x = xOf(tick);
      if (x < gutter + 24 || x > width - 24) continue;
      const isNewDay = marks.step >= 60_000 && day(tick) !== day(tick - 1);
      context.fillText(isNewDay ? day(tick) : clock(tick, marks.step), x, AXIS / 2);
    }
    context.textAlign = 'left';
    context.fillText(day(from), 8, AXIS / 2);

    if (pointer !== null && pointer.x > gutter && pointer.y > AXIS) {
      context.fillStyle = quiet;
      context.fillRect(Math.round(pointer.x), AXIS, 1, height);
    }
    describe(from, to);
  }

  interface Frame {
    readonly from: number;
    readonly to: number;
    readonly xOf: (time: number) => number;
    readonly width: number;
    readonly now: number;
    readonly font: string;
  }

  function nowOf(row: string | null): Look {
    if (row === null) {
      const span = spanAt(laneOf(null), store.now());
      return span === null ? LOOKS.other : lookOf(span.state);
    }
    const status = store.commands.get(row)?.status;
    return status === undefined ? LOOKS.other : lookOfStatus(status);
  }

  function drawLane(name: string | null, top: number, { from, to, xOf, width, now, font }: Frame): void {
    const { of, patterns, ink, paper, quiet } = theme!;
    const lane = laneOf(name);
    const middle = top + ROW / 2 + 2;
    let drawnTo = Number.NEGATIVE_INFINITY;
    for (let index = firstSpan(lane.spans, from); index < lane.spans.length; index++) {
      const span = lane.spans[index]!;
      if (span.from > to) break;
      const left = Math.max(gutter - 4, xOf(Math.max(span.from, from - 1e7)));
      const right = Math.min(width + 4, xOf(Math.min(span.to ?? now, to + 1e7)));
      const look = lookOf(
        span.state,
        span.to === null && name !== null ? store.commands.get(name)?.status.detail : null,
      );
      const isCalm = look.kind === 'up' || look.kind === 'stopped' || look.kind === 'done';
      const wide = Math.max(isCalm ? 0.5 : 1.5, right - left);
      // What is too thin to be seen does not hide what is there.
      if (left + wide <= drawnTo + 0.5 && isCalm) continue;
      drawnTo = left + wide;
      const tall = isCalm ? BAR - 4 : BAR;
      const radius = Math.min(3, wide / 2);
      const box = (): void => {
        context.beginPath();
        context.roundRect(left, middle - tall / 2, wide, tall, radius);
      };
      box();
      context.fillStyle = of[look.kind];
      context.globalAlpha = look.pattern === 'hollow' ? 0.22 : isCalm ? 0.75 : 1;
      context.fill();
      context.globalAlpha = 1;
      const pattern = patterns[look.kind];
      if (pattern !== null && wide > 4) {
        context.fillStyle = pattern;
        context.fill();
      }
      if (look.pattern === 'hollow' && wide > 3) {
        context.strokeStyle = of[look.kind];
        context.lineWidth = 1.2;
        context.stroke();
      }
    }
    for (const gap of lane.gaps) drawGap(gap);
    const start = firstFrom(lane.marks, from - (to - from) / 50);
    let cluster: { x: number; mark: Mark; count: number } | null = null;
    const flush = (): void => {
      if (cluster === null) return;
      const { x, mark, count } = cluster;
      const colour = mark.bad ? of.failed : mark.kind === 'probe' ? of.up : ink;
      shape(MARKS[mark.kind].path, x, middle, mark.kind === 'launch' ? 9 : 11, colour, paper);
      if (count > 1) {
        context.font = `bold 9px ${font}`;
        context.textAlign = 'left';
        context.lineWidth = 3;
        context.strokeStyle = paper;
        context.strokeText(String(count), x + 6, middle - 7);
        context.fillStyle = colour;
        context.fillText(String(count), x + 6, middle - 7);
      }
    };
    // The graver one stays in sight.
    for (let index = start; index < lane.marks.length; index++) {
      const mark = lane.marks[index]!;
      if (mark.time > to) break;
      const x = xOf(mark.time);
      if (cluster !== null && x - cluster.x < 7) {
        cluster = {
          x: cluster.x,
          mark: rank(mark) > rank(cluster.mark) ? mark : cluster.mark,
          count: cluster.count + (mark.kind === cluster.mark.kind ? 1 : 0),
        };
      } else {
        flush();
        cluster = { x, mark, count: 1 };
      }
    }
    flush();

    function drawGap(gap: Gap): void {
      const end = gap.to ?? now;
      if (end < from || gap.from > to) return;
      const left = xOf(gap.from);
      const right = xOf(end);
      // Who is only stopped has been no more than that so far.
      if (gap.to === null && gap.since === 'stop') return;
      const y = middle - BAR / 2 - 3.5;
      const text = gap.to === null ? `${duration(end - gap.from)} …` : duration(end - gap.from);
      context.font = `10px ${font}`;
      const room = context.measureText(text).width;
      context.fillStyle = gap.to === null ? of.failed : quiet;
      if (right - left > 6) {
        context.fillRect(left, y, right - left, 1.2);
        context.fillRect(left, y, 1.2, 4);
        context.fillRect(right - 1.2, y, 1.2, 4);
      }
      if (right - left < 14 && (to - from) / (gap.to === null ? 1 : end - gap.from) > 600) return;
      context.textAlign = 'center';
      const x = Math.max(gutter + room / 2 + 4, (left + right) / 2);
      if (right - left > room + 12) {
        context.fillStyle = paper;
        context.fillRect(x - room / 2 - 3, y - 5, room + 6, 10);
        context.fillStyle = gap.to === null ? of.failed : quiet;
        context.fillText(text, x, y);
      }
    }
  }

  /** With what is known of one that nothing has happened to. */
  function laneOf(name: string | null): Lane {
    const lane = name === null ? store.lanes.own : store.lanes.of(name);
    if (lane.spans.length > 0) return lane;
    if (name === null) {
      const from = store.hello?.began ?? Number.NEGATIVE_INFINITY;
      return { ...lane, spans: [{ from, to: null, state: 'supervising', on: '' }] };
    }
    const status = store.commands.get(name)?.status;
    if (status === undefined) return lane;
    const state = status.detail === null ? status.state : `${status.state}.${status.detail}`;
    return { ...lane, spans: [{ from: Date.parse(status.since), to: null, state, on: '' }] };
  }

  function shape(path: string, x: number, y: number, size: number, fill: string, halo: string | null): void {
    context.save();
    context.translate(x - size / 2, y - size / 2);
    context.scale(size / 12, size / 12);
    const drawn = pathOf(path);
    if (halo !== null) {
      context.strokeStyle = halo;
      context.lineWidth = 3.5;
      context.lineJoin = 'round';
      context.stroke(drawn);
    }
    context.fillStyle = fill;
    context.fill(drawn, 'evenodd');
    context.restore();
  }

  function shortened(text: string, room: number): string {
    if (context.measureText(text).width <= room) return text;
    let end = text.length;
    while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > room) end--;
    return `${text.slice(0, end)}…`;
  }

  let described = 0;
  let legendKinds = '';
  function describe(from: number, to: number): void {
    say(range, `${duration(to - from)} in sight`);
    const now = performance.now();
    const isFirst = legendKinds === '';
    if (!isFirst && now - described < 2_000) return;
    described = now;
    const text = `Timeline of ${names().length} commands, from ${clock(from, 1_000)} to ${clock(to, 1_000)}. The button Table shows it as a table.`;
    if (canvas.getAttribute('aria-label') !== text) canvas.setAttribute('aria-label', text);
    showLegend();
  }

  function showLegend(): void {
    const kinds = new Set<Kind>();
    for (const { status } of store.commands.values()) kinds.add(lookOfStatus(status).kind);
    for (const name of names().slice(0, 100)) {
      for (const span of store.lanes.of(name).spans.slice(-50)) kinds.add(lookOf(span.state).kind);
    }
    const signature = [...kinds].sort().join(' ');
    if (signature === legendKinds) return;
    legendKinds = signature;
    legend.replaceChildren(
      ...KINDS.filter(([kind]) => kinds.has(kind)).map(([kind, word]) =>
        h('span', {}, glyph(LOOKS[kind]), ` ${word}`),
      ),
      h('span', { class: 'legend-gap' }),
      ...Object.values(MARKS).map(({ path, word }) =>
        h('span', {}, glyph({ kind: 'other', path, pattern: 'full' }), ` ${word}`),
      ),
    );
  }

  // ---- what is under the pointer, or chosen by the keyboard

  function showTip(x: number, y: number): void {
    const name = rowAt(y);
    if (name === undefined || x < gutter) {
      tip.hidden = true;
      return;
    }
    const lane = laneOf(name);
    const time = timeAt(x);
    const near = NEAR * ((sight().to - sight().from) / Math.max(1, canvas.clientWidth - gutter));
    const marks = lane.marks
      .slice(firstFrom(lane.marks, time - near), firstFrom(lane.marks, time + near))
      .slice(-6);
    fillTip(name, lane, time, marks, near);
    placeTip(x, y);
  }

  function fillTip(
    name: string | null,
    lane: Lane,
    time: number,
    marks: readonly Mark[],
    near: number,
  ): void {
    const span = spanAt(lane, time);
    const gap = lane.gaps.findLast(
      (each) => each.from - near <= time && time <= (each.to ?? store.now()) + near,
    );
    const parts = [
      h('b', {}, titleOf(name)),
      h('span', { class: 'quiet' }, ` ${clock(time)}`),
      span === null
        ? h('p', { class: 'quiet' }, 'nothing is known of that time')
        : h(
            'p',
            {},
            glyph(lookOf(span.state)),
            ` ${span.state}`,
            h('span', { class: 'quiet' }, spanText(span)),
          ),
      ...(gap === undefined
        ? []
        : [
            h(
              'p',
              { class: 'gap' },
              gap.to === null
                ? `${gap.since === 'death' ? 'down' : 'stopping'} for ${duration(store.now() - gap.from)} so far`
                : `from ${gap.since} to running: ${duration(gap.to - gap.from)}`,
            ),
          ]),
      ...marks.map((mark) =>
        h(
          'p',
          { class: mark.bad ? 'bad' : '' },
          glyph({ kind: mark.bad ? 'failed' : 'other', path: MARKS[mark.kind].path, pattern: 'full' }),
          ` ${clock(mark.time)} ${mark.text}`,
        ),
      ),
    ];
    tip.replaceChildren(...parts);
    tip.hidden = false;
  }

  function spanText({ from, to }: Span): string {
    if (!Number.isFinite(from)) return ' since before what is known';
    return to === null ? ` for ${duration(store.now() - from)} so far` : ` for ${duration(to - from)}`;
  }

  function placeTip(x: number, y: number): void {
    const box = element.getBoundingClientRect();
    const inner = scroller.getBoundingClientRect();
    const left = x + inner.left - box.left + 14;
    const top = y + inner.top - box.top + 14;
    const { offsetWidth, offsetHeight } = tip;
    tip.style.left = `${Math.max(4, left + offsetWidth > box.width - 4 ? left - offsetWidth - 28 : left)}px`;
    tip.style.top = `${Math.max(4, top + offsetHeight > box.height - 4 ? top - offsetHeight - 28 : top)}px`;
  }

  function jump(forward: boolean): void {
    if (selected === undefined) return;
    const lane = laneOf(selected);
    const { from, to } = sight();
    const middle = (from + to) / 2;
    const at = firstFrom(lane.marks, middle + (forward ? 0.5 : -0.5));
    const mark = forward ? lane.marks[at] : lane.marks[at - 1];
    if (mark === undefined) return;
    view = bounded({ from: mark.time - (to - from) / 2, to: mark.time + (to - from) / 2 });
    isWhole = false;
    if (follows) setFollows(false);
    draw();
    fillTip(selected, lane, mark.time, [mark], 1);
    const row = rows().indexOf(selected);
    placeTip(xAt(mark.time), AXIS + row * ROW - scroller.scrollTop + ROW / 2);
  }

  const touches = new Map<number, number>();
  let wasDragged = false;
  const place = (event: PointerEvent | WheelEvent): { x: number; y: number } => {
    const { left, top } = canvas.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  canvas.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    touches.set(event.pointerId, event.clientX);
    wasDragged = false;
  });
  canvas.addEventListener('pointermove', (event) => {
    const before = touches.get(event.pointerId);
    pointer = place(event);
    if (before === undefined) showTip(pointer.x, pointer.y);
    else {
      const by = event.clientX - before;
      if (Math.abs(by) < 3 && !wasDragged) return;
      wasDragged = true;
      tip.hidden = true;
      touches.set(event.pointerId, event.clientX);
      const other = [...touches].find(([id]) => id !== event.pointerId)?.[1];
      if (other === undefined) move(-by / Math.max(1, canvas.clientWidth - gutter));
      else {
        const { left } = canvas.getBoundingClientRect();
        const factor = Math.max(10, Math.abs(before - other)) / Math.max(10, Math.abs(event.clientX - other));
        zoomBy(factor, timeAt((event.clientX + other) / 2 - left));
      }
    }
    soon();
  });
  for (const type of ['pointerup', 'pointercancel'] as const) {
    canvas.addEventListener(type, (event) => {
      if (!touches.delete(event.pointerId) || wasDragged || type === 'pointercancel') return;
      const { x, y } = place(event);
      const name = rowAt(y);
      if (name !== undefined) onSelect(keyOf(name));
      showTip(x, y);
    });
  }
  canvas.addEventListener('pointerleave', () => {
    pointer = null;
    tip.hidden = true;
    soon();
  });
  canvas.addEventListener(
    'wheel',
    (event) => {
      const overflows = scroller.scrollHeight > scroller.clientHeight + 1;
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        move((event.deltaX || event.deltaY) / Math.max(1, canvas.clientWidth - gutter));
      } else if (event.ctrlKey || event.metaKey || event.altKey || !overflows) {
        const around = timeAt(place(event).x);
        if (follows) zoomBy(Math.exp(event.deltaY / 400));
        else zoomBy(Math.exp(event.deltaY / 400), around);
      } else return;
      event.preventDefault();
    },
    { passive: false },
  );

  function key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const row = selected === undefined ? -1 : rows().indexOf(selected);
    switch (event.key) {
      case 'ArrowLeft':
        move(-0.1);
        break;
      case 'ArrowRight':
        move(0.1);
        break;
      case 'ArrowUp':
      case 'ArrowDown': {
        const next = rows()[Math.max(0, row + (event.key === 'ArrowUp' ? -1 : 1))];
        if (next !== undefined) onSelect(keyOf(next));
        break;
      }
      case '+':
      case '=':
        zoomBy(0.5);
        break;
      case '-':
        zoomBy(2);
        break;
      case '0':
        showAll();
        break;
      case 'End':
        setFollows(true);
        break;
      case '[':
      case ']':
        jump(event.key === ']');
        break;
      case 'Escape':
        tip.hidden = true;
        break;
      default:
        return;
    }
    event.preventDefault();
  }

  // ---- the table

  function drawTable(): void {
    clearTimeout(tableTimer);
    tableTimer = undefined;
    if (isWhole) view = whole();
    else if (follows && view !== null) view = bounded(following(view, store.now()));
    const { from, to } = sight();
    const found: { readonly name: string; readonly mark: Mark }[] = [];
    for (const row of rows()) {
      const name = titleOf(row);
      const { marks } = laneOf(row);
      for (let index = firstFrom(marks, from); index < marks.length && marks[index]!.time <= to; index++) {
        found.push({ name, mark: marks[index]! });
      }
    }
    found.sort((a, b) => b.mark.number - a.mark.number);
    body.replaceChildren(
      ...found
        .slice(0, MOST_ROWS)
        .map(({ name, mark }) =>
          h(
            'tr',
            {},
            h('td', {}, clock(mark.time)),
            h('td', {}, name),
            h('td', {}, MARKS[mark.kind].word),
            h('td', { class: mark.bad ? 'bad' : '' }, mark.text),
          ),
        ),
      ...(found.length > MOST_ROWS
        ? [
            h(
              'tr',
              {},
              h(
                'td',
                { colspan: 4, class: 'quiet' },
                `${found.length - MOST_ROWS} earlier ones: show less time`,
              ),
            ),
          ]
        : []),
    );
  }

  return {
    element,
    show() {
      if (!showsTable) soon();
      else tableTimer ??= window.setTimeout(drawTable, TABLE_PAUSE);
    },
    select(key) {
      const row =
        key === 'root'
          ? null
          : key?.startsWith('command:') === true
            ? key.slice('command:'.length)
            : undefined;
      if (selected === row) return;
      selected = row;
      isSought = row !== undefined;
      soon();
    },
    tick() {
      if (follows || isWhole || pointer !== null || isRecording()) soon();
      if (pointer !== null && !tip.hidden && touches.size === 0) showTip(pointer.x, pointer.y);
    },
  };
}

const rank = ({ kind, bad }: Mark): number =>
  (bad ? 10 : 0) + ['note', 'launch', 'probe', 'signal', 'order', 'death'].indexOf(kind);

/** The first span that lasts to that time or beyond. */
function firstSpan(spans: readonly Span[], time: number): number {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const { to } = spans[middle]!;
    if (to !== null && to < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

const paths = new Map<string, Path2D>();
function pathOf(path: string): Path2D {
  let found = paths.get(path);
  if (found === undefined) {
    found = new Path2D(path);
    paths.set(path, found);
  }
  return found;
}

function readTheme(context: CanvasRenderingContext2D): Theme {
  const style = getComputedStyle(document.documentElement);
  const value = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  const of = {} as Record<Kind, string>;
  const patterns = {} as Record<Kind, CanvasPattern | null>;
  for (const [kind] of KINDS) {
    of[kind] = value(kind);
    patterns[kind] = patternOf(context, LOOKS[kind].pattern, value('paper'));
  }
  return {
    of,
    patterns,
    ink: value('ink'),
    quiet: value('quiet'),
    line: value('line'),
    paper: value('paper'),
    zebra: value('zebra'),
    accent: value('accent'),
  };
}

/** Drawn over the bar's colour, in that of the paper. */
function patternOf(
  context: CanvasRenderingContext2D,
  pattern: (typeof LOOKS)[Kind]['pattern'],
  colour: string,
): CanvasPattern | null {
  if (pattern === 'full' || pattern === 'hollow') return null;
  const size = 8;
  const tile = document.createElement('canvas');
  tile.width = size;
  tile.height = size;
  const to = tile.getContext('2d')!;
  to.strokeStyle = colour;
  to.fillStyle = colour;
  to.globalAlpha = 0.55;
  to.lineWidth = 2;
  to.beginPath();
  if (pattern === 'dots') {
    to.arc(2, 2, 1.2, 0, 7);
    to.arc(6, 6, 1.2, 0, 7);
    to.fill();
  } else if (pattern === 'bars') {
    to.fillRect(0, 0, 3, size);
  } else {
    for (const shift of [-size, 0, size]) {
      if (pattern === 'rising') {
        to.moveTo(shift, size);
        to.lineTo(shift + size, 0);
      } else {
        to.moveTo(shift, 0);
        to.lineTo(shift + size, size);
      }
    }
    to.stroke();
  }
  return context.createPattern(tile, 'repeat');
}
