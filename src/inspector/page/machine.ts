/** A machine as its definition tells it: states, and what leads from one to another. Of anybody's machine. Pure. */
import type { Taken } from '../protocol.ts';

export interface StateNode {
  /** `command.running.ready`. */
  readonly id: string;
  readonly key: string;
  /** null: it is the machine itself. */
  readonly parent: string | null;
  readonly kind: 'atomic' | 'compound' | 'parallel' | 'final' | 'history';
  /** Id; null: there is none. */
  readonly initial: string | null;
  readonly description: string;
  readonly entry: readonly string[];
  readonly exit: readonly string[];
  readonly children: readonly string[];
  readonly moves: readonly Move[];
}

export interface Move {
  readonly from: string;
  /** As the machine is sent it; '': it needs none; `after backoff`: a delay. */
  readonly event: string;
  /** The same as XState names it, and this one's place among the state's moves for it. */
  readonly descriptor: string;
  readonly index: number;
  /** `leader.exited [isOurs]`, as in the drawings. */
  readonly label: string;
  /** null: it stays. */
  readonly to: string | null;
  readonly actions: readonly string[];
}

export interface Machine {
  readonly id: string;
  readonly states: ReadonlyMap<string, StateNode>;
  /** Ids of states here, by their ids in XState: a state may have one of its own. */
  readonly named: ReadonlyMap<string, string>;
}

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const listOf = (value: unknown): readonly unknown[] =>
  value === undefined || value === null ? [] : Array.isArray(value) ? value : [value];

/** @param definition a machine's configuration, JSON. @returns null: it is none */
export function readMachine(definition: string | undefined): Machine | null {
  if (definition === undefined) return null;
  let config: unknown;
  try {
    config = JSON.parse(definition);
  } catch {
    return null;
  }
  if (!isObject(config) || !isObject(config.states)) return null;
  const id = typeof config.id === 'string' ? config.id : '(machine)';
  const named = new Map<string, string>();
  const nodes: {
    readonly id: string;
    readonly name: string;
    readonly key: string;
    readonly parent: string | null;
    readonly of: Json;
  }[] = [];
  const visit = (of: Json, path: string, key: string, parent: string | null): void => {
    const name = typeof of.id === 'string' ? of.id : path;
    nodes.push({ id: path, name, key, parent, of });
    named.set(name, path);
    for (const [name, child] of Object.entries(isObject(of.states) ? of.states : {})) {
      visit(isObject(child) ? child : {}, `${path}.${name}`, name, path);
    }
  };
  visit(config, id, id, null);
  const ids = new Set(nodes.map((node) => node.id));

  const states = new Map<string, StateNode>();
  for (const { id: own, name, key, parent, of } of nodes) {
    const children = isObject(of.states) ? Object.keys(of.states).map((name) => `${own}.${name}`) : [];
    const resolve = (target: string): string | null => {
      const found = target.startsWith('#')
        ? idNamed(target.slice(1), named)
        : target.startsWith('.')
          ? own + target
          : `${parent ?? own}.${target}`;
      return ids.has(found) ? found : null;
    };
    const initial = isObject(of.initial) ? of.initial.target : of.initial;
    states.set(own, {
      id: own,
      key,
      parent,
      kind: kindOf(of, children.length > 0),
      initial: typeof initial === 'string' ? `${own}.${initial.replace(/^\./, '')}` : null,
      description: typeof of.description === 'string' ? of.description : '',
      entry: actionsIn(of.entry),
      exit: actionsIn(of.exit),
      children,
      moves: movesOf(own, name, of, resolve),
    });
  }
  return { id, states, named };
}

/** What `#NAME.below` stands for. */
function idNamed(name: string, named: ReadonlyMap<string, string>): string {
  for (let end = name.length; end > 0; end = name.lastIndexOf('.', end - 1)) {
    const found = named.get(name.slice(0, end));
    if (found !== undefined) return found + name.slice(end);
  }
  return name;
}

function kindOf({ type }: Json, hasChildren: boolean): StateNode['kind'] {
  if (type === 'parallel' || type === 'final' || type === 'history') return type;
  return hasChildren ? 'compound' : 'atomic';
}

function actionsIn(value: unknown): readonly string[] {
  return listOf(value).map((action) => {
    if (typeof action === 'string') return action;
    if (!isObject(action) || typeof action.type !== 'string' || action.type === '') return '(inline)';
    const { params } = action;
    // A function is told by its name alone.
    const isFunction = isObject(params) && params.type === 'params' && Object.keys(params).length === 1;
    return isObject(params) && !isFunction ? `${action.type} ${JSON.stringify(params)}` : action.type;
  });
}

function movesOf(
  own: string,
  name: string,
  of: Json,
  resolve: (target: string) => string | null,
): readonly Move[] {
  const moves: Move[] = [];
  const add = (event: string, value: unknown, descriptor = event): void => {
    for (const [index, each] of listOf(value).entries()) {
      const move = typeof each === 'string' ? { target: each } : isObject(each) ? each : {};
      const [target] = listOf(move.target);
      const guard = guardOf(move.guard ?? move.cond);
      moves.push({
        from: own,
        event,
        descriptor,
        index,
        label: `${event === '' ? 'always' : event}${guard === null ? '' : ` [${guard}]`}`,
        to: typeof target === 'string' ? resolve(target) : null,
        actions: actionsIn(move.actions),
      });
    }
  };
  for (const [event, value] of Object.entries(isObject(of.on) ? of.on : {})) add(event, value);
  for (const [delay, value] of Object.entries(isObject(of.after) ? of.after : {}))
    add(`after ${delay}`, value, `xstate.after.${delay}.${name}`);
  if (of.onDone !== undefined) add('done', of.onDone, `xstate.done.state.${name}`);
  for (const [index, invoked] of listOf(of.invoke).entries()) {
    if (!isObject(invoked)) continue;
    const id = typeof invoked.id === 'string' ? invoked.id : null;
    const called = id ?? String(invoked.src ?? 'actor');
    for (const [kind, value] of [
      ['done', invoked.onDone],
      ['error', invoked.onError],
    ] as const) {
      if (value !== undefined)
        add(`${kind} ${called}`, value, `xstate.${kind}.actor.${id ?? `${index}.${name}`}`);
    }
  }
  add('', of.always);
  return moves;
}

function guardOf(guard: unknown): string | null {
  if (typeof guard === 'string') return guard;
  if (isObject(guard) && typeof guard.type === 'string') return guard.type || 'a condition';
  return guard === undefined ? null : 'a condition';
}

/** XState's own name of an event, as the drawings have it: `after backoff`, `done ACTOR`. */
export function eventLabel(type: string, states: ReadonlyMap<string, unknown> = new Map()): string {
  const after = /^xstate\.after\.(.+)$/.exec(type);
  if (after !== null) {
    // `DELAY.STATE`, and either may have dots.
    const [, rest = ''] = after;
    for (let dot = rest.indexOf('.'); dot > 0; dot = rest.indexOf('.', dot + 1)) {
      if (states.has(rest.slice(dot + 1))) return `after ${rest.slice(0, dot)}`;
    }
    return `after ${rest.split('.', 1)[0]}`;
  }
  const ended = /^xstate\.(done|error)\.(actor|state)\.(.+)$/.exec(type);
  if (ended !== null) return ended[2] === 'actor' ? `${ended[1]} ${ended[3]}` : 'done';
  return type;
}

/** The states that are active, from the machine itself to the innermost, of a snapshot's value. */
export function activeIn({ id, states }: Machine, value: unknown): ReadonlySet<string> {
  const active = new Set<string>([id]);
  const visit = (below: unknown, path: string): void => {
    if (typeof below === 'string') {
      if (states.has(`${path}.${below}`)) active.add(`${path}.${below}`);
    } else if (isObject(below)) {
      for (const [key, next] of Object.entries(below)) {
        if (!states.has(`${path}.${key}`)) continue;
        active.add(`${path}.${key}`);
        visit(next, `${path}.${key}`);
      }
    }
  };
  visit(value, id);
  return active;
}

/** `running.ready.pausing`; of parallel states, one after the other. */
export function valueText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (!isObject(value)) return '';
  return Object.entries(value)
    .map(([key, below]) => {
      const rest = valueText(below);
      return rest === '' ? key : `${key}.${rest}`;
    })
    .join(' + ');
}

const depthOf = (id: string): number => id.split('.').length;
const isBelow = (id: string, above: string): boolean => id.startsWith(`${above}.`);
const same = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean =>
  a.size === b.size && [...a].every((each) => b.has(each));

/** What is active after that move. */
function afterMove(
  { states }: Machine,
  active: ReadonlySet<string>,
  { from, to }: Move,
): ReadonlySet<string> {
  if (to === null) return active;
  let domain: string | null = from;
  while (domain !== null && !isBelow(to, domain)) domain = states.get(domain)?.parent ?? null;
  const next = new Set([...active].filter((id) => domain !== null && !isBelow(id, domain)));
  const enter = (id: string): void => {
    const state = states.get(id);
    if (state === undefined) return;
    next.add(id);
    if (state.kind === 'parallel') for (const child of state.children) enter(child);
    else if (state.initial !== null) enter(state.initial);
  };
  const path: string[] = [];
  for (let id: string | null = to; id !== null && id !== domain; id = states.get(id)?.parent ?? null)
    path.push(id);
  for (const id of path.reverse()) {
    next.add(id);
    const parent = states.get(states.get(id)?.parent ?? '');
    if (parent?.kind !== 'parallel') continue;
    for (const other of parent.children) if (other !== id && !next.has(other)) enter(other);
  }
  enter(to);
  return next;
}

const LONGEST = 12;
/** So many possible ways are followed at once, and told. */
const MOST_WAYS = 64;

/** The moves that those are, in their order. Without those that the definition does not have. */
export function movesNamed({ states, named }: Machine, { ways }: Taken): readonly Move[] {
  return ways.flatMap(({ from, event, index }) => {
    const { moves = [] } = states.get(named.get(from) ?? from) ?? {};
    return moves.find((move) => move.descriptor === event && move.index === index) ?? [];
  });
}

/**
 * The shortest ways from what was active to what is, that begin with that event. Guards cannot be asked: where several lead
 * there, it may have been any of them. Empty: there is none.
 */
export function possibleWays(
  machine: Machine,
  before: ReadonlySet<string>,
  after: ReadonlySet<string>,
  type: string,
): readonly (readonly Move[])[] {
  const event = eventLabel(type, machine.states);
  const movesFor = (active: ReadonlySet<string>, wanted: (event: string) => boolean): Move[] =>
    [...active]
      .sort((a, b) => depthOf(b) - depthOf(a))
      .flatMap((id) => machine.states.get(id)?.moves.filter((move) => wanted(move.event)) ?? []);
  interface Way {
    readonly active: ReadonlySet<string>;
    readonly moves: readonly Move[];
  }
  /** With how many moves a state of things was reached first: later is no shortest way. */
  const seen = new Map<string, number>();
  const goOn = ({ active, moves }: Way, next: readonly Move[]): Way[] =>
    next.flatMap((move) => {
      // What stays comes first, and may be followed by a move without an event.
      if (move.to === null && moves.length > 0) return [];
      const there = afterMove(machine, active, move);
      const key = [...there].sort().join(' ');
      const length = moves.length + 1;
      if ((seen.get(key) ?? length) < length && !same(there, after)) return [];
      seen.set(key, length);
      return [{ active: there, moves: [...moves, move] }];
    });
  let ways = goOn(
    { active: before, moves: [] },
    movesFor(before, (each) => matches(each, event)),
  );
  for (let length = 1; length <= LONGEST && ways.length > 0; length++) {
    const found = ways.filter(({ active }) => same(active, after));
    if (found.length > 0) return found.map(({ moves }) => moves);
    ways = ways
      .flatMap((way) =>
        goOn(
          way,
          movesFor(way.active, (each) => each === ''),
        ),
      )
      .slice(0, MOST_WAYS);
  }
  return [];
}

/** By which way an event led from one state to another, or by which it may have. */
export interface Led {
  /** It was told: there is one way at most. */
  readonly isTold: boolean;
  readonly ways: readonly (readonly Move[])[];
}

/** @param before a snapshot's value @param taken undefined: it was not told */
export function ledBy(
  machine: Machine,
  before: unknown,
  after: unknown,
  type: string,
  taken: Taken | undefined,
): Led {
  if (taken === undefined) {
    const ways = possibleWays(machine, activeIn(machine, before), activeIn(machine, after), type);
    return { isTold: false, ways };
  }
  const moves = movesNamed(machine, taken);
  return { isTold: true, ways: moves.length === 0 ? [] : [moves] };
}

function matches(pattern: string, event: string): boolean {
  if (pattern === '') return false;
  if (pattern === event || pattern === '*') return true;
  return pattern.endsWith('.*') && `${event}.`.startsWith(pattern.slice(0, -1));
}

/** All that those moves had done, in order: of what is left, of the move, of what is entered. */
export function actionsOf(
  machine: Machine,
  before: ReadonlySet<string>,
  moves: readonly Move[],
): readonly string[] {
  const done: string[] = [];
  let active = before;
  for (const move of moves) {
    const next = afterMove(machine, active, move);
    const reenters = move.to !== null && (move.to === move.from || active.has(move.to));
    const isLeft = (id: string): boolean =>
      !next.has(id) || (reenters && (id === move.to || isBelow(id, move.to!)));
    const isEntered = (id: string): boolean =>
      !active.has(id) || (reenters && (id === move.to || isBelow(id, move.to!)));
    const inward = (ids: ReadonlySet<string>): string[] => [...ids].sort((a, b) => depthOf(a) - depthOf(b));
    for (const id of inward(active).reverse())
      if (isLeft(id)) done.push(...(machine.states.get(id)?.exit ?? []));
    done.push(...move.actions);
    for (const id of inward(next)) if (isEntered(id)) done.push(...(machine.states.get(id)?.entry ?? []));
    active = next;
  }
  return done;
}
