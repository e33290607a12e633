import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { loadNative, type Native } from '../../src/process/native.ts';
import {
  LONGEST_MESSAGE,
  openSyslogSocket,
  type RawMessage,
  type SyslogSocket,
} from '../../src/process/syslog.ts';

const loaded = loadNative(process.env);
const native = loaded as Native;
const has = (program: string) => !spawnSync(program, ['--version']).error;
const lacking = 'missing' in loaded ? `without koffi: ${loaded.missing}` : has('perl') ? '' : 'without perl';

describe.skipIf(lacking)(`the socket ${lacking}`, { timeout: 300_000 }, () => {
  let folder: string;
  let path: string;
  let heard: RawMessage[];
  const sockets: SyslogSocket[] = [];
  const children: ChildProcess[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'syslog-'));
    path = join(folder, 'log');
    heard = [];
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.close();
    for (const child of children.splice(0)) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  const tryAt = (at = path) => openSyslogSocket(native, at, (messages) => heard.push(...messages));
  const open = (at = path): SyslogSocket => {
    const socket = tryAt(at);
    if ('error' in socket) throw new Error(socket.error);
    sockets.push(socket);
    return socket;
  };
  const refused = (at = path): string => {
    const socket = tryAt(at);
    if ('error' in socket) return socket.error;
    sockets.push(socket);
    throw new Error('it was opened');
  };
  const program = (body: string): string =>
    `use Socket; socket(S, AF_UNIX, SOCK_DGRAM, 0); my $to = sockaddr_un($ARGV[0]); ${body}`;
  const SEND = program('defined send(S, $ARGV[$_], 0, $to) or die $! for 1..$#ARGV');
  /** @returns the sender's pid; it is gone */
  const send = (...texts: string[]): number => {
    const { pid, status, stderr } = spawnSync('perl', ['-e', SEND, path, ...texts], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return pid;
  };
  const soon = (check: () => void) => vi.waitFor(check, { timeout: 120_000 });
  /** What a syslog daemon that was killed has left. */
  const leave = (at: string): void => {
    spawnSync('perl', ['-e', program('bind(S, $to) or die $!'), at]);
    expect(lstatSync(at).isSocket()).toBe(true);
  };

  test('is one that every user can write to, and is removed at the end', async () => {
    const socket = open();
    expect(statSync(path).mode & 0o777).toBe(0o666);
    const pid = send('<13>a: x', '<13>a: \xff\n');
    await soon(() => expect(heard).toHaveLength(2));
    expect(heard).toEqual([
      { text: '<13>a: x', cut: 0, pid },
      { text: '<13>a: \xff\n', cut: 0, pid },
    ]);
    socket.close();
    socket.close();
    expect(existsSync(path)).toBe(false);
  });

  test('hands over at once what waits in it', () => {
    const socket = open();
    const pid = send('one', 'two');
    socket.drain();
    expect(heard.map(({ text }) => text)).toEqual(['one', 'two']);
    expect(heard[0]!.pid).toBe(pid);
    socket.drain();
    expect(heard).toHaveLength(2);
    socket.close();
    socket.drain();
  });

  test('takes the place of one that nobody listens at', () => {
    leave(path);
    const socket = open();
    send('x');
    socket.drain();
    expect(heard).toHaveLength(1);
  });

  test('does not take the place of one that somebody listens at', () => {
    const first = open();
    expect(refused()).toMatch(
      `somebody listens at ${path} already (a syslog daemon, or the host's journal); stop it, or`,
    );
    send('x');
    first.drain();
    expect(heard).toHaveLength(1);
  });

  test('does not take the place of one that somebody listens at by connections', async () => {
    const server = createServer().listen(path);
    await new Promise((resolve) => server.once('listening', resolve));
    expect(refused()).toMatch(`somebody listens at ${path} already`);
    expect(lstatSync(path).isSocket()).toBe(true);
    await new Promise((resolve) => server.close(resolve));
  });

  test('does not take the place of what is no socket', () => {
    writeFileSync(path, 'mine');
    expect(refused()).toBe(`${path} is there and is no socket; remove it`);
    expect(lstatSync(path).isFile()).toBe(true);
  });

  test('is where a link leads, and the link stays', () => {
    const target = join(folder, 'target');
    symlinkSync('target', path);
    const socket = open();
    send('x');
    socket.drain();
    expect(heard).toHaveLength(1);
    expect(refused()).toMatch(`somebody listens at ${target} (where ${path} leads) already`);
    socket.close();
    expect(readlinkSync(path)).toBe('target');
    expect(existsSync(target)).toBe(false);
  });

  test('is where a link leads to one that nobody listens at', () => {
    leave(join(folder, 'target'));
    symlinkSync(join(folder, 'target'), path);
    open();
    send('x');
    sockets[0]!.drain();
    expect(heard).toHaveLength(1);
  });

  test.each<[string, (at: string) => void, RegExp]>([
    [
      'a link leads into a folder that is not there',
      (at) => symlinkSync('no/log', at),
      /no\/log cannot be bound \(ENOENT\); see that the folder is there/,
    ],
    ['a link leads to itself', (at) => symlinkSync('log', at), /; /],
  ])('is not there where %s, which is told', (_, spoil, reason) => {
    spoil(path);
    expect(refused()).toMatch(reason);
    expect(lstatSync(path).isSymbolicLink()).toBe(true);
  });

  test('is not there where its path is too long', () => {
    expect(refused(join(folder, 'x'.repeat(120)))).toMatch(/longer than the 107 bytes.*; put it in/);
  });

  test('of another who has taken its place is left to that one', () => {
    const socket = open();
    unlinkSync(path);
    const other = open();
    socket.close();
    expect(lstatSync(path).isSocket()).toBe(true);
    send('x');
    other.drain();
    expect(heard).toHaveLength(1);
  });

  test('takes the beginning of a message that is too long, and says so', () => {
    const socket = open();
    send('x'.repeat(LONGEST_MESSAGE), `${'x'.repeat(LONGEST_MESSAGE)}yz`, '', 'end');
    socket.drain();
    expect(heard.map(({ text, cut }) => [text.length, cut])).toEqual([
      [LONGEST_MESSAGE, 0],
      [LONGEST_MESSAGE, 2],
      [0, 0],
      [3, 0],
    ]);
  });

  test('holds nobody up when it is a flood, drained as often as one will', async () => {
    const socket = open();
    children.push(spawn('perl', ['-e', program('send(S, "x", 0, $to) while 1'), path], { stdio: 'ignore' }));
    await soon(() => expect(heard.length).toBeGreaterThan(100));
    const before = heard.length;
    for (let times = 0; times < 1000; times++) socket.drain();
    // What comes while it is read has to wait for the next turn at last.
    expect(heard.length - before).toBeLessThan(400);
    await soon(() => expect(heard.length).toBeGreaterThan(before + 1000));
  });
});
