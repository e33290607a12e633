/** Who listens on a TCP port, as /proc tells it. No connection is made: a service does not notice. */
import { closeSync, openSync, readdirSync, readlinkSync, readSync, statSync } from 'node:fs';
import { isGone } from './table-procfs.ts';

/**
 * `descriptor`: a process holds the very socket. `user`: a socket on the port belongs to the user of a process whose
 * descriptors cannot be seen (another user's, without CAP_SYS_PTRACE).
 */
export type Listening =
  | { readonly listens: true; readonly evidence: 'descriptor' | 'user'; readonly pid: number }
  | { readonly listens: false; readonly reason: string };

/** A listening socket on the port. */
interface Listener {
  readonly uid: number;
  readonly inode: string;
}

/** How much of a table is read. Linux lists those that listen first. */
const MOST_READ = 256 * 1024;

/**
 * Whether one of the processes listens on the port.
 *
 * @param pids the living processes of a service
 * @param root where /proc is
 */
export function findListener(pids: readonly number[], port: number, root = '/proc'): Listening {
  const nobody = (reason: string): Listening => ({ listens: false, reason });
  if (pids.length === 0) return nobody('it has no process');
  const tables = new Map<string, readonly Listener[]>();
  const strange: Listener[] = [];
  const hidden: { readonly pid: number; readonly listeners: readonly Listener[] }[] = [];
  let refused: NodeJS.ErrnoException | null = null;
  for (const pid of pids) {
    try {
      const listeners = listenersOf(`${root}/${pid}/net`, port, tables);
      if (listeners.length === 0) continue;
      strange.push(...listeners);
      const holds = holdsOne(`${root}/${pid}/fd`, listeners);
      if (holds === true) return { listens: true, evidence: 'descriptor', pid };
      if (holds === 'unknown') hidden.push({ pid, listeners });
    } catch (error) {
      // It is gone, most likely.
      if (!isGone(error)) refused = error as NodeJS.ErrnoException;
    }
  }
  for (const { pid, listeners } of hidden) {
    const user = statSync(`${root}/${pid}`, { throwIfNoEntry: false })?.uid;
    if (listeners.some(({ uid }) => uid === user)) return { listens: true, evidence: 'user', pid };
  }
  if (hidden.length > 0)
    return nobody(
      `a socket of user ${strange[0]!.uid} listens on port ${port}, and it cannot be seen whose it is; give the container CAP_SYS_PTRACE, or use a tcp probe`,
    );
  if (strange.length > 0) return nobody(`port ${port} is listened on, but by none of its processes`);
  if (refused !== null)
    return nobody(
      `cannot see who listens on port ${port}: ${refused.message}; use a tcp probe where /proc is not to be read`,
    );
  return nobody(`nothing listens on port ${port}`);
}

/** Those of a process's network namespace, of which the number of the file tells. */
function listenersOf(
  folder: string,
  port: number,
  tables: Map<string, readonly Listener[]>,
): readonly Listener[] {
  const { dev, ino } = statSync(`${folder}/tcp`);
  const key = `${dev} ${ino}`;
  let listeners = tables.get(key);
  if (listeners === undefined) {
    listeners = [...parseListeners(head(`${folder}/tcp`), port), ...tcp6(`${folder}/tcp6`, port)];
    tables.set(key, listeners);
  }
  return listeners;
}

function tcp6(path: string, port: number): readonly Listener[] {
  try {
    return parseListeners(head(path), port);
  } catch {
    return []; // A kernel without IPv6.
  }
}

function parseListeners(table: string, port: number): Listener[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  // Local and remote address, state 0A, queues, timer, retransmits; then user, timeout and inode.
  const row = new RegExp(
    `^ *\\d+: [0-9A-F]+:${hex} [0-9A-F]+:[0-9A-F]+ 0A \\S+ \\S+ \\S+ +(\\d+) +\\d+ (\\d+)`,
    'gm',
  );
  return [...table.matchAll(row)].map(([, uid, inode]) => ({ uid: Number(uid), inode: inode! }));
}

const scratch = Buffer.allocUnsafeSlow(64 * 1024);

/** The beginning of a file of /proc, of which every read gives a piece. */
function head(path: string): string {
  const fd = openSync(path, 'r');
  try {
    let text = '';
    while (text.length < MOST_READ) {
      const length = readSync(fd, scratch, 0, scratch.length, null);
      if (length === 0) break;
      text += scratch.toString('latin1', 0, length);
    }
    return text;
  } finally {
    closeSync(fd);
  }
}

/** Whether one of the sockets is among the open files of a process. */
function holdsOne(folder: string, listeners: readonly Listener[]): boolean | 'unknown' {
  const links = new Set(listeners.map(({ inode }) => `socket:[${inode}]`));
  try {
    for (const name of readdirSync(folder)) {
      try {
        if (links.has(readlinkSync(`${folder}/${name}`))) return true;
      } catch (error) {
        // Closed since.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    return false;
  } catch (error) {
    return isGone(error) ? false : 'unknown';
  }
}
