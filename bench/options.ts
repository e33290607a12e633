/** The benchmark's command line. */
import { parseArgs } from 'node:util';

export interface Request {
  readonly quick: boolean;
  readonly list: boolean;
  readonly help: boolean;
  /** Names of measures; null: all. */
  readonly only: readonly string[] | null;
  /** Names of peers; null: all that are installed. */
  readonly peers: readonly string[] | null;
  /** The built program to measure; null: build one. */
  readonly upkeep: string | null;
  /** The folder for the report; null: the terminal alone. */
  readonly out: string | null;
}

export const HELP = `npm run bench -- [OPTION…]

  --only MEASURE,…   these measures alone
  --peers NAME,…     these peers alone; without spaces, as "bare-node"
  --quick            fewer runs and shorter windows
  --upkeep PATH      measure this upkeep.js; without it one is built
  --out FOLDER       where the report goes (default: docs/benchmarks for a full run of everything, else nowhere)
  --list             the measures, and which peers are installed
`;

/**
 * @param measures the names that there are
 * @param peers likewise
 * @throws Error "cannot …: why; what to do"
 */
export function parseRequest(
  args: readonly string[],
  measures: readonly string[],
  peers: readonly string[],
): Request {
  let values: { [name: string]: string | boolean | undefined };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        only: { type: 'string' },
        peers: { type: 'string' },
        quick: { type: 'boolean' },
        upkeep: { type: 'string' },
        out: { type: 'string' },
        list: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    throw new Error(
      `cannot read the command line: ${(error as Error).message}; npm run bench -- --help shows all options`,
    );
  }
  const only = namesIn(values.only, measures, 'measure');
  const wanted = namesIn(values.peers, peers, 'peer');
  const text = (name: string): string | null => (values[name] as string | undefined) ?? null;
  const isWhole = only === null && wanted === null && values.quick !== true;
  return {
    quick: values.quick === true,
    list: values.list === true,
    help: values.help === true,
    only,
    peers: wanted,
    upkeep: text('upkeep'),
    out: text('out') ?? (isWhole ? 'docs/benchmarks' : null),
  };
}

function namesIn(
  value: string | boolean | undefined,
  known: readonly string[],
  what: string,
): string[] | null {
  if (typeof value !== 'string') return null;
  const names = value.split(',').filter((name) => name !== '');
  const strange = names.find((name) => !known.includes(name));
  if (strange !== undefined || names.length === 0) {
    throw new Error(
      `cannot find the ${what} "${strange ?? ''}": there are ${known.join(', ')}; write them with commas between`,
    );
  }
  return names;
}
