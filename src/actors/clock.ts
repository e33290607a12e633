/** The clock of the machines' timers. */

export interface MachineClock {
  setTimeout(end: () => void, ms: number): Timer;
  clearTimeout(timer: Timer): void;
}

interface Timer {
  handle: NodeJS.Timeout;
}

/** A timer that comes later than this, ms: upkeep, or everything, was stopped meanwhile. */
const LATE = 500;
/** ms in which upkeep learns what has happened since. */
const CATCH_UP = 200;

/**
 * A timer bounds how long somebody may take. Where upkeep was stopped (SIGSTOP, `docker pause`), what it waits for may long have come, and
 * Node runs timers before it looks who has sent anything: so one that is late waits a moment more.
 *
 * @param now monotonic ms
 */
export function createClock(now: () => number): MachineClock {
  return {
    setTimeout(end, ms) {
      const due = now() + ms;
      const come = (): void => {
        if (now() - due > LATE) timer.handle = setTimeout(end, CATCH_UP);
        else end();
      };
      const timer: Timer = { handle: setTimeout(come, ms) };
      return timer;
    },
    clearTimeout: (timer) => clearTimeout(timer.handle),
  };
}
