/** The figures as a page, and what stands at its head. Pure. */
import { barChart, type Group } from './chart.ts';
import { judge, type Verdict } from './goals.ts';
import type { Figure } from './measure.ts';
import { readable } from './statistics.ts';

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  /** GB */
  readonly memory: number;
  readonly kernel: string;
  readonly system: string;
}

export interface Results {
  /** ISO 8601, UTC. */
  readonly date: string;
  readonly quick: boolean;
  readonly seconds: number;
  readonly machine: Machine;
  /** By peer; null: it is not installed. */
  readonly versions: Readonly<Record<string, string | null>>;
  readonly missing: readonly { readonly peer: string; readonly install: string }[];
  readonly figures: readonly Figure[];
}

/** The measures of a section of the page: several tables may share one way of measuring. */
interface Section {
  readonly title: string;
  readonly how: string;
  readonly tables: readonly { readonly measure: string; readonly title: string }[];
}

const row = (cells: readonly string[]): string =>
  `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n');
}

/** One number as a cell: `2.31 (p99 4.2; 100 runs)`, or why there is none. */
export function cell(figure: Figure | undefined): string {
  if (figure === undefined) return '';
  const { value, p99, runs, unit, note } = figure;
  if (value === null) return note ?? '–';
  const counted = `${runs} ${runs === 1 ? 'run' : 'runs'}`;
  const aside = [
    ...(p99 === null ? [] : [`p99 ${readable(p99)}`]),
    counted,
    ...(note === null ? [] : [note]),
  ];
  return `${readable(value)}${unit === '' ? '' : ` ${unit}`} (${aside.join('; ')})`;
}

/** A table of one measure: a row for each peer, a column for each thing that was measured. */
export function figuresTable(figures: readonly Figure[], measure: string): string {
  const own = figures.filter((figure) => figure.measure === measure);
  const columns = [...new Set(own.map(({ what }) => what))];
  const rows = [...new Set(own.map(({ peer }) => peer))];
  return table(
    ['', ...columns],
    rows.map((peer) => [
      peer === 'upkeep' ? `**${peer}**` : peer,
      ...columns.map((what) => cell(own.find((one) => one.peer === peer && one.what === what))),
    ]),
  );
}

export function goalsTable(verdicts: readonly Verdict[]): string {
  return table(
    ['goal', 'upkeep', 'held against', 'ratio', 'allowed', ''],
    verdicts.map(({ goal, unit, own, peer, yardstick, ratio, allowed, met }) => [
      goal,
      `${readable(own)} ${unit}`.trim(),
      peer === null ? '' : `${peer}: ${readable(yardstick)} ${unit}`.trim(),
      ratio === null ? '' : readable(ratio),
      allowed,
      met ? 'met' : '**not met**',
    ]),
  );
}

export function page(results: Results, sections: readonly Section[]): string {
  const { date, quick, seconds, machine, versions, missing, figures } = results;
  const have = (measure: string): boolean => figures.some((figure) => figure.measure === measure);
  const named = Object.entries(versions).flatMap(([peer, version]) =>
    version === null ? [] : [`${peer} ${version}`],
  );
  const parts = [
    '# Results',
    'Written by `npm run bench`; [how it is measured](README.md). The numbers are also in [results.json](results.json).',
    [
      `- ${date.slice(0, 16).replace('T', ' ')} UTC, ${quick ? '`--quick`: few runs, short windows' : 'a full run'}, ${Math.round(seconds / 60)} min`,
      `- ${machine.cores} cores (${machine.processor}), ${machine.memory} GB, Linux ${machine.kernel}, ${machine.system}`,
      `- ${named.join(', ')}`,
      ...missing.map(({ peer, install }) => `- ${peer} is missing: \`${install}\``),
    ].join('\n'),
  ];
  const verdicts = judge(figures);
  if (verdicts.length > 0) parts.push('## Goals', goalsTable(verdicts));
  for (const { title, how, tables } of sections) {
    const there = tables.filter(({ measure }) => have(measure));
    if (there.length === 0) continue;
    parts.push(`## ${title}`, how);
    for (const { measure, title: name } of there) {
      if (there.length > 1) parts.push(`### ${name}`);
      parts.push(`![${name}](${measure}.svg)`, figuresTable(figures, measure));
    }
  }
  return `${parts.join('\n\n')}\n`;
}

/** The chart of one measure: a group for each thing that was measured. */
export function chartOf(figures: readonly Figure[], measure: string, title: string): string {
  const own = figures.filter((figure) => figure.measure === measure);
  const groups = [...new Set(own.map(({ what }) => what))].map((what): Group => {
    const of = own.filter((figure) => figure.what === what);
    return {
      title: what,
      unit: of.find(({ value }) => value !== null)?.unit ?? '',
      bars: of.map(({ peer, value, note }) => ({
        label: peer,
        value,
        note: note ?? '–',
        own: peer.startsWith('upkeep'),
      })),
    };
  });
  return barChart(title, groups);
}
