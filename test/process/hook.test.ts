import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcp, type Server as TcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Exit } from '../../machines/events.ts';
import { post, tellCommand, type Webhook } from '../../src/process/hook.ts';
import type { Program } from '../../src/process/launch.ts';

let dir: string;
const servers: (Server | TcpServer)[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'upkeep-hook-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
  for (const server of servers.splice(0)) {
    server.close();
    if ('closeAllConnections' in server) server.closeAllConnections();
  }
});

async function listen(server: Server | TcpServer): Promise<string> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A server that answers with these, one after the other, and what it was sent. */
async function receiver(answer: RequestListener) {
  const received: Received[] = [];
  const place = await listen(
    createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      request.on('end', () => {
        received.push({ method: request.method!, url: request.url!, headers: request.headers, body });
        answer(request, response);
      });
    }),
  );
  return { place, received };
}

const BODY = '{"text":"ü"}';
const secrets: string[] = [];
const send = (webhook: Partial<Webhook>, timeout = 60_000) =>
  new Promise((resolve) => {
    post({ url: '', headers: {}, ...webhook }, BODY, {
      timeout,
      agent: 'upkeep/1',
      onSecrets: (learned) => secrets.push(...learned),
      answer: resolve,
    });
  });

describe('a request', () => {
  test('is a POST with JSON, and headers of the policy', async () => {
    const { place, received } = await receiver((_, response) => response.end('x'.repeat(1_000_000)));
    writeFileSync(join(dir, 'key'), 'hunter3\n');
    const headers = {
      Authorization: 'Bearer hunter2',
      'X-Key': { file: join(dir, 'key') },
      'user-Agent': 'me',
    };
    expect(await send({ url: `http://${place}/a?b=c`, headers })).toBeNull();
    expect(received).toMatchObject([
      {
        method: 'POST',
        url: '/a?b=c',
        body: BODY,
        headers: {
          'content-type': 'application/json',
          'content-length': String(Buffer.byteLength(BODY)),
          'user-agent': 'me',
          authorization: 'Bearer hunter2',
          'x-key': 'hunter3',
        },
      },
    ]);
    expect(secrets).toEqual(expect.arrayContaining(['Bearer hunter2', 'hunter2', 'hunter3']));
  });

  test('goes where a file says', async () => {
    const { place, received } = await receiver((_, response) => response.end());
    const file = join(dir, 'url');
    writeFileSync(file, `http://${place}/hunter4\n`);
    expect(await send({ url: { file } })).toBeNull();
    expect(received[0]!.url).toBe('/hunter4');
    expect(secrets).toContain(`http://${place}/hunter4`);
  });

  test.each([
    [200, null],
    [204, null],
    [301, { again: false, reason: /answered 301, a redirect, which is not followed/ }],
    [400, { again: false, reason: /answered 400; see that it is the right address/ }],
    [408, { again: true, reason: /answered 408/ }],
    [429, { again: true, reason: /answered 429/ }],
    [500, { again: true, reason: /answered 500; look there/ }],
    [503, { again: true, reason: /answered 503/ }],
  ])('that is answered %i', async (status, expected) => {
    const { place, received } = await receiver((_, response) => {
      response.writeHead(status, { location: '/other', 'retry-after': '7' }).end();
    });
    const failure = await send({ url: `http://${place}/secret` });
    if (expected === null) expect(failure).toBeNull();
    else {
      expect(failure).toMatchObject({ again: expected.again });
      if (expected.again) expect(failure).toMatchObject({ after: 7_000 });
      expect((failure as { reason: string }).reason).toMatch(expected.reason);
      expect((failure as { reason: string }).reason).not.toContain('secret');
    }
    expect(received).toHaveLength(1);
  });

  test('that nobody takes', async () => {
    const place = await listen(createTcp());
    await new Promise((resolve) => servers.pop()!.close(resolve));
    expect(await send({ url: `http://${place}` })).toEqual({
      reason: `cannot reach ${place}: nobody listens there; see that it can be reached from here`,
      again: true,
    });
  });

  test('that is hung up on, and one that is answered with something else', async () => {
    const closing = await listen(createTcp((socket) => socket.once('data', () => socket.end())));
    expect(await send({ url: `http://${closing}` })).toMatchObject({ again: true });
    const babbling = await listen(createTcp((socket) => void socket.end('hello\r\n\r\n')));
    expect(await send({ url: `http://${babbling}` })).toMatchObject({ again: true });
  });

  test('that is not answered in time is closed', async () => {
    const closed = deferred();
    const place = await listen(
      createTcp((socket) =>
        socket
          .on('error', () => {})
          .on('close', closed.resolve)
          .resume(),
      ),
    );
    expect(await send({ url: `http://${place}` }, 50)).toEqual({
      reason: `${place} has not answered within 50 ms; make timeout longer, or see what keeps it`,
      again: true,
    });
    await closed.promise;
  });

  test('that is ended gets no answer', async () => {
    const closed = deferred();
    const began = deferred();
    const place = await listen(
      createTcp((socket) => {
        began.resolve();
        socket
          .on('error', () => {})
          .on('close', closed.resolve)
          .resume();
      }),
    );
    const answer = vi.fn();
    const end = post({ url: `http://${place}`, headers: {} }, BODY, {
      timeout: 60_000,
      agent: 'x',
      onSecrets: () => {},
      answer,
    });
    await began.promise;
    end();
    await closed.promise;
    expect(answer).not.toHaveBeenCalled();
  });

  test.each([
    [
      'a file that is not there',
      () => ({ file: join(dir, 'none') }),
      /^cannot read the address from .*none: ENOENT; see/,
    ],
    ['a folder', () => ({ file: dir }), /^cannot read the address from .*: it is no file; see/],
    ['no address', () => 'ftp://x', /^its address is none/],
  ])('of %s is not tried again', async (_, url, reason) => {
    expect(await send({ url: url() })).toEqual({ reason: expect.stringMatching(reason), again: false });
  });

  test('with a header that cannot be sent is not tried again, and does not show it', async () => {
    const failure = await send({ url: 'http://127.0.0.1:1', headers: { A: 'hunter2\nB: c' } });
    expect(failure).toMatchObject({ again: false });
    expect(JSON.stringify(failure)).not.toContain('hunter2');
  });
});

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve: () => resolve() };
}

describe('a command', () => {
  const program: Program = { file: 'page', args: ['-x'], env: { A: 'b' } };
  const start = (timeout = 60_000) => {
    const answers: unknown[] = [];
    let started: Program | null = null;
    let ended: (result: Exit | { error: string }) => void = () => {};
    const kill = vi.fn();
    const variables = { UPKEEP_EVENT: 'died', UPKEEP_MESSAGE: `a\0b${'c'.repeat(200_000)}` };
    const end = tellCommand(
      program,
      BODY,
      variables,
      (given, then) => {
        started = given;
        ended = then;
        return kill;
      },
      { timeout, answer: (failure) => answers.push(failure) },
    );
    return {
      answers,
      started: started as unknown as Program,
      ended: (r: Exit | { error: string }) => ended(r),
      kill,
      end,
    };
  };
  const exit = (code: number | null, signal: string | null = null): Exit => ({
    known: true,
    code,
    signal,
    core: false,
  });

  test('is given all on its stdin, and variables that the kernel takes', () => {
    const { started } = start();
    expect(started).toMatchObject({
      file: 'page',
      args: ['-x'],
      input: BODY,
      env: { A: 'b', UPKEEP_EVENT: 'died' },
    });
    expect(started.env.UPKEEP_MESSAGE).toMatch(/^abc+$/);
    expect(started.env.UPKEEP_MESSAGE!.length).toBeLessThan(128 * 1024);
  });

  test.each([
    [exit(0), null],
    [exit(3), { reason: 'its command exited with status 3; try it by hand', again: true }],
    [exit(null, 'SIGSEGV'), { reason: 'its command was killed by SIGSEGV; try it by hand', again: true }],
    [{ error: 'cannot run page: x' }, { reason: 'cannot run page: x', again: true }],
  ])('%j', (result, failure) => {
    const { answers, ended } = start();
    ended(result);
    expect(answers).toEqual([failure]);
  });

  test('that takes too long is killed', async () => {
    const { answers, kill } = start(5);
    await vi.waitUntil(() => answers.length > 0);
    expect(kill).toHaveBeenCalledOnce();
    expect(answers).toEqual([
      {
        reason: 'it took longer than 5 ms and was killed; make timeout longer, or see what keeps it',
        again: true,
      },
    ]);
  });

  test('that is ended gets no answer', () => {
    const { answers, kill, end } = start();
    end();
    expect(kill).toHaveBeenCalledOnce();
    expect(answers).toEqual([]);
  });
});
