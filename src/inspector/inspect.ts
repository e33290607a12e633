/** `upkeep inspect`: a recording, checked. A bundle of its own. */
import { UsageError } from '../policy/usage-error.ts';
import { INSPECT_HELP, parseInspect } from './arguments.ts';
import { RecordingError, readRecording } from './recording.ts';
import { verify, verifyText } from './verify.ts';

const EXIT_DIFFERS = 1;
const EXIT_USAGE = 64;
const EXIT_FILE = 78;

/** @param words those behind the verb */
export function runInspect(words: readonly string[]): { readonly code: number; readonly text: string } {
  try {
    const request = parseInspect(words);
    if (request === null) return { code: 0, text: INSPECT_HELP };
    const verdict = verify(readRecording(request.file));
    const code = verdict.difference === null ? 0 : EXIT_DIFFERS;
    return { code, text: request.json ? `${JSON.stringify(verdict)}\n` : verifyText(verdict, request.file) };
  } catch (error) {
    if (error instanceof UsageError) return { code: EXIT_USAGE, text: `upkeep: ${error.message}\n` };
    if (error instanceof RecordingError) return { code: EXIT_FILE, text: `upkeep: ${error.message}\n` };
    throw error;
  }
}
