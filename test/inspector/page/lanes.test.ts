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
    expect(lanesOf([100, died(0)], [412, running]).of('web').gaps).toEqual([
      { since: 'death', from: 100, to: 412 },
    ]);
    expect(lanesOf([100, died(0)]).of('web').gaps).toEqual([{ since: 'death', from: 100, to: null }]);
  });

  test('who is not to be restarted has none', () => {
    expect(lanesOf([100, died(null)]).of('web').gaps).toEqual([]);
    const failed: Happening = { type: 'command.failed', at: 0, command: 'web', reason: 'x' };
    expect(lanesOf([100, died(5)], [120, failed]).of('web').gaps).toEqual([]);
  });

  const stopping: Happening = {
    type: 'command.stopping',
    at: 0,
    command: 'web',
    how: 'SIGTERM',
    idle: false,
  };

  test('a restart by a health check has a gap of its own: from its stop', () => {
    expect(lanesOf([100, stopping], [412, running]).of('web').gaps).toEqual([
      { since: 'stop', from: 100, to: 412 },
    ]);
  });

  test('who is stopped has none, nor when it is started again later', () => {
    const lane = lanesOf([100, stopping], [200, moved('stopping.over', 'stopped')], [9_000, running]).of(
      'web',
    );
    expect(lane.gaps).toEqual([]);
  });

  test.each<[string, Happening]>([
    [
      'a group',
      {
        type: 'group.restarting',
        at: 0,
        group: 'g',
        strategy: 'one_for_all',
        because: 'x',
        members: ['web'],
      },
    ],
    ['an order for several', { type: 'operator.ordered', at: 0, order: 'restart', commands: ['db', 'web'] }],
  ])('%s may stop it first, and start it again: that is a restart', (_, why) => {
    const lane = lanesOf(
      [90, why],
      [100, stopping],
      [200, moved('stopping.over', 'stopped')],
      [412, running],
    ).of('web');
    expect(lane.gaps).toEqual([{ since: 'stop', from: 100, to: 412 }]);
    expect(lane.marks[0]).toMatchObject({ time: 90, number: 1 });
  });

  test('what is about all is in a lane of upkeep’s own, and on those whom it names', () => {
    const lanes = lanesOf(
      [1, { type: 'operator.ordered', at: 0, order: 'reload', commands: [] }],
      [
        2,
        {
          type: 'policy.reloaded',
          at: 0,
          started: [],
          stopped: [],
          restarted: ['web'],
          adjusted: [],
          unchanged: 3,
          sections: [],
          notes: {},
        },
      ],
      [3, { type: 'group.failed', at: 0, group: 'g', reason: 'too many' }],
      [4, { type: 'supervisor.stopping', at: 0, reason: 'SIGTERM', budget: 1 }],
      [5, { type: 'supervisor.stopped', at: 0, code: 0, took: 1, left: 0 }],
    );
    expect(lanes.own.marks.map(({ time, text }) => [time, text])).toEqual([
      [1, 'ordered: reload'],
      [2, 'policy read again: restarted web'],
      [3, 'group g gives up: too many'],
      [4, 'stopping everything: SIGTERM'],
      [5, 'stopped, with exit code 0'],
    ]);
    expect(lanes.own.spans.map(({ state, to }) => [state, to])).toEqual([
      ['supervising', 4],
      ['stopping', 5],
      ['stopped', null],
    ]);
    expect(lanes.of('web').marks.map(({ time }) => time)).toEqual([2]);
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
