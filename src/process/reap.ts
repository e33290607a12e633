/**
 * Reaps what Node does not: orphans that became our children, and launchers, which are taken from it. Node waits for the
 * pids it spawned and for no other, so the rest of those is left to it; every other one is waited for by its number,
 * which also tells how it ended and what memory it took.
 */
import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { constants } from 'node:os';
import type { Exit } from '../../machines/events.ts';
import type { Native, WaitStatus } from './native.ts';

/** A turn of the event loop reaps at most this many; 10,000 orphans that die at once must not hold it up. */
const REAPED_PER_TURN = 500;

export interface Reaper {
  /** Reaps all that can be reaped. Call it on SIGCHLD, and now and then: SIGCHLDs merge. */
  readonly sweep: () => void;
  /**
   * Takes a child from Node, which would keep its core dump and its memory to itself: from now on its end is told here as
   * an orphan's is, and Node tells of it no more.
   *
   * @returns false where Node does not let go of it, and goes on to tell of its end
   */
  readonly take: (child: { readonly pid?: number | undefined }) => boolean;
  readonly close: () => void;
}

/**
 * @param beforeEnd hears of everybody who is about to be reaped: /proc still knows it
 * @param onEnd hears of everybody who was reaped; `peak`: the most memory that it, or a child it waited for, had in use at
 *   once, bytes; `taken`: it was taken from Node, and else is an orphan
 * @param onStop hears of every child that was stopped (SIGSTOP, a debugger) or goes on
 */
export function createReaper(
  native: Native,
  beforeEnd: (pid: number) => void,
  onEnd: (pid: number, exit: Exit, peak: number, taken: boolean) => void,
  onStop: (pid: number, stopped: boolean) => void,
): Reaper {
  const own = watchOwnChildren();
  const taken = new Set<number>();
  let scheduled = false;
  let closed = false;

  function sweepLater(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      sweep();
    });
  }

  function sweep(): void {
    // Nobody knows Node's own children any more.
    if (closed) return;
    for (let stop = native.nextStop(); stop !== null; stop = native.nextStop())
      onStop(stop.pid, stop.stopped);
    for (let count = 0; count < REAPED_PER_TURN; count++) {
      const pid = native.peekZombie();
      if (pid === 0) return;
      // Peeking gives the same first zombie again and again: once Node has taken its own, we see the next.
      if (own.has(pid)) break;
      beforeEnd(pid);
      const status = native.reap(pid);
      if (status !== null) onEnd(pid, toExit(status), status.peak, taken.delete(pid));
    }
    sweepLater();
  }

  return {
    sweep,
    take(child) {
      if (!own.release(child)) return false;
      taken.add(child.pid!);
      return true;
    },
    close() {
      closed = true;
      own.close();
    },
  };
}

/** Knows the pids that Node itself spawned and will reap, whoever called spawn (execa, ps-list …). */
function watchOwnChildren(): { has: (pid: number) => boolean; release: Reaper['take']; close: () => void } {
  const living = new Set<ChildProcess>();
  const onSpawn = (message: unknown): void => {
    const { process: child } = message as { process: ChildProcess };
    living.add(child);
    child.once('exit', () => living.delete(child));
    child.once('error', () => {
      if (child.pid === undefined) living.delete(child);
    });
  };
  subscribe('child_process', onSpawn);
  return {
    has(pid) {
      for (const child of living) if (child.pid === pid) return true;
      return false;
    },
    release(child) {
      // Node has no word for that. Who is not asked after any more is not waited for: that is libuv's rule.
      const handle = (child as { _handle?: { close?: () => void } | null })._handle;
      if (typeof handle?.close !== 'function' || !living.delete(child as ChildProcess)) return false;
      handle.close();
      return true;
    },
    close: () => unsubscribe('child_process', onSpawn),
  };
}

/** Whether the kernel tells us of every end, and how that came about, in words for the user. */
export function chooseReaping(native: Native | { missing: string }): { exact: boolean; how: string } {
  if ('missing' in native) {
    return {
      exact: false,
      how: `scanning alone (${native.missing}): orphans are not reaped, and their exit statuses not known`,
    };
  }
  if (process.pid === 1) return { exact: true, how: 'pid 1' };
  if (native.becomeSubreaper()) return { exact: true, how: 'subreaper' };
  return { exact: true, how: 'own children alone (the kernel refuses PR_SET_CHILD_SUBREAPER)' };
}

function toExit({ code, signal, core }: WaitStatus): Exit {
  return { known: true, code, signal: signal === null ? null : signalName(signal), core };
}

/** `SIGKILL` for 9; real-time signals have no names in Node. */
export function signalName(number: number): string {
  for (const [name, value] of Object.entries(constants.signals)) if (value === number) return name;
  return `SIG${number}`;
}
