/** What is printed, and that it could not be. */
import { writeSync } from 'node:fs';
import { EXIT_INTERNAL, EXIT_UNWRITABLE } from './policy/exit-codes.ts';

/** What was to be shown could not be written. Somebody who reads no more of it, as `head`, is well served. */
let isIncomplete = false;

/** @returns false: nobody reads it, or it can't be written */
export function write(fd: number, text: string): boolean {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== 'EAGAIN') {
        if (code !== 'EPIPE' && fd === 1 && !isIncomplete) {
          isIncomplete = true;
          write(2, `upkeep: cannot write what is shown: ${message}; what is there is not all of it\n`);
        }
        return false;
      }
      // A pipe that is full, and that somebody has made non-blocking.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
  return true;
}

/** Prints what there is to say. @returns the code to exit with */
export function leave(code: number, text: string, fd = 2): number {
  write(fd, text);
  return code;
}

/** Goes on to the end, and exits with what it comes to. A mistake of ours is told, and what could not be printed counts.
 * @returns that code */
export async function conclude(program: Promise<number>): Promise<number> {
  let code: number;
  try {
    code = await program;
  } catch (error) {
    code = leave(EXIT_INTERNAL, `upkeep: cannot go on: ${(error as Error)?.stack ?? error}\n`);
  }
  if (isIncomplete) code = EXIT_UNWRITABLE;
  process.exitCode = code;
  return code;
}
