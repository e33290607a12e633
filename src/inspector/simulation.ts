/** Runs a policy on virtual time, in a world that goes as a script says. The machines are the real ones. */

import type { Telling, Told } from '../../machines/events.ts';
import type { SupervisorInput } from '../../machines/supervisor.ts';
import { commandsOf } from '../../machines/tree.ts';
import type { Inside } from '../control/inside.ts';
import { exitCodeOf } from '../exit-code.ts';
import { createStates } from '../inside.ts';
import type { Entry } from '../output/journal.ts';
import { createJournal, type Happening, type Journal } from '../output/journal.ts';
import type { diffPolicies } from '../policy/diff.ts';
import { extrasOf } from '../policy/extras.ts';
import type { RunOptions } from '../policy/options.ts';
import { planOf, toldDifference } from '../policy/plan.ts';
import type { nextRun } from '../policy/schedule.ts';
import type { Policy } from '../policy/spec.ts';
import { createVirtualClock } from './clock.ts';
import type { Recorder } from './record.ts';
import { createRoot, type Root } from './root.ts';
import type { Scheduled, Script } from './script.ts';
import { insideOf } from './view.ts';
import { createWorld } from './world.ts';

export interface SimulationOptions {
  readonly policy: Policy;
  readonly script: Script;
  /** ms of virtual time. */
  readonly until: number;
  readonly run: Pick<RunOptions, 'grace' | 'exitOnFailed'>;
  readonly version: string;
  /** Reads another policy, or says what is wrong with it. */
  readonly readPolicy: (path: string) => { readonly policy: Policy } | { readonly error: string };
  readonly diffPolicies: typeof diffPolicies;
  readonly nextRun: typeof nextRun;
  readonly onEntry: (entry: Entry) => void;
  /** Told when the root is there, and before it starts. */
  readonly recorder?: (now: () => number) => Recorder;
  /** Entries after which it ends. */
  readonly most: number;
}

export interface SimulationEnd {
  /** ms of virtual time. */
  readonly at: number;
  /** What the container has exited with; null: it goes on. */
  readonly code: number | null;
  /** It has ended before its time: more has happened than may. */
  readonly isLimited: boolean;
  /** Events of the script that have not come about: it was over before. Of what happens again and again, all but the first. */
  readonly left: readonly Scheduled[];
  readonly inside: Inside;
  readonly recorder: Recorder | null;
}

/** Takes no time but that of the machine; the same each time. */
export function simulate(options: SimulationOptions): SimulationEnd {
  const { script, until, readPolicy, most, onEntry } = options;
  let { policy } = options;
  let plan = planOf(policy, options.run);
  const clock = createVirtualClock();
  const { now } = clock;
  const timeOf = (at: number): number => script.begins + at;
  const specs = new Map(policy.commands.map((spec) => [spec.name, spec]));
  const plans = new Map(plan.groups.flatMap(commandsOf).map((each) => [each.name, each]));
  const random = createRandom(script.seed);
  let count = 0;
  let isOver = false;

  const kept = createJournal({ wallClock: () => timeOf(now()) });
  const journal: Journal = {
    ...kept,
    note(what) {
      kept.note(what);
      count++;
      onEntry(kept.since(kept.last() - 1).entries[0]!);
    },
  };
  const states = createStates(journal, now);
  const recorder = options.recorder?.(now) ?? null;
  const tell = (what: Happening): void => {
    journal.note(what);
    if (what.type !== 'command.transition') recorder?.told(what);
  };
  const notice = (command: string | null, message: string): void =>
    tell({ type: 'upkeep.notice', at: now(), command, level: 'warn', message });

  const world = createWorld({
    clock,
    behaviourOf: (command) => script.commands.get(command),
    planOf: (command) => plans.get(command)!,
    delayOf(command) {
      const ready = specs.get(command)?.policy?.ready;
      return ready?.kind === 'delay' ? ready.ms : null;
    },
    nextRun(command) {
      const spec = specs.get(command);
      const schedule = spec === undefined ? null : extrasOf(spec).schedule;
      if (schedule === null) return null;
      const next = options.nextRun(schedule, timeOf(now()), random);
      return next === null ? null : next - timeOf(now());
    },
  });

  const input: SupervisorInput = { ...plan, seed: script.seed };
  const root: Root = createRoot(
    { ...world.ports, tell: (telling: Telling) => tell({ at: now(), ...telling } as Told) },
    { input },
    clock as never,
    states.inspect,
  );
  recorder?.attach(root, input);
  root.subscribe({
    complete() {
      isOver = true;
    },
  });
  root.start();
  world.begin([...specs.keys()]);
  const left = new Set(script.events);
  for (const event of script.events) plant(event, () => left.delete(event));
  while (!isOver && count < most && clock.step(until)) {
    // All that there is to be done is done by the timers.
  }

  function plant(event: Scheduled, onBegun: () => void = () => {}): void {
    clock.setTimeout(
      () => {
        onBegun();
        perform(event);
        if (event.every !== null) plant({ ...event, at: now() + event.every });
      },
      Math.max(0, event.at - now()),
    );
  }

  function perform(event: Scheduled): void {
    switch (event.act) {
      case 'dies':
        world.dies(event.command, event.exit);
        break;
      case 'hangs':
        world.hangs(event.command);
        break;
      case 'unhealthy':
      case 'healthy':
        world.becomes(event.command, event.act === 'healthy');
        break;
      case 'start':
      case 'restart':
      case 'stop':
      case 'reloads': {
        const { command } = event;
        const order = event.act === 'reloads' ? 'reload' : event.act;
        tell({ type: 'operator.ordered', at: now(), order, commands: [command] });
        const at = now();
        root.send({
          type: 'command.ordered',
          command,
          order:
            order === 'stop'
              ? { type: 'command.stop', at, budget: plan.grace, everything: false }
              : { type: `command.${order}`, at },
        });
        break;
      }
      case 'reload':
        reload(event.policy);
        break;
      case 'shutdown':
        root.send({ type: 'shutdown.ordered', at: now(), reason: event.reason });
    }
  }

  function reload(path: string): void {
    const found = readPolicy(path);
    if ('error' in found) {
      notice(null, found.error);
      return;
    }
    const diff = toldDifference(options.diffPolicies(policy, found.policy));
    policy = found.policy;
    plan = planOf(policy, options.run);
    // Those that leave are stopped by what they were.
    for (const spec of policy.commands) specs.set(spec.name, spec);
    for (const each of plan.groups.flatMap(commandsOf)) plans.set(each.name, each);
    root.send({ type: 'policy.changed', at: now(), plan, diff, found: world.leaders() });
  }

  const { output } = root.getSnapshot();
  return {
    at: now(),
    code: isOver && output !== undefined ? exitCodeOf(output) : null,
    isLimited: count >= most && !isOver,
    left: [...left],
    inside: insideOf({
      root,
      states,
      journal: kept,
      crashesOf: () => [],
      version: options.version,
      now,
      timeOf,
    }),
    recorder,
  };
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 4_294_967_296;
  };
}
