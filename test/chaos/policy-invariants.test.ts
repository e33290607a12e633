import { describe, expect, test } from 'vitest';
import type { Seen, Told } from './invariants.ts';
import { differenceOf, PolicyInvariants } from './policy-invariants.ts';
import type { FileCommand, PolicyFile } from './policy-plan.ts';
import { Wishes } from './wishes.ts';

const BOUNDS = { unnamed: 10_000, atOnce: 3_000 };

const fileOf = (
  commands: Record<string, Partial<FileCommand>>,
  groups: PolicyFile['groups'] = {},
): PolicyFile => ({
  commands: Object.fromEntries(
    Object.entries(commands).map(([name, rest]) => [name, { run: name, ...rest }]),
  ),
  groups,
  defaults: {},
  container: { grace: '9s' },
});

const seen = (pid: number, command: string, role: Seen['role'] = 'master', of: Partial<Seen> = {}): Seen => ({
  pid,
  ppid: 1,
  state: 'S',
  startTicks: pid,
  comm: `${command}:x`,
  command,
  role,
  tag: '7',
  ...of,
});

function watched(file: PolicyFile) {
  const wishes = new Wishes(
    Object.keys(file.commands),
    { budget: 9_000, atOnce: 3_000, late: 1_000 },
    (name) => Object.keys(file.commands[name]?.requires ?? {}),
  );
  const invariants = new PolicyInvariants(file, BOUNDS, wishes);
  let at = 0;
  let fair = 0;
  const told = (event: string, of: Told = {}): string[] => {
    at += 10;
    wishes.told({ event, at, ...of });
    return invariants.told({ event, at, ...of }).map(({ invariant }) => invariant);
  };
  const look = (processes: readonly Seen[], later = 40): string[] => {
    fair += later;
    return invariants.look({ fair, processes, upkeep: 1 }).map(({ invariant }) => invariant);
  };
  return {
    invariants,
    wishes,
    told,
    look,
    of: (command: string, ...events: string[]): string[] =>
      events.flatMap((event) => told(`command.${event}`, { command })),
    pass: (ms: number): void => {
      at += ms;
    },
    reloaded: (of: Told = {}): string[] =>
      told('policy.reloaded', { started: [], stopped: [], restarted: [], adjusted: [], ...of }),
  };
}

describe('what is required comes first', () => {
  const file = fileOf({ a: { ready: { listening: 1 } }, b: { requires: ['a'] }, c: { after: ['b'] } });

  test('a start in order is right, and one before it is not', () => {
    const { of } = watched(file);
    expect(of('a', 'launched', 'running', 'ready')).toEqual([]);
    expect(of('b', 'launched', 'running')).toEqual([]);
    expect(of('c', 'launched')).toEqual([]);
    const early = watched(file);
    early.of('a', 'launched', 'running');
    expect(early.of('b', 'launched')).toEqual(['what is required comes first']);
    expect(watched(file).of('c', 'launched')).toEqual(['what is required comes first']);
  });

  test('what was lost a moment ago counts, what was lost long ago does not', () => {
    for (const [ms, found] of [
      [500, []],
      [5_000, ['what is required comes first']],
    ] as const) {
      const { of, pass } = watched(file);
      of('a', 'launched', 'running', 'ready', 'died');
      pass(ms);
      expect(of('b', 'launched')).toEqual(found);
    }
  });

  test('a restart by itself waits for nobody, one by a reload does; so do runs of a schedule, but no retries', () => {
    const { of, pass, reloaded, invariants } = watched(file);
    of('a', 'launched', 'running', 'ready');
    of('b', 'launched', 'running');
    of('a', 'died');
    pass(5_000);
    expect(of('b', 'died', 'launched', 'running')).toEqual([]);
    const next = fileOf({ ...file.commands, b: { requires: ['a'], env: { X: '1' } } });
    invariants.wrote(next);
    expect(reloaded({ restarted: ['b'] })).toEqual([]);
    expect(of('b', 'stopping', 'stopped', 'launched')).toEqual(['what is required comes first']);

    const cron = watched(fileOf({ a: {}, b: { kind: 'cron', schedule: '* * * * *', requires: ['a'] } }));
    cron.of('a', 'launched', 'running');
    cron.of('b', 'launched');
    cron.of('a', 'died');
    cron.pass(5_000);
    expect(cron.of('b', 'failedStart', 'launched')).toEqual([]);
    expect(cron.of('b', 'completed', 'launched')).toEqual(['what is required comes first']);
  });
});

describe('starts and stops', () => {
  test('nobody is stopped without a reason: a reload, a probe, the group', () => {
    const group = { all: { members: ['a', 'b'], strategy: 'one_for_all' as const } };
    const { of, told } = watched(fileOf({ a: {}, b: {}, c: {} }, group));
    of('a', 'launched', 'running');
    of('c', 'launched', 'running');
    expect(of('c', 'stopping')).toEqual(['no stop without a reason']);
    told('command.unhealthy', { command: 'c', next: 'restart' });
    expect(of('c', 'stopping')).toEqual([]);
    told('group.restarting', { group: 'all', members: ['a'] });
    expect(of('a', 'stopping')).toEqual([]);
  });

  test('what has completed is not started again but by a reload', () => {
    const file = fileOf({ a: { kind: 'oneshot' } });
    const { of, invariants, reloaded } = watched(file);
    of('a', 'launched', 'completed');
    expect(of('a', 'launched')).toEqual(['no start without a wish']);
    of('a', 'completed');
    invariants.wrote(fileOf({ a: { kind: 'oneshot', env: { X: '1' } } }));
    reloaded({ restarted: ['a'] });
    expect(of('a', 'launched')).toEqual([]);
  });

  test('a second launch without the end of the first is one leader too many', () => {
    const { of } = watched(fileOf({ a: {} }));
    expect(of('a', 'launched', 'running', 'died', 'launched')).toEqual([]);
    expect(of('a', 'launched')).toEqual(['one leader']);
  });

  test('in a stop those go first that come after others, and nobody is started', () => {
    const file = fileOf({ a: {}, b: { requires: ['a'] } });
    const begin = () => {
      const one = watched(file);
      one.of('a', 'launched', 'running');
      one.of('b', 'launched', 'running');
      one.told('supervisor.stopping');
      return one;
    };
    expect(begin().of('b', 'stopping', 'stopped')).toEqual([]);
    expect(begin().of('a', 'stopping')).toEqual(['stopped in order']);
    const late = begin();
    late.pass(9_000);
    expect(late.of('a', 'stopping')).toEqual([]);
    const useless = begin();
    useless.told('command.unhealthy', { command: 'a', next: 'restart' });
    expect(useless.of('a', 'stopping')).toEqual([]);
    const hurried = begin();
    hurried.invariants.hurried();
    expect(hurried.of('a', 'stopping')).toEqual([]);
    const again = begin();
    again.of('b', 'died');
    again.pass(1_000);
    expect(again.of('b', 'launched')).toContain('no start without a wish');
  });
});

describe('orders', () => {
  const file = fileOf({ a: { ready: { listening: 1 } }, b: { requires: { a: 'ready' } } });
  const ordered = (one: ReturnType<typeof watched>, order: string, ...commands: string[]): string[] =>
    one.told('operator.ordered', { order, commands });

  test('are a reason to be stopped, also when it is not yet their turn', () => {
    const one = watched(file);
    one.of('a', 'launched', 'running', 'ready');
    ordered(one, 'stop', 'a', 'b');
    // It dies by itself, and begins anew before it comes to it.
    one.of('a', 'died', 'launched', 'running');
    expect(one.of('a', 'stopping')).toEqual([]);
    const other = watched(file);
    other.of('a', 'launched', 'running', 'ready');
    ordered(other, 'signal SIGHUP', 'a');
    expect(other.of('a', 'stopping')).toEqual(['no stop without a reason']);
  });

  test('start what had failed or completed', () => {
    const once = watched(fileOf({ a: { kind: 'oneshot' } }));
    once.of('a', 'launched', 'completed');
    ordered(once, 'start', 'a');
    expect(once.of('a', 'launched', 'completed', 'launched')).toEqual(['no start without a wish']);
  });

  test('wait for what is required, where something is to be started', () => {
    const one = watched(file);
    one.of('a', 'launched', 'running', 'ready');
    one.of('b', 'launched', 'running', 'died');
    one.of('a', 'died');
    one.pass(5_000);
    ordered(one, 'start', 'b');
    expect(one.of('b', 'launched')).toEqual(['what is required comes first']);
    // It runs: the order has nothing to start, and what it dies of later is another matter.
    one.of('b', 'running');
    ordered(one, 'start', 'b');
    expect(one.of('b', 'died', 'launched')).toEqual([]);
  });

  test('leave nobody missing who was stopped, nor who waits for that', () => {
    const one = watched(file);
    one.of('a', 'launched', 'running', 'ready');
    ordered(one, 'stop', 'a');
    one.of('a', 'stopping', 'stopped');
    one.of('b', 'waiting');
    expect(one.invariants.missing([])).toEqual([]);
    ordered(one, 'start', 'a');
    expect(one.invariants.missing([])).toEqual(['a (stopped)']);
  });

  test('keep a member of a group that gives up stopped, not failed', () => {
    const one = watched(fileOf({ a: {}, c: {} }, { g: { members: ['a', 'c'], strategy: 'one_for_all' } }));
    ordered(one, 'stop', 'a');
    one.of('a', 'stopping', 'stopped');
    one.of('c', 'launched', 'stopping', 'stopped');
    one.told('group.failed', { group: 'g', time: '2026-01-01T00:00:00Z' });
    expect([one.invariants.stateOf('a'), one.invariants.stateOf('c')]).toEqual(['stopped', 'failed']);
    expect([one.wishes.stageOf('a'), one.wishes.stageOf('c')]).toEqual(['stopped', 'failed']);
    const at = Date.parse('2026-01-01T00:00:00Z');
    expect(['a', 'c'].filter((name) => one.wishes.was(name, ['failed'], at, at))).toEqual(['c']);
  });
});

describe('what a life has left', () => {
  const file = fileOf({ a: {} });
  const worker = seen(6, 'a', 'worker', { ppid: 5 });
  const orphan = seen(6, 'a', 'worker');

  test('has to be gone before the next one begins, whether it has a master yet or only a launcher', () => {
    for (const role of ['master', 'launcher'] as const) {
      const { look } = watched(file);
      expect(look([seen(5, 'a'), worker])).toEqual([]);
      expect(look([orphan])).toEqual([]);
      // It may have been read before it went, and the launcher after that.
      expect(look([orphan, seen(9, 'a', role)])).toEqual([]);
      expect(look([orphan, seen(9, 'a', role)])).toEqual(['nothing beside what is left']);
    }
  });

  test('is nobody who has a life of its own, is dead, or is younger', () => {
    const { look } = watched(file);
    for (let count = 0; count < 3; count++) {
      expect(look([seen(5, 'a'), worker])).toEqual([]);
      expect(look([{ ...orphan, state: 'Z' }, seen(9, 'a')])).toEqual([]);
      expect(look([seen(9, 'a'), seen(10, 'a', 'worker', { ppid: 9 })])).toEqual([]);
    }
  });
});

describe('reloads', () => {
  const before = fileOf({ a: {}, b: { after: ['a'] } });
  const after = fileOf({ a: { env: { X: '1' } }, c: {} });

  test('the difference of two files is that of their commands, by their meaning', () => {
    expect(differenceOf(before, before)).toBe('; ; ');
    expect(differenceOf(before, after)).toBe('c; b; a');
    expect(
      differenceOf(
        fileOf({ a: {}, b: { requires: ['a'] } }),
        fileOf({ a: {}, b: { requires: { a: 'ready' } } }),
      ),
    ).toBe('; ; ');
  });

  test('what upkeep says of one is what a file says that was written', () => {
    const { invariants, reloaded } = watched(before);
    expect(reloaded({ started: ['c'], stopped: ['b'], restarted: ['a'] })).toEqual([
      'a reload does what the file says',
    ]);
    invariants.wrote(after);
    expect(reloaded({ started: ['c'], stopped: ['b'], restarted: ['a'] })).toEqual([]);
    expect(invariants.file).toBe(after);
  });

  test('of several files that would do the same it may have read any, until it says more', () => {
    const some = (env: string) => fileOf({ a: { env: { X: env } }, b: { after: ['a'] } });
    for (const reads of [1, 2, 3]) {
      const { invariants, reloaded } = watched(before);
      for (const env of ['1', '2', '3']) invariants.wrote(some(env));
      for (let count = 0; count < reads; count++) expect(reloaded({ restarted: ['a'] })).toEqual([]);
      expect(reloaded({ restarted: ['b'] })).toEqual(['a reload does what the file says']);
    }
  });

  test('what is not named any more is gone after a while, and not started', () => {
    const { invariants, reloaded, look, of } = watched(before);
    invariants.wrote(after);
    look([seen(5, 'b')]);
    reloaded({ started: ['c'], stopped: ['b'], restarted: ['a'] });
    expect(look([seen(5, 'b')], 9_000)).toEqual([]);
    expect(look([seen(5, 'b')], 2_000)).toEqual(['only what is named']);
    expect(of('b', 'launched')).toEqual(['no start without a wish']);
  });
});

describe('probes', () => {
  test('two of one command at once, seen twice, are one too many; what one of them forks is none', () => {
    const { look } = watched(fileOf({ a: {} }));
    const child = seen(6, 'a', 'probe', { ppid: 5 });
    for (let count = 0; count < 3; count++) expect(look([seen(5, 'a', 'probe'), child])).toEqual([]);
    expect(look([seen(5, 'a', 'probe'), seen(7, 'a', 'probe')])).toEqual([]);
    expect(look([seen(5, 'a', 'probe'), seen(7, 'a', 'probe')])).toEqual(['one probe at a time']);
    const of = (pid: number, helper: string): Seen => seen(pid, 'a', 'probe', { helper });
    for (let count = 0; count < 2; count++) expect(look([of(5, '1'), of(6, '1')])).toEqual([]);
    look([of(5, '1'), of(7, '2')]);
    expect(look([of(5, '1'), of(7, '2')])).toEqual(['one probe at a time']);
  });

  test('one that is there for long is left over, and said once', () => {
    const { look } = watched(fileOf({ a: {} }));
    look([seen(5, 'a', 'probe')]);
    expect(look([seen(5, 'a', 'probe')], 7_000)).toEqual([]);
    expect(look([seen(5, 'a', 'probe')], 2_000)).toEqual(['no helper left over']);
    expect(look([seen(5, 'a', 'probe')])).toEqual([]);
  });
});

test('what is missing: neither what failed, nor who waits for that, nor a schedule', () => {
  const { invariants, of } = watched(
    fileOf({
      a: {},
      b: { requires: ['a'] },
      once: { kind: 'oneshot' },
      cron: { kind: 'cron', schedule: '* * * * *' },
      up: {},
    }),
  );
  expect(invariants.missing([])).toEqual(['a (down)', 'b (down)', 'once (down)', 'up (down)']);
  of('a', 'launched', 'failed');
  of('once', 'launched', 'completed');
  of('up', 'launched', 'running');
  expect(invariants.missing([seen(5, 'up')])).toEqual([]);
  expect(invariants.missing([])).toEqual(['up (ready)']);
});
