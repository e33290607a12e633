import { describe, expect, test } from 'vitest';
import { fairStep, Invariants, type Look, type Seen, type Told } from './invariants.ts';

const UPKEEP = 1;
const BOUNDS = { interval: 1_000, atOnce: 2_000, zombie: 1_000, memory: 1_000, files: 50 };

const seen = (pid: number, of: Partial<Seen> = {}): Seen => ({
  pid,
  ppid: UPKEEP,
  state: 'S',
  startTicks: pid,
  comm: 'web:m',
  command: 'web',
  role: 'master',
  tag: '77',
  ...of,
});

/** A service called web that has begun, and looks at it. */
function watched(startup = 500) {
  const invariants = new Invariants([{ name: 'web', startup, crashes: false }], BOUNDS);
  const told = (event: string, of: Told = {}) => invariants.told({ event, command: 'web', ...of });
  const look = (fair: number, processes: readonly Seen[], of: Partial<Look> = {}) =>
    invariants
      .look({ fair, processes, upkeep: UPKEEP, impaired: false, logged: true, ...of })
      .map(({ invariant }) => invariant);
  told('upkeep.started');
  return { invariants, told, look };
}

describe('a worker', () => {
  test('leads where its daemon stays in the session of its launcher, and upkeep says so; and nowhere else', () => {
    for (const inSession of [true, false]) {
      const web = { name: 'web', startup: 500, crashes: false, inSession };
      const invariants = new Invariants([web], BOUNDS);
      const told = (event: string, of: Told = {}) => invariants.told({ event, command: 'web', ...of });
      const worker = seen(11, { role: 'worker' });
      const look = (fair: number) =>
        invariants.look({ fair, processes: [worker], upkeep: UPKEEP, impaired: false, logged: true });
      told('upkeep.started');
      told('command.running', { leader: { pid: 10 } });
      expect(invariants.missing([worker])).toEqual(['web']);
      told('command.running', { leader: { pid: 11 } });
      expect(invariants.missing([worker])).toEqual(inSession ? [] : ['web']);
      expect(look(100_000).map(({ invariant }) => invariant)).toEqual(inSession ? [] : ['up again in time']);
    }
  });
});

describe('one leader', () => {
  test('two masters, seen twice, are one too many', () => {
    const { look } = watched();
    const both = [seen(10), seen(20)];
    expect(look(0, both)).toEqual([]);
    expect(look(40, both)).toEqual(['one leader']);
  });

  test('one is right; so are a dead one beside it, a worker, what it has just forked, and another right after it', () => {
    const { look } = watched();
    const beside = [seen(10, { state: 'Z' }), seen(21, { role: 'worker' }), seen(22, { ppid: 20 })];
    for (const fair of [0, 40, 80]) expect(look(fair, [...beside, seen(20)])).toEqual([]);
    expect(look(120, [seen(20), seen(30)])).toEqual([]);
    expect(look(160, [seen(30), seen(40)])).toEqual([]);
  });
});

describe('up again in time', () => {
  test('an end that nobody tells of is noticed within an interval', () => {
    const { look } = watched();
    look(5_000, [seen(10)]);
    expect(look(7_900, [])).toEqual([]);
    expect(look(8_100, [])).toEqual(['up again in time']);
  });

  test('the wait that was told is waited for, and no longer', () => {
    const { look, told } = watched();
    look(5_000, [seen(10)]);
    look(5_100, []);
    told('command.died', { restart: 1, wait: 10_000 });
    expect(look(19_300, [])).toEqual([]);
    expect(look(19_400, [])).toEqual(['up again in time']);
  });

  test('a launch has the time that its service takes', () => {
    const { look, told } = watched(8_000);
    look(20_000, [seen(10)]);
    told('command.launched', { start: 1 });
    expect(look(31_900, [])).toEqual([]);
    expect(look(32_100, [])).toEqual(['up again in time']);
  });

  test.each([
    ['it is stopped', [seen(10, { role: 'launcher', state: 'T' })], {}],
    ['upkeep is robbed of what it needs', [], { impaired: true }],
    ['its log does not arrive', [], { logged: false }],
    ['there is no upkeep', [], { upkeep: null }],
  ] as const)('nothing is due while %s', (_, processes, of) => {
    const { look } = watched();
    look(5_000, [seen(10)]);
    expect(look(50_000, processes, of)).toEqual([]);
    expect(look(52_900, [])).toEqual([]);
    expect(look(53_100, [])).toEqual(['up again in time']);
  });

  test('one that ends by itself owes nothing, and neither does anybody once everything is stopped', () => {
    const crasher = new Invariants([{ name: 'web', startup: 0, crashes: true }], BOUNDS);
    crasher.told({ event: 'upkeep.started' });
    const late: Look = { fair: 99_000, processes: [], upkeep: UPKEEP, impaired: false, logged: true };
    expect(crasher.look(late)).toEqual([]);
    const { look, told } = watched();
    told('supervisor.stopping');
    expect(look(99_000, [])).toEqual([]);
  });

  test('one that an operator has stopped owes nothing, until it is ordered up', () => {
    const { look, told, invariants } = watched();
    look(5_000, [seen(10)]);
    told('operator.ordered', { order: 'stop', commands: ['web'] });
    told('command.stopped', { left: 0 });
    expect(look(90_000, [])).toEqual([]);
    expect(invariants.missing([])).toEqual([]);
    told('operator.ordered', { order: 'restart', commands: ['web'] });
    expect(invariants.missing([])).toEqual(['web']);
    // A stop, what it leaves, and its start may take that long.
    expect(look(105_700, [])).toEqual([]);
    expect(look(105_800, [])).toEqual(['up again in time']);
  });

  test('what was stopped and is wished up is due from then on', () => {
    const { look, told } = watched();
    look(20_000, [seen(10)]);
    told('command.stopped', { left: 0 });
    expect(look(24_500, [])).toEqual([]);
    expect(look(24_600, [])).toEqual(['up again in time']);
  });

  test('who is missing: a command without a master, unless it ends by itself', () => {
    const { invariants } = watched();
    expect(invariants.missing([])).toEqual(['web']);
    expect(invariants.missing([seen(10, { state: 'Z' }), seen(11, { role: 'worker' })])).toEqual(['web']);
    expect(invariants.missing([seen(10)])).toEqual([]);
  });
});

describe('down means down', () => {
  test('whoever carries the tag of a command that was told to be stopped is one too many', () => {
    const { look, told } = watched();
    look(0, [seen(10)]);
    told('supervisor.stopping');
    told('command.stopped', { left: 0 });
    expect(look(40, [seen(11, { command: null, comm: 'sh', role: 'other' })])).toEqual(['down means down']);
  });

  test('before the end it may be started again, which may be seen before it is told', () => {
    const { look, told } = watched();
    look(0, [seen(10)]);
    told('command.stopped', { left: 0 });
    expect(look(40, [seen(11)])).toEqual([]);
  });

  test('the dead, the other commands, and what upkeep says it could not end are not', () => {
    const { look, told } = watched();
    look(0, [seen(10)]);
    told('supervisor.stopping');
    told('command.stopped', { left: 1 });
    expect(look(40, [seen(10)])).toEqual([]);
    told('command.stopped', { left: 0 });
    expect(look(80, [seen(10, { state: 'Z' }), seen(12, { command: 'db', tag: '78' })])).toEqual([]);
  });
});

describe('no old zombie', () => {
  test('one of upkeep’s is reaped within its time; it is said once', () => {
    const { look } = watched();
    const dead = seen(10, { state: 'Z' });
    expect(look(0, [dead])).toEqual([]);
    expect(look(1_000, [dead])).toEqual([]);
    expect(look(1_100, [dead])).toEqual(['no old zombie']);
    expect(look(1_200, [dead])).toEqual([]);
  });

  test('others’, and one after the other under one number, are not', () => {
    const { look } = watched();
    for (let fair = 0; fair < 3_000; fair += 500) {
      const stranger = seen(10, { state: 'Z', ppid: 5 });
      expect(look(fair, [stranger, seen(11, { state: 'Z', startTicks: fair }), seen(1_000)])).toEqual([]);
    }
  });
});

describe('counters without a gap', () => {
  test.each([
    [
      'an event is missing',
      [
        { event: 'x', seq: 1 },
        { event: 'x', seq: 3 },
      ],
    ],
    ['a restart is missing', [{ event: 'command.died', restart: 2, wait: 0 }]],
    [
      'a launch is told twice',
      [
        { event: 'command.launched', start: 1 },
        { event: 'command.launched', start: 1 },
      ],
    ],
  ])('%s', (_, events) => {
    const { told } = watched();
    const found = events.flatMap(({ event, ...of }) => told(event, of));
    expect(found.map(({ invariant }) => invariant)).toEqual(['counters without a gap']);
  });

  test('each counts up by one, and anew with a new upkeep', () => {
    const { told, invariants } = watched();
    for (let life = 0; life < 2; life++) {
      expect(told('command.launched', { start: 1, seq: 1 })).toEqual([]);
      expect(told('command.died', { restart: 1, wait: 0, seq: 2 })).toEqual([]);
      expect(told('command.launched', { start: 2, seq: 3 })).toEqual([]);
      expect(told('command.died', { restart: 2, wait: 0, seq: 4 })).toEqual([]);
      expect(told('command.died', { restart: 2, wait: null, seq: 5 })).toEqual([]);
      invariants.restarted();
    }
  });
});

describe('the rest', () => {
  const { invariants } = watched();
  const names = (found: readonly { invariant: string }[]): string[] =>
    found.map(({ invariant }) => invariant);

  test('memory and open files are bounded; clients may hold connections', () => {
    expect(names(invariants.size(1_000, 50, 0))).toEqual([]);
    expect(names(invariants.size(1_001, 51, 1))).toEqual(['bounded memory']);
    expect(names(invariants.size(1_000, 52, 1))).toEqual(['bounded files']);
  });

  test('nobody with a tag is left when upkeep has ended', () => {
    expect(names(invariants.afterwards([seen(10, { state: 'Z' }), seen(11, { tag: null })]))).toEqual([]);
    expect(names(invariants.afterwards([seen(10)]))).toEqual(['nothing left behind']);
  });

  test('upkeep lives until it is asked to end, and then ends as it should', () => {
    expect(names(invariants.ended(0, [0]))).toEqual([]);
    expect(names(invariants.ended(0, null))).toEqual(['upkeep lives']);
    expect(names(invariants.ended('SIGABRT', [0]))).toEqual(['upkeep lives']);
  });

  test('a stop has its time', () => {
    expect(names(invariants.stopTook(100, 100))).toEqual([]);
    expect(names(invariants.stopTook(101, 100))).toEqual(['a stop ends in time']);
  });

  test('what lives is adopted by a new upkeep, and not started again', () => {
    const alive = new Map([['web', 10]]);
    const running = (how: string) => new Map([['web', { how }]]);
    expect(names(invariants.adopted(alive, running('adopted'), new Set()))).toEqual([]);
    expect(names(invariants.adopted(alive, running('adopted'), new Set(['web'])))).toEqual([
      'adopts what lives',
    ]);
    expect(names(invariants.adopted(alive, running('started'), new Set()))).toEqual(['adopts what lives']);
  });

  test('a stranger that was signalled', () => {
    expect(names(invariants.harmed(5, 9))).toEqual(['strangers unharmed']);
  });

  test('every check is counted', () => {
    expect(invariants.checks.get('a stop ends in time')).toBe(2);
    expect(invariants.longest.get('longest stop of everything, ms')).toBe(101);
  });
});

describe('the fair clock', () => {
  test('goes with the time, as long as upkeep could act and somebody looked', () => {
    expect(fairStep(40, 0, false, 200, 1)).toBe(40);
    expect(fairStep(40, 15, false, 200, 1)).toBe(25);
    expect(fairStep(40, 60, false, 200, 1)).toBe(0);
    expect(fairStep(40, 0, true, 200, 1)).toBe(0);
    expect(fairStep(5_000, 0, false, 200, 1)).toBe(200);
    expect(fairStep(40, 0, false, 200, 0.25)).toBe(10);
  });
});
