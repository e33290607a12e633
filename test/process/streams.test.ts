import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { constants, readdirSync, readlinkSync } from 'node:fs';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { loadNative, type Native } from '../../src/process/native.ts';
import { createStreams } from '../../src/process/streams.ts';

const loaded = loadNative(process.env);
const native = loaded as Native;
const noNative = 'missing' in loaded ? `without koffi: ${loaded.missing}` : '';

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** Collects what is read. `refusing`: says after each piece that it was too much. */
function reader() {
  const read = { refusing: false, pieces: 0, texts: new Map<string, string>() };
  const listener = (command: string, chunk: Buffer, stream: string): boolean => {
    const key = `${command} ${stream}`;
    read.pieces++;
    read.texts.set(key, (read.texts.get(key) ?? '') + chunk);
    return !read.refusing;
  };
  return { read, listener, text: (key: string) => read.texts.get(key) ?? '' };
}

const run = (streams: ReturnType<typeof createStreams>, command: string, script: string): ChildProcess => {
  const child = streams.lend(command, ({ stdout, stderr }) =>
    spawn('sh', ['-c', script], { stdio: ['ignore', stdout as number, stderr as number] }),
  );
  children.push(child);
  streams.attach(command, child);
  return child;
};
/** Pipes that this process has open. */
const openPipes = (): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('pipe:');
    } catch {
      return false;
    }
  }).length;
const soon = (check: () => void) => vi.waitFor(check, { timeout: 120_000 });

describe.skipIf(noNative)(`what services write ${noNative}`, { timeout: 300_000 }, () => {
  test('is read by command and stream, over one process and the next', async () => {
    const { listener, text } = reader();
    const streams = createStreams(native, listener);
    await once(run(streams, 'web', 'echo one; echo err >&2'), 'exit');
    await once(run(streams, 'web', 'echo two'), 'exit');
    await once(run(streams, 'db', 'echo three'), 'exit');
    await soon(() => {
      expect(text('web stdout')).toBe('one\ntwo\n');
      expect(text('web stderr')).toBe('err\n');
      expect(text('db stdout')).toBe('three\n');
    });
  });

  test('takes one descriptor for each stream, whatever is started and whatever fails', async () => {
    const { listener, text } = reader();
    const streams = createStreams(native, listener);
    await once(run(streams, 'web', 'echo one'), 'exit');
    await soon(() => expect(text('web stdout')).toBe('one\n'));
    const open = openPipes();
    await once(run(streams, 'web', 'echo two'), 'exit');
    const failing = (): never => {
      throw new Error('cannot start');
    };
    expect(() => streams.lend('web', failing)).toThrow('cannot start');
    await soon(() => expect(text('web stdout')).toBe('one\ntwo\n'));
    expect(openPipes()).toBe(open);
    await once(run(streams, 'db', 'exit'), 'exit');
    expect(openPipes()).toBe(open + 2);
  });

  test('blocks whoever writes and never comes to an end, though upkeep reads without waiting', async () => {
    const { listener, text } = reader();
    const streams = createStreams(native, listener);
    const flags = "sed -n 's/^flags:\\s*//p' /proc/self/fdinfo/1";
    await once(run(streams, 'web', flags), 'exit');
    await soon(() => expect(text('web stdout')).toMatch(/^\d+\n$/));
    const given = Number.parseInt(text('web stdout'), 8);
    expect(given & constants.O_NONBLOCK).toBe(0);
    // So it outlives upkeep, which is the other reader.
    expect(given & constants.O_RDWR).toBe(constants.O_RDWR);
  });

  test('is read at once by draining: what a dead process said last', async () => {
    const { listener, text } = reader();
    const streams = createStreams(native, listener);
    await once(run(streams, 'web', 'printf last'), 'exit');
    streams.drain('web');
    expect(text('web stdout')).toBe('last');
    streams.drain('unknown');
  });

  test('waits in the pipe when it is too much, and the writer waits as well; nothing is lost', async () => {
    const { read, listener, text } = reader();
    const streams = createStreams(native, listener);
    read.refusing = true;
    const child = run(streams, 'web', 'i=0; while [ $i -lt 30000 ]; do echo "line $i"; i=$((i+1)); done');
    await soon(() => expect(read.pieces).toBe(1));
    // Held up: no drain gets past it either, and the writer can't end.
    streams.drain('web');
    expect(read.pieces).toBe(1);
    expect(child.exitCode).toBeNull();
    read.refusing = false;
    streams.resume();
    await once(child, 'exit');
    const all = Array.from({ length: 30_000 }, (_, index) => `line ${index}\n`).join('');
    await soon(() => expect(text('web stdout').length).toBe(all.length));
    expect(text('web stdout')).toBe(all);
  });

  test('can be taken over from a process that another upkeep started', async () => {
    const first = reader();
    const child = run(
      createStreams(native, () => false),
      'web',
      'while :; do echo tick; sleep 0.05; done',
    );
    const second = createStreams(native, first.listener);
    second.takeOver('web', child.pid!);
    await soon(() => expect(first.text('web stdout')).toContain('tick'));
  });

  test('once taken over, is read at once by draining as well', async () => {
    const { listener, text } = reader();
    const child = run(
      createStreams(native, () => false),
      'web',
      'exec sleep 1000',
    );
    const second = createStreams(native, listener);
    second.takeOver('web', child.pid!);
    // Said without a turn of the event loop in between.
    spawnSync('sh', ['-c', `printf last > /proc/${child.pid}/fd/1`]);
    second.drain('web');
    expect(text('web stdout')).toBe('last');
  });

  test('is not taken over from a process that writes elsewhere, or is gone', () => {
    const { listener } = reader();
    const streams = createStreams(native, listener);
    const child = spawn('sleep', ['1000'], { stdio: ['ignore', 'pipe', 'ignore'] });
    children.push(child);
    streams.takeOver('web', child.pid!);
    streams.takeOver('web', 2 ** 22 + 1);
  });
});

test('without native calls, execa’s own pipes are read', async () => {
  const { listener, text } = reader();
  const streams = createStreams(null, listener);
  expect(streams.lend('web', (stdio) => stdio)).toEqual({ stdout: 'pipe', stderr: 'pipe' });
  const child = spawn('sh', ['-c', 'echo out; echo err >&2'], { stdio: ['ignore', 'pipe', 'pipe'] });
  streams.attach('web', child);
  await soon(() => {
    expect(text('web stdout')).toBe('out\n');
    expect(text('web stderr')).toBe('err\n');
  });
});
