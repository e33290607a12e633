import { describe, expect, test } from 'vitest';
import { Namespace, noNamespace, until } from './namespace.ts';

const WRITERS = ['w0', 'w1', 'w2', 'w3'];
const EACH = 50_000;
const FILLER = 'abcdefghijklmnopqrstuvwxyz'.repeat(400).slice(0, 40);

describe.skipIf(noNamespace)(`what services write ${noNamespace ?? ''}`, () => {
  test.for([
    { log: 'json' as const, text: /^\{.*"name":"(w\d)".*"line":"(w\d) (\d+) ([a-z]+)"\}$/ },
    { log: 'plain' as const, text: /^(w\d) +\| (w\d) (\d+) ([a-z]+)$/ },
  ])('200,000 lines of four writers come whole and in order, as $log', async ({ log, text }, context) => {
    const inside = new Namespace(context);
    const flood = inside.install('flood.mjs', 'flood.mjs');
    const upkeep = await inside.upkeep(
      WRITERS.map((name) => `${name}: node ${flood} ${name} ${EACH}`),
      { log },
    );
    const total = () => upkeep.text.filter((line) => line.includes(FILLER)).length;
    await upkeep.until(
      'all lines',
      () => upkeep.text.length >= WRITERS.length * EACH && total() >= WRITERS.length * EACH,
    );
    const next = new Map(WRITERS.map((name) => [name, 0]));
    for (const line of upkeep.text) {
      if (!line.includes('abcdef')) continue;
      const [, of, name, number, filler] = text.exec(line) ?? [];
      expect([of, filler, Number(number)], line).toEqual([name, FILLER, next.get(name!)]);
      next.set(name!, Number(number) + 1);
    }
    expect([...next.values()]).toEqual([EACH, EACH, EACH, EACH]);
  });

  test('raw: services write to upkeep’s stdout themselves', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([`${inside.install('daemon.sh', 'alpha')} --say hello`], {
      log: 'raw',
    });
    await upkeep.until('its line', () => upkeep.text.includes('hello'));
    const [alpha] = inside.named('alpha');
    expect(inside.descriptors(alpha!.pid)[1]).toBe(inside.descriptors(1)[1]);
    await upkeep.until('its own lines', () =>
      upkeep.text.some((line) => line.startsWith('upkeep | alpha: running')),
    );
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });

  test('a reader that stalls holds up the writers, but neither supervision nor the shutdown, and costs no memory', async (context) => {
    const inside = new Namespace(context);
    const flood = inside.install('flood.mjs', 'flood.mjs');
    const daemon = inside.install('daemon.sh', 'alpha');
    const upkeep = await inside.upkeep([`flood: node ${flood} f 100000000 200`, `${daemon} --double`], {
      unread: true,
      args: ['--grace', '20s'],
    });
    const { pid } = await until('a daemon', () => {
      const found = inside.named('alpha');
      return found.length === 1 && found[0]!.ppid === 1 ? found[0]! : null;
    });
    // The writer is held up when it uses no CPU any more.
    const writer = await until(
      'the writer',
      () => inside.processes().find(({ argv }) => argv[2] === 'f') ?? null,
    );
    let cpu = -1;
    await until('a writer that waits', async () => {
      const before = cpu;
      cpu = inside.process(writer.pid)!.cpu;
      await new Promise((resolve) => setTimeout(resolve, 200));
      // More than upkeep keeps for a reader: it has been held up, and not only kept waiting for its turn.
      const written = Number(/^wchar: (\d+)/m.exec(inside.read(writer.pid, 'io'))![1]);
      return before === cpu && written > 200_000;
    });
    const memory = inside.residentOf(1);
    for (let round = 0, victim = pid; round < 3; round++) {
      await inside.end(victim);
      victim = (
        await until('it is back', () => {
          const found = inside.named('alpha');
          return found.length === 1 && found[0]!.pid !== victim && found[0]!.ppid === 1 ? found[0]! : null;
        })
      ).pid;
    }
    expect(inside.residentOf(1) - memory).toBeLessThan(20_000);
    expect(memory).toBeLessThan(200_000);
    inside.kill(1, 'SIGTERM');
    await until('the end', () => upkeep.child.exitCode !== null);
    expect(upkeep.child.exitCode).toBe(0);
  });

  test('a reader that leaves takes nothing with it', async (context) => {
    const inside = new Namespace(context);
    const talker = inside.install('talker.mjs', 'talker.mjs');
    const daemon = inside.install('daemon.sh', 'alpha');
    const upkeep = await inside.upkeep([`talker: node ${talker}`, `${daemon} --double`]);
    const [talking, pid] = await upkeep.running('talker', 'alpha');
    upkeep.child.stdout!.destroy();
    await inside.end(pid!);
    await until('it is back', () => inside.named('alpha').some((row) => row.pid !== pid));
    expect(inside.isAlive(talking!)).toBe(true);
    inside.kill(1, 'SIGTERM');
    await until('the end', () => upkeep.child.exitCode !== null);
    expect(upkeep.child.exitCode).toBe(0);
  });

  test('a line of JSON is carried as an object', async (context) => {
    const inside = new Namespace(context);
    const script = inside.write('teller', `#!/bin/sh\necho '{"level":"warn","n":[1,2]}'\nexec sleep 1000\n`);
    const upkeep = await inside.upkeep([script]);
    await upkeep.until('its line', () => upkeep.said('teller').length > 0);
    expect(upkeep.said('teller')[0]).toMatchObject({ stream: 'stdout', data: { level: 'warn', n: [1, 2] } });
  });

  test.for(['', '--double'])(
    'last words come before the line of the death, also unfinished ones (%s)',
    async (how, context) => {
      const inside = new Namespace(context);
      const upkeep = await inside.upkeep([`${inside.install('daemon.sh', 'alpha')} ${how} --last goodbye`]);
      for (let round = 1; round <= 3; round++) {
        const { leader } = await upkeep.event('command.running', 'alpha', round);
        await upkeep.until('the daemon alone', () => inside.named('alpha').length === 1);
        await inside.serving(leader.pid);
        inside.kill(leader.pid, 'SIGUSR1');
        const died = await upkeep.event('command.died', 'alpha', round);
        const words = upkeep.said('alpha');
        expect(words.map(({ line }) => line)).toEqual(Array(round).fill('goodbye'));
        expect(upkeep.lines.indexOf(words.at(-1)!)).toBeLessThan(upkeep.lines.indexOf(died));
      }
    },
  );
});
