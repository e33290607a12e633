/**
 * What operators have ordered, and what must be true because of it. Pure, as invariants.ts is. Upkeep tells of an order when it takes it
 * (`operator.ordered`): so its events say which order came last.
 */
import { type Invariant, isAlive, type Look, type Seen, type Told, type Violation } from './invariants.ts';

export interface WishBounds {
  /** ms that the stop of one command may take. */
  readonly budget: number;
  /** Fair ms that anything may take that should happen at once. */
  readonly atOnce: number;
  /** Fair ms that what was just being born may live though its command has been stopped. */
  readonly late: number;
}

export type WishVerb = 'start' | 'stop' | 'restart';

/** Where a command is, as upkeep's events tell. */
export type Stage =
  | 'down'
  | 'starting'
  | 'running'
  | 'backoff'
  | 'waiting'
  | 'stopping'
  | 'stopped'
  | 'failed'
  | 'completed';

/** What the client of an order has been told at its end. */
export interface Answered {
  readonly verb: WishVerb;
  /** When it asked, and when it knew, by the clock on the wall, ms. */
  readonly asked: number;
  readonly known: number;
  /** The exit code. */
  readonly code: number;
  /** What it printed: of each command a line. */
  readonly lines: readonly string[];
}

/** Upkeep decides at once, but tells of what it starts when that has begun. ms of its own clock. */
const SLACK = 100;
/** What an answer and an event may be apart, ms. */
const APART = 50;
/** Of each command, so many changes are remembered. */
const REMEMBERED = 200;
/** Clearing what is left takes so long before a start, ms. */
const CLEARING = 250 + 2_000;

/** An order for several commands, of which some may need others. */
interface Order {
  readonly verb: WishVerb;
  /** Whom no later order was for. */
  readonly names: Set<string>;
  /** Who has been stopped by it. */
  readonly rested: Set<string>;
}

interface Book {
  order: Order | null;
  /** Until when, fair ms, the order has to be carried out; null: it has been, or there is none. */
  due: number | null;
  orderedAt: number;
  /** When it was stopped by the order that wishes it down, by upkeep's clock, ms; null: it was not yet, or is wished up. */
  restedAt: number | null;
  /** What that stop could not end. */
  left: number;
  stage: Stage;
  /** Since when, by the clock on the wall. */
  readonly changes: { readonly time: number; readonly stage: Stage }[];
  readonly orders: { readonly time: number; readonly verb: WishVerb }[];
}

export class Wishes {
  readonly checks = new Map<Invariant, number>();
  readonly #books = new Map<string, Book>();
  readonly #bounds: WishBounds;
  readonly #before: (name: string) => readonly string[];
  readonly #tags = new Map<string, string>();
  /** Who is there though its command rests, and since when, fair ms. */
  readonly #late = new Map<string, number>();
  #pending: Answered[] = [];
  #fair = 0;
  #stopping = false;

  /** @param before who has to be started before a command, and stopped after it */
  constructor(names: readonly string[], bounds: WishBounds, before: (name: string) => readonly string[]) {
    this.#bounds = bounds;
    this.#before = before;
    for (const name of names) this.#books.set(name, newBook());
  }

  names(): string[] {
    return [...this.#books.keys()];
  }

  stageOf(name: string): Stage {
    return this.#books.get(name)?.stage ?? 'down';
  }

  isDown(name: string): boolean {
    return this.#books.get(name)?.order?.verb === 'stop';
  }

  /** An order is still to stop it: it has a reason. */
  isToStop(name: string): boolean {
    const order = this.#books.get(name)?.order ?? null;
    return order !== null && order.verb !== 'start' && (order.verb === 'stop' || !order.rested.has(name));
  }

  /** It was in one of these stages at some time from `from` to `to`, by the clock on the wall, ms. */
  was(name: string, stages: readonly Stage[], from: number, to: number): boolean {
    return wasIn(this.#books.get(name)?.changes ?? [], stages, from, to);
  }

  /** Its group has failed, by the clock on the wall, ms. The event does not say whose group that is. */
  gaveUp(name: string, time: number): void {
    const book = this.#books.get(name);
    if (book !== undefined) enter(book, 'failed', time);
  }

  /** Upkeep has ended and another one begins, which knows of no order. */
  restarted(): void {
    for (const name of this.#books.keys()) this.#books.set(name, newBook());
    this.#late.clear();
    this.#pending = [];
    this.#stopping = false;
  }

  #check(invariant: Invariant): void {
    this.checks.set(invariant, (this.checks.get(invariant) ?? 0) + 1);
  }

  /** Takes in an event of upkeep's. */
  told(event: Told): Violation[] {
    const time = Date.parse(event.time);
    const found = Number.isNaN(time) ? [] : this.#settle(time);
    switch (event.event) {
      case 'supervisor.stopping':
        this.#stopping = true;
        return found;
      case 'operator.ordered':
        if (isWish(event.order)) this.#ordered(event.order, event.commands, time);
        return found;
      case 'policy.reloaded':
        for (const name of event.stopped as string[]) this.#forget(name);
        for (const name of event.started as string[]) this.#books.set(name, newBook());
        return found;
      default: {
        const book = this.#books.get(event.command);
        if (book !== undefined) found.push(...this.#toldOf(event.command, book, event, time));
        return found;
      }
    }
  }

  #forget(name: string): void {
    this.#books.get(name)?.order?.names.delete(name);
    this.#books.delete(name);
  }

  #ordered(verb: WishVerb, commands: readonly string[], time: number): void {
    const names = commands.filter((name) => this.#books.has(name));
    const order: Order = { verb, names: new Set(names), rested: new Set() };
    for (const name of names) {
      const book = this.#books.get(name)!;
      book.order?.names.delete(name);
      book.order = order;
      book.restedAt = null;
      book.orderedAt = this.#fair;
      keep(book.orders, { time, verb });
      const { budget, atOnce } = this.#bounds;
      const turns = verb === 'stop' ? 1 + this.#needing(name, order).length : this.#turns(order);
      const clearing = verb === 'stop' ? 0 : CLEARING;
      book.due = verb === 'start' ? null : this.#fair + turns * (budget + atOnce) + clearing;
    }
  }

  /** How many stops, one after the other, a restart may have to wait for. */
  #turns(order: Order): number {
    const ordered = [...order.names].filter((name) => this.#needing(name, order).length > 0);
    return 1 + ordered.length;
  }

  /** Who of an order has to be stopped before this one. */
  #needing(name: string, order: Order): string[] {
    return [...order.names].filter((other) => other !== name && this.#allBefore(other).has(name));
  }

  #allBefore(name: string): ReadonlySet<string> {
    const all = new Set<string>();
    const open = [name];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      for (const earlier of this.#before(at)) {
        if (all.has(earlier)) continue;
        all.add(earlier);
        open.push(earlier);
      }
    }
    return all;
  }

  #toldOf(name: string, book: Book, event: Told, time: number): Violation[] {
    const stage = stageAfter(event);
    if (stage !== null) enter(book, stage, time);
    const { order } = book;
    const found: Violation[] = [];
    switch (event.event) {
      case 'command.launched':
      case 'command.running':
        if (order?.verb === 'stop' && book.restedAt !== null && !this.#stopping) {
          if (event.at - book.restedAt > SLACK)
            found.push({
              invariant: 'a wish holds',
              what: `${name} was ${event.event === 'command.launched' ? 'launched' : 'found running'} ${Math.round(event.at - book.restedAt)} ms after it had been stopped, and the last order for it was to stop`,
            });
        }
        if (order?.verb === 'restart') book.due = null;
        break;
      case 'command.waiting':
      case 'command.failed':
      case 'command.completed':
      case 'command.scheduled':
        if (order?.verb === 'restart') book.due = null;
        break;
      case 'command.stopping':
        // Somebody has turned up who was just being born when it was stopped.
        if (book.restedAt === null || this.#stopping) break;
        book.restedAt = null;
        book.due = this.#fair + this.#bounds.budget + this.#bounds.atOnce;
        break;
      case 'command.stopped': {
        // It may have been its group, as long as those are there that are to be stopped before.
        if (order === null || order.verb === 'start') break;
        if (!this.#needing(name, order).every((other) => order.rested.has(other))) break;
        order.rested.add(name);
        if (order.verb !== 'stop') break;
        book.restedAt = event.at;
        book.left = event.left;
        book.due = null;
        break;
      }
    }
    return found;
  }

  /** Takes in a look at the process table. */
  look({ fair, processes, upkeep, impaired, logged }: Look): Violation[] {
    const found: Violation[] = [];
    const step = fair - this.#fair;
    this.#fair = fair;
    const cannot = impaired || !logged || upkeep === null;
    const resting = new Set<string>();
    for (const [name, book] of this.#books) {
      if (book.due !== null && cannot) book.due += step;
      if (this.#stopping || cannot) continue;
      if (book.restedAt !== null) this.#check('a wish holds');
      if (book.restedAt !== null && book.left === 0) resting.add(name);
      if (book.due === null) continue;
      this.#check('an order is carried out');
      if (fair <= book.due) continue;
      const verb = book.order?.verb ?? 'stop';
      found.push({
        invariant: 'an order is carried out',
        what: `${name} was told to ${verb} ${Math.round(fair - book.orderedAt)} fair ms ago, and is ${book.stage}`,
      });
      book.due = null;
    }
    found.push(...this.#lateOnes(processes, resting));
    return found;
  }

  #lateOnes(processes: readonly Seen[], resting: ReadonlySet<string>): Violation[] {
    const found: Violation[] = [];
    const there = new Set<string>();
    for (const process of processes) {
      const { tag, command, role } = process;
      const helps = role === 'probe' || role === 'stopper';
      if (tag !== null && command !== null && !helps) this.#tags.set(tag, command);
      const name = tag === null ? null : (this.#tags.get(tag) ?? null);
      if (name === null || helps || !isAlive(process) || !resting.has(name)) continue;
      const identity = `${process.pid}@${process.startTicks}`;
      there.add(identity);
      const since = this.#late.get(identity) ?? this.#fair;
      this.#late.set(identity, since);
      if (this.#fair - since <= this.#bounds.late) continue;
      found.push({
        invariant: 'down means down',
        what: `${name} was stopped by an operator, and ${process.pid} (${process.comm}, ${process.state}) is there for ${Math.round(this.#fair - since)} fair ms`,
      });
      this.#late.set(identity, Number.POSITIVE_INFINITY);
    }
    for (let count = 0; count < resting.size; count++) this.#check('down means down');
    for (const identity of this.#late.keys()) if (!there.has(identity)) this.#late.delete(identity);
    return found;
  }

  /** A client knows what its order has come to. It is judged when all that was told until then has been taken in. */
  answered(answer: Answered): void {
    this.#pending.push(answer);
  }

  #settle(until: number): Violation[] {
    const due = this.#pending.filter(({ known }) => known + APART < until);
    if (due.length === 0) return [];
    this.#pending = this.#pending.filter((answer) => !due.includes(answer));
    return due.flatMap((answer) => this.#judge(answer));
  }

  #judge({ verb, asked, known, code, lines }: Answered): Violation[] {
    const found: Violation[] = [];
    const from = asked - APART;
    const to = known + APART;
    const wrong = (line: string, why: string): void => {
      found.push({ invariant: 'an answer is true', what: `upkeep ${verb} said "${line}", but ${why}` });
    };
    if (code === 64 || code === 70)
      wrong(lines.join(' '), `that is no end of an order: it exited with ${code}`);
    for (const line of lines) {
      const [, name = '', text = ''] = /^(?:upkeep: cannot \w+ )?(\w+): (.*)$/.exec(line) ?? [];
      const book = this.#books.get(name);
      if (book === undefined) continue;
      this.#check('an answer is true');
      const was = (...stages: Stage[]): boolean => this.was(name, stages, from, to);
      const ordered = (...verbs: WishVerb[]): boolean =>
        book.orders.some((order) => verbs.includes(order.verb) && order.time >= from && order.time <= to);
      if (verb === 'stop' && text === 'stopped' && !was('stopped')) wrong(line, 'it was not, all that time');
      if (text.startsWith('running: ') && !was('running')) wrong(line, 'it was not, all that time');
      if (verb === 'restart' && text.startsWith('running: ') && !was('starting'))
        wrong(line, 'it was not started anew');
      if (text === 'somebody has started it meanwhile' && !ordered('start', 'restart'))
        wrong(line, 'nobody has');
      if (text === 'somebody has stopped it meanwhile' && !ordered('stop')) wrong(line, 'nobody has');
    }
    return found;
  }
}

export const isWish = (order: string): order is WishVerb =>
  order === 'start' || order === 'stop' || order === 'restart';

/** @returns null: it says nothing of that */
function stageAfter(event: Told): Stage | null {
  switch (event.event) {
    case 'command.launched':
      return 'starting';
    case 'command.running':
      return 'running';
    case 'command.died':
    case 'command.failedStart':
      return event.wait > 0 ? 'backoff' : 'down';
    case 'command.waiting':
      return 'waiting';
    case 'command.stopping':
      return 'stopping';
    case 'command.stopped':
      return 'stopped';
    case 'command.failed':
      return 'failed';
    case 'command.completed':
      return 'completed';
    default:
      return null;
  }
}

function enter(book: Book, stage: Stage, time: number): void {
  book.stage = stage;
  keep(book.changes, { time, stage });
}

/** It was in one of these stages at some time from `from` to `to`. */
function wasIn(
  changes: readonly { readonly time: number; readonly stage: Stage }[],
  stages: readonly Stage[],
  from: number,
  to: number,
): boolean {
  return changes.some(({ time, stage }, index) => {
    const end = changes[index + 1]?.time ?? Number.POSITIVE_INFINITY;
    return stages.includes(stage) && time <= to && end >= from;
  });
}

function keep<T>(list: T[], one: T): void {
  list.push(one);
  if (list.length > REMEMBERED) list.shift();
}

const newBook = (): Book => ({
  order: null,
  due: null,
  orderedAt: 0,
  restedAt: null,
  left: 0,
  stage: 'down',
  changes: [],
  orders: [],
});
