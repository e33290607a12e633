import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readRecording } from '../../src/inspector/recording.ts';
import { runSimulate } from '../../src/inspector/simulate.ts';
import { verify } from '../../src/inspector/verify.ts';
import { folder } from './helpers.ts';

interface Shown {
  readonly code: number;
  readonly out: string;
  readonly error: string;
  /** Times and what happened, without the end. */
  readonly rows: readonly string[];
}

async function run(
  policy: string,
  script: string | null = null,
  words: readonly string[] = [],
  most?: number,
): Promise<Shown> {
  const place = folder();
  writeFileSync(join(place, 'upkeep.yaml'), policy);
  const more = script === null ? [] : ['--script', join(place, 'script.yaml')];
  if (script !== null) writeFileSync(join(place, 'script.yaml'), script.replaceAll('HERE', place));
  return say([...more, ...words, join(place, 'upkeep.yaml')], most);
}

async function say(words: readonly string[], most?: number): Promise<Shown> {
  let out = '';
  let error = '';
  const code = await runSimulate(words, {
    env: {},
    version: '0.0.0',
    ...(most === undefined ? {} : { most }),
    out: (text) => {
      out += text;
      return true;
    },
    error: (text) => {
      error += text;
    },
  });
  const rows = out
    .split('\n\n')[0]!
    .split('\n')
    .map((row) => row.trim().replace(/ +/g, ' '));
  return { code, out, error, rows };
}

const APACHE = 'commands:\n  apache2: /etc/init.d/apache2 start\n';

describe('what would happen', () => {
  test('to a daemon that dies, and cannot be started three times', async () => {
    const { code, rows, out, error } = await run(
      APACHE,
      `commands:
  apache2:
    starts:
      - { }
      - { times: 3, exit: 1, lives: 100ms }
      - { }
events:
  - { at: 10s, dies: apache2, signal: SEGV }
`,
      ['--until', '1m'],
    );
    expect(error).toBe('');
    expect(code).toBe(0);
    expect(rows[0]).toBe('0:00:00.000 apache2: starting: pid 101');
    expect(rows[1]).toMatch(/^0:00:00\.300 apache2: running/);
    expect(rows[2]).toMatch(
      /^0:00:10\.000 apache2: died: pid 102 was killed by SIGSEGV after 10 s; restart 1/,
    );
    expect(rows.filter((row) => /cannot start: exited/.test(row))).toHaveLength(3);
    expect(rows.at(-1)).toMatch(/apache2: running/);
    expect(out).toMatch(
      /\nAfter 1 m this is so, and upkeep would go on:\n {2}apache2 {2}running; 1 restart\n$/,
    );
  });

  test('is the same each time', async () => {
    const script = 'commands: { a: { starts: { lives: 1s }, cycle: true } }\n';
    const policy = 'commands: { a: "sleep 1" }\n';
    const first = await run(policy, script);
    expect((await run(policy, script)).out).toBe(first.out);
    expect((await run(policy, `seed: 2\n${script}`)).out).not.toBe(first.out);
    expect(first.rows.length).toBeGreaterThan(10);
  });

  test('when one that others require is not ready', async () => {
    const { rows } = await run(
      'commands:\n  db: { run: db, ready: { tcp: 5432, timeout: 1m } }\n  web: { run: web, requires: { db: ready } }\n',
      'commands: { db: { starts: { ready: 5s } } }\n',
    );
    const ready = rows.findIndex((row) => row.includes('db: ready after'));
    const web = rows.findIndex((row) => row.includes('web: starting'));
    expect(rows[ready]).toMatch(/^0:00:05/);
    expect(web).toBeGreaterThan(ready);
    expect(rows.some((row) => row.includes('web: waits for db: ready'))).toBe(true);
  });

  test('when a process hangs and its health probe notices', async () => {
    const { rows } = await run(
      'commands:\n  web: { run: web, health: { tcp: 80, every: 10s, timeout: 2s, failures: 2 } }\n',
      'events: [{ at: 30s, hangs: web }]\n',
      ['--until', '3m'],
    );
    expect(rows.some((row) => row.includes('web: unhealthy: no answer in time'))).toBe(true);
    const stopped = rows.find((row) => row.includes('web: stopped'));
    // It does not hear SIGTERM any more.
    expect(stopped).toContain('stopped (SIGKILL)');
    expect(rows.at(-1)).toContain('web: running');
  });

  test('when probes are made to fail, and to succeed again', async () => {
    const { rows } = await run(
      'commands:\n  web: { run: web, health: { tcp: 80, every: 1s, timeout: 500ms, onUnhealthy: ignore } }\n',
      'events: [{ at: 30s, unhealthy: web }, { at: 60s, healthy: web }]\n',
    );
    expect(rows.some((row) => row.includes('web: unhealthy: made so by the script'))).toBe(true);
    expect(rows.some((row) => row.includes('web: healthy again'))).toBe(true);
  });

  test('with orders, and a stop that ends the container', async () => {
    const { rows, out } = await run(
      'commands: { a: a, b: b }\n',
      `commands: { b: { stop: { deaf: true } } }
events:
  - { at: 10s, stop: a }
  - { at: 20s, start: a }
  - { at: 30s, restart: a }
  - { at: 40s, shutdown: SIGTERM }
`,
    );
    expect(rows.filter((row) => row.includes('ordered over the control socket'))).toHaveLength(3);
    expect(rows.find((row) => row.includes('b: stopped'))).toContain('stopped (SIGKILL)');
    expect(out).toContain('and upkeep has ended with exit code 0:');
  });

  test('with a policy that is read again', async () => {
    const place = folder();
    writeFileSync(join(place, 'next.yaml'), 'commands: { a: "a --more", c: c }\n');
    const { rows, out } = await run(
      'commands: { a: a, b: b }\n',
      `events: [{ at: 10s, reload: ${join(place, 'next.yaml')} }]\n`,
    );
    expect(rows.find((row) => row.includes('policy read again'))).toContain(
      'stopped b; started c; restarted a (run)',
    );
    expect(out).toMatch(/ {2}a {2}running\n {2}c {2}running\n$/);
    // What cannot be read is a mistake of the script, and told before anything runs.
    const wrong = await run('commands: { a: a }\n', 'events: [{ at: 10s, reload: /nowhere.yaml }]\n');
    expect([wrong.code, wrong.out]).toEqual([78, '']);
    expect(wrong.error).toMatch(
      /script\.yaml:1:\d+: .*this policy cannot be read again: \/nowhere\.yaml: there is no such file/,
    );
  });

  test('until it is over: what the script has to come is told', async () => {
    const script =
      'events: [{ at: 10s, dies: a }, { at: 20s, shutdown: it }, { at: 2m, dies: a }, { at: 1m, start: a }]\n';
    const { out } = await run('commands: { a: a }\n', script);
    expect(out).toContain(
      '2 events of the script did not come about, the first at 1 m (start): upkeep had ended.\n',
    );
    const short = await run('commands: { a: a }\n', script, ['--until', '15s']);
    expect(short.out).toContain(
      '3 events of the script did not come about, the first at 20 s (shutdown): take a longer --until.\n',
    );
    const json = await run('commands: { a: a }\n', script, ['--until', '15s', '--json']);
    expect(JSON.parse(json.out.trimEnd().split('\n').at(-1)!)).toMatchObject({ left: 3 });
    expect((await run('commands: { a: a }\n')).out).not.toContain('did not come about');
  });

  test('by a schedule, on the days of the script', async () => {
    const { rows } = await run(
      'commands:\n  report: { run: report, schedule: { cron: "0 3 * * *", timezone: UTC } }\n',
      'begins: 2026-03-01T00:00:00Z\nuntil: 3d\n',
    );
    const runs = rows.filter((row) => row.includes('report: starting'));
    expect(runs.map((row) => row.replace(/ report.*/, ''))).toEqual([
      '3:00:00.000',
      '1d 3:00:00.000',
      '2d 3:00:00.000',
    ]);
  });

  test('when a command that counts has failed for good', async () => {
    const { out } = await run(
      'commands:\n  a: { run: a, kind: oneshot, retries: 2, onFailed: exit }\n',
      'commands: { a: { starts: { error: "no such file" } } }\n',
    );
    expect(out).toContain('cannot start: no such file');
    expect(out).toContain('and upkeep has ended with exit code 10:');
  });

  test('to what runs already: it is taken over', async () => {
    const { rows } = await run('commands: { a: a }\n', 'commands: { a: { found: true } }\n');
    expect(rows[0]).toMatch(/a: running already|adopted|already/);
    expect(rows.some((row) => row.includes('starting'))).toBe(false);
  });

  test('in years of crashing is cut off, and that is told', async () => {
    const { out, code } = await run(
      'commands: { a: a }\n',
      'commands: { a: { starts: { exit: 1, lives: 1ms } } }\n',
      ['--until', '3650d'],
      2_000,
    );
    expect(code).toBe(0);
    expect(out).toMatch(/Cut off: more than 2000 events\./);
  });

  test('for programs: as upkeep events has it, and how all is at the end', async () => {
    const { out } = await run('commands: { a: a }\n', null, ['--json']);
    const lines = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines[0]).toMatchObject({ number: 1, time: '2026-01-01T00:00:00.000Z', command: 'a' });
    expect(lines.map(({ event }) => event)).toContain('command.launched');
    expect(lines.at(-1)).toMatchObject({
      event: 'simulation.ended',
      exitCode: null,
      limited: false,
      commands: [{ name: 'a', state: 'running', starts: 1 }],
    });
  });

  test('can be recorded, and the recording is replayed', async () => {
    const path = join(folder(), 'record');
    const { code, error } = await run(
      APACHE,
      'events: [{ at: 10s, every: 30s, dies: apache2 }, { at: 5m, shutdown: enough }]\n',
      ['--record', path],
    );
    expect({ code, error }).toEqual({ code: 0, error: '' });
    const recording = readRecording(path);
    expect(verify(recording)).toMatchObject({ parts: 1, difference: null, lost: 0 });
    expect(verify(recording).events).toBeGreaterThan(30);
    const again = await run(APACHE, null, ['--record', path]);
    expect(again.code).toBe(64);
    expect(again.error).toMatch(
      /^upkeep: cannot record to .*: it is there already; name another file, or remove that one\n$/,
    );
  });
});

describe('what is wrong in a script', () => {
  test('is told all at once, each with its place', async () => {
    const { code, error, out } = await run(
      'commands: { web: web, db: db }\n',
      `untill: 1h
commands:
  wbe: { starts: { } }
  db:
    starts: { lives: soon, exit: 300 }
events:
  - { at: 10s, dies: web, hangs: web }
  - { at: 10s, dies: dbx }
  - { dies: web, signal: SEGVX }
  - { at: 1s, stop: web, exit: 1 }
`,
    );
    expect(code).toBe(78);
    expect(out).toBe('');
    const lines = error
      .replaceAll(/\S*script\.yaml/g, 'script.yaml')
      .trimEnd()
      .split('\n');
    expect(lines[0]).toBe('upkeep: cannot use script.yaml: there are 5 mistakes in it; put this right:');
    expect(lines).toContain('script.yaml:1:1: untill: unknown key, did you mean until?');
    expect(lines.find((line) => line.includes('lives'))).toMatch(
      /^script\.yaml:5:22: commands\.db\.starts\.lives: expected a time/,
    );
    expect(lines.find((line) => line.includes('exit'))).toMatch(
      /expected a whole number from 0 to 255, got 300/,
    );
    expect(lines.find((line) => line.includes('events.2.at'))).toMatch(/is missing/);
  });

  test('of names and acts as well', async () => {
    const { code, error } = await run(
      'commands: { web: web, db: db }\n',
      `commands:
  wbe: { starts: { } }
events:
  - { at: 10s, dies: web, hangs: web }
  - { at: 10s, dies: dbx }
  - { at: 10s }
  - { at: 1s, stop: web, exit: 1 }
`,
    );
    expect(code).toBe(78);
    const lines = error
      .replaceAll(/\S*script\.yaml/g, 'script.yaml')
      .trimEnd()
      .split('\n');
    expect(lines).toContain('script.yaml:2:3: commands.wbe: there is no command wbe, did you mean web?');
    expect(lines.join('\n')).toContain('dies and hangs exclude each other');
    expect(lines.join('\n')).toContain('there is no command dbx');
    expect(lines.join('\n')).toContain('it is not said what happens');
    expect(lines.join('\n')).toContain('only what dies has it; take it out');
  });

  test.each([
    [['--script'], 'cannot use --script: it needs a value; write --script FILE'],
    [
      ['--untli', '1h', 'p'],
      'cannot use the option "--untli" with simulate: it is unknown, did you mean --until?',
    ],
    [['--until', 'long', 'p'], 'cannot use "long" for --until: it is no duration'],
    [[], 'cannot simulate: no file is given; write upkeep simulate --script what-if.yaml upkeep.yaml'],
    [['a', 'b'], 'cannot simulate: 2 files are given'],
    [['--json=1', 'a'], 'cannot use --json=1: --json takes no value; write --json alone'],
  ])('%j on the command line', async (words, message) => {
    const { code, error } = await say(words);
    expect(code).toBe(64);
    expect(error).toContain(`upkeep: ${message}`);
  });

  test('a policy that cannot be used is refused as by upkeep run', async () => {
    const { code, error } = await run('commands: { web: { rnu: web } }\n');
    expect(code).toBe(78);
    expect(error).toContain('unknown key, did you mean run?');
    expect((await run('commands: { web: web }\n', '')).code).toBe(78);
    expect((await say(['--script', '/nowhere.yaml', '/nowhere.yaml'])).code).toBe(78);
  });

  test('help is shown', async () => {
    const { code, out } = await say(['--help']);
    expect(code).toBe(0);
    expect(out).toMatch(/^Usage: upkeep simulate/);
    expect(existsSync('nothing')).toBe(false);
  });
});
