/** Every state of a group × every event: what it asks of its members, what it tells, and where it is then. */
import { expect, test } from 'vitest';
import { createActor, type EventObject, fromCallback, setup } from 'xstate';
import { getStateNodes } from 'xstate/graph';
import type { commandMachine } from '../../machines/command.ts';
import type { CommandReached, CommandRested, GroupEvent } from '../../machines/events.ts';
import { type GroupInput, groupMachine } from '../../machines/group.ts';
import { rolesOf } from '../../machines/tree.ts';
import { NOTHING, pathOf } from './harness.ts';
import { command, group } from './supervisor-world.ts';

const inner = group('inner', 'one_for_one', [command('x')]);
const members = [command('a'), command('b', { after: ['a'] }), inner];
const plan = group('g', 'one_for_all', members, { intensity: { restarts: 2, within: 1e9 } });

/** A group with fakes for its commands, under a parent that writes down what it is told. */
function begin() {
  const asked: string[] = [];
  const senders = new Map<string, (event: EventObject) => void>();
  const fake = fromCallback<EventObject, { name: string }>(({ input, receive, sendBack }) => {
    senders.set(input.name, sendBack);
    receive((event) => void asked.push(`${input.name} ${event.type.replace('command.', '')}`));
    return () => void asked.push(`${input.name} gone`);
  });
  const logic = groupMachine.provide({
    actors: { command: fake as unknown as typeof commandMachine },
    actions: { tell: (_, told) => void asked.push(`tell ${told.type}`) },
  });
  const parent = setup({
    types: { context: {} as GroupInput, events: {} as GroupEvent, input: {} as GroupInput },
    actors: { group: logic },
  }).createMachine({
    context: ({ input }) => input,
    invoke: { id: 'group', src: 'group', input: ({ context }) => context },
    on: {
      '*': {
        actions: ({ event }) => {
          const { type } = event;
          const who = 'command' in event ? event.command : 'group' in event ? event.group : '';
          const what = 'what' in event ? event.what : 'state' in event ? event.state : '';
          asked.push(['hear', who, what === '' ? type : what].join(' '));
        },
      },
    },
  });
  const root = createActor(parent, {
    input: { plan, seed: 1, found: {}, rest: {}, roles: rolesOf([plan]) },
  }).start();
  const actor = root.getSnapshot().children.group!;
  return {
    send(event: GroupEvent): void {
      actor.send(event);
    },
    news: () => asked.splice(0),
    state: () => pathOf(actor.getSnapshot().value),
  };
}

const rested = (name: string, state: CommandRested['state']): GroupEvent => ({
  type: 'command.rested',
  at: 5,
  command: name,
  state,
  left: 0,
  exit: null,
});
const reached = (name: string, what: CommandReached['what']): GroupEvent => ({
  type: 'command.reached',
  at: 5,
  command: name,
  what,
});
const stop = { type: 'command.stop', at: 5, budget: 1, everything: true } as const;
const ordered = (name: string, type: 'command.start' | 'command.restart' | 'command.kill'): GroupEvent => ({
  type: 'command.ordered',
  command: name,
  order: { type, at: 5 },
});

const EVENTS: Record<string, GroupEvent> = {
  facts: {
    type: 'scan.changed',
    at: 5,
    facts: ['x', 'a', 'nobody'].map((name) => ({
      command: name,
      fact: { type: 'lineage.counted', at: 5, remains: NOTHING },
    })),
  },
  'a waiting': reached('a', 'waiting'),
  'a started': reached('a', 'started'),
  'a ready': reached('a', 'ready'),
  'a fallen': reached('a', 'fallen'),
  'a died': reached('a', 'died'),
  'x died': reached('x', 'died'),
  'x begun': reached('x', 'begun'),
  'a stopped': rested('a', 'stopped'),
  'b stopped': rested('b', 'stopped'),
  'a completed': rested('a', 'completed'),
  'a failed': rested('a', 'failed'),
  'x failed': rested('x', 'failed'),
  'inner rested': { type: 'group.rested', at: 5, group: 'inner' },
  'stop b': { type: 'command.ordered', command: 'b', order: stop },
  'start b': ordered('b', 'command.start'),
  'restart x': ordered('x', 'command.restart'),
  'kill x': ordered('x', 'command.kill'),
  'kill nobody': ordered('nobody', 'command.kill'),
  'stop all': { type: 'all.ordered', order: stop },
  'kill all': { type: 'all.ordered', order: { type: 'command.kill', at: 5 } },
  closed: { type: 'group.closed' },
  'drop a': { type: 'member.dropped', command: 'a' },
  'drop x': { type: 'member.dropped', command: 'x' },
  adjusted: {
    type: 'group.adjusted',
    plan: group('g', 'one_for_one', [members[0]!, members[1]!, inner]),
  },
};

const REACH: Record<string, () => ReturnType<typeof begin>> = {
  tending: begin,
  restarting() {
    const g = begin();
    g.send(reached('a', 'died'));
    return g;
  },
  failing() {
    const g = begin();
    g.send(rested('a', 'failed'));
    return g;
  },
  failed() {
    const g = REACH.failing!();
    for (const name of ['b', 'x']) g.send(rested(name, 'stopped'));
    return g;
  },
  closed() {
    const g = begin();
    g.send({ type: 'group.closed' });
    return g;
  },
};

/** What is the same in every state. */
const ALWAYS: Record<string, string> = {
  facts: 'a lineage.counted, x lineage.counted',
  'a waiting': 'hear a waiting',
  'a started': 'hear a started',
  'a ready': 'hear a ready',
  'a fallen': 'hear a fallen',
  'x died': 'hear x died',
  'x begun': 'hear x begun',
  'a completed': 'hear a completed',
  'a stopped': 'hear a stopped',
  'b stopped': 'hear b stopped',
  'a failed': 'hear a failed',
  'x failed': 'hear x failed',
  'stop b': 'b stop',
  'start b': 'b start',
  'restart x': 'x restart',
  'kill x': 'x kill',
  'kill nobody': '',
  'stop all': 'a stop, b stop, x stop → closed',
  'kill all': 'a kill, b kill, x kill',
  closed: '→ closed',
  'drop a': 'a gone',
  'drop x': 'x gone',
  adjusted: '',
};

/** What is not: facts for others are passed on everywhere, and so are orders. */
const MATRIX: Record<string, Record<string, string>> = {
  tending: {
    'a died': 'tell group.restarting, hear a died, b stop, x stop → restarting',
    'a failed': 'hear a failed, b stop, x stop → failing',
    'inner rested': 'tell group.restarting, b stop, x stop → restarting',
  },
  // `b` and `x` have been told.
  restarting: {
    'a died': 'tell group.restarting, hear a died',
    'a failed': 'hear a failed → failing',
    'inner rested': 'tell group.restarting',
  },
  failing: { 'a died': 'hear a died', 'inner rested': '' },
  failed: {
    'a died': 'hear a died',
    'inner rested': 'hear inner group.rested',
    'start b': 'b start → tending',
    'restart x': 'x restart → tending',
    'x begun': 'hear x begun → tending',
  },
  closed: {
    'a died': 'hear a died',
    'inner rested': '',
    'stop all': 'a stop, b stop, x stop',
    closed: '',
  },
};

test('all states are in the matrix', () => {
  const states = getStateNodes(groupMachine).filter(({ type }) => type === 'atomic');
  expect(states.map(({ key }) => key).sort()).toEqual(Object.keys(MATRIX).sort());
});

test.each(Object.keys(REACH))('%s', (state) => {
  const found: Record<string, string> = {};
  const expected: Record<string, string> = {};
  for (const [name, event] of Object.entries(EVENTS)) {
    const g = REACH[state]!();
    expect(g.state()).toBe(state);
    g.news();
    g.send(event);
    const then = g.state() === state ? '' : `→ ${g.state()}`;
    found[name] = [g.news().join(', '), then].filter((part) => part !== '').join(' ');
    expected[name] = MATRIX[state]![name] ?? ALWAYS[name]!;
  }
  expect(found).toEqual(expected);
});
