import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseCommands } from '../../src/policy/command.ts';
import { diffPolicies } from '../../src/policy/diff.ts';
import { mergeSources } from '../../src/policy/merge.ts';
import { load } from './policies.ts';

const base = 'env: {A: hunter2, B: 1}, nice: 1, ready: {tcp: 1}';
const before = load(`commands: {a: {run: x, ${base}}}`);
const changed = (run: string, rest = base) =>
  diffPolicies(before, load(`commands: {a: {run: ${run}, ${rest}}}`));

test('nothing has changed', () => {
  expect(changed('x')).toEqual({
    added: [],
    removed: [],
    restarted: [],
    adjusted: [],
    unchanged: ['a'],
    groupsChanged: false,
    containerChanged: false,
    hooksChanged: false,
    notes: {},
  });
});

describe('of the process', () => {
  test.each([
    ['y', base, ['run']],
    ['x -v', base, ['run']],
    ['x', base.replace('hunter2', 'hunter3'), ['env.A']],
    ['x', base.replace('B: 1', 'C: 1'), ['env.B', 'env.C']],
    ['x', base.replace('nice: 1', 'user: me, cwd: /x'), ['user', 'cwd', 'nice']],
    ['x', `${base}, secrets: [S]`, ['secrets.S']],
    ['x', `${base}, limits: {nofile: 5}`, ['limits.nofile']],
    ['x', `${base}, kind: oneshot`, ['kind', 'restart', 'retries']],
  ])('%s %s', (run, rest, keys) => {
    const diff = changed(run, rest);
    expect(diff).toMatchObject({ restarted: ['a'], adjusted: [], unchanged: [] });
    expect([...diff.notes.a!].sort()).toEqual([...keys].sort());
    expect(JSON.stringify(diff)).not.toContain('hunter');
  });
});

describe('of what upkeep decides by', () => {
  test.each([
    [base.replace('tcp: 1', 'tcp: 2'), ['ready']],
    [`${base}, health: {notify: true}`, ['health']],
    [`${base}, stop: {timeout: 3s}`, ['stop']],
    [`${base}, restart: never`, ['restart']],
    [`${base}, onFailed: exit`, ['onFailed']],
    [`${base}, reload: HUP`, ['reload']],
    [`${base}, backoff: {stable: 1s}`, ['backoff']],
    [`${base}, match: {name: y}`, ['match']],
    [`${base}, log: {file: /x}`, ['log']],
  ])('%s', (rest, keys) => {
    expect(changed('x', rest)).toMatchObject({
      restarted: [],
      adjusted: ['a'],
      unchanged: [],
      notes: { a: keys },
    });
  });

  test('quotes alone change no process', () => {
    expect(changed('"\'x\'"')).toMatchObject({ adjusted: ['a'], notes: { a: ['run'] } });
  });
});

test('commands come and go; groups and the container change', () => {
  const diff = diffPolicies(
    load('commands: {a: x, b: x}\ngroups: {g: [a]}'),
    load('commands: {c: x, b: x}\ncontainer: {grace: 1s}'),
  );
  expect(diff).toMatchObject({
    added: ['c'],
    removed: ['a'],
    unchanged: ['b'],
    groupsChanged: true,
    containerChanged: true,
  });
  const on = load('commands: {a: x}\ncontainer: {syslog: true}');
  expect(diffPolicies(load('commands: {a: x}'), on).containerChanged).toBe(true);
  expect(diffPolicies(on, load('commands: {a: x}\ncontainer: {syslog: /dev/log}')).containerChanged).toBe(
    false,
  );
});

test('notifications change, and no command', () => {
  const hooks = (url: string) => load(`commands: {a: x}\non: {h: {events: died, webhook: "${url}"}}`);
  const diff = diffPolicies(hooks('http://a/hunter2'), hooks('http://a/hunter3'));
  expect(diff).toMatchObject({ hooksChanged: true, unchanged: ['a'], restarted: [], adjusted: [] });
  expect(JSON.stringify(diff)).not.toContain('hunter');
  expect(diffPolicies(hooks('http://a'), hooks('http://a')).hooksChanged).toBe(false);
});

test('a command that was given as an argument is as one in a file that says nothing else', () => {
  const given = mergeSources(parseCommands(['a: x -v', '/etc/init.d/cron start']), [], null);
  const written = load('commands: {a: x -v, cron: /etc/init.d/cron start}');
  expect(diffPolicies(given, written)).toMatchObject({ unchanged: ['a', 'cron'], notes: {} });
});

test('the order of variables says nothing, and each command is in one list', () => {
  expect(changed('x', base.replace('A: hunter2, B: 1', 'B: 1, A: hunter2')).unchanged).toEqual(['a']);
  const names = fc.subarray(['a', 'b', 'c', 'd'], { minLength: 1 });
  const runs = fc.array(fc.constantFrom('x', 'y', '{run: x, restart: never}'), {
    minLength: 4,
    maxLength: 4,
  });
  const policies = fc
    .tuple(names, runs)
    .map(([some, each]) => load(`commands: {${some.map((name, i) => `${name}: ${each[i]}`).join(', ')}}`));
  fc.assert(
    fc.property(policies, policies, (one, other) => {
      const { added, removed, restarted, adjusted, unchanged } = diffPolicies(one, other);
      const all = [...added, ...removed, ...restarted, ...adjusted, ...unchanged].sort();
      const known = new Set([...one.commands, ...other.commands].map(({ name }) => name));
      expect(all).toEqual([...known].sort());
      expect(diffPolicies(other, one)).toMatchObject({ added: removed, removed: added });
    }),
  );
});
