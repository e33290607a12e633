/** The evidence for what upkeep thinks of one command. */
import type { CrashReport } from '../output/crash.ts';
import type { Entry } from '../output/journal.ts';
import type { Probed } from '../output/probed.ts';
import type { Candidate, CommandView, Inside, Peer } from './inside.ts';
import type { Turn } from './orders.ts';
import { type CommandStatus, STATUS_VERSION, statusOf } from './status.ts';

export interface Why {
  readonly version: typeof STATUS_VERSION;
  readonly command: CommandStatus;
  /** The last start, stop or restart that somebody has ordered; null: nobody has, and the wish is upkeep's command line's or the policy's. */
  readonly wish: Ordered | null;
  /** How the leader became it; null: there is none. */
  readonly leader: string | null;
  readonly candidates: readonly (Omit<Candidate, 'since'> & {
    /** ms that the process has lived. */
    readonly age: number;
  })[];
  /** What its machine waits for; the next one first. */
  readonly timers: readonly {
    readonly name: string;
    /** What happens then, for a human. */
    readonly for: string;
    /** ISO 8601. */
    readonly due: string;
    /** ms. */
    readonly in: number;
  }[];
  /** What its probes came to last, in this run; null: there is no such probe, or none has ended. */
  readonly probes: { readonly ready: ProbeResult | null; readonly health: ProbeResult | null };
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
  readonly orders: readonly Ordered[];
}

interface Ordered {
  readonly time: string;
  readonly order: string;
  /** null: nobody can tell. */
  readonly by: Peer | null;
}

interface ProbeResult {
  readonly time: string;
  readonly ok: boolean;
  /** Why it failed; null: it did not. */
  readonly reason: string | null;
  /** In a row. */
  readonly failures: number;
}

/** @param name of a command that is there */
export function whyOf(inside: Inside, name: string, turnOf: (name: string) => Turn | null): Why {
  const [command] = statusOf(inside, [name], turnOf).commands;
  const view = inside.viewOf(name)!;
  const { context } = view;
  const now = inside.now();
  const wish = inside.journal.wishOf(name);
  const { ready, health } = inside.probedOf(name);
  return {
    version: STATUS_VERSION,
    command: command!,
    wish: wish === null ? null : (orderIn(wish)[0] ?? null),
    leader: context.leader === null ? null : HOW[context.leader.rule],
    candidates: inside.candidatesOf(name).map(({ since, ...candidate }) => ({
      ...candidate,
      age: Math.max(0, Math.round(now - since)),
    })),
    timers: timersOf(view, now).map(({ due, ...timer }) => ({
      ...timer,
      due: iso(inside.timeOf(due)),
      in: Math.round(due - now),
    })),
    probes: { ready: ready && resultOf(ready), health: health && resultOf(health) },
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
    orders: inside.journal.ordersOf(name).flatMap(orderIn),
  };
}

const iso = (time: number): string => new Date(time).toISOString();

function orderIn({ time, what }: Entry): readonly Ordered[] {
  return what.type === 'operator.ordered'
    ? [{ time: iso(time), order: what.order, by: what.by ?? null }]
    : [];
}

const resultOf = ({ time, reason, failures }: Probed): ProbeResult => ({
  time: iso(time),
  ok: reason === null,
  reason,
  failures,
});

/** Those of its machine, and that of its schedule. */
function timersOf(
  { timers, wished, context: { policy, nextRun } }: CommandView,
  now: number,
): readonly { readonly name: string; readonly for: string; readonly due: number }[] {
  const schedule =
    policy.kind === 'cron' && wished === 'up' && nextRun !== null
      ? [{ name: 'schedule', for: FOR.schedule!, due: nextRun }]
      : [];
  return timers
    .map(({ name, state, due }) => ({ name, for: FOR[`${state} ${name}`] ?? FOR[name] ?? name, due }))
    .concat(schedule)
    .filter(({ due }) => due > now)
    .sort((a, b) => a.due - b.due);
}

/** What happens when a timer ends, by its name, or by its state and name where a state has its own. */
export const FOR: Readonly<Record<string, string>> = {
  backoff: 'the next try',
  settle: 'it counts as running, if it is still there',
  linger: 'its start has failed, if no daemon has appeared',
  'missing.clearing.killing linger': 'it is started beside what SIGKILL has not ended',
  clear: 'SIGKILL to what its dead leader left behind',
  readyTimeout: 'its start has failed, if it is not ready',
  endWithin: 'it is stopped, if it has not ended as it said that it would',
  readyInterval: 'the next readiness probe',
  healthInterval: 'the next health probe',
  askFor: 'SIGTERM, if its stop command has not finished',
  nextSignal: 'the next of its stop signals',
  killAfter: 'SIGKILL',
  leastAfterKill: 'SIGKILL has had its time',
  budget: 'its stop is given up',
  schedule: 'its next run',
};

const HOW = {
  launcher: 'upkeep started it, and it stayed: a foreground program',
  tag: 'it carries the tag that upkeep gave to what it started, and outlived its launcher',
  ancestry: 'it descends from what upkeep started',
  name: 'its name fits, and nothing better is known',
  notify: 'the service has said so itself (MAINPID)',
} as const;
