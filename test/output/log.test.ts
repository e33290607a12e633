import { describe, expect, test } from 'vitest';
import type { Told } from '../../machines/events.ts';
import { createLog, type LogFormat } from '../../src/output/log.ts';
import type { Sink } from '../../src/output/sink.ts';

/** A sink that a test looks into: what was written, and what the log listens for. */
function fakeSink() {
  const drains: (() => void)[] = [];
  const losses: ((lines: number) => void)[] = [];
  const written: { text: string; own: boolean }[] = [];
  const fake = {
    ready: true,
    written,
    text: () => written.map(({ text }) => text).join(''),
    drain: () => drains.forEach((callback) => void callback()),
    lose: (lines: number) => losses.forEach((callback) => void callback(lines)),
  };
  const sink: Sink = {
    write(chunk, own = false) {
      written.push({ text: chunk.toString(), own });
      return fake.ready;
    },
    onDrain: (callback) => void drains.push(callback),
    onLost: (callback) => void losses.push(callback),
    dropped: 0,
    flush: () => Promise.resolve(),
    close: () => undefined,
    isTTY: false,
    closed: false,
  };
  function pauseAll(): void {
    fake.ready = false;
  }
  return { ...fake, sink, pauseAll };
}

function logOn(format: LogFormat) {
  const fake = fakeSink();
  const wallClock = () => new Date('2026-03-04T12:00:00.000Z');
  const log = createLog({ format, sink: fake.sink, colour: false, names: ['web', 'apache2'], wallClock });
  return { ...fake, log };
}

const notice: Told = { type: 'upkeep.notice', at: 1, command: null, level: 'info', message: 'hello' };
const failedStart: Told = {
  type: 'command.failedStart',
  at: 1,
  command: 'web',
  pid: 42,
  reason: 'exited',
  exit: { known: true, code: 1, signal: null, core: false },
  failures: 1,
  wait: 250,
};

describe.each(['plain', 'raw'] as const)('%s', (format) => {
  test('upkeep’s own events are told in the plain form, and as its own', () => {
    const { log, written } = logOn(format);
    log.tell(notice);
    expect(written).toEqual([{ text: 'upkeep | hello\n', own: true }]);
  });

  test('what people are spared is not written at all', () => {
    const { log, written } = logOn(format);
    log.tell({ type: 'command.launched', at: 1, command: 'web', pid: 42, start: 1 });
    expect(written).toEqual([]);
  });
});

describe('a service', () => {
  test('its lines are its own name’s, padded, and no line of upkeep’s', () => {
    const { log, written } = logOn('plain');
    log.service('web').push(Buffer.from('one\ntwo\n'), 'stdout');
    expect(written).toEqual([{ text: 'web     | one\nweb     | two\n', own: false }]);
  });

  test('in json', () => {
    const { log, text } = logOn('json');
    log.service('web').push(Buffer.from('one\n'), 'stderr');
    log.tell(notice);
    log.tell(notice);
    const [line, told, next] = text()
      .trimEnd()
      .split('\n')
      .map((each) => JSON.parse(each));
    expect(line).toEqual({ time: '2026-03-04T12:00:00.000Z', name: 'web', stream: 'stderr', line: 'one' });
    expect(told).toMatchObject({ name: 'upkeep', seq: 1, event: 'upkeep.notice', message: 'hello' });
    expect(next).toMatchObject({ name: 'upkeep', seq: 2 });
  });

  test('an unfinished line waits for its end, so that nobody’s line is torn', () => {
    const { log, text } = logOn('plain');
    log.service('web').push(Buffer.from('half'), 'stdout');
    log.service('apache2').push(Buffer.from('whole\n'), 'stdout');
    log.service('web').push(Buffer.from(' a line\nrest'), 'stdout');
    log.service('web').flushPartial();
    expect(text()).toBe('apache2 | whole\nweb     | half a line\nweb     | rest\n');
  });

  test('is told to pause when the sink is full, and to go on when it has drained', () => {
    const { log, pauseAll, drain } = logOn('plain');
    let resumed = 0;
    log.onResume(() => resumed++);
    expect(log.service('web').push(Buffer.from('one\n'), 'stdout')).toBe(true);
    pauseAll();
    expect(log.service('web').push(Buffer.from('two\n'), 'stdout')).toBe(false);
    expect(resumed).toBe(0);
    drain();
    expect(resumed).toBe(1);
  });

  test('its last lines are told with its failed start, and not another’s', () => {
    const { log, written } = logOn('plain');
    log.service('web').push(Buffer.from('Syntax error\nbye'), 'stderr');
    log.service('apache2').push(Buffer.from('all is well\n'), 'stdout');
    log.tell(failedStart);
    expect(written.at(-1)!.text).toBe(
      'upkeep | web: cannot start: exited with status 1; failure 1, tried again in 250 ms; its last lines:\n' +
        'upkeep | web:   > Syntax error\n' +
        'upkeep | web:   > bye\n',
    );
    expect(log.service('web').tail()).toEqual(['Syntax error', 'bye']);
  });

  test('a failed start of a command that never wrote anything', () => {
    const { log, text } = logOn('plain');
    log.tell(failedStart);
    expect(text()).toBe(
      'upkeep | web: cannot start: exited with status 1; failure 1, tried again in 250 ms\n',
    );
  });
});

test('what was lost is told', () => {
  const { log, text, lose } = logOn('plain');
  log.tell(notice);
  lose(1);
  lose(12);
  expect(text()).toBe(
    'upkeep | hello\n' +
      'upkeep | warning: 1 line was lost: the log could not be written fast enough, or not at all\n' +
      'upkeep | warning: 12 lines were lost: the log could not be written fast enough, or not at all\n',
  );
});
