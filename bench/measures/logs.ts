/** What it costs to carry lines, and what happens to memory when nobody takes them. */
import { execFileSync } from 'node:child_process';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { type Arena, quietly, sleep } from '../arena.ts';
import { type Context, figure, type Measure } from '../measure.ts';
import type { Command, Options, Peer } from '../peers.ts';
import { Running } from '../running.ts';

const LINES = { quick: 200_000, full: 1_000_000 };
const SIGUSR1 = 10;
const MARK = 'the-last-line';
const PATIENCE = 60_000;
const STALL = 3_000;
/** Of a log that is a file, its end is looked at this often (ms). */
const LOOK = 2;

const writer =
  (count: number) =>
  ({ tools, fifo }: Arena): Command[] => [
    {
      name: 's0001',
      words: [tools.svc, 'lines', fifo, 's0001', `${count}`],
      pattern: ' s0001',
      daemon: null,
    },
  ];

interface Carried {
  readonly wall: number;
  readonly cpu: number;
}

/** Starts a peer whose stdout is a pipe with a small program at its other end. */
async function withReader(
  context: Context,
  peer: Peer,
  log: Options['log'],
  reader: 'drain' | 'stall',
): Promise<Running> {
  const running = await Running.start(
    context.tools,
    peer,
    (arena) => {
      const pipe = join(arena.dir, 'out');
      execFileSync('mkfifo', [pipe]);
      void arena.run([arena.tools.other, reader, arena.fifo, 'reader'], '/dev/null', pipe);
      return writer(context.quick ? LINES.quick : LINES.full)(arena);
    },
    { log, stdout: log === 'file' ? '/dev/null' : 'out' },
  );
  await running.allUp(PATIENCE);
  return running;
}

async function carry(context: Context, peer: Peer, log: Options['log']): Promise<Carried | null> {
  const running = await withReader(context, peer, log, 'drain');
  const { arena } = running;
  try {
    await sleep(500);
    const cpu = arena.cpu();
    const began = await arena.kill(arena.latest().get('s0001')!.pid, SIGUSR1);
    const read = () => arena.births.find(({ name }) => name === 'reader')?.at;
    const end = log === 'file' ? await fileEnds(running.plan.files![0]!) : await arena.heard(PATIENCE, read);
    if (end === null) return null;
    return { wall: (end - began) / 1e6, cpu: arena.cpu() - cpu };
  } finally {
    await running.close();
  }
}

/** @returns when the last line was seen at a file's end, ns */
async function fileEnds(path: string): Promise<number | null> {
  const block = Buffer.alloc(400);
  const end = performance.now() + PATIENCE;
  while (performance.now() < end) {
    const file = quietly(() => openSync(path, 'r'));
    if (file !== null) {
      const { size } = fstatSync(file);
      const got = readSync(file, block, 0, block.length, Math.max(0, size - block.length));
      closeSync(file);
      if (block.subarray(0, got).includes(MARK)) return Number(process.hrtime.bigint());
    }
    await sleep(LOOK);
  }
  return null;
}

async function stall(context: Context, peer: Peer, log: Options['log']): Promise<number> {
  const running = await withReader(context, peer, log, 'stall');
  try {
    await sleep(1_000);
    const before = running.arena.memory();
    await running.arena.kill(running.arena.latest().get('s0001')!.pid, SIGUSR1);
    await sleep(STALL);
    return running.arena.memory() - before;
  } finally {
    await running.close();
  }
}

const label = (log: Options['log']): string => (log === 'file' ? 'to a file' : log);

async function run(context: Context): Promise<void> {
  const { peers, quick, record, say } = context;
  const ways = peers.flatMap((peer) =>
    peer.logs.map((log) => ({ peer, log, walls: [] as number[], cpus: [] as number[] })),
  );
  const runs = quick ? 1 : 5;
  for (let round = 1; round <= runs; round++) {
    for (const way of ways) {
      say(`logs: ${way.peer.name} ${way.log}, run ${round} of ${runs}`);
      const carried = await carry(context, way.peer, way.log);
      if (carried === null) continue;
      way.walls.push(carried.wall);
      way.cpus.push(carried.cpu);
    }
  }
  for (const { peer, log, walls, cpus } of ways) {
    const note = walls.length === 0 ? `the last line did not come within ${PATIENCE / 1e3} s` : null;
    record(figure('logs', `${label(log)}: time`, peer, 'ms', walls, note));
    record(figure('logs', `${label(log)}: CPU`, peer, 'ms', cpus, note));
  }
  for (const { peer, log } of ways.filter(({ log }) => log !== 'file')) {
    say(`logs: ${peer.name} ${log}, nobody reads`);
    record(
      figure('logs', `${label(log)}: memory while the reader stalls`, peer, 'MB more', [
        await stall(context, peer, log),
      ]),
    );
  }
}

export const logs: Measure = {
  name: 'logs',
  title: 'Lines of a service',
  how: `One service writes ${LINES.full / 1e6} million lines (a fifth of that with --quick) of 100 bytes; from the order to write until the last line has been read from the supervisor’s stdout, or stands in its log file (looked at every ${LOOK} ms). CPU is the supervisor’s, with its loggers. Then nobody reads: how much PSS has grown ${STALL / 1e3} s later.`,
  tables: [{ measure: 'logs', title: 'Lines of a service' }],
  run,
};
