import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { difference } from '../../../src/inspector/page/diff.ts';
import { KINDS, LOOKS, lookOf } from '../../../src/inspector/page/looks.ts';
import { readPlace, writePlace } from '../../../src/inspector/page/place.ts';
import { ownerMarks, processRows } from '../../../src/inspector/page/process-tree.ts';
import { layOut } from '../../../src/inspector/page/sequence.ts';
import { duration } from '../../../src/inspector/page/words.ts';
import type { ProcessView } from '../../../src/inspector/protocol.ts';

describe('what of two contexts differs', () => {
  test('is told by path', () => {
    const before = { a: 1, b: { c: 2, d: [1] }, e: 'x' };
    const after = { a: 1, b: { c: 3, d: [1] }, f: null };
    expect(difference(before, after)).toEqual([
      { path: 'b.c', before: 2, after: 3 },
      { path: 'e', before: 'x', after: undefined },
      { path: 'f', before: undefined, after: null },
    ]);
  });

  test('is nothing of two that are alike', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(difference(value, structuredClone(value))).toEqual([]);
      }),
    );
  });

  test('goes no deeper than asked', () => {
    expect(difference({ a: { b: 1 } }, { a: { b: 2 } }, 1)).toEqual([
      { path: 'a', before: { b: 1 }, after: { b: 2 } },
    ]);
  });
});

describe('the sequence diagram', () => {
  const steps = [
    { key: 1, time: '1', from: 'root', to: 'web', label: 'a', note: '' },
    { key: 2, time: '1', from: 'web', to: 'web', label: 'b', note: 'backoff' },
    { key: 3, time: '2', from: 'outside', to: 'root', label: 'c', note: '' },
  ];
  const order = (name: string): number => ['root', 'web'].indexOf(name);

  test('has a column for each who takes part, and a row for each message', () => {
    const { columns, arrows, width, height } = layOut(steps, order);
    expect(columns.map(({ name }) => name)).toEqual(['outside', 'root', 'web']);
    expect(arrows.map(({ isSelf }) => isSelf)).toEqual([false, true, false]);
    expect(arrows[2]).toMatchObject({ from: columns[0]!.x, to: columns[1]!.x });
    expect(new Set(arrows.map(({ y }) => y)).size).toBe(3);
    for (const { y } of arrows) expect(y).toBeLessThan(height);
    for (const { x } of columns) expect(x).toBeLessThan(width);
    // A time stands where it is another than above.
    expect(arrows.map(({ time }) => time)).toEqual(['1', '', '2']);
  });
});

describe('processes', () => {
  const process = (pid: number, ppid: number, more: Partial<ProcessView> = {}): ProcessView => ({
    pid,
    ppid,
    name: `p${pid}`,
    state: 'S',
    argv: [],
    since: 0,
    command: null,
    part: null,
    because: null,
    ...more,
  });
  const list = [
    process(1, 0, { part: 'upkeep' }),
    process(7, 1, { command: 'web', part: 'leader' }),
    process(8, 7, { command: 'web', part: 'member' }),
    process(9, 1, { command: 'db', part: 'member' }),
    process(10, 9, { state: 'Z', command: 'db', part: 'leader' }),
    process(20, 0),
  ];

  test('nest below their parents, and are marked', () => {
    expect(
      processRows(list, '', new Set()).map(({ process: { pid }, level, sign }) => [pid, level, sign]),
    ).toEqual([
      [1, 1, 'upkeep'],
      [7, 2, 'leader'],
      [8, 3, null],
      [9, 2, 'straggler'],
      [10, 3, 'zombie'],
      [20, 1, null],
    ]);
  });

  test('what is searched for is shown with what it descends from', () => {
    const pids = (text: string): number[] =>
      processRows(list, text, new Set([7])).map((row) => row.process.pid);
    expect(pids('p8')).toEqual([1, 7, 8]);
    expect(pids('db')).toEqual([1, 9, 10]);
    expect(processRows(list, '', new Set([7])).map((row) => row.process.pid)).not.toContain(8);
  });

  test('of 32 commands no two are marked alike, and neighbours differ in colour', () => {
    const names = Array.from({ length: 32 }, (_, index) => `c${index}`);
    const marks = [...ownerMarks(names).values()];
    expect(new Set(marks.map(({ hue, pattern }) => `${hue} ${pattern}`)).size).toBe(32);
    for (const [index, { hue }] of marks.entries()) expect(hue).not.toBe(marks[index - 1]?.hue);
    // As those of a small fleet, which a hash had of one colour.
    const few = [...ownerMarks(['db', 'cache', 'web', 'health', 'api']).values()];
    expect(new Set(few.map(({ hue }) => hue)).size).toBe(5);
  });

  test('one that is its own parent is a root', () => {
    expect(processRows([process(0, 0)], '', new Set())).toHaveLength(1);
  });
});

describe('the address', () => {
  test('leads to the same place again', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('fleet', 'chart', 'timeline', 'messages', 'processes'),
        fc.string({ minLength: 1, unit: 'grapheme' }),
        (pane, name) => {
          const place = { pane, selected: `command:${name}` } as const;
          expect(readPlace(writePlace(place))).toEqual(place);
        },
      ),
    );
    expect(readPlace('')).toEqual({ pane: 'chart', selected: null });
    expect(readPlace('#nowhere/%E0')).toEqual({ pane: 'chart', selected: null });
  });
});

describe('looks', () => {
  test('no two kinds look alike without their colours', () => {
    const shapes = Object.values(LOOKS).map(({ path }) => path);
    expect(new Set(shapes).size).toBe(shapes.length);
    expect(KINDS.map(([kind]) => kind).sort()).toEqual(Object.keys(LOOKS).sort());
  });

  test.each([
    ['running.ready', null, 'up'],
    ['running.ready', 'unhealthy', 'unwell'],
    ['running.starting', null, 'starting'],
    ['restarting.settling', null, 'starting'],
    ['backoff', null, 'backoff'],
    ['nobody.knows', null, 'other'],
    ['constructor', null, 'other'],
  ])('%s, %s is %s', (state, detail, kind) => {
    expect(lookOf(state, detail).kind).toBe(kind);
  });
});

test.each([
  [0, '0 ms'],
  [0.4, '<1 ms'],
  [312.4, '312 ms'],
  [999.7, '1.0 s'],
  [1_400, '1.4 s'],
  [9_960, '10 s'],
  [59_600, '59 s'],
  [61_000, '1 min 1 s'],
  [7_200_000, '2 h'],
  [200_000_000, '2 d 7 h'],
  [-250, '−250 ms'],
])('%d ms is %s', (ms, text) => {
  expect(duration(ms)).toBe(text);
});
