/** Answers of a running upkeep, for people. Pure. */
import type { Exit } from '../../machines/events.ts';
import { formatDuration } from '../output/duration.ts';
import { howItEnded, whoText } from '../output/tell.ts';
import { type CommandStatus, nextText, predicateOf, runsText } from './status.ts';
import type { Why } from './why.ts';
import { cut, printable, widthOf } from './width.ts';

/** `exited with status 3`, `was killed by SIGKILL`. */
export function howEnded(exit: Exit): string {
  return exit.known ? howItEnded(exit) : 'ended, nobody can tell how';
}

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
    lines.push(`${runsText(leftOut)} ${were} been left out since its last one began.`);
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
