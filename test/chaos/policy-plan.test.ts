import { describe, expect, test } from 'vitest';
import { loadPolicy } from '../../src/policy/file.ts';
import {
  type Change,
  changed,
  commandsIn,
  type Damage,
  damaged,
  groupsOf,
  type PolicyFile,
  planFile,
  planPolicyEpisode,
  relationsOf,
  textOf,
} from './policy-plan.ts';
import { createRandom } from './random.ts';

const CHANGES: readonly Change[] = [
  'nothing',
  'env',
  'rules',
  'add',
  'remove',
  'rename',
  'move',
  'strategy',
  'group',
  'requires',
];
const DAMAGES: readonly Damage[] = ['syntax', 'half', 'key', 'cycle', 'nobody', 'empty'];

const load = (text: string) =>
  loadPolicy('/f.yaml', { env: {}, readFile: () => text.replaceAll('{dir}', '/d') });

describe('an episode with policies', () => {
  test('follows from the seed of the run and its number', () => {
    expect(planPolicyEpisode(1, 5, 60_000)).toEqual(planPolicyEpisode(1, 5, 60_000));
    expect(planPolicyEpisode(1, 5, 60_000)).not.toEqual(planPolicyEpisode(2, 5, 60_000));
  });

  test('ends in calm, after shorter lives with other ends', () => {
    const plans = Array.from({ length: 40 }, (_, index) => planPolicyEpisode(3, index, 60_000));
    for (const { lives } of plans) expect(lives.map(({ end }) => end).indexOf('calm')).toBe(lives.length - 1);
    const ends = new Set(plans.flatMap(({ lives }) => lives.map(({ end }) => end)));
    expect([...ends].sort()).toEqual(['calm', 'group', 'midst', 'reload', 'start', 'waiting']);
    expect(planPolicyEpisode(3, 1, 5_000).lives).toHaveLength(1);
  });
});

describe('policy files', () => {
  test('are taken by upkeep, and so is every change of them', () => {
    const random = createRandom(11);
    const made = new Map<Change, number>();
    for (let index = 0; index < 30; index++) {
      let file = planFile(random);
      let count = Object.keys(file.commands).length;
      expect(() => load(textOf(file))).not.toThrow();
      for (const change of random.shuffled(CHANGES)) {
        const next = changed(random, file, change, count);
        if (next === null) continue;
        made.set(change, (made.get(change) ?? 0) + 1);
        expect(load(textOf(next)).commands.map(({ name }) => name)).toEqual(Object.keys(next.commands));
        count++;
        file = next;
      }
    }
    for (const change of CHANGES) expect(made.get(change), change).toBeGreaterThan(10);
  });

  test('have every kind of command, probe and group', () => {
    const random = createRandom(12);
    const text = Array.from({ length: 60 }, () => textOf(planFile(random))).join('');
    for (const word of [
      ...[
        'oneshot',
        'cron',
        'skip',
        'queue',
        'kill',
        'file',
        'listening',
        'tcp',
        'http',
        'exec',
        'log',
        'notify',
      ],
      ...['delay', 'one_for_one', 'one_for_all', 'rest_for_one', 'intensity', 'ignore', 'signals', 'command'],
      ...['completed', 'started', 'ready', 'after'],
    ])
      expect(text).toContain(`"${word}"`);
  });

  test('that are damaged are not taken', () => {
    const random = createRandom(13);
    for (let index = 0; index < 20; index++) {
      const file = planFile(random);
      for (const damage of DAMAGES) expect(() => load(damaged(random, file, damage)), damage).toThrow();
    }
  });
});

test('relations and groups are told as they are meant', () => {
  const file: PolicyFile = {
    commands: {
      a: { run: 'a', kind: 'oneshot' },
      b: { run: 'b' },
      c: { run: 'c', requires: ['a', 'b'] },
      d: { run: 'd', requires: { b: 'started' }, after: ['c'] },
    },
    groups: {
      inner: { members: ['a', 'b'], strategy: 'one_for_all' },
      outer: { members: ['inner', 'c'], strategy: 'one_for_one' },
    },
    defaults: {},
    container: { grace: '9s' },
  };
  expect(relationsOf(file, 'c')).toEqual({ requires: { a: 'completed', b: 'ready' }, after: [] });
  expect(relationsOf(file, 'd')).toEqual({ requires: { b: 'started' }, after: ['c'] });
  expect(groupsOf(file, 'a')).toEqual(['inner', 'outer']);
  expect(groupsOf(file, 'd')).toEqual([]);
  expect(commandsIn(file, 'outer')).toEqual(['a', 'b', 'c']);
});
