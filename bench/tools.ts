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
} from 'node:fs';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { quietly } from './arena.ts';

export interface Tools {
  readonly stage: string;
  readonly svc: string;
  /** The same under another name: upkeep takes over what bears a command's name. */
  readonly other: string;
  readonly respawner: string;
  readonly respawnerScript: string;
  readonly upkeep: string;
  /** scan-inside.ts, bundled. */
  readonly scan: string;
  /** What is installed for the benchmark alone. */
  readonly cache: string;
  /** A Node binary that nobody else runs, so that no memory of its text is shared. */
  readonly node: (who: string) => string;
  readonly clean: () => void;
}

export const SERVICE = 'svc';
export const OTHER = 'other';

/** @throws Error where there is no C compiler, or something does not build */
export async function makeTools(upkeep: string | null): Promise<Tools> {
  if (upkeep !== null && !existsSync(upkeep)) {
    throw new Error(`cannot measure ${upkeep}: there is no such file; --upkeep names a built upkeep.js`);
  }
  const cache = resolve('node_modules/.cache/bench');
  mkdirSync(cache, { recursive: true });
  const built = mkdtempSync(join(cache, 'built-'));
  // Services of other users than root are measured as well.
  chmodSync(built, 0o755);
  for (const program of ['stage', 'svc', 'respawner']) compile(program, built);
  copyFileSync(join(built, 'svc'), join(built, OTHER));
  copyFileSync('bench/native/respawner.mjs', join(built, 'respawner.mjs'));
  const scan = join(built, 'scan-inside.mjs');
  await build({
    entryPoints: ['bench/scan-inside.ts'],
    outfile: scan,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'warning',
  });
  return {
    scan,
    stage: join(built, 'stage'),
    svc: join(built, 'svc'),
    other: join(built, OTHER),
    respawner: join(built, 'respawner'),
    respawnerScript: join(built, 'respawner.mjs'),
    upkeep: upkeep === null ? buildUpkeep(built) : resolve(upkeep),
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

/** @throws Error where there is no C compiler, or bench/native/PROGRAM.c does not build */
export function compile(program: string, folder: string): void {
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
  return join(copy, 'upkeep.js');
}
