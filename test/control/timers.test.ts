/** What is told of a machine's timers is what XState has set. */
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { type ActorRefFrom, createActor, fromCallback, setup } from 'xstate';
import { commandMachine } from '../../machines/command.ts';
import type { CommandEvent } from '../../machines/events.ts';
import { clampDelay, DEFAULT_POLICY } from '../../machines/restart-policy.ts';
import { NO_ROLE } from '../../machines/tree.ts';
import type { Timer } from '../../src/control/inside.ts';
import { FOR } from '../../src/control/why.ts';
import { createStates } from '../../src/inside.ts';
import { createJournal } from '../../src/output/journal.ts';
import { createSteppingClock } from '../machines/clock.ts';
import { left, process, status } from '../machines/harness.ts';

const nothing = (): void => {};
const command = commandMachine.provide({
  actors: Object.fromEntries(
    ['launch', 'stopper', 'probe', 'schedule'].map((name) => [name, fromCallback(nothing)]),
  ),
  actions: { tell: nothing, signal: nothing, reload: nothing },
});
const parent = setup({
  types: { context: {} as { actor: ActorRefFrom<typeof commandMachine> } },
  actors: { command },
}).createMachine({
  context: ({ spawn }) => ({
    actor: spawn('command', {
      id: 'command:svc',
      input: {
        name: 'svc',
        policy: {
          ...DEFAULT_POLICY,
          ready: { timeout: 7_000, interval: 300 },
          health: { every: 900, timeout: 100, failures: 2, successes: 1, grace: 0, onUnhealthy: 'restart' },
          ownStop: true,
          stopSignals: [
            { signal: 'SIGQUIT', wait: 400 },
            { signal: 'SIGTERM', wait: null },
          ],
        },
        seed: 1,
        found: null,
        role: NO_ROLE,
        rest: null,
      },
    }),
  }),
});

/** The root, as far as it is asked. */
const ROOT = {
  status: 'active',
  matches: () => false,
  context: { down: new Set(), reached: {}, plan: { groups: [] } },
} as never;
const FOREVER = clampDelay(Number.POSITIVE_INFINITY);

function start() {
  const clock = createSteppingClock();
  const due = new Map<number, number>();
  const states = createStates(createJournal(), clock.now);
  const root = createActor(parent, {
    inspect: states.inspect,
    clock: {
      setTimeout(fire, ms) {
        const id = clock.setTimeout(() => {
          due.delete(id);
          fire();
        }, ms);
        if (ms < FOREVER) due.set(id, clock.now() + ms);
        return id as never;
      },
      clearTimeout(id) {
        due.delete(id as never);
        clock.clearTimeout(id as never);
      },
    },
  });
  root.start();
  const { actor } = root.getSnapshot().context;
  return {
    clock,
    states,
    actor,
    /** Of XState: names and states, and times; of those that run for ever neither. */
    set: () => ({
      names: Object.values((root.system.getSnapshot() as unknown as Scheduled)._scheduledEvents)
        .filter(({ delay }) => delay < FOREVER)
        .map(({ event }) => event.type)
        .sort(),
      due: [...due.values()].sort((a, b) => a - b),
    }),
    told: (): readonly Timer[] => states.viewOf('svc', ROOT)!.timers,
  };
}

interface Scheduled {
  readonly _scheduledEvents: Readonly<
    Record<string, { readonly delay: number; readonly event: { readonly type: string } }>
  >;
}

type Started = ReturnType<typeof start>;
type Doing = (started: Started) => void;

const sends =
  (make: (started: Started) => CommandEvent): Doing =>
  (started) =>
    started.actor.send(make(started));
const leaderOf = ({ actor }: Started) => actor.getSnapshot().context.leader ?? process(9);
const exits =
  (code: number, tagged: number): ((started: Started) => CommandEvent) =>
  (started) => ({
    type: 'leader.exited',
    at: started.clock.now(),
    id: leaderOf(started),
    exit: status(code),
    heir: null,
    remains: left({ tagged, workers: tagged }),
  });
const at = ({ clock }: Started) => ({ at: clock.now() });

const DOINGS: readonly Doing[] = [
  sends((started) => ({ type: 'launcher.started', ...at(started), pid: 5, startTicks: 50 })),
  sends((started) => ({ type: 'launch.failed', ...at(started), error: 'no', blame: 'system' })),
  sends((started) => ({
    type: 'leader.seen',
    ...at(started),
    leader: process(7, started.clock.now() - 200),
  })),
  sends(exits(0, 0)),
  sends(exits(1, 0)),
  sends(exits(1, 2)),
  sends((started) => ({ type: 'lineage.counted', ...at(started), remains: left({}) })),
  sends((started) => ({ type: 'lineage.counted', ...at(started), remains: left({ tagged: 1 }) })),
  sends((started) => ({ type: 'probe.finished', ...at(started), reason: null })),
  sends((started) => ({ type: 'probe.finished', ...at(started), reason: 'no' })),
  sends((started) => ({ type: 'end.announced', ...at(started) })),
  sends((started) => ({ type: 'leader.named', ...at(started), leader: process(8) })),
  sends((started) => ({ type: 'stopper.finished', ...at(started), error: null })),
  sends((started) => ({ type: 'command.start', ...at(started) })),
  sends((started) => ({ type: 'command.restart', ...at(started) })),
  sends((started) => ({ type: 'command.kill', ...at(started) })),
  sends((started) => ({ type: 'command.stop', ...at(started), budget: 5_000, everything: false })),
  sends((started) => ({ type: 'command.stop', ...at(started), budget: 2_000, everything: true })),
  ...[50, 300, 1_500, 8_000].map(
    (ms): Doing =>
      ({ clock }) =>
        clock.advance(ms),
  ),
];

/** What leads into the states that have most timers. */
const LIKELY: readonly Doing[] = [
  ...DOINGS.slice(0, 1),
  sends((started) => ({ type: 'probe.finished', ...at(started), reason: null })),
  sends((started) => ({ type: 'probe.finished', ...at(started), reason: 'no' })),
  ({ clock }) => clock.advance(950),
];

test('the timers that are told of are those that are set, and due when they are', () => {
  const names = new Set<string>();
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...LIKELY, ...DOINGS), { maxLength: 40 }), (doings) => {
      const started = start();
      for (const doing of [nothing, ...LIKELY.slice(0, 1), ...doings]) {
        doing(started);
        const { clock } = started;
        const told = started.told().filter(({ due }) => due > clock.now());
        const set = started.set();
        expect(told.map(({ name, state }) => `xstate.after.${name}.command.${state}`).sort()).toEqual(
          set.names,
        );
        expect(told.map(({ due }) => due).sort((a, b) => a - b)).toEqual(set.due);
        for (const { name } of told) names.add(name);
      }
    }),
  );
  expect([...names].sort()).toEqual(Object.keys(commandMachine.implementations.delays).sort());
});

test('of all timers one copy is made for all who are looked at in one go', async () => {
  const { told, actor, clock } = start();
  actor.send({ type: 'launcher.started', at: clock.now(), pid: 5, startTicks: 50 });
  const copies = vi.spyOn(actor.system, 'getSnapshot');
  for (let each = 0; each < 100; each++) told();
  expect(copies).toHaveBeenCalledTimes(1);
  await Promise.resolve();
  told();
  expect(copies).toHaveBeenCalledTimes(2);
  // In the same turn, but nothing is as it was.
  actor.send({ type: 'command.stop', at: clock.now(), budget: 5_000, everything: false });
  expect(told().map(({ name }) => name)).toContain('killAfter');
  expect(copies).toHaveBeenCalledTimes(3);
});

test('each timer of the machine has its words', () => {
  const known = Object.keys(commandMachine.implementations.delays);
  expect(known.length).toBeGreaterThan(10);
  for (const name of known) expect(FOR).toHaveProperty(name);
});
