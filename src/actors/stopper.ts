/** A service's own stop command as actor logic. */
import { type EventObject, fromCallback } from 'xstate';
import type { Exit } from '../../machines/events.ts';

export interface StopperActorOptions {
  /** Runs the command's stop command; `ended` is called once. Returns what ends it before its time. */
  readonly run: (command: string, ended: (result: Exit | { error: string }) => void) => () => void;
  /** Monotonic ms. */
  readonly now: () => number;
}

/** Answers `stopper.finished` once. When the state is left before that, the stop command is ended. */
export function stopperActor({ run, now }: StopperActorOptions) {
  return fromCallback<EventObject, { command: string }>(({ input, sendBack }) =>
    run(input.command, (result) =>
      sendBack({ type: 'stopper.finished', at: now(), error: complaint(result) }),
    ),
  );
}

function complaint(result: Exit | { error: string }): string | null {
  if ('error' in result) return `its stop command cannot be run: ${result.error}; SIGTERM follows`;
  if (result.code === 0) return null;
  const how = result.signal === null ? `exited with status ${result.code}` : `was killed by ${result.signal}`;
  return `its stop command ${how}; SIGTERM follows for what is left`;
}
