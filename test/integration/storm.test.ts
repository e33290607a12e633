import { describe, expect, test } from 'vitest';
import { Namespace, noNamespace, pause, until } from './namespace.ts';

describe.skipIf(noNamespace)(`a storm of kills ${noNamespace ?? ''}`, () => {
  test('100 commands, a random one killed every 10 ms: each comes back, once', async (context) => {
    const inside = new Namespace(context);
    const daemon = inside.install('daemon.sh', 'storm');
    const names = Array.from({ length: 100 }, (_, index) => `s${index}`);
    const upkeep = await inside.upkeep(
      names.map((name, index) => `${name}: ${daemon} ${['', '--fork', '--double'][index % 3]}`),
    );
    await upkeep.running(...names);
    // A run of ten seconds is a stable one, after which the first restart comes at once.
    const since = Math.max(...upkeep.events('command.running').map(({ at }) => at));
    const clock = performance.now();
    await until('ten seconds', () => performance.now() - clock > 11_000 || null);
    expect(upkeep.events('command.died')).toEqual([]);
    const first = new Set<number>();
    const storm = performance.now();
    let kills = 0;
    while (performance.now() - storm < 10_000 || kills <= 50) {
      const alive = inside.named('storm');
      const victim = alive[Math.floor(Math.random() * alive.length)];
      if (victim !== undefined && inside.kill(victim.pid, 'SIGKILL')) {
        first.add(victim.pid);
        kills++;
      }
      await pause(10);
    }
    for (const name of names) {
      const [died] = upkeep.events('command.died', name);
      if (died !== undefined) expect(died).toMatchObject({ wait: 0 });
      if (died !== undefined) expect(died.at).toBeGreaterThan(since);
    }
    await upkeep.until('100 processes', () => inside.named('storm').length === 100);
    // Who was killed young waits before the next try: all are there, and each is its command's own.
    await upkeep.until('a leader for each', () => {
      const leaders = new Set(names.map((name) => upkeep.events('command.running', name).at(-1)!.leader.pid));
      const alive = inside.named('storm').map(({ pid }) => pid);
      return alive.length === 100 && alive.every((pid) => leaders.has(pid));
    });
    await until('no zombies', () => inside.zombies().length === 0);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });
});
