import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** One process of a made-up /proc. */
export interface FakeProcess {
  readonly ticks?: number;
  readonly comm?: string | Buffer;
  readonly state?: string;
  readonly ppid?: number;
  readonly session?: number;
  readonly threads?: number;
  readonly exitSignal?: number;
  readonly cmdline?: string | Buffer;
  /** What stands behind "Max file locks". */
  readonly locks?: string;
}

/** The bytes of a /proc/PID/stat. */
export function statBytes(pid: number, of: FakeProcess): Buffer {
  const { ticks = 1, comm = 'fake', state = 'S', ppid = 1, session = 0, threads = 1, exitSignal = 17 } = of;
  const before = `${state} ${ppid} 7 ${session} 0 -1 4194560 1 2 3 4 5 6 7 8 20 -5 ${threads} 0 ${ticks}`;
  const behind = `24576 200 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 ${exitSignal} 0 0 0 0 0 0`;
  return Buffer.concat([
    Buffer.from(`${pid} (`),
    Buffer.from(comm as string),
    Buffer.from(`) ${before} ${behind}\n`),
  ]);
}

/** A folder that looks like /proc. It is removed by `remove`. */
export function fakeProc() {
  const root = mkdtempSync(join(tmpdir(), 'fake-proc-'));
  const write = (name: string, text: string | Buffer) => writeFileSync(join(root, name), text);
  mkdirSync(join(root, 'sys/kernel'), { recursive: true });
  write('uptime', '100000.00 1.00\n');
  write('version', 'not a process\n');
  const proc = {
    root,
    write,
    /** `lastPid` null: a kernel that does not tell. */
    kernel(lastPid: number | null, forks = 0, pidMax = 32768, tasks = 10) {
      write(
        'loadavg',
        lastPid === null ? '0.00 0.00 0.00 0/0 0\n' : `0.00 0.01 0.02 1/${tasks} ${lastPid}\n`,
      );
      write('stat', `cpu 1 2 3\nintr ${'0 '.repeat(5000)}\nbtime 5\nprocesses ${forks}\nprocs_running 1\n`);
      write('sys/kernel/pid_max', `${pidMax}\n`);
    },
    put(pid: number, of: FakeProcess = {}) {
      mkdirSync(join(root, `${pid}`), { recursive: true });
      write(`${pid}/stat`, statBytes(pid, of));
      write(`${pid}/cmdline`, of.cmdline ?? 'fake\0--word\0');
      const locks = of.locks ?? 'unlimited';
      write(
        `${pid}/limits`,
        `Limit  Soft Limit  Hard Limit  Units\nMax pending signals  5  6  signals\nMax file locks            ${locks.padEnd(20)} unlimited            locks     \n`,
      );
    },
    drop(pid: number, file = '') {
      rmSync(join(root, `${pid}`, file), { recursive: true, force: true });
    },
    remove() {
      rmSync(root, { recursive: true, force: true });
    },
  };
  proc.kernel(1000);
  return proc;
}
