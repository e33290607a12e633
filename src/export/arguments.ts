/** The words behind `upkeep export`. */
import { optionName, unknownHere } from '../policy/options.ts';
import { UsageError } from '../policy/usage-error.ts';

const ENGINES = ['compose', 'kubernetes', 'swarm'] as const;

/** For whom a file is written. */
export type Engine = (typeof ENGINES)[number];

interface ExportRequest {
  readonly engine: Engine;
  /** The policy file. */
  readonly file: string;
  /** null: not known. */
  readonly image: string | null;
}

const EXPORT_EXAMPLE = 'upkeep export --compose upkeep.yaml';

/** Reads the words behind `upkeep export`; null: help is asked for. @throws UsageError for what can't be understood. */
export function parseExport(argv: readonly string[]): ExportRequest | null {
  const engines = new Set<Engine>();
  const files: string[] = [];
  let image: string | null = null;
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at]!;
    if (argument === '--help' || argument === '-h') return null;
    const engine = ENGINES.find((each) => argument === `--${each}`);
    if (engine !== undefined) engines.add(engine);
    else if (optionName(argument) === '--image') {
      image = argument.includes('=') ? argument.slice(argument.indexOf('=') + 1) : (argv[++at] ?? '');
      if (image === '' || image.startsWith('-'))
        throw new UsageError('cannot use --image: it needs a value; write --image registry.example/shop:1.0');
    } else if (argument.startsWith('-')) {
      throw unknownHere(argument, 'export', [...ENGINES.map((each) => `--${each}`), '--image', '--help']);
    } else files.push(argument);
  }
  const [engine, ...others] = engines;
  if (engine === undefined || others.length > 0) {
    const what = engine === undefined ? 'it is not said for whom' : `${engines.size} engines are given`;
    throw new UsageError(
      `cannot export: ${what}; give one of --compose, --kubernetes and --swarm, as in ${EXPORT_EXAMPLE}`,
    );
  }
  const [file, ...more] = files;
  if (file === undefined || more.length > 0) {
    const what = file === undefined ? 'no file is given' : `${files.length} files are given`;
    throw new UsageError(`cannot export: ${what}; write ${EXPORT_EXAMPLE}`);
  }
  return { engine, file, image };
}

/** What `--help` shows. */
export const EXPORT_HELP = `Usage: upkeep export --compose|--kubernetes|--swarm [--image IMAGE] FILE

Prints a policy file as one of another engine: a service, or a workload, for
each command. What that engine can't do is said in comments, where it is
missing. Variables are filled in as they are now.

Options:
  --compose       for Docker Compose
  --kubernetes    Deployments, Jobs, CronJobs and Services
  --swarm         for docker stack deploy
  --image IMAGE   the image that has all the programs
  -h, --help      show this

Exit codes:
  0   it is printed
  64  the command line can't be understood
  78  FILE can't be used

Example:
  upkeep export --compose --image shop:1.0 upkeep.yaml >compose.yaml
`;
