/** The evidence for what upkeep thinks of one command. */
import type { CrashReport } from '../output/crash.ts';
import type { Candidate, Inside } from './inside.ts';
import type { Turn } from './orders.ts';
import { type CommandStatus, STATUS_VERSION, statusOf } from './status.ts';

export interface Why {
  readonly version: typeof STATUS_VERSION;
  readonly command: CommandStatus;
  /** How the leader became it; null: there is none. */
  readonly leader: string | null;
  readonly candidates: readonly (Omit<Candidate, 'since'> & {
    /** ms that the process has lived. */
    readonly age: number;
  })[];
  /** What counts against it, and how much of that the policy bears. */
  readonly books: {
    readonly failures: number;
    readonly refusals: number;
    readonly wait: number;
    readonly remains: { readonly workers: number; readonly tagged: number; readonly sessions: number };
  };
  /** How it has died or failed to start, the last ten times, oldest first. */
  readonly crashes: readonly CrashReport[];
  /** Oldest first. */
  readonly transitions: readonly {
    readonly number: number;
    readonly time: string;
    readonly from: string | null;
    readonly to: string;
    readonly on: string;
  }[];
  /** The last orders that concern it. */
  readonly orders: readonly { readonly time: string; readonly order: string }[];
}

/** @param name of a command that is there */
export function whyOf(inside: Inside, name: string, turnOf: (name: string) => Turn | null): Why {
  const [command] = statusOf(inside, [name], turnOf).commands;
  const { context } = inside.viewOf(name)!;
  const now = inside.now();
  const iso = (time: number): string => new Date(time).toISOString();
  return {
    version: STATUS_VERSION,
    command: command!,
    leader: context.leader === null ? null : HOW[context.leader.rule],
    candidates: inside.candidatesOf(name).map(({ since, ...candidate }) => ({
      ...candidate,
      age: Math.max(0, Math.round(now - since)),
    })),
    books: {
      failures: context.failures,
      refusals: context.refusals,
      wait: context.wait,
      remains: context.remains,
    },
    crashes: inside.crashesOf(name),
    transitions: inside.journal.transitionsOf(name).flatMap(({ number, time, what }) => {
      if (what.type !== 'command.transition') return [];
      return [{ number, time: iso(time), from: what.from, to: what.to, on: what.on }];
    }),
    orders: inside.journal
      .ordersOf(name)
      .flatMap(({ time, what }) =>
        what.type === 'operator.ordered' ? [{ time: iso(time), order: what.order }] : [],
      ),
  };
}

const HOW = {
  launcher: 'upkeep started it, and it stayed: a foreground program',
  tag: 'it carries the tag that upkeep gave to what it started, and outlived its launcher',
  ancestry: 'it descends from what upkeep started',
  name: 'its name fits, and nothing better is known',
  notify: 'the service has said so itself (MAINPID)',
} as const;
