/** Who is measured, and how each is started and stopped: as its own documentation says. */
import { execFileSync } from 'node:child_process';

import { join } from 'node:path';
import { type Arena, quietly } from './arena.ts';
import type { Tools } from './tools.ts';

export interface Command {
  readonly name: string;
  /** No word holds a space or a character that a shell or a configuration would read. */
  readonly words: readonly string[];
  /** Puts itself into the background, and writes its pid into this file. */
  readonly daemon: { readonly pidFile: string } | null;
}

export interface Options {
  /** Where services' lines go. `none`: thrown away, or whatever costs least. */
  readonly log: 'none' | 'plain' | 'json' | 'raw' | 'file';
  /** Between two looks, for who looks; null: as it comes. */
  readonly everySecond: boolean;
}

/** `signal`: to the main process. `run`: a program beside it. `alone`: wait until all services are gone. */
export type Step =
  | { readonly signal: number }
  | { readonly run: readonly string[] }
  | { readonly wait: 'alone' };

export interface Plan {
  readonly words: readonly string[];
  readonly stop: readonly Step[];
  /** Files that hold what the services write, with `log: file`. */
  readonly files?: readonly string[];
}

export interface Peer {
  readonly name: string;
  /** A yardstick, no supervisor that anybody would use. */
  readonly floor: boolean;
  readonly install: string;
  readonly logs: readonly Options['log'][];
  /** It stops what it has started. */
  readonly stops: boolean;
  /** It keeps commands that put themselves into the background. */
  readonly daemons: boolean;
  /** Deaths are found within this many ms, at worst. */
  readonly patience: number;
  /** @returns null where it is not installed */
  readonly version: (tools: Tools) => string | null;
  /** Writes its configuration into the arena's folder. */
  readonly plan: (arena: Arena, commands: readonly Command[], options: Options) => Plan;
}

const SIGTERM = 15;
const TERM: readonly Step[] = [{ signal: SIGTERM }];

const output = (file: string, ...args: string[]): string | null =>
  quietly(() => execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }));
const line = ({ words }: Command): string => words.join(' ');

const upkeep: Peer = {
  name: 'upkeep',
  floor: false,
  install: '',
  logs: ['plain', 'json', 'raw'],
  stops: true,
  daemons: true,
  patience: 20_000,
  version: ({ upkeep, node }) => output(node('upkeep'), upkeep, '--version')?.trim().split(' ')[1] ?? null,
  plan: ({ tools, dir }, commands, { log, everySecond }) => ({
    words: [
      ...[tools.node('upkeep'), tools.upkeep, 'run', '--socket', join(dir, 'sock')],
      ...(log === 'json' || log === 'raw' ? ['--log', log] : []),
      ...(everySecond ? ['--interval', '1s'] : []),
      ...commands.map((command) => `${command.name}: ${line(command)}`),
    ],
    stop: TERM,
  }),
};

const node: Peer = {
  name: 'bare Node',
  floor: true,
  install: '',
  logs: ['plain'],
  stops: true,
  daemons: false,
  patience: 5_000,
  version: () => process.version.slice(1),
  plan: ({ tools }, commands, { log }) => ({
    words: [
      ...(log === 'plain' ? ['env', 'BENCH_PASS=1'] : []),
      ...[tools.node('bare'), tools.respawnerScript, ...commands.map(line)],
    ],
    stop: TERM,
  }),
};

const c: Peer = {
  name: 'C floor',
  floor: true,
  install: '',
  logs: ['raw'],
  stops: true,
  daemons: false,
  patience: 5_000,
  version: () => output('gcc', '-dumpfullversion')?.trim() ?? null,
  plan: ({ tools }, commands) => ({ words: [tools.respawner, ...commands.map(line)], stop: TERM }),
};

export const PEERS: readonly Peer[] = [upkeep, node, c];
