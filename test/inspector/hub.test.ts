import { createInspector } from '@statelyai/inspect';
import { describe, expect, test, vi } from 'vitest';
import { type ActorRefFrom, assign, createActor, fromCallback, setup } from 'xstate';
import type { GroupPlan } from '../../machines/tree.ts';
import { createHub, type HubOptions } from '../../src/inspector/hub.ts';
import { jsonOf } from '../../src/inspector/json.ts';
import type { Source } from '../../src/inspector/source.ts';
import { createInside, type PaperInside } from '../control/inside.ts';
import { PaperViewer, type Told } from './viewers.ts';

const child = setup({
  types: { context: {} as { pid: number; secret: string; big: Record<string, number> }, events: {} as Step },
  actors: { work: fromCallback(() => {}) },
}).createMachine({
  id: 'command',
  context: { pid: 0, secret: 'hunter2', big: {} },
  initial: 'missing',
  states: {
    missing: { on: { step: 'running' } },
    running: {
      invoke: { src: 'work', id: 'launch' },
      entry: assign({ pid: ({ context }) => context.pid + 1 }),
      on: { step: 'missing', noise: {} },
    },
  },
});
type Step = { readonly type: 'step' } | { readonly type: 'noise'; readonly text: string };

const parent = setup({
  types: {
    context: {} as { names: readonly string[] },
    input: {} as { names: readonly string[] },
    events: {} as { readonly type: 'pass'; readonly name: string; readonly step: Step },
  },
  actors: { child },
}).createMachine({
  id: 'supervisor',
  context: ({ input, spawn }) => {
    for (const name of input.names) spawn('child', { id: `command:${name}` });
    return input;
  },
  on: {
    pass: {
      actions: ({ event, self }) =>
        (self.getSnapshot().children as Record<string, ActorRefFrom<typeof child>>)[
          `command:${event.name}`
        ]!.send(event.step),
    },
  },
});

interface Stage {
  readonly source: Source;
  readonly inside: PaperInside;
  readonly root: ReturnType<typeof createActor<typeof parent>>;
  readonly step: (name: string, step?: Step) => void;
}

function stage(names: readonly string[] = ['web', 'db'], change: Partial<HubOptions> = {}): Stage {
  const root = createActor(parent, { input: { names } });
  const groups: ReturnType<PaperInside['groups']> = [];
  const inside = createInside({ groups: () => groups }, names);
  const source = createHub({
    root,
    inside,
    about: { mode: 'live', hostname: 'here', from: null, to: null, at: null, replay: null },
    turns: async () => () => null,
    processes: async () => [],
    wallClock: () => 1_700_000_000_000,
    redact: (text) => text.replaceAll('hunter2', '***'),
    ...change,
  });
  root.start();
  return {
    root,
    source,
    inside,
    step: (name, step = { type: 'step' }) => root.send({ type: 'pass', name, step }),
  };
}

const seen = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 60_000, interval: 5 });
const count = (viewer: PaperViewer, type: Parameters<PaperViewer['messages']>[0]): number =>
  viewer.messages(type).length;
const valuesOf = (viewer: PaperViewer, name: string): unknown[] => {
  const session = viewer.messages('@xstate.actor').find((told) => told.name === name)!.sessionId;
  return viewer
    .messages()
    .filter((told) => told.sessionId === session && told.snapshot !== undefined)
    .map((told) => told.snapshot.value);
};

describe('a viewer', () => {
  test('is told every actor first, parents before children, then what happens', async () => {
    const { source, step } = stage();
    step('web');
    const late = new PaperViewer().look(source);
    await seen(() => expect(count(late, '@xstate.actor')).toBe(4));
    expect(late.messages()[0]).toMatchObject({
      type: 'upkeep.hello',
      version: 1,
      upkeep: '1.2.3',
      mode: 'live',
      hostname: 'here',
      orders: true,
      at: null,
      replay: null,
    });
    const actors = late.messages('@xstate.actor');
    expect(actors.map(({ name }) => name)).toEqual([
      expect.any(String),
      'command:web',
      'command:db',
      'launch',
    ]);
    const [root, web, db, launch] = actors as [Told, Told, Told, Told];
    expect([root.parentId, web.parentId, launch.parentId]).toEqual([
      undefined,
      root.sessionId,
      web.sessionId,
    ]);
    expect([web.snapshot.value, db.snapshot.value]).toEqual(['running', 'missing']);
    step('db');
    await seen(() => expect(valuesOf(late, 'command:db')).toEqual(['missing', 'running']));
    const types = late.messages().map(({ type }) => type);
    expect(types.lastIndexOf('@xstate.actor')).toBeGreaterThan(types.indexOf('@xstate.event'));
    expect(late.messages('@xstate.event')).toContainEqual(
      expect.objectContaining({ event: { type: 'step' }, sessionId: db.sessionId }),
    );
    late.leave();
  });

  test('is told the same as the official inspector tells, field by field', async () => {
    const official: Told[] = [];
    const inspector = createInspector({ send: (message) => void official.push(message) });
    const { source, root, step } = stage(['web']);
    const other = new PaperViewer(false).look(source);
    await seen(() => expect(count(other, '@xstate.actor')).toBe(2));
    root.system.inspect(inspector.inspect);
    const before = other.texts.length;
    step('web');
    step('web', { type: 'noise', text: 'x' });
    await seen(() => expect(official.length).toBeGreaterThan(5));
    await seen(() => expect(other.texts.length - before).toBe(official.length));
    const ours = other.messages().slice(before);
    /** XState's own, of no meaning elsewhere; and each inspector's own numbering. */
    const plain = (message: Told): Told => {
      const { id: _, createdAt: __, definition, ...rest } = JSON.parse(JSON.stringify(message));
      return definition === undefined ? rest : { ...rest, definition: JSON.parse(definition) };
    };
    for (const [index, message] of official.entries()) {
      const own = ours[index]!;
      expect(own.id).toEqual(expect.any(String));
      expect(own.createdAt).toMatch(/^\d+$/);
      const theirs = plain(message);
      // Of what is no machine they make up a definition.
      if (theirs.name === 'launch') delete theirs.definition;
      expect({ ...plain(own), snapshot: null }).toEqual({ ...theirs, snapshot: null });
      if (theirs.snapshot === undefined) continue;
      const { context, ...snapshot } = theirs.snapshot;
      expect(own.snapshot).toMatchObject(snapshot);
      const shown = context && JSON.parse(JSON.stringify(context).replaceAll('hunter2', '***'));
      expect(own.snapshot.context).toEqual(shown);
    }
    expect(new Set(official.map(({ type }) => type)).size).toBe(3);
    other.leave();
  });

  test('that is the page is told which of several ways was taken, and what was done', async () => {
    const machine = setup({
      types: { context: {} as { n: number } },
      actions: { note: () => {}, leave: () => {} },
    }).createMachine({
      id: 'health',
      context: { n: 0 },
      initial: 'on',
      on: { '*': { actions: 'note' } },
      states: {
        on: {
          exit: 'leave',
          after: { 1000000: { target: 'off' } },
          on: {
            // To look at the state alone does not tell these two apart.
            'probe.done': [
              { guard: ({ context }) => context.n === 1, target: 'between' },
              { guard: ({ context }) => context.n > 1, actions: 'note' },
              { actions: assign({ n: ({ context }) => context.n + 1 }) },
            ],
          },
        },
        between: { id: 'named', always: [{ guard: () => false, target: 'on' }, { target: 'off' }] },
        off: {},
      },
    });
    const root = createActor(machine);
    const { source } = stage([], { root });
    root.start();
    const [own, other] = [new PaperViewer().look(source), new PaperViewer(false).look(source)];
    for (const each of [own, other]) await seen(() => expect(count(each, '@xstate.actor')).toBe(1));
    for (const type of ['probe.done', 'probe.done', 'unheard', 'probe.done']) root.send({ type });
    for (const each of [own, other]) await seen(() => expect(count(each, '@xstate.snapshot')).toBe(4));
    const any = { from: 'health', event: '*', index: 0 };
    expect(own.messages('@xstate.snapshot').map(({ taken }) => taken)).toEqual([
      { ways: [{ from: 'health.on', event: 'probe.done', index: 2 }], actions: [] },
      {
        ways: [
          { from: 'health.on', event: 'probe.done', index: 0 },
          { from: 'named', event: '', index: 1 },
        ],
        actions: ['leave', 'xstate.cancel'],
      },
      { ways: [any], actions: ['note'] },
      { ways: [any], actions: ['note'] },
    ]);
    for (const told of other.messages('@xstate.snapshot')) expect(told).not.toHaveProperty('taken');
    own.leave();
    other.leave();
  });

  test('of the official kind gets every definition and nothing of upkeep, its own page each definition once', async () => {
    const { source, inside, step } = stage();
    const [own, other] = [new PaperViewer().look(source), new PaperViewer(false).look(source)];
    inside.note('restart', ['web']);
    step('web');
    await seen(() => expect(count(own, 'upkeep.fleet')).toBeGreaterThan(0));
    await seen(() => expect(count(other, '@xstate.actor')).toBe(4));
    const theirs = other.messages('@xstate.actor').filter(({ name }) => name.startsWith('command:'));
    for (const { definition } of theirs) {
      expect(JSON.parse(definition)).toMatchObject({ id: 'command', initial: 'missing' });
    }
    expect(other.messages().filter(({ type }) => type.startsWith('upkeep.'))).toEqual([]);
    const [web, db] = own.messages('@xstate.actor').filter(({ name }) => name.startsWith('command:'));
    expect([web!.definition, db!.definition, db!.like]).toEqual([
      theirs[0]!.definition,
      undefined,
      web!.sessionId,
    ]);
    own.leave();
    other.leave();
  });
});

describe('two viewers, and one that comes again', () => {
  test('each have all of it', async () => {
    const { source, step } = stage();
    const first = new PaperViewer().look(source);
    await seen(() => expect(count(first, '@xstate.actor')).toBe(3));
    step('web');
    const second = new PaperViewer().look(source);
    await seen(() => expect(valuesOf(second, 'command:web').at(-1)).toBe('running'));
    step('web');
    for (const viewer of [first, second]) {
      await seen(() => expect(valuesOf(viewer, 'command:web').at(-1)).toBe('missing'));
    }
    expect(valuesOf(first, 'command:web')).toEqual(['missing', 'running', 'missing']);
    first.leave();
    step('db');
    await seen(() => expect(valuesOf(second, 'command:db').at(-1)).toBe('running'));
    expect(valuesOf(first, 'command:db').at(-1)).toBe('missing');
    const again = new PaperViewer().look(source);
    await seen(() => expect(valuesOf(again, 'command:db')).toEqual(['running']));
    second.leave();
    again.leave();
  });

  test('nothing is observed without any', () => {
    const { source, root, inside, step } = stage();
    const inspect = vi.spyOn(root.system, 'inspect');
    const unfollow = vi.fn();
    const follow = vi.spyOn(inside.journal, 'follow').mockReturnValue(unfollow);
    expect(inspect).not.toHaveBeenCalled();
    const viewers = [new PaperViewer().look(source), new PaperViewer().look(source)];
    expect([inspect.mock.calls.length, follow.mock.calls.length]).toEqual([1, 1]);
    const [[observer]] = inspect.mock.calls as unknown as [[(event: object) => void]];
    for (const viewer of viewers) viewer.leave();
    expect(unfollow).toHaveBeenCalledTimes(1);
    // The observer is not called any more: what it is given cannot be read.
    const told = viewers.map(({ texts }) => texts.length);
    step('web');
    expect(viewers.map(({ texts }) => texts.length)).toEqual(told);
    expect(observer).toBeTypeOf('function');
    new PaperViewer().look(source).leave();
    expect(inspect).toHaveBeenCalledTimes(2);
  });
});

describe('who does not take what he is sent', () => {
  test('misses messages, is told how many, and then how things are', async () => {
    const { source, step } = stage();
    const slow = new PaperViewer().look(source);
    const other = new PaperViewer().look(source);
    for (const each of [slow, other]) await seen(() => expect(count(each, '@xstate.actor')).toBe(3));
    slow.takes = false;
    const told = (viewer: PaperViewer): number =>
      viewer.messages().filter(({ type }) => type.startsWith('@')).length;
    const text = 'x'.repeat(1_000);
    const passes = 4_001;
    step('web');
    for (let at = 1; at < passes; at++) {
      step('web', { type: 'noise', text });
      if (at % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    step('db');
    await seen(() => expect(valuesOf(other, 'command:db').at(-1)).toBe('running'));
    // What waits has a bound.
    expect(slow.waiting()).toBeLessThan(1_100_000);
    expect(valuesOf(slow, 'command:db').at(-1)).toBe('missing');
    const before = told(slow);
    slow.take();
    await seen(() => expect(count(slow, 'upkeep.missed')).toBe(1));
    expect(valuesOf(slow, 'command:db').at(-1)).toBe('running');
    const [{ messages }] = slow.messages('upkeep.missed') as [Told];
    expect(before + messages).toBe(told(other));
    step('db');
    await seen(() => expect(valuesOf(slow, 'command:db').at(-1)).toBe('missing'));
    slow.leave();
    other.leave();
  });

  test('is told what there is as far as he takes it', async () => {
    const names = Array.from({ length: 1_000 }, (_, index) => `c${index}`);
    const { source, step } = stage(names);
    const slow = new PaperViewer(false);
    slow.takes = false;
    slow.look(source);
    await seen(() => expect(slow.waiting()).toBeGreaterThan(256 * 1024));
    step('c999');
    await new Promise((resolve) => setImmediate(resolve));
    const before = count(slow, '@xstate.actor');
    expect(before).toBeLessThan(1_000);
    slow.take();
    await seen(() => expect(count(slow, '@xstate.actor')).toBe(1_002));
    expect(valuesOf(slow, 'command:c999').at(-1)).toBe('running');
    expect(count(slow, 'upkeep.missed')).toBe(0);
    slow.leave();
  });
});

describe('the page', () => {
  test('has the journal, and what comes to it', async () => {
    const { source, inside } = stage();
    for (let at = 0; at < 300; at++) inside.note(`order ${at}`, ['web']);
    const viewer = new PaperViewer().look(source);
    const numbers = (): number[] =>
      viewer
        .messages('upkeep.entries')
        .flatMap(({ entries }) => entries.map(({ number }: Told) => number as number));
    await seen(() => expect(numbers()).toEqual(Array.from({ length: 300 }, (_, index) => index + 1)));
    inside.note('one more', ['web']);
    await seen(() => expect(numbers().at(-1)).toBe(301));
    viewer.leave();
  });

  test('has all commands at first, and then those that change', async () => {
    const { source, inside, step } = stage();
    const viewer = new PaperViewer().look(source);
    await seen(() => expect(count(viewer, 'upkeep.fleet')).toBe(1));
    expect(viewer.messages('upkeep.fleet')[0]).toMatchObject({
      names: ['web', 'db'],
      groups: [],
      commands: [{ name: 'web', state: 'running' }, { name: 'db' }],
    });
    inside.put('db', 'backoff');
    step('db');
    await seen(() => expect(count(viewer, 'upkeep.fleet')).toBe(2));
    expect(viewer.messages('upkeep.fleet')[1]).toMatchObject({
      names: null,
      groups: null,
      commands: [{ name: 'db', state: 'backoff' }],
    });
    // A transition that changes nothing of it is not told.
    step('db');
    inside.put('web', 'stopped');
    step('web');
    await seen(() => expect(count(viewer, 'upkeep.fleet')).toBe(3));
    expect(viewer.messages('upkeep.fleet')[2]!.commands.map(({ name }: Told) => name)).toEqual(['web']);
    viewer.leave();
  });

  test('sees whom a group has stopped for good, though their own machines hear nothing of it', async () => {
    const { source, inside } = stage();
    const [group] = createInside({}, ['web', 'db']).groups();
    (inside.groups() as GroupPlan[]).push({ ...group!, name: 'g' });
    inside.put('db', 'stopped');
    const viewer = new PaperViewer().look(source);
    await seen(() => expect(count(viewer, 'upkeep.fleet')).toBe(1));
    const gaveUp = { group: 'g', reason: 'web died', time: 0 };
    inside.put('db', 'stopped', {}, 90_000, { gaveUp });
    inside.journal.note({ type: 'group.failed', at: 0, group: 'g', reason: 'web died' });
    await seen(() =>
      expect(viewer.messages('upkeep.fleet').at(-1)).toMatchObject({
        commands: [{ name: 'db', gaveUp: { group: 'g' } }],
      }),
    );
    viewer.leave();
  });

  test('sees who waits for the turn of an order', async () => {
    const { source, inside } = stage(['web', 'db'], {
      turns: async () => (name) => (name === 'db' ? { order: 'stop', behind: ['web'] } : null),
    });
    const viewer = new PaperViewer().look(source);
    await seen(() => expect(count(viewer, 'upkeep.fleet')).toBe(1));
    inside.note('stop', ['db']);
    await seen(() =>
      expect(viewer.messages('upkeep.fleet').flatMap(({ commands }) => commands)).toContainEqual(
        expect.objectContaining({
          name: 'db',
          ordered: 'stop',
          next: { what: 'stop', in: null, text: 'stopped after web' },
        }),
      ),
    );
    viewer.leave();
  });

  test('has the processes for as long as it wants them', async () => {
    let looks = 0;
    const { source } = stage(['web'], {
      processes: async (pause) => {
        looks++;
        await pause();
        return [
          {
            pid: 1,
            ppid: 0,
            name: 'x',
            state: 'S',
            argv: ['x', 'hunter2'],
            since: 0,
            command: null,
            part: null,
            because: null,
          },
        ];
      },
    });
    const viewer = new PaperViewer().look(source);
    const other = new PaperViewer().look(source);
    await seen(() => expect(count(viewer, 'upkeep.fleet')).toBe(1));
    expect(looks).toBe(0);
    viewer.want({ type: 'processes', wanted: true });
    await seen(() => expect(count(viewer, 'upkeep.processes')).toBeGreaterThan(1));
    expect(viewer.messages('upkeep.processes')[0]!.processes[0].argv).toEqual(['x', '***']);
    expect(count(other, 'upkeep.processes')).toBe(0);
    viewer.want({ type: 'processes', wanted: false });
    other.want({ type: 'processes', wanted: true });
    await seen(() => expect(count(other, 'upkeep.processes')).toBe(1));
    const last = count(viewer, 'upkeep.processes');
    await seen(() => expect(count(other, 'upkeep.processes')).toBe(2));
    expect(count(viewer, 'upkeep.processes')).toBe(last);
    viewer.leave();
    other.leave();
  });

  test('never sees a secret', async () => {
    const { source, inside, step } = stage();
    const viewer = new PaperViewer().look(source);
    await seen(() => expect(count(viewer, '@xstate.actor')).toBe(3));
    inside.note('hunter2', ['web']);
    step('web', { type: 'noise', text: 'hunter2' });
    await seen(() => expect(count(viewer, '@xstate.event')).toBeGreaterThan(0));
    await seen(() => expect(count(viewer, 'upkeep.entries')).toBe(1));
    expect(viewer.texts.join('\n')).not.toContain('hunter2');
    expect(viewer.texts.join('\n')).toContain('***');
    viewer.leave();
  });
});

describe('what is shown of a value', () => {
  const parsed = (value: unknown): unknown => JSON.parse(jsonOf(value));

  test('is all of it where it is small', () => {
    const value = { a: [1, null, 'x', true], b: { c: { d: 'e' } }, f: undefined };
    expect(parsed(value)).toEqual({ a: [1, null, 'x', true], b: { c: { d: 'e' } } });
    expect(parsed(new Set([1, 2]))).toEqual([1, 2]);
    expect(parsed(new Map([['a', { b: 1 }]]))).toEqual({ a: { b: 1 } });
    expect(parsed(new TypeError('no'))).toEqual({ name: 'TypeError', message: 'no' });
    expect(parsed(10n)).toBe('10');
    expect(parsed(undefined)).toBe(null);
  });

  test('is cut where it is large, deep or circular', () => {
    const circle: { self?: object } = {};
    circle.self = circle;
    expect(jsonOf(circle).length).toBeLessThan(200);
    const list = parsed(Array.from({ length: 1_000 }, (_, index) => index)) as unknown[];
    expect([list.length, list.at(-1)]).toEqual([33, '… 968 more']);
    const wide = parsed(Object.fromEntries(list.entries())) as Record<string, unknown>;
    expect(wide['…']).toBe('1 more');
    expect((parsed('x'.repeat(10_000)) as string).length).toBe(2_001);
    const bush = (depth: number): unknown =>
      depth === 0 ? 'leaf' : Array.from({ length: 30 }, () => bush(depth - 1));
    expect(jsonOf(bush(4)).length).toBeLessThan(100_000);
  });

  test('has no half of a secret where it is cut', () => {
    const text = `${'x'.repeat(1_995)}hunter2${'y'.repeat(100)}`;
    const shown = jsonOf(text, (said) => said.replaceAll('hunter2', '***'));
    expect(shown).not.toContain('hunt');
  });

  test('that cannot be read says so', () => {
    const value = {
      get a() {
        throw new Error('no');
      },
    };
    expect(parsed(value)).toBe('cannot be shown: no');
  });
});
