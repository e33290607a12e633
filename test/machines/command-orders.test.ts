/** Orders, times of a schedule and handovers that come in the midst of something else. */
import { describe, expect, test } from 'vitest';
import type { CommandPolicy, HealthPolicy } from '../../machines/restart-policy.ts';
import {
  counted,
  exits,
  type Harness,
  type HarnessOptions,
  launched,
  left,
  process,
  startCommand,
  status,
  stop,
} from './harness.ts';

const HEALTH: HealthPolicy = {
  every: 1_000,
  timeout: 500,
  failures: 1,
  successes: 1,
  grace: 0,
  onUnhealthy: 'restart',
};
const CRON: Partial<CommandPolicy> = { kind: 'cron', restart: 'on-failure', giveUpAfter: 1 };

const due = (h: Harness): void => h.send({ type: 'schedule.due' });

/** It runs, under pid 7. */
function running(options: HarnessOptions = {}): Harness {
  const h = startCommand(options);
  launched(h, 7);
  h.advance(1_000);
  return h;
}

/** A run of a schedule. */
function inRun(policy: Partial<CommandPolicy> = {}): Harness {
  const h = startCommand({ policy: { ...CRON, ...policy } });
  expect(h.state()).toBe('scheduled');
  due(h);
  launched(h, 7);
  h.advance(1_000);
  expect(h.state()).toBe('running.ready.unchecked');
  return h;
}

describe('a start that is ordered while one that is unhealthy is being stopped', () => {
  test('forgives it, and does not wait for its group', () => {
    const h = running({ policy: { health: HEALTH }, role: { grouped: true } });
    h.advance(1_000);
    h.send({ type: 'probe.finished', reason: 'no answer' });
    expect(h.state()).toMatch(/^stopping/);
    expect(h.context()).toMatchObject({ held: true, failures: 1 });
    h.send({ type: 'command.start' });
    expect(h.context()).toMatchObject({ held: false, stop: { faulted: false } });
    exits(h, 7, status(0));
    counted(h);
    expect(h.state()).toBe('restarting.launching');
    expect(h.context()).toMatchObject({ failures: 0, wait: 0 });
  });

  test('that nobody orders leaves what it is held for', () => {
    const h = running({ policy: { health: HEALTH }, role: { grouped: true } });
    h.advance(1_000);
    h.send({ type: 'probe.finished', reason: 'no answer' });
    exits(h, 7, status(0));
    counted(h);
    expect(h.state()).toBe('backoff');
    expect(h.context()).toMatchObject({ held: true, failures: 1 });
  });
});

test('what was cleared away once is cleared away again after a run that was of no use', () => {
  const h = startCommand({ policy: { ready: { timeout: 5_000, interval: 250 } } });
  launched(h, 7);
  exits(h, 7, status(1), null, left({ tagged: 1 }));
  expect(h.context()).toMatchObject({ cleared: true, wait: 0 });
  counted(h);
  launched(h, 8);
  h.advance(5_000);
  expect(h.state()).toMatch(/^stopping/);
  exits(h, 8, status(0));
  counted(h);
  expect(h.context().cleared).toBe(false);
  h.advance(60_000);
  launched(h, 9);
  exits(h, 9, status(1), null, left({ tagged: 1 }));
  expect(h.context()).toMatchObject({ cleared: true, wait: 0 });
});

test('a oneshot that has failed is stopped without its stop command: there is nothing to undo', () => {
  const h = startCommand({
    policy: { kind: 'oneshot', restart: 'on-failure', giveUpAfter: 1, ownStop: true },
  });
  launched(h, 7);
  exits(h, 7, status(1));
  expect(h.state()).toBe('failed.ended');
  stop(h, 60_000);
  counted(h);
  expect(h.state()).toBe('stopped');
  expect(h.effects.filter(({ effect }) => effect === 'stopper')).toEqual([]);
});

describe('a schedule', () => {
  test('is told by its own name, and told anew when the policy was read again', () => {
    const h = startCommand({ policy: CRON });
    const asked = () => h.effects.filter(({ effect }) => /^schedule/.test(effect));
    expect(asked()).toMatchObject([{ effect: 'schedule', command: 'svc' }]);
    h.send({
      type: 'command.adjust',
      policy: h.context().policy,
      role: h.context().role,
    });
    expect(asked().map(({ effect }) => effect)).toEqual(['schedule', 'schedule ended', 'schedule']);
  });

  test('that is due while its run is stopped for good starts nothing', () => {
    for (const overlap of ['skip', 'queue', 'kill'] as const) {
      const h = inRun({ overlap });
      stop(h, 60_000);
      due(h);
      expect(h.context().queued, overlap).toBe(false);
      exits(h, 7, status(0));
      counted(h);
      expect(h.state(), overlap).toBe('stopped');
      expect(h.launches(), overlap).toHaveLength(1);
    }
  });

  test('whose run is stopped for the next one, and then for good, forgets the next one', () => {
    const h = inRun({ overlap: 'queue' });
    h.send({ type: 'command.restart' });
    due(h);
    expect(h.context()).toMatchObject({ queued: true, stop: { forGood: false } });
    stop(h, 60_000, true);
    expect(h.context()).toMatchObject({ queued: false, desired: 'down', stop: { forGood: true } });
    exits(h, 7, status(0));
    counted(h);
    expect(h.state()).toBe('stopped');
  });

  test('that is wished up again while it is stopped for good waits for its time', () => {
    const h = inRun({ overlap: 'kill' });
    due(h);
    expect(h.state()).toMatch(/^stopping/);
    stop(h, 60_000, true);
    h.send({ type: 'command.start' });
    exits(h, 7, status(0));
    counted(h);
    expect(h.state()).toBe('scheduled');
    expect(h.launches()).toHaveLength(1);
  });

  test('that is due during a service’s life starts nothing: it was one until the policy was read again', () => {
    for (const overlap of ['queue', 'kill'] as const) {
      const h = running({ policy: { overlap } });
      due(h);
      expect(h.state(), overlap).toBe('running.ready.unchecked');
      expect(h.context().queued, overlap).toBe(false);
    }
  });
});

describe('who was ready', () => {
  const READY: HarnessOptions = { policy: { ready: { timeout: 20_000, interval: 250 } } };
  const found = (h: Harness): void => h.send({ type: 'probe.finished', reason: null });

  test('is told with how long it took since its launch', () => {
    const h = startCommand(READY);
    h.advance(400);
    launched(h, 7);
    h.advance(300);
    found(h);
    expect(h.told().at(-1)).toEqual({ type: 'command.ready', command: 'svc', took: 300 });
  });

  test('stays so when another process takes over, also at its end', () => {
    const h = startCommand(READY);
    launched(h, 7);
    found(h);
    expect(h.state()).toBe('running.ready.unchecked');
    exits(h, 7, status(0), process(8));
    expect(h.context()).toMatchObject({ isReady: true, leader: { pid: 8 } });
    h.send({ type: 'end.announced' });
    expect(h.state()).toBe('running.ending');
    exits(h, 8, status(0), process(9));
    expect(h.state()).toBe('running.ready.unchecked');
    expect(h.context()).toMatchObject({ isReady: true, endsSince: null, leader: { pid: 9 } });
    expect(h.effects.filter(({ effect }) => effect === 'probe')).toHaveLength(1);
  });
});

test('a reload is asked of the command that was told to', () => {
  const h = running();
  h.send({ type: 'command.reload' });
  expect(h.effects.filter(({ effect }) => effect === 'reload')).toMatchObject([{ command: 'svc' }]);
});
