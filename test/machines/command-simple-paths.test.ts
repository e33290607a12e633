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
  initial,
  nowOf,
  replay,
  type State,
  timersOf,
  transition,
} from './on-paper.ts';

interface Scope {
  readonly orders: readonly ('command.start' | 'command.stop' | 'command.restart' | 'command.kill')[];
  /** More failures than these are one situation. */
  readonly failures: number;
}
const SCOPES: Record<keyof typeof ENTRANTS, Scope> = {
  'by default': { orders: ['command.start', 'command.stop'], failures: 2 },
  'with an own stop command, adopted': { orders: ['command.start', 'command.stop'], failures: 0 },
  'that gives up': {
    orders: ['command.start', 'command.stop', 'command.restart', 'command.kill'],
    failures: 1,
  },
};

/** Where it is, what is wished, and how many failures there were. */
function situationOf({ value, context }: State, { failures }: Scope): string {
  const path = pathOf(value);
  return path.startsWith('stop')
    ? `${path} ${context.desired}`
    : `${path} ${Math.min(context.failures, failures)}`;
}

/** The world's own knowledge: who really lives, and what is wished. */
interface World {
  readonly leader: Leader | null;
  readonly wished: boolean;
}

function worldAfter(world: World, event: AnyEvent): World {
  switch (event.type) {
    case 'command.stop':
      return { ...world, wished: false };
    case 'command.start':
    case 'command.restart':
      return { ...world, wished: true };
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
      return { leader: null, wished: false };
    default:
      return world;
  }
}

/** What can happen there, and what an operator may order. */
function eventsOf(state: State, { leader }: World, { orders }: Scope): AnyEvent[] {
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
    if (path === 'restarting.settling') {
      events.push({ ...exited, exit: status(0) });
      events.push({ ...exited, exit: status(0), heir: born(8), remains: left({ tagged: 1 }) });
    }
    if (path === 'running') {
      const remains = left({ workers: 1, tagged: 1 });
      events.push({ ...exited, at: at + 20_000, exit: killedBy('SIGKILL'), remains });
    }
  }
  if (/clearing|stopping/.test(path)) events.push({ type: 'lineage.counted', at, remains: NOTHING });
  if (path === 'stopping.asking') events.push({ type: 'stopper.finished', at, error: null });
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

const isOrder = ({ type }: AnyEvent): boolean => type.startsWith('command.');

describe.each(Object.keys(ENTRANTS))('a command %s', (name) => {
  test('keeps its promises on every simple path', { timeout: 300_000 }, () => {
    const entrant = ENTRANTS[name]!;
    const start = { state: initial(entrant), world: { leader: entrant.found, wished: true } };
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
          must(clock.now() >= wait.until, 'nothing is launched before its wait is over');
        }
        if (state === 'backoff' && context.failures > wait.failures) {
          must(context.wait > wait.ms && context.wait <= EXACT.backoff.max, 'waits grow and are bounded');
          wait = { failures: context.failures, ms: context.wait, until: clock.now() + context.wait };
        }
        must(state !== 'running' || world.leader !== null, 'what runs has a leader');
        must(world.wished || /^stop|^failed/.test(state), 'what is wished down is down, or on its way');
        must(state !== 'stopped' || (!world.wished && world.leader === null), 'stopped is stopped');
        situations.add(state);
      });
    }
    expect(paths).toBeGreaterThan(500);
    expect(launches).toBeGreaterThan(500);
    const seen = Object.keys(IGNORED).filter(
      (leaf) =>
        (leaf !== 'failed' || name === 'that gives up') && (leaf !== 'stopping.asking' || /own/.test(name)),
    );
    expect([...situations].sort()).toEqual(seen.sort());
  });
});
