/** Virtual time: every timer fires at its own moment, those that timers start included. */
export interface VirtualClock {
  /** ms. */
  readonly now: () => number;
  readonly setTimeout: (fire: () => void, ms: number) => Timer;
  readonly clearTimeout: (timer: Timer) => void;
  /** Fires the next timer, unless it is due later than that. @returns whether there was one */
  readonly step: (until: number) => boolean;
}

interface Timer {
  readonly at: number;
  fire: (() => void) | null;
}

export function createVirtualClock(): VirtualClock {
  let now = 0;
  /** The next one is the last one. */
  const timers: Timer[] = [];
  return {
    now: () => now,
    setTimeout(fire, ms) {
      const timer: Timer = { at: now + ms, fire };
      let low = 0;
      let high = timers.length;
      // Behind those that are due later, and before those of the same time.
      while (low < high) {
        const middle = (low + high) >> 1;
        if (timers[middle]!.at > timer.at) low = middle + 1;
        else high = middle;
      }
      timers.splice(low, 0, timer);
      return timer;
    },
    clearTimeout(timer) {
      timer.fire = null;
    },
    step(until) {
      for (;;) {
        const next = timers.at(-1);
        if (next === undefined || next.at > until) {
          if (Number.isFinite(until)) now = Math.max(now, until);
          return false;
        }
        timers.pop();
        if (next.fire === null) continue;
        now = next.at;
        next.fire();
        return true;
      }
    },
  };
}
