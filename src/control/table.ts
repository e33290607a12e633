/** The table of `upkeep status`. Pure; upkeep draws it itself, since a client would have to read and parse far more. */
import type { Exit } from '../../machines/events.ts';
import { formatDuration } from '../output/duration.ts';
import { type Brief, type CommandBrief, nextText, runsText, type STATUS_VERSION, wordOf } from './status.ts';
import { BEYOND_ASCII, cut, pad, printable, widthOf } from './width.ts';

export interface Look {
  readonly columns: number;
  readonly colour: boolean;
  /** Lines at most; all, where it is not said. */
  readonly rows?: number;
}

export interface Table {
  readonly version: typeof STATUS_VERSION;
  readonly asWished: boolean;
  /** Lines, each with its end. */
  readonly table: string;
}

const RED = 31;
const GREEN = 32;
const YELLOW = 33;
const DIM = 2;

const HEADS = ['NAME', 'STATE', 'FOR', 'PID', 'UP', 'RESTARTS', 'LAST EXIT', 'NEXT'] as const;
const NAME = 0;
const STATE = 1;
const NEXT = 7;
/** What is left out one after the other where there is no room for it. */
const LEAST_WANTED = [4, 2, 5, 6, 3] as const;
/** What the longest name is cut to before anything else goes. */
const LEAST_NAME = 24;

/**
 * One line for each command, within the width; what comes next has a line of its own where there is no room for it. Where the
 * rows are too few, those are shown first that are not as they are wished to be.
 */
export function statusTable(status: Brief, { columns, colour, rows: most }: Look): string {
  const { commands, upkeep } = status;
  const rows = commands.map((command) => rowOf(cellsOf(command)));
  const widths = HEADS.map(({ length }) => length);
  for (const { cells, isPlain } of rows) {
    for (let index = 0; index < widths.length; index++) {
      const width = isPlain ? cells[index]!.length : widthOf(cells[index]!);
      if (width > widths[index]!) widths[index] = width;
    }
  }
  const shown = shownColumns(widths, columns);
  const others = shown.slice(1).reduce((sum, index) => sum + 2 + widths[index]!, 0);
  widths[NAME] = Math.max(1, Math.min(widths[NAME]!, columns - others));
  const last = shown.at(-1);
  const line = ({ cells, isPlain }: Row, colourOfState: number | null): string => {
    const texts = shown.map((index) => {
      const cell = cells[index]!;
      // Nothing stands behind the last one, and one of them may be very long.
      if (index === last) return cell;
      const width = widths[index]!;
      return isPlain && cell.length <= width ? cell.padEnd(width) : pad(cell, width);
    });
    const joined = texts.join('  ').trimEnd();
    const whole = isPlain && joined.length <= columns ? joined : cut(joined, columns);
    if (!colour || colourOfState === null) return whole;
    // Coloured afterwards: what colours has no width.
    const before = `${texts[NAME]}  `;
    const state = texts[shown.indexOf(STATE)]!.trimEnd();
    if (!whole.startsWith(before + state)) return whole;
    const behind = whole.slice(before.length + state.length);
    return `${before}${painted(colourOfState, state, true)}${behind}`;
  };
  const head = painted(DIM, line(rowOf(HEADS), null), colour);
  const ending = upkeep.ending ? [cut('everything is being stopped', columns)] : [];
  const room = (most ?? Number.POSITIVE_INFINITY) - 1 - ending.length;
  const isNextApart = !shown.includes(NEXT);
  const blocks = rows.map((row, index) => {
    const command = commands[index]!;
    const own = line(row, colourOf(command));
    const next = row.cells[NEXT]!;
    return { command, lines: isNextApart && next !== '' ? [own, cut(`  → ${next}`, columns)] : [own] };
  });
  const body = fitted(blocks, room, columns);
  if (commands.length === 0) body.push(cut('no command is there', columns));
  return `${[head, ...body, ...ending].join('\n')}\n`;
}

interface Row {
  readonly cells: readonly string[];
  /** ASCII alone: each cell is as wide as it is long. Found out once for all of them, since that takes longer than all else. */
  readonly isPlain: boolean;
}

const rowOf = (cells: readonly string[]): Row => ({ cells, isPlain: !BEYOND_ASCII.test(cells.join('')) });

/** Which columns there is room for, by their numbers. */
function shownColumns(widths: readonly number[], columns: number): readonly number[] {
  const fits = (shown: readonly number[], name: number): boolean =>
    shown.slice(1).reduce((sum, index) => sum + 2 + widths[index]!, name) <= columns;
  let shown: readonly number[] = widths.map((_, index) => index);
  if (fits(shown, widths[NAME]!)) return shown;
  shown = shown.filter((index) => index !== NEXT);
  for (const index of LEAST_WANTED) {
    if (fits(shown, Math.min(widths[NAME]!, LEAST_NAME))) return shown;
    shown = shown.filter((each) => each !== index);
  }
  return shown;
}

interface Block {
  readonly command: CommandBrief;
  readonly lines: readonly string[];
}

function fitted(blocks: readonly Block[], room: number, columns: number): string[] {
  const all = blocks.flatMap(({ lines }) => lines);
  if (all.length <= room) return all;
  const lacking = blocks.filter(({ command }) => !command.asWished);
  const first = [...lacking, ...blocks.filter(({ command }) => command.asWished)];
  const taken: string[] = [];
  let left = first.length;
  for (const { lines } of first) {
    if (taken.length + lines.length > room - 1) break;
    taken.push(...lines);
    left--;
  }
  return [...taken, cut(`… and ${left} more`, columns)].slice(0, Math.max(0, room));
}

function cellsOf(command: CommandBrief): string[] {
  const { name, state, leader, restarts, lastExit, lastOom, said, leftOut, next } = command;
  const coming = next === null ? [] : [nextText(next)];
  // Of a run that has ended it is over.
  if (state === 'running' && leftOut > 0) coming.unshift(`${runsText(leftOut)} left out`);
  if (state === 'running' && said !== null) coming.push(`it says: ${printable(said)}`);
  return [
    name,
    wordOf(command),
    compact(command.for),
    leader === null ? '-' : String(leader.pid),
    leader === null ? '-' : compact(leader.uptime),
    String(restarts),
    lastExit === null ? '-' : `${exitOf(lastExit)}${lastOom === true ? ' oom' : ''}`,
    coming.join(', '),
  ];
}

function colourOf({ asWished, state, desired, gaveUp }: CommandBrief): number {
  if (asWished) return desired === 'down' ? DIM : GREEN;
  return state === 'failed' || state === 'backoff' || gaveUp !== null ? RED : YELLOW;
}

/** As the table has it. */
function exitOf({ known, code, signal, core }: Exit): string {
  if (!known) return '?';
  return signal === null ? String(code) : `${signal}${core ? ' core' : ''}`;
}

const compact = (ms: number): string => formatDuration(ms, '');

const painted = (code: number, text: string, colour: boolean): string =>
  colour ? `\x1b[${code}m${text}\x1b[0m` : text;
