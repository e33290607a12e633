import { describe, expect, test } from 'vitest';
import { hasProgram, noNamespace } from './namespace.ts';
import { freePort, keep } from './policies.ts';

const noPython = noNamespace ?? (hasProgram('python3') ? null : 'python3 is not installed');
const SERVICE = 'exec sleep 1000';
const QUICK = 'backoff: {first: 20ms, max: 20ms}';

describe.skipIf(noNamespace)(`health ${noNamespace ?? ''}`, { concurrent: true }, () => {
  test('onUnhealthy: restart, as it is where nothing is said', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s:
    run: 'rm -f ${dir}/sick; echo up; ${SERVICE}'
    health: {exec: 'test ! -e ${dir}/sick', every: 30ms}
    ${QUICK}
`,
    );
    const { upkeep, inside } = kept;
    const [pid] = await upkeep.running('s');
    await upkeep.until('what it does first', () => upkeep.said('s').length > 0);
    kept.touch('sick');
    expect(await upkeep.event('command.unhealthy', 's')).toMatchObject({
      next: 'restart',
      reason: 'its program exited with 1',
    });
    const again = await upkeep.event('command.running', 's', 2);
    expect(again.leader.pid).not.toBe(pid);
    expect(inside.isAlive(pid!)).toBe(false);
    expect(upkeep.events('command.failed')).toEqual([]);
  });

  test('onUnhealthy: ignore tells of it, and of its end', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s: {run: ${SERVICE}, health: {exec: 'test ! -e ${dir}/sick', every: 30ms, onUnhealthy: ignore}}
`,
    );
    const { upkeep, inside } = kept;
    const [pid] = await upkeep.running('s');
    for (const round of [1, 2]) {
      kept.touch('sick');
      expect(await upkeep.event('command.unhealthy', 's', round)).toMatchObject({ next: 'ignore' });
      inside.run(['rm', kept.at('sick')]);
      await upkeep.event('command.healthy', 's', round);
    }
    expect(inside.isAlive(pid!)).toBe(true);
    expect(upkeep.events('command.launched')).toHaveLength(1);
  });

  test('onUnhealthy: fail is for good, and ends the container where that is wished', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s:
    run: ${SERVICE}
    health: {exec: 'test ! -e ${dir}/sick', every: 30ms, onUnhealthy: fail}
    onFailed: exit
  t: {run: ${SERVICE}, health: {exec: 'test ! -e ${dir}/weak', every: 30ms, timeout: 1h, failures: 1, onUnhealthy: fail}}
`,
    );
    const { upkeep } = kept;
    await upkeep.running('s', 't');
    kept.touch('weak');
    expect((await upkeep.event('command.failed', 't')).reason).toBe(
      'it is unhealthy: its program exited with 1',
    );
    expect(upkeep.events('command.launched', 't')).toHaveLength(1);
    expect(upkeep.events('supervisor.stopping')).toEqual([]);
    kept.touch('sick');
    expect(await upkeep.ended()).toMatchObject({ code: 10 });
    expect(upkeep.events('command.unhealthy', 's')[0]).toMatchObject({ next: 'fail' });
  });

  test('failures and successes: so many in a row', async (context) => {
    const kept = await keep(context, (inside) => {
      inside.write('mood', 'well\n', 0o666);
      return `
commands:
  s:
    run: ${SERVICE}
    cwd: ${inside.dir}
    health:
      exec: 'read -r mood < mood; echo $mood >> tries; test "$mood" = well'
      every: 20ms
      failures: 4
      successes: 3
      onUnhealthy: ignore
`;
    });
    const { upkeep } = kept;
    await kept.written('tries', 2);
    // Three failures and a success count for nothing.
    const before = kept.linesOf('tries').length;
    kept.touch('mood', 'ill\n');
    await upkeep.event('command.unhealthy', 's');
    // No more than one that had begun when it was told.
    const ill = kept
      .linesOf('tries')
      .slice(before)
      .filter((mood) => mood === 'ill').length;
    expect(ill).toBeGreaterThanOrEqual(4);
    const { length } = kept.linesOf('tries');
    kept.touch('mood', 'well\n');
    await upkeep.event('command.healthy', 's');
    const well = kept
      .linesOf('tries')
      .slice(length)
      .filter((mood) => mood === 'well').length;
    expect(well).toBeGreaterThanOrEqual(3);
  });

  test('failures: what comes back in time is healthy', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s:
    run: ${SERVICE}
    cwd: ${dir}
    health:
      exec: 'echo x >> tries; test $(( $(wc -l < tries) % 3 )) = 0'
      every: 10ms
      timeout: 1h
      failures: 3
`,
    );
    const { upkeep } = kept;
    await kept.written('tries', 30);
    expect(upkeep.events('command.unhealthy')).toEqual([]);
    expect(upkeep.events('command.launched')).toHaveLength(1);
  });

  test('grace: failures this soon do not count', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s: {run: ${SERVICE}, health: {exec: 'echo x >> ${dir}/s; false', every: 20ms, failures: 1, grace: 1h}}
  t: {run: ${SERVICE}, health: {exec: 'echo x >> ${dir}/t; false', every: 20ms, failures: 1, grace: 1500ms}}
`,
    );
    const { upkeep } = kept;
    await kept.written('s', 10);
    expect(upkeep.events('command.unhealthy', 's')).toEqual([]);
    const running = await upkeep.event('command.running', 't');
    const sick = await upkeep.event('command.unhealthy', 't');
    expect(sick.at - running.leader.since).toBeGreaterThanOrEqual(1_490);
  });

  test('every: so long from one probe to the next, and the first so long after the start', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s: {run: ${SERVICE}, health: {exec: 'date +%s%3N >> ${dir}/tries', every: 500ms}}
`,
    );
    const running = await kept.upkeep.event('command.running', 's');
    const times = [Date.parse(running.time), ...(await kept.written('tries', 3)).map(Number)];
    for (const [index, time] of times.slice(1).entries()) {
      expect(time - times[index]!).toBeGreaterThanOrEqual(480);
    }
  });

  test('timeout: a probe that hangs is killed with all that it started, and has failed', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s:
    run: 'exec sleep 1000'
    cwd: ${dir}
    health:
      exec: |
        for pid in $(cat tries 2> /dev/null); do
          line=; read -r line 2> /dev/null < /proc/$pid/cmdline; test -n "$line" && echo $pid >> twice
        done
        trap '' TERM
        sleep 1111 &
        same=$!
        setsid sleep 1112 &
        echo $$same $! $$$$ >> tries
        wait
      every: 20ms
      timeout: 1s
      failures: 2
      onUnhealthy: ignore
`,
    );
    const { upkeep, inside } = kept;
    expect(await upkeep.event('command.unhealthy', 's')).toMatchObject({
      reason: 'it took longer than 1 s',
    });
    const tries = await kept.written('tries', 5);
    const pids = tries.slice(0, 4).join(' ').split(' ').map(Number);
    await upkeep.until('their end', () => pids.every((pid) => !inside.isAlive(pid)));
    expect(kept.linesOf('twice')).toEqual([]);
    const { stopped } = await upkeep.stop();
    expect(stopped).toMatchObject({ left: 0 });
  });

  test('a probe ends with the service that it is about', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s:
    run: ${SERVICE}
    health: {exec: 'echo $$$$ >> ${dir}/tries; sleep 1111', every: 20ms, timeout: 1h}
    restart: never
`,
    );
    const { upkeep, inside } = kept;
    const [pid] = await upkeep.running('s');
    await kept.written('tries');
    await inside.end(pid!);
    await upkeep.event('command.failed', 's');
    await upkeep.until('nothing left', () => inside.named('sleep').length === 0);
  });

  test('tcp, http, listening and file', async (context) => {
    const port = await freePort();
    const every = 'every: 30ms, failures: 2, onUnhealthy: ignore';
    const kept = await keep(
      context,
      (inside) => `
commands:
  listening:
    run: node ${inside.install('gate.mjs', 'gate.mjs')} ${port}
    ready: {listening: ${port}, interval: 20ms}
    health: {listening: ${port}, ${every}}
  tcp: {run: ${SERVICE}, requires: listening, health: {tcp: ${port}, ${every}}}
  http: {run: ${SERVICE}, requires: listening, health: {http: {port: ${port}}, ${every}}}
  file: {run: ${SERVICE}, health: {file: ${inside.dir}/open, ${every}}}
`,
    );
    const { upkeep, inside } = kept;
    const names = ['listening', 'tcp', 'http', 'file'];
    kept.touch('open');
    await upkeep.running(...names);
    await kept.written('requests', 3);
    expect(upkeep.events('command.unhealthy').filter(({ command }) => command !== 'file')).toEqual([]);
    inside.run(['rm', kept.at('open')]);
    for (const name of names) await upkeep.event('command.unhealthy', name);
    kept.touch('open');
    for (const name of names) await upkeep.event('command.healthy', name);
    expect(upkeep.events('command.launched')).toHaveLength(4);
  });

  test.skipIf(noPython)(
    `notify: the service says WATCHDOG=1 time and again ${noPython ?? ''}`,
    async (context) => {
      const kept = await keep(
        context,
        (inside) => `
commands:
  s:
    run: python3 ${inside.install('notifier.py', 'notifier.py')}
    health: {notify: true, every: 30ms, timeout: 2s, failures: 1, onUnhealthy: ignore}
  t:
    run: python3 ${inside.install('notifier.py', 't/notifier.py')}
    health: {notify: true, every: 30ms, timeout: 1h, failures: 1, onUnhealthy: ignore}
`,
      );
      const { upkeep } = kept;
      await upkeep.running('s');
      await upkeep.until('what it is told', () =>
        kept.linesOf('environment').includes('WATCHDOG_USEC=2000000'),
      );
      expect(await upkeep.event('command.unhealthy', 's')).toMatchObject({
        reason: 'it has not said WATCHDOG=1 for 2 s',
      });
      kept.touch('say.0', 'WATCHDOG=1\n');
      await upkeep.event('command.healthy', 's');
      kept.touch('t/say.0', 'STATUS=stuck\nWATCHDOG=trigger\n');
      expect(await upkeep.event('command.unhealthy', 't')).toMatchObject({
        reason: 'it has said WATCHDOG=trigger (its status: stuck)',
      });
    },
  );

  test('nobody is asked how it is before it is ready', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s:
    run: ${SERVICE}
    ready: {file: ${dir}/up, interval: 20ms}
    health: {exec: 'echo x >> ${dir}/tries', every: 10ms}
`,
    );
    await kept.upkeep.running('s');
    expect(kept.has('tries')).toBe(false);
    kept.touch('up');
    await kept.upkeep.event('command.ready', 's');
    await kept.written('tries', 2);
  });

  test('times can be given once for all', async (context) => {
    const kept = await keep(
      context,
      `
defaults: {health: {every: 30ms, failures: 2, onUnhealthy: ignore}}
commands:
  s: {run: ${SERVICE}, health: {exec: 'false'}}
  t: {run: ${SERVICE}, health: {exec: 'false', onUnhealthy: fail}}
`,
    );
    expect(await kept.upkeep.event('command.unhealthy', 's')).toMatchObject({ next: 'ignore' });
    expect(await kept.upkeep.event('command.unhealthy', 't')).toMatchObject({ next: 'fail' });
  });
});
