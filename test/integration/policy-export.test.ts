import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { Namespace, noNamespace } from './namespace.ts';
import { ask } from './policies.ts';

describe.skipIf(noNamespace)(`upkeep export ${noNamespace ?? ''}`, { concurrent: true }, () => {
  test('prints the file, with variables filled in, as large as it may be', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const names = Array.from({ length: 1_000 }, (_, index) => `service-${index}`);
    const commands = names.map(
      (name) => `  ${name}: { run: prog, env: { GREETING: "\${GREETING:-hello}" } }`,
    );
    inside.write('upkeep.yaml', `commands:\n${commands.join('\n')}\n`, 0o644);
    const words = ['export', '--compose', '--image', 'shop:1', `${inside.dir}/upkeep.yaml`];
    const { code, stdout, stderr } = await ask(inside, words);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { services } = parse(stdout);
    expect(Object.keys(services)).toEqual(names);
    expect(services['service-999']).toMatchObject({ image: 'shop:1', environment: { GREETING: 'hello' } });
  });

  test('refuses what check refuses, in the same words, and prints nothing', async (context) => {
    const inside = await new Namespace(context).idleInit();
    inside.write('upkeep.yaml', 'commands: { web: { run: nginx, restrat: always } }\n', 0o644);
    const file = `${inside.dir}/upkeep.yaml`;
    const checked = await ask(inside, ['check', file]);
    expect(checked.code).toBe(78);
    expect(checked.stderr).toContain('did you mean restart?');
    expect(await ask(inside, ['export', '--kubernetes', file])).toEqual(checked);
  });

  test('says what it needs', async (context) => {
    const inside = await new Namespace(context).idleInit();
    const { code, stdout, stderr } = await ask(inside, ['export', 'upkeep.yaml']);
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' });
    expect(stderr).toMatch(/^upkeep: cannot export: it is not said for whom; give one of/);
    const help = await ask(inside, ['help', 'export']);
    expect(help).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Usage: upkeep export /) });
    expect((await ask(inside, ['export', '--help'])).stdout).toBe(help.stdout);
  });
});
