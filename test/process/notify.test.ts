import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { loadNative, type Native } from '../../src/process/native.ts';
import { createNotify, type Message, type Notify, parseMessage } from '../../src/process/notify.ts';

const loaded = loadNative(process.env);
const native = loaded as Native;
const PERL = 'perl';
const has = (program: string) => !spawnSync(program, ['--version']).error;
const lacking = 'missing' in loaded ? `without koffi: ${loaded.missing}` : has(PERL) ? '' : 'without perl';

const NOTHING = {
  pid: 7,
  ready: false,
  stopping: false,
  watchdog: null,
  status: null,
  mainPid: null,
};

test.each<[string, string, Partial<Message>]>([
  ['readiness', 'READY=1', { ready: true }],
  ['several lines', 'READY=1\nSTATUS=serving\nMAINPID=12', { ready: true, status: 'serving', mainPid: 12 }],
  ['a text with equals signs', 'STATUS=a=b', { status: 'a=b' }],
  ['an empty text', 'STATUS=', { status: '' }],
  ['the end', 'STOPPING=1\n', { stopping: true }],
  ['a sign of life', 'WATCHDOG=1', { watchdog: 'alive' }],
  ['a sign of death', 'WATCHDOG=trigger', { watchdog: 'trigger' }],
  ['more time', 'EXTEND_TIMEOUT_USEC=2500000', {}],
  ['the later of two', 'STATUS=a\nSTATUS=b', { status: 'b' }],
  ['no word', 'READY\n=1\n\nready=1\nREADY=yes\nREADY = 1\nX', {}],
  ['no number', 'MAINPID=-4', {}],
  ['no process', 'MAINPID=0', {}],
  ['a number that no process has', 'MAINPID=99999999999', {}],
  ['a text that would make lines of its own', 'STATUS=a\rb\x1b[31m\0', { status: 'a b [31m ' }],
  ['a text without end', `STATUS=${'x'.repeat(3000)}`, { status: 'x'.repeat(200) }],
])('%s is read', (_, text, said) => {
  expect(parseMessage(text, 7)).toEqual({ ...NOTHING, ...said });
});

test('without koffi it says so', () => {
  const notify = createNotify(null, join(tmpdir(), 'never-made'));
  expect(notify.pathOf('web')).toEqual({
    error: 'cannot use notify: koffi cannot be loaded; use another readiness probe',
  });
  notify.drain('web');
  notify.forget('web');
  notify.close();
  expect(existsSync(join(tmpdir(), 'never-made'))).toBe(false);
});

describe.skipIf(lacking)(`what services send ${lacking}`, { timeout: 300_000 }, () => {
  let parent: string;
  let folder: string;
  let notify: Notify;
  let heard: [string, Message][];
  const children: ChildProcess[] = [];

  const open = (): Notify => {
    const opened = createNotify(native, folder);
    opened.onMessage((command, message) => heard.push([command, message]));
    return opened;
  };
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'notify-'));
    chmodSync(parent, 0o755);
    folder = join(parent, 'notify');
    heard = [];
    notify = open();
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    notify.close();
    rmSync(parent, { recursive: true, force: true });
  });

  /** What a service does: each text is a datagram. */
  const sender = (body: string): string =>
    `use Socket; socket(S, AF_UNIX, SOCK_DGRAM, 0); my $to = sockaddr_un($ENV{NOTIFY_SOCKET}); ${body}`;
  const SEND_ARGUMENTS = sender('for (@ARGV) { defined send(S, $_, 0, $to) or die $! }');
  const send = (path: string, texts: string[], before: string[] = []): ChildProcess => {
    const [program, ...words] = [...before, PERL, '-e', SEND_ARGUMENTS, ...texts];
    const env = { ...process.env, NOTIFY_SOCKET: path };
    const child = spawn(program!, words, { env, stdio: ['ignore', 'ignore', 'inherit'] });
    children.push(child);
    return child;
  };
  const soon = (check: () => void) => vi.waitFor(check, { timeout: 120_000 });

  test('is heard by command, in its order, with the pid of the sender', async () => {
    const web = notify.pathOf('web') as string;
    const db = notify.pathOf('db') as string;
    expect(notify.pathOf('web')).toBe(web);
    const first = send(web, ['STATUS=warming up', 'READY=1\nSTATUS=serving']);
    await once(first, 'exit');
    const second = send(db, ['READY=1']);
    await soon(() => expect(heard).toHaveLength(3));
    expect(heard).toEqual([
      ['web', { ...NOTHING, pid: first.pid, status: 'warming up' }],
      ['web', { ...NOTHING, pid: first.pid, ready: true, status: 'serving' }],
      ['db', { ...NOTHING, pid: second.pid, ready: true }],
    ]);
  });

  test('is heard when a socket is added while others are waited for', async () => {
    await once(send(notify.pathOf('web') as string, ['STATUS=1']), 'exit');
    await soon(() => expect(heard).toHaveLength(1));
    send(notify.pathOf('late') as string, ['STATUS=2']);
    await soon(() => expect(heard.at(-1)).toMatchObject(['late', { status: '2' }]));
  });

  test.skipIf(process.getuid!() !== 0 || !has('setpriv'))(
    'is heard from another user (needs root and setpriv)',
    async () => {
      send(notify.pathOf('web') as string, ['READY=1'], ['setpriv', '--reuid=65534', '--clear-groups']);
      await soon(() => expect(heard).toMatchObject([['web', { ready: true }]]));
    },
  );

  test.skipIf(!has('systemd-notify'))(
    'is heard from systemd-notify, which waits until it was (needs it)',
    async () => {
      const env = { ...process.env, NOTIFY_SOCKET: notify.pathOf('web') as string };
      // It sends a descriptor with BARRIER=1, and ends when nobody has that any more.
      const [program, ...words] = ['systemd-notify', '--ready', '--status=up'];
      const child = spawn(program!, words, { env, stdio: 'inherit' });
      expect(await once(child, 'exit')).toEqual([0, null]);
      await soon(() => expect(heard[0]).toMatchObject(['web', { ready: true, status: 'up' }]));
    },
  );

  test('is ignored where it is too long, and what comes after is heard', async () => {
    send(notify.pathOf('web') as string, [
      `READY=1\nSTATUS=${'x'.repeat(4096)}`,
      'STATUS=\xff',
      '',
      'STATUS=end',
    ]);
    await soon(() => expect(heard.at(-1)).toMatchObject(['web', { status: 'end' }]));
    expect(heard.some(([, { ready }]) => ready)).toBe(false);
  });

  test('holds nobody up when it is a flood: others have their turn', async () => {
    const flood = sender('send(S, "STATUS=flood", 0, $to) while 1');
    const env = { ...process.env, NOTIFY_SOCKET: notify.pathOf('flood') as string };
    children.push(spawn(PERL, ['-e', flood], { env, stdio: 'ignore' }));
    await soon(() => expect(heard.length).toBeGreaterThan(100));
    send(notify.pathOf('quiet') as string, ['READY=1']);
    await soon(() => expect(heard).toContainEqual(['quiet', expect.objectContaining({ ready: true })]));
  });

  test('is handed over at once where it is asked for', async () => {
    const path = notify.pathOf('web') as string;
    spawnSync(PERL, ['-e', SEND_ARGUMENTS, 'READY=1'], { env: { ...process.env, NOTIFY_SOCKET: path } });
    notify.drain('web');
    expect(heard).toMatchObject([['web', { ready: true }]]);
    notify.drain('unknown');
    await new Promise(setImmediate);
    expect(heard).toHaveLength(1);
  });

  test('goes by a path that every user can write to, in a folder that none can list', () => {
    const path = notify.pathOf('web') as string;
    expect(statSync(path).mode & 0o777).toBe(0o666);
    expect(statSync(folder).mode & 0o777).toBe(0o711);
  });

  test('goes by a path of its own for each name, the same for the next upkeep', () => {
    const names = [
      'web',
      'a/b',
      'a_b',
      'a b',
      '..',
      '.',
      'é',
      'x'.repeat(33),
      'x'.repeat(34),
      'x'.repeat(200),
    ];
    const paths = names.map((name) => notify.pathOf(name));
    expect(new Set(paths).size).toBe(names.length);
    for (const path of paths) expect(lstatSync(path as string).isSocket()).toBe(true);
    notify.close();
    expect(existsSync(folder)).toBe(false);
    notify = open();
    expect(names.map((name) => notify.pathOf(name))).toEqual(paths);
  });

  test('reaches the next upkeep by what one that was killed has left', async () => {
    const killed = createNotify(native, folder);
    const path = killed.pathOf('web') as string;
    expect(notify.pathOf('web')).toBe(path);
    send(path, ['READY=1']);
    await soon(() => expect(heard).toMatchObject([['web', { ready: true }]]));
  });

  test('is not waited for any more once it is forgotten, and can be again', async () => {
    const path = notify.pathOf('web') as string;
    notify.pathOf('db');
    notify.forget('web');
    notify.forget('web');
    expect(existsSync(path)).toBe(false);
    expect(notify.pathOf('web')).toBe(path);
    send(path, ['READY=1']);
    await soon(() => expect(heard).toMatchObject([['web', { ready: true }]]));
    notify.close();
    expect(existsSync(folder)).toBe(false);
    expect(notify.pathOf('web')).toBe(path);
    send(path, ['STOPPING=1']);
    await soon(() => expect(heard.at(-1)).toMatchObject(['web', { stopping: true }]));
  });

  test.each<[string, (folder: string, path: string) => void, RegExp]>([
    ['others can write to its folder', (at) => chmodSync(at, 0o777), /no folder that this user alone/],
    [
      'its folder is a link',
      (at) => {
        rmSync(at, { recursive: true });
        symlinkSync('.', at);
      },
      /no folder/,
    ],
    ['a file has its name', (_, path) => writeFileSync(path, ''), /is there and is no socket; remove it/],
    ['the parent is missing', (at) => rmSync(join(at, '..'), { recursive: true }), /ENOENT.*; see that/],
  ])('is refused where %s', (_, spoil, reason) => {
    mkdirSync(folder);
    spoil(folder, join(folder, 'web'));
    const { error } = notify.pathOf('web') as { error: string };
    expect(error).toMatch(/^cannot use notify: .*; /);
    expect(error).toMatch(reason);
  });

  test('is refused where the path is too long', () => {
    const deep = createNotify(native, join(folder, 'x'.repeat(100)));
    expect(deep.pathOf('web')).toEqual({ error: expect.stringMatching(/longer than the 107 bytes.*; put/) });
  });
});
