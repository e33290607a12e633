import { Observable, Subject } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { createActor, type EventObject, fromCallback, fromEventObservable } from 'xstate';
import { commandMachine } from '../../machines/command.ts';
import type { CommandFact, Leader, ScanReport, Telling } from '../../machines/events.ts';
import { groupMachine } from '../../machines/group.ts';
import type { CommandPolicy } from '../../machines/restart-policy.ts';
import { supervisorMachine } from '../../machines/supervisor.ts';
import { unwritten } from '../../machines/tree.ts';
import { createSteppingClock } from './clock.ts';
import { EXACT, idOf, killedBy, left, NOTHING, pathOf, process, status } from './harness.ts';

interface Options {
  readonly names?: readonly string[];
  readonly vital?: readonly string[];
  readonly policy?: Partial<CommandPolicy>;
  readonly grace?: number;
}

/** The root with its real commands, and a scan that the test plays. */
function supervise({ names = ['a', 'b'], vital = [], policy = {}, grace = 9_000 }: Options = {}) {
  const clock = createSteppingClock();
  const log: string[] = [];
  const told: Telling[] = [];
  const reports = new Subject<ScanReport>();
  let scans = 0;
  const tell = (_: unknown, telling: Telling): void => void told.push(telling);
  const command = commandMachine.provide({
    actors: {
      launch: fromCallback<EventObject, { command: string }>(({ input }) => {
        log.push(`launch ${input.command}`);
      }),
      stopper: fromCallback<EventObject, { command: string }>(({ input }) => {
        log.push(`stopper ${input.command}`);
      }),
    },
    actions: {
      tell,
      signal: (_, params) => void log.push(`${params.signal} ${params.command} ${params.scope}`),
    },
  });
  const machine = supervisorMachine.provide({
    actors: {
      group: groupMachine.provide({ actors: { command } }),
      scan: fromEventObservable<ScanReport, { commands: readonly string[] }>(
        ({ input }) =>
          new Observable((observer) => {
            scans++;
            log.push(`scan ${input.commands.join(' ')}`);
            const subscription = reports.subscribe(observer);
            return () => {
              scans--;
              subscription.unsubscribe();
            };
          }),
      ),
    },
    actions: { tell },
  });
  const root = createActor(machine, {
    clock,
    input: {
      groups: unwritten(
        names.map((name) => ({
          name,
          policy: { ...EXACT, ...policy },
          vital: vital.includes(name),
          requires: {},
          after: [],
        })),
      ),
      grace,
      exitWhen: 'never',
      exitCodeFrom: null,
      seed: 1,
    },
  });
  root.start();
  const actorOf = (name: string) =>
    root.getSnapshot().context.groupOf[name]!.getSnapshot().context.actors[name]!;
  type Fact = CommandFact extends infer F ? (F extends unknown ? Omit<F, 'at'> : never) : never;
  const facts = (...entries: [string, Fact][]): void =>
    reports.next({
      type: 'scan.changed',
      at: clock.now(),
      facts: entries.map(([name, fact]) => ({
        command: name,
        fact: { at: clock.now(), ...fact } as CommandFact,
      })),
    });
  return {
    clock,
    root,
    told,
    facts,
    scanning: () => scans,
    began: (found: Record<string, Leader> = {}) =>
      reports.next({ type: 'scan.began', at: clock.now(), found }),
    shutdown: (reason = 'SIGTERM') => root.send({ type: 'shutdown.ordered', at: clock.now(), reason }),
    state: () => root.getSnapshot().value,
    output: () => (root.getSnapshot().status === 'done' ? root.getSnapshot().output : null),
    /** Of what is within `running`, `failed` and `settling` other tests tell. */
    commandState: (name: string) =>
      pathOf(actorOf(name).getSnapshot().value).replace(/(running|failed|settling)\..*/, '$1'),
    contextOf: (name: string) => actorOf(name).getSnapshot().context,
    actorOf,
    /** What was asked of the world since the last call. */
    news: () => log.splice(0),
  };
}

const gone = (pid: number, remains = NOTHING) =>
  ({ type: 'leader.exited', id: idOf(pid), exit: killedBy('SIGTERM'), heir: null, remains }) as const;
const counted = (remains = NOTHING) => ({ type: 'lineage.counted', remains }) as const;

describe('the beginning', () => {
  test('nothing is started before the process table has been read', () => {
    const s = supervise();
    s.clock.advance(1e6);
    expect(s.news()).toEqual(['scan a b']);
    expect(s.state()).toBe('observing');
    s.began();
    expect(s.state()).toBe('supervising');
    expect(s.news()).toEqual(['launch a', 'launch b']);
  });

  test('who was found is adopted, the others are started', () => {
    const s = supervise();
    s.began({ b: process(7, -5_000) });
    expect(s.news()).toEqual(['scan a b', 'launch a']);
    expect(s.commandState('b')).toBe('running');
    expect(s.contextOf('b')).toMatchObject({ leader: process(7, -5_000), since: -5_000, how: 'adopted' });
  });

  test('who is not to be started by itself rests until it is ordered to start; who was found goes on', () => {
    const s = supervise({ names: ['a', 'b', 'c'], policy: { autostart: false } });
    s.began({ b: process(7, -5_000) });
    expect(s.news()).toEqual(['scan a b c']);
    expect(['a', 'b', 'c'].map(s.commandState)).toEqual(['stopped', 'running', 'stopped']);
    expect([...s.root.getSnapshot().context.down]).toEqual(['a', 'c']);
    s.clock.advance(1e6);
    s.facts(['b', gone(7)]);
    expect(s.news()).toEqual(['launch b']);
    s.root.send({
      type: 'command.ordered',
      command: 'a',
      order: { type: 'command.start', at: s.clock.now() },
    });
    expect(s.news()).toEqual(['launch a']);
    expect([...s.root.getSnapshot().context.down]).toEqual(['c']);
  });

  test('each command has a seed of its own', () => {
    const s = supervise();
    s.began();
    expect(s.contextOf('a').seed).not.toBe(s.contextOf('b').seed);
  });

  test('groups are filled, no seed is given twice, and none is made for nobody', () => {
    const names = Array.from({ length: 64 }, (_, index) => `c${index}`);
    const s = supervise({ names });
    s.began();
    const { groups } = s.root.getSnapshot().context;
    expect(groups.map((group) => Object.keys(group.getSnapshot().children).length)).toEqual([32, 32]);
    expect(new Set(names.map((name) => s.contextOf(name).seed)).size).toBe(64);
  });

  test('names that every object has are names like others', () => {
    const names = ['constructor', 'toString', '__proto__', 'hasOwnProperty'];
    const s = supervise({ names });
    s.began();
    expect(s.news()).toEqual([`scan ${names.join(' ')}`, ...names.map((name) => `launch ${name}`)]);
    s.facts(...names.map((name) => [name, { type: 'launcher.started', ...idOf(7) }] as [string, never]));
    for (const name of names) expect(s.commandState(name)).toBe('restarting.settling');
  });
});

describe('routing', () => {
  test('each fact goes to its own command alone, in order', () => {
    const s = supervise();
    s.began({ a: process(7, -1e6), b: process(8, -1e6) });
    s.news();
    const b = s.contextOf('b');
    s.facts(['a', gone(7)], ['a', { type: 'launcher.started', ...idOf(9) }]);
    expect(s.news()).toEqual(['launch a']);
    expect(s.commandState('a')).toBe('restarting.settling');
    expect(s.contextOf('a').leader?.pid).toBe(9);
    expect(s.contextOf('b')).toBe(b);
  });

  test('facts and orders for a name that does not exist are harmless', () => {
    const s = supervise();
    s.began({ a: process(7), b: process(8) });
    s.news();
    for (const name of ['nobody', 'constructor', '__proto__', '']) {
      s.root.send({ type: 'command.ordered', command: name, order: { type: 'command.kill', at: 0 } });
      s.root.send({
        type: 'command.ordered',
        command: name,
        order: { type: 'command.stop', at: 0, budget: 1, everything: true },
      });
      s.facts([name, gone(7)]);
    }
    expect(s.root.getSnapshot().status).toBe('active');
    expect(s.news()).toEqual([]);
    expect([s.commandState('a'), s.commandState('b')]).toEqual(['running', 'running']);
  });

  test('an order goes to its command alone', () => {
    const s = supervise();
    s.began({ a: process(7), b: process(8) });
    s.news();
    s.root.send({
      type: 'command.ordered',
      command: 'b',
      order: { type: 'command.stop', at: 0, budget: 9_000, everything: false },
    });
    expect(s.news()).toEqual(['SIGTERM b tagged']);
    s.facts(['b', gone(8)]);
    expect([s.commandState('a'), s.commandState('b')]).toEqual(['running', 'stopped']);
    s.clock.advance(1e6);
    expect(s.state()).toBe('supervising');
  });
});

describe('shutdown', () => {
  test('all in parallel, it waits for all, and leaves with 0', () => {
    const s = supervise({ names: ['a', 'b', 'c'] });
    s.began({ a: process(7), b: process(8), c: process(9) });
    s.clock.advance(500);
    s.news();
    s.shutdown();
    expect(s.news()).toEqual(['SIGTERM a everything', 'SIGTERM b everything', 'SIGTERM c everything']);
    expect(s.told).toContainEqual({ type: 'supervisor.stopping', reason: 'SIGTERM', budget: 9_000 });
    s.facts(['b', gone(8)]);
    s.clock.advance(100);
    s.facts(['a', gone(7)], ['b', counted()]);
    expect(s.state()).toBe('stopping');
    s.facts(['c', gone(9, left({ tagged: 1 }))]);
    expect(s.output()).toBeNull();
    s.facts(['c', counted()]);
    expect(s.output()).toEqual({ code: 0, exit: null, left: 0 });
    expect(s.told.filter(({ type }) => type === 'command.stopped')).toHaveLength(3);
    expect(s.scanning(), 'nobody looks any more').toBe(0);
    expect(s.clock.pending()).toBe(0);
  });

  test('commands that are stopped, failed, backing off or starting come to rest as well', () => {
    const s = supervise({ names: ['stopped', 'failed', 'backoff', 'launching'], policy: { giveUpAfter: 2 } });
    s.began({ stopped: process(7) });
    s.root.send({
      type: 'command.ordered',
      command: 'stopped',
      order: { type: 'command.stop', at: 0, budget: 9_000, everything: false },
    });
    const failure = { type: 'launch.failed', error: 'ENOENT', blame: 'command' } as const;
    s.facts(['stopped', gone(7)], ['failed', failure]);
    s.clock.advance(250);
    s.facts(['failed', failure], ['backoff', failure]);
    const names = ['stopped', 'failed', 'backoff', 'launching'];
    expect(names.map(s.commandState)).toEqual(['stopped', 'failed', 'backoff', 'restarting.launching']);
    s.shutdown();
    for (const name of names) {
      expect(s.output()).toBeNull();
      s.facts([name, counted()]);
    }
    expect(s.output()).toEqual({ code: 0, exit: null, left: 0 });
  });

  test('what could not be ended makes it 1', () => {
    const s = supervise();
    s.began({ a: process(7), b: process(8) });
    s.shutdown();
    s.facts(['a', gone(7)], ['b', gone(8, left({ tagged: 2, sessions: 1 }))]);
    s.clock.advance(8_500);
    expect(s.news().at(-1)).toBe('SIGKILL b everything');
    s.clock.advance(499);
    expect(s.output()).toBeNull();
    s.clock.advance(1);
    expect(s.output()).toEqual({ code: 1, exit: null, left: 3 });
  });

  test('a second order kills', () => {
    const s = supervise();
    s.began({ a: process(7), b: process(8) });
    s.shutdown();
    s.facts(['a', gone(7)]);
    s.news();
    s.clock.advance(10);
    s.shutdown('SIGINT');
    expect(s.news()).toEqual(['SIGKILL b everything']);
    s.facts(['b', gone(8)]);
    expect(s.output()).toEqual({ code: 0, exit: null, left: 0 });
    expect(s.told.filter(({ type }) => type === 'supervisor.stopping')).toHaveLength(1);
  });

  test('while the table is being read for the first time: nothing has been started, so it leaves at once', () => {
    const s = supervise();
    s.shutdown();
    expect(s.output()).toEqual({ code: 0, exit: null, left: 0 });
    s.began({ a: process(7) });
    expect(s.news()).toEqual(['scan a b']);
    expect(s.scanning()).toBe(0);
  });

  test('no order starts anything any more', () => {
    const s = supervise({ names: ['a'] });
    s.began({ a: process(7) });
    s.shutdown();
    s.root.send({ type: 'command.ordered', command: 'a', order: { type: 'command.start', at: 0 } });
    s.facts(['a', gone(7)]);
    expect(s.output()).toEqual({ code: 0, exit: null, left: 0 });
    expect(s.news()).not.toContain('launch a');
  });

  test('a stop that is under way has no more time than the end of all, and what is left is said', () => {
    const s = supervise({ names: ['a', 'b'], grace: 2_000 });
    s.began({ a: process(7), b: process(8) });
    // Its own restart has a longer budget than the shutdown.
    s.root.send({ type: 'command.ordered', command: 'a', order: { type: 'command.restart', at: 0 } });
    s.facts(['a', counted(left({ tagged: 1 }))]);
    s.shutdown();
    s.facts(['b', gone(8)]);
    s.news();
    s.clock.advance(1_999);
    expect(s.news()).toContain('SIGKILL a everything');
    expect(s.output()).toBeNull();
    s.clock.advance(1);
    expect(s.output()).toMatchObject({ code: 1, left: 1 });
  });

  test('without commands it is over at once', () => {
    const s = supervise({ names: [] });
    s.began();
    s.clock.advance(1e6);
    expect(s.state()).toBe('supervising');
    s.shutdown();
    expect(s.output()).toEqual({ code: 0, exit: null, left: 0 });
  });
});

describe('a command that fails for good', () => {
  const failure = { type: 'launch.failed', error: 'ENOENT', blame: 'command' } as const;

  test('ends the container with 10 when it is vital, and stops the others first', () => {
    const s = supervise({ vital: ['a'], policy: { giveUpAfter: 2 } });
    s.began({ b: process(8) });
    s.facts(['a', failure]);
    s.clock.advance(250);
    s.news();
    s.facts(['a', failure]);
    expect(s.state()).toBe('stopping');
    expect(s.news()).toEqual(['SIGTERM a everything', 'SIGTERM b everything']);
    expect(s.told).toContainEqual({
      type: 'supervisor.stopping',
      reason: 'a has failed for good',
      budget: 9_000,
    });
    s.clock.advance(30);
    s.facts(['a', counted()], ['b', gone(8)]);
    expect(s.output()).toEqual({ code: 10, exit: null, left: 0 });
    expect(s.told.at(-1)).toMatchObject({ type: 'command.stopped', command: 'b', took: 30 });
  });

  test('with 10 even when something could not be ended', () => {
    const s = supervise({ vital: ['a'], policy: { giveUpAfter: 1 } });
    s.began({ b: process(8) });
    s.facts(['a', failure]);
    s.facts(['a', counted()], ['b', counted(left({ tagged: 4 }))]);
    s.clock.advance(9_000);
    expect(s.output()).toEqual({ code: 10, exit: null, left: 4 });
  });

  test('changes nothing when it is not vital', () => {
    const s = supervise({ vital: ['b'], policy: { giveUpAfter: 1 } });
    s.began({ b: process(8) });
    s.facts(['a', failure]);
    expect(s.commandState('a')).toBe('failed');
    s.clock.advance(1e6);
    expect(s.state()).toBe('supervising');
    expect(s.commandState('b')).toBe('running');
  });

  test('a vital command that is stopped by order ends nothing', () => {
    const s = supervise({ vital: ['a'], policy: { giveUpAfter: 1 } });
    s.began({ a: process(7) });
    s.root.send({
      type: 'command.ordered',
      command: 'a',
      order: { type: 'command.stop', at: 0, budget: 9_000, everything: false },
    });
    s.facts(['a', gone(7)]);
    expect(s.commandState('a')).toBe('stopped');
    expect(s.state()).toBe('supervising');
  });
});

test('300 commands: one scan, one actor each in groups of at most 32, all started, all stopped', () => {
  const names = Array.from({ length: 300 }, (_, index) => `c${index}`);
  const s = supervise({ names });
  s.began();
  expect(s.news()).toHaveLength(301);
  s.facts(
    ...names.map((name, index): [string, never] => [
      name,
      { type: 'launcher.started', ...idOf(1_000 + index) } as never,
    ]),
  );
  s.clock.advance(1_000);
  for (const name of names) expect(s.commandState(name)).toBe('running');
  // The launch actors have gone with their states.
  expect(s.clock.pending()).toBe(0);
  const { groups } = s.root.getSnapshot().context;
  expect(Object.keys(s.root.getSnapshot().children)).toHaveLength(1 + groups.length);
  const members = groups.map((group) => Object.keys(group.getSnapshot().children));
  expect(Math.max(...members.map(({ length }) => length))).toBeLessThanOrEqual(32);
  expect(new Set(members.flat())).toEqual(new Set(names.map((name) => `command:${name}`)));
  for (const name of names) {
    expect(Object.keys(s.actorOf(name).getSnapshot().children)).toEqual([]);
  }
  s.shutdown();
  s.facts(
    ...names.map((name, index): [string, never] => [
      name,
      { ...gone(1_000 + index), exit: status(0) } as never,
    ]),
  );
  expect(s.output()).toEqual({ code: 0, exit: null, left: 0 });
});

test('endless microsteps would be an error', () => {
  expect(supervisorMachine.options?.maxIterations).toBe(100);
  expect(supervisorMachine.provide({}).options?.maxIterations).toBe(100);
});
