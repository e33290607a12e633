/*
 * What a scan costs among many processes. As root, on Linux, with python3:
 *   npx esbuild bench/scan.ts --bundle --platform=node --format=esm --packages=external --outfile=dist/bench-scan.mjs
 *   node dist/bench-scan.mjs [how many processes, default 5000]
 */
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { procfsTable } from '../src/process/table-procfs.ts';

const count = Number(process.argv[2] ?? 5000);
const REPEATS = 30;
const SLEEPERS = `
import os, signal
for i in range(${count}):
    if os.fork() == 0: signal.pause()
print('ready', flush=True)
signal.pause()
`;

if (process.argv[3] === 'inside') await measure();
else {
  const self = fileURLToPath(import.meta.url);
  const args = [
    '--pid',
    '--fork',
    '--mount-proc',
    '--kill-child',
    process.execPath,
    self,
    `${count}`,
    'inside',
  ];
  const { status, error } = spawnSync('unshare', args, { stdio: 'inherit' });
  if (error) console.error(`cannot measure: ${error.message}; unshare (util-linux) and root are needed`);
  process.exitCode = status ?? 1;
}

interface Cost {
  /** ms */
  readonly cpu: number;
  readonly wall: number;
}

async function cost(work: () => Promise<unknown>): Promise<Cost> {
  const wall = performance.now();
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return { cpu: (user + system) / 1000, wall: performance.now() - wall };
}

/** The longest time, in ms, for which some work kept everybody else from running. */
async function longestBlock(work: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let last = performance.now();
  let over = false;
  const tick = () => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
    if (!over) setImmediate(tick);
  };
  setImmediate(tick);
  await work();
  over = true;
  await new Promise((resolve) => setImmediate(resolve));
  return longest;
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

function tell(what: string, costs: readonly Cost[], blocks: readonly number[] = []): void {
  const cpu = median(costs.map((one) => one.cpu)).toFixed(1);
  const least = Math.min(...costs.map((one) => one.cpu)).toFixed(1);
  const wall = median(costs.map((one) => one.wall)).toFixed(1);
  const block = blocks.length
    ? `, blocks ${median(blocks).toFixed(1)} ms, at most ${Math.max(...blocks).toFixed(1)} ms`
    : '';
  console.log(`${what}: ${cpu} ms of CPU (least ${least}), ${wall} ms${block}`);
}

async function repeat(work: () => Promise<unknown>): Promise<Cost[]> {
  const costs: Cost[] = [];
  for (let i = 0; i < REPEATS; i++) costs.push(await cost(work));
  return costs;
}

async function measure(): Promise<void> {
  const sleepers = spawn('python3', ['-c', SLEEPERS], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => sleepers.stdout.once('data', resolve));
  // So that nobody is young any more at the first scan.
  await new Promise((resolve) => setTimeout(resolve, 1500));

  const table = procfsTable();
  const first = await cost(() => table.scan());
  const fresh = procfsTable();
  tell(`first scan of ${table.rows.size}`, [first], [await longestBlock(() => fresh.scan())]);
  await new Promise((resolve) => setTimeout(resolve, 1100));
  await table.scan();

  const again = await repeat(() => table.scan());
  const blocks: number[] = [];
  for (let i = 0; i < REPEATS; i++) blocks.push(await longestBlock(() => table.scan()));
  tell(`again, ${REPEATS} times`, again, blocks);
  tell('  of which listing /proc', await repeat(async () => readdirSync('/proc', 'latin1')));

  const busy: Cost[] = [];
  for (let i = 0; i < REPEATS; i++) {
    const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
    busy.push(await cost(() => table.scan()));
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
  }
  tell('again, one birth and one death each', busy);

  const runs = 10;
  const script = `i=0; while [ $i -lt ${runs} ]; do ps -eo pid,ppid,stat,comm,args >/dev/null; i=$((i+1)); done; times`;
  const children = spawnSync('sh', ['-c', script], { encoding: 'utf8' }).stdout.trim().split('\n')[1] ?? '';
  const ms = [...children.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, m, s]) => sum + Number(m) * 6e4 + Number(s) * 1e3,
    0,
  );
  console.log(`one ps -eo pid,ppid,stat,comm,args: ${(ms / runs).toFixed(0)} ms of CPU`);
  // The namespace ends with this process, and the sleepers with it.
  process.exit(0);
}
