/** Policy files: read, checked as a whole, and told of all mistakes at once. */
import { dirname, isAbsolute, join, normalize } from 'node:path/posix';
import type { CommandPolicy } from '../../machines/restart-policy.ts';
import { checkDefaults, type Draft, draftOf, type References, referencesOf } from './convert.ts';
import {
  gathered,
  isGiven,
  isMapping,
  isTakenOut,
  keysOf,
  type Path,
  placeBehind,
  placeText,
  problemAt,
  readDocument,
  reread,
  without,
} from './document.ts';
import type { Environment } from './interpolate.ts';
import { tellIssue } from './issues.ts';
import { PolicyError, type Problem } from './problems.ts';
import { type Parts, related } from './relations.ts';
import {
  policySchema,
  type RawCommand,
  type RawContainer,
  type RawDefaults,
  type RawGroup,
  type RawHook,
} from './schema.ts';
import type { Policy } from './spec.ts';
import { shown } from './usage-error.ts';

/** What reading takes of the world. */
export interface Surroundings {
  /** What `${NAME}` is filled in from. */
  readonly env: Environment;
  /** The file's text, or the bytes of it. */
  readonly readFile: (path: string) => string | Uint8Array;
  /** There are commands that no policy file names, so that it need not name one. Default: there are none. */
  readonly othersNamed?: boolean;
}

const SECTIONS = ['commands', 'groups', 'defaults', 'container', 'on'] as const;
type Section = (typeof SECTIONS)[number];
const MOST_FILES = 1_000;
/** Keys whose mappings say nothing where one of their entries is missing. */
const WHOLE: readonly unknown[] = ['intensity', 'limits', 'file', 'webhook'];

/**
 * Reads a policy from YAML or JSON, and from the files that it includes.
 *
 * @throws PolicyError with every mistake that was found
 */
export function loadPolicy(path: string, surroundings: Surroundings): Policy {
  const loader = new Loader(surroundings);
  loader.read(normalize(path), []);
  const policy = loader.policy();
  if (loader.problems.length > 0) throw new PolicyError(inOrder(loader.problems));
  if (policy.commands.length === 0 && !surroundings.othersNamed) {
    const message =
      'there is no command in it; write commands: and below it, for instance, web: nginx; or give upkeep run commands besides';
    throw new PolicyError([{ file: path, line: 0, column: 0, path: '', message }]);
  }
  return policy;
}

/** The text of a file, or the problem that there is none. `line` and `column` as in Problem. */
type Content =
  | { readonly text: string }
  | { readonly why: string; readonly line: number; readonly column: number };

/** Reads a text that is to be in UTF-8. */
export function readText(path: string, readFile: Surroundings['readFile']): Content {
  try {
    const content = readFile(path);
    return typeof content === 'string' ? { text: content } : decoded(content);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const known: Record<string, string> = {
      ENOENT: 'there is no such file; look at its path',
      EACCES: 'it may not be read; look at its rights',
      EISDIR: 'it is a folder; name a file in it',
    };
    return { why: known[code ?? ''] ?? `${message}; look at the file`, line: 0, column: 0 };
  }
}

function decoded(bytes: Uint8Array): Content {
  const [first, second] = bytes;
  const isMarked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  if (isMarked || (second !== undefined && (first === 0) !== (second === 0))) {
    return { why: 'it is in UTF-16; save it as UTF-8', line: 1, column: 1 };
  }
  // A mark at its beginning is YAML's to know.
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  const again = new TextEncoder().encode(text);
  let at = bytes.findIndex((byte, index) => byte !== again[index]);
  if (at < 0) return { text };
  while ((again[at]! & 0xc0) === 0x80) at--;
  const before = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(0, at));
  const byte = bytes[at]!.toString(16).padStart(2, '0');
  return { why: `the byte 0x${byte} is no UTF-8; save the file as UTF-8`, ...placeBehind(before) };
}

class Loader {
  readonly problems: Problem[] = [];
  readonly #surroundings: Surroundings;
  readonly #seen = new Set<string>();
  /** Of each section, the name of each entry and the mapping that it is in. */
  readonly #sections = Object.fromEntries(
    SECTIONS.map((section) => [section, new Map<string, Record<string, unknown>>()]),
  ) as Record<Section, Map<string, Record<string, unknown>>>;
  /** Of each section and entry, the paths below it of what can't be looked at any more; an empty one: all of it. */
  readonly #broken = Object.fromEntries(
    SECTIONS.map((section) => [section, new Map<string, Path[]>()]),
  ) as Record<Section, Map<string, Path[]>>;
  /** Sections of which something could not be read at all: who knows what it says. */
  readonly #missing = new Set<Section>();

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
  }

  /** Reads a file and what it includes. `tell` says where it is included. */
  read(file: string, above: readonly string[], tell?: (message: string) => void): void {
    const problem =
      tell ??
      ((message: string) => {
        this.problems.push({ file, line: 0, column: 0, path: '', message: message });
      });
    if (above.includes(file)) {
      problem(
        `${[...above.slice(above.indexOf(file)), file].join(' → ')}: these include one another in a circle; take one out`,
      );
      return;
    }
    // Included twice, it is read once.
    if (this.#seen.has(file)) return;
    this.#seen.add(file);
    const content = readText(file, this.#surroundings.readFile);
    if ('why' in content || this.#seen.size > MOST_FILES) {
      this.#missAll();
      if ('why' in content && content.line > 0) {
        const { why, line, column } = content;
        this.problems.push({ file, line, column, path: '', message: why });
        return;
      }
      const name = tell === undefined ? '' : `cannot include ${shown(file)}: `;
      problem(
        'why' in content
          ? `${name}${content.why}`
          : `${name}it is one of more than ${MOST_FILES} files; use fewer`,
      );
      return;
    }
    const whole = readDocument(content.text, file, this.#surroundings.env, this.problems);
    if (whole === null) {
      this.#missAll();
      return;
    }
    this.#check(whole);
    this.#gather(whole);
    const { include } = whole;
    const list = Array.isArray(include) ? include : [include];
    for (const [index, path] of list.entries()) {
      if (typeof path !== 'string' || path === '') continue;
      const at: Path = Array.isArray(include) ? ['include', index] : ['include'];
      const included = normalize(isAbsolute(path) ? path : join(dirname(file), path));
      this.read(included, [...above, file], (message) => this.#report(whole, at, message));
    }
  }

  /** Everything of all files together. */
  policy(): Policy {
    const whole = gathered([]);
    for (const section of SECTIONS) whole[section] = gathered([...this.#sections[section]]);
    const report = (path: Path, message: string, at: 'key' | 'value' = 'value'): void => {
      // The sections themselves stand in several files.
      const section = whole[path[0] as Section] as Record<string, unknown>;
      const problem = problemAt(section, path.slice(1), message, at);
      if (problem !== null) this.problems.push({ ...problem, path: path.join('.') });
    };
    const defaults = Object.fromEntries(this.#sound('defaults')) as RawDefaults;
    checkDefaults(defaults, (path, message, at) => report(['defaults', ...path], message, at));
    const commands = this.#sound<string | RawCommand>('commands');
    const drafts = new Map<string, Draft>();
    const machines = new Map<string, CommandPolicy>();
    for (const [name, given] of commands) {
      const draft = draftOf(name, given, defaults, (path, message, at) =>
        report(['commands', name, ...path], message, at),
      );
      drafts.set(name, draft);
      if (this.#restartKnown(given)) machines.set(name, draft.policy.machine);
    }
    const parts: Parts = {
      commandNames: [...this.#sections.commands.keys()],
      groupNames: [...this.#sections.groups.keys()],
      namesMissing: this.#missing.has('commands') || this.#missing.has('groups'),
      drafts,
      machines,
      references: this.#references(commands),
      groups: this.#sound<RawGroup | readonly string[]>('groups'),
      container: Object.fromEntries(this.#sound('container')) as RawContainer,
      hooks: this.#sound<RawHook>('on'),
    };
    return related(parts, report);
  }

  /** The entries of a section, without what is broken in them, and without those of which nothing is left. */
  #sound<T>(section: Section): Map<string, T> {
    const entries = new Map<string, T>();
    for (const [name, from] of this.#sections[section]) {
      const broken = this.#broken[section].get(name) ?? [];
      const given = from[name] as T;
      if (broken.length > 0 && (!isMapping(given) || broken.some((path) => path.length === 0))) continue;
      entries.set(name, without(given, broken));
    }
    return entries;
  }

  /** Is it known when a command ends, and what then? */
  #restartKnown(given: string | RawCommand): boolean {
    const raw: Partial<RawCommand> = typeof given === 'string' ? {} : given;
    if ((['kind', 'schedule', 'restart'] as const).some((key) => isTakenOut(raw, key))) return false;
    // One of the two was not meant.
    if (raw.kind !== undefined && (raw.kind === 'cron') !== isGiven(raw, 'schedule')) return false;
    return (
      raw.restart !== undefined || !(this.#missing.has('defaults') || this.#broken.defaults.has('restart'))
    );
  }

  /** What commands say of others. A command of which nothing is left says nothing. */
  #references(commands: ReadonlyMap<string, string | RawCommand>): Parts['references'] {
    return new Map(
      [...this.#sections.commands.keys()].map((name): [string, References] => {
        const raw = commands.get(name);
        return [name, referencesOf(isMapping(raw) ? (raw as RawCommand) : {})];
      }),
    );
  }

  #missAll(): void {
    for (const section of SECTIONS) this.#missing.add(section);
  }

  #report(root: object, path: Path, message: string, at: 'key' | 'value' = 'value'): void {
    const problem = problemAt(root, path, message, at);
    if (problem !== null) this.problems.push(problem);
  }

  /** Holds the file against the schema. */
  #check(whole: Record<string, unknown>): void {
    const own = Object.fromEntries(Object.entries(whole).filter(([key]) => !key.startsWith('x-')));
    const issues = () => policySchema.safeParse(own).error?.issues ?? [];
    // A variable in quotes may be a number or a flag, where that is meant.
    let found = issues();
    for (let anew = found.length > 0; anew; ) {
      anew = false;
      const look = (path: Path): void => {
        if (reread(own, path)) anew = true;
      };
      for (const issue of found) tellIssue(issue, look);
      if (anew) found = issues();
    }
    for (const issue of found) {
      tellIssue(
        issue,
        (path, message, at) => this.#report(whole, path, message, at),
        (path) => this.#break(path),
      );
    }
    for (const section of SECTIONS) {
      if (own[section] !== undefined && !isMapping(own[section])) this.#missing.add(section);
    }
  }

  #break([section, name, ...path]: Path): void {
    const entries = this.#broken[section as Section];
    if (name === undefined || entries === undefined) return;
    const all = path.findIndex((key) => WHOLE.includes(key));
    const isWhole = section === 'defaults' && WHOLE.includes(name);
    const broken = isWhole ? [] : all < 0 ? path : path.slice(0, all + 1);
    const others = entries.get(String(name));
    if (others === undefined) entries.set(String(name), [broken]);
    else others.push(broken);
  }

  /** Takes the entries of each section; none may be in two files. */
  #gather(whole: Record<string, unknown>): void {
    for (const section of SECTIONS) {
      const entries = whole[section];
      if (!isMapping(entries)) continue;
      for (const key of keysOf(entries)) {
        const other = this.#sections[section].get(key);
        if (other === undefined) {
          this.#sections[section].set(key, entries);
          continue;
        }
        const what = section === 'defaults' || section === 'container' ? 'the key' : 'the name';
        this.#report(
          whole,
          [section, key],
          `${what} is there twice, first at ${placeText(other, key)}; ${what === 'the name' ? 'choose another' : 'take one out'}`,
          'key',
        );
      }
    }
  }
}

/** By file in the order of reading, then by place. */
function inOrder(problems: readonly Problem[]): Problem[] {
  const files = [...new Set(problems.map(({ file }) => file))];
  return problems.toSorted(
    (a, b) => files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line || a.column - b.column,
  );
}
