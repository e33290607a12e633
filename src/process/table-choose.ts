import { existsSync, readFileSync } from 'node:fs';
import type { ProcessTable } from './table.ts';
import { procfsTable } from './table-procfs.ts';
import { psListTable } from './table-ps-list.ts';

/**
 * The process table to use, and what the user should know about it. `wanted`: what `--process-table` says, null for
 * the best there is; `root`: where /proc is. Throws when /proc is wanted and cannot be used.
 */
export function chooseTable(
  wanted: 'procfs' | 'ps-list' | null,
  root = '/proc',
): { table: ProcessTable; notices: string[] } {
  if (wanted === 'ps-list') return { table: psListTable(), notices: [] };
  const problem = whyNot(root);
  if (problem === null) {
    const notices = existsSync(`${root}/1/stat`)
      ? []
      : [`process 1 is not visible in ${root} (hidepid?): processes of other users may not be seen`];
    return { table: procfsTable({ root }), notices };
  }
  if (wanted === 'procfs') {
    throw new Error(
      `cannot use --process-table procfs: ${problem}; mount this container's own /proc, or use ps-list`,
    );
  }
  const notice = `${problem}: processes are listed with ps, which tells no states, sessions or tags`;
  return { table: psListTable(), notices: [notice] };
}

/** Why /proc cannot be used; null: it can. */
function whyNot(root: string): string | null {
  let status: string;
  try {
    status = readFileSync(`${root}/self/status`, 'latin1');
    readFileSync(`${root}/self/stat`, 'latin1');
  } catch (error) {
    return `${root} cannot be read (${(error as Error).message})`;
  }
  // Seen from a pid namespace further out, we have one number there and another one here.
  const ids = /^NSpid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/) ?? [];
  const pid = Number(/^Pid:\s+(\d+)$/m.exec(status)?.[1]);
  if (pid === process.pid && ids.length <= 1) return null;
  return `${root} belongs to another pid namespace (this process is ${process.pid}, there it is ${pid})`;
}
