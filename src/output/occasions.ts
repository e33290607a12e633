/** What a policy's `on:` can name, and which event of the log each of its words means. Pure. */
import type { Told } from '../../machines/events.ts';

/** The words, in the order in which they are told of. One without a dot is of a command. */
export const OCCASIONS = [
  'started',
  'ready',
  'died',
  'start-failed',
  'failed',
  'unhealthy',
  'healthy',
  'stopped',
  'completed',
  'run-failed',
  'overlapped',
  'group.restarting',
  'group.failed',
  'operator.ordered',
  'policy.reloaded',
  'upkeep.started',
  'upkeep.stopping',
  'upkeep.stopped',
] as const;

export type Occasion = (typeof OCCASIONS)[number];

/** The word for what is told; null: nobody can ask to be told of that. */
export function occasionOf(told: Told): Occasion | null {
  switch (told.type) {
    case 'command.running':
      // Somebody else of the service stands for it: it has been running all the time.
      return told.how === 'handover' ? null : 'started';
    case 'command.ready':
      return 'ready';
    case 'command.died':
      return 'died';
    case 'command.failedStart':
      return 'start-failed';
    case 'command.failed':
      return 'failed';
    case 'command.unhealthy':
      return 'unhealthy';
    case 'command.healthy':
      return 'healthy';
    case 'command.stopped':
      return told.idle ? null : 'stopped';
    case 'command.completed':
      return told.success ? 'completed' : 'run-failed';
    case 'command.overlapped':
      return 'overlapped';
    case 'group.restarting':
    case 'group.failed':
    case 'operator.ordered':
    case 'policy.reloaded':
    case 'upkeep.started':
      return told.type;
    case 'supervisor.stopping':
      return 'upkeep.stopping';
    case 'supervisor.stopped':
      return 'upkeep.stopped';
    default:
      return null;
  }
}
