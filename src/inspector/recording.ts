/** What is in a recording, and how it is read. docs/reference/recording.md describes it line by line. */
import { readFileSync } from 'node:fs';
import type { SupervisorInput } from '../../machines/supervisor.ts';
import type { ToldOfDeath } from '../output/crash.ts';

export const RECORDING_VERSION = 2;

/** Since 2 all that comes of an event has its time; before, lines had each its own. */
export type RecordingVersion = 1 | typeof RECORDING_VERSION;

/** Where a part of a recording begins: at upkeep's start, in a new file, after each MB, and where events have been lost. */
export interface Header {
  readonly upkeep: 'recording';
  readonly version: RecordingVersion;
  /** upkeep's own. */
  readonly by: string;
  /** Time of day, ms since 1970, and monotonic ms. */
  readonly time: number;
  readonly at: number;
  readonly hostname: string;
  /** Lines that could not be written before this one. */
  readonly lost: number;
  readonly start:
    | { readonly input: SupervisorInput }
    /** Upkeep ran already. */
    | { readonly root: Kept; readonly timers: readonly KeptTimer[] };
}

/** A machine as it was when a part begins. */
export interface Kept {
  readonly id: string;
  readonly value: unknown;
  readonly context: unknown;
  readonly status: 'active' | 'done';
  readonly output?: unknown;
  /** Monotonic ms at which it came into the first level of its state. */
  readonly since: number;
  readonly machines: readonly Kept[];
  /** What it has under way in the world. */
  readonly ports: readonly { readonly id: string; readonly src: string; readonly input: unknown }[];
}

export interface KeptTimer {
  /** Path of its machine. */
  readonly of: string;
  readonly event: string;
}

interface Timed {
  /** Monotonic ms. */
  readonly at: number;
  /** Time of day, ms since 1970. */
  readonly time: number;
}

/** What reached a machine from outside of the machines. */
export interface Heard extends Timed {
  /** Path of ids below the root, with `/` between them; the root's own is empty. */
  readonly to: string;
  /** The port of that machine that sent it, by its id; `timer`: its own; null: an order to the root. */
  readonly from: string | null;
  readonly event: { readonly type: string };
  /** The port sent it at once, while it was being started. */
  readonly now?: true;
}

/** A machine came into that state; null: it is there no more. */
export interface Became extends Timed {
  readonly of: string;
  readonly state: string | null;
}

/** A machine told something, sent a signal, or had a configuration read again. */
export interface Did extends Timed {
  readonly of: string;
  readonly did: string;
  readonly with: unknown;
}

/** What the log was told beside what the machines tell: notices, and what was found out about a death. */
export interface Noted extends Timed {
  readonly told: ToldOfDeath;
}

export type Line = Heard | Became | Did | Noted;

/** A line, and its number in the file: 1, 2, 3 … */
export type Numbered = Line & { readonly line: number };

export interface Part {
  readonly header: Header;
  /** Of the header. */
  readonly line: number;
  readonly lines: readonly Numbered[];
}

export interface Recording {
  readonly parts: readonly Part[];
  /** ms since 1970 of its first and its last line. */
  readonly from: number;
  readonly to: number;
  /** Numbers of lines that are cut: upkeep was killed while it wrote them. */
  readonly cut: readonly number[];
}

/** What is no recording, or cannot be read: `cannot read FILE: why; what to do`. */
export class RecordingError extends Error {}

/** @throws RecordingError */
export function readRecording(path: string): Recording {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why =
      code === 'ENOENT'
        ? 'there is no such file; look at its path'
        : `${message.split(',')[0]}; look at the file`;
    throw new RecordingError(`cannot read ${path}: ${why}`);
  }
  return parseRecording(text, path);
}

/** @param path for errors. @throws RecordingError */
export function parseRecording(text: string, path: string): Recording {
  const refuse = (line: number, why: string): RecordingError =>
    new RecordingError(`cannot read ${path}: line ${line}: ${why}`);
  const parts: { header: Header; line: number; lines: Numbered[] }[] = [];
  const cut: number[] = [];
  /** A line that is cut, unless something but a header follows. */
  let broken: number | null = null;
  const lines = text.split('\n');
  for (const [index, one] of lines.entries()) {
    const line = index + 1;
    if (one === '') continue;
    const read = parsed(one);
    const isHeader = read !== null && read.upkeep === 'recording';
    if (broken !== null && !isHeader) {
      throw refuse(broken, 'it is no JSON; it was not written by upkeep, or was changed since');
    }
    if (broken !== null) cut.push(broken);
    broken = null;
    if (read === null) {
      if (parts.length === 0 && !isCutHeader(one)) break;
      broken = line;
    } else if (isHeader) {
      if (read.version !== RECORDING_VERSION && read.version !== 1) {
        throw refuse(
          line,
          `it is of version ${read.version}, and this upkeep reads versions 1 to ${RECORDING_VERSION}; take the upkeep that wrote it`,
        );
      }
      if (!isWhole(read)) throw refuse(line, FOREIGN);
      parts.push({ header: read as unknown as Header, line, lines: [] });
    } else if (parts.length === 0) break;
    else if (!isLine(read)) {
      throw refuse(line, FOREIGN);
    } else parts.at(-1)!.lines.push({ ...(read as unknown as Line), line });
  }
  if (broken !== null) cut.push(broken);
  if (parts.length === 0 && broken !== null) {
    throw refuse(broken, 'it is cut, and nothing follows; look for the file before it, or record anew');
  }
  if (parts.length === 0) {
    throw new RecordingError(
      `cannot read ${path}: it is no recording; make one with upkeep run --record FILE`,
    );
  }
  const last = parts.at(-1)!;
  return { parts, from: parts[0]!.header.time, to: last.lines.at(-1)?.time ?? last.header.time, cut };
}

/** Of the first line of a part. */
export const BEGINNING = '{"upkeep":"recording"';
const isCutHeader = (text: string): boolean => text.startsWith(BEGINNING) || BEGINNING.startsWith(text);

const FOREIGN = 'it is none that upkeep writes; the file was changed since, or is of somebody else';

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;
const isTimed = ({ at, time }: Record<string, unknown>): boolean =>
  typeof at === 'number' && typeof time === 'number';

function isWhole(header: Record<string, unknown>): boolean {
  const { start } = header;
  if (!isTimed(header) || typeof header.lost !== 'number' || !isObject(start)) return false;
  return isObject(start.input) || (isObject(start.root) && Array.isArray(start.timers));
}

function isLine(line: Record<string, unknown>): boolean {
  if (!isTimed(line)) return false;
  const { to, of, event, told } = line;
  if (typeof to === 'string') return isObject(event) && typeof event.type === 'string';
  if (typeof of !== 'string') return isObject(told) && typeof told.type === 'string';
  return typeof line.did === 'string' || typeof line.state === 'string' || line.state === null;
}

function parsed(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = decoded(JSON.parse(text));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

/** What JSON cannot say, as objects whose one key begins with `$`: sets, maps, numbers without end, actors. */
export function encoded(value: unknown): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? value : { $number: String(value) };
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return encodedAll(value) ?? value;
  if (value instanceof Set) return { $set: [...value].map(encoded) };
  if (value instanceof Map) return { $map: [...value].map((entry) => entry.map(encoded)) };
  if (value instanceof Error) return { $error: value.message };
  // An actor, or the mark that XState wants in its place.
  if (('sessionId' in value && 'logic' in value) || 'xstate$$type' in value) {
    return { $actor: (value as unknown as { id: string }).id };
  }
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  const told = encodedAll(entries.map(([, each]) => each));
  const isOwn = entries.some(([key]) => key.startsWith('$'));
  if (told === null && !isOwn) return value;
  const pairs = entries.map(([key, each], index) => [key, told === null ? each : told[index]]);
  return isOwn ? { $object: pairs } : Object.fromEntries(pairs);
}

/** null: they can stay as they are. That is so with most, and there may be a lot. */
function encodedAll(values: readonly unknown[]): readonly unknown[] | null {
  let copy: unknown[] | null = null;
  for (const [index, each] of values.entries()) {
    const is = encoded(each);
    if (is !== each) copy ??= values.slice(0, index);
    copy?.push(is);
  }
  return copy;
}

/** The value again. Actors come back as XState's own references to children. */
export function decoded(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(decoded);
  const entries = Object.entries(value);
  const [key, inner] = entries.length === 1 ? entries[0]! : ['', null];
  switch (key) {
    case '$number':
      return Number(inner);
    case '$set':
      return new Set((inner as unknown[]).map(decoded));
    case '$map':
      return new Map((inner as [unknown, unknown][]).map(([a, b]) => [decoded(a), decoded(b)]));
    case '$error':
      return new Error(String(inner));
    case '$actor':
      return { xstate$$type: 1, id: inner };
    case '$object':
      return Object.fromEntries((inner as [string, unknown][]).map(([a, b]) => [a, decoded(b)]));
    default:
      return Object.fromEntries(entries.map(([a, b]) => [a, decoded(b)]));
  }
}
