import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { HARD_LIMIT, HIGH_WATER, OWN_ALLOWANCE, openSink, type Sink } from '../../src/output/sink.ts';

// For a slow machine: nothing here waits for a time.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const folder = mkdtempSync(join(tmpdir(), 'upkeep-sink-'));
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});
afterAll(() => rmSync(folder, { recursive: true }));

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(2);
}

let counter = 0;
function newPath(): string {
  return join(folder, `f${counter++}`);
}

function opened(fd: number): number {
  cleanups.push(() => closeSync(fd));
  return fd;
}

function sinkOn(fd: number): Sink {
  const sink = openSink(fd);
  cleanups.push(() => sink.close());
  return sink;
}

/** A real pipe of the kernel's: its writing end, and a reader that reads only when it is told to. */
function pipe() {
  const path = newPath();
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = opened(openSync(path, constants.O_WRONLY));
  let open = true;
  const close = (): void => {
    if (open) closeSync(reader);
    open = false;
  };
  cleanups.push(close);
  const chunk = Buffer.alloc(65536);
  const read: Buffer[] = [];
  /** Reads what is there; returns all that was ever read. */
  function text(): string {
    for (;;) {
      try {
        const size = readSync(reader, chunk);
        if (size === 0) break;
        read.push(Buffer.from(chunk.subarray(0, size)));
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe('EAGAIN');
        break;
      }
    }
    return Buffer.concat(read).toString();
  }
  return { writer, text, close };
}

function lineOf(n: number): Buffer {
  return Buffer.from(`line ${n} ${'x'.repeat(1000)}\n`);
}

/** Writes lines until the sink says that it is enough; returns how many it took. */
function fill(sink: Sink): number {
  let lines = 0;
  while (sink.write(lineOf(lines++)));
  return lines;
}

function linesUpTo(count: number): string {
  return Array.from({ length: count }, (_, n) => lineOf(n).toString()).join('');
}

describe('a pipe', () => {
  test('what is written in one turn arrives, in order', async () => {
    const { writer, text } = pipe();
    const sink = sinkOn(writer);
    expect(sink.isTTY).toBe(false);
    expect(sink.write(Buffer.from('one\n'))).toBe(true);
    expect(sink.write(Buffer.from('two\n'), true)).toBe(true);
    await sink.flush(60_000);
    expect(text()).toBe('one\ntwo\n');
  });

  test('while nobody reads, the event loop goes on, the queue is bounded, and nothing is lost', async () => {
    const { writer, text } = pipe();
    const sink = sinkOn(writer);
    let drained = 0;
    sink.onDrain(() => drained++);
    const lines = fill(sink);
    expect(lines * lineOf(0).length).toBeLessThan(HIGH_WATER + 2 * lineOf(0).length);
    // The kernel's buffer takes a little, so that a sink that blocks would be stuck by now.
    for (let turn = 0; turn < 50; turn++) await sleep(1);
    expect(sink.write(Buffer.alloc(0))).toBe(false);
    expect(drained).toBe(0);
    await until(() => text().length >= linesUpTo(lines).length);
    expect(text()).toBe(linesUpTo(lines));
    await until(() => drained === 1);
    expect(sink.write(Buffer.from('on we go\n'))).toBe(true);
    await until(() => text().endsWith('on we go\n'));
    expect(sink.dropped).toBe(0);
  });

  test('above the high-water mark upkeep’s own lines are taken up to a limit, and what is lost is counted', async () => {
    const { writer, text } = pipe();
    const sink = sinkOn(writer);
    const lost: number[] = [];
    sink.onLost((lines) => lost.push(lines));
    const lines = fill(sink);
    let own = 0;
    while (sink.dropped === 0) {
      expect(sink.write(Buffer.from(`own ${own++} ${'y'.repeat(1000)}\n`), true)).toBe(false);
    }
    const taken = own - 1;
    expect(taken * 1010).toBeGreaterThan(OWN_ALLOWANCE - 20_000);
    expect(taken * 1005).toBeLessThan(OWN_ALLOWANCE);
    sink.write(Buffer.from(`and two\n${'z'.repeat(2000)}\n`), true);
    expect(sink.dropped).toBe(3);
    await until(() => text().includes(`own ${taken - 1} `) && text().endsWith('\n'));
    const arrived = text().trimEnd().split('\n');
    expect(arrived.length).toBe(lines + taken);
    expect(arrived.every((line) => /^(line \d+ x{1000}|own \d+ y{1000})$/.test(line))).toBe(true);
    await until(() => lost.length > 0);
    expect(lost).toEqual([3]);
    expect(sink.write(Buffer.from('own again\n'), true)).toBe(true);
    // The allowance is there again.
    fill(sink);
    sink.write(Buffer.from(`${'y'.repeat(OWN_ALLOWANCE / 2)}\n`), true);
    expect(sink.dropped).toBe(3);
  });

  test('a producer that does not pause is cut off at the hard limit', () => {
    const { writer } = pipe();
    const sink = sinkOn(writer);
    const chunk = Buffer.alloc(HARD_LIMIT / 2 - 1, 'x\n');
    expect(sink.write(chunk)).toBe(false);
    expect(sink.write(chunk)).toBe(false);
    expect(sink.dropped).toBe(0);
    expect(sink.write(Buffer.from('a\nb\nc\n'))).toBe(false);
    expect(sink.dropped).toBe(3);
  });

  test('flushing gives up when the time is over, and is at once when there is nothing to do', async () => {
    const { writer } = pipe();
    const sink = sinkOn(writer);
    await sink.flush(600_000);
    fill(sink);
    await sink.flush(5);
    expect(sink.write(Buffer.alloc(0))).toBe(false);
  });

  test('when the reader is gone the sink falls silent, counts, and lets the producers go on', async () => {
    const { writer, close } = pipe();
    const sink = sinkOn(writer);
    let drained = 0;
    sink.onDrain(() => drained++);
    const lines = fill(sink);
    const flushed = sink.flush(600_000);
    await sleep(1);
    close();
    await until(() => sink.closed);
    await flushed;
    expect(drained).toBe(1);
    // What the pipe had taken before its reader left may be counted as well: nobody has read it.
    expect(sink.dropped).toBeLessThanOrEqual(lines);
    expect(sink.dropped).toBeGreaterThan(lines - 100);
    const before = sink.dropped;
    expect(sink.write(Buffer.from('a\nb\n'))).toBe(true);
    expect(sink.write(Buffer.from('c\n'), true)).toBe(true);
    expect(sink.dropped).toBe(before + 3);
    await sink.flush(600_000);
  });

  test('a reader that was gone from the beginning is noticed at the first write', async () => {
    const { writer, close } = pipe();
    close();
    const sink = sinkOn(writer);
    sink.write(Buffer.from('a\n'));
    await until(() => sink.closed);
    expect(sink.dropped).toBe(1);
    // The descriptor itself is not ours to close: the next file opened would become stdout.
    expect(() => writeSync(writer, 'x')).toThrow(/EPIPE/);
  });
});

describe('a file', () => {
  test('is appended to', async () => {
    const path = newPath();
    writeFileSync(path, 'before\n');
    const sink = sinkOn(opened(openSync(path, 'a')));
    const lines = fill(sink);
    await sink.flush(60_000);
    expect(readFileSync(path, 'utf8')).toBe(`before\n${linesUpTo(lines)}`);
  });

  test('shares its offset with whoever else writes through the same description', async () => {
    const path = newPath();
    const fd = opened(openSync(path, 'w'));
    writeSync(fd, 'a service\n');
    const sink = sinkOn(fd);
    sink.write(Buffer.from('upkeep\n'));
    await sink.flush(60_000);
    writeSync(fd, 'the service again\n');
    expect(readFileSync(path, 'utf8')).toBe('a service\nupkeep\nthe service again\n');
  });

  test('/dev/null is one', async () => {
    const sink = sinkOn(opened(openSync('/dev/null', 'w')));
    fill(sink);
    await sink.flush(60_000);
    expect([sink.dropped, sink.closed]).toEqual([0, false]);
  });

  test('a descriptor that is none gives a closed sink', async () => {
    const sink = sinkOn(999_999);
    expect(sink.closed).toBe(true);
    expect(sink.write(Buffer.from('a\n'))).toBe(true);
    await sink.flush(600_000);
    expect(sink.dropped).toBe(1);
  });
});

describe('as stdout of a process of its own', () => {
  const program = join(folder, 'flood.mjs');
  beforeAll(async () => {
    await build({
      entryPoints: [join(import.meta.dirname, 'fixtures', 'flood.ts')],
      outfile: program,
      bundle: true,
      platform: 'node',
      format: 'esm',
      logLevel: 'silent',
    });
  });

  function start(file: string, args: readonly string[], stdout: 'pipe' | number): ChildProcess {
    const child = spawn(file, args, { stdio: ['ignore', stdout, 'inherit'] });
    cleanups.push(() => child.kill('SIGKILL'));
    return child;
  }

  /** Waits until the report says so; the program's end without it is a failure and no endless wait. */
  async function reported(child: ChildProcess, report: string, what: RegExp): Promise<string> {
    const text = () => (existsSync(report) ? readFileSync(report, 'utf8') : '');
    await until(() => what.test(text()) || child.exitCode !== null || child.signalCode !== null);
    const found = what.exec(text());
    if (found === null) throw new Error(`the program ended, and reported only: ${text()}`);
    return found[1] ?? '';
  }

  async function readAll(child: ChildProcess): Promise<string> {
    let text = '';
    child.stdout!.setEncoding('utf8').on('data', (more: string) => {
      text += more;
    });
    await once(child, 'close');
    return text;
  }

  function expectLines(text: string, count: string): void {
    const lines = text.split(/\r?\n/);
    expect(lines.pop()).toBe('');
    expect(lines).toEqual(Array.from({ length: Number(count) }, (_, n) => `line ${n} ${'x'.repeat(90)}`));
  }

  // What `child_process` calls a pipe is a pair of sockets, and a socket cannot be opened anew.
  test('a socket: it goes on while nobody reads, and nothing is lost', async () => {
    const report = newPath();
    const child = start(process.execPath, [program, report], 'pipe');
    await reported(child, report, /^alive, no terminal/m);
    const text = await readAll(child);
    expectLines(text, await reported(child, report, /^full after (\d+) lines$/m));
    expect(readFileSync(report, 'utf8')).toMatch(/^drained\nflushed, 0 lost$/m);
  });

  test.skipIf(process.platform !== 'linux')(
    'a socket that others inherit stays blocking for them (read in /proc: Linux only)',
    async () => {
      const report = newPath();
      const child = start(process.execPath, [program, report, 'inherited'], 'pipe');
      await reported(child, report, /^alive, no terminal, blocking$/m);
      const text = await readAll(child);
      expectLines(text, await reported(child, report, /^full after (\d+) lines$/m));
    },
  );

  test.skipIf(process.platform !== 'linux')(
    'a pipe stays blocking for those who share it, and a reader who never reads does not hold up the exit (Linux only)',
    async () => {
      const { writer } = pipe();
      const report = newPath();
      const child = start(process.execPath, [program, report, 'exit'], writer);
      const ended = once(child, 'exit');
      await reported(child, report, /^alive, no terminal, blocking$/m);
      expect(await ended).toEqual([0, null]);
    },
  );

  const noScript = process.platform !== 'linux' || spawnSync('script', ['--version']).error !== undefined;
  test.skipIf(noScript)(
    'a terminal: it goes on while nobody reads, and nothing is lost (needs `script` of util-linux)',
    async () => {
      const report = newPath();
      const command = `'${process.execPath}' '${program}' '${report}'`;
      const child = start('script', ['-qefc', command, '/dev/null'], 'pipe');
      await reported(child, report, /^alive, terminal, blocking$/m);
      const text = await readAll(child);
      expectLines(text, await reported(child, report, /^full after (\d+) lines$/m));
    },
  );
});
