import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stopPlan } from '../../machines/order.ts';
import { checkJson, checkReport, policyWarnings } from '../../src/policy/check.ts';
import { parseCommands } from '../../src/policy/command.ts';
import { extrasOf } from '../../src/policy/extras.ts';
import { mergeSources } from '../../src/policy/merge.ts';
import { beforeOf } from '../../src/policy/relations.ts';
import type { Policy } from '../../src/policy/spec.ts';
import { fileOf, load, rawPolicies } from './policies.ts';

/** What a shutdown sets aside for each. */
function shares(policy: Policy) {
  const stops = new Map(
    policy.commands.map((command) => [command.name, extrasOf(command).machine.stopTimeout]),
  );
  return stopPlan(beforeOf(policy.commands), (name) => stops.get(name)!, policy.container.grace!);
}

const text = `
commands:
  db:
    run: postgres -D /data
    ready: {tcp: 5432}
    stop: {signal: INT, timeout: 8s}
    env: {PASSWORD: hunter2}
    secrets: {TOKEN: {file: /run/secrets/token}}
  migrate: {run: ./migrate --token hunter2, kind: oneshot, retries: 2, requires: db}
  web:
    run: nginx -g 'daemon off;'
    requires: [db, migrate]
    after: cache
    ready: {http: "http://me:hunter2@127.0.0.1:8080/up?key=hunter2"}
    health: {http: {port: 8080, headers: {Authorization: hunter2}}, every: 10s}
    stop: {signals: [QUIT, 5s, KILL]}
    onFailed: exit
  cache: {run: redis-server, intensity: {restarts: 5, within: 1m}}
  cleanup: {run: ./cleanup, schedule: {cron: "0 3 * * *", timezone: Europe/Berlin}}
groups:
  back: {members: [db, cache], strategy: rest_for_one}
container: {exitWhen: all-done, exitCodeFrom: migrate}
`;
const policy = load(text);
const warnings = policyWarnings(policy);

test('the report', () => {
  expect(checkReport(policy, warnings)).toBe(`5 commands

Start order
  1  db       service  ready: tcp 5432; stops within 8 s
     cache    service  at most 5 restarts within 1 m
     cleanup  cron     at 0 3 * * * (Europe/Berlin); overlap: skip
  2  migrate  oneshot  2 retries; requires db ready
  3  web      service  requires db ready, migrate completed; after cache; ready:
                       http 127.0.0.1:8080/up; health: http 127.0.0.1:8080/
                       every 10 s; its failure ends the container

Groups
  back  rest_for_one: db, cache

Stop
  in the reverse order; within the time that --grace gives, 9 s by default; may
  take 13 s: web 5 s, then db 8 s

End of the container
  when it is asked to stop
  when all commands are done
  when web has failed for good
  with the exit status of migrate

Warnings
  - stopping may take 13 s (web 5 s, then db 8 s), but 9 s are given: all have
    less, and what is left then is killed; make container.grace longer, or the
    stops shorter
  - container.exitWhen is all-done, but db, web, cache and cleanup are never
    done: the container does not end by itself; write restart: on-failure or
    never there
`);
});

test('no value of a variable and no command line is shown', () => {
  expect(checkReport(policy, warnings)).not.toMatch(/hunter2|secrets/);
  expect(checkJson(policy, warnings)).not.toMatch(/hunter2|secrets/);
});

test('JSON', () => {
  const whole = JSON.parse(checkJson(policy, warnings)) as Record<string, unknown>;
  expect(whole).toMatchObject({
    version: 1,
    ok: true,
    levels: [['db', 'cache', 'cleanup'], ['migrate'], ['web']],
    stop: { longest: 13_000, chain: ['web', 'db'] },
    warnings,
  });
  expect((whole.commands as object[])[2]).toEqual({
    name: 'web',
    kind: 'service',
    restart: 'always',
    giveUpAfter: null,
    intensity: null,
    requires: { db: 'ready', migrate: 'completed' },
    after: ['cache'],
    ready: 'http',
    health: 'http',
    schedule: null,
    stopTimeout: null,
    onFailed: 'exit',
  });
});

describe('warnings', () => {
  const warned = (given: string, grace?: number) => policyWarnings(load(given), grace);

  test('the stop has to fit in what is given for it', () => {
    const given = 'commands: {a: {run: x, stop: {timeout: 9s}}}';
    expect(warned(given)).toEqual([]);
    expect(warned(given, 8_999)).toHaveLength(1);
    expect(warned(`${given}\ncontainer: {grace: 5s}`, 60_000)[0]).toContain(
      'may take 9 s (a 9 s), but 5 s are given',
    );
  });

  test('what is set aside for a stop without a time of its own counts as well', () => {
    const chain = (app: string, proxy = '{}') =>
      `commands:
  db: postgres
  app: {run: x, requires: db, stop: ${app}}
  proxy: {run: y, requires: app, stop: ${proxy}}
container: {grace: 9s}`;
    const stopOf = (given: string) => {
      const policy = load(given);
      const { own } = shares(policy);
      const { stop } = JSON.parse(checkJson(policy, [])) as { stop: { longest: number; chain: string[] } };
      expect(stop.longest).toBe(stop.chain.reduce((sum, name) => sum + own.get(name)!, 0));
      return stop;
    };
    expect(stopOf(chain('{timeout: 5s}', '{stragglers: keep}'))).toEqual({
      longest: 11_000,
      chain: ['proxy', 'app', 'db'],
    });
    expect(stopOf(chain('{timeout: 3s}', '{timeout: 2s}')).longest).toBe(8_000);
    expect(warned(chain('{timeout: 5s}', '{stragglers: keep}'))).toEqual([
      'stopping may take 11 s (proxy 3 s, then app 5 s, then db 3 s), but 9 s are given: all have less, and what is left then is killed; make container.grace longer, or the stops shorter',
    ]);
    expect(warned(chain('{stragglers: keep}', '{stragglers: keep}'))).toEqual([]);
    expect(checkReport(load(chain('{timeout: 3s}', '{timeout: 2s}')), []).replaceAll(/\s+/g, ' ')).toContain(
      'within 9 s; may take 8 s: proxy 2 s, then app 3 s, then db 3 s',
    );
  });

  test('a oneshot that others wait for has ended when these are stopped', () => {
    const given = (last: string) =>
      `commands: {db: {run: x, stop: {timeout: 6s}}, once: {run: y, kind: oneshot, requires: db}${last}}`;
    const longest = (text: string) =>
      (JSON.parse(checkJson(load(text), [])) as { stop: { longest: number } }).stop.longest;
    expect(longest(given(', web: {run: z, requires: once}'))).toBe(9_000);
    expect(longest(given(''))).toBe(10_500);
  });

  test('who requires what is not started by itself waits for a start', () => {
    const warn = (web: string) =>
      warned(`commands: {web: {run: x, ${web}}, db: {run: y, autostart: false}, c: z}`);
    expect(warn('requires: [db, c]')).toEqual([
      'web requires db, with autostart: false: it waits for upkeep start db; write after instead where it can do without',
    ]);
    expect(warn('after: db')).toEqual([]);
    expect(warn('requires: db, autostart: false')).toEqual([]);
  });

  test('all-done needs commands that are started', () => {
    const given = (autostart: boolean) =>
      `commands: {a: {run: x, kind: oneshot, autostart: ${autostart}}}\ncontainer: {exitWhen: all-done}`;
    expect(warned(given(true))).toEqual([]);
    expect(warned(given(false))).toEqual([
      'container.exitWhen is all-done, but with autostart: false a is not done before upkeep start and its run: the container does not end by itself before that',
    ]);
  });

  test('all-done needs commands that are done one day', () => {
    const container = 'container: {exitWhen: all-done}';
    expect(
      warned(`commands: {a: {run: x, restart: never}, b: {run: y, kind: oneshot}}\n${container}`),
    ).toEqual([]);
    expect(warned(`commands: {a: x}\n${container}`)[0]).toContain('but a is never done');
  });
});

test('what is given as arguments has a report as well', () => {
  const given = mergeSources(parseCommands(['web: nginx', 'db: postgres']), [], null);
  expect(checkReport(given, [])).toBe(`2 commands

Start order
  1  web  service
     db   service

Stop
  in the reverse order; within the time that --grace gives, 9 s by default

End of the container
  when it is asked to stop
`);
});

test('lines have at most 80 columns where words allow, and all commands are there', () => {
  fc.assert(
    fc.property(rawPolicies, (raw) => {
      const given = load(fileOf(raw));
      const report = checkReport(given, policyWarnings(given));
      for (const line of report.split('\n')) {
        if (line.length > 80)
          expect(
            line
              .trim()
              .split(' ')
              .some((word) => word.length > 20),
          ).toBe(true);
        expect(line).toBe(line.trimEnd());
      }
      for (const { name } of given.commands) expect(report).toContain(` ${name} `);
      expect(JSON.parse(checkJson(given, []))).toMatchObject({ version: 1 });
    }),
    { numRuns: 100 },
  );
});
