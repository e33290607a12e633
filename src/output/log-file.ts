import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HARD_LIMIT, HIGH_WATER } from './sink.ts';
import { adviceOn, reasonOf } from './unwritable.ts';

/** How long a file that cannot be written is left alone, and how often one is looked at, ms. */
const RETRY = 1000;
const NEWLINE = 10;
/** A symbolic link is not followed: who owns the folder could have upkeep write anywhere. A FIFO must not hold up a thread. */
/** Loaded when they are first used: not by whoever writes no files. */
const promises = () => import('node:fs/promises');
const FLAGS =
  constants.O_WRONLY |
  constants.O_APPEND |
  constants.O_CREAT |
  constants.O_NOFOLLOW |
  constants.O_NONBLOCK |
  constants.O_NOCTTY;

/** A file that lines are appended to, and that is replaced by a new one when it is full. */
export interface LogFile {
  /** Takes whole lines. false: over the high-water mark, the producer has to pause until `onDrain`. While the file
   * cannot be written it is never false: as many lines are kept as are below that mark, what is more is lost and counted. */
  write(lines: Buffer): boolean;
  /** What `write` would say now. */
  readonly ready: boolean;
  /** For the files that get full from now on. */
  limit(limits: FileLimits): void;
  /** Looks at once whether the file is still where it was, and else begins a new one. */
  reopen(): void;
  /** Takes no more; resolves when what was taken is written, or cannot be, which is told, and the file is closed. */
  close(): Promise<void>;
}

export interface FileLimits {
  /** Bytes at which the file is full; 0: never. A single line may be longer. */
  readonly size: number;
  /** Full files that are kept: `path.1` is the newest. */
  readonly count: number;
}

export interface LogFileOptions extends FileLimits {
  /** Producers that were told to pause may go on. */
  readonly onDrain: () => void;
  /** What people should know: that the file cannot be written, once, and that it can again. */
  readonly notice: (level: 'info' | 'warn', message: string) => void;
  /** So many lines are lost, just now. */
  readonly onLost?: (lines: number) => void;
  readonly retry?: number;
}

interface Identity {
  readonly dev: number;
  readonly ino: number;
}

/** Opens the file, or creates it and its folder, soon; neither blocks nor throws. */
export function createLogFile(path: string, options: LogFileOptions): LogFile {
  const { onDrain, notice, retry = RETRY } = options;
  let limits: FileLimits = options;
  let handle: FileHandle | null = null;
  let identity: Identity = { dev: 0, ino: 0 };
  let rotates = false;
  let size = 0;
  /** The file ends within a line: a disk got full. */
  let midLine = false;
  let queue: Buffer[] = [];
  let queued = 0;
  let lost = 0;
  let busy = false;
  let scheduled = false;
  let pausing = false;
  let failing = false;
  /** That the file could not be replaced has been told. */
  let stuck = false;
  let checkWanted = true;
  let checkAt = 0;
  let rotateAt = 0;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  let onClosed: (() => void)[] | null = [];

  function lose(lines: number): void {
    lost += lines;
    options.onLost?.(lines);
  }

  function settle(): void {
    if (pausing && (failing || queued <= HIGH_WATER / 2)) {
      pausing = false;
      onDrain();
    }
  }

  function schedule(): void {
    if (scheduled || busy) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      void work();
    });
  }

  async function work(): Promise<void> {
    if (busy) return;
    busy = true;
    clearTimeout(timer);
    try {
      while (queued > 0 || (checkWanted && !closed)) {
        await check();
        if (queued === 0 || (await writeSome())) works();
        settle();
      }
    } catch (error) {
      fails(error as NodeJS.ErrnoException);
    }
    busy = false;
    settle();
    if (closed) await finish();
    else if (failing) timer = setTimeout(work, retry).unref();
  }

  function works(): void {
    if (failing) notice('info', `the log ${path} is written again; ${linesLost(lost)}`);
    else if (lost > 0) notice('warn', `${linesLost(lost)}: ${path} could not be written fast enough`);
    failing = false;
    lost = 0;
  }

  function fails(error: NodeJS.ErrnoException): void {
    if (!failing) {
      notice(
        'warn',
        `cannot write the log ${path}: ${reasonOf(error)}; ${adviceOn(error, 'see to the path')}, or lines are lost`,
      );
    }
    failing = true;
  }

  async function finish(): Promise<void> {
    for (const bytes of queue) lose(countLines(bytes));
    queue = [];
    queued = 0;
    if (lost > 0) notice('warn', `${linesLost(lost)}: ${path} could not be written`);
    lost = 0;
    await discard();
    for (const done of onClosed ?? []) done();
    onClosed = null;
  }

  async function discard(): Promise<void> {
    const old = handle;
    handle = null;
    // What a disk reports only now is nothing that could be written again.
    await old?.close().catch(() => undefined);
  }

  /** Sees to it that the open file is the one that is found under the path. */
  async function check(): Promise<void> {
    // A line is ended where it began, unless that is what does not work.
    if (handle !== null && midLine && !failing) return;
    if (handle !== null && !checkWanted && performance.now() < checkAt) return;
    checkWanted = false;
    checkAt = performance.now() + retry;
    if (!(await isThere())) await openAnew();
  }

  async function isThere(): Promise<boolean> {
    if (handle === null) return false;
    const there = await (await promises()).lstat(path).catch(() => null);
    if (there === null || !isSame(there, identity)) return false;
    // Somebody may have emptied it.
    size = there.size;
    return true;
  }

  async function openAnew(): Promise<void> {
    let opened: FileHandle | null = null;
    try {
      opened = await openOrCreate(path);
      const found = await opened.stat();
      if (!found.isFile() && !found.isCharacterDevice()) throw new Error('it is no regular file');
      await discard();
      handle = opened;
      if (midLine && !isSame(found, identity)) dropFirstLine();
      identity = found;
      rotates = found.isFile();
      size = found.size;
    } catch (error) {
      await opened?.close();
      // The file that was moved away still takes lines; one that was deleted would swallow them.
      if (handle !== null && !failing && (await handle.stat()).nlink > 0) return cannotRotate(error as Error);
      await discard();
      throw error;
    }
    stuck = false;
  }

  /** Its beginning is in a file that is no longer ours. */
  function dropFirstLine(): void {
    midLine = false;
    const first = queue[0];
    if (first === undefined) return;
    lose(1);
    took(first, first.indexOf(NEWLINE) + 1);
  }

  function cannotRotate(error: Error): void {
    rotateAt = performance.now() + retry;
    if (!stuck) {
      notice(
        'warn',
        `cannot begin a new log ${path}: ${reasonOf(error)}; ${adviceOn(error, 'see to the path')}; until then the old one is written on`,
      );
    }
    stuck = true;
  }

  /** The first `length` bytes of the queue's first buffer are done with. */
  function took(first: Buffer, length: number): void {
    if (length === first.length) queue.shift();
    else queue[0] = first.subarray(length);
    queued -= length;
  }

  /** Whether all that it tried to write was written. */
  async function writeSome(): Promise<boolean> {
    const batch = mergeFirst(queue);
    let end = batch.length;
    if (rotates && limits.size > 0 && performance.now() >= rotateAt) {
      end = fitting(batch, limits.size - size, midLine || size === 0);
      if (end === 0) {
        await rotate();
        return false;
      }
    }
    const { bytesWritten } = await handle!.write(batch, 0, end, null);
    size += bytesWritten;
    midLine = batch[bytesWritten - 1] !== NEWLINE;
    took(batch, bytesWritten);
    return bytesWritten === end;
  }

  async function rotate(): Promise<void> {
    const before = size;
    try {
      if (await isThere()) {
        if (size < before) return;
        await shiftFiles(path, limits.count);
      }
    } catch (error) {
      // Moved away at this very moment: that is all that was wanted.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return cannotRotate(error as Error);
    }
    await openAnew();
  }

  function isReady(): boolean {
    if (closed || failing || queued <= HIGH_WATER) return true;
    pausing = true;
    return false;
  }

  schedule();
  return {
    write(lines) {
      if (lines.length === 0) return isReady();
      if (closed || queued + lines.length > (failing ? HIGH_WATER : HARD_LIMIT)) {
        lose(countLines(lines));
        return isReady();
      }
      queue.push(lines);
      queued += lines.length;
      if (!failing) schedule();
      return isReady();
    },
    get ready() {
      return isReady();
    },
    limit(newLimits) {
      limits = newLimits;
    },
    reopen() {
      checkWanted = true;
      if (!closed) schedule();
    },
    close() {
      if (!closed) {
        closed = true;
        schedule();
      }
      return new Promise((resolve) => {
        if (onClosed === null) resolve();
        else onClosed.push(resolve);
      });
    },
  };
}

function isSame(a: Identity, b: Identity): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

async function openOrCreate(path: string): Promise<FileHandle> {
  try {
    return await (await promises()).open(path, FLAGS, 0o640);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    await (await promises()).mkdir(dirname(path), { recursive: true });
    return (await promises()).open(path, FLAGS, 0o640);
  }
}

/** `path` becomes `path.1`, that becomes `path.2` …, and the last one goes. Where one is missing, none behind it moves: a
 * shift that failed half way is completed by the next. */
async function shiftFiles(path: string, count: number): Promise<void> {
  if (count === 0) return (await promises()).unlink(path);
  let last = 1;
  while (last < count && (await exists(`${path}.${last}`))) last++;
  for (let n = last; n > 1; n--) await (await promises()).rename(`${path}.${n - 1}`, `${path}.${n}`);
  await (await promises()).rename(path, `${path}.1`);
}

async function exists(path: string): Promise<boolean> {
  try {
    await (await promises()).lstat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** Makes one of the first buffers, up to about the high-water mark, and returns it. */
function mergeFirst(queue: Buffer[]): Buffer {
  let size = queue[0]!.length;
  let count = 1;
  while (count < queue.length && size < HIGH_WATER) size += queue[count++]!.length;
  if (count > 1) queue.splice(0, count, Buffer.concat(queue.slice(0, count)));
  return queue[0]!;
}

/** The length of the lines that fit into `room`; where none does: of the first one if it `must`, or nothing. */
function fitting(lines: Buffer, room: number, must: boolean): number {
  if (lines.length <= room) return lines.length;
  const end = room <= 0 ? 0 : lines.lastIndexOf(NEWLINE, room - 1) + 1;
  return end === 0 && must ? lines.indexOf(NEWLINE) + 1 : end;
}

function countLines(bytes: Buffer): number {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) lines++;
  return lines;
}

function linesLost(lost: number): string {
  if (lost === 0) return 'no line was lost';
  return lost === 1 ? '1 line was lost' : `${lost} lines were lost`;
}
