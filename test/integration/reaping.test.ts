import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { hasProgram, Namespace, noNamespace, until } from './namespace.ts';

describe.skipIf(noNamespace)(`reaping ${noNamespace ?? ''}`, () => {
  // 13,000 orphans are 26,000 forks: those take minutes where others load the machine.
  test('10,000 orphans leave no zombie, and no trace in memory', { timeout: 1_200_000 }, async (context) => {
    const inside = new Namespace(context);
    const orphans = inside.install('orphans.mjs', 'orphans.mjs');
    // The first thousands make Node take its heap; what grows after them is a leak.
    const upkeep = await inside.upkeep([`warm: node ${orphans} 3000`, inside.install('daemon.sh', 'alpha')]);
    await upkeep.until('the first orphans', () => upkeep.said('warm').length > 0);
    await until('no zombies', () => inside.zombies().length === 0);
    const before = inside.residentOf(1);
    // Of somebody else, whom upkeep did not start: they become its children all the same.
    const elsewhere = inside.run(['node', orphans, '10000']);
    await once(elsewhere.stdout!, 'data');
    await until('no zombies', () => inside.zombies().length === 0);
    expect(inside.residentOf(1) - before).toBeLessThan(30_000);
    expect(upkeep.events('command.died')).toEqual([]);
  });

  test('children of Node’s own and orphans that die at the same moment are each told of truly', async (context) => {
    const inside = new Namespace(context);
    const daemon = inside.install('daemon.sh', 'mixed');
    const names = Array.from({ length: 30 }, (_, index) => `m${index}`);
    // Every other one is Node's own child, the rest are orphans.
    const upkeep = await inside.upkeep(
      names.map((name, index) => `${name}: ${daemon}${index % 2 === 0 ? '' : ' --double'}`),
    );
    await upkeep.running(...names);
    await upkeep.until('no launchers', () => inside.named('mixed').length === 30);
    const pids = inside.named('mixed').map(({ pid }) => pid);
    for (const pid of pids) await inside.serving(pid);
    for (const [index, pid] of pids.entries()) inside.kill(pid, index % 3 === 0 ? 'SIGUSR1' : 'SIGKILL');
    await Promise.all(names.map((name) => upkeep.event('command.died', name)));
    for (const { id, exit } of upkeep.events('command.died')) {
      const told =
        pids.indexOf(id.pid) % 3 === 0 ? { code: 3, signal: null } : { code: null, signal: 'SIGKILL' };
      expect(exit).toMatchObject({ known: true, ...told });
    }
    await until('no zombies', () => inside.zombies().length === 0);
  });

  test('foreign orphans are reaped below a subreaper as well', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const upkeep = await inside.upkeep([`node ${inside.install('orphans.mjs', 'orphans.mjs')} 2000`]);
    await upkeep.until('the orphans', () => upkeep.said('orphans').length > 0);
    await until('no zombies', () => inside.zombies().length === 0);
    expect(upkeep.events('command.died')).toEqual([]);
  });

  test.skipIf(!hasProgram('ps'))(
    'with the table from ps, its own ps processes are left to Node and services are kept (needs ps)',
    async (context) => {
      const inside = new Namespace(context);
      const daemon = inside.install('daemon.sh', 'alpha');
      const upkeep = await inside.upkeep([`${daemon} --fork`, `beta: ${daemon}`], {
        args: ['--process-table', 'ps-list', '--interval', '100ms'],
      });
      const [beta] = await upkeep.running('beta');
      const [alpha] = await upkeep.daemons('alpha');
      const { length } = upkeep.events('command.running', 'alpha');
      inside.kill(alpha!, 'SIGKILL');
      expect(await upkeep.event('command.died', 'alpha')).toMatchObject({ id: { pid: alpha } });
      await upkeep.event('command.running', 'alpha', length + 1);
      expect(inside.isAlive(beta!)).toBe(true);
      await until('no zombies', () => inside.zombies().length === 0);
      expect(upkeep.events('upkeep.notice')).toEqual([]);
      expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    },
  );
});
