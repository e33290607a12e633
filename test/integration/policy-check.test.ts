import { describe, expect, test } from 'vitest';
import { Namespace, noNamespace } from './namespace.ts';
import { type Answer, ask, keep } from './policies.ts';

const WRONG = `# Every mistake is told at once.
commands:
  web:
    run: nginx
    restrat: always
    requires: db
    ready: {tcp: 99999, http: "http://127.0.0.1/"}
  worker:
    run: [node, app.js]
    kind: oneshot
    schedule: "61 * * * *"
    stop: {signals: [TERM, INT]}
    after: web
  1bad-: {}
  loop: {run: a, requires: worker}
groups:
  g: {members: [web, nobody], strategy: one_for_none}
container: {exitWhen: nobody done, grace: soon}
`;
/** Lines with mistakes. */
const PLACES = [5, 6, 7, 11, 12, 14, 17, 18];

describe.skipIf(noNamespace)(`upkeep check ${noNamespace ?? ''}`, { concurrent: true }, () => {
  async function check(inside: Namespace, text: string | Buffer, ...words: string[]): Promise<Answer> {
    inside.write('upkeep.yaml', text, 0o644);
    return ask(inside, ['check', ...words, `${inside.dir}/upkeep.yaml`]);
  }

  const placesIn = (text: string) =>
    [...text.matchAll(/upkeep\.yaml:(\d+):(\d+): (.+)/g)].map(([, line, column, message]) => ({
      line: Number(line),
      column: Number(column),
      message: message!,
    }));

  test('tells every mistake with its line and column, and exits with 78', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const { code, stdout, stderr } = await check(inside, WRONG);
    expect({ code, stdout }).toEqual({ code: 78, stdout: '' });
    const places = placesIn(stderr);
    expect([...new Set(places.map(({ line }) => line))].sort((a, b) => a - b)).toEqual(
      expect.arrayContaining(PLACES),
    );
    const lines = WRONG.split('\n');
    for (const { line, column } of places) {
      expect(line).toBeLessThan(lines.length);
      expect(column).toBeGreaterThan(0);
      expect(column).toBeLessThanOrEqual(lines[line - 1]!.length);
      expect(lines[line - 1]![column - 1]).not.toBe(' ');
    }
    const at = (word: string) =>
      places.find(({ line, column }) => lines[line - 1]!.startsWith(word, column - 1));
    expect(at('restrat')!.message).toContain('did you mean restart?');
    expect(at('61 * *') ?? at('"61 * *')).toBeDefined();
    expect(at('one_for_none')!.message).toContain('one_for_one, one_for_all, rest_for_one');
    expect(at('soon')!.message).toContain('a duration');
  });

  test('--json: the same for a program', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const plain = placesIn((await check(inside, WRONG)).stderr);
    const { code, stdout } = await check(inside, WRONG, '--json');
    expect(code).toBe(78);
    const { ok, problems } = JSON.parse(stdout);
    expect(ok).toBe(false);
    expect(problems.map(({ line, column }: { line: number; column: number }) => [line, column])).toEqual(
      plain.map(({ line, column }) => [line, column]),
    );
  });

  test('a good file: what would run, in which order, and how long a stop may take', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const good = `
commands:
  web: {run: nginx, requires: db, secrets: [TOKEN], env: {SECRET_WORD: never-shown}}
  db: {run: postgres --password=in-arguments, stop: {timeout: 20s}}
  tick: {run: 'true', schedule: '@daily'}
groups: {g: {members: [db, web], strategy: rest_for_one}}
container: {grace: 10s}
`;
    const { code, stdout, stderr } = await check(inside, good);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.indexOf('db')).toBeLessThan(stdout.indexOf('web'));
    expect(stdout).toContain('rest_for_one');
    expect(stdout.replaceAll(/\s+/g, ' ')).toMatch(/stopping may take 25 s \(web 5 s, then db 20 s\).*10 s/);
    expect(stdout).not.toContain('never-shown');
    expect(stdout).not.toContain('in-arguments');
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    const json = await check(inside, good, '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: true });
    expect(json.stdout).not.toContain('never-shown');
  });

  test('run refuses what check refuses, in the same words, and starts nobody', async (context) => {
    const kept = await keep(context, WRONG);
    expect(await kept.upkeep.ended()).toMatchObject({ code: 78 });
    const inside = await new Namespace(context).idleInit();
    const { stderr } = await check(inside, WRONG);
    const messages = placesIn(stderr).map(({ message }) => message);
    for (const message of messages) expect(kept.upkeep.stderr).toContain(message);
    expect(kept.upkeep.lines).toEqual([]);
  });

  test.for([
    ['no such file', null, 'there is no such file'],
    ['nothing in it', '', 'it is empty; write commands:'],
    ['no command', 'commands: {}', 'there is no command in it'],
    ['no YAML', 'commands: {a: [', 'upkeep.yaml:1:'],
    [
      'Latin-1',
      Buffer.from('commands:\n  a: echo ä\n', 'latin1'),
      'upkeep.yaml:2:11: the byte 0xe4 is no UTF-8',
    ],
    ['UTF-16', Buffer.from('\uFEFFcommands: {a: x}', 'utf16le'), 'it is in UTF-16; save it as UTF-8'],
    ['a key twice', 'commands:\n  a: sleep\n  a: sleep\n', 'upkeep.yaml:3:3'],
    ['a circle', 'commands: {a: {run: x, requires: b}, b: {run: x, after: a}}', 'in a circle: '],
    ['a circle of files', 'include: upkeep.yaml\ncommands: {a: x}', 'in a circle'],
    ['a circle of groups', 'commands: {a: x}\ngroups: {g: [h], h: [g]}', 'in a circle: '],
    ['in two groups', 'commands: {a: x}\ngroups: {g: [a], h: [a]}', 'it can be in one alone'],
    [
      'waiting for a schedule',
      'commands: {a: {run: x, requires: b}, b: {run: x, schedule: "@daily"}}',
      'nobody can wait',
    ],
    ['never completed', 'commands: {a: {run: x, requires: {b: completed}}, b: x}', 'never completes'],
    [
      'two probes',
      'commands: {a: {run: x, ready: {tcp: 1, delay: 1s}}}',
      'expected one probe, got tcp and delay',
    ],
    ['no probe', 'commands: {a: {run: x, health: {every: 1s}}}', 'expected one probe, got none'],
    ['a service with retries', 'commands: {a: {run: x, retries: 2}}', 'a service is not tried'],
    ['cron without schedule', 'commands: {a: {run: x, kind: cron}}', 'cron takes a schedule'],
    ['a signal as a command', 'commands: {a: {run: x, stop: TERM}}', 'write {signal: TERM}'],
    ['a bad umask', 'commands: {a: {run: x, umask: 27}}', 'three octal digits in quotes'],
    ['an unknown capability', 'commands: {a: {run: x, capabilities: [net_bind]}}', 'a capability such as'],
    ['a bad pattern', 'commands: {a: {run: x, ready: {log: "("}}}', 'a regular expression'],
  ] as const)('%s', async ([, text, message], context) => {
    const inside = await new Namespace(context).idleInit();
    const { code, stderr } =
      text === null ? await ask(inside, ['check', `${inside.dir}/upkeep.yaml`]) : await check(inside, text);
    expect(code).toBe(78);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('    at ');
  });
});
