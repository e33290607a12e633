/**
 * Upkeep in a PID namespace of its own, as PID 1 or beside another init, and what happens in there: seen through
 * /proc, by nobody inside.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { inject, type TestContext } from 'vitest';

/** What a test's context is needed for: to clean up behind the test, whatever becomes of it. */
export type Cleanup = Pick<TestContext, 'onTestFinished'>;

/** A process in the namespace, by the numbers that are valid in there. */
export interface Process {
  readonly pid: number;
  readonly ppid: number;
  readonly state: string;
  readonly session: number;
  readonly startTicks: number;
  /** CPU time used so far, in ticks of 10 ms. */
  readonly cpu: number;
  readonly comm: string;
  readonly argv: readonly string[];
}

/** One event of upkeep's own, or one line of a service (`name` is the service's), as `--log json` writes it. */
// biome-ignore lint/suspicious/noExplicitAny: what is in there is what the tests are about.
export type Line = Record<string, any>;

export interface RunOptions {
  /** Environment beside PATH. */
  readonly env?: Readonly<Record<string, string>>;
  /** Words in front of the program: `prlimit`, `setpriv` … */
  readonly prefix?: readonly string[];
  /** Does not read the program's stdout. */
  readonly unread?: boolean;
  /** One more descriptor, inherited as number 3. */
  readonly extra?: number;
}

export interface UpkeepOptions extends RunOptions {
  /** Options of `upkeep run`. */
  readonly args?: readonly string[];
  readonly log?: 'plain' | 'json' | 'raw';
  /** The control socket's path; false: upkeep's own default. */
  readonly socket?: string | false;
}

/** How long anything may take: nobody waits that long where things are right. */
const PATIENCE = 180_000;
const FIXTURES = fileURLToPath(new URL('fixtures/', import.meta.url));
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
export const UID = 1000;

const isRoot = process.getuid!() === 0;
const UNSHARE = isRoot ? ['unshare'] : ['unshare', '--user', '--map-root-user'];

/** Why no namespace can be had here; null: it can. */
export const noNamespace: string | null = (() => {
  try {
    const [file, ...args] = [...UNSHARE, '--pid', '--fork', '--mount-proc', 'true'];
    execFileSync(file!, args, { stdio: 'pipe' });
    return null;
  } catch (error) {
    return `no PID namespace can be had here: ${(error as Error).message.split('\n').at(-1)}`;
  }
})();
/** Why no other user can be had in the namespace; null: one can. */
export const noOtherUser = noNamespace ?? (isRoot ? null : 'these tests do not run as root');

/** Waits for a condition, never for a time. @returns its value once it is neither false nor null */
export async function until<T>(
  what: string,
  check: () => T | Promise<T>,
  otherwise: () => string = () => '',
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = performance.now() + PATIENCE;
  for (;;) {
    const value = await check();
    if (value !== false && value !== null && value !== undefined)
      return value as Exclude<T, false | null | undefined>;
    if (performance.now() > deadline) throw new Error(`not seen in ${PATIENCE} ms: ${what}\n${otherwise()}`);
    await pause(20);
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The namespace has this machine's network. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The namespace, and a folder of its own that is removed with it. */
export class Namespace {
  readonly dir: string;
  #unshare: ChildProcess | null = null;
  #init = 0;
  readonly #entered: ChildProcess[] = [];
  readonly #hostPids = new Map<string, number>();

  constructor(cleanup: Cleanup) {
    this.dir = mkdtempSync(join(tmpdir(), 'upkeep-test-'));
    chmodSync(this.dir, 0o777);
    // The programs of the fixtures sleep by reading from it.
    execFileSync('mkfifo', ['-m', '666', join(this.dir, 'never')]);
    cleanup.onTestFinished(() => this.close());
  }

  /** Puts a fixture into the folder, under the name a command should have. @returns its path */
  install(fixture: string, name: string): string {
    const path = join(this.dir, name);
    mkdirSync(dirname(path), { recursive: true });
    copyFileSync(join(FIXTURES, fixture), path);
    chmodSync(path, 0o755);
    return path;
  }

  write(name: string, text: string | Uint8Array, mode = 0o755): string {
    const path = join(this.dir, name);
    mkdirSync(dirname(path), { recursive: true });
    // Whoever reads it finds the text that was there before or this one, and no half of it.
    const fresh = join(dirname(path), `.${basename(path)}.new`);
    writeFileSync(fresh, text);
    chmodSync(fresh, mode);
    renameSync(fresh, path);
    return path;
  }

  /** Starts upkeep: as the namespace's init where there is none yet. */
  async upkeep(commands: readonly string[], options: UpkeepOptions = {}): Promise<Upkeep> {
    const { args = [], log = 'json', socket = join(this.dir, 'sock') } = options;
    const words = [
      ...(options.prefix ?? []),
      ...[process.execPath, inject('upkeep'), 'run', '--log', log, ...args],
      ...(socket === false ? [] : ['--socket', socket]),
      ...commands,
    ];
    const asInit = this.#unshare === null;
    const child = asInit ? this.#unshared(words, options) : this.#enter(words, options);
    // Read from the first moment: one that refuses to begin has ended before its init is found.
    const upkeep = new Upkeep(this, child, asInit);
    if (asInit) await this.#findInit(child);
    return upkeep;
  }

  /** Gives the namespace an init that reaps, and does nothing else. */
  async idleInit(): Promise<this> {
    const child = this.#unshared(['sh', '-c', 'while :; do sleep 3600 & wait $!; done'], {});
    child.stdout!.resume();
    await this.#findInit(child);
    if (this.#init === 0) throw new Error(`unshare has exited with ${child.exitCode}`);
    return this;
  }

  /** Runs a program beside upkeep, as `docker exec` would. */
  run(words: readonly string[], options: RunOptions = {}): ChildProcess {
    const child = this.#enter(words, options);
    child.stdout?.resume();
    child.stderr?.resume();
    return child;
  }

  #unshared(words: readonly string[], options: RunOptions): ChildProcess {
    const unshare = [...UNSHARE, '--pid', '--fork', '--mount-proc', '--kill-child'];
    this.#unshare = this.#spawn([...unshare, ...words], options);
    return this.#unshare;
  }

  /** Waits for the init of the namespace, or its end. */
  async #findInit(child: ChildProcess): Promise<void> {
    const children = `/proc/${child.pid}/task/${child.pid}/children`;
    this.#init = await until('the init of the namespace', () => {
      if (child.exitCode !== null || child.signalCode !== null) return 0;
      const pid = Number(quietly(() => readFileSync(children, 'latin1').trim().split(' ')[0]!) ?? 0);
      // It has a /proc of its own by the time it runs something else than unshare.
      const exe = pid > 0 ? quietly(() => readlinkSync(`/proc/${pid}/exe`)) : null;
      return exe === null || exe.endsWith('/unshare') ? null : pid;
    });
  }

  #enter(words: readonly string[], options: RunOptions): ChildProcess {
    const enter = ['nsenter', '-t', String(this.#init), '-p', '-m', `--wd=${this.dir}`];
    const own = isRoot ? [] : ['-U', '--preserve-credentials'];
    const child = this.#spawn([...enter, ...own, ...words], options);
    this.#entered.push(child);
    return child;
  }

  #spawn(words: readonly string[], { env = {}, extra, unread }: RunOptions): ChildProcess {
    const [file, ...args] = words;
    const stdio = ['ignore', 'pipe', 'pipe', ...(extra === undefined ? [] : [extra])] as const;
    const child = spawn(file!, args, {
      cwd: this.dir,
      env: { PATH: `${dirname(process.execPath)}:${PATH}`, ...env },
      stdio: [...stdio],
    });
    child.on('error', () => {});
    if (unread) child.stdout!.pause();
    return child;
  }

  /** Everybody in there, zombies too. */
  processes(): Process[] {
    const proc = `/proc/${this.#init}/root/proc`;
    const found: Process[] = [];
    for (const name of quietly(() => readdirSync(proc)) ?? []) {
      if (!/^\d+$/.test(name)) continue;
      const row = quietly(() => readProcess(proc, Number(name)));
      if (row !== null) found.push(row);
    }
    return found;
  }

  /** The living processes of this name, of which the kernel keeps 15 bytes. */
  named(name: string): Process[] {
    const comm = name.slice(0, 15);
    return this.processes().filter((row) => row.comm === comm && row.state !== 'Z' && row.state !== 'X');
  }

  zombies(): Process[] {
    return this.processes().filter(({ state }) => state === 'Z');
  }

  process(pid: number): Process | null {
    return quietly(() => readProcess(`/proc/${this.#init}/root/proc`, pid));
  }

  isAlive(pid: number): boolean {
    const row = this.process(pid);
    return row !== null && row.state !== 'Z' && row.state !== 'X';
  }

  /** A file of a process: `status`, `environ` … */
  read(pid: number, file: string): string {
    return readFileSync(`/proc/${this.#init}/root/proc/${pid}/${file}`, 'latin1');
  }

  /** What a process has open, by number. */
  descriptors(pid: number): Record<string, string> {
    const folder = `/proc/${this.#init}/root/proc/${pid}/fd`;
    return Object.fromEntries(
      readdirSync(folder).map((fd) => [fd, quietly(() => readlinkSync(`${folder}/${fd}`)) ?? '']),
    );
  }

  /** Resident memory in KiB. */
  residentOf(pid: number): number {
    return Number(/^VmRSS:\s+(\d+)/m.exec(this.read(pid, 'status'))![1]);
  }

  /** Signals one process. @returns false when there is none */
  kill(pid: number, signal: NodeJS.Signals): boolean {
    const host = pid === 1 ? this.#init : this.#hostPid(pid);
    return host !== null && host > 0 && quietly(() => process.kill(host, signal)) === true;
  }

  /** Waits until a service of the fixture daemon.sh has set its traps and sleeps: SIGUSR1 and SIGUSR2 are what it is told by. */
  async serving(pid: number): Promise<void> {
    await until(
      `the sleep of ${pid}`,
      () =>
        quietly(() => this.descriptors(pid)[9])?.endsWith('/never') === true &&
        this.process(pid)?.state === 'S',
      () => this.describe(),
    );
  }

  /** Ends one process the hard way and waits until it is gone. */
  async end(pid: number, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const { startTicks } = this.process(pid) ?? {};
    this.kill(pid, signal);
    await until(`the end of ${pid}`, () => {
      const row = this.process(pid);
      return row === null || row.startTicks !== startTicks || row.state === 'Z';
    });
  }

  #hostPid(pid: number): number | null {
    const ticks = this.process(pid)?.startTicks;
    if (ticks === undefined) return null;
    const key = `${pid} ${ticks}`;
    if (!this.#hostPids.has(key)) {
      const own = readlinkSync(`/proc/${this.#init}/ns/pid`);
      for (const name of readdirSync('/proc')) {
        if (!/^\d+$/.test(name)) continue;
        const status = quietly(() => readFileSync(`/proc/${name}/status`, 'latin1')) ?? '';
        const inside = /^NSpid:.*\s(\d+)$/m.exec(status)?.[1];
        if (inside === undefined || quietly(() => readlinkSync(`/proc/${name}/ns/pid`)) !== own) continue;
        const known = this.process(Number(inside));
        if (known !== null) this.#hostPids.set(`${inside} ${known.startTicks}`, Number(name));
      }
    }
    return this.#hostPids.get(key) ?? null;
  }

  describe(): string {
    return this.processes()
      .map(({ pid, ppid, state, session, comm, argv }) =>
        [pid, ppid, state, session, comm, argv.join(' ').slice(0, 120)].join(' '),
      )
      .join('\n');
  }

  async close(): Promise<void> {
    const child = this.#unshare;
    const startTicks = quietly(() => readProcess('/proc', this.#init))?.startTicks;
    if (child !== null && child.exitCode === null && child.signalCode === null) {
      // The init first: its end is everybody's.
      if (this.#init > 0) quietly(() => process.kill(this.#init, 'SIGKILL'));
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    // Who stands outside for somebody inside, and has stopped with it, would never learn that it is dead.
    for (const entered of this.#entered) entered.kill('SIGKILL');
    // The last of its threads ends everybody else, and is seen as long as it does; the first may have been a zombie before that.
    await until('the end of the namespace', () => {
      const init = quietly(() => readProcess('/proc', this.#init));
      if (init === null || init.startTicks !== startTicks || init.state === 'X') return true;
      return init.state === 'Z' && (quietly(() => readdirSync(`/proc/${this.#init}/task`)) ?? []).length <= 1;
    });
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** One run of upkeep and what it has told. */
export class Upkeep {
  readonly child: ChildProcess;
  /** Everything on stdout that is JSON. */
  readonly lines: Line[] = [];
  /** Everything on stdout. */
  readonly text: string[] = [];
  stderr = '';
  readonly asInit: boolean;
  readonly #namespace: Namespace;
  readonly #ended: Promise<{ code: number | null; signal: string | null }>;
  /** It has ended, and all that it wrote has been read. */
  #isOver = false;

  constructor(namespace: Namespace, child: ChildProcess, asInit: boolean) {
    this.#namespace = namespace;
    this.child = child;
    this.asInit = asInit;
    let rest = '';
    const take = (line: string): void => {
      this.text.push(line);
      const parsed = quietly(() => JSON.parse(line));
      if (parsed !== null && typeof parsed === 'object') this.lines.push(parsed);
    };
    const stdout = child.stdout as Readable;
    stdout.setEncoding('utf8');
    const paused = stdout.isPaused();
    stdout.on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\n');
      rest = parts.pop()!;
      for (const part of parts) take(part);
    });
    if (paused) stdout.pause();
    child.stderr!.setEncoding('utf8');
    child.stderr!.on('data', (chunk: string) => {
      this.stderr += chunk;
    });
    this.#ended = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        if (rest !== '') take(rest);
        this.#isOver = true;
        // unshare tells of its child's death by a signal in a shell's way.
        const told = code !== null && code > 128 ? (SIGNALS.get(code - 128) ?? null) : null;
        resolve(told === null ? { code, signal } : { code: null, signal: told });
      });
    });
  }

  /** Its pid in the namespace. */
  get pid(): number {
    return this.asInit ? 1 : (this.events('upkeep.started')[0]?.pid ?? 0);
  }

  /** Upkeep's events of a type, of one command where one is named. */
  events(type: string, command?: string): Line[] {
    return this.lines.filter(
      (line) => line.event === type && (command === undefined || line.command === command),
    );
  }

  /** What a service wrote. */
  said(name: string): Line[] {
    return this.lines.filter((line) => line.name === name);
  }

  /** Waits for the `count`th event of a type. */
  event(type: string, command?: string, count = 1): Promise<Line> {
    return this.until(`${type} of ${command ?? 'anybody'}, number ${count}`, () => {
      const found = this.events(type, command)[count - 1];
      if (found === undefined && this.#isOver) {
        throw new Error(`upkeep has exited before ${type}\n${this.describe()}`);
      }
      return found ?? null;
    });
  }

  /** Waits until every command is running. @returns the pids of their leaders */
  async running(...commands: string[]): Promise<number[]> {
    const seen = await Promise.all(commands.map((command) => this.event('command.running', command)));
    return seen.map(({ leader }) => leader.pid);
  }

  /** Waits until each is led by what its launcher has left: one that takes more than a second leads first. @returns their pids */
  daemons(...commands: string[]): Promise<number[]> {
    return this.until(`the daemons of ${commands.join(', ')}`, () => {
      const leaders = commands.map((name) => this.events('command.running', name).at(-1)?.leader);
      const have = leaders.every((leader) => leader !== undefined && leader.rule !== 'launcher');
      return have ? leaders.map((leader) => leader.pid) : null;
    });
  }

  until<T>(what: string, check: () => T | Promise<T>): Promise<Exclude<T, false | null | undefined>> {
    return until(what, check, () => this.describe());
  }

  describe(): string {
    return `${this.text.slice(-60).join('\n')}\n${this.stderr.slice(-2_000)}\n${this.#namespace.describe()}`;
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#namespace.kill(this.pid, signal)) throw new Error(`there is no upkeep to send ${signal} to`);
  }

  /** How it ended. */
  async ended(): Promise<{ code: number | null; signal: string | null }> {
    await this.until(
      'the end of upkeep',
      () => this.child.exitCode !== null || this.child.signalCode !== null,
    );
    return this.#ended;
  }

  /** Asks it to stop and waits for its end. @returns what it told last, and how it ended */
  async stop(
    signal: NodeJS.Signals = 'SIGTERM',
  ): Promise<{ code: number | null; stopped: Line | undefined }> {
    this.signal(signal);
    const { code } = await this.ended();
    return { code, stopped: this.events('supervisor.stopped')[0] };
  }
}

const SIGNALS = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

function readProcess(proc: string, pid: number): Process {
  const stat = readFileSync(`${proc}/${pid}/stat`, 'latin1');
  const close = stat.lastIndexOf(')');
  const fields = stat.slice(close + 2).split(' ');
  return {
    pid,
    comm: stat.slice(stat.indexOf('(') + 1, close),
    state: fields[0]!,
    ppid: Number(fields[1]),
    session: Number(fields[3]),
    cpu: Number(fields[11]) + Number(fields[12]),
    startTicks: Number(fields[19]),
    argv: readFileSync(`${proc}/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1),
  };
}

function quietly<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

export const hasProgram = (name: string): boolean =>
  `${PATH}`.split(':').some((folder) => existsSync(join(folder, name)));
