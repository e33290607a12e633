/** A probe's answer is an event of its own, wherever it is found. */
import { expect, test } from 'vitest';
import { createActor, setup } from 'xstate';
import { probeActor } from '../../src/actors/probe.ts';

type Answered = (reason: string | null) => void;

/** Probes until it is told to leave; leaving calls `onLeave` in the midst of the transition. */
function start(run: (answer: Answered) => () => void, onLeave: () => void = () => {}) {
  const heard: string[] = [];
  const machine = setup({
    actors: { probe: probeActor({ run: (_, __, answer) => run(answer), now: () => 7 }) },
  });
  const actor = createActor(
    machine.createMachine({
      initial: 'probing',
      states: {
        probing: {
          invoke: { src: 'probe', input: { command: 'web', which: 'ready' as const } },
          on: { leave: { target: 'left', actions: onLeave }, 'probe.finished': 'done' },
        },
        left: {},
        done: {},
      },
    }),
    {
      inspect(inspected) {
        if (inspected.type === '@xstate.event' && inspected.event.type === 'probe.finished')
          heard.push(JSON.stringify(inspected.event));
      },
    },
  );
  actor.start();
  return { actor, heard };
}

test('is heard, even when it is there at once', async () => {
  const { actor, heard } = start((answer) => {
    answer('refused');
    return () => {};
  });
  expect(actor.getSnapshot().value).toBe('probing');
  await Promise.resolve();
  expect(actor.getSnapshot().value).toBe('done');
  expect(heard).toEqual(['{"type":"probe.finished","at":7,"reason":"refused"}']);
});

test('is heard by nobody when it is found while the state is being left', async () => {
  let answer: Answered = () => {};
  let ends = 0;
  const { actor, heard } = start(
    (given) => {
      answer = given;
      return () => {
        ends++;
      };
    },
    () => answer(null),
  );
  actor.send({ type: 'leave' });
  await Promise.resolve();
  expect([actor.getSnapshot().value, heard, ends]).toEqual(['left', [], 1]);
});
