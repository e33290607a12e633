import { describe, expect, test } from 'vitest';
import { noNamespace } from './namespace.ts';
import { ask, keep } from './policies.ts';

const SERVICE = 'exec sleep 1000';
const QUICK = 'backoff: {first: 20ms, max: 20ms}';

describe.skipIf(noNamespace)(`restarts ${noNamespace ?? ''}`, { concurrent: true }, () => {
  /** A service that leaves with status 3 on SIGUSR1, with 0 on SIGUSR2. */
  const served = (rules: string) => (inside: { install(fixture: string, name: string): string }) =>
    `
commands:
  s: {run: ${inside.install('daemon.sh', 'served')}, ${rules}}
`;

  test('autostart: false: it rests until it is ordered to start, and so does a new one of a reload', async (context) => {
    const commands = `web: {run: sleep 1001, autostart: false}, app: {run: sleep 1002, requires: web}, log: sleep 1003`;
    const kept = await keep(context, `commands: {${commands}}`);
    const { upkeep } = kept;
    const verb = (...words: string[]) => ask(kept.inside, [...words, '--socket', kept.at('sock')]);
    await upkeep.running('log');
    await upkeep.until('what it waits for', () =>
      upkeep.events('command.waiting', 'app').some((line) => line.for[0] === 'web: ready (it is stopped)'),
    );
    expect(await verb('status', 'web', 'log')).toMatchObject({ code: 0 });
    kept.rewrite(`commands: {${commands}, more: {run: sleep 1004, autostart: false}, late: sleep 1005}`);
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await upkeep.running('late');
    expect(await verb('start', 'web', 'more')).toMatchObject({ code: 0 });
    await upkeep.running('web', 'app', 'more');
    const { lines } = upkeep;
    const order = lines.findIndex(({ event }) => event === 'operator.ordered');
    const started = (name: string): number =>
      lines.findIndex(({ event, command }) => event === 'command.launched' && command === name);
    for (const name of ['web', 'more']) expect(started(name)).toBeGreaterThan(order);
  });

  test('always, where nothing is said: whatever its exit status', async (context) => {
    const { upkeep, inside } = await keep(context, served(QUICK));
    for (const [index, signal] of (['SIGUSR1', 'SIGUSR2', 'SIGKILL'] as const).entries()) {
      const { leader } = await upkeep.event('command.running', 's', index + 1);
      await inside.serving(leader.pid);
      inside.kill(leader.pid, signal);
      expect((await upkeep.event('command.died', 's', index + 1)).restart).toBe(index + 1);
    }
    await upkeep.event('command.running', 's', 4);
  });

  test('on-failure: with status 0 it has done what it was for', async (context) => {
    const { upkeep, inside } = await keep(context, served(`restart: on-failure, ${QUICK}`));
    const [pid] = await upkeep.running('s');
    await inside.serving(pid!);
    inside.kill(pid!, 'SIGUSR1');
    const { leader } = await upkeep.event('command.running', 's', 2);
    await inside.serving(leader.pid);
    inside.kill(leader.pid, 'SIGUSR2');
    expect(await upkeep.event('command.completed', 's')).toMatchObject({ success: true, exit: { code: 0 } });
    expect(upkeep.events('command.launched')).toHaveLength(2);
  });

  test('never: its end is for good, and a failure is one', async (context) => {
    const { upkeep, inside } = await keep(
      context,
      (inside) => `
commands:
  good: {run: ${inside.install('daemon.sh', 'served')}, restart: never}
  bad: {run: ${inside.install('daemon.sh', 'served')}, restart: never}
  broken: {run: exit 7, restart: never}
`,
    );
    const [good, bad] = await upkeep.running('good', 'bad');
    await inside.serving(good!);
    await inside.serving(bad!);
    inside.kill(good!, 'SIGUSR2');
    inside.kill(bad!, 'SIGUSR1');
    expect(await upkeep.event('command.completed', 'good')).toMatchObject({ success: true });
    expect((await upkeep.event('command.failed', 'bad')).reason).toContain('exited with status 3');
    expect((await upkeep.event('command.failed', 'broken')).reason).toContain('exited with status 7');
    expect(upkeep.events('command.launched')).toHaveLength(3);
    expect(upkeep.events('command.died', 'bad')[0]).toMatchObject({ wait: null });
  });

  test('successCodes: exit codes that are no failure', async (context) => {
    const { upkeep, inside } = await keep(
      context,
      (inside) => `
commands:
  s: {run: ${inside.install('daemon.sh', 'served')}, restart: on-failure, successCodes: [3, 4], ${QUICK}}
  once: {run: exit 9, kind: oneshot, successCodes: 9}
  zero: {run: exit 0, kind: oneshot, successCodes: 9}
`,
    );
    const [pid] = await upkeep.running('s');
    expect(await upkeep.event('command.completed', 'once')).toMatchObject({ success: true });
    // Zero is not among them.
    await upkeep.event('command.failed', 'zero');
    await inside.serving(pid!);
    inside.kill(pid!, 'SIGUSR2');
    const { leader } = await upkeep.event('command.running', 's', 2);
    await inside.serving(leader.pid);
    inside.kill(leader.pid, 'SIGUSR1');
    expect(await upkeep.event('command.completed', 's')).toMatchObject({ exit: { code: 3 } });
  });

  test('intensity: one restart more than is borne, and it has failed for good', async (context) => {
    const { upkeep, inside } = await keep(
      context,
      served(`intensity: {restarts: 2, within: 1h}, backoff: {stable: 0, first: 20ms}`),
    );
    for (const round of [1, 2, 3]) {
      const { leader } = await upkeep.event('command.running', 's', round);
      await inside.end(leader.pid);
    }
    expect((await upkeep.event('command.failed', 's')).reason).toBe('more than 2 restarts in 60 min');
    expect(upkeep.events('command.launched')).toHaveLength(3);
    expect(upkeep.events('supervisor.stopping')).toEqual([]);
  });

  test('intensity: 0 restarts bear none', async (context) => {
    const { upkeep } = await keep(
      context,
      'commands: {s: {run: exit 1, intensity: {restarts: 0, within: 1m}}}',
    );
    await upkeep.event('command.failed', 's');
    expect(upkeep.events('command.launched')).toHaveLength(1);
  });

  test('intensity: restarts long ago do not count', async (context) => {
    const { upkeep } = await keep(
      context,
      `
commands:
  s: {run: exit 1, intensity: {restarts: 1, within: 20ms}, backoff: {first: 300ms, factor: 1, jitter: 0}}
`,
    );
    await upkeep.event('command.failedStart', 's', 5);
    expect(upkeep.events('command.failed')).toEqual([]);
  });

  test('onFailed: exit ends the container with 10; ignore does not', async (context) => {
    const { upkeep, inside } = await keep(
      context,
      (inside) => `
commands:
  ignored: {run: exit 1, restart: never, onFailed: ignore}
  vital: {run: ${inside.install('daemon.sh', 'served')}, restart: never, onFailed: exit}
  other: {run: ${SERVICE}}
`,
    );
    const [pid] = await upkeep.running('vital', 'other');
    await upkeep.event('command.failed', 'ignored');
    expect(upkeep.events('supervisor.stopping')).toEqual([]);
    await inside.serving(pid!);
    inside.kill(pid!, 'SIGUSR1');
    expect(await upkeep.ended()).toMatchObject({ code: 10 });
    expect(upkeep.events('supervisor.stopping')[0]).toMatchObject({ reason: 'vital has failed for good' });
    expect(upkeep.events('command.stopped', 'other')).toHaveLength(1);
  });

  test('onFailed: exit without any limit bears five failures in a row', async (context) => {
    const { upkeep } = await keep(context, `commands: {s: {run: exit 1, onFailed: exit, ${QUICK}}}`);
    expect(await upkeep.ended()).toMatchObject({ code: 10 });
    expect(upkeep.events('command.launched')).toHaveLength(5);
  });

  test('backoff: first, factor, max; without jitter the waits are exact', async (context) => {
    const { upkeep } = await keep(
      context,
      'commands: {s: {run: exit 1, settle: 1h, backoff: {first: 40ms, factor: 3, max: 200ms, jitter: 0}}}',
    );
    await upkeep.event('command.failedStart', 's', 5);
    const waits = upkeep.events('command.failedStart').map(({ wait }) => wait);
    expect(waits.slice(0, 5)).toEqual([40, 120, 200, 200, 200]);
    const launched = upkeep.events('command.launched');
    for (const [index, failed] of upkeep.events('command.failedStart').slice(0, 4).entries()) {
      expect(launched[index + 1]!.at - failed.at).toBeGreaterThanOrEqual(failed.wait - 2);
    }
  });

  test('backoff: jitter takes off up to this part', async (context) => {
    const { upkeep } = await keep(
      context,
      'commands: {s: {run: exit 1, backoff: {first: 100ms, factor: 1, jitter: 0.5}}}',
    );
    await upkeep.event('command.failedStart', 's', 8);
    const waits: number[] = upkeep.events('command.failedStart').map(({ wait }) => wait);
    for (const wait of waits) {
      expect(wait).toBeGreaterThanOrEqual(50);
      expect(wait).toBeLessThanOrEqual(100);
    }
    expect(new Set(waits).size).toBeGreaterThan(3);
  });

  test('backoff: stable is how long a run has to be to forget failures', async (context) => {
    const { upkeep, inside } = await keep(
      context,
      (inside) => `
defaults: {backoff: {first: 50ms, factor: 2, jitter: 0}, settle: 50ms}
commands:
  lasting: {run: ${inside.install('daemon.sh', 'served')}, backoff: {stable: 1ms}}
  young: {run: ${inside.install('daemon.sh', 'served')}, backoff: {stable: 1h}}
`,
    );
    for (const round of [1, 2, 3]) {
      for (const name of ['lasting', 'young']) {
        const { leader } = await upkeep.event('command.running', name, round);
        await inside.end(leader.pid);
        await upkeep.event('command.died', name, round);
      }
    }
    const waits = (name: string) => upkeep.events('command.died', name).map(({ wait }) => wait);
    expect(waits('lasting')).toEqual([0, 0, 0]);
    expect(waits('young')).toEqual([50, 100, 200]);
  });

  test('settle: who ends before has failed to start, who ends after has died', async (context) => {
    const kept = await keep(context, ({ dir }) => {
      const wait = `until test -e ${dir}/go; do sleep 0.05; done; exit 3`;
      return `
commands:
  soon: {run: '${wait}', settle: 50ms, restart: never}
  late: {run: '${wait}', settle: 1h, restart: never}
`;
    });
    await kept.upkeep.running('soon');
    kept.touch('go');
    const { upkeep } = kept;
    await upkeep.event('command.failed', 'soon');
    await upkeep.event('command.failed', 'late');
    expect(upkeep.events('command.died').map(({ command }) => command)).toEqual(['soon']);
    expect(upkeep.events('command.failedStart').map(({ command }) => command)).toEqual(['late']);
  });

  test('startTimeout: a launcher that should return and does not is taken for the service', async (context) => {
    const { upkeep } = await keep(context, (inside) => {
      const script = inside.write('init.d/stays', '#!/bin/sh\nexec sleep 1000\n');
      return `
commands:
  short: {run: '${script} start', startTimeout: 100ms}
  long: {run: '${script} start', startTimeout: 1h}
  sign: {run: sleep 1000}
`;
    });
    await upkeep.running('short', 'sign');
    expect(upkeep.events('command.running', 'long')).toEqual([]);
  });

  test('linger: so long the daemon of a launcher that returned is awaited', async (context) => {
    const { upkeep } = await keep(
      context,
      `
commands:
  s: {run: 'true', settle: 1h, linger: 3s, intensity: {restarts: 0, within: 1h}}
  t: {run: 'true', settle: 1h, linger: 1h}
`,
    );
    const failed = await upkeep.event('command.failedStart', 's');
    expect(failed.reason).toContain('left no process');
    expect(failed.at - upkeep.events('command.launched', 's')[0]!.at).toBeGreaterThanOrEqual(2_990);
    expect(upkeep.events('command.failedStart', 't')).toEqual([]);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });
});
