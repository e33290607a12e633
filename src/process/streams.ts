/**
 * What services write. Each command has one pipe for stdout and one for stderr, for as long as upkeep lives: its
 * launchers and whatever daemons they leave write into the same ones, so nothing is torn down with a process.
 */
import { closeSync, constants, fchmodSync, openSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { Native } from './native.ts';

/** What a launcher is given: a descriptor, or execa's own pipe. */
export interface Stdio {
  readonly stdout: number | 'pipe' | 'inherit' | 'ignore';
  readonly stderr: number | 'pipe' | 'inherit' | 'ignore';
}

export type StreamName = 'stdout' | 'stderr';

/** Takes what was read, which may be used again afterwards. False: too much; reading stops until `resume`. */
export type Listener = (command: string, chunk: Buffer, stream: StreamName) => boolean;

export interface Streams {
  /** Calls `start` with the descriptors for a command's next process; it has been started when that returns. */
  readonly lend: <T>(command: string, start: (stdio: Stdio) => T) => T;
  /** Reads what the command's process writes, from now on; where `lend` said 'pipe', from what execa made. Not sooner:
   * what it takes to read is nothing that the process has to wait for. */
  readonly attach: (command: string, child: { stdout: Readable | null; stderr: Readable | null }) => void;
  /** Takes up the pipes of a process that an upkeep before this one started. */
  readonly takeOver: (command: string, pid: number) => void;
  /** Reads, at once, what a service that just died has said last. */
  readonly drain: (command: string) => void;
  readonly resume: () => void;
}

interface Pipe {
  /** Open for writing as well, where `write` is null: so it never comes to an end. */
  readonly read: number;
  /** For the processes; null: each is given one that is opened for it. A fork copies all descriptors there are, and an exec closes
   * them one by one: of a thousand commands, half of them are well spared. */
  readonly write: number | null;
  /** null: nobody has been given the pipe yet. */
  socket: Socket | null;
}

/** A pipe that was taken over: another process's write end is all there is of it besides. */
interface TakenOver {
  readonly read: number;
  readonly socket: Socket;
  readonly name: StreamName;
}

/** A reader that drains must not be held up by somebody who goes on writing. */
const DRAINED_AT_MOST = 256 * 1024;

export function createStreams(native: Native | null, listener: Listener): Streams {
  const pipes = new Map<string, Readonly<Record<StreamName, Pipe | null>>>();
  const takenOver = new Map<string, Set<TakenOver>>();
  const paused = new Set<Readable>();

  function listen(command: string, stream: Readable, name: StreamName): void {
    stream.on('data', (chunk: Buffer) => {
      if (listener(command, chunk, name)) return;
      stream.pause();
      paused.add(stream);
    });
    // Its end is no death, and its failure is no news.
    stream.on('error', () => {});
    stream.on('close', () => paused.delete(stream));
  }

  function readFrom(fd: number, command: string, name: StreamName): Socket {
    const socket = new Socket({ fd, readable: true, writable: false });
    socket.unref();
    listen(command, socket, name);
    socket.resume();
    return socket;
  }

  function open(): Pipe | null {
    const ends = native?.pipe() ?? null;
    if (ends === null) return null;
    const [read, write] = ends;
    try {
      // A service that has changed its user may open /dev/stdout anew.
      fchmodSync(read, 0o666);
      const both = openSync(pathOf(read), constants.O_RDWR | constants.O_NONBLOCK);
      for (const end of ends) closeSync(end);
      return { read: both, write: null, socket: null };
    } catch {
      // Without /proc the plain ends have to do.
      return { read, write, socket: null };
    }
  }

  function pipesOf(command: string): Readonly<Record<StreamName, Pipe | null>> {
    let pair = pipes.get(command);
    if (pair === undefined) {
      pair = { stdout: open(), stderr: open() };
      pipes.set(command, pair);
    }
    return pair;
  }

  return {
    lend(command, start) {
      const { stdout, stderr } = pipesOf(command);
      const lent: number[] = [];
      const endOf = (pipe: Pipe | null): number | 'pipe' => {
        if (pipe === null) return 'pipe';
        if (pipe.write !== null) return pipe.write;
        try {
          // For both, so that a service outlives upkeep: with no reader left its next line would kill it (SIGPIPE).
          const end = openSync(pathOf(pipe.read), constants.O_RDWR);
          lent.push(end);
          return end;
        } catch {
          return 'pipe';
        }
      };
      try {
        return start({ stdout: endOf(stdout), stderr: endOf(stderr) });
      } finally {
        for (const end of lent) closeSync(end);
      }
    },
    attach(command, { stdout, stderr }) {
      if (stdout !== null) listen(command, stdout, 'stdout');
      if (stderr !== null) listen(command, stderr, 'stderr');
      const pair = pipes.get(command);
      for (const name of ['stdout', 'stderr'] as const) {
        const pipe = pair?.[name];
        if (pipe) pipe.socket ??= readFrom(pipe.read, command, name);
      }
    },
    takeOver(command, pid) {
      for (const [fd, name] of [[1, 'stdout'] as const, [2, 'stderr'] as const]) {
        try {
          // Ours: a pipe that its own writer could read from as well.
          if (!readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('pipe:')) continue;
          const flags = /^flags:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'));
          if ((Number.parseInt(flags?.[1] ?? '0', 8) & 3) !== constants.O_RDWR) continue;
          const read = openSync(`/proc/${pid}/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK);
          const socket = readFrom(read, command, name);
          const pipe: TakenOver = { read, socket, name };
          const others = takenOver.get(command) ?? new Set();
          takenOver.set(command, others.add(pipe));
          // Its number may then be another file's.
          socket.on('close', () => others.delete(pipe));
        } catch {
          // Not ours to read: its lines are lost to the log, and nothing else.
        }
      }
    },
    drain(command) {
      const take = ({ read, socket }: Pick<Pipe, 'read' | 'socket'>, name: StreamName): void => {
        if (socket !== null && !paused.has(socket) && !socket.destroyed && native?.isReadable(read) !== false)
          drain(read, (chunk) => listener(command, chunk, name));
      };
      for (const pipe of takenOver.get(command) ?? []) take(pipe, pipe.name);
      const pair = pipes.get(command);
      for (const name of ['stdout', 'stderr'] as const) {
        const pipe = pair?.[name];
        if (pipe) take(pipe, name);
      }
    },
    resume() {
      const waiting = [...paused];
      paused.clear();
      for (const stream of waiting) stream.resume();
    },
  };
}

const pathOf = (fd: number): string => `/proc/self/fd/${fd}`;

const scratch = Buffer.allocUnsafeSlow(16_384);

/** What `take` is given is written over afterwards. */
function drain(fd: number, take: (chunk: Buffer) => boolean): void {
  for (let total = 0; total < DRAINED_AT_MOST; ) {
    let length: number;
    try {
      length = readSync(fd, scratch, 0, scratch.length, null);
    } catch {
      return; // EAGAIN: empty.
    }
    if (length === 0) return;
    total += length;
    if (!take(scratch.subarray(0, length))) return;
  }
}
