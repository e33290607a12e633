import { describe, expect, test } from 'vitest';
import { hasProgram, Namespace, noNamespace, pause, type Upkeep } from './namespace.ts';

const FORKS = ['--fork', '--double'] as const;
const KINDS = FORKS.flatMap((fork) =>
  ['', '--setsid'].flatMap((session) => ['', '--wipe'].map((wipe) => [fork, session, wipe].join(' ').trim())),
);

/**
 * Waits until the living processes of that name are the leaders of these commands, known by their tags: no launcher is
 * left. Where the machine is slow, a launcher may have led before. @returns the leaders' pids, in the commands' order
 */
async function daemonsOf(
  inside: Namespace,
  upkeep: Upkeep,
  commands: readonly string[],
  process: string,
): Promise<number[]> {
  return upkeep.until(`${commands.length} daemons: ${process}`, () => {
    const leaders = commands.map((name) => upkeep.events('command.running', name).at(-1)?.leader);
    const alive = new Set(inside.named(process).map(({ pid }) => pid));
    const settled = leaders.every((leader) => leader?.rule === 'tag' && alive.has(leader.pid));
    return settled && alive.size === commands.length ? leaders.map((leader) => leader.pid) : null;
  });
}

describe.skipIf(noNamespace)(`daemons ${noNamespace ?? ''}`, { concurrent: true }, () => {
  test.skipIf(!hasProgram('setsid'))(
    'every way of going to the background leaves one leader, known by its tag, and again after its death (needs setsid)',
    async (context) => {
      const inside = new Namespace(context);
      const names = KINDS.map((kind) => `d-${kind.replaceAll(/\W+/g, '')}`);
      const commands = KINDS.map((kind, index) => `${inside.install('daemon.sh', names[index]!)} ${kind}`);
      const upkeep = await inside.upkeep(commands);
      const each = () => Promise.all(names.map((name) => daemonsOf(inside, upkeep, [name], name)));
      const first = (await each()).flat();
      for (const pid of first) await inside.end(pid);
      const second = (await each()).flat();
      expect(new Set([...first, ...second]).size).toBe(2 * names.length);
      expect(upkeep.events('command.failedStart')).toEqual([]);
      expect(upkeep.events('command.launched')).toHaveLength(2 * names.length);
    },
  );

  test('a launcher that takes half a second, or three, before or after its fork, is waited for', async (context) => {
    const inside = new Namespace(context);
    const waits = ['--before 0.5', '--after 0.5', '--before 3', '--after 3', '--before 1.5 --after 1.5'];
    const names = waits.map((_, index) => `slow${index}`);
    const commands = waits.map(
      (wait, index) => `${inside.install('daemon.sh', names[index]!)} --double --setsid ${wait}`,
    );
    const upkeep = await inside.upkeep(commands);
    await upkeep.running(...names);
    for (const name of names) {
      await daemonsOf(inside, upkeep, [name], name);
    }
    expect(upkeep.events('command.launched')).toHaveLength(names.length);
    expect(upkeep.events('command.failedStart')).toEqual([]);
    expect(upkeep.events('command.died')).toEqual([]);
  });

  test('a launcher that fails has failed though it left a daemon, which is not left beside the next', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([`${inside.install('daemon.sh', 'liar')} --fork --exit 4`]);
    const failed = await upkeep.event('command.failedStart', 'liar');
    expect(failed).toMatchObject({ exit: { code: 4 }, wait: 0 });
    await upkeep.event('command.failedStart', 'liar', 3);
    expect(inside.named('liar').length).toBeLessThanOrEqual(2);
    expect(upkeep.events('command.running')).toEqual([]);
  });

  test('40 daemons started at the same moment are kept apart, and each comes back', async (context) => {
    const inside = new Namespace(context);
    const daemon = inside.install('daemon.sh', 'forty');
    const names = Array.from({ length: 40 }, (_, index) => `f${index}`);
    const commands = names.map((name, index) => `${name}: ${daemon} ${KINDS[index % KINDS.length]}`);
    const upkeep = await inside.upkeep(commands);
    const first = await daemonsOf(inside, upkeep, names, 'forty');
    for (const pid of first) await inside.end(pid);
    const second = await daemonsOf(inside, upkeep, names, 'forty');
    expect(new Set([...first, ...second]).size).toBe(80);
    // Each command was told of the death of its own.
    for (const [index, name] of names.entries()) {
      expect(upkeep.events('command.died', name).map(({ id }) => id.pid)).toEqual([first[index]]);
    }
  });

  test('two commands with one basename are two commands', async (context) => {
    const inside = new Namespace(context);
    const daemon = inside.install('daemon.sh', 'twin');
    const upkeep = await inside.upkeep([`${daemon} --fork`, `${daemon} --double`]);
    const both = ['twin', 'twin-2'];
    const [one, two] = await daemonsOf(inside, upkeep, both, 'twin');
    expect(one).not.toBe(two);
    inside.kill(two!, 'SIGKILL');
    await upkeep.event('command.died', 'twin-2');
    const [still, back] = await daemonsOf(inside, upkeep, both, 'twin');
    expect(still).toBe(one);
    expect(back).not.toBe(two);
    expect(upkeep.events('command.died', 'twin')).toEqual([]);
  });

  test('a wrapper that stays is the leader, and its death ends and restarts what it ran', async (context) => {
    const inside = new Namespace(context);
    const wrapper = inside.install('wrapper.sh', 'safe');
    const upkeep = await inside.upkeep([`${wrapper} stay ${inside.install('daemon.sh', 'inner')}`]);
    const [pid] = await upkeep.running('safe');
    expect(inside.process(pid!)!.comm).toBe('safe');
    const inner = (await upkeep.until('its inner', () => inside.named('inner')[0] ?? null)).pid;
    inside.kill(pid!, 'SIGKILL');
    expect(await upkeep.event('command.died', 'safe')).toMatchObject({ remains: { workers: 1 } });
    await upkeep.event('command.running', 'safe', 2);
    expect(inside.isAlive(inner)).toBe(false);
    await upkeep.until('one inner', () => inside.named('inner').length === 1);
  });

  test('the end of what a staying wrapper runs is the wrapper’s business', async (context) => {
    const inside = new Namespace(context);
    const loop = inside.write(
      'loop',
      `#!/bin/sh\nwhile :; do ${inside.install('daemon.sh', 'inner')}; done\n`,
    );
    const upkeep = await inside.upkeep([loop]);
    await upkeep.running('loop');
    const { pid } = await upkeep.until('its inner', () => inside.named('inner')[0] ?? null);
    await inside.end(pid);
    await upkeep.until('another inner', () => inside.named('inner').some((other) => other.pid !== pid));
    expect(upkeep.events('command.died')).toEqual([]);
  });

  test('a wrapper that leaves a process of another name has started the service', async (context) => {
    const inside = new Namespace(context);
    const wrapper = inside.install('wrapper.sh', 'ctl');
    const upkeep = await inside.upkeep([`${wrapper} leave ${inside.install('daemon.sh', 'javad')}`]);
    const [first] = await daemonsOf(inside, upkeep, ['ctl'], 'javad');
    inside.kill(first!, 'SIGKILL');
    await upkeep.event('command.died', 'ctl');
    const [second] = await daemonsOf(inside, upkeep, ['ctl'], 'javad');
    expect(second).not.toBe(first);
  });

  test('of what a launcher leaves, the process of the command’s name leads, else the oldest', async (context) => {
    const inside = new Namespace(context);
    const helper = inside.install('daemon.sh', 'helper');
    const server = inside.install('daemon.sh', 'server');
    const script = `#!/bin/sh\n${helper} --fork\nsleep 0.1\n${server} --fork\n`;
    const upkeep = await inside.upkeep([
      `${inside.write('init.d/server', script)} start`,
      `${inside.write('init.d/bundle', script)} start`,
    ]);
    expect((await upkeep.event('command.running', 'server')).leader.name).toBe('server');
    expect((await upkeep.event('command.running', 'bundle')).leader.name).toBe('helper');
  });

  test('a title that is rewritten, and an environment that is overwritten, change nothing', async (context) => {
    const inside = new Namespace(context);
    const titled = inside.write(
      'titled.mjs',
      `import { spawn } from 'node:child_process';
       if (process.argv[2] === 'daemon') {
         process.title = 'nginx: master process of a very long name that overwrites the environment too '.repeat(4);
         setInterval(() => {}, 1e9);
       } else spawn(process.execPath, [import.meta.filename, 'daemon'], { detached: true, stdio: 'ignore' }).unref();`,
    );
    const upkeep = await inside.upkeep([`titled: node ${titled}`]);
    const [pid] = (await upkeep.daemons('titled')) as [number];
    expect(upkeep.events('command.running', 'titled').at(-1)!.leader.rule).toBe('tag');
    const { length } = upkeep.events('command.running', 'titled');
    await upkeep.until('the title', () => inside.process(pid)!.argv[0]?.startsWith('nginx: master') === true);
    // A few scans see it under its new name.
    await pause(300);
    expect(upkeep.events('command.died')).toEqual([]);
    inside.kill(pid, 'SIGKILL');
    await upkeep.event('command.running', 'titled', length + 1);
  });

  test('a service that dies takes nothing of another’s with it', async (context) => {
    const inside = new Namespace(context);
    const daemon = inside.install('daemon.sh', 'many');
    const wrapper = inside.install('wrapper.sh', 'wrap');
    const upkeep = await inside.upkeep([
      `a: ${wrapper} stay ${daemon}`,
      `b: ${wrapper} stay ${daemon}`,
      `c: ${daemon} --fork`,
    ]);
    const [a] = await upkeep.running('a', 'b', 'c');
    await upkeep.daemons('c');
    await upkeep.until(
      'all of them',
      () => inside.named('many').length === 3 && inside.named('wrap').length === 2,
    );
    const innerOf = (parent: number) => inside.named('many').filter(({ ppid }) => ppid === parent);
    const doomed = innerOf(a!)[0]!.pid;
    const others = inside
      .processes()
      .filter(({ pid, comm }) => ['many', 'wrap'].includes(comm) && pid !== a && pid !== doomed);
    inside.kill(a!, 'SIGKILL');
    await upkeep.event('command.running', 'a', 2);
    expect(inside.isAlive(doomed)).toBe(false);
    for (const { pid } of others) expect(inside.isAlive(pid)).toBe(true);
    expect(upkeep.events('command.died')).toHaveLength(1);
  });
});
