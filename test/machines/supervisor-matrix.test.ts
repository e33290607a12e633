/** Every state of the root × every event: what it asks, what it tells, and where it is then. */
import { Subject } from 'rxjs';
import { expect, test } from 'vitest';
import { createActor, type EventObject, fromCallback, fromEventObservable } from 'xstate';
import { getStateNodes } from 'xstate/graph';
import type { commandMachine } from '../../machines/command.ts';
import type { CommandReached, CommandRested, ScanReport, SupervisorEvent } from '../../machines/events.ts';
import { groupMachine } from '../../machines/group.ts';
import { supervisorMachine } from '../../machines/supervisor.ts';
import { type SupervisorPlan, unwritten } from '../../machines/tree.ts';
import { createSteppingClock } from './clock.ts';
import { NOTHING } from './harness.ts';
import { command, group } from './supervisor-world.ts';

const plan: SupervisorPlan = {
  groups: [
    group('g', 'one_for_one', [command('v', { vital: true })]),
    ...unwritten([command('a'), command('b', { requires: { a: 'ready' } })]),
  ],
  grace: 9_000,
  exitWhen: 'never',
  exitCodeFrom: null,
};

/** A root with groups, and fakes for their commands. */
function begin() {
  const asked: string[] = [];
  const reports = new Subject<ScanReport>();
  const fake = fromCallback<EventObject, { name: string; found: unknown }>(({ input, receive }) => {
    asked.push(`${input.name} begins`);
    receive((event) => void asked.push(`${input.name} ${event.type.replace('command.', '')}`));
    return () => void asked.push(`${input.name} gone`);
  });
  const tell = (_: unknown, told: { type: string }): void => void asked.push(`tell ${told.type}`);
  const clock = createSteppingClock();
  const machine = supervisorMachine.provide({
    actors: {
      group: groupMachine.provide({
        actors: { command: fake as unknown as typeof commandMachine },
        actions: { tell },
      }),
      scan: fromEventObservable<ScanReport, { commands: readonly string[] }>(() => reports),
    },
    actions: { tell },
  });
  const root = createActor(machine, { clock, input: { ...plan, seed: 1 } }).start();
  return {
    send(event: SupervisorEvent): void {
      root.send(event);
    },
    advance: (ms: number) => clock.advance(ms),
    oversleep: (ms: number) => clock.oversleep(ms),
    news: () => asked.splice(0),
    state: () => String(root.getSnapshot().value),
  };
}

const rested = (name: string, state: CommandRested['state']): SupervisorEvent => ({
  type: 'command.rested',
  at: 5,
  command: name,
  state,
  left: 0,
  exit: null,
});
const reached = (name: string, what: CommandReached['what']): SupervisorEvent => ({
  type: 'command.reached',
  at: 5,
  command: name,
  what,
});
const ordered = (
  name: string,
  type: 'command.start' | 'command.restart' | 'command.reload',
): SupervisorEvent => ({
  type: 'command.ordered',
  command: name,
  order: { type, at: 5 },
});
const changed: SupervisorEvent = {
  type: 'policy.changed',
  at: 5,
  plan: {
    ...plan,
    groups: [
      group('h', 'one_for_all', [command('v', { vital: true })]),
      ...unwritten([command('b'), command('new')]),
    ],
  },
  diff: {
    started: ['new'],
    stopped: ['a'],
    restarted: [],
    adjusted: ['b'],
    unchanged: 1,
    sections: [],
    notes: {},
  },
  found: {},
};

const EVENTS: Record<string, SupervisorEvent> = {
  began: { type: 'scan.began', at: 5, found: {} },
  facts: {
    type: 'scan.changed',
    at: 5,
    facts: ['v', 'a', 'nobody'].map((name) => ({
      command: name,
      fact: { type: 'lineage.counted', at: 5, remains: NOTHING },
    })),
  },
  'b waiting': reached('b', 'waiting'),
  'a ready': reached('a', 'ready'),
  'a died': reached('a', 'died'),
  'a begun': reached('a', 'begun'),
  'nobody ready': reached('nobody', 'ready'),
  'a stopped': rested('a', 'stopped'),
  'a completed': rested('a', 'completed'),
  'a failed': rested('a', 'failed'),
  'v stopped': rested('v', 'stopped'),
  'v failed': rested('v', 'failed'),
  'g rested': { type: 'group.rested', at: 5, group: 'g' },
  'nothing rested': { type: 'group.rested', at: 5, group: 'nothing' },
  'start a': ordered('a', 'command.start'),
  'restart v': ordered('v', 'command.restart'),
  'reload a': ordered('a', 'command.reload'),
  'stop a': {
    type: 'command.ordered',
    command: 'a',
    order: { type: 'command.stop', at: 5, budget: 1, everything: false },
  },
  'start nobody': ordered('nobody', 'command.start'),
  changed,
  shutdown: { type: 'shutdown.ordered', at: 5, reason: 'SIGTERM' },
};

const REACH: Record<string, () => ReturnType<typeof begin>> = {
  observing: begin,
  supervising() {
    const s = begin();
    s.send(EVENTS.began!);
    s.send(reached('a', 'ready'));
    return s;
  },
  // `a` is up, and is to be stopped after `b`.
  stopping() {
    const s = REACH.supervising!();
    s.send(EVENTS.shutdown!);
    return s;
  },
  killing() {
    const s = REACH.stopping!();
    s.advance(9_000 + 2_000);
    return s;
  },
};

const stopping = 'tell supervisor.stopping, v stop, b stop, a adjust → stopping';
/** What is not here is not answered. */
const MATRIX: Record<string, Record<string, string>> = {
  observing: {
    began: 'v begins, a begins, b begins → supervising',
    changed: 'tell policy.reloaded',
    shutdown: 'tell supervisor.stopping → done',
  },
  supervising: {
    facts: 'v lineage.counted, a lineage.counted',
    'b waiting': 'b release',
    'v failed': stopping,
    'g rested': stopping,
    'start a': 'a start',
    'restart v': 'v restart',
    'reload a': 'a reload',
    'stop a': 'a stop',
    changed: 'tell policy.reloaded, a stop, v gone, b adjust, v begins, new begins',
    shutdown: stopping,
  },
  stopping: {
    facts: 'v lineage.counted, a lineage.counted',
    'a died': 'a stop',
    'a begun': 'a stop',
    'b waiting': '',
    shutdown: 'a stop, v kill, a kill, b kill',
  },
  killing: {
    facts: 'v lineage.counted, a lineage.counted',
    shutdown: 'v kill, a kill, b kill',
  },
};

test('all states are in the matrix', () => {
  const states = getStateNodes(supervisorMachine).map(({ key }) => key);
  expect(states.sort()).toEqual([...Object.keys(MATRIX), 'done'].sort());
});

test.each(Object.keys(REACH))('%s', (state) => {
  const found: Record<string, string> = {};
  const expected: Record<string, string> = {};
  for (const [name, event] of Object.entries(EVENTS)) {
    const s = REACH[state]!();
    expect(s.state()).toBe(state);
    s.news();
    s.send(event);
    const then = s.state() === state ? '' : `→ ${s.state()}`;
    found[name] = [s.news().join(', '), then].filter((part) => part !== '').join(' ');
    expected[name] = MATRIX[state]![name] ?? '';
  }
  expect(found).toEqual(expected);
});

test('it waits for what it has told to stop, tells the next, and ends', () => {
  const s = REACH.stopping!();
  s.news();
  s.send(rested('v', 'stopped'));
  s.send(rested('a', 'completed'));
  expect(s.news(), 'not the end of it').toEqual([]);
  s.send(rested('b', 'stopped'));
  expect(s.news()).toEqual(['a stop']);
  s.send(rested('nobody', 'stopped'));
  s.send(rested('a', 'stopped'));
  expect(s.state()).toBe('done');
});

test('its time is over: all are killed, and then it is over in any case', () => {
  const s = REACH.stopping!();
  s.news();
  s.advance(8_999);
  expect(s.news()).toEqual([]);
  s.advance(1);
  expect(s.news()).toEqual(['a stop', 'v kill', 'a kill', 'b kill']);
  s.advance(2_000);
  expect([s.state(), s.news()]).toEqual(['killing', ['v kill', 'a kill', 'b kill']]);
  s.advance(1_999);
  expect(s.state()).toBe('killing');
  s.advance(1);
  expect(s.state()).toBe('done');
});

test('when upkeep itself was stopped for longer than the stop may take, who is killed is waited for', () => {
  const s = REACH.stopping!();
  s.news();
  s.oversleep(60_000);
  expect([s.state(), s.news()]).toEqual([
    'killing',
    ['a stop', 'v kill', 'a kill', 'b kill', 'v kill', 'a kill', 'b kill'],
  ]);
  for (const name of ['v', 'a', 'b']) s.send(rested(name, 'stopped'));
  expect(s.state()).toBe('done');
});
