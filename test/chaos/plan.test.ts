import { describe, expect, test } from 'vitest';
import { ASKING_KINDS } from './askers.ts';
import { KINDS } from './faults.ts';
import { OPERATOR_KINDS, type OperatorScene } from './operators.ts';
import { parseOptions } from './options.ts';
import { planEpisode, turnOf } from './plan.ts';
import { POLICY_KINDS } from './policy-faults.ts';
import { createRandom, seedOf } from './random.ts';
import { renderReport } from './report.ts';
import { whoIs } from './table.ts';

const OPTIONS = {
  specials: ['a', 'b', 'c', 'd'],
  beside: new Set(['b']),
  service: 'service',
  nginx: 'nginx',
  longest: 60_000,
};

describe('random numbers', () => {
  test('are the same for the same seed, and others for another', () => {
    const some = (seed: number): number[] => Array.from({ length: 20 }, createRandom(seed).next);
    expect(some(1)).toEqual(some(1));
    expect(some(1)).not.toEqual(some(2));
    expect(new Set(Array.from({ length: 1_000 }, (_, part) => seedOf(7, part))).size).toBe(1_000);
  });

  test('are where they should be, and reach all of it', () => {
    const random = createRandom(3);
    const drawn = Array.from({ length: 2_000 }, () => random.whole(2, 5));
    expect([...new Set(drawn)].sort()).toEqual([2, 3, 4, 5]);
    const weighted = Array.from({ length: 2_000 }, () =>
      random.weighted([
        ['never', 0],
        ['often', 9],
        ['seldom', 1],
      ]),
    );
    expect(weighted).not.toContain('never');
    expect(weighted.filter((one) => one === 'often').length).toBeGreaterThan(1_500);
    expect(random.shuffled([1, 2, 3, 4]).sort()).toEqual([1, 2, 3, 4]);
    expect(() => random.pick([])).toThrow('cannot pick');
  });
});

describe('an episode', () => {
  test('follows from the seed of the run and its number', () => {
    expect(planEpisode(1, 5, OPTIONS)).toEqual(planEpisode(1, 5, OPTIONS));
    expect(planEpisode(1, 5, OPTIONS)).not.toEqual(planEpisode(2, 5, OPTIONS));
  });

  test('every fault that needs its own comes up before one comes up twice, and where it can be had', () => {
    const plans = Array.from({ length: 12 }, (_, index) => planEpisode(9, index, OPTIONS));
    const specials = plans.map(({ special }) => special).filter((special) => special !== null);
    expect(specials.slice(0, 4).sort()).toEqual(OPTIONS.specials);
    expect(specials.slice(4, 8).sort()).toEqual(OPTIONS.specials);
    expect(plans.filter(({ special, asInit }) => special === 'b' && asInit)).toEqual([]);
    expect(plans.some(({ special }) => special === null)).toBe(true);
  });

  test('has commands of unique names that say who they are', () => {
    for (let index = 0; index < 20; index++) {
      const names = planEpisode(4, index, OPTIONS).commands.map(({ name }) => name);
      expect(new Set(names).size).toBe(names.length);
      for (const name of names) if (name !== 'nginx') expect(whoIs(`${name}:m`, () => '').command).toBe(name);
    }
  });
});

describe('who a process says it is', () => {
  test.each([
    ['c07:m', '', { command: 'c07', role: 'master' }],
    ['c07:l', '', { command: 'c07', role: 'launcher' }],
    ['c07:w', '', { command: 'c07', role: 'worker' }],
    ['nginx', 'nginx: master process nginx', { command: 'nginx', role: 'master' }],
    ['nginx', 'nginx: worker process', { command: 'nginx', role: 'worker' }],
    ['chaos:stranger', '', { command: null, role: 'other' }],
    ['sh', 'sh -c c07:m', { command: null, role: 'other' }],
  ])('%s %s', (comm, title, who) => {
    expect(whoIs(comm, () => title)).toEqual(who);
  });
});

describe('the command line', () => {
  const parse = (...args: string[]) => parseOptions(args, ['x', 'y'], () => 42);

  test('what is not given has a default', () => {
    expect(parse()).toMatchObject({ seed: 42, minutes: 5, faults: null, only: null, keepGoing: false });
    expect(parse('--faults', '10')).toMatchObject({ minutes: null, faults: 10 });
    expect(parse('--seed', '0', '--only', 'x,y', '--minutes', '0.5')).toMatchObject({
      seed: 0,
      minutes: 0.5,
      only: ['x', 'y'],
    });
  });

  test.each([
    [['--seed', '-1'], '--seed'],
    [['--seed', '1.5'], 'whole'],
    [['--minutes', 'x'], '--minutes'],
    [['--only', 'x,z'], 'z'],
    [['--what'], '--what'],
  ])('%j is refused', (args, why) => {
    expect(() => parse(...args)).toThrow(why);
  });
});

test('every kind has a name of its own, and says what it is', () => {
  const kinds = [...KINDS, ...POLICY_KINDS, ...ASKING_KINDS];
  expect(new Set(kinds.map(({ name }) => name)).size).toBe(kinds.length);
  for (const { about } of kinds) expect(about).not.toBe('');
});

describe('orders of operators', () => {
  const stages = {
    a: 'running',
    b: 'starting',
    c: 'backoff',
    d: 'stopping',
    e: 'stopped',
    f: 'failed',
  } as const;
  const names = Object.keys(stages) as (keyof typeof stages)[];
  const sceneOf = (seed: number, isDown = (_: string) => false): OperatorScene => ({
    random: createRandom(seed),
    groups: ['g'],
    wishes: { names: () => names, stageOf: (name) => stages[name as keyof typeof stages], isDown },
  });
  const ordersOf = (kind: string, scene: OperatorScene): readonly string[] =>
    Array.from({ length: 300 }, () => OPERATOR_KINDS.find(({ name }) => name === kind)!.orders(scene))
      .flat()
      .map((words) => words.join(' '));

  test('follow from the seed', () => {
    for (const { name } of OPERATOR_KINDS)
      expect(ordersOf(name, sceneOf(5))).toEqual(ordersOf(name, sceneOf(5)));
    expect(ordersOf('order', sceneOf(5))).not.toEqual(ordersOf('order', sceneOf(6)));
  });

  test.each([
    ['order', ['start a --no-wait', 'stop d --timeout 15s', 'restart f --no-wait']],
    ['order-several', ['restart --all --no-wait', 'stop --group g --timeout 15s']],
    ['order-starting', ['stop b --no-wait', 'restart b --no-wait']],
    ['order-backoff', ['start c --no-wait', 'stop c --no-wait']],
    ['order-stopping', ['start d --no-wait', 'stop d --no-wait', 'restart d --no-wait']],
    ['order-resting', ['start e --no-wait', 'start f --no-wait', 'restart f --timeout 15s']],
    ['order-burst', ['start a --no-wait', 'stop a --no-wait']],
    ['order-signal', ['signal a TERM', 'signal b KILL']],
    ['order-reload', ['reload a']],
  ])('%s', (kind, some) => {
    expect(ordersOf(kind, sceneOf(5))).toEqual(expect.arrayContaining(some));
  });

  test('of what is being stopped are made where nobody is', () => {
    const scene = sceneOf(5);
    const wishes = { ...scene.wishes, stageOf: () => 'running' as const };
    const [first, second] = ordersOf('order-stopping', { ...scene, wishes });
    expect(first).toMatch(/^restart . --no-wait$/);
    expect(second?.split(' ')[1]).toBe(first?.split(' ')[1]);
  });

  test('do not stop still more where much is wished down already', () => {
    const orders = ordersOf(
      'order',
      sceneOf(5, (name) => name < 'c'),
    );
    expect(orders.filter((order) => !order.startsWith('start'))).toEqual([]);
  });

  test('are there, and scrapes, in most episodes and not in all; what was planned before is as it was', () => {
    const plans = Array.from({ length: 8 }, (_, index) => planEpisode(1, index, OPTIONS));
    expect(plans.map(({ operators }) => operators > 0)).toEqual([
      ...[true, true, true, false],
      ...[true, true, true, false],
    ]);
    expect(new Set(plans.map(({ http }) => http)).size).toBe(2);
    expect(plans[0]).toMatchObject({ http: true });
  });
});

test('the report tells what was made, what was not, and what was violated', () => {
  const plan = { ...planEpisode(1, 0, OPTIONS), label: '0' };
  const report = renderReport(
    {
      options: parseOptions(['--seed', '123'], [], () => 0),
      outcomes: [
        {
          plan,
          faults: new Map([
            ['leader-kill', 30],
            ['(of these, pids that were used again)', 7],
          ]),
          checks: new Map([['one leader', 99]]),
          longest: new Map([['oldest zombie, ms', 12.4]]),
          curve: [[1, 2_048, 20]],
          violations: [{ invariant: 'one leader', what: 'web has two' }],
          account: '',
          recording: null,
        },
      ],
      skipped: new Map([['oom', 'needs root']]),
      seconds: 60,
    },
    new Date(0),
  );
  for (const text of [
    '| date | 1970-01-01 |',
    '| seed | 123 |',
    '| faults | 30 (30 a minute) |',
    '| violations | 1 |',
    '| one leader | 99 |',
    '| oom | needs root |',
    'one leader: web has two',
    '| oldest zombie, ms | 12 |',
  ])
    expect(report).toContain(text);
});

test('every fourth episode is one with a policy file, and the others have the numbers that they always had', () => {
  const turns = Array.from({ length: 8 }, (_, turn) => turnOf(turn, 'both'));
  expect(turns.map(({ policy, index }) => `${policy ? 'p' : ''}${index}`)).toEqual([
    ...['0', 'p0', '1', '2'],
    ...['3', 'p1', '4', '5'],
  ]);
  expect(turnOf(5, 'policy')).toEqual({ policy: true, index: 5 });
  expect(turnOf(5, 'ordinary')).toEqual({ policy: false, index: 5 });
  expect(parseOptions(['--episode', 'p3'], [], () => 0).episode).toEqual({ policy: true, index: 3 });
  expect(parseOptions(['--episode', '3'], [], () => 0).episode).toEqual({ policy: false, index: 3 });
  expect(() => parseOptions(['--episode', 'px'], [], () => 0)).toThrow('cannot take --episode x');
});
