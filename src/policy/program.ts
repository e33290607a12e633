import { isAssignment, isBuiltin, isReserved, type Line, readLine, type Word } from './words.ts';

/** What a command line is about, once one has looked through `sudo`, `env`, interpreters and the like. */
export interface Program {
  /** A basename; not yet cleaned up, not yet unique. */
  readonly name: string;
  /** As in CommandSpec. */
  readonly fits: readonly string[];
  readonly returns: boolean;
  /** The words of the command's own stop. */
  readonly stop: readonly string[] | null;
}

/** How a program's options are read, so that its operands can be found. */
interface Syntax {
  /** Options with a value, without their dashes: `n adjustment`. */
  readonly values?: string;
  /** Short options that use up the rest of their word: perl's `-Mre`. */
  readonly glued?: string;
  /** Options that end the options, as python's `-m` does. */
  readonly last?: string;
  /** Long options begin with one dash: java. */
  readonly oneDash?: true;
}

interface Wrapper extends Syntax {
  /** How many words stand between the options and the program. */
  readonly operands?: number;
  /** `A=1` may stand in front of the program. */
  readonly assignments?: true;
}

/** Programs that run another one: `nice -n 5 nginx` is about nginx. */
const WRAPPERS = new Map<string, Wrapper>(
  Object.entries({
    busybox: {},
    chpst: { values: 'u U b e / C n l L m d o p f c r t' },
    chroot: { values: 'groups userspec', operands: 1 },
    chrt: { values: 'T P D sched-runtime sched-period sched-deadline', operands: 1 },
    'dumb-init': { values: 'r rewrite' },
    env: { values: 'u unset C chdir a argv0 S split-string', last: 'S split-string', assignments: true },
    gosu: { operands: 1 },
    ionice: { values: 'c class n classdata' },
    nice: { values: 'n adjustment' },
    nohup: {},
    npx: { values: 'p package' },
    prlimit: { values: 'o output' },
    runuser: {
      values: 'u user g group G supp-group s shell w whitelist-environment c command session-command',
    },
    's6-setuidgid': { operands: 1 },
    setpriv: {
      values:
        'ambient-caps inh-caps bounding-set reuid regid ruid rgid euid egid groups securebits pdeathsig selinux-label apparmor-profile',
    },
    setsid: {},
    setuidgid: { operands: 1 },
    stdbuf: { values: 'i input o output e error' },
    'su-exec': { operands: 1 },
    sudo: {
      values:
        'u user g group h host p prompt C close-from r role t type T command-timeout U other-user D chdir R chroot',
      assignments: true,
    },
    taskset: { operands: 1 },
    time: { values: 'f format o output' },
    timeout: { values: 'k kill-after s signal', operands: 1 },
    tini: { values: 'p e' },
    unshare: {
      values:
        'S setuid G setgid R root w wd propagation setgroups map-user map-group map-users map-groups boottime monotonic',
    },
  } satisfies Record<string, Wrapper>),
);
WRAPPERS.set('tini-static', WRAPPERS.get('tini')!);

const SHELL: Syntax = { values: 'o O rcfile init-file' };
const NODE: Syntax = {
  values:
    'r require import loader experimental-loader C conditions env-file env-file-if-exists inspect-port title e eval p print',
  last: 'e eval p print',
};

/** Programs that run a script. A script given as code (python's `-c`) is one of the options in `last`. */
const INTERPRETERS = new Map<string, Syntax & { readonly script?: string }>(
  Object.entries({
    sh: SHELL,
    ash: SHELL,
    bash: SHELL,
    dash: SHELL,
    ksh: SHELL,
    zsh: SHELL,
    java: {
      values:
        'cp classpath class-path p module-path upgrade-module-path add-modules add-opens add-exports add-reads enable-native-access jar m module',
      last: 'jar m module',
      script: 'jar m module',
      oneDash: true,
    },
    node: NODE,
    nodejs: NODE,
    perl: { values: 'I e E', glued: 'M m i x C D d l 0 F', last: 'e E' },
    php: { values: 'c d f r S t z', last: 'f r', script: 'f' },
    pypy: { values: 'W X m c', last: 'm c', script: 'm' },
    python: { values: 'W X m c check-hash-based-pycs', last: 'm c', script: 'm' },
    ruby: { values: 'I r C E e', glued: 'W K x 0 T F i', last: 'e' },
  } satisfies Record<string, Syntax & { script?: string }>),
);

/** Package managers: the words that come before the name of a task, before a program, or that are a task. */
const RUNNERS = new Map<string, { task?: string; program?: string; own?: string; bare?: true }>(
  Object.entries({
    npm: { task: 'run run-script', program: 'exec x', own: 'start test stop restart' },
    pnpm: { task: 'run', program: 'exec dlx', bare: true },
    yarn: { task: 'run', program: 'exec dlx', bare: true },
    bun: { task: 'run', program: 'x', bare: true },
    deno: { task: 'run serve task' },
    bundle: { program: 'exec' },
    pipenv: { program: 'run' },
    poetry: { program: 'run' },
    uv: { program: 'run' },
  }),
);

const RUNNER_SYNTAX: Syntax = { values: 'prefix w workspace C dir cwd F filter p package c config' };

const INIT_FOLDERS = new Set(['init.d', 'rc.d']);
const INIT_RUNNERS = new Set(['service', 'invoke-rc.d', 'rc-service']);
/** What an init script is asked that leaves its service running. */
const STARTS = new Set(['start', 'restart', 'force-reload', 'force-restart', 'onestart', 'forcestart']);

/** What people put in front of the service in a shell's line. */
const PREPARATIONS = new Set(
  '[ cat chgrp chmod chown cp echo false install ln mkdir mv printf rm sleep test touch true'.split(' '),
);

/** `sh -c "sh -c '…'"`: nobody means more. */
const DEEPEST = 8;

const SCRIPT = /(?<=.)\.(?:sh|bash|py|js|cjs|mjs|ts|cts|mts|rb|pl|php|jar)$/;

/** What a simple command is about; its assignments and `exec` are taken off already. null: that can't be told. */
export function programOf(words: readonly Word[]): Program | null {
  return look(words, 0);
}

/** What a line for a shell is about: the program it execs, else the first one that is no preparation for another.
 * null: that can't be told. */
export function programOfLine(line: Line): Program | null {
  return lookInLine(line, 0);
}

/** The last part of a path. */
export function basename(path: string): string {
  let end = path.length;
  while (end > 0 && path[end - 1] === '/') end--;
  return path.slice(path.lastIndexOf('/', end - 1) + 1, end);
}

function lookInLine(line: Line, depth: number): Program | null {
  const simple = line.commands.map(withoutPrefix);
  const known = simple.filter(({ words }) => words.length > 0 && words[0]!.literal);
  const picked =
    known.find(({ exec }) => exec) ??
    known.find(({ words }) => !isBuiltin(words[0]!) && !PREPARATIONS.has(basename(words[0]!.text)));
  if (picked === undefined) return null;
  const program = look(picked.words, depth);
  // Only where the line ends with it is its return the line's return.
  const ends = picked === simple.at(-1) && !line.commands.some((words) => isReserved(words[0]!));
  return program === null || ends ? program : { ...program, returns: false, stop: null };
}

/** Takes off `then`, `A=1`, `exec` … `words` is empty when no program follows. */
function withoutPrefix(words: readonly Word[]): { words: readonly Word[]; exec: boolean } {
  let at = 0;
  while (at < words.length && isReserved(words[at]!)) {
    if (['for', 'case', 'select', 'function'].includes(words[at]!.raw)) return { words: [], exec: false };
    at++;
  }
  while (at < words.length && isAssignment(words[at]!)) at++;
  const exec = words[at]?.text === 'exec';
  if (exec || words[at]?.text === 'command') at = readOptions(words, at + 1, { values: 'a' }).at;
  return { words: words.slice(at), exec };
}

function look(given: readonly Word[], depth: number): Program | null {
  let words = given;
  if (depth > DEEPEST) return null;
  let at = 0;
  for (;;) {
    const word = words[at];
    if (word === undefined || !word.literal) return null;
    const base = basename(word.text);

    if (base === 'su' || (base === 'runuser' && !hasUser(words, at))) {
      const { given } = readOptions(words, at + 1, WRAPPERS.get('runuser')!, true);
      const text = given.get('c') ?? given.get('command') ?? given.get('session-command');
      const inner = text ? lookInText(text, depth) : plain(base);
      // Its stop would run as somebody else.
      return inner && { ...inner, stop: null };
    }

    const wrapper = WRAPPERS.get(base);
    if (wrapper !== undefined) {
      const read = readOptions(words, at + 1, wrapper);
      const split = read.given.get('S') ?? read.given.get('split-string');
      if (base === 'env' && split) {
        words = [
          ...inText(split)
            .flat()
            .filter((part) => !isAssignment(part)),
          ...words.slice(read.at),
        ];
        at = 0;
        continue;
      }
      let next = read.at + (wrapper.operands ?? 0);
      while (wrapper.assignments && next < words.length && /^[^=]+=/.test(words[next]!.text)) next++;
      // `tini prog` and `gosu user -- prog` are both seen.
      if (words[next]?.text === '--') next++;
      if (next >= words.length) return plain(base);
      at = next;
      continue;
    }

    const runner = RUNNERS.get(base);
    if (runner !== undefined) {
      const verb = readOptions(words, at + 1, RUNNER_SYNTAX).at;
      const is = (list = '') => words[verb] !== undefined && list.split(' ').includes(words[verb].text);
      if (is(runner.program)) {
        const next = readOptions(words, verb + 1, RUNNER_SYNTAX).at;
        if (next >= words.length) return plain(base);
        at = next;
        continue;
      }
      if (is(runner.own)) return task(words[verb]!);
      const named = is(runner.task)
        ? readOptions(words, verb + 1, RUNNER_SYNTAX).at
        : runner.bare
          ? verb
          : words.length;
      return named < words.length ? task(words[named]!) : { ...plain(base), fits: [] };
    }

    if (INIT_RUNNERS.has(base)) {
      const service = readOptions(words, at + 1, {}).at;
      return service < words.length ? initScript(words, service) : plain(base);
    }

    const kind = base.replace(/(?<=[a-z])[0-9][0-9.]*$/, '');
    const interpreter = INTERPRETERS.get(kind);
    if (interpreter !== undefined) {
      const read = readOptions(words, at + 1, interpreter);
      const unknown = { ...plain(base), fits: [] };
      if (interpreter === SHELL && read.given.has('c')) {
        const text = words[read.at];
        return text === undefined ? unknown : (lookInText(text, depth) ?? unknown);
      }
      const last = [...read.given.keys()].at(-1);
      if (last !== undefined && listed(interpreter.last, last)) {
        const value = read.given.get(last);
        return value?.literal && listed(interpreter.script, last) ? script(value.text, kind, last) : unknown;
      }
      const path = words[read.at];
      if (path === undefined || !path.literal) return unknown;
      if (isInitScript(path.text)) return initScript(words, read.at);
      return script(path.text, kind, null) ?? unknown;
    }

    return isInitScript(word.text) ? initScript(words, at) : plain(base);
  }
}

/** `runuser -u USER PROGRAM` runs a program, without `-u` it is su. */
function hasUser(words: readonly Word[], at: number): boolean {
  const { given } = readOptions(words, at + 1, WRAPPERS.get('runuser')!);
  return given.has('u') || given.has('user');
}

function lookInText(text: Word, depth: number): Program | null {
  return text.literal ? lookInLine({ commands: inText(text), needsShell: true }, depth + 1) : null;
}

/** The simple commands in a word that is a command line itself. None when a quote in there isn't closed: that is for
 * its shell to tell. */
function inText(text: Word): Line['commands'] {
  try {
    return readLine(text.text).commands;
  } catch {
    return [];
  }
}

function plain(base: string): Program {
  return { name: base.replace(SCRIPT, ''), fits: base === '' ? [] : [base], returns: false, stop: null };
}

/** A script, a python module, a java class or module: known by its own name, never by its interpreter's. */
function script(text: string, kind: string, option: string | null): Program | null {
  const base = basename(text);
  if (base === '' || base === '.' || base === '..') return null;
  if (kind === 'java' && option !== 'jar') {
    return {
      name: text.slice(Math.max(text.lastIndexOf('.'), text.lastIndexOf('/')) + 1),
      fits: [text],
      returns: false,
      stop: null,
    };
  }
  return plain(base);
}

/** A file, or the name of a task in package.json: that is nothing that shows in a process table. */
function task(word: Word): Program | null {
  if (!word.literal) return null;
  const file = word.text.includes('/') || SCRIPT.test(word.text);
  return file ? plain(basename(word.text)) : { name: word.text, fits: [], returns: false, stop: null };
}

function isInitScript(path: string): boolean {
  const slash = path.lastIndexOf('/');
  return slash > 0 && slash < path.length - 1 && INIT_FOLDERS.has(basename(path.slice(0, slash)));
}

/** `words[at]` is the init script's path or the service's name; what it is asked comes next. */
function initScript(words: readonly Word[], at: number): Program | null {
  if (!words[at]!.literal) return null;
  const action = words[at + 1]?.text ?? '';
  const stops = STARTS.has(action) && words.every((word) => word.literal);
  const stop = words.map((word, index) => (index === at + 1 ? 'stop' : word.text));
  return { ...plain(basename(words[at]!.text)), returns: true, stop: stops ? stop : null };
}

/** Reads options from `from` on. `at` is the first operand; `given` has the options seen, in order, with their values.
 * `everywhere`: options may stand behind operands. */
function readOptions(
  words: readonly Word[],
  from: number,
  syntax: Syntax,
  everywhere = false,
): { at: number; given: Map<string, Word | null> } {
  const given = new Map<string, Word | null>();
  let at = from;
  for (; at < words.length; at++) {
    const word = words[at]!;
    const { text } = word;
    if (text === '--') return { at: at + 1, given };
    if (!text.startsWith('-')) {
      if (everywhere) continue;
      break;
    }
    const long = syntax.oneDash || text.startsWith('--');
    const names = long ? [text.replace(/^-+/, '').split('=', 1)[0]!] : [...text.slice(1)];
    for (const [index, name] of names.entries()) {
      const rest = long ? text.split('=').slice(1).join('=') : names.slice(index + 1).join('');
      const glued = long ? text.includes('=') : rest !== '';
      const takes = listed(syntax.values, name);
      const value = !takes ? null : glued ? { ...word, text: rest } : (words[++at] ?? null);
      // The order of appearance counts, and the last one does.
      given.delete(name);
      given.set(name, value);
      if (listed(syntax.last, name)) return { at: at + 1, given };
      if (takes || listed(syntax.glued, name)) break;
    }
  }
  return { at: Math.min(at, words.length), given };
}

function listed(list: string | undefined, name: string): boolean {
  return list?.split(' ').includes(name) ?? false;
}
