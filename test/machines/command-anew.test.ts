/** A command whose actor is made anew, because its group was: what it finds is dealt with first. */
import { expect, test } from 'vitest';
import { createActor, type EventObject, fromCallback } from 'xstate';
import { type CommandInput, commandMachine } from '../../machines/command.ts';
import { NO_ROLE } from '../../machines/tree.ts';
import { createSteppingClock } from './clock.ts';
import { EXACT, left, NOTHING, pathOf } from './harness.ts';

function begin(input: Partial<CommandInput>) {
  const asked: string[] = [];
  const actor = createActor(
    commandMachine.provide({
      actors: { launch: fromCallback<EventObject, { command: string }>(() => void asked.push('launch')) },
      actions: { tell: () => {}, signal: (_, { signal, scope }) => void asked.push(`${signal} ${scope}`) },
    }),
    {
      clock: createSteppingClock(),
      input: { name: 'svc', policy: EXACT, seed: 1, found: null, role: NO_ROLE, rest: null, ...input },
    },
  );
  actor.start();
  return { actor, asked, state: () => pathOf(actor.getSnapshot().value) };
}

test('what is left of it without a leader is stopped before it is launched', () => {
  const { actor, asked, state } = begin({ remains: left({ tagged: 2 }) });
  expect(state()).toBe('missing.clearing.asking');
  expect(asked).toEqual(['SIGTERM tagged']);
  actor.send({ type: 'lineage.counted', at: 1, remains: left({ tagged: 1 }) });
  expect(asked).toEqual(['SIGTERM tagged']);
  actor.send({ type: 'lineage.counted', at: 2, remains: NOTHING });
  expect(asked).toEqual(['SIGTERM tagged', 'launch']);
});

test('where nothing is left it is launched at once', () => {
  expect(begin({}).asked).toEqual(['launch']);
});
