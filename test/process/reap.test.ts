import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Exit } from '../../machines/events.ts';
import { loadNative, type Native } from '../../src/process/native.ts';
import { chooseReaping, createReaper, type Reaper, signalName } from '../../src/process/reap.ts';

const loaded = loadNative(process.env);
const native = loaded as Native;
const noNative = 'missing' in loaded ? `without koffi: ${loaded.missing}` : '';

describe.skipIf(noNative)(`reaping orphans ${noNative}`, { timeout: 300_000 }, () => {
  let reaper: Reaper;
  const ends = new Map<number, Exit>();
  const peaks = new Map<number, number>();
  const fromNode: number[] = [];
  const stops: string[] = [];

  const open = (): void => {
    ends.clear();
    peaks.clear();
    fromNode.length = 0;
    stops.length = 0;
    expect(native.becomeSubreaper()).toBe(true);
    reaper = createReaper(
      native,
      // Its last moment: /proc still knows it.
      (pid) => expect(existsSync(`/proc/${pid}/stat`)).toBe(true),
      (pid, exit, peak, taken) => {
        ends.set(pid, exit);
        if (taken) fromNode.push(pid);
        peaks.set(pid, peak);
      },
      (pid, stopped) => stops.push(`${pid} ${stopped}`),
    );
  };
  afterEach(() => reaper.close());

  /** Leaves orphans that run these scripts. @returns their pids */
  async function orphans(...scripts: string[]): Promise<number[]> {
    // None before its parent is gone: that one would have reaped it.
    const orphaned = 'while [ -d /proc/$PARENT ]; do sleep 0.01; done';
    const each = scripts.map((script) => `sh -c '${orphaned}; ${script}' & echo $!;`);
    const text = `export PARENT=$$; ${each.join(' ')}`;
    const child = spawn('sh', ['-c', text], { stdio: ['ignore', 'pipe', 'ignore'] });
    let said = '';
    child.stdout.on('data', (chunk) => {
      said += chunk;
    });
    await once(child, 'exit');
    await vi.waitFor(() => expect(said.trim().split('\n')).toHaveLength(scripts.length), 120_000);
    return said.trim().split('\n').map(Number);
  }

  const swept = (check: () => void): Promise<void> =>
    vi.waitFor(
      () => {
        reaper.sweep();
        check();
      },
      { timeout: 120_000 },
    );

  test('tells how each ended, and none stays a zombie', async () => {
    open();
    const pids = await orphans('exit 7', 'kill -TERM $$', 'exit 0');
    await swept(() => expect(pids.every((pid) => ends.has(pid))).toBe(true));
    expect(pids.map((pid) => ends.get(pid))).toMatchObject([
      { known: true, code: 7, signal: null },
      { known: true, code: null, signal: 'SIGTERM' },
      { known: true, code: 0, signal: null },
    ]);
    for (const pid of pids) expect(() => readFileSync(`/proc/${pid}/stat`)).toThrow();
  });

  test('leaves to Node what Node spawned, also when it is in the way', async () => {
    open();
    const pids = await orphans('exec sleep 1000', 'exec sleep 1000');
    const own = spawn('sh', ['-c', 'exit 5'], { stdio: 'ignore' });
    const ended = once(own, 'exit');
    // All dead before Node has had a turn to see it.
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    for (const pid of [own.pid!, ...pids]) {
      while (!/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))) {}
    }
    reaper.sweep();
    expect(ends.has(own.pid!)).toBe(false);
    expect(await ended).toEqual([5, null]);
    // It looks again by itself.
    await vi.waitFor(() => expect(pids.every((pid) => ends.has(pid))).toBe(true), { timeout: 120_000 });
    expect(ends.has(own.pid!)).toBe(false);
  });

  test('tells how much memory each has taken, to the kernel’s knowledge', async () => {
    open();
    // Not as a constant: perl would have it twice.
    const eat = 'exec perl -e "\\$x = q(x) x shift; exit 3" ';
    const [big, small] = await orphans(`${eat} 104857600`, `${eat} 1`);
    await swept(() => expect([ends.get(big!), ends.get(small!)]).toMatchObject([{ code: 3 }, { code: 3 }]));
    const more = peaks.get(big!)! - peaks.get(small!)!;
    expect(more).toBeGreaterThan(95 * 2 ** 20);
    expect(more).toBeLessThan(110 * 2 ** 20);
  });

  test('takes a child from Node, which then tells nothing of it, and tells of it itself', async () => {
    open();
    const heard: unknown[] = [];
    const [taken, dead, left] = ['kill -TERM $$', 'exit 4', 'exit 5'].map((script) => {
      const child = spawn('sh', ['-c', `sleep 0.1; ${script}`], { stdio: 'ignore' });
      child.on('exit', (...how) => heard.push(how));
      return child;
    });
    expect(reaper.take(taken!)).toBe(true);
    while (!/\) Z /.test(readFileSync(`/proc/${dead!.pid}/stat`, 'latin1'))) {}
    expect(reaper.take(dead!)).toBe(true);
    await swept(() =>
      expect([ends.has(taken!.pid!), ends.has(dead!.pid!), heard.length]).toEqual([true, true, 1]),
    );
    expect([ends.get(taken!.pid!), ends.get(dead!.pid!)]).toMatchObject([{ signal: 'SIGTERM' }, { code: 4 }]);
    expect(heard).toEqual([[5, null]]);
    expect(ends.has(left!.pid!)).toBe(false);
    const [orphan] = await orphans('exit 0');
    await swept(() => expect(ends.has(orphan!)).toBe(true));
    expect(new Set(fromNode)).toEqual(new Set([taken!.pid!, dead!.pid!]));
  });

  test('takes nobody whom Node does not let go of, or whom it does not know', async () => {
    open();
    const child = spawn('sh', ['-c', 'exit 6'], { stdio: 'ignore' });
    const handle = (child as unknown as { _handle: unknown })._handle;
    for (const other of [
      { pid: child.pid! },
      { pid: child.pid!, _handle: null },
      { pid: child.pid!, _handle: handle },
    ])
      expect(reaper.take(other)).toBe(false);
    expect(await once(child, 'exit')).toEqual([6, null]);
    expect(reaper.take(child)).toBe(false);
  });

  test('reaps many at once, and lets others have their turn meanwhile', async () => {
    open();
    const child = spawn('sh', ['-c', 'i=0; while [ $i -lt 1200 ]; do ( : & ); i=$((i+1)); done'], {
      stdio: 'ignore',
    });
    await once(child, 'exit');
    let turns = 0;
    const turn = setInterval(() => turns++, 0);
    const before = ends.size;
    reaper.sweep();
    expect(ends.size - before).toBeLessThanOrEqual(500);
    await swept(() => expect(native.peekZombie()).toBe(0));
    expect(ends.size).toBeGreaterThan(500);
    clearInterval(turn);
    expect(turns).toBeGreaterThan(0);
  });

  test('hears that a child was stopped, and goes on', async () => {
    open();
    const [pid] = await orphans('while :; do sleep 0.1; done');
    process.kill(pid!, 'SIGSTOP');
    await swept(() => expect(stops).toContain(`${pid} true`));
    process.kill(pid!, 'SIGCONT');
    await swept(() => expect(stops).toContain(`${pid} false`));
    process.kill(pid!, 'SIGKILL');
    await swept(() => expect(ends.get(pid!)).toMatchObject({ signal: 'SIGKILL' }));
  });

  test('is exact as a subreaper', () => {
    open();
    expect(chooseReaping(native)).toEqual({ exact: true, how: 'subreaper' });
  });
});

test('without the calls it says so', () => {
  const { exact, how } = chooseReaping({ missing: 'not on this machine' });
  expect(exact).toBe(false);
  expect(how).toContain('not on this machine');
});

test('signals have their names, and real-time ones a number', () => {
  expect([9, 15, 6].map(signalName)).toEqual(['SIGKILL', 'SIGTERM', 'SIGABRT']);
  expect(signalName(40)).toBe('SIG40');
});
