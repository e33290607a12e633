import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createLogFile, type LogFile, type LogFileOptions } from '../../src/output/log-file.ts';
import { HIGH_WATER } from '../../src/output/sink.ts';

// For a slow machine: nothing here waits for a time.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

/** Bytes that the disk still takes. */
let room = Number.POSITIVE_INFINITY;

// A full disk as one has it for the asking: it takes `room` bytes, as a real one does the first part of a write, and then
// fails with ENOSPC.
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const open: typeof real.open = async (...args) => {
    const handle = await real.open(...args);
    const write = handle.write.bind(handle);
    handle.write = (async (bytes: Buffer, offset: number, length: number, at: null) => {
      const size = Math.min(length, room);
      room -= size;
      if (size === 0)
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
      return write(bytes, offset, size, at);
    }) as typeof handle.write;
    return handle;
  };
  return { ...real, open };
});

let folder: string;
let path: string;
let told: string[];
let drains: number;
const files: LogFile[] = [];
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'upkeep-file-'));
  path = join(folder, 'log');
  told = [];
  drains = 0;
  room = Number.POSITIVE_INFINITY;
});
afterEach(async () => {
  await Promise.all(files.splice(0).map((file) => file.close()));
  fs.rmSync(folder, { recursive: true });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(2);
}

function create(options: Partial<LogFileOptions> = {}, at = path): LogFile {
  const file = createLogFile(at, {
    size: 0,
    count: 3,
    onDrain: () => drains++,
    notice: (level, message) => told.push(`${level}: ${message}`),
    retry: 1,
    ...options,
  });
  files.push(file);
  return file;
}

const text = (suffix = ''): string => fs.readFileSync(path + suffix, 'utf8');
const has = (content: string, suffix = '') =>
  until(() => fs.existsSync(path + suffix) && text(suffix) === content);
const line = (n: number, size: number): string => `${n} ${'x'.repeat(size)}\n`;
const write = (file: LogFile, ...lines: readonly string[]): void => {
  for (const each of lines) file.write(Buffer.from(each));
};

describe('what is written', () => {
  test('is appended to what is there', async () => {
    fs.writeFileSync(path, 'before\n');
    const file = create();
    write(file, 'one\n', 'two\nthree\n');
    await file.close();
    expect(text()).toBe('before\none\ntwo\nthree\n');
    expect(told).toEqual([]);
  });

  test('the file and its folder are created before there is a line, not for everybody to read', async () => {
    path = join(folder, 'a', 'b', 'log');
    create();
    await until(() => fs.existsSync(path));
    expect(fs.statSync(path).mode & 0o777).toBe(0o640 & ~process.umask());
  });

  test('/dev/null may be a log, and is not replaced', async () => {
    const file = create({ size: 1 }, '/dev/null');
    write(file, 'one\n', 'two\n');
    await file.close();
    expect(told).toEqual([]);
    expect(fs.statSync('/dev/null').isCharacterDevice()).toBe(true);
  });

  test('too much at once: the producer is told to pause, and to go on; nothing is lost', async () => {
    const file = create();
    let all = '';
    for (let n = 0; ; n++) {
      const next = line(n, 1000);
      all += next;
      if (!file.write(Buffer.from(next))) break;
    }
    expect(all.length).toBeGreaterThan(HIGH_WATER);
    expect(file.ready).toBe(false);
    await until(() => drains > 0);
    expect(file.ready).toBe(true);
    await has(all);
  });

  test('after it was closed, nothing is taken, and nobody has to wait', async () => {
    const file = create();
    write(file, 'one\n');
    await Promise.all([file.close(), file.close()]);
    expect(file.write(Buffer.from('two\n'))).toBe(true);
    await file.close();
    expect(text()).toBe('one\n');
  });
});

describe('a full file', () => {
  test('becomes .1, that becomes .2, and the last one goes', async () => {
    const file = create({ size: 8, count: 2 });
    write(file, 'one\n', 'two\n', 'three\n', 'four\n', 'five\n', 'six\n', 'seven\n');
    await file.close();
    expect([text(), text('.1'), text('.2')]).toEqual(['seven\n', 'six\n', 'five\n']);
    expect(fs.readdirSync(folder).sort()).toEqual(['log', 'log.1', 'log.2']);
  });

  test('is gone where none is to be kept', async () => {
    const file = create({ size: 8, count: 0 });
    write(file, 'one\n', 'two\n', 'three\n');
    await file.close();
    expect(text()).toBe('three\n');
    expect(fs.readdirSync(folder)).toEqual(['log']);
  });

  test('what an upkeep before this one wrote counts', async () => {
    fs.writeFileSync(path, 'before\n');
    const file = create({ size: 10 });
    write(file, 'one\n');
    await file.close();
    expect([text(), text('.1')]).toEqual(['one\n', 'before\n']);
  });

  test('a line that is longer than a file has one for itself', async () => {
    const file = create({ size: 10, count: 9 });
    write(file, 'one\n', 'a very long line\n', 'two\n');
    await file.close();
    expect([text(), text('.1'), text('.2')]).toEqual(['two\n', 'a very long line\n', 'one\n']);
  });

  test('where a number is missing, the older ones stay', async () => {
    for (const n of [2, 3]) fs.writeFileSync(`${path}.${n}`, `${n}\n`);
    const file = create({ size: 4, count: 3 });
    write(file, 'one\n', 'two\n');
    await file.close();
    expect([text(), text('.1'), text('.2'), text('.3')]).toEqual(['two\n', 'one\n', '2\n', '3\n']);
  });

  test('other limits are for the next', async () => {
    const file = create({ size: 0 });
    write(file, 'one\n', 'two\n');
    await has('one\ntwo\n');
    file.limit({ size: 4, count: 1 });
    write(file, 'tri\n', 'for\n');
    await file.close();
    expect([text(), text('.1')]).toEqual(['for\n', 'tri\n']);
  });

  test('that cannot be moved is written on, which is told once', async () => {
    fs.mkdirSync(join(`${path}.1`, 'x'), { recursive: true });
    const file = create({ size: 4, count: 1, retry: 600_000 });
    write(file, 'one\n', 'two\n', 'three\n');
    await file.close();
    expect(text()).toBe('one\ntwo\nthree\n');
    expect(told).toEqual([
      expect.stringMatching(/^warn: cannot begin a new log .*log: E[A-Z]+: .*; .*; until then/),
    ]);
  });
});

describe('a file that somebody has moved', () => {
  test('is looked for now and then', async () => {
    const file = create();
    write(file, 'one\n');
    await has('one\n');
    fs.renameSync(path, `${path}.old`);
    for (let n = 0; !fs.existsSync(path); n++) {
      write(file, `${n}\n`);
      await sleep(2);
    }
    await file.close();
    const lines = (text('.old') + text()).split('\n');
    expect(lines).toEqual(['one', ...Array.from({ length: lines.length - 2 }, (_, n) => `${n}`), '']);
  });

  test('and at once when that is asked for, without a line', async () => {
    const file = create({ retry: 600_000 });
    write(file, 'one\n');
    await has('one\n');
    fs.renameSync(path, `${path}.old`);
    file.reopen();
    await until(() => fs.existsSync(path));
    write(file, 'two\n');
    await has('two\n');
    expect(text('.old')).toBe('one\n');
  });

  test('or deleted, its folder too', async () => {
    path = join(folder, 'sub', 'log');
    const file = create({ retry: 600_000 });
    write(file, 'one\n');
    await has('one\n');
    fs.rmSync(join(folder, 'sub'), { recursive: true });
    file.reopen();
    write(file, 'two\n');
    await has('two\n');
  });

  test('takes the lines where no new one can be begun', async () => {
    const file = create();
    write(file, 'one\n');
    await has('one\n');
    fs.renameSync(path, `${path}.old`);
    fs.mkdirSync(path);
    file.reopen();
    write(file, 'two\n');
    await has('one\ntwo\n', '.old');
    expect(told).toEqual([expect.stringContaining('until then the old one is written on')]);
    fs.rmdirSync(path);
    file.reopen();
    write(file, 'three\n');
    await has('three\n');
  });

  test('a file that somebody has emptied has room again', async () => {
    const file = create({ size: 8, retry: 600_000 });
    write(file, 'one\n', 'two\n');
    await has('one\ntwo\n');
    fs.truncateSync(path);
    file.reopen();
    write(file, 'three\n');
    await file.close();
    expect(text()).toBe('three\n');
    expect(fs.readdirSync(folder)).toEqual(['log']);
  });
});

test('whatever is written in whatever parts, moved and replaced meanwhile: each line arrives once, whole and in order', async () => {
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.array(fc.nat({ max: 300 }), { minLength: 1, maxLength: 40 }) },
    { weight: 1, arbitrary: fc.constantFrom('move' as const, 'reopen' as const, 'wait' as const) },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.constantFrom(0, 1, 500, 5000),
      async (steps, size) => {
        const inner = fs.mkdtempSync(join(folder, 'run-'));
        path = join(inner, 'log');
        const file = create({ size, count: 1_000_000 });
        let [lines, moved] = [0, 0];
        for (const what of steps) {
          if (what === 'reopen') file.reopen();
          else if (what === 'wait') await sleep(1);
          else if (what === 'move') {
            if (fs.existsSync(path)) fs.renameSync(path, join(inner, `moved.${moved++}`));
          } else file.write(Buffer.from(what.map((length) => line(lines++, length)).join('')));
          await null;
        }
        await file.close();
        const contents = fs
          .readdirSync(inner)
          .map((name) => fs.readFileSync(join(inner, name), 'utf8'))
          .filter((content) => content !== '');
        for (const content of contents) {
          expect(content.endsWith('\n')).toBe(true);
          if (size > 0 && content.length > size) expect(content.indexOf('\n')).toBe(content.length - 1);
        }
        const inOrder = contents.sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10)).join('');
        const numbers = inOrder
          .split('\n')
          .slice(0, -1)
          .map((each) => Number(each.split(' ')[0]));
        expect(numbers).toEqual(Array.from({ length: lines }, (_, n) => n));
        expect(told).toEqual([]);
      },
    ),
    { numRuns: 60 },
  );
});

describe('a full disk', () => {
  test('cuts a line in two, which is completed when there is room; what did not fit meanwhile is counted', async () => {
    const file = create();
    room = 'first\nsec'.length;
    write(file, 'first\n', 'second\n', 'third\n');
    await until(() => told.length === 1);
    expect(text()).toBe('first\nsec');
    expect(told).toEqual([
      `warn: cannot write the log ${path}: ENOSPC: no space left on device; make room, or lines are lost`,
    ]);
    expect(file.ready).toBe(true);
    const rest = Buffer.from(line(1, HIGH_WATER - 100));
    expect([file.write(rest), file.write(rest), file.write(Buffer.from(line(2, 200)))]).toEqual([
      true,
      true,
      true,
    ]);
    room = Number.POSITIVE_INFINITY;
    await until(() => told.length === 2);
    expect(told[1]).toBe(`info: the log ${path} is written again; 2 lines were lost`);
    expect(text()).toBe(`first\nsecond\nthird\n${rest}`);
  });

  test('lets services that were paused go on', async () => {
    const file = create();
    room = 0;
    while (file.write(Buffer.from(line(1, 1000))));
    await until(() => drains === 1);
    expect(file.ready).toBe(true);
    expect(told.length).toBe(1);
  });

  test('a line that was cut is not continued in another file', async () => {
    const file = create();
    room = 'first\nsec'.length;
    write(file, 'first\n', 'second\n', 'third\n');
    await until(() => told.length === 1);
    fs.renameSync(path, `${path}.old`);
    await until(() => fs.existsSync(path));
    room = Number.POSITIVE_INFINITY;
    await has('third\n');
    expect(text('.old')).toBe('first\nsec');
    await until(() => told.length === 2);
    expect(told[1]).toContain('1 line was lost');
  });

  test('at the end, what could not be written is counted', async () => {
    const file = create();
    room = 'first\n'.length;
    write(file, 'first\n', 'second\n', 'third\n');
    await file.close();
    expect(text()).toBe('first\n');
    expect(told[1]).toBe(`warn: 2 lines were lost: ${path} could not be written`);
  });

  const mounted = fs.mkdtempSync(join(tmpdir(), 'upkeep-disk-'));
  const mount = ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', mounted];
  const canMount = process.platform === 'linux' && spawnSync('mount', mount).status === 0;
  if (canMount) spawnSync('umount', [mounted]);
  fs.rmdirSync(mounted);

  test.skipIf(!canMount)('a real one (needs the right to mount)', async () => {
    const disk = join(folder, 'disk');
    fs.mkdirSync(disk);
    execFileSync('mount', [...mount.slice(0, -1), disk]);
    try {
      path = join(disk, 'log');
      fs.writeFileSync(join(disk, 'ballast'), Buffer.alloc(32 * 1024));
      const file = create({ size: 3000, count: 1000 });
      const lines = Array.from({ length: 30 }, (_, n) => line(n, 1000));
      write(file, ...lines);
      await until(() => told.length === 1);
      expect(told[0]).toContain('ENOSPC: no space left on device; make room, or lines are lost');
      fs.rmSync(join(disk, 'ballast'));
      await until(() => told.length === 2);
      expect(told[1]).toBe(`info: the log ${path} is written again; no line was lost`);
      await file.close();
      const contents = fs.readdirSync(disk).map((name) => fs.readFileSync(join(disk, name), 'utf8'));
      contents.sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
      const numbers = contents
        .flatMap((content) => content.split('\n').slice(0, -1))
        .map((each) => Number.parseInt(each, 10));
      expect(numbers).toEqual(lines.map((_, n) => n));
      expect(contents.every((content) => content.endsWith('\n'))).toBe(true);
    } finally {
      await Promise.all(files.splice(0).map((file) => file.close()));
      execFileSync('umount', [disk]);
    }
  });
});

describe('what cannot be opened', () => {
  test('is told once, and again when it can', async () => {
    fs.writeFileSync(join(folder, 'file'), '');
    path = join(folder, 'file', 'log');
    const file = create();
    write(file, 'one\n');
    await until(() => told.length === 1);
    expect(told).toEqual([
      `warn: cannot write the log ${path}: ENOTDIR: not a directory; see to the path, or lines are lost`,
    ]);
    fs.rmSync(join(folder, 'file'));
    await has('one\n');
    await until(() => told.length === 2);
    expect(told[1]).toBe(`info: the log ${path} is written again; no line was lost`);
  });

  test('a symbolic link is not followed', async () => {
    fs.symlinkSync('elsewhere', path);
    create();
    await until(() => told.length === 1);
    expect(told[0]).toContain('it is a symbolic link; name the file that it leads to');
    expect(fs.readdirSync(folder)).toEqual(['log']);
  });

  test('a FIFO holds nobody up', async () => {
    execFileSync('mkfifo', [path]);
    const file = create();
    write(file, 'one\n');
    await until(() => told.length === 1);
    const reader = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    await file.close();
    fs.closeSync(reader);
    expect(told[1]).toBe(`warn: 1 line was lost: ${path} could not be written`);
  });
});
