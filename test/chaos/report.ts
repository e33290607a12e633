/** The report of a run, in Markdown. */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import type { Outcome } from './episode.ts';
import type { ChaosOptions } from './options.ts';

export interface Run {
  readonly options: ChaosOptions;
  readonly outcomes: readonly Outcome[];
  /** Kinds of faults that could not be had, and why. */
  readonly skipped: ReadonlyMap<string, string>;
  readonly seconds: number;
}

export function writeReport(path: string, run: Run): void {
  writeFileSync(path, renderReport(run, new Date()));
}

export function renderReport({ options, outcomes, skipped, seconds }: Run, date: Date): string {
  const faults = sum(outcomes.map((outcome) => outcome.faults));
  const checks = sum(outcomes.map((outcome) => outcome.checks));
  const longest = most(outcomes.map((outcome) => outcome.longest));
  const total = [...faults].reduce((all, [kind, count]) => all + (kind.startsWith('(') ? 0 : count), 0);
  const violations = outcomes.flatMap(({ plan, violations: found }) =>
    found.map((violation) => ({ plan, violation })),
  );
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
    [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
  return `# A run of chaos

Made by \`npm run chaos\`; what it does and what is checked: [how to shake upkeep](../how-to/chaos.md).

${table(
  ['', ''],
  [
    ['date', date.toISOString().slice(0, 10)],
    [
      'machine',
      `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}`,
    ],
    ['upkeep', version],
    ['Node', process.version],
    ['seed', options.seed],
    ['length', `${(seconds / 60).toFixed(1)} minutes, ${outcomes.length} episodes`],
    ['faults', `${total} (${Math.round((total / seconds) * 60)} a minute)`],
    ['violations', violations.length],
  ],
)}

## Faults

${table(
  ['kind', 'made'],
  [...faults].sort(([a], [b]) => a.localeCompare(b)),
)}

${skipped.size === 0 ? 'No kind was left out.' : table(['left out', 'why'], [...skipped])}

## Invariants

${table(
  ['invariant', 'checked'],
  [...checks].sort(([a], [b]) => a.localeCompare(b)),
)}

${table(
  ['the most that was seen', ''],
  [...longest].map(([what, value]) => [what, Math.round(value)]),
)}

## Violations

${violations.length === 0 ? 'None.' : violations.map(({ plan, violation }) => `- episode ${plan.label} (${plan.special ?? 'ordinary'}): ${violation.invariant}: ${violation.what}`).join('\n')}

## Upkeep's size

By episode: resident memory and open files a few seconds after the start, at the most, and at the end.

${table(
  ['episode', 'kind', 'commands', 'seconds', 'MiB: first', 'most', 'last', 'files: first', 'most', 'last'],
  outcomes
    .filter(({ curve }) => curve.length > 0)
    .map(({ plan, curve }) => {
      const first = curve[Math.min(3, curve.length - 1)]!;
      const last = curve.at(-1)!;
      const mib = (kib: number): string => (kib / 1_024).toFixed(0);
      return [
        plan.label,
        plan.special ?? 'ordinary',
        plan.commands.length,
        last[0],
        mib(first[1]),
        mib(Math.max(...curve.map(([, kib]) => kib))),
        mib(last[1]),
        first[2],
        Math.max(...curve.map(([, , files]) => files)),
        last[2],
      ];
    }),
)}
`;
}

function sum(maps: readonly ReadonlyMap<string, number>[]): Map<string, number> {
  const all = new Map<string, number>();
  for (const map of maps) for (const [key, value] of map) all.set(key, (all.get(key) ?? 0) + value);
  return all;
}

function most(maps: readonly ReadonlyMap<string, number>[]): Map<string, number> {
  const all = new Map<string, number>();
  for (const map of maps) for (const [key, value] of map) all.set(key, Math.max(all.get(key) ?? 0, value));
  return all;
}
