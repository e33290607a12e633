import { spawn } from 'node:child_process';
import { expect, it } from 'vitest';
import { isDead } from '../../src/process/table.ts';
import { type PsListEntry, psListTable } from '../../src/process/table-ps-list.ts';

const second = 1000;
const noon = Date.parse('2026-01-01T12:00:00Z');
const own = (shift = 0): PsListEntry => ({
  pid: process.pid,
  ppid: 1,
  name: 'node',
  cmd: 'node upkeep run',
  startTime: new Date(noon + shift),
});
const service = (startsAt: number, more: Partial<PsListEntry> = {}): PsListEntry => ({
  pid: 999_999_999,
  ppid: 1,
  name: 'service',
  cmd: 'service  --word',
  startTime: new Date(startsAt),
  ...more,
});

/** A table that is told one list after the other. */
function told(...lists: PsListEntry[][]) {
  return psListTable({ now: () => 5, list: async () => lists.shift() ?? [] });
}

it('turns what ps-list tells into rows', async () => {
  const table = told([
    own(),
    service(noon + 3 * second),
    service(noon, { pid: 40, name: 'a-rather-long-name', cmd: '[a-rather-long-name]' }),
    service(noon, { pid: 41, name: 'gone', cmd: '[gone] <defunct>' }),
  ]);
  const { at, appeared } = await table.scan();
  expect(at).toBe(5);
  expect(appeared).toHaveLength(4);
  const row = table.rows.get(999_999_999)!;
  expect(row).toMatchObject({
    ppid: 1,
    comm: 'service',
    argv: ['service', '--word'],
    state: '?',
    session: 0,
    locks: null,
  });
  expect(row.startTicks - table.rows.get(process.pid)!.startTicks).toBe(300);
  expect(table.rows.get(40)).toMatchObject({ comm: 'a-rather-long-n', argv: [] });
  expect(table.rows.get(41)).toMatchObject({ state: 'Z', argv: [] });
  expect(isDead(table.rows.get(41)!)).toBe(true);
});

it('knows a process again when ps is off by a second, when the clock is set, and when the start is not told', async () => {
  const hour = 3600 * second;
  const table = told(
    [own(), service(noon + 10 * second)],
    [own(), service(noon + 11 * second)],
    [own(hour), service(noon + hour + 10 * second)],
    [own(), service(noon, { startTime: undefined as never })],
  );
  await table.scan();
  for (let i = 0; i < 3; i++) expect(await table.scan()).toMatchObject({ appeared: [], vanished: [] });
});

it('sees a pid that is used again', async () => {
  const table = told([own(), service(noon)], [own(), service(noon + 60 * second)]);
  await table.scan();
  const { appeared, vanished } = await table.scan();
  expect(appeared).toHaveLength(1);
  expect(vanished).toHaveLength(1);
  expect(appeared[0]!.startTicks - vanished[0]!.startTicks).toBe(6000);
});

it('leaves out the ps that it has started itself, and no other', async () => {
  const ours = { ppid: process.pid, startTime: new Date(noon) };
  const ps = 'ps awwxo pid=,args=';
  const table = told([
    own(),
    { pid: 50, ...ours, name: 'ps', cmd: ps },
    { pid: 51, ...ours, name: 'busybox', cmd: ps },
    { pid: 52, ...ours, name: 'ps', cmd: '[ps] <defunct>' },
    { pid: 53, ...ours, name: 'node', cmd: 'node upkeep run' },
    { pid: 54, ...ours, ppid: 1, name: 'ps', cmd: ps },
    { pid: 55, ...ours, name: 'psql', cmd: 'psql -l' },
  ]);
  await table.scan();
  expect([...table.rows.keys()].sort()).toEqual([54, 55, process.pid].sort());
});

it('rejects when there is no list, and keeps its rows', async () => {
  const table = told([own()], []);
  await table.scan();
  await expect(table.scan()).rejects.toThrow(/^cannot read the process table: ps does not list this process/);
  expect(table.rows.size).toBe(1);
  const broken = psListTable({ list: () => Promise.reject(new Error('spawn ps ENOENT')) });
  await expect(broken.scan()).rejects.toThrow(/^cannot read the process table: spawn ps ENOENT; /);
});

it('refreshes from the last list', async () => {
  const table = told([own(), service(noon)]);
  await table.scan();
  expect(table.refresh(process.pid)).toBe(table.rows.get(process.pid));
  // No such process: no kernel has so high a pid.
  expect(table.refresh(999_999_999)).toBeNull();
  expect(table.rows.has(999_999_999)).toBe(false);
  const child = spawn('sleep', ['1000']);
  expect(table.refresh(child.pid!)).toBe('unknown');
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exited;
  expect(table.refresh(child.pid!)).toBeNull();
});
