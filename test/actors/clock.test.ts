import { expect, test, vi } from 'vitest';
import { createClock } from '../../src/actors/clock.ts';

const now = (): number => performance.now();

/** Nothing runs meanwhile, as if this process had been stopped. */
const stopFor = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

test('a timer ends in its time, and not before', async () => {
  const began = now();
  await new Promise<void>((resolve) => createClock(now).setTimeout(resolve, 30));
  expect(now() - began).toBeGreaterThanOrEqual(29);
});

test('one that is late lets come first what has come meanwhile', async () => {
  const order = await new Promise<string[]>((resolve) => {
    const seen: string[] = [];
    process.once('SIGWINCH', () => seen.push('signal'));
    setImmediate(() => {
      createClock(now).setTimeout(() => resolve([...seen, 'timer']), 10);
      process.kill(process.pid, 'SIGWINCH');
      stopFor(700);
    });
  });
  expect(order).toEqual(['signal', 'timer']);
});

test('one that is cleared does not come, late or not', () => {
  vi.useFakeTimers();
  try {
    let at = 0;
    const clock = createClock(() => at);
    const ended: string[] = [];
    const first = clock.setTimeout(() => ended.push('first'), 100);
    const second = clock.setTimeout(() => ended.push('second'), 100);
    clock.setTimeout(() => ended.push('third'), 100);
    clock.clearTimeout(first);
    at = 10_000;
    vi.advanceTimersByTime(100);
    expect(ended).toEqual([]);
    clock.clearTimeout(second);
    vi.advanceTimersByTime(1_000);
    expect(ended).toEqual(['third']);
  } finally {
    vi.useRealTimers();
  }
});
