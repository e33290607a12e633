import { basename, programOf, programOfLine } from './program.ts';
import type { CommandSpec } from './spec.ts';
import { shown, UsageError } from './usage-error.ts';
import { isAssignment, quoteWord, readLine } from './words.ts';

const LONGEST_NAME = 64;

/** What names of commands and groups are made of. */
export const NAME = new RegExp(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,${LONGEST_NAME - 1}}$`);

/** Reads commands as they stand on the command line: `COMMAND` or `NAME: COMMAND`. A command without a name is called
 * by the basename of its program or script; `-2`, `-3` … keep names apart.
 * @throws UsageError for a command or name that can't be used. */
export function parseCommands(texts: readonly string[]): CommandSpec[] {
  const read = texts.map(readCommand);
  const owners = new Map<string, string>();
  for (const { explicit, spec } of read) {
    if (explicit === null) continue;
    const other = owners.get(explicit);
    if (other !== undefined) {
      throw new UsageError(
        `cannot name two commands ${shown(explicit)}: ${shown(other)} and ${shown(spec.text)} both have that name; give one of them another`,
      );
    }
    owners.set(explicit, spec.text);
  }
  const taken = new Set(owners.keys());
  const counts = new Map<string, number>();
  return read.map(({ explicit, spec }) => ({ ...spec, name: explicit ?? unique(spec.name, taken, counts) }));
}

/** Reads a command that has its name from elsewhere. @throws UsageError for a command that can't be used. */
export function parseNamed(name: string, text: string): CommandSpec {
  const { explicit, spec } = readCommand(text);
  if (explicit === null) return { ...spec, name };
  throw new UsageError(
    `cannot use the command ${shown(text)}: it begins with a name of its own; take "${explicit}:" out`,
  );
}

/** A command given as words, which no shell and no quotes change. @throws UsageError for what can't be executed. */
export function parseWords(name: string, texts: readonly string[]): CommandSpec {
  const [file, ...args] = texts;
  const text = texts.map(quoteWord).join(' ');
  if (file === undefined || file === '') {
    const why = file === undefined ? 'there is no word in it' : 'its first word is empty';
    throw new UsageError(`cannot use the command ${shown(text)}: ${why}; write the program first`);
  }
  if (text.includes('\0')) {
    throw new UsageError(`cannot use the command ${shown(text)}: it holds a NUL byte; take that out`);
  }
  const words = texts.map((word) => ({ text: word, raw: quoteWord(word), literal: true }));
  const base = { text, file, args, env: {}, shell: false };
  return { ...assemble(base, programOf(words), basename(file)), name };
}

function readCommand(given: string): { explicit: string | null; spec: CommandSpec } {
  if (given.includes('\0')) {
    throw new UsageError(`cannot use the command ${shown(given)}: it holds a NUL byte; take that out`);
  }
  const { explicit, text } = splitName(given);
  const line = readLine(text);
  const words = line.commands[0] ?? [];
  if (words.length === 0 && !line.needsShell) {
    const why = explicit === null ? 'there is nothing in it' : 'nothing follows the name';
    throw new UsageError(`cannot use the command ${shown(given)}: ${why}; write a program and its arguments`);
  }

  let at = 0;
  while (at < words.length && isAssignment(words[at]!)) at++;
  const env = Object.fromEntries(
    words
      .slice(0, at)
      .map(({ text: pair }) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
  );
  if (words[at]?.text === 'exec' && !line.needsShell) {
    at++;
    if (words[at]?.text === '--') at++;
  }
  const [program, ...args] = words.slice(at);

  // What options exec has is the shell's to know.
  const exec = words[at - 1]?.text === 'exec';
  if (line.needsShell || (exec && program?.text.startsWith('-'))) {
    const found = programOfLine(line);
    const base = {
      text,
      file: '/bin/sh',
      // A shell would take a leading dash for one more of its own options.
      args: ['-c', /^[-+]/.test(text) ? ` ${text}` : text],
      env: {},
      shell: true,
    };
    return { explicit, spec: assemble(base, found, 'sh') };
  }
  if (program === undefined) {
    const why = exec ? 'no program follows exec' : 'it sets variables and runs nothing';
    throw new UsageError(`cannot use the command ${shown(given)}: ${why}; write the program behind it`);
  }
  if (program.text === '') {
    throw new UsageError(
      `cannot use the command ${shown(given)}: its program is an empty word; write the program first`,
    );
  }
  const base = { text, file: program.text, args: args.map((word) => word.text), env, shell: false };
  return { explicit, spec: assemble(base, programOf(words.slice(at)), basename(program.text)) };
}

function assemble(
  base: Pick<CommandSpec, 'text' | 'file' | 'args' | 'env' | 'shell'>,
  found: ReturnType<typeof programOf>,
  otherwise: string,
): CommandSpec {
  const [file, ...args] = found?.stop ?? [];
  return {
    ...base,
    name: cleaned(found?.name || otherwise),
    fits: found?.fits ?? [],
    returns: found?.returns ?? false,
    stop: file === undefined ? null : { file, args },
    policy: null,
  };
}

/** `web: nginx` is a command called web; `http://…` and `C:\…` have no space behind their colon. */
function splitName(given: string): { explicit: string | null; text: string } {
  const trimmed = given.replace(/^[ \t\n]+/, '');
  const named = /^([A-Za-z0-9_][A-Za-z0-9_.-]*):(?:[ \t\n]+|$)/.exec(trimmed);
  if (named) {
    const explicit = named[1]!;
    if (explicit.length > LONGEST_NAME) {
      throw new UsageError(
        `cannot use the name ${shown(explicit)}: it has ${explicit.length} characters; use at most ${LONGEST_NAME}`,
      );
    }
    return { explicit, text: trimmed.slice(named[0].length) };
  }
  // Anything a shell would care for is no attempt at a name: `PATH=/opt: prog`.
  const attempt = /^([^\s:'"\\$`=;|&<>(){}#*?[~!]+):[ \t\n]/.exec(trimmed);
  if (attempt) {
    throw new UsageError(
      `cannot use the name ${shown(attempt[1]!)}: a name is made of letters, digits, "_", "." and "-", and begins with none of the last two; choose such a name, or quote the first word if it is a program`,
    );
  }
  return { explicit: null, text: trimmed };
}

/** A name made of what names are made of. */
function cleaned(name: string): string {
  const clean = name.replace(/[^A-Za-z0-9_.-]/gu, '-').replace(/^[.-]+/, '');
  return clean.slice(0, LONGEST_NAME) || 'command';
}

function unique(name: string, taken: Set<string>, counts: Map<string, number>): string {
  let count = counts.get(name) ?? 0;
  for (;;) {
    count++;
    const suffix = count === 1 ? '' : `-${count}`;
    const candidate = name.slice(0, LONGEST_NAME - suffix.length) + suffix;
    if (!taken.has(candidate)) {
      counts.set(name, count);
      taken.add(candidate);
      return candidate;
    }
  }
}
