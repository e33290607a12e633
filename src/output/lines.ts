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
  /** The same for what came out of a file, each of which has an unfinished line of its own. */
  pushFile(chunk: Buffer, path: string): Buffer;
  /** Its line, formatted: it is whole, and part of no stream. */
  record(record: LogRecord): Buffer;
  /** The unfinished last line of each stream and file, formatted, with a newline. */
  end(): Buffer;
  /** The service's last lines, the unfinished one included, blank ones not: at most 10, and 2 KiB together. */
  tail(): string[];
  /** A new run begins: `tail` is of it alone. */
  forgetTail(): void;
  /** Formats otherwise from now on, the unfinished lines included. */
  reformat(kind: LineKind, opts: LineOptions): void;
}

export type LineKind = 'plain' | 'json';

/** What was said otherwise than on a stream. */
export interface LogRecord {
  /** Stands in front of each plain line. */
  readonly head: string;
  /** One line, without a newline. */
  readonly text: string;
  /** What a JSON object says of it, without braces. */
  readonly label: string;
}

export interface LineOptions {
  /** Columns of the name, see `nameWidth`. */
  readonly width?: number;
  readonly colour?: boolean;
  readonly wallClock?: () => Date;
  /** Takes out of what becomes JSON what nobody should be shown. */
  readonly redact?: ((text: string) => string) | undefined;
  /** Stands in plain lines for the name; an empty text: nothing is in front of them. */
  readonly prefix?: string | null;
  /** Given the lines as plain ones without prefix, before they are returned as they were asked for. */
  readonly bare?: ((lines: Buffer) => void) | null;
}

/** How wide the column of names is: as wide as the longest, within reason. */
export function nameWidth(names: readonly string[]): number {
  return Math.min(WIDEST_NAME, Math.max(0, ...names.map((name) => name.length)));
}

/**
 * A formatter for one service. `plain`: `name | text`, the bytes as they came; `json`: one object a line, with
 * U+FFFD for what is no UTF-8. A `\r` before the newline is dropped in both.
 */
export function createLineFormatter(kind: LineKind, name: string, opts: LineOptions = {}): LineFormatter {
  let format = formatOf(kind, name, opts);
  let isJson = kind === 'json';
  let bare = opts.bare ?? null;
  const stdout = createSource('"stream":"stdout"');
  const stderr = createSource('"stream":"stderr"');
  const files = new Map<string, Source>();
  const tail = createTail();

  function emit({ splitter, label }: Source, raw: Buffer): Buffer {
    const parts = splitter.take();
    if (parts.length === 0) return NOTHING;
    tail.add(raw, splitter.consumed);
    if (bare !== null) bare(formatAll(parts, bareFormat, label));
    return formatAll(parts, format, label);
  }

  const sources = (): Source[] => [stdout, stderr, ...files.values()];

  return {
    push(chunk, stream) {
      const source = stream === 'stdout' ? stdout : stderr;
      return emit(source, source.splitter.push(chunk));
    },
    pushFile(chunk, path) {
      let source = files.get(path);
      if (source === undefined) {
        source = createSource(`"stream":"file","path":${JSON.stringify(path)}`);
        files.set(path, source);
      }
      return emit(source, source.splitter.push(chunk));
    },
    record({ head, text, label }) {
      const headed: Part = { bytes: Buffer.from(head + text), what: 'unended' };
      tail.add(headed.bytes, headed.bytes.length);
      bare?.(bareFormat(headed, label));
      return format(isJson ? { ...headed, bytes: Buffer.from(text) } : headed, label);
    },
    end() {
      const out = sources().map((source) => emit(source, source.splitter.end()));
      files.clear();
      return Buffer.concat(out);
    },
    tail: () => tail.lines(sources().map(({ splitter }) => splitter.unfinished())),
    forgetTail: () => tail.clear(),
    reformat(newKind, newOpts) {
      format = formatOf(newKind, name, newOpts);
      isJson = newKind === 'json';
      bare = newOpts.bare ?? null;
    },
  };
}

/** What lines come from. */
interface Source {
  readonly splitter: Splitter;
  /** What its JSON objects say of it. */
  readonly label: string;
}

function createSource(label: string): Source {
  return { splitter: createSplitter(), label };
}

function formatAll(parts: readonly Part[], format: Format, label: string): Buffer {
  return parts.length === 1
    ? format(parts[0]!, label)
    : Buffer.concat(parts.map((part) => format(part, label)));
}

function formatOf(kind: LineKind, name: string, opts: LineOptions): Format {
  if (kind === 'json') return jsonFormat(name, opts.wallClock ?? (() => new Date()), opts.redact);
  const text = opts.prefix ?? name;
  return text === '' ? bareFormat : plainFormat(prefixOf(text, opts));
}

/** Lines, or a piece of one, without the last newline. */
interface Part {
  readonly bytes: Buffer;
  /** `lines`: whole lines, as many as there are, and none too long. `unended`: a line that nobody has ended. `more`: a piece
   * with more of its line to come. `last`: the last piece of a cut line. */
  readonly what: 'lines' | 'unended' | 'more' | 'last';
}

interface Splitter {
  /** Cuts a chunk into parts, and returns the bytes they refer to. */
  push(chunk: Buffer): Buffer;
  /** What was cut since the last call, once: a thousand quiet services shall not keep their last chunk each. */
  take(): readonly Part[];
  /** How many bytes of what `push` or `end` returned the parts cover, newlines included. */
  readonly consumed: number;
  end(): Buffer;
  unfinished(): Buffer;
}

function createSplitter(): Splitter {
  let rest = NOTHING;
  let held = 0;
  let cut = false;
  let parts: Part[] = [];
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
      parts.push({ bytes: raw.subarray(from, to), what: 'more' });
      cut = true;
      from = to;
    }
    return from;
  }

  return {
    take() {
      const taken = parts;
      parts = [];
      return taken;
    },
    get consumed() {
      return consumed;
    },
    push(chunk) {
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
        const after = cut ? start : afterShortLines(raw, start);
        if (after > start) {
          parts.push({ bytes: raw.subarray(start, after - 1), what: 'lines' });
          start = after;
        } else {
          const end = lineEnd(raw, start, newline);
          start = cutLong(raw, start, end);
          parts.push({ bytes: raw.subarray(start, end), what: cut ? 'last' : 'lines' });
          cut = false;
          start = newline + 1;
        }
        newline = raw.indexOf(NEWLINE, start);
      }
      // A `\r` at the very end may be half of a line's end: it does not count yet, or chunking would show.
      start = cutLong(raw, start, lineEnd(raw, start, raw.length));
      if (start < raw.length) hold(raw.subarray(start));
      consumed = start;
      return raw;
    },
    end() {
      const raw = rest.subarray(0, held);
      if (held > 0) {
        const start = cutLong(raw, 0, held);
        parts.push({ bytes: raw.subarray(start, held), what: cut ? 'last' : 'unended' });
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

/** Where the row of lines that are not too long ends which begins at `start`: behind its last newline. */
function afterShortLines(raw: Buffer, start: number): number {
  let from = start;
  for (;;) {
    const newline = raw.lastIndexOf(NEWLINE, from + LONGEST_LINE);
    if (newline < from) return from;
    from = newline + 1;
  }
}

function lineEnd(raw: Buffer, start: number, end: number): number {
  return end > start && raw[end - 1] === RETURN ? end - 1 : end;
}

/** The start of the UTF-8 character that `at` is in the middle of; `at` itself where the bytes are no UTF-8. */
function characterStart(bytes: Buffer, at: number): number {
  for (let start = at; start > at - 4; start--) {
    if ((bytes[start]! & 0xc0) !== 0x80) return start;
  }
  return at;
}

type Format = (part: Part, label: string) => Buffer;

function prefixOf(name: string, { width = 0, colour = false }: LineOptions): Buffer {
  const text = `${name.padEnd(width)} |`;
  return Buffer.from(colour ? `\x1b[38;5;${colourOf(name)}m${text}\x1b[0m ` : `${text} `);
}

function colourOf(name: string): number {
  let hash = 0;
  for (const byte of Buffer.from(name)) hash = (Math.imul(hash, 31) + byte) >>> 0;
  return COLOURS[hash % COLOURS.length]!;
}

/** Without the `\r` in front of each newline, and at the end. */
function withoutReturns(lines: string): string {
  if (!lines.includes('\r')) return lines;
  const text = lines.replaceAll('\r\n', '\n');
  return text.endsWith('\r') ? text.slice(0, -1) : text;
}

const bareFormat = plainFormat(NOTHING);

function plainFormat(prefix: Buffer): Format {
  const head = prefix.toString('latin1');
  const between = `\n${head}`;
  return ({ bytes, what }) => {
    // As latin1 every byte is a character and comes back as it was; strings are cut and joined in a third of the time of bytes.
    const text = bytes.toString('latin1');
    const lines = what === 'lines' ? withoutReturns(text).replaceAll('\n', between) : text;
    return Buffer.from(`${head}${lines}\n`, 'latin1');
  };
}

function jsonFormat(name: string, wallClock: () => Date, redact = (text: string): string => text): Format {
  const quotedName = JSON.stringify(name);
  return ({ bytes, what }, label) => {
    const shown = redact(label) === label ? label : redactLabel(label, redact);
    const head = `{"time":"${wallClock().toISOString()}","name":${quotedName},${shown},`;
    const line = `${head}"line":`;
    // Before it is JSON. An object that is none without its secret is told as the line that it is.
    const text = redact(bytes.toString('utf8'));
    if (what === 'more' || what === 'last') {
      return Buffer.from(`${line}${JSON.stringify(text)}${what === 'more' ? ',"partial":true' : ''}}\n`);
    }
    const lines = what === 'lines' ? withoutReturns(text) : text;
    // Quoted all at once: a newline is then `\n`, and nothing else is, as long as there is no backslash.
    if (!lines.includes('{') && !lines.includes('\\'))
      return Buffer.from(`${line}${JSON.stringify(lines).replaceAll('\\n', `"}\n${line}"`)}}\n`);
    let out = '';
    for (const one of lines.split('\n')) {
      const object = asObject(one);
      out += object === null ? `${line}${JSON.stringify(one)}}\n` : `${head}"data":${object}}\n`;
    }
    return Buffer.from(out);
  };
}

/** What a sender has said of itself, but for `stream`, which is a word of upkeep's. */
function redactLabel(label: string, redact: (text: string) => string): string {
  const hide = (key: string, value: unknown): unknown =>
    typeof value === 'string' && key !== 'stream' ? redact(value) : value;
  return JSON.stringify(JSON.parse(`{${label}}`), hide).slice(1, -1);
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
        if (used > TAIL_BYTES) torn = kept[used - TAIL_BYTES - 1] !== NEWLINE;
        kept.copyWithin(0, used - TAIL_BYTES, used);
        used = TAIL_BYTES;
      }
      if (start > 0) {
        used = 0;
        torn = bytes[start - 1] !== NEWLINE;
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
