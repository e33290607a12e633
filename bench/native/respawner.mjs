// The yardstick: what a person would write in Node to keep commands running. respawner.mjs COMMAND…, each split at its spaces.
// With BENCH_PASS=1 it passes on what they write.
import { spawn } from 'node:child_process';

const running = new Map();
let ending = false;

function start(command) {
  const [file, ...args] = command.split(' ');
  const child = spawn(file, args, {
    stdio: process.env.BENCH_PASS ? ['ignore', 'pipe', 'inherit'] : 'ignore',
  });
  running.set(child, command);
  child.stdout?.pipe(process.stdout, { end: false });
  child.on('exit', () => {
    running.delete(child);
    if (!ending) start(command);
    else if (running.size === 0) process.exit(0);
  });
}

process.on('SIGTERM', () => {
  ending = true;
  for (const child of running.keys()) child.kill('SIGTERM');
});
for (const command of process.argv.slice(2)) start(command);
