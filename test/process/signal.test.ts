import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { createSignaller } from '../../src/process/signal.ts';
import type { ProcessRow } from '../../src/process/table.ts';

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

interface Sleeper {
  readonly row: ProcessRow;
  readonly ended: Promise<unknown[]>;
}

function sleeper(startTicks: number, ppid = 1): Sleeper {
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
function signallerOf(rows: ProcessRow[], lastPid = () => 0) {
  const refused: number[] = [];
  const lineage = { targets: () => rows, count: () => {}, changes: () => rows.length };
  const signaller = createSignaller(
    lineage,
    () => 1_000,
    (ticks) => ticks,
    lastPid,
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

test('within the tick of the SIGTERM the pids tell what is forked since, and what that one forks; but not in another tick', async () => {
  const byPid = Array.from({ length: 6 }, () => sleeper(0)).sort((a, b) => a.row.pid - b.row.pid);
  const born = (startTicks: number, parent?: Sleeper): Sleeper => {
    const next = byPid.shift()!;
    Object.assign(next.row, { startTicks, ppid: parent?.row.pid ?? 1 });
    return next;
  };
  const seen = born(900);
  const later = born(1_021, seen);
  const earlier = born(1_020, seen);
  const cleaner = born(1_000, seen);
  const below = born(1_020, cleaner);
  // Its pid is of the round before, as the one of `later` is of the next.
  const old = born(979, seen);
  const rows = [seen.row];
  let lastPid = earlier.row.pid;
  const { signaller } = signallerOf(rows, () => lastPid);
  signaller.send('web', 'tagged', 'SIGTERM');
  lastPid = old.row.pid;
  rows.push(earlier.row, cleaner.row, below.row, old.row, later.row);
  signaller.pursue();
  for (const { ended } of [seen, earlier, old]) expect((await ended)[1]).toBe('SIGTERM');
  signaller.send('web', 'tagged', 'SIGKILL');
  for (const { ended } of [cleaner, below, later]) expect((await ended)[1]).toBe('SIGKILL');
});

test('where the kernel does not tell the last pid, what may have been there is told', async () => {
  const seen = sleeper(900);
  const unsure = sleeper(1_020, seen.row.pid);
  const rows = [seen.row];
  const { signaller } = signallerOf(rows);
  signaller.send('web', 'tagged', 'SIGTERM');
  rows.push(unsure.row);
  signaller.pursue();
  expect((await unsure.ended)[1]).toBe('SIGTERM');
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
