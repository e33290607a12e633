/**
 * Instant news of the end of processes that are no children of ours, as after a restart of upkeep: one poll over
 * their pidfds, in a thread. Where the kernel has none (before 5.3), the scan finds out.
 */
import { closeSync, writeSync } from 'node:fs';
import type { Native } from './native.ts';

export interface DeathWatch {
  /** Watches exactly these pids from now on. */
  readonly watch: (pids: readonly number[]) => void;
}

/** @param onDeath is called when one or more of the watched have ended */
export function createDeathWatch(
  native: Pick<Native, 'pidfdOpen' | 'eventfd' | 'pollReadable'>,
  onDeath: () => void,
): DeathWatch {
  const watched = new Map<number, number>();
  /** -1: not needed yet; -2: not to be had. */
  let wake = -1;
  let polling = false;

  function interrupt(): void {
    if (polling) writeSync(wake, new Uint8Array(new BigUint64Array([1n]).buffer));
  }

  function poll(): void {
    if (polling || watched.size === 0) return;
    polling = true;
    native.pollReadable([wake, ...watched.values()], (readable) => {
      polling = false;
      if (readable.includes(wake)) drain();
      let died = false;
      for (const [pid, fd] of watched) {
        if (!readable.includes(fd)) continue;
        drop(pid, fd);
        died = true;
      }
      poll();
      if (died) onDeath();
    });
  }

  function drain(): void {
    // An eventfd counts; a new one is cheaper than reading it without blocking.
    closeSync(wake);
    wake = native.eventfd();
  }

  function drop(pid: number, fd: number): void {
    watched.delete(pid);
    closeSync(fd);
  }

  return {
    watch(pids) {
      const wanted = new Set(pids);
      let changed = false;
      const leaving = [...watched].filter(([pid]) => !wanted.has(pid));
      for (const pid of wanted) {
        if (watched.has(pid) || wake === -2) continue;
        if (wake === -1) {
          wake = native.eventfd();
          if (wake < 0) wake = -2;
          // A thread that still polls would hold up our own end.
          else process.once('exit', interrupt);
        }
        const fd = wake < 0 ? -1 : native.pidfdOpen(pid);
        if (fd < 0) continue;
        watched.set(pid, fd);
        changed = true;
      }
      for (const [pid, fd] of leaving) drop(pid, fd);
      if (changed || leaving.length > 0) interrupt();
      poll();
    },
  };
}
