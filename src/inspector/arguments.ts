/** The words behind `upkeep inspect` and `upkeep simulate`. */
import { INSPECT_PORT, optionName, parseDuration, unknownHere } from '../policy/options.ts';
import { shown, UsageError } from '../policy/usage-error.ts';

export interface InspectRequest {
  /** The recording. */
  readonly file: string;
  /** It is checked, and for whom that is told; null: it is shown. */
  readonly verify: { readonly json: boolean } | null;
  /** Where it is shown. */
  readonly port: number;
}

export interface SimulateRequest {
  /** The policy file. */
  readonly policy: string;
  /** null: everything goes well. */
  readonly script: string | null;
  /** ms of virtual time; null: as the script says. */
  readonly until: number | null;
  readonly json: boolean;
  /** Where to record it; null: nowhere. */
  readonly record: string | null;
}

/** Reads the words behind `upkeep inspect`; null: help is asked for. @throws UsageError */
export function parseInspect(argv: readonly string[]): InspectRequest | null {
  const { given, files, isHelp } = split('inspect', argv, {
    '--verify': false,
    '--json': false,
    '--port': '9778',
  });
  if (isHelp) return null;
  const file = only(files, 'inspect', 'upkeep inspect FILE');
  const json = given.has('--json');
  if (given.has('--verify')) {
    if (given.has('--port')) throw new UsageError('cannot use --port with --verify: then nothing is shown');
    return { file, verify: { json }, port: INSPECT_PORT };
  }
  if (json) throw new UsageError('cannot use --json alone: it is for what --verify tells; write both');
  const port = given.get('--port') ?? String(INSPECT_PORT);
  if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535) {
    throw new UsageError(`cannot use ${shown(port)} for --port: it is no port; write --port 9778`);
  }
  return { file, verify: null, port: Number(port) };
}

/** Reads the words behind `upkeep simulate`; null: help is asked for. @throws UsageError */
export function parseSimulate(argv: readonly string[]): SimulateRequest | null {
  const { given, files, isHelp } = split('simulate', argv, {
    '--script': 'FILE',
    '--until': '1h',
    '--record': 'FILE',
    '--json': false,
  });
  if (isHelp) return null;
  const until = given.get('--until');
  return {
    policy: only(files, 'simulate', 'upkeep simulate --script what-if.yaml upkeep.yaml'),
    script: given.get('--script') ?? null,
    until: until === undefined ? null : parseDuration(until, '--until'),
    json: given.has('--json'),
    record: given.get('--record') ?? null,
  };
}

/** @param options of each, an example of its value; false: it takes none */
function split(verb: string, argv: readonly string[], options: Readonly<Record<string, string | false>>) {
  const given = new Map<string, string>();
  const files: string[] = [];
  let isHelp = false;
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at]!;
    const name = optionName(argument);
    if (argument === '--help' || argument === '-h') isHelp = true;
    else if (argument === '--') {
      files.push(...argv.slice(at + 1));
      break;
    } else if (!argument.startsWith('-')) files.push(argument);
    else if (!Object.hasOwn(options, name)) {
      throw unknownHere(argument, verb, [...Object.keys(options), '--help']);
    } else if (options[name] === false) {
      if (argument !== name)
        throw new UsageError(`cannot use ${argument}: ${name} takes no value; write ${name} alone`);
      given.set(name, '');
    } else {
      const value = argument === name ? (argv[++at] ?? '') : argument.slice(name.length + 1);
      if (value === '' || (argument === name && value.startsWith('-'))) {
        throw new UsageError(`cannot use ${name}: it needs a value; write ${name} ${options[name]}`);
      }
      given.set(name, value);
    }
  }
  return { given, files, isHelp };
}

function only(files: readonly string[], verb: string, example: string): string {
  const [file, ...more] = files;
  if (file !== undefined && more.length === 0) return file;
  const what = file === undefined ? 'no file is given' : `${files.length} files are given`;
  throw new UsageError(`cannot ${verb}: ${what}; write ${example}`);
}

/** What `--help` shows. */
export const INSPECT_HELP = `Usage: upkeep inspect [--port PORT] FILE
       upkeep inspect --verify [--json] FILE

Shows a recording in a browser, as upkeep run --record FILE has written it, and
as upkeep run --inspect would have shown it, at any time: the state machines run
again, told what they were told then. Or checks that they do what they did.

Options:
  --port PORT   where it is shown, on this machine alone (default: 9777)
  --verify      tell whether they do the same, and if not, from which line on
  --json        the same for a program to read
  -h, --help    show this

Exit codes:
  0   they do the same
  1   they do not, and the first difference is told; or it can't be shown there
  64  the command line can't be understood
  78  FILE can't be read

Examples:
  upkeep inspect /var/log/upkeep.record
  upkeep inspect --verify /var/log/upkeep.record
`;

export const SIMULATE_HELP = `Usage: upkeep simulate [OPTION…] FILE

Shows what upkeep would do with a policy file when things go as a script says,
without starting anything: which command starts when, what its death brings
about, when it is given up, how everything stops. Time is virtual, so that a day
takes a moment.

Options:
  --script FILE       how starts turn out, and who dies when: YAML or JSON
                      (default: all goes well)
  --until DURATION    how long it is to be (default: as the script says, or 10m)
  --record FILE       record it, for upkeep inspect
  --json              for programs: as upkeep events does
  -h, --help          show this

Exit codes:
  0   it is shown
  64  the command line can't be understood
  78  a file can't be used

Examples:
  upkeep simulate upkeep.yaml
  upkeep simulate --script what-if.yaml --until 1h upkeep.yaml
`;
