import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openSink, type Sink } from '../../src/output/sink.ts';

/** Bytes that the disk still takes. */
let room = Number.POSITIVE_INFINITY;
/** Writes that the disk has seen, successful or not. */
let tries = 0;

// A full disk cannot be had without being root, so node:fs is given one: it takes `room` bytes, as a real one does the
// first part of a write, and then fails with ENOSPC.
vi.mock('node:fs', async (original) => {
  const real = await original<typeof fs>();
  type Done = (error: NodeJS.ErrnoException | null, written?: number) => void;
  const write = (fd: number, bytes: Buffer, offset: number, length: number, _: null, done: Done): void => {
    tries++;
    const size = Math.min(length, room);
    room -= size;
    if (size > 0) real.writeSync(fd, bytes, offset, size);
    const error = size === 0 ? Object.assign(new Error('no space'), { code: 'ENOSPC' }) : null;
    setImmediate(() => done(error, size));
  };
  return { ...real, write };
});

let folder: string;
let path: string;
let fd: number;
let sink: Sink;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
  folder = fs.mkdtempSync(join(tmpdir(), 'upkeep-full-'));
  path = join(folder, 'log');
  fd = fs.openSync(path, 'a');
  sink = openSink(fd);
  room = Number.POSITIVE_INFINITY;
  tries = 0;
});
afterEach(() => {
  vi.useRealTimers();
  sink.close();
  fs.closeSync(fd);
  fs.rmSync(folder, { recursive: true });
});

async function write(...lines: readonly string[]): Promise<void> {
  for (const line of lines) sink.write(Buffer.from(line));
  await sink.flush(600_000);
}

function written(): string {
  return fs.readFileSync(path, 'utf8');
}

test('a line that a full disk has cut is completed later, what came between is counted', async () => {
  const lost: number[] = [];
  sink.onLost((lines) => lost.push(lines));
  room = 'first\nsec'.length;
  await write('first\n', 'second\n', 'third\n', 'fourth\n');
  expect(written()).toBe('first\nsec');
  expect(sink.dropped).toBe(2);
  await write('fifth\n');
  expect(sink.dropped).toBe(3);
  expect(lost).toEqual([]);
  expect(sink.closed).toBe(false);

  room = Number.POSITIVE_INFINITY;
  vi.advanceTimersByTime(1000);
  await write('sixth\n');
  expect(written()).toBe('first\nsecond\nsixth\n');
  expect(lost).toEqual([3]);
  expect(sink.dropped).toBe(3);
});

test('a line may be cut more than once', async () => {
  room = 3;
  await write('abcdef\n');
  vi.advanceTimersByTime(1000);
  await write('second\n');
  room = 2;
  vi.advanceTimersByTime(1000);
  await write('third\n');
  room = Number.POSITIVE_INFINITY;
  vi.advanceTimersByTime(1000);
  await write('fourth\n');
  expect(written()).toBe('abcdef\nfourth\n');
  expect(sink.dropped).toBe(2);
});

test('a disk that takes whole lines only leaves nothing to be completed', async () => {
  room = 'first\n'.length;
  await write('first\n', 'second\n');
  room = Number.POSITIVE_INFINITY;
  vi.advanceTimersByTime(1000);
  await write('third\n');
  expect(written()).toBe('first\nthird\n');
  expect(sink.dropped).toBe(1);
});

test('a full disk is left alone for a second, and holds up no service', async () => {
  let drained = 0;
  sink.onDrain(() => drained++);
  room = 0;
  while (sink.write(Buffer.from(`${'x'.repeat(1000)}\n`)));
  await sink.flush(600_000);
  expect(drained).toBe(1);
  expect(tries).toBe(1);
  vi.advanceTimersByTime(999);
  expect(sink.write(Buffer.from('a\n'))).toBe(true);
  await sink.flush(600_000);
  expect(tries).toBe(1);
  vi.advanceTimersByTime(1);
  await write('b\n');
  expect(tries).toBe(2);
});
