import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { createSignaller } from '../../src/process/signal.ts';
import type { ProcessRow } from '../../src/process/table.ts';

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function sleeper(startTicks: number, ppid = 1): { row: ProcessRow; ended: Promise<unknown[]> } {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  children.push(child);
  const row = {
    pid: child.pid!,
    ppid,
    startTicks,
    state: 'S',
    session: 1,
    comm: 'sleep',
    argv: [],
    locks: null,
  };
  return { row, ended: once(child, 'exit') };
}

/** A tick is a millisecond here, and it is now 1,000. */
function signallerOf(rows: ProcessRow[]) {
  const refused: number[] = [];
  const lineage = { targets: () => rows, count: () => {}, changes: () => rows.length };
  const signaller = createSignaller(
    lineage,
    () => 1_000,
    (ticks) => ticks,
    (_, pid) => refused.push(pid),
  );
  return { signaller, refused };
}

test('what was there unseen gets the SIGTERM as well, and what an unseen one forks; what one forks to clean up does not', async () => {
  const [seen, unseen, orphan] = [sleeper(900), sleeper(1_020), sleeper(1_500)];
  const cleaner = sleeper(1_021, seen.row.pid);
  const rows = [seen.row];
  const { signaller } = signallerOf(rows);
  signaller.send('web', 'tagged', 'SIGTERM');
  rows.push(cleaner.row, unseen.row, orphan.row);
  signaller.pursue();
  for (const { ended } of [seen, unseen, orphan]) expect((await ended)[1]).toBe('SIGTERM');
  signaller.send('web', 'tagged', 'SIGKILL');
  expect((await cleaner.ended)[1]).toBe('SIGKILL');
});

test('SIGKILL goes on to whatever is forked behind its back', async () => {
  const rows = [sleeper(900).row];
  const { signaller } = signallerOf(rows);
  signaller.send('web', 'tagged', 'SIGKILL');
  const later = sleeper(2_000);
  rows.push(later.row);
  signaller.pursue();
  expect((await later.ended)[1]).toBe('SIGKILL');
});

test('a process that is gone is no complaint', () => {
  const gone = { ...sleeper(900).row, pid: 2 ** 22 + 1 };
  const { signaller, refused } = signallerOf([gone]);
  signaller.send('web', 'tagged', 'SIGTERM');
  expect(refused).toEqual([]);
});
