/** What a launch that is answered late comes to, when a reload has put its command elsewhere meanwhile. */
import { Subject } from 'rxjs';
import { expect, test, vi } from 'vitest';
import { createActor, type EventObject, fromCallback, fromEventObservable } from 'xstate';
import { commandMachine } from '../../machines/command.ts';
import type { Exit, ProcessId, ScanReport, Telling } from '../../machines/events.ts';
import { groupMachine } from '../../machines/group.ts';
import { supervisorMachine } from '../../machines/supervisor.ts';
import { unwritten } from '../../machines/tree.ts';
import { launchActor } from '../../src/actors/launch.ts';
import { createSteppingClock } from '../machines/clock.ts';
import { NOTHING, pathOf } from '../machines/harness.ts';
import { command, group } from '../machines/supervisor-world.ts';

type Answer = ProcessId | { error: string; blame: 'command' | 'system' };
const KILLED: Exit = { known: true, code: null, signal: 'SIGKILL', core: false };
const a = command('a', { policy: { settle: 1_000 } });
const loose = unwritten([a]);

/** A root whose launches are answered when the test says so. */
function begin() {
  const clock = createSteppingClock();
  const reports = new Subject<ScanReport>();
  const told: Telling[] = [];
  const asked: ((answer: Answer) => void)[] = [];
  const ignored = fromCallback<EventObject, never>(() => {});
  const tell = (_: unknown, telling: Telling): void => void told.push(telling);
  const launch = launchActor({
    now: clock.now,
    start: () => new Promise<Answer>((resolve) => asked.push(resolve)),
  });
  const actors = { launch, stopper: ignored, probe: ignored, schedule: ignored };
  const provided = commandMachine.provide({
    actors: actors as never,
    actions: { tell, signal: () => {}, reload: () => {} },
  });
  const machine = supervisorMachine.provide({
    actors: {
      group: groupMachine.provide({ actors: { command: provided }, actions: { tell } }),
      scan: fromEventObservable<ScanReport, { commands: readonly string[] }>(() => reports),
    },
    actions: { tell },
  });
  const plan = { groups: loose, grace: 9_000, exitWhen: 'never', exitCodeFrom: null } as const;
  const root = createActor(machine, { clock, input: { ...plan, seed: 1 } }).start();
  reports.next({ type: 'scan.began', at: 0, found: {} });
  return {
    told,
    asked,
    clock,
    state(): string {
      const actor = root.getSnapshot().context.groupOf.a!.getSnapshot().context.actors.a!;
      return pathOf(actor.getSnapshot().value);
    },
    move(to: string): void {
      const groups = to === 'loose' ? loose : [group(to, 'one_for_all', [a])];
      const diff = {
        started: [],
        stopped: [],
        restarted: [],
        adjusted: [],
        unchanged: 1,
        sections: [],
        notes: {},
      };
      root.send({ type: 'policy.changed', at: clock.now(), plan: { ...plan, groups }, diff, found: {} });
    },
    dies(id: ProcessId): void {
      const fact = {
        type: 'leader.exited',
        at: clock.now(),
        id,
        exit: KILLED,
        heir: null,
        remains: NOTHING,
      } as const;
      reports.next({ type: 'scan.changed', at: clock.now(), facts: [{ command: 'a', fact }] });
    },
  };
}

const ID = { pid: 7, startTicks: 70 };

test('the new actor hears of the process, and of its end, and starts none beside it', async () => {
  const w = begin();
  w.move('g');
  w.move('h');
  expect([w.state(), w.asked.length]).toEqual(['restarting.launching', 1]);
  w.asked[0]!(ID);
  await vi.waitFor(() => expect(w.state()).toBe('restarting.settling.patient'));
  expect(w.told.filter(({ type }) => type === 'command.launched')).toEqual([
    { type: 'command.launched', command: 'a', pid: 7, start: 1 },
  ]);
  w.clock.advance(1_000);
  expect(w.state()).toBe('running.ready.unchecked');
  w.dies(ID);
  expect(w.told.filter(({ type }) => type === 'command.died')).toMatchObject([{ id: ID, uptime: 1_000 }]);
  await vi.waitFor(() => expect(w.asked).toHaveLength(2));
});

test('where that has failed, the new actor starts one by itself, and nothing is held against it', async () => {
  const w = begin();
  w.move('g');
  w.asked[0]!({ error: 'ENOENT', blame: 'command' });
  await vi.waitFor(() => expect(w.asked).toHaveLength(2));
  expect(w.told.filter(({ type }) => type === 'command.failedStart')).toEqual([]);
  w.asked[1]!(ID);
  await vi.waitFor(() => expect(w.state()).toBe('restarting.settling.patient'));
});

test('whoever does not wait any more when it fails starts nothing', async () => {
  const w = begin();
  w.move('g');
  w.move('loose');
  w.asked[0]!({ error: 'ENOENT', blame: 'command' });
  await vi.waitFor(() => expect(w.asked).toHaveLength(2));
  w.asked[1]!(ID);
  await vi.waitFor(() => expect(w.state()).toBe('restarting.settling.patient'));
  expect(w.asked).toHaveLength(2);
});

test('what start throws, and what it rejects with, is the system’s fault', async () => {
  for (const start of [
    () => Promise.reject(new Error('EAGAIN')),
    () => {
      throw new Error('EAGAIN');
    },
  ]) {
    const events: EventObject[] = [];
    const parent = createActor(
      fromCallback(({ receive, self }) => {
        receive((event) => void events.push(event));
        createActor(launchActor({ now: () => 5, start }), {
          input: { command: 'a' },
          parent: self,
        } as never).start();
      }),
    ).start();
    await vi.waitFor(() =>
      expect(events).toEqual([{ type: 'launch.failed', at: 5, error: 'EAGAIN', blame: 'system' }]),
    );
    parent.stop();
  }
});

test('of many at once some have to wait for others to be heard, in the order in which they were asked for', async () => {
  let time = 0;
  const started: string[] = [];
  const names = Array.from({ length: 30 }, (_, index) => `c${index}`);
  const start = (name: string): ProcessId => {
    started.push(name);
    // As a spawn of Node does.
    time += 3;
    return { pid: started.length, startTicks: 1 };
  };
  const logic = launchActor({ now: () => time, start });
  const actors = names.map((name) => createActor(logic, { input: { command: name } }).start());
  expect(started.length).toBeGreaterThan(0);
  expect(started.length).toBeLessThan(10);
  // Who is not wanted any more is not started.
  actors.at(-1)!.stop();
  const heard: number[] = [];
  const listen = (): void => {
    heard.push(started.length);
    if (started.length < 29) setImmediate(listen);
  };
  setImmediate(listen);
  await vi.waitFor(() => expect(started).toEqual(names.slice(0, 29)));
  expect(heard.filter((count) => count < 29).length).toBeGreaterThanOrEqual(2);
});
