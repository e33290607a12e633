/** What a reader of events must be given: each number once, in order, or how many are gone. Pure, as invariants.ts is. */
import type { Violation } from './invariants.ts';

export class Numbers {
  /** The last number that the reader knows of. */
  last = 0;
  checks = 0;
  /** Events that it was told are gone. */
  gone = 0;

  /** Another upkeep begins, and so do the numbers. */
  restarted(): void {
    this.last = 0;
  }

  /** Takes in a line of `GET /v1/events`. */
  read(line: string): Violation[] {
    const wrong = (what: string): Violation[] => [{ invariant: 'events without a gap', what }];
    let entry: { readonly number?: number; readonly gone?: number; readonly event?: string };
    try {
      entry = JSON.parse(line);
    } catch {
      return wrong(`after event ${this.last} came what is no JSON: ${line.slice(0, 200)}`);
    }
    this.checks++;
    if (typeof entry.gone === 'number') {
      this.last += entry.gone;
      this.gone += entry.gone;
      return [];
    }
    const expected = this.last + 1;
    this.last = entry.number ?? expected;
    if (entry.number === expected && typeof entry.event === 'string') return [];
    return wrong(`after event ${expected - 1} came ${line.slice(0, 200)}`);
  }

  /** The reader asked to go on behind the last one, and was refused. */
  refused(body: string): Violation[] {
    return [{ invariant: 'events without a gap', what: `cannot go on behind event ${this.last}: ${body}` }];
  }
}
