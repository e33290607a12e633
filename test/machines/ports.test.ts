/** What the machines need of the world, and were not given, is named. */
import { NEVER } from 'rxjs';
import { expect, test } from 'vitest';
import { type AnyStateMachine, createActor, fromEventObservable } from 'xstate';
import { commandMachine } from '../../machines/command.ts';
import type { ScanReport } from '../../machines/events.ts';
import { supervisorMachine } from '../../machines/supervisor.ts';
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
const command = { name: 'svc', policy: EXACT, seed: 1, found: process(7) };
const quiet = { actions: { tell: () => {} } };
const stop = { type: 'command.stop', at: 1, budget: 9_000, everything: false };

const root = { commands: [], grace: 1, seed: 1 };
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
  ['scan', errorOf(supervisorMachine, root)],
  ['tell', errorOf(supervisorMachine.provide(silent), root, [shutdown])],
])('%s', (port, error) => {
  expect(error).toBeInstanceOf(Error);
  expect((error as Error).message).toMatch(`the port "${port}" was not provided; see src/supervise.ts`);
});
