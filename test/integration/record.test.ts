/** What really happens is recorded, and the machines do it again. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, inject, test } from 'vitest';
import { type Recording, readRecording } from '../../src/inspector/recording.ts';
import { Namespace, noNamespace, noOtherUser, pause, until } from './namespace.ts';

const run = promisify(execFile);
const upkeep = (...words: string[]) =>
  run(process.execPath, [inject('upkeep'), ...words]).catch(
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
      code,
      stdout,
      stderr,
    }),
  );

const POLICY = `commands:
  web:
    run: ./web.sh
    ready: { file: ready, timeout: 30s, interval: 50ms }
    health: { exec: test ! -e sick, every: 100ms, timeout: 5s, failures: 2 }
    env: { PASSWORD_HINT: plain-hint }
    secrets: { PASSWORD: { file: secret.txt } }
  daemon: { run: ./daemon.sh --fork }
  double: { run: ./daemon.sh --double, requires: { web: ready } }
  once: { run: exit 3, kind: oneshot, retries: 2 }
groups:
  pair: { members: [daemon, double], strategy: one_for_all }
`;

/** Its probes alone fill a file in no time. */
const BUSY = `commands:
  web: { run: sleep 100000, health: { file: ready, every: 10ms } }
  two: { run: sleep 100000, health: { file: ready, every: 10ms } }
`;

function files(inside: Namespace): void {
  inside.install('daemon.sh', 'daemon.sh');
  inside.write('ready', '');
  inside.write('secret.txt', 'swordfish-4711\n', 0o600);
  inside.write('web.sh', '#!/bin/sh\necho "it is $PASSWORD"\nexec sleep 100000\n');
  inside.write('upkeep.yaml', POLICY);
}

const eventsOf = ({ parts }: Recording, type: string): number =>
  parts.flatMap(({ lines }) => lines).filter((line) => 'event' in line && line.event.type === type).length;

describe.skipIf(noNamespace)(`a recording of a real fleet ${noNamespace ?? ''}`, () => {
  test('with kills, orders and a reload: verified, and without its secret', async (context) => {
    const inside = new Namespace(context);
    files(inside);
    const path = join(inside.dir, 'record');
    const running = await inside.upkeep([], { args: ['--policy', 'upkeep.yaml', '--record', path] });
    const socket = join(inside.dir, 'sock');
    await running.running('web', 'daemon', 'double');
    await running.event('command.failed', 'once');
    for (let n = 1; n <= 5; n++) {
      for (const name of ['web', 'daemon'] as const) {
        const { leader } = running.events('command.running', name).at(-1)!;
        const before = running.events('command.running', name).length;
        inside.kill(leader.pid, 'SIGKILL');
        await running.event('command.running', name, before + 1);
      }
    }
    inside.write('sick', '');
    await running.event('command.unhealthy', 'web');
    await run('rm', [join(inside.dir, 'sick')]);
    expect(await upkeep('restart', '--socket', socket, 'web')).toMatchObject({ stderr: '' });
    inside.write('upkeep.yaml', POLICY.replace('retries: 2', 'retries: 3').replace('once:', 'another:'));
    running.signal('SIGHUP');
    await running.event('policy.reloaded');
    await running.event('command.failed', 'another');
    expect((await running.stop()).code).toBe(0);

    const verdict = await upkeep('inspect', '--verify', path);
    expect(verdict.stdout).toMatch(/^.*record: the same again: \d+ events reached \d+ machines/);
    expect(verdict).toMatchObject({ stderr: '' });
    const recording = readRecording(path);
    expect(recording.parts).toHaveLength(1);
    expect(eventsOf(recording, 'scan.changed')).toBeGreaterThan(10);
    expect(eventsOf(recording, 'probe.finished')).toBeGreaterThan(10);
    expect(eventsOf(recording, 'policy.changed')).toBe(1);
    const text = readFileSync(path, 'utf8');
    expect(text).not.toContain('swordfish');
    expect(text).not.toContain('plain-hint');
    const json = JSON.parse((await upkeep('inspect', '--verify', '--json', path)).stdout);
    expect(json).toMatchObject({ difference: null, lost: 0, parts: 1 });

    writeFileSync(path, text.replace('"state":"backoff"', '"state":"failed.ended"'));
    const altered = await upkeep('inspect', '--verify', path);
    expect(altered).toMatchObject({ code: 1 });
    expect(altered.stdout).toMatch(/: line \d+: recorded was command:\S+ in failed\.ended, but/);
  });

  test('of a probe whose answer is among the last lines that are read when its time is over', async (context) => {
    const inside = new Namespace(context);
    inside.write(
      'late.sh',
      '#!/bin/sh\nif test -e said; then exec sleep 100000; fi\ntouch began\nuntil test -e go; do sleep 0.1; done\necho it is ready\ntouch said\nexec sleep 100000\n',
    );
    inside.write(
      'upkeep.yaml',
      'commands: {late: {run: ./late.sh, settle: 50ms, ready: {log: it is ready, timeout: 4s}}}',
    );
    const path = join(inside.dir, 'record');
    const running = await inside.upkeep([], { args: ['--policy', 'upkeep.yaml', '--record', path] });
    const has = (name: string) => until(name, () => existsSync(join(inside.dir, name)));
    const failures = () => running.events('command.failedStart', 'late').length;
    for (let round = 1; failures() === 0 && round <= 20; round++) {
      await running.event('command.running', 'late', round);
      const since = performance.now();
      await has('began');
      // While it waits for news, it learns at once that the line is there and that the time is over, and of the time first. In the
      // midst of something else, or half a second late, it learns of the line first: then it is ready, and that is tried again.
      await until('its sleep', () => inside.process(running.pid)?.state === 'S');
      running.signal('SIGSTOP');
      writeFileSync(join(inside.dir, 'go'), '');
      await has('said');
      await until('the end of its time', () => performance.now() - since > 4_100);
      running.signal('SIGCONT');
      const ready = () => running.events('command.ready', 'late').length;
      await until('what comes of it', () => failures() > 0 || ready() === round);
      if (failures() > 0) break;
      await run(
        'rm',
        ['go', 'said', 'began'].map((name) => join(inside.dir, name)),
      );
      expect(
        await upkeep('restart', '--no-wait', '--socket', join(inside.dir, 'sock'), 'late'),
      ).toMatchObject({ stderr: '' });
    }
    expect(failures()).toBe(1);
    await until('another start', () => running.events('command.launched', 'late').length > 1);
    expect(await running.stop()).toMatchObject({ code: 0 });
    expect(await upkeep('inspect', '--verify', path)).toMatchObject({
      stdout: expect.stringContaining('the same again'),
    });
  });

  test('of a storm of kills, in a fleet that puts itself in the background, is verified', async (context) => {
    const inside = new Namespace(context);
    const daemon = inside.install('daemon.sh', 'storm');
    const path = join(inside.dir, 'record');
    const names = Array.from({ length: 24 }, (_, index) => `s${index}`);
    const running = await inside.upkeep(
      names.map((name, index) => `${name}: ${daemon} ${['', '--fork', '--double'][index % 3]}`),
      { args: ['--record', path] },
    );
    await running.running(...names);
    for (let kills = 0; kills < 150; ) {
      const alive = inside.named('storm');
      // Launchers and services alike, in no order.
      const victim = alive[(kills * 7) % Math.max(1, alive.length)];
      if (victim !== undefined && inside.kill(victim.pid, 'SIGKILL')) kills++;
      await pause(10);
    }
    expect((await running.stop()).code).toBe(0);
    const { stdout } = await upkeep('inspect', '--verify', '--json', path);
    expect(JSON.parse(stdout)).toMatchObject({ difference: null, lost: 0 });
    expect(JSON.parse(stdout).events).toBeGreaterThan(300);
  });

  test('of an upkeep that was killed is read up to there; the next one goes on in the same file', async (context) => {
    const inside = await new Namespace(context).idleInit();
    files(inside);
    const path = join(inside.dir, 'record');
    const words = { args: ['--policy', 'upkeep.yaml', '--record', path] };
    const first = await inside.upkeep([], words);
    await first.running('web', 'daemon', 'double');
    await until(
      'the recording',
      () => existsSync(path) && readFileSync(path, 'utf8').includes('running.ready'),
    );
    inside.kill(first.pid, 'SIGKILL');
    await first.ended();
    expect(await upkeep('inspect', '--verify', path)).toMatchObject({ stderr: '' });
    const second = await inside.upkeep([], words);
    await second.running('web', 'daemon', 'double');
    expect((await second.stop()).code).toBe(0);
    const verdict = await upkeep('inspect', '--verify', path);
    expect(verdict.stdout).toContain('the same again');
    expect(verdict.stdout).toContain('it has 2 parts');
  });

  test('is begun anew when it is full', async (context) => {
    const inside = new Namespace(context);
    files(inside);
    inside.write('upkeep.yaml', BUSY);
    const path = join(inside.dir, 'record');
    const running = await inside.upkeep([], {
      args: ['--policy', 'upkeep.yaml', '--record', path, '--record-size', '64k'],
    });
    await running.until('a third file', () => existsSync(`${path}.2`));
    expect((await running.stop()).code).toBe(0);
    for (const each of [path, `${path}.1`, `${path}.2`]) {
      const verdict = await upkeep('inspect', '--verify', each);
      expect(verdict.stdout, each).toContain('the same again');
    }
  });
});

describe.skipIf(noOtherUser)(`a recording on a disk that is full ${noOtherUser ?? ''}`, () => {
  test('is given up, told of, and gone on with when there is room', async (context) => {
    const inside = new Namespace(context);
    files(inside);
    inside.write('upkeep.yaml', BUSY);
    const disk = join(inside.dir, 'disk');
    const path = join(disk, 'record');
    await run('mkdir', [disk]);
    const mount = ['sh', '-ec', 'mount -t tmpfs -o size=64k none "$0"; exec "$@"', disk];
    const running = await inside.upkeep([], {
      args: ['--policy', 'upkeep.yaml', '--record', path],
      prefix: mount,
    });
    const inThere = async (...words: string[]): Promise<void> => {
      const [code] = await once(inside.run(words), 'exit');
      expect(code, words.join(' ')).toBe(0);
    };
    await running.running('web');
    const notices = (part: string) =>
      running.events('upkeep.notice').filter(({ message }) => message.includes(part));
    await running.until('that it is full', () => notices(`cannot record to ${path}: ENOSPC`).length > 0);
    const { leader } = running.events('command.running', 'web').at(-1)!;
    inside.kill(leader.pid, 'SIGKILL');
    await running.event('command.running', 'web', 2);
    await inThere('mount', '-o', 'remount,size=64m', disk);
    await running.until('that it goes on', () => notices('is written again').length > 0);
    await inThere('cp', path, join(inside.dir, 'copy'));
    expect((await running.stop()).code).toBe(0);
    const verdict = await upkeep('inspect', '--verify', join(inside.dir, 'copy'));
    expect(verdict.stdout).toContain('the same again');
    expect(verdict.stdout).toMatch(/\d+ lines? could not be written when it was recorded/);
    expect(notices('cannot record')).toHaveLength(1);
  });
});
