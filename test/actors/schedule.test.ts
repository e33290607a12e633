import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createActor, setup } from 'xstate';
import { scheduleActor } from '../../src/actors/schedule.ts';

const MINUTE = 60_000;
/** Every full minute. */
const everyMinute = (_: string, after: number): number => (Math.floor(after / MINUTE) + 1) * MINUTE;

function start(next: (command: string, after: number) => number | null) {
  const heard: { type: string; wait?: number }[] = [];
  const parent = setup({
    actors: { schedule: scheduleActor({ next, wallClock: Date.now, now: () => performance.now() }) },
  }).createMachine({
    invoke: { src: 'schedule', input: { command: 'job' } },
    on: {
      '*': {
        actions: ({ event }) => {
          const { type, wait } = event as { type: string; wait?: number };
          heard.push(wait === undefined ? { type } : { type, wait });
        },
      },
    },
  });
  const actor = createActor(parent).start();
  return { heard, stop: () => actor.stop() };
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.setSystemTime(10_000);
});
afterEach(() => vi.useRealTimers());

describe('a schedule', () => {
  test('tells when its next time is, and that it has come, again and again', () => {
    const { heard, stop } = start(everyMinute);
    expect(heard).toEqual([{ type: 'schedule.planned', wait: 50_000 }]);
    vi.advanceTimersByTime(49_999);
    expect(heard).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(heard.slice(1)).toEqual([{ type: 'schedule.due' }, { type: 'schedule.planned', wait: MINUTE }]);
    vi.advanceTimersByTime(MINUTE);
    expect(heard.filter(({ type }) => type === 'schedule.due')).toHaveLength(2);
    stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('without a next time tells nothing', () => {
    const { heard, stop } = start(() => null);
    vi.advanceTimersByTime(10 * MINUTE);
    expect(heard).toEqual([]);
    stop();
  });

  test('leaves out what the clock has jumped over, and goes on from there', () => {
    const { heard, stop } = start(everyMinute);
    vi.setSystemTime(10 * MINUTE + 30_000);
    vi.advanceTimersByTime(50_000);
    expect(heard.map(({ type }) => type)).not.toContain('schedule.due');
    vi.advanceTimersByTime(MINUTE);
    expect(heard.filter(({ type }) => type === 'schedule.due').length).toBeGreaterThan(0);
    stop();
  });

  test('plans anew when the clock is set back', () => {
    const { heard, stop } = start(everyMinute);
    vi.setSystemTime(MINUTE * 60 + 1);
    vi.advanceTimersByTime(60_000);
    vi.setSystemTime(0);
    vi.advanceTimersByTime(30_000);
    expect(heard.at(-1)).toMatchObject({ type: 'schedule.planned' });
    expect(heard.at(-1)!.wait).toBeLessThanOrEqual(MINUTE);
    stop();
  });
});
