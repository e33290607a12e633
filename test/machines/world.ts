/** A small world of processes for one command: answers what the machine asks as a kernel and a scan would. */
import type { CommandFact, Exit, Leader, Remains } from '../../machines/events.ts';
import type { SteppingClock } from './clock.ts';
import { idOf, killedBy, status } from './harness.ts';

/** How one launch turns out. Delays in ms. */
export type Launch =
  | { readonly kind: 'refused'; readonly blame: 'command' | 'system'; readonly after: number }
  /** Stays, for `lives` ms or (null) for good. */
  | {
      readonly kind: 'foreground';
      readonly lives: number | null;
      readonly code: number;
      readonly workers: Workers;
    }
  /** The launcher leaves after so many ms, `forks` times; the last fork stays. */
  | { readonly kind: 'daemon'; readonly after: number; readonly forks: number; readonly workers: Workers }
  /** The launcher leaves with 0, and only so many ms later its process is seen to lead. */
  | { readonly kind: 'late'; readonly after: number; readonly seenAfter: number }
  | { readonly kind: 'dies'; readonly after: number; readonly code: number; readonly workers: Workers };

export interface Workers {
  readonly count: number;
  readonly sessions: number;
  readonly dies: Manner;
}

/** What it takes to end a process: SIGTERM and so many ms, or nothing but SIGKILL, or nothing at all. */
export type Manner = number | 'killed' | 'stuck';

interface Process {
  readonly leader: Leader;
  role: 'leads' | 'works' | 'nascent' | 'session';
  readonly dies: Manner;
  /** Of a leader that is dead. */
  orphan: boolean;
  doomed: boolean;
}

export interface WorldOptions {
  readonly clock: SteppingClock;
  readonly launches: readonly Launch[];
  /** How every launch beyond those turns out. */
  readonly finally: Launch;
  /** How long news takes, in turn; ms. */
  readonly latencies: readonly number[];
  /** How long the own stop command takes; null: it never ends. */
  readonly stopper: number | null;
  /** What probes say of a leader that lives, in turn; beyond them all is well. */
  readonly probes?: readonly boolean[];
  readonly send: (fact: CommandFact) => void;
}

export function createWorld({ clock, launches, latencies, send, ...options }: WorldOptions) {
  const alive = new Map<number, Process>();
  let nextPid = 100;
  let launchCount = 0;
  let newsCount = 0;
  /** Who is on the books of the lineage. */
  let booked: Process | null = null;
  let counting = false;
  let stopRun = 0;
  let probeRun = 0;
  let probeCount = 0;
  let toldUntil = 0;
  /** SIGKILL goes on, for whatever is forked behind its back. */
  let pursued: string | null = null;

  const later = (ms: number, act: () => void): void => void clock.setTimeout(act, ms);
  const latency = (): number => latencies[newsCount++ % latencies.length] ?? 0;

  const isIn = (scope: string, { role, orphan }: Process): boolean =>
    scope === 'everything' || (scope === 'tagged' ? role !== 'session' : role === 'works' && orphan);

  function begin(role: Process['role'], dies: Manner, rule: Leader['rule'] = 'tag'): Process {
    const pid = nextPid++;
    const leader = { ...idOf(pid), name: 'svc', rule, since: clock.now() };
    const process: Process = { leader, role, dies, orphan: false, doomed: false };
    alive.set(pid, process);
    if (pursued !== null && isIn(pursued, process)) later(5, () => end(process, killedBy('SIGKILL')));
    return process;
  }

  function beginWorkers({ count, sessions, dies }: Workers): void {
    for (let n = 0; n < count; n++) begin('works', dies);
    for (let n = 0; n < sessions; n++) begin('session', 0);
  }

  function remains(): Remains {
    const all = [...alive.values()];
    return {
      workers: all.filter(({ role, orphan }) => role === 'works' && orphan).length,
      tagged: all.filter(({ role }) => role !== 'session').length,
      sessions: all.filter(({ role }) => role === 'session').length,
    };
  }

  /** News come late, but in order. */
  function tell(act: () => void): void {
    toldUntil = Math.max(toldUntil, clock.now() + latency());
    later(toldUntil - clock.now(), act);
  }

  function count(): void {
    tell(() => {
      if (counting) send({ type: 'lineage.counted', at: clock.now(), remains: remains() });
    });
  }

  function end(process: Process, exit: Exit): void {
    if (!alive.delete(process.leader.pid)) return;
    if (process === booked) tell(() => digest(process, exit));
    if (counting) count();
  }

  /** The lineage learns of its leader's end: whoever leads by then is the heir of one that left with 0. */
  function digest(dead: Process, exit: Exit): void {
    if (dead !== booked) return;
    booked = exit.code === 0 ? leading() : null;
    if (booked === null) for (const other of alive.values()) other.orphan ||= other.role === 'works';
    const { pid, startTicks } = dead.leader;
    const heir = booked?.leader ?? null;
    send({
      type: 'leader.exited',
      at: clock.now(),
      id: { pid, startTicks },
      exit,
      heir,
      remains: remains(),
    });
  }

  const leading = (): Process | null => [...alive.values()].findLast(({ role }) => role === 'leads') ?? null;

  function signal(name: string, scope: string): void {
    pursued = name === 'SIGKILL' ? scope : null;
    for (const process of [...alive.values()].filter((each) => isIn(scope, each))) {
      if (process.dies === 'stuck') continue;
      if (name === 'SIGKILL') later(5, () => end(process, killedBy('SIGKILL')));
      else if (process.dies !== 'killed' && !process.doomed) {
        process.doomed = true;
        later(process.dies, () => end(process, killedBy('SIGTERM')));
      }
    }
    counting = true;
    count();
  }

  function launch(): void {
    const outcome = launches[launchCount++] ?? options.finally;
    const number = launchCount;
    const at = clock.now();
    if (outcome.kind === 'refused') {
      later(outcome.after, () => {
        // A launch that is not awaited any more answers to nobody.
        const fact = { type: 'launch.failed', at: clock.now(), error: 'no', blame: outcome.blame } as const;
        if (number === launchCount && awaited) send(fact);
      });
      return;
    }
    counting = false;
    pursued = null;
    const launcher = begin('leads', outcome.kind === 'foreground' ? outcome.workers.dies : 10, 'launcher');
    booked = launcher;
    send({ type: 'launcher.started', at, ...idOf(launcher.leader.pid) });
    switch (outcome.kind) {
      case 'foreground':
        beginWorkers(outcome.workers);
        if (outcome.lives !== null) later(outcome.lives, () => end(launcher, status(outcome.code)));
        break;
      case 'dies':
        beginWorkers(outcome.workers);
        later(outcome.after, () => end(launcher, status(outcome.code)));
        break;
      case 'daemon': {
        const fork = (from: Process, forks: number): void =>
          later(outcome.after, () => {
            if (!alive.has(from.leader.pid)) return;
            const child = begin('leads', outcome.workers.dies);
            if (forks === 1) beginWorkers(outcome.workers);
            end(from, status(0));
            if (forks > 1) fork(child, forks - 1);
          });
        fork(launcher, outcome.forks);
        break;
      }
      case 'late':
        later(outcome.after, () => {
          if (!alive.has(launcher.leader.pid)) return;
          const nascent = begin('nascent', 10);
          end(launcher, status(0));
          later(outcome.seenAfter, () => {
            if (!alive.has(nascent.leader.pid) || booked !== null) return;
            nascent.role = 'leads';
            booked = nascent;
            send({ type: 'leader.seen', at: clock.now(), leader: nascent.leader });
          });
        });
    }
  }

  let awaited = false;
  return {
    remains,
    /** Processes that lead, whoever knows of them. */
    leaders: (): number => [...alive.values()].filter(({ role }) => role === 'leads').length,
    /** A process that was there before everything. */
    found(): Leader {
      booked = begin('leads', 20);
      return booked.leader;
    },
    /** What the machine asked for. */
    launch(): void {
      awaited = true;
      launch();
    },
    launchLeft: (): void => {
      awaited = false;
    },
    signal,
    stopper(): void {
      const run = ++stopRun;
      if (options.stopper === null) return;
      later(options.stopper, () => {
        if (run !== stopRun) return;
        for (const process of [...alive.values()]) {
          if (process.role !== 'session' && process.dies !== 'stuck') end(process, status(0));
        }
        send({ type: 'stopper.finished', at: clock.now(), error: null });
      });
    },
    stopperLeft: (): void => void stopRun++,
    probe(): void {
      const run = ++probeRun;
      later(30, () => {
        if (run !== probeRun) return;
        const ok = (options.probes?.[probeCount++] ?? true) && booked !== null;
        send({ type: 'probe.finished', at: clock.now(), reason: ok ? null : 'no answer' });
      });
    },
    probeLeft: (): void => void probeRun++,
    /** The leader meets its end; its workers live on. */
    crash(): void {
      const leader = leading();
      if (leader !== null && leader.dies !== 'stuck') end(leader, killedBy('SIGKILL'));
    },
    handOver(): void {
      const leader = leading();
      if (leader === null || leader.dies === 'stuck') return;
      begin('leads', leader.dies);
      end(leader, status(0));
    },
    idOfLeader: () => booked?.leader ?? null,
  };
}
