/**
 * Commands under one actor, between them and the root: hands each its own facts and orders, and hands on who has come
 * to rest. An actor with a thousand children takes seconds to stop, one with some dozens a millisecond.
 */
import { type ActorRefFrom, enqueueActions, sendParent, setup } from 'xstate';
import { commandMachine } from './command.ts';
import type { GroupEvent, Leader } from './events.ts';
import { ownOf } from './own.ts';
import type { CommandPolicy } from './restart-policy.ts';

/** A command as the machines see it. What it runs is known to src/ alone. */
export interface CommandPlan {
  readonly name: string;
  readonly policy: CommandPolicy;
  /** Its failure for good ends the container. */
  readonly vital: boolean;
}

export interface GroupInput {
  readonly commands: readonly CommandPlan[];
  /** The first command's; the others' follow it. */
  readonly seed: number;
  /** Who was found alive, by command. */
  readonly found: Readonly<Record<string, Leader>>;
}

export interface GroupContext {
  /** The root sends a group what is for these alone. */
  readonly actors: Readonly<Record<string, ActorRefFrom<typeof commandMachine>>>;
}

export const groupMachine = setup({
  types: {
    context: {} as GroupContext,
    input: {} as GroupInput,
    events: {} as GroupEvent,
    children: {} as Record<string, 'command'>,
  },
  actors: { command: commandMachine },
}).createMachine({
  id: 'group',
  context: ({ input, spawn }) => ({
    actors: Object.fromEntries(
      input.commands.map(({ name, policy }, index) => [
        name,
        spawn('command', {
          id: `command:${name}`,
          input: { name, policy, seed: input.seed + index, found: ownOf(input.found, name) ?? null },
        }),
      ]),
    ),
  }),
  initial: 'tending',
  states: {
    tending: {
      on: {
        'scan.changed': {
          actions: enqueueActions(({ context, event, enqueue }) => {
            for (const { command, fact } of event.facts) enqueue.sendTo(context.actors[command]!, fact);
          }),
        },
        'command.ordered': {
          actions: enqueueActions(({ context, event, enqueue }) => {
            enqueue.sendTo(context.actors[event.command]!, event.order);
          }),
        },
        'all.ordered': {
          actions: enqueueActions(({ context, event, enqueue }) => {
            for (const actor of Object.values(context.actors)) enqueue.sendTo(actor, event.order);
          }),
        },
        'command.rested': { actions: sendParent(({ event }) => event) },
      },
    },
  },
});
