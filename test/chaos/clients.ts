/** Clients that ask all the time: who scrapes, and who reads events. What they are told is judged elsewhere. */
import { type ClientRequest, request } from 'node:http';
import type { Violation } from './invariants.ts';
import { Numbers } from './numbers.ts';
import type { Random } from './random.ts';
import type { Scrape, Scrapes } from './scrapes.ts';
import type { World } from './world.ts';

/** Where upkeep listens in its namespace. */
export const HTTP_PORT = 8_753;

/** One path after the other, each when the one before was answered. */
export class Scraper {
  readonly #scrapes: Scrapes;
  readonly #random: Random;
  #send: ((line: string) => void) | null = null;
  #world: World | null = null;
  readonly #answers: (Scrape & { readonly fair: number })[] = [];
  #open: { readonly path: string; readonly asked: number; readonly fair: number } | null = null;
  #next = 0;
  made = 0;

  constructor(scrapes: Scrapes, random: Random) {
    this.#scrapes = scrapes;
    this.#random = random;
  }

  /** @param fair ms @param excused upkeep may be unable to answer, or was a moment ago */
  tick(world: World, fair: number, excused: boolean): Violation[] {
    if (this.#world !== world) {
      this.#world = world;
      this.#open = null;
      this.#send = world.converse('scraper.pl', [String(HTTP_PORT)], (line) => {
        if (this.#open === null || this.#world !== world) return;
        const text = line === '-' ? null : Buffer.from(line, 'hex').toString('latin1');
        this.#answers.push({ ...this.#open, text, known: Date.now() });
        this.#open = null;
      });
    }
    if (this.#open === null && performance.now() > this.#next) {
      const path = this.#random.weighted([
        ['/metrics', 2],
        ['/livez', 1],
        ['/readyz', 1],
      ] as const);
      this.#open = { path, asked: Date.now(), fair };
      this.#send!(path);
      this.#next = performance.now() + this.#random.between(50, 400);
      this.made++;
    }
    return this.#answers.splice(0).flatMap((answer) => {
      // Without a CPU it does not answer in the time that it gives its clients.
      const lasted = answer.known - answer.asked;
      const isStarved = lasted > 1_000 && fair - answer.fair < lasted / 2;
      return this.#scrapes.scraped(answer, excused || isStarved);
    });
  }
}

/** Follows events, breaks off, and goes on behind the last number it knows; now and then it does not read for a while. */
export class EventReader {
  readonly numbers = new Numbers();
  readonly #random: Random;
  readonly #found: Violation[] = [];
  #asked: ClientRequest | null = null;
  /** Which upkeep it is that it asks. */
  #life = 0;
  #next = 0;
  /** How often it has gone on. */
  made = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  restarted(): void {
    this.#life++;
    this.numbers.restarted();
    this.#asked?.destroy();
    this.#asked = null;
  }

  tick(socketPath: string): Violation[] {
    if (performance.now() > this.#next) {
      this.#next = performance.now() + this.#random.between(200, 4_000);
      if (this.#asked === null) this.#follow(socketPath);
      else this.close();
    }
    return this.#found.splice(0);
  }

  close(): void {
    this.#asked?.destroy();
    this.#asked = null;
  }

  #follow(socketPath: string): void {
    const life = this.#life;
    const path = `/v1/events?since=${this.numbers.last}&follow`;
    let rest = '';
    const asked = request({ socketPath, path, agent: false }, (answer) => {
      const isOurs = (): boolean => this.#asked === asked && this.#life === life;
      answer.setEncoding('utf8');
      answer.on('error', () => {});
      answer.on('data', (text: string) => {
        if (!isOurs()) return;
        rest += text;
        if (answer.statusCode !== 200) return;
        const lines = rest.split('\n');
        rest = lines.pop()!;
        for (const line of lines) this.#found.push(...this.numbers.read(line));
        if (!this.#random.chance(0.02)) return;
        answer.pause();
        setTimeout(() => answer.resume(), this.#random.between(100, 2_000)).unref();
      });
      answer.on('end', () => {
        if (!isOurs()) return;
        // Too many follow already, or upkeep is just starting: it is asked again.
        if (answer.statusCode === 409) this.#found.push(...this.numbers.refused(rest));
        this.#asked = null;
      });
    });
    asked.on('error', () => {
      if (this.#asked === asked) this.#asked = null;
    });
    asked.end();
    this.#asked = asked;
    this.made++;
  }
}
