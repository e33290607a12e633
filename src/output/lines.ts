/** A longer line is cut into pieces, so that a service that never ends its line costs no more memory than this. Bytes. */
export const LONGEST_LINE = 64 * 1024;
const WIDEST_NAME = 20;
const TAIL_LINES = 10;
const TAIL_BYTES = 2048;

const NEWLINE = 10;
const RETURN = 13;
const NOTHING = Buffer.alloc(0);
/** 256-colour middle tones: legible on a light and on a dark background. */
const COLOURS = [31, 37, 64, 133, 136, 167];

export type StreamName = 'stdout' | 'stderr';

/** Turns what a service writes, in whatever chunks it comes, into whole lines of the log. */
export interface LineFormatter {
  /** The lines that `chunk` completes, formatted; empty if none. The chunk may be used again afterwards. */
  push(chunk: Buffer, stream: StreamName): Buffer;
  /** The unfinished last line of either stream, formatted, with a newline. */
  end(): Buffer;
  /** The service's last lines, the unfinished one included, blank ones not: at most 10, and 2 KiB together. */
  tail(): string[];
  /** A new run begins: `tail` is of it alone. */
  forgetTail(): void;
}

export interface LineOptions {
  /** Columns of the name, see `nameWidth`. */
  readonly width?: number;
  readonly colour?: boolean;
  readonly wallClock?: () => Date;
}

/** How wide the column of names is: as wide as the longest, within reason. */
export function nameWidth(names: readonly string[]): number {
  return Math.min(WIDEST_NAME, Math.max(0, ...names.map((name) => name.length)));
}

/**
 * A formatter for one service. `plain`: `name | text`, the bytes as they came; `json`: one object a line, with
 * U+FFFD for what is no UTF-8. A `\r` before the newline is dropped in both.
 */
export function createLineFormatter(
  kind: 'plain' | 'json',
  name: string,
  opts: LineOptions = {},
): LineFormatter {
  const format =
    kind === 'plain'
      ? plainFormat(prefixOf(name, opts))
      : jsonFormat(name, opts.wallClock ?? (() => new Date()));
  const splitters = { stdout: createSplitter(), stderr: createSplitter() };
  const tail = createTail();

  function emit(stream: StreamName, splitter: Splitter, raw: Buffer): Buffer {
    if (splitter.pieces.length === 0) return NOTHING;
    tail.add(raw, splitter.consumed);
    return format(raw, splitter.pieces, stream);
  }

  return {
    push(chunk, stream) {
      const splitter = splitters[stream];
      return emit(stream, splitter, splitter.push(chunk));
    },
    end() {
      const out: Buffer[] = [];
      for (const stream of ['stdout', 'stderr'] as const) {
        const splitter = splitters[stream];
        out.push(emit(stream, splitter, splitter.end()));
      }
      return Buffer.concat(out);
    },
    tail: () => tail.lines([splitters.stdout.unfinished(), splitters.stderr.unfinished()]),
    forgetTail: () => tail.clear(),
  };
}

/** What a piece is: a whole line, a piece with more of its line to come, or the last piece of a cut line. */
const WHOLE = 0;
const MORE = 1;
const LAST = 2;

interface Splitter {
  /** Three numbers a piece: start, end (newline and its `\r` excluded), and what it is. An array of numbers and not of
   * objects: a flood has a million of them a second. */
  readonly pieces: number[];
  /** How many bytes of what `push` or `end` returned the pieces cover, newlines included. */
  readonly consumed: number;
  /** Takes a chunk, sets `pieces`, and returns the bytes they refer to, valid until the next call. */
  push(chunk: Buffer): Buffer;
  end(): Buffer;
  unfinished(): Buffer;
}

function createSplitter(): Splitter {
  let rest = NOTHING;
  let held = 0;
  let cut = false;
  const pieces: number[] = [];
  let consumed = 0;

  function hold(bytes: Buffer): void {
    if (held + bytes.length > rest.length) {
      const grown = Buffer.allocUnsafe(Math.max(256, 2 * (held + bytes.length)));
      rest.copy(grown, 0, 0, held);
      rest = grown;
    }
    held += bytes.copy(rest, held);
  }

  /** Cuts what is too long of [start, end) and returns where the remainder begins. */
  function cutLong(raw: Buffer, start: number, end: number): number {
    let from = start;
    while (end - from > LONGEST_LINE) {
      const to = characterStart(raw, from + LONGEST_LINE);
      pieces.push(from, to, MORE);
      cut = true;
      from = to;
    }
    return from;
  }

  function lineEnd(raw: Buffer, start: number, end: number): number {
    return end > start && raw[end - 1] === RETURN ? end - 1 : end;
  }

  return {
    pieces,
    get consumed() {
      return consumed;
    },
    push(chunk) {
      pieces.length = 0;
      let newline = chunk.indexOf(NEWLINE);
      if (newline === -1 && held + chunk.length <= LONGEST_LINE) {
        hold(chunk);
        return NOTHING;
      }
      const raw = held === 0 ? chunk : Buffer.concat([rest.subarray(0, held), chunk]);
      if (newline !== -1) newline += held;
      held = 0;
      rest = NOTHING;
      let start = 0;
      while (newline !== -1) {
        const end = lineEnd(raw, start, newline);
        if (end - start > LONGEST_LINE) start = cutLong(raw, start, end);
        pieces.push(start, end, cut ? LAST : WHOLE);
        cut = false;
        start = newline + 1;
        newline = raw.indexOf(NEWLINE, start);
      }
      // A `\r` at the very end may be half of a line's end: it does not count yet, or chunking would show.
      start = cutLong(raw, start, lineEnd(raw, start, raw.length));
      if (start < raw.length) hold(raw.subarray(start));
      consumed = start;
      return raw;
    },
    end() {
      pieces.length = 0;
      const raw = rest.subarray(0, held);
      if (held > 0) {
        const start = cutLong(raw, 0, held);
        pieces.push(start, held, cut ? LAST : WHOLE);
      }
      consumed = held;
      held = 0;
      rest = NOTHING;
      cut = false;
      return raw;
    },
    unfinished: () => rest.subarray(0, held),
  };
}

/** The start of the UTF-8 character that `at` is in the middle of; `at` itself where the bytes are no UTF-8. */
function characterStart(bytes: Buffer, at: number): number {
  for (let start = at; start > at - 4; start--) {
    if ((bytes[start]! & 0xc0) !== 0x80) return start;
  }
  return at;
}

type Format = (raw: Buffer, pieces: readonly number[], stream: StreamName) => Buffer;

function prefixOf(name: string, { width = 0, colour = false }: LineOptions): Buffer {
  const text = `${name.padEnd(width)} |`;
  return Buffer.from(colour ? `\x1b[38;5;${colourOf(name)}m${text}\x1b[0m ` : `${text} `);
}

function colourOf(name: string): number {
  let hash = 0;
  for (const byte of Buffer.from(name)) hash = (Math.imul(hash, 31) + byte) >>> 0;
  return COLOURS[hash % COLOURS.length]!;
}

function plainFormat(prefix: Buffer): Format {
  const size = prefix.length;
  return (raw, pieces) => {
    // The input is laid at the end of the output and its lines are moved forward to their places: a line never lands
    // on one that is still to be moved, and copyWithin needs no object per line, which Buffer.copy does.
    const out = Buffer.allocUnsafe(raw.length + (pieces.length / 3) * (size + 1));
    const base = out.length - raw.length;
    raw.copy(out, base);
    let at = 0;
    for (let i = 0; i < pieces.length; i += 3) {
      const start = pieces[i]!;
      const end = pieces[i + 1]!;
      for (let j = 0; j < size; j++) out[at++] = prefix[j]!;
      out.copyWithin(at, base + start, base + end);
      at += end - start;
      out[at++] = NEWLINE;
    }
    return out.subarray(0, at);
  };
}

function jsonFormat(name: string, wallClock: () => Date): Format {
  const quotedName = JSON.stringify(name);
  return (raw, pieces, stream) => {
    const head = `{"time":"${wallClock().toISOString()}","name":${quotedName},"stream":"${stream}",`;
    let out = '';
    for (let i = 0; i < pieces.length; i += 3) {
      const text = raw.toString('utf8', pieces[i], pieces[i + 1]);
      const what = pieces[i + 2];
      const object = what === WHOLE ? asObject(text) : null;
      if (object !== null) out += `${head}"data":${object}}\n`;
      else out += `${head}"line":${JSON.stringify(text)}${what === MORE ? ',"partial":true}\n' : '}\n'}`;
    }
    return Buffer.from(out);
  };
}

/** The text of the JSON object that a line consists of, unchanged but for the spaces around it, or null. */
function asObject(line: string): string | null {
  let start = 0;
  while (isJsonSpace(line.charCodeAt(start))) start++;
  if (line.charCodeAt(start) !== 0x7b) return null;
  let end = line.length;
  while (isJsonSpace(line.charCodeAt(end - 1))) end--;
  if (line.charCodeAt(end - 1) !== 0x7d) return null;
  const text = line.slice(start, end);
  try {
    JSON.parse(text);
    return text;
  } catch {
    return null;
  }
}

function isJsonSpace(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0d;
}

interface Tail {
  /** Remembers the end of the first `length` bytes. */
  add(bytes: Buffer, length: number): void;
  lines(unfinished: readonly Buffer[]): string[];
  clear(): void;
}

/** Bytes, not lines: that a report may never be asked for must cost no more than a small copy. */
function createTail(): Tail {
  const kept = Buffer.alloc(2 * TAIL_BYTES + 1);
  let used = 0;
  let torn = false;

  return {
    add(bytes, length) {
      const start = Math.max(0, length - TAIL_BYTES);
      if (used + length - start + 1 > kept.length) {
        kept.copyWithin(0, used - TAIL_BYTES, used);
        used = TAIL_BYTES;
        torn = true;
      }
      if (start > 0) {
        used = 0;
        torn = true;
      }
      used += bytes.copy(kept, used, start, length);
      if (kept[used - 1] !== NEWLINE) kept[used++] = NEWLINE;
    },
    clear() {
      used = 0;
      torn = false;
    },
    lines(unfinished) {
      const lines = kept.toString('utf8', 0, used).split('\n');
      lines.pop();
      if (torn && lines.length > 1) lines.shift();
      for (const bytes of unfinished) {
        lines.push(bytes.toString('utf8', Math.max(0, bytes.length - TAIL_BYTES)));
      }
      const last: string[] = [];
      let room = TAIL_BYTES;
      for (let i = lines.length - 1; i >= 0 && last.length < TAIL_LINES; i--) {
        const line = lines[i]!.replace(/\r$/, '');
        if (line.trim() === '') continue;
        const bytes = Buffer.from(line);
        // Only the last line of all may be shortened: to its end, where an error's point usually is.
        if (bytes.length > room && last.length > 0) break;
        last.unshift(
          bytes.length > room ? bytes.toString('utf8', characterEnd(bytes, bytes.length - room)) : line,
        );
        room -= bytes.length;
      }
      return last;
    },
  };
}

/** The first start of a UTF-8 character at or after `at`. */
function characterEnd(bytes: Buffer, at: number): number {
  let end = at;
  while (end < bytes.length && (bytes[end]! & 0xc0) === 0x80) end++;
  return end;
}
