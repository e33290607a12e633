/** The process table of a namespace, read from outside of it. */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Seen } from './invariants.ts';

/** The first eleven of a tag's 63 bits: see src/process/tags.ts. */
const TAG_MAGIC = 0x5b7n;
const HELPER_MAGIC = 0x5b6n;
const TAG_SHIFT = 52n;

export interface Table {
  /** Everybody in there, zombies too. `upkeep`: its pid, which carries a tag only in passing. */
  readonly read: (upkeep: number | null) => Seen[];
}

/** @param root where its /proc is to be seen */
export function createTable(root: string): Table {
  const buffer = Buffer.allocUnsafe(4096);
  const tags = new Map<string, string | null>();

  function slurp(path: string): string | null {
    let file = -1;
    try {
      file = openSync(path, 'r');
      return buffer.toString('latin1', 0, readSync(file, buffer, 0, buffer.length, null));
    } catch {
      return null;
    } finally {
      if (file >= 0) closeSync(file);
    }
  }

  function tagOf(pid: number): string | null {
    const locks = /^Max file locks +(\d+)/m.exec(slurp(`${root}/${pid}/limits`) ?? '')?.[1];
    const magic = locks === undefined ? null : BigInt(locks) >> TAG_SHIFT;
    return magic === TAG_MAGIC || magic === HELPER_MAGIC ? locks! : null;
  }

  return {
    read(upkeep) {
      const rows: Seen[] = [];
      const seen = new Set<string>();
      for (const name of quietly(() => readdirSync(root)) ?? []) {
        const pid = Number(name);
        if (!Number.isInteger(pid)) continue;
        const stat = slurp(`${root}/${name}/stat`);
        if (stat === null || stat === '') continue;
        const close = stat.lastIndexOf(')');
        const fields = stat.slice(close + 2).split(' ');
        const startTicks = Number(fields[19]);
        const comm = stat.slice(stat.indexOf('(') + 1, close);
        const identity = `${pid} ${startTicks}`;
        seen.add(identity);
        // A tag is for life. A zombie has none any more.
        let tag = tags.get(identity);
        if (tag === undefined && pid !== upkeep) {
          tag = tagOf(pid);
          tags.set(identity, tag);
        }
        const own = pid === upkeep ? null : (tag ?? null);
        const helps = own !== null && BigInt(own) >> TAG_SHIFT === HELPER_MAGIC;
        rows.push({
          pid,
          ppid: Number(fields[1]),
          state: fields[0]!,
          startTicks,
          comm,
          ...whoIs(comm, () => slurp(`${root}/${name}/cmdline`) ?? ''),
          tag: helps ? null : own,
          helper: helps ? own : null,
        });
      }
      for (const identity of tags.keys()) if (!seen.has(identity)) tags.delete(identity);
      return rows;
    },
  };
}

const ROLES = { l: 'launcher', m: 'master', w: 'worker', x: 'other', p: 'probe', s: 'stopper' } as const;

/** What a process says of itself: the fixture by its comm, nginx by its title. */
export function whoIs(comm: string, title: () => string): Pick<Seen, 'command' | 'role'> {
  const [, command, role] = /^(c\d+):([lmwxps])$/.exec(comm) ?? [];
  if (command !== undefined) return { command, role: ROLES[role as keyof typeof ROLES] };
  if (comm !== 'nginx') return { command: null, role: 'other' };
  const text = title();
  return {
    command: 'nginx',
    role: text.startsWith('nginx: master')
      ? 'master'
      : text.startsWith('nginx: worker')
        ? 'worker'
        : 'launcher',
  };
}

/** The part of a CPU that everybody gets who wants one just now; 1 where there are as many as want one. */
export function shareOfCpu(): number {
  const running =
    Number(/ (\d+)\/\d+ /.exec(quietly(() => readFileSync('/proc/loadavg', 'latin1')) ?? '')?.[1]) || 1;
  // Whoever asks is one of them.
  return Math.min(1, availableParallelism() / Math.max(1, running - 1));
}

/** ms that a process has waited for a CPU since it began; 0 where the kernel does not tell. */
export function waitedForCpu(hostPid: number): number {
  const text = quietly(() => readFileSync(`/proc/${hostPid}/schedstat`, 'latin1')) ?? '';
  return (Number(text.split(' ')[1]) || 0) / 1e6;
}

export function quietly<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
