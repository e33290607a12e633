/** A running upkeep is asked and steered, by the program itself: each verb, and what it exits with. */
import { once } from 'node:events';
import { chmodSync, existsSync, statSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { describe, expect, inject, test } from 'vitest';
import { Namespace, noNamespace, noOtherUser, type RunOptions, until } from './namespace.ts';
import { type Answer, ask, type Kept, keep } from './policies.ts';

const STAYS = 'sh -c \'trap "exit 0" TERM; echo begins; while :; do sleep 0.05; done\'';

const policy = `
commands:
  db:
    run: ${STAYS}
    reload: HUP
  api: { run: ${STAYS}, requires: [db] }
  web: { run: ${STAYS}, requires: [api] }
  once: { run: "sh -c 'echo ran'", kind: oneshot }
  job: { run: "sh -c 'exit 3'", kind: cron, schedule: "0 0 1 1 *" }
groups:
  back: { members: [db, api] }
`;

const verb = (kept: Kept, ...words: string[]): Promise<Answer> =>
  ask(kept.inside, [...words, '--socket', kept.at('sock')]);

/** The order in which commands have come to an event, of those after `from` lines of the log. */
const orderOf = (kept: Kept, event: string, from: number): string[] =>
  kept.upkeep.lines.slice(from).flatMap((line) => (line.event === event ? [line.command as string] : []));

describe.skipIf(noNamespace !== null)(`with a policy (needs PID namespaces: ${noNamespace})`, () => {
  test('status, health and why tell what is, by word and by exit code', async (context) => {
    const kept = await keep(context, policy);
    await kept.upkeep.running('db', 'api', 'web');
    await kept.upkeep.event('command.completed', 'once');
    const status = await verb(kept, 'status');
    expect(status).toMatchObject({ code: 0, stderr: '' });
    expect(status.stdout).toMatch(/^NAME +STATE .*\ndb +running .*\napi +running .*\nweb +running /);
    const { code, stdout } = await verb(kept, 'status', '--json', 'web', 'once');
    expect([code, JSON.parse(stdout)]).toEqual([
      0,
      {
        version: 1,
        upkeep: { version: expect.any(String), pid: 1, uptime: expect.any(Number), ending: false },
        asWished: true,
        commands: [
          expect.objectContaining({ name: 'web', state: 'running', leader: expect.any(Object) }),
          expect.objectContaining({ name: 'once', state: 'completed', lastSuccess: true }),
        ],
      },
    ]);
    expect(await verb(kept, 'health')).toMatchObject({ code: 0, stdout: 'ready\n' });
    const why = await verb(kept, 'why', 'web');
    expect(why.stdout).toMatch(
      new RegExp(`\\* ${kept.pidOf('web')} .*\\n +leads: it carries the command's tag`),
    );
    expect(why.stdout).toMatch(/restarting\.settling → running\.ready/);
    expect(JSON.parse((await verb(kept, 'why', '--json', 'job')).stdout)).toMatchObject({
      command: { name: 'job', state: 'scheduled' },
      leader: null,
    });
  });

  test('what a group stops to start it again is wished up all the while', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  a: sleep 1000
  slow:
    run: sh -c 'trap "until test -e ${dir}/go; do sleep 0.02; done; exit 0" TERM; echo begins; while :; do sleep 0.05; done'
    stop: {timeout: 1h}
groups: { g: { members: [a, slow], strategy: one_for_all } }
`,
    );
    const { upkeep, inside } = kept;
    const [pid] = await upkeep.running('a', 'slow');
    await upkeep.until('its trap', () => upkeep.said('slow').length > 0);
    await inside.end(pid!);
    await upkeep.event('command.stopping', 'slow');
    const { code, stdout } = await verb(kept, 'status', '--json', 'slow');
    expect(code).toBe(3);
    expect(JSON.parse(stdout).commands).toMatchObject([
      { state: 'stopping', desired: 'up', asWished: false },
    ]);
    const started = verb(kept, 'start', 'a', 'slow');
    await upkeep.event('operator.ordered');
    kept.touch('go');
    expect(await started).toMatchObject({ code: 0, stderr: '' });
  });

  test('orders go in order, are waited for, and what stops them is told', async (context) => {
    const kept = await keep(context, policy);
    await kept.upkeep.running('db', 'api', 'web');
    let from = kept.upkeep.lines.length;
    expect(await verb(kept, 'stop', '--all')).toMatchObject({ code: 0, stderr: '' });
    const stopped = orderOf(kept, 'command.stopped', from).filter((name) => /db|api|web/.test(name));
    expect(stopped).toEqual(['web', 'api', 'db']);
    expect(await verb(kept, 'status')).toMatchObject({
      code: 0,
      stdout: expect.not.stringContaining('running'),
    });
    expect(await verb(kept, 'start', 'web')).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'upkeep: cannot start web: it waits for api: ready (it is stopped); nothing starts that but an order: upkeep start api\n',
    });
    expect(await verb(kept, 'status', 'web')).toMatchObject({
      code: 3,
      stdout: expect.stringContaining('waiting'),
    });
    from = kept.upkeep.lines.length;
    expect(await verb(kept, 'start', '--group', 'back')).toMatchObject({ code: 0 });
    await kept.upkeep.event('command.running', 'web', 2);
    expect(orderOf(kept, 'command.running', from)).toEqual(['db', 'api', 'web']);
    from = kept.upkeep.lines.length;
    expect(await verb(kept, 'restart', 'db', 'web')).toMatchObject({ code: 0, stderr: '' });
    expect(orderOf(kept, 'command.stopped', from)).toEqual(['web', 'db']);
    expect(orderOf(kept, 'command.running', from)).toEqual(['db', 'web']);
  });

  test('a oneshot is waited for until it is done, and the run of a schedule tells how it ended', async (context) => {
    const kept = await keep(context, policy);
    await kept.upkeep.running('web');
    expect(await verb(kept, 'restart', 'once')).toMatchObject({ code: 0, stdout: 'once: completed\n' });
    const job = await verb(kept, 'start', 'job');
    expect([job.code, job.stderr]).toEqual([
      1,
      expect.stringMatching(/^upkeep: cannot start job: its run exited with status 3; the next run is in /),
    ]);
  });

  test('signals, reloads and shutdown', async (context) => {
    const kept = await keep(context, policy);
    const [db] = await kept.upkeep.running('db', 'web');
    await kept.upkeep.event('command.completed', 'once');
    expect(await verb(kept, 'signal', 'db', 'KILL')).toMatchObject({ code: 0 });
    await kept.upkeep.event('command.died', 'db');
    await kept.upkeep.event('command.running', 'db', 2);
    expect(kept.pidOf('db')).not.toBe(db);
    expect(await verb(kept, 'signal', 'once', 'HUP')).toMatchObject({
      code: 1,
      stderr: 'upkeep: cannot send SIGHUP to once: it does not run; start it first: upkeep start once\n',
    });
    expect(await verb(kept, 'reload', 'web')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/does not say how/),
    });
    kept.rewrite('commands: [');
    expect(await verb(kept, 'reload')).toMatchObject({
      code: 78,
      stderr: expect.stringMatching(/nothing has changed/),
    });
    expect(await verb(kept, 'shutdown')).toMatchObject({ stderr: '' });
    expect((await kept.upkeep.ended()).code).toBe(0);
  });

  test('who cannot be helped is refused with a code of its own', async (context) => {
    const kept = await keep(context, policy);
    await kept.upkeep.running('web');
    const long = 'x'.repeat(100_000);
    for (const [words, code, message] of [
      [['status', 'wbe'], 4, /cannot find wbe: .*did you mean web\?; there are db, api, web, once, job$/],
      [['stop', 'no such'], 4, /cannot find "no such": no command has that name/],
      [['stop', '--group', 'none'], 4, /cannot find the group none/],
      [['why', long], 64, /cannot read the request: its head is larger/],
      [['stop', long], 64, /cannot read the request: it is larger/],
      [['stop'], 64, /nobody is named/],
      [['events', '--since', '999999'], 1, /begun anew/],
    ] as const) {
      const { code: exited, stderr } = await verb(kept, ...words);
      expect([exited, stderr.trimEnd()], words.join(' ').slice(0, 100)).toEqual([
        code,
        expect.stringMatching(message),
      ]);
    }
    expect(await ask(kept.inside, ['status', '--socket', kept.at('none')])).toMatchObject({
      code: 7,
      stderr: expect.stringMatching(/there is no such socket; see whether it runs there/),
    });
  });
});

describe.skipIf(noNamespace !== null)(`with commands (needs PID namespaces: ${noNamespace})`, () => {
  const verbIn = (inside: Namespace, ...words: string[]): Promise<Answer> =>
    ask(inside, [...words, '--socket', join(inside.dir, 'sock')]);

  test('a stop is remembered: nothing starts it but start, and what it waits for too long is told', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep(
      [`web: ${STAYS}`, `stubborn: sh -c 'trap "" TERM; while :; do sleep 0.05; done'`],
      {
        args: ['--grace', '60s', '--interval', '50ms'],
      },
    );
    const [web] = await upkeep.running('web', 'stubborn');
    expect(await verbIn(inside, 'stop', 'web')).toMatchObject({ code: 0, stdout: 'web: stopped\n' });
    expect(inside.isAlive(web!)).toBe(false);
    // Other things go on meanwhile, and looks are taken: none of them starts it.
    await inside.end(upkeep.events('command.running', 'stubborn')[0]!.leader.pid);
    await upkeep.event('command.running', 'stubborn', 2);
    expect((await verbIn(inside, 'status', 'web')).stdout).toMatch(/^web +stopped/m);
    expect(upkeep.events('command.launched', 'web')).toHaveLength(1);
    expect(await verbIn(inside, 'start', 'web')).toMatchObject({ code: 0 });
    const slow = await verbIn(inside, 'stop', 'stubborn', '--timeout', '100ms');
    expect([slow.code, slow.stderr]).toEqual([
      1,
      expect.stringMatching(
        /^upkeep: cannot stop stubborn within 100 ms: stopping \(terminating\), SIGKILL in 5[\d.]+ s; it goes on, see upkeep why stubborn\n$/,
      ),
    ]);
    expect(await verbIn(inside, 'stop', '--no-wait', 'stubborn')).toMatchObject({ code: 0, stdout: '' });
    expect(await verbIn(inside, 'health')).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/stubborn is stopping/),
    });
    expect(await verbIn(inside, 'health', '--live', 'web')).toMatchObject({ code: 0 });
  });

  test('what is written and what happens is followed, until nobody reads or upkeep has ended', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([`web: sh -c 'while :; do echo line; sleep 0.02; done'`]);
    await upkeep.running('web');
    const own = [process.execPath, inject('upkeep')];
    const socket = ['--socket', join(inside.dir, 'sock')];
    const head = `"$@" | head -n 3; echo "\${PIPESTATUS[0]}"`;
    const logs = inside.run(['bash', '-c', head, 'bash', ...own, 'logs', '-f', 'web', ...socket]);
    let text = '';
    logs.stdout!.on('data', (chunk: Buffer) => {
      text += chunk;
    });
    await once(logs, 'close');
    expect(text).toBe('web | line\nweb | line\nweb | line\n0\n');

    const events = inside.run([...own, 'events', '-f', '--json', ...socket]);
    let told = '';
    events.stdout!.on('data', (chunk: Buffer) => {
      told += chunk;
    });
    await inside.end(upkeep.events('command.running', 'web')[0]!.leader.pid);
    await until('the death among the events', () => told.includes('"event":"command.died"'));
    expect(JSON.parse(told.split('\n', 1)[0]!)).toMatchObject({ number: 1, event: 'upkeep.started' });
    const watch = inside.run([...own, 'status', '--watch', ...socket]);
    let drawn = '';
    watch.stdout!.on('data', (chunk: Buffer) => {
      drawn += chunk;
    });
    await until('two pictures', () => drawn.split('NAME').length > 2);
    const closed = once(events, 'close');
    inside.kill(inside.processes().find(({ argv }) => argv.includes('events'))!.pid, 'SIGINT');
    expect(await closed).toEqual([null, 'SIGINT']);
  });

  test('when upkeep ends, who follows is told and ends as well', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const upkeep = await inside.upkeep([`web: ${STAYS}`]);
    await upkeep.running('web');
    const own = [process.execPath, inject('upkeep')];
    const socket = ['--socket', join(inside.dir, 'sock')];
    const following = [
      ['events', '-f'],
      ['status', '--watch'],
    ].map((words) => {
      const child = inside.run([...own, ...words, ...socket]);
      const seen = { out: '', err: '', child };
      child.stdout!.on('data', (chunk: Buffer) => {
        seen.out += chunk;
      });
      child.stderr!.on('data', (chunk: Buffer) => {
        seen.err += chunk;
      });
      return seen;
    });
    await until('both have begun', () => following.every(({ out }) => out !== ''));
    const ends = following.map(({ child }) => once(child, 'close'));
    const shutdown = await verbIn(inside, 'shutdown');
    expect(shutdown).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(await Promise.all(ends)).toEqual([
      [7, null],
      [7, null],
    ]);
    for (const { err } of following) expect(err).toMatch(/^upkeep: it has ended/);
    expect(await verbIn(inside, 'status')).toMatchObject({ code: 7 });
  });

  test('an upkeep that does not answer is waited for a while, and no longer', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const upkeep = await inside.upkeep([`web: ${STAYS}`]);
    await upkeep.running('web');
    inside.kill(upkeep.pid, 'SIGSTOP');
    const verbs = [['logs'], ['logs', '-f'], ['events'], ['events', '-f'], ['status']];
    for (const answer of await Promise.all(verbs.map((words) => verbIn(inside, ...words)))) {
      expect(answer).toEqual({ code: 7, stdout: '', stderr: expect.stringMatching(/it does not answer/) });
    }
    inside.kill(upkeep.pid, 'SIGCONT');
    expect(await verbIn(inside, 'events', '-n', '1')).toMatchObject({ code: 0 });
  });

  test.skipIf(!existsSync('/dev/full'))(
    'what cannot be written is told, and is no success; who reads no more is none (needs /dev/full)',
    async (context) => {
      const inside = new Namespace(context);
      const upkeep = await inside.upkeep([`web: ${STAYS}`]);
      await upkeep.running('web');
      const into = async (file: string, ...words: string[]): Promise<[number | null, string]> => {
        const own = [process.execPath, inject('upkeep'), ...words, '--socket', join(inside.dir, 'sock')];
        const child = inside.run(['bash', '-c', `"$@" ${file}; exit "\${PIPESTATUS[0]}"`, 'bash', ...own]);
        let text = '';
        child.stderr!.on('data', (chunk: Buffer) => {
          text += chunk;
        });
        const [code] = await once(child, 'close');
        return [code, text];
      };
      for (const words of [['status'], ['events'], ['events', '-f'], ['health', '--json'], ['why', 'web']]) {
        expect(await into('>/dev/full', ...words)).toEqual([
          74,
          expect.stringMatching(/^upkeep: cannot write what is shown: ENOSPC.*\n$/),
        ]);
      }
      expect(await into('| head -n 1 >/dev/null', 'events')).toEqual([0, '']);
    },
  );

  test('without koffi nobody is answered while the socket lets in others', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([`web: ${STAYS}`], { env: { UPKEEP_NO_NATIVE: '1' } });
    await upkeep.running('web');
    const socket = join(inside.dir, 'sock');
    chmodSync(socket, 0o666);
    for (const words of [['stop', 'web'], ['status'], ['logs']]) {
      expect(await verbIn(inside, ...words)).toEqual({
        code: 7,
        stdout: '',
        stderr: expect.stringMatching(/nobody can tell who asks.*; chmod 600 it\n$/),
      });
    }
    expect(upkeep.events('operator.ordered')).toEqual([]);
    chmodSync(socket, 0o600);
    expect(await verbIn(inside, 'stop', 'web')).toMatchObject({ code: 0 });
  });

  test('without control there is no socket', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([`web: ${STAYS}`], { args: ['--no-control'] });
    await upkeep.running('web');
    expect(existsSync(join(inside.dir, 'sock'))).toBe(false);
    expect(await verbIn(inside, 'status')).toMatchObject({ code: 7 });
  });

  test('a dead socket is replaced, a living one refused with the pid that holds it', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const first = await inside.upkeep([`web: ${STAYS}`]);
    await first.running('web');
    const second = await inside.upkeep([`web: ${STAYS}`]);
    expect(await second.ended()).toMatchObject({ code: 78 });
    expect(second.stderr).toMatch(new RegExp(`cannot start: upkeep ${first.pid} holds .*sock`));
    expect((await verbIn(inside, 'status', '--json')).stdout).toMatch(new RegExp(`"pid":${first.pid},`));
    await inside.end(first.pid);
    await first.ended();
    expect(statSync(join(inside.dir, 'sock')).isSocket()).toBe(true);
    const third = await inside.upkeep([`web: ${STAYS}`]);
    await third.running('web');
    expect((await verbIn(inside, 'status', '--json')).stdout).toMatch(new RegExp(`"pid":${third.pid},`));
  });

  test('a thousand commands are asked for while somebody follows what happens', async (context) => {
    const inside = new Namespace(context);
    const many = Array.from({ length: 1_000 }, (_, index) => `c${index}: sleep 100000`);
    const upkeep = await inside.upkeep(many);
    await upkeep.event('command.running', 'c999');
    const following = inside.run([
      ...[process.execPath, inject('upkeep'), 'events', '-f', '--json'],
      ...['--socket', join(inside.dir, 'sock')],
    ]);
    let told = '';
    following.stdout!.on('data', (chunk: Buffer) => {
      told += chunk;
    });
    await until('the first event', () => told !== '');
    const { code, stdout } = await verbIn(inside, 'status', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout).commands).toHaveLength(1_000);
    expect((await verbIn(inside, 'stop', '--all')).code).toBe(0);
    expect((await verbIn(inside, 'status')).code).toBe(0);
    following.kill();
  });
});

describe.skipIf(noOtherUser !== null)(`another user (needs root and PID namespaces: ${noOtherUser})`, () => {
  test('is refused by who it is, though the socket lets it in', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([`web: ${STAYS}`]);
    await upkeep.running('web');
    const socket = join(inside.dir, 'sock');
    chmodSync(socket, 0o666);
    const as = async (prefix: string[], options: RunOptions = {}): Promise<[number | null, string]> => {
      const words = [...prefix, process.execPath, inject('upkeep'), 'stop', 'web', '--socket', socket];
      const child = inside.run(words, options);
      let text = '';
      child.stderr!.on('data', (chunk: Buffer) => {
        text += chunk;
      });
      const [code] = await once(child, 'close');
      return [code, text];
    };
    const other = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    expect(await as(other)).toEqual([
      7,
      expect.stringMatching(/it hung up; it answers only root and the user/),
    ]);
    expect(upkeep.events('operator.ordered')).toEqual([]);
    expect(inside.isAlive(upkeep.events('command.running', 'web')[0]!.leader.pid)).toBe(true);
    // Root of the machine, who is the same one here, is let in from outside as well.
    const client = createConnection(socket);
    client.write('GET /v1/about HTTP/1.1\r\nhost: x\r\n\r\n');
    const [answer] = await once(client, 'data');
    expect(String(answer)).toMatch(/"pid":1\b/);
    client.destroy();
    expect(await as([])).toEqual([0, '']);
  });
});
