/** What a policy file can say of one command, rule by rule, each as a story on a virtual clock. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Exit } from '../../machines/events.ts';
import type { CommandPolicy, HealthPolicy } from '../../machines/restart-policy.ts';
import { NO_ROLE } from '../../machines/tree.ts';
import {
  counted,
  EXACT,
  exits,
  type Harness,
  type HarnessOptions,
  killedBy,
  launched,
  left,
  NOTHING,
  process,
  startCommand,
  status,
  stop,
} from './harness.ts';

const answers = (h: Harness, reason: string | null): void => h.send({ type: 'probe.finished', reason });
/** The run that is under way, from the launch to its end. */
const runs = (h: Harness, pid: number, ms: number, exit: Exit): void => {
  launched(h, pid);
  h.advance(ms);
  exits(h, pid, exit);
};
const UNKNOWN: Exit = { known: false, code: null, signal: null, core: false };

/** A foreground program that has settled; what led there is not in the news. */
function foreground(options: HarnessOptions = {}): Harness {
  const h = startCommand(options);
  launched(h, 7);
  h.advance(1_000);
  h.news();
  return h;
}

describe('a oneshot', () => {
  const ONCE: Partial<CommandPolicy> = { kind: 'oneshot', restart: 'on-failure', giveUpAfter: 1 };

  test('runs to its end, and is done: nothing starts it again', () => {
    const h = startCommand({ policy: ONCE });
    runs(h, 7, 400, status(0));
    expect(h.state()).toBe('completed.done');
    expect(h.news()).toEqual([
      '0 launch',
      '0 command.launched 7 #1',
      '400 command.completed with success 0 took 400',
      '400 rested completed 0',
    ]);
    h.advance(1e9);
    expect(h.launches()).toEqual([0]);
    expect(h.clock.pending()).toBe(0);
  });

  test('that takes long counts as running in between', () => {
    const h = startCommand({ policy: ONCE });
    launched(h, 7);
    h.advance(60_000);
    expect(h.state()).toBe('running.ready.unchecked');
    exits(h, 7, status(0));
    expect(h.news().slice(2)).toEqual([
      '1000 command.running started 7 took null',
      '60000 command.completed with success 0 took 60000',
      '60000 rested completed 0',
    ]);
  });

  test.each([400, 60_000])('that has failed after %i ms has failed for good, without retries', (ms) => {
    const h = startCommand({ policy: ONCE });
    runs(h, 7, ms, status(4));
    expect(h.state()).toBe('failed.ended');
    expect(h.news().slice(-2)).toEqual([
      `${ms} command.failed it exited with status 4`,
      `${ms} rested failed 0`,
    ]);
    expect(h.effects.at(-1)).toMatchObject({ effect: 'rested', exit: status(4) });
  });

  test('is tried as often again as its retries say, each time a little later', () => {
    const h = startCommand({ policy: { ...ONCE, giveUpAfter: 3 } });
    runs(h, 7, 60_000, status(4));
    expect(h.state()).toBe('backoff');
    h.advance(250);
    runs(h, 8, 60_000, status(4));
    h.advance(500);
    runs(h, 9, 60_000, killedBy('SIGKILL'));
    expect(h.launches()).toEqual([0, 60_250, 120_750]);
    expect(h.news().slice(-2)).toEqual([
      '180750 command.failed 3 failures in a row',
      '180750 rested failed 0',
    ]);
  });

  test('that succeeds at the second try is done, and nothing is held against it later', () => {
    const h = startCommand({ policy: { ...ONCE, giveUpAfter: 2 } });
    runs(h, 7, 10, status(1));
    h.advance(250);
    runs(h, 8, 10, status(0));
    expect(h.state()).toBe('completed.done');
    expect(h.context()).toMatchObject({ failures: 0, wait: 0, lastExit: status(0) });
  });

  test('is not waited for when it left with status 0, and not followed into the background', () => {
    const h = startCommand({ policy: ONCE });
    launched(h, 7);
    exits(h, 7, status(0), process(8), left({ tagged: 1 }));
    expect(h.state()).toBe('completed.done');
    expect(h.news().at(-1)).toBe('0 rested completed 1');
  });

  test('says which status is a success: 3 is, and 0 is not', () => {
    const codes = { ...ONCE, successCodes: [3] };
    const done = startCommand({ policy: codes });
    runs(done, 7, 10, status(3));
    expect(done.state()).toBe('completed.done');
    const failed = startCommand({ policy: codes });
    runs(failed, 7, 10, status(0));
    expect(failed.state()).toBe('failed.ended');
    expect(failed.news().at(-2)).toBe('10 command.failed it exited with status 0');
  });

  test('that was found running, and whose end nobody could tell, has not succeeded', () => {
    const h = startCommand({ policy: ONCE, found: process(7) });
    h.advance(100);
    exits(h, 7, UNKNOWN);
    expect(h.news().at(-2)).toBe('100 command.failed it ended, and nobody knows how');
  });

  test('that cannot be run is not said to have ended as it did the time before', () => {
    const h = startCommand({ policy: ONCE });
    runs(h, 7, 10, status(0));
    h.send({ type: 'command.start' });
    h.send({ type: 'launch.failed', error: 'no such program', blame: 'command' });
    expect(h.news().slice(-2)).toEqual(['10 command.failed no such program', '10 rested failed 0']);
    expect(h.effects.at(-1)).toMatchObject({ exit: null });
  });

  test('a system that cannot fork is no failure of its own', () => {
    const h = startCommand({ policy: { ...ONCE, restart: 'never' } });
    h.send({ type: 'launch.failed', error: 'EAGAIN', blame: 'system' });
    expect(h.state()).toBe('backoff');
    h.advance(1_000);
    runs(h, 7, 10, status(0));
    expect(h.state()).toBe('completed.done');
  });

  test('an order runs it once more; a stop ends what it left', () => {
    const h = startCommand({ policy: ONCE });
    runs(h, 7, 10, status(0));
    h.send({ type: 'command.start' });
    runs(h, 8, 10, status(0));
    expect(h.state()).toBe('completed.done');
    stop(h);
    expect(h.state()).toBe('stopping.terminating');
    counted(h);
    expect(h.news().slice(-2)).toEqual(['20 command.stopped took 0 left 0', '20 rested stopped 0']);
  });
});

describe('restart: on-failure', () => {
  const policy = { restart: 'on-failure' } as const;

  test('a service that ends well is done', () => {
    const h = foreground({ policy });
    h.advance(5_000);
    exits(h, 7, status(0));
    expect(h.news()).toEqual(['6000 command.completed with success 0 took 6000', '6000 rested completed 0']);
  });

  test.each([status(1), killedBy('SIGTERM'), UNKNOWN])('one that does not is started again: %o', (exit) => {
    const h = foreground({ policy });
    h.advance(20_000);
    exits(h, 7, exit);
    expect(h.state()).toBe('restarting.launching');
  });

  test('a launcher that leaves with 0 may leave a daemon; it is done only when there is none', () => {
    const h = startCommand({ policy });
    launched(h, 7);
    h.advance(100);
    exits(h, 7, status(0));
    expect(h.state()).toBe('restarting.lingering');
    h.advance(2_000);
    // What it took is known, though no process told when that was over.
    expect(h.news().slice(2)).toEqual([
      '2100 command.completed with success 0 took 100',
      '2100 rested completed 0',
    ]);
  });

  test('another code of success needs no waiting: no daemon is left with that', () => {
    const h = startCommand({ policy: { ...policy, successCodes: [0, 3] } });
    runs(h, 7, 100, status(3));
    expect(h.state()).toBe('completed.done');
  });

  test('the heir of a leader that left with 0 is followed', () => {
    const h = foreground({ policy });
    exits(h, 7, status(0), process(8));
    expect(h.state()).toBe('running.ready.unchecked');
  });
});

describe('restart: never', () => {
  const policy = { restart: 'never' } as const;

  test('a service that ends well is done; one that does not has failed', () => {
    const done = foreground({ policy });
    exits(done, 7, status(0));
    expect(done.state()).toBe('completed.done');
    const failed = foreground({ policy });
    exits(failed, 7, killedBy('SIGSEGV'));
    expect(failed.news()).toEqual([
      '1000 command.died 7 uptime 1000 restart 0 wait null',
      '1000 command.failed it was killed by SIGSEGV, and is not to be restarted',
      '1000 rested failed 0',
    ]);
    failed.advance(1e9);
    expect(failed.launches()).toEqual([0]);
  });

  test('a failed start is not tried again, whatever it left behind', () => {
    const h = startCommand({ policy });
    launched(h, 7);
    exits(h, 7, status(9), null, left({ tagged: 1 }));
    expect(h.news().slice(2)).toEqual([
      '0 command.failedStart 7 exited failures 1 wait null',
      '0 command.clearing SIGTERM 0/1',
      '0 SIGTERM tagged',
    ]);
    counted(h);
    expect(h.news()).toEqual([
      '0 command.failed it exited with status 9, and is not to be restarted',
      '0 rested failed 0',
    ]);
  });

  test('an order starts it again all the same', () => {
    const h = foreground({ policy });
    exits(h, 7, status(1));
    h.send({ type: 'command.start' });
    launched(h, 8);
    h.advance(1_000);
    expect(h.state()).toBe('running.ready.unchecked');
  });
});

describe('intensity', () => {
  const policy = { intensity: { restarts: 5, within: 60_000 } } as const;
  /** Lives so long, dies, and waits for its next try. */
  function dies(h: Harness, uptime: number): void {
    runs(h, 7, uptime, killedBy('SIGKILL'));
    if (h.state() === 'backoff') h.advance(h.context().wait);
  }

  test('so many restarts in the window are borne, and one more is not', () => {
    const h = startCommand({ policy });
    for (let deaths = 0; deaths < 5; deaths++) dies(h, 1_100);
    expect(h.state()).toBe('restarting.launching');
    dies(h, 1_100);
    expect(h.state()).toBe('failed.ended');
    expect(h.news().at(-2)).toMatch(/^\d+ command\.failed more than 5 restarts in 60 s$/);
    expect(h.launches()).toHaveLength(6);
  });

  test('a launch that the command spoils counts, one that the system refuses does not', () => {
    const h = startCommand({ policy: { intensity: { restarts: 1, within: 3_600_000 } } });
    for (let refusals = 0; refusals < 20; refusals++) {
      h.send({ type: 'launch.failed', error: 'EAGAIN', blame: 'system' });
      h.advance(h.context().wait);
    }
    h.send({ type: 'launch.failed', error: 'ENOENT', blame: 'command' });
    expect(h.state()).toBe('backoff');
    h.advance(h.context().wait);
    h.send({ type: 'launch.failed', error: 'ENOENT', blame: 'command' });
    expect(h.news().at(-2)).toMatch(/command\.failed more than 1 restart in 60 min$/);
  });

  test('so does a launcher that leaves nobody: a timer tells it, but when that was is known', () => {
    const h = startCommand({ policy: { intensity: { restarts: 2, within: 60_000 } } });
    for (let starts = 0; starts < 3; starts++) {
      expect(h.state()).toBe('restarting.launching');
      launched(h, 7);
      exits(h, 7, status(0));
      h.advance(2_000);
      expect(h.context().heat.at).toBe(h.clock.now());
      h.advance(h.state() === 'backoff' ? h.context().wait : 0);
    }
    expect(h.state()).toBe('failed.ended');
  });

  test('who dies a little more seldom than the window would see is found out as well', () => {
    const h = startCommand({ policy });
    // Every 14 s: never more than five in any minute.
    for (let deaths = 0; deaths < 100 && h.state() === 'restarting.launching'; deaths++) dies(h, 14_000);
    expect(h.state()).toBe('failed.ended');
    expect(h.launches().length).toBeLessThan(12);
  });

  test('who dies much more seldom is not', () => {
    const h = startCommand({ policy });
    for (let deaths = 0; deaths < 200; deaths++) dies(h, 36_000);
    expect(h.state()).toBe('restarting.launching');
    expect(h.context().restarts).toBe(200);
  });

  test('an order begins a new life', () => {
    const h = startCommand({ policy });
    for (let deaths = 0; deaths < 6; deaths++) dies(h, 1_100);
    h.send({ type: 'command.start' });
    for (let deaths = 0; deaths < 5; deaths++) dies(h, 1_100);
    expect(h.state()).toBe('restarting.launching');
  });

  test('a restart by order does not count', () => {
    const h = foreground({ policy: { intensity: { restarts: 1, within: 60_000 } } });
    for (let pid = 8; pid < 20; pid++) {
      h.send({ type: 'command.restart' });
      counted(h);
      launched(h, pid);
      h.advance(1_000);
    }
    expect(h.state()).toBe('running.ready.unchecked');
    expect(h.context().heat.restarts).toBe(0);
  });
});

describe('readiness', () => {
  const ready = { timeout: 20_000, interval: 250 };

  test('a foreground program is probed while it settles, and ready the moment it answers', () => {
    const h = startCommand({ policy: { ready }, role: { watched: true } });
    launched(h, 7);
    h.advance(20);
    answers(h, 'connection refused');
    h.advance(250);
    h.advance(10);
    answers(h, null);
    expect(h.state()).toBe('running.ready.unchecked');
    expect(h.news()).toEqual([
      '0 launch',
      '0 command.launched 7 #1',
      '0 probe ready',
      '20 probe ended',
      '270 probe ready',
      '280 command.running started 7 took null',
      '280 command.ready took 280',
      '280 probe ended',
      '280 reached started',
      '280 reached ready',
    ]);
    expect(h.clock.pending()).toBe(0);
  });

  test('one that has settled without an answer runs, and is not ready', () => {
    const h = startCommand({ policy: { ready }, role: { watched: true } });
    launched(h, 7);
    h.advance(1_000);
    expect(h.state()).toBe('running.starting.probing');
    expect(h.news().slice(3)).toEqual([
      '1000 command.running started 7 took null',
      '1000 probe ended',
      '1000 reached started',
      '1000 probe ready',
    ]);
    answers(h, null);
    expect(h.news()).toEqual(['1000 command.ready took 1000', '1000 probe ended', '1000 reached ready']);
  });

  test('an init script is not probed before it has returned: it may be the service before that answers', () => {
    const h = startCommand({ policy: { ready, returns: true } });
    launched(h, 7);
    expect(h.state()).toBe('restarting.settling.patient');
    h.advance(3_000);
    exits(h, 7, status(0), process(8));
    expect(h.state()).toBe('running.starting.probing');
    answers(h, null);
    expect(h.news().slice(2)).toEqual([
      '3000 command.running started 8 took 3000',
      '3000 probe ready',
      '3000 command.ready took 3000',
      '3000 probe ended',
    ]);
  });

  test('the time counts from the launch: what is not ready by then is stopped, and tried again later', () => {
    const h = startCommand({ policy: { ready }, role: { watched: true } });
    launched(h, 7);
    h.advance(1_000);
    answers(h, 'no answer');
    h.news();
    h.advance(18_999);
    expect(h.state()).toMatch(/^running\.starting/);
    h.news();
    h.advance(1);
    expect(h.news()).toEqual([
      '20000 command.failedStart 7 it was not ready in time: no answer failures 1 wait 250',
      '20000 command.stopping SIGTERM',
      '20000 SIGTERM tagged',
      '20000 probe ended',
      '20000 reached fallen',
    ]);
    h.advance(40);
    exits(h, 7, killedBy('SIGTERM'));
    expect(h.state()).toBe('backoff');
    expect(h.news()).toEqual(['20040 command.stopped took 40 left 0']);
    h.advance(250);
    expect(h.launches()).toEqual([0, 20_290]);
    expect(h.context()).toMatchObject({ restarts: 0, failures: 1 });
  });

  test('why it was not ready in time is told: what its probe has said last, and what it says itself', () => {
    const h = startCommand({ policy: { ready, restart: 'never' } });
    launched(h, 7);
    answers(h, 'nobody listens there');
    h.advance(1_000);
    h.send({ type: 'status.told', status: 'loading 3 of 5' });
    answers(h, 'status 503');
    h.advance(19_000);
    const reason = 'it was not ready in time: status 503 (its status: loading 3 of 5)';
    expect(h.news()).toContain(`20000 command.failedStart 7 ${reason} failures 1 wait null`);
    expect(h.context().reason).toBe(reason);
    counted(h);
    expect(h.news().at(-2)).toBe(`20000 command.failed ${reason}`);
  });

  test('neither is kept for the next run, and an empty status takes back what was said', () => {
    const late = (h: Harness): string[] => h.news().filter((line) => line.includes('not ready in time'));
    const h = startCommand({ policy: { ready } });
    launched(h, 7);
    answers(h, 'refused');
    h.send({ type: 'status.told', status: 'loading' });
    h.advance(1_000);
    exits(h, 7, status(1));
    h.advance(250);
    launched(h, 8);
    h.send({ type: 'status.told', status: 'loading' });
    h.send({ type: 'status.told', status: '' });
    h.news();
    h.advance(20_000);
    expect(late(h)).toEqual(['21250 command.failedStart 8 it was not ready in time failures 2 wait 500']);
  });

  test('waits grow from one start that is not ready to the next, and giving up counts them', () => {
    const h = startCommand({ policy: { ready, giveUpAfter: 3 } });
    for (const wait of [250, 500]) {
      launched(h, 7);
      h.advance(20_000);
      counted(h);
      expect(h.state()).toBe('backoff');
      expect(h.context().wait).toBe(wait);
      h.advance(wait);
    }
    launched(h, 7);
    h.advance(20_000);
    counted(h);
    expect(h.state()).toBe('failed.ended');
    expect(h.news().at(-2)).toMatch(/command\.failed 3 failures in a row$/);
  });

  test('whoever dies before it was ready has failed to start', () => {
    const h = startCommand({ policy: { ready }, role: { watched: true, grouped: true } });
    launched(h, 7);
    h.advance(15_000);
    h.news();
    exits(h, 7, status(1));
    expect(h.state()).toBe('backoff');
    expect(h.news()).toEqual([
      '15000 command.failedStart 7 it ended before it was ready failures 1 wait 250',
      '15000 probe ended',
      '15000 reached fallen',
    ]);
    expect(h.context().held, 'its group is not concerned').toBe(false);
  });

  test('whoever leaves something behind each time is not started in circles', () => {
    const h = startCommand({ policy: { ready } });
    const waits: number[] = [];
    for (let starts = 0; starts < 6; starts++) {
      launched(h, 7);
      exits(h, 7, status(0), process(8), left({ tagged: 1 }));
      expect(h.state()).toBe('running.starting.probing');
      exits(h, 8, status(1), null, left({ tagged: 1 }));
      counted(h);
      waits.push(h.context().wait);
      if (h.state() === 'backoff') h.advance(h.context().wait);
      expect(h.state()).toBe('restarting.launching');
    }
    expect(waits).toEqual([0, 500, 1_000, 2_000, 4_000, 8_000]);
  });

  test('a handover before it is ready is told like any other', () => {
    const h = startCommand({ policy: { ready } });
    launched(h, 7);
    exits(h, 7, status(0), process(8));
    h.news();
    exits(h, 8, status(0), process(9));
    expect(h.news()).toEqual(['0 command.running handover 9 took null']);
    expect(h.state()).toBe('running.starting.probing');
    expect(h.context().leader?.pid).toBe(9);
  });

  test('who was found running has all of the time from now on', () => {
    const h = startCommand({ policy: { ready }, found: process(7, -3_600_000) });
    h.advance(19_999);
    expect(h.state()).toMatch(/^running\.starting/);
    h.advance(1);
    expect(h.state()).toBe('stopping.terminating');
  });

  test('an init script that took longer than that has one try', () => {
    const h = startCommand({ policy: { ready: { timeout: 5_000, interval: 250 }, returns: true } });
    launched(h, 7);
    h.advance(12_000);
    exits(h, 7, status(0), process(8));
    h.advance(249);
    expect(h.state()).toBe('running.starting.probing');
    answers(h, null);
    expect(h.state()).toBe('running.ready.unchecked');
  });

  test('the next run has to show anew that it is ready', () => {
    const h = startCommand({ policy: { ready } });
    launched(h, 7);
    answers(h, null);
    h.advance(60_000);
    exits(h, 7, status(1));
    launched(h, 8);
    expect(h.state()).toBe('restarting.settling.probing');
    answers(h, null);
    exits(h, 8, status(1));
    expect(h.state()).toBe('backoff');
    h.send({ type: 'leader.seen', leader: process(9, h.clock.now()) });
    expect(h.state(), 'whoever shows up late as well').toBe('running.starting.probing');
  });

  test('a stop ends the probe', () => {
    const h = startCommand({ policy: { ready }, found: process(7) });
    h.news();
    stop(h);
    expect(h.news().at(-1)).toBe('0 probe ended');
    answers(h, null);
    expect(h.state()).toBe('stopping.terminating');
  });
});

describe('one that says that it is about to end', () => {
  const ready = { timeout: 20_000, interval: 250 };
  const health: HealthPolicy = {
    every: 30_000,
    timeout: 5_000,
    failures: 1,
    successes: 1,
    grace: 0,
    onUnhealthy: 'restart',
  };
  const announces = (h: Harness): void => h.send({ type: 'end.announced' });

  test('is not ready any more, is not asked how it is, and its end is an end like any other', () => {
    const h = foreground({ policy: { health }, role: { watched: true } });
    h.send({ type: 'status.told', status: 'flushing' });
    announces(h);
    expect(h.told().at(-1)).toEqual({ type: 'command.ending', command: 'svc', status: 'flushing' });
    expect(h.news()).toEqual(['1000 command.ending', '1000 reached fallen']);
    h.advance(8_999);
    announces(h);
    expect(h.state()).toBe('running.ending');
    expect(h.news()).toEqual([]);
    exits(h, 7, status(0));
    expect(h.news()).toEqual(['9999 command.died 7 uptime 9999 restart 1 wait 250', '9999 reached died']);
  });

  test('and does not end within the time for a stop, is stopped, and that counts as a death', () => {
    for (const stopTimeout of [null, 3_000]) {
      const h = foreground({ policy: { stopTimeout }, role: { watched: true } });
      announces(h);
      h.news();
      const within = stopTimeout ?? 9_000;
      h.advance(within - 1);
      expect(h.state()).toBe('running.ending');
      h.advance(1);
      const at = 1_000 + within;
      expect(h.news()).toEqual([
        `${at} command.unhealthy it has said that it is about to end (STOPPING=1), and has not ended in time: restart`,
        `${at} command.stopping SIGTERM`,
        `${at} SIGTERM tagged`,
        `${at} reached died`,
      ]);
      expect(h.context().stop.at).toBe(at);
      exits(h, 7, killedBy('SIGTERM'));
      expect(h.state()).toBe('backoff');
      expect(h.context().restarts).toBe(1);
    }
  });

  test('before it was ready has failed to start, whether it ends or not', () => {
    const h = foreground({ policy: { ready }, role: { watched: true } });
    announces(h);
    h.news();
    exits(h, 7, status(0));
    expect(h.news()).toEqual([
      '1000 command.failedStart 7 it ended before it was ready failures 1 wait 250',
      '1000 reached fallen',
    ]);
    const stays = foreground({ policy: { ready } });
    announces(stays);
    stays.news();
    stays.advance(9_000);
    expect(stays.news()[0]).toMatch(/^10000 command.failedStart 7 it has said that it is about to end/);
    expect(stays.context()).toMatchObject({ restarts: 0, failures: 1 });
  });

  test('while it settles is never ready', () => {
    const h = startCommand({ policy: { ready } });
    launched(h, 7);
    announces(h);
    answers(h, null);
    expect(h.state()).toBe('running.ending');
    const patient = startCommand();
    launched(patient, 7);
    announces(patient);
    patient.advance(1_000);
    expect(patient.state()).toBe('running.ending');
  });

  test('is done where it was to end, and goes on with another one that takes over', () => {
    const once = foreground({ policy: { kind: 'oneshot', restart: 'on-failure' } });
    announces(once);
    exits(once, 7, status(0));
    expect(once.state()).toBe('completed.done');
    for (const goes of [true, false]) {
      const h = foreground({ policy: { health }, role: { watched: true } });
      announces(h);
      h.news();
      if (goes) exits(h, 7, status(0), process(8), left({ tagged: 1 }));
      else h.send({ type: 'leader.named', leader: process(8) });
      expect(h.news()).toEqual(['1000 command.running handover 8 took null', '1000 reached ready']);
      expect(h.state()).toBe('running.ready.pausing');
      h.advance(20_000);
      expect(h.state(), 'its time to end is nobody else’s').toBe('running.ready.pausing');
    }
  });

  test('in one run says nothing of the next', () => {
    const h = foreground();
    announces(h);
    exits(h, 7, status(0));
    h.advance(250);
    launched(h, 8);
    h.advance(1_000);
    expect(h.state()).toBe('running.ready.unchecked');
  });
});

describe('one that names its leader', () => {
  test('is led by that one from then on: the end of the one before is nothing', () => {
    const h = foreground();
    h.send({ type: 'leader.named', leader: process(8) });
    expect(h.news()).toEqual(['1000 command.running handover 8 took null']);
    exits(h, 7, status(1));
    expect(h.news()).toEqual([]);
    exits(h, 8, status(1));
    expect(h.news()).toEqual(['1000 command.died 8 uptime 1000 restart 1 wait 250']);
  });

  test('while it settles runs, and what has shown that it is ready has shown it', () => {
    const h = startCommand();
    launched(h, 7);
    h.advance(400);
    h.send({ type: 'leader.named', leader: process(8) });
    expect(h.state()).toBe('running.ready.unchecked');
    expect(h.news().slice(2)).toEqual(['400 command.running started 8 took 400']);
    const ready = startCommand({ policy: { ready: { timeout: 20_000, interval: 250 } } });
    launched(ready, 7);
    answers(ready, null);
    ready.send({ type: 'leader.named', leader: process(8) });
    expect(ready.state()).toBe('running.ready.unchecked');
  });

  test('during a stop is stopped whoever leads', () => {
    const h = foreground();
    stop(h);
    h.send({ type: 'leader.named', leader: process(8) });
    exits(h, 8, killedBy('SIGTERM'));
    expect(h.state()).toBe('stopped');
    expect(h.context().lastExit).toEqual(killedBy('SIGTERM'));
  });
});

describe('health', () => {
  const health: HealthPolicy = {
    every: 30_000,
    timeout: 5_000,
    failures: 3,
    successes: 2,
    grace: 0,
    onUnhealthy: 'restart',
  };
  /** The next probe, and what it says. */
  function probe(h: Harness, reason: string | null): void {
    h.advance(30_000);
    expect(h.state()).toBe('running.ready.probing');
    answers(h, reason);
  }

  test('it is asked now and then, and nothing is said while it is well', () => {
    const h = foreground({ policy: { health } });
    for (let probes = 0; probes < 10; probes++) probe(h, null);
    expect(h.news().filter((line) => !/probe/.test(line))).toEqual([]);
    expect(h.effects.filter(({ effect }) => effect === 'probe')).toHaveLength(10);
    expect(h.clock.pending()).toBe(1);
  });

  test('three failures in a row make it unhealthy: it is stopped, and started again', () => {
    const h = foreground({ policy: { health }, role: { watched: true } });
    probe(h, 'status 503');
    probe(h, 'status 503');
    probe(h, null);
    probe(h, 'status 503');
    probe(h, 'status 503');
    h.news();
    probe(h, 'status 500');
    expect(h.news()).toEqual([
      '181000 probe health',
      '181000 command.unhealthy status 500: restart',
      '181000 command.stopping SIGTERM',
      '181000 SIGTERM tagged',
      '181000 probe ended',
      '181000 reached died',
    ]);
    h.advance(200);
    exits(h, 7, killedBy('SIGTERM'));
    h.advance(250);
    expect(h.state()).toBe('restarting.launching');
    launched(h, 8);
    h.advance(1_000);
    expect(h.context()).toMatchObject({ restarts: 1, health: { healthy: true, inARow: 0 } });
  });

  test('a long run of use forgets what was before: it is given up only for failures in a row', () => {
    const h = foreground({ policy: { health: { ...health, failures: 1 }, giveUpAfter: 2 } });
    for (let pid = 7; pid < 20; pid++) {
      probe(h, null);
      probe(h, 'hangs');
      counted(h);
      expect(h.context()).toMatchObject({ failures: 1, wait: 250 });
      h.advance(250);
      launched(h, pid + 1);
      h.advance(1_000);
    }
    expect(h.state()).toBe('running.ready.pausing');
  });

  test('who is unhealthy soon after each start waits longer each time, and is given up', () => {
    const quick = { ...health, every: 2_000, failures: 1 };
    const h = foreground({ policy: { health: quick, giveUpAfter: 3 } });
    for (const wait of [250, 500]) {
      h.advance(2_000);
      answers(h, 'hangs');
      counted(h);
      expect(h.context().wait).toBe(wait);
      h.advance(wait);
      launched(h, 8);
      h.advance(1_000);
    }
    h.advance(2_000);
    answers(h, 'hangs');
    counted(h);
    expect(h.state()).toBe('failed.ended');
  });

  test('ignore: it is told, and told again when it is well', () => {
    const h = foreground({ policy: { health: { ...health, onUnhealthy: 'ignore' } } });
    for (const reason of ['a', 'b', 'c', 'd']) probe(h, reason);
    expect(h.news().filter((line) => !/probe/.test(line))).toEqual(['91000 command.unhealthy c: ignore']);
    probe(h, null);
    expect(h.context().health).toEqual({ healthy: false, inARow: 1 });
    probe(h, null);
    expect(h.news().filter((line) => !/probe/.test(line))).toEqual(['181000 command.healthy']);
    expect(h.state()).toBe('running.ready.pausing');
  });

  test('fail: it is stopped, and has failed for good', () => {
    const h = foreground({ policy: { health: { ...health, failures: 1, onUnhealthy: 'fail' } } });
    probe(h, 'status 503');
    counted(h);
    expect(h.news().slice(-3)).toEqual([
      '31000 command.stopped took 0 left 0',
      '31000 command.failed it is unhealthy: status 503',
      '31000 rested failed 0',
    ]);
  });

  test('what follows is told as it is: a oneshot without retries is not restarted, and none is counted', () => {
    const once: Partial<CommandPolicy> = { kind: 'oneshot', restart: 'on-failure' };
    const told = (h: Harness): string[] => h.news().filter((line) => /unhealthy .*:/.test(line));
    const h = foreground({ policy: { ...once, giveUpAfter: 1, health: { ...health, failures: 1 } } });
    probe(h, 'status 503');
    expect(told(h)).toEqual(['31000 command.unhealthy status 503: fail']);
    counted(h);
    expect(h.state()).toBe('failed.ended');
    expect(h.context()).toMatchObject({ restarts: 0, failures: 1 });
    const retried = foreground({ policy: { ...once, giveUpAfter: 2, health: { ...health, failures: 1 } } });
    probe(retried, 'status 503');
    expect(told(retried)).toEqual(['31000 command.unhealthy status 503: restart']);
    counted(retried);
    retried.advance(retried.context().wait);
    launched(retried, 8);
    retried.advance(1_000);
    // However long it has run: it was to end.
    retried.advance(30_000);
    answers(retried, 'status 503');
    expect(told(retried)).toEqual(['62250 command.unhealthy status 503: fail']);
    expect(retried.context()).toMatchObject({ restarts: 1, failures: 2 });
  });

  test('so is that of a service that is too hot, or is never restarted', () => {
    for (const policy of [
      { intensity: { restarts: 0, within: 60_000 } },
      { restart: 'never' },
      { giveUpAfter: 1 },
    ] as const) {
      const h = foreground({ policy: { ...policy, health: { ...health, failures: 1 } } });
      probe(h, 'hangs');
      expect(h.told().find(({ type }) => type === 'command.unhealthy')).toMatchObject({ next: 'fail' });
      counted(h);
      expect(h.state()).toBe('failed.ended');
      expect(h.context().restarts).toBe(0);
    }
  });

  test('failures within the grace do not count', () => {
    const h = foreground({ policy: { health: { ...health, failures: 1, grace: 45_000 } } });
    probe(h, 'still warming up');
    expect(h.state()).toBe('running.ready.pausing');
    probe(h, 'broken');
    expect(h.state()).toBe('stopping.terminating');
  });

  test('it is asked only when it is ready', () => {
    const ready = { timeout: 60_000, interval: 250 };
    const h = foreground({ policy: { health, ready } });
    h.advance(40_000);
    expect(h.effects.filter((each) => each.effect === 'probe' && each.which === 'health')).toEqual([]);
    answers(h, null);
    h.advance(30_000);
    expect(h.news().at(-1)).toBe('71000 probe health');
  });

  test('what SIGKILL cannot end is not started beside', () => {
    const h = foreground({ policy: { health: { ...health, failures: 1 } } });
    probe(h, 'hangs');
    counted(h, { tagged: 1 });
    h.advance(9_000);
    expect(h.state()).toBe('stopped');
    expect(h.news().slice(-2)).toEqual(['40000 command.stopped took 9000 left 1', '40000 rested stopped 1']);
  });

  test('an order during the stop counts more than what it is stopped for', () => {
    const started = foreground({ policy: { health: { ...health, failures: 1, onUnhealthy: 'fail' } } });
    probe(started, 'hangs');
    started.send({ type: 'command.start' });
    counted(started);
    expect(started.state()).toBe('restarting.launching');
    const stopped = foreground({ policy: { health: { ...health, failures: 1 } } });
    probe(stopped, 'hangs');
    stop(stopped);
    counted(stopped);
    expect(stopped.state()).toBe('stopped');
    expect(stopped.context()).toMatchObject({ failures: 0, held: false });
    const hastened = foreground({ policy: { health: { ...health, failures: 1 } } });
    probe(hastened, 'hangs');
    stop(hastened, 1_000);
    counted(hastened);
    expect(hastened.state()).toBe('stopped');
    expect(hastened.context()).toMatchObject({ failures: 0, held: false, stop: { forGood: true } });
  });
});

describe('a stop in steps', () => {
  const stopSignals = [
    { signal: 'SIGTERM', wait: 5_000 },
    { signal: 'SIGINT', wait: 2_000 },
    { signal: 'SIGKILL', wait: null },
  ];

  test('one signal after the other, and it leaves the moment the last process is gone', () => {
    const h = foreground({ policy: { stopSignals } });
    stop(h);
    h.advance(7_000);
    expect(h.news()).toEqual([
      '1000 command.stopping SIGTERM',
      '1000 SIGTERM tagged',
      '6000 SIGINT tagged',
      '8000 SIGKILL tagged',
    ]);
    expect(h.state()).toBe('stopping.killing');
    exits(h, 7, killedBy('SIGKILL'));
    expect(h.news()).toEqual(['8000 command.stopped took 7000 left 0', '8000 rested stopped 0']);
    expect(h.clock.pending()).toBe(0);
  });

  test('a budget that is shorter cuts it: SIGKILL comes at its end in any case', () => {
    const h = foreground({ policy: { stopSignals } });
    stop(h, 4_000);
    h.advance(4_000);
    expect(h.news()).toEqual([
      '1000 command.stopping SIGTERM',
      '1000 SIGTERM tagged',
      '4500 SIGKILL tagged',
      '5000 command.stopped took 4000 left 0',
      '5000 rested stopped 0',
    ]);
  });

  test('the last signal has as long as the budget bears', () => {
    const h = foreground({ policy: { stopSignals: [{ signal: 'SIGQUIT', wait: 1_000 }] } });
    stop(h);
    h.advance(8_000);
    expect(h.news()).toEqual(['1000 command.stopping SIGQUIT', '1000 SIGQUIT tagged']);
    h.advance(500);
    expect(h.news()).toEqual(['9500 SIGKILL tagged']);
  });

  test('a timeout of its own is the most it takes, whatever the order gives', () => {
    const h = foreground({ policy: { stopTimeout: 2_000 } });
    stop(h, 60_000);
    h.advance(2_000);
    expect(h.news()).toEqual([
      '1000 command.stopping SIGTERM',
      '1000 SIGTERM tagged',
      '2600 SIGKILL tagged',
      '3000 command.stopped took 2000 left 0',
      '3000 rested stopped 0',
    ]);
    const restarted = foreground({ policy: { stopTimeout: 2_000 } });
    restarted.send({ type: 'command.restart' });
    restarted.advance(1_600);
    expect(restarted.news().at(-1)).toBe('2600 SIGKILL tagged');
  });

  test('its own stop command comes first, and each stop begins at the first signal', () => {
    const h = foreground({ policy: { stopSignals, ownStop: true } });
    stop(h, 20_000);
    h.advance(1_000);
    h.send({ type: 'stopper.finished', error: null });
    h.advance(5_000);
    expect(h.news().filter((line) => / SIG/.test(line))).toEqual([
      '2000 SIGTERM tagged',
      '7000 SIGINT tagged',
    ]);
    counted(h);
    h.send({ type: 'command.start' });
    launched(h, 8);
    h.send({ type: 'command.restart' });
    h.send({ type: 'stopper.finished', error: null });
    expect(h.news().at(-2)).toBe('7000 SIGTERM tagged');
  });

  test('one that widens to the sessions repeats the step it is at', () => {
    const h = foreground({ policy: { stopSignals } });
    stop(h);
    h.advance(6_000);
    h.news();
    stop(h, 9_000, true);
    h.advance(2_000);
    expect(h.news()).toEqual(['7000 SIGINT everything', '9000 SIGKILL everything']);
  });
});

describe('stragglers', () => {
  const remains = left({ workers: 1, tagged: 3 });
  const after = (stragglers: CommandPolicy['stragglers']): string[] => {
    const h = foreground({ policy: { stragglers } });
    h.advance(20_000);
    exits(h, 7, killedBy('SIGKILL'), null, remains);
    return h.news().slice(1);
  };
  test.each([
    ['stop-workers', ['21000 command.clearing SIGTERM 1/3', '21000 SIGTERM workers']],
    ['stop-all', ['21000 command.clearing SIGTERM 1/3', '21000 SIGTERM tagged']],
    ['keep', ['21000 launch']],
  ] as const)('%s', (stragglers, news) => {
    expect(after(stragglers)).toEqual(news);
  });

  test('what is kept is kept by a start that fails as well, and none is tried again at once for it', () => {
    const h = startCommand({ policy: { stragglers: 'keep' } });
    launched(h, 7);
    exits(h, 7, status(1), null, left({ tagged: 2 }));
    expect(h.news().slice(2)).toEqual(['0 command.failedStart 7 exited failures 1 wait 250']);
    expect(h.state()).toBe('backoff');
  });
});

describe('a schedule', () => {
  const CRON: Partial<CommandPolicy> = { kind: 'cron', restart: 'on-failure', giveUpAfter: 1 };
  const due = (h: Harness): void => h.send({ type: 'schedule.due' });
  const scheduled = (options: HarnessOptions = {}): Harness => {
    const h = startCommand({ ...options, policy: { ...CRON, ...options.policy } });
    h.send({ type: 'schedule.planned', wait: 60_000 });
    h.advance(60_000);
    return h;
  };

  test('is told, and nothing is started before its time', () => {
    const h = scheduled();
    expect(h.news()).toEqual(['0 schedule', '0 command.scheduled wait 60000']);
    expect(h.context().nextRun).toBe(60_000);
    expect(h.state()).toBe('scheduled');
    due(h);
    runs(h, 7, 300, status(0));
    expect(h.news()).toEqual([
      '60000 launch',
      '60000 command.launched 7 #1',
      '60300 command.completed with success 0 took 300',
    ]);
    expect(h.state()).toBe('scheduled');
  });

  test('a run that fails is told of, and the next one is another', () => {
    const h = scheduled();
    due(h);
    runs(h, 7, 5_000, status(3));
    expect(h.news().slice(-2)).toEqual([
      '65000 command.died 7 uptime 5000 restart 0 wait null',
      '65000 command.completed in vain 3 took 5000',
    ]);
    expect(h.context()).toMatchObject({ failures: 0, doomed: false, reason: null });
    due(h);
    runs(h, 8, 5_000, status(0));
    expect(h.news().at(-1)).toBe('70000 command.completed with success 0 took 5000');
  });

  test('a run that cannot be started has not succeeded, though the one before has', () => {
    const h = scheduled();
    due(h);
    runs(h, 7, 300, status(0));
    h.advance(3_600_000);
    due(h);
    h.advance(10);
    h.send({ type: 'launch.failed', error: 'ENOENT', blame: 'command' });
    expect(h.news().at(-1)).toBe('3660310 command.completed in vain null took 10');
    expect(h.state()).toBe('scheduled');
  });

  test('retries are for each run', () => {
    const h = scheduled({ policy: { giveUpAfter: 2 } });
    for (let round = 0; round < 3; round++) {
      due(h);
      runs(h, 7, 100, status(1));
      expect(h.state()).toBe('backoff');
      h.advance(250);
      runs(h, 8, 100, status(1));
      expect(h.state()).toBe('scheduled');
    }
  });

  test('skip: what is due while a run goes on is told, and left out', () => {
    const h = scheduled({ policy: { overlap: 'skip' } });
    due(h);
    launched(h, 7);
    h.advance(60_000);
    due(h);
    due(h);
    expect(h.news().slice(-2)).toEqual(['120000 command.overlapped skip', '120000 command.overlapped skip']);
    exits(h, 7, status(0));
    expect(h.state()).toBe('scheduled');
    expect(h.launches()).toEqual([60_000]);
  });

  test('queue: one more run follows at once, however many were due', () => {
    const h = scheduled({ policy: { overlap: 'queue' } });
    due(h);
    launched(h, 7);
    h.advance(60_000);
    due(h);
    due(h);
    expect(h.news().slice(-2)).toEqual([
      '120000 command.overlapped queue',
      '120000 command.overlapped queue',
    ]);
    exits(h, 7, status(0));
    expect(h.news()).toEqual(['120000 command.completed with success 0 took 60000', '120000 launch']);
    runs(h, 8, 10, status(0));
    expect(h.state()).toBe('scheduled');
    expect(h.launches()).toEqual([60_000, 120_000]);
  });

  test('kill: the run that goes on is stopped, and then the new one begins', () => {
    const h = scheduled({ policy: { overlap: 'kill' } });
    due(h);
    launched(h, 7);
    h.advance(60_000);
    h.news();
    due(h);
    expect(h.news()).toEqual([
      '120000 command.overlapped kill',
      '120000 command.stopping SIGTERM',
      '120000 SIGTERM tagged',
    ]);
    h.advance(10);
    due(h);
    expect(h.news(), 'the new one is on its way').toEqual(['120010 command.overlapped skip']);
    expect(h.launches()).toEqual([60_000]);
    exits(h, 7, killedBy('SIGTERM'));
    expect(h.launches()).toEqual([60_000, 120_010]);
  });

  test('kill: a run that is stopped already makes room for it, whatever it was stopped for', () => {
    const ready = { timeout: 5_000, interval: 250 };
    const h = scheduled({ policy: { overlap: 'kill', ready } });
    due(h);
    launched(h, 7);
    h.advance(5_000);
    expect(h.news().slice(-4)).toContain(
      '65000 command.failedStart 7 it was not ready in time failures 1 wait null',
    );
    due(h);
    counted(h);
    expect(h.news()).toEqual([
      '65000 command.overlapped skip',
      '65000 command.stopped took 0 left 0',
      '65000 launch',
    ]);
  });

  test('a run that waits for what it requires has not begun: another one due is left out', () => {
    const h = scheduled({ policy: { overlap: 'kill' }, role: { waits: true } });
    due(h);
    expect(h.state()).toBe('waiting');
    due(h);
    expect(h.news().slice(-2)).toEqual(['60000 reached waiting', '60000 command.overlapped skip']);
    h.send({ type: 'command.release' });
    expect(h.launches()).toEqual([60_000]);
  });

  test('each run waits for what it requires', () => {
    const h = scheduled({ role: { waits: true } });
    for (let round = 0; round < 3; round++) {
      due(h);
      expect(h.state()).toBe('waiting');
      h.send({ type: 'command.release' });
      runs(h, 7, 100, status(0));
      expect(h.state()).toBe('scheduled');
    }
  });

  test('an order runs it out of turn; while it is stopped nothing does, and its times are not told', () => {
    const h = scheduled();
    h.send({ type: 'command.start' });
    runs(h, 7, 100, status(0));
    expect(h.state()).toBe('scheduled');
    stop(h);
    counted(h);
    h.news();
    h.send({ type: 'schedule.planned', wait: 60_000 });
    due(h);
    expect(h.news()).toEqual([]);
    expect(h.state()).toBe('stopped');
    // The first order puts it back into its schedule, the second one runs it.
    h.send({ type: 'command.start' });
    expect(h.state()).toBe('scheduled');
    h.send({ type: 'command.start' });
    expect(h.state()).toBe('restarting.launching');
  });

  test('a start during a stop puts it back into its schedule; a restart runs it anew', () => {
    const started = scheduled();
    due(started);
    launched(started, 7);
    stop(started);
    started.send({ type: 'command.start' });
    counted(started);
    expect(started.state()).toBe('scheduled');
    const restarted = scheduled();
    due(restarted);
    launched(restarted, 7);
    restarted.send({ type: 'command.restart' });
    counted(restarted);
    expect(restarted.state()).toBe('restarting.launching');
  });

  test('a stop drops the run that waits its turn, and is not undone by the next one', () => {
    for (const during of [false, true]) {
      const h = scheduled({ policy: { overlap: 'queue' } });
      due(h);
      launched(h, 7);
      due(h);
      if (during) h.send({ type: 'command.restart' });
      stop(h);
      counted(h);
      expect(h.state()).toBe('stopped');
      h.send({ type: 'command.start' });
      expect(h.state()).toBe('scheduled');
    }
  });
});

describe('what others have to do with it', () => {
  test('who requires something asks, and is not started before its release', () => {
    const h = startCommand({ role: { waits: true } });
    expect(h.news()).toEqual(['0 reached waiting']);
    h.send({ type: 'command.start' });
    h.advance(1e9);
    expect(h.news()).toEqual([]);
    h.send({ type: 'command.release' });
    expect(h.news()).toEqual(['1000000000 launch']);
  });

  test('it asks again by every order, and not after a death of its own', () => {
    const h = startCommand({ role: { waits: true } });
    h.send({ type: 'command.release' });
    launched(h, 7);
    h.advance(20_000);
    exits(h, 7, status(1));
    expect(h.state()).toBe('restarting.launching');
    launched(h, 8);
    exits(h, 8, status(1));
    expect(h.state()).toBe('backoff');
    h.send({ type: 'command.start' });
    expect(h.state()).toBe('waiting');
    h.send({ type: 'command.release' });
    launched(h, 9);
    h.news();
    h.send({ type: 'command.restart' });
    counted(h);
    expect(h.state()).toBe('waiting');
    h.send({ type: 'command.release' });
    launched(h, 10);
    stop(h);
    h.send({ type: 'command.start' });
    counted(h);
    expect(h.state(), 'an order during a stop as well').toBe('waiting');
  });

  test('a stop while it waits is a stop', () => {
    const h = startCommand({ role: { waits: true } });
    stop(h);
    counted(h);
    expect(h.state()).toBe('stopped');
    h.send({ type: 'command.release' });
    expect(h.launches()).toEqual([]);
  });

  test('whoever cares for it hears what it reaches and loses', () => {
    const h = startCommand({ role: { watched: true } });
    const reached = (): string[] => h.news().filter((line) => /reached|rested/.test(line));
    h.send({ type: 'launch.failed', error: 'ENOENT', blame: 'command' });
    expect(reached()).toEqual(['0 reached fallen']);
    h.advance(250);
    launched(h, 7);
    h.advance(1_000);
    expect(reached()).toEqual(['1250 reached started', '1250 reached ready']);
    exits(h, 7, status(0), process(8));
    expect(reached()).toEqual([]);
    exits(h, 8, status(1));
    expect(reached()).toEqual(['1250 reached died']);
    h.advance(500);
    launched(h, 9);
    h.advance(1_000);
    reached();
    h.send({ type: 'command.restart' });
    expect(reached(), 'it is not there while it is restarted').toEqual(['2750 reached halted']);
    counted(h);
    launched(h, 10);
    h.advance(1_000);
    reached();
    stop(h);
    counted(h);
    expect(reached()).toEqual(['3750 reached halted', '3750 rested stopped 0']);
  });

  test('nobody is told where nobody cares', () => {
    const h = foreground();
    exits(h, 7, status(1));
    h.advance(250);
    expect(h.effects.filter(({ effect }) => effect === 'reached')).toEqual([]);
  });

  describe('in a group that restarts others with it', () => {
    const role = { waits: true, watched: true, grouped: true };
    function grouped(): Harness {
      const h = startCommand({ role });
      h.send({ type: 'command.release' });
      launched(h, 7);
      h.advance(20_000);
      h.news();
      return h;
    }

    test('it waits after its death until its group takes it back, and for what it requires', () => {
      const h = grouped();
      exits(h, 7, status(1));
      expect(h.news()).toEqual(['20000 command.died 7 uptime 20000 restart 1 wait 0', '20000 reached died']);
      expect(h.state()).toBe('waiting');
      h.send({ type: 'command.release' });
      expect(h.state(), 'a release is for what it requires').toBe('waiting');
      h.send({ type: 'command.rejoin' });
      expect(h.news()).toEqual(['20000 reached waiting']);
      h.send({ type: 'command.release' });
      expect(h.state()).toBe('restarting.launching');
    });

    test('a group that is quicker than its backoff does not shorten it', () => {
      const h = grouped();
      exits(h, 7, status(1));
      h.send({ type: 'command.rejoin' });
      h.send({ type: 'command.release' });
      launched(h, 8);
      h.advance(2_000);
      exits(h, 8, status(1));
      expect(h.state()).toBe('backoff');
      h.send({ type: 'command.rejoin' });
      h.advance(249);
      expect(h.state()).toBe('backoff');
      h.advance(1);
      expect(h.state()).toBe('waiting');
      expect(h.news().at(-1)).toBe('22250 reached waiting');
    });

    test('an order does not wait for the group', () => {
      for (const type of ['command.start', 'command.restart'] as const) {
        const h = grouped();
        exits(h, 7, status(1));
        h.send({ type, at: h.clock.now() });
        h.send({ type: 'command.release' });
        expect(h.state()).toBe('restarting.launching');
      }
    });

    test('who shows up by itself runs', () => {
      const h = grouped();
      exits(h, 7, status(1));
      h.send({ type: 'leader.seen', leader: process(8) });
      expect(h.state()).toBe('running.ready.unchecked');
      expect(h.context()).toMatchObject({ held: false, bound: false });
    });

    test('who has failed for good, or was stopped, belongs to its group no more', () => {
      const failed = startCommand({ role: { grouped: true }, policy: { restart: 'never' } });
      launched(failed, 7);
      failed.advance(1_000);
      exits(failed, 7, status(1));
      expect(failed.state()).toBe('failed.ended');
      expect(failed.context().held).toBe(false);
      failed.send({ type: 'command.rejoin' });
      expect(failed.state()).toBe('failed.ended');
      const stopped = grouped();
      exits(stopped, 7, status(1));
      stop(stopped);
      counted(stopped);
      stopped.send({ type: 'command.rejoin' });
      expect(stopped.state()).toBe('stopped');
    });

    test('who is unhealthy waits for its group as well', () => {
      const health = { every: 1_000, timeout: 1_000, failures: 1, successes: 1, grace: 0 };
      const it = startCommand({
        role: { ...role, waits: false },
        policy: { health: { ...health, onUnhealthy: 'restart' } },
      });
      launched(it, 7);
      it.advance(20_000);
      answers(it, 'hangs');
      expect(it.context().held).toBe(true);
      counted(it);
      it.advance(250);
      expect(it.state()).toBe('waiting');
      it.send({ type: 'command.rejoin' });
      expect(it.state()).toBe('restarting.launching');
    });
  });
});

describe('reload', () => {
  test('is done where it runs, and nothing is stopped for it', () => {
    const h = foreground();
    h.send({ type: 'command.reload' });
    expect(h.news()).toEqual(['1000 reload', '1000 command.reloading']);
    expect(h.state()).toBe('running.ready.unchecked');
  });
});

describe('a policy that is read again', () => {
  const adjust = (h: Harness, policy: Partial<CommandPolicy>, role = NO_ROLE): void =>
    h.send({ type: 'command.adjust', policy: { ...EXACT, ...policy }, role });
  const health: HealthPolicy = {
    every: 5_000,
    timeout: 1_000,
    failures: 1,
    successes: 1,
    grace: 0,
    onUnhealthy: 'ignore',
  };

  test('holds from now on: the next death is judged by it', () => {
    const h = foreground();
    adjust(h, { restart: 'on-failure' });
    expect(h.news()).toEqual([]);
    exits(h, 7, status(0));
    expect(h.state()).toBe('completed.done');
  });

  test('health begins to be looked at, and ceases to be', () => {
    const h = foreground();
    adjust(h, { health });
    h.advance(5_000);
    answers(h, 'hangs');
    h.advance(5_000);
    expect(h.state()).toBe('running.ready.probing');
    expect(h.context().health.healthy).toBe(false);
    adjust(h, {});
    expect(h.state()).toBe('running.ready.unchecked');
    expect(h.context().health.healthy, 'nobody says so any more').toBe(true);
    expect(h.clock.pending()).toBe(0);
  });

  test('who is unhealthy, and was left alone so far, is restarted at the next failure', () => {
    const h = foreground({ policy: { health } });
    h.advance(5_000);
    answers(h, 'hangs');
    adjust(h, { health: { ...health, successes: 2, onUnhealthy: 'restart' } });
    h.advance(5_000);
    answers(h, null);
    expect(h.state(), 'not by an answer that is well').toBe('running.ready.pausing');
    h.advance(5_000);
    answers(h, 'hangs');
    expect(h.state()).toBe('stopping.terminating');
  });

  test('who waits for readiness that is asked for no more is ready', () => {
    const h = startCommand({ policy: { ready: { timeout: 1e6, interval: 250 } }, role: { watched: true } });
    launched(h, 7);
    h.advance(1_000);
    h.news();
    adjust(h, {}, { ...NO_ROLE, watched: true });
    expect(h.news()).toEqual(['1000 reached started', '1000 probe ended', '1000 reached ready']);
  });

  test('who is cared for from now on tells how far it has come', () => {
    const watched = { ...NO_ROLE, watched: true };
    const up = foreground();
    adjust(up, {}, watched);
    expect(up.news()).toEqual(['1000 reached ready']);
    const ready = { timeout: 1e6, interval: 250 };
    const starting = foreground({ policy: { ready } });
    adjust(starting, { ready }, watched);
    expect(starting.news()).toEqual(['1000 reached started']);
  });

  test('who waits for what is required no more is started', () => {
    const h = startCommand({ role: { waits: true } });
    adjust(h, {});
    expect(h.state()).toBe('restarting.launching');
  });

  test('who waits for a group that there is no more asks for what it requires', () => {
    const h = startCommand({ role: { waits: true, watched: true, grouped: true } });
    h.send({ type: 'command.release' });
    launched(h, 7);
    h.advance(20_000);
    exits(h, 7, status(1));
    expect(h.context().held).toBe(true);
    h.news();
    adjust(h, {}, { waits: true, watched: true, grouped: false });
    expect(h.news()).toEqual(['20000 reached waiting']);
    expect(h.context()).toMatchObject({ held: false, bound: true });
    adjust(h, {}, NO_ROLE);
    expect(h.state()).toBe('restarting.launching');
  });

  test('one that backs off meanwhile does so as well', () => {
    const h = startCommand({ role: { grouped: true } });
    launched(h, 7);
    h.advance(2_000);
    exits(h, 7, status(1));
    adjust(h, {});
    h.advance(250);
    expect(h.state()).toBe('restarting.launching');
  });

  test('another schedule is planned anew', () => {
    const h = startCommand({ policy: { kind: 'cron', restart: 'on-failure' } });
    h.news();
    adjust(h, { kind: 'cron', restart: 'on-failure' });
    expect(h.news()).toEqual(['0 schedule ended', '0 schedule']);
  });

  test('a service that becomes a schedule is stopped by the restart that follows, and runs at its times', () => {
    const h = foreground();
    adjust(h, { kind: 'cron', restart: 'on-failure' });
    h.send({ type: 'command.restart' });
    counted(h);
    expect(h.state()).toBe('scheduled');
    expect(h.launches()).toEqual([0]);
    h.send({ type: 'schedule.due' });
    expect(h.launches()).toEqual([0, 1_000]);
  });

  test('a schedule that becomes a service has no times any more', () => {
    const h = startCommand({ policy: { kind: 'cron', restart: 'on-failure' } });
    h.send({ type: 'schedule.planned', wait: 60_000 });
    h.news();
    adjust(h, {});
    expect(h.news()).toEqual(['0 schedule ended']);
    expect(h.context().nextRun).toBeNull();
    h.send({ type: 'command.restart' });
    expect(h.state()).toBe('restarting.launching');
  });

  test('one that has failed, and becomes a schedule, waits for its time', () => {
    const h = startCommand({ policy: { giveUpAfter: 1 } });
    h.send({ type: 'launch.failed', error: 'ENOENT', blame: 'command' });
    adjust(h, { kind: 'cron', restart: 'on-failure' });
    h.send({ type: 'command.restart' });
    expect(h.state()).toBe('scheduled');
  });
});

describe('one that is spawned anew by another policy', () => {
  test.each([
    ['stopped', 'stopped'],
    ['completed', 'completed.done'],
    ['failed', 'failed.ended'],
  ] as const)('rests as it did: %s; that is not told once more, but its group hears it', (rest, state) => {
    const h = startCommand({ rest });
    expect(h.state()).toBe(state);
    expect(h.news()).toEqual([`0 rested ${rest} 0`]);
    h.send({ type: 'command.start' });
    expect(h.state()).toBe('restarting.launching');
  });

  test.each(['completed', 'failed'] as const)('runs where it runs, though it was %s', (rest) => {
    const h = startCommand({ rest, found: process(7) });
    expect(h.state()).toBe('running.ready.unchecked');
  });

  test('is ended where it runs though it is to be stopped', () => {
    const h = startCommand({ rest: 'stopped', found: process(7) });
    expect(h.news()).toEqual(['0 command.stopping SIGTERM', '0 SIGTERM tagged']);
    counted(h);
    expect(h.state()).toBe('stopped');
  });

  test.each(['completed', 'failed'] as const)(
    'waits for its time where it has one, though it was %s',
    (rest) => {
      const h = startCommand({ rest, policy: { kind: 'cron', restart: 'on-failure' } });
      expect(h.state()).toBe('scheduled');
      h.send({ type: 'schedule.due' });
      expect(h.state()).toBe('restarting.launching');
    },
  );
});

describe('whatever happens', () => {
  const event = fc.constantFrom(
    'start' as const,
    'stop' as const,
    'restart' as const,
    'launched' as const,
    'refused' as const,
    'system' as const,
    'dies' as const,
    'ends' as const,
    'heir' as const,
    'gone' as const,
    'answer' as const,
    'silence' as const,
    'due' as const,
    'release' as const,
    'rejoin' as const,
  );
  const lives = fc.record({
    kind: fc.constantFrom('service' as const, 'oneshot' as const, 'cron' as const),
    restart: fc.constantFrom('always' as const, 'on-failure' as const, 'never' as const),
    overlap: fc.constantFrom('skip' as const, 'queue' as const, 'kill' as const),
    restarts: fc.integer({ min: 0, max: 5 }),
    giveUpAfter: fc.option(fc.integer({ min: 1, max: 5 })),
    ready: fc.boolean(),
    health: fc.option(fc.constantFrom('restart' as const, 'ignore' as const, 'fail' as const)),
    role: fc.record({ waits: fc.boolean(), watched: fc.boolean(), grouped: fc.boolean() }),
    events: fc.array(fc.tuple(fc.integer({ min: 0, max: 20_000 }), event), { maxLength: 120 }),
  });

  test('heat, failures and waits keep their bounds, and orders are kept', () => {
    fc.assert(
      fc.property(lives, ({ kind, restart, overlap, restarts, giveUpAfter, ready, health, role, events }) => {
        let orderedDown = false;
        let probing = 0;
        const broken: string[] = [];
        const must = (held: boolean, what: string): void => {
          if (!held) broken.push(what);
        };
        const live = startCommand({
          role,
          policy: {
            kind,
            restart,
            overlap,
            giveUpAfter,
            intensity: { restarts, within: 30_000 },
            ready: ready ? { timeout: 5_000, interval: 250 } : null,
            health:
              health === null
                ? null
                : { every: 1_000, timeout: 500, failures: 2, successes: 1, grace: 0, onUnhealthy: health },
          },
          world({ effect }) {
            if (effect === 'launch') must(!orderedDown, 'started after it was stopped');
            if (effect === 'probe') must(++probing === 1, 'two probes at once');
            if (effect === 'probe ended') probing--;
          },
        });
        let pid = 10;
        for (const [wait, what] of events) {
          live.advance(wait);
          const leader = live.context().leader ?? process(1);
          const exited = { type: 'leader.exited', id: leader, heir: null, remains: NOTHING } as const;
          if (what === 'stop') orderedDown = true;
          if (what === 'start' || what === 'restart') orderedDown = false;
          if (what === 'start') live.send({ type: 'command.start' });
          else if (what === 'restart') live.send({ type: 'command.restart' });
          else if (what === 'stop') stop(live);
          else if (what === 'launched') launched(live, pid++);
          else if (what === 'refused') live.send({ type: 'launch.failed', error: 'no', blame: 'command' });
          else if (what === 'system') live.send({ type: 'launch.failed', error: 'no', blame: 'system' });
          else if (what === 'dies') live.send({ ...exited, exit: status(1) });
          else if (what === 'ends') live.send({ ...exited, exit: status(0) });
          else if (what === 'heir') live.send({ ...exited, exit: status(0), heir: process(pid++) });
          else if (what === 'gone') counted(live);
          else if (what === 'answer') answers(live, null);
          else if (what === 'silence') answers(live, 'hangs');
          else if (what === 'due') live.send({ type: 'schedule.due' });
          else
            live.send({
              type: what === 'release' ? 'command.release' : 'command.rejoin',
              at: live.clock.now(),
            });

          const { heat, failures, wait: backoff, bound, held, leader: now } = live.context();
          const state = live.state();
          must(heat.restarts >= 0 && heat.restarts <= restarts + 1.25, `a heat of ${heat.restarts}`);
          must(giveUpAfter === null || failures <= giveUpAfter, `${failures} failures`);
          must(backoff >= 0 && backoff <= EXACT.backoff.max, `a wait of ${backoff}`);
          must(!/^(running|restarting)/.test(state) || !(bound || held), `${state} while bound or held`);
          must(!state.startsWith('running') || now !== null, 'it runs without a leader');
          must(!orderedDown || /^stop/.test(state), `${state} after a stop`);
        }
        live.stop();
        expect(broken).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test('who does nothing but die soon has failed after at most one restart more than it bears', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 12 }),
        fc.array(fc.integer({ min: 0, max: 900 }), { minLength: 1, maxLength: 20 }),
        fc.boolean(),
        (restarts, lifetimes, settles) => {
          // The window is long beside what all of the lives and waits together take.
          const h = startCommand({
            policy: {
              intensity: { restarts, within: 24 * 3_600_000 },
              backoff: { ...EXACT.backoff, max: 2_000 },
            },
          });
          for (let deaths = 0; deaths <= restarts; deaths++) {
            expect(h.state()).toBe('restarting.launching');
            runs(h, 7, lifetimes[deaths % lifetimes.length]! + (settles ? 1_000 : 0), status(1));
            if (h.state() === 'backoff') h.advance(h.context().wait);
          }
          expect(h.state()).toBe('failed.ended');
          expect(h.launches()).toHaveLength(restarts + 1);
        },
      ),
    );
  });
});

describe('why it is not tried again, in words', () => {
  test.each([
    [500, '500 ms'],
    [1_000, '1 s'],
    [1_500, '1.5 s'],
    [60_000, '60 s'],
    [90_000, '90 s'],
    [120_000, '2 min'],
    [3_600_000, '60 min'],
    [86_400_000, '24 h'],
  ])('%i ms: in %s', (within, words) => {
    const h = startCommand({ policy: { intensity: { restarts: 0, within } } });
    h.send({ type: 'launch.failed', error: 'ENOENT', blame: 'command' });
    expect(h.news().at(-2)).toBe(`0 command.failed more than 0 restarts in ${words}`);
  });
});
