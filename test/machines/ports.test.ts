/** What the machines need of the world, and were not given, is named. */
import { NEVER } from 'rxjs';
import { expect, test } from 'vitest';
import { type AnyStateMachine, createActor, fromEventObservable } from 'xstate';
import { commandMachine } from '../../machines/command.ts';
import type { ScanReport } from '../../machines/events.ts';
import { groupMachine } from '../../machines/group.ts';
import { supervisorMachine } from '../../machines/supervisor.ts';
import { NO_ROLE } from '../../machines/tree.ts';
import { EXACT, process } from './harness.ts';

/** How it ends without the port. */
function errorOf(machine: AnyStateMachine, input: object, then: object[] = []): unknown {
  const actor = createActor(machine, { input });
  let error: unknown = null;
  actor.subscribe({ error: (seen) => (error = seen) });
  actor.start();
  for (const event of then) actor.send(event as { type: string });
  return error;
}
const command = { name: 'svc', policy: EXACT, seed: 1, found: process(7), role: NO_ROLE, rest: null };
const quiet = { actions: { tell: () => {} } };
const stop = { type: 'command.stop', at: 1, budget: 9_000, everything: false };

const root = { groups: [], grace: 1, exitWhen: 'never', exitCodeFrom: null, seed: 1 };
const ready = { timeout: 1_000, interval: 100 };
const scheduled = { ...command, policy: { ...EXACT, kind: 'cron' }, found: null };
const group = {
  plan: { name: 'g', members: [], strategy: 'one_for_one', intensity: null, vital: false },
  seed: 1,
  found: {},
  rest: {},
  roles: {},
};
const silent = {
  actors: { scan: fromEventObservable<ScanReport, { commands: readonly string[] }>(() => NEVER) },
};
const shutdown = { type: 'shutdown.ordered', at: 1, reason: 'SIGTERM' };

test.each<[string, unknown]>([
  ['tell', errorOf(commandMachine, command)],
  ['signal', errorOf(commandMachine.provide(quiet), command, [stop])],
  ['launch', errorOf(commandMachine.provide(quiet), { ...command, found: null })],
  [
    'stopper',
    errorOf(commandMachine.provide(quiet), { ...command, policy: { ...EXACT, ownStop: true } }, [stop]),
  ],
  ['probe', errorOf(commandMachine.provide(quiet), { ...command, policy: { ...EXACT, ready } })],
  ['schedule', errorOf(commandMachine.provide(quiet), scheduled)],
  ['reload', errorOf(commandMachine.provide(quiet), command, [{ type: 'command.reload', at: 1 }])],
  ['scan', errorOf(supervisorMachine, root)],
  ['tell', errorOf(supervisorMachine.provide(silent), root, [shutdown])],
  [
    'tell',
    errorOf(groupMachine, { ...group, plan: { ...group.plan, strategy: 'one_for_all' } }, [
      { type: 'group.rested', at: 1, group: 'below' },
    ]),
  ],
])('%s', (port, error) => {
  expect(error).toBeInstanceOf(Error);
  expect((error as Error).message).toMatch(`the port "${port}" was not provided; see src/supervise.ts`);
});
