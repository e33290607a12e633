/** Sends signals to what is alive of a service. */
import type { SignalScope } from '../../machines/events.ts';
import type { Lineage } from './lineage.ts';
import type { ProcessRow } from './table.ts';

/** Start ticks, and what they are counted from, are known to 10 ms each. */
const CLOCK_SLACK = 20;

export interface Signaller {
  /** Sends to every process in scope: to each once, SIGKILL again and again. What no look has shown yet gets it with a
   * later `pursue`, until the next call for the same command. What a process forks that has been told does not, as long
   * as that one lives: it is how it cleans up. */
  readonly send: (command: string, scope: SignalScope, signal: NodeJS.Signals) => void;
  readonly pursue: () => void;
  /** A new life of the service has begun: nobody is pursued any more. */
  readonly forget: (command: string) => void;
}

/**
 * @param now monotonic ms
 * @param sinceOf monotonic ms at which a process with these start ticks began
 * @param onRefused hears of a process that may not be signalled, once each
 */
export function createSignaller(
  lineage: Pick<Lineage, 'targets' | 'count' | 'changes'>,
  now: () => number,
  sinceOf: (startTicks: number) => number,
  onRefused: (command: string, pid: number, signal: string, error: Error) => void,
): Signaller {
  const pursued = new Map<string, Pursuit>();
  const refused = new Set<number>();

  function deliver(command: string, row: ProcessRow, signal: NodeJS.Signals): void {
    try {
      process.kill(row.pid, signal);
      // A stopped process can't act on a signal before it goes on.
      if (row.state === 'T' && signal !== 'SIGKILL') process.kill(row.pid, 'SIGCONT');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ESRCH' || refused.has(row.pid)) return;
      refused.add(row.pid);
      onRefused(command, row.pid, signal, error as Error);
    }
  }

  return {
    send(command, scope, signal) {
      const reached = new Set<string>();
      // Read anew right here: (pid, start time) is checked with the last look before the kill.
      for (const row of lineage.targets(command, scope)) {
        reached.add(identityOf(row));
        deliver(command, row, signal);
      }
      pursued.set(command, { scope, signal, reached, sentAt: now(), changes: lineage.changes(command) });
      lineage.count(command, scope);
    },
    pursue() {
      for (const [command, pursuit] of pursued) {
        const { scope, signal, reached, sentAt } = pursuit;
        if (lineage.changes(command) === pursuit.changes) continue;
        pursuit.changes = lineage.changes(command);
        const left = lineage.targets(command, scope);
        const told = new Set(left.filter((row) => reached.has(identityOf(row))).map(({ pid }) => pid));
        for (const row of left) {
          // Forked since by one that has been told, and so its way to clean up.
          const cleansUp = sinceOf(row.startTicks) > sentAt + CLOCK_SLACK && told.has(row.ppid);
          if (cleansUp) told.add(row.pid);
          if (signal !== 'SIGKILL' && (cleansUp || reached.has(identityOf(row)))) continue;
          reached.add(identityOf(row));
          deliver(command, row, signal);
        }
      }
    },
    forget: (command) => {
      pursued.delete(command);
    },
  };
}

interface Pursuit {
  readonly scope: SignalScope;
  readonly signal: NodeJS.Signals;
  readonly reached: Set<string>;
  readonly sentAt: number;
  /** At how many changes the last look at its processes was. */
  changes: number;
}

const identityOf = (row: ProcessRow): string => `${row.pid} ${row.startTicks}`;

/**
 * Ends the services without machines: the root has failed.
 *
 * @param grace ms until nothing may be left
 * @returns how many processes could not be ended
 */
export async function endAll(
  commands: readonly string[],
  signaller: Signaller,
  lineage: Pick<Lineage, 'targets'>,
  grace: number,
  now: () => number,
): Promise<number> {
  const begun = now();
  const count = (): number =>
    commands.reduce((sum, command) => sum + lineage.targets(command, 'everything').length, 0);
  const waitUntil = async (deadline: number): Promise<number> => {
    let left = count();
    while (left > 0 && now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      left = count();
    }
    return left;
  };
  for (const command of commands) signaller.send(command, 'everything', 'SIGTERM');
  if ((await waitUntil(begun + grace * 0.8)) === 0) return 0;
  for (const command of commands) signaller.send(command, 'everything', 'SIGKILL');
  // However late it is.
  return waitUntil(Math.max(begun + grace, now() + grace * 0.2));
}
