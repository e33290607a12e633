import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { isDead, type ProcessRow, type ProcessTable } from '../../src/process/table.ts';
import { procfsTable } from '../../src/process/table-procfs.ts';
import { psListTable } from '../../src/process/table-ps-list.ts';

const hasProcfs = existsSync('/proc/self/stat');
// What slim images and busybox lack.
const hasPs = spawnSync('ps', ['awwxo', 'pid=,lstart=,args=']).status === 0;

const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

function start(file: string, ...args: string[]): ChildProcess & { pid: number } {
  const child = spawn(file, args, { stdio: ['pipe', 'ignore', 'inherit'] });
  started.push(child);
  return child as ChildProcess & { pid: number };
}

/** Scans until something holds. The test's own time limit ends it. */
async function until<T>(table: ProcessTable, look: () => T | null | undefined | false): Promise<T> {
  for (;;) {
    await table.scan();
    const seen = look();
    if (seen) return seen;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Everything that a row may be called by. */
const names = (row: ProcessRow) => [row.comm, ...row.argv.slice(0, 2).map((word) => basename(word))];

describe.each([
  { kind: 'procfs', make: procfsTable, able: hasProcfs, needs: '/proc' },
  { kind: 'ps-list', make: psListTable, able: hasPs, needs: 'a ps like that of procps or BSD' },
])('the process table by $kind (needs $needs)', ({ kind, make, able }) => {
  describe.skipIf(!able)('contract', { timeout: 300_000 }, () => {
    it('says what it is, and is empty before the first scan', () => {
      const table = make();
      expect(table.kind).toBe(kind);
      expect(table.rows.size).toBe(0);
    });

    it('sees this process and its child', async () => {
      const child = start('sleep', '1000');
      const table = make();
      const before = performance.now();
      const { at, appeared, vanished } = await table.scan();
      expect(at).toBeGreaterThanOrEqual(before);
      expect(at).toBeLessThanOrEqual(performance.now());
      expect(vanished).toEqual([]);
      expect(new Map(appeared.map((row) => [row.pid, row]))).toEqual(table.rows);
      expect(table.rows.get(process.pid)?.ppid).toBe(process.ppid);
      const row = table.rows.get(child.pid)!;
      expect(row.ppid).toBe(process.pid);
      expect(names(row)).toContain('sleep');
      expect(row.argv).toEqual(['sleep', '1000']);
      expect(isDead(row)).toBe(false);
    });

    it('sees a process appear and vanish, once each', async () => {
      const table = make();
      await table.scan();
      const child = start('sleep', '1000');
      const first = await table.scan();
      expect(first.appeared.filter((row) => row.pid === child.pid)).toHaveLength(1);
      const id = table.rows.get(child.pid)!;
      const second = await table.scan();
      expect([...second.appeared, ...second.vanished].filter((row) => row.pid === child.pid)).toEqual([]);
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await exited;
      const third = await table.scan();
      expect(third.vanished.filter((row) => row.pid === child.pid)).toEqual([
        expect.objectContaining({ pid: child.pid, startTicks: id.startTicks }),
      ]);
      expect(table.rows.has(child.pid)).toBe(false);
      expect(table.refresh(child.pid)).toBeNull();
    });

    it('tells by refresh that a process is gone, and by the next scan that it has vanished', async () => {
      const child = start('sleep', '1000');
      const table = make();
      await table.scan();
      expect(table.refresh(child.pid)).toMatchObject({ pid: child.pid });
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await exited;
      expect(table.refresh(child.pid)).toBeNull();
      expect(table.rows.has(child.pid)).toBe(false);
      const { vanished } = await table.scan();
      expect(vanished.map((row) => row.pid)).toContain(child.pid);
    });

    it('sees the new name after an exec, of the same process', async () => {
      const child = start('sh', '-c', 'read go; exec sleep 1000');
      const table = make();
      await table.scan();
      const before = table.rows.get(child.pid)!;
      expect(names(before)).toContain('sh');
      child.stdin!.write('go\n');
      const after = await until(table, () => {
        const row = table.refresh(child.pid);
        // In the middle of an exec the name is new already, and the command line not yet.
        return row && row !== 'unknown' && row.argv[0] === 'sleep' && row;
      });
      expect(after.startTicks).toBe(before.startTicks);
      expect(names(after)).toContain('sleep');
      expect(after.argv).toEqual(['sleep', '1000']);
    });

    it('takes a zombie for dead', async () => {
      // sleep does not reap the child that the shell has left it.
      const child = start('sh', '-c', 'sleep 0.01 & exec sleep 1000');
      const table = make();
      const zombie = await until(table, () => {
        for (const { pid, ppid } of table.rows.values()) {
          const row = ppid === child.pid ? table.refresh(pid) : null;
          if (row && row !== 'unknown' && isDead(row)) return row;
        }
        return null;
      });
      expect(zombie.argv).toEqual([]);
      expect(isDead(table.rows.get(child.pid)!)).toBe(false);
    });

    it('gives a process one identity for as long as it lives', async () => {
      const child = start('sleep', '1000');
      const table = make();
      await table.scan();
      const { startTicks } = table.rows.get(child.pid)!;
      expect(startTicks).toBeGreaterThan(0);
      for (let i = 0; i < 3; i++) {
        await table.scan();
        expect(table.rows.get(child.pid)?.startTicks).toBe(startTicks);
        expect(table.refresh(child.pid)).toMatchObject({ startTicks });
      }
    });

    it('joins a scan that is under way', async () => {
      const table = make();
      const [one, two] = await Promise.all([table.scan(), table.scan()]);
      // Or the first was over already: then the second has found nothing that had been there before.
      if (one !== two) expect(two.appeared.length).toBeLessThan(one.appeared.length);
      else expect(two.appeared.length).toBeGreaterThan(0);
    });
  });
});

describe.skipIf(!hasProcfs || !hasPs)('both tables (needs /proc and ps)', { timeout: 300_000 }, () => {
  it('agree on everything that stays as it is', async () => {
    start('sleep', '1000');
    start('sh', '-c', 'read go');
    const proc1 = procfsTable();
    await proc1.scan();
    const ps1 = psListTable();
    await ps1.scan();
    const proc2 = procfsTable();
    await proc2.scan();
    const ps2 = psListTable();
    await ps2.scan();

    const same = (one: ProcessRow, other: ProcessRow | undefined): one is ProcessRow =>
      other !== undefined && other.startTicks === one.startTicks && other.ppid === one.ppid;
    // `ps` shows a question mark for what it can't print, and cuts nothing.
    const printed = (text: string) =>
      text
        .replace(/[^\x20-\x7e]+/g, '?')
        .replace(/[ ?]+/g, ' ')
        .trim();
    let compared = 0;
    for (const [pid, row] of proc1.rows) {
      const later = proc2.rows.get(pid);
      if (!same(row, later)) continue;
      const told = ps1.rows.get(pid);
      expect(told, `${pid} ${row.comm} is missing in ps-list`).toBeDefined();
      expect(told!.ppid, `the parent of ${pid} ${row.comm}`).toBe(row.ppid);
      compared++;
      // A kernel worker is called by what it works on; a program may have exec'd or be dead by now.
      if (row.comm.startsWith('kworker') || row.comm !== later!.comm || isDead(later!)) continue;
      if (row.argv.join('\0') !== later!.argv.join('\0')) continue;
      const words = printed(row.argv.join(' '));
      if (words === '') expect(told!.comm).toBe(row.comm);
      else expect(printed(told!.argv.join(' ')).slice(0, words.length)).toBe(words);
    }
    expect(compared).toBeGreaterThanOrEqual(3);
    for (const [pid, row] of ps1.rows) {
      const later = ps2.rows.get(pid);
      if (later && later.ppid === row.ppid && later.comm === row.comm) {
        expect(proc2.rows.has(pid), `${pid} ${row.comm} is missing in procfs`).toBe(true);
      }
    }
  });
});
