/** What a soak has seen: trends, the verdict, the page and its chart. Pure. */
import { type Curve, lineChart } from './chart.ts';
import { type Machine, table } from './report.ts';
import { median, readable } from './statistics.ts';

/** One look at upkeep; sizes in bytes. */
export interface Sample {
  readonly restarts: number;
  /** s since the first launch. */
  readonly at: number;
  readonly resident: number;
  /** What is no part of a file: heaps and stacks. (Whether it is shared for a moment with a child just forked is chance.) */
  readonly anonymous: number;
  /** What is alive in the heap, after a full collection. */
  readonly heap: number;
  /** Of that, what V8 does not count as machine code or bytecode: it goes on compiling for long, whatever becomes of the data. */
  readonly data: number;
  readonly files: number;
  readonly threads: number;
  /** Those that were there in two looks. */
  readonly zombies: number;
}

/** What the log has told. */
export interface Account {
  readonly events: number;
  /** Events whose `seq` was not the one after the last. */
  readonly gaps: number;
  readonly restarts: number;
  /** Restarts after a death of a running service by exit, by signal, and of unknown status. */
  readonly deaths: { readonly exit: number; readonly signal: number; readonly unknown: number };
  /** Services that died before they counted as running. */
  readonly failedStarts: number;
  /** Warnings of upkeep, each once, with how often it came. */
  readonly warnings: readonly (readonly [string, number])[];
  /** upkeep's exit code when it was stopped, and how many processes it could not end. */
  readonly exitCode: number | null;
  readonly left: number | null;
}

export interface Soak {
  readonly date: string;
  readonly machine: Machine;
  readonly versions: { readonly upkeep: string; readonly node: string };
  readonly command: string;
  readonly commands: number;
  readonly wanted: number;
  readonly samples: readonly Sample[];
  readonly account: Account;
}

/** The median of all slopes between two points (Theil-Sen): a few outliers do not move it. NaN of less than two points. */
export function slopeOf(points: readonly (readonly [number, number])[]): number {
  const slopes: number[] = [];
  for (const [index, [x, y]] of points.entries()) {
    for (let other = index + 1; other < points.length; other++) {
      const [x2, y2] = points[other]!;
      if (x2 !== x) slopes.push((y2 - y) / (x2 - x));
    }
  }
  return median(slopes);
}

/** Of what may not grow. */
type Size = 'resident' | 'anonymous' | 'heap' | 'data' | 'files' | 'threads';

interface Trend {
  readonly size: Size;
  /** A restart, after the warm-up. */
  readonly slope: number;
  /** The medians of the second and the last tenth of the restarts. */
  readonly second: number;
  readonly last: number;
  readonly grows: boolean;
}

interface Verdict {
  readonly trends: readonly Trend[];
  /** null: there were too few restarts to tell what a million would do. */
  readonly bounded: boolean | null;
  /** What is wrong beside that. */
  readonly faults: readonly string[];
}

const SIZES: Readonly<
  Record<Size, { readonly name: string; readonly unit: string; readonly limit: number }>
> = {
  resident: { name: 'resident memory', unit: 'bytes', limit: 1 },
  anonymous: { name: 'anonymous memory', unit: 'bytes', limit: 1 },
  heap: { name: 'alive in the heap', unit: 'bytes', limit: 1 },
  data: { name: 'of it not code', unit: 'bytes', limit: 1 },
  // Ten in a million restarts: less than what comes and goes with the services that live.
  files: { name: 'open files', unit: '', limit: 1e-5 },
  threads: { name: 'threads', unit: '', limit: 1e-5 },
};
/** What two tenths may differ by chance. */
const TOLERANCE = 0.02;
/** In a shorter run, caches that fill and code that is compiled weigh more than a leak. */
const LEAST_RESTARTS = 100_000;
const LEAST_SAMPLES = 20;
const TENTHS = 10;

/** The samples of one tenth (0 to 9) of the run; they are taken at even intervals. */
function tenth(samples: readonly Sample[], index: number): readonly Sample[] {
  const at = (edge: number): number => Math.round((samples.length * edge) / TENTHS);
  return samples.slice(at(index), at(index + 1));
}

function trendOf(samples: readonly Sample[], size: Size): Trend {
  const warm = tenth(samples, 0).length;
  const slope = slopeOf(samples.slice(warm).map((sample) => [sample.restarts, sample[size]]));
  const second = median(tenth(samples, 1).map((sample) => sample[size]));
  const last = median(tenth(samples, TENTHS - 1).map((sample) => sample[size]));
  return {
    size,
    slope,
    second,
    last,
    grows: slope >= SIZES[size].limit && last > second * (1 + TOLERANCE),
  };
}

/**
 * Something grows when, after the first tenth, its slope is a byte a restart or more (of files and threads: ten in a million restarts), and
 * the last tenth's median is more than 2 % above the second's.
 */
export function judgeSoak(samples: readonly Sample[], account: Account): Verdict {
  const trends = (Object.keys(SIZES) as Size[]).map((size) => trendOf(samples, size));
  const all = samples.at(-1)?.restarts ?? 0;
  const tells = all >= LEAST_RESTARTS && samples.length >= LEAST_SAMPLES;
  const zombies = samples.filter((sample) => sample.zombies > 0).length;
  const faults = [
    ...(account.gaps === 0 ? [] : [`${count(account.gaps, 'gap')} in the events' sequence`]),
    ...(zombies === 0 ? [] : [`zombies that stayed, in ${zombies} of ${samples.length} samples`]),
    ...(account.exitCode === 0 ? [] : [`upkeep ended with ${account.exitCode ?? 'no exit code'}`]),
    ...(account.left === 0
      ? []
      : [account.left === null ? 'no word of its end' : `${account.left} processes left after the stop`]),
  ];
  return { trends, bounded: tells ? trends.every(({ grows }) => !grows) : null, faults };
}

const count = (number: number, one: string): string =>
  `${number.toLocaleString('en-GB')} ${one}${number === 1 ? '' : 's'}`;
const megabytes = (bytes: number): string => (Number.isNaN(bytes) ? '–' : `${(bytes / 1e6).toFixed(2)} MB`);
const amount = (value: number, { unit }: { unit: string }): string =>
  unit === 'bytes' ? megabytes(value) : readable(value);
/** A slope, as what a million restarts would bring. */
const inAMillion = (slope: number, { unit }: { unit: string }): string => {
  if (Number.isNaN(slope)) return '–';
  const value = unit === 'bytes' ? slope : slope * 1e6;
  const text = `${value < 0 ? '' : '+'}${value.toFixed(2)}`;
  return unit === 'bytes' ? `${text} MB` : text;
};

/** What was seen, in a sentence or two. */
export function sentence({ samples, account }: Soak, { trends, bounded, faults }: Verdict): string {
  const seconds = samples.at(-1)?.at ?? 0;
  const run = `${count(account.restarts, 'restart')} in ${readable(seconds / 60)} min`;
  const heap = trends.find(({ size }) => size === 'heap')!;
  const data = trends.find(({ size }) => size === 'data')!;
  const resident = trends.find(({ size }) => size === 'resident')!;
  const numbers =
    `what is alive in the heap went from ${megabytes(heap.second)} in the second tenth to ${megabytes(heap.last)} in the last ` +
    `(without code: from ${megabytes(data.second)} to ${megabytes(data.last)}), resident memory from ${megabytes(resident.second)} to ${megabytes(resident.last)}`;
  const growing = trends.filter(({ grows }) => grows).map(({ size }) => SIZES[size].name);
  const verdict =
    bounded === null
      ? `That is too short to tell what a million restarts do (it takes ${LEAST_RESTARTS.toLocaleString('en-GB')})`
      : bounded
        ? 'Nothing has grown'
        : `**It grows**: ${growing.join(', ')}`;
  const wrong = faults.length === 0 ? '' : ` **Not as it should be**: ${faults.join('; ')}.`;
  return `${run}: ${numbers}. ${verdict}.${wrong}`;
}

/** @param chart the chart's file name */
export function soakPage(soak: Soak, chart: string): string {
  const { samples, account, machine } = soak;
  const verdict = judgeSoak(samples, account);
  const { exit, signal, unknown } = account.deaths;
  const lines = [
    `- ${soak.date.slice(0, 16).replace('T', ' ')} UTC, \`${soak.command}\``,
    `- ${machine.cores} cores (${machine.processor}), ${machine.memory} GB, Linux ${machine.kernel}, ${machine.system}`,
    `- upkeep ${soak.versions.upkeep}, Node ${soak.versions.node}; ${soak.commands} services`,
    `- ${count(account.restarts, 'restart')} of ${soak.wanted.toLocaleString('en-GB')} asked for; deaths: ${exit.toLocaleString('en-GB')} by exit,` +
      ` ${signal.toLocaleString('en-GB')} by signal, ${unknown.toLocaleString('en-GB')} of unknown status, ${account.failedStarts.toLocaleString('en-GB')} before they counted as running`,
    `- ${count(account.events, 'event')}, ${count(account.gaps, 'gap')} in their \`seq\``,
    ...account.warnings.map(([message, times]) => `- upkeep warned, ${times} x: ${message}`),
  ];
  const trends = verdict.trends.map(({ size, slope, second, last, grows }) => {
    const { name } = SIZES[size];
    return [
      name,
      amount(second, SIZES[size]),
      amount(last, SIZES[size]),
      inAMillion(slope, SIZES[size]),
      verdict.bounded === null ? 'too short' : grows ? '**grows**' : 'does not grow',
    ];
  });
  return `${[
    '# A soak',
    'Written by `npm run soak`; [how it is measured, and what differs from the upkeep that is shipped](README.md#a-million-restarts).',
    sentence(soak, verdict),
    lines.join('\n'),
    `![Memory and rate over the restarts](${chart})`,
    '## Trend',
    'The first tenth is warm-up. The slope is the median of the slopes between all pairs of samples after it (Theil-Sen).',
    table(['', 'second tenth (median)', 'last tenth (median)', 'slope, in a million restarts', ''], trends),
    '## By tenths',
    table(
      [
        'restarts',
        'restarts/s',
        'resident',
        'anonymous',
        'alive in the heap',
        'of it not code',
        'open files',
        'threads',
        'zombies',
      ],
      tenthRows(samples),
    ),
  ].join('\n\n')}\n`;
}

/** Medians of each tenth; of zombies the most. */
function tenthRows(samples: readonly Sample[]): string[][] {
  return Array.from({ length: TENTHS }, (_, index) => tenth(samples, index))
    .filter((part) => part.length > 0)
    .map((part) => {
      const middle = (size: Size): string => amount(median(part.map((sample) => sample[size])), SIZES[size]);
      const before = samples[samples.indexOf(part[0]!) - 1] ?? { restarts: 0, at: 0 };
      const end = part.at(-1)!;
      return [
        end.restarts.toLocaleString('en-GB'),
        readable((end.restarts - before.restarts) / (end.at - before.at)),
        ...[
          middle('resident'),
          middle('anonymous'),
          middle('heap'),
          middle('data'),
          middle('files'),
          middle('threads'),
        ],
        `${Math.max(...part.map(({ zombies }) => zombies))}`,
      ];
    });
}

export function soakChart({ samples }: Soak): string {
  const curve = (title: string, unit: string, value: (sample: Sample, index: number) => number): Curve => ({
    title,
    unit,
    points: samples.map((sample, index) => [sample.restarts, value(sample, index)]),
  });
  const rate = ({ restarts, at }: Sample, index: number): number => {
    const before = samples[index - 1] ?? { restarts: 0, at: 0 };
    return (restarts - before.restarts) / (at - before.at);
  };
  const curves = [
    curve('Resident memory', 'MB', ({ resident }) => resident / 1e6),
    curve('Anonymous memory', 'MB', ({ anonymous }) => anonymous / 1e6),
    curve('Alive in the heap', 'MB', ({ heap }) => heap / 1e6),
    curve('Of it not code', 'MB', ({ data }) => data / 1e6),
    curve('Open files', 'number', ({ files }) => files),
    curve('Restarts', 'per second', rate),
  ];
  return lineChart('Memory and rate over the restarts', 'restarts', curves, 'npm run soak');
}
