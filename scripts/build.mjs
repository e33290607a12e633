// Bundles upkeep into dist/, or into the folder that is given. koffi stays outside: it brings a binary for each platform.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { shippedPackages, thirdPartyPage } from './shipped.mjs';

const outdir = process.argv[2] ?? 'dist';
const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
rmSync(outdir, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: { upkeep: 'src/main.ts' },
  outdir,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external: ['koffi'],
  // Under Node's own conditions rxjs is CommonJS, of which nothing can be left out.
  alias: { rxjs: resolve('node_modules/rxjs/dist/esm/index.js') },
  minifySyntax: true,
  minifyWhitespace: true,
  // All notices are in THIRD-PARTY.md.
  legalComments: 'none',
  metafile: true,
  chunkNames: 'chunks/[name]-[hash]',
  define: { __VERSION__: JSON.stringify(version), 'process.env.NODE_ENV': '"production"' },
  banner: {
    js: '#!/usr/bin/env node\nimport { createRequire as upkeepRequire } from "node:module"; const require = upkeepRequire(import.meta.url);',
  },
  logLevel: 'warning',
});
/** What of others is in the bundle and beside it. */
export const shipped = shippedPackages(metafile);
writeFileSync(join(outdir, 'THIRD-PARTY.md'), thirdPartyPage(shipped));
