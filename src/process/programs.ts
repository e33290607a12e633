/** Starts what a command is made of, its launcher and its own stop command, and enters them in the books. */
import type { Exit, ProcessId } from '../../machines/events.ts';
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
}

export interface ProgramsOptions {
  readonly launchOptions: LaunchOptions;
  readonly runnables: ReadonlyMap<string, Runnable>;
  /** null: programs write to upkeep's own stdout and stderr. */
  readonly streams: Streams | null;
  readonly tags: Tags | null;
  readonly table: Pick<ProcessTable, 'startTicksOf'>;
  readonly lineage: Pick<Lineage, 'launched' | 'helper'>;
  readonly signaller: Pick<Signaller, 'forget'>;
  /** Hears of the end of every launcher. */
  readonly onEnd: (pid: number, exit: Exit) => void;
}

export interface Programs {
  /** Starts the command's launcher. */
  readonly start: (command: string) => ProcessId | Promise<NotLaunched>;
  /** Runs the command's own stop command; `ended` is called once, unless the function that is returned has ended it
   * before its time. */
  readonly stop: (command: string, ended: (result: Exit | { error: string }) => void) => () => void;
}

export function createPrograms(options: ProgramsOptions): Programs {
  const { launchOptions, runnables, streams, tags, table, lineage, signaller, onEnd } = options;

  function spawn(command: string, program: Program, tag: bigint | null): Launched | Promise<NotLaunched> {
    const stdio = streams?.stdioOf(command) ?? { stdout: 'inherit', stderr: 'inherit' };
    const launched = launch(launchOptions, program, stdio, tag);
    if ('child' in launched) streams?.attach(command, launched.child);
    return launched;
  }

  return {
    start(command) {
      const launched = spawn(command, runnables.get(command)!, tags?.numberOf(command) ?? null);
      if (!('child' in launched)) return launched;
      const { child, pid } = launched;
      const id = { pid, startTicks: table.startTicksOf(pid) };
      lineage.launched(command, id);
      signaller.forget(command);
      onExit(child, (exit) => onEnd(pid, exit));
      return id;
    },
    stop(command, ended) {
      const { stop, env } = runnables.get(command)!;
      let running = 0;
      let over = false;
      const finish = (result: Exit | { error: string }): void => {
        if (!over) ended(result);
        over = true;
      };
      const launched = spawn(command, { ...stop!, env }, null);
      if ('child' in launched) {
        running = launched.pid;
        lineage.helper(running, true);
        onExit(launched.child, (exit) => {
          lineage.helper(running, false);
          finish(exit);
        });
      } else {
        launched.then(finish, finish);
      }
      return () => {
        if (over || running === 0) return;
        over = true;
        try {
          process.kill(-running, 'SIGKILL');
        } catch {
          // It has just ended by itself.
        }
      };
    },
  };
}
