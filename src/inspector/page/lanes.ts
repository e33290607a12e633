/** What the timeline shows of each command, made of the entries as they come. Pure. */
import type { Entry, Happening } from '../../output/journal.ts';
import { happeningText } from './words.ts';

/** All times are ms since 1970. */
export interface Span {
  readonly from: number;
  /** null: it lasts. */
  to: number | null;
  /** As in `running.ready`. */
  readonly state: string;
  readonly on: string;
}

export type MarkKind = 'death' | 'launch' | 'signal' | 'probe' | 'order' | 'note';

export interface Mark {
  readonly time: number;
  readonly kind: MarkKind;
  /** It is bad news. */
  readonly bad: boolean;
  readonly text: string;
  readonly number: number;
}

/** From a death to the process that runs after it. */
export interface Gap {
  readonly from: number;
  /** null: nobody runs yet. */
  to: number | null;
}

export interface Lane {
  readonly name: string;
  readonly spans: Span[];
  readonly marks: Mark[];
  readonly gaps: Gap[];
}

/** Of each lane, so many spans and marks are kept. */
const KEPT = 4_000;

export class Lanes {
  readonly #lanes = new Map<string, Lane>();
  #last = 0;
  /** Of the first and of the last entry; null: there is none. */
  from: number | null = null;
  to: number | null = null;

  get last(): number {
    return this.#last;
  }

  of(name: string): Lane {
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = { name, spans: [], marks: [], gaps: [] };
      this.#lanes.set(name, lane);
    }
    return lane;
  }

  /** Takes in what it has not taken in yet. */
  add(entries: readonly Entry[]): void {
    for (const { number, time, what } of entries) {
      if (number <= this.#last) continue;
      this.#last = number;
      this.from ??= time;
      this.to = time;
      if (what.type === 'command.transition') {
        const { spans } = this.of(what.command);
        const before = spans.at(-1);
        if (before !== undefined && before.to === null) before.to = time;
        else if (before === undefined && what.from !== null) {
          spans.push({ from: Number.NEGATIVE_INFINITY, to: time, state: what.from, on: '' });
        }
        spans.push({ from: time, to: null, state: what.to, on: what.on });
        trim(spans);
        continue;
      }
      const kind = kindOf(what);
      for (const name of namesIn(what)) {
        const lane = this.of(name);
        noteGap(lane, time, what);
        if (kind === null) continue;
        lane.marks.push({ time, kind, bad: isBad(what), text: happeningText(what), number });
        trim(lane.marks);
      }
    }
  }
}

function trim(list: unknown[]): void {
  if (list.length > KEPT) list.splice(0, list.length - KEPT);
}

function namesIn(what: Happening): readonly string[] {
  if (what.type === 'operator.ordered') return what.commands;
  return 'command' in what && what.command !== null ? [what.command] : [];
}

function noteGap(lane: Lane, time: number, what: Happening): void {
  const last = lane.gaps.at(-1);
  const open = last !== undefined && last.to === null ? last : null;
  switch (what.type) {
    case 'command.died':
      if (open === null && what.wait !== null) lane.gaps.push({ from: time, to: null });
      trim(lane.gaps);
      break;
    case 'command.running':
      if (open !== null) open.to = time;
      break;
    // It is meant to be down, or will stay so: that is no restart.
    case 'command.stopping':
    case 'command.failed':
      if (open !== null) lane.gaps.pop();
      break;
  }
}

function kindOf(what: Happening): MarkKind | null {
  switch (what.type) {
    case 'command.died':
    case 'command.failedStart':
    case 'command.failed':
      return 'death';
    case 'command.stopped':
    case 'command.completed':
      return 'death';
    case 'command.launched':
      return 'launch';
    case 'command.clearing':
    case 'command.stopping':
    case 'command.reloading':
      return 'signal';
    case 'command.ready':
    case 'command.healthy':
    case 'command.unhealthy':
      return 'probe';
    case 'operator.ordered':
      return what.order.startsWith('signal') ? 'signal' : 'order';
    case 'upkeep.notice':
    case 'command.overlapped':
    case 'command.ending':
      return 'note';
    default:
      return null;
  }
}

function isBad(what: Happening): boolean {
  switch (what.type) {
    case 'command.died':
    case 'command.failedStart':
    case 'command.failed':
    case 'command.unhealthy':
      return true;
    case 'command.completed':
      return !what.success;
    case 'command.stopped':
      return what.left > 0;
    case 'upkeep.notice':
      return what.level === 'warn';
    default:
      return false;
  }
}

/** The span in which that time lies; null: none is known. */
export function spanAt({ spans }: Lane, time: number): Span | null {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans[middle]!.from <= time) low = middle + 1;
    else high = middle;
  }
  const span = spans[low - 1];
  return span !== undefined && (span.to === null || time < span.to) ? span : null;
}

/** The first of a list, ordered by time, that is not before it. */
export function firstFrom(list: readonly { readonly time: number }[], time: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle]!.time < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
