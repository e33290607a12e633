/**
 * One managed command. `desired` is the wish; the state is what was seen.
 *
 *   running ── the leader is gone ──▶ missing ──▶ restarting ──▶ running
 *                                        └─ died young ─▶ backoff ─▶ missing
 *
 * `stopping`, `stopped` and `failed` are where an order or the policy's limit leads.
 */
import { assign, sendParent, setup } from 'xstate';
import type {
  CommandEvent,
  CommandFact,
  Exit,
  Leader,
  ProcessId,
  Remains,
  SignalScope,
  Telling,
} from './events.ts';
import { launchPort, stopperPort } from './ports.ts';
import {
  askFor,
  backoffDelay,
  type CommandPolicy,
  clampDelay,
  givesUp,
  giveUpStopAfter,
  killAfter,
  SYSTEM_BACKOFF_FLOOR,
  wasStable,
} from './restart-policy.ts';

export interface CommandInput {
  readonly name: string;
  readonly policy: CommandPolicy;
  /** Spreads the backoff of different commands. */
  readonly seed: number;
  /** Who stood for the service when upkeep began, if anybody did. */
  readonly found: Leader | null;
}

export interface CommandContext {
  readonly name: string;
  readonly policy: CommandPolicy;
  readonly seed: number;
  readonly desired: 'up' | 'down';
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
  /** Whom `missing` has to stop before anything is started. */
  readonly clear: SignalScope;
  /** What a failed start left behind has been stopped once, and the start tried again. */
  readonly cleared: boolean;
  /** The stop that is under way, or the last one. `left`: what it could not end. */
  readonly stop: {
    readonly at: number;
    readonly budget: number;
    readonly everything: boolean;
    readonly left: number;
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

/** What is told of the next try: ms, 0 for at once, null for none. */
function nextTry(context: CommandContext): number | null {
  return givesUp(context.policy, context.failures) ? null : context.wait;
}

export const commandMachine = setup({
  types: {
    context: {} as CommandContext,
    input: {} as CommandInput,
    events: {} as CommandEvent,
  },
  actors: { launch: launchPort, stopper: stopperPort },
  actions: {
    /** Port: sends a signal to what is alive of the service, and has `lineage.counted` told afterwards. */
    signal: (_, _params: { command: string; scope: SignalScope; signal: string }) => {
      throw new Error('cannot signal: the port "signal" was not provided; see src/supervise.ts');
    },
    /** Port: one fact for log, metrics and inspector. */
    tell: (_, _params: Telling) => {
      throw new Error('cannot tell: the port "tell" was not provided; see src/supervise.ts');
    },
    count: assign(({ event }) => (event.type === 'lineage.counted' ? { remains: event.remains } : {})),
    /** A run has ended. */
    bury: assign(({ context, event }) => {
      if (event.type !== 'leader.exited') return {};
      const young = !wasStable(context.policy, event.at - context.since);
      return {
        ...(young ? afterFailure(context, 'command') : { failures: 0, refusals: 0, wait: 0 }),
        leader: null,
        diedAt: event.at,
        lastExit: event.exit,
        reason: null,
        restarts: context.restarts + 1,
        remains: event.remains,
        clear: 'workers' as const,
        cleared: false,
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
        leader: null,
        lastExit: exit ?? context.lastExit,
        diedAt: context.diedAt ?? ('at' in event ? event.at : null),
        reason: params.reason,
        remains,
        clear: 'tagged' as const,
      };
    }),
    wishUp: assign({ desired: 'up' }),
    wishDown: assign({ desired: 'down' }),
    forgive: assign({ failures: 0, refusals: 0, wait: 0, desired: 'up', cleared: false }),
    /** An order begins a new life: how long nobody wished for one is not part of what it took. */
    startOver: assign({ failures: 0, refusals: 0, wait: 0, desired: 'up', cleared: false, diedAt: null }),
    waited: assign({ wait: 0 }),
    planStop: assign(({ context, event }) => {
      if (event.type === 'command.stop') {
        const { at, budget, everything } = event;
        return { desired: 'down' as const, stop: { at, budget, everything, left: 0 } };
      }
      return event.type === 'command.restart'
        ? { desired: 'up' as const, stop: { ...context.stop, at: event.at } }
        : {};
    }),
    layDown: assign(({ context, event }) => ({
      leader: null,
      // The count may be faster than the news of the leader's own end.
      diedAt: context.leader !== null && 'at' in event ? event.at : context.diedAt,
      failures: 0,
      refusals: 0,
      wait: 0,
      cleared: false,
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
      event.type === 'leader.exited' && sameProcess(context.leader, event.id) && event.heir !== null,
    leftQuietly: ({ context, event }) =>
      event.type === 'leader.exited' &&
      sameProcess(context.leader, event.id) &&
      event.exit.code === 0 &&
      event.heir === null,
    wasFound: ({ context }) => context.leader !== null,
    wishedUp: ({ context }) => context.desired === 'up',
    hasGivenUp: ({ context }) => givesUp(context.policy, context.failures),
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
  },
}).createMachine({
  id: 'command',
  // A cycle of eventless transitions is to be an error, not a hang.
  options: { maxIterations: 100 },
  context: ({ input }) => ({
    name: input.name,
    policy: input.policy,
    seed: input.seed,
    desired: 'up',
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
    stop: { at: 0, budget: 9_000, everything: false, left: 0 },
  }),
  initial: 'beginning',
  states: {
    beginning: {
      description: 'The first scan has decided where it begins.',
      always: [{ guard: 'wasFound', target: 'running' }, { target: 'missing' }],
    },

    running: {
      description: 'The leader lives.',
      entry: [
        assign({ cleared: false, reason: null }),
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
      ],
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
            ],
          },
        ],
        'command.stop': { target: 'stopping', actions: 'planStop' },
        'command.restart': { target: 'stopping', actions: 'planStop' },
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
                    scope: context.clear,
                    signal: 'SIGTERM',
                  }),
                },
              ],
              after: { clear: 'killing' },
            },
            killing: {
              entry: {
                type: 'signal',
                params: ({ context }) => ({ command: context.name, scope: context.clear, signal: 'SIGKILL' }),
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
              ],
            },
          },
        },
        settling: {
          description: 'A launcher that stays is a foreground program.',
          after: { settle: '#command.running' },
          on: {
            'leader.exited': [
              { guard: 'handsOver', target: '#command.running', actions: 'follow' },
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
                ],
              },
            ],
          },
        },
        lingering: {
          description: 'The launcher left with status 0: its daemon is awaited.',
          after: {
            linger: {
              target: '#command.missing',
              actions: [
                {
                  type: 'blame',
                  params: { reason: 'finished with status 0 and left no process; is it a one-shot?' },
                },
                { type: 'tell', params: ({ context }) => failedStart(context, null, null) },
              ],
            },
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
          how: context.policy.ownStop && context.leader !== null ? 'its own stop command' : 'SIGTERM',
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
          entry: { type: 'signal', params: ({ context }) => toStop(context, 'SIGTERM') },
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
      },
    },

    stopped: {
      description: 'By order. Nothing starts it but an order.',
      entry: [
        sendParent(({ context, event }) => ({
          type: 'command.rested',
          at: timeOf(context, event),
          command: context.name,
          state: 'stopped',
          left: context.stop.left,
        })),
      ],
      on: {
        'command.start': { target: 'missing', actions: 'startOver' },
        'command.restart': { target: 'missing', actions: 'startOver' },
        'command.stop': { target: 'stopping', actions: 'planStop' },
        'lineage.counted': { actions: 'count' },
      },
    },

    failed: {
      description: 'Gave up: the policy bears no more failures.',
      entry: [
        {
          type: 'tell',
          params: ({ context }) => ({
            type: 'command.failed',
            command: context.name,
            reason: `${context.failures} failures in a row`,
          }),
        },
        sendParent(({ context, event }) => ({
          type: 'command.rested',
          at: timeOf(context, event),
          command: context.name,
          state: 'failed',
          left: context.remains.tagged,
        })),
      ],
      on: {
        'command.start': { target: 'missing', actions: 'startOver' },
        'command.restart': { target: 'missing', actions: 'startOver' },
        'command.stop': { target: 'stopping', actions: 'planStop' },
        'lineage.counted': { actions: 'count' },
      },
    },
  },
});

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
