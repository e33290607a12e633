import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { DEFAULT_POLICY } from '../../machines/restart-policy.ts';
import { loadPolicy } from '../../src/policy/file.ts';
import { PolicyError } from '../../src/policy/problems.ts';
import type { CommandExtras, CommandSpec, ExecutionSpec } from '../../src/policy/spec.ts';
import { load, problemsOf, rawPolicies, readerOf, told, type World } from './policies.ts';

/** The only command of a file, with these lines. */
const command = (lines: string, world: World = {}): CommandSpec =>
  load(`commands:\n  x:\n    run: prog\n${lines.replace(/^/gm, '    ')}`, world).commands[0]!;
const extras = (lines: string, world: World = {}): CommandExtras => command(lines, world).policy!;
const machine = (lines: string) => extras(lines).machine;
const execution = (lines: string): ExecutionSpec => extras(lines).execution;
/** Mistakes in such lines: `path: message`, the path below the command. */
const wrong = (lines: string): string[] =>
  problemsOf(`commands:\n  x:\n    run: prog\n${lines.replace(/^/gm, '    ')}`).map(
    ({ path, message }) => `${path.replace(/^commands\.x\.?/, '')}: ${message}`,
  );

test('a command that says nothing else is a service with every default', () => {
  const policy = load('commands: {web: nginx -g off}');
  expect(policy).toEqual({
    commands: [
      {
        name: 'web',
        text: 'nginx -g off',
        file: 'nginx',
        args: ['-g', 'off'],
        env: {},
        shell: false,
        fits: ['nginx'],
        returns: false,
        stop: null,
        policy: {
          machine: DEFAULT_POLICY,
          requires: {},
          after: [],
          onFailed: 'ignore',
          match: null,
          ready: null,
          health: null,
          schedule: null,
          reload: null,
          execution: {
            user: null,
            group: null,
            groups: null,
            umask: null,
            cwd: null,
            env: {},
            envFiles: [],
            secrets: {},
            nice: null,
            limits: {},
            noNewPrivileges: false,
            capabilities: null,
          },
          log: { prefix: null, format: null, file: null, tail: [] },
        },
      },
    ],
    groups: [],
    container: { grace: null, exitWhen: 'never', exitCodeFrom: null, syslog: null, http: null },
    hooks: [],
  });
  expect(load('commands: {web: {run: nginx -g off}}')).toEqual(policy);
  expect(load('{"commands": {"web": "nginx -g off"}}')).toEqual(policy);
});

describe('run', () => {
  test('a line is read as an argument is', () => {
    expect(load('commands: {a: cd /srv && exec node x.js}').commands[0]).toMatchObject({
      file: '/bin/sh',
      args: ['-c', 'cd /srv && exec node x.js'],
      shell: true,
      fits: ['x.js'],
    });
    expect(load('commands: {a: /etc/init.d/cron start}').commands[0]).toMatchObject({
      returns: true,
      stop: { file: '/etc/init.d/cron', args: ['stop'] },
      policy: { machine: { returns: true, ownStop: true } },
    });
  });

  test('words are executed as they are', () => {
    expect(load(`commands: {a: {run: [node, x.js, "$A|b c"]}}`).commands[0]).toMatchObject({
      name: 'a',
      text: "node x.js '$A|b c'",
      file: 'node',
      args: ['x.js', '$A|b c'],
      shell: false,
      fits: ['x.js'],
    });
  });

  test.each([
    ['{a: ""}', '1:15 commands.a: expected a command, or a list of its words, got ""'],
    ['{a: {run: []}}', '1:21 commands.a.run: expected a command, or a list of its words, got an empty list'],
    [
      '{a: {run: [""]}}',
      '1:21 commands.a.run: cannot use the command "\'\'": its first word is empty; write the program first',
    ],
    ['{a: {run: [x, 5]}}', '1:25 commands.a.run.1: expected a word, in quotes, got 5'],
    ['{a: }', '1:15 commands.a: expected a command, or a mapping with run, got nothing'],
    ['{a: [x]}', '1:15 commands.a: expected a command, or a mapping with run, got a list'],
    ['{a: {cwd: /}}', '1:12 commands.a.run: is missing: expected a command, or a list of its words'],
    [
      '{a: "web: nginx"}',
      '1:15 commands.a: cannot use the command "web: nginx": it begins with a name of its own; take "web:" out',
    ],
  ])('%s', (text, message) => {
    expect(told(`commands: ${text}`)).toEqual([message]);
  });
});

describe('kinds', () => {
  test('what follows from each', () => {
    expect(machine('kind: oneshot')).toMatchObject({
      kind: 'oneshot',
      restart: 'on-failure',
      giveUpAfter: 1,
    });
    expect(machine('kind: oneshot\nretries: 3')).toMatchObject({ giveUpAfter: 4 });
    expect(machine('kind: oneshot\nretries: unlimited')).toMatchObject({ giveUpAfter: null });
    expect(machine('schedule: "*/5 * * * *"')).toMatchObject({
      kind: 'cron',
      restart: 'on-failure',
      giveUpAfter: 1,
      overlap: 'skip',
    });
    expect(machine('restart: never')).toMatchObject({ kind: 'service', restart: 'never', giveUpAfter: null });
  });

  test('schedules', () => {
    expect(extras('schedule: "@daily"\njitter: 30').schedule).toEqual({
      pattern: '@daily',
      timezone: null,
      jitter: 30_000,
    });
    expect(extras('schedule: {pattern: "0 0 * * 1", timezone: Europe/Berlin}').schedule).toEqual({
      pattern: '0 0 * * 1',
      timezone: 'Europe/Berlin',
      jitter: 0,
    });
  });

  test.each([
    ['kind: servce', 'kind: expected one of service, oneshot, cron, got "servce", did you mean service?'],
    ['kind: cron', 'kind: cron takes a schedule; write, for instance, schedule: "*/5 * * * *"'],
    [
      'kind: oneshot\nschedule: "@daily"',
      'schedule: a oneshot has no schedule; write kind: cron, or take schedule out',
    ],
    ['retries: 3', 'retries: a service is not tried a number of times; use intensity, or kind: oneshot'],
    [
      'kind: oneshot\nrestart: always',
      'restart: a oneshot runs to its end once; use on-failure with retries, or never',
    ],
    [
      'kind: oneshot\nrestart: never\nretries: 1',
      'retries: with restart: never nothing is tried again; take one of them out',
    ],
    ['overlap: skip', 'overlap: a service has no schedule for it; write schedule, or take overlap out'],
    [
      'schedule: "0 0 30 2 *"',
      'schedule: expected a schedule such as "*/5 * * * *" or @daily, got "0 0 30 2 *"; that day never comes',
    ],
    ['schedule: "* * *"', 'schedule: expected a schedule such as "*/5 * * * *" or @daily, got "* * *"'],
    [
      'schedule: {cron: "@daily", timezone: Mars}',
      'schedule.timezone: expected a time zone such as Europe/Berlin, got "Mars"',
    ],
    ['schedule: {timezone: UTC}', 'schedule: expected cron, got none'],
  ])('%j', (lines, message) => {
    expect(wrong(lines)).toEqual([message]);
  });
});

describe('probes', () => {
  test.each([
    ['tcp: 80', { kind: 'tcp', host: '127.0.0.1', port: 80 }],
    ['tcp: db:5432', { kind: 'tcp', host: 'db', port: 5432 }],
    ['tcp: "[::1]:22"', { kind: 'tcp', host: '::1', port: 22 }],
    [
      'exec: pg_isready -q',
      { kind: 'exec', program: { text: 'pg_isready -q', file: 'pg_isready', args: ['-q'], env: {} } },
    ],
    ['log: ready$', { kind: 'log', pattern: 'ready$' }],
    ['file: /run/x', { kind: 'file', path: '/run/x', fresh: false }],
    ['file: {path: /run/x, fresh: true}', { kind: 'file', path: '/run/x', fresh: true }],
    ['notify: true', { kind: 'notify' }],
    ['listening: 80', { kind: 'listening', port: 80 }],
    ['delay: 2s', { kind: 'delay', ms: 2000 }],
  ])('%s', (text, probe) => {
    const policy = extras(`ready: {${text}}`);
    expect(policy.ready).toEqual(probe);
    expect(policy.machine.ready).toEqual({ timeout: 60_000, interval: 250 });
  });

  test('http', () => {
    const defaults = {
      kind: 'http',
      method: 'GET',
      headers: {},
      status: [[200, 399]],
      expectHeaders: {},
      body: null,
    };
    expect(extras('ready: {http: "http://x:1/y"}').ready).toEqual({ ...defaults, url: 'http://x:1/y' });
    expect(extras('ready: {http: {port: 8080}}').ready).toEqual({
      ...defaults,
      url: 'http://127.0.0.1:8080/',
    });
    expect(
      extras(`ready:
  http:
    port: 8080
    path: /up
    method: HEAD
    headers: {Host: x, N: 1.10}
    status: [204, "300-302"]
    expectHeaders: {Content-Type: json}
    body: ok`).ready,
    ).toEqual({
      kind: 'http',
      url: 'http://127.0.0.1:8080/up',
      method: 'HEAD',
      headers: { Host: 'x', N: '1.10' },
      status: [
        [204, 204],
        [300, 302],
      ],
      expectHeaders: { 'content-type': 'json' },
      body: 'ok',
    });
  });

  test('health has times of its own', () => {
    expect(machine('health: {tcp: 80}').health).toEqual({
      every: 30_000,
      timeout: 5_000,
      failures: 3,
      successes: 1,
      grace: 0,
      onUnhealthy: 'restart',
    });
    expect(machine('health: {tcp: 80, every: 1m, onUnhealthy: fail}').health).toMatchObject({
      every: 60_000,
      onUnhealthy: 'fail',
    });
  });

  test.each([
    [
      'ready: {timeout: 5s}',
      'ready: expected one probe, got none; write exactly one of tcp, http, exec, log, file, notify, listening, delay',
    ],
    [
      'health: {tcp: 1, notify: true}',
      'health: expected one probe, got tcp and notify; write exactly one of tcp, http, exec, file, notify, listening',
    ],
    [
      'health: {delay: 1s, tcp: 1}',
      'health.delay: is no probe for health: that some time has passed says nothing of how it is now; use it in ready, and here grace for failures soon after the start',
    ],
    ['ready: {tcp: 0}', 'ready.tcp: expected a port, or host:port, got 0'],
    ['ready: {tcp: "::1:80"}', 'ready.tcp: expected a port, or host:port, got "::1:80"'],
    [
      'ready: {http: localhost}',
      'ready.http: expected an address such as http://127.0.0.1:8080/health, got "localhost"',
    ],
    ['ready: {http: {}}', 'ready.http: expected url, or port and path, got neither'],
    ['ready: {http: {url: "http://x", port: 1}}', 'ready.http: expected url, or port and path, got both'],
    [
      'ready: {http: {port: 1, status: 20}}',
      'ready.http.status: expected a status such as 200 or "200-299", got 20',
    ],
    ['ready: {http: {port: 1, urll: x}}', 'ready.http.urll: unknown key, did you mean url?'],
    ['ready: {log: "("}', 'ready.log: expected a regular expression, got "("; unterminated group'],
    ['ready: {notify: false}', 'ready.notify: expected true, got false'],
    ['ready: {delay: 2m}', 'ready.delay: it has to be ready before that; make timeout longer than delay'],
    ['ready: tcp', 'ready: expected a mapping such as {tcp: …}, got "tcp"'],
  ])('%s', (lines, message) => {
    expect(wrong(lines)).toEqual([message]);
  });
});

test('lists that are empty say that there is nothing, for programs that write policies', () => {
  const lists = 'requires: [], after: [], envFile: [], log: {tail: []}';
  expect(load(`include: []\ncommands: {web: {run: nginx, ${lists}}}`)).toEqual(
    load('commands: {web: nginx}'),
  );
});

describe('stop and reload', () => {
  test.each<[string, object]>([
    ['stop: kill.sh -x', { file: 'kill.sh', args: ['-x'] }],
    ['stop: [kill.sh, -x]', { file: 'kill.sh', args: ['-x'] }],
    ['stop: {command: "A=1 kill.sh"}', { file: '/bin/sh', args: ['-c', 'A=1 kill.sh'] }],
    ['stop: {command: TERM}', { file: 'TERM', args: [] }],
  ])('%s', (lines, stop) => {
    expect(command(lines).stop).toEqual(stop);
    expect(machine(lines)).toMatchObject({ ownStop: true, stopSignals: DEFAULT_POLICY.stopSignals });
  });

  test('signals', () => {
    expect(machine('stop: {signal: QUIT, timeout: 5s, stragglers: keep}')).toMatchObject({
      stopSignals: [{ signal: 'SIGQUIT', wait: null }],
      stopTimeout: 5000,
      stragglers: 'keep',
    });
    expect(machine('stop: {signals: [TERM, 5s, sigint, 2, KILL]}').stopSignals).toEqual([
      { signal: 'SIGTERM', wait: 5000 },
      { signal: 'SIGINT', wait: 2000 },
      { signal: 'SIGKILL', wait: null },
    ]);
  });

  test('whoever names a signal does without the stop of an init script', () => {
    const stopOf = (stop: string) =>
      load(`commands: {a: {run: /etc/init.d/a start, stop: ${stop}}}`).commands[0]!.stop;
    expect(stopOf('{timeout: 3s}')).toEqual({ file: '/etc/init.d/a', args: ['stop'] });
    expect(stopOf('{signal: TERM}')).toBeNull();
  });

  test.each<[string, object]>([
    ['reload: HUP', { signal: 'SIGHUP' }],
    ['reload: SIGUSR1', { signal: 'SIGUSR1' }],
    ['reload: {signal: hup}', { signal: 'SIGHUP' }],
    [
      'reload: nginx -s reload',
      {
        program: { text: 'nginx -s reload', file: 'nginx', args: ['-s', 'reload'], env: {} },
        timeout: 90_000,
      },
    ],
    [
      'reload: {command: hup, timeout: 2s}',
      { program: { text: 'hup', file: 'hup', args: [], env: {} }, timeout: 2_000 },
    ],
  ])('%s', (lines, reload) => {
    expect(extras(lines).reload).toEqual(reload);
  });

  test.each([
    [
      'stop: TERM',
      'stop: expected a command, got "TERM"; write {signal: TERM}, or {command: TERM} where it is a program',
    ],
    [
      'stop: [TERM, 5s, KILL]',
      'stop: expected a command, got "TERM"; write {signal: TERM}, or {command: TERM} where it is a program',
    ],
    [
      'stop: {signal: TREM}',
      'stop.signal: expected the name of a signal such as TERM or SIGQUIT, got "TREM", did you mean TERM?',
    ],
    [
      'stop: {signals: [TERM, INT]}',
      'stop.signals: expected a duration between two signals, as in [TERM, 5s, KILL], got "INT"',
    ],
    [
      'stop: {signals: [TERM, 5s]}',
      'stop.signals: expected signals and the time between them, as in [TERM, 5s, KILL], got a list; end it with a signal',
    ],
    ['stop: {signal: TERM, signals: [TERM]}', 'stop.signal: signal and signals say the same; take one out'],
    ['stop: {}', 'stop: there is nothing in it; write command, signal, signals, timeout or stragglers'],
    [
      'reload: hup',
      'reload: expected a signal such as HUP, or a command, got "hup"; write {signal: hup}, or {command: hup} where it is a program',
    ],
    ['reload: {}', 'reload: expected signal or command, got neither'],
    ['reload: {signal: HUP, timeout: 1s}', 'reload.timeout: a signal takes no time; take it out'],
  ])('%s', (lines, message) => {
    expect(wrong(lines)).toEqual([message]);
  });
});

describe('whose rights it runs with', () => {
  test.each<[string, Partial<ExecutionSpec>]>([
    ['user: www-data', { user: 'www-data', group: null }],
    ['user: www-data:www', { user: 'www-data', group: 'www' }],
    ['user: 1000', { user: '1000' }],
    ['user: 1000:50', { user: '1000', group: '50' }],
    ['group: 5\ngroups: [a, 6]', { group: '5', groups: ['a', '6'] }],
    ['umask: "0027"', { umask: 0o27 }],
    ['cwd: /srv', { cwd: '/srv' }],
    ['env: {A: 1.10, B: true, C: "", D: 0x1F}', { env: { A: '1.10', B: 'true', C: '', D: '0x1F' } }],
    ['env: [A=1, B=x=y]', { env: { A: '1', B: 'x=y' } }],
    ['envFile: -/etc/x', { envFiles: [{ path: '/etc/x', optional: true }] }],
    ['secrets: [A, B]', { secrets: { A: { file: null }, B: { file: null } } }],
    ['secrets: {A: {file: /run/a}, B: {}}', { secrets: { A: { file: '/run/a' }, B: { file: null } } }],
    ['nice: -5', { nice: -5 }],
    [
      'limits: {nofile: 1024, core: unlimited, nproc: {soft: 5, hard: unlimited}}',
      {
        limits: {
          nofile: { soft: '1024', hard: '1024' },
          core: { soft: 'unlimited', hard: 'unlimited' },
          nproc: { soft: '5', hard: 'unlimited' },
        },
      },
    ],
    [
      'capabilities: [NET_BIND_SERVICE, cap_net_bind_service, CAP_CHOWN]',
      { capabilities: ['net_bind_service', 'chown'] },
    ],
    ['capabilities: []', { capabilities: [] }],
  ])('%j', (lines, expected) => {
    expect(execution(lines)).toMatchObject(expected);
  });

  test.each([
    ['umask: 27', 'umask: expected three octal digits in quotes, as in "0027", got 27'],
    ['umask: "0x1"', 'umask: expected three octal digits in quotes, as in "0027", got "0x1"'],
    ['user: "a:"', 'user: expected a user, or user:group, got "a:"'],
    ['user: a:b\ngroup: c', 'group: user names a group already; take one out'],
    ['env: [A]', 'env.0: expected a variable and its value, as in NAME=value, got "A"'],
    ['env: {A: [1]}', 'env.A: expected a text, a number, true or false, got a list'],
    [
      'env: {"A B": 1}',
      `env.A B: cannot use the name "A B": a variable's name is made of letters, digits and "_", and begins with no digit; choose such a name`,
    ],
    ['env: {A: 1}\nsecrets: [A]', 'secrets: A is in env and in secrets; take one out'],
    ['nice: 20', 'nice: expected a whole number from -20 to 19, got 20'],
    ['limits: {nofiles: 1}', 'limits.nofiles: unknown key, did you mean nofile?'],
    [
      'limits: {nofile: {soft: 5, hard: 1}}',
      'limits.nofile: expected a soft limit that is not above the hard one, got 5 and 1',
    ],
    [
      'limits: {nofile: many}',
      'limits.nofile: expected a number, unlimited, or a mapping of soft and hard, got "many"',
    ],
    [
      'capabilities: [net_bind]',
      'capabilities.0: expected a capability such as net_bind_service, got "net_bind"',
    ],
    [
      'log: {file: {path: /x, size: 1Q}}',
      'log.file.size: expected a size such as 512k, 10MB or 1GB, got "1Q"',
    ],
    ['backoff: {first: 2m}', 'backoff: first is longer than max; make max at least as long'],
    ['settle: 0', 'settle: expected a duration of at least 1ms, got 0'],
    ['settle: 30d', 'settle: expected a duration of at most 24d, got "30d"'],
    ['settle: soon', 'settle: expected a duration such as 500ms, 1.5s, 2m or 1h, got "soon"'],
    ['match: {}', 'match: there is nothing in it; write name, pattern, user, parent, pidFile or count'],
    [
      'match: {count: [4, 1]}',
      'match.count: the least is more than the most; write the least first, as in [1, 4]',
    ],
  ])('%j', (lines, message) => {
    expect(wrong(lines)).toEqual([message]);
  });

  test('logs', () => {
    expect(extras('log: {prefix: false, format: json, file: /x, tail: /y}').log).toEqual({
      prefix: '',
      format: 'json',
      file: { path: '/x', size: 10_485_760, count: 3, tee: true },
      tail: ['/y'],
    });
    expect(
      extras('log: {prefix: true, file: {path: /x, size: 512k, count: 0, tee: false}}').log,
    ).toMatchObject({
      prefix: null,
      file: { size: 524_288, count: 0, tee: false },
    });
  });
});

describe('defaults', () => {
  const text = `
defaults:
  restart: on-failure
  retries: 2
  user: www:www
  groups: [a]
  env: {A: 1, B: 1}
  backoff: {first: 1s, max: 9s}
  stop: {signal: INT, timeout: 5s}
  ready: {timeout: 5s}
  log: {format: json, prefix: x}
commands:
  plain: a
  own:
    run: b
    user: me
    env: [B=2]
    backoff: {first: 2s}
    stop: {signals: [TERM]}
    ready: {tcp: 1, interval: 1s}
    log: {prefix: false}
  once: {run: c, kind: oneshot}
  init: {run: /etc/init.d/a start, stop: {stragglers: keep}}
`;
  const [plain, own, once, init] = load(text).commands as [
    CommandSpec,
    CommandSpec,
    CommandSpec,
    CommandSpec,
  ];

  test('hold where a command says nothing', () => {
    expect(plain.policy).toMatchObject({
      machine: {
        restart: 'on-failure',
        giveUpAfter: null,
        backoff: { first: 1000, max: 9000 },
        stopSignals: [{ signal: 'SIGINT' }],
        stopTimeout: 5000,
        ready: null,
      },
      execution: { user: 'www', group: 'www', groups: ['a'], env: { A: '1', B: '1' } },
      log: { format: 'json', prefix: 'x' },
    });
    expect(once.policy?.machine).toMatchObject({ restart: 'on-failure', giveUpAfter: 3 });
  });

  test('are taken key by key, and a user comes with groups of its own', () => {
    expect(own.policy).toMatchObject({
      machine: {
        backoff: { first: 2000, max: 9000 },
        stopSignals: [{ signal: 'SIGTERM', wait: null }],
        stopTimeout: 5000,
        ready: { timeout: 5000, interval: 1000 },
      },
      execution: { user: 'me', group: null, groups: null, env: { A: '1', B: '2' } },
      log: { format: 'json', prefix: '' },
    });
    expect(init).toMatchObject({
      stop: null,
      policy: { machine: { stragglers: 'keep', stopTimeout: 5000 } },
    });
  });

  test('have no keys that are of one command alone', () => {
    expect(told('commands: {a: b}\ndefaults: {run: x}')[0]).toContain('2:12 defaults.run: unknown key');
  });
});

describe('variables', () => {
  test('are filled in everywhere but in keys, and $NAME is left for the shell', () => {
    const env = { PORT: '8080', USER: 'www', N: '1.10', F: 'true', E: '' };
    const policy = load(
      `commands:
  web:
    run: serve \${PORT} $HOME $\${X} $$
    ready: {tcp: "\${PORT}"}
    listening: 1
    user: \${USER}
    env:
      \${PORT}: x
`
        .replace('    listening: 1\n', '')
        .replace(/ {4}env:\n.*\n/, `    env:\n      A: \${N}\n      E: \${E}\n`),
      { env },
    );
    const [web] = policy.commands as [CommandSpec];
    expect(web.text).toBe(`serve 8080 $HOME \${X} $`);
    expect(web.policy).toMatchObject({
      ready: { kind: 'tcp', port: 8080 },
      execution: { user: 'www', env: { A: '1.10', E: '' } },
    });
  });

  test('without quotes are what YAML takes them for', () => {
    const policy = extras(`nice: \${N}\nnoNewPrivileges: \${F}\nready:\n  listening: \${PORT:-80}`, {
      env: { N: '-5', F: 'true' },
    });
    expect(policy).toMatchObject({ execution: { nice: -5, noNewPrivileges: true }, ready: { port: 80 } });
  });

  test('that are not set are told once each, and nothing that follows from it', () => {
    expect(
      told(
        `commands:\n  a:\n    run: \${NO}\n    nice: \${NEITHER}\n    ready: {tcp: "\${PORT}", timout: 1}\n`,
      ),
    ).toEqual([
      expect.stringContaining(`3:10 commands.a.run: cannot fill in \${NO}: it is not set; `),
      expect.stringContaining(`4:11 commands.a.nice: cannot fill in \${NEITHER}`),
      expect.stringContaining(`5:18 commands.a.ready.tcp: cannot fill in \${PORT}`),
      '5:29 commands.a.ready.timout: unknown key, did you mean timeout?',
    ]);
  });
});

describe('YAML', () => {
  test('anchors, aliases and merge keys', () => {
    const policy = load(
      `
x-base: &base
  user: www
  cwd: /a
commands:
  a: {<<: *base, run: a, cwd: /b}
  b:
    run: b
    <<: [{cwd: /c}, *base]
  c: *cmd
`.replace('  c: *cmd\n', `  c: &cmd {run: c}\n  d: *cmd\n`),
    );
    expect(
      policy.commands.map(({ name, policy: said }) => [name, said?.execution.user, said?.execution.cwd]),
    ).toEqual([
      ['a', 'www', '/b'],
      ['b', 'www', '/c'],
      ['c', null, null],
      ['d', null, null],
    ]);
  });

  test('a mistake behind an alias is told where it is written', () => {
    expect(told('x-a: &a\n  usr: x\ncommands:\n  w:\n    run: b\n    <<: *a\n')).toEqual([
      '2:3 commands.w.usr: unknown key, did you mean user?',
    ]);
  });

  test.each([
    ['', '1:1 it is empty; write commands: and below it, for instance, web: nginx'],
    ['# nothing\n', '1:1 it is empty; write commands: and below it, for instance, web: nginx'],
    [
      '- a\n',
      '1:1 expected a mapping with commands, got a list; write commands: and below it, for instance, web: nginx',
    ],
    [
      'nginx',
      '1:1 expected a mapping with commands, got a single value; write commands: and below it, for instance, web: nginx',
    ],
    [
      '{}',
      '0:0 there is no command in it; write commands: and below it, for instance, web: nginx; or give upkeep run commands besides',
    ],
    ['commands: {}', expect.stringContaining('0:0 there is no command in it; ')],
    ['commands: [a]', '1:11 commands: expected a mapping of names to commands, got a list'],
    ['commands:', '1:10 commands: expected a mapping of names to commands, got nothing'],
    ['commands:\n  a: x\0', '2:7 it holds a NUL byte; take that out'],
    ['commands: {a: "x\\0"}', '1:15 commands.a: it holds a NUL byte; take that out'],
    ['commands:\n  a: b\n  a: c\n', '3:3 commands.a: the key is there twice, first at 2:3; take one out'],
    ['commands: {a: b}\n---\ncommands: {}', expect.stringContaining('2:1 it can not be read as YAML: ')],
    ['commands: {a: b', expect.stringContaining('it can not be read as YAML: ')],
    ['commands: {? [x] : b, c: d}', '1:14 commands: expected a text as key, got something else'],
    ['commands: {a: b, ~: c}', '1:18 commands: expected a text as key, got nothing'],
    ['commands: {a: b, __proto__: c}', '1:18 commands: cannot use the key "__proto__"; choose another'],
    [
      'commands: {a: *b}',
      '1:15 commands.a: cannot use *b: no anchor of that name stands before it; write &b at what is meant',
    ],
    ['commands: &c {a: *c}', '1:18 commands.a: cannot use *c inside of what it stands for; take it out'],
    ['commands: {a: !x b}', expect.stringContaining('1:15 it can not be read as YAML: ')],
    [`commands: {a: b, c: \${D}}`, expect.stringContaining('put variables in quotes')],
    ['commands: {a b: x}', expect.stringContaining('1:12 commands.a b: cannot use the name "a b": ')],
    ['comands: {a: b}', '1:1 comands: unknown key, did you mean commands?'],
    [
      '{"commands": {"a": {"run": "x", "nice": "y"}}}',
      '1:41 commands.a.nice: expected a whole number from -20 to 19, got "y"',
    ],
  ])('%j', (text, message) => {
    expect(told(text)).toEqual([message]);
  });

  const slips = (text: string) => told(text).map((line) => line.replace('it can not be read as YAML: ', ''));

  test('every slip is told, without what follows from it', () => {
    expect(slips('commands:\n  a: x: y\n  b: `z`\n  c: "ok" bad\n  d: @e\n')).toEqual([
      '2:6 Nested mappings are not allowed in compact mappings; put a text that has ": " in it in quotes as a whole',
      '3:6 Plain value cannot start with reserved character `',
      '4:11 Unexpected scalar at node end',
      '5:6 Plain value cannot start with reserved character @',
    ]);
    // What is not closed is told where that is found out, and not of all that is around it; nor what was swallowed.
    expect(slips('commands:\n  a: {run: x}\n  b: {run: [y}\n  c: d\n  e: @f\n')).toEqual([
      '3:14 Flow sequence in block collection must be sufficiently indented and end with a ]',
      '5:6 Plain value cannot start with reserved character @',
    ]);
    expect(slips('commands\n  a: x\n  b: y\n')).toEqual(['1:1 Implicit keys need to be on a single line']);
    expect(slips('commands:\n\ta: x\n\tb: y\n')).toEqual([
      '2:1 Tabs are not allowed as indentation',
      '3:1 Tabs are not allowed as indentation',
    ]);
    expect(slips('commands: {a: !x b}\nx-a: !y z\n')).toEqual([
      '1:15 Unresolved tag: !x',
      '2:6 Unresolved tag: !y',
    ]);
  });

  test('of very many slips the first are told, and how many there are besides', () => {
    const many = slips(`commands:\n${'  a: @b\n'.repeat(60)}`);
    expect(many).toHaveLength(21);
    expect(many[19]).toBe('21:6 Plain value cannot start with reserved character @');
    expect(many[20]).toBe('22:6 and so on, 40 times from here; put the others right first');
  });

  test('a slip in one file does not keep those of others from being told', () => {
    const files = { 'a.yaml': 'commands:\n  b: @x\n  c: %y\n' };
    const text = 'include: a.yaml\ncommands: {w: {run: x, nce: 1}}';
    expect(problemsOf(text, { files }).map(({ file, line }) => [file, line])).toEqual([
      ['upkeep.yaml', 2],
      ['a.yaml', 2],
      ['a.yaml', 3],
    ]);
  });

  test('a policy need not have commands where there are others', () => {
    const readFile = readerOf({ 'upkeep.yaml': 'container: {grace: 5s}' });
    expect(loadPolicy('upkeep.yaml', { env: {}, readFile, othersNamed: true })).toMatchObject({
      commands: [],
      container: { grace: 5_000 },
    });
    expect(() => loadPolicy('upkeep.yaml', { env: {}, readFile })).toThrow('there is no command in it');
  });

  test('a name may be a number', () => {
    expect(load('commands: {80: a, 0x1: b}').commands.map(({ name }) => name)).toEqual(['80', '0x1']);
  });

  test('a bomb of aliases does not go off', () => {
    const lines = ['x-0: &x0 [a, a, a, a, a, a, a, a, a, a]'];
    for (let i = 1; i < 30; i++)
      lines.push(
        `x-${i}: &x${i} [${Array(10)
          .fill(`*x${i - 1}`)
          .join(', ')}]`,
      );
    const problems = told(`${lines.join('\n')}\ncommands: {a: {run: *x29}}`);
    expect(problems[0]).toContain('its aliases stand for too much; use fewer');
  });

  test('depth is bounded', () => {
    for (const depth of [100, 5_000]) {
      expect(told(`commands: {a: ${'['.repeat(depth)}${']'.repeat(depth)}}`).join()).toContain(
        'nested too deeply',
      );
    }
    const lines = (depth: number) =>
      Array.from({ length: depth }, (_, at) => `${' '.repeat(at)}a:`).join('\n');
    expect(told(lines(100)).join()).toContain('nested too deeply');
    expect(told(lines(60)).join()).not.toContain('nested too deeply');
    expect(told(`x-a: ${'['.repeat(60)}${']'.repeat(60)}\ncommands: {a: b}`)).toEqual([]);
  });

  // Some of these took all memory, others a quarter of a minute: nothing is put together that is too deep.
  test.each(['[', '{a: ', '- ', '? ', 'a: ', ': ', '[?', '*a : ', '{,'])(
    '100,000 times %j is too deep, and found out as fast as it is read',
    (piece) => {
      expect(told(piece.repeat(100_000))).toEqual([
        expect.stringMatching(/^1:\d{2,4} it is nested too deeply; make it flat$/),
      ]);
    },
  );
});

describe('include', () => {
  const files = {
    'sub/db.yaml': 'commands: {db: postgres}\ndefaults: {cwd: /db}\ninclude: more.yaml',
    'sub/more.yaml': 'commands: {more: {run: x, requires: db}}',
  };

  test('files are read relative to the one that includes them, and make one policy', () => {
    const policy = load(
      'include: [sub/db.yaml, sub/more.yaml]\ncommands: {web: {run: nginx, requires: [db, more]}}',
      {
        files,
      },
    );
    expect(policy.commands.map(({ name }) => name)).toEqual(['web', 'db', 'more']);
    expect(policy.commands.every(({ policy: said }) => said?.execution.cwd === '/db')).toBe(true);
  });

  test('mistakes carry the name of their file', () => {
    const problems = problemsOf('include: a.yaml\ncommands: {x: {run: y, nce: 1}}', {
      files: { 'a.yaml': 'commands:\n  b:\n    run: c\n    requires: [d, x]\n' },
    });
    expect(problems).toEqual([
      {
        file: 'upkeep.yaml',
        line: 2,
        column: 24,
        path: 'commands.x.nce',
        message: 'unknown key, did you mean nice?',
      },
      {
        file: 'a.yaml',
        line: 4,
        column: 16,
        path: 'commands.b.requires.0',
        message: 'no command or group is called "d"',
      },
    ]);
  });

  test.each<[string, Record<string, string>, string]>([
    [
      'include: no.yaml\ncommands: {a: b}',
      {},
      '1:10 include: cannot include "no.yaml": there is no such file; look at its path',
    ],
    [
      'include: [a.yaml]\ncommands: {a: b}',
      { 'a.yaml': 'commands: {a: c}' },
      '1:12 commands.a: the name is there twice, first at upkeep.yaml:2:12; choose another',
    ],
    [
      'include: [a.yaml]\ndefaults: {nice: 1}\ncommands: {a: b}',
      { 'a.yaml': 'defaults: {nice: 1}' },
      '1:12 defaults.nice: the key is there twice, first at upkeep.yaml:2:12; take one out',
    ],
    [
      'include: a.yaml\ncommands: {a: b}',
      { 'a.yaml': 'include: ./upkeep.yaml' },
      '1:10 include: upkeep.yaml → a.yaml → upkeep.yaml: these include one another in a circle; take one out',
    ],
  ])('%j', (text, others, message) => {
    expect(told(text, { files: others })).toEqual([message]);
  });
});

test('a file that is not there, or may not be read', () => {
  const failing = (code: string) => () => {
    const readFile = (): string => {
      throw Object.assign(new Error('EWHY: it is so'), { code });
    };
    return loadPolicy('/etc/upkeep.yaml', { env: {}, readFile });
  };
  expect(failing('ENOENT')).toThrow(
    'cannot use /etc/upkeep.yaml: there is a mistake in it; put this right:\n/etc/upkeep.yaml: there is no such file; look at its path',
  );
  expect(failing('EACCES')).toThrow('it may not be read; look at its rights');
  expect(failing('EWHY')).toThrow('EWHY: it is so; look at the file');
});

test('all mistakes are told at once, in the order of the file', () => {
  const text = `
commands:
  db:
    run: postgres
    port: 5432
  web:
    run: "nginx -g 'daemon off;"
    requires: [dbs, web]
    restart: allways
    stop: TERM
groups:
  back: {members: [db, we], strategy: rest}
container: {exitWhen: done}
`;
  expect(told(text).map((line) => line.replace(/(.*?: ).*/, '$1'))).toEqual([
    '5:5 commands.db.port: ',
    '7:10 commands.web.run: ',
    '8:16 commands.web.requires.0: ',
    '8:21 commands.web.requires.1: ',
    '9:14 commands.web.restart: ',
    '10:11 commands.web.stop: ',
    '12:24 groups.back.members.1: ',
    '12:39 groups.back.strategy: ',
    '13:23 container.exitWhen: ',
  ]);
  expect(() => load(text)).toThrow(
    /^cannot use upkeep\.yaml: there are 9 mistakes in it; put this right:\nupkeep\.yaml:5:5: /,
  );
});

describe('whatever the input is', () => {
  const survives = (text: string): boolean => {
    try {
      loadPolicy('upkeep.yaml', { env: { A: 'x' }, readFile: readerOf({ 'upkeep.yaml': text }) });
      return true;
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error;
      return (
        error.problems.length > 0 && error.problems.every(({ message, line }) => message !== '' && line >= 0)
      );
    }
  };
  const scraps = fc.constantFrom(
    ...[
      ' ',
      '\n',
      '\t',
      ': ',
      '- ',
      '{',
      '}',
      '[',
      ']',
      ',',
      '"',
      "'",
      '|',
      '>',
      '&a ',
      '*a',
      '<<: ',
      '!!str ',
      '#',
      '?',
      '---',
      '%YAML 1.1\n',
      '\0',
      '\uFEFF',
      '\u2028',
      '\uD800',
      `\${`,
      '$$',
      '~',
      'null',
      '1e999',
      '.nan',
      '__proto__',
      'constructor',
      'commands:',
      'run',
      '!!binary ',
      '2001-01-01',
      '!!set ',
    ],
  );

  test('scraps of YAML are a policy or have mistakes', () => {
    const text = fc.array(fc.oneof(scraps, fc.string({ maxLength: 4 })), { maxLength: 30 });
    fc.assert(
      fc.property(text, (parts) => survives(parts.join(''))),
      { numRuns: 1000 },
    );
  });

  test('any plain values are a policy or have mistakes', () => {
    fc.assert(
      fc.property(
        fc.object({
          maxDepth: 4,
          key: fc.constantFrom(
            'commands',
            'a',
            'run',
            'ready',
            'groups',
            'defaults',
            'include',
            'members',
            'requires',
            'container',
            'toString',
          ),
        }),
        (value) => survives(stringify(value)),
      ),
      { numRuns: 500 },
    );
  });

  test('a file in which something was changed is a policy or has mistakes', () => {
    const edit = fc.tuple(
      fc.nat(),
      fc.nat(12),
      fc.oneof(scraps, fc.string({ maxLength: 6 }), fc.constant('')),
    );
    fc.assert(
      fc.property(rawPolicies, fc.array(edit, { minLength: 1, maxLength: 4 }), (raw, edits) => {
        let text = stringify(raw);
        for (const [at, length, put] of edits) {
          const from = at % (text.length + 1);
          text = text.slice(0, from) + put + text.slice(from + length);
        }
        return survives(text);
      }),
      { numRuns: 500 },
    );
  });

  test('a value that was put in the place of another is a policy or has mistakes', () => {
    const strange = fc.constantFrom<unknown>(
      null,
      0,
      -1,
      1e21,
      1.5,
      true,
      '',
      'x',
      '5s',
      [],
      [[]],
      {},
      { a: {} },
      `\${A}`,
      'TERM',
      [1, 'a'],
      { soft: 1 },
    );
    fc.assert(
      fc.property(rawPolicies, fc.nat(), strange, (raw, seed, value) => {
        const whole = structuredClone(raw) as unknown;
        const spots: [Record<string, unknown>, string][] = [];
        const visit = (node: unknown): void => {
          if (typeof node !== 'object' || node === null) return;
          for (const key of Object.keys(node)) {
            spots.push([node as Record<string, unknown>, key]);
            visit((node as Record<string, unknown>)[key]);
          }
        };
        visit(whole);
        const [container, key] = spots[seed % spots.length]!;
        container[key] = value;
        return survives(stringify(whole));
      }),
      { numRuns: 700 },
    );
  });
});
