/** Policy files for episodes, and what is changed in them. All of it follows from the seed. */
import { createRandom, type Random, seedOf } from './random.ts';

export type Milestone = 'started' | 'ready' | 'completed';

/** A command as the file has it; `{dir}` stands for the world's folder. */
export interface FileCommand {
  readonly run: string;
  readonly kind?: 'oneshot' | 'cron';
  readonly schedule?: string;
  readonly overlap?: 'skip' | 'queue' | 'kill';
  readonly requires?: Readonly<Record<string, Milestone>> | readonly string[];
  readonly after?: readonly string[];
  readonly ready?: Readonly<Record<string, unknown>>;
  readonly health?: Readonly<Record<string, unknown>>;
  readonly stop?: Readonly<Record<string, unknown>>;
  readonly intensity?: { readonly restarts: number; readonly within: string };
  readonly retries?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly settle?: string;
}

export interface FileGroup {
  readonly members: readonly string[];
  readonly strategy: Strategy;
  readonly intensity?: { readonly restarts: number; readonly within: string };
  readonly onFailed?: 'ignore';
}

type Strategy = 'one_for_one' | 'one_for_all' | 'rest_for_one';

/** The order of the commands is one in which they can be started. */
export interface PolicyFile {
  readonly commands: Readonly<Record<string, FileCommand>>;
  readonly groups: Readonly<Record<string, FileGroup>>;
  readonly defaults: Readonly<Record<string, unknown>>;
  readonly container: { readonly grace: string };
}

/** When upkeep is told to stop: so soon after its start, when somebody waits, when a group restarts, at a reload, in the midst
 * of the faults, or when everything has come up after them. */
export type End = 'start' | 'waiting' | 'group' | 'reload' | 'midst' | 'calm';

export interface LifePlan {
  readonly asInit: boolean;
  readonly file: PolicyFile;
  readonly end: End;
  /** How long faults are made before that, ms. */
  readonly length: number;
  /** Mean orders of operators a second; 0: there are none. */
  readonly operators: number;
  /** Upkeep answers orchestrators. */
  readonly http: boolean;
}

export interface PolicyEpisodePlan {
  readonly index: number;
  readonly seed: number;
  /** Mean faults a second. */
  readonly rate: number;
  readonly interval: number;
  readonly lives: readonly LifePlan[];
}

const STRATEGIES: readonly Strategy[] = ['one_for_one', 'one_for_all', 'rest_for_one'];
const LEAST = 4;
const MOST = 18;

/** @param longest ms of faults in an episode */
export function planPolicyEpisode(runSeed: number, index: number, longest: number): PolicyEpisodePlan {
  const seed = seedOf(runSeed, 2_000_000 + index);
  const random = createRandom(seed);
  const short = Array.from({ length: longest < 15_000 ? 0 : random.whole(1, 3) }, (): Lived => {
    const end = random.pick(['start', 'waiting', 'group', 'reload', 'midst'] as const);
    return {
      asInit: random.chance(0.5),
      file: planFile(random),
      end,
      length: end === 'start' ? random.between(0, 2_000) : random.between(1_500, 6_000),
    };
  });
  const length = Math.min(longest, random.between(10_000, 20_000));
  return {
    index,
    seed,
    rate: random.whole(3, 12),
    interval: random.pick([100, 500, 2_000, 5_000]),
    lives: [
      ...short,
      { asInit: random.chance(0.5), file: planFile(random), end: 'calm' as const, length },
    ].map((life) => ({
      ...life,
      // Drawn last: what a seed of an older report means does not change.
      operators: random.chance(0.75) ? random.between(0.3, 2) : 0,
      http: random.chance(0.5),
    })),
  };
}

type Lived = Omit<LifePlan, 'operators' | 'http'>;

export function planFile(random: Random): PolicyFile {
  const count = random.whole(6, 15);
  let file: PolicyFile = {
    commands: {},
    groups: {},
    defaults: { backoff: { first: '100ms', max: '2s', stable: '2s' } },
    container: { grace: random.pick(['4s', '9s']) },
  };
  for (let index = 0; index < count; index++) {
    const name = nameOf(index);
    file = {
      ...file,
      commands: { ...file.commands, [name]: planCommand(random, name, Object.entries(file.commands)) },
    };
  }
  for (let index = random.whole(0, 3); index > 0; index--) file = grouped(random, file) ?? file;
  return isSound(file) ? file : planFile(random);
}

const nameOf = (index: number): string => `c${String(index).padStart(2, '0')}`;

/** @param before those that it may require */
function planCommand(
  random: Random,
  name: string,
  before: readonly (readonly [string, FileCommand])[],
): FileCommand {
  const kind = random.weighted([
    ['service', 7],
    ['oneshot', 2],
    ['cron', 1.5],
  ] as const);
  const words = ['{dir}/service.pl', name, '--state', '{dir}/state'];
  const relations = planRelations(random, before);
  const env = random.chance(0.3) ? { env: { CHAOS: String(random.whole(0, 9)) } } : {};
  const settle = random.chance(0.5) ? { settle: '300ms' } : {};
  if (kind !== 'service') {
    const longest = kind === 'cron' ? random.pick([0.5, 4]) : random.pick([0.3, 2]);
    words.push('--once', seconds(random.between(0.05, longest)));
    return {
      run: words.join(' '),
      kind,
      ...(kind === 'cron'
        ? {
            schedule: `*/${random.whole(1, 3)} * * * * *`,
            overlap: random.pick(['skip', 'queue', 'kill'] as const),
          }
        : {}),
      ...relations,
      ...(random.chance(0.6) ? { retries: random.whole(1, 5) } : {}),
      ...env,
      ...settle,
    };
  }
  const fork = random.pick(['', '', '', '--fork', '--double']);
  if (fork !== '') words.push(fork);
  if (fork !== '' && random.chance(0.5)) words.push('--setsid');
  if (random.chance(0.4)) words.push('--workers', String(random.whole(1, 3)));
  if (random.chance(0.3)) words.push('--delay', seconds(random.between(0, 1.5)));
  const port = 8_000 + Number(name.slice(1));
  const ready = random.chance(0.7)
    ? random.pick(['file', 'listening', 'tcp', 'http', 'exec', 'log', 'notify', 'delay'] as const)
    : null;
  const health = random.chance(0.6)
    ? random.pick(['file', 'listening', 'tcp', 'http', 'exec', 'notify'] as const)
    : null;
  const used: readonly (string | null)[] = [ready, health];
  if (used.some((one) => one === 'listening' || one === 'tcp' || one === 'http'))
    words.push('--port', String(port), '--http');
  if (used.includes('notify')) words.push('--sd');
  if (random.chance(0.15)) words.push('--deaf');
  if (random.chance(0.15)) words.push('--lag', seconds(random.between(0.1, 1)));
  return {
    run: words.join(' '),
    ...relations,
    ...(ready === null ? {} : { ready: planReady(random, ready, name, port) }),
    ...(health === null ? {} : { health: planHealth(random, health, name, port) }),
    ...planStop(random, name),
    ...planIntensity(random, 0.15),
    ...env,
    ...settle,
  };
}

function planRelations(
  random: Random,
  before: readonly (readonly [string, FileCommand])[],
): Pick<FileCommand, 'requires' | 'after'> {
  const requires: [string, Milestone][] = [];
  const after: string[] = [];
  for (const [name, { kind }] of random.shuffled(before).slice(0, random.pick([0, 1, 1, 2, 3]))) {
    if (kind === 'cron' || random.chance(0.3)) after.push(name);
    else if (kind === 'oneshot')
      requires.push([name, random.pick(['completed', 'completed', 'started'] as const)]);
    else requires.push([name, random.pick(['ready', 'ready', 'started'] as const)]);
  }
  return {
    ...(requires.length === 0
      ? {}
      : {
          requires: random.chance(0.3) ? requires.map(([name]) => name) : Object.fromEntries(requires),
        }),
    ...(after.length === 0 ? {} : { after }),
  };
}

function planReady(
  random: Random,
  kind: string,
  name: string,
  port: number,
): NonNullable<FileCommand['ready']> {
  const times = { timeout: seconds(random.between(3, 6), 's'), interval: '100ms' };
  switch (kind) {
    case 'file':
      return random.chance(0.5)
        ? { file: `{dir}/state/ready-${name}`, ...times }
        : { file: { path: `{dir}/state/ready-${name}`, fresh: true }, ...times };
    case 'exec':
      return { exec: `{dir}/probe.pl ${name} {dir}/state ready`, ...times };
    case 'http':
      return { http: `http://127.0.0.1:${port}/`, ...times };
    case 'log':
      return { log: `${name} is ready`, ...times };
    case 'notify':
      return { notify: true, ...times };
    case 'delay':
      return { delay: `${random.whole(50, 800)}ms` };
    default:
      return { [kind]: port, ...times };
  }
}

function planHealth(
  random: Random,
  kind: string,
  name: string,
  port: number,
): NonNullable<FileCommand['health']> {
  const times = {
    every: `${random.whole(150, 600)}ms`,
    timeout: `${random.whole(500, 1_000)}ms`,
    failures: random.whole(1, 3),
    successes: random.whole(1, 2),
    onUnhealthy: random.weighted([
      ['restart', 6],
      ['ignore', 3],
      ['fail', 1],
    ] as const),
    // A policy under which nothing ever comes to rest would say nothing.
    grace: random.pick(['3s', '5s']),
  };
  switch (kind) {
    case 'file':
      return { file: `{dir}/state/well-${name}`, ...times };
    case 'exec':
      return { exec: `{dir}/probe.pl ${name} {dir}/state health`, ...times };
    case 'http':
      return { http: { port }, ...times };
    case 'notify':
      return { notify: true, ...times };
    default:
      return { [kind]: port, ...times };
  }
}

function planStop(random: Random, name: string): Pick<FileCommand, 'stop'> {
  switch (random.pick(['', '', '', '', 'signals', 'command', 'signal', 'timeout', 'keep'])) {
    case 'signals':
      return { stop: { signals: ['TERM', '200ms', 'INT', '500ms', 'KILL'] } };
    case 'command':
      return { stop: { command: `{dir}/probe.pl ${name} {dir}/state stop` } };
    case 'signal':
      return { stop: { signal: 'INT' } };
    case 'timeout':
      return { stop: { timeout: '1s' } };
    case 'keep':
      return { stop: { stragglers: random.pick(['stop-all', 'stop-workers']) } };
    default:
      return {};
  }
}

const planIntensity = (random: Random, probability: number): Pick<FileCommand, 'intensity'> =>
  random.chance(probability)
    ? { intensity: { restarts: random.whole(2, 8), within: `${random.whole(1, 5)}s` } }
    : {};

const seconds = (value: number, unit = ''): string => `${Math.round(value * 100) / 100}${unit}`;

/** Somebody, and perhaps a group, in a group of their own; null: there is nobody for it. */
function grouped(random: Random, file: PolicyFile): PolicyFile | null {
  const inGroups = new Set(Object.values(file.groups).flatMap(({ members }) => members));
  const free = Object.keys(file.commands).filter((name) => !inGroups.has(name));
  if (free.length < 2) return null;
  const name = `g${random.whole(0, 9_999)}`;
  if (name in file.groups) return null;
  // In the order in which they are started.
  const chosen = new Set(random.shuffled(free).slice(0, random.whole(2, 5)));
  const members = free.filter((one) => chosen.has(one));
  const others = Object.keys(file.groups).filter((group) => !inGroups.has(group));
  if (others.length > 0 && random.chance(0.5)) members.push(random.pick(others));
  return {
    ...file,
    groups: {
      ...file.groups,
      [name]: {
        members,
        strategy: random.pick(STRATEGIES),
        ...planIntensity(random, 0.3),
        ...(random.chance(0.2) ? { onFailed: 'ignore' as const } : {}),
      },
    },
  };
}

/** Whoever is named is there and earlier in the file; and nobody is in front of a member of rest_for_one that comes before. */
function isSound(file: PolicyFile): boolean {
  const order = Object.keys(file.commands);
  const inGroups = Object.values(file.groups).flatMap(({ members }) => members);
  if (new Set(inGroups).size !== inGroups.length) return false;
  if (Object.values(file.groups).some(({ members }) => members.length === 0)) return false;
  if (inGroups.some((name) => !(name in file.commands) && !(name in file.groups))) return false;
  const earlier = new Map<string, ReadonlySet<string>>();
  for (const name of order) {
    const { requires, after } = relationsOf(file, name);
    const direct = [...Object.keys(requires), ...after];
    if (direct.some((other) => !earlier.has(other))) return false;
    earlier.set(name, new Set(direct.flatMap((other) => [other, ...earlier.get(other)!])));
  }
  return Object.values(file.groups).every(({ strategy, members }) => {
    if (strategy !== 'rest_for_one') return true;
    const inMember = members.map((member) => (member in file.groups ? commandsIn(file, member) : [member]));
    return inMember.every((names, index) => {
      const later = inMember.slice(index + 1).flat();
      return names.every((name) => later.every((other) => !earlier.get(name)!.has(other)));
    });
  });
}

/** What a command waits for, as it is meant. */
export function relationsOf(
  file: PolicyFile,
  name: string,
): { readonly requires: Readonly<Record<string, Milestone>>; readonly after: readonly string[] } {
  const { requires = {}, after = [] } = file.commands[name]!;
  const usual = (other: string): Milestone =>
    file.commands[other]?.kind === 'oneshot' ? 'completed' : 'ready';
  return {
    requires: Array.isArray(requires)
      ? Object.fromEntries(requires.map((other: string) => [other, usual(other)]))
      : (requires as Readonly<Record<string, Milestone>>),
    after,
  };
}

/** The groups that it is in, the innermost first. */
export function groupsOf(file: PolicyFile, name: string): string[] {
  const found: string[] = [];
  for (let inner: string | undefined = name; inner !== undefined; ) {
    const at: string = inner;
    inner = Object.keys(file.groups).find((group) => file.groups[group]!.members.includes(at));
    if (inner !== undefined) found.push(inner);
  }
  return found;
}

/** The commands in a group, those of groups in it included. */
export function commandsIn(file: PolicyFile, group: string): string[] {
  return (file.groups[group]?.members ?? []).flatMap((member) =>
    member in file.groups ? commandsIn(file, member) : [member],
  );
}

export type Change =
  | 'nothing'
  | 'env'
  | 'rules'
  | 'add'
  | 'remove'
  | 'rename'
  | 'move'
  | 'strategy'
  | 'group'
  | 'requires';

/** @param made how many commands there have been: the next one has that number. @returns null: it can't be made here */
export function changed(random: Random, file: PolicyFile, change: Change, made: number): PolicyFile | null {
  for (let tries = 0; tries < 8; tries++) {
    const next = change === 'nothing' ? file : tryChange(random, file, change, made);
    if (next !== null && isSound(next)) return next;
  }
  return null;
}

function tryChange(
  random: Random,
  file: PolicyFile,
  change: Exclude<Change, 'nothing'>,
  made: number,
): PolicyFile | null {
  const { commands, groups } = file;
  const names = Object.keys(commands);
  const name = random.pick(names);
  const command = commands[name]!;
  const withCommand = (other: FileCommand): PolicyFile => ({
    ...file,
    commands: { ...commands, [name]: other },
  });
  switch (change) {
    case 'env':
      return withCommand({ ...command, env: { CHAOS: `${random.whole(10, 1e6)}` } });
    case 'rules':
      if (command.health !== undefined)
        return withCommand({
          ...command,
          health: { ...command.health, every: `${random.whole(150, 600)}ms` },
        });
      if (command.kind === 'cron')
        return withCommand({ ...command, schedule: `*/${random.whole(1, 4)} * * * * *` });
      return withCommand({ ...command, intensity: { restarts: random.whole(5, 20), within: '3s' } });
    case 'add': {
      if (names.length >= MOST) return null;
      const added = nameOf(made);
      const next = {
        ...file,
        commands: { ...commands, [added]: planCommand(random, added, Object.entries(commands)) },
      };
      return Object.keys(groups).length > 0 && random.chance(0.4) ? moved(random, next, added) : next;
    }
    case 'remove':
      return names.length <= LEAST ? null : withoutCommand(file, name);
    case 'rename':
      return renamed(file, name, nameOf(made));
    case 'move':
      return moved(random, file, name);
    case 'strategy': {
      const group = Object.keys(groups).length === 0 ? null : random.pick(Object.keys(groups));
      if (group === null) return null;
      const { intensity, ...rest } = groups[group]!;
      return {
        ...file,
        groups: {
          ...groups,
          [group]: {
            ...rest,
            strategy: random.pick(STRATEGIES.filter((one) => one !== rest.strategy)),
            ...(random.chance(0.5)
              ? planIntensity(random, 0.5)
              : intensity === undefined
                ? {}
                : { intensity }),
          },
        },
      };
    }
    case 'group': {
      const free = Object.keys(groups).filter((group) => groupsOf(file, group).length === 0);
      if (free.length === 0 || random.chance(0.5)) return grouped(random, file);
      const { [random.pick(free)]: _, ...rest } = groups;
      return { ...file, groups: rest };
    }
    case 'requires': {
      const { requires: _, after: __, ...rest } = command;
      return withCommand({
        ...rest,
        ...planRelations(random, Object.entries(commands).slice(0, names.indexOf(name))),
      });
    }
  }
}

/** Into another group, or into none. */
function moved(random: Random, file: PolicyFile, name: string): PolicyFile | null {
  const [from] = groupsOf(file, name);
  const to = random.pick([null, ...Object.keys(file.groups).filter((group) => group !== from)]);
  if (to === (from ?? null)) return null;
  const groups = Object.fromEntries(
    Object.entries(file.groups).map(([group, one]) => {
      const rest = one.members.filter((member) => member !== name);
      return [group, { ...one, members: group === to ? [...rest, name] : rest }];
    }),
  );
  return { ...file, groups };
}

/** Nobody names it any more; what was left empty by that is gone as well. */
function withoutCommand(file: PolicyFile, name: string): PolicyFile {
  const { [name]: _, ...commands } = file.commands;
  const gone = new Set([name]);
  let groups = file.groups;
  for (let before = -1; before !== gone.size; ) {
    before = gone.size;
    groups = Object.fromEntries(
      Object.entries(groups)
        .map(
          ([group, one]) =>
            [group, { ...one, members: one.members.filter((member) => !gone.has(member)) }] as const,
        )
        .filter(([group, { members }]) => {
          if (members.length === 0) gone.add(group);
          return members.length > 0;
        }),
    );
  }
  return {
    ...file,
    groups,
    commands: mapCommands(commands, (command) =>
      withRelations(command, (other) => (gone.has(other) ? null : other)),
    ),
  };
}

function renamed(file: PolicyFile, name: string, to: string): PolicyFile {
  const name2 = (other: string): string => (other === name ? to : other);
  const text = JSON.stringify(file.commands[name]).replaceAll(new RegExp(`\\b${name}\\b`, 'g'), to);
  return {
    ...file,
    commands: Object.fromEntries(
      Object.entries(file.commands).map(([other, command]) =>
        other === name ? [to, JSON.parse(text) as FileCommand] : [other, withRelations(command, name2)],
      ),
    ),
    groups: Object.fromEntries(
      Object.entries(file.groups).map(([group, one]) => [group, { ...one, members: one.members.map(name2) }]),
    ),
  };
}

const mapCommands = (
  commands: PolicyFile['commands'],
  map: (command: FileCommand) => FileCommand,
): PolicyFile['commands'] =>
  Object.fromEntries(Object.entries(commands).map(([name, command]) => [name, map(command)]));

/** @param to the new name of who is named; null: nobody */
function withRelations(command: FileCommand, to: (name: string) => string | null): FileCommand {
  const { requires = [], after = [], ...rest } = command;
  const list = (names: readonly string[]): string[] => names.map(to).filter((name) => name !== null);
  const required: NonNullable<FileCommand['requires']> = Array.isArray(requires)
    ? list(requires as readonly string[])
    : Object.fromEntries(
        Object.entries(requires as Readonly<Record<string, Milestone>>).flatMap(([name, milestone]) => {
          const other = to(name);
          return other === null ? [] : [[other, milestone] as const];
        }),
      );
  const earlier = list(after);
  return {
    ...rest,
    // A list without anybody is a mistake.
    ...(Object.keys(required).length === 0 ? {} : { requires: required }),
    ...(earlier.length === 0 ? {} : { after: earlier }),
  };
}

export type Damage = 'syntax' | 'half' | 'key' | 'cycle' | 'nobody' | 'empty';

/** The file as upkeep reads it. */
export const textOf = (file: PolicyFile): string => `${JSON.stringify(file, null, 1)}\n`;

/** A file that can't be taken. */
export function damaged(random: Random, file: PolicyFile, damage: Damage): string {
  const [first, second] = random.shuffled(Object.keys(file.commands));
  const having = (extra: object): string =>
    textOf({
      ...file,
      commands: { ...file.commands, [first!]: { ...file.commands[first!]!, ...extra } },
    });
  switch (damage) {
    case 'syntax':
      return textOf(file).replace(/"commands": \{/, '"commands": [');
    case 'half':
      return textOf(file).slice(0, random.whole(1, textOf(file).length - 4));
    case 'key':
      return having({ restrat: 'always' });
    case 'nobody':
      return having({ after: ['nobody'] });
    case 'empty':
      return '';
    case 'cycle':
      return textOf({
        ...file,
        commands: {
          ...file.commands,
          [first!]: { ...file.commands[first!]!, after: [second!] },
          [second!]: { ...file.commands[second!]!, after: [first!] },
        },
      });
  }
}
