/** Keeps what each command's probes came to last: their changes are told as events, and every single probe would be too many. */

/** What a probe came to. */
export interface Probed {
  /** The time of day, ms since 1970. */
  readonly time: number;
  /** Why it failed; null: it did not. */
  readonly reason: string | null;
  /** How many have failed in a row, this one included. */
  readonly failures: number;
}

/** Of the run that goes on, or has ended last. null: there is no such probe, or none has ended. */
export interface ProbedLast {
  readonly ready: Probed | null;
  readonly health: Probed | null;
}

export interface ProbeBook {
  /** @param reason why it failed; null: it did not */
  readonly note: (command: string, which: keyof ProbedLast, reason: string | null) => void;
  readonly of: (command: string) => ProbedLast;
  /** A new run begins, or it is there no more. */
  readonly forget: (command: string) => void;
}

const NEVER: ProbedLast = { ready: null, health: null };

export function createProbeBook({
  wallClock = Date.now,
}: {
  readonly wallClock?: () => number;
} = {}): ProbeBook {
  const books = new Map<string, ProbedLast>();
  return {
    note(command, which, reason) {
      const book = books.get(command) ?? NEVER;
      const failures = reason === null ? 0 : (book[which]?.failures ?? 0) + 1;
      books.set(command, { ...book, [which]: { time: wallClock(), reason, failures } });
    },
    of: (command) => books.get(command) ?? NEVER,
    forget: (command) => void books.delete(command),
  };
}
