import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createRecent } from '../../src/output/recent.ts';
import { createInside, type PaperInside } from './inside.ts';
import { Served } from './served.ts';

let clock = 1_000;
let inside: PaperInside;
let served: Served;
beforeEach(async () => {
  const recent = createRecent({ limit: 64 * 1024, wallClock: () => clock });
  inside = createInside({ recent, redact: (text) => text.replaceAll('secret', '***') });
  served = await Served.of(inside);
});
afterEach(() => served.close());

describe('logs', () => {
  const write = (name: string, text: string, time = 1_000): void => {
    clock = time;
    inside.recent!.push(name, Buffer.from(text), 'stdout');
  };
  const lines = async (query: string): Promise<unknown[]> =>
    (await served.lines(`/v1/logs?${query}`)).map(({ name, line }) => `${name}: ${line}`);

  test('are those of all in the order in which they came, the last of them, or those of one', async () => {
    write('web', 'one\n');
    write('db', 'two\nthree\n');
    write('web', 'four\nno end');
    expect(await lines('')).toEqual(['web: one', 'db: two', 'db: three', 'web: four', 'web: no end']);
    expect(await lines('last=2')).toEqual(['web: four', 'web: no end']);
    expect(await lines('last=0')).toEqual([]);
    expect(await lines('last=3&name=web')).toEqual(['web: one', 'web: four', 'web: no end']);
  });

  test('of the last time are no older', async () => {
    write('web', 'old\n', 1_000);
    write('web', 'new\nnewer\n', 2_000);
    expect(await lines('since=1500')).toEqual(['web: new', 'web: newer']);
    expect(await lines('since=1500&last=1')).toEqual(['web: newer']);
  });

  test('many of them are all there, and so are the last of many', async () => {
    const all = Array.from({ length: 5_000 }, (_, index) => `${index}`);
    for (const name of ['web', 'db']) write(name, `${all.join('\n')}\n`);
    expect(await lines('')).toEqual([
      ...all.map((text) => `web: ${text}`),
      ...all.map((text) => `db: ${text}`),
    ]);
    expect(await lines('last=5100')).toHaveLength(5_100);
  });

  test('hide what nobody should be shown', async () => {
    write('web', 'a secret\n');
    expect(await lines('')).toEqual(['web: a ***']);
  });

  test('are none where upkeep does not see them, and that is said', async () => {
    const raw = await Served.of(createInside({ recent: null }));
    const { status, body } = await raw.get('/v1/logs');
    expect([status, body.error]).toEqual([409, expect.stringMatching(/--log raw/)]);
    raw.close();
  });
});

describe('events', () => {
  const numbers = async (query: string): Promise<unknown[]> =>
    (await served.lines(`/v1/events?${query}`)).map(({ number, gone }) => gone ?? number);

  beforeEach(() => {
    for (const name of ['web', 'db', 'web']) inside.note('start', [name]);
    inside.note('shutdown', []);
  });

  test('are all, the last ones, those behind a number, those of one', async () => {
    expect(await numbers('')).toEqual([1, 2, 3, 4]);
    expect(await numbers('last=2')).toEqual([3, 4]);
    expect(await numbers('last=0')).toEqual([]);
    expect(await numbers('since=3')).toEqual([4]);
    expect(await numbers('since=4')).toEqual([]);
    expect(await numbers('since=0&last=2')).toEqual([3, 4]);
    expect(await numbers('since=2&last=5')).toEqual([3, 4]);
    expect(await numbers('since=1&last=1&name=web')).toEqual([3]);
    expect(await numbers('name=web')).toEqual([1, 3]);
    expect(await numbers('name=web&last=1')).toEqual([3]);
  });

  test('have all that the reference says', async () => {
    expect((await served.lines('/v1/events?last=2'))[0]).toEqual({
      number: 3,
      time: '2023-11-14T22:13:20.000Z',
      event: 'operator.ordered',
      at: 100_000,
      order: 'start',
      commands: ['web'],
      by: null,
      message: expect.stringMatching(/start/),
    });
  });

  test('that are gone are counted', async () => {
    for (let count = 0; count < 2_000; count++) inside.note('start', ['db']);
    const found = await numbers('since=2');
    expect(await numbers('since=2&last=5000')).toEqual(found);
    expect(await numbers('since=2&last=1')).toEqual([2_004]);
    expect(found[0]).toBe(2_004 - 1_024 - 2);
    expect(found).toHaveLength(1 + 1_024);
  });

  test('that have not happened are refused: the numbers have begun anew', async () => {
    const { status, body } = await served.get('/v1/events?since=5');
    expect([status, body.error]).toEqual([
      409,
      expect.stringMatching(/the last one is 4; .*begun anew.*; ask without since$/),
    ]);
  });
});

test('before the process table has been read there is nothing to tell, and nobody is called ready', async () => {
  const early = createInside({ viewOf: () => null });
  const soon = await Served.of(early);
  for (const route of ['/v1/status', '/v1/health', '/v1/events']) {
    expect((await soon.get(route)).status).toBe(503);
  }
  expect((await soon.post('/v1/stop', { all: true })).status).toBe(503);
  expect(early.asked).toEqual([]);
  soon.close();
  const nothing = await Served.of(null);
  expect((await nothing.get('/v1/status')).status).toBe(503);
  expect((await nothing.get('/v1/about')).status).toBe(200);
  nothing.close();
});

describe('orders', () => {
  test('are for names, a group or all, and say what the commands were before', async () => {
    const { status, body } = await served.post('/v1/stop', { names: ['web', 'web'] });
    expect([status, (body.before as { name: string }[]).map(({ name }) => name)]).toEqual([202, ['web']]);
    await served.post('/v1/restart', { all: true });
    expect(inside.asked).toEqual(['command.stop web', 'command.restart web', 'command.restart db']);
    expect((await served.post('/v1/start', { group: '#0' })).status).toBe(404);
    expect((await served.post('/v1/start', { group: 'none' })).status).toBe(404);
    expect((await served.post('/v1/start', {})).status).toBe(400);
  });

  test.each([
    ['start', { names: ['web'], group: 'g' }],
    ['stop', { names: ['web'], all: true }],
    ['restart', { group: 'g', all: true }],
    ['reload', { names: ['web'], all: true }],
    ['signal', { names: ['web'], all: true, signal: 'SIGHUP' }],
    ['stop', { all: 'yes' }],
    ['stop', { names: ['web'], all: 1 }],
    ['reload', { names: ['web'], wait: 'long' }],
  ])('%s for %j is refused: for whom, or how long?', async (verb, asked) => {
    const { status, body } = await served.post(`/v1/${verb}`, asked);
    expect([status, body.error]).toEqual([400, expect.stringMatching(/^cannot .+: .+/)]);
    expect(inside.asked).toEqual([]);
  });

  test('are refused when everything is being stopped', async () => {
    const ending = await Served.of(createInside({ isEnding: () => true }));
    const { status, body } = await ending.post('/v1/start', { names: ['web'] });
    expect([status, body.error]).toEqual([409, 'cannot start anything: everything is being stopped']);
    ending.close();
  });

  test('a signal that is none, or that cannot be sent, is told', async () => {
    expect((await served.post('/v1/signal', { names: ['web'], signal: 'HUP' })).status).toBe(400);
    expect((await served.post('/v1/signal', { names: ['web'], signal: 'SIGHUP' })).status).toBe(200);
    const mute = await Served.of(createInside({ signal: () => 'it does not run' }));
    const { status, body } = await mute.post('/v1/signal', { names: ['web'], signal: 'SIGHUP' });
    expect([status, body.error]).toEqual([409, 'cannot send SIGHUP to web: it does not run']);
    mute.close();
  });
});
