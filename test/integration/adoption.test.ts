import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { hasProgram, Namespace, noNamespace, pause } from './namespace.ts';

/** Looks every 50 ms, so that a wrong verdict has many chances. */
const OFTEN = ['--interval', '50ms'];

/** What the kernel calls a Node: `node`, or, of a newer one, `MainThread`. */
const NODE = execFileSync('node', ['-p', 'fs.readFileSync("/proc/self/comm", "utf8").trim()'], {
  encoding: 'utf8',
}).trim();

describe.skipIf(noNamespace)(`what runs already ${noNamespace ?? ''}`, { concurrent: true }, () => {
  const foreign = async (inside: Namespace, words: string[], name: string): Promise<number> => {
    const before = inside.named(name).length;
    inside.run(words);
    await expect(
      new Promise<void>((resolve, reject) => {
        const begun = performance.now();
        const look = (): void => {
          if (inside.named(name).length > before) resolve();
          else if (performance.now() - begun > 30_000) reject(new Error(`${name} did not start`));
          else setTimeout(look, 20);
        };
        look();
      }),
    ).resolves.toBeUndefined();
    return inside.named(name).at(-1)!.pid;
  };

  test('is adopted by its name on a cold start, and started when it dies', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const daemon = inside.install('daemon.sh', 'alpha');
    const pid = await foreign(inside, [daemon], 'alpha');
    const upkeep = await inside.upkeep([daemon]);
    expect(await upkeep.event('command.running', 'alpha')).toMatchObject({
      how: 'adopted',
      leader: { pid, rule: 'name' },
    });
    inside.kill(pid, 'SIGKILL');
    expect(await upkeep.event('command.died', 'alpha')).toMatchObject({
      id: { pid },
      exit: { known: false },
    });
    expect(await upkeep.event('command.running', 'alpha', 2)).toMatchObject({ how: 'started' });
  });

  test('is stopped with everything else once adopted', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const daemon = inside.install('daemon.sh', 'alpha');
    const pid = await foreign(inside, [daemon], 'alpha');
    const upkeep = await inside.upkeep([daemon]);
    await upkeep.running('alpha');
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    expect(inside.isAlive(pid)).toBe(false);
  });

  test('is left alone with --no-adopt, and one of its own is started beside it', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const daemon = inside.install('daemon.sh', 'alpha');
    const pid = await foreign(inside, [daemon], 'alpha');
    const upkeep = await inside.upkeep([daemon], { args: ['--no-adopt'] });
    const running = await upkeep.event('command.running', 'alpha');
    expect(running.how).toBe('started');
    expect(running.leader.pid).not.toBe(pid);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
    expect(inside.isAlive(pid)).toBe(true);
  });

  test('twice is adopted not at all, and said', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const daemon = inside.install('daemon.sh', 'alpha');
    const one = await foreign(inside, [daemon], 'alpha');
    const two = await foreign(inside, [daemon], 'alpha');
    const upkeep = await inside.upkeep([daemon]);
    const running = await upkeep.event('command.running', 'alpha');
    expect(running.how).toBe('started');
    const said = upkeep.events('upkeep.notice', 'alpha')[0]!.message;
    expect(said).toContain(String(one));
    expect(said).toContain(String(two));
    expect(said).toContain('--no-adopt');
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
    expect(inside.isAlive(one) && inside.isAlive(two)).toBe(true);
  });

  test('once, for two commands of that name, is adopted by neither', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const daemon = inside.install('daemon.sh', 'alpha');
    const pid = await foreign(inside, [daemon], 'alpha');
    const upkeep = await inside.upkeep([daemon, `${daemon} --fork`]);
    const [one, two] = await upkeep.running('alpha', 'alpha-2');
    expect(new Set([pid, one, two]).size).toBe(3);
    expect(upkeep.events('upkeep.notice')[0]!.message).toContain('cannot tell whose process');
  });

  test('of a name that merely holds the command’s, or holds it in its arguments, is not adopted', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const daemon = inside.install('daemon.sh', 'alp');
    const others = [
      inside.install('daemon.sh', 'alpha'),
      inside.install('daemon.sh', 'xalp'),
      inside.install('daemon.sh', 'al'),
    ];
    const pids: number[] = [];
    for (const other of others)
      pids.push(await foreign(inside, [other, '--say', daemon], other.split('/').at(-1)!));
    const upkeep = await inside.upkeep([daemon]);
    const running = await upkeep.event('command.running', 'alp');
    expect(running.how).toBe('started');
    expect(pids).not.toContain(running.leader.pid);
  });

  test('under the interpreter alone does not stand for a script', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const app = inside.write('app.mjs', 'setInterval(() => {}, 1e9);');
    const other = inside.write('other.mjs', 'setInterval(() => {}, 1e9);');
    const wrong = await foreign(inside, ['node', other, app], NODE);
    const upkeep = await inside.upkeep([`node ${app}`]);
    const running = await upkeep.event('command.running', 'app');
    expect(running.how).toBe('started');
    expect(running.leader.pid).not.toBe(wrong);
    inside.kill(upkeep.pid, 'SIGKILL');
    await upkeep.ended();
  });

  test('as a script of its interpreter is adopted', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const app = inside.write('app.mjs', 'setInterval(() => {}, 1e9);');
    const pid = await foreign(inside, ['node', app], NODE);
    const upkeep = await inside.upkeep([`node ${app}`]);
    expect(await upkeep.event('command.running', 'app')).toMatchObject({
      how: 'adopted',
      leader: { pid, rule: 'name' },
    });
  });

  test.skipIf(!hasProgram('python3'))(
    'python3 other.py is not adopted for python3 app.py (needs python3)',
    async (context) => {
      const inside = await new Namespace(context).idleInit();
      const text = 'import time\ntime.sleep(1e6)\n';
      const app = inside.write('app.py', text);
      const wrong = await foreign(
        inside,
        ['/usr/bin/python3', inside.write('other.py', text), app],
        'python3',
      );
      const upkeep = await inside.upkeep([`/usr/bin/python3 ${app}`]);
      const running = await upkeep.event('command.running', 'app');
      expect(running.how).toBe('started');
      expect(running.leader.pid).not.toBe(wrong);
    },
  );

  test('upkeep itself, which has every command in its arguments, is never taken for one', async (context) => {
    const inside = new Namespace(context);
    // "node" and "upkeep.js" are what it goes by itself.
    const upkeep = await inside.upkeep(
      ['node -e "setInterval(() => {}, 1e9)"', `upkeep.js: ${inside.install('daemon.sh', 'upkeep.js')}`],
      { args: OFTEN },
    );
    await upkeep.event('command.running', 'node');
    await upkeep.event('command.running', 'upkeep.js');
    for (const running of upkeep.events('command.running')) {
      expect(running.how).toBe('started');
      expect(running.leader.pid).not.toBe(1);
    }
  });

  test('and appears later does not satisfy a command that upkeep started', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const daemon = inside.install('daemon.sh', 'alpha');
    const upkeep = await inside.upkeep([`${daemon} --fork`], { args: OFTEN });
    const [mine] = await upkeep.daemons('alpha');
    const { length } = upkeep.events('command.running', 'alpha');
    const other = await foreign(inside, [daemon], 'alpha');
    // A look or two at both.
    await pause(300);
    inside.kill(mine!, 'SIGKILL');
    expect(await upkeep.event('command.died', 'alpha')).toMatchObject({
      id: { pid: mine },
      remains: { tagged: 0 },
    });
    const back = await upkeep.event('command.running', 'alpha', length + 1);
    expect(back.how).toBe('started');
    expect(back.leader.pid).not.toBe(other);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
    expect(inside.isAlive(other)).toBe(true);
  });
});
