/** What a look at the process table costs, with many others in it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Arena, sleep } from '../arena.ts';
import { type Context, figure, type Measure } from '../measure.ts';
import { Running, services } from '../running.ts';

const PATIENCE = 60_000;
const WINDOW = { quick: 5_000, full: 10_000 };
/** Who looks takes the crowd for news at first. */
const SETTLE = 3_000;
/** Peers that look at the table, and can be told to do so every second. */
const LOOKERS = ['upkeep', 'monit'];

/** What bench/scan-inside.ts prints: ms of CPU of each look, by what was done. */
type Inside = Readonly<Record<string, readonly number[]>>;

async function crowdIn(arena: Arena, count: number): Promise<void> {
  await arena.run([arena.tools.other, 'crowd', arena.fifo, 'crowd', `${count}`]);
  await arena.heard(PATIENCE, () => arena.latest().get('crowd'));
  while (arena.processes().length < count) await sleep(50);
}

async function inside({ tools, record, quick }: Context, count: number): Promise<void> {
  const arena = await Arena.open(tools);
  try {
    await crowdIn(arena, count);
    const out = join(arena.dir, 'figures');
    const { pid } = await arena.run([tools.node('upkeep'), tools.scan, quick ? '10' : '30'], out);
    const exit = await arena.exited(pid, PATIENCE);
    const text = readFileSync(out, 'utf8');
    if (exit?.status !== 0) throw new Error(`cannot measure a scan of ${count}: ${text}`);
    for (const [what, values] of Object.entries(JSON.parse(text) as Inside)) {
      record(figure('scan', `${count}`, what, 'ms CPU', values));
    }
  } finally {
    await arena.close();
  }
}

async function perLook({ tools, peers, record, quick }: Context, count: number): Promise<void> {
  for (const peer of peers.filter(({ name }) => LOOKERS.includes(name))) {
    const running = await Running.start(tools, peer, services(1), { everySecond: true });
    const { arena } = running;
    try {
      await running.allUp(PATIENCE);
      await crowdIn(arena, count);
      await sleep(SETTLE);
      const before = { cpu: arena.cpu(), at: performance.now() };
      await sleep(quick ? WINDOW.quick : WINDOW.full);
      const looks = (performance.now() - before.at) / 1_000;
      record(
        figure('scan', `${count}`, `${peer.name}, all of a look`, 'ms CPU', [
          (arena.cpu() - before.cpu) / looks,
        ]),
      );
    } finally {
      await running.close();
    }
  }
}

/** CFEngine looks by a program of its own, and so does `ps`: what that takes is known when it has ended. */
async function perProgram(context: Context, count: number): Promise<void> {
  const { tools, peers, record, quick } = context;
  const cfengine = peers.find(({ name }) => name === 'CFEngine');
  const node = peers.find(({ name }) => name === 'bare Node');
  const running = await Running.start(tools, cfengine ?? node ?? peers[0]!, services(1));
  const { arena } = running;
  try {
    await running.allUp(PATIENCE);
    await crowdIn(arena, count);
    const programs: [string, string[]][] = [
      ['ps -eo pid,ppid,stat,comm,args', ['ps', '-eo', 'pid,ppid,stat,comm,args']],
    ];
    if (cfengine !== undefined) programs.push(['CFEngine, one cf-agent', ['/usr/bin/cf-agent', '-K']]);
    for (const [what, words] of programs) {
      const cpus: number[] = [];
      for (let i = 0; i < (quick ? 2 : 5); i++) {
        const { pid } = await arena.run(words);
        const exit = await arena.exited(pid, PATIENCE);
        if (exit?.status === 0) cpus.push(exit.cpu);
      }
      record(figure('scan', `${count}`, what, 'ms CPU', cpus, cpus.length > 0 ? null : 'did not end well'));
    }
  } finally {
    await running.close();
  }
}

async function run(context: Context): Promise<void> {
  for (const count of context.quick ? [1000] : [100, 1000, 5000]) {
    context.say(`scan: among ${count} others`);
    if (context.peers.some(({ name }) => name === 'upkeep')) await inside(context, count);
    await perLook(context, count);
    await perProgram(context, count);
  }
}

export const scan: Measure = {
  name: 'scan',
  title: 'A look at the process table',
  how: 'One command to keep, and others that sleep. “All of a look” is the CPU of the whole supervisor, told to look every second, per look; cf-agent and ps are whole programs; the rest is measured inside of Node.',
  tables: [{ measure: 'scan', title: 'A look, by the number of other processes' }],
  run,
};
