/** What upkeep wants to reach, and whether it does. Pure. */
import type { Figure } from './measure.ts';
import { readable } from './statistics.ts';

interface Goal {
  readonly goal: string;
  readonly measure: string;
  readonly what: string;
  /** upkeep's row, where it is another than `upkeep`. */
  readonly own?: string;
  readonly of?: 'p99';
  /** At most `factor` times the number of this peer; `*` is the best of all who are no floor, and not `but`. */
  readonly than?: {
    readonly peer: string;
    readonly factor: number;
    readonly what?: string;
    readonly but?: string;
  };
  /** At most this, in the figure's unit. */
  readonly most?: number;
}

const FLOORS = ['bare Node', 'C floor'];
const respawn = { peer: 'bare Node', factor: 1.5, what: 'foreground, long life' };
const BEST = { peer: '*', factor: 1 };

export const GOALS: readonly Goal[] = [
  ...(['foreground', 'self-daemonized'] as const).flatMap((kind) =>
    ([undefined, 'p99'] as const).map(
      (of): Goal => ({
        goal: `death to new process, ${kind}${of === undefined ? '' : ', p99'}`,
        measure: 'death',
        what: `${kind}, long life`,
        than: respawn,
        ...(of === undefined ? {} : { of }),
      }),
    ),
  ),
  {
    // Which starts at once what has lived for a second, and after a second what has not.
    goal: 'death to new process: ahead of every peer but runit in its lucky case',
    measure: 'death',
    what: 'foreground, long life',
    than: { ...BEST, but: 'runit' },
  },
  { goal: 'start of one', measure: 'start', what: '1', than: { peer: 'bare Node', factor: 1.7 } },
  { goal: 'start of 1000: ahead of every peer', measure: 'start', what: '1000', than: BEST },
  { goal: 'memory with one', measure: 'memory', what: '1', than: { peer: 'bare Node', factor: 1.25 } },
  { goal: 'memory with 1000', measure: 'memory', what: '1000', than: { peer: 's6', factor: 1 } },
  { goal: 'memory with 1000', measure: 'memory', what: '1000', than: { peer: 'runit', factor: 1 } },
  { goal: 'idle CPU with 100, a minute', measure: 'idle', what: '100', most: 20 },
  {
    goal: 'a repeated look among 5000',
    measure: 'scan',
    what: '5000',
    own: 'upkeep, nothing has changed',
    most: 10,
  },
  { goal: 'stop of 1000', measure: 'stop', what: '1000', than: { peer: 'runit', factor: 1 } },
  { goal: 'nginx serves anew', measure: 'masters', what: 'nginx', most: 1_000 },
  { goal: 'apache2 serves anew', measure: 'masters', what: 'apache2', most: 1_000 },
  { goal: 'lines, plain', measure: 'logs', what: 'plain: time', than: { peer: 'bare Node', factor: 1.5 } },
  {
    goal: 'lines, JSON: twice of what plain may take',
    measure: 'logs',
    what: 'json: time',
    than: { peer: 'bare Node', factor: 3, what: 'plain: time' },
  },
  { goal: 'lines, raw: no CPU', measure: 'logs', what: 'raw: CPU', most: 1 },
  { goal: 'storm: nothing down', measure: 'storm', what: 'down at the end', most: 0 },
  { goal: 'storm: nothing doubled', measure: 'storm', what: 'more than once', most: 0 },
  { goal: 'storm: no zombie', measure: 'storm', what: 'zombies', most: 0 },
  { goal: 'storm: less CPU than pm2', measure: 'storm', what: 'CPU', than: { peer: 'pm2', factor: 1 } },
  ...(['the answer alone', 'upkeep status'] as const).map(
    (own): Goal => ({
      goal: `status of 1000, while others ask: ${own}`,
      measure: 'control',
      what: 'status of 1000, while one follows events and one scrapes',
      own,
      most: 100,
    }),
  ),
  { goal: 'PID 1: no zombie', measure: 'pid1', what: 'zombies left', most: 0 },
];

export interface Verdict {
  readonly goal: string;
  readonly unit: string;
  readonly own: number;
  /** Whose number it is held against; null: a number that is set. */
  readonly peer: string | null;
  readonly yardstick: number;
  /** own / yardstick; null where the yardstick is 0. */
  readonly ratio: number | null;
  /** What is allowed: `1.5 x bare Node`. */
  readonly allowed: string;
  readonly met: boolean;
}

/** The verdicts that these figures allow; a goal whose numbers are missing has none. */
export function judge(figures: readonly Figure[], goals: readonly Goal[] = GOALS): Verdict[] {
  return goals.flatMap((goal) => judgeOne(figures, goal) ?? []);
}

function judgeOne(figures: readonly Figure[], goal: Goal): Verdict | null {
  const numberOf = (figure: Figure | undefined): number | null =>
    (goal.of === 'p99' ? figure?.p99 : figure?.value) ?? null;
  const find = (peer: string, what: string): Figure | undefined =>
    figures.find((one) => one.measure === goal.measure && one.what === what && one.peer === peer);
  const ownFigure = find(goal.own ?? 'upkeep', goal.what);
  const own = numberOf(ownFigure);
  if (own === null) return null;
  const { unit } = ownFigure!;
  if (goal.than === undefined) {
    const most = goal.most!;
    const ratio = most === 0 ? null : own / most;
    const allowed = most === 0 ? 'none' : `at most ${readable(most)} ${unit}`.trim();
    return { goal: goal.goal, unit, own, peer: null, yardstick: most, ratio, allowed, met: own <= most };
  }
  const { peer, factor, what = goal.what, but } = goal.than;
  const rivals = peer === '*' ? rivalsIn(figures, goal.measure, what, but) : [find(peer, what)];
  const best = rivals
    .filter((one) => one !== undefined && numberOf(one) !== null)
    .sort((a, b) => numberOf(a)! - numberOf(b)!)[0];
  if (best === undefined) return null;
  const yardstick = numberOf(best)!;
  const allowed = factor === 1 ? `less than ${best.peer}` : `${factor} x ${best.peer}`;
  const met = factor === 1 ? own < yardstick : own <= factor * yardstick;
  return {
    goal: goal.goal,
    unit,
    own,
    peer: best.peer,
    yardstick,
    ratio: yardstick === 0 ? null : own / yardstick,
    allowed,
    met,
  };
}

function rivalsIn(figures: readonly Figure[], measure: string, what: string, but?: string): Figure[] {
  const excluded = ['upkeep', ...FLOORS, but];
  return figures.filter(
    (one) => one.measure === measure && one.what === what && !excluded.includes(one.peer),
  );
}
