import { describe, expect, test } from 'vitest';
import { noNamespace } from './namespace.ts';
import { type Kept, keep } from './policies.ts';

const SERVICE = 'exec sleep 1000';

/** That each of the events comes before the next one. */
function expectOrder(kept: Kept, ...events: readonly (readonly [type: string, command: string])[]): void {
  const places = events.map(([type, command]) => kept.place(type, command));
  expect(places).not.toContain(-1);
  expect(places, events.map((event) => event.join(' ')).join(', ')).toEqual(places.toSorted((a, b) => a - b));
}

describe.skipIf(noNamespace)(`who comes after whom ${noNamespace ?? ''}`, { concurrent: true }, () => {
  test('requires: what is required has to be ready', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  web: {run: ${SERVICE}, requires: db}
  db: {run: ${SERVICE}, ready: {file: ${dir}/db-is-up, interval: 20ms}}
`,
    );
    const { upkeep } = kept;
    expect((await upkeep.event('command.waiting', 'web')).for).toEqual(['db: ready']);
    await upkeep.running('db');
    expect(upkeep.events('command.launched', 'web')).toEqual([]);
    kept.touch('db-is-up');
    await upkeep.running('web');
    expectOrder(kept, ['command.running', 'db'], ['command.ready', 'db'], ['command.launched', 'web']);
  });

  test('requires: {NAME: started} does not wait for its readiness', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  web: {run: ${SERVICE}, requires: {db: started}}
  db: {run: ${SERVICE}, ready: {file: ${dir}/db-is-up}}
`,
    );
    await kept.upkeep.running('web');
    expectOrder(kept, ['command.running', 'db'], ['command.launched', 'web']);
    expect(kept.upkeep.events('command.ready')).toEqual([]);
  });

  test('requires: {NAME: ready} of a oneshot is less than its completion', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  migrate: {run: 'until test -e ${dir}/go; do sleep 0.05; done', kind: oneshot}
  early: {run: ${SERVICE}, requires: {migrate: ready}}
  late: {run: ${SERVICE}, requires: [migrate]}
`,
    );
    const { upkeep } = kept;
    await upkeep.running('early');
    expect(upkeep.events('command.launched', 'late')).toEqual([]);
    expect(upkeep.events('command.waiting', 'late').at(-1)!.for).toEqual(['migrate: completed']);
    kept.touch('go');
    await upkeep.running('late');
    expectOrder(kept, ['command.completed', 'migrate'], ['command.launched', 'late']);
  });

  test('what requires something that has failed for good waits on, and says so', async (context) => {
    const kept = await keep(
      context,
      `
commands:
  migrate: {run: exit 3, kind: oneshot}
  web: {run: ${SERVICE}, requires: migrate}
  other: {run: ${SERVICE}}
`,
    );
    const { upkeep } = kept;
    await upkeep.until('the news', () =>
      upkeep
        .events('command.waiting', 'web')
        .some((line) => line.for[0] === 'migrate: completed (it is failed)'),
    );
    await upkeep.running('other');
    expect(upkeep.events('command.launched', 'web')).toEqual([]);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('after asks for an order, and not for success', async (context) => {
    const kept = await keep(
      context,
      `
commands:
  web: {run: ${SERVICE}, after: [broken, once]}
  broken: {run: exit 1, settle: 1h}
  once: {run: exit 2, kind: oneshot}
`,
    );
    const { upkeep } = kept;
    await upkeep.running('web');
    expectOrder(kept, ['command.failedStart', 'broken'], ['command.launched', 'web']);
    expectOrder(kept, ['command.failed', 'once'], ['command.launched', 'web']);
  });

  test('after a oneshot: it has ended', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  once: {run: 'until test -e ${dir}/go; do sleep 0.05; done', kind: oneshot}
  web: {run: ${SERVICE}, after: once}
`,
    );
    const { upkeep } = kept;
    await upkeep.running('once');
    expect(upkeep.events('command.launched', 'web')).toEqual([]);
    kept.touch('go');
    await upkeep.running('web');
    expectOrder(kept, ['command.completed', 'once'], ['command.launched', 'web']);
  });

  test('a group stands for all that is in it', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  web: {run: ${SERVICE}, requires: data}
  db: {run: ${SERVICE}, ready: {file: ${dir}/up, interval: 20ms}}
  cache: {run: ${SERVICE}}
  queue: {run: ${SERVICE}}
groups:
  stores: [db, cache]
  data: [stores, queue]
`,
    );
    const { upkeep } = kept;
    await upkeep.running('db', 'cache', 'queue');
    expect(upkeep.events('command.launched', 'web')).toEqual([]);
    expect(upkeep.events('command.waiting', 'web')[0]!.for).toHaveLength(3);
    kept.touch('up');
    await upkeep.running('web');
    expectOrder(kept, ['command.ready', 'db'], ['command.launched', 'web']);
    expectOrder(kept, ['command.running', 'queue'], ['command.launched', 'web']);
  });

  test('they are stopped in reverse, each when those after it have stopped', async (context) => {
    const slow = `'trap "sleep 0.3; exit 0" TERM; while :; do sleep 0.05; done'`;
    const kept = await keep(
      context,
      `
commands:
  a: {run: ${slow}}
  b: {run: ${slow}, requires: a}
  c: {run: ${slow}, after: b}
  d: {run: ${slow}, requires: a}
`,
    );
    const { upkeep } = kept;
    await upkeep.running('a', 'b', 'c', 'd');
    expectOrder(kept, ['command.running', 'a'], ['command.launched', 'b'], ['command.launched', 'c']);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    expectOrder(
      kept,
      ['command.stopping', 'c'],
      ['command.stopped', 'c'],
      ['command.stopping', 'b'],
      ['command.stopped', 'b'],
      ['command.stopping', 'a'],
      ['command.stopped', 'a'],
    );
    expectOrder(kept, ['command.stopped', 'd'], ['command.stopping', 'a']);
    // Who has nothing to do with one another stops at once.
    expectOrder(kept, ['command.stopping', 'd'], ['command.stopped', 'c']);
  });

  test('what dies while others stop before it is not started again', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  db: {run: exec sleep 1000}
  web:
    run: 'trap "until test -e ${dir}/go; do sleep 0.05; done; exit 0" TERM; echo up; while :; do sleep 0.05; done'
    requires: db
`,
    );
    const { upkeep, inside } = kept;
    const [db] = await upkeep.running('db', 'web');
    await upkeep.until('its trap', () => upkeep.said('web').length > 0);
    upkeep.signal('SIGTERM');
    await upkeep.event('command.stopping', 'web');
    await inside.end(db!);
    await upkeep.event('command.died', 'db');
    kept.touch('go');
    expect(await upkeep.ended()).toMatchObject({ code: 0 });
    expect(upkeep.events('command.launched', 'db')).toHaveLength(1);
    expect(upkeep.events('supervisor.stopped')[0]).toMatchObject({ left: 0 });
  });

  test('what is required and dies is no reason to stop what requires it', async (context) => {
    const kept = await keep(
      context,
      `
commands:
  db: {run: ${SERVICE}}
  web: {run: ${SERVICE}, requires: db}
`,
    );
    const { upkeep, inside } = kept;
    const [db, web] = await upkeep.running('db', 'web');
    await inside.end(db!);
    await upkeep.event('command.running', 'db', 2);
    expect(inside.isAlive(web!)).toBe(true);
    expect(upkeep.events('command.launched', 'web')).toHaveLength(1);
  });
});
