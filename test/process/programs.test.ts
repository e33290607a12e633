import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, describe, expect, test, vi } from 'vitest';
import type { Exit } from '../../machines/events.ts';
import type { Execution } from '../../src/process/execution.ts';
import { loadNative } from '../../src/process/native.ts';
import { createPrograms, type Runnable } from '../../src/process/programs.ts';
import { procfsTable } from '../../src/process/table-procfs.ts';
import { createTags } from '../../src/process/tags.ts';

const dir = mkdtempSync(join(tmpdir(), 'upkeep-programs-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

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

const shell = (script: string, env = {}) => ({ file: 'sh', args: ['-c', script], env });

const loaded = loadNative(process.env);
const native = 'missing' in loaded ? null : loaded;
const noTags = native === null || native.getLocksLimit() === null ? 'limits cannot be set here' : '';

/** Programs of one command, and the books they are entered in. */
function world(of: Partial<Runnable> = {}, how: 'prefix' | 'tag' | 'descent' | 'reused' = 'prefix') {
  const runnable: Runnable = { ...shell('exit 3', { OWN: 'own' }), stop: null, execution: null, ...of };
  const helpers = new Map<number, boolean>();
  const launched: number[] = [];
  const ends: [number, Exit][] = [];
  const tagged: bigint[] = [];
  const state = { runnable, looks: 0 };
  const table = procfsTable();
  const members = new Set<number>();
  const programs = createPrograms({
    launchOptions: {
      execa,
      native: how === 'tag' ? native : null,
      // A program that stays out of the way of what is looked at.
      prefix: (tag) => {
        tagged.push(tag);
        return ['env'];
      },
      env: { PATH: process.env.PATH, BASE: 'base' },
    },
    runnableOf: () => state.runnable,
    streams: null,
    tags: how === 'descent' ? null : createTags('test', ['web']),
    table: {
      rows: table.rows,
      refresh: table.refresh,
      // Whoever has the number later began at another time.
      startTicksOf: how === 'reused' ? () => 7 : table.startTicksOf,
    },
    lineage: {
      launched: (_, { pid }) => launched.push(pid),
      helper: (pid, alive) => helpers.set(pid, alive),
      isMember: (pid) => members.has(pid),
    },
    signaller: { forget: () => {} },
    onEnd: (pid, exit) => ends.push([pid, exit]),
    // As far as it is there when this returns.
    look: () => void table.scan().then(() => state.looks++),
    looks: () => state.looks,
  });
  return { programs, helpers, launched, ends, tagged, state, members, table };
}

const ended = (
  programs: ReturnType<typeof world>['programs'],
  ...[command, program, output]: [string, Parameters<typeof programs.run>[1], 'ignore'?]
) => new Promise<Exit | { error: string }>((resolve) => programs.run(command, program, resolve, output));

const statOf = (pid: number): string[] =>
  readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ');
const parentOf = (pid: number): number => Number(statOf(pid)[1]);
const sessionOf = (pid: number): number => Number(statOf(pid)[3]);

const isAlive = (pid: number): boolean => {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
};

describe('a launcher', () => {
  test('is tagged, entered, and its end is told', async () => {
    const { programs, launched, ends, tagged, helpers } = world();
    const id = programs.start('web');
    expect(id).toEqual({ pid: launched[0], startTicks: expect.any(Number) });
    await vi.waitFor(() => expect(ends).toHaveLength(1));
    expect(ends[0]).toEqual([launched[0], { known: true, code: 3, signal: null, core: false }]);
    expect(tagged).toHaveLength(1);
    expect(helpers.size).toBe(0);
  });

  test('is what the policy says at that time', async () => {
    const { programs, ends, state } = world();
    state.runnable = { ...state.runnable, ...shell('exit 4') };
    programs.start('web');
    await vi.waitFor(() => expect(ends[0]?.[1]).toMatchObject({ code: 4 }));
  });

  test('that may not be run so is not started', async () => {
    const { programs, launched } = world({ execution: { ...NOTHING, cwd: join(dir, 'none') } });
    expect(await programs.start('web')).toMatchObject({ blame: 'command' });
    expect(launched).toEqual([]);
  });
});

describe('a helper', () => {
  test('has its command’s environment and rights, a tag of its own, and is in the books while it runs', async () => {
    const execution = { ...NOTHING, cwd: dir, env: { A: 'policy' }, umask: 0o077 };
    const { programs, helpers, launched, tagged } = world({ execution });
    const script = 'echo $BASE $A $OWN $MINE $(pwd) $(umask) > out';
    const done = ended(programs, 'web', shell(script, { MINE: 'mine' }), 'ignore');
    expect([...helpers.values()]).toEqual([true]);
    expect(await done).toMatchObject({ code: 0 });
    expect([...helpers.values()]).toEqual([false]);
    expect(readFileSync(join(dir, 'out'), 'utf8')).toMatch(
      new RegExp(`^base policy own mine ${dir} 0?077\n$`),
    );
    expect(launched).toEqual([]);
    const tags = createTags('test', ['web']);
    expect(tagged.map((tag) => [tags.commandOf(String(tag)), tags.isForeign(String(tag))])).toEqual([
      [null, true],
    ]);
  });

  test('its own stop command is one', async () => {
    const { programs } = world({ stop: { file: 'sh', args: ['-c', 'test "$OWN" = own && exit 5'] } });
    expect(await new Promise((resolve) => programs.stop('web', resolve))).toMatchObject({ code: 5 });
  });

  test('that cannot be run says why', async () => {
    const { programs, helpers } = world();
    expect(await ended(programs, 'web', { file: join(dir, 'none'), args: [], env: {} })).toMatchObject({
      error: expect.stringContaining('there is no such program'),
    });
    expect(helpers.size).toBe(0);
  });

  test('that is ended before its time is gone with all it started, and nobody hears of it', async () => {
    const { programs, helpers } = world();
    const heard = vi.fn();
    const file = join(dir, 'pids');
    const script = `sleep 1000 & (sleep 1000 & echo $! >> ${file}; wait) & echo $! >> ${file}; echo $$ >> ${file}; wait`;
    const end = programs.run('web', shell(script), heard, 'ignore');
    const pids = () => readFileSync(file, 'utf8').trim().split('\n').map(Number);
    await vi.waitFor(() => expect(pids()).toHaveLength(3), 10_000);
    expect(pids().every(isAlive)).toBe(true);
    // It hears of it when nothing is left, and so does who asks later.
    const left: number[] = [];
    const gone = (): void => void left.push(pids().filter(isAlive).length);
    end(gone);
    await vi.waitFor(() => expect(left).toEqual([0]), 10_000);
    end(gone);
    expect(left).toEqual([0, 0]);
    await vi.waitFor(() => expect([...helpers.values()]).toEqual([false]));
    expect(heard).not.toHaveBeenCalled();
  });

  /** A helper that waits for what it has started: in its session, in another one, and in one more whose parent has left. */
  const scatters = (file: string): string =>
    `sleep 1000 & echo $! >> ${file}
setsid sh -c 'echo $$ >> ${file}; exec sleep 1000' &
setsid sh -c "setsid sh -c 'echo \\$\\$ >> ${file}; exec sleep 1000' & exit 0"
echo $$ >> ${file}; wait`;
  const pidsIn = (file: string): number[] =>
    existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').map(Number) : [];

  test.skipIf(noTags)(
    `that is ended is gone with what has made sessions of its own, orphans as well ${noTags}`,
    async () => {
      const { programs, members } = world({}, 'tag');
      const other = join(dir, 'other');
      const file = join(dir, 'scattered');
      const stays = programs.run('web', shell(scatters(other)), () => {}, 'ignore');
      const end = programs.run('web', shell(scatters(file)), () => {}, 'ignore');
      await vi.waitFor(
        () => expect([pidsIn(file), pidsIn(other)].map(({ length }) => length)).toEqual([4, 4]),
        10_000,
      );
      // A login may have copied the number.
      const session = pidsIn(file).find((pid) => sessionOf(pid) === pid && parentOf(pid) !== process.pid)!;
      members.add(session);
      end();
      await vi.waitFor(() => expect(pidsIn(file).filter(isAlive)).toEqual([session]), 10_000);
      expect(pidsIn(other).every(isAlive)).toBe(true);
      process.kill(session, 'SIGKILL');
      stays();
      await vi.waitFor(() => expect(pidsIn(other).some(isAlive)).toBe(false), 10_000);
    },
  );

  test.skipIf(noTags)(
    `that somebody has killed leaves nothing; what ends by itself may ${noTags}`,
    async () => {
      const { programs } = world({}, 'tag');
      const [file, background] = [join(dir, 'killed'), join(dir, 'background')];
      const killed = ended(programs, 'web', shell(scatters(file)), 'ignore');
      await vi.waitFor(() => expect(pidsIn(file)).toHaveLength(4), 10_000);
      const own = pidsIn(file).find((pid) => parentOf(pid) === process.pid)!;
      process.kill(own, 'SIGKILL');
      expect(await killed).toMatchObject({ signal: 'SIGKILL' });
      await vi.waitFor(() => expect(pidsIn(file).some(isAlive)).toBe(false), 10_000);
      const script = `setsid sleep 1000 & echo $! >> ${background}`;
      // As a machine does that leaves the state which had asked for it.
      const result = await new Promise((resolve) => {
        const end = programs.run(
          'web',
          shell(script),
          (each) => {
            end(() => resolve(each));
          },
          'ignore',
        );
      });
      expect(result).toMatchObject({ code: 0 });
      expect(pidsIn(background).every(isAlive)).toBe(true);
      process.kill(pidsIn(background)[0]!, 'SIGKILL');
    },
  );

  test.skipIf(!existsSync('/proc/self/stat'))(
    'without tags, with those whose parents are still there (needs /proc)',
    async () => {
      const { programs, table } = world({}, 'descent');
      const file = join(dir, 'below');
      const script = `setsid sh -c 'echo $$ >> ${file}; sleep 1000 & echo $! >> ${file}; wait' & echo $$ >> ${file}; wait`;
      const end = programs.run('web', shell(script), () => {}, 'ignore');
      await vi.waitFor(() => expect(pidsIn(file)).toHaveLength(3), 10_000);
      // What no look has shown before it is ended is not found here.
      await table.scan();
      end();
      await vi.waitFor(() => expect(pidsIn(file).some(isAlive)).toBe(false), 10_000);
    },
  );

  test.skipIf(!existsSync('/proc/self/stat'))(
    'whose number is somebody else’s by now: that one is not hurt (needs /proc)',
    async () => {
      const { programs, helpers } = world({}, 'reused');
      const heard = vi.fn();
      const [up, spared] = [join(dir, 'up'), join(dir, 'spared')];
      const script = `trap 'echo > ${spared}; exit' TERM; echo > ${up}; while :; do sleep 0.02; done`;
      const end = programs.run('web', shell(script), heard, 'ignore');
      const [pid] = [...helpers.keys()] as [number];
      await vi.waitFor(() => expect(existsSync(up)).toBe(true), 10_000);
      end();
      // A SIGKILL would be there before this one.
      process.kill(pid, 'SIGTERM');
      await vi.waitFor(() => expect(existsSync(spared)).toBe(true), 10_000);
      await vi.waitFor(() => expect(helpers.get(pid)).toBe(false));
      expect(heard).not.toHaveBeenCalled();
    },
  );

  test('that has not been started yet, and is ended, is not heard of either', async () => {
    const { programs } = world();
    const heard = vi.fn();
    programs.run('web', { file: join(dir, 'none'), args: [], env: {} }, heard)();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(heard).not.toHaveBeenCalled();
  });
});
