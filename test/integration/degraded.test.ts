import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hasProgram, Namespace, noNamespace, until } from './namespace.ts';

const NO_NATIVE = { UPKEEP_NO_NATIVE: '1' };

describe.skipIf(noNamespace)(`without koffi ${noNamespace ?? ''}`, { concurrent: true }, () => {
  test.skipIf(!hasProgram('prlimit'))(
    'it works by scanning, tags by prlimit, and says so (needs prlimit)',
    async (context) => {
      const inside = new Namespace(context);
      const daemon = inside.install('daemon.sh', 'alpha');
      const upkeep = await inside.upkeep([daemon, `b: ${daemon} --double`], {
        env: NO_NATIVE,
        args: ['--interval', '200ms'],
      });
      const started = await upkeep.event('upkeep.started');
      expect(started.lineage).toBe('tag, set by prlimit');
      expect(started.reaping).toContain('scanning alone');
      expect(started.reaping).toContain('UPKEEP_NO_NATIVE');
      const [a] = await upkeep.running('alpha');
      const [b] = await upkeep.daemons('b');
      const led = upkeep.events('command.running', 'b');
      expect(led.at(-1)!.leader.rule).toBe('tag');
      inside.kill(a!, 'SIGKILL');
      inside.kill(b!, 'SIGKILL');
      // What Node itself started it can tell of; of an orphan there is no status to be had.
      expect(await upkeep.event('command.died', 'alpha')).toMatchObject({
        exit: { known: true, signal: 'SIGKILL' },
      });
      expect(await upkeep.event('command.died', 'b')).toMatchObject({ exit: { known: false } });
      await upkeep.event('command.running', 'alpha', 2);
      await upkeep.event('command.running', 'b', led.length + 1);
      await upkeep.until('one of each', () => inside.named('alpha').length === 2);
      expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    },
  );

  test('nor prlimit, ancestry and name decide, and it says so', async (context) => {
    const inside = new Namespace(context);
    const bin = join(inside.dir, 'bin');
    mkdirSync(bin);
    for (const program of ['sh', 'sleep', 'setsid', 'env', 'cat']) {
      const found = ['/usr/bin', '/bin'].map((folder) => join(folder, program));
      symlinkSync(found.find((path) => hasProgram(path.split('/').at(-1)!)) ?? found[0]!, join(bin, program));
    }
    const daemon = inside.install('daemon.sh', 'alpha');
    const upkeep = await inside.upkeep(
      [
        daemon,
        `${inside.install('daemon.sh', 'beta')} --fork`,
        `${inside.install('daemon.sh', 'gamma')} --double --after 0.5`,
      ],
      {
        env: NO_NATIVE,
        prefix: ['env', `PATH=${bin}`],
        args: ['--interval', '100ms'],
      },
    );
    const started = await upkeep.event('upkeep.started');
    expect(started.lineage).toContain('ancestry and name');
    expect(started.lineage).toContain('prlimit');
    await upkeep.running('alpha');
    const [beta] = await upkeep.daemons('beta', 'gamma');
    const { length } = upkeep.events('command.running', 'beta');
    for (const name of ['beta', 'gamma']) {
      expect(upkeep.events('command.running', name).at(-1)!.leader.rule).toMatch(/ancestry|name/);
    }
    await upkeep.until('one of each', () =>
      ['beta', 'gamma'].every((name) => inside.named(name).length === 1),
    );
    inside.kill(beta!, 'SIGKILL');
    expect(await upkeep.event('command.died', 'beta')).toMatchObject({ id: { pid: beta } });
    await upkeep.event('command.running', 'beta', length + 1);
    await upkeep.until('one of each', () =>
      ['beta', 'gamma'].every((name) => inside.named(name).length === 1),
    );
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    await until('nobody', () => inside.processes().length === 0);
  });

  test('last words and unfinished lines are told all the same', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep(
      [`${inside.install('daemon.sh', 'alpha')} --say hello --last goodbye`],
      {
        env: NO_NATIVE,
        args: ['--interval', '200ms'],
      },
    );
    const [pid] = await upkeep.running('alpha');
    await upkeep.until('its word', () => upkeep.said('alpha').length > 0);
    await inside.serving(pid!);
    inside.kill(pid!, 'SIGUSR1');
    await upkeep.event('command.died', 'alpha');
    await upkeep.until('its words', () => upkeep.said('alpha').length >= 2);
    expect(
      upkeep
        .said('alpha')
        .slice(0, 2)
        .map(({ line }) => line),
    ).toEqual(['hello', 'goodbye']);
  });
});
