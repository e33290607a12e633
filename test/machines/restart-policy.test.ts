import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  afterProbe,
  askFor,
  type Backoff,
  backoffDelay,
  type CommandPolicy,
  clampDelay,
  DEFAULT_POLICY,
  endingOf,
  givesUp,
  giveUpStopAfter,
  HEALTHY,
  type HealthPolicy,
  type Heat,
  heated,
  type Intensity,
  isTooHot,
  killAfter,
  leastAfterKill,
  NO_HEAT,
  stopBudget,
  wasStable,
} from '../../machines/restart-policy.ts';

const LONGEST = 2 ** 31 - 1;
const seeds = fc.integer({ min: -(2 ** 40), max: 2 ** 40 });
const failureCounts = fc.integer({ min: 1, max: 5_000 });
const backoffs: fc.Arbitrary<Backoff> = fc.record({
  first: fc.integer({ min: 0, max: 10_000 }),
  factor: fc.double({ min: 1, max: 10, noNaN: true }),
  max: fc.integer({ min: 1, max: 1_000_000 }),
  jitter: fc.double({ min: 0, max: 1, noNaN: true }),
});

describe('backoffDelay', () => {
  test('is whole ms from 1 to the maximum, and never less than the jitter allows', () => {
    fc.assert(
      fc.property(backoffs, failureCounts, seeds, (backoff, failures, seed) => {
        const delay = backoffDelay(backoff, failures, seed);
        expect(Number.isInteger(delay)).toBe(true);
        expect(delay).toBeGreaterThanOrEqual(1);
        expect(delay).toBeLessThanOrEqual(backoff.max);
        const grown = backoff.first * backoff.factor ** (failures - 1);
        const full = Number.isNaN(grown) ? backoff.max : Math.min(backoff.max, grown);
        expect(delay).toBeGreaterThanOrEqual(Math.floor(full * (1 - backoff.jitter)));
        expect(delay).toBeLessThanOrEqual(Math.max(1, Math.ceil(full)));
      }),
    );
  });

  test('grows with every failure below the cap, and stays near the cap from then on', () => {
    const { backoff } = DEFAULT_POLICY;
    fc.assert(
      fc.property(seeds, (seed) => {
        let before = 0;
        for (let failures = 1; failures <= 8; failures++) {
          const delay = backoffDelay(backoff, failures, seed);
          expect(delay).toBeGreaterThan(before);
          before = delay;
        }
        for (const failures of [9, 10, 100, 1_000, 100_000]) {
          expect(backoffDelay(backoff, failures, seed)).toBeGreaterThanOrEqual(48_000);
        }
      }),
    );
  });

  test('begins at a quarter of a second and doubles, without jitter', () => {
    const exact = { ...DEFAULT_POLICY.backoff, jitter: 0 };
    expect([1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((failures) => backoffDelay(exact, failures, 7))).toEqual([
      250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000,
    ]);
  });

  test('depends on nothing but its arguments', () => {
    fc.assert(
      fc.property(backoffs, failureCounts, seeds, (backoff, failures, seed) => {
        expect(backoffDelay(backoff, failures, seed)).toBe(backoffDelay(backoff, failures, seed));
      }),
    );
  });

  test('neighbouring seeds spread over the whole of the jitter', () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 9, max: 40 }), (first, failures) => {
        // 60 s less up to a fifth: in six parts of 2 s each there is somebody of 100.
        const parts = new Set<number>();
        for (let seed = first; seed < first + 100; seed++) {
          parts.add(Math.floor((backoffDelay(DEFAULT_POLICY.backoff, failures, seed) - 48_000) / 2_000));
        }
        for (let part = 0; part < 6; part++) expect(parts).toContain(part);
      }),
      { seed: 1, numRuns: 200 },
    );
  });
});

describe('clampDelay', () => {
  test('leaves what a timer can keep as it is, rounded', () => {
    fc.assert(
      fc.property(fc.double({ min: 1, max: LONGEST, noNaN: true }), (ms) => {
        expect(clampDelay(ms)).toBe(Math.round(ms));
      }),
    );
  });

  test('makes a delay that a timer can keep of any number', () => {
    fc.assert(
      fc.property(fc.double(), (ms) => {
        const delay = clampDelay(ms);
        expect(Number.isInteger(delay)).toBe(true);
        expect(delay).toBeGreaterThanOrEqual(1);
        expect(delay).toBeLessThanOrEqual(LONGEST);
      }),
    );
  });

  test.each([
    [Number.NaN, LONGEST],
    [Number.POSITIVE_INFINITY, LONGEST],
    [LONGEST + 1, LONGEST],
    [Number.NEGATIVE_INFINITY, 1],
    [-5, 1],
    [0, 1],
    [0.4, 1],
  ])('%d becomes %d', (ms, delay) => {
    expect(clampDelay(ms)).toBe(delay);
  });
});

test('a run is stable from the very millisecond on', () => {
  expect(wasStable(DEFAULT_POLICY, 9_999)).toBe(false);
  expect(wasStable(DEFAULT_POLICY, 10_000)).toBe(true);
  expect(wasStable(DEFAULT_POLICY, Number.NaN)).toBe(false);
});

test('giving up: at the limit, and never without one', () => {
  expect(givesUp({ ...DEFAULT_POLICY, giveUpAfter: 3 }, 2)).toBe(false);
  expect(givesUp({ ...DEFAULT_POLICY, giveUpAfter: 3 }, 3)).toBe(true);
  expect(givesUp(DEFAULT_POLICY, Number.MAX_SAFE_INTEGER)).toBe(false);
});

test('within any budget: first the own stop, then SIGTERM, then SIGKILL, then the end', () => {
  fc.assert(
    fc.property(fc.integer({ min: 5, max: 10_000_000 }), (budget) => {
      const [ask, kill] = [askFor(budget), killAfter(budget)];
      expect(ask).toBeCloseTo((budget * 2) / 3);
      expect(kill).toBe(Math.max(budget * 0.8, budget - 500));
      expect(ask).toBeGreaterThan(0);
      expect(kill).toBeGreaterThan(ask);
      expect(budget).toBeGreaterThan(kill);
      const least = leastAfterKill(budget);
      expect(least).toBeGreaterThanOrEqual(199);
      // Where it was sent in time, nobody waits longer for it.
      expect(kill + least).toBeLessThan(giveUpStopAfter(budget));
    }),
  );
  expect(killAfter(0)).toBe(0);
  expect(killAfter(-1)).toBe(0);
});

describe('intensity', () => {
  const intensities: fc.Arbitrary<Intensity> = fc.record({
    restarts: fc.integer({ min: 0, max: 100 }),
    within: fc.integer({ min: 1, max: 86_400_000 }),
  });
  const gaps = fc.array(fc.integer({ min: 0, max: 10_000_000 }), { minLength: 1, maxLength: 300 });

  /** After how many deaths, that far from one another, it is too hot; null: never. */
  function caughtAfter(intensity: Intensity, apart: number): number | null {
    let heat = NO_HEAT;
    for (let deaths = 1; deaths <= 10 * (intensity.restarts + 10); deaths++) {
      heat = heated(intensity, heat, deaths * apart);
      if (isTooHot(intensity, heat)) return deaths;
    }
    return null;
  }

  test('each restart counts as one, and less than that later on', () => {
    fc.assert(
      fc.property(intensities, gaps, (intensity, waits) => {
        let heat = NO_HEAT;
        let at = 0;
        for (const [index, wait] of waits.entries()) {
          at += wait;
          const next = heated(intensity, heat, at);
          expect(next.restarts).toBeGreaterThanOrEqual(1);
          expect(next.restarts).toBeLessThanOrEqual(heat.restarts + 1);
          expect(next.restarts).toBeLessThanOrEqual(index + 1);
          expect(next.at).toBe(at);
          expect(heated(intensity, heat, at)).toEqual(next);
          heat = next;
        }
      }),
    );
  });

  test('half of it is gone after the window', () => {
    const intensity = { restarts: 5, within: 60_000 };
    expect(heated(intensity, { restarts: 4, at: 0 }, 60_000).restarts).toBeCloseTo(3);
    expect(heated(intensity, { restarts: 4, at: 0 }, 120_000).restarts).toBeCloseTo(2);
  });

  test('a clock that stands still, or a date from before, does no harm', () => {
    fc.assert(
      fc.property(
        intensities,
        fc.record({ restarts: fc.double({ min: 0, max: 200, noNaN: true }), at: fc.integer() }),
        fc.integer({ min: 0, max: 1_000 }),
        (intensity, heat: Heat, back) => {
          expect(heated(intensity, heat, heat.at - back).restarts).toBe(heat.restarts + 1);
        },
      ),
    );
    expect(heated({ restarts: 1, within: 0 }, { restarts: 1, at: 0 }, 1_000).restarts).toBe(1);
  });

  test('so many at once are borne, and not one more', () => {
    fc.assert(
      fc.property(intensities, (intensity) => {
        expect(caughtAfter(intensity, 0)).toBe(intensity.restarts + 1);
      }),
    );
  });

  test('a crasher a little slower than the window would see is caught; one three times as slow is not', () => {
    fc.assert(
      fc.property(
        fc.record({
          restarts: fc.integer({ min: 1, max: 100 }),
          within: fc.integer({ min: 1_000, max: 86_400_000 }),
        }),
        fc.double({ min: 0, max: 1.2, noNaN: true }),
        fc.double({ min: 3, max: 1_000, noNaN: true }),
        (intensity, quick, slow) => {
          const even = intensity.within / intensity.restarts;
          expect(caughtAfter(intensity, even * quick)).not.toBeNull();
          expect(caughtAfter(intensity, even * slow)).toBeNull();
        },
      ),
    );
  });

  test('an accident that is older than two windows is none, however few are borne', () => {
    const intensity = { restarts: 1, within: 60_000 };
    expect(caughtAfter(intensity, 120_000)).toBe(3);
    expect(caughtAfter(intensity, 150_000)).toBeNull();
    expect(caughtAfter(intensity, 600_000)).toBeNull();
    expect(isTooHot({ restarts: 0, within: 60_000 }, heated(intensity, NO_HEAT, 1e12))).toBe(true);
  });

  test('without one it is never too hot', () => {
    expect(isTooHot(null, { restarts: Number.MAX_SAFE_INTEGER, at: 0 })).toBe(false);
  });
});

describe('what the end of a run means', () => {
  const policy = (kind: CommandPolicy['kind'], restart: CommandPolicy['restart']): CommandPolicy => ({
    ...DEFAULT_POLICY,
    kind,
    restart,
  });
  test.each([
    ['service', 'always', 'again', 'again'],
    ['service', 'on-failure', 'done', 'again'],
    ['service', 'never', 'done', 'failed'],
    ['oneshot', 'on-failure', 'done', 'again'],
    ['oneshot', 'never', 'done', 'failed'],
    // Nobody can write it, but a run that is meant to end is not repeated for ever.
    ['oneshot', 'always', 'done', 'again'],
    ['cron', 'on-failure', 'done', 'again'],
    ['cron', 'never', 'done', 'failed'],
  ] as const)('%s, %s: after a success %s, after a failure %s', (kind, restart, success, failure) => {
    expect(endingOf(policy(kind, restart), true)).toBe(success);
    expect(endingOf(policy(kind, restart), false)).toBe(failure);
  });
});

describe('health', () => {
  const policies: fc.Arbitrary<HealthPolicy> = fc.record({
    every: fc.constant(1_000),
    timeout: fc.constant(1_000),
    failures: fc.integer({ min: 1, max: 5 }),
    successes: fc.integer({ min: 1, max: 5 }),
    grace: fc.integer({ min: 0, max: 100 }),
    onUnhealthy: fc.constant('ignore'),
  });

  test('it turns with as many answers in a row as the policy says, and never sooner', () => {
    fc.assert(
      fc.property(policies, fc.array(fc.boolean(), { maxLength: 60 }), (policy, answers) => {
        let book = HEALTHY;
        let inARow = 0;
        for (const [index, ok] of answers.entries()) {
          const before = book;
          book = afterProbe(policy, book, ok, index * 10);
          const counts = ok !== before.healthy && (ok || index * 10 >= policy.grace);
          const needed = before.healthy ? policy.failures : policy.successes;
          if (counts) inARow++;
          // What does not count within the grace does not end a row either: there is none yet.
          else if (ok === before.healthy) inARow = 0;
          expect(book.healthy).toBe(inARow >= needed ? !before.healthy : before.healthy);
          if (book.healthy !== before.healthy) inARow = 0;
          expect(book.inARow).toBe(inARow);
          expect(book.inARow).toBeLessThan(Math.max(policy.failures, policy.successes));
        }
      }),
    );
  });

  test('an answer that changes nothing makes no new book', () => {
    const policy = { failures: 2, successes: 2, grace: 50 } as HealthPolicy;
    expect(afterProbe(policy, HEALTHY, true, 1_000)).toBe(HEALTHY);
    expect(afterProbe(policy, HEALTHY, false, 49)).toBe(HEALTHY);
    expect(afterProbe(policy, HEALTHY, false, 50)).toEqual({ healthy: true, inARow: 1 });
  });
});

test('a stop takes as long as its order says, and no longer than the policy bears', () => {
  expect(stopBudget(DEFAULT_POLICY, 9_000)).toBe(9_000);
  expect(stopBudget({ ...DEFAULT_POLICY, stopTimeout: 3_000 }, 9_000)).toBe(3_000);
  expect(stopBudget({ ...DEFAULT_POLICY, stopTimeout: 30_000 }, 9_000)).toBe(9_000);
  expect(giveUpStopAfter(10)).toBe(1_000);
  expect(giveUpStopAfter(9_000)).toBe(9_000);
});
