/** The verbs that ask a running upkeep, as a program of its own: who only asks does not wait until all the rest has been read. */
import { isatty } from 'node:tty';
import { runVerb } from './control/cli.ts';
import type { ControlVerb } from './policy/options.ts';
import { conclude, write } from './terminal.ts';

/** Runs one verb, to the end. @param words behind it @returns what the process exits with */
export function ask(verb: ControlVerb, words: readonly string[]): Promise<number> {
  // Of anything but a terminal process.stdout would make a stream, and a pipe non-blocking.
  const shows = isatty(1);
  const answered = runVerb(verb, words, {
    env: process.env,
    // A terminal that nobody has told its size has none.
    size: () => (shows ? { columns: process.stdout.columns || 80, rows: process.stdout.rows || 24 } : null),
    colour: shows && !process.env.NO_COLOR,
    out: (text) => write(1, text),
    error: (text) => write(2, text),
  });
  return conclude(answered);
}
