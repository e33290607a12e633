import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { type AddressInfo, createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import WebSocket from 'ws';
import { isLoopback } from '../../src/control/listening.ts';
import { pageFilesIn } from '../../src/inspector/files.ts';
import type { Ordered, Wanted } from '../../src/inspector/protocol.ts';
import { createInspector, type Inspector } from '../../src/inspector/server.ts';
import type { Viewer } from '../../src/inspector/source.ts';

const TOKEN = 'a-token-that-nobody-guesses';
const folder = mkdtempSync(join(tmpdir(), 'upkeep-page-'));
const shown = new Set<Viewer>();
const wanted: Wanted[] = [];
let taken = 0;
const ordered: Ordered[] = [];
let inspector: Inspector;
let port = 0;

async function open(change: Partial<Parameters<typeof createInspector>[0]> = {}): Promise<Inspector> {
  const opened = createInspector({
    source: {
      show(viewer) {
        shown.add(viewer);
        viewer.send('{"type":"upkeep.hello"}');
        return {
          want: (each) => void wanted.push(each),
          taken: () => void taken++,
          end: () => void shown.delete(viewer),
        };
      },
    },
    files: pageFilesIn(folder),
    token: TOKEN,
    host: '127.0.0.1',
    order: async (order) => {
      ordered.push(order);
      return { status: 202, body: { before: [], secret: 'hunter2' } };
    },
    redact: (said) => said.replaceAll('hunter2', '***'),
    ...change,
  });
  opened.server.listen(0, '127.0.0.1');
  await once(opened.server, 'listening');
  return opened;
}

const portOf = ({ server }: Inspector): number => (server.address() as AddressInfo).port;

beforeAll(async () => {
  writeFileSync(join(folder, 'index.html'), '<!doctype html>');
  writeFileSync(join(folder, 'page.js'), 'export {};');
  writeFileSync(join(folder, 'notes.txt'), 'not for others');
  mkdirSync(join(folder, 'more.js'));
  inspector = await open();
  port = portOf(inspector);
});
beforeEach(() => {
  ordered.length = 0;
  wanted.length = 0;
});
afterAll(() => {
  inspector.close();
  rmSync(folder, { recursive: true });
});

interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly to?: number;
}

interface Answered {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

/** By Node's own client: fetch would not let anybody forge these headers. */
function ask(path: string, { method = 'GET', headers = {}, body, to = port }: Asked = {}): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port: to, path, method, headers, agent: false }, (answer) => {
      text(answer).then(
        (said) => resolve({ status: answer.statusCode!, headers: answer.headers, text: said }),
        reject,
      );
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

const order = (headers: Readonly<Record<string, string>>, body = RESTART, to = port): Promise<Answered> =>
  ask('/order', { method: 'POST', headers, body, to });
const RESTART = '{"order":"restart","command":"web"}';
const GOOD = { 'x-upkeep-token': TOKEN, 'content-type': 'application/json' };

/** @returns the status that the viewer is refused with, or the viewer */
function connect(
  path: string,
  headers: Readonly<Record<string, string>> = {},
  to = port,
): Promise<WebSocket | number> {
  const socket = new WebSocket(`ws://127.0.0.1:${to}${path}`, { headers });
  return new Promise((resolve, reject) => {
    socket.on('unexpected-response', (_, answer) => {
      resolve(answer.statusCode!);
      socket.terminate();
    });
    socket.on('message', () => resolve(socket));
    socket.on('error', (error) => reject(error));
  });
}

async function viewer(path = `/ws?token=${TOKEN}`, to = port): Promise<WebSocket> {
  const socket = await connect(path, {}, to);
  if (typeof socket === 'number') throw new Error(`refused with ${socket}`);
  return socket;
}

async function gone(socket: WebSocket): Promise<void> {
  const before = shown.size;
  socket.close();
  await vi.waitFor(() => expect(shown.size).toBeLessThan(before), { timeout: 60_000 });
}

describe('the page', () => {
  test('is served, with its files, and nothing may come from elsewhere', async () => {
    const page = await ask('/');
    expect([page.status, page.text]).toEqual([200, '<!doctype html>']);
    expect(page.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'content-security-policy':
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    });
    const script = await ask('/page.js?x=1');
    expect([script.status, script.headers['content-type'], script.text]).toEqual([
      200,
      'text/javascript; charset=utf-8',
      'export {};',
    ]);
    const head = await ask('/', { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.text]).toEqual([200, '15', '']);
  });

  test.each([
    ...[
      '/index.html',
      '/notes.txt',
      '/more.js',
      '/../server.ts',
      '/%2e%2e/x',
      '/page.js/',
      '//page.js',
      '/package.json',
    ],
    ...['/toString', '/__proto__', '*', '/page.js%00'],
  ])('does not have %s', async (path) => {
    expect((await ask(path)).status).toBe(404);
  });

  test('has no files where nobody built it', () => {
    expect(pageFilesIn(join(folder, 'nowhere')).size).toBe(0);
  });

  test.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('is not asked for with %s', async (method) => {
    const { status, headers } = await ask('/', { method });
    expect([status, headers.allow]).toEqual([405, 'GET, HEAD']);
  });
});

describe('a host', () => {
  const hosts = ['evil.example', 'evil.example:9777', '127.0.0.1.evil.example', 'localhost.evil.example'];
  test.each([...hosts, '10.0.0.1', '127.0.0.1@evil.example', 'x y'])(
    'that is none of ours is refused: %j',
    async (host) => {
      expect((await ask('/', { headers: { host } })).status).toBe(421);
      expect((await order({ ...GOOD, host })).status).toBe(421);
      expect(await connect(`/ws?token=${TOKEN}`, { host })).toBe(421);
      expect(ordered).toEqual([]);
    },
  );

  test.each(['localhost', 'localhost:1234', '127.0.0.1', '127.0.0.2:80', '[::1]:9777', 'LOCALHOST'])(
    'that leads to this machine alone is one of ours: %j',
    async (host) => {
      expect((await ask('/', { headers: { host } })).status).toBe(200);
    },
  );

  test('by its address is one of ours where others can reach it, by a name it is not', async () => {
    const far = await open({ host: '0.0.0.0' });
    expect((await ask('/', { headers: { host: '10.0.0.1:9777' }, to: portOf(far) })).status).toBe(200);
    expect((await ask('/', { headers: { host: 'evil.example' }, to: portOf(far) })).status).toBe(421);
    far.close();
  });

  test('is loopback or is not', () => {
    for (const near of ['127.0.0.1', '127.1.2.3', '::1']) expect(isLoopback(near), near).toBe(true);
    for (const far of ['0.0.0.0', '::', '10.0.0.1', '127.evil', '']) expect(isLoopback(far), far).toBe(false);
  });
});

describe('a page from elsewhere', () => {
  const own = (): string => `http://127.0.0.1:${port}`;
  test.each(['http://evil.example', 'null', 'https://stately.ai', 'http://127.0.0.1:1', 'file://', ''])(
    'neither sees nor orders anything: %j',
    async (origin) => {
      expect(await connect(`/ws?token=${TOKEN}`, { origin })).toBe(403);
      expect((await order({ ...GOOD, origin })).status).toBe(403);
      expect(ordered).toEqual([]);
      expect(shown.size).toBe(0);
    },
  );

  test('is none that has no origin, or our own', async () => {
    await gone(await viewer());
    const socket = await connect(`/ws?token=${TOKEN}`, { origin: own() });
    await gone(socket as WebSocket);
    expect((await order({ ...GOOD, origin: own() })).status).toBe(202);
    expect((await order(GOOD)).status).toBe(202);
  });

  test('is not let to ask by CORS', async () => {
    const { status, headers } = await ask('/order', {
      method: 'OPTIONS',
      headers: { origin: 'http://evil.example', 'access-control-request-method': 'POST' },
    });
    expect(status).toBe(405);
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });
});

describe('a token', () => {
  const wrong = ['', 'x', TOKEN.slice(1), `${TOKEN}x`, TOKEN.toUpperCase(), `${TOKEN} `];
  test.each(wrong)('that is wrong is refused: %j', async (token) => {
    const query = new URLSearchParams({ token });
    expect(await connect(`/ws?${query}`)).toBe(401);
    expect(await connect(`/?${query}`)).toBe(401);
    if (token !== `${TOKEN} `) {
      expect((await order({ ...GOOD, 'x-upkeep-token': token })).status).toBe(401);
    }
    expect([ordered, shown.size]).toEqual([[], 0]);
  });

  test('is nowhere else: not in a cookie, not in the address of an order', async () => {
    const { 'x-upkeep-token': _, ...rest } = GOOD;
    expect((await order({ ...rest, cookie: `x-upkeep-token=${TOKEN}` })).status).toBe(401);
    const answer = await ask(`/order?token=${TOKEN}`, { method: 'POST', headers: rest, body: RESTART });
    expect(answer.status).toBe(401);
    expect(await connect('/ws')).toBe(401);
    expect(ordered).toEqual([]);
  });

  test('that is wrong, or one viewer too many, is told why where a page can read it', async () => {
    const why = async (token: string): Promise<[number, string]> => {
      const { status, text: said } = await ask(`/ws?token=${token}`);
      return [status, (JSON.parse(said) as { error: string }).error];
    };
    expect(await why('x')).toEqual([401, expect.stringMatching(/open the address that upkeep has logged$/)]);
    expect((await why(TOKEN))[0]).toBe(426);
    const all = await Promise.all(Array.from({ length: 16 }, () => viewer()));
    expect(await why(TOKEN)).toEqual([503, expect.stringMatching(/16 viewers already; close one of them$/)]);
    await gone(all.pop()!);
    expect((await why(TOKEN))[0]).toBe(426);
    for (const each of all) each.close();
    await vi.waitFor(() => expect(shown.size).toBe(0), { timeout: 60_000 });
  });

  test('is not told to who lacks it', async () => {
    for (const { text: said, headers } of [await order({}), await ask('/'), await ask('/x')]) {
      expect(said + JSON.stringify(headers)).not.toContain(TOKEN);
    }
  });
});

describe('an order', () => {
  test.each<Ordered>([
    { order: 'start', command: 'web' },
    { order: 'stop', command: 'web' },
    { order: 'restart', command: 'web' },
    { order: 'reload', command: 'web' },
    { order: 'signal', command: 'web', signal: 'SIGHUP' },
  ])('is carried out, and answered without secrets: %j', async (said) => {
    const answer = await order(GOOD, JSON.stringify({ ...said, more: 1 }));
    expect([answer.status, JSON.parse(answer.text)]).toEqual([202, { before: [], secret: '***' }]);
    expect(ordered).toEqual([said]);
  });

  test.each([
    ...['', 'x', 'null', '[]', '{}', '{"order":"restart"}', '{"order":"shutdown","command":"web"}'],
    ...[
      '{"order":"signal","command":"web"}',
      '{"order":["stop"],"command":"web"}',
      '{"order":"stop","command":1}',
    ],
  ])('that makes no sense is refused: %s', async (body) => {
    expect((await order(GOOD, body)).status).toBe(400);
    expect(ordered).toEqual([]);
  });

  test('that is too large, or no JSON by its type, is refused', async () => {
    expect((await order(GOOD, JSON.stringify({ order: 'stop', command: 'x'.repeat(5_000) }))).status).toBe(
      413,
    );
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
      expect((await order({ ...GOOD, 'content-type': type })).status).toBe(415);
    }
    expect(ordered).toEqual([]);
  });

  test.each(['GET', 'HEAD', 'PUT', 'DELETE'])('is not given with %s', async (method) => {
    const query = new URLSearchParams({ order: 'stop', command: 'web', token: TOKEN });
    const { status, headers } = await ask(`/order?${query}`, { method, headers: GOOD });
    expect([status, headers.allow]).toEqual([405, 'POST']);
    expect(ordered).toEqual([]);
  });

  test('is not taken where others can reach the page', async () => {
    const far = await open({ host: '0.0.0.0', order: 'cannot order anything here: others can reach it' });
    const answer = await order(GOOD, RESTART, portOf(far));
    expect([answer.status, JSON.parse(answer.text)]).toEqual([
      403,
      { error: 'cannot order anything here: others can reach it' },
    ]);
    const socket = await viewer(undefined, portOf(far));
    expect([...shown].map(({ orders }) => orders)).toEqual([false]);
    await gone(socket);
    far.close();
  });

  test('of which our own mistake is the end says so', async () => {
    const broken = await open({
      order: async () => {
        throw new Error('hunter2');
      },
    });
    const answer = await order(GOOD, RESTART, portOf(broken));
    expect([answer.status, answer.text]).toEqual([
      500,
      '{"error":"cannot answer: a mistake in upkeep: ***; please report it"}\n',
    ]);
    broken.close();
  });
});

describe('a viewer', () => {
  test('at /ws is the page, and may want something; any other is at /', async () => {
    const own = await viewer();
    const other = await viewer(`/?token=${TOKEN}`);
    expect([...shown].map((each) => [each.own, each.orders])).toEqual([
      [true, true],
      [false, false],
    ]);
    for (const said of [
      '{"type":"processes","wanted":true}',
      'x',
      '{"type":"seek","at":"x"}',
      '[]',
      'null',
    ]) {
      own.send(said);
    }
    own.send('{"type":"seek","at":5}');
    const all: Wanted[] = [
      { type: 'processes', wanted: true },
      { type: 'seek', at: 5 },
    ];
    await vi.waitFor(() => expect(wanted).toEqual(all), { timeout: 60_000 });
    await gone(own);
    await gone(other);
  });

  test('elsewhere finds nothing', async () => {
    for (const path of ['/page.js', '/order', '/ws/', '/x']) {
      expect(await connect(`${path}?token=${TOKEN}`)).toBe(404);
    }
  });

  test('that says too much is hung up on', async () => {
    const socket = await viewer();
    socket.send('x'.repeat(5_000));
    const [code] = await once(socket, 'close');
    expect(code).toBe(1009);
    await expect.poll(() => shown.size).toBe(0);
  });

  test('too many are refused, and leave the others', async () => {
    const all = await Promise.all(Array.from({ length: 16 }, () => viewer()));
    expect(await connect(`/ws?token=${TOKEN}`)).toBe(503);
    expect((await ask('/')).status).toBe(200);
    for (const socket of all) await gone(socket);
    await gone(await viewer());
  });

  test('stays while a thousand others connect and say nothing', async () => {
    const socket = await viewer();
    const clients = Array.from({ length: 1_000 }, dial);
    let closed = 0;
    for (const client of clients) client.on('close', () => closed++);
    await expect.poll(() => closed, { timeout: 60_000 }).toBeGreaterThan(900);
    expect(socket.readyState).toBe(WebSocket.OPEN);
    for (const client of clients) client.destroy();
    await gone(socket);
  });

  test('that does not read holds no more than the bound, and is told when it does again', async () => {
    const socket = await viewer();
    const [each] = shown as Set<Viewer> & Iterable<Viewer>;
    socket.pause();
    const piece = 'x'.repeat(64 * 1024);
    // The kernel takes some of it.
    while (each!.waiting() < 256 * 1024) {
      each!.hold();
      each!.send(piece);
      each!.release();
      await new Promise((resolve) => setImmediate(resolve));
    }
    taken = 0;
    socket.resume();
    await vi.waitFor(() => expect(taken).toBeGreaterThan(0), { timeout: 60_000 });
    expect(each!.waiting()).toBe(0);
    await gone(socket);
  });

  test('is hung up on at the end', async () => {
    const ending = await open();
    const socket = await viewer(undefined, portOf(ending));
    const closed = once(socket, 'close');
    ending.close();
    await closed;
    await vi.waitFor(() => expect(shown.size).toBe(0), { timeout: 60_000 });
  });

  test('that has gone to sleep is forgotten', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const sleeping = await viewer();
      const awake = await viewer();
      // Neither reads nor answers, as one whose machine sleeps.
      sleeping.pause();
      const pinged = once(awake, 'ping');
      vi.advanceTimersByTime(20_000);
      await pinged;
      // Its answer is on the way.
      await vi.waitFor(
        async () => {
          expect((await ask('/')).status).toBe(200);
          vi.advanceTimersByTime(0);
          expect(shown.size).toBe(2);
        },
        { timeout: 60_000 },
      );
      awake.ping();
      await once(awake, 'pong');
      vi.advanceTimersByTime(20_000);
      await vi.waitFor(() => expect(shown.size).toBe(1), { timeout: 60_000 });
      expect(awake.readyState).toBe(WebSocket.OPEN);
      await gone(awake);
      sleeping.terminate();
    } finally {
      vi.useRealTimers();
    }
  });
});

const dial = (): Socket => createConnection(port, '127.0.0.1').on('error', () => {});

describe('who misbehaves', () => {
  test('by sending anything whatever: others are answered, and nothing is ordered', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.constantFrom(
            'CONNECT x:1 HTTP/1.1\r\n\r\n',
            'GET /ws HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n',
            `GET /ws?token=${TOKEN} HTTP/1.1\r\nhost: localhost\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n`,
            `GET /ws?token=${TOKEN} HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: x\r\n\r\n`,
            `POST /ws?token=${TOKEN} HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n`,
            'POST /order HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nx',
            'GET http://evil.example/ HTTP/1.1\r\nhost: localhost\r\n\r\n',
            'GET / HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n',
          ),
        ),
        fc.boolean(),
        async (bytes, whole) => {
          const client = dial();
          client.write(bytes);
          if (whole) client.end();
          else client.destroy();
          if (whole) await text(client).catch(() => '');
          expect((await ask('/')).status).toBe(200);
        },
      ),
      { numRuns: 60 },
    );
    expect([ordered, shown.size]).toEqual([[], 0]);
  });

  test('by sending frames that are none is hung up on', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 2, maxLength: 300 }), async (bytes) => {
        const client = dial();
        client.write(
          `GET /ws?token=${TOKEN} HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n` +
            'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
        );
        client.write(bytes);
        client.end();
        await text(client).catch(() => '');
        await vi.waitFor(() => expect(shown.size).toBe(0), { timeout: 60_000 });
      }),
      { numRuns: 30 },
    );
    expect(ordered).toEqual([]);
  });

  test('by never sending the rest is hung up on', async () => {
    const client = dial();
    client.write('POST /order HTTP/1.1\r\nhost: localhost\r\n');
    await once(client.resume(), 'close');
    expect((await ask('/')).status).toBe(200);
  });
});
