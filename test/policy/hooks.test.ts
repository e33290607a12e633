import { describe, expect, test } from 'vitest';
import { checkJson, checkReport } from '../../src/policy/check.ts';
import type { HookSpec } from '../../src/policy/spec.ts';
import { load, told } from './policies.ts';

const hooks = (on: string, rest = '', env = {}): readonly HookSpec[] =>
  load(`commands: {web: x, db: y, mail: z}\n${rest}\non: ${on}`, { env }).hooks;
const wrong = (on: string): string[] =>
  told(`commands: {web: x}\non: ${on}`).map((line) => line.replace(/^\d+:\d+ /, ''));

test('an address, and a command', () => {
  expect(
    hooks('{a: {events: died, webhook: http://x/y}, b: {events: [failed, died, failed], run: page -x}}'),
  ).toEqual([
    {
      name: 'a',
      events: ['died'],
      commands: null,
      webhook: { url: 'http://x/y', headers: {}, body: null },
      program: null,
      timeout: 10_000,
      retries: 3,
      interval: 1_000,
    },
    {
      name: 'b',
      events: ['failed', 'died'],
      commands: null,
      webhook: null,
      program: { text: 'page -x', file: 'page', args: ['-x'], env: {} },
      timeout: 10_000,
      retries: 0,
      interval: 1_000,
    },
  ]);
});

test('variables, files, headers as they were written, and a body', () => {
  const [hook] = hooks(
    '{a: {events: died, webhook: {url: {file: /run/url}, headers: {Authorization: "Bearer $' +
      '{TOKEN}", X-Version: 1.10, X-Key: {file: /run/key}}, body: {text: "{host}: {message}", n: [1, null]}}, timeout: 2s, retries: 0, interval: 0}}',
    '',
    { TOKEN: 'abc' },
  );
  expect(hook).toMatchObject({
    webhook: {
      url: { file: '/run/url' },
      headers: { Authorization: 'Bearer abc', 'X-Version': '1.10', 'X-Key': { file: '/run/key' } },
      body: { text: '{host}: {message}', n: [1, null] },
    },
    timeout: 2_000,
    retries: 0,
    interval: 0,
  });
});

test('a group stands for itself and its commands, those of a group in it too', () => {
  const groups = 'groups: {shop: [web, back], back: [db]}';
  expect(hooks('{a: {events: died, commands: shop, run: x}}', groups)[0]!.commands).toEqual([
    'shop',
    'web',
    'db',
  ]);
  expect(hooks('{a: {events: died, commands: [mail, back], run: x}}', groups)[0]!.commands).toEqual([
    'mail',
    'back',
    'db',
  ]);
});

test('on is a text, in the old YAML as well', () => {
  expect(load('%YAML 1.1\n---\ncommands: {a: x}\non: {h: {events: died, run: page}}').hooks).toHaveLength(1);
});

test('of several files they are put together, and a name is that of one', () => {
  const files = { 'b.yaml': 'on: {b: {events: died, run: y}}' };
  expect(
    load('commands: {a: x}\ninclude: b.yaml\non: {a: {events: died, run: y}}', { files }).hooks.map(
      ({ name }) => name,
    ),
  ).toEqual(['a', 'b']);
  expect(told('commands: {a: x}\ninclude: b.yaml\non: {b: {events: died, run: y}}', { files })[0]).toContain(
    'the name is there twice, first at upkeep.yaml:3:6; choose another',
  );
});

describe('mistakes', () => {
  test.each([
    [
      '{a: {events: faild, run: x}}',
      /^on\.a\.events: expected one of started, .*, got "faild", did you mean failed\?$/,
    ],
    ['{a: {events: [died, command.died], run: x}}', /^on\.a\.events\.1: .*, did you mean died\?$/],
    ['{a: {events: 7, run: x}}', /^on\.a\.events: expected one of started, .*or a list of such, got 7$/],
    ['{a: {events: [], run: x}}', /^on\.a\.events: expected one of started/],
    ['{a: {run: x}}', /^on\.a\.events: is missing: expected one of/],
    ['{a: {events: died}}', /^on\.a: expected webhook or run, got neither/],
    ['{a: {events: died, run: x, webhook: http://x}}', /^on\.a: expected webhook or run, got both/],
    ['{a: {events: died, webhook: example.com}}', /^on\.a\.webhook: expected an address/],
    ['{a: {events: died, webhook: {headers: {}}}}', /^on\.a\.webhook\.url: is missing/],
    [
      '{a: {events: died, webhook: {url: http://x, headers: {A: {fil: x}}}}}',
      /^on\.a\.webhook\.headers\.A\.fil: unknown key, did you mean file\?$/,
    ],
    [
      '{a: {events: died, webhook: {url: http://x, body: {text: ["{mesage}"]}}}}',
      /^on\.a\.webhook\.body\.text\.0: nothing is called "\{mesage\}" in a notification, did you mean message\?$/,
    ],
    [
      '{a: {events: died, run: x, commands: wbe}}',
      /^on\.a\.commands: no command or group is called "wbe", did you mean web\?$/,
    ],
    [
      '{a: {events: died, run: x, commands: [web, db]}}',
      /^on\.a\.commands\.1: no command or group is called "db"/,
    ],
    ['{a: {event: died, run: x}}', /^on\.a\.event: unknown key, did you mean events\?$/],
    ['{a: {events: died, run: x, timeout: 0}}', /^on\.a\.timeout: expected a duration of at least 1ms/],
    ['{-a: {events: died, run: x}}', /^on\.-a: cannot use the name "-a"/],
    ['{a: http://x}', /^on\.a: expected a mapping with events, and webhook or run, got "http:\/\/x"$/],
    ['[a]', /^on: expected a mapping of names to hooks, got a list$/],
  ])('%s', (on, message) => {
    const messages = wrong(on);
    expect(
      messages.filter((one) => message.test(one)),
      messages.join('\n'),
    ).toHaveLength(1);
  });
});

test('check shows who is told of what, and nothing that may be a secret', () => {
  const policy = load(`
commands: {web: x, db: y}
on:
  chat:
    events: [failed, group.failed]
    commands: web
    webhook: { url: "https://me:hunter2@hooks.example.com/hunter2?k=hunter2", headers: { Authorization: hunter2 }, body: { channel: hunter2 } }
  page: { events: died, run: /usr/bin/page --token hunter2, interval: 0 }
  file: { events: ready, webhook: { url: { file: /run/secrets/url } } }
`);
  const report = checkReport(policy, []);
  expect(report).toContain(`
Notifications
  chat  failed, group.failed of web; POST to hooks.example.com; with 3 retries,
        10 s each; every 1 s at most
  page  died; runs page; once, 10 s each
  file  ready; POST to an address from /run/secrets/url; with 3 retries, 10 s
        each; every 1 s at most
`);
  const json = checkJson(policy, []);
  expect(`${report}${json}`).not.toContain('hunter2');
  expect(JSON.parse(json).on).toMatchObject([
    { name: 'chat', events: ['failed', 'group.failed'], webhook: 'hooks.example.com', run: null, retries: 3 },
    { name: 'page', webhook: null, run: 'page' },
    { name: 'file' },
  ]);
});
