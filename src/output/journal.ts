/** What has happened, kept in memory for whoever asks: the last events, each with a number that has no gap. */
import type { Told } from '../../machines/events.ts';

/** A command has changed its state, because of an event that its machine was sent. */
export interface Transition {
  readonly type: 'command.transition';
  readonly at: number;
  readonly command: string;
  /** As in `running.ready`; null: it has just begun. */
  readonly from: string | null;
  readonly to: string;
  readonly on: string;
}

export type Happening = Told | Transition;

export interface Entry {
  /** 1, 2, 3 … since upkeep began. */
  readonly number: number;
  /** Time of day, ms since 1970. */
  readonly time: number;
  readonly what: Happening;
}

export interface Journal {
  readonly note: (what: Happening) => void;
  /** The last number given. */
  readonly last: () => number;
  /**
   * What came behind that number, at most so many. `gone`: how many of them are kept no more.
   */
  readonly since: (
    id: number,
    most?: number,
  ) => { readonly entries: readonly Entry[]; readonly gone: number };
  /** The last transitions of one command, oldest first. */
  readonly transitionsOf: (command: string) => readonly Entry[];
  /** Calls `wake` whenever something is noted. @returns ends that */
  readonly follow: (wake: () => void) => () => void;
}

/** Entries that are kept. */
const KEPT = 1_024;
/** Transitions that are kept of each command. */
const KEPT_OF_EACH = 16;

export function createJournal({ wallClock = Date.now }: { readonly wallClock?: () => number } = {}): Journal {
  const ring: Entry[] = [];
  const transitions = new Map<string, Entry[]>();
  const followers = new Set<() => void>();
  let last = 0;

  return {
    note(what) {
      const entry: Entry = { number: ++last, time: wallClock(), what };
      ring[(last - 1) % KEPT] = entry;
      if (what.type === 'command.transition') {
        const own = transitions.get(what.command) ?? [];
        if (own.length === KEPT_OF_EACH) own.shift();
        own.push(entry);
        transitions.set(what.command, own);
      }
      for (const wake of followers) wake();
    },
    last: () => last,
    since(number, most = KEPT) {
      const first = Math.max(1, last - KEPT + 1);
      const from = Math.max(number + 1, first);
      const entries: Entry[] = [];
      for (let next = from; next <= last && entries.length < most; next++) {
        entries.push(ring[(next - 1) % KEPT]!);
      }
      return { entries, gone: Math.max(0, Math.min(from, last + 1) - number - 1) };
    },
    transitionsOf: (command) => transitions.get(command) ?? [],
    follow(wake) {
      followers.add(wake);
      return () => followers.delete(wake);
    },
  };
}
