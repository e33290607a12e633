/** Who sent what to whom, as a sequence diagram: where its columns and arrows are. Pure. */

export interface Step {
  readonly key: number;
  /** When, in words. */
  readonly time: string;
  /** Who takes part, by name. */
  readonly from: string;
  readonly to: string;
  readonly label: string;
  /** The state it led to; '': it stays where it is. */
  readonly note: string;
}

export interface Column {
  readonly name: string;
  readonly x: number;
}

export interface Arrow {
  readonly key: number;
  /** '': as of the one above. */
  readonly time: string;
  readonly y: number;
  readonly from: number;
  readonly to: number;
  readonly isSelf: boolean;
  readonly label: string;
  readonly note: string;
}

export interface Sequence {
  readonly columns: readonly Column[];
  readonly arrows: readonly Arrow[];
  readonly width: number;
  readonly height: number;
}

const APART = 190;
/** Of the first column: times stand left of it. */
const LEFT = 180;
const RIGHT = 100;
const TOP = 20;
const ROW = 34;

/** @param order smaller is further to the left; columns are of those who take part alone */
export function layOut(steps: readonly Step[], order: (name: string) => number): Sequence {
  const names = new Set<string>();
  for (const { from, to } of steps) names.add(from).add(to);
  const columns = [...names]
    .sort((a, b) => order(a) - order(b))
    .map((name, index) => ({ name, x: LEFT + index * APART }));
  const xOf = new Map(columns.map(({ name, x }) => [name, x]));
  const arrows = steps.map(({ key, time, from, to, label, note }, index) => ({
    key,
    time: time === steps[index - 1]?.time ? '' : time,
    y: TOP + 24 + index * ROW,
    from: xOf.get(from)!,
    to: xOf.get(to)!,
    isSelf: from === to,
    label,
    note,
  }));
  return {
    columns,
    arrows,
    width: LEFT + RIGHT + Math.max(0, columns.length - 1) * APART,
    height: TOP + 24 + steps.length * ROW,
  };
}
