/** Whether the machines do again what a recording says that they did. */
import type { Recording } from './recording.ts';
import { type Counts, type Difference, differenceText, replayPart } from './replay.ts';

export interface Verdict extends Counts {
  readonly version: 1;
  readonly parts: number;
  /** Lines that could not be written when it was recorded. */
  readonly lost: number;
  /** Numbers of lines that are cut. */
  readonly cut: readonly number[];
  /** The first one; null: there is none. */
  readonly difference: Difference | null;
}

/** Runs every part of the recording, up to the first difference. */
export function verify({ parts, cut }: Recording): Verdict {
  const sum = { events: 0, transitions: 0, effects: 0, machines: 0 };
  let lost = 0;
  let difference: Difference | null = null;
  for (const part of parts) {
    const replayed = replayPart(part);
    replayed.advance(Number.POSITIVE_INFINITY);
    lost += part.header.lost;
    const counts = replayed.counts();
    for (const key of ['events', 'transitions', 'effects', 'machines'] as const) sum[key] += counts[key];
    difference = replayed.differs();
    if (difference !== null) break;
  }
  return { version: 1, ...sum, parts: parts.length, lost, cut, difference };
}

/** For a human, with a line break at its end. */
export function verifyText(verdict: Verdict, file: string): string {
  const { events, transitions, effects, machines, parts, lost, cut, difference } = verdict;
  const said = [
    difference === null
      ? `${file}: the same again: ${counted(events, 'event')} reached ${counted(machines, 'machine')}, and ${counted(transitions, 'transition')} and ${counted(effects, 'effect')} came of them`
      : `${file}: ${differenceText(difference)}`,
  ];
  if (parts > 1) said.push(`it has ${parts} parts, each with a beginning of its own`);
  if (lost > 0) said.push(`${counted(lost, 'line')} could not be written when it was recorded`);
  if (cut.length > 0) said.push(`cut off: line ${cut.join(', ')}`);
  return said.map((line) => `${line}\n`).join('');
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;
