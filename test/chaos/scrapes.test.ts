import { describe, expect, test } from 'vitest';
import type { Told } from './invariants.ts';
import { Numbers } from './numbers.ts';
import { readMetrics, Scrapes } from './scrapes.ts';
import { Wishes } from './wishes.ts';

const http = (status: number, body: string): string =>
  `HTTP/1.1 ${status} Whatever\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

/** Commands called web and db, of which scrapes tell. */
function watched(exact = true) {
  const wishes = new Wishes(['web', 'db'], { budget: 9_000, atOnce: 3_000, late: 1_000 }, () => []);
  const scrapes = new Scrapes(wishes, { exact });
  let at = 10_000;
  const told = (event: string, of: Told = {}): string[] => {
    at += 10;
    const one = { event, at, time: new Date(at).toISOString(), ...of };
    return [...wishes.told(one), ...scrapes.told(one)].map(({ what }) => what);
  };
  const scraped = (path: string, text: string | null, excused = false): string[] => {
    at += 10;
    return scrapes.scraped({ path, text, asked: at, known: at }, excused).map(({ what }) => what);
  };
  told('upkeep.started');
  return {
    scrapes,
    told,
    scraped,
    pass: (ms: number): void => {
      at += ms;
    },
    of: (command: string, ...events: string[]): string[] =>
      events.flatMap((event) => told(`command.${event}`, { command, wait: 0 })),
    /** What is found when all has been told that was before the answer. */
    later(path: string, text: string): string[] {
      at += 100;
      const found = scraped(path, text);
      at += 1_000;
      return [...found, ...told('upkeep.notice')];
    },
  };
}

describe('scrapes are answered', () => {
  test('three in a row that come to nothing are too many, as long as upkeep can answer', () => {
    const { scraped, told } = watched();
    expect(scraped('/livez', null, true)).toEqual([]);
    expect([1, 2, 3].map(() => scraped('/livez', null).length)).toEqual([0, 0, 1]);
    scraped('/livez', 'HTTP/1.1 nonsense');
    scraped('/livez', null);
    expect(scraped('/livez', http(200, 'ready\n'))).toEqual([]);
    expect([1, 2].map(() => scraped('/livez', null).length)).toEqual([0, 0]);
    told('supervisor.stopping');
    expect(scraped('/livez', null)).toEqual([]);
  });

  test.each([
    ['/livez', http(200, ''), 'was answered with 200'],
    ['/livez', http(500, 'cannot answer: x\n'), 'was answered with 500'],
    ['/readyz', `HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nready\n`, 'how long it is'],
    ['/metrics', http(500, 'cannot answer: a mistake\n'), 'was answered with 500'],
    ['/metrics', http(200, 'upkeep_info 1\n'), 'has no type'],
  ])('%s %j', (path, text, what) => {
    expect(watched().scraped(path, text)[0]).toContain(what);
  });

  test('what an upkeep before was asked says nothing', () => {
    const { scrapes, scraped } = watched();
    scrapes.restarted(1e9);
    expect(scraped('/metrics', http(404, 'x'))).toEqual([]);
  });
});

describe('the text format', () => {
  test.each([
    ['# TYPE a counter\na 1\n', []],
    ['# HELP a b\n# TYPE a histogram\na_bucket{le="+Inf"} 1\na_sum 1e-7\na_count 1\n', []],
    ['# TYPE a gauge\na{b="x\\"y",c="d"} +Inf\n', []],
    ['# TYPE a counter\na 1', ['it does not end with a newline']],
    ['# TYPE a counter\na 1\na 2\n', ['a{} is there twice']],
    ['# TYPE a counter\n# TYPE a gauge\n', ['a is there twice']],
    ['# TYPE a counter\na{b=c} 1\n', ['cannot read "a{b=c} 1"']],
    ['# TYPE a counter\na x\n', ['cannot read "a x"']],
  ])('%j', (text, errors) => {
    expect(readMetrics(text).errors).toEqual(errors);
  });

  test('counters and histograms must not fall, gauges may', () => {
    const { counters } = readMetrics(
      '# TYPE a counter\na 1\n# TYPE b histogram\nb_count 1\n# TYPE c gauge\nc 1\n',
    );
    expect(counters).toEqual(['a{}', 'b_count{}']);
    const { scraped } = watched();
    const text = (count: number): string => http(200, `# TYPE a counter\na ${count}\n`);
    expect(scraped('/metrics', text(2))).toEqual([]);
    expect(scraped('/metrics', text(2))).toEqual([]);
    expect(scraped('/metrics', text(1))).toEqual(['a{} has fallen from 2 to 1']);
  });
});

describe('scrapes fit what is told', () => {
  const restarts = (count: number): string =>
    http(
      200,
      `# TYPE upkeep_command_restarts_total counter
upkeep_command_restarts_total{command="web",reason="died"} ${count - 1}
upkeep_command_restarts_total{command="web",reason="order"} 1
`,
    );

  test('restarts are the launches after the first', () => {
    for (const [count, found] of [
      [1, 1],
      [2, 0],
      [3, 1],
    ] as const) {
      const { of, later, pass } = watched();
      of('web', 'launched', 'died', 'launched', 'died', 'launched');
      pass(2_000);
      expect(later('/metrics', restarts(count))).toHaveLength(found);
    }
  });

  test('an answer may be a second old, but knows of nothing that has not happened', () => {
    for (const [count, found] of [
      [1, 0],
      [2, 0],
      [3, 1],
    ] as const) {
      const { of, later, pass } = watched();
      of('web', 'launched', 'died', 'launched');
      pass(2_000);
      of('web', 'died', 'launched');
      expect(later('/metrics', restarts(count))).toHaveLength(found);
    }
  });

  test('whose first life was begun by somebody else, its first launch is a restart', () => {
    const { of, later, pass } = watched();
    of('web', 'running', 'died', 'launched');
    pass(2_000);
    expect(later('/metrics', restarts(1))).toEqual([]);
  });

  test('where policies begin somebody anew there may be fewer', () => {
    const { of, later, pass, told } = watched(false);
    of('web', 'launched', 'died', 'launched', 'died', 'launched');
    pass(2_000);
    expect(later('/metrics', restarts(1))).toEqual([]);
    expect(later('/metrics', restarts(3))).toHaveLength(1);
    told('policy.reloaded', { started: [], stopped: ['web'] });
    expect(later('/metrics', http(200, '\n'))).toEqual([]);
  });

  test('/livez says so only when the end has come, or somebody has failed for good', () => {
    const sick = http(503, 'failed: web is failed\n');
    expect(watched().later('/livez', sick)).toHaveLength(1);
    const failed = watched();
    failed.of('web', 'failed');
    expect(failed.later('/livez', sick)).toEqual([]);
    const ending = watched();
    ending.told('supervisor.stopping');
    expect(ending.later('/livez', sick)).toEqual([]);
    expect(watched().later('/livez', http(200, 'ready\n'))).toEqual([]);
  });

  test('/readyz says so only when everybody runs, or was stopped', () => {
    const ready = http(200, 'ready\n');
    const one = watched();
    one.of('web', 'launched', 'running');
    expect(one.later('/readyz', ready)[0]).toContain('db did not run');
    one.of('db', 'stopping', 'stopped');
    expect(one.later('/readyz', ready)).toEqual([]);
    expect(one.later('/readyz', http(503, 'degraded: web is backoff\n'))).toEqual([]);
    one.of('web', 'died');
    one.pass(300);
    expect(one.later('/readyz', ready)).toHaveLength(1);
    one.of('web', 'launched', 'running');
    one.told('supervisor.stopping');
    one.pass(300);
    expect(one.later('/readyz', ready)[0]).toContain('being stopped');
  });
});

describe('events without a gap', () => {
  const line = (number: number): string => JSON.stringify({ number, event: 'x' });

  test('each number once, in order', () => {
    const numbers = new Numbers();
    expect([1, 2, 3].flatMap((number) => numbers.read(line(number)))).toEqual([]);
    expect(numbers.read(line(5))).toHaveLength(1);
    expect(numbers.read(line(5))).toHaveLength(1);
    expect(numbers.read(line(6))).toEqual([]);
    expect(numbers.read('half a li')).toHaveLength(1);
    expect(numbers.refused('{"error": "…"}')).toHaveLength(1);
  });

  test('or how many are gone', () => {
    const numbers = new Numbers();
    numbers.read(line(1));
    expect(numbers.read('{"gone": 7}')).toEqual([]);
    expect(numbers.read(line(9))).toEqual([]);
    expect(numbers.gone).toBe(7);
    numbers.restarted();
    expect(numbers.read(line(1))).toEqual([]);
  });
});
