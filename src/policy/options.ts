import { isIP } from 'node:net';
import { formatDuration } from '../output/duration.ts';
import { parseCommands } from './command.ts';
import type { CommandSpec } from './spec.ts';
import { didYouMean, shown, UsageError } from './usage-error.ts';
import { quoteWord } from './words.ts';

/** What `upkeep run` was asked for besides its commands. Every duration is in milliseconds. */
export interface RunOptions {
  /** Between two scans. */
  readonly interval: number;
  /** Until nothing may be left when upkeep is asked to stop. */
  readonly grace: number;
  readonly log: 'plain' | 'json' | 'raw';
  /** Ends the container when a command has failed for good: true for any, else one of these. */
  readonly exitOnFailed: boolean | readonly string[];
  /** Takes over what already runs instead of starting it twice. */
  readonly adopt: boolean;
  /** null: what suits the platform. */
  readonly table: 'procfs' | 'ps-list' | null;
  /** The control socket's path; null: the default one. */
  readonly socket: string | null;
  /** Something listens on the socket. */
  readonly control: boolean;
  /** Bytes that are kept in memory of what each command has written last. */
  readonly logMemory: number;
  /** Where syslog messages are heard; null: nowhere. */
  readonly syslog: string | null;
  /** `ADDRESS:PORT` at which orchestrators are answered; null: nowhere. */
  readonly http: string | null;
  /** `ADDRESS:PORT` at which the inspector is; null: nowhere. */
  readonly inspect: string | null;
  /** The file that everything is recorded to which the machines are told; null: none. */
  readonly record: string | null;
  /** Bytes at which that file is full, and another is begun. */
  readonly recordSize: number;
}

/** Where programs send syslog messages to. */
export const SYSLOG_PATH = '/dev/log';
/** Where orchestrators are answered unless it is said where: by whoever is in the same container. */
export const HTTP_ADDRESS = '127.0.0.1:8753';
/** Where the inspector is unless it is said where. */
export const INSPECT_PORT = 9777;
const INSPECT_ADDRESS = `127.0.0.1:${INSPECT_PORT}`;

/** Where `upkeep run` has its commands from. */
export interface Sources {
  readonly commands: readonly CommandSpec[];
  /** Paths; null: none is given. */
  readonly policy: string | null;
  readonly procfile: string | null;
}

export type RunRequest =
  | ({ readonly kind: 'run'; readonly options: RunOptions } & Sources)
  | { readonly kind: 'check'; readonly file: string; readonly json: boolean }
  /** The words behind it: whoever does it reads them. */
  | { readonly kind: 'export' | 'inspect' | 'simulate'; readonly words: readonly string[] }
  /** The words behind a verb that asks a running upkeep: whoever asks reads them. */
  | { readonly kind: 'control'; readonly verb: ControlVerb; readonly words: readonly string[] }
  | { readonly kind: 'completion'; readonly shell: CompletionShell }
  | { readonly kind: 'help'; readonly topic: HelpTopic | null }
  | { readonly kind: 'version' };

export const RUN_DEFAULTS: RunOptions = {
  interval: 5_000,
  grace: 9_000,
  log: 'plain',
  exitOnFailed: false,
  adopt: true,
  table: null,
  socket: null,
  control: true,
  logMemory: 64 * 1024,
  syslog: null,
  http: null,
  inspect: null,
  record: null,
  recordSize: 16 * 1024 ** 2,
};

/** Verbs that ask a running upkeep. */
export const CONTROL_VERBS = [
  'status',
  'why',
  'start',
  'stop',
  'restart',
  'reload',
  'signal',
  'shutdown',
  'logs',
  'events',
  'health',
] as const;
export type ControlVerb = (typeof CONTROL_VERBS)[number];

/** Shells that `upkeep completion` knows. */
export const COMPLETION_SHELLS = ['bash', 'zsh', 'fish'] as const;
export type CompletionShell = (typeof COMPLETION_SHELLS)[number];

export type HelpTopic = 'run' | 'check' | 'completion';

const TOPICS: readonly HelpTopic[] = ['run', 'check', 'completion'];
/** Verbs that read the words behind them themselves. */
const OWN_WORDS = ['export', 'inspect', 'simulate'] as const;
const VERBS = [...TOPICS, ...OWN_WORDS, ...CONTROL_VERBS, 'help'];
const EXAMPLE = 'upkeep run "/usr/sbin/sshd" "/etc/init.d/apache2 start"';
const LOGS = ['plain', 'json', 'raw'] as const;
const TABLES = ['procfs', 'ps-list'] as const;

/** Options of `run`, and whether a value follows: `optional` only behind `=`. */
const OPTIONS: Readonly<Record<string, 'none' | 'needed' | 'optional'>> = {
  '--adopt': 'none',
  '--exit-on-failed': 'optional',
  '--grace': 'needed',
  '--help': 'none',
  '--http': 'optional',
  '--inspect': 'optional',
  '--interval': 'needed',
  '--log': 'needed',
  '--log-memory': 'needed',
  '--no-adopt': 'none',
  '--no-control': 'none',
  '--policy': 'needed',
  '--process-table': 'needed',
  '--procfile': 'needed',
  '--record': 'needed',
  '--record-size': 'needed',
  '--socket': 'needed',
  '--syslog': 'optional',
  '--version': 'none',
  '-V': 'none',
  '-h': 'none',
};

/** Reads the arguments behind `upkeep`. @throws UsageError for what can't be understood. */
export function parseRunArguments(argv: readonly string[]): RunRequest {
  const [verb, ...rest] = argv;
  if (verb === undefined) {
    throw new UsageError(`cannot start: no verb is given; write, for instance, ${EXAMPLE}, or upkeep --help`);
  }
  if (verb === 'run') return parseRun(rest);
  if (verb === 'check') return parseCheck(rest);
  const own = OWN_WORDS.find((each) => each === verb);
  if (own !== undefined) return { kind: own, words: rest };
  if (verb === 'completion') return parseCompletion(rest);
  const control = CONTROL_VERBS.find((each) => each === verb);
  if (control !== undefined) return { kind: 'control', verb: control, words: rest };
  if (verb === '--help' || verb === '-h') return { kind: 'help', topic: null };
  if (verb === '--version' || verb === '-V') return { kind: 'version' };
  if (verb === 'help') {
    const [topic, ...more] = rest;
    if (more.length > 0) {
      throw new UsageError(
        `cannot show help for ${more.length + 1} topics: help takes one; write upkeep help run`,
      );
    }
    if (topic === undefined || ['help', '--help', '-h'].includes(topic)) return { kind: 'help', topic: null };
    const reading = OWN_WORDS.find((each) => each === topic);
    if (reading !== undefined) return { kind: reading, words: ['--help'] };
    const known = TOPICS.find((each) => each === topic);
    if (known !== undefined) return { kind: 'help', topic: known };
    const asking = CONTROL_VERBS.find((each) => each === topic);
    if (asking !== undefined) return { kind: 'control', verb: asking, words: ['--help'] };
    throw new UsageError(
      `cannot show help for ${shown(topic)}: there is no such verb${didYouMean(topic, VERBS)}; write upkeep --help`,
    );
  }
  if (verb.startsWith('-')) {
    const at = verbBehind(argv);
    if (at > 0) {
      const words = [argv[at]!, ...argv.slice(0, at), ...argv.slice(at + 1)].map(quoteWord);
      throw new UsageError(
        `cannot use ${shown(optionName(verb))} in front of the verb: options go behind it; write upkeep ${words.join(' ')}`,
      );
    }
    throw new UsageError(
      isOption(verb)
        ? `cannot use ${optionName(verb)} here: it is an option of run; write upkeep run ${verb} …`
        : `cannot use the option ${shown(verb)}: it is unknown${didYouMean(verb, ['--help', '--version'])}; write upkeep --help`,
    );
  }
  if (/[/\s]/.test(verb)) {
    throw new UsageError(
      `cannot use ${shown(verb)} as a verb: it looks like a command; write upkeep run ${argv.map(quotedCommand).join(' ')}`,
    );
  }
  throw new UsageError(
    `cannot use ${shown(verb)} as a verb: there is no such verb${didYouMean(verb, VERBS)}; write upkeep --help, or upkeep run ${quotedCommand(verb)} if it is a command`,
  );
}

/** Where the verb is that options, and their values, stand in front of; -1: nowhere. */
function verbBehind(argv: readonly string[]): number {
  const at = argv.findIndex((word, index) => {
    if (word.startsWith('-')) return false;
    const before = argv[index - 1]!;
    return VERBS.includes(word) || !before.startsWith('-') || before.includes('=');
  });
  return at >= 0 && VERBS.includes(argv[at]!) ? at : -1;
}

function parseRun(argv: readonly string[]): RunRequest {
  const options: { -readonly [Key in keyof RunOptions]: RunOptions[Key] } = { ...RUN_DEFAULTS };
  let any = false;
  let isSized = false;
  const named = new Set<string>();
  let policy: string | null = null;
  let procfile: string | null = null;
  let at = 0;
  for (; at < argv.length; at++) {
    const argument = argv[at]!;
    if (argument === '--' || !argument.startsWith('-')) break;
    const name = optionName(argument);
    const takes = OPTIONS[name];
    if (!isOption(argument) || takes === undefined) throw unknownOption(argument, name);
    let value = argument.length > name.length ? argument.slice(name.length + 1) : null;
    if (takes === 'none' && value !== null) {
      const remedy = name === '--adopt' ? '--adopt or --no-adopt' : name;
      throw new UsageError(`cannot use ${shown(argument)}: ${name} takes no value; write ${remedy} alone`);
    }
    if (takes === 'needed') {
      if (value === null) {
        const next = argv[at + 1];
        if (next !== undefined && !next.startsWith('-')) value = argv[++at]!;
      }
      if (value === null || value === '') {
        throw new UsageError(`cannot use ${name}: it needs a value; write ${name} ${EXAMPLE_VALUES[name]}`);
      }
    }
    switch (name) {
      case '-h':
      case '--help':
        return { kind: 'help', topic: 'run' };
      case '-V':
      case '--version':
        return { kind: 'version' };
      case '--interval':
        options.interval = bounded(value!, name, 50, 3_600_000);
        break;
      case '--grace':
        options.grace = bounded(value!, name, 0, 3_600_000);
        break;
      case '--log':
        options.log = oneOf(value!, name, LOGS);
        break;
      case '--log-memory': {
        const bytes = parseSize(value!);
        if (bytes === null || bytes < LOG_MEMORY_LEAST || bytes > LOG_MEMORY_MOST) {
          throw new UsageError(
            `cannot use ${shown(value!)} for ${name}: it is no size from 1k to 1G; write, for instance, ${name} 256k`,
          );
        }
        options.logMemory = bytes;
        break;
      }
      case '--record':
        options.record = value;
        break;
      case '--record-size': {
        const bytes = parseSize(value!);
        if (bytes === null || bytes < RECORD_LEAST || bytes > RECORD_MOST) {
          throw new UsageError(
            `cannot use ${shown(value!)} for ${name}: it is no size from 64k to 1G; write, for instance, ${name} 64M`,
          );
        }
        options.recordSize = bytes;
        isSized = true;
        break;
      }
      case '--no-control':
        options.control = false;
        break;
      case '--process-table':
        options.table = oneOf(value!, name, TABLES);
        break;
      case '--socket':
        options.socket = value;
        break;
      case '--syslog':
        if (value === null) refuseApart(name, argv[at + 1], isSocketPath, 'it is the path of a socket');
        if (value === '')
          throw new UsageError(
            `cannot use ${shown(argument)}: the path is empty; write --syslog alone for ${SYSLOG_PATH}, or --syslog=PATH`,
          );
        options.syslog = value ?? SYSLOG_PATH;
        break;
      case '--http':
        if (value === null) refuseApart(name, argv[at + 1], isAddress, 'it is an address');
        options.http = value === null ? HTTP_ADDRESS : parseHttpAddress(value);
        if (options.http === null) {
          throw new UsageError(
            `cannot use ${shown(argument)}: it is neither a port nor ADDRESS:PORT with an IP address; write --http alone for ${HTTP_ADDRESS}, or, for whoever can reach this machine, --http=0.0.0.0:8753`,
          );
        }
        break;
      case '--inspect':
        if (value === null) refuseApart(name, argv[at + 1], isAddress, 'it is an address');
        options.inspect = value === null ? INSPECT_ADDRESS : parseHttpAddress(value);
        if (options.inspect === null) {
          throw new UsageError(
            `cannot use ${shown(argument)}: it is neither a port nor ADDRESS:PORT with an IP address; write --inspect alone for ${INSPECT_ADDRESS}, or --inspect=PORT`,
          );
        }
        break;
      case '--policy':
        policy = once(policy, value!, name);
        break;
      case '--procfile':
        procfile = once(procfile, value!, name);
        break;
      case '--adopt':
      case '--no-adopt':
        options.adopt = name === '--adopt';
        break;
      case '--exit-on-failed':
        if (value === null) any = true;
        for (const part of value?.split(',') ?? []) {
          if (part === '') {
            throw new UsageError(
              `cannot use ${shown(argument)}: a name is empty; write ${name}=NAME,NAME, or ${name} alone for any command`,
            );
          }
          named.add(part);
        }
        break;
    }
  }

  const dashes = argv[at] === '--';
  const texts = argv.slice(dashes ? at + 1 : at);
  const stray = dashes ? -1 : texts.findIndex((text) => text.startsWith('-'));
  if (stray > 0) throw strayOption(texts, stray);
  if (texts.length === 0 && policy === null && procfile === null) {
    throw new UsageError(`cannot run: no command is given; write, for instance, ${EXAMPLE}`);
  }
  if (isSized && options.record === null) {
    throw new UsageError('cannot use --record-size alone: nothing is recorded; write --record FILE as well');
  }
  const commands = parseCommands(texts);
  options.exitOnFailed = any || (named.size > 0 && [...named]);
  if (policy === null && procfile === null) checkNames(options, commands);
  return { kind: 'run', options, commands, policy, procfile };
}

/** That options speak of commands which are there. @throws UsageError */
export function checkNames(
  { exitOnFailed }: RunOptions,
  commands: readonly Pick<CommandSpec, 'name'>[],
): void {
  if (typeof exitOnFailed === 'boolean') return;
  const names = commands.map((command) => command.name);
  for (const name of exitOnFailed) {
    if (names.includes(name)) continue;
    throw new UsageError(
      `cannot exit on the failure of ${shown(name)}: no command has that name${didYouMean(name, names)}; the names are ${names.join(', ')}`,
    );
  }
}

function once(before: string | null, value: string, name: string): string {
  if (before === null) return value;
  throw new UsageError(
    `cannot use ${name} twice: ${shown(before)} and ${shown(value)}; let one policy file include the other`,
  );
}

function parseCheck(argv: readonly string[]): RunRequest {
  let json = false;
  const files: string[] = [];
  for (const argument of argv) {
    if (argument === '--help' || argument === '-h') return { kind: 'help', topic: 'check' };
    if (argument === '--json') json = true;
    else if (argument.startsWith('-')) throw unknownHere(argument, 'check', ['--json', '--help']);
    else files.push(argument);
  }
  const [file, ...more] = files;
  if (file === undefined || more.length > 0) {
    const what = file === undefined ? 'no file is given' : `${files.length} files are given`;
    throw new UsageError(`cannot check: ${what}; write upkeep check upkeep.yaml`);
  }
  return { kind: 'check', file, json };
}

function parseCompletion(argv: readonly string[]): RunRequest {
  const [first, ...more] = argv;
  if (first === '--help' || first === '-h') return { kind: 'help', topic: 'completion' };
  const shell = COMPLETION_SHELLS.find((each) => each === first);
  if (shell !== undefined && more.length === 0) return { kind: 'completion', shell };
  const what =
    first === undefined ? 'no shell is named' : `there is no such shell as ${shown(argv.join(' '))}`;
  throw new UsageError(
    `cannot complete: ${what}${didYouMean(first ?? '', COMPLETION_SHELLS)}; write upkeep completion ${COMPLETION_SHELLS.join(', or ')}`,
  );
}

/** For a verb other than run. */
export function unknownHere(argument: string, verb: string, known: readonly string[]): UsageError {
  const name = optionName(argument);
  return new UsageError(
    `cannot use the option ${shown(name)} with ${verb}: it is unknown${didYouMean(name, known)}; see upkeep ${verb} --help`,
  );
}

const EXAMPLE_VALUES: Readonly<Record<string, string>> = {
  '--grace': '9s',
  '--interval': '5s',
  '--policy': 'upkeep.yaml',
  '--log': 'json',
  '--log-memory': '256k',
  '--process-table': 'ps-list',
  '--procfile': 'Procfile',
  '--record': '/var/log/upkeep.record',
  '--record-size': '64M',
  '--socket': '/run/upkeep.sock',
};

const NUMBER = '(\\d+(?:\\.\\d+)?|\\.\\d+)';
const SECONDS = new RegExp(`^${NUMBER}$`);
const DURATION = new RegExp(
  `^(?:${NUMBER} ?d)? ?(?:${NUMBER} ?h)? ?(?:${NUMBER} ?m)? ?(?:${NUMBER} ?s)? ?(?:${NUMBER} ?ms)?$`,
);

/** Reads `500ms`, `5s`, `1.5s`, `2m`, `1h`, `1m30s`, `3 m 2 s`; a bare number is in seconds.
 * @param what names the thing in errors: an option, a key.
 * @returns whole milliseconds.
 * @throws UsageError for anything else. */
export function parseDuration(text: string, what: string): number {
  const bare = SECONDS.exec(text);
  const parts = bare ? [0, 0, 0, bare[1], 0] : DURATION.exec(text)?.slice(1);
  const units = [86_400_000, 3_600_000, 60_000, 1_000, 1];
  const ms = Math.round(
    (parts ?? []).reduce<number>((sum, part, i) => sum + Number(part ?? 0) * units[i]!, 0),
  );
  if (!parts?.some((part) => part !== undefined) || !Number.isSafeInteger(ms)) {
    const why = parts && !Number.isSafeInteger(ms) ? 'is too long' : 'is no duration';
    throw new UsageError(
      `cannot use ${shown(text)} for ${what}: it ${why}; write a number and a unit, as in 500ms, 1.5s, 2m or 1h`,
    );
  }
  return ms;
}

const LOG_MEMORY_LEAST = 1_024;
const LOG_MEMORY_MOST = 1_024 ** 3;
const RECORD_LEAST = 64 * 1_024;
const RECORD_MOST = 1_024 ** 3;

/** Reads `512k`, `10MB`, `1GiB`: powers of 1024. @returns bytes; null: it is no size */
export function parseSize(text: string): number | null {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?) ?(?:([kmg])?i?b?)?$/i.exec(text) ?? [];
  const bytes = Math.round(Number(number) * 1024 ** ['', 'k', 'm', 'g'].indexOf(unit.toLowerCase()));
  return number !== undefined && Number.isSafeInteger(bytes) ? bytes : null;
}

/** Reads `8753`, `0.0.0.0:8753`, `[::1]:8753`. @returns `ADDRESS:PORT`, loopback where no address is said; null: it is neither */
export function parseHttpAddress(text: string): string | null {
  const [, address = '127.0.0.1', digits] = /^(?:(\[[\da-f:.]+\]|[\d.]+):)?(\d{1,5})$/i.exec(text) ?? [];
  const port = Number(digits);
  if (!(port >= 1 && port <= 65_535) || isIP(address.replace(/[[\]]/g, '')) === 0) return null;
  return `${address}:${port}`;
}

const isAddress = (text: string): boolean => parseHttpAddress(text) !== null;
/** Programs are elsewhere. */
const isSocketPath = (text: string): boolean => /^\/(dev|run|var\/run)\/\S+$|^\/\S+\.sock$/.test(text);

/** A value that stands apart from its option would be a command. */
function refuseApart(
  name: string,
  next: string | undefined,
  isValue: (text: string) => boolean,
  what: string,
): void {
  if (next === undefined || !isValue(next)) return;
  throw new UsageError(
    `cannot use ${shown(next)} as a command: ${what}; write ${name}=${next}, or, if it really is a command, put -- first: ${name} -- ${next}`,
  );
}

function bounded(text: string, what: string, least: number, most: number): number {
  const ms = parseDuration(text, what);
  if (ms >= least && ms <= most) return ms;
  const why = ms < least ? `the least is ${formatDuration(least)}` : `the most is ${formatDuration(most)}`;
  throw new UsageError(
    `cannot use ${shown(text)} for ${what}: ${why}; write something from ${formatDuration(least)} to ${formatDuration(most)}`,
  );
}

function oneOf<T extends string>(text: string, what: string, choices: readonly T[]): T {
  const choice = choices.find((candidate) => candidate === text);
  if (choice !== undefined) return choice;
  throw new UsageError(
    `cannot use ${shown(text)} for ${what}: it is unknown${didYouMean(text, choices)}; write one of ${choices.join(', ')}`,
  );
}

/** What stands in front of `=`. */
export function optionName(argument: string): string {
  return argument.split('=', 1)[0]!;
}

function isOption(argument: string): boolean {
  const name = optionName(argument);
  return Object.hasOwn(OPTIONS, name) && (name === argument || name.startsWith('--'));
}

function unknownOption(argument: string, name: string): UsageError {
  return new UsageError(
    `cannot use the option ${shown(name)}: it is unknown${didYouMean(name, Object.keys(OPTIONS))}; see upkeep run --help, or, if it is a command, put -- first: upkeep run -- ${quotedCommand(argument)}`,
  );
}

/** An argument that begins with a dash behind the first command: most often, somebody forgot the quotes. */
function strayOption(texts: readonly string[], stray: number): UsageError {
  const argument = texts[stray]!;
  const whole = [texts[stray - 1]!, ...texts.slice(stray).map(quoteWord)].join(' ');
  const before = texts
    .slice(0, stray - 1)
    .map((text) => `${quotedCommand(text)} `)
    .join('');
  const quoted = `upkeep run ${before}${quotedCommand(whole)}`;
  const what = isOption(argument) ? `the option ${shown(argument)}` : shown(argument);
  return new UsageError(
    `cannot use ${what} behind the command ${shown(texts[stray - 1]!)}: options go before the first command; ` +
      `if it belongs to the command, quote the whole command: ${quoted}; ` +
      `if it really is a command of its own, put -- first: upkeep run -- ${texts.map(quotedCommand).join(' ')}`,
  );
}

/** As one would type it: `"nginx -g 'daemon off;'"`. */
function quotedCommand(text: string): string {
  return `"${text.replace(/["$`\\]/g, '\\$&')}"`;
}
