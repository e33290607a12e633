import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRecent, type RecentLine, type Source } from '../../src/output/recent.ts';

const textsOf = (lines: readonly RecentLine[]): string[] => lines.map(({ text }) => text);

/** Pushes of whole lines and pieces of lines; each line of a name says which one it is. */
const pushes = fc.array(
  fc.record({
    name: fc.constantFrom('a', 'b'),
    stream: fc.constantFrom<Source>('stdout', 'stderr'),
    text: fc.string({ unit: fc.constantFrom('x', 'y', '\n'), minLength: 1, maxLength: 30 }),
    /** Then so many bytes are read; null: nobody reads. */
    reads: fc.option(fc.integer({ min: 1, max: 60 })),
    ticks: fc.boolean(),
  }),
  { maxLength: 60 },
);

describe('a reader', () => {
  test('that is never late is given each line once, in the order in which they ended', () => {
    fc.assert(
      fc.property(pushes, (steps) => {
        let time = 0;
        const recent = createRecent({ limit: 1_024 * 1_024, wallClock: () => time });
        const reader = recent.reader(null);
        const open = new Map<string, string>();
        const expected: string[] = [];
        const seen: string[] = [];
        for (const { name, stream, text, reads, ticks } of steps) {
          if (ticks) time++;
          recent.push(name, Buffer.from(text), stream);
          const parts = ((open.get(name + stream) ?? '') + text).split('\n');
          open.set(name + stream, parts.pop()!);
          expected.push(...parts.map((part) => `${name} ${stream} ${part}`));
          if (reads === null) continue;
          const { lines, lost } = reader.read(reads);
          expect(lost).toEqual({});
          seen.push(...lines.map((line) => `${line.name} ${line.stream} ${line.text}`));
        }
        for (let more = true; more; ) {
          const read = reader.read(7);
          more = read.more;
          seen.push(...read.lines.map((line) => `${line.name} ${line.stream} ${line.text}`));
        }
        expect(seen).toEqual(expected);
        const rest = reader.rest().map(({ name, stream, text }) => [name + stream, text]);
        expect(new Map(rest as [string, string][])).toEqual(
          new Map([...open].filter(([, text]) => text !== '')),
        );
      }),
    );
  });

  test('that is late is given some of the lines, each whole and in order, and the others are counted', () => {
    fc.assert(
      fc.property(pushes, fc.integer({ min: 16, max: 64 }), (steps, limit) => {
        const recent = createRecent({ limit, wallClock: () => 0 });
        const reader = recent.reader(['a']);
        const open = new Map<string, string>();
        const expected: string[] = [];
        const seen: string[] = [];
        let lost = 0;
        const take = (most?: number): boolean => {
          const read = reader.read(most);
          expect(Object.keys(read.lost).every((name) => name === 'a')).toBe(true);
          lost += read.lost.a ?? 0;
          seen.push(...read.lines.map((line) => `${line.stream} ${line.text}`));
          return read.more;
        };
        for (const { name, stream, text, reads } of steps) {
          recent.push(name, Buffer.from(text), stream);
          if (name === 'a') {
            const parts = ((open.get(stream) ?? '') + text).split('\n');
            open.set(stream, parts.pop()!);
            expected.push(...parts.map((part) => `${stream} ${part}`));
          }
          if (reads !== null) take(reads);
        }
        while (take(5));
        expect(seen.length + lost).toBe(expected.length);
        // Those that were seen are among those that were written, in that order.
        let at = 0;
        for (const line of seen) {
          at = expected.indexOf(line, at) + 1;
          expect(at, line).toBeGreaterThan(0);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('that comes late begins with the first whole line, and has lost nothing', () => {
    const recent = createRecent({ limit: 20 });
    recent.push('a', Buffer.from('one is long\ntwo\nthree\nfour\n'), 'stdout');
    expect(recent.reader(null).read()).toEqual({
      lines: expect.arrayContaining([expect.objectContaining({ text: 'four' })]),
      lost: {},
      more: false,
    });
    expect(textsOf(recent.reader(null).read().lines)).toEqual(['two', 'three', 'four']);
  });

  test('reads of those it was asked for, and of others who come later where it was asked for all', () => {
    const recent = createRecent({ limit: 1_024 });
    const [one, all] = [recent.reader(['b']), recent.reader(null)];
    recent.push('a', Buffer.from('from a\n'), 'stdout');
    recent.push('b', Buffer.from('from b\nopen'), 'file');
    expect(textsOf(one.read().lines)).toEqual(['from b']);
    expect(textsOf(all.read().lines)).toEqual(['from a', 'from b']);
    expect(textsOf(all.rest())).toEqual(['open']);
    recent.forget('b');
    recent.push('b', Buffer.from('begins anew\n'), 'stdout');
    expect(textsOf(all.read().lines)).toEqual(['begins anew']);
  });

  test('that is closed costs nothing and is counted for no more', () => {
    const recent = createRecent({ limit: 16 });
    const reader = recent.reader(null);
    reader.close();
    recent.push('a', Buffer.from('x\n'.repeat(100)), 'stdout');
    expect(reader.read()).toEqual({ lines: [], lost: {}, more: false });
  });
});

test('a line without an end is cut, so that nobody fills the memory with it', () => {
  const recent = createRecent({ limit: 1024 * 1024 });
  const reader = recent.reader(null);
  for (let count = 0; count < 20; count++) recent.push('a', Buffer.alloc(8 * 1024, 'x'), 'stdout');
  const { lines } = reader.read();
  expect(lines.length).toBeGreaterThan(0);
  const longest = Math.max(...[...lines, ...reader.rest()].map(({ text }) => text.length));
  expect(longest).toBeLessThan(1024 * 1024);
});

test('a reader takes no more at once than it is told', () => {
  const recent = createRecent({ limit: 1024 * 1024 });
  recent.push('a', Buffer.from('0123456789\n'.repeat(10_000)), 'stdout');
  const reader = recent.reader(null);
  const { lines, more } = reader.read(1_100);
  expect([lines.length, more]).toEqual([100, true]);
});
