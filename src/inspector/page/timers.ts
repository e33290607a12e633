/** Delays that run: of what is active, since it was entered, as far as their length is known. Pure. */
import type { Machine, Move } from './machine.ts';

export interface Timer {
  /** `after backoff`. */
  readonly name: string;
  /** What it leads to: one of them, as guards decide. */
  readonly moves: readonly Move[];
  /** ms since 1970. */
  readonly due: number;
  /** ms that it takes. */
  readonly whole: number;
}

type Context = Readonly<Record<string, unknown>>;

const under = (value: unknown, ...path: readonly string[]): unknown =>
  path.reduce<unknown>(
    (found, key) => (typeof found === 'object' && found !== null ? (found as Context)[key] : undefined),
    value,
  );

/** Of upkeep's own commands, how long a delay takes by what its machine knows. @param age of the run, ms, when it began */
const DELAYS: Readonly<Record<string, (context: unknown, age: (since: number) => number) => unknown>> = {
  backoff: (context) => under(context, 'wait'),
  settle: (context) =>
    under(context, 'policy', under(context, 'policy', 'returns') === true ? 'startTimeout' : 'settle'),
  linger: (context) => under(context, 'policy', 'linger'),
  clear: (context) => under(context, 'policy', 'clear'),
  readyInterval: (context) => under(context, 'policy', 'ready', 'interval'),
  readyTimeout: (context, age) => {
    const [timeout, interval, since] = [
      under(context, 'policy', 'ready', 'timeout'),
      under(context, 'policy', 'ready', 'interval'),
      under(context, 'since'),
    ].map(Number) as [number, number, number];
    // Of the time in which it has to be ready, what is left; a try in any case.
    return Math.max(interval, timeout - Math.max(0, age(since)));
  },
  healthInterval: (context) => under(context, 'policy', 'health', 'every'),
};

function lengthOf(delay: string, context: unknown, age: (since: number) => number): number | null {
  // Somebody else's machines mostly have it in their definition.
  const known = /^\d+$/.test(delay)
    ? Number(delay)
    : Object.hasOwn(DELAYS, delay)
      ? DELAYS[delay]!(context, age)
      : null;
  return typeof known === 'number' && Number.isFinite(known) ? known : null;
}

/**
 * @param began when upkeep began, ms since 1970: its machines count from there
 * @param entered when each of the active states was entered, ms since 1970; those that are not in it were before anybody looked
 * @returns the one that is due first at first
 */
export function timersOf(
  { states }: Machine,
  active: ReadonlySet<string>,
  context: unknown,
  entered: ReadonlyMap<string, number>,
  began: number,
): readonly Timer[] {
  const timers: Timer[] = [];
  for (const id of active) {
    const since = entered.get(id);
    if (since === undefined) continue;
    const delayed = (states.get(id)?.moves ?? []).filter(({ event }) => event.startsWith('after '));
    for (const name of new Set(delayed.map(({ event }) => event))) {
      const whole = lengthOf(name.slice('after '.length), context, (from) => since - began - from);
      if (whole === null) continue;
      const moves = delayed.filter(({ event }) => event === name);
      timers.push({ name, moves, due: since + whole, whole: Math.max(1, whole) });
    }
  }
  return timers.sort((a, b) => a.due - b.due);
}

/**
 * When each of what is active now was entered.
 *
 * @param before the same before the event
 * @param time of the event, ms since 1970
 * @param moves that were taken, where that was told: some enter again what was active already
 */
export function enteredBy(
  before: ReadonlyMap<string, number>,
  was: ReadonlySet<string>,
  active: ReadonlySet<string>,
  time: number,
  moves: readonly Move[],
): ReadonlyMap<string, number> {
  const entered = new Map<string, number>();
  for (const id of active) {
    const again = moves.some(({ to }) => to !== null && (to === id || id.startsWith(`${to}.`)));
    const since = was.has(id) && !again ? before.get(id) : time;
    if (since !== undefined) entered.set(id, since);
  }
  return entered;
}
