/** What a measure gets, and what it gives. */

import type { Peer } from './peers.ts';
import { median, percentile } from './statistics.ts';
import type { Tools } from './tools.ts';

/** One number of one peer. */
export interface Figure {
  readonly measure: string;
  /** What was measured, the head of its column: `foreground, after a long life`. */
  readonly what: string;
  readonly peer: string;
  readonly unit: string;
  /** The median; null: there is no number, and the note says why. */
  readonly value: number | null;
  readonly p99: number | null;
  readonly runs: number;
  readonly note: string | null;
}

export interface Context {
  readonly tools: Tools;
  readonly peers: readonly Peer[];
  readonly quick: boolean;
  readonly record: (figure: Figure) => void;
  /** Says what goes on, to whoever waits. */
  readonly say: (text: string) => void;
}

export interface Measure {
  readonly name: string;
  readonly title: string;
  /** How it is measured, in a sentence or two. */
  readonly how: string;
  /** The tables that its figures fill. */
  readonly tables: readonly { readonly measure: string; readonly title: string }[];
  readonly run: (context: Context) => Promise<void>;
}

/** Fewer runs tell no 99th percentile. */
const RUNS_FOR_P99 = 50;

export function figure(
  measure: string,
  what: string,
  peer: Peer | string,
  unit: string,
  values: readonly number[],
  note: string | null = null,
): Figure {
  return {
    measure,
    what,
    peer: typeof peer === 'string' ? peer : peer.name,
    unit,
    value: values.length > 0 ? median(values) : null,
    p99: values.length >= RUNS_FOR_P99 ? percentile(values, 0.99) : null,
    runs: values.length,
    note,
  };
}
