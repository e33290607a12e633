/** How much memory processes have, from /proc. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { endianness } from 'node:os';
import type { ProcessId } from '../../machines/events.ts';
import { isDead } from './table.ts';
import { isGone, parseStat } from './table-procfs.ts';

const AT_PAGESZ = 6n;
/** Of nearly all machines. */
const USUAL_PAGE = 4096;

/**
 * Reads one process in some ten microseconds.
 *
 * @returns bytes of resident memory; `gone`: it is not there any more; null: it can't be read now (no file descriptors are
 *   left, say)
 */
export function createResident({
  root = '/proc',
  pageSize = pageSizeOf(),
} = {}): (id: ProcessId) => number | 'gone' | null {
  const buffer = Buffer.allocUnsafe(1024);
  return ({ pid, startTicks }) => {
    let file = -1;
    try {
      file = openSync(`${root}/${pid}/stat`, 'r');
      const stat = parseStat(buffer, readSync(file, buffer, 0, buffer.length, null));
      const isIt = stat !== null && (startTicks === 0 || stat.startTicks === startTicks) && !isDead(stat);
      return isIt ? stat.pages * pageSize : 'gone';
    } catch (error) {
      return isGone(error) ? 'gone' : null;
    } finally {
      if (file >= 0) closeSync(file);
    }
  };
}

/** Bytes, as the kernel has told this process. */
export function pageSizeOf(path = '/proc/self/auxv'): number {
  try {
    const pairs = readFileSync(path);
    const read = (at: number): bigint =>
      endianness() === 'LE' ? pairs.readBigUInt64LE(at) : pairs.readBigUInt64BE(at);
    for (let at = 0; at + 16 <= pairs.length; at += 16)
      if (read(at) === AT_PAGESZ) return Number(read(at + 8));
  } catch {
    // Nobody may read it, or there is none.
  }
  return USUAL_PAGE;
}
