import { describe, expect, test } from 'vitest';
import { hasProgram, Namespace, noNamespace, noOtherUser, UID } from './namespace.ts';

describe.skipIf(noNamespace)(`commands that cannot work ${noNamespace ?? ''}`, { concurrent: true }, () => {
  test('each is told of with its reason and what to do, and the others run', async (context) => {
    const inside = new Namespace(context);
    const plain = inside.write('plain', '#!/bin/sh\n', 0o644);
    const noFormat = inside.write('noformat', '\u0001\u0002 no program\n');
    const upkeep = await inside.upkeep([
      `missing: ${inside.dir}/there-is-none`,
      'nopath: there-is-none-anywhere',
      `plain: ${plain}`,
      `noformat: ${noFormat}`,
      `folder: ${inside.dir}/`,
      'bad: false',
      'quick: true',
      inside.install('daemon.sh', 'alpha'),
    ]);
    const reasonOf = async (name: string) => (await upkeep.event('command.failedStart', name)).reason;
    expect(await reasonOf('missing')).toContain('there is no such program');
    expect(await reasonOf('nopath')).toContain('there is no such program');
    expect(await reasonOf('plain')).toContain('not executable');
    // Some C libraries hand it to /bin/sh, which fails in its own way.
    const noformat = await upkeep.event('command.failedStart', 'noformat');
    expect(noformat.exit?.code ?? noformat.reason).toSatisfy(
      (how) => how > 0 || String(how).includes('no program that the kernel can run'),
    );
    expect(await reasonOf('folder')).toMatch(/not executable|no directory/);
    expect(await upkeep.event('command.failedStart', 'bad')).toMatchObject({ exit: { code: 1 } });
    expect(await reasonOf('quick')).toContain('one-shot');
    await upkeep.running('alpha');
    expect(upkeep.events('command.running')).toHaveLength(1);
  });

  test('the wait grows from one try to the next, costs nothing, and is told', async (context) => {
    const inside = new Namespace(context);
    const names = ['bad', 'worse', 'gone'];
    const upkeep = await inside.upkeep(['bad: false', 'worse: sh -c "exit 7"', `gone: ${inside.dir}/none`]);
    await Promise.all(names.map((name) => upkeep.event('command.failedStart', name, 2)));
    const before = inside.process(1)!.cpu;
    const since = performance.now();
    await Promise.all(names.map((name) => upkeep.event('command.failedStart', name, 6)));
    const elapsed = performance.now() - since;
    // 10 ms per tick: less than a quarter of one core, on any machine, while it does next to nothing.
    expect((inside.process(1)!.cpu - before) * 10).toBeLessThan(elapsed / 4);
    for (const name of names) {
      const failed = upkeep.events('command.failedStart', name);
      const waits = failed.map(({ wait }) => wait);
      // Each twice the one before, less at most a fifth.
      for (const [index, wait] of waits.entries()) {
        expect(wait).toBeGreaterThanOrEqual(250 * 2 ** index * 0.8 - 1);
        expect(wait).toBeLessThanOrEqual(250 * 2 ** index);
      }
      expect(failed.map(({ failures }) => failures).slice(0, 6)).toEqual([1, 2, 3, 4, 5, 6]);
      // And it is kept.
      for (let index = 1; index < failed.length; index++) {
        expect(failed[index]!.at - failed[index - 1]!.at).toBeGreaterThanOrEqual(waits[index - 1] - 5);
      }
    }
  });

  test('a command that runs and dies young waits as well', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([inside.install('daemon.sh', 'young')]);
    for (let count = 1; count <= 3; count++) {
      const running = await upkeep.event('command.running', 'young', count);
      inside.kill(running.leader.pid, 'SIGKILL');
      const died = await upkeep.event('command.died', 'young', count);
      expect(died.wait).toBeGreaterThanOrEqual(250 * 2 ** (count - 1) * 0.8 - 1);
      expect(died.restart).toBe(count);
    }
  });

  test('--exit-on-failed ends the container with status 10 after five failures', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep(['bad: false', inside.install('daemon.sh', 'alpha')], {
      args: ['--exit-on-failed'],
    });
    expect(await upkeep.ended()).toMatchObject({ code: 10 });
    expect(upkeep.events('command.failedStart', 'bad')).toHaveLength(5);
    expect(upkeep.events('command.failedStart', 'bad').at(-1)!.wait).toBeNull();
    expect(upkeep.events('command.failed', 'bad')).toHaveLength(1);
    expect(upkeep.events('supervisor.stopped')).toMatchObject([{ code: 10, left: 0 }]);
    expect(inside.processes()).toEqual([]);
  });

  test('--exit-on-failed=NAME is for that one alone', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep(['bad: false', inside.install('daemon.sh', 'alpha')], {
      args: ['--exit-on-failed=alpha'],
    });
    await upkeep.event('command.failedStart', 'bad', 6);
    expect(upkeep.events('command.failed')).toEqual([]);
    expect(upkeep.events('command.failedStart', 'bad').at(-1)!.wait).toBeGreaterThan(0);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });

  test('a failed start is told with the last lines of that start', async (context) => {
    const inside = new Namespace(context);
    const script = inside.write(
      'broken',
      '#!/bin/sh\necho "reading conf"\necho "conf:7: no such option" >&2\nexit 2\n',
    );
    const upkeep = await inside.upkeep([script]);
    const failed = await upkeep.event('command.failedStart', 'broken', 2);
    expect(failed.lastLines.toSorted()).toEqual(['conf:7: no such option', 'reading conf']);
  });

  test.skipIf(noOtherUser ?? !hasProgram('prlimit'))(
    `when no more processes are allowed the system is to blame, and it waits a second or more (needs prlimit) ${noOtherUser ?? ''}`,
    async (context) => {
      const inside = new Namespace(context);
      // Nobody else has this user's number: the limit counts all processes of a user, threads too.
      const uid = 61_000 + (process.pid % 1_000);
      const upkeep = await inside.upkeep(
        ['first: sleep 1000', ...Array.from({ length: 12 }, () => 'sleep 1000')],
        {
          prefix: ['setpriv', `--reuid=${uid}`, '--clear-groups', 'prlimit', '--nproc=16:16'],
        },
      );
      const failed = await upkeep.until(
        'a start that failed',
        () => upkeep.events('command.failedStart')[0] ?? null,
      );
      expect(failed.reason).toContain('no more processes are allowed');
      expect(failed.wait).toBeGreaterThanOrEqual(1_000);
      expect(failed.failures).toBe(0);
      expect(UID).not.toBe(uid);
      expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    },
  );
});
