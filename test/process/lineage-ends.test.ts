import { describe, expect, test } from 'vitest';
import type { Exit } from '../../machines/events.ts';
import type { Match } from '../../src/process/matching.ts';
import type { ProcessRow, TableChange } from '../../src/process/table.ts';
import { factsOf, KILLED, OK, UNKNOWN, world } from './lineage-world.ts';

// Not 1: an orphan may be given to upkeep or to init.
const SELF = 5;

type Of = Partial<ProcessRow> & { readonly command?: string };
const WEB: Of = { command: 'web' };
const WORKER: Of = { command: 'web', ppid: 10, session: 10 };

/** 10 is the launcher of `web`, others are those given. Looks tell of `web` alone. */
function started(
  others: Record<number, Of> = {},
  options: { reaping?: boolean; match?: Partial<Match>; heard?: boolean } = {},
) {
  const all = world({ self: SELF, match: {}, ...options });
  all.launch('web', 10);
  for (const [pid, of] of Object.entries(others)) all.put(Number(pid), of);
  all.look();
  return {
    ...all,
    look: (change: Partial<TableChange> = {}) => factsOf(all.lookWith(change), 'web'),
    glance: (change: Partial<TableChange> = { unlisted: true }) => factsOf(all.glance(change), 'web'),
  };
}

/** The launcher has left nobody, and a daemon is awaited. */
function awaiting(others: Record<number, Of> = {}, match: Partial<Match> = {}) {
  const all = started(others, { match });
  all.die(10, OK);
  expect(all.look()).toMatchObject(exited(10, OK));
  return all;
}

/** A daemon, 40, with a worker, 41. */
function daemon(of: Of = {}, options = {}) {
  const all = started({ 40: { ...WEB, ...of }, 41: { ...WEB, ppid: 40, session: 40 } }, options);
  all.die(10, OK);
  expect(all.look()).toMatchObject(exited(10, OK, 40));
  return all;
}

/** The daemon was killed, the worker is left. */
function leaderless() {
  const all = daemon();
  all.die(40, KILLED);
  expect(all.look()).toMatchObject(exited(40, KILLED));
  return all;
}

const counted = (tagged: number) => [{ type: 'lineage.counted', remains: { tagged } }];
const seen = (pid: number) => [{ type: 'leader.seen', leader: { pid } }];
const exited = (pid: number, exit: Exit, heir: number | null = null) => [
  { type: 'leader.exited', id: { pid }, exit, heir: heir === null ? null : { pid: heir } },
];

describe('who was killed before anybody took over from the launcher', () => {
  test.each([
    ['no master of an heir in another session', { session: 20 }, { session: 21 }, false],
    ['the master of an heir that came later in its session', { session: 30 }, { session: 30 }, true],
    ['so in the same tick', { session: 30, startTicks: 25 }, { session: 30, startTicks: 25 }, true],
    ['no master of an older heir', { session: 30, startTicks: 99 }, { session: 30 }, false],
    ['no master where sessions are not known', { session: 0 }, { session: 0 }, false],
  ])('is %s', (_, killed, heir, isMaster) => {
    const { look, die } = started({ 20: { ...WEB, ...killed }, 21: { ...WEB, ...heir } });
    die(20, KILLED);
    die(10, OK);
    expect(look()).toMatchObject(isMaster ? exited(10, KILLED) : exited(10, OK, 21));
  });

  test('is no master of who arrives in the launcher’s session, nor of who takes over from that one', () => {
    const { lineage, put, look, die } = awaiting();
    put(11, { ...WEB, session: 10 });
    lineage.dying(11);
    die(11, KILLED);
    put(12, { ...WEB, session: 10 });
    expect(look()).toMatchObject(seen(12));
    put(13, WEB);
    die(12, OK);
    expect(look()).toMatchObject(exited(12, OK, 13));
  });

  test.each([
    ['a launcher is there in its start timeout', started, 29_999, true],
    ['its start timeout is over', started, 30_000, false],
    ['a daemon is awaited', awaiting, 1_999, true],
    ['nobody is awaited any more', awaiting, 2_000, false],
    ['a daemon leads', daemon, 0, false],
  ])('is read before it is reaped while somebody may take over: %s', (_, make, after, isRead) => {
    const { lineage, put, pass } = make();
    pass(after);
    put(90, WEB);
    lineage.dying(90);
    expect(lineage.isMember(90)).toBe(isRead);
  });
});

describe('a daemon that is awaited', () => {
  test.each([
    ['an orphan that upkeep was given', { ppid: SELF }, true],
    ['an orphan that init was given', { ppid: 1 }, true],
    ['somebody else’s child', { ppid: 7 }, false],
    ['who began in the tick of the launch', { startTicks: 10 }, true],
  ])('is taken by name alone with all below it: %s', (_, of, isTaken) => {
    const { lineage, put, look } = awaiting();
    put(12, { comm: 'web', ...of });
    put(13, { ppid: 12 });
    expect(look()).toMatchObject(isTaken ? seen(12) : []);
    expect(look()).toEqual([]);
    expect(lineage.membersOf('web').map(({ pid }) => pid)).toEqual(isTaken ? [12, 13] : []);
  });

  test('stays known by its tag where it has one, and is told of once where it was named as well', () => {
    const { lineage, put, look } = awaiting();
    put(11, WEB);
    expect(lineage.appoint('web', 11)).toBeNull();
    expect(look().map(({ type }) => type)).toEqual(['leader.seen']);
    expect(lineage.evidenceOf('web')[0]!.because).toMatch(/^it carries the command's tag; /);
  });

  test('is not upkeep itself, though nobody knows when the launcher began', () => {
    const { lineage, look, die } = started({ [SELF]: { comm: 'web', ppid: 1 } });
    lineage.launched('web', { pid: 11, startTicks: 0 });
    die(10, OK);
    die(11, OK);
    expect(look()).toMatchObject(exited(11, OK));
  });

  test('is no session that the service has opened', () => {
    expect(awaiting({ 12: { ppid: 10 } }).look()).toEqual([]);
  });

  test('is the only news until its time is over; then whoever is there is counted, and leads no more', () => {
    const { put, look, pass } = awaiting({}, { name: 'web' });
    put(11, { ...WEB, comm: 'helper', argv: ['helper'] });
    pass(1_999);
    expect(look()).toEqual([]);
    pass(1);
    put(12, WEB);
    expect(look()).toMatchObject(counted(2));
  });
});

describe('who was named to lead', () => {
  test.each([
    ['is dead', (all: ReturnType<typeof started>) => all.alter(11, { state: 'Z' })],
    [
      'has gone, and its number is another command’s',
      ({ put }) => put(11, { command: 'db', startTicks: 500 }),
    ],
  ])('does not where it %s by the next look, and takes nobody along', (_, change) => {
    const all = started({ 11: WEB });
    all.lineage.appoint('web', 11);
    change(all);
    expect(all.look()).toEqual([]);
    expect(all.lineage.isMember(11)).toBe(true);
  });

  test('leads though the one that had its number before vanishes in the same look', () => {
    const { lineage, put, look } = started({ 11: WEB });
    put(11, { ...WEB, startTicks: 500 });
    expect(lineage.appoint('web', 11)).toBeNull();
    expect(look()).toMatchObject([{ type: 'leader.named', leader: { pid: 11, startTicks: 500 } }]);
  });
});

describe('how many processes a service has', () => {
  const three = (count: readonly [number, number], heard = true) =>
    started({ 11: WORKER, 12: WORKER }, { match: { count }, heard });

  test.each([
    [3, 'a zombie is missed at the first count, a second after the last', 1_000 + 1_000 + 2_000],
    [4, 'who never was there is missed from the end of the start timeout on', 31_000 + 2_000],
  ])('fewer than %i, when it has lasted, are as good as dead: %s', (least, _, at) => {
    const { alter, look, pass } = three([least, 5]);
    if (least === 3) alter(12, { state: 'Z' });
    for (let passed = 1_500; passed < at; passed += 500) {
      pass(500);
      expect(look()).toEqual([]);
    }
    pass(500);
    expect(look()).toMatchObject(exited(10, UNKNOWN));
  });

  test('is counted at once where somebody has come', () => {
    const { put, look, notices } = three([1, 3]);
    put(13, WORKER);
    look();
    expect(notices).toEqual(['web: there are 4 processes of it, and 3 at most should be']);
  });

  test('is counted as well where nobody hears of it', () => {
    expect(three([4, 5], false).look()).toEqual([]);
    const { drop, look, pass } = three([2, 2], false);
    for (const pid of [11, 12]) drop(pid);
    look();
    pass(2_000);
    expect(look()).toMatchObject(exited(10, UNKNOWN));
  });

  test('is no matter once its leader has ended: that is told with its status', () => {
    const { drop, look, pass, die } = three([3, 5]);
    drop(12);
    look();
    pass(1_900);
    die(10, KILLED);
    pass(200);
    expect(look({ unread: true })).toEqual([]);
    expect(look()).toMatchObject(exited(10, KILLED));
  });
});

describe('the end of a leader', () => {
  test('is waited for where the list lacks a launcher: the kernel will tell how it ended', () => {
    const { drop, look, die } = started();
    drop(10);
    expect(look()).toEqual([]);
    expect(die(10, KILLED)).toBe(true);
    expect(look()).toMatchObject(exited(10, KILLED));
  });

  test('is unknown of a launcher that was found gone when it was to be signalled', () => {
    const { lineage, drop, look } = started();
    drop(10);
    expect(lineage.targets('web', 'tagged')).toEqual([]);
    expect(look()).toMatchObject(exited(10, UNKNOWN));
  });

  test('is Node’s to tell of a launcher, also where nobody else is reaped', () => {
    const { lineage, alter, look, die } = started({}, { reaping: false });
    lineage.count('web', 'tagged');
    alter(10, { state: 'Z' });
    for (let looks = 0; looks < 3; looks++) expect(look()).toEqual([]);
    die(10, KILLED);
    look();
    expect(look()).toMatchObject([...exited(10, KILLED), ...counted(0)]);
  });

  test.each([
    ['our child, gone since it was listed', SELF, null],
    ['given to us since it was listed, and dead', 7, { ppid: SELF, state: 'Z' }],
  ])('is the kernel’s to tell of a daemon that is %s', (_, ppid, change) => {
    const { alter, drop, glance, look, die } = daemon({ ppid });
    if (change === null) drop(40);
    else alter(40, change);
    expect(glance()).toEqual([]);
    die(40, KILLED);
    expect(look()).toMatchObject(exited(40, KILLED));
  });

  test('of a stranger is seen though a child of ours has its number now', () => {
    const { put, look } = daemon({ ppid: 7 });
    put(40, { startTicks: 500 });
    expect(look()).toMatchObject(exited(40, UNKNOWN, 41));
  });

  test('of a daemon that is not listed may be told to somebody else: it is looked at', () => {
    const { lineage, die } = daemon();
    expect(lineage.strangers()).toEqual([]);
    die(40, KILLED);
    expect(lineage.strangers()).toEqual([40]);
  });

  test.each([
    ['by a signal', 0, KILLED],
    ['with status 0 when its start timeout is over', 30_000, OK],
  ])('of a launcher, %s, is told without a list', (_, after, exit) => {
    const { pass, glance, die } = started();
    pass(after);
    die(10, exit);
    expect(glance()).toMatchObject(exited(10, exit));
  });

  test.each([[12], [10]])(
    'of a launcher is not told without a list: a session, or itself, is no heir',
    (pid) => {
      const { lineage, glance, die, unreadable } = started({ 12: { ppid: 10 } });
      die(10, OK);
      unreadable.add(pid);
      expect(glance()).toEqual([]);
      expect(lineage.isUnsure()).toBe(true);
    },
  );

  test('keeps signals from its number, which may be a stranger by then, also where that cannot be read', () => {
    const { lineage, die, unreadable } = started();
    unreadable.add(10);
    expect(lineage.targets('web', 'tagged').map(({ pid }) => pid)).toEqual([10]);
    die(10, KILLED);
    expect(lineage.targets('web', 'tagged')).toEqual([]);
  });

  test('is waited for no longer than the linger time where looks cannot read everybody', () => {
    const { pass, look, die } = daemon();
    die(40, KILLED);
    pass(2_000);
    expect(look({ unread: true })).toMatchObject(exited(40, KILLED));
  });

  test('is no reason to look again when it has been told, whatever the next look can list or read', () => {
    const { lineage, glance } = daemon();
    expect(glance({ unlisted: true, unread: true })).toEqual([]);
    expect([lineage.isAttentive(), lineage.isUnsure()]).toEqual([false, false]);
  });

  test('while it is counted takes two looks: none that began before, and one that cannot read undoes none', () => {
    const { lineage, look, pass, die } = daemon();
    lineage.count('web', 'tagged');
    pass(100);
    die(40, KILLED);
    for (const change of [{ at: 1_050 }, {}, { unread: true }]) expect(look(change)).toEqual([]);
    expect(look()).toMatchObject([...exited(40, KILLED), ...counted(1)]);
  });

  test('that one look has found is void when the kernel is to tell of it after all', () => {
    const { lineage, look, alter } = daemon({ ppid: 7 });
    lineage.count('web', 'tagged');
    alter(40, { state: 'Z' });
    look();
    expect(lineage.isUnsure()).toBe(true);
    alter(40, { ppid: SELF });
    look();
    expect(lineage.isUnsure()).toBe(false);
  });
});

describe('a count of what is left', () => {
  test('is told anew where it is asked for anew', () => {
    const { lineage, look } = daemon();
    for (const scope of ['tagged', 'everything'] as const) {
      lineage.count('web', scope);
      expect(look()).toMatchObject(counted(2));
    }
  });

  test.each([
    ['a zombie of another parent', true, 7, true, counted(1)],
    ['gone from another parent', true, 7, false, counted(1)],
    ['a zombie that nobody tells us of', false, SELF, true, counted(1)],
    ['a zombie that we reap', true, SELF, true, []],
  ])('does without a dead leader if the kernel will tell no end: %s', (_, reaping, ppid, isDead, facts) => {
    const { lineage, look, alter, drop, pass } = daemon({ ppid }, { reaping });
    lineage.count('web', 'tagged');
    look();
    if (isDead) alter(40, { state: 'Z' });
    else drop(40);
    pass(100);
    expect(look()).toMatchObject(facts);
    expect(lineage.leaders().web).toMatchObject({ pid: 40 });
  });

  test.each(['launcher', 'daemon'])('waits for the end of a %s that is gone', (what) => {
    const all = what === 'daemon' ? daemon() : started({ 11: WORKER });
    all.lineage.count('web', 'tagged');
    all.look();
    if (what === 'daemon') all.die(40, KILLED);
    else all.drop(10);
    all.pass(100);
    expect(all.look()).toEqual([]);
  });

  test('is not taken from a look that began before it was asked for', () => {
    const { lineage, look, pass, put } = leaderless();
    pass(100);
    lineage.count('web', 'tagged');
    put(42, WEB);
    expect(look({ at: 1_050 })).toEqual([]);
    expect(look()).toMatchObject(counted(2));
  });

  test('does not come to nobody in looks that cannot read everybody', () => {
    const { lineage, glance, put, look, die } = leaderless();
    lineage.count('web', 'tagged');
    die(41, KILLED);
    for (let looks = 0; looks < 3; looks++) expect(glance({ unread: true })).toEqual([]);
    put(42, WEB);
    expect(look()).toMatchObject(counted(1));
  });

  test('that has come to nobody is what later ones are measured by', () => {
    const { lineage, look, put, die } = leaderless();
    lineage.count('web', 'tagged');
    die(41, KILLED);
    expect([...look(), ...look()]).toMatchObject(counted(0));
    put(42, WEB);
    expect(look()).toMatchObject(counted(1));
  });

  test('is no news where one has come for one that went, nor of a service that is led', () => {
    for (const { put, look, die } of [leaderless(), daemon()]) {
      die(41, KILLED);
      put(42, { ...WEB, session: 40 });
      expect(look()).toEqual([]);
    }
  });

  test('of workers that has come to nobody is no measure for a service that is led', () => {
    const { lineage, put, look } = daemon();
    lineage.count('web', 'workers');
    expect([...look(), ...look()]).toMatchObject(counted(2));
    put(42, WEB);
    expect(look()).toEqual([]);
  });
});
