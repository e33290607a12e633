/** Each entry of a command's books by itself; the stories that they make together are in command-rules and command-stops. */
import { describe, expect, test } from 'vitest';
import type { CommandContext } from '../../machines/command-books.ts';
import * as books from '../../machines/command-books.ts';
import type { CommandEvent, Exit } from '../../machines/events.ts';
import {
  type CommandPolicy,
  giveUpStopAfter,
  HEALTHY,
  type HealthPolicy,
  type Intensity,
  NO_HEAT,
} from '../../machines/restart-policy.ts';
import { NO_ROLE } from '../../machines/tree.ts';
import { commandContext } from '../control/context.ts';
import { EXACT, idOf, killedBy, left, NOTHING, process, status } from './harness.ts';

const UNKNOWN: Exit = { known: false, code: null, signal: null, core: false };
const INTENSITY: Intensity = { restarts: 2, within: 60_000 };
const HEALTH: HealthPolicy = {
  every: 30_000,
  timeout: 5_000,
  failures: 3,
  successes: 2,
  grace: 10_000,
  onUnhealthy: 'restart',
};
const READY = { timeout: 20_000, interval: 250 };

const of = (change: Partial<CommandContext> = {}, policy: Partial<CommandPolicy> = {}): CommandContext =>
  commandContext('c', { policy: { ...EXACT, ...policy }, ...change });
const exited = (
  change: Partial<Extract<CommandEvent, { type: 'leader.exited' }>> = {},
): Extract<CommandEvent, { type: 'leader.exited' }> => ({
  type: 'leader.exited',
  at: 5_000,
  id: idOf(7),
  exit: status(1),
  heir: null,
  remains: NOTHING,
  ...change,
});
const timer: CommandEvent = { type: 'xstate.after.settle' } as unknown as CommandEvent;
const stop = (change: Partial<Extract<CommandEvent, { type: 'command.stop' }>> = {}): CommandEvent => ({
  type: 'command.stop',
  at: 1_000,
  budget: 9_000,
  everything: false,
  ...change,
});
const stopped = (change: Partial<CommandContext['stop']>): Pick<CommandContext, 'stop'> => ({
  stop: { ...of().stop, ...change },
});

describe('who and when', () => {
  test('stands for the service: the heir of who exited, and whoever is found', () => {
    expect(books.heirOf(exited({ heir: process(8) }))).toEqual(process(8));
    expect(books.heirOf(exited())).toBeNull();
    expect(books.heirOf({ type: 'leader.seen', at: 0, leader: process(9) } as CommandEvent)).toEqual(
      process(9),
    );
    expect(books.heirOf(stop())).toBeNull();
  });

  test('two processes are the same if their number and their start are', () => {
    expect(books.sameProcess(idOf(7), idOf(7))).toBe(true);
    expect(books.sameProcess(idOf(7), { ...idOf(7), startTicks: 71 })).toBe(false);
    expect(books.sameProcess({ ...idOf(7), pid: 8 }, idOf(7))).toBe(false);
    expect(books.sameProcess(null, idOf(7))).toBe(false);
  });

  test('an event has its time; a timer that of the last thing that was seen', () => {
    expect(books.timeOf(of({ since: 10, diedAt: 20 }), exited())).toBe(5_000);
    expect(books.timeOf(of({ since: 10, diedAt: 20 }), timer)).toBe(20);
    expect(books.timeOf(of({ since: 30, diedAt: 20 }), timer)).toBe(30);
    expect(books.timeOf(of({ since: 30, diedAt: null }), timer)).toBe(30);
  });

  test('a stop that its budget has ended was over when the budget was', () => {
    const context = of({ since: 10, diedAt: 20, ...stopped({ at: 100, budget: 9_000 }) });
    expect(books.restedAt(context, timer, 'stopped')).toBe(100 + giveUpStopAfter(9_000));
    expect(books.restedAt(context, timer, 'failed')).toBe(20);
    expect(books.restedAt(context, exited(), 'stopped')).toBe(5_000);
  });
});

describe('what is left', () => {
  const remains = { workers: 1, tagged: 2, sessions: 4 };

  test('of a stop: the sessions count only if everything is stopped', () => {
    expect(books.leftOf(of(stopped({ everything: false })), remains)).toBe(2);
    expect(books.leftOf(of(stopped({ everything: true })), remains)).toBe(6);
  });

  test('a signal of a stop goes to all that the stop is for', () => {
    expect(books.toStop(of(stopped({ everything: false })), 'SIGTERM')).toEqual({
      command: 'c',
      scope: 'tagged',
      signal: 'SIGTERM',
    });
    expect(books.toStop(of(stopped({ everything: true })), 'SIGKILL').scope).toBe('everything');
  });

  test('to be cleared away before a start: nobody, the workers, or all of the run', () => {
    expect(books.toClear(of({ clear: null, remains }))).toBe(0);
    expect(books.toClear(of({ clear: 'workers', remains }))).toBe(1);
    expect(books.toClear(of({ clear: 'tagged', remains }))).toBe(2);
  });

  test.each([
    [0, 'finished with status 0 and left no process; is it a one-shot?'],
    [
      1,
      'finished with status 0, and the process that it left is not the service; say which one is with match in a policy',
    ],
    [
      2,
      'finished with status 0, and none of the 2 processes that it left is the service; say which one is with match in a policy',
    ],
  ])('by a launcher, where %i are there and none of them is the service', (tagged, text) => {
    expect(books.leftNobody(of({ remains: left({ tagged }) }))).toBe(text);
  });
});

describe('times', () => {
  test('a launcher settles; one that should return has longer', () => {
    expect(books.settleTime(of({}, { settle: 7, startTimeout: 9 }))).toBe(7);
    expect(books.settleTime(of({}, { settle: 7, startTimeout: 9, returns: true }))).toBe(9);
  });

  test('to be ready there is what is left of it, and one try at least', () => {
    const ready = { ready: READY };
    expect(books.readyWithin(of(), timer)).toBe(Number.POSITIVE_INFINITY);
    // It has settled.
    expect(books.readyWithin(of({ how: 'started', since: 500 }, ready), timer)).toBe(20_000 - EXACT.settle);
    expect(books.readyWithin(of({ how: 'adopted' }, ready), timer)).toBe(20_000);
    expect(books.readyWithin(of({ since: 2_000 }, ready), exited())).toBe(17_000);
    expect(books.readyWithin(of({ since: -60_000 }, ready), exited())).toBe(250);
    const seen = (at: number, since: number): CommandEvent =>
      ({ type: 'leader.seen', at, leader: process(7, since) }) as CommandEvent;
    expect(books.readyWithin(of({ since: 0 }, ready), seen(9_000, 8_000))).toBe(19_000);
    // The kernel knows starts by ticks of a hundredth of a second.
    expect(books.readyWithin(of({ since: 0 }, ready), seen(9_000, 9_004))).toBe(20_000);
  });

  test('which signal of a stop is next, and SIGTERM where there is none', () => {
    const stopSignals = [{ signal: 'SIGINT', wait: 5 }];
    expect(books.stopStep(of(stopped({ step: 0 }), { stopSignals }))).toEqual({ signal: 'SIGINT', wait: 5 });
    expect(books.stopStep(of(stopped({ step: 1 }), { stopSignals }))).toEqual({
      signal: 'SIGTERM',
      wait: null,
    });
  });

  test('an announced end may take as long as a stop', () => {
    expect(books.endWithin(of({}, { stopTimeout: 300 }))).toBe(300);
    expect(books.endWithin(of())).toBe(books.DEFAULT_STOP);
  });
});

describe('a run that was not to end', () => {
  const context = (change: Partial<CommandContext> = {}, policy: Partial<CommandPolicy> = {}) =>
    of(
      { leader: process(7), since: 1_000, failures: 1, refusals: 2, restarts: 4, reason: 'was', ...change },
      policy,
    );

  test('and died young is a failure more, waits longer, and is started once more', () => {
    expect(books.buried(context(), exited({ remains: left({ workers: 1, tagged: 1 }) }))).toEqual({
      failures: 2,
      refusals: 0,
      wait: 500,
      heat: NO_HEAT,
      doomed: false,
      held: false,
      leader: null,
      diedAt: 5_000,
      lastExit: status(1),
      reason: null,
      remains: left({ workers: 1, tagged: 1 }),
      clear: 'workers',
      cleared: false,
      restarts: 5,
    });
  });

  test('and was long of use has no failures behind it any more', () => {
    const old = books.buried(context(), exited({ at: 11_000 }));
    expect(old).toMatchObject({ failures: 0, refusals: 0, wait: 0 });
    expect(books.buried(context(), exited({ at: 10_999 }))).toMatchObject({ failures: 2 });
    // What is to end has failed however long it took.
    for (const kind of ['oneshot', 'cron'] as const) {
      expect(books.buried(context({}, { kind }), exited({ at: 1e9 }))).toMatchObject({ failures: 2 });
    }
  });

  test('is no restart more where none follows', () => {
    for (const policy of [{ restart: 'never' }, { giveUpAfter: 2 }] as const) {
      expect(books.buried(context({}, policy), exited())).toMatchObject({ restarts: 4 });
    }
    expect(books.buried(context({}, { giveUpAfter: 3 }), exited())).toMatchObject({ restarts: 5 });
    expect(books.buried(context({}, { restart: 'never' }), exited())).toMatchObject({ doomed: true });
  });

  test('heats up where an intensity counts it', () => {
    const heat = { restarts: 1, at: 5_000 };
    expect(books.buried(context({ heat }, { intensity: INTENSITY }), exited()).heat).toEqual({
      restarts: 2,
      at: 5_000,
    });
    expect(books.buried(context({ heat }), exited()).heat).toBe(heat);
  });

  test.each([
    ['keep', null],
    ['stop-all', 'tagged'],
    ['stop-workers', 'workers'],
  ] as const)('leaves its stragglers as the policy says: %s', (stragglers, clear) => {
    expect(books.buried(context({}, { stragglers }), exited())).toMatchObject({ clear });
  });

  test('is held where its group has a say', () => {
    const role = { ...NO_ROLE, grouped: true };
    expect(books.buried(context({ role }), exited())).toMatchObject({ held: true });
  });
});

describe('a run that was to end', () => {
  test('forgets what was before, and keeps how it ended', () => {
    const before = of({
      leader: process(7),
      failures: 3,
      wait: 9,
      doomed: true,
      reason: 'was',
      cleared: true,
    });
    expect(books.concluded(before, exited({ exit: status(0), remains: left({ tagged: 1 }) }))).toEqual({
      ...books.FORGIVEN,
      leader: null,
      diedAt: 5_000,
      lastExit: status(0),
      remains: left({ tagged: 1 }),
      reason: null,
    });
    const daemon = of({ leftAt: 77, lastExit: status(0), remains: left({ sessions: 2 }) });
    expect(books.concluded(daemon, timer)).toMatchObject({
      diedAt: 77,
      lastExit: status(0),
      remains: left({ sessions: 2 }),
    });
  });

  test('has done what it was for by its status', () => {
    const once = of({}, { kind: 'oneshot', restart: 'on-failure', successCodes: [0, 3] });
    expect(books.isDone(once, status(3))).toBe(true);
    expect(books.isDone(once, status(1))).toBe(false);
    expect(books.isDone(once, killedBy('SIGTERM'))).toBe(false);
    expect(books.isDone(once, UNKNOWN)).toBe(false);
    expect(books.isDone(once, null)).toBe(false);
    expect(books.isDone(of(), status(0))).toBe(false);
  });

  test('is told with how long it took, and whether that was a success', () => {
    const done = of({ since: 1_000, diedAt: 4_000, lastExit: status(0) });
    expect(books.completed(done, timer)).toEqual({
      type: 'command.completed',
      command: 'c',
      exit: status(0),
      success: true,
      took: 3_000,
    });
    expect(books.completed(done, exited())).toMatchObject({ took: 4_000 });
    expect(books.completed(of({ since: 1_000, diedAt: null }), timer)).toMatchObject({ took: 0 });
    // The run before had ended before this one began.
    expect(books.completed(of({ since: 9_000, diedAt: 4_000 }), timer)).toMatchObject({ took: 0 });
    expect(books.completed(of({ doomed: true }), timer)).toMatchObject({ success: false });
  });
});

describe('a start that has failed', () => {
  const failed = (blame: 'command' | 'system'): CommandEvent => ({
    type: 'launch.failed',
    at: 5_000,
    error: 'no such program',
    blame,
  });

  test('by itself is a failure more, and nothing of it is to remain', () => {
    const before = of({
      failures: 1,
      lastExit: status(9),
      diedAt: null,
      intensity: null,
    } as Partial<CommandContext>);
    expect(books.blamed(before, failed('command'), 'why')).toEqual({
      failures: 2,
      refusals: 0,
      wait: 500,
      heat: NO_HEAT,
      doomed: false,
      leader: null,
      lastExit: status(9),
      diedAt: 5_000,
      reason: 'why',
      remains: NOTHING,
      clear: 'tagged',
    });
  });

  test('by the system counts towards nothing, and waits a second at least', () => {
    const heat = { restarts: 1, at: 5_000 };
    const before = of({ failures: 1, refusals: 1, heat }, { restart: 'never', intensity: INTENSITY });
    const after = books.blamed(before, failed('system'), 'fork');
    expect(after).toMatchObject({ failures: 1, refusals: 2, wait: 1_000, doomed: false });
    expect(after).not.toHaveProperty('heat');
    expect(books.blamed(before, failed('command'), 'x')).toMatchObject({
      refusals: 0,
      doomed: true,
      heat: { restarts: 2, at: 5_000 },
    });
    // Together they are longer than that.
    const many = books.blamed(of({ failures: 1, refusals: 5 }), failed('system'), 'fork');
    expect(many).toMatchObject({ wait: 16_000 });
  });

  test('and has left somebody is tried again at once, one time', () => {
    const leaves = exited({ remains: left({ tagged: 1 }) });
    expect(books.blamed(of(), leaves, 'x')).toMatchObject({ wait: 0, cleared: true, failures: 1 });
    expect(books.blamed(of({ cleared: true }), leaves, 'x')).toMatchObject({ wait: 250 });
    expect(books.blamed(of(), exited({ remains: left({ sessions: 1 }) }), 'x')).toMatchObject({ wait: 250 });
    const keeps = books.blamed(of({}, { stragglers: 'keep' }), leaves, 'x');
    expect(keeps).toMatchObject({ wait: 250, clear: null });
    expect(keeps).not.toHaveProperty('cleared');
  });

  test('keeps how the run before has ended, unless it was to end', () => {
    expect(books.blamed(of({ lastExit: status(9) }), exited(), 'x').lastExit).toEqual(status(1));
    const once = of({ lastExit: status(9) }, { kind: 'oneshot' });
    expect(books.blamed(once, failed('command'), 'x').lastExit).toBeNull();
    expect(books.blamed(once, timer, 'x').lastExit).toEqual(status(9));
  });

  test('where a daemon has not come is dated by the end of the wait for it', () => {
    const before = of(
      { leftAt: 3_000, diedAt: null, heat: NO_HEAT },
      { intensity: INTENSITY, linger: 2_000 },
    );
    expect(books.blamed(before, timer, 'x')).toMatchObject({
      heat: { restarts: 1, at: 5_000 },
      diedAt: null,
    });
    expect(books.blamed(of({ diedAt: 8 }), exited(), 'x')).toMatchObject({ diedAt: 8 });
  });

  test('is told with what follows: a wait, at once, or nothing', () => {
    const told = (change: Partial<CommandContext>, policy: Partial<CommandPolicy> = {}) =>
      books.failedStart(of({ reason: 'why', failures: 2, wait: 500, ...change }, policy), 7, status(1));
    expect(told({})).toEqual({
      type: 'command.failedStart',
      command: 'c',
      pid: 7,
      reason: 'why',
      exit: status(1),
      failures: 2,
      wait: 500,
    });
    expect(told({ wait: 0 })).toMatchObject({ wait: 0 });
    expect(told({}, { giveUpAfter: 2 })).toMatchObject({ wait: null });
  });
});

describe('one that runs and is of no use', () => {
  const sick = (change: Partial<CommandContext> = {}, policy: Partial<CommandPolicy> = {}) =>
    of(
      { leader: process(7), since: 1_000, failures: 1, restarts: 4, isReady: true, ...change },
      { health: HEALTH, ready: READY, ...policy },
    );
  const at = (time: number): CommandEvent =>
    ({ type: 'probe.finished', at: time, reason: 'no' }) as CommandEvent;

  test('is stopped in the time that the policy gives, which is a fault and no order', () => {
    const change = books.condemned(sick({}, { stopTimeout: 4_000 }), at(5_000), 'no');
    expect(change).toMatchObject({
      failures: 2,
      wait: 500,
      restarts: 5,
      doomed: false,
      held: false,
      reason: 'no',
    });
    expect(change.stop).toEqual({
      at: 5_000,
      budget: 4_000,
      everything: false,
      faulted: true,
      forGood: false,
      left: 0,
      step: 0,
      undoes: false,
      idle: false,
      hastened: false,
      killed: null,
    });
    expect(books.condemned(sick(), at(5_000), 'no').stop!.budget).toBe(books.DEFAULT_STOP);
  });

  test('has its failures before a long time of use forgiven', () => {
    expect(books.condemned(sick(), at(11_000), 'no')).toMatchObject({ failures: 1 });
    expect(books.condemned(sick(), at(10_999), 'no')).toMatchObject({ failures: 2 });
    expect(books.condemned(sick({ isReady: false }), at(11_000), 'no')).toMatchObject({ failures: 2 });
    expect(books.condemned(sick({}, { kind: 'cron' }), at(11_000), 'no')).toMatchObject({ failures: 2 });
  });

  test('is for good where it may not be restarted, or health says so of one that was ready', () => {
    const fail = { health: { ...HEALTH, onUnhealthy: 'fail' } } as const;
    expect(books.condemned(sick({}, { restart: 'never' }), at(5_000), 'no')).toMatchObject({ doomed: true });
    expect(books.condemned(sick({}, fail), at(5_000), 'no')).toMatchObject({ doomed: true, restarts: 4 });
    expect(books.condemned(sick({ isReady: false }, fail), at(5_000), 'no')).toMatchObject({ doomed: false });
    expect(books.condemned(sick({}, { health: null }), at(5_000), 'no')).toMatchObject({ doomed: false });
  });

  test('before it was ever ready has had no run that could be restarted, and its group no say', () => {
    const role = { ...NO_ROLE, grouped: true };
    const never = books.condemned(sick({ isReady: false, role }), at(5_000), 'no');
    expect(never).not.toHaveProperty('restarts');
    expect(never).toMatchObject({ held: false });
    expect(books.condemned(sick({ role }), at(5_000), 'no')).toMatchObject({ held: true, restarts: 5 });
  });

  test('is dated by the end of its time, where a timer has ended it', () => {
    const when = (change: Partial<CommandContext>, policy: Partial<CommandPolicy> = {}) =>
      books.condemned(sick(change, policy), timer, 'late').stop!.at;
    expect(when({ isReady: false })).toBe(21_000);
    expect(when({ isReady: false }, { ready: null })).toBe(1_000);
    expect(when({ endsSince: 3_000 })).toBe(3_000 + books.DEFAULT_STOP);
    expect(when({ endsSince: 3_000 }, { stopTimeout: 100 })).toBe(3_100);
    const heated = books.condemned(sick({ isReady: false }, { intensity: INTENSITY }), timer, 'late');
    expect(heated.heat).toEqual({ restarts: 1, at: 21_000 });
  });

  test('is told of by what follows', () => {
    const told = (isBorne: boolean, change: Partial<CommandContext> = {}) =>
      books.unhealthy(of(change), 'no', isBorne);
    expect(told(true, { doomed: true })).toMatchObject({ next: 'ignore', reason: 'no' });
    expect(told(false)).toMatchObject({ next: 'restart' });
    expect(told(false, { doomed: true })).toMatchObject({ next: 'fail' });
    expect(books.unhealthy(of(), null, true)).toMatchObject({ reason: '' });
  });

  test('says why it was too late', () => {
    expect(books.lateReason(of())).toBe('it was not ready in time');
    expect(books.lateReason(of({ unready: 'refused' }))).toBe('it was not ready in time: refused');
    expect(books.lateReason(of({ said: 'loading' }))).toBe('it was not ready in time (its status: loading)');
    expect(books.lateReason(of({ unready: 'refused', said: 'loading' }))).toBe(
      'it was not ready in time: refused (its status: loading)',
    );
  });

  test('ends before it was ready: that is a failed start, unless it is all that was asked', () => {
    const context = of({ leader: process(7) });
    expect(books.endsUnready(context, exited())).toBe(true);
    expect(books.endsUnready(context, exited({ id: idOf(8) }))).toBe(false);
    expect(books.endsUnready({ ...context, isReady: true }, exited())).toBe(false);
    expect(books.endsUnready(of({ leader: null }), exited())).toBe(false);
    const once = of({ leader: process(7) }, { kind: 'oneshot', restart: 'on-failure' });
    expect(books.endsUnready(once, exited({ exit: status(0) }))).toBe(false);
    expect(books.endsUnready(context, timer)).toBe(false);
  });
});

describe('a stop', () => {
  test('by order is for good, in the time that order and policy leave', () => {
    const before = of({
      queued: true,
      held: true,
      ...stopped({ left: 3, step: 2, faulted: true, killed: 'just' }),
    });
    expect(books.plannedStop(before, stop({ everything: true }))).toEqual({
      desired: 'down',
      queued: false,
      held: false,
      stop: {
        at: 1_000,
        budget: 9_000,
        everything: true,
        faulted: false,
        forGood: true,
        left: 0,
        step: 0,
        undoes: false,
        idle: false,
        hastened: false,
        killed: null,
      },
    });
    expect(books.plannedStop(of({}, { stopTimeout: 700 }), stop()).stop!.budget).toBe(700);
  });

  test('for the next run is not, and keeps what an order is to be', () => {
    const before = of({ ...stopped({ everything: true }), role: { ...NO_ROLE, waits: true }, since: 44 });
    const change = books.plannedStop(before, timer);
    expect(change).toMatchObject({ desired: 'up', bound: true, held: false });
    expect(change).not.toHaveProperty('queued');
    expect(change.stop).toMatchObject({
      at: 44,
      budget: books.DEFAULT_STOP,
      everything: true,
      forGood: false,
      faulted: false,
    });
    expect(books.plannedStop(of({}, { stopTimeout: 700 }), timer)).toMatchObject({
      bound: false,
      stop: { budget: 700 },
    });
  });

  test('of somebody who comes late is for good, whoever brings him', () => {
    expect(books.lateStop(of(), timer)).toMatchObject({
      desired: 'down',
      held: false,
      stop: { forGood: true, faulted: false },
    });
  });

  test('of what does not run undoes what a oneshot did, and is idle where nothing is left', () => {
    const once = { kind: 'oneshot', ownStop: true } as const;
    const of2 = (remains: CommandContext['remains'], policy: Partial<CommandPolicy>, wasDone: boolean) =>
      books.restingStop(of({ remains }, policy), stop(), wasDone).stop;
    expect(of2(NOTHING, once, true)).toMatchObject({ undoes: true, idle: false });
    expect(of2(NOTHING, once, false)).toMatchObject({ undoes: false, idle: true });
    expect(of2(NOTHING, { ...once, ownStop: false }, true)).toMatchObject({ undoes: false, idle: true });
    expect(of2(NOTHING, { ...once, kind: 'cron' }, true)).toMatchObject({ undoes: false });
    expect(of2(left({ tagged: 1 }), {}, false)).toMatchObject({ idle: false });
    expect(of2(left({ sessions: 1 }), {}, false)).toMatchObject({ idle: false });
  });

  test('that is ordered once more with less time is done in that', () => {
    const under = stopped({
      at: 1_000,
      budget: 9_000,
      everything: false,
      faulted: true,
      step: 1,
      killed: 'just',
    });
    const change = books.hastenedStop(
      of({ ...under, queued: true, held: true }),
      stop({ at: 2_000, budget: 500 }),
    );
    expect(change).toMatchObject({ desired: 'down', queued: false, held: false });
    expect(change.stop).toMatchObject({
      at: 2_000,
      budget: 500,
      everything: false,
      faulted: false,
      forGood: true,
      hastened: true,
      step: 1,
      killed: null,
    });
    const wider = books.hastenedStop(of(under), stop({ everything: true }));
    expect(wider.stop).toMatchObject({ everything: true });
    const narrower = books.hastenedStop(of(stopped({ everything: true })), stop());
    expect(narrower.stop).toMatchObject({ everything: true });
    expect(books.hastenedStop(of(under, { stopTimeout: 100 }), stop()).stop).toMatchObject({ budget: 100 });
    expect(books.hastenedStop(of(under), timer)).toEqual({});
  });

  test('is hastened by an order that ends sooner alone', () => {
    const under = of(stopped({ at: 1_000, budget: 9_000 }));
    expect(books.hastens(under, stop({ at: 2_000, budget: 7_999 }))).toBe(true);
    expect(books.hastens(under, stop({ at: 2_000, budget: 8_000 }))).toBe(false);
    expect(
      books.hastens(of({ stop: under.stop }, { stopTimeout: 10 }), stop({ at: 2_000, budget: 1e9 })),
    ).toBe(true);
    expect(books.hastens(under, timer)).toBe(false);
  });

  test("asks by the service's own command first, if it has one and somebody to ask", () => {
    const own = { ownStop: true };
    expect(books.asksFirst(of({ leader: process(7) }, own))).toBe(true);
    expect(books.asksFirst(of({ leader: process(7) }))).toBe(false);
    expect(books.asksFirst(of({ leader: null }, own))).toBe(false);
    expect(books.asksFirst(of({ leader: null, ...stopped({ undoes: true }) }, own))).toBe(true);
    expect(books.asksFirst(of({ leader: process(7), ...stopped({ hastened: true }) }, own))).toBe(false);
  });
});

describe('a probe', () => {
  const finished = (reason: string | null, time: number): CommandEvent =>
    ({ type: 'probe.finished', at: time, reason }) as CommandEvent;

  test('counts once the grace is over', () => {
    const context = of({ since: 1_000 }, { health: HEALTH });
    expect(books.probed(context, finished('no', 11_000))).toEqual({ healthy: true, inARow: 1 });
    expect(books.probed(context, finished('no', 10_999))).toEqual(HEALTHY);
    const sick = of({ since: 1_000, health: { healthy: false, inARow: 1 } }, { health: HEALTH });
    expect(books.probed(sick, finished(null, 2_000))).toEqual({ healthy: true, inARow: 0 });
    expect(books.probed(of(), finished('no', 1e9))).toBe(HEALTHY);
    expect(books.probed(context, timer)).toBe(HEALTHY);
  });
});

describe('a policy that was read again', () => {
  const adjust = (policy: Partial<CommandPolicy>, role = NO_ROLE): CommandEvent =>
    ({ type: 'command.adjust', at: 0, policy: { ...EXACT, ...policy }, role }) as CommandEvent;

  test('holds from now on; the next run is of the schedule alone', () => {
    const cron = of({ nextRun: 7, bound: true }, { kind: 'cron' });
    expect(books.adjusted(cron, adjust({ kind: 'cron', settle: 3 }))).toEqual({
      policy: { ...EXACT, kind: 'cron', settle: 3 },
      role: NO_ROLE,
      nextRun: 7,
      bound: false,
    });
    expect(books.adjusted(cron, adjust({}))).toMatchObject({ nextRun: null });
    expect(books.adjusted(cron, timer)).toEqual({});
  });

  test('waits on where it waited and still is to, and is set free by a group that has no say any more', () => {
    const waits = { ...NO_ROLE, waits: true };
    expect(books.adjusted(of({ bound: true }), adjust({}, waits))).toMatchObject({ bound: true });
    expect(books.adjusted(of({ bound: false }), adjust({}, waits))).toMatchObject({ bound: false });
    expect(books.adjusted(of({ held: true, bound: false }), adjust({}, waits))).toMatchObject({
      held: false,
      bound: true,
    });
    const grouped = books.adjusted(of({ held: true }), adjust({}, { ...NO_ROLE, grouped: true }));
    expect(grouped).not.toHaveProperty('held');
    expect(books.adjusted(of({ held: false }), adjust({}))).not.toHaveProperty('held');
  });
});

test('a death is told with how long it lived and what follows', () => {
  const context = of({ since: 1_000, restarts: 3, wait: 250, remains: left({ tagged: 1 }) });
  expect(books.died(context, exited())).toEqual({
    type: 'command.died',
    command: 'c',
    id: idOf(7),
    exit: status(1),
    uptime: 4_000,
    restart: 3,
    wait: 250,
    remains: left({ tagged: 1 }),
  });
  expect(books.died({ ...context, doomed: true }, exited())).toMatchObject({ wait: null });
});

test('a handover names who has taken over', () => {
  expect(books.handedOver(of(), exited({ heir: process(8) }))).toEqual({
    type: 'command.running',
    command: 'c',
    leader: process(8),
    how: 'handover',
    took: null,
  });
  expect(books.overlapped(of(), 'queue')).toEqual({
    type: 'command.overlapped',
    command: 'c',
    next: 'queue',
  });
});

describe('it is given up', () => {
  const hot = { restarts: 2.5, at: 0 };

  test('by doom, by failures in a row, or by heat', () => {
    expect(books.hasGivenUp(of({ failures: 9, heat: hot }))).toBe(false);
    expect(books.hasGivenUp(of({ doomed: true }))).toBe(true);
    expect(books.hasGivenUp(of({ failures: 2 }, { giveUpAfter: 2 }))).toBe(true);
    expect(books.hasGivenUp(of({ heat: hot }, { intensity: INTENSITY }))).toBe(true);
  });

  test.each<[string, Partial<CommandContext>, Partial<CommandPolicy>]>([
    ['more than 2 restarts in 60 s', { heat: hot }, { intensity: INTENSITY }],
    ['more than 1 restart in 5 min', { heat: hot }, { intensity: { restarts: 1, within: 300_000 } }],
    ['it exited with status 1', { heat: hot, doomed: true, lastExit: status(1) }, { intensity: INTENSITY }],
    ['2 failures in a row', { failures: 2, lastExit: status(1) }, {}],
    ['it exited with status 1', { failures: 1, lastExit: status(1) }, {}],
    ['it exited with status 1', { failures: 2, doomed: true, lastExit: status(1) }, {}],
    ['no such program', { failures: 1, reason: 'no such program', lastExit: status(1) }, {}],
    ['it exited with status 1', { reason: 'exited', lastExit: status(1) }, {}],
    ['it was killed by SIGSEGV', { lastExit: killedBy('SIGSEGV') }, {}],
    ['it ended, and nobody knows how', { lastExit: UNKNOWN }, {}],
    ['it ended, and nobody knows how', { lastExit: null }, {}],
    [
      'it exited with status 0, and is not to be restarted',
      { doomed: true, lastExit: status(0) },
      { restart: 'never' },
    ],
  ])('which is told as: %s', (text, change, policy) => {
    expect(books.whyFailed(of(change, policy))).toBe(text);
  });

  test.each([
    [7_200_000, '2 h'],
    [3_600_000, '60 min'],
    [60_000, '60 s'],
    [120_000, '2 min'],
    [90_000, '90 s'],
    [1_000, '1 s'],
    [1_500, '1.5 s'],
    [2_000, '2 s'],
    [999, '999 ms'],
    [1, '1 ms'],
  ])('within %i ms, in words: %s', (ms, text) => {
    expect(books.inWords(ms)).toBe(text);
  });
});

describe('a machine that takes over from another is told again', () => {
  const before = of({ leader: process(7), said: 'loading', endsSince: 40 });

  test('what the same process has said, and does not say again', () => {
    expect(books.saidBefore(before, of({ leader: process(7) }), 50)).toEqual([
      { type: 'status.told', at: 50, status: 'loading' },
      { type: 'end.announced', at: 40 },
    ]);
    expect(books.saidBefore(before, of({ leader: process(7), said: 'x', endsSince: 9 }), 50)).toEqual([]);
    expect(books.saidBefore(of({ leader: process(7) }), of({ leader: process(7) }), 50)).toEqual([]);
  });

  test('nothing of another process, or of nobody', () => {
    expect(books.saidBefore(before, of({ leader: process(8) }), 50)).toEqual([]);
    expect(books.saidBefore({ ...before, leader: null }, of({ leader: process(7) }), 50)).toEqual([]);
    expect(books.saidBefore(undefined, of({ leader: process(7) }), 50)).toEqual([]);
    expect(books.saidBefore(before, undefined, 50)).toEqual([]);
  });
});
