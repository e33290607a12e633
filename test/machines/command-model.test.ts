/** Long random lives of one command in a plausible world: what must hold at every moment, and in the end. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IGNORED } from '../../machines/command.ts';
import { type CommandPolicy, DEFAULT_POLICY } from '../../machines/restart-policy.ts';
import { createSteppingClock } from './clock.ts';
import { pathOf, process, startCommand, status, type UndatedEvent } from './harness.ts';
import { createWorld, type Launch, type Manner, type Workers } from './world.ts';

const READY = { timeout: 4_000, interval: 250 };
const HEALTH = {
  every: 2_000,
  timeout: 1_000,
  failures: 2,
  successes: 1,
  grace: 0,
  onUnhealthy: 'restart',
} as const;
const MINUTES = 60_000;
const upTo = (ms: number): fc.Arbitrary<number> => fc.integer({ min: 0, max: ms });
const manner = (stuck: boolean): fc.Arbitrary<Manner> =>
  fc.oneof(
    { weight: 6, arbitrary: upTo(3_000) },
    { weight: 2, arbitrary: fc.constant('killed' as const) },
    ...(stuck ? [{ weight: 1, arbitrary: fc.constant('stuck' as const) }] : []),
  );
const workers: fc.Arbitrary<Workers> = fc.record({
  count: fc.integer({ min: 0, max: 3 }),
  sessions: fc.integer({ min: 0, max: 2 }),
  dies: manner(false),
});
const stubborn: fc.Arbitrary<Workers> = fc.record({
  count: fc.integer({ min: 0, max: 2 }),
  sessions: fc.constant(0),
  dies: manner(true),
});
const launch: fc.Arbitrary<Launch> = fc.oneof(
  fc.record({
    kind: fc.constant('refused' as const),
    blame: fc.constantFrom('command' as const, 'system' as const),
    after: upTo(50),
  }),
  fc.record({
    kind: fc.constant('foreground' as const),
    lives: fc.oneof(upTo(30_000), fc.constant(null)),
    code: fc.constantFrom(0, 1),
    workers,
  }),
  fc.record({
    kind: fc.constant('daemon' as const),
    after: upTo(900),
    forks: fc.integer({ min: 1, max: 3 }),
    workers,
  }),
  fc.record({ kind: fc.constant('late' as const), after: upTo(900), seenAfter: upTo(3_000) }),
  fc.record({
    kind: fc.constant('dies' as const),
    after: upTo(900),
    code: fc.constantFrom(0, 1, 98),
    workers: stubborn,
  }),
);
const settled: fc.Arbitrary<Launch> = fc.constantFrom<Launch>(
  { kind: 'foreground', lives: null, code: 0, workers: { count: 1, sessions: 0, dies: 10 } },
  { kind: 'daemon', after: 100, forks: 2, workers: { count: 2, sessions: 1, dies: 10 } },
  { kind: 'late', after: 100, seenAfter: 1_000 },
);

type Deed =
  | { readonly order: UndatedEvent }
  | {
      readonly deed:
        | 'crash'
        | 'handOver'
        | 'announcement'
        | 'stale exit'
        | 'stale count'
        | 'stale launch'
        | 'nothing';
    };
const deeds: fc.Arbitrary<{ after: number; what: Deed }> = fc.record({
  after: fc.oneof(upTo(300), upTo(12_000)),
  what: fc.oneof(
    fc
      .constantFrom<UndatedEvent>(
        { type: 'command.start' },
        { type: 'command.restart' },
        { type: 'command.stop', budget: 9_000, everything: false },
        { type: 'command.stop', budget: 400, everything: false },
        { type: 'command.stop', budget: 9_000, everything: true },
        { type: 'command.kill' },
      )
      .map((order): Deed => ({ order })),
    fc
      .constantFrom(
        'crash',
        'handOver',
        'announcement',
        'stale exit',
        'stale count',
        'stale launch',
        'nothing',
      )
      .map((deed) => ({ deed }) as Deed),
  ),
});

const life = fc.record({
  deeds: fc.array(deeds, { maxLength: 40 }),
  launches: fc.array(launch, { maxLength: 25 }),
  finally: settled,
  latencies: fc.array(upTo(10), { minLength: 1, maxLength: 7 }),
  stopper: fc.oneof(upTo(8_000), fc.constant(null)),
  ownStop: fc.boolean(),
  returns: fc.boolean(),
  found: fc.boolean(),
  probed: fc.constantFrom('not', 'ready', 'health', 'both'),
  probes: fc.array(fc.boolean(), { maxLength: 30 }),
  signals: fc.constantFrom<CommandPolicy['stopSignals']>(DEFAULT_POLICY.stopSignals, [
    { signal: 'SIGTERM', wait: 1_000 },
    { signal: 'SIGINT', wait: 500 },
    { signal: 'SIGKILL', wait: null },
  ]),
  jitter: fc.constantFrom(0, 0.2),
  seed: fc.integer(),
});

type Life = typeof life extends fc.Arbitrary<infer T> ? T : never;

function live({
  deeds,
  launches,
  stopper,
  latencies,
  ownStop,
  returns,
  found,
  jitter,
  seed,
  probed,
  probes,
  signals,
  ...rest
}: Life): void {
  const clock = createSteppingClock();
  /** Kept for the end: what is thrown within an actor would end that actor first. */
  const broken: string[] = [];
  const must = (held: boolean, what: string): void => {
    if (!held) broken.push(`${what}, at ${clock.now()}`);
  };
  let wish: 'up' | 'down' = 'up';
  let probing = 0;
  /** Until it is known, the machine is still being made. */
  let h: ReturnType<typeof startCommand> | null = null;
  const early: (() => void)[] = [];
  const world = createWorld({
    clock,
    launches,
    finally: rest.finally,
    latencies,
    stopper,
    probes,
    send: (fact) => (h === null ? early.push(() => h!.send(fact)) : h.send(fact)),
  });
  const leader = found ? world.found() : null;
  h = startCommand({
    clock,
    found: leader,
    seed,
    policy: {
      ownStop,
      returns,
      backoff: { first: 250, factor: 2, max: 60_000, jitter },
      ready: probed === 'ready' || probed === 'both' ? READY : null,
      health: probed === 'health' || probed === 'both' ? HEALTH : null,
      stopSignals: signals,
    },
    world(effect) {
      switch (effect.effect) {
        case 'launch':
          must(wish === 'up', 'started against the wish');
          must(world.leaders() === 0, 'started while somebody leads');
          return world.launch();
        case 'stopper':
          return world.stopper();
        case 'stopper ended':
          return world.stopperLeft();
        case 'probe':
          must(++probing === 1, 'two probes at once');
          return world.probe();
        case 'probe ended':
          probing--;
          return world.probeLeft();
        case 'signal':
          return world.signal(effect.signal, effect.scope);
        case 'tell':
          // A restart that cannot end what is there starts nothing beside it.
          if (effect.told.type === 'command.stopped' && effect.told.left > 0) wish = 'down';
      }
    },
  });
  let backoff = { failures: 0, wait: 0 };
  const subscription = h.actor.subscribe(({ value, context }) => {
    const path = pathOf(value);
    if (path !== 'restarting.launching') world.launchLeft();
    visited.add(path);
    must(!/^(running|restarting)/.test(path) || context.desired === 'up', 'alive against the wish');
    if (path !== 'backoff') return;
    const { failures, refusals, wait } = context;
    must(wait >= (refusals > 0 ? 1_000 : 200) && wait <= 60_000, `a wait of ${wait}`);
    if (refusals > 0) return;
    if (failures > backoff.failures)
      must(wait >= Math.min(backoff.wait, 48_000), `a shorter wait of ${wait}`);
    backoff = { failures, wait };
  });
  for (const act of early) act();

  for (const { after, what } of deeds) {
    h.advance(after);
    if ('order' in what) {
      if (what.order.type === 'command.stop') wish = 'down';
      if (what.order.type === 'command.start' || what.order.type === 'command.restart') wish = 'up';
      h.send(what.order);
    } else if (what.deed === 'crash') world.crash();
    else if (what.deed === 'handOver') world.handOver();
    else if (what.deed === 'announcement') h.send({ type: 'end.announced' });
    else if (what.deed === 'stale exit') {
      const id = { pid: world.idOfLeader()?.pid ?? 1, startTicks: 1 };
      h.send({ type: 'leader.exited', id, exit: status(0), heir: process(1), remains: world.remains() });
    } else if (what.deed === 'stale count') h.send({ type: 'lineage.counted', remains: world.remains() });
    else if (what.deed === 'stale launch' && h.state() !== 'restarting.launching') {
      h.send({ type: 'launcher.started', pid: 1, startTicks: 1 });
      h.send({ type: 'launch.failed', error: 'stale', blame: 'command' });
    }
  }

  // Everything comes to rest: whatever was still to go wrong goes wrong, and then the starts succeed.
  h.advance(60 * MINUTES);
  expect(broken).toEqual([]);
  expect(h.state()).toMatch(wish === 'up' ? /^running\.ready\./ : /^stopped$/);
  expect(world.leaders()).toBe(wish === 'up' ? 1 : 0);
  if (wish === 'up') expect(h.context().leader?.pid).toBe(world.idOfLeader()?.pid);
  const asked = wish === 'up' && (probed === 'health' || probed === 'both');
  expect(clock.pending(), 'nothing is left to wait for but the next probe').toBe(asked ? 1 : 0);
  subscription.unsubscribe();
  h.stop();
}

/** No order here restarts others, nothing is required, and a service runs for good. */
const ELSEWHERE = ['waiting', 'completed.done', 'scheduled', 'failed.ended'];
const visited = new Set<string>();

test('any life: never two, never against the wish, and in the end as wished', { timeout: 120_000 }, () => {
  fc.assert(fc.property(life, live), { numRuns: 300 });
});

test('such lives lead through every state of a service that is kept running', { timeout: 120_000 }, () => {
  visited.clear();
  fc.assert(fc.property(life, live), { numRuns: 300, seed: 1 });
  expect([...visited].sort()).toEqual(
    Object.keys(IGNORED)
      .filter((leaf) => !ELSEWHERE.includes(leaf))
      .sort(),
  );
});
