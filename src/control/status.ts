/** What `upkeep status` tells of each command, from its machine. */
import type { CommandContext } from '../../machines/command-books.ts';
import type { Exit, Rule } from '../../machines/events.ts';
import { killAfter } from '../../machines/restart-policy.ts';
import { type GroupPlan, isGroup, isWritten } from '../../machines/tree.ts';
import type { CrashReport } from '../output/crash.ts';
import { formatDuration } from '../output/duration.ts';
import type { Awaited, CommandView, GaveUp, Inside } from './inside.ts';
import type { Turn } from './orders.ts';

/** Of the answers' shape: it grows when a field changes its meaning or goes. */
export const STATUS_VERSION = 1;

/** What comes next. `order`: nothing, unless somebody orders it. */
export interface Next {
  readonly what: 'retry' | 'run' | 'release' | 'order' | 'stop' | 'start' | 'kill' | 'probe' | 'settle';
  /** ms; null: it is not a matter of time. */
  readonly in: number | null;
  /** For a human: `retry 4 in 7.2 s` without the time, which is in `in`. */
  readonly text: string;
}

/** What a table of commands shows. */
export interface CommandBrief {
  readonly name: string;
  readonly state: string;
  /** Where in that state it is; null: there is nothing to tell apart. */
  readonly detail: string | null;
  readonly desired: 'up' | 'down';
  /** It is as it is wished to be. */
  readonly asWished: boolean;
  /** ms that it has been in that state. */
  readonly for: number;
  readonly leader: {
    readonly pid: number;
    /** ms that the process has lived. */
    readonly uptime: number;
  } | null;
  /** null: there is no such probe. */
  readonly ready: boolean | null;
  readonly restarts: number;
  /** null: it has not ended yet, as far as this upkeep has seen. */
  readonly lastExit: Exit | null;
  /** That was the kernel's OOM killer; null: it is not known, or nothing had died. */
  readonly lastOom: boolean | null;
  /** Its group has given up and has stopped it: nothing starts it but an order. null: that is not so. */
  readonly gaveUp: {
    readonly group: string;
    readonly reason: string | null;
    /** ISO 8601. */
    readonly time: string | null;
  } | null;
  /** What it has said last of how it is (STATUS=); null: nothing. */
  readonly said: string | null;
  /** Runs of its schedule that were left out since its last one began. */
  readonly leftOut: number;
  readonly next: Next | null;
}

export interface CommandStatus extends CommandBrief {
  readonly kind: 'service' | 'oneshot' | 'cron';
  /** The group that holds it; null: nobody wrote one. */
  readonly group: string | null;
  readonly leader:
    | (NonNullable<CommandBrief['leader']> & { readonly name: string; readonly rule: Rule })
    | null;
  /** ISO 8601; when it came into its state. */
  readonly since: string;
  /** null: there is no such probe. */
  readonly healthy: boolean | null;
  /** Launches. */
  readonly starts: number;
  /** Failed starts and early deaths in a row. */
  readonly failures: number;
  /** The last record of a death or a failed start; null: there has been none. */
  readonly lastCrash: CrashReport | null;
  /** That its last run ended so counts as a success. */
  readonly lastSuccess: boolean | null;
  /** Why it failed last, or for good; why it is unhealthy, or stopped though it is wished up. */
  readonly reason: string | null;
  /** ISO 8601; null: it is not, or it is not known since when. */
  readonly unhealthySince: string | null;
  /** `db: ready` … */
  readonly waitingFor: readonly string[];
  /** An order for several commands that is still being carried out, one after the other; null: there is none. */
  readonly ordered: Turn['order'] | null;
  /** Processes that its last stop could not end. */
  readonly left: number;
}

export interface StatusOf<Command> {
  readonly version: typeof STATUS_VERSION;
  readonly upkeep: {
    readonly version: string;
    readonly pid: number;
    readonly uptime: number;
    readonly ending: boolean;
  };
  readonly asWished: boolean;
  readonly commands: readonly Command[];
}

export type Status = StatusOf<CommandStatus>;
export type Brief = StatusOf<CommandBrief>;

/** A command that is looked at, and when that is. */
interface Seen {
  readonly inside: Inside;
  readonly now: number;
  readonly name: string;
  readonly view: CommandView;
  readonly turn: Turn | null;
}

type TurnOf = (name: string) => Turn | null;
const noTurn: TurnOf = () => null;

/**
 * @param names null: all of them. Those that are not there are left out
 * @param turnOf what orders are still to come
 */
export function statusOf(inside: Inside, names: readonly string[] | null, turnOf = noTurn): Status {
  const groups = groupsOf(inside.groups());
  return answerOf(inside, names, turnOf, (seen) => commandStatus(seen, groups.get(seen.name) ?? null));
}

/** The same for a table. */
export function briefOf(inside: Inside, names: readonly string[] | null, turnOf = noTurn): Brief {
  return answerOf(inside, names, turnOf, commandBrief);
}

function answerOf<Command extends CommandBrief>(
  inside: Inside,
  names: readonly string[] | null,
  turnOf: TurnOf,
  make: (seen: Seen) => Command,
): StatusOf<Command> {
  const now = inside.now();
  const commands: Command[] = [];
  for (const name of names ?? inside.names()) {
    const view = inside.viewOf(name);
    if (view !== null) commands.push(make({ inside, now, name, view, turn: turnOf(name) }));
  }
  return {
    version: STATUS_VERSION,
    upkeep: {
      version: inside.version,
      pid: process.pid,
      uptime: Math.round(now),
      ending: inside.isEnding(),
    },
    asWished: commands.every(({ asWished }) => asWished),
    commands,
  };
}

function commandBrief({ inside, now, name, view, turn }: Seen): CommandBrief {
  const { state, since, wished, gaveUp, context } = view;
  const { first, second } = levelsOf(state);
  const { leader, policy, lastExit, health, isReady } = context;
  const lastCrash = inside.crashesOf(name).at(-1);
  return {
    name,
    state: first,
    detail: gaveUp === null ? detailOf(state, second, health.healthy) : groupText(gaveUp),
    desired: wished,
    asWished: isAsWished(first, second, wished, context),
    for: Math.max(0, Math.round(now - since)),
    leader: leader === null ? null : { pid: leader.pid, uptime: Math.max(0, Math.round(now - leader.since)) },
    ready: policy.ready === null ? null : first === 'running' && second !== 'ending' && isReady,
    restarts: context.restarts,
    lastExit,
    // The very same: the report of an older death has an exit of its own.
    lastOom: lastExit !== null && lastCrash?.exit === lastExit ? lastCrash.oom : null,
    gaveUp: gaveUp && { ...gaveUp, time: gaveUp.time === null ? null : new Date(gaveUp.time).toISOString() },
    said: context.said,
    leftOut: inside.journal.leftOutOf(name),
    next: turnText(turn, first) ?? nextOf(view, now, first === 'waiting' ? inside.waitingFor(name) : []),
  };
}

function commandStatus(seen: Seen, group: string | null): CommandStatus {
  const brief = commandBrief(seen);
  const { state, detail, desired, asWished, ready, restarts } = brief;
  const { lastExit, lastOom, said, leftOut, next } = brief;
  const { inside, name, view, turn } = seen;
  const { gaveUp, context } = view;
  const { policy, health, leader } = context;
  const unhealthy = state === 'running' && !health.healthy ? inside.journal.unhealthyOf(name) : null;
  // One by one: of a spread with so much behind it V8 makes a hash table, and to write a thousand of those takes five times as long.
  return {
    // In front, where the completions of shells look for them.
    name,
    kind: policy.kind,
    group,
    state,
    detail,
    desired,
    asWished,
    since: new Date(inside.timeOf(view.since)).toISOString(),
    for: brief.for,
    leader: leader && {
      pid: leader.pid,
      name: leader.name,
      rule: leader.rule,
      uptime: brief.leader!.uptime,
    },
    ready,
    healthy: policy.health === null ? null : state === 'running' && health.healthy,
    starts: context.starts,
    restarts,
    failures: context.failures,
    lastExit,
    lastOom,
    lastCrash: inside.crashesOf(name).at(-1) ?? null,
    lastSuccess: lastExit === null ? null : isSuccess(policy.successCodes, lastExit),
    reason:
      gaveUp !== null
        ? `${groupText(gaveUp)}${gaveUp.reason === null ? '' : `: ${gaveUp.reason}`}`
        : unhealthy?.what.type === 'command.unhealthy'
          ? `it is unhealthy: ${unhealthy.what.reason}`
          : context.reason,
    unhealthySince: unhealthy === null ? null : new Date(unhealthy.time).toISOString(),
    gaveUp: brief.gaveUp,
    said,
    leftOut,
    waitingFor: state === 'waiting' ? inside.waitingFor(name).map(({ text }) => text) : [],
    next,
    ordered: turn?.order ?? null,
    left: state === 'stopped' ? context.stop.left : 0,
  };
}

/** Of `running.ready`. */
function levelsOf(state: string): { readonly first: string; readonly second: string | null } {
  const dot = state.indexOf('.');
  return dot < 0
    ? { first: state, second: null }
    : { first: state.slice(0, dot), second: state.slice(dot + 1) };
}

/** Where the machine's own word is not one for a human. */
const DETAILS: Readonly<Record<string, string | null>> = {
  'running.starting': 'not ready',
  'completed.done': null,
  'failed.ended': null,
};

function detailOf(state: string, second: string | null, healthy: boolean): string | null {
  if (state === 'running.ready') return healthy ? null : 'unhealthy';
  return Object.hasOwn(DETAILS, state) ? DETAILS[state]! : second;
}

export const groupText = ({ group }: Pick<GaveUp, 'group'>): string => `group ${group} gave up`;

const isSuccess = (codes: readonly number[], { code }: Exit): boolean =>
  code !== null && codes.includes(code);

/** What a command is, in one or two words. */
export function wordOf({ state, detail, ready }: Pick<CommandBrief, 'state' | 'detail' | 'ready'>): string {
  if (state !== 'running') return state;
  return detail ?? (ready === true ? 'ready' : 'running');
}

/** `retry 4 in 7.2 s`. */
export function nextText({ text, in: wait }: Next): string {
  return wait === null ? text : `${text} in ${formatDuration(wait)}`;
}

export const runsText = (count: number): string => (count === 1 ? '1 run' : `${count} runs`);

/** Behind "it is": a backoff is nothing that it could be. */
export const predicateOf = (word: string): string => (word === 'backoff' ? 'in backoff' : word);

function isAsWished(
  state: string,
  detail: string | null,
  wished: CommandView['wished'],
  { policy, isReady, health }: CommandContext,
): boolean {
  if (wished === 'down') return state === 'stopped';
  switch (state) {
    case 'running':
      return detail !== 'ending' && (policy.ready === null || isReady) && health.healthy;
    case 'completed':
    case 'scheduled':
      return true;
    default:
      return false;
  }
}

function nextOf(
  { state: path, since, gaveUp, timers, context }: CommandView,
  now: number,
  waitingFor: readonly Awaited[],
): Next | null {
  const { policy, wait, failures, nextRun, stop, health } = context;
  const { first: state, second: detail } = levelsOf(path);
  const until = (at: number): number => Math.max(0, Math.round(at - now));
  /** Until that timer ends; null: it does not run. */
  const left = (timer: string): number | null => {
    const due = timers.find(({ name }) => name === timer)?.due;
    return due === undefined ? null : until(due);
  };
  switch (state) {
    case 'stopped':
      if (gaveUp === null) return null;
      return { what: 'order', in: null, text: `${groupText(gaveUp)}: upkeep start --group ${gaveUp.group}` };
    case 'missing':
      return detail === 'clearing'
        ? { what: 'kill', in: left('clear'), text: 'SIGKILL to what is left' }
        : null;
    case 'backoff':
      return { what: 'retry', in: until(since + wait), text: `retry ${failures + 1}` };
    case 'scheduled':
      return { what: 'run', in: nextRun === null ? null : until(nextRun), text: 'next run' };
    case 'waiting': {
      const what = waitingFor.every(({ comes }) => comes) ? 'release' : 'order';
      const whom = waitingFor.length === 0 ? 'its group' : waitingFor.map(({ text }) => text).join(', ');
      return { what, in: null, text: `waiting for ${whom}` };
    }
    case 'stopping':
      return detail === 'killing' || detail === 'over'
        ? null
        : { what: 'kill', in: until(stop.at + killAfter(stop.budget)), text: 'SIGKILL' };
    case 'restarting':
      if (detail === 'settling') return { what: 'settle', in: left('settle'), text: 'counts as running' };
      return detail === 'lingering'
        ? { what: 'settle', in: left('linger'), text: 'its daemon has to appear' }
        : null;
    case 'running':
      if (detail === 'starting' && policy.ready !== null) {
        return { what: 'probe', in: left('readyTimeout'), text: 'it has to be ready' };
      }
      if (detail === 'ending') return { what: 'kill', in: left('endWithin'), text: 'it has to end' };
      if (!health.healthy)
        return { what: 'probe', in: left('healthInterval') ?? 0, text: 'next health probe' };
      if (policy.kind !== 'cron' || nextRun === null) return null;
      return { what: 'run', in: until(nextRun), text: 'due again' };
    default:
      return null;
  }
}

/** What an order for several makes of one of them; null: nothing that its own state would not tell. */
function turnText(turn: Turn | null, state: string): Next | null {
  if (turn === null) return null;
  if (turn.behind.length > 0) {
    return { what: 'stop', in: null, text: `stopped after ${turn.behind.join(', ')}` };
  }
  if (state !== 'stopped' || turn.order !== 'restart') return null;
  return {
    what: 'start',
    in: null,
    text: turn.queued === true ? 'started in its turn' : 'started when all have stopped',
  };
}

/** The innermost group that somebody wrote, by command. */
function groupsOf(groups: readonly GroupPlan[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const visit = (group: GroupPlan): void => {
    for (const member of group.members) {
      if (isGroup(member)) visit(member);
      else if (isWritten(group)) found.set(member.name, group.name);
    }
  };
  for (const group of groups) visit(group);
  return found;
}
