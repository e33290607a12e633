/** Keeps one record of each death and failed start: what a person asks who comes when it is over. */
import type { Exit, Remains, Told } from '../../machines/events.ts';

/** What is found out about a death beside how the process ended. */
export interface Findings {
  readonly oom: boolean | null;
  readonly peak: number | null;
}

/** What is told, with what was found out where it is a death. */
export type ToldOfDeath = Told & Partial<Findings>;

/** docs/reference/crash-report.md says what each field means; none changes its meaning. */
export interface CrashReport extends Findings {
  /** 1, 2, 3 … of this command. */
  readonly number: number;
  /** The time of day, ISO 8601. */
  readonly time: string;
  /** Monotonic ms, as that of the log's events. */
  readonly at: number;
  /** What the log has told of it. */
  readonly event: 'command.died' | 'command.failedStart' | 'command.unhealthy';
  /** null: nothing was started, or it is not known which process it was. */
  readonly pid: number | null;
  /** null: nothing has ended, or not yet. */
  readonly exit: Exit | null;
  /** ms; null: nothing was started. */
  readonly uptime: number | null;
  /** Why it counts as failed; `exited`: see the exit. null: a death. */
  readonly reason: string | null;
  /** How many restarts the command has had, this one included. */
  readonly restart: number;
  /** How many starts have failed in a row; 0: this was none. */
  readonly failures: number;
  /** Until the next try, ms; null: there is none, or it is not known yet. */
  readonly wait: number | null;
  /** What it left behind; null: that was not counted. */
  readonly remains: Remains | null;
  /** Why it is not tried again; null: it is. */
  readonly gaveUp: string | null;
  /** What it printed last: at most 10 lines, and 2 KiB together. */
  readonly lastLines: readonly string[];
}

export interface Crashes {
  /** Takes in what is told. @returns the same; of a death or a failed start, with what has been found out */
  readonly hear: (told: Told) => ToldOfDeath;
  /** The last ten of a command, oldest first. */
  readonly of: (command: string) => readonly CrashReport[];
  readonly forget: (command: string) => void;
}

export interface CrashOptions {
  /** See Autopsy. */
  readonly examine: (command: string, pid: number | null, exit: Exit | null) => Findings;
  /** The last lines that a command wrote, oldest first, fit to be shown. */
  readonly tail: (command: string) => readonly string[];
  readonly wallClock?: () => Date;
}

/** So many are kept of each command. */
const KEPT = 10;

interface Book {
  reports: readonly CrashReport[];
  number: number;
  restarts: number;
  pid: number | null;
  /** When the run began; null: there is none. */
  began: number | null;
  /** The last one is about a process that is still to be stopped. */
  isOpen: boolean;
}

type Crash = Extract<Told, { type: CrashReport['event'] }>;

/** Those that stay when one more comes. A death that nothing but failed starts came after is the last to go: it may be the only
 * one that says why. */
function fitting(reports: readonly CrashReport[], isStart: boolean): readonly CrashReport[] {
  if (reports.length < KEPT) return reports;
  const [first, ...others] = reports;
  const began = isStart && first!.failures === 0 && others.every(({ failures }) => failures > 0);
  return began ? [first!, ...others.slice(1)] : others;
}

export function createCrashes(options: CrashOptions): Crashes {
  const { examine, tail, wallClock = () => new Date() } = options;
  const books = new Map<string, Book>();

  function bookOf(command: string): Book {
    let book = books.get(command);
    if (book === undefined) {
      book = { reports: [], number: 0, restarts: 0, pid: null, began: null, isOpen: false };
      books.set(command, book);
    }
    return book;
  }

  function amend(book: Book, change: Partial<CrashReport>): void {
    const last = book.reports.at(-1);
    if (last !== undefined) book.reports = [...book.reports.slice(0, -1), { ...last, ...change }];
  }

  function record(book: Book, told: Crash): ToldOfDeath {
    const { command, type: event, at } = told;
    const pid =
      event === 'command.died' ? told.id.pid : event === 'command.failedStart' ? told.pid : book.pid;
    const exit = event === 'command.unhealthy' ? null : told.exit;
    const { oom, peak } = examine(command, pid, exit);
    if (event === 'command.died') book.restarts = told.restart;
    else if (event === 'command.unhealthy' && told.next === 'restart') book.restarts++;
    const report: CrashReport = {
      number: ++book.number,
      time: wallClock().toISOString(),
      at,
      event,
      pid,
      exit,
      oom,
      peak,
      uptime: event === 'command.died' ? told.uptime : book.began === null ? null : at - book.began,
      reason: event === 'command.died' ? null : told.reason,
      restart: book.restarts,
      failures: event === 'command.failedStart' ? told.failures : 0,
      wait: event === 'command.unhealthy' ? null : told.wait,
      remains: event === 'command.died' ? told.remains : null,
      gaveUp: null,
      lastLines: tail(command),
    };
    book.reports = [...fitting(book.reports, report.failures > 0), report];
    // It lives, and is of no use: how it ends is seen when it has been stopped.
    book.isOpen = exit === null && pid !== null;
    if (!book.isOpen) book.began = null;
    return { ...told, oom, peak };
  }

  return {
    hear(told) {
      switch (told.type) {
        case 'command.launched':
          Object.assign(bookOf(told.command), { pid: told.pid, began: told.at, isOpen: false });
          break;
        case 'command.running': {
          const book = bookOf(told.command);
          book.pid = told.leader.pid;
          book.began ??= told.leader.since;
          break;
        }
        case 'command.died':
        case 'command.failedStart':
          return record(bookOf(told.command), told);
        case 'command.unhealthy':
          if (told.next !== 'ignore') record(bookOf(told.command), told);
          break;
        case 'command.stopped':
        case 'command.completed': {
          const book = bookOf(told.command);
          const { exit } = told;
          if (book.isOpen) amend(book, { exit, peak: examine(told.command, book.pid, null).peak });
          Object.assign(book, { began: null, isOpen: false });
          break;
        }
        case 'command.failed':
          amend(bookOf(told.command), { gaveUp: told.reason });
          break;
      }
      return told;
    },
    of: (command) => books.get(command)?.reports ?? [],
    forget: (command) => void books.delete(command),
  };
}
