// Bundles upkeep into dist/. koffi stays outside: it brings a binary for each platform.
import { readFileSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { build } from 'esbuild';

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
rmSync('dist', { recursive: true, force: true });
await build({
  entryPoints: { upkeep: 'src/main.ts' },
  outdir: 'dist',
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
  legalComments: 'none',
  chunkNames: 'chunks/[name]-[hash]',
  define: { __VERSION__: JSON.stringify(version), 'process.env.NODE_ENV': '"production"' },
  banner: {
    js: '#!/usr/bin/env node\nimport { createRequire as upkeepRequire } from "node:module"; const require = upkeepRequire(import.meta.url);',
  },
  logLevel: 'warning',
});
