// What `npm start` runs: builds upkeep where that is needed, then runs it: on the commands given (`npm start -- "COMMAND"…`),
// else on two small servers that are there to be killed.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const bundle = join(root, 'dist', 'upkeep.js');

/** When the newest of these files, or of the files below these folders, was changed: ms since the epoch. */
function newest(paths) {
  const times = paths.filter(existsSync).map((path) => {
    const stat = statSync(path);
    return stat.isDirectory() ? newest(readdirSync(path).map((entry) => join(path, entry))) : stat.mtimeMs;
  });
  return Math.max(0, ...times);
}

function build() {
  const sources = ['src', 'machines', 'scripts', 'package-lock.json'].map((path) => join(root, path));
  if (existsSync(bundle) && statSync(bundle).mtimeMs >= newest(sources)) return;
  if (!existsSync(join(root, 'node_modules'))) {
    console.error('cannot build upkeep: its dependencies are not installed; run `npm ci` first');
    process.exit(1);
  }
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

function demonstration() {
  const quoted = (path) => `'${path.replaceAll("'", "'\\''")}'`;
  const server = (file) => `${quoted(process.execPath)} ${quoted(join(root, 'examples', 'demo', file))}`;
  console.log(
    'Two servers are kept running: `web` in the foreground, `daemon` puts itself in the background.',
  );
  console.log(
    'Kill one from another terminal and see it come back; the pids are below. Ctrl-C ends all of it.\n',
  );
  return [`web: ${server('web.mjs')}`, `daemon: ${server('daemon.mjs')}`];
}

build();
const given = process.argv.slice(2);
// In a session of its own, so that a signal reaches upkeep exactly once: by the hand of this process. A terminal's Ctrl-C
// goes to everybody in the foreground, and npm passes it on a second time, which upkeep would take for "kill now".
const upkeep = spawn(process.execPath, [bundle, 'run', ...(given.length > 0 ? given : demonstration())], {
  stdio: 'inherit',
  detached: true,
});

const sameKeypress = 300; // ms: the terminal's copy and npm's
let passedOn = Number.NEGATIVE_INFINITY;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (performance.now() - passedOn < sameKeypress) return;
    passedOn = performance.now();
    // The terminal was closed: for upkeep SIGHUP would mean something else.
    upkeep.kill(signal === 'SIGHUP' ? 'SIGTERM' : signal);
  });
}

upkeep.on('error', (error) => {
  console.error(`cannot start upkeep: ${error.message}`);
  process.exit(1);
});
upkeep.on('exit', (code, signal) => {
  if (signal === null) process.exit(code);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
