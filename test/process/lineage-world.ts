/** A book of who is whose over a process table that is made up. */
import type { CommandFact, Exit } from '../../machines/events.ts';
import { createLineage, type Lineage } from '../../src/process/lineage.ts';
import type { Match } from '../../src/process/matching.ts';
import type { ProcessRow, ProcessTable, TableChange } from '../../src/process/table.ts';
import { createTags } from '../../src/process/tags.ts';

export const SELF = 1;
export const OK: Exit = { known: true, code: 0, signal: null, core: false };
export const FAILED: Exit = { known: true, code: 1, signal: null, core: false };
export const KILLED: Exit = { known: true, code: null, signal: 'SIGKILL', core: false };
export const UNKNOWN: Exit = { known: false, code: null, signal: null, core: false };
export const tags = createTags('test', ['web', 'db', 'new']);

export const matching = (match: Partial<Match>): Match => ({
  name: null,
  pattern: null,
  user: null,
  parent: null,
  pidFile: null,
  count: null,
  ...match,
});

/** A process table that is what the test says, and a clock that goes when the test says so. */
export function world(
  options: {
    tagged?: boolean;
    reaping?: boolean;
    match?: Partial<Match>;
    longestGap?: number;
    self?: number;
    heard?: boolean;
  } = {},
) {
  const { tagged = true, reaping = true, match, longestGap = Number.POSITIVE_INFINITY } = options;
  const { self = SELF, heard = true } = options;
  const ended: number[] = [];
  const notices: string[] = [];
  const owners = new Map<number, number>();
  const pidFile = { pid: 0, age: 0 };
  const living = new Map<number, ProcessRow>();
  const unreadable = new Set<number>();
  const rows = new Map<number, ProcessRow>();
  /** What a refresh has found since the last look: whom that look tells of as well. */
  const met = new Set<number>();
  const replaced: ProcessRow[] = [];
  let time = 1_000;
  const table: ProcessTable = {
    kind: 'procfs',
    rows,
    scan: () => Promise.resolve(look()),
    newcomers: () => look(),
    ended(pid) {
      ended.push(pid);
      rows.delete(pid);
    },
    startTicksOf: (pid) => rows.get(pid)?.startTicks ?? 0,
    lastPid: () => 0,
    refresh(pid) {
      if (unreadable.has(pid)) return 'unknown';
      const row = living.get(pid) ?? null;
      const old = rows.get(pid);
      if (row === null) return null;
      if (old !== undefined && old.startTicks !== row.startTicks) {
        replaced.push(old);
        rows.delete(pid);
        return null;
      }
      if (old === undefined) met.add(pid);
      rows.set(pid, row);
      return row;
    },
  };
  const lineage = createLineage({
    table,
    tags: tagged ? createTags('test', ['web', 'db']) : null,
    commands: [
      { name: 'web', fits: ['web'], match: match === undefined ? null : matching(match) },
      { name: 'db', fits: ['db'] },
    ],
    self,
    startTimeout: 30_000,
    linger: 2_000,
    longestGap,
    reaping,
    now: () => time,
    sinceOf: (ticks) => ticks * 10,
    ...(heard && { notice: (command: string, message: string) => notices.push(`${command}: ${message}`) }),
    surroundings: {
      ownerOf: (pid) => owners.get(pid) ?? 0,
      uidOf: (user) => (user === 'www' ? 33 : null),
      pidIn: () => (pidFile.pid === 0 ? null : pidFile),
    },
  });

  function look(at = time): TableChange {
    const appeared: ProcessRow[] = [];
    const vanished: ProcessRow[] = replaced.splice(0);
    for (const [pid, old] of [...rows]) {
      if (living.get(pid)?.startTicks === old.startTicks) continue;
      vanished.push(old);
      rows.delete(pid);
    }
    for (const [pid, row] of living) {
      if (!rows.has(pid) || met.has(pid)) appeared.push(row);
      rows.set(pid, row);
    }
    met.clear();
    return { at, appeared, vanished };
  }

  function put(pid: number, of: Partial<ProcessRow> & { command?: string | null } = {}): ProcessRow {
    const { command = null, ...rest } = of;
    const row: ProcessRow = {
      pid,
      ppid: self,
      startTicks: pid,
      state: 'S',
      session: pid,
      comm: command ?? 'other',
      argv: [rest.comm ?? command ?? 'other'],
      locks: command === null ? null : String(tags.numberOf(command)),
      ...rest,
    };
    living.set(pid, row);
    return row;
  }

  return {
    lineage,
    notices,
    owners,
    pidFile,
    unreadable,
    /** Whom the table was told to take out. */
    ended,
    put,
    /** Changes something of a process that stays the same one. */
    alter: (pid: number, change: Partial<ProcessRow>) => living.set(pid, { ...living.get(pid)!, ...change }),
    drop: (pid: number) => living.delete(pid),
    pass: (ms: number) => {
      time += ms;
    },
    /** A look that could not read everybody: who has come since the last one is not in it. */
    lookBlindly: () => lineage.digest({ at: time, appeared: [], vanished: [], unread: true }),
    /** A look for newcomers that finds none. */
    lookUnlisted: () => lineage.digest({ at: time, appeared: [], vanished: [], unlisted: true }),
    /** A look that lists nobody, and so misses who has come or gone, unless it is said otherwise. */
    glance: (change: Partial<TableChange> = {}) =>
      lineage.digest({ at: time, appeared: [], vanished: [], ...change }),
    /** One look of which something is said otherwise. */
    lookWith: (change: Partial<TableChange>) => lineage.digest({ ...look(), ...change }),
    /** One look, and what follows from it. */
    look: (at?: number) => lineage.digest(look(at)),
    adopt() {
      look();
      lineage.adopt();
    },
    /** Starts a launcher as upkeep does. */
    launch(command: string, pid: number, startTicks = pid) {
      put(pid, { command, startTicks });
      lineage.launched(command, { pid, startTicks });
    },
    /** The process is gone, and the kernel tells of it. */
    die(pid: number, exit: Exit) {
      living.delete(pid);
      return lineage.exited(pid, exit);
    },
  };
}

/** The facts about one command. */
export function factsOf(facts: ReturnType<Lineage['digest']>, command: string): CommandFact[] {
  return facts.filter((fact) => fact.command === command).map(({ fact }) => fact);
}

export const pidsOf = (rows: readonly { readonly pid: number }[]): number[] => rows.map(({ pid }) => pid);
