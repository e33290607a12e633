/** Answers of a running upkeep, for people. Pure. */
import { stripVTControlCharacters } from 'node:util';
import type { Exit } from '../../machines/events.ts';
import { formatDuration } from '../output/duration.ts';
import type { CommandStatus, Next, Status } from './status.ts';
import type { Why } from './why.ts';

interface Look {
  readonly columns: number;
  readonly colour: boolean;
}

const RED = 31;
const GREEN = 32;
const YELLOW = 33;
const DIM = 2;

const HEADS = ['NAME', 'STATE', 'FOR', 'PID', 'UP', 'RESTARTS', 'LAST EXIT', 'NEXT'] as const;
/** What the longest name is cut to, where it has to be. */
const LEAST_NAME = 12;

/** One line for each command, within the width; what comes next has a line of its own where there is no room for it. */
export function statusTable({ commands, upkeep }: Status, { columns, colour }: Look): string {
  const rows = commands.map((command) => ({ command, cells: cellsOf(command) }));
  const widths = HEADS.map((head, index) =>
    Math.max(head.length, ...rows.map(({ cells }) => widthOf(cells[index]!))),
  );
  const fixed = widths.slice(1, -1).reduce((sum, width) => sum + width + 2, 0);
  const next = widths.at(-1)!;
  const apart = widths[0]! + 2 + fixed + next > columns;
  widths[0] = Math.max(LEAST_NAME, Math.min(widths[0]!, columns - fixed - (apart ? 0 : next + 2)));
  const shownHeads = apart ? HEADS.slice(0, -1) : HEADS;
  const lines = [painted(DIM, trimmed(shownHeads.map((head, index) => pad(head, widths[index]!))), colour)];
  for (const { command, cells } of rows) {
    const texts = cells.slice(0, shownHeads.length).map((cell, index) => {
      const text = pad(cell, widths[index]!);
      return index === 1 ? painted(colourOf(command), text, colour) : text;
    });
    lines.push(trimmed(texts));
    if (apart && cells.at(-1) !== '') lines.push(cut(`  → ${cells.at(-1)}`, columns));
  }
  if (commands.length === 0) lines.push('no command is there');
  if (upkeep.ending) lines.push('everything is being stopped');
  return `${lines.join('\n')}\n`;
}

function cellsOf(command: CommandStatus): string[] {
  const { name, leader, restarts, lastExit, next } = command;
  return [
    name,
    stateOf(command),
    compact(command.for),
    leader === null ? '-' : String(leader.pid),
    leader === null ? '-' : compact(leader.uptime),
    String(restarts),
    lastExit === null ? '-' : exitOf(lastExit),
    next === null ? '' : nextText(next),
  ];
}

/** One word, where one can say it. */
function stateOf({ state, ready, healthy, detail }: CommandStatus): string {
  if (state !== 'running') return state;
  if (ready === false) return 'not ready';
  if (healthy === false) return 'unhealthy';
  return detail === 'ready' && ready === true ? 'ready' : 'running';
}

function colourOf({ asWished, state, desired }: CommandStatus): number {
  if (asWished) return desired === 'down' ? DIM : GREEN;
  return state === 'failed' || state === 'backoff' ? RED : YELLOW;
}

function nextText({ text, in: wait }: Next): string {
  return wait === null ? text : `${text} in ${formatDuration(wait)}`;
}

function exitOf({ known, code, signal, core }: Exit): string {
  if (!known) return '?';
  return signal === null ? String(code) : `${signal}${core ? ' core' : ''}`;
}

/** `exited with status 3`, `was killed by SIGKILL`. */
export function howEnded(exit: Exit): string {
  if (!exit.known) return 'ended, nobody can tell how';
  if (exit.signal !== null) return `was killed by ${exit.signal}${exit.core ? ' (core dumped)' : ''}`;
  return `exited with status ${exit.code}`;
}

const compact = (ms: number): string => formatDuration(ms).replaceAll(' ', '');

const trimmed = (cells: readonly string[]): string => cells.join('  ').trimEnd();
const widthOf = (text: string): number => [...text].length;
const cut = (text: string, width: number): string =>
  widthOf(text) <= width ? text : `${[...text].slice(0, width - 1).join('')}…`;
const pad = (text: string, width: number): string => {
  const whole = cut(text, width);
  return whole + ' '.repeat(width - widthOf(whole));
};
const painted = (code: number, text: string, colour: boolean): string =>
  colour ? `\x1b[${code}m${text}\x1b[0m` : text;

/** The evidence in words. */
export function whyText({ command, leader, candidates, books, transitions, orders }: Why): string {
  const { name, state, detail, desired, asWished, reason, lastExit, next, waitingFor } = command;
  const lines = [
    `${name} is ${state}${detail === null ? '' : ` (${detail})`} since ${command.since}, for ${formatDuration(command.for)}.`,
    wishText(desired, asWished, orders),
  ];
  // Of one that just ended, how it ended says more.
  if (reason !== null && reason !== 'exited') lines.push(`The reason: ${reason}.`);
  if (lastExit !== null) {
    lines.push(`Its last run ${howEnded(lastExit)}.`);
  }
  const counts = [`started ${times(command.starts)}`, `restarted ${times(command.restarts)}`];
  if (books.failures > 0) counts.push(`${books.failures} failed or died young in a row`);
  lines.push(`It was ${counts.join(', ')}.`);
  if (waitingFor.length > 0) lines.push(`It waits for ${waitingFor.join(', ')}.`);
  if (next !== null) lines.push(`Next: ${nextText(next)}.`);
  lines.push('', 'Processes that are its own, or that could be by their name:');
  if (candidates.length === 0) lines.push('  none');
  for (const { pid, ppid, name: comm, argv, age, verdict, because } of candidates) {
    const line = argv.length === 0 ? `[${comm}]` : argv.join(' ');
    lines.push(
      `  ${MARKS[verdict]} ${pid} (parent ${ppid}, ${formatDuration(age)} old) ${cut(printable(line), 100)}`,
      `      ${verdict === 'leader' && leader !== null ? `leads: ${because}` : because}`,
    );
  }
  lines.push('', 'What has happened, the last of it at the end:');
  if (transitions.length === 0) lines.push('  nothing');
  for (const { time, from, to, on } of transitions) {
    lines.push(`  ${time}  ${from ?? 'nothing'} → ${to}  (${on})`);
  }
  return `${lines.join('\n')}\n`;
}

const MARKS = { leader: '*', member: '+', refused: '-' } as const;
const times = (count: number): string => (count === 1 ? 'once' : `${count} times`);

function wishText(desired: 'up' | 'down', asWished: boolean, orders: Why['orders']): string {
  const last = orders.at(-1);
  const who =
    last === undefined
      ? 'as upkeep was told at its start'
      : `the last order was ${last.order}, at ${last.time}`;
  return `It is wished ${desired} (${who}), and that is ${asWished ? 'so' : 'not so'}.`;
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
  if (gone !== undefined) return `… ${gone} events before these are kept no more\n`;
  return `${String(number).padStart(6)}  ${time}  ${message}\n`;
}

/** Nothing of what a process calls itself may steer the terminal. */
function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[\x00-\x1f\x7f]/g, ' ');
}
