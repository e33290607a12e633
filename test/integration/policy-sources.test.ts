import { describe, expect, test } from 'vitest';
import { type Cleanup, Namespace, noNamespace } from './namespace.ts';
import { ask, keep } from './policies.ts';

const SERVICE = 'exec sleep 1000';

describe.skipIf(noNamespace)(`where commands come from ${noNamespace ?? ''}`, { concurrent: true }, () => {
  test('a policy, a Procfile and arguments together', async (context) => {
    const kept = await keep(context, `commands: {web: {run: ${SERVICE}}}`, {
      args: ['--grace', '60s', '--procfile', 'Procfile'],
      commands: [`extra: ${SERVICE}`],
      within: await procfile(context, `# workers\nworker: ${SERVICE}\n\nclock: ${SERVICE}\n`),
    });
    const { upkeep } = kept;
    await upkeep.running('web', 'worker', 'clock', 'extra');
    expect(upkeep.events('upkeep.started')[0]!.commands.toSorted()).toEqual([
      'clock',
      'extra',
      'web',
      'worker',
    ]);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('a policy without commands, for those that are given as arguments', async (context) => {
    const kept = await keep(context, 'container: {exitWhen: all-done}', { commands: [`extra: ${SERVICE}`] });
    await kept.upkeep.running('extra');
    expect(kept.upkeep.events('upkeep.started')[0]!.commands).toEqual(['extra']);
    expect(await kept.upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('all of them are read again by a reload; arguments stay', async (context) => {
    const within = await procfile(context, `worker: ${SERVICE}\n`);
    const kept = await keep(context, `commands: {web: {run: ${SERVICE}}}`, {
      args: ['--grace', '60s', '--procfile', 'Procfile'],
      commands: [`extra: ${SERVICE}`],
      within,
    });
    const { upkeep } = kept;
    const [web, worker, extra] = await upkeep.running('web', 'worker', 'extra');
    within.write('Procfile', `worker: exec sleep 2000\nmore: ${SERVICE}\n`);
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await upkeep.running('more');
    await upkeep.event('command.running', 'worker', 2);
    expect(within.isAlive(worker!)).toBe(false);
    expect(within.isAlive(web!) && within.isAlive(extra!)).toBe(true);
    // A mistake in one of them changes nothing of the others.
    within.write('Procfile', 'worker\n');
    kept.rewrite(`commands: {other: {run: ${SERVICE}}}`);
    const refused = await kept.reload();
    expect(refused).toMatchObject({ code: 78 });
    expect(refused.stderr).toContain('Procfile:1:1');
    expect(within.isAlive(web!)).toBe(true);
    expect(upkeep.events('command.launched', 'other')).toEqual([]);
  });

  test.for([
    { procfile: `web: ${SERVICE}\n`, commands: [], with: 'a command in the Procfile' },
    { procfile: null, commands: [`web: ${SERVICE}`], with: 'a command among the arguments' },
    { procfile: null, commands: [`stack: ${SERVICE}`], with: 'a command among the arguments' },
  ])('a name is that of one alone: $with ($commands)', async (given, context) => {
    const within = await procfile(context, given.procfile ?? '');
    const kept = await keep(context, `commands: {web: {run: ${SERVICE}}}\ngroups: {stack: [web]}`, {
      args: given.procfile === null ? [] : ['--procfile', 'Procfile'],
      commands: given.commands,
      within,
    });
    expect(await kept.upkeep.ended()).toMatchObject({ code: 78 });
    expect(kept.upkeep.stderr).toContain('cannot use the name');
    expect(kept.upkeep.stderr).toContain(given.with);
    expect(kept.upkeep.lines).toEqual([]);
  });

  test('a duplicate that comes by a reload is refused', async (context) => {
    const kept = await keep(context, `commands: {web: {run: ${SERVICE}}}`, {
      commands: [`extra: ${SERVICE}`],
    });
    await kept.upkeep.running('web', 'extra');
    kept.rewrite(`commands: {web: {run: ${SERVICE}}, extra: {run: ${SERVICE}}}`);
    const refused = await kept.reload();
    expect(refused).toMatchObject({ code: 78, stderr: expect.stringContaining('cannot use the name') });
    expect(kept.upkeep.events('command.launched')).toHaveLength(2);
  });

  test('arguments alone: there is nothing to read again', async (context) => {
    const within = await procfile(context, '');
    const upkeep = await within.upkeep([`a: ${SERVICE}`]);
    await upkeep.running('a');
    const refused = await ask(within, ['reload', '--socket', `${within.dir}/sock`]);
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('there is no policy file to read again'),
    });
    upkeep.signal('SIGHUP');
    const notice = await upkeep.event('upkeep.notice');
    expect(notice.message).toContain('there is no policy file to read again');
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });

  test('nobody listens: reload says so', async (context) => {
    const within = await procfile(context, '');
    const answer = await ask(within, ['reload', '--socket', `${within.dir}/nobody`]);
    expect(answer).toMatchObject({ code: 7, stdout: '' });
  });

  test('include: files beside it, read again with it', async (context) => {
    const kept = await keep(context, (inside) => {
      inside.write('more/db.yaml', `commands: {db: {run: ${SERVICE}}}\ninclude: ../cache.yaml\n`, 0o644);
      inside.write('cache.yaml', `commands: {cache: {run: ${SERVICE}}}\n`, 0o644);
      return `include: [more/db.yaml]\ncommands: {web: {run: ${SERVICE}, requires: [db, cache]}}\n`;
    });
    const { upkeep, inside } = kept;
    const [web, db] = await upkeep.running('web', 'db', 'cache');
    inside.write('cache.yaml', `commands: {cache: {run: ${SERVICE}, env: {A: b}}}\n`, 0o644);
    upkeep.signal('SIGHUP');
    expect(await upkeep.event('policy.reloaded')).toMatchObject({ restarted: ['cache'], unchanged: 2 });
    await upkeep.event('command.running', 'cache', 2);
    expect(inside.isAlive(web!) && inside.isAlive(db!)).toBe(true);
    // Its mistakes are its own.
    inside.write('cache.yaml', 'commands:\n  cache: {run: [], kind: cron}\n', 0o644);
    const refused = await kept.reload();
    expect(refused.code).toBe(78);
    expect(refused.stderr).toContain(`${inside.dir}/cache.yaml:2:`);
    expect(refused.stderr).not.toContain('upkeep.yaml:');
  });

  test('a name in braces is filled in from upkeep’s environment; one without is the shell’s', async (context) => {
    const kept = await keep(
      context,
      `
commands:
  web:
    run: 'echo "\${GREETING} \${MISSING:-default} $GREETING $$HOME \${EMPTY-kept}."; ${SERVICE}'
    env: {GREETING: own, N: "\${NUMBER}"}
    stop: {timeout: "\${TIMEOUT}"}
`,
      { env: { GREETING: 'hello', NUMBER: '5', TIMEOUT: '7s', EMPTY: '', HOME: '/nowhere' } },
    );
    const { upkeep, inside } = kept;
    const [pid] = await upkeep.running('web');
    await upkeep.until('its line', () => upkeep.said('web').length > 0);
    expect(upkeep.said('web')[0]!.line).toBe('hello default own /nowhere .');
    expect(inside.read(pid!, 'environ').split('\0')).toContain('N=5');
  });

  test('a variable that has to be there and is not: exit 78, with its place', async (context) => {
    const kept = await keep(
      context,
      'commands:\n  web: {run: sleep, cwd: "$' + '{ROOT:?say where it is}"}\n',
    );
    expect(await kept.upkeep.ended()).toMatchObject({ code: 78 });
    expect(kept.upkeep.stderr).toMatch(/upkeep\.yaml:2:\d+: .*say where it is/);
  });

  test('JSON is a policy as well', async (context) => {
    const { upkeep } = await keep(
      context,
      JSON.stringify({ commands: { web: { run: ['sleep', '1000'], env: { A: 'b' } } } }, null, 2),
    );
    await upkeep.running('web');
  });

  test('the container is not started twice: another upkeep on the same socket is refused', async (context) => {
    const kept = await keep(context, `commands: {a: ${SERVICE}}`);
    await kept.upkeep.running('a');
    const second = await ask(kept.inside, [
      'run',
      '--socket',
      kept.at('sock'),
      '--policy',
      kept.at('upkeep.yaml'),
    ]);
    expect(second.code).toBe(78);
    expect(second.stderr).toContain('holds');
    expect(kept.inside.named('sleep')).toHaveLength(1);
  });
});

/** A namespace with an idle init, and a Procfile in its folder. */
async function procfile(context: Cleanup, text: string): Promise<Namespace> {
  const inside = await new Namespace(context).idleInit();
  if (text !== '') inside.write('Procfile', text, 0o644);
  return inside;
}
