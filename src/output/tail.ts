import {
  closeSync,
  constants,
  type FSWatcher,
  fstatSync,
  openSync,
  readSync,
  type Stats,
  statSync,
  watch,
} from 'node:fs';

/** How often the files are looked at where nothing tells of a change, ms. */
const POLL = 1000;
/** What is written within this time is read at once, ms. */
const GATHER = 20;
/** How long a file that another has replaced is read on: a daemon may take a while to notice. ms. */
const LINGER = 10_000;
/** Bytes read of one path before others have their turn. */
const READ_AT_ONCE = 256 * 1024;
/** Files of one path that are open at once: more only where nobody takes what is read, and they are replaced all the time. */
const MOST_OPEN = 64;
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
const NEWLINE = 10;
const ENDING = Buffer.from('\n');

/** Takes what was read, which may be used again afterwards. false: too much; reading stops until `resume`. */
export type TailListener = (path: string, chunk: Buffer) => boolean;

/** Follows files that others write. Nothing of it keeps the process alive. */
export interface Tail {
  /** Other paths from now on; of those that stay, nothing is lost or read twice. */
  follow(paths: readonly string[]): void;
  /** Reads at once what is there now, if it is not much. */
  drain(): void;
  resume(): void;
  /** Reads what is there, ends the last line, and reads no more. */
  close(): void;
}

export interface TailOptions {
  /** What people should know, once: that a file cannot be followed. */
  readonly notice: (message: string) => void;
  readonly poll?: number;
  readonly linger?: number;
}

interface Identity {
  readonly dev: number;
  readonly ino: number;
}

interface Opened extends Identity {
  readonly fd: number;
  position: number;
  /** Another one is under the path, or none, and nobody will find this one again. */
  replaced: boolean;
  /** When there was something to read last, or when it was replaced. */
  activeAt: number;
}

interface Followed {
  readonly path: string;
  /** The file that was there when it was first asked for, and how long it was. */
  first: (Identity & { readonly size: number }) | null;
  /** The oldest first: the last one is under the path, or was; others have been replaced by the next. */
  opened: Opened[];
  /** Whose bytes were given last. */
  from: Opened | null;
  watcher: FSWatcher | null;
  watched: Opened | null;
  /** What was given last did not end with a newline. */
  midLine: boolean;
  /** What has been told of it. */
  trouble: string | null;
  /** That lines were lost has been told. */
  flooded: boolean;
}

const chunk = Buffer.allocUnsafe(64 * 1024);

/**
 * Gives every byte that is written to the files from now on to the listener, in order: of a file that is there, what
 * comes behind its end; of one that appears later, all. A file that is emptied is read from its beginning; one that is
 * replaced is read to its end before the next one is begun, and a line left unfinished there is ended.
 */
export function createTail(paths: readonly string[], listener: TailListener, options: TailOptions): Tail {
  const { notice, poll = POLL, linger = LINGER } = options;
  let followed: Followed[] = [];
  let paused = false;
  let closed = false;
  let soon: NodeJS.Timeout | undefined;
  let next: NodeJS.Immediate | undefined;

  function give(path: string, bytes: Buffer): void {
    if (!listener(path, bytes)) paused = true;
  }

  function endLine(file: Followed): void {
    if (file.midLine) give(file.path, ENDING);
    file.midLine = false;
  }

  /** An error is told once, and the rest goes on. */
  function attempt(file: Followed, act: () => void): void {
    try {
      act();
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      // Gone since it was seen.
      if (code === 'ENOENT') return;
      // Node's messages go on with the system call and the path.
      const trouble = `cannot follow the log ${file.path}: ${message.split(',')[0]}; ${adviceOn(code)}`;
      if (file.trouble !== trouble) notice(trouble);
      file.trouble = trouble;
    }
  }

  function begin(path: string): Followed {
    const file: Followed = {
      path,
      first: null,
      opened: [],
      from: null,
      watcher: null,
      watched: null,
      midLine: false,
      trouble: null,
      flooded: false,
    };
    attempt(file, () => {
      const there = statOrNull(path);
      if (there?.isFile()) file.first = there;
    });
    return file;
  }

  function leave(file: Followed): void {
    endLine(file);
    file.watcher?.close();
    for (const { fd } of file.opened) closeSync(fd);
    file.opened = [];
  }

  /** Opens what is under the path, if it is not open yet. */
  function findNew(file: Followed): void {
    const there = statOrNull(file.path);
    if (there === null || file.opened.some((each) => isSame(each, there))) return;
    const fd = openRegular(file.path, there);
    const { dev, ino, size } = fstatSync(fd);
    const known = file.first !== null && isSame(file.first, { dev, ino });
    const position = known ? Math.min(file.first!.size, size) : 0;
    // Its number may be another file's, once it is gone.
    file.first = null;
    file.trouble = null;
    file.opened.push({ fd, dev, ino, position, replaced: false, activeAt: 0 });
    if (file.opened.length > MOST_OPEN) {
      if (!file.flooded) {
        notice(
          `lines of the log ${file.path} are lost: it is replaced again and again while nobody reads them`,
        );
      }
      file.flooded = true;
      closeSync(file.opened.shift()!.fd);
    }
    watchNewest(file);
  }

  function watchNewest(file: Followed): void {
    const newest = file.opened.at(-1) ?? null;
    if (file.watched === newest) return;
    file.watcher?.close();
    file.watcher = null;
    file.watched = newest;
    try {
      const watcher = watch(file.path, { persistent: false }, lookSoon);
      watcher.on('error', () => watcher.close());
      file.watcher = watcher;
    } catch {
      // No more watches to be had, or gone again already: there is the poll.
    }
  }

  /** Reads up to the lengths that the files have now. False: there is more. */
  function read(file: Followed): boolean {
    // The newest file's length is taken first: whoever wrote that much had written before what is in the older ones by now.
    const stats = file.opened.map(() => null as Stats | null);
    for (let i = file.opened.length - 1; i >= 0; i--) stats[i] = fstatSync(file.opened[i]!.fd);
    let room = READ_AT_ONCE;
    for (const [i, opened] of file.opened.entries()) {
      const { size } = stats[i]!;
      if (size < opened.position) {
        endLine(file);
        opened.position = 0;
      }
      while (opened.position < size) {
        if (paused || room <= 0) return false;
        const wanted = Math.min(chunk.length, size - opened.position);
        const length = readSync(opened.fd, chunk, 0, wanted, opened.position);
        if (length === 0) break;
        opened.position += length;
        opened.activeAt = performance.now();
        room -= length;
        if (file.from !== opened) endLine(file);
        file.from = opened;
        file.midLine = chunk[length - 1] !== NEWLINE;
        give(file.path, chunk.subarray(0, length));
      }
    }
    return true;
  }

  /** Those that have been replaced, or deleted, and are written no more. */
  function closeOld(file: Followed): void {
    const now = performance.now();
    file.opened = file.opened.filter((opened, i) => {
      const { size, nlink } = fstatSync(opened.fd);
      const replaced = i < file.opened.length - 1 || nlink === 0;
      if (replaced && !opened.replaced) opened.activeAt = now;
      opened.replaced = replaced;
      if (!replaced || opened.position < size || now - opened.activeAt < linger) return true;
      closeSync(opened.fd);
      return false;
    });
  }

  function look(): void {
    if (closed) return;
    clearTimeout(soon);
    soon = undefined;
    let more = false;
    for (const file of followed) {
      attempt(file, () => findNew(file));
      attempt(file, () => {
        if (!read(file)) more = true;
        closeOld(file);
      });
    }
    if (more && !paused) next ??= setImmediate(lookAgain).unref();
  }

  function lookAgain(): void {
    next = undefined;
    look();
  }

  function lookSoon(): void {
    if (!closed) soon ??= setTimeout(look, GATHER).unref();
  }

  function follow(wanted: readonly string[]): void {
    const unique = [...new Set(wanted)];
    const old = followed;
    followed = unique.map((path) => old.find((file) => file.path === path) ?? begin(path));
    for (const file of old) if (!unique.includes(file.path)) leave(file);
    look();
  }

  follow(paths);
  const timer = setInterval(look, poll).unref();
  return {
    follow,
    drain: look,
    resume() {
      if (!paused) return;
      paused = false;
      look();
    },
    close() {
      look();
      closed = true;
      clearInterval(timer);
      clearTimeout(soon);
      if (next !== undefined) clearImmediate(next);
      for (const file of followed) leave(file);
      followed = [];
    },
  };
}

function isSame(a: Identity, b: Identity): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

/** Asked before it is opened: to open a device may do something. */
function openRegular(path: string, there: Stats): number {
  const refusal = 'it is no regular file';
  if (!there.isFile()) throw new Error(refusal);
  const fd = openSync(path, FLAGS);
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  throw new Error(refusal);
}

/** null: nothing is there. */
function statOrNull(path: string): Stats | null {
  try {
    return statSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  }
}

function adviceOn(code: string | undefined): string {
  if (code === undefined) return 'name one, or leave it out';
  return code === 'EACCES' || code === 'EPERM' ? 'give upkeep the right to read it' : 'it is tried again';
}
