/** In which order commands are started and stopped: pure functions over who comes before whom. */

/** By name of a command, those that are started before it and stopped after it. Names that are not keys are ignored. */
export type Before = ReadonlyMap<string, readonly string[]>;

/** A cycle, its first name repeated at its end, or null where there is none. The shortest that begins with the first name
 * (in the map's order) that is in one. */
export function findCycle(before: Before): readonly string[] | null {
  const inLevels = new Set(startLevels(before).flat());
  for (const name of before.keys()) {
    if (inLevels.has(name)) continue;
    const cycle = shortestWay(before, name, name);
    if (cycle !== null) return cycle;
  }
  return null;
}

function shortestWay(before: Before, from: string, to: string): string[] | null {
  const cameFrom = new Map<string, string>();
  let edge = [from];
  while (edge.length > 0) {
    const next: string[] = [];
    for (const name of edge) {
      for (const other of before.get(name) ?? []) {
        if (other === to) {
          const way = [to];
          for (let at = name; at !== from; at = cameFrom.get(at)!) way.unshift(at);
          return [from, ...way];
        }
        if (cameFrom.has(other) || !before.has(other)) continue;
        cameFrom.set(other, name);
        next.push(other);
      }
    }
    edge = next;
  }
  return null;
}

/** The names in levels: each after all that come before it, and no later than that takes. What is in a cycle, or comes
 * after one, is in no level. */
export function startLevels(before: Before): readonly (readonly string[])[] {
  const followers = followersOf(before);
  const awaited = new Map<string, number>();
  for (const [name, earlier] of before) {
    awaited.set(name, new Set(earlier.filter((other) => before.has(other))).size);
  }
  const levels: string[][] = [];
  let level = [...before.keys()].filter((name) => awaited.get(name) === 0);
  while (level.length > 0) {
    levels.push(level);
    const next: string[] = [];
    for (const name of level) {
      for (const follower of followers.get(name) ?? []) {
        const left = awaited.get(follower)! - 1;
        awaited.set(follower, left);
        if (left === 0) next.push(follower);
      }
    }
    level = next;
  }
  return levels;
}

/** By name, those that come after it: they are stopped before it. */
export function followersOf(before: Before): ReadonlyMap<string, readonly string[]> {
  const followers = new Map<string, string[]>();
  for (const name of before.keys()) followers.set(name, []);
  for (const [name, earlier] of before) {
    for (const other of new Set(earlier)) followers.get(other)?.push(name);
  }
  return followers;
}

/**
 * The longest that stopping in reverse order takes: the chain whose stops add up to most.
 *
 * @param timeoutOf ms that a stop of this command may take
 * @returns ms, and the chain in the order in which it is stopped. No cycles, please.
 */
export function longestStop(
  before: Before,
  timeoutOf: (name: string) => number,
): { readonly ms: number; readonly chain: readonly string[] } {
  const best = new Map<string, { ms: number; next: string | null }>();
  // Those that nothing comes before are stopped last: their chains are known first.
  for (const level of startLevels(before)) {
    for (const name of level) {
      let ms = 0;
      let next: string | null = null;
      for (const other of before.get(name)!) {
        const chain = best.get(other);
        if (chain !== undefined && chain.ms > ms) {
          ms = chain.ms;
          next = other;
        }
      }
      best.set(name, { ms: ms + timeoutOf(name), next });
    }
  }
  let first: string | null = null;
  for (const [name, { ms }] of best) if (first === null || ms > best.get(first)!.ms) first = name;
  const chain: string[] = [];
  for (let at = first; at !== null; at = best.get(at)!.next) chain.push(at);
  return { ms: first === null ? 0 : best.get(first)!.ms, chain };
}

/** Those of the set that can be stopped now: nobody of the set comes after them, not even by way of others. */
export function stoppable(before: Before, unrested: ReadonlySet<string>): readonly string[] {
  const needed = new Set<string>();
  const open = [...unrested];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    for (const earlier of before.get(name) ?? []) {
      if (needed.has(earlier)) continue;
      needed.add(earlier);
      open.push(earlier);
    }
  }
  return [...unrested].filter((name) => !needed.has(name));
}

/** How the time of a shutdown is shared among commands that are stopped one after the other. */
export interface StopPlan {
  readonly before: Before;
  /** ms for each command, and for the longest chain of those that are stopped after it. */
  readonly own: ReadonlyMap<string, number>;
  readonly after: ReadonlyMap<string, number>;
  /** Those whose ms their policy names. */
  readonly fixed: ReadonlySet<string>;
}

/**
 * @param timeoutOf what the policy gives a stop of this command; null: what there is
 * @param isAtRest it has ended already: no time is set aside for it, though it may need some for what it has left
 */
export function stopPlan(
  before: Before,
  timeoutOf: (name: string) => number | null,
  grace: number,
  isAtRest: (name: string) => boolean = () => false,
): StopPlan {
  const levels = startLevels(before);
  const share = grace / Math.max(1, levels.filter((level) => !level.every(isAtRest)).length);
  const own = new Map<string, number>();
  const after = new Map<string, number>();
  const fixed = new Set<string>();
  for (const name of levels.flat()) {
    const timeout = timeoutOf(name);
    if (timeout !== null) fixed.add(name);
    own.set(name, timeout ?? share);
    const chains = before.get(name)!.map((other) => {
      const reserved = isAtRest(other) ? 0 : (own.get(other) ?? 0);
      return reserved + (after.get(other) ?? 0);
    });
    after.set(name, Math.max(0, ...chains));
  }
  return { before, own, after, fixed };
}

/** ms that the stop of this command may take, when so much is left for it and those that are stopped after it. */
export function stopShare({ own, after, fixed }: StopPlan, name: string, remaining: number): number {
  const ms = own.get(name) ?? remaining;
  const rest = after.get(name) ?? 0;
  if (ms + rest > remaining) return (ms * remaining) / (ms + rest);
  return fixed.has(name) ? ms : remaining - rest;
}
