/**
 * All simple paths of the command machine, each lived by a real actor: every order of events in which no situation comes
 * twice. A ledger beside the machine, which knows nothing but the events, says what must hold after each of them.
 */
import { describe, expect, test } from 'vitest';
import { IGNORED } from '../../machines/command.ts';
import type { Leader } from '../../machines/events.ts';
import { EXACT, killedBy, left, NOTHING, pathOf, process, status } from './harness.ts';
import {
  type AnyEvent,
  ENTRANTS,
  type Entrant,
  initial,
  nowOf,
  replay,
  type State,
  timersOf,
  transition,
} from './on-paper.ts';

interface Scope {
  readonly orders: readonly (
    | 'command.start'
    | 'command.stop'
    | 'command.restart'
    | 'command.kill'
    | 'schedule.due'
  )[];
  /** More failures than these are one situation. */
  readonly failures: number;
  /** There are more paths and launches than these; 500 where it does not say. */
  readonly least?: number;
}
const SCOPES: Record<string, Scope> = {
  'by default': { orders: ['command.start', 'command.stop'], failures: 2 },
  'with an own stop command, adopted': { orders: ['command.start', 'command.stop'], failures: 0 },
  'that gives up': {
    orders: ['command.start', 'command.stop', 'command.restart', 'command.kill'],
    failures: 1,
  },
  'that runs once, with a retry': { orders: ['command.start', 'command.stop'], failures: 2 },
  'of a schedule, that skips': { orders: ['command.stop', 'command.start', 'schedule.due'], failures: 1 },
  'of a schedule, that queues': { orders: ['command.stop', 'command.start', 'schedule.due'], failures: 1 },
  'of a schedule, that kills': { orders: ['command.stop', 'schedule.due'], failures: 0, least: 50 },
  'with readiness': { orders: [], failures: 1, least: 200 },
  'with health, restarted': { orders: ['command.stop'], failures: 3 },
  'never restarted': { orders: ['command.start', 'command.stop'], failures: 1, least: 200 },
  'restarted on failure': { orders: ['command.start', 'command.stop'], failures: 1 },
  'with signals in steps': { orders: ['command.restart'], failures: 1 },
  'in a group, that waits for others': { orders: ['command.stop'], failures: 2 },
};

/** Where it is, what is wished, and how many failures there were. */
function situationOf({ value, context }: State, { failures }: Scope): string {
  const path = pathOf(value);
  const { desired, stop, held, queued } = context;
  if (path.startsWith('stop')) return `${path} ${desired} ${stop.step} ${stop.killed}`;
  return `${path} ${Math.min(context.failures, failures)} ${held} ${queued}`;
}

/** The world's own knowledge: who really lives, and what is wished. */
interface World {
  readonly leader: Leader | null;
  readonly wished: boolean;
  /** It has been released, and taken back by its group, since it last asked for that. */
  readonly released: boolean;
  readonly joined: boolean;
}

function worldAfter(world: World, event: AnyEvent): World {
  switch (event.type) {
    case 'command.stop':
      return { ...world, wished: false };
    case 'command.start':
    case 'command.restart':
      return { ...world, wished: true };
    case 'command.release':
      return { ...world, released: true };
    case 'command.rejoin':
      return { ...world, joined: true };
    case 'launcher.started':
      return { ...world, leader: { ...process(event.pid), startTicks: event.startTicks } };
    case 'leader.seen':
      return { ...world, leader: event.leader };
    case 'leader.exited':
      return { ...world, leader: event.heir };
    case 'lineage.counted':
      return { ...world, leader: null };
    case 'xstate.after.budget.command.stopping':
      // What SIGKILL could not end is given up, and nothing is started beside it.
      return { ...world, leader: null, wished: false };
    default:
      return world;
  }
}

/** What can happen there, and what an operator may order. */
function eventsOf(state: State, { leader }: World, { orders }: Scope): AnyEvent[] {
  const { policy, role } = state.context;
  const at = nowOf(state.context) + 10;
  const path = pathOf(state.value);
  const events: AnyEvent[] = orders.map((type) => ({ type, at, budget: 9_000, everything: false }));
  const born = (pid: number): Leader => ({ ...process(pid, at), startTicks: at });
  if (path === 'restarting.launching') {
    events.push({ type: 'launcher.started', at, pid: 7, startTicks: at });
    events.push({ type: 'launch.failed', at, error: 'ENOENT', blame: 'command' });
  }
  if (path === 'restarting.lingering') events.push({ type: 'leader.seen', at, leader: born(9) });
  if (leader !== null) {
    const exited = { type: 'leader.exited', at, id: leader, heir: null, remains: NOTHING } as const;
    events.push({ ...exited, exit: status(1) });
    if (path.startsWith('restarting.settling')) {
      events.push({ ...exited, exit: status(0) });
      events.push({ ...exited, exit: status(0), heir: born(8), remains: left({ tagged: 1 }) });
    }
    if (path.startsWith('running')) {
      if (policy.kind !== 'service' || policy.restart !== 'always') {
        events.push({ ...exited, exit: status(0) });
      }
      const remains = left({ workers: 1, tagged: 1 });
      events.push({ ...exited, at: at + 20_000, exit: killedBy('SIGKILL'), remains });
    }
  }
  if (/clearing|stopping/.test(path)) events.push({ type: 'lineage.counted', at, remains: NOTHING });
  if (path === 'stopping.asking') events.push({ type: 'stopper.finished', at, error: null });
  if (path.endsWith('.probing')) {
    events.push(
      { type: 'probe.finished', at, reason: null },
      { type: 'probe.finished', at, reason: 'refused' },
    );
  }
  if (path === 'waiting') events.push({ type: 'command.release', at });
  if (role.grouped) events.push({ type: 'command.rejoin', at });
  return [...events, ...timersOf(state)];
}

interface Step {
  readonly event: AnyEvent;
  readonly state: State;
  readonly world: World;
}

/** Every simple path that cannot be made longer. */
function* simplePaths(
  from: Omit<Step, 'event'>,
  scope: Scope,
  before: readonly string[] = [],
): Generator<Step[]> {
  const visited = [...before, situationOf(from.state, scope)];
  let end = true;
  for (const event of eventsOf(from.state, from.world, scope)) {
    const to = { event, state: transition(from.state, event), world: worldAfter(from.world, event) };
    if (visited.includes(situationOf(to.state, scope))) continue;
    end = false;
    for (const rest of simplePaths(to, scope, visited)) yield [to, ...rest];
  }
  if (end) yield [];
}

const isOrder = ({ type }: AnyEvent): boolean =>
  ['command.start', 'command.restart', 'command.stop', 'schedule.due'].includes(type);

/** What kind of command is ever seen in which state. */
function canBeIn(leaf: string, { policy, role }: Entrant): boolean {
  const { kind = 'service', restart = 'always', giveUpAfter, ownStop, ready, health, returns } = policy;
  switch (leaf) {
    case 'failed.ended':
      return kind !== 'cron' && (giveUpAfter !== undefined || restart === 'never');
    case 'completed.done':
      return kind === 'oneshot' || (kind === 'service' && restart !== 'always');
    case 'scheduled':
      return kind === 'cron';
    case 'waiting':
      return role !== undefined;
    case 'stopping.asking':
      return ownStop ?? false;
    case 'restarting.lingering':
      return kind === 'service';
    case 'restarting.settling.patient':
      return ready === undefined || returns === true;
    case 'restarting.settling.probing':
    case 'restarting.settling.pausing':
      return ready !== undefined && !returns;
    case 'running.starting.probing':
    case 'running.starting.pausing':
      return ready !== undefined;
    // Nobody says so here.
    case 'running.ending':
      return false;
    case 'running.ready.unchecked':
      return health === undefined;
    case 'running.ready.pausing':
    case 'running.ready.probing':
      return health !== undefined;
    case 'backoff':
      return giveUpAfter !== 1 && restart !== 'never';
    default:
      return true;
  }
}

/** Minutes, of nothing but the machine and XState: what that Node does, every other does. null: it is to be done here. */
const onceOnly =
  globalThis.process.env.UPKEEP_TEST_NODE === undefined ? null : '(done once, by npm test, on its Node)';

describe.each(Object.keys(SCOPES))('a command %s', (name) => {
  test.skipIf(onceOnly)(
    `keeps its promises on every simple path ${onceOnly ?? ''}`,
    { timeout: 900_000 },
    () => {
      const entrant = ENTRANTS[name]!;
      const world: World = { leader: entrant.found, wished: true, released: false, joined: true };
      const start = { state: initial(entrant), world };
      const situations = new Set([pathOf(start.state.value)]);
      let paths = 0;
      let launches = 0;
      for (const steps of simplePaths(start, SCOPES[name]!)) {
        paths++;
        const events = steps.map(({ event }) => event);
        let wait = { failures: 0, ms: 0, until: 0 };
        replay(entrant, events, ({ actor, clock }, index, asked) => {
          const { event, state: paper, world } = steps[index]!;
          const before = index === 0 ? start.world : steps[index - 1]!.world;
          const { value, context } = actor.getSnapshot();
          const state = pathOf(value);
          const must = (held: boolean, what: string): void => {
            if (!held) expect.fail(`${what}: ${state} after ${JSON.stringify(events.slice(0, index + 1))}`);
          };

          must(state === pathOf(paper.value), `it is ${pathOf(paper.value)} on paper`);
          must(event.type !== 'launcher.started' || before.leader === null, 'never two leaders');
          if (isOrder(event)) wait = { failures: 0, ms: 0, until: 0 };
          if (asked.some(({ effect }) => effect === 'launch')) {
            launches++;
            must(world.leader === null, 'nothing is launched while its leader lives');
            must(world.wished, 'nothing is launched against the wish');
            must(!context.bound && !context.held, 'nothing is launched before its release');
            must(event.type !== 'schedule.due' || before.leader === null, 'no run is started beside another');
            must(clock.now() >= wait.until, 'nothing is launched before its wait is over');
          }
          if (state === 'backoff' && context.failures > wait.failures) {
            must(context.wait > wait.ms && context.wait <= EXACT.backoff.max, 'waits grow and are bounded');
            wait = { failures: context.failures, ms: context.wait, until: clock.now() + context.wait };
          }
          must(!state.startsWith('running') || world.leader !== null, 'what runs has a leader');
          must(world.wished || /^stop/.test(state), 'what is wished down is down, or on its way');
          must(state !== 'stopped' || (!world.wished && world.leader === null), 'stopped is stopped');
          situations.add(state);
        });
      }
      expect(paths).toBeGreaterThan(SCOPES[name]!.least ?? 500);
      expect(launches).toBeGreaterThan(
        entrant.policy.restart === 'never' ? -1 : (SCOPES[name]!.least ?? 500),
      );
      expect([...situations].sort()).toEqual(
        Object.keys(IGNORED)
          .filter((leaf) => canBeIn(leaf, entrant))
          .sort(),
      );
    },
  );
});
