/** Groups with their strategies: who is restarted with whom, when a group gives up, and what follows. */
import { describe, expect, test } from 'vitest';
import { affectedMembers } from '../../machines/group.ts';
import { command, group, oneshot, startWorld } from './supervisor-world.ts';

const abc = [command('a'), command('b', { after: ['a'] }), command('c', { requires: { b: 'started' } })];

describe('whom a death takes with it', () => {
  test('by strategy', () => {
    const affected = (strategy: 'one_for_one' | 'one_for_all' | 'rest_for_one') =>
      affectedMembers(group('g', strategy, abc), 'b');
    expect(affected('one_for_one')).toEqual([]);
    expect(affected('one_for_all')).toEqual(['a', 'c']);
    expect(affected('rest_for_one')).toEqual(['c']);
  });

  test('one_for_one: nobody', () => {
    const w = startWorld({ groups: [group('g', 'one_for_one', abc)] }, ['a', 'b', 'c']);
    w.advance(200);
    w.die('b');
    w.advance(100);
    expect(w.news()).toEqual(['end b', 'start b']);
    expect(w.toldOf('group.restarting')).toEqual([]);
  });

  test('one_for_all: all are stopped in reverse, and started in order', () => {
    const w = startWorld({ groups: [group('g', 'one_for_all', abc)] }, ['a', 'b', 'c']);
    w.advance(200);
    w.die('b');
    expect(w.groupState('g')).toBe('restarting');
    expect(w.state('b')).toBe('waiting');
    expect(w.toldOf('group.restarting')).toEqual([
      {
        type: 'group.restarting',
        at: 200,
        group: 'g',
        strategy: 'one_for_all',
        because: 'b died',
        members: ['a', 'c'],
      },
    ]);
    w.advance(100);
    expect(w.news()).toEqual([
      'end b',
      'SIGTERM c',
      'end c',
      'SIGTERM a',
      'end a',
      'start a',
      'start b',
      'start c',
    ]);
    expect(w.groupState('g')).toBe('tending');
    expect(w.alive()).toEqual(['a', 'b', 'c']);
  });

  test('rest_for_one: those after it in the group', () => {
    const w = startWorld({ groups: [group('g', 'rest_for_one', abc)] }, ['a', 'b', 'c']);
    w.advance(200);
    w.die('b');
    w.advance(100);
    expect(w.news()).toEqual(['end b', 'SIGTERM c', 'end c', 'start b', 'start c']);
    w.die('c');
    w.advance(100);
    expect(w.news()).toEqual(['end c', 'start c']);
    expect(w.toldOf('group.restarting'), 'nobody was taken along by the second').toHaveLength(1);
  });

  test('who comes after another is started when that one has been, again', () => {
    const members = [command('a'), command('b', { after: ['a'] })];
    const w = startWorld({ groups: [group('g', 'one_for_all', members)] }, ['a', 'b']);
    for (const name of ['a', 'b']) {
      w.advance(200);
      w.die(name);
      w.advance(15);
      expect(w.alive(), name).toEqual(['a']);
      w.advance(10);
      expect(w.alive(), name).toEqual(['a', 'b']);
    }
  });

  test('who comes after one of the group, from without, waits until that one is started again', () => {
    const w = startWorld(
      {
        groups: [group('g', 'one_for_all', [command('a'), command('b'), command('slow')])],
        commands: [command('x', { after: ['b'] })],
      },
      ['a', 'b', 'slow', 'x'],
    );
    w.dies.set('slow', 50);
    w.stop('x');
    w.advance(200);
    w.die('a');
    w.advance(20);
    w.start('x');
    w.advance(30);
    expect([w.state('b'), w.state('x')]).toEqual(['stopped', 'waiting']);
    w.advance(50);
    expect(w.alive()).toEqual(['a', 'b', 'slow', 'x']);
  });

  test('a dead one that is found alive after all is not waited for', () => {
    const w = startWorld(
      {
        groups: [group('g', 'one_for_all', [command('a'), command('b')])],
        commands: [command('x', { requires: { a: 'started' } })],
      },
      ['a', 'b', 'x'],
    );
    w.dies.set('b', 50);
    w.stop('x');
    w.advance(200);
    w.die('a');
    w.advance(10);
    w.appear('a');
    w.advance(100);
    w.start('x');
    w.advance(20);
    expect(w.alive()).toEqual(['a', 'b', 'x']);
  });

  test('by way of one that has come to rest, the order holds as well', () => {
    const members = [
      command('db'),
      oneshot('migrate', { requires: { db: 'started' } }),
      command('app', { requires: { migrate: 'completed' } }),
      command('other'),
    ];
    const w = startWorld({ groups: [group('g', 'one_for_all', members)] });
    w.runs.set('migrate', { ms: 50, code: 0 });
    w.advance(200);
    expect(w.alive()).toEqual(['app', 'db', 'other']);
    w.news();
    w.die('other');
    w.advance(100);
    expect(w.news()).toEqual([
      'end other',
      'SIGTERM app',
      'end app',
      'SIGTERM db',
      'end db',
      'start db',
      'start other',
      'start app',
    ]);
    expect(w.state('migrate'), 'it does not run again').toMatch(/^completed/);
  });

  test('a failed start takes nobody with it', () => {
    const w = startWorld({ groups: [group('g', 'one_for_all', [command('a'), command('b')])] }, ['a']);
    w.broken.add('b');
    w.advance(500);
    expect(w.log.filter((line) => line.endsWith('a'))).toEqual([]);
    expect(w.groupState('g')).toBe('tending');
  });

  test('another death while it restarts is taken in', () => {
    const w = startWorld(
      { groups: [group('g', 'rest_for_one', [command('a'), command('b'), command('c')])] },
      ['a', 'b', 'c'],
    );
    w.dies.set('c', 50);
    w.advance(200);
    w.die('b');
    w.advance(10);
    w.die('a');
    w.advance(20);
    expect(w.groupState('g')).toBe('restarting');
    w.advance(100);
    expect(w.alive()).toEqual(['a', 'b', 'c']);
    expect(w.news()).toEqual(['end b', 'SIGTERM c', 'end a', 'end c', 'start a', 'start b', 'start c']);
    w.advance(1_000);
    expect(w.groupState('g')).toBe('tending');
  });

  test('who is not up yet, backs off or waits is started with the others', () => {
    const members = [command('a'), command('b'), command('c', { requires: { b: 'started' } })];
    const w = startWorld({ groups: [group('g', 'one_for_all', members)] }, ['a']);
    w.broken.add('b');
    w.advance(300);
    expect(w.state('b')).toBe('backoff');
    expect(w.state('c')).toBe('waiting');
    w.broken.delete('b');
    w.die('a');
    w.advance(20);
    expect(w.state('b')).toMatch(/^(restarting|running)/);
    w.advance(100);
    expect(w.alive()).toEqual(['a', 'b', 'c']);
  });

  test('who is unhealthy counts as dead: it is stopped with the others, and started with them', () => {
    const health = {
      every: 50,
      timeout: 10,
      failures: 1,
      successes: 1,
      grace: 0,
      onUnhealthy: 'restart',
    } as const;
    const members = [command('a', { policy: { health } }), command('b')];
    const w = startWorld({ groups: [group('g', 'one_for_all', members)] }, ['a', 'b']);
    w.dies.set('a', 40);
    w.advance(150);
    w.actorOf('a')!.send({ type: 'probe.finished', at: 150, reason: 'refused' });
    expect(w.groupState('g')).toBe('restarting');
    w.advance(20);
    expect(w.news()).toEqual(['SIGTERM a', 'SIGTERM b', 'end b', 'start b']);
    w.advance(100);
    expect(w.news()).toEqual(['end a', 'start a']);
    expect(w.alive()).toEqual(['a', 'b']);
  });

  test('who dies young waits, and so do those that require it', () => {
    const members = [command('a'), command('b', { requires: { a: 'started' } })];
    const w = startWorld({ groups: [group('g', 'one_for_all', members)] });
    w.advance(50);
    expect(w.alive()).toEqual(['a', 'b']);
    w.die('a');
    w.advance(10);
    expect([w.state('a'), w.state('b')]).toEqual(['backoff', 'waiting']);
    w.advance(50);
    expect(w.alive()).toEqual(['a', 'b']);
  });
});

describe('what an operator has wished', () => {
  test('who was stopped is not started by a strategy', () => {
    const w = startWorld(
      { groups: [group('g', 'one_for_all', [command('a'), command('b'), command('c')])] },
      ['a', 'b', 'c'],
    );
    w.stop('b');
    w.advance(200);
    w.die('a');
    w.advance(200);
    expect(w.alive()).toEqual(['a', 'c']);
    expect(w.state('b')).toBe('stopped');
    w.start('b');
    w.advance(200);
    expect(w.alive()).toEqual(['a', 'b', 'c']);
    w.die('a');
    w.advance(200);
    expect(w.log.filter((line) => line.endsWith('start b'))).toHaveLength(2);
  });

  test('who is stopped while the group restarts stays so, be it the dead one or another', () => {
    const w = startWorld(
      { groups: [group('g', 'one_for_all', [command('a'), command('b'), command('c')])] },
      ['a', 'b', 'c'],
    );
    w.dies.set('c', 50);
    w.advance(200);
    w.die('a');
    w.stop('a');
    w.stop('b');
    w.advance(500);
    expect(w.alive()).toEqual(['c']);
    expect(w.groupState('g')).toBe('tending');
  });

  test('who is started while the group restarts does not wait for the others, and they not for it', () => {
    const w = startWorld(
      { groups: [group('g', 'one_for_all', [command('a'), command('b'), command('c')])] },
      ['a', 'b', 'c'],
    );
    w.dies.set('c', 50);
    w.dies.set('b', 20);
    w.advance(200);
    w.die('a');
    w.start('a');
    w.start('b');
    w.advance(40);
    expect(w.alive()).toEqual(['a', 'b', 'c']);
    expect(w.groupState('g')).toBe('restarting');
    w.advance(100);
    expect(w.groupState('g')).toBe('tending');
    expect(w.alive()).toEqual(['a', 'b', 'c']);
    expect(w.log.filter((line) => line.endsWith('start a'))).toHaveLength(1);
    w.die('a');
    w.advance(100);
    expect(w.log.filter((line) => line.endsWith('start b'))).toHaveLength(2);
  });

  test('who was started by an order is taken in by the next death', () => {
    const w = startWorld(
      { groups: [group('g', 'one_for_all', [command('a'), command('b'), command('c')])] },
      ['a', 'b', 'c'],
    );
    w.dies.set('c', 100);
    w.advance(200);
    w.die('a');
    w.advance(10);
    w.start('b');
    w.start('a');
    w.advance(30);
    w.news();
    w.die('a');
    w.advance(10);
    expect(w.news()).toEqual(['end a', 'SIGTERM b', 'end b']);
    w.advance(200);
    expect(w.alive()).toEqual(['a', 'b', 'c']);
    expect(w.groupState('g')).toBe('tending');
  });

  test('the last one that is awaited is started by an order: the others go on', () => {
    const members = [command('a'), command('b', { after: ['a'] }), command('dead')];
    const w = startWorld({ groups: [group('g', 'one_for_all', members)] }, ['a', 'b', 'dead']);
    w.dies.set('b', 50);
    w.advance(200);
    w.die('dead');
    w.advance(10);
    w.start('b');
    expect(w.news()).toEqual(['end dead', 'SIGTERM b', 'SIGTERM a']);
    w.advance(200);
    expect(w.alive()).toEqual(['a', 'b', 'dead']);
    expect(w.groupState('g')).toBe('tending');
  });
});

describe('giving up', () => {
  const intensity = { restarts: 2, within: 10_000 };

  test('more deaths than the intensity bears', () => {
    const members = [command('a'), command('b', { requires: { a: 'started' } })];
    const w = startWorld({ groups: [group('g', 'one_for_one', members, { intensity })] }, ['a', 'b']);
    for (const _ of [1, 2]) {
      w.advance(200);
      w.die('a');
    }
    w.advance(200);
    expect(w.groupState('g')).toBe('tending');
    w.news();
    w.die('a');
    expect(w.groupState('g')).toBe('failing');
    w.advance(200);
    expect(w.groupState('g')).toBe('failed');
    expect(w.alive()).toEqual([]);
    expect(w.toldOf('group.failed')).toEqual([
      {
        type: 'group.failed',
        at: expect.any(Number),
        group: 'g',
        reason: 'a died: more than 2 restarts in 10 s',
      },
    ]);
    w.advance(1e6);
    expect(w.alive()).toEqual([]);
    expect(w.root.getSnapshot().value).toBe('supervising');
  });

  test('deaths that are far apart are borne for ever', () => {
    const w = startWorld({ groups: [group('g', 'one_for_all', [command('a')], { intensity })] }, ['a']);
    for (let death = 0; death < 50; death++) {
      w.advance(20_000);
      w.die('a');
    }
    w.advance(200);
    expect(w.groupState('g')).toBe('tending');
    expect(w.alive()).toEqual(['a']);
  });

  test('a strategy that shares: one that fails for good takes the group with it, in reverse', () => {
    for (const strategy of ['one_for_all', 'rest_for_one'] as const) {
      const members = [
        command('a'),
        command('b', { after: ['a'] }),
        command('c', { policy: { giveUpAfter: 1 } }),
      ];
      const w = startWorld({ groups: [group('g', strategy, members)] }, ['a', 'b']);
      w.broken.add('c');
      w.advance(200);
      expect(w.groupState('g')).toBe('failed');
      expect(w.news()).toEqual(['start c', 'SIGTERM b', 'end b', 'SIGTERM a', 'end a']);
      expect(w.toldOf('group.failed')[0]!.reason).toBe('c has failed for good');
    }
  });

  test('while it restarts', () => {
    const members = [command('a', { policy: { restart: 'never' } }), command('b'), command('c')];
    const w = startWorld({ groups: [group('g', 'one_for_all', members)] }, ['a', 'b', 'c']);
    w.dies.set('b', 50);
    w.advance(200);
    w.die('c');
    expect(w.groupState('g')).toBe('restarting');
    w.advance(200);
    expect(w.groupState('g')).toBe('tending');
    w.die('a');
    w.advance(200);
    expect(w.groupState('g')).toBe('failed');
    expect(w.alive()).toEqual([]);
  });

  test('an order starts one of it again, alone, and nothing counts that was', () => {
    const w = startWorld(
      { groups: [group('g', 'one_for_all', [command('a'), command('b')], { intensity })] },
      ['a', 'b'],
    );
    for (const _ of [1, 2, 3]) {
      w.advance(200);
      w.die('a');
    }
    w.advance(200);
    expect(w.groupState('g')).toBe('failed');
    w.news();
    w.start('a');
    expect(w.groupState('g')).toBe('tending');
    w.advance(200);
    w.die('a');
    w.advance(200);
    w.die('a');
    w.advance(200);
    expect(w.groupState('g')).toBe('tending');
    expect(w.alive()).toEqual(['a']);
    w.start('b');
    w.advance(200);
    expect(w.alive()).toEqual(['a', 'b']);
  });

  test('an order while it gives up is heard; the others are stopped nevertheless', () => {
    const w = startWorld(
      { groups: [group('g', 'one_for_all', [command('a'), command('b'), command('c')], { intensity })] },
      ['a', 'b', 'c'],
    );
    for (const _ of [1, 2]) {
      w.advance(200);
      w.die('a');
    }
    w.advance(200);
    w.dies.set('b', 100);
    w.die('a');
    w.advance(10);
    w.start('c');
    w.advance(50);
    expect(w.alive()).toEqual(['b', 'c']);
    w.advance(200);
    expect(w.alive()).toEqual(['c']);
    expect(w.toldOf('group.failed')).toHaveLength(1);
    expect(w.groupState('g')).toBe('tending');
  });

  test('what cannot be ended does not keep it from resting', () => {
    const w = startWorld(
      {
        groups: [
          group('g', 'one_for_all', [command('a'), command('b')], {
            intensity: { restarts: 0, within: 1_000 },
          }),
        ],
      },
      ['a', 'b'],
    );
    w.immortal.add('b');
    w.advance(200);
    w.die('a');
    w.advance(8_999);
    expect(w.groupState('g')).toBe('failing');
    w.advance(10);
    expect(w.groupState('g')).toBe('failed');
  });
});

describe('groups in groups', () => {
  const inner = (intensity = { restarts: 0, within: 10_000 }) =>
    group('inner', 'one_for_all', [command('x'), command('y', { requires: { x: 'started' } })], {
      intensity,
    });

  test('a death within is a matter of the inner group alone', () => {
    const w = startWorld(
      { groups: [group('outer', 'one_for_all', [command('a'), inner({ restarts: 5, within: 10_000 })])] },
      ['a', 'x', 'y'],
    );
    w.advance(200);
    w.die('x');
    w.advance(200);
    expect(w.news()).toEqual(['end x', 'SIGTERM y', 'end y', 'start x', 'start y']);
  });

  test('a death without takes the inner group with it', () => {
    const w = startWorld(
      {
        groups: [
          group('outer', 'one_for_all', [
            command('a'),
            inner(),
            command('b', { requires: { y: 'started' } }),
          ]),
        ],
      },
      ['a', 'b', 'x', 'y'],
    );
    w.advance(200);
    w.die('a');
    w.advance(200);
    expect(w.news()).toEqual([
      'end a',
      'SIGTERM b',
      'end b',
      'SIGTERM y',
      'end y',
      'SIGTERM x',
      'end x',
      'start a',
      'start x',
      'start y',
      'start b',
    ]);
    expect([w.groupState('outer'), w.groupState('inner')]).toEqual(['tending', 'tending']);
    w.die('x');
    w.advance(200);
    expect(w.groupState('inner'), 'the outer restart was no death of its own').toBe('failed');
  });

  test('while the inner one restarts by itself, all are stopped first, and each is started once', () => {
    const w = startWorld(
      {
        groups: [
          group('outer', 'one_for_all', [
            command('a'),
            group('inner', 'one_for_all', [command('x'), command('y'), command('z')]),
          ]),
        ],
      },
      ['a', 'x', 'y', 'z'],
    );
    w.dies.set('y', 50);
    w.advance(200);
    w.die('z');
    w.advance(20);
    expect(w.state('x')).toBe('stopped');
    w.dies.set('a', 5);
    w.die('a');
    w.advance(300);
    const starts = w.news().filter((line) => line.startsWith('start'));
    expect(starts.sort()).toEqual(['start a', 'start x', 'start y', 'start z']);
    expect(w.alive()).toEqual(['a', 'x', 'y', 'z']);
    expect([w.groupState('outer'), w.groupState('inner')]).toEqual(['tending', 'tending']);
  });

  test('and none of the inner group before all of the outer one have ended', () => {
    const w = startWorld(
      {
        groups: [
          group('outer', 'one_for_all', [
            command('a'),
            command('slow'),
            group('inner', 'one_for_all', [command('x'), command('y'), command('z')]),
          ]),
        ],
      },
      ['a', 'slow', 'x', 'y', 'z'],
    );
    w.dies.set('y', 50);
    w.dies.set('slow', 200);
    w.advance(200);
    w.die('z');
    w.advance(20);
    w.die('a');
    w.advance(150);
    expect(w.alive()).toEqual(['slow']);
    w.advance(200);
    expect(w.alive()).toEqual(['a', 'slow', 'x', 'y', 'z']);
  });

  test('a holder that counts starts the failed group again, and then gives up itself', () => {
    const w = startWorld(
      {
        groups: [
          group('outer', 'one_for_one', [command('a'), inner()], {
            intensity: { restarts: 1, within: 10_000 },
          }),
        ],
      },
      ['a', 'x', 'y'],
    );
    w.advance(200);
    w.die('x');
    w.advance(200);
    expect(w.toldOf('group.failed').map((each) => each.group)).toEqual(['inner']);
    expect(w.alive()).toEqual(['a', 'x', 'y']);
    expect(w.toldOf('group.restarting').at(-1)).toMatchObject({
      group: 'outer',
      because: 'inner gave up',
      members: ['x', 'y'],
    });
    w.die('x');
    w.advance(200);
    expect(w.toldOf('group.failed').map((each) => each.group)).toEqual(['inner', 'inner', 'outer']);
    expect(w.alive()).toEqual([]);
    expect(
      w.log.filter((line) => /SIGTERM (x|y)/.test(line)),
      'nobody is stopped twice',
    ).toHaveLength(4);
  });

  test('with its strategy: those that the group takes along', () => {
    const w = startWorld(
      {
        groups: [
          group('outer', 'rest_for_one', [command('a'), inner(), command('b')], {
            intensity: { restarts: 1, within: 10_000 },
          }),
        ],
      },
      ['a', 'b', 'x', 'y'],
    );
    w.advance(200);
    w.die('x');
    w.advance(200);
    expect(w.news()).toEqual([
      'end x',
      'SIGTERM y',
      'end y',
      'SIGTERM x',
      'SIGTERM b',
      'end b',
      'start x',
      'start b',
      'start y',
    ]);
  });

  test('a holder that does not count leaves it failed where each is for itself', () => {
    const w = startWorld({ groups: [group('outer', 'one_for_one', [command('a'), inner()])] }, [
      'a',
      'x',
      'y',
    ]);
    w.advance(200);
    w.die('x');
    w.advance(200);
    expect(w.alive()).toEqual(['a']);
    expect([w.groupState('outer'), w.groupState('inner')]).toEqual(['tending', 'failed']);
    w.start('x');
    w.advance(100);
    expect(w.alive()).toEqual(['a', 'x']);
    expect(w.groupState('inner')).toBe('tending');
  });

  test('and gives up itself where it shares', () => {
    const w = startWorld({ groups: [group('outer', 'one_for_all', [command('a'), inner()])] }, [
      'a',
      'x',
      'y',
    ]);
    w.advance(200);
    w.die('x');
    w.advance(200);
    expect(w.alive()).toEqual([]);
    expect(w.toldOf('group.failed').map((each) => [each.group, each.reason])).toEqual([
      ['inner', 'x died: more than 0 restarts in 10 s'],
      ['outer', 'inner gave up'],
    ]);
  });

  test('what was stopped by order, or is done, stays so when the group is started again', () => {
    const members = [command('x'), command('y'), oneshot('done')];
    const w = startWorld(
      {
        groups: [
          group(
            'outer',
            'one_for_one',
            [group('inner', 'one_for_all', members, { intensity: { restarts: 0, within: 1_000 } })],
            { intensity: { restarts: 3, within: 10_000 } },
          ),
        ],
      },
      ['x', 'y'],
    );
    w.runs.set('done', { ms: 5, code: 0 });
    w.advance(100);
    w.stop('y');
    w.advance(100);
    w.die('x');
    w.advance(200);
    expect(w.alive()).toEqual(['x']);
    expect(w.log.filter((line) => line.includes('start done'))).toHaveLength(1);
  });
});
