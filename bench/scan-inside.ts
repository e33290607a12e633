/** upkeep's own look at the process table, measured from within: run by measures/scan.ts in a namespace that holds a crowd. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { procfsTable } from '../src/process/table-procfs.ts';

const repeats = Number(process.argv[2]);
/** A process this young is read again at the next look (ms). */
const YOUNG = 1_500;

async function cost(work: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

async function repeat(work: () => unknown): Promise<number[]> {
  const costs: number[] = [];
  for (let i = 0; i < repeats; i++) costs.push(await cost(work));
  return costs;
}

/** What a plain program does: list, then read two files of everybody. */
function readAll(): void {
  for (const pid of readdirSync('/proc', 'latin1')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      readFileSync(`/proc/${pid}/stat`, 'latin1');
      readFileSync(`/proc/${pid}/cmdline`, 'latin1');
    } catch {
      // It has gone meanwhile.
    }
  }
}

await sleep(YOUNG);
const table = procfsTable();
const first = await cost(() => table.scan());
await sleep(YOUNG);
await table.scan();
const again = await repeat(() => table.scan());
const changed: number[] = [];
for (let i = 0; i < repeats; i++) {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  changed.push(await cost(() => table.scan()));
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
}
const listing = await repeat(() => readdirSync('/proc', 'latin1'));
const plain = await repeat(readAll);
writeSync(
  1,
  JSON.stringify({
    'upkeep, first look': [first],
    'upkeep, nothing has changed': again,
    'upkeep, one birth and one death': changed,
    'only listing /proc': listing,
    'plain read of stat and cmdline in Node': plain,
  }),
);
process.exit(0);
