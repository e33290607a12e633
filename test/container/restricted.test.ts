import { describe, expect, test } from 'vitest';
import { type Container, run } from './docker.ts';
import { IMAGES } from './images.ts';

// A daemon that puts itself in the background and needs nothing: no rights, no folder of its own.
const REDIS = 'redis-server --daemonize yes --save "" --logfile /dev/null --dir /tmp';

async function start(options: string[], ...commands: string[]) {
  const box = await run(IMAGES.daemons, ['--log', 'json', ...commands], options);
  await redisUp(box);
  return box;
}

const redisUp = (box: Container, not: number[] = []) =>
  box.until('redis-server up', async () => {
    const leader = (await box.eventsOf('command.running', 'redis-server')).at(-1)?.leader;
    const answers = (await box.exec('redis-cli', 'ping')).stdout.trim() === 'PONG';
    return answers && leader !== undefined && !not.includes(leader.pid) ? leader : null;
  });

/** It is killed and up again, the cause is known, and docker stop ends all in good order. */
async function comesBackAndStops(box: Container, { code = 0 } = {}) {
  const old = await redisUp(box);
  await box.must('sh', '-c', `kill -9 ${old.pid}`);
  await redisUp(box, [old.pid]);
  expect(await box.eventsOf('command.died', 'redis-server')).toMatchObject([
    { id: { pid: old.pid }, exit: { known: true, signal: 'SIGKILL' } },
  ]);
  const stopped = await box.stop();
  expect(stopped.code).toBe(code);
  expect((await box.eventsOf('supervisor.stopped'))[0]!.took).toBeLessThan(10_000);
}

describe('containers with less than usual', () => {
  test('--init: upkeep is not PID 1, and still adopts what puts itself in the background', async () => {
    const box = await start(['--init'], REDIS);
    const [started] = await box.eventsOf('upkeep.started');
    expect(started).toMatchObject({ reaping: 'subreaper', lineage: 'tag' });
    expect(started!.pid).not.toBe(1);
    await comesBackAndStops(box);
  });

  test('--user 1000: another user than root', async () => {
    const box = await start(['--user', '1000'], REDIS, 'cron: /usr/sbin/cron');
    const failure = await box.until(
      'cron fails',
      async () => (await box.eventsOf('command.failedStart', 'cron'))[0],
    );
    // It wants to be root, and says so; upkeep hands that on.
    expect(JSON.stringify(failure)).toMatch(/Permission denied/);
    await comesBackAndStops(box);
  });

  test('--read-only: nothing can be written, so no control socket, which is told', async () => {
    const box = await start(['--read-only'], REDIS);
    const notices = await box.eventsOf('upkeep.notice');
    expect(notices.map(({ message }) => message).join('\n')).toMatch(/no control socket.*EROFS.*--socket/);
    await comesBackAndStops(box);
  });

  test('--read-only with a place for the control socket: nothing to complain about', async () => {
    const box = await start(['--read-only', '--tmpfs', '/run'], REDIS);
    expect((await box.eventsOf('upkeep.notice')).filter(({ level }) => level === 'warn')).toEqual([]);
    expect((await box.exec('test', '-S', '/run/upkeep.sock')).code).toBe(0);
    await comesBackAndStops(box);
  });

  test('--cap-drop ALL: what needs no capability is kept running; what does says why not', async () => {
    const box = await start(['--cap-drop', 'ALL'], REDIS, 'memcached -d -u memcache');
    const failure = await box.until(
      'memcached fails',
      async () => (await box.eventsOf('command.failedStart', 'memcached'))[0],
    );
    expect(JSON.stringify(failure)).toMatch(/Operation not permitted/);
    await comesBackAndStops(box);
  });

  test('--cap-drop KILL: the processes of other users cannot be stopped, which is told, and is exit code 1', async () => {
    const box = await start(['--cap-drop', 'KILL'], REDIS, 'memcached -d -u memcache');
    await box.until('memcached up', async () => (await box.eventsOf('command.running', 'memcached'))[0]);
    await comesBackAndStops(box, { code: 1 });
    const notices = await box.eventsOf('upkeep.notice', 'memcached');
    expect(notices.map(({ message }) => message).join('\n')).toMatch(/cannot send SIGTERM.*EPERM.*CAP_KILL/);
    expect((await box.eventsOf('supervisor.stopped'))[0]).toMatchObject({ code: 1, left: 1 });
  });

  test('--pids-limit: without a process to be had, upkeep waits and says so; later it is up again', async () => {
    const box = await start(['--pids-limit', '60'], REDIS);
    const old = await redisUp(box);
    const hog = box.insideUntilFinished<{ taken: number }>('exhaust', String(old.pid));
    const failure = await box.until(
      'a start fails',
      async () => (await box.eventsOf('command.failedStart', 'redis-server'))[0],
    );
    expect(failure.reason).toMatch(/EAGAIN|[Rr]esource temporarily unavailable/);
    expect((await hog.finish()).taken).toBeGreaterThan(10);
    await redisUp(box, [old.pid]);
    expect((await box.stop()).code).toBe(0);
  });
});
