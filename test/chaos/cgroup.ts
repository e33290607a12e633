/** A control group of its own for a world, in either version of them. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { quietly } from './table.ts';

const FILES = {
  pids: { v1: ['pids.max', 'pids.current'], v2: ['pids.max', 'pids.current'] },
  memory: { v1: ['memory.limit_in_bytes', 'memory.usage_in_bytes'], v2: ['memory.max', 'memory.current'] },
} as const;

export type Controller = keyof typeof FILES;

export interface Cgroup {
  /** Takes in a process of this machine, and what it forks from now on. */
  readonly add: (hostPid: number) => void;
  /** null: no limit. */
  readonly limit: (value: number | null) => void;
  readonly current: () => number;
  /** Once nobody is in there. */
  readonly remove: () => void;
}

/** @returns why there can be none, in words */
export function createCgroup(controller: Controller, name: string): Cgroup | { readonly missing: string } {
  const v1 = existsSync(`/sys/fs/cgroup/${controller}/cgroup.procs`);
  const path = join(v1 ? `/sys/fs/cgroup/${controller}` : '/sys/fs/cgroup', name);
  const [max, current] = FILES[controller][v1 ? 'v1' : 'v2'];
  try {
    mkdirSync(path);
  } catch (error) {
    return { missing: `no control group can be made: ${(error as Error).message}` };
  }
  const remove = (): void => {
    // Who has just been killed is in there a moment longer.
    for (let tries = 0; tries < 100 && existsSync(path); tries++) {
      if (quietly(() => rmdirSync(path)) === null && existsSync(path))
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    }
  };
  if (!existsSync(join(path, max))) {
    remove();
    return { missing: `the control groups here do not limit ${controller}` };
  }
  return {
    add: (hostPid) => writeFileSync(join(path, 'cgroup.procs'), String(hostPid)),
    limit: (value) =>
      writeFileSync(
        join(path, max),
        value === null ? (v1 && controller === 'memory' ? '-1' : 'max') : String(value),
      ),
    current: () => Number(readFileSync(join(path, current), 'latin1')),
    remove,
  };
}
