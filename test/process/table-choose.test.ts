import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { chooseTable } from '../../src/process/table-choose.ts';
import { fakeProc } from './fake-proc.ts';

let proc: ReturnType<typeof fakeProc>;
beforeEach(() => {
  proc = fakeProc();
});
afterEach(() => proc.remove());

/** A /proc in which this process has the given numbers, from the outermost namespace to its own. */
function self(...numbers: number[]) {
  mkdirSync(join(proc.root, `${numbers[0]}`), { recursive: true });
  proc.put(numbers[0]!);
  proc.write(`${numbers[0]}/status`, `Name:\tnode\nPid:\t${numbers[0]}\nNSpid:\t${numbers.join('\t')}\n`);
  symlinkSync(`${numbers[0]}`, join(proc.root, 'self'));
}

it('takes /proc where it is ours', () => {
  proc.put(1);
  self(process.pid);
  for (const wanted of [null, 'procfs'] as const) {
    const { table, notices } = chooseTable(wanted, proc.root);
    expect(table.kind).toBe('procfs');
    expect(notices).toEqual([]);
  }
});

it('says so where other processes are hidden', () => {
  self(process.pid);
  const { table, notices } = chooseTable(null, proc.root);
  expect(table.kind).toBe('procfs');
  expect(notices).toEqual([expect.stringContaining('process 1 is not visible')]);
});

it('takes ps-list where there is no /proc, and says why', () => {
  const { table, notices } = chooseTable(null, join(proc.root, 'none'));
  expect(table.kind).toBe('ps-list');
  expect(notices).toEqual([expect.stringMatching(/cannot be read .*ENOENT/)]);
  expect(() => chooseTable('procfs', join(proc.root, 'none'))).toThrow(
    /^cannot use --process-table procfs: .*ENOENT.*; /,
  );
});

it.each([
  ['has another number there', () => self(process.pid + 1)],
  ['has the same number there by chance', () => self(process.pid, process.pid)],
])('does not take the /proc of another namespace: this process %s', (_, make) => {
  proc.put(1);
  make();
  const { table, notices } = chooseTable(null, proc.root);
  expect(table.kind).toBe('ps-list');
  expect(notices).toEqual([expect.stringContaining('another pid namespace')]);
  expect(() => chooseTable('procfs', proc.root)).toThrow(/^cannot use --process-table procfs: .*namespace/);
});

it('takes ps-list where it is wanted, without a word', () => {
  const { table, notices } = chooseTable('ps-list');
  expect(table.kind).toBe('ps-list');
  expect(notices).toEqual([]);
});
