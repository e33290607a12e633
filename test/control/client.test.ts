/** The client's end: whoever does not answer is not waited for for ever, and why nobody does is told. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { ask, follow, NobodyError, type Reply } from '../../src/control/client.ts';

const dir = mkdtempSync(join(tmpdir(), 'upkeep-client-'));
const path = join(dir, 'sock');
const clients = new Set<Socket>();
let server: Server;
/** What whoever connects is sent. */
let said = '';

beforeAll(async () => {
  server = createServer((client) => {
    clients.add(client);
    client.on('error', () => {});
    client.write(said);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
});
afterAll(() => {
  for (const client of clients) client.destroy();
  server.close();
  rmSync(dir, { recursive: true });
});

const PATIENCE = 10_000;
const refused = ({ status }: Reply): Error => new Error(`refused with ${status}`);
const HEAD = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

describe('a socket that does not answer', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  test.each([
    ['nothing at all', '', true, []],
    ['nothing at all, once', '', false, []],
    ['half of what there is', `${HEAD}${chunk('one\ntwo\n')}`, false, ['one', 'two']],
    ['half of a refusal', 'HTTP/1.1 409 Conflict\r\ncontent-length: 9\r\n\r\n{', true, []],
  ])('but says %s is given up', async (_, text, goesOn, expected) => {
    said = text;
    const lines: string[] = [];
    const before = clients.size;
    const reading = follow(
      path,
      '/v1/events',
      { patience: PATIENCE, goesOn },
      refused,
      (line) => lines.push(line) > 0,
    );
    const given = expect(reading).rejects.toThrow(/: it does not answer; see whether it runs there/);
    await expect.poll(() => [clients.size, lines]).toEqual([before + 1, expected]);
    vi.advanceTimersByTime(PATIENCE);
    await given;
    await expect(reading).rejects.toThrow(NobodyError);
  });

  test('but has begun to is followed as long as it likes', async () => {
    said = `${HEAD}${chunk('one\n')}`;
    const lines: string[] = [];
    const reading = follow(
      path,
      '/',
      { patience: PATIENCE, goesOn: true },
      refused,
      (line) => lines.push(line) < 2,
    );
    await expect.poll(() => lines).toEqual(['one']);
    vi.advanceTimersByTime(PATIENCE * 1_000);
    for (const client of clients) client.write(chunk('two\n'));
    expect(await reading).toBe(true);
    expect(lines).toEqual(['one', 'two']);
  });
});

test('whoever takes what comes may take its time', async () => {
  said = `${HEAD}${chunk('one\n')}`;
  const lines: string[] = [];
  const ended = await follow(path, '/', { patience: 2_000, goesOn: false }, refused, (line) => {
    // As a write to a pager does that nobody reads on in.
    if (line === 'one') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_300);
    if (line === 'one') for (const client of clients) client.write(`${chunk('two\n')}0\r\n\r\n`);
    return lines.push(line) > 0;
  });
  expect([ended, lines]).toEqual([true, ['one', 'two']]);
});

describe('where nobody can be asked', () => {
  const file = join(dir, 'file');
  const folder = join(dir, 'folder');
  writeFileSync(file, '');
  mkdirSync(folder);

  test.each([
    ['a file', file, 'it is no socket'],
    ['a folder', folder, 'it is no socket'],
    ['nothing', join(dir, 'none'), 'there is no such socket'],
    ['a path that is too long', join(dir, 'x'.repeat(200)), 'that is longer than the \\d+ bytes'],
  ])('at %s that is told', async (_, where, why) => {
    const message = new RegExp(`^cannot ask upkeep at .*: ${why}.*; .*--socket PATH$`);
    await expect(ask(where, 'GET', '/v1/about', null, 10_000)).rejects.toThrow(message);
    const reading = follow(where, '/v1/logs', { patience: 10_000, goesOn: true }, refused, () => true);
    await expect(reading).rejects.toThrow(message);
  });
});
