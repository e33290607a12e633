import { describe, expect, test } from 'vitest';
import { answerPost, turnsOf } from '../../src/control/routes.ts';
import { createInside } from './inside.ts';
import { Served } from './served.ts';

describe('an order that is given elsewhere', () => {
  test('is carried out and answered as one over the socket, mistakes too', async () => {
    const inside = createInside();
    expect(await answerPost(inside, '/v1/stop', { names: ['web'] })).toMatchObject({
      status: 202,
      body: { before: [{ name: 'web' }] },
    });
    expect(inside.asked).toEqual(['command.stop web']);
    expect(await answerPost(inside, '/v1/signal', { names: ['db'], signal: 'SIGHUP' })).toMatchObject({
      status: 200,
    });
    expect(inside.asked.at(-1)).toBe('SIGHUP db');
    expect(await answerPost(inside, '/v1/stop', { names: ['nobody'] })).toMatchObject({
      status: 404,
      body: { error: expect.stringContaining('cannot find nobody') },
    });
    // What is refused stands on no timeline.
    expect(await answerPost(inside, '/v1/signal', { names: ['db'], signal: 'SIGHUPP' })).toMatchObject({
      status: 400,
      body: { error: expect.stringContaining('cannot send SIGHUPP: it is no signal, did you mean HUP') },
    });
    const still = createInside({ signal: () => 'it does not run' });
    expect(await answerPost(still, '/v1/signal', { names: ['db'], signal: 'SIGHUP' })).toMatchObject({
      status: 409,
    });
    expect([inside, still].map(({ journal }) => journal.last())).toEqual([2, 0]);
    await answerPost(inside, '/v1/stop', { names: ['web'] }, (order, names) =>
      inside.note(order, names, null, 'inspector'),
    );
    expect(inside.journal.since(2).entries[0]!.what).toMatchObject({ order: 'stop', via: 'inspector' });
    const broken = createInside({
      note: () => {
        throw new Error('no');
      },
    });
    expect(await answerPost(broken, '/v1/stop', { names: ['web'] })).toMatchObject({ status: 500 });
  });

  test('replaces what one over the socket has not come to: there is one book of orders', async (context) => {
    // Nobody ever stops: whoever needs others is waited for.
    const plans = createInside().groups();
    const [group] = plans;
    const groups = [
      {
        ...group!,
        members: group!.members.map((member) =>
          member.name === 'web' ? { ...member, requires: { db: 'started' as const } } : member,
        ),
      },
    ];
    const inside = createInside({ groups: () => groups });
    const served = await Served.of(inside);
    context.onTestFinished(() => served.close());
    expect(await served.post('/v1/stop', { all: true })).toMatchObject({ status: 202 });
    expect(turnsOf(inside)('db')).toEqual({ order: 'stop', behind: ['web'] });
    await answerPost(inside, '/v1/start', { names: ['web', 'db'] });
    expect(turnsOf(inside)('db')).toBeNull();
  });
});

describe('an order over the socket', () => {
  test('is noted with whoever gave it; a signal that was refused is not', async (context) => {
    const inside = createInside({ signal: (name) => (name === 'db' ? 'it does not run' : null) });
    const served = await Served.of(inside);
    context.onTestFinished(() => served.close());
    expect(await served.post('/v1/signal', { names: ['db'], signal: 'SIGHUP' })).toMatchObject({
      status: 409,
    });
    expect(inside.journal.last()).toBe(0);
    expect(await served.post('/v1/signal', { names: ['web', 'db'], signal: 'SIGHUP' })).toMatchObject({
      status: 409,
    });
    expect(inside.journal.since(0).entries).toMatchObject([
      { what: { order: 'signal SIGHUP', commands: ['web'], by: { uid: 1000, pid: 42 } } },
    ]);
    await served.post('/v1/stop', { names: ['web'] });
    expect(inside.journal.wishOf('web')).toMatchObject({ what: { by: { uid: 1000, pid: 42 } } });
    await answerPost(inside, '/v1/stop', { names: ['web'] });
    expect(inside.journal.wishOf('web')).toMatchObject({ what: { by: null } });
  });

  test('for a group that is not there says which are, and what is no group', async () => {
    const [plan] = createInside().groups();
    const inner = { ...plan!, name: 'inner' };
    const inside = createInside({ groups: () => [{ ...plan!, name: 'shop', members: [inner] }] });
    const names = ['shop', 'inner'];
    expect(await answerPost(inside, '/v1/stop', { group: 'shpo' })).toEqual({
      status: 404,
      body: { error: 'cannot find the group shpo: no group has that name', unknown: ['shpo'], names },
    });
    expect(await answerPost(inside, '/v1/stop', { group: 'web' })).toMatchObject({
      status: 404,
      body: { error: 'cannot find the group web: web is a command; leave --group out', names },
    });
    expect(inside.asked).toEqual([]);
  });
});
