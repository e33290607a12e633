/** Sends signals to what is alive of a service. */
import type { SignalScope } from '../../machines/events.ts';
import type { Lineage } from './lineage.ts';
import type { ProcessRow } from './table.ts';

/** ms. Start ticks, and what they are counted from, are known to 10 ms each. */
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
 * @param lastPid the pid that was handed out last; 0: not told
 * @param onRefused hears of a process that may not be signalled, once each
 */
export function createSignaller(
  lineage: Pick<Lineage, 'targets' | 'count' | 'changes'>,
  now: () => number,
  sinceOf: (startTicks: number) => number,
  lastPid: () => number,
  onRefused: (command: string, pid: number, signal: string, error: Error) => void,
): Signaller {
  const pursued = new Map<string, Pursuit>();
  const refused = new Set<number>();

  function deliver(command: string, row: ProcessRow, signal: NodeJS.Signals): Telling {
    // Before, not after: it may fork at once.
    const telling = { at: now(), lastPid: lastPid() };
    try {
      process.kill(row.pid, signal);
      // A stopped process can't act on a signal before it goes on.
      if (row.state === 'T' && signal !== 'SIGKILL') process.kill(row.pid, 'SIGCONT');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH' && !refused.has(row.pid)) {
        refused.add(row.pid);
        onRefused(command, row.pid, signal, error as Error);
      }
    }
    return telling;
  }

  /** A program that ends at once forks what cleans up within the tick in which it was told: then the pids say which of the
   * two was first. Where they have begun anew since, or are not told, it counts as unseen. */
  function forkedSince({ startTicks, pid }: ProcessRow, { at, lastPid }: Telling): boolean {
    const later = sinceOf(startTicks) - at;
    if (Math.abs(later) > CLOCK_SLACK) return later > 0;
    return lastPid !== 0 && pid > lastPid;
  }

  return {
    send(command, scope, signal) {
      const reached = new Map<string, Telling>();
      // Read anew right here: (pid, start time) is checked with the last look before the kill.
      for (const row of lineage.targets(command, scope)) {
        reached.set(identityOf(row), deliver(command, row, signal));
      }
      pursued.set(command, { scope, signal, reached, changes: lineage.changes(command) });
      lineage.count(command, scope);
    },
    pursue() {
      for (const [command, pursuit] of pursued) {
        const { scope, signal, reached } = pursuit;
        if (lineage.changes(command) === pursuit.changes) continue;
        pursuit.changes = lineage.changes(command);
        const left = lineage.targets(command, scope);
        const told = new Map(left.map((row) => [row.pid, reached.get(identityOf(row))]));
        for (const row of left) {
          // Forked since by one that has been told, and so its way to clean up.
          const telling = told.get(row.ppid);
          const cleansUp = telling !== undefined && forkedSince(row, telling);
          if (cleansUp) told.set(row.pid, telling);
          if (signal !== 'SIGKILL' && (cleansUp || reached.has(identityOf(row)))) continue;
          reached.set(identityOf(row), deliver(command, row, signal));
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
  readonly reached: Map<string, Telling>;
  /** At how many changes the last look at its processes was. */
  changes: number;
}

/** When a process was sent the signal, ms, and the pid that had been handed out last. */
interface Telling {
  readonly at: number;
  readonly lastPid: number;
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
