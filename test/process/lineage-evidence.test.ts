import { describe, expect, test } from 'vitest';
import { createTags } from '../../src/process/tags.ts';
import { FAILED, factsOf, KILLED, matching, OK, pidsOf, SELF, world as whole } from './lineage-world.ts';

const FOREIGN = String(createTags('another upkeep', ['web']).numberOf('web'));

/** The world of which the facts about web are told. */
function world(options: Parameters<typeof whole>[0] = {}) {
  const all = whole(options);
  return {
    ...all,
    look: () => factsOf(all.look(), 'web'),
    lookAside: () => factsOf(all.glance(), 'web'),
  };
}

const TAG = "it carries the command's tag";

/** web has a launcher and a worker. PAM opened 12 below it, with a copy of what db carries, and it is an orphan by now. */
function withCopiedTag() {
  const all = world();
  all.launch('web', 10);
  all.launch('db', 20);
  all.put(11, { command: 'web', ppid: 10, session: 10 });
  all.put(12, { command: 'db', ppid: 10 });
  all.look();
  all.alter(12, { ppid: SELF });
  return all;
}

describe('the evidence about a command', () => {
  /** What is said of each, by pid. */
  const said = ({ lineage }: ReturnType<typeof world>) =>
    lineage.evidenceOf('web').map(({ row, verdict, because }) => [row.pid, verdict, because]);

  test('says of its own who leads, who is a session, who has ended, and for whom they make way', () => {
    const all = world();
    all.launch('web', 10);
    all.put(11, { command: 'web', ppid: 10, session: 10 });
    all.put(12, { ppid: 10 });
    all.put(13, { command: 'web', ppid: 10, session: 10 });
    all.look();
    all.alter(13, { state: 'Z', argv: [] });
    expect(said(all)).toEqual([
      [10, 'leader', `${TAG}; upkeep started it, and it stayed`],
      [11, 'member', `${TAG}; the launcher is there, and leads as long as it stays`],
      [12, 'member', 'a session that the service opened (a login, a job of cron): no part of the service'],
      [13, 'member', 'a zombie: it has ended, and its parent has not asked how'],
    ]);
  });

  test('says of what a launcher left in its session that another one leads, as long as one does', () => {
    const all = world();
    all.launch('web', 10);
    all.put(11, { command: 'web' });
    all.put(12, { command: 'web', comm: 'helper', session: 10 });
    all.look();
    all.die(10, OK);
    all.look();
    expect(said(all)).toEqual([
      [11, 'leader', `${TAG}; it outlived its launcher, and its name fits best or it is the oldest`],
      [12, 'member', `${TAG}; the leader is another one`],
    ]);
  });

  test('says of those in a dead leader’s session that they are its workers, and of others that nobody leads', () => {
    const all = world();
    all.launch('web', 10);
    all.put(11, { command: 'web', session: 10 });
    all.put(12, { command: 'web', session: 12 });
    all.look();
    all.die(10, KILLED);
    all.look();
    expect(said(all)).toEqual([
      [11, 'member', `${TAG}; a worker of the leader that died`],
      [12, 'member', `${TAG}; nobody leads`],
    ]);
    expect(all.lineage.standings().map(({ verdict }) => verdict)).toEqual(['member', 'member']);
    expect(all.lineage.standings()[0]!.because).toBe(`${TAG}; a worker of the leader that died`);
    expect(all.lineage.ledBy(11)).toBeNull();
  });

  test.each([
    ['a helper', {}, 'it is a helper (a probe, a stop command)'],
    ['another command’s', { command: 'db' }, `it belongs to db, ${TAG}`],
    ['another upkeep’s', { locks: FOREIGN }, 'it carries the tag of another upkeep'],
    ['a stranger', {}, 'upkeep did not start it, and adopts by name at its own start alone'],
    ['a stranger beside a leader', {}, 'web has a leader that is known by more'],
  ])('says why %s is refused that has its name', (who, of, why) => {
    const all = world();
    if (who === 'a helper') all.lineage.helper(30, true);
    if (who === 'a stranger beside a leader') all.launch('web', 10);
    all.put(30, { ...of, comm: 'web' });
    all.look();
    expect(said(all).at(-1)).toEqual([30, 'refused', expect.stringMatching(/^only its name fits: /)]);
    expect(said(all).at(-1)![2]).toBe(`only its name fits: ${why}`);
  });

  test('passes over upkeep, what it descends from, kernel threads and other names', () => {
    const all = world();
    // What is read of two of them at different times may be a circle.
    all.put(7, { ppid: 8, comm: 'web' });
    all.put(8, { ppid: 7, comm: 'web' });
    all.put(SELF, { ppid: 7, comm: 'web' });
    all.put(30, { comm: 'web', argv: [] });
    all.put(31);
    all.look();
    expect(said(all)).toEqual([]);
    expect(all.lineage.standings().map(({ verdict }) => verdict)).toEqual(Array(5).fill(null));
  });

  test('passes over who is gone and who cannot be read, and knows nothing of a command that there is not', () => {
    const all = world();
    all.launch('web', 10);
    for (const pid of [11, 12]) all.put(pid, { command: 'web', ppid: 10, session: 10 });
    all.look();
    all.drop(11);
    all.unreadable.add(12);
    expect(said(all).map(([pid]) => pid)).toEqual([10]);
    expect(all.lineage.evidenceOf('nobody')).toEqual([]);
  });
});

describe('what all processes are', () => {
  test('comes in the order of their age, and of their number where they began at once', () => {
    const { lineage, put, look } = world();
    put(13, { startTicks: 50 });
    put(11, { startTicks: 50 });
    put(12, { startTicks: 90 });
    put(14, { startTicks: 40 });
    look();
    expect(pidsOf(lineage.standings().map(({ row }) => row))).toEqual([14, 11, 13, 12]);
  });

  test('shows a launcher that no look has listed as one that runs, by no name yet', () => {
    const { lineage, launch } = world();
    launch('web', 10);
    expect(lineage.standings()[0]!.row).toEqual(
      expect.objectContaining({ pid: 10, ppid: SELF, session: 10, state: 'R', comm: '', argv: [] }),
    );
  });

  test('speaks of names up to 5,000 comparisons of strangers with commands; its own cost none', () => {
    const { lineage, launch, put, look } = world();
    launch('web', 10);
    for (let pid = 1_000; pid < 3_500; pid++) put(pid);
    put(1_000, { comm: 'web' });
    const verdictOf = (pid: number) => lineage.standings().find(({ row }) => row.pid === pid)?.verdict;
    look();
    expect(verdictOf(1_000)).toBe('refused');
    put(3_500);
    look();
    expect([verdictOf(1_000), verdictOf(10)]).toEqual([null, 'leader']);
  });
});

describe('whom a command may be given', () => {
  test('by name: nobody, where some of its own are there, though none of them may lead', () => {
    const { lineage, adopt, put } = world({ match: { name: 'main' } });
    put(11, { command: 'web' });
    put(20, { comm: 'main', ppid: 0 });
    adopt();
    expect(lineage.leaders()).toEqual({});
    expect(lineage.candidatesByName().size).toBe(0);
  });

  test('by name: nobody, as long as its leader’s end is not told, nor who is dead', () => {
    const { lineage, adopt, put, drop } = world();
    put(30, { command: 'web', ppid: 7 });
    put(31, { comm: 'web', ppid: 0 });
    put(32, { comm: 'db', ppid: 0, state: 'Z' });
    adopt();
    drop(30);
    expect(lineage.targets('web', 'everything')).toEqual([]);
    expect(lineage.candidatesByName().size).toBe(0);
  });

  test('one that is added finds its only process', () => {
    const { lineage, adopt, put } = world();
    put(11, { command: 'new' });
    adopt();
    expect(lineage.add({ name: 'new', fits: ['new'] })).toMatchObject({ pid: 11, rule: 'tag' });
  });

  test('one that comes back takes no session from who opened it, though PAM copied a tag into it', () => {
    const { lineage, put, look } = withCopiedTag();
    put(30, { command: 'new' });
    look();
    lineage.add({ name: 'new', fits: ['new'] });
    expect(pidsOf(lineage.targets('db', 'everything'))).toEqual([20]);
    expect(pidsOf(lineage.targets('web', 'everything'))).toEqual([10, 11, 12]);
  });

  test('who was a helper, and has ended, leaves its number to others', () => {
    const { lineage, put, look } = world();
    lineage.helper(11, true);
    lineage.helper(11, false);
    put(11, { command: 'web' });
    look();
    expect([lineage.isMember(11), lineage.isMember(12)]).toEqual([true, false]);
  });
});

describe('who is named to lead', () => {
  const NOBODY = 'there is no such process';
  const NOT_ITS = 'that is none of its processes';

  test('is not looked for once nobody leads who could be followed: then no word is refused', () => {
    const { lineage, launch, look, die, pass } = world();
    expect(lineage.appoint('web', 404)).toBeNull();
    launch('web', 10);
    die(10, OK);
    look();
    pass(1_999);
    expect([lineage.appoint('web', 404), lineage.isAttentive()]).toEqual([NOBODY, true]);
    pass(1);
    expect([lineage.appoint('web', 404), lineage.isAttentive()]).toEqual([null, false]);
  });

  test('may be who leads already, match or not, and takes back what was said before', () => {
    const { lineage, launch, put, look } = world({ match: { name: 'main' } });
    launch('web', 10);
    put(11, { command: 'web', comm: 'main' });
    look();
    expect([lineage.appoint('web', 11), lineage.appoint('web', 10)]).toEqual([null, null]);
    expect(look()).toEqual([]);
  });

  test('is no session that another command opened, though PAM copied the tag into it', () => {
    expect(withCopiedTag().lineage.appoint('db', 12)).toBe(NOT_ITS);
  });

  test('is there, if known, though it cannot be read just now; if not known, it is not', () => {
    const { lineage, unreadable } = withCopiedTag();
    unreadable.add(11).add(404);
    expect([lineage.appoint('web', 11), lineage.appoint('web', 404)]).toEqual([null, NOBODY]);
  });

  test('is who has the number now, not the stranger who had it', () => {
    const { lineage, launch, put, look } = world();
    launch('web', 10);
    put(11);
    look();
    put(11, { command: 'web', startTicks: 500 });
    expect(lineage.appoint('web', 11)).toBeNull();
    expect(look()).toMatchObject([{ type: 'leader.named', leader: { pid: 11, startTicks: 500 } }]);
  });
});

describe('an end', () => {
  test('of a stranger that became a child of ours just before is told with the kernel’s word', () => {
    const { adopt, put, alter, lookAside, die } = world();
    put(40, { command: 'web', ppid: 7 });
    adopt();
    alter(40, { ppid: SELF, state: 'Z' });
    expect(lookAside()).toEqual([]);
    die(40, KILLED);
    expect(lookAside()).toMatchObject([{ type: 'leader.exited', id: { pid: 40 }, exit: KILLED }]);
  });

  test.each([
    ['of one that is listed takes it out of the list', 10, [10]],
    ['of one that is not listed yet does as well: a list that is being read may have it', null, [10]],
    ['does not take out who has the number by now', 99, []],
  ])('%s', (_, listed, out) => {
    const { lineage, launch, put, die, ended } = world();
    launch('web', 10);
    if (listed !== null) {
      put(10, { command: 'web', startTicks: listed });
      lineage.commandOf(10);
    }
    die(10, KILLED);
    expect(ended).toEqual(out);
  });

  test('of nobody whom there is nothing to read of is no reason to fail', () => {
    const { lineage, launch } = world();
    launch('web', 10);
    lineage.dying(404);
    expect([404, 10].map(lineage.isMember)).toEqual([false, true]);
  });

  test.each([OK, FAILED])(
    'with a status, of what made the session of a daemon, leaves the daemon to lead: %o',
    (exit) => {
      const { launch, put, look, alter, die } = world();
      launch('web', 10);
      put(11, { command: 'web' });
      put(12, { command: 'web', ppid: 11, session: 11 });
      look();
      die(11, exit);
      alter(12, { ppid: SELF });
      die(10, OK);
      expect(look()).toMatchObject([{ type: 'leader.exited', id: { pid: 10 }, heir: { pid: 12 } }]);
    },
  );

  test('by a signal, of a login, is not that of a daemon', () => {
    const { launch, put, look, die } = world();
    launch('web', 10);
    put(11, { ppid: 10 });
    put(12, { command: 'web', session: 11 });
    look();
    die(11, KILLED);
    die(10, OK);
    expect(look()).toMatchObject([{ id: { pid: 10 }, heir: { pid: 12 } }]);
  });

  test('by a signal, when a daemon has taken over, is not that of one that was to take over', () => {
    const { launch, put, look, die } = world();
    launch('web', 10);
    put(11, { command: 'web' });
    look();
    die(10, OK);
    expect(look()).toMatchObject([{ heir: { pid: 11 } }]);
    put(12, { command: 'web' });
    put(13, { command: 'web', session: 12 });
    look();
    die(12, KILLED);
    die(11, OK);
    expect(look()).toMatchObject([{ id: { pid: 11 }, heir: { pid: 13 } }]);
  });

  test('leaves as workers who are in the session that the dead made last, whoever else is left', () => {
    const { launch, put, look, die } = world();
    launch('web', 10);
    put(11, { command: 'web', session: 10 });
    look();
    die(10, OK);
    look();
    put(12, { command: 'web', session: 11 });
    put(13, { command: 'web' });
    look();
    die(11, KILLED);
    expect(look()).toMatchObject([{ id: { pid: 11 }, heir: null, remains: { workers: 1, tagged: 2 } }]);
  });
});

describe('a count', () => {
  test('that has just begun is sure of an end, and of nobody left, at the second look only', () => {
    const { lineage, launch, put, look, die } = world();
    launch('web', 10);
    put(11, { command: 'web', session: 10 });
    look();
    lineage.count('web', 'tagged');
    expect(lineage.isUnsure()).toBe(false);
    die(10, KILLED);
    expect(look()).not.toContainEqual(expect.objectContaining({ type: 'leader.exited' }));
    expect(lineage.isUnsure()).toBe(true);
    expect(look()).toContainEqual(expect.objectContaining({ type: 'leader.exited', exit: KILLED }));
    expect(lineage.isUnsure(), 'a worker is left').toBe(false);
    lineage.count('web', 'tagged');
    die(11, KILLED);
    expect([look(), lineage.isUnsure()]).toEqual([[], true]);
    expect(look()).toMatchObject([{ type: 'lineage.counted', remains: { tagged: 0 } }]);
  });

  test('of everything adds its sessions to its own', () => {
    const { lineage, launch, put, look } = world();
    launch('web', 10);
    put(11, { ppid: 10 });
    lineage.count('web', 'everything');
    expect([look(), look()]).toMatchObject([[{ remains: { tagged: 1, sessions: 1 } }], []]);
    expect(lineage.isAttentive()).toBe(true);
  });

  test.each([
    ['a worker makes a session of its own', 11, { workers: 1, tagged: 2, sessions: 1 }],
    ['a login ends', 13, { workers: 2, tagged: 2, sessions: 0 }],
  ])('is told anew when %s, though as many of its own are left', (_, pid, remains) => {
    const { lineage, launch, put, look, die, alter, drop, pass } = world();
    launch('web', 10);
    for (const worker of [11, 12]) put(worker, { command: 'web', ppid: 10, session: 10 });
    put(13, { ppid: 10 });
    look();
    die(10, KILLED);
    look();
    lineage.count('web', 'everything');
    expect(look()).toMatchObject([{ remains: { workers: 2, tagged: 2, sessions: 1 } }]);
    if (pid === 13) drop(pid);
    else alter(pid, { session: pid });
    pass(100);
    expect(look()).toMatchObject([{ type: 'lineage.counted', remains }]);
  });

  test('that a policy begins to ask for while the service starts is waited for as long as that takes', () => {
    const { lineage, launch, look, pass } = world();
    launch('web', 10);
    look();
    lineage.revise({ name: 'web', fits: ['web'], match: matching({ count: [3, 5] }) });
    for (let seconds = 1; seconds < 30; seconds++) {
      pass(1_000);
      expect(look()).toEqual([]);
    }
  });
});

describe('the books', () => {
  test('hold as members of a service no sessions that it opened, and nobody of a command that there is not', () => {
    const { lineage } = withCopiedTag();
    expect(pidsOf(lineage.membersOf('web'))).toEqual([10, 11]);
    expect(lineage.membersOf('nobody')).toEqual([]);
  });

  test.each([true, false])('hold a launcher for no stranger, listed or not, reaping: %s', (reaping) => {
    const { lineage, launch, look } = world({ reaping });
    launch('web', 10);
    expect(lineage.strangers()).toEqual([]);
    look();
    expect(lineage.strangers()).toEqual([]);
  });

  test('hold nobody as forgotten where there are no tags', () => {
    const { lineage, put, look } = world({ tagged: false });
    put(20, { command: 'new' });
    look();
    expect(lineage.forgotten()).toEqual([]);
  });
});
