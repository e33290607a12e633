import { describe, expect, test } from 'vitest';
import { lineChart } from '../../bench/chart.ts';
import { parseSoak } from '../../bench/soak-options.ts';
import {
  type Account,
  judgeSoak,
  type Sample,
  type Soak,
  sentence,
  slopeOf,
  soakChart,
  soakPage,
} from '../../bench/soak-report.ts';
import { createRandom } from '../chaos/random.ts';

const random = createRandom(1);
const noise = (size: number): number => (random.next() - 0.5) * size;

describe('the slope', () => {
  test('of a line is its own', () => {
    expect(
      slopeOf([
        [0, 5],
        [10, 25],
        [30, 65],
      ]),
    ).toBe(2);
  });
  test('is not moved by a few outliers', () => {
    const points = Array.from({ length: 50 }, (_, x): [number, number] => [x, x % 10 === 3 ? 1e9 : 3 * x]);
    expect(slopeOf(points)).toBe(3);
  });
  test('of what only scatters is about none', () => {
    const points = Array.from({ length: 90 }, (_, x): [number, number] => [x * 1e4, 7e7 + noise(2e6)]);
    expect(Math.abs(slopeOf(points))).toBeLessThan(1);
  });
  test('of points on one x, or of one alone, is no number', () => {
    expect(slopeOf([[1, 2]])).toBeNaN();
    expect(
      slopeOf([
        [1, 2],
        [1, 4],
      ]),
    ).toBeNaN();
  });
});

const account: Account = {
  events: 3_000_050,
  gaps: 0,
  restarts: 1_000_000,
  deaths: { exit: 500_000, signal: 499_990, unknown: 0 },
  failedStarts: 10,
  warnings: [],
  exitCode: 0,
  left: 0,
};

/** A hundred samples of a million restarts (or of so many) that a function has changed. */
function run(change: (restarts: number, index: number) => Partial<Sample> = () => ({}), all = 1e6): Sample[] {
  return Array.from({ length: 100 }, (_, index) => {
    const restarts = ((index + 1) * all) / 100;
    return {
      restarts,
      at: restarts / 200,
      resident: 8e7 + noise(1e6),
      anonymous: 5e7 + noise(1e6),
      heap: 9e6 + noise(1e4),
      data: 6e6 + noise(1e4),
      files: 60 + (index % 3),
      threads: 7,
      zombies: 0,
      ...change(restarts, index),
    };
  });
}
const growing = (samples: readonly Sample[]): string[] =>
  judgeSoak(samples, account)
    .trends.filter(({ grows }) => grows)
    .map(({ size }) => size);

describe('the verdict', () => {
  test('what scatters does not grow', () => {
    expect(judgeSoak(run(), account)).toMatchObject({ bounded: true, faults: [] });
  });

  test('a small object kept for each restart is seen', () => {
    const samples = run((restarts) => ({
      heap: 9e6 + 24 * restarts,
      data: 6e6 + 24 * restarts + noise(1e5),
    }));
    expect(growing(samples)).toEqual(['heap', 'data']);
    expect(judgeSoak(samples, account).bounded).toBe(false);
    expect(judgeSoak(samples, account).trends.find(({ size }) => size === 'data')!.slope).toBeCloseTo(24, 0);
  });

  test('a file left open now and then is seen', () => {
    expect(growing(run((restarts) => ({ files: 60 + Math.floor(restarts / 20_000) })))).toEqual(['files']);
  });

  test('a warm-up is not growth, however steep', () => {
    const warming = (restarts: number) => ({ resident: 4e7 + Math.min(restarts, 1e5) * 400 });
    expect(judgeSoak(run(warming), account).bounded).toBe(true);
  });

  test('one high sample at the end is not growth', () => {
    expect(
      judgeSoak(
        run((_, index) => (index > 96 ? { resident: 3e8 } : {})),
        account,
      ).bounded,
    ).toBe(true);
  });

  test('a short run has none', () => {
    expect(judgeSoak(run(undefined, 50_000), account).bounded).toBeNull();
    expect(judgeSoak(run().slice(-10), account).bounded).toBeNull();
  });

  test.each<[string, Partial<Account>, Partial<Sample>]>([
    ['1 gap in the events', { gaps: 1 }, {}],
    ['zombies that stayed, in 100 of 100', {}, { zombies: 1 }],
    ['ended with 70', { exitCode: 70 }, {}],
    ['no exit code', { exitCode: null }, {}],
    ['2 processes left', { left: 2 }, {}],
    ['no word of its end', { left: null }, {}],
  ])('finds fault: %s', (fault, told, sample) => {
    const { faults } = judgeSoak(
      run(() => sample),
      { ...account, ...told },
    );
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(fault);
  });
});

describe('the page', () => {
  const soak = (samples: readonly Sample[], told: Partial<Account> = {}): Soak => ({
    date: '2030-01-02T03:04:05.678Z',
    machine: { processor: 'P', cores: 2, memory: 8, kernel: '6.1', system: 'Debian' },
    versions: { upkeep: '9.9', node: '20.20.2' },
    command: 'npm run soak',
    commands: 16,
    wanted: 1_000_000,
    samples,
    account: { ...account, ...told },
  });
  const flat = (): Sample[] => run(() => ({ heap: 9e6, resident: 8e7, data: 6e6, files: 60 }));

  test('says what was seen, with machine, versions and the way of dying', () => {
    const text = soakPage(soak(flat(), { warnings: [['cannot N', 3]] }), 'x.svg');
    for (const part of [
      '1,000,000 restarts in 83.3 min: what is alive in the heap went from 9.00 MB in the second tenth to 9.00 MB in the last',
      'Nothing has grown.',
      'Linux 6.1',
      'upkeep 9.9, Node 20.20.2; 16 services',
      '500,000 by exit, 499,990 by signal, 0 of unknown status, 10 before they counted as running',
      '3,000,050 events, 0 gaps',
      'upkeep warned, 3 x: cannot N',
      '![Memory and rate over the restarts](x.svg)',
      '| alive in the heap | 9.00 MB | 9.00 MB | +0.00 MB | does not grow |',
      '| 1,000,000 | 200 | 80.00 MB |',
    ]) {
      expect(text).toContain(part);
    }
    expect(text).not.toContain('Not as it should be');
  });

  test('says so when something grows, is wrong, or is too short to tell', () => {
    const leaking = soak(
      run((restarts) => ({ resident: 8e7 + 50 * restarts })),
      { gaps: 2 },
    );
    const told = sentence(leaking, judgeSoak(leaking.samples, leaking.account));
    expect(told).toContain('**It grows**: resident memory.');
    expect(told).toContain("**Not as it should be**: 2 gaps in the events' sequence.");
    expect(soakPage(leaking, 'x.svg')).toMatch(/resident memory \| .* \| \+50\.\d\d MB \| \*\*grows\*\*/);
    const short = soak(run(undefined, 3_000));
    expect(sentence(short, judgeSoak(short.samples, short.account))).toContain('too short to tell');
    expect(soakPage(short, 'x.svg')).not.toContain('does not grow');
    expect(soakPage(soak(run().slice(0, 1)), 'x.svg')).not.toContain('NaN');
  });

  test('has a chart of all that is told by samples', () => {
    const svg = soakChart(soak(flat()));
    expect(svg.match(/<polyline/g)).toHaveLength(6);
    expect(svg).not.toContain('NaN');
    expect(svg).toContain('1,000,000 restarts');
  });
});

describe('a line chart', () => {
  const points = (svg: string): number[][] =>
    /points="([^"]*)"/
      .exec(svg)![1]!
      .split(' ')
      .map((pair) => pair.split(',').map(Number));

  test('draws to scale, from 0', () => {
    const curve = {
      title: 'c',
      unit: 'MB',
      points: [
        [0, 0],
        [50, 10],
        [100, 40],
      ] as const,
    };
    const [a, b, c] = points(lineChart('t', 'x', [curve], 'm')) as [number[], number[], number[]];
    expect((b[0]! - a[0]!) / (c[0]! - a[0]!)).toBeCloseTo(0.5, 2);
    expect((a[1]! - b[1]!) / (a[1]! - c[1]!)).toBeCloseTo(0.25, 2);
  });

  test('stands zeros, nothing at all, and signs of markup', () => {
    const svg = lineChart(
      'a < b',
      'x',
      [
        { title: 'zero', unit: 'n', points: [[1, 0]] },
        { title: 'none', unit: 'n', points: [] },
      ],
      'm',
    );
    expect(svg).toContain('a &lt; b');
    expect(svg).not.toMatch(/NaN|Infinity/);
  });
});

describe('the command line', () => {
  test('without anything: a million restarts, written into the docs', () => {
    expect(parseSoak([])).toEqual({
      restarts: 1_000_000,
      minutes: null,
      commands: 16,
      report: 'docs/benchmarks/soak.md',
      snapshots: null,
      help: false,
    });
  });

  test('a part is not written, unless a file is named', () => {
    expect(parseSoak(['--restarts', '3000'])).toMatchObject({ restarts: 3_000, report: null });
    expect(parseSoak(['--minutes', '0.5'])).toMatchObject({ minutes: 0.5, report: null });
    expect(parseSoak(['--restarts', '10', '--report', 'x.md'])).toMatchObject({ report: 'x.md' });
  });

  test.each([
    [['--restarts', 'many'], 'cannot read --restarts: "many" is no number above 0'],
    [['--minutes', '0'], 'cannot read --minutes: "0"'],
    [['--commands', ''], 'cannot read --commands: ""'],
    [['--quick'], 'cannot read the command line'],
  ])('%j is refused', (args, message) => {
    expect(() => parseSoak(args)).toThrow(message);
  });
});
