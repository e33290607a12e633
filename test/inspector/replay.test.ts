import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { statusOf } from '../../src/control/status.ts';
import { runInspect } from '../../src/inspector/inspect.ts';
import { differenceText, replay } from '../../src/inspector/replay.ts';
import { status } from '../machines/harness.ts';
import { command } from '../machines/supervisor-world.ts';
import { folder, record, written } from './helpers.ts';

async function incident(size = Number.POSITIVE_INFINITY) {
  const recorded = record({ commands: [command('a'), command('b', { requires: { a: 'started' } })] }, [], {
    size,
  });
  recorded.world.advance(1_000);
  recorded.recorder.told({ type: 'upkeep.notice', at: 1_000, command: null, level: 'warn', message: 'look' });
  recorded.world.broken.add('a');
  recorded.world.die('a', status(3));
  recorded.world.advance(4_000);
  await written(recorded);
  recorded.world.broken.delete('a');
  recorded.world.advance(5_000);
  return { ...recorded, recording: await recorded.end() };
}

describe('a replay', () => {
  test('shows what was at a time, and what had happened until then', async () => {
    const { recording } = await incident();
    const before = replay(recording, { until: 999 });
    expect(statusOf(before.inside, null).commands).toMatchObject([
      { name: 'a', state: 'running', restarts: 0 },
      { name: 'b', state: 'running' },
    ]);
    expect(before.time()).toBe(999);
    const entries = (of: typeof before) => of.inside.journal.since(0).entries;
    expect(entries(before).some(({ what }) => what.type === 'command.died')).toBe(false);

    const within = replay(recording, { until: 3_000 });
    const [a] = statusOf(within.inside, ['a']).commands;
    expect(a).toMatchObject({ state: 'backoff', desired: 'up', lastExit: { code: 3 } });
    expect(a!.next).toMatchObject({ what: 'retry' });
    expect(within.inside.crashesOf('a')[0]).toMatchObject({ event: 'command.died', exit: { code: 3 } });
    const died = entries(within).find(({ what }) => what.type === 'command.died')!;
    expect(died.time).toBeGreaterThanOrEqual(1_000);
    expect(died.time).toBeLessThan(1_010);
    expect(entries(within).some(({ what }) => what.type === 'upkeep.notice')).toBe(true);

    // Going on is the same as having gone there.
    within.advance(Number.POSITIVE_INFINITY);
    const end = replay(recording);
    expect(statusOf(within.inside, null).commands).toEqual(statusOf(end.inside, null).commands);
    expect(entries(within)).toEqual(entries(end));
    expect(end.differs()).toBeNull();
  });

  test('shows XState everything from the first actor on', async () => {
    const { recording } = await incident();
    const seen: string[] = [];
    const { root } = replay(recording, {
      until: 0,
      inspect: ({ type, actorRef }) => void seen.push(`${type} ${(actorRef as { id?: string }).id}`),
    });
    expect(seen[0]).toBe(`@xstate.actor ${root.id}`);
    expect(root.getSnapshot().value).toBe('supervising');
  });

  test('of a file that upkeep has begun while it ran has every state, and since when', async () => {
    const recorded = record({ commands: [command('a'), command('b')] }, [], { size: 1 });
    while (!existsSync(`${recorded.path}.1`)) {
      recorded.world.advance(60_000);
      recorded.world.die('b');
      await written(recorded);
    }
    const recording = await recorded.end();
    const shown = replay(recording);
    expect(recording.parts[0]!.header.start).toHaveProperty('root');
    const [a] = statusOf(shown.inside, ['a']).commands;
    expect(a).toMatchObject({ state: 'running', starts: 1 });
    expect(a!.for).toBeGreaterThan(50_000);
    // What was there at the beginning is no news.
    const began = replay(recording, { until: recording.from });
    expect(began.inside.journal.since(0).entries).toEqual([]);
    expect(began.inside.viewOf('a')!.state).toBe('running.ready');
  });
});

describe('upkeep inspect --verify', () => {
  test('says that it is the same, in numbers', async () => {
    const { path } = await incident();
    const { code, text } = await runInspect(['--verify', path]);
    expect(text).toMatch(
      /: the same again: \d+ events reached 4 machines, and \d+ transitions and \d+ effects came of them\n$/,
    );
    expect(code).toBe(0);
    expect(JSON.parse((await runInspect(['--verify', '--json', path])).text)).toMatchObject({
      version: 1,
      machines: 4,
      difference: null,
    });
  });

  test('says where it differs first', async () => {
    const { path, recording } = await incident();
    const text = readFileSync(path, 'utf8').replace('"state":"backoff"', '"state":"stopped"');
    writeFileSync(path, text);
    const found = await runInspect(['--verify', path]);
    expect(found.code).toBe(1);
    expect(found.text).toMatch(
      /: line \d+: recorded was command:a in stopped, but the machines came to command:a in backoff\n$/,
    );
    expect(recording.parts).toHaveLength(1);
    expect(differenceText({ line: 3, recorded: 'x', replayed: 'y' })).toBe(
      'line 3: recorded was x, but the machines came to y',
    );
  });

  test.each([
    ['of the beginning', Number.POSITIVE_INFINITY],
    ['of what ran already', 1],
  ])('whatever a file %s has become, there is an answer', async (_, size) => {
    const { path } = await incident(size);
    const text = readFileSync(path, 'utf8');
    const tokens = [...text.matchAll(/"[\w.:#/]+"|\d+|null|true|false/g)].map(({ index }) => index);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...tokens),
        fc.constantFrom('null', '7', '"x"', '{}', '[]', '-1e9'),
        async (at, instead) => {
          const token = /^(?:"[^"]*"|\w+)/.exec(text.slice(at))![0];
          writeFileSync(path, text.slice(0, at) + instead + text.slice(at + token.length));
          expect([0, 1, 78]).toContain((await runInspect(['--verify', path])).code);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('refuses what is no recording, and what it is not told', async () => {
    const path = join(folder(), 'f');
    writeFileSync(path, 'x');
    expect(await runInspect(['--verify', path])).toMatchObject({ code: 78 });
    expect((await runInspect(['--verify', join(path, 'none')])).code).toBe(78);
    expect(await runInspect([path])).toMatchObject({ code: 78 });
    expect(await runInspect(['--json', path])).toMatchObject({ code: 64 });
    expect(await runInspect(['--port', '0', path])).toMatchObject({ code: 64 });
    expect(await runInspect(['--verify', '--port=1', path])).toMatchObject({ code: 64 });
    expect((await runInspect(['--verify'])).text).toContain('cannot inspect: no file is given');
    expect((await runInspect(['--verfy', path])).text).toContain('did you mean --verify?');
    expect(await runInspect(['--help'])).toMatchObject({ code: 0 });
  });
});
