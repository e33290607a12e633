/** How far commands have come, and who may be started because of it. Pure. */
import type { CommandPlan, CommandReached, CommandRested, Exit, Milestone } from './events.ts';
import { ownOf } from './own.ts';

/** `down`: not there, and nothing is known that keeps it so. `held`: its group has stopped it, and starts it again or gives up. */
export interface Reached {
  readonly state: 'down' | 'held' | 'started' | 'ready' | CommandRested['state'];
  /** It was tried to start it, at least once since it rested. */
  readonly tried: boolean;
  /** Of its last rest. */
  readonly exit: Exit | null;
}

/** By command; who is not in it has reached nothing. */
export type ReachedBook = Readonly<Record<string, Reached>>;

const NOTHING_REACHED: Reached = { state: 'down', tried: false, exit: null };

/** The book when a group has given up: what it has stopped is not started again. */
export function givenUp(book: ReachedBook, commands: readonly CommandPlan[]): ReachedBook {
  const failed = commands.flatMap(({ name }): [string, Reached][] => {
    const reached = ownOf(book, name);
    return reached?.state === 'held' ? [[name, { ...reached, state: 'failed' }]] : [];
  });
  return { ...book, ...Object.fromEntries(failed) };
}

/** The book after what a command has told. */
export function reachedNow(
  book: ReachedBook,
  event: CommandRested | Pick<CommandReached, 'type' | 'command' | 'what'>,
): ReachedBook {
  const { command } = event;
  const before = ownOf(book, command) ?? NOTHING_REACHED;
  return { ...book, [command]: { ...before, ...progress(before, event) } };
}

function progress(
  { tried }: Reached,
  event: CommandRested | Pick<CommandReached, 'type' | 'what'>,
): Partial<Reached> {
  if (event.type === 'command.rested') return { state: event.state, tried: true, exit: event.exit };
  switch (event.what) {
    case 'started':
    case 'ready':
      return { state: event.what, tried: true };
    case 'died':
    case 'fallen':
      return { state: 'down', tried: true };
    case 'waiting':
    case 'halted':
      return { state: 'down', tried };
    case 'begun':
      return { state: 'down', tried: false };
  }
}

/** It has come to rest, and nobody has started it since. */
export function isAtRest(reached: Reached | undefined): boolean {
  return reached?.state === 'completed' || reached?.state === 'failed' || reached?.state === 'stopped';
}

/** What somebody still waits for. `milestone` null: that it was tried to start it. */
export interface Unmet {
  readonly command: string;
  readonly milestone: Milestone | null;
}

/** What keeps the command from being started. */
export function unmet(
  plan: CommandPlan,
  plans: Readonly<Record<string, CommandPlan>>,
  book: ReachedBook,
): readonly Unmet[] {
  const found: Unmet[] = [];
  for (const [command, milestone] of Object.entries(plan.requires)) {
    if (Object.hasOwn(plans, command) && !hasReached(ownOf(book, command), milestone)) {
      found.push({ command, milestone });
    }
  }
  for (const command of plan.after) {
    const other = ownOf(plans, command);
    if (other !== undefined && !hasPassed(other, ownOf(book, command))) {
      found.push({ command, milestone: null });
    }
  }
  return found;
}

function hasReached(reached: Reached | undefined, milestone: Milestone): boolean {
  switch (reached?.state) {
    case 'completed':
      return true;
    case 'ready':
      return milestone !== 'completed';
    case 'started':
      return milestone === 'started';
    default:
      return false;
  }
}

/** `after` asks for an order and no more: whoever cannot be started holds nobody up. */
function hasPassed({ policy: { kind } }: CommandPlan, reached: Reached | undefined): boolean {
  if (kind === 'cron' || isAtRest(reached)) return true;
  return kind === 'service' && reached?.tried === true && reached.state !== 'held';
}

/** For a human: `db: ready`, `migrate: completed (it is failed)`. */
export function explain({ command, milestone }: Unmet, book: ReachedBook): string {
  const state = ownOf(book, command)?.state;
  const dim = state === 'failed' || state === 'stopped' ? ` (it is ${state})` : '';
  return `${command}: ${milestone ?? 'its start'}${dim}`;
}
