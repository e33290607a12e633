import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, describe, expect, test } from 'vitest';
import type { Exit } from '../../machines/events.ts';
import { type Launched, launch, type NotLaunched, onExit } from '../../src/process/launch.ts';
import { loadNative, type Native } from '../../src/process/native.ts';

const dir = mkdtempSync(join(tmpdir(), 'upkeep-launch-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const loaded = loadNative(process.env);
const native: Native | null = 'missing' in loaded ? null : loaded;
const noNative = 'missing' in loaded ? `without koffi: ${loaded.missing}` : '';
const options = { execa, native, prefix: null, env: { PATH: process.env.PATH } };
const pipes = { stdout: 'pipe', stderr: 'pipe' } as const;
const TAG = 0x5b7_12345n;

const start = (
  file: string,
  args: string[] = [],
  env: Record<string, string> = {},
  tag: bigint | null = null,
) => launch(options, { file, args, env }, pipes, tag);

async function refused(file: string, args: string[] = []): Promise<NotLaunched> {
  const result = await start(file, args);
  if ('child' in result) throw new Error(`${file} was started`);
  return result;
}

function started(...args: Parameters<typeof start>): Launched {
  const result = start(...args);
  if (!('child' in result)) throw new Error('it was not started');
  return result;
}

async function textOf({ child }: Launched): Promise<string> {
  let all = '';
  child.stdout!.on('data', (chunk) => {
    all += chunk;
  });
  await once(child.stdout!, 'end');
  return all;
}

describe('what cannot be started is told of, with what to do', () => {
  const script = (name: string, mode: number): string => {
    const path = join(dir, name);
    writeFileSync(path, '#!/bin/sh\n');
    chmodSync(path, mode);
    return path;
  };

  test('no such program', async () => {
    expect(await refused(join(dir, 'none'))).toEqual({
      error: `cannot run ${join(dir, 'none')}: there is no such program; check the path, or install it in the image (ENOENT)`,
      blame: 'command',
    });
    expect((await refused('none-in-any-folder')).error).toContain('there is no such program');
  });

  test('not executable', async () => {
    expect(await refused(script('plain', 0o644))).toMatchObject({
      error: expect.stringContaining('chmod +x'),
      blame: 'command',
    });
    expect((await refused(dir)).error).toContain('not executable');
  });

  test('a folder that is none', async () => {
    expect((await refused(join(script('file', 0o755), 'below'))).error).toContain('no directory');
  });

  test('a loop of links', async () => {
    symlinkSync('loop', join(dir, 'loop'));
    expect((await refused(join(dir, 'loop'))).error).toContain('mend the links');
  });

  test('arguments too long for the kernel', async () => {
    expect(await refused('echo', ['x'.repeat(140_000)])).toMatchObject({
      error: expect.stringContaining('too long'),
      blame: 'command',
    });
  });
});

describe('what is started', { timeout: 300_000 }, () => {
  test('has its words, its environment and no other, no stdin, and a session of its own', async () => {
    const launched = started('sh', ['-c', 'readlink /proc/self/fd/0; echo "$1"; env', 'sh', 'a b'], {
      A: '1 2',
    });
    const lines = (await textOf(launched)).split('\n');
    expect(lines.slice(0, 2)).toEqual(['/dev/null', 'a b']);
    expect(lines).toContain('A=1 2');
    expect(lines.filter((line) => line.startsWith('VITEST'))).toEqual([]);
  });

  test('ends with its code or its signal', async () => {
    const ends = await Promise.all(
      ['exit 7', 'kill -9 $$', 'exit 0'].map(
        (text) => new Promise<Exit>((resolve) => onExit(started('sh', ['-c', text]).child, resolve)),
      ),
    );
    expect(ends).toEqual([
      { known: true, code: 7, signal: null, core: false },
      { known: true, code: null, signal: 'SIGKILL', core: false },
      { known: true, code: 0, signal: null, core: false },
    ]);
  });

  test('is heard of when it ends though others hold its stdout', async () => {
    const launched = started('sh', ['-c', 'sleep 1000 & echo $!']);
    const sleeping = once(launched.child.stdout!, 'data');
    await new Promise<Exit>((resolve) => onExit(launched.child, resolve));
    const pid = Number(String((await sleeping)[0]));
    // Throws when it is not there any more.
    process.kill(pid, 'SIGKILL');
  });

  test.skipIf(noNative)(`carries its tag, and upkeep does not ${noNative}`, async () => {
    const before = native!.getLocksLimit();
    const limits = await textOf(started('cat', ['/proc/self/limits'], {}, TAG));
    expect(limits).toMatch(new RegExp(`^Max file locks +${TAG} `, 'm'));
    expect(native!.getLocksLimit()).toEqual(before);
    expect(readFileSync('/proc/self/limits', 'latin1')).not.toContain(String(TAG));
  });

  test.skipIf(noNative)(`leaves no tag on upkeep when it cannot be started either ${noNative}`, async () => {
    const before = native!.getLocksLimit();
    await start(join(dir, 'none'), [], {}, TAG);
    await start('echo', ['x'.repeat(140_000)], {}, TAG);
    expect(native!.getLocksLimit()).toEqual(before);
  });

  test('is given its tag by the words in front where upkeep cannot set it', async () => {
    const prefixed = launch(
      { ...options, native: null, prefix: (tag) => ['echo', `tag ${tag}`] },
      { file: 'prog', args: ['x'], env: {} },
      pipes,
      7n,
    );
    expect(await textOf(prefixed as Launched)).toBe('tag 7 prog x\n');
  });
});
