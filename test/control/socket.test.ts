import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createConnection, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { ask } from '../../src/control/client.ts';
import { createControl } from '../../src/control/server.ts';
import { claimSocket, defaultSocketPath } from '../../src/control/socket.ts';

const dir = mkdtempSync(join(tmpdir(), 'upkeep-socket-'));
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  rmSync(dir, { recursive: true, force: true });
});

/** What upkeep answers with. */
const control = createControl({
  version: '1.2.3',
  inside: () => null,
  uidOf: () => null,
  isPrivate: () => true,
  ownUid: 0,
});

async function claim(path: string) {
  const result = await claimSocket(path, control);
  if ('server' in result) servers.push(result.server);
  return result;
}

/** Who is killed leaves its socket behind. */
async function leaveDeadSocket(path: string): Promise<void> {
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await once(spawn(process.execPath, ['-e', script]), 'exit');
}

describe('a claim', () => {
  test('makes the socket and the folders it is in, for the owner alone', async () => {
    const path = join(dir, 'a/b/sock');
    expect(await claim(path)).toHaveProperty('server');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(dir, 'a')).mode & 0o777).toBe(0o700);
  });

  test('leaves the umask as it was', async () => {
    const before = process.umask();
    await claim(join(dir, 'sock'));
    expect(process.umask()).toBe(before);
  });

  test('is answered with who holds it', async () => {
    const path = join(dir, 'sock');
    await claim(path);
    expect(await claim(path)).toEqual({ holder: `upkeep ${process.pid}` });
    expect((await ask(path, 'GET', '/v1/about', null, 10_000)).body).toEqual({
      version: 1,
      upkeep: '1.2.3',
      pid: process.pid,
    });
  });

  test('replaces a socket that nobody answers on', async () => {
    const path = join(dir, 'sock');
    await claim(join(dir, 'x'));
    await leaveDeadSocket(path);
    expect(existsSync(path)).toBe(true);
    expect(await claim(path)).toHaveProperty('server');
    expect(await claim(path)).toEqual({ holder: `upkeep ${process.pid}` });
  });

  test('of several at once on a dead socket is granted to one', async () => {
    const path = join(dir, 'sock');
    await claim(join(dir, 'x'));
    await leaveDeadSocket(path);
    const claims = await Promise.all(Array.from({ length: 5 }, () => claim(path)));
    expect(claims.filter((result) => 'server' in result)).toHaveLength(1);
    expect(claims.filter((result) => 'holder' in result)).toHaveLength(4);
  });

  test('replaces nothing but a socket', async () => {
    const path = join(dir, 'precious');
    await claim(join(dir, 'x'));
    writeFileSync(path, 'precious');
    expect(await claim(path)).toEqual({ impossible: `${path} is there and is no socket` });
    expect(readFileSync(path, 'utf8')).toBe('precious');
    symlinkSync(path, join(dir, 'link'));
    expect(await claim(join(dir, 'link'))).toHaveProperty('impossible');
    expect(readFileSync(path, 'utf8')).toBe('precious');
  });

  test('of a socket that somebody holds without a word is refused', async () => {
    const path = join(dir, 'mute');
    await claim(join(dir, 'x'));
    const clients: { destroy(): void }[] = [];
    const mute = createServer((client) => clients.push(client));
    servers.push(mute);
    await once(mute.listen(path), 'listening');
    expect(await claim(path)).toEqual({ holder: 'something that does not answer' });
    for (const client of clients) client.destroy();
  });

  test.for(['/proc/none/at/all/sock', `/tmp/${'x'.repeat(120)}`])(
    'of %s is said to be impossible',
    async (path) => {
      expect(await claim(path)).toHaveProperty('impossible');
    },
  );

  test('survives clients that leave at once', async () => {
    const path = join(dir, 'sock');
    await claim(path);
    for (let count = 0; count < 20; count++)
      createConnection(path)
        .on('error', () => {})
        .destroy();
    expect(await claim(path)).toEqual({ holder: `upkeep ${process.pid}` });
  });
});

test('the default is where it can be written', () => {
  const path = defaultSocketPath({ XDG_RUNTIME_DIR: dir });
  const root = process.getuid!() === 0;
  expect(path).toBe(root ? '/run/upkeep.sock' : expect.stringMatching(/upkeep(-\d+)?\.sock$/));
});
