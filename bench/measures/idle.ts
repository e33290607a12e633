/** What a supervisor takes while nothing happens. */
import { sleep } from '../arena.ts';
import { type Context, figure, type Measure } from '../measure.ts';
import { Running, services } from '../running.ts';

const PATIENCE = 60_000;
/** Compilers in the supervisors, and their helpers, come to rest. */
const SETTLE = 5_000;
/** A minute, so that who acts once a minute has acted once. */
const WINDOW = { quick: 10_000, full: 60_000 };

async function run({ tools, peers, quick, record, say }: Context): Promise<void> {
  for (const count of [1, 100, 1000]) {
    const all: Running[] = [];
    try {
      for (const peer of peers) {
        say(`memory and idle CPU with ${count}: starts ${peer.name}`);
        const running = await Running.start(tools, peer, services(count));
        all.push(running);
        if ((await running.allUp(PATIENCE)) === null)
          record(figure('memory', `${count}`, peer, 'MB', [], 'not all up'));
      }
      await sleep(SETTLE);
      const window = quick ? WINDOW.quick : WINDOW.full;
      say(`memory and idle CPU with ${count}: ${window / 1e3} s of quiet`);
      const before = all.map(({ arena }) => ({ cpu: arena.cpu(), at: performance.now() }));
      await sleep(window);
      for (const [index, { arena, peer }] of all.entries()) {
        const cpu = arena.cpu() - before[index]!.cpu;
        const minutes = (performance.now() - before[index]!.at) / 60_000;
        record(figure('idle', `${count}`, peer, 'ms/min', [cpu / minutes]));
        record(figure('memory', `${count}`, peer, 'MB', [arena.memory()]));
      }
    } finally {
      for (const running of all) await running.close();
    }
  }
}

export const idle: Measure = {
  name: 'idle',
  title: 'Memory and idle CPU',
  how: 'All side by side, each in its namespace, and nothing happens: one window of time, in which the CPU of all the supervisor’s processes and of the helpers it has waited for is counted; at its end their PSS. Who runs on Node has a copy of its binary of its own, so that no text is shared.',
  run,
};
