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
    number: number,
    most?: number,
  ) => { readonly entries: readonly Entry[]; readonly gone: number };
  /** The last transitions of one command, oldest first. */
  readonly transitionsOf: (command: string) => readonly Entry[];
  /** The last orders for one command, oldest first. */
  readonly ordersOf: (command: string) => readonly Entry[];
  /** The last start, stop or restart that was ordered for it, however many other orders came since; null: there was none. */
  readonly wishOf: (command: string) => Entry | null;
  /** When it was found unhealthy, and has not been found healthy since; null: it was not, in this run. */
  readonly unhealthyOf: (command: string) => Entry | null;
  /** When the group gave up last; null: it has not. */
  readonly failureOf: (group: string) => Entry | null;
  /** Runs of its schedule that were left out since its last one began, which goes on or has ended. */
  readonly leftOutOf: (command: string) => number;
  /** It is there no more. */
  readonly forget: (command: string) => void;
  /** Calls `wake` whenever something is noted. @returns ends that */
  readonly follow: (wake: () => void) => () => void;
}

/** Entries that are kept. */
const KEPT = 1_024;
/** Transitions, and orders, that are kept of each command. */
const KEPT_OF_EACH = 16;
const ORDERS_OF_EACH = 4;
/** Groups of which it is kept when they gave up: a reload may name others, again and again. */
const MOST_GROUPS = 1_024;
/** What is no more than a signal, say, is no wish. */
const WISHES: readonly string[] = ['start', 'stop', 'restart'];

export function createJournal({ wallClock = Date.now }: { readonly wallClock?: () => number } = {}): Journal {
  const ring: Entry[] = [];
  const transitions = new Map<string, Entry[]>();
  const orders = new Map<string, Entry[]>();
  const wishes = new Map<string, Entry>();
  const unhealthy = new Map<string, Entry>();
  const failures = new Map<string, Entry>();
  const leftOut = new Map<string, number>();
  const followers = new Set<() => void>();
  let last = 0;

  function keepOfEach(entry: Entry): void {
    const { what } = entry;
    switch (what.type) {
      case 'command.transition':
        keep(transitions, what.command, entry, KEPT_OF_EACH);
        return;
      case 'operator.ordered':
        for (const command of what.commands) {
          keep(orders, command, entry, ORDERS_OF_EACH);
          if (WISHES.includes(what.order)) wishes.set(command, entry);
        }
        return;
      case 'command.launched':
        leftOut.delete(what.command);
        unhealthy.delete(what.command);
        return;
      case 'command.overlapped':
        if (what.next === 'skip') leftOut.set(what.command, (leftOut.get(what.command) ?? 0) + 1);
        return;
      case 'command.unhealthy':
        unhealthy.set(what.command, entry);
        return;
      case 'command.healthy':
        unhealthy.delete(what.command);
        return;
      case 'group.failed': {
        // The newest is the last of them.
        failures.delete(what.group);
        failures.set(what.group, entry);
        const [oldest] = failures.keys();
        if (failures.size > MOST_GROUPS) failures.delete(oldest!);
      }
    }
  }

  return {
    note(what) {
      const entry: Entry = { number: ++last, time: wallClock(), what };
      ring[(last - 1) % KEPT] = entry;
      keepOfEach(entry);
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
    ordersOf: (command) => orders.get(command) ?? [],
    wishOf: (command) => wishes.get(command) ?? null,
    unhealthyOf: (command) => unhealthy.get(command) ?? null,
    failureOf: (group) => failures.get(group) ?? null,
    leftOutOf: (command) => leftOut.get(command) ?? 0,
    forget(command) {
      transitions.delete(command);
      orders.delete(command);
      wishes.delete(command);
      unhealthy.delete(command);
      leftOut.delete(command);
    },
    follow(wake) {
      followers.add(wake);
      return () => followers.delete(wake);
    },
  };
}

function keep(kept: Map<string, Entry[]>, command: string, entry: Entry, most: number): void {
  const own = kept.get(command) ?? [];
  if (own.length === most) own.shift();
  own.push(entry);
  kept.set(command, own);
}
