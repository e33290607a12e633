/** Numbers that depend on a seed and nothing else, so that a run can be had again. */
export interface Random {
  /** In [0, 1). */
  readonly next: () => number;
  /** A whole number from `low` to `high`, both included. */
  readonly whole: (low: number, high: number) => number;
  /** A number from `low` to below `high`. */
  readonly between: (low: number, high: number) => number;
  /** True with this probability. */
  readonly chance: (probability: number) => boolean;
  /** One of them; throws where there is none. */
  readonly pick: <T>(some: readonly T[]) => T;
  /** One of them, each as often as its weight says. */
  readonly weighted: <T>(some: readonly (readonly [T, number])[]) => T;
  /** A copy in another order. */
  readonly shuffled: <T>(some: readonly T[]) => T[];
}

/** @param seed any whole number from 0 to 2^32-1 */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  // mulberry32
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 4_294_967_296;
  };
  const whole = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  const pick = <T>(some: readonly T[]): T => {
    if (some.length === 0) throw new Error('cannot pick: there is nothing to pick from');
    return some[whole(0, some.length - 1)]!;
  };
  return {
    next,
    whole,
    between: (low, high) => low + next() * (high - low),
    chance: (probability) => next() < probability,
    pick,
    weighted(some) {
      let point = next() * some.reduce((sum, [, weight]) => sum + weight, 0);
      for (const [one, weight] of some) {
        point -= weight;
        if (point < 0) return one;
      }
      return some.at(-1)![0];
    },
    shuffled(some) {
      const copy = [...some];
      for (let index = copy.length - 1; index > 0; index--) {
        const other = whole(0, index);
        [copy[index], copy[other]] = [copy[other]!, copy[index]!];
      }
      return copy;
    },
  };
}

/** A seed for a part of a run: the same for the same run and part, and unlike that of the next part. */
export function seedOf(seed: number, part: number): number {
  let x = (seed ^ Math.imul(part + 1, 0x9e3779b1)) >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
