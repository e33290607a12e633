/** The statechart of what is selected: what is active is lit, what was taken last is marked, and what is due counts down. */
import { type Covered, createDrawing, type DrawingView, LINE } from './canvas.ts';
import { createCards, type Lit } from './cards.ts';
import { h, s, say } from './dom.ts';
import { type Drawings, drawingOf } from './drawings.ts';
import { glyph } from './glyph.ts';
import { lookOf } from './looks.ts';
import { activeIn, eventLabel, type Led, ledBy, type Machine, valueText } from './machine.ts';
import type { Actor, Store } from './store.ts';
import { type Timer, timersOf } from './timers.ts';
import { lookOfStatus, wordOf } from './tree.ts';
import { duration } from './words.ts';

export interface ChartPane {
  readonly element: HTMLElement;
  readonly show: () => void;
  /** @param session null: nothing is selected */
  readonly select: (session: string | null, command: string | null) => void;
  readonly tick: () => void;
  readonly draw: (drawings: Drawings) => void;
}

/** Width of a countdown at an edge, in the drawing's measure. */
const EDGE_DUE = 62;

interface Shown {
  readonly machine: Machine;
  readonly lit: Lit;
  readonly drawing: DrawingView | null;
}

export function createChart(store: Store): ChartPane {
  const views = new Map<Machine, Shown>();
  let drawings: Drawings | null = null;
  let session: string | null = null;
  let command: string | null = null;
  let shown: Shown | null = null;
  /** The number of the last event whose way is marked. */
  let seen = 0;
  let active: ReadonlySet<string> = new Set();
  let marked: readonly Element[] = [];
  let follows = true;

  const title = h('h2', {});
  const state = h('p', { class: 'chart-state', role: 'status' });
  const countdown = h('div', { class: 'countdown', 'aria-hidden': 'true' }, h('span', {}), h('i', {}));
  const last = h('p', { class: 'quiet chart-last' });
  const follow = h(
    'button',
    {
      type: 'button',
      'aria-pressed': 'true',
      title: 'Keep the active state in sight',
      click: () => setFollows(!follows),
    },
    'Follow',
  );
  const map = h(
    'button',
    {
      type: 'button',
      'aria-pressed': String(matchMedia('(min-width: 761px)').matches),
      title: 'A small one of the whole',
      click: () => setMap(map.getAttribute('aria-pressed') !== 'true'),
    },
    'Map',
  );
  const tools = h(
    'div',
    { class: 'tools', role: 'group', 'aria-label': 'Chart' },
    follow,
    h('button', { type: 'button', click: () => showWhole() }, 'All'),
    map,
    h('button', { type: 'button', 'aria-label': 'Smaller', click: () => shown?.drawing?.zoom(0.8) }, '−'),
    h('button', { type: 'button', 'aria-label': 'Larger', click: () => shown?.drawing?.zoom(1.25) }, '+'),
  );
  const stage = h('div', {
    class: map.getAttribute('aria-pressed') === 'true' ? 'stage' : 'stage no-map',
  });
  const card = h('div', { class: 'chart-status' }, title, state, countdown, last);
  const element = h(
    'section',
    { class: 'pane chart', id: 'chart', 'aria-label': 'Chart' },
    card,
    tools,
    stage,
  );

  function setMap(isShown: boolean): void {
    map.setAttribute('aria-pressed', String(isShown));
    stage.classList.toggle('no-map', !isShown);
    lookAtActive();
  }

  /** By the card, the buttons and the map. */
  function covered(): Covered {
    const gap = 16;
    const isNarrow = tools.offsetTop > card.offsetTop + card.offsetHeight;
    const mini = stage.querySelector('.mini')?.getBoundingClientRect();
    const isBeside = mini !== undefined && mini.width < element.clientWidth / 4;
    return {
      // It has one line more where something is due.
      top: gap + Math.max(card.offsetHeight + (countdown.hidden ? 24 : 0), isNarrow ? 0 : tools.offsetHeight),
      right: mini !== undefined && mini.width > 0 && isBeside ? mini.width + gap : 0,
      bottom: isNarrow ? tools.offsetHeight + gap : 0,
      left: 0,
    };
  }

  function setFollows(next: boolean): void {
    follows = next;
    follow.setAttribute('aria-pressed', String(next));
    if (next) lookAtActive();
  }

  function showWhole(): void {
    setFollows(false);
    shown?.drawing?.showAll();
  }

  function lookAtActive(jump = false): void {
    if (!follows) return;
    const leaf = leafOf(active);
    if (leaf === null) return;
    if (shown?.drawing != null) {
      shown.drawing.lookAt(leaf, jump);
    } else shown?.lit.states.get(leaf)?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  function viewOf(machine: Machine): Shown {
    let view = views.get(machine);
    if (view === undefined) {
      const drawing = drawingOf(drawings ?? {}, machine);
      const drawn =
        drawing === null ? null : createDrawing(machine.id, drawing, () => setFollows(false), covered);
      view = { machine, lit: drawn ?? createCards(machine), drawing: drawn };
      views.set(machine, view);
    }
    return view;
  }

  function show(): void {
    const actor = session === null ? null : (store.actors.get(session) ?? null);
    if (actor === null || actor.machine === null || drawings === null) {
      shown = null;
      const why =
        actor === null
          ? command === null
            ? 'Select something of the fleet.'
            : `There is no machine of ${command} at this time.`
          : actor.machine === null
            ? `${store.titleOf(actor)} is no machine: there is no chart of it.`
            : '';
      stage.replaceChildren(h('p', { class: 'empty' }, why));
      say(title, actor === null ? '' : store.titleOf(actor));
      tools.hidden = true;
      showStatus(actor);
      return;
    }
    const view = viewOf(actor.machine);
    const isNew = view !== shown;
    if (isNew) {
      shown = view;
      stage.replaceChildren(view.lit.element);
      for (const each of view.lit.states.values()) each.classList.remove('active', 'leaf');
    }
    tools.hidden = view.drawing === null;
    const before = active;
    active = activeIn(view.machine, actor.snapshot.value);
    const hasMoved = isNew || before.size !== active.size || [...before].some((id) => !active.has(id));
    if (hasMoved) {
      const leaf = leafOf(active);
      for (const [id, each] of view.lit.states) {
        each.classList.toggle('active', active.has(id));
        each.classList.toggle('leaf', id === leaf && view.machine.states.get(id)?.children.length === 0);
      }
      view.drawing?.light(active);
    }
    markTaken(view, actor);
    showStatus(actor);
    if (hasMoved) lookAtActive(isNew);
  }

  function unmark(): void {
    for (const each of marked) each.classList.remove('taken', 'maybe', 'flash');
    marked = [];
  }

  /** Marks the way of the last event that led somewhere, and flashes what is new of it. Ways it only may have taken are dashed. */
  function markTaken({ machine, lit }: Shown, actor: Actor): void {
    const news = store.sent.filter(
      (sent) => sent.number > seen && sent.to === actor.sessionId && sent.became !== null,
    );
    let led: Led | null = null;
    for (const { number, event, became } of news) {
      seen = number;
      const { before, after, taken } = became!;
      const next = ledBy(machine, before.value, after.value, event.type, taken);
      if (next.ways.some((way) => way.some(({ to }) => to !== null))) led = next;
    }
    if (led === null) return;
    unmark();
    const [first = [], ...others] = led.ways.map((way) => way.filter(({ to }) => to !== null));
    const certain = first.filter((move) => others.every((way) => way.includes(move)));
    const possible = new Set(led.ways.flat().filter((move) => move.to !== null && !certain.includes(move)));
    const sure = new Set(certain.flatMap((move) => lit.moves(move)));
    const maybe = [...possible].flatMap((move) => lit.moves(move)).filter((each) => !sure.has(each));
    marked = [...sure, ...maybe];
    for (const each of marked) {
      each.classList.add(sure.has(each) ? 'taken' : 'maybe');
      // Begins the animation again where the same way is taken twice.
      void each.getBoundingClientRect();
      each.classList.add('flash');
    }
  }

  function showStatus(actor: Actor | null): void {
    const status = command === null ? null : (store.commands.get(command)?.status ?? null);
    const value = actor === null ? '' : valueText(actor.snapshot.value);
    if (status !== null) {
      // The machine is told of at once, the status a moment later.
      const isNews = value !== '' && value.split('.', 1)[0] !== status.state;
      const look = isNews ? lookOf(value) : lookOfStatus(status);
      const wish = status.asWished ? 'as wished' : 'not as wished';
      const text = `${isNews ? value.split('.', 1)[0] : wordOf(status)} · wish: ${status.desired}, ${wish}`;
      if (state.dataset.drawn !== text + look.kind) {
        state.dataset.drawn = text + look.kind;
        state.replaceChildren(glyph(look), ` ${text}`);
      }
    } else if (state.dataset.drawn !== value) {
      state.dataset.drawn = value;
      state.replaceChildren(...(value === '' ? [] : [glyph(lookOf(value)), ` ${value}`]));
    }
    say(title, actor === null ? (command ?? '') : store.titleOf(actor));
    const sent = actor?.last ?? null;
    say(
      last,
      sent === null || sent.became === null
        ? value
        : `${value} · last: ${eventLabel(sent.event.type, actor?.machine?.states)}`,
    );
    showBadges();
    tick();
  }

  /** The wish and what is due at the box of what is active, and each running delay at its edge. */
  function showBadges(): void {
    const drawing = shown?.drawing;
    if (drawing == null) return;
    showBoxBadges(drawing);
    for (const timer of timers()) {
      for (const move of timer.moves) {
        const label = drawing.labelOf(move);
        if (label === null) continue;
        const x = label.x + label.width + 2;
        drawing.overlay.append(
          s(
            'g',
            { class: 'edge-due', 'data-name': timer.name },
            s('rect', { class: 'due-back', x, y: label.y, width: EDGE_DUE, height: LINE + 2, rx: 4 }),
            s('rect', { class: 'due-bar', x, y: label.y, width: EDGE_DUE, height: LINE + 2, rx: 4 }),
            s('text', { class: 'due-text', x: x + 5, y: label.y + LINE - 2 }, ''),
          ),
        );
      }
    }
  }

  /** Those that run. */
  function timers(): readonly Timer[] {
    const actor = session === null ? undefined : store.actors.get(session);
    if (shown === null || actor === undefined) return [];
    return timersOf(shown.machine, active, actor.snapshot.context, actor.entered, store.hello?.began ?? 0);
  }

  function showBoxBadges(drawing: DrawingView): void {
    const status = command === null ? undefined : store.commands.get(command)?.status;
    const box = drawing.boxOf(leafOf(active) ?? '');
    if (box === null || status === undefined) {
      drawing.overlay.replaceChildren();
      return;
    }
    const wish = `wish: ${status.desired}`;
    const width = wish.length * 6.4 + 14;
    // Of a small box the name would be hidden.
    const x = box.width > width + 100 ? box.x + box.width - width - 8 : box.x + box.width + 6;
    const badge = s(
      'g',
      {},
      s('rect', {
        class: status.asWished ? 'badge' : 'badge differs',
        x,
        y: box.y - 9,
        width,
        height: 18,
        rx: 9,
      }),
      s('text', { x: x + 7, y: box.y + 4 }, wish),
    );
    const due = dueOf();
    if (due === null) {
      drawing.overlay.replaceChildren(badge);
      return;
    }
    const y = box.y + box.height + 4;
    const wide = Math.max(box.width, 150);
    drawing.overlay.replaceChildren(
      badge,
      s(
        'g',
        { class: 'due' },
        s('rect', { class: 'due-back', x: box.x, y, width: wide, height: 22, rx: 6 }),
        s('rect', { class: 'due-bar', x: box.x, y, width: wide, height: 22, rx: 6 }),
        s('text', { class: 'due-text', x: box.x + 8, y: y + 15 }, ''),
      ),
    );
  }

  /** What is due, and when, ms since 1970. */
  function dueOf(): { readonly text: string; readonly at: number; readonly whole: number } | null {
    const known = command === null ? undefined : store.commands.get(command);
    const { next } = known?.status ?? {};
    if (known === undefined || next == null || next.in === null) return null;
    // It has moved on since.
    if (shown !== null && !active.has(`${shown.machine.id}.${known.status.state}`)) return null;
    return { text: next.text, at: known.at + next.in, whole: Math.max(1, next.in + known.status.for) };
  }

  function tick(): void {
    const now = store.now();
    const running = timers();
    const next = dueOf() ?? running.map(({ name, due, whole }) => ({ text: name, at: due, whole }))[0];
    countdown.hidden = next === undefined;
    if (next !== undefined) {
      const left = Math.max(0, next.at - now);
      say(countdown.firstElementChild!, dueText(next.text, left));
      const bar = countdown.lastElementChild as HTMLElement;
      bar.style.transform = `scaleX(${Math.min(1, left / next.whole)})`;
    }
    const overlay = shown?.drawing?.overlay;
    if (overlay === undefined) return;
    const due = dueOf();
    const drawn = overlay.querySelector('.due');
    if (due !== null && drawn !== null) {
      const left = Math.max(0, due.at - now);
      drawBar(drawn, left / due.whole, dueText(due.text, left));
    }
    for (const each of overlay.querySelectorAll<SVGGElement>('.edge-due')) {
      const timer = running.find(({ name }) => name === each.dataset.name);
      if (timer === undefined) continue;
      const left = Math.max(0, timer.due - now);
      drawBar(each, left / timer.whole, left === 0 ? 'now' : duration(left));
    }
  }

  return {
    element,
    show,
    select(nextSession, nextCommand) {
      if (session === nextSession && command === nextCommand) return;
      session = nextSession;
      command = nextCommand;
      unmark();
      // Of what was before it only the last is marked.
      const actor = session === null ? undefined : store.actors.get(session);
      seen = actor?.last == null ? (store.sent.at(-1)?.number ?? 0) : actor.last.number - 1;
      shown = null;
      follows = true;
      follow.setAttribute('aria-pressed', 'true');
      show();
    },
    tick,
    draw(next) {
      drawings = next;
      show();
    },
  };
}

const dueText = (what: string, left: number): string =>
  left === 0 ? `${what} now` : `${what} in ${duration(left)}`;

function drawBar(drawn: Element, share: number, text: string): void {
  const [back, bar, words] = drawn.children;
  bar!.setAttribute('width', String(Number(back!.getAttribute('width')) * Math.min(1, share)));
  say(words!, text);
}

/** The innermost of what is active. */
function leafOf(active: ReadonlySet<string>): string | null {
  let leaf: string | null = null;
  for (const id of active) if (leaf === null || id.split('.').length > leaf.split('.').length) leaf = id;
  return leaf;
}
