import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { buildSync } from 'esbuild';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { findListener } from '../../src/process/listening.ts';

const has = (program: string) => !spawnSync(program, ['--version']).error;

const PORT = 8080;
const HEADER =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
let count = 0;
const row = (local: string, state: string, uid: number, inode: number): string =>
  `${String(count++).padStart(4)}: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000 ${String(uid).padStart(5)}        0 ${inode} 1 0000000000000000 100 0 0 10 0\n`;
const V6_ANY = '0'.repeat(32);

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'listening-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('of a made-up /proc', () => {
  /** `fds` null: its open files cannot be seen. */
  function put(pid: number, tables: { tcp?: string; tcp6?: string }, fds: readonly string[] | null): void {
    const at = join(root, `${pid}`);
    mkdirSync(join(at, 'net'), { recursive: true });
    if (tables.tcp !== undefined) writeFileSync(join(at, 'net/tcp'), HEADER + tables.tcp);
    if (tables.tcp6 !== undefined) writeFileSync(join(at, 'net/tcp6'), HEADER + tables.tcp6);
    if (fds === null) writeFileSync(join(at, 'fd'), '');
    else {
      mkdirSync(join(at, 'fd'));
      for (const [fd, link] of fds.entries()) symlinkSync(link, join(at, 'fd', `${fd}`));
    }
  }
  const find = (...pids: number[]) => findListener(pids, PORT, root);
  const own = process.getuid!();

  test('it is the process that holds the socket', () => {
    const tcp =
      row('00000000:1F91', '0A', 0, 1) + row('0100007F:1F90', '0A', 0, 55) + row('0100007F:1F90', '01', 0, 2);
    put(10, { tcp }, ['/dev/null', 'socket:[2]', 'socket:[1]', 'socket:[5]', 'socket:[555]']);
    put(11, { tcp }, ['pipe:[3]', 'socket:[55]']);
    expect(find(10, 11)).toEqual({ listens: true, evidence: 'descriptor', pid: 11 });
    expect(find(10)).toEqual({
      listens: false,
      reason: 'port 8080 is listened on, but by none of its processes',
    });
  });

  test('it is one with IPv6', () => {
    put(10, { tcp: '', tcp6: row(`${V6_ANY}:1F90`, '0A', 0, 55) }, ['socket:[55]']);
    expect(find(10)).toEqual({ listens: true, evidence: 'descriptor', pid: 10 });
  });

  test('it is in its own network namespace', () => {
    put(10, { tcp: '' }, ['socket:[55]']);
    put(11, { tcp: row('00000000:1F90', '0A', 0, 55) }, ['socket:[55]']);
    expect(find(10, 11)).toMatchObject({ listens: true, pid: 11 });
    expect(find(10)).toMatchObject({ listens: false });
  });

  test('a connection is no listening socket, nor is another port, nor a remote one', () => {
    const tcp =
      row('0100007F:1F90', '01', 0, 55) +
      row('0100007F:1F9', '0A', 0, 55) +
      row('1F900000:0050', '0A', 0, 55) +
      row('0100007F:0050', '0A', 8080, 55).replace('00000000:0000', '0100007F:1F90');
    put(10, { tcp }, ['socket:[55]']);
    expect(find(10)).toEqual({ listens: false, reason: 'nothing listens on port 8080' });
  });

  test('it is found behind a thousand others that listen', () => {
    const others = Array.from({ length: 1000 }, (_, index) => row('00000000:0050', '0A', 0, 1000 + index));
    put(10, { tcp: others.join('') + row('00000000:1F90', '0A', 0, 55) }, ['socket:[55]']);
    expect(find(10)).toMatchObject({ listens: true });
  });

  test('where its files cannot be seen, the user of the socket tells', () => {
    put(10, { tcp: row('00000000:1F90', '0A', own, 55) }, null);
    expect(find(10)).toEqual({ listens: true, evidence: 'user', pid: 10 });
    rmSync(join(root, '10'), { recursive: true });
    put(10, { tcp: row('00000000:1F90', '0A', own + 1, 55) }, null);
    expect(find(10)).toEqual({
      listens: false,
      reason: expect.stringMatching(
        new RegExp(`^a socket of user ${own + 1} .* cannot be seen .*; give .* CAP_SYS_PTRACE, or`),
      ),
    });
  });

  test('what can be seen counts for more than the user', () => {
    const tcp = row('00000000:1F90', '0A', own, 55);
    put(10, { tcp }, null);
    put(11, { tcp }, ['socket:[55]']);
    expect(find(10, 11)).toEqual({ listens: true, evidence: 'descriptor', pid: 11 });
  });

  test.skipIf(own !== 0)('the user is that of the process whose files cannot be seen (needs root)', () => {
    const tcp = row('00000000:1F90', '0A', 33, 55);
    put(10, { tcp }, null);
    put(11, { tcp }, null);
    chownSync(join(root, '11'), 33, 33);
    expect(find(10, 11)).toEqual({ listens: true, evidence: 'user', pid: 11 });
  });

  test('a process that is gone, or none at all, listens to nothing', () => {
    expect(find()).toEqual({ listens: false, reason: 'it has no process' });
    expect(find(12)).toEqual({ listens: false, reason: 'nothing listens on port 8080' });
  });

  test('a table that cannot be read is told of', () => {
    put(10, {}, []);
    mkdirSync(join(root, '10/net/tcp'));
    expect(find(10)).toEqual({
      listens: false,
      reason: expect.stringMatching(/^cannot see who listens on port 8080: EISDIR.*; use a tcp probe/),
    });
  });
});

describe('of real processes', { timeout: 300_000 }, () => {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  /** Starts a program that says, in a line, the numbers that are asked for. */
  async function started(program: string, args: readonly string[]): Promise<{ pid: number; said: number[] }> {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    children.push(child);
    let text = '';
    child.stdout!.on('data', (chunk) => {
      text += chunk;
    });
    await vi.waitFor(() => expect(text).toContain('\n'), { timeout: 120_000 });
    return { pid: child.pid!, said: text.trim().split(' ').map(Number) };
  }
  const LISTENER = (host: string) =>
    `const server = require('node:net').createServer().listen(0, '${host}', () => console.log(server.address().port))`;
  test.each(['127.0.0.1', '0.0.0.0', '::'])('that listens on %s', async (host) => {
    const { pid, said } = await started(process.execPath, ['-e', LISTENER(host)]);
    expect(findListener([pid], said[0]!)).toEqual({ listens: true, evidence: 'descriptor', pid });
    expect(findListener([process.pid, pid], said[0]!)).toMatchObject({ listens: true, pid });
    expect(findListener([process.pid], said[0]!)).toEqual({
      listens: false,
      reason: `port ${said[0]} is listened on, but by none of its processes`,
    });
    expect(findListener([pid], said[0]! === 1 ? 2 : 1)).toMatchObject({ listens: false });
  });

  test.skipIf(!has('perl'))('that left its socket to a child (needs perl)', async () => {
    const script = `use Socket; $| = 1; $^F = 10; socket(S, PF_INET, SOCK_STREAM, 0); bind(S, sockaddr_in(0, INADDR_LOOPBACK));
      listen(S, 5); my ($port) = sockaddr_in(getsockname(S)); pipe(R, W);
      my $child = fork; if (!$child) { close W; <R>; exit } close R; close S; print "$port $child\\n"; sleep 1000`;
    const { pid, said } = await started('perl', ['-e', script]);
    const [port, child] = said as [number, number];
    expect(findListener([pid, child], port)).toEqual({ listens: true, evidence: 'descriptor', pid: child });
    expect(findListener([pid], port)).toMatchObject({ listens: false });
  });

  test.skipIf(process.getuid!() !== 0 || !has('setpriv'))(
    'of another user, seen without CAP_SYS_PTRACE (needs root and setpriv)',
    async () => {
      const { pid, said } = await started('setpriv', [
        ...['--reuid=65534', '--clear-groups'],
        ...['perl', '-e'],
        'use Socket; $| = 1; socket(S, PF_INET, SOCK_STREAM, 0); bind(S, sockaddr_in(0, INADDR_LOOPBACK)); listen(S, 5); my ($port) = sockaddr_in(getsockname(S)); print "$port\\n"; sleep 1000',
      ]);
      const [port] = said as [number];
      expect(findListener([pid], port)).toEqual({ listens: true, evidence: 'descriptor', pid });
      const outfile = join(root, 'listening.cjs');
      buildSync({
        entryPoints: [resolve('src/process/listening.ts')],
        outfile,
        bundle: true,
        format: 'cjs',
        platform: 'node',
      });
      const asked = (pids: number[]) => {
        const text = `console.log(JSON.stringify(require(${JSON.stringify(outfile)}).findListener(${JSON.stringify(pids)}, ${port})))`;
        const dropped = ['--bounding-set=-sys_ptrace', '--inh-caps=-sys_ptrace'];
        const [program, ...words] = ['setpriv', ...dropped, process.execPath, '-e', text];
        const { stdout } = spawnSync(program!, words);
        return JSON.parse(`${stdout}`);
      };
      expect(asked([pid])).toEqual({ listens: true, evidence: 'user', pid });
      // Its files can be seen, and the socket is not among them.
      expect(asked([process.pid])).toMatchObject({ listens: false });
    },
  );
});
