import { describe, expect, test } from 'vitest';
import { noNamespace } from './namespace.ts';
import { keep } from './policies.ts';

const SERVICE = 'exec sleep 1000';
/** Runs until the file is there, and exits with a status. */
const until = (dir: string, file: string, code: number) =>
  `'until test -e ${dir}/${file}; do sleep 0.05; done; exit ${code}'`;

describe.skipIf(noNamespace)(`the end of the container ${noNamespace ?? ''}`, { concurrent: true }, () => {
  test.for(['', 'container: {exitWhen: never}'])(
    '%s: it goes on whatever happens',
    async (container, context) => {
      const { upkeep } = await keep(
        context,
        `
commands:
  done: {run: 'true', kind: oneshot}
  failed: {run: exit 1, restart: never}
${container}
`,
      );
      await upkeep.event('command.completed', 'done');
      await upkeep.event('command.failed', 'failed');
      expect(await upkeep.stop()).toMatchObject({ code: 0 });
      expect(upkeep.events('supervisor.stopping')).toMatchObject([{ reason: 'SIGTERM' }]);
    },
  );

  test('all-done: when all have done what they were for', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  a: {run: ${until(dir, 'a', 0)}, kind: oneshot}
  b: {run: ${until(dir, 'b', 0)}, restart: on-failure}
container: {exitWhen: all-done}
`,
    );
    await kept.upkeep.running('a', 'b');
    kept.touch('a');
    await kept.upkeep.event('command.completed', 'a');
    expect(kept.upkeep.events('supervisor.stopping')).toEqual([]);
    kept.touch('b');
    expect(await kept.upkeep.ended()).toMatchObject({ code: 0 });
    expect(kept.upkeep.events('supervisor.stopping')).toMatchObject([{ reason: 'all commands are done' }]);
  });

  test('all-done: with 10 where one has failed', async (context) => {
    const { upkeep } = await keep(
      context,
      `
commands:
  a: {run: 'true', kind: oneshot}
  b: {run: exit 3, kind: oneshot}
container: {exitWhen: all-done}
`,
    );
    expect(await upkeep.ended()).toMatchObject({ code: 10 });
    expect(upkeep.events('command.completed', 'a')).toHaveLength(1);
  });

  test('any-failed: with 10, as soon as one has', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  a: {run: 'true', kind: oneshot}
  b: {run: ${until(dir, 'b', 4)}, kind: oneshot}
  c: {run: ${SERVICE}}
container: {exitWhen: any-failed}
`,
    );
    await kept.upkeep.running('b', 'c');
    await kept.upkeep.event('command.completed', 'a');
    expect(kept.upkeep.events('supervisor.stopping')).toEqual([]);
    kept.touch('b');
    expect(await kept.upkeep.ended()).toMatchObject({ code: 10 });
    expect(kept.upkeep.events('command.stopped', 'c')).toHaveLength(1);
  });

  test('any-failed: a service without any limit has one', async (context) => {
    const { upkeep } = await keep(
      context,
      `
commands: {s: {run: exit 1, backoff: {first: 20ms, max: 20ms}}}
container: {exitWhen: any-failed}
`,
    );
    expect(await upkeep.ended()).toMatchObject({ code: 10 });
    expect(upkeep.events('command.launched')).toHaveLength(5);
  });

  test.for([
    { code: 0, ends: 0 },
    { code: 7, ends: 7 },
  ])('"NAME done": with its own exit status ($code)', async ({ code, ends }, context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  main: {run: ${until(dir, 'go', code)}, restart: on-failure, successCodes: [0, 7]}
  other: {run: 'true', kind: oneshot}
  side: {run: ${SERVICE}}
container: {exitWhen: main done}
`,
    );
    const { upkeep } = kept;
    await upkeep.running('main', 'side');
    await upkeep.event('command.completed', 'other');
    expect(upkeep.events('supervisor.stopping')).toEqual([]);
    kept.touch('go');
    expect(await upkeep.ended()).toMatchObject({ code: ends });
    expect(upkeep.events('supervisor.stopping')).toMatchObject([{ reason: 'main is done' }]);
    expect(upkeep.events('supervisor.stopped')).toMatchObject([{ left: 0 }]);
  });

  test('"NAME done": its failure for good ends it as well, with its status', async (context) => {
    const { upkeep } = await keep(
      context,
      `
commands:
  main: {run: exit 5, kind: oneshot, retries: 1, backoff: {first: 20ms}}
  side: {run: ${SERVICE}}
container: {exitWhen: main done}
`,
    );
    expect(await upkeep.ended()).toMatchObject({ code: 5 });
    expect(upkeep.events('command.launched', 'main')).toHaveLength(2);
  });

  test('exitCodeFrom: whose exit status the container has', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  tests: {run: ${until(dir, 'go', 3)}, kind: oneshot}
  main: {run: ${until(dir, 'end', 0)}, kind: oneshot}
  side: {run: ${SERVICE}}
container: {exitWhen: main done, exitCodeFrom: tests}
`,
    );
    const { upkeep } = kept;
    kept.touch('go');
    await upkeep.event('command.failed', 'tests');
    expect(upkeep.events('supervisor.stopping')).toEqual([]);
    kept.touch('end');
    expect(await upkeep.ended()).toMatchObject({ code: 3 });
  });

  test('exitCodeFrom: of one killed by a signal as a shell would say it', async (context) => {
    const { upkeep, inside } = await keep(
      context,
      `
commands: {main: {run: ${SERVICE}, restart: never}}
container: {exitWhen: any-failed, exitCodeFrom: main}
`,
    );
    const [pid] = await upkeep.running('main');
    await inside.end(pid!, 'SIGHUP');
    expect(await upkeep.until('its end', () => upkeep.child.exitCode)).toBe(128 + 1);
  });

  test('exitCodeFrom: whoever asks for a stop gets upkeep’s own', async (context) => {
    const { upkeep } = await keep(
      context,
      `
commands:
  tests: {run: exit 3, kind: oneshot}
container: {exitCodeFrom: tests}
`,
    );
    await upkeep.event('command.failed', 'tests');
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });

  test('a schedule is never done, and keeps nobody from being so', async (context) => {
    const { upkeep } = await keep(
      context,
      `
commands:
  tick: {run: 'true', schedule: '* * * * * *'}
  once: {run: 'sleep 2', kind: oneshot}
container: {exitWhen: all-done}
`,
    );
    expect(await upkeep.ended()).toMatchObject({ code: 0 });
    expect(upkeep.events('command.completed', 'once')).toHaveLength(1);
  });

  test('--exit-on-failed counts beside the policy', async (context) => {
    const { upkeep } = await keep(context, 'commands: {s: {run: exit 1, restart: never}}', {
      args: ['--exit-on-failed=s'],
    });
    expect(await upkeep.ended()).toMatchObject({ code: 10 });
  });
});
