import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildSync } from 'esbuild';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { createTail, type Tail, type TailOptions } from '../../src/output/tail.ts';

// For a slow machine: nothing here waits for a time.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const NEVER = 2 ** 31 - 1;

let folder: string;
let path: string;
let got: string;
let told: string[];
let ready: boolean;
const tails: Tail[] = [];
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'upkeep-tail-'));
  path = join(folder, 'log');
  got = '';
  told = [];
  ready = true;
});
afterEach(() => {
  for (const tail of tails.splice(0)) tail.close();
  fs.rmSync(folder, { recursive: true });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(2);
}

function create(options: Partial<TailOptions> = {}, paths: readonly string[] = [path]): Tail {
  const tail = createTail(
    paths,
    (_, chunk) => {
      got += chunk;
      return ready;
    },
    { notice: (message) => told.push(message), poll: 5, ...options },
  );
  tails.push(tail);
  return tail;
}

const append = (text: string, suffix = ''): void => fs.appendFileSync(path + suffix, text);
const gets = (text: string) => until(() => got === text);
const openFiles = (): string[] =>
  fs.readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [fs.readlinkSync(`/proc/self/fd/${fd}`)].filter((target) => target.startsWith(folder));
    } catch {
      return [];
    }
  });

describe('where it begins', () => {
  test('behind what is there', async () => {
    append('before\n');
    create();
    append('after\n');
    await gets('after\n');
  });

  test('at the beginning of what appears later, its folder too', async () => {
    path = join(folder, 'sub', 'log');
    create();
    fs.mkdirSync(join(folder, 'sub'));
    append('one\n');
    await gets('one\n');
    expect(told).toEqual([]);
  });

  test('at the beginning of a file that has replaced the first before anybody could look', () => {
    append('before\n');
    const tail = create({ poll: NEVER });
    fs.renameSync(path, `${path}.1`);
    append('one\n');
    tail.drain();
    expect(got).toBe('one\n');
  });
});

describe('how it hears of news', () => {
  test('it is told, where the system tells', async () => {
    append('before\n');
    create({ poll: NEVER });
    for (let n = 0; got === ''; n++) {
      append(`${n}\n`);
      await sleep(2);
    }
  });

  test('or looks when it is asked', () => {
    const tail = create({ poll: NEVER });
    append('one\n');
    tail.drain();
    expect(got).toBe('one\n');
  });

  test('a path that is given twice is followed once', () => {
    const tail = create({ poll: NEVER }, [path, path]);
    append('one\n');
    tail.drain();
    expect(got).toBe('one\n');
  });
});

describe('a file that is emptied', () => {
  test('is read from its beginning, and the line that was begun is ended', () => {
    const tail = create({ poll: NEVER });
    append('one\ntw');
    tail.drain();
    fs.truncateSync(path);
    append('2\n');
    tail.drain();
    expect(got).toBe('one\ntw\n2\n');
  });
});

describe('a file that is replaced', () => {
  test('is read to its end before the next one is begun', () => {
    const tail = create({ poll: NEVER });
    append('one\n');
    tail.drain();
    append('two\n');
    fs.renameSync(path, `${path}.1`);
    append('three', '.1');
    append('four\n');
    tail.drain();
    expect(got).toBe('one\ntwo\nthree\nfour\n');
  });

  test('is read on for a while: a daemon may notice late', () => {
    const tail = create({ poll: NEVER });
    append('one\n');
    tail.drain();
    fs.renameSync(path, `${path}.1`);
    append('');
    tail.drain();
    append('late\n', '.1');
    tail.drain();
    append('new\n');
    append('later\n', '.1');
    tail.drain();
    expect(got).toBe('one\nlate\nlater\nnew\n');
  });

  test.skipIf(process.platform !== 'linux')('and then let go (seen in /proc: Linux only)', async () => {
    create({ linger: 0 });
    append('one\n');
    await gets('one\n');
    expect(openFiles()).toEqual([path]);
    fs.renameSync(path, `${path}.1`);
    await sleep(10);
    append('two\n', '.1');
    await gets('one\ntwo\n');
    append('three\n');
    await gets('one\ntwo\nthree\n');
    await until(() => openFiles().length === 1);
    expect(openFiles()).toEqual([path]);
    fs.rmSync(path);
    await until(() => openFiles().length === 0);
    append('four\n');
    await gets('one\ntwo\nthree\nfour\n');
  });

  test('again and again while nobody takes what is read: it does not hold all of them, and says so once', () => {
    const tail = create({ poll: NEVER });
    append('first\n');
    ready = false;
    tail.drain();
    for (let n = 0; n < 100; n++) {
      fs.renameSync(path, `${path}.${n}`);
      append(`${n}\n`);
      tail.drain();
    }
    expect(told).toEqual([
      `lines of the log ${path} are lost: it is replaced again and again while nobody reads them`,
    ]);
    expect(got).toBe('first\n');
    ready = true;
    tail.resume();
    expect(got).toBe(`first\n${Array.from({ length: 64 }, (_, n) => `${n + 36}\n`).join('')}`);
  });
});

describe('back-pressure', () => {
  test('nothing is read until it may go on, and nothing is lost', () => {
    const tail = create({ poll: NEVER });
    ready = false;
    append('one\n');
    tail.drain();
    append('two\n');
    tail.drain();
    fs.renameSync(path, `${path}.1`);
    append('three\n');
    tail.drain();
    expect(got).toBe('one\n');
    ready = true;
    tail.resume();
    expect(got).toBe('one\ntwo\nthree\n');
  });

  test('of a lot, only some is read at once', async () => {
    const tail = create({ poll: NEVER });
    const lot = `${'x'.repeat(99)}\n`.repeat(20_000);
    append(lot);
    tail.drain();
    expect(got.length).toBeGreaterThan(0);
    expect(got.length).toBeLessThan(lot.length / 2);
    await gets(lot);
  });
});

describe('what cannot be followed', () => {
  test.each([
    ['a FIFO', () => execFileSync('mkfifo', [path])],
    ['a folder', () => fs.mkdirSync(path)],
    ['a device', () => fs.symlinkSync('/dev/null', path)],
  ])('%s: that is told once, and it is followed when it has become a file', async (_, make) => {
    make();
    const tail = create();
    for (let n = 0; n < 3; n++) tail.drain();
    expect(told).toEqual([`cannot follow the log ${path}: it is no regular file; name one, or leave it out`]);
    fs.rmSync(path, { recursive: true });
    append('one\n');
    await gets('one\n');
    expect(told.length).toBe(1);
  });

  test.skipIf(process.getuid?.() !== 0)(
    'a file that only others may read (needs root, to be somebody else)',
    () => {
      append('before\n');
      fs.chmodSync(folder, 0o755);
      fs.chmodSync(path, 0);
      const tail = create({ poll: NEVER });
      tail.close();
      expect(told).toEqual([]);
      process.seteuid!(65534);
      try {
        const other = create({ poll: NEVER });
        other.drain();
        expect(told).toEqual([
          `cannot follow the log ${path}: EACCES: permission denied; give upkeep the right to read it`,
        ]);
      } finally {
        process.seteuid!(0);
      }
      append('one\n');
      tails.at(-1)!.drain();
      expect(got).toBe('one\n');
    },
  );
});

describe('the end', () => {
  test('what is there is read, the last line is ended, and no more is read', async () => {
    const tail = create({ poll: 1 });
    append('one\ntwo');
    tail.close();
    expect(got).toBe('one\ntwo\n');
    append('\nthree\n');
    tail.drain();
    tail.resume();
    tail.close();
    await sleep(20);
    expect(got).toBe('one\ntwo\n');
  });

  test('nothing of it keeps the process alive: one that has nothing else to do ends', async () => {
    const program = join(folder, 'program.mjs');
    buildSync({
      stdin: {
        contents: `
          import { writeFileSync } from 'node:fs';
          import { createTail } from './src/output/tail.ts';
          const [path] = process.argv.slice(2);
          writeFileSync(path, 'before\\n');
          const tail = createTail([path], (_, chunk) => process.stdout.write(chunk), { notice: console.log });
          writeFileSync(path, 'one\\n', { flag: 'a' });
          tail.drain();`,
        resolveDir: join(import.meta.dirname, '../..'),
        loader: 'ts',
      },
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile: program,
      logLevel: 'silent',
    });
    const child = spawn(process.execPath, [program, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    // Ended with the test, where it does not end by itself.
    onTestFinished(() => void child.kill('SIGKILL'));
    child.stdout.on('data', (chunk) => {
      got += chunk;
    });
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(got).toBe('one\n');
  });

  test('other paths: those that stay are read on, those that go are ended', () => {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => join(folder, name)) as [string, string, string];
    fs.writeFileSync(c, 'before\n');
    const tail = create({ poll: NEVER }, [a, b]);
    fs.writeFileSync(a, 'a1\n');
    fs.writeFileSync(b, 'b1');
    tail.drain();
    fs.appendFileSync(a, 'a2\n');
    tail.follow([c, a]);
    expect(got).toBe('a1\nb1\na2\n');
    fs.appendFileSync(b, 'b2\n');
    fs.appendFileSync(c, 'c\n');
    tail.drain();
    expect(got).toBe('a1\nb1\na2\nc\n');
  });
});

test('whatever is written in whatever parts, replaced or emptied meanwhile: each line arrives once, in order', async () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.array(fc.nat({ max: 3000 }), { minLength: 1, maxLength: 30 }) },
    {
      weight: 2,
      arbitrary: fc.constantFrom('rename', 'delete', 'copytruncate', 'look', 'wait', 'pause', 'go'),
    },
  );
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 50 }), async (steps) => {
      path = join(folder, `run-${run++}`);
      [got, told, ready] = ['', [], true];
      const tail = create({ poll: 1 });
      let [lines, sent, moved] = [0, '', 0];
      for (const what of steps) {
        if (what === 'look') tail.drain();
        else if (what === 'wait') await sleep(1);
        else if (what === 'pause') ready = false;
        else if (what === 'go') {
          ready = true;
          tail.resume();
        } else if (Array.isArray(what)) {
          const text = what.map((length) => `${lines++} ${'x'.repeat(length)}\n`).join('');
          // As daemons do: the buffer is written when it is full, and lines are torn.
          for (let at = 0; at < text.length; at += 4096) append(text.slice(at, at + 4096));
          sent += text;
        } else if (fs.existsSync(path)) {
          // Nobody can read what has come and gone unseen.
          tail.drain();
          if (what === 'rename') fs.renameSync(path, `${path}.${moved++}`);
          else if (what === 'delete') fs.rmSync(path);
          else {
            ready = true;
            tail.resume();
            while (got !== sent) tail.drain();
            fs.truncateSync(path);
            tail.drain();
          }
        }
      }
      ready = true;
      tail.resume();
      await gets(sent);
      tail.close();
      expect(got).toBe(sent);
      expect(told).toEqual([]);
    }),
    { numRuns: 100 },
  );
});

test('another process writes and replaces, as fast as it can, and waits only until its new file has been seen', async () => {
  const seen = join(folder, 'seen');
  const script = `
    const fs = require('node:fs');
    const [path, seen] = process.argv.slice(1);
    let n = 0;
    for (let file = 0; file < 20; file++) {
      for (const end = n + 300; n < end; n++) fs.appendFileSync(path, n + ' ' + 'x'.repeat(n % 70) + '\\n');
      while (!fs.existsSync(seen) || Number(fs.readFileSync(seen)) < n - 300) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      fs.renameSync(path, path + '.' + file);
    }`;
  const tail = create({ poll: 1 });
  const child = spawn(process.execPath, ['-e', script, path, seen], { stdio: 'inherit' });
  const numbers = (): number[] =>
    got
      .split('\n')
      .slice(0, -1)
      .map((line) => Number.parseInt(line, 10));
  while (child.exitCode === null && child.signalCode === null) {
    const all = numbers();
    fs.writeFileSync(`${seen}.new`, `${all.at(-1) ?? -1}`);
    fs.renameSync(`${seen}.new`, seen);
    await sleep(1);
  }
  expect(child.exitCode).toBe(0);
  tail.drain();
  await until(() => numbers().length >= 6000);
  expect(numbers()).toEqual(Array.from({ length: 6000 }, (_, n) => n));
});
