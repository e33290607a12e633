import { describe, expect, test } from 'vitest';
import { type AnyStateNode, createActor, initialTransition, setup, transition } from 'xstate';
import { commandMachine } from '../../../machines/command.ts';
import {
  actionsOf,
  activeIn,
  eventLabel,
  ledBy,
  type Machine,
  movesNamed,
  possibleWays,
  readMachine,
  valueText,
} from '../../../src/inspector/page/machine.ts';

/** As a viewer is told of it. */
const definitionOf = (config: unknown): string =>
  JSON.stringify(config, (_, value) => (typeof value === 'function' ? { type: value.name } : value));
const command = readMachine(definitionOf(commandMachine.config))!;

function way(machine: Machine, before: unknown, after: unknown, event: string): string[] {
  return waysOf(machine, before, after, event)[0] ?? [];
}

function waysOf(machine: Machine, before: unknown, after: unknown, event: string): string[][] {
  return possibleWays(machine, activeIn(machine, before), activeIn(machine, after), event).map((moves) =>
    moves.map(({ from, label, to }) => `${from}: ${label} → ${to}`),
  );
}

const nodesOf = (node: AnyStateNode): AnyStateNode[] => [
  node,
  ...Object.values(node.states).flatMap(nodesOf),
];

describe('a definition is read', () => {
  test('upkeep’s own: states, where they begin, and what leads where', () => {
    expect(command.id).toBe('command');
    expect(command.states.get('command')!.initial).toBe('command.beginning');
    expect(command.states.get('command.running.ready')!.parent).toBe('command.running');
    expect(command.states.get('command.backoff')!.moves).toContainEqual({
      from: 'command.backoff',
      event: 'after backoff',
      descriptor: 'xstate.after.backoff.command.backoff',
      index: 0,
      label: 'after backoff',
      to: 'command.missing',
      actions: ['waited'],
    });
    // Every target is a state that is there.
    for (const { moves } of command.states.values()) {
      for (const { to } of moves) if (to !== null) expect([...command.states.keys()]).toContain(to);
    }
  });

  test.each([
    ['no JSON', '{'],
    ['no machine', '{"id":"x"}'],
    ['no object', '[1]'],
    ['nothing', undefined],
  ])('%s is no machine', (_, text) => {
    expect(readMachine(text)).toBeNull();
  });

  test('ids with dots, own ids, lists of targets, and what was a function', () => {
    const machine = readMachine(
      definitionOf({
        id: 'a.b',
        initial: 'one',
        states: {
          one: {
            id: 'first',
            entry: [() => {}, { type: 'log', params: { text: 'x' } }],
            on: {
              go: { target: ['#second.below'], guard: () => true },
              stay: { actions: 'count' },
              up: '.none',
            },
          },
          two: { id: 'second', initial: 'below', states: { below: { type: 'final' } }, onDone: 'one' },
        },
      }),
    )!;
    const moves = machine.states.get('a.b.one')!.moves;
    expect(moves.map(({ label, to }) => [label, to])).toEqual([
      ['go [guard]', 'a.b.two.below'],
      ['stay', null],
      ['up', null],
    ]);
    expect(machine.states.get('a.b.one')!.entry).toEqual(['(inline)', 'log {"text":"x"}']);
    expect(machine.states.get('a.b.two')!.moves[0]).toMatchObject({ label: 'done', to: 'a.b.one' });
    expect(machine.states.get('a.b.two.below')!.kind).toBe('final');
  });
});

describe('the way that was taken', () => {
  test('leads through states that last no time', () => {
    expect(
      way(command, { running: { ready: 'unchecked' } }, { restarting: 'launching' }, 'leader.exited'),
    ).toEqual([
      'command.running: leader.exited [isOurs] → command.missing',
      'command.missing.assessing: always → command.restarting',
    ]);
  });

  test('begins with a delay by its name', () => {
    expect(
      way(command, 'backoff', { restarting: 'launching' }, 'xstate.after.backoff.command.backoff')[0],
    ).toBe('command.backoff: after backoff → command.missing');
    expect(eventLabel('xstate.after.1.5.a.b', new Map([['a.b', null]]))).toBe('after 1.5');
    expect(eventLabel('xstate.done.actor.probe')).toBe('done probe');
  });

  test('is none where nothing leads there', () => {
    expect(way(command, 'stopped', 'backoff', 'command.stop')).toEqual([]);
    expect(way(command, 'stopped', 'stopped', 'nobody.knows')).toEqual([]);
  });

  test('of parallel states it keeps those that stay', () => {
    const both = setup({}).createMachine({
      id: 'both',
      type: 'parallel',
      states: {
        a: { initial: 'x', states: { x: { on: { go: 'y' } }, y: {} } },
        b: { initial: 'x', states: { x: {}, y: {} } },
      },
    });
    const machine = readMachine(definitionOf(both.config))!;
    const actor = createActor(both).start();
    const before = actor.getSnapshot().value;
    actor.send({ type: 'go' });
    expect(way(machine, before, actor.getSnapshot().value, 'go')).toEqual(['both.a.x: go → both.a.y']);
    expect(valueText(actor.getSnapshot().value)).toBe('a.y + b.x');
  });

  test('has the actions that XState would run, in its order', () => {
    const log = setup({
      actions: { a: () => {}, b: () => {}, c: () => {}, d: () => {}, e: () => {} },
    }).createMachine({
      id: 'log',
      initial: 'one',
      states: {
        one: { exit: 'a', on: { go: { target: 'two', actions: 'b' } } },
        two: {
          entry: 'c',
          initial: 'in',
          states: { in: { entry: 'd', on: { again: { target: 'in', reenter: true, actions: 'e' } } } },
        },
      },
    });
    const machine = readMachine(definitionOf(log.config))!;
    let [snapshot] = initialTransition(log);
    for (const event of ['go', 'again']) {
      const [next, actions] = transition(log, snapshot, { type: event });
      const before = activeIn(machine, snapshot.value);
      const [moves = []] = possibleWays(machine, before, activeIn(machine, next.value), event);
      expect(actionsOf(machine, before, moves)).toEqual(actions.map(({ type }) => type));
      snapshot = next;
    }
  });

  test('may be any of several: none is chosen, and none is said to be it', () => {
    const ready = (state: string) => ({ running: { ready: state } });
    expect(waysOf(command, ready('probing'), ready('pausing'), 'probe.finished')).toEqual([
      ['command.running.ready.probing: probe.finished [becomesUnhealthy] → command.running.ready.pausing'],
      ['command.running.ready.probing: probe.finished [becomesHealthy] → command.running.ready.pausing'],
      ['command.running.ready.probing: probe.finished → command.running.ready.pausing'],
    ]);
    const led = ledBy(command, ready('probing'), ready('pausing'), 'probe.finished', undefined);
    expect([led.isTold, led.ways.length]).toEqual([false, 3]);
  });

  test('is the one that was told, by where it begins and its place there', () => {
    const ready = (state: string) => ({ running: { ready: state } });
    const told = {
      ways: [{ from: 'command.running.ready.probing', event: 'probe.finished', index: 3 }],
      actions: ['noteProbe'],
    };
    const { isTold, ways } = ledBy(command, ready('probing'), ready('pausing'), 'probe.finished', told);
    expect(isTold).toBe(true);
    expect(ways.map((moves) => moves.map(({ label }) => label))).toEqual([['probe.finished']]);
  });

  test('is found of each transition that XState has, whatever it waits for', () => {
    const own = setup({}).createMachine({
      id: 'own',
      initial: 'one',
      onDone: { actions: 'x' },
      states: {
        one: {
          id: 'first',
          invoke: { src: 'job', onDone: 'two', onError: [{ guard: 'g', target: 'two' }, { target: 'one' }] },
          after: { 10: 'two', later: [{ guard: 'g', target: 'two' }, { actions: 'x' }] },
          on: { go: ['two', { target: 'one', guard: 'g' }], '*': 'two', 'a.*': 'one' },
          always: [
            { guard: 'g', target: 'two' },
            { guard: 'h', target: 'one' },
          ],
        },
        two: { type: 'final' },
      },
    } as never);
    for (const logic of [own, commandMachine]) {
      const machine = readMachine(definitionOf(logic.config))!;
      for (const node of nodesOf(logic.root as AnyStateNode)) {
        const lists = [...node.transitions.entries(), ['', node.always ?? []] as const];
        for (const [event, transitions] of lists) {
          for (const [index, { target }] of transitions.entries()) {
            const named = { ways: [{ from: node.id, event, index }], actions: [] };
            const [move] = movesNamed(machine, named);
            expect(move, `${node.id} ${event} ${index}`).toBeDefined();
            const to = target?.[0]?.id;
            expect(move!.to).toBe(to === undefined ? null : (machine.named.get(to) ?? to));
          }
        }
      }
    }
  });
});
