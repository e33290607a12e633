/** Processes as the rows of a tree. Pure. */
import type { ProcessView } from '../protocol.ts';

export type Sign = 'upkeep' | 'leader' | 'launcher' | 'straggler' | 'zombie' | 'refused';

export interface ProcessRow {
  readonly process: ProcessView;
  readonly level: number;
  readonly position: number;
  readonly size: number;
  /** null: it has no children. */
  readonly expanded: boolean | null;
  /** null: there is nothing special about it. */
  readonly sign: Sign | null;
}

/** How a command's processes are marked: neighbours in the fleet's order never alike, and 32 of them told apart. */
export interface OwnerMark {
  /** Of `--hue0` to `--hue7` in page.css. */
  readonly hue: number;
  /** Of the bar; 0: full. */
  readonly pattern: number;
}

const HUES = 8;
const PATTERNS = 4;

/** @param names of commands, in their order */
export function ownerMarks(names: readonly string[]): ReadonlyMap<string, OwnerMark> {
  return new Map(
    names.map((name, index) => [name, { hue: index % HUES, pattern: Math.floor(index / HUES) % PATTERNS }]),
  );
}

/** @param text of a name, a pid, or a command; with one, everything found is shown, and what it descends from */
export function processRows(
  processes: readonly ProcessView[],
  text: string,
  closed: ReadonlySet<number>,
): readonly ProcessRow[] {
  const byPid = new Map(processes.map((process) => [process.pid, process]));
  const children = new Map<number, ProcessView[]>();
  const roots: ProcessView[] = [];
  for (const process of processes) {
    if (process.ppid === process.pid || !byPid.has(process.ppid)) roots.push(process);
    else children.set(process.ppid, [...(children.get(process.ppid) ?? []), process]);
  }
  const led = new Set(
    processes.flatMap(({ part, command, state }) =>
      (part === 'leader' || part === 'launcher') && command !== null && state !== 'Z' ? [command] : [],
    ),
  );
  const wanted = text === '' ? null : found(processes, byPid, text.toLowerCase());
  const rows: ProcessRow[] = [];
  const walk = (list: readonly ProcessView[], level: number): void => {
    const shown = wanted === null ? list : list.filter(({ pid }) => wanted.has(pid));
    for (const [index, process] of shown.entries()) {
      const below = children.get(process.pid) ?? [];
      const isOpen = wanted !== null || !closed.has(process.pid);
      rows.push({
        process,
        level,
        position: index + 1,
        size: shown.length,
        expanded: below.length === 0 ? null : isOpen,
        sign: signOf(process, led),
      });
      if (isOpen) walk(below, level + 1);
    }
  };
  walk(roots, 1);
  return rows;
}

function found(
  processes: readonly ProcessView[],
  byPid: ReadonlyMap<number, ProcessView>,
  text: string,
): ReadonlySet<number> {
  const wanted = new Set<number>();
  for (const process of processes) {
    const { pid, name, command, argv } = process;
    const words = [String(pid), name, command ?? '', argv.join(' ')];
    if (!words.some((word) => word.toLowerCase().includes(text))) continue;
    let each: ProcessView | undefined = process;
    while (each !== undefined && !wanted.has(each.pid)) {
      wanted.add(each.pid);
      each = byPid.get(each.ppid);
    }
  }
  return wanted;
}

function signOf({ state, part, command }: ProcessView, led: ReadonlySet<string>): Sign | null {
  if (state === 'Z') return 'zombie';
  if (part === 'member') return command !== null && !led.has(command) ? 'straggler' : null;
  return part;
}
