import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { expect, it } from 'vitest';

// In a PID namespace of its own, whose next pid may be chosen without disturbing anybody.
const namespace = ['--pid', '--fork', '--mount-proc', '--kill-child'];
const able = spawnSync('unshare', [...namespace, 'test', '-w', '/proc/sys/kernel/ns_last_pid']).status === 0;

const program = `
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { procfsTable } from './src/process/table-procfs.ts';

const nextIs = (pid: number) => writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1));
const startAs = (pid: number) => {
  nextIs(pid);
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  if (child.pid !== pid) throw new Error('started as ' + child.pid);
  return child;
};
const end = async (child: any) => {
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exited;
};
// Everybody is past youth at the next scan: only the range of pids leads to a process that was known.
let clock = 0;
const table = procfsTable({ now: () => (clock += 5000) });
const pidMax = Number(readFileSync('/proc/sys/kernel/pid_max', 'latin1'));
const [low, kept] = [startAs(350), startAs(5000)];
const high = startAs(pidMax - 20);
nextIs(pidMax - 50);
spawnSync('true');
for (let i = 0; i < 4; i++) await table.scan();
const before = { low: table.rows.get(350)!.startTicks, high: table.rows.get(pidMax - 20)!.startTicks };
await end(low);
await end(high);
// From here on the kernel goes round by itself: every fork takes the next pid.
const heirs: Record<string, any> = {};
while (!heirs[350]) {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  if (child.pid === 350 || child.pid === pidMax - 20) heirs[child.pid] = child;
  else await end(child);
}
const { appeared, vanished } = await table.scan();
const ids = (rows: readonly any[]) => rows.map((row) => row.pid).sort((a, b) => a - b);
console.log(JSON.stringify({
  pidMax,
  appeared: ids(appeared),
  vanished: ids(vanished),
  old: vanished.every((row) => row.startTicks === (row.pid === 350 ? before.low : before.high)),
  kept: table.rows.has(5000),
}));
process.exit(0);
`;

it.skipIf(!able)(
  'sees pids that the kernel itself uses again, past the end of the circle (needs root and unshare)',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'table-reuse-'));
    try {
      const outfile = join(folder, 'program.mjs');
      buildSync({
        stdin: { contents: program, resolveDir: join(import.meta.dirname, '../..'), loader: 'ts' },
        bundle: true,
        platform: 'node',
        format: 'esm',
        outfile,
        logLevel: 'silent',
      });
      const { stdout, stderr } = spawnSync('unshare', [...namespace, process.execPath, outfile], {
        encoding: 'utf8',
      });
      expect(stderr).toBe('');
      const told = JSON.parse(stdout);
      const both = [350, told.pidMax - 20];
      expect(told).toMatchObject({ appeared: both, vanished: both, old: true, kept: true });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  60_000,
);
