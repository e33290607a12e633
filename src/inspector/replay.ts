/** Runs the machines again from a recording. */
import type { Actor, InspectionEvent } from 'xstate';
import type { supervisorMachine } from '../../machines/supervisor.ts';
import type { Inside } from '../control/inside.ts';
import type { Recording } from './recording.ts';

export interface Replay {
  /** Time of day, ms since 1970, that is shown. */
  readonly time: () => number;
  /** The root as it was at that time: live, with all its actors below it, and nothing happens by itself. */
  readonly root: Actor<typeof supervisorMachine>;
  /** What a running upkeep's inspector would be given: states, journal (entries with the times of day of the recording),
   * crashes. Orders to it do nothing. */
  readonly inside: Inside;
  /** The first line from which on the machines did something else than what was recorded, with its number; null: none so far. */
  readonly differs: () => string | null;
  /** Goes on to that time of day, in the same part of the recording; not backwards. */
  readonly advance: (until: number) => void;
}

export interface ReplayOptions {
  /** Time of day, ms since 1970; default: the end. The part of the recording that this time is in is what is replayed. */
  readonly until?: number;
  /** As XState's `inspect`, from the first actor on. */
  readonly inspect?: (event: InspectionEvent) => void;
}

export declare function replay(recording: Recording, options?: ReplayOptions): Replay;
