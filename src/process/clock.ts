import { readFileSync } from 'node:fs';

/**
 * From start ticks to monotonic ms. Ticks count from boot, 100 a second: what Linux shows to programs on every
 * architecture.
 */
export function clockOfTicks(now: () => number): (startTicks: number) => number {
  try {
    const uptime = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]) * 1_000;
    const booted = now() - uptime;
    return (startTicks) => booted + startTicks * 10;
  } catch {
    return now;
  }
}
