import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, createConnection, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createEndpoints } from '../../src/control/endpoints.ts';
import type { Health } from '../../src/control/health.ts';

const health = (ok: boolean, words: string): Health => ({
  version: 1,
  state: ok ? 'ready' : 'degraded',
  ok,
  text: words,
  commands: [],
});
let answers: Record<'live' | 'ready', Health | null>;
let metrics = async (): Promise<string> => 'upkeep_info 1\n';
let server: Server;
let port = 0;

beforeAll(async () => {
  server = createEndpoints({
    health: (which) => answers[which],
    metrics: () => metrics(),
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
    redact: (said) => said.replaceAll('hunter2', '***'),
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
  answers = { live: health(true, 'ready'), ready: health(false, 'degraded: db is backoff hunter2') };
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
});

const get = (path: string, method = 'GET') =>
  fetch(`http://127.0.0.1:${port}${path}`, { method, headers: { connection: 'close' } });
const connect = (): Socket => createConnection(port, '127.0.0.1').on('error', () => {});

describe('a request', () => {
  test('for the health is answered, by status and in words, without secrets', async () => {
    const live = await get('/livez');
    expect([live.status, await live.text()]).toEqual([200, 'ready\n']);
    const ready = await get('/readyz?verbose');
    expect([ready.status, await ready.text()]).toEqual([503, 'degraded: db is backoff ***\n']);
  });

  test('for metrics is answered as Prometheus wants it', async () => {
    const answer = await get('/metrics');
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect([answer.status, await answer.text()]).toEqual([200, 'upkeep_info 1\n']);
  });

  test('with HEAD gets no body', async () => {
    const answer = await get('/livez', 'HEAD');
    expect([answer.status, answer.headers.get('content-length'), await answer.text()]).toEqual([
      200,
      '6',
      '',
    ]);
  });

  test.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('with %s is refused', async (method) => {
    for (const path of ['/livez', '/readyz', '/metrics']) {
      const answer = await get(path, method);
      expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    }
  });

  test.each(['/', '/v1/stop', '/metrics/', '/livez/../v1/status'])('for %s finds nothing', async (path) => {
    expect((await get(path)).status).toBe(404);
  });

  test('at the very start is told to come again', async () => {
    const before = answers;
    answers = { live: null, ready: null };
    expect((await get('/livez')).status).toBe(503);
    answers = before;
  });

  test('with a mistake of ours behind it is answered with that', async () => {
    metrics = async () => {
      throw new Error('a mistake');
    };
    const answer = await get('/metrics');
    expect([answer.status, await answer.text()]).toEqual([500, 'cannot answer: a mistake\n']);
    metrics = async () => 'upkeep_info 1\n';
  });
});

describe('who misbehaves', () => {
  test('by sending anything whatever: others are answered', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.constantFrom(
            'CONNECT x:1 HTTP/1.1\r\n\r\n',
            'GET /metrics HTTP/1.1\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n',
          ),
        ),
        fc.boolean(),
        async (bytes, whole) => {
          const client = connect();
          client.write(bytes);
          if (whole) client.end();
          else client.destroy();
          if (whole) await text(client).catch(() => '');
          expect((await get('/livez')).status).toBe(200);
        },
      ),
      { numRuns: 30 },
    );
  });

  test.each([
    ['no HTTP', 'garbage\r\n\r\n', 400, 'it is no HTTP; ask with curl, or a browser'],
    [
      'a large head',
      `GET /livez HTTP/1.1\r\nx: ${'y'.repeat(9_000)}\r\n\r\n`,
      431,
      'its head is larger than 8192 bytes; send less',
    ],
  ])('with %s is told so', async (_, sent, status, why) => {
    const client = connect();
    client.write(sent);
    expect(await text(client)).toMatch(
      new RegExp(`^HTTP/1.1 ${status} .*\r\n\r\ncannot read the request: ${why}\n$`, 's'),
    );
  });

  test('with a huge head is hung up on', async () => {
    const client = connect();
    client.write(`GET /livez HTTP/1.1\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`);
    expect(await text(client).catch(() => '')).not.toContain('200 OK');
  });

  test('with a thousand connections gives way to whoever comes next', async () => {
    const clients = Array.from({ length: 1_000 }, connect);
    let closed = 0;
    for (const client of clients) client.on('close', () => closed++);
    await expect.poll(() => closed, { timeout: 60_000 }).toBeGreaterThan(900);
    expect((await get('/livez')).status).toBe(200);
    for (const client of clients) client.destroy();
  });

  test('by never sending the rest is hung up on', async () => {
    const client = connect();
    client.write('GET /livez HTTP/1.1\r\n');
    await once(client.resume(), 'close');
    expect((await get('/livez')).status).toBe(200);
  });

  test('by never reading is hung up on', async () => {
    metrics = async () => 'x'.repeat(50_000_000);
    const client = connect().pause();
    client.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n');
    await once(server, 'connection');
    await expect
      .poll(() => new Promise((resolve) => server.getConnections((_, count) => resolve(count))), {
        timeout: 60_000,
      })
      .toBe(0);
    client.destroy();
    metrics = async () => 'upkeep_info 1\n';
    expect((await get('/livez')).status).toBe(200);
  });
});
