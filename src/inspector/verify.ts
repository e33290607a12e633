/** Whether the machines do again what a recording says that they did. */
import { setImmediate as turn } from 'node:timers/promises';
import { factsOf, keptOf, timersOf } from './kept.ts';
import type { KeptTimer, Part, Recording } from './recording.ts';
import { type Counts, type Difference, differenceText, isText, type Replay, replayPart } from './replay.ts';

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
export function verify(recording: Recording): Verdict {
  const steps = verifying(recording);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** The same in small steps: others can have their turn between two of them. @param onStep lines that have been looked at */
export async function verifyInTurns(
  recording: Recording,
  onStep: (lines: number) => void = () => {},
): Promise<Verdict> {
  const steps = verifying(recording);
  for (;;) {
    await turn();
    const until = performance.now() + SLICE;
    do {
      const { done, value } = steps.next();
      if (done) return value;
      onStep(value);
    } while (performance.now() < until);
  }
}

/** ms of work at once. */
const SLICE = 8;
/** Lines in one step. */
const STEP = 100;

function* verifying({ parts, cut }: Recording): Generator<number, Verdict> {
  let done = 0;
  const sum = { events: 0, transitions: 0, effects: 0, machines: 0 };
  let lost = 0;
  let difference: Difference | null = null;
  for (const [index, part] of parts.entries()) {
    lost += part.header.lost;
    try {
      const replayed = replayPart(part);
      while (!replayed.advance(Number.POSITIVE_INFINITY, STEP)) {
        done += STEP;
        yield done;
      }
      const counts = replayed.counts();
      for (const key of ['events', 'transitions', 'effects', 'machines'] as const) sum[key] += counts[key];
      difference = replayed.differs() ?? goesOn(replayed, parts[index + 1]);
    } catch (error) {
      // Nobody but who has changed the file comes here.
      const replayed = `what cannot be: ${(error as Error).message}`;
      difference = { line: part.line, recorded: 'what upkeep has written', replayed };
    }
    if (difference !== null) break;
  }
  return { version: 1, ...sum, parts: parts.length, lost, cut, difference };
}

/** Where one part follows the other, the machines at its beginning are those that the one before ends with, all that they have in
 * their books included. */
function goesOn({ root, sinceOf }: Replay, next: Part | undefined): Difference | null {
  if (next === undefined || !('root' in next.header.start) || next.header.lost > 0) return null;
  const { line, header } = next;
  const differ = (was: string, is: string): Difference => ({ line, recorded: was, replayed: is });
  // Before, it had a time of its own.
  const isTimed = header.version > 1;
  const recorded = factsOf(next.header.start.root, isTimed);
  const replayed = factsOf(keptOf(root, sinceOf), isTimed);
  for (const what of new Set([...recorded.keys(), ...replayed.keys()])) {
    const [was, is] = [recorded.get(what), replayed.get(what)];
    if (was === undefined || is === undefined || !isText(was, is)) {
      const say = (text: string | undefined): string => `${what} as ${text ?? 'nothing'}`;
      return differ(say(was), say(is));
    }
  }
  const textOf = (timers: readonly KeptTimer[]): string =>
    timers
      .map(({ of, event }) => `${event} of ${of === '' ? 'the root' : of}`)
      .sort()
      .join(', ') || 'none';
  const [were, are] = [textOf(next.header.start.timers), textOf(timersOf(root))];
  return were === are ? null : differ(`the timers ${were}`, `the timers ${are}`);
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
