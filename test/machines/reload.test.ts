/** The policy is read again while everything runs, starts, waits or stops. */
import { describe, expect, test } from 'vitest';
import type { CommandPlan } from '../../machines/events.ts';
import { GROUP_SIZE } from '../../machines/tree.ts';
import { status } from './harness.ts';
import { command, group, oneshot, startWorld, type World } from './supervisor-world.ts';

const names = (w: World) => Object.keys(w.root.getSnapshot().context.plans).sort();

test('what is unchanged keeps its actor and its processes', () => {
  const commands = [command('a'), command('b', { requires: { a: 'started' } })];
  const groups = [group('g', 'one_for_all', [command('x'), command('y')])];
  const w = startWorld({ commands, groups });
  w.advance(100);
  w.news();
  const actors = ['a', 'b', 'x', 'y'].map(w.actorOf);
  w.reload({ commands, groups });
  w.advance(1_000);
  expect(w.news()).toEqual([]);
  expect(['a', 'b', 'x', 'y'].map(w.actorOf)).toEqual(actors);
  expect(w.toldOf('policy.reloaded')).toHaveLength(1);
});

test('adjusted: another policy for the processes that run', () => {
  const w = startWorld({ commands: [command('a')] }, ['a']);
  const next = command('a', { policy: { stable: 1e6, giveUpAfter: 1 } });
  w.reload({ commands: [next] }, { adjusted: ['a'] });
  expect(w.actorOf('a')!.getSnapshot().context.policy).toEqual(next.policy);
  w.advance(1_000);
  expect(w.news()).toEqual([]);
  w.die('a');
  w.advance(100);
  expect(w.state('a')).toBe('failed.ended');
});

describe('restarted', () => {
  test('its processes are replaced, with the new policy, and when it is there what waits for it follows', () => {
    const w = startWorld({ commands: [command('a'), command('b')] }, ['a', 'b']);
    const actor = w.actorOf('a');
    w.reload(
      { commands: [command('a'), command('b'), command('c', { requires: { a: 'started' } })] },
      { restarted: ['a'] },
    );
    w.advance(100);
    expect(w.news()).toEqual(['SIGTERM a', 'end a', 'start a', 'start c']);
    expect(w.actorOf('a')).toBe(actor);
  });

  test('but not against an operator', () => {
    const w = startWorld({ commands: [command('a')] }, ['a']);
    w.stop('a');
    w.advance(100);
    w.reload({ commands: [command('a')] }, { restarted: ['a'] });
    w.advance(100);
    expect(w.state('a')).toBe('stopped');
  });

  test('what has failed or is over gets another run', () => {
    const commands = [oneshot('done'), command('failed', { policy: { giveUpAfter: 1 } })];
    const w = startWorld({ commands });
    w.runs.set('done', { ms: 10, code: 0 });
    w.broken.add('failed');
    w.advance(100);
    w.broken.delete('failed');
    w.reload({ commands }, { restarted: ['done', 'failed'] });
    w.advance(100);
    expect(w.alive()).toEqual(['failed']);
    expect(w.log.filter((line) => line.includes('start done'))).toHaveLength(2);
  });

  test('into a group as well', () => {
    const w = startWorld({ commands: [command('a'), oneshot('done')] }, ['a']);
    w.runs.set('done', { ms: 10, code: 0 });
    w.advance(100);
    w.news();
    w.reload(
      { groups: [group('g', 'one_for_all', [command('a'), oneshot('done')])] },
      { restarted: ['a', 'done'] },
    );
    w.advance(100);
    expect(w.news().sort()).toEqual(['SIGTERM a', 'end a', 'end done', 'start a', 'start done']);
  });
});

describe('what becomes a schedule in another group', () => {
  const yearly = command('j', { policy: { kind: 'cron', restart: 'on-failure', giveUpAfter: 1 } });
  const groupOf = (...members: CommandPlan[]) => group('g', 'one_for_all', members);

  test.each([
    ['a service', command('j')],
    ['a oneshot', oneshot('j')],
  ])('%s is stopped, and waits for its time', (_, j) => {
    for (const next of [
      { groups: [groupOf(command('k'))], commands: [yearly] },
      { groups: [groupOf(command('k')), group('h', 'one_for_all', [yearly])] },
    ]) {
      const w = startWorld({ groups: [groupOf(j, command('k'))] }, ['j', 'k']);
      w.reload(next, { restarted: ['j'] });
      w.advance(10_000);
      expect(w.news()).toEqual(['SIGTERM j', 'end j']);
      expect(w.state('j')).toBe('scheduled');
    }
  });

  test('a run of the schedule that it was already is run again', () => {
    const w = startWorld({ groups: [groupOf(yearly, command('k'))] }, ['j', 'k']);
    w.reload({ groups: [groupOf(command('k'))], commands: [yearly] }, { restarted: ['j'] });
    w.advance(100);
    expect(w.news()).toEqual(['SIGTERM j', 'end j', 'start j']);
  });
});

describe('removed', () => {
  test('it is stopped, and is nobody afterwards', () => {
    const w = startWorld({ commands: [command('a'), command('b')] }, ['a', 'b']);
    w.dies.set('a', 100);
    w.reload({ commands: [command('b')] });
    w.advance(50);
    expect([w.state('a'), names(w)]).toEqual(['stopping.terminating', ['a', 'b']]);
    w.start('a');
    w.advance(100);
    expect([w.state('a'), names(w)]).toEqual(['nobody', ['b']]);
    expect(w.alive()).toEqual(['b']);
  });

  test('with its whole group, which is not touched by its strategy any more', () => {
    const w = startWorld(
      { groups: [group('g', 'one_for_all', [command('a'), command('b')])], commands: [command('c')] },
      ['a', 'b', 'c'],
    );
    w.dies.set('b', 100);
    w.reload({ commands: [command('c')] });
    w.advance(50);
    w.advance(100);
    expect(w.news()).toEqual(['SIGTERM a', 'SIGTERM b', 'end a', 'end b']);
    expect(w.groupState('g')).toBe('closed');
    w.reload({ commands: [command('c')] });
    expect(w.groupState('g'), 'an empty group is gone with the next policy').toBe('nobody');
    expect(w.state('c')).toMatch(/^running/);
  });

  test('whether it rests, waits, backs off, starts or stops', () => {
    const commands = [
      command('stopped'),
      command('waiting', { requires: { backoff: 'started' } }),
      command('backoff'),
      command('launching'),
      command('stopping'),
      oneshot('completed'),
      command('failed', { policy: { giveUpAfter: 1 } }),
    ];
    const w = startWorld({ commands: [...commands, command('stays')] }, ['stopping', 'stays']);
    w.runs.set('completed', { ms: 5, code: 0 });
    w.broken.add('backoff').add('failed');
    w.dies.set('stopping', 200);
    w.stop('stopped');
    w.advance(50);
    w.stop('stopping');
    w.restart('launching');
    w.reload({ commands: [command('stays')] });
    w.advance(1_000);
    expect(names(w)).toEqual(['stays']);
    expect(w.alive()).toEqual(['stays']);
  });

  test('it comes back before it has gone: it is started again, once it has stopped', () => {
    for (const where of ['loose', 'group'] as const) {
      const w = startWorld({ commands: [command('a'), command('b')] }, ['a', 'b']);
      w.dies.set('a', 100);
      w.reload({ commands: [command('b')] });
      w.advance(50);
      w.reload(
        where === 'loose'
          ? { commands: [command('a'), command('b')] }
          : { commands: [command('b')], groups: [group('g', 'one_for_all', [command('a')])] },
      );
      w.advance(500);
      expect(w.alive(), where).toEqual(['a', 'b']);
      expect(w.log.filter((line) => line.includes('start a'))).toHaveLength(1);
      w.die('a');
      w.advance(100);
      expect(w.alive(), where).toEqual(['a', 'b']);
    }
  });

  test('with what the new policy says of it', () => {
    const w = startWorld({ commands: [command('a'), command('b')] }, ['a', 'b']);
    w.reload({ commands: [command('b')] });
    const next = command('a', { policy: { stable: 7 }, requires: { b: 'started' } });
    w.reload({ commands: [next, command('b')] });
    w.advance(500);
    expect(w.alive()).toEqual(['a', 'b']);
    expect(w.actorOf('a')!.getSnapshot().context).toMatchObject({
      policy: next.policy,
      role: { waits: true, watched: true },
    });
  });

  test('and again and again', () => {
    const w = startWorld({ commands: [command('a'), command('b')] }, ['a', 'b']);
    w.dies.set('a', 100);
    for (let round = 0; round < 6; round++) {
      w.reload({ commands: round % 2 === 0 ? [command('b')] : [command('a'), command('b')] });
      w.advance(20);
    }
    w.advance(500);
    expect(w.alive()).toEqual(['a', 'b']);
    w.reload({ commands: [command('b')] });
    w.advance(500);
    expect([names(w), w.alive()]).toEqual([['b'], ['b']]);
  });

  test('a shutdown waits for those on their way out', () => {
    const w = startWorld({ commands: [command('a'), command('b')] }, ['a', 'b']);
    w.dies.set('a', 500);
    w.reload({ commands: [command('b')] });
    w.advance(100);
    w.shutdown();
    w.advance(100);
    expect(w.alive()).toEqual(['a']);
    expect(w.output()).toBeNull();
    w.advance(500);
    expect(w.output()).toEqual({ code: 0, exit: null, left: 0 });
  });
});

describe('into groups, out of them, between them', () => {
  test('who moves keeps its processes', () => {
    const w = startWorld(
      { groups: [group('g', 'one_for_all', [command('a'), command('b')])], commands: [command('c')] },
      ['a', 'b', 'c'],
    );
    w.advance(200);
    w.reload({ groups: [group('h', 'one_for_all', [command('a'), command('c')])], commands: [command('b')] });
    w.advance(1_000);
    expect(w.news()).toEqual([]);
    expect([w.groupState('g'), w.groupState('h')]).toEqual(['nobody', 'tending']);
    w.die('a');
    w.advance(100);
    expect(w.news()).toEqual(['end a', 'SIGTERM c', 'end c', 'start a', 'start c']);
  });

  test('under the same name with others in it: the one before is closed, and those removed are stopped in it', () => {
    const w = startWorld(
      { groups: [group('g', 'one_for_all', [command('a'), command('b'), command('x')])] },
      ['a', 'b', 'x'],
    );
    w.advance(200);
    w.dies.set('x', 100);
    w.reload({ groups: [group('g', 'one_for_all', [command('a'), command('b'), command('new')])] });
    w.advance(50);
    w.die('a');
    w.advance(300);
    expect(w.alive()).toEqual(['a', 'b', 'new']);
    expect(names(w)).toEqual(['a', 'b', 'new']);
  });

  test('a group with other rules keeps all its actors', () => {
    const nested = (strategy: 'one_for_one' | 'one_for_all') => [
      group('g', 'one_for_one', [command('a'), group('i', strategy, [command('x'), command('y')])]),
    ];
    const w = startWorld({ groups: nested('one_for_one') }, ['a', 'x', 'y']);
    w.advance(200);
    const actors = ['a', 'x', 'y'].map(w.actorOf);
    w.reload({ groups: nested('one_for_all') });
    expect(['a', 'x', 'y'].map(w.actorOf)).toEqual(actors);
    w.die('x');
    w.advance(100);
    expect(w.news()).toEqual(['end x', 'SIGTERM y', 'end y', 'start x', 'start y']);
    w.advance(200);
    w.reload({ groups: nested('one_for_one') });
    w.die('x');
    w.advance(100);
    expect(w.news()).toEqual(['end x', 'start x']);
  });

  test('while the group restarts: the dead one is not forgotten', () => {
    for (const members of [
      ['a', 'b', 'c'],
      ['a', 'b'],
    ]) {
      for (const strategy of ['one_for_all', 'one_for_one'] as const) {
        const w = startWorld({ groups: [group('g', 'one_for_all', [command('a'), command('b')])] }, [
          'a',
          'b',
        ]);
        w.dies.set('b', 100);
        w.advance(200);
        w.die('a');
        w.advance(50);
        expect(w.groupState('g')).toBe('restarting');
        w.reload({
          groups: [
            group(
              'g',
              strategy,
              members.map((name) => command(name)),
            ),
          ],
        });
        w.advance(500);
        expect(w.alive(), `${members} ${strategy}`).toEqual(members);
        expect(w.groupState('g')).toBe('tending');
      }
    }
  });

  test('in the midst of a launch: it is taken over', () => {
    const w = startWorld({ commands: [command('a'), command('b')] });
    w.reload({ groups: [group('g', 'one_for_all', [command('a'), command('b')])] });
    w.advance(1_000);
    expect(w.alive()).toEqual(['a', 'b']);
  });

  test('in the midst of a launch that was stopped by order: what comes of it is stopped', () => {
    for (const then of ['nothing', 'start'] as const) {
      const w = startWorld({ commands: [command('a'), command('b')] }, ['b']);
      w.stop('a');
      w.reload({ groups: [group('g', 'one_for_one', [command('a')])], commands: [command('b')] });
      expect(w.state('a')).toBe('stopped');
      w.advance(1);
      expect(w.state('a')).toBe('stopping.terminating');
      if (then === 'start') w.start('a');
      w.advance(100);
      expect(w.alive(), then).toEqual(then === 'start' ? ['a', 'b'] : ['b']);
    }
  });

  test('who was stopped by order stays so, also while it still stops', () => {
    const w = startWorld({ commands: [command('a'), command('b'), command('c')] }, ['a', 'b', 'c']);
    w.dies.set('b', 100);
    w.stop('a');
    w.advance(50);
    w.stop('b');
    w.advance(20);
    w.reload({ groups: [group('g', 'one_for_all', [command('a'), command('b'), command('c')])] });
    w.advance(500);
    expect([w.state('a'), w.state('b')]).toEqual(['stopped', 'stopped']);
    w.die('c');
    w.advance(100);
    expect(w.alive()).toEqual(['c']);
    w.start('a');
    w.advance(100);
    expect(w.alive()).toEqual(['a', 'c']);
  });

  test('what is over is not run again', () => {
    const w = startWorld({ commands: [oneshot('o'), command('a', { requires: { o: 'completed' } })] });
    w.runs.set('o', { ms: 20, code: 0 });
    w.advance(200);
    w.reload({
      groups: [group('g', 'one_for_all', [oneshot('o'), command('a', { requires: { o: 'completed' } })])],
      commands: [command('new', { requires: { o: 'completed' } })],
    });
    w.advance(200);
    expect(w.alive()).toEqual(['a', 'new']);
    expect(w.log.filter((line) => line.includes('start o'))).toHaveLength(1);
    expect(w.toldOf('command.completed')).toHaveLength(1);
  });

  test('what has failed stays failed by itself, and is tried anew where a group stands or falls with it', () => {
    const failing = (): CommandPlan => command('a', { policy: { giveUpAfter: 1 } });
    for (const strategy of ['one_for_one', 'one_for_all'] as const) {
      const w = startWorld({ commands: [failing(), command('b')] }, ['b']);
      w.broken.add('a');
      w.advance(200);
      expect(w.state('a')).toBe('failed.ended');
      w.broken.delete('a');
      w.reload({ groups: [group('g', strategy, [failing(), command('b')])] });
      w.advance(200);
      expect(w.alive()).toEqual(strategy === 'one_for_one' ? ['b'] : ['a', 'b']);
      expect(w.groupState('g')).toBe('tending');
    }
  });
});

describe('those that wait', () => {
  test.each(['loose', 'moved'] as const)(
    'for one that the reload restarts: it is the run to come that counts (%s)',
    (where) => {
      for (const awaits of [{ after: ['a'] }, { requires: { a: 'started' } }] as const) {
        const w = startWorld({ commands: [command('a'), command('c', { after: ['a'] })] }, ['a', 'c']);
        w.dies.set('a', 100);
        w.advance(1_000);
        w.news();
        const b = command('b', awaits);
        w.reload(
          where === 'loose'
            ? { commands: [command('a'), command('c', { after: ['a'] }), b] }
            : {
                commands: [command('c', { after: ['a'] }), b],
                groups: [group('g', 'one_for_one', [command('a')])],
              },
          { restarted: ['a'] },
        );
        w.advance(1_000);
        expect(w.news()).toEqual(['SIGTERM a', 'end a', 'start a', 'start b']);
        // Those that wait for it still hear of it.
        expect(w.actorOf('a')!.getSnapshot().context.role.watched).toBe(true);
      }
    },
  );

  test('for its group, which the reload takes away while it is restarted: it waits for what it requires then', () => {
    const a = command('a', { requires: { x: 'ready' } });
    const of = (strategy: 'one_for_one' | 'one_for_all') => ({
      groups: [group('g', strategy, [a, command('b')])],
      commands: [command('x')],
    });
    const w = startWorld(of('one_for_all'), ['a', 'b', 'x']);
    w.dies.set('b', 200);
    w.advance(1_000);
    w.broken.add('x');
    w.die('x');
    w.die('a');
    w.advance(50);
    expect([w.state('a'), w.groupState('g')]).toEqual(['waiting', 'restarting']);
    w.reload(of('one_for_one'), { restarted: ['a'] });
    w.broken.delete('x');
    w.advance(5_000);
    expect(w.alive()).toEqual(['a', 'b', 'x']);
  });

  test('for somebody new, who runs since long', () => {
    const w = startWorld({ commands: [command('a')] }, ['a']);
    w.advance(1_000);
    w.reload({ commands: [command('a'), command('b', { requires: { a: 'ready' }, after: ['a'] })] });
    w.advance(100);
    expect(w.alive()).toEqual(['a', 'b']);
  });

  test('for what the new policy does not ask for any more', () => {
    const w = startWorld({ commands: [command('a'), command('b', { requires: { a: 'ready' } })] });
    w.broken.add('a');
    w.advance(50);
    expect(w.state('b')).toBe('waiting');
    w.reload({ commands: [command('a'), command('b')] }, { adjusted: ['b'] });
    w.advance(50);
    expect(w.alive()).toEqual(['b']);
  });

  test('and for what it asks for now', () => {
    const w = startWorld({
      commands: [command('a'), command('c'), command('b', { requires: { a: 'ready' } })],
    });
    w.broken.add('a').add('c');
    w.advance(5);
    w.reload(
      { commands: [command('a'), command('c'), command('b', { requires: { c: 'ready' } })] },
      { adjusted: ['b'] },
    );
    w.broken.delete('a');
    w.advance(200);
    expect(w.alive()).toEqual(['a']);
    w.broken.delete('c');
    w.advance(2_000);
    expect(w.alive()).toEqual(['a', 'b', 'c']);
  });

  test('while they move', () => {
    const b = command('b', { requires: { a: 'ready' } });
    const w = startWorld({ commands: [command('a'), b] });
    w.broken.add('a');
    w.advance(50);
    w.reload({ commands: [command('a')], groups: [group('g', 'one_for_all', [b])] });
    w.broken.delete('a');
    w.advance(500);
    expect(w.alive()).toEqual(['a', 'b']);
  });
});

describe('the whole', () => {
  test('before the table has been read: nothing was started by the old one', () => {
    const w = startWorld({ commands: [command('a')], isRead: false });
    w.reload({ commands: [command('b')] });
    w.read();
    w.advance(100);
    expect(w.alive()).toEqual(['b']);
    expect(w.toldOf('policy.reloaded')).toHaveLength(1);
  });

  test('what ends the container is what the new policy says', () => {
    const commands = [oneshot('o')];
    const w = startWorld({ commands });
    w.runs.set('o', { ms: 20, code: 0 });
    w.advance(100);
    expect(w.output()).toBeNull();
    w.reload({ commands, exitWhen: 'all-done', exitCodeFrom: 'o' });
    w.advance(100);
    expect(w.output()).toEqual({ code: 0, exit: status(0), left: 0 });
  });

  test('the last that was not over is removed: that is the end, when it is gone', () => {
    const w = startWorld({ commands: [oneshot('o'), command('a')], exitWhen: 'all-done' }, ['a']);
    w.runs.set('o', { ms: 20, code: 0 });
    w.dies.set('a', 300);
    w.advance(100);
    w.reload({ commands: [oneshot('o')], exitWhen: 'all-done' });
    w.advance(100);
    expect(w.output()).toBeNull();
    w.advance(300);
    expect(w.output()).toEqual({ code: 0, exit: null, left: 0 });
  });

  test('a hundred times: no actor is left over, and the shutdown ends all', () => {
    const w = startWorld({ commands: [command('a')] }, ['a']);
    for (let round = 0; round < 100; round++) {
      const x = command(`x${round % 3}`);
      w.reload(
        round % 2 === 0
          ? { commands: [command('a'), x] }
          : { groups: [group('g', 'one_for_all', [command('a'), x])] },
      );
      w.advance(50);
    }
    w.reload({ commands: [command('a')] });
    w.advance(100);
    w.reload({ commands: [command('a')] });
    expect(w.root.getSnapshot().context.groups).toHaveLength(1);
    expect(Object.keys(w.root.getSnapshot().children)).toHaveLength(2);
    expect(w.alive()).toEqual(['a']);
    w.shutdown();
    w.advance(100);
    expect(w.output()).toEqual({ code: 0, exit: null, left: 0 });
  });

  test('those in no group stay in groups of a size', () => {
    const many = (count: number, from = 0) =>
      Array.from({ length: count }, (_, at) => command(`c${from + at}`));
    const w = startWorld({ commands: many(GROUP_SIZE * 2) });
    w.reload({ commands: many(GROUP_SIZE, GROUP_SIZE) });
    w.advance(100);
    w.reload({ commands: many(GROUP_SIZE * 2, GROUP_SIZE) });
    w.reload({ commands: many(GROUP_SIZE * 3, GROUP_SIZE) });
    w.advance(100);
    const { groups } = w.root.getSnapshot().context;
    expect(groups.map((each) => Object.keys(each.getSnapshot().context.actors).length)).toEqual([
      GROUP_SIZE,
      GROUP_SIZE,
      GROUP_SIZE,
    ]);
    w.shutdown();
    w.advance(100);
    expect(w.output()).toEqual({ code: 0, exit: null, left: 0 });
    expect(w.alive()).toEqual([]);
  });
});
