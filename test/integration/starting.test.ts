import { realpathSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Cleanup, hasProgram, Namespace, noNamespace, until } from './namespace.ts';

describe.skipIf(noNamespace)(
  `starting commands, as PID 1 and beside another init ${noNamespace ?? ''}`,
  () => {
    describe.each([{ place: 'as PID 1' }, { place: 'beside another init' }])(
      '$place',
      { concurrent: true },
      ({ place }) => {
        const open = async (cleanup: Cleanup) => {
          const namespace = new Namespace(cleanup);
          return place === 'as PID 1' ? namespace : namespace.idleInit();
        };

        test('one command runs, tagged, and says how', async (context) => {
          const inside = await open(context);
          const upkeep = await inside.upkeep([inside.install('daemon.sh', 'alpha')]);
          const started = await upkeep.event('upkeep.started');
          expect(started).toMatchObject({ lineage: 'tag', table: 'procfs', commands: ['alpha'] });
          expect(started.reaping).toBe(upkeep.asInit ? 'pid 1' : 'subreaper');
          const running = await upkeep.event('command.running', 'alpha');
          expect(running).toMatchObject({ how: 'started', leader: { name: 'alpha', rule: 'launcher' } });
          expect(inside.named('alpha').map(({ pid }) => pid)).toEqual([running.leader.pid]);
          // Nor does Node complain of what it is asked to do.
          expect(upkeep.stderr).toBe('');
        });

        test('a foreground command comes back, and how it died is told', async (context) => {
          const inside = await open(context);
          const alpha = inside.install('daemon.sh', 'alpha');
          const beta = inside.install('daemon.sh', 'beta');
          const upkeep = await inside.upkeep([alpha, beta]);
          const [pid, other] = await upkeep.running('alpha', 'beta');
          inside.kill(pid!, 'SIGKILL');
          const died = await upkeep.event('command.died', 'alpha');
          expect(died).toMatchObject({
            id: { pid },
            exit: { known: true, code: null, signal: 'SIGKILL', core: false },
            restart: 1,
          });
          const back = await upkeep.event('command.running', 'alpha', 2);
          expect(back.leader.pid).not.toBe(pid);
          await inside.serving(back.leader.pid);
          inside.kill(back.leader.pid, 'SIGUSR1');
          expect(await upkeep.event('command.died', 'alpha', 2)).toMatchObject({
            exit: { known: true, code: 3, signal: null },
          });
          expect(upkeep.events('command.died', 'beta')).toEqual([]);
          expect(inside.isAlive(other!)).toBe(true);
        });

        test('the exit status and the signal of a daemon are known', async (context) => {
          const inside = await open(context);
          const upkeep = await inside.upkeep([`${inside.install('daemon.sh', 'gamma')} --double --setsid`]);
          const running = () => upkeep.events('command.running', 'gamma');
          const [first] = (await upkeep.daemons('gamma')) as [number];
          expect(running().at(-1)!.leader.rule).toBe('tag');
          const { length } = running();
          await inside.serving(first);
          inside.kill(first, 'SIGUSR1');
          expect(await upkeep.event('command.died', 'gamma')).toMatchObject({
            id: { pid: first },
            exit: { known: true, code: 3, signal: null, core: false },
          });
          await upkeep.event('command.running', 'gamma', length + 1);
          const [second] = await upkeep.daemons('gamma');
          inside.kill(second!, 'SIGKILL');
          expect(await upkeep.event('command.died', 'gamma', 2)).toMatchObject({
            exit: { known: true, code: null, signal: 'SIGKILL', core: false },
          });
        });

        test('a leader that leaves with status 0 is started again as well', async (context) => {
          const inside = await open(context);
          const upkeep = await inside.upkeep([inside.install('daemon.sh', 'alpha')]);
          const [pid] = await upkeep.running('alpha');
          await inside.serving(pid!);
          inside.kill(pid!, 'SIGUSR2');
          expect(await upkeep.event('command.died', 'alpha')).toMatchObject({ exit: { code: 0 } });
          await upkeep.event('command.running', 'alpha', 2);
        });
      },
    );

    test.skipIf(!hasProgram('prlimit'))(
      'a daemon that dumped core is told of (needs prlimit)',
      async (context) => {
        const inside = new Namespace(context);
        const daemon = inside.install('daemon.sh', 'gamma');
        const upkeep = await inside.upkeep([`${daemon} --fork`], {
          prefix: ['prlimit', '--core=unlimited:unlimited'],
        });
        const [pid] = await upkeep.daemons('gamma');
        inside.kill(pid!, 'SIGSEGV');
        const died = await upkeep.event('command.died', 'gamma');
        expect(died.exit).toEqual({ known: true, code: null, signal: 'SIGSEGV', core: true });
        expect(died.message).toContain('core dumped');
      },
    );

    test('300 commands start, each once, and stop', async (context) => {
      const inside = new Namespace(context);
      const daemon = inside.install('daemon.sh', 'many');
      const names = Array.from({ length: 300 }, (_, index) => `c${index}`);
      const upkeep = await inside.upkeep(names.map((name) => `${name}: ${daemon}`));
      await upkeep.running(...names);
      expect(inside.named('many')).toHaveLength(300);
      expect(upkeep.events('command.launched')).toHaveLength(300);
      expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
      await until('nobody left', () => inside.processes().length === 0);
    });

    test('upkeep runs on the Node that runs the tests, which is the one that was asked for', async (context) => {
      expect(`${process.version}.`).toContain(`v${process.env.UPKEEP_TEST_NODE ?? process.versions.node}.`);
      const inside = new Namespace(context);
      const upkeep = await inside.upkeep([inside.install('daemon.sh', 'alpha')]);
      await upkeep.running('alpha');
      expect(inside.read(upkeep.pid, 'maps')).toContain(` ${realpathSync(process.execPath)}\n`);
    });
  },
);
