/** process/launch as actor logic. */
import { type EventObject, fromCallback } from 'xstate';
import type { ProcessId } from '../../machines/events.ts';

export interface LaunchActorOptions {
  /** Starts the command's launcher. */
  readonly start: (
    command: string,
  ) => Promise<ProcessId | { error: string; blame: 'command' | 'system' }> | ProcessId;
  /** Monotonic ms. */
  readonly now: () => number;
}

/** Answers `launcher.started` or `launch.failed`, once. Its end is told by the scan, as everybody's. */
export function launchActor({ start, now }: LaunchActorOptions) {
  return fromCallback<EventObject, { command: string }>(({ input, sendBack }) => {
    const answer = (result: ProcessId | { error: string; blame: 'command' | 'system' }): void =>
      sendBack(
        'error' in result
          ? { type: 'launch.failed', at: now(), ...result }
          : { type: 'launcher.started', at: now(), ...result },
      );
    const blame = (error: unknown): void => answer({ error: (error as Error).message, blame: 'system' });
    try {
      const started = start(input.command);
      if (started instanceof Promise) started.then(answer, blame);
      else answer(started);
    } catch (error) {
      blame(error);
    }
  });
}
