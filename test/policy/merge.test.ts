import { expect, test } from 'vitest';
import { parseCommands } from '../../src/policy/command.ts';
import { mergeSources } from '../../src/policy/merge.ts';
import { UsageError } from '../../src/policy/usage-error.ts';
import { load } from './policies.ts';

const policy = load('commands: {a: x, b: y}\ngroups: {g: [a]}\ncontainer: {grace: 5s}');

test('all commands are kept, and groups and container are the policy’s', () => {
  const merged = mergeSources(parseCommands(['c: x']), parseCommands(['d: x']), policy);
  expect(merged.commands.map(({ name }) => name)).toEqual(['a', 'b', 'd', 'c']);
  expect(merged).toMatchObject({ groups: policy.groups, container: policy.container });
});

test('without a policy everything is as it is by default', () => {
  const commands = parseCommands(['c: x']);
  expect(mergeSources(commands, [], null)).toEqual({
    commands,
    groups: [],
    container: { grace: null, exitWhen: 'never', exitCodeFrom: null, syslog: null, http: null },
    hooks: [],
  });
});

test('a name is that of one', () => {
  const merge = (given: string[], procfile: string[]) => () =>
    mergeSources(parseCommands(given), parseCommands(procfile), policy);
  expect(merge(['a: x'], [])).toThrow(UsageError);
  expect(merge(['a: x'], [])).toThrow(
    'cannot use the name "a" for two: it is that of a command in the policy file and of a command among the arguments; give one of them another name',
  );
  expect(merge([], ['g: x'])).toThrow('a group in the policy file and of a command in the Procfile');
  expect(merge(['d: x'], ['d: x'])).toThrow('a command in the Procfile and of a command among the arguments');
});
