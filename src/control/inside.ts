/** What control may know of a running upkeep, and ask of it. supervise.ts provides it. */
import type { Socket } from 'node:net';
import type { CommandContext } from '../../machines/command-books.ts';
import type { CommandOrder } from '../../machines/events.ts';
import type { GroupPlan } from '../../machines/tree.ts';
import type { CrashReport } from '../output/crash.ts';
import type { Journal } from '../output/journal.ts';
import type { ProbedLast } from '../output/probed.ts';
import type { Recent } from '../output/recent.ts';

/** One command's machine, as it is now. */
export interface CommandView {
  /** As in `running.ready`: two levels at most. */
  readonly state: string;
  /** Monotonic ms at which the first of these levels was entered. */
  readonly since: number;
  /** The wish of an operator or a policy. A group that stops a command to start it again wishes for nothing else. */
  readonly wished: 'up' | 'down';
  /** Its group has given up, which is why it is stopped though it is wished up; null: that is not so. */
  readonly gaveUp: GaveUp | null;
  /** What its machine waits for. */
  readonly timers: readonly Timer[];
  readonly context: CommandContext;
}

export interface GaveUp {
  readonly group: string;
  /** `a died: more than 3 restarts in 60 s`; null: it is known no more. */
  readonly reason: string | null;
  /** Time of day, ms since 1970; null: it is known no more. */
  readonly time: number | null;
}

/** A timer of a command's machine that runs. */
export interface Timer {
  /** As the machine calls it: `backoff`, `readyTimeout` … */
  readonly name: string;
  /** The state that it is of: when that is left, it is of no meaning. */
  readonly state: string;
  /** Monotonic ms. */
  readonly due: number;
}

/** Who is at the other end of the socket, as the kernel tells. `pid` 0: of another PID namespace. */
export interface Peer {
  readonly uid: number;
  readonly pid: number;
}

/** A process that could be, or was found to be, a command's, and the rule that says so. */
export interface Candidate {
  readonly pid: number;
  readonly ppid: number;
  readonly name: string;
  /** One letter, as in /proc/PID/stat; `Z` is a zombie. */
  readonly state: string;
  readonly argv: readonly string[];
  /** Monotonic ms at which it began. */
  readonly since: number;
  /** `leader`: stands for the command. `member`: is the command's, and does not. `refused`: is not the command's. */
  readonly verdict: 'leader' | 'member' | 'refused';
  /** In words: `it carries the command's tag`. */
  readonly because: string;
}

/** What a command requires and has not got. */
export interface Awaited {
  readonly command: string;
  /** `db: ready`. */
  readonly text: string;
  /** It may come by itself: who is awaited has not been stopped, and has not failed for good. */
  readonly comes: boolean;
}

/** How commands are told to read their own configuration. */
export interface Reloading {
  /** ms, at most, for what their reload commands come to; a signal is done when it is sent. */
  readonly wait: number;
  /** Leaves out whoever can't be told. */
  readonly able: boolean;
  /** Called before anything is done, and not if it is refused. @param names who is told; none: the policy is read again */
  readonly accepted: (names: readonly string[]) => void;
}

/** What a request comes to. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** What has become of a command's reload; `ok` null: nothing yet. */
export interface Reloaded {
  readonly ok: boolean | null;
  readonly text: string;
}

export interface Inside {
  readonly version: string;
  /** Monotonic ms. */
  readonly now: () => number;
  /** Time of day, ms since 1970, of a monotonic time. */
  readonly timeOf: (at: number) => number;
  readonly isEnding: () => boolean;
  /** In the order in which they were given. */
  readonly names: () => readonly string[];
  readonly groups: () => readonly GroupPlan[];
  /** null: there is no such command, or it has not begun. */
  readonly viewOf: (name: string) => CommandView | null;
  readonly waitingFor: (name: string) => readonly Awaited[];
  readonly candidatesOf: (name: string) => readonly Candidate[];
  /** How the command has died or failed to start: the last ten times, oldest first. */
  readonly crashesOf: (name: string) => readonly CrashReport[];
  readonly probedOf: (name: string) => ProbedLast;
  /** ms that a stop may take at most, unless the policy says less. */
  readonly grace: () => number;
  /** Tells that somebody has asked for something. @param by null: nobody can tell who */
  readonly note: (order: string, names: readonly string[], by: Peer | null, via?: 'inspector') => void;
  /** Who has connected; null: nobody can tell. */
  readonly peerOf: (client: Socket) => Peer | null;
  readonly order: (name: string, order: CommandOrder) => void;
  /** To the leader alone. @returns why not; null: it is sent */
  readonly signal: (name: string, signal: string) => string | null;
  readonly shutdown: (reason: string) => void;
  /** Without names: reads the policy again. With names: has these commands read their own configuration. */
  readonly reload: (names: readonly string[], how: Reloading) => Promise<Answer>;
  /** Takes out what nobody should be shown. */
  readonly redact: (text: string) => string;
  /** The same of each text in what becomes JSON. @param key under which it stands there */
  readonly redactValue: <T>(value: T, key?: string) => T;
  readonly journal: Journal;
  /** null: upkeep does not see what services write. */
  readonly recent: Recent | null;
}
