/**
 * A root with live groups and commands, on a virtual clock, over processes that are nothing but entries in a table: they die of
 * signals as they are told to, and what becomes of them is reported as the scan would.
 */
import { Subject } from 'rxjs';
import { type ActorRefFrom, createActor, type EventObject, fromCallback, fromEventObservable } from 'xstate';
import { commandMachine } from '../../machines/command.ts';
import type {
  CommandFact,
  CommandOrder,
  CommandPlan,
  Exit,
  Leader,
  Remains,
  ScanReport,
  Telling,
} from '../../machines/events.ts';
import { groupMachine } from '../../machines/group.ts';
import type { CommandPolicy, Intensity, Strategy } from '../../machines/restart-policy.ts';
import { type SupervisorInput, supervisorMachine } from '../../machines/supervisor.ts';
import { commandsOf, type GroupPlan, type SupervisorPlan, unwritten } from '../../machines/tree.ts';
import { createSteppingClock } from './clock.ts';
import { EXACT, idOf, killedBy, pathOf, status } from './harness.ts';

export interface Given {
  readonly policy?: Partial<CommandPolicy>;
  readonly requires?: CommandPlan['requires'];
  readonly after?: readonly string[];
  readonly vital?: boolean;
}

/** A command that is quick in all it does. */
export function command(name: string, given: Given = {}): CommandPlan {
  return {
    name,
    policy: {
      ...EXACT,
      settle: 10,
      linger: 10,
      stable: 100,
      backoff: { first: 20, factor: 2, max: 1_000, jitter: 0 },
      ...given.policy,
    },
    vital: given.vital ?? false,
    requires: given.requires ?? {},
    after: given.after ?? [],
  };
}

export const oneshot = (name: string, given: Given = {}): CommandPlan =>
  command(name, { ...given, policy: { kind: 'oneshot', restart: 'on-failure', ...given.policy } });

export function group(
  name: string,
  strategy: Strategy,
  members: GroupPlan['members'],
  { intensity = null, vital = false }: { intensity?: Intensity | null; vital?: boolean } = {},
): GroupPlan {
  return { name, members, strategy, intensity, vital };
}

export interface WorldOptions extends Partial<Omit<SupervisorPlan, 'groups'>> {
  readonly groups?: readonly GroupPlan[];
  /** Those in no group. */
  readonly commands?: readonly CommandPlan[];
  /** The table is read at once. */
  readonly isRead?: boolean;
}

function planOf({ groups = [], commands = [], isRead: _, ...rest }: WorldOptions): SupervisorPlan {
  return {
    groups: [...groups, ...unwritten(commands)],
    grace: 9_000,
    exitWhen: 'never',
    exitCodeFrom: null,
    ...rest,
  };
}

/** ms that a probe takes. */
const PROBED = 3;

interface Process {
  readonly pid: number;
  readonly command: string;
  readonly since: number;
}

export type World = ReturnType<typeof startWorld>;

// Making machines takes long: all worlds share these.
interface Ports {
  /** Returns what is done when nobody listens any more. */
  readonly launch: (command: string, sendBack: (event: CommandFact) => void) => () => void;
  readonly probe: (which: 'ready' | 'health', sendBack: (event: CommandFact) => void) => () => void;
  readonly signal: (command: string, signal: string) => void;
  readonly tell: (telling: Telling) => void;
  readonly reports: Subject<ScanReport>;
}
const ports = new WeakMap<object, Ports>();
const machine = supervisorMachine.provide({
  actors: {
    group: groupMachine.provide({
      actors: {
        command: commandMachine.provide({
          actors: {
            launch: fromCallback<EventObject, { command: string }>(({ system, input, sendBack }) =>
              ports.get(system)!.launch(input.command, sendBack),
            ),
            stopper: fromCallback<EventObject, { command: string }>(() => {}),
            probe: fromCallback<EventObject, { command: string; which: 'ready' | 'health' }>(
              ({ system, input, sendBack }) => ports.get(system)!.probe(input.which, sendBack),
            ),
            schedule: fromCallback<EventObject, { command: string }>(() => {}),
          },
          actions: {
            signal: ({ system }, { command: name, signal }) => ports.get(system)!.signal(name, signal),
            tell: ({ system }, telling) => ports.get(system)!.tell(telling),
            reload: () => {},
          },
        }),
      },
      actions: { tell: ({ system }, telling) => ports.get(system)!.tell(telling) },
    }),
    scan: fromEventObservable<ScanReport, { commands: readonly string[] }>(
      ({ system }) => ports.get(system)!.reports,
    ),
  },
  actions: { tell: ({ system }, telling) => ports.get(system)!.tell(telling) },
});

/** @param attach is given the root before it starts */
export function startWorld(
  options: WorldOptions,
  found: readonly string[] = [],
  attach: (root: ActorRefFrom<typeof machine>, input: SupervisorInput, now: () => number) => void = () => {},
) {
  const clock = createSteppingClock();
  const log: string[] = [];
  const told: (Telling & { at: number })[] = [];
  const reports = new Subject<ScanReport>();
  const processes = new Map<number, Process>();
  /** Answers to launches that are under way, by command. */
  const launching = new Map<string, ((event: CommandFact) => void) | null>();
  /** ms from SIGTERM to the end; null: it does not care. */
  const dies = new Map<string, number | null>();
  const immortal = new Set<string>();
  /** Who was signalled while its launch was under way: that is made up for. */
  const pursued = new Map<string, string>();
  const broken = new Set<string>();
  /** ms that a run takes, and how it ends. */
  const runs = new Map<string, { ms: number; code: number }>();
  /** What must never be. */
  const wrong: string[] = [];
  /** Whom nobody may start. */
  const unwanted = new Set<string>();
  let lastPid = 100;
  let ending = false;

  const note = (text: string): void => void log.push(`${clock.now()} ${text}`);
  const of = (name: string): Process[] => [...processes.values()].filter((each) => each.command === name);
  const remains = (name: string): Remains => ({
    workers: 0,
    tagged: of(name).length + (launching.has(name) ? 1 : 0),
    sessions: 0,
  });
  type Fact = CommandFact extends infer F ? (F extends unknown ? Omit<F, 'at'> : never) : never;
  const report = (name: string, fact: Fact): void =>
    reports.next({
      type: 'scan.changed',
      at: clock.now(),
      facts: [{ command: name, fact: { at: clock.now(), ...fact } as CommandFact }],
    });

  const create = (name: string): Process => {
    if (of(name).length > 0) wrong.push(`${clock.now()} a second ${name}`);
    const process = { pid: ++lastPid, command: name, since: clock.now() };
    processes.set(process.pid, process);
    const run = runs.get(name);
    if (run !== undefined) clock.setTimeout(() => end(process.pid, status(run.code)), run.ms);
    return process;
  };
  const strike = (name: string, signal: string): void => {
    for (const { pid } of of(name)) {
      const ms = signal === 'SIGKILL' ? 0 : dies.has(name) ? dies.get(name)! : 5;
      if (immortal.has(name) || ms === null) continue;
      clock.setTimeout(() => end(pid, killedBy(signal)), ms + 1);
    }
  };
  const end = (pid: number, exit: Exit): void => {
    const process = processes.get(pid);
    if (process === undefined) return;
    processes.delete(pid);
    note(`end ${process.command}`);
    report(process.command, {
      type: 'leader.exited',
      id: idOf(pid),
      exit,
      heir: null,
      remains: remains(process.command),
    });
  };

  const input = { ...planOf(options), seed: 1 };
  const root = createActor(machine, { clock, input });
  ports.set(root.system, {
    reports,
    tell(telling) {
      told.push({ ...telling, at: clock.now() });
      if (telling.type === 'supervisor.stopping') ending = true;
    },
    launch(name, sendBack) {
      note(`start ${name}`);
      if (ending) wrong.push(`${clock.now()} ${name} is started at the end`);
      if (unwanted.has(name)) wrong.push(`${clock.now()} ${name} is started, and nobody wants it`);
      const isUnderWay = launching.has(name);
      // Whoever takes over a command takes over its launch.
      launching.set(name, sendBack);
      const forget = (): void => {
        if (launching.get(name) === sendBack) launching.set(name, null);
      };
      if (isUnderWay) return forget;
      clock.setTimeout(() => {
        const answer = launching.get(name)!;
        launching.delete(name);
        const at = clock.now();
        const isBroken = broken.has(name);
        if (!isBroken) {
          const process = create(name);
          if (answer !== null) answer({ type: 'launcher.started', at, ...idOf(process.pid) });
          // Nobody has awaited it: the scan finds it.
          else report(name, { type: 'leader.seen', leader: leaders()[name]! });
        } else if (answer !== null) answer({ type: 'launch.failed', at, error: 'ENOENT', blame: 'command' });
        else report(name, { type: 'lineage.counted', remains: remains(name) });
        const signal = pursued.get(name);
        pursued.delete(name);
        if (signal !== undefined) strike(name, signal);
      }, 1);
      return forget;
    },
    // Whoever is asked is ready; how well he is a test says.
    probe(which, sendBack) {
      if (which === 'health') return () => {};
      const timer = clock.setTimeout(
        () => sendBack({ type: 'probe.finished', at: clock.now(), reason: null }),
        PROBED,
      );
      return () => clock.clearTimeout(timer);
    },
    signal(name, signal) {
      note(`${signal} ${name}`);
      if (launching.has(name)) pursued.set(name, signal);
      strike(name, signal);
      clock.setTimeout(() => report(name, { type: 'lineage.counted', remains: remains(name) }), 1);
    },
  });
  const errors: unknown[] = [];
  root.subscribe({ error: (error) => errors.push(error) });
  attach(root, input, clock.now);
  root.start();

  const leaders = (): Record<string, Leader> =>
    Object.fromEntries(
      [...processes.values()].map(({ pid, command: name, since }) => [
        name,
        { ...idOf(pid), name, rule: 'tag', since },
      ]),
    );
  for (const name of found) create(name);
  for (const { name, policy } of planOf(options).groups.flatMap(commandsOf)) {
    if (!policy.autostart && of(name).length === 0) unwanted.add(name);
  }
  const readTable = (): void => reports.next({ type: 'scan.began', at: clock.now(), found: leaders() });
  if (options.isRead ?? true) readTable();

  /** The actor of a command, wherever it is. */
  const actorOf = (name: string) => {
    let actor = root.getSnapshot().context.groupOf[name];
    while (actor !== undefined) {
      const { actors, under } = actor.getSnapshot().context;
      if (Object.hasOwn(actors, name)) return actors[name]!;
      actor = under[name] as typeof actor;
    }
    return null;
  };
  /** Those of groups, by name. */
  const groupActors = () => {
    const actors: Record<string, ReturnType<typeof root.getSnapshot>['context']['groups'][number]> = {};
    const open = [...root.getSnapshot().context.groups];
    for (let each = open.pop(); each !== undefined; each = open.pop()) {
      const { plan, under } = each.getSnapshot().context;
      actors[plan.name] = each;
      open.push(...new Set(Object.values(under) as (typeof each)[]));
    }
    return actors;
  };
  const check = (): void => {
    if (errors.length > 0) throw errors[0];
    if (wrong.length > 0) throw new Error(wrong.join('\n'));
  };
  const order = (name: string, what: CommandOrder): void => {
    root.send({ type: 'command.ordered', command: name, order: what });
    check();
  };
  let seen = 0;
  return {
    clock,
    root,
    told,
    log,
    dies,
    immortal,
    broken,
    runs,
    actorOf,
    read: readTable,
    order,
    advance(ms: number): void {
      clock.advance(ms);
      check();
    },
    alive: () => [...new Set([...processes.values()].map((each) => each.command))].sort(),
    isAlive: (name: string) => of(name).length > 0,
    state: (name: string) => {
      const actor = actorOf(name);
      return actor === null ? 'nobody' : pathOf(actor.getSnapshot().value);
    },
    groupState: (name: string) => {
      const actor = groupActors()[name];
      return actor === undefined ? 'nobody' : pathOf(actor.getSnapshot().value);
    },
    /** What was started, signalled and has ended since the last call, without times. */
    news(): string[] {
      const news = log.slice(seen).map((line) => line.slice(line.indexOf(' ') + 1));
      seen = log.length;
      return news;
    },
    toldOf: <T extends Telling['type']>(type: T) =>
      told.filter((each): each is Extract<Telling, { type: T }> & { at: number } => each.type === type),
    start(name: string): void {
      unwanted.delete(name);
      order(name, { type: 'command.start', at: clock.now() });
    },
    restart(name: string): void {
      unwanted.delete(name);
      order(name, { type: 'command.restart', at: clock.now() });
    },
    stop(name: string): void {
      unwanted.add(name);
      order(name, { type: 'command.stop', at: clock.now(), budget: 9_000, everything: false });
    },
    /** Its processes end by themselves. */
    die(name: string, exit: Exit = status(1)): void {
      for (const { pid } of of(name)) end(pid, exit);
      check();
    },
    /** Somebody else has started it. */
    appear(name: string): void {
      create(name);
      report(name, { type: 'leader.seen', leader: leaders()[name]! });
      check();
    },
    reload(
      next: WorldOptions,
      {
        adjusted = [],
        restarted = [],
        remains = {},
      }: { adjusted?: string[]; restarted?: string[]; remains?: Record<string, Remains> } = {},
    ): void {
      const plan = planOf(next);
      const before = Object.keys(root.getSnapshot().context.plans).filter(
        (name) => !root.getSnapshot().context.leaving.has(name),
      );
      const after = plan.groups.flatMap(commandsOf).map(({ name }) => name);
      const stopped = before.filter((name) => !after.includes(name));
      const started = after.filter((name) => !before.includes(name));
      // Who comes back has been stopped by an operator, or by nobody.
      const { plans, down } = root.getSnapshot().context;
      for (const name of started) if (!down.has(name)) unwanted.delete(name);
      for (const { name, policy } of plan.groups.flatMap(commandsOf)) {
        if (!Object.hasOwn(plans, name) && !policy.autostart && of(name).length === 0) unwanted.add(name);
      }
      for (const name of stopped) unwanted.add(name);
      const diff = { started, stopped, restarted, adjusted, unchanged: 0, sections: [], notes: {} };
      root.send({ type: 'policy.changed', at: clock.now(), plan, diff, found: leaders(), remains });
      check();
    },
    shutdown(): void {
      ending = true;
      root.send({ type: 'shutdown.ordered', at: clock.now(), reason: 'SIGTERM' });
      check();
    },
    output: () => (root.getSnapshot().status === 'done' ? root.getSnapshot().output : null),
  };
}
