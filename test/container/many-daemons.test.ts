import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Container, run } from './docker.ts';
import { IMAGES } from './images.ts';
import { SERVICES, up, watch } from './services.ts';

const NAMES = Object.keys(SERVICES);

describe(`${NAMES.length} daemons of Debian in one container, each by its init script`, () => {
  let box: Container;
  let watched: ReturnType<typeof watch>;

  beforeAll(async () => {
    box = await run(IMAGES.daemons, ['--log', 'json', ...NAMES.map((name) => `/etc/init.d/${name} start`)]);
    watched = watch(box, NAMES);
  });

  afterAll(() => box?.remove());

  test('all come up', async () => {
    await up(box, NAMES, { seconds: 120 });
    expect(await box.eventsOf('command.failedStart')).toEqual([]);
    const running = await box.eventsOf('command.running');
    expect(running.filter(({ leader }) => leader.rule !== 'tag')).toEqual([]);
  });

  test('all leaders are killed at once: all come up again, and none was there twice', async () => {
    const before = Object.values(await up(box, NAMES));
    const from = performance.now();
    await box.must('sh', '-c', `kill -9 ${before.join(' ')}`);
    await up(box, NAMES, { not: before, seconds: 180 });
    console.log(`all up again after ${((performance.now() - from) / 1000).toFixed(1)} s`);

    for (const name of NAMES) {
      const deaths = await box.eventsOf('command.died', name);
      const first = deaths.find(({ id }) => before.includes(id.pid));
      expect(first?.exit, name).toMatchObject({ known: true, signal: 'SIGKILL' });
    }
    const { samples, most } = await watched.finish();
    console.log(`${samples} looks at the process table`);
    expect(most).toEqual(Object.fromEntries(NAMES.map((name) => [name, 1])));
    await box.until('no zombie', async () => (await box.processes()).every(({ state }) => state !== 'Z'), 5);
  });

  test('docker stop ends all of them, within the 10 s that Docker gives', async () => {
    const { code, took } = await box.stop();
    console.log(`docker stop took ${took} ms`);
    expect(code).toBe(0);
    const [end] = await box.eventsOf('supervisor.stopped');
    console.log(`of which upkeep ${Math.round(end!.took)} ms`);
    expect(end!.took).toBeLessThan(10_000);
    const stopped = await box.eventsOf('command.stopped');
    expect(stopped.map(({ command }) => command).sort()).toEqual([...NAMES].sort());
    expect(stopped.filter(({ left }) => left > 0)).toEqual([]);
  });
});
