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
import type { Streams } from './streams.ts';
import type { ProcessTable } from './table.ts';
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
  readonly table: Pick<ProcessTable, 'startTicksOf'>;
  readonly lineage: Pick<Lineage, 'launched' | 'helper'>;
  readonly signaller: Pick<Signaller, 'forget'>;
  /** Takes a launcher from Node, whose end is then told otherwise; false: it is left to Node. See Reaper. */
  readonly take?: (child: { readonly pid?: number | undefined }) => boolean;
  /** Hears of the end of every launcher that was not taken. */
  readonly onEnd: (pid: number, exit: Exit) => void;
}

export interface Programs {
  /** Starts the command's launcher. */
  readonly start: (command: string) => ProcessId | Promise<NotLaunched>;
  /** Runs the command's own stop command, as `run` does. */
  readonly stop: (command: string, ended: (result: Exit | { error: string }) => void) => () => void;
  /**
   * Runs a program that helps a command (to reload, to find out how it is): with the command's rights and environment,
   * in a session of its own, and never taken for the service.
   *
   * @param ended called once, unless the function that is returned has been called before
   * @returns ends it before its time, with all of its session that is left
   */
  readonly run: (
    command: string,
    program: Program,
    ended: (result: Exit | { error: string }) => void,
    output?: HelperOutput,
  ) => () => void;
}

export function createPrograms(options: ProgramsOptions): Programs {
  const { launchOptions, runnableOf, streams, tags, table, lineage, signaller, onEnd } = options;

  function spawn(
    command: string,
    program: Program,
    tag: bigint | null,
    output: HelperOutput = 'command',
  ): Launched | Promise<NotLaunched> {
    if (output === 'ignore')
      return launch(launchOptions, program, { stdout: 'ignore', stderr: 'ignore' }, tag);
    const stdio = streams?.stdioOf(command) ?? { stdout: 'inherit', stderr: 'inherit' };
    const launched = launch(launchOptions, program, stdio, tag);
    if ('child' in launched) streams?.attach(command, launched.child);
    return launched;
  }

  const run: Programs['run'] = (command, program, ended, output) => {
    const { env, execution } = runnableOf(command);
    let pid = 0;
    let over = false;
    const finish = (result: Exit | { error: string }): void => {
      if (!over) ended(result);
      over = true;
    };
    const helper = { ...program, env: { ...env, ...program.env }, execution };
    const launched = spawn(command, helper, null, output);
    if ('child' in launched) {
      pid = launched.pid;
      lineage.helper(pid, true);
      onExit(launched.child, (exit) => {
        lineage.helper(pid, false);
        finish(exit);
      });
    } else {
      launched.then(finish, finish);
    }
    return () => {
      if (over) return;
      over = true;
      if (pid === 0) return;
      try {
        process.kill(-pid, 'SIGKILL');
      } catch {
        // It has just ended by itself.
      }
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
