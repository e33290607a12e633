import { closeSync, openSync, readdir, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import type { ProcessRow, ProcessTable, TableChange } from './table.ts';
import { TableBook } from './table-book.ts';

/*
 * Why a scan is exact though it reads almost nothing.
 *
 * The kernel hands out pids in a circle, and the last field of /proc/loadavg is the last one handed out. Let L(k) be
 * that number as scan k reads it, before it lists /proc. A row was read after some L(j). For its pid to belong to
 * somebody else, the pid must have been handed out again after that, at a time between L(i) and L(i+1), i >= j, so
 * it is among the pids from L(i) (exclusive) to L(i+1) (inclusive) in the circle:
 * - scan i+1 finds it listed: it is in that scan's range, is read, and its start ticks tell;
 * - scan i+1 does not find it listed, for a pid is handed out a moment before its process can be seen: the old
 *   process has vanished in scan i+1, and whoever is listed under that pid later is unknown, so is read;
 * - it was handed out after L(i+1) was read, but before /proc was listed: scan i+1 goes on showing the old process,
 *   which held the pid at L(i+1); scan i+2 has the pid in its range.
 * A row that could not be verified (EMFILE …) is kept in mind for the next scan. L moves on only when a scan has
 * succeeded. So what a scan says holds for the moment `at`, or a later one.
 *
 * A scan for newcomers alone does not list /proc: it looks at the pids from L(k-1) to L(k), where whoever has come must
 * be. One at which nobody can be seen yet is looked at again by the scans of the next second. Who has gone is not missed
 * by it, unless his pid is among them.
 *
 * This supposes that less than a whole round was handed out between two scans: see `wholeRoundPossible`. It does not
 * hold for processes whose pid was chosen (clone3 with set_tid, a write to ns_last_pid that is not noticed: checkpoint and restore), nor
 * under many thousands of forks a second that fail after a pid was taken for them, which the kernel does not count.
 */

/** What `procfsTable` can be told. */
export interface ProcfsOptions {
  /** Where /proc is. Default `/proc`. */
  readonly root?: string;
  /** Monotonic time in ms. Default `performance.now`. */
  readonly now?: () => number;
  /** A scan works for so many ms at a stretch, then lets the event loop turn. Default 8. */
  readonly sliceMs?: number;
}

/** What /proc/PID/stat tells. */
export interface Stat {
  readonly comm: string;
  /** As in `ProcessRow`: a zombie main thread whose other threads run is 'S'. */
  readonly state: string;
  readonly ppid: number;
  readonly session: number;
  readonly startTicks: number;
  /** Resident pages of memory. */
  readonly pages: number;
  /** A thread other than its process's main one: /proc/TID can be read, though it is not listed. */
  readonly thread: boolean;
}

/** The state of the kernel's pid allocator. */
interface Cursor {
  /** Monotonic ms, from just before it was read. */
  readonly at: number;
  /** 0 where it is not told. */
  readonly lastPid: number;
  /** Tasks in the whole system. */
  readonly tasks: number;
  readonly pidMax: number;
  /** Forks since boot; NaN where not known. */
  readonly forks: number;
}

/** `gone`: no such process. `unknown`: it could not be read just now. */
type Missing = 'gone' | 'unknown';

/** A process is read at every scan until so many ms after it was first seen: it may exec, rewrite its title, or be
 * given other limits by PAM. */
const YOUNG = 1000;
/** In what user space sees, on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;
/** The kernel hands these out once only. */
const RESERVED_PIDS = 300;
/** More than any machine forks in a millisecond. */
const FORKS_PER_MS = 100;
/** From this pid_max on the time alone tells that there was no whole round; /proc/stat, which has the count of forks,
 * is slow to read on a big machine. */
const HUGE_PID_MAX = 1_000_000;
/** The kernel takes a microsecond or two to list a process: from so many on, another thread waits for it. */
const LONG_LIST = 5000;
/** To look at one pid costs about as much as to list so many processes … */
const NEWCOMERS_PER_LISTED = 0.25;
/** … and from so many on a listing is better in any case. */
const MOST_NEWCOMERS = 500;
const COMM_BYTES = 15;

/** True when a file of /proc could not be read because its process is not there any more. */
export const isGone = (error: unknown): boolean =>
  ['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '');

/** Reads the first `length` bytes of a /proc/PID/stat; null where that is not what they are. */
export function parseStat(bytes: Buffer, length = bytes.length): Stat | null {
  // comm may hold anything, `)` too, but nothing behind it does.
  const open = bytes.indexOf(0x28);
  const close = length > 0 ? bytes.lastIndexOf(0x29, length - 1) : -1;
  if (open < 0 || close < open || close + 2 >= length) return null;
  const letter = String.fromCharCode(bytes[close + 2]!);
  const fields: number[] = [];
  let at = close + 3;
  // From field 4 (ppid) to field 38 (exit_signal).
  while (fields.length < 35 && bytes[at] === 0x20 && ++at < length) {
    const negative = bytes[at] === 0x2d;
    if (negative) at++;
    let value = 0;
    for (; at < length && bytes[at]! >= 0x30 && bytes[at]! <= 0x39; at++)
      value = value * 10 + (bytes[at]! - 0x30);
    fields.push(negative ? -value : value);
  }
  const startTicks = fields[22 - 4];
  if (startTicks === undefined) return null;
  return {
    comm: bytes.toString('utf8', open + 1, Math.min(close, open + 1 + COMM_BYTES)),
    state: letter === 'Z' && fields[20 - 4]! > 1 ? 'S' : letter,
    ppid: fields[0]!,
    session: fields[6 - 4]!,
    startTicks,
    pages: fields[24 - 4] ?? 0,
    thread: fields[38 - 4] === -1,
  };
}

/**
 * True for every pid that can have been handed out since `before` was the last one, now that `after` is: those behind
 * `before` up to `after`, in the circle. Holds for less than one round.
 */
export function handedOut(before: number, after: number, pid: number): boolean {
  return after >= before ? pid > before && pid <= after : pid > before || pid <= after;
}

/** Those pids themselves; null for more than `MOST_NEWCOMERS`. */
function handedOutPids(before: number, after: number, pidMax: number): number[] | null {
  const round = after >= before ? 0 : pidMax;
  if (after + round - before > MOST_NEWCOMERS) return null;
  const pids: number[] = [];
  for (let next = before + 1; next <= after + round; next++) pids.push(next < pidMax ? next : next - round);
  return pids;
}

/**
 * Can pids have been handed out once round in `elapsed` ms and `forks` forks (NaN: not known)? A round is at least
 * all numbers that nobody holds: each of the system's `tasks` holds one, and may leave one as a group's and one as a
 * session's. Half a round counts as one, because not every fork that fails is counted.
 */
export function wholeRoundPossible(pidMax: number, tasks: number, elapsed: number, forks: number): boolean {
  const round = pidMax - RESERVED_PIDS - 3 * tasks;
  const tooQuick = elapsed * FORKS_PER_MS < round;
  const tooFew = forks * 2 < round;
  return !tooQuick && !tooFew;
}

/**
 * The process table from /proc. A process is not read again once it is a second old, as long as its pid can't have
 * been given to somebody else: ppid, state and names of its row are those of then, or of the last `refresh`. A process
 * that has died but is not reaped yet stays a row, and the row's state may not say so: `refresh` tells.
 */
export function procfsTable(options: ProcfsOptions = {}): ProcessTable {
  const { root = '/proc', now = () => performance.now(), sliceMs = 8 } = options;
  const book = new TableBook();
  const { rows } = book;
  /** Pids of known processes to read at the next listing whatever their number is: the young ones (the value: when first
   * seen), and those that could not be read. */
  const again = new Map<number, number>();
  /** Of those, who could not be read: it is not sure that it is still the same process, so a look for newcomers reads them too. */
  const doubtful = new Set<number>();
  const buffer = Buffer.allocUnsafe(4096);
  /** Pids that were handed out though nobody could be seen there yet, and when that was noticed first. */
  const unseen = new Map<number, number>();
  /** Pids of whom `startTicksOf` has told since the last look. */
  const met = new Set<number>();
  /** How many there were when everybody was listed last. */
  let listedRows = 0;
  /** As of the last scan that succeeded. */
  let cursor: Cursor | null = null;
  /** How the numbers of the system are read does not change under way. */
  let genuine: boolean | null = null;

  /** The last read that failed was not permitted, and never will be. */
  let refused = false;

  /** Fills the buffer from the start of a file, and says how many bytes. */
  function read(path: string): number | Missing | 'denied' {
    let file = -1;
    try {
      file = openSync(path, 'r');
      return readSync(file, buffer, 0, buffer.length, null);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      refused = code === 'EACCES' || code === 'EPERM';
      if (isGone(error) || code === 'ENOTDIR') return 'gone';
      return refused ? 'denied' : 'unknown';
    } finally {
      if (file >= 0) closeSync(file);
    }
  }

  function readStat(pid: number): Stat | Missing {
    const length = read(`${root}/${pid}/stat`);
    if (length === 'gone') return 'gone';
    if (typeof length === 'string') return 'unknown';
    // A process that ends while it is read may leave nothing to read.
    return length === 0 ? 'gone' : (parseStat(buffer, length) ?? 'unknown');
  }

  /** The whole row of a process whose stat has just been read. */
  function readRow(pid: number, stat: Stat): ProcessRow | Missing {
    const { comm, state, ppid, session, startTicks } = stat;
    let argv: readonly string[] = [];
    const cmdline = read(`${root}/${pid}/cmdline`);
    if (typeof cmdline === 'number') {
      let length = cmdline;
      while (length > 0 && buffer[length - 1] === 0) length--;
      if (length > 0) argv = buffer.toString('utf8', 0, length).split('\0');
    }
    // The command line goes away with the main thread.
    const old = rows.get(pid);
    if (argv.length === 0 && state !== 'Z' && old?.startTicks === startTicks) argv = old.argv;
    let locks: string | null = null;
    const limits = read(`${root}/${pid}/limits`);
    if (typeof limits === 'number') {
      locks = /^Max file locks +(\d+)/m.exec(buffer.toString('latin1', 0, limits))?.[1] ?? null;
    }
    if (cmdline === 'unknown' || limits === 'unknown') return 'unknown';
    if (cmdline === 'gone' || limits === 'gone') {
      // The process is gone, or this kernel has no such file.
      const still = readStat(pid);
      if (typeof still === 'string') return still;
      if (still.startTicks !== startTicks) return 'unknown';
    }
    return { pid, ppid, startTicks, state, session, comm, argv, locks };
  }

  /** The row of a process whose stat has just been read. `settled`: what does not change when a process is no longer
   * young is taken from its old row. */
  function rowOf(
    pid: number,
    stat: Stat,
    old: ProcessRow | undefined,
    settled: boolean,
  ): ProcessRow | Missing {
    if (!settled || old?.startTicks !== stat.startTicks || stat.comm !== old.comm) return readRow(pid, stat);
    const { ppid, state, session } = stat;
    return { ...old, ppid, state, session, argv: state === 'Z' ? [] : old.argv };
  }

  function readText(name: string): string {
    try {
      return readFileSync(`${root}/${name}`, 'latin1');
    } catch {
      return '';
    }
  }

  /** Is /proc/loadavg the kernel's own? lxcfs and the like put one with made-up numbers over it. */
  function isGenuine(): boolean {
    try {
      return statSync(root).dev === statSync(`${root}/loadavg`).dev;
    } catch {
      return false;
    }
  }

  const loadavgFile = keptOpen(`${root}/loadavg`);
  const statFile = keptOpen(`${root}/stat`);

  /** 0 where it is not told. */
  function readLoadavg(): Pick<Cursor, 'lastPid' | 'tasks'> {
    // gVisor says 0 for the last pid.
    genuine ??= isGenuine();
    const loadavg = genuine ? /\/(\d+) (\d+)\s*$/.exec(loadavgFile.read()) : null;
    return { lastPid: Number(loadavg?.[2] ?? 0), tasks: Number(loadavg?.[1] ?? 0) };
  }

  /** `pidMax`: where it is known already. */
  function readCursor(at: number, known?: number): Cursor {
    const loadavg = readLoadavg();
    const pidMax = known ?? (Number.parseInt(readText('sys/kernel/pid_max'), 10) || 0);
    const processes = pidMax < HUGE_PID_MAX ? /^processes (\d+)$/m.exec(statFile.read()) : null;
    return {
      at,
      ...loadavg,
      pidMax,
      forks: processes ? Number(processes[1]) : Number.NaN,
    };
  }

  /** Which pids can have been given to somebody else since the last scan; null: any. */
  function reusable(next: Cursor): ((pid: number) => boolean) | null {
    const last = cursor;
    if (!last || last.lastPid === 0 || next.lastPid === 0) return null;
    const pidMax = Math.min(last.pidMax, next.pidMax);
    const tasks = Math.max(last.tasks, next.tasks);
    const forks = next.forks - last.forks;
    if (wholeRoundPossible(pidMax, tasks, now() - last.at, forks)) return null;
    // Past the end of the circle in fewer forks than that takes: somebody has set the last pid back.
    if (next.lastPid < last.lastPid && forks * 2 < pidMax - last.lastPid) return null;
    return (pid) => handedOut(last.lastPid, next.lastPid, pid);
  }

  /** The pids at which somebody can be who was not there at the last scan; null: only a listing tells, or tells in
   * less time. */
  function newcomers(next: Cursor): number[] | null {
    if (!cursor || reusable(next) === null) return null;
    const pids = handedOutPids(cursor.lastPid, next.lastPid, next.pidMax);
    if (pids === null || pids.length > NEWCOMERS_PER_LISTED * (rows.size + RESERVED_PIDS)) return null;
    // So many have come that it is time to see who has gone.
    if (rows.size > 2 * listedRows + RESERVED_PIDS) return null;
    return unseen.size + doubtful.size === 0 ? pids : [...new Set([...pids, ...unseen.keys(), ...doubtful])];
  }

  function doubt(pid: number, at: number): void {
    again.set(pid, again.get(pid) ?? at);
    doubtful.add(pid);
  }

  function forget(pid: number): void {
    again.delete(pid);
    doubtful.delete(pid);
  }

  /** What is found at the pids that are looked at in one scan. */
  function createFindings(at: number, inRange: ((pid: number) => boolean) | null) {
    // At the very first scan, most processes are long past their youth.
    const bornBefore = cursor
      ? 0
      : Number.parseFloat(readText('uptime')) * TICKS_PER_SECOND - TICKS_PER_SECOND || 0;
    const found = new Map<number, ProcessRow | null>();
    const findings = { found, unread: false, look };
    return findings;

    /** Reads a process, as far as it has to be; true if it did. */
    function look(pid: number): boolean {
      const old = rows.get(pid);
      const whole = !old || again.has(pid) || inRange?.(pid) === true;
      if (!whole && inRange) return false;
      const stat = readStat(pid);
      let row: ProcessRow | Missing;
      doubtful.delete(pid);
      if (typeof stat === 'string') row = stat;
      else if (!old && stat.thread) row = 'gone';
      else row = rowOf(pid, stat, old, !whole);
      if (row === 'unknown') {
        if (old) doubt(pid, at);
        else if (!refused) {
          findings.unread = true;
          unseen.set(pid, at);
        }
      } else if (row === 'gone') {
        again.delete(pid);
        if (old) found.set(pid, null);
        if (stat !== 'gone' || now() - (unseen.get(pid) ?? at) >= YOUNG) unseen.delete(pid);
        else unseen.set(pid, unseen.get(pid) ?? at);
      } else {
        unseen.delete(pid);
        if (row.startTicks !== old?.startTicks) {
          if (row.startTicks < bornBefore) again.delete(pid);
          else again.set(pid, now());
        } else if (now() - (again.get(pid) ?? 0) >= YOUNG) again.delete(pid);
        found.set(pid, row);
      }
      return true;
    }
  }

  /** As long as nothing has to be listed, and it is done at once. */
  function lookForNewcomers(): TableChange | null {
    if (!cursor || book.isScanning) return null;
    const at = now();
    const next = readCursor(at, cursor.pidMax);
    const coming = newcomers(next);
    if (coming === null) return null;
    const { look, ...findings } = createFindings(at, reusable(next));
    // A number is handed out once in a range: whom somebody has met there since is whom it was handed out to.
    for (const pid of coming) if (!met.has(pid)) look(pid);
    met.clear();
    cursor = next;
    return { ...book.commit(at, findings.found), unread: findings.unread, unlisted: true };
  }

  async function work(): Promise<TableChange> {
    let sliceEnd = performance.now() + sliceMs;
    const at = now();
    const next = readCursor(at);
    const findings = createFindings(at, reusable(next));
    const { found, look } = findings;
    unseen.clear();
    met.clear();

    let names: string[];
    try {
      names = rows.size < LONG_LIST ? readdirSync(root, 'latin1') : await list(root);
    } catch (error) {
      // It may be another /proc when it comes back.
      for (const kept of [loadavgFile, statFile]) kept.close();
      const why = (error as Error).message;
      const hint = `is ${root} mounted, and are there free file descriptors?`;
      throw new Error(`cannot read the process table: ${why}; ${hint}`, { cause: error });
    }
    const listed = new Set<number>();
    for (const name of names) {
      const pid = parsePid(name);
      if (pid === 0) continue;
      listed.add(pid);
      if (look(pid) && performance.now() >= sliceEnd) {
        await turn();
        sliceEnd = performance.now() + sliceMs;
      }
    }
    // To say that somebody is gone has consequences, so it is made sure of; and a refresh during this scan may have
    // found somebody newer than the list.
    const missing = [...rows.values()].filter((row) => !listed.has(row.pid));
    for (const { pid, startTicks } of missing) {
      const stat = readStat(pid);
      if (stat === 'unknown') doubt(pid, at);
      else if (stat === 'gone' || stat.startTicks !== startTicks) {
        forget(pid);
        found.set(pid, null);
      }
      if (performance.now() >= sliceEnd) {
        await turn();
        sliceEnd = performance.now() + sliceMs;
      }
    }
    cursor = next;
    const change = book.commit(at, found);
    listedRows = rows.size;
    return { ...change, unread: findings.unread };
  }

  return {
    kind: 'procfs',
    rows,
    scan: () => book.scan(work),
    newcomers: lookForNewcomers,
    startTicksOf(pid) {
      const stat = readStat(pid);
      if (typeof stat === 'string') return 0;
      // A row that is there already may be of whoever had the number before: that one has to be read.
      if (!rows.has(pid)) met.add(pid);
      return stat.startTicks;
    },
    lastPid: () => readLoadavg().lastPid,
    ended(pid) {
      forget(pid);
      book.refreshed(pid, null);
    },
    refresh(pid) {
      const old = rows.get(pid);
      const stat = readStat(pid);
      if (stat === 'unknown') return 'unknown';
      const row = stat === 'gone' || (!old && stat.thread) ? 'gone' : rowOf(pid, stat, old, !again.has(pid));
      if (row === 'unknown') return 'unknown';
      if (row === 'gone' || (old && old.startTicks !== row.startTicks)) {
        forget(pid);
        book.refreshed(pid, null);
        return null;
      }
      if (!old) again.set(pid, now());
      book.refreshed(pid, row);
      return row;
    },
  };
}

/** A file of /proc that is read again and again: it stays open, and each read is of what it holds then. */
function keptOpen(path: string) {
  let file = -1;
  let room = Buffer.allocUnsafe(2048);

  function fill(): number {
    if (file < 0) file = openSync(path, 'r');
    let length = 0;
    for (let got = -1; got !== 0 && length < room.length; length += got)
      got = readSync(file, room, length, room.length - length, length);
    return length;
  }

  return {
    /** '' where it can't be read. */
    read(): string {
      try {
        let length = fill();
        for (; length === room.length; length = fill()) room = Buffer.allocUnsafe(2 * room.length);
        return room.toString('latin1', 0, length);
      } catch {
        return '';
      }
    },
    /** The next read opens it anew. */
    close(): void {
      if (file >= 0) closeSync(file);
      file = -1;
    },
  };
}

/** A turn of the event loop. (The promises of node:timers and node:fs would be loaded for little, at every start.) */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A directory's names, read in another thread. */
function list(folder: string): Promise<string[]> {
  return new Promise((resolve, reject) =>
    readdir(folder, 'latin1', (error, names) => (error === null ? resolve(names) : reject(error))),
  );
}

/** The number that a name in /proc stands for; 0 where it is none. */
function parsePid(name: string): number {
  let pid = 0;
  for (let i = 0; i < name.length; i++) {
    const digit = name.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return 0;
    pid = pid * 10 + digit;
  }
  return pid;
}
