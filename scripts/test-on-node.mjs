// Runs the tests on another Node: npm run test:node -- VERSION [ARGUMENTS OF VITEST]. VERSION is one as npm reads it: 24, 26.1.0 …
// Its binary comes from npm's registry into .cache, beside the project's dependencies, and starts upkeep in the tests as well:
// they start it with their own process.execPath. A Node that cannot be had is an error, never a skipped run.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
const [wanted, ...args] = process.argv.slice(2);

function refuse(problem) {
  console.error(`cannot test on Node ${wanted ?? ''}: ${problem}`);
  process.exit(1);
}

if (!/^\d+(\.\d+){0,2}$/.test(wanted ?? '')) refuse('no version is given; write npm run test:node -- 24');
const source = `node-${process.platform}-${process.arch}`;
const folder = join(root, '.cache', `node-${wanted}`);
mkdirSync(folder, { recursive: true });
const install = ['install', '--no-save', '--ignore-scripts', '--no-package-lock', '--loglevel', 'error'];
const got = spawnSync('npm', [...install, '--prefix', folder, `${source}@${wanted}`], { stdio: 'inherit' });
if (got.status !== 0) refuse(`npm has no ${source}@${wanted} for us; see npm view ${source} versions`);

const node = join(folder, 'node_modules', source, 'bin', 'node');
if (!existsSync(node)) refuse(`${source}@${wanted} brought no bin/node; give another version`);
const said = spawnSync(node, ['--version'], { encoding: 'utf8' });
const version = (said.stdout ?? '').trim();
if (!`${version}.`.startsWith(`v${wanted}.`))
  refuse(`${node} says "${version}" ${said.stderr}; remove ${folder}`);

console.log(`tests on Node ${version}`);
const vitest = [
  join(root, 'node_modules', 'vitest', 'vitest.mjs'),
  'run',
  '--project',
  'unit',
  '--project',
  'process',
];
const env = {
  ...process.env,
  PATH: `${dirname(node)}${delimiter}${process.env.PATH}`,
  UPKEEP_TEST_NODE: wanted,
};
const { status, signal } = spawnSync(node, [...vitest, ...args], { cwd: root, env, stdio: 'inherit' });
if (signal !== null) console.error(`the tests on Node ${version} were ended by ${signal}`);
process.exitCode = status ?? 1;
