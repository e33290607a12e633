/**
 * What policy/ hands to the rest, validated and with every default filled in. All durations are in milliseconds.
 */
import type { Milestone } from '../../machines/events.ts';
import type { CommandPolicy, Intensity, Strategy } from '../../machines/restart-policy.ts';
import type { ExitWhen } from '../../machines/tree.ts';
import type { Occasion } from '../output/occasions.ts';

/** A program to execute as it is, or by /bin/sh -c where `shell`. */
export interface ProgramSpec {
  /** As the user wrote it. */
  readonly text: string;
  /** A program (with or without a slash) and its arguments. */
  readonly file: string;
  readonly args: readonly string[];
  /** Variables set in front of the command (`A=1 prog`). */
  readonly env: Readonly<Record<string, string>>;
}

/** A managed command. */
export interface CommandSpec extends ProgramSpec {
  /** Unique among the commands of one upkeep. */
  readonly name: string;
  /** True when /bin/sh -c runs it. */
  readonly shell: boolean;
  /** Basenames that a leader of this command may have (program, script …); for adoption and choice of a leader. */
  readonly fits: readonly string[];
  /** True when the launcher is expected to return (init scripts): it gets the start timeout, not the settle time. */
  readonly returns: boolean;
  /** The command's own stop: `/etc/init.d/X stop` for `/etc/init.d/X start`. */
  readonly stop: Pick<ProgramSpec, 'file' | 'args'> | null;
  /** What a policy file adds; null: the command was given as an argument, or in a Procfile. */
  readonly policy: CommandExtras | null;
}

/** What only a policy file can say of a command. */
export interface CommandExtras {
  /** The numbers that the machine decides by. */
  readonly machine: CommandPolicy;
  /** What has to be reached by others before it is started: by name of a command. */
  readonly requires: Readonly<Record<string, Milestone>>;
  /** Commands that are started before it where both are, and stopped after it; nothing is required of them. */
  readonly after: readonly string[];
  readonly onFailed: 'ignore' | 'exit';
  readonly match: MatchSpec | null;
  readonly ready: ProbeSpec | null;
  readonly health: ProbeSpec | null;
  readonly schedule: ScheduleSpec | null;
  /** What `upkeep reload NAME` does. `timeout`: ms that the program may take. */
  readonly reload:
    | { readonly signal: string }
    | { readonly program: ProgramSpec; readonly timeout: number }
    | null;
  readonly execution: ExecutionSpec;
  readonly log: LogSpec;
}

/** Who may be the leader, where lineage is not enough. All that is given must hold. */
export interface MatchSpec {
  /** Basename. */
  readonly name: string | null;
  /** A regular expression's source, for the arguments joined by spaces. */
  readonly pattern: string | null;
  readonly user: string | null;
  /** Basename of the parent. */
  readonly parent: string | null;
  readonly pidFile: string | null;
  /** How many such processes a service has, at least and at most. */
  readonly count: readonly [number, number] | null;
}

export type ProbeSpec =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | {
      readonly kind: 'http';
      /** http:// or https://. */
      readonly url: string;
      readonly method: string;
      readonly headers: Readonly<Record<string, string>>;
      /** Inclusive ranges; a success is in one of them. */
      readonly status: readonly (readonly [number, number])[];
      /** Sources of regular expressions that response headers have to match, by lower-case name. */
      readonly expectHeaders: Readonly<Record<string, string>>;
      /** A regular expression's source. */
      readonly body: string | null;
    }
  | { readonly kind: 'exec'; readonly program: ProgramSpec }
  /** A line of the service's own output. Of a run, from its launch on. */
  | { readonly kind: 'log'; readonly pattern: string }
  /** The file is there, and was changed after the launch where `fresh`. */
  | { readonly kind: 'file'; readonly path: string; readonly fresh: boolean }
  /** sd_notify: READY=1 for readiness; for health WATCHDOG=1 within `timeout`. */
  | { readonly kind: 'notify' }
  /** The leader or what it started listens on this TCP port. */
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'delay'; readonly ms: number };

export interface ScheduleSpec {
  /** Cron's five or six fields, or @hourly … */
  readonly pattern: string;
  /** IANA name; null: the container's. */
  readonly timezone: string | null;
  /** Each run is put off by a random time up to this. */
  readonly jitter: number;
}

/** Whose rights a command runs with, and where. */
export interface ExecutionSpec {
  /** Name or number; null: upkeep's own. */
  readonly user: string | null;
  readonly group: string | null;
  /** Names or numbers; null: those that /etc/group gives the user. */
  readonly groups: readonly string[] | null;
  readonly umask: number | null;
  readonly cwd: string | null;
  readonly env: Readonly<Record<string, string>>;
  /** Read at each launch; the later wins, `env` wins over all. A leading `-` in the policy: may be missing. */
  readonly envFiles: readonly { readonly path: string; readonly optional: boolean }[];
  /** Variables whose values are read from the file that `NAME_FILE` names (or that is given), and shown nowhere. */
  readonly secrets: Readonly<Record<string, { readonly file: string | null }>>;
  /** -20 to 19. */
  readonly nice: number | null;
  /** As prlimit calls them: nofile, nproc …; numbers or 'unlimited'. */
  readonly limits: Readonly<Record<string, { readonly soft: string; readonly hard: string }>>;
  readonly noNewPrivileges: boolean;
  /** What is left of the capabilities (`net_bind_service`); null: all. */
  readonly capabilities: readonly string[] | null;
}

export interface LogSpec {
  /** In front of each plain line; null: the command's name. An empty text: no prefix. */
  readonly prefix: string | null;
  /** null: as `--log` says. */
  readonly format: 'plain' | 'json' | null;
  /** Its lines go here as well. */
  readonly file: {
    readonly path: string;
    /** Bytes at which a file is full; 0: never. */
    readonly size: number;
    /** Full files that are kept, beside the one that is written. */
    readonly count: number;
    /** False: they go to the file alone. */
    readonly tee: boolean;
  } | null;
  /** Files whose new lines are logged as the command's. */
  readonly tail: readonly string[];
}

export interface GroupSpec {
  readonly name: string;
  /** Names of commands or groups; each is in one group at most. */
  readonly members: readonly string[];
  readonly strategy: Strategy;
  readonly intensity: Intensity | null;
  readonly onFailed: 'ignore' | 'exit';
}

export interface ContainerSpec {
  /** null: as `--grace` says. */
  readonly grace: number | null;
  readonly exitWhen: ExitWhen;
  /** The command whose exit status is the container's; null: upkeep's own exit codes. */
  readonly exitCodeFrom: string | null;
  /** Where syslog messages are heard. false: nowhere; null: as `--syslog` says. */
  readonly syslog: string | false | null;
  /** `ADDRESS:PORT` at which orchestrators are answered. false: nowhere; null: as `--http` says. */
  readonly http: string | false | null;
}

/** A value, or the file that it is read from each time it is needed: it is shown nowhere. */
export type Given = string | { readonly file: string };

/** Who is told of what: an entry of `on:`. There is either a webhook or a program. */
export interface HookSpec {
  readonly name: string;
  readonly events: readonly Occasion[];
  /** Of which commands and groups; null: of all. What is no command's and no group's is told in any case. */
  readonly commands: readonly string[] | null;
  readonly webhook: {
    /** http:// or https://. */
    readonly url: Given;
    readonly headers: Readonly<Record<string, Given>>;
    /** Instead of the whole notification: any JSON, in whose texts `{message}` and the like are filled in; null: the whole. */
    readonly body: unknown;
  } | null;
  readonly program: ProgramSpec | null;
  /** Of one try. */
  readonly timeout: number;
  /** Tries after the first one. */
  readonly retries: number;
  /** From the end of one notification to the next, at least. */
  readonly interval: number;
}

/** All that one `upkeep run` is to do. */
export interface Policy {
  readonly commands: readonly CommandSpec[];
  readonly groups: readonly GroupSpec[];
  readonly container: ContainerSpec;
  readonly hooks: readonly HookSpec[];
}
