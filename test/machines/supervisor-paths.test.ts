/**
 * All simple paths of the root, each lived by a real actor with a real group and fakes for the commands in it: they write down
 * what they are sent.
 * A ledger that knows nothing but the events says what must hold.
 */
import { Subject } from 'rxjs';
import { expect, test } from 'vitest';
import { createActor, type EventObject, fromCallback, fromEventObservable } from 'xstate';
import type { commandMachine } from '../../machines/command.ts';
import type { ScanReport, SupervisorEvent } from '../../machines/events.ts';
import { groupMachine } from '../../machines/group.ts';
import { supervisorMachine } from '../../machines/supervisor.ts';
import { unwritten } from '../../machines/tree.ts';
import { createSteppingClock } from './clock.ts';
import { EXACT, NOTHING } from './harness.ts';

const GRACE = 9_000;
const LAST = 2_000;
/** `a` is vital: its failure for good ends everything. */
const COMMANDS = ['a', 'b'].map((name) => ({
  name,
  policy: EXACT,
  vital: name === 'a',
  requires: {},
  after: [],
}));

type Event = SupervisorEvent | { readonly type: 'overdue' };
const rested = (command: string, state: 'stopped' | 'failed', left: number): Event => ({
  type: 'command.rested',
  at: 5,
  command,
  state,
  left,
  exit: null,
});
const EVENTS: readonly Event[] = [
  { type: 'scan.began', at: 5, found: {} },
  {
    type: 'scan.changed',
    at: 5,
    facts: [{ command: 'b', fact: { type: 'lineage.counted', at: 5, remains: NOTHING } }],
  },
  { type: 'command.ordered', command: 'a', order: { type: 'command.restart', at: 5 } },
  { type: 'command.ordered', command: 'nobody', order: { type: 'command.restart', at: 5 } },
  ...['a', 'b', 'nobody'].flatMap((name) => [
    rested(name, 'stopped', 0),
    rested(name, 'stopped', 2),
    rested(name, 'failed', 0),
  ]),
  { type: 'shutdown.ordered', at: 5, reason: 'SIGTERM' },
  // Time goes by until it is later than anybody should be, and then until the root gives up.
  { type: 'overdue' },
];

function begin() {
  const clock = createSteppingClock();
  const reports = new Subject<ScanReport>();
  /** `a command.stop 9000 true`, `tell supervisor.stopping SIGTERM`. */
  const asked: string[] = [];
  const tellGroup = new Map<string, (event: EventObject) => void>();
  const command = fromCallback<EventObject, { name: string }>(({ input, receive, sendBack }) => {
    asked.push(`${input.name} begins`);
    tellGroup.set(input.name, sendBack);
    receive((event) => asked.push([input.name, ...Object.values(event)].join(' ')));
  });
  const machine = supervisorMachine.provide({
    actors: {
      group: groupMachine.provide({ actors: { command: command as unknown as typeof commandMachine } }),
      scan: fromEventObservable<ScanReport, { commands: readonly string[] }>(() => reports),
    },
    actions: {
      tell: (_, told) => void asked.push(`tell ${told.type}`),
    },
  });
  const root = createActor(machine, {
    clock,
    input: { groups: unwritten(COMMANDS), grace: GRACE, exitWhen: 'never', exitCodeFrom: null, seed: 1 },
  });
  root.start();
  return {
    root,
    act(event: Event): string[] {
      asked.length = 0;
      const overdue = root.getSnapshot().value === 'killing';
      if (event.type === 'overdue') clock.advance(overdue ? LAST : GRACE + 1_000);
      else if (event.type.startsWith('scan.')) reports.next(event as ScanReport);
      else if (event.type === 'command.rested' && tellGroup.has(event.command)) {
        tellGroup.get(event.command)!(event);
      } else root.send(event);
      return [...asked];
    },
    /** What can make a difference from here on. */
    situation(): string {
      const { value, context } = root.getSnapshot();
      return [value, ...context.awaited, context.code, Math.sign(context.left)].join(' ');
    },
  };
}

/** Lives the events, and holds every step against what is known without the machine. */
function live(events: readonly Event[]): ReturnType<typeof begin> {
  const life = begin();
  let began = false;
  let stopping = false;
  let over = false;
  let overdue = false;
  let vital = false;
  let left = 0;
  const awaited = new Set<string>();
  for (const [index, event] of events.entries()) {
    const expected: string[] = [];
    const stop = (): void => {
      stopping = true;
      expected.push('tell supervisor.stopping');
      for (const { name } of began ? COMMANDS : []) {
        awaited.add(name);
        expected.push(`${name} command.stop 5 ${GRACE} true`);
      }
    };
    if (!over) {
      switch (event.type) {
        case 'scan.began':
          if (!began && !stopping) expected.push('a begins', 'b begins');
          began = true;
          break;
        case 'scan.changed':
          if (began) expected.push('b lineage.counted 5 [object Object]');
          break;
        case 'command.ordered':
          if (began && !stopping && event.command === 'a') expected.push('a command.restart 5');
          break;
        case 'command.rested':
          if (stopping && awaited.delete(event.command)) left += event.left;
          else if (began && !stopping && event.command === 'a' && event.state === 'failed') {
            vital = true;
            stop();
          }
          break;
        case 'shutdown.ordered':
          if (!stopping) stop();
          else expected.push(...COMMANDS.map(({ name }) => `${name} command.kill 5`));
      }
      if (event.type === 'overdue' && stopping && awaited.size > 0) {
        if (!overdue) expected.push(...COMMANDS.map(({ name }) => `${name} command.kill ${5 + GRACE}`));
        over = overdue;
        overdue = true;
      } else over = stopping && awaited.size === 0;
    }
    const asked = life.act(event);
    const { status, output } = life.root.getSnapshot();
    const code = vital ? 10 : left > 0 || awaited.size > 0 ? 1 : 0;
    expect({ asked, status, output }, JSON.stringify(events.slice(0, index + 1))).toEqual({
      asked: expected,
      status: over ? 'done' : 'active',
      output: over ? { code, exit: null, left } : undefined,
    });
  }
  return life;
}

test('keeps its promises on every simple path', { timeout: 300_000 }, () => {
  const ends = new Set<number>();
  let paths = 0;
  const walk = (events: readonly Event[], visited: readonly string[]): void => {
    for (const event of EVENTS) {
      // The edge itself is lived even where it leads back.
      const path = [...events, event];
      const life = live(path);
      const situation = life.situation();
      if (visited.includes(situation)) continue;
      paths++;
      const { output } = life.root.getSnapshot();
      if (output === undefined) walk(path, [...visited, situation]);
      else ends.add(output.code);
    }
  };
  walk([], [begin().situation()]);
  expect(paths).toBeGreaterThan(20);
  expect([...ends].sort((a, b) => a - b)).toEqual([0, 1, 10]);
});
