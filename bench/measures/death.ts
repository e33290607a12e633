/** From the death of a process to the first action of the next. */
import { sleep } from '../arena.ts';
import { type Context, figure, type Measure } from '../measure.ts';
import type { Peer } from '../peers.ts';
import { Running, services } from '../running.ts';
import { median, readable, shuffled } from '../statistics.ts';

/** Beyond everybody's idea of a young death: upkeep's is 10 s, the others' are 1 s. */
const LONG_LIFE = 12_000;
const SHORT_LIFE = 500;
const COMMANDS = 20;
/** Who takes this long (ms) is slow. */
const SLOW = 250;
/** Runs of who is slow, and of short lives. */
const FEW_A_WAVE = 2;
const GAP = 30;

interface Series {
  readonly running: Running;
  readonly kind: string;
  readonly long: number[];
  readonly short: number[];
  lost: number;
}

async function begin(context: Context, peer: Peer, daemons: boolean): Promise<Series | null> {
  const kind = daemons ? 'self-daemonized' : 'foreground';
  const running = await Running.start(context.tools, peer, services(COMMANDS, daemons));
  const series = { running, kind, long: [], short: [], lost: 0 };
  if ((await running.allUp(peer.patience + 60_000)) !== null) return series;
  context.record(figure('death', `${kind}, long life`, peer, 'ms', [], 'did not start them'));
  await running.close();
  return null;
}

/** Kills the commands one after another, everybody's in turn; a few of them a second time, while they are young. */
async function killAll(all: readonly Series[]): Promise<void> {
  for (let index = 0; index < COMMANDS; index++) {
    for (const series of shuffled(all)) {
      const isSlow = median(series.long) > SLOW;
      if (isSlow && index >= FEW_A_WAVE) continue;
      const { running } = series;
      const { name } = running.commands[index]!;
      for (const life of index < FEW_A_WAVE ? (['long', 'short'] as const) : (['long'] as const)) {
        if (life === 'short') await sleep(SHORT_LIFE);
        const took = await running.killed(name, running.peer.patience);
        if (took === null) series.lost++;
        else series[life].push(took);
      }
      await sleep(GAP);
    }
  }
}

/** Who cannot keep daemons is shown what one does to it. */
const WATCH = { quick: 15_000, full: 25_000 };
/** Nothing new in the rest of the time: it has given up. */
const QUIET_AFTER = 0.7;
const COPIES_ENOUGH = 200;

async function showFailing(context: Context, peer: Peer): Promise<void> {
  const running = await Running.start(context.tools, peer, services(1, true));
  const { arena } = running;
  const watch = context.quick ? WATCH.quick : WATCH.full;
  const began = performance.now();
  await arena.heard(watch, () => (arena.births.length >= COPIES_ENOUGH ? true : null));
  const seconds = (performance.now() - began) / 1e3;
  const copies = arena.births.length;
  const before = arena.births.filter(({ at }) => (at - running.main.at) / 1e6 < watch * QUIET_AFTER).length;
  const stopped = copies < COPIES_ENOUGH && before === copies;
  const note = stopped
    ? `gives up: ${copies} copies, all left running`
    : `starts copies for ever: ${copies} in ${readable(seconds)} s`;
  context.record(figure('death', 'self-daemonized, long life', peer, 'ms', [], note));
  await running.close();
}

const SLOW_COMMANDS = 5;
/** Five of them lie evenly in a minute. */
const SLOW_GAP = 12_000;

/** For who looks once a minute: a few deaths at different seconds of it, without waiting for one after another. */
async function killSlowly(context: Context, peer: Peer, daemons: boolean): Promise<void> {
  const running = await Running.start(context.tools, peer, services(SLOW_COMMANDS, daemons));
  const kind = daemons ? 'self-daemonized' : 'foreground';
  try {
    if ((await running.allUp(peer.patience)) === null) return;
    const all: Promise<number | null>[] = [];
    for (const { name } of running.commands) {
      await sleep(SLOW_GAP);
      all.push(running.killed(name, peer.patience));
    }
    const took = await Promise.all(all);
    const lost = took.filter((one) => one === null).length;
    const note = lost > 0 ? `${lost} never came back` : null;
    const found = took.filter((one) => one !== null);
    for (const life of ['long', 'short']) record(life);
    function record(life: string): void {
      context.record(
        figure('death', `${kind}, ${life} life`, peer, 'ms', found, note ?? 'both lives in one'),
      );
    }
  } finally {
    await running.close();
  }
}

async function run(context: Context): Promise<void> {
  const { quick, record, say } = context;
  const slow = context.peers.filter(({ patience }) => patience > 60_000);
  const peers = context.peers.filter((peer) => !slow.includes(peer));
  say('death: watches who cannot keep daemons');
  await Promise.all(peers.filter(({ daemons }) => !daemons).map((peer) => showFailing(context, peer)));
  const able: Series[] = [];
  for (const daemons of [false, true]) {
    for (const peer of peers) {
      if (daemons && !peer.daemons) continue;
      say(`death: starts ${peer.name}${daemons ? ' with daemons' : ''}`);
      const series = await begin(context, peer, daemons);
      if (series !== null) able.push(series);
    }
  }
  const waves = able.length === 0 ? 0 : quick ? 1 : 5;
  for (let wave = 1; wave <= waves; wave++) {
    say(`death: wave ${wave} of ${waves}, ${LONG_LIFE / 1e3} s of quiet`);
    await sleep(LONG_LIFE);
    say(`death: wave ${wave} of ${waves}, kills`);
    await killAll(able);
  }
  for (const { running, kind, long, short, lost } of able) {
    const note = lost > 0 ? `${lost} never came back` : null;
    record(figure('death', `${kind}, long life`, running.peer, 'ms', long, note));
    record(figure('death', `${kind}, short life`, running.peer, 'ms', short, note));
    await running.close();
  }
  if (quick) {
    const note = 'takes minutes: not in a quick run';
    for (const peer of slow) record(figure('death', 'foreground, long life', peer, 'ms', [], note));
    return;
  }
  if (slow.length > 0) say('death: who looks once a minute');
  await Promise.all(
    slow.flatMap((peer) => [false, true].map((daemons) => killSlowly(context, peer, daemons))),
  );
}

export const death: Measure = {
  name: 'death',
  title: 'Death to new process',
  how: 'From kill(2) with SIGKILL to the first action of the new process. A long life is 12 s or more, a short one half a second.',
  tables: [{ measure: 'death', title: 'Death to new process' }],
  run,
};
