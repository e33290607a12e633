/** How long a stop takes, who asks for it, and what it tells. */
import { describe, expect, test } from 'vitest';
import { idOf, left, NOTHING, process, startCommand, status } from './harness.ts';

const stop = { type: 'command.stop', budget: 9_000, everything: false } as const;
const shutdown = { type: 'command.stop', budget: 2_000, everything: true } as const;

describe('an order that leaves less time', () => {
  test('has the stop that is under way done in that', () => {
    const h = startCommand({ found: process(7) });
    h.send(stop);
    h.advance(1_000);
    h.news();
    h.send(shutdown);
    expect(h.news()).toContain('1000 SIGTERM everything');
    h.advance(1_599);
    expect(h.news()).not.toContain('2600 SIGKILL everything');
    h.advance(1);
    expect(h.news()).toContain('2600 SIGKILL everything');
    h.send({ type: 'lineage.counted', remains: left({ tagged: 1 }) });
    h.advance(400);
    expect(h.state()).toBe('stopped');
    expect(h.context().stop.left).toBe(1);
  });

  test('does not wait for the own stop command, and does not run it again', () => {
    const h = startCommand({ found: process(7), policy: { ownStop: true } });
    h.send(stop);
    expect(h.state()).toBe('stopping.asking');
    h.news();
    h.send(shutdown);
    expect(h.state()).toBe('stopping.terminating');
    const effects = h.news();
    expect(effects).toContain('0 stopper ended');
    expect(effects).not.toContain('0 stopper');
  });

  test('that leaves more changes nothing', () => {
    const h = startCommand({ found: process(7) });
    h.send({ ...stop, budget: 1_000 });
    h.news();
    h.send(shutdown);
    h.advance(800);
    expect(h.news()).toContain('800 SIGKILL everything');
  });
});

test('the policy’s own time for a stop holds for a restart as well', () => {
  const h = startCommand({ found: process(7), policy: { stopTimeout: 30_000 } });
  h.send({ type: 'command.restart' });
  h.advance(29_499);
  expect(h.state()).toBe('stopping.terminating');
  h.advance(1);
  expect(h.state()).toBe('stopping.killing');
});

describe('a one-shot that was done', () => {
  const done = (ownStop: boolean) => {
    const h = startCommand({ policy: { kind: 'oneshot', restart: 'on-failure', ownStop } });
    h.send({ type: 'launcher.started', ...idOf(7) });
    h.send({ type: 'leader.exited', id: idOf(7), exit: status(0), heir: null, remains: NOTHING });
    expect(h.state()).toBe('completed.done');
    h.news();
    return h;
  };

  test('is undone by its stop command', () => {
    const h = done(true);
    h.send(stop);
    expect(h.state()).toBe('stopping.asking');
    expect(h.news()).toContain('0 stopper');
    h.send({ type: 'stopper.finished', error: null });
    h.send({ type: 'lineage.counted', remains: NOTHING });
    expect(h.state()).toBe('stopped');
  });

  test('and has none stops without a word for people', () => {
    const h = done(false);
    h.send(stop);
    h.send({ type: 'lineage.counted', remains: NOTHING });
    const told = h.told().filter(({ type }) => type === 'command.stopping' || type === 'command.stopped');
    expect(told.map((each) => 'idle' in each && each.idle)).toEqual([true, true]);
  });
});

test('a stop of what runs is told', () => {
  const h = startCommand({ found: process(7) });
  h.send(stop);
  expect(h.told().at(-1)).toMatchObject({ type: 'command.stopping', idle: false });
});

describe('when upkeep itself was stopped for longer than the stop may take', () => {
  test.each([
    { budget: 9_000, least: 499 },
    { budget: 1_000, least: 199 },
    { budget: 300, least: 759 },
  ])('of $budget ms: SIGKILL is given $least ms before what is left is given up', ({ budget, least }) => {
    for (const ends of [true, false]) {
      const h = startCommand({ found: process(7), policy: { ownStop: true } });
      h.send({ ...stop, budget });
      h.send({ type: 'lineage.counted', remains: left({ tagged: 1 }) });
      h.clock.oversleep(60_000);
      expect(h.state()).toBe('stopping.killing');
      expect(h.news()).toContain('60000 SIGKILL tagged');
      h.advance(least - 1);
      expect(h.state()).toBe('stopping.killing');
      if (ends) h.send({ type: 'leader.exited', id: idOf(7), exit: status(0), heir: null, remains: NOTHING });
      else h.advance(1);
      expect(h.state()).toBe('stopped');
      expect(h.context().stop.left).toBe(ends ? 0 : 1);
    }
  });

  test('a restart that comes to its end then is one', () => {
    const h = startCommand({ found: process(7) });
    h.send({ type: 'command.restart' });
    h.clock.oversleep(60_000);
    h.send({ type: 'leader.exited', id: idOf(7), exit: status(0), heir: null, remains: NOTHING });
    expect(h.state()).toBe('restarting.launching');
  });

  test('and the next stop has its whole time again', () => {
    const h = startCommand({ found: process(7) });
    h.send(stop);
    h.clock.oversleep(60_000);
    h.advance(1_000);
    h.send({ type: 'command.start' });
    h.send({ type: 'launcher.started', ...idOf(8) });
    h.send(stop);
    h.advance(8_999);
    expect(h.state()).toBe('stopping.killing');
    h.advance(1);
    expect(h.state()).toBe('stopped');
  });
});
