// Bundles upkeep into dist/. koffi stays outside: it brings a binary for each platform.
import { readFileSync, rmSync } from 'node:fs';
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
