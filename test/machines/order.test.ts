/** Order against oracles that are too slow or too simple to be wrong. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Before,
  findCycle,
  followersOf,
  longestStop,
  startLevels,
  stopPlan,
  stoppable,
  stopShare,
} from '../../machines/order.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'constructor', '__proto__'];
/** Anything: cycles, selves, strangers, doubles. */
const anyGraph: fc.Arbitrary<Before> = fc
  .array(
    fc.tuple(fc.constantFrom(...NAMES), fc.array(fc.constantFrom(...NAMES, 'stranger'), { maxLength: 4 })),
    { maxLength: 8 },
  )
  .map((entries) => new Map(entries));
/** No cycles: each comes after some of those before it in the list. */
const acyclic: fc.Arbitrary<Before> = fc
  .array(fc.array(fc.nat(7), { maxLength: 4 }), { maxLength: 8 })
  .chain((rows) =>
    fc
      .shuffledSubarray(NAMES, { minLength: rows.length, maxLength: rows.length })
      .map(
        (names) =>
          new Map(
            rows.map((row, at) => [names[at]!, row.flatMap((other) => (other < at ? [names[other]!] : []))]),
          ),
      ),
  );

/** All that come before it, near and far. */
function allBefore(before: Before, name: string): ReadonlySet<string> {
  const found = new Set<string>();
  for (let size = -1; size !== found.size; ) {
    size = found.size;
    for (const each of [name, ...found]) for (const other of before.get(each) ?? []) found.add(other);
  }
  return found;
}

describe('cycles', () => {
  test('what is found is a cycle, the shortest of its first name, and one is found when there is one', () => {
    fc.assert(
      fc.property(anyGraph, (before) => {
        const cycle = findCycle(before);
        const inCycle = [...before.keys()].filter((name) => allBefore(before, name).has(name));
        if (cycle === null) {
          expect(inCycle).toEqual([]);
          return;
        }
        expect(cycle[0]).toBe(inCycle[0]);
        expect(cycle.at(-1)).toBe(cycle[0]);
        expect(new Set(cycle).size).toBe(cycle.length - 1);
        cycle.slice(1).forEach((name, at) => {
          expect(before.get(cycle[at]!)).toContain(name);
        });
        // Shorter ones do not exist: walk as far as one step less.
        let reached = new Set([cycle[0]!]);
        for (let step = 1; step < cycle.length - 1; step++) {
          reached = new Set([...reached].flatMap((name) => before.get(name) ?? []));
          expect(reached.has(cycle[0]!)).toBe(false);
        }
      }),
    );
  });

  test('one that comes after itself', () => {
    expect(findCycle(new Map([['a', ['a']]]))).toEqual(['a', 'a']);
  });

  test('who only comes after a cycle is not in it', () => {
    const before = new Map([
      ['x', ['a']],
      ['a', ['b']],
      ['b', ['a']],
    ]);
    expect(findCycle(before)).toEqual(['a', 'b', 'a']);
    expect(startLevels(before)).toEqual([]);
  });
});

test('levels: each in the first that is after all of its own', () => {
  fc.assert(
    fc.property(anyGraph, (before) => {
      const levels = startLevels(before);
      const levelOf = (name: string): number | null => {
        if (allBefore(before, name).has(name)) return null;
        const others = (before.get(name) ?? []).filter((other) => before.has(other)).map(levelOf);
        return others.includes(null) ? null : Math.max(-1, ...(others as number[])) + 1;
      };
      const expected = [...before.keys()].flatMap((name) => {
        const level = levelOf(name);
        return level === null ? [] : [[name, level]];
      });
      const found = levels.flatMap((names, level) => names.map((name) => [name, level]));
      expect(new Map(found as [string, number][])).toEqual(new Map(expected as [string, number][]));
      expect(found).toHaveLength(expected.length);
    }),
  );
});

test('followers are the reverse', () => {
  fc.assert(
    fc.property(anyGraph, (before) => {
      const followers = followersOf(before);
      expect([...followers.keys()]).toEqual([...before.keys()]);
      for (const name of before.keys()) {
        const expected = [...before.keys()].filter((other) => before.get(other)!.includes(name));
        expect([...followers.get(name)!].sort()).toEqual(expected.sort());
      }
    }),
  );
});

test('stoppable: nobody of those that still run comes after it, near or far', () => {
  fc.assert(
    fc.property(acyclic, fc.subarray(NAMES), (before, some) => {
      const unrested = new Set(some.filter((name) => before.has(name)));
      const expected = [...unrested].filter(
        (name) => ![...unrested].some((other) => allBefore(before, other).has(name)),
      );
      expect(stoppable(before, unrested)).toEqual(expected);
      if (unrested.size > 0) expect(expected.length).toBeGreaterThan(0);
    }),
  );
});

const timeouts = fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 8, maxLength: 8 });

test('the longest stop: as long as the longest of all chains', () => {
  fc.assert(
    fc.property(acyclic, timeouts, (before, ms) => {
      const timeoutOf = (name: string): number => ms[NAMES.indexOf(name)]!;
      const from = (name: string): number =>
        timeoutOf(name) + Math.max(0, ...before.get(name)!.map((other) => from(other)));
      const { ms: longest, chain } = longestStop(before, timeoutOf);
      expect(longest).toBe(Math.max(0, ...[...before.keys()].map(from)));
      expect(chain.map(timeoutOf).reduce((sum, each) => sum + each, 0)).toBe(longest);
      chain.slice(1).forEach((name, at) => {
        expect(before.get(chain[at]!)).toContain(name);
      });
    }),
  );
});

describe('how a shutdown shares its time', () => {
  test('whoever takes all of it, all stay within the grace, and nobody gets more than its policy gives', () => {
    fc.assert(
      fc.property(
        acyclic,
        fc.array(fc.option(fc.integer({ min: 1, max: 20_000 })), { minLength: 8, maxLength: 8 }),
        fc.integer({ min: 0, max: 20_000 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 8, maxLength: 8 }),
        fc.uniqueArray(fc.constantFrom(...NAMES)),
        (before, given, grace, patience, resting) => {
          const timeoutOf = (name: string): number | null => given[NAMES.indexOf(name)]!;
          const plan = stopPlan(before, timeoutOf, grace, (name) => resting.includes(name));
          const ends = new Map<string, number>();
          for (const level of startLevels(before).toReversed()) {
            for (const name of level) {
              const followers = [...before.keys()].filter((other) => before.get(other)!.includes(name));
              const told = Math.max(0, ...followers.map((other) => ends.get(other)!));
              const share = stopShare(plan, name, grace - told);
              expect(share).toBeGreaterThanOrEqual(0);
              expect(share).toBeLessThanOrEqual(timeoutOf(name) ?? Number.POSITIVE_INFINITY);
              ends.set(name, told + share * patience[NAMES.indexOf(name)]!);
              expect(told + share).toBeLessThanOrEqual(grace + 1e-6);
            }
          }
        },
      ),
    );
  });

  test('explicit ones are honoured where the chain fits, and all of it is scaled where not', () => {
    const before = new Map([
      ['db', []],
      ['app', ['db']],
    ]);
    const shares = (app: number | null, db: number | null, grace: number): number[] => {
      const plan = stopPlan(before, (name) => (name === 'app' ? app : db), grace);
      const first = stopShare(plan, 'app', grace);
      return [first, stopShare(plan, 'db', grace - first)];
    };
    expect(shares(null, null, 8_000)).toEqual([4_000, 4_000]);
    expect(shares(2_000, null, 8_000)).toEqual([2_000, 6_000]);
    expect(shares(null, 2_000, 8_000)).toEqual([6_000, 2_000]);
    expect(shares(1_000, 3_000, 8_000)).toEqual([1_000, 3_000]);
    expect(shares(12_000, 4_000, 8_000)).toEqual([6_000, 2_000]);
    expect(shares(null, null, 0)).toEqual([0, 0]);
  });

  test('for who has ended already none is set aside, but what it has left may take some', () => {
    const before = new Map([
      ['db', []],
      ['migrate', ['db']],
      ['app', ['migrate']],
    ]);
    const shares = (migrate: number | null, grace: number): number[] => {
      const timeoutOf = (name: string): number | null => (name === 'migrate' ? migrate : null);
      const plan = stopPlan(before, timeoutOf, grace, (name) => name === 'migrate');
      const app = stopShare(plan, 'app', grace);
      return [app, stopShare(plan, 'migrate', grace - app), stopShare(plan, 'db', grace - app)];
    };
    expect(shares(null, 8_000)).toEqual([4_000, 2_000, 4_000]);
    expect(shares(60_000, 8_000)[0]).toBe(4_000);
    expect(shares(60_000, 8_000)[2]).toBe(4_000);
    const all = stopPlan(
      before,
      () => null,
      9_000,
      () => true,
    );
    expect(stopShare(all, 'app', 9_000)).toBe(9_000);
  });

  test('where others come to their end beside it, it has its share', () => {
    const before = new Map([
      ['done', []],
      ['db', []],
      ['app', ['done', 'db']],
    ]);
    const plan = stopPlan(
      before,
      (name) => (name === 'app' ? 9_000 : null),
      9_000,
      (name) => name === 'done',
    );
    // Half of the grace is set aside for db, and all of it is scaled: 9,000 of 13,500 for app.
    expect(stopShare(plan, 'app', 9_000)).toBe(6_000);
  });

  test('one alone has all of it', () => {
    expect(
      stopShare(
        stopPlan(new Map([['a', []]]), () => null, 9_000),
        'a',
        9_000,
      ),
    ).toBe(9_000);
    expect(
      stopShare(
        stopPlan(new Map(), () => null, 9_000),
        'stranger',
        9_000,
      ),
    ).toBe(9_000);
  });
});

test('a chain of ten thousand', () => {
  const before = new Map(
    Array.from({ length: 10_000 }, (_, at) => [`c${at}`, at === 0 ? [] : [`c${at - 1}`]] as const),
  );
  expect(startLevels(before)).toHaveLength(10_000);
  expect(longestStop(before, () => 1).ms).toBe(10_000);
  expect(stoppable(before, new Set(before.keys()))).toEqual(['c9999']);
  expect(findCycle(new Map([...before, ['c0', ['c9999']]]))).toHaveLength(10_001);
});
