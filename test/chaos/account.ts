/** What is needed to understand a violation. */
import type { Seen } from './invariants.ts';
import type { Life } from './world.ts';

export interface AccountOptions {
  readonly seconds: number;
  readonly fair: number;
  /** What upkeep was given. */
  readonly given: string;
  /** The last faults. */
  readonly recent: readonly string[];
  /** The last orders of operators, and what they were answered. */
  readonly orders: readonly string[];
  /** Commands that it is about. */
  readonly concerned: readonly string[];
  readonly life: Life | null;
  readonly processes: readonly Seen[];
}

export function accountOf(options: AccountOptions): string {
  const { seconds, fair, given, recent, orders, concerned, life, processes } = options;
  const indented = (lines: readonly string[]): string => lines.map((line) => `  ${line}`).join('\n');
  return [
    `${seconds.toFixed(2)} s into it, fair ${Math.round(fair)} ms`,
    given,
    `the last faults:\n${indented(recent)}`,
    ...(orders.length === 0 ? [] : [`the last orders, and their ends:\n${indented(orders)}`]),
    ...concerned.map((name) => `what upkeep told of ${name}:\n${indented(life?.history.get(name) ?? [])}`),
    `upkeep's last lines:\n${indented((life?.tail ?? []).slice(-80))}`,
    `processes (pid, parent, state, name, tag):\n${indented(
      processes.map(({ pid, ppid, state, comm, tag }) => `${pid} ${ppid} ${state} ${comm} ${tag ?? '-'}`),
    )}`,
  ].join('\n');
}
