import { describe, expect, test } from 'vitest';
import type { CommandFact } from '../../machines/events.ts';
import type { Lineage } from '../../src/process/lineage.ts';
import { createTags } from '../../src/process/tags.ts';
import { FAILED, factsOf, KILLED, matching, OK, SELF, tags, UNKNOWN, world } from './lineage-world.ts';

describe('a start', () => {
  test('the launcher leads; its departure with status 0 hands over to what it left, by tag', () => {
    const { lineage, launch, put, look, die, pass } = world();
    launch('web', 10);
    put(11, { command: 'web', ppid: 10, session: 10 });
    expect(look()).toEqual([]);
    // As the machine calls it, whatever program it runs.
    expect(lineage.leaders().web).toMatchObject({ pid: 10, rule: 'launcher', name: 'web' });
    put(11, { command: 'web', session: 10 });
    pass(5);
    expect(die(10, OK)).toBe(true);
    expect(factsOf(look(), 'web')).toMatchObject([
      { type: 'leader.exited', id: { pid: 10 }, exit: OK, heir: { pid: 11, rule: 'tag' } },
    ]);
  });

  test.each([
    ['ends', false],
    ['has handed over by its own word', true],
  ])(
    'whoever is given the number of a leader that %s, before that is told, stays another command’s',
    (_, names) => {
      const { lineage, launch, put, look, die } = world();
      launch('web', 10);
      put(11, { command: 'web', ppid: 10 });
      look();
      if (names) lineage.appoint('web', 11);
      die(10, FAILED);
      put(10, { command: 'db', startTicks: 20 });
      lineage.launched('db', { pid: 10, startTicks: 20 });
      const facts = look();
      expect(factsOf(facts, 'web')).toMatchObject([
        names ? { type: 'leader.named', leader: { pid: 11 } } : { id: { pid: 10 }, exit: FAILED, heir: null },
      ]);
      expect(factsOf(facts, 'db')).toEqual([]);
      expect(look()).toEqual([]);
      expect(lineage.leaders().db).toMatchObject({ pid: 10, startTicks: 20 });
      die(10, KILLED);
      expect(factsOf(look(), 'db')).toMatchObject([{ id: { pid: 10, startTicks: 20 }, exit: KILLED }]);
    },
  );

  test('a daemon that is given the number of another command’s launcher, before its end is told, is taken in', () => {
    const { lineage, launch, put, look, die } = world();
    launch('web', 10);
    launch('db', 11);
    look();
    die(10, FAILED);
    put(10, { command: 'db', startTicks: 20, ppid: 11 });
    die(11, OK);
    const facts = look();
    expect(factsOf(facts, 'web')).toMatchObject([
      { id: { pid: 10, startTicks: 10 }, exit: FAILED, heir: null },
    ]);
    expect(factsOf(facts, 'db')).toMatchObject([
      { id: { pid: 11 }, exit: OK, heir: { pid: 10, startTicks: 20 } },
    ]);
    expect(lineage.leaders().db).toMatchObject({ pid: 10 });
  });

  test('each fork of a daemon hands over to the next while it starts', () => {
    const { launch, put, look, die } = world();
    launch('web', 10);
    put(11, { command: 'web' });
    look();
    die(10, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ heir: { pid: 11 } }]);
    put(12, { command: 'web' });
    die(11, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ id: { pid: 11 }, heir: { pid: 12 } }]);
  });

  test.each([
    ['everything was, for a minute', 60_000, 0],
    ['upkeep was, and learns a minute late', 0, 60_000],
  ])('goes on where it was stopped: %s', (_, before, behind) => {
    const { lineage, launch, put, look, die, pass } = world({ longestGap: 11_000 });
    launch('web', 10);
    look();
    pass(10_000);
    look();
    pass(before);
    // Its daemon has a session of its own, and would be taken for no heir of a service that has long been there.
    put(11, { command: 'web', session: 11 });
    die(10, OK);
    pass(behind);
    expect(factsOf(look(), 'web')).toMatchObject([{ id: { pid: 10 }, heir: { pid: 11 } }]);
    // It is not made longer for ever.
    for (let passed = 0; passed < 30_000; passed += 10_000) {
      pass(10_000);
      look();
    }
    put(12, { command: 'web', session: 12 });
    die(11, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ id: { pid: 11 }, heir: null }]);
    expect(lineage.leaders().web).toBeUndefined();
  });

  test('nobody is given longer who was launched after such a time, or has had his time before', () => {
    const { launch, put, look, die, pass } = world({ longestGap: 11_000 });
    launch('db', 20);
    for (let passed = 0; passed <= 30_000; passed += 10_000) {
      look();
      pass(10_000);
    }
    look();
    pass(60_000);
    launch('web', 10);
    look();
    put(21, { command: 'db', session: 21 });
    die(20, OK);
    expect(factsOf(look(), 'db')).toMatchObject([{ heir: null }]);
    for (let passed = 0; passed <= 30_000; passed += 10_000) {
      pass(10_000);
      look();
    }
    put(11, { command: 'web', session: 11 });
    die(10, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ heir: null }]);
  });

  test('a launcher that fails hands over nothing, and tells what it left', () => {
    const { launch, put, look, die } = world();
    launch('web', 10);
    put(11, { command: 'web' });
    look();
    die(10, FAILED);
    expect(factsOf(look(), 'web')).toMatchObject([{ exit: FAILED, heir: null, remains: { tagged: 1 } }]);
  });

  test('of several survivors the one of the command’s name leads, not the older', () => {
    const { launch, put, look, die } = world();
    launch('web', 10);
    put(11, { command: 'web', comm: 'helper', argv: ['helper'] });
    put(12, { command: 'web' });
    look();
    die(10, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ heir: { pid: 12 } }]);
  });

  test('a daemon that appears after its launcher has left is seen then', () => {
    const { lineage, launch, put, look, die, pass } = world();
    launch('web', 10);
    look();
    die(10, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ heir: null }]);
    expect(lineage.isAttentive()).toBe(true);
    pass(1_000);
    put(11, { command: 'web' });
    expect(factsOf(look(), 'web')).toMatchObject([{ type: 'leader.seen', leader: { pid: 11, rule: 'tag' } }]);
    expect(lineage.isAttentive()).toBe(false);
  });

  test('one that has lost its tag is known by its name, if it is younger and an orphan', () => {
    const { launch, put, look, die } = world();
    put(5, { comm: 'web', argv: ['web'] });
    put(6, { comm: 'sh', argv: ['sh'] });
    look();
    launch('web', 10);
    look();
    die(10, OK);
    look();
    put(11, { comm: 'web', argv: ['web'], ppid: 6 });
    expect(look()).toEqual([]);
    put(12, { comm: 'web', argv: ['web'] });
    expect(factsOf(look(), 'web')).toMatchObject([
      { type: 'leader.seen', leader: { pid: 12, rule: 'name' } },
    ]);
  });

  test('whoever of its name has gone since everybody was listed is not taken for it', () => {
    const { lineage, launch, put, drop, look, die } = world();
    launch('web', 10);
    put(12, { comm: 'web', argv: ['web'] });
    look();
    drop(12);
    die(10, OK);
    const facts = lineage.digest({ at: 1_000, appeared: [], vanished: [] });
    expect(factsOf(facts, 'web')).toMatchObject([{ type: 'leader.exited', id: { pid: 10 }, heir: null }]);
    expect(lineage.leaders().web).toBeUndefined();
  });

  test('of several workers that a young master leaves with status 0 none takes over', () => {
    const { launch, put, look, die } = world();
    launch('web', 10);
    put(11, { command: 'web' });
    look();
    die(10, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ heir: { pid: 11 } }]);
    for (const pid of [12, 13]) put(pid, { command: 'web', session: 11 });
    die(11, OK);
    expect(factsOf(look(), 'web')).toMatchObject([
      { id: { pid: 11 }, heir: null, remains: { workers: 2, tagged: 2 } },
    ]);
  });

  test('a worker does not take over from a master that was killed before the launcher’s end was heard of', () => {
    const { lineage, launch, put, alter, look, die } = world();
    launch('web', 10);
    look();
    put(11, { command: 'web' });
    put(12, { command: 'web', ppid: 11, session: 11 });
    alter(11, { state: 'Z' });
    alter(12, { ppid: SELF });
    lineage.dying(11);
    die(11, KILLED);
    die(10, OK);
    expect(factsOf(look(), 'web')).toMatchObject([
      {
        type: 'leader.exited',
        id: { pid: 10 },
        exit: KILLED,
        heir: null,
        remains: { workers: 1, tagged: 1 },
      },
    ]);
    expect(lineage.isAttentive()).toBe(false);
  });

  test.each([
    ['before', true],
    ['after', false],
  ])('nor from one that was killed unseen %s the launcher’s end, while a daemon was awaited', (_, before) => {
    const { lineage, launch, put, alter, look, die } = world();
    launch('web', 10);
    look();
    const comeAndGo = (): void => {
      put(11, { command: 'web' });
      lineage.dying(11);
      die(11, KILLED);
    };
    if (before) comeAndGo();
    die(10, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ id: { pid: 10 }, exit: OK, heir: null }]);
    if (!before) comeAndGo();
    put(12, { command: 'web', session: 11 });
    alter(12, { ppid: SELF });
    expect(factsOf(look(), 'web')).toMatchObject([
      { type: 'leader.seen', leader: { pid: 11 } },
      {
        type: 'leader.exited',
        id: { pid: 11 },
        exit: KILLED,
        heir: null,
        remains: { workers: 1, tagged: 1 },
      },
    ]);
    expect(lineage.isAttentive()).toBe(false);
  });

  test('workers are known by the session that a daemon made after it was read', () => {
    const { launch, put, look, die } = world();
    launch('web', 10);
    put(11, { command: 'web', session: 10 });
    look();
    die(10, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ heir: { pid: 11 } }]);
    put(12, { command: 'web', session: 11 });
    look();
    die(11, KILLED);
    expect(factsOf(look(), 'web')).toMatchObject([
      { id: { pid: 11 }, heir: null, remains: { workers: 1, tagged: 1 } },
    ]);
  });

  test('a worker of such a daemon does not take over from one that was killed before the launcher’s end', () => {
    const { lineage, launch, put, look, die } = world();
    launch('web', 10);
    put(11, { command: 'web', session: 10 });
    look();
    put(12, { command: 'web', session: 11 });
    look();
    lineage.dying(11);
    die(11, KILLED);
    die(10, OK);
    expect(factsOf(look(), 'web')).toMatchObject([
      { id: { pid: 10 }, exit: KILLED, heir: null, remains: { workers: 1, tagged: 1 } },
    ]);
  });

  test('what was killed in the launcher’s own session, or in another than the heir’s, was no master', () => {
    const { lineage, launch, put, look, die } = world();
    launch('web', 10);
    put(11, { command: 'web', session: 10 });
    put(12, { command: 'web' });
    put(13, { command: 'web', session: 10 });
    look();
    for (const pid of [11, 12]) {
      lineage.dying(pid);
      die(pid, KILLED);
    }
    die(10, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ id: { pid: 10 }, exit: OK, heir: { pid: 13 } }]);
  });

  test('that a launcher has left nobody is concluded from a list, and from nothing less', () => {
    const { lineage, launch, put, lookUnlisted, look, die } = world();
    launch('web', 10);
    lookUnlisted();
    put(11, { command: 'web' });
    die(10, OK);
    expect(factsOf(lookUnlisted(), 'web')).toEqual([]);
    expect(lineage.isAttentive()).toBe(true);
    expect(factsOf(look(), 'web')).toMatchObject([{ id: { pid: 10 }, heir: { pid: 11 } }]);
  });

  test('nobody is awaited for ever', () => {
    const { lineage, launch, put, look, die, pass } = world();
    launch('web', 10);
    look();
    die(10, OK);
    look();
    pass(2_001);
    put(11, { command: 'web' });
    // It does not lead. But it is there, and another one beside it would be one too many.
    expect(factsOf(look(), 'web')).toEqual([
      { type: 'lineage.counted', at: expect.any(Number), remains: { workers: 0, tagged: 1, sessions: 0 } },
    ]);
    expect(lineage.isAttentive()).toBe(false);
  });

  test('what a killed launcher had just forked, and the look at its end has missed, is told of when it is found, once', () => {
    const { launch, put, look, die } = world();
    launch('web', 10);
    look();
    die(10, KILLED);
    expect(factsOf(look(), 'web')).toMatchObject([{ id: { pid: 10 }, heir: null, remains: { tagged: 0 } }]);
    put(11, { command: 'web', session: 11 });
    expect(factsOf(look(), 'web')).toMatchObject([{ type: 'lineage.counted', remains: { tagged: 1 } }]);
    expect(look()).toEqual([]);
    // Fewer are no news; more are.
    put(12, { command: 'web', session: 11 });
    expect(factsOf(look(), 'web')).toMatchObject([{ type: 'lineage.counted', remains: { tagged: 2 } }]);
    die(12, OK);
    expect(look()).toEqual([]);
    // The next start begins with nothing to tell.
    launch('web', 20);
    put(21, { command: 'web' });
    expect(look()).toEqual([]);
  });

  test('what was left at the end, and is known, is not told of again', () => {
    const { launch, put, look, die } = world();
    launch('web', 10);
    put(11, { command: 'web', session: 11 });
    look();
    die(10, KILLED);
    expect(factsOf(look(), 'web')).toMatchObject([{ id: { pid: 10 }, heir: null, remains: { tagged: 1 } }]);
    expect(look()).toEqual([]);
  });
});

describe('the death of a leader', () => {
  function daemon() {
    const all = world();
    all.launch('web', 10);
    all.put(11, { command: 'web' });
    all.look();
    all.die(10, OK);
    all.look();
    return all;
  }

  test('is told with the kernel’s word, once', () => {
    const { look, die } = daemon();
    expect(die(11, KILLED)).toBe(true);
    expect(factsOf(look(), 'web')).toMatchObject([{ id: { pid: 11 }, exit: KILLED, heir: null }]);
    expect(look()).toEqual([]);
  });

  test('is told by a look that began after it: an older one may have missed what it forked last', () => {
    const { look, die, pass, put } = daemon();
    pass(100);
    die(11, KILLED);
    expect(look(1_050)).toEqual([]);
    put(12, { command: 'web', session: 11 });
    expect(factsOf(look(), 'web')).toMatchObject([{ exit: KILLED, remains: { workers: 1, tagged: 1 } }]);
  });

  test('by a signal has no heir, whoever is left', () => {
    const { look, die, put } = daemon();
    put(12, { command: 'web', ppid: 11, session: 11 });
    look();
    die(11, KILLED);
    put(12, { command: 'web', session: 11 });
    expect(factsOf(look(), 'web')).toMatchObject([{ heir: null, remains: { workers: 1 } }]);
  });

  test('later and with status 0 hands over to a master with children of its own, and to no worker', () => {
    const { look, die, put, pass } = daemon();
    pass(60_000);
    put(20, { command: 'web', session: 11, ppid: 11 });
    put(21, { command: 'web', session: 11, ppid: 11 });
    put(22, { command: 'web', session: 11, ppid: 21 });
    look();
    for (const pid of [20, 21]) put(pid, { command: 'web', session: 11 });
    die(11, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ heir: { pid: 21, rule: 'tag' } }]);
  });

  test('later and with status 0, leaving only workers, is an end', () => {
    const { look, die, put, pass } = daemon();
    pass(60_000);
    put(20, { command: 'web', session: 11, ppid: 11 });
    look();
    put(20, { command: 'web', session: 11 });
    die(11, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ heir: null, remains: { workers: 1 } }]);
  });

  test('tells workers, which were in its session, from those with a session of their own, and from logins', () => {
    const { look, die, put } = daemon();
    put(12, { command: 'web', ppid: 11, session: 11 });
    put(13, { command: 'web', ppid: 11, session: 13 });
    put(14, { ppid: 11, session: 14 });
    look();
    die(11, KILLED);
    expect(factsOf(look(), 'web')).toMatchObject([{ remains: { workers: 1, tagged: 2, sessions: 1 } }]);
  });

  test('is no other command’s business', () => {
    const { lineage, look, die, put, launch } = daemon();
    launch('db', 30);
    put(31, { command: 'db', ppid: 30 });
    look();
    die(11, KILLED);
    const facts = look();
    expect(factsOf(facts, 'db')).toEqual([]);
    expect(lineage.targets('web', 'everything')).toEqual([]);
    expect(lineage.targets('db', 'everything').map(({ pid }) => pid)).toEqual([30, 31]);
  });

  test('of an unknown kind, soon after a restart of upkeep: a daemon of its own session takes over, workers do not', () => {
    for (const [session, taker] of [
      [61, 61],
      [60, null],
    ] as const) {
      const { lineage, put, drop, pass, adopt, look } = world();
      put(60, { command: 'web', ppid: 1 });
      put(61, { command: 'web', ppid: 60, session });
      adopt();
      expect(lineage.leaders().web).toMatchObject({ pid: 60 });
      pass(5_000);
      drop(60);
      const [told] = factsOf(look(), 'web');
      expect(told).toMatchObject({ type: 'leader.exited', exit: UNKNOWN });
      expect((told as { heir: { pid: number } | null }).heir?.pid ?? null).toBe(taker);
    }
  });

  test('that the kernel will tell of is not told as unknown before', () => {
    const { look, alter, die } = daemon();
    // A zombie: dead, and not yet reaped.
    alter(11, { state: 'Z' });
    expect(look()).toEqual([]);
    die(11, KILLED);
    expect(factsOf(look(), 'web')).toMatchObject([{ exit: KILLED }]);
  });

  test('of a stranger is found by looking: zombie, gone, or its pid another’s', () => {
    for (const how of ['zombie', 'gone', 'reused']) {
      const { lineage, adopt, put, look, alter, drop } = world();
      put(40, { command: 'web', ppid: 7 });
      adopt();
      expect(lineage.strangers()).toEqual([40]);
      if (how === 'zombie') alter(40, { state: 'Z' });
      else drop(40);
      if (how === 'reused') put(40, { startTicks: 999, ppid: 7 });
      expect(factsOf(look(), 'web'), how).toMatchObject([
        { type: 'leader.exited', id: { pid: 40, startTicks: 40 }, exit: UNKNOWN, heir: null },
      ]);
      expect(lineage.targets('web', 'everything'), how).toEqual([]);
    }
  });

  test('is not concluded from what cannot be read', () => {
    const { lineage, adopt, put, look, unreadable } = world();
    put(40, { command: 'web', ppid: 7 });
    adopt();
    unreadable.add(40);
    for (let count = 0; count < 5; count++) expect(look()).toEqual([]);
    expect(lineage.leaders().web).toMatchObject({ pid: 40 });
  });
});

describe('a look that could not read everybody', () => {
  test('tells of no end: what it left may be there; the next one that can read does', () => {
    const { lineage, launch, put, look, lookBlindly, die, pass } = world();
    launch('web', 10);
    look();
    put(11, { command: 'web', session: 10 });
    die(10, KILLED);
    for (let count = 0; count < 3; count++) {
      pass(100);
      expect(lookBlindly()).toEqual([]);
      expect(lineage.isAttentive()).toBe(true);
    }
    expect(factsOf(look(), 'web')).toMatchObject([{ exit: KILLED, heir: null, remains: { workers: 1 } }]);
    expect(lineage.isAttentive()).toBe(false);
  });

  test('is taken for what it is when nothing better has come in time', () => {
    const { launch, look, lookBlindly, die, pass } = world();
    launch('web', 10);
    look();
    die(10, KILLED);
    pass(1_900);
    expect(lookBlindly()).toEqual([]);
    pass(200);
    expect(factsOf(lookBlindly(), 'web')).toMatchObject([{ exit: KILLED, heir: null }]);
  });

  test('does not say that nobody is left', () => {
    const { lineage, launch, put, look, lookBlindly, die, drop, pass } = world();
    launch('web', 10);
    look();
    lineage.count('web', 'tagged');
    drop(10);
    die(10, KILLED);
    put(11, { command: 'web' });
    pass(100);
    for (let count = 0; count < 3; count++) expect(lookBlindly()).toEqual([]);
    const facts = [look(), look(), look()].flatMap((found) => factsOf(found, 'web'));
    expect(facts[0]).toMatchObject({ type: 'leader.exited', remains: { tagged: 1 } });
  });
});

describe('whose a process is', () => {
  test('its tag says, whatever parent, session, name or user it has', () => {
    const { lineage, put, look, launch } = world();
    launch('web', 10);
    put(50, { command: 'web', ppid: 7, session: 50, comm: 'strange', argv: [] });
    look();
    expect(lineage.targets('web', 'tagged').map(({ pid }) => pid)).toEqual([10, 50]);
  });

  test('a tag that is not its parent’s was not inherited: descent decides, and it is a session', () => {
    const { lineage, launch, put, look } = world();
    launch('web', 10);
    // What PAM opened below web has the limits of PID 1, which was just launching db.
    put(11, { command: 'db', ppid: 10, comm: 'sh', argv: ['sh'] });
    put(12, { command: 'db', ppid: 11, comm: 'vi', argv: ['vi'] });
    look();
    expect(lineage.targets('db', 'everything')).toEqual([]);
    expect(lineage.targets('web', 'tagged').map(({ pid }) => pid)).toEqual([10]);
    expect(lineage.targets('web', 'everything').map(({ pid }) => pid)).toContain(11);
  });

  test('without a tag it is a session of its tagged ancestor’s, and stays so when its parents are gone', () => {
    const { lineage, launch, put, look, drop, alter } = world();
    launch('web', 10);
    put(11, { ppid: 10 });
    put(12, { ppid: 11 });
    look();
    drop(11);
    alter(12, { ppid: SELF });
    look();
    expect(lineage.targets('web', 'tagged').map(({ pid }) => pid)).toEqual([10]);
    expect(lineage.targets('web', 'everything').map(({ pid }) => pid)).toEqual([10, 12]);
  });

  test('another’s tag, and none, are nobody’s; upkeep itself and its helpers never are a service', () => {
    const { lineage, put, look } = world();
    const stranger = createTags('another upkeep', ['web']).numberOf('web');
    put(SELF, { command: 'web', ppid: 0 });
    put(60, { locks: String(stranger), comm: 'web' });
    lineage.helper(61, true);
    put(61, { command: 'web' });
    look();
    expect(lineage.targets('web', 'everything')).toEqual([]);
    expect(lineage.exited(60, KILLED)).toBe(false);
  });

  test('without tags ancestry decides, and for an orphan its session', () => {
    const { lineage, launch, put, look, die } = world({ tagged: false });
    launch('web', 10);
    put(11, { ppid: 10, session: 10 });
    look();
    // Its parent is gone before anybody looked; it is in the session of its kin.
    put(12, { ppid: SELF, session: 10 });
    put(13, { ppid: SELF, session: 13 });
    look();
    expect(lineage.targets('web', 'tagged').map(({ pid }) => pid)).toEqual([10, 11, 12]);
    die(10, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ heir: { rule: 'ancestry' } }]);
  });

  test('a pid that is used again is somebody else', () => {
    const { lineage, launch, put, look, drop } = world();
    launch('web', 10);
    put(11, { command: 'web', ppid: 10 });
    look();
    drop(11);
    put(11, { startTicks: 5_000, ppid: 7 });
    // Not even before the next look.
    expect(lineage.targets('web', 'everything').map(({ pid }) => pid)).toEqual([10]);
    look();
    expect(lineage.targets('web', 'everything').map(({ pid }) => pid)).toEqual([10]);
  });
});

describe('a cold start', () => {
  test('finds by tag what an upkeep before this one has started, and its leader', () => {
    const { lineage, adopt, put } = world();
    put(12, { command: 'web', ppid: 11 });
    put(11, { command: 'web' });
    put(13, { command: 'web', comm: 'helper', argv: ['helper'] });
    adopt();
    expect(lineage.leaders()).toMatchObject({ web: { pid: 11, rule: 'tag', since: 110 } });
    expect(lineage.leaders().db).toBeUndefined();
  });

  test('does not take the dead for the living', () => {
    const { lineage, adopt, put } = world();
    put(11, { command: 'web', state: 'Z' });
    put(12, { comm: 'db', argv: [], state: 'Z' });
    adopt();
    expect(lineage.leaders()).toEqual({});
    expect(lineage.candidatesByName().size).toBe(0);
  });

  test('names candidates: not workers, not itself, not what it descends from, nobody for who is there', () => {
    const { lineage, adopt, put } = world();
    put(SELF, { ppid: 7, comm: 'db', argv: ['db'] });
    put(7, { ppid: 0, comm: 'db', argv: ['db'] });
    put(20, { comm: 'db', argv: ['db'], ppid: 0 });
    put(21, { comm: 'db', argv: ['db'], ppid: 20 });
    put(22, { comm: 'dbx', argv: ['dbx'], ppid: 0 });
    put(30, { command: 'web' });
    put(31, { comm: 'web', argv: ['web'], ppid: 0 });
    adopt();
    const found = [...lineage.candidatesByName()].map(([name, rows]) => [name, rows.map(({ pid }) => pid)]);
    expect(found).toEqual([['db', [20]]]);
  });

  test.each([
    ['another upkeep looks after', createTags('another upkeep', ['db']).numberOf('db')],
    ['a helper of its own has started', tags.nextHelper()],
  ])('does not take by its name what %s', (_, number) => {
    const { lineage, adopt, put, launch, look, die } = world();
    const locks = String(number);
    put(20, { comm: 'db', argv: ['db'], ppid: 0, locks });
    adopt();
    expect(lineage.candidatesByName().size).toBe(0);
    launch('db', 30);
    look();
    die(30, OK);
    put(31, { comm: 'db', argv: ['db'], locks });
    expect(factsOf(look(), 'db').map(({ type }) => type)).toEqual(['leader.exited']);
    expect(look()).toEqual([]);
  });

  test('two of a name are two candidates', () => {
    const { lineage, adopt, put } = world();
    put(20, { comm: 'db', argv: ['db'], ppid: 0 });
    put(21, { comm: 'db', argv: ['db'], ppid: 0 });
    adopt();
    expect(lineage.candidatesByName().get('db')).toHaveLength(2);
  });

  test('what is adopted by name is a service with everything below it', () => {
    const { lineage, adopt, put, look, drop } = world();
    const row = put(20, { comm: 'db', argv: ['db'], ppid: 0 });
    put(21, { ppid: 20, session: 20 });
    adopt();
    lineage.adoptByName('db', row);
    expect(lineage.leaders().db).toMatchObject({ pid: 20, rule: 'name' });
    put(22, { ppid: 21, session: 20 });
    look();
    expect(lineage.targets('db', 'tagged').map(({ pid }) => pid)).toEqual([20, 21, 22]);
    drop(20);
    expect(factsOf(look(), 'db')).toMatchObject([{ exit: UNKNOWN, remains: { workers: 2 } }]);
  });
});

describe('counting', () => {
  test('is told at once, then only changes, until nobody is left', () => {
    const { lineage, launch, put, look, die } = world();
    launch('web', 10);
    put(11, { command: 'web', ppid: 10 });
    look();
    lineage.count('web', 'tagged');
    const counted = (facts: ReturnType<Lineage['digest']>) =>
      factsOf(facts, 'web').filter(({ type }) => type === 'lineage.counted');
    expect(counted(look())).toMatchObject([{ remains: { tagged: 2 } }]);
    expect(counted(look())).toEqual([]);
    die(11, KILLED);
    expect(counted(look())).toMatchObject([{ remains: { tagged: 1 } }]);
    die(10, KILLED);
    expect([look(), lineage.isUnsure()]).toEqual([[], true]);
    expect(factsOf(look(), 'web').map(({ type }) => type)).toEqual(['leader.exited', 'lineage.counted']);
    expect([lineage.isUnsure(), lineage.isAttentive()]).toEqual([false, false]);
  });

  test('nobody left is told when two looks agree: what is forked in the midst of a look may escape it', () => {
    const { lineage, launch, put, look, die } = world();
    launch('web', 10);
    look();
    lineage.count('web', 'tagged');
    look();
    die(10, KILLED);
    expect(look()).toEqual([]);
    put(12, { command: 'web' });
    expect(factsOf(look(), 'web')).toMatchObject([{ type: 'leader.exited', remains: { tagged: 1 } }]);
    die(12, KILLED);
    expect([look(), lineage.isUnsure()]).toEqual([[], true]);
    expect(factsOf(look(), 'web')).toMatchObject([{ type: 'lineage.counted', remains: { tagged: 0 } }]);
    expect(lineage.isUnsure()).toBe(false);
  });

  test('an older look proves nothing: what it has not seen may have been there', () => {
    const { lineage, launch, look, put, pass, drop } = world();
    launch('web', 10);
    look();
    drop(10);
    lineage.exited(10, KILLED);
    look();
    pass(100);
    lineage.count('web', 'tagged');
    expect(look(1_050)).toEqual([]);
    put(11, { command: 'web' });
    expect(factsOf(look(), 'web')).toMatchObject([{ type: 'lineage.counted', remains: { tagged: 1 } }]);
  });

  test('a leader that has just died is not counted before its end is told', () => {
    const { lineage, launch, look, alter, die } = world();
    launch('web', 10);
    look();
    lineage.count('web', 'tagged');
    look();
    alter(10, { state: 'Z' });
    expect(look()).toEqual([]);
    die(10, KILLED);
    expect(look()).toEqual([]);
    expect(factsOf(look(), 'web')).toMatchObject([
      { type: 'leader.exited', exit: KILLED },
      { type: 'lineage.counted', remains: { tagged: 0 } },
    ]);
  });

  test('sessions are in scope of everything alone', () => {
    const { lineage, launch, look, put } = world();
    launch('web', 10);
    put(11, { ppid: 10, session: 11 });
    look();
    const pids = (scope: 'workers' | 'tagged' | 'everything') =>
      lineage.targets('web', scope).map(({ pid }) => pid);
    expect([pids('workers'), pids('tagged'), pids('everything')]).toEqual([[], [10], [10, 11]]);
  });
});

describe('the books', () => {
  test('say whom a process leads', () => {
    const { lineage, launch, put, look } = world();
    launch('web', 10);
    put(11, { command: 'web', ppid: 10, session: 10 });
    look();
    expect([lineage.ledBy(10), lineage.ledBy(11), lineage.ledBy(12)]).toEqual(['web', null, null]);
  });

  test('say who was started for a command that there is no more, and who was not', () => {
    const { lineage, adopt, put } = world();
    const tagOf = (upkeep: string) => String(createTags(upkeep, ['gone']).numberOf('gone'));
    put(SELF, { locks: tagOf('test') });
    put(20, { locks: tagOf('test') });
    put(21, { locks: tagOf('another upkeep') });
    put(22, { command: 'web' });
    put(23);
    adopt();
    expect(lineage.forgotten()).toEqual([20]);
  });

  test('tell whose end somebody waits for', () => {
    const { lineage, launch, put, look, die } = world();
    launch('web', 10);
    for (const pid of [11, 12]) put(pid, { command: 'web', ppid: 10, session: 10 });
    look();
    expect(die(99, KILLED)).toBe(false);
    expect(die(11, KILLED)).toBe(false);
    lineage.count('web', 'tagged');
    expect(die(12, KILLED)).toBe(true);
    expect(die(10, KILLED)).toBe(true);
  });

  test('change with everybody who comes or goes, and with the end of the leader', () => {
    const { lineage, launch, put, look, drop, die } = world();
    const seen = [lineage.changes('web')];
    const note = () => seen.push(lineage.changes('web'));
    launch('web', 10);
    note();
    put(11, { command: 'web', ppid: 10, session: 10 });
    look();
    note();
    // Nobody tells that it went.
    drop(11);
    look();
    note();
    die(10, KILLED);
    note();
    expect(seen.every((value, index) => index === 0 || value > seen[index - 1]!)).toBe(true);
    look();
    const last = lineage.changes('web');
    look();
    expect(lineage.changes('web')).toBe(last);
  });

  test('who is about to be reaped is read as long as somebody starts', () => {
    const { lineage, launch, put, look, die, pass } = world();
    launch('web', 10);
    // A daemon, and its worker; no look has seen them.
    put(11, { command: 'web', session: 11 });
    put(12, { command: 'web', session: 11, ppid: 11 });
    lineage.dying(11);
    die(11, KILLED);
    die(10, OK);
    expect(factsOf(look(), 'web')).toMatchObject([
      { type: 'leader.exited', exit: KILLED, heir: null, remains: { workers: 1 } },
    ]);
    pass(60_000);
    put(13, { command: 'web', session: 13 });
    const before = lineage.changes('web');
    lineage.dying(13);
    expect(lineage.changes('web')).toBe(before);
  });

  test('name the leaders whose end the kernel tells to somebody else', () => {
    const { lineage, adopt, put, launch, look } = world();
    put(11, { command: 'web', ppid: 7 });
    adopt();
    launch('db', 10);
    look();
    expect(lineage.strangers()).toEqual([11]);
    const own = world();
    own.put(11, { command: 'web' });
    own.adopt();
    expect(own.lineage.strangers()).toEqual([]);
  });

  test('a launcher that is known to have left somebody hands over without a list', () => {
    const { launch, put, look, die, lookUnlisted } = world();
    launch('web', 10);
    put(11, { command: 'web', ppid: 10, session: 11 });
    look();
    put(11, { command: 'web', session: 11 });
    die(10, OK);
    expect(factsOf(lookUnlisted(), 'web')).toMatchObject([{ type: 'leader.exited', heir: { pid: 11 } }]);
  });
});

describe('counting what nobody tells of', () => {
  const counts = (facts: ReturnType<Lineage['digest']>) =>
    factsOf(facts, 'web').filter(({ type }) => type === 'lineage.counted');

  test('a worker that has died under a parent that does not reap is missed a tenth of a second later', () => {
    const { lineage, launch, put, look, alter, pass } = world();
    launch('web', 10);
    put(11, { command: 'web', ppid: 10, session: 10 });
    look();
    lineage.count('web', 'tagged');
    expect(counts(look())).toMatchObject([{ remains: { tagged: 2 } }]);
    alter(11, { state: 'Z' });
    pass(99);
    expect(counts(look())).toEqual([]);
    pass(1);
    expect(counts(look())).toMatchObject([{ remains: { tagged: 1 } }]);
  });

  test.each([
    ['a launcher', true],
    ['a daemon of ours', false],
  ])('%s that is dead, and whose end the kernel will tell, is not counted as gone before', (_, launches) => {
    const { lineage, adopt, launch, put, look, alter, pass, die } = world();
    if (launches) launch('web', 10);
    else {
      put(10, { command: 'web' });
      adopt();
    }
    look();
    lineage.count('web', 'tagged');
    look();
    alter(10, { state: 'Z' });
    for (let looks = 0; looks < 3; looks++) {
      pass(100);
      expect(look()).toEqual([]);
    }
    die(10, KILLED);
    look();
    expect(factsOf(look(), 'web').map(({ type }) => type)).toEqual(['leader.exited', 'lineage.counted']);
  });

  test('workers alone, where they are what is counted', () => {
    const { lineage, adopt, put, look, die } = world();
    put(10, { command: 'web' });
    put(11, { command: 'web', ppid: 10, session: 10 });
    put(12, { command: 'web', ppid: 10, session: 12 });
    adopt();
    die(10, KILLED);
    expect(factsOf(look(), 'web')).toMatchObject([{ remains: { workers: 1, tagged: 2 } }]);
    lineage.count('web', 'workers');
    expect(counts(look())).toMatchObject([{ remains: { workers: 1, tagged: 2 } }]);
    die(11, KILLED);
    look();
    expect(counts(look())).toMatchObject([{ remains: { workers: 0, tagged: 1 } }]);
    expect(lineage.isAttentive()).toBe(false);
    // It is over: who goes now is nobody's news.
    die(12, KILLED);
    expect(look()).toEqual([]);
  });

  test('a login keeps the count of everything open, and that of the service not', () => {
    for (const [scope, open] of [
      ['everything', true],
      ['tagged', false],
    ] as const) {
      const { lineage, launch, put, look, die } = world();
      launch('web', 10);
      put(11, { ppid: 10, session: 11 });
      look();
      lineage.count('web', scope);
      look();
      die(10, KILLED);
      look();
      look();
      expect(lineage.isAttentive()).toBe(open);
    }
  });
});

describe('commands that come and go', () => {
  const isForgotten = ({ lineage }: ReturnType<typeof world>) => lineage.forgotten();

  test('one that is added is one like the others', () => {
    const { lineage, launch, put, look, die } = world();
    expect(lineage.add({ name: 'new', fits: ['new'] })).toBeNull();
    launch('new', 10);
    put(11, { command: 'new', session: 11 });
    look();
    die(10, OK);
    expect(factsOf(look(), 'new')).toMatchObject([{ heir: { pid: 11, rule: 'tag' } }]);
    expect(() => lineage.add({ name: 'web', fits: [] })).toThrow(/^cannot add a command: "web"/);
  });

  test('what is left of one that is removed is forgotten, and nobody’s news', () => {
    const all = world();
    const { lineage, launch, put, look, die } = all;
    launch('web', 10);
    put(11, { command: 'web', ppid: 10, session: 10 });
    put(12, { ppid: 11 });
    launch('db', 20);
    look();
    lineage.count('web', 'tagged');
    const before = lineage.changes('db');
    lineage.remove('web');
    lineage.remove('web');
    expect(isForgotten(all)).toEqual([10, 11]);
    expect([lineage.changes('web'), lineage.targets('web', 'everything')]).toEqual([0, []]);
    expect(Object.keys(lineage.leaders())).toEqual(['db']);
    expect(lineage.ledBy(10)).toBeNull();
    put(13, { command: 'web', ppid: 11 });
    expect(die(10, KILLED)).toBe(false);
    expect(look()).toEqual([]);
    expect(isForgotten(all)).toEqual([11, 13]);
    expect(lineage.isAttentive()).toBe(false);
    expect(lineage.changes('db')).toBe(before);
  });

  test('one that comes back finds its own, with their sessions, and who leads', () => {
    const { lineage, adopt, put, look, drop } = world();
    put(12, { command: 'new', ppid: 11 });
    put(11, { command: 'new' });
    put(13, { ppid: 12 });
    adopt();
    expect(lineage.forgotten()).toEqual([12, 11]);
    const leader = lineage.add({ name: 'new', fits: ['new'] });
    expect(leader).toMatchObject({ pid: 11, rule: 'tag', since: 110 });
    expect(lineage.leaders().new).toEqual(leader);
    expect(lineage.forgotten()).toEqual([]);
    expect(lineage.targets('new', 'tagged').map(({ pid }) => pid)).toEqual([11, 12]);
    expect(lineage.targets('new', 'everything').map(({ pid }) => pid)).toEqual([11, 12, 13]);
    drop(11);
    expect(factsOf(look(), 'new')).toMatchObject([{ id: { pid: 11 }, exit: UNKNOWN }]);
  });

  test('one that comes back and finds the dead alone has nobody', () => {
    const { lineage, launch, look, alter, put } = world();
    launch('web', 10);
    put(11, { command: 'web', ppid: 10 });
    look();
    lineage.remove('web');
    for (const pid of [10, 11]) alter(pid, { state: 'Z' });
    expect(lineage.add({ name: 'web', fits: ['web'] })).toBeNull();
    expect(lineage.leaders()).toEqual({});
  });

  test('without tags one that comes back finds nobody', () => {
    const { lineage, launch, put, look } = world({ tagged: false });
    launch('web', 10);
    put(11, { ppid: 10, session: 10 });
    look();
    lineage.remove('web');
    expect(lineage.add({ name: 'web', fits: ['web'] })).toBeNull();
    expect(lineage.targets('web', 'everything')).toEqual([]);
  });

  test('another rule holds from then on, and deposes nobody', () => {
    const { lineage, launch, put, look, die } = world();
    launch('web', 10);
    put(11, { command: 'web', comm: 'first', argv: ['first'] });
    put(12, { command: 'web', comm: 'second', argv: ['second'] });
    look();
    lineage.revise({ name: 'web', fits: ['second'] });
    expect(look()).toEqual([]);
    expect(lineage.leaders().web).toMatchObject({ pid: 10 });
    die(10, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ heir: { pid: 12 } }]);
  });
});

describe('who is said to lead', () => {
  test('leads from the next look on, though nothing else says so, and the launcher may go as it likes', () => {
    const { lineage, launch, put, look, die, drop } = world();
    launch('web', 10);
    put(11, { command: 'web', ppid: 10, comm: 'worker', argv: ['worker'] });
    expect(lineage.appoint('web', 11), 'nobody has looked at it yet').toBeNull();
    expect(factsOf(look(), 'web')).toMatchObject([
      { type: 'leader.named', leader: { pid: 11, startTicks: 11, name: 'worker', rule: 'notify' } },
    ]);
    expect(lineage.ledBy(11)).toBe('web');
    expect(lineage.evidenceOf('web').find(({ verdict }) => verdict === 'leader')?.because).toMatch(/MAINPID/);
    expect(look()).toEqual([]);
    expect(lineage.appoint('web', 11)).toBeNull();
    expect(look()).toEqual([]);
    die(10, FAILED);
    expect(look()).toEqual([]);
    drop(11);
    expect(factsOf(look(), 'web')).toMatchObject([{ type: 'leader.exited', id: { pid: 11 }, exit: UNKNOWN }]);
  });

  test('said right before the leader ends: that end is none', () => {
    for (const exit of [OK, FAILED, KILLED]) {
      const { lineage, launch, put, look, die } = world();
      launch('web', 10);
      put(11, { command: 'web' });
      put(12, { command: 'web' });
      look();
      lineage.appoint('web', 12);
      die(10, exit);
      expect(factsOf(look(), 'web')).toMatchObject([{ type: 'leader.named', leader: { pid: 12 } }]);
      expect(lineage.membersOf('web').map(({ pid }) => pid)).toEqual([11, 12]);
      expect(look()).toEqual([]);
    }
  });

  test('ends for the service, at once: nobody it has left takes over, not even its launcher', () => {
    for (const exit of [OK, FAILED, UNKNOWN]) {
      const { lineage, launch, put, look, die, drop } = world();
      launch('web', 10);
      put(11, { command: 'web', ppid: exit === UNKNOWN ? 10 : SELF, session: 10 });
      put(12, { command: 'web', ppid: 11, session: 10 });
      look();
      lineage.appoint('web', 11);
      look();
      if (exit === UNKNOWN) drop(11);
      else die(11, exit);
      expect(factsOf(look(), 'web')).toMatchObject([
        { type: 'leader.exited', id: { pid: 11 }, exit, heir: null, remains: { workers: 2 } },
      ]);
    }
  });

  test('said while a daemon is awaited: it leads, whoever is the oldest', () => {
    const { lineage, launch, put, look, die } = world({ match: { name: 'beam.smp' } });
    launch('web', 10);
    die(10, OK);
    look();
    put(11, { command: 'web', comm: 'beam.smp', argv: ['beam.smp'] });
    put(12, { command: 'web', comm: 'beam.smp', argv: ['beam.smp'] });
    expect(lineage.appoint('web', 12)).toBeNull();
    expect(factsOf(look(), 'web')).toMatchObject([
      { type: 'leader.seen', leader: { pid: 11 } },
      { type: 'leader.named', leader: { pid: 12 } },
    ]);
  });

  test('has to be there, and to be one of its own that may lead', () => {
    const { lineage, launch, put, alter, look, notices } = world({ match: { name: 'web' } });
    launch('web', 10);
    launch('db', 20);
    put(11, { command: 'web', comm: 'helper', argv: ['helper'] });
    put(13, { command: 'web' });
    alter(13, { state: 'Z' });
    put(30);
    look();
    const refused = (pid: number) => lineage.appoint('web', pid);
    expect(refused(11)).toBe('by match it may not lead');
    expect(refused(12)).toBe('there is no such process');
    expect(refused(13)).toBe('there is no such process');
    for (const pid of [20, 30]) expect(refused(pid)).toBe('that is none of its processes');
    expect(look()).toEqual([]);
    expect(notices).toEqual([]);
    expect(lineage.leaders().web).toMatchObject({ pid: 10, rule: 'launcher' });
  });

  test('is not a session that it has opened, nor another process that has its number by now', () => {
    const { lineage, launch, put, look, drop } = world();
    launch('web', 10);
    put(11, { command: 'web' });
    put(12, { ppid: 11 });
    look();
    expect(lineage.appoint('web', 12)).toBe('that is none of its processes');
    lineage.appoint('web', 11);
    drop(11);
    put(11, { startTicks: 500 });
    expect(look()).toEqual([]);
    expect(lineage.appoint('web', 11)).toBe('that is none of its processes');
  });

  test('is nobody while the command does not run, or is being stopped, nor in the next run', () => {
    const { lineage, launch, put, look, die } = world();
    put(11, { command: 'web' });
    look();
    expect(lineage.appoint('web', 11)).toBeNull();
    expect(lineage.appoint('nobody', 11)).toBeNull();
    launch('web', 12);
    expect(look()).toEqual([]);
    lineage.count('web', 'tagged');
    lineage.appoint('web', 11);
    expect(factsOf(look(), 'web')).not.toContainEqual(expect.objectContaining({ type: 'leader.named' }));
    die(12, OK);
    die(11, OK);
    look();
    look();
    launch('web', 14);
    expect(look()).toEqual([]);
  });
});

describe('what a policy asks of a leader', () => {
  test('by name: nobody else takes over, and it is awaited', () => {
    const { lineage, launch, put, look, die } = world({ match: { name: 'beam.smp' } });
    launch('web', 10);
    put(11, { command: 'web' });
    look();
    die(10, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ type: 'leader.exited', heir: null }]);
    expect(lineage.isAttentive()).toBe(true);
    put(12, { command: 'web', comm: 'beam.smp', argv: ['beam.smp'] });
    expect(factsOf(look(), 'web')).toMatchObject([{ type: 'leader.seen', leader: { pid: 12 } }]);
  });

  test('by its user and its parent, the whole of them', () => {
    const { launch, put, look, die, owners } = world({ match: { user: 'www', parent: 'sup' } });
    launch('web', 10);
    put(11, { command: 'web', comm: 'sup', argv: ['sup'] });
    put(12, { command: 'web', ppid: 11 });
    put(13, { command: 'web', ppid: 11 });
    put(14, { command: 'web' });
    for (const pid of [13, 14]) owners.set(pid, 33);
    look();
    die(10, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ heir: { pid: 13 } }]);
  });

  test('by its pid file, once it is there', () => {
    const { launch, put, look, die, pidFile } = world({ match: { pidFile: '/run/web.pid' } });
    launch('web', 10);
    put(11, { command: 'web' });
    put(12, { command: 'web', comm: 'other', argv: ['other'] });
    look();
    die(10, OK);
    expect(factsOf(look(), 'web')).toMatchObject([{ heir: null }]);
    expect(look()).toEqual([]);
    pidFile.pid = 12;
    expect(factsOf(look(), 'web')).toMatchObject([{ type: 'leader.seen', leader: { pid: 12, rule: 'tag' } }]);
  });

  test('on a cold start, among its own and among strangers', () => {
    const { lineage, adopt, put } = world({ match: { pattern: '--port 80$' } });
    put(11, { command: 'web' });
    put(12, { command: 'web', argv: ['web', '--port', '80'] });
    adopt();
    expect(lineage.leaders().web).toMatchObject({ pid: 12 });

    const cold = world({ match: { pattern: '--port 80$' } });
    cold.put(20, { comm: 'web', argv: ['web', '--port', '81'], ppid: 0 });
    cold.put(21, { comm: 'x', argv: ['x', '--port', '80'], ppid: 0 });
    cold.adopt();
    expect(
      cold.lineage
        .candidatesByName()
        .get('web')!
        .map(({ pid }) => pid),
    ).toEqual([21]);
  });

  test('of its own none that fits is none that leads', () => {
    const { lineage, adopt, put } = world({ match: { name: 'other' } });
    put(11, { command: 'web' });
    adopt();
    expect(lineage.leaders()).toEqual({});
    expect(lineage.candidatesByName().size).toBe(0);
  });
});

describe('how many processes a service has', () => {
  function service(count: readonly [number, number]) {
    const all = world({ match: { count } });
    all.launch('web', 10);
    for (const pid of [11, 12]) all.put(pid, { command: 'web', ppid: 10, session: 10 });
    all.look();
    return all;
  }
  /** What a look a second later finds, so many times. */
  function later({ look, pass }: ReturnType<typeof world>, seconds: number): CommandFact[] {
    return Array.from({ length: seconds }, () => {
      pass(1_000);
      return factsOf(look(), 'web');
    }).flat();
  }

  test('too few for a while is its death, and its leader is left to be cleared away', () => {
    const all = service([3, 5]);
    expect(later(all, 3)).toEqual([]);
    all.drop(12);
    expect(later(all, 2)).toEqual([]);
    expect(later(all, 1)).toMatchObject([
      {
        type: 'leader.exited',
        id: { pid: 10 },
        exit: UNKNOWN,
        heir: null,
        remains: { workers: 2, tagged: 2 },
      },
    ]);
    expect(all.notices).toEqual([
      'web: there are 2 processes of it, and 3 at least should be: it counts as dead',
    ]);
    expect(all.lineage.leaders()).toEqual({});
    expect(all.lineage.targets('web', 'workers').map(({ pid }) => pid)).toEqual([10, 11]);
    expect(later(all, 5)).toEqual([]);
  });

  test('for a moment it is nothing', () => {
    const all = service([3, 5]);
    all.drop(12);
    expect(later(all, 2)).toEqual([]);
    all.put(13, { command: 'web', ppid: 10, session: 10 });
    expect(later(all, 1)).toEqual([]);
    all.drop(13);
    expect(later(all, 2)).toEqual([]);
  });

  test('while it starts they may still come, but not for ever', () => {
    const all = service([4, 5]);
    expect(later(all, 29)).toEqual([]);
    expect(later(all, 4)).toMatchObject([{ type: 'leader.exited' }]);
  });

  test('too many is told of, once each time', () => {
    const all = service([1, 2]);
    expect(later(all, 3)).toEqual([]);
    expect(all.notices).toEqual(['web: there are 3 processes of it, and 2 at most should be']);
    all.drop(12);
    later(all, 2);
    all.put(13, { command: 'web', ppid: 10, session: 10 });
    later(all, 2);
    expect(all.notices).toHaveLength(2);
  });

  test('is asked of nobody who is being stopped, is dead, or whose policy does not say', () => {
    const all = service([3, 5]);
    all.lineage.count('web', 'tagged');
    all.drop(12);
    expect(later(all, 5).map(({ type }) => type)).toEqual(['lineage.counted']);
    const revised = service([3, 5]);
    revised.lineage.revise({ name: 'web', fits: ['web'] });
    revised.drop(12);
    expect(later(revised, 5)).toEqual([]);
    revised.lineage.revise({ name: 'web', fits: ['web'], match: matching({ count: [3, 5] }) });
    expect(later(revised, 29 + 4)).toMatchObject([{ type: 'leader.exited' }]);
  });

  test('those of another name do not count', () => {
    const all = service([3, 3]);
    all.put(13, { command: 'web', ppid: 10, session: 10, comm: 'helper', argv: ['helper'] });
    expect(later(all, 3)).toEqual([]);
    expect(all.notices).toEqual([]);
  });
});

describe('whose a process is', () => {
  /** A service with a worker and a session that PAM opened. */
  function service() {
    const all = world();
    all.put(10, { command: 'web' });
    all.put(11, { command: 'web', ppid: 10, session: 10 });
    all.put(12, { ppid: 10, session: 12 });
    all.adopt();
    return all;
  }

  test('is known by what it carries, and of a session by who opened it', () => {
    const { lineage } = service();
    expect([10, 11, 12].map(lineage.commandOf)).toEqual(['web', 'web', 'web']);
  });

  test('is known of one that no look has found yet, and it is not taken in by being asked for', () => {
    const { lineage, put, look } = service();
    put(13, { command: 'db' });
    put(14, { ppid: 12, session: 12 });
    put(15, { ppid: 14, session: 12 });
    const before = lineage.changes('web');
    expect([13, 14, 15].map(lineage.commandOf)).toEqual(['db', 'web', 'web']);
    expect(lineage.changes('web')).toBe(before);
    look();
    lineage.count('web', 'everything');
    expect(factsOf(look(), 'web')).toMatchObject([{ remains: { tagged: 2, sessions: 3 } }]);
  });

  test('is known by descent where the tag is what PAM has copied from upkeep', () => {
    const { lineage, put } = service();
    put(13, { command: 'db', ppid: 10 });
    expect(lineage.commandOf(13)).toBe('web');
  });

  test('is known of one that is gone, as long as it is remembered', () => {
    const { lineage, put, drop, look } = service();
    drop(11);
    expect(lineage.commandOf(11)).toBe('web');
    look();
    expect(lineage.commandOf(11)).toBe('web');
    for (let pid = 100; pid < 200; pid++) put(pid, { command: 'db' });
    look();
    for (let pid = 100; pid < 200; pid++) drop(pid);
    look();
    expect(lineage.commandOf(199)).toBe('db');
    expect(lineage.commandOf(11)).toBe(null);
  });

  test('is known of a leader that is dead and buried', () => {
    const { lineage, look, die } = service();
    die(10, KILLED);
    expect(factsOf(look(), 'web')).toMatchObject([{ type: 'leader.exited' }]);
    expect(lineage.commandOf(10)).toBe('web');
  });

  test('is that of who has the number now', () => {
    const { lineage, put, drop } = service();
    put(11, { command: 'db', startTicks: 99 });
    expect(lineage.commandOf(11)).toBe('db');
    put(12, { startTicks: 99 });
    expect(lineage.commandOf(12)).toBe(null);
    drop(10);
    put(10, { ppid: 7, startTicks: 99 });
    expect(lineage.commandOf(10)).toBe(null);
  });

  test('is nobody’s where it is none of upkeep’s', () => {
    const { lineage, put } = service();
    put(7, { ppid: 0 });
    put(20, { ppid: 7 });
    put(21, { ppid: 20 });
    // What is read of two of them at different times may be a circle.
    put(30, { ppid: 31 });
    put(31, { ppid: 30 });
    expect([SELF, 0, 7, 20, 21, 30, 404].map(lineage.commandOf)).toEqual(Array(7).fill(null));
  });

  test('is what was known last where it cannot be read', () => {
    const { lineage, unreadable } = service();
    unreadable.add(11).add(404);
    expect([11, 404].map(lineage.commandOf)).toEqual(['web', null]);
  });

  test('without tags it is known by ancestry', () => {
    const { lineage, launch, put, look } = world({ tagged: false });
    launch('web', 10);
    look();
    put(11, { ppid: 10, session: 10 });
    put(12, { ppid: SELF, session: 10 });
    expect([11, 12].map(lineage.commandOf)).toEqual(['web', 'web']);
  });
});

describe('what all processes are to the commands', () => {
  test('whose each is, what it is there, and by which rule; one that no look has listed as well', () => {
    const { lineage, launch, put, look } = world();
    launch('web', 10);
    expect(lineage.standings().map(({ row, verdict }) => [row.pid, verdict])).toEqual([[10, 'leader']]);
    put(11, { command: 'web', ppid: 10 });
    put(12, { comm: 'web', argv: ['web'] });
    put(20, {});
    look();
    expect(lineage.standings()).toEqual([
      expect.objectContaining({
        command: 'web',
        verdict: 'leader',
        because: "it carries the command's tag; upkeep started it, and it stayed",
      }),
      expect.objectContaining({
        row: expect.objectContaining({ pid: 11 }),
        command: 'web',
        verdict: 'member',
      }),
      expect.objectContaining({
        command: 'web',
        verdict: 'refused',
        because: 'only its name fits: web has a leader that is known by more',
      }),
      { row: expect.objectContaining({ pid: 20 }), command: null, verdict: null, because: null },
    ]);
  });

  test('costs no more the more commands and strangers there are: names are compared up to a bound', () => {
    const { lineage, put, look } = world();
    for (let pid = 1_000; pid < 4_000; pid++) put(pid, { comm: 'web', argv: ['web'] });
    look();
    const verdicts = new Set(lineage.standings().map(({ verdict }) => verdict));
    expect(verdicts).toEqual(new Set([null]));
  });
});
