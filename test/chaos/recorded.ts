/** What upkeep has recorded of itself: its machines, run again from that, have to come to the same. */
import { copyFileSync, readdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { readRecording } from '../../src/inspector/recording.ts';
import { differenceText } from '../../src/inspector/replay.ts';
import { verify } from '../../src/inspector/verify.ts';
import type { Invariant, Violation } from './invariants.ts';

const INVARIANT: Invariant = 'what is recorded can be replayed';

/** Files of the recording, the newest first. */
const filesOf = (path: string): string[] =>
  readdirSync(dirname(path))
    .filter((name) => name === basename(path) || name.startsWith(`${basename(path)}.`))
    .sort()
    .map((name) => join(dirname(path), name))
    // Nothing is in it yet when upkeep is killed in its first moments.
    .filter((file) => statSync(file).size > 0);

/** @param checks counts the events that were replayed */
export function replayed(path: string, checks: Map<string, number>): Violation[] {
  const found: Violation[] = [];
  for (const file of filesOf(path)) {
    try {
      const { difference, events } = verify(readRecording(file));
      checks.set(INVARIANT, (checks.get(INVARIANT) ?? 0) + events);
      if (difference !== null) {
        found.push({ invariant: INVARIANT, what: `${basename(file)}: ${differenceText(difference)}` });
      }
    } catch (error) {
      found.push({ invariant: INVARIANT, what: (error as Error).message });
    }
  }
  return found;
}

/** Copies the recording to where nobody removes it. @returns the newest file; null: there is none */
export function keepRecording(path: string, name: string): string | null {
  const files = filesOf(path);
  const to = join(tmpdir(), name);
  for (const file of files) copyFileSync(file, to + file.slice(path.length));
  return files.length === 0 ? null : to;
}
