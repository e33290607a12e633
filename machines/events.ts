/**
 * The whole vocabulary on one screen. Orders are imperative, facts are past tense.
 * Every `at` is monotonic time in milliseconds; every delay is in milliseconds.
 */

import type { CommandPolicy, Strategy } from './restart-policy.ts';
import type { GroupPlan, SupervisorPlan } from './tree.ts';

/** A pid alone is no identity: pids are used again. `startTicks` is 0 where the table cannot tell it. */
export interface ProcessId {
  readonly pid: number;
  readonly startTicks: number;
}

/**
 * Why a process counts as a command's leader. `launcher`: upkeep started it and it stayed. `tag`: it carries
 * the command's lineage tag. `ancestry`: it descends from the launcher. `name`: its name fits, nothing better
 * is known. `notify`: it is one of the command's own, and the command has said so (MAINPID).
 */
export type Rule = 'launcher' | 'tag' | 'ancestry' | 'name' | 'notify';

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

/** `started`: it runs. `ready`: so its readiness probe says, where it has one. `completed`: it has run to its end, with
 * success. */
export type Milestone = 'started' | 'ready' | 'completed';

/** A command as the machines see it. What it runs is known to src/ alone. */
export interface CommandPlan {
  readonly name: string;
  readonly policy: CommandPolicy;
  /** Its failure for good ends the container. */
  readonly vital: boolean;
  /** What others have to reach before it is started, by name. */
  readonly requires: Readonly<Record<string, Milestone>>;
  /** Who is started before it and stopped after it. */
  readonly after: readonly string[];
}

/** What a policy that was read again says otherwise, by command. */
export interface PolicyDiff {
  readonly started: readonly string[];
  readonly stopped: readonly string[];
  /** Their processes are replaced. */
  readonly restarted: readonly string[];
  /** They are kept running in another way; their processes stay. */
  readonly adjusted: readonly string[];
  readonly unchanged: number;
  /** What else is another: `groups`, `container`. */
  readonly sections: readonly string[];
  /** Of those restarted and adjusted, the keys that say something else. */
  readonly notes: Readonly<Record<string, readonly string[]>>;
}

/** A command's part among others. */
export interface CommandRole {
  /** It requires something, and waits for its release before it is started by an order. */
  readonly waits: boolean;
  /** Somebody cares for what it reaches and loses. */
  readonly watched: boolean;
  /** When it dies, its group says when it is started again. */
  readonly grouped: boolean;
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
  | { readonly type: 'command.kill'; readonly at: number }
  /** Reads its configuration again, by the means that the policy names. */
  | { readonly type: 'command.reload'; readonly at: number }
  /** What it requires is there. */
  | { readonly type: 'command.release'; readonly at: number }
  /** Its group starts it again after its death, as soon as it would by itself. */
  | { readonly type: 'command.rejoin'; readonly at: number }
  /** The policy file was read again, and says something else of how it is kept running. */
  | {
      readonly type: 'command.adjust';
      readonly at: number;
      readonly policy: CommandPolicy;
      readonly role: CommandRole;
      /** Its restart is ordered right behind it: what the run has reached is nobody's any more. */
      readonly restarts?: boolean;
    };

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
  /** The service has said that another one of its own leads it from now on. */
  | { readonly type: 'leader.named'; readonly at: number; readonly leader: Leader }
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
  | { readonly type: 'stopper.finished'; readonly at: number; readonly error: string | null }
  /** A probe has ended; `reason`: why it failed, null when it did not. */
  | { readonly type: 'probe.finished'; readonly at: number; readonly reason: string | null }
  /** The service has said how it is: for people. */
  | { readonly type: 'status.told'; readonly at: number; readonly status: string }
  /** The service has said that it is about to end. */
  | { readonly type: 'end.announced'; readonly at: number }
  /** The schedule's next time is in `wait` ms. */
  | { readonly type: 'schedule.planned'; readonly at: number; readonly wait: number }
  | { readonly type: 'schedule.due'; readonly at: number };

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
  /** `idle`: nothing was there to stop. */
  | {
      readonly type: 'command.stopping';
      readonly command: string;
      readonly how: string;
      readonly idle: boolean;
    }
  | {
      readonly type: 'command.stopped';
      readonly command: string;
      readonly exit: Exit | null;
      readonly took: number;
      readonly left: number;
      readonly idle: boolean;
    }
  | { readonly type: 'command.failed'; readonly command: string; readonly reason: string }
  /** What it requires is not there yet. */
  | { readonly type: 'command.waiting'; readonly command: string; readonly for: readonly string[] }
  | { readonly type: 'command.ready'; readonly command: string; readonly took: number }
  /** It says that it is about to end. `status`: what it has said last of how it is. */
  | { readonly type: 'command.ending'; readonly command: string; readonly status: string | null }
  /** `next`: what follows. */
  | {
      readonly type: 'command.unhealthy';
      readonly command: string;
      readonly reason: string;
      readonly next: 'restart' | 'ignore' | 'fail';
    }
  | { readonly type: 'command.healthy'; readonly command: string }
  /** It has run to its end, with success or for the last time that a schedule's run is tried. */
  | {
      readonly type: 'command.completed';
      readonly command: string;
      readonly exit: Exit | null;
      readonly success: boolean;
      readonly took: number;
    }
  | { readonly type: 'command.scheduled'; readonly command: string; readonly wait: number }
  /** A run of a schedule was due while the one before it went on. */
  | {
      readonly type: 'command.overlapped';
      readonly command: string;
      readonly next: 'skip' | 'queue' | 'kill';
    }
  | { readonly type: 'command.reloading'; readonly command: string }
  | {
      readonly type: 'group.restarting';
      readonly group: string;
      readonly strategy: Strategy;
      readonly because: string;
      readonly members: readonly string[];
    }
  | { readonly type: 'group.failed'; readonly group: string; readonly reason: string }
  /** Somebody has asked for it over the control socket. Without commands it is for upkeep itself. `by`: whoever has connected,
   * as the kernel tells (pid 0: of another PID namespace); null, or not there: it is not known. */
  | {
      readonly type: 'operator.ordered';
      readonly order: string;
      readonly commands: readonly string[];
      readonly by?: { readonly uid: number; readonly pid: number } | null;
    }
  | ({ readonly type: 'policy.reloaded' } & PolicyDiff)
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

/** A command has come to rest: wished down, given up, or done. `completed` is told of one-shots and of services that need not
 * be restarted. */
export interface CommandRested {
  readonly type: 'command.rested';
  readonly at: number;
  readonly command: string;
  readonly state: 'stopped' | 'failed' | 'completed';
  readonly left: number;
  /** How its last run ended. */
  readonly exit: Exit | null;
}

/** How far a command has come, for whoever waits for it. `waiting`: it asks for its release. `fallen`: what it had reached is
 * lost; `halted`: so it is, by an order; `died`: it had been running, and was not ended by an order. `begun`: so its group says
 * when it starts it again. */
export interface CommandReached {
  readonly type: 'command.reached';
  readonly at: number;
  readonly command: string;
  readonly what: 'waiting' | 'started' | 'ready' | 'died' | 'fallen' | 'halted' | 'begun';
}

/** A group has given up, and all of it rests. */
export interface GroupRested {
  readonly type: 'group.rested';
  readonly at: number;
  readonly group: string;
}

/** What a group of commands is told: by what holds it, and by its members. */
export type GroupEvent =
  | Extract<ScanReport, { type: 'scan.changed' }>
  | CommandRested
  | CommandReached
  | GroupRested
  /** An order for one command. */
  | { readonly type: 'command.ordered'; readonly command: string; readonly order: CommandOrder }
  /** An order for each of them. */
  | { readonly type: 'all.ordered'; readonly order: CommandOrder }
  /** It starts nobody again by itself: the container ends, or the policy does not know it any more. */
  | { readonly type: 'group.closed' }
  /** The policy has changed: the command is somebody else's now, or nobody's; other rules hold for the group. */
  | { readonly type: 'member.dropped'; readonly command: string }
  | { readonly type: 'group.adjusted'; readonly plan: GroupPlan };

export type SupervisorEvent =
  | ScanReport
  | CommandRested
  | CommandReached
  | GroupRested
  /** An order for one command. */
  | { readonly type: 'command.ordered'; readonly command: string; readonly order: CommandOrder }
  /** The policy file was read again. `found`: who leads now. */
  | {
      readonly type: 'policy.changed';
      readonly at: number;
      readonly plan: SupervisorPlan;
      readonly diff: PolicyDiff;
      readonly found: Readonly<Record<string, Leader>>;
      /** What is alive of those whom nobody leads, where anything is. */
      readonly remains?: Readonly<Record<string, Remains>>;
    }
  /** End the container's life; the second such order kills. */
  | { readonly type: 'shutdown.ordered'; readonly at: number; readonly reason: string };
