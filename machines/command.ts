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
import {
  adjusted,
  asksFirst,
  blamed,
  buried,
  type CommandContext,
  completed,
  concluded,
  condemned,
  DEFAULT_STOP,
  died,
  EXITED,
  endsUnready,
  endWithin,
  FORGIVEN,
  failedStart,
  handedOver,
  hasGivenUp,
  hastenedStop,
  hastens,
  heirOf,
  isDone,
  type LeaderExited,
  lateReason,
  lateStop,
  leftNobody,
  leftOf,
  NOTHING_REMAINS,
  overlapped,
  plannedStop,
  probed,
  readyWithin,
  restedAt,
  restingStop,
  sameProcess,
  settleTime,
  stopStep,
  timeOf,
  toClear,
  toStop,
  UNPROVEN,
  unhealthy,
  whyFailed,
} from './command-books.ts';
import type {
  CommandEvent,
  CommandReached,
  CommandRested,
  CommandRole,
  Leader,
  Remains,
  SignalScope,
  Telling,
} from './events.ts';
import { launchPort, probePort, schedulePort, stopperPort } from './ports.ts';
import {
  askFor,
  type CommandPolicy,
  clampDelay,
  giveUpStopAfter,
  HEALTHY,
  killAfter,
  leastAfterKill,
  NO_HEAT,
} from './restart-policy.ts';

export interface CommandInput {
  readonly name: string;
  readonly policy: CommandPolicy;
  /** Spreads the backoff of different commands. */
  readonly seed: number;
  /** Who stood for the service when upkeep began, if anybody did. */
  readonly found: Leader | null;
  /** What is alive of it though nobody leads: it is stopped before anything is started. */
  readonly remains?: Remains;
  readonly role: CommandRole;
  /** It is not to be started, and why: it was so before the policy was read again. */
  readonly rest: CommandRested['state'] | null;
  /** As what kind of command the run of who was found was begun; default: as what it is now. */
  readonly runOf?: CommandPolicy['kind'];
}

/** Of one that said that it is about to end. */
const NEVER_ENDED = 'it has said that it is about to end (STOPPING=1), and has not ended in time';

const base = setup({
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
      if (event.type === 'command.adjust' && event.restarts && what !== 'waiting') return;
      const at = timeOf(context, event);
      enqueue(sendParent({ type: 'command.reached', at, command: context.name, what }));
    }),
    count: assign(({ event }) => (event.type === 'lineage.counted' ? { remains: event.remains } : {})),
    bury: assign(({ context, event }) => (event.type === 'leader.exited' ? buried(context, event) : {})),
    conclude: assign(({ context, event }) => concluded(context, event)),
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
      event.type === 'leader.exited'
        ? { lastExit: event.exit, remains: event.remains, leftAt: event.at }
        : {},
    ),
    follow: assign(({ context, event }) => {
      const leader = heirOf(event);
      if (leader === null || !('at' in event)) return {};
      return {
        leader,
        took: event.at - (context.diedAt ?? context.since),
        // That the one before ends says nothing of this one.
        endsSince: null,
        ...(event.type === 'leader.seen' ? UNPROVEN : {}),
      };
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
        runOf: context.policy.kind,
        took: context.diedAt === null ? null : event.at - context.diedAt,
        how: 'started' as const,
        starts: context.starts + 1,
        refusals: 0,
        remains: NOTHING_REMAINS,
        ...UNPROVEN,
      };
    }),
    blame: assign(({ context, event }, { reason }: { reason: string }) => blamed(context, event, reason)),
    condemn: assign(({ context, event }, { reason }: { reason: string }) =>
      condemned(context, event, reason),
    ),
    /** A schedule's run is over. */
    lose: assign({ ...FORGIVEN, held: false, reason: null }),
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
    wishDown: assign(({ context }) => ({
      desired: 'down' as const,
      held: false,
      stop: { ...context.stop, faulted: false },
    })),
    /** An order during a stop: nothing counts any more, and it is started as by any order. */
    wishUp: assign(({ context }) => ({
      desired: 'up' as const,
      bound: context.role.waits,
      held: false,
      stop: { ...context.stop, faulted: false },
    })),
    forgive: assign(({ context }) => ({
      ...FORGIVEN,
      desired: 'up' as const,
      bound: context.role.waits,
      held: false,
    })),
    /** An order begins a new life: how long nobody wished for one is not part of what it took. */
    startOver: assign(({ context }) => ({
      ...FORGIVEN,
      desired: 'up' as const,
      diedAt: null,
      bound: context.role.waits,
      held: false,
      queued: false,
    })),
    /** The time of the schedule has come: what was does not count for this run, and what it requires is to be there. */
    beginRun: assign(({ context, event }) => ({
      ...FORGIVEN,
      queued: false,
      since: timeOf(context, event),
      diedAt: null,
      bound: context.role.waits,
    })),
    /** Its group says that it is to be started again. */
    rejoin: assign(({ context }) => ({ held: false, bound: context.role.waits })),
    letGo: assign({ held: false }),
    unbind: assign({ bound: false }),
    adjust: assign(({ context, event }) => adjusted(context, event)),
    foresee: assign(({ event }) =>
      event.type === 'schedule.planned' ? { nextRun: event.at + event.wait } : {},
    ),
    queue: assign({ queued: true }),
    noteReady: assign({ isReady: true }),
    noteUnready: assign(({ event }) => (event.type === 'probe.finished' ? { unready: event.reason } : {})),
    /** An empty text takes back what was said. */
    noteStatus: assign(({ event }) => (event.type === 'status.told' ? { said: event.status || null } : {})),
    noteEnding: assign(({ event }) => (event.type === 'end.announced' ? { endsSince: event.at } : {})),
    noteProbe: assign(({ context, event }) => ({ health: probed(context, event) })),
    presumeHealth: assign({ health: HEALTHY }),
    waited: assign({ wait: 0 }),
    /** What SIGKILL does not end is not waited for again. */
    leaveThem: assign({ clear: null }),
    planStop: assign(({ context, event }) => plannedStop(context, event)),
    planLateStop: assign(({ context, event }) => lateStop(context, event)),
    planRestingStop: assign(({ context, event }) => restingStop(context, event, false)),
    planUndoing: assign(({ context, event }) => restingStop(context, event, true)),
    hasten: assign(({ context, event }) => hastenedStop(context, event)),
    noteKill: assign(({ context }, { killed }: { killed: CommandContext['stop']['killed'] }) => ({
      stop: { ...context.stop, killed },
    })),
    nextSignal: assign(({ context }) => ({ stop: { ...context.stop, step: context.stop.step + 1 } })),
    /** What was held against it does not matter: it is started in any case. */
    pardon: assign(({ context }) => ({ stop: { ...context.stop, faulted: false } })),
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
            queued: false,
            held: false,
            stop: {
              ...context.stop,
              everything: context.stop.everything || event.everything,
              faulted: false,
              forGood: true,
            },
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
    isEnding: ({ context }) => context.endsSince !== null,
    wasReady: ({ context }) => context.isReady,
    endsUnready: ({ context, event }) => endsUnready(context, event),
    leftQuietly: ({ context, event }) =>
      event.type === 'leader.exited' &&
      sameProcess(context.leader, event.id) &&
      event.exit.code === 0 &&
      event.heir === null &&
      context.policy.kind === 'service',
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
    /** Run as something else so far, or wished down: it waits for its time. */
    isBackInSchedule: ({ context }) =>
      context.desired === 'up' &&
      context.policy.kind === 'cron' &&
      (context.stop.forGood || context.runOf !== 'cron'),
    isHeld: ({ context }) => context.held,
    losesItsGroup: ({ context, event }) =>
      event.type === 'command.adjust' && context.held && !event.role.grouped,
    wasCompleted: ({ context }) => context.rest === 'completed',
    wasFailed: ({ context }) => context.rest === 'failed',
    isReleased: ({ context }) => !context.held,
    isFree: ({ context }) => !context.held && !context.bound,
    mustWaitForOthers: ({ context }) => context.bound || context.held,
    awaitsReadiness: ({ context }) => context.policy.ready !== null && !context.isReady,
    /** While a launcher that returns is there, what it probes may be a service before it. */
    mayBeReadyEarly: ({ context }) => context.policy.ready !== null && !context.policy.returns,
    isReadyEnough: ({ context }) => context.policy.ready === null,
    isChecked: ({ context }) => context.policy.health !== null,
    isUnchecked: ({ context }) => context.policy.health === null,
    hasSucceeded: ({ event }) => event.type === 'probe.finished' && event.reason === null,
    becomesUnhealthy: ({ context, event }) => context.health.healthy && !probed(context, event).healthy,
    becomesHealthy: ({ context, event }) => !context.health.healthy && probed(context, event).healthy,
    endsUnhealthy: ({ context, event }) =>
      event.type === 'probe.finished' &&
      event.reason !== null &&
      context.policy.health !== null &&
      context.policy.health.onUnhealthy !== 'ignore' &&
      !probed(context, event).healthy,
    overlapKills: ({ context: { desired, policy } }) =>
      policy.kind === 'cron' && desired === 'up' && policy.overlap === 'kill',
    overlapQueues: ({ context: { desired, policy } }) =>
      policy.kind === 'cron' && desired === 'up' && policy.overlap === 'queue',
    isSkipped: ({ context }) => context.policy.kind === 'cron' && context.desired === 'up',
    hasNextSignal: ({ context }) => context.stop.step + 1 < context.policy.stopSignals.length,
    killIsNext: ({ context }) => context.policy.stopSignals[context.stop.step + 1]?.signal === 'SIGKILL',
    wasJustKilled: ({ context }) => context.stop.killed === 'just',
    isOverdue: ({ context }) => context.stop.killed === 'overdue',
    wasFound: ({ context }) => context.leader !== null,
    isWishedDown: ({ context }) => context.desired === 'down',
    mustEnd: ({ context }) => context.desired === 'down' && context.leader !== null,
    wishedUp: ({ context }) => context.desired === 'up',
    hasGivenUp: ({ context }) => hasGivenUp(context),
    mustWait: ({ context }) => context.wait > 0,
    mustClear: ({ context }) => toClear(context) > 0,
    isClear: ({ context, event }) =>
      event.type === 'lineage.counted' && toClear({ ...context, remains: event.remains }) === 0,
    /** What is cleared are the workers of the one before: it is not among them. */
    isNotCleared: ({ context }) => context.clear === 'workers' && !hasGivenUp(context),
    canAsk: ({ context }) => asksFirst(context),
    hastens: ({ context, event }) => hastens(context, event),
    /** Sessions are to end as well: they have had no signal yet. */
    widens: ({ context, event }) =>
      event.type === 'command.stop' && event.everything && !context.stop.everything,
    isGone: ({ context, event }) =>
      (event.type === 'lineage.counted' || event.type === 'leader.exited') &&
      leftOf(context, event.remains) === 0,
  },
  delays: {
    settle: ({ context }) => clampDelay(settleTime(context)),
    linger: ({ context }) => clampDelay(context.policy.linger),
    clear: ({ context }) => clampDelay(context.policy.clear),
    backoff: ({ context }) => clampDelay(context.wait),
    askFor: ({ context }) => clampDelay(askFor(context.stop.budget)),
    killAfter: ({ context }) => clampDelay(killAfter(context.stop.budget)),
    budget: ({ context }) => clampDelay(giveUpStopAfter(context.stop.budget)),
    leastAfterKill: ({ context }) => clampDelay(leastAfterKill(context.stop.budget)),
    nextSignal: ({ context }) => clampDelay(stopStep(context).wait ?? Number.POSITIVE_INFINITY),
    readyTimeout: ({ context, event }) => clampDelay(readyWithin(context, event)),
    endWithin: ({ context }) => clampDelay(endWithin(context)),
    readyInterval: ({ context }) => clampDelay(context.policy.ready?.interval ?? 1_000),
    healthInterval: ({ context }) => clampDelay(context.policy.health?.every ?? 30_000),
  },
});

/** Has a schedule's times told, and nobody else's. */
const plan = base.enqueueActions(({ context, enqueue }) => {
  if (context.policy.kind !== 'cron') return;
  enqueue.spawnChild('schedule', { id: 'schedule', input: { command: context.name } });
});
const planning = base.extend({ actions: { plan } });
/** The times are those of the policy that holds now. */
const planAnew = planning.enqueueActions(({ enqueue }) => {
  enqueue.stopChild('schedule');
  enqueue({ type: 'plan' });
});

export const commandMachine = planning.extend({ actions: { planAnew } }).createMachine({
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
    runOf: input.runOf ?? input.policy.kind,
    diedAt: null,
    leftAt: 0,
    took: null,
    how: 'adopted',
    starts: 0,
    restarts: 0,
    failures: 0,
    refusals: 0,
    wait: 0,
    lastExit: null,
    reason: null,
    remains: input.remains ?? NOTHING_REMAINS,
    clear: input.remains === undefined ? 'workers' : 'tagged',
    cleared: false,
    heat: NO_HEAT,
    doomed: false,
    bound: input.role.waits,
    held: false,
    ...UNPROVEN,
    queued: false,
    nextRun: null,
    stop: {
      at: 0,
      budget: DEFAULT_STOP,
      undoes: false,
      idle: false,
      hastened: false,
      killed: null,
      everything: false,
      left: 0,
      step: 0,
      faulted: false,
      forGood: false,
    },
  }),
  on: {
    'command.adjust': { actions: ['adjust', 'planAnew'] },
    'command.rejoin': { guard: 'isHeld', actions: 'rejoin' },
    'status.told': { actions: 'noteStatus' },
    'schedule.planned': [
      {
        guard: 'isSkipped',
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
      { actions: 'foresee' },
    ],
    // The run before goes on.
    'schedule.due': [
      {
        guard: 'overlapKills',
        target: '.stopping',
        actions: [
          'planStop',
          { type: 'tell', params: ({ context }) => overlapped(context, 'kill') },
          { type: 'reach', params: { what: 'fallen' } },
        ],
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
      entry: 'plan',
      always: [
        { guard: 'mustEnd', target: 'stopping' },
        { guard: 'isWishedDown', target: 'stopped' },
        { guard: 'wasFound', target: 'running' },
        { guard: 'isScheduled', target: 'scheduled' },
        { guard: 'wasCompleted', target: 'completed.done' },
        { guard: 'wasFailed', target: 'failed.ended' },
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
        'command.rejoin': { guard: 'isHeld', target: 'waiting', reenter: true, actions: 'rejoin' },
        'command.adjust': {
          guard: 'losesItsGroup',
          target: 'waiting',
          reenter: true,
          actions: ['adjust', 'planAnew'],
        },
        'command.start': [
          { guard: 'isHeld', target: 'waiting', reenter: true, actions: 'forgive' },
          { actions: 'forgive' },
        ],
        'command.restart': [
          { guard: 'isHeld', target: 'waiting', reenter: true, actions: 'forgive' },
          { actions: 'forgive' },
        ],
        // It has not begun: there is nothing to be killed.
        'schedule.due': {
          guard: 'overlapKills',
          actions: { type: 'tell', params: ({ context }) => overlapped(context, 'skip') },
        },
        'command.stop': { target: 'stopping', actions: 'planRestingStop' },
        'leader.seen': { target: 'running', actions: 'follow' },
        'lineage.counted': { actions: 'count' },
      },
      always: { guard: 'isFree', target: 'missing' },
    },

    running: {
      description: 'The leader lives.',
      initial: 'deciding',
      entry: [
        assign({ reason: null, bound: false, held: false }),
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
        deciding: {
          always: [
            { guard: 'isEnding', target: 'ending' },
            { guard: 'awaitsReadiness', target: 'starting' },
            { target: 'ready' },
          ],
        },
        starting: {
          description: 'It runs, but its readiness probe has not succeeded yet.',
          initial: 'probing',
          always: { guard: 'isReadyEnough', target: 'ready' },
          after: {
            readyTimeout: {
              target: '#command.stopping',
              actions: [
                { type: 'condemn', params: ({ context }) => ({ reason: lateReason(context) }) },
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
                  { guard: 'hasSucceeded', target: '#command.running.ready' },
                  { target: 'pausing', actions: 'noteUnready' },
                ],
              },
            },
            pausing: { after: { readyInterval: 'probing' } },
          },
          on: {
            // Somebody may wait for what it has reached long ago.
            'command.adjust': {
              actions: ['adjust', 'planAnew', { type: 'reach', params: { what: 'started' } }],
            },
            'leader.exited': [
              {
                guard: 'handsOver',
                actions: [
                  'follow',
                  {
                    type: 'tell',
                    params: ({ context, event }) => handedOver(context, event),
                  },
                ],
              },
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
          initial: 'unchecked',
          entry: [
            'noteReady',
            enqueueActions(({ context, event, enqueue }) => {
              if (context.policy.ready === null) return;
              const took = Math.max(0, timeOf(context, event) - context.since);
              enqueue({ type: 'tell', params: { type: 'command.ready', command: context.name, took } });
            }),
            { type: 'reach', params: { what: 'ready' } },
          ],
          on: {
            'command.adjust': {
              actions: ['adjust', 'planAnew', { type: 'reach', params: { what: 'ready' } }],
            },
          },
          states: {
            unchecked: { always: { guard: 'isChecked', target: 'pausing' } },
            pausing: {
              always: { guard: 'isUnchecked', target: 'unchecked', actions: 'presumeHealth' },
              after: { healthInterval: 'probing' },
            },
            probing: {
              always: { guard: 'isUnchecked', target: 'unchecked', actions: 'presumeHealth' },
              invoke: {
                src: 'probe',
                input: ({ context }) => ({ command: context.name, which: 'health' }),
              },
              on: {
                'probe.finished': [
                  {
                    guard: 'endsUnhealthy',
                    target: '#command.stopping',
                    actions: [
                      {
                        type: 'condemn',
                        params: ({ event }) => ({ reason: `it is unhealthy: ${event.reason}` }),
                      },
                      {
                        type: 'tell',
                        params: ({ context, event }) => unhealthy(context, event.reason, false),
                      },
                      { type: 'reach', params: { what: 'died' } },
                    ],
                  },
                  {
                    guard: 'becomesUnhealthy',
                    target: 'pausing',
                    actions: [
                      {
                        type: 'tell',
                        params: ({ context, event }) => unhealthy(context, event.reason, true),
                      },
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
        ending: {
          description: 'It has said that it is about to end. Nobody asks any more how it is.',
          entry: [
            {
              type: 'tell',
              params: ({ context: { name, said } }) => ({
                type: 'command.ending',
                command: name,
                status: said,
              }),
            },
            { type: 'reach', params: { what: 'fallen' } },
          ],
          after: {
            endWithin: [
              {
                guard: 'wasReady',
                target: '#command.stopping',
                actions: [
                  { type: 'condemn', params: { reason: NEVER_ENDED } },
                  { type: 'tell', params: ({ context }) => unhealthy(context, NEVER_ENDED, false) },
                  { type: 'reach', params: { what: 'died' } },
                ],
              },
              {
                target: '#command.stopping',
                actions: [
                  { type: 'condemn', params: { reason: NEVER_ENDED } },
                  {
                    type: 'tell',
                    params: ({ context }) => failedStart(context, context.leader?.pid ?? null, null),
                  },
                  { type: 'reach', params: { what: 'fallen' } },
                ],
              },
            ],
          },
          on: {
            // It has said so before.
            'end.announced': {},
            'leader.named': {
              target: 'deciding',
              actions: [
                'follow',
                { type: 'tell', params: ({ context, event }) => handedOver(context, event) },
              ],
            },
            'leader.exited': [
              {
                guard: 'handsOver',
                target: 'deciding',
                actions: [
                  'follow',
                  { type: 'tell', params: ({ context, event }) => handedOver(context, event) },
                ],
              },
              {
                guard: 'endsUnready',
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
      },
      on: {
        'end.announced': { target: '.ending', actions: 'noteEnding' },
        'leader.named': {
          actions: ['follow', { type: 'tell', params: ({ context, event }) => handedOver(context, event) }],
        },
        'leader.exited': [
          {
            guard: 'handsOver',
            actions: [
              'follow',
              {
                type: 'tell',
                params: ({ context, event }) => handedOver(context, event),
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
                params: ({ context, event }) => died(context, event as LeaderExited),
              },
              { type: 'reach', params: { what: 'died' } },
            ],
          },
        ],
        'command.stop': {
          target: 'stopping',
          actions: ['planStop', { type: 'reach', params: { what: 'halted' } }],
        },
        'command.restart': {
          target: 'stopping',
          actions: ['planStop', { type: 'reach', params: { what: 'halted' } }],
        },
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
          always: [
            { guard: 'mustClear', target: 'clearing' },
            { guard: 'hasGivenUp', target: '#command.failed', actions: 'letGo' },
            { guard: 'mustWait', target: '#command.backoff' },
            { guard: 'mustWaitForOthers', target: '#command.waiting' },
            { target: '#command.restarting' },
          ],
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
                  target: '#command.missing.assessing',
                  actions: [
                    {
                      type: 'tell',
                      params: ({ context }) => ({
                        type: 'upkeep.notice',
                        command: context.name,
                        level: 'warn',
                        message: `cannot end ${toClear(context)} processes that the service left behind: SIGKILL had no effect (stuck in the kernel?); it is started beside them`,
                      }),
                    },
                    'leaveThem',
                  ],
                },
              },
            },
          },
          on: {
            'lineage.counted': [
              { guard: 'isClear', target: 'assessing', actions: 'count' },
              { actions: 'count' },
            ],
            // Late, but there: another one beside it would be one too many.
            'leader.seen': {
              guard: 'isNotCleared',
              target: '#command.running',
              actions: ['waited', 'follow'],
            },
          },
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
        'command.stop': { target: 'stopping', actions: 'planRestingStop' },
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
          initial: 'patient',
          after: { settle: '#command.running' },
          states: {
            patient: { always: { guard: 'mayBeReadyEarly', target: 'probing' } },
            probing: {
              invoke: { src: 'probe', input: ({ context }) => ({ command: context.name, which: 'ready' }) },
              on: {
                'probe.finished': [
                  { guard: 'hasSucceeded', target: '#command.running', actions: 'noteReady' },
                  { target: 'pausing', actions: 'noteUnready' },
                ],
              },
            },
            pausing: { after: { readyInterval: 'probing' } },
          },
          on: {
            'end.announced': { actions: 'noteEnding' },
            'leader.named': { target: '#command.running', actions: 'follow' },
            'leader.exited': [
              { guard: 'handsOver', target: '#command.running', actions: 'follow' },
              { guard: 'leftQuietly', target: 'lingering', actions: 'noteExit' },
              { guard: 'isDone', target: '#command.completed', actions: 'conclude' },
              {
                guard: 'isOurs',
                target: '#command.missing',
                actions: [
                  { type: 'blame', params: { reason: EXITED } },
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
                    params: ({ context }) => ({ reason: leftNobody(context) }),
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
          how: asksFirst(context) ? 'its own stop command' : stopStep(context).signal,
          idle: context.stop.idle,
        }),
      },
      after: {
        killAfter: '.killing',
        budget: [
          { guard: 'wasJustKilled', actions: { type: 'noteKill', params: { killed: 'overdue' } } },
          { target: '.over', actions: 'wishDown' },
        ],
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
              { guard: 'hastens', target: '#command.stopping', reenter: true, actions: 'hasten' },
              { guard: 'widens', target: 'terminating', reenter: true, actions: 'widenStop' },
              { actions: 'widenStop' },
            ],
          },
        },
        killing: {
          entry: [
            { type: 'signal', params: ({ context }) => toStop(context, 'SIGKILL') },
            { type: 'noteKill', params: { killed: 'just' } },
          ],
          after: {
            leastAfterKill: [
              { guard: 'isOverdue', target: 'over', actions: 'wishDown' },
              { actions: { type: 'noteKill', params: { killed: null } } },
            ],
          },
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
                idle: context.stop.idle,
              }),
            },
            'layDown',
          ],
          always: [
            { guard: 'isBackInSchedule', target: '#command.scheduled' },
            { guard: 'wishedUp', target: '#command.missing' },
            { target: '#command.stopped' },
          ],
        },
      },
      on: {
        'lineage.counted': [{ guard: 'isGone', target: '.over', actions: 'count' }, { actions: 'count' }],
        'leader.exited': [{ guard: 'isGone', target: '.over', actions: 'release' }, { actions: 'release' }],
        'leader.named': { actions: 'follow' },
        'command.kill': '.killing',
        'command.start': { actions: 'wishUp' },
        'command.restart': { actions: 'wishUp' },
        'command.stop': [
          { guard: 'hastens', target: 'stopping', reenter: true, actions: 'hasten' },
          { actions: 'widenStop' },
        ],
        // What is stopped to be started anew is the run that is due.
        'schedule.due': {
          guard: 'overlapKills',
          actions: ['pardon', { type: 'tell', params: ({ context }) => overlapped(context, 'skip') }],
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
        'command.stop': { target: 'stopping', actions: 'planRestingStop' },
        // What was launched before the stop is there only now.
        'leader.seen': { target: 'stopping', actions: ['follow', 'planLateStop'] },
        'lineage.counted': { actions: 'count' },
      },
    },

    completed: {
      description: 'Has run to its end.',
      initial: 'deciding',
      states: {
        deciding: {
          entry: [{ type: 'tell', params: ({ context, event }) => completed(context, event) }, 'lose'],
          always: [
            {
              guard: 'isScheduled',
              target: '#command.scheduled',
              actions: { type: 'reach', params: { what: 'fallen' } },
            },
            { target: 'done' },
          ],
        },
        done: {
          entry: {
            type: 'rest',
            params: ({ context }) => ({ state: 'completed', left: context.remains.tagged }),
          },
        },
      },
      on: {
        'command.start': [
          { guard: 'isScheduled', target: 'scheduled', actions: 'startOver' },
          { target: 'missing', actions: 'startOver' },
        ],
        'command.restart': [
          { guard: 'isScheduled', target: 'scheduled', actions: 'startOver' },
          { target: 'missing', actions: 'startOver' },
        ],
        'command.stop': { target: 'stopping', actions: 'planUndoing' },
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
        'command.stop': { target: 'stopping', actions: 'planRestingStop' },
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
            { guard: 'isScheduled', target: '#command.completed' },
            {
              target: 'ended',
              actions: {
                type: 'tell',
                params: ({ context }) => ({
                  type: 'command.failed',
                  command: context.name,
                  reason: whyFailed(context),
                }),
              },
            },
          ],
        },
        ended: {
          entry: [
            {
              type: 'rest',
              params: ({ context }) => ({ state: 'failed', left: context.remains.tagged }),
            },
          ],
        },
      },
      on: {
        'command.start': [
          { guard: 'isScheduled', target: 'scheduled', actions: 'startOver' },
          { target: 'missing', actions: 'startOver' },
        ],
        'command.restart': [
          { guard: 'isScheduled', target: 'scheduled', actions: 'startOver' },
          { target: 'missing', actions: 'startOver' },
        ],
        'command.stop': { target: 'stopping', actions: 'planRestingStop' },
        'lineage.counted': { actions: 'count' },
      },
    },
  },
});

/**
 * What each leaf state leaves unanswered on purpose. A test walks every state × event: handled, or listed here. What the
 * machine as a whole answers (`command.adjust`, `command.rejoin`, `status.told`, the schedule) is answered everywhere. Facts that are stale (a
 * launcher of an earlier try, a count that nobody waits for) are what makes most rows.
 */
const FACTS = [
  'launcher.started',
  'launch.failed',
  'leader.seen',
  'leader.named',
  'leader.exited',
  'lineage.counted',
  'stopper.finished',
  'probe.finished',
  'end.announced',
] as const;
const without = (...handled: string[]): readonly string[] => FACTS.filter((fact) => !handled.includes(fact));
/** Nobody is asked to do so where nobody runs. */
const UNASKED = ['command.kill', 'command.release', 'command.reload'] as const;
const RUNNING = ['command.start', 'command.kill', 'command.release'] as const;
const STARTING = ['command.start', ...UNASKED] as const;
const STOPPING = ['command.release', 'command.reload'] as const;

export const IGNORED: Readonly<Record<string, readonly string[]>> = {
  waiting: ['command.kill', 'command.reload', ...without('leader.seen', 'lineage.counted')],
  'running.starting.probing': [
    ...RUNNING,
    ...without('leader.named', 'end.announced', 'leader.exited', 'probe.finished'),
  ],
  'running.starting.pausing': [...RUNNING, ...without('leader.named', 'end.announced', 'leader.exited')],
  'running.ready.unchecked': [...RUNNING, ...without('leader.named', 'end.announced', 'leader.exited')],
  'running.ready.pausing': [...RUNNING, ...without('leader.named', 'end.announced', 'leader.exited')],
  'running.ready.probing': [
    ...RUNNING,
    ...without('leader.named', 'end.announced', 'leader.exited', 'probe.finished'),
  ],
  'running.ending': [...RUNNING, ...without('leader.named', 'leader.exited', 'end.announced')],
  'missing.clearing.asking': [...UNASKED, ...without('leader.seen', 'lineage.counted')],
  'missing.clearing.killing': [...UNASKED, ...without('leader.seen', 'lineage.counted')],
  backoff: [...UNASKED, ...without('leader.seen', 'lineage.counted')],
  'restarting.launching': [...STARTING, ...without('launcher.started', 'launch.failed')],
  'restarting.settling.patient': [...STARTING, ...without('leader.named', 'end.announced', 'leader.exited')],
  'restarting.settling.probing': [
    ...STARTING,
    ...without('leader.named', 'end.announced', 'leader.exited', 'probe.finished'),
  ],
  'restarting.settling.pausing': [...STARTING, ...without('leader.named', 'end.announced', 'leader.exited')],
  'restarting.lingering': [...STARTING, ...without('leader.seen', 'lineage.counted')],
  'stopping.asking': [
    ...STOPPING,
    ...without('leader.named', 'leader.exited', 'lineage.counted', 'stopper.finished'),
  ],
  'stopping.terminating': [...STOPPING, ...without('leader.named', 'leader.exited', 'lineage.counted')],
  'stopping.killing': [...STOPPING, ...without('leader.named', 'leader.exited', 'lineage.counted')],
  stopped: [...UNASKED, ...without('leader.seen', 'lineage.counted')],
  'completed.done': [...UNASKED, ...without('lineage.counted')],
  scheduled: [...UNASKED, ...without('lineage.counted')],
  'failed.ended': [...UNASKED, ...without('lineage.counted')],
};
