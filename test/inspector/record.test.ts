/** Whatever happens is recorded, and the machines do it again. */
import { existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseRecording, type Recording, readRecording } from '../../src/inspector/recording.ts';
import { replay } from '../../src/inspector/replay.ts';
import { verify, verifyInTurns } from '../../src/inspector/verify.ts';
import { createRedactor, redact } from '../../src/process/environment.ts';
import { killedBy, status } from '../machines/harness.ts';
import { command, group, oneshot, type WorldOptions } from '../machines/supervisor-world.ts';
import { folder, record, written } from './helpers.ts';

const HEALTH = { every: 40, timeout: 5_000, failures: 2, successes: 2, grace: 0 };

function fleet(strategy: 'one_for_one' | 'one_for_all' | 'rest_for_one'): WorldOptions {
  return {
    groups: [
      group('g', strategy, [
        command('a'),
        command('b', { policy: { health: { ...HEALTH, onUnhealthy: 'restart' } } }),
        group('inner', 'one_for_all', [command('c', { requires: { a: 'started' } })]),
      ]),
    ],
    commands: [
      command('d', { after: ['a'], policy: { ready: { timeout: 1_000, interval: 5 } } }),
      oneshot('e'),
      command('f', { policy: { giveUpAfter: 2 } }),
    ],
  };
}
const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'] as const;

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 300 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('die', 'kill', 'start', 'stop', 'restart', 'break', 'mend'),
      name: fc.constantFrom(...NAMES),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('reload', 'shutdown') }) },
);
type Step = { readonly do: string; readonly ms?: number; readonly name?: string };

function perform({ world: w }: ReturnType<typeof record>, each: Step, options: WorldOptions): void {
  const { name = '' } = each;
  if (w.output() !== null) return;
  switch (each.do) {
    case 'advance':
      w.advance(each.ms!);
      break;
    case 'die':
      w.die(name, status(1));
      break;
    case 'kill':
      w.die(name, killedBy('SIGKILL'));
      break;
    case 'break':
      w.broken.add(name);
      break;
    case 'mend':
      w.broken.delete(name);
      break;
    case 'reload':
      w.reload({ ...options, commands: options.commands!.slice(1) }, { adjusted: ['a'], restarted: ['b'] });
      break;
    case 'shutdown':
      w.shutdown();
      break;
    case 'start':
    case 'stop':
    case 'restart':
      w[each.do](name);
  }
}

describe('what was recorded', () => {
  test('is done again by the machines, whatever it was', async () => {
    const seen = { events: 0, transitions: 0, effects: 0 };
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.constantFrom('one_for_one', 'one_for_all', 'rest_for_one'),
        fc.subarray([...NAMES]),
        async (steps, strategy, found) => {
          const options = fleet(strategy as 'one_for_one');
          const recorded = record(
            options,
            found.filter((name) => name !== 'e'),
          );
          for (const each of steps) perform(recorded, each, options);
          const verdict = verify(await recorded.end());
          expect(verdict.difference).toBeNull();
          expect(recorded.notices).toEqual([]);
          for (const key of ['events', 'transitions', 'effects'] as const) seen[key] += verdict[key];
        },
      ),
      { numRuns: 100 },
    );
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(1_000);
  });

  test('can be replayed from the beginning of every file, however often one is begun', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
        const options = fleet('one_for_all');
        const recorded = record(options, [], { size: 1_000 });
        for (const each of steps) {
          perform(recorded, each, options);
          await written(recorded);
        }
        await recorded.end();
        for (const path of ['', '.1', '.2', '.3', '.4'].map((end) => recorded.path + end)) {
          if (!existsSync(path)) continue;
          const verdict = verify(readRecording(path));
          expect(verdict.difference, path).toBeNull();
        }
      }),
      { numRuns: 30 },
    );
  });

  test('goes on from part to part, with all that machines have in their books', async () => {
    let parts = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
        const options = fleet('rest_for_one');
        const recorded = record(options, [], { part: 1 });
        for (const each of steps) {
          perform(recorded, each, options);
          await written(recorded);
        }
        const recording = await recorded.end();
        expect(verify(recording).difference).toBeNull();
        parts = Math.max(parts, recording.parts.length);
        const second = recording.parts[1];
        if (second === undefined) return;
        const altered = readFileSync(recorded.path, 'utf8')
          .split('\n')
          .map((line, index) =>
            index + 1 === second.line ? line.replace('"restarts":', '"restarts":7') : line,
          );
        const { difference } = verify(parseRecording(altered.join('\n'), 'f'));
        expect(difference).toMatchObject({ line: second.line });
        expect(difference!.recorded).toMatch(/(?:^restarts of .* as |"restarts":)7/);
        // What was told before the part that is shown is known as well.
        const told = (of: Recording): number =>
          replay(of)
            .inside.journal.since(0)
            .entries.filter(({ what }) => what.type !== 'command.transition').length;
        const whole = recording.parts.flatMap(({ lines }) => lines);
        expect(told(recording)).toBe(whole.filter((line) => 'did' in line && line.did === 'tell').length);
      }),
      { numRuns: 30 },
    );
    expect(parts).toBeGreaterThan(1);
  });

  test('is rotated by size, and four full files are kept', async () => {
    const recorded = record(fleet('one_for_one'), [], { size: 1_000 });
    while (!existsSync(`${recorded.path}.4`)) {
      recorded.world.die('a');
      recorded.world.advance(1_000);
      await written(recorded);
    }
    // While files change their names there may be none.
    const oldest = (): string | null => {
      try {
        return readFileSync(`${recorded.path}.4`, 'utf8');
      } catch {
        return null;
      }
    };
    let first = oldest();
    while (first === null || oldest() === null || oldest() === first) {
      first ??= oldest();
      recorded.world.die('a');
      recorded.world.advance(1_000);
      await written(recorded);
    }
    await recorded.end();
    expect(existsSync(`${recorded.path}.5`)).toBe(false);
    const { parts } = readRecording(`${recorded.path}.1`);
    expect(parts).toHaveLength(1);
    expect(parts[0]!.header.start).toHaveProperty('root');
    expect(parts[0]!.lines.length).toBeGreaterThan(10);
    expect(verify(readRecording(`${recorded.path}.1`)).difference).toBeNull();
  });

  test('is found to differ when somebody has changed it', async () => {
    const recorded = record(fleet('one_for_one'));
    recorded.world.advance(200);
    recorded.world.die('f', status(1));
    recorded.world.advance(500);
    recorded.world.broken.add('f');
    recorded.world.die('f', status(1));
    recorded.world.advance(3_000);
    recorded.world.shutdown();
    while (recorded.world.output() === null) recorded.world.advance(1);
    await recorded.end();
    const text = readFileSync(recorded.path, 'utf8');
    expect(verify(parseRecording(text, 'f')).difference).toBeNull();
    const looked: number[] = [];
    const inTurns = await verifyInTurns(parseRecording(text, 'f'), (done) => looked.push(done));
    expect(inTurns).toEqual(verify(parseRecording(text, 'f')));
    const lines = text.trimEnd().split('\n');
    expect(looked).toEqual(
      Array.from({ length: Math.floor((lines.length - 2) / 100) }, (_, n) => (n + 1) * 100),
    );
    // What follows the last event may not have been written any more.
    const last = lines.findLastIndex((line) => line.includes('"to":'));
    let idle = 0;
    for (let n = 1; n < last; n += 2) {
      const without = lines.toSpliced(n, 1).join('\n');
      const { difference } = verify(parseRecording(without, 'f'));
      if (lines[n]!.includes('"to":')) idle += difference === null ? 1 : 0;
      else expect(difference, lines[n]).not.toBeNull();
    }
    // Counts that nobody waits for can be missing.
    expect(idle).toBeLessThan(lines.length / 10);
    // Whatever time is another than it was, and whatever was told.
    for (let n = 1; n < last; n += 3) {
      for (const key of ['at', 'time'] as const) {
        const line = JSON.parse(lines[n]!);
        const altered = lines.with(n, JSON.stringify({ ...line, [key]: line[key] + 1 })).join('\n');
        const { difference } = verify(parseRecording(altered, 'f'));
        // When something came from outside nobody else knows, unless something has come of it.
        if (!lines[n]!.includes('"to":')) expect(difference, `${key} of ${lines[n]}`).not.toBeNull();
      }
    }
    const dead = lines.findIndex((line) => line.includes('leader.exited'));
    const altered = lines.with(dead, lines[dead]!.replace('"code":1', '"code":0'));
    const { difference } = verify(parseRecording(altered.join('\n'), 'f'));
    expect(difference).toMatchObject({ line: expect.any(Number) });
    expect(difference!.line).toBeGreaterThan(dead);
    expect(difference!.recorded).not.toBe(difference!.replayed);
  });

  test('is found to differ where what the log was told is not what the machines have told', async () => {
    const recorded = record(fleet('one_for_one'));
    recorded.world.advance(200);
    recorded.world.die('f', status(1));
    recorded.world.advance(500);
    await recorded.end();
    const lines = readFileSync(recorded.path, 'utf8').trimEnd().split('\n');
    const at = lines.findIndex((line) => line.includes('"did":"tell"') && line.includes('command.died'));
    const { of: _, did: __, with: telling, ...timed } = JSON.parse(lines[at]!);
    const told = (change: object): string =>
      lines
        .toSpliced(
          at + 1,
          0,
          JSON.stringify({ ...timed, told: { at: timed.at, ...telling, oom: true, peak: 9, ...change } }),
        )
        .join('\n');
    expect(verify(parseRecording(told({}), 'f')).difference).toBeNull();
    const notice = JSON.stringify({
      ...timed,
      told: { at: timed.at, type: 'upkeep.notice', command: 'f', level: 'warn', message: 'x' },
    });
    expect(
      verify(
        parseRecording(
          told({})
            .split('\n')
            .toSpliced(at + 1, 0, notice)
            .join('\n'),
          'f',
        ),
      ).difference,
    ).toBeNull();
    expect(verify(parseRecording(told({ uptime: 7 }), 'f')).difference).toMatchObject({ line: at + 2 });
    expect(verify(parseRecording(told({ type: 'command.healthy' }), 'f')).difference).toMatchObject({
      line: at + 2,
      recorded: 'command.healthy told',
    });
  });

  test('of version 1, where each line had its own time, is replayed, and its times rise', async () => {
    const recorded = record(fleet('one_for_one'));
    recorded.world.advance(200);
    recorded.world.die('f', status(1));
    recorded.world.advance(500);
    await recorded.end();
    const lines = readFileSync(recorded.path, 'utf8').trimEnd().split('\n');
    const old = lines.map((line, n) => {
      const { at, ...rest } = JSON.parse(line);
      return JSON.stringify({ ...rest, ...(n === 0 && { version: 1 }), at: at + n / 1e6 });
    });
    expect(verify(parseRecording(old.join('\n'), 'f')).difference).toBeNull();
    const { at, ...rest } = JSON.parse(old[9]!);
    const back = old.with(9, JSON.stringify({ ...rest, at: at - 1_000 }));
    expect(verify(parseRecording(back.join('\n'), 'f')).difference).toMatchObject({ line: 10 });
  });

  test('has no secret in it, and is replayed all the same', async () => {
    const secret = 'swordfish"99';
    const known = [secret, JSON.stringify(secret).slice(1, -1)];
    const recorded = record(fleet('one_for_one'), [], { redact: (text) => redact(text, known) });
    recorded.world.advance(100);
    recorded.recorder.told({
      type: 'upkeep.notice',
      at: recorded.world.clock.now(),
      command: 'a',
      level: 'warn',
      message: `the password is ${secret}, and the inspector is at http://127.0.0.1:9777/#token=ab-c_d; others`,
    });
    recorded.world.root.send({
      type: 'shutdown.ordered',
      at: recorded.world.clock.now(),
      reason: `by ${secret}`,
    });
    while (recorded.world.output() === null) recorded.world.advance(1);
    const recording = await recorded.end();
    const text = readFileSync(recorded.path, 'utf8');
    expect(text).not.toContain('swordfish');
    expect(text).toContain(
      'the password is ***, and the inspector is at http://127.0.0.1:9777/#token=***; others',
    );
    expect(text).toContain('"reason":"by ***"');
    expect(verify(recording).difference).toBeNull();
  });
});

test('whatever word of it is a secret, it can be read and is replayed', async () => {
  const recordWith = async (secrets: readonly string[], isEarly: boolean) => {
    const redactor = createRedactor((text) => ['alpha', 'beta', 'gamma', 'shop'].includes(text));
    const learn = (): void => redactor.learn(secrets);
    if (isEarly) learn();
    const recorded = record(
      {
        groups: [
          group('shop', 'one_for_all', [
            command('alpha', { policy: { health: { ...HEALTH, onUnhealthy: 'restart' } } }),
            command('beta', { requires: { alpha: 'started' }, policy: { giveUpAfter: 2 } }),
          ]),
        ],
        commands: [oneshot('gamma')],
      },
      [],
      { redact: redactor.redact, redactValue: redactor.redactValue, part: 1 },
    );
    await written(recorded);
    learn();
    recorded.world.advance(100);
    recorded.world.die('alpha');
    recorded.world.advance(500);
    await written(recorded);
    recorded.world.broken.add('beta');
    recorded.world.die('beta', status(3));
    recorded.world.advance(20_000);
    await written(recorded);
    recorded.world.root.send({
      type: 'shutdown.ordered',
      at: recorded.world.clock.now(),
      reason: 'an order',
    });
    while (recorded.world.output() === null) recorded.world.advance(1);
    return recorded.end();
  };
  const words = new Set<string>();
  const collect = (value: unknown): void => {
    if (typeof value === 'string') for (const word of [value, ...value.split(/[^\w-]+/)]) words.add(word);
    if (typeof value !== 'object' || value === null) return;
    for (const [key, each] of value instanceof Map ? value : Object.entries(value)) {
      collect(key);
      collect(each);
    }
    if (value instanceof Set) for (const each of value) collect(each);
  };
  const plain = await recordWith([], true);
  expect(plain.parts.length).toBeGreaterThan(2);
  collect(plain);
  const long = [...words].filter(({ length }) => length >= 4);
  // Each alone would be better, and takes a minute; all at once hide as much.
  for (const isEarly of [true, false]) {
    const recording = await recordWith(long, isEarly);
    expect(verify(recording).difference).toBeNull();
    expect(recording.parts.map(({ lines }) => lines.length)).toEqual(
      plain.parts.map(({ lines }) => lines.length),
    );
  }
});

describe('when it cannot be written', () => {
  test('fast enough, lines are lost, counted and told, and a new part begins', async () => {
    const recorded = record(fleet('one_for_one'), [], { most: 100_000 });
    await written(recorded);
    for (let n = 0; n < 500; n++) {
      recorded.world.die('a');
      recorded.world.advance(1_000);
    }
    while (recorded.notices.length === 0) await written(recorded);
    expect(recorded.notices[0]).toMatch(
      /^\d+ lines were lost: the recording .* could not be written fast enough$/,
    );
    recorded.world.die('b');
    recorded.world.advance(1_000);
    const recording = await recorded.end();
    expect(recording.parts).toHaveLength(2);
    expect(recording.parts[1]!.header.lost).toBeGreaterThan(10);
    expect(recording.parts[1]!.lines.length).toBeGreaterThan(3);
    const verdict = verify(recording);
    expect(verdict.difference).toBeNull();
    expect(verdict.lost).toBe(recording.parts[1]!.header.lost);
  });

  test('it is told once, it is tried again, and the rest is recorded', async () => {
    const place = folder();
    const path = join(place, 'record');
    const target = join(place, 'elsewhere');
    symlinkSync(target, path);
    const recorded = record(fleet('one_for_one'), [], { path, retry: 1 });
    while (recorded.notices.length === 0) await written(recorded);
    recorded.world.die('a');
    recorded.world.advance(1_000);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(recorded.notices).toEqual([
      `cannot record to ${path}: it is a symbolic link; name the file that it leads to. Nothing else suffers, and it is tried again`,
    ]);
    const { unlinkSync } = await import('node:fs');
    unlinkSync(path);
    while (recorded.notices.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(recorded.notices[1]).toMatch(/ is written again; \d+ lines were lost$/);
    recorded.world.die('b');
    recorded.world.advance(1_000);
    const verdict = verify(await recorded.end());
    expect(verdict).toMatchObject({ parts: 1, difference: null });
    expect(verdict.lost).toBeGreaterThan(0);
    expect(verdict.events).toBeGreaterThan(0);
    expect(existsSync(target)).toBe(false);
  });

  test('nothing but a recording is written on', async () => {
    const path = join(folder(), 'upkeep.yaml');
    writeFileSync(path, 'commands: {}\n');
    const recorded = record(fleet('one_for_one'), [], { path });
    while (recorded.notices.length === 0) await written(recorded);
    expect(recorded.notices[0]).toMatch(/it is something else than a recording; name another file/);
    await recorded.recorder.close(60_000);
    expect(readFileSync(path, 'utf8')).toBe('commands: {}\n');
  });

  test.each([
    ['cut in its first line', (text: string) => text.slice(0, 200)],
    ['cut right after it has begun', (text: string) => text.slice(0, 5)],
    ['of another version', (text: string) => text.replace('"version":2', '"version":1')],
    ['cut, and gone on with', (text: string) => `${text.slice(0, 200)}\n${text}`],
  ])('what is %s is put aside', async (_, change) => {
    const first = record(fleet('one_for_one'));
    first.world.advance(100);
    await first.end();
    const before = change(readFileSync(first.path, 'utf8'));
    writeFileSync(first.path, before);
    const second = record(fleet('one_for_one'), [], { path: first.path });
    second.world.advance(100);
    expect(verify(await second.end())).toMatchObject({ parts: 1, cut: [], difference: null });
    expect(readFileSync(`${first.path}.1`, 'utf8')).toBe(before);
    expect(second.notices).toEqual([
      expect.stringMatching(
        /^the recording that was there is .*: (.*) is \1\.1 now, and another file is begun$/,
      ),
    ]);
  });

  test('nobody but its owner can read it, whoever has made it', async () => {
    const path = join(folder(), 'record');
    writeFileSync(path, '', { mode: 0o644 });
    const recorded = record(fleet('one_for_one'), [], { path });
    await recorded.end();
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('a later upkeep goes on behind a line that was cut', async () => {
    const first = record(fleet('one_for_one'));
    first.world.advance(100);
    await first.end();
    const whole = readFileSync(first.path, 'utf8');
    writeFileSync(first.path, whole.slice(0, -20));
    const second = record(fleet('one_for_one'), [], { path: first.path });
    second.world.advance(100);
    const recording = await second.end();
    expect(recording.parts).toHaveLength(2);
    expect(recording.cut).toHaveLength(1);
    expect(verify(recording)).toMatchObject({ parts: 2, difference: null });
  });
});
