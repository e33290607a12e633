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

/** Answers `probe.finished` once. When the state is left before that, the probe is ended. */
export function probeActor({ run, now }: ProbeActorOptions) {
  return fromCallback<EventObject, { command: string; which: 'ready' | 'health' }>(({ input, sendBack }) =>
    run(input.command, input.which, (reason) => sendBack({ type: 'probe.finished', at: now(), reason })),
  );
}
