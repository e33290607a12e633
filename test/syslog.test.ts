import { openSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createLog } from '../src/output/log.ts';
import { HIGH_WATER, type Sink } from '../src/output/sink.ts';
import type { Native } from '../src/process/native.ts';
import { createSyslog, type Syslog } from '../src/syslog.ts';

const PATH = join(tmpdir(), 'syslog-that-is-none');
const ENOENT = -2;
const opened: Syslog[] = [];

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  for (const syslog of opened.splice(0)) syslog.listen(null);
  vi.useRealTimers();
});

interface Sent {
  readonly text: string;
  readonly pid: number;
}

/** Syslog on a socket and a log that are what the test says. */
function world(owners: Readonly<Record<number, string>> = {}) {
  const waiting: Sent[] = [];
  const written: string[] = [];
  const heard: string[] = [];
  const notices: string[] = [];
  const asked: number[] = [];
  const drains: (() => void)[] = [];
  let room = Number.POSITIVE_INFINITY;
  let polled: (() => void) | null = null;
  let socket = -1;
  const native = {
    reachDatagram: () => ENOENT,
    eventfd: () => openSync('/dev/zero', 'r+'),
    bindDatagram() {
      socket = openSync('/dev/null', 'r');
      return socket;
    },
    receive(_: number, into: Uint8Array) {
      const next = waiting.shift();
      if (next === undefined) return null;
      return {
        length: Buffer.from(into.buffer, into.byteOffset, into.byteLength).write(next.text),
        pid: next.pid,
      };
    },
    pollReadable(_: readonly number[], then: (readable: number[]) => void) {
      polled = () => then([socket]);
    },
  } as unknown as Native;
  const sink = {
    write(chunk: Buffer) {
      written.push(chunk.toString());
      room -= chunk.length;
      return room >= 0;
    },
    onDrain: (callback: () => void) => void drains.push(callback),
    onLost: () => {},
    isTTY: false,
  } as unknown as Sink;
  const names = ['web', 'db', 'ssh'];
  const log = createLog({ format: 'plain', sink, colour: false, names });
  const commands = [
    { name: 'web', fits: ['web', 'nginx'] },
    { name: 'db', fits: ['postgres', 'nginx'] },
    { name: 'ssh', fits: ['ssh', 'sshd'] },
  ];
  const syslog = createSyslog({
    native,
    log,
    commandOf(pid) {
      asked.push(pid);
      return owners[pid] ?? null;
    },
    commands: () => commands,
    heard: (command, { head, text }) => heard.push(`${command} ${head}${text}`),
    notice: (message) => notices.push(message),
  });
  log.onResume(() => syslog.resume());
  syslog.listen(PATH);
  opened.push(syslog);
  return {
    syslog,
    written,
    heard,
    notices,
    asked,
    /** They come, and are read. */
    send(...texts: (string | Sent)[]) {
      waiting.push(...texts.map((text) => (typeof text === 'string' ? { text, pid: 0 } : text)));
      while (waiting.length > 0) polled!();
    },
    /** They wait in the socket. */
    queue: (...texts: string[]) => waiting.push(...texts.map((text) => ({ text, pid: 0 }))),
    waiting,
    fill() {
      room = 0;
    },
    empty() {
      room = HIGH_WATER;
      for (const callback of drains) callback();
    },
  };
}

describe('a message', () => {
  test('is a line of the command that its sender belongs to, whatever it calls itself', () => {
    const { send, written, heard } = world({ 7: 'web' });
    send({ text: '<13>db[1]: hello', pid: 7 });
    expect(written).toEqual(['web | db[1]: hello\n']);
    expect(heard).toEqual(['web db[1]: hello']);
  });

  test.each([
    ['web', 'web'],
    ['sshd', 'ssh'],
    ['postgres', 'db'],
    ['web/worker', 'web'],
    ['nginx', 'web'],
    ['ssh', 'ssh'],
  ])('of an unknown sender that calls itself %s is one of %s', (tag, command) => {
    const { send, written } = world();
    send({ text: `<13>${tag}[1]: hello`, pid: 9 }, `<13>${tag}: from elsewhere`);
    expect(written).toEqual([
      `${command.padEnd(3)} | ${tag}[1]: hello\n`,
      `${command.padEnd(3)} | ${tag}: from elsewhere\n`,
    ]);
  });

  test('of nobody that is known is one of upkeep’s own', () => {
    const { send, written, heard } = world();
    send('<13>sudo: hello', '<13>SSHD: hello', '<13>hello');
    expect(written).toEqual([
      'upkeep | syslog: sudo: hello\n',
      'upkeep | syslog: SSHD: hello\n',
      'upkeep | syslog: hello\n',
    ]);
    expect(heard).toEqual([]);
  });

  test('after another of the same sender costs no further look at it', () => {
    const { send, asked } = world({ 7: 'web', 8: 'db' });
    send(...[7, 7, 7, 8, 8, 0, 7].map((pid) => ({ text: 'x', pid })));
    expect(asked).toEqual([7, 8, 7]);
  });

  test('that waits in the socket is read when it is asked for, and at the end', () => {
    const { syslog, queue, written } = world();
    queue('<13>web: one');
    syslog.drain();
    expect(written).toEqual(['web | web: one\n']);
    queue('<13>web: two');
    syslog.listen(null);
    expect(written).toHaveLength(2);
    queue('<13>web: three');
    syslog.drain();
    expect(written).toHaveLength(2);
  });
});

describe('when the log is full', () => {
  test('messages are read and dropped, and it is told how many once it is not full any more', () => {
    const { send, fill, empty, written, notices, waiting } = world();
    fill();
    // The first one finds out.
    send(...Array(1001).fill('<13>web: x'));
    expect(waiting).toEqual([]);
    expect(written).toHaveLength(1);
    vi.advanceTimersByTime(60_000);
    expect(notices).toEqual([]);
    empty();
    expect(notices).toEqual(['1000 syslog messages were dropped: the log could not be written fast enough']);
    send('<13>web: y');
    expect(written.at(-1)).toBe('web | web: y\n');
  });

  test('it is not told again at once', () => {
    const { send, fill, empty, notices } = world();
    const round = () => {
      fill();
      send('<13>web: x', '<13>web: x');
      empty();
    };
    for (let times = 0; times < 5; times++) round();
    expect(notices).toEqual(['1 syslog message was dropped: the log could not be written fast enough']);
    vi.advanceTimersByTime(10_000);
    expect(notices).toHaveLength(2);
    expect(notices[1]).toMatch(/^4 syslog messages were/);
    vi.advanceTimersByTime(60_000);
    expect(notices).toHaveLength(2);
    round();
    expect(notices).toHaveLength(3);
  });

  test('at the end it is told in any case', () => {
    const { syslog, send, fill, notices } = world();
    fill();
    send('<13>x', '<13>x', '<13>x');
    syslog.listen(null);
    expect(notices).toEqual(['2 syslog messages were dropped: the log could not be written fast enough']);
  });

  test('of one command, the others go on', () => {
    const { send, fill, empty, written } = world({ 7: 'web', 8: 'db' });
    fill();
    const both = [
      { text: '<13>a: x', pid: 7 },
      { text: '<13>b: x', pid: 8 },
    ];
    send(...both, ...both, ...both);
    expect(written).toEqual(['web | a: x\n', 'db  | b: x\n']);
    empty();
    send(...both);
    expect(written).toHaveLength(4);
  });
});

test('where there is no koffi it is told what to do instead, and nothing follows', () => {
  const notices: string[] = [];
  const syslog = createSyslog({
    native: { missing: 'not on darwin' },
    log: createLog({ format: 'plain', sink: { onLost() {} } as unknown as Sink, colour: false, names: [] }),
    commandOf: () => null,
    commands: () => [],
    heard: () => {},
    notice: (message) => notices.push(message),
  });
  syslog.listen('/dev/log');
  syslog.listen('/dev/log');
  syslog.drain();
  syslog.resume();
  syslog.listen(null);
  expect(notices).toEqual([
    'cannot listen for syslog messages at /dev/log: there is no koffi (not on darwin); have the programs log to files, and follow those',
  ]);
});
