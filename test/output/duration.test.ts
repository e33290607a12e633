import { expect, test } from 'vitest';
import { formatDuration } from '../../src/output/duration.ts';

test.each<[number, string]>([
  [-5, '0 ms'],
  [0, '0 ms'],
  [0.4, '0 ms'],
  [250, '250 ms'],
  [999.4, '999 ms'],
  [999.6, '1 s'],
  [7_249, '7.2 s'],
  [5_000, '5 s'],
  [59_949, '59.9 s'],
  [59_950, '1 m'],
  [182_000, '3 m 2 s'],
  [180_000, '3 m'],
  [3_599_499, '59 m 59 s'],
  [3_599_500, '1 h'],
  [14_700_000, '4 h 5 m'],
  [86_399_999, '1 d'],
  [183_600_000, '2 d 3 h'],
  [8_640_000_000, '100 d'],
])('%d ms is %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});
