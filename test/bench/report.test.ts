import { describe, expect, test } from 'vitest';
import { type Bar, barChart } from '../../bench/chart.ts';
import { GOALS, judge } from '../../bench/goals.ts';
import { type Figure, figure } from '../../bench/measure.ts';
import { cell, chartOf, figuresTable, page, type Results } from '../../bench/report.ts';

const long = 'foreground, long life';
const of = (peer: string, values: number[], what = long, measure = 'death', unit = 'ms'): Figure =>
  figure(measure, what, peer, unit, values);

describe('a figure', () => {
  test('is the median, with a 99th percentile from 50 runs on', () => {
    expect(of('upkeep', [1, 2, 30])).toMatchObject({ value: 2, p99: null, runs: 3 });
    const many = Array.from({ length: 50 }, (_, index) => index + 1);
    expect(of('upkeep', many)).toMatchObject({ value: 25.5, p99: 50, runs: 50 });
  });

  test('without runs has no number', () => expect(of('upkeep', [])).toMatchObject({ value: null, runs: 0 }));

  test('is shown with its unit and the number of its runs, or with why there is none', () => {
    expect(cell(of('upkeep', [2.345]))).toBe('2.35 ms (1 run)');
    expect(cell(of('upkeep', new Array(60).fill(3)))).toBe('3 ms (p99 3; 60 runs)');
    expect(cell({ ...of('pm2', [2]), note: 'one lost' })).toBe('2 ms (1 run; one lost)');
    expect(cell({ ...of('pm2', []), note: 'gives up' })).toBe('gives up');
    expect(cell(of('pm2', []))).toBe('–');
    expect(cell(undefined)).toBe('');
  });
});

test('a table has a row for each peer and a column for each thing, with holes where nothing was measured', () => {
  const figures = [of('upkeep', [1]), of('s6', [2], 'short'), of('s6', [3]), of('s6', [9], long, 'other')];
  expect(figuresTable(figures, 'death')).toBe(
    [
      `|  | ${long} | short |`,
      '| --- | --- | --- |',
      '| **upkeep** | 1 ms (1 run) |  |',
      '| s6 | 3 ms (1 run) | 2 ms (1 run) |',
    ].join('\n'),
  );
});

describe('a goal', () => {
  const goal = (own: number, yard: number) =>
    judge(
      [of('upkeep', [own]), of('bare Node', [yard])],
      [{ goal: 'g', measure: 'death', what: long, than: { peer: 'bare Node', factor: 1.5 } }],
    );

  test.each([
    [3, 2, true],
    [3.1, 2, false],
  ])('of 1.5 times: %d beside %d is met: %s', (own, yard, met) => {
    expect(goal(own, yard)).toEqual([
      expect.objectContaining({
        own,
        peer: 'bare Node',
        yardstick: yard,
        ratio: own / yard,
        allowed: '1.5 x bare Node',
        met,
      }),
    ]);
  });

  test('ahead of everybody is held against the best peer, who is no floor', () => {
    const goals = [{ goal: 'g', measure: 'death', what: long, than: { peer: '*', factor: 1 } }];
    const others = [of('C floor', [1]), of('bare Node', [2]), of('s6', [9]), of('runit', [5]), of('pm2', [])];
    expect(judge([of('upkeep', [4]), ...others], goals)).toMatchObject([{ peer: 'runit', met: true }]);
    expect(judge([of('upkeep', [5]), ...others], goals)).toMatchObject([{ peer: 'runit', met: false }]);
    const but = [{ ...goals[0]!, than: { peer: '*', factor: 1, but: 'runit' } }];
    expect(judge([of('upkeep', [8]), ...others], but)).toMatchObject([{ peer: 's6', met: true }]);
  });

  test('of a set number, and of none at all', () => {
    const most = (limit: number) => [{ goal: 'g', measure: 'death', what: long, most: limit }];
    expect(judge([of('upkeep', [5])], most(10))).toMatchObject([{ met: true, ratio: 0.5, peer: null }]);
    expect(judge([of('upkeep', [11])], most(10))).toMatchObject([{ met: false }]);
    expect(judge([of('upkeep', [0])], most(0))).toMatchObject([{ met: true, ratio: null }]);
    expect(judge([of('upkeep', [1])], most(0))).toMatchObject([{ met: false }]);
  });

  test('of the 99th percentile takes those of both', () => {
    const goals = [
      { goal: 'g', measure: 'death', what: long, of: 'p99', than: { peer: 'bare Node', factor: 1.5 } },
    ] as const;
    const rising = (last: number) => [...new Array(59).fill(2), last];
    const figures = [of('upkeep', rising(40)), of('bare Node', rising(20))];
    expect(judge(figures, goals)).toMatchObject([{ own: 40, yardstick: 20, met: false }]);
  });

  test('is not judged where a number is missing', () => {
    expect(judge([of('upkeep', [5])])).toEqual([]);
    expect(judge([of('bare Node', [5])])).toEqual([]);
    expect(judge([])).toEqual([]);
    expect(GOALS.length).toBeGreaterThan(15);
  });
});

describe('a chart', () => {
  const bar = (label: string, value: number | null, note = '–'): Bar => ({
    label,
    value,
    note,
    own: label === 'upkeep',
  });
  const lengths = (svg: string): number[] =>
    [...svg.matchAll(/<rect class="(?:own|bar)"[^>]* width="([\d.]+)"/g)].map(([, width]) => Number(width));

  test('sorts its bars, the least first, who has no number last', () => {
    const svg = barChart('t', [
      { title: 'g', unit: 'ms', bars: [bar('b', 4), bar('c', null, 'gives up'), bar('upkeep', 2)] },
    ]);
    const texts = [...svg.matchAll(/<text[^>]*>([^<]*)/g)].map(([, text]) => text);
    expect(texts).toEqual(['t', 'g', 'upkeep', '2', 'b', '4', 'c', 'gives up']);
    expect(svg.match(/class="own"/g)).toHaveLength(1);
  });

  test('draws to scale', () => {
    const [a, b] = lengths(barChart('t', [{ title: 'g', unit: 'ms', bars: [bar('a', 10), bar('b', 40)] }]));
    expect(b! / a!).toBeCloseTo(4, 1);
  });

  test('is logarithmic, and says so, where values differ more than a hundredfold', () => {
    const svg = barChart('t', [
      { title: 'g', unit: 'ms', bars: [bar('a', 1), bar('b', 100), bar('c', 10_000)] },
    ]);
    const [a, b, c] = lengths(svg);
    expect(svg).toContain('(ms, logarithmic)');
    expect(c! - b!).toBeCloseTo(b! - a!, 0);
    expect(a).toBeGreaterThan(5);
  });

  test('stands zeros, and texts with signs of markup', () => {
    const svg = barChart('a < b & "c"', [{ title: 'g', unit: '', bars: [bar('x', 0), bar('y', 0)] }]);
    expect(lengths(svg)).toEqual([1, 1]);
    expect(svg).toContain('a &lt; b &amp; &quot;c&quot;');
    expect(svg).not.toContain('NaN');
  });

  test('of a measure has a group for each thing that was measured', () => {
    const svg = chartOf([of('upkeep', [1]), of('s6', [2], 'short')], 'death', 'Deaths');
    expect(svg.match(/class="group"/g)).toHaveLength(2);
    expect(svg).toContain('prefers-color-scheme: dark');
  });
});

test('the page names machine, versions, date and who is missing, and leaves out what was not measured', () => {
  const results: Results = {
    date: '2030-01-02T03:04:05.678Z',
    quick: true,
    seconds: 180,
    machine: { processor: 'P', cores: 2, memory: 8, kernel: '6.1', system: 'Debian' },
    versions: { upkeep: '9.9', s6: null },
    missing: [{ peer: 's6', install: 'apt-get install s6' }],
    figures: [of('upkeep', [3]), of('bare Node', [2])],
  };
  const sections = [
    { title: 'Death', how: 'By killing.', tables: [{ measure: 'death', title: 'Death' }] },
    { title: 'Other', how: 'Else.', tables: [{ measure: 'other', title: 'Other' }] },
  ];
  const text = page(results, sections);
  for (const part of [
    '2030-01-02 03:04 UTC, `--quick`',
    '3 min',
    '2 cores (P), 8 GB, Linux 6.1, Debian',
    'upkeep 9.9',
    's6 is missing: `apt-get install s6`',
    '## Goals',
    '## Death\n\nBy killing.\n\n![Death](death.svg)',
  ]) {
    expect(text).toContain(part);
  }
  expect(text).not.toContain('Other');
});
