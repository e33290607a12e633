import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { hasProgram, noNamespace } from './namespace.ts';
import { ask, freePort, type Kept, keep } from './policies.ts';

const noPython = noNamespace ?? (hasProgram('python3') ? null : 'python3 is not installed');
const SERVICE = 'exec sleep 1000';
const SOON = 'interval: 20ms';

/** Waits until it runs, and until its dependant has been told to wait; then it must not be ready yet. */
async function notReady(kept: Kept, command = 's'): Promise<void> {
  await kept.upkeep.running(command);
  expect(kept.upkeep.events('command.ready', command)).toEqual([]);
}

describe.skipIf(noNamespace)(`readiness ${noNamespace ?? ''}`, { concurrent: true }, () => {
  test('tcp: the port takes a connection', async (context) => {
    const port = await freePort();
    const kept = await keep(
      context,
      (inside) => `
commands:
  s: {run: node ${inside.install('gate.mjs', 'gate.mjs')} ${port}, ready: {tcp: ${port}, ${SOON}}}
  t: {run: ${SERVICE}, ready: {tcp: 'localhost:${port}', ${SOON}}, requires: {s: started}}
`,
    );
    await notReady(kept);
    kept.touch('open');
    expect((await kept.upkeep.event('command.ready', 's')).took).toBeGreaterThan(0);
    await kept.upkeep.event('command.ready', 't');
  });

  test('http: the address answers with a success', async (context) => {
    const port = await freePort();
    const kept = await keep(
      context,
      (inside) => `
commands:
  s:
    run: node ${inside.install('gate.mjs', 'gate.mjs')} ${port}
    ready: {http: 'http://127.0.0.1:${port}/up', ${SOON}}
`,
    );
    kept.touch('answer.json', '{"status": 503}');
    kept.touch('open');
    await kept.written('requests', 3);
    await notReady(kept);
    kept.touch('answer.json', '{"status": 204}');
    await kept.upkeep.event('command.ready', 's');
    expect(JSON.parse(kept.linesOf('requests')[0]!)).toMatchObject({ method: 'GET', url: '/up' });
  });

  test('http: port, path, method, headers, status, expectHeaders, body', async (context) => {
    const port = await freePort();
    const kept = await keep(
      context,
      (inside) => `
commands:
  s:
    run: node ${inside.install('gate.mjs', 'gate.mjs')} ${port}
    ready:
      http:
        port: ${port}
        path: /health?deep=1
        method: POST
        headers: {Host: app.example, X-Token: 1.10}
        status: [418, "200-201"]
        expectHeaders: {Content-Type: ^application/json}
        body: '"ok":\\s*true'
      ${SOON}
`,
    );
    const headers = { 'content-type': 'application/json; charset=utf-8' };
    const body = '{"ok": true}';
    const wrong = [
      { status: 202, headers, body },
      { status: 200, headers: { 'content-type': 'text/html' }, body },
      { status: 200, headers, body: '{"ok": false}' },
    ];
    kept.touch('open');
    for (const answer of wrong) {
      kept.touch('answer.json', JSON.stringify(answer));
      await kept.written('requests', kept.linesOf('requests').length + 3);
    }
    await notReady(kept);
    kept.touch('answer.json', JSON.stringify({ status: 418, headers, body }));
    await kept.upkeep.event('command.ready', 's');
    expect(JSON.parse(kept.linesOf('requests')[0]!)).toMatchObject({
      method: 'POST',
      url: '/health?deep=1',
      headers: { host: 'app.example', 'x-token': '1.10' },
    });
  });

  test('exec: a command ends with status 0; it runs as the service does, and is no part of it', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s:
    run: ${SERVICE}
    cwd: ${dir}
    env: {GATE: open-me}
    ready: {exec: 'echo $PWD >> tries; test -e $GATE', ${SOON}}
`,
    );
    await kept.written('tries', 3);
    await notReady(kept);
    kept.touch('open-me');
    await kept.upkeep.event('command.ready', 's');
    expect(new Set(kept.linesOf('tries'))).toEqual(new Set([kept.inside.dir]));
    expect(await kept.upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('exec: one that hangs is killed with all that it started, and never runs twice at once', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s:
    run: ${SERVICE}
    cwd: ${dir}
    ready:
      exec: |
        for pid in $(cat tries 2> /dev/null); do
          tr '\\0' ' ' 2> /dev/null < /proc/$pid/cmdline | grep -q . && echo $pid >> twice
        done
        trap '' TERM
        sleep 1111 &
        echo $! $$$$ >> tries
        test -e open && kill -KILL $! && exit 0
        sleep 1112
      ${SOON}
`,
    );
    const { inside, upkeep } = kept;
    for (const count of [1, 2, 3]) {
      const pids = (await kept.written('tries', count))[count - 1]!.split(' ').map(Number);
      await upkeep.until('the end of the probe and of what it started', () =>
        pids.every((pid) => !inside.isAlive(pid)),
      );
    }
    expect(upkeep.events('command.ready')).toEqual([]);
    kept.touch('open');
    await upkeep.event('command.ready', 's');
    expect(kept.linesOf('twice')).toEqual([]);
    await upkeep.until('nothing of the probe', () => inside.named('sleep').length === 1);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('log: a line of its output, of this run', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s:
    run: |
      echo "not ready to accept"
      until test -e ${dir}/go; do sleep 0.05; done
      echo "now ready to accept connections" >&2
      sleep 1000
    ready: {log: "^now ready to accept"}
`,
    );
    const { upkeep, inside } = kept;
    await notReady(kept);
    kept.touch('go');
    await upkeep.event('command.ready', 's');
    inside.run(['rm', kept.at('go')]);
    await upkeep.until('a shut gate', () => !kept.has('go'));
    await inside.end(kept.pidOf('s'));
    await upkeep.event('command.running', 's', 2);
    // What the run before has said does not count.
    expect(upkeep.events('command.ready', 's')).toHaveLength(1);
    kept.touch('go');
    await upkeep.event('command.ready', 's', 2);
  });

  test('file: it is there', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `commands: {s: {run: ${SERVICE}, ready: {file: ${dir}/up, ${SOON}}}}`,
    );
    await notReady(kept);
    kept.touch('up');
    await kept.upkeep.event('command.ready', 's');
  });

  test('file: with fresh, one that is older than the launch does not count', async (context) => {
    const kept = await keep(
      context,
      (inside) => `
commands:
  fresh: {run: ${SERVICE}, ready: {file: {path: ${inside.write('up', '')}, fresh: true}, ${SOON}}}
  any: {run: ${SERVICE}, ready: {file: {path: ${inside.dir}/up}, ${SOON}}}
`,
    );
    await kept.upkeep.event('command.ready', 'any');
    await notReady(kept, 'fresh');
    kept.touch('up', 'again');
    await kept.upkeep.event('command.ready', 'fresh');
  });

  test.skipIf(noPython)(`notify: the service says so itself ${noPython ?? ''}`, async (context) => {
    const kept = await keep(
      context,
      (inside) => `
commands:
  s: {run: python3 ${inside.install('notifier.py', 'notifier.py')}, ready: {notify: true}}
  t: {run: 'echo socket=$NOTIFY_SOCKET; ${SERVICE}'}
`,
      { env: { NOTIFY_SOCKET: '/run/of-somebody-else' } },
    );
    const { upkeep } = kept;
    kept.touch('say.0', 'STATUS=loading\n');
    await upkeep.until('its first word', () => upkeep.said('s').length > 0);
    await notReady(kept);
    kept.touch('say.1', 'READY=1\nSTATUS=serving\n');
    await upkeep.event('command.ready', 's');
    await upkeep.until('the other one', () => upkeep.said('t').length > 0);
    // It is nobody else's.
    expect(upkeep.said('t')[0]!.line).toBe('socket=');
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });

  test('listening: the service itself does, not somebody else', async (context) => {
    const port = await freePort();
    const other = createServer();
    const held = await new Promise<number>((resolve) =>
      other.listen(0, '127.0.0.1', () => resolve((other.address() as { port: number }).port)),
    );
    context.onTestFinished(() => {
      other.close();
    });
    const kept = await keep(
      context,
      (inside) => `
commands:
  s: {run: node ${inside.install('gate.mjs', 'gate.mjs')} ${port}, ready: {listening: ${port}, ${SOON}}}
  t: {run: ${SERVICE}, ready: {listening: ${held}, ${SOON}}}
  u: {run: ${SERVICE}, ready: {tcp: ${held}, ${SOON}}}
`,
    );
    const { upkeep } = kept;
    await notReady(kept);
    kept.touch('open');
    await upkeep.event('command.ready', 's');
    await upkeep.event('command.ready', 'u');
    await notReady(kept, 't');
  });

  test('listening: a child of the service counts as the service', async (context) => {
    const port = await freePort();
    const kept = await keep(
      context,
      (inside) => `
commands:
  s:
    run: 'node ${inside.install('gate.mjs', 'gate.mjs')} ${port} & wait'
    ready: {listening: ${port}, ${SOON}}
`,
    );
    await notReady(kept);
    kept.touch('open');
    await kept.upkeep.event('command.ready', 's');
  });

  test('delay: so long after its launch', async (context) => {
    const kept = await keep(context, `commands: {s: {run: ${SERVICE}, ready: {delay: 1500ms}}}`);
    const ready = await kept.upkeep.event('command.ready', 's');
    expect(ready.at - kept.upkeep.events('upkeep.started')[0]!.at).toBeGreaterThanOrEqual(1_500);
    expect(ready.took).toBeGreaterThan(1_000);
  });

  test('interval: so long from one try to the next', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s: {run: ${SERVICE}, ready: {exec: 'date +%s%3N >> ${dir}/tries; false', interval: 600ms}}
`,
    );
    // When it has settled, it is looked at anew: up to three were tries before that.
    const times = (await kept.written('tries', 7)).map(Number).slice(3);
    for (const [index, time] of times.slice(1).entries()) {
      expect(time - times[index]!).toBeGreaterThanOrEqual(590);
    }
  });

  test('timeout: what is not ready in time is stopped, and that is a failure', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s:
    run: ${SERVICE}
    ready: {file: ${dir}/never-there, timeout: 300ms, ${SOON}}
    backoff: {first: 20ms, max: 20ms}
    intensity: {restarts: 1, within: 1h}
  t: {run: ${SERVICE}, requires: s}
`,
    );
    const { upkeep, inside } = kept;
    const failed = await upkeep.event('command.failed', 's');
    expect(failed.reason).toBe('more than 1 restart in 60 min');
    const failures = upkeep.events('command.failedStart', 's');
    const reason = `it was not ready in time: there is no ${kept.at('never-there')}`;
    expect(failures.map((each) => each.reason)).toEqual([reason, reason]);
    expect(upkeep.events('command.launched', 's')).toHaveLength(2);
    expect(inside.named('sleep')).toEqual([]);
    expect(upkeep.events('command.launched', 't')).toEqual([]);
  });

  test('timeout: why the probe failed last is told wherever the failure is', async (context) => {
    const port = await freePort();
    const kept = await keep(
      context,
      `
defaults: {ready: {timeout: 3s, ${SOON}}, restart: never}
commands:
  tcp: {run: ${SERVICE}, ready: {tcp: ${port}}}
  http: {run: ${SERVICE}, ready: {http: 'http://127.0.0.1:${port}/'}}
  exec: {run: ${SERVICE}, ready: {exec: 'exit 3', timeout: 10s}}
`,
    );
    const { upkeep } = kept;
    const refused = `127.0.0.1:${port}: nobody listens there`;
    for (const [name, why] of [
      ['tcp', refused],
      ['http', 'nobody listens there'],
      ['exec', 'its program exited with 3'],
    ] as const) {
      const { reason } = await upkeep.event('command.failed', name);
      expect(reason).toMatch(/^it was not ready in time: /);
      expect(reason).toContain(why);
      expect(upkeep.events('command.failedStart', name)[0]).toMatchObject({
        reason,
        message: expect.stringContaining(why),
      });
      const told = await ask(kept.inside, ['why', name, '--socket', kept.at('sock'), '--json']);
      const { command, crashes } = JSON.parse(told.stdout);
      expect(command.reason).toBe(reason);
      expect(crashes.at(-1).reason).toBe(reason);
    }
  });

  test('timeout: a probe that never answers does not make it longer', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s: {run: ${SERVICE}, ready: {exec: 'echo $$$$ >> ${dir}/tries; sleep 1111', timeout: 400ms}, restart: never}
  t: {run: ${SERVICE}, ready: {log: nothing like it, timeout: 400ms}, restart: never}
`,
    );
    const { upkeep, inside } = kept;
    // Of an upkeep that was itself kept from its work for long, the try's own limit of 5 s may come first.
    expect((await upkeep.event('command.failed', 's')).reason).toMatch(
      /^it was not ready in time(: it took longer than 5 s)?$/,
    );
    expect((await upkeep.event('command.failed', 't')).reason).toBe('it was not ready in time');
    await upkeep.until('nothing of the probe', () => inside.named('sleep').length === 0);
  });

  test('timeout: who became ready in time, while upkeep was stopped beyond it, is ready', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s:
    run: |
      until test -e ${dir}/go; do sleep 0.05; done
      echo ready
      touch ${dir}/said
      sleep 1000
    ready: {log: "^ready", timeout: 8s}
`,
    );
    const { upkeep } = kept;
    await notReady(kept);
    const since = performance.now();
    upkeep.signal('SIGSTOP');
    kept.touch('go');
    await upkeep.until('what it said', () => kept.has('said'));
    await upkeep.until('long after its time', () => performance.now() - since > 9_000);
    upkeep.signal('SIGCONT');
    await upkeep.event('command.ready', 's');
    expect(upkeep.events('command.failedStart', 's')).toEqual([]);
  });

  test('one that ends before it was ready has failed to start', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s:
    run: 'until test -e ${dir}/go; do sleep 0.05; done; exit 4'
    settle: 50ms
    ready: {file: ${dir}/never-there}
    restart: on-failure
`,
    );
    await kept.upkeep.running('s');
    kept.touch('go');
    const failed = await kept.upkeep.event('command.failedStart', 's');
    expect(failed).toMatchObject({ reason: 'it ended before it was ready', exit: { code: 4 } });
  });

  test('times can be given once for all', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
defaults: {ready: {timeout: 300ms, interval: 20ms}, restart: never}
commands:
  s: {run: ${SERVICE}, ready: {file: ${dir}/never-there}}
  t: {run: ${SERVICE}, ready: {file: ${dir}/later, timeout: 1h}}
`,
    );
    await kept.upkeep.event('command.failed', 's');
    expect(kept.upkeep.events('command.failedStart', 't')).toEqual([]);
    kept.touch('later');
    await kept.upkeep.event('command.ready', 't');
  });
});
