import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createJournal, type Happening, type Journal } from '../../src/output/journal.ts';

const KEPT = 1_024;
const notice = (at: number): Happening => ({
  type: 'upkeep.notice',
  at,
  command: null,
  level: 'info',
  message: `number ${at}`,
});
const transition = (command: string, to: string): Happening => ({
  type: 'command.transition',
  at: 0,
  command,
  from: null,
  to,
  on: 'begin',
});

function filled(count: number): Journal {
  const journal = createJournal({ wallClock: () => 5 });
  for (let number = 1; number <= count; number++) journal.note(notice(number));
  return journal;
}

describe('what came behind a number', () => {
  test('is what a plain array would say, and what of it is gone is counted', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 3 * KEPT }),
        fc.nat({ max: 3 * KEPT + 5 }),
        fc.integer({ min: 1, max: 2 * KEPT }),
        (count, since, most) => {
          const array = Array.from({ length: count }, (_, index) => index + 1);
          const behind = array.slice(since);
          const kept = behind.filter((number) => number > count - KEPT);
          const { entries, gone } = filled(count).since(since, most);
          expect(entries.map(({ number }) => number)).toEqual(kept.slice(0, most));
          expect(entries.every(({ number, what }) => what.at === number)).toBe(true);
          expect(gone).toBe(behind.length - kept.length);
        },
      ),
    );
  });

  test('of all that is gone says how many', () => {
    const journal = filled(2 * KEPT);
    expect(journal.last()).toBe(2 * KEPT);
    expect(journal.since(KEPT)).toMatchObject({ gone: 0 });
    expect(journal.since(KEPT - 1)).toMatchObject({ gone: 1 });
    expect(journal.since(0).entries).toHaveLength(KEPT);
  });
});

test('of each command the last sixteen transitions and four orders are kept, whatever else happens', () => {
  const journal = createJournal();
  for (let count = 0; count < 20; count++) journal.note(transition('web', String(count)));
  for (const order of ['start', 'stop', 'start', 'stop', 'restart']) {
    journal.note({ type: 'operator.ordered', at: 0, order, commands: ['web', 'db'] });
  }
  for (let number = 0; number < 2 * KEPT; number++) journal.note(notice(number));
  const states = journal.transitionsOf('web').map(({ what }) => 'to' in what && what.to);
  expect(states).toEqual(Array.from({ length: 16 }, (_, index) => String(index + 4)));
  const orders = journal.ordersOf('db').map(({ what }) => 'order' in what && what.order);
  expect(orders).toEqual(['stop', 'start', 'stop', 'restart']);
  expect(journal.ordersOf('other')).toEqual([]);
  journal.forget('web');
  expect([journal.transitionsOf('web'), journal.ordersOf('web')]).toEqual([[], []]);
  expect(journal.ordersOf('db')).toHaveLength(4);
});

test('who follows is woken at each entry, until it ends that', () => {
  const journal = createJournal();
  let woken = 0;
  const end = journal.follow(() => woken++);
  journal.note(notice(1));
  journal.note(notice(2));
  end();
  journal.note(notice(3));
  expect(woken).toBe(2);
});

test('runs that were left out are counted from the last launch on, of each command', () => {
  const journal = createJournal();
  const due = (command: string, next: 'skip' | 'queue' | 'kill' = 'skip'): void =>
    journal.note({ type: 'command.overlapped', at: 0, command, next });
  const launch = (command: string): void =>
    journal.note({ type: 'command.launched', at: 0, command, pid: 5, start: 1 });
  expect(journal.leftOutOf('a')).toBe(0);
  launch('a');
  due('a');
  due('b');
  due('a', 'queue');
  due('a', 'kill');
  due('a');
  expect([journal.leftOutOf('a'), journal.leftOutOf('b')]).toEqual([2, 1]);
  // More than are kept have happened since.
  for (let count = 0; count < 2 * KEPT; count++) journal.note(notice(count));
  expect(journal.leftOutOf('a')).toBe(2);
  launch('a');
  expect([journal.leftOutOf('a'), journal.leftOutOf('b')]).toEqual([0, 1]);
  journal.forget('b');
  expect(journal.leftOutOf('b')).toBe(0);
});

test('the last wish of each command is kept, whatever else is ordered', () => {
  const journal = createJournal({ wallClock: () => 5 });
  const order = (what: string, command: string): void =>
    journal.note({ type: 'operator.ordered', at: 0, order: what, commands: [command] });
  expect(journal.wishOf('web')).toBeNull();
  order('start', 'web');
  order('stop', 'web');
  order('restart', 'db');
  for (let count = 0; count < 2 * KEPT; count++) order('signal SIGHUP', 'web');
  expect(journal.wishOf('web')).toMatchObject({ number: 2, what: { order: 'stop' } });
  expect(journal.wishOf('db')).toMatchObject({ what: { order: 'restart' } });
  journal.forget('web');
  expect(journal.wishOf('web')).toBeNull();
});

test('of each group it is kept when it gave up last, of the last thousand that have', () => {
  const journal = createJournal();
  const fail = (group: string, reason: string): void =>
    journal.note({ type: 'group.failed', at: 0, group, reason });
  fail('a', 'first');
  fail('b', 'its own');
  fail('a', 'second');
  expect(journal.failureOf('a')).toMatchObject({ what: { reason: 'second' } });
  for (let count = 0; count < 1_023; count++) fail(`g${count}`, '');
  expect(journal.failureOf('b')).toBeNull();
  expect(journal.failureOf('a')).not.toBeNull();
});
