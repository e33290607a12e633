/** Reads the command lines of the verbs that ask a running upkeep. */
import { type ControlVerb, optionName, parseDuration } from './options.ts';
import { readSignalName } from './signals.ts';
import { didYouMean, shown, UsageError } from './usage-error.ts';

/** What every such verb can be told. */
interface Common {
  /** The control socket's path; null: the default one. */
  readonly socket: string | null;
}

/** For whom an order is. */
export type Target =
  | { readonly names: readonly string[] }
  | { readonly group: string }
  | { readonly all: true };

interface Waiting {
  /** Until it is so. */
  readonly wait: boolean;
  /** ms; null: as long as is reasonable. */
  readonly timeout: number | null;
}

/** What is read of lines or events. */
interface Reading {
  readonly names: readonly string[];
  /** Goes on with what comes. */
  readonly follow: boolean;
  /** So many; null: all that are kept. */
  readonly last: number | null;
  readonly since: number | null;
  readonly json: boolean;
}

export type ControlRequest = Common &
  (
    | {
        readonly kind: 'status';
        readonly names: readonly string[];
        readonly json: boolean;
        readonly watch: boolean;
      }
    | { readonly kind: 'why'; readonly name: string; readonly json: boolean }
    | ({ readonly kind: 'order'; readonly verb: OrderVerb; readonly target: Target } & Waiting)
    | { readonly kind: 'signal'; readonly name: string; readonly signal: string }
    | ({ readonly kind: 'shutdown' } & Waiting)
    /** `target` null: the policy. */
    | ({ readonly kind: 'reload'; readonly target: Target | null } & Waiting)
    /** `since`: ms ago. */
    | ({ readonly kind: 'logs' } & Reading)
    /** `since`: those behind this number. */
    | ({ readonly kind: 'events' } & Reading)
    | {
        readonly kind: 'health';
        readonly which: 'ready' | 'live';
        readonly names: readonly string[];
        readonly json: boolean;
      }
  );

export type OrderVerb = 'start' | 'stop' | 'restart';

type Takes = 'none' | 'value';
/** Those of all of them. */
export const COMMON_OPTIONS: Readonly<Record<string, Takes>> = {
  '--socket': 'value',
  '--help': 'none',
  '-h': 'none',
};
const WAITING: Readonly<Record<string, Takes>> = { '--no-wait': 'none', '--timeout': 'value' };
const TARGETED: Readonly<Record<string, Takes>> = { '--all': 'none', '--group': 'value', ...WAITING };
/** Options of each verb, and whether a value follows. */
export const VERB_OPTIONS: Readonly<Record<ControlVerb, Readonly<Record<string, Takes>>>> = {
  status: { '--json': 'none', '--watch': 'none', '-w': 'none' },
  why: { '--json': 'none' },
  start: TARGETED,
  stop: TARGETED,
  restart: TARGETED,
  reload: TARGETED,
  signal: {},
  shutdown: WAITING,
  logs: {
    '-f': 'none',
    '--follow': 'none',
    '-n': 'value',
    '--lines': 'value',
    '--since': 'value',
    '--json': 'none',
  },
  events: {
    '-f': 'none',
    '--follow': 'none',
    '-n': 'value',
    '--lines': 'value',
    '--since': 'value',
    '--json': 'none',
  },
  health: { '--ready': 'none', '--live': 'none', '--json': 'none' },
};

/** Reads the arguments behind the verb. null: help is asked for. @throws UsageError */
export function parseControl(verb: ControlVerb, argv: readonly string[]): ControlRequest | null {
  const { given, words } = split(verb, argv);
  if (given.has('--help') || given.has('-h')) return null;
  const has = (...names: string[]): boolean => names.some((name) => given.has(name));
  const value = (...names: string[]): string | null =>
    names.map((name) => given.get(name)).find((each) => each !== undefined) ?? null;
  const common = { socket: value('--socket') };
  const json = has('--json');
  const timeout = value('--timeout');
  const waiting: Waiting = {
    wait: !has('--no-wait'),
    timeout: timeout === null ? null : parseDuration(timeout, '--timeout'),
  };
  switch (verb) {
    case 'status':
      if (json && has('--watch', '-w')) {
        throw new UsageError('cannot watch as JSON: write upkeep events -f --json to follow what happens');
      }
      return { ...common, kind: 'status', names: words, json, watch: has('--watch', '-w') };
    case 'why': {
      const [name, ...more] = words;
      if (name === undefined || more.length > 0) {
        const what = name === undefined ? 'no command is named' : `${words.length} are named`;
        throw new UsageError(`cannot say why: ${what}; write upkeep why NAME`);
      }
      return { ...common, kind: 'why', name, json };
    }
    case 'start':
    case 'stop':
    case 'restart':
      return {
        ...common,
        ...waiting,
        kind: 'order',
        verb,
        target: targetOf(verb, words, has('--all'), value('--group')) ?? nobody(verb),
      };
    case 'reload':
      return {
        ...common,
        ...waiting,
        kind: 'reload',
        target: targetOf(verb, words, has('--all'), value('--group')),
      };
    case 'signal': {
      const [name, signal, ...more] = words;
      if (name === undefined || signal === undefined || more.length > 0) {
        throw new UsageError(
          'cannot send a signal: it takes a command and a signal; write upkeep signal web HUP',
        );
      }
      return { ...common, kind: 'signal', name, signal: readSignalName(signal) };
    }
    case 'shutdown':
      none(verb, words);
      return { ...common, ...waiting, kind: 'shutdown' };
    case 'logs':
    case 'events': {
      const since = value('--since');
      return {
        ...common,
        kind: verb,
        names: words,
        follow: has('-f', '--follow'),
        last: countOf(value('-n', '--lines')),
        since: verb === 'events' ? numberOf(since) : since === null ? null : parseDuration(since, '--since'),
        json,
      };
    }
    case 'health':
      if (has('--ready') && has('--live')) {
        throw new UsageError('cannot check both at once: write --ready or --live');
      }
      return { ...common, kind: 'health', which: has('--live') ? 'live' : 'ready', names: words, json };
  }
}

function split(
  verb: ControlVerb,
  argv: readonly string[],
): { readonly given: ReadonlyMap<string, string>; readonly words: readonly string[] } {
  const options = { ...VERB_OPTIONS[verb], ...COMMON_OPTIONS };
  const given = new Map<string, string>();
  const words: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at]!;
    if (argument === '--') {
      words.push(...argv.slice(at + 1));
      break;
    }
    if (!argument.startsWith('-') || argument === '-') {
      words.push(argument);
      continue;
    }
    const { name, behind } = taken(argument, options);
    const takes = Object.hasOwn(options, name) ? options[name] : undefined;
    if (takes === undefined) {
      throw new UsageError(
        `cannot use the option ${shown(name)} with ${verb}: it is unknown${didYouMean(name, Object.keys(options))}; see upkeep ${verb} --help`,
      );
    }
    if (takes === 'none') {
      if (behind !== null) {
        throw new UsageError(`cannot use ${shown(argument)}: ${name} takes no value; write ${name} alone`);
      }
      given.set(name, '');
      continue;
    }
    const text = behind ?? argv[++at] ?? '';
    if (text === '' || (behind === null && text.startsWith('-'))) {
      throw new UsageError(`cannot use ${name}: it needs a value; write ${name} ${exampleOf(verb, name)}`);
    }
    given.set(name, text);
  }
  return { given, words };
}

/** The option, and its value where that is in the same word: `--lines=5`, and `-n5` as well. */
function taken(
  argument: string,
  options: Readonly<Record<string, Takes>>,
): { readonly name: string; readonly behind: string | null } {
  const short = argument.slice(0, 2);
  if (short !== '--' && argument.length > 2 && Object.hasOwn(options, short) && options[short] === 'value') {
    return { name: short, behind: argument.slice(argument[2] === '=' ? 3 : 2) };
  }
  const name = optionName(argument);
  return { name, behind: argument.length > name.length ? argument.slice(name.length + 1) : null };
}

const EXAMPLES: Readonly<Record<string, string>> = {
  '--socket': '/run/upkeep.sock',
  '--group': 'NAME',
  '--timeout': '30s',
  '--since': '5m',
  '--lines': '100',
  '-n': '100',
};

/** Of events the number of one, as they show it. */
const exampleOf = (verb: ControlVerb, name: string): string | undefined =>
  verb === 'events' && name === '--since' ? '41' : EXAMPLES[name];

/** null: nobody is named. */
function targetOf(
  verb: ControlVerb,
  names: readonly string[],
  all: boolean,
  group: string | null,
): Target | null {
  if ([names.length > 0, all, group !== null].filter(Boolean).length > 1) {
    throw wrongTarget(verb, 'names, --all and --group exclude each other');
  }
  if (all) return { all: true };
  if (group !== null) return { group };
  return names.length === 0 ? null : { names };
}

function nobody(verb: ControlVerb): never {
  throw wrongTarget(verb, 'nobody is named');
}

const wrongTarget = (verb: ControlVerb, what: string): UsageError =>
  new UsageError(`cannot ${verb}: ${what}; write upkeep ${verb} NAME…, or --group NAME, or --all`);

const shownName = (name: string): string => (/^[\w.-]+$/.test(name) && name.length <= 64 ? name : 'NAME');

function none(verb: ControlVerb, words: readonly string[]): void {
  if (words.length === 0) return;
  throw new UsageError(
    `cannot use ${shown(words[0]!)} with ${verb}: it takes no names, it is for all of upkeep; write upkeep ${verb}, or upkeep stop ${shownName(words[0]!)}`,
  );
}

function countOf(text: string | null): number | null {
  if (text === null) return null;
  return wholeNumber(text) ?? refuse(`cannot use ${shown(text)} for -n: it is no whole number; write -n 100`);
}

function numberOf(text: string | null): number | null {
  if (text === null) return null;
  const why =
    'it is no number of an event, as upkeep events shows it; of a time, there are the logs: upkeep logs --since 5m';
  return wholeNumber(text) ?? refuse(`cannot use ${shown(text)} for --since: ${why}`);
}

function wholeNumber(text: string): number | null {
  const number = Number(text);
  return /^\d+$/.test(text) && Number.isSafeInteger(number) ? number : null;
}

function refuse(message: string): never {
  throw new UsageError(message);
}
