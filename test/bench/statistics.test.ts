import { describe, expect, test } from 'vitest';
import { median, percentile, readable, shuffled } from '../../bench/statistics.ts';

describe('median', () => {
  test('is the middle one of an odd number, whatever their order', () => expect(median([9, 1, 5])).toBe(5));
  test('is the mean of the two in the middle of an even number', () => expect(median([4, 1, 10, 2])).toBe(3));
  test('sorts numbers, not texts', () => expect(median([10, 9, 100])).toBe(10));
  test('of none is no number', () => expect(median([])).toBeNaN());
});

describe('percentile', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  test.each([
    [0, 1],
    [0.5, 50],
    [0.99, 99],
    [1, 100],
  ])('%d of 1 to 100 is %d', (p, expected) => expect(percentile(hundred, p)).toBe(expected));
  test('of few is the greatest', () => expect(percentile([3, 7], 0.99)).toBe(7));
  test('of none is no number', () => expect(percentile([], 0.5)).toBeNaN());
});

test.each([
  [31_000.4, '31,000'],
  [1004, '1,004'],
  [99.96, '100'],
  [12.34, '12.3'],
  [2.345, '2.35'],
  [0.0534, '0.053'],
  [0, '0'],
  [-3.21, '-3.21'],
  [Number.NaN, '–'],
])('%d reads %s', (value, expected) => expect(readable(value)).toBe(expected));

test('shuffled holds the same in another order, as the generator says', () => {
  const items = [1, 2, 3, 4];
  expect(shuffled(items, () => 0)).toEqual([1, 2, 3, 4]);
  expect(shuffled(items, () => 0.999)).toEqual([4, 3, 2, 1]);
  expect(items).toEqual([1, 2, 3, 4]);
});
