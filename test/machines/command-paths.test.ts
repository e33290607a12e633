/** Every edge of the command machine that a small set of concrete events can reach, the stale ones included. */
import { describe, expect, test } from 'vitest';
import {
  type ActorLogic,
  type AnyActorRef,
  createActor,
  createEmptyActor,
  type EventObject,
  type ExecutableActionObject,
  type SnapshotFrom,
} from 'xstate';
import { adjacencyMapToArray, getAdjacencyMap, getShortestPaths } from 'xstate/graph';
import { commandMachine } from '../../machines/command.ts';
import type { CommandEvent, Leader, Remains } from '../../machines/events.ts';
import type { CommandPolicy } from '../../machines/restart-policy.ts';
import { EXACT, killedBy, left, NOTHING, pathOf, process, startCommand, status } from './harness.ts';

type State = SnapshotFrom<typeof commandMachine>;
type AnyEvent = CommandEvent | { readonly type: `xstate.after.${string}` };

interface Effects {
  readonly launch: boolean;
  readonly signals: readonly { readonly scope: string; readonly signal: string }[];
  readonly delays: readonly number[];
  readonly rested: number;
}

const MAX_WAIT = EXACT.backoff.max;
interface Entrant {
  readonly policy: Partial<CommandPolicy>;
  readonly found: Leader | null;
}
const ENTRANTS: Record<string, Entrant> = {
  'by default': { policy: {}, found: null },
  'with an own stop command, adopted': { policy: { ownStop: true }, found: process(6) },
  'that gives up': { policy: { giveUpAfter: 2 }, found: null },
};

/** The machine as pure logic: what it would have done is written down, and none of it is carried out. */
const done: ExecutableActionObject[] = [];
const parent: AnyActorRef = createEmptyActor();
const self = createActor(commandMachine, {
  input: { name: 'svc', policy: EXACT, seed: 1, found: null },
  parent,
});
const scope = {
  self,
  id: self.id,
  sessionId: self.sessionId,
  system: self.system,
  logger: () => {},
  defer: () => {},
  emit: () => {},
  stopChild: () => {},
  actionExecutor: (action: ExecutableActionObject) => void done.push(action),
} as unknown as Parameters<typeof commandMachine.transition>[2];

const transition = (state: State, event: AnyEvent): State =>
  commandMachine.transition(state, event as CommandEvent, scope) as State;

const initial = ({ policy, found }: Entrant): State =>
  commandMachine.getInitialSnapshot(scope, {
    name: 'svc',
    policy: { ...EXACT, ...policy },
    seed: 1,
    found,
  }) as State;

function step(from: State, event: AnyEvent): { to: State; effects: Effects } {
  done.length = 0;
  const to = transition(from, event);
  const paramsOf = (type: string) =>
    done.filter((action) => action.type === type).map((action) => action.params as never);
  return {
    to,
    effects: {
      launch: paramsOf('xstate.spawnChild').some(({ src }) => src === 'launch'),
      signals: paramsOf('signal'),
      delays: paramsOf('xstate.raise').map(({ delay }) => delay),
      rested: paramsOf('xstate.sendTo').length,
    },
  };
}

/** What can make a difference from here on; counters are bounded, times left out. */
function serialize({ value, context }: State): string {
  const { desired, leader, failures, refusals, wait, remains, clear, cleared, stop, policy } = context;
  const path = pathOf(value);
  const parts = [path, desired, leader === null ? 'nobody' : 'leader'];
  // A stop forgets the failures, and a run what had to be cleared.
  if (!path.startsWith('stop'))
    parts.push(`${Math.min(failures, 2)},${Math.min(refusals, 1)},${Math.sign(wait)}`);
  if (/^(missing|backoff|restarting)/.test(path)) parts.push(clear, String(cleared));
  if (path !== 'running') parts.push(`${remains.workers},${remains.tagged},${remains.sessions}`);
  return [...parts, stop.everything, policy.giveUpAfter].join(' ');
}

/** The last moment that the state knows of. */
const nowOf = ({ since, diedAt, stop }: State['context']): number =>
  Math.max(since, diedAt ?? since, stop.at);

/** The timers that can be next: those of a stop follow each other. */
function timersOf(state: State): AnyEvent[] {
  const path = pathOf(state.value);
  const next = { asking: 'askFor', terminating: 'killAfter', killing: 'budget' };
  return state._nodes
    .flatMap((node) => node.after.map(({ eventType }) => eventType))
    .filter((type) => {
      if (!path.startsWith('stopping.')) return true;
      return type.startsWith(`xstate.after.${next[path.split('.')[1] as keyof typeof next]}.`);
    })
    .map((type) => ({ type: type as `xstate.after.${string}` }));
}

function eventsOf(state: State): AnyEvent[] {
  const { leader, starts } = state.context;
  const at = nowOf(state.context) + 10;
  const later = at + 20_000;
  const [nothing, workers, tagged] = [NOTHING, left({ workers: 1, tagged: 1 }), left({ tagged: 1 })];
  const heir: Leader = { ...process(leader?.pid === 8 ? 9 : 8, at), startTicks: 80 + starts };
  const exited = (
    when: number,
    exit: ReturnType<typeof status>,
    remains: Remains,
    by: Leader | null,
    id = { pid: leader?.pid ?? 1, startTicks: leader?.startTicks ?? 1 },
  ): CommandEvent => ({ type: 'leader.exited', at: when, id, exit, heir: by, remains });
  return [
    { type: 'command.start', at },
    { type: 'command.restart', at },
    { type: 'command.stop', at, budget: 9_000, everything: false },
    { type: 'command.stop', at, budget: 9_000, everything: true },
    { type: 'command.kill', at },
    { type: 'launcher.started', at, pid: 7, startTicks: 70 + starts },
    { type: 'launch.failed', at, error: 'ENOENT', blame: 'command' },
    { type: 'launch.failed', at, error: 'EAGAIN', blame: 'system' },
    { type: 'leader.seen', at, leader: { ...process(9, at), startTicks: 90 + starts } },
    exited(at, status(0), nothing, null),
    exited(at, status(0), tagged, heir),
    exited(at, status(1), nothing, null),
    exited(at, status(1), workers, null),
    exited(at, status(1), tagged, null),
    exited(later, killedBy('SIGKILL'), nothing, null),
    exited(later, killedBy('SIGKILL'), workers, null),
    // Of another life.
    exited(at, status(0), nothing, null, { pid: 7, startTicks: 1 }),
    exited(at, status(0), tagged, heir, { pid: 3, startTicks: 70 + starts }),
    { type: 'lineage.counted', at, remains: nothing },
    { type: 'lineage.counted', at, remains: workers },
    { type: 'lineage.counted', at, remains: left({ sessions: 1 }) },
    { type: 'stopper.finished', at, error: null },
    { type: 'stopper.finished', at, error: 'status 1' },
    ...timersOf(state),
  ];
}

type GraphLogic = ActorLogic<State, AnyEvent & EventObject, undefined>;
function explore(entrant: Entrant) {
  const logic = {
    transition,
    getInitialSnapshot: () => initial(entrant),
    getPersistedSnapshot: (state: State) => state,
  } as unknown as GraphLogic;
  const options = {
    events: eventsOf as (state: State) => (AnyEvent & EventObject)[],
    serializeState: serialize,
    serializeEvent: (event: EventObject) => JSON.stringify(event),
    limit: 200_000,
  };
  return {
    edges: () => adjacencyMapToArray(getAdjacencyMap(logic, options)),
    paths: () => getShortestPaths(logic, options as never),
  };
}

const isOrder = (event: AnyEvent, ...types: CommandEvent['type'][]): boolean =>
  (types as string[]).includes(event.type);

/** What must be true of every edge; the message names the edge. */
function check(from: State, event: AnyEvent, waits: Map<number, Set<number>>): void {
  const { to, effects } = step(from, event);
  const [before, after] = [pathOf(from.value), pathOf(to.value)];
  const context = to.context;
  const must = (held: boolean, what: string): void => {
    if (!held) expect.fail(`${what}: ${serialize(from)} --${JSON.stringify(event)}--> ${serialize(to)}`);
  };

  must(to.status === 'active', 'it goes on');
  must(
    /^(running|restarting)/.test(after) === false || context.desired === 'up',
    'only what is wished up lives',
  );
  must((after === 'running') === false || context.leader !== null, 'a running command has a leader');
  must(!/^(missing|backoff|stopped|failed)/.test(after) || context.leader === null, 'nobody leads there');
  must(after !== 'stopped' || context.desired === 'down', 'stopped is as wished');
  must(
    from.context.desired === 'up' ||
      (context.desired === 'up') === isOrder(event, 'command.start', 'command.restart'),
    'only an order wishes up again',
  );
  must(
    before !== 'stopped' ||
      /^(stopped|stopping)/.test(after) ||
      isOrder(event, 'command.start', 'command.restart'),
    'stopped stays',
  );
  must(before !== 'failed' || event.type.startsWith('command.') || after === 'failed', 'failed stays');

  if (effects.launch) {
    must(after === 'restarting.launching' && context.leader === null, 'nobody leads when one is launched');
    const { leader } = from.context;
    const nobodyLeft = 'remains' in event && event.remains.tagged === 0 && before.startsWith('stopping.');
    const itsEnd =
      event.type === 'leader.exited' && event.heir === null && event.id.startTicks === leader?.startTicks;
    const launcherLeft = before === 'restarting.lingering' && event.type.startsWith('xstate.after.linger');
    must(leader === null || nobodyLeft || itsEnd || launcherLeft, 'the leader before is gone');
    must(!before.startsWith('stopping.') || nobodyLeft, 'a stop is not cut short');
  }
  must(effects.signals.length === 0 || /^(missing\.clearing|stopping)/.test(after), 'signals end something');
  for (const { scope } of effects.signals) {
    must(scope !== 'everything' || context.stop.everything, 'sessions are kept');
    must(after.startsWith('stopping.') || scope === context.clear, 'only what is to be cleared is signalled');
  }
  must(
    effects.delays.every((delay) => Number.isFinite(delay) && delay >= 0 && delay < 2 ** 31),
    'finite waits',
  );
  must(
    effects.rested === (/^(stopped|failed)$/.test(after) && before !== after ? 1 : 0),
    'rest is reported, once',
  );
  must(context.wait >= 0 && context.wait <= MAX_WAIT, 'the wait is within bounds');
  if (after === 'backoff') {
    must(context.wait >= 1, 'backoff waits');
    must(before === after || effects.delays.includes(context.wait), 'backoff waits as long as it says');
    must(context.refusals === 0 || context.wait >= 1_000, 'a refused launch waits a second');
    if (context.refusals === 0) {
      waits.set(context.failures, (waits.get(context.failures) ?? new Set()).add(context.wait));
    }
  }
  must(
    context.policy.giveUpAfter === null ||
      context.failures < context.policy.giveUpAfter ||
      /^(failed|missing\.clearing|stopping)/.test(after),
    'it gives up where the policy says',
  );
  if (event.type === 'leader.exited' && event.id.startTicks !== from.context.leader?.startTicks) {
    const expected = before.startsWith('stopping.')
      ? { ...from.context, remains: event.remains }
      : from.context;
    if (!/^stopped$|^restarting/.test(after) || before === after) {
      expect(context, `a stranger's end in ${before}`).toEqual(expected);
    }
  }
}

describe.each(Object.keys(ENTRANTS))('a command %s', (name) => {
  const graph = explore(ENTRANTS[name]!);

  test('holds its invariants on every edge', { timeout: 300_000 }, () => {
    const edges = graph.edges();
    const waits = new Map<number, Set<number>>();
    for (const { state, event } of edges) check(state, event as AnyEvent, waits);
    // Each number of failures has one wait, and more failures never have a shorter one.
    const byFailures = [...waits].sort(([a], [b]) => a - b).map(([, each]) => [...each]);
    expect(byFailures.map((each) => each.length)).toEqual(byFailures.map(() => 1));
    expect(byFailures.flat()).toEqual(byFailures.flat().sort((a, b) => a - b));

    const seen = new Set(edges.map(({ state }) => pathOf(state.value)));
    expect(seen.has('running') && seen.has('stopped') && seen.has('backoff')).toBe(true);
    expect(seen.has('failed')).toBe(ENTRANTS[name]!.policy.giveUpAfter !== undefined);
    expect(seen.has('stopping.asking')).toBe(ENTRANTS[name]!.policy.ownStop ?? false);
    expect(edges.length).toBeGreaterThan(1_000);
  });

  test('does the same live as on paper, on every path', { timeout: 300_000 }, () => {
    const { policy, found } = ENTRANTS[name]!;
    const paths = graph.paths().map(({ steps }) => ({
      events: steps.slice(1).map(({ event }) => event as AnyEvent),
      states: steps.slice(1).map(({ state }) => state),
    }));
    const keyOf = (events: readonly AnyEvent[]): string => JSON.stringify(events);
    const beginnings = new Set(paths.map(({ events }) => keyOf(events.slice(0, -1))));
    for (const { events, states } of paths.filter((path) => !beginnings.has(keyOf(path.events)))) {
      const h = startCommand({ policy, found });
      let fired: string[] = [];
      h.actor.system.inspect((inspected) => {
        if (inspected.type === '@xstate.event') fired.push(inspected.event.type);
      });
      for (const [index, event] of events.entries()) {
        if (event.type.startsWith('xstate.after.')) {
          // The timer itself, whatever else is due before it.
          do {
            expect(h.clock.pending(), `${event.type} is awaited`).toBeGreaterThan(0);
            fired = [];
            h.clock.step();
          } while (!fired.includes(event.type));
        } else h.send(event as CommandEvent);
        const live = serialize(h.actor.getSnapshot());
        if (live !== serialize(states[index]!)) expect(live, keyOf(events)).toBe(serialize(states[index]!));
      }
      h.stop();
    }
  });
});
