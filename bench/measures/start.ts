/** Start to all up, and stop: one cycle gives both. */
import { type Context, figure, type Measure } from '../measure.ts';
import type { Peer } from '../peers.ts';
import { Running, services } from '../running.ts';
import { shuffled } from '../statistics.ts';

const PATIENCE = { quick: 20_000, full: 60_000 };

/** Nobody's thousand is started in a hurry. */
const SIZES = {
  quick: [
    { count: 1, runs: 5 },
    { count: 100, runs: 1 },
  ],
  full: [
    { count: 1, runs: 15 },
    { count: 10, runs: 9 },
    { count: 100, runs: 5 },
    { count: 1000, runs: 3 },
  ],
};

/** For who takes long there are fewer runs: this many ms of starting and stopping per size; beyond it no run is begun. */
const BUDGET = { quick: 3_000, full: 10_000 };

async function cycle(
  { tools, quick }: Context,
  peer: Peer,
  count: number,
): Promise<{ up: number | null; down: number | null; left: number }> {
  const patience = quick ? PATIENCE.quick : PATIENCE.full;
  const running = await Running.start(tools, peer, services(count));
  try {
    const up = await running.allUp(patience);
    if (up === null) return { up, down: null, left: 0 };
    const stopped = peer.stops ? await running.stop(patience) : null;
    return { up, down: stopped?.took ?? null, left: stopped?.left ?? 0 };
  } finally {
    await running.close();
  }
}

async function run(context: Context): Promise<void> {
  const { peers, quick, record, say } = context;
  const patience = quick ? PATIENCE.quick : PATIENCE.full;
  // Who was not up in time is not tried with more.
  const failed = new Set<Peer>();
  for (const { count, runs } of quick ? SIZES.quick : SIZES.full) {
    const ups = new Map<Peer, number[]>(peers.map((peer) => [peer, []]));
    const downs = new Map<Peer, number[]>(peers.map((peer) => [peer, []]));
    const leftovers = new Map<Peer, number>();
    const spent = new Map<Peer, number>();
    for (let round = 0; round < runs; round++) {
      for (const peer of shuffled(peers)) {
        if (failed.has(peer) || (spent.get(peer) ?? 0) > (quick ? BUDGET.quick : BUDGET.full)) continue;
        say(`start and stop of ${count}: ${peer.name}, run ${round + 1} of ${runs}`);
        const began = performance.now();
        const { up, down, left } = await cycle(context, peer, count);
        spent.set(peer, (spent.get(peer) ?? 0) + performance.now() - began);
        if (up === null) failed.add(peer);
        else ups.get(peer)!.push(up);
        leftovers.set(peer, Math.max(left, leftovers.get(peer) ?? 0));
        if (down !== null) downs.get(peer)!.push(down);
      }
    }
    for (const peer of peers) {
      record(
        figure(
          'start',
          `${count}`,
          peer,
          'ms',
          ups.get(peer)!,
          failed.has(peer) ? `not all up within ${patience / 1e3} s` : null,
        ),
      );
      const left = leftovers.get(peer) ?? 0;
      const note = !peer.stops
        ? 'leaves its services running'
        : failed.has(peer)
          ? 'was not up'
          : downs.get(peer)!.length === 0
            ? `not over within ${patience / 1e3} s`
            : left > 0
              ? `leaves ${left} processes`
              : null;
      record(figure('stop', `${count}`, peer, 'ms', downs.get(peer)!, note));
    }
  }
}

export const start: Measure = {
  name: 'start',
  title: 'Start, and stop',
  how: 'From the fork(2) of the supervisor to the first action of the last of its commands. Then from its stop signal (or the start of its stop command) until it, its helpers and all commands are gone.',
  tables: [
    { measure: 'start', title: 'Start to all up, by the number of commands' },
    { measure: 'stop', title: 'Stop, by the number of commands' },
  ],
  run,
};
