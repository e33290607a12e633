import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Namespace, noNamespace, noOtherUser } from './namespace.ts';

describe.skipIf(noNamespace)(`what a service inherits ${noNamespace ?? ''}`, { concurrent: true }, () => {
  test('is the environment, without what was meant for upkeep, Node or npm', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([`A=1 B='two words' ${inside.install('daemon.sh', 'alpha')}`], {
      env: {
        NODE_OPTIONS: '--max-old-space-size=64',
        npm_config_x: '1',
        npm_lifecycle_event: 'start',
        INIT_CWD: '/',
        LISTEN_FDS: '1',
        NOTIFY_SOCKET: '/none',
        KEPT: 'yes',
        NODE_ENV: 'production',
      },
    });
    const [pid] = await upkeep.running('alpha');
    const words = inside.read(pid!, 'environ').split('\0').filter(Boolean).sort();
    const names = words.map((word) => word.split('=')[0]);
    expect(names).toEqual(['A', 'B', 'KEPT', 'NODE_ENV', 'PATH']);
    expect(words).toContain('B=two words');
    expect(upkeep.events('upkeep.notice')[0]!.message).toContain('NODE_OPTIONS');
  });

  test('are no descriptors but stdin, stdout and stderr', async (context) => {
    const inside = new Namespace(context);
    const leak = openSync(inside.write('leak', ''), 'r');
    const upkeep = await inside.upkeep(['alpha: sleep 1000', 'b: sh -c "sleep 1000 &"'], { extra: leak });
    closeSync(leak);
    const pids = [...(await upkeep.running('alpha')), ...(await upkeep.daemons('b'))];
    expect(inside.descriptors(1)[3]).toBe(join(inside.dir, 'leak'));
    for (const pid of pids) {
      const { 0: stdin, 1: stdout, 2: stderr, ...others } = inside.descriptors(pid);
      expect(others).toEqual({});
      expect(stdin).toBe('/dev/null');
      expect(stdout).toMatch(/^pipe:/);
      expect(stderr).toMatch(/^pipe:/);
    }
  });

  test('are no ignored or blocked signals, and a plain umask', async (context) => {
    const inside = new Namespace(context);
    const ignoring = 'trap \'\' HUP INT QUIT TERM PIPE CHLD USR1; umask 077; exec "$@"';
    const upkeep = await inside.upkeep(['sleep 1000'], { prefix: ['sh', '-c', ignoring, 'sh'] });
    const [pid] = await upkeep.running('sleep');
    const status = inside.read(pid!, 'status');
    expect(status).toMatch(/^SigIgn:\s0+$/m);
    expect(status).toMatch(/^SigBlk:\s0+$/m);
    expect(status).toMatch(/^Umask:\s0022$/m);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });

  test('is a session of its own', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([inside.install('daemon.sh', 'alpha')]);
    const [pid] = await upkeep.running('alpha');
    expect(inside.process(pid!)!.session).toBe(pid);
  });

  test('is a stdout that it can open by its path', async (context) => {
    const inside = new Namespace(context);
    const script = 'echo one > /dev/stdout; echo two > /dev/stderr; exec sleep 1000';
    const upkeep = await inside.upkeep([`opener: ${inside.write('opener', `#!/bin/sh\n${script}\n`)}`]);
    await upkeep.until('its lines', () => upkeep.said('opener').length === 2);
    expect(
      upkeep
        .said('opener')
        .map(({ line, stream }) => `${stream} ${line}`)
        .sort(),
    ).toEqual(['stderr two', 'stdout one']);
  });

  test.skipIf(noOtherUser)(
    `is a stdout that another user can open by its path ${noOtherUser ?? ''}`,
    async (context) => {
      const inside = new Namespace(context);
      const script = inside.write('opener', '#!/bin/sh\necho mine > /dev/stdout\nexec sleep 1000\n');
      const upkeep = await inside.upkeep([`opener: setpriv --reuid 65534 --clear-groups ${script}`]);
      await upkeep.until('its line', () => upkeep.said('opener').length > 0);
      expect(upkeep.said('opener')[0]!.line).toBe('mine');
    },
  );
});
