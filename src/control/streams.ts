/** Answers that go on: events and lines, as NDJSON. A client that reads slowly is told what it missed, and slows nobody. */
import type { ServerResponse } from 'node:http';
import type { Entry, Happening } from '../output/journal.ts';
import type { Recent, RecentLine } from '../output/recent.ts';
import { messageOf } from '../output/tell.ts';
import type { Inside } from './inside.ts';

/** Entries that are looked at, and bytes that are taken, at once. */
const BATCH = 256;
const MOST_BYTES = 64 * 1024;
/** ms in which what comes is gathered. */
const GATHER = 20;
const HEAD = { 'content-type': 'application/x-ndjson' } as const;

export interface EventsWanted {
  /** null: of all. */
  readonly names: readonly string[] | null;
  /** Those behind this number. */
  readonly since: number | null;
  /** So many of them at most. */
  readonly last: number | null;
  /** Goes on with what comes. */
  readonly follow: boolean;
}

/** `{"number", "time", "event", …}` in each line; `{"gone": N}` in place of entries that are not kept any more. */
export function streamEvents({ journal, redactValue }: Inside, wanted: EventsWanted) {
  return (response: ServerResponse): void => {
    const named = wanted.names === null ? null : new Set(wanted.names);
    const { since, last } = wanted;
    const kept = journal.since(since ?? 0).entries.filter(({ what }) => isOf(what, named));
    const isAll = last === null || last >= kept.length;
    // What is gone between that number and the first of them is told.
    let number = since !== null && isAll ? since : startOf(kept, last, journal.last());
    pump(response, wanted.follow ? journal.follow : null, () => {
      const { entries, gone } = journal.since(number, BATCH);
      const lines = gone > 0 ? [JSON.stringify({ gone })] : [];
      number += gone;
      let size = 0;
      for (const entry of entries) {
        number = entry.number;
        if (!isOf(entry.what, named)) continue;
        const line = entryLine(entry, redactValue);
        lines.push(line);
        size += line.length;
        if (size > MOST_BYTES) break;
      }
      return { lines, more: number < journal.last() };
    });
  };
}

/** The number behind which the last so many are; without a number: all that are kept. */
function startOf(kept: readonly Entry[], last: number | null, until: number): number {
  const first = last === null ? kept[0] : kept.slice(Math.max(0, kept.length - last))[0];
  return last === 0 || first === undefined ? until : first.number - 1;
}

function isOf(what: Happening, named: ReadonlySet<string> | null): boolean {
  if (named === null) return true;
  if ('command' in what) return what.command !== null && named.has(what.command);
  return 'commands' in what && what.commands.some((name) => named.has(name));
}

/** One line of JSON, without its end. @param redactValue takes out what nobody should be shown */
export function entryLine(
  { number, time, what }: Entry,
  redactValue: <T>(value: T) => T = (value) => value,
): string {
  const { type, ...rest } = what;
  const message =
    type === 'command.transition'
      ? `${what.command}: ${what.from ?? 'nothing'} → ${what.to} (${what.on})`
      : messageOf(what);
  const shown = { number, time: new Date(time).toISOString(), event: type, ...rest, message };
  return JSON.stringify(redactValue(shown));
}

export interface LogsWanted {
  readonly names: readonly string[] | null;
  /** Not older than this time of day, ms since 1970. */
  readonly since: number | null;
  readonly last: number | null;
  readonly follow: boolean;
}

/** `{"time", "name", "stream", "line"}` in each line; `{"name", "lost": N}` in place of lines that were written over. */
export function streamLogs(
  recent: Recent,
  redact: Inside['redact'],
  { names, since, last, follow }: LogsWanted,
) {
  return (response: ServerResponse): void => {
    const reader = recent.reader(names);
    response.on('close', () => reader.close());
    const isRecent = ({ time }: RecentLine): boolean => since === null || time >= since;
    // How many lines there are is known when they have been read, and all of them are more than may be kept.
    let skipped = last === null ? 0 : countOf(recent, names, isRecent, follow) - last;
    let isOld = true;
    pump(response, follow ? recent.follow : null, () => {
      const { lines, lost, more } = reader.read(MOST_BYTES);
      const texts: string[] = [];
      for (const [name, count] of Object.entries(lost)) {
        skipped -= count;
        texts.push(JSON.stringify({ name, lost: count }));
      }
      // A last line without an end is shown to whoever does not stay for it.
      for (const line of more || follow ? lines : [...lines, ...reader.rest()]) {
        if (isOld && !isRecent(line)) continue;
        if (skipped-- > 0) continue;
        texts.push(textOf({ ...line, text: redact(line.text) }));
      }
      if (!more) {
        isOld = false;
        skipped = 0;
      }
      return { lines: texts, more };
    });
  };
}

/** How many lines there are to be read now. */
function countOf(
  recent: Recent,
  names: readonly string[] | null,
  counts: (line: RecentLine) => boolean,
  follow: boolean,
): number {
  const reader = recent.reader(names);
  let count = 0;
  for (let more = true; more; ) {
    const read = reader.read(MOST_BYTES);
    more = read.more;
    for (const line of read.lines) if (counts(line)) count++;
  }
  if (!follow) for (const line of reader.rest()) if (counts(line)) count++;
  reader.close();
  return count;
}

function textOf({ time, name, stream, text }: RecentLine): string {
  return JSON.stringify({ time: new Date(time).toISOString(), name, stream, line: text });
}

/**
 * Writes what `take` gives until there is no more; goes on whenever `follow` wakes it. Nothing is taken while the client has
 * not read what it was given.
 */
function pump(
  response: ServerResponse,
  follow: ((wake: () => void) => () => void) | null,
  take: () => { lines: readonly string[]; more: boolean },
): void {
  let timer: NodeJS.Timeout | null = null;
  let blocked = false;
  let ended = false;
  const write = (): void => {
    timer = null;
    while (!blocked && !ended) {
      const { lines, more } = take();
      if (lines.length > 0) blocked = !response.write(`${lines.join('\n')}\n`);
      if (more) continue;
      if (follow === null) response.end();
      return;
    }
  };
  const unfollow = follow?.(() => {
    if (blocked || timer !== null) return;
    timer = setTimeout(write, GATHER);
    timer.unref();
  });
  response.on('drain', () => {
    blocked = false;
    write();
  });
  response.on('close', () => {
    ended = true;
    unfollow?.();
    if (timer !== null) clearTimeout(timer);
  });
  response.writeHead(200, HEAD);
  response.flushHeaders();
  write();
}
