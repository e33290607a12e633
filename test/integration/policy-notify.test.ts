/** What a service says of itself by sd_notify, beside that it is ready or alive. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, inject, test } from 'vitest';
import { hasProgram, Namespace, noNamespace } from './namespace.ts';
import { ask, type KeepOptions, type Kept, keep } from './policies.ts';

const lacking = noNamespace ?? (hasProgram('python3') ? null : 'python3 is not installed');
const QUICK = 'backoff: {first: 20ms, max: 20ms}';

/** One service, `s`, that says what is written into `say.0`, `say.1` …, and has a child beside itself, whose pid is in `child`. */
const keepNotifier = (
  context: Parameters<typeof keep>[0],
  ready = 'notify: true',
  more = QUICK,
  options: KeepOptions = {},
): Promise<Kept> =>
  keep(
    context,
    (inside) => `
commands:
  s:
    run: 'sleep 1000 & echo $! > ${inside.dir}/child; exec python3 ${inside.install('notifier.py', 'notifier.py')}'
    ready: {${ready}}
    ${more}
  u: exec sleep 2000
`,
    options,
  );

const why = async (kept: Kept): Promise<string> =>
  (await ask(kept.inside, ['why', 's', '--socket', kept.at('sock')])).stdout;
const status = async (kept: Kept) => {
  const { stdout } = await ask(kept.inside, ['status', 's', '--json', '--socket', kept.at('sock')]);
  return JSON.parse(stdout).commands[0];
};

describe.skipIf(lacking)(`sd_notify ${lacking ?? ''}`, { concurrent: true }, () => {
  test('MAINPID: another one of its own leads, and the end of the one before is none', async (context) => {
    const kept = await keepNotifier(context);
    const { upkeep, inside } = kept;
    const [child] = (await kept.written('child')).map(Number);
    const [notifier] = await upkeep.running('s');
    await upkeep.until('its sleep', () => inside.process(child!)?.comm === 'sleep');
    kept.touch('say.0', `READY=1\nMAINPID=${child}\n`);
    const handed = await upkeep.event('command.running', 's', 2);
    expect(handed).toMatchObject({ how: 'handover', leader: { pid: child, rule: 'notify', name: 'sleep' } });
    expect(handed.message).toContain('known by its own word');
    expect(await why(kept)).toContain('MAINPID');
    inside.kill(notifier!, 'SIGKILL');
    await upkeep.until('the end of who led before', () => !inside.isAlive(notifier!));
    expect(await status(kept)).toMatchObject({ state: 'running', leader: { pid: child }, ready: true });
    expect(upkeep.events('command.died', 's')).toEqual([]);
    inside.kill(child!, 'SIGKILL');
    expect(await upkeep.event('command.died', 's')).toMatchObject({ id: { pid: child } });
    await upkeep.event('command.launched', 's', 2);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('MAINPID of somebody else is refused, and that is told once', async (context) => {
    const kept = await keepNotifier(context);
    const { upkeep } = kept;
    const [notifier, other] = await upkeep.running('s', 'u');
    kept.touch('say.0', `MAINPID=${other}\n`);
    kept.touch('say.1', `MAINPID=${other}\n`);
    kept.touch('say.2', 'MAINPID=1\nREADY=1\n');
    const refused = () => upkeep.events('upkeep.notice', 's').map(({ message }) => message);
    await upkeep.event('command.ready', 's');
    await upkeep.until('both', () => refused().length >= 2);
    for (const [index, pid] of [other, 1].entries()) {
      expect(refused()[index]).toContain(
        `it says that pid ${pid} leads it (MAINPID), which is passed over: that is none of its processes`,
      );
    }
    expect(refused()).toHaveLength(2);
    expect(await status(kept)).toMatchObject({ state: 'running', leader: { pid: notifier } });
  });

  test('STOPPING: it is not ready any more, and its end follows', async (context) => {
    // So long it may take for its end.
    const kept = await keepNotifier(context, 'notify: true', `stop: {timeout: 1h}\n    ${QUICK}`);
    const { upkeep, inside } = kept;
    const [notifier] = await upkeep.running('s');
    kept.touch('say.0', 'READY=1\n');
    await upkeep.event('command.ready', 's');
    kept.touch('say.1', 'STOPPING=1\nSTATUS=flushing\n');
    expect(await upkeep.event('command.ending', 's')).toMatchObject({
      status: 'flushing',
      message: 's: says that it is about to end (STOPPING=1): flushing',
    });
    expect(await status(kept)).toMatchObject({
      state: 'running',
      detail: 'ending',
      ready: false,
      asWished: false,
      said: 'flushing',
    });
    expect(await why(kept)).toContain('running (ending)');
    expect(upkeep.events('command.failedStart', 's')).toEqual([]);
    inside.kill(notifier!, 'SIGTERM');
    await upkeep.event('command.died', 's');
    await upkeep.event('command.launched', 's', 2);
  });

  test('all of it can be recorded, and is the same again', async (context) => {
    const inside = new Namespace(context);
    const record = `${inside.dir}/record`;
    const kept = await keepNotifier(context, 'notify: true', QUICK, {
      within: inside,
      args: ['--record', record],
    });
    const { upkeep } = kept;
    const [child] = await kept.written('child');
    kept.touch('say.0', `READY=1\nSTATUS=serving\nMAINPID=${child}\n`);
    await upkeep.event('command.running', 's', 2);
    kept.touch('say.1', 'STOPPING=1\n');
    await upkeep.event('command.ending', 's');
    inside.kill(Number(child), 'SIGKILL');
    await upkeep.event('command.launched', 's', 2);
    expect((await upkeep.stop()).code).toBe(0);
    // What was PID 1 of the namespace is gone, and the namespace with it.
    const verify = [inject('upkeep'), 'inspect', '--verify', record];
    const { stdout, status: code } = spawnSync(process.execPath, verify, { encoding: 'utf8' });
    expect({ stdout, code }).toMatchObject({ stdout: expect.stringContaining('the same again'), code: 0 });
  });

  test('STOPPING right before it ends is heard before its end is told', async (context) => {
    const kept = await keep(
      context,
      (inside) => `
commands:
  s:
    run: [python3, ${inside.write('last.py', LAST_WORDS)}, ${inside.dir}/go]
    ready: {notify: true}
    restart: never
`,
    );
    const { upkeep } = kept;
    await upkeep.event('command.ready', 's');
    kept.touch('go');
    await upkeep.event('command.failed', 's');
    const at = (type: string) => kept.place(type, 's');
    expect(at('command.ending')).toBeGreaterThan(at('command.ready'));
    expect(at('command.ending')).toBeLessThan(at('command.died'));
  });

  test('STOPPING, and it does not end: it is stopped, and started again', async (context) => {
    const kept = await keepNotifier(context, 'notify: true', 'stop: {timeout: 1s}');
    const { upkeep } = kept;
    kept.touch('say.0', 'READY=1\n');
    await upkeep.event('command.ready', 's');
    kept.touch('say.1', 'STOPPING=1\n');
    expect(await upkeep.event('command.unhealthy', 's')).toMatchObject({
      reason: expect.stringContaining('has not ended in time'),
      next: 'restart',
    });
    await upkeep.event('command.launched', 's', 2);
  });

  test('STATUS is shown', async (context) => {
    const kept = await keepNotifier(context);
    const { upkeep } = kept;
    await upkeep.running('s');
    kept.touch('say.0', 'STATUS=loading 3 of 5\n');
    await upkeep.until('its status', async () => (await status(kept)).said === 'loading 3 of 5');
    expect(await why(kept)).toContain('It has said last: loading 3 of 5.');
    const table = await ask(kept.inside, ['status', 's', '--socket', kept.at('sock')]);
    expect(table.stdout).toContain('it says: loading 3 of 5');
  });

  test('what it has said is known though it moves to another group, and so is that it is about to end', async (context) => {
    const kept = await keepNotifier(context, 'notify: true', 'stop: {timeout: 1h}');
    const { upkeep } = kept;
    const policy = readFileSync(kept.at('upkeep.yaml'), 'utf8');
    const moveTo = async (group: string): Promise<void> => {
      kept.rewrite(`${policy}groups: {${group}: {members: [s, u]}}\n`);
      const { stderr, code } = await ask(kept.inside, ['reload', '--socket', kept.at('sock')]);
      expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    };
    const [pid] = await upkeep.running('s');
    kept.touch('say.0', 'READY=1\nSTATUS=loading 3 of 5\n');
    await upkeep.until('its status', async () => (await status(kept)).said === 'loading 3 of 5');
    await moveTo('both');
    expect(await status(kept)).toMatchObject({
      group: 'both',
      said: 'loading 3 of 5',
      leader: { pid },
    });
    kept.touch('say.1', 'STOPPING=1\n');
    await upkeep.event('command.ending', 's');
    await moveTo('others');
    expect(await status(kept)).toMatchObject({ group: 'others', detail: 'ending', leader: { pid } });
  });

  test('STATUS is told with a start that was not ready in time', async (context) => {
    const kept = await keepNotifier(context, 'notify: true, timeout: 1s');
    const { upkeep } = kept;
    kept.touch('say.0', 'STATUS=loading 3 of 5\n');
    const reason = 'it was not ready in time (its status: loading 3 of 5)';
    // It may take longer than that until it says anything.
    await upkeep.until('its status', () =>
      upkeep.events('command.failedStart', 's').some((failed) => failed.reason === reason),
    );
    expect((await why(kept)).replaceAll(/\s+/g, ' ')).toContain(reason);
  });
});

const LAST_WORDS = `
import os, socket, sys, time
out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
out.connect(os.environ["NOTIFY_SOCKET"])
out.send(b"READY=1")
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
out.send(b"STOPPING=1")
os._exit(3)
`;
