/** The drawings that the build has made of upkeep's own machines. */
import type { Machine } from './machine.ts';

export interface Drawing {
  readonly width: number;
  readonly height: number;
  /** Ids of all states: a machine that has others is another one. */
  readonly states: readonly string[];
  readonly boxes: readonly {
    readonly id: string;
    readonly x: number;
    readonly y: number;
    readonly width: number;
    readonly height: number;
    readonly key: string;
    readonly description: readonly string[];
    /** Orders that lead elsewhere: they would be arrows from everywhere to one place. */
    readonly notes: readonly string[];
  }[];
  /** Where a machine or a state begins. */
  readonly dots: readonly (readonly [number, number])[];
  readonly arrows: readonly {
    readonly from: string;
    readonly to: string;
    /** Of an SVG path. */
    readonly d: string;
    readonly label: {
      readonly x: number;
      readonly y: number;
      readonly width: number;
      readonly height: number;
      readonly lines: readonly string[];
    } | null;
  }[];
}

export type Drawings = Readonly<Record<string, Drawing>>;

/** @returns none, where there are none: states are shown as cards then */
export async function loadDrawings(): Promise<Drawings> {
  try {
    const answer = await fetch('charts.json');
    return answer.ok ? ((await answer.json()) as Drawings) : {};
  } catch {
    return {};
  }
}

/** @returns null: there is none of that machine */
export function drawingOf(drawings: Drawings, { id, states }: Machine): Drawing | null {
  const drawing = Object.hasOwn(drawings, id) ? drawings[id]! : null;
  if (drawing === null) return null;
  // Somebody else's machine may have the same name.
  const isSame = drawing.states.length === states.size && drawing.states.every((state) => states.has(state));
  return isSame ? drawing : null;
}
