/** Virtual time for actors: `advance` fires every timer at its own moment, those that timers start included. */
export function createSteppingClock(start = 0) {
  let now = start;
  let lastId = 0;
  const timers = new Map<number, { at: number; fire: () => void }>();
  const next = () => [...timers].sort(([a, { at }], [b, other]) => at - other.at || a - b)[0];
  return {
    now: () => now,
    pending: () => timers.size,
    setTimeout(fire: (...args: never[]) => void, ms: number): number {
      if (!(Number.isFinite(ms) && ms >= 0)) throw new Error(`a timer of ${ms} ms`);
      timers.set(++lastId, { at: now + ms, fire: fire as () => void });
      return lastId;
    },
    clearTimeout: (id: number): void => void timers.delete(id),
    /** Fires the next timer alone, at its time. */
    step(): void {
      const timer = next();
      if (timer === undefined) return;
      timers.delete(timer[0]);
      now = timer[1].at;
      timer[1].fire();
    },
    advance(ms: number): void {
      const until = now + ms;
      for (let timer = next(); timer !== undefined && timer[1].at <= until; timer = next()) this.step();
      now = until;
    },
    /** So much time passes while nobody looks at the clock, as for a process that is stopped; then all that is due is fired, and
     * what it starts begins then. */
    oversleep(ms: number): void {
      now += ms;
      const due = [...timers]
        .filter(([, { at }]) => at <= now)
        .sort(([a, one], [b, other]) => one.at - other.at || a - b);
      for (const [id, { fire }] of due) if (timers.delete(id)) fire();
    },
  };
}

export type SteppingClock = ReturnType<typeof createSteppingClock>;
