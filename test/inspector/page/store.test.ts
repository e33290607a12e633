import { describe, expect, test } from 'vitest';
import { Store } from '../../../src/inspector/page/store.ts';
import { countKinds, fleetRows, namesInOrder, sessionOf } from '../../../src/inspector/page/tree.ts';
import type { Hello, Message, StatelyMessage } from '../../../src/inspector/protocol.ts';
import { status } from '../made-status.ts';

const inspected = { rootId: 'x:0', createdAt: '1000', id: '1', _version: '0.7.2' };
const hello: Hello = {
  type: 'upkeep.hello',
  version: 1,
  upkeep: '0.1.0',
  mode: 'live',
  orders: true,
  hostname: 'here',
  began: 500,
  from: null,
  to: null,
  at: null,
  replay: null,
};
const definition = JSON.stringify({ id: 'command', initial: 'a', states: { a: { on: { go: 'b' } }, b: {} } });
const actor = (sessionId: string, name: string, more: object = {}): StatelyMessage => ({
  ...inspected,
  type: '@xstate.actor',
  sessionId,
  name,
  parentId: undefined,
  snapshot: { status: 'active', value: 'a', context: {} },
  definition,
  ...more,
});
const event = (sessionId: string, type: string, sourceId?: string): StatelyMessage => ({
  ...inspected,
  type: '@xstate.event',
  sessionId,
  event: { type },
  sourceId,
});
const snapshot = (sessionId: string, type: string, value: string): StatelyMessage => ({
  ...inspected,
  type: '@xstate.snapshot',
  sessionId,
  event: { type },
  snapshot: { status: 'active', value, context: {} },
});

function told(...messages: Message[]): Store {
  const store = new Store(() => 2_000);
  for (const message of messages) store.apply(message);
  return store;
}

describe('what the page has been told', () => {
  test('an event and what it caused are one message', () => {
    const store = told(
      hello,
      actor('x:1', 'command:web'),
      event('x:1', 'go', 'x:0'),
      snapshot('x:1', 'go', 'b'),
    );
    expect(store.sent).toHaveLength(1);
    expect(store.sent[0]).toMatchObject({
      time: 1_000,
      from: 'x:0',
      to: 'x:1',
      became: { before: { value: 'a' }, after: { value: 'b' } },
    });
    expect(store.actors.get('x:1')!.last).toBe(store.sent[0]);
  });

  test('the way that was told is kept with it', () => {
    const taken = { ways: [{ from: 'command.a', event: 'go', index: 0 }], actions: ['tell'] };
    const store = told(hello, actor('x:1', 'command:web'), event('x:1', 'go'), {
      ...snapshot('x:1', 'go', 'b'),
      taken,
    } as StatelyMessage);
    expect(store.sent[0]!.became).toMatchObject({ taken });
  });

  test('a recording that is shown again stays at the time that was chosen; another one has its own', () => {
    const recording: Hello = { ...hello, mode: 'recording', from: 100, to: 900, at: 800 };
    const store = told(recording);
    store.at = 300;
    store.apply(recording);
    expect(store.now()).toBe(300);
    store.apply({ ...recording, from: 400 });
    expect(store.now()).toBe(800);
  });

  test('events that wait in the mailbox find theirs in order', () => {
    const store = told(
      hello,
      actor('x:1', 'command:web'),
      event('x:1', 'go'),
      event('x:1', 'go'),
      event('x:1', 'other'),
      snapshot('x:1', 'go', 'b'),
    );
    expect(store.sent.map(({ became }) => became !== null)).toEqual([true, false, false]);
  });

  test('a transition that nobody sent an event for is one of its own', () => {
    const store = told(hello, actor('x:1', 'command:web'), snapshot('x:1', 'xstate.after.x.command.a', 'b'));
    expect(store.sent).toMatchObject([
      { from: 'x:1', to: 'x:1', event: { type: 'xstate.after.x.command.a' } },
    ]);
  });

  test('one definition is told once, and is that of those who are like it', () => {
    const store = told(
      hello,
      actor('x:1', 'command:web'),
      actor('x:2', 'command:db', { definition: undefined, like: 'x:1' }),
    );
    expect(store.actors.get('x:2')!.machine).toBe(store.actors.get('x:1')!.machine);
  });

  test('who comes back is told anew: the timeline stays, nothing is there twice', () => {
    const entry = { number: 1, time: 900, what: { type: 'command.healthy', at: 0, command: 'web' } as const };
    const entries: Message = { type: 'upkeep.entries', entries: [entry], gone: 0 };
    const store = told(
      hello,
      actor('x:1', 'command:web'),
      entries,
      hello,
      actor('x:5', 'command:web'),
      entries,
    );
    expect([...store.actors.keys()]).toEqual(['x:5']);
    expect(store.entries).toHaveLength(1);
    expect(store.lanes.of('web').marks).toHaveLength(1);
    store.apply({ ...hello, began: 1_500 });
    expect(store.entries).toEqual([]);
  });

  test('the other side’s clock counts', () => {
    const store = told(hello, { type: 'upkeep.fleet', at: 7_000, commands: [], names: [], groups: [] });
    expect(store.now()).toBe(7_000);
  });

  test('a message of a newer upkeep is let by', () => {
    expect(() => told({ type: 'upkeep.new' } as unknown as Message)).not.toThrow();
  });

  test('commands that are gone are gone', () => {
    const store = told(
      hello,
      { type: 'upkeep.fleet', at: 1, commands: [status('a'), status('b')], names: ['a', 'b'], groups: [] },
      { type: 'upkeep.fleet', at: 2, commands: [], names: ['b'], groups: null },
    );
    expect([...store.commands.keys()]).toEqual(['b']);
  });
});

describe('the fleet as rows', () => {
  const fleet: Message = {
    type: 'upkeep.fleet',
    at: 1,
    commands: [status('web'), status('db', { state: 'backoff', asWished: false }), status('loose')],
    names: ['web', 'db', 'loose'],
    groups: [
      { name: 'shop', parent: null, strategy: 'rest_for_one', commands: ['web'] },
      { name: 'inner', parent: 'shop', strategy: 'one_for_all', commands: ['db'] },
    ],
  };
  const none = { text: '', kinds: new Set<never>() };
  const outline = (rows: ReturnType<typeof fleetRows>): string[] =>
    rows.map(({ level, name }) => `${'  '.repeat(level - 1)}${name}`);

  test('root, groups and commands nest', () => {
    const rows = fleetRows(told(hello, fleet), none, new Set());
    expect(outline(rows)).toEqual(['upkeep', '  shop', '    inner', '      db', '    web', '  loose']);
    expect(rows[0]!.word).toBe('1 of 3 not as wished');
  });

  test('a group is as well as all that is in it, at any depth', () => {
    const rows = fleetRows(told(hello, fleet), none, new Set());
    const of = (name: string) => rows.find((row) => row.name === name)!;
    expect([of('inner').word, of('inner').look.kind]).toEqual(['one_for_all, 1 not as wished', 'unwell']);
    expect([of('shop').word, of('shop').look.kind]).toEqual(['rest_for_one, 1 not as wished', 'unwell']);
  });

  test('root and groups show the state of their machines', () => {
    const store = told(
      hello,
      actor('x:0', 'x:0', { snapshot: { status: 'active', value: 'supervising', context: {} } }),
      actor('x:1', 'group:0:shop', { snapshot: { status: 'active', value: 'failed', context: {} } }),
      fleet,
    );
    const rows = fleetRows(store, none, new Set());
    expect(rows.map(({ state }) => state)).toEqual(['supervising', 'failed', '', '', '', '']);
    expect(rows[1]!.look.kind).toBe('failed');
    expect(store.titleOf(store.actors.get('x:0')!)).toBe('upkeep');
  });

  test('the order of commands is the tree’s, whatever is closed', () => {
    expect(namesInOrder(told(hello, fleet))).toEqual(['db', 'web', 'loose']);
  });

  test('what is closed is not shown, unless it is searched for', () => {
    const store = told(hello, fleet);
    const closed = new Set(['group:shop']);
    expect(outline(fleetRows(store, none, closed))).toEqual(['upkeep', '  shop', '  loose']);
    expect(outline(fleetRows(store, { ...none, text: 'DB' }, closed))).toEqual([
      'upkeep',
      '  shop',
      '    inner',
      '      db',
    ]);
  });

  test('a filter by state leaves what holds it', () => {
    const store = told(hello, fleet);
    const rows = fleetRows(store, { text: '', kinds: new Set(['backoff' as const]) }, new Set());
    expect(outline(rows)).toEqual(['upkeep', '  shop', '    inner', '      db']);
    expect(countKinds(store)).toEqual(
      new Map([
        ['up', 2],
        ['backoff', 1],
      ]),
    );
  });

  test('of upkeep they are none until it has told of its fleet', () => {
    expect(fleetRows(told(hello, actor('x:1', 'command:web')), none, new Set())).toEqual([]);
  });

  test('of somebody else’s system they are its actors', () => {
    const store = told(actor('a', 'root'), actor('b', 'light', { parentId: 'a' }));
    const rows = fleetRows(store, none, new Set());
    expect(outline(rows)).toEqual(['root', '  light']);
    expect(rows[1]!.word).toBe('a');
    expect(sessionOf(store, rows[1]!.key)).toBe('b');
  });

  test('what is selected by its name finds its actor', () => {
    const store = told(hello, actor('x:0', 'x:0'), actor('x:1', 'group:0:shop'), actor('x:2', 'command:web'));
    expect(sessionOf(store, 'root')).toBe('x:0');
    expect(sessionOf(store, 'group:shop')).toBe('x:1');
    expect(sessionOf(store, 'command:web')).toBe('x:2');
    expect(sessionOf(store, 'command:nobody')).toBeNull();
  });
});
