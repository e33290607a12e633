import { expect, test } from 'vitest';
import { createProbeBook } from '../../src/output/probed.ts';

test('the last result of each probe is kept, and how many have failed in a row', () => {
  let time = 0;
  const book = createProbeBook({ wallClock: () => ++time });
  expect(book.of('web')).toEqual({ ready: null, health: null });
  book.note('web', 'ready', 'no');
  book.note('web', 'health', 'bad');
  book.note('web', 'ready', 'still no');
  book.note('db', 'ready', null);
  expect(book.of('web')).toEqual({
    ready: { time: 3, reason: 'still no', failures: 2 },
    health: { time: 2, reason: 'bad', failures: 1 },
  });
  book.note('web', 'health', null);
  expect(book.of('web').health).toEqual({ time: 5, reason: null, failures: 0 });
  book.forget('web');
  expect(book.of('web')).toEqual({ ready: null, health: null });
  expect(book.of('db').ready).toEqual({ time: 4, reason: null, failures: 0 });
});
