/** Answers of a running upkeep, for people. Pure. */
import { stripVTControlCharacters } from 'node:util';
import type { Exit } from '../../machines/events.ts';
import { formatDuration } from '../output/duration.ts';
import { howItEnded, whoText } from '../output/tell.ts';
import {
  type Brief,
  type CommandBrief,
  type CommandStatus,
  type Next,
  predicateOf,
  wordOf,
} from './status.ts';
import type { Why } from './why.ts';

export interface Look {
  readonly columns: number;
  readonly colour: boolean;
  /** Lines at most; all, where it is not said. */
  readonly rows?: number;
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
  const line = ({ cells, isPlain }: Row, colourOfState: number | null): string => {
    const texts = shown.map((index) => {
      const cell = cells[index]!;
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
  if (state === 'running' && leftOut > 0) coming.unshift(`${runs(leftOut)} left out`);
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

/** `retry 4 in 7.2 s`. */
export function nextText({ text, in: wait }: Next): string {
  return wait === null ? text : `${text} in ${formatDuration(wait)}`;
}

/** As the table has it. */
function exitOf({ known, code, signal, core }: Exit): string {
  if (!known) return '?';
  return signal === null ? String(code) : `${signal}${core ? ' core' : ''}`;
}

/** `exited with status 3`, `was killed by SIGKILL`. */
export function howEnded(exit: Exit): string {
  return exit.known ? howItEnded(exit) : 'ended, nobody can tell how';
}

const compact = (ms: number): string => formatDuration(ms, '');

/** Of East Asia's and of pictures, which take two columns. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
/** They stand on the one before. */
const COMBINING = /[\p{Mn}\p{Me}\p{Cf}]/u;

const BEYOND_ASCII = /[^ -~]/;
const widthOfOne = (point: string): number => (COMBINING.test(point) ? 0 : WIDE.test(point) ? 2 : 1);

/** Columns that it takes. */
export function widthOf(text: string): number {
  if (!BEYOND_ASCII.test(text)) return text.length;
  let width = 0;
  for (const point of text) width += widthOfOne(point);
  return width;
}

function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let short = '';
  let left = width - 1;
  for (const point of text) {
    left -= widthOfOne(point);
    if (left < 0) break;
    short += point;
  }
  return width > 0 ? `${short}…` : '';
}

function pad(text: string, width: number): string {
  const taken = widthOf(text);
  return taken <= width ? text + ' '.repeat(width - taken) : pad(cut(text, width), width);
}

const painted = (code: number, text: string, colour: boolean): string =>
  colour ? `\x1b[${code}m${text}\x1b[0m` : text;

/** The evidence in words, in lines that fit where what is in them can be parted. */
export function whyText(why: Why, columns: number): string {
  const { command, wish, leader, candidates, timers, books, crashes, transitions } = why;
  const { name, state, detail, reason, said, lastExit, lastOom, leftOut, next, left, gaveUp } = command;
  const lines = [
    `${name} is ${predicateOf(state)}${detail === null ? '' : ` (${detail})`} since ${command.since}, for ${formatDuration(command.for)}.`,
    wishText(command, wish),
  ];
  if (gaveUp !== null) lines.push(gaveUpText(gaveUp));
  // Of one that just ended, how it ended says more.
  else if (reason !== null && reason !== 'exited') {
    const { unhealthySince } = command;
    lines.push(`The reason${unhealthySince === null ? '' : `, since ${unhealthySince}`}: ${reason}.`);
  }
  if (said !== null) lines.push(`It has said last: ${printable(said)}.`);
  if (lastExit !== null) {
    lines.push(`Its last run ${howEnded(lastExit)}${lastOom === true ? ` (${OUT_OF_MEMORY})` : ''}.`);
  }
  const counts = [`started ${times(command.starts)}`, `restarted ${times(command.restarts)}`];
  if (books.failures > 0) counts.push(`${books.failures} failed or died young in a row`);
  lines.push(`It was ${counts.join(', ')}.`);
  if (leftOut > 0) {
    const were = leftOut === 1 ? 'that was due has' : 'that were due have';
    lines.push(`${runs(leftOut)} ${were} been left out since its last one began.`);
  }
  if (left > 0) lines.push(`${left} of its processes could not be ended.`);
  if (next !== null && gaveUp === null) lines.push(`Next: ${nextText(next)}.`);
  lines.push(...probesText(why.probes));
  if (timers.length > 0) lines.push('', 'Timers that run:');
  for (const timer of timers) lines.push(`  in ${formatDuration(timer.in)}, at ${timer.due}: ${timer.for}`);
  lines.push('', 'Processes that are its own, or that could be by their name:');
  lines.push(...candidatesText(candidates, leader, columns));
  lines.push(...crashText(crashes), '', 'What has happened, the last of it at the end:');
  if (transitions.length === 0) lines.push('  nothing');
  for (const { time, from, to, on } of transitions) {
    lines.push(`  ${time}  ${from ?? 'nothing'} → ${to}  (${on})`);
  }
  return `${lines.flatMap((line) => wrapped(line, columns)).join('\n')}\n`;
}

function candidatesText(candidates: Why['candidates'], leader: Why['leader'], columns: number): string[] {
  if (candidates.length === 0) return ['  none'];
  return (['leader', 'member', 'refused'] as const).flatMap((verdict) => {
    const all = candidates.filter((candidate) => candidate.verdict === verdict);
    const lines = all.slice(0, MOST_CANDIDATES).flatMap(({ pid, ppid, name, argv, age, because }) => {
      const line = argv.length === 0 ? `[${name}]` : argv.join(' ');
      return [
        cut(
          `  ${MARKS[verdict]} ${pid} (parent ${ppid}, ${formatDuration(age)} old) ${printable(line)}`,
          columns,
        ),
        `      ${verdict === 'leader' && leader !== null ? `leads: ${because}` : because}`,
      ];
    });
    const more = all.length - MOST_CANDIDATES;
    return more <= 0 ? lines : [...lines, `  ${MARKS[verdict]} … and ${more} more, which --json has`];
  });
}

/** The last deaths and failed starts; what it had printed stands with the newest of each. */
function crashText(crashes: Why['crashes']): string[] {
  if (crashes.length === 0) return [];
  const quoted = [crashes.findLast(({ failures }) => failures === 0), crashes.at(-1)];
  const told = crashes.flatMap((crash) => {
    const { number, time, event, exit, oom, peak, uptime, reason, wait, gaveUp } = crash;
    const parts = [exit === null ? (reason ?? 'nobody knows how') : howEnded(exit)];
    if (exit !== null && reason !== null && reason !== 'exited') parts.push(reason);
    if (oom === true) parts.push(OUT_OF_MEMORY);
    // What was unhealthy has been killed by upkeep itself.
    else if (oom === false && exit?.signal === 'SIGKILL' && event !== 'command.unhealthy') {
      parts.push('memory had not run out: somebody has sent it');
    }
    if (peak !== null) parts.push(`it had taken ${Math.round(peak / 2 ** 20)} MiB`);
    if (uptime !== null) parts.push(`after ${formatDuration(uptime)}`);
    if (gaveUp !== null) parts.push(`given up: ${gaveUp}`);
    else if (wait !== null && wait > 0) parts.push(`tried again after ${formatDuration(wait)}`);
    const lines = quoted.includes(crash) ? crash.lastLines : [];
    return [
      `  ${number}. ${time}  ${printable(parts.join('; '))}`,
      ...lines.map((line) => `       > ${printable(line)}`),
    ];
  });
  return ['', 'How it has died or failed to start, and what it printed before the last of each:', ...told];
}

/** Of its own, and of those that only could be, so many are shown. */
const MOST_CANDIDATES = 10;
const OUT_OF_MEMORY = "out of memory: the kernel's OOM killer";
const MARKS = { leader: '*', member: '+', refused: '-' } as const;
const runs = (count: number): string => (count === 1 ? '1 run' : `${count} runs`);
const times = (count: number): string => (count === 1 ? 'once' : `${count} times`);

function wishText({ desired, asWished }: CommandStatus, wish: Why['wish']): string {
  const who =
    wish === null
      ? '(as upkeep was told at its start, or by its policy)'
      : `since ${wish.time} (${wish.order}, ordered by ${wish.by === null ? 'somebody who is not known' : whoText(wish.by)})`;
  return `It is wished ${desired} ${who}, and that is ${asWished ? 'so' : 'not so'}.`;
}

function gaveUpText({ group, reason, time }: NonNullable<CommandStatus['gaveUp']>): string {
  const when = time === null ? '' : ` at ${time}`;
  const why = reason === null ? '' : `: ${reason}`;
  return `Its group ${group} gave up${when}${why}. All of it was stopped, and nothing starts it but an order: upkeep start --group ${group}.`;
}

function probesText({ ready, health }: Why['probes']): string[] {
  return [['readiness', ready] as const, ['health', health] as const].flatMap(([which, last]) => {
    if (last === null) return [];
    const failed = `failed${last.failures > 1 ? `, as did ${times(last.failures - 1)} before it` : ''}: ${last.reason}`;
    return [`Its last ${which} probe, at ${last.time}: ${last.ok ? 'ok' : printable(failed)}.`];
  });
}

/** A line of `upkeep logs` from the answer's. */
export function logLine(line: string, width: number): string {
  const { name, line: text, lost } = JSON.parse(line) as { name: string; line?: string; lost?: number };
  const head = name.padEnd(width);
  if (lost !== undefined) {
    return `${head} | … ${lost} ${lost === 1 ? 'line was' : 'lines were'} written over before they could be shown\n`;
  }
  return `${head} | ${text}\n`;
}

/** A line of `upkeep events` from the answer's. */
export function eventLine(line: string): string {
  const { gone, number, time, message } = JSON.parse(line) as Record<string, unknown>;
  if (gone !== undefined) {
    return `… ${gone} ${gone === 1 ? 'event before these is' : 'events before these are'} kept no more\n`;
  }
  return `${String(number).padStart(6)}  ${time}  ${message}\n`;
}

/** As lines that are not wider than so many columns, each but the first further in; a word that is wider stays whole. */
function wrapped(line: string, columns: number): string[] {
  const words = line.split(/(?<=\S)(?= )/);
  const [first = '', ...others] = words;
  const hang = ' '.repeat(/^ */.exec(first)![0].length + 4);
  const lines = [first];
  for (const word of others) {
    const longer = lines.at(-1)! + word;
    if (widthOf(longer) <= columns) lines[lines.length - 1] = longer;
    else lines.push(hang + word.trimStart());
  }
  return lines;
}

/** Nothing of what a process calls itself may steer the terminal. */
function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[\x00-\x1f\x7f-\x9f]/g, ' ');
}
