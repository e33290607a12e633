import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Told } from '../../machines/events.ts';
import { createLog, type LogFormat, type LogOptions, type ServiceLogSpec } from '../../src/output/log.ts';
import { HIGH_WATER, type Sink } from '../../src/output/sink.ts';
import type { LogSpec } from '../../src/policy/spec.ts';
import { redactTexts } from '../../src/process/environment.ts';

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

function logOn(format: LogFormat, more: Partial<LogOptions> = {}) {
  const fake = fakeSink();
  const wallClock = () => new Date('2026-03-04T12:00:00.000Z');
  const names = ['web', 'apache2'];
  const log = createLog({ format, sink: fake.sink, colour: false, names, wallClock, ...more });
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

describe('a record', () => {
  const record = { head: 'sshd[7]: ', text: 'hello', label: '"stream":"syslog","tag":"sshd"' };

  test('of a service is one of its lines, between those that it prints', () => {
    const { log, text, written } = logOn('plain');
    log.service('web').push(Buffer.from('no end'), 'stdout');
    expect(log.service('web').record(record)).toBe(true);
    log.service('web').flushPartial();
    expect(text()).toBe('web     | sshd[7]: hello\nweb     | no end\n');
    expect(written[0]!.own).toBe(false);
    expect(log.service('web').tail()).toEqual(['sshd[7]: hello', 'no end']);
  });

  test('of nobody’s is among upkeep’s lines, though it may not take their room', () => {
    for (const [format, line] of [
      ['plain', 'upkeep | sshd[7]: hello\n'],
      [
        'json',
        '{"time":"2026-03-04T12:00:00.000Z","name":"upkeep","stream":"syslog","tag":"sshd","line":"hello"}\n',
      ],
    ] as const) {
      const { log, written } = logOn(format, { colour: true });
      log.record(record);
      expect(written).toEqual([{ text: line, own: false }]);
    }
  });

  test('says when there is no room', () => {
    const { log, sink, drain } = logOn('plain');
    sink.write = () => false;
    expect(log.record(record)).toBe(false);
    expect(log.service('web').record(record)).toBe(false);
    let resumed = 0;
    log.onResume(() => resumed++);
    drain();
    expect(resumed).toBe(1);
  });

  test('has the form that its service’s lines have, and goes where they go', () => {
    const { log, text } = logOn('plain');
    log.configure('web', { prefix: null, format: 'json', file: null });
    log.service('web').record(record);
    log.configure('web', { prefix: '', format: null, file: null });
    log.service('web').record(record);
    expect(text()).toBe(
      '{"time":"2026-03-04T12:00:00.000Z","name":"web","stream":"syslog","tag":"sshd","line":"hello"}\nsshd[7]: hello\n',
    );
    const { log: quiet, ...other } = logOn('json');
    quiet.configure('web', { prefix: null, format: 'plain', file: null });
    quiet.service('web').record(record);
    expect(other.text()).toBe('web     | sshd[7]: hello\n');
  });
});

describe('a service', () => {
  test('its lines are its own name’s, padded, and no line of upkeep’s', () => {
    const { log, written } = logOn('plain');
    log.service('web').push(Buffer.from('one\ntwo\n'), 'stdout');
    expect(written).toEqual([{ text: 'web     | one\nweb     | two\n', own: false }]);
  });

  test('what nobody should be shown is taken out of its lines, whole ones', () => {
    const { sink, text } = fakeSink();
    const redactBytes = (lines: Buffer) => Buffer.from(lines.toString().replaceAll('hunter2', '***'));
    const log = createLog({ format: 'plain', sink, colour: false, names: ['web'], redactBytes });
    log.service('web').push(Buffer.from('it is hun'), 'stdout');
    log.service('web').push(Buffer.from('ter2\n'), 'stdout');
    expect(text()).toBe('web | it is ***\n');
  });

  test('what nobody should be shown leaves JSON as JSON', () => {
    const { sink, text } = fakeSink();
    const redact = (said: string) => said.replaceAll('1000', '***').replaceAll('name', '***');
    const redactBytes = (lines: Buffer) => Buffer.from(redact(lines.toString()));
    const redactValue = <T>(value: T): T => redactTexts(value, redact, () => false);
    const log = createLog({
      format: 'json',
      sink,
      colour: false,
      names: ['web'],
      redact,
      redactBytes,
      redactValue,
    });
    log.tell({ type: 'command.launched', at: 0, command: 'web', pid: 1000, start: 1 });
    log.service('web').push(Buffer.from('at 1000\n{"a":"name 1000"}\n{"a":1000}\n'), 'stdout');
    log
      .service('web')
      .record({ head: '', text: 'x 1000', label: '"stream":"syslog","tag":"name","pid":1000' });
    const [told, ...lines] = text()
      .trimEnd()
      .split('\n')
      .map((each) => JSON.parse(each));
    expect(told).toMatchObject({ name: 'upkeep', pid: 1000 });
    expect(lines.map(({ name, line, data }) => [name, line ?? data])).toEqual([
      ['web', 'at ***'],
      ['web', { a: '*** ***' }],
      ['web', '{"a":***}'],
      ['web', 'x ***'],
    ]);
    expect(lines[3]).toMatchObject({ stream: 'syslog', tag: '***', pid: 1000 });
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

describe('a command with a policy', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'upkeep-log-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const NONE: LogSpec = { prefix: null, format: null, file: null, tail: [] };
  const spec = (more: Partial<ServiceLogSpec>): LogSpec => ({ ...NONE, ...more });
  const fileSpec = (name = 'log', tee = true) => ({ path: join(folder, name), size: 0, count: 1, tee });
  const contentOf = (name = 'log') => readFileSync(join(folder, name), 'utf8');
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await sleep(2);
  };
  const WEB = { time: '2026-03-04T12:00:00.000Z', name: 'web' };

  test('has a prefix of its own, or none, from its next line on, and until that is taken back', () => {
    const { log, text } = logOn('plain');
    const web = log.service('web');
    const push = (line: string) => web.push(Buffer.from(line), 'stdout');
    push('one\ntw');
    log.configure('web', spec({ prefix: 'www' }));
    push('o\n');
    log.configure('web', spec({ prefix: '' }));
    push('three\n');
    log.configure('web', null);
    push('four\n');
    expect(text()).toBe('web     | one\nwww     | two\nthree\nweb     | four\n');
    expect(log.service('web')).toBe(web);
  });

  test('has a format of its own, whatever upkeep’s is', () => {
    const plain = logOn('plain');
    plain.log.configure('web', spec({ format: 'json' }));
    plain.log.service('web').push(Buffer.from('one\n'), 'stdout');
    plain.log.tell(notice);
    const [line, told] = plain.text().split('\n');
    expect(JSON.parse(line!)).toEqual({ ...WEB, stream: 'stdout', line: 'one' });
    expect(told).toBe('upkeep | hello');

    const json = logOn('json');
    json.log.configure('web', spec({ format: 'plain' }));
    json.log.service('web').push(Buffer.from('one\n'), 'stdout');
    json.log.tell(notice);
    const [first, second] = json.text().split('\n');
    expect(first).toBe('web     | one');
    expect(JSON.parse(second!)).toMatchObject({ name: 'upkeep', message: 'hello' });
  });

  test('the column is as wide as the names now are, for those with a policy and those without', () => {
    const { log, text } = logOn('plain');
    log.configure('web', spec({ prefix: 'www' }));
    log.service('db').push(Buffer.from('one\n'), 'stdout');
    log.rename(['web', 'db']);
    log.service('db').push(Buffer.from('two\n'), 'stdout');
    log.service('web').push(Buffer.from('three\n'), 'stdout');
    log.service('new').push(Buffer.from('four\n'), 'stdout');
    expect(text()).toBe('db      | one\ndb  | two\nwww | three\nnew | four\n');
  });

  test('its file gets its lines without prefix, upkeep’s words go to the log', async () => {
    const { log, text } = logOn('plain');
    log.configure('web', spec({ file: fileSpec() }));
    log.service('web').push(Buffer.from('one\nhalf'), 'stdout');
    log.service('web').pushFile(Buffer.from('of its own\n'), '/var/log/web');
    log.service('web').flushPartial();
    log.tell(failedStart);
    await log.closeFiles(600_000);
    expect(contentOf()).toBe('one\nof its own\nhalf\n');
    expect(text()).toBe(
      'web     | one\nweb     | of its own\nweb     | half\n' +
        'upkeep | web: cannot start: exited with status 1; failure 1, tried again in 250 ms; its last lines:\n' +
        'upkeep | web:   > one\nupkeep | web:   > of its own\nupkeep | web:   > half\n',
    );
  });

  test.each([
    ['json', null, null],
    ['plain', 'json', null],
    ['plain', null, ''],
  ] as const)('in %s, as %s, with prefix %j its file gets what the log gets', async (format, own, prefix) => {
    const { log, text } = logOn(format);
    log.configure('web', spec({ format: own, prefix, file: fileSpec() }));
    log.service('web').push(Buffer.from('one\ntwo\n'), 'stdout');
    await log.closeFiles(600_000);
    expect(contentOf()).toBe(text());
    expect(text().split('\n').length).toBe(3);
  });

  test('without tee its lines are in the file alone, but upkeep’s words still quote them', async () => {
    const { log, text } = logOn('plain');
    log.configure('web', spec({ prefix: 'www', file: fileSpec('log', false) }));
    log.service('web').push(Buffer.from('one\n'), 'stderr');
    expect(text()).toBe('');
    log.tell(failedStart);
    expect(text()).toContain('upkeep | web:   > one\n');
    await log.closeFiles(600_000);
    expect(contentOf()).toBe('one\n');
  });

  test.each([true, false])('is told to pause while its file is full, and to go on (tee: %j)', async (tee) => {
    const { log } = logOn('plain');
    let resumed = 0;
    log.onResume(() => resumed++);
    log.configure('web', spec({ file: fileSpec('log', tee) }));
    const chunk = Buffer.from(`${'x'.repeat(9_999)}\n`);
    let pushes = 1;
    while (log.service('web').push(chunk, 'stdout')) pushes++;
    expect(pushes * chunk.length).toBeGreaterThan(HIGH_WATER);
    expect(log.service('apache2').push(chunk, 'stdout')).toBe(true);
    await until(() => resumed > 0);
    expect(log.service('web').push(Buffer.from('half'), 'stdout')).toBe(true);
    await log.closeFiles(600_000);
    expect(contentOf().length).toBe(pushes * chunk.length);
  });

  test('the log that is full makes it pause as well', async () => {
    const { log, pauseAll } = logOn('plain');
    log.configure('web', spec({ file: fileSpec() }));
    pauseAll();
    expect(log.service('web').push(Buffer.from('one\n'), 'stdout')).toBe(false);
    await log.closeFiles(600_000);
    expect(contentOf()).toBe('one\n');
  });

  test('another file: the old one is written to its end', async () => {
    const { log } = logOn('plain');
    const web = log.service('web');
    log.configure('web', spec({ file: fileSpec('a') }));
    web.push(Buffer.from('one\ntw'), 'stdout');
    log.configure('web', spec({ file: fileSpec('b') }));
    web.push(Buffer.from('o\n'), 'stdout');
    log.configure('web', null);
    web.push(Buffer.from('three\n'), 'stdout');
    await log.closeFiles(600_000);
    expect([contentOf('a'), contentOf('b')]).toEqual(['one\n', 'two\n']);
  });

  test('two may share a file, which is then open once, with the limits given last', async () => {
    const { log } = logOn('plain');
    log.configure('web', spec({ file: fileSpec() }));
    log.configure(
      'apache2',
      spec({ file: { ...fileSpec(), path: join(folder, 'x', '..', 'log'), size: 4 } }),
    );
    log.service('web').push(Buffer.from('one\n'), 'stdout');
    log.service('apache2').push(Buffer.from('two\n'), 'stdout');
    log.configure('web', null);
    log.service('apache2').push(Buffer.from('tri\n'), 'stdout');
    await log.closeFiles(600_000);
    expect([contentOf(), contentOf('log.1')]).toEqual(['tri\n', 'two\n']);
  });

  test('a file that was moved is begun anew when that is asked for', async () => {
    const { log } = logOn('plain');
    log.configure('web', spec({ file: fileSpec() }));
    await until(() => existsSync(join(folder, 'log')));
    renameSync(join(folder, 'log'), join(folder, 'old'));
    log.reopen();
    await until(() => existsSync(join(folder, 'log')));
    await log.closeFiles(600_000);
  });

  test('what becomes of its file is told of the command, or of nobody where it is shared', async () => {
    const { log, text } = logOn('plain');
    writeFileSync(join(folder, 'no'), '');
    log.configure('web', spec({ file: fileSpec('no/log') }));
    await until(() => text() !== '');
    expect(text()).toMatch(/^upkeep \| web: warning: cannot write the log .*\/no\/log: ENOTDIR: .*\n$/);
    await log.closeFiles(600_000);

    const told: unknown[][] = [];
    const other = logOn('plain', { notice: (...args) => told.push(args) });
    other.log.configure('web', spec({ file: fileSpec('no/log') }));
    other.log.configure('apache2', spec({ file: fileSpec('no/log') }));
    await until(() => told.length > 0);
    expect(told).toEqual([[null, expect.stringContaining('cannot write the log'), 'warn']]);
    expect(other.text()).toBe('');
    other.log.service('web').push(Buffer.from('one\n'), 'stdout');
    await other.log.closeFiles(600_000);
    expect(told.at(-1)).toEqual([null, expect.stringMatching(/^1 line was lost: /), 'warn']);
  });
});
