import { beforeAll, describe, expect, test } from 'vitest';
import { type Container, run } from './docker.ts';
import { IMAGES } from './images.ts';

const BROKEN: Readonly<Record<string, { command: string; says: RegExp }>> = {
  missing: { command: '/no/such/program', says: /\/no\/such\/program.*no such program.*ENOENT/ },
  refused: { command: '/etc/hostname', says: /\/etc\/hostname.*not executable.*EACCES/ },
  fails: { command: 'false', says: /status 1/ },
  nothing: { command: 'true', says: /left no process/ },
};
const TRIES = 5;
/** In what /proc/PID/stat counts in. */
const TICKS_PER_SECOND = 100;
const SECONDS = 10;

describe('commands that cannot work', () => {
  let box: Container;

  const failures = async (name: string) => box.eventsOf('command.failedStart', name);

  beforeAll(async () => {
    const commands = Object.entries(BROKEN).map(([name, { command }]) => `${name}: ${command}`);
    box = await run(IMAGES.daemons, ['--log', 'json', ...commands, 'redis: redis-server --save ""']);
    await box.until('redis up', async () => (await box.eventsOf('command.running', 'redis'))[0]);
    for (const name of Object.keys(BROKEN)) {
      await box.until(`${TRIES} tries of ${name}`, async () => (await failures(name)).length >= TRIES, 60);
    }
  });

  test.each(Object.keys(BROKEN))('%s: says why, and waits longer each time', async (name) => {
    const seen = (await failures(name)).slice(0, TRIES);
    for (const { message } of seen) expect(message).toMatch(BROKEN[name]!.says);
    expect(seen.map(({ failures: count }) => count)).toEqual(seen.map((_, index) => index + 1));
    const waits = seen.map(({ wait }) => wait!);
    expect(waits).toEqual([...waits].sort((a, b) => a - b));
    expect(waits[0]).toBeLessThanOrEqual(250);
    expect(waits.at(-1)).toBeGreaterThan(8 * waits[0]!);
    // It does wait: the next try comes no sooner.
    for (const [index, { at }] of seen.entries()) {
      if (index > 0) expect(at - seen[index - 1]!.at).toBeGreaterThanOrEqual(waits[index - 1]!);
    }
  });

  test('the container lives, and the service beside them was never touched', async () => {
    expect(await box.must('redis-cli', 'ping')).toBe('PONG');
    expect(await box.eventsOf('command.running', 'redis')).toHaveLength(1);
    expect(await box.eventsOf('command.died')).toEqual([]);
    await box.until('no zombie', async () => (await box.processes()).every(({ state }) => state !== 'Z'));
  });

  test('PID 1 uses less than 1 % of a processor', async () => {
    const look = async () => {
      const [stat, uptime] = (await box.must('cat', '/proc/1/stat', '/proc/uptime')).split('\n');
      const fields = stat!.slice(stat!.lastIndexOf(')') + 2).split(' ');
      return { ticks: Number(fields[11]) + Number(fields[12]), uptime: Number(uptime!.split(' ')[0]) };
    };
    const from = await look();
    const to = await box.until(`${SECONDS} s to measure in`, async () => {
      const now = await look();
      return now.uptime - from.uptime >= SECONDS ? now : null;
    });
    const share = (to.ticks - from.ticks) / TICKS_PER_SECOND / (to.uptime - from.uptime);
    console.log(`PID 1 used ${(share * 100).toFixed(2)} % of a processor`);
    expect(share).toBeLessThan(0.01);
  });
});
