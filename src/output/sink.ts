import { closeSync, constants, fstatSync, openSync, write as writeAsync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { isatty } from 'node:tty';

/** Bytes waiting above which producers have to pause. */
export const HIGH_WATER = 256 * 1024;
/** Bytes of upkeep's own lines that are taken above the high-water mark; what is more is dropped and counted. */
export const OWN_ALLOWANCE = 1024 * 1024;
/** Bytes above which even lines of services are dropped: reached only by a producer that does not pause. */
export const HARD_LIMIT = 64 * 1024 * 1024;
/** How long a file that could not be written to (disk full) is left alone, ms. */
const FILE_RETRY = 1000;
const TTY_RETRY_FIRST = 1;
const TTY_RETRY_LAST = 32;
const NEWLINE = 10;

/** Writes to a descriptor without ever blocking the event loop, throwing, or growing without bound. */
export interface Sink {
  /**
   * Takes whole lines. Everything taken in one turn of the event loop goes out in one write. `own`: upkeep's own, not a
   * service's. false: over the high-water mark, the producer has to pause until `onDrain`.
   */
  write(chunk: Buffer, own?: boolean): boolean;
  /** Calls `callback` each time producers that were told to pause may go on. Also when nothing can be written any more:
   * what they bring is then thrown away, for a service must not stand still because of its log. */
  onDrain(callback: () => void): void;
  /** Calls `callback` with the number of lines lost, once writing works again. */
  onLost(callback: (lines: number) => void): void;
  /** Lines lost until now. */
  readonly dropped: number;
  /** Resolves when all that was taken has been written or lost, and after `timeoutMs` in any case. */
  flush(timeoutMs: number): Promise<void>;
  /** Stops writing and releases what `openSink` opened; the descriptor itself stays open. */
  close(): void;
  readonly isTTY: boolean;
  /** The reader is gone for good: everything is dropped and counted. */
  readonly closed: boolean;
}

export interface SinkOptions {
  /** Other processes write through the same open file description (services in raw mode), so it must not become
   * non-blocking under them, even where it cannot be opened anew. */
  readonly inherited?: boolean;
}

/** Writes as much as it can and says how much; never blocks the event loop, never throws. */
interface Port {
  write(bytes: Buffer, done: (error: Error | null, written: number) => void): void;
  close(): void;
  /** Whether a write that failed may succeed later. */
  readonly recovers: boolean;
}

/** Opens the writer for a descriptor: 1 for stdout. A descriptor that cannot be written to gives a closed sink. */
export function openSink(fd: number, { inherited = false }: SinkOptions = {}): Sink {
  const port = openPort(fd, inherited);
  const onDrain: (() => void)[] = [];
  const onLost: ((lines: number) => void)[] = [];
  let waiters: (() => void)[] = [];
  let queue: { bytes: Buffer; own: boolean }[] = [];
  let queued = 0;
  let ownQueued = 0;
  let dropped = 0;
  let scheduled = false;
  let sending = false;
  let told = 0;
  let pausing = false;
  let closed = port === null;
  let retryAt = 0;
  /** What is missing of a line that a full disk has cut in two. */
  let torn: Buffer | null = null;

  function drop(bytes: Buffer): void {
    dropped += countLines(bytes);
  }

  function dropQueue(): void {
    for (const { bytes } of queue) drop(bytes);
    queue = [];
    ownQueued = 0;
    queued = 0;
  }

  function resume(): void {
    if (!pausing) return;
    pausing = false;
    for (const callback of onDrain) callback();
  }

  function settle(): void {
    if (queued <= HIGH_WATER / 2) {
      if (dropped > told && !closed && performance.now() >= retryAt) {
        const lost = dropped - told;
        told = dropped;
        for (const callback of onLost) callback(lost);
      }
      resume();
    }
    if (queued === 0) {
      for (const wake of waiters) wake();
      waiters = [];
    }
  }

  function shut(): void {
    if (closed) return;
    closed = true;
    dropQueue();
    port?.close();
    settle();
  }

  function schedule(): void {
    if (scheduled || sending || closed) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      send();
    });
  }

  function takeBatch(): Buffer {
    const parts: Buffer[] = torn === null ? [] : [torn];
    let size = 0;
    let count = 0;
    while (count < queue.length && size < HIGH_WATER) {
      const { bytes, own } = queue[count++]!;
      parts.push(bytes);
      size += bytes.length;
      if (own) ownQueued -= bytes.length;
    }
    queue.splice(0, count);
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  function send(): void {
    if (closed || sending || queue.length === 0) return;
    sending = true;
    const tornLength = torn?.length ?? 0;
    const batch = takeBatch();
    torn = null;
    port?.write(batch, (error, written) => {
      sending = false;
      if (closed) return;
      queued -= batch.length - tornLength;
      if (error !== null) fail(batch, written, tornLength);
      send();
      settle();
    });
  }

  function fail(batch: Buffer, written: number, tornLength: number): void {
    if (port?.recovers !== true) {
      drop(batch.subarray(tornLength));
      shut();
      return;
    }
    const midLine = written === 0 ? tornLength > 0 : batch[written - 1] !== NEWLINE;
    const newline = batch.indexOf(NEWLINE, written);
    const lineEnd = !midLine ? written : newline === -1 ? batch.length : newline + 1;
    if (midLine) torn = Buffer.from(batch.subarray(written, lineEnd));
    drop(batch.subarray(lineEnd));
    dropQueue();
    retryAt = performance.now() + FILE_RETRY;
  }

  return {
    write(chunk, own = false) {
      if (chunk.length === 0) return closed || queued <= HIGH_WATER;
      if (closed || performance.now() < retryAt) {
        drop(chunk);
        return true;
      }
      const full = own
        ? queued > HIGH_WATER && ownQueued + chunk.length > OWN_ALLOWANCE
        : queued + chunk.length > HARD_LIMIT;
      if (full) {
        drop(chunk);
        pausing = true;
        return false;
      }
      queue.push({ bytes: chunk, own });
      queued += chunk.length;
      if (own) ownQueued += chunk.length;
      schedule();
      if (queued <= HIGH_WATER) return true;
      pausing = true;
      return false;
    },
    onDrain(callback) {
      onDrain.push(callback);
    },
    onLost(callback) {
      onLost.push(callback);
    },
    get dropped() {
      return dropped;
    },
    flush(timeoutMs) {
      if (queued === 0) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        waiters.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    },
    close: shut,
    isTTY: isatty(fd),
    get closed() {
      return closed;
    },
  };
}

function countLines(bytes: Buffer): number {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) lines++;
  return lines;
}

/**
 * O_NONBLOCK belongs to the open file description, which stdout shares with whoever gave it to us and with the services
 * that inherit it. So a pipe and a terminal are opened anew. A file is not: a description of its own would begin at offset 0.
 */
function openPort(fd: number, inherited: boolean): Port | null {
  try {
    const stat = fstatSync(fd);
    if (isatty(fd)) {
      const own = reopen(fd);
      return own === null ? threadPort(fd, false) : pollingPort(own);
    }
    if (stat.isFIFO()) {
      const own = reopen(fd);
      const port = own === null ? null : socketPort(own, true);
      if (port !== null) return port;
    }
    if ((stat.isFIFO() || stat.isSocket()) && !inherited)
      return socketPort(fd, false) ?? threadPort(fd, false);
    return threadPort(fd, !stat.isFIFO() && !stat.isSocket());
  } catch {
    return null;
  }
}

/** A non-blocking description of the same pipe or terminal; null where that is not to be had: no /proc, another
 * user's pipe (EACCES), no reader left (ENXIO). */
function reopen(fd: number): number | null {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return null;
  }
}

/** Node closes a socket that failed, and the next file opened would then become stdout. */
class LentSocket extends Socket {
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    done(error);
  }
}

/** For pipes and stream sockets: epoll tells when to go on. null for a descriptor that Node takes for neither. */
function socketPort(fd: number, owned: boolean): Port | null {
  try {
    const options = { fd, readable: false, writable: true };
    const socket = owned ? new Socket(options) : new LentSocket(options);
    // The write's callback hears of it too.
    socket.on('error', () => undefined);
    return {
      recovers: false,
      write(bytes, done) {
        socket.write(bytes, (error) => done(error ?? null, error ? 0 : bytes.length));
      },
      close: () => socket.destroy(),
    };
  } catch {
    if (owned) closeSync(fd);
    return null;
  }
}

/** For a non-blocking terminal, which Node's sockets refuse and which tty.WriteStream makes blocking: a terminal
 * that was stopped (Ctrl-S) is asked again and again, ever more slowly. */
function pollingPort(fd: number): Port {
  let timer: NodeJS.Timeout | undefined;
  return {
    recovers: false,
    write(bytes, done) {
      let written = 0;
      let delay = TTY_RETRY_FIRST;
      const go = (): void => {
        try {
          while (written < bytes.length) {
            written += writeSync(fd, bytes, written);
            delay = TTY_RETRY_FIRST;
          }
        } catch (error) {
          const { code } = error as NodeJS.ErrnoException;
          if (code === 'EAGAIN' || code === 'EINTR') {
            timer = setTimeout(go, delay);
            delay = Math.min(2 * delay, TTY_RETRY_LAST);
          } else {
            later(done, error as Error, written);
          }
          return;
        }
        later(done, null, written);
      };
      go();
    },
    close() {
      clearTimeout(timer);
      closeSync(fd);
    },
  };
}

/** `send` calls itself from `done`: without a turn in between, a long queue would be a deep stack. */
function later(
  done: (error: Error | null, written: number) => void,
  error: Error | null,
  written: number,
): void {
  setImmediate(done, error, written);
}

/** For files, and for what may not be made non-blocking: the write blocks a thread of libuv's pool, not the event loop.
 * (The process cannot exit while that thread is stuck, so this is not for pipes that can be had otherwise.) */
function threadPort(fd: number, recovers: boolean): Port {
  return {
    recovers,
    write(bytes, done) {
      let written = 0;
      const go = (): void => {
        writeAsync(fd, bytes, written, bytes.length - written, null, (error, count) => {
          if (error !== null && error.code === 'EAGAIN') return void setTimeout(go, TTY_RETRY_LAST);
          if (error !== null && error.code !== 'EINTR') return done(error, written);
          written += count ?? 0;
          if (written < bytes.length) go();
          else done(null, written);
        });
      };
      go();
    },
    close: () => undefined,
  };
}
