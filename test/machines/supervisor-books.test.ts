/** What the root and the groups keep in their books, and what exactly they send. */
import { describe, expect, test } from 'vitest';
import type { CommandOrder, CommandPlan, GroupEvent } from '../../machines/events.ts';
import { left } from './harness.ts';
import { command, group, oneshot, startWorld, type World, type WorldOptions } from './supervisor-world.ts';

const ORDERS = ['start', 'restart', 'stop', 'kill', 'release', 'rejoin', 'adjust'].map(
  (what) => `command.${what}`,
);

/** What is sent to commands and to groups from now on. */
function overhear(w: World) {
  const orders: { to: string; order: CommandOrder }[] = [];
  const toGroups: { to: string; event: GroupEvent }[] = [];
  w.root.system.inspect((each) => {
    if (each.type !== '@xstate.event') return;
    const { id } = each.actorRef as unknown as { id: string };
    const { type } = each.event;
    if (id.startsWith('command:') && ORDERS.includes(type)) {
      orders.push({ to: id.slice('command:'.length), order: each.event as CommandOrder });
    } else if (id.startsWith('group:')) toGroups.push({ to: id, event: each.event as GroupEvent });
  });
  return {
    to: (name: string) => orders.filter(({ to }) => to === name).map(({ order }) => order),
    orders: () => orders.map(({ to, order }) => `${order.type.slice('command.'.length)} ${to}`),
    toGroups: (type: GroupEvent['type']) => toGroups.filter(({ event }) => event.type === type),
  };
}

const book = (w: World) => w.root.getSnapshot().context;
const reasonsFor = (w: World, name: string) =>
  w.toldOf('command.waiting').flatMap((each) => (each.command === name ? [each.for] : []));

describe('the end of the container', () => {
  test('done: not by its stop, nor by the end of another', () => {
    const exitWhen = { done: 'job' };
    const w = startWorld({ exitWhen, commands: [oneshot('job'), oneshot('other'), command('s')] });
    w.runs.set('other', { ms: 20, code: 0 });
    w.runs.set('job', { ms: 10_000, code: 0 });
    w.advance(200);
    w.stop('job');
    w.advance(200);
    expect(w.state('other')).toMatch(/^completed/);
    expect(w.state('job')).toBe('stopped');
    expect(w.root.getSnapshot().value).toBe('supervising');
    w.start('job');
    w.advance(20_000);
    expect(w.toldOf('supervisor.stopping').map(({ reason }) => reason)).toEqual(['job is done']);
    expect(w.output()).toMatchObject({ code: 0, left: 0 });
  });

  test('all-done: where schedules alone are left, nothing is done yet', () => {
    const nightly = command('nightly', { policy: { kind: 'cron', restart: 'on-failure' } });
    const w = startWorld({ exitWhen: 'all-done', commands: [nightly, command('s')] }, ['s']);
    w.advance(200);
    w.reload({ exitWhen: 'all-done', commands: [nightly] });
    w.advance(200);
    expect(Object.keys(book(w).plans)).toEqual(['nightly']);
    expect(w.root.getSnapshot().value).toBe('supervising');
  });
});

describe('orders', () => {
  test('a restart takes back a stop, and what was reached', () => {
    const w = startWorld({ commands: [command('a'), command('b', { after: ['a'] })] }, ['a', 'b']);
    w.advance(200);
    expect(book(w).reached.a).toMatchObject({ state: 'ready', tried: true });
    w.stop('a');
    w.advance(200);
    expect([...book(w).down]).toEqual(['a']);
    expect(book(w).reached.a).toMatchObject({ state: 'stopped' });
    w.restart('a');
    expect([...book(w).down]).toEqual([]);
    expect(book(w).reached.a).toMatchObject({ state: 'down', tried: false });
  });

  test('a restart of one that runs is a new begin', () => {
    const w = startWorld({ commands: [command('a')] }, ['a']);
    w.dies.set('a', 50);
    w.advance(200);
    w.restart('a');
    w.advance(10);
    expect(w.state('a')).toMatch(/^stopping/);
    expect(book(w).reached.a).toMatchObject({ state: 'down', tried: false });
  });
});

describe('those that wait', () => {
  test('each is released once', () => {
    const w = startWorld({
      commands: [command('a'), command('b'), command('x', { requires: { a: 'started' } })],
    });
    const heard = overhear(w);
    w.advance(500);
    expect(w.alive()).toEqual(['a', 'b', 'x']);
    expect(heard.to('x').map(({ type }) => type)).toEqual(['command.release']);
    expect([...book(w).waiting]).toEqual([]);
  });

  test('who was stopped while it waited hears nothing of it any more', () => {
    const w = startWorld({
      commands: [
        command('a', { policy: { giveUpAfter: 1, settle: 1_000 } }),
        command('x', { requires: { a: 'started' } }),
      ],
    });
    w.stop('x');
    w.advance(100);
    expect([...book(w).waiting]).toEqual([]);
    const heard = overhear(w);
    w.broken.add('a');
    w.die('a');
    w.advance(100);
    expect(w.state('a')).toMatch(/^failed/);
    expect(reasonsFor(w, 'x')).toEqual([['a: started']]);
    w.broken.delete('a');
    w.start('a');
    w.advance(2_000);
    expect(w.state('a')).toMatch(/^running/);
    expect(heard.to('x')).toEqual([]);
  });

  test('what fails or is stopped elsewhere is no news', () => {
    const failing = (name: string): CommandPlan => command(name, { policy: { giveUpAfter: 1 } });
    const w = startWorld({
      groups: [
        group('g', 'one_for_all', [command('g1'), command('g2')], {
          intensity: { restarts: 0, within: 1_000 },
        }),
      ],
      commands: [
        failing('a'),
        failing('b'),
        oneshot('o'),
        command('s'),
        command('x', { requires: { a: 'ready', o: 'completed' } }),
      ],
    });
    w.runs.set('o', { ms: 10_000, code: 0 });
    w.broken.add('a').add('b');
    w.advance(200);
    const before = [
      ['a: ready', 'o: completed'],
      ['a: ready (it is failed)', 'o: completed'],
    ];
    expect(w.state('b')).toMatch(/^failed/);
    w.stop('s');
    w.advance(50);
    expect(w.state('s')).toBe('stopped');
    expect(reasonsFor(w, 'x')).toEqual(before);
    w.die('g1');
    w.advance(100);
    expect(w.groupState('g')).toBe('failed');
    expect(reasonsFor(w, 'x')).toEqual(before);
  });

  test('a group that gives up is news for whoever waits for what it gave up, and for nobody else', () => {
    const w = startWorld({
      groups: [
        group('g', 'one_for_all', [command('g1'), command('g2'), oneshot('done')], {
          intensity: { restarts: 0, within: 1_000 },
        }),
      ],
      commands: [
        command('late', { policy: { settle: 5_000 } }),
        command('x', { requires: { g1: 'ready', late: 'started' } }),
        command('y', { requires: { late: 'started' } }),
        // Stopped by an operator: it is not the group that gave it up.
        command('z', { requires: { g2: 'ready', late: 'started' } }),
      ],
    });
    w.runs.set('done', { ms: 5, code: 0 });
    w.advance(200);
    w.stop('g2');
    w.advance(200);
    expect(reasonsFor(w, 'z')).toEqual([
      ['g2: ready', 'late: started'],
      ['g2: ready (it is stopped)', 'late: started'],
    ]);
    w.die('g1');
    w.advance(200);
    expect(w.groupState('g')).toBe('failed');
    expect(reasonsFor(w, 'x').at(-1)).toEqual(['g1: ready (it is failed)', 'late: started']);
    expect(reasonsFor(w, 'y')).toHaveLength(1);
    expect(reasonsFor(w, 'z')).toHaveLength(2);
  });
});

describe('what is told of those that wait', () => {
  test('that the one they require fails', () => {
    const a = command('a', { policy: { giveUpAfter: 1 } });
    const w = startWorld({ commands: [a, command('x', { requires: { a: 'ready' } })] });
    w.broken.add('a');
    w.advance(100);
    expect(reasonsFor(w, 'x')).toEqual([['a: ready'], ['a: ready (it is failed)']]);
  });

  test('but not that one fails which they only come after, nor that the policy was read again', () => {
    const commands = [
      command('a', { policy: { giveUpAfter: 1 } }),
      command('b', { policy: { settle: 5_000 } }),
      command('x', { requires: { b: 'started' }, after: ['a'] }),
    ];
    const w = startWorld({ commands });
    w.broken.add('a');
    w.advance(100);
    expect(w.state('a')).toMatch(/^failed/);
    w.reload({ commands });
    expect(reasonsFor(w, 'x')).toEqual([['b: started', 'a: its start']]);
  });
});

describe('groups', () => {
  test('none is made for nobody', () => {
    const w = startWorld({ groups: [group('empty', 'one_for_all', [])], commands: [command('a')] });
    expect(w.groupState('empty')).toBe('nobody');
    expect(book(w).groups).toHaveLength(1);
    w.reload({ commands: [command('a')] });
    w.reload({ groups: [group('empty', 'one_for_one', [])], commands: [command('a')] });
    w.reload({ groups: [group('empty', 'one_for_all', [])], commands: [command('a')] });
    expect(book(w).groups).toHaveLength(1);
  });

  test('where nobody comes before anybody, each group is told once to stop', () => {
    const w = startWorld({ commands: [command('a'), command('b')] }, ['a', 'b']);
    const heard = overhear(w);
    w.shutdown();
    expect(book(w).stopOrder).toBeNull();
    expect(heard.toGroups('all.ordered').map(({ event }) => event)).toEqual([
      {
        type: 'all.ordered',
        order: { type: 'command.stop', at: 0, budget: 9_000, everything: true },
      },
    ]);
    expect(heard.toGroups('group.closed')).toEqual([]);
  });

  test.each([
    ['requires', { requires: { a: 'started' } }],
    ['after', { after: ['a'] }],
  ] as const)('where one comes before another, by %s, they are told one by one', (_, given) => {
    const w = startWorld({ commands: [command('a'), command('b', given)] }, ['a', 'b']);
    w.advance(200);
    const heard = overhear(w);
    w.shutdown();
    expect(heard.to('b')).toEqual([
      { type: 'command.stop', at: 200, budget: expect.any(Number), everything: true },
    ]);
    w.advance(100);
    expect(heard.to('a').filter(({ type }) => type === 'command.stop')).toEqual([
      { type: 'command.stop', at: expect.any(Number), budget: expect.any(Number), everything: true },
    ]);
    expect(w.output()).toMatchObject({ code: 0 });
  });

  test('who was not told yet when the time is over is killed with all that it started', () => {
    const w = startWorld({ commands: [command('a'), command('b', { after: ['a'] })] }, ['a', 'b']);
    w.immortal.add('b');
    w.advance(200);
    const heard = overhear(w);
    w.shutdown();
    w.shutdown();
    expect(heard.to('a').filter(({ type }) => type === 'command.stop')).toEqual([
      { type: 'command.stop', at: 200, budget: 0, everything: true },
    ]);
  });

  test('a schedule begins no run while those that come after it are stopped', () => {
    const nightly = command('nightly', { policy: { kind: 'cron', restart: 'on-failure' } });
    const w = startWorld({ commands: [nightly, command('b', { after: ['nightly'] })] });
    w.dies.set('b', 1_000);
    w.advance(200);
    w.actorOf('nightly')!.send({ type: 'schedule.due', at: w.clock.now() });
    w.advance(200);
    expect(w.alive()).toEqual(['b', 'nightly']);
    w.shutdown();
    w.advance(100);
    expect(w.alive()).toEqual(['b']);
    expect(w.state('nightly')).toBe('stopped');
  });
});

describe('a policy that is read again', () => {
  const slow = (w: World, name: string): void => void w.dies.set(name, 4_000);

  test('who is on its way out stays known, and is told once', () => {
    const w = startWorld({ commands: [command('a'), command('b'), command('c')] }, ['a', 'b', 'c']);
    slow(w, 'a');
    w.advance(200);
    const heard = overhear(w);
    w.reload({ commands: [command('b'), command('c')] });
    expect(heard.to('a')).toEqual([{ type: 'command.stop', at: 200, budget: 9_000, everything: false }]);
    w.advance(50);
    w.reload({ commands: [command('c')] });
    expect(Object.keys(book(w).plans).sort()).toEqual(['a', 'b', 'c']);
    expect([...book(w).leaving].sort()).toEqual(['a', 'b']);
    w.advance(50);
    w.reload({ commands: [command('c')] });
    expect([...book(w).leaving]).toEqual(['a']);
    expect(heard.to('a')).toHaveLength(1);
    w.shutdown();
    expect([...book(w).awaited].sort()).toEqual(['a', 'c']);
    w.advance(5_000);
    expect(w.output()).toEqual({ code: 0, exit: null, left: 0 });
    expect(w.alive()).toEqual([]);
  });

  test('who has gone is in no book, of the root or of a group', () => {
    const b = command('b', { after: ['a'] });
    const c = command('c', { after: ['b'] });
    const w = startWorld({ commands: [command('a'), b, c] }, ['a', 'b', 'c']);
    w.stop('a');
    w.advance(100);
    expect(Object.keys(book(w).reached).sort()).toEqual(['a', 'b', 'c']);
    w.reload({ commands: [b, c] });
    w.advance(100);
    const { plans, groupOf, reached, down, waiting, leaving, groups } = book(w);
    for (const of of [plans, groupOf, reached]) expect(Object.keys(of).sort()).toEqual(['b', 'c']);
    for (const of of [down, waiting, leaving]) expect([...of]).toEqual([]);
    expect(groups.map((each) => Object.keys(each.getSnapshot().context.actors))).toEqual([['b', 'c']]);
  });

  test('below another group as well', () => {
    const inner = (...names: string[]) =>
      group('outer', 'one_for_one', [
        command('z'),
        group(
          'inner',
          'one_for_one',
          names.map((name) => command(name)),
        ),
      ]);
    const w = startWorld({ groups: [inner('a', 'b')] }, ['a', 'b', 'z']);
    w.advance(100);
    w.dies.set('a', 100);
    const { groups } = book(w);
    w.reload({ groups: [], commands: [command('b'), command('z')] });
    const outer = groups[0]!.getSnapshot().context;
    expect([Object.keys(outer.actors), Object.keys(outer.under)]).toEqual([[], ['a']]);
    w.advance(500);
    expect(w.alive()).toEqual(['b', 'z']);
    const after = groups[0]!.getSnapshot().context;
    expect([Object.keys(after.actors), Object.keys(after.under)]).toEqual([[], []]);
  });

  test('who comes back while it is on its way out has reached nothing until it runs again', () => {
    const w = startWorld({ commands: [command('a'), command('b')] }, ['a', 'b']);
    w.dies.set('a', 100);
    w.advance(200);
    w.reload({ commands: [command('b')] });
    w.advance(20);
    const x = command('x', { after: ['a'] });
    w.reload({ commands: [command('a'), command('b'), x] });
    expect(book(w).reached.a).toMatchObject({ state: 'down', tried: false });
    expect(w.state('x')).toBe('waiting');
    w.advance(500);
    expect(w.news()).toEqual(['SIGTERM a', 'end a', 'start a', 'start x']);
  });

  test('but for one that an operator had stopped: it stays as it is', () => {
    const late = command('b', { after: ['a'] });
    const w = startWorld({ commands: [command('a'), late] }, ['a', 'b']);
    w.dies.set('a', 100);
    w.advance(200);
    w.stop('a');
    w.advance(20);
    w.reload({ commands: [late] });
    w.reload({ commands: [command('a'), late, command('x', { after: ['a'] })] });
    expect([...book(w).down]).toEqual(['a']);
    expect(book(w).reached.a, 'nobody begins it').toMatchObject({ tried: true });
    expect(w.state('x'), 'it has nobody to wait for').not.toBe('waiting');
    w.advance(500);
    expect(w.state('a')).toBe('stopped');
    expect(book(w).reached.a).toMatchObject({ state: 'stopped' });
    expect(w.alive()).toEqual(['b', 'x']);
  });

  test('what an operator has stopped stays stopped from one policy to the next', () => {
    const commands = [command('a'), command('b')];
    const w = startWorld({ commands }, ['a', 'b']);
    w.stop('a');
    w.advance(100);
    w.reload({ commands });
    expect([...book(w).down]).toEqual(['a']);
    w.reload({ commands }, { restarted: ['a'] });
    w.advance(200);
    expect(w.alive()).toEqual(['b']);
    expect(w.state('a')).toBe('stopped');
  });

  test('who is new and is not to be started by itself rests', () => {
    const manual = command('m', { policy: { autostart: false } });
    const w = startWorld({ commands: [command('a')] }, ['a']);
    w.reload({ commands: [command('a'), manual] });
    w.advance(200);
    expect([w.state('m'), w.alive()]).toEqual(['stopped', ['a']]);
    expect([...book(w).down]).toEqual(['m']);
    expect(book(w).reached.m).toMatchObject({ state: 'stopped' });
    w.start('m');
    w.advance(200);
    expect(w.alive()).toEqual(['a', 'm']);
  });

  test.each(['loose', 'moved'] as const)(
    'who was started by an order goes on, whatever it is at (%s)',
    (where) => {
      const manual = command('m', { policy: { autostart: false } });
      const w = startWorld({ commands: [command('a'), manual] }, ['a']);
      w.start('m');
      w.advance(200);
      w.broken.add('m');
      w.die('m');
      w.advance(30);
      expect(w.state('m')).toBe('backoff');
      w.reload(
        where === 'loose'
          ? { commands: [command('a'), manual] }
          : { groups: [group('g', 'one_for_one', [manual])], commands: [command('a')] },
      );
      expect([...book(w).down]).toEqual([]);
      w.broken.delete('m');
      w.advance(5_000);
      expect(w.alive()).toEqual(['a', 'm']);
    },
  );

  test('who moves has reached what it tells from its new place', () => {
    const db = command('db', { policy: { ready: { timeout: 1_000, interval: 5 } } });
    const late = command('late', { after: ['db'] });
    const w = startWorld({ groups: [group('g', 'one_for_one', [db])], commands: [late] }, ['db', 'late']);
    w.advance(200);
    expect(book(w).reached.db).toMatchObject({ state: 'ready' });
    const x = command('x', { requires: { db: 'ready' } });
    w.reload({ groups: [group('h', 'one_for_one', [x])], commands: [db, late] });
    expect(book(w).reached.db).toMatchObject({ state: 'started' });
    expect(w.state('x')).toBe('waiting');
    w.advance(100);
    expect(w.alive()).toEqual(['db', 'late', 'x']);
  });

  test('who moves and has done its work, or has failed, is not one that was stopped', () => {
    const members = [
      oneshot('done'),
      command('failed', { policy: { giveUpAfter: 1 } }),
      command('x', { after: ['done', 'failed'] }),
    ];
    const w = startWorld({ commands: members });
    w.runs.set('done', { ms: 5, code: 0 });
    w.broken.add('failed');
    w.advance(100);
    w.reload({ groups: [group('g', 'one_for_one', members)] });
    expect([...book(w).down]).toEqual([]);
    expect(book(w).reached).toMatchObject({ done: { state: 'completed' }, failed: { state: 'failed' } });
  });

  test('each hears of its new part, though nothing else of it has changed', () => {
    const roleOf = (w: World, name: string) => w.actorOf(name)!.getSnapshot().context.role;
    const w = startWorld(
      { groups: [group('g', 'one_for_one', [command('a'), command('b')])], commands: [command('c')] },
      ['a', 'b', 'c'],
    );
    const heard = overhear(w);
    w.reload({
      groups: [group('g', 'one_for_all', [command('a'), command('b')])],
      commands: [command('c')],
    });
    expect(heard.orders()).toEqual(['adjust a', 'adjust b']);
    expect(roleOf(w, 'a')).toEqual({ waits: false, watched: true, grouped: true });
    w.reload({
      groups: [group('g', 'one_for_all', [command('a'), command('b', { after: ['a'] })])],
      commands: [command('c')],
    });
    expect(heard.orders().slice(2)).toEqual(['adjust b']);
    expect(roleOf(w, 'b')).toEqual({ waits: true, watched: true, grouped: true });
  });

  test('also where each was watched before', () => {
    const of = (strategy: 'one_for_one' | 'one_for_all'): WorldOptions => ({
      groups: [group('g', strategy, [command('a')], { intensity: { restarts: 5, within: 1_000 } })],
    });
    const w = startWorld(of('one_for_one'), ['a']);
    w.reload(of('one_for_all'));
    expect(w.actorOf('a')!.getSnapshot().context.role).toEqual({
      waits: false,
      watched: true,
      grouped: true,
    });
  });

  test('what is left of a run, and what kind it was, is told to whoever takes it over', () => {
    const job = oneshot('job');
    const w = startWorld({ commands: [job, command('b')] }, ['b']);
    w.broken.add('job');
    w.advance(5);
    const remains = left({ tagged: 2, sessions: 1 });
    w.reload({ groups: [group('g', 'one_for_one', [job, command('b')])] }, { remains: { job: remains } });
    expect(w.actorOf('job')!.getSnapshot().context).toMatchObject({ remains, runOf: 'oneshot' });
    expect(w.actorOf('b')!.getSnapshot().context.remains).toEqual(left({}));
  });
});

describe('what a group does', () => {
  const together = (members: readonly CommandPlan[], rest: WorldOptions = {}): WorldOptions => ({
    groups: [group('g', 'one_for_all', members)],
    ...rest,
  });

  test('each has the time that its policy gives, and its sessions are left alone', () => {
    const w = startWorld(
      together([command('a'), command('b', { policy: { stopTimeout: 70 } }), command('c', { after: ['a'] })]),
      ['a', 'b', 'c'],
    );
    w.advance(200);
    const heard = overhear(w);
    w.die('b');
    w.advance(300);
    expect(heard.to('c')[0]).toEqual({ type: 'command.stop', at: 200, budget: 9_000, everything: false });
    expect(heard.orders().filter((each) => /^stop/.test(each))).toEqual(['stop c', 'stop a']);
    w.advance(200);
    const again = overhear(w);
    w.die('a');
    expect(again.to('b')[0]).toEqual({ type: 'command.stop', at: 700, budget: 70, everything: false });
  });

  test('an order says when those are stopped that it makes free', () => {
    const w = startWorld(together([command('a'), command('b', { after: ['a'] }), command('c')]), [
      'a',
      'b',
      'c',
    ]);
    w.dies.set('b', 500);
    w.advance(200);
    w.die('c');
    w.advance(40);
    const heard = overhear(w);
    // b goes its own way: nobody is left that a is stopped behind.
    w.start('b');
    expect(heard.to('a')).toEqual([{ type: 'command.stop', at: 240, budget: 9_000, everything: false }]);
  });

  test('a dead one that is found alive is not begun again', () => {
    const a = command('a', { policy: { ready: { timeout: 1_000, interval: 5 } } });
    const w = startWorld(together([a, command('b')]), ['a', 'b']);
    w.dies.set('b', 50);
    w.advance(200);
    const heard = overhear(w);
    w.die('a');
    w.advance(49);
    w.appear('a');
    w.advance(2);
    expect(w.groupState('g')).toBe('tending');
    expect(heard.orders()).toEqual(['stop b', 'start b']);
    // Its probe has not answered yet.
    expect(book(w).reached.a).toMatchObject({ state: 'started', tried: true });
  });

  test('but whoever else comes up meanwhile leaves the dead one to be begun', () => {
    const w = startWorld(together([command('a'), command('b'), command('c')]), ['a', 'b', 'c']);
    w.dies.set('b', 50);
    w.advance(200);
    const heard = overhear(w);
    w.die('a');
    w.start('c');
    w.advance(500);
    expect(w.alive()).toEqual(['a', 'b', 'c']);
    expect(heard.orders().filter((each) => each.endsWith(' a'))).toEqual(['rejoin a', 'release a']);
  });

  test('one that was taken along and rests is not awaited once more when another dies', () => {
    const w = startWorld(
      {
        groups: [
          group('outer', 'rest_for_one', [
            command('z'),
            command('b'),
            group('inner', 'one_for_one', [command('x')]),
            command('slow'),
          ]),
        ],
      },
      ['z', 'b', 'x', 'slow'],
    );
    w.dies.set('slow', 300);
    w.advance(200);
    w.die('b');
    w.advance(50);
    expect(w.alive()).toEqual(['slow', 'z']);
    w.die('z');
    w.advance(1_000);
    expect(w.groupState('outer')).toBe('tending');
    expect(w.alive()).toEqual(['b', 'slow', 'x', 'z']);
  });

  test('a dead one is not stopped when a group beside it gives up', () => {
    const inner = group('inner', 'one_for_one', [command('x')], {
      intensity: { restarts: 0, within: 10_000 },
    });
    const w = startWorld(
      {
        groups: [
          group('outer', 'rest_for_one', [inner, command('a'), command('b')], {
            intensity: { restarts: 5, within: 10_000 },
          }),
        ],
      },
      ['a', 'b', 'x'],
    );
    w.dies.set('b', 300);
    w.advance(200);
    const heard = overhear(w);
    w.die('a');
    w.advance(1);
    w.die('x');
    w.advance(1_000);
    expect(w.toldOf('group.failed').map((each) => each.group)).toEqual(['inner']);
    expect(w.alive()).toEqual(['a', 'b', 'x']);
    expect(heard.orders().filter((each) => each.endsWith(' a'))).toEqual(['rejoin a', 'release a']);
  });

  test('a group that gives up stops nobody that is over, or that an operator has stopped', () => {
    const inner = group('inner', 'one_for_one', [command('x'), command('y'), oneshot('done')]);
    const w = startWorld(
      {
        groups: [
          group('outer', 'one_for_one', [command('a'), inner], { intensity: { restarts: 0, within: 1_000 } }),
        ],
      },
      ['a', 'x', 'y'],
    );
    w.runs.set('done', { ms: 5, code: 0 });
    w.advance(100);
    w.stop('y');
    w.advance(100);
    const heard = overhear(w);
    w.die('a');
    w.advance(200);
    expect(w.groupState('outer')).toBe('failed');
    expect(heard.orders()).toEqual(['stop a', 'stop x']);
    expect(w.state('done')).toBe('completed.done');
    expect(w.toldOf('group.failed').map(({ reason }) => reason)).toEqual([
      'a died: more than 0 restarts in 1 s',
    ]);
  });

  test('how often is too often, in words', () => {
    const w = startWorld(
      { groups: [group('g', 'one_for_one', [command('a')], { intensity: { restarts: 1, within: 60_000 } })] },
      ['a'],
    );
    for (let deaths = 0; deaths < 2; deaths++) {
      w.advance(200);
      w.die('a');
    }
    w.advance(200);
    expect(w.toldOf('group.failed').map(({ reason }) => reason)).toEqual([
      'a died: more than 1 restart in 60 s',
    ]);
  });

  test('what had failed before it came into a group counts there like the others', () => {
    const a = command('a', { policy: { giveUpAfter: 1 } });
    const w = startWorld({ commands: [a, command('b')] }, ['b']);
    w.broken.add('a');
    w.advance(200);
    expect(w.state('a')).toBe('failed.ended');
    w.broken.delete('a');
    w.reload({ groups: [group('g', 'one_for_all', [a, command('b')])] });
    w.advance(500);
    w.news();
    w.die('a');
    w.advance(200);
    expect(w.news()).toEqual(['end a', 'SIGTERM b', 'end b', 'start a', 'start b']);
  });

  test('a fact goes down to its own command, and nothing else with it', () => {
    const inner = group('inner', 'one_for_one', [command('x'), command('y')]);
    const w = startWorld({ groups: [group('outer', 'one_for_one', [command('a'), inner])] }, ['a', 'x', 'y']);
    w.advance(200);
    const heard = overhear(w);
    w.die('x');
    const facts = heard
      .toGroups('scan.changed')
      .map(({ to, event }) => [to, 'facts' in event && event.facts]);
    const fact = { command: 'x', fact: expect.objectContaining({ type: 'leader.exited' }) };
    expect(facts).toEqual([
      ['group:0:outer', [fact]],
      ['group:inner', [fact]],
    ]);
  });
});
