/**
 * Commands, and groups of commands, under one actor between them and the root. It hands each its own facts and orders, hands on
 * what they tell, and keeps the group's strategy: who else is restarted when one dies, and when it gives up.
 *
 * Where nobody wrote a group it only routes: an actor with a thousand children takes seconds to stop, one with some dozens a
 * millisecond.
 */
import { type ActorRefFrom, type AnyActorRef, assign, enqueueActions, sendParent, setup } from 'xstate';
import { commandMachine } from './command.ts';
import { DEFAULT_STOP, inWords } from './command-books.ts';
import type {
  CommandOrder,
  CommandPlan,
  CommandRested,
  GroupEvent,
  Leader,
  NamedFact,
  Remains,
  Telling,
} from './events.ts';
import { startLevels, stoppable } from './order.ts';
import { ownOf } from './own.ts';
import { type CommandPolicy, type Heat, heated, isTooHot, NO_HEAT } from './restart-policy.ts';
import { beforeOf, commandsOf, type GroupPlan, isGroup, NO_ROLE, type Roles } from './tree.ts';

export interface GroupInput {
  readonly plan: GroupPlan;
  /** The first command's; the others' follow it. */
  readonly seed: number;
  /** Who was found alive, by command. */
  readonly found: Readonly<Record<string, Leader>>;
  /** What is alive of those whom nobody leads. */
  readonly remains?: Readonly<Record<string, Remains>>;
  /** Who is not to be started, and why. */
  readonly rest: Readonly<Record<string, CommandRested['state']>>;
  readonly roles: Roles;
  /** As what kind of command runs were begun, where it may be another by now. */
  readonly runs?: Readonly<Record<string, CommandPolicy['kind']>>;
}

export interface GroupContext {
  readonly plan: GroupPlan;
  /** Its own commands. What holds it sends it what is for these and for those below its groups alone. */
  readonly actors: Readonly<Record<string, ActorRefFrom<typeof commandMachine>>>;
  /** Which of its groups a command is below; its own commands are not in it. */
  readonly under: Readonly<Record<string, AnyActorRef>>;
  readonly heat: Heat;
  /** Whom no strategy starts: an order has stopped them, or the group itself for good. */
  readonly down: ReadonlySet<string>;
  /** Who has come to rest and was not started since, and as what. */
  readonly resting: ReadonlyMap<string, CommandRested['state']>;
  /** Whom the strategy stops, to start them again or because the group gives up. */
  readonly affected: ReadonlySet<string>;
  /** Those of them that have been told to stop. */
  readonly told: ReadonlySet<string>;
  /** Those who died, and wait to be started with the affected. */
  readonly dead: ReadonlySet<string>;
  /** Why it restarts some, or gives up. */
  readonly reason: string;
}

const NOBODY: ReadonlySet<string> = new Set();

function without<K, V>(map: ReadonlyMap<K, V>, keys: Iterable<K>): ReadonlyMap<K, V> {
  const rest = new Map(map);
  for (const key of keys) rest.delete(key);
  return rest;
}

const minus = (set: ReadonlySet<string>, name: string): ReadonlySet<string> =>
  new Set([...set].filter((each) => each !== name));

const namesIn = (plan: GroupPlan): readonly string[] => commandsOf(plan).map(({ name }) => name);

const membersNamed = ({ members }: GroupPlan, name: string): GroupPlan['members'] =>
  members.filter((member) => member.name === name);

/** Whom the member's death takes with it: names of members. */
export function affectedMembers(plan: GroupPlan, member: string): readonly string[] {
  const names = plan.members.map(({ name }) => name);
  if (plan.strategy === 'one_for_all') return names.filter((name) => name !== member);
  return plan.strategy === 'rest_for_one' ? names.slice(names.indexOf(member) + 1) : [];
}

/** The commands of those members, but for those that are to stay as they are. */
function startableIn(context: GroupContext, members: readonly string[]): readonly string[] {
  return context.plan.members
    .filter(({ name }) => members.includes(name))
    .flatMap(commandsOf)
    .map(({ name }) => name)
    .filter((name) => !context.down.has(name) && !isSettled(context, name));
}

const isSettled = ({ resting }: GroupContext, name: string): boolean =>
  resting.get(name) === 'completed' || resting.get(name) === 'failed';

/** Takes in whom the strategy stops. Who rests only until its own group starts it again has to rest anew, by this order. */
function taken(context: GroupContext, names: readonly string[]): Pick<GroupContext, 'affected' | 'resting'> {
  const cycled = names.filter(
    (name) => !context.told.has(name) && !context.down.has(name) && !isSettled(context, name),
  );
  return {
    affected: new Set([...context.affected, ...names]),
    resting: without(context.resting, cycled),
  };
}

/** When it was; orders for a command carry it within. */
function timeOf(event: GroupEvent): number {
  if ('at' in event) return event.at;
  return 'order' in event ? event.order.at : 0;
}

/** A death while the command is wished to live. */
function isDeath(context: GroupContext, event: GroupEvent): boolean {
  return (
    event.type === 'command.reached' &&
    event.what === 'died' &&
    Object.hasOwn(context.actors, event.command) &&
    !context.down.has(event.command)
  );
}

/** How hot it gets by one more death of a member. */
function hotter({ plan, heat }: GroupContext, at: number): Heat {
  return plan.intensity === null ? heat : heated(plan.intensity, heat, at);
}

const takesOthers = ({ plan }: GroupContext): boolean => plan.strategy !== 'one_for_one';

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
    order: enqueueActions(
      ({ context, enqueue }, params: { readonly command: string; readonly order: CommandOrder }) => {
        const { command, order } = params;
        const actor = ownOf(context.actors, command);
        const group = ownOf(context.under, command);
        if (actor !== undefined) enqueue.sendTo(actor, order);
        else if (group !== undefined) enqueue.sendTo(group, { type: 'command.ordered', command, order });
      },
    ),
    /** For what holds it: the command is not what it was when it came to rest. */
    begin: sendParent((_, params: { readonly at: number; readonly command: string }) => ({
      type: 'command.reached',
      what: 'begun',
      ...params,
    })),
  },
});

const tellRestart = base.enqueueActions(({ context, enqueue }) => {
  const { plan, reason, affected } = context;
  if (affected.size === 0) return;
  enqueue({
    type: 'tell',
    params: {
      type: 'group.restarting',
      group: plan.name,
      strategy: plan.strategy,
      because: reason,
      members: [...affected],
    },
  });
});

/** Stops the affected, those first that nobody of them comes after. */
const stopAffected = base.enqueueActions(({ context, event, enqueue }) => {
  const at = timeOf(event);
  const { plan, affected, resting, told } = context;
  const unrested = new Set([...affected].filter((name) => !resting.has(name)));
  const next = stoppable(beforeOf(commandsOf(plan)), unrested).filter((name) => !told.has(name));
  const timeouts = new Map(commandsOf(plan).map(({ name, policy }) => [name, policy.stopTimeout]));
  for (const command of next) {
    const budget = timeouts.get(command) ?? DEFAULT_STOP;
    const order: CommandOrder = { type: 'command.stop', at, budget, everything: false };
    enqueue({ type: 'order', params: { command, order } });
  }
  enqueue.assign({ told: new Set([...told, ...next]) });
});

/** All of the affected rest: they are started again, with those who died. Who comes before others is begun before them. */
const startAgain = base.enqueueActions(({ context, event, enqueue }) => {
  const at = timeOf(event);
  const { plan, down, affected, dead, resting } = context;
  const again = startLevels(beforeOf(commandsOf(plan)))
    .flat()
    .filter((name) => (affected.has(name) || dead.has(name)) && !down.has(name));
  for (const command of again) enqueue({ type: 'begin', params: { at, command } });
  for (const command of again) {
    const type = affected.has(command) ? 'command.start' : 'command.rejoin';
    enqueue({ type: 'order', params: { command, order: { type, at } } });
  }
  enqueue.assign({ resting: without(resting, again), affected: NOBODY, told: NOBODY, dead: NOBODY });
});

export const groupMachine = base
  .extend({
    actions: {
      tellRestart,
      stopAffected,
      startAgain,
      route: enqueueActions(({ context, event, enqueue }) => {
        if (event.type !== 'scan.changed') return;
        const parts = new Map<AnyActorRef, NamedFact[]>();
        for (const named of event.facts) {
          const actor = ownOf(context.actors, named.command);
          const group = ownOf(context.under, named.command);
          if (actor !== undefined) enqueue.sendTo(actor, named.fact);
          else if (group !== undefined) parts.set(group, [...(parts.get(group) ?? []), named]);
        }
        for (const [group, facts] of parts) enqueue.sendTo(group, { ...event, facts });
      }),
      pass: enqueueActions(({ context, event, enqueue }) => {
        if (event.type !== 'command.ordered') return;
        const { command, order } = event;
        enqueue({ type: 'order', params: { command, order } });
        if (order.type === 'command.stop') enqueue.assign({ down: new Set([...context.down, command]) });
        else if (order.type === 'command.start' || order.type === 'command.restart') {
          // What the strategy is at goes on without it.
          const { down, resting, affected, told, dead } = context;
          enqueue.assign({
            down: minus(down, command),
            resting: without(resting, [command]),
            affected: minus(affected, command),
            told: minus(told, command),
            dead: minus(dead, command),
          });
        }
      }),
      passToAll: enqueueActions(({ context, event, enqueue }) => {
        if (event.type === 'all.ordered') {
          for (const actor of Object.values(context.actors)) enqueue.sendTo(actor, event.order);
        }
        for (const group of new Set(Object.values(context.under))) enqueue.sendTo(group, event);
      }),
      handOn: sendParent(({ event }) => event),
      noteRest: assign(({ context, event }) =>
        event.type === 'command.rested'
          ? { resting: new Map(context.resting).set(event.command, event.state) }
          : {},
      ),
      /** One of its groups starts a command again; or one that was dead has been found alive. */
      noteReached: assign(({ context, event }) => {
        if (event.type !== 'command.reached') return {};
        if (event.what === 'begun') return { resting: without(context.resting, [event.command]) };
        return event.what === 'started' ? { dead: minus(context.dead, event.command) } : {};
      }),
      /** One of its groups has given up: what of it was stopped is to stay so. */
      noteGroup: assign(({ context, event }) => {
        if (event.type !== 'group.rested') return {};
        const resting = new Map(context.resting);
        for (const name of namesIn({ ...context.plan, members: membersNamed(context.plan, event.group) })) {
          if (resting.get(name) === 'stopped' && !context.down.has(name)) resting.set(name, 'failed');
        }
        return { resting };
      }),
      noteDeath: assign(({ context, event }) =>
        event.type === 'command.reached'
          ? { heat: hotter(context, event.at), reason: `${event.command} died` }
          : {},
      ),
      /** Takes in whom the death of one takes with it. */
      spread: assign(({ context, event }) => {
        if (event.type !== 'command.reached') return {};
        const dead = new Set([...context.dead, event.command]);
        const names = startableIn(context, affectedMembers(context.plan, event.command));
        return {
          ...taken(
            context,
            names.filter((name) => !dead.has(name)),
          ),
          dead,
        };
      }),
      /** The same for one of its groups that has given up: it is started anew, with those it takes with it. */
      spreadGroup: assign(({ context, event }) => {
        if (event.type !== 'group.rested') return {};
        const { plan, down, resting, dead } = context;
        const failed = membersNamed(plan, event.group)
          .flatMap(commandsOf)
          .map(({ name }) => name)
          .filter((name) => !down.has(name) && resting.get(name) !== 'completed');
        const others = startableIn(context, affectedMembers(plan, event.group));
        const { affected, resting: rests } = taken(
          context,
          others.filter((name) => !dead.has(name)),
        );
        return {
          heat: hotter(context, event.at),
          reason: `${event.group} gave up`,
          affected: new Set([...affected, ...failed]),
          resting: rests,
        };
      }),
      /** It has no hope any more. */
      despair: assign(({ context, event }) => ({
        ...taken(context, namesIn(context.plan)),
        dead: NOBODY,
        reason: whyGivesUp(context.plan, event),
      })),
      /** It is as if it had never been, but nobody is started. */
      forget: assign(({ context }) => ({
        heat: NO_HEAT,
        affected: NOBODY,
        told: NOBODY,
        down: new Set([...context.down, ...context.resting.keys()]),
      })),
      drop: enqueueActions(({ context, event, enqueue }) => {
        if (event.type !== 'member.dropped') return;
        const { command } = event;
        const actor = ownOf(context.actors, command);
        const group = ownOf(context.under, command);
        if (actor !== undefined) enqueue.stopChild(actor);
        else if (group !== undefined) enqueue.sendTo(group, event);
        const { [command]: _, ...actors } = context.actors;
        const { [command]: __, ...under } = context.under;
        enqueue.assign({ actors, under });
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
      isDeath: ({ context, event }) => isDeath(context, event),
      isSharedDeath: ({ context, event }) => takesOthers(context) && isDeath(context, event),
      isOneTooMany: ({ context, event }) =>
        isDeath(context, event) &&
        'at' in event &&
        isTooHot(context.plan.intensity, hotter(context, event.at)),
      /** Without it the group is not whole. */
      isBeyondHelp: ({ context, event }) =>
        event.type === 'command.rested' &&
        event.state === 'failed' &&
        Object.hasOwn(context.actors, event.command) &&
        takesOthers(context),
      groupMayBeStarted: ({ context, event }) =>
        event.type === 'group.rested' &&
        context.plan.intensity !== null &&
        !isTooHot(context.plan.intensity, hotter(context, event.at)),
      groupIsBeyondHelp: ({ context, event }) =>
        event.type === 'group.rested' && (context.plan.intensity !== null || takesOthers(context)),
      allAtRest: ({ context }) => [...context.affected].every((name) => context.resting.has(name)),
      isAlive: ({ context }) => namesIn(context.plan).some((name) => !context.resting.has(name)),
      endsAll: ({ event }) => event.type === 'all.ordered' && event.order.type === 'command.stop',
    },
  })
  .createMachine({
    id: 'group',
    options: { maxIterations: 100 },
    context: ({ input, spawn, self }) => {
      const { plan, seed, rest } = input;
      const actors: [string, ActorRefFrom<typeof commandMachine>][] = [];
      const under: [string, AnyActorRef][] = [];
      let next = seed;
      for (const member of plan.members) {
        if (isGroup(member)) {
          // Its own kind, provided as it is itself.
          const group = spawn((self as unknown as { logic: never }).logic, {
            id: `group:${member.name}`,
            input: { ...input, plan: member, seed: next },
          } as never) as unknown as AnyActorRef;
          for (const { name } of commandsOf(member)) under.push([name, group]);
          next += commandsOf(member).length;
        } else {
          const id = `command:${member.name}`;
          actors.push([member.name, spawn('command', { id, input: inputOf(member, next, input) })]);
          next++;
        }
      }
      return {
        plan,
        actors: Object.fromEntries(actors),
        under: Object.fromEntries(under),
        heat: NO_HEAT,
        down: new Set(Object.keys(rest).filter((name) => rest[name] === 'stopped')),
        resting: new Map(),
        affected: NOBODY,
        told: NOBODY,
        dead: NOBODY,
        reason: '',
      };
    },
    on: {
      'scan.changed': { actions: 'route' },
      'command.ordered': { actions: 'pass' },
      'all.ordered': [
        { guard: 'endsAll', target: '.closed', actions: 'passToAll' },
        { actions: 'passToAll' },
      ],
      'group.closed': { target: '.closed', actions: 'passToAll' },
      'command.reached': { actions: ['noteReached', 'handOn'] },
      'command.rested': { actions: ['noteRest', 'handOn'] },
      'group.rested': { actions: ['noteGroup', 'handOn'] },
      'member.dropped': { actions: 'drop' },
      'group.adjusted': { actions: 'adjust' },
    },
    initial: 'tending',
    states: {
      tending: {
        description: 'Each member looks after itself.',
        on: {
          'command.reached': [
            { guard: 'isOneTooMany', target: 'failing', actions: 'handOn' },
            {
              guard: 'isSharedDeath',
              target: 'restarting',
              actions: ['handOn', 'noteDeath', 'spread', 'tellRestart'],
            },
            { guard: 'isDeath', actions: ['handOn', 'noteDeath'] },
            { actions: ['noteReached', 'handOn'] },
          ],
          'command.rested': [
            { guard: 'isBeyondHelp', target: 'failing', actions: ['noteRest', 'handOn'] },
            { actions: ['noteRest', 'handOn'] },
          ],
          'group.rested': [
            {
              guard: 'groupMayBeStarted',
              target: 'restarting',
              actions: ['noteGroup', 'spreadGroup', 'tellRestart'],
            },
            { guard: 'groupIsBeyondHelp', target: 'failing', actions: 'noteGroup' },
            { actions: ['noteGroup', 'handOn'] },
          ],
        },
      },
      restarting: {
        description: 'One has died: those it takes with it are stopped, and all are started again.',
        entry: 'stopAffected',
        always: { guard: 'allAtRest', target: 'tending', actions: 'startAgain' },
        on: {
          'command.reached': [
            { guard: 'isOneTooMany', target: 'failing', actions: 'handOn' },
            {
              guard: 'isSharedDeath',
              actions: ['handOn', 'noteDeath', 'spread', 'tellRestart', 'stopAffected'],
            },
            { guard: 'isDeath', actions: ['handOn', 'noteDeath'] },
            { actions: ['noteReached', 'handOn'] },
          ],
          'command.rested': [
            { guard: 'isBeyondHelp', target: 'failing', actions: ['noteRest', 'handOn'] },
            { actions: ['noteRest', 'handOn', 'stopAffected'] },
          ],
          'command.ordered': { actions: ['pass', 'stopAffected'] },
          'group.rested': [
            {
              guard: 'groupMayBeStarted',
              actions: ['noteGroup', 'spreadGroup', 'tellRestart', 'stopAffected'],
            },
            { guard: 'groupIsBeyondHelp', target: 'failing', actions: 'noteGroup' },
            { actions: ['noteGroup', 'handOn'] },
          ],
        },
      },
      failing: {
        description: 'Gives up: all of it is stopped.',
        entry: ['despair', 'stopAffected'],
        always: { guard: 'allAtRest', target: 'failed' },
        on: {
          'command.rested': { actions: ['noteRest', 'handOn', 'stopAffected'] },
          'command.ordered': { actions: ['pass', 'stopAffected'] },
          // It gives up itself.
          'group.rested': { actions: 'noteGroup' },
        },
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
            at: timeOf(event),
            group: context.plan.name,
          })),
          'forget',
        ],
        always: { guard: 'isAlive', target: 'tending' },
      },
      closed: {
        description: 'Starts nobody any more: the container ends, or the policy does not know it.',
        on: {
          'command.reached': { actions: 'handOn' },
          'command.rested': { actions: 'handOn' },
          'group.rested': {},
        },
      },
    },
  });

function whyGivesUp({ intensity }: GroupPlan, event: GroupEvent): string {
  if (event.type === 'command.rested') return `${event.command} has failed for good`;
  const hot =
    intensity === null
      ? ''
      : `: more than ${intensity.restarts} ${intensity.restarts === 1 ? 'restart' : 'restarts'} in ${inWords(intensity.within)}`;
  if (event.type === 'group.rested') return `${event.group} gave up${hot}`;
  return event.type === 'command.reached' ? `${event.command} died${hot}` : '';
}

/** What a command is spawned with. A group that is made anew is not to fail by what has failed in another. */
function inputOf(
  { name, policy }: CommandPlan,
  seed: number,
  { plan, found, remains = {}, rest, roles, runs = {} }: GroupInput,
) {
  const rests = ownOf(rest, name) ?? null;
  const left = ownOf(remains, name);
  const runOf = ownOf(runs, name);
  return {
    name,
    policy,
    seed,
    found: ownOf(found, name) ?? null,
    ...(left === undefined ? {} : { remains: left }),
    ...(runOf === undefined ? {} : { runOf }),
    role: ownOf(roles, name) ?? NO_ROLE,
    rest: rests === 'failed' && plan.strategy !== 'one_for_one' ? null : rests,
  };
}
