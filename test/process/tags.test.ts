import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createTags } from '../../src/process/tags.ts';

describe('tags', () => {
  const names = Array.from({ length: 10_000 }, (_, index) => `command-${index}`);

  test('10,000 names have 10,000 numbers, and each number its name', () => {
    const tags = createTags('here', names);
    const numbers = new Set(names.map((name) => tags.numberOf(name)));
    expect(numbers.size).toBe(names.length);
    for (const name of names) expect(tags.commandOf(String(tags.numberOf(name)))).toBe(name);
  });

  test('stay the same for the same names, whatever names come after them', () => {
    const before = createTags('here', ['web', 'db']);
    const after = createTags('here', ['web', 'db', ...names]);
    for (const name of ['web', 'db']) expect(after.numberOf(name)).toBe(before.numberOf(name));
  });

  test('are what they have always been: a new version takes over what an old one started', () => {
    expect(createTags('/run/upkeep.sock', ['web']).numberOf('web')).toBe(6589034066552016410n);
  });

  test('of another instance mean nothing here', () => {
    const here = createTags('here', ['web']);
    const there = createTags('there', ['web']);
    expect(there.numberOf('web')).not.toBe(here.numberOf('web'));
    expect(here.commandOf(String(there.numberOf('web')))).toBeNull();
    expect(here.isForgotten(String(there.numberOf('web')))).toBe(false);
    expect(here.isForeign(String(there.numberOf('web')))).toBe(true);
    expect(here.isForeign(String(here.numberOf('web')))).toBe(false);
    for (const locks of [null, '0', '1024', String(2n ** 64n - 1n)])
      expect(here.isForeign(locks)).toBe(false);
  });

  test('of helpers are a number for each, of nobody’s command, and foreign to every upkeep', () => {
    const here = createTags('here', ['web']);
    const numbers = Array.from({ length: 100 }, () => here.nextHelper());
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(new Set([...numbers, createTags('there', ['web']).nextHelper()]).size).toBe(numbers.length + 1);
    for (const number of numbers) {
      const locks = String(number);
      expect([here.commandOf(locks), here.isForgotten(locks)]).toEqual([null, false]);
      for (const instance of ['here', 'there'])
        expect(createTags(instance, ['web']).isForeign(locks)).toBe(true);
      expect(number).toBeLessThan(2n ** 63n);
      expect(number).toBeGreaterThan(2n ** 62n);
    }
  });

  test('of a command that is not there any more are known to be ours', () => {
    const before = createTags('here', ['web', 'gone']);
    const now = createTags('here', ['web']);
    const number = String(before.numberOf('gone'));
    expect([now.commandOf(number), now.isForgotten(number)]).toEqual([null, true]);
    expect(now.isForgotten(String(now.numberOf('web')))).toBe(false);
  });

  test('that are added and removed are what a fresh start would give, and those of the others stay', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.constantFrom(...names.slice(0, 50))), (changes) => {
        const tags = createTags('here', names.slice(0, 20));
        const left = new Set(names.slice(0, 20));
        for (const name of changes) {
          if (left.delete(name)) tags.remove(name);
          else tags.add(name);
          if (!names.slice(0, 20).includes(name)) left.add(name);
        }
        const fresh = createTags('here', [...left]);
        for (const name of left) expect(tags.numberOf(name)).toBe(fresh.numberOf(name));
        for (const name of names.slice(0, 50)) {
          const number = String(createTags('here', [name]).numberOf(name));
          expect(tags.commandOf(number)).toBe(left.has(name) ? name : null);
          expect(tags.isForgotten(number)).toBe(!left.has(name));
        }
      }),
    );
  });

  test('that are added again, or removed though they are not there, change nothing', () => {
    const tags = createTags('here', ['web']);
    const number = tags.numberOf('web');
    tags.add('web');
    tags.remove('db');
    expect(tags.numberOf('web')).toBe(number);
    tags.remove('web');
    expect(() => tags.numberOf('web')).toThrow(/^cannot tag: /);
    tags.add('web');
    expect(tags.numberOf('web')).toBe(number);
  });

  test('fit into 63 bits and are never what a limit is by itself', () => {
    fc.assert(
      fc.property(fc.string(), fc.string({ minLength: 1 }), (instance, name) => {
        const number = createTags(instance, [name]).numberOf(name);
        expect(number).toBeLessThan(2n ** 63n);
        // No limit that somebody would set.
        expect(number).toBeGreaterThan(2n ** 62n);
      }),
    );
  });

  test('no limit, any other limit, and what is no number stand for nobody', () => {
    const tags = createTags('here', ['web']);
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (number) => {
        fc.pre(number !== tags.numberOf('web'));
        expect(tags.commandOf(String(number))).toBeNull();
      }),
    );
    expect(tags.commandOf(null)).toBeNull();
    expect(tags.isForgotten(null)).toBe(false);
  });

  test('a name that was not given has none', () => {
    expect(() => createTags('here', ['web']).numberOf('db')).toThrow(/^cannot tag: /);
  });
});
