/** The process table's port. Two implementations: table-procfs.ts and table-ps-list.ts. */

/** One process as a scan saw it. Numbers are those of the namespace that upkeep lives in. */
export interface ProcessRow {
  readonly pid: number;
  readonly ppid: number;
  /** Start time in clock ticks since boot; with the pid it is the process's identity. 0: the table cannot tell. */
  readonly startTicks: number;
  /** One letter as in /proc/PID/stat: R S D T t Z X I. 'Z' and 'X' are dead, except a zombie main thread whose other
   * threads run, which is listed as 'S'. '?': the table cannot tell. */
  readonly state: string;
  /** Session id, 0 where the table cannot tell. */
  readonly session: number;
  /** At most 15 bytes, as the kernel keeps it; bytes that are no UTF-8 are replaced by U+FFFD. */
  readonly comm: string;
  /** The words of the command line; empty for a kernel thread, a zombie, or where it can't be read. A rewritten title is one word.
   * At most the first 4096 bytes. */
  readonly argv: readonly string[];
  /** The soft RLIMIT_LOCKS as decimal text, or null for unlimited or where it can't be read. */
  readonly locks: string | null;
}

/** What one scan found, relative to the scan before it. */
export interface TableChange {
  /** Monotonic ms at which the scan began: what it says is at least as new as this. */
  readonly at: number;
  readonly appeared: readonly ProcessRow[];
  /** Rows of the scan before whose process is gone (a pid that is used again is both vanished and appeared). */
  readonly vanished: readonly ProcessRow[];
  /** Somebody may be there who was not there before and could not be read: what this does not show may exist. */
  readonly unread?: boolean;
  /** Nobody was listed: it is known who has come as far as pids are handed out in their order. */
  readonly unlisted?: boolean;
}

export interface ProcessTable {
  readonly kind: 'procfs' | 'ps-list';
  /** Every process of the last scan, by pid. A row's ppid, state, comm and argv are as old as its last read. */
  readonly rows: ReadonlyMap<number, ProcessRow>;
  /** Looks again. One scan at a time: a call during a scan joins it. Rejects when the table as a whole cannot be read;
   * `rows` is then unchanged. A single process that cannot be read (EMFILE, EIO, EACCES) keeps its old row. */
  scan(): Promise<TableChange>;
  /** Who has come since the last look, exactly and at once; who has gone may stay in `rows` until the next `scan`. Costs
   * as much as has happened, not as much as there is. null: only a scan can tell, or tells in less time. */
  newcomers(): TableChange | null;
  /** When this process began, read anew; 0: nobody is there, or the table cannot tell. `rows` stays as it is, and the next
   * look for newcomers passes the process over: whoever asks knows of it. */
  startTicksOf(pid: number): number;
  /** The pid that was handed out last, read anew; 0: not told. */
  lastPid(): number;
  /** Takes this row out: the kernel has told that its process has ended and was reaped. */
  ended(pid: number): void;
  /** Reads one process anew and updates `rows`. null: gone, or the pid now belongs to somebody else.
   * 'unknown': could not be read. */
  refresh(pid: number): ProcessRow | null | 'unknown';
}

/** Dead to everybody: waits only to be reaped. */
export function isDead(row: Pick<ProcessRow, 'state'>): boolean {
  return row.state === 'Z' || row.state === 'X';
}
