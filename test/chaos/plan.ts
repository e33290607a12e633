/** What an episode is made of: who is kept running, how, and what is done to them. All of it follows from the seed. */
import type { Watched } from './invariants.ts';
import { createRandom, type Random, seedOf } from './random.ts';

export interface CommandPlan extends Watched {
  /** What upkeep is given. */
  readonly command: string;
  /** What its init script starts, where it has one. */
  readonly script: string | null;
}

export interface EpisodePlan {
  readonly index: number;
  readonly seed: number;
  /** The fault that needs an episode made for it; null: none. */
  readonly special: string | null;
  /** Upkeep is the namespace's init. */
  readonly asInit: boolean;
  /** How long faults are made, ms. */
  readonly length: number;
  /** Mean faults a second. */
  readonly rate: number;
  /** Of upkeep, ms. */
  readonly interval: number;
  readonly commands: readonly CommandPlan[];
  /** Mean orders of operators a second; 0: there are none. */
  readonly operators: number;
  /** Upkeep answers orchestrators. */
  readonly http: boolean;
}

export interface PlanOptions {
  /** Faults of which each needs an episode of its own. */
  readonly specials: readonly string[];
  /** Those of them that need an init beside upkeep. */
  readonly beside: ReadonlySet<string>;
  readonly service: string;
  /** nginx with its options; null where there is none. */
  readonly nginx: string | null;
  /** Longest episode, ms. */
  readonly longest: number;
}

/** @param index from 0; every special comes up before one comes up twice */
export function planEpisode(runSeed: number, index: number, options: PlanOptions): EpisodePlan {
  const { specials } = options;
  const seed = seedOf(runSeed, index);
  const random = createRandom(seed);
  // Every third episode has ordinary faults only.
  const turn = index - Math.floor(index / 3);
  const round = specials.length === 0 ? 0 : Math.floor(turn / specials.length);
  const order = createRandom(seedOf(runSeed, 1_000_000 + round)).shuffled(specials);
  const special = index % 3 === 2 || specials.length === 0 ? null : order[turn % specials.length]!;
  const commands = planCommands(random, random.whole(12, 36), options.service);
  if (options.nginx !== null && special === null && random.chance(0.7))
    commands.push({
      name: 'nginx',
      command: `nginx: ${options.nginx}`,
      startup: 1_000,
      crashes: false,
      script: null,
    });
  return {
    index,
    seed,
    special,
    asInit: special !== null && options.beside.has(special) ? false : random.chance(0.5),
    length: Math.min(options.longest, random.whole(18_000, 45_000)),
    rate: random.whole(20, 60),
    interval: random.pick([100, 500, 2_000, 5_000]),
    commands,
    // Drawn last: what a seed of an older report means does not change.
    operators: index % 4 === 3 ? 0 : random.between(0.5, 3),
    http: index % 2 === 0,
  };
}

/** Does this service go to the background, and stay in the session of its launcher? */
export const staysInSession = (line: string): boolean =>
  / --(fork|double)\b/.test(line) && !line.includes(' --setsid');

/** Services of every kind: see fixtures/service.pl. */
function planCommands(random: Random, count: number, service: string): CommandPlan[] {
  return Array.from({ length: count }, (_, index) => {
    const name = `c${String(index).padStart(2, '0')}`;
    const words = [service, name];
    const fork = random.pick(['', '', '--fork', '--double']);
    if (fork !== '') words.push(fork);
    if (fork !== '' && random.chance(0.5)) words.push('--setsid');
    if (fork !== '' && random.chance(0.4)) words.push('--notify');
    let startup = 1_000;
    // How long it takes to become a daemon: mostly no time, now and then up to 10 s.
    const slow = random.weighted([
      [0, 6],
      [2, 2],
      [10, 1],
    ] as const);
    for (const option of ['--before', '--delay']) {
      const seconds = Math.round(random.between(0, slow / 2) * 100) / 100;
      if (seconds === 0) continue;
      words.push(option, String(seconds));
      startup += seconds * 1_000;
    }
    if (random.chance(0.5)) words.push('--workers', String(random.whole(1, 4)));
    if (random.chance(0.3)) words.push('--port', String(8_000 + index));
    if (random.chance(0.1)) words.push('--chatty', String(random.whole(1, 20)));
    const crashes = random.chance(0.08);
    if (crashes) words.push('--crash', String(random.whole(1, 2)));
    // A launcher that waits for a daemon in a session of its own, and is killed when it counts as a foreground program,
    // cannot be told from a master with logins: that is what init scripts are for, which are expected to return.
    const script = words.includes('--setsid') && words.includes('--notify');
    const line = words.join(' ');
    const wrapped = !script && fork === '' && random.chance(0.2);
    const command = script ? `{dir}/init.d/${name} start` : wrapped ? `sh -c '${line} & wait $!'` : line;
    return {
      name,
      command: `${name}: ${command}`,
      startup,
      crashes,
      inSession: staysInSession(line),
      script: script ? line : null,
    };
  });
}

/** Of four episodes the second is one with a policy file, so that a short run has one as well. Each sort has numbers of its own, so that a seed of an older report means what it
 * did. */
export function turnOf(
  turn: number,
  which: 'both' | 'ordinary' | 'policy',
): { readonly policy: boolean; readonly index: number } {
  if (which !== 'both') return { policy: which === 'policy', index: turn };
  const round = Math.floor(turn / 4);
  if (turn % 4 === 1) return { policy: true, index: round };
  return { policy: false, index: turn - round - (turn % 4 > 1 ? 1 : 0) };
}
