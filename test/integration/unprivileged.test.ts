import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { hasProgram, Namespace, noNamespace, noOtherUser, UID, until } from './namespace.ts';

const AS_USER = ['setpriv', `--reuid=${UID}`, `--regid=${UID}`, '--clear-groups', '--no-new-privs'];
const missing = noNamespace ?? noOtherUser;

describe.skipIf(missing)(`as a user without rights ${missing ?? ''}`, { concurrent: true }, () => {
  test.for(['as PID 1', 'beside another init'])(
    '%s: services start, come back, and are stopped',
    async (place, context) => {
      const inside = new Namespace(context);
      if (place !== 'as PID 1') await inside.idleInit();
      const daemon = inside.install('daemon.sh', 'alpha');
      const upkeep = await inside.upkeep([daemon, `b: ${daemon} --double --setsid --wipe`], {
        prefix: AS_USER,
        args: ['--grace', '60s'],
      });
      expect(await upkeep.event('upkeep.started')).toMatchObject({ lineage: 'tag' });
      const [a] = await upkeep.running('alpha');
      const [b] = await upkeep.daemons('b');
      expect(inside.read(a!, 'status')).toMatch(new RegExp(`^Uid:\\s${UID}\\s`, 'm'));
      for (const [name, pid] of [
        ['alpha', a],
        ['b', b],
      ] as const) {
        const { length } = upkeep.events('command.running', name);
        inside.kill(pid!, 'SIGKILL');
        expect(await upkeep.event('command.died', name)).toMatchObject({
          id: { pid },
          exit: { signal: 'SIGKILL' },
        });
        await upkeep.event('command.running', name, length + 1);
      }
      await upkeep.until('two of them', () => inside.named('alpha').length === 2);
      const { code, stopped } = await upkeep.stop();
      expect(code).toBe(0);
      expect(stopped).toMatchObject({ left: 0 });
      expect(stopped!.took).toBeLessThan(30_000);
      await until('nobody', () => inside.named('alpha').length === 0);
    },
  );

  test('services go on over a restart of upkeep', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const commands = [
      inside.install('daemon.sh', 'alpha'),
      `talker: node ${inside.install('talker.mjs', 'talker.mjs')}`,
    ];
    const first = await inside.upkeep(commands, { prefix: AS_USER });
    const pids = await first.running('alpha', 'talker');
    inside.kill(first.pid, 'SIGKILL');
    await first.ended();
    const second = await inside.upkeep(commands, { prefix: AS_USER });
    expect(await second.running('alpha', 'talker')).toEqual(pids);
    await second.until('its lines', () => second.said('talker').length > 3);
    expect(second.events('command.launched')).toEqual([]);
  });

  test.skipIf(!hasProgram('prlimit'))(
    'goes on where all processes that are allowed are taken, and makes no more threads (needs prlimit)',
    async (context) => {
      const inside = new Namespace(context);
      const fine = inside.write('fine', '', 0o644);
      const policy = inside.write(
        'upkeep.yaml',
        `commands: {web: {run: sleep 1000, health: {file: ${fine}, every: 2s, failures: 1, onUnhealthy: ignore}}}`,
        0o644,
      );
      const upkeep = await inside.upkeep([], { prefix: AS_USER, args: ['--policy', policy] });
      const [web] = await upkeep.running('web');
      const [code] = await once(inside.run([...AS_USER, 'prlimit', '--pid', '1', '--nproc=1']), 'exit');
      expect(code).toBe(0);
      // Where the file is not, is found out in a thread.
      rmSync(fine);
      await upkeep.event('command.unhealthy', 'web');
      expect(inside.isAlive(web!)).toBe(true);
      expect(await upkeep.stop()).toMatchObject({ code: 0 });
    },
  );
});
