import { describe, expect, test } from 'vitest';
import { Namespace, noNamespace, pause, until } from './namespace.ts';

describe.skipIf(noNamespace)(
  `upkeep, killed and started again ${noNamespace ?? ''}`,
  { concurrent: true },
  () => {
    test('finds its services as they were: restarts none, starts none twice', async (context) => {
      const inside = await new Namespace(context).idleInit();
      const daemon = inside.install('daemon.sh', 'mine');
      const names = Array.from({ length: 20 }, (_, index) => `s${index}`);
      const commands = names.map(
        (name, index) =>
          `${name}: ${daemon} ${['', '--fork', '--double', '--fork --setsid --wipe'][index % 4]}`,
      );
      const first = await inside.upkeep(commands);
      await first.running(...names);
      await until('20 processes', () => inside.named('mine').length === 20);
      const before = inside.named('mine').map(({ pid }) => pid);
      inside.kill(first.pid, 'SIGKILL');
      await first.ended();
      const second = await inside.upkeep(commands);
      for (const name of names) {
        const running = await second.event('command.running', name);
        expect(running).toMatchObject({ how: 'adopted', leader: { rule: 'tag' } });
        expect(before).toContain(running.leader.pid);
      }
      expect(second.events('command.launched')).toEqual([]);
      expect(inside.named('mine').map(({ pid }) => pid)).toEqual(before);
      expect(await second.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
      expect(inside.named('mine')).toEqual([]);
    });

    test('hears at once of the end of what it adopted', async (context) => {
      const inside = await new Namespace(context).idleInit();
      const commands = [inside.install('daemon.sh', 'alpha')];
      const first = await inside.upkeep(commands);
      const [pid] = await first.running('alpha');
      inside.kill(first.pid, 'SIGKILL');
      await first.ended();
      // With an hour between looks, only the kernel can have told of it.
      const second = await inside.upkeep(commands, { args: ['--interval', '1h'] });
      expect(await second.running('alpha')).toEqual([pid]);
      inside.kill(pid!, 'SIGKILL');
      expect(await second.event('command.died', 'alpha')).toMatchObject({
        id: { pid },
        exit: { known: false },
      });
      const back = await second.event('command.running', 'alpha', 2);
      expect(back.how).toBe('started');
      // The end of the one that it started itself is known exactly again.
      inside.kill(back.leader.pid, 'SIGKILL');
      expect(await second.event('command.died', 'alpha', 2)).toMatchObject({ exit: { signal: 'SIGKILL' } });
    });

    test('what its services write goes on, and none of them dies of a closed pipe', async (context) => {
      const inside = await new Namespace(context).idleInit();
      const commands = [`talker: node ${inside.install('talker.mjs', 'talker.mjs')}`];
      const first = await inside.upkeep(commands);
      const [pid] = await first.running('talker');
      await first.until('lines', () => first.said('talker').length > 3);
      inside.kill(first.pid, 'SIGKILL');
      await first.ended();
      // A hundred lines are written with nobody there to read them.
      const written = () => Number(/^syscw: (\d+)/m.exec(inside.read(pid!, 'io'))![1]);
      const before = written();
      await until('a hundred lines', () => written() - before >= 100);
      const second = await inside.upkeep(commands);
      expect(await second.running('talker')).toEqual([pid]);
      await second.until('more lines', () => second.said('talker').length > 5);
      const last = Number(first.said('talker').at(-1)!.line.split(' ')[1]);
      const next = Number(second.said('talker')[0]!.line.split(' ')[1]);
      // What upkeep had read but not yet written when it was killed is lost; nothing else is.
      expect(next).toBeGreaterThan(last);
      expect(next - last).toBeLessThan(50);
    });

    test('a process of a command that it is not given any more is left alone, and told of', async (context) => {
      const inside = await new Namespace(context).idleInit();
      const first = await inside.upkeep(['one: sleep 1001', 'two: sleep 1002']);
      const [pid] = await first.running('two');
      await first.running('one');
      inside.kill(first.pid, 'SIGKILL');
      await first.ended();
      const second = await inside.upkeep(['one: sleep 1001']);
      await second.running('one');
      expect((await second.event('upkeep.notice')).message).toContain(`pid ${pid}: started by this upkeep`);
      await second.stop();
      expect(inside.process(pid!)).toMatchObject({ comm: 'sleep' });
    });

    test('last words of what it adopted, also unfinished ones, come before its death', async (context) => {
      const inside = await new Namespace(context).idleInit();
      const commands = [`${inside.install('daemon.sh', 'alpha')} --say hello --last goodbye`];
      const first = await inside.upkeep(commands);
      const [pid] = await first.running('alpha');
      await first.until('its word', () => first.said('alpha').length > 0);
      inside.kill(first.pid, 'SIGKILL');
      await first.ended();
      const second = await inside.upkeep(commands);
      await second.running('alpha');
      await inside.serving(pid!);
      inside.kill(pid!, 'SIGUSR1');
      const died = await second.event('command.died', 'alpha');
      await second.event('command.running', 'alpha', 2);
      await second.until('its lines', () => second.said('alpha').length > 1);
      expect(second.said('alpha').map(({ line }) => line)).toEqual(['goodbye', 'hello']);
      expect(second.lines.indexOf(second.said('alpha')[0]!)).toBeLessThan(second.lines.indexOf(died));
    });

    test('ten times amid a storm of kills: at the end each command runs once', {
      timeout: 240_000,
    }, async (context) => {
      const inside = await new Namespace(context).idleInit();
      const daemon = inside.install('daemon.sh', 'storm');
      const calm = inside.install('daemon.sh', 'calm');
      const names = Array.from({ length: 16 }, (_, index) => `s${index}`);
      const calmNames = Array.from({ length: 6 }, (_, index) => `calm${index}`);
      const commands = [
        ...names.map((name, index) => `${name}: ${daemon} ${['', '--fork', '--double'][index % 3]}`),
        ...calmNames.map((name, index) => `${name}: ${calm} ${index % 2 === 0 ? '' : '--double'}`),
      ];
      let upkeep = await inside.upkeep(commands);
      await upkeep.running(...names, ...calmNames);
      await until('the calm ones', () => inside.named('calm').length === calmNames.length);
      const calmBefore = inside.named('calm').map(({ pid }) => pid);
      for (let round = 0; round < 10; round++) {
        for (let kill = 0; kill < 10; kill++) {
          const alive = inside.named('storm');
          const victim = alive[Math.floor(Math.random() * alive.length)];
          if (victim !== undefined) inside.kill(victim.pid, 'SIGKILL');
          await pause(15);
        }
        inside.kill(upkeep.pid, 'SIGKILL');
        await upkeep.ended();
        upkeep = await inside.upkeep(commands);
        const began = await upkeep.event('upkeep.started');
        expect(began.lineage).toBe('tag');
        // Those that nobody killed are taken over, every time.
        for (const name of calmNames) {
          expect(await upkeep.event('command.running', name)).toMatchObject({ how: 'adopted' });
        }
        expect(
          upkeep.events('command.launched').filter(({ command }) => calmNames.includes(command)),
        ).toEqual([]);
      }
      await upkeep.running(...names);
      await upkeep.until('one process for each', () => inside.named('storm').length === names.length);
      await upkeep.until('a leader for each', () => {
        const leaders = new Set(
          names.map((name) => upkeep.events('command.running', name).at(-1)!.leader.pid),
        );
        const alive = inside.named('storm').map(({ pid }) => pid);
        return (
          alive.length === names.length &&
          leaders.size === names.length &&
          alive.every((pid) => leaders.has(pid))
        );
      });
      expect(inside.named('calm').map(({ pid }) => pid)).toEqual(calmBefore);
      await until('no zombies', () => inside.zombies().length === 0);
      expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
      expect([...inside.named('storm'), ...inside.named('calm')]).toEqual([]);
    });
  },
);
