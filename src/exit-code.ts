import { constants } from 'node:os';
import type { SupervisorOutput } from '../machines/supervisor.ts';

/** What upkeep exits with. A command's own exit status, where the policy asks for it: of one killed by a signal as a shell would
 * say it. */
export function exitCodeOf({ code, exit }: SupervisorOutput): number {
  if (exit?.signal) return 128 + (constants.signals[exit.signal as NodeJS.Signals] ?? 0);
  return exit?.code ?? code;
}
