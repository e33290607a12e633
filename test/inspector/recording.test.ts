import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decoded,
  encoded,
  parseRecording,
  RecordingError,
  readRecording,
} from '../../src/inspector/recording.ts';
import { folder } from './helpers.ts';

const HEADER = JSON.stringify({
  upkeep: 'recording',
  version: 1,
  by: '0.0.0',
  time: 1_000,
  at: 10,
  hostname: 'h',
  lost: 0,
  start: { input: {} },
});
const line = (time: number): string => JSON.stringify({ time, at: time - 990, of: '', state: 'observing' });

describe('values that JSON does not have', () => {
  test('come back as they were, whatever keys they have', () => {
    const value = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.string(),
        fc.double({ noNaN: false }),
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('value')),
        fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('$set', '$object', '__proto__')), tie('value')),
        fc.array(tie('value')).map((all) => new Set(all)),
        fc.array(fc.tuple(fc.string(), tie('value'))).map((all) => new Map(all)),
      ),
    })).value;
    fc.assert(
      fc.property(value, (each) => {
        const back = decoded(JSON.parse(JSON.stringify(encoded(each))));
        expect(JSON.stringify(encoded(back))).toBe(JSON.stringify(encoded(each)));
        if (each instanceof Set) expect(back).toBeInstanceOf(Set);
      }),
    );
    expect(decoded(encoded(Number.POSITIVE_INFINITY))).toBe(Number.POSITIVE_INFINITY);
    expect(decoded(encoded(new Map([['a', new Set([1])]])))).toEqual(new Map([['a', new Set([1])]]));
    expect(decoded(JSON.parse(JSON.stringify(encoded({ a: undefined, b: 1 }))))).toEqual({ b: 1 });
  });
});

describe('a file', () => {
  test('that was cut in mid-line is read up to there', () => {
    const { parts, cut, from, to } = parseRecording(`${HEADER}\n${line(1_500)}\n{"time":16`, 'f');
    expect(parts[0]!.lines.map((each) => each.line)).toEqual([2]);
    expect(cut).toEqual([3]);
    expect([from, to]).toEqual([1_000, 1_500]);
  });

  test('may be cut where a later upkeep has gone on', () => {
    const { parts, cut } = parseRecording(`${HEADER}\n{"time":16\n${HEADER}\n${line(2_000)}\n`, 'f');
    expect(parts.map(({ lines }) => lines.length)).toEqual([0, 1]);
    expect(cut).toEqual([2]);
  });

  test('may be cut in its first line, where a later upkeep has gone on', () => {
    for (const torn of [HEADER.slice(0, -20), HEADER.slice(0, 8)]) {
      const { parts, cut } = parseRecording(`${torn}\n${HEADER}\n${line(2_000)}\n`, 'f');
      expect(parts.map(({ lines }) => lines.length)).toEqual([1]);
      expect(cut).toEqual([1]);
      expect(() => parseRecording(`${torn}\n`, 'f')).toThrow('line 1: it is cut, and nothing follows');
    }
  });

  test.each([
    ['nothing', '', 'it is no recording; make one with upkeep run --record FILE'],
    ['a policy', 'commands:\n  web: nginx\n', 'it is no recording'],
    ['other JSON', '{"a":1}\n{"b":2}\n', 'it is no recording'],
    ['another version', HEADER.replace('"version":1', '"version":3'), 'line 1: it is of version 3'],
    ['a line that is none', `${HEADER}\nnonsense\n${line(2_000)}\n`, 'line 2: it is no JSON'],
    ['a line without a time', `${HEADER}\n{"of":"","state":"x"}\n`, 'line 2: it is none that upkeep writes'],
    ['an event that is none', `${HEADER}\n{"at":1,"time":1,"to":"","event":7}\n`, 'line 2: it is none that'],
    ['half a header', HEADER.replace('"start"', '"begin"'), 'line 1: it is none that upkeep writes'],
  ])('with %s is refused', (_, text, message) => {
    expect(() => parseRecording(text, 'f')).toThrow(message);
    expect(() => parseRecording(text, 'f')).toThrow(RecordingError);
  });

  test('that is not there, or is a folder, is refused', () => {
    const path = folder();
    expect(() => readRecording(join(path, 'none'))).toThrow(/cannot read .*none: there is no such file/);
    expect(() => readRecording(path)).toThrow(/cannot read/);
    writeFileSync(join(path, 'one'), `${HEADER}\n`);
    expect(readRecording(join(path, 'one')).parts).toHaveLength(1);
  });
});
