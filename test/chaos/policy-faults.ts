/** The kinds of faults that only episodes with a policy file have. The ordinary ones of faults.ts are made there as well. */
import type { Scene } from './faults.ts';
import { isAlive, type Seen } from './invariants.ts';
import { type Change, commandsIn, type Damage, groupsOf, type PolicyFile } from './policy-plan.ts';

export interface PolicyScene extends Scene {
  /** The newest file that is right. */
  readonly file: PolicyFile;
  /** Tells a service something: see fixtures/service.pl. `text` null: takes it back. */
  readonly flag: (flag: string, command: string, text: string | null) => void;
  /** Writes another file. @returns false where there is none to be had */
  readonly change: (change: Change) => boolean;
  /** Writes a file that is wrong. */
  readonly damage: (damage: Damage) => void;
  /** Writes the newest file that is right. */
  readonly mend: () => void;
  /** Asks upkeep to read the file, by one of the ways that there are. @returns false: it can't be asked yet */
  readonly ask: () => boolean;
}

export interface PolicyKind {
  readonly name: string;
  readonly about: string;
  /** How often among the others. */
  readonly weight: number;
  /** Makes one. @returns how many faults that was: 0 where nobody was there to suffer it */
  readonly inject: (scene: PolicyScene) => number;
}

/** Of the ordinary kinds: how often here, where it is not as often as elsewhere. There are fewer faults a second here. */
export const ORDINARY: Readonly<Record<string, number>> = {
  'leader-kill': 20,
  'leader-segv': 5,
  'leader-term': 8,
  'early-kill': 8,
  'leader-stop': 8,
  'worker-kill': 12,
  'worker-stop': 5,
  'launcher-kill': 8,
  'launcher-stop': 5,
};

function strike(scene: PolicyScene, role: Seen['role'], signal: string): number {
  const those = scene.processes.filter((process) => process.role === role && isAlive(process));
  if (those.length === 0) return 0;
  const victim = scene.random.pick(those);
  scene.world.order(`kill ${signal} ${victim.pid}`);
  if (signal === 'STOP')
    scene.later(scene.random.between(50, 3_000), () => scene.world.order(`kill CONT ${victim.pid}`));
  return 1;
}

/** A service that has a probe of such a kind. */
function probed(scene: PolicyScene, which: 'ready' | 'health', kinds: readonly string[]): string | null {
  const names = Object.entries(scene.file.commands).flatMap(([name, command]) =>
    kinds.some((kind) => kind in (command[which] ?? {})) ? [name] : [],
  );
  return names.length === 0 ? null : scene.random.pick(names);
}

/** Says something to a service for a while. */
function passing(
  scene: PolicyScene,
  flag: string,
  command: string | null,
  least: number,
  most: number,
): number {
  if (command === null) return 0;
  scene.flag(flag, command, '');
  scene.later(scene.random.between(least, most), () => scene.flag(flag, command, null));
  return 1;
}

const changing = (name: string, about: string, change: Change, weight = 1.5): PolicyKind => ({
  name,
  about,
  weight,
  inject: (scene) => (scene.change(change) && scene.ask() ? 1 : 0),
});

const CHANGES: readonly Change[] = [
  'env',
  'rules',
  'add',
  'remove',
  'rename',
  'move',
  'strategy',
  'group',
  'requires',
];
const DAMAGES: readonly Damage[] = ['syntax', 'key', 'cycle', 'nobody', 'empty'];

function killAll(scene: PolicyScene, names: readonly string[]): number {
  const pids = scene.processes
    .filter(({ role, command }) => role === 'master' && command !== null && names.includes(command))
    .map(({ pid }) => pid);
  if (pids.length > 0) scene.world.order(`kill KILL ${pids.join(' ')}`);
  return pids.length;
}

export const POLICY_KINDS: readonly PolicyKind[] = [
  {
    name: 'probe-kill',
    about: "SIGKILL of a probe's process",
    weight: 6,
    inject: (scene) => strike(scene, 'probe', scene.random.pick(['KILL', 'KILL', 'SEGV', 'TERM'])),
  },
  {
    name: 'probe-stop',
    about: "SIGSTOP of a probe's process, and SIGCONT up to 3 s later",
    weight: 5,
    inject: (scene) => strike(scene, 'probe', 'STOP'),
  },
  {
    name: 'probe-hang',
    about: 'a probe that hangs, with children in its session and in another, for up to 4 s',
    weight: 5,
    inject: (scene) =>
      passing(scene, 'hang', probed(scene, scene.random.pick(['ready', 'health']), ['exec']), 200, 4_000),
  },
  {
    name: 'stopper-kill',
    about: 'SIGKILL or SIGSTOP of a stop command',
    weight: 3,
    inject: (scene) => strike(scene, 'stopper', scene.random.pick(['KILL', 'STOP'])),
  },
  {
    name: 'stopper-hang',
    about: 'a stop command that hangs, for up to 4 s, and its service is to be started anew',
    weight: 1,
    inject(scene) {
      const names = Object.entries(scene.file.commands).flatMap(([name, { stop }]) =>
        stop !== undefined && 'command' in stop ? [name] : [],
      );
      return names.length === 0 ? 0 : passing(scene, 'hang', scene.random.pick(names), 500, 4_000);
    },
  },
  {
    name: 'ready-withdraw',
    about: 'what says that a service is ready is taken away',
    weight: 3,
    inject(scene) {
      const name = probed(scene, 'ready', ['file', 'exec']);
      if (name === null) return 0;
      scene.flag('ready', name, null);
      return 1;
    },
  },
  {
    name: 'ready-late',
    about: 'a service that is killed, and not ready again for up to 8 s',
    weight: 3,
    inject(scene) {
      const name = scene.leader()?.command ?? null;
      if (name === null) return 0;
      passing(scene, 'late', name, 300, 8_000);
      return killAll(scene, [name]);
    },
  },
  {
    name: 'health-bad',
    about: 'a service that is not well, for up to 4 s',
    weight: 6,
    inject(scene) {
      const name = probed(scene, 'health', ['http', 'exec', 'notify', 'file']);
      if (name === null) return 0;
      scene.flag('well', name, null);
      scene.later(scene.random.between(200, 4_000), () => scene.flag('well', name, ''));
      return passing(scene, 'sick', name, 200, 4_000);
    },
  },
  {
    name: 'run-fails',
    about: 'the next 1 to 6 runs of a oneshot or of cron fail',
    weight: 4,
    inject(scene) {
      const names = Object.entries(scene.file.commands).flatMap(([name, { kind }]) =>
        kind === undefined ? [] : [name],
      );
      if (names.length === 0) return 0;
      scene.flag('fail', scene.random.pick(names), String(scene.random.whole(1, 6)));
      return 1;
    },
  },
  {
    name: 'group-kill',
    about: 'SIGKILL of the leaders of several members of a group at once',
    weight: 3,
    inject(scene) {
      const groups = Object.keys(scene.file.groups);
      if (groups.length === 0) return 0;
      const names = commandsIn(scene.file, scene.random.pick(groups));
      return killAll(scene, scene.random.shuffled(names).slice(0, scene.random.whole(2, names.length)));
    },
  },
  changing('reload-nothing', 'a reload that changes nothing', 'nothing', 1),
  changing('reload-env', 'a reload with another variable', 'env', 3),
  changing('reload-rules', 'a reload with another rule: health, schedule, intensity', 'rules', 2),
  changing('reload-add', 'a reload with one command more', 'add'),
  changing('reload-remove', 'a reload with one command less', 'remove'),
  changing('reload-rename', 'a reload with a command of another name', 'rename'),
  changing('reload-move', 'a reload with a command in another group', 'move', 2),
  changing('reload-strategy', 'a reload with another strategy', 'strategy'),
  changing('reload-group', 'a reload with a group more or less', 'group'),
  changing('reload-requires', 'a reload with other requirements', 'requires'),
  {
    name: 'reload-wrong',
    about:
      'a reload of a file that is wrong: syntax, an unknown key, a cycle, nobody of that name, nothing at all',
    weight: 2,
    inject(scene) {
      scene.damage(scene.random.pick(DAMAGES));
      return scene.ask() ? 1 : 0;
    },
  },
  {
    name: 'reload-half',
    about: 'a reload while the file is half written, and one when it is whole',
    weight: 2,
    inject(scene) {
      scene.damage('half');
      if (!scene.ask()) return 0;
      scene.later(scene.random.between(5, 300), () => {
        scene.mend();
        scene.ask();
      });
      return 1;
    },
  },
  {
    name: 'reload-burst',
    about: '2 to 6 reloads in a row, each with another change or none',
    weight: 1.5,
    inject(scene) {
      let made = 0;
      for (let count = scene.random.whole(2, 6); count > 0; count--) {
        if (scene.random.chance(0.7)) scene.change(scene.random.pick(CHANGES));
        made += scene.ask() ? 1 : 0;
      }
      return made;
    },
  },
  {
    name: 'reload-death',
    about: 'a reload, and the SIGKILL of a leader a moment before or after it',
    weight: 3,
    inject(scene) {
      const victim = scene.leader();
      if (victim === null || !scene.change(scene.random.pick(CHANGES))) return 0;
      const kin = scene.random.chance(0.5)
        ? [victim.command!]
        : groupsOf(scene.file, victim.command!).flatMap((group) => commandsIn(scene.file, group));
      const ms = scene.random.between(-60, 60);
      if (ms < 0) {
        killAll(scene, kin);
        scene.later(-ms, () => scene.ask());
        return 1;
      }
      if (!scene.ask()) return 0;
      scene.later(ms, () => killAll(scene, kin));
      return 1;
    },
  },
];
