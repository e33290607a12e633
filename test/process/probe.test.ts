import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer as createHttp, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, createServer as createTcp, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { buildSync } from 'esbuild';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ProbeSpec } from '../../src/policy/spec.ts';
import type { Message } from '../../src/process/notify.ts';
import { createProbes, type Probe, type ProbeResult, type Probes } from '../../src/process/probe.ts';

let folder: string;
const servers: Server[] = [];
const children: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'probe-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
  for (const server of servers.splice(0)) server.close();
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

const runs = (program: string, words: readonly string[]) => spawnSync(program, words, { encoding: 'utf8' });
const has = (program: string) => !runs(program, ['version']).error;
const soon = (check: () => void) => vi.waitFor(check, { timeout: 120_000 });
const QUIET: Message = {
  pid: 0,
  ready: false,
  stopping: false,
  watchdog: null,
  status: null,
  mainPid: null,
};

/** Probes of one command, `web`, and what stands behind them. */
function world(probes: readonly Probe[] = []) {
  const clock = { now: 1000, wall: Date.now() };
  const listeners: ((command: string, message: Message) => void)[] = [];
  const waiting: Partial<Message>[] = [];
  const told = (message: Partial<Message>) => {
    for (const listener of listeners) listener('web', { ...QUIET, ...message });
  };
  const made = {
    clock,
    told,
    /** What was sent, and waits to be read. */
    waiting,
    path: '/run/notify/web' as string | { error: string },
    helpers: [] as ChildProcess[],
    /** What an ended one has started goes at once, unless a test says otherwise. */
    goes: (gone: () => void) => gone(),
    pids: [] as number[],
    /** What was passed on of what the service says of itself. */
    heard: [] as string[],
  };
  const all: Probes = createProbes({
    probesOf: (command) => (command === 'web' ? probes : []),
    runHelper(_, { file, args, env }, ended) {
      const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: 'ignore', detached: true });
      children.push(child);
      made.helpers.push(child);
      child.on('error', (error) => ended({ error: error.message }));
      child.on('exit', (code, signal) => ended({ known: true, code, signal, core: false }));
      return (gone) => {
        if (child.exitCode !== null || child.signalCode !== null) return gone();
        child.once('exit', () => made.goes(gone));
        process.kill(-child.pid!, 'SIGKILL');
      };
    },
    pidsOf: () => made.pids,
    notify: {
      pathOf: () => made.path,
      onMessage: (listener) => listeners.push(listener),
      drain: () => {
        for (const message of waiting.splice(0)) told(message);
      },
    },
    hearer: {
      status: (command, status) => made.heard.push(`${command}: ${status}`),
      ending: (command) => made.heard.push(`${command} ends`),
      mainPid: (command, pid) => made.heard.push(`${command} is led by ${pid}`),
    },
    now: () => clock.now,
    wallClock: () => clock.wall,
  });
  const ask = (probe: Probe, timeout: number | null = null) =>
    new Promise<ProbeResult>((resolve) => all.run('web', probe, timeout, resolve));
  return { ...all, made, ask };
}

const OK = { ok: true };
const failed = (reason: string | RegExp) => ({
  ok: false,
  reason: typeof reason === 'string' ? reason : expect.stringMatching(reason),
});

async function listening<T extends Server>(server: T, host = '127.0.0.1'): Promise<number> {
  servers.push(server);
  server.listen(0, host);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

test('what a policy says is what is asked', () => {
  const spec = { kind: 'tcp', host: 'localhost', port: 1 } as ProbeSpec;
  const probe: Probe = spec;
  expect(probe).toBe(spec);
});

describe('tcp', () => {
  test('a connection is enough, and is closed again', async () => {
    const closed = vi.fn();
    const server = createTcp((socket) => {
      socket.on('error', () => {});
      socket.on('close', closed);
      socket.resume();
    });
    const port = await listening(server);
    expect(await world().ask({ kind: 'tcp', host: '127.0.0.1', port }, 60_000)).toEqual(OK);
    expect(await world().ask({ kind: 'tcp', host: 'localhost', port }, 60_000)).toEqual(OK);
    await soon(() => expect(closed).toHaveBeenCalledTimes(2));
  });

  test.each(['127.0.0.1', 'localhost'])('nobody listens at %s', async (host) => {
    const server = createTcp();
    const port = await listening(server);
    server.close();
    expect(await world().ask({ kind: 'tcp', host, port })).toEqual(
      failed(`cannot connect to ${host}:${port}: nobody listens there`),
    );
  });

  const unshared = [
    '-n',
    'sh',
    '-c',
    'ip link set lo up && echo 40000 40010 > /proc/sys/net/ipv4/ip_local_port_range',
  ];
  test.skipIf(process.getuid!() !== 0 || runs('unshare', unshared).status !== 0)(
    'a probe that the kernel connects to itself has found nobody (needs root, unshare and ip)',
    () => {
      const outfile = join(folder, 'probe.cjs');
      const entryPoints = [resolve('src/process/probe.ts')];
      buildSync({ entryPoints, outfile, bundle: true, format: 'cjs', platform: 'node' });
      // Of as many, one gets that port for its own end, and a plain connection to it would succeed.
      const script = `
        const { createProbes } = require(${JSON.stringify(outfile)});
        const { run } = createProbes({ notify: { onMessage() {} } });
        const reasons = new Set();
        let left = 300;
        const next = (result) => {
          if (result) reasons.add(result.reason ?? 'ok');
          if (left-- > 0) run('web', { kind: 'tcp', host: '127.0.0.1', port: 40000 }, null, (each) => setImmediate(next, each));
          else console.log(JSON.stringify([...reasons]), require('node:fs').readFileSync('/proc/net/tcp', 'latin1').split('\\n').length);
        };
        next(null);`;
      const words = [
        ...unshared.slice(0, -1),
        `${unshared.at(-1)} && exec "$0" -e "$1"`,
        process.execPath,
        script,
      ];
      const { stdout } = runs('unshare', words);
      // Nothing but the head of the table is left.
      expect(stdout).toBe('["cannot connect to 127.0.0.1:40000: nobody listens there"] 2\n');
    },
  );

  test('a port that there is not', async () => {
    expect(await world().ask({ kind: 'tcp', host: '127.0.0.1', port: 70_000 })).toEqual(failed(/70000/));
  });
});

describe('http', () => {
  const requests: IncomingMessage[] = [];
  afterEach(() => {
    requests.length = 0;
  });
  const httpServer = async (listener: RequestListener): Promise<string> => {
    const server = createHttp((request, response) => {
      requests.push(request);
      listener(request, response);
    });
    return `http://127.0.0.1:${await listening(server)}/health?full`;
  };
  const of = (url: string, more: object = {}): Probe => ({
    kind: 'http',
    url,
    method: 'GET',
    headers: {},
    status: [[200, 399]],
    expectHeaders: {},
    body: null,
    ...more,
  });

  test('is asked once, as the policy says, by a connection of its own', async () => {
    const url = await httpServer((_, response) => response.end('fine'));
    const { ask } = world();
    expect(
      await ask(of(url, { method: 'OPTIONS', headers: { Host: 'example.org', 'X-Who': 'me' } })),
    ).toEqual(OK);
    expect(requests).toHaveLength(1);
    expect(requests[0]).toMatchObject({ method: 'OPTIONS', url: '/health?full' });
    expect(requests[0]!.headers).toMatchObject({ host: 'example.org', 'x-who': 'me', connection: 'close' });
    await soon(() => expect(requests[0]!.socket.destroyed).toBe(true));
  });

  test.each([
    [200, OK],
    [204, OK],
    [299, OK],
    [404, OK],
    [300, failed('it answered 300')],
    [500, failed('it answered 500')],
  ])('status %d', async (status, result) => {
    const url = await httpServer((_, response) => response.writeHead(status).end());
    const ranges = [
      [200, 299],
      [404, 404],
    ];
    expect(await world().ask(of(url, { status: ranges }))).toEqual(result);
  });

  test('a redirect is an answer, and not followed', async () => {
    const url = await httpServer((_, response) =>
      response.writeHead(302, { location: '/login\n?'.trim().replace('\n', '') }).end(),
    );
    expect(await world().ask(of(url))).toEqual(OK);
    expect(await world().ask(of(url, { status: [[200, 200]] }))).toEqual(
      failed('it answered 302, a redirect to "/login?", which is not followed'),
    );
    expect(requests).toHaveLength(2);
  });

  test('headers have to match', async () => {
    const url = await httpServer((_, response) =>
      response.writeHead(200, { 'X-Role': 'replica', 'Set-Cookie': ['a=1', 'b=2'] }).end(),
    );
    const { ask } = world();
    expect(await ask(of(url, { expectHeaders: { 'x-role': '^rep', 'set-cookie': 'b=' } }))).toEqual(OK);
    expect(await ask(of(url, { expectHeaders: { 'x-role': '^primary$' } }))).toEqual(
      failed('the header x-role of its answer is "replica"'),
    );
    expect(await ask(of(url, { expectHeaders: { 'x-age': '.*' } }))).toEqual(
      failed('its answer has no header x-age'),
    );
    expect(await ask(of(url, { expectHeaders: { 'x-role': '(' } }))).toEqual(
      failed(/^cannot use the pattern \(: .*; write it/),
    );
  });

  test('the body has to match, in whatever pieces it comes', async () => {
    const url = await httpServer((_, response) => {
      response.write('{"status":');
      response.end('"up"}\n');
    });
    const { ask } = world();
    expect(await ask(of(url, { body: '"status":"up"' }))).toEqual(OK);
    expect(await ask(of(url, { body: '^\\{"status":\\s*"up"' }))).toEqual(OK);
    expect(await ask(of(url, { body: 'down' }))).toEqual(
      failed('the body of its answer does not match: "{\\"status\\":\\"up\\"}"'),
    );
  });

  test('a body that the end of the connection ends is read to its end', async () => {
    const port = await listening(
      createTcp((socket) => {
        socket.on('error', () => {});
        socket.once('data', () => socket.end('HTTP/1.0 200 OK\r\n\r\nall of it'));
      }),
    );
    expect(await world().ask(of(`http://127.0.0.1:${port}`, { body: 'it$' }))).toEqual(OK);
  });

  test('of a body without end, as much is read as is looked at', async () => {
    const url = await httpServer((request, response) => {
      const more = (): void => {
        while (response.write('x'.repeat(10_000)));
      };
      response.on('drain', more);
      request.socket.on('error', () => {});
      response.write('first');
      more();
    });
    const { ask } = world();
    expect(await ask(of(url, { body: '^first' }))).toEqual(OK);
    expect(await ask(of(url, { body: 'y' }))).toEqual(failed(/does not match: "firstx+…"$/));
    // Where nobody looks at it, nobody waits for it.
    expect(await ask(of(url))).toEqual(OK);
    await soon(() => expect(requests.map(({ socket }) => socket.destroyed)).toEqual([true, true, true]));
  });

  test('a pattern without end does not hold up everything', async () => {
    const url = await httpServer((_, response) => response.end('a'.repeat(50)));
    expect(await world().ask(of(url, { body: '^(a+)+$b' }))).toEqual(
      failed(/^the pattern for the body takes too long/),
    );
  });

  test('no answer is waited for longer than the timeout, or than it is of use', async () => {
    const url = await httpServer(() => {});
    const { ask, run } = world();
    expect(await ask(of(url), 50)).toEqual(failed('it took longer than 50 ms'));
    // Its request may never have been sent, or may be on its way.
    const mine = () => requests.filter(({ headers }) => headers.mine !== undefined);
    const answer = vi.fn();
    const cancel = run('web', of(url, { headers: { mine: 'yes' } }), null, answer);
    await soon(() => expect(mine()).toHaveLength(1));
    cancel();
    cancel();
    await soon(() => expect(requests.every(({ socket }) => socket.destroyed)).toBe(true));
    expect(answer).not.toHaveBeenCalled();
  });

  test('no answer, half of one, or something else', async () => {
    const saying = async (text: string | null) => {
      const port = await listening(
        createTcp((socket) => {
          socket.on('error', () => {});
          socket.once('data', () => (text === null ? socket.destroy() : socket.end(text)));
        }),
      );
      return world().ask(of(`http://127.0.0.1:${port}`, { body: 'x' }));
    };
    expect(await saying(null)).toEqual(failed(/^cannot ask 127.0.0.1:\d+: .*; see that/));
    expect(await saying('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf')).toEqual(failed(/^cannot ask /));
    expect(await saying('SSH-2.0-OpenSSH\r\n')).toEqual(failed(/^cannot ask .*: .*; see that .* http$/));
    expect(await world().ask(of('http://127.0.0.1:1/'))).toEqual(failed(/nobody listens there/));
    expect(await world().ask(of('nonsense'))).toEqual(failed(/URL/));
    expect(await world().ask(of('http://127.0.0.1:1/', { method: 'A B' }))).toEqual(failed(/[Mm]ethod/));
  });

  test.skipIf(!has('openssl'))(
    'a certificate that nobody has signed is good enough on loopback, and nowhere else (needs openssl)',
    async () => {
      const files = ['-keyout', join(folder, 'key'), '-out', join(folder, 'cert')];
      const words = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=x', ...files];
      expect(runs('openssl', words).status).toBe(0);
      const [key, cert] = ['key', 'cert'].map((name) => readFileSync(join(folder, name)));
      const server = createHttps({ key: key!, cert: cert! }, (_, response) => response.end('safe'));
      const port = await listening(server);
      const { ask } = world();
      expect(await ask(of(`https://127.0.0.1:${port}`, { body: 'safe' }))).toEqual(OK);
      expect(await ask(of(`https://localhost:${port}`))).toEqual(OK);
      expect(await ask(of(`https://0.0.0.0:${port}`))).toEqual(failed(/self-signed certificate/));
      expect(await ask(of(`http://127.0.0.1:${port}`))).toEqual(failed(/^cannot ask /));
    },
  );
});

describe('exec', () => {
  const sh = (script: string): Probe => ({
    kind: 'exec',
    program: { file: 'sh', args: ['-c', script], env: { WORD: 'said' } },
  });

  test.each<[string, object]>([
    ['test "$WORD" = said', OK],
    ['exit 3', failed('its program exited with 3')],
    ['kill -TERM $$', failed('its program was killed by SIGTERM')],
  ])('%s', async (script, result) => {
    expect(await world().ask(sh(script))).toEqual(result);
  });

  test('a program that there is not', async () => {
    const program = { file: join(folder, 'none'), args: [], env: {} };
    expect(await world().ask({ kind: 'exec', program })).toEqual(failed(/ENOENT/));
  });

  test('it is killed when it takes too long, and when nobody wants to know', async () => {
    const { ask, run, made } = world();
    expect(await ask(sh('sleep 1000'), 50)).toEqual(failed('it took longer than 50 ms'));
    await soon(() => expect(made.helpers[0]!.signalCode).toBe('SIGKILL'));
    const answer = vi.fn();
    run('web', sh('sleep 1000'), null, answer)();
    await soon(() =>
      expect(made.helpers.map(({ signalCode }) => signalCode)).toEqual(['SIGKILL', 'SIGKILL']),
    );
    expect(answer).not.toHaveBeenCalled();
  });

  test('the next one begins when nothing is left of the one before, unless it is not wanted any more', async () => {
    const { ask, run, made } = world();
    const gone: (() => void)[] = [];
    made.goes = (told) => void gone.push(told);
    expect(await ask(sh('sleep 1000'), 50)).toEqual(failed('it took longer than 50 ms'));
    await soon(() => expect(gone).toHaveLength(1));
    const unwanted = vi.fn();
    const end = run('web', sh('exit 0'), null, unwanted);
    end();
    expect(await ask(sh('exit 0'), 50)).toEqual(failed('it took longer than 50 ms'));
    const next = ask(sh('exit 4'));
    expect(made.helpers).toHaveLength(1);
    gone[0]!();
    expect(await next).toEqual(failed('its program exited with 4'));
    expect(made.helpers).toHaveLength(2);
    expect(unwanted).not.toHaveBeenCalled();
  });
});

describe('log', () => {
  const of = (pattern: string): Probe => ({ kind: 'log', pattern });
  /** Feeds a text, and spoils the chunk, which the reader uses again. */
  const feeder =
    ({ line }: Probes) =>
    (text: string | Buffer, stream: 'stdout' | 'stderr' = 'stdout'): void => {
      const chunk = Buffer.from(text as string);
      line('web', chunk, stream);
      chunk.fill('#');
    };
  const start = (pattern: string) => {
    const made = world([of(pattern), { kind: 'delay', ms: 1 }]);
    made.launched('web');
    const results: ProbeResult[] = [];
    const cancel = made.run('web', of(pattern), null, (result) => results.push(result));
    return { ...made, results, cancel, feed: feeder(made) };
  };

  test('a line that matches is waited for', () => {
    const { feed, results, wantsLines } = start('ready .* [0-9]+$');
    expect(wantsLines('web')).toBe(true);
    feed('starting\nready on port 80 soon\n');
    expect(results).toEqual([]);
    feed('ready on port 80\n');
    feed('ready on port 80\n');
    expect(results).toEqual([OK]);
    expect(wantsLines('web')).toBe(false);
  });

  test('it may have been written before anybody asked', () => {
    const { feed, launched, run } = start('ready');
    const answer = vi.fn();
    launched('web');
    feed('ready\n', 'stderr');
    run('web', of('ready'), null, answer);
    expect(answer.mock.calls).toEqual([[OK]]);
  });

  test('it may come in pieces, of which those of the other stream are none', () => {
    const { feed, results } = start('^it is ready$');
    feed('it i');
    feed('noise\nit is', 'stderr');
    feed('s re');
    feed('ady');
    expect(results).toEqual([]);
    feed('\n');
    expect(results).toEqual([OK]);
  });

  test.each(['^päivää$', '^p.iv..$'])('letters of several bytes, and a return: %s', (pattern) => {
    const { feed, results } = start(pattern);
    for (const byte of Buffer.from('päivää\r\n')) feed(Buffer.of(byte));
    expect(results).toEqual([OK]);
  });

  test('of a long line, the beginning is looked at', () => {
    const { feed, results } = start('^x+$');
    for (let count = 0; count < 100; count++) feed('x'.repeat(1000));
    feed(`${'y'.repeat(10)}\n`);
    expect(results).toEqual([OK]);
  });

  test('what follows a long line is a line of its own', () => {
    const { feed, results } = start('^ready$');
    feed('x'.repeat(5000));
    feed('ready');
    feed('\nready\n');
    expect(results).toEqual([OK]);
  });

  test('many lines at once', () => {
    const { feed, results } = start('^line 29999.?$');
    feed(Array.from({ length: 30_000 }, (_, index) => `line ${index}\n`).join(''));
    expect(results).toEqual([OK]);
  });

  test('what the run before has written does not count', () => {
    const { feed, launched, run, wantsLines } = start('ready');
    feed('ready\nnot yet rea');
    launched('web');
    expect(wantsLines('web')).toBe(true);
    feed('dy\n');
    const answer = vi.fn();
    run('web', of('ready'), null, answer);
    expect(answer).not.toHaveBeenCalled();
    feed('ready\n');
    expect(answer).toHaveBeenCalledTimes(1);
  });

  test('who already waits when the run begins, waits for it', () => {
    const { feed, launched, results } = start('ready');
    launched('web');
    feed('ready\n');
    expect(results).toEqual([OK]);
  });

  test('it is not waited for longer than the timeout, nor when nobody wants to know', async () => {
    const { feed, ask, cancel, results } = start('ready');
    expect(await ask(of('ready'), 20)).toEqual(failed('it took longer than 20 ms'));
    cancel();
    feed('ready\n');
    expect(results).toEqual([]);
  });

  test('a pattern that there was no word of at the launch', () => {
    const { feed, run, launched, wantsLines } = start('ready');
    const answer = vi.fn();
    run('web', of('other'), null, answer)();
    feed('ready\n');
    expect(wantsLines('web')).toBe(true);
    run('web', of('other'), null, answer);
    feed('other\n');
    expect(answer.mock.calls).toEqual([[OK]]);
    launched('web');
    feed('ready\n');
    expect(wantsLines('web')).toBe(false);
  });

  test('commands without such a probe have no use for lines', () => {
    const { launched, wantsLines, line } = world([{ kind: 'delay', ms: 1 }]);
    launched('web');
    expect(wantsLines('web')).toBe(false);
    expect(wantsLines('other')).toBe(false);
    line('web', Buffer.from('a line\n'), 'stdout');
  });

  test('a pattern that is none is told of', async () => {
    const { ask, wantsLines } = start('(');
    expect(await ask(of('('))).toEqual(failed(/^cannot use the pattern \(: .*; write/));
    expect(wantsLines('web')).toBe(false);
  });

  test('a pattern without end does not hold up everything, and has another chance with the next run', () => {
    const { feed, results, launched, run, wantsLines } = start('^(?=(a+)+$)b');
    feed(`${'a'.repeat(50)}!\n`);
    expect(results).toEqual([failed(/^the pattern \^\(\?=.* takes too long to be searched for; write/)]);
    expect(wantsLines('web')).toBe(false);
    launched('web');
    expect(wantsLines('web')).toBe(true);
    const answer = vi.fn();
    run('web', of('^(?=(a+)+$)b'), null, answer);
    expect(answer).not.toHaveBeenCalled();
  });
});

describe('file', () => {
  const of = (fresh: boolean, path = join(folder, 'pid')): Probe => ({ kind: 'file', path, fresh });

  test('it has to be there', async () => {
    const { ask } = world();
    expect(await ask(of(false))).toEqual(failed(`there is no ${join(folder, 'pid')}`));
    writeFileSync(join(folder, 'pid'), '1');
    expect(await ask(of(false))).toEqual(OK);
    expect(await ask(of(true))).toEqual(OK);
    expect(await ask(of(false, join(folder, 'pid/x')))).toEqual(failed(/^cannot look at .*ENOTDIR/));
  });

  test('where it has to be fresh, it is as new as the launch', async () => {
    const { ask, launched, made } = world();
    const path = join(folder, 'pid');
    writeFileSync(path, '1');
    launched('web');
    const seconds = made.clock.wall / 1000;
    utimesSync(path, seconds, seconds - 1);
    expect(await ask(of(true))).toEqual(failed(`${path} is older than the launch`));
    expect(await ask(of(false))).toEqual(OK);
    utimesSync(path, seconds, seconds + 1);
    expect(await ask(of(true))).toEqual(OK);
    made.clock.wall += 10_000;
    launched('web');
    expect(await ask(of(true))).toMatchObject({ ok: false });
  });

  test('several may look at once, and one may not want to know', async () => {
    const { ask, run } = world();
    writeFileSync(join(folder, 'pid'), '1');
    const answer = vi.fn();
    const asked = [ask(of(false)), ask(of(false))];
    run('web', of(false), null, answer)();
    expect(await Promise.all(asked)).toEqual([OK, OK]);
    expect(answer).not.toHaveBeenCalled();
  });
});

describe('notify', () => {
  const of: Probe = { kind: 'notify' };

  test('readiness is waited for, and kept until the next launch', async () => {
    const { run, ask, launched, made } = world();
    launched('web');
    const answer = vi.fn();
    const unwanted = vi.fn();
    run('web', of, null, answer);
    run('web', of, null, unwanted)();
    made.told({ status: 'warming up' });
    expect(answer).not.toHaveBeenCalled();
    made.told({ ready: true });
    made.told({ ready: true });
    expect(answer.mock.calls).toEqual([[OK]]);
    expect(await ask(of)).toEqual(OK);
    launched('web');
    run('web', of, null, unwanted);
    expect(unwanted).not.toHaveBeenCalled();
  });

  test('what was sent, and not yet read, counts for the run that has sent it', async () => {
    const { ask, run, launched, made } = world();
    launched('web');
    made.waiting.push({ ready: true });
    expect(await ask(of)).toEqual(OK);
    made.waiting.push({ ready: true });
    launched('web');
    const answer = vi.fn();
    run('web', of, null, answer);
    expect(answer).not.toHaveBeenCalled();
  });

  test('health is a sign of life within the timeout', async () => {
    const { ask, launched, made } = world();
    const dead = failed('it has not said WATCHDOG=1 for 5 s');
    // One that ran before anybody listened.
    expect(await ask(of, 5000)).toEqual(OK);
    made.clock.now += 5001;
    expect(await ask(of, 5000)).toEqual(dead);
    launched('web');
    made.clock.now += 5000;
    expect(await ask(of, 5000)).toEqual(OK);
    made.clock.now += 1;
    expect(await ask(of, 5000)).toEqual(dead);
    for (const sign of [{ watchdog: 'alive' }, { ready: true }] as const) {
      made.told(sign);
      made.clock.now += 5000;
      expect(await ask(of, 5000)).toEqual(OK);
      made.clock.now += 1;
      expect(await ask(of, 5000)).toEqual(dead);
    }
    made.told({ status: 'stuck' });
    expect(await ask(of, 5000)).toEqual(failed('it has not said WATCHDOG=1 for 5 s (its status: stuck)'));
    made.told({ watchdog: 'alive' });
    made.told({ watchdog: 'trigger' });
    expect(await ask(of, 5000)).toEqual(failed('it has said WATCHDOG=trigger (its status: stuck)'));
    made.told({ watchdog: 'alive' });
    expect(await ask(of, 5000)).toEqual(OK);
  });

  test('what no probe asks for is passed on, but nothing that the run before has said', () => {
    const { launched, made } = world();
    launched('web');
    made.told({ mainPid: 7, status: 'loading' });
    made.told({ watchdog: 'alive' });
    made.told({ status: 'loading' });
    made.told({ stopping: true });
    expect(made.heard.splice(0)).toEqual(['web is led by 7', 'web: loading', 'web ends']);
    made.waiting.push({ mainPid: 8, status: 'gone', stopping: true });
    launched('web');
    expect(made.heard).toEqual([]);
  });

  describe('of how it is', () => {
    beforeEach(() => void vi.useFakeTimers());
    afterEach(() => void vi.useRealTimers());

    test('the newest is told in every second, and before it is said that it ends', () => {
      const { launched, made } = world();
      launched('web');
      for (let step = 1; step <= 5; step++) made.told({ status: `step ${step}` });
      expect(made.heard.splice(0)).toEqual(['web: step 1']);
      vi.advanceTimersByTime(999);
      expect(made.heard).toEqual([]);
      vi.advanceTimersByTime(1);
      expect(made.heard.splice(0)).toEqual(['web: step 5']);
      made.told({ status: 'flushing', stopping: true });
      expect(made.heard.splice(0)).toEqual(['web: flushing', 'web ends']);
      vi.advanceTimersByTime(10_000);
      expect(made.heard).toEqual([]);
      expect(vi.getTimerCount()).toBe(0);
      made.told({ status: 'back' });
      expect(made.heard).toEqual(['web: back']);
    });

    test('what is the same is told to the next run as well, and what waited is not', () => {
      const { launched, made } = world();
      launched('web');
      made.told({ status: 'up' });
      made.told({ status: 'late' });
      launched('web');
      vi.advanceTimersByTime(10_000);
      made.told({ status: 'up' });
      expect(made.heard).toEqual(['web: up', 'web: up']);
    });
  });

  test('where it is not to be had, it says why', async () => {
    const { ask, made } = world();
    made.path = { error: 'cannot use notify: why; what to do' };
    expect(await ask(of)).toEqual(failed('cannot use notify: why; what to do'));
  });
});

test('listening: one of its processes does', async () => {
  const { ask, made } = world();
  const port = await listening(createTcp());
  expect(await ask({ kind: 'listening', port })).toEqual(failed('it has no process'));
  made.pids = [process.pid];
  expect(await ask({ kind: 'listening', port })).toEqual(OK);
});

describe('delay', () => {
  test('it is over so long after the launch', async () => {
    const { ask, run, launched, made } = world();
    launched('web');
    made.clock.now += 3_600_000;
    expect(await ask({ kind: 'delay', ms: 3_600_000 })).toEqual(OK);
    const answer = vi.fn();
    run('web', { kind: 'delay', ms: 2 ** 40 }, null, answer)();
    expect(await ask({ kind: 'delay', ms: 2 ** 40 }, 20)).toEqual(failed('it took longer than 20 ms'));
    expect(answer).not.toHaveBeenCalled();
  });

  test('where nobody knows of a launch, it counts from now', async () => {
    expect(await world().ask({ kind: 'delay', ms: 5 })).toEqual(OK);
  });
});

test('what the one who is answered throws is not taken for a failure of the probe', () => {
  const { run, made } = world();
  made.path = { error: 'none' };
  const answer = vi.fn(() => {
    throw new Error('mine');
  });
  expect(() => run('web', { kind: 'notify' }, null, answer)).toThrow('mine');
  expect(answer).toHaveBeenCalledTimes(1);
});
