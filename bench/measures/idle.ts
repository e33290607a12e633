/** What a supervisor takes while nothing happens. */
import { sleep } from '../arena.ts';
import { type Context, figure, type Measure } from '../measure.ts';
import { Running, services } from '../running.ts';

const PATIENCE = { quick: 20_000, full: 60_000 };
/** Compilers and collectors in the supervisors, and their helpers, come to rest: V8 tidies up once, up to half a minute after a start. */
const SETTLE = { quick: 5_000, full: 40_000 };
/** A minute, so that who acts once a minute has acted once. */
const WINDOW = { quick: 6_000, full: 60_000 };

/** Peers side by side, sizes one after another: two of one program would share its text. */
async function sideBySide({ tools, peers, quick, record, say }: Context, count: number): Promise<void> {
  const patience = quick ? PATIENCE.quick : PATIENCE.full;
  const all: Running[] = [];
  const title = `memory and idle CPU with ${count}`;
  try {
    for (const peer of peers) {
      say(`${title}: starts ${peer.name}`);
      const running = await Running.start(tools, peer, services(count));
      all.push(running);
      if ((await running.allUp(patience)) !== null) continue;
      await all.pop()!.close();
      const note = `not all up within ${patience / 1e3} s`;
      record(figure('memory', `${count}`, peer, 'MB', [], note));
      record(figure('idle', `${count}`, peer, 'ms/min', [], note));
    }
    await sleep(quick ? SETTLE.quick : SETTLE.full);
    const window = quick ? WINDOW.quick : WINDOW.full;
    say(`${title}: ${window / 1e3} s of quiet`);
    const before = all.map(({ arena }) => ({ cpu: arena.cpu(), at: performance.now() }));
    await sleep(window);
    const after = all.map(({ arena }) => ({ cpu: arena.cpu(), at: performance.now() }));
    for (const [index, { peer, arena }] of all.entries()) {
      const cpu = after[index]!.cpu - before[index]!.cpu;
      const minutes = (after[index]!.at - before[index]!.at) / 60_000;
      record(figure('idle', `${count}`, peer, 'ms/min', [cpu / minutes]));
      record(figure('memory', `${count}`, peer, 'MB', [arena.memory()]));
    }
  } finally {
    for (const running of all) await running.close();
  }
}

async function run(context: Context): Promise<void> {
  for (const count of context.quick ? [1, 100] : [1, 100, 1000]) await sideBySide(context, count);
}

export const idle: Measure = {
  name: 'idle',
  title: 'Memory and idle CPU',
  how: 'All side by side, each in its namespace, and nothing happens for 40 s, in which what runs on Node collects its garbage once; then one window of time, in which the CPU of all the supervisor’s processes and of the helpers it has waited for is counted; at its end their PSS. Who runs on Node has a copy of its binary of its own, so that no text is shared.',
  tables: [
    { measure: 'memory', title: 'Memory (PSS), by the number of commands' },
    { measure: 'idle', title: 'Idle CPU, by the number of commands' },
  ],
  run,
};
