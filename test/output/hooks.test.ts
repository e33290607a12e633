import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Telling, Told } from '../../machines/events.ts';
import {
  createHooks,
  type Failure,
  filledIn,
  type Hook,
  MOST_WAITING,
  type Notification,
  partsOf,
} from '../../src/output/hooks.ts';
import { OCCASIONS, occasionOf } from '../../src/output/occasions.ts';

beforeEach(() => vi.useFakeTimers({ now: Date.UTC(2026, 0, 1) }));
afterEach(() => vi.useRealTimers());

const told = (telling: Telling): Told => ({ at: performance.now(), ...telling }) as Told;
const failed = (command: string, reason = 'x') => told({ type: 'command.failed', command, reason });
const ready = (command: string) => told({ type: 'command.ready', command, took: 5 });
const stopping = () => told({ type: 'supervisor.stopping', reason: 'SIGTERM', budget: 9_000 });

interface Try {
  readonly notification: Notification;
  readonly at: number;
  readonly answer: (failure: Failure | null) => void;
  ended: boolean;
}

function world(...hooks: (Partial<Hook> & { name?: string })[]) {
  const tries: Try[] = [];
  const notices: string[] = [];
  const secrets = new Set<string>();
  const start = performance.now();
  const made = createHooks<Hook>({
    deliver(_, notification, answer) {
      const one = { notification, at: performance.now() - start, answer, ended: false };
      tries.push(one);
      return () => {
        one.ended = true;
      };
    },
    host: 'box',
    redact: (text) => [...secrets].reduce((left, secret) => left.replaceAll(secret, '***'), text),
    tail: (command) => [`last of ${command}`],
    wallClock: () => new Date(),
    now: () => performance.now(),
    random: () => 0,
    notice: (message) => notices.push(message),
  });
  const hook = (given: Partial<Hook>): Hook => ({
    name: 'h',
    events: [...OCCASIONS],
    commands: null,
    retries: 0,
    interval: 0,
    ...given,
  });
  const configure = (...given: Partial<Hook>[]) => made.configure(given.map(hook));
  configure(...(hooks.length === 0 ? [{}] : hooks));
  const pass = (ms: number) => vi.advanceTimersByTime(ms);
  const last = () => tries.at(-1)!;
  const seen = () => tries.map(({ notification: { on, command, omitted } }) => `${on} ${command} ${omitted}`);
  return { ...made, configure, tries, notices, secrets, pass, last, seen };
}

test('what is sent: all of the log, and what it is to whom', () => {
  const { told: tell, pass, last } = world({});
  tell(
    told({
      type: 'command.failedStart',
      command: 'web',
      pid: 4,
      reason: 'exited',
      exit: { known: true, code: 3, signal: null, core: false },
      failures: 1,
      wait: 250,
    }),
  );
  expect(() => last().notification).toThrow();
  pass(20);
  expect(last().notification).toEqual({
    version: 1,
    id: expect.stringMatching(/^box-\w+-1$/),
    hook: 'h',
    host: 'box',
    on: 'start-failed',
    omitted: 0,
    time: '2026-01-01T00:00:00.000Z',
    command: 'web',
    group: null,
    message: 'web: cannot start: exited with status 3; failure 1, tried again in 250 ms',
    log: {
      event: 'command.failedStart',
      at: expect.any(Number),
      command: 'web',
      pid: 4,
      reason: 'exited',
      exit: { known: true, code: 3, signal: null, core: false },
      failures: 1,
      wait: 250,
      lastLines: ['last of web'],
    },
  });
});

test('secrets are not in it, whatever they look like', () => {
  const { told: tell, pass, last, secrets } = world({});
  secrets.add('250');
  tell(failed('web', 'the 250 of it'));
  pass(20);
  expect(last().notification).toMatchObject({ log: { reason: 'the *** of it' } });
});

test.each<[Telling, string | null]>([
  [{ type: 'command.launched', command: 'a', pid: 1, start: 1 }, null],
  [{ type: 'command.stopped', command: 'a', exit: null, took: 1, left: 0, idle: true }, null],
  [{ type: 'command.stopped', command: 'a', exit: null, took: 1, left: 0, idle: false }, 'stopped'],
  [{ type: 'command.completed', command: 'a', exit: null, took: 1, success: true }, 'completed'],
  [{ type: 'command.completed', command: 'a', exit: null, took: 1, success: false }, 'run-failed'],
  [{ type: 'group.failed', group: 'g', reason: 'x' }, 'group.failed'],
  [{ type: 'supervisor.stopping', reason: 'x', budget: 1 }, 'upkeep.stopping'],
  [{ type: 'upkeep.notice', command: null, level: 'warn', message: 'x' }, null],
])('%j is %s', (telling, word) => {
  expect(occasionOf(told(telling))).toBe(word);
});

describe('choosing', () => {
  test("by word, and by command or group; what is nobody's is told in any case", () => {
    const {
      told: tell,
      pass,
      tries,
    } = world({
      events: ['failed', 'group.failed', 'upkeep.stopping'],
      commands: ['web', 'shop'],
    });
    for (const one of [
      failed('web'),
      failed('db'),
      ready('web'),
      told({ type: 'group.failed', group: 'shop', reason: 'x' }),
      told({ type: 'group.failed', group: 'back', reason: 'x' }),
      stopping(),
    ]) {
      tell(one);
    }
    for (let done = 0; done < 3; done++) {
      pass(20);
      tries[done]!.answer(null);
    }
    pass(1_000);
    expect(tries.map(({ notification: { on, command, group } }) => [on, command ?? group])).toEqual([
      ['failed', 'web'],
      ['group.failed', 'shop'],
      ['upkeep.stopping', null],
    ]);
  });

  test('each hook has its own way', () => {
    const { told: tell, pass, tries } = world({ name: 'a' }, { name: 'b', events: ['ready'] });
    tell(failed('web'));
    tell(ready('web'));
    pass(20);
    expect(tries.map(({ notification }) => [notification.hook, notification.on])).toEqual([
      ['a', 'failed'],
      ['b', 'ready'],
    ]);
  });
});

describe('the queue', () => {
  test('one is on its way; the next follows its end, after the interval', () => {
    const { told: tell, pass, tries, last, seen } = world({ interval: 1_000 });
    tell(failed('web'));
    tell(failed('db'));
    pass(5_000);
    expect(tries).toHaveLength(1);
    last().answer(null);
    pass(999);
    expect(tries).toHaveLength(1);
    pass(1);
    expect(seen()).toEqual(['failed web 0', 'failed db 0']);
  });

  test('of one kind the last is kept, in its order among those of its command, and the others are counted', () => {
    const { told: tell, pass, last, seen } = world({});
    const one = failed('web');
    tell(one);
    pass(20);
    for (let n = 0; n < 1_000; n++) {
      tell(ready('web'));
      tell(failed('web', `reason ${n}`));
    }
    tell(ready('web'));
    last().answer(null);
    pass(20);
    expect(last().notification).toMatchObject({
      on: 'failed',
      omitted: 1_999,
      log: { reason: 'reason 999' },
    });
    last().answer(null);
    pass(20);
    last().answer(null);
    expect(seen()).toEqual(['failed web 0', 'failed web 1999', 'ready web 0']);
    pass(60_000);
    expect(seen()).toHaveLength(3);
  });

  test('commands take turns: one that never rests keeps nobody from being told of', () => {
    const { told: tell, pass, last, seen } = world({});
    for (const command of ['loud', 'b', 'c']) tell(failed(command));
    for (let n = 0; n < 3; n++) {
      tell(failed('loud'));
      tell(ready('loud'));
      pass(20);
      last().answer(null);
    }
    expect(seen().map((one) => one.split(' ')[1])).toEqual(['loud', 'b', 'c']);
  });

  test('it is bounded: the oldest are left out, and counted', () => {
    const { told: tell, pass, last, tries } = world({});
    tell(failed('first'));
    pass(20);
    for (let n = 0; n < 1_000; n++) tell(failed(`c${n}`));
    last().answer(null);
    pass(20);
    expect(last().notification).toMatchObject({
      command: `c${1_000 - MOST_WAITING}`,
      omitted: 1_000 - MOST_WAITING,
    });
    for (let n = 1; n < MOST_WAITING; n++) {
      last().answer(null);
      pass(20);
      expect(last().notification.omitted).toBe(0);
    }
    last().answer(null);
    pass(60_000);
    expect(tries).toHaveLength(MOST_WAITING + 1);
  });
});

describe('failures', () => {
  const down: Failure = { reason: 'x answered 500; look there', again: true };

  test('it is tried again, after 1, 2, 4 s: the same notification', () => {
    const { told: tell, pass, tries, last, notices } = world({ retries: 3 });
    tell(failed('web'));
    pass(20);
    for (const wait of [1_000, 2_000, 4_000]) {
      const before = tries.length;
      last().answer(down);
      pass(wait - 1);
      expect(tries).toHaveLength(before);
      pass(1);
      expect(tries).toHaveLength(before + 1);
    }
    expect(new Set(tries.map(({ notification }) => notification.id)).size).toBe(1);
    expect(notices).toEqual([]);
    last().answer(down);
    expect(notices).toEqual(['cannot notify h of failed of web: x answered 500; look there (tried 4 times)']);
    pass(600_000);
    expect(tries).toHaveLength(4);
  });

  test('as late as the other side asks, but a minute at most', () => {
    const { told: tell, pass, tries, last } = world({ retries: 2 });
    tell(failed('web'));
    pass(20);
    last().answer({ ...down, after: 30_000 });
    pass(29_999);
    expect(tries).toHaveLength(1);
    pass(1);
    last().answer({ ...down, after: 1e9 });
    pass(60_000);
    expect(tries).toHaveLength(3);
  });

  test('what another try would not change is not tried again, and the next is told how many there were', () => {
    const { told: tell, pass, tries, last, notices } = world({ retries: 3 });
    tell(failed('web'));
    pass(20);
    tell(failed('db'));
    tell(failed('db'));
    last().answer({ reason: 'x answered 404; look there', again: false });
    expect(notices).toHaveLength(1);
    pass(20);
    expect(tries).toHaveLength(2);
    expect(last().notification).toMatchObject({ command: 'db', omitted: 2 });
  });

  test('a hook that fails on and on is told of once a minute', () => {
    const { told: tell, pass, last, notices } = world({});
    for (let n = 0; n < 100; n++) {
      tell(failed('web'));
      pass(1_000);
      last().answer(down);
    }
    expect(notices).toEqual([
      'cannot notify h of failed of web: x answered 500; look there',
      'cannot notify h of failed of web, nor of 59 more: x answered 500; look there',
    ]);
  });
});

describe('another policy', () => {
  test('a hook of the same name keeps what waits; one that is gone is ended', () => {
    const { told: tell, pass, tries, configure } = world({ name: 'a' }, { name: 'b' });
    tell(failed('web'));
    pass(20);
    tell(failed('db'));
    configure({ name: 'b', interval: 7 }, { name: 'c' });
    expect(tries.map(({ ended }) => ended)).toEqual([true, false]);
    tries[1]!.answer(null);
    pass(20);
    expect(tries.slice(2).map(({ notification }) => [notification.hook, notification.command])).toEqual([
      ['b', 'db'],
    ]);
  });
});

describe('the end', () => {
  test('nothing waits: at once', async () => {
    const { settle, told: tell, pass, last } = world({});
    await settle(1_000);
    const other = world({});
    other.told(failed('web'));
    other.pass(20);
    other.last().answer(null);
    await other.settle(1_000);
    tell(failed('web'));
    pass(1_000);
    expect(() => last().notification).toThrow();
  });

  test('what waits is sent without a pause, and then it is over', async () => {
    const { settle, told: tell, pass, last, seen, notices } = world({ interval: 60_000 });
    tell(failed('web'));
    pass(20);
    last().answer(null);
    tell(failed('db'));
    tell(stopping());
    const over = settle(1_000);
    pass(0);
    last().answer(null);
    pass(0);
    last().answer(null);
    await over;
    expect(seen()).toHaveLength(3);
    expect(notices).toEqual([]);
  });

  test('no longer than it is given: what is on its way is ended, and what was not told is', async () => {
    const { settle, told: tell, pass, last, notices } = world({});
    tell(failed('web'));
    pass(20);
    tell(failed('db'));
    const over = settle(500);
    pass(500);
    await over;
    expect(last().ended).toBe(true);
    expect(notices).toEqual(['h was not notified of 2 events: there is no time left']);
    expect(vi.getTimerCount()).toBe(0);
  });
});

test('a body is filled in', () => {
  const notification = {
    on: 'failed',
    command: 'web',
    group: null,
    message: 'web: "$&" {host}',
    host: 'box',
    hook: 'h',
    time: 't',
    omitted: 2,
  } as Notification;
  const parts = partsOf(notification);
  expect(parts).toEqual({
    event: 'failed',
    command: 'web',
    group: '',
    message: 'web: "$&" {host}',
    host: 'box',
    hook: 'h',
    time: 't',
    omitted: '2',
  });
  expect(
    filledIn({ text: '{host}: {message}', a: [{ b: '{command}{group}' }, 7, null], c: '{}' }, parts),
  ).toEqual({
    text: 'box: web: "$&" {host}',
    a: [{ b: 'web' }, 7, null],
    c: '{}',
  });
});
