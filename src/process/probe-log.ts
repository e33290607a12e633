/** Looks for patterns in the lines that services write, from each launch on until they were seen. */
import { compilePattern, type Pattern, TAKES_TOO_LONG } from './patterns.ts';
import type { StreamName } from './streams.ts';

/** What lines come by, each of which has an unfinished one of its own. */
export type LogSource = StreamName | 'syslog';

export interface LogWatch {
  /** A new run begins: nothing has been seen of these patterns. */
  readonly launched: (command: string, patterns: readonly string[]) => void;
  /** Whether `push` is of use: there is a pattern that has not been seen. */
  readonly wants: (command: string) => boolean;
  /** Takes what was read, which may be used again afterwards. */
  readonly push: (command: string, chunk: Buffer, stream: LogSource) => void;
  /** `told` hears once, perhaps at once, that the pattern was seen (null), or why it will not be.
   * @returns a function after which `told` hears nothing */
  readonly wait: (command: string, pattern: string, told: (refused: string | null) => void) => () => void;
}

/** What is looked at of a line. Bytes. */
const LONGEST_LINE = 4096;
/** How much is searched at a time, so that the time for it can be short. */
const SEARCHED_AT_ONCE = 8192;
const NEWLINE = 10;
const RETURN = 13;
const NOTHING = Buffer.alloc(0);

interface Sought {
  readonly source: string;
  pattern: Pattern | null;
  /** undefined: not seen yet; null: seen; else why it will not be. */
  verdict: string | null | undefined;
  readonly waiting: Set<(refused: string | null) => void>;
}

interface Watch {
  readonly sought: Map<string, Sought>;
  /** The beginning of the line that nobody has ended. */
  readonly held: Record<LogSource, Buffer>;
}

export function createLogWatch(): LogWatch {
  const watches = new Map<string, Watch>();

  function watchOf(command: string): Watch {
    let watch = watches.get(command);
    if (watch === undefined) {
      watch = { sought: new Map(), held: { stdout: NOTHING, stderr: NOTHING, syslog: NOTHING } };
      watches.set(command, watch);
    }
    return watch;
  }

  function seek({ sought }: Watch, source: string): Sought {
    let one = sought.get(source);
    if (one === undefined) {
      one = { source, pattern: null, verdict: undefined, waiting: new Set() };
      sought.set(source, one);
      try {
        one.pattern = compilePattern(source);
      } catch (error) {
        one.verdict = (error as Error).message;
      }
    }
    return one;
  }

  const unseen = (watch: Watch): Sought[] =>
    [...watch.sought.values()].filter(({ verdict }) => verdict === undefined);

  return {
    launched(command, patterns) {
      if (patterns.length === 0 && !watches.has(command)) return;
      const watch = watchOf(command);
      watch.held.stdout = NOTHING;
      watch.held.stderr = NOTHING;
      for (const one of [...watch.sought.values()]) {
        // Who waits already waits for the run that begins.
        if (!patterns.includes(one.source) && one.waiting.size === 0) watch.sought.delete(one.source);
        else if (one.pattern !== null) one.verdict = undefined;
      }
      for (const source of patterns) seek(watch, source);
    },
    wants(command) {
      const watch = watches.get(command);
      return watch !== undefined && unseen(watch).length > 0;
    },
    push(command, chunk, stream) {
      const watch = watches.get(command);
      if (watch === undefined) return;
      const sought = unseen(watch);
      if (sought.length === 0) return;
      const { lines, rest } = cut(watch.held[stream], chunk);
      watch.held[stream] = rest;
      for (const texts of portions(lines)) {
        for (const one of sought) if (one.verdict === undefined) search(one, texts);
      }
    },
    wait(command, source, told) {
      const one = seek(watchOf(command), source);
      if (one.verdict !== undefined) {
        told(one.verdict);
        return () => {};
      }
      one.waiting.add(told);
      return () => one.waiting.delete(told);
    },
  };
}

function search(one: Sought, texts: readonly string[]): void {
  const found = one.pattern!(texts);
  if (found === false) return;
  one.verdict = found === true ? null : `the pattern ${one.source} ${TAKES_TOO_LONG}`;
  const waiting = [...one.waiting];
  one.waiting.clear();
  for (const told of waiting) told(one.verdict);
}

/** The lines that a chunk ends, each as far as it is looked at, and the beginning of the one that it does not. */
function cut(held: Buffer, chunk: Buffer): { lines: string[]; rest: Buffer } {
  const lines: string[] = [];
  let rest = held;
  for (let from = 0; ; ) {
    const newline = chunk.indexOf(NEWLINE, from);
    const end = newline === -1 ? chunk.length : newline;
    const piece = chunk.subarray(from, Math.min(end, from + LONGEST_LINE - rest.length));
    const line = rest.length === 0 && newline !== -1 ? piece : Buffer.concat([rest, piece]);
    if (newline === -1) return { lines, rest: line };
    lines.push(line.toString('utf8', 0, line.at(-1) === RETURN ? line.length - 1 : line.length));
    rest = NOTHING;
    from = newline + 1;
  }
}

function* portions(lines: readonly string[]): Generator<string[]> {
  let texts: string[] = [];
  let length = 0;
  for (const line of lines) {
    texts.push(line);
    length += line.length;
    if (length < SEARCHED_AT_ONCE) continue;
    yield texts;
    texts = [];
    length = 0;
  }
  if (texts.length > 0) yield texts;
}
