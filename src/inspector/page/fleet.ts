/** The fleet: a tree of what there is, with a search and a filter by state. */
import { h, say, VirtualList } from './dom.ts';
import { glyph } from './glyph.ts';
import { KINDS, type Kind, LOOKS } from './looks.ts';
import type { Store } from './store.ts';
import { countKinds, type FleetRow, fleetRows, namesInOrder } from './tree.ts';
import { duration } from './words.ts';

export interface FleetPane {
  readonly element: HTMLElement;
  readonly show: () => void;
  readonly select: (key: string | null) => void;
  /** Countdowns and times go on. */
  readonly tick: () => void;
  readonly search: () => void;
  /** Names of the commands that it leaves, in their order. */
  readonly names: () => readonly string[];
}

/** @param onFilter other commands are left than before */
export function createFleet(store: Store, onSelect: (key: string) => void, onFilter: () => void): FleetPane {
  const kinds = new Set<Kind>();
  const closed = new Set<string>();
  let names: readonly string[] = [];
  const found = h('p', { class: 'quiet', role: 'status' });
  const input = h('input', {
    type: 'search',
    class: 'search',
    placeholder: 'Search  /',
    'aria-label': 'Search the fleet',
    autocomplete: 'off',
    spellcheck: 'false',
    input: () => filter(),
  });
  const chips = h('div', { class: 'chips', role: 'group', 'aria-label': 'Filter by state' });
  const buttons = new Map<Kind, HTMLButtonElement>();
  const list = new VirtualList<FleetRow>({
    role: 'tree',
    label: 'Fleet',
    rowHeight: 28,
    key: ({ key }) => key,
    draw,
    onSelect: ({ key }) => onSelect(key),
    place: (row) => row,
    onExpand({ key }, expanded) {
      if (expanded) closed.delete(key);
      else closed.add(key);
      show();
    },
  });
  const element = h(
    'section',
    { class: 'pane fleet', id: 'fleet', 'aria-label': 'Fleet' },
    h('div', { class: 'pane-head' }, input),
    chips,
    list.element,
    found,
  );

  function showChips(): void {
    const counts = countKinds(store);
    for (const [kind, word] of KINDS) {
      const count = counts.get(kind) ?? 0;
      let button = buttons.get(kind);
      if (button === undefined) {
        if (count === 0) continue;
        button = h(
          'button',
          {
            type: 'button',
            class: 'chip',
            'aria-pressed': 'false',
            click: () => {
              if (kinds.has(kind)) kinds.delete(kind);
              else kinds.add(kind);
              button?.setAttribute('aria-pressed', String(kinds.has(kind)));
              filter();
            },
          },
          glyph(LOOKS[kind]),
          h('span', { class: 'chip-text' }, word),
          h('b', {}),
        );
        buttons.set(kind, button);
        const before = KINDS.slice(KINDS.findIndex(([each]) => each === kind) + 1)
          .map(([each]) => buttons.get(each))
          .find((each) => each !== undefined);
        chips.insertBefore(button, before ?? null);
      }
      button.hidden = count === 0 && !kinds.has(kind);
      say(button.lastElementChild!, String(count));
    }
  }

  function filter(): void {
    show();
    onFilter();
  }

  function show(): void {
    showChips();
    const rows = fleetRows(store, { text: input.value.trim(), kinds }, closed);
    const isFiltered = input.value.trim() !== '' || kinds.size > 0;
    const left = rows.flatMap(({ status }) => (status === null ? [] : [status.name]));
    names = isFiltered || closed.size === 0 ? left : namesInOrder(store);
    say(found, isFiltered ? `${left.length} of ${store.commands.size} commands` : '');
    found.hidden = !isFiltered;
    list.show(rows);
  }

  function draw(
    { name, look, word, state, status, at, level, expanded }: FleetRow,
    element: HTMLElement,
  ): void {
    element.style.setProperty('--level', String(level - 1));
    const right = status === null ? state : aside(status, at);
    const wish = status !== null && status.desired === 'down' && status.state !== 'stopped' ? ' → down' : '';
    const signature = `${name} ${look.kind} ${word} ${expanded} ${wish}`;
    if (element.dataset.drawn !== signature) {
      element.dataset.drawn = signature;
      element.replaceChildren(
        h('span', { class: expanded === null ? 'no-twist' : 'twist', 'aria-hidden': 'true' }),
        glyph(look),
        h('span', { class: 'name' }, name),
        h('span', { class: `word k-${look.kind}`, title: status === null ? word : null }, word + wish),
        h('span', { class: 'aside' }),
      );
    }
    say(element.lastElementChild!, right);
  }

  /** What is due, or how long it has been so. */
  function aside({ next, restarts, for: since }: NonNullable<FleetRow['status']>, at: number): string {
    const passed = Math.max(0, store.now() - at);
    if (next?.in != null) return `in ${duration(Math.max(0, next.in - passed))}`;
    return `${restarts > 0 ? `↻${restarts}  ` : ''}${duration(coarse(since + passed))}`;
  }

  return {
    element,
    show,
    select: (key) => list.select(key, true),
    tick: () => list.show(list.rows),
    search: () => input.focus(),
    names: () => names,
  };
}

const coarse = (ms: number): number => Math.floor(ms / 1_000) * 1_000;
