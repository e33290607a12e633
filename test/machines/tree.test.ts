/** The tree of groups: parts, names, and what a new plan makes of the groups that are there. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  beforeOf,
  commandsOf,
  GROUP_SIZE,
  type GroupPlan,
  groupNamed,
  isVital,
  regrouping,
  rolesOf,
  unwritten,
} from '../../machines/tree.ts';
import { command, group } from './supervisor-world.ts';

describe('parts', () => {
  const parts = (groups: readonly GroupPlan[]) =>
    Object.fromEntries(
      Object.entries(rolesOf(groups)).map(([name, role]) => [
        name,
        Object.entries(role)
          .flatMap(([key, value]) => (value ? [key] : []))
          .join(' '),
      ]),
    );

  test('nobody has one where nothing is said', () => {
    expect(parts(unwritten([command('a'), command('b')]))).toEqual({});
    expect(parts([group('g', 'one_for_one', [command('a')])])).toEqual({});
  });

  test('who waits and who is waited for', () => {
    const commands = [
      command('a'),
      command('b', { requires: { a: 'ready' } }),
      command('c', { after: ['b'] }),
    ];
    expect(parts(unwritten(commands))).toEqual({ a: 'watched', b: 'waits watched', c: 'waits watched' });
  });

  test('in groups that count or share', () => {
    const intensity = { restarts: 1, within: 1 };
    expect(
      parts([
        group('counts', 'one_for_one', [command('a')], { intensity }),
        group('shares', 'rest_for_one', [command('b'), group('plain', 'one_for_one', [command('c')])]),
      ]),
    ).toEqual({ a: 'watched', b: 'watched grouped' });
  });
});

test('unwritten groups are of a size, and are named on', () => {
  const commands = Array.from({ length: GROUP_SIZE * 2 + 1 }, (_, at) => command(`c${at}`));
  const groups = unwritten(commands, 5);
  expect(groups.map(({ name, members }) => [name, members.length])).toEqual([
    ['#5', GROUP_SIZE],
    ['#6', GROUP_SIZE],
    ['#7', 1],
  ]);
  expect(groups.flatMap(commandsOf)).toEqual(commands);
  expect(unwritten([])).toEqual([]);
});

test('groups are found wherever they are, and commands with what comes before them', () => {
  const inner = group('inner', 'one_for_one', [command('a', { requires: { b: 'ready' }, after: ['c'] })]);
  const groups = [group('x', 'one_for_one', [command('b')]), group('outer', 'one_for_one', [inner])];
  expect(groupNamed(groups, 'inner')).toBe(inner);
  expect(groupNamed(groups, 'outer')).toBe(groups[1]);
  expect(groupNamed(groups, 'a')).toBeNull();
  expect(beforeOf(groups.flatMap(commandsOf))).toEqual(
    new Map([
      ['b', []],
      ['a', ['b', 'c']],
    ]),
  );
});

test('vital is a group, or what is in it and not stopped by order', () => {
  const nested = (vital: boolean) =>
    group('g', 'one_for_one', [group('inner', 'one_for_one', [command('a', { vital })])]);
  expect(isVital(nested(true), () => false)).toBe(true);
  expect(isVital(nested(true), () => true)).toBe(false);
  expect(isVital(nested(false), () => false)).toBe(false);
  expect(isVital(group('g', 'one_for_one', [], { vital: true }), () => true)).toBe(true);
  expect(
    isVital(group('g', 'one_for_one', [group('i', 'one_for_one', [], { vital: true })]), () => true),
  ).toBe(true);
});

describe('regrouping', () => {
  const c = (name: string) => command(name);
  const names = (groups: readonly GroupPlan[]) => groups.map(({ name }) => name);

  test('a group with other rules stays', () => {
    const before = [group('g', 'one_for_one', [c('a'), group('i', 'one_for_one', [c('b')])])];
    const after = [
      group('g', 'one_for_all', [
        command('a', { after: ['b'] }),
        group('i', 'rest_for_one', [c('b')], { vital: true }),
      ]),
    ];
    const changes = regrouping(before, after, 1);
    expect(changes).toEqual({
      made: [],
      closed: [],
      adjusted: after,
      stay: new Set(['a', 'b']),
      moved: new Set(),
      removed: new Set(),
    });
  });

  test('with other members, or another nesting, it is made anew', () => {
    const before = [group('g', 'one_for_one', [c('a'), c('b')]), ...unwritten([c('x')])];
    for (const members of [
      [c('b'), c('a')],
      [c('a'), group('i', 'one_for_one', [c('b')])],
      [c('a'), c('b'), c('new')],
    ]) {
      const after = [group('g', 'one_for_one', members), ...unwritten([c('x')])];
      const changes = regrouping(before, after, 2);
      expect(names(changes.made)).toEqual(['g']);
      expect(names(changes.closed)).toEqual(['g']);
      expect(changes.moved).toEqual(new Set(['a', 'b']));
      expect(changes.stay).toEqual(new Set(['x']));
      expect(changes.removed).toEqual(new Set());
    }
  });

  test('into a group, out of it, and away', () => {
    const before = [group('g', 'one_for_one', [c('a'), c('gone')]), ...unwritten([c('x'), c('y'), c('z')])];
    const after = [group('h', 'one_for_one', [c('x')]), ...unwritten([c('y'), c('a'), c('new')])];
    const changes = regrouping(before, after, 7);
    expect(names(changes.made)).toEqual(['h', '#7']);
    expect(changes.made[1]!.members).toEqual([c('a'), c('new')]);
    expect(names(changes.closed)).toEqual(['g']);
    expect(changes.stay).toEqual(new Set(['y']));
    expect(changes.moved).toEqual(new Set(['x', 'a']));
    expect(changes.removed).toEqual(new Set(['gone', 'z']));
  });

  test('everybody is somewhere: who stays where it was, who moves in what is made', () => {
    const plan = fc
      .array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), fc.constantFrom('g', 'h', null)), {
        maxLength: 6,
      })
      .map((entries) => {
        const places = new Map(entries);
        const inGroup = (where: string | null) =>
          [...places].flatMap(([name, place]) => (place === where ? [c(name)] : []));
        return [
          ...['g', 'h'].flatMap((name) =>
            inGroup(name).length === 0 ? [] : [group(name, 'one_for_one' as const, inGroup(name))],
          ),
          ...unwritten(inGroup(null)),
        ];
      });
    fc.assert(
      fc.property(plan, plan, (before, after) => {
        const { made, closed, adjusted, stay, moved, removed } = regrouping(before, after, 9);
        const were = before.flatMap(commandsOf).map(({ name }) => name);
        const are = after.flatMap(commandsOf).map(({ name }) => name);
        expect([...stay, ...moved, ...removed].sort()).toEqual([...were].sort());
        const inMade = made.flatMap(commandsOf).map(({ name }) => name);
        expect([...stay, ...inMade].sort()).toEqual([...are].sort());
        for (const name of moved) expect(inMade).toContain(name);
        expect(names(closed).filter((name) => names(adjusted).includes(name))).toEqual([]);
      }),
    );
  });
});
