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
  /** Two levels, which are what a human tells apart; deeper ones come and go with each probe. */
  state: string;
  since: number;
  /** All levels. */
  path: string;
  timers: readonly Timer[];
}

const PREFIX = 'command:';

/** Follows the commands' states. @param now monotonic ms */
export function createStates(journal: Journal, now: () => number): States {
  const known = new Map<string, Known>();
  const timing = createTiming(now);
  const groupsAround = createGroupsAround();

  function note(ref: CommandRef, snapshot: CommandSnapshot, event: Seen): void {
    const name = ref.id.slice(PREFIX.length);
    const state = shown(snapshot.value);
    let before = known.get(name);
    const path = pathOf(snapshot.value);
    // A command that moves to another group has another machine there, and goes on.
    const isSame = before?.ref === ref;
    const timers = timing(isSame ? before! : { path: '', timers: [] }, path, snapshot, event);
    if (before !== undefined) Object.assign(before, { ref, path, timers });
    if (before?.state === state || state === null) return;
    const at = now();
    const from = before?.state ?? null;
    if (before === undefined) {
      before = { ref, state, since: at, path, timers };
      known.set(name, before);
    } else {
      if (firstOf(before.state) !== firstOf(state)) before.since = at;
      before.state = state;
    }
    const on = wordOf(event.event.type);
    journal.note({ type: 'command.transition', at, command: name, from, to: state, on });
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
      if (event.type !== '@xstate.microstep' && event.type !== '@xstate.snapshot') return;
      const { actorRef, snapshot } = event;
      if (!('value' in snapshot) || !(actorRef as CommandRef).id.startsWith(PREFIX)) return;
      note(actorRef as CommandRef, snapshot as CommandSnapshot, event);
    },
    viewOf(name, root) {
      const found = known.get(name);
      if (found === undefined) return null;
      const { state, since, ref } = found;
      const { context } = ref.getSnapshot();
      const wished = wishOf(root, context);
      const isGivenUp = wished !== context.desired && ownOf(root.context.reached, name)?.state === 'failed';
      return {
        state,
        since,
        wished,
        gaveUp: isGivenUp && state === 'stopped' ? gaveUp(root, name, since) : null,
        timers: found.timers,
        context,
      };
    },
    forget: (name) => void known.delete(name),
  };
}

/** What a command is told to be is its wish, unless it is told so by its group, which starts it again or has given up. */
function wishOf(root: RootState, { name, desired }: CommandContext): CommandView['wished'] {
  return isEnding(root) || root.context.down.has(name) ? desired : 'up';
}

type CommandSnapshot = SnapshotFrom<CommandMachine>;
type Seen = Extract<InspectionEvent, { type: '@xstate.microstep' | '@xstate.snapshot' }>;
type Step = Extract<Seen, { type: '@xstate.microstep' }>['_transitions'][number];

/** What runs after the latest step of a machine. */
type Timing = (
  before: Pick<Known, 'path' | 'timers'>,
  path: string,
  snapshot: CommandSnapshot,
  event: Seen,
) => readonly Timer[];

/** Keeps book of the machines' timers: XState has no word for when they are due. @param now monotonic ms */
function createTiming(now: () => number): Timing {
  const FOREVER = clampDelay(Number.POSITIVE_INFINITY);
  let delays: ReadonlyMap<string, readonly string[]> | null = null;

  return (before, path, snapshot, event) => {
    const steps = '_transitions' in event ? event._transitions : [];
    const isDelayed = event.event.type.startsWith('xstate.after.');
    // Nearly all of what happens leaves the machine where it is.
    if (path === before.path && !isDelayed && steps.every(({ target }) => target === undefined))
      return before.timers;
    const stays = Math.min(...steps.map(depthLeft));
    const levels = path.split('.');
    const states = levels.map((_, index) => levels.slice(0, index + 1).join('.'));
    const goOn = new Set(
      states.filter((state, index) => index < stays && `${before.path}.`.startsWith(`${state}.`)),
    );
    const fired = steps.some(({ eventType }) => eventType === event.event.type) ? event.event.type : '';
    const timers = before.timers.filter(
      ({ name, state }) => goOn.has(state) && fired !== `xstate.after.${name}.command.${state}`,
    );
    const { implementations, root } = snapshot.machine;
    delays ??= delaysBelow(root);
    for (const state of states) {
      if (goOn.has(state)) continue;
      for (const name of delays.get(state) ?? []) {
        const delay: unknown = implementations.delays[name as keyof typeof implementations.delays];
        const asked = { context: snapshot.context, event: event.event };
        const ms = typeof delay === 'function' ? (delay(asked, undefined) as number) : Number(delay);
        if (ms < FOREVER) timers.push({ name, state, due: now() + ms });
      }
    }
    return timers;
  };
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

interface Node {
  readonly path: readonly string[];
  readonly config: { readonly after?: object };
  readonly states: Readonly<Record<string, Node>>;
}

/** The names of the delays of each state that has any. */
function delaysBelow(node: Node): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  const visit = ({ path, config, states }: Node): void => {
    if (config.after !== undefined) found.set(path.join('.'), Object.keys(config.after));
    for (const below of Object.values(states)) visit(below);
  };
  visit(node);
  return found;
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

/** `running.ready` of `{running: {ready: 'pausing'}}`; null: it is passing through. */
function shown(value: unknown): string | null {
  if (typeof value === 'string') return value === 'beginning' ? null : value;
  const [first = '', below] = Object.entries(value as Record<string, unknown>)[0] ?? [];
  const second = typeof below === 'string' ? below : Object.keys(below as object)[0]!;
  if (second === 'deciding') return null;
  // It lasts no time, but is one of the states that everybody learns.
  return second === 'assessing' || second === 'decided' ? first : `${first}.${second}`;
}

/** `running.ready.pausing`: all levels. */
function pathOf(value: unknown): string {
  if (typeof value === 'string') return value;
  const [first = '', below] = Object.entries(value as Record<string, unknown>)[0] ?? [];
  return `${first}.${pathOf(below)}`;
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
