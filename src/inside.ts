/** WIRES what control may know of a running upkeep, and ask of it. */
import type { ActorRefFrom, InspectionEvent, SnapshotFrom } from 'xstate';
import type { commandMachine } from '../machines/command.ts';
import type { CommandContext } from '../machines/command-books.ts';
import { explain, isAtRest, unmet } from '../machines/dependencies.ts';
import { ownOf } from '../machines/own.ts';
import { clampDelay } from '../machines/restart-policy.ts';
import type { SupervisorContext, supervisorMachine } from '../machines/supervisor.ts';
import { type GroupPlan, isGroup, isWritten } from '../machines/tree.ts';
import type { Awaited, Candidate, CommandView, GaveUp, Timer } from './control/inside.ts';
import type { Journal } from './output/journal.ts';
import type { Evidence } from './process/lineage.ts';

type CommandRef = ActorRefFrom<typeof commandMachine>;
type CommandMachine = typeof commandMachine;

export interface States {
  /** For XState's `inspect`: notes every transition of every command. */
  readonly inspect: (event: InspectionEvent) => void;
  readonly viewOf: (name: string, root: RootState) => CommandView | null;
  /** It is there no more. */
  readonly forget: (name: string) => void;
}

/** The root, as it is now. */
type RootState = SnapshotFrom<typeof supervisorMachine>;

export const isEnding = (root: RootState): boolean =>
  root.status !== 'active' || root.matches('stopping') || root.matches('killing');

interface Known {
  ref: CommandRef;
  place: Place;
  /** When it has entered each level of the place, monotonic ms. */
  entered: readonly number[];
  /** The last that a human tells apart, and since when its first level holds. */
  state: string | null;
  since: number;
}

const PREFIX = 'command:';

/** Follows the commands' states. @param now monotonic ms */
export function createStates(journal: Journal, now: () => number): States {
  const known = new Map<string, Known>();
  const placeOf = createPlaces();
  const groupsAround = createGroupsAround();
  let scheduled: Scheduled | null = null;

  /** XState copies all timers there are for whoever asks: one copy is for all commands that are looked at in one go. */
  function scheduledIn(system: CommandRef['system']): Scheduled {
    if (scheduled === null) {
      scheduled = system.getSnapshot()._scheduledEvents;
      queueMicrotask(forgetScheduled);
    }
    return scheduled;
  }

  function forgetScheduled(): void {
    scheduled = null;
  }

  function note(ref: CommandRef, snapshot: CommandSnapshot, event: Seen): void {
    const name = ref.id.slice(PREFIX.length);
    const before = known.get(name);
    // A command that moves to another group has another machine there, and goes on.
    const isSame = before?.ref === ref;
    const steps = '_transitions' in event ? event._transitions : [];
    const place = placeOf(snapshot._nodes);
    // Nearly all of what happens leaves the machine where it is.
    if (isSame && place === before.place && steps.every(({ target }) => target === undefined)) return;
    const at = now();
    const stays = isSame ? Math.min(...steps.map(depthLeft)) : 0;
    const entered = place.levels.map((level, index) =>
      index < stays && before?.place.levels[index] === level ? before.entered[index]! : at,
    );
    const { state, since } = before ?? { state: null, since: at };
    const one: Known = { ref, place, entered, state, since };
    known.set(name, one);
    if (place.state !== null) moved(name, one, place.state, at, event.event.type);
  }

  /** What humans are told of a move. */
  function moved(name: string, one: Known, to: string, at: number, on: string): void {
    const from = one.state;
    if (from === to) return;
    if (from === null || firstOf(from) !== firstOf(to)) one.since = at;
    one.state = to;
    journal.note({ type: 'command.transition', at, command: name, from, to, on: wordOf(on) });
  }

  /** Which of its groups has given up: the innermost that has since it was stopped. */
  function gaveUp(root: RootState, name: string, since: number): GaveUp {
    const groups = groupsAround(root.context.plan.groups, name);
    for (const group of groups) {
      const entry = journal.failureOf(group);
      if (entry?.what.type !== 'group.failed' || entry.what.at < since) continue;
      return { group, reason: entry.what.reason, time: entry.time };
    }
    return { group: groups[0] ?? '', reason: null, time: null };
  }

  return {
    inspect(event) {
      forgetScheduled();
      if (event.type !== '@xstate.microstep' && event.type !== '@xstate.snapshot') return;
      const { actorRef, snapshot } = event;
      if (!('value' in snapshot) || !(actorRef as CommandRef).id.startsWith(PREFIX)) return;
      note(actorRef as CommandRef, snapshot as CommandSnapshot, event);
    },
    viewOf(name, root) {
      const found = known.get(name);
      if (found === undefined || found.state === null) return null;
      const { state, since, ref } = found;
      const { context } = ref.getSnapshot();
      const wished = wishOf(root, context);
      const isGivenUp = wished !== context.desired && ownOf(root.context.reached, name)?.state === 'failed';
      return {
        state,
        since,
        wished,
        gaveUp: isGivenUp && state === 'stopped' ? gaveUp(root, name, since) : null,
        timers: found.place.delays.length === 0 ? [] : timersOf(found, scheduledIn(ref.system)),
        context,
      };
    },
    forget: (name) => void known.delete(name),
  };
}

/** What a command is told to be is its wish, unless it is told so by its group, which starts it again or has given up. */
function wishOf(root: RootState, { name, desired }: CommandContext): CommandView['wished'] {
  return desired === 'up' || !(isEnding(root) || root.context.down.has(name)) ? 'up' : 'down';
}

type CommandSnapshot = SnapshotFrom<CommandMachine>;
type Seen = Extract<InspectionEvent, { type: '@xstate.microstep' | '@xstate.snapshot' }>;
type Step = Extract<Seen, { type: '@xstate.microstep' }>['_transitions'][number];

/** By XState's key of each. */
type Scheduled = ReturnType<CommandRef['system']['getSnapshot']>['_scheduledEvents'];

/** Longer delays are none. */
const FOREVER = clampDelay(Number.POSITIVE_INFINITY);

/** The timers of a machine that XState has set. When, it knows by the time of day, which may be set anew: the states by another. */
function timersOf({ ref, place, entered }: Known, scheduled: Scheduled): Timer[] {
  return place.delays.flatMap(({ name, level, id }) => {
    const delay = scheduled[`${ref.sessionId}.${id}`]?.delay ?? FOREVER;
    return delay < FOREVER ? [{ name, state: place.levels[level]!, due: entered[level]! + delay }] : [];
  });
}

/** How many levels of where a machine was it has not left by this step. */
function depthLeft({ source, target, reenter }: Step): number {
  const [to] = target ?? [];
  if (to === undefined) return Number.POSITIVE_INFINITY;
  let common = 0;
  while (common < source.path.length && source.path[common] === to.path[common]) common++;
  if (common === source.path.length && !reenter) return common;
  return Math.min(common, source.path.length - 1, to.path.length - 1);
}

/** Where a machine is. */
interface Place {
  /** `running`, `running.ready`, `running.ready.pausing`. */
  readonly levels: readonly string[];
  /** `running.ready`: two levels, which are what a human tells apart; deeper ones come and go with each probe. null: it is passing
   * through. */
  readonly state: string | null;
  /** Of all levels, with XState's id of each. */
  readonly delays: readonly { readonly name: string; readonly level: number; readonly id: string }[];
}

type Node = CommandSnapshot['_nodes'][number];

/** The place of a machine by its active states, of which one leads to the next. Each is made once. */
function createPlaces(): (nodes: readonly Node[]) => Place {
  const places = new Map<string, Place>();
  return (nodes) => {
    const { id, path, machine } = nodes.reduce((a, b) => (b.path.length > a.path.length ? b : a));
    let place = places.get(id);
    if (place === undefined) {
      const levels = path.map((_, index) => path.slice(0, index + 1).join('.'));
      const delays = levels.flatMap((level, index) =>
        Object.keys(machine.getStateNodeById(`command.${level}`).config.after ?? {}).map((name) => ({
          name,
          level: index,
          id: `xstate.after.${name}.command.${level}`,
        })),
      );
      place = { levels, state: shown(path), delays };
      places.set(id, place);
    }
    return place;
  };
}

/** The groups that somebody wrote and that hold a command, the innermost first. */
function createGroupsAround(): (groups: readonly GroupPlan[], name: string) => readonly string[] {
  let plan: readonly GroupPlan[] = [];
  let around = new Map<string, readonly string[]>();
  const visit = (group: GroupPlan, outer: readonly string[]): void => {
    const names = isWritten(group) ? [group.name, ...outer] : outer;
    for (const member of group.members) {
      if (isGroup(member)) visit(member, names);
      else around.set(member.name, names);
    }
  };
  return (groups, name) => {
    if (groups !== plan) {
      plan = groups;
      around = new Map();
      for (const group of groups) visit(group, []);
    }
    return around.get(name) ?? [];
  };
}

function shown([first, second]: readonly string[]): string | null {
  if (second === undefined) return first === 'beginning' ? null : first!;
  if (second === 'deciding') return null;
  // It lasts no time, but is one of the states that everybody learns.
  return second === 'assessing' ? first! : `${first}.${second}`;
}

const firstOf = (state: string): string => state.split('.', 1)[0]!;

/** XState's own events, in words. */
function wordOf(type: string): string {
  if (type === 'xstate.init') return 'begin';
  const after = /^xstate\.after\.([^.]+)\./.exec(type);
  return after === null ? type : `after ${after[1]}`;
}

/** What a command requires and has not got. */
export function waitingFor({ plans, reached }: SupervisorContext, name: string): readonly Awaited[] {
  const plan = ownOf(plans, name);
  if (plan === undefined) return [];
  return unmet(plan, plans, reached).map((each) => ({
    command: each.command,
    text: explain(each, reached),
    comes: !isAtRest(ownOf(reached, each.command)),
  }));
}

/** @param sinceOf monotonic ms of start ticks */
export function candidateOf(sinceOf: (startTicks: number) => number) {
  return ({ row, verdict, because }: Evidence): Candidate => ({
    pid: row.pid,
    ppid: row.ppid,
    name: row.comm,
    state: row.state,
    argv: row.argv,
    since: sinceOf(row.startTicks),
    verdict,
    because,
  });
}
