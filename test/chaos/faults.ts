/** The kinds of faults: what each needs, how the world is made for it, and how it is made. */
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Cgroup, type Controller, createCgroup } from './cgroup.ts';
import { isAlive, type Seen } from './invariants.ts';
import type { Random } from './random.ts';
import { quietly } from './table.ts';
import type { World } from './world.ts';

/** How the world and upkeep are to be made. */
export interface Setup {
  readonly unshare: string[];
  readonly prefix: string[];
  readonly env: Record<string, string>;
  /** Upkeep's stdout, where it is not read. */
  stdout?: number;
  /** Who upkeep is, if not root: no service can become another user then. */
  user: number | null;
  /** Kinds that would make this one mean something else. */
  readonly without: string[];
  /** Upkeep's events are lost, or do not say when they were: nobody asks it anything then, for nobody could tell what is true. */
  isVague: boolean;
  /** Faults that are there from the start. */
  made: number;
}

/** What a fault is made in. */
export interface Scene {
  readonly world: World;
  readonly random: Random;
  readonly index: number;
  readonly processes: readonly Seen[];
  readonly upkeep: number | null;
  /** A leader that may be hurt now: mostly not so often in a row that upkeep lets it rest for long. `early`: one that
   * upkeep does not know yet, instead of one that it knows. */
  readonly leader: (early?: boolean) => Seen | null;
  /** After so many ms, or at the end of the faults; at once if then. */
  readonly later: (ms: number, undo: () => void) => void;
  /** It is robbed just now, or was a moment ago. */
  readonly impaired: boolean;
  /** Upkeep is robbed of what it needs, until the function that is returned is called. */
  readonly impair: () => () => void;
  /** Its events do not arrive, until the function that is returned is called. */
  readonly deafen: () => () => void;
  /** So many clients hold a connection, until the agent says that they have gone. */
  readonly hold: (count: number) => void;
  /** Upkeep is killed, and started again after so many ms. */
  readonly crash: (ms: number) => boolean;
}

export interface Kind {
  readonly name: string;
  readonly about: string;
  /** How often among the others. */
  readonly weight: number;
  /** Why it cannot be had here; null: it can. */
  readonly needs?: () => string | null;
  /** It needs an episode made for it. */
  readonly special?: true;
  /** It needs an init beside upkeep. */
  readonly beside?: true;
  readonly prepare?: (setup: Setup, random: Random, index: number, dir: string) => void;
  /** Once upkeep runs. */
  readonly begin?: (scene: Scene) => void;
  /** Once nobody is left. */
  readonly end?: (index: number) => void;
  /** Makes one. @returns how many faults that was: 0 where nobody was there to suffer it */
  readonly inject: (scene: Scene) => number;
}

const isRoot = process.getuid!() === 0;
const needsRoot = (): string | null => (isRoot ? null : 'needs root');
const FAKETIME = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib']
  .map((folder) => join(folder, 'faketime/libfaketime.so.1'))
  .find((path) => existsSync(path));

const alive = (scene: Scene, role: Seen['role']): Seen[] =>
  scene.processes.filter((process) => process.role === role && process.command !== null && isAlive(process));

function hit(scene: Scene, victim: Seen | null | undefined, signal: string): number {
  if (victim === null || victim === undefined) return 0;
  scene.world.order(`kill ${signal} ${victim.pid}`);
  return 1;
}

const some = (scene: Scene, role: Seen['role']): Seen | null => {
  const those = alive(scene, role).filter(({ state }) => state !== 'T');
  return those.length === 0 ? null : scene.random.pick(those);
};

function freeze(scene: Scene, victim: Seen | null): number {
  if (victim === null || victim.state === 'T') return 0;
  const { world, random } = scene;
  scene.later(random.between(20, 2_000), () => world.order(`kill CONT ${victim.pid}`));
  return hit(scene, victim, 'STOP');
}

/** A fixture that is told to do something to itself; nginx takes the same signals for something else. */
function tell(scene: Scene, signal: string): number {
  const masters = alive(scene, 'master').filter(({ command, state }) => command !== 'nginx' && state !== 'T');
  return masters.length === 0 ? 0 : hit(scene, scene.random.pick(masters), signal);
}

const cgroups = new Map<string, Cgroup>();

function cgroupOf(controller: Controller, scene: Scene): Cgroup {
  const key = `${controller} ${scene.index}`;
  let group = cgroups.get(key);
  if (group === undefined) {
    const made = createCgroup(controller, `upkeep-chaos-${process.pid}-${scene.index}`);
    if ('missing' in made) throw new Error(`cannot limit ${controller}: ${made.missing}`);
    group = made;
    cgroups.set(key, group);
  }
  return group;
}

function forgetCgroup(controller: Controller, index: number): void {
  cgroups.get(`${controller} ${index}`)?.remove();
  cgroups.delete(`${controller} ${index}`);
}

function noCgroup(controller: Controller): string | null {
  const made = createCgroup(controller, `upkeep-chaos-${process.pid}-try`);
  if ('missing' in made) return made.missing;
  made.remove();
  return null;
}

/** Files on a disk of 64 KiB, by the folder they were made for. */
const small = new Map<number, number>();

function asUser(setup: Setup, index: number): void {
  // A user of its own: limits of processes are counted by user on the whole machine.
  const id = 21_000 + (index % 10_000);
  setup.prefix.push('setpriv', `--reuid=${id}`, `--regid=${id}`, '--clear-groups', '--no-new-privs');
  setup.user = id;
}

function vague(setup: Setup): void {
  setup.isVague = true;
}

/** Takes what upkeep needs, and gives it back after a while. */
function rob(scene: Scene, limit: string, value: number, ms: number): number {
  const { world } = scene;
  // One after the other: the second would take the first one's limit for what it has to give back.
  if (scene.impaired) return 0;
  const before = world.limitOf(limit);
  const done = scene.impair();
  world.setLimit(limit, `${value}:${before.split(':')[1]}`);
  scene.later(ms, () => {
    quietly(() => world.setLimit(limit, before));
    done();
  });
  return 1;
}

/** Clients of the control socket: how many there are at once, and what the agent is told. */
function clients(
  name: string,
  about: string,
  weight: number,
  make: (random: Random) => readonly [number, string],
): Kind {
  return {
    name,
    about,
    weight,
    inject(scene) {
      const [count, order] = make(scene.random);
      scene.hold(count);
      scene.world.order(order);
      return 1;
    },
  };
}

export const KINDS: readonly Kind[] = [
  {
    name: 'leader-kill',
    about: 'SIGKILL of a leader',
    weight: 30,
    inject: (scene) => hit(scene, scene.leader(), 'KILL'),
  },
  {
    name: 'leader-segv',
    about: 'SIGSEGV of a leader',
    weight: 10,
    inject: (scene) => hit(scene, scene.leader(), 'SEGV'),
  },
  {
    name: 'leader-term',
    about: 'SIGTERM of a leader, which ends it and its workers',
    weight: 10,
    inject: (scene) => hit(scene, scene.leader(), 'TERM'),
  },
  {
    name: 'early-kill',
    about: 'SIGKILL or SIGSEGV of a leader that upkeep does not know yet',
    weight: 10,
    inject: (scene) => hit(scene, scene.leader(true), scene.random.pick(['KILL', 'SEGV'])),
  },
  {
    name: 'leader-stop',
    about: 'SIGSTOP of a leader, and SIGCONT up to 2 s later',
    weight: 10,
    inject: (scene) => freeze(scene, some(scene, 'master')),
  },
  {
    name: 'worker-kill',
    about: 'SIGKILL of a worker',
    weight: 40,
    inject: (scene) => hit(scene, some(scene, 'worker'), 'KILL'),
  },
  {
    name: 'worker-stop',
    about: 'SIGSTOP of a worker, and SIGCONT up to 2 s later',
    weight: 10,
    inject: (scene) => freeze(scene, some(scene, 'worker')),
  },
  {
    name: 'launcher-kill',
    about: 'SIGKILL of a launcher, or of a daemon that is not ready yet',
    weight: 15,
    inject: (scene) =>
      hit(scene, some(scene, 'launcher'), scene.random.pick(['KILL', 'KILL', 'SEGV', 'TERM'])),
  },
  {
    name: 'launcher-stop',
    about: 'SIGSTOP of a launcher, and SIGCONT up to 2 s later',
    weight: 10,
    inject: (scene) => freeze(scene, some(scene, 'launcher')),
  },
  {
    name: 'anybody-kill',
    about: 'SIGKILL of whoever carries a tag: wrappers, helpers, what is about to become another program',
    weight: 5,
    inject(scene) {
      const those = scene.processes.filter(
        (process) => process.tag !== null && isAlive(process) && process.role === 'other',
      );
      return those.length === 0 ? 0 : hit(scene, scene.random.pick(those), 'KILL');
    },
  },
  {
    name: 'massacre',
    about: 'SIGKILL of all the processes of one service at once',
    weight: 3,
    inject(scene) {
      const leader = scene.leader();
      if (leader === null) return 0;
      const kin = scene.processes.filter(({ command }) => command === leader.command);
      scene.world.order(`kill KILL ${kin.map(({ pid }) => pid).join(' ')}`);
      return kin.length;
    },
  },
  {
    name: 'orphans',
    about: '200 orphans that die at once, all of them for upkeep to reap',
    weight: 1.5,
    inject: (scene) => tell(scene, 'USR1'),
  },
  {
    name: 'fork-bomb',
    about: '60 processes at once inside a service, each for up to 1.5 s',
    weight: 1,
    inject: (scene) => tell(scene, 'USR2'),
  },
  {
    name: 'sigchld',
    about: 'SIGCHLD to upkeep, 50 times in a row, though nobody has died',
    weight: 2,
    inject(scene) {
      for (let count = 0; count < 50; count++) if (!scene.world.signal('SIGCHLD')) return 0;
      return 1;
    },
  },
  {
    name: 'upkeep-stop',
    about: 'SIGSTOP of upkeep, and SIGCONT up to 3 s later',
    weight: 0.7,
    inject(scene) {
      const { world } = scene;
      if (!world.signal('SIGSTOP')) return 0;
      scene.later(scene.random.between(50, 3_000), () => world.goOn());
      return 1;
    },
  },
  {
    name: 'pid-reuse',
    about: 'pids go round (ns_last_pid): a process dies, and a stranger is born with its pid',
    weight: 4,
    needs: () =>
      needsRoot() ?? (existsSync('/proc/sys/kernel/ns_last_pid') ? null : 'there is no ns_last_pid'),
    inject(scene) {
      const victim = scene.random.chance(0.5) ? scene.leader() : some(scene, 'worker');
      const upkeep = scene.world.upkeepPid();
      if (victim === null || upkeep === null) return 0;
      scene.world.order(`reuse ${victim.pid} 3 ${upkeep}`);
      return 1;
    },
  },
  clients(
    'client-hang',
    'clients that connect to the control socket and say nothing, for up to 3 s',
    0.5,
    (random) => {
      const count = random.whole(1, 100);
      return [count, `hang ${count} ${random.between(200, 3_000) / 1_000}`];
    },
  ),
  clients('client-garbage', 'clients that send rubbish to the control socket', 0.5, () => [20, 'garbage 20']),
  clients('client-status', '20 clients that ask for the status, one after the other', 0.5, () => [
    1,
    'ask 20',
  ]),
  clients(
    'client-deaf',
    'clients that follow lines and events and read nothing, for up to 3 s',
    0.5,
    (random) => {
      const count = random.whole(1, 20);
      return [count, `deaf ${count} ${random.between(200, 3_000) / 1_000}`];
    },
  ),
  clients('client-flood', '1,000 connections to the control socket, one after the other', 0.3, () => [
    1_000,
    'flood 1000',
  ]),

  {
    name: 'emfile',
    about: 'upkeep may open no more files, for up to 2 s',
    weight: 3,
    special: true,
    inject: (scene) =>
      rob(
        scene,
        'nofile',
        scene.random.whole(4, scene.world.size()?.files ?? 20),
        scene.random.between(100, 2_000),
      ),
  },
  {
    name: 'eagain',
    about: 'upkeep and its services may fork no more (pids limit of a control group), for up to 2 s',
    weight: 3,
    special: true,
    needs: () => needsRoot() ?? noCgroup('pids'),
    begin: (scene) => cgroupOf('pids', scene).add(scene.world.life!.host),
    end: (index) => forgetCgroup('pids', index),
    inject(scene) {
      const group = cgroupOf('pids', scene);
      group.limit(Math.max(1, group.current() + scene.random.whole(-2, 2)));
      const done = scene.impair();
      scene.later(scene.random.between(100, 2_000), () => {
        group.limit(null);
        done();
      });
      return 1;
    },
  },
  {
    name: 'eagain-user',
    about: 'upkeep, not root, may fork no more (RLIMIT_NPROC), for up to 2 s',
    weight: 3,
    special: true,
    needs: needsRoot,
    prepare: (setup, _, index) => asUser(setup, index),
    inject: (scene) => rob(scene, 'nproc', 1, scene.random.between(100, 2_000)),
  },
  {
    name: 'enospc',
    about: "upkeep's stdout is a file on a disk that is full, for up to 2 s",
    weight: 3,
    special: true,
    needs: needsRoot,
    prepare(setup, _random, index, dir) {
      const folder = join(dir, 'small');
      mkdirSync(folder, { recursive: true });
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'chaos', folder], { stdio: 'pipe' });
      const fd = openSync(join(folder, 'log'), 'a');
      // It lives as long as somebody has it open.
      execFileSync('umount', ['-l', folder], { stdio: 'pipe' });
      small.set(index, fd);
      setup.stdout = fd;
      setup.isVague = true;
    },
    begin: (scene) => void scene.deafen(),
    end(index) {
      const fd = small.get(index);
      if (fd !== undefined) closeSync(fd);
      small.delete(index);
    },
    inject(scene) {
      const fd = small.get(scene.index)!;
      quietly(() => writeSync(fd, Buffer.alloc(128 * 1_024)));
      scene.later(scene.random.between(100, 2_000), () => ftruncateSync(fd, 0));
      return 1;
    },
  },
  {
    name: 'oom',
    about: 'a service eats memory until the kernel ends somebody (memory control group)',
    weight: 1.5,
    special: true,
    needs: () => needsRoot() ?? noCgroup('memory'),
    begin(scene) {
      // Not upkeep itself: the services raise their own score.
      quietly(() => writeFileSync(`/proc/${scene.world.life!.host}/oom_score_adj`, '-1000'));
      cgroupOf('memory', scene).add(scene.world.life!.host);
    },
    end: (index) => forgetCgroup('memory', index),
    inject(scene) {
      const group = cgroupOf('memory', scene);
      // Room for all the others: the one that eats is to be the one that is ended.
      group.limit(group.current() + 300 * 1_048_576);
      scene.later(3_000, () => group.limit(null));
      return tell(scene, 'HUP');
    },
  },
  {
    name: 'reader-stall',
    about: "nobody reads upkeep's stdout, for up to 3 s",
    weight: 1,
    special: true,
    prepare: vague,
    inject(scene) {
      const { stdout } = scene.world.life!.child;
      if (stdout === null || stdout.isPaused()) return 0;
      stdout.pause();
      const done = scene.deafen();
      scene.later(scene.random.between(200, 3_000), () => {
        stdout.resume();
        done();
      });
      return 1;
    },
  },
  {
    name: 'reader-close',
    about: "upkeep's stdout is closed by its reader",
    weight: 1,
    special: true,
    prepare: vague,
    inject(scene) {
      const { stdout } = scene.world.life!.child;
      if (stdout === null || stdout.destroyed) return 0;
      scene.deafen();
      stdout.destroy();
      return 1;
    },
  },
  {
    name: 'clock',
    about: 'the time of day jumps by up to a year, forth and back (libfaketime)',
    weight: 3,
    special: true,
    needs: () => (FAKETIME === undefined ? 'libfaketime is not installed' : null),
    prepare(setup, _random, _index, dir) {
      setup.isVague = true;
      writeFileSync(join(dir, 'time'), '+0');
      Object.assign(setup.env, {
        LD_PRELOAD: FAKETIME,
        FAKETIME_TIMESTAMP_FILE: join(dir, 'time'),
        FAKETIME_NO_CACHE: '1',
        DONT_FAKE_MONOTONIC: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      });
    },
    inject(scene) {
      const seconds = Math.round(
        scene.random.between(-1, 1) * scene.random.pick([10, 3_600, 86_400, 31_536_000]),
      );
      scene.world.write('time', `${seconds < 0 ? '' : '+'}${seconds}`);
      return 1;
    },
  },
  {
    name: 'boottime',
    about: 'the monotonic clock is far from 0 at the start (time namespace)',
    weight: 0,
    special: true,
    needs: () => (existsSync('/proc/self/ns/time') ? needsRoot() : 'this kernel has no time namespaces'),
    prepare(setup, random) {
      const offset = random.whole(100_000, 100_000_000);
      setup.unshare.push(
        '--time',
        `--monotonic=${offset}`,
        `--boottime=${random.chance(0.5) ? offset : 10 * offset}`,
      );
      setup.made++;
    },
    inject: () => 0,
  },
  {
    name: 'hidepid',
    about: "/proc hides other users' processes from upkeep, by turns",
    weight: 1,
    special: true,
    beside: true,
    needs: needsRoot,
    prepare: (setup, _, index) => asUser(setup, index),
    inject(scene) {
      scene.world.inside('mount', '-o', `remount,hidepid=${scene.random.pick([0, 1, 2])}`, '/proc');
      return 1;
    },
  },
  {
    name: 'proc-errors',
    about: 'reads of /proc fail in the middle of a look (EIO, EMFILE, ENOMEM), 1 to 5 in 100',
    weight: 0,
    special: true,
    prepare(setup, random, _index, dir) {
      Object.assign(setup.env, {
        NODE_OPTIONS: `--require ${join(dir, 'faulty-proc.cjs')}`,
        CHAOS_PROC_SEED: String(random.whole(1, 1e9)),
        CHAOS_PROC_ERRORS: String(random.between(0.01, 0.05)),
      });
      setup.made++;
    },
    inject: () => 0,
  },
  {
    name: 'proc-stale',
    about: '/proc tells what was true up to half a second ago, 5 to 30 reads in 100',
    weight: 0,
    special: true,
    prepare(setup, random, _index, dir) {
      Object.assign(setup.env, {
        NODE_OPTIONS: `--require ${join(dir, 'faulty-proc.cjs')}`,
        CHAOS_PROC_SEED: String(random.whole(1, 1e9)),
        CHAOS_PROC_STALE: String(random.between(0.05, 0.3)),
        CHAOS_PROC_STALE_MS: '500',
      });
      // Old news about a pid that is somebody else's by now would be a lie of another kind.
      setup.without.push('pid-reuse');
      setup.made++;
    },
    inject: () => 0,
  },
  {
    name: 'crash',
    about: 'SIGKILL of upkeep beside another init; a new one is started up to 2 s later',
    weight: 0.4,
    special: true,
    beside: true,
    inject: (scene) => (scene.crash(scene.random.between(0, 2_000)) ? 1 : 0),
  },
  {
    name: 'startup-term',
    about: 'SIGTERM 0 to 1.5 s after upkeep was started, as init and beside one, again and again',
    weight: 0,
    special: true,
    inject: () => 0,
  },
];
