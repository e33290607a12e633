import { describe, expect, test } from 'vitest';
import { hasProgram, noNamespace } from './namespace.ts';
import { type Answer, ask, type Kept, keep } from './policies.ts';

const SERVICE = 'exec sleep 1000';
const QUICK = 'backoff: {first: 20ms, max: 20ms}';

/** Waits for the `count`th reload. */
const reloaded = (kept: Kept, count = 1) => kept.upkeep.event('policy.reloaded', undefined, count);

const launches = (kept: Kept) => kept.upkeep.events('command.launched').length;

describe.skipIf(noNamespace)(`a policy read again ${noNamespace ?? ''}`, { concurrent: true }, () => {
  test('SIGHUP: what is there no more stops, what is new starts, what differs is restarted, the rest keeps its pid', async (context) => {
    const kept = await keep(
      context,
      `
commands:
  same: {run: ${SERVICE}, env: {A: 1}}
  env: {run: '${SERVICE}', env: {A: 1}}
  run: {run: ${SERVICE}}
  gone: {run: ${SERVICE}}
`,
    );
    const { upkeep, inside } = kept;
    const [same, env, run, gone] = await upkeep.running('same', 'env', 'run', 'gone');
    kept.rewrite(`
commands:
  new: {run: ${SERVICE}}
  run: {run: exec sleep 2000}
  env: {run: '${SERVICE}', env: {A: 2}}
  same: {run: ${SERVICE}, env: {A: 1}}
`);
    upkeep.signal('SIGHUP');
    expect(await reloaded(kept)).toMatchObject({
      started: ['new'],
      stopped: ['gone'],
      restarted: expect.arrayContaining(['env', 'run']),
      adjusted: [],
      unchanged: 1,
      notes: { env: ['env.A'] },
    });
    await upkeep.running('new');
    for (const name of ['env', 'run']) await upkeep.event('command.running', name, 2);
    await upkeep.event('command.stopped', 'gone');
    expect(inside.isAlive(same!)).toBe(true);
    for (const pid of [env!, run!, gone!]) expect(inside.isAlive(pid)).toBe(false);
    expect(inside.read(kept.pidOf('env'), 'environ')).toContain('A=2');
    await upkeep.until(
      'what it becomes',
      () => inside.process(kept.pidOf('run'))?.argv.join(' ') === 'sleep 2000',
    );
    expect(upkeep.events('command.launched', 'same')).toHaveLength(1);
    await upkeep.until('four of them', () => inside.named('sleep').length === 4);
    // The same upkeep, and it was not begun twice.
    expect(upkeep.events('upkeep.started')).toHaveLength(1);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    expect(upkeep.events('command.stopped', 'gone')).toHaveLength(1);
  });

  test('a service that becomes a schedule in another group waits for its time; who moves is called as before', async (context) => {
    const text = (schedule: string, members: string) => `
commands:
  j: {run: "echo x >> JOBRAN; exec sleep 1000"${schedule}}
  k: {run: ${SERVICE}}
groups: {g: ${members}}
`;
    const kept = await keep(context, ({ dir }) => text('', '[j, k]').replace('JOBRAN', `${dir}/runs`));
    const { upkeep } = kept;
    const [, k] = await upkeep.running('j', 'k');
    await kept.written('runs');
    kept.rewrite(({ dir }) => text(', schedule: "@yearly"', '[k]').replace('JOBRAN', `${dir}/runs`));
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await upkeep.event('command.stopped', 'j');
    const state = async (): Promise<string> => {
      const { stdout } = await ask(kept.inside, ['status', 'j', '--json', '--socket', kept.at('sock')]);
      return JSON.parse(stdout).commands[0].state;
    };
    await upkeep.until('its rest', async () => ['scheduled', 'running'].includes(await state()));
    expect(await state()).toBe('scheduled');
    expect(kept.linesOf('runs')).toEqual(['x']);
    expect(upkeep.events('command.running', 'k').at(-1)).toMatchObject({
      how: 'adopted',
      leader: { pid: k, name: 'k' },
    });
  });

  test('upkeep reload tells what it did; again, and nothing differs', async (context) => {
    const kept = await keep(context, `commands: {a: ${SERVICE}}`);
    const { upkeep } = kept;
    const [pid] = await upkeep.running('a');
    kept.rewrite(`commands: {a: ${SERVICE}, b: ${SERVICE}}`);
    expect(await kept.reload()).toEqual({
      code: 0,
      stdout: 'reloaded: started b; 1 unchanged\n',
      stderr: '',
    });
    await upkeep.running('b');
    expect(await kept.reload()).toMatchObject({
      code: 0,
      stdout: 'reloaded: nothing differs; 2 unchanged\n',
    });
    expect(launches(kept)).toBe(2);
    expect(kept.inside.isAlive(pid!)).toBe(true);
  });

  test('upkeep reload waits until what it starts and restarts is so, and tells why it is not', async (context) => {
    const kept = await keep(
      context,
      `
commands:
  a: {run: ${SERVICE}}
  down: {run: ${SERVICE}}
  db: {run: ${SERVICE}}
  once: {run: 'true', kind: oneshot}
`,
    );
    const { upkeep } = kept;
    await upkeep.running('a', 'down', 'db');
    await upkeep.event('command.completed', 'once');
    const run = (...words: string[]): Promise<Answer> =>
      ask(kept.inside, [...words, '--socket', kept.at('sock')]);
    expect(await run('stop', 'down', 'db')).toMatchObject({ code: 0 });
    const commands = `
  a: {run: exec sleep 2000}
  down: {run: exec sleep 2000}
  db: {run: ${SERVICE}}
  once: {run: 'true', kind: oneshot, env: {A: 1}}
  job: {run: 'true', kind: cron, schedule: '0 0 1 1 *'}
  later: {run: ${SERVICE}, autostart: false}
`;
    const from = { launches: launches(kept) };
    kept.rewrite(
      ({ dir }) => `
commands:
${commands}
  b: {run: ${SERVICE}, ready: {exec: 'test -e ${dir}/go', interval: 20ms}}
`,
    );
    const waits = run('reload');
    await upkeep.event('command.running', 'b');
    kept.touch('go');
    const { code, stdout, stderr } = await waits;
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout.split('\n')[0]).toBe(
      'reloaded: started job, later, b; restarted a (run), once (env.A); adjusted down (run); 1 unchanged',
    );
    expect(stdout).toContain(`\na: running: pid ${kept.pidOf('a')}\n`);
    expect(stdout).toContain(`\nb: running: pid ${kept.pidOf('b')}, ready\n`);
    expect(stdout).toContain('\nonce: completed\n');
    expect(stdout).toMatch(/\njob: scheduled; the next run is in /);
    expect(stdout).not.toMatch(/\n(down|later):/);
    expect(launches(kept)).toBe(from.launches + 3);
    // Who waits for somebody who has been stopped waits in vain, and that is told at once.
    kept.rewrite(
      ({ dir }) => `
commands:
${commands}
  b: {run: ${SERVICE}, ready: {exec: 'test -e ${dir}/go', interval: 20ms}}
  need: {run: ${SERVICE}, requires: [db]}
`,
    );
    const vain = await run('reload');
    expect(vain).toMatchObject({ code: 1, stdout: 'reloaded: started need; 7 unchanged\n' });
    expect(vain.stderr).toMatch(/^upkeep: cannot start need: it waits for db: .*: upkeep start db\n$/);
    kept.rewrite(`
commands:
${commands}
  b: {run: ${SERVICE}, ready: {exec: 'false', interval: 20ms}, env: {A: 1}}
  need: {run: ${SERVICE}, requires: [db]}
`);
    const late = await run('reload', '--timeout', '300ms');
    expect(late.code).toBe(1);
    expect(late.stderr).toMatch(
      /^upkeep: cannot restart b within 300 ms: .*; it goes on, see upkeep why b\n$/,
    );
  });

  test('a wrong file is refused as a whole, and nothing changes', async (context) => {
    const kept = await keep(context, `commands: {a: ${SERVICE}, b: ${SERVICE}}`);
    const { upkeep, inside } = kept;
    const pids = await upkeep.running('a', 'b');
    kept.rewrite(`
commands:
  c: ${SERVICE}
  d: {run: ${SERVICE}, restrat: never}
  e: {run: ${SERVICE}, requires: nobody}
`);
    const refused = await kept.reload();
    expect(refused).toMatchObject({ code: 78, stdout: '' });
    expect(refused.stderr).toContain('upkeep.yaml:4:');
    expect(refused.stderr).toContain('upkeep.yaml:5:');
    expect(refused.stderr).toContain('nothing has changed');
    upkeep.signal('SIGHUP');
    const notice = await upkeep.event('upkeep.notice');
    expect(notice.message).toContain('upkeep.yaml:4:');
    expect(launches(kept)).toBe(2);
    expect(pids.every((pid) => inside.isAlive(pid))).toBe(true);
    expect(upkeep.events('policy.reloaded')).toEqual([]);
    // Mended, it is taken, and that is the only order that somebody has given.
    kept.rewrite(`commands: {a: ${SERVICE}, c: ${SERVICE}}`);
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await upkeep.running('c');
    expect(upkeep.events('operator.ordered')).toMatchObject([{ order: 'reload', commands: [] }]);
    await upkeep.event('command.stopped', 'b');
    expect(inside.isAlive(pids[0]!)).toBe(true);
  });

  test('a file that is not there any more is refused as well', async (context) => {
    const kept = await keep(context, `commands: {a: ${SERVICE}}`);
    await kept.upkeep.running('a');
    const removed = kept.inside.run(['rm', kept.at('upkeep.yaml')]);
    await kept.upkeep.until('its absence', () => removed.exitCode !== null && !kept.has('upkeep.yaml'));
    const refused = await kept.reload();
    expect(refused).toMatchObject({ code: 78 });
    expect(refused.stderr).toContain('there is no such file');
    expect(kept.inside.isAlive(kept.pidOf('a'))).toBe(true);
  });

  test('other rules hold at once, and nobody is restarted for them', async (context) => {
    const kept = await keep(
      context,
      `commands: {a: {run: ${SERVICE}}, b: {run: ${SERVICE}}, c: {run: ${SERVICE}}}`,
    );
    const { upkeep, inside } = kept;
    const [a, b, c] = await upkeep.running('a', 'b', 'c');
    kept.rewrite(
      ({ dir }) => `
commands:
  a: {run: ${SERVICE}, restart: never}
  b: {run: ${SERVICE}, health: {exec: 'test ! -e ${dir}/sick', every: 30ms, failures: 1, onUnhealthy: ignore}}
  c: {run: ${SERVICE}, stop: 'echo asked > ${dir}/asked; kill $(pgrep -x sleep)'}
container: {grace: 50s}
`,
    );
    expect(await kept.reload()).toMatchObject({ code: 0 });
    expect(await reloaded(kept)).toMatchObject({
      adjusted: ['a', 'b', 'c'],
      restarted: [],
      notes: { a: ['restart'], b: ['health'], c: ['stop'] },
    });
    expect([a, b, c].every((pid) => inside.isAlive(pid!))).toBe(true);
    kept.touch('sick');
    await upkeep.event('command.unhealthy', 'b');
    await inside.end(a!);
    expect((await upkeep.event('command.failed', 'a')).reason).toContain('is not to be restarted');
    expect(launches(kept)).toBe(3);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    expect(upkeep.events('supervisor.stopping')[0]).toMatchObject({ budget: 50_000 });
  });

  test('what is restarted is stopped as it was meant to be when it was started', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  a: {run: ${SERVICE}, env: {A: 1}, stop: 'echo old $A >> ${dir}/stops; pkill -x sleep'}
`,
    );
    if (!hasProgram('pkill')) return context.skip('needs pkill');
    const { upkeep } = kept;
    await upkeep.running('a');
    kept.rewrite(
      ({ dir }) => `
commands:
  a: {run: ${SERVICE}, env: {A: 2}, stop: 'echo new $A >> ${dir}/stops; pkill -x sleep'}
`,
    );
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await upkeep.event('command.running', 'a', 2);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
    expect(kept.linesOf('stops')).toEqual(['old 1', 'new 2']);
  });

  test('a stop command that comes with other changes is there, and one that goes is not missed', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  comes: {run: ${SERVICE}, env: {A: 1}}
  goes: {run: ${SERVICE}, env: {A: 1}, stop: 'echo x >> ${dir}/goes'}
`,
    );
    const { upkeep } = kept;
    await upkeep.running('comes', 'goes');
    kept.rewrite(
      ({ dir }) => `
commands:
  comes: {run: ${SERVICE}, env: {A: 2}, stop: 'echo x >> ${dir}/comes'}
  goes: {run: ${SERVICE}, env: {A: 2}}
`,
    );
    expect(await kept.reload()).toMatchObject({ code: 0 });
    for (const name of ['comes', 'goes']) await upkeep.event('command.running', name, 2);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    expect(kept.linesOf('comes').length).toBeGreaterThan(0);
  });

  test('other groups: everybody keeps its pid, and the new rules hold', async (context) => {
    const commands = `
defaults: {${QUICK}}
commands: {a: ${SERVICE}, b: ${SERVICE}, c: ${SERVICE}, d: ${SERVICE}}
`;
    const kept = await keep(context, `${commands}groups: {g: {members: [a, b], strategy: one_for_all}}\n`);
    const { upkeep, inside } = kept;
    const names = ['a', 'b', 'c', 'd'];
    const pids = await upkeep.running(...names);
    kept.rewrite(
      `${commands}groups: {h: {members: [b, c], strategy: one_for_all}, top: {members: [h, d]}}\n`,
    );
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await reloaded(kept);
    expect(pids.every((pid) => inside.isAlive(pid))).toBe(true);
    await inside.end(pids[1]!);
    await upkeep.event('command.died', 'b');
    await upkeep.until('the two anew', () => kept.pidOf('b') !== pids[1] && kept.pidOf('c') !== pids[2]);
    expect(inside.isAlive(pids[0]!)).toBe(true);
    expect(inside.isAlive(pids[3]!)).toBe(true);
    // No groups at all.
    const now = names.map((name) => kept.pidOf(name));
    kept.rewrite(commands);
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await reloaded(kept, 2);
    expect(now.every((pid) => inside.isAlive(pid))).toBe(true);
    await inside.end(kept.pidOf('b'));
    await upkeep.until('b anew', () => kept.pidOf('b') !== now[1]);
    expect(inside.isAlive(now[2]!)).toBe(true);
    expect(names.map((name) => upkeep.events('command.launched', name).length)).toEqual([1, 3, 2, 1]);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('members come and go: the group is that of the new policy', async (context) => {
    const text = (members: string) => `
defaults: {${QUICK}}
commands: {${members
      .split(', ')
      .map((name) => `${name}: ${SERVICE}`)
      .join(', ')}}
groups: {g: {members: [${members}], strategy: one_for_all}}
`;
    const kept = await keep(context, text('a, b, c'));
    const { upkeep, inside } = kept;
    const [a, b, c] = await upkeep.running('a', 'b', 'c');
    kept.rewrite(text('d, b, a'));
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await upkeep.running('d');
    await upkeep.event('command.stopped', 'c');
    expect(inside.isAlive(c!)).toBe(false);
    expect(inside.isAlive(a!) && inside.isAlive(b!)).toBe(true);
    await inside.end(kept.pidOf('d'));
    await upkeep.until('all anew', () =>
      ['a', 'b', 'd'].every((name) => upkeep.events('command.launched', name).length === 2),
    );
    expect(upkeep.events('command.launched', 'c')).toHaveLength(1);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('a service becomes a oneshot, a oneshot a schedule, and a schedule a service', async (context) => {
    const text = (dir: string, kinds: readonly string[]) => `
commands:
  a: {run: 'echo a >> ${dir}/runs; ${kinds[0] === '' ? SERVICE : 'true'}', ${kinds[0]}}
  b: {run: 'echo b >> ${dir}/runs', ${kinds[1]}}
  c: {run: '${SERVICE}', ${kinds[2]}}
`;
    const yearly = 'schedule: 0 0 1 1 *';
    const kept = await keep(context, ({ dir }) => text(dir, ['', 'kind: oneshot', yearly]));
    const { upkeep, inside } = kept;
    const [a] = await upkeep.running('a');
    await upkeep.event('command.completed', 'b');
    await upkeep.event('command.scheduled', 'c');
    kept.rewrite(({ dir }) => text(dir, ['kind: oneshot', "schedule: '* * * * * *'", '']));
    expect(await kept.reload()).toMatchObject({ code: 0 });
    expect(await reloaded(kept)).toMatchObject({ restarted: ['a', 'b', 'c'] });
    await upkeep.event('command.completed', 'a');
    await upkeep.event('command.completed', 'b', 3);
    await upkeep.running('c');
    expect(inside.isAlive(a!)).toBe(false);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('a reload during the shutdown starts nobody', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  a: {run: 'trap "until test -e ${dir}/go; do sleep 0.05; done; exit" TERM; echo up; while :; do sleep 0.05; done'}
`,
    );
    const { upkeep } = kept;
    await upkeep.running('a');
    await upkeep.until('its trap', () => upkeep.said('a').length > 0);
    upkeep.signal('SIGTERM');
    await upkeep.event('command.stopping', 'a');
    kept.rewrite(`commands: {a: ${SERVICE}, b: ${SERVICE}}`);
    const answer = await kept.reload();
    upkeep.signal('SIGHUP');
    kept.touch('go');
    expect(await upkeep.ended()).toMatchObject({ code: 0 });
    expect(upkeep.events('command.launched')).toHaveLength(1);
    expect(upkeep.events('supervisor.stopped')).toMatchObject([{ left: 0 }]);
    expect(answer).toMatchObject({ code: 1, stderr: expect.stringContaining('is being stopped') });
  });

  test('a new strategy or intensity of a group that stays holds from then on', async (context) => {
    const text = (rules: string) => `
defaults: {${QUICK}}
commands: {a: ${SERVICE}, b: ${SERVICE}}
groups: {g: {members: [a, b]${rules}}}
`;
    const kept = await keep(context, text(''));
    const { upkeep, inside } = kept;
    const [a, b] = await upkeep.running('a', 'b');
    kept.rewrite(text(', strategy: one_for_all, intensity: {restarts: 1, within: 1h}'));
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await reloaded(kept);
    expect(inside.isAlive(a!) && inside.isAlive(b!)).toBe(true);
    await inside.end(a!);
    for (const name of ['a', 'b']) await upkeep.event('command.running', name, 2);
    expect(inside.isAlive(b!)).toBe(false);
    await inside.end(kept.pidOf('a'));
    await upkeep.event('group.failed');
  });

  test('other requirements: who runs runs on, and the stop is in the new order', async (context) => {
    const kept = await keep(context, `commands: {a: {run: ${SERVICE}}, b: {run: ${SERVICE}, requires: a}}`);
    const { upkeep, inside } = kept;
    const pids = await upkeep.running('a', 'b');
    kept.rewrite(
      `commands: {a: {run: ${SERVICE}, requires: b}, b: {run: ${SERVICE}}, c: {run: ${SERVICE}, after: a}}`,
    );
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await upkeep.running('c');
    expect(pids.every((pid) => inside.isAlive(pid))).toBe(true);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
    expect(kept.place('command.stopped', 'c')).toBeLessThan(kept.place('command.stopping', 'a'));
    expect(kept.place('command.stopped', 'a')).toBeLessThan(kept.place('command.stopping', 'b'));
  });

  test('who waits for something that is not required any more is started', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  a: {run: ${SERVICE}, ready: {file: ${dir}/never-there, timeout: 1h}}
  b: {run: ${SERVICE}, requires: a}
`,
    );
    await kept.upkeep.running('a');
    await kept.upkeep.event('command.waiting', 'b');
    kept.rewrite(
      ({ dir }) => `
commands:
  a: {run: ${SERVICE}, ready: {file: ${dir}/never-there, timeout: 1h}}
  b: {run: ${SERVICE}}
`,
    );
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await kept.upkeep.running('b');
    expect(launches(kept)).toBe(2);
  });

  test('a command that comes back while it still stops is refused, and can come back when it has stopped', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  a: {run: 'trap "until test -e ${dir}/go; do sleep 0.05; done; exit" TERM; echo up; while :; do sleep 0.05; done'}
  b: ${SERVICE}
`,
    );
    const text = (await import('node:fs')).readFileSync(kept.at('upkeep.yaml'), 'utf8');
    const { upkeep } = kept;
    await upkeep.running('a', 'b');
    await upkeep.until('its trap', () => upkeep.said('a').length > 0);
    kept.rewrite(`commands: {b: ${SERVICE}}`);
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await upkeep.event('command.stopping', 'a');
    kept.rewrite(text);
    const refused = await kept.reload();
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stderr).toContain('a is still being stopped');
    kept.touch('go');
    await upkeep.event('command.stopped', 'a');
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await upkeep.event('command.running', 'a', 2);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('a oneshot that is done stays done, and a changed one is run again', async (context) => {
    const text = (word: string) => (inside: { dir: string }) =>
      `
commands:
  same: {run: 'echo x >> ${inside.dir}/same', kind: oneshot}
  other: {run: 'echo ${word} >> ${inside.dir}/other', kind: oneshot}
`;
    const kept = await keep(context, text('one'));
    await kept.upkeep.event('command.completed', 'same');
    await kept.upkeep.event('command.completed', 'other');
    kept.rewrite(text('two'));
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await kept.upkeep.event('command.completed', 'other', 2);
    expect(kept.linesOf('other')).toEqual(['one', 'two']);
    expect(kept.linesOf('same')).toEqual(['x']);
  });

  test('a changed schedule is the one that holds', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `commands: {tick: {run: 'echo x >> ${dir}/runs', schedule: '0 0 1 1 *'}}`,
    );
    await kept.upkeep.event('command.scheduled', 'tick');
    kept.rewrite(({ dir }) => `commands: {tick: {run: 'echo x >> ${dir}/runs', schedule: '* * * * * *'}}`);
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await kept.written('runs', 2);
    kept.rewrite(({ dir }) => `commands: {tick: {run: 'echo x >> ${dir}/runs', schedule: '0 0 1 1 *'}}`);
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await kept.upkeep.until(
      'a long wait',
      () => kept.upkeep.events('command.scheduled').at(-1)!.wait > 10_000,
    );
  });

  test('a stop that may take longer than is given is warned of, at the start and at a reload', async (context) => {
    const text = (timeout: string) => `
commands:
  db: {run: ${SERVICE}, stop: {timeout: 20s}}
  web: {run: ${SERVICE}, stop: {timeout: ${timeout}}, requires: db}
container: {grace: 30s}
`;
    const kept = await keep(context, text('15s'));
    const { upkeep } = kept;
    await upkeep.running('db', 'web');
    const warnings = () =>
      upkeep.events('upkeep.notice').filter(({ message }) => message.includes('stopping may take'));
    expect(warnings()).toHaveLength(1);
    expect(warnings()[0]!.message).toMatch(/35 s .*30 s/);
    kept.rewrite(text('5s'));
    expect(await kept.reload()).toMatchObject({ code: 0 });
    expect(warnings()).toHaveLength(1);
    kept.rewrite(text('18s'));
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await upkeep.until('one more', () => warnings().length === 2);
    expect(launches(kept)).toBe(2);
  });

  test('an exit that the new policy asks for comes at once', async (context) => {
    const kept = await keep(context, `commands: {once: {run: 'true', kind: oneshot}}`);
    await kept.upkeep.event('command.completed', 'once');
    kept.rewrite(`
commands: {once: {run: 'true', kind: oneshot}}
container: {exitWhen: all-done}
`);
    kept.upkeep.signal('SIGHUP');
    expect(await kept.upkeep.ended()).toMatchObject({ code: 0 });
  });

  test('log files and files to follow are those of the new policy', async (context) => {
    const text = (file: string) => (inside: { dir: string }) =>
      `
commands:
  a: {run: ${SERVICE}, log: {format: plain, tail: ${inside.dir}/${file}.in, file: ${inside.dir}/${file}.out}}
`;
    const kept = await keep(context, text('one'));
    await kept.upkeep.running('a');
    kept.touch('one.in', 'first\n');
    expect(await kept.written('one.out')).toEqual(['first']);
    kept.rewrite(text('two'));
    expect(await kept.reload()).toMatchObject({ code: 0 });
    kept.touch('two.in', 'second\n');
    await kept.upkeep.until('it', () => kept.linesOf('two.out').includes('second'));
  });

  describe('upkeep reload NAME', () => {
    test('by signal and by command: the service reads its configuration, and keeps its pid', async (context) => {
      const kept = await keep(
        context,
        ({ dir }) => `
commands:
  signal: {run: 'trap "echo hup >> ${dir}/signal" HUP; echo up; while :; do sleep 0.05; done', reload: HUP}
  mapping: {run: 'trap "echo usr >> ${dir}/mapping" USR1; echo up; while :; do sleep 0.05; done', reload: {signal: USR1}}
  command: {run: ${SERVICE}, env: {A: b}, reload: 'echo $A >> ${dir}/command'}
  words: {run: ${SERVICE}, reload: {command: [sh, -c, 'exit 3']}}
  mute: {run: ${SERVICE}}
`,
      );
      const { upkeep, inside } = kept;
      const pids = await upkeep.running('signal', 'mapping', 'command', 'words', 'mute');
      for (const name of ['signal', 'mapping']) {
        await upkeep.until('its trap', () => upkeep.said(name).length > 0);
      }
      expect(await kept.reload('signal', 'mapping', 'command', 'words')).toEqual({
        code: 0,
        stdout: 'told signal, mapping, command, words to reload\n',
        stderr: '',
      });
      expect(await kept.written('signal')).toEqual(['hup']);
      expect(await kept.written('mapping')).toEqual(['usr']);
      expect(await kept.written('command')).toEqual(['b']);
      await upkeep.until('what became of it', () =>
        upkeep
          .events('upkeep.notice', 'words')
          .some(({ message }) => message.includes('reload command exited with status 3')),
      );
      await upkeep.event('command.reloading', 'signal');
      expect(pids.every((pid) => inside.isAlive(pid))).toBe(true);
      expect(launches(kept)).toBe(5);
      // Of the policy file nothing was read.
      expect(upkeep.events('policy.reloaded')).toEqual([]);
    });

    test('a command that hangs is ended in time, or by the next one, with all that it has started', async (context) => {
      const kept = await keep(
        context,
        ({ dir }) => `
commands:
  late: {run: ${SERVICE}, reload: {command: 'sleep 1001 & sleep 1002', timeout: 100ms}}
  twice: {run: ${SERVICE}, reload: 'echo x >> ${dir}/begun; sleep 1003'}
`,
      );
      const { upkeep, inside } = kept;
      await upkeep.running('late', 'twice');
      const running = (text: string): number =>
        inside.processes().filter(({ argv }) => argv.join(' ') === text).length;
      expect(await kept.reload('late', 'twice')).toMatchObject({ code: 0 });
      const { message } = await upkeep.event('upkeep.notice', 'late');
      expect(message).toContain('its reload command did not finish within 100 ms, and was ended');
      await upkeep.until('nothing is left of it', () => running('sleep 1001') + running('sleep 1002') === 0);
      await upkeep.until('the first', () => running('sleep 1003') === 1);
      expect(await kept.reload('twice')).toMatchObject({ code: 0 });
      await kept.written('begun', 2);
      await upkeep.until('one of them alone', () => running('sleep 1003') === 1);
    });

    test('is waited for: a signal until it is sent, a command until it has ended, and why it failed is told', async (context) => {
      const kept = await keep(
        context,
        ({ dir }) => `
commands:
  signal: {run: 'trap "" HUP; echo up; while :; do sleep 0.05; done', reload: HUP}
  well: {run: ${SERVICE}, reload: 'until test -e ${dir}/go; do sleep 0.02; done'}
  badly: {run: ${SERVICE}, reload: {command: "sh -c 'until test -e ${dir}/go; do sleep 0.02; done; exit 7'"}}
  late: {run: ${SERVICE}, reload: {command: 'sleep 1004', timeout: 100ms}}
  hangs: {run: ${SERVICE}, reload: 'sleep 1005'}
  mute: {run: ${SERVICE}}
  failed: {run: exit 1, restart: never, reload: HUP}
groups:
  two: {members: [well, mute]}
`,
      );
      const { upkeep } = kept;
      await upkeep.running('signal', 'well', 'badly', 'late', 'hangs', 'mute');
      await upkeep.event('command.failed', 'failed');
      await upkeep.until('its trap', () => upkeep.said('signal').length > 0);
      const reload = (...words: string[]): Promise<Answer> =>
        ask(kept.inside, ['reload', '--socket', kept.at('sock'), ...words]);
      expect(await reload('signal')).toEqual({ code: 0, stdout: 'signal: SIGHUP is sent\n', stderr: '' });
      expect(await reload('late')).toEqual({
        code: 1,
        stdout: '',
        stderr:
          'upkeep: cannot reload late: its reload command did not finish within 100 ms, and was ended\n',
      });
      expect(await reload('hangs', '--timeout', '100ms')).toEqual({
        code: 1,
        stdout: '',
        stderr: 'upkeep: cannot reload hangs within 100 ms: its reload command has not ended; it goes on\n',
      });
      const both = reload('well', 'badly');
      await upkeep.event('command.reloading', 'badly');
      kept.touch('go');
      expect(await both).toEqual({
        code: 1,
        stdout: 'well: its reload command has finished\n',
        stderr: 'upkeep: cannot reload badly: its reload command exited with status 7\n',
      });
      expect(await reload('--group', 'two')).toEqual({
        code: 0,
        stdout: 'well: its reload command has finished\n',
        stderr: '',
      });
      const all = await reload('--all', '--timeout', '100ms', '--no-wait');
      expect(all).toMatchObject({ code: 0, stdout: 'told signal, well, badly, late, hangs to reload\n' });
      expect(await reload('--group', 'none')).toMatchObject({ code: 4 });
      expect(upkeep.events('policy.reloaded')).toEqual([]);
    });

    test('that cannot be done is refused as a whole', async (context) => {
      const kept = await keep(
        context,
        ({ dir }) => `
commands:
  a: {run: ${SERVICE}, reload: 'echo x >> ${dir}/reloads'}
  mute: {run: ${SERVICE}}
  failed: {run: exit 1, restart: never, reload: HUP}
`,
      );
      await kept.upkeep.running('a', 'mute');
      await kept.upkeep.event('command.failed', 'failed');
      const failed = await kept.reload('a', 'failed');
      expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining('it does not run') });
      const unknown = await kept.reload('a', 'nobody');
      expect(unknown).toMatchObject({ code: 4, stderr: expect.stringContaining('no command has that name') });
      const mute = await kept.reload('a', 'mute');
      expect(mute).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('its policy does not say how'),
      });
      expect(kept.has('reloads')).toBe(false);
    });
  });
});
