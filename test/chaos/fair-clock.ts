/** The observer's clock: see invariants.ts. */
import { fairStep, type Seen } from './invariants.ts';
import { shareOfCpu, waitedForCpu } from './table.ts';
import type { Life } from './world.ts';

/** What of the time between two looks counts, ms. */
const MOST_STEP = 200;

export class FairClock {
  /** Fair ms since it was made. */
  now = 0;
  #lookedAt = performance.now();
  #waited = 0;

  /** Another upkeep is watched from now on. */
  follow(life: Life): void {
    this.#waited = waitedForCpu(life.host);
  }

  /** @param processes what was seen just now */
  tick(life: Life, processes: readonly Seen[], upkeep: number | null): void {
    const now = performance.now();
    const self = processes.find(({ pid }) => pid === upkeep);
    const waited = waitedForCpu(life.host);
    // While it starts a process it waits for that one's exec, and so for the machine.
    const launching = processes.some(({ ppid, comm }) => ppid === upkeep && comm === self?.comm);
    this.now += fairStep(
      now - this.#lookedAt,
      Math.max(0, waited - this.#waited),
      self?.state === 'T' || launching,
      MOST_STEP,
      shareOfCpu(),
    );
    this.#waited = waited;
    this.#lookedAt = now;
  }
}
