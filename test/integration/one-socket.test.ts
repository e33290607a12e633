import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Namespace, noNamespace, noOtherUser, UID } from './namespace.ts';

describe.skipIf(noNamespace)(
  `the socket and the command line ${noNamespace ?? ''}`,
  { concurrent: true },
  () => {
    test('a second upkeep on one socket refuses with 78 and names the first', async (context) => {
      const inside = await new Namespace(context).idleInit();
      const daemon = inside.install('daemon.sh', 'alpha');
      const first = await inside.upkeep([daemon]);
      const [pid] = await first.running('alpha');
      const second = await inside.upkeep([daemon]);
      expect(await second.ended()).toMatchObject({ code: 78 });
      expect(second.stderr).toContain(`upkeep ${first.pid} holds ${join(inside.dir, 'sock')}`);
      expect(second.stderr).toContain('--socket');
      expect(second.text).toEqual([]);
      expect(inside.named('alpha').map((row) => row.pid)).toEqual([pid]);
      expect(first.events('command.died')).toEqual([]);
    });

    test('a second upkeep with a socket of its own is a stranger to the first', async (context) => {
      const inside = await new Namespace(context).idleInit();
      const daemon = inside.install('daemon.sh', 'alpha');
      const first = await inside.upkeep([`${daemon} --double`]);
      const [one] = await first.daemons('alpha');
      // Not even its name makes it the second one's.
      const second = await inside.upkeep([`${daemon} --double`], { socket: join(inside.dir, 'other') });
      const [two] = await second.daemons('alpha');
      expect(second.events('command.running')[0]!.how).toBe('started');
      expect(one).not.toBe(two);
      expect(await second.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
      expect(inside.isAlive(one!)).toBe(true);
      expect(inside.isAlive(two!)).toBe(false);
    });

    test('a socket that nobody answers on is replaced, and only its owner may use it', async (context) => {
      const inside = await new Namespace(context).idleInit();
      const daemon = inside.install('daemon.sh', 'alpha');
      const first = await inside.upkeep([daemon]);
      await first.running('alpha');
      inside.kill(first.pid, 'SIGKILL');
      await first.ended();
      expect(existsSync(join(inside.dir, 'sock'))).toBe(true);
      const second = await inside.upkeep([daemon]);
      await second.running('alpha');
      expect(second.events('upkeep.notice')).toEqual([]);
      expect(statSync(join(inside.dir, 'sock')).mode & 0o777).toBe(0o600);
      expect(await second.stop()).toMatchObject({ code: 0 });
      expect(existsSync(join(inside.dir, 'sock'))).toBe(false);
    });

    test('where no socket can be made, it says so and works', async (context) => {
      const inside = await new Namespace(context).idleInit();
      const upkeep = await inside.upkeep([inside.install('daemon.sh', 'alpha')], {
        socket: '/proc/none/sock',
      });
      await upkeep.running('alpha');
      expect(upkeep.events('upkeep.notice')[0]!.message).toContain('no control socket');
      expect(await upkeep.stop()).toMatchObject({ code: 0 });
    });

    test.skipIf(noOtherUser)(
      `another user finds a place for its socket by itself ${noOtherUser ?? ''}`,
      async (context) => {
        const inside = await new Namespace(context).idleInit();
        const setpriv = ['setpriv', `--reuid=${UID}`, `--regid=${UID}`, '--clear-groups'];
        const daemon = inside.install('daemon.sh', 'alpha');
        const upkeep = await inside.upkeep([daemon], {
          prefix: setpriv,
          socket: false,
          env: { TMPDIR: inside.dir },
        });
        await upkeep.running('alpha');
        const path = join(inside.dir, `upkeep-${UID}.sock`);
        expect(statSync(path)).toMatchObject({ uid: UID });
        expect(upkeep.events('upkeep.notice')).toEqual([]);
        const again = await inside.upkeep([daemon], {
          prefix: setpriv,
          socket: false,
          env: { TMPDIR: inside.dir },
        });
        expect(await again.ended()).toMatchObject({ code: 78 });
        expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
      },
    );

    test.for([['--nonsense'], ['--grace', 'soon', 'sleep 1'], ['--exit-on-failed=none', 'sleep 1'], []])(
      '%j is answered with status 64 and what to do',
      async (args, context) => {
        const inside = await new Namespace(context).idleInit();
        const upkeep = await inside.upkeep([], { args });
        expect(await upkeep.ended()).toMatchObject({ code: 64 });
        expect(upkeep.stderr).toMatch(/^upkeep: cannot .*; /);
      },
    );
  },
);
