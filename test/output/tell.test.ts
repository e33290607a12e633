import { describe, expect, test } from 'vitest';
import type { Exit, Leader, Remains, Told } from '../../machines/events.ts';
import { type TellContext, tellJson, tellPlain } from '../../src/output/tell.ts';

const NONE: Remains = { workers: 0, tagged: 0, sessions: 0 };
const id = { pid: 42, startTicks: 7 };
const leader: Leader = { ...id, name: 'apache2', rule: 'tag', since: 1 };
const command = 'apache2';
const at = 5;

function ended(how: Partial<Exit>): Exit {
  return { known: true, code: null, signal: null, core: false, ...how };
}
const status1 = ended({ code: 1 });
const sigkill = ended({ signal: 'SIGKILL' });
const unknown = ended({ known: false });

function died(more: Partial<Extract<Told, { type: 'command.died' }>>): Told {
  const usual = { exit: sigkill, uptime: 10_920_000, restart: 3, wait: 0, remains: NONE };
  return { type: 'command.died', at, command, id, ...usual, ...more };
}

function failedStart(more: Partial<Extract<Told, { type: 'command.failedStart' }>>): Told {
  const usual = { pid: 42, reason: 'exited with status 1', exit: status1, failures: 3, wait: 7200 };
  return { type: 'command.failedStart', at, command, ...usual, ...more };
}

function context(lines: readonly string[] = []): TellContext {
  return {
    wallClock: () => new Date('2026-03-04T12:00:00.000Z'),
    tail: (name) => (name === command ? lines : []),
  };
}

const started = {
  type: 'upkeep.started',
  at,
  version: '0.1.0',
  pid: 1,
  table: 'procfs',
  lineage: 'tag',
  reaping: 'pid 1',
} as const;
const ELEVEN = Array.from({ length: 11 }, (_, i) => `c${i}`);

/** What each event says; a null where people are spared it and only machines are told. */
const SENTENCES: readonly (readonly [Told, string])[] = [
  [
    { ...started, commands: ['sshd', 'apache2'] },
    'upkeep 0.1.0 is pid 1; keeps sshd, apache2 (2 commands) running; table: procfs; lineage: tag; reaping: pid 1',
  ],
  [
    { ...started, commands: ['sshd'] },
    'upkeep 0.1.0 is pid 1; keeps sshd (1 command) running; table: procfs; lineage: tag; reaping: pid 1',
  ],
  [
    { ...started, commands: ELEVEN },
    'upkeep 0.1.0 is pid 1; keeps 11 commands running; table: procfs; lineage: tag; reaping: pid 1',
  ],
  [
    { ...started, commands: [] },
    'upkeep 0.1.0 is pid 1; keeps nothing running; table: procfs; lineage: tag; reaping: pid 1',
  ],
  [{ type: 'upkeep.notice', at, command: null, level: 'info', message: 'reloaded' }, 'reloaded'],
  [{ type: 'upkeep.notice', at, command, level: 'warn', message: 'two fit' }, 'apache2: warning: two fit'],
  [{ type: 'command.launched', at, command, pid: 41, start: 1 }, 'apache2: starting: pid 41'],
  [
    {
      type: 'command.running',
      at,
      command,
      leader: { ...leader, rule: 'launcher' },
      how: 'started',
      took: 1000,
    },
    'apache2: running: pid 42 (apache2) after 1 s',
  ],
  [
    { type: 'command.running', at, command, leader, how: 'started', took: 120 },
    'apache2: running: pid 42 (apache2, known by its tag) after 120 ms',
  ],
  [
    { type: 'command.running', at, command, leader: { ...leader, rule: 'name' }, how: 'adopted', took: null },
    'apache2: running already: pid 42 (apache2, known by its name only)',
  ],
  [
    {
      type: 'command.running',
      at,
      command,
      leader: { ...leader, rule: 'ancestry' },
      how: 'handover',
      took: null,
    },
    'apache2: running on: pid 42 (apache2, known by its descent) has taken over',
  ],
  [died({}), 'apache2: died: pid 42 was killed by SIGKILL after 3 h 2 m; restart 3, now'],
  [
    died({ exit: ended({ signal: 'SIGSEGV', core: true }), restart: 4, wait: 7200 }),
    'apache2: died: pid 42 was killed by SIGSEGV (core dumped) after 3 h 2 m; restart 4, in 7.2 s',
  ],
  [
    died({ exit: status1, uptime: 5000, wait: null }),
    'apache2: died: pid 42 exited with status 1 after 5 s; it is not restarted',
  ],
  [
    died({ exit: ended({ code: 0 }), uptime: 5000 }),
    'apache2: died: pid 42 exited with status 0 after 5 s; restart 3, now',
  ],
  [
    died({ exit: unknown, uptime: 5000 }),
    "apache2: died: pid 42 is gone (exit status unknown: it was not upkeep's child) after 5 s; restart 3, now",
  ],
  [
    died({ remains: { workers: 5, tagged: 6, sessions: 1 }, uptime: 5000 }),
    'apache2: died: pid 42 was killed by SIGKILL after 5 s, leaving 6 processes (5 workers) and 1 session; restart 3, now',
  ],
  [failedStart({}), 'apache2: cannot start: exited with status 1; failure 3, tried again in 7.2 s'],
  [
    failedStart({ reason: 'left no process', exit: ended({ code: 0 }), wait: 0 }),
    'apache2: cannot start: left no process; failure 3, tried again now',
  ],
  [
    failedStart({ reason: 'exited', exit: status1, wait: 0 }),
    'apache2: cannot start: exited with status 1; failure 3, tried again now',
  ],
  [
    failedStart({ reason: 'exited', exit: sigkill, wait: 0 }),
    'apache2: cannot start: was killed by SIGKILL; failure 3, tried again now',
  ],
  [
    failedStart({ reason: 'exited', exit: unknown, wait: 0 }),
    'apache2: cannot start: exited; failure 3, tried again now',
  ],
  [
    failedStart({ reason: 'did not return', exit: sigkill, wait: null }),
    'apache2: cannot start: did not return (killed by SIGKILL); failure 3, not tried again',
  ],
  [
    failedStart({ reason: 'no such program', exit: null, pid: null }),
    'apache2: cannot start: no such program; failure 3, tried again in 7.2 s',
  ],
  [
    {
      type: 'command.clearing',
      at,
      command,
      remains: { workers: 1, tagged: 1, sessions: 0 },
      signal: 'SIGTERM',
    },
    'apache2: sends SIGTERM to what its dead leader left behind: 1 process (1 worker)',
  ],
  [
    {
      type: 'command.clearing',
      at,
      command,
      remains: { workers: 0, tagged: 2, sessions: 3 },
      signal: 'SIGKILL',
    },
    'apache2: sends SIGKILL to what its dead leader left behind: 2 processes and 3 sessions',
  ],
  [{ type: 'command.stopping', at, command, how: 'SIGTERM', idle: false }, 'apache2: stopping: SIGTERM'],
  [
    { type: 'command.stopped', at, command, exit: ended({ code: 0 }), took: 120, left: 0, idle: false },
    'apache2: stopped (status 0) after 120 ms',
  ],
  [
    { type: 'command.stopped', at, command, exit: sigkill, took: 9000, left: 1, idle: false },
    'apache2: stopped (SIGKILL) after 9 s; 1 process is still there',
  ],
  [
    { type: 'command.stopped', at, command, exit: unknown, took: 120, left: 2, idle: false },
    'apache2: stopped after 120 ms; 2 processes are still there',
  ],
  [
    { type: 'command.stopped', at, command, exit: null, took: 120, left: 0, idle: false },
    'apache2: stopped after 120 ms',
  ],
  [
    { type: 'command.failed', at, command, reason: '5 restarts in 10 s' },
    'apache2: failed for good: 5 restarts in 10 s',
  ],
  [
    { type: 'command.waiting', at, command, for: ['db: ready', 'migrate: completed (it is failed)'] },
    'apache2: waits for db: ready, migrate: completed (it is failed)',
  ],
  [{ type: 'command.ready', at, command, took: 320 }, 'apache2: ready after 320 ms'],
  [
    { type: 'command.ending', at, command, status: null },
    'apache2: says that it is about to end (STOPPING=1)',
  ],
  [
    { type: 'command.ending', at, command, status: 'flushing' },
    'apache2: says that it is about to end (STOPPING=1): flushing',
  ],
  [
    { type: 'command.unhealthy', at, command, reason: 'status 500', next: 'restart' },
    'apache2: unhealthy: status 500; it is restarted',
  ],
  [
    { type: 'command.unhealthy', at, command, reason: 'status 500', next: 'fail' },
    'apache2: unhealthy: status 500; it is given up, as the policy says',
  ],
  [{ type: 'command.healthy', at, command }, 'apache2: healthy again'],
  [
    { type: 'command.completed', at, command, exit: { ...status1, code: 0 }, success: true, took: 1500 },
    'apache2: done: it exited with status 0 after 1.5 s',
  ],
  [
    { type: 'command.completed', at, command, exit: null, success: false, took: 0 },
    'apache2: this run has failed after 0 ms',
  ],
  [{ type: 'command.scheduled', at, command, wait: 60_000 }, 'apache2: its next run is in 1 m'],
  [
    { type: 'command.overlapped', at, command, next: 'skip' },
    'apache2: a run is due while the one before it goes on: it is left out',
  ],
  [{ type: 'command.reloading', at, command }, 'apache2: told to read its configuration again'],
  [
    {
      type: 'group.restarting',
      at,
      group: 'stack',
      strategy: 'one_for_all',
      because: 'db died',
      members: ['web', 'app'],
    },
    'group stack: db died; one_for_all restarts web, app',
  ],
  [
    {
      type: 'group.restarting',
      at,
      group: 'stack',
      strategy: 'rest_for_one',
      because: 'web died',
      members: [],
    },
    'group stack: web died; rest_for_one restarts nobody else',
  ],
  [
    { type: 'group.failed', at, group: 'stack', reason: 'db died' },
    'group stack gives up: db died; all of it is stopped',
  ],
  [
    {
      type: 'policy.reloaded',
      at,
      started: ['web'],
      stopped: [],
      restarted: ['db', 'app'],
      adjusted: [],
      unchanged: 3,
      sections: ['groups'],
      notes: { db: ['env', 'run'] },
    },
    'policy read again: started web; restarted db (env, run), app; groups changed; 3 unchanged',
  ],
  [
    {
      type: 'policy.reloaded',
      at,
      started: [],
      stopped: [],
      restarted: [],
      adjusted: [],
      unchanged: 5,
      sections: [],
      notes: {},
    },
    'policy read again: nothing differs; 5 unchanged',
  ],
  [
    { type: 'operator.ordered', at, order: 'stop', commands: ['web', 'db'] },
    'ordered over the control socket: stop web, db',
  ],
  [
    { type: 'operator.ordered', at, order: 'stop', commands: ['web'], by: { uid: 0, pid: 123 } },
    'ordered over the control socket by uid 0, pid 123: stop web',
  ],
  [
    { type: 'operator.ordered', at, order: 'stop', commands: ['web'], by: { uid: 7, pid: 0 } },
    'ordered over the control socket by uid 7, from another PID namespace: stop web',
  ],
  [
    { type: 'operator.ordered', at, order: 'shutdown', commands: [] },
    'ordered over the control socket: shutdown',
  ],
  [
    { type: 'supervisor.stopping', at, reason: 'SIGTERM', budget: 9000 },
    'stopping everything, within 9 s: SIGTERM',
  ],
  [{ type: 'supervisor.stopped', at, code: 0, took: 300, left: 0 }, 'stopped after 300 ms, with exit code 0'],
  [
    { type: 'supervisor.stopped', at, code: 10, took: 9000, left: 2 },
    'stopped after 9 s, with exit code 10; 2 processes are still there',
  ],
];

test('no event is left out here', () => {
  // A type that is added to Told and not here does not compile; one without a row fails.
  const types: Record<Told['type'], true> = {
    'upkeep.started': true,
    'upkeep.notice': true,
    'command.launched': true,
    'command.running': true,
    'command.died': true,
    'command.failedStart': true,
    'command.clearing': true,
    'command.stopping': true,
    'command.stopped': true,
    'command.failed': true,
    'command.waiting': true,
    'command.ready': true,
    'command.ending': true,
    'command.unhealthy': true,
    'command.healthy': true,
    'command.completed': true,
    'command.scheduled': true,
    'command.overlapped': true,
    'command.reloading': true,
    'group.restarting': true,
    'group.failed': true,
    'operator.ordered': true,
    'policy.reloaded': true,
    'supervisor.stopping': true,
    'supervisor.stopped': true,
  };
  expect(new Set(SENTENCES.map(([told]) => told.type))).toEqual(new Set(Object.keys(types)));
});

describe('plain', () => {
  test.each(SENTENCES.filter(([told]) => told.type !== 'command.launched'))('%j', (told, sentence) => {
    expect(tellPlain(told, context())).toBe(`upkeep | ${sentence}\n`);
  });

  test('a launch is not told: how it goes will be', () => {
    expect(tellPlain({ type: 'command.launched', at, command, pid: 41, start: 1 }, context())).toBeNull();
  });

  test('the last lines follow a failed start', () => {
    expect(tellPlain(failedStart({ wait: 0 }), context(['Syntax error', 'on line 3\rof it']))).toBe(
      'upkeep | apache2: cannot start: exited with status 1; failure 3, tried again now; its last lines:\n' +
        'upkeep | apache2:   > Syntax error\n' +
        'upkeep | apache2:   > on line 3 of it\n',
    );
  });

  test('those of one that had been running are in the log already', () => {
    expect(tellPlain(died({}), context(['bye']))).toBe(
      'upkeep | apache2: died: pid 42 was killed by SIGKILL after 3 h 2 m; restart 3, now\n',
    );
  });

  test.each<[Told, number | null, string]>([
    [
      died({}),
      512 * 2 ** 20 + 1,
      "apache2: died: pid 42 was killed by SIGKILL (out of memory: the kernel's OOM killer; it had taken 512 MiB) after 3 h 2 m; restart 3, now",
    ],
    [
      died({ exit: ended({ code: 137 }), wait: null }),
      null,
      "apache2: died: pid 42 exited with status 137 (out of memory: the kernel's OOM killer) after 3 h 2 m; it is not restarted",
    ],
    [
      failedStart({ reason: 'exited', exit: sigkill, wait: 0 }),
      null,
      "apache2: cannot start: was killed by SIGKILL (out of memory: the kernel's OOM killer); failure 3, tried again now",
    ],
  ])('an end by the OOM killer is told in the same line: %j', (told, peak, sentence) => {
    expect(tellPlain({ ...told, oom: true, peak }, context())).toBe(`upkeep | ${sentence}\n`);
  });

  test.each([false, null])('nothing is told of it where it was not, or is not known (%s)', (oom) => {
    expect(tellPlain({ ...died({}), oom, peak: 4096 }, context())).toBe(tellPlain(died({}), context()));
  });

  test('every line of a longer message is recognizable as upkeep’s own', () => {
    const told: Told = { type: 'upkeep.notice', at, command: null, level: 'info', message: 'one\ntwo' };
    expect(tellPlain(told, context())).toBe('upkeep | one\nupkeep | two\n');
  });
});

describe('json', () => {
  test.each(SENTENCES)('%j', (told, sentence) => {
    const text = tellJson(told, context(), 7);
    expect(text.endsWith('\n')).toBe(true);
    expect(text.indexOf('\n')).toBe(text.length - 1);
    const { type, ...fields } = told;
    expect(JSON.parse(text)).toEqual({
      time: '2026-03-04T12:00:00.000Z',
      name: 'upkeep',
      seq: 7,
      event: type,
      ...fields,
      message: sentence,
    });
  });

  test('what was found out about a death is beside it, with the last lines', () => {
    const text = tellJson({ ...died({}), oom: true, peak: 2 ** 20 }, context(['bye']), 1);
    expect(JSON.parse(text)).toMatchObject({
      event: 'command.died',
      oom: true,
      peak: 1_048_576,
      lastLines: ['bye'],
      message: expect.stringContaining('OOM killer; it had taken 1 MiB) after'),
    });
    expect(JSON.parse(tellJson({ ...died({}), oom: null, peak: null }, context(), 1))).toMatchObject({
      oom: null,
      peak: null,
    });
  });

  test('the last lines of a failed start are a list', () => {
    const told = JSON.parse(tellJson(failedStart({}), context(['one', 'two "2"']), 1));
    expect(told.lastLines).toEqual(['one', 'two "2"']);
    expect(told.message).toBe('apache2: cannot start: exited with status 1; failure 3, tried again in 7.2 s');
  });
});
