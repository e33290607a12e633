/** `upkeep inspect`: a recording, shown or checked. A bundle of its own. */
import { EXIT_CONFIGURATION, EXIT_USAGE } from '../policy/exit-codes.ts';
import { UsageError } from '../policy/usage-error.ts';
import { INSPECT_HELP, parseInspect } from './arguments.ts';
import { ShowError, showRecording } from './player.ts';
import { RecordingError, readRecording } from './recording.ts';
import type { Inspector } from './server.ts';
import { verifyInTurns, verifyText } from './verify.ts';

/** ms after which it is told how far it is, and again. */
const PATIENCE = 2_000;
const EXIT_DIFFERS = 1;

export interface Inspected {
  readonly code: number;
  readonly text: string;
  /** The server that shows it, and goes on. */
  readonly inspector?: Inspector;
}

/**
 * @param words those behind the verb
 * @param say told meanwhile, where somebody waits: how far it is, and what has been found of what is shown
 */
export async function runInspect(
  words: readonly string[],
  say: (text: string) => void = () => {},
): Promise<Inspected> {
  try {
    const request = parseInspect(words);
    if (request === null) return { code: 0, text: INSPECT_HELP };
    const { file, port } = request;
    const recording = readRecording(file);
    if (request.verify === null) {
      const { inspector, address, verdict } = await showRecording(recording, file, port);
      void verdict.then((found) => say(verifyText(found, file)));
      return { code: 0, text: `${file} is shown at ${address}\nuntil Ctrl-C\n`, inspector };
    }
    const all = recording.parts.reduce((sum, { lines }) => sum + lines.length, 0);
    let due = performance.now() + PATIENCE;
    const verdict = await verifyInTurns(recording, (lines) => {
      if (performance.now() < due) return;
      due = performance.now() + PATIENCE;
      say(`upkeep: ${file}: ${lines} of ${all} lines are verified\n`);
    });
    const code = verdict.difference === null ? 0 : EXIT_DIFFERS;
    return { code, text: request.verify.json ? `${JSON.stringify(verdict)}\n` : verifyText(verdict, file) };
  } catch (error) {
    const text = `upkeep: ${(error as Error).message}\n`;
    if (error instanceof UsageError) return { code: EXIT_USAGE, text };
    if (error instanceof RecordingError) return { code: EXIT_CONFIGURATION, text };
    if (error instanceof ShowError) return { code: EXIT_DIFFERS, text };
    throw error;
  }
}
