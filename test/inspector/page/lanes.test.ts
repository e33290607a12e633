import { describe, expect, test } from 'vitest';
import { firstFrom, Lanes, spanAt } from '../../../src/inspector/page/lanes.ts';
import type { Happening } from '../../../src/output/journal.ts';

const exit = { known: true, code: null, signal: 'SIGKILL', core: false };
const remains = { workers: 0, tagged: 0, sessions: 0 };
const moved = (from: string | null, to: string): Happening => ({
  type: 'command.transition',
  at: 0,
  command: 'web',
  from,
  to,
  on: 'x',
});
const died = (wait: number | null): Happening => ({
  type: 'command.died',
  at: 0,
  command: 'web',
  id: { pid: 7, startTicks: 1 },
  exit,
  uptime: 1_000,
  restart: 1,
  wait,
  remains,
});
const running: Happening = {
  type: 'command.running',
  at: 0,
  command: 'web',
  leader: { pid: 8, startTicks: 2, name: 'web', rule: 'launcher', since: 0 },
  how: 'started',
  took: 12,
};

function lanesOf(...happenings: (readonly [number, Happening])[]): Lanes {
  const lanes = new Lanes();
  lanes.add(happenings.map(([time, what], index) => ({ number: index + 1, time, what })));
  return lanes;
}

describe('lanes', () => {
  test('spans follow one another without a gap, and the last one lasts', () => {
    const { spans } = lanesOf(
      [100, moved(null, 'restarting.launching')],
      [110, moved('restarting.launching', 'running.ready')],
      [150, moved('running.ready', 'backoff')],
    ).of('web');
    expect(spans.map(({ from, to, state }) => [from, to, state])).toEqual([
      [100, 110, 'restarting.launching'],
      [110, 150, 'running.ready'],
      [150, null, 'backoff'],
    ]);
  });

  test('what was before the first entry is known by its name alone', () => {
    const { spans } = lanesOf([100, moved('running.ready', 'missing')]).of('web');
    expect(spans[0]).toMatchObject({ from: Number.NEGATIVE_INFINITY, to: 100, state: 'running.ready' });
  });

  test('a gap lasts from the death to the process that runs', () => {
    expect(lanesOf([100, died(0)], [412, running]).of('web').gaps).toEqual([{ from: 100, to: 412 }]);
    expect(lanesOf([100, died(0)]).of('web').gaps).toEqual([{ from: 100, to: null }]);
  });

  test('who is not to be restarted has none', () => {
    expect(lanesOf([100, died(null)]).of('web').gaps).toEqual([]);
    const failed: Happening = { type: 'command.failed', at: 0, command: 'web', reason: 'x' };
    expect(lanesOf([100, died(5)], [120, failed]).of('web').gaps).toEqual([]);
  });

  test('an order is a mark on each lane that it is for', () => {
    const ordered: Happening = {
      type: 'operator.ordered',
      at: 0,
      order: 'signal SIGHUP',
      commands: ['a', 'b'],
    };
    const lanes = lanesOf([5, ordered]);
    for (const name of ['a', 'b']) {
      expect(lanes.of(name).marks).toMatchObject([{ time: 5, kind: 'signal', bad: false }]);
    }
  });

  test('what was told before is not taken in again', () => {
    const lanes = new Lanes();
    const entry = { number: 3, time: 100, what: died(0) };
    lanes.add([entry]);
    lanes.add([entry]);
    expect(lanes.of('web').marks).toHaveLength(1);
    expect(lanes.last).toBe(3);
  });

  test('the span of a time, and the first mark from it on', () => {
    const lane = lanesOf([100, moved(null, 'a')], [200, moved('a', 'b')], [200, died(0)]).of('web');
    expect(spanAt(lane, 99)).toBeNull();
    expect(spanAt(lane, 100)?.state).toBe('a');
    expect(spanAt(lane, 199)?.state).toBe('a');
    expect(spanAt(lane, 5_000)?.state).toBe('b');
    expect(firstFrom(lane.marks, 200)).toBe(0);
    expect(firstFrom(lane.marks, 201)).toBe(1);
  });
});
