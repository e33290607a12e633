import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import {
  createLineFormatter,
  type LineFormatter,
  LONGEST_LINE,
  nameWidth,
  type StreamName,
} from '../../src/output/lines.ts';

// For a slow machine: nothing here waits for a time.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const NOON = new Date('2026-03-04T12:00:00.000Z');
const HEAD = { time: '2026-03-04T12:00:00.000Z', name: 'web', stream: 'stdout' };

function plain(): LineFormatter {
  return createLineFormatter('plain', 'web', { wallClock: () => NOON });
}

function json(): LineFormatter {
  return createLineFormatter('json', 'web', { wallClock: () => NOON });
}

/** `bytes` cut at the given places, as a pipe may deliver it. */
function chunksOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((start, i) => bytes.subarray(start, places[i]));
}

function run(formatter: LineFormatter, chunks: readonly Buffer[]): Buffer {
  return Buffer.concat([...chunks.map((chunk) => formatter.push(chunk, 'stdout')), formatter.end()]);
}

function objectsOf(out: Buffer): Record<string, unknown>[] {
  const lines = out.toString().split('\n');
  expect(lines.pop()).toBe('');
  return lines.map((line) => JSON.parse(line));
}

/** Bytes in which what a splitter has to look out for is frequent. */
const bytesWithLines = fc
  .array(
    fc.oneof(
      fc
        .constantFrom('\n', '\r\n', '\r', '{"a":1}', '{', '}', 'ä', '🦊', '\0', '\x1b[1m', ' ')
        .map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
      fc.integer({ min: LONGEST_LINE - 3, max: LONGEST_LINE + 3 }).map((size) => Buffer.alloc(size, 'x')),
    ),
    { maxLength: 30 },
  )
  .map((parts) => Buffer.concat(parts));
const cuts = fc.array(fc.nat({ max: 300_000 }), { maxLength: 12 });

/** The lines that went in, by the plainest means: latin1, so that a character is a byte. */
function linesOf(bytes: Buffer): string[] {
  const lines = bytes.toString('latin1').split('\n');
  const last = lines.pop()!;
  const whole = lines.map((line) => line.replace(/\r$/, ''));
  return last === '' ? whole : [...whole, last];
}

/** The JSON object in a line, with the spaces in it taken out. */
function objectIn(line: string): string | null {
  const text = line.replace(/^[ \t\r]+/, '');
  if (!text.startsWith('{')) return null;
  try {
    return JSON.stringify(JSON.parse(text));
  } catch {
    return null;
  }
}

describe('plain', () => {
  test('however the bytes are chunked, what comes out is the lines with the prefix', () => {
    fc.assert(
      fc.property(bytesWithLines, cuts, (bytes, at) => {
        const out = run(plain(), chunksOf(bytes, at)).toString('latin1');
        const pieces = linesOf(bytes).flatMap((line) => {
          const texts: string[] = [];
          let rest = Buffer.from(line, 'latin1');
          while (rest.length > LONGEST_LINE) {
            const text = rest.subarray(0, LONGEST_LINE);
            // A character is not cut in two where the bytes are characters.
            let size = LONGEST_LINE;
            while (size > LONGEST_LINE - 4 && (rest[size]! & 0xc0) === 0x80) size--;
            if (size === LONGEST_LINE - 4) size = text.length;
            texts.push(rest.toString('latin1', 0, size));
            rest = rest.subarray(size);
          }
          return [...texts, rest.toString('latin1')];
        });
        expect(out).toBe(pieces.map((piece) => `web | ${piece}\n`).join(''));
      }),
    );
  });

  test.each([
    [['\n'], ''],
    [['\r', '\n'], ''],
    [['\r\n'], ''],
    [['\r', '\r\n'], 'web | \r\n'],
  ])('a line of the greatest length is whole, however its end %j comes', (ends, rest) => {
    const line = 'x'.repeat(LONGEST_LINE);
    const chunks = [line, ...ends].map((text) => Buffer.from(text));
    expect(run(plain(), chunks).toString()).toBe(`web | ${line}\n${rest}`);
  });

  test('every push gives whole lines only', () => {
    fc.assert(
      fc.property(bytesWithLines, cuts, (bytes, at) => {
        const formatter = plain();
        for (const chunk of chunksOf(bytes, at)) {
          const out = formatter.push(chunk, 'stdout').toString('latin1');
          expect(out === '' || (out.startsWith('web | ') && out.endsWith('\n'))).toBe(true);
        }
      }),
    );
  });

  test('the unfinished lines of the two streams are not mixed', () => {
    const formatter = plain();
    expect(formatter.push(Buffer.from('out'), 'stdout').toString()).toBe('');
    expect(formatter.push(Buffer.from('err'), 'stderr').toString()).toBe('');
    expect(formatter.push(Buffer.from('put\nmore'), 'stdout').toString()).toBe('web | output\n');
    expect(formatter.push(Buffer.from('or\n'), 'stderr').toString()).toBe('web | error\n');
    expect(formatter.end().toString()).toBe('web | more\n');
    expect(formatter.end().toString()).toBe('');
  });

  test('a chunk may be overwritten once it has been pushed', () => {
    const formatter = plain();
    const chunk = Buffer.from('one\ntwo');
    const out = formatter.push(chunk, 'stdout');
    chunk.fill('?');
    expect(out.toString() + formatter.end().toString()).toBe('web | one\nweb | two\n');
  });

  test('names are padded to the longest, but not beyond 20 columns', () => {
    expect(nameWidth(['web', 'apache2'])).toBe(7);
    expect(nameWidth(['x'.repeat(30)])).toBe(20);
    expect(nameWidth([])).toBe(0);
    const formatter = createLineFormatter('plain', 'web', { width: 7 });
    expect(formatter.push(Buffer.from('hi\n'), 'stdout').toString()).toBe('web     | hi\n');
  });

  test('another prefix stands for the name, in its column; an empty one for nothing', () => {
    const line = (prefix: string | null) =>
      createLineFormatter('plain', 'web', { width: 5, prefix })
        .push(Buffer.from('hi\n'), 'stdout')
        .toString();
    expect([line('www'), line(null), line('')]).toEqual(['www   | hi\n', 'web   | hi\n', 'hi\n']);
    const bare = createLineFormatter('plain', 'web', { prefix: '', colour: true });
    expect(bare.push(Buffer.from('a\r\nb\n'), 'stdout').toString()).toBe('a\nb\n');
  });

  test('the lines are given without prefix as well', () => {
    fc.assert(
      fc.property(bytesWithLines, cuts, (bytes, at) => {
        const bare: Buffer[] = [];
        const both = createLineFormatter('plain', 'web', { bare: (lines) => void bare.push(lines) });
        run(both, chunksOf(bytes, at));
        const wanted = run(createLineFormatter('plain', 'web', { prefix: '' }), [bytes]);
        expect(Buffer.concat(bare).equals(wanted)).toBe(true);
      }),
    );
  });

  test('colour is for the prefix alone, and the same for the same name', () => {
    const line = (name: string) =>
      createLineFormatter('plain', name, { colour: true }).push(Buffer.from('hi\n'), 'stdout').toString();
    expect(line('web')).toMatch(/^\x1b\[38;5;\d+mweb \|\x1b\[0m hi\n$/);
    expect(line('web')).toBe(line('web'));
    const colours = Array.from({ length: 50 }, (_, i) => /5;(\d+)m/.exec(line(`web${i}`))![1]);
    expect(new Set(colours).size).toBe(6);
  });
});

describe('json', () => {
  test('however the bytes are chunked, the objects give the lines back', () => {
    fc.assert(
      fc.property(bytesWithLines, cuts, (bytes, at) => {
        const lines: string[] = [];
        let open = false;
        for (const { line, data, partial, ...head } of objectsOf(run(json(), chunksOf(bytes, at)))) {
          expect(head).toEqual(HEAD);
          const text = data === undefined ? (line as string) : JSON.stringify(data);
          if (open) lines.push(lines.pop()! + text);
          else lines.push(text);
          open = partial === true;
        }
        const wanted = linesOf(bytes).map((line) => {
          const text = Buffer.from(line, 'latin1').toString();
          return objectIn(text) ?? text;
        });
        if (Buffer.from(bytes.toString()).equals(bytes)) expect(lines).toEqual(wanted);
        else expect(lines.length).toBe(wanted.length);
      }),
    );
  });

  test('a line that is a JSON object is carried as one, byte for byte', () => {
    const object = '{"b": 1e3,"a":[1 ,"\\u00e4ä"],"b":2}';
    const out = run(json(), [Buffer.from(` \t${object} \r\n`)]).toString();
    expect(out).toBe(`{"time":"${HEAD.time}","name":"web","stream":"stdout","data":${object}}\n`);
  });

  test.each([
    '{',
    '{"a":1} x',
    '{"a":1',
    '[1]',
    '"text"',
    '{a:1}',
    '1',
    'null',
    '',
    '{"a":"\u0001"}',
    '\u00a0{"a":1}',
  ])('a line that is no JSON object is text: %j', (line) => {
    expect(objectsOf(run(json(), [Buffer.from(`${line}\n`)]))).toEqual([{ ...HEAD, line }]);
  });

  test('what is no UTF-8 becomes U+FFFD, in an object too', () => {
    const bad = Buffer.from([0x61, 0xff, 0x62, 0x0a]);
    const inObject = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff]), Buffer.from('"}\n')]);
    expect(objectsOf(run(json(), [bad, inObject]))).toEqual([
      { ...HEAD, line: 'a\ufffdb' },
      { ...HEAD, data: { a: '\ufffd' } },
    ]);
  });

  test('the pieces of a line that is too long are marked, and none of them is taken for an object', () => {
    const long = `${'x'.repeat(LONGEST_LINE)}{"a":1}\n`;
    expect(objectsOf(run(json(), [Buffer.from(long)]))).toEqual([
      { ...HEAD, line: 'x'.repeat(LONGEST_LINE), partial: true },
      { ...HEAD, line: '{"a":1}' },
    ]);
  });

  test('after a line that is too long, an object is one again', () => {
    const [, , third] = objectsOf(run(json(), [Buffer.from(`${'x'.repeat(LONGEST_LINE + 1)}\n{"a":1}\n`)]));
    expect(third).toEqual({ ...HEAD, data: { a: 1 } });
  });

  test('a line is not cut within a character', () => {
    const line = `${'x'.repeat(LONGEST_LINE - 2)}🦊 and more`;
    const [first, second] = objectsOf(run(json(), [Buffer.from(`${line}\n`)]));
    expect(first).toEqual({ ...HEAD, line: 'x'.repeat(LONGEST_LINE - 2), partial: true });
    expect(second).toEqual({ ...HEAD, line: '🦊 and more' });
  });

  test('the stream is told', () => {
    expect(objectsOf(json().push(Buffer.from('oh\n'), 'stderr'))).toEqual([
      { ...HEAD, stream: 'stderr', line: 'oh' },
    ]);
  });
});

describe('what comes out of files', () => {
  test('has unfinished lines of its own, each file', () => {
    const formatter = plain();
    const push = (text: string, path: string) => formatter.pushFile(Buffer.from(text), path).toString();
    expect(formatter.push(Buffer.from('out'), 'stdout').toString()).toBe('');
    expect([push('a', '/a'), push('b', '/b'), push('1\n2', '/a')]).toEqual(['', '', 'web | a1\n']);
    expect(formatter.tail()).toEqual(['a1', 'out', '2', 'b']);
    expect(formatter.end().toString()).toBe('web | out\nweb | 2\nweb | b\n');
    expect(formatter.end().toString()).toBe('');
  });

  test('is told in json', () => {
    expect(objectsOf(json().pushFile(Buffer.from('one\n{"a":1}\n'), '/var/log/"x"'))).toEqual([
      { ...HEAD, stream: 'file', path: '/var/log/"x"', line: 'one' },
      { ...HEAD, stream: 'file', path: '/var/log/"x"', data: { a: 1 } },
    ]);
  });
});

test('the format may change, within a line too', () => {
  const formatter = plain();
  formatter.push(Buffer.from('half'), 'stdout');
  formatter.reformat('json', { wallClock: () => NOON });
  expect(objectsOf(formatter.push(Buffer.from(' a line\nmo'), 'stdout'))).toEqual([
    { ...HEAD, line: 'half a line' },
  ]);
  formatter.reformat('plain', { prefix: 'www' });
  expect(formatter.push(Buffer.from('re\n'), 'stdout').toString()).toBe('www | more\n');
  expect(formatter.tail()).toEqual(['half a line', 'more']);
});

describe('the tail', () => {
  function tailOf(...parts: readonly (readonly [string, StreamName])[]): string[] {
    const formatter = plain();
    for (const [text, stream] of parts) formatter.push(Buffer.from(text), stream);
    return formatter.tail();
  }

  test('the last lines of both streams in their order, the unfinished one included, blank ones not', () => {
    expect(tailOf(['a\n', 'stdout'], ['b\r\n\n', 'stderr'], ['c\nd', 'stdout'])).toEqual([
      'a',
      'b',
      'c',
      'd',
    ]);
  });

  test('at most ten', () => {
    const text = Array.from({ length: 30 }, (_, i) => `line ${i}\n`).join('');
    expect(tailOf([text, 'stdout'])).toEqual(Array.from({ length: 10 }, (_, i) => `line ${i + 20}`));
  });

  test('for any output it is the last whole lines that fit into 2 KiB', () => {
    const line = fc.integer({ min: 1, max: 900 }).map((size) => 'abcdefghij'.repeat(90).slice(0, size));
    fc.assert(
      fc.property(fc.array(line, { maxLength: 60 }), cuts, (lines, at) => {
        const formatter = plain();
        const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
        for (const chunk of chunksOf(bytes, at)) formatter.push(chunk, 'stdout');
        const tail = formatter.tail();
        expect(tail).toEqual(lines.slice(lines.length - tail.length));
        const size = tail.join('').length;
        expect(size).toBeLessThanOrEqual(2048);
        const next = lines.at(-tail.length - 1);
        // One more would not have fitted, its newline and those of the others counted.
        if (next !== undefined && tail.length < 10) {
          expect(size + next.length + tail.length + 1).toBeGreaterThan(2048);
        }
      }),
    );
  });

  test('a line that just fits is whole', () => {
    // 2 KiB from its first byte to the end of what was said, and something before it.
    const [first, second] = ['a'.repeat(1000), 'b'.repeat(1046)];
    expect(tailOf([`before\n${first}\n${second}\n`, 'stdout'])).toEqual([first, second]);
    expect(tailOf([`before\nx${first}\n${second}\n`, 'stdout'])).toEqual([second]);
    expect(tailOf(['before\n', 'stdout'], [`${first}\n`, 'stdout'], [`${second}\n`, 'stdout'])).toEqual([
      first,
      second,
    ]);
  });

  test('of a single longer line, its end', () => {
    const [line, ...others] = tailOf([`${'x'.repeat(5000)} the point\n`, 'stdout']);
    expect(others).toEqual([]);
    expect(line).toMatch(/^x+ the point$/);
    expect(line!.length).toBeGreaterThan(2000);
    expect(line!.length).toBeLessThanOrEqual(2048);
  });

  test('bytes that are no UTF-8 can be told', () => {
    const formatter = plain();
    formatter.push(Buffer.from([0xff, 0x0a]), 'stdout');
    expect(formatter.tail()).toEqual(['\ufffd']);
  });
});
