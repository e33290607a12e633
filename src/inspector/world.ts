/** Processes that are nothing but entries in a table, on virtual time: what the machines ask for turns out as a script says. */
import { Subject } from 'rxjs';
import { type EventObject, fromCallback } from 'xstate';
import type {
  CommandFact,
  CommandPlan,
  Exit,
  Leader,
  ProcessId,
  Remains,
  ScanReport,
} from '../../machines/events.ts';
import { scanActor } from '../actors/scan.ts';
import type { VirtualClock } from './clock.ts';
import type { Ports } from './root.ts';
import { type Behaviour, type Start, USUAL_BEHAVIOUR } from './script.ts';

export interface WorldOptions {
  readonly clock: VirtualClock;
  readonly behaviourOf: (command: string) => Behaviour | undefined;
  /** As the policy has it now. */
  readonly planOf: (command: string) => CommandPlan;
  /** ms that a readiness probe which only waits takes; null: it does something else. */
  readonly delayOf: (command: string) => number | null;
  /** The next time of the command's schedule, ms from now; null: there is none. */
  readonly nextRun: (command: string) => number | null;
}

export interface World {
  readonly ports: Omit<Ports, 'tell'>;
  /** The table is read for the first time. */
  readonly begin: (commands: readonly string[]) => void;
  readonly dies: (command: string, exit: Exit) => void;
  /** It does nothing any more, not even end. */
  readonly hangs: (command: string) => void;
  readonly becomes: (command: string, healthy: boolean) => void;
  readonly leaders: () => Record<string, Leader>;
}

/** A run of a command. */
interface Run {
  readonly command: string;
  readonly start: Start;
  readonly launched: number;
  leader: Leader;
  hangs: boolean;
  /** What probes say, where somebody has said it; null: as the start does. */
  healthy: boolean | null;
  isEnding: boolean;
}

/** How soon the kernel's news are there, ms. */
const NEWS = 1;
/** When the launcher of a service that puts itself in the background leaves, ms. */
const BACKGROUND = 300;
/** What something that ends takes, ms. */
const ERRAND = 1_000;

const ended = (code: number): Exit => ({ known: true, code, signal: null, core: false });
const killed = (signal: string): Exit => ({ known: true, code: null, signal, core: false });
const idOf = ({ pid, startTicks }: ProcessId): ProcessId => ({ pid, startTicks });

export function createWorld({ clock, planOf, delayOf, nextRun, ...options }: WorldOptions): World {
  const { now } = clock;
  const reports = new Subject<ScanReport>();
  const runs = new Map<string, Run>();
  const started = new Map<string, number>();
  let lastPid = 100;

  const behaviourOf = (command: string): Behaviour => options.behaviourOf(command) ?? USUAL_BEHAVIOUR;
  const remains = (command: string): Remains => ({
    workers: 0,
    tagged: runs.has(command) ? 1 : 0,
    sessions: 0,
  });
  const report = (command: string, fact: CommandFact): void =>
    reports.next({ type: 'scan.changed', at: now(), facts: [{ command, fact }] });

  /** How the next start turns out. */
  function nextStart(command: string): Start {
    const { starts, cycle } = behaviourOf(command);
    const count = started.get(command) ?? 0;
    started.set(command, count + 1);
    const all = starts.reduce((sum, { times }) => sum + times, 0);
    let left = cycle ? count % all : count;
    for (const start of starts) {
      if (left < start.times) return start;
      left -= start.times;
    }
    return starts.at(-1)!;
  }

  function create(command: string, rule: Leader['rule']): Leader {
    const pid = ++lastPid;
    return { pid, startTicks: pid, name: command, rule, since: now() };
  }

  function end(run: Run, exit: Exit, heir: Leader | null = null): void {
    if (runs.get(run.command) !== run) return;
    const { leader } = run;
    if (heir === null) runs.delete(run.command);
    else run.leader = heir;
    const { command } = run;
    report(command, {
      type: 'leader.exited',
      at: now(),
      id: idOf(leader),
      exit,
      heir,
      remains: remains(command),
    });
  }

  /** Who hangs does not end by itself. */
  function later(run: Run, ms: number, exit: Exit): void {
    clock.setTimeout(
      () => {
        if (!run.hangs) end(run, exit);
      },
      Math.max(NEWS, ms),
    );
  }

  function begin(command: string, start: Start, leader: Leader): Run {
    const run: Run = {
      command,
      start,
      launched: now(),
      leader,
      hangs: false,
      healthy: null,
      isEnding: false,
    };
    runs.set(command, run);
    const { policy } = planOf(command);
    const isService = policy.kind === 'service';
    const lives = start.lives ?? (isService && start.exit === null ? false : isService ? 0 : ERRAND);
    if (lives !== false) {
      const exit = start.exit ?? ended(isService ? 1 : 0);
      later(run, lives, exit);
    }
    return run;
  }

  function launch(command: string, answer: (event: CommandFact) => void): void {
    const start = nextStart(command);
    if (start.error !== null) {
      answer({ type: 'launch.failed', at: now(), error: start.error, blame: 'command' });
      return;
    }
    const run = begin(command, start, create(command, 'launcher'));
    const { policy } = planOf(command);
    const background = start.background ?? (policy.returns && policy.kind === 'service' ? BACKGROUND : false);
    if (background !== false) {
      clock.setTimeout(
        () => {
          if (!run.hangs && runs.get(command) === run) end(run, ended(0), create(command, 'tag'));
        },
        Math.max(NEWS, background),
      );
    }
    answer({ type: 'launcher.started', at: now(), ...idOf(run.leader) });
  }

  function signal(command: string, name: string): void {
    const run = runs.get(command);
    const { deaf, stopTakes } = behaviourOf(command);
    if (run !== undefined && name === 'SIGKILL') clock.setTimeout(() => end(run, killed(name)), NEWS);
    else if (run !== undefined && !deaf && !run.hangs && !run.isEnding) {
      run.isEnding = true;
      later(run, stopTakes, killed(name));
    }
    clock.setTimeout(() => {
      report(command, { type: 'lineage.counted', at: now(), remains: remains(command) });
    }, NEWS);
  }

  /** Why a probe has failed; null: it has not. */
  function findingOf(command: string, which: 'ready' | 'health'): string | null {
    const run = runs.get(command);
    if (run === undefined) return 'nothing runs';
    if (run.hangs) return 'no answer in time';
    const age = now() - run.launched;
    if (which === 'ready') {
      const ready = run.start.ready ?? 0;
      return ready !== false && age >= ready ? null : 'not ready yet';
    }
    const healthy = run.healthy ?? (run.start.unhealthy === null || age < run.start.unhealthy);
    return healthy ? null : 'made so by the script';
  }

  function probe(
    command: string,
    which: 'ready' | 'health',
    answer: (event: CommandFact) => void,
  ): () => void {
    const { health } = planOf(command).policy;
    const usual = (which === 'ready' ? delayOf(command) : null) ?? behaviourOf(command).probeTakes;
    const takes = runs.get(command)?.hangs && which === 'health' ? (health?.timeout ?? usual) : usual;
    const timer = clock.setTimeout(
      () => answer({ type: 'probe.finished', at: now(), reason: findingOf(command, which) }),
      Math.max(NEWS, takes),
    );
    return () => clock.clearTimeout(timer);
  }

  function stopper(command: string, answer: (event: CommandFact) => void): () => void {
    const timer = clock.setTimeout(
      () => {
        const run = runs.get(command);
        if (run !== undefined && !run.hangs) end(run, ended(0));
        answer({ type: 'stopper.finished', at: now(), error: null });
      },
      Math.max(NEWS, behaviourOf(command).ownStopTakes),
    );
    return () => clock.clearTimeout(timer);
  }

  function schedule(command: string, answer: (event: CommandFact) => void): () => void {
    let timer: ReturnType<VirtualClock['setTimeout']> | null = null;
    const plan = (): void => {
      const wait = nextRun(command);
      if (wait === null) return;
      answer({ type: 'schedule.planned', at: now(), wait });
      timer = clock.setTimeout(
        () => {
          answer({ type: 'schedule.due', at: now() });
          plan();
        },
        Math.max(NEWS, wait),
      );
    };
    plan();
    return () => {
      if (timer !== null) clock.clearTimeout(timer);
    };
  }

  type Answering<T> = (
    command: string,
    answer: (event: CommandFact) => void,
    input: T,
  ) => (() => void) | undefined;
  const port = <T extends { command: string }>(run: Answering<T>) =>
    fromCallback<EventObject, T>(({ input, sendBack }) => run(input.command, sendBack, input));
  const leaders = (): Record<string, Leader> =>
    Object.fromEntries([...runs].map(([command, { leader }]) => [command, leader]));

  return {
    ports: {
      launch: port((command, answer) => {
        launch(command, answer);
        return undefined;
      }),
      stopper: port(stopper),
      probe: port<{ command: string; which: 'ready' | 'health' }>((command, answer, { which }) =>
        probe(command, which, answer),
      ),
      schedule: port(schedule),
      scan: scanActor(reports),
      signal: (command, _scope, name) => signal(command, name),
      reload: () => {},
    },
    begin(commands) {
      for (const command of commands) {
        const { found, starts } = behaviourOf(command);
        if (found) begin(command, starts[0]!, create(command, 'tag'));
      }
      reports.next({ type: 'scan.began', at: now(), found: leaders() });
    },
    dies(command, exit) {
      const run = runs.get(command);
      if (run !== undefined) end(run, exit);
    },
    hangs(command) {
      const run = runs.get(command);
      if (run !== undefined) run.hangs = true;
    },
    becomes(command, healthy) {
      const run = runs.get(command);
      if (run !== undefined) run.healthy = healthy;
    },
    leaders,
  };
}
