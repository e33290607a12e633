/** process/launch as actor logic. */
import { type EventObject, fromCallback } from 'xstate';
import type { ProcessId } from '../../machines/events.ts';

export interface LaunchActorOptions {
  /** Starts the command's launcher. */
  readonly start: (command: string) => Promise<Answer> | ProcessId;
  /** Monotonic ms. */
  readonly now: () => number;
}

/** ms of launches at once: a thousand take seconds, in which others want to be heard. */
const SLICE = 20;

type Answer = ProcessId | { error: string; blame: 'command' | 'system' };

/**
 * Answers `launcher.started` or `launch.failed`, once. Its end is told by the scan, as everybody's. Whoever asks for a command whose
 * launch is under way (a reload has put it into another group) is told of the process of that one, and starts none beside it.
 * Where many start at once, others have their turn in between.
 */
export function launchActor({ start, now }: LaunchActorOptions) {
  const underWay = new Map<string, Promise<Answer>>();
  const waiting: (() => void)[] = [];
  /** When the slice of this turn is over; null: none has begun. */
  let sliceEnd: number | null = null;

  /** At once, or when it is its turn. */
  function inTurn(launch: () => void): void {
    if (sliceEnd === null) {
      sliceEnd = now() + SLICE;
      setImmediate(nextTurn);
    }
    if (waiting.length === 0 && now() <= sliceEnd) launch();
    else waiting.push(launch);
  }

  function nextTurn(): void {
    sliceEnd = null;
    for (const launch of waiting.splice(0)) inTurn(launch);
  }

  function begin(command: string): Answer | Promise<Answer> {
    const blamed = (error: unknown): Answer => ({ error: (error as Error).message, blame: 'system' });
    try {
      const started = start(command);
      if (!(started instanceof Promise)) return started;
      const answered = started.catch(blamed).finally(() => underWay.delete(command));
      underWay.set(command, answered);
      return answered;
    } catch (error) {
      return blamed(error);
    }
  }

  return fromCallback<EventObject, { command: string }>(({ input: { command }, sendBack }) => {
    let isAwaited = true;
    const answer = (result: Answer): void =>
      sendBack(
        'error' in result
          ? { type: 'launch.failed', at: now(), ...result }
          : { type: 'launcher.started', at: now(), ...result },
      );
    const ask = (): void =>
      inTurn(() => {
        if (!isAwaited) return;
        const result = begin(command);
        if (result instanceof Promise) void result.then(answer);
        else answer(result);
      });
    const before = underWay.get(command);
    if (before === undefined) ask();
    else {
      void before.then((result) => {
        if (!isAwaited) return;
        // What another policy may have asked for has failed: that is not this one's fault.
        if ('error' in result) ask();
        else answer(result);
      });
    }
    return () => {
      isAwaited = false;
    };
  });
}
