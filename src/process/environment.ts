/** What services find in their environment, and what upkeep inherited and no service should. */
import { readdirSync } from 'node:fs';
import type { Native } from './native.ts';

/** Set by Node, npm and process managers for this very process. */
const JUNK =
  /^(?:NODE_OPTIONS|NODE_CHANNEL_FD|NODE_CHANNEL_SERIALIZATION_MODE|NODE_UNIQUE_ID|NODE_V8_COVERAGE|INIT_CWD|npm_.*|LISTEN_(?:FDS|FDNAMES|PID)|NOTIFY_SOCKET|WATCHDOG_(?:PID|USEC)|UPKEEP_NO_NATIVE)$/;

/** A copy of the environment for services, and the names that were left out of it. */
export function scrubEnvironment(env: NodeJS.ProcessEnv): { env: NodeJS.ProcessEnv; dropped: string[] } {
  const kept: NodeJS.ProcessEnv = {};
  const dropped: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (JUNK.test(name)) dropped.push(name);
    else kept[name] = value;
  }
  return { env: kept, dropped };
}

/** Keeps descriptors that whoever started upkeep left open from reaching the services. */
export function closeInherited(native: Native): void {
  let names: string[];
  try {
    names = readdirSync('/proc/self/fd');
  } catch {
    return;
  }
  for (const name of names) if (Number(name) > 2) native.closeOnExec(Number(name));
}

/** Why a command cannot be run as it is asked for: `why; what to do`. */
export class Refused extends Error {
  /** The system's word, where it is the system that refuses. */
  readonly code: string;
  constructor(message: string, code = '') {
    super(message);
    this.code = code;
  }
}

const NOTHING = /(?:\s+|[#;][^\n]*)*/y;
const NAME = /(?:export[ \t]+)?([^\s=#;'"]+)[ \t]*(=?)[ \t]*/y;
const VALUE = /'([^']*)'|"((?:\\.|[^"\\])*)"|([^\s'"][^\n]*)?/sy;
const REST = /[ \t\r]*(?:#[^\n]*)?(?:\n|$)/y;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\n': '' };

/**
 * Reads a file of `NAME=value` lines. Without quotes a value is what stands there to the end of the line, `#` and `$`
 * included; in quotes it may have several lines, and in double ones `\"`, `\\`, `\$`, `` \` ``, `\n`, `\r`, `\t`.
 * A name alone is what it is already.
 *
 * @throws Refused with the file and the line
 */
export function parseEnvFile(text: string, path: string): Record<string, string> {
  const found: Record<string, string> = {};
  let at = text.startsWith('\uFEFF') ? 1 : 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match !== null) at = pattern.lastIndex;
    return match;
  };
  // What stands there is never repeated: it may be a password.
  const refuse = (from: number, why: string): Refused =>
    new Refused(`${path}:${text.slice(0, from).split('\n').length}: ${why}`);
  for (take(NOTHING); at < text.length; take(NOTHING)) {
    const from = at;
    const name = take(NAME);
    if (name === null) throw refuse(from, 'there is no name; write NAME=value');
    const value = name[2] === '' ? null : take(VALUE)!;
    if (take(REST) === null) {
      const why = value === null ? 'there is no "=" behind the name' : 'the quotes do not end with the value';
      throw refuse(from, `${why}; write NAME=value, or NAME="a value with quotes around all of it"`);
    }
    if (value === null) continue;
    const [, single, double, plain] = value;
    const read =
      single ?? double?.replace(/\\([\\"$`nrt\n])/g, (_, c) => ESCAPES[c] ?? c) ?? plain?.trimEnd();
    if (read?.includes('\0')) throw refuse(from, 'there is a NUL byte; take it out');
    found[name[1]!] = read ?? '';
  }
  return found;
}

/** Variables whose values are the contents of files. */
export type Secrets = Readonly<Record<string, { readonly file: string | null }>>;

/**
 * Sets each secret's variable to what is in its file, without the last newline; the name of the file leaves the
 * environment.
 *
 * @param readFile throws Refused
 * @returns what is secret
 * @throws Refused where none of the ways to give it was used, or more than one
 */
export function revealSecrets(
  env: NodeJS.ProcessEnv,
  secrets: Secrets,
  readFile: (path: string, what: string) => string,
): string[] {
  return Object.entries(secrets).map(([name, { file }]) => {
    const named = `${name}_FILE`;
    const ways = [
      ...(env[name] === undefined ? [] : [name]),
      ...(env[named] === undefined ? [] : [named]),
      ...(file === null ? [] : [`the file of the policy, ${file}`]),
    ];
    if (ways.length === 0) {
      throw new Refused(
        `its secret ${name} is not given; set ${named} to the path of a file with it, or ${name} itself`,
      );
    }
    if (ways.length > 1)
      throw new Refused(`its secret ${name} is given twice, by ${ways.join(' and ')}; take one of them away`);
    const path = env[named] ?? file;
    if (path !== null) {
      const value = readFile(path, `the file of its secret ${name}`).replace(/\r?\n$/, '');
      if (value.includes('\0'))
        throw new Refused(`its secret ${name} has a NUL byte in ${path}; take it out`);
      env[name] = value;
      delete env[named];
    }
    return env[name]!;
  });
}

/** Shorter ones are words that stand anywhere. */
const SHORTEST_SECRET = 4;
/** Of a secret of several lines, which come one by one in a log: shorter ones are what frames it, as the braces of JSON do. */
const SHORTEST_LINE = 8;

/** The text with three stars for each secret. */
export function redact(text: string, secrets: Iterable<string>): string {
  // The longest first: one may be a part of another.
  return [...secrets]
    .filter((secret) => secret.length >= SHORTEST_SECRET)
    .sort((a, b) => b.length - a.length)
    .reduce((left, secret) => left.replaceAll(secret, '***'), text);
}

/** What stands there are words of upkeep's own, by which machines and readers go; in whatever has them as a key. */
const OWN_WORDS: ReadonlySet<string> = new Set(
  (
    'blame by clear desired detail did event exitWhen for from how id killed kind level lineage mode next of on onUnhealthy ' +
    'ordered overlap part reaping restart rule runOf scope signal since src state status stragglers strategy stream table ' +
    'time to type upkeep verdict version waitingFor what which wished'
  ).split(' '),
);
/** So is all that there is below. */
const OWN_WORLDS: ReadonlySet<string> = new Set(['reached', 'requires', 'rest', 'resting', 'value']);

/**
 * The value with `redact` done to each text in it. Keys and numbers stay, and so do the words that upkeep itself has made up, and
 * names: who reads it goes by them, and they tell nothing.
 *
 * @param isName the whole text is a name that the policy gives in the clear
 * @param key under which the value stands
 * @returns the same where there is nothing to take out
 */
export function redactTexts<T>(
  value: T,
  redact: (text: string) => string,
  isName: (text: string) => boolean,
  key = '',
): T {
  const visit = (each: unknown, at: string): unknown => {
    if (OWN_WORLDS.has(at)) return each;
    if (typeof each === 'string') {
      if (OWN_WORDS.has(at)) return each;
      const text = redact(each);
      return text === each || isName(each) ? each : text;
    }
    // An actor has no text of its own.
    if (typeof each !== 'object' || each === null || 'sessionId' in each) return each;
    if (each instanceof Error) {
      const message = redact(each.message);
      return message === each.message ? each : new Error(message);
    }
    if (each instanceof Set) return copied(each, [...each], at, (items) => new Set(items));
    if (Array.isArray(each)) return copied(each, each, at, (items) => items);
    const isMap = each instanceof Map;
    const entries: [unknown, unknown][] = isMap ? [...each] : Object.entries(each);
    let isSame = true;
    const shown = entries.map(([name, inner]): [unknown, unknown] => {
      const told = visit(inner, isMap ? at : (name as string));
      isSame &&= told === inner;
      return [name, told];
    });
    if (isSame) return each;
    return isMap ? new Map(shown) : Object.fromEntries(shown as [string, unknown][]);
  };
  const copied = (
    whole: object,
    items: readonly unknown[],
    at: string,
    make: (items: readonly unknown[]) => object,
  ): object => {
    const shown = items.map((item) => visit(item, at));
    return shown.every((item, index) => item === items[index]) ? whole : make(shown);
  };
  return visit(value, key) as T;
}

export interface Redactor {
  /** From now on these are not shown. */
  readonly learn: (secrets: readonly string[]) => void;
  /** Of a text that is no JSON: in that it would hit keys and numbers. */
  readonly redact: (text: string) => string;
  /** See redactTexts: of what becomes JSON. */
  readonly redactValue: <T>(value: T, key?: string) => T;
  /** The same for bytes in UTF-8: whole lines, or a secret may be cut in two. Those without a secret are given back as they are. */
  readonly redactBytes: (bytes: Buffer) => Buffer;
}

/**
 * Remembers every secret that a command was given, old ones too: they may still be in use.
 *
 * @param isName see redactTexts
 */
export function createRedactor(isName: (text: string) => boolean = () => false): Redactor {
  const known = new Set<string>();
  const hide = (text: string): string => (known.size === 0 ? text : redact(text, known));
  return {
    learn(secrets) {
      for (const secret of secrets) {
        const lines = secret.split('\n').map((line) => line.trim());
        const long = lines.length === 1 ? [] : lines.filter(({ length }) => length >= SHORTEST_LINE);
        // Twice: as it is, and as it looks in JSON.
        for (const part of [secret, ...long]) known.add(part).add(JSON.stringify(part).slice(1, -1));
      }
    },
    redact: hide,
    redactValue: (value, key) => (known.size === 0 ? value : redactTexts(value, hide, isName, key)),
    redactBytes(bytes) {
      const there = [...known].filter((secret) => bytes.includes(secret));
      if (there.length === 0) return bytes;
      // What is no UTF-8 stays as it is in latin1.
      const narrow = there.map((secret) => Buffer.from(secret).toString('latin1'));
      return Buffer.from(redact(bytes.toString('latin1'), narrow), 'latin1');
    },
  };
}
