import { shown, UsageError } from './usage-error.ts';

/** One word of a command line. */
export interface Word {
  /** Quotes and backslashes removed. */
  readonly text: string;
  /** As it was written, without line continuations: tells `if` from `'if'` and `A=1` from `'A=1'`. */
  readonly raw: string;
  /** False when a shell would expand it: `text` is then not what the program would get. */
  readonly literal: boolean;
}

/** A command line taken apart: its simple commands in order of appearance, without redirections. */
export interface Line {
  readonly commands: readonly (readonly Word[])[];
  /** True when it takes a shell to run it. `commands` is then a good guess and no more. */
  readonly needsShell: boolean;
}

const ASSIGNMENT = /^[A-Za-z_][A-Za-z0-9_]*=/;
/** Runs of characters that mean nothing but themselves, outside of quotes and in double quotes. */
const ORDINARY = /[^\s\\'"$`<>|&;()#=~*?[]+/y;
const IN_QUOTES = /[^\\"$`]+/y;
const RESERVED = new Set(
  '! { } [[ case do done elif else esac fi for function if in select then until while'.split(' '),
);
/** Builtins that are no programs, or would do nothing as one. `exec` is not here: it needs no shell. */
const BUILTINS = new Set(
  `. : alias bg bind break builtin caller cd chdir command compgen complete compopt continue declare dirs disown
   enable eval exit export fc fg getopts hash history jobs let local logout mapfile popd pushd read readarray
   readonly return set shift shopt source suspend times trap type typeset ulimit umask unalias unset wait`.split(
    /\s+/,
  ),
);

/** Is it one of the shell's own words (`if`, `{` …)? Only when written without quotes. */
export function isReserved(word: Word): boolean {
  return RESERVED.has(word.raw);
}

/** Is it a command that only a shell has (`cd`, `export` …)? */
export function isBuiltin(word: Word): boolean {
  return BUILTINS.has(word.text);
}

/** Is it `NAME=value`, as it may stand in front of a command? */
export function isAssignment(word: Word): boolean {
  return ASSIGNMENT.test(word.raw);
}

/** Splits a command into words exactly as a POSIX shell does, or says that it takes a shell: for operators,
 * expansions, globs, and for reserved words and builtins in the place of the command.
 * @throws UsageError for a quote that is not closed and for a backslash at the end. */
export function splitWords(text: string): { words: string[] } | { needsShell: true } {
  const line = readLine(text);
  if (line.needsShell) return { needsShell: true };
  return { words: (line.commands[0] ?? []).map((word) => word.text) };
}

/** Takes a command line apart.
 * @throws UsageError as splitWords does, unless it already takes a shell: that will tell by itself. */
export function readLine(text: string): Line {
  const commands: Word[][] = [];
  let command: Word[] = [];
  let word: { text: string; raw: string; literal: boolean; assigns: boolean | null; last: string } | null =
    null;
  let shell = false;
  // The next word is where a redirection goes to.
  let target = false;
  let at = 0;

  const add = (value: string, raw: string, literal = true) => {
    word ??= { text: '', raw: '', literal: true, assigns: null, last: '' };
    word.text += value;
    word.raw += raw;
    word.last = raw;
    if (!literal) {
      word.literal = false;
      shell = true;
    }
  };
  const endWord = () => {
    if (word !== null && !target) command.push({ text: word.text, raw: word.raw, literal: word.literal });
    if (word !== null) target = false;
    word = null;
  };
  const endCommand = () => {
    endWord();
    target = false;
    if (command.length > 0) commands.push(command);
    command = [];
  };
  /** Adds what the shell would expand at `at`, and goes past it. */
  const addExpansion = () => {
    const end = pastExpansion(text, at);
    const source = text.slice(at, end);
    add(source, source, false);
    at = end;
  };

  while (at < text.length) {
    const char = text[at]!;
    // TypeScript doesn't see that the functions above change it.
    const current = word as { raw: string; assigns: boolean | null; last: string } | null;
    if (char === ' ' || char === '\t') {
      endWord();
      at++;
    } else if (char === '\n') {
      endCommand();
      at++;
    } else if (char === '#' && word === null) {
      const end = text.indexOf('\n', at);
      at = end < 0 ? text.length : end;
    } else if (char === '\\') {
      const next = text[at + 1];
      if (next === undefined) {
        if (!shell) throw unfinished(text, 'it ends with a backslash', 'write two for a backslash');
        add('\\', '\\');
      } else if (next !== '\n') add(next, `\\${next}`);
      at += 2;
    } else if (char === "'") {
      const end = text.indexOf("'", at + 1);
      if (end < 0 && !shell) {
        throw unfinished(text, 'a single quote is not closed', `close it, or write \\' for an apostrophe`);
      }
      const inner = text.slice(at + 1, end < 0 ? text.length : end);
      add(inner, `'${inner}'`);
      at = end < 0 ? text.length : end + 1;
    } else if (char === '"') {
      add('', '"');
      at++;
      while (at < text.length && text[at] !== '"') {
        const inner = text[at]!;
        const next = text[at + 1] ?? '';
        if (inner === '\\' && next === '\n') at += 2;
        else if (inner === '\\' && next !== '' && '$`"\\'.includes(next)) {
          add(next, `\\${next}`);
          at += 2;
        } else if (inner === '`' || (inner === '$' && /[\w{([@*#?$!\\-]/.test(next))) addExpansion();
        else {
          IN_QUOTES.lastIndex = at;
          const run = IN_QUOTES.exec(text)?.[0] ?? inner;
          add(run, run);
          at += run.length;
        }
      }
      if (at >= text.length && !shell) {
        throw unfinished(text, 'a double quote is not closed', 'close it, or write \\" for a double quote');
      }
      add('', '"');
      at++;
    } else if (char === '$' || char === '`') {
      addExpansion();
    } else if (char === '<' || char === '>') {
      shell = true;
      // The digits of `2>`.
      if (current !== null && /^[0-9]+$/.test(current.raw)) word = null;
      endWord();
      while (at < text.length && '<>&|-'.includes(text[at]!)) at++;
      target = text[at - 1] !== '-' || text[at - 2] === '<';
    } else if ('|&;()'.includes(char)) {
      shell = true;
      // The name of a function that is being defined.
      if (char === '(') {
        endWord();
        if (command.length === 1) command = [];
      }
      endCommand();
      at++;
    } else {
      ORDINARY.lastIndex = at;
      const run = ORDINARY.exec(text)?.[0] ?? char;
      // `A=~` and `A=x:~` are expanded as `~` is.
      if (char === '=' && current !== null) current.assigns ??= ASSIGNMENT.test(`${current.raw}=`);
      const tilde = char === '~' && (current === null || (current.assigns && /[=:]$/.test(current.last)));
      add(run, run, !(tilde || '*?['.includes(char)));
      at += run.length;
    }
  }
  endCommand();

  const first = commands[0] ?? [];
  const program = first.find((candidate) => !isAssignment(candidate));
  const needsShell =
    shell ||
    commands.length > 1 ||
    (first[0] !== undefined && isReserved(first[0])) ||
    (program !== undefined && isBuiltin(program));
  return { commands, needsShell };
}

/** The word as a POSIX shell has to be given it. */
export function quoteWord(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word) && !ASSIGNMENT.test(word)) return word;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The index behind the expansion that begins at `at`; the end of the text when it is not closed. */
function pastExpansion(text: string, at: number): number {
  if (text[at] === '`') {
    for (let i = at + 1; i < text.length; i++) {
      if (text[i] === '\\') i++;
      else if (text[i] === '`') return i + 1;
    }
    return text.length;
  }
  if (text[at + 1] !== '(' && text[at + 1] !== '{') return at + 1;
  const open: string[] = [];
  for (let i = at + 1; i < text.length; i++) {
    const char = text[i]!;
    const inside = open.at(-1);
    if (char === '\\') i++;
    else if (char === inside) {
      open.pop();
      if (open.length === 0) return i + 1;
    } else if (char === '"') open.push('"');
    else if (char === "'" && inside !== '"') {
      const end = text.indexOf("'", i + 1);
      if (end < 0) return text.length;
      i = end;
    } else if ((char === '(' || char === '{') && (text[i - 1] === '$' || inside !== '"')) {
      open.push(char === '(' ? ')' : '}');
    }
  }
  return text.length;
}

function unfinished(text: string, why: string, remedy: string): UsageError {
  return new UsageError(`cannot read the command ${shown(text)}: ${why}; ${remedy}`);
}
