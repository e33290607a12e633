import { describe, expect, test } from 'vitest';
import { commandMachine } from '../../machines/command.ts';
import { DEFAULT_POLICY } from '../../machines/restart-policy.ts';
import {
  counted,
  exits,
  type Harness,
  type HarnessOptions,
  killedBy,
  launched,
  left,
  process,
  startCommand,
  status,
  stop,
} from './harness.ts';

/** A foreground program that has settled; what led there is not in the news. */
function foreground(options: HarnessOptions = {}): Harness {
  const h = startCommand(options);
  launched(h, 7);
  h.advance(1_000);
  expect(h.state()).toBe('running.ready.unchecked');
  h.news();
  return h;
}

describe('starting', () => {
  test('a foreground program runs when it has settled', () => {
    const h = startCommand();
    expect(h.news()).toEqual(['0 launch']);
    launched(h, 7);
    h.advance(999);
    expect(h.state()).toBe('restarting.settling.patient');
    h.advance(1);
    expect(h.state()).toBe('running.ready.unchecked');
    expect(h.news()).toEqual(['0 command.launched 7 #1', '1000 command.running started 7 took null']);
    expect(h.clock.pending()).toBe(0);
  });

  test('a daemon runs the moment its launcher leaves an heir', () => {
    const h = startCommand();
    launched(h, 7);
    h.advance(40);
    exits(h, 7, status(0), process(8, 30));
    expect(h.state()).toBe('running.ready.unchecked');
    expect(h.context().leader).toEqual(process(8, 30));
    expect(h.news()).toEqual(['0 launch', '0 command.launched 7 #1', '40 command.running started 8 took 40']);
  });

  test('a double fork: each heir is followed', () => {
    const h = startCommand();
    launched(h, 7);
    exits(h, 7, status(0), process(8));
    h.advance(1);
    exits(h, 8, status(0), process(9));
    h.advance(1);
    exits(h, 9, status(0), process(10));
    expect(h.state()).toBe('running.ready.unchecked');
    expect(h.context().leader?.pid).toBe(10);
    expect(h.news().slice(2)).toEqual([
      '0 command.running started 8 took 0',
      '1 command.running handover 9 took null',
      '2 command.running handover 10 took null',
    ]);
    expect(h.launches()).toEqual([0]);
  });

  test('a daemon that appears only after its launcher has left', () => {
    const h = startCommand();
    launched(h, 7);
    h.advance(100);
    exits(h, 7, status(0));
    expect(h.state()).toBe('restarting.lingering');
    h.advance(1_999);
    h.send({ type: 'leader.seen', leader: process(8) });
    expect(h.state()).toBe('running.ready.unchecked');
    expect(h.news().at(-1)).toBe('2099 command.running started 8 took 2099');
  });

  test('exit 0 and nobody there: a failed start that asks for a one-shot', () => {
    const h = startCommand();
    launched(h, 7);
    h.advance(100);
    exits(h, 7, status(0));
    h.news();
    h.advance(1_999);
    expect(h.news()).toEqual([]);
    h.advance(1);
    expect(h.state()).toBe('backoff');
    expect(h.news()).toEqual([
      '2100 command.failedStart null finished with status 0 and left no process; is it a one-shot? failures 1 wait 250',
    ]);
    expect(h.context().lastExit).toEqual(status(0));
  });

  test.each([
    [1, 'the process that it left is not'],
    [3, 'none of the 3 processes that it left is'],
  ])(
    'exit 0 and %d there, of whom none is the service: a failed start that asks for a match',
    (tagged, says) => {
      const h = startCommand();
      launched(h, 7);
      exits(h, 7, status(0), null, left({ tagged }));
      h.advance(2_000);
      expect(h.news()).toContain(
        `2000 command.failedStart null finished with status 0, and ${says} the service; say which one is with match in a policy failures 1 wait 0`,
      );
    },
  );

  test('exit not 0: a failed start that tells the status', () => {
    const h = startCommand();
    launched(h, 7);
    h.advance(20);
    exits(h, 7, status(98));
    expect(h.state()).toBe('backoff');
    const failed = h.told().at(-1);
    expect(failed).toMatchObject({
      type: 'command.failedStart',
      pid: 7,
      exit: status(98),
      failures: 1,
      wait: 250,
    });
  });

  test('an init script has 30 s to return, then it counts as a foreground program', () => {
    const h = startCommand({ policy: { returns: true } });
    launched(h, 7);
    h.advance(29_999);
    expect(h.state()).toBe('restarting.settling.patient');
    h.advance(1);
    expect(h.state()).toBe('running.ready.unchecked');
    expect(h.news().at(-1)).toBe('30000 command.running started 7 took null');
  });

  test('an init script that returns in time leaves the daemon', () => {
    const h = startCommand({ policy: { returns: true } });
    launched(h, 7);
    h.advance(12_000);
    exits(h, 7, status(0), process(8));
    expect(h.state()).toBe('running.ready.unchecked');
  });
});

describe('a launch that fails', () => {
  test('by the command: backs off, doubling, and counts towards giving up', () => {
    const h = startCommand({ policy: { giveUpAfter: 3 } });
    for (const [failures, wait] of [
      [1, 250],
      [2, 500],
    ] as const) {
      h.news();
      h.send({ type: 'launch.failed', error: 'no such program', blame: 'command' });
      expect(h.news()).toEqual([
        `${h.clock.now()} command.failedStart null no such program failures ${failures} wait ${wait}`,
      ]);
      h.advance(wait - 1);
      expect(h.state()).toBe('backoff');
      h.advance(1);
      expect(h.state()).toBe('restarting.launching');
    }
    h.news();
    h.send({ type: 'launch.failed', error: 'no such program', blame: 'command' });
    expect(h.state()).toBe('failed.ended');
    expect(h.news()).toEqual([
      '750 command.failedStart null no such program failures 3 wait null',
      '750 command.failed 3 failures in a row',
      '750 rested failed 0',
    ]);
    expect(h.clock.pending()).toBe(0);
  });

  test('by the system: waits from 1 s to 60 s, and never gives up', () => {
    const h = startCommand({ policy: { giveUpAfter: 1 } });
    const waits: number[] = [];
    for (let refusals = 0; refusals < 12; refusals++) {
      h.send({ type: 'launch.failed', error: 'EAGAIN', blame: 'system' });
      expect(h.state()).toBe('backoff');
      waits.push(h.context().wait);
      h.advance(h.context().wait);
    }
    expect(waits).toEqual([
      1_000, 1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000,
    ]);
    expect(h.context().failures).toBe(0);
    launched(h, 7);
    exits(h, 7, status(0), process(8));
    expect(h.state()).toBe('running.ready.unchecked');
  });

  test('by the system, and then by the command: each waits its own time', () => {
    const h = startCommand();
    for (let refusals = 0; refusals < 6; refusals++) {
      h.send({ type: 'launch.failed', error: 'EAGAIN', blame: 'system' });
      h.advance(h.context().wait);
    }
    launched(h, 7);
    exits(h, 7, status(1));
    expect(h.context()).toMatchObject({ failures: 1, wait: 250 });
  });
});

describe('death', () => {
  test('after a stable run: started again at once', () => {
    const h = foreground();
    h.advance(9_000);
    exits(h, 7, killedBy('SIGSEGV'));
    expect(h.state()).toBe('restarting.launching');
    expect(h.news()).toEqual(['10000 command.died 7 uptime 10000 restart 1 wait 0', '10000 launch']);
    h.advance(5);
    launched(h, 8);
    h.advance(1_000);
    expect(h.news().at(-1)).toBe('11005 command.running started 8 took 5');
  });

  test('young: 0.25 s doubling to 60 s, forgotten after a stable run', () => {
    const h = startCommand();
    const waits: number[] = [];
    const live = (uptime: number): void => {
      launched(h, 7);
      h.advance(uptime);
      exits(h, 7, status(1));
    };
    for (let deaths = 0; deaths < 10; deaths++) {
      live(9_999);
      expect(h.state()).toBe('backoff');
      waits.push(h.context().wait);
      const since = h.clock.now();
      h.advance(h.context().wait);
      expect(h.launches().at(-1)).toBe(since + waits.at(-1)!);
    }
    expect(waits).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    live(10_000);
    expect(h.state()).toBe('restarting.launching');
    live(5_000);
    expect(h.context()).toMatchObject({ failures: 1, wait: 250 });
  });

  test('young, with the default policy: the jitter takes up to a fifth off', () => {
    const waits = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => {
      const h = foreground({ seed, policy: { backoff: DEFAULT_POLICY.backoff } });
      exits(h, 7, status(1));
      const { wait } = h.context();
      h.advance(wait - 1);
      expect(h.launches()).toHaveLength(1);
      h.advance(1);
      expect(h.launches()).toHaveLength(2);
      return wait;
    });
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(200);
    expect(Math.max(...waits)).toBeLessThanOrEqual(250);
    expect(new Set(waits).size).toBeGreaterThan(1);
  });

  test('workers left behind are stopped first: SIGTERM, 250 ms, SIGKILL', () => {
    const h = foreground();
    h.advance(20_000);
    exits(h, 7, killedBy('SIGKILL'), null, left({ workers: 2, tagged: 3 }));
    expect(h.news()).toEqual([
      '21000 command.died 7 uptime 21000 restart 1 wait 0',
      '21000 command.clearing SIGTERM 2/3',
      '21000 SIGTERM workers',
    ]);
    counted(h, { workers: 1, tagged: 2 });
    h.advance(249);
    expect(h.news()).toEqual([]);
    h.advance(1);
    expect(h.news()).toEqual(['21250 SIGKILL workers']);
    h.advance(3);
    // One with a session of its own is kept.
    counted(h, { workers: 0, tagged: 1 });
    expect(h.news()).toEqual(['21253 launch']);
  });

  test('workers that SIGKILL does not end are started beside, and told of', () => {
    const h = foreground();
    h.advance(20_000);
    exits(h, 7, killedBy('SIGKILL'), null, left({ workers: 2, tagged: 2 }));
    h.advance(250);
    counted(h, { workers: 1, tagged: 1 });
    h.news();
    h.advance(1_999);
    expect(h.news()).toEqual([]);
    h.advance(1);
    expect(h.news()).toEqual([
      '23250 warn cannot end 1 processes that the service left behind: SIGKILL had no effect (stuck in the kernel?); it is started beside them',
      '23250 launch',
    ]);
  });

  test('workers left behind by a young death: cleared, and then the backoff', () => {
    const h = foreground();
    exits(h, 7, status(1), null, left({ workers: 1, tagged: 1 }));
    expect(h.state()).toBe('missing.clearing.asking');
    counted(h);
    expect(h.state()).toBe('backoff');
    h.advance(250);
    expect(h.launches()).toEqual([0, 1_250]);
  });
});

describe('a failed start that leaves something behind', () => {
  test('is cleared and tried again at once, once', () => {
    const h = startCommand();
    const failing = (): void => {
      launched(h, 7);
      exits(h, 7, status(1), null, left({ tagged: 2 }));
      h.advance(10);
      counted(h);
    };
    failing();
    expect(h.news()).toEqual([
      '0 launch',
      '0 command.launched 7 #1',
      '0 command.failedStart 7 exited failures 1 wait 0',
      '0 command.clearing SIGTERM 0/2',
      '0 SIGTERM tagged',
      '10 launch',
    ]);
    failing();
    expect(h.news()).toEqual([
      '10 command.launched 7 #2',
      '10 command.failedStart 7 exited failures 2 wait 500',
      '10 command.clearing SIGTERM 0/2',
      '10 SIGTERM tagged',
    ]);
    expect(h.state()).toBe('backoff');
    h.advance(500);
    failing();
    expect(h.context()).toMatchObject({ failures: 3, wait: 1_000 });
    expect(h.state()).toBe('backoff');
  });

  test('may be tried at once again after it has run', () => {
    const h = startCommand();
    for (let life = 0; life < 2; life++) {
      launched(h, 7);
      exits(h, 7, status(1), null, left({ tagged: 1 }));
      counted(h);
      expect(h.state()).toBe('restarting.launching');
      launched(h, 8);
      h.advance(20_000);
      expect(h.state()).toBe('running.ready.unchecked');
      exits(h, 8, killedBy('SIGKILL'));
    }
  });
});

describe('adoption', () => {
  test('who was found runs, and nothing is started', () => {
    const h = startCommand({ found: process(7, -3_600_000, 'name') });
    expect(h.state()).toBe('running.ready.unchecked');
    expect(h.news()).toEqual(['0 command.running adopted 7 took null']);
    expect(h.context()).toMatchObject({ starts: 0, restarts: 0 });
  });

  test('its death is not young when it has lived long before upkeep', () => {
    const h = startCommand({ found: process(7, -3_600_000) });
    h.advance(5);
    exits(h, 7, { known: false, code: null, signal: null, core: false });
    expect(h.news().slice(1)).toEqual(['5 command.died 7 uptime 3600005 restart 1 wait 0', '5 launch']);
  });

  test('its death is young when it had only just begun', () => {
    const h = startCommand({ found: process(7, -500) });
    exits(h, 7, status(1));
    expect(h.state()).toBe('backoff');
  });

  test('what appears during a backoff is followed, and no other one started beside it', () => {
    const h = startCommand();
    launched(h, 7);
    exits(h, 7, status(0), process(8));
    exits(h, 8, status(0));
    expect(h.state()).toBe('backoff');
    h.advance(100);
    h.send({ type: 'leader.seen', leader: process(9) });
    h.advance(60_000);
    expect(h.state()).toBe('running.ready.unchecked');
    expect(h.launches()).toEqual([0]);
    expect(h.context()).toMatchObject({ leader: process(9), wait: 0 });
  });
});

describe('who shows up while workers of the one before are stopped', () => {
  test('is followed, and no other one is started beside it', () => {
    const h = foreground();
    exits(h, 7, status(0), null, left({ workers: 1, tagged: 2 }));
    expect(h.state()).toBe('missing.clearing.asking');
    h.send({ type: 'leader.seen', leader: process(9) });
    expect(h.state()).toBe('running.ready.unchecked');
    h.advance(1e6);
    expect(h.launches()).toEqual([0]);
  });

  test('is not followed by who has given up', () => {
    const h = foreground({ policy: { giveUpAfter: 1 } });
    exits(h, 7, status(0), null, left({ workers: 1, tagged: 2 }));
    h.send({ type: 'leader.seen', leader: process(9) });
    counted(h, { tagged: 1 });
    expect(h.state()).toBe('failed.ended');
  });

  test('is not followed where it is stopped with all that a failed start has left', () => {
    const h = startCommand();
    launched(h, 7);
    exits(h, 7, status(1), null, left({ tagged: 1 }));
    h.send({ type: 'leader.seen', leader: process(9) });
    expect(h.state()).toBe('missing.clearing.asking');
    counted(h);
    expect(h.state()).toBe('restarting.launching');
  });
});

describe('handover', () => {
  test('the heir of a running leader is followed, and the run goes on', () => {
    const h = foreground();
    h.advance(1_000);
    exits(h, 7, status(0), process(8, 1_900));
    expect(h.news()).toEqual(['2000 command.running handover 8 took null']);
    expect(h.state()).toBe('running.ready.unchecked');
    h.advance(9_000);
    exits(h, 8, status(1));
    expect(h.news()).toEqual(['11000 command.died 8 uptime 11000 restart 1 wait 0', '11000 launch']);
  });
});

describe('stopping', () => {
  test('SIGTERM, and it leaves the moment the last process is gone', () => {
    const h = foreground();
    stop(h);
    expect(h.news()).toEqual(['1000 command.stopping SIGTERM', '1000 SIGTERM tagged']);
    h.advance(100);
    exits(h, 7, killedBy('SIGTERM'), null, left({ tagged: 1 }));
    expect(h.state()).toBe('stopping.terminating');
    h.advance(20);
    counted(h);
    expect(h.state()).toBe('stopped');
    expect(h.news()).toEqual(['1120 command.stopped took 120 left 0', '1120 rested stopped 0']);
    expect(h.told().at(-1)).toMatchObject({ exit: killedBy('SIGTERM') });
    h.advance(1e9);
    expect(h.launches()).toEqual([0]);
    expect(h.clock.pending()).toBe(0);
  });

  test('sessions are kept, unless everything is to be stopped', () => {
    const kept = foreground();
    stop(kept);
    exits(kept, 7, status(0), null, left({ sessions: 2 }));
    expect(kept.state()).toBe('stopped');

    const all = foreground();
    stop(all, 9_000, true);
    expect(all.news()).toContain('1000 SIGTERM everything');
    exits(all, 7, status(0), null, left({ sessions: 2 }));
    expect(all.state()).toBe('stopping.terminating');
    counted(all);
    expect(all.state()).toBe('stopped');
  });

  test.each([
    { budget: 9_000, ask: 6_000, kill: 8_500 },
    { budget: 1_000, ask: 667, kill: 800 },
    { budget: 300, ask: 200, kill: 240, over: 1_000 },
    { budget: 60_000, ask: 40_000, kill: 59_500 },
  ])(
    'the budget of $budget ms: own stop until $ask, SIGKILL at $kill, given up at $over',
    ({ budget, ask, kill, over = budget }) => {
      const h = foreground({ policy: { ownStop: true } });
      const at = h.clock.now();
      stop(h, budget);
      expect(h.news()).toEqual([`${at} command.stopping its own stop command`, `${at} stopper`]);
      h.advance(over);
      const news = h.news();
      expect(news.slice(1)).toEqual([
        `${at + ask} stopper ended`,
        `${at + kill} SIGKILL tagged`,
        `${at + over} command.stopped took ${budget} left 0`,
        `${at + over} rested stopped 0`,
      ]);
      expect(news[0]).toBe(`${at + ask} SIGTERM tagged`);
      expect(h.state()).toBe('stopped');
    },
  );

  test('what could not be ended is told', () => {
    const h = foreground();
    stop(h, 9_000, true);
    h.advance(8_600);
    exits(h, 7, killedBy('SIGKILL'), null, left({ tagged: 2, sessions: 1 }));
    h.news();
    h.advance(400);
    expect(h.news()).toEqual(['10000 command.stopped took 9000 left 3', '10000 rested stopped 3']);
    expect(h.state()).toBe('stopped');
  });

  test('with its own stop command: what that leaves gets SIGTERM', () => {
    const h = foreground({ policy: { ownStop: true } });
    stop(h);
    h.advance(50);
    exits(h, 7, status(0), null, left({ tagged: 1 }));
    h.advance(10);
    counted(h);
    expect(h.state(), 'it may have its own work to finish').toBe('stopping.asking');
    h.advance(10);
    h.send({ type: 'stopper.finished', error: null });
    counted(h);
    expect(h.news()).toEqual([
      '1000 command.stopping its own stop command',
      '1000 stopper',
      '1070 info its stop command has finished',
      '1070 SIGTERM tagged',
      '1070 stopper ended',
      '1070 command.stopped took 70 left 0',
      '1070 rested stopped 0',
    ]);
  });

  test('a stop command that fails is told of as a warning', () => {
    const h = foreground({ policy: { ownStop: true } });
    stop(h);
    h.send({ type: 'stopper.finished', error: 'its stop command exited with status 4' });
    expect(h.news()).toContain('1000 warn its stop command exited with status 4');
    expect(h.state()).toBe('stopping.terminating');
  });

  test('a kill order does not wait', () => {
    const h = foreground({ policy: { ownStop: true } });
    stop(h);
    h.advance(100);
    h.news();
    h.send({ type: 'command.kill' });
    expect(h.news()).toEqual(['1100 SIGKILL tagged', '1100 stopper ended']);
    exits(h, 7, killedBy('SIGKILL'));
    expect(h.state()).toBe('stopped');
  });

  const WHILE: Record<string, (options: HarnessOptions) => Harness> = {
    launching: (options) => startCommand(options),
    settling(options) {
      const h = startCommand(options);
      launched(h, 7);
      return h;
    },
    lingering(options) {
      const h = WHILE.settling!(options);
      exits(h, 7, status(0));
      return h;
    },
    'backing off'(options) {
      const h = WHILE.settling!(options);
      exits(h, 7, status(1));
      expect(h.state()).toBe('backoff');
      return h;
    },
    clearing(options) {
      const h = WHILE.settling!(options);
      exits(h, 7, status(1), null, left({ tagged: 1 }));
      expect(h.state()).toBe('missing.clearing.asking');
      return h;
    },
    failed(options) {
      const h = startCommand({ ...options, policy: { ...options.policy, giveUpAfter: 1 } });
      h.send({ type: 'launch.failed', error: 'ENOENT', blame: 'command' });
      expect(h.state()).toBe('failed.ended');
      return h;
    },
    stopped(options) {
      const h = startCommand(options);
      stop(h);
      counted(h);
      expect(h.state()).toBe('stopped');
      return h;
    },
  };
  describe.each(Object.keys(WHILE))('while %s', (name) => {
    test.each([false, true])('own stop command: %s', (ownStop) => {
      const h = WHILE[name]!({ policy: { ownStop } });
      const asks = ownStop && h.context().leader !== null;
      const launches = h.launches().length;
      h.news();
      stop(h);
      expect(h.state()).toBe(asks ? 'stopping.asking' : 'stopping.terminating');
      if (asks) h.send({ type: 'stopper.finished', error: null });
      // The answers of what was under way come too late.
      launched(h, 70);
      h.send({ type: 'launch.failed', error: 'late', blame: 'system' });
      h.send({ type: 'leader.seen', leader: process(71) });
      counted(h);
      expect(h.state()).toBe('stopped');
      expect(h.news().at(-1)).toBe('0 rested stopped 0');
      h.advance(1e9);
      expect(h.launches()).toHaveLength(launches);
      expect(h.context().desired).toBe('down');

      h.send({ type: 'command.start' });
      expect(h.launches()).toHaveLength(launches + 1);
      expect(h.context()).toMatchObject({ desired: 'up', failures: 0 });
    });
  });

  test('a stop during a stop that is for everything as well signals the sessions at once', () => {
    const h = foreground();
    stop(h);
    exits(h, 7, killedBy('SIGTERM'), null, left({ tagged: 1, sessions: 1 }));
    h.advance(50);
    h.news();
    stop(h, 9_000, true);
    expect(h.news()).toEqual(['1050 SIGTERM everything']);
    stop(h, 9_000, true);
    stop(h, 9_000, false);
    expect(h.news()).toEqual([]);
    counted(h, { sessions: 1 });
    expect(h.state()).toBe('stopping.terminating');
    h.advance(8_450);
    expect(h.news()).toEqual(['9500 SIGKILL everything']);
    counted(h);
    expect(h.state()).toBe('stopped');
  });

  test('a stop during a stop that asks for no more leaves the sessions alone', () => {
    const h = startCommand({ found: process(7) });
    h.send({ type: 'command.stop', budget: 9_000, everything: false });
    h.send({ type: 'command.stop', budget: 9_000, everything: false });
    h.news();
    h.advance(8_500);
    expect(h.news()).toEqual(['8500 SIGKILL tagged']);
  });

  test('what is told of the end is never that of an earlier life', () => {
    const h = foreground();
    h.advance(20_000);
    exits(h, 7, killedBy('SIGSEGV'));
    launched(h, 8);
    h.advance(1_000);
    stop(h);
    counted(h);
    expect(h.told().at(-1)).toMatchObject({ type: 'command.stopped', exit: null, left: 0 });
  });
});

describe('orders', () => {
  test('restart: stopped, and started again', () => {
    const h = foreground();
    h.send({ type: 'command.restart' });
    h.advance(30);
    exits(h, 7, killedBy('SIGTERM'));
    expect(h.news()).toEqual([
      '1000 command.stopping SIGTERM',
      '1000 SIGTERM tagged',
      '1030 command.stopped took 30 left 0',
      '1030 launch',
    ]);
    h.advance(5);
    launched(h, 8);
    exits(h, 8, status(0), process(9));
    expect(h.news().at(-1)).toBe('1035 command.running started 9 took 5');
  });

  test('restart: how long it took counts from the end of the run before, even when only the count has told of it', () => {
    const h = foreground();
    h.advance(20_000);
    exits(h, 7, killedBy('SIGSEGV'));
    launched(h, 8);
    h.advance(50_000);
    h.send({ type: 'command.restart' });
    h.advance(10);
    counted(h);
    exits(h, 8, killedBy('SIGTERM'));
    h.advance(5);
    launched(h, 9);
    h.advance(1_000);
    expect(h.news().at(-1)).toBe('72015 command.running started 9 took 5');
  });

  test('restart: what cannot be ended is not started beside', () => {
    const h = foreground();
    h.send({ type: 'command.restart' });
    counted(h, { tagged: 1 });
    h.advance(9_000);
    expect(h.state()).toBe('stopped');
    expect(h.context().desired).toBe('down');
    expect(h.launches()).toEqual([0]);
  });

  test.each(['command.start', 'command.restart'] as const)(
    '%s during a stop: started when all is gone',
    (type) => {
      const h = foreground();
      stop(h);
      h.send({ type, at: h.clock.now() });
      expect(h.state()).toBe('stopping.terminating');
      exits(h, 7, killedBy('SIGTERM'));
      expect(h.state()).toBe('restarting.launching');
    },
  );

  test('a stop during a restart wins', () => {
    const h = foreground();
    h.send({ type: 'command.restart' });
    stop(h);
    exits(h, 7, killedBy('SIGTERM'));
    expect(h.state()).toBe('stopped');
  });

  test('start after a stop: how long it was down by order is not what it took', () => {
    const h = foreground();
    stop(h);
    exits(h, 7, killedBy('SIGTERM'));
    h.advance(3_600_000);
    h.send({ type: 'command.start' });
    launched(h, 8);
    h.advance(1_000);
    expect(h.news().at(-1)).toBe('3602000 command.running started 8 took null');
  });

  test('start ends a backoff, and all failures are forgotten', () => {
    const h = startCommand();
    for (let failures = 0; failures < 5; failures++) {
      h.send({ type: 'launch.failed', error: 'ENOENT', blame: 'command' });
      if (failures < 4) h.advance(h.context().wait);
    }
    expect(h.context()).toMatchObject({ failures: 5, wait: 4_000 });
    h.send({ type: 'command.start' });
    expect(h.state()).toBe('restarting.launching');
    h.send({ type: 'launch.failed', error: 'ENOENT', blame: 'command' });
    expect(h.context()).toMatchObject({ failures: 1, wait: 250 });
  });
});

describe('giving up', () => {
  test('after so many young deaths and failed starts in a row; an order starts it again', () => {
    const h = startCommand({ policy: { giveUpAfter: 3 } });
    launched(h, 7);
    h.advance(5_000);
    exits(h, 7, status(1));
    h.advance(250);
    h.send({ type: 'launch.failed', error: 'ENOENT', blame: 'command' });
    h.advance(500);
    launched(h, 8);
    h.news();
    exits(h, 8, status(1), null, left({ tagged: 1 }));
    counted(h, { tagged: 1 });
    h.advance(2_250);
    expect(h.state()).toBe('failed.ended');
    expect(h.news().slice(-2)).toEqual(['8000 command.failed 3 failures in a row', '8000 rested failed 1']);
    h.advance(1e9);
    expect(h.launches()).toHaveLength(3);
    h.send({ type: 'command.start' });
    counted(h);
    expect(h.state()).toBe('restarting.launching');
    expect(h.context().failures).toBe(0);
  });

  test('what a timer brings is dated by the last launch, not by a death long ago', () => {
    const h = startCommand({ policy: { giveUpAfter: 2 } });
    const rested: number[] = [];
    h.actor.system.inspect((event) => {
      if (event.type === '@xstate.event' && event.event.type === 'command.rested')
        rested.push(event.event.at);
    });
    launched(h, 7);
    h.advance(20_000);
    exits(h, 7, killedBy('SIGKILL'));
    for (let tries = 0; tries < 2; tries++) {
      h.advance(300);
      launched(h, 8 + tries);
      exits(h, 8 + tries, status(0));
      h.advance(2_000);
      h.advance(h.context().wait);
    }
    expect(h.state()).toBe('failed.ended');
    expect(rested).toEqual([22_850]);
  });
});

test('endless microsteps would be an error', () => {
  expect(commandMachine.options?.maxIterations).toBe(100);
  expect(commandMachine.provide({}).options?.maxIterations).toBe(100);
});

describe('what is noted on the way', () => {
  test('a failed start dates the death that there was none of before, and the next one counts from there', () => {
    const h = startCommand();
    launched(h, 7);
    h.advance(20);
    exits(h, 7, status(98));
    expect(h.context()).toMatchObject({ diedAt: 20, lastExit: status(98) });
    h.advance(250);
    launched(h, 8);
    h.advance(10);
    // The second one leaves the date: since then nobody has stood for the service.
    exits(h, 8, status(97));
    expect(h.context()).toMatchObject({ diedAt: 20, lastExit: status(97) });
    h.advance(500);
    launched(h, 9);
    expect(h.context().took).toBe(760);
  });

  test('a start that fails by a timer has no date of its own', () => {
    const h = startCommand();
    launched(h, 7);
    exits(h, 7, status(0));
    h.advance(2_000);
    expect(h.state()).toBe('backoff');
    expect(h.context()).toMatchObject({ diedAt: null, lastExit: status(0) });
  });

  test('a launch that fails leaves the last exit as it was', () => {
    const h = foreground();
    h.advance(60_000);
    exits(h, 7, killedBy('SIGKILL'));
    h.send({ type: 'launch.failed', error: 'cannot run it', blame: 'system' });
    expect(h.context()).toMatchObject({ lastExit: killedBy('SIGKILL'), diedAt: 61_000 });
  });

  test('a count that is faster than the news of the end dates the end', () => {
    const h = foreground();
    h.advance(4_000);
    h.send({ type: 'command.restart' });
    h.advance(30);
    counted(h);
    expect(h.context()).toMatchObject({ leader: null, diedAt: 5_030 });
    h.advance(5);
    launched(h, 8);
    expect(h.context().took).toBe(5);
  });

  test('the end of the leader dates it, not the count of what it left', () => {
    const h = foreground();
    h.send({ type: 'command.restart' });
    h.advance(10);
    exits(h, 7, killedBy('SIGTERM'), null, left({ tagged: 1 }));
    h.advance(20);
    counted(h);
    expect(h.context().diedAt).toBe(1_010);
  });

  test('after a stop, what a failed start leaves is cleared once more', () => {
    const h = startCommand();
    launched(h, 7);
    exits(h, 7, status(1), null, left({ tagged: 1 }));
    counted(h);
    expect(h.state()).toBe('restarting.launching');
    launched(h, 8);
    expect(h.context().cleared).toBe(true);
    h.send({ type: 'command.restart' });
    counted(h);
    expect(h.context().cleared).toBe(false);
    launched(h, 9);
    exits(h, 9, status(1), null, left({ tagged: 1 }));
    expect(h.state()).toBe('missing.clearing.asking');
    counted(h);
    expect(h.state()).toBe('restarting.launching');
  });

  test('the stop command that is run, and the launcher, are those of this command', () => {
    const h = foreground({ policy: { ownStop: true } });
    stop(h);
    expect(h.effects.filter(({ effect }) => effect === 'launch' || effect === 'stopper')).toEqual([
      { at: 0, effect: 'launch', command: 'svc' },
      { at: 1_000, effect: 'stopper', command: 'svc' },
    ]);
  });

  test('where nobody leads, nobody is asked: it says SIGTERM, though there is a stop command', () => {
    const h = startCommand({ policy: { ownStop: true } });
    launched(h, 7);
    exits(h, 7, status(1));
    h.news();
    stop(h);
    expect(h.news()).toEqual(['0 command.stopping SIGTERM', '0 SIGTERM tagged']);
  });

  test('a stop that its budget ends rests since then, though nobody saw it', () => {
    const h = foreground();
    h.advance(3_000);
    stop(h, 2_000);
    h.advance(2_000);
    const rested = h.effects.find(({ effect }) => effect === 'rested');
    expect(rested).toMatchObject({ at: 6_000, state: 'stopped', since: 6_000 });
    const young = foreground();
    young.advance(500);
    stop(young);
    counted(young);
    expect(young.effects.find(({ effect }) => effect === 'rested')).toMatchObject({ since: 1_500 });
  });

  test('a stop that its budget ends, in the midst of a start, does so as well', () => {
    const h = foreground();
    h.advance(20_000);
    exits(h, 7, killedBy('SIGSEGV'));
    stop(h, 2_000);
    h.advance(2_000);
    expect(h.effects.find(({ effect }) => effect === 'rested')).toMatchObject({ at: 23_000, since: 23_000 });
  });
});
