/** What a running upkeep says of what nobody has ordered, and of who has ordered what. */
import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { noNamespace } from './namespace.ts';
import { type Answer, ask, type Kept, keep } from './policies.ts';

const STAYS = 'sleep 1000';

const verb = (kept: Kept, ...words: string[]): Promise<Answer> =>
  ask(kept.inside, [...words, '--socket', kept.at('sock')]);
const json = async (kept: Kept, ...words: string[]) =>
  JSON.parse((await verb(kept, ...words, '--json')).stdout);
const asOne = (text: string): string => text.replaceAll(/\n +/g, ' ');

/** A port that was free just now. */
const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

describe.skipIf(noNamespace !== null)(`with a policy (needs PID namespaces: ${noNamespace})`, () => {
  test('a group that has given up is not as it is wished to be, until somebody stops or starts it', async (context) => {
    const port = await freePort();
    const kept = await keep(
      context,
      `
commands:
  a: ${STAYS}
  b: ${STAYS}
  other: ${STAYS}
groups: { g: { members: [a, b], strategy: one_for_all, intensity: { restarts: 0, within: 60s } } }
container: { http: "127.0.0.1:${port}" }
`,
    );
    const { upkeep, inside } = kept;
    const [pid] = await upkeep.running('a', 'b', 'other');
    const url = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
    expect((await url('/livez')).status).toBe(200);
    await inside.end(pid!);
    await upkeep.event('group.failed');

    expect(await verb(kept, 'status')).toMatchObject({
      code: 3,
      stdout: expect.stringMatching(/^b +stopped .*\n? .*group g gave up: upkeep start --group g$/m),
    });
    for (const which of ['--live', '--ready']) {
      expect(await verb(kept, 'health', which)).toMatchObject({
        code: 1,
        stdout: 'failed: a is stopped (group g gave up), b is stopped (group g gave up)\n',
      });
    }
    const reason = expect.stringMatching(/^group g gave up: a died: more than 0 restarts in 60 s$/);
    const gaveUp = { group: 'g', reason: expect.stringMatching(/^a died/), time: expect.any(String) };
    expect((await json(kept, 'status', 'a', 'b')).commands).toMatchObject([
      { state: 'stopped', desired: 'up', asWished: false, reason, gaveUp },
      { state: 'stopped', desired: 'up', asWished: false, reason, gaveUp },
    ]);
    expect(asOne((await verb(kept, 'why', 'b')).stdout)).toMatch(
      /It is wished up .* and that is not so\.\nIts group g gave up at \S+Z: a died: more than 0 restarts in 60 s\. .*upkeep start --group g\./,
    );
    await expect.poll(async () => (await url('/livez')).status, { timeout: 60_000 }).toBe(503);
    await expect
      .poll(async () => (await url('/metrics')).text(), { timeout: 60_000 })
      .toMatch(/^upkeep_command_as_wished\{command="b"\} 0$/m);

    expect(await verb(kept, 'stop', 'a', 'b')).toMatchObject({ code: 0, stderr: '' });
    expect(await verb(kept, 'status')).toMatchObject({ code: 0 });
    expect(await verb(kept, 'health')).toMatchObject({ code: 0, stdout: 'ready\n' });
    expect(await verb(kept, 'start', '--group', 'g')).toMatchObject({ code: 0, stderr: '' });
    expect((await json(kept, 'status', 'b')).commands).toMatchObject([{ state: 'running', gaveUp: null }]);

    // What has given up once is started by an order alone, too.
    await inside.end(kept.pidOf('b')!);
    await upkeep.event('group.failed', undefined, 2);
    expect(await verb(kept, 'health', '--live')).toMatchObject({ code: 1 });
    expect(await verb(kept, 'start', '--group', 'g')).toMatchObject({ code: 0, stderr: '' });
    expect(await verb(kept, 'status')).toMatchObject({ code: 0 });
  });

  test('a start that its group ends by giving up is told at once', async (context) => {
    const kept = await keep(
      context,
      `
commands:
  a: { run: ${STAYS}, ready: { exec: "false", timeout: 500ms, interval: 50ms }, intensity: { restarts: 0, within: 60s } }
  b: { run: ${STAYS}, autostart: false, ready: { exec: "false", timeout: 1h } }
groups: { g: { members: [a, b], strategy: one_for_all } }
`,
    );
    await kept.upkeep.event('group.failed');
    const { code, stderr } = await verb(kept, 'start', 'a', 'b');
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining('cannot start b: group g gave up: a has failed for good'),
    ]);
  });

  test('who wished what is told, however many signals came since', async (context) => {
    const kept = await keep(context, `commands: { web: ${STAYS} }`);
    await kept.upkeep.running('web');
    expect((await json(kept, 'why', 'web')).wish).toBeNull();
    await verb(kept, 'stop', 'web');
    for (let count = 0; count < 5; count++) {
      expect(await verb(kept, 'signal', 'web', 'HUP')).toMatchObject({
        code: 1,
        stderr: 'upkeep: cannot send SIGHUP to web: it does not run; start it first: upkeep start web\n',
      });
    }
    const by = { uid: 0, pid: expect.any(Number) };
    const why = await json(kept, 'why', 'web');
    expect(why).toMatchObject({ wish: { order: 'stop', by }, orders: [{ order: 'stop', by }] });
    expect(asOne((await verb(kept, 'why', 'web')).stdout)).toMatch(
      new RegExp(
        `It is wished down since \\S+Z \\(stop, ordered by uid 0, pid ${why.wish.by.pid}\\), and that is so\\.`,
      ),
    );
    expect(kept.upkeep.events('operator.ordered')).toMatchObject([{ order: 'stop', by }]);
  });

  test('why tells of timers, and of what the last probes said', async (context) => {
    const kept = await keep(
      context,
      `
commands:
  slow: { run: ${STAYS}, ready: { exec: "sh -c 'exit 8'", timeout: 1h, interval: 1m } }
  ill: { run: ${STAYS}, health: { exec: "sh -c 'exit 9'", every: 20ms, failures: 2, onUnhealthy: ignore } }
  early: { run: "sh -c 'exit 9'", kind: oneshot, restart: never, autostart: false }
`,
    );
    await kept.upkeep.running('slow', 'ill');
    await kept.upkeep.event('command.unhealthy', 'ill');
    await expect
      .poll(async () => (await json(kept, 'why', 'slow')).timers, { timeout: 60_000 })
      .toHaveLength(2);
    const slow = await json(kept, 'why', 'slow');
    expect(slow).toMatchObject({
      command: { next: { what: 'probe', in: expect.any(Number), text: 'it has to be ready' } },
      timers: [
        {
          name: 'readyInterval',
          for: 'the next readiness probe',
          due: expect.any(String),
          in: expect.any(Number),
        },
        { name: 'readyTimeout', for: 'its start has failed, if it is not ready' },
      ],
      probes: { ready: { ok: false, reason: 'its program exited with 8' }, health: null },
    });
    const ill = await json(kept, 'why', 'ill');
    expect(ill).toMatchObject({
      command: { reason: 'it is unhealthy: its program exited with 9', unhealthySince: expect.any(String) },
      probes: { ready: null, health: { ok: false, reason: 'its program exited with 9' } },
    });
    expect(ill.probes.health.failures).toBeGreaterThanOrEqual(2);
    expect(asOne((await verb(kept, 'why', 'ill')).stdout)).toMatch(
      /The reason, since \S+Z: it is unhealthy: its program exited with 9\./,
    );
    // Of single probes there is no event.
    expect(kept.upkeep.events('command.unhealthy')).toHaveLength(1);
    expect(await verb(kept, 'start', 'early')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^upkeep: cannot start early: it has failed for good: exited with status 9/,
      ),
    });
    expect(await verb(kept, 'stop', '--group', 'slow')).toMatchObject({
      code: 4,
      stderr: 'upkeep: cannot find the group slow: slow is a command; leave --group out; there is none\n',
    });
  });
});
