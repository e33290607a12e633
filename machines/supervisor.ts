/**
 * The root: keeps the container alive, shuts it down, owns the exit code. It looks at the process table once before anything is
 * started, then spawns the groups, and hands each its own facts and orders. Who waits for whom is in its book: it releases
 * commands when what they require is there, and stops them in reverse.
 */
import { type ActorRefFrom, assign, enqueueActions, setup } from 'xstate';
import { explain, givenUp, isAtRest, type ReachedBook, reachedNow, unmet } from './dependencies.ts';
import type {
  CommandOrder,
  CommandPlan,
  CommandReached,
  CommandRested,
  CommandRole,
  Exit,
  Leader,
  NamedFact,
  Remains,
  SupervisorEvent,
  Telling,
} from './events.ts';
import { groupMachine } from './group.ts';
import { type StopPlan, stopPlan, stoppable, stopShare } from './order.ts';
import { ownOf } from './own.ts';
import { scanPort } from './ports.ts';
import { type CommandPolicy, clampDelay, giveUpStopAfter } from './restart-policy.ts';
import {
  beforeOf,
  commandsOf,
  type GroupPlan,
  groupNamed,
  isVital,
  NO_ROLE,
  type Regrouping,
  type Roles,
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
  /** The next command's. */
  readonly seed: number;
  /** How many groups have been made. */
  readonly made: number;
  readonly groups: readonly GroupRef[];
  /** The group that each command is in, or is below. */
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

const NOBODY: ReadonlySet<string> = new Set();

const without = (set: ReadonlySet<string>, name: string): ReadonlySet<string> => {
  const rest = new Set(set);
  rest.delete(name);
  return rest;
};

interface End {
  readonly reason: string;
  readonly code: number;
}

const failure = (name: string): End => ({ reason: `${name} has failed for good`, code: EXIT_FAILED });

/** Why the container ends with what has just been noted; null: it goes on. */
function endOf(context: SupervisorContext, event: SupervisorEvent): End | null {
  const { exitWhen, groups } = context.plan;
  if (event.type === 'group.rested') {
    const group = groupNamed(groups, event.group);
    const vital = group !== null && isVital(group, (name) => context.down.has(name));
    if (vital || exitWhen === 'any-failed') return failure(event.group);
  } else if (event.type === 'command.rested') {
    const { command, state } = event;
    if (state === 'stopped') return null;
    const failed = state === 'failed';
    if (failed && (exitWhen === 'any-failed' || ownOf(context.plans, command)?.vital))
      return failure(command);
    if (typeof exitWhen === 'object' && exitWhen.done === command) {
      return failed ? failure(command) : { reason: `${command} is done`, code: 0 };
    }
  } else if (event.type !== 'policy.changed') return null;
  return exitWhen === 'all-done' ? endOfAll(context) : null;
}

/** All have done what they were for, or have failed. Schedules never have. */
function endOfAll({ plans, leaving, reached }: SupervisorContext): End | null {
  const counting = Object.values(plans).filter(
    ({ name, policy }) => policy.kind !== 'cron' && !leaving.has(name),
  );
  const states = counting.map(({ name }) => ownOf(reached, name)?.state);
  if (states.length === 0 || states.some((state) => state !== 'completed' && state !== 'failed')) return null;
  return { reason: 'all commands are done', code: states.includes('failed') ? EXIT_FAILED : 0 };
}

/** Whose exit status the container's is. */
function exitOf({ plan: { exitCodeFrom, exitWhen }, reached }: SupervisorContext): Exit | null {
  const name = exitCodeFrom ?? (typeof exitWhen === 'object' ? exitWhen.done : null);
  return name === null ? null : (ownOf(reached, name)?.exit ?? null);
}

/** The book after what the root itself, or an order, does to a command. */
function noted(
  { reached }: Pick<SupervisorContext, 'reached'>,
  command: string,
  what: CommandReached['what'],
): ReachedBook {
  return reachedNow(reached, { type: 'command.reached', command, what });
}

/** The book, and who is wished down, after an order for a command. */
function ordered(
  context: Pick<SupervisorContext, 'reached' | 'down'>,
  command: string,
  order: CommandOrder,
): Partial<Pick<SupervisorContext, 'reached' | 'down'>> {
  const { reached, down } = context;
  const before = ownOf(reached, command);
  switch (order.type) {
    case 'command.stop':
      return { down: new Set([...down, command]) };
    case 'command.restart':
      return { down: without(down, command), reached: noted(context, command, 'begun') };
    case 'command.start':
      return {
        down: without(down, command),
        ...(isAtRest(before) ? { reached: noted(context, command, 'begun') } : {}),
      };
    default:
      return {};
  }
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
    order: enqueueActions(
      ({ context, enqueue }, params: { readonly command: string; readonly order: CommandOrder }) => {
        const group = ownOf(context.groupOf, params.command);
        if (group !== undefined) enqueue.sendTo(group, { type: 'command.ordered', ...params });
      },
    ),
    orderAll: enqueueActions(({ context, enqueue }, order: CommandOrder) => {
      for (const group of context.groups) enqueue.sendTo(group, { type: 'all.ordered', order });
    }),
    makeGroups: assign(({ context, spawn }, { plans, ...input }: Making) => {
      let { seed, made } = context;
      const groups = [...context.groups];
      const groupOf = Object.entries(context.groupOf);
      for (const plan of plans) {
        const commands = commandsOf(plan);
        if (commands.length === 0) continue;
        const group = spawn('group', { id: `group:${made}:${plan.name}`, input: { ...input, plan, seed } });
        groups.push(group);
        for (const { name } of commands) groupOf.push([name, group]);
        seed += commands.length;
        made++;
      }
      return { groups, groupOf: Object.fromEntries(groupOf), seed, made };
    }),
  },
});

/** Those that rest until an order starts them. Who runs already goes on. */
function resting(commands: readonly CommandPlan[], found: Readonly<Record<string, Leader>>): string[] {
  return commands
    .filter(({ name, policy }) => !policy.autostart && !Object.hasOwn(found, name))
    .map(({ name }) => name);
}

/** Releases whoever waits for nothing any more. */
const release = base.enqueueActions(({ context, event, enqueue }) => {
  const { plans, reached } = context;
  if (context.waiting.size === 0 || !('at' in event) || endOf(context, event) !== null) return;
  const waiting = new Set(context.waiting);
  for (const command of context.waiting) {
    const plan = ownOf(plans, command);
    if (plan === undefined || !concerns(plan, event)) continue;
    const missing = unmet(plan, plans, reached);
    if (missing.length === 0) {
      waiting.delete(command);
      enqueue({ type: 'order', params: { command, order: { type: 'command.release', at: event.at } } });
    } else if (isNewsFor(command, missing, event, context)) {
      const reasons = missing.map((each) => explain(each, reached));
      enqueue({ type: 'tell', params: { type: 'command.waiting', command, for: reasons } });
    }
  }
  enqueue.assign({ waiting });
});

/** The next commands that can be stopped: nobody comes after them that still runs, or they do not run yet. */
const stopNext = base.enqueueActions(({ context, event, enqueue }) => {
  const { stopOrder, awaited, told, plan, plans, reached, stoppedAt } = context;
  if (stopOrder === null) return;
  const at = Math.max(stoppedAt, 'at' in event ? event.at : stoppedAt);
  const remaining = Math.max(0, stoppedAt + plan.grace - at);
  const free = new Set(stoppable(stopOrder.before, awaited));
  const next = [...awaited].filter((name) => {
    if (told.has(name)) return false;
    // Of whom nothing was heard yet, he is down as well: he may be on his way up again.
    const { state = 'down' } = ownOf(reached, name) ?? {};
    return free.has(name) || plans[name]!.policy.kind === 'cron' || state === 'down';
  });
  for (const command of next) {
    const budget = stopShare(stopOrder, command, remaining);
    const order: CommandOrder = { type: 'command.stop', at, budget, everything: true };
    enqueue({ type: 'order', params: { command, order } });
  }
  enqueue.assign({ told: new Set([...told, ...next]) });
});

/** No more waiting for anybody. */
const killAll = base.enqueueActions(({ context, event, enqueue }) => {
  const at = 'at' in event ? event.at : context.stoppedAt + context.plan.grace;
  const stop: CommandOrder = { type: 'command.stop', at, budget: 0, everything: true };
  for (const command of context.awaited) {
    if (!context.told.has(command)) enqueue({ type: 'order', params: { command, order: stop } });
  }
  enqueue.assign({ told: context.awaited });
  enqueue({ type: 'orderAll', params: { type: 'command.kill', at } });
});

/** Tells those to stop that are to be stopped first. */
const beginStop = base.enqueueActions(({ context, enqueue }) => {
  const { stoppedAt: at, plan } = context;
  if (context.stopOrder === null) {
    enqueue({
      type: 'orderAll',
      params: { type: 'command.stop', at, budget: plan.grace, everything: true },
    });
    enqueue.assign({ told: context.awaited });
    return;
  }
  for (const group of context.groups) enqueue.sendTo(group, { type: 'group.closed' });
});

/** Who is not told to stop yet is not to be started again either, should it die before. */
const restrain = base.enqueueActions(({ context, enqueue }) => {
  const { awaited, told, plans, stoppedAt: at } = context;
  const role: CommandRole = { waits: true, watched: true, grouped: true };
  for (const command of awaited) {
    if (told.has(command)) continue;
    const { policy } = plans[command]!;
    enqueue({ type: 'order', params: { command, order: { type: 'command.adjust', at, policy, role } } });
  }
});

/** The policy was read again: only what differs is touched. */
const change = base.enqueueActions(({ context, event, enqueue }) => {
  if (event.type !== 'policy.changed') return;
  const { at, plan, found, remains = {}, diff } = event;
  const { groups, groupOf, leaving, down, reached } = context;
  const leavers = Object.values(context.plans).filter(({ name }) => leaving.has(name));
  const changes = regrouping([...context.plan.groups, ...unwritten(leavers)], plan.groups, context.made);
  const { made, closed, adjusted, stay, moved, removed } = changes;
  const roles = rolesOf(plan.groups);
  const roleOf = (name: string): CommandRole => ownOf(roles, name) ?? NO_ROLE;
  const order = (command: string, what: CommandOrder): void =>
    enqueue({ type: 'order', params: { command, order: what } });

  for (const group of closed) {
    const [first] = commandsOf(group);
    if (first !== undefined) enqueue.sendTo(groupOf[first.name]!, { type: 'group.closed' });
  }
  for (const command of removed) {
    if (!leaving.has(command)) {
      order(command, { type: 'command.stop', at, budget: context.plan.grace, everything: false });
    }
  }
  for (const command of moved) enqueue.sendTo(groupOf[command]!, { type: 'member.dropped', command });
  for (const group of adjusted) {
    const [first] = commandsOf(group);
    if (first !== undefined) enqueue.sendTo(groupOf[first.name]!, { type: 'group.adjusted', plan: group });
  }
  // Their processes are replaced, unless an operator wants none.
  const restarted = new Set(
    diff.restarted.filter(
      (name) => !down.has(name) && (stay.has(name) || (moved.has(name) && Object.hasOwn(found, name))),
    ),
  );
  const changed = new Set([...diff.adjusted, ...diff.restarted]);
  const before = rolesOf(context.plan.groups);
  for (const { name, policy } of plan.groups.flatMap(commandsOf)) {
    if (!stay.has(name)) continue;
    const role = roleOf(name);
    if (changed.has(name) || leaving.has(name) || !isSameRole(role, ownOf(before, name) ?? NO_ROLE)) {
      order(name, { type: 'command.adjust', at, policy, role, restarts: restarted.has(name) });
    }
    if (restarted.has(name)) order(name, { type: 'command.restart', at });
    // It was on its way out.
    else if (leaving.has(name) && !down.has(name)) order(name, { type: 'command.start', at });
  }
  const rest = new Map<string, CommandRested['state']>();
  for (const name of moved) {
    const state = ownOf(reached, name)?.state;
    if (down.has(name)) rest.set(name, 'stopped');
    else if ((state === 'completed' || state === 'failed') && !diff.restarted.includes(name)) {
      rest.set(name, state);
    }
  }
  const added = plan.groups.flatMap(commandsOf).filter(({ name }) => !Object.hasOwn(context.plans, name));
  for (const name of resting(added, found)) rest.set(name, 'stopped');
  enqueue.assign(afterChange(context, plan, changes, restarted, rest));
  const busy = new Set(Object.entries(groupOf).flatMap(([name, group]) => (moved.has(name) ? [] : [group])));
  for (const group of groups) if (!busy.has(group)) enqueue.stopChild(group);
  // Nobody hears of a run that is about to end.
  const unheard = Object.fromEntries(
    [...moved]
      .filter((name) => restarted.has(name))
      .map((name) => [name, { ...roleOf(name), watched: false }]),
  );
  // What a schedule is to stand for from now on was not begun by it.
  const runs = Object.fromEntries([...moved].map((name) => [name, context.plans[name]!.policy.kind]));
  enqueue({
    type: 'makeGroups',
    params: {
      plans: made,
      found,
      remains,
      rest: Object.fromEntries(rest),
      roles: { ...roles, ...unheard },
      runs,
    },
  });
  for (const { name, policy } of plan.groups.flatMap(commandsOf)) {
    if (!Object.hasOwn(unheard, name)) continue;
    order(name, { type: 'command.restart', at });
    order(name, { type: 'command.adjust', at, policy, role: roleOf(name) });
  }
  enqueue({ type: 'tell', params: { type: 'policy.reloaded', ...diff } });
});

/** What is known when the groups that stay have been told of a new plan, and before the others are made. */
function afterChange(
  context: SupervisorContext,
  plan: SupervisorPlan,
  { stay, moved, removed }: Regrouping,
  restarted: ReadonlySet<string>,
  rest: ReadonlyMap<string, CommandRested['state']>,
): Partial<SupervisorContext> {
  const { groups, down, waiting } = context;
  const plans = plan.groups.flatMap(commandsOf);
  const leavers = Object.values(context.plans).filter(({ name }) => removed.has(name));
  const groupOf = Object.entries(context.groupOf).filter(([name]) => stay.has(name) || removed.has(name));
  const busy = new Set(groupOf.map(([, group]) => group));
  // Who was on its way out is started again as well.
  const returned = [...context.leaving].filter((name) => stay.has(name) && !down.has(name));
  const stopped = [...rest.keys()].filter((name) => rest.get(name) === 'stopped');
  let { reached } = context;
  for (const name of [...restarted, ...returned]) reached = noted({ reached }, name, 'begun');
  return {
    plan,
    plans: byName([...plans, ...leavers.map(detached)]),
    groups: groups.filter((group) => busy.has(group)),
    groupOf: Object.fromEntries(groupOf),
    leaving: removed,
    down: new Set([...down, ...stopped]),
    // Those who move tell anew how far they come.
    waiting: new Set([...waiting].filter((name) => stay.has(name))),
    reached: Object.fromEntries(
      Object.entries(reached).filter(([name]) => !moved.has(name) || rest.has(name) || restarted.has(name)),
    ),
  };
}

const byName = (plans: readonly CommandPlan[]): SupervisorContext['plans'] =>
  Object.fromEntries(plans.map((plan) => [plan.name, plan]));

export const supervisorMachine = base
  .extend({
    actions: {
      release,
      stopNext,
      killAll,
      beginStop,
      change,
      restrain,
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
        const group = ownOf(context.groupOf, event.command);
        // Who leaves is not kept from it.
        if (group === undefined || context.leaving.has(event.command)) return;
        enqueue.sendTo(group, event);
        enqueue.assign(ordered(context, event.command, event.order));
      }),
      /** How far somebody has come, or has fallen back. */
      note: assign(({ context, event }) => {
        const { reached, waiting, plan, down, leaving } = context;
        if (event.type === 'group.rested') {
          const group = groupNamed(plan.groups, event.group);
          return group === null ? {} : { reached: givenUp(reached, commandsOf(group)) };
        }
        if (event.type !== 'command.rested' && event.type !== 'command.reached') return {};
        const asks = event.type === 'command.reached' && event.what === 'waiting';
        const waits = waiting.has(event.command);
        const book = reachedNow(reached, event);
        const now = book[event.command]!;
        const isHeld = now.state === 'stopped' && !down.has(event.command) && !leaving.has(event.command);
        return {
          reached: isHeld ? { ...book, [event.command]: { ...now, state: 'held' as const } } : book,
          ...(asks && !waits ? { waiting: new Set([...waiting, event.command]) } : {}),
          ...(!asks && waits ? { waiting: without(waiting, event.command) } : {}),
        };
      }),
      settle: assign(({ context, event }) => {
        if (event.type !== 'command.rested' || !context.awaited.has(event.command)) return {};
        // Before it was told to stop it may have come to rest by itself: that is not the end of all that it started.
        if (!context.told.has(event.command)) return {};
        return { awaited: without(context.awaited, event.command), left: context.left + event.left };
      }),
      planShutdown: assign(({ context, event }) => {
        const { plans, plan, groupOf, reached } = context;
        const commands = Object.values(plans);
        const isOrdered = commands.some(
          ({ requires, after }) => after.length > 0 || Object.keys(requires).length > 0,
        );
        const timeoutOf = (name: string): number | null => plans[name]!.policy.stopTimeout;
        const isDone = (name: string): boolean => isAtRest(ownOf(reached, name));
        return {
          awaited: new Set(Object.keys(groupOf)),
          told: NOBODY,
          stopOrder: isOrdered ? stopPlan(beforeOf(commands), timeoutOf, plan.grace, isDone) : null,
          ...(event.type === 'shutdown.ordered' ? { reason: event.reason, stoppedAt: event.at } : {}),
        };
      }),
      endByItself: assign(({ context, event }) => {
        const end = endOf(context, event);
        if (end === null || !('at' in event)) return {};
        return { ...end, exit: exitOf(context), stoppedAt: event.at };
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
      /** Nobody has been started yet. */
      replan: assign(({ event }) =>
        event.type === 'policy.changed'
          ? { plan: event.plan, plans: byName(event.plan.groups.flatMap(commandsOf)) }
          : {},
      ),
    },
    guards: {
      endsIt: ({ context, event }) => endOf(context, event) !== null,
      allRested: ({ context }) => context.awaited.size === 0,
      isOrdered: ({ context }) => context.stopOrder !== null,
    },
    delays: {
      grace: ({ context }) => clampDelay(context.plan.grace),
      // Commands keep the budget themselves; this ends what is beyond them.
      overdue: ({ context }) =>
        clampDelay(giveUpStopAfter(context.plan.grace) + (context.stopOrder === null ? 1_000 : 2_000)),
      // What is killed without a budget is given up sooner.
      lastWait: giveUpStopAfter(0) + 1_000,
    },
  })
  .createMachine({
    id: 'supervisor',
    options: { maxIterations: 100 },
    context: ({ input: { seed, ...plan } }) => ({
      plan,
      seed,
      made: 0,
      groups: [],
      groupOf: {},
      plans: byName(plan.groups.flatMap(commandsOf)),
      reached: {},
      waiting: NOBODY,
      down: NOBODY,
      leaving: NOBODY,
      awaited: NOBODY,
      told: NOBODY,
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
          'scan.began': {
            target: 'supervising',
            actions: [
              assign(({ context, event }) => ({
                down: new Set(resting(Object.values(context.plans), event.found)),
              })),
              {
                type: 'makeGroups',
                params: ({ context, event }) => ({
                  plans: context.plan.groups,
                  found: event.found,
                  remains: {},
                  rest: Object.fromEntries([...context.down].map((name) => [name, 'stopped'])),
                  roles: rolesOf(context.plan.groups),
                }),
              },
            ],
          },
          'policy.changed': {
            actions: [
              'replan',
              { type: 'tell', params: ({ event }) => ({ type: 'policy.reloaded', ...event.diff }) },
            ],
          },
          'shutdown.ordered': { target: 'stopping', actions: 'planShutdown' },
        },
      },
      supervising: {
        on: {
          'scan.changed': { actions: 'route' },
          'command.ordered': { actions: 'pass' },
          'command.reached': { actions: ['note', 'release'] },
          'command.rested': { actions: ['note', 'bidFarewell', 'release'] },
          'group.rested': { actions: ['note', 'release'] },
          'policy.changed': { actions: ['change', 'release'] },
          'shutdown.ordered': { target: 'stopping', actions: 'planShutdown' },
        },
        always: { guard: 'endsIt', target: 'stopping', actions: ['endByItself', 'planShutdown'] },
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
          'beginStop',
          'stopNext',
          'restrain',
        ],
        always: { guard: 'allRested', target: 'done' },
        after: { grace: { guard: 'isOrdered', actions: 'killAll' }, overdue: 'killing' },
        on: {
          'scan.changed': { actions: 'route' },
          'command.rested': [
            { guard: 'isOrdered', actions: ['note', 'settle', 'stopNext'] },
            { actions: 'settle' },
          ],
          'command.reached': { guard: 'isOrdered', actions: ['note', 'stopNext'] },
          'shutdown.ordered': { actions: 'killAll' },
        },
      },
      killing: {
        description:
          'Later than anybody should be. Upkeep itself may have been stopped: SIGKILL is given its time.',
        entry: 'killAll',
        always: { guard: 'allRested', target: 'done' },
        after: { lastWait: 'done' },
        on: {
          'scan.changed': { actions: 'route' },
          'command.rested': { actions: 'settle' },
          'shutdown.ordered': { actions: 'killAll' },
        },
      },
      done: { type: 'final' },
    },
  });

interface Making {
  readonly plans: readonly GroupPlan[];
  readonly found: Readonly<Record<string, Leader>>;
  readonly remains: Readonly<Record<string, Remains>>;
  readonly rest: Readonly<Record<string, CommandRested['state']>>;
  readonly roles: Roles;
  readonly runs?: Readonly<Record<string, CommandPolicy['kind']>>;
}

/** What is left of a plan that is on its way out: nobody waits for it, and it waits for nobody. */
function detached(plan: CommandPlan): CommandPlan {
  return { ...plan, requires: {}, after: [], vital: false };
}

function isSameRole(a: CommandRole, b: CommandRole): boolean {
  return a.waits === b.waits && a.watched === b.watched && a.grouped === b.grouped;
}

/** Whether it can make a difference to the command that waits. */
function concerns({ name, requires, after }: CommandPlan, event: SupervisorEvent): boolean {
  if (event.type !== 'command.reached' && event.type !== 'command.rested') return true;
  return event.command === name || Object.hasOwn(requires, event.command) || after.includes(event.command);
}

/** It has just asked, or what it waits for will not come by itself. */
function isNewsFor(
  command: string,
  missing: readonly { command: string }[],
  event: SupervisorEvent,
  { plan, reached, down }: SupervisorContext,
): boolean {
  if (event.type === 'command.reached') return event.what === 'waiting' && event.command === command;
  if (event.type === 'group.rested') {
    const group = groupNamed(plan.groups, event.group);
    const names = group === null ? [] : commandsOf(group).map(({ name }) => name);
    return missing.some((each) => names.includes(each.command) && reached[each.command]?.state === 'failed');
  }
  if (event.type !== 'command.rested' || !missing.some((each) => each.command === event.command))
    return false;
  return event.state === 'failed' || down.has(event.command);
}
