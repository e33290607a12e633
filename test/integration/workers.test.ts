import { createConnection } from 'node:net';
import { describe, expect, test } from 'vitest';
import { Namespace, noNamespace, until } from './namespace.ts';
import { keep } from './policies.ts';

// The network is the machine's own: each test has a port of its own.
const base = 10_000 + (process.pid % 20_000);

/** True when something answers on the port. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const client = createConnection(port, '127.0.0.1');
    client.on('data', () => {
      client.destroy();
      resolve(true);
    });
    client.on('error', () => resolve(false));
    client.on('close', () => resolve(false));
  });
}

const workersIn = (inside: Namespace) =>
  inside.processes().filter(({ argv, state }) => argv[2] === 'worker' && state !== 'Z');

describe.skipIf(noNamespace)(
  `what is left of a service without a leader ${noNamespace ?? ''}`,
  { concurrent: true },
  () => {
    test.for([
      { title: 'a foreground master', options: '', port: base },
      { title: 'a daemonized master', options: '--daemon', port: base + 1 },
      { title: 'a master whose workers ignore SIGTERM', options: '--deaf', port: base + 2 },
    ])(
      'workers of $title, killed, give its port back, and it serves again',
      async ({ options, port }, context) => {
        const inside = new Namespace(context);
        const master = inside.install('master.mjs', 'master.mjs');
        const upkeep = await inside.upkeep([`node ${master} ${port} --workers 3 ${options}`]);
        const workers = await upkeep.until('three workers', () => {
          const found = workersIn(inside);
          return found.length === 3 ? found : null;
        });
        const first = workers.map((row) => row.pid);
        const pid = workers[0]!.ppid;
        const running = () => upkeep.events('command.running', 'master');
        // A launcher that takes its time leads before it.
        await upkeep.until('it leads', () => running().at(-1)?.leader.pid === pid);
        const { length } = running();
        await until('service', () => answers(port));
        await inside.end(pid);
        const died = await upkeep.event('command.died', 'master');
        expect(died).toMatchObject({
          id: { pid },
          exit: { signal: 'SIGKILL' },
          remains: { workers: 3, sessions: 0 },
        });
        await upkeep.event('command.clearing', 'master');
        await upkeep.event('command.running', 'master', length + 1);
        for (const worker of first) expect(inside.isAlive(worker)).toBe(false);
        expect(upkeep.events('command.failedStart')).toEqual([]);
        await until('service again', () => answers(port));
        await upkeep.until('three new workers', () => workersIn(inside).length === 3);
      },
    );

    test('sessions that a dead leader leaves are kept at its restart and ended at shutdown', async (context) => {
      const inside = new Namespace(context);
      const session = inside.install('daemon.sh', 'session');
      const listener = inside.install('daemon.sh', 'listener');
      const init = inside.write(
        'init.d/listener',
        `#!/bin/sh\n${session} --fork --setsid\n${listener} --fork\n`,
      );
      const upkeep = await inside.upkeep([`${init} start`]);
      const running = await upkeep.event('command.running', 'listener');
      expect(running.leader.name).toBe('listener');
      const kept = await upkeep.until(
        'the session',
        () => inside.named('session').find(({ pid, session }) => pid === session) ?? null,
      );
      inside.kill(running.leader.pid, 'SIGKILL');
      await upkeep.event('command.running', 'listener', 2);
      expect(inside.isAlive(kept.pid)).toBe(true);
      expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
      await until('nobody left', () => inside.processes().length === 0);
    });

    test('a start that fails while others of the lineage hold its port is tried again at once without them', async (context) => {
      // It has failed to start, however long that takes, unless it listens.
      const { upkeep, inside } = await keep(context, (inside) => {
        const run = `node ${inside.install('master.mjs', 'master.mjs')} ${base + 3} --own-session`;
        return `commands: {master: {run: '${run}', settle: 1h, ready: {log: ^listens$}}}`;
      });
      const [pid] = await upkeep.running('master');
      const first = await upkeep.until('two workers', () => {
        const workers = workersIn(inside);
        return workers.length === 2 ? workers.map((row) => row.pid) : null;
      });
      inside.kill(pid!, 'SIGKILL');
      const failed = await upkeep.event('command.failedStart', 'master');
      expect(failed).toMatchObject({ exit: { code: 98 }, wait: 0 });
      expect(failed.lastLines).toContain('cannot listen: EADDRINUSE');
      await upkeep.event('command.running', 'master', 2);
      expect(upkeep.events('command.failedStart')).toHaveLength(1);
      for (const worker of first) expect(inside.isAlive(worker)).toBe(false);
    });
  },
);
