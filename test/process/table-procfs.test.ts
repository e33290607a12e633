import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isDead } from '../../src/process/table.ts';
import { handedOut, parseStat, procfsTable, wholeRoundPossible } from '../../src/process/table-procfs.ts';
import { fakeProc, statBytes } from './fake-proc.ts';

const pids = (rows: readonly { pid: number }[]) => rows.map((row) => row.pid).sort((a, b) => a - b);
const python = spawnSync('python3', ['-c', '']).status === 0;
const linux = process.platform === 'linux';

describe('parseStat', () => {
  it('gives back any name and any fields', () => {
    const byte = fc.oneof(fc.integer({ min: 1, max: 255 }), fc.constantFrom(0x28, 0x29, 0x20, 0x0a, 0x5a));
    fc.assert(
      fc.property(
        fc.record({
          pid: fc.integer({ min: 1, max: 4194304 }),
          comm: fc.array(byte, { maxLength: 15 }).map((bytes) => Buffer.from(bytes)),
          state: fc.constantFrom('R', 'S', 'D', 'T', 't', 'X', 'I'),
          ppid: fc.integer({ min: 0, max: 4194304 }),
          session: fc.integer({ min: -1, max: 4194304 }),
          threads: fc.integer({ min: 0, max: 40000 }),
          ticks: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
          exitSignal: fc.constantFrom(-1, 0, 17),
          junk: fc.array(byte, { maxLength: 60 }),
        }),
        ({ pid, junk, ...of }) => {
          const bytes = statBytes(pid, of);
          const { comm, state, ppid, session, ticks, exitSignal } = of;
          // A reused buffer holds something else behind the length.
          expect(parseStat(Buffer.concat([bytes, Buffer.from(junk)]), bytes.length)).toEqual({
            comm: comm.toString('utf8'),
            state,
            ppid,
            session,
            startTicks: ticks,
            pages: 200,
            thread: exitSignal === -1,
          });
        },
      ),
    );
  });

  it('keeps 15 bytes of a longer name', () => {
    expect(parseStat(statBytes(5, { comm: 'kworker/0:1-events_power' }))?.comm).toBe('kworker/0:1-eve');
  });

  it('takes a zombie with other threads for alive', () => {
    expect(parseStat(statBytes(5, { state: 'Z', threads: 1 }))?.state).toBe('Z');
    expect(parseStat(statBytes(5, { state: 'Z', threads: 0 }))?.state).toBe('Z');
    expect(parseStat(statBytes(5, { state: 'Z', threads: 2 }))?.state).toBe('S');
  });

  it('says null to what is cut short or is something else', () => {
    const whole = statBytes(5, { comm: 'x', ticks: 777 });
    const needed = whole.indexOf('777');
    for (let length = 0; length <= needed; length++) expect(parseStat(whole, length)).toBeNull();
    expect(parseStat(Buffer.from('nothing'))).toBeNull();
  });
});

/** The kernel's way to hand out pids: the next free number, in a circle that leaves out the first 300. */
function allocator(pidMax: number, start: number) {
  const used = new Set<number>();
  let cursor = start;
  return {
    used,
    last: () => cursor - 1,
    take(): number | null {
      const min = cursor > 300 ? 300 : 1;
      const circle = [
        [Math.max(cursor, min), pidMax],
        [min, cursor],
      ] as const;
      for (const [from, to] of circle) {
        for (let pid = from; pid < to; pid++) {
          if (used.has(pid)) continue;
          used.add(pid);
          cursor = pid + 1;
          return pid;
        }
      }
      return null;
    },
  };
}

describe('the range of pids handed out', () => {
  it('holds every pid of a model of the kernel, if less than a round was handed out', () => {
    let checked = 0;
    fc.assert(
      fc.property(
        fc.integer({ min: 302, max: 360 }),
        fc.integer({ min: 1, max: 360 }),
        fc.array(fc.array(fc.oneof(fc.constant('take' as const), fc.nat(400)), { maxLength: 40 }), {
          maxLength: 20,
        }),
        (pidMax, start, scans) => {
          const pid = allocator(pidMax, Math.min(start, pidMax));
          for (const between of scans) {
            const before = pid.last();
            const most = { used: pid.used.size };
            const taken: number[] = [];
            for (const what of between) {
              const got = what === 'take' ? pid.take() : null;
              if (got !== null) taken.push(got);
              if (what !== 'take') pid.used.delete([...pid.used][what % pid.used.size] ?? 0);
              most.used = Math.max(most.used, pid.used.size);
            }
            if (wholeRoundPossible(pidMax, most.used, 1e6, taken.length)) continue;
            for (const got of taken) {
              checked++;
              expect(handedOut(before, pid.last(), got)).toBe(true);
            }
            // And nothing more than the arc from one to the other.
            const arc = pid.last() - before;
            const inRange = Array.from({ length: pidMax - 1 }, (_, i) => i + 1).filter((n) =>
              handedOut(before, pid.last(), n),
            );
            expect(inRange).toHaveLength(arc >= 0 ? Math.min(arc, pidMax - 1 - before) : pidMax - 1 + arc);
          }
        },
      ),
      { numRuns: 300 },
    );
    expect(checked).toBeGreaterThan(0);
  });

  it('takes a whole round for possible unless time or the count of forks says no', () => {
    expect(wholeRoundPossible(32768, 100, 10, Number.NaN)).toBe(false);
    expect(wholeRoundPossible(32768, 100, 5000, Number.NaN)).toBe(true);
    expect(wholeRoundPossible(32768, 100, 5000, 200)).toBe(false);
    expect(wholeRoundPossible(32768, 100, 5000, 20_000)).toBe(true);
    expect(wholeRoundPossible(32768, 11_000, 5000, 1)).toBe(true);
    expect(wholeRoundPossible(4194304, 11_000, 5000, Number.NaN)).toBe(false);
    expect(wholeRoundPossible(0, 100, 5000, Number.NaN)).toBe(true);
  });
});

describe('a made-up /proc', () => {
  let proc: ReturnType<typeof fakeProc>;
  let clock: number;
  const table = () => procfsTable({ root: proc.root, now: () => clock });
  beforeEach(() => {
    proc = fakeProc();
    clock = 1e6;
  });
  afterEach(() => proc.remove());

  it('lists processes and nothing else', async () => {
    proc.put(1, { comm: 'init', ppid: 0 });
    proc.put(20, {
      comm: Buffer.from('a) \xff\n(', 'latin1'),
      state: 'D',
      ppid: 1,
      session: 20,
      ticks: 55,
      cmdline: 'a b\0\0c\0\0',
      locks: '123456789',
    });
    mkdirSync(join(proc.root, '5x'));
    mkdirSync(join(proc.root, 'bus'));
    mkdirSync(join(proc.root, '30'));
    const t = table();
    const { appeared, vanished, at } = await t.scan();
    expect(at).toBe(clock);
    expect(pids(appeared)).toEqual([1, 20]);
    expect(vanished).toEqual([]);
    expect(t.rows.get(20)).toEqual({
      pid: 20,
      ppid: 1,
      startTicks: 55,
      state: 'D',
      session: 20,
      comm: 'a) \ufffd\n(',
      argv: ['a b', '', 'c'],
      locks: '123456789',
    });
    expect(t.rows.get(1)?.locks).toBeNull();
  });

  it('reads empty and huge command lines', async () => {
    proc.put(2, { cmdline: '' });
    proc.put(3, { cmdline: '\0\0\0' });
    proc.put(4, { cmdline: 'x'.repeat(100_000) });
    proc.put(5, { cmdline: `nginx: master process${'\0'.repeat(50)}` });
    const t = table();
    await t.scan();
    expect(t.rows.get(2)?.argv).toEqual([]);
    expect(t.rows.get(3)?.argv).toEqual([]);
    expect(t.rows.get(4)?.argv).toEqual(['x'.repeat(4096)]);
    expect(t.rows.get(5)?.argv).toEqual(['nginx: master process']);
  });

  it('reads nothing of 5000 processes whose pids were not handed out again', async () => {
    proc.put(1);
    for (let pid = 2; pid <= 5000; pid++) symlinkSync('1', join(proc.root, `${pid}`));
    proc.kernel(5000);
    const t = table();
    expect((await t.scan()).appeared).toHaveLength(5000);
    // Whoever were read now would be somebody else.
    proc.put(1, { ticks: 2, comm: 'read' });
    proc.put(5001, { ticks: 6000 });
    proc.kernel(5001, 1);
    clock += 5000;
    const change = await t.scan();
    expect(pids(change.appeared)).toEqual([5001]);
    expect(change.vanished).toEqual([]);
    expect([...t.rows.values()].filter((row) => row.comm === 'read')).toEqual([]);
    expect(t.rows.size).toBe(5001);
  });

  it('sees a pid that is used again, across the end of the circle', async () => {
    for (const pid of [310, 400, 32000, 32700]) proc.put(pid, { ticks: 10 });
    proc.kernel(32600, 0);
    const t = table();
    await t.scan();
    for (const pid of [310, 400, 32000, 32700]) proc.put(pid, { ticks: 20, comm: 'new' });
    proc.kernel(350, 500);
    clock += 5000;
    const change = await t.scan();
    expect(pids(change.appeared)).toEqual([310, 32700]);
    expect(pids(change.vanished)).toEqual([310, 32700]);
    expect(change.vanished[0]?.startTicks).toBe(10);
    expect(t.rows.get(310)?.comm).toBe('new');
    expect(t.rows.get(400)?.comm).toBe('fake');
  });

  it.each([
    ['the kernel does not tell the last pid', () => proc.kernel(null, 5)],
    ['more than a round may have been handed out', () => proc.kernel(1000, 17_000)],
    ['nobody counts the forks', () => proc.write('stat', 'cpu 1\n')],
    ['pid_max cannot be read', () => rmSync(join(proc.root, 'sys'), { recursive: true })],
    ['loadavg is something else', () => proc.write('loadavg', 'none\n')],
  ])('verifies all when %s', async (_, happen) => {
    proc.put(50, { ticks: 10 });
    proc.put(60, { ticks: 10, ppid: 50 });
    const t = table();
    await t.scan();
    proc.put(50, { ticks: 20 });
    proc.put(60, { ticks: 10, ppid: 1, state: 'Z' });
    happen();
    clock += 5000;
    const change = await t.scan();
    expect(pids(change.vanished)).toEqual([50]);
    expect(pids(change.appeared)).toEqual([50]);
    expect(t.rows.get(60)).toMatchObject({ ppid: 1, state: 'Z', argv: [] });
  });

  it('is never wrong under a model of the kernel', async () => {
    const pidMax = 360;
    let noticed = 0;
    const pass = { what: 'pass' as const, count: 25 };
    const reuse = { what: 'reuse' as const, which: 0 };
    const step = fc.oneof(
      fc.record({ what: fc.constant('start' as const) }),
      fc.record({ what: fc.constant('end' as const), which: fc.nat(400) }),
      // So many short-lived ones, which carry the cursor on.
      fc.record({ what: fc.constant('pass' as const), count: fc.nat(25) }),
      // One of the next processes in the circle ends, and the cursor is carried on until its pid is used again.
      fc.record({ what: fc.constant('reuse' as const), which: fc.nat(2) }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.array(step, { maxLength: 3 }), fc.boolean()), { maxLength: 10, size: 'max' }),
        async (scans) => {
          proc.remove();
          proc = fakeProc();
          const pid = allocator(pidMax, 330);
          const truth = new Map<number, number>();
          const t = table();
          let forks = 0;
          let before = { forks, truth: new Map<number, number>(), known: new Map<number, number>() };
          const start = () => {
            const got = pid.take()!;
            truth.set(got, 1000 + ++forks);
            proc.put(got, { ticks: 1000 + forks });
            return got;
          };
          const end = (one: number) => {
            truth.delete(one);
            pid.used.delete(one);
            proc.drop(one);
          };
          for (let i = 0; i < 5; i++) start();
          for (const [steps, newcomersAlone] of scans) {
            for (const it of steps) {
              if (it.what === 'start' && truth.size < 10) start();
              if (it.what === 'end' && truth.size > 1) end([...truth.keys()][it.which % truth.size]!);
              if (it.what === 'reuse') {
                const ahead = (one: number) => (one - pid.last() + pidMax) % pidMax;
                const next = [...truth.keys()].sort((x, y) => ahead(x) - ahead(y));
                const one = next[it.which % next.length]!;
                end(one);
                while (start() !== one) end([...truth.keys()].at(-1)!);
              }
              for (let i = 0; it.what === 'pass' && i < it.count; i++) {
                forks++;
                pid.used.delete(pid.take()!);
              }
            }
            proc.kernel(pid.last(), forks, pidMax, pid.used.size);
            clock += 3000;
            const newcomers = newcomersAlone ? t.newcomers() : null;
            const { appeared, vanished } = newcomers ?? (await t.scan());
            const differ = (a: Map<number, number>, b: Map<number, number>) =>
              [...a].filter(([n, ticks]) => b.get(n) !== ticks).map(([n]) => n);
            const known = new Map([...t.rows].map(([n, row]) => [n, row.startTicks]));
            expect(pids(appeared)).toEqual(differ(truth, before.known).sort((x, y) => x - y));
            const gone = differ(before.known, truth).sort((x, y) => x - y);
            if (newcomers !== null) {
              expect(known).toEqual(
                new Map(
                  [...before.known, ...truth].filter(([n]) => !pids(vanished).includes(n) || truth.has(n)),
                ),
              );
              expect(gone).toEqual(expect.arrayContaining(pids(vanished)));
            } else {
              expect(known).toEqual(truth);
              expect(pids(vanished)).toEqual(gone);
            }
            const used = Math.max(before.truth.size, truth.size);
            if (!wholeRoundPossible(pidMax, used, 3000, forks - before.forks)) {
              noticed += appeared.filter((row) => before.truth.has(row.pid)).length;
            }
            before = { forks, truth: new Map(truth), known };
          }
        },
      ),
      {
        numRuns: 25,
        // The cursor comes round to just before the first process, whose pid is then used again.
        examples: [true, false].map((newcomersAlone): [[(typeof pass | typeof reuse)[], boolean][]] => [
          [
            [[pass], false],
            [[pass], false],
            [[reuse], newcomersAlone],
          ],
        ]),
      },
    );
    // Pids were used again between two scans, and that was not noticed by reading everything.
    expect(noticed).toBeGreaterThanOrEqual(2);
  }, 300_000);

  it('looks for newcomers where they must be, and lists nobody', async () => {
    const t = table();
    proc.put(900);
    await t.scan();
    // Were the folder listed, it would be found.
    proc.put(950);
    proc.put(1002, { ticks: 60 });
    proc.kernel(1003, 3);
    clock += 5000;
    expect(pids(t.newcomers()!.appeared)).toEqual([1002]);
    // 1001 and 1003 were handed out, but nobody was to be seen there yet.
    proc.put(1003, { ticks: 60 });
    proc.drop(900);
    clock += 500;
    const change = t.newcomers()!;
    expect([pids(change.appeared), pids(change.vanished)]).toEqual([[1003], []]);
    clock += 500;
    const whole = await t.scan();
    expect([pids(whole.appeared), pids(whole.vanished)]).toEqual([[950], [900]]);
  });

  it('looks for newcomers among newcomers alone: who is young is read again by a list', async () => {
    const t = table();
    await t.scan();
    proc.put(1001, { ticks: 60, comm: 'before' });
    proc.kernel(1001, 1);
    expect(pids(t.newcomers()!.appeared)).toEqual([1001]);
    proc.put(1001, { ticks: 60, comm: 'after' });
    t.newcomers();
    expect(t.rows.get(1001)?.comm).toBe('before');
    await t.scan();
    expect(t.rows.get(1001)?.comm).toBe('after');
  });

  it('passes over a newcomer of whom it has told already, until everybody is listed', async () => {
    const t = table();
    await t.scan();
    proc.put(1001, { ticks: 60 });
    proc.put(1002, { ticks: 61 });
    proc.kernel(1002, 2);
    expect(t.startTicksOf(1001)).toBe(60);
    expect(t.startTicksOf(1003)).toBe(0);
    expect(pids(t.newcomers()!.appeared)).toEqual([1002]);
    expect(pids((await t.scan()).appeared)).toEqual([1001]);
    // Told of it again, it is somebody else all the same: the number was handed out once more.
    proc.put(1001, { ticks: 70 });
    proc.kernel(1001, 40_000);
    clock += 5_000;
    expect(pids((await t.scan()).appeared)).toEqual([1001]);
  });

  it('a newcomer of whom it has told takes the place of whoever had the number before', async () => {
    proc.put(900, { ticks: 50 });
    proc.kernel(890);
    const t = table();
    await t.scan();
    proc.put(900, { ticks: 60 });
    proc.kernel(900, 10);
    expect(t.startTicksOf(900)).toBe(60);
    const change = t.newcomers()!;
    expect([pids(change.vanished), pids(change.appeared)]).toEqual([[900], [900]]);
    expect(t.rows.get(900)?.startTicks).toBe(60);
  });

  it('a newcomer that could not be read is looked at again, also once it is known', async () => {
    const t = table();
    proc.put(900, { ticks: 50 });
    await t.scan();
    proc.put(900, { ticks: 60 });
    proc.kernel(900, 32_000);
    // Nobody can tell whose it is now.
    proc.drop(900, 'stat');
    mkdirSync(join(proc.root, '900/stat'));
    clock += 400;
    await t.scan();
    expect(t.rows.get(900)?.startTicks).toBe(50);
    proc.drop(900, 'stat');
    proc.put(900, { ticks: 60 });
    proc.kernel(901, 32_001);
    const change = t.newcomers()!;
    expect([pids(change.vanished), pids(change.appeared)]).toEqual([[900], [900]]);
  });

  it('takes out whose end was told, and says so at the next look', async () => {
    proc.put(900, { ticks: 50 });
    const t = table();
    await t.scan();
    t.ended(900);
    expect(t.rows.has(900)).toBe(false);
    const change = t.newcomers()!;
    expect([pids(change.vanished), pids(change.appeared)]).toEqual([[900], []]);
    t.ended(900);
    expect(t.newcomers()).toMatchObject({ vanished: [], appeared: [] });
  });

  it('asks for a list when many have come since the last one: nobody says who has gone', async () => {
    const t = table();
    await t.scan();
    let last = 1000;
    let looks = 0;
    for (; looks < 100; looks++) {
      const from = last + 1;
      for (last = from; last < from + 19; last++) proc.put(last, { ticks: last });
      proc.kernel(last, last - 1000);
      if (t.newcomers() === null) break;
    }
    expect(looks).toBeGreaterThan(1);
    expect(looks).toBeLessThan(100);
    await t.scan();
    expect(t.newcomers()).not.toBeNull();
  });

  it('reads everybody where the last pid was set back', async () => {
    proc.put(900, { ticks: 50 });
    const t = table();
    proc.kernel(1000, 10);
    await t.scan();
    clock += 5000;
    // 900 belongs to somebody else: three forks cannot have led past the end of the circle to it.
    proc.put(900, { ticks: 60 });
    proc.kernel(900, 13);
    expect(t.newcomers()).toBeNull();
    expect(pids((await t.scan()).appeared)).toEqual([900]);
  });

  it('asks for a list where that tells sooner who has come, or where only that tells', async () => {
    const t = table();
    await t.scan();
    proc.put(950);
    proc.kernel(1000 + 200, 200);
    expect(t.newcomers()).toBeNull();
    expect(pids((await t.scan()).appeared)).toEqual([950]);
    proc.put(951);
    proc.kernel(null);
    expect(t.newcomers()).toBeNull();
  });

  it('tells the pid that was handed out last, at once, and 0 where the kernel does not', () => {
    const t = table();
    expect(t.lastPid()).toBe(1000);
    proc.kernel(1007);
    expect(t.lastPid()).toBe(1007);
    proc.kernel(null);
    expect(t.lastPid()).toBe(0);
    proc.write('loadavg', 'none\n');
    expect(t.lastPid()).toBe(0);
  });

  it('reads a young process again, and not an old one', async () => {
    const t = table();
    await t.scan();
    proc.put(1001, { ticks: 50, comm: 'upkeep', cmdline: 'upkeep\0' });
    proc.kernel(1001, 1);
    await t.scan();
    const exec = (comm: string, locks: string) =>
      proc.put(1001, { ticks: 50, comm, cmdline: `${comm}\0`, locks });
    exec('daemon', '42');
    clock += 500;
    const change = await t.scan();
    expect(t.rows.get(1001)).toMatchObject({ comm: 'daemon', argv: ['daemon'], locks: '42' });
    expect(change.appeared).toEqual([]);
    expect(change.vanished).toEqual([]);
    exec('later', '43');
    clock += 600;
    await t.scan();
    expect(t.rows.get(1001)).toMatchObject({ comm: 'later', argv: ['later'], locks: '43' });
    exec('too late', '44');
    clock += 1;
    await t.scan();
    expect(t.rows.get(1001)?.comm).toBe('later');
    expect(t.refresh(1001)).toMatchObject({ comm: 'too late', locks: '44' });
    expect(t.rows.get(1001)?.comm).toBe('too late');
  });

  it('knows at the first scan who is young', async () => {
    proc.write('uptime', '1000.50 5.00\n');
    proc.put(10, { ticks: 99_900 });
    proc.put(20, { ticks: 100_000 });
    const t = table();
    await t.scan();
    proc.put(10, { ticks: 99_900, comm: 'changed' });
    proc.put(20, { ticks: 100_000, comm: 'changed' });
    await t.scan();
    expect(t.rows.get(10)?.comm).toBe('fake');
    expect(t.rows.get(20)?.comm).toBe('changed');
  });

  it('keeps what it knows of a process that cannot be read, and tries again', async () => {
    const lock = (pid: number) => {
      // Nobody can open a link to itself, root neither; and ELOOP says nothing about being gone.
      proc.drop(pid, 'stat');
      symlinkSync('stat', join(proc.root, `${pid}/stat`));
    };
    proc.put(500, { ticks: 10, comm: 'old' });
    proc.put(600, { ticks: 10, comm: 'old' });
    proc.kernel(1000);
    const t = table();
    await t.scan();
    // 500 may have been handed out again, 600 is not listed, 700 is new; none can be read.
    clock += 5000;
    proc.kernel(32000, 0);
    await t.scan();
    lock(500);
    proc.put(300);
    proc.drop(300, 'stat');
    symlinkSync('stat', join(proc.root, '300/stat'));
    proc.kernel(550, 600);
    clock += 5000;
    let change = await t.scan();
    expect([change.appeared, change.vanished]).toEqual([[], []]);
    expect(change.unread).toBe(true);
    expect(t.rows.get(500)?.comm).toBe('old');
    expect(t.rows.has(300)).toBe(false);
    expect(t.refresh(500)).toBe('unknown');
    expect(t.refresh(300)).toBe('unknown');
    // Now they can, and no pid has been handed out since.
    proc.drop(500, 'stat');
    proc.drop(300, 'stat');
    proc.put(500, { ticks: 20, comm: 'new' });
    proc.put(300, { ticks: 20, comm: 'new' });
    clock += 5000;
    change = await t.scan();
    expect(change.unread).toBe(false);
    expect(pids(change.appeared)).toEqual([300, 500]);
    expect(pids(change.vanished)).toEqual([500]);
  });

  it('takes a process without limits or command line, as some kernels have it', async () => {
    proc.put(9);
    proc.drop(9, 'limits');
    proc.drop(9, 'cmdline');
    const t = table();
    await t.scan();
    expect(t.rows.get(9)).toMatchObject({ comm: 'fake', argv: [], locks: null });
  });

  it('rejects when /proc cannot be listed, and goes on from where it was', async () => {
    proc.put(10, { ticks: 10 });
    proc.put(20, { ticks: 10 });
    const t = table();
    await t.scan();
    proc.remove();
    await expect(t.scan()).rejects.toThrow(/^cannot read the process table: .*ENOENT/);
    expect(t.rows.size).toBe(2);
    mkdirSync(join(proc.root, 'sys/kernel'), { recursive: true });
    proc.kernel(15, 500);
    proc.put(10, { ticks: 20 });
    const change = await t.scan();
    expect(pids(change.vanished)).toEqual([10, 20]);
    expect(pids(change.appeared)).toEqual([10]);
  });

  it('counts what refresh has found in the next difference', async () => {
    for (const pid of [10, 20, 30]) proc.put(pid, { ticks: 10 });
    const t = table();
    await t.scan();
    proc.drop(10);
    proc.put(20, { ticks: 20 });
    proc.put(40, { ticks: 40 });
    proc.put(50, { ticks: 50 });
    proc.put(60, { exitSignal: -1 });
    expect(t.refresh(10)).toBeNull();
    expect(t.refresh(20)).toBeNull();
    expect(t.refresh(40)).toMatchObject({ pid: 40 });
    expect(t.refresh(50)).toMatchObject({ pid: 50 });
    // A thread is not listed, though it can be read.
    expect(t.refresh(60)).toBeNull();
    proc.drop(60);
    expect([...t.rows.keys()].sort()).toEqual([30, 40, 50]);
    proc.drop(50);
    const change = await t.scan();
    expect(pids(change.vanished)).toEqual([10, 20]);
    expect(pids(change.appeared)).toEqual([20, 40]);
    expect(change.vanished.every((row) => row.startTicks === 10)).toBe(true);
  });

  it('is over at once with few processes, and lets the event loop turn with many', async () => {
    for (let pid = 1; pid <= 50; pid++) proc.put(pid);
    const quick = procfsTable({ root: proc.root, sliceMs: 1e9 });
    quick.scan();
    expect(quick.rows.size).toBe(50);

    const slow = procfsTable({ root: proc.root, sliceMs: 0 });
    let turns = 0;
    let over = false;
    const count = () => {
      turns++;
      if (!over) setImmediate(count);
    };
    setImmediate(count);
    const scan = slow.scan();
    expect(slow.scan()).toBe(scan);
    expect(slow.rows.size).toBe(0);
    await scan;
    over = true;
    expect(slow.rows.size).toBe(50);
    expect(turns).toBeGreaterThan(40);
  });

  it('lets a refresh during a scan win over what the scan has read', async () => {
    for (let pid = 1; pid <= 5; pid++) proc.put(pid);
    const t = procfsTable({ root: proc.root, sliceMs: 0 });
    const first = t.scan();
    await new Promise((resolve) => setImmediate(resolve));
    for (let pid = 1; pid <= 5; pid++) proc.drop(pid);
    for (let pid = 1; pid <= 5; pid++) expect(t.refresh(pid)).toBeNull();
    proc.put(7);
    expect(t.refresh(7)).toMatchObject({ pid: 7 });
    const change = await first;
    expect([...t.rows.keys()]).toEqual([7]);
    expect(pids(change.appeared)).toEqual([7]);
    expect(change.vanished).toEqual([]);
  });
});

describe.skipIf(!linux)('the real /proc', () => {
  const started: { kill(signal: NodeJS.Signals): boolean }[] = [];
  afterEach(() => {
    for (const child of started.splice(0)) child.kill('SIGKILL');
  });
  /** Starts a python program and waits for its first line. */
  async function run(program: string) {
    const child = spawn('python3', ['-c', program], { stdio: ['pipe', 'pipe', 'inherit'] });
    started.push(child);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    return { pid: child.pid!, stdin: child.stdin };
  }

  it
    .skipIf(!python)
    .each(
      ['a)\nb S 1 (', ') Z 1 1 1', '\\n \\', '\xff\xfe)', 'more-than-15-bytes'].map((name) =>
        Buffer.from(name, 'latin1'),
      ),
    )('reads a nasty name (needs python3)', async (name) => {
    const write = `open('/proc/self/comm','wb').write(bytes.fromhex('${name.toString('hex')}'))`;
    const { pid } = await run(`import time\n${write}\nprint('x',flush=True)\ntime.sleep(1000)`);
    const table = procfsTable();
    await table.scan();
    expect(table.rows.get(pid)).toMatchObject({ comm: name.toString('utf8', 0, 15), ppid: process.pid });
  });

  it.skipIf(!python)('takes a process whose main thread has exited for alive (needs python3)', async () => {
    const { pid, stdin } = await run(
      [
        'import threading,ctypes,time',
        'threading.Thread(target=lambda: time.sleep(1000)).start()',
        "print('x',flush=True)",
        'input()',
        'ctypes.CDLL(None).pthread_exit(None)',
      ].join('\n'),
    );
    const table = procfsTable();
    await table.scan();
    const { argv } = table.rows.get(pid)!;
    expect(argv[0]).toMatch(/python3/);
    stdin.write('go\n');
    await expect
      .poll(() => readFileSync(`/proc/${pid}/stat`, 'latin1'), { timeout: 120_000 })
      .toMatch(/\) Z /);
    expect(table.refresh(pid)).toMatchObject({ pid, state: 'S', argv });
    const other = procfsTable();
    await other.scan();
    expect(isDead(other.rows.get(pid)!)).toBe(false);
  });

  it.skipIf(!python)('lists no threads (needs python3)', async () => {
    const { pid } = await run(
      'import threading,time\nt=threading.Thread(target=lambda: time.sleep(1000))\nt.start()\nprint(t.native_id,flush=True)',
    );
    const tid = readdirSync(`/proc/${pid}/task`)
      .map(Number)
      .find((id) => id !== pid)!;
    const table = procfsTable();
    await table.scan();
    expect(table.rows.has(pid)).toBe(true);
    expect(table.rows.has(tid)).toBe(false);
    expect(table.refresh(tid)).toBeNull();
    expect(table.rows.has(tid)).toBe(false);
  });

  it('tells the pid that has just been handed out', () => {
    const table = procfsTable();
    // Once, the pids may begin anew in between.
    const told = [1, 2].some(() => {
      const before = table.lastPid();
      const child = spawn('sleep', ['1000']);
      started.push(child);
      return before < child.pid! && child.pid! <= table.lastPid();
    });
    expect(told).toBe(true);
  });

  it('tells sessions and limits', async () => {
    const child = spawn('sleep', ['1000'], { detached: true });
    started.push(child);
    const table = procfsTable();
    const row = table.refresh(child.pid!);
    expect(row).toMatchObject({ pid: child.pid, session: child.pid, ppid: process.pid });
    const own = table.refresh(process.pid);
    expect(own).toMatchObject({ pid: process.pid, ppid: process.ppid });
    const told = spawnSync('sh', ['-c', 'cat /proc/self/limits'], { encoding: 'utf8' }).stdout;
    const soft = /Max file locks\s+(\S+)/.exec(told)?.[1];
    expect(own).toMatchObject({ locks: soft === 'unlimited' ? null : soft });
  });
});
