/** The command line of `npm run chaos`. */
import { parseArgs } from 'node:util';

export interface ChaosOptions {
  readonly seed: number;
  /** Ends after so many minutes, or so many faults, whichever comes first; null: no such limit. */
  readonly minutes: number | null;
  readonly faults: number | null;
  /** Kinds of faults; null: all. */
  readonly only: readonly string[] | null;
  /** The one episode to have; null: all from 0 on. `policy`: one of those with a policy file, which have numbers of their own. */
  readonly episode: { readonly policy: boolean; readonly index: number } | null;
  readonly list: boolean;
  readonly keepGoing: boolean;
  readonly report: string | null;
  /** The program that is shaken; null: it is built. */
  readonly upkeep: string | null;
}

export const USAGE = `npm run chaos -- [OPTION…]

  --seed N          the run to have again; without: another one each time
  --minutes N       ends after so many minutes (default 5)
  --faults N        ends after so many faults
  --only KIND,…     these kinds alone, of faults and of who asks; policy: episodes with a policy file alone, with all their
                    kinds
  --episode N       this one episode of the run alone; pN: that one of those with a policy file
  --list            lists the kinds (of faults, of orders by operators, of clients) and what is missing for them here
  --keep-going      goes on after a violation
  --report FILE     writes a report in Markdown
  --upkeep PATH     shakes this upkeep.js; without it one is built
`;

/** @throws Error for what cannot be understood */
export function parseOptions(
  args: readonly string[],
  kinds: readonly string[],
  anySeed: () => number,
): ChaosOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string' },
      minutes: { type: 'string' },
      faults: { type: 'string' },
      only: { type: 'string' },
      episode: { type: 'string' },
      list: { type: 'boolean', default: false },
      'keep-going': { type: 'boolean', default: false },
      report: { type: 'string' },
      upkeep: { type: 'string' },
    },
  });
  const number = (
    option: 'seed' | 'minutes' | 'faults' | 'episode',
    whole: boolean,
    text = values[option],
  ): number | null => {
    if (text === undefined) return null;
    const value = Number(text);
    if (text.trim() === '' || !(value >= 0) || value > 0xffffffff || (whole && !Number.isInteger(value)))
      throw new Error(
        `cannot take --${option} ${text}: it is no ${whole ? 'whole ' : ''}number from 0 to 4294967295`,
      );
    return value;
  };
  const only = values.only?.split(',').filter((kind) => kind !== '') ?? null;
  const unknown = only?.filter((kind) => !kinds.includes(kind)) ?? [];
  if (unknown.length > 0)
    throw new Error(`cannot make ${unknown.join(', ')}: there is no such kind; see --list`);
  const faults = number('faults', true);
  const minutes = number('minutes', false);
  const policy = values.episode?.startsWith('p') === true;
  const episode = number('episode', true, policy ? values.episode!.slice(1) : values.episode);
  return {
    seed: number('seed', true) ?? anySeed(),
    minutes: minutes ?? (faults === null ? 5 : null),
    faults,
    only,
    episode: episode === null ? null : { policy, index: episode },
    list: values.list,
    keepGoing: values['keep-going'],
    report: values.report ?? null,
    upkeep: values.upkeep ?? null,
  };
}
