/**
 * The command machine and the lineage together, in a kernel that is made up: numbers of processes are handed out again at once;
 * ends are told in any order, and looked at late or by a look that had begun before; and there are orders. Whatever happens,
 * nobody leads beside another, nobody's end is told who lives, and in the end all is as it is wished.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ActorRefFrom, createActor, fromCallback, setup } from 'xstate';
import { commandMachine } from '../../machines/command.ts';
import type { CommandEvent, CommandFact, Exit } from '../../machines/events.ts';
import { DEFAULT_POLICY } from '../../machines/restart-policy.ts';
import { NO_ROLE } from '../../machines/tree.ts';
import { createLineage } from '../../src/process/lineage.ts';
import type { ProcessRow, ProcessTable, TableChange } from '../../src/process/table.ts';
import { TableBook } from '../../src/process/table-book.ts';
import { createTags } from '../../src/process/tags.ts';
import { createSteppingClock } from '../machines/clock.ts';

const SELF = 1;
const COMMANDS = ['web', 'db', 'job'];
/** Numbers of processes: 2 to this. */
const LAST_PID = 9;

interface Process {
  readonly pid: number;
  ppid: number;
  readonly startTicks: number;
  session: number;
  readonly command: string;
  /** It is the service, and not its worker. */
  readonly isMaster: boolean;
  /** Of a child of upkeep's that waits to be reaped. */
  exit: Exit | null;
}

const exited = (code: number): Exit => ({ known: true, code, signal: null, core: false });
const KILLED: Exit = { known: true, code: null, signal: 'SIGKILL', core: false };

function world() {
  const clock = createSteppingClock(1_000);
  const tags = createTags('model', COMMANDS);
  const processes = new Map<number, Process>();
  const begun = new Map<number, number>();
  const book = new TableBook();
  let ticks = 0;
  /** The number that was given back last is handed out first. */
  const free = Array.from({ length: LAST_PID - 1 }, (_, index) => LAST_PID - index);
  let seenTicks = 0;

  function isAlive({ pid, startTicks }: { readonly pid: number; readonly startTicks: number }): boolean {
    const one = processes.get(pid);
    return one?.startTicks === startTicks && one.exit === null;
  }
  const living = (): Process[] => [...processes.values()].filter(({ exit }) => exit === null);
  const mastersOf = (command: string): Process[] =>
    living().filter((one) => one.command === command && one.isMaster);

  /** null: there is no number left. */
  function create(of: Omit<Process, 'pid' | 'startTicks' | 'exit' | 'session'> & { session?: number }) {
    // No group's and no session's that somebody is in.
    const pid = free.findLast((each) => ![...processes.values()].some(({ session }) => session === each));
    if (pid === undefined) return null;
    free.splice(free.indexOf(pid), 1);
    const one: Process = { session: pid, ...of, pid, startTicks: ++ticks, exit: null };
    begun.set(ticks, clock.now());
    processes.set(pid, one);
    return one;
  }

  function remove(pid: number): void {
    processes.delete(pid);
    free.push(pid);
  }

  function end(one: Process, exit: Exit): void {
    for (const child of processes.values()) if (child.ppid === one.pid) child.ppid = SELF;
    // Whoever else has children waits for them at once.
    if (one.ppid === SELF) one.exit = exit;
    else remove(one.pid);
  }

  function rowOf(one: Process): ProcessRow {
    const { pid, ppid, startTicks, session, command, exit } = one;
    const locks = String(tags.numberOf(command));
    const state = exit === null ? 'S' : 'Z';
    const argv = exit === null ? [command] : [];
    return { pid, ppid, startTicks, session, state, comm: command, argv, locks };
  }

  const listed = (): Map<number, ProcessRow | null> =>
    new Map([...processes.values()].map((one) => [one.pid, rowOf(one)]));
  /** What a look finds that has read this: who is missing in it is looked for at its end. */
  function found(read: Map<number, ProcessRow | null>): Map<number, ProcessRow | null> {
    for (const { pid, startTicks } of book.rows.values()) {
      if (!read.has(pid) && processes.get(pid)?.startTicks !== startTicks) read.set(pid, null);
    }
    return read;
  }

  const table: ProcessTable = {
    kind: 'procfs',
    rows: book.rows,
    scan: () => Promise.reject(new Error('looks are the model’s own')),
    newcomers: () => null,
    ended: (pid) => book.refreshed(pid, null),
    startTicksOf: (pid) => processes.get(pid)?.startTicks ?? 0,
    lastPid: () => 0,
    refresh(pid) {
      const one = processes.get(pid);
      const row = one === undefined ? null : rowOf(one);
      const old = book.rows.get(pid);
      const isOther = row !== null && old !== undefined && old.startTicks !== row.startTicks;
      book.refreshed(pid, isOther ? null : row);
      return isOther ? null : row;
    },
  };
  const lineage = createLineage({
    table,
    tags,
    commands: COMMANDS.map((name) => ({ name, fits: [name] })),
    self: SELF,
    startTimeout: DEFAULT_POLICY.startTimeout,
    linger: DEFAULT_POLICY.linger,
    longestGap: 11_000,
    reaping: true,
    now: clock.now,
    sinceOf: (startTicks) => begun.get(startTicks) ?? 0,
  });

  const machine = commandMachine.provide({
    actors: {
      launch: fromCallback(({ input, sendBack }) => {
        const { command } = input as { command: string };
        expect(mastersOf(command), `masters of ${command} when it is launched`).toEqual([]);
        const one = create({ ppid: SELF, command, isMaster: true });
        if (one === null) {
          sendBack({ type: 'launch.failed', at: clock.now(), error: 'EAGAIN', blame: 'system' });
          return;
        }
        const { pid, startTicks } = one;
        lineage.launched(command, { pid, startTicks });
        sendBack({ type: 'launcher.started', at: clock.now(), pid, startTicks });
      }),
      stopper: fromCallback(() => {}),
      probe: fromCallback(() => {}),
      schedule: fromCallback(() => {}),
    },
    actions: {
      tell: () => {},
      reload: () => {},
      signal(_, { command, scope }) {
        for (const { pid, startTicks } of lineage.targets(command, scope)) {
          const one = processes.get(pid)!;
          expect(one, 'who is sent a signal').toMatchObject({ startTicks, command });
          if (one.exit === null) end(one, KILLED);
        }
        lineage.count(command, scope);
      },
    },
  });
  const parent = setup({
    types: { context: {} as { actors: Record<string, ActorRefFrom<typeof commandMachine>> } },
    actors: { command: machine },
  }).createMachine({
    context: ({ spawn }) => ({
      actors: Object.fromEntries(
        COMMANDS.map((name, seed) => {
          const input = { name, policy: DEFAULT_POLICY, seed, found: null, role: NO_ROLE, rest: null };
          return [name, spawn('command', { id: `command:${name}`, input })];
        }),
      ),
    }),
  });
  let failure: unknown = null;
  const root = createActor(parent, { clock: clock as never });
  root.subscribe({ error: (error) => (failure = error) });
  root.start();
  const { actors } = root.getSnapshot().context;
  for (const actor of Object.values(actors)) actor.subscribe({ error: (error) => (failure ??= error) });

  function hear(command: string, fact: CommandFact): void {
    if (fact.type === 'leader.exited') {
      expect(isAlive(fact.id), `${command}: pid ${fact.id.pid} lives, whose end is told`).toBe(false);
    }
    const leader =
      fact.type === 'leader.exited' ? fact.heir : fact.type === 'leader.seen' ? fact.leader : null;
    if (leader !== null) {
      const one = processes.get(leader.pid);
      if (one?.startTicks === leader.startTicks) expect(one.command, 'who is said to lead').toBe(command);
    }
    actors[command]!.send(fact);
    if (failure !== null) throw failure;
  }

  function digest(change: TableChange): void {
    for (const { command, fact } of lineage.digest(change)) hear(command, fact);
  }

  /** Ends the look that is under way. */
  let conclude: ((change: TableChange) => void) | null = null;
  let lookSince = 0;
  let read = listed();
  return {
    lineage,
    actors,
    processes,
    living,
    mastersOf,
    isAlive,
    end,
    create,
    /** Says what follows from a list. */
    look() {
      this.beginLook();
      const change = book.commit(lookSince, found(read));
      conclude!(change);
      conclude = null;
      seenTicks = ticks;
      digest(change);
    },
    /** Everybody is listed. What follows from that is said later. */
    beginLook() {
      if (conclude !== null) return;
      lookSince = clock.now();
      // However little, it takes time.
      clock.advance(0.01);
      read = listed();
      void book.scan(
        () =>
          new Promise((resolve) => {
            conclude = resolve;
          }),
      );
    },
    /** Looks for who has come since the last look alone. */
    lookForNewcomers() {
      if (conclude !== null) return;
      const come = [...processes.values()].filter(({ startTicks }) => startTicks > seenTicks);
      const change = book.commit(clock.now(), new Map(come.map((one) => [one.pid, rowOf(one)])));
      seenTicks = ticks;
      digest({ ...change, unlisted: true });
    },
    /** The first of the children that have ended is reaped, and its end told. @returns false: there is none */
    reap(): boolean {
      const one = [...processes.values()].find(({ exit }) => exit !== null);
      if (one === undefined) return false;
      lineage.dying(one.pid);
      remove(one.pid);
      lineage.exited(one.pid, one.exit!);
      return true;
    },
    order(order: 'start' | 'stop' | 'restart', command: string) {
      const more = { budget: 9_000, everything: false };
      actors[command]!.send({ type: `command.${order}`, at: clock.now(), ...more } as CommandEvent);
      if (failure !== null) throw failure;
    },
    /** All is told, and seen. */
    settle() {
      while (this.reap());
      // One that was under way may have begun before.
      this.look();
      this.look();
    },
    pass(ms: number) {
      clock.advance(ms);
      if (failure !== null) throw failure;
    },
    isUnsettled: () => lineage.isUnsure() || lineage.isAttentive(),
  };
}

type World = ReturnType<typeof world>;

/** Something that happens, with its name for whoever reads of a failure. */
class Doing {
  readonly name: string;
  readonly act: (world: World) => void;
  constructor(name: string, act: (world: World) => void) {
    this.name = name;
    this.act = act;
  }
  [fc.toStringMethod](): string {
    return this.name;
  }
}

/** It happens to one of them, if there is any. */
function toOne(
  name: string,
  among: (world: World) => readonly Process[],
  act: (world: World, one: Process) => void,
): fc.Arbitrary<Doing> {
  return fc.nat(20).map(
    (n) =>
      new Doing(`${name} ${n}`, (made) => {
        const all = among(made);
        if (all.length > 0) act(made, all[n % all.length]!);
      }),
  );
}

const anyOf = ({ living }: World): readonly Process[] => living();
/** Who may still leave a daemon. One that has workers already does not: the older of two alike would be taken for the service. */
const launchersOf = ({ living, actors }: World): readonly Process[] =>
  living().filter(({ pid, isMaster, command }, _, all) => {
    const hasWorkers = all.some(({ session, pid: other }) => session === pid && other !== pid);
    return isMaster && !hasWorkers && actors[command]!.getSnapshot().matches({ restarting: 'settling' });
  });

const DOINGS = fc.oneof(
  { weight: 3, arbitrary: fc.constant(new Doing('look', (made) => made.look())) },
  { weight: 1, arbitrary: fc.constant(new Doing('look begins', (made) => made.beginLook())) },
  { weight: 2, arbitrary: fc.constant(new Doing('newcomers', (made) => made.lookForNewcomers())) },
  { weight: 3, arbitrary: fc.constant(new Doing('reap', (made) => void made.reap())) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(1, 50, 400, 3_000).map((ms) => new Doing(`${ms} ms`, (made) => made.pass(ms))),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom('start', 'stop', 'restart'), fc.constantFrom(...COMMANDS))
      .map(([order, command]) => new Doing(`${order} ${command}`, (made) => made.order(order, command))),
  },
  // Nothing is told as late as that.
  {
    weight: 1,
    arbitrary: fc.constant(
      new Doing('30 s', (made) => {
        made.settle();
        made.pass(30_000);
      }),
    ),
  },
  {
    weight: 2,
    arbitrary: toOne('worker of', anyOf, (made, { pid, command, session }) => {
      made.create({ ppid: pid, command, session, isMaster: false });
    }),
  },
  // It is the service from then on.
  {
    weight: 3,
    arbitrary: toOne('daemon of', launchersOf, (made, one) => {
      const daemon = made.create({ ppid: one.pid, command: one.command, isMaster: true });
      if (daemon !== null) made.end(one, exited(0));
    }),
  },
  { weight: 2, arbitrary: toOne('kill', anyOf, ({ end }, one) => end(one, KILLED)) },
  { weight: 1, arbitrary: toOne('exit 0 of', anyOf, ({ end }, one) => end(one, exited(0))) },
  { weight: 1, arbitrary: toOne('exit 1 of', anyOf, ({ end }, one) => end(one, exited(1))) },
);

test('whatever the kernel does, and however late it is told and seen', () => {
  fc.assert(
    fc.property(fc.array(DOINGS, { maxLength: 60 }), (doings) => {
      const made = world();
      for (const doing of doings) {
        doing.act(made);
        for (const command of COMMANDS) expect(made.mastersOf(command).length).toBeLessThan(2);
      }
      // Nothing happens any more: it comes to rest, as it is wished.
      for (let turn = 0; turn < 60; turn++) {
        made.settle();
        made.pass(turn < 30 ? 300 : 70_000);
      }
      for (const command of COMMANDS) {
        const leader = made.lineage.leaders()[command];
        const { value, context } = made.actors[command]!.getSnapshot();
        if (context.desired === 'down') {
          expect([value, leader]).toEqual(['stopped', undefined]);
          expect(made.living().filter((one) => one.command === command)).toEqual([]);
          continue;
        }
        expect(value).toEqual({ running: { ready: 'unchecked' } });
        expect(leader, command).toBeDefined();
        expect(made.isAlive(leader!), `${command}'s leader lives`).toBe(true);
      }
    }),
    { numRuns: 1_000 },
  );
});
