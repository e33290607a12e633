/** What of a command's rules is told where, and what holds where a rule says nothing: the boundaries of convert.ts. */
import { describe, expect, test } from 'vitest';
import type { CommandExtras } from '../../src/policy/spec.ts';
import { load, told } from './policies.ts';

/** The only command of a file, with these lines below its run. */
const extras = (lines: string): CommandExtras =>
  load(`commands:\n  x:\n    run: prog\n${lines.replace(/^/gm, '    ')}`).commands[0]!.policy!;
/** Mistakes in such lines, each with its place: the first of the lines is line 4, its key begins at column 5. */
const wrong = (lines: string): string[] =>
  told(`commands:\n  x:\n    run: prog\n${lines.replace(/^/gm, '    ')}`);

describe('a mistake is told at the key that is one too many', () => {
  test.each([
    ['restart: never\nkind: oneshot\nretries: 3', '6:5', 'with restart: never nothing is tried again'],
    ['kind: oneshot\nschedule: "@daily"', '5:5', 'a oneshot has no schedule'],
    ['retries: 3', '4:5', 'a service is not tried a number of times'],
    ['overlap: kill', '4:5', 'a service has no schedule for it'],
    ['jitter: 5s', '4:5', 'a service has no schedule for it'],
    ['backoff: {first: 2m, max: 1m}', '4:5', 'first is longer than max'],
    ['stop: {signal: INT, signals: [TERM]}', '4:12', 'signal and signals say the same'],
    ['ready: {tcp: 80, http: "http://x/"}', '4:5', 'expected one probe, got tcp and http'],
    ['ready: {tcp: 80, log: x}', '4:5', 'expected one probe, got tcp and log'],
    ['health: {every: 5s}', '4:5', 'expected one probe, got none'],
    ['ready: {http: {url: "http://x/", path: /up}}', '4:38', 'the path is part of url'],
    ['reload: {signal: HUP, timeout: 5s}', '4:27', 'a signal takes no time'],
    ['user: a:b\ngroup: c', '5:5', 'user names a group already'],
    ['env: {A: 1}\nsecrets: [A]', '5:5', 'A is in env and in secrets'],
  ])('%s', (lines, place, message) => {
    const [first, ...more] = wrong(lines);
    expect(first).toMatch(new RegExp(`^${place} commands\\.x\\.[\\w.]+: ${message.replaceAll('.', '\\.')}`));
    expect(more).toEqual([]);
  });
});

describe('a mistake is told at the value that is wrong', () => {
  test.each([
    ['kind: cron', '4:11', 'kind: cron takes a schedule'],
    ['kind: oneshot\nrestart: always', '5:14', 'restart: a oneshot runs to its end once; use on-failure'],
    [
      'schedule: "@daily"\nrestart: always',
      '5:14',
      'restart: cron runs it at the times of its schedule; use',
    ],
    ['ready: {delay: 2s, timeout: 1s}', '4:20', 'ready.delay: it has to be ready before that'],
    ['match: {name: a, count: [4, 1]}', '4:29', 'match.count: the least is more than the most'],
    ['schedule: {timezone: UTC}', '4:15', 'schedule: expected cron, got none'],
    ['schedule: {cron: "@daily", pattern: "@daily"}', '4:15', 'schedule: expected cron, got pattern as well'],
    ['reload: {timeout: 5s}', '4:13', 'reload: expected signal or command, got neither'],
    ['reload: {signal: HUP, command: x}', '4:13', 'reload: expected signal or command, got both'],
  ])('%s', (lines, place, message) => {
    expect(wrong(lines).map((text) => text.replace('commands.x.', ''))).toEqual([
      expect.stringContaining(`${place} ${message}`),
    ]);
  });
});

describe('what is just within its bounds is none', () => {
  test.each([
    'backoff: {first: 1m, max: 1m}',
    'kind: oneshot\nrestart: never\nretries: 0',
    'match: {name: a, count: [2, 2]}',
    'ready: {delay: 999ms, timeout: 1s}',
    'ready: {http: {port: 80, path: /up}}',
    'user: a\ngroup: c',
    'user: a:b',
    'restart: always',
  ])('%s', (lines) => {
    expect(wrong(lines)).toEqual([]);
  });

  test('to be ready as late as it has to be is too late', () => {
    expect(wrong('ready: {delay: 1s, timeout: 1s}')).toEqual([
      expect.stringContaining('it has to be ready before that'),
    ]);
  });

  test('a group of the defaults is none that the command has said twice', () => {
    expect(told('defaults: {group: c}\ncommands: {x: {run: prog, user: "a:b"}}')).toEqual([]);
  });

  test('a group of a command’s own is said instead of the one of the user in the defaults', () => {
    const [own] = load('defaults: {user: "a:b"}\ncommands: {x: {run: prog, group: c}}').commands;
    expect(own!.policy!.execution).toMatchObject({ user: 'a', group: 'c' });
  });

  test.each([
    'backoff: {first: soon, max: 100ms}',
    'backoff: {first: 2h, max: later}',
    'health: {log: x}',
    'health: {delay: 5s}',
  ])('one mistake is told once: %s', (lines) => {
    expect(wrong(lines)).toHaveLength(1);
  });

  test.each([
    ['max: 1m', 'first: 2m'],
    ['first: 30s', 'max: 20s'],
  ])('of waits in the wrong order, %s in the defaults and its own %s, the command is told', (theirs, own) => {
    const text = `defaults: {backoff: {${theirs}}}\ncommands: {x: {run: prog, backoff: {${own}}}}`;
    expect(told(text)).toEqual([
      expect.stringMatching(/^2:27 commands\.x\.backoff: first is longer than max/),
    ]);
  });

  test('waits that only the defaults put in the wrong order are told there', () => {
    const [only, ...more] = told('defaults: {backoff: {first: 2m, max: 1m}}\ncommands: {x: {run: prog}}');
    expect(only).toMatch(/^1:12 defaults\.backoff: first is longer than max/);
    expect(more).toEqual([]);
  });
});

describe('what is not said', () => {
  test('of whom it matches does not matter', () => {
    expect(extras('match: {name: a}').match).toEqual({
      name: 'a',
      pattern: null,
      user: null,
      parent: null,
      pidFile: null,
      count: null,
    });
    expect(
      extras('match: {pattern: a, user: 7, parent: b, pidFile: /run/c, count: [1, 4]}').match,
    ).toMatchObject({ name: null, pattern: 'a', parent: 'b', pidFile: '/run/c', count: [1, 4] });
    expect(extras('match: {user: 7}').match!.user).not.toBeNull();
  });

  test('of a file need not be fresh', () => {
    expect(extras('ready: {file: {path: /run/c}}').ready).toEqual({
      kind: 'file',
      path: '/run/c',
      fresh: false,
    });
    expect(extras('ready: {file: {path: /run/c, fresh: true}}').ready).toMatchObject({ fresh: true });
  });

  test('of times by a command that says some, or by the defaults alone, is as the others have it', () => {
    const { machine } = extras('settle: 2s\nstartTimeout: 3s\nlinger: 4s\nautostart: false');
    expect(machine).toMatchObject({ settle: 2_000, startTimeout: 3_000, linger: 4_000, autostart: false });
    const lines = 'settle: 2s, startTimeout: 3s, linger: 4s, autostart: false';
    const [plain] = load(`defaults: {${lines}}\ncommands: {x: prog}`).commands;
    expect(plain!.policy!.machine).toMatchObject({
      settle: 2_000,
      startTimeout: 3_000,
      linger: 4_000,
      autostart: false,
    });
  });

  test('of a stop leaves stragglers as they are by default, and what it stands behind is empty', () => {
    const { machine, after } = extras('stop: {signal: INT}');
    expect(machine.stragglers).toBe('stop-workers');
    expect(after).toEqual([]);
    const [own] = load(
      'defaults: {stop: {stragglers: keep}}\ncommands: {x: {run: prog, stop: {signal: INT}}}',
    ).commands;
    expect(own!.policy!.machine).toMatchObject({
      stragglers: 'keep',
      stopSignals: [{ signal: 'SIGINT', wait: null }],
    });
  });

  test('never restarted, a oneshot is tried once, whatever the defaults say', () => {
    const [once] = load(
      'defaults: {retries: 5}\ncommands: {x: {run: prog, kind: oneshot, restart: never}}',
    ).commands;
    expect(once!.policy!.machine).toMatchObject({ giveUpAfter: 1, restart: 'never' });
  });
});
