import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Cgroup, createCgroup } from '../chaos/cgroup.ts';
import { hasProgram, Namespace, noNamespace } from './namespace.ts';
import { ask } from './policies.ts';

const MIB = 2 ** 20;

/** Takes as much memory as it is told, in MiB, and then does the rest as perl. */
const EATER = `#!/usr/bin/perl
my ($mib, $rest) = @ARGV;
# Not at once: whoever has a limit is to reach it, not to be refused.
my @eaten = map { 'x' x ${MIB} . $_ } 1 .. $mib;
eval $rest;
`;

const needs = noNamespace ?? (hasProgram('perl') ? null : 'these tests need perl');

describe.skipIf(needs)(`what is found out about a death ${needs ?? ''}`, { concurrent: true }, () => {
  test('the memory that it took, of a foreground program and of a daemon', async (context) => {
    const inside = new Namespace(context);
    const eater = inside.write('eater', EATER);
    const upkeep = await inside.upkeep([
      `front: ${eater} 100 'sleep 3; exit 3'`,
      `back: sh -c '${eater} 100 "sleep 3; exit 4" & exit 0'`,
      `large: ${eater} 150 'exit 5'`,
      `small: sh -c 'exit 6'`,
    ]);
    for (const [name, code] of [
      ['front', 3],
      ['back', 4],
    ] as const) {
      const died = await upkeep.event('command.died', name);
      expect(died).toMatchObject({ exit: { known: true, code }, oom: false });
      expect(died.peak).toBeGreaterThan(100 * MIB);
      expect(died.peak).toBeLessThan(130 * MIB);
    }
    const failed = await upkeep.event('command.failedStart', 'large');
    expect(failed).toMatchObject({ exit: { code: 5 }, oom: false });
    expect(failed.peak).toBeGreaterThan(150 * MIB);
    // Less than what upkeep itself had in use.
    expect(await upkeep.event('command.failedStart', 'small')).toMatchObject({ oom: false, peak: null });
    // Of the last end it is told who asks, too.
    const status = await ask(inside, ['status', '--json', '--socket', join(inside.dir, 'sock')]);
    expect(JSON.parse(status.stdout).commands.map(({ lastOom }: { lastOom: unknown }) => lastOom)).toEqual(
      Array(4).fill(false),
    );
    // Each is somebody’s: nobody waits for a launcher any more but upkeep.
    await upkeep.until('nobody unreaped', () => inside.zombies().length === 0);
  });

  test.skipIf(!hasProgram('prlimit'))(
    'that a foreground program dumped core, and its last words (needs prlimit)',
    async (context) => {
      const inside = new Namespace(context);
      const upkeep = await inside.upkeep([`web: sh -c 'sleep 2; echo "no such table" >&2; kill -SEGV $$'`], {
        prefix: ['prlimit', '--core=unlimited:unlimited'],
      });
      const died = await upkeep.event('command.died', 'web');
      expect(died).toMatchObject({
        exit: { known: true, code: null, signal: 'SIGSEGV', core: true },
        lastLines: ['no such table'],
      });
      expect(died.message).toContain('core dumped');
    },
  );

  test('nothing is known of the memory of one that was adopted', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const eater = inside.write('eater', EATER);
    const first = await inside.upkeep([`${eater} 100 'sleep 1000'`]);
    const [pid] = await first.running('eater');
    await inside.end(first.pid);
    await first.ended();
    const second = await inside.upkeep([`${eater} 100 'sleep 1000'`]);
    expect(await second.running('eater')).toEqual([pid]);
    await inside.end(pid!);
    expect(await second.event('command.died', 'eater')).toMatchObject({ exit: { known: false }, peak: null });
  });
});

let groups = 0;

/** A control group with so much memory, or why there is none. */
function memoryGroup(limit: number): Cgroup | { readonly missing: string } {
  const name = `upkeep-test-crash-${process.pid}-${groups++}`;
  const group = createCgroup('memory', name);
  if ('missing' in group) return group;
  try {
    group.limit(limit);
    return group;
  } catch (error) {
    group.remove();
    return { missing: `no limit can be set: ${(error as Error).message}` };
  }
}

const noGroup = ((): string | null => {
  if (needs !== null) return needs;
  const group = memoryGroup(200 * MIB);
  if ('missing' in group) return group.missing;
  group.remove();
  return null;
})();

describe.skipIf(noGroup)(`when memory has run out ${noGroup ?? ''}`, () => {
  /** upkeep, and what it starts, with 250 MiB of memory. */
  async function open(context: ConstructorParameters<typeof Namespace>[0]) {
    const group = memoryGroup(250 * MIB) as Cgroup;
    // What is said first is done last: nobody may be in the group any more.
    context.onTestFinished(() => group.remove());
    const inside = new Namespace(context);
    const eater = inside.write('eater', EATER);
    const start = async (commands: readonly string[]) => {
      // It waits to be put into the group, and is upkeep then.
      const gate = inside.write('gate', '', 0o666);
      const wait = `until [ -s ${gate} ]; do sleep 0.05; done; exec "$@"`;
      const starting = inside.upkeep(commands, {
        args: ['--interval', '500ms'],
        prefix: ['sh', '-c', wait, 'sh'],
      });
      const upkeep = await starting;
      group.add(hostPidOf(upkeep.child.pid!));
      inside.write('gate', 'go', 0o666);
      return upkeep;
    };
    return { inside, eater, start };
  }

  /** The init of the namespace that this unshare has made. */
  const hostPidOf = (unshare: number): number =>
    Number(readFileSync(`/proc/${unshare}/task/${unshare}/children`, 'latin1').trim().split(' ')[0]);

  test('an end by the OOM killer is told as such, one by somebody else is not', async (context) => {
    const { inside, eater, start } = await open(context);
    const upkeep = await start([
      `leaks: ${eater} 20 'sleep 2; push @eaten, "x" x ${MIB} . $_ for 1 .. 1000'`,
      'calm: sleep 1000',
    ]);
    const died = await upkeep.event('command.died', 'leaks');
    expect(died).toMatchObject({ exit: { signal: 'SIGKILL', known: true }, oom: true });
    expect(died.peak).toBeGreaterThan(100 * MIB);
    expect(died.peak).toBeLessThanOrEqual(250 * MIB);
    expect(died.message).toMatch(
      /killed by SIGKILL \(out of memory: the kernel's OOM killer; it had taken \d+ MiB\) after/,
    );
    const [calm] = await upkeep.running('calm');
    inside.kill(calm!, 'SIGKILL');
    expect(await upkeep.event('command.died', 'calm')).toMatchObject({
      exit: { signal: 'SIGKILL' },
      oom: false,
      peak: null,
    });
    expect(inside.isAlive(1)).toBe(true);
  });

  test('a shell whose child the OOM killer took is no riddle', async (context) => {
    const { eater, start } = await open(context);
    // Later than what the cgroup has counted before is asked for.
    const upkeep = await start([`web: sh -c 'sleep 2; ${eater} 1000; exit $?'`]);
    const failed = await upkeep.event('command.died', 'web');
    expect(failed).toMatchObject({ exit: { code: 137, signal: null }, oom: true });
    expect(failed.message).toContain('exited with status 137 (out of memory');
  });

  test('a worker that was taken is told of, though its leader lives', async (context) => {
    const { inside, eater, start } = await open(context);
    const once = `test -e ${inside.dir}/eaten || { sleep 2; touch ${inside.dir}/eaten; ${eater} 1000; }`;
    const upkeep = await start([`web: sh -c '${once}; exec sleep 1000'`]);
    const [pid] = await upkeep.running('web');
    const notice = await upkeep.until('a notice', () =>
      upkeep.events('upkeep.notice').find(({ message }) => message.includes('the kernel has killed')),
    );
    expect(notice).toMatchObject({ level: 'warn', command: null });
    expect(notice.message).toContain('1 process that leads no command');
    expect(inside.isAlive(pid!)).toBe(true);
    expect(upkeep.events('command.died')).toEqual([]);
    // It was told once, and explains no later death.
    await inside.end(pid!);
    expect(await upkeep.event('command.died', 'web')).toMatchObject({ oom: false });
    await upkeep.stop();
    expect(upkeep.lines.filter(({ message }) => /kernel has killed/.test(message ?? ''))).toHaveLength(1);
  });
});
