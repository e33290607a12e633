import { expect, test } from 'vitest';
import { docker, run } from './docker.ts';
import { IMAGES } from './images.ts';

test('upkeep copied into an image without Node and without ps keeps its services running', async () => {
  // The node binary and upkeep's folder were copied in; npm and the rest of Node were not.
  for (const program of ['npm', 'ps']) {
    const { code } = await docker([
      'run',
      '--rm',
      '--entrypoint',
      'sh',
      IMAGES.anyImage,
      '-c',
      `command -v ${program}`,
    ]);
    expect(code, `${program} is not there`).not.toBe(0);
  }
  const box = await run(IMAGES.anyImage, [
    '--log',
    'json',
    '/etc/init.d/nginx start',
    '/etc/init.d/cron start',
  ]);
  const started = await box.until('upkeep up', async () => (await box.eventsOf('upkeep.started'))[0]);
  expect(started).toMatchObject({ pid: 1, table: 'procfs', lineage: 'tag' });
  for (const name of ['nginx', 'cron']) {
    const up = () => box.eventsOf('command.running', name);
    const first = await box.until(`${name} up`, async () => (await up())[0]);
    await box.must('sh', '-c', `kill -9 ${first.leader.pid}`);
    await box.until(`${name} up again`, async () => (await up())[1]);
  }
  expect((await box.stop()).code).toBe(0);
});

test('the image runs what it names when nothing is given', async () => {
  const box = await run(IMAGES.anyImage, []);
  for (const name of ['nginx', 'cron']) {
    await box.until(`${name} up`, async () =>
      new RegExp(`upkeep \\| ${name}: running: pid \\d+`).test(await box.log()),
    );
  }
  expect((await box.stop()).code).toBe(0);
});
