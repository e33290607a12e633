/** The messages: who sent which event to whom and what it caused, as a list and as a sequence diagram. */
import { arrowHead } from './arrow.ts';
import { difference } from './diff.ts';
import { h, s, say, VirtualList } from './dom.ts';
import { actionsOf, activeIn, eventLabel, ledBy, type Machine, type Move, valueText } from './machine.ts';
import { layOut } from './sequence.ts';
import { OUTSIDE, type Sent, type Store } from './store.ts';
import { clock } from './words.ts';

export interface MessagesPane {
  readonly element: HTMLElement;
  readonly show: () => void;
  /** @param session whose messages are shown, if only those of what is selected are */
  readonly select: (session: string | null) => void;
}

/** Arrows of the diagram. */
const MOST_STEPS = 80;
/** px of the diagram's names. */
const HEAD = 40;

export function createMessages(store: Store): MessagesPane {
  let session: string | null = null;
  let chosen: number | null = null;
  /** null: it goes on; else the last message that is shown. */
  let pausedAt: number | null = null;
  let asDiagram = false;

  const input = h('input', {
    type: 'search',
    class: 'search',
    placeholder: 'Event or actor',
    'aria-label': 'Filter messages by event or actor',
    autocomplete: 'off',
    spellcheck: 'false',
    input: () => show(),
  });
  const toggle = (
    text: string,
    pressed: boolean,
    set: (on: boolean) => void,
    hint: string,
  ): HTMLButtonElement => {
    const button: HTMLButtonElement = h(
      'button',
      {
        type: 'button',
        'aria-pressed': String(pressed),
        title: hint,
        click: () => {
          const next = button.getAttribute('aria-pressed') !== 'true';
          button.setAttribute('aria-pressed', String(next));
          set(next);
          show();
        },
      },
      text,
    );
    return button;
  };
  const only = toggle('Selected', true, () => {}, 'Only what is selected sends or gets');
  const changing = toggle('Transitions', false, () => {}, 'Only what led to another state');
  const diagramButton = toggle(
    'Diagram',
    false,
    (on) => {
      asDiagram = on;
    },
    'As a sequence diagram',
  );
  const pause = toggle(
    'Pause',
    false,
    (on) => {
      pausedAt = on ? (store.sent.at(-1)?.number ?? 0) : null;
    },
    'Stands still while more messages come',
  );
  const count = h('span', { class: 'quiet', role: 'status' });
  const list = new VirtualList<Sent>({
    role: 'listbox',
    label: 'Messages',
    rowHeight: 44,
    key: ({ number }) => String(number),
    draw,
    onSelect: ({ number }) => choose(number),
  });
  const diagram = h('div', {
    class: 'diagram',
    tabindex: 0,
    role: 'group',
    'aria-label': 'Sequence diagram; the list says the same in words',
  });
  const empty = h('p', { class: 'empty' });
  const detail = h('aside', { class: 'detail', 'aria-label': 'The message' });
  detail.hidden = true;
  const element = h(
    'section',
    { class: 'pane messages', id: 'messages', 'aria-label': 'Messages' },
    h(
      'div',
      { class: 'pane-head' },
      input,
      h(
        'div',
        { class: 'tools', role: 'group', 'aria-label': 'Messages' },
        only,
        changing,
        diagramButton,
        pause,
      ),
      count,
    ),
    h('div', { class: 'split' }, empty, list.element, diagram, detail),
  );

  const labelOf = ({ to, event }: Sent): string =>
    eventLabel(event.type, store.actors.get(to)?.machine?.states);

  /** `→ backoff`; '': it stays. */
  function changeOf({ became }: Sent): string {
    if (became === null) return '';
    const before = valueText(became.before.value);
    const after = valueText(became.after.value);
    if (before !== after) return `${before || 'begins'} → ${after || became.after.status}`;
    return became.before.status === became.after.status ? '' : became.after.status;
  }

  function found(): readonly Sent[] {
    const text = input.value.trim().toLowerCase();
    const isOnly = only.getAttribute('aria-pressed') === 'true' && session !== null;
    const isChanging = changing.getAttribute('aria-pressed') === 'true';
    return store.sent.filter((sent) => {
      if (pausedAt !== null && sent.number > pausedAt) return false;
      if (isOnly && sent.to !== session && sent.from !== session) return false;
      if (isChanging && changeOf(sent) === '') return false;
      if (text === '') return true;
      return (
        sent.event.type.toLowerCase().includes(text) ||
        sent.toName.toLowerCase().includes(text) ||
        sent.fromName.toLowerCase().includes(text)
      );
    });
  }

  function show(): void {
    const messages = found();
    const more = pausedAt === null ? 0 : store.sent.filter(({ number }) => number > pausedAt!).length;
    const missed = store.missed === 0 ? '' : `, ${store.missed} missed`;
    say(
      count,
      `${messages.length} of ${store.sent.length}${more === 0 ? '' : `, ${more} since the pause`}${missed}`,
    );
    empty.hidden = messages.length > 0;
    say(
      empty,
      store.sent.length > 0 || store.hello?.mode !== 'recording'
        ? 'Nothing yet. What is sent while this page is open is shown here.'
        : 'Nothing has been sent yet at this time of the recording.',
    );
    list.element.hidden = asDiagram || messages.length === 0;
    diagram.hidden = !asDiagram || messages.length === 0;
    if (asDiagram) drawDiagram(messages.slice(-MOST_STEPS));
    else list.show(messages, true);
  }

  function draw(sent: Sent, row: HTMLElement): void {
    const change = changeOf(sent);
    const signature = `${sent.number} ${change} ${sent.became !== null}`;
    if (row.dataset.drawn === signature) return;
    row.dataset.drawn = signature;
    row.replaceChildren(
      h('span', { class: 'when' }, clock(sent.time)),
      h(
        'span',
        { class: 'message-text' },
        h(
          'span',
          { class: 'route' },
          h('b', {}, labelOf(sent)),
          h('span', { class: 'quiet' }, ` ${sent.fromName} → ${sent.toName}`),
        ),
        h('span', { class: change === '' ? 'effect quiet' : 'effect' }, change || 'stays'),
      ),
    );
  }

  function drawDiagram(messages: readonly Sent[]): void {
    const order = new Map([...store.actors.values()].map((actor, index) => [store.titleOf(actor), index]));
    const atEnd = diagram.scrollTop + diagram.clientHeight >= diagram.scrollHeight - 4;
    const { columns, arrows, width, height } = layOut(
      messages.map((sent) => ({
        key: sent.number,
        time: clock(sent.time),
        // By name: who is invoked again is another actor, and the same to whoever reads.
        from: sent.fromName,
        to: sent.toName,
        label: labelOf(sent),
        note: changeOf(sent).split(' → ').at(-1) ?? '',
      })),
      (name) => (name === OUTSIDE ? -1 : (order.get(name) ?? order.size)),
    );
    const cut = (text: string, most: number): string =>
      text.length > most ? `${text.slice(0, most - 1)}…` : text;
    diagram.replaceChildren(
      // Above the arrows, wherever these are scrolled to.
      s(
        'svg',
        { class: 'sequence sequence-head', width, height: HEAD, 'aria-hidden': 'true' },
        ...columns.flatMap(({ name, x }) => [
          s('rect', { class: 'actor-box', x: x - 84, y: 6, width: 168, height: 28, rx: 6 }),
          s('text', { class: 'actor-name', x, y: 24 }, cut(name, 22)),
        ]),
      ),
      s(
        'svg',
        { class: 'sequence', width, height, viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' },
        arrowHead('message-head'),
        ...columns.map(({ x }) => s('line', { class: 'life', x1: x, x2: x, y1: 0, y2: height })),
        ...arrows.map(({ key, time, y, from, to, isSelf, label, note }) =>
          s(
            'g',
            {
              class: key === chosen ? 'step chosen' : 'step',
              click: () => choose(key),
            },
            s('rect', {
              class: 'step-back',
              x: Math.min(from, to) - 90,
              y: y - 22,
              width: Math.abs(to - from) + 180,
              height: 32,
              rx: 4,
            }),
            time !== '' && s('text', { class: 'step-time', x: 8, y: y + 4 }, time),
            s('path', {
              class: 'arrow',
              d: isSelf
                ? `M${from} ${y - 8}h26v10H${from + 3}`
                : `M${from} ${y}H${from < to ? to - 3 : to + 3}`,
              'marker-end': 'url(#message-head)',
            }),
            s(
              'text',
              {
                class: 'step-label',
                x: isSelf ? from + 32 : (from + to) / 2,
                y: isSelf ? y + 1 : y - 6,
                'text-anchor': isSelf ? 'start' : 'middle',
              },
              cut(label, 26),
            ),
            note !== '' &&
              s(
                'text',
                {
                  class: 'step-note',
                  x: to + (from > to ? -8 : 8),
                  y: isSelf ? y + 14 : y + 4,
                  'text-anchor': from > to ? 'end' : 'start',
                },
                cut(note, 22),
              ),
          ),
        ),
      ),
    );
    if (atEnd) diagram.scrollTop = diagram.scrollHeight;
  }

  function choose(number: number | null): void {
    chosen = number;
    list.select(number === null ? null : String(number));
    const sent = store.sent.find((each) => each.number === number);
    detail.hidden = sent === undefined;
    if (sent !== undefined) drawDetail(sent);
    if (asDiagram) show();
  }

  function drawDetail(sent: Sent): void {
    const { became, event } = sent;
    const machine = store.actors.get(sent.to)?.machine ?? null;
    const parts: (Node | false)[] = [
      h(
        'div',
        { class: 'detail-head' },
        h('h2', {}, labelOf(sent)),
        h('button', { type: 'button', 'aria-label': 'Close', click: () => choose(null) }, '✕'),
      ),
      h('p', { class: 'quiet' }, `${clock(sent.time)} · ${sent.fromName} → ${sent.toName}`),
    ];
    if (became !== null) {
      const change = changeOf(sent);
      parts.push(h('h3', {}, 'Transition'), h('p', {}, change === '' ? 'it stays where it is' : change));
      if (machine !== null) {
        parts.push(...causedIn(machine, became, event.type));
      }
      const differences = difference(became.before.context, became.after.context);
      parts.push(
        h('h3', {}, 'Assigned'),
        differences.length === 0
          ? h('p', { class: 'quiet' }, 'nothing')
          : h(
              'dl',
              { class: 'assigned' },
              ...differences.flatMap(({ path, before, after }) => [
                h('dt', {}, path),
                h('dd', {}, h('del', {}, json(before)), ' ', h('ins', {}, json(after))),
              ]),
            ),
      );
    }
    parts.push(
      h('h3', {}, 'Event'),
      h('pre', { tabindex: 0, 'aria-label': 'The event as JSON' }, JSON.stringify(event, null, 2)),
    );
    if (became !== null) {
      parts.push(
        h(
          'details',
          {},
          h('summary', {}, 'Snapshot'),
          h(
            'pre',
            { tabindex: 0, 'aria-label': 'The snapshot as JSON' },
            JSON.stringify(became.after, null, 2),
          ),
        ),
      );
    }
    detail.replaceChildren(...parts.filter((part): part is Node => part !== false));
  }

  return {
    element,
    show,
    select(next) {
      session = next;
      show();
    },
  };
}

const list = (texts: readonly string[]): Node =>
  h('ul', { class: 'way' }, ...texts.map((text) => h('li', {}, text)));

/** The transitions of one event and the actions they had done: those that were taken, or all that may have been. */
function causedIn(
  machine: Machine,
  { before, after, taken }: NonNullable<Sent['became']>,
  type: string,
): Node[] {
  const { isTold, ways } = ledBy(machine, before.value, after.value, type, taken);
  const active = activeIn(machine, before.value);
  const moveText = ({ from, label, to }: Move): string =>
    `${short(from, machine.id)}: ${label}${to === null ? '' : ` → ${short(to, machine.id)}`}`;
  const done = ways.map((way) => {
    const actions = actionsOf(machine, active, way);
    // What actions have had done on their own is in no definition; what XState does for itself is nobody's business.
    const more = taken?.actions.filter(
      (name) => !name.startsWith('xstate.') && !actions.some((each) => each.split(' ')[0] === name),
    );
    return [...actions, ...(more ?? [])];
  });
  const actionsNode = (actions: readonly string[]): Node =>
    actions.length === 0 ? h('p', { class: 'quiet' }, 'none') : list(actions);
  if (ways.length <= 1) {
    const [way] = ways;
    return [
      ...(way === undefined ? [] : [list(way.map(moveText))]),
      ...(isTold || way === undefined
        ? []
        : [h('p', { class: 'quiet' }, 'as the definition has it: this was not told')]),
      h('h3', {}, 'Actions'),
      actionsNode(done[0] ?? []),
    ];
  }
  return [
    h('p', { class: 'quiet' }, `one of ${ways.length} ways that lead there: which one was not told`),
    h(
      'ol',
      { class: 'ways' },
      ...ways.map((way, index) =>
        h(
          'li',
          {},
          list(way.map(moveText)),
          h('p', { class: 'quiet' }, `actions: ${done[index]!.join(', ') || 'none'}`),
        ),
      ),
    ),
  ];
}

const short = (id: string, machine: string): string => id.slice(machine.length + 1) || machine;

function json(value: unknown): string {
  const text = JSON.stringify(value) ?? '–';
  return text.length > 120 ? `${text.slice(0, 119)}…` : text;
}
