import { describe, expect, test } from 'vitest';
import type { Lineage } from '../../src/process/lineage.ts';
import { FAILED, factsOf, KILLED, OK, pidsOf, UNKNOWN, world } from './lineage-world.ts';

const reasonsOf = (lineage: Lineage, command: string) =>
  lineage.evidenceOf(command).map(({ row, because }) => [row.pid, because]);

describe('what is adopted by name', () => {
  test('has below it what descends from it, and neither strangers nor what is another command’s', () => {
    const { lineage, put, adopt } = world();
    const row = put(20, { comm: 'db' });
    put(21, { ppid: 20 });
    put(22, { command: 'web', ppid: 20 });
    put(30);
    adopt();
    lineage.adoptByName('db', row);
    expect(pidsOf(lineage.targets('db', 'everything'))).toEqual([20, 21]);
    expect(pidsOf(lineage.targets('web', 'everything'))).toEqual([22]);
    expect(reasonsOf(lineage, 'db')).toEqual([
      [20, 'its name fits; nothing better is known'],
      [21, 'its name fits; the leader is another one'],
    ]);
  });

  test('is found and awaited by name where there are no tags, as nobody is another upkeep’s there', () => {
    const { lineage, put, adopt, launch, look, die } = world({ tagged: false });
    put(20, { comm: 'db', ppid: 0 });
    adopt();
    expect(pidsOf(lineage.candidatesByName().get('db') ?? [])).toEqual([20]);
    launch('web', 30);
    look();
    die(30, OK);
    look();
    put(31, { comm: 'web' });
    expect(factsOf(look(), 'web')).toMatchObject([
      { type: 'leader.seen', leader: { pid: 31, rule: 'name' } },
    ]);
  });
});

describe('the session of a process', () => {
  test.each([
    ['makes an orphan its kin where there are no tags', false, 10, ['web', 'web']],
    ['makes nobody kin where it is not known', false, 0, ['web', null]],
    ['makes nobody kin where there are tags', true, 10, ['web', null]],
  ])('%s', (_, tagged, session, expected) => {
    const { lineage, launch, put, look } = world({ tagged });
    launch('web', 10);
    put(11, { ppid: 10, session });
    look();
    put(12, { session });
    look();
    expect([11, 12].map(lineage.commandOf)).toEqual(expected);
    const because =
      'it descends from what upkeep started; the launcher is there, and leads as long as it stays';
    if (expected[1] === 'web') expect(reasonsOf(lineage, 'web')).toContainEqual([12, because]);
  });

  test('tells no workers as long as no leader has died', () => {
    const { lineage, launch, put, look } = world();
    launch('web', 10);
    put(11, { command: 'web', session: 1 });
    look();
    expect(lineage.targets('web', 'workers')).toEqual([]);
  });

  test('makes a worker of whoever is left where it is not known', () => {
    const { launch, put, look, die } = world();
    launch('web', 10);
    put(11, { command: 'web', ppid: 10, session: 0 });
    look();
    die(10, FAILED);
    expect(factsOf(look(), 'web')).toMatchObject([{ heir: null, remains: { workers: 1, tagged: 1 } }]);
  });
});

describe('a session that the service has opened', () => {
  test('does not lead on a cold start, even if its name fits and nobody else’s does', () => {
    const { lineage, put, adopt } = world();
    put(11, { command: 'web', comm: 'helper' });
    put(12, { comm: 'web', ppid: 11 });
    adopt();
    expect(lineage.leaders().web).toMatchObject({ pid: 11 });
  });

  test('does not take over from the launcher that has left nobody else', () => {
    const { lineage, launch, put, look, die } = world();
    launch('web', 10);
    put(12, { comm: 'web', ppid: 10 });
    look();
    die(10, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ heir: null, remains: { tagged: 0, sessions: 1 } }]);
    // Nothing tells any more whose it is but what was known.
    put(12, { comm: 'web' });
    expect(lineage.commandOf(12)).toBe('web');
  });
});

describe('the command of a process', () => {
  test('is that of its own tag, whoever is above it', () => {
    const { lineage, put } = world();
    put(7, { ppid: 0 });
    put(20, { command: 'web', ppid: 7 });
    expect(lineage.commandOf(20)).toBe('web');
  });

  test('is none for upkeep and its other children while it has the tag on it that a launch is to inherit', () => {
    const { lineage, put } = world({ self: 50 });
    put(50, { command: 'web', ppid: 1 });
    put(51, { ppid: 50 });
    expect([50, 51].map(lineage.commandOf)).toEqual([null, null]);
  });

  test('is none for what init has started, even if init is in the session of a service', () => {
    const { lineage, put, adopt } = world({ tagged: false, self: 50 });
    put(1, { ppid: 0, session: 1 });
    const row = put(20, { comm: 'web', ppid: 1, session: 1 });
    put(30, { ppid: 1 });
    adopt();
    lineage.adoptByName('web', row);
    expect([1, 20, 30].map(lineage.commandOf)).toEqual([null, 'web', null]);
  });

  test('is remembered of the last 64 that have left', () => {
    const { lineage, put, drop, look } = world();
    const left = Array.from({ length: 65 }, (_, index) => 100 + index);
    for (const pid of left) put(pid, { command: 'web' });
    look();
    for (const pid of left.slice(0, 64)) drop(pid);
    look();
    expect(lineage.commandOf(100)).toBe('web');
    drop(164);
    look();
    expect([100, 101, 164].map(lineage.commandOf)).toEqual([null, 'web', 'web']);
  });
});

describe('a launcher of which is not known when it began', () => {
  test('is the process that is listed by its number, leads since it was launched, and joins once', () => {
    const { lineage, put, look } = world();
    lineage.launched('web', { pid: 10, startTicks: 0 });
    const before = lineage.changes('web');
    put(10, { command: 'web' });
    expect(look()).toEqual([]);
    expect(lineage.changes('web')).toBe(before);
    expect(pidsOf(lineage.targets('web', 'tagged'))).toEqual([10]);
    expect(lineage.leaders().web).toMatchObject({ pid: 10, since: 1_000 });
  });

  test('takes nothing from the other command whose launcher has been given its number', () => {
    const { lineage, launch, look, die } = world();
    launch('web', 10, 0);
    look();
    die(10, FAILED);
    launch('db', 10, 0);
    const facts = look();
    expect(factsOf(facts, 'web')).toMatchObject([{ id: { pid: 10 }, exit: FAILED }]);
    expect(factsOf(facts, 'db')).toEqual([]);
    expect(lineage.commandOf(10)).toBe('db');
  });
});

describe('the end of a leader', () => {
  test('leaves the process of its own that has been given its number', () => {
    const { lineage, launch, put, look, die } = world();
    launch('web', 10);
    look();
    die(10, FAILED);
    put(10, { command: 'web', startTicks: 20 });
    expect(factsOf(look(), 'web')).toMatchObject([{ id: { startTicks: 10 }, remains: { tagged: 1 } }]);
    expect(pidsOf(lineage.membersOf('web'))).toEqual([10]);
  });

  test.each([
    ['within the start timeout', 29_999, { pid: 11 }],
    ['when that is over', 30_000, null],
  ])('with status 0 %s: whether a daemon takes over', (_, after, heir) => {
    const { launch, put, look, die, pass } = world();
    launch('web', 10);
    put(11, { command: 'web', ppid: 10 });
    look();
    pass(after);
    die(10, OK);
    const [fact] = factsOf(look(), 'web');
    expect(fact).toMatchObject({ type: 'leader.exited', heir });
  });

  test.each([
    ['right after it was found is a fork of a daemon, and the next one takes over', 1_999, { pid: 61 }],
    ['later is its end, whoever is left without children', 2_000, null],
  ])('of which no status is known, %s', (_, after, heir) => {
    const { put, drop, adopt, look, pass } = world();
    pass(60_000);
    put(60, { command: 'web', ppid: 7 });
    adopt();
    put(61, { command: 'web', ppid: 60, session: 60 });
    look();
    pass(after);
    drop(60);
    expect(factsOf(look(), 'web')).toMatchObject([{ type: 'leader.exited', exit: UNKNOWN, heir }]);
  });

  test('of which no status is known, long after the start: a master in its session takes over', () => {
    const { put, drop, adopt, look, pass } = world();
    put(60, { command: 'web', ppid: 7 });
    put(61, { command: 'web', ppid: 60, session: 60 });
    put(62, { command: 'web', ppid: 61, session: 60 });
    adopt();
    pass(60_000);
    drop(60);
    expect(factsOf(look(), 'web')).toMatchObject([{ exit: UNKNOWN, heir: { pid: 61 } }]);
  });

  test('that the service had named is none of a launcher: who stays in another session does not take over', () => {
    const { lineage, launch, put, look, die } = world();
    launch('web', 10);
    put(11, { command: 'web', ppid: 10 });
    look();
    lineage.appoint('web', 11);
    look();
    die(11, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ id: { pid: 11 }, exit: OK, heir: null }]);
  });

  test('has not the status of what was killed before it took over', () => {
    const { launch, put, look, die } = world();
    launch('web', 10);
    put(11, { command: 'web', ppid: 10 });
    put(12, { command: 'web', comm: 'helper', session: 11 });
    put(13, { command: 'web' });
    look();
    die(11, KILLED);
    die(10, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ id: { pid: 10 }, exit: OK, heir: { pid: 13 } }]);
    die(13, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ id: { pid: 13 }, exit: OK, heir: { pid: 12 } }]);
  });

  test('while it is counted is concluded from two looks for each leader anew', () => {
    const { lineage, launch, put, look, die } = world();
    launch('web', 10);
    put(11, { command: 'web' });
    look();
    lineage.count('web', 'tagged');
    look();
    die(10, OK);
    expect([look(), lineage.isUnsure()]).toEqual([[], true]);
    expect(factsOf(look(), 'web')).toMatchObject([{ heir: { pid: 11 } }, { type: 'lineage.counted' }]);
    expect(lineage.isUnsure()).toBe(false);
    die(11, KILLED);
    expect([look(), lineage.isUnsure()]).toEqual([[], true]);
    expect(factsOf(look(), 'web')).toMatchObject([{ id: { pid: 11 } }, { type: 'lineage.counted' }]);
  });
});

test('a pid file that is older than the process of that number names nobody', () => {
  const { launch, put, look, die, pass, pidFile } = world({ match: { pidFile: '/run/web.pid' } });
  pass(99_000);
  launch('web', 10);
  put(11, { command: 'web', startTicks: 9_000 });
  look();
  Object.assign(pidFile, { pid: 11, age: 50_000 });
  die(10, OK);
  expect(factsOf(look(), 'web')).toMatchObject([{ type: 'leader.exited', heir: null }]);
  pidFile.age = 5_000;
  expect(factsOf(look(), 'web')).toMatchObject([{ type: 'leader.seen', leader: { pid: 11 } }]);
});

test('a new leader has the whole start to be joined by as many as there should be', () => {
  const { launch, put, look, die, pass } = world({ match: { count: [3, 5] } });
  launch('web', 10);
  for (const pid of [11, 12]) put(pid, { command: 'web' });
  look();
  die(10, OK);
  expect(factsOf(look(), 'web')).toMatchObject([{ heir: { pid: 11 } }]);
  for (let second = 1; second < 30; second++) {
    pass(1_000);
    expect(look()).toEqual([]);
  }
});
