/**
 * What the dead cannot say themselves: whether the kernel ended them because memory ran out, and how much of it they had taken.
 * Read when somebody has died, never before.
 */
import { openSync, readFileSync, readSync } from 'node:fs';
import type { Exit } from '../../machines/events.ts';
import { pageSizeOf } from './resident.ts';

export interface Findings {
  /** The kernel's OOM killer has ended it, or the child whose end it has passed on as status 137. null: it can't be known. */
  readonly oom: boolean | null;
  /** The most memory that it, or a child it waited for, had in use at once (resident), bytes. null: nobody knows. */
  readonly peak: number | null;
}

export interface Autopsy {
  /** A program was started. Until it had become another one it was as big as upkeep, and the kernel counts that as well. */
  readonly launched: (pid: number) => void;
  /** A child has ended. `command`: whom it led; null: nobody. `peak` as the kernel says it, bytes; null: it says nothing. */
  readonly ended: (command: string | null, pid: number, peak: number | null) => void;
  /** Of a command's leader that has just died. `pid`, `exit` null: nobody knows who that was, and how it ended. */
  readonly examine: (command: string, pid: number | null, exit: Exit | null) => Findings;
  /** @returns how many the OOM killer had ended by the call before that `examine` has not found until now: the kernel counts
   * whom it ends, who may take a while to be dead. The first call takes the number to compare with: whoever is examined before
   * is not known of */
  readonly unexplained: () => number;
  readonly forget: (command: string) => void;
}

/** What a shell makes of a child's death by SIGKILL. */
const KILLED_CHILD = 137;

/**
 * @param kills how many processes the OOM killer has ended so far; null: nobody says
 * @param own bytes that are this process's alone
 */
export function createAutopsy(kills = oomCounter(), own = anonymousMemory()): Autopsy {
  const sizes = new Map<number, number>();
  const peaks = new Map<string, { readonly pid: number; readonly peak: number | null }>();
  let counted: number | null = null;
  /** Told by the kernel, and not yet of whom. */
  let open = 0;
  /** Of these, those that were already open at the last look. */
  let overdue = 0;

  /** @returns false where there is nothing to compare with */
  function count(): boolean {
    const before = counted;
    counted = kills();
    if (counted === null || before === null) return false;
    open += Math.max(0, counted - before);
    return true;
  }

  function isOom(exit: Exit | null): boolean | null {
    const known = exit?.known === true;
    const suspect = known && (exit.signal === 'SIGKILL' || exit.code === KILLED_CHILD);
    if (known && !suspect) return false;
    if (!count()) return null;
    if (open === 0) return false;
    if (!suspect) return null;
    open--;
    overdue = Math.max(0, overdue - 1);
    return true;
  }

  return {
    launched(pid) {
      sizes.set(pid, own());
    },
    ended(command, pid, peak) {
      const size = sizes.get(pid) ?? 0;
      sizes.delete(pid);
      if (command !== null) peaks.set(command, { pid, peak: peak !== null && peak > size ? peak : null });
    },
    examine(command, pid, exit) {
      const last = peaks.get(command);
      return { oom: isOom(exit), peak: last?.pid === pid ? last!.peak : null };
    },
    unexplained() {
      count();
      const others = overdue;
      open -= others;
      overdue = open;
      return others;
    },
    forget: (command) => void peaks.delete(command),
  };
}

/** Reads how many of this control group's processes the OOM killer has ended: at each call anew, without ever waiting. */
function oomCounter(): () => number | null {
  const read = reader(() =>
    oomFile(readFileSync('/proc/self/cgroup', 'utf8'), readFileSync('/proc/self/mountinfo', 'utf8')),
  );
  return () => oomKills(read() ?? '');
}

/** Bytes that are this process's alone. */
function anonymousMemory(): () => number {
  const read = reader(() => '/proc/self/statm');
  let pageSize = 0;
  return () => {
    // Resident pages and, of those, what others may have in use as well: of files, and of shared memory.
    const [, resident, shared] = (read() ?? '0 0 0').split(' ').map(Number);
    pageSize ||= pageSizeOf();
    return (resident! - shared!) * pageSize;
  };
}

/** Opens a small file of the kernel's once, and reads it from its beginning each time. null: it can't be read. */
function reader(pathOf: () => string | null): () => string | null {
  const bytes = Buffer.allocUnsafe(512);
  /** null: not opened yet; -1: there is nothing to be opened. */
  let fd: number | null = null;
  return () => {
    try {
      if (fd === null) {
        fd = -1;
        fd = openSync(pathOf()!, 'r');
      }
      return fd < 0 ? null : bytes.toString('latin1', 0, readSync(fd, bytes, 0, bytes.length, 0));
    } catch {
      return null;
    }
  };
}

/**
 * The file in which the kernel counts whom it has ended in this process's control group, in either version of them.
 *
 * @param groups /proc/self/cgroup
 * @param mounts /proc/self/mountinfo
 * @returns null: no control group limits memory here, or it isn't mounted
 */
export function oomFile(groups: string, mounts: string): string | null {
  const mine = groups.split('\n').flatMap((line) => {
    const found = /^\d+:([^:]*):(.*)$/.exec(line);
    return found === null ? [] : [{ controllers: found[1]!.split(','), path: found[2]! }];
  });
  const first = mine.find(({ controllers }) => controllers.includes('memory'));
  const group = first ?? mine.find(({ controllers }) => controllers[0] === '');
  if (group === undefined) return null;
  for (const line of mounts.split('\n')) {
    // Number, parent, device, root, mount point, options …, "-", kind, source, options of the whole.
    const [place, kind] = line.split(' - ').map((part) => part.split(' '));
    const options = kind?.[2]?.split(',') ?? [];
    if (first ? kind?.[0] !== 'cgroup' || !options.includes('memory') : kind?.[0] !== 'cgroup2') continue;
    const [root, at] = [unescaped(place?.[3] ?? '/'), unescaped(place?.[4] ?? '')];
    return `${at}${below(root, group.path)}/${first ? 'memory.oom_control' : 'memory.events'}`;
  }
  return null;
}

/** A path below a mount that shows the tree from `root` on; where it shows another part of it, that is all there is to see. */
function below(root: string, path: string): string {
  const start = root === '/' ? '' : root;
  return path !== '/' && `${path}/`.startsWith(`${start}/`) ? path.slice(start.length) : '';
}

/** Spaces and the like are octal in there. */
function unescaped(path: string): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

/** @param text memory.events of a control group, or memory.oom_control in version 1. @returns null: it does not say */
export function oomKills(text: string): number | null {
  const found = /^oom_kill (\d+)$/m.exec(text);
  return found === null ? null : Number(found[1]);
}
