/** From the death of a process to the first action of the next. */
import { sleep } from '../arena.ts';
import { type Context, figure, type Measure } from '../measure.ts';
import type { Peer } from '../peers.ts';
import { Running, services } from '../running.ts';
import { shuffled } from '../statistics.ts';

/** Beyond everybody's idea of a young death: upkeep's is 10 s, the others' are 1 s. */
const LONG_LIFE = 12_000;
const SHORT_LIFE = 500;
const COMMANDS = 20;
/** Who takes this long (ms) has few runs. */
const SLOW = 100;
const SLOW_RUNS_A_WAVE = 2;
const GAP = 30;

interface Series {
  readonly running: Running;
  readonly kind: string;
  readonly long: number[];
  readonly short: number[];
  lost: number;
}

/** Starts whoever can keep such commands; of the others it is told what they do instead. */
async function begin(context: Context, peer: Peer, daemons: boolean): Promise<Series | null> {
  const kind = daemons ? 'self-daemonized' : 'foreground';
  const running = await Running.start(context.tools, peer, services(COMMANDS, daemons));
  const series = { running, kind, long: [], short: [], lost: 0 };
  if ((await running.allUp(peer.patience + 60_000)) !== null) return series;
  context.record(figure('death', `${kind}, long life`, peer, 'ms', [], 'did not start them'));
  await running.close();
  return null;
}

/** Kills the commands one after another, everybody's in turn. */
async function killAll(all: readonly Series[], of: 'long' | 'short', random?: () => number): Promise<void> {
  for (let index = 0; index < COMMANDS; index++) {
    for (const series of shuffled(all, random)) {
      const isSlow = (series[of][0] ?? 0) > SLOW;
      if (isSlow && index >= SLOW_RUNS_A_WAVE) continue;
      const took = await series.running.killed(
        series.running.commands[index]!.name,
        series.running.peer.patience,
      );
      if (took === null) series.lost++;
      else series[of].push(took);
      await sleep(GAP);
    }
  }
}

async function run(context: Context): Promise<void> {
  const { peers, quick, record, say } = context;
  const able: Series[] = [];
  for (const daemons of [false, true]) {
    for (const peer of peers) {
      if (daemons && !peer.daemons) continue;
      say(`death: starts ${peer.name}${daemons ? ' with daemons' : ''}`);
      const series = await begin(context, peer, daemons);
      if (series !== null) able.push(series);
    }
  }
  const waves = quick ? 1 : 5;
  for (let wave = 1; wave <= waves; wave++) {
    say(`death: wave ${wave} of ${waves}, ${LONG_LIFE / 1e3} s of quiet`);
    await sleep(LONG_LIFE);
    say(`death: wave ${wave} of ${waves}, kills after a long life`);
    await killAll(able, 'long');
    await sleep(SHORT_LIFE);
    say(`death: wave ${wave} of ${waves}, kills after a short life`);
    await killAll(able, 'short');
  }
  for (const { running, kind, long, short, lost } of able) {
    const note = lost > 0 ? `${lost} never came back` : null;
    record(figure('death', `${kind}, long life`, running.peer, 'ms', long, note));
    record(figure('death', `${kind}, short life`, running.peer, 'ms', short, note));
    await running.close();
  }
}

export const death: Measure = {
  name: 'death',
  title: 'Death to new process',
  how: 'From kill(2) with SIGKILL to the first action of the new process. A long life is 12 s or more, a short one about half a second.',
  run,
};
