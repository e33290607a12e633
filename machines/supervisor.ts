/**
 * The root: keeps the container alive, shuts it down, owns the exit code. It looks at the process table once
 * before anything is started, then spawns the commands, in groups, and hands each group its own facts and orders.
 */
import { type ActorRefFrom, assign, enqueueActions, setup } from 'xstate';
import type { CommandOrder, NamedFact, SupervisorEvent, Telling } from './events.ts';
import { type CommandPlan, groupMachine } from './group.ts';
import { ownOf } from './own.ts';
import { scanPort } from './ports.ts';
import { clampDelay, giveUpStopAfter } from './restart-policy.ts';

export interface SupervisorInput {
  readonly commands: readonly CommandPlan[];
  /** ms for the whole of a shutdown. */
  readonly grace: number;
  /** Any integer; spreads the backoff of commands and of containers. */
  readonly seed: number;
}

export interface SupervisorContext extends SupervisorInput {
  readonly groups: readonly ActorRefFrom<typeof groupMachine>[];
  /** The group that each command is in. */
  readonly groupOf: Readonly<Record<string, ActorRefFrom<typeof groupMachine>>>;
  /** Commands that have not come to rest since the shutdown began. */
  readonly awaited: ReadonlySet<string>;
  readonly code: number;
  readonly reason: string;
  readonly stoppedAt: number;
  /** Processes that could not be ended. */
  readonly left: number;
}

export interface SupervisorOutput {
  /** Exit code: 0 asked to stop; 1 asked to stop, but something could not be ended; 10 a command failed for good. */
  readonly code: number;
  readonly left: number;
}

/** As many as the root of a thousand commands has groups. */
const GROUP_SIZE = 32;

export const EXIT_FAILED = 10;
export const EXIT_LEFT = 1;
export const EXIT_INTERNAL = 70;

export const supervisorMachine = setup({
  types: {
    context: {} as SupervisorContext,
    input: {} as SupervisorInput,
    output: {} as SupervisorOutput,
    events: {} as SupervisorEvent,
    children: {} as Record<string, 'group'>,
  },
  actors: { group: groupMachine, scan: scanPort },
  actions: {
    /** Port: see machines/command.ts. */
    tell: (_, _params: Telling) => {
      throw new Error('cannot tell: the port "tell" was not provided; see src/supervise.ts');
    },
    spawnCommands: assign(({ context, event, spawn }) => {
      if (event.type !== 'scan.began') return {};
      const groups: SupervisorContext['groups'][number][] = [];
      const groupOf: [string, SupervisorContext['groups'][number]][] = [];
      for (let from = 0; from < context.commands.length; from += GROUP_SIZE) {
        const commands = context.commands.slice(from, from + GROUP_SIZE);
        const input = { commands, seed: context.seed + from, found: event.found };
        const group = spawn('group', { id: `group:${groups.length}`, input });
        groups.push(group);
        for (const { name } of commands) groupOf.push([name, group]);
      }
      return { groups, groupOf: Object.fromEntries(groupOf) };
    }),
    route: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'scan.changed') return;
      const parts = new Map<SupervisorContext['groups'][number], NamedFact[]>();
      for (const named of event.facts) {
        const group = ownOf(context.groupOf, named.command);
        if (group === undefined) continue;
        const part = parts.get(group);
        if (part === undefined) parts.set(group, [named]);
        else part.push(named);
      }
      for (const [group, facts] of parts) enqueue.sendTo(group, { ...event, facts });
    }),
    pass: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'command.ordered') return;
      const group = ownOf(context.groupOf, event.command);
      if (group !== undefined) enqueue.sendTo(group, event);
    }),
    orderAll: enqueueActions(({ context, enqueue }, order: CommandOrder) => {
      for (const group of context.groups) enqueue.sendTo(group, { type: 'all.ordered', order });
    }),
    settle: assign(({ context, event }) => {
      if (event.type !== 'command.rested' || !context.awaited.has(event.command)) return {};
      const awaited = new Set(context.awaited);
      awaited.delete(event.command);
      return { awaited, left: context.left + event.left };
    }),
    planShutdown: assign(({ context, event }) => ({
      awaited: new Set(Object.keys(context.groupOf)),
      ...(event.type === 'shutdown.ordered' ? { reason: event.reason, stoppedAt: event.at } : {}),
    })),
  },
  guards: {
    isVital: ({ context, event }) =>
      event.type === 'command.rested' &&
      event.state === 'failed' &&
      context.commands.some(({ name, vital }) => vital && name === event.command),
    allRested: ({ context }) => context.awaited.size === 0,
  },
  delays: {
    // Commands keep the budget themselves; this ends what is beyond them.
    overdue: ({ context }) => clampDelay(giveUpStopAfter(context.grace) + 1_000),
  },
}).createMachine({
  id: 'supervisor',
  options: { maxIterations: 100 },
  context: ({ input }) => ({
    ...input,
    groups: [],
    groupOf: {},
    awaited: new Set<string>(),
    code: 0,
    reason: '',
    stoppedAt: 0,
    left: 0,
  }),
  output: ({ context }) => ({
    // Who has not come to rest has something left, though nobody knows how much.
    code: context.code === 0 && (context.left > 0 || context.awaited.size > 0) ? EXIT_LEFT : context.code,
    left: context.left,
  }),
  invoke: {
    id: 'scan',
    src: 'scan',
    input: ({ context }) => ({ commands: context.commands.map(({ name }) => name) }),
  },
  initial: 'observing',
  states: {
    observing: {
      description: 'Nothing is started before the process table has been read.',
      on: {
        'scan.began': { target: 'supervising', actions: 'spawnCommands' },
        'shutdown.ordered': { target: 'stopping', actions: 'planShutdown' },
      },
    },
    supervising: {
      on: {
        'scan.changed': { actions: 'route' },
        'command.ordered': { actions: 'pass' },
        'command.rested': {
          guard: 'isVital',
          target: 'stopping',
          actions: [
            'planShutdown',
            assign(({ event }) => ({
              code: EXIT_FAILED,
              reason: `${event.command} has failed for good`,
              stoppedAt: event.at,
            })),
          ],
        },
        'shutdown.ordered': { target: 'stopping', actions: 'planShutdown' },
      },
    },
    stopping: {
      description: 'All commands in parallel, in one budget.',
      entry: [
        {
          type: 'tell',
          params: ({ context }) => ({
            type: 'supervisor.stopping',
            reason: context.reason,
            budget: context.grace,
          }),
        },
        {
          type: 'orderAll',
          params: ({ context }) => ({
            type: 'command.stop',
            at: context.stoppedAt,
            budget: context.grace,
            everything: true,
          }),
        },
      ],
      always: { guard: 'allRested', target: 'done' },
      after: { overdue: 'done' },
      on: {
        'scan.changed': { actions: 'route' },
        'command.rested': { actions: 'settle' },
        'shutdown.ordered': {
          actions: { type: 'orderAll', params: ({ event }) => ({ type: 'command.kill', at: event.at }) },
        },
      },
    },
    done: { type: 'final' },
  },
});
