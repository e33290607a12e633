/** Regular expressions that users have written, on texts that services have: neither may hold up the supervisor. */
import { type Context, createContext, Script } from 'node:vm';

/** Whether one of the texts matches; `too long`: it was not found out in time. */
export type Pattern = (texts: readonly string[]) => boolean | 'too long';

/** How long, ms, one test may take, and how often it is tried: other processes may have had the CPU. */
const PATIENCE = 200;
const TRIES = 3;
/** Without one of these there is nothing that a search could come back to. */
const REPEATS = /[*+?{]/;

interface Workshop {
  readonly script: Script;
  readonly context: Context & { pattern: RegExp; texts: readonly string[] };
}
/** V8 can interrupt a regular expression, and Node lets it for code in a context alone. */
let workshop: Workshop | null = null;

/** Why a pattern that takes too long has no answer. */
export const TAKES_TOO_LONG = 'takes too long to be searched for; write it with fewer of * and +';

/**
 * Compiles a pattern.
 *
 * @throws Error where it is none
 */
export function compilePattern(source: string): Pattern {
  let pattern: RegExp;
  try {
    pattern = new RegExp(source);
  } catch (error) {
    throw new Error(
      `cannot use the pattern ${source}: ${(error as Error).message}; write it as JavaScript's regular expressions are`,
    );
  }
  if (!REPEATS.test(source)) return (texts) => texts.some((text) => pattern.test(text));
  return (texts) => {
    workshop ??= {
      script: new Script('texts.some((text) => pattern.test(text))'),
      context: createContext({ pattern, texts }) as Workshop['context'],
    };
    const { script, context } = workshop;
    context.pattern = pattern;
    context.texts = texts;
    for (let tries = 0; tries < TRIES; tries++) {
      try {
        return script.runInContext(context, { timeout: PATIENCE }) as boolean;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
      }
    }
    return 'too long';
  };
}
