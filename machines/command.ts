/**
 * One managed command. `desired` is the wish; the state is what was seen.
 *
 *   running ── the leader is gone ──▶ missing ──▶ restarting ──▶ running
 *                                        └─ died young ─▶ backoff ─▶ missing
 *
 * `stopping`, `stopped` and `failed` are where an order or the policy's limit leads; `completed` is where a one-shot ends, and
 * `scheduled` where a schedule's command is between its runs. `waiting` is for what it requires.
 */
import { assign, enqueueActions, sendParent, setup } from 'xstate';
import type {
  CommandEvent,
  CommandFact,
  CommandReached,
  CommandRested,
  CommandRole,
  Exit,
  Leader,
  ProcessId,
  Remains,
  SignalScope,
  Telling,
} from './events.ts';
import { launchPort, probePort, schedulePort, stopperPort } from './ports.ts';
import {
  afterProbe,
  askFor,
  backoffDelay,
  type CommandPolicy,
  clampDelay,
  endingOf,
  givesUp,
  giveUpStopAfter,
  HEALTHY,
  type HealthBook,
  type Heat,
  heated,
  isTooHot,
  killAfter,
  NO_HEAT,
  SYSTEM_BACKOFF_FLOOR,
  stopBudget,
  wasStable,
} from './restart-policy.ts';

export interface CommandInput {
  readonly name: string;
  readonly policy: CommandPolicy;
  /** Spreads the backoff of different commands. */
  readonly seed: number;
  /** Who stood for the service when upkeep began, if anybody did. */
  readonly found: Leader | null;
  readonly role: CommandRole;
  /** It is not to be started, and why: it was so before the policy was read again. */
  readonly rest: CommandRested['state'] | null;
}

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
  /** When the run before ended; null before the first. */
  readonly diedAt: number | null;
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
  readonly health: HealthBook;
  /** One more run of the schedule is due as soon as this one has ended. */
  readonly queued: boolean;
  /** When the schedule's next time is; null: not known. */
  readonly nextRun: number | null;
  /** The stop that is under way, or the last one. `left`: what it could not end. */
  readonly stop: {
    readonly at: number;
    readonly budget: number;
    readonly everything: boolean;
    readonly left: number;
    /** Which of the policy's signals is next. */
    readonly step: number;
    /** Not by order: it was not ready in time, or is unhealthy. What this counts for is kept. */
    readonly faulted: boolean;
  };
}

const NOTHING_REMAINS: Remains = { workers: 0, tagged: 0, sessions: 0 };

type LeaderExited = Extract<CommandFact, { type: 'leader.exited' }>;

/** Who has taken over from the process that left: only a launcher or leader that left with status 0 hands over. */
function heirOf(event: CommandEvent): Leader | null {
  return event.type === 'leader.exited' ? event.heir : null;
}

function sameProcess(a: ProcessId | null, b: ProcessId): boolean {
  return a !== null && a.pid === b.pid && a.startTicks === b.startTicks;
}

/** Timers carry no time: what they bring is dated by the last thing that was seen. */
function timeOf(context: CommandContext, event: CommandEvent): number {
  return 'at' in event ? event.at : Math.max(context.since, context.diedAt ?? context.since);
}

/** When a command came to rest. A stop that its budget has ended was seen by nobody, but its time is known. */
function restedAt(context: CommandContext, event: CommandEvent, state: CommandRested['state']): number {
  if ('at' in event || state !== 'stopped') return timeOf(context, event);
  return context.stop.at + giveUpStopAfter(context.stop.budget);
}

/** How many of what a stop is for are still alive. */
function leftOf(context: CommandContext, remains: Remains): number {
  return remains.tagged + (context.stop.everything ? remains.sessions : 0);
}

/** A signal for all that the stop under way is for. */
function toStop(
  context: CommandContext,
  signal: string,
): { command: string; scope: SignalScope; signal: string } {
  return { command: context.name, scope: context.stop.everything ? 'everything' : 'tagged', signal };
}

function toClear(context: CommandContext): number {
  if (context.clear === null) return 0;
  return context.clear === 'workers' ? context.remains.workers : context.remains.tagged;
}

/** The numbers after one more failure. `blame: system` waits longer and does not count towards giving up. */
function afterFailure(
  context: CommandContext,
  blame: 'command' | 'system',
): Pick<CommandContext, 'failures' | 'refusals' | 'wait'> {
  const failures = context.failures + (blame === 'command' ? 1 : 0);
  const refusals = blame === 'system' ? context.refusals + 1 : 0;
  const wait = backoffDelay(context.policy.backoff, failures + refusals, context.seed);
  return { failures, refusals, wait: refusals > 0 ? Math.max(SYSTEM_BACKOFF_FLOOR, wait) : wait };
}

function hasGivenUp({ policy, failures, heat, doomed }: CommandContext): boolean {
  return doomed || givesUp(policy, failures) || isTooHot(policy.intensity, heat);
}

/** What is told of the next try: ms, 0 for at once, null for none. */
function nextTry(context: CommandContext): number | null {
  return hasGivenUp(context) ? null : context.wait;
}

/** The same, one restart later. */
function hotter({ policy, heat }: CommandContext, at: number): Heat {
  return policy.intensity === null ? heat : heated(policy.intensity, heat, at);
}

function isSuccess({ policy }: CommandContext, exit: Exit | null): boolean {
  return exit?.code != null && policy.successCodes.includes(exit.code);
}

/** The run that ends with this is all that was asked of the command. */
function isDone(context: CommandContext, exit: Exit | null): boolean {
  return endingOf(context.policy, isSuccess(context, exit)) === 'done';
}

/** A new life, in which nothing counts that was. */
const FORGIVEN = {
  failures: 0,
  refusals: 0,
  wait: 0,
  heat: NO_HEAT,
  doomed: false,
  cleared: false,
} as const;

const stopStep = ({ policy, stop }: CommandContext): CommandPolicy['stopSignals'][number] =>
  policy.stopSignals[stop.step] ?? { signal: 'SIGTERM', wait: null };

/** ms for a stop that nobody gave a budget: a restart's, or that of one which is of no use. */
const DEFAULT_STOP = 9_000;

export const commandMachine = setup({
  types: {
    context: {} as CommandContext,
    input: {} as CommandInput,
    events: {} as CommandEvent,
  },
  actors: { launch: launchPort, stopper: stopperPort, probe: probePort, schedule: schedulePort },
  actions: {
    /** Port: sends a signal to what is alive of the service, and has `lineage.counted` told afterwards. */
    signal: (_, _params: { command: string; scope: SignalScope; signal: string }) => {
      throw new Error('cannot signal: the port "signal" was not provided; see src/supervise.ts');
    },
    /** Port: one fact for log, metrics and inspector. */
    tell: (_, _params: Telling) => {
      throw new Error('cannot tell: the port "tell" was not provided; see src/supervise.ts');
    },
    /** Port: has the service read its configuration again. */
    reload: (_, _params: { command: string }) => {
      throw new Error('cannot reload: the port "reload" was not provided; see src/supervise.ts');
    },
    /** For whoever waits for it, or restarts others with it. */
    reach: enqueueActions(({ context, event, enqueue }, { what }: { what: CommandReached['what'] }) => {
      if (!context.role.watched && what !== 'waiting') return;
      const at = timeOf(context, event);
      enqueue(sendParent({ type: 'command.reached', at, command: context.name, what }));
    }),
    count: assign(({ event }) => (event.type === 'lineage.counted' ? { remains: event.remains } : {})),
    /** A run has ended. */
    bury: assign(({ context, event }) => {
      if (event.type !== 'leader.exited') return {};
      const { kind, restart, stragglers } = context.policy;
      // A run that is meant to end has failed when it did not end well, however long it took.
      const young = kind !== 'service' || !wasStable(context.policy, event.at - context.since);
      return {
        ...(young ? afterFailure(context, 'command') : { failures: 0, refusals: 0, wait: 0 }),
        heat: hotter(context, event.at),
        doomed: restart === 'never',
        held: context.role.grouped,
        leader: null,
        diedAt: event.at,
        lastExit: event.exit,
        reason: null,
        restarts: context.restarts + 1,
        remains: event.remains,
        clear:
          stragglers === 'keep'
            ? null
            : stragglers === 'stop-all'
              ? ('tagged' as const)
              : ('workers' as const),
        cleared: false,
      };
    }),
    /** A run that was meant to end has ended. */
    conclude: assign(({ context, event }) => {
      const exited = event.type === 'leader.exited' ? event : null;
      return {
        ...FORGIVEN,
        leader: null,
        diedAt: exited?.at ?? context.diedAt,
        lastExit: exited?.exit ?? context.lastExit,
        remains: exited?.remains ?? context.remains,
        reason: null,
      };
    }),
    /** The leader is gone while a stop was under way: as it was meant to be. Of a stranger's end only the count is news. */
    release: assign(({ context, event }) => {
      if (event.type !== 'leader.exited') return {};
      const { id, heir, exit, at, remains } = event;
      return sameProcess(context.leader, id)
        ? { leader: heir, lastExit: exit, diedAt: at, remains }
        : { remains };
    }),
    /** The launcher has left, and somebody is awaited in its place. */
    noteExit: assign(({ event }) =>
      event.type === 'leader.exited' ? { lastExit: event.exit, remains: event.remains } : {},
    ),
    follow: assign(({ context, event }) => {
      const leader = event.type === 'leader.seen' ? event.leader : heirOf(event);
      if (leader === null || !('at' in event)) return {};
      return { leader, took: event.at - (context.diedAt ?? context.since) };
    }),
    adoptLauncher: assign(({ context, event }) => {
      if (event.type !== 'launcher.started') return {};
      return {
        leader: {
          pid: event.pid,
          startTicks: event.startTicks,
          name: context.name,
          rule: 'launcher' as const,
          since: event.at,
        },
        since: event.at,
        took: context.diedAt === null ? null : event.at - context.diedAt,
        how: 'started' as const,
        starts: context.starts + 1,
        refusals: 0,
        remains: NOTHING_REMAINS,
        isReady: false,
        health: HEALTHY,
      };
    }),
    /** A start has failed. What it left behind is stopped, and then it is tried once more, at once. */
    blame: assign(({ context, event }, params: { reason: string }) => {
      const exit = event.type === 'leader.exited' ? event.exit : null;
      const remains = event.type === 'leader.exited' ? event.remains : context.remains;
      const system = event.type === 'launch.failed' && event.blame === 'system';
      const again = remains.tagged > 0 && !context.cleared;
      return {
        ...afterFailure(context, system ? 'system' : 'command'),
        ...(again ? { wait: 0, cleared: true } : {}),
        ...(!system && 'at' in event ? { heat: hotter(context, event.at) } : {}),
        doomed: !system && context.policy.restart === 'never',
        leader: null,
        lastExit: exit ?? context.lastExit,
        diedAt: context.diedAt ?? ('at' in event ? event.at : null),
        reason: params.reason,
        remains,
        clear: 'tagged' as const,
      };
    }),
    /** It runs, but is of no use: it is stopped, and that counts as a failure. */
    condemn: assign(({ context, event }, { reason }: { reason: string }) => {
      const at = timeOf(context, event);
      const unready = !context.isReady;
      return {
        ...afterFailure(context, 'command'),
        heat: hotter(context, at),
        doomed:
          context.policy.restart === 'never' || (!unready && context.policy.health?.onUnhealthy === 'fail'),
        held: context.role.grouped && !unready,
        restarts: context.restarts + 1,
        reason,
        stop: {
          at,
          budget: stopBudget(context.policy, DEFAULT_STOP),
          everything: false,
          left: 0,
          step: 0,
          faulted: true,
        },
      };
    }),
    bind: assign(({ context }) => ({ bound: context.role.waits })),
    /** A schedule's run has failed for good. */
    lose: assign({ ...FORGIVEN, reason: null }),
    rest: sendParent(
      (
        { context, event },
        { state, left }: { state: CommandRested['state']; left: number },
      ): CommandRested => ({
        type: 'command.rested',
        at: restedAt(context, event, state),
        command: context.name,
        state,
        left,
        exit: context.lastExit,
      }),
    ),
    wishUp: assign({ desired: 'up' }),
    wishDown: assign({ desired: 'down' }),
    forgive: assign({ ...FORGIVEN, desired: 'up' }),
    /** An order begins a new life: how long nobody wished for one is not part of what it took. */
    startOver: assign(({ context }) => ({
      ...FORGIVEN,
      desired: 'up' as const,
      diedAt: null,
      bound: context.role.waits,
      held: false,
    })),
    /** The time of the schedule has come: what was does not count for this run. */
    beginRun: assign({ ...FORGIVEN, queued: false, diedAt: null }),
    letGo: assign({ held: false }),
    unbind: assign({ bound: false }),
    adjust: assign(({ event }) =>
      event.type === 'command.adjust' ? { policy: event.policy, role: event.role } : {},
    ),
    foresee: assign(({ event }) =>
      event.type === 'schedule.planned' ? { nextRun: event.at + event.wait } : {},
    ),
    queue: assign({ queued: true }),
    noteReady: assign({ isReady: true }),
    noteProbe: assign(({ context, event }) => ({ health: probed(context, event) })),
    waited: assign({ wait: 0 }),
    planStop: assign(({ context, event }) => {
      const anew = { left: 0, step: 0, faulted: false };
      if (event.type === 'command.stop') {
        const { at, everything } = event;
        const budget = stopBudget(context.policy, event.budget);
        return { desired: 'down' as const, queued: false, stop: { at, budget, everything, ...anew } };
      }
      // By order, or because the schedule's next run is due.
      const budget = stopBudget(context.policy, DEFAULT_STOP);
      const at = timeOf(context, event);
      return {
        desired: 'up' as const,
        bound: context.role.waits,
        held: false,
        stop: { at, budget, everything: context.stop.everything, ...anew },
      };
    }),
    nextSignal: assign(({ context }) => ({ stop: { ...context.stop, step: context.stop.step + 1 } })),
    layDown: assign(({ context, event }) => ({
      leader: null,
      // The count may be faster than the news of the leader's own end.
      diedAt: context.leader !== null && 'at' in event ? event.at : context.diedAt,
      ...(context.stop.faulted ? { cleared: false } : FORGIVEN),
      remains: NOTHING_REMAINS,
      stop: { ...context.stop, left: leftOf(context, context.remains) },
    })),
    widenStop: assign(({ context, event }) =>
      event.type === 'command.stop'
        ? {
            desired: 'down' as const,
            stop: { ...context.stop, everything: context.stop.everything || event.everything },
          }
        : {},
    ),
  },
  guards: {
    isOurs: ({ context, event }) => event.type === 'leader.exited' && sameProcess(context.leader, event.id),
    handsOver: ({ context, event }) =>
      event.type === 'leader.exited' &&
      sameProcess(context.leader, event.id) &&
      event.heir !== null &&
      context.policy.kind === 'service',
    leftQuietly: ({ context, event }) =>
      event.type === 'leader.exited' &&
      sameProcess(context.leader, event.id) &&
      event.exit.code === 0 &&
      event.heir === null,
    /** A run that is meant to end has done so, with success; what it left in the background is not the command. */
    isDone: ({ context, event }) =>
      event.type === 'leader.exited' &&
      sameProcess(context.leader, event.id) &&
      (event.heir === null || context.policy.kind !== 'service') &&
      isDone(context, event.exit),
    /** The launcher left with success, and nobody was awaited in vain. */
    wasDone: ({ context }) => isDone(context, context.lastExit),
    isScheduled: ({ context }) => context.policy.kind === 'cron',
    isQueued: ({ context }) => context.queued,
    isBound: ({ context }) => context.bound,
    isHeld: ({ context }) => context.held,
    isReleased: ({ context }) => !context.held,
    isFree: ({ context }) => !context.held && !context.bound,
    isOneOff: ({ context, event }) =>
      event.type === 'leader.exited' &&
      sameProcess(context.leader, event.id) &&
      context.policy.kind !== 'service' &&
      isDone(context, event.exit),
    mustWaitForOthers: ({ context }) => context.bound || context.held,
    awaitsReadiness: ({ context }) => context.policy.ready !== null && !context.isReady,
    /** While a launcher that returns is there, what it probes may be a service before it. */
    mayBeReadyEarly: ({ context }) => context.policy.ready !== null && !context.policy.returns,
    isChecked: ({ context }) => context.policy.health !== null,
    hasSucceeded: ({ event }) => event.type === 'probe.finished' && event.reason === null,
    becomesUnhealthy: ({ context, event }) => context.health.healthy && !probed(context, event).healthy,
    becomesHealthy: ({ context, event }) => !context.health.healthy && probed(context, event).healthy,
    endsUnhealthy: ({ context, event }) =>
      context.policy.health?.onUnhealthy !== 'ignore' &&
      context.health.healthy &&
      !probed(context, event).healthy,
    overlapKills: ({ context }) => context.desired === 'up' && context.policy.overlap === 'kill',
    overlapQueues: ({ context }) => context.desired === 'up' && context.policy.overlap === 'queue',
    isSkipped: ({ context }) => context.desired === 'up',
    hasNextSignal: ({ context }) => context.stop.step + 1 < context.policy.stopSignals.length,
    killIsNext: ({ context }) => context.policy.stopSignals[context.stop.step + 1]?.signal === 'SIGKILL',
    wasFound: ({ context }) => context.leader !== null,
    isWishedDown: ({ context }) => context.desired === 'down',
    mustEnd: ({ context }) => context.desired === 'down' && context.leader !== null,
    wishedUp: ({ context }) => context.desired === 'up',
    hasGivenUp: ({ context }) => hasGivenUp(context),
    mustWait: ({ context }) => context.wait > 0,
    mustClear: ({ context }) => toClear(context) > 0,
    isClear: ({ context, event }) =>
      event.type === 'lineage.counted' && toClear({ ...context, remains: event.remains }) === 0,
    canAsk: ({ context }) => context.policy.ownStop && context.leader !== null,
    /** Sessions are to end as well: they have had no signal yet. */
    widens: ({ context, event }) =>
      event.type === 'command.stop' && event.everything && !context.stop.everything,
    isGone: ({ context, event }) =>
      (event.type === 'lineage.counted' || event.type === 'leader.exited') &&
      leftOf(context, event.remains) === 0,
  },
  delays: {
    settle: ({ context }) =>
      clampDelay(context.policy.returns ? context.policy.startTimeout : context.policy.settle),
    linger: ({ context }) => clampDelay(context.policy.linger),
    clear: ({ context }) => clampDelay(context.policy.clear),
    backoff: ({ context }) => clampDelay(context.wait),
    askFor: ({ context }) => clampDelay(askFor(context.stop.budget)),
    killAfter: ({ context }) => clampDelay(killAfter(context.stop.budget)),
    budget: ({ context }) => clampDelay(giveUpStopAfter(context.stop.budget)),
    nextSignal: ({ context }) => clampDelay(stopStep(context).wait ?? Number.POSITIVE_INFINITY),
    readyTimeout: ({ context }) => clampDelay(context.policy.ready?.timeout ?? Number.POSITIVE_INFINITY),
    readyInterval: ({ context }) => clampDelay(context.policy.ready?.interval ?? 1_000),
    healthInterval: ({ context }) => clampDelay(context.policy.health?.every ?? 30_000),
  },
}).createMachine({
  id: 'command',
  // A cycle of eventless transitions is to be an error, not a hang.
  options: { maxIterations: 100 },
  context: ({ input }) => ({
    name: input.name,
    policy: input.policy,
    role: input.role,
    seed: input.seed,
    desired: input.rest === 'stopped' ? 'down' : 'up',
    rest: input.rest,
    leader: input.found,
    since: input.found?.since ?? 0,
    diedAt: null,
    took: null,
    how: 'adopted',
    starts: 0,
    restarts: 0,
    failures: 0,
    refusals: 0,
    wait: 0,
    lastExit: null,
    reason: null,
    remains: NOTHING_REMAINS,
    clear: 'workers',
    cleared: false,
    heat: NO_HEAT,
    doomed: false,
    bound: input.role.waits,
    held: false,
    isReady: false,
    health: HEALTHY,
    queued: false,
    nextRun: null,
    stop: { at: 0, budget: DEFAULT_STOP, everything: false, left: 0, step: 0, faulted: false },
  }),
  on: {
    'command.adjust': { actions: 'adjust' },
    'command.rejoin': { guard: 'isHeld', actions: ['letGo', 'bind'] },
    'schedule.planned': {
      actions: [
        'foresee',
        {
          type: 'tell',
          params: ({ context, event }) => ({
            type: 'command.scheduled',
            command: context.name,
            wait: event.wait,
          }),
        },
      ],
    },
    // The run before goes on.
    'schedule.due': [
      {
        guard: 'overlapKills',
        target: '.stopping',
        actions: ['planStop', { type: 'tell', params: ({ context }) => overlapped(context, 'kill') }],
      },
      {
        guard: 'overlapQueues',
        actions: ['queue', { type: 'tell', params: ({ context }) => overlapped(context, 'queue') }],
      },
      {
        guard: 'isSkipped',
        actions: { type: 'tell', params: ({ context }) => overlapped(context, 'skip') },
      },
    ],
  },
  initial: 'beginning',
  states: {
    beginning: {
      description: 'The first scan has decided where it begins.',
      entry: enqueueActions(({ context, enqueue }) => {
        if (context.policy.kind !== 'cron') return;
        enqueue.spawnChild('schedule', { id: 'schedule', input: { command: context.name } });
      }),
      always: [
        { guard: 'mustEnd', target: 'stopping' },
        { guard: 'isWishedDown', target: 'stopped' },
        { guard: 'wasFound', target: 'running' },
        { guard: ({ context }) => context.rest === 'completed', target: 'completed.done' },
        { guard: ({ context }) => context.rest === 'failed', target: 'failed.ended' },
        { guard: 'isScheduled', target: 'scheduled' },
        { target: 'missing' },
      ],
    },

    waiting: {
      description:
        'What it requires is not there yet, or its group has not said that it is to be started again.',
      entry: enqueueActions(({ context, enqueue }) => {
        if (!context.held) enqueue({ type: 'reach', params: { what: 'waiting' } });
      }),
      on: {
        'command.release': { guard: 'isReleased', target: 'missing', actions: 'unbind' },
        'command.rejoin': { guard: 'isHeld', target: 'waiting', reenter: true, actions: ['letGo', 'bind'] },
        'command.start': [
          { guard: 'isHeld', target: 'waiting', reenter: true, actions: ['forgive', 'letGo', 'bind'] },
          { actions: 'forgive' },
        ],
        'command.restart': [
          { guard: 'isHeld', target: 'waiting', reenter: true, actions: ['forgive', 'letGo', 'bind'] },
          { actions: 'forgive' },
        ],
        'command.stop': { target: 'stopping', actions: 'planStop' },
        'leader.seen': { target: 'running', actions: ['letGo', 'unbind', 'follow'] },
        'lineage.counted': { actions: 'count' },
      },
      always: { guard: 'isFree', target: 'missing' },
    },

    running: {
      description: 'The leader lives.',
      initial: 'deciding',
      entry: [
        assign({ cleared: false, reason: null, bound: false, held: false }),
        {
          type: 'tell',
          params: ({ context: { name, leader, how, took } }) => ({
            type: 'command.running',
            command: name,
            leader: leader!,
            how,
            took,
          }),
        },
        { type: 'reach', params: { what: 'started' } },
      ],
      states: {
        deciding: { always: [{ guard: 'awaitsReadiness', target: 'starting' }, { target: 'ready' }] },
        starting: {
          description: 'It runs, but its readiness probe has not succeeded yet.',
          initial: 'probing',
          after: {
            readyTimeout: {
              target: '#command.stopping',
              actions: [
                { type: 'condemn', params: { reason: 'it was not ready in time' } },
                {
                  type: 'tell',
                  params: ({ context }) => failedStart(context, context.leader?.pid ?? null, null),
                },
                { type: 'reach', params: { what: 'fallen' } },
              ],
            },
          },
          states: {
            probing: {
              invoke: { src: 'probe', input: ({ context }) => ({ command: context.name, which: 'ready' }) },
              on: {
                'probe.finished': [
                  { guard: 'hasSucceeded', target: '#command.running.ready', actions: 'noteReady' },
                  { target: 'pausing' },
                ],
              },
            },
            pausing: { after: { readyInterval: 'probing' } },
          },
          on: {
            'leader.exited': [
              { guard: 'handsOver', actions: 'follow' },
              { guard: 'isDone', target: '#command.completed', actions: 'conclude' },
              {
                guard: 'isOurs',
                target: '#command.missing',
                actions: [
                  { type: 'blame', params: { reason: 'it ended before it was ready' } },
                  {
                    type: 'tell',
                    params: ({ context, event }) => failedStart(context, event.id.pid, event.exit),
                  },
                  { type: 'reach', params: { what: 'fallen' } },
                ],
              },
            ],
          },
        },
        ready: {
          description: 'Nothing is known that speaks against its use.',
          initial: 'deciding',
          entry: [
            enqueueActions(({ context, event, enqueue }) => {
              if (context.policy.ready === null) return;
              const took = Math.max(0, timeOf(context, event) - context.since);
              enqueue({ type: 'tell', params: { type: 'command.ready', command: context.name, took } });
            }),
            { type: 'reach', params: { what: 'ready' } },
          ],
          states: {
            deciding: { always: [{ guard: 'isChecked', target: 'pausing' }, { target: 'unchecked' }] },
            unchecked: {},
            pausing: { after: { healthInterval: 'probing' } },
            probing: {
              invoke: { src: 'probe', input: ({ context }) => ({ command: context.name, which: 'health' }) },
              on: {
                'probe.finished': [
                  {
                    guard: 'endsUnhealthy',
                    target: '#command.stopping',
                    actions: [
                      { type: 'tell', params: ({ context, event }) => unhealthy(context, event.reason) },
                      {
                        type: 'condemn',
                        params: ({ event }) => ({ reason: `it is unhealthy: ${event.reason}` }),
                      },
                      { type: 'reach', params: { what: 'died' } },
                    ],
                  },
                  {
                    guard: 'becomesUnhealthy',
                    target: 'pausing',
                    actions: [
                      { type: 'tell', params: ({ context, event }) => unhealthy(context, event.reason) },
                      'noteProbe',
                    ],
                  },
                  {
                    guard: 'becomesHealthy',
                    target: 'pausing',
                    actions: [
                      'noteProbe',
                      {
                        type: 'tell',
                        params: ({ context }) => ({ type: 'command.healthy', command: context.name }),
                      },
                    ],
                  },
                  { target: 'pausing', actions: 'noteProbe' },
                ],
              },
            },
          },
        },
      },
      on: {
        'leader.exited': [
          {
            guard: 'handsOver',
            actions: [
              'follow',
              {
                type: 'tell',
                params: ({ context, event }) => ({
                  type: 'command.running',
                  command: context.name,
                  leader: heirOf(event)!,
                  how: 'handover',
                  took: null,
                }),
              },
            ],
          },
          { guard: 'isDone', target: 'completed', actions: 'conclude' },
          {
            guard: 'isOurs',
            target: 'missing',
            actions: [
              'bury',
              {
                type: 'tell',
                params: ({ context, event }) => {
                  const { id, exit, at } = event as LeaderExited;
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
                },
              },
              { type: 'reach', params: { what: 'died' } },
            ],
          },
        ],
        'command.stop': { target: 'stopping', actions: 'planStop' },
        'command.restart': { target: 'stopping', actions: 'planStop' },
        'command.reload': {
          actions: [
            { type: 'reload', params: ({ context }) => ({ command: context.name }) },
            {
              type: 'tell',
              params: ({ context }) => ({ type: 'command.reloading', command: context.name }),
            },
          ],
        },
      },
    },

    missing: {
      description: 'Nobody stands for the service.',
      initial: 'assessing',
      states: {
        assessing: {
          always: [{ guard: 'mustClear', target: 'clearing' }, { target: 'decided' }],
        },
        clearing: {
          description: 'Workers without a master hold its port: they are stopped first.',
          initial: 'asking',
          states: {
            asking: {
              entry: [
                {
                  type: 'tell',
                  params: ({ context }) => ({
                    type: 'command.clearing',
                    command: context.name,
                    remains: context.remains,
                    signal: 'SIGTERM',
                  }),
                },
                {
                  type: 'signal',
                  params: ({ context }) => ({
                    command: context.name,
                    scope: context.clear!,
                    signal: 'SIGTERM',
                  }),
                },
              ],
              after: { clear: 'killing' },
            },
            killing: {
              entry: {
                type: 'signal',
                params: ({ context }) => ({
                  command: context.name,
                  scope: context.clear!,
                  signal: 'SIGKILL',
                }),
              },
              after: {
                linger: {
                  target: '#command.missing.decided',
                  actions: {
                    type: 'tell',
                    params: ({ context }) => ({
                      type: 'upkeep.notice',
                      command: context.name,
                      level: 'warn',
                      message: `cannot end ${toClear(context)} processes that the service left behind: SIGKILL had no effect (stuck in the kernel?); it is started beside them`,
                    }),
                  },
                },
              },
            },
          },
          on: {
            'lineage.counted': [
              { guard: 'isClear', target: 'decided', actions: 'count' },
              { actions: 'count' },
            ],
          },
        },
        decided: {
          always: [
            { guard: 'hasGivenUp', target: '#command.failed' },
            { guard: 'mustWait', target: '#command.backoff' },
            { guard: 'mustWaitForOthers', target: '#command.waiting' },
            { target: '#command.restarting' },
          ],
        },
      },
      on: {
        'command.stop': { target: 'stopping', actions: 'planStop' },
        'command.start': { actions: 'forgive' },
        'command.restart': { actions: 'forgive' },
      },
    },

    backoff: {
      description: 'Died young, or could not start: waits before the next try.',
      after: { backoff: { target: 'missing', actions: 'waited' } },
      on: {
        'command.start': { target: 'missing', actions: 'forgive' },
        'command.restart': { target: 'missing', actions: 'forgive' },
        'command.stop': { target: 'stopping', actions: 'planStop' },
        // Late, but there: another one beside it would be one too many.
        'leader.seen': { target: 'running', actions: ['waited', 'follow'] },
        'lineage.counted': { actions: 'count' },
      },
    },

    restarting: {
      description: 'The launcher is started, and what it leaves is awaited.',
      initial: 'launching',
      states: {
        launching: {
          invoke: { src: 'launch', input: ({ context }) => ({ command: context.name }) },
          on: {
            'launcher.started': {
              target: 'settling',
              actions: [
                'adoptLauncher',
                {
                  type: 'tell',
                  params: ({ context, event }) => ({
                    type: 'command.launched',
                    command: context.name,
                    pid: event.pid,
                    start: context.starts,
                  }),
                },
              ],
            },
            'launch.failed': {
              target: '#command.missing',
              actions: [
                { type: 'blame', params: ({ event }) => ({ reason: event.error }) },
                { type: 'tell', params: ({ context }) => failedStart(context, null, null) },
                { type: 'reach', params: { what: 'fallen' } },
              ],
            },
          },
        },
        settling: {
          description: 'A launcher that stays is a foreground program.',
          initial: 'deciding',
          after: { settle: '#command.running' },
          states: {
            deciding: { always: [{ guard: 'mayBeReadyEarly', target: 'probing' }, { target: 'patient' }] },
            patient: {},
            probing: {
              invoke: { src: 'probe', input: ({ context }) => ({ command: context.name, which: 'ready' }) },
              on: {
                'probe.finished': [
                  { guard: 'hasSucceeded', target: '#command.running', actions: 'noteReady' },
                  { target: 'pausing' },
                ],
              },
            },
            pausing: { after: { readyInterval: 'probing' } },
          },
          on: {
            'leader.exited': [
              { guard: 'handsOver', target: '#command.running', actions: 'follow' },
              { guard: 'isOneOff', target: '#command.completed', actions: 'conclude' },
              { guard: 'leftQuietly', target: 'lingering', actions: 'noteExit' },
              {
                guard: 'isOurs',
                target: '#command.missing',
                actions: [
                  { type: 'blame', params: { reason: 'exited' } },
                  {
                    type: 'tell',
                    params: ({ context, event }) => failedStart(context, event.id.pid, event.exit),
                  },
                  { type: 'reach', params: { what: 'fallen' } },
                ],
              },
            ],
          },
        },
        lingering: {
          description: 'The launcher left with status 0: its daemon is awaited.',
          after: {
            linger: [
              { guard: 'wasDone', target: '#command.completed', actions: 'conclude' },
              {
                target: '#command.missing',
                actions: [
                  {
                    type: 'blame',
                    params: { reason: 'finished with status 0 and left no process; is it a one-shot?' },
                  },
                  { type: 'tell', params: ({ context }) => failedStart(context, null, null) },
                  { type: 'reach', params: { what: 'fallen' } },
                ],
              },
            ],
          },
          on: {
            'leader.seen': { target: '#command.running', actions: 'follow' },
            'lineage.counted': { actions: 'count' },
          },
        },
      },
      on: {
        'command.stop': { target: 'stopping', actions: 'planStop' },
        'command.restart': { target: 'stopping', actions: 'planStop' },
      },
    },

    stopping: {
      description: 'One budget: the own stop command, SIGTERM, SIGKILL.',
      initial: 'deciding',
      entry: {
        type: 'tell',
        params: ({ context }) => ({
          type: 'command.stopping',
          command: context.name,
          how:
            context.policy.ownStop && context.leader !== null
              ? 'its own stop command'
              : stopStep(context).signal,
        }),
      },
      after: {
        killAfter: '.killing',
        budget: { target: '.over', actions: 'wishDown' },
      },
      states: {
        deciding: { always: [{ guard: 'canAsk', target: 'asking' }, { target: 'terminating' }] },
        asking: {
          invoke: { src: 'stopper', input: ({ context }) => ({ command: context.name }) },
          after: { askFor: 'terminating' },
          on: {
            'stopper.finished': {
              target: 'terminating',
              actions: {
                type: 'tell',
                params: ({ context, event }) => ({
                  type: 'upkeep.notice',
                  command: context.name,
                  level: event.error === null ? 'info' : 'warn',
                  message: event.error ?? 'its stop command has finished',
                }),
              },
            },
            // Everything is gone, but the stop command may have its own work to finish.
            'lineage.counted': { actions: 'count' },
            'leader.exited': { actions: 'release' },
          },
        },
        terminating: {
          entry: { type: 'signal', params: ({ context }) => toStop(context, stopStep(context).signal) },
          after: {
            nextSignal: [
              { guard: 'killIsNext', target: 'killing' },
              { guard: 'hasNextSignal', target: 'terminating', reenter: true, actions: 'nextSignal' },
            ],
          },
          on: {
            'command.stop': [
              { guard: 'widens', target: 'terminating', reenter: true, actions: 'widenStop' },
              { actions: 'widenStop' },
            ],
          },
        },
        killing: {
          entry: { type: 'signal', params: ({ context }) => toStop(context, 'SIGKILL') },
          on: {
            'command.stop': [
              { guard: 'widens', target: 'killing', reenter: true, actions: 'widenStop' },
              { actions: 'widenStop' },
            ],
          },
        },
        over: {
          entry: [
            {
              type: 'tell',
              params: ({ context, event }) => ({
                type: 'command.stopped',
                command: context.name,
                exit: context.leader === null ? context.lastExit : null,
                took: 'at' in event ? event.at - context.stop.at : context.stop.budget,
                left: leftOf(context, context.remains),
              }),
            },
            'layDown',
          ],
          always: [{ guard: 'wishedUp', target: '#command.missing' }, { target: '#command.stopped' }],
        },
      },
      on: {
        'lineage.counted': [{ guard: 'isGone', target: '.over', actions: 'count' }, { actions: 'count' }],
        'leader.exited': [{ guard: 'isGone', target: '.over', actions: 'release' }, { actions: 'release' }],
        'command.kill': '.killing',
        'command.start': { actions: 'wishUp' },
        'command.restart': { actions: 'wishUp' },
        'command.stop': { actions: 'widenStop' },
        'schedule.due': {
          guard: 'isSkipped',
          actions: { type: 'tell', params: ({ context }) => overlapped(context, 'skip') },
        },
      },
    },

    stopped: {
      description: 'By order. Nothing starts it but an order.',
      entry: { type: 'rest', params: ({ context }) => ({ state: 'stopped', left: context.stop.left }) },
      on: {
        'command.start': [
          { guard: 'isScheduled', target: 'scheduled', actions: 'startOver' },
          { target: 'missing', actions: 'startOver' },
        ],
        'command.restart': [
          { guard: 'isScheduled', target: 'scheduled', actions: 'startOver' },
          { target: 'missing', actions: 'startOver' },
        ],
        'command.stop': { target: 'stopping', actions: 'planStop' },
        'lineage.counted': { actions: 'count' },
      },
    },

    completed: {
      description: 'Has run to its end.',
      entry: [
        {
          type: 'tell',
          params: ({ context }) => ({
            type: 'command.completed',
            command: context.name,
            exit: context.lastExit!,
            success: isSuccess(context, context.lastExit),
            took: Math.max(0, (context.diedAt ?? context.since) - context.since),
          }),
        },
      ],
      initial: 'deciding',
      states: {
        deciding: {
          always: [{ guard: 'isScheduled', target: '#command.scheduled' }, { target: 'done' }],
        },
        done: {
          entry: {
            type: 'rest',
            params: ({ context }) => ({ state: 'completed', left: context.remains.tagged }),
          },
        },
      },
      on: {
        'command.start': { target: 'missing', actions: 'startOver' },
        'command.restart': { target: 'missing', actions: 'startOver' },
        'command.stop': { target: 'stopping', actions: 'planStop' },
        'lineage.counted': { actions: 'count' },
      },
    },

    scheduled: {
      description: 'Between two runs of its schedule.',
      always: { guard: 'isQueued', target: 'missing', actions: 'beginRun' },
      on: {
        'schedule.due': { target: 'missing', actions: 'beginRun' },
        'command.start': { target: 'missing', actions: 'startOver' },
        'command.restart': { target: 'missing', actions: 'startOver' },
        'command.stop': { target: 'stopping', actions: 'planStop' },
        'lineage.counted': { actions: 'count' },
      },
    },

    failed: {
      description: 'Gave up: the policy bears no more failures.',
      initial: 'deciding',
      states: {
        // One run of a schedule has failed; the next one is another.
        deciding: {
          always: [
            { guard: 'isScheduled', target: '#command.completed', actions: 'lose' },
            { target: 'ended' },
          ],
        },
        ended: {
          entry: [
            {
              type: 'tell',
              params: ({ context }) => ({
                type: 'command.failed',
                command: context.name,
                reason: whyFailed(context),
              }),
            },
            {
              type: 'rest',
              params: ({ context }) => ({ state: 'failed', left: context.remains.tagged }),
            },
          ],
        },
      },
      on: {
        'command.start': { target: 'missing', actions: 'startOver' },
        'command.restart': { target: 'missing', actions: 'startOver' },
        'command.stop': { target: 'stopping', actions: 'planStop' },
        'lineage.counted': { actions: 'count' },
      },
    },
  },
});

function probed({ policy, health, since }: CommandContext, event: CommandEvent): HealthBook {
  if (event.type !== 'probe.finished' || policy.health === null) return health;
  return afterProbe(policy.health, health, event.reason === null, event.at - since);
}

function unhealthy({ name, policy }: CommandContext, reason: string | null): Telling {
  return {
    type: 'command.unhealthy',
    command: name,
    reason: reason ?? '',
    next: policy.health?.onUnhealthy ?? 'ignore',
  };
}

function overlapped({ name }: CommandContext, next: 'skip' | 'queue' | 'kill'): Telling {
  return { type: 'command.overlapped', command: name, next };
}

function whyFailed({ policy, failures, heat, reason, lastExit }: CommandContext): string {
  if (isTooHot(policy.intensity, heat)) {
    return `more than ${policy.intensity!.restarts} restarts in ${policy.intensity!.within} ms`;
  }
  if (givesUp(policy, failures) && failures > 1) return `${failures} failures in a row`;
  if (reason !== null && reason !== 'exited') return reason;
  return lastExit === null ? '1 failure' : `${failures} failure`;
}

function failedStart(context: CommandContext, pid: number | null, exit: Exit | null): Telling {
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

/**
 * What each leaf state leaves unanswered on purpose. A test walks every state × event: handled, or listed here.
 * Facts that are stale (a launcher of an earlier try, a count that nobody waits for) are what makes most rows.
 */
const FACTS = [
  'launcher.started',
  'launch.failed',
  'leader.seen',
  'leader.exited',
  'lineage.counted',
  'stopper.finished',
] as const;
const without = (...handled: string[]): readonly string[] => FACTS.filter((fact) => !handled.includes(fact));

export const IGNORED: Readonly<Record<string, readonly string[]>> = {
  running: ['command.start', 'command.kill', ...without('leader.exited')],
  'missing.clearing.asking': ['command.kill', ...without('lineage.counted')],
  'missing.clearing.killing': ['command.kill', ...without('lineage.counted')],
  backoff: ['command.kill', ...without('leader.seen', 'lineage.counted')],
  'restarting.launching': ['command.start', 'command.kill', ...without('launcher.started', 'launch.failed')],
  'restarting.settling': ['command.start', 'command.kill', ...without('leader.exited')],
  'restarting.lingering': ['command.start', 'command.kill', ...without('leader.seen', 'lineage.counted')],
  'stopping.asking': without('leader.exited', 'lineage.counted', 'stopper.finished'),
  'stopping.terminating': without('leader.exited', 'lineage.counted'),
  'stopping.killing': without('leader.exited', 'lineage.counted'),
  stopped: ['command.kill', ...without('lineage.counted')],
  failed: ['command.kill', ...without('lineage.counted')],
};
