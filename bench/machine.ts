/** What it is measured on. */
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { quietly } from './arena.ts';
import type { Machine } from './report.ts';

export function machine(): Machine {
  const system = quietly(() => /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1]);
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memory: Math.round(totalmem() / 1e9),
    kernel: release(),
    system: system ?? 'unknown system',
  };
}
