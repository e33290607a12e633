/** What is written of metrics is so: the reference, the how-to and the dashboard name those that there are. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createMetrics } from '../src/output/metrics.ts';

const read = (path: string): string => readFileSync(join(import.meta.dirname, '..', path), 'utf8');
const reference = read('docs/reference/metrics.md');

const text = await createMetrics('1').text(
  {
    commands: [],
    processes: 0,
    dropped: { stdout: 0, file: 0, syslog: 0 },
    self: { resident: 0, cpu: 0, since: 0 },
  },
  async () => {},
);
const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name!, type!]));

test('the reference has every metric with its type, and no other', () => {
  const rows = [...reference.matchAll(/^\| `((?:upkeep|process)_\w+)` \| (\w+) \|/gm)];
  expect(rows.map(([, name, type]) => [name, type])).toEqual([...types]);
});

test('names and types are as Prometheus has them', () => {
  for (const [name, type] of types) {
    expect(name.endsWith('_total'), name).toBe(type === 'counter');
    if (type === 'histogram') expect(name).toMatch(/_seconds$/);
  }
});

/** The metrics that a query names. */
const named = (query: string): string[] =>
  [...query.matchAll(/\b(?:upkeep|process)_\w+/g)].map(([name]) =>
    name.replace(/_(?:bucket|sum|count)$/, (end) => (types.has(name) ? end : '')),
  );
const labels = new Map(
  [...reference.matchAll(/^\| `(\w+)` \| \w+ \| ([^|]*) \|/gm)].map(([, name, cell]) => [
    name!,
    [...cell!.matchAll(/`(\w+)`/g)].map(([, label]) => label!),
  ]),
);

/** A query's metrics with what they are asked by. Quoted values are left out: `{a="x"}`. */
function wrongIn(query: string): string[] {
  const wrong = named(query).filter((name) => !types.has(name));
  for (const [, name, selector] of query.matchAll(/\b((?:upkeep|process)_\w+)\{([^}]*)\}/g)) {
    const known = [...(labels.get(named(name!)[0]!) ?? []), 'instance', 'job', 'le'];
    for (const [, label] of selector!.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"/g)) {
      if (!known.includes(label!)) wrong.push(`${name}{${label}}`);
    }
  }
  for (const [, by] of query.matchAll(/\bby \(([^)]*)\)/g)) {
    const known = [...named(query).flatMap((name) => labels.get(name) ?? []), 'instance', 'le'];
    for (const label of by!.split(',')) if (!known.includes(label.trim())) wrong.push(`by (${label.trim()})`);
  }
  return wrong;
}

describe('queries', () => {
  const dashboard = JSON.parse(read('examples/grafana/upkeep.json')) as {
    panels: { title: string; targets: { expr: string }[] }[];
    templating: { list: { query: string }[] };
  };
  const exprs = dashboard.panels.flatMap(({ title, targets }) =>
    targets.map(({ expr }) => ({ title, expr })),
  );

  test('that are wrong are found', () => {
    expect(wrongIn('upkeep_nothing')).toEqual(['upkeep_nothing']);
    expect(wrongIn('upkeep_command_up{state="x"}')).toEqual(['upkeep_command_up{state}']);
    expect(wrongIn('sum by (reason) (upkeep_command_up)')).toEqual(['by (reason)']);
  });

  test('of the dashboard are many', () => {
    expect(exprs.length).toBeGreaterThan(15);
  });

  test.each(exprs)('of the dashboard: $title: $expr', ({ expr }) => {
    expect(named(expr).length).toBeGreaterThan(0);
    expect(wrongIn(expr)).toEqual([]);
  });

  test('that fill in the variables of the dashboard', () => {
    expect(dashboard.templating.list.flatMap(({ query }) => wrongIn(query))).toEqual([]);
  });

  test('of the alerts in the how-to', () => {
    const alerts = [...read('docs/how-to/orchestrators.md').matchAll(/^ +expr: (.*)$/gm)].map(
      ([, expr]) => expr!,
    );
    expect(alerts.length).toBeGreaterThan(3);
    expect(alerts.flatMap(wrongIn)).toEqual([]);
  });

  test('leave out no metric that a dashboard could show of a command', () => {
    const shown = new Set(exprs.flatMap(({ expr }) => named(expr)));
    const ofCommands = [...types.keys()].filter(
      (name) => name.startsWith('upkeep_command_') && name !== 'upkeep_command_up',
    );
    expect(ofCommands.filter((name) => !shown.has(name))).toEqual([]);
  });
});
