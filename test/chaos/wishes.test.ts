import { describe, expect, test } from 'vitest';
import type { Look, Seen, Told } from './invariants.ts';
import { type Answered, Wishes } from './wishes.ts';

const BOUNDS = { budget: 9_000, atOnce: 3_000, late: 1_000 };

const seen = (pid: number, of: Partial<Seen> = {}): Seen => ({
  pid,
  ppid: 1,
  state: 'S',
  startTicks: pid,
  comm: 'web:m',
  command: 'web',
  role: 'master',
  tag: '77',
  ...of,
});

/** Commands called web and db, and who comes before whom. */
function watched(before: Readonly<Record<string, readonly string[]>> = {}) {
  const wishes = new Wishes(['web', 'db'], BOUNDS, (name) => before[name] ?? []);
  let at = 0;
  const told = (event: string, of: Told = {}): string[] => {
    at += 10;
    return wishes
      .told({ event, at, time: new Date(at).toISOString(), ...of })
      .map(({ invariant }) => invariant);
  };
  return {
    wishes,
    told,
    of: (command: string, ...events: string[]): string[] =>
      events.flatMap((event) => told(`command.${event}`, { command, left: 0, wait: 0 })),
    ordered: (order: string, ...commands: string[]): string[] =>
      told('operator.ordered', { order, commands }),
    pass: (ms: number): void => {
      at += ms;
    },
    now: (): number => at,
    look: (fair: number, processes: readonly Seen[] = [], of: Partial<Look> = {}): string[] =>
      wishes
        .look({ fair, processes, upkeep: 1, impaired: false, logged: true, ...of })
        .map(({ invariant }) => invariant),
  };
}

describe('a wish holds', () => {
  test('what was stopped by order is not started again, until somebody orders it', () => {
    const { of, ordered, pass } = watched();
    of('web', 'launched', 'running');
    ordered('stop', 'web');
    expect(of('web', 'stopping', 'stopped')).toEqual([]);
    pass(500);
    expect(of('web', 'launched')).toEqual(['a wish holds']);
    ordered('start', 'web');
    expect(of('web', 'launched', 'running', 'died')).toEqual([]);
    pass(500);
    expect(of('web', 'launched')).toEqual([]);
  });

  test('the order that came last is the one that holds', () => {
    for (const [orders, found] of [
      [['start', 'stop'], ['a wish holds']],
      [['stop', 'restart'], []],
      [['stop', 'signal SIGTERM'], ['a wish holds']],
    ] as const) {
      const { of, ordered, pass } = watched();
      for (const order of orders) ordered(order, 'web');
      of('web', 'stopping', 'stopped');
      pass(500);
      expect(of('web', 'running')).toEqual(found);
    }
  });

  test('before it is its turn to be stopped, it may be started again by itself', () => {
    const { of, ordered, pass } = watched({ web: ['db'] });
    ordered('stop', 'web', 'db');
    expect(of('db', 'died', 'launched', 'stopping', 'stopped')).toEqual([]);
    pass(500);
    expect(of('db', 'launched')).toEqual([]);
    of('web', 'stopping', 'stopped');
    of('db', 'stopping', 'stopped');
    pass(500);
    expect(of('db', 'launched')).toEqual(['a wish holds']);
  });

  test('a later order for one of several takes it out of the earlier one', () => {
    const { of, ordered, pass } = watched({ web: ['db'] });
    ordered('stop', 'web', 'db');
    ordered('start', 'web');
    of('db', 'stopping', 'stopped');
    pass(500);
    expect(of('db', 'launched')).toEqual(['a wish holds']);
  });

  test('at the end, and with another upkeep, there are no wishes', () => {
    const { of, ordered, pass, wishes } = watched();
    ordered('stop', 'web');
    of('web', 'stopping', 'stopped');
    expect(wishes.isDown('web')).toBe(true);
    wishes.restarted();
    pass(500);
    expect(wishes.isDown('web')).toBe(false);
    expect(of('web', 'launched')).toEqual([]);
  });
});

describe('an order is carried out', () => {
  test('a stop within its budget', () => {
    const { of, ordered, look } = watched();
    of('web', 'launched', 'running');
    ordered('stop', 'web');
    expect(look(11_900)).toEqual([]);
    expect(look(12_100)).toEqual(['an order is carried out']);
    // It is said once.
    expect(look(20_000)).toEqual([]);
  });

  test('one after the other, where one needs the other', () => {
    const { ordered, look, of } = watched({ web: ['db'] });
    ordered('stop', 'web', 'db');
    expect(look(11_900)).toEqual([]);
    expect(look(12_100)).toEqual(['an order is carried out']);
    of('web', 'stopping', 'stopped');
    expect(look(23_900)).toEqual([]);
    expect(look(24_100)).toEqual(['an order is carried out']);
  });

  test('a restart begins anew, or has a reason not to', () => {
    for (const event of ['launched', 'running', 'waiting', 'failed', 'completed', 'scheduled']) {
      const { of, ordered, look } = watched();
      ordered('restart', 'web');
      of('web', 'stopping', 'stopped', event);
      expect(look(30_000)).toEqual([]);
    }
    const { of, ordered, look } = watched();
    ordered('restart', 'web');
    of('web', 'stopping', 'stopped');
    expect(look(14_200)).toEqual([]);
    expect(look(14_300)).toEqual(['an order is carried out']);
  });

  test('nothing is due while upkeep is robbed of what it needs', () => {
    const { ordered, look } = watched();
    ordered('stop', 'web');
    expect(look(50_000, [], { impaired: true })).toEqual([]);
    expect(look(61_900)).toEqual([]);
    expect(look(62_100)).toEqual(['an order is carried out']);
  });

  test('a command that the policy names no more owes nothing', () => {
    const { ordered, look, told, of } = watched();
    ordered('stop', 'web');
    told('policy.reloaded', { stopped: ['web'], started: ['new'] });
    expect(look(50_000)).toEqual([]);
    ordered('stop', 'new');
    of('new', 'stopping', 'stopped', 'died');
    expect(look(90_000)).toEqual([]);
  });
});

describe('down means down', () => {
  const stopped = () => {
    const one = watched();
    one.look(0, [seen(10), seen(11, { command: null, role: 'other', comm: 'sh' })]);
    one.ordered('stop', 'web');
    one.of('web', 'stopping', 'stopped');
    return one;
  };

  test('whoever carries the tag of what was stopped is one too many, unless it goes soon', () => {
    const other = seen(12, { command: null, role: 'other', comm: 'sh' });
    const { look } = stopped();
    expect(look(40, [other])).toEqual([]);
    expect(look(1_000, [other])).toEqual([]);
    expect(look(1_100, [other])).toEqual(['down means down']);
    const { look: briefly } = stopped();
    for (let fair = 0; fair < 5_000; fair += 900)
      expect(briefly(fair, [{ ...other, startTicks: fair }])).toEqual([]);
  });

  test('the dead, other commands, and who helps are not; nor what upkeep could not end', () => {
    const { look } = stopped();
    for (const fair of [40, 5_000])
      expect(
        look(fair, [
          seen(12, { state: 'Z' }),
          seen(13, { command: 'db', tag: '78' }),
          seen(14, { role: 'probe', tag: '79' }),
        ]),
      ).toEqual([]);
    const { ordered, told, look: other } = watched();
    other(0, [seen(10)]);
    ordered('stop', 'web');
    told('command.stopped', { command: 'web', left: 1 });
    for (const fair of [40, 5_000]) expect(other(fair, [seen(10)])).toEqual([]);
  });

  test('who turns up late is stopped as well, and has the time of a stop', () => {
    const { of, look } = stopped();
    of('web', 'stopping');
    expect(look(5_000, [seen(12)])).toEqual([]);
    expect(look(12_100, [seen(12)])).toEqual(['an order is carried out']);
  });
});

describe('an answer is true', () => {
  const answers = (of: Partial<Answered>, events: (one: ReturnType<typeof watched>) => void): string[] => {
    const one = watched();
    const asked = one.now();
    events(one);
    one.wishes.answered({ verb: 'stop', asked, known: one.now(), code: 0, lines: [], ...of });
    one.pass(1_000);
    // Only then all of it has been told.
    return one.told('upkeep.notice');
  };

  test.each<[string, Partial<Answered>, string[], string[]]>([
    ['stopped, and it was', { lines: ['web: stopped'] }, ['launched', 'stopping', 'stopped'], []],
    ['stopped, and it was not', { lines: ['web: stopped'] }, ['launched', 'running'], ['an answer is true']],
    ['running, and it was', { verb: 'start', lines: ['web: running: pid 7'] }, ['launched', 'running'], []],
    [
      'running, and it was not',
      { verb: 'start', lines: ['web: running: pid 7, ready'] },
      ['launched'],
      ['an answer is true'],
    ],
    [
      'restarted, and it was not',
      { verb: 'restart', lines: ['web: running: pid 7'] },
      ['running'],
      ['an answer is true'],
    ],
    [
      'somebody has started it, and nobody has',
      { code: 1, lines: ['upkeep: cannot stop web: somebody has started it meanwhile'] },
      ['launched'],
      ['an answer is true'],
    ],
    ['nobody of that name', { code: 4, lines: ['upkeep: cannot find x: no command has that name'] }, [], []],
    ['a mistake', { code: 70, lines: ['upkeep: cannot go on'] }, [], ['an answer is true']],
  ])('%s', (_, answer, events, found) => {
    expect(answers(answer, ({ of }) => void of('web', ...events))).toEqual(found);
  });

  test('somebody has started it, and so it was', () => {
    const lines = ['upkeep: cannot stop web: somebody has started it meanwhile'];
    expect(answers({ code: 1, lines }, ({ ordered }) => void ordered('start', 'web'))).toEqual([]);
    const other = ['upkeep: cannot start web: somebody has stopped it meanwhile'];
    expect(answers({ code: 1, lines: other }, ({ ordered }) => void ordered('stop', 'web'))).toEqual([]);
    // Its group, to start it again.
    const group = ({ of }: ReturnType<typeof watched>): void =>
      void of('web', 'launched', 'stopping', 'stopped');
    expect(answers({ code: 1, lines: other }, group)).toEqual(['an answer is true']);
    expect(answers({ code: 1, lines: other }, ({ ordered }) => void ordered('start', 'web'))).toEqual([
      'an answer is true',
    ]);
  });

  test('what was long before does not make it true', () => {
    const one = watched();
    one.of('web', 'stopping', 'stopped', 'launched');
    one.pass(1_000);
    one.wishes.answered({
      verb: 'stop',
      asked: one.now(),
      known: one.now(),
      code: 0,
      lines: ['web: stopped'],
    });
    one.pass(1_000);
    expect(one.told('upkeep.notice')).toEqual(['an answer is true']);
  });
});

test('an order that is still to come is a reason to be stopped', () => {
  const { wishes, ordered, of } = watched({ web: ['db'] });
  expect(wishes.isToStop('db')).toBe(false);
  ordered('restart', 'web', 'db');
  expect(wishes.isToStop('db')).toBe(true);
  of('web', 'stopping', 'stopped');
  of('db', 'stopping', 'stopped');
  expect(wishes.isToStop('db')).toBe(false);
  ordered('start', 'db');
  expect(wishes.isToStop('db')).toBe(false);
});

test('stages are what events tell', () => {
  const { wishes, told, of } = watched();
  const stages = ['launched', 'running', 'stopping', 'stopped', 'failed', 'waiting', 'completed'].map(
    (event) => {
      of('web', event);
      return wishes.stageOf('web');
    },
  );
  expect(stages).toEqual([
    ...['starting', 'running', 'stopping', 'stopped'],
    ...['failed', 'waiting', 'completed'],
  ]);
  told('command.died', { command: 'web', wait: 500 });
  expect(wishes.stageOf('web')).toBe('backoff');
});
