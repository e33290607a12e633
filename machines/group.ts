/**
 * Commands, and groups of commands, under one actor between them and the root. It hands each its own facts and orders, hands on
 * what they tell, and keeps the group's strategy: who else is restarted when one dies, and when it gives up.
 *
 * Where nobody wrote a group it only routes: an actor with a thousand children takes seconds to stop, one with some dozens a
 * millisecond.
 */
import { type ActorRefFrom, type AnyActorRef, assign, enqueueActions, sendParent, setup } from 'xstate';
import { commandMachine } from './command.ts';
import type { CommandOrder, CommandPlan, GroupEvent, Leader, NamedFact, Telling } from './events.ts';
import { followersOf, stoppable } from './order.ts';
import { ownOf } from './own.ts';
import { type Heat, heated, isTooHot, NO_HEAT } from './restart-policy.ts';
import { beforeOf, commandsOf, type GroupPlan, isGroup, NO_ROLE, type Roles } from './tree.ts';

export interface GroupInput {
  readonly plan: GroupPlan;
  /** The first command's; the others' follow it. */
  readonly seed: number;
  /** Who was found alive, by command. */
  readonly found: Readonly<Record<string, Leader>>;
  /** Who is not to be started, and why. */
  readonly rest: Readonly<Record<string, 'stopped' | 'completed' | 'failed'>>;
  readonly roles: Roles;
}

export interface GroupContext {
  readonly plan: GroupPlan;
  /** Its own commands. The root sends a group what is for these and for those below its groups alone. */
  readonly actors: Readonly<Record<string, ActorRefFrom<typeof commandMachine>>>;
  /** Who of its groups a command below it is under; its own commands are not in it. */
  readonly under: Readonly<Record<string, AnyActorRef>>;
  readonly heat: Heat;
  /** Whom an operator, or the end of all, has stopped: they are not started by a strategy. */
  readonly down: ReadonlySet<string>;
  /** Who has come to rest, and was not started since. */
  readonly resting: ReadonlySet<string>;
  /** Whom the strategy stops, to start them again or because the group gives up. */
  readonly affected: ReadonlySet<string>;
  /** Those of them that have been told to stop. */
  readonly told: ReadonlySet<string>;
  /** Those who died, and wait to be started with the affected. */
  readonly dead: ReadonlySet<string>;
  readonly reason: string;
}

/** ms for a stop by a strategy, where the command's policy has no timeout of its own. */
const STOP_BUDGET = 9_000;

const NOBODY: ReadonlySet<string> = new Set();
const plus = (set: ReadonlySet<string>, ...names: readonly string[]): ReadonlySet<string> =>
  new Set([...set, ...names]);
const minus = (set: ReadonlySet<string>, name: string): ReadonlySet<string> => {
  const rest = new Set(set);
  rest.delete(name);
  return rest;
};

/** Whom the member's death takes with it: names of members. */
export function affectedMembers(plan: GroupPlan, member: string): readonly string[] {
  const names = plan.members.map(({ name }) => name);
  if (plan.strategy === 'one_for_all') return names.filter((name) => name !== member);
  return plan.strategy === 'rest_for_one' ? names.slice(names.indexOf(member) + 1) : [];
}

/** The commands of those members that run, or are about to. */
function affectedBy(context: GroupContext, member: string): readonly string[] {
  const members = new Set(affectedMembers(context.plan, member));
  return context.plan.members
    .filter(({ name }) => members.has(name))
    .flatMap((each) => commandsOf(each))
    .map(({ name }) => name)
    .filter((name) => !context.down.has(name) && !context.resting.has(name));
}

/** The member that the command is, or is below. */
function memberOf(plan: GroupPlan, command: string): string {
  return plan.members.find((each) => commandsOf(each).some(({ name }) => name === command))!.name;
}

const base = setup({
  types: {
    context: {} as GroupContext,
    input: {} as GroupInput,
    events: {} as GroupEvent,
  },
  actors: { command: commandMachine },
  actions: {
    /** Port: see machines/command.ts. */
    tell: (_, _params: Telling) => {
      throw new Error('cannot tell: the port "tell" was not provided; see src/supervise.ts');
    },
  },
});

const tellRestart = base.enqueueActions(({ context, enqueue }) => {
  enqueue({
    type: 'tell',
    params: {
      type: 'group.restarting',
      group: context.plan.name,
      strategy: context.plan.strategy,
      because: context.reason,
      members: [...context.affected],
    },
  });
});

export const groupMachine = base
  .extend({
    actions: {
      tellRestart,
      route: enqueueActions(({ context, event, enqueue }) => {
        if (event.type !== 'scan.changed') return;
        const parts = new Map<AnyActorRef, NamedFact[]>();
        for (const named of event.facts) {
          const actor = ownOf(context.actors, named.command);
          const group = actor === undefined ? ownOf(context.under, named.command) : undefined;
          if (actor !== undefined) enqueue.sendTo(actor, named.fact);
          else if (group !== undefined) parts.set(group, [...(parts.get(group) ?? []), named]);
        }
        for (const [group, facts] of parts) enqueue.sendTo(group, { ...event, facts });
      }),
      pass: enqueueActions(({ context, event, enqueue }) => {
        if (event.type !== 'command.ordered') return;
        const { command, order } = event;
        const actor = ownOf(context.actors, command);
        if (actor !== undefined) enqueue.sendTo(actor, order);
        else if (Object.hasOwn(context.under, command)) enqueue.sendTo(context.under[command]!, event);
        if (order.type === 'command.stop') enqueue.assign({ down: plus(context.down, command) });
        else if (order.type === 'command.start' || order.type === 'command.restart') {
          enqueue.assign({ down: minus(context.down, command), resting: minus(context.resting, command) });
        }
      }),
      passToAll: enqueueActions(({ context, event, enqueue }) => {
        if (event.type !== 'all.ordered') return;
        for (const actor of Object.values(context.actors)) enqueue.sendTo(actor, event.order);
        for (const group of new Set(Object.values(context.under))) enqueue.sendTo(group, event);
        if (event.order.type === 'command.stop') {
          enqueue.assign({ down: new Set(commandsOf(context.plan).map(({ name }) => name)) });
        }
      }),
      noteRest: assign(({ context, event }) =>
        event.type === 'command.rested' ? { resting: plus(context.resting, event.command) } : {},
      ),
      noteDeath: assign(({ context, event }) => {
        if (event.type !== 'command.reached') return {};
        const { plan, heat } = context;
        return {
          heat: plan.intensity === null ? heat : heated(plan.intensity, heat, event.at),
          reason: `${event.command} died`,
        };
      }),
      /** Takes in whom the death of one takes with it. */
      spread: assign(({ context, event }) => {
        if (event.type !== 'command.reached') return {};
        const affected = affectedBy(context, memberOf(context.plan, event.command));
        return {
          affected: plus(context.affected, ...affected.filter((name) => !context.dead.has(name))),
          dead: plus(context.dead, event.command),
        };
      }),
      /** The same for one of its groups that has given up: it is started anew, with those it takes with it. */
      spreadGroup: assign(({ context, event }) => {
        if (event.type !== 'group.rested') return {};
        const own = context.plan.members.find(({ name }) => name === event.group)!;
        const { plan, heat } = context;
        return {
          heat: plan.intensity === null ? heat : heated(plan.intensity, heat, event.at),
          reason: `${event.group} gave up`,
          affected: plus(
            context.affected,
            ...commandsOf(own).map(({ name }) => name),
            ...affectedBy(context, event.group),
          ),
        };
      }),
      /** Stops the affected, those first that nobody of them comes after. */
      stopAffected: enqueueActions(({ context, event, enqueue }) => {
        const at = 'at' in event ? event.at : 0;
        const unrested = new Set([...context.affected].filter((name) => !context.resting.has(name)));
        const next = stoppable(followersOf(beforeOf(commandsOf(context.plan))), unrested).filter(
          (name) => !context.told.has(name),
        );
        if (next.length === 0) return;
        const order: CommandOrder = { type: 'command.stop', at, budget: STOP_BUDGET, everything: false };
        for (const command of next) {
          const actor = ownOf(context.actors, command);
          if (actor !== undefined) enqueue.sendTo(actor, order);
          else enqueue.sendTo(context.under[command]!, { type: 'command.ordered', command, order });
        }
        enqueue.assign({ told: plus(context.told, ...next) });
      }),
      /** All of the affected rest: they are started again, with those who died. */
      startAgain: enqueueActions(({ context, event, enqueue }) => {
        const at = 'at' in event ? event.at : 0;
        const again = [...context.affected].filter((name) => !context.down.has(name));
        const order = (command: string, type: 'command.start' | 'command.rejoin'): void => {
          const actor = ownOf(context.actors, command);
          if (actor !== undefined) enqueue.sendTo(actor, { type, at });
          else if (Object.hasOwn(context.under, command)) {
            enqueue.sendTo(context.under[command]!, {
              type: 'command.ordered',
              command,
              order: { type, at },
            });
          }
        };
        for (const name of again) order(name, 'command.start');
        for (const name of context.dead) if (!context.down.has(name)) order(name, 'command.rejoin');
        const resting = new Set([...context.resting].filter((name) => !again.includes(name)));
        enqueue.assign({ resting, affected: NOBODY, told: NOBODY, dead: NOBODY });
      }),
      takeInAll: assign(({ context }) => ({
        affected: new Set(commandsOf(context.plan).map(({ name }) => name)),
        told: NOBODY,
        dead: NOBODY,
      })),
      handOn: sendParent(({ event }) => event),
      forget: assign({ heat: NO_HEAT, affected: NOBODY, told: NOBODY, dead: NOBODY }),
      drop: enqueueActions(({ context, event, enqueue }) => {
        if (event.type !== 'member.dropped') return;
        const actor = ownOf(context.actors, event.command);
        if (actor === undefined) return;
        enqueue.stopChild(actor);
        const { [event.command]: _, ...actors } = context.actors;
        const members = context.plan.members.filter(({ name }) => name !== event.command);
        enqueue.assign({ actors, plan: { ...context.plan, members } });
      }),
      adjust: enqueueActions(({ context, event, enqueue }) => {
        if (event.type !== 'group.adjusted') return;
        for (const member of event.plan.members) {
          const below = isGroup(member) ? commandsOf(member)[0] : undefined;
          const group = below === undefined ? undefined : ownOf(context.under, below.name);
          if (group !== undefined) enqueue.sendTo(group, { type: 'group.adjusted', plan: member });
        }
        enqueue.assign({ plan: event.plan });
      }),
    },
    guards: {
      /** A death while the group is wished to live. */
      isDeath: ({ context, event }) =>
        event.type === 'command.reached' &&
        event.what === 'died' &&
        Object.hasOwn(context.actors, event.command) &&
        !context.down.has(event.command),
      isOneTooMany: ({ context, event }) =>
        event.type === 'command.reached' &&
        event.what === 'died' &&
        Object.hasOwn(context.actors, event.command) &&
        !context.down.has(event.command) &&
        context.plan.intensity !== null &&
        isTooHot(context.plan.intensity, heated(context.plan.intensity, context.heat, event.at)),
      takesOthers: ({ context }) => context.plan.strategy !== 'one_for_one',
      /** Without it the group is not whole. */
      isBeyondHelp: ({ context, event }) =>
        event.type === 'command.rested' &&
        event.state === 'failed' &&
        Object.hasOwn(context.actors, event.command) &&
        context.plan.strategy !== 'one_for_one',
      allAtRest: ({ context }) => [...context.affected].every((name) => context.resting.has(name)),
      groupMayBeStarted: ({ context, event }) =>
        event.type === 'group.rested' &&
        context.plan.intensity !== null &&
        !isTooHot(context.plan.intensity, heated(context.plan.intensity, context.heat, event.at)),
      groupIsBeyondHelp: ({ context, event }) =>
        event.type === 'group.rested' &&
        (context.plan.intensity !== null || context.plan.strategy !== 'one_for_one'),
      startsOne: ({ event }) =>
        event.type === 'command.ordered' &&
        (event.order.type === 'command.start' || event.order.type === 'command.restart'),
    },
  })
  .createMachine({
    id: 'group',
    options: { maxIterations: 100 },
    context: ({ input, spawn, self }) => {
      const { plan, seed, found, rest, roles } = input;
      const actors: [string, ActorRefFrom<typeof commandMachine>][] = [];
      const under: [string, AnyActorRef][] = [];
      let next = seed;
      for (const member of plan.members) {
        if (isGroup(member)) {
          const within: GroupInput = { plan: member, seed: next, found, rest, roles };
          // Its own kind, provided as it is itself.
          const group = spawn((self as unknown as { logic: never }).logic, {
            id: `group:${member.name}`,
            input: within,
          } as never) as unknown as AnyActorRef;
          for (const { name } of commandsOf(member)) under.push([name, group]);
          next += commandsOf(member).length;
        } else {
          actors.push([member.name, spawn('command', commandOf(member, next, found, rest, roles))]);
          next++;
        }
      }
      return {
        plan,
        actors: Object.fromEntries(actors),
        under: Object.fromEntries(under),
        heat: NO_HEAT,
        down: new Set(Object.keys(rest).filter((name) => rest[name] === 'stopped')),
        resting: NOBODY,
        affected: NOBODY,
        told: NOBODY,
        dead: NOBODY,
        reason: '',
      };
    },
    on: {
      'scan.changed': { actions: 'route' },
      'all.ordered': { actions: 'passToAll' },
      'command.reached': { actions: 'handOn' },
      'group.rested': { actions: 'handOn' },
      'member.dropped': { actions: 'drop' },
      'group.adjusted': { actions: 'adjust' },
      'command.ordered': { actions: 'pass' },
    },
    initial: 'tending',
    states: {
      tending: {
        description: 'Each member looks after itself.',
        on: {
          'command.reached': [
            { guard: 'isOneTooMany', target: 'failing', actions: ['handOn', 'noteDeath'] },
            {
              guard: ({ context, event }) =>
                context.plan.strategy !== 'one_for_one' &&
                event.what === 'died' &&
                Object.hasOwn(context.actors, event.command) &&
                !context.down.has(event.command),
              target: 'restarting',
              actions: ['handOn', 'noteDeath', 'spread', 'tellRestart'],
            },
            { guard: 'isDeath', actions: ['handOn', 'noteDeath'] },
            { actions: 'handOn' },
          ],
          'command.rested': [
            {
              guard: 'isBeyondHelp',
              target: 'failing',
              actions: [
                'noteRest',
                'handOn',
                assign(({ event }) => ({ reason: `${event.command} has failed for good` })),
              ],
            },
            { actions: ['noteRest', 'handOn'] },
          ],
          'group.rested': [
            { guard: 'groupMayBeStarted', target: 'restarting', actions: ['spreadGroup', 'tellRestart'] },
            {
              guard: 'groupIsBeyondHelp',
              target: 'failing',
              actions: assign(({ event }) => ({ reason: `${event.group} gave up` })),
            },
            { actions: 'handOn' },
          ],
        },
      },
      restarting: {
        description: 'One has died: those it takes with it are stopped, and all are started again.',
        entry: 'stopAffected',
        always: { guard: 'allAtRest', target: 'tending', actions: 'startAgain' },
        on: {
          'command.rested': [
            {
              guard: 'isBeyondHelp',
              target: 'failing',
              actions: [
                'noteRest',
                'handOn',
                assign(({ event }) => ({ reason: `${event.command} has failed for good` })),
              ],
            },
            { actions: ['noteRest', 'handOn', 'stopAffected'] },
          ],
          'command.reached': [
            { guard: 'isOneTooMany', target: 'failing', actions: ['handOn', 'noteDeath'] },
            { guard: 'isDeath', actions: ['handOn', 'noteDeath', 'spread', 'stopAffected'] },
            { actions: 'handOn' },
          ],
        },
      },
      failing: {
        description: 'Gives up: all of it is stopped.',
        entry: ['takeInAll', 'stopAffected'],
        always: { guard: 'allAtRest', target: 'failed' },
        on: { 'command.rested': { actions: ['noteRest', 'handOn', 'stopAffected'] } },
      },
      failed: {
        description: 'All of it rests. Nothing starts it but an order, or the group that holds it.',
        entry: [
          {
            type: 'tell',
            params: ({ context }) => ({
              type: 'group.failed',
              group: context.plan.name,
              reason: context.reason,
            }),
          },
          sendParent(({ context, event }) => ({
            type: 'group.rested',
            at: 'at' in event ? event.at : 0,
            group: context.plan.name,
          })),
          'forget',
        ],
        on: {
          'command.ordered': [
            { guard: 'startsOne', target: 'tending', actions: 'pass' },
            { actions: 'pass' },
          ],
          'command.rested': { actions: ['noteRest', 'handOn'] },
        },
      },
    },
  });

/** What a command is spawned with. */
function commandOf(
  plan: CommandPlan,
  seed: number,
  found: Readonly<Record<string, Leader>>,
  rest: GroupInput['rest'],
  roles: Roles,
) {
  const { name, policy } = plan;
  const input = {
    name,
    policy,
    seed,
    found: ownOf(found, name) ?? null,
    role: ownOf(roles, name) ?? NO_ROLE,
    rest: ownOf(rest, name) ?? null,
  };
  return { id: `command:${name}`, input };
}
