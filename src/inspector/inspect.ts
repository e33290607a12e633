/** `upkeep inspect`: a recording, shown or checked. A bundle of its own. */
import { UsageError } from '../policy/usage-error.ts';
import { INSPECT_HELP, parseInspect } from './arguments.ts';
import { ShowError, showRecording } from './player.ts';
import { RecordingError, readRecording } from './recording.ts';
import type { Inspector } from './server.ts';
import { verify, verifyText } from './verify.ts';

const EXIT_DIFFERS = 1;
const EXIT_USAGE = 64;
const EXIT_FILE = 78;

export interface Inspected {
  readonly code: number;
  readonly text: string;
  /** The server that shows it, and goes on. */
  readonly inspector?: Inspector;
}

/** @param words those behind the verb */
export async function runInspect(words: readonly string[]): Promise<Inspected> {
  try {
    const request = parseInspect(words);
    if (request === null) return { code: 0, text: INSPECT_HELP };
    const { file, port } = request;
    const recording = readRecording(file);
    if (request.verify === null) {
      const { inspector, address } = await showRecording(recording, file, port);
      return { code: 0, text: `${file} is shown at ${address}\nuntil Ctrl-C\n`, inspector };
    }
    const verdict = verify(recording);
    const code = verdict.difference === null ? 0 : EXIT_DIFFERS;
    return { code, text: request.verify.json ? `${JSON.stringify(verdict)}\n` : verifyText(verdict, file) };
  } catch (error) {
    const text = `upkeep: ${(error as Error).message}\n`;
    if (error instanceof UsageError) return { code: EXIT_USAGE, text };
    if (error instanceof RecordingError) return { code: EXIT_FILE, text };
    if (error instanceof ShowError) return { code: EXIT_DIFFERS, text };
    throw error;
  }
}
