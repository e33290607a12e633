import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import WebSocket from 'ws';
import { runInspect } from '../../src/inspector/inspect.ts';
import { createPlayer } from '../../src/inspector/player.ts';
import { status } from '../machines/harness.ts';
import { command } from '../machines/supervisor-world.ts';
import { folder, record } from './helpers.ts';
import { PaperViewer, type Told } from './viewers.ts';

/** `a` runs from the beginning, dies at 1 s, cannot be started until 5 s, and is back at 10 s. */
async function incident() {
  const recorded = record({ commands: [command('a'), command('b')] }, [], { size: Number.POSITIVE_INFINITY });
  recorded.world.advance(1_000);
  recorded.world.broken.add('a');
  recorded.world.die('a', status(3));
  recorded.world.advance(4_000);
  recorded.world.broken.delete('a');
  recorded.world.advance(5_000);
  return { ...recorded, recording: await recorded.end() };
}

const seen = <T>(check: () => T): Promise<T> => vi.waitFor(check, { timeout: 60_000, interval: 5 });
const types = (viewer: PaperViewer): Set<string> => new Set(viewer.messages().map(({ type }) => type));
/** What was told since the last hello. */
const anew = (viewer: PaperViewer): Told[] => {
  const all = viewer.messages();
  return all.slice(all.findLastIndex(({ type }) => type === 'upkeep.hello'));
};
/** What state an actor is in, null: the root, by all that was told since the last hello. */
function stateOf(viewer: PaperViewer, actor: string | null): unknown {
  const told = anew(viewer);
  const session = told.find(({ name, parentId }) =>
    actor === null ? name !== undefined && parentId === undefined : name === actor,
  )?.sessionId;
  return told.findLast(({ sessionId, snapshot }) => sessionId === session && snapshot !== undefined)?.snapshot
    .value;
}
const commandIn = (viewer: PaperViewer, name: string): Told | undefined =>
  anew(viewer)
    .filter(({ type }) => type === 'upkeep.fleet')
    .flatMap(({ commands }) => commands as Told[])
    .findLast((each) => each.name === name);

describe('a recording', () => {
  test('is shown as it was in the end, and at any other time', async () => {
    const { recording } = await incident();
    const viewer = new PaperViewer().look(createPlayer(recording, null));
    await seen(() =>
      expect(commandIn(viewer, 'a')).toMatchObject({ state: 'running', lastExit: expect.anything() }),
    );
    const { from, to } = recording;
    expect(viewer.messages()[0]).toMatchObject({ mode: 'recording', from, to, replay: { differs: null } });
    await seen(() =>
      expect(types(viewer)).toEqual(
        new Set([
          'upkeep.hello',
          '@xstate.actor',
          '@xstate.event',
          '@xstate.snapshot',
          'upkeep.fleet',
          'upkeep.entries',
        ]),
      ),
    );
    const a = await seen(() => {
      const found = anew(viewer).find(({ name }) => name === 'command:a');
      expect(found).toBeDefined();
      return found!;
    });
    expect(JSON.parse(a.definition)).toMatchObject({ id: 'command' });
    await seen(() => expect(stateOf(viewer, 'command:a')).toHaveProperty('running'));

    for (const time of [from + 990, from + 3_000]) viewer.want({ type: 'seek', at: time });
    await seen(() => expect(commandIn(viewer, 'a')).toMatchObject({ state: 'backoff' }));
    // Only the last of them is gone to.
    expect(viewer.messages('upkeep.hello')).toHaveLength(2);
    await seen(() => expect(stateOf(viewer, 'command:a')).toBe('backoff'));
    const told = anew(viewer).flatMap(({ entries = [] }) => entries as Told[]);
    expect(Math.max(...told.map(({ time }) => time))).toBeLessThanOrEqual(from + 3_000);
    viewer.want({ type: 'seek', at: from + 990 });
    await seen(() => expect(commandIn(viewer, 'a')).toMatchObject({ state: 'running', lastExit: null }));
    viewer.leave();
  });

  test('tells what happened until then one by one, and goes on from there', async () => {
    const { recording } = await incident();
    const { from } = recording;
    const viewer = new PaperViewer().look(createPlayer(recording, null));
    viewer.want({ type: 'seek', at: from + 990 });
    await seen(() => expect(commandIn(viewer, 'a')).toMatchObject({ state: 'running', lastExit: null }));
    const heard = (): string[] =>
      anew(viewer).flatMap(({ type, event }) => (type === '@xstate.event' ? [event.type] : []));
    expect(heard()).toContain('launcher.started');
    expect(heard()).not.toContain('leader.exited');
    const hellos = viewer.messages('upkeep.hello').length;
    viewer.want({ type: 'seek', at: from + 1_500 });
    await seen(() => expect(commandIn(viewer, 'a')).toMatchObject({ lastExit: expect.anything() }));
    expect(heard()).toContain('leader.exited');
    const death = anew(viewer).find(
      ({ type, event }) => type === '@xstate.snapshot' && event.type === 'leader.exited',
    );
    expect(death!.taken.ways[0]).toMatchObject({
      event: 'leader.exited',
      from: expect.stringMatching(/^command\.running/),
    });
    expect(death!.taken.actions).toContain('tell');
    expect(viewer.messages('upkeep.hello')).toHaveLength(hellos);
    const times = anew(viewer).flatMap(({ type, createdAt }) =>
      type === '@xstate.event' ? [Number(createdAt)] : [],
    );
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    viewer.leave();
  });

  test('says that its replay differs when that is known', async () => {
    const { recording } = await incident();
    const player = createPlayer(recording);
    const viewer = new PaperViewer().look(player);
    await seen(() => expect(commandIn(viewer, 'a')).toMatchObject({ state: 'running' }));
    const hellos = (): unknown[] => viewer.messages('upkeep.hello').map(({ replay }) => replay);
    expect(hellos()).toEqual([null]);
    player.know('line 7');
    await seen(() => expect(hellos()).toEqual([null, { differs: 'line 7' }]));
    await seen(() => expect(commandIn(viewer, 'a')).toMatchObject({ state: 'running' }));
    viewer.leave();
    player.know(null);
    expect(hellos()).toHaveLength(2);
  });

  test('goes on when what was told is taken', async () => {
    const { recording } = await incident();
    const viewer = new PaperViewer();
    viewer.takes = false;
    viewer.look(createPlayer(recording, null));
    await seen(() => expect(viewer.messages('@xstate.actor').length).toBeGreaterThan(2));
    viewer.take();
    await seen(() =>
      expect(commandIn(viewer, 'a')).toMatchObject({ state: 'running', lastExit: expect.anything() }),
    );
    viewer.leave();
  });

  test('is opened as it was before upkeep ended, with the leaders that there were', async () => {
    const { world, end } = record({ commands: [command('a'), command('b')] }, [], {
      size: Number.POSITIVE_INFINITY,
    });
    world.advance(5_000);
    world.shutdown();
    world.advance(20_000);
    const recording = await end();
    const viewer = new PaperViewer().look(createPlayer(recording, null));
    viewer.want({ type: 'processes', wanted: true });
    await seen(() => expect(commandIn(viewer, 'a')).toMatchObject({ state: 'running' }));
    const [hello] = viewer.messages('upkeep.hello');
    expect(hello!.at).toBeLessThan(recording.to);
    await seen(() =>
      expect(viewer.messages('upkeep.processes').at(-1)?.processes).toMatchObject([
        { command: 'a', part: 'leader', state: '', argv: [] },
        { command: 'b', part: 'leader' },
      ]),
    );
    viewer.want({ type: 'seek', at: recording.to });
    await seen(() => expect(stateOf(viewer, null)).toBe('done'));
    viewer.leave();
  });

  test('is shown to each viewer at a time of his own; times beyond it are its ends', async () => {
    const { recording } = await incident();
    const player = createPlayer(recording, 'line 5: x');
    const [one, other] = [new PaperViewer().look(player), new PaperViewer(false).look(player)];
    await seen(() => expect(commandIn(one, 'a')).toMatchObject({ lastExit: expect.anything() }));
    one.want({ type: 'seek', at: 0 });
    await seen(() => expect(one.messages('upkeep.hello')).toHaveLength(2));
    one.want({ type: 'seek', at: Number.MAX_SAFE_INTEGER });
    await seen(() =>
      expect(commandIn(one, 'a')).toMatchObject({ state: 'running', lastExit: expect.anything() }),
    );
    expect(one.messages()[0]).toMatchObject({ replay: { differs: 'line 5: x' } });
    expect(types(other)).toEqual(new Set(['@xstate.actor', '@xstate.event', '@xstate.snapshot']));
    one.want({ type: 'seek', at: 0 });
    const before = one.texts.length;
    one.leave();
    other.leave();
    await new Promise((resolve) => setImmediate(resolve));
    expect(one.texts.length).toBe(before);
  });
});

describe('upkeep inspect', () => {
  test('serves the page with the recording, and takes no orders', async () => {
    const { path } = await incident();
    const port = await freePort();
    const said: string[] = [];
    const { code, text, inspector } = await runInspect(['--port', String(port), path], (each) =>
      said.push(each),
    );
    expect(code).toBe(0);
    // It is shown before it is verified.
    expect(said).toEqual([]);
    const [, token] = /#token=([\w-]{43})\n/.exec(text)!;
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws?token=${token}`);
    const told: Told[] = [];
    socket.on('message', (data) => void told.push(JSON.parse(String(data))));
    await seen(() => expect(told.some(({ type }) => type === 'upkeep.fleet')).toBe(true));
    expect(told[0]).toMatchObject({ type: 'upkeep.hello', mode: 'recording', orders: false });
    await seen(() => expect(said.join('')).toContain('the same again'));
    await seen(() =>
      expect(told.findLast(({ type }) => type === 'upkeep.hello')).toMatchObject({
        replay: { differs: null },
      }),
    );
    const answer = await fetch(`http://127.0.0.1:${port}/order`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-upkeep-token': token! },
      body: '{"order":"stop","command":"a"}',
    });
    expect([answer.status, await answer.json()]).toEqual([
      403,
      { error: 'cannot order anything: this is a recording' },
    ]);
    inspector!.close();
  });

  test('says where it cannot be shown', async () => {
    const { path } = await incident();
    const holder = createServer();
    const port = await new Promise<number>((resolve) => {
      holder.listen(0, '127.0.0.1', () => resolve((holder.address() as { port: number }).port));
    });
    const { code, text } = await runInspect([`--port=${port}`, path]);
    holder.close();
    expect(code).toBe(1);
    expect(text).toBe(
      `upkeep: cannot show ${path} at 127.0.0.1:${port}: somebody listens there already; name another port, as in --port 9778\n`,
    );
    expect((await runInspect([join(folder(), 'none')])).code).toBe(78);
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
  });
  await new Promise((resolve) => server.close(resolve));
  return port;
}
