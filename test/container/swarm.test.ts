/** The stack of examples/swarm in a Swarm of this one engine: replicas that fail are replaced, and an update loses no request. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { exportPolicy } from '../../src/export/export.ts';
import { load } from '../policy/policies.ts';
import { type Container, docker, dockerOk, run } from './docker.ts';
import { IMAGES } from './images.ts';

const STACK = 'upkeep-test';
const WEB = `${STACK}_web`;
const EXAMPLE = join(import.meta.dirname, '..', '..', 'examples', 'swarm', 'stack.yaml');

/** What is asked for again and again, each time at an address that the name has at that moment. Prints what came of it. */
const CLIENT = `
import { resolve4 } from 'node:dns/promises';
import { request } from 'node:http';
const ask = async () => {
  const [host] = (await resolve4('web')).sort(() => Math.random() - 0.5);
  return new Promise((answer, fail) => {
    const asked = request({ host, port: 8080, agent: false, timeout: 10_000 }, (response) => {
      let text = '';
      response.on('data', (part) => (text += part));
      response.on('end', () => answer(text.trim()));
    });
    asked.on('timeout', () => asked.destroy(new Error('no answer')));
    asked.on('error', fail);
    asked.end();
  });
};
for (;;) {
  console.log(await ask().then((text) => 'ok ' + text, (error) => 'lost ' + (error.code ?? error.message)));
  await new Promise((next) => setTimeout(next, 10));
}
`;

/** A task of the service, newest first in each slot. */
interface Task {
  readonly id: string;
  readonly state: string;
  readonly wanted: string;
}

describe('a Swarm', () => {
  const folder = mkdtempSync(join(tmpdir(), 'upkeep-swarm-'));
  /** Whether this test has made it. */
  let made = false;

  beforeAll(async () => {
    if ((await dockerOk(['info', '--format', '{{.Swarm.LocalNodeState}}'])) === 'inactive') {
      await dockerOk(['swarm', 'init', '--advertise-addr', '127.0.0.1']);
      made = true;
    }
  });

  afterAll(async () => {
    rmSync(folder, { recursive: true });
    await docker(['stack', 'rm', STACK]);
    if (made) await docker(['swarm', 'leave', '--force']);
  });

  /** Waits until `condition` gives something truthy. @throws after a while, with what the service has come to */
  async function until<T>(what: string, condition: () => Promise<T>, seconds = 120): Promise<NonNullable<T>> {
    const deadline = performance.now() + seconds * 1000;
    for (;;) {
      const got = await condition();
      if (got) return got;
      if (performance.now() > deadline) {
        const { stdout } = await docker(['stack', 'ps', '--no-trunc', STACK]);
        throw new Error(`not within ${seconds} s: ${what}. The stack has:\n${stdout}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  function deploy(file: string, env: Readonly<Record<string, string>> = {}): void {
    const words = ['stack', 'deploy', '--resolve-image', 'never', '--prune', '-c', file, STACK];
    const { status, stderr } = spawnSync('docker', words, {
      encoding: 'utf8',
      env: { ...process.env, ...env },
    });
    if (status !== 0) throw new Error(`cannot deploy the stack: ${stderr}`);
  }

  async function tasks(service: string): Promise<Task[]> {
    const format = '{{.ID}} {{.DesiredState}} {{.CurrentState}}';
    const listed = await dockerOk(['service', 'ps', '--no-trunc', '--format', format, service]);
    return listed
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [id, wanted, state] = line.split(' ');
        return { id: id!, wanted: wanted!, state: state! };
      });
  }

  const running = async (service: string): Promise<string[]> =>
    (await tasks(service))
      .filter(({ state, wanted }) => state === 'Running' && wanted === 'Running')
      .map(({ id }) => id);

  const containerOf = (task: string): Promise<string> =>
    dockerOk(['inspect', '--format', '{{.Status.ContainerStatus.ContainerID}}', task]);

  describe('with the example', () => {
    let client: Container;

    /**
     * The example, asked by its name in the DNS: the mesh that publishes ports takes IPVS, which is not in every kernel.
     *
     * @param checked false: without its check
     */
    function example(checked: boolean): string {
      const stack = parse(readFileSync(EXAMPLE, 'utf8'));
      const { web } = stack.services;
      delete web.ports;
      web.deploy.endpoint_mode = 'dnsrr';
      stack.networks = { default: { driver: 'overlay', attachable: true } };
      if (!checked) web.healthcheck = { disable: true };
      const file = join(folder, `${checked}.yaml`);
      writeFileSync(file, stringify(stack));
      return file;
    }

    const asked = async () => (await client.log()).split('\n').filter((line) => /^(?:ok|lost) /.test(line));
    const lost = async (from: number) =>
      (await asked()).slice(from).filter((line) => line.startsWith('lost'));

    /** Rolls out a version, and waits until it alone answers. @returns how many answers there were before, and after */
    async function update(version: string, checked: boolean): Promise<{ before: number; after: number }> {
      const before = (await asked()).length;
      deploy(example(checked), { IMAGE: IMAGES.replica, VERSION: version });
      await until(`version ${version} everywhere`, async () => {
        const state = await dockerOk(['service', 'inspect', '--format', '{{json .UpdateStatus}}', WEB]);
        const { State = '' } = JSON.parse(state) ?? {};
        expect(State).not.toMatch(/rollback|paused/);
        if (State !== 'completed') return false;
        const last = (await asked()).slice(-20);
        return last.length === 20 && last.every((line) => line.startsWith(`ok version ${version} `));
      });
      return { before, after: (await asked()).length };
    }

    beforeAll(async () => {
      deploy(example(true), { IMAGE: IMAGES.replica, VERSION: '1' });
      await until('two replicas', async () => (await running(WEB)).length === 2);
      const options = ['--network', `${STACK}_default`, '--entrypoint', 'node'];
      client = await run(IMAGES.upkeep, ['--input-type=module', '--eval', CLIENT], options);
      await client.until('both answer', async () => new Set((await asked()).slice(-50)).size === 2);
    });

    afterAll(() => client?.remove());

    test('each replica is a container with upkeep as its first process', async () => {
      for (const task of await running(WEB)) {
        const container = await containerOf(task);
        const words = await dockerOk(['exec', container, 'cat', '/proc/1/cmdline']);
        expect(words.split('\0').slice(1, 3)).toEqual([expect.stringMatching(/upkeep$/), 'run']);
        const health = await dockerOk(['inspect', '--format', '{{.State.Health.Status}}', container]);
        expect(health).toBe('healthy');
      }
    });

    test('a command that dies is restarted by upkeep, and its replica stays', async () => {
      const before = await running(WEB);
      const container = await containerOf(before[0]!);
      const pids = async () =>
        [...(await dockerOk(['logs', container])).matchAll(/web: running: pid (\d+)/g)].map(
          ([, pid]) => pid!,
        );
      const first = await until('its pid', async () => (await pids())[0]);
      await dockerOk(['exec', container, 'sh', '-c', `kill -9 ${first}`]);
      await until('another pid', async () => (await pids()).length > 1);
      expect(await running(WEB)).toEqual(before);
    });

    test.each([
      ['was killed', (container: string) => dockerOk(['kill', container])],
      ['is not well', (container: string) => dockerOk(['exec', container, 'touch', '/run/broken'])],
    ])('a replica that %s is replaced', async (_, harm) => {
      const [failing, other] = await running(WEB);
      await harm(await containerOf(failing!));
      await until('another one', async () => {
        const now = await running(WEB);
        return now.length === 2 && !now.includes(failing!);
      });
      expect(await running(WEB)).toContain(other);
    });

    test('an update loses no request', async () => {
      const { before, after } = await update('2', true);
      expect(await lost(before)).toEqual([]);
      console.log(`${after - before} requests during the update, none lost`);
      expect(after - before).toBeGreaterThan(100);
    });

    test('without the check it does: those that came to a replica which did not serve yet', async () => {
      await update('3', false);
      const { before, after } = await update('4', false);
      const failed = await lost(before);
      console.log(
        `${after - before} requests during the update, ${failed.length} lost: ${[...new Set(failed)]}`,
      );
      expect(failed).toContain('lost ECONNREFUSED');
    });
  });

  test('takes what is exported for it', async () => {
    const policy = load(`
commands:
  web:
    run: node -e 'require("http").createServer((q, r) => r.end("$1")).listen(8080)' "a $ b"
    ready: { listening: 8080 }
    health: { listening: 8080, every: 1s }
    user: "1000"
    capabilities: []
    limits: { nofile: 4096 }
    env: { A: "x$y" }
    stop: { signal: INT, timeout: 3s }
  once: { run: "true", kind: oneshot, retries: 1, requires: web }
  tick: { run: "true", schedule: "@daily" }
  a.b: sleep 1000
`);
    const file = join(folder, 'exported.yaml');
    writeFileSync(file, exportPolicy(policy, 'upkeep.yaml', IMAGES.upkeep, 'swarm'));
    deploy(file);
    await until('web is well', async () => {
      const [task] = await running(WEB);
      if (task === undefined) return false;
      const container = await containerOf(task);
      const { stdout } = await docker(['inspect', '--format', '{{.State.Health.Status}}', container]);
      return stdout.trim() === 'healthy';
    });
    const [task] = await running(WEB);
    const container = await containerOf(task!);
    expect(await dockerOk(['exec', container, 'sh', '-c', 'id -u; ulimit -n; echo "$A"'])).toBe(
      '1000\n4096\nx$y',
    );
    expect(await dockerOk(['exec', container, 'grep', '^CapBnd', '/proc/1/status'])).toMatch(/\s0{16}$/);
    await until('once is done', async () =>
      (await tasks(`${STACK}_once`)).some(({ state }) => state === 'Complete'),
    );
    expect(await tasks(`${STACK}_tick`)).toEqual([]);
    await until('a.b runs', async () => (await running(`${STACK}_a-b`)).length === 1);
    // As its comment says.
    await dockerOk(['service', 'update', '--detach', '--force', '--replicas', '1', `${STACK}_tick`]);
    await until('tick has run', async () =>
      (await tasks(`${STACK}_tick`)).some(({ state }) => state === 'Complete'),
    );
  });
});
