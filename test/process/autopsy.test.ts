import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Exit } from '../../machines/events.ts';
import { createAutopsy, oomFile, oomKills } from '../../src/process/autopsy.ts';

const ended = (how: Partial<Exit>): Exit => ({ known: true, code: null, signal: null, core: false, ...how });
const killed = ended({ signal: 'SIGKILL' });
const gone = ended({ known: false });

/** An autopsy, and the kernel's number, which has been looked at once. */
function world(first: number | null = 0) {
  const kernel = { kills: first, size: 0, reads: 0 };
  const autopsy = createAutopsy(
    () => {
      kernel.reads++;
      return kernel.kills;
    },
    () => kernel.size,
  );
  autopsy.unexplained();
  const isOom = (exit: Exit | null) => autopsy.examine('web', 7, exit).oom;
  return { kernel, autopsy, isOom };
}

describe('whether it was the OOM killer', () => {
  test('it was, where the kernel has counted one more since', () => {
    const { kernel, isOom } = world(5);
    expect(isOom(killed)).toBe(false);
    kernel.kills = 6;
    expect(isOom(killed)).toBe(true);
    // That one has been explained.
    expect(isOom(killed)).toBe(false);
  });

  test('a shell passes the end of its child on as its own status', () => {
    const { kernel, isOom } = world();
    kernel.kills = 1;
    expect(isOom(ended({ code: 137 }))).toBe(true);
  });

  test('several that die at once are each found', () => {
    const { kernel, isOom } = world();
    kernel.kills = 2;
    expect([isOom(killed), isOom(killed), isOom(killed)]).toEqual([true, true, false]);
  });

  test('whoever ended otherwise was not, and nothing is read for that', () => {
    const { kernel, isOom } = world();
    kernel.kills = 1;
    const { reads } = kernel;
    for (const how of [{ code: 0 }, { code: 3 }, { signal: 'SIGTERM' }, { signal: 'SIGSEGV', core: true }]) {
      expect(isOom(ended(how))).toBe(false);
    }
    expect(kernel.reads).toBe(reads);
    expect(isOom(killed)).toBe(true);
  });

  test('of one whose end nobody knows it is not known, but where nobody was', () => {
    const { kernel, isOom } = world();
    expect([isOom(gone), isOom(null)]).toEqual([false, false]);
    kernel.kills = 1;
    expect([isOom(gone), isOom(null), isOom(killed)]).toEqual([null, null, true]);
  });

  test('nobody knows where the kernel does not count', () => {
    const { isOom } = world(null);
    expect([isOom(killed), isOom(gone)]).toEqual([null, null]);
    expect(isOom(ended({ code: 1 }))).toBe(false);
  });

  test('nobody knows of a death before the first look, or while the number can not be read', () => {
    const kernel: { kills: number | null } = { kills: 3 };
    const autopsy = createAutopsy(() => kernel.kills);
    expect(autopsy.examine('web', 7, killed).oom).toBeNull();
    kernel.kills = null;
    expect(autopsy.examine('web', 7, killed).oom).toBeNull();
    kernel.kills = 4;
    expect(autopsy.examine('web', 7, killed).oom).toBeNull();
    expect(autopsy.unexplained()).toBe(0);
    kernel.kills = 5;
    expect(autopsy.examine('web', 7, killed).oom).toBe(true);
  });

  test('those who led nothing are told once, and explain no later death', () => {
    const { kernel, autopsy, isOom } = world();
    kernel.kills = 3;
    expect(isOom(killed)).toBe(true);
    const looks = () => [autopsy.unexplained(), autopsy.unexplained(), autopsy.unexplained()];
    expect(looks()).toEqual([0, 2, 0]);
    expect(isOom(killed)).toBe(false);
  });

  test('whom the kernel has counted may take until the next look to be dead', () => {
    const { kernel, autopsy, isOom } = world();
    kernel.kills = 1;
    expect(autopsy.unexplained()).toBe(0);
    expect(isOom(killed)).toBe(true);
    // One more, who is not taken for the one before.
    kernel.kills = 2;
    expect([autopsy.unexplained(), autopsy.unexplained()]).toEqual([0, 1]);
  });

  test('as many as the kernel has counted are found or told, never more', () => {
    const step = fc.oneof(
      fc.record({ more: fc.nat(3) }),
      fc.constantFrom<Exit | null>(killed, gone, null, ended({ code: 137 }), ended({ code: 1 })),
      fc.constant('look' as const),
    );
    fc.assert(
      fc.property(fc.nat(), fc.array(step), (first, steps) => {
        const { kernel, autopsy, isOom } = world(first);
        let found = 0;
        for (const one of steps) {
          if (one === 'look') found += autopsy.unexplained();
          else if (one !== null && 'more' in one) kernel.kills! += one.more;
          else if (isOom(one)) found++;
        }
        expect(found + autopsy.unexplained() + autopsy.unexplained()).toBe(kernel.kills! - first);
      }),
    );
  });
});

describe('the peak of its memory', () => {
  const peakOf = (autopsy: ReturnType<typeof createAutopsy>, pid: number | null = 7) =>
    autopsy.examine('web', pid, ended({ code: 1 })).peak;

  test('is that of the leader that has died, and of no other', () => {
    const { autopsy } = world();
    autopsy.ended(null, 6, 9_000);
    autopsy.ended('db', 7, 8_000);
    autopsy.ended('web', 7, 5_000);
    expect([peakOf(autopsy), peakOf(autopsy, 6), peakOf(autopsy, null)]).toEqual([5_000, null, null]);
    autopsy.ended('web', 8, 6_000);
    expect([peakOf(autopsy), peakOf(autopsy, 8)]).toEqual([null, 6_000]);
    autopsy.forget('web');
    expect(peakOf(autopsy, 8)).toBeNull();
  });

  test('is not known where the kernel does not tell it', () => {
    const { autopsy } = world();
    autopsy.ended('web', 7, null);
    expect(peakOf(autopsy)).toBeNull();
  });

  test('of what upkeep has launched is not known below what upkeep itself had in use then', () => {
    const { autopsy, kernel } = world();
    kernel.size = 1_000;
    autopsy.launched(7);
    kernel.size = 9_000;
    autopsy.ended('web', 7, 1_000);
    expect(peakOf(autopsy)).toBeNull();
    kernel.size = 1_000;
    autopsy.launched(7);
    autopsy.ended('web', 7, 1_001);
    expect(peakOf(autopsy)).toBe(1_001);
    // The number is another process's by now, which upkeep has not launched.
    autopsy.ended('web', 7, 10);
    expect(peakOf(autopsy)).toBe(10);
  });

  test.skipIf(process.platform !== 'linux')('what this process has in use is read from /proc', async () => {
    const autopsy = createAutopsy(() => 0);
    const own = Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))![1]) * 1024;
    autopsy.launched(7);
    autopsy.ended('web', 7, own * 2);
    expect(peakOf(autopsy)).toBe(own * 2);
    autopsy.launched(7);
    autopsy.ended('web', 7, own / 2);
    expect(peakOf(autopsy)).toBeNull();
  });
});

describe('where the kernel counts', () => {
  const V2 = '36 25 0:30 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate';
  const V1 = [
    '30 24 0:27 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755',
    '31 30 0:28 / /sys/fs/cgroup/systemd rw,nosuid shared:9 - cgroup cgroup rw,xattr,name=systemd',
    '32 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:11 - cgroup cgroup rw,cpu,cpuacct',
    '33 30 0:31 / /sys/fs/cgroup/memory rw,nosuid shared:12 - cgroup cgroup rw,memory',
    '34 30 0:32 / /sys/fs/cgroup/unified rw,nosuid shared:13 - cgroup2 cgroup2 rw',
  ].join('\n');

  test.each([
    ['version 2, with a namespace of its own', '0::/', V2, '/sys/fs/cgroup/memory.events'],
    [
      'version 2, without',
      '0::/system.slice/upkeep.service\n',
      V2,
      '/sys/fs/cgroup/system.slice/upkeep.service/memory.events',
    ],
    [
      'version 2, of which a container sees its own part',
      '0::/docker/ab12',
      V2.replace(' / ', ' /docker/ab12 '),
      '/sys/fs/cgroup/memory.events',
    ],
    [
      'version 1',
      '5:memory:/user/me\n4:cpu,cpuacct:/\n1:name=systemd:/\n0::/elsewhere\n',
      V1,
      '/sys/fs/cgroup/memory/user/me/memory.oom_control',
    ],
    [
      'version 1, of which a container sees its own part',
      '5:memory:/docker/ab12\n0::/\n',
      V1.replace('0:31 / ', '0:31 /docker/ab12 '),
      '/sys/fs/cgroup/memory/memory.oom_control',
    ],
    [
      'a namespace that began below what is mounted',
      '0::/',
      V2.replace(' / ', ' /../.. '),
      '/sys/fs/cgroup/memory.events',
    ],
    [
      'a neighbour whose name begins alike',
      '0::/docker/ab12',
      V2.replace(' / ', ' /docker/ab '),
      '/sys/fs/cgroup/memory.events',
    ],
    [
      'a place with a space in it',
      '0::/a b',
      V2.replace('/sys/fs/cgroup', String.raw`/my\040groups`),
      '/my groups/a b/memory.events',
    ],
    ['version 2 that is not mounted', '0::/', V1.split('\n')[0]!, null],
    ['version 1 that is not mounted', '5:memory:/x', V2, null],
    ['no control groups', '', '', null],
  ])('%s', (_, groups, mounts, file) => {
    expect(oomFile(groups, mounts)).toBe(file);
  });

  test('whatever the kernel may say there, it is a file of the right name, or none', () => {
    const word = fc.oneof(
      fc.constantFrom(
        '/',
        '/a',
        '/a/b',
        '-',
        'cgroup',
        'cgroup2',
        'rw,memory',
        'memory',
        '0::/a',
        '1:memory:/a/b',
      ),
      fc.string(),
    );
    const text = fc
      .array(fc.array(word, { maxLength: 12 }).map((words) => words.join(' ')))
      .map((lines) => lines.join('\n'));
    fc.assert(
      fc.property(text, text, (groups, mounts) => {
        expect(oomFile(groups, mounts) ?? '/memory.events').toMatch(/\/memory\.(?:events|oom_control)$/);
      }),
    );
  });

  test('each group is found below where its tree is mounted, in both versions', () => {
    const name = fc.stringMatching(/^[a-z0-9_.-]{1,8}$/).filter((one) => one !== '.' && one !== '..');
    const path = fc.array(name, { maxLength: 4 }).map((names) => names.map((one) => `/${one}`).join(''));
    fc.assert(
      fc.property(path, path, path, fc.boolean(), (at, root, rest, first) => {
        const mount = `1 2 0:3 ${root || '/'} /m${at} rw - ${first ? 'cgroup x rw,memory' : 'cgroup2 x rw'}`;
        const group = `${first ? '7:memory' : '0:'}:${root + rest || '/'}`;
        const file = first ? 'memory.oom_control' : 'memory.events';
        expect(oomFile(group, mount)).toBe(`/m${at}${rest}/${file}`);
      }),
    );
  });

  test.each([
    ['low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n', 2],
    ['oom_kill_disable 0\nunder_oom 0\noom_kill 17\n', 17],
    // Before Linux 4.13 they were not counted.
    ['oom_kill_disable 0\nunder_oom 0\n', null],
    ['low 0\noom_group_kill 1\n', null],
    ['', null],
  ])('%j: %s', (text, kills) => {
    expect(oomKills(text)).toBe(kills);
  });

  test('any number that the kernel writes is read', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (kills, others) => {
        expect(oomKills(`oom ${others}\noom_kill ${kills}\noom_group_kill ${others}\n`)).toBe(kills);
      }),
    );
  });

  test.skipIf(process.platform !== 'linux')(
    'the one of this process is never waited for (needs /proc)',
    async () => {
      const autopsy = createAutopsy();
      autopsy.unexplained();
      const child = spawn('sh', ['-c', 'kill -KILL $$'], { stdio: 'ignore' });
      await once(child, 'exit');
      // Somebody ended it who is not the kernel, or there is nobody who could say.
      expect([false, null]).toContain(autopsy.examine('web', child.pid!, killed).oom);
    },
  );
});
