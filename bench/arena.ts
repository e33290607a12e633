/** A PID namespace of its own for whoever is measured, and the eyes and hands in it (native/stage.c). */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { OTHER, SERVICE, type Tools } from './tools.ts';

/** All times are of the kernel's monotonic clock, in ns; a Number holds them exactly for 104 days of uptime. */
interface Birth {
  readonly name: string;
  readonly pid: number;
  readonly at: number;
}

export interface Ran {
  readonly pid: number;
  readonly at: number;
}

interface Exited extends Ran {
  readonly status: number;
  /** ms, with that of whom it waited for. */
  readonly cpu: number;
}

export interface Row {
  readonly pid: number;
  readonly ppid: number;
  readonly state: string;
  readonly comm: string;
  /** ms of CPU of the children that it has waited for; the kernel tells it in steps of 10 ms. */
  readonly waitedFor: number;
}

const SEPARATOR = '\x1f';
const TICK_MS = 10;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const QUIET = '/dev/null';

export class Arena {
  readonly dir = mkdtempSync(join(tmpdir(), 'upkeep-bench-'));
  /** Where services tell their births. */
  readonly fifo = join(this.dir, 'born');
  readonly births: Birth[] = [];
  readonly exits: Exited[] = [];
  /** When the last service had gone, as often as it happened. */
  readonly alone: number[] = [];
  readonly #tools: Tools;
  readonly #answers: ((fields: string[]) => void)[] = [];
  readonly #watchers = new Set<() => void>();
  #unshare!: ChildProcess;
  #stage!: ChildProcess;
  /** The namespace's init, as seen from outside. */
  #init = 0;
  /** Of the stage, inside; 1 unless somebody else is init. */
  #stagePid = 1;

  static readonly #open = new Set<Arena>();

  /** Ends everybody in all arenas, without waiting: for when the benchmark itself is ended. */
  static abandonAll(): void {
    for (const { init, dir } of Arena.#open) {
      if (init > 0) quietly(() => process.kill(init, 'SIGKILL'));
      quietly(() => rmSync(dir, { recursive: true, force: true }));
    }
  }

  private constructor(tools: Tools) {
    this.#tools = tools;
    Arena.#open.add(this);
    execFileSync('mkfifo', ['-m', '666', this.fifo]);
  }

  /**
   * @param init who is PID 1, as the words of a command; without it the stage is, and reaps. Gets the arena's folder.
   * @throws Error where a namespace cannot be had
   */
  static async open(tools: Tools, init?: (arena: Arena) => readonly string[]): Promise<Arena> {
    const arena = new Arena(tools);
    const stage = [tools.stage, arena.fifo];
    const first = init?.(arena) ?? stage;
    arena.#unshare = arena.#spawn(
      ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child', ...first],
      init !== undefined,
    );
    const children = `/proc/${arena.#unshare.pid}/task/${arena.#unshare.pid}/children`;
    arena.#init = await until('the namespace', 10_000, () => {
      if (arena.#unshare.exitCode !== null)
        throw new Error('cannot measure: unshare has failed; it needs root');
      return Number(quietly(() => readFileSync(children, 'latin1').trim().split(' ')[0]) ?? 0);
    });
    if (init === undefined) arena.#stage = arena.#unshare;
    else {
      await until('the init', 10_000, () =>
        quietly(() => readFileSync(`/proc/${arena.#init}/comm`, 'latin1')) !== 'unshare\n' ? 1 : 0,
      );
      arena.#stage = arena.#spawn(['nsenter', '-t', `${arena.#init}`, '-p', '-m', ...stage], false);
    }
    const ready = new Promise<string[]>((resolve) => arena.#answers.push(resolve));
    createInterface({ input: arena.#stage.stdout! }).on('line', (line) => arena.#hear(line));
    await ready;
    if (init !== undefined)
      arena.#stagePid = arena.processes().find(({ comm }) => comm === 'stage')?.pid ?? 0;
    return arena;
  }

  #spawn(words: readonly string[], silent: boolean): ChildProcess {
    const [file, ...args] = words;
    const child = spawn(file!, args, {
      cwd: this.dir,
      env: { PATH, HOME: this.dir },
      stdio: silent ? 'ignore' : ['pipe', 'pipe', 'ignore'],
      // Ctrl-C is for the benchmark.
      detached: true,
    });
    child.on('error', () => {});
    child.stdin?.on('error', () => {});
    return child;
  }

  #hear(line: string): void {
    const [what, ...fields] = line.split(' ') as [string, ...string[]];
    if (what === 'born')
      this.births.push({ name: fields[0]!, pid: Number(fields[1]), at: Number(fields[2]) });
    else if (what === 'exited')
      this.exits.push({
        pid: Number(fields[0]),
        at: Number(fields[1]),
        status: Number(fields[2]),
        cpu: Number(fields[3]) / 1e3,
      });
    else if (what === 'alone') this.alone.push(Number(fields[0]));
    else this.#answers.shift()?.(fields);
    for (const watcher of [...this.#watchers]) watcher();
  }

  #order(...words: readonly string[]): Promise<string[]> {
    const answer = new Promise<string[]>((resolve) => this.#answers.push(resolve));
    this.#stage.stdin!.write(`${words.join(SEPARATOR)}\n`);
    return answer;
  }

  /** Starts a program inside. @returns its pid there, and the time right before fork(2) */
  async run(words: readonly string[], stdout = QUIET, stdin = QUIET): Promise<Ran> {
    const [pid, at] = await this.#order('run', stdin, stdout, ...words);
    return { pid: Number(pid), at: Number(at) };
  }

  /** @param signal its number. @returns the time right before kill(2) */
  async kill(pid: number, signal: number): Promise<number> {
    return Number((await this.#order('kill', `${pid}`, `${signal}`))[1]);
  }

  /** Waits until something that was heard makes `check` give a value. @returns null when it did not come in time (ms) */
  heard<T>(timeout: number, check: () => T | null | undefined): Promise<T | null> {
    return new Promise((resolve) => {
      const finish = (value: T | null): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        resolve(value);
      };
      const look = (): void => {
        const value = check();
        if (value !== null && value !== undefined) finish(value);
      };
      const timer = setTimeout(finish, timeout, null);
      this.#watchers.add(look);
      look();
    });
  }

  /** The birth of each name that came last. */
  latest(): Map<string, Birth> {
    return new Map(this.births.map((birth) => [birth.name, birth]));
  }

  async exited(pid: number, timeout: number): Promise<Exited | null> {
    return this.heard(timeout, () => this.exits.find((exit) => exit.pid === pid));
  }

  get proc(): string {
    return `/proc/${this.#init}/root/proc`;
  }

  /** The pid of the namespace's init outside of it. */
  get init(): number {
    return this.#init;
  }

  /** It ends when the namespace has. */
  get outside(): ChildProcess {
    return this.#unshare;
  }

  /** Everybody inside but the stage. */
  processes(): Row[] {
    const found: Row[] = [];
    for (const name of quietly(() => readdirSync(this.proc)) ?? []) {
      if (!/^\d+$/.test(name) || (Number(name) === this.#stagePid && this.#stagePid > 0)) continue;
      const row = quietly(() => readRow(this.proc, Number(name)));
      if (row !== null) found.push(row);
    }
    return found;
  }

  services(): Row[] {
    return this.processes().filter(({ comm }) => comm === SERVICE);
  }

  /** All that is neither stage nor service nor crowd: the supervisor, with its helpers. */
  supervisor(): Row[] {
    return this.processes().filter(({ comm }) => comm !== SERVICE && comm !== OTHER);
  }

  /** ms of CPU that the supervisor has used, with the helpers (and dead services) that it has waited for. */
  cpu(): number {
    let ms = 0;
    for (const { pid, waitedFor } of this.supervisor())
      ms += (quietly(() => this.#cpuOf(pid)) ?? 0) + waitedFor;
    return ms;
  }

  #cpuOf(pid: number): number {
    const tasks = `${this.proc}/${pid}/task`;
    let ns = 0;
    for (const task of readdirSync(tasks)) {
      const exact = quietly(() => readFileSync(`${tasks}/${task}/schedstat`, 'latin1').split(' ')[0]);
      if (exact === null) return this.#ticksOf(pid);
      ns += Number(exact);
    }
    // Threads that have ended are in the process's own count alone.
    return Math.max(ns / 1e6, this.#ticksOf(pid));
  }

  #ticksOf(pid: number): number {
    const fields = fieldsOf(readFileSync(`${this.proc}/${pid}/stat`, 'latin1'));
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  }

  /** MB (10^6 bytes) of proportional memory, of all the supervisor's processes. */
  memory(): number {
    const kib = this.supervisor().map(({ pid }) =>
      quietly(() =>
        Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`${this.proc}/${pid}/smaps_rollup`, 'latin1'))?.[1]),
      ),
    );
    return kib.reduce<number>((sum, one) => sum + (one ?? 0), 0) * 1.024e-3;
  }

  /** Ends everybody inside. */
  async close(): Promise<void> {
    for (const child of new Set([this.#unshare, this.#stage])) {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) continue;
      quietly(() => process.kill(this.#init, 'SIGKILL'));
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    Arena.#open.delete(this);
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 });
  }

  get tools(): Tools {
    return this.#tools;
  }
}

function fieldsOf(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function readRow(proc: string, pid: number): Row {
  const stat = readFileSync(`${proc}/${pid}/stat`, 'latin1');
  const fields = fieldsOf(stat);
  return {
    pid,
    comm: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')),
    state: fields[0]!,
    ppid: Number(fields[1]),
    waitedFor: (Number(fields[13]) + Number(fields[14])) * TICK_MS,
  };
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks again and again; for preparations, never for what is measured. */
export async function until<T>(what: string, timeout: number, check: () => T): Promise<T> {
  const end = performance.now() + timeout;
  for (;;) {
    const value = check();
    if (value) return value;
    if (performance.now() > end) throw new Error(`cannot go on: ${what} did not come within ${timeout} ms`);
    await sleep(2);
  }
}

export function quietly<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
