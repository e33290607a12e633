/** What the machines are told of a policy. */
import { expect, test } from 'vitest';
import { commandsOf, type GroupPlan, isGroup } from '../../machines/tree.ts';
import { parseCommands } from '../../src/policy/command.ts';
import { planOf, policyOf, toldDifference } from '../../src/policy/plan.ts';
import { load } from './policies.ts';

const OPTIONS = { exitOnFailed: false, grace: 9_000 } as const;
const planned = (text: string, options: Parameters<typeof planOf>[1] = OPTIONS) =>
  planOf(load(text), options);

/** `[a, [inner, b]]`, without the numbers of groups that nobody wrote. */
const tree = (group: GroupPlan): unknown[] => [
  group.name.replace(/^#\d+$/, '#'),
  ...group.members.map((member) => (isGroup(member) ? tree(member) : member.name)),
];

/** name: vital, and after how many failures in a row it has failed for good. */
const ends = (text: string, exitOnFailed: boolean | string[]) =>
  Object.fromEntries(
    planned(text, { exitOnFailed, grace: 1 })
      .groups.flatMap(commandsOf)
      .map(({ name, vital, policy }) => [name, [vital, policy.giveUpAfter]]),
  );

test('groups are as they were written, those at the top first, and then who is in none', () => {
  const { groups } = planned(`
commands: {a: x, b: x, c: x, d: x}
groups:
  inner: [b]
  outer: {members: [inner, a], strategy: one_for_all, intensity: {restarts: 3, within: 10s}, onFailed: exit}
  other: [c]
`);
  expect(groups.map(tree)).toEqual([
    ['outer', ['inner', 'b'], 'a'],
    ['other', 'c'],
    ['#', 'd'],
  ]);
  expect(groups[0]).toMatchObject({
    strategy: 'one_for_all',
    intensity: { restarts: 3, within: 10_000 },
    vital: true,
  });
  expect(groups[1]).toMatchObject({ strategy: 'one_for_one', intensity: null, vital: false });
});

test('what the policy says of the container counts more than an option', () => {
  expect(planned('commands: {a: x}')).toMatchObject({ grace: 9_000, exitWhen: 'never', exitCodeFrom: null });
  expect(
    planned('commands: {a: x}\ncontainer: {grace: 3s, exitWhen: all-done, exitCodeFrom: a}'),
  ).toMatchObject({ grace: 3_000, exitWhen: 'all-done', exitCodeFrom: 'a' });
});

test('what a command requires, and whom it comes after', () => {
  const [group] = planned('commands: {a: x, b: {run: x, requires: a}, c: {run: x, after: b}}').groups;
  expect(group!.members).toMatchObject([
    { name: 'a', requires: {}, after: [], vital: false },
    { name: 'b', requires: { a: 'ready' }, after: [] },
    { name: 'c', requires: {}, after: ['b'] },
  ]);
});

test('whose failure ends the container has a limit, unless the policy says how often it is tried', () => {
  const text = `
commands:
  plain: x
  exits: {run: x, onFailed: exit}
  tried: {run: x, kind: oneshot, retries: 6}
  endless: {run: x, kind: oneshot, retries: unlimited}
  heat: {run: x, intensity: {restarts: 3, within: 10s}}
  never: {run: x, restart: never}
  once: {run: x, kind: oneshot}
`;
  expect(ends(text, false)).toEqual({
    plain: [false, null],
    exits: [true, 5],
    tried: [false, 7],
    endless: [false, null],
    heat: [false, null],
    never: [false, null],
    once: [false, 1],
  });
  expect(ends(text, true)).toEqual({
    plain: [true, 5],
    exits: [true, 5],
    tried: [true, 7],
    endless: [true, null],
    heat: [true, null],
    never: [true, null],
    once: [true, 1],
  });
  expect(ends(text, ['plain'])).toMatchObject({ plain: [true, 5], exits: [true, 5], tried: [false, 7] });
  // It ends the container, and is not vital by itself.
  expect(ends(`${text}container: {exitWhen: any-failed}`, false)).toMatchObject({
    plain: [false, 5],
    heat: [false, null],
  });
});

test('commands that were given as arguments are in no group, under the rules there are', () => {
  const policy = policyOf(parseCommands(['sleep 1']));
  expect(policy).toMatchObject({ groups: [], hooks: [], container: { exitWhen: 'never', grace: null } });
  expect(planOf(policy, OPTIONS).groups.map(tree)).toEqual([['#', 'sleep']]);
});

test('what is told of a difference', () => {
  const difference = {
    added: ['a'],
    removed: ['b'],
    restarted: ['c'],
    adjusted: ['d'],
    unchanged: ['e', 'f'],
    groupsChanged: false,
    containerChanged: false,
    hooksChanged: false,
    notes: { c: ['run'] },
  };
  const told = {
    started: ['a'],
    stopped: ['b'],
    restarted: ['c'],
    adjusted: ['d'],
    unchanged: 2,
    sections: [] as string[],
    notes: { c: ['run'] },
  };
  expect(toldDifference(difference)).toEqual(told);
  for (const [key, section] of [
    ['groupsChanged', 'groups'],
    ['containerChanged', 'container'],
    ['hooksChanged', 'on'],
  ] as const) {
    expect(toldDifference({ ...difference, [key]: true })).toEqual({ ...told, sections: [section] });
  }
});
