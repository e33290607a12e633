/** WIRES what control may know of a running upkeep, and ask of it. */
import type { ActorRefFrom, InspectionEvent, SnapshotFrom } from 'xstate';
import type { commandMachine } from '../machines/command.ts';
import type { CommandContext } from '../machines/command-books.ts';
import { explain, isAtRest, unmet } from '../machines/dependencies.ts';
import { ownOf } from '../machines/own.ts';
import type { SupervisorContext, supervisorMachine } from '../machines/supervisor.ts';
import type { Awaited, Candidate, CommandView } from './control/inside.ts';
import type { Journal } from './output/journal.ts';
import type { Evidence } from './process/lineage.ts';

type CommandRef = ActorRefFrom<typeof commandMachine>;

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
}

const PREFIX = 'command:';

/** Follows the commands' states. @param now monotonic ms */
export function createStates(journal: Journal, now: () => number): States {
  const known = new Map<string, Known>();

  function note(ref: CommandRef, value: unknown, on: string): void {
    const name = ref.id.slice(PREFIX.length);
    const state = shown(value);
    const before = known.get(name);
    // A command that moves to another group has another machine there, and goes on.
    if (before !== undefined && before.ref !== ref) before.ref = ref;
    if (before?.state === state || state === null) return;
    const at = now();
    const from = before?.state ?? null;
    if (before === undefined) known.set(name, { ref, state, since: at });
    else {
      if (firstOf(before.state) !== firstOf(state)) before.since = at;
      before.state = state;
    }
    journal.note({ type: 'command.transition', at, command: name, from, to: state, on });
  }

  return {
    inspect(event) {
      if (event.type !== '@xstate.microstep' && event.type !== '@xstate.snapshot') return;
      const { actorRef, snapshot } = event;
      if (!('value' in snapshot) || !(actorRef as CommandRef).id.startsWith(PREFIX)) return;
      note(actorRef as CommandRef, snapshot.value, wordOf(event.event.type));
    },
    viewOf(name, root) {
      const found = known.get(name);
      if (found === undefined) return null;
      const { context } = found.ref.getSnapshot();
      return { state: found.state, since: found.since, wished: wishOf(root, context), context };
    },
    forget: (name) => void known.delete(name),
  };
}

/** What a command is told to be is its wish, unless it is told so by its group, which starts it again. */
function wishOf(root: RootState, { name, desired }: CommandContext): CommandView['wished'] {
  if (desired === 'up' || isEnding(root) || root.context.down.has(name)) return desired;
  // A group that has given up starts nobody.
  return ownOf(root.context.reached, name)?.state === 'failed' ? 'down' : 'up';
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
