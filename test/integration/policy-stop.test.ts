import { describe, expect, test } from 'vitest';
import { type Namespace, noNamespace } from './namespace.ts';
import { type Kept, keep } from './policies.ts';

/** Writes the signals that it is sent into the file NAME.got, and ends by none of them but those named behind. */
const catching = (name: string, ...fatal: readonly string[]): string => {
  const traps = ['TERM', 'INT', 'QUIT', 'USR1', 'HUP'].map(
    (signal) => `trap "echo ${signal} >> ${name}.got${fatal.includes(signal) ? '; exit 0' : ''}" ${signal}`,
  );
  return `'${traps.join('; ')}; echo up; while :; do sleep 0.05; done'`;
};

async function caught(kept: Kept, ...names: readonly string[]): Promise<void> {
  await kept.upkeep.running(...names);
  for (const name of names) {
    await kept.upkeep.until(`the traps of ${name}`, () => kept.upkeep.said(name).length > 0);
  }
}

describe.skipIf(noNamespace)(`stopping as the policy says ${noNamespace ?? ''}`, { concurrent: true }, () => {
  const quick = (kept: Kept): void => {
    expect(kept.upkeep.events('supervisor.stopped')[0]!.took).toBeLessThan(30_000);
  };

  test('signal: what is sent instead of TERM', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
defaults: {cwd: ${dir}}
commands:
  s: {run: ${catching('s', 'INT')}, stop: {signal: INT}}
  t: {run: ${catching('t', 'TERM')}}
`,
    );
    await caught(kept, 's', 't');
    expect(await kept.upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    expect(kept.linesOf('s.got')).toEqual(['INT']);
    expect(kept.linesOf('t.got')).toEqual(['TERM']);
    expect(kept.upkeep.events('command.stopping', 's')[0]).toMatchObject({ how: 'SIGINT' });
    quick(kept);
  });

  test('signals: one after the other, each when the time of the one before is over', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
defaults: {cwd: ${dir}}
commands:
  s: {run: ${catching('s', 'QUIT')}, stop: {signals: [HUP, 300ms, SIGINT, 0.3, QUIT, 1h, KILL]}}
  k: {run: ${catching('k')}, stop: {signals: [TERM, 5s, KILL]}}
  soon: {run: ${catching('soon', 'USR1')}, stop: {signals: [USR1, 30s, INT]}}
`,
    );
    await caught(kept, 's', 'k', 'soon');
    expect(await kept.upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    // By their numbers: so a shell takes them if it was slow to take the first.
    expect(kept.linesOf('s.got')).toEqual(['HUP', 'INT', 'QUIT']);
    expect(kept.linesOf('k.got')).toEqual(['TERM']);
    expect(kept.upkeep.events('command.stopped', 'k')[0]).toMatchObject({ exit: { signal: 'SIGKILL' } });
    expect(kept.linesOf('soon.got')).toEqual(['USR1']);
    const { took } = kept.upkeep.events('command.stopped', 's')[0]!;
    expect(took).toBeGreaterThanOrEqual(590);
    quick(kept);
  });

  test('timeout: the most that a stop may take', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
defaults: {cwd: ${dir}}
commands:
  s: {run: ${catching('s')}, stop: {timeout: 5s}}
`,
    );
    await caught(kept, 's');
    expect(await kept.upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    expect(kept.linesOf('s.got')).toEqual(['TERM']);
    expect(kept.upkeep.events('command.stopped', 's')[0]).toMatchObject({ exit: { signal: 'SIGKILL' } });
    quick(kept);
  });

  test.for(['stop: STOP', 'stop: {command: STOP}', 'stop: {command: [sh, -c, STOP]}'])(
    'a command that stops it: %s',
    async (said, context) => {
      const how = (dir: string) =>
        said.replace(
          /STOP/,
          `"echo $GREETING $0 >> ${dir}/asked; echo stopping; kill -USR1 $(cat ${dir}/pid)"`,
        );
      const kept = await keep(
        context,
        ({ dir }) => `
commands:
  s:
    run: ${catching('s', 'USR1').replace("'", () => `'echo $$$$ > ${dir}/pid; `)}
    cwd: ${dir}
    env: {GREETING: hello}
    ${how(dir)}
`,
      );
      await caught(kept, 's');
      expect(await kept.upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
      expect(kept.linesOf('asked')[0]).toMatch(/^hello /);
      expect(kept.linesOf('s.got')[0]).toBe('USR1');
      expect(kept.upkeep.said('s').map(({ line }) => line)).toContain('stopping');
      expect(kept.upkeep.events('command.stopping', 's')[0]).toMatchObject({ how: 'its own stop command' });
      quick(kept);
    },
  );

  test('a command and signals: they follow for what is left', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s:
    run: ${catching('s', 'INT')}
    cwd: ${dir}
    stop: {command: exit 4, signals: [HUP, 200ms, INT]}
`,
    );
    await caught(kept, 's');
    expect(await kept.upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    expect(kept.linesOf('s.got')).toEqual(['HUP', 'INT']);
    expect(kept.upkeep.events('upkeep.notice', 's')[0]!.message).toContain('exited with status 4');
  });

  test('the stop command of an init script is used, where the policy says nothing else', async (context) => {
    const script = (inside: Namespace, name: string) =>
      inside.write(
        `init.d/${name}`,
        `#!/bin/sh
case $1 in
start) ${inside.install('daemon.sh', `${name}d`)} --fork ;;
stop) echo asked > ${inside.dir}/${name}.asked; pkill -x ${name}d ;;
esac
`,
      );
    const kept = await keep(
      context,
      (inside) => `
commands:
  a: ${script(inside, 'a')} start
  b: {run: '${script(inside, 'b')} start', stop: {signal: TERM}}
`,
    );
    await kept.upkeep.running('a', 'b');
    expect(await kept.upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    expect(kept.has('a.asked')).toBe(true);
    expect(kept.has('b.asked')).toBe(false);
  });

  test('defaults: a command that says only how long still stops as they say', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
defaults: {cwd: ${dir}, stop: {signal: INT}}
commands:
  s: {run: ${catching('s', 'INT')}, stop: {timeout: 20s}}
  t: {run: ${catching('t', 'QUIT')}, stop: {signal: QUIT}}
`,
    );
    await caught(kept, 's', 't');
    expect(await kept.upkeep.stop()).toMatchObject({ code: 0 });
    expect(kept.linesOf('s.got')).toEqual(['INT']);
    expect(kept.linesOf('t.got')).toEqual(['QUIT']);
  });

  test.for([
    { stragglers: null, gone: ['worker'], stays: ['apart'] },
    { stragglers: 'stop-workers', gone: ['worker'], stays: ['apart'] },
    { stragglers: 'stop-all', gone: ['worker', 'apart'], stays: [] },
    { stragglers: 'keep', gone: [] as string[], stays: ['worker', 'apart'] },
  ])('stragglers: $stragglers, when its leader has died', async ({ stragglers, gone, stays }, context) => {
    const kept = await keep(
      context,
      (inside) => `
commands:
  s:
    run: |
      test -e ${inside.dir}/second && exec sleep 1000
      : > ${inside.dir}/second
      ${inside.install('daemon.sh', 'worker')} &
      setsid ${inside.install('daemon.sh', 'apart')} &
      exec sleep 1000
    ${stragglers === null ? '' : `stop: {stragglers: ${stragglers}}`}
`,
    );
    const { upkeep, inside } = kept;
    const [pid] = await upkeep.running('s');
    await upkeep.until('both', () => inside.named('worker').length + inside.named('apart').length === 2);
    await inside.end(pid!);
    await upkeep.event('command.running', 's', 2);
    for (const name of gone) expect(inside.named(name), name).toEqual([]);
    for (const name of stays) expect(inside.named(name), name).toHaveLength(1);
    // At the end there is nobody whom it keeps.
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('grace: the time for everything; of a policy it counts more than the option', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
defaults: {cwd: ${dir}}
commands: {s: {run: ${catching('s')}}}
container: {grace: 5s}
`,
    );
    await caught(kept, 's');
    expect(await kept.upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    expect(kept.upkeep.events('supervisor.stopping')[0]).toMatchObject({ budget: 5_000 });
    quick(kept);
  });

  test('grace: those who stop later have time left when one before them takes it all', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
defaults: {cwd: ${dir}}
commands:
  db: {run: ${catching('db', 'TERM')}}
  web: {run: ${catching('web')}, requires: db}
container: {grace: 10s}
`,
    );
    await caught(kept, 'db', 'web');
    expect(await kept.upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    expect(kept.upkeep.events('command.stopped', 'web')[0]).toMatchObject({ exit: { signal: 'SIGKILL' } });
    expect(kept.linesOf('db.got')).toEqual(['TERM']);
    expect(kept.upkeep.events('command.stopped', 'db')[0]).toMatchObject({ exit: { code: 0 } });
  });
});
