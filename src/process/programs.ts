/** Starts what a command is made of, its launcher and whatever helps it (its own stop command, a probe …), and enters them
 * in the books. */
import type { Exit, ProcessId } from '../../machines/events.ts';
import type { Execution } from './execution.ts';
import {
  type Launched,
  type LaunchOptions,
  launch,
  type NotLaunched,
  onExit,
  type Program,
} from './launch.ts';
import type { Lineage } from './lineage.ts';
import type { Signaller } from './signal.ts';
import type { Stdio, Streams } from './streams.ts';
import { isDead, type ProcessRow, type ProcessTable } from './table.ts';
import type { Tags } from './tags.ts';

/** What belongs to one command. */
export interface Runnable extends Program {
  readonly stop: { readonly file: string; readonly args: readonly string[] } | null;
  /** With whose rights it runs, and all that helps it; null: with upkeep's own. */
  readonly execution: Execution | null;
}

/** Where what a helper writes goes: among the command's lines, or nowhere. */
export type HelperOutput = 'command' | 'ignore';

export interface ProgramsOptions {
  readonly launchOptions: LaunchOptions;
  /** Asked at every launch: a policy may change. */
  readonly runnableOf: (command: string) => Runnable;
  /** null: programs write to upkeep's own stdout and stderr. */
  readonly streams: Streams | null;
  readonly tags: Tags | null;
  readonly table: Pick<ProcessTable, 'startTicksOf' | 'rows' | 'refresh'>;
  readonly lineage: Pick<Lineage, 'launched' | 'helper' | 'isMember'>;
  readonly signaller: Pick<Signaller, 'forget'>;
  /** Takes a launcher from Node, whose end is then told otherwise; false: it is left to Node. See Reaper. */
  readonly take?: (child: { readonly pid?: number | undefined }) => boolean;
  /** Hears of the end of every launcher that was not taken. */
  readonly onEnd: (pid: number, exit: Exit) => void;
  /** Has the process table looked at, at once where that can be. */
  readonly look: () => void;
  /** How many looks have come to their end. */
  readonly looks: () => number;
}

export interface Programs {
  /** Starts the command's launcher. */
  readonly start: (command: string) => ProcessId | Promise<NotLaunched>;
  /** Runs the command's own stop command, as `run` does. */
  readonly stop: (command: string, ended: (result: Exit | { error: string }) => void) => () => void;
  /**
   * Runs a program that helps a command (to reload, to find out how it is): with the command's rights and environment,
   * in a session of its own, and never taken for the service. When a signal ends it, so does all that it has started.
   *
   * @param ended called once, unless the function that is returned has been called before
   * @returns ends it before its time, with all that it has started; `gone` is called once when nothing of it is there any more,
   * perhaps at once
   */
  readonly run: (
    command: string,
    program: Program,
    ended: (result: Exit | { error: string }) => void,
    output?: HelperOutput,
  ) => (gone?: () => void) => void;
}

/** A helper that was ended before its time, and what it has started. */
interface Hunt {
  /** What no row has, where there are no tags. */
  readonly tag: string;
  /** Start ticks of the helper and of all that were found, by pid. */
  readonly known: Map<number, number>;
  turns: number;
  /** How many looks there had been when it began. */
  readonly since: number;
  /** Who hears of it when nothing is left. */
  gone: () => void;
}

/** ms between two looks for what an ended helper has started. */
const HUNT_PAUSE = 20;
/** The least of them, those alone that have come to their end: on a busy machine each takes its time, and who was just being
 * forked is seen a moment later. */
const HUNT_LEAST = 3;
/** After so many pauses, what SIGKILL has not ended is stuck in the kernel. */
const HUNT_MOST = 50;

const nothing = (): void => {};

export function createPrograms(options: ProgramsOptions): Programs {
  const { launchOptions, runnableOf, streams, tags, table, lineage, signaller, onEnd, look, looks } = options;
  const hunts = new Set<Hunt>();
  let timer: NodeJS.Timeout | null = null;

  function spawn(
    command: string,
    program: Program,
    tag: bigint | null,
    output: HelperOutput = 'command',
  ): Launched | Promise<NotLaunched> {
    if (output === 'ignore')
      return launch(launchOptions, program, { stdout: 'ignore', stderr: 'ignore' }, tag);
    const start = (stdio: Stdio) => launch(launchOptions, program, stdio, tag);
    const launched = streams?.lend(command, start) ?? start({ stdout: 'inherit', stderr: 'inherit' });
    if ('child' in launched) streams?.attach(command, launched.child);
    return launched;
  }

  /** Whom the helper has started: by its tag, and by descent as far as that is seen, for PAM takes the tag from who is in a
   * session of its making. It may give it as well, for it copies upkeep's limits: who belongs to a command stays. */
  function startedBy({ tag, known }: Hunt): ProcessRow[] {
    const rows = [...table.rows.values()].filter(({ pid }) => !lineage.isMember(pid));
    const isFound = ({ pid, startTicks }: ProcessRow): boolean => known.get(pid) === startTicks;
    const isBelow = ({ ppid, startTicks }: ProcessRow): boolean => {
      const parent = table.rows.get(ppid);
      const since = known.get(ppid);
      return since !== undefined && (parent === undefined || isFound(parent)) && startTicks >= since;
    };
    const find = (): ProcessRow[] =>
      rows.filter((row) => !isFound(row) && (row.locks === tag || isBelow(row)));
    for (let found = find(); found.length > 0; found = find()) {
      for (const { pid, startTicks } of found) known.set(pid, startTicks);
    }
    return rows.filter(isFound);
  }

  function isLeft({ pid }: ProcessRow): boolean {
    const row = table.refresh(pid);
    if (row === null || (row !== 'unknown' && isDead(row))) return false;
    kill(pid);
    return true;
  }

  function chase(): void {
    look();
    for (const hunt of hunts) {
      const isOver = startedBy(hunt).filter(isLeft).length === 0;
      hunt.turns++;
      const { gone, since, turns } = hunt;
      const ended = looks() - since;
      if (ended >= HUNT_LEAST && (isOver || turns >= HUNT_MOST)) hunts.delete(hunt);
      if (hunts.has(hunt) && !(isOver && ended > 0)) continue;
      hunt.gone = nothing;
      gone();
    }
    if (hunts.size === 0 || timer !== null) return;
    timer = setTimeout(() => {
      timer = null;
      chase();
    }, HUNT_PAUSE);
    timer.unref();
  }

  /** Ends a helper, and all that it has started. */
  function end(pid: number, startTicks: number, tag: bigint | null, gone: () => void): void {
    const hunt: Hunt = {
      tag: String(tag),
      known: new Map([[pid, startTicks]]),
      turns: 0,
      since: looks(),
      gone,
    };
    // Before it has no parent any more by which it could be found.
    look();
    startedBy(hunt);
    // Node may have reaped it, and not have told of it yet: then somebody else may have its number.
    const row = table.refresh(pid);
    if (row === null || row === 'unknown' || row.startTicks === startTicks) kill(-pid);
    hunts.add(hunt);
    chase();
  }

  const run: Programs['run'] = (command, program, ended, output) => {
    const { env, execution } = runnableOf(command);
    const helper = { ...program, env: { ...env, ...program.env }, execution };
    const tag = tags?.nextHelper() ?? null;
    let over = false;
    let endIt = (gone: () => void): void => gone();
    const finish = (result: Exit | { error: string }): void => {
      if (over) return;
      // Before it is told: whoever hears of it may want it ended, and there is nothing to be ended any more.
      over = true;
      ended(result);
    };
    const launched = spawn(command, helper, tag, output);
    if ('child' in launched) {
      const { pid } = launched;
      const startTicks = table.startTicksOf(pid);
      endIt = (gone) => end(pid, startTicks, tag, gone);
      lineage.helper(pid, true);
      onExit(launched.child, (exit) => {
        lineage.helper(pid, false);
        // It had no say in what becomes of what it has started.
        if (!over && exit.signal !== null) endIt(nothing);
        finish(exit);
      });
    } else {
      launched.then(finish, finish);
    }
    return (gone = nothing) => {
      if (over) return gone();
      over = true;
      endIt(gone);
    };
  };

  return {
    start(command) {
      const launched = spawn(command, runnableOf(command), tags?.numberOf(command) ?? null);
      if (!('child' in launched)) return launched;
      const { child, pid } = launched;
      const id = { pid, startTicks: table.startTicksOf(pid) };
      lineage.launched(command, id);
      signaller.forget(command);
      if (!options.take?.(child)) onExit(child, (exit) => onEnd(pid, exit));
      return id;
    },
    stop: (command, ended) => run(command, { ...runnableOf(command).stop!, env: {} }, ended),
    run,
  };
}

/** @param pid negative: of a process group */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}
