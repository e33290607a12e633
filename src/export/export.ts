/** `upkeep export`: a policy as the file of an engine that people outgrow one container into. A bundle of its own. */
import type { Policy } from '../policy/spec.ts';
import { UsageError } from '../policy/usage-error.ts';
import { type Engine, EXPORT_HELP, parseExport } from './arguments.ts';
import { printObjects } from './kubernetes.ts';
import { printServices } from './services.ts';

/** What is printed, what was wrong in the words, or what is wrong in the policy. */
export type Exported = { readonly text: string } | { readonly misuse: string } | { readonly error: string };

/**
 * @param words those behind the verb
 * @param read the policy of a file, or what is wrong with it
 */
export function runExport(
  words: readonly string[],
  read: (file: string) => { readonly policy: Policy } | { readonly error: string },
): Exported {
  try {
    const request = parseExport(words);
    if (request === null) return { text: EXPORT_HELP };
    const found = read(request.file);
    if ('error' in found) return { error: `${found.error}\n` };
    return { text: exportPolicy(found.policy, request.file, request.image, request.engine) };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return { misuse: `upkeep: ${error.message}\n` };
  }
}

/**
 * One service, Deployment, Job or CronJob for each command, as YAML. What the engine can't do is said in comments, where it is
 * missing.
 *
 * @param source the policy file's name, for the comments
 * @param image null: a name that stands for it, and a comment
 */
export function exportPolicy(policy: Policy, source: string, image: string | null, engine: Engine): string {
  return engine === 'kubernetes'
    ? printObjects(policy, source, image)
    : printServices(policy, source, image, engine);
}
