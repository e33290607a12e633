/** What is built before anything is measured: the small C programs, a fresh upkeep, and a copy of Node for each who runs on it. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { quietly } from './arena.ts';

export interface Tools {
  readonly stage: string;
  readonly svc: string;
  readonly respawner: string;
  readonly respawnerScript: string;
  readonly upkeep: string;
  /** The root of the project. */
  readonly root: string;
  /** What is installed for the benchmark alone. */
  readonly cache: string;
  /** A Node binary that nobody else runs, so that no memory of its text is shared. */
  readonly node: (who: string) => string;
  readonly clean: () => void;
}

/** @throws Error where there is no C compiler, or something does not build */
export function makeTools(upkeep: string | null): Tools {
  const root = process.cwd();
  const cache = resolve('node_modules/.cache/bench');
  mkdirSync(cache, { recursive: true });
  const built = mkdtempSync(join(cache, 'built-'));
  // Services of other users than root are measured as well.
  chmodSync(built, 0o755);
  for (const program of ['stage', 'svc', 'respawner']) compile(program, built);
  copyFileSync('bench/native/respawner.mjs', join(built, 'respawner.mjs'));
  return {
    stage: join(built, 'stage'),
    svc: join(built, 'svc'),
    respawner: join(built, 'respawner'),
    respawnerScript: join(built, 'respawner.mjs'),
    upkeep: upkeep === null ? buildUpkeep(built) : resolve(upkeep),
    root,
    cache,
    node(who) {
      const copy = join(cache, `${process.version}-${who}`, 'node');
      if (!existsSync(copy)) {
        mkdirSync(join(copy, '..'), { recursive: true });
        copyFileSync(realpathSync(process.execPath), copy);
      }
      return copy;
    },
    clean: () => rmSync(built, { recursive: true, force: true }),
  };
}

function compile(program: string, folder: string): void {
  try {
    execFileSync('gcc', ['-O2', '-static', '-o', join(folder, program), `bench/native/${program}.c`], {
      stdio: 'pipe',
    });
  } catch (error) {
    const why =
      quietly(() => execFileSync('gcc', ['--version'], { stdio: 'pipe' })) === null
        ? 'gcc is missing'
        : `${error}`;
    throw new Error(`cannot build bench/native/${program}.c: ${why}; apt-get install gcc libc6-dev`);
  }
}

/** A build of its own: what is in dist/ may change meanwhile. It stays below the project, where koffi is found. */
function buildUpkeep(folder: string): string {
  execFileSync(process.execPath, ['scripts/build.mjs'], { stdio: 'inherit' });
  const copy = join(folder, 'upkeep');
  cpSync('dist', copy, { recursive: true });
  writeFileSync(join(copy, 'package.json'), '{"type":"module"}');
  return join(copy, 'upkeep.js');
}
