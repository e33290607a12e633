/** The soak's command line. */
import { parseArgs } from 'node:util';

export interface SoakRequest {
  readonly restarts: number;
  /** It ends after so many, whatever has been reached; null: not by time. */
  readonly minutes: number | null;
  readonly commands: number;
  /** The page that is written, with a chart beside it; null: the terminal alone. */
  readonly report: string | null;
  /** A folder for a heap snapshot after the warm-up and one at the end; null: none. */
  readonly snapshots: string | null;
  readonly help: boolean;
}

const RESTARTS = 1_000_000;
const COMMANDS = 16;

export const SOAK_HELP = `npm run soak -- [OPTION…]

  --restarts N        until there have been so many (default: ${RESTARTS})
  --minutes M         but no longer than this
  --commands K        services that die side by side (default: ${COMMANDS})
  --report FILE       the page to write (default: docs/benchmarks/soak.md for a full run, else none)
  --snapshots FOLDER  a heap snapshot after a fifth, and one at the end, to see what has grown
`;

/** @throws Error "cannot …: why; what to do" */
export function parseSoak(args: readonly string[]): SoakRequest {
  let values: { [name: string]: string | boolean | undefined };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        restarts: { type: 'string' },
        minutes: { type: 'string' },
        commands: { type: 'string' },
        report: { type: 'string' },
        snapshots: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    throw new Error(
      `cannot read the command line: ${(error as Error).message}; npm run soak -- --help shows all options`,
    );
  }
  const number = (name: string): number | null => {
    const text = values[name];
    if (typeof text !== 'string') return null;
    const value = Number(text);
    if (text.trim() === '' || !(value > 0 && Number.isFinite(value))) {
      throw new Error(`cannot read --${name}: "${text}" is no number above 0; write --${name} 100, say`);
    }
    return value;
  };
  const whole = (name: string, otherwise: number): number => Math.ceil(number(name) ?? otherwise);
  const restarts = whole('restarts', RESTARTS);
  const minutes = number('minutes');
  const isFull = restarts >= RESTARTS && minutes === null;
  const text = (name: string): string | null => (values[name] as string | undefined) ?? null;
  return {
    restarts,
    minutes,
    commands: whole('commands', COMMANDS),
    report: text('report') ?? (isFull ? 'docs/benchmarks/soak.md' : null),
    snapshots: text('snapshots'),
    help: values.help === true,
  };
}
