/** How launchers come by their lineage tag here, found out by trying. */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Native } from './native.ts';
import type { ProcessTable } from './table.ts';
import { createTags, type Tags } from './tags.ts';

export interface Tagging {
  /** null: processes are known by ancestry and name. */
  readonly tags: Tags | null;
  /** The words in front of a command that tag it, where upkeep cannot do it by itself. */
  readonly prefix: ((tag: bigint) => readonly string[]) | null;
  /** For the user: how, and if not by tag, why. */
  readonly how: string;
}

/**
 * Sets a tag and looks whether /proc shows it.
 *
 * @param socketPath the same at every start of the same upkeep, and different for two on one machine
 */
export function chooseTagging(
  native: Native | null,
  table: ProcessTable['kind'],
  socketPath: string,
  commands: readonly string[],
): Tagging {
  const without = (why: string): Tagging => ({ tags: null, prefix: null, how: `ancestry and name (${why})` });
  if (table !== 'procfs') return without('limits cannot be read without /proc');
  const instance = instanceOf(socketPath);
  const tags = createTags(instance, commands);
  const number = createTags(instance, ['any']).numberOf('any');
  const isShownBy = (limits: string): boolean => softLocksOf(limits) === String(number);
  try {
    if (native === null) {
      const prlimit = findProgram('prlimit');
      if (prlimit === null) return without('limits cannot be set: neither koffi nor prlimit is there');
      const hard =
        /^Max file locks +\S+ +(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1] ?? 'unlimited';
      const prefix = (tag: bigint): readonly string[] => [prlimit, `--locks=${tag}:${hard}`];
      const [file, ...args] = [...prefix(number), 'cat', '/proc/self/limits'];
      const shown = execFileSync(file!, args, { encoding: 'latin1', stdio: ['ignore', 'pipe', 'ignore'] });
      return isShownBy(shown)
        ? { tags, prefix, how: 'tag, set by prlimit' }
        : without('prlimit does not set limits');
    }
    const before = native.getLocksLimit();
    if (before === null) return without('RLIMIT_LOCKS cannot be read');
    if (before[1] < number) {
      return without('the hard limit of RLIMIT_LOCKS is too low; start the container without that ulimit');
    }
    if (!native.setLocksLimit(number, before[1])) return without('RLIMIT_LOCKS cannot be set');
    try {
      const shown = readFileSync('/proc/self/limits', 'latin1');
      return isShownBy(shown)
        ? { tags, prefix: null, how: 'tag' }
        : without('/proc does not show limits as they are');
    } finally {
      native.setLocksLimit(before[0], before[1]);
    }
  } catch (error) {
    return without(`tags cannot be tried: ${(error as Error).message.split('\n')[0]}`);
  }
}

function softLocksOf(limits: string): string | null {
  return /^Max file locks +(\d+)/m.exec(limits)?.[1] ?? null;
}

function instanceOf(socketPath: string): string {
  let mounts = '';
  try {
    // Containers that share a pid namespace have the same paths, but not the same mounts.
    mounts = readlinkSync('/proc/self/ns/mnt');
  } catch {
    // The path alone, then.
  }
  return `${socketPath}\n${mounts}\n${process.getuid?.() ?? ''}`;
}

/** The first program of this name on the path. */
export function findProgram(name: string, path = process.env.PATH ?? ''): string | null {
  for (const folder of path.split(':').filter(Boolean)) {
    try {
      const path = join(folder, name);
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this one.
    }
  }
  return null;
}
