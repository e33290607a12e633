import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Container, run } from './docker.ts';
import { IMAGES } from './images.ts';
import { leaders, SERVICES, up, watch } from './services.ts';

// Daemons of Debian, each given by its init script and nothing else; one by way of `service`.
const NAMES = ['nginx', 'redis-server', 'postgresql', 'mariadb', 'cron'];
const COMMANDS = NAMES.map((name) => (name === 'cron' ? 'service cron start' : `/etc/init.d/${name} start`));

describe('services given by their init scripts', () => {
  let box: Container;
  let watched: ReturnType<typeof watch>;

  beforeAll(async () => {
    box = await run(IMAGES.daemons, ['--log', 'json', ...COMMANDS]);
    watched = watch(box, NAMES);
    await up(box, NAMES);
  });

  afterAll(() => box?.remove());

  test('each leader is known by its tag, and is the one that one would name', async () => {
    const running = await box.eventsOf('command.running');
    expect(running.map(({ command, leader }) => `${command} ${leader.rule}`).sort()).toEqual(
      NAMES.map((name) => `${name} tag`).sort(),
    );
  });

  describe.each(NAMES)('%s', (name) => {
    test.each(['SIGKILL', 'SIGSEGV', 'SIGTERM'])(
      'is up again after %s, and the log tells how it ended',
      async (signal) => {
        const { [name]: old } = await up(box, [name]);
        // mysqld_safe ignores SIGTERM: who stops it that way stops what it watches.
        const all = await box.processes();
        const target =
          name === 'mariadb' && signal === 'SIGTERM'
            ? all.find(({ comm }) => comm === 'mariadbd')!.pid
            : old!;
        await box.must('kill', `-${signal.slice(3)}`, String(target));

        const died = await box.until('its death in the log', async () => {
          const deaths = await box.eventsOf('command.died', name);
          return deaths.find(({ id }) => id.pid === old);
        });
        expect(died.exit.known).toBe(true);
        if (signal !== 'SIGTERM') expect(died.exit.signal).toBe(signal);
        // A daemon that ends in good order on SIGTERM has a status instead.
        else expect(died.exit.signal ?? died.exit.code).toSatisfy((how) => how === 'SIGTERM' || how === 0);
        expect(died.message).toContain(`pid ${old}`);
        await up(box, [name], { not: [old!] });
      },
    );
  });

  test('there were never two leaders of one service, and nobody else was touched', async () => {
    const { samples, most } = await watched.finish();
    console.log(`${samples} looks at the process table`);
    expect(most).toEqual(Object.fromEntries(NAMES.map((name) => [name, 1])));
    for (const name of NAMES) expect(await box.eventsOf('command.died', name)).toHaveLength(3);
    const all = await box.until('no zombie', async () => {
      const seen = await box.processes();
      return seen.every(({ state }) => state !== 'Z') ? seen : null;
    });
    for (const name of NAMES) expect(leaders(all, SERVICES[name]!)).toHaveLength(1);
  });
});
