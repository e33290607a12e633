import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Namespace, noNamespace, noOtherUser, pause, type Upkeep, until } from './namespace.ts';

const LONG_GRACE = ['--grace', '60s'];

/** Nobody is left but who was there before: the idle init and its sleep. */
async function nobodyLeft(inside: Namespace): Promise<void> {
  const own = (argv: readonly string[]) => argv[1] === '-c' || argv[0] === 'sleep';
  await until(
    'nobody left',
    () => inside.processes().every(({ argv }) => own(argv)),
    () => inside.describe(),
  );
}

/** A service that scatters `count` processes, all of them there. */
async function scattered(inside: Namespace, count: number): Promise<Upkeep> {
  const service = `${inside.install('scatter.sh', 'scatter')} ${count}`;
  const upkeep = await inside.upkeep([service], { args: LONG_GRACE });
  await upkeep.running('scatter');
  await upkeep.until(
    'all of them',
    () => inside.processes().filter(({ argv }) => argv[2] === 'one').length === count,
  );
  return upkeep;
}

describe.skipIf(noNamespace)(`stopping ${noNamespace ?? ''}`, { concurrent: true }, () => {
  test.for(['SIGTERM', 'SIGINT', 'SIGQUIT'] as const)(
    '%s stops everything, and upkeep leaves with the last process',
    async (signal, context) => {
      const inside = new Namespace(context);
      const daemon = inside.install('daemon.sh', 'alpha');
      const upkeep = await inside.upkeep([daemon, `b: ${daemon} --double`, `c: ${daemon} --fork --setsid`], {
        args: LONG_GRACE,
      });
      await upkeep.running('alpha', 'b', 'c');
      const { code, stopped } = await upkeep.stop(signal);
      expect(code).toBe(0);
      expect(stopped).toMatchObject({ code: 0, left: 0 });
      expect(stopped!.took).toBeLessThan(30_000);
      expect(upkeep.events('supervisor.stopping')[0]).toMatchObject({ reason: signal, budget: 60_000 });
      await nobodyLeft(inside);
    },
  );

  test('beside another init it leaves nobody behind either', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const daemon = inside.install('daemon.sh', 'alpha');
    const upkeep = await inside.upkeep([`a: ${daemon} --double`, `b: ${daemon}`], { args: LONG_GRACE });
    await upkeep.running('a', 'b');
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    await nobodyLeft(inside);
  });

  test('who ignores SIGTERM is killed within the grace', async (context) => {
    const inside = new Namespace(context);
    const daemon = inside.install('daemon.sh', 'deaf');
    const upkeep = await inside.upkeep(
      [`a: ${daemon} --deaf`, `b: ${daemon} --double --deaf`, `c: ${daemon}`],
      {
        args: ['--grace', '2s'],
      },
    );
    await upkeep.running('a', 'b', 'c');
    const { code, stopped } = await upkeep.stop();
    expect(code).toBe(0);
    expect(stopped).toMatchObject({ left: 0 });
    expect(stopped!.took).toBeGreaterThan(1_000);
    // Who listens did not wait for who does not.
    const tookOf = (name: string) => upkeep.events('command.stopped', name)[0]!.took;
    expect(tookOf('c')).toBeLessThan(tookOf('a'));
  });

  test('a second SIGTERM kills at once', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([`${inside.install('daemon.sh', 'deaf')} --deaf`], {
      args: LONG_GRACE,
    });
    await upkeep.running('deaf');
    upkeep.signal('SIGTERM');
    await upkeep.event('command.stopping', 'deaf');
    const { code, stopped } = await upkeep.stop();
    expect(code).toBe(0);
    expect(stopped!.took).toBeLessThan(30_000);
  });

  test('no grace at all kills at once', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([`${inside.install('daemon.sh', 'deaf')} --deaf`], {
      args: ['--grace', '0'],
    });
    await upkeep.running('deaf');
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    await nobodyLeft(inside);
  });

  test('what a service forks to clean up, at once when it is told, is left to it', async (context) => {
    const inside = new Namespace(context);
    const tidy = inside.write(
      'tidy',
      `#!/bin/sh
       trap 'sh -c "sleep 0.3; echo tidied"; exit' TERM
       echo up
       while :; do sleep 1000 & wait; done`,
    );
    const names = ['a', 'b', 'c', 'd', 'e'];
    const upkeep = await inside.upkeep(
      names.map((name) => `${name}: ${tidy}`),
      { args: LONG_GRACE },
    );
    for (const name of names)
      await upkeep.until(`${name} is up`, () => upkeep.said(name).some(({ line }) => line === 'up'));
    expect((await upkeep.stop()).code).toBe(0);
    for (const name of names)
      expect(
        upkeep.said(name).map(({ line }) => line),
        name,
      ).toContain('tidied');
  });

  test('a stopped process is told to go on, so that SIGTERM reaches it', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([`${inside.install('daemon.sh', 'frozen')} --double`], {
      args: LONG_GRACE,
    });
    const [pid] = await upkeep.daemons('frozen');
    inside.kill(pid!, 'SIGSTOP');
    await upkeep.until('the stop', () => inside.process(pid!)!.state === 'T');
    expect((await upkeep.event('upkeep.notice', 'frozen')).message).toContain('is stalled');
    const { code, stopped } = await upkeep.stop();
    expect(code).toBe(0);
    expect(stopped!.took).toBeLessThan(30_000);
  });

  test.skipIf(noOtherUser)(
    `a service that scatters 100 processes is stopped to the last ${noOtherUser ?? ''}`,
    async (context) => {
      const inside = new Namespace(context);
      const upkeep = await scattered(inside, 100);
      const { code, stopped } = await upkeep.stop();
      expect(code).toBe(0);
      expect(stopped).toMatchObject({ left: 0 });
      expect(stopped!.took).toBeLessThan(30_000);
    },
  );

  test('beside another init nobody scattered is left either', {
    skip: noOtherUser !== null,
  }, async (context) => {
    const inside = await new Namespace(context).idleInit();
    const upkeep = await scattered(inside, 60);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    await nobodyLeft(inside);
  });

  describe('an init script’s own stop', () => {
    const initScript = (inside: Namespace, stop: string) =>
      inside.write(
        'init.d/initd',
        `#!/bin/sh\ncase $1 in\nstart) ${inside.install('daemon.sh', 'initd')} --fork --deaf ;;\nstop) ${stop} ;;\nesac\n`,
      );
    const started = async (inside: Namespace, stop: string, args: string[]): Promise<Upkeep> => {
      const upkeep = await inside.upkeep([`${initScript(inside, stop)} start`], { args });
      await upkeep.running('initd');
      return upkeep;
    };

    test('is used', async (context) => {
      const inside = new Namespace(context);
      const marker = join(inside.dir, 'marker');
      const upkeep = await started(
        inside,
        `kill -USR2 $(cat ${inside.dir}/pid); echo "$1" > ${marker}`,
        LONG_GRACE,
      );
      inside.write('pid', `${inside.named('initd')[0]!.pid}`);
      const { code, stopped } = await upkeep.stop();
      expect(code).toBe(0);
      expect(stopped!.took).toBeLessThan(30_000);
      expect(readFileSync(marker, 'utf8')).toBe('stop\n');
      expect(upkeep.events('command.stopping')[0]!.how).toBe('its own stop command');
    });

    test('that fails is followed by signals', async (context) => {
      const inside = new Namespace(context);
      const upkeep = await started(inside, 'exit 3', ['--grace', '3s']);
      const { code, stopped } = await upkeep.stop();
      expect(code).toBe(0);
      expect(stopped).toMatchObject({ left: 0 });
      expect(upkeep.events('upkeep.notice', 'initd').at(-1)!.message).toContain('exited with status 3');
    });

    test('that hangs is cut off, and nothing of it is left', async (context) => {
      const inside = await new Namespace(context).idleInit();
      const upkeep = await started(inside, `exec ${inside.install('daemon.sh', 'hanging')} --deaf`, [
        '--grace',
        '3s',
      ]);
      const { code, stopped } = await upkeep.stop();
      expect(code).toBe(0);
      expect(stopped).toMatchObject({ left: 0 });
      await nobodyLeft(inside);
    });
  });

  test('SIGTERM at any moment of the start leaves nothing', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const daemon = inside.install('daemon.sh', 'early');
    const commands = [
      `${daemon} --double --setsid --after 0.2`,
      `b: ${daemon}`,
      `c: ${daemon} --fork --before 0.1`,
      `d: ${daemon} --double --setsid`,
    ];
    for (let delay = 0; delay < 600; delay += 40) {
      const upkeep = await inside.upkeep(commands, { args: LONG_GRACE });
      await pause(delay);
      const self = await upkeep.until(
        'upkeep',
        () => inside.processes().find(({ argv }) => argv.includes('run')) ?? null,
      );
      inside.kill(self.pid, 'SIGTERM');
      const { code, signal } = await upkeep.ended();
      // Before Node has a handler, the signal itself ends it; nothing has been started by then.
      expect(signal ?? code).toSatisfy((how) => how === 0 || how === 'SIGTERM');
      if (signal !== null) expect(upkeep.events('command.launched')).toEqual([]);
      await nobodyLeft(inside);
    }
  });

  test('a shutdown in the midst of failing starts and of backoff ends at once', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep(
      ['f: false', `t: ${inside.install('daemon.sh', 'tumbler')} --fork --exit 1`],
      {
        args: LONG_GRACE,
      },
    );
    await upkeep.event('command.failedStart', 'f', 3);
    const { code, stopped } = await upkeep.stop();
    expect(code).toBe(0);
    expect(stopped!.took).toBeLessThan(30_000);
    expect(existsSync(join(inside.dir, 'sock'))).toBe(false);
  });
});
