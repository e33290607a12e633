import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Namespace, noNamespace, noOtherUser, pause } from './namespace.ts';

const LAST_PID = '/proc/sys/kernel/ns_last_pid';
const noPidChoice = noOtherUser ?? (existsSync(LAST_PID) ? null : `there is no ${LAST_PID}`);

/** Kills a process, and starts another with its pid, which is written to stdout. */
const takeOver = (pid: number): string =>
  `kill -KILL ${pid}; while [ -d /proc/${pid} ]; do sleep 0.01; done; echo ${pid - 1} > ${LAST_PID}; sleep 1000 & echo $!; wait`;

describe.skipIf(noNamespace)(`who is who ${noNamespace ?? ''}`, { concurrent: true }, () => {
  test.skipIf(noPidChoice)(
    `a stranger with the pid of a service that has just died is not the service ${noPidChoice ?? ''}`,
    async (context) => {
      const inside = new Namespace(context);
      const upkeep = await inside.upkeep([inside.install('daemon.sh', 'alpha')]);
      let running = await upkeep.event('command.running', 'alpha');
      let again = 0;
      for (let round = 1; round <= 3; round++) {
        const { pid, startTicks } = running.leader;
        // While it backs off, a stranger is born with the pid of the one that dies now.
        const stranger = inside.run(['sh', '-c', takeOver(pid)]);
        await once(stranger.stdout!, 'data');
        expect(await upkeep.event('command.died', 'alpha', round)).toMatchObject({ id: { pid, startTicks } });
        running = await upkeep.event('command.running', 'alpha', round + 1);
        if (inside.process(pid)?.comm === 'sleep') again++;
        expect(inside.named('alpha').map((row) => row.pid)).toEqual([running.leader.pid]);
      }
      expect(again).toBeGreaterThan(0);
      expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    },
  );

  test('a pid of a service, used again by a stranger, is not signalled by a stop', {
    skip: noPidChoice !== null,
  }, async (context) => {
    const inside = await new Namespace(context).idleInit();
    const wrapper = inside.install('wrapper.sh', 'safe');
    const upkeep = await inside.upkeep([`${wrapper} stay ${inside.install('daemon.sh', 'inner')}`], {
      args: ['--interval', '1h'],
    });
    await upkeep.running('safe');
    const inner = await upkeep.until('its inner', () => inside.named('inner')[0] ?? null);
    // Born right after the death of the service's worker, below the idle init and without its tag.
    const stranger = inside.run(['sh', '-c', takeOver(inner.pid)]);
    const pid = Number(String((await once(stranger.stdout!, 'data'))[0]));
    // The wrapper waited for its only child, and has left; the service is back under other pids.
    await upkeep.event('command.running', 'safe', 2);
    expect(pid).toBe(inner.pid);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    expect(inside.process(pid)).toMatchObject({ comm: 'sleep' });
  });

  test('a launcher that is given the pid of a process that died unseen is known by its own start time', {
    skip: noPidChoice !== null,
  }, async (context) => {
    const inside = await new Namespace(context).idleInit();
    const daemon = inside.install('daemon.sh', 'alpha');
    const script = inside.write('late', `#!/bin/sh\n[ -e ${inside.dir}/go ] || exit 1\nexec ${daemon}\n`);
    const other = inside.run(['sh', '-c', 'sleep 1000 & echo $!; wait']);
    const pid = Number(String((await once(other.stdout!, 'data'))[0]));
    const upkeep = await inside.upkeep([script], { args: ['--interval', '1h'] });
    // The wait that follows is 3 s or more.
    await upkeep.event('command.failedStart', 'late', 5);
    inside.write('go', '');
    await once(inside.run(['sh', '-c', takeOver(pid).replace(/sleep 1000 .*$/, 'exit')]), 'exit');
    const { leader } = await upkeep.event('command.running', 'late');
    expect(leader.pid).toBe(pid);
    expect(leader.startTicks).toBe(inside.process(pid)!.startTicks);
  });

  test('a new master that takes over from the old one is followed, and nothing is restarted', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([inside.install('upgrade.sh', 'master')]);
    const [pid] = await upkeep.running('master');
    await upkeep.until('its worker', () => inside.named('master').length === 2);
    inside.kill(pid!, 'SIGUSR2');
    const after = await upkeep.event('command.running', 'master', 2);
    expect(after).toMatchObject({ how: 'handover', leader: { rule: 'tag' } });
    expect(inside.isAlive(pid!)).toBe(false);
    expect(upkeep.events('command.died')).toEqual([]);
    expect(upkeep.events('command.launched')).toHaveLength(1);
  });

  test('upkeep, stopped and told to go on, acts on what has happened, and on nothing else', async (context) => {
    const inside = new Namespace(context);
    const daemon = inside.install('daemon.sh', 'many');
    const names = Array.from({ length: 12 }, (_, index) => `s${index}`);
    const upkeep = await inside.upkeep(
      names.map((name, index) => `${name}: ${daemon} ${index % 2 === 0 ? '' : '--double'}`),
      { args: ['--interval', '100ms'] },
    );
    await upkeep.running(...names);
    await upkeep.until('12 processes', () => inside.named('many').length === 12);
    await upkeep.daemons(...names.filter((_, index) => index % 2 === 1));
    const led = upkeep.events('command.running', 's1').length;
    const doomed = ['s0', 's1'].map((name) => upkeep.events('command.running', name).at(-1)!.leader.pid);
    inside.kill(1, 'SIGSTOP');
    await upkeep.until('the stop', () => inside.process(1)!.state === 'T');
    for (const pid of doomed) await inside.end(pid);
    // Longer than it settles, scans or lingers.
    await pause(2_500);
    inside.kill(1, 'SIGCONT');
    for (const name of ['s0', 's1']) {
      expect(await upkeep.event('command.died', name)).toMatchObject({ exit: { signal: 'SIGKILL' } });
      await upkeep.event('command.running', name, name === 's0' ? 2 : led + 1);
    }
    expect(upkeep.events('command.died')).toHaveLength(2);
    await upkeep.until('12 processes', () => inside.named('many').length === 12);
  });

  test('signals that mean nothing to upkeep end nothing', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([inside.install('daemon.sh', 'alpha')]);
    const [pid] = await upkeep.running('alpha');
    for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGPIPE', 'SIGWINCH'] as const)
      upkeep.signal(signal);
    await upkeep.until('its answers', () => upkeep.events('upkeep.notice').length >= 3);
    expect(inside.isAlive(pid!)).toBe(true);
    expect(inside.named('alpha')).toHaveLength(1);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });
});
