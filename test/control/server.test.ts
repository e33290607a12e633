import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ask, NobodyError } from '../../src/control/client.ts';
import type { Reloading } from '../../src/control/inside.ts';
import { createControl } from '../../src/control/server.ts';
import { createInside } from './inside.ts';

const dir = mkdtempSync(join(tmpdir(), 'upkeep-control-'));
const path = join(dir, 'sock');
const asked: (readonly [readonly string[], Omit<Reloading, 'accepted'>])[] = [];
let server: Server;
/** What the socket's mode says. */
let isPrivate = true;

beforeAll(async () => {
  const inside = createInside(
    {
      async reload(names, { wait, able }) {
        asked.push([names, { wait, able }]);
        if (names[0] === 'broken') throw new Error('a mistake');
        return { status: 200, body: { message: 'done' } };
      },
    },
    ['web', 'db', 'broken'],
  );
  const control = createControl({
    version: '1.2.3',
    inside: () => inside,
    uidOf: () => null,
    isPrivate: () => isPrivate,
    ownUid: 0,
  });
  server = createServer((client) => {
    client.on('error', () => {});
    control(client);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
});
afterAll(() => {
  server.close();
  rmSync(dir, { recursive: true });
});

const post = (body: unknown) => ask(path, 'POST', '/v1/reload', body, 10_000);

describe('a request', () => {
  test('is answered', async () => {
    expect(await post({ names: ['web', 'db'] })).toEqual({ status: 200, body: { message: 'done' } });
    expect(asked.at(-1)).toEqual([['web', 'db'], { wait: 0, able: false }]);
    expect(await post(null)).toMatchObject({ status: 200, body: { message: 'done', before: [] } });
    expect(asked.at(-1)).toEqual([[], { wait: 0, able: false }]);
    await post({ all: true, wait: 3_000 });
    expect(asked.at(-1)).toEqual([['web', 'db', 'broken'], { wait: 3_000, able: true }]);
  });

  test('with a mistake of ours behind it is answered with that', async () => {
    expect(await post({ names: ['broken'] })).toEqual({
      status: 500,
      body: { error: 'cannot answer: a mistake in upkeep: a mistake; please report it' },
    });
  });

  test.each([
    ['GET', '/nothing', null, 404],
    ['GET', '/v1/reload', null, 405],
    ['POST', '/v1/about', null, 405],
    ['POST', '/v1/reload', { names: [1] }, 400],
    ['POST', '/v1/reload', { names: 'a' }, 400],
    ['POST', '/v1/reload', null, 200],
  ] as const)('%s %s %j gets %i', async (method, route, body, status) => {
    expect((await ask(path, method, route, body, 10_000)).status).toBe(status);
  });

  test('of more than it may be is refused', async () => {
    const { status, body } = await post({ names: ['x'.repeat(100_000)] });
    expect([status, body.error]).toEqual([413, expect.stringMatching(/larger than/)]);
  });
});

test('whatever is sent, it goes on answering', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (bytes, whole) => {
      const client = createConnection(path);
      client.on('error', () => {});
      client.write(bytes);
      if (whole) client.end();
      else client.destroy();
      if (whole) await text(client).catch(() => '');
      expect((await ask(path, 'GET', '/v1/about', null, 10_000)).status).toBe(200);
    }),
    { numRuns: 30 },
  );
}, 60_000);

test('where nobody is, that is said, with what to do', async () => {
  const refused = ask(join(dir, 'none'), 'GET', '/v1/about', null, 1_000);
  await expect(refused).rejects.toThrow(NobodyError);
  await expect(refused).rejects.toThrow(
    /^cannot ask upkeep at .*: there is no such socket; .*--socket PATH$/,
  );
});

test('where nobody can tell who asks, the mode of the socket has to keep others out', async () => {
  const before = asked.length;
  isPrivate = false;
  for (const [method, route] of [
    ['POST', '/v1/reload'],
    ['GET', '/v1/logs'],
  ] as const) {
    const { status, body } = await ask(path, method, route, null, 10_000);
    expect([status, body.error]).toEqual([
      403,
      expect.stringMatching(/nobody can tell who asks.*; chmod 600/),
    ]);
  }
  isPrivate = true;
  expect(asked).toHaveLength(before);
  expect((await post({ names: ['web'] })).status).toBe(200);
});
