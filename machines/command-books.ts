/** What a command keeps in its books, and what follows from what it has seen. Pure. */
import type {
  CommandEvent,
  CommandFact,
  CommandRested,
  CommandRole,
  Exit,
  Leader,
  ProcessId,
  Remains,
  SignalScope,
  Telling,
} from './events.ts';
import {
  afterProbe,
  backoffDelay,
  type CommandPolicy,
  endingOf,
  givesUp,
  giveUpStopAfter,
  HEALTHY,
  type HealthBook,
  type Heat,
  heated,
  isTooHot,
  NO_HEAT,
  SYSTEM_BACKOFF_FLOOR,
  stopBudget,
  wasStable,
} from './restart-policy.ts';

export interface CommandContext {
  readonly name: string;
  readonly policy: CommandPolicy;
  readonly role: CommandRole;
  readonly seed: number;
  readonly desired: 'up' | 'down';
  /** As what it began to rest; of no meaning later. */
  readonly rest: CommandRested['state'] | null;
  /** While it settles, the launcher. */
  readonly leader: Leader | null;
  /** When this run began: the launch, or the start of the process that was adopted. */
  readonly since: number;
  /** What kind of command this run was begun as: the policy may have changed since. */
  readonly runOf: CommandPolicy['kind'];
  /** When the run before ended; null before the first. */
  readonly diedAt: number | null;
  /** When the launcher left in whose place somebody is awaited; of no meaning elsewhere. */
  readonly leftAt: number;
  /** From death to the process that runs now, or from the launch to the daemon it left; null for a first launcher; ms. */
  readonly took: number | null;
  readonly how: 'started' | 'adopted';
  readonly starts: number;
  readonly restarts: number;
  /** Failed starts and young deaths in a row. */
  readonly failures: number;
  /** Launches in a row that the system refused (fork failed). */
  readonly refusals: number;
  /** How long the next `backoff` lasts; 0: no backoff is due. */
  readonly wait: number;
  readonly lastExit: Exit | null;
  readonly reason: string | null;
  readonly remains: Remains;
  /** Whom `missing` has to stop before anything is started; null: nobody. */
  readonly clear: SignalScope | null;
  /** What a failed start left behind has been stopped once, and the start tried again. */
  readonly cleared: boolean;
  /** Restarts, as the policy's intensity counts them. */
  readonly heat: Heat;
  /** The policy bears no more of it, whatever the numbers say. */
  readonly doomed: boolean;
  /** It is not started before its release. */
  readonly bound: boolean;
  /** It died, and its group has not yet said that it is to be started again. */
  readonly held: boolean;
  /** This run has been found ready. */
  readonly isReady: boolean;
  /** Why its readiness probe has failed last; null: it has not failed in this run. */
  readonly unready: string | null;
  readonly health: HealthBook;
  /** What it has said last of how it is; null: nothing. */
  readonly said: string | null;
  /** When it said that it is about to end; null: it has not. */
  readonly endsSince: number | null;
  /** One more run of the schedule is due as soon as this one has ended. */
  readonly queued: boolean;
  /** When the schedule's next time is; null: not known. */
  readonly nextRun: number | null;
  /** The stop that is under way, or the last one. */
  readonly stop: StopBook;
}

interface StopBook {
  readonly at: number;
  readonly budget: number;
  readonly everything: boolean;
  /** What it could not end. */
  readonly left: number;
  /** Which of the policy's signals is next. */
  readonly step: number;
  /** Not by order: it was not ready in time, or is unhealthy. What this counts for is kept. */
  readonly faulted: boolean;
  /** It was to stay down. */
  readonly forGood: boolean;
  /** A one-shot that was done, whose stop command undoes what it did. */
  readonly undoes: boolean;
  /** Nothing was there that could be stopped. */
  readonly idle: boolean;
  /** A later order has left less time. */
  readonly hastened: boolean;
  /** SIGKILL has just been sent; `overdue`: and the budget has ended since. null: not yet, or long ago. */
  readonly killed: 'just' | 'overdue' | null;
}

export type LeaderExited = Extract<CommandFact, { type: 'leader.exited' }>;

type Change = Partial<CommandContext>;

export const NOTHING_REMAINS: Remains = { workers: 0, tagged: 0, sessions: 0 };

/** ms for a stop that nobody gave a budget: a restart's, or that of one which is of no use. */
export const DEFAULT_STOP = 9_000;

const STOP_BEGINS = {
  left: 0,
  step: 0,
  undoes: false,
  idle: false,
  hastened: false,
  killed: null,
} as const;

/** A new life, in which nothing counts that was. */
export const FORGIVEN = {
  failures: 0,
  refusals: 0,
  wait: 0,
  heat: NO_HEAT,
  doomed: false,
  cleared: false,
} as const;

/** Nothing is known of the run that begins. */
export const UNPROVEN = {
  isReady: false,
  unready: null,
  health: HEALTHY,
  said: null,
  endsSince: null,
} as const;

/** Who stands for the service from now on. Of processes that leave only a launcher or leader that left with status 0 hands over. */
export function heirOf(event: CommandEvent): Leader | null {
  return event.type === 'leader.exited' ? event.heir : 'leader' in event ? event.leader : null;
}

export function sameProcess(a: ProcessId | null, b: ProcessId): boolean {
  return a !== null && a.pid === b.pid && a.startTicks === b.startTicks;
}

/** Timers carry no time: what they bring is dated by the last thing that was seen. */
export function timeOf(context: CommandContext, event: CommandEvent): number {
  return 'at' in event ? event.at : Math.max(context.since, context.diedAt ?? context.since);
}

/** When a command came to rest. A stop that its budget has ended was seen by nobody, but its time is known. */
export function restedAt(
  context: CommandContext,
  event: CommandEvent,
  state: CommandRested['state'],
): number {
  if ('at' in event || state !== 'stopped') return timeOf(context, event);
  return context.stop.at + giveUpStopAfter(context.stop.budget);
}

/** How many of what a stop is for are still alive. */
export function leftOf(context: CommandContext, remains: Remains): number {
  return remains.tagged + (context.stop.everything ? remains.sessions : 0);
}

/** A signal for all that the stop under way is for. */
export function toStop(
  context: CommandContext,
  signal: string,
): { command: string; scope: SignalScope; signal: string } {
  return { command: context.name, scope: context.stop.everything ? 'everything' : 'tagged', signal };
}

export function toClear(context: CommandContext): number {
  if (context.clear === null) return 0;
  return context.clear === 'workers' ? context.remains.workers : context.remains.tagged;
}

/** Why a launcher that left with success has started nothing. */
export function leftNobody({ remains: { tagged } }: CommandContext): string {
  if (tagged === 0) return 'finished with status 0 and left no process; is it a one-shot?';
  const left =
    tagged === 1 ? 'the process that it left is not' : `none of the ${tagged} processes that it left is`;
  return `finished with status 0, and ${left} the service; say which one is with match in a policy`;
}

export const stopStep = ({ policy, stop }: CommandContext): CommandPolicy['stopSignals'][number] =>
  policy.stopSignals[stop.step] ?? { signal: 'SIGTERM', wait: null };

/** How long a launcher may take until it counts as a foreground program. */
export const settleTime = ({ policy }: CommandContext): number =>
  policy.returns ? policy.startTimeout : policy.settle;

/** What is left of the time in which a run has to be ready, when it is awaited from now on: a try, where it took long to settle. */
export function readyWithin(context: CommandContext, event: CommandEvent): number {
  const { policy, since } = context;
  if (policy.ready === null) return Number.POSITIVE_INFINITY;
  return Math.max(policy.ready.interval, policy.ready.timeout - ageNow(context, event, since));
}

function ageNow(context: CommandContext, event: CommandEvent, since: number): number {
  if (event.type === 'leader.seen') return Math.max(0, event.at - event.leader.since);
  if ('at' in event) return event.at - since;
  // By the timer that ends the settling; who was found is looked at from now on.
  return context.how === 'adopted' ? 0 : settleTime(context);
}

/** The numbers after one more failure. `blame: system` waits longer and does not count towards giving up. */
function afterFailure(
  context: Pick<CommandContext, 'failures' | 'refusals' | 'policy' | 'seed'>,
  blame: 'command' | 'system',
): Pick<CommandContext, 'failures' | 'refusals' | 'wait'> {
  const failures = context.failures + (blame === 'command' ? 1 : 0);
  const refusals = blame === 'system' ? context.refusals + 1 : 0;
  const wait = backoffDelay(context.policy.backoff, failures + refusals, context.seed);
  return { failures, refusals, wait: refusals > 0 ? Math.max(SYSTEM_BACKOFF_FLOOR, wait) : wait };
}

export function hasGivenUp({ policy, failures, heat, doomed }: CommandContext): boolean {
  return doomed || givesUp(policy, failures) || isTooHot(policy.intensity, heat);
}

/** What is told of the next try: ms, 0 for at once, null for none. */
function nextTry(context: CommandContext): number | null {
  return hasGivenUp(context) ? null : context.wait;
}

/** The heat after one more restart. */
function hotter({ policy, heat }: CommandContext, at: number): Heat {
  return policy.intensity === null ? heat : heated(policy.intensity, heat, at);
}

/** The run that ends with this is all that was asked of the command. */
export function isDone({ policy }: CommandContext, exit: Exit | null): boolean {
  return endingOf(policy, exit?.code != null && policy.successCodes.includes(exit.code)) === 'done';
}

/** One restart more, where one follows. */
function restarted(context: CommandContext, change: Change): Change {
  const follows = !hasGivenUp({ ...context, ...change });
  return { ...change, restarts: context.restarts + (follows ? 1 : 0) };
}

/** A run has ended that was not to end. */
export function buried(context: CommandContext, event: LeaderExited): Change {
  const { kind, restart, stragglers } = context.policy;
  // A run that is meant to end has failed when it did not end well, however long it took.
  const young = kind !== 'service' || !wasStable(context.policy, event.at - context.since);
  return restarted(context, {
    ...(young ? afterFailure(context, 'command') : { failures: 0, refusals: 0, wait: 0 }),
    heat: hotter(context, event.at),
    doomed: restart === 'never',
    held: context.role.grouped,
    leader: null,
    diedAt: event.at,
    lastExit: event.exit,
    reason: null,
    remains: event.remains,
    clear: stragglers === 'keep' ? null : stragglers === 'stop-all' ? 'tagged' : 'workers',
    cleared: false,
  });
}

/** A run has ended that was meant to. */
export function concluded(context: CommandContext, event: CommandEvent): Change {
  const exited = event.type === 'leader.exited' ? event : null;
  return {
    ...FORGIVEN,
    leader: null,
    diedAt: exited?.at ?? context.leftAt,
    lastExit: exited?.exit ?? context.lastExit,
    remains: exited?.remains ?? context.remains,
    reason: null,
  };
}

/** A start has failed. What it left behind is stopped, and then it is tried once more, at once. */
export function blamed(context: CommandContext, event: CommandEvent, reason: string): Change {
  const { policy, leftAt } = context;
  const exited = event.type === 'leader.exited' ? event : null;
  const refused = event.type === 'launch.failed';
  const remains = exited?.remains ?? context.remains;
  const system = refused && event.blame === 'system';
  const keeps = policy.stragglers === 'keep';
  const again = remains.tagged > 0 && !context.cleared && !keeps;
  return {
    ...afterFailure(context, system ? 'system' : 'command'),
    ...(again ? { wait: 0, cleared: true } : {}),
    ...(system ? {} : { heat: hotter(context, 'at' in event ? event.at : leftAt + policy.linger) }),
    doomed: !system && policy.restart === 'never',
    leader: null,
    // What is meant to end is asked how it has ended: that is not how another run did.
    lastExit: exited?.exit ?? (refused && policy.kind !== 'service' ? null : context.lastExit),
    diedAt: context.diedAt ?? ('at' in event ? event.at : null),
    reason,
    remains,
    clear: keeps ? null : 'tagged',
  };
}

/** It runs, but is of no use: it is stopped, and that counts as a failure. */
export function condemned(context: CommandContext, event: CommandEvent, reason: string): Change {
  const { policy, role, since, isReady, endsSince } = context;
  const waited = endsSince === null ? since + (policy.ready?.timeout ?? 0) : endsSince + endWithin(context);
  const at = 'at' in event ? event.at : waited;
  // A long run of use forgets the failures before it; a long wait for its first use does not, nor a run that was to end.
  const isLong = isReady && policy.kind === 'service' && wasStable(policy, at - since);
  const failures = isLong ? 0 : context.failures;
  const change = {
    ...afterFailure({ ...context, failures }, 'command'),
    heat: hotter(context, at),
    doomed: policy.restart === 'never' || (isReady && policy.health?.onUnhealthy === 'fail'),
    held: role.grouped && isReady,
    reason,
    stop: {
      at,
      budget: policy.stopTimeout ?? DEFAULT_STOP,
      everything: false,
      faulted: true,
      forGood: false,
      ...STOP_BEGINS,
    },
  };
  return isReady ? restarted(context, change) : change;
}

/** How long one that says that it is about to end may take for it: as long as a stop of it. */
export const endWithin = ({ policy }: Pick<CommandContext, 'policy'>): number =>
  policy.stopTimeout ?? DEFAULT_STOP;

/** Why it has failed, when its time to become ready is over. */
export function lateReason({ unready, said }: CommandContext): string {
  const why = unready === null ? '' : `: ${unready}`;
  return `it was not ready in time${why}${said === null ? '' : ` (its status: ${said})`}`;
}

/** It ends before it was ever ready: where nobody takes over, that is a start that has failed. */
export function endsUnready(context: CommandContext, event: CommandEvent): boolean {
  if (event.type !== 'leader.exited' || !sameProcess(context.leader, event.id)) return false;
  return !context.isReady && !isDone(context, event.exit);
}

/** A stop begins: by order, or because the schedule's next run is due. */
export function plannedStop(context: CommandContext, event: CommandEvent): Change {
  const anew = { faulted: false, ...STOP_BEGINS };
  if (event.type === 'command.stop') {
    const { at, everything } = event;
    const budget = stopBudget(context.policy, event.budget);
    const stop = { at, budget, everything, forGood: true, ...anew };
    return { desired: 'down', queued: false, held: false, stop };
  }
  const stop = {
    at: timeOf(context, event),
    budget: context.policy.stopTimeout ?? DEFAULT_STOP,
    everything: context.stop.everything,
    forGood: false,
    ...anew,
  };
  return { desired: 'up', bound: context.role.waits, held: false, stop };
}

/** Somebody turns up who was still being started when it was stopped: nobody wants him. */
export function lateStop(context: CommandContext, event: CommandEvent): Change {
  const { stop } = plannedStop(context, event);
  return { desired: 'down', held: false, stop: { ...stop!, forGood: true } };
}

/** A stop of what does not run. `undoes`: it was done, and has a stop command for that. */
export function restingStop(context: CommandContext, event: CommandEvent, wasDone: boolean): Change {
  const change = plannedStop(context, event);
  const { policy, remains } = context;
  const undoes = wasDone && policy.kind === 'oneshot' && policy.ownStop;
  const idle = !undoes && remains.tagged === 0 && remains.sessions === 0;
  return { ...change, stop: { ...change.stop!, undoes, idle } };
}

/** The order that came later leaves less time: what is left of the stop is done in that. */
export function hastenedStop({ policy, stop }: CommandContext, event: CommandEvent): Change {
  if (event.type !== 'command.stop') return {};
  const budget = stopBudget(policy, event.budget);
  const everything = stop.everything || event.everything;
  const anew = { faulted: false, forGood: true, hastened: true, killed: null };
  return {
    desired: 'down',
    queued: false,
    held: false,
    stop: { ...stop, at: event.at, budget, everything, ...anew },
  };
}

/** Is the service's own stop command the first that is done? */
export function asksFirst({ policy, leader, stop }: CommandContext): boolean {
  return policy.ownStop && !stop.hastened && (leader !== null || stop.undoes);
}

/** Does it leave less time than there is? */
export function hastens({ policy, stop }: CommandContext, event: CommandEvent): boolean {
  if (event.type !== 'command.stop') return false;
  return event.at + stopBudget(policy, event.budget) < stop.at + stop.budget;
}

/** What is told when another process has taken over. */
export function handedOver({ name }: CommandContext, event: CommandEvent): Telling {
  return { type: 'command.running', command: name, leader: heirOf(event)!, how: 'handover', took: null };
}

export function probed({ policy, health, since }: CommandContext, event: CommandEvent): HealthBook {
  if (event.type !== 'probe.finished' || policy.health === null) return health;
  return afterProbe(policy.health, health, event.reason === null, event.at - since);
}

/** What the policy that was read again changes at once. */
export function adjusted(context: CommandContext, event: CommandEvent): Change {
  if (event.type !== 'command.adjust') return {};
  const { policy, role } = event;
  const change = { policy, role, nextRun: policy.kind === 'cron' ? context.nextRun : null };
  // No group says any more when it is started again.
  if (context.held && !role.grouped) return { ...change, held: false, bound: role.waits };
  return { ...change, bound: context.bound && role.waits };
}

export function died(context: CommandContext, { id, exit, at }: LeaderExited): Telling {
  return {
    type: 'command.died',
    command: context.name,
    id,
    exit,
    uptime: at - context.since,
    restart: context.restarts,
    wait: nextTry(context),
    remains: context.remains,
  };
}

export function failedStart(context: CommandContext, pid: number | null, exit: Exit | null): Telling {
  return {
    type: 'command.failedStart',
    command: context.name,
    pid,
    reason: context.reason!,
    exit,
    failures: context.failures,
    wait: nextTry(context),
  };
}

export function completed(context: CommandContext, event: CommandEvent): Telling {
  const { name, since, diedAt, lastExit } = context;
  const ended = Math.max(diedAt ?? since, 'at' in event ? event.at : since);
  return {
    type: 'command.completed',
    command: name,
    exit: lastExit,
    success: !hasGivenUp(context),
    took: Math.max(0, ended - since),
  };
}

/** @param isBorne nothing follows; else it has been condemned, and that is in the books */
export function unhealthy(context: CommandContext, reason: string | null, isBorne: boolean): Telling {
  const next = isBorne ? 'ignore' : hasGivenUp(context) ? 'fail' : 'restart';
  return { type: 'command.unhealthy', command: context.name, reason: reason ?? '', next };
}

export function overlapped({ name }: CommandContext, next: 'skip' | 'queue' | 'kill'): Telling {
  return { type: 'command.overlapped', command: name, next };
}

/** Why it is not tried again, for a human. */
export function whyFailed({ policy, failures, heat, doomed, reason, lastExit }: CommandContext): string {
  if (!doomed && isTooHot(policy.intensity, heat)) {
    const { restarts, within } = policy.intensity!;
    return `more than ${restarts} ${restarts === 1 ? 'restart' : 'restarts'} in ${inWords(within)}`;
  }
  if (!doomed && failures > 1) return `${failures} failures in a row`;
  if (reason !== null && reason !== EXITED) return reason;
  return policy.restart === 'never' ? `${endOf(lastExit)}, and is not to be restarted` : endOf(lastExit);
}

/** The reason of a start that failed because the process ended: more is told by its exit status. */
export const EXITED = 'exited';

function endOf(exit: Exit | null): string {
  if (exit?.signal != null) return `it was killed by ${exit.signal}`;
  return exit?.code == null ? 'it ended, and nobody knows how' : `it exited with status ${exit.code}`;
}

/** `60 s`, `5 min`: in the largest unit that there are at least two of, or one alone. */
export function inWords(ms: number): string {
  const units = [
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1_000, 's'],
  ] as const;
  const [size, unit] = units.find(([each]) => ms % each === 0 && ms > each) ?? [
    ms < 1_000 ? 1 : 1_000,
    ms < 1_000 ? 'ms' : 's',
  ];
  return `${ms / size} ${unit}`;
}

/** What a service has said of itself, and does not say again to the machine that it has when it has moved to another group. */
export function saidBefore(
  before: CommandContext | undefined,
  after: CommandContext | undefined,
  at: number,
): CommandFact[] {
  if (!before?.leader || !after || !sameProcess(after.leader, before.leader)) return [];
  const facts: CommandFact[] = [];
  if (before.said !== null && after.said === null) {
    facts.push({ type: 'status.told', at, status: before.said });
  }
  if (before.endsSince !== null && after.endsSince === null) {
    facts.push({ type: 'end.announced', at: before.endsSince });
  }
  return facts;
}
