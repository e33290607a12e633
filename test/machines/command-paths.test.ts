/** Every edge of the command machine that a small set of concrete events can reach, the stale ones included. */
import { describe, expect, test } from 'vitest';
import type { ActorLogic, EventObject } from 'xstate';
import { adjacencyMapToArray, getAdjacencyMap, getShortestPaths } from 'xstate/graph';
import type { CommandEvent, Leader, Remains } from '../../machines/events.ts';
import { EXACT, killedBy, left, NOTHING, pathOf, process, status } from './harness.ts';
import {
  type AnyEvent,
  ENTRANTS,
  type Entrant,
  initial,
  nowOf,
  replay,
  type State,
  serialize,
  step,
  timersOf,
  transition,
} from './on-paper.ts';

const MAX_WAIT = EXACT.backoff.max;

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

  test('does the same live as on paper, in every state and over every kind of edge', {
    timeout: 300_000,
  }, () => {
    const lived = new Set<string>();
    for (const { state: end, steps } of graph.paths()) {
      let from = initial(ENTRANTS[name]!);
      const way = steps.slice(1).map(({ event }) => {
        from = transition(from, event as AnyEvent);
        return { event: event as AnyEvent, to: from };
      });
      expect(serialize(from)).toBe(serialize(end as State));
      const idle: typeof way = [];
      const leading: typeof way = [];
      for (const event of eventsOf(from)) {
        const { to, effects } = step(from, event);
        const kind = [pathOf(from.value), event.type, pathOf(to.value), JSON.stringify(effects)].join(' ');
        if (serialize(to) === serialize(from) && effects.signals.length === 0) idle.push({ event, to });
        else if (!lived.has(kind)) leading.push({ event, to });
        lived.add(kind);
      }
      // What changes nothing can be lived one after the other.
      for (const tail of [idle, ...leading.map((edge) => [edge])]) {
        const path = [...way, ...tail];
        const events = path.map(({ event }) => event);
        replay(ENTRANTS[name]!, events, ({ actor }, index) => {
          const [live, paper] = [serialize(actor.getSnapshot()), serialize(path[index]!.to)];
          if (live !== paper) expect(live, JSON.stringify(events)).toBe(paper);
        });
      }
    }
    expect(lived.size).toBeGreaterThan(150);
  });
});
