/** The fleet as rows: root, groups, commands; of somebody else's system, its actors. Pure. */
import type { CommandStatus } from '../../control/status.ts';
import { type Kind, LOOKS, type Look, lookOf } from './looks.ts';
import { valueText } from './machine.ts';
import type { Store } from './store.ts';

export interface FleetRow {
  /** As in Place.selected. */
  readonly key: string;
  readonly name: string;
  readonly level: number;
  readonly position: number;
  readonly size: number;
  /** null: it holds nobody. */
  readonly expanded: boolean | null;
  readonly look: Look;
  /** `running`, `backoff` …, or what a group holds. */
  readonly word: string;
  /** Of the root or a group: the state of its machine, as in `tending`; '': it is a command, or nothing is known. */
  readonly state: string;
  /** null: it is no command. */
  readonly status: CommandStatus | null;
  /** ms since 1970 of the status. */
  readonly at: number;
}

export interface FleetFilter {
  readonly text: string;
  /** Empty: all. */
  readonly kinds: ReadonlySet<Kind>;
}

/** A command's state in a word or two, as `upkeep status` has it. */
export function wordOf({ state, detail, ready }: Pick<CommandStatus, 'state' | 'detail' | 'ready'>): string {
  if (state !== 'running') return state;
  return detail ?? (ready === true ? 'ready' : 'running');
}

export function lookOfStatus({ state, detail }: Pick<CommandStatus, 'state' | 'detail'>): Look {
  return lookOf(state, detail);
}

/** The commands in the order in which the tree has them. */
export function namesInOrder(store: Store): readonly string[] {
  const rows = fleetRows(store, { text: '', kinds: new Set() }, new Set());
  return rows.flatMap(({ status }) => (status === null ? [] : [status.name]));
}

/** How many commands there are of each kind. */
export function countKinds(store: Store): ReadonlyMap<Kind, number> {
  const counts = new Map<Kind, number>();
  for (const { status } of store.commands.values()) {
    const { kind } = lookOfStatus(status);
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

interface Node {
  readonly row: Omit<FleetRow, 'level' | 'position' | 'size' | 'expanded'>;
  readonly children: readonly Node[];
}

/** @param closed keys whose rows below are not shown; with a filter everything found is */
export function fleetRows(
  store: Store,
  filter: FleetFilter,
  closed: ReadonlySet<string>,
): readonly FleetRow[] {
  const isFiltered = filter.text !== '' || filter.kinds.size > 0;
  const text = filter.text.toLowerCase();
  // Of upkeep itself the fleet comes a moment after the actors.
  const roots = store.hasFleet ? [fleetNode(store)] : store.hello === null ? actorNodes(store) : [];
  const fits = ({ row }: Node): boolean =>
    row.name.toLowerCase().includes(text) &&
    (filter.kinds.size === 0 || (row.status !== null && filter.kinds.has(row.look.kind)));
  const narrowed = (node: Node): Node | null => {
    const children = node.children.flatMap((child) => narrowed(child) ?? []);
    return children.length > 0 || fits(node) ? { ...node, children } : null;
  };
  const rows: FleetRow[] = [];
  const walk = (nodes: readonly Node[], level: number): void => {
    for (const [index, { row, children }] of nodes.entries()) {
      const isOpen = isFiltered || !closed.has(row.key);
      const expanded = children.length === 0 ? null : isOpen;
      rows.push({ ...row, level, position: index + 1, size: nodes.length, expanded });
      if (isOpen) walk(children, level + 1);
    }
  };
  walk(isFiltered ? roots.flatMap((root) => narrowed(root) ?? []) : roots, 1);
  return rows;
}

function fleetNode(store: Store): Node {
  const command = (name: string): Node[] => {
    const known = store.commands.get(name);
    if (known === undefined) return [];
    const { status, at } = known;
    const look = lookOfStatus(status);
    const row = { key: `command:${name}`, name, look, word: wordOf(status), state: '', status, at };
    return [{ row, children: [] }];
  };
  const stateOf = (key: string): string => {
    const actor = store.actors.get(sessionOf(store, key) ?? '');
    return actor === undefined ? '' : valueText(actor.snapshot.value);
  };
  const grouped = new Set(store.groups.flatMap(({ commands }) => commands));
  const below = (parent: string | null): Node[] =>
    store.groups.flatMap((group) => {
      if (group.parent !== parent) return [];
      const children = [...below(group.name), ...group.commands.flatMap(command)];
      const unwell = children.reduce((sum, child) => sum + unwellIn(child), 0);
      const word = `${group.strategy}, ${unwell === 0 ? 'as wished' : `${unwell} not as wished`}`;
      const key = `group:${group.name}`;
      const state = stateOf(key);
      const look = LOOKS[state.startsWith('fail') ? 'failed' : unwell === 0 ? 'up' : 'unwell'];
      return [{ row: { key, name: group.name, look, word, state, status: null, at: 0 }, children }];
    });
  const loose = store.names.filter((name) => !grouped.has(name)).flatMap(command);
  const all = [...store.commands.values()];
  const unwell = all.filter(({ status }) => !status.asWished).length;
  return {
    row: {
      key: 'root',
      name: 'upkeep',
      look: LOOKS[unwell === 0 ? 'up' : 'unwell'],
      word: unwell === 0 ? `${all.length} as wished` : `${unwell} of ${all.length} not as wished`,
      state: stateOf('root'),
      status: null,
      at: 0,
    },
    children: [...below(null), ...loose],
  };
}

/** How many commands at or below it are not as wished. */
function unwellIn({ row: { status }, children }: Node): number {
  return children.reduce((sum, child) => sum + unwellIn(child), status?.asWished === false ? 1 : 0);
}

function actorNodes(store: Store): readonly Node[] {
  const children = new Map<string, string[]>();
  const roots: string[] = [];
  for (const { sessionId, parentId } of store.actors.values()) {
    if (parentId === undefined || !store.actors.has(parentId)) roots.push(sessionId);
    else children.set(parentId, [...(children.get(parentId) ?? []), sessionId]);
  }
  const node = (id: string): Node => {
    const actor = store.actors.get(id)!;
    const { snapshot } = actor;
    const state = valueText(snapshot.value);
    const look =
      snapshot.status === 'active' ? LOOKS.other : LOOKS[snapshot.status === 'error' ? 'failed' : 'done'];
    const word = state === '' ? snapshot.status : state;
    return {
      row: { key: `actor:${id}`, name: store.titleOf(actor), look, word, state: '', status: null, at: 0 },
      children: (children.get(id) ?? []).map(node),
    };
  };
  return roots.map(node);
}

/** The actor that is meant by what is selected; null: there is none. */
export function sessionOf(store: Store, selected: string | null): string | null {
  if (selected === null) return null;
  const name = selected.slice(selected.indexOf(':') + 1);
  if (selected === 'root') return store.rootId;
  if (selected.startsWith('command:')) return store.commandActors.get(name) ?? null;
  if (selected.startsWith('group:')) return store.groupActors.get(name) ?? null;
  return store.actors.has(name) ? name : null;
}
