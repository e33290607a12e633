import { describe, expect, test } from 'vitest';
import { hasProgram, Namespace, noNamespace, noOtherUser, until } from './namespace.ts';
import { keep } from './policies.ts';

const noSetpriv = noOtherUser ?? (hasProgram('setpriv') ? null : 'setpriv is not installed');
const QUICK = 'backoff: {first: 20ms, max: 20ms}';

describe.skipIf(noNamespace)(
  `which process is the service ${noNamespace ?? ''}`,
  { concurrent: true },
  () => {
    /** A launcher that leaves two processes, the wrong one first. */
    const twofold = (inside: Namespace, wrong: string, right: string): string =>
      inside.write(
        'launcher',
        `#!/bin/sh
${wrong} &
until test -e ${inside.dir}/wrong; do sleep 0.02; done
${right} &
until test -e ${inside.dir}/right; do sleep 0.02; done
`,
      );
    /** A program that says that it is there, and stays. */
    const program = (inside: Namespace, name: string): string =>
      inside.write(name, `#!/bin/sh\n: > ${inside.dir}/$1\nread -r _ < ${inside.dir}/never\n`);

    test('name: the basename of its program or script', async (context) => {
      const { upkeep, inside } = await keep(
        context,
        (inside) => `
commands:
  s:
    run: ${twofold(inside, `${program(inside, 'helper')} wrong`, `${program(inside, 'server')} right`)}
    match: {name: server}
    ${QUICK}
`,
      );
      const { leader } = await upkeep.event('command.running', 's');
      expect(leader).toMatchObject({ name: 'server', pid: inside.named('server')[0]!.pid });
      // It is the one whose end counts.
      await inside.end(inside.named('helper')[0]!.pid);
      await inside.end(leader.pid);
      await upkeep.event('command.running', 's', 2);
      expect(upkeep.events('command.died', 's')).toHaveLength(1);
      expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    });

    test('pattern: a regular expression for its command line', async (context) => {
      const { upkeep, inside } = await keep(
        context,
        (inside) => `
commands:
  s:
    run: ${twofold(inside, `${program(inside, 'server')} wrong`, `${program(inside, 'server')} right`)}
    match: {pattern: ' right$'}
    settle: 1h
`,
      );
      const { leader } = await upkeep.event('command.running', 's');
      expect(inside.process(leader.pid)!.argv.at(-1)).toBe('right');
    });

    test.skipIf(noSetpriv)(`user: whom it runs as ${noSetpriv ?? ''}`, async (context) => {
      const { upkeep, inside } = await keep(context, (inside) => {
        const server = program(inside, 'server');
        const other = `setpriv --reuid=1000 --regid=1000 --clear-groups ${server} right`;
        return `
commands:
  s:
    run: ${twofold(inside, `${server} wrong`, other)}
    match: {name: server, user: 1000}
    settle: 1h
`;
      });
      const { leader } = await upkeep.event('command.running', 's');
      expect(inside.process(leader.pid)!.argv.at(-1)).toBe('right');
      expect(inside.read(leader.pid, 'status')).toMatch(/^Uid:\s+1000/m);
    });

    test('parent: the basename of its parent’s program', async (context) => {
      const { upkeep, inside } = await keep(context, (inside) => {
        const server = program(inside, 'server');
        const boss = inside.write('boss', `#!/bin/sh\n${server} right &\nwait\n`);
        return `
commands:
  s:
    run: ${twofold(inside, `${server} wrong`, boss)}
    match: {name: server, parent: boss}
    settle: 1h
`;
      });
      const { leader } = await upkeep.event('command.running', 's');
      expect(inside.process(leader.pid)!.argv.at(-1)).toBe('right');
    });

    test('pidFile: it has written its process id there', async (context) => {
      const kept = await keep(context, (inside) => {
        const server = program(inside, 'server');
        const writer = inside.write(
          'writer',
          `#!/bin/sh\necho $$ > ${inside.dir}/s.pid\nexec ${server} right\n`,
        );
        return `
commands:
  s:
    run: ${twofold(inside, `${server} wrong`, writer)}
    match: {pidFile: ${inside.dir}/s.pid}
    ${QUICK}
`;
      });
      const { upkeep } = kept;
      const { leader } = await upkeep.event('command.running', 's');
      expect(leader.pid).toBe(Number(kept.linesOf('s.pid')[0]));
      await kept.inside.end(leader.pid);
      const again = await upkeep.event('command.running', 's', 2);
      expect(again.leader.pid).toBe(Number(kept.linesOf('s.pid')[0]));
    });

    test('count: too few count as dead, too many are told of', async (context) => {
      const kept = await keep(
        context,
        (inside) => `
commands:
  s:
    run: '${inside.write('master', `#!/bin/sh\nfor n in 1 2 3; do ${program(inside, 'worker')} up & done\nwait\n`)}'
    match: {pattern: worker, count: [2, 3]}
    settle: 50ms
    linger: 500ms
    ${QUICK}
  t:
    run: '${inside.dir}/master'
    match: {pattern: worker, count: [1, 2]}
    settle: 50ms
`,
        { args: ['--grace', '60s', '--interval', '200ms'] },
      );
      const { upkeep, inside } = kept;
      await upkeep.running('s', 't');
      await upkeep.until('all of them', () => inside.named('worker').length === 6);
      await upkeep.until('a warning', () =>
        upkeep
          .events('upkeep.notice', 't')
          .some(({ message }) => message.includes('there are 3 processes of it, and 2 at most should be')),
      );
      const parent = inside.process(kept.pidOf('s'))!;
      const own = inside
        .named('worker')
        .filter(({ pid, ppid }) => ppid === parent.pid || ppid === parent.ppid || pid === parent.pid)
        .filter(({ session }) => session === parent.session);
      // One is not enough to be too few.
      await inside.end(own[0]!.pid);
      await inside.end(own[1]!.pid);
      await upkeep.until('the news', () =>
        upkeep
          .events('upkeep.notice', 's')
          .some(({ message }) => message.includes('and 2 at least should be: it counts as dead')),
      );
      await upkeep.event('command.running', 's', 2);
      await upkeep.until('six again', () => inside.named('worker').length === 6);
      expect(upkeep.events('command.launched', 't')).toHaveLength(1);
      expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    });

    test('who runs already is taken over, where all that is given holds', async (context) => {
      const inside = await new Namespace(context).idleInit();
      const server = program(inside, 'server');
      inside.run([server, 'one']);
      inside.run([server, 'two']);
      await until('both', () => inside.named('server').length === 2);
      const { upkeep } = await keep(
        context,
        `
commands:
  one: {run: '${server} one', match: {name: server, pattern: ' one$'}}
  two: {run: '${server} two', match: {name: server, pattern: ' other$'}}
`,
        { within: inside },
      );
      const one = await upkeep.event('command.running', 'one');
      expect(one).toMatchObject({ how: 'adopted', leader: { rule: 'name' } });
      const two = await upkeep.event('command.launched', 'two');
      expect(inside.process(two.pid)!.argv.at(-1)).toBe('two');
      expect(upkeep.events('command.launched', 'one')).toEqual([]);
    });
  },
);
