/** As PID 1: orphans are reaped, and a stop ends the namespace. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { Arena, quietly, sleep } from '../arena.ts';
import { type Context, figure, type Measure } from '../measure.ts';
import type { Command, Peer } from '../peers.ts';
import { services } from '../running.ts';

const ORPHANS = 1_000;
/** By then every orphan has ended. */
const SETTLE = 3_000;
const PATIENCE = 10_000;
const OPTIONS = { log: 'none', everySecond: false } as const;

const maker = ({ tools, fifo }: Arena): Command => ({
  name: 's0001',
  words: [tools.svc, 'orphans', fifo, 's0001', `${ORPHANS}`],
  pattern: ' s0001',
  daemon: null,
});

async function orphans({ tools, record }: Context, peer: Peer): Promise<void> {
  const arena = await Arena.open(tools, (own) => peer.plan(own, [maker(own)], OPTIONS).words);
  try {
    const born = await arena.heard(PATIENCE * 3, () => arena.latest().get('made'));
    if (born === null) return record(figure('pid1', 'zombies left', peer, '', [], 'does not start'));
    await sleep(SETTLE);
    const zombies = arena.processes().filter(({ state }) => state === 'Z').length;
    record(figure('pid1', 'zombies left', peer, '', [zombies]));
  } finally {
    await arena.close();
  }
}

async function stop({ tools, quick, record }: Context, peer: Peer): Promise<void> {
  const took: number[] = [];
  for (let i = 0; i < (quick ? 1 : 3); i++) {
    const arena = await Arena.open(tools, (own) => peer.plan(own, services(1)(own), OPTIONS).words);
    try {
      if ((await arena.heard(PATIENCE, () => arena.latest().get('s0001'))) === null) break;
      await sleep(1_000);
      const gone = once(arena.outside, 'exit');
      const began = performance.now();
      process.kill(arena.init, 15);
      const first = await Promise.race([gone, sleep(PATIENCE).then(() => null)]);
      if (first === null) break;
      took.push(performance.now() - began);
    } finally {
      await arena.close();
    }
  }
  const note = took.length > 0 ? null : `not gone within ${PATIENCE / 1e3} s, when docker stop would kill`;
  record(figure('pid1', 'stop', peer, 'ms', took, note));
}

const IMAGE = 'upkeep';

/** Where an engine answers, and upkeep's own image has been built. */
function dockerStop({ record, quick }: Context): void {
  const docker = (...args: string[]): string | null =>
    quietly(() => execFileSync('docker', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }));
  const say = (note: string): void => record(figure('pid1', 'docker stop', 'upkeep', 'ms', [], note));
  if (docker('version', '--format', '{{.Server.Version}}') === null) {
    say('no Docker engine answers');
    return;
  }
  if (docker('image', 'inspect', IMAGE) === null) {
    say(`there is no image; docker build -t ${IMAGE} .`);
    return;
  }
  const took: number[] = [];
  for (let i = 0; i < (quick ? 1 : 3); i++) {
    const container = docker('run', '-d', '--network', 'none', IMAGE, 'sleep 1000')?.trim();
    if (container === undefined) {
      say('docker run fails');
      return;
    }
    const isUp = (): boolean => docker('logs', container)?.includes('running') === true;
    for (let tries = 0; tries < 50 && !isUp(); tries++) execFileSync('sleep', ['0.2']);
    const began = performance.now();
    docker('stop', container);
    took.push(performance.now() - began);
    docker('rm', '-f', container);
  }
  record(figure('pid1', 'docker stop', 'upkeep', 'ms', took));
}

async function run(context: Context): Promise<void> {
  context.say('as PID 1: orphans, of all side by side');
  await Promise.all(context.peers.map((peer) => orphans(context, peer)));
  for (const peer of context.peers) {
    context.say(`as PID 1: stop of ${peer.name}`);
    await stop(context, peer);
  }
  if (context.peers.some(({ name }) => name === 'upkeep')) dockerStop(context);
}

export const pid1: Measure = {
  name: 'pid1',
  title: 'As PID 1',
  how: `The supervisor is the init of its namespace. A command leaves ${ORPHANS} orphans; ${SETTLE / 1e3} s later it is counted who is a zombie. Stop: one command, from SIGTERM (which is what docker stop sends) until the namespace is gone. docker stop: upkeep’s own image with one sleep.`,
  tables: [{ measure: 'pid1', title: 'As PID 1' }],
  run,
};
