/** The kinds of orders that operators give over the control socket, and the operators themselves: clients as `upkeep stop` is one. */
import { runVerb } from '../../src/control/cli.ts';
import type { Random } from './random.ts';
import { type Answered, isWish, type Stage, type Wishes, type WishVerb } from './wishes.ts';

export interface OperatorScene {
  readonly random: Random;
  readonly wishes: Pick<Wishes, 'names' | 'stageOf' | 'isDown'>;
  /** Names of groups. */
  readonly groups: readonly string[];
}

/** What an operator writes behind `upkeep`. */
export type Words = readonly [verb: 'start' | 'stop' | 'restart' | 'signal' | 'reload', ...string[]];

export interface OperatorKind {
  readonly name: string;
  readonly about: string;
  /** How often among the others. */
  readonly weight: number;
  /** The orders that are given at once, each by a client of its own; none: there is nobody for them. */
  readonly orders: (scene: OperatorScene) => readonly Words[];
}

/** Of what is wished down at once, this part at most: else there is nobody left to suffer anything. */
const MOST_DOWN = 0.3;
const WAIT = ['--timeout', '15s'] as const;
/** Signals that no fixture takes for anything but what they mean. */
const SIGNALS = ['TERM', 'KILL', 'SEGV', 'CONT', 'URG', 'WINCH'] as const;

const waiting = (random: Random): readonly string[] => (random.chance(0.5) ? ['--no-wait'] : WAIT);

function verbOf({ random, wishes }: OperatorScene): WishVerb {
  const names = wishes.names();
  const isFull = names.filter((name) => wishes.isDown(name)).length > MOST_DOWN * names.length;
  return isFull ? 'start' : random.pick(['start', 'restart', 'restart', 'stop', 'stop'] as const);
}

/** A random order for somebody in one of these stages. */
function ofThose(scene: OperatorScene, stages: readonly Stage[], verbs?: readonly WishVerb[]): Words[] {
  const { random, wishes } = scene;
  const names = wishes.names().filter((name) => stages.includes(wishes.stageOf(name)));
  if (names.length === 0) return [];
  const verb = verbs === undefined ? verbOf(scene) : random.pick(verbs);
  return [[verb, random.pick(names), ...waiting(random)]];
}

export const OPERATOR_KINDS: readonly OperatorKind[] = [
  {
    name: 'order',
    about: 'an operator orders start, stop or restart of somebody',
    weight: 5,
    orders: (scene) => [[verbOf(scene), scene.random.pick(scene.wishes.names()), ...waiting(scene.random)]],
  },
  {
    name: 'order-several',
    about: '… of several at once: by name, of a group, or of all',
    weight: 2,
    orders(scene) {
      const { random, wishes, groups } = scene;
      const verb = verbOf(scene);
      if (random.chance(0.1)) return [[verb === 'stop' ? 'restart' : verb, '--all', ...waiting(random)]];
      if (groups.length > 0 && random.chance(0.5))
        return [[verb, '--group', random.pick(groups), ...waiting(random)]];
      const names = random.shuffled(wishes.names()).slice(0, random.whole(2, 5));
      return [[verb, ...names, ...waiting(random)]];
    },
  },
  {
    name: 'order-starting',
    about: '… of what is just starting',
    weight: 3,
    orders: (scene) => ofThose(scene, ['starting', 'down']),
  },
  {
    name: 'order-backoff',
    about: '… of what waits before its next try, or for others',
    weight: 3,
    orders: (scene) => ofThose(scene, ['backoff', 'waiting']),
  },
  {
    name: 'order-stopping',
    about: '… of what is just being stopped',
    weight: 3,
    orders(scene) {
      const orders = ofThose(scene, ['stopping']);
      if (orders.length > 0) return orders;
      // That lasts a moment, mostly: it is made.
      const name = scene.random.pick(scene.wishes.names());
      return [
        ['restart', name, '--no-wait'],
        [verbOf(scene), name, ...waiting(scene.random)],
      ];
    },
  },
  {
    name: 'order-resting',
    about: '… of what has been stopped, has failed for good, or is done',
    weight: 5,
    orders: (scene) =>
      ofThose(scene, ['stopped', 'failed', 'completed'], ['start', 'start', 'start', 'restart', 'stop']),
  },
  {
    name: 'order-burst',
    about: '2 to 6 orders at once, by as many clients, for one and the same',
    weight: 2,
    orders(scene) {
      const { random, wishes } = scene;
      const name = random.pick(wishes.names());
      return Array.from({ length: random.whole(2, 6) }, () => [verbOf(scene), name, ...waiting(random)]);
    },
  },
  {
    name: 'order-signal',
    about: "an operator sends a signal to somebody's leader",
    weight: 2,
    orders: ({ random, wishes }) => [['signal', random.pick(wishes.names()), random.pick(SIGNALS)]],
  },
  {
    name: 'order-reload',
    about: 'an operator has somebody read its own configuration again, which has none',
    weight: 0.5,
    orders: ({ random, wishes }) => [['reload', random.pick(wishes.names())]],
  },
  {
    name: 'order-shutdown',
    about: 'the end comes by upkeep shutdown, not by SIGTERM',
    weight: 0,
    orders: () => [],
  },
];

/** So many clients may wait at once; upkeep has room for 64 of all sorts. */
const MOST_WAITING = 12;

/** Gives orders, and hears what they have come to. */
export class Operators {
  readonly #wishes: Pick<Wishes, 'answered'>;
  readonly #given: string[] = [];
  #open = 0;

  constructor(wishes: Pick<Wishes, 'answered'>) {
    this.#wishes = wishes;
  }

  /** The last orders and what they have come to, for humans. */
  get account(): readonly string[] {
    return this.#given;
  }

  /** @returns false: too many wait already */
  give(socket: string, words: readonly string[]): boolean {
    if (this.#open >= MOST_WAITING) return false;
    void this.ask(socket, words);
    return true;
  }

  /** Gives an order. @returns the exit code */
  async ask(socket: string, [verb, ...words]: readonly string[]): Promise<number> {
    const asked = Date.now();
    const lines: string[] = [];
    const take = (text: string): boolean => {
      lines.push(...text.split('\n').filter((line) => line !== ''));
      return true;
    };
    this.#open++;
    this.#note(asked, `upkeep ${verb} ${words.join(' ')}`);
    const code = await runVerb(verb as Words[0], [...words, '--socket', socket], {
      env: {},
      size: () => null,
      colour: false,
      out: take,
      error: take,
    });
    this.#open--;
    const known = Date.now();
    this.#note(known, `upkeep ${verb} ${words.join(' ')} → ${code} ${lines.join(' / ')}`);
    if (isWish(verb!)) this.#wishes.answered({ verb, asked, known, code, lines } satisfies Answered);
    return code;
  }

  #note(time: number, what: string): void {
    this.#given.push(`${new Date(time).toISOString().slice(17, 23)} ${what.slice(0, 400)}`);
    if (this.#given.length > 40) this.#given.shift();
  }
}
