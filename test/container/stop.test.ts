import { expect, test } from 'vitest';
import { docker, dockerOk, run } from './docker.ts';
import { IMAGES } from './images.ts';
import { up } from './services.ts';

const STUBBORN = `stubborn: trap '' TERM; while :; do sleep 1; done`;

test('docker stop: each service is stopped in its own way, in under 3 s, and the exit code is 0', async () => {
  const names = ['apache2', 'ssh', 'postgresql', 'mariadb', 'redis-server', 'nginx', 'cron'];
  const commands = names.map((name) => `/etc/init.d/${name} start`);
  const box = await run(IMAGES.daemons, ['--log', 'json', ...commands, 'tail: tail -f /dev/null']);
  await up(box, names);
  await box.until('tail up', async () => (await box.eventsOf('command.running', 'tail'))[0]);

  const { code, took } = await box.stop();
  console.log(`docker stop took ${took} ms`);
  expect(code).toBe(0);
  expect(took).toBeLessThan(3000);
  for (const name of names) {
    expect((await box.eventsOf('command.stopping', name))[0]!.how).toBe('its own stop command');
    expect((await box.eventsOf('command.stopped', name))[0], name).toMatchObject({ left: 0 });
  }
  expect((await box.eventsOf('command.stopping', 'tail'))[0]!.how).toBe('SIGTERM');
  expect((await box.eventsOf('command.stopped', 'tail'))[0]).toMatchObject({ exit: { signal: 'SIGTERM' } });

  // What they say themselves: a tar archive holds its files as they are.
  const postgres = await docker(['cp', `${box.id}:/var/log/postgresql`, '-']);
  expect(postgres.stdout.trimEnd()).toMatch(/database system is shut down[\s\0]*$/);
  const stopped = await box.eventsOf('supervisor.stopped');
  expect(stopped).toMatchObject([{ code: 0, left: 0 }]);
});

test('a service that ignores SIGTERM is killed within the 9 s, and the others need not wait for it', async () => {
  const box = await run(IMAGES.upkeep, ['--log', 'json', STUBBORN, 'tail: tail -f /dev/null']);
  await box.until('both up', async () => (await box.eventsOf('command.running')).length === 2);
  const { code, took } = await box.stop();
  console.log(`docker stop took ${took} ms`);
  expect(code).toBe(0);
  expect((await box.eventsOf('supervisor.stopped'))[0]!.took).toBeLessThan(10_000);
  const [tail] = await box.eventsOf('command.stopped', 'tail');
  const [stubborn] = await box.eventsOf('command.stopped', 'stubborn');
  expect(stubborn).toMatchObject({ exit: { signal: 'SIGKILL' }, left: 0 });
  expect(stubborn!.took).toBeGreaterThan(tail!.took + 5000);
});

test('a second SIGTERM kills at once', async () => {
  const box = await run(IMAGES.upkeep, ['--log', 'json', STUBBORN]);
  await box.until('it is up', async () => (await box.eventsOf('command.running'))[0]);
  await dockerOk(['kill', '--signal', 'TERM', box.id]);
  await box.until('it is stopping', async () => (await box.eventsOf('command.stopping'))[0]);
  const from = performance.now();
  await dockerOk(['kill', '--signal', 'TERM', box.id]);
  const { code } = await box.ended(5);
  console.log(`ended ${Math.round(performance.now() - from)} ms after the second SIGTERM`);
  expect(code).toBe(0);
  expect((await box.eventsOf('command.stopped'))[0]).toMatchObject({ left: 0 });
});

test('docker restart: everything is up again, whatever the first life left behind', async () => {
  const names = ['nginx', 'redis-server', 'postgresql', 'ssh'];
  const box = await run(IMAGES.daemons, [
    '--log',
    'json',
    ...names.map((name) => `/etc/init.d/${name} start`),
  ]);
  await up(box, names);
  await dockerOk(['kill', box.id]);
  await dockerOk(['start', box.id]);
  await box.until('a second life', async () => (await box.eventsOf('upkeep.started')).length === 2);
  await up(box, names);
  expect(await box.eventsOf('command.failedStart')).toEqual([]);
});
