/**
 * What services say by the protocol of sd_notify(3): each command has a datagram socket of its own, whose path its
 * processes are given as NOTIFY_SOCKET. One poll over all of them, in a thread, as in pidfd.ts.
 */
import {
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  readSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { getSystemErrorName } from 'node:util';
import type { Native } from './native.ts';
import { hash } from './tags.ts';

/** What a service has said in one datagram. */
export interface Message {
  /** Who sent it, by its own credentials; it may be gone already. 0: not known. */
  readonly pid: number;
  readonly ready: boolean;
  readonly stopping: boolean;
  /** `alive`: the watchdog is to wait anew; `trigger`: the service wants to be taken for dead. */
  readonly watchdog: 'alive' | 'trigger' | null;
  /** For people; one line of at most 200 characters. */
  readonly status: string | null;
  /** Who it says its main process is. Nobody has verified that. */
  readonly mainPid: number | null;
  /** So much longer, ms from now, it needs for what it is about to do. */
  readonly extendBy: number | null;
}

export interface Notify {
  /** Where the command's socket is; it is made by the first call. */
  readonly pathOf: (command: string) => string | { readonly error: string };
  /** Adds a listener. */
  readonly onMessage: (listener: (command: string, message: Message) => void) => void;
  /** Hands over, at once, what waits in the command's socket. */
  readonly drain: (command: string) => void;
  /** Removes the command's socket. */
  readonly forget: (command: string) => void;
  /** Removes all sockets, and the folder if nothing else is in it. */
  readonly close: () => void;
}

/** What of a message is read; a longer one is ignored, as systemd does. */
const LONGEST_MESSAGE = 4096;
const LONGEST_STATUS = 200;
const MOST_PIDS = 2 ** 22;
/** How many messages of one command are taken before others have their turn. */
const MOST_PER_TURN = 32;
/** What sun_path holds, less its final zero. */
const LONGEST_PATH = 107;

/**
 * @param native null: the sockets cannot be had, and `pathOf` says so
 * @param folder is made where it is missing; its parent has to be there
 */
export function createNotify(
  native: Pick<Native, 'bindDatagram' | 'receive' | 'eventfd' | 'pollReadable'> | null,
  folder: string,
): Notify {
  const sockets = new Map<string, { readonly path: string; readonly fd: number }>();
  const listeners: ((command: string, message: Message) => void)[] = [];
  const scratch = Buffer.allocUnsafeSlow(LONGEST_MESSAGE);
  /** Interrupts the poll. -1: not needed yet, or not to be had. */
  let wake = -1;
  let polling = false;

  /** @returns why there is no socket; null: there is */
  function open(command: string): string | null {
    if (native === null) return 'koffi cannot be loaded; use another readiness probe';
    const path = join(folder, fileNameOf(command));
    if (Buffer.byteLength(path) > LONGEST_PATH)
      return `${path} is longer than the ${LONGEST_PATH} bytes that a socket's path may have; put the control socket in a folder with a shorter path`;
    const refused = prepareFolder(folder) ?? removeStale(path);
    if (refused !== null) return refused;
    if (wake < 0) wake = native.eventfd();
    if (wake < 0) return 'no file descriptors are left; raise the nofile limit';
    // Whoever the service has become may tell.
    const mask = process.umask(0o111);
    const fd = native.bindDatagram(path);
    process.umask(mask);
    if (fd < 0)
      return `${path} cannot be bound (${getSystemErrorName(fd)}); see that the folder can be written`;
    // A thread that still polls would hold up our own end.
    if (sockets.size === 0) process.once('exit', interrupt);
    sockets.set(command, { path, fd });
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
    native!.pollReadable([wake, ...[...sockets.values()].map(({ fd }) => fd)], (readable) => {
      polling = false;
      if (readable.includes(wake)) readSync(wake, new Uint8Array(8));
      const heard = [...sockets].flatMap(([command, { fd }]) =>
        readable.includes(fd) ? [{ command, messages: read(fd) }] : [],
      );
      poll();
      for (const { command, messages } of heard) deliver(command, messages);
    });
  }

  function read(fd: number): Message[] {
    const messages: Message[] = [];
    for (let count = 0; count < MOST_PER_TURN; count++) {
      const datagram = native!.receive(fd, scratch);
      if (datagram === null) break;
      const { length, pid } = datagram;
      if (length <= LONGEST_MESSAGE) messages.push(parseMessage(scratch.toString('utf8', 0, length), pid));
    }
    return messages;
  }

  function deliver(command: string, messages: readonly Message[]): void {
    for (const message of messages) for (const listener of listeners) listener(command, message);
  }

  function forget(command: string): void {
    const socket = sockets.get(command);
    if (socket === undefined) return;
    sockets.delete(command);
    closeSync(socket.fd);
    try {
      unlinkSync(socket.path);
    } catch {
      // Somebody else has removed it.
    }
    if (sockets.size === 0) process.removeListener('exit', interrupt);
    interrupt();
  }

  return {
    pathOf(command) {
      const known = sockets.get(command);
      if (known !== undefined) return known.path;
      let error: string | null;
      try {
        error = open(command);
      } catch (thrown) {
        error = `${(thrown as Error).message}; see that the folder can be written`;
      }
      return error === null ? sockets.get(command)!.path : { error: `cannot use notify: ${error}` };
    },
    onMessage(listener) {
      listeners.push(listener);
    },
    drain(command) {
      const socket = sockets.get(command);
      if (socket !== undefined) deliver(command, read(socket.fd));
    },
    forget,
    close() {
      for (const command of [...sockets.keys()]) forget(command);
      try {
        rmdirSync(folder);
      } catch {
        // There is none, or another's file is in it.
      }
    },
  };
}

/** What a datagram says. Lines that say nothing, or what is not known here, are passed over. */
export function parseMessage(text: string, pid: number): Message {
  const said = new Map<string, string>();
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=');
    if (equals > 0) said.set(line.slice(0, equals), line.slice(equals + 1));
  }
  const watchdog = said.get('WATCHDOG');
  const status = said.get('STATUS');
  const mainPid = wholeNumber(said.get('MAINPID'));
  const micros = wholeNumber(said.get('EXTEND_TIMEOUT_USEC'));
  return {
    pid,
    ready: said.get('READY') === '1',
    stopping: said.get('STOPPING') === '1',
    watchdog: watchdog === '1' ? 'alive' : watchdog === 'trigger' ? 'trigger' : null,
    // It ends up in a log, where a line is a line.
    status:
      status === undefined ? null : status.replace(/[\x00-\x1f\x7f-\x9f]/g, ' ').slice(0, LONGEST_STATUS),
    mainPid: mainPid !== null && mainPid > 0 && mainPid <= MOST_PIDS ? mainPid : null,
    extendBy: micros === null ? null : micros / 1000,
  };
}

function wholeNumber(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** The same for the next upkeep: services that run have been told the path. */
function fileNameOf(command: string): string {
  if (/^[\w-][\w.-]{0,31}$/.test(command)) return command;
  return `~${hash(command, 64n).toString(16).padStart(16, '0')}`;
}

/** @returns why the folder cannot be used */
function prepareFolder(folder: string): string | null {
  try {
    mkdirSync(folder, 0o711);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const stat = lstatSync(folder);
  if (!stat.isDirectory() || stat.uid !== process.geteuid!() || (stat.mode & 0o022) !== 0)
    return `${folder} is no folder that this user alone can write to; remove it`;
  // Services of other users have to get to their socket, and need not see the others.
  chmodSync(folder, 0o711);
  return null;
}

/** An upkeep that was killed has left its sockets. @returns why the path cannot be used */
function removeStale(path: string): string | null {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return null;
  if (!stat.isSocket()) return `${path} is there and is no socket; remove it`;
  unlinkSync(path);
  return null;
}
