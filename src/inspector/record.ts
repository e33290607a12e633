/**
 * Writes a recording while upkeep runs. It never holds anybody up: lines wait in memory, up to a limit; what cannot be written is
 * lost and counted, and then a new part begins, with all machines as they are. So every part can be replayed by itself.
 */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Telling } from '../../machines/events.ts';
import type { SupervisorInput } from '../../machines/supervisor.ts';
import type { ToldOfDeath } from '../output/crash.ts';
import { adviceOn, reasonOf } from '../output/unwritable.ts';
import { keptOf, timersOf } from './kept.ts';
import { BEGINNING, encoded, type Header, RECORDING_VERSION } from './recording.ts';
import type { Root } from './root.ts';
import { createTrace, type Traced } from './trace.ts';

export interface RecorderOptions {
  readonly path: string;
  /** Bytes at which a file is full, and another is begun. */
  readonly size: number;
  /** upkeep's own. */
  readonly version: string;
  /** Takes out what nobody should be shown. */
  readonly redact: (text: string) => string;
  /** The same of each text in what becomes JSON. */
  readonly redactValue: <T>(value: T) => T;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly wallClock?: () => number;
  readonly notice: (message: string, level: 'info' | 'warn') => void;
  /** ms after which it is tried again to write. */
  readonly retry?: number;
  /** Characters that wait to be written; more is lost. */
  readonly most?: number;
  /** Bytes after which another part is begun; default: 1 MB, or more where headers are large. */
  readonly part?: number;
}

export interface Recorder {
  /** Records the root from now on: before it is started. */
  readonly attach: (root: Root, input: SupervisorInput) => void;
  /** What the log is told. */
  readonly told: (told: ToldOfDeath) => void;
  /** Characters that are not written yet. */
  readonly waiting: () => number;
  /** Takes no more. Resolves when what waits is written, or cannot be, or after so many ms. */
  readonly close: (within: number) => Promise<void>;
}

/** Full files that are kept: `FILE.1` is the newest. */
const KEPT_FILES = 4;
const RETRY = 10_000;
/** Bytes after which a part ends: to see what was at a time, the machines are run from the beginning of a part. */
const PART = 1024 * 1024;
const MOST_WAITING = 16 * 1024 * 1024;
const FLAGS =
  constants.O_RDWR |
  constants.O_APPEND |
  constants.O_CREAT |
  constants.O_NOFOLLOW |
  constants.O_NONBLOCK |
  constants.O_NOCTTY;
/** Bytes that are read at once. */
const CHUNK = 64 * 1024;
const TOKEN = /(#token=)[\w-]+/g;

interface Waiting {
  readonly text: string;
  /** It belongs at the beginning of a new file. */
  readonly rotates: boolean;
}

/** Opens the file soon; neither blocks nor throws. */
export function createRecorder(options: RecorderOptions): Recorder {
  const { path, version, now, notice, redact, redactValue, wallClock = Date.now } = options;
  const { retry = RETRY, most = MOST_WAITING, part = null } = options;
  let root: Root | null = null;
  /** What was told before there was a root. */
  const early: ToldOfDeath[] = [];
  let handle: FileHandle | null = null;
  let queue: Waiting[] = [];
  let queued = 0;
  /** Lines since the last part began, and since it was told of them. */
  let lost = 0;
  let untold = 0;
  /** Lines have been lost: what comes is of no use before a new part has begun. */
  let torn = false;
  let failing = false;
  /** Of the file: bytes of whole lines, and of those the header's. */
  let size = 0;
  let headSize = 0;
  /** Where in the file the last part begins. */
  let partAt = 0;
  let scheduled = false;
  let busy = false;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let onClosed: (() => void) | null = null;
  /** What a machine has just told: the log is told the same. */
  let telling: Telling | null = null;
  /** When the last event reached a machine: all that comes of it is told with that time. */
  let heard = { at: 0, time: 0 };
  const trace = createTrace(write, () => heard.at);

  /** An observer that throws would hold up the machines. */
  function guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      lose(1);
      // Not from within: what is told is recorded.
      setImmediate(
        notice,
        `a mistake in the recorder was survived: ${(error as Error).stack ?? error}`,
        'warn',
      );
    }
  }

  /** A line, without what is secret. */
  function textOf(value: object): string {
    const text = JSON.stringify(encoded(value));
    const shown = redact(text) === text ? text : JSON.stringify(encoded(redactValue(value)));
    // With the inspector's token in it a recording that is passed on would let people in, as long as upkeep runs.
    return shown.replace(TOKEN, '$1***');
  }

  function write(what: Traced | { readonly told: ToldOfDeath }): void {
    if (closed) return;
    if ('did' in what && what.did === 'tell') telling = what.with as Telling;
    if ('to' in what) heard = { at: now(), time: wallClock() };
    if (torn || queued > most) lose(1);
    else push(textOf({ ...('told' in what ? { at: now(), time: wallClock() } : heard), ...what }));
  }

  function push(text: string, rotates = false): void {
    queue.push({ text: `${text}\n`, rotates });
    queued += text.length + 1;
    schedule();
  }

  function lose(lines: number): void {
    torn = true;
    lost += lines;
    untold += lines;
  }

  /** So many, since it was asked last. */
  function linesLost(): string {
    const lines = untold === 1 ? '1 line was lost' : `${untold} lines were lost`;
    untold = 0;
    return lines;
  }

  function schedule(): void {
    if (scheduled || busy || failing) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      void work();
    });
  }

  /** A part begins: between two events, when no machine is at work. */
  function begin(rotates: boolean): void {
    const header = headerNow();
    if (header === null) return;
    torn = false;
    lost = 0;
    push(textOf(header), rotates);
  }

  function headerNow(): Header | null {
    if (root === null || root.getSnapshot().status !== 'active') return null;
    return headerOf({ root: keptOf(root, trace.sinceOf), timers: timersOf(root) });
  }

  function headerOf(start: Header['start']): Header {
    heard = { at: now(), time: wallClock() };
    return {
      upkeep: 'recording',
      version: RECORDING_VERSION,
      by: version,
      ...heard,
      hostname: hostname(),
      lost,
      start,
    };
  }

  async function work(): Promise<void> {
    if (busy) return;
    busy = true;
    clearTimeout(timer);
    try {
      while (queue.length > 0) {
        await writeSome();
        if (failing) {
          failing = false;
          notice(`the recording ${path} is written again; ${linesLost()}`, 'info');
        }
        if (queue.length > 0 || closed) continue;
        if (torn) {
          notice(`${linesLost()}: the recording ${path} could not be written fast enough`, 'warn');
          begin(false);
        } else if (size >= Math.max(options.size, 2 * headSize)) begin(true);
        else if (size - partAt >= (part ?? Math.max(PART, 4 * headSize))) begin(false);
      }
    } catch (error) {
      await fails(error as NodeJS.ErrnoException);
    }
    busy = false;
    if (closed) await finish();
    else if (failing) timer = setTimeout(again, retry).unref();
  }

  function again(): void {
    begin(false);
    if (queue.length > 0) void work();
  }

  async function fails(error: NodeJS.ErrnoException): Promise<void> {
    const isNews = !failing;
    failing = true;
    lose(queue.length);
    queue = [];
    queued = 0;
    if (isNews) {
      notice(
        `cannot record to ${path}: ${reasonOf(error)}; ${adviceOn(error, 'name another file')}. Nothing else suffers, and it is tried again`,
        'warn',
      );
    }
    // The line that was cut goes, so that what is there can be read.
    await handle?.truncate(size).catch(() => undefined);
    await discard();
  }

  async function discard(): Promise<void> {
    const old = handle;
    handle = null;
    await old?.close().catch(() => undefined);
  }

  async function finish(): Promise<void> {
    await discard();
    onClosed?.();
  }

  async function writeSome(): Promise<void> {
    if (queue[0]!.rotates) {
      await discard();
      await shiftFiles(path);
    }
    if (handle === null) await openFile();
    const next = queue.findIndex(({ rotates }, index) => index > 0 && rotates);
    const batch = queue.slice(0, next === -1 ? queue.length : next);
    const bytes = Buffer.from(batch.map(({ text }) => text).join(''));
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await handle!.write(bytes, done, bytes.length - done, null);
      done += bytesWritten;
    }
    size += bytes.length;
    const head = batch.findLast(({ text }) => text.startsWith(BEGINNING));
    if (head !== undefined) {
      headSize = Buffer.byteLength(head.text);
      partAt = size;
    }
    queue.splice(0, batch.length);
    queued -= batch.reduce((sum, { text }) => sum + text.length, 0);
  }

  async function openFile(): Promise<void> {
    let opened = await openOrCreate(path);
    try {
      let found = await opened.stat();
      if (!found.isFile()) throw new Error('it is no regular file');
      const why = found.size === 0 ? null : await whyNotWrittenOn(opened, found.size);
      if (why !== null) {
        await opened.close();
        await shiftFiles(path);
        notice(`${why}: ${path} is ${path}.1 now, and another file is begun`, 'warn');
        opened = await openOrCreate(path);
        found = await opened.stat();
      }
      // Whoever made it may not have thought of what would be in it.
      if ((found.mode & 0o077) !== 0) await opened.chmod(0o600).catch(othersCanRead);
      size = found.size;
      if (size > 0) {
        // The one before may have been killed within a line.
        const last = Buffer.alloc(1);
        await opened.read(last, 0, 1, size - 1);
        if (last.toString() !== '\n') {
          await opened.write('\n');
          size++;
        }
      }
      handle = opened;
    } catch (error) {
      await opened.close();
      throw error;
    }
  }

  function othersCanRead(error: NodeJS.ErrnoException): void {
    notice(`others can read the recording ${path}: its mode cannot be changed: ${reasonOf(error)}`, 'warn');
  }

  return {
    attach(given, input) {
      root = given;
      given.system.inspect((event) => guarded(() => trace.inspect(event)));
      push(textOf(headerOf({ input })));
      for (const told of early.splice(0)) write({ told });
    },
    told(told) {
      if (root === null) {
        early.push(told);
        return;
      }
      const { at: _, ...rest } = told;
      const before = telling;
      if (before?.type === told.type) telling = null;
      if (!isDeepStrictEqual(before, rest)) guarded(() => write({ told }));
    },
    waiting: () => queued,
    close(within) {
      return new Promise((resolve) => {
        const limit = setTimeout(resolve, within);
        onClosed = () => {
          clearTimeout(limit);
          resolve();
        };
        closed = true;
        clearTimeout(timer);
        if (!busy) void work();
      });
    },
  };
}

/**
 * Why a file cannot be gone on with, as far as its first line tells; null: it can.
 *
 * @throws Error where it is none of ours
 */
async function whyNotWrittenOn(file: FileHandle, size: number): Promise<string | null> {
  const first = Buffer.alloc(Math.min(BEGINNING.length, size));
  await file.read(first, 0, first.length, 0);
  if (!BEGINNING.startsWith(first.toString())) throw new Error('it is something else than a recording');
  const chunks: Buffer[] = [];
  for (let at = 0, end = -1; end === -1; at += CHUNK) {
    const chunk = Buffer.alloc(CHUNK);
    const { bytesRead } = await file.read(chunk, 0, CHUNK, at);
    if (bytesRead === 0) return 'the recording that was there is cut in its first line';
    end = chunk.subarray(0, bytesRead).indexOf('\n');
    chunks.push(chunk.subarray(0, end === -1 ? bytesRead : end));
  }
  try {
    const { version } = JSON.parse(Buffer.concat(chunks).toString()) as { version?: unknown };
    return version === RECORDING_VERSION ? null : `the recording that was there is of version ${version}`;
  } catch {
    return 'the recording that was there is cut in its first line';
  }
}

async function openOrCreate(path: string): Promise<FileHandle> {
  try {
    return await open(path, FLAGS, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    await mkdir(dirname(path), { recursive: true });
    return open(path, FLAGS, 0o600);
  }
}

/** `FILE` becomes `FILE.1`, that becomes `FILE.2` …, and the last one goes. */
async function shiftFiles(path: string): Promise<void> {
  await unlink(`${path}.${KEPT_FILES}`).catch(ignoreMissing);
  for (let n = KEPT_FILES - 1; n >= 1; n--)
    await rename(`${path}.${n}`, `${path}.${n + 1}`).catch(ignoreMissing);
  await rename(path, `${path}.1`).catch(ignoreMissing);
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
