/** Policy files: read, checked as a whole, and told of all mistakes at once. */
import { dirname, isAbsolute, join, normalize } from 'node:path/posix';
import { draftOf, type References, referencesOf } from './convert.ts';
import { gathered, isMapping, keysOf, type Path, placeText, problemAt, readDocument } from './document.ts';
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
  /** The file's text. */
  readonly readFile: (path: string) => string;
  /** There are commands that no policy file names, so that it need not name one. Default: there are none. */
  readonly othersNamed?: boolean;
}

const SECTIONS = ['commands', 'groups', 'defaults', 'container', 'on'] as const;
type Section = (typeof SECTIONS)[number];
const MOST_FILES = 1_000;

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

/** The text of a file, or the problem that there is none. */
export function readText(
  path: string,
  readFile: Surroundings['readFile'],
): { readonly text: string } | { readonly why: string } {
  try {
    return { text: readFile(path) };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const known: Record<string, string> = {
      ENOENT: 'there is no such file; look at its path',
      EACCES: 'it may not be read; look at its rights',
      EISDIR: 'it is a folder; name a file in it',
    };
    return { why: known[code ?? ''] ?? `${message}; look at the file` };
  }
}

class Loader {
  readonly problems: Problem[] = [];
  readonly #surroundings: Surroundings;
  readonly #seen = new Set<string>();
  /** Of each section, the name of each entry and the mapping that it is in. */
  readonly #sections = Object.fromEntries(
    SECTIONS.map((section) => [section, new Map<string, Record<string, unknown>>()]),
  ) as Record<Section, Map<string, Record<string, unknown>>>;
  /** `commands.web` and `commands.web.requires` for what can't be looked at any more. */
  readonly #broken = new Set<string>();
  /** Something could not be read at all: who knows which names it has. */
  #incomplete = false;

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
      this.#incomplete = true;
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
      this.#incomplete = true;
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
    const sound = <T>(section: Section): Map<string, T> =>
      new Map(
        [...this.#sections[section]]
          .filter(([name]) => !this.#broken.has(`${section}.${name}`))
          .map(([name, from]) => [name, from[name] as T]),
      );
    const defaults = Object.fromEntries(sound('defaults')) as RawDefaults;
    const parts: Parts = {
      commandNames: [...this.#sections.commands.keys()],
      groupNames: [...this.#sections.groups.keys()],
      drafts: new Map(
        [...sound<string | RawCommand>('commands')].map(([name, raw]) => [
          name,
          draftOf(name, raw, defaults, (path, message, at) =>
            report(['commands', name, ...path], message, at),
          ),
        ]),
      ),
      references: this.#references(),
      groups: sound<RawGroup | readonly string[]>('groups'),
      container: Object.fromEntries(sound('container')) as RawContainer,
      hooks: sound<RawHook>('on'),
    };
    return related(parts, this.#incomplete ? () => {} : report);
  }

  /** What commands say of others, even where something else in them is wrong. */
  #references(): Parts['references'] {
    const references = new Map<string, References>();
    for (const [name, from] of this.#sections.commands) {
      const raw = from[name];
      const given = (key: 'requires' | 'after') =>
        isMapping(raw) && !this.#broken.has(`commands.${name}.${key}`) ? raw[key] : undefined;
      const read = { requires: given('requires'), after: given('after') };
      references.set(name, referencesOf(read as Pick<RawCommand, 'requires' | 'after'>));
    }
    return references;
  }

  #report(root: object, path: Path, message: string, at: 'key' | 'value' = 'value'): void {
    const problem = problemAt(root, path, message, at);
    if (problem !== null) this.problems.push(problem);
  }

  /** Holds the file against the schema. */
  #check(whole: Record<string, unknown>): void {
    const own = Object.fromEntries(Object.entries(whole).filter(([key]) => !key.startsWith('x-')));
    const { error } = policySchema.safeParse(own);
    for (const issue of error?.issues ?? []) {
      tellIssue(
        issue,
        (path, message, at) => this.#report(whole, path, message, at),
        (path) => this.#break(path),
      );
    }
    for (const section of SECTIONS) {
      if (own[section] !== undefined && !isMapping(own[section])) this.#incomplete = true;
    }
  }

  #break(path: Path): void {
    this.#broken.add(path.slice(0, 2).join('.'));
    this.#broken.add(path.slice(0, 3).join('.'));
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
