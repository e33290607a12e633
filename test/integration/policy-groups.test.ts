import { describe, expect, test } from 'vitest';
import { noNamespace } from './namespace.ts';
import { type Kept, keep } from './policies.ts';

const SERVICE = 'exec sleep 1000';
const QUICK = 'backoff: {first: 20ms, max: 20ms}';

/** The latest leaders, by name. */
const pidsOf = (kept: Kept, ...names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [name, kept.pidOf(name)]));

describe.skipIf(noNamespace)(`groups ${noNamespace ?? ''}`, { concurrent: true }, () => {
  const trio = (rules: string) => `
defaults: {${QUICK}}
commands: {a: ${SERVICE}, b: ${SERVICE}, c: ${SERVICE}, other: ${SERVICE}}
groups:
  g: {members: [a, b, c]${rules}}
`;
  const all = ['a', 'b', 'c', 'other'] as const;

  test.for([
    { strategy: '', again: ['b'] },
    { strategy: ', strategy: one_for_one', again: ['b'] },
    { strategy: ', strategy: one_for_all', again: ['a', 'b', 'c'] },
    { strategy: ', strategy: rest_for_one', again: ['b', 'c'] },
  ])('$strategy: who is restarted when one dies', async ({ strategy, again }, context) => {
    const kept = await keep(context, trio(strategy));
    const { upkeep, inside } = kept;
    await upkeep.running(...all);
    const before = pidsOf(kept, ...all);
    await inside.end(before.b!);
    for (const name of again) await upkeep.event('command.running', name, 2);
    const after = pidsOf(kept, ...all);
    expect(all.filter((name) => before[name] !== after[name])).toEqual(again);
    for (const name of all) expect(inside.isAlive(after[name]!), name).toBe(true);
    for (const name of again) expect(inside.isAlive(before[name]!), name).toBe(false);
    const told = upkeep.events('group.restarting');
    expect(told).toHaveLength(again.length === 1 ? 0 : 1);
    if (again.length > 1) {
      expect(told[0]).toMatchObject({
        group: 'g',
        because: 'b died',
        members: again.filter((n) => n !== 'b'),
      });
    }
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('who is restarted with another is stopped before anybody is started, and in order', async (context) => {
    const kept = await keep(
      context,
      `
defaults: {${QUICK}}
commands:
  db: {run: ${SERVICE}}
  web: {run: ${SERVICE}, requires: db}
  mail: {run: ${SERVICE}, requires: db}
groups: {g: {members: [db, web, mail], strategy: one_for_all}}
`,
    );
    const { upkeep, inside } = kept;
    await upkeep.running('db', 'web', 'mail');
    await inside.end(kept.pidOf('web'));
    for (const name of ['db', 'web', 'mail']) await upkeep.event('command.running', name, 2);
    const place = (type: string, command: string, count = 1) =>
      upkeep.lines.indexOf(upkeep.events(type, command)[count - 1]!);
    expect(place('command.stopped', 'mail')).toBeLessThan(place('command.stopping', 'db'));
    for (const name of ['db', 'web', 'mail']) {
      expect(place('command.stopped', 'db')).toBeLessThan(place('command.launched', name, 2));
    }
    expect(place('command.running', 'db', 2)).toBeLessThan(place('command.launched', 'web', 2));
  });

  test('one that is unhealthy takes the others with it', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
defaults: {${QUICK}}
commands:
  a: {run: 'rm -f ${dir}/sick; echo up; ${SERVICE}', health: {exec: 'test ! -e ${dir}/sick', every: 30ms, failures: 1}}
  b: {run: ${SERVICE}}
groups: {g: {members: [a, b], strategy: one_for_all}}
`,
    );
    const { upkeep, inside } = kept;
    await upkeep.running('a', 'b');
    const before = pidsOf(kept, 'a', 'b');
    await upkeep.until('what it does first', () => upkeep.said('a').length > 0);
    kept.touch('sick');
    for (const name of ['a', 'b']) await upkeep.event('command.running', name, 2);
    expect(inside.isAlive(before.a!) || inside.isAlive(before.b!)).toBe(false);
    expect(upkeep.events('command.launched')).toHaveLength(4);
  });

  test('intensity: restarts of all members together; then all of it is stopped, and the rest goes on', async (context) => {
    const kept = await keep(context, trio(', intensity: {restarts: 2, within: 1h}'));
    const { upkeep, inside } = kept;
    await upkeep.running(...all);
    for (const name of ['a', 'b']) {
      await inside.end(kept.pidOf(name));
      await upkeep.event('command.running', name, 2);
    }
    await inside.end(kept.pidOf('c'));
    const failed = await upkeep.event('group.failed');
    expect(failed).toMatchObject({ group: 'g', message: expect.stringContaining('c died') });
    expect(inside.named('sleep').map(({ pid }) => pid)).toEqual([kept.pidOf('other')]);
    expect(upkeep.events('command.launched')).toHaveLength(6);
    expect(upkeep.events('supervisor.stopping')).toEqual([]);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('onFailed: exit ends the container with 10', async (context) => {
    const kept = await keep(
      context,
      trio(', strategy: one_for_all, intensity: {restarts: 0, within: 1h}, onFailed: exit'),
    );
    const { upkeep, inside } = kept;
    await upkeep.running(...all);
    await inside.end(kept.pidOf('a'));
    expect(await upkeep.ended()).toMatchObject({ code: 10 });
    expect(upkeep.events('supervisor.stopping')[0]!.reason).toContain('g');
    expect(upkeep.events('supervisor.stopped')[0]).toMatchObject({ left: 0 });
  });

  test('a member that fails for good fails a group whose members are nothing without it', async (context) => {
    const kept = await keep(
      context,
      `
commands:
  a: {run: ${SERVICE}}
  b: {run: exit 1, restart: never, after: a}
  c: {run: ${SERVICE}}
  d: {run: exit 1, restart: never}
groups:
  g: {members: [a, b], strategy: one_for_all}
  h: [c, d]
`,
    );
    const { upkeep, inside } = kept;
    expect(await upkeep.event('group.failed')).toMatchObject({ group: 'g' });
    await upkeep.running('c');
    await upkeep.event('command.failed', 'd');
    await upkeep.until('its sleep', () => inside.process(kept.pidOf('c'))?.comm === 'sleep');
    expect(inside.named('sleep').map(({ pid }) => pid)).toEqual([kept.pidOf('c')]);
    expect(upkeep.events('group.failed')).toHaveLength(1);
  });

  test('a group in a group that gives up is started anew by the one around it, until that gives up', async (context) => {
    const kept = await keep(
      context,
      `
defaults: {${QUICK}}
commands: {a: ${SERVICE}, b: ${SERVICE}, c: ${SERVICE}, other: ${SERVICE}}
groups:
  inner: {members: [a, b], strategy: one_for_all, intensity: {restarts: 0, within: 1h}}
  outer: {members: [inner, c], strategy: one_for_all, intensity: {restarts: 1, within: 1h}}
`,
    );
    const { upkeep, inside } = kept;
    await upkeep.running('a', 'b', 'c', 'other');
    await inside.end(kept.pidOf('a'));
    expect(await upkeep.event('group.failed')).toMatchObject({ group: 'inner' });
    for (const name of ['a', 'b', 'c']) await upkeep.event('command.running', name, 2);
    expect(upkeep.events('group.restarting').at(-1)).toMatchObject({
      group: 'outer',
      because: 'inner gave up',
    });
    await inside.end(kept.pidOf('b'));
    await upkeep.until('the end of both', () =>
      upkeep.events('group.failed').some(({ group }) => group === 'outer'),
    );
    expect(inside.named('sleep').map(({ pid }) => pid)).toEqual([kept.pidOf('other')]);
    expect(upkeep.events('command.launched', 'other')).toHaveLength(1);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('a nested group: a member that dies concerns its own group alone', async (context) => {
    const kept = await keep(
      context,
      `
defaults: {${QUICK}}
commands: {a: ${SERVICE}, b: ${SERVICE}, c: ${SERVICE}}
groups:
  inner: {members: [a, b], strategy: one_for_all}
  outer: {members: [inner, c], strategy: one_for_all}
`,
    );
    const { upkeep, inside } = kept;
    await upkeep.running('a', 'b', 'c');
    const c = kept.pidOf('c');
    await inside.end(kept.pidOf('a'));
    for (const name of ['a', 'b']) await upkeep.event('command.running', name, 2);
    expect(inside.isAlive(c)).toBe(true);
    expect(upkeep.events('command.launched', 'c')).toHaveLength(1);
    // c is of the outer one, and takes the inner one with it.
    await inside.end(c);
    for (const name of ['a', 'b']) await upkeep.event('command.running', name, 3);
    await upkeep.event('command.running', 'c', 2);
  });

  test('a oneshot of a group that has done its work is not run again with the others', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
defaults: {${QUICK}}
commands:
  migrate: {run: 'echo x >> ${dir}/runs', kind: oneshot}
  a: {run: ${SERVICE}, requires: migrate}
  b: {run: ${SERVICE}}
groups: {g: {members: [migrate, a, b], strategy: one_for_all}}
`,
    );
    const { upkeep, inside } = kept;
    await upkeep.running('a', 'b');
    await inside.end(kept.pidOf('b'));
    for (const name of ['a', 'b']) await upkeep.event('command.running', name, 2);
    expect(kept.linesOf('runs')).toEqual(['x']);
  });
});
