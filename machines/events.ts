/**
 * The whole vocabulary on one screen. Orders are imperative, facts are past tense.
 * Every `at` is monotonic time in milliseconds; every delay is in milliseconds.
 */

/** A pid alone is no identity: pids are used again. `startTicks` is 0 where the table cannot tell it. */
export interface ProcessId {
  readonly pid: number;
  readonly startTicks: number;
}

/**
 * Why a process counts as a command's leader. `launcher`: upkeep started it and it stayed. `tag`: it carries
 * the command's lineage tag. `ancestry`: it descends from the launcher. `name`: its name fits, nothing better
 * is known.
 */
export type Rule = 'launcher' | 'tag' | 'ancestry' | 'name';

/** The one process that stands for the service. */
export interface Leader extends ProcessId {
  readonly name: string;
  readonly rule: Rule;
  /** Monotonic ms at which the process itself began; may be negative, for one that is older than upkeep. */
  readonly since: number;
}

/** How a process ended. `known: false` when it was no child of ours, so that nobody could tell us. */
export interface Exit {
  readonly known: boolean;
  readonly code: number | null;
  /** `SIGKILL`, `SIGTERM` … */
  readonly signal: string | null;
  readonly core: boolean;
}

/** What is alive of a service. `workers`: in the session of the leader that died. `sessions`: logins and the
 * like that PAM opened: known by descent, without the tag, and never stopped but at the container's end. */
export interface Remains {
  readonly workers: number;
  readonly tagged: number;
  readonly sessions: number;
}

/** What an operator, a group or the root asks of one command. */
export type CommandOrder =
  | { readonly type: 'command.start'; readonly at: number }
  | { readonly type: 'command.restart'; readonly at: number }
  /** `budget`: ms until nothing may be left. `everything`: the sessions as well. */
  | {
      readonly type: 'command.stop';
      readonly at: number;
      readonly budget: number;
      readonly everything: boolean;
    }
  /** No more waiting: SIGKILL. */
  | { readonly type: 'command.kill'; readonly at: number };

/** What was observed of one command. */
export type CommandFact =
  | ({ readonly type: 'launcher.started'; readonly at: number } & ProcessId)
  /** Nothing was started. `blame: system` when it is no fault of the command's (fork failed: EAGAIN, ENOMEM). */
  | {
      readonly type: 'launch.failed';
      readonly at: number;
      readonly error: string;
      readonly blame: 'command' | 'system';
    }
  /** Somebody stands for the service though upkeep has no leader on its books. */
  | { readonly type: 'leader.seen'; readonly at: number; readonly leader: Leader }
  /** The launcher or the leader is gone. `heir`: the process that has taken over, if one has. */
  | {
      readonly type: 'leader.exited';
      readonly at: number;
      readonly id: ProcessId;
      readonly exit: Exit;
      readonly heir: Leader | null;
      readonly remains: Remains;
    }
  /** The answer to every `signal` effect, and told again whenever a number has changed since. */
  | { readonly type: 'lineage.counted'; readonly at: number; readonly remains: Remains }
  /** The service's own stop command has ended. */
  | { readonly type: 'stopper.finished'; readonly at: number; readonly error: string | null };

export type CommandEvent = CommandOrder | CommandFact;

/** Whom a signal is for. `workers` and `tagged` as in Remains; `everything`: the sessions as well. */
export type SignalScope = 'workers' | 'tagged' | 'everything';

/** What is told to the outside: log, event stream, metrics. One typed stream, emitted by the root. */
export type Told = { readonly at: number } & (
  | {
      readonly type: 'upkeep.started';
      readonly version: string;
      readonly pid: number;
      readonly commands: readonly string[];
      readonly table: string;
      readonly lineage: string;
      readonly reaping: string;
    }
  | {
      readonly type: 'upkeep.notice';
      readonly command: string | null;
      readonly level: 'info' | 'warn';
      readonly message: string;
    }
  | {
      readonly type: 'command.launched';
      readonly command: string;
      readonly pid: number;
      readonly start: number;
    }
  | {
      readonly type: 'command.running';
      readonly command: string;
      readonly leader: Leader;
      readonly how: 'started' | 'adopted' | 'handover';
      readonly took: number | null;
    }
  /** `restart`: how many restarts this command has had, this one included. `wait`: ms until the next try, 0 for
   * at once; null: there will be none. */
  | {
      readonly type: 'command.died';
      readonly command: string;
      readonly id: ProcessId;
      readonly exit: Exit;
      readonly uptime: number;
      readonly restart: number;
      readonly wait: number | null;
      readonly remains: Remains;
    }
  | {
      readonly type: 'command.failedStart';
      readonly command: string;
      readonly pid: number | null;
      readonly reason: string;
      readonly exit: Exit | null;
      readonly failures: number;
      readonly wait: number | null;
    }
  | {
      readonly type: 'command.clearing';
      readonly command: string;
      readonly remains: Remains;
      readonly signal: string;
    }
  | { readonly type: 'command.stopping'; readonly command: string; readonly how: string }
  | {
      readonly type: 'command.stopped';
      readonly command: string;
      readonly exit: Exit | null;
      readonly took: number;
      readonly left: number;
    }
  | { readonly type: 'command.failed'; readonly command: string; readonly reason: string }
  | { readonly type: 'supervisor.stopping'; readonly reason: string; readonly budget: number }
  | {
      readonly type: 'supervisor.stopped';
      readonly code: number;
      readonly took: number;
      readonly left: number;
    }
);

/** What a machine hands to its `tell` port: src/ stamps the time on it. */
export type Telling = Told extends infer T ? (T extends unknown ? Omit<T, 'at'> : never) : never;

/** A fact, and of which command. */
export interface NamedFact {
  readonly command: string;
  readonly fact: CommandFact;
}

/** What the scan reports to the root: edges only. The first report carries who was found alive. */
export type ScanReport =
  | { readonly type: 'scan.began'; readonly at: number; readonly found: Readonly<Record<string, Leader>> }
  | {
      readonly type: 'scan.changed';
      readonly at: number;
      readonly facts: readonly NamedFact[];
    };

/** A command has come to rest, wished or given up. */
export interface CommandRested {
  readonly type: 'command.rested';
  readonly at: number;
  readonly command: string;
  readonly state: 'stopped' | 'failed';
  readonly left: number;
}

/** What a group of commands is told: by the root, and by its commands. */
export type GroupEvent =
  | Extract<ScanReport, { type: 'scan.changed' }>
  | CommandRested
  /** An order for one command. */
  | { readonly type: 'command.ordered'; readonly command: string; readonly order: CommandOrder }
  /** An order for each of them. */
  | { readonly type: 'all.ordered'; readonly order: CommandOrder };

export type SupervisorEvent =
  | ScanReport
  | CommandRested
  /** An order for one command. */
  | { readonly type: 'command.ordered'; readonly command: string; readonly order: CommandOrder }
  /** End the container's life; the second such order kills. */
  | { readonly type: 'shutdown.ordered'; readonly at: number; readonly reason: string };
