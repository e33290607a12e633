import { uptime } from 'node:os';
import type { ProcessRow, ProcessTable, TableChange } from './table.ts';
import { TableBook } from './table-book.ts';

/** One process as ps-list tells it. */
export interface PsListEntry {
  readonly pid: number;
  readonly ppid: number;
  /** The basename of the executable, else what `ps` calls comm. */
  readonly name: string;
  readonly cmd?: string;
  /** Wall-clock time, in whole seconds. */
  readonly startTime?: Date;
}

/** What `psListTable` can be told; for tests. */
export interface PsListOptions {
  /** Monotonic time in ms. Default `performance.now`. */
  readonly now?: () => number;
  /** Default: the package ps-list. */
  readonly list?: () => Promise<readonly PsListEntry[]>;
}

const COMM_BYTES = 15;
const MS_PER_TICK = 10;
/** Two runs of `ps` may tell start times of one process that differ by a second or so. */
const SAME_START = 200;
/** How ps-list calls ps. */
const LISTER = /^(\S*\/)?ps a?wwxo pid=/;
const DEFUNCT = /^\[.*\] <defunct>$/;

/**
 * The process table by way of `ps`, for systems without /proc. It knows less: no sessions, no limits, no states but
 * 'Z'; words of the command line are cut at spaces; start times come in seconds, so that a pid that is used again
 * within two seconds is not noticed; `refresh` can only tell that a process is gone.
 */
export function psListTable(options: PsListOptions = {}): ProcessTable {
  const { now = () => performance.now(), list = async () => (await import('ps-list')).default() } = options;
  const book = new TableBook();
  const { rows } = book;
  // What `ps` calls the start time moves when the wall clock is set; the distance to our own does not.
  const ownTicks = Math.max(1, Math.round((uptime() - process.uptime()) * 100));

  function toRow(entry: PsListEntry, ownStart: number | undefined): ProcessRow {
    const { pid, ppid, cmd = '' } = entry;
    const comm = cutBytes(entry.name, COMM_BYTES);
    const dead = DEFUNCT.test(cmd);
    const start = entry.startTime?.getTime();
    const known = rows.get(pid)?.startTicks ?? 0;
    let startTicks = known;
    if (start !== undefined && ownStart !== undefined) {
      const told = Math.max(1, ownTicks + Math.round((start - ownStart) / MS_PER_TICK));
      if (known === 0 || Math.abs(known - told) > SAME_START) startTicks = told;
    }
    // `ps` puts brackets where there is no command line: around the names of kernel threads and of the dead.
    const bare = dead || cmd === `[${entry.name}]`;
    const argv = bare ? [] : cmd.split(' ').filter((word) => word !== '');
    return { pid, ppid, startTicks, state: dead ? 'Z' : '?', session: 0, comm, argv, locks: null };
  }

  async function work(): Promise<TableChange> {
    const at = now();
    let entries: readonly PsListEntry[];
    try {
      entries = await list();
      // ps-list leaves out what it can't make sense of; ourselves it must have found.
      if (!entries.some((entry) => entry.pid === process.pid))
        throw new Error('ps does not list this process');
    } catch (error) {
      const why = (error as Error).message;
      throw new Error(`cannot read the process table: ${why}; is there a ps that knows "ps awwxo"?`, {
        cause: error,
      });
    }
    const own = entries.find((entry) => entry.pid === process.pid);
    // A `ps` of ours: running, ended but not reaped, or not exec'd yet and thus looking like us.
    const isLister = ({ ppid, name, cmd = '' }: PsListEntry) =>
      ppid === process.pid &&
      (LISTER.test(cmd) ||
        (name === 'ps' && DEFUNCT.test(cmd)) ||
        cmd === '[ps] <defunct>' ||
        cmd === own?.cmd);
    const found = new Map<number, ProcessRow | null>();
    for (const pid of rows.keys()) found.set(pid, null);
    for (const entry of entries) {
      if (!isLister(entry)) found.set(entry.pid, toRow(entry, own?.startTime?.getTime()));
    }
    return book.commit(at, found);
  }

  return {
    kind: 'ps-list',
    rows,
    scan: () => book.scan(work),
    newcomers: () => null,
    startTicksOf: () => 0,
    lastPid: () => 0,
    ended: (pid) => book.refreshed(pid, null),
    refresh(pid) {
      try {
        process.kill(pid, 0);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ESRCH') {
          book.refreshed(pid, null);
          return null;
        }
      }
      return rows.get(pid) ?? 'unknown';
    },
  };
}

function cutBytes(text: string, bytes: number): string {
  const all = Buffer.from(text);
  return all.length <= bytes ? text : all.toString('utf8', 0, bytes);
}
