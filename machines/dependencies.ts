/** How far commands have come, and who may be started because of it. Pure. */
import type { CommandPlan, Exit, Milestone, SupervisorEvent } from './events.ts';
import { ownOf } from './own.ts';

/** `down`: not there, and nothing is known that keeps it so. */
export interface Reached {
  readonly state: 'down' | 'started' | 'ready' | 'completed' | 'failed' | 'stopped';
  /** It was tried to start it at least once. */
  readonly tried: boolean;
  /** Of its last rest. */
  readonly exit: Exit | null;
}

/** By command; who is not in it has reached nothing. */
export type ReachedBook = Readonly<Record<string, Reached>>;

const NOTHING_REACHED: Reached = { state: 'down', tried: false, exit: null };

/** The book after what a command has told. */
export function reachedNow(book: ReachedBook, event: SupervisorEvent): ReachedBook {
  if (event.type === 'command.rested') {
    return { ...book, [event.command]: { state: event.state, tried: true, exit: event.exit } };
  }
  if (event.type !== 'command.reached') return book;
  const before = ownOf(book, event.command) ?? NOTHING_REACHED;
  switch (event.what) {
    case 'waiting':
      return book;
    case 'started':
    case 'ready':
      return { ...book, [event.command]: { ...before, state: event.what, tried: true } };
    case 'died':
    case 'fallen':
      return { ...book, [event.command]: { ...before, state: 'down', tried: true } };
  }
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
    if (other !== undefined && !hasPassed(other, ownOf(book, command)))
      found.push({ command, milestone: null });
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
function hasPassed({ policy }: CommandPlan, reached: Reached | undefined): boolean {
  if (reached === undefined) return policy.kind === 'cron';
  const rests = reached.state === 'completed' || reached.state === 'failed' || reached.state === 'stopped';
  return rests || (policy.kind === 'service' ? reached.tried : policy.kind === 'cron');
}

/** For a human: `db: ready`, `migrate: completed (has failed)`. */
export function explain({ command, milestone }: Unmet, book: ReachedBook): string {
  const state = ownOf(book, command)?.state;
  const dim = state === 'failed' || state === 'stopped' ? ` (it is ${state})` : '';
  return `${command}: ${milestone ?? 'its start'}${dim}`;
}
