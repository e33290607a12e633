import { createActor, fromCallback } from 'xstate';
import { commandMachine } from '../../machines/command.ts';
import type { CommandContext } from '../../machines/command-books.ts';
import { DEFAULT_POLICY } from '../../machines/restart-policy.ts';
import { NO_ROLE } from '../../machines/tree.ts';

const nothing = (): void => {};
const machine = commandMachine.provide({
  actors: { launch: fromCallback(nothing) },
  actions: { tell: nothing, signal: nothing, reload: nothing },
});

/** A command's books as its machine begins them, with what a test says otherwise. */
export function commandContext(name: string, change: Partial<CommandContext> = {}): CommandContext {
  const actor = createActor(machine, {
    input: { name, policy: DEFAULT_POLICY, seed: 1, found: null, role: NO_ROLE, rest: null },
  });
  return { ...actor.getSnapshot().context, ...change };
}
