/** What an order for one command has come to. Pure. */
import { formatDuration } from '../output/duration.ts';
import type { OrderVerb } from '../policy/verbs.ts';
import { howEnded } from './show.ts';
import { type CommandStatus, nextText } from './status.ts';

export interface Outcome {
  readonly ok: boolean;
  /** For a human: `running: pid 17, ready`. */
  readonly text: string;
}

const yes = (text: string): Outcome => ({ ok: true, text });
const no = (text: string): Outcome => ({ ok: false, text });

/**
 * @param before the command when the order was given
 * @returns null: it is not over
 */
export function outcome(verb: OrderVerb, before: CommandStatus, now: CommandStatus): Outcome | null {
  return verb === 'stop' ? ofStop(now) : ofStart(verb, before, now);
}

function ofStop({ state, desired, ordered, left }: CommandStatus): Outcome | null {
  if (desired === 'up') return ordered === 'stop' ? null : no('somebody has started it meanwhile');
  if (state !== 'stopped') return null;
  if (left === 0) return yes('stopped');
  return no(`${left} ${left === 1 ? 'process' : 'processes'} of it could not be ended`);
}

function ofStart(verb: OrderVerb, before: CommandStatus, now: CommandStatus): Outcome | null {
  const { kind, state, desired, asWished, leader, ready, next, waitingFor } = now;
  if (now.ordered !== null) return null;
  if (desired === 'down') return no('somebody has stopped it meanwhile');
  const hasRun = now.starts > before.starts;
  switch (state) {
    case 'failed':
      return no(['it has failed for good', ...whyOf(now)].join(': '));
    case 'stopped':
      return now.gaveUp === null ? null : no(now.reason!);
    case 'waiting':
      if (next?.what !== 'order') return null;
      return no(`it waits for ${waitingFor.join(', ')}; nothing starts that but an order${hint(waitingFor)}`);
    case 'running': {
      // It is done when it has run to its end.
      if (kind === 'oneshot' || !asWished || (verb === 'restart' && !hasRun)) return null;
      return yes(`running: pid ${leader?.pid ?? '?'}${ready === true ? ', ready' : ''}`);
    }
    case 'completed':
      return hasRun || (verb === 'start' && before.state !== 'completed') ? yes('completed') : null;
    case 'scheduled': {
      const when = next === null || next.in === null ? '' : `; the next run is in ${formatDuration(next.in)}`;
      if (!hasRun) return before.state === 'scheduled' ? null : yes(`scheduled${when}`);
      const { lastExit, lastSuccess } = now;
      const how = lastExit === null ? 'has ended' : howEnded(lastExit);
      return lastSuccess === false ? no(`its run ${how}${when}`) : yes(`its run ${how}${when}`);
    }
    default:
      return null;
  }
}

/** Why it does not run, where that is known. */
function whyOf({ reason, lastExit }: CommandStatus): readonly string[] {
  // Of one that just ended, how it ended says more.
  if (reason !== null && reason !== 'exited') return [reason];
  return lastExit === null ? [] : [howEnded(lastExit)];
}

/** What a command is at that is waited for. @param timed how long that still takes as well, where it is a matter of time */
export function progressOf(command: CommandStatus, timed: boolean): string {
  const { state, detail, next } = command;
  const parts = [detail === null ? state : `${state} (${detail})`];
  if (state === 'backoff' || state === 'missing') parts.push(...whyOf(command));
  // When a schedule's next run is says nothing of this one.
  if (next !== null && next.what !== 'run') parts.push(timed ? nextText(next) : next.text);
  return parts.join(', ');
}

/** What can be done about what will not come by itself: `db: ready (it is stopped)`. */
function hint(waitingFor: readonly string[]): string {
  const names = waitingFor.filter((text) => text.endsWith(')')).map((text) => text.split(':', 1)[0]!);
  return names.length === 0 ? '' : `: upkeep start ${names.join(' ')}`;
}
