/** `--inspect`: what viewers are shown of a real upkeep, and may ask of it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { createWebSocketReceiver, type StatelyInspectionEvent } from '@statelyai/inspect';
import { describe, expect, inject, test } from 'vitest';
import WebSocket from 'ws';
import { readRecording } from '../../src/inspector/recording.ts';
import { replay } from '../../src/inspector/replay.ts';
import { verify } from '../../src/inspector/verify.ts';
import {
  type Cleanup,
  freePort,
  type Line,
  Namespace,
  noNamespace,
  type Upkeep,
  until,
} from './namespace.ts';
import { keep } from './policies.ts';

const STAYS = 'exec sleep 100000';

interface Place {
  readonly port: number;
  readonly token: string;
}

/** Where the inspector is, as upkeep has logged it. */
async function placeOf(upkeep: Upkeep): Promise<Place> {
  const message: string = await upkeep.until(
    'the address',
    () =>
      upkeep.events('upkeep.notice').find((told) => /^the inspector is at/.test(told.message))?.message ??
      null,
  );
  const [, port, token] = /http:\/\/[\d.]+:(\d+)\/#token=([\w-]{43})/.exec(message)!;
  return { port: Number(port), token: token! };
}

/** One viewer, as upkeep's own page is one. */
class Seer {
  readonly messages: Line[] = [];
  readonly texts: string[] = [];
  readonly socket: WebSocket;

  constructor({ port, token }: Place, cleanup: Cleanup, path = '/ws') {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}${path}?token=${token}`);
    this.socket.on('error', () => {});
    this.socket.on('message', (data) => {
      this.texts.push(String(data));
      this.messages.push(JSON.parse(String(data)));
    });
    cleanup.onTestFinished(() => this.socket.terminate());
  }

  of(type: string): Line[] {
    return this.messages.filter((message) => message.type === type);
  }

  /** What was told last of a command: its actor's state. */
  stateOf(name: string): unknown {
    const session = this.of('@xstate.actor').findLast((told) => told.name === `command:${name}`)?.sessionId;
    return this.messages.findLast((told) => told.sessionId === session && 'snapshot' in told)?.snapshot.value;
  }

  statusOf(name: string): Line | undefined {
    return this.of('upkeep.fleet')
      .flatMap(({ commands }) => commands as Line[])
      .findLast((status) => status.name === name);
  }

  until(what: string, check: () => unknown): Promise<unknown> {
    return until(what, check, () => this.texts.slice(-5).join('\n').slice(0, 5_000));
  }
}

function order({ port, token }: Place, body: object): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}/order`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-upkeep-token': token, connection: 'close' },
    body: JSON.stringify(body),
  });
}

describe.skipIf(noNamespace)(`--inspect ${noNamespace ?? ''}`, () => {
  test('is understood by the official receiver, field by field: late, and while a command dies', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([`web: ${STAYS}`, inside.install('daemon.sh', 'alpha')], {
      args: [`--inspect=${await freePort()}`],
    });
    const [web] = await upkeep.running('web', 'alpha');
    const { port, token } = await placeOf(upkeep);
    const got: StatelyInspectionEvent[] = [];
    createWebSocketReceiver({ server: `ws://127.0.0.1:${port}/?token=${token}` }).subscribe((event) => {
      got.push(event);
    });
    const of = <T extends StatelyInspectionEvent['type']>(type: T) =>
      got.filter((event): event is Extract<StatelyInspectionEvent, { type: T }> => event.type === type);
    await upkeep.until('every actor', () => of('@xstate.actor').some(({ name }) => name === 'command:alpha'));
    const actors = of('@xstate.actor');
    expect(got.slice(0, actors.length)).toEqual(actors);
    const known = new Set<string | undefined>([undefined]);
    for (const { sessionId, parentId } of actors) {
      expect(known).toContain(parentId);
      known.add(sessionId);
    }
    const actor = (name: RegExp) => actors.find((each) => name.test(each.name))!;
    const [root] = actors;
    expect(root!.parentId).toBeUndefined();
    expect(root).toMatchObject({ snapshot: { status: 'active', value: 'supervising' } });
    expect(actor(/^command:web$/)).toEqual({
      type: '@xstate.actor',
      name: 'command:web',
      sessionId: expect.stringMatching(/^x:\d+$/),
      rootId: root!.sessionId,
      parentId: actor(/^group:/).sessionId,
      createdAt: expect.stringMatching(/^\d{13}$/),
      id: expect.any(String),
      _version: '0.7.2',
      definition: expect.any(String),
      snapshot: expect.objectContaining({
        status: 'active',
        value: expect.objectContaining({ running: expect.anything() }),
        context: expect.objectContaining({ name: 'web', leader: expect.objectContaining({ pid: web }) }),
        children: expect.any(Object),
        tags: [],
      }),
    });
    const ids = ['supervisor', 'group', 'command'];
    for (const [index, name] of [/^x:/, /^group:/, /^command:/].entries()) {
      const { id, states } = JSON.parse(actor(name).definition!);
      expect([id, typeof states]).toEqual([ids[index], 'object']);
    }
    expect(actor(/^scan$/)).toMatchObject({ parentId: root!.sessionId, snapshot: { status: 'active' } });
    expect(actor(/^scan$/).definition).toBeUndefined();

    await inside.end(web!);
    await upkeep.event('command.running', 'web', 2);
    const { sessionId } = actor(/^command:web$/);
    const group = actor(/^group:/).sessionId;
    await upkeep.until('its way back', () =>
      of('@xstate.snapshot').some(
        ({ sessionId: whose, snapshot }) =>
          whose === sessionId &&
          (snapshot as unknown as Line).context.restarts === 1 &&
          /running/.test(JSON.stringify((snapshot as unknown as Line).value)),
      ),
    );
    const common = {
      sessionId,
      rootId: root!.sessionId,
      createdAt: expect.stringMatching(/^\d{13}$/),
      id: expect.any(String),
      _version: '0.7.2',
    };
    const exited = expect.objectContaining({
      type: 'leader.exited',
      exit: { known: true, code: null, signal: 'SIGKILL', core: false },
    });
    expect(of('@xstate.event')).toContainEqual({
      ...common,
      type: '@xstate.event',
      event: exited,
      sourceId: group,
    });
    expect(of('@xstate.snapshot')).toContainEqual({
      ...common,
      type: '@xstate.snapshot',
      event: exited,
      snapshot: expect.objectContaining({ status: 'active', value: expect.anything() }),
    });
    const states = of('@xstate.snapshot')
      .filter((told) => told.sessionId === sessionId)
      .map(({ snapshot }) => JSON.stringify((snapshot as unknown as Line).value));
    expect(states.findIndex((value) => /restarting/.test(value))).toBeGreaterThan(-1);
    expect(states.at(-1)).toMatch(/running/);
    const launcher = of('@xstate.actor').findLast(({ parentId }) => parentId === sessionId)!;
    expect(launcher.snapshot).toMatchObject({ status: 'active' });
    expect(new Set(got.map(({ type }) => type))).toEqual(
      new Set(['@xstate.actor', '@xstate.event', '@xstate.snapshot']),
    );
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });

  test('shows the page all there is: commands, events, processes; to two at once, and to who comes again', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([`web: ${STAYS}`, 'sad: exit 7'], {
      args: [`--inspect=${await freePort()}`],
    });
    const [web] = await upkeep.running('web');
    const place = await placeOf(upkeep);
    const first = new Seer(place, context);
    await first.until('the fleet', () => first.statusOf('web')?.state === 'running');
    expect(first.messages[0]).toMatchObject({ type: 'upkeep.hello', version: 1, mode: 'live', orders: true });
    expect(first.of('upkeep.fleet')[0]).toMatchObject({ names: ['web', 'sad'], groups: [] });
    await first.until('the launch', () =>
      first
        .of('upkeep.entries')
        .some(({ entries }) => entries.some(({ what }: Line) => what.type === 'command.launched')),
    );
    const second = new Seer(place, context);
    await second.until('the fleet', () => second.statusOf('web')?.state === 'running');
    second.socket.send('{"type":"processes","wanted":true}');
    await second.until('the processes', () => second.of('upkeep.processes').length > 1);
    const { processes } = second.of('upkeep.processes').at(-1)!;
    expect(processes).toContainEqual(
      expect.objectContaining({ pid: web, ppid: 1, name: 'sleep', command: 'web', part: 'leader' }),
    );
    expect(processes).toContainEqual(expect.objectContaining({ pid: 1, part: 'upkeep', command: null }));
    expect(processes.find(({ pid }: Line) => pid === web).because).toMatch(/it carries the command's tag/);
    expect(first.of('upkeep.processes')).toEqual([]);

    first.socket.close();
    await inside.end(web!);
    await second.until('the death', () => (second.statusOf('web')?.restarts as number) === 1);
    const again = new Seer(place, context);
    await again.until('the fleet', () => again.statusOf('web')?.restarts === 1);
    await again.until('its state', () => again.stateOf('web') !== undefined);
    expect(again.of('upkeep.entries')[0]!.entries[0].number).toBe(1);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });

  test('takes orders from who has the token, as the control socket does', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([`web: ${STAYS}`, `db: ${STAYS}`], {
      args: [`--inspect=${await freePort()}`],
    });
    const [web] = await upkeep.running('web', 'db');
    const place = await placeOf(upkeep);
    const seer = new Seer(place, context);
    const forged = await order({ ...place, token: 'x'.repeat(43) }, { order: 'stop', command: 'web' });
    expect(forged.status).toBe(401);
    const stop = await order(place, { order: 'stop', command: 'web' });
    expect([stop.status, await stop.json()]).toMatchObject([202, { before: [{ name: 'web' }] }]);
    await upkeep.event('command.stopped', 'web');
    await seer.until('the stop', () => seer.statusOf('web')?.state === 'stopped');
    expect(inside.isAlive(web!)).toBe(false);
    expect((await order(place, { order: 'start', command: 'web' })).status).toBe(202);
    await upkeep.event('command.running', 'web', 2);
    expect((await order(place, { order: 'signal', command: 'db', signal: 'SIGKILL' })).status).toBe(200);
    expect((await upkeep.event('command.died', 'db')).exit.signal).toBe('SIGKILL');
    const none = await order(place, { order: 'stop', command: 'nobody' });
    expect([none.status, await none.json()]).toMatchObject([404, { error: /cannot find nobody/ }]);
    expect((await order(place, { order: 'reload', command: 'web' })).status).toBe(409);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
    // What was refused was not ordered.
    const ordered = upkeep.events('operator.ordered').map(({ order: what }) => what);
    expect(ordered).toEqual(['stop', 'start', 'signal SIGKILL']);
  });

  test('where others can reach it, it only shows, and says so', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([`web: ${STAYS}`], {
      args: [`--inspect=0.0.0.0:${await freePort()}`],
    });
    const [web] = await upkeep.running('web');
    const place = await placeOf(upkeep);
    expect(upkeep.events('upkeep.notice').map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/others can reach it, so nothing can be ordered there$/),
    );
    const seer = new Seer(place, context);
    await seer.until('the fleet', () => seer.statusOf('web')?.state === 'running');
    expect(seer.messages[0]).toMatchObject({ orders: false });
    const answer = await order(place, { order: 'stop', command: 'web' });
    expect([answer.status, await answer.json()]).toMatchObject([
      403,
      { error: /cannot order anything here/ },
    ]);
    expect(inside.isAlive(web!)).toBe(true);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });

  test('shows no secret, no environment and no token', async (context) => {
    const secret = 'correct-horse-battery';
    const port = await freePort();
    const kept = await keep(
      context,
      (inside) => `
commands:
  s:
    run: sh -c 'echo $PASSWORD; exec sleep 100000' x ${secret}
    secrets: {PASSWORD: {file: ${inside.write('password', `${secret}\n`, 0o600)}}}
  t: {run: 'echo "${secret}"; exit 3'}
`,
      { args: [`--inspect=${port}`], env: { OF_UPKEEP: 'of-its-environment' } },
    );
    const { upkeep } = kept;
    await upkeep.running('s');
    const place = await placeOf(upkeep);
    const seer = new Seer(place, context);
    const other = new Seer(place, context, '/');
    seer.socket.on('open', () => seer.socket.send('{"type":"processes","wanted":true}'));
    await upkeep.event('command.failedStart', 't', 3);
    await seer.until('the processes', () => seer.of('upkeep.processes').length > 0);
    await seer.until('a report', () => seer.statusOf('t')?.lastCrash);
    await other.until('a transition', () => other.of('@xstate.snapshot').length > 0);
    expect((await order(place, { order: 'restart', command: 's' })).status).toBe(202);
    await upkeep.event('command.running', 's', 2);
    await seer.until('the restart', () => seer.statusOf('s')?.starts === 2);
    const told = [...seer.texts, ...other.texts].join('\n');
    expect(told).toContain('***');
    for (const hidden of [secret, 'of-its-environment', place.token]) expect(told).not.toContain(hidden);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });

  test('whose secrets are words of its own is shown, ordered and recorded all the same', async (context) => {
    const port = await freePort();
    const inside = new Namespace(context);
    const path = join(inside.dir, 'record');
    const { upkeep } = await keep(
      context,
      (place) => `
commands:
  postgres:
    run: sh -c 'echo pin $FIRST; exec sleep 100000'
    secrets:
${Object.entries({ FIRST: '1000', SECOND: 'root', THIRD: 'type', FOURTH: 'postgres', FIFTH: 'running' })
  .map(([name, value]) => `      ${name}: {file: ${place.write(name, `${value}\n`, 0o600)}}\n`)
  .join('')}`,
      { within: inside, args: [`--inspect=${port}`, '--record', path] },
    );
    await upkeep.running('postgres');
    const place = await placeOf(upkeep);
    const seer = new Seer(place, context);
    seer.socket.on('open', () => seer.socket.send('{"type":"processes","wanted":true}'));
    await seer.until('the processes', () => seer.of('upkeep.processes').length > 0);
    await seer.until('its state', () => seer.statusOf('postgres')?.state === 'running');
    const answer = await order(place, { order: 'restart', command: 'postgres' });
    expect([answer.status, await answer.json()]).toMatchObject([202, { before: [{ name: 'postgres' }] }]);
    await seer.until('the restart', () => seer.statusOf('postgres')?.starts === 2);
    await upkeep.event('command.running', 'postgres', 2);
    for (const text of seer.texts) expect(() => JSON.parse(text), text).not.toThrow();
    const notSent = await order(place, { order: 'signal', command: 'postgres', signal: 'SIGFOO' });
    expect([notSent.status, await notSent.json()]).toMatchObject([400, { error: /SIGFOO: it is no signal/ }]);
    expect(upkeep.events('operator.ordered')).toMatchObject([{ order: 'restart', via: 'inspector' }]);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
    const recording = readRecording(path);
    expect(verify(recording).difference).toBeNull();
    expect(replay(recording).inside.names()).toEqual(['postgres']);
  });

  test('a port that is taken is told, harms nothing, and is tried again', async (context) => {
    const inside = new Namespace(context);
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    context.onTestFinished(() => void holder.close());
    const { port } = holder.address() as { port: number };
    const upkeep = await inside.upkeep([`web: ${STAYS}`], { args: [`--inspect=${port}`] });
    await upkeep.running('web');
    const said = await upkeep.until(
      'a word',
      () =>
        upkeep.events('upkeep.notice').find(({ message }) => /cannot show the inspector/.test(message)) ??
        null,
    );
    expect(said.message).toMatch(/at 127\.0\.0\.1:\d+: somebody listens there already; name another port/);
    holder.close();
    expect((await placeOf(upkeep)).port).toBe(port);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });

  test('a thousand commands, with one viewer that reads and one that sleeps: all are kept running', async (context) => {
    const inside = new Namespace(context);
    const names = Array.from({ length: 1_000 }, (_, index) => `c${index}`);
    const upkeep = await inside.upkeep(
      names.map((name) => `${name}: sleep 100000`),
      { args: [`--inspect=${await freePort()}`] },
    );
    const place = await placeOf(upkeep);
    const seer = new Seer(place, context);
    const sleeper = new Seer(place, context, '/');
    sleeper.socket.on('open', () => sleeper.socket.pause());
    const late = upkeep.event('command.running', 'c999').then(() => new Seer(place, context));
    for (const each of [seer, await late]) {
      await each.until('all in the fleet', () =>
        names.every((name) => each.statusOf(name)?.state === 'running'),
      );
      const actors = new Set(each.of('@xstate.actor').map(({ name }) => name));
      expect(names.filter((name) => !actors.has(`command:${name}`))).toEqual([]);
      // The definition of a command is large, and told once.
      const commands = each.of('@xstate.actor').filter(({ name }) => name.startsWith('command:'));
      expect(commands.filter(({ definition }) => definition !== undefined)).toHaveLength(1);
    }
    const [pid] = await upkeep.running('c500');
    await inside.end(pid!);
    await upkeep.event('command.running', 'c500', 2);
    await seer.until('the restart', () => seer.statusOf('c500')?.restarts === 1);
    sleeper.socket.resume();
    await sleeper.until('all actors', () => {
      const actors = new Set(sleeper.of('@xstate.actor').map(({ name }) => name));
      return names.every((name) => actors.has(`command:${name}`));
    });
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });
});

test('nothing of it is loaded without the option: it need not be there', async (context) => {
  const whole = dirname(inject('upkeep'));
  const without = mkdtempSync(join(dirname(whole), 'upkeep-uninspected-'));
  context.onTestFinished(() => rmSync(without, { recursive: true }));
  cpSync(whole, without, { recursive: true, filter: (path) => !/^inspector/.test(basename(path)) });
  expect(readdirSync(whole)).toContain('inspector.js');
  expect(readdirSync(without)).not.toContain('inspector.js');
  const words = ['--socket', join(without, 'sock'), '--log', 'json', '--no-adopt', 'web: exec sleep 100'];
  const child = spawn(process.execPath, [join(without, 'upkeep.js'), 'run', ...words]);
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (JSON.parse(line).event === 'command.running') child.kill('SIGTERM');
  });
  const [code] = await once(child, 'close');
  expect({ code, said }).toEqual({ code: 0, said: '' });
});
