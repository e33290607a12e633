/** Every edge of the command machine that a small set of concrete events can reach, the stale ones included. */
import { describe, expect, test } from 'vitest';
import type { ActorLogic, EventObject } from 'xstate';
import { adjacencyMapToArray, getAdjacencyMap, getShortestPaths } from 'xstate/graph';
import { IGNORED } from '../../machines/command.ts';
import type { CommandEvent, CommandReached, Leader, Remains } from '../../machines/events.ts';
import { isTooHot } from '../../machines/restart-policy.ts';
import { EXACT, killedBy, left, NOTHING, pathOf, process, status } from './harness.ts';
import {
  type AnyEvent,
  type Effects,
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

const seenByAny = new Set<string>();
const MAX_WAIT = EXACT.backoff.max;

function eventsOf(state: State): AnyEvent[] {
  const { leader, starts, policy, role } = state.context;
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
    { type: 'leader.named', at, leader: { ...process(5, at), startTicks: 50 + starts } },
    { type: 'status.told', at, status: 'loading' },
    { type: 'end.announced', at },
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
    { type: 'probe.finished', at, reason: null },
    { type: 'probe.finished', at, reason: 'refused' },
    { type: 'schedule.planned', at, wait: 60_000 },
    { type: 'schedule.due', at },
    { type: 'command.release', at },
    { type: 'command.rejoin', at },
    { type: 'command.reload', at },
    { type: 'command.adjust', at, policy, role },
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
  must(!isAlive(after) || context.desired === 'up', 'only what is wished up lives');
  must(!after.startsWith('running') || context.leader !== null, 'a running command has a leader');
  must(
    !/^(missing|backoff|waiting|stopped|completed|scheduled|failed)/.test(after) || context.leader === null,
    'nobody leads there',
  );
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
  must(!isFinal(before) || event.type.startsWith('command.') || after === before, 'what rests stays');
  must(
    before !== 'scheduled' ||
      event.type.startsWith('command.') ||
      event.type === 'schedule.due' ||
      after === before,
    'between two runs nothing starts it but its schedule',
  );

  if (effects.launch) {
    must(after === 'restarting.launching' && context.leader === null, 'nobody leads when one is launched');
    must(!context.bound && !context.held, 'what is bound or held is not started');
    must(
      !context.doomed && !isTooHot(context.policy.intensity, context.heat),
      'what has given up is not started',
    );
    const { leader } = from.context;
    const nobodyLeft = 'remains' in event && event.remains.tagged === 0 && before.startsWith('stopping.');
    const itsEnd =
      event.type === 'leader.exited' &&
      (event.heir === null || context.policy.kind !== 'service') &&
      event.id.startTicks === leader?.startTicks;
    const launcherLeft = before === 'restarting.lingering' && event.type.startsWith('xstate.after.linger');
    must(leader === null || nobodyLeft || itsEnd || launcherLeft, 'the leader before is gone');
    must(!before.startsWith('stopping.') || nobodyLeft, 'a stop is not cut short');
    must(event.type !== 'schedule.due' || before === 'scheduled', 'a run begins where none goes on');
  }
  must(effects.signals.length === 0 || /^(missing\.clearing|stopping)/.test(after), 'signals end something');
  for (const { scope, signal } of effects.signals) {
    must(scope !== 'everything' || context.stop.everything, 'sessions are kept');
    must(after.startsWith('stopping.') || scope === context.clear, 'only what is to be cleared is signalled');
    const { stopSignals } = context.policy;
    must(
      after !== 'stopping.terminating' || signal === stopSignals[context.stop.step]?.signal,
      'a stop sends what its step says',
    );
    must(after !== 'stopping.killing' || signal === 'SIGKILL', 'then SIGKILL follows');
  }
  if (before.startsWith('stopping.') && after.startsWith('stopping.')) {
    const further = context.stop.step - from.context.stop.step;
    must(
      further === 0 || (further === 1 && event.type.startsWith('xstate.after.nextSignal')),
      'one step after the other',
    );
    must(before !== 'stopping.killing' || after === before, 'nothing comes after SIGKILL');
  }
  must(
    effects.delays.every((delay) => Number.isFinite(delay) && delay >= 0 && delay < 2 ** 31),
    'finite waits',
  );
  must(effects.rested === (isAtRest(after) && before !== after ? 1 : 0), 'rest is reported, once');
  checkProbes(to, after, effects, must);
  checkReached([before, after], event, context, effects, must);
  must(context.wait >= 0 && context.wait <= MAX_WAIT, 'the wait is within bounds');
  const { intensity } = context.policy;
  must(
    context.heat.restarts <= (intensity === null ? 0 : intensity.restarts + 1.25),
    'who is too hot is not made hotter',
  );
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
    if (!/^stopped$|^scheduled$|^failed|^waiting|^backoff|^restarting/.test(after) || before === after) {
      expect(context, `a stranger's end in ${before}`).toEqual(expected);
    }
  }
}

const isAlive = (path: string): boolean => /^(running|restarting)/.test(path);
const isFinal = (path: string): boolean => path === 'completed.done' || path === 'failed.ended';
const isAtRest = (path: string): boolean => path === 'stopped' || isFinal(path);

type Must = (held: boolean, what: string) => void;

/** Whoever probes does so once at a time, and nobody else does. */
function checkProbes(to: State, after: string, { probes }: Effects, must: Must): void {
  const running = Object.values(to.children).filter((child) => (child as { src?: unknown })?.src === 'probe');
  must(running.length === (after.endsWith('.probing') ? 1 : 0), 'it probes where it is said to');
  must(probes <= 1, 'one probe at a time');
}

/** Others hear when it is there, and when it is not any more. */
function checkReached(
  [before, after]: readonly [string, string],
  event: AnyEvent,
  { role, held }: State['context'],
  { reached, rested }: Effects,
  must: Must,
): void {
  const told = (...what: CommandReached['what'][]): number =>
    reached.filter((each) => what.includes(each)).length;
  must(told('waiting') === 0 || (after === 'waiting' && !held), 'who asks for a release waits for it');
  must(
    before === 'waiting' || after !== 'waiting' || told('waiting') === (held ? 0 : 1),
    'who waits for others says so',
  );
  if (!role.watched) {
    must(reached.length === told('waiting'), 'nobody is told of what nobody cares for');
    return;
  }
  // By another policy it may be others who care: it tells them how far it has come.
  const anew = event.type === 'command.adjust';
  const [was, is] = [before.startsWith('running'), after.startsWith('running')];
  must(anew || told('started') === (!was && is ? 1 : 0), 'its start is told, once');
  must(
    anew ||
      told('ready') === (!before.startsWith('running.ready') && after.startsWith('running.ready') ? 1 : 0),
    'that it is ready is told, once',
  );
  if (was && !is) must(told('died', 'fallen', 'halted') + rested >= 1, 'its loss is told');
  must(told('died') + told('fallen') + told('halted') <= 1, 'its loss is told once');
  must(told('died') === 0 || was, 'only what was running dies');
}

describe.each(Object.keys(ENTRANTS))('a command %s', (name) => {
  const graph = explore(ENTRANTS[name]!);
  const { policy } = ENTRANTS[name]!;

  test('holds its invariants on every edge', { timeout: 300_000 }, () => {
    const edges = graph.edges();
    const waits = new Map<number, Set<number>>();
    for (const { state, event } of edges) check(state, event as AnyEvent, waits);
    // Each number of failures has one wait, and more failures never have a shorter one.
    const byFailures = [...waits].sort(([a], [b]) => a - b).map(([, each]) => [...each]);
    expect(byFailures.map((each) => each.length)).toEqual(byFailures.map(() => 1));
    expect(byFailures.flat()).toEqual(byFailures.flat().sort((a, b) => a - b));

    const seen = new Set(edges.map(({ state }) => pathOf(state.value)));
    for (const leaf of seen) seenByAny.add(leaf);
    const has = (path: string): boolean => [...seen].some((leaf) => leaf.startsWith(path));
    expect(has('running.ready') && has('stopped') && has('backoff')).toBe(true);
    const { kind = 'service', restart = 'always' } = policy;
    const limited =
      policy.giveUpAfter !== undefined ||
      policy.intensity !== undefined ||
      policy.health?.onUnhealthy === 'fail' ||
      restart === 'never';
    expect(has('failed')).toBe(kind !== 'cron' && limited);
    expect(has('completed')).toBe(kind === 'oneshot' || (kind === 'service' && restart !== 'always'));
    expect(has('scheduled')).toBe(kind === 'cron');
    expect(has('stopping.asking')).toBe(policy.ownStop ?? false);
    expect(has('running.starting')).toBe(policy.ready !== undefined);
    expect(has('running.ready.probing')).toBe(policy.health !== undefined);
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

test('such events lead into every state', () => {
  expect([...seenByAny].filter((leaf) => leaf in IGNORED).sort()).toEqual(Object.keys(IGNORED).sort());
});
