// Bundles upkeep into dist/: upkeep.js, which starts program.js by way of the code cache that is made here. koffi stays
// outside: it brings a binary for each platform.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
rmSync('dist', { recursive: true, force: true });
mkdirSync('dist');
const common = {
  bundle: true,
  // Node reads CommonJS in half the time, and only of that the compiled code can be kept.
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  logLevel: 'warning',
};
await build({
  ...common,
  entryPoints: ['src/main.ts'],
  outfile: 'dist/program.js',
  external: ['koffi'],
  // Under Node's own conditions rxjs is CommonJS, of which nothing can be left out.
  alias: {
    rxjs: resolve('node_modules/rxjs/dist/esm/index.js'),
    'node:module': resolve('scripts/lean/module.cjs'),
  },
  inject: ['scripts/lean/performance.js'],
  // upkeep.js compiles this text as it is.
  banner: { js: '(function (require, __filename) {' },
  footer: { js: '})' },
  define: {
    __VERSION__: JSON.stringify(version),
    'process.env.NODE_ENV': '"production"',
    'import.meta.url': '__filename',
  },
  supported: { 'dynamic-import': false },
});
await build({ ...common, entryPoints: ['scripts/upkeep.cjs'], outfile: 'dist/upkeep.js' });
writeFileSync('dist/package.json', '{"type":"commonjs"}\n');
await makeCodeCache();

/** Lets upkeep run once, for what it compiled to be kept: the code of a start, a death, a restart and a stop. */
async function makeCodeCache() {
  const socket = join(tmpdir(), `upkeep-build-${process.pid}.sock`);
  const words = [
    'run',
    '--log',
    'json',
    '--no-adopt',
    '--socket',
    socket,
    'once: exit 1',
    'stays: sleep 1000',
  ];
  const child = spawn(process.execPath, ['dist/upkeep.js', ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, UPKEEP_CODE_CACHE: resolve('dist/program.cache') },
  });
  let told = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    told += text;
    // Both have settled, and the one that ends has been started again.
    if (/"command.running"/.test(told) && /"command.launched".*"start":2/s.test(told)) child.kill('SIGTERM');
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`cannot make the code cache: upkeep ended with ${code}, saying:\n${told}`);
}
