/** What each key of a policy becomes in a Compose file, for Docker Compose and for a Swarm. */
import { describe, expect, test } from 'vitest';
import { exportPolicy } from '../../src/export/export.ts';
import { load } from '../policy/policies.ts';
import { documentsOf, remarksOf, type Tree } from './schemas.ts';

interface Made {
  readonly services: Readonly<Record<string, Tree>>;
  readonly web: Tree;
  readonly whole: Tree;
  readonly remarks: string;
}

function made(engine: 'compose' | 'swarm', text: string): Made {
  const printed = exportPolicy(load(text), 'upkeep.yaml', 'shop:1', engine);
  const [whole] = documentsOf(printed);
  return {
    whole: whole!,
    services: whole!.services,
    web: whole!.services.web,
    remarks: remarksOf(printed).join('\n'),
  };
}

const compose = (web: string, others = '') =>
  made('compose', `commands: {web: {run: nginx, ${web}}, ${others}}`);
const swarm = (web: string, others = '') => made('swarm', `commands: {web: {run: nginx, ${web}}, ${others}}`);

describe('what is run', () => {
  test('nothing but that: a service that is started again always', () => {
    expect(made('compose', 'commands: {web: "nginx -g \'daemon off;\'"}').whole).toEqual({
      services: {
        web: {
          image: 'shop:1',
          entrypoint: ['nginx', '-g', 'daemon off;'],
          healthcheck: { disable: true },
          restart: 'always',
        },
      },
    });
    expect(made('swarm', 'commands: {web: nginx}').whole).toEqual({
      version: '3.8',
      services: {
        web: {
          image: 'shop:1',
          entrypoint: ['nginx'],
          healthcheck: { disable: true },
          deploy: { restart_policy: { condition: 'any' } },
        },
      },
    });
  });

  test('by a shell, with variables in front and beside', () => {
    expect(compose('', 'x: {run: "cd /srv && exec node $APP"}').services.x!.entrypoint).toEqual([
      '/bin/sh',
      '-c',
      'cd /srv && exec node $$APP',
    ]);
    const { services } = compose('', 'x: {run: A=1 B=2 prog, env: {A: 0, C: "3"}}');
    expect(services.x).toMatchObject({ entrypoint: ['prog'], environment: { A: '1', B: '2', C: '3' } });
  });

  test('an init script, by upkeep: its container would end at once', () => {
    const { services, remarks } = compose('', 'x: {run: /etc/init.d/apache2 start, user: root}');
    expect(services.x!.entrypoint).toEqual(['upkeep', 'run', 'x: /etc/init.d/apache2 start']);
    expect(services.x).not.toHaveProperty('pre_stop');
    // That of its image asks this upkeep.
    expect(services.x).not.toHaveProperty('healthcheck');
    expect(remarks).toContain('An init script returns, and a container ends with its command');
  });

  test('an address of its own container is pointed at, where there are others', () => {
    const other = 'x: {run: prog, env: {DB: "localhost:5432"}}';
    expect(compose('', other).remarks).toContain('127.0.0.1 and localhost are this container alone');
    expect(made('compose', `commands: {${other}}`).remarks).not.toContain('127.0.0.1');
  });
});

test('execution', () => {
  const given =
    'user: www-data, group: web, groups: [a, "5"], cwd: /srv, umask: "0027", nice: 5, envFile: [/etc/a, -/etc/b], noNewPrivileges: true, capabilities: [net_bind_service], limits: {nofile: {soft: 10, hard: unlimited}, as: 7}';
  const { web, remarks } = compose(given);
  expect(web).toMatchObject({
    user: 'www-data:web',
    group_add: ['a', '5'],
    working_dir: '/srv',
    security_opt: ['no-new-privileges:true'],
    cap_drop: ['ALL'],
    cap_add: ['NET_BIND_SERVICE'],
    ulimits: { nofile: { soft: 10, hard: -1 } },
  });
  for (const remark of ['nice: 5', 'umask: "0027"', 'envFile: /etc/a', 'envFile: -/etc/b', 'limits.as: 7']) {
    expect(remarks).toContain(remark);
  }
  expect(remarks).toContain('capabilities: www-data has them only where');

  const there = swarm(given);
  expect(there.web).toMatchObject({ user: 'www-data:web', cap_drop: ['ALL'], cap_add: ['NET_BIND_SERVICE'] });
  for (const remark of ['groups: a, 5', 'noNewPrivileges: true']) expect(there.remarks).toContain(remark);

  expect(compose('capabilities: []').web).toMatchObject({ cap_drop: ['ALL'] });
  expect(compose('capabilities: []').web).not.toHaveProperty('cap_add');
  expect(compose('group: web').remarks).toContain('group: web');
});

describe('secrets', () => {
  test('are files, which a shell puts into variables', () => {
    const { web, whole, remarks } = compose(
      'secrets: [DB_PASSWORD]',
      'x: {run: prog, secrets: [DB_PASSWORD]}',
    );
    const script = 'DB_PASSWORD="$$(cat /run/secrets/db_password)" && export DB_PASSWORD && exec "$$0" "$$@"';
    expect(web.entrypoint).toEqual(['/bin/sh', '-c', script, 'nginx']);
    expect(web.secrets).toEqual(['db_password']);
    expect(whole.secrets).toEqual({ db_password: { file: './secrets/db_password' } });
    expect(remarks).toContain('secrets: Compose gives files alone');
    expect(swarm('secrets: [DB_PASSWORD]').whole.secrets).toEqual({ db_password: { external: true } });
  });

  test('at a path of their own, and two of one name', () => {
    const { services, whole } = compose(
      'secrets: {A: {file: /run/secrets/db}}',
      'x: {run: prog, secrets: {A: {file: "/o t"}}}, y: {run: prog, secrets: {A: {file: /run/secrets/db}}}',
    );
    expect(services.web!.secrets).toEqual([{ source: 'a', target: '/run/secrets/db' }]);
    expect(services.y!.secrets).toEqual(services.web!.secrets);
    expect(services.x!.secrets).toEqual([{ source: 'a-2', target: '/o t' }]);
    expect(services.x!.entrypoint[2]).toContain(`"$$(cat '/o t')"`);
    expect(Object.keys(whole.secrets)).toEqual(['a', 'a-2']);
  });
});

describe('order', () => {
  test('required: by what it has to have come to', () => {
    const { web, remarks } = compose(
      'requires: {a: started, b: ready, c: ready, d: completed, e: ready}, after: f',
      `a: {run: a, ready: {listening: 1}}, b: {run: b, ready: {listening: 2}}, c: c, d: {run: d, kind: oneshot},
       e: {run: e, ready: {log: up}}, f: f`,
    );
    expect(web.depends_on).toEqual({
      a: { condition: 'service_started' },
      b: { condition: 'service_healthy' },
      c: { condition: 'service_started' },
      d: { condition: 'service_completed_successfully' },
      e: { condition: 'service_started' },
      f: { condition: 'service_started', required: false },
    });
    expect(remarks).toContain('requires: e: ready: nobody can tell when it is');
    expect(remarks).toContain('ready.log: nobody reads its log for that');
  });

  test('after a oneshot, or a schedule', () => {
    const { web, remarks } = compose(
      'after: [a, b]',
      'a: {run: a, kind: oneshot}, b: {run: b, schedule: "@daily"}',
    );
    expect(web.depends_on).toEqual({ a: { condition: 'service_started', required: false } });
    expect(remarks).toContain('after: a: its end is not waited for');
    expect(remarks).toContain('after: b: nobody knows when it is run');
  });

  test('in a Swarm there is none', () => {
    const { remarks } = swarm('requires: {a: ready}, after: b', 'a: a, b: b');
    expect(remarks).toContain('requires: a: ready: a Swarm starts all at once');
    expect(remarks).toContain('after: b: a Swarm starts all at once');
  });
});

describe('probes', () => {
  test.each([
    ['listening: 5432', ['grep', '-qs', ':1538 [0-9A-F]*:0000 0A', '/proc/net/tcp', '/proc/net/tcp6']],
    ['tcp: 80', ['grep', '-qs', ':0050 [0-9A-F]*:0000 0A', '/proc/net/tcp', '/proc/net/tcp6']],
    ['tcp: "db:80"', ['nc', '-z', '-w', '5', 'db', '80']],
    ['exec: pg_isready -q', ['pg_isready', '-q']],
    ['exec: A=1 prog', ['env', 'A=1', 'prog']],
    ['exec: "test $A"', ['/bin/sh', '-c', 'test $$A']],
    ['file: /run/up', ['test', '-e', '/run/up']],
    ['http: "http://127.0.0.1/up"', ['curl', '-fsS', '-g', '-o', '/dev/null', 'http://127.0.0.1/up']],
    [
      'http: {url: "https://localhost/", method: HEAD, headers: {A: b}}',
      ['curl', '-fsS', '-k', '-I', '-H', 'A: b', '-g', '-o', '/dev/null', 'https://localhost/'],
    ],
  ])('%s', (probe, words) => {
    for (const key of ['ready', 'health']) {
      expect(compose(`${key}: {${probe}}`).web.healthcheck.test).toEqual(['CMD', ...words]);
    }
  });

  test('the times of health', () => {
    const times = 'every: 10s, timeout: 1500ms, failures: 4, grace: 20s, successes: 2';
    const { web, remarks } = compose(`health: {tcp: 1, ${times}}`);
    expect(web.healthcheck).toMatchObject({
      interval: '10s',
      timeout: '1500ms',
      retries: 4,
      start_period: '20s',
    });
    expect(remarks).toContain('health.successes: 2');
    expect(
      compose(`health: {tcp: 1, ${times}}, ready: {tcp: 1, timeout: 30s}`).web.healthcheck.start_period,
    ).toBe('50s');
  });

  test('the times of ready: unhealthy when it has not come in time', () => {
    const { web } = compose('ready: {tcp: 1, timeout: 30s, interval: 2s}');
    expect(web.healthcheck).toMatchObject({ interval: '2s', timeout: '5s', retries: 15 });
    expect(compose('ready: {tcp: 1}').web.healthcheck).toMatchObject({ interval: '1s', retries: 60 });
  });

  test('health goes before ready: there is one check', () => {
    const { web, remarks } = compose('ready: {tcp: 1}, health: {exec: ask}');
    expect(web.healthcheck.test).toEqual(['CMD', 'ask']);
    expect(remarks).toContain('ready: a container has one check');
    expect(compose('ready: {tcp: 1}, health: {listening: 1}').remarks).not.toContain('one check');
    expect(compose('ready: {tcp: 1}, health: {notify: true}').web.healthcheck.test[1]).toBe('grep');
  });

  test.each([
    ['ready: {log: up}', 'ready.log'],
    ['ready: {delay: 1s}', 'ready.delay'],
    ['health: {notify: true}', 'health.notify'],
  ])('%s: nobody can ask that', (probe, remark) => {
    const { web, remarks } = compose(probe);
    expect(web.healthcheck).toEqual({ disable: true });
    expect(remarks).toContain(remark);
  });

  test('what of an answer nobody looks at', () => {
    const http = '{url: "http://127.0.0.1/", status: 204, body: ok, expectHeaders: {A: b}}';
    expect(compose(`health: {http: ${http}}`).remarks).toContain(
      'health.http: status, expectHeaders, body of the',
    );
    expect(compose('health: {file: {path: /x, fresh: true}}').remarks).toContain('health.file.fresh');
  });

  test('what is done about it', () => {
    const both = (what: string) => `health: {tcp: 1, onUnhealthy: ${what}}`;
    expect(compose(both('restart')).remarks).toContain('Docker only says that it is unhealthy');
    expect(compose(both('ignore')).remarks).not.toContain('onUnhealthy');
    expect(swarm(both('restart')).remarks).not.toContain('onUnhealthy');
    expect(swarm(both('ignore')).remarks).toContain(
      'onUnhealthy: ignore: a Swarm replaces what is unhealthy',
    );
  });
});

describe('when it is started again', () => {
  test.each([
    ['restart: on-failure', 'on-failure', { condition: 'on-failure' }],
    ['restart: never', 'no', { condition: 'none' }],
    [
      'restart: on-failure, intensity: {restarts: 3, within: 30s}',
      'on-failure:3',
      { condition: 'on-failure', max_attempts: 3, window: '30s' },
    ],
    // 0 would be without end for both.
    ['restart: on-failure, intensity: {restarts: 0, within: 30s}', 'no', { condition: 'none' }],
    ['intensity: {restarts: 3, within: 30s}', 'always', { condition: 'any', max_attempts: 3, window: '30s' }],
    ['kind: oneshot', 'no', { condition: 'none' }],
    ['kind: oneshot, retries: 2', 'on-failure:2', { condition: 'on-failure', max_attempts: 2 }],
    ['kind: oneshot, retries: unlimited', 'on-failure', { condition: 'on-failure' }],
    ['kind: oneshot, restart: never', 'no', { condition: 'none' }],
  ])('%s', (given, restart, policy) => {
    expect(compose(given).web.restart).toBe(restart);
    expect(swarm(given).web.deploy).toEqual({ restart_policy: policy });
  });

  test('what nobody does', () => {
    const given = 'successCodes: [0, 3], backoff: {first: 1s}, onFailed: exit';
    for (const { remarks } of [compose(given), swarm(given)]) {
      for (const key of ['successCodes: 0, 3', 'backoff:', 'onFailed: exit']) expect(remarks).toContain(key);
    }
    for (const key of ['successCodes', 'backoff', 'onFailed']) expect(compose('').remarks).not.toContain(key);
  });

  test('who waits for an order', () => {
    expect(compose('autostart: false').web).toMatchObject({ profiles: ['manual'] });
    expect(swarm('autostart: false').web).toMatchObject({ deploy: { replicas: 0 } });
    for (const made of [compose(''), swarm('')])
      expect(JSON.stringify(made.web)).not.toMatch(/profiles|replicas/);
  });

  test("a schedule is the host's", () => {
    const given =
      'schedule: {cron: "*/5 * * * *", timezone: Europe/Berlin}, jitter: 1s, overlap: kill, retries: 1';
    const { web, remarks } = compose(given);
    expect(web).toMatchObject({ profiles: ['scheduled'] });
    expect(web).not.toHaveProperty('restart');
    expect(remarks).toContain('schedule: */5 * * * * (Europe/Berlin): Compose has no schedules');
    expect(remarks).toContain('docker compose run --rm web');
    const there = swarm(given);
    expect(there.web.deploy).toEqual({ replicas: 0, restart_policy: { condition: 'none' } });
    expect(there.remarks).toContain('docker service update --detach --force --replicas 1 STACK_web');
    for (const key of ['jitter', 'overlap: kill', 'retries']) {
      expect(remarks).toContain(key);
      expect(there.remarks).toContain(key);
    }
  });
});

describe('how it is stopped', () => {
  test('by a signal, a command, in a time', () => {
    const { web, remarks } = compose('stop: {signals: [INT, 5s, QUIT], timeout: 6s}');
    expect(web).toMatchObject({ stop_signal: 'SIGINT', stop_grace_period: '6s' });
    expect(remarks).toContain('not QUIT after 5 s');
    expect(compose('stop: nginx -s quit').web.pre_stop).toEqual([{ command: ['nginx', '-s', 'quit'] }]);
    expect(swarm('stop: nginx -s quit').remarks).toContain(
      'stop.command: nginx -s quit: a Swarm sends signals alone',
    );
    expect(compose('stop: {signal: TERM}').web).not.toHaveProperty('stop_signal');
  });

  test('within the grace of the container', () => {
    expect(made('compose', 'commands: {web: nginx}\ncontainer: {grace: 20s}').web.stop_grace_period).toBe(
      '20s',
    );
  });
});

test('logs, and what is done by hand', () => {
  const given = 'log: {file: /var/log/x, tail: [/var/log/y]}, match: {name: x, count: [1, 4]}, reload: HUP';
  const { remarks } = compose(given);
  for (const key of ['log.file: /var/log/x', 'log.tail: /var/log/y', 'match.count: 1 to 4']) {
    expect(remarks).toContain(key);
  }
  expect(remarks).toContain('docker compose kill --signal HUP web');
  expect(swarm(given).remarks).toContain('docker kill --signal HUP CONTAINER');
  expect(compose('reload: nginx -s reload').remarks).toContain('docker compose exec web nginx -s reload');
});

test('groups, and the container as a whole', () => {
  const text = `
commands: {web: nginx, db: postgres}
groups: {shop: {members: [db, web], strategy: rest_for_one, intensity: {restarts: 1, within: 5m}, onFailed: exit}}
container: {exitWhen: any-failed, exitCodeFrom: web, syslog: true, http: true}
on: {pager: {events: died, run: x}}
`;
  const { remarks } = made('compose', text);
  expect(remarks).toContain('groups.shop.strategy: rest_for_one: each of db, web is restarted alone');
  expect(remarks).toContain('groups.shop.intensity');
  expect(remarks).toContain('groups.shop.onFailed');
  expect(remarks).toContain('docker compose up --abort-on-container-failure');
  expect(remarks).toContain('docker compose up --exit-code-from web');
  expect(remarks).toContain('container.syslog: nobody hears it');
  expect(remarks).toContain('container.http: nobody answers there');
  expect(remarks).toContain('on: nobody tells pager');
  expect(made('swarm', text).remarks).not.toContain('docker compose');
});

test('a name that a Swarm does not take', () => {
  const { services, remarks } = made('swarm', 'commands: {a.b: x, a-b: y, _c_: z}');
  expect(Object.entries(services).map(([name, { entrypoint }]) => [name, entrypoint[0]])).toEqual([
    ['a-b-2', 'x'],
    ['a-b', 'y'],
    ['c', 'z'],
  ]);
  expect(remarks).toContain('a.b in the policy');
});

test('whose comments stand where something is missing', () => {
  const policy = load(
    'commands: {a: a, web: {run: nginx, nice: 5, env: {A: b}, restart: on-failure, successCodes: 3}}',
  );
  const lines = exportPolicy(policy, 'x', 'y', 'compose').split('\n');
  const at = (part: string) => lines.findIndex((line) => line.includes(part));
  expect(at('# nice: 5')).toBe(at('environment:') - 1);
  expect(at('# successCodes: 3')).toBe(at('restart: on-failure') - 1);
  expect(at('  web:')).toBeLessThan(at('# nice: 5'));
});
