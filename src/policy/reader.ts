/**
 * All that takes a policy file: a bundle of its own, which is loaded when there is one. Whatever goes wrong comes back as text: an
 * error's class is not the same on both sides.
 */
import { readFileSync } from 'node:fs';
import { createExtras } from '../extras.ts';
import { checkJson, checkReport, policyWarnings } from './check.ts';
import { diffPolicies } from './diff.ts';
import { loadPolicy } from './file.ts';
import { mergeSources } from './merge.ts';
import { checkNames, type RunOptions, type Sources } from './options.ts';
import { PolicyError } from './problems.ts';
import { loadProcfile } from './procfile.ts';
import { nextRun } from './schedule.ts';
import type { Policy } from './spec.ts';
import { UsageError } from './usage-error.ts';

export type Read =
  | { readonly policy: Policy; readonly warnings: readonly string[] }
  | { readonly error: string };

/** Reads what upkeep was given, or says what is wrong with it. */
export function readSources(sources: Sources, options: RunOptions, env: NodeJS.ProcessEnv): Read {
  return guarded(() => {
    const surroundings = { env, readFile };
    const procfile = sources.procfile === null ? [] : loadProcfile(sources.procfile, surroundings);
    const othersNamed = sources.commands.length + procfile.length > 0;
    const policy =
      sources.policy === null ? null : loadPolicy(sources.policy, { ...surroundings, othersNamed });
    const merged = mergeSources(sources.commands, procfile, policy);
    checkNames(options, merged.commands);
    return { policy: merged, warnings: policyWarnings(merged, options.grace) };
  });
}

/** What `upkeep check` says of a file. */
export function checkFile(
  file: string,
  json: boolean,
  env: NodeJS.ProcessEnv,
): { readonly ok: boolean; readonly text: string } {
  try {
    const policy = loadPolicy(file, { env, readFile });
    const warnings = policyWarnings(policy);
    return { ok: true, text: json ? checkJson(policy, warnings) : checkReport(policy, warnings) };
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    const text = json
      ? `${JSON.stringify({ version: 1, ok: false, problems: error.problems }, null, 2)}\n`
      : `${error.message}\n`;
    return { ok: false, text };
  }
}

export { createExtras, diffPolicies, nextRun };

const readFile = (path: string): Uint8Array => readFileSync(path);

function guarded<T>(read: () => T): T | { readonly error: string } {
  try {
    return read();
  } catch (error) {
    if (error instanceof PolicyError || error instanceof UsageError) return { error: error.message };
    throw error;
  }
}
