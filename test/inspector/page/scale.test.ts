import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  fitted,
  following,
  inside,
  moved,
  NARROWEST,
  ticks,
  WIDEST,
  zoomed,
} from '../../../src/inspector/page/scale.ts';

const NOW = 1_795_000_000_000;
const views = fc
  .record({
    from: fc.integer({ min: NOW - 1e9, max: NOW }),
    width: fc.integer({ min: NARROWEST, max: WIDEST }),
  })
  .map(({ from, width }) => ({ from, to: from + width }));

describe('the scale', () => {
  test('zooms around the time under the pointer, between its limits', () => {
    fc.assert(
      fc.property(
        views,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0.01, max: 100, noNaN: true }),
        (view, share, factor) => {
          const around = view.from + share * (view.to - view.from);
          const next = zoomed(view, around, factor);
          const width = next.to - next.from;
          expect(width).toBeGreaterThan(NARROWEST * 0.999);
          expect(width).toBeLessThan(WIDEST * 1.001);
          // To a thousandth of what is in sight.
          expect(Math.abs((around - next.from) / width - share)).toBeLessThan(0.001 + 1 / width);
        },
      ),
    );
  });

  test('ticks are even, in sight, and not nearer than asked', () => {
    fc.assert(
      fc.property(views, fc.integer({ min: 200, max: 3_000 }), (view, width) => {
        const { step, at } = ticks(view, width, 84);
        expect((step / (view.to - view.from)) * width).toBeGreaterThanOrEqual(83.9);
        for (const tick of at) {
          expect(tick).toBeGreaterThanOrEqual(view.from);
          expect(tick).toBeLessThanOrEqual(view.to);
          expect(tick % step).toBe(0);
        }
      }),
    );
  });

  test('long steps begin at local midnight', () => {
    const { at } = ticks({ from: Date.UTC(2026, 0, 1), to: Date.UTC(2026, 0, 8) }, 1_000, 100, -60);
    expect(at[0]).toBe(Date.UTC(2026, 0, 1, 23));
  });

  test('of a recording stays inside of it, as wide as it was', () => {
    const all = { from: 0, to: 1_000 };
    expect(inside({ from: -600, to: 100 }, all)).toEqual({ from: 0, to: 700 });
    expect(inside({ from: 900, to: 1_100 }, all)).toEqual({ from: 800, to: 1_000 });
    expect(inside({ from: 200, to: 300 }, all)).toEqual({ from: 200, to: 300 });
    expect(inside({ from: -5_000, to: 5_000 }, all)).toEqual(all);
  });

  test('moves, follows the present, and shows all', () => {
    expect(moved({ from: 0, to: 100 }, 0.5)).toEqual({ from: 50, to: 150 });
    expect(following({ from: 0, to: 100 }, 1_000)).toEqual({ from: 903, to: 1_003 });
    const all = fitted(0, 100_000);
    expect(all.from).toBeLessThan(0);
    expect(all.to).toBeGreaterThan(100_000);
  });
});
