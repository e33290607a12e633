import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createResident } from '../../src/process/resident.ts';
import { fakeProc } from './fake-proc.ts';

test('pages times their size, of that very process', (context) => {
  const proc = fakeProc();
  context.onTestFinished(() => proc.remove());
  proc.put(7, { ticks: 50, comm: 'a) S 1' });
  proc.put(8, { ticks: 50, state: 'Z' });
  const resident = createResident({ root: proc.root, pageSize: 4096 });
  expect(resident({ pid: 7, startTicks: 50 })).toBe(200 * 4096);
  expect(resident({ pid: 7, startTicks: 0 })).toBe(200 * 4096);
  expect(resident({ pid: 7, startTicks: 51 })).toBe('gone');
  expect(resident({ pid: 8, startTicks: 50 })).toBe('gone');
  expect(resident({ pid: 9, startTicks: 50 })).toBe('gone');
});

test('one that cannot be read is not taken for gone', (context) => {
  const proc = fakeProc();
  context.onTestFinished(() => proc.remove());
  mkdirSync(join(proc.root, '7', 'stat'), { recursive: true });
  expect(createResident({ root: proc.root })({ pid: 7, startTicks: 50 })).toBeNull();
});

describe.skipIf(!existsSync('/proc/self/auxv'))('here, which needs /proc', () => {
  test('it is what the kernel says', async (context) => {
    const child = spawn('sleep', ['1000']);
    context.onTestFinished(() => void child.kill());
    const resident = createResident();
    await expect
      .poll(() => readFileSync(`/proc/${child.pid}/comm`, 'latin1'), { timeout: 60_000 })
      .toBe('sleep\n');
    await expect
      .poll(
        () => {
          const status = readFileSync(`/proc/${child.pid}/status`, 'latin1');
          const kib = Number(/^VmRSS:\s+(\d+)/m.exec(status)![1]);
          return Math.abs(Number(resident({ pid: child.pid!, startTicks: 0 })) - kib * 1024) < 512 * 1024;
        },
        { timeout: 60_000 },
      )
      .toBe(true);
  });
});
