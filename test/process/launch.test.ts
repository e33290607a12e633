import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Exit } from '../../machines/events.ts';
import { type Execution, ownSystem } from '../../src/process/execution.ts';
import { type Launched, launch, type NotLaunched, onExit } from '../../src/process/launch.ts';
import { loadNative, type Native } from '../../src/process/native.ts';

const dir = mkdtempSync(join(tmpdir(), 'upkeep-launch-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const loaded = loadNative(process.env);
const native: Native | null = 'missing' in loaded ? null : loaded;
const noNative = 'missing' in loaded ? `without koffi: ${loaded.missing}` : '';
const options = { execa, native, prefix: null, env: { PATH: process.env.PATH } };
const pipes = { stdout: 'pipe', stderr: 'pipe' } as const;
const TAG = 0x5b7_12345n;

const start = (
  file: string,
  args: string[] = [],
  env: Record<string, string> = {},
  tag: bigint | null = null,
) => launch(options, { file, args, env }, pipes, tag);

async function refused(file: string, args: string[] = []): Promise<NotLaunched> {
  const result = await start(file, args);
  if ('child' in result) throw new Error(`${file} was started`);
  return result;
}

function started(...args: Parameters<typeof start>): Launched {
  const result = start(...args);
  if (!('child' in result)) throw new Error('it was not started');
  return result;
}

async function textOf({ child }: Launched): Promise<string> {
  let all = '';
  child.stdout!.on('data', (chunk) => {
    all += chunk;
  });
  await once(child.stdout!, 'end');
  return all;
}

describe('what cannot be started is told of, with what to do', () => {
  const script = (name: string, mode: number): string => {
    const path = join(dir, name);
    writeFileSync(path, '#!/bin/sh\n');
    chmodSync(path, mode);
    return path;
  };

  test('no such program', async () => {
    expect(await refused(join(dir, 'none'))).toEqual({
      error: `cannot run ${join(dir, 'none')}: there is no such program; check the path, or install it in the image (ENOENT)`,
      blame: 'command',
    });
    expect((await refused('none-in-any-folder')).error).toContain('there is no such program');
  });

  test('not executable', async () => {
    expect(await refused(script('plain', 0o644))).toMatchObject({
      error: expect.stringContaining('chmod +x'),
      blame: 'command',
    });
    expect((await refused(dir)).error).toContain('not executable');
  });

  test('a folder that is none', async () => {
    expect((await refused(join(script('file', 0o755), 'below'))).error).toContain('no directory');
  });

  test('a loop of links', async () => {
    symlinkSync('loop', join(dir, 'loop'));
    expect((await refused(join(dir, 'loop'))).error).toContain('mend the links');
  });

  test('arguments too long for the kernel', async () => {
    expect(await refused('echo', ['x'.repeat(140_000)])).toMatchObject({
      error: expect.stringContaining('too long'),
      blame: 'command',
    });
  });
});

describe('what is started', { timeout: 300_000 }, () => {
  test('has its words, its environment and no other, no stdin, and a session of its own', async () => {
    const launched = started('sh', ['-c', 'readlink /proc/self/fd/0; echo "$1"; env', 'sh', 'a b'], {
      A: '1 2',
    });
    const lines = (await textOf(launched)).split('\n');
    expect(lines.slice(0, 2)).toEqual(['/dev/null', 'a b']);
    expect(lines).toContain('A=1 2');
    expect(lines.filter((line) => line.startsWith('VITEST'))).toEqual([]);
  });

  test('ends with its code or its signal', async () => {
    const ends = await Promise.all(
      ['exit 7', 'kill -9 $$', 'exit 0'].map(
        (text) => new Promise<Exit>((resolve) => onExit(started('sh', ['-c', text]).child, resolve)),
      ),
    );
    expect(ends).toEqual([
      { known: true, code: 7, signal: null, core: false },
      { known: true, code: null, signal: 'SIGKILL', core: false },
      { known: true, code: 0, signal: null, core: false },
    ]);
  });

  test('is heard of when it ends though others hold its stdout', async () => {
    const launched = started('sh', ['-c', 'sleep 1000 & echo $!']);
    const sleeping = once(launched.child.stdout!, 'data');
    await new Promise<Exit>((resolve) => onExit(launched.child, resolve));
    const pid = Number(String((await sleeping)[0]));
    // Throws when it is not there any more.
    process.kill(pid, 'SIGKILL');
  });

  test.skipIf(noNative)(`carries its tag, and upkeep does not ${noNative}`, async () => {
    const before = native!.getLocksLimit();
    const limits = await textOf(started('cat', ['/proc/self/limits'], {}, TAG));
    expect(limits).toMatch(new RegExp(`^Max file locks +${TAG} `, 'm'));
    expect(native!.getLocksLimit()).toEqual(before);
    expect(readFileSync('/proc/self/limits', 'latin1')).not.toContain(String(TAG));
  });

  test.skipIf(noNative)(`leaves no tag on upkeep when it cannot be started either ${noNative}`, async () => {
    const before = native!.getLocksLimit();
    await start(join(dir, 'none'), [], {}, TAG);
    await start('echo', ['x'.repeat(140_000)], {}, TAG);
    expect(native!.getLocksLimit()).toEqual(before);
  });

  test('is given its tag by the words in front where upkeep cannot set it', async () => {
    const prefixed = launch(
      { ...options, native: null, prefix: (tag) => ['echo', `tag ${tag}`] },
      { file: 'true', args: ['x'], env: {} },
      pipes,
      7n,
    );
    expect(await textOf(prefixed as Launched)).toBe('tag 7 true x\n');
  });

  test('with words in front, what cannot be started is found out before them', async () => {
    const prefixed = { ...options, native: null, prefix: () => ['env'] };
    for (const file of [join(dir, 'none'), 'no-such-program']) {
      expect(await launch(prefixed, { file, args: [], env: {} }, pipes, 7n)).toMatchObject({
        error: expect.stringContaining('there is no such program'),
        blame: 'command',
      });
    }
  });
});

const NOTHING: Execution = {
  user: null,
  group: null,
  groups: null,
  umask: null,
  cwd: null,
  env: {},
  envFiles: [],
  secrets: {},
  nice: null,
  limits: {},
  noNewPrivileges: false,
  capabilities: null,
};

/** Runs a script of the shell as the policy asks for. */
function shell(script: string, execution: Partial<Execution>, tag: bigint | null = null, more = {}) {
  const program = { file: 'sh', args: ['-c', script], env: {}, execution: { ...NOTHING, ...execution } };
  return launch({ ...options, ...more }, program, pipes, tag);
}

async function saidBy(...args: Parameters<typeof shell>): Promise<string> {
  const launched = shell(...args);
  if (!('child' in launched)) throw new Error((await launched).error);
  return textOf(launched);
}

const STATUS = 'cat /proc/self/status';
/** The last word of a line of /proc/self/status. */
const line = (status: string, name: string): string =>
  new RegExp(`^${name}:(.*)$`, 'm').exec(status)![1]!.trim().replaceAll('\t', ' ');

describe('what a policy asks for', () => {
  test('its folder, which is where a program with a slash is looked for as well', async () => {
    expect((await saidBy('pwd', { cwd: dir })).trim()).toBe(dir);
    writeFileSync(join(dir, 'here'), '#!/bin/sh\necho found\n');
    chmodSync(join(dir, 'here'), 0o755);
    const program = { file: './here', args: [], env: {}, execution: { ...NOTHING, cwd: dir } };
    expect(await textOf(launch(options, program, pipes, null) as Launched)).toBe('found\n');
  });

  test('a folder that is not there is not taken for a program that is not there', async () => {
    const cwd = join(dir, 'none');
    expect(await shell('pwd', { cwd })).toEqual({
      error: `cannot run sh: its folder, ${cwd}, is not there; create it in the image, or mend its path (ENOENT)`,
      blame: 'command',
    });
  });

  test('umask, which upkeep has no longer than the start takes', async () => {
    const before = process.umask();
    expect((await saidBy('umask', { umask: 0o027 })).trim()).toMatch(/^0?027$/);
    const missing = { file: 'none-in-any-folder', args: [], env: {}, execution: { ...NOTHING, umask: 0 } };
    expect(await launch(options, missing, pipes, null)).toMatchObject({ blame: 'command' });
    expect(process.umask()).toBe(before);
  });

  test('files of variables and secrets, of which upkeep hears first', async () => {
    writeFileSync(join(dir, 'env'), `A=file\nB=file\nDB_FILE="${join(dir, 'db')}"\n`);
    writeFileSync(join(dir, 'db'), 'hunter2\n');
    const heard: (readonly string[])[] = [];
    const asked = {
      env: { B: 'policy' },
      envFiles: [{ path: join(dir, 'env'), optional: false }],
      secrets: { DB: { file: null } },
    };
    const more = { onSecrets: (secrets: readonly string[]) => heard.push(secrets) };
    expect(await saidBy('echo $A $B $DB $DB_FILE', asked, null, more)).toBe('file policy hunter2\n');
    expect(heard).toEqual([['hunter2']]);
  });

  test('that cannot be had is the command’s fault, and the system’s where it is short of something', async () => {
    expect(await shell('', { user: 'no-such-user' })).toMatchObject({ blame: 'command' });
    const readFile = () => {
      throw Object.assign(new Error('EMFILE'), { code: 'EMFILE' });
    };
    const more = { system: { ...ownSystem, readFile } };
    expect(await shell('', { user: 'root' }, null, more)).toMatchObject({ blame: 'system' });
  });
});

const hasTools = ['setpriv', 'prlimit', 'nice'].every((tool) => spawnSync(tool, ['--version']).status === 0);
const isRoot = process.getuid?.() === 0;
const canDoAll = isRoot && hasTools && process.platform === 'linux';

describe.skipIf(!canDoAll)('what a policy asks of root (needs root, util-linux and coreutils)', () => {
  test('another user, by spawn alone and by setpriv', async () => {
    for (const more of [{}, { noNewPrivileges: true }]) {
      const status = await saidBy(`${STATUS}; env`, { user: 'nobody', ...more });
      expect(line(status, 'Uid')).toBe('65534 65534 65534 65534');
      expect(line(status, 'Gid')).toMatch(/^(\d+)( \1){3}$/);
      expect(line(status, 'CapEff')).toMatch(/^0+$/);
      expect(status).toContain('LOGNAME=nobody\n');
    }
  });

  test('groups', async () => {
    const status = await saidBy(STATUS, { user: '4321', group: '4322', groups: ['7', '8'] });
    expect(line(status, 'Uid')).toBe('4321 4321 4321 4321');
    expect(line(status, 'Gid')).toBe('4322 4322 4322 4322');
    expect(line(status, 'Groups')).toBe('7 8');
    expect(line(await saidBy(STATUS, { user: '4321' }), 'Groups')).toMatch(/^(4321)?$/);
  });

  test('capabilities, which another user really has, and of which root has no other', async () => {
    const only = '0000000000000400';
    const other = await saidBy(STATUS, { user: 'nobody', capabilities: ['NET_BIND_SERVICE'] });
    for (const set of ['CapEff', 'CapPrm', 'CapBnd', 'CapAmb']) expect(line(other, set), set).toBe(only);
    const strict = { user: 'nobody', capabilities: ['NET_BIND_SERVICE'], noNewPrivileges: true };
    const status = await saidBy(STATUS, strict);
    expect([line(status, 'CapEff'), line(status, 'NoNewPrivs')]).toEqual([only, '1']);
    const root = await saidBy(STATUS, { capabilities: ['NET_BIND_SERVICE'] });
    for (const set of ['CapEff', 'CapPrm', 'CapBnd']) expect(line(root, set), set).toBe(only);
    expect(line(await saidBy(STATUS, { capabilities: [] }), 'CapEff')).toBe('0000000000000000');
  });

  test('limits and nice, in the words’ order, with the pid, the name and the tag that it has without', async () => {
    const limits = { nofile: { soft: '100', hard: '200' }, core: { soft: '0', hard: '0' } };
    const asked = { user: 'nobody', limits, nice: getPriority() + 3, noNewPrivileges: true };
    const launched = shell('echo $$; cat /proc/$$/comm; nice; cat /proc/self/limits', asked, TAG);
    const [pid, comm, nice, ...rest] = (await textOf(launched as Launched)).split('\n');
    expect([pid, comm, nice]).toEqual([String((launched as Launched).pid), 'sh', String(asked.nice)]);
    expect(rest.join('\n')).toMatch(/^Max open files +100 +200 /m);
    if (native !== null) expect(rest.join('\n')).toMatch(new RegExp(`^Max file locks +${TAG} `, 'm'));
  });

  test('with the words of a tag in front', async () => {
    const prefix = (tag: bigint) => ['prlimit', `--locks=${tag}:unlimited`];
    const more = { native: null, prefix };
    const said = await saidBy('cat /proc/self/limits; id -u', { user: 'nobody', nice: 19 }, TAG, more);
    expect(said).toMatch(new RegExp(`^Max file locks +${TAG} `, 'm'));
    expect(said).toMatch(/^65534$/m);
  });

  test('a program that is not there is told of though the words in front are', async () => {
    for (const [file, reason] of [
      ['none-in-any-folder', 'no such program'],
      ['/none/at/all', 'no such program'],
      [dir, 'not executable'],
      [join(dir, 'no-mode'), 'not executable'],
      [join(dir, 'no-mode', 'x'), 'no directory'],
    ] as const) {
      writeFileSync(join(dir, 'no-mode'), '');
      const execution = { ...NOTHING, noNewPrivileges: true };
      const result = await launch(options, { file, args: [], env: {}, execution }, pipes, null);
      expect(result, file).toMatchObject({ error: expect.stringContaining(reason), blame: 'command' });
    }
  });
});

/** Says what became of each start. */
const INSIDE = `
  import { execa } from 'execa';
  import { text } from 'node:stream/consumers';
  import { launch } from './src/process/launch.ts';
  const said = [];
  for (const execution of JSON.parse(process.argv[2])) {
    const program = { file: 'sh', args: ['-c', 'id -u; nice'], env: {}, execution };
    const options = { execa, native: null, prefix: null, env: process.env };
    const launched = launch(options, program, { stdout: 'pipe', stderr: 'pipe' }, null);
    said.push('child' in launched ? await text(launched.child.stdout) : (await launched).error);
  }
  console.log(JSON.stringify(said));`;

describe.skipIf(!canDoAll)('what a policy asks of whoever is not root (needs root to be nobody)', () => {
  const program = join(dir, 'as-nobody.mjs');
  beforeAll(async () => {
    chmodSync(dir, 0o755);
    await build({
      stdin: { contents: INSIDE, resolveDir: join(import.meta.dirname, '../..'), loader: 'ts' },
      outfile: program,
      bundle: true,
      format: 'esm',
      platform: 'node',
      banner: {
        js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
      },
    });
    chmodSync(program, 0o644);
  }, 120_000);

  function asNobody(asked: Partial<Execution>[]): string[] {
    const words = ['--reuid=65534', '--regid=65534', '--clear-groups', '--', process.execPath, program];
    const each = asked.map((execution) => ({ ...NOTHING, ...execution }));
    const { stdout, stderr } = spawnSync('setpriv', [...words, JSON.stringify(each)], { encoding: 'utf8' });
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout) as string[];
  }

  test('is refused where only root may, with what to do; less importance is not', () => {
    const own = getPriority();
    const said = asNobody([
      { user: 'root' },
      { user: '65534' },
      { nice: own - 1 },
      { nice: own + 1 },
      { capabilities: [] },
    ]);
    expect(said).toEqual([
      expect.stringContaining('upkeep itself, which runs as uid 65534, may not change them'),
      `65534\n${own}\n`,
      expect.stringMatching(/its nice value .* the kernel does not permit that; .* \(E(?:ACCES|PERM)\)$/),
      `65534\n${own + 1}\n`,
      expect.stringContaining('--cap-add SETPCAP'),
    ]);
  });
});
