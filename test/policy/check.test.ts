import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkJson, checkReport, policyWarnings } from '../../src/policy/check.ts';
import { parseCommands } from '../../src/policy/command.ts';
import { mergeSources } from '../../src/policy/merge.ts';
import { fileOf, load, rawPolicies } from './policies.ts';

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
  in the reverse order; within the time that --grace gives; takes at most 13 s:
  web 5 s, then db 8 s

End of the container
  when it is asked to stop
  when all commands are done
  when web has failed for good
  with the exit status of migrate

Warnings
  - stopping may take 13 s (web, then db), but 9 s are given: what is left then
    is killed; make container.grace longer, or the stops shorter
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
      'may take 9 s (a), but 5 s are given',
    );
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
  in the reverse order; within the time that --grace gives

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
