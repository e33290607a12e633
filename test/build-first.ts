import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** The built program. */
    upkeep: string;
  }
}

/** Builds once, and tests a copy: a build meanwhile must not pull the program from under the tests. */
export default function setup(project: TestProject): () => void {
  execFileSync(process.execPath, ['scripts/build.mjs'], { stdio: 'inherit' });
  const cache = 'node_modules/.cache';
  mkdirSync(cache, { recursive: true });
  const copy = mkdtempSync(join(cache, 'upkeep-'));
  cpSync('dist', copy, { recursive: true });
  // Other users run it as well.
  chmodSync(copy, 0o755);
  project.provide('upkeep', join(process.cwd(), copy, 'upkeep.js'));
  return () => rmSync(copy, { recursive: true, force: true });
}
