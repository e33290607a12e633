import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Exit, Leader, Remains, Told } from '../../machines/events.ts';
import { createCrashes, type Findings } from '../../src/output/crash.ts';

const NONE: Remains = { workers: 0, tagged: 0, sessions: 0 };
const WORKERS: Remains = { workers: 2, tagged: 2, sessions: 0 };
const exited = (code: number): Exit => ({ known: true, code, signal: null, core: false });
const segfault: Exit = { known: true, code: null, signal: 'SIGSEGV', core: true };
const command = 'web';
const leader: Leader = { pid: 42, startTicks: 7, name: 'web', rule: 'launcher', since: 100 };

const launched = (at: number, pid = 42): Told => ({ type: 'command.launched', at, command, pid, start: 1 });
const running = (at: number, pid = 42, how: 'started' | 'adopted' = 'started'): Told => ({
  type: 'command.running',
  at,
  command,
  leader: { ...leader, pid },
  how,
  took: null,
});
const died = (at: number, more: Partial<Extract<Told, { type: 'command.died' }>> = {}): Told => ({
  type: 'command.died',
  at,
  command,
  id: { pid: 42, startTicks: 7 },
  exit: exited(3),
  uptime: 900,
  restart: 1,
  wait: 0,
  remains: NONE,
  ...more,
});
const failedStart = (
  at: number,
  more: Partial<Extract<Told, { type: 'command.failedStart' }>> = {},
): Told => ({
  type: 'command.failedStart',
  at,
  command,
  pid: 42,
  reason: 'exited',
  exit: exited(3),
  failures: 1,
  wait: 250,
  ...more,
});
const unhealthy = (at: number, next: 'restart' | 'ignore' | 'fail'): Told => ({
  type: 'command.unhealthy',
  at,
  command,
  reason: 'no answer',
  next,
});
const stopped = (at: number, exit: Exit | null): Told => ({
  type: 'command.stopped',
  at,
  command,
  exit,
  took: 5,
  left: 0,
  idle: false,
});

function world(findings: Findings = { oom: false, peak: 4096 }) {
  const asked: unknown[] = [];
  const lines = ['out of luck'];
  const crashes = createCrashes({
    examine: (...of) => {
      asked.push(of);
      return findings;
    },
    tail: () => [...lines],
    wallClock: () => new Date('2026-03-04T12:00:00.000Z'),
  });
  const hear = (...told: Told[]) => told.map(crashes.hear).at(-1);
  return { crashes, hear, asked, lines };
}

describe('a record', () => {
  test('of a death has all that is known of it', () => {
    const { crashes, hear, asked } = world({ oom: true, peak: 512 });
    const found = hear(
      launched(100),
      running(200),
      died(1000, { exit: segfault, wait: 2000, remains: WORKERS }),
    );
    expect(found).toMatchObject({ type: 'command.died', at: 1000, wait: 2000, oom: true, peak: 512 });
    expect(asked).toEqual([['web', 42, segfault]]);
    expect(crashes.of('web')).toEqual([
      {
        number: 1,
        time: '2026-03-04T12:00:00.000Z',
        at: 1000,
        event: 'command.died',
        pid: 42,
        exit: segfault,
        oom: true,
        peak: 512,
        uptime: 900,
        reason: null,
        restart: 1,
        failures: 0,
        wait: 2000,
        remains: WORKERS,
        gaveUp: null,
        lastLines: ['out of luck'],
      },
    ]);
  });

  test('of a failed start says how long it took, and how often in a row', () => {
    const { crashes, hear } = world();
    hear(launched(100), failedStart(160, { failures: 4, reason: 'left no process' }));
    expect(crashes.of('web')).toMatchObject([
      {
        event: 'command.failedStart',
        pid: 42,
        uptime: 60,
        failures: 4,
        restart: 0,
        reason: 'left no process',
        remains: null,
      },
    ]);
  });

  test('of what could not be launched has no process and no time', () => {
    const { crashes, hear } = world();
    // What ran before does not count for it.
    hear(launched(100), running(200), died(1000));
    hear(failedStart(1010, { pid: null, exit: null, reason: 'cannot run web: there is no such program' }));
    expect(crashes.of('web').at(-1)).toMatchObject({
      number: 2,
      pid: null,
      exit: null,
      uptime: null,
      restart: 1,
    });
  });

  test('neither does what was stopped or has completed', () => {
    for (const end of [
      stopped(900, null),
      { type: 'command.completed', at: 900, command, exit: null, success: true, took: 1 } satisfies Told,
    ]) {
      const { crashes, hear } = world();
      hear(launched(100), running(200), end, failedStart(1000, { pid: null, exit: null }));
      expect(crashes.of('web')).toMatchObject([{ uptime: null }]);
    }
  });

  test('of an adopted process knows since when it runs', () => {
    const { crashes, hear } = world();
    hear(running(5000, 42, 'adopted'), unhealthy(6000, 'restart'));
    expect(crashes.of('web')).toMatchObject([{ uptime: 5900 }]);
  });

  test('says what it gave up for, when it did', () => {
    const { crashes, hear } = world();
    hear(died(1000, { wait: null }), {
      type: 'command.failed',
      at: 1001,
      command,
      reason: 'it exited with status 3',
    });
    expect(crashes.of('web')).toMatchObject([{ number: 1, wait: null, gaveUp: 'it exited with status 3' }]);
    const nobody = world();
    nobody.hear({ type: 'command.failed', at: 1, command, reason: 'x' });
    expect(nobody.crashes.of('web')).toEqual([]);
  });

  test('of an unhealthy service is completed when it has been stopped', () => {
    const { crashes, hear } = world();
    hear(launched(100), running(200, 43), unhealthy(1100, 'restart'));
    expect(crashes.of('web')).toMatchObject([
      {
        event: 'command.unhealthy',
        pid: 43,
        exit: null,
        uptime: 1000,
        reason: 'no answer',
        restart: 1,
        wait: null,
      },
    ]);
    hear(stopped(1200, segfault), { type: 'command.failed', at: 1300, command, reason: 'it is unhealthy' });
    expect(crashes.of('web')).toMatchObject([{ exit: segfault, peak: 4096, gaveUp: 'it is unhealthy' }]);
    hear(died(2000, { restart: 2 }));
    expect(crashes.of('web').map(({ restart }) => restart)).toEqual([1, 2]);
  });

  test('so is that of one that was not ready in time', () => {
    const { crashes, hear } = world();
    hear(launched(100), running(200), failedStart(700, { exit: null, reason: 'it was not ready in time' }));
    hear(stopped(900, exited(0)));
    expect(crashes.of('web')).toMatchObject([{ exit: exited(0), uptime: 600 }]);
  });

  test('a stop by order, and what is only told of, leave none', () => {
    const { crashes, hear } = world();
    expect(hear(launched(1), running(2), unhealthy(3, 'ignore'), stopped(4, exited(0)))).toEqual(
      stopped(4, exited(0)),
    );
    expect(crashes.of('web')).toEqual([]);
    hear(died(5));
    hear(stopped(6, exited(9)));
    expect(crashes.of('web')).toMatchObject([{ exit: exited(3) }]);
  });

  test('a launch after one that was not stopped leaves it as it is', () => {
    const { crashes, hear } = world();
    hear(running(1), unhealthy(2, 'restart'), launched(3), running(4), stopped(5, exited(9)));
    expect(crashes.of('web')).toMatchObject([{ exit: null }]);
  });
});

test('each command has its own, and a removed one none', () => {
  const { crashes, hear } = world();
  hear(died(1), { ...died(2), command: 'db' } as Told);
  expect(crashes.of('db')).toHaveLength(1);
  crashes.forget('web');
  expect(crashes.of('web')).toEqual([]);
  hear(died(3));
  expect(crashes.of('web')).toMatchObject([{ number: 1, at: 3 }]);
  expect(crashes.of('nobody')).toEqual([]);
});

test('what was handed out does not change', () => {
  const { crashes, hear } = world();
  hear(unhealthy(1, 'restart'));
  const before = crashes.of('web');
  const text = JSON.stringify(before);
  hear(stopped(2, exited(1)), died(3), { type: 'command.failed', at: 4, command, reason: 'x' });
  expect(JSON.stringify(before)).toBe(text);
});

test('the last ten are kept, the last death among them, the oldest first, each with its number, whatever happens', () => {
  const event = fc.constantFrom(
    (at: number) => launched(at),
    (at: number) => running(at),
    (at: number) => died(at),
    (at: number) => failedStart(at),
    (at: number) => failedStart(at, { exit: null }),
    (at: number) => unhealthy(at, 'restart'),
    (at: number) => unhealthy(at, 'ignore'),
    (at: number) => stopped(at, exited(0)),
    (at: number): Told => ({ type: 'command.failed', at, command, reason: 'x' }),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const { crashes } = world();
      const told = events.map((make, at) => make(at));
      for (const one of told) crashes.hear(one);
      const due = told.filter(
        ({ type, ...more }) =>
          type === 'command.died' ||
          type === 'command.failedStart' ||
          (type === 'command.unhealthy' && (more as { next?: string }).next !== 'ignore'),
      );
      const kept = crashes.of('web');
      const numbered = due.map(({ type, at }, index) => ({ type, at, number: index + 1 }));
      const death = numbered.findLast(({ type }) => type !== 'command.failedStart');
      const last = numbered.slice(-10);
      const expected = death === undefined || last.includes(death) ? last : [death, ...last.slice(1)];
      expect(kept.map(({ at, number }) => ({ at, number }))).toEqual(
        expected.map(({ at, number }) => ({ at, number })),
      );
      // As it is, it can be sent.
      expect(JSON.parse(JSON.stringify(kept))).toEqual(kept);
    }),
  );
});
