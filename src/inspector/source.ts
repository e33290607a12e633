/** What is shown, and to whom: a running upkeep or a recording, and viewers by WebSocket. */
import type { Wanted } from './protocol.ts';

/** Somebody who looks. Nothing here throws. */
export interface Viewer {
  /** It is upkeep's own page: it is told what begins with `upkeep.` as well, and may want something. */
  readonly own: boolean;
  /** Orders are taken from it. */
  readonly orders: boolean;
  readonly send: (text: string) => void;
  /** Bytes that it has not taken yet. */
  readonly waiting: () => number;
  /** Until it is released, what is sent is held back, to go out at once. */
  readonly hold: () => void;
  readonly release: () => void;
}

export interface Shown {
  readonly want: (wanted: Wanted) => void;
  /** It has taken all that was waiting. */
  readonly taken: () => void;
  /** It is gone. */
  readonly end: () => void;
}

export interface Source {
  /** From now on it is told everything there is, then what happens. @param onTold it has been told everything there is */
  readonly show: (viewer: Viewer, onTold?: () => void) => Shown;
}

/** Bytes that may wait for a viewer while it is told what there is; it has to take them before it is told more. */
export const MUCH_WAITING = 256 * 1024;
/** Bytes that may wait for a viewer at all; what happens meanwhile is missed. */
export const MOST_WAITING = 1024 * 1024;
