import { expect, test } from 'vitest';
import type { ProcessRow, TableChange } from '../../src/process/table.ts';
import { TableBook } from '../../src/process/table-book.ts';

const row = (pid: number, startTicks: number): ProcessRow => ({
  pid,
  ppid: 1,
  startTicks,
  state: 'S',
  session: pid,
  comm: 'x',
  argv: ['x'],
  locks: null,
});

test('whoever is read at once under a number that was given back since the last list has come', () => {
  const book = new TableBook();
  book.commit(1, new Map([[5, row(5, 10)]]));
  book.refreshed(5, null);
  expect(book.commit(2, new Map([[5, row(5, 20)]]))).toEqual({
    at: 2,
    appeared: [row(5, 20)],
    vanished: [row(5, 10)],
  });
  expect(book.rows.get(5)).toEqual(row(5, 20));
});

test('what was refreshed while a list was read is newer than that', async () => {
  const book = new TableBook();
  book.commit(1, new Map([[5, row(5, 10)]]));
  let conclude = (_: TableChange): void => {};
  const scan = book.scan(
    () =>
      new Promise((resolve) => {
        conclude = resolve;
      }),
  );
  book.refreshed(5, null);
  conclude(book.commit(2, new Map([[5, row(5, 10)]])));
  expect(await scan).toEqual({ at: 2, appeared: [], vanished: [row(5, 10)] });
  expect(book.rows.size).toBe(0);
});
