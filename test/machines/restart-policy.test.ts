import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  askFor,
  type Backoff,
  backoffDelay,
  clampDelay,
  DEFAULT_POLICY,
  givesUp,
  killAfter,
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
    }),
  );
  expect(killAfter(0)).toBe(0);
  expect(killAfter(-1)).toBe(0);
});
