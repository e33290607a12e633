/** What each key of a policy becomes in Kubernetes. */
import { describe, expect, test } from 'vitest';
import { exportPolicy } from '../../src/export/export.ts';
import { load } from '../policy/policies.ts';
import { documentsOf, remarksOf, type Tree } from './schemas.ts';

function made(text: string) {
  const printed = exportPolicy(load(text), 'upkeep.yaml', 'shop:1', 'kubernetes');
  const objects = documentsOf(printed);
  const find = (kind: string, name: string) =>
    objects.find((object) => object.kind === kind && object.metadata.name === name);
  return { objects, find, remarks: remarksOf(printed).join('\n') };
}

/** The workload of a command called web, its pod and its container. */
function web(given: string, others = '') {
  const { objects, find, remarks } = made(`commands: {web: {run: nginx, ${given}}, ${others}}`);
  const object = objects.find(({ kind, metadata }) => kind !== 'Service' && metadata.name === 'web')!;
  const job = object.kind === 'CronJob' ? object.spec.jobTemplate.spec : object.spec;
  const pod: Tree = job.template.spec;
  return { object, job, pod, container: pod.containers[0] as Tree, find, remarks };
}

test('nothing but a command: a Deployment of one', () => {
  expect(made('commands: {web: "nginx -g \'daemon off;\'"}').objects).toEqual([
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', labels: { 'app.kubernetes.io/name': 'web' } },
      spec: {
        replicas: 1,
        selector: { matchLabels: { 'app.kubernetes.io/name': 'web' } },
        strategy: { type: 'Recreate' },
        template: {
          metadata: { labels: { 'app.kubernetes.io/name': 'web' } },
          spec: {
            containers: [{ name: 'web', image: 'shop:1', command: ['nginx', '-g', 'daemon off;'] }],
            terminationGracePeriodSeconds: 9,
          },
        },
      },
    },
  ]);
});

test('what is run, and with what', () => {
  const { container } = web('cwd: /srv, env: {A: $(B) $C $$}');
  expect(container).toMatchObject({ workingDir: '/srv', env: [{ name: 'A', value: '$$(B) $C $' }] });
  const script = made('commands: {x: /etc/init.d/apache2 start}');
  expect(script.find('Deployment', 'x')!.spec.template.spec.containers[0].command).toEqual([
    'upkeep',
    'run',
    'x: /etc/init.d/apache2 start',
  ]);
  expect(script.remarks).toContain('An init script returns');
});

describe('rights', () => {
  test('by number', () => {
    const { container, pod, remarks } = web(
      'user: "1000", group: 7, groups: [5, adm], noNewPrivileges: true, capabilities: [kill]',
    );
    expect(container.securityContext).toEqual({
      runAsUser: 1000,
      runAsGroup: 7,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'], add: ['KILL'] },
    });
    expect(pod.securityContext).toEqual({ supplementalGroups: [5] });
    expect(remarks).toContain('groups: adm');
    expect(remarks).toContain('capabilities: 1000 has them only where');
    expect(web('capabilities: []').container.securityContext).toEqual({ capabilities: { drop: ['ALL'] } });
    expect(web('user: root').container.securityContext).toEqual({ runAsUser: 0 });
  });

  test('by name: that is not to be had', () => {
    const { container, remarks } = web('user: www-data, group: web');
    expect(container).not.toHaveProperty('securityContext');
    expect(remarks).toContain('user: www-data: Kubernetes takes a number alone: write runAsUser');
    expect(remarks).toContain('group: web');
  });

  test('limits, nice, umask, env files', () => {
    const { remarks } = web('limits: {nofile: 9}, nice: 3, umask: "077", envFile: /etc/a');
    for (const key of ['limits.nofile: 9', 'nice: 3', 'umask: "0077"', 'envFile: /etc/a'])
      expect(remarks).toContain(key);
  });
});

test('secrets are keys of a secret', () => {
  const { container, remarks } = web('secrets: {A: {file: /run/a}, B: {}}');
  expect(container.env).toEqual([
    { name: 'A', valueFrom: { secretKeyRef: { name: 'web', key: 'A' } } },
    { name: 'B', valueFrom: { secretKeyRef: { name: 'web', key: 'B' } } },
  ]);
  expect(remarks).toContain('kubectl create secret generic web --from-file=A=/run/a');
});

describe('order', () => {
  test('what is required is waited for at its port', () => {
    const { pod, find } = web('requires: {my_db: ready}', 'my_db: {run: x, ready: {listening: 5432}}');
    expect(pod.initContainers).toEqual([
      {
        name: 'wait-for-my-db',
        image: 'busybox:1.37',
        command: ['sh', '-c', 'until nc -z -w 2 my-db 5432; do sleep 1; done'],
      },
    ]);
    expect(find('Service', 'my-db')!.spec).toEqual({
      selector: { 'app.kubernetes.io/name': 'my-db' },
      ports: [{ port: 5432 }],
    });
  });

  test('what can not be waited for is said', () => {
    const { pod, remarks } = web(
      'requires: {a: completed, b: started}, after: c',
      'a: {run: a, kind: oneshot}, b: b, c: c',
    );
    expect(pod).not.toHaveProperty('initContainers');
    expect(remarks).toContain('kubectl wait --for=condition=complete job/a');
    expect(remarks).toContain('requires: b: started: no probe tells its port');
    expect(remarks).toContain('after: c');
  });
});

describe('probes', () => {
  test('ready: asked until it is, then for the traffic', () => {
    const { container, find } = web(
      'ready: {http: {port: 8080, path: "/up?x=1", headers: {A: b}}, timeout: 30s, interval: 2s}',
    );
    const httpGet = { path: '/up?x=1', port: 8080, httpHeaders: [{ name: 'A', value: 'b' }] };
    expect(container.startupProbe).toEqual({
      httpGet,
      periodSeconds: 2,
      timeoutSeconds: 5,
      failureThreshold: 15,
    });
    expect(container.readinessProbe).toMatchObject({ httpGet, failureThreshold: 3 });
    expect(container.ports).toEqual([{ containerPort: 8080 }]);
    expect(find('Service', 'web')!.spec.ports).toEqual([{ port: 8080 }]);
  });

  test('health: it is started again', () => {
    const { container, remarks } = web(
      'health: {exec: "ask $(A)", every: 10s, timeout: 1500ms, failures: 4, grace: 20s}',
    );
    expect(container.livenessProbe).toEqual({
      exec: { command: ['/bin/sh', '-c', 'ask $$(A)'] },
      initialDelaySeconds: 20,
      periodSeconds: 10,
      timeoutSeconds: 2,
      failureThreshold: 4,
    });
    expect(remarks).not.toContain('onUnhealthy');
    expect(web('health: {tcp: 1, onUnhealthy: fail}').remarks).toContain(
      'onUnhealthy: fail: Kubernetes starts it again',
    );
    const ignored = web('health: {tcp: 1, onUnhealthy: ignore}');
    expect(ignored.container).not.toHaveProperty('livenessProbe');
    expect(ignored.remarks).toContain('onUnhealthy: ignore');
  });

  test.each<[string, Tree]>([
    ['listening: 80', { tcpSocket: { port: 80 } }],
    ['tcp: "db:80"', { tcpSocket: { host: 'db', port: 80 } }],
    ['http: "https://[::1]/x"', { httpGet: { path: '/x', port: 443, scheme: 'HTTPS' } }],
    ['http: "http://db/x"', { httpGet: { host: 'db', path: '/x', port: 80 } }],
    ['file: /run/up', { exec: { command: ['test', '-e', '/run/up'] } }],
    [
      'http: {url: "http://127.0.0.1/", method: POST}',
      { exec: { command: ['curl', '-fsS', '-X', 'POST', '-g', '-o', '/dev/null', 'http://127.0.0.1/'] } },
    ],
  ])('%s', (probe, handler) => {
    const { container } = web(`health: {${probe}}`);
    const { periodSeconds, timeoutSeconds, failureThreshold, ...rest } = container.livenessProbe;
    expect(rest).toEqual(handler);
    expect({ periodSeconds, timeoutSeconds, failureThreshold }).toEqual({
      periodSeconds: 30,
      timeoutSeconds: 5,
      failureThreshold: 3,
    });
  });

  test('what nobody can ask, and where it has to listen', () => {
    const { container, remarks } = web('ready: {log: up}, health: {notify: true}');
    expect(container).not.toHaveProperty('startupProbe');
    expect(container).not.toHaveProperty('livenessProbe');
    expect(remarks).toContain('ready.log');
    expect(remarks).toContain('health.notify');
    expect(web('ready: {tcp: 80}').remarks).toContain('not on 127.0.0.1 alone');
    expect(web('ready: {http: {port: 80, status: 204}}').remarks).toContain(
      'ready.http: status of the answer',
    );
  });
});

describe('when it is started again', () => {
  test.each([
    ['kind: oneshot', 0],
    ['kind: oneshot, retries: 2', 2],
    ['kind: oneshot, retries: unlimited', 2_147_483_647],
    // A service that is not started again runs once as well.
    ['restart: never', 0],
  ])('%s: a Job', (given, backoffLimit) => {
    const { object, job, pod } = web(given);
    expect(object).toMatchObject({ apiVersion: 'batch/v1', kind: 'Job' });
    expect(job.backoffLimit).toBe(backoffLimit);
    expect(pod.restartPolicy).toBe('Never');
  });

  test('what a Deployment does not do', () => {
    const { object, remarks } = web(
      'restart: on-failure, intensity: {restarts: 1, within: 1m}, successCodes: 3, backoff: {max: 5s}, onFailed: exit',
    );
    expect(object.kind).toBe('Deployment');
    for (const key of ['restart: on-failure', 'intensity', 'successCodes: 3', 'backoff', 'onFailed: exit']) {
      expect(remarks).toContain(`${key}`);
    }
  });
});

describe('schedules', () => {
  test('with all that they have', () => {
    const { object, job, remarks } = web(
      'schedule: {cron: "*/5 2-4 * jan-mar 1,7", timezone: Europe/Berlin}, overlap: kill, retries: 1, jitter: 1m',
    );
    expect(object.kind).toBe('CronJob');
    expect(object.spec).toMatchObject({
      schedule: '*/5 2-4 * jan-mar 1,0',
      timeZone: 'Europe/Berlin',
      concurrencyPolicy: 'Replace',
      startingDeadlineSeconds: 60,
    });
    expect(object.spec).not.toHaveProperty('suspend');
    expect(job.backoffLimit).toBe(1);
    expect(remarks).toContain('jitter');
  });

  test('who waits for an order', () => {
    expect(web('autostart: false').object.spec.replicas).toBe(0);
    expect(web('kind: oneshot, autostart: false').object.spec.suspend).toBe(true);
    expect(web('schedule: "@daily", autostart: false').object.spec.suspend).toBe(true);
    expect(web('kind: oneshot').object.spec).not.toHaveProperty('suspend');
  });

  test.each([
    ['@daily', '@daily'],
    ['0 30 6 * * *', '30 6 * * *'],
    ['15 30 6 * * *', '30 6 * * *'],
    ['0 0 1 1 0', '0 0 1 1 0'],
  ])('%s', (cron, schedule) => {
    const { object, remarks } = web(`schedule: "${cron}"`);
    expect(object.spec).toMatchObject({ schedule, concurrencyPolicy: 'Forbid' });
    expect(remarks.includes('knows no seconds')).toBe(cron.startsWith('15'));
  });

  test.each(['0 0 L * *', '0 0 * * 5-7', '0 0 * * 5#2', '0 0 * * 5L'])(
    '%s: what Kubernetes can not say',
    (cron) => {
      const { object, remarks } = web(`schedule: "${cron}"`);
      expect(object.spec.suspend).toBe(true);
      expect(remarks).toContain(`schedule: ${cron}: Kubernetes can't say that`);
    },
  );

  test('one after the other: that is left out', () => {
    const { object, remarks } = web('schedule: "@hourly", overlap: queue');
    expect(object.spec.concurrencyPolicy).toBe('Forbid');
    expect(remarks).toContain('overlap: queue');
  });
});

test('how it is stopped', () => {
  const { container, pod, remarks } = web('stop: {command: nginx -s quit, signal: QUIT, timeout: 5500ms}');
  expect(container.lifecycle).toEqual({ preStop: { exec: { command: ['nginx', '-s', 'quit'] } } });
  expect(pod.terminationGracePeriodSeconds).toBe(6);
  expect(remarks).toContain('STOPSIGNAL SIGQUIT');
  expect(made('commands: {web: x}\ncontainer: {grace: 1m}').objects[0]!.spec.template.spec).toMatchObject({
    terminationGracePeriodSeconds: 60,
  });
});

test('names as Kubernetes takes them', () => {
  const { objects, remarks } = made('commands: {Web_1: x, web-1: y, 7: z, a.b_: w}');
  expect(
    objects.map(({ metadata, spec }) => [metadata.name, spec.template.spec.containers[0].command[0]]),
  ).toEqual([
    ['web-1-2', 'x'],
    ['web-1', 'y'],
    ['c-7', 'z'],
    ['a-b', 'w'],
  ]);
  expect(remarks).toContain('Web_1 in the policy');
});
