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

/** From a death, or the beginning of a stop, to the process that runs after it. */
export interface Gap {
  readonly since: 'death' | 'stop';
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
  /** What is about all: upkeep's own. */
  readonly own: Lane = { name: 'upkeep', spans: [], marks: [], gaps: [] };
  /** Who is stopped in order to be started again. */
  readonly #restarting = new Set<string>();
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
        const { spans, gaps } = this.of(what.command);
        if (isRest(what.to) && openIn(gaps) !== null && !this.#restarting.has(what.command)) gaps.pop();
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
      noteOwn(this.own, time, what);
      this.#noteRestarts(what);
      const names = namesIn(what);
      for (const lane of [...names.map((name) => this.of(name)), ...(isOfAll(what) ? [this.own] : [])]) {
        if (lane !== this.own) noteGap(lane, time, what);
        if (kind === null) continue;
        lane.marks.push({ time, kind, bad: isBad(what), text: happeningText(what), number });
        trim(lane.marks);
      }
    }
  }

  /** A group, and an order for several, stop them all before the first is started again. */
  #noteRestarts(what: Happening): void {
    switch (what.type) {
      case 'operator.ordered':
        for (const name of what.commands) {
          if (/^restart/.test(what.order)) this.#restarting.add(name);
          else if (/^stop/.test(what.order)) this.#restarting.delete(name);
        }
        break;
      case 'group.restarting':
        for (const name of what.members) this.#restarting.add(name);
        break;
      case 'policy.reloaded':
        for (const name of what.restarted) this.#restarting.add(name);
        break;
      case 'supervisor.stopping':
        this.#restarting.clear();
        break;
      case 'command.running':
      case 'command.failed':
        this.#restarting.delete(what.command);
        break;
    }
  }
}

function trim(list: unknown[]): void {
  if (list.length > KEPT) list.splice(0, list.length - KEPT);
}

function namesIn(what: Happening): readonly string[] {
  switch (what.type) {
    case 'operator.ordered':
      return what.commands;
    case 'group.restarting':
      return what.members;
    case 'policy.reloaded':
      return [...what.started, ...what.stopped, ...what.restarted, ...what.adjusted];
    default:
      return 'command' in what && what.command !== null ? [what.command] : [];
  }
}

/** It is upkeep's own business, beside that of the commands it names. */
function isOfAll(what: Happening): boolean {
  return (
    !('command' in what && what.command !== null) &&
    (what.type !== 'operator.ordered' || what.commands.length === 0)
  );
}

/** upkeep's own states, as far as it tells of them. */
function noteOwn({ spans }: Lane, time: number, what: Happening): void {
  const move = (state: string): void => {
    const last = spans.at(-1);
    if (last !== undefined) last.to ??= time;
    spans.push({ from: time, to: null, state, on: what.type });
  };
  if (what.type === 'upkeep.started') move('supervising');
  else if (what.type === 'supervisor.stopping') {
    if (spans.length === 0)
      spans.push({ from: Number.NEGATIVE_INFINITY, to: time, state: 'supervising', on: '' });
    move('stopping');
  } else if (what.type === 'supervisor.stopped') move('stopped');
}

const openIn = (gaps: readonly Gap[]): Gap | null => {
  const last = gaps.at(-1);
  return last !== undefined && last.to === null ? last : null;
};

function noteGap({ gaps }: Lane, time: number, what: Happening): void {
  const open = openIn(gaps);
  switch (what.type) {
    case 'command.died':
      if (open === null && what.wait !== null) gaps.push({ since: 'death', from: time, to: null });
      trim(gaps);
      break;
    case 'command.stopping':
      if (open === null && !what.idle) gaps.push({ since: 'stop', from: time, to: null });
      trim(gaps);
      break;
    case 'command.running':
      if (open !== null) open.to = time;
      break;
    case 'command.failed':
      if (open !== null) gaps.pop();
      break;
  }
}

const AT_REST: ReadonlySet<string> = new Set(['stopped', 'failed', 'completed', 'scheduled']);

/** It is meant to be down, or will stay so. */
const isRest = (state: string): boolean => AT_REST.has(state.split('.', 1)[0]!);

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
    case 'group.restarting':
    case 'supervisor.stopping':
      return 'signal';
    case 'group.failed':
    case 'supervisor.stopped':
      return 'death';
    case 'policy.reloaded':
      return 'order';
    case 'upkeep.started':
      return 'launch';
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
    case 'group.failed':
      return true;
    case 'supervisor.stopped':
      return what.left > 0;
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
