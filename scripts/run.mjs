// Runs a TypeScript program of this project: node scripts/run.mjs PROGRAM.ts [ARGUMENTS]. Node 20 cannot do that by itself.
import { mkdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const [program] = process.argv.splice(2, 1);
if (program === undefined) {
  console.error('cannot run: no program is given; write node scripts/run.mjs PROGRAM.ts [ARGUMENTS]');
  process.exit(64);
}
const outdir = 'node_modules/.cache/run';
mkdirSync(outdir, { recursive: true });
// A name of its own: several may run at once.
const outfile = resolve(join(outdir, `${basename(program, '.ts')}-${process.pid}.mjs`));
await build({
  entryPoints: [program],
  outfile,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  sourcemap: 'inline',
  logLevel: 'warning',
});
process.argv[1] = outfile;
await import(pathToFileURL(outfile).href);
