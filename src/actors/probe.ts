/** A readiness or health probe as actor logic. */
import { type EventObject, fromCallback } from 'xstate';

export interface ProbeActorOptions {
  /** Runs the command's probe once; `answer` is called once, with why it failed or null. Returns what ends it before its time. */
  readonly run: (
    command: string,
    which: 'ready' | 'health',
    answer: (reason: string | null) => void,
  ) => () => void;
  /** Monotonic ms. */
  readonly now: () => number;
}

/**
 * Answers `probe.finished` once. When the state is left before that, the probe is ended. An answer may be found in the midst of a
 * transition, in the last lines of a service that are read before its end is told: it is given behind that, if it is still asked for.
 */
export function probeActor({ run, now }: ProbeActorOptions) {
  return fromCallback<EventObject, { command: string; which: 'ready' | 'health' }>(({ input, sendBack }) => {
    let isAwaited = true;
    const end = run(input.command, input.which, (reason) => {
      const at = now();
      queueMicrotask(() => {
        if (isAwaited) sendBack({ type: 'probe.finished', at, reason });
      });
    });
    return () => {
      isAwaited = false;
      end();
    };
  });
}
