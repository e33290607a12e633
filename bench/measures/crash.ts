/** What a command that always fails costs. */

import type { Arena } from '../arena.ts';
import { sleep } from '../arena.ts';
import { type Context, figure, type Measure } from '../measure.ts';
import type { Command, Peer } from '../peers.ts';
import { Running } from '../running.ts';

const WINDOW = { quick: 8_000, full: 20_000 };
/** The floors know no wait: they take all they can get, and a look at it is enough. */
const FLOOR_WINDOW = 3_000;

const crasher = ({ tools, fifo }: Arena): Command[] => [
  { name: 's0001', words: [tools.svc, 'crash', fifo, 's0001'], pattern: ' s0001', daemon: null },
];

async function loop({ tools, quick, record }: Context, peer: Peer): Promise<void> {
  const running = await Running.start(tools, peer, crasher);
  const { arena } = running;
  try {
    await running.allUp(peer.patience);
    const window = peer.floor ? FLOOR_WINDOW : quick ? WINDOW.quick : WINDOW.full;
    const before = { cpu: arena.cpu(), births: arena.births.length, at: performance.now() };
    await sleep(window);
    const minutes = (performance.now() - before.at) / 60_000;
    record(figure('crash', 'CPU', peer, 'ms/min', [(arena.cpu() - before.cpu) / minutes]));
    record(figure('crash', 'starts', peer, 'per min', [(arena.births.length - before.births) / minutes]));
  } finally {
    await running.close();
  }
}

async function run(context: Context): Promise<void> {
  context.say('crash loop: all who wait between two tries, side by side');
  const peers = context.peers.filter(({ patience }) => patience < 60_000);
  await Promise.all(peers.filter(({ floor }) => !floor).map((peer) => loop(context, peer)));
  for (const peer of peers.filter(({ floor }) => floor)) {
    context.say(`crash loop: ${peer.name}`);
    await loop(context, peer);
  }
}

export const crash: Measure = {
  name: 'crash',
  title: 'A crash loop',
  how: `One command that exits with 1 at once; CPU of the supervisor and of what it has waited for, from its first start on, over ${WINDOW.full / 1e3} s (${WINDOW.quick / 1e3} s with --quick; ${FLOOR_WINDOW / 1e3} s for the floors, which start it again without any wait).`,
  tables: [{ measure: 'crash', title: 'A crash loop' }],
  run,
};
