/**
 * What services say by the protocol of sd_notify(3): each command has a datagram socket of its own, whose path its
 * processes are given as NOTIFY_SOCKET.
 */
import { chmodSync, lstatSync, mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { createDatagrams, type Datagrams, tooLong } from './datagrams.ts';
import type { Native } from './native.ts';
import { hash } from './tags.ts';

/** What a service has said in one datagram. */
export interface Message {
  /** Who sent it, by its own credentials; it may be gone already. 0: not known. */
  readonly pid: number;
  readonly ready: boolean;
  /** It is about to end. */
  readonly stopping: boolean;
  /** `alive`: the watchdog is to wait anew; `trigger`: the service wants to be taken for dead. */
  readonly watchdog: 'alive' | 'trigger' | null;
  /** For people; one line of at most 200 characters. */
  readonly status: string | null;
  /** Who it says its main process is. Nobody has verified that. */
  readonly mainPid: number | null;
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

/**
 * @param native null: the sockets cannot be had, and `pathOf` says so
 * @param folder is made where it is missing; its parent has to be there
 */
export function createNotify(
  native: Pick<Native, 'bindDatagram' | 'receive' | 'eventfd' | 'pollReadable'> | null,
  folder: string,
): Notify {
  /** By command, and the other way round. */
  const paths = new Map<string, string>();
  const commands = new Map<string, string>();
  const listeners: ((command: string, message: Message) => void)[] = [];
  const datagrams: Datagrams | null =
    native === null
      ? null
      : createDatagrams<Message>(native, {
          longest: LONGEST_MESSAGE,
          parse: (bytes, length, pid) =>
            length > LONGEST_MESSAGE ? null : parseMessage(bytes.toString('utf8'), pid),
          deliver(path, messages) {
            const command = commands.get(path);
            if (command === undefined) return;
            for (const message of messages) for (const listener of listeners) listener(command, message);
          },
        });

  /** @returns why there is no socket; null: there is */
  function open(command: string): string | null {
    if (datagrams === null) return 'koffi cannot be loaded; use another readiness probe';
    const path = join(folder, fileNameOf(command));
    const refused = tooLong(path) ?? prepareFolder(folder) ?? datagrams.open(path);
    if (refused !== null) return refused;
    paths.set(command, path);
    commands.set(path, command);
    return null;
  }

  function forget(command: string): void {
    const path = paths.get(command);
    if (path === undefined) return;
    paths.delete(command);
    commands.delete(path);
    datagrams?.close(path);
  }

  return {
    pathOf(command) {
      const known = paths.get(command);
      if (known !== undefined) return known;
      let error: string | null;
      try {
        error = open(command);
      } catch (thrown) {
        error = `${(thrown as Error).message}; see that the folder can be written`;
      }
      return error === null ? paths.get(command)! : { error: `cannot use notify: ${error}` };
    },
    onMessage(listener) {
      listeners.push(listener);
    },
    drain(command) {
      const path = paths.get(command);
      if (path !== undefined) datagrams?.drain(path);
    },
    forget,
    close() {
      for (const command of [...paths.keys()]) forget(command);
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
  return {
    pid,
    ready: said.get('READY') === '1',
    stopping: said.get('STOPPING') === '1',
    watchdog: watchdog === '1' ? 'alive' : watchdog === 'trigger' ? 'trigger' : null,
    // It ends up in a log, where a line is a line.
    status:
      status === undefined ? null : status.replace(/[\x00-\x1f\x7f-\x9f]/g, ' ').slice(0, LONGEST_STATUS),
    mainPid: mainPid !== null && mainPid > 0 && mainPid <= MOST_PIDS ? mainPid : null,
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
