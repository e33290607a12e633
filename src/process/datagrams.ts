/**
 * Datagram sockets that whoever can reach their path may write to. One poll over all of them, in a thread, as in pidfd.ts.
 */
import { closeSync, lstatSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import type { Native } from './native.ts';

export interface Datagrams {
  /** Binds a socket, and removes one that is there. @returns why there is none; null: there is one */
  readonly open: (path: string) => string | null;
  /** Hands over, at once, what waits in this socket, though no more than is taken in a turn. @returns how many that were */
  readonly drain: (path: string) => number;
  /** Closes and removes this socket. */
  readonly close: (path: string) => void;
}

export interface DatagramsOptions<Message> {
  /** How much is read of one, in bytes. */
  readonly longest: number;
  /** Reads one, of which at most `longest` bytes are given; they are used again afterwards. null: it says nothing.
   * @param length how long it was
   * @param pid who sent it, by its own credentials; it may be gone already. 0: not known */
  readonly parse: (bytes: Buffer, length: number, pid: number) => Message | null;
  readonly deliver: (path: string, messages: readonly Message[]) => void;
}

/** How many of one socket are taken before others have their turn. */
const MOST_PER_TURN = 32;
/** What sun_path holds, less its final zero. */
const LONGEST_PATH = 107;

export function createDatagrams<Message>(
  native: Pick<Native, 'bindDatagram' | 'receive' | 'eventfd' | 'pollReadable'>,
  { longest, parse, deliver }: DatagramsOptions<Message>,
): Datagrams {
  /** By path. `file`: what was made there. */
  const sockets = new Map<string, { readonly fd: number; readonly file: string | null }>();
  const scratch = Buffer.allocUnsafeSlow(longest);
  /** Interrupts the poll. -1: not needed yet, or not to be had. */
  let wake = -1;
  let polling = false;

  function open(path: string): string | null {
    const long = tooLong(path);
    if (long !== null) return long;
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat !== undefined && !stat.isSocket()) return `${path} is there and is no socket; remove it`;
    if (stat !== undefined) unlinkSync(path);
    if (wake < 0) wake = native.eventfd();
    if (wake < 0) return 'no file descriptors are left; raise the nofile limit';
    // Whoever a service has become may tell.
    const mask = process.umask(0o111);
    const fd = native.bindDatagram(path);
    process.umask(mask);
    if (fd < 0)
      return `${path} cannot be bound (${getSystemErrorName(fd)}); see that the folder is there and can be written`;
    // A thread that still polls would hold up our own end.
    if (sockets.size === 0) process.once('exit', interrupt);
    sockets.set(path, { fd, file: identityOf(path) });
    interrupt();
    poll();
    return null;
  }

  function interrupt(): void {
    if (polling) writeSync(wake, new Uint8Array(new BigUint64Array([1n]).buffer));
  }

  function poll(): void {
    if (polling || sockets.size === 0) return;
    polling = true;
    native.pollReadable([wake, ...[...sockets.values()].map(({ fd }) => fd)], (readable) => {
      polling = false;
      if (readable.includes(wake)) readSync(wake, new Uint8Array(8));
      const heard = [...sockets].flatMap(([path, { fd }]) =>
        readable.includes(fd) ? [{ path, ...read(fd) }] : [],
      );
      poll();
      for (const { path, messages } of heard) deliver(path, messages);
    });
  }

  function read(fd: number): { readonly count: number; readonly messages: readonly Message[] } {
    const messages: Message[] = [];
    let count = 0;
    for (; count < MOST_PER_TURN; count++) {
      const datagram = native.receive(fd, scratch);
      if (datagram === null) break;
      const { length, pid } = datagram;
      const message = parse(scratch.subarray(0, Math.min(length, longest)), length, pid);
      if (message !== null) messages.push(message);
    }
    return { count, messages };
  }

  return {
    open(path) {
      try {
        return open(path);
      } catch (error) {
        return `${(error as Error).message}; see that the folder can be written`;
      }
    },
    drain(path) {
      const socket = sockets.get(path);
      if (socket === undefined) return 0;
      const { count, messages } = read(socket.fd);
      deliver(path, messages);
      return count;
    },
    close(path) {
      const socket = sockets.get(path);
      if (socket === undefined) return;
      sockets.delete(path);
      try {
        // Somebody else's may be there by now. As long as ours is open, it has a number of its own.
        if (identityOf(path) === socket.file) unlinkSync(path);
      } catch {
        // Somebody else has removed it.
      }
      closeSync(socket.fd);
      if (sockets.size === 0) process.removeListener('exit', interrupt);
      interrupt();
    },
  };
}

/** @returns why no socket can have this path; null: one can */
export function tooLong(path: string): string | null {
  return Buffer.byteLength(path) > LONGEST_PATH
    ? `${path} is longer than the ${LONGEST_PATH} bytes that a socket's path may have; put it in a folder with a shorter path`
    : null;
}

/** Tells one file under a path from another; null: there is none. */
function identityOf(path: string): string | null {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? null : `${stat.dev} ${stat.ino}`;
}
