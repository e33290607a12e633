// Bundles upkeep into dist/, or into the folder that is given: upkeep.js, which starts program.js by way of the code cache that
// is made here. koffi stays outside: it brings a binary for each platform.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { drawingsForPage } from './chart.mjs';
import { shippedPackages, thirdPartyPage } from './shipped.mjs';

const outdir = process.argv[2] ?? 'dist';
const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
rmSync(outdir, { recursive: true, force: true });
mkdirSync(outdir, { recursive: true });
const common = {
  bundle: true,
  // Node reads CommonJS in half the time, and only of that the compiled code can be kept.
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  minifySyntax: true,
  minifyWhitespace: true,
  // All notices are in THIRD-PARTY.md.
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
};
/** Bundles of their own, which are loaded when they are asked for: what asks a running upkeep, what takes a policy file, what
 * writes other files of it, what hears syslog messages, what answers orchestrators, and the inspector. */
const apart = {
  name: 'apart',
  setup({ onResolve }) {
    onResolve({ filter: /\/policy\/reader\.ts$/ }, () => ({ path: './policy.js', external: true }));
    // The server's routes, and the verbs that ask for them.
    onResolve({ filter: /\/routes\.ts$/ }, () => ({ path: './control.js', external: true }));
    onResolve({ filter: /^\.\/ask\.ts$/ }, () => ({ path: './client.js', external: true }));
    onResolve({ filter: /\/describe\/completion\.ts$/ }, () => ({ path: './completion.js', external: true }));
    onResolve({ filter: /\/export\/export\.ts$/ }, () => ({ path: './export.js', external: true }));
    onResolve({ filter: /^\.\/syslog\.ts$/ }, () => ({ path: './syslog.js', external: true }));
    onResolve({ filter: /^\.\/http\.ts$/ }, () => ({ path: './http.js', external: true }));
    onResolve({ filter: /^\.\/inspect\.ts$/ }, () => ({ path: './inspector.js', external: true }));
    onResolve({ filter: /^\.\/inspect-live\.ts$/ }, () => ({ path: './inspector-live.js', external: true }));
    onResolve({ filter: /\/inspector\/record\.ts$/ }, () => ({ path: './record.js', external: true }));
    onResolve({ filter: /\/inspector\/inspect\.ts$/ }, () => ({ path: './inspect.js', external: true }));
    onResolve({ filter: /\/inspector\/simulate\.ts$/ }, () => ({ path: './simulate.js', external: true }));
  },
};
/**
 * XState copies a machine's context by Object.assign, of which V8 makes a hash table when there are some twenty properties: to copy that
 * takes ten times as long, and each restart copies it a dozen times. A spread is the same, and stays what it was.
 */
const keepsShape = {
  name: 'keeps-shape',
  setup({ onLoad }) {
    onLoad({ filter: /\/xstate\/dist\/assign-\w+(\.cjs|\.esm)?\.js$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      const contents = text.replace(
        'Object.assign({}, snapshot.context, partialUpdate)',
        '{ ...snapshot.context, ...partialUpdate }',
      );
      if (contents === text) {
        throw new Error(
          `cannot build: ${path} copies contexts in another way; measure it, and mend or delete keepsShape`,
        );
      }
      return { contents };
    });
  },
};
// The one for Node asks the environment at every token whether it is to tell of them.
const yaml = resolve('node_modules/yaml/browser/index.js');
const policy = await build({
  ...common,
  entryPoints: ['src/policy/reader.ts'],
  outfile: join(outdir, 'policy.js'),
  alias: { yaml },
});
const exporter = await build({
  ...common,
  entryPoints: ['src/export/export.ts'],
  outfile: join(outdir, 'export.js'),
  alias: { yaml },
});
const completion = await build({
  ...common,
  entryPoints: ['src/describe/completion.ts'],
  outfile: join(outdir, 'completion.js'),
});
const syslog = await build({
  ...common,
  entryPoints: ['src/syslog.ts'],
  outfile: join(outdir, 'syslog.js'),
});
const http = await build({
  ...common,
  entryPoints: ['src/http.ts'],
  outfile: join(outdir, 'http.js'),
  alias: { 'prom-client': resolve('scripts/lean/prom-client.cjs') },
});
/** What serves the inspector's page. */
const serving = {
  ...common,
  plugins: [apart],
  banner: { js: 'const __fileUrl = require("node:url").pathToFileURL(__filename).href;' },
  define: {
    'import.meta.url': '__fileUrl',
    'process.env.NODE_ENV': '"production"',
    // ws would look for these packages wherever it is installed.
    'process.env.WS_NO_BUFFER_UTIL': '"1"',
    'process.env.WS_NO_UTF_8_VALIDATE': '"1"',
  },
};
const inspector = await build({
  ...serving,
  entryPoints: ['src/inspect.ts'],
  outfile: join(outdir, 'inspector.js'),
});
const inspectorLive = await build({
  ...serving,
  entryPoints: ['src/inspect-live.ts'],
  outfile: join(outdir, 'inspector-live.js'),
});
const control = await build({
  ...common,
  entryPoints: ['src/control/routes.ts'],
  outfile: join(outdir, 'control.js'),
});
const client = await build({
  ...common,
  entryPoints: ['src/ask.ts'],
  outfile: join(outdir, 'client.js'),
});
const record = await build({
  ...common,
  entryPoints: ['src/inspector/record.ts'],
  outfile: join(outdir, 'record.js'),
});
/** Machines that run on paper. */
const onPaper = {
  ...common,
  alias: { yaml, rxjs: resolve('node_modules/rxjs/dist/esm/index.js') },
  define: { 'process.env.NODE_ENV': '"production"' },
};
const inspect = await build({
  ...onPaper,
  ...serving,
  plugins: [],
  entryPoints: ['src/inspector/inspect.ts'],
  outfile: join(outdir, 'inspect.js'),
});
const simulate = await build({
  ...onPaper,
  entryPoints: ['src/inspector/simulate.ts'],
  outfile: join(outdir, 'simulate.js'),
});
const program = await build({
  ...common,
  entryPoints: ['src/main.ts'],
  outfile: join(outdir, 'program.js'),
  external: ['koffi'],
  plugins: [apart, keepsShape],
  // Under Node's own conditions rxjs is CommonJS, of which nothing can be left out.
  alias: {
    rxjs: resolve('node_modules/rxjs/dist/esm/index.js'),
    'node:module': resolve('scripts/lean/module.cjs'),
    'node:process': resolve('scripts/lean/process.cjs'),
    figures: resolve('scripts/lean/words.js'),
    'human-signals': resolve('scripts/lean/words.js'),
    yoctocolors: resolve('scripts/lean/words.js'),
  },
  inject: ['scripts/lean/performance.js'],
  // upkeep.js compiles this text as it is.
  banner: {
    js: '(function (require, __filename) { const __fileUrl = "file://" + encodeURI(__filename).replace(/[?#]/g, encodeURIComponent);',
  },
  footer: { js: '})' },
  define: {
    __VERSION__: JSON.stringify(version),
    'process.env.NODE_ENV': '"production"',
    'import.meta.url': '__fileUrl',
  },
  supported: { 'dynamic-import': false },
});
// What the inspector serves to browsers.
const page = await build({
  bundle: true,
  entryPoints: ['src/inspector/page/main.ts'],
  outfile: join(outdir, 'inspector', 'page.js'),
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  minify: true,
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
});
await build({
  entryPoints: ['index.html', 'page.css', 'icon.svg'].map((name) => `src/inspector/page/${name}`),
  outdir: join(outdir, 'inspector'),
  loader: { '.html': 'copy', '.svg': 'copy' },
  minify: true,
});
writeFileSync(join(outdir, 'inspector', 'charts.json'), JSON.stringify(await drawingsForPage()));
const { CONTROL_VERBS } = await moduleOf('src/policy/options.ts');
const starter = await build({
  ...common,
  entryPoints: ['scripts/upkeep.cjs'],
  define: { __ASKING__: JSON.stringify(CONTROL_VERBS) },
  outfile: join(outdir, 'upkeep.js'),
});
writeFileSync(join(outdir, 'package.json'), '{"type":"commonjs"}\n');
/** What of others is in the bundle and beside it. */
export const shipped = shippedPackages(
  program.metafile,
  policy.metafile,
  exporter.metafile,
  completion.metafile,
  syslog.metafile,
  http.metafile,
  inspector.metafile,
  inspectorLive.metafile,
  control.metafile,
  client.metafile,
  page.metafile,
  record.metafile,
  inspect.metafile,
  simulate.metafile,
  starter.metafile,
);
writeFileSync(join(outdir, 'THIRD-PARTY.md'), thirdPartyPage(shipped));
const { policyJsonSchema } = await moduleOf('src/policy/schema.ts');
// What editors check a policy file by, and complete it from.
writeFileSync(join(outdir, 'upkeep.schema.json'), `${JSON.stringify(policyJsonSchema(), null, 2)}\n`);
const { manualPage } = await moduleOf('src/describe/man.ts');
writeFileSync(join(outdir, 'upkeep.1'), manualPage(version));
await makeCodeCache();

/** What a source file exports. */
async function moduleOf(source) {
  const outfile = resolve(outdir, 'module.mjs');
  await build({ entryPoints: [source], bundle: true, format: 'esm', platform: 'node', outfile });
  const exported = await import(`${pathToFileURL(outfile).href}?${source}`);
  rmSync(outfile);
  return exported;
}

/** Lets upkeep run once, for what it compiled to be kept: the code of a start, of a death in the foreground and one in the
 * background, of a restart and of a stop; and of a look at it. */
async function makeCodeCache() {
  const socket = join(tmpdir(), `upkeep-build-${process.pid}.sock`);
  const commands = ['once: exit 1', 'stays: sleep 1000', 'leaves: sleep 1000 & exit 0'];
  const child = runFor('program', ['run', '--log', 'json', '--no-adopt', '--socket', socket, ...commands]);
  process.once('exit', () => child.kill('SIGKILL'));
  let told = '';
  const awaited = new Set(['once', 'stays', 'leaves']);
  const hear = ({ event, command, leader, start }) => {
    if (event === 'command.running' && awaited.has(command)) kill(leader.pid);
    if (event !== 'command.launched' || start !== 2) return;
    awaited.delete(command);
    if (awaited.size > 0) return;
    const asking = runFor('client', ['status', '--socket', socket]);
    asking.stdout.resume();
    asking.once('close', () => child.kill('SIGTERM'));
  };
  createInterface({ input: child.stdout }).on('line', (line) => {
    told += `${line}\n`;
    hear(JSON.parse(line));
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`cannot make the code cache: upkeep ended with ${code}, saying:\n${told}`);
}

/** Upkeep, which keeps at its end what it has compiled of that bundle. */
function runFor(bundle, words) {
  return spawn(process.execPath, [join(outdir, 'upkeep.js'), ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, UPKEEP_CODE_CACHE: resolve(outdir, `${bundle}.cache`) },
    // Where it does not get that far, the build fails instead of waiting.
    timeout: 60_000,
  });
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
