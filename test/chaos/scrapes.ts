/** What must be true of what orchestrators are answered: /metrics, /livez and /readyz. Pure, as invariants.ts is. */
import type { Invariant, Told, Violation } from './invariants.ts';
import type { Wishes } from './wishes.ts';

/** An answer, as it came over the wire; null: none came, or not all of it. */
export interface Scrape {
  readonly path: string;
  readonly text: string | null;
  /** When it was asked for, and when it was there, by the clock on the wall, ms. */
  readonly asked: number;
  readonly known: number;
}

export interface ScrapeOptions {
  /** Nothing but a death, a failed start and an order has anybody started again: the count is to be exact. */
  readonly exact: boolean;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** What an answer and an event may be apart, ms. */
const APART = 50;
/** How old what is answered may be, ms: see src/http.ts. */
const METRICS_FRESH = 1_000;
const HEALTH_FRESH = 100;
/** So many in a row may go unanswered: a client that comes when upkeep is stopped for long is hung up on. */
const UNANSWERED = 3;

export class Scrapes {
  readonly checks = new Map<Invariant, number>();
  readonly #options: ScrapeOptions;
  readonly #wishes: Pick<Wishes, 'names' | 'isDown' | 'was'>;
  /** Counters, by series, as they were before. */
  #before = new Map<string, number>();
  #launches = new Map<string, number[]>();
  /** Who ran already when upkeep began: its first launch is one more. */
  #found = new Set<string>();
  #pending: (Scrape & Answer)[] = [];
  #unanswered = 0;
  #since = 0;
  #startedAt = Number.POSITIVE_INFINITY;
  #endsAt = Number.POSITIVE_INFINITY;

  constructor(wishes: Pick<Wishes, 'names' | 'isDown' | 'was'>, options: ScrapeOptions) {
    this.#wishes = wishes;
    this.#options = options;
  }

  #check(invariant: Invariant): void {
    this.checks.set(invariant, (this.checks.get(invariant) ?? 0) + 1);
  }

  /** Another upkeep begins, by the clock on the wall, ms: it counts anew. */
  restarted(time: number): void {
    this.#before = new Map();
    this.#launches = new Map();
    this.#found = new Set();
    this.#pending = [];
    this.#unanswered = 0;
    this.#since = time;
    this.#startedAt = Number.POSITIVE_INFINITY;
    this.#endsAt = Number.POSITIVE_INFINITY;
  }

  /** Takes in an event of upkeep's, after `wishes` has. */
  told(event: Told): Violation[] {
    const time = Date.parse(event.time);
    const due = this.#pending.filter(({ known }) => known + APART < time);
    this.#pending = this.#pending.filter((scrape) => !due.includes(scrape));
    const found = due.flatMap((scrape) => this.#judge(scrape));
    const { command } = event;
    switch (event.event) {
      case 'upkeep.started':
        this.#startedAt = time;
        break;
      case 'supervisor.stopping':
        this.#endsAt = time;
        break;
      case 'command.launched':
        this.#launches.set(command, [...(this.#launches.get(command) ?? []), time]);
        break;
      case 'command.running':
        if (!this.#launches.has(command)) this.#found.add(command);
        break;
      case 'policy.reloaded':
        for (const name of event.stopped as string[]) {
          this.#launches.delete(name);
          this.#found.delete(name);
          for (const series of this.#before.keys())
            if (series.includes(`command="${name}"`)) this.#before.delete(series);
        }
        break;
    }
    return found;
  }

  /** @param excused upkeep may be unable to answer just now */
  scraped(scrape: Scrape, excused: boolean): Violation[] {
    if (scrape.asked < this.#since) return [];
    this.#check('scrapes are answered');
    const wrong = (what: string): Violation[] => [
      { invariant: 'scrapes are answered', what: `${scrape.path}: ${what}` },
    ];
    const answer = scrape.text === null ? null : parse(scrape.text);
    if (answer === null) {
      const isUp = scrape.asked > this.#startedAt && this.#endsAt === Number.POSITIVE_INFINITY;
      this.#unanswered = excused || !isUp ? 0 : this.#unanswered + 1;
      if (this.#unanswered < UNANSWERED) return [];
      this.#unanswered = 0;
      return wrong(
        `${UNANSWERED} in a row have come to nothing, the last one to ${JSON.stringify(scrape.text?.slice(0, 200) ?? null)}`,
      );
    }
    this.#unanswered = 0;
    if (!answer.isWhole) return wrong(`it says how long it is, and is not: ${JSON.stringify(answer)}`);
    this.#pending.push({ ...scrape, ...answer });
    if (scrape.path !== '/metrics') {
      const isRight = answer.status === 200 || answer.status === 503 ? /^[^\n]+\n$/.test(answer.body) : false;
      return isRight ? [] : wrong(`it was answered with ${answer.status} ${JSON.stringify(answer.body)}`);
    }
    // As long as it does not know anybody there is nothing to tell.
    if (answer.status === 500 && answer.body.includes('just starting')) return [];
    if (answer.status !== 200) return wrong(`it was answered with ${answer.status}: ${answer.body}`);
    const { series, counters, errors } = readMetrics(answer.body);
    if (errors.length > 0) return wrong(errors.slice(0, 3).join('; '));
    const found: Violation[] = [];
    for (const name of counters) {
      const value = series.get(name)!;
      const before = this.#before.get(name);
      this.#check('scrapes fit what is told');
      if (before !== undefined && value < before)
        found.push({
          invariant: 'scrapes fit what is told',
          what: `${name} has fallen from ${before} to ${value}`,
        });
      this.#before.set(name, value);
    }
    return found;
  }

  #judge({ path, status, body, asked, known }: Scrape & Answer): Violation[] {
    if (path === '/metrics') return status === 200 ? this.#restarts(body, asked, known) : [];
    const wrong = (what: string): Violation[] => [
      {
        invariant: 'scrapes fit what is told',
        what: `${path} said "${body.trim()}" (${status}), but ${what}`,
      },
    ];
    const from = asked - HEALTH_FRESH - APART;
    const to = known + APART;
    this.#check('scrapes fit what is told');
    if (path === '/livez') {
      if (status === 200 || to >= this.#endsAt || asked <= this.#startedAt) return [];
      const hasFailed = this.#wishes.names().some((name) => this.#wishes.was(name, ['failed'], from, to));
      return hasFailed ? [] : wrong('it was not about to end, and nobody had failed for good');
    }
    if (status !== 200) return [];
    if (from > this.#endsAt) return wrong('everything was being stopped');
    const lacking = this.#wishes
      .names()
      .filter((name) => !this.#wishes.was(name, ['running', 'completed', 'stopped'], from, to));
    return lacking.length === 0 || !this.#options.exact
      ? []
      : wrong(`${lacking.join(', ')} did not run, all that time`);
  }

  /** The count of restarts is that of launches after the first. */
  #restarts(body: string, asked: number, known: number): Violation[] {
    const found: Violation[] = [];
    const counted = new Map<string, number>();
    for (const [name, value] of readMetrics(body).series) {
      const command = /^upkeep_command_restarts_total\{.*?command="([^"]*)"/.exec(name)?.[1];
      if (command !== undefined) counted.set(command, (counted.get(command) ?? 0) + value);
    }
    for (const command of this.#wishes.names()) {
      const launches = this.#launches.get(command) ?? [];
      const first = this.#found.has(command) ? 0 : 1;
      const until = (time: number): number =>
        Math.max(0, launches.filter((each) => each <= time).length - first);
      const value = counted.get(command) ?? 0;
      const least = this.#options.exact ? until(asked - METRICS_FRESH - APART) : 0;
      const most = until(known + APART);
      this.#check('scrapes fit what is told');
      if (value >= least && value <= most) continue;
      found.push({
        invariant: 'scrapes fit what is told',
        what: `upkeep_command_restarts_total of ${command} is ${value}, and by its launches ${least === most ? most : `${least} to ${most}`}`,
      });
    }
    return found;
  }
}

/** @returns null: it is no answer of HTTP */
function parse(text: string): (Answer & { readonly isWhole: boolean }) | null {
  const at = text.indexOf('\r\n\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1]);
  if (at < 0 || Number.isNaN(status)) return null;
  const body = text.slice(at + 4);
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, at))?.[1]);
  return { status, body, isWhole: length === body.length };
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)$/;

/** Prometheus' text format. `counters`: names of series that must not fall. */
export function readMetrics(body: string): {
  readonly series: ReadonlyMap<string, number>;
  readonly counters: readonly string[];
  readonly errors: readonly string[];
} {
  const types = new Map<string, string>();
  const series = new Map<string, number>();
  const counters: string[] = [];
  const errors: string[] = [];
  if (!body.endsWith('\n')) errors.push('it does not end with a newline');
  for (const line of body.split('\n')) {
    if (line === '' || line.startsWith('# HELP ')) continue;
    const [, name, type] = /^# TYPE (\S+) (counter|gauge|histogram|summary)$/.exec(line) ?? [];
    if (name !== undefined) {
      if (types.has(name)) errors.push(`${name} is there twice`);
      types.set(name, type!);
      continue;
    }
    const [, metric = '', labels = '', text = ''] = SAMPLE.exec(line) ?? [];
    const value = text === '+Inf' ? Number.POSITIVE_INFINITY : Number(text);
    const family = types.get(metric) ?? types.get(metric.replace(/_(bucket|sum|count)$/, ''));
    if (metric === '' || Number.isNaN(value)) errors.push(`cannot read ${JSON.stringify(line)}`);
    else if (family === undefined) errors.push(`${metric} has no type`);
    const key = `${metric}{${labels}}`;
    if (series.has(key)) errors.push(`${key} is there twice`);
    series.set(key, value);
    if (family === 'counter' || family === 'histogram') counters.push(key);
  }
  return { series, counters, errors };
}
