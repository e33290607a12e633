/** A cron schedule as actor logic. */
import { type EventObject, fromCallback } from 'xstate';

export interface ScheduleActorOptions {
  /** The next time after that one, jitter included, as ms since 1970; null: there is none any more. */
  readonly next: (command: string, after: number) => number | null;
  /** ms since 1970. */
  readonly wallClock: () => number;
  /** Monotonic ms. */
  readonly now: () => number;
}

/** The clock may jump: it is looked at again at least this often, ms. */
const LONGEST_SLEEP = 30_000;
/** A run that is missed by more than this, ms (the machine was suspended, the clock was set), is left out. */
const TOO_LATE = 60_000;

/** Tells `schedule.planned`, and at that time `schedule.due`, again and again. */
export function scheduleActor({ next, wallClock, now }: ScheduleActorOptions) {
  return fromCallback<EventObject, { command: string }>(({ input: { command }, sendBack }) => {
    let timer: NodeJS.Timeout | null = null;
    let due: number | null = null;
    let before = 0;

    const plan = (): void => {
      due = next(command, wallClock());
      if (due === null) return;
      sendBack({ type: 'schedule.planned', at: now(), wait: Math.max(0, due - wallClock()) });
      wait();
    };
    const wait = (): void => {
      before = wallClock();
      timer = setTimeout(look, Math.max(1, Math.min(LONGEST_SLEEP, due! - before)));
    };
    const look = (): void => {
      const time = wallClock();
      // Set back: what was due would be due for as long again.
      const wasSetBack = time < before - 1_000;
      if (!wasSetBack && time < due!) wait();
      else {
        if (!wasSetBack && time - due! <= TOO_LATE) sendBack({ type: 'schedule.due', at: now() });
        plan();
      }
    };
    plan();
    return () => {
      if (timer !== null) clearTimeout(timer);
    };
  });
}
