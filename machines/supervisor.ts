/**
 * The root: keeps the container alive, shuts it down, owns the exit code. It looks at the process table once before anything is
 * started, then spawns the groups, and hands each its own facts and orders. Who waits for whom is in its book: it releases
 * commands when what they require is there, and stops them in reverse.
 */
import { type ActorRefFrom, assign, enqueueActions, setup } from 'xstate';
import { explain, type Reached, type ReachedBook, reachedNow, unmet } from './dependencies.ts';
import type {
  CommandOrder,
  CommandPlan,
  CommandRole,
  Exit,
  NamedFact,
  SupervisorEvent,
  Telling,
} from './events.ts';
import { groupMachine } from './group.ts';
import { type StopPlan, stopPlan, stoppable, stopShare } from './order.ts';
import { ownOf } from './own.ts';
import { scanPort } from './ports.ts';
import { clampDelay, giveUpStopAfter } from './restart-policy.ts';
import {
  beforeOf,
  commandsOf,
  type GroupPlan,
  NO_ROLE,
  regrouping,
  rolesOf,
  type SupervisorPlan,
  unwritten,
} from './tree.ts';

export interface SupervisorInput extends SupervisorPlan {
  /** Any integer; spreads the backoff of commands and of containers. */
  readonly seed: number;
}

type GroupRef = ActorRefFrom<typeof groupMachine>;

export interface SupervisorContext {
  readonly plan: SupervisorPlan;
  readonly seed: number;
  /** How often the policy was read. */
  readonly generation: number;
  readonly groups: Readonly<Record<string, GroupRef>>;
  /** The group that each command is in. */
  readonly groupOf: Readonly<Record<string, GroupRef>>;
  readonly plans: Readonly<Record<string, CommandPlan>>;
  /** How far those have come whom others wait for. */
  readonly reached: ReachedBook;
  /** Who waits for a release. */
  readonly waiting: ReadonlySet<string>;
  /** Whom an operator has stopped. */
  readonly down: ReadonlySet<string>;
  /** Commands that are given up when they have stopped: the policy does not name them any more. */
  readonly leaving: ReadonlySet<string>;
  /** Commands that have not come to rest since the shutdown began. */
  readonly awaited: ReadonlySet<string>;
  /** Those of them that have been told to stop. */
  readonly told: ReadonlySet<string>;
  /** In which order; null: nobody comes before anybody. */
  readonly stopOrder: StopPlan | null;
  readonly code: number;
  /** Whose exit status is the container's: known when it ends by itself. */
  readonly exit: Exit | null;
  readonly reason: string;
  readonly stoppedAt: number;
  /** Processes that could not be ended. */
  readonly left: number;
}

export interface SupervisorOutput {
  /** Exit code: 0 asked to stop; 1 asked to stop, but something could not be ended; 10 a command failed for good. */
  readonly code: number;
  /** The status to exit with instead; null: `code`. */
  readonly exit: Exit | null;
  readonly left: number;
}

const EXIT_FAILED = 10;
const EXIT_LEFT = 1;
export const EXIT_INTERNAL = 70;

const without = (set: ReadonlySet<string>, name: string): ReadonlySet<string> => {
  const rest = new Set(set);
  rest.delete(name);
  return rest;
};

/** Why the container ends with what has just been heard, and with whose exit status; null: it goes on. */
function endOf(
  context: SupervisorContext,
  event: SupervisorEvent,
): { readonly reason: string; readonly code: number } | null {
  const { exitWhen } = context.plan;
  if (event.type === 'group.rested') {
    const vital = context.plan.groups.some(({ name, vital: isVital }) => isVital && name === event.group);
    return vital || exitWhen === 'any-failed'
      ? { reason: `${event.group} has failed for good`, code: EXIT_FAILED }
      : null;
  }
  if (event.type !== 'command.rested' || event.state === 'stopped') return null;
  const failed = event.state === 'failed';
  const plan = ownOf(context.plans, event.command);
  if (failed && (exitWhen === 'any-failed' || plan?.vital)) {
    return { reason: `${event.command} has failed for good`, code: EXIT_FAILED };
  }
  if (typeof exitWhen === 'object' && exitWhen.done === event.command) {
    return failed
      ? { reason: `${event.command} has failed for good`, code: EXIT_FAILED }
      : { reason: `${event.command} is done`, code: 0 };
  }
  if (exitWhen !== 'all-done') return null;
  const reached = reachedNow(context.reached, event);
  const open = Object.values(context.plans).filter(
    ({ name, policy }) => policy.kind !== 'cron' && !isOver(ownOf(reached, name)),
  );
  if (open.length > 0) return null;
  const anyFailed = Object.values(reached).some(({ state }) => state === 'failed');
  return { reason: 'all commands are done', code: anyFailed ? EXIT_FAILED : 0 };
}

const isOver = (reached: Reached | undefined): boolean =>
  reached?.state === 'completed' || reached?.state === 'failed';

/** Whose exit status the container's is. */
function exitOf({ plan, reached }: SupervisorContext, event: SupervisorEvent): Exit | null {
  const { exitCodeFrom, exitWhen } = plan;
  const name = exitCodeFrom ?? (typeof exitWhen === 'object' ? exitWhen.done : null);
  return name === null ? null : (ownOf(reachedNow(reached, event), name)?.exit ?? null);
}

const base = setup({
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
    orderAll: enqueueActions(({ context, enqueue }, order: CommandOrder) => {
      for (const group of Object.values(context.groups))
        enqueue.sendTo(group, { type: 'all.ordered', order });
    }),
    restartChanged: enqueueActions(
      ({ context, enqueue }, { at, commands }: { at: number; commands: readonly string[] }) => {
        for (const command of commands) {
          if (context.down.has(command)) continue;
          const order: CommandOrder = { type: 'command.restart', at };
          enqueue.sendTo(context.groupOf[command]!, { type: 'command.ordered', command, order });
        }
      },
    ),
    regroup: assign(({ context, spawn }, params: Regrouped) => {
      const { plan, found, roles, spawned, ended, stay, stopped } = params;
      const groups = new Map(Object.entries(context.groups).filter(([name]) => !ended.has(name)));
      const groupOf = new Map(
        Object.entries(context.groupOf).filter(([name]) => stay.has(name) || stopped.has(name)),
      );
      const plans: Record<string, CommandPlan> = Object.fromEntries(
        plan.groups.flatMap(commandsOf).map((each) => [each.name, each]),
      );
      // Whose group is gone, though it is itself to be stopped first.
      const orphans = Object.values(context.plans).filter(
        ({ name }) => !Object.hasOwn(plans, name) && !stopped.has(name),
      );
      const rest: Record<string, 'stopped' | 'completed' | 'failed'> = {};
      for (const [name, { state }] of Object.entries(context.reached)) {
        if (state === 'completed' || state === 'failed') rest[name] = state;
      }
      for (const name of [...context.down, ...orphans.map(({ name }) => name)]) rest[name] = 'stopped';
      const leavers = unwritten(orphans.map(detached), context.generation * 1_000);
      let { seed } = context;
      for (const group of [...spawned, ...leavers]) {
        const id = `group:${group.name}:${seed}`;
        const actor = spawn('group', { id, input: { plan: group, seed, found, rest, roles } });
        groups.set(group.name, actor);
        for (const { name } of commandsOf(group)) groupOf.set(name, actor);
        seed += commandsOf(group).length;
      }
      for (const name of stopped) plans[name] = detached(context.plans[name]!);
      for (const each of orphans) plans[each.name] = detached(each);
      const leaving = new Set([...context.leaving].filter((name) => !Object.hasOwn(plans, name)));
      for (const name of [...stopped, ...orphans.map(({ name }) => name)]) leaving.add(name);
      return {
        plan,
        seed,
        generation: context.generation + 1,
        plans,
        leaving,
        reached: Object.fromEntries(Object.entries(context.reached).filter(([name]) => groupOf.has(name))),
        groups: Object.fromEntries(groups),
        groupOf: Object.fromEntries(groupOf),
      };
    }),
  },
});

/** Releases whoever waits for nothing any more. */
const release = base.enqueueActions(({ context, event, enqueue }) => {
  if (context.waiting.size === 0 || !('at' in event)) return;
  const waiting = new Set(context.waiting);
  for (const command of context.waiting) {
    const plan = ownOf(context.plans, command);
    const group = ownOf(context.groupOf, command);
    if (plan === undefined || group === undefined) continue;
    const missing = unmet(plan, context.plans, context.reached);
    if (missing.length === 0) {
      waiting.delete(command);
      const order: CommandOrder = { type: 'command.release', at: event.at };
      enqueue.sendTo(group, { type: 'command.ordered', command, order });
    } else if (isNewsFor(command, missing, event)) {
      const reasons = missing.map((each) => explain(each, context.reached));
      enqueue({ type: 'tell', params: { type: 'command.waiting', command, for: reasons } });
    }
  }
  enqueue.assign({ waiting });
});

/** The next commands that can be stopped: nobody comes after them that still runs. */
const stopNext = base.enqueueActions(({ context, event, enqueue }) => {
  const at = 'at' in event ? event.at : context.stoppedAt;
  const order = (budget: number): CommandOrder => ({
    type: 'command.stop',
    at,
    budget,
    everything: true,
  });
  if (context.stopOrder === null) {
    if (context.told.size > 0) return;
    enqueue({ type: 'orderAll', params: order(context.plan.grace) });
    enqueue.assign({ told: context.awaited });
    return;
  }
  const remaining = Math.max(0, context.stoppedAt + context.plan.grace - at);
  const next = stoppable(context.stopOrder.followers, context.awaited).filter(
    (name) => !context.told.has(name),
  );
  for (const command of next) {
    const budget = stopShare(context.stopOrder, command, remaining);
    enqueue.sendTo(context.groupOf[command]!, {
      type: 'command.ordered',
      command,
      order: order(budget),
    });
  }
  if (next.length > 0) enqueue.assign({ told: new Set([...context.told, ...next]) });
});

/** No more waiting for anybody. */
const killAll = base.enqueueActions(({ context, event, enqueue }) => {
  const at = 'at' in event ? event.at : context.stoppedAt;
  const stop: CommandOrder = { type: 'command.stop', at, budget: 0, everything: true };
  for (const command of context.awaited) {
    if (context.told.has(command)) continue;
    enqueue.sendTo(context.groupOf[command]!, { type: 'command.ordered', command, order: stop });
  }
  enqueue.assign({ told: context.awaited });
  enqueue({ type: 'orderAll', params: { type: 'command.kill', at } });
});

/** The policy was read again: only what differs is touched. */
const change = base.enqueueActions(({ context, event, enqueue }) => {
  if (event.type !== 'policy.changed') return;
  const { at, plan, found, diff } = event;
  const { spawned, ended, adjusted, dropped, stopped, stay } = regrouping(
    context.plan.groups.filter(({ name }) => Object.hasOwn(context.groups, name)),
    plan.groups,
  );
  const roles = rolesOf(plan.groups);
  const before = rolesOf(context.plan.groups);
  const send = (command: string, order: CommandOrder): void =>
    enqueue.sendTo(context.groupOf[command]!, { type: 'command.ordered', command, order });

  for (const command of stopped) {
    send(command, { type: 'command.stop', at, budget: context.plan.grace, everything: false });
  }
  for (const group of adjusted) {
    enqueue.sendTo(context.groups[group.name]!, { type: 'group.adjusted', plan: group });
  }
  const plans = Object.fromEntries(plan.groups.flatMap(commandsOf).map((each) => [each.name, each]));
  for (const command of stay) {
    const role = ownOf(roles, command) ?? NO_ROLE;
    const changed = [...diff.adjusted, ...diff.restarted].includes(command);
    if (changed || !isSameRole(role, ownOf(before, command) ?? NO_ROLE)) {
      send(command, { type: 'command.adjust', at, policy: plans[command]!.policy, role });
    }
  }
  for (const command of dropped)
    enqueue.sendTo(context.groupOf[command]!, { type: 'member.dropped', command });
  for (const name of ended) enqueue.stopChild(context.groups[name]!);
  enqueue({ type: 'regroup', params: { plan, found, roles, spawned, ended, stay, stopped } });
  enqueue({
    type: 'restartChanged',
    params: {
      at,
      commands: diff.restarted.filter((name) => stay.has(name) || Object.hasOwn(found, name)),
    },
  });
  enqueue({ type: 'tell', params: { type: 'policy.reloaded', ...diff } });
});

export const supervisorMachine = base
  .extend({
    actions: {
      release,
      stopNext,
      killAll,
      change,
      spawnGroups: assign(({ context, event, spawn }) => {
        if (event.type !== 'scan.began') return {};
        const roles = rolesOf(context.plan.groups);
        const groups: [string, GroupRef][] = [];
        const groupOf: [string, GroupRef][] = [];
        let seed = context.seed;
        for (const plan of context.plan.groups) {
          const input = { plan, seed, found: event.found, rest: {}, roles };
          const group = spawn('group', { id: `group:${plan.name}`, input });
          groups.push([plan.name, group]);
          for (const { name } of commandsOf(plan)) groupOf.push([name, group]);
          seed += commandsOf(plan).length;
        }
        return { groups: Object.fromEntries(groups), groupOf: Object.fromEntries(groupOf), seed };
      }),
      route: enqueueActions(({ context, event, enqueue }) => {
        if (event.type !== 'scan.changed') return;
        const parts = new Map<GroupRef, NamedFact[]>();
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
        const { command, order } = event;
        const group = ownOf(context.groupOf, command);
        if (group === undefined) return;
        enqueue.sendTo(group, event);
        if (order.type === 'command.stop') enqueue.assign({ down: new Set([...context.down, command]) });
        if (order.type === 'command.start' || order.type === 'command.restart') {
          enqueue.assign({ down: without(context.down, command) });
        }
      }),
      /** How far somebody has come, or has fallen back. */
      note: assign(({ context, event }) => ({
        reached: reachedNow(context.reached, event),
        waiting:
          event.type === 'command.reached' && event.what === 'waiting'
            ? new Set([...context.waiting, event.command])
            : 'command' in event && event.type === 'command.rested'
              ? without(context.waiting, event.command)
              : context.waiting,
      })),
      settle: assign(({ context, event }) => {
        if (event.type !== 'command.rested' || !context.awaited.has(event.command)) return {};
        // Before it was told to stop it may have come to rest by itself: that is not the end of all that it started.
        if (!context.told.has(event.command)) return {};
        return { awaited: without(context.awaited, event.command), left: context.left + event.left };
      }),
      planShutdown: assign(({ context, event }) => {
        const commands = Object.values(context.plans);
        const before = beforeOf(commands);
        const ordered = commands.some(({ name }) => before.get(name)!.length > 0);
        const timeoutOf = (name: string): number | null => context.plans[name]!.policy.stopTimeout;
        return {
          awaited: new Set(Object.keys(context.groupOf)),
          told: new Set<string>(),
          stopOrder: ordered ? stopPlan(before, timeoutOf, context.plan.grace) : null,
          ...(event.type === 'shutdown.ordered' ? { reason: event.reason, stoppedAt: event.at } : {}),
        };
      }),
      endByItself: assign(({ context, event }) => {
        const end = endOf(context, event);
        if (end === null || !('at' in event)) return {};
        return { code: end.code, reason: end.reason, exit: exitOf(context, event), stoppedAt: event.at };
      }),
      /** A command that the policy names no more has stopped. */
      bidFarewell: enqueueActions(({ context, event, enqueue }) => {
        if (event.type !== 'command.rested' || !context.leaving.has(event.command)) return;
        const { command } = event;
        enqueue.sendTo(context.groupOf[command]!, { type: 'member.dropped', command });
        const { [command]: _, ...groupOf } = context.groupOf;
        const { [command]: __, ...plans } = context.plans;
        const { [command]: ___, ...reached } = context.reached;
        enqueue.assign({
          groupOf,
          plans,
          reached,
          leaving: without(context.leaving, command),
          down: without(context.down, command),
        });
      }),
    },
    guards: {
      endsIt: ({ context, event }) => endOf(context, event) !== null,
      allRested: ({ context }) => context.awaited.size === 0,
    },
    delays: {
      // Commands keep the budget themselves; this ends what is beyond them.
      overdue: ({ context }) =>
        clampDelay(
          giveUpStopAfter(context.plan.grace) +
            1_000 * (context.stopOrder === null ? 1 : context.awaited.size),
        ),
    },
  })
  .createMachine({
    id: 'supervisor',
    options: { maxIterations: 100 },
    context: ({ input: { seed, ...plan } }) => ({
      plan,
      seed,
      generation: 1,
      groups: {},
      groupOf: {},
      plans: Object.fromEntries(plan.groups.flatMap(commandsOf).map((each) => [each.name, each])),
      reached: {},
      waiting: new Set<string>(),
      down: new Set<string>(),
      leaving: new Set<string>(),
      awaited: new Set<string>(),
      told: new Set<string>(),
      stopOrder: null,
      code: 0,
      exit: null,
      reason: '',
      stoppedAt: 0,
      left: 0,
    }),
    output: ({ context }) => ({
      // Who has not come to rest has something left, though nobody knows how much.
      code: context.code === 0 && (context.left > 0 || context.awaited.size > 0) ? EXIT_LEFT : context.code,
      exit: context.exit,
      left: context.left,
    }),
    invoke: {
      id: 'scan',
      src: 'scan',
      input: ({ context }) => ({ commands: Object.keys(context.plans) }),
    },
    initial: 'observing',
    states: {
      observing: {
        description: 'Nothing is started before the process table has been read.',
        on: {
          'scan.began': { target: 'supervising', actions: 'spawnGroups' },
          'shutdown.ordered': { target: 'stopping', actions: 'planShutdown' },
        },
      },
      supervising: {
        on: {
          'scan.changed': { actions: 'route' },
          'command.ordered': { actions: 'pass' },
          'command.reached': { actions: ['note', 'release'] },
          'command.rested': [
            { guard: 'endsIt', target: 'stopping', actions: ['endByItself', 'note', 'planShutdown'] },
            { actions: ['note', 'bidFarewell', 'release'] },
          ],
          'group.rested': {
            guard: 'endsIt',
            target: 'stopping',
            actions: ['endByItself', 'planShutdown'],
          },
          'policy.changed': { actions: ['change', 'release'] },
          'shutdown.ordered': { target: 'stopping', actions: 'planShutdown' },
        },
      },
      stopping: {
        description:
          'In one budget: all at once where nobody comes before anybody, else in reverse of the start.',
        entry: [
          {
            type: 'tell',
            params: ({ context }) => ({
              type: 'supervisor.stopping',
              reason: context.reason,
              budget: context.plan.grace,
            }),
          },
          'stopNext',
        ],
        always: { guard: 'allRested', target: 'done' },
        after: { overdue: 'done' },
        on: {
          'scan.changed': { actions: 'route' },
          'command.rested': { actions: ['settle', 'stopNext'] },
          'shutdown.ordered': { actions: 'killAll' },
        },
      },
      done: { type: 'final' },
    },
  });

interface Regrouped {
  readonly plan: SupervisorPlan;
  readonly found: Extract<SupervisorEvent, { type: 'policy.changed' }>['found'];
  readonly roles: ReturnType<typeof rolesOf>;
  readonly spawned: readonly GroupPlan[];
  readonly ended: ReadonlySet<string>;
  readonly stay: ReadonlySet<string>;
  readonly stopped: ReadonlySet<string>;
}

/** What is left of a plan that is on its way out: nobody waits for it, and it waits for nobody. */
function detached(plan: CommandPlan): CommandPlan {
  return { ...plan, requires: {}, after: [], vital: false };
}

function isSameRole(a: CommandRole, b: CommandRole): boolean {
  return a.waits === b.waits && a.watched === b.watched && a.grouped === b.grouped;
}

/** It has just asked, or what it waits for will not come by itself. */
function isNewsFor(
  command: string,
  missing: readonly { command: string }[],
  event: SupervisorEvent,
): boolean {
  if (event.type === 'command.reached') return event.what === 'waiting' && event.command === command;
  return event.type === 'command.rested' && missing.some((each) => each.command === event.command);
}
