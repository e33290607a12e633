/** Who asks upkeep while faults are made: operators, who scrapes, and who reads events; and the rules for what comes of it. */
import { EventReader, HTTP_PORT, Scraper } from './clients.ts';
import type { Invariant, Look, Told, Violation } from './invariants.ts';
import { OPERATOR_KINDS, type OperatorKind, Operators } from './operators.ts';
import { createRandom, type Random, seedOf } from './random.ts';
import { Scrapes } from './scrapes.ts';
import { Wishes } from './wishes.ts';
import type { World } from './world.ts';

/** Kinds that are no faults: how often they were made is counted apart. */
export const ASKING_KINDS: readonly { readonly name: string; readonly about: string }[] = [
  ...OPERATOR_KINDS,
  { name: 'scrape', about: 'a client asks for /metrics, /livez and /readyz all the time (--http)' },
  {
    name: 'events',
    about: 'a client follows events, breaks off, and goes on behind the last number it knows',
  },
];

export interface AskersOptions {
  readonly names: readonly string[];
  /** Who has to be started before a command, and stopped after it. */
  readonly before: (name: string) => readonly string[];
  /** ms between two looks of upkeep's. */
  readonly interval: number;
  readonly atOnce: number;
  /** Orders a second; 0: no operator is there. */
  readonly rate: number;
  readonly http: boolean;
  /** What is asked for of `ASKING_KINDS`. */
  readonly kinds: readonly string[];
  /** Nobody is started again but after a death, a failed start or an order. */
  readonly exact: boolean;
  readonly seed: number;
  /** So many of a kind were made. */
  readonly count: (kind: string, made: number) => void;
}

/** ms that the stop of one command may take: the grace. */
const BUDGET = 9_000;
/** Fair ms, beside an interval, in which whoever was just being born when its command was stopped is ended. */
const LATE = 1_000;

export class Askers {
  readonly wishes: Wishes;
  readonly operators: Operators;
  readonly #options: AskersOptions;
  readonly #random: Random;
  readonly #scrapes: Scrapes;
  readonly #scraper: Scraper | null;
  readonly #reader: EventReader | null;
  readonly #kinds: readonly OperatorKind[];
  #next = performance.now();

  constructor(options: AskersOptions) {
    const { names, before, interval, atOnce, http, kinds, exact, seed } = options;
    this.#options = options;
    this.#random = createRandom(seedOf(seed, 500));
    this.wishes = new Wishes(names, { budget: BUDGET, atOnce, late: interval + LATE }, before);
    this.operators = new Operators(this.wishes);
    this.#scrapes = new Scrapes(this.wishes, { exact });
    this.#scraper =
      http && kinds.includes('scrape') ? new Scraper(this.#scrapes, createRandom(seedOf(seed, 501))) : null;
    this.#reader = kinds.includes('events') ? new EventReader(createRandom(seedOf(seed, 502))) : null;
    this.#kinds = OPERATOR_KINDS.filter(({ name }) => kinds.includes(name));
  }

  /** Options of `upkeep run`. */
  get args(): readonly string[] {
    return this.#scraper === null ? [] : [`--http=127.0.0.1:${HTTP_PORT}`];
  }

  /** How often each rule was checked. */
  get checks(): readonly ReadonlyMap<Invariant, number>[] {
    const read = this.#reader?.numbers.checks ?? 0;
    return [this.wishes.checks, this.#scrapes.checks, new Map([['events without a gap', read] as const])];
  }

  told(event: Told): Violation[] {
    return [...this.wishes.told(event), ...this.#scrapes.told(event)];
  }

  look(look: Look): Violation[] {
    return this.wishes.look(look);
  }

  /** Who reads and scrapes goes on. @param fair ms @param excused upkeep may be unable to answer */
  tick(world: World, fair: number, excused: boolean): Violation[] {
    return [
      ...(this.#scraper?.tick(world, fair, excused) ?? []),
      ...(this.#reader?.tick(world.socket) ?? []),
    ];
  }

  /** Orders that are due are given. @param groups their names */
  order(world: World, groups: readonly string[]): void {
    const { rate, count } = this.#options;
    const kinds = this.#kinds.filter(({ weight }) => weight > 0);
    if (rate === 0 || kinds.length === 0) return;
    this.#next = Math.max(this.#next, performance.now() - 500);
    while (this.#next <= performance.now()) {
      this.#next += (-Math.log(1 - this.#random.next()) * 1_000) / rate;
      const kind = this.#random.weighted(kinds.map((one) => [one, one.weight] as const));
      const orders = kind.orders({ random: this.#random, wishes: this.wishes, groups });
      const given = orders.filter((words) => this.operators.give(world.socket, words));
      count(kind.name, given.length);
    }
  }

  /** The end, if it comes this way. @returns the exit code, when it is known; null: it comes otherwise */
  shutdown(world: World): Promise<number> | null {
    if (!this.#kinds.some(({ name }) => name === 'order-shutdown') || this.#random.chance(0.5)) return null;
    this.#options.count('order-shutdown', 1);
    return this.operators.ask(world.socket, ['shutdown', ...(this.#random.chance(0.5) ? ['--no-wait'] : [])]);
  }

  /** Another upkeep begins, which knows of nothing. */
  restarted(): void {
    this.wishes.restarted();
    this.#scrapes.restarted(Date.now());
    this.#reader?.restarted();
  }

  /** No more of it. */
  close(): void {
    this.#reader?.close();
    this.#options.count('(scrapes)', this.#scraper?.made ?? 0);
    this.#options.count('(readers of events that went on behind a number)', this.#reader?.made ?? 0);
    this.#options.count(
      '(of their events, those that they were told are gone)',
      this.#reader?.numbers.gone ?? 0,
    );
  }
}
