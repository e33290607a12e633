import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CommandOrder, CommandPlan } from '../../machines/events.ts';
import { DEFAULT_POLICY } from '../../machines/restart-policy.ts';
import { unwritten } from '../../machines/tree.ts';
import { createOrders, type Orders } from '../../src/control/orders.ts';
import { createInside, type PaperInside } from './inside.ts';

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface World {
  readonly inside: PaperInside;
  readonly orders: Orders;
  /** `stop web` … in the order in which they were given. */
  readonly given: string[];
  /** The command's stop has come to its end. */
  readonly rest: (name: string) => Promise<void>;
  ending: boolean;
}

/** @param requires by command, whom it requires */
function createWorld(
  requires: Readonly<Record<string, readonly string[]>>,
  kinds: Readonly<Record<string, 'cron'>> = {},
): World {
  const given: string[] = [];
  const names = Object.keys(requires);
  const policyOf = (name: string) => ({ ...DEFAULT_POLICY, kind: kinds[name] ?? ('service' as const) });
  const plans = names.map(
    (name): CommandPlan => ({
      name,
      policy: policyOf(name),
      vital: false,
      requires: Object.fromEntries(requires[name]!.map((other) => [other, 'ready'])),
      after: [],
    }),
  );
  const put = (name: string, state: string, desired: 'up' | 'down'): void => {
    inside.put(name, state, { desired, policy: policyOf(name) });
    inside.journal.note({ type: 'command.transition', at: 0, command: name, from: null, to: state, on: 'x' });
  };
  const inside = createInside(
    {
      groups: () => unwritten(plans),
      isEnding: () => world.ending,
      order(name: string, { type }: CommandOrder) {
        given.push(`${type.replace('command.', '')} ${name}`);
        if (type === 'command.stop') put(name, 'stopping.terminating', 'down');
        else put(name, 'restarting.launching', 'up');
      },
    },
    names,
  );
  for (const name of names) inside.put(name, 'running.ready', { policy: policyOf(name) });
  const world: World = {
    inside,
    orders: createOrders(inside),
    given,
    async rest(name) {
      put(name, 'stopped', 'down');
      await tick();
    },
    ending: false,
  };
  return world;
}

const CHAIN = { db: [], api: ['db'], web: ['api'], other: [] };

describe('a stop', () => {
  test('goes from those that need others to those that are needed, and each waits for its turn', async () => {
    const { orders, given, rest } = createWorld(CHAIN);
    orders.give('stop', ['db', 'api', 'web', 'other']);
    expect(given).toEqual(['stop web', 'stop other']);
    expect(orders.turnOf('db')).toEqual({ order: 'stop', behind: ['api', 'web'] });
    expect(orders.turnOf('web')).toEqual({ order: 'stop', behind: [] });
    await rest('other');
    expect(given).toHaveLength(2);
    await rest('web');
    expect(given.slice(2)).toEqual(['stop api']);
    await rest('api');
    expect(given.slice(3)).toEqual(['stop db']);
    await rest('db');
    expect(orders.turnOf('db')).toBeNull();
  });

  test('of those who do not need each other is one of all at once, and nothing is followed', () => {
    const { orders, given, inside } = createWorld({ a: [], b: [], c: [] });
    orders.give('stop', ['a', 'b', 'c']);
    expect(given).toEqual(['stop a', 'stop b', 'stop c']);
    expect(inside.names().every((name) => orders.turnOf(name) === null)).toBe(true);
  });

  test('that somebody revokes for one goes on for the others', async () => {
    const { orders, given, rest } = createWorld(CHAIN);
    orders.give('stop', ['db', 'api', 'web']);
    orders.give('start', ['api']);
    expect(given).toEqual(['stop web', 'start api']);
    expect(orders.turnOf('api')).toBeNull();
    await rest('web');
    expect(given.slice(2)).toEqual(['stop db']);
  });

  test('does not wait for one that somebody has started by other means', async () => {
    const { orders, given, inside } = createWorld(CHAIN);
    orders.give('stop', ['db', 'api']);
    inside.put('api', 'running.ready', { desired: 'up' });
    inside.journal.note({ type: 'command.transition', at: 0, command: 'api', from: null, to: 'x', on: 'x' });
    await tick();
    expect(given).toEqual(['stop api', 'stop db']);
  });

  test('ends when everything is stopped anyway', async () => {
    const world = createWorld(CHAIN);
    world.orders.give('stop', ['db', 'api', 'web']);
    world.ending = true;
    await world.rest('web');
    expect(world.given).toEqual(['stop web']);
    expect(world.orders.turnOf('db')).toBeNull();
  });
});

describe('a start', () => {
  test('begins with those that are needed', () => {
    const { orders, given } = createWorld({ web: ['api'], api: ['db'], db: [] });
    orders.give('start', ['web', 'api', 'db']);
    expect(given).toEqual(['start db', 'start api', 'start web']);
  });
});

describe('a restart', () => {
  test('stops from the top and starts from the bottom; who has nothing to do with it is restarted at once', async () => {
    const { orders, given, rest } = createWorld(CHAIN);
    orders.give('restart', ['db', 'web', 'other']);
    expect(given).toEqual(['restart other', 'stop web']);
    await rest('web');
    expect(given.slice(2)).toEqual(['stop db']);
    expect(orders.turnOf('web')).toEqual({ order: 'restart', behind: [] });
    await rest('db');
    expect(given.slice(3)).toEqual(['start db', 'start web']);
    expect(orders.turnOf('web')).toBeNull();
  });

  test('runs a command of a schedule at once', () => {
    const { orders, given } = createWorld({ db: [], job: ['db'] }, { job: 'cron' });
    orders.give('restart', ['db', 'job']);
    expect(given).toEqual(['restart db', 'restart job']);
  });

  test('does not start one again that was stopped meanwhile', async () => {
    const { orders, given, rest } = createWorld(CHAIN);
    orders.give('restart', ['db', 'api']);
    await rest('api');
    orders.give('stop', ['api']);
    await rest('api');
    await rest('db');
    expect(given).toEqual(['stop api', 'stop db', 'stop api', 'start db']);
  });
});

test('a thousand orders are given bit by bit, and who waits for its own is known', async () => {
  let now = 0;
  const given: string[] = [];
  const names = Array.from({ length: 1_000 }, (_, index) => `c${index}`);
  const inside = createInside(
    {
      now: () => now,
      order(name) {
        given.push(name);
        now += 5;
      },
    },
    names,
  );
  const orders = createOrders(inside);
  orders.give('start', names);
  expect(given.length).toBeLessThan(10);
  expect(orders.turnOf('c999')).toEqual({ order: 'start', behind: [], queued: true });
  orders.give('stop', ['c500']);
  expect(orders.turnOf('c500')).toEqual({ order: 'stop', behind: [], queued: true });
  while (given.length < 1_000) await tick();
  expect(new Set(given)).toEqual(new Set(names));
  expect(given.at(-1)).toBe('c500');
  expect(orders.turnOf('c999')).toBeNull();
});

test('whatever needs whatever: nobody is stopped before whoever needs it, and in the end all are', async () => {
  // Each needs some of those in front of it: there are no cycles.
  const graphs = fc.array(fc.array(fc.nat({ max: 7 }), { maxLength: 3 }), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(graphs, fc.infiniteStream(fc.nat()), fc.boolean(), async (graph, chance, restarts) => {
      const nameOf = (index: number): string => `c${index}`;
      const requires = Object.fromEntries(
        graph.map((others, index) => [
          nameOf(index),
          [...new Set(others.filter((other) => other < index).map(nameOf))],
        ]),
      );
      const names = Object.keys(requires);
      const { orders, given, rest } = createWorld(requires);
      orders.give(restarts ? 'restart' : 'stop', names);
      const stopped = new Set<string>();
      const stopping = (): string[] =>
        given.filter((text) => text.startsWith('stop ')).map((text) => text.slice(5));
      for (let open = stopping(); open.length > 0; open = stopping().filter((name) => !stopped.has(name))) {
        for (const name of open) {
          const needing = names.filter((other) => requires[other]!.includes(name));
          expect(needing.every((other) => stopped.has(other))).toBe(true);
        }
        const next = open[chance.next().value! % open.length]!;
        stopped.add(next);
        await rest(next);
      }
      const direct = given.filter((text) => text.startsWith('restart ')).map((text) => text.slice(8));
      expect([...stopped, ...direct].sort()).toEqual([...names].sort());
      if (!restarts) return;
      const started = given.filter((text) => text.startsWith('start ')).map((text) => text.slice(6));
      expect([...started].sort()).toEqual([...stopped].sort());
      for (const [index, name] of started.entries()) {
        expect(started.slice(index).some((other) => requires[name]!.includes(other))).toBe(false);
      }
    }),
    { numRuns: 50 },
  );
});
