/** Who waits for whom at the start, who is stopped before whom at the end, and when the container ends by itself. */
import { describe, expect, test } from 'vitest';
import type { CommandPlan } from '../../machines/events.ts';
import { status } from './harness.ts';
import { command, group, oneshot, startWorld } from './supervisor-world.ts';

describe('the start', () => {
  test('each after what it requires: started, ready, completed', () => {
    const w = startWorld({
      commands: [
        command('app', { requires: { db: 'ready', migrate: 'completed' } }),
        oneshot('migrate', { requires: { db: 'started' } }),
        command('db'),
        command('late', { after: ['app'] }),
      ],
    });
    w.runs.set('migrate', { ms: 100, code: 0 });
    expect(w.news()).toEqual(['start db']);
    expect(w.toldOf('command.waiting').map((each) => [each.command, each.for])).toEqual([
      ['app', ['db: ready', 'migrate: completed']],
      ['migrate', ['db: started']],
      ['late', ['app: its start']],
    ]);
    w.advance(11);
    expect(w.news()).toEqual(['start migrate']);
    w.advance(100);
    expect(w.news()).toEqual([]);
    w.advance(50);
    expect(w.news()).toEqual(['end migrate', 'start app', 'start late']);
    expect(w.toldOf('command.waiting')).toHaveLength(3);
  });

  test('after: whoever cannot be started, is stopped or has failed holds nobody up', () => {
    const w = startWorld({
      commands: [
        command('broken'),
        command('b', { after: ['broken'] }),
        command('fails', { policy: { giveUpAfter: 1 } }),
        command('c', { after: ['fails'] }),
        command('slow', { policy: { settle: 1_000 } }),
        command('d', { after: ['slow'] }),
      ],
    });
    w.broken.add('broken').add('fails');
    w.advance(5);
    expect(w.alive()).toEqual(['b', 'c', 'slow']);
    w.stop('slow');
    w.advance(50);
    expect(w.alive()).toEqual(['b', 'c', 'd']);
  });

  test('what is waited for fails, or is stopped by an order: that is told once more', () => {
    const w = startWorld({
      commands: [
        command('a', { policy: { giveUpAfter: 1 } }),
        command('b', { policy: { settle: 1_000 } }),
        command('x', { requires: { a: 'ready', b: 'ready' } }),
      ],
    });
    w.broken.add('a');
    w.advance(20);
    w.stop('b');
    w.advance(20);
    expect(w.toldOf('command.waiting').map((each) => each.for)).toEqual([
      ['a: ready', 'b: ready'],
      ['a: ready (it is failed)', 'b: ready'],
      ['a: ready (it is failed)', 'b: ready (it is stopped)'],
    ]);
    w.broken.delete('a');
    w.start('a');
    w.start('b');
    w.advance(2_000);
    expect(w.alive()).toEqual(['a', 'b', 'x']);
  });

  test('a group that gives up is news, a group that restarts is none', () => {
    const w = startWorld(
      {
        groups: [
          group('g', 'one_for_all', [command('a'), command('b')], {
            intensity: { restarts: 1, within: 10_000 },
          }),
        ],
        commands: [
          oneshot('o', { requires: { b: 'started' } }),
          command('x', { requires: { o: 'completed', b: 'started' } }),
        ],
      },
      ['a', 'b'],
    );
    w.runs.set('o', { ms: 500, code: 0 });
    w.advance(200);
    w.die('a');
    w.advance(200);
    expect(w.toldOf('command.waiting').filter((each) => each.command === 'x')).toHaveLength(1);
    w.die('a');
    w.advance(50);
    expect(w.toldOf('command.waiting').at(-1)).toMatchObject({
      command: 'x',
      for: ['o: completed', 'b: started (it is failed)'],
    });
    w.start('b');
    w.advance(500);
    expect(w.alive()).toEqual(['b', 'x']);
  });

  test('who was started once does not wait again when it dies, but when it is ordered', () => {
    const commands = [command('a'), command('b', { requires: { a: 'started' } })];
    const w = startWorld({ commands }, ['a', 'b']);
    w.advance(200);
    w.stop('a');
    w.die('b');
    w.advance(50);
    expect(w.alive()).toEqual(['b']);
    w.restart('b');
    w.advance(50);
    expect(w.state('b')).toBe('waiting');
    w.start('a');
    w.advance(50);
    expect(w.alive()).toEqual(['a', 'b']);
  });

  test('who is ordered to start while what it requires restarts waits for it', () => {
    const commands = [command('a'), command('b', { requires: { a: 'started' } })];
    const w = startWorld({ commands }, ['a']);
    w.stop('b');
    w.dies.set('a', 50);
    w.advance(200);
    w.restart('a');
    w.start('b');
    w.advance(40);
    expect(w.state('b')).toBe('waiting');
    w.advance(100);
    expect(w.alive()).toEqual(['a', 'b']);
  });

  test('both are stopped and started again: in order', () => {
    const commands = [command('a'), command('b', { after: ['a'] })];
    const w = startWorld({ commands }, ['a', 'b']);
    w.advance(200);
    for (const name of ['a', 'b']) w.stop(name);
    w.advance(50);
    w.news();
    w.start('a');
    w.start('b');
    expect(w.news()).toEqual(['start a']);
    w.advance(50);
    expect(w.alive()).toEqual(['a', 'b']);
  });

  test('who waits and is stopped is started by nobody', () => {
    const w = startWorld({ commands: [command('a'), command('b', { requires: { a: 'started' } })] });
    w.stop('b');
    w.advance(100);
    expect(w.alive()).toEqual(['a']);
    expect(w.state('b')).toBe('stopped');
    expect(w.root.getSnapshot().context.waiting.size).toBe(0);
  });
});

describe('the shutdown', () => {
  test('who is stopped and is to start again has not been heard of: it does not', () => {
    const w = startWorld({ commands: [command('a'), command('b', { requires: { a: 'started' } })] });
    w.dies.set('a', 100);
    w.advance(1);
    w.stop('a');
    w.start('a');
    w.shutdown();
    w.advance(1_000);
    expect(w.output()).toEqual({ code: 0, exit: null, left: 0 });
    expect(w.log.filter((line) => line.endsWith('start a'))).toHaveLength(1);
  });

  const chain = (timeouts: Record<string, number | null> = {}): CommandPlan[] =>
    ['a', 'b', 'c'].map((name, at, all) =>
      command(name, {
        after: at === 0 ? [] : [all[at - 1]!],
        policy: { stopTimeout: timeouts[name] ?? null },
      }),
    );

  test('each is told when all that come after it rest', () => {
    const w = startWorld({ commands: [...chain(), command('x')] }, ['a', 'b', 'c', 'x']);
    w.shutdown();
    w.advance(100);
    expect(w.news()).toEqual([
      'SIGTERM c',
      'SIGTERM x',
      'end c',
      'SIGTERM b',
      'end x',
      'end b',
      'SIGTERM a',
      'end a',
    ]);
    expect(w.output()).toEqual({ code: 0, exit: null, left: 0 });
    expect(w.clock.pending()).toBe(0);
  });

  test('in one budget, of which each has its share: all within the grace', () => {
    const w = startWorld({ commands: chain(), grace: 9_000 }, ['a', 'b', 'c']);
    for (const name of ['a', 'b', 'c']) w.dies.set(name, null);
    w.shutdown();
    w.advance(9_100);
    expect(w.output()).toEqual({ code: 0, exit: null, left: 0 });
    expect(w.log.filter((line) => line.includes('SIG'))).toEqual([
      '0 SIGTERM c',
      '2500 SIGKILL c',
      '2501 SIGTERM b',
      // What c has left of its share is for those that follow.
      '5500 SIGKILL b',
      '5501 SIGTERM a',
      '8500 SIGKILL a',
    ]);
  });

  test('of which a run that has ended takes nothing', () => {
    const commands = [command('a'), oneshot('b', { after: ['a'] }), command('c', { after: ['b'] })];
    const w = startWorld({ commands, grace: 9_000 });
    w.runs.set('b', { ms: 100, code: 0 });
    w.advance(200);
    expect([w.alive(), w.state('b')]).toEqual([['a', 'c'], 'completed.done']);
    for (const name of ['a', 'c']) w.dies.set(name, null);
    w.shutdown();
    w.advance(9_100);
    expect(w.output()?.code).toBe(0);
    // Half of it for each, the last 500 ms of which are for SIGKILL.
    const kills = w.log.filter((line) => line.includes('SIGKILL'));
    expect(kills).toEqual(['4200 SIGKILL c', '8700 SIGKILL a']);
  });

  test('explicit timeouts are kept where all of them fit, and scaled where not', () => {
    const kills = (timeouts: Record<string, number | null>): number[] => {
      const w = startWorld({ commands: chain(timeouts), grace: 9_000 }, ['a', 'b', 'c']);
      for (const name of ['a', 'b', 'c']) w.dies.set(name, null);
      w.shutdown();
      w.advance(9_100);
      expect(w.output()?.code).toBe(0);
      return w.log.flatMap((line) => (line.includes('SIGKILL') ? [Number(line.split(' ')[0])] : []));
    };
    // 500 ms of each are for SIGKILL.
    expect(kills({ c: 1_000, b: 2_000, a: 3_000 })).toEqual([800, 2_401, 4_902]);
    expect(kills({ c: 9_000, b: 9_000, a: 9_000 })[0]).toBe(2_500);
  });

  test('what cannot be ended is left in time, and what comes before it is stopped nevertheless', () => {
    const w = startWorld({ commands: chain(), grace: 3_000 }, ['a', 'b', 'c']);
    w.immortal.add('c').add('b');
    w.shutdown();
    w.advance(5_000);
    expect(w.alive()).toEqual(['b', 'c']);
    expect(w.output()).toMatchObject({ code: 1, left: 2 });
  });

  test('when the time is over all are killed', () => {
    const commands = Array.from({ length: 20 }, (_, at) =>
      command(`c${at}`, { after: at === 0 ? [] : [`c${at - 1}`] }),
    );
    const names = commands.map(({ name }) => name);
    const w = startWorld({ commands, grace: 5_000 }, names);
    for (const name of names) w.immortal.add(name);
    w.shutdown();
    w.advance(6_900);
    expect(
      new Set(w.log.filter((line) => line.includes('SIGKILL')).map((line) => line.split(' ')[2])),
    ).toEqual(new Set(names));
    w.advance(200);
    expect(w.output()).toMatchObject({ code: 1 });
  });

  test('a second order kills all now, those as well that have not been told', () => {
    const w = startWorld({ commands: chain() }, ['a', 'b', 'c']);
    w.dies.set('c', null);
    w.shutdown();
    w.advance(50);
    w.shutdown();
    w.advance(10);
    expect(new Set(w.news().filter((line) => line.startsWith('SIGKILL')))).toEqual(
      new Set(['SIGKILL a', 'SIGKILL b', 'SIGKILL c']),
    );
    expect(w.output()).toEqual({ code: 0, exit: null, left: 0 });
  });

  test('who dies before its turn is not started again', () => {
    for (const strategy of ['one_for_one', 'one_for_all'] as const) {
      const w = startWorld({ groups: [group('g', strategy, chain())] }, ['a', 'b', 'c']);
      w.dies.set('c', 100);
      w.advance(200);
      w.shutdown();
      w.advance(10);
      w.die('a');
      w.advance(50);
      expect(w.news(), strategy).toEqual(['SIGTERM c', 'end a', 'SIGTERM a']);
      w.advance(500);
      expect(w.output()).toEqual({ code: 0, exit: null, left: 0 });
    }
  });

  test('who is not up is told at once, whatever comes after it', () => {
    const w = startWorld({
      commands: [
        command('backoff'),
        command('b', { after: ['backoff'] }),
        command('waits', { requires: { backoff: 'started' } }),
      ],
    });
    w.broken.add('backoff');
    w.dies.set('b', 2_000);
    w.advance(50);
    expect([w.state('backoff'), w.state('waits')]).toEqual(['backoff', 'waiting']);
    w.shutdown();
    w.advance(10);
    expect([w.state('backoff'), w.state('waits')]).toEqual(['stopped', 'stopped']);
    w.advance(5_000);
    expect(w.output()?.code).toBe(0);
  });

  test('in the midst of whatever a group is at', () => {
    const intensity = { restarts: 0, within: 1_000 };
    for (const state of ['restarting', 'failing', 'failed']) {
      for (const isOrdered of [false, true]) {
        const members = [command('a'), command('b'), command('c', { after: isOrdered ? ['b'] : [] })];
        const w = startWorld(
          {
            groups: [
              group('g', 'one_for_all', members, { intensity: state === 'restarting' ? null : intensity }),
            ],
          },
          ['a', 'b', 'c'],
        );
        w.advance(200);
        w.dies.set('b', 100);
        w.die('a');
        w.advance(state === 'failed' ? 500 : 20);
        expect(w.groupState('g')).toBe(state);
        w.shutdown();
        expect(w.groupState('g')).toBe('closed');
        w.advance(1_000);
        expect(w.output(), `${state} ${isOrdered}`).toEqual({ code: 0, exit: null, left: 0 });
      }
    }
  });

  test('a vital group that gives up is not stopped in another order', () => {
    const w = startWorld(
      {
        groups: [
          group('g', 'one_for_all', [command('db'), command('x')], {
            vital: true,
            intensity: { restarts: 0, within: 1_000 },
          }),
        ],
        commands: [command('app', { requires: { db: 'started' } })],
      },
      ['db', 'x', 'app'],
    );
    w.advance(200);
    w.die('x');
    w.advance(1_000);
    expect(w.output()).toEqual({ code: 10, exit: null, left: 0 });
    expect(w.toldOf('supervisor.stopping')[0]!.reason).toBe('g has failed for good');
  });
});

describe('the end by itself', () => {
  const failing = { policy: { giveUpAfter: 1 } };

  test('a vital command, wherever it is', () => {
    const w = startWorld({
      groups: [
        group('o', 'one_for_one', [group('i', 'one_for_one', [command('a', { ...failing, vital: true })])]),
      ],
      commands: [command('b')],
    });
    w.broken.add('a');
    w.advance(100);
    expect(w.output()).toEqual({ code: 10, exit: null, left: 0 });
  });

  test('a vital group, or a group that a vital command goes down with', () => {
    const given = { intensity: { restarts: 0, within: 1_000 } };
    for (const groups of [
      [
        group('o', 'one_for_one', [
          group('i', 'one_for_one', [command('a'), command('b')], { ...given, vital: true }),
        ]),
      ],
      [group('i', 'one_for_one', [command('a'), command('b', { vital: true })], given)],
      [
        group('o', 'one_for_all', [
          group('i', 'one_for_one', [command('a'), command('b')], { ...given, vital: true }),
        ]),
      ],
    ]) {
      const w = startWorld({ groups, commands: [command('x')] }, ['a', 'b', 'x']);
      w.advance(200);
      w.die('a');
      w.advance(200);
      expect(w.output()).toEqual({ code: 10, exit: null, left: 0 });
    }
  });

  test('not by a vital command that an order has stopped', () => {
    const given = { intensity: { restarts: 0, within: 1_000 } };
    const w = startWorld(
      { groups: [group('i', 'one_for_one', [command('a'), command('b', { vital: true })], given)] },
      ['a', 'b'],
    );
    w.stop('b');
    w.advance(200);
    w.die('a');
    w.advance(200);
    expect(w.groupState('i')).toBe('failed');
    expect(w.output()).toBeNull();
  });

  test('any-failed: any command or group', () => {
    const w = startWorld({ commands: [command('a', failing), command('b')], exitWhen: 'any-failed' });
    w.broken.add('a');
    w.advance(100);
    expect(w.output()?.code).toBe(10);
    const v = startWorld(
      {
        groups: [group('g', 'one_for_one', [command('a')], { intensity: { restarts: 0, within: 1_000 } })],
        commands: [command('x')],
        exitWhen: 'any-failed',
      },
      ['a', 'x'],
    );
    v.advance(200);
    v.die('a');
    v.advance(200);
    expect(v.output()?.code).toBe(10);
  });

  test('all-done: when the last one is over, with 10 when one has failed', () => {
    for (const code of [0, 3]) {
      const w = startWorld({
        commands: [
          oneshot('a'),
          oneshot('b', { policy: { restart: 'never' } }),
          command('cron', { policy: { kind: 'cron' } }),
        ],
        exitWhen: 'all-done',
      });
      w.runs.set('a', { ms: 30, code: 0 });
      w.runs.set('b', { ms: 60, code });
      w.advance(50);
      expect(w.output()).toBeNull();
      w.advance(100);
      expect(w.output()).toEqual({ code: code === 0 ? 0 : 10, exit: null, left: 0 });
      expect(w.toldOf('supervisor.stopping')[0]!.reason).toBe('all commands are done');
    }
  });

  test('all-done: a group that gave up is over', () => {
    const w = startWorld(
      {
        groups: [
          group('g', 'one_for_all', [command('a'), command('b')], {
            intensity: { restarts: 0, within: 1_000 },
          }),
        ],
        commands: [oneshot('o')],
        exitWhen: 'all-done',
      },
      ['a', 'b'],
    );
    w.runs.set('o', { ms: 10, code: 0 });
    w.advance(200);
    expect(w.output()).toBeNull();
    w.die('a');
    w.advance(200);
    expect(w.output()?.code).toBe(10);
  });

  test('all-done: what was stopped by order may be started again', () => {
    const w = startWorld({ commands: [oneshot('a'), command('b')], exitWhen: 'all-done' });
    w.runs.set('a', { ms: 10, code: 0 });
    w.stop('b');
    w.advance(1_000);
    expect(w.output()).toBeNull();
  });

  test('done: with its exit status, and nobody is released by it any more', () => {
    for (const code of [0, 3]) {
      const w = startWorld({
        commands: [
          oneshot('job', { policy: { restart: 'never' } }),
          command('db'),
          command('next', { requires: { job: 'completed' } }),
        ],
        exitWhen: { done: 'job' },
      });
      w.runs.set('job', { ms: 50, code });
      w.advance(500);
      expect(w.output()).toEqual({ code: code === 0 ? 0 : 10, exit: status(code), left: 0 });
      expect(w.log.filter((line) => line.includes('start next'))).toEqual([]);
    }
  });

  test('exitCodeFrom: whose run has ended before, else the code', () => {
    const output = (exitCodeFrom: string) => {
      const w = startWorld(
        {
          commands: [oneshot('job', { policy: { restart: 'never' } }), command('other')],
          exitWhen: 'any-failed',
          exitCodeFrom,
        },
        ['other'],
      );
      w.runs.set('job', { ms: 50, code: 7 });
      w.advance(500);
      return w.output();
    };
    expect(output('job')).toEqual({ code: 10, exit: status(7), left: 0 });
    expect(output('other')).toEqual({ code: 10, exit: null, left: 0 });
  });
});
