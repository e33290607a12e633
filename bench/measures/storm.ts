/** A hundred commands, and death comes a hundred times a second. */
import { sleep } from '../arena.ts';
import { type Context, figure, type Measure } from '../measure.ts';
import type { Peer } from '../peers.ts';
import { Running, services } from '../running.ts';

const COMMANDS = 100;
const EVERY = 10;
/** Restarts may be put off after that many deaths; this long at most is waited until all are up again. */
const CALM = { quick: 15_000, full: 45_000 };
/** Then, whoever is there twice shows itself. */
const SETTLE = 1_000;

async function storm({ tools, quick, record }: Context, peer: Peer): Promise<void> {
  const running = await Running.start(tools, peer, services(COMMANDS));
  const { arena } = running;
  try {
    if ((await running.allUp(60_000)) === null)
      return record(figure('storm', 'down at the end', peer, '', [], 'not all up'));
    await sleep(SETTLE);
    const cpu = arena.cpu();
    const calm = quick ? CALM.quick : CALM.full;
    const kills = (quick ? 1_000 : 10_000) / EVERY;
    const began = performance.now();
    const killed = new Set<number>();
    let turn = 0;
    for (let done = 0; done < kills; ) {
      // Each in turn; who is down just now is passed over.
      const alive = arena.latest();
      for (let tries = 0; tries < COMMANDS; tries++) {
        const { pid } = alive.get(running.commands[turn++ % COMMANDS]!.name)!;
        if (killed.has(pid)) continue;
        killed.add(pid);
        void arena.kill(pid, 9);
        break;
      }
      done++;
      await sleep(Math.max(0, began + done * EVERY - performance.now()));
    }
    const over = performance.now();
    const all = await arena.heard(calm, () => {
      const alive = arena.latest();
      return running.commands.every(({ name }) => !killed.has(alive.get(name)!.pid))
        ? performance.now()
        : null;
    });
    await sleep(SETTLE);
    const used = arena.cpu() - cpu;
    const rows = arena.services();
    const zombies = arena.processes().filter(({ state }) => state === 'Z').length;
    const living = new Set(rows.filter(({ state }) => state !== 'Z').map(({ pid }) => pid));
    const copies = new Map<string, number>();
    for (const { name, pid } of arena.births)
      if (living.has(pid)) copies.set(name, (copies.get(name) ?? 0) + 1);
    const note = `${killed.size} killed`;
    record(figure('storm', 'down at the end', peer, '', [COMMANDS - copies.size], note));
    record(
      figure(
        'storm',
        'all up after',
        peer,
        'ms',
        all === null ? [] : [all - over],
        all === null ? `not within ${calm / 1e3} s` : null,
      ),
    );
    record(
      figure('storm', 'more than once', peer, '', [[...copies.values()].filter((count) => count > 1).length]),
    );
    record(figure('storm', 'zombies', peer, '', [zombies]));
    record(figure('storm', 'CPU', peer, 'ms', [used]));
  } finally {
    await running.close();
  }
}

async function run(context: Context): Promise<void> {
  // Who looks once a minute is not measured: it sees hardly any of these deaths.
  for (const peer of context.peers.filter(({ patience }) => patience < 60_000)) {
    context.say(`storm: ${peer.name}`);
    await storm(context, peer);
  }
}

export const storms: Measure = {
  name: 'storm',
  title: 'A storm: one of a hundred commands killed every 10 ms',
  how: 'For 10 s (1 s with --quick) each in turn gets SIGKILL, who is just down is passed over. Then at most 45 s (15 s) until all are up; a second later it is counted who is there. CPU: the supervisor and what it has waited for, from before the first kill to that count.',
  tables: [{ measure: 'storm', title: 'A storm' }],
  run,
};
