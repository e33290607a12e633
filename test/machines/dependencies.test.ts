/** How far commands have come, and what keeps others from being started. */
import { describe, expect, test } from 'vitest';
import {
  explain,
  givenUp,
  isAtRest,
  type ReachedBook,
  reachedNow,
  unmet,
} from '../../machines/dependencies.ts';
import type { CommandReached, CommandRested } from '../../machines/events.ts';
import { status } from './harness.ts';
import { command, oneshot } from './supervisor-world.ts';

const reached = (name: string, what: CommandReached['what']): CommandReached => ({
  type: 'command.reached',
  at: 1,
  command: name,
  what,
});
const rested = (name: string, state: CommandRested['state']): CommandRested => ({
  type: 'command.rested',
  at: 1,
  command: name,
  state,
  left: 0,
  exit: status(3),
});
const bookOf = (...events: (CommandReached | CommandRested)[]): ReachedBook =>
  events.reduce<ReachedBook>((book, event) => reachedNow(book, event), {});

describe('the book', () => {
  test('what each event makes of it', () => {
    const entry = (...events: (CommandReached | CommandRested)[]) => bookOf(...events).x;
    expect(entry(reached('x', 'waiting'))).toEqual({ state: 'down', tried: false, exit: null });
    expect(entry(reached('x', 'started'))).toEqual({ state: 'started', tried: true, exit: null });
    expect(entry(reached('x', 'ready'))).toEqual({ state: 'ready', tried: true, exit: null });
    expect(entry(reached('x', 'ready'), reached('x', 'died'))).toEqual({
      state: 'down',
      tried: true,
      exit: null,
    });
    expect(entry(reached('x', 'fallen'))).toEqual({ state: 'down', tried: true, exit: null });
    expect(entry(reached('x', 'halted'))).toEqual({ state: 'down', tried: false, exit: null });
    expect(entry(reached('x', 'started'), reached('x', 'halted'))).toMatchObject({
      state: 'down',
      tried: true,
    });
    expect(entry(rested('x', 'failed'))).toEqual({ state: 'failed', tried: true, exit: status(3) });
    expect(entry(rested('x', 'failed'), reached('x', 'begun'))).toEqual({
      state: 'down',
      tried: false,
      exit: status(3),
    });
  });

  test('names that every object has are names like others', () => {
    const names = ['__proto__', 'constructor', 'toString'];
    const book = bookOf(...names.map((name) => reached(name, 'started')));
    expect(Object.keys(book).sort()).toEqual([...names].sort());
    expect(Object.getOwnPropertyDescriptor(book, '__proto__')!.value.state).toBe('started');
    const plans = { ...{}, constructor: command('constructor') };
    expect(unmet(command('x', { after: ['toString'] }), plans, {})).toEqual([]);
    expect(unmet(command('x', { after: ['constructor'] }), plans, {})).toHaveLength(1);
  });

  test('at rest is who has rested, and was not begun since', () => {
    for (const state of ['stopped', 'completed', 'failed'] as const) {
      expect(isAtRest(bookOf(rested('x', state)).x)).toBe(true);
      expect(isAtRest(bookOf(rested('x', state), reached('x', 'begun')).x)).toBe(false);
    }
    const held = { x: { state: 'held', tried: true, exit: null } } as const;
    for (const book of [
      {},
      held,
      bookOf(reached('x', 'ready')),
      bookOf(reached('x', 'died')),
    ] as ReachedBook[]) {
      expect(isAtRest(book.x)).toBe(false);
    }
  });

  test('a group that gives up: whom it has stopped has failed', () => {
    const book = { ...bookOf(rested('a', 'stopped'), reached('b', 'ready'), rested('c', 'completed')) };
    const held = { ...book, d: { state: 'held', tried: true, exit: status(1) } } as const;
    expect(
      givenUp(
        held,
        ['a', 'b', 'c', 'd', 'e'].map((name) => command(name)),
      ),
    ).toEqual({
      ...book,
      d: { state: 'failed', tried: true, exit: status(1) },
    });
  });
});

describe('requires', () => {
  const events: Record<string, (CommandReached | CommandRested)[]> = {
    nothing: [],
    waiting: [reached('x', 'waiting')],
    started: [reached('x', 'started')],
    ready: [reached('x', 'started'), reached('x', 'ready')],
    died: [reached('x', 'ready'), reached('x', 'died')],
    fallen: [reached('x', 'fallen')],
    stopped: [rested('x', 'stopped')],
    failed: [rested('x', 'failed')],
    completed: [rested('x', 'completed')],
    begun: [rested('x', 'completed'), reached('x', 'begun')],
  };
  test.each([
    ['started', ['started', 'ready', 'completed']],
    ['ready', ['ready', 'completed']],
    ['completed', ['completed']],
  ] as const)('%s is met by %s alone', (milestone, by) => {
    const plan = command('y', { requires: { x: milestone } });
    for (const [state, seen] of Object.entries(events)) {
      const missing = unmet(plan, { x: command('x'), y: plan }, bookOf(...seen));
      expect(missing, state).toEqual(
        (by as readonly string[]).includes(state) ? [] : [{ command: 'x', milestone }],
      );
    }
    expect(unmet(plan, { y: plan }, {}), 'whom nobody knows, nobody awaits').toEqual([]);
  });

  test('after: tried, or at rest; what runs to its end has to be over', () => {
    const plan = command('y', { after: ['x'] });
    const met = (x: ReturnType<typeof command>): string[] =>
      Object.keys(events).filter(
        (state) => unmet(plan, { x, y: plan }, bookOf(...events[state]!)).length === 0,
      );
    const rests = ['stopped', 'failed', 'completed'];
    expect(met(command('x')).sort()).toEqual([...rests, 'started', 'ready', 'died', 'fallen'].sort());
    expect(met(oneshot('x')).sort()).toEqual([...rests].sort());
    expect(met(command('x', { policy: { kind: 'cron' } }))).toEqual(Object.keys(events));
    const held = { x: { state: 'held', tried: true, exit: null } } as const;
    expect(unmet(plan, { x: command('x') }, held), 'its group has it in hand').toHaveLength(1);
  });

  test('all at once, each explained', () => {
    const plan = command('y', { requires: { a: 'ready', b: 'completed' }, after: ['c', 'd'] });
    const plans = { a: command('a'), b: oneshot('b'), c: command('c'), d: command('d') };
    const book = bookOf(rested('b', 'failed'), rested('a', 'stopped'), reached('c', 'started'));
    const missing = unmet(plan, plans, book);
    expect(missing.map((each) => explain(each, book))).toEqual([
      'a: ready (it is stopped)',
      'b: completed (it is failed)',
      'd: its start',
    ]);
  });
});
