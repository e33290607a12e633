import { describe, expect, test } from 'vitest';
import type { CommandContext } from '../../machines/command-books.ts';
import { DEFAULT_POLICY } from '../../machines/restart-policy.ts';
import { healthOf } from '../../src/control/health.ts';
import { outcome, progressOf } from '../../src/control/outcome.ts';
import { whyText } from '../../src/control/show.ts';
import { briefOf, type CommandStatus, statusOf, wordOf } from '../../src/control/status.ts';
import { statusTable } from '../../src/control/table.ts';
import { whyOf } from '../../src/control/why.ts';
import type { CrashReport } from '../../src/output/crash.ts';
import { createInside, type PaperInside } from './inside.ts';

const READY = { timeout: 1_000, interval: 100 };
const HEALTH = {
  every: 1_000,
  timeout: 100,
  failures: 3,
  successes: 1,
  grace: 0,
  onUnhealthy: 'ignore',
} as const;
const LEADER = { pid: 17, startTicks: 1, name: 'web', rule: 'tag', since: 40_000 } as const;
const EXITED = { known: true, code: 3, signal: null, core: false };

/** Killed by the kernel after a minute. */
const CRASH: CrashReport = {
  number: 3,
  time: '2026-11-24T20:00:00.000Z',
  at: 1_000,
  event: 'command.died',
  pid: 16,
  exit: { known: true, code: null, signal: 'SIGKILL', core: false },
  oom: true,
  peak: 167 * 2 ** 20,
  uptime: 60_000,
  reason: null,
  restart: 3,
  failures: 0,
  wait: 2_000,
  remains: null,
  gaveUp: null,
  lastLines: ['allocating', '\x1b[31mmore'],
};

/** What is told of one command in a state; the time is 100,000, and it came into the state at 90,000. */
function of(
  state: string,
  change: Partial<CommandContext> = {},
  inside: PaperInside = createInside({}, ['web']),
): CommandStatus {
  inside.put('web', state, change);
  const [whole] = statusOf(inside, ['web']).commands;
  const [brief] = briefOf(inside, ['web']).commands;
  expect(whole).toMatchObject(brief!);
  return whole!;
}

const policy = (change: object): Partial<CommandContext> => ({ policy: { ...DEFAULT_POLICY, ...change } });
const stop = (change: object): CommandContext['stop'] => ({
  ...createInside().viewOf('web')!.context.stop,
  ...change,
});

describe('each state', () => {
  test.each<[string, Partial<CommandContext>, Partial<CommandStatus>, string]>([
    [
      'running.ready',
      { leader: LEADER },
      { asWished: true, detail: null, ready: null, healthy: null, next: null },
      'running',
    ],
    [
      'running.ready',
      { ...policy({ ready: READY }), isReady: true },
      { asWished: true, ready: true },
      'ready',
    ],
    [
      'running.starting',
      policy({ ready: READY }),
      { asWished: false, ready: false, next: expect.objectContaining({ what: 'probe' }) },
      'not ready',
    ],
    [
      'running.ready',
      { ...policy({ health: HEALTH }), health: { healthy: false, inARow: 0 } },
      { asWished: false, healthy: false, detail: 'unhealthy' },
      'unhealthy',
    ],
    [
      'running.ending',
      { ...policy({ ready: READY }), isReady: true, said: 'flushing' },
      {
        asWished: false,
        ready: false,
        detail: 'ending',
        said: 'flushing',
        next: { what: 'kill', in: null, text: 'it has to end' },
      },
      'ending',
    ],
    ['missing', {}, { asWished: false, detail: null, next: null }, 'missing'],
    [
      'backoff',
      { wait: 17_200, failures: 3, lastExit: EXITED },
      { asWished: false, next: { what: 'retry', in: 7_200, text: 'retry 4' }, lastSuccess: false },
      'backoff',
    ],
    [
      'backoff',
      { wait: 1, failures: 0, lastExit: { ...EXITED, code: 0 } },
      { next: { what: 'retry', in: 0, text: 'retry 1' }, lastSuccess: true },
      'backoff',
    ],
    [
      'restarting.settling',
      {},
      { asWished: false, detail: 'settling', next: expect.objectContaining({ what: 'settle', in: null }) },
      'restarting',
    ],
    ['restarting.launching', {}, { asWished: false, next: null }, 'restarting'],
    [
      'stopping.terminating',
      { desired: 'down', stop: stop({ at: 90_000, budget: 20_000 }) },
      { asWished: false, next: { what: 'kill', in: 9_500, text: 'SIGKILL' } },
      'stopping',
    ],
    ['stopping.killing', { desired: 'down' }, { asWished: false, next: null }, 'stopping'],
    ['stopped', { desired: 'down', stop: stop({ left: 2 }) }, { asWished: true, left: 2 }, 'stopped'],
    ['stopped', { desired: 'up' }, { asWished: false }, 'stopped'],
    ['completed.done', policy({ kind: 'oneshot' }), { asWished: true, detail: null }, 'completed'],
    [
      'scheduled',
      { ...policy({ kind: 'cron' }), nextRun: 160_000 },
      { asWished: true, kind: 'cron', next: { what: 'run', in: 60_000, text: 'next run' } },
      'scheduled',
    ],
    [
      'scheduled',
      policy({ kind: 'cron' }),
      { next: { what: 'run', in: null, text: 'next run' } },
      'scheduled',
    ],
    ['failed.ended', { reason: 'it has died' }, { asWished: false, detail: null, next: null }, 'failed'],
    [
      'running.ready',
      { ...policy({ health: HEALTH }), health: { healthy: false, inARow: 0 } },
      { next: { what: 'probe', in: 0, text: 'next health probe' }, unhealthySince: null, reason: null },
      'unhealthy',
    ],
    [
      'waiting',
      {},
      { asWished: false, next: { what: 'release', in: null, text: 'waiting for its group' } },
      'waiting',
    ],
  ])('%s %o', (state, context, expected, word) => {
    const found = of(state, context);
    expect(found).toMatchObject({ name: 'web', for: 10_000, since: '2023-11-14T22:13:10.000Z', ...expected });
    expect(wordOf(found)).toBe(word);
  });

  test('who waits says for whom, and whether that may come by itself', () => {
    const waiting = (comes: boolean) =>
      of(
        'waiting',
        {},
        createInside({ waitingFor: () => [{ command: 'db', text: 'db: ready', comes }] }, ['web']),
      );
    expect(waiting(true)).toMatchObject({
      waitingFor: ['db: ready'],
      next: { what: 'release', text: 'waiting for db: ready' },
    });
    expect(waiting(false).next).toMatchObject({ what: 'order' });
  });

  test('the leader has lived as long as it says', () => {
    expect(of('running.ready', { leader: LEADER }).leader).toEqual({
      pid: 17,
      name: 'web',
      rule: 'tag',
      uptime: 60_000,
    });
  });

  test('who is told of is asked for, and is there', () => {
    const inside = createInside({}, ['a', 'b']);
    expect(statusOf(inside, null).commands.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(statusOf(inside, ['b', 'none']).commands.map(({ name }) => name)).toEqual(['b']);
  });
});

describe('whether the kernel has ended it', () => {
  const exit = CRASH.exit!;
  test.each<[string, Partial<CommandContext>, Partial<CrashReport>, boolean | null]>([
    ['of this end it is known', { lastExit: exit }, {}, true],
    ['of this end it is known not to be', { lastExit: exit }, { oom: false }, false],
    ['of this end nobody knows', { lastExit: exit }, { oom: null }, null],
    ['another end, that looks the same', { lastExit: { ...exit } }, {}, null],
    ['nothing has ended', {}, { exit: null }, null],
  ])('%s', (_, context, report, expected) => {
    const inside = createInside({}, ['web']);
    inside.crashes.push({ ...CRASH, ...report });
    expect(of('running.ready', context, inside).lastOom).toBe(expected);
  });
});

describe('a schedule whose run goes on', () => {
  const cron = { ...policy({ kind: 'cron' }), nextRun: 122_000 };
  const leaveOut = (inside: PaperInside): void =>
    inside.journal.note({ type: 'command.overlapped', at: 1, command: 'web', next: 'skip' });

  test('says when the next one is due, and how many were left out', () => {
    const inside = createInside({}, ['web']);
    const next = { what: 'run', in: 22_000, text: 'due again' };
    expect(of('running.ready', cron, inside)).toMatchObject({ leftOut: 0, next });
    leaveOut(inside);
    leaveOut(inside);
    expect(of('running.ready', cron, inside)).toMatchObject({ leftOut: 2, asWished: true, next });
  });

  test('which has no further time says nothing of it', () => {
    expect(of('running.ready', { ...cron, nextRun: null }).next).toBeNull();
  });
});

describe('health', () => {
  const healthWith = (
    which: 'ready' | 'live',
    states: Readonly<Record<string, readonly [string, Partial<CommandContext>?]>>,
    isEnding = false,
  ) => {
    const inside = createInside({ isEnding: () => isEnding }, Object.keys(states));
    for (const [name, [state, context]] of Object.entries(states)) inside.put(name, state, context);
    return healthOf(statusOf(inside, null), which);
  };

  test.each([
    ['starting', { a: ['running.ready'], b: ['restarting.settling', { starts: 1 }] }, false, true],
    ['starting', { a: ['waiting'] }, false, true],
    ['ready', { a: ['running.ready'], b: ['stopped', { desired: 'down' }] }, true, true],
    ['degraded', { a: ['backoff', { failures: 1, starts: 1 }] }, false, true],
    ['degraded', { a: ['restarting.launching', { restarts: 1, starts: 1 }] }, false, true],
    ['degraded', { a: ['stopping.terminating', { desired: 'down' }] }, false, true],
    ['failed', { a: ['failed.ended'], b: ['backoff', { failures: 1 }] }, false, false],
  ] as const)('%s: %o', (state, states, ready, live) => {
    expect(healthWith('ready', states)).toMatchObject({ state, ok: ready });
    expect(healthWith('live', states)).toMatchObject({ state, ok: live });
  });

  test('an unhealthy one is called so, and not ready', () => {
    const { text, state } = healthWith('ready', {
      web: [
        'running.ready',
        { ...policy({ health: HEALTH }), health: { healthy: false, inARow: 0 }, isReady: true },
      ],
    });
    expect([state, text]).toEqual(['degraded', 'degraded: web is unhealthy']);
  });

  test('one that waits for its next try is called so', () => {
    const { text } = healthWith('ready', { web: ['backoff', { failures: 1 }] });
    expect(text).toBe('degraded: web is in backoff');
  });

  test('while everything is being stopped nothing is well', () => {
    const text = 'ready: everything is being stopped';
    for (const which of ['ready', 'live'] as const) {
      expect(healthWith(which, { a: ['running.ready'] }, true)).toMatchObject({ ok: false, text });
    }
  });
});

describe('what an order has come to', () => {
  const [scheduled, completed, running, down] = [
    { kind: 'cron', state: 'scheduled' },
    { state: 'completed' },
    { state: 'running', asWished: true },
    { desired: 'down', asWished: true },
  ] as const;
  const hopeless = {
    state: 'waiting',
    waitingFor: ['db: ready (it is stopped)'],
    next: { what: 'order', in: null, text: '' },
  } as const;
  test.each<[Parameters<typeof outcome>[0], Partial<CommandStatus>, Partial<CommandStatus>, unknown]>([
    ['stop', {}, { ...down, state: 'stopping' }, null],
    ['stop', {}, { ...down, state: 'stopped' }, { ok: true, text: 'stopped' }],
    ['stop', {}, { ...down, state: 'stopped', left: 1 }, { ok: false, text: /1 process of it/ }],
    ['stop', {}, { state: 'running', ordered: 'stop' }, null],
    ['stop', {}, running, { ok: false, text: /has started it/ }],
    ['start', {}, { state: 'restarting' }, null],
    ['start', {}, running, { ok: true, text: 'running: pid ?' }],
    ['start', {}, { ...running, ready: true }, { ok: true, text: 'running: pid ?, ready' }],
    ['start', {}, { state: 'running', asWished: false }, null],
    ['start', {}, { ...running, kind: 'oneshot' }, null],
    ['start', {}, { ...down, state: 'stopped' }, { ok: false, text: /has stopped it/ }],
    ['start', {}, { state: 'failed', reason: 'no such file' }, { ok: false, text: /for good: no such file/ }],
    [
      'start',
      {},
      { state: 'failed', reason: 'exited', lastExit: EXITED },
      { ok: false, text: 'it has failed for good: exited with status 3' },
    ],
    ['start', {}, { state: 'failed' }, { ok: false, text: 'it has failed for good' }],
    ['start', {}, { state: 'stopped' }, null],
    [
      'start',
      {},
      {
        state: 'stopped',
        reason: 'group g gave up: a died',
        gaveUp: { group: 'g', reason: 'a died', time: null },
      },
      { ok: false, text: 'group g gave up: a died' },
    ],
    ['start', {}, { state: 'waiting' }, null],
    ['start', {}, hopeless, { ok: false, text: /waits for db: ready \(it is stopped\).*upkeep start db$/ }],
    ['start', completed, completed, null],
    ['start', completed, { ...completed, starts: 2 }, { ok: true, text: 'completed' }],
    ['start', running, completed, { ok: true, text: 'completed' }],
    ['start', scheduled, scheduled, null],
    ['start', { kind: 'cron', state: 'stopped' }, scheduled, { ok: true, text: 'scheduled' }],
    [
      'start',
      scheduled,
      { ...scheduled, starts: 2, lastExit: EXITED, lastSuccess: false },
      { ok: false, text: 'its run exited with status 3' },
    ],
    [
      'start',
      scheduled,
      { ...scheduled, starts: 2, lastExit: { ...EXITED, code: 0 }, lastSuccess: true },
      { ok: true, text: 'its run exited with status 0' },
    ],
    ['restart', running, running, null],
    ['restart', running, { ...running, starts: 2 }, { ok: true, text: 'running: pid ?' }],
    ['restart', running, { ...down, state: 'stopped', ordered: 'restart' }, null],
    ['restart', running, { ...down, state: 'stopped' }, { ok: false, text: /has stopped it/ }],
    ['restart', completed, completed, null],
  ])('%s: %o → %o', (verb, before, now, expected) => {
    const plain = { ...of('running.ready'), asWished: false, starts: 1 };
    const found = outcome(verb, { ...plain, ...before }, { ...plain, ...now });
    if (expected === null) return expect(found).toBeNull();
    const { ok, text } = expected as { ok: boolean; text: string | RegExp };
    expect(found).toEqual({
      ok,
      text: typeof text === 'string' ? text : expect.stringMatching(text),
    });
  });
});

test('how it has died is told with what it printed, and nothing of that steers the terminal', () => {
  const inside = createInside({}, ['web']);
  inside.crashes.push(CRASH);
  const text = whyText(
    whyOf(inside, 'web', () => null),
    80,
  );
  expect(text.replaceAll(/\n {6}(?! )/g, ' ')).toContain(
    "3. 2026-11-24T20:00:00.000Z  was killed by SIGKILL; out of memory: the kernel's OOM killer; it had taken 167 MiB; after 1 m; tried again after 2 s",
  );
  expect(text).toContain('> allocating\n       > more');
});

test('the evidence is all there: processes, how it became leader, transitions, orders', () => {
  const inside = createInside(
    {
      candidatesOf: () => [
        {
          pid: 17,
          ppid: 1,
          name: 'web',
          state: 'S',
          argv: ['web', '-x'],
          since: 40_000,
          verdict: 'leader',
          because: 'it carries the tag',
        },
      ],
    },
    ['web'],
  );
  inside.crashes.push(CRASH);
  inside.put('web', 'running.ready', { leader: LEADER, failures: 2 });
  inside.journal.note({
    type: 'command.transition',
    at: 1,
    command: 'web',
    from: null,
    to: 'missing',
    on: 'begin',
  });
  inside.note('start', ['web']);
  inside.note('stop', ['db']);
  expect(whyOf(inside, 'web', () => null)).toMatchObject({
    version: 1,
    command: { name: 'web', state: 'running', lastCrash: CRASH },
    crashes: [CRASH],
    leader: expect.stringMatching(/carries the tag/),
    candidates: [{ pid: 17, age: 60_000, verdict: 'leader' }],
    books: { failures: 2 },
    transitions: [{ number: 1, from: null, to: 'missing', on: 'begin' }],
    orders: [{ order: 'start' }],
  });
});

describe('what comes next', () => {
  test.each<[string, string, string, Partial<CommandContext>]>([
    ['restarting.settling', 'settle', 'counts as running in 1.5 s', {}],
    ['restarting.lingering', 'linger', 'its daemon has to appear in 1.5 s', {}],
    ['running.starting', 'readyTimeout', 'it has to be ready in 1.5 s', policy({ ready: READY })],
    [
      'running.ready',
      'healthInterval',
      'next health probe in 1.5 s',
      { ...policy({ health: HEALTH }), health: { healthy: false, inARow: 0 } },
    ],
    ['running.ending', 'endWithin', 'it has to end in 1.5 s', {}],
    ['missing.clearing', 'clear', 'SIGKILL to what is left in 1.5 s', {}],
  ])('%s: by the timer %s: %s', (state, name, text, context) => {
    const inside = createInside({}, ['web']);
    inside.put('web', state, context, 90_000, { timers: [{ name, state, due: 101_500 }] });
    expect(statusTable(statusOf(inside, null), { columns: 120, colour: false })).toContain(`  ${text}\n`);
  });

  test('of an order that took too long is told with its time', () => {
    const command = of('backoff', { wait: 17_200, failures: 3, lastExit: EXITED });
    expect(progressOf(command, false)).toBe('backoff, exited with status 3, retry 4');
    expect(progressOf(command, true)).toBe('backoff, exited with status 3, retry 4 in 7.2 s');
  });

  test('of one that waits for the turn of a restart says whether that is for others', () => {
    const inside = createInside({}, ['web']);
    inside.put('web', 'stopped', { desired: 'down' });
    const textOf = (queued: object) =>
      statusOf(inside, null, () => ({ order: 'restart', behind: [], ...queued })).commands[0]!.next!.text;
    expect(textOf({})).toBe('started when all have stopped');
    expect(textOf({ queued: true })).toBe('started in its turn');
  });
});

describe('one that its group has stopped for good', () => {
  const stopped = (): PaperInside => {
    const inside = createInside({}, ['web']);
    const gaveUp = { group: 'g', reason: 'a died', time: 1_700_000_000_000 };
    inside.put('web', 'stopped', { desired: 'down' }, 90_000, { wished: 'up', gaveUp });
    return inside;
  };

  test('is not as it is wished to be, is told as such, and health has failed', () => {
    const status = statusOf(stopped(), null);
    expect(status).toMatchObject({
      asWished: false,
      commands: [
        {
          state: 'stopped',
          detail: 'group g gave up',
          desired: 'up',
          asWished: false,
          reason: 'group g gave up: a died',
          gaveUp: { group: 'g', reason: 'a died', time: '2023-11-14T22:13:20.000Z' },
          next: { what: 'order', in: null, text: 'group g gave up: upkeep start --group g' },
        },
      ],
    });
    expect(healthOf(status, 'live')).toMatchObject({
      state: 'failed',
      ok: false,
      text: 'failed: web is stopped (group g gave up)',
    });
    // Red, as what has failed is.
    expect(statusTable(status, { columns: 80, colour: true })).toContain('\x1b[31mstopped\x1b[0m');
  });

  test('is said to be so, by whose death, and how it is started', () => {
    const text = whyText(
      whyOf(stopped(), 'web', () => null),
      80,
    ).replaceAll(/\n +/g, ' ');
    expect(text).toContain('web is stopped (group g gave up) since ');
    expect(text).toContain(
      'It is wished up (as upkeep was told at its start, or by its policy), and that is not so.',
    );
    expect(text).toContain(
      'Its group g gave up at 2023-11-14T22:13:20.000Z: a died. All of it was stopped, and nothing starts it but an order: upkeep start --group g.',
    );
  });
});

test('of an unhealthy one it is known why, and since when, until it is healthy or runs anew', () => {
  const inside = createInside(
    {
      probedOf: () => ({
        ready: { time: 1_700_000_000_000, reason: null, failures: 0 },
        health: { time: 1_700_000_005_000, reason: 'its program exited with 9', failures: 4 },
      }),
    },
    ['web'],
  );
  const context = { ...policy({ health: HEALTH }), health: { healthy: false, inARow: 0 } };
  const reason = 'its program exited with 8';
  const fall = () =>
    inside.journal.note({ type: 'command.unhealthy', at: 1, command: 'web', reason, next: 'ignore' });
  fall();
  expect(of('running.ready', context, inside)).toMatchObject({
    reason: `it is unhealthy: ${reason}`,
    unhealthySince: '2023-11-14T22:13:20.000Z',
  });
  const why = whyOf(inside, 'web', () => null);
  expect(why.probes).toEqual({
    ready: { time: '2023-11-14T22:13:20.000Z', ok: true, reason: null, failures: 0 },
    health: { time: '2023-11-14T22:13:25.000Z', ok: false, reason: 'its program exited with 9', failures: 4 },
  });
  const text = whyText(why, 200);
  expect(text).toContain(
    'The reason, since 2023-11-14T22:13:20.000Z: it is unhealthy: its program exited with 8.',
  );
  expect(text).toContain('Its last readiness probe, at 2023-11-14T22:13:20.000Z: ok.');
  expect(text).toContain('failed, as did 3 times before it: its program exited with 9.');
  inside.journal.note({ type: 'command.healthy', at: 1, command: 'web' });
  expect(of('running.ready', context, inside).unhealthySince).toBeNull();
  fall();
  inside.journal.note({ type: 'command.launched', at: 1, command: 'web', pid: 1, start: 1 });
  expect(of('running.ready', context, inside).unhealthySince).toBeNull();
});

test('the timers that run are told in their order, those that are over are not', () => {
  const inside = createInside({}, ['web']);
  inside.put('web', 'running.ready', { ...policy({ kind: 'cron' }), nextRun: 160_000 }, 90_000, {
    timers: [
      { name: 'healthInterval', state: 'running.ready.pausing', due: 101_000 },
      { name: 'linger', state: 'missing.clearing.killing', due: 100_500 },
      { name: 'settle', state: 'restarting.settling', due: 99_999 },
    ],
  });
  const why = whyOf(inside, 'web', () => null);
  expect(why.timers).toEqual([
    {
      name: 'linger',
      for: 'it is started beside what SIGKILL has not ended',
      due: '2023-11-14T22:13:20.500Z',
      in: 500,
    },
    { name: 'healthInterval', for: 'the next health probe', due: '2023-11-14T22:13:21.000Z', in: 1_000 },
    { name: 'schedule', for: 'its next run', due: '2023-11-14T22:14:20.000Z', in: 60_000 },
  ]);
  expect(whyText(why, 200)).toContain(
    'Timers that run:\n  in 500 ms, at 2023-11-14T22:13:20.500Z: it is started beside what SIGKILL has not ended\n',
  );
});
