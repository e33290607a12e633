/** A namespace with upkeep in it, and the hands that reach into it. */
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
  rmSync,
  writeFileSync,
} from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Seen, Told } from './invariants.ts';
import { createTable, quietly, type Table } from './table.ts';

export const FIXTURES = resolve('test/chaos/fixtures');
/** The upkeep that is shaken. */
let upkeep = resolve('dist/upkeep.js');
export function shake(path: string): void {
  upkeep = resolve(path);
}
/** Words in front of upkeep: its namespace has a network of its own, which is down. */
export const LOOPBACK = [
  'perl',
  '-e',
  'socket S, 2, 2, 0; $_ = pack "Z16 s x22", "lo", 1; ioctl S, 0x8914, $_; exec @ARGV',
];
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const SIGNALS = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

export interface UpkeepOptions {
  readonly args: readonly string[];
  readonly commands: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Words in front of it: `setpriv` … */
  readonly prefix?: readonly string[];
  /** Its stdout is this file's descriptor, and not read. */
  readonly stdout?: number;
}

export interface WorldOptions {
  readonly asInit: boolean;
  /** More words for unshare: a time namespace … */
  readonly unshare?: readonly string[];
}

/** One life of upkeep. */
export interface Life {
  readonly child: ChildProcess;
  /** Its pid on this machine. */
  readonly host: number;
  /** Its own events that have not been taken in yet. */
  readonly events: Told[];
  /** Its last lines, events and services'. */
  readonly tail: string[];
  /** The last events of each command. */
  readonly history: ReadonlyMap<string, readonly string[]>;
  /** How it ended: exit code or signal; null: it lives. */
  readonly over: () => number | string | null;
}

export class World {
  readonly dir: string;
  readonly socket: string;
  /** What upkeep records of itself; its older files are beside it. */
  readonly recording: string;
  readonly #options: WorldOptions;
  #init: ChildProcess | null = null;
  #initHost = 0;
  #agent: ChildProcess | null = null;
  #table: Table | null = null;
  readonly #helpers: ChildProcess[] = [];
  /** What the agent said and nobody has taken in yet. */
  readonly heard: string[] = [];
  life: Life | null = null;
  /** Who upkeep is, if not root. */
  user: number | null = null;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.dir = mkdtempSync(join(tmpdir(), 'upkeep-chaos-'));
    chmodSync(this.dir, 0o777);
    this.socket = join(this.dir, 'sock');
    this.recording = join(this.dir, 'record');
    for (const fixture of ['service.pl', 'probe.pl', 'agent.pl', 'scraper.pl', 'faulty-proc.cjs']) {
      copyFileSync(join(FIXTURES, fixture), join(this.dir, fixture));
      chmodSync(join(this.dir, fixture), 0o755);
    }
  }

  get initHost(): number {
    return this.#initHost;
  }

  get asInit(): boolean {
    return this.#options.asInit;
  }

  /** Starts upkeep, and the namespace with it where there is none yet. */
  async start(options: UpkeepOptions): Promise<void> {
    const words = [
      ...(options.prefix ?? []),
      ...[process.execPath, upkeep, 'run', '--log', 'json', '--socket', this.socket],
      ...['--record', this.recording],
      ...options.args,
      ...options.commands,
    ];
    const env = { PATH: `${dirname(process.execPath)}:${PATH}`, ...options.env };
    const { stdout = 'pipe' } = options;
    const unshare = [
      'unshare',
      ...(this.#options.unshare ?? []),
      '--pid',
      '--net',
      '--fork',
      '--mount-proc',
      '--kill-child',
    ];
    if (this.#init === null) {
      const first = this.asInit ? words : ['sh', '-c', 'while :; do sleep 3600 & wait $!; done'];
      // Should this program be killed, everything below it goes as well.
      this.#init = this.#spawn(
        ['setpriv', '--pdeathsig', 'KILL', ...unshare, ...first],
        env,
        this.asInit ? stdout : 'ignore',
      );
      this.#initHost = await this.#childOf(this.#init, 'unshare');
      this.#table = createTable(`/proc/${this.#initHost}/root/proc`);
    }
    const child = this.asInit ? this.#init : this.#enter(words, env, stdout);
    const host = this.asInit ? this.#initHost : await this.#childOf(child, 'nsenter');
    this.life = follow(child, host);
    if (this.#agent === null) {
      this.#agent = this.#enter(['perl', join(this.dir, 'agent.pl'), this.socket], { PATH }, 'pipe');
      lines(this.#agent.stdout, (line) => this.heard.push(line));
      this.#agent.stdin!.on('error', () => {});
    }
  }

  /** Starts a fixture in there that answers lines with lines. @returns what sends it one */
  converse(fixture: string, args: readonly string[], heard: (line: string) => void): (line: string) => void {
    const helper = this.#enter(['perl', join(this.dir, fixture), ...args], { PATH }, 'pipe');
    this.#helpers.push(helper);
    lines(helper.stdout, heard);
    return (line) => void helper.stdin!.write(`${line}\n`);
  }

  #spawn(words: readonly string[], env: NodeJS.ProcessEnv, stdout: 'pipe' | 'ignore' | number): ChildProcess {
    const child = spawn(words[0]!, words.slice(1), { cwd: this.dir, env, stdio: ['pipe', stdout, 'pipe'] });
    child.on('error', () => {});
    child.stdin!.on('error', () => {});
    return child;
  }

  #enter(words: readonly string[], env: NodeJS.ProcessEnv, stdout: 'pipe' | number): ChildProcess {
    return this.#spawn(
      ['nsenter', '-t', String(this.#initHost), '-p', '-m', '-n', `--wd=${this.dir}`, ...words],
      env,
      stdout,
    );
  }

  /** Has upkeep read its policy again by its own program. */
  reload(): void {
    const words = [process.execPath, upkeep, 'reload', '--no-wait', '--socket', this.socket];
    this.#enter(words, { PATH: `${dirname(process.execPath)}:${PATH}` }, 'pipe').stdout!.resume();
  }

  /** Runs a program in there and waits for its end. */
  inside(...words: readonly string[]): void {
    execFileSync('nsenter', ['-t', String(this.#initHost), '-p', '-m', '-n', ...words], { stdio: 'pipe' });
  }

  /** The first child, by its pid on this machine, as soon as it has become the program it is to be. */
  async #childOf(parent: ChildProcess, not: string): Promise<number> {
    const begun = performance.now();
    for (;;) {
      const children =
        quietly(() => readFileSync(`/proc/${parent.pid}/task/${parent.pid}/children`, 'latin1')) ?? '';
      const pid = Number(children.trim().split(' ')[0]);
      const exe = pid > 0 ? quietly(() => readlinkSync(`/proc/${pid}/exe`)) : null;
      if (exe !== null && !exe.endsWith(`/${not}`) && !exe.endsWith('/setpriv')) return pid;
      if (parent.exitCode !== null)
        throw new Error(`cannot start: ${not} has exited with ${parent.exitCode}`);
      if (performance.now() - begun > 60_000)
        throw new Error(`cannot start: ${not} has had no child for a minute`);
      await pause(5);
    }
  }

  processes(upkeep: number | null): Seen[] {
    return this.#table?.read(upkeep) ?? [];
  }

  /** Upkeep's pid in the namespace; null: it is not there. */
  upkeepPid(): number | null {
    if (this.life === null || this.life.over() !== null) return null;
    if (this.asInit) return 1;
    const status = quietly(() => readFileSync(`/proc/${this.life!.host}/status`, 'latin1')) ?? '';
    return Number(/^NSpid:.*\s(\d+)$/m.exec(status)?.[1]) || null;
  }

  /** Signals upkeep itself. */
  signal(signal: NodeJS.Signals): boolean {
    return (
      this.life !== null &&
      this.life.over() === null &&
      quietly(() => process.kill(this.life!.host, signal)) === true
    );
  }

  /** After SIGSTOP. nsenter stops itself with its child. */
  goOn(): void {
    this.signal('SIGCONT');
    if (this.life !== null) quietly(() => this.life!.child.kill('SIGCONT'));
  }

  /** Has the agent do something: see fixtures/agent.pl. */
  order(line: string): void {
    this.#agent?.stdin?.write(`${line}\n`);
  }

  /** Runs prlimit on upkeep, as who upkeep is: the kernel asks for that, or for CAP_SYS_RESOURCE. */
  #prlimit(words: readonly string[]): string {
    const as =
      this.user === null ? [] : ['setpriv', `--reuid=${this.user}`, `--regid=${this.user}`, '--clear-groups'];
    const [file, ...args] = [...as, 'prlimit', '--pid', String(this.life!.host), ...words];
    return execFileSync(file!, args, { encoding: 'latin1', stdio: 'pipe' });
  }

  /** Sets a limit of upkeep's. @param value soft and hard, with a colon between them */
  setLimit(name: string, value: string): void {
    this.#prlimit([`--${name}=${value}`]);
  }

  /** A limit of upkeep's, as `setLimit` takes it. */
  limitOf(name: string): string {
    return this.#prlimit([`--${name}`, '--raw', '--noheadings', '-o', 'SOFT,HARD'])
      .trim()
      .split(/\s+/)
      .join(':');
  }

  /** Upkeep's resident memory in KiB, and how many files it has open; null: it is gone. */
  size(): { kib: number; files: number } | null {
    const host = this.life?.host;
    const status = quietly(() => readFileSync(`/proc/${host}/status`, 'latin1')) ?? '';
    const kib = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
    const files = quietly(() => readdirSync(`/proc/${host}/fd`).length);
    return Number.isNaN(kib) || files === null ? null : { kib, files };
  }

  /** Upkeep listens to SIGTERM: to SIGUSR2, which Node itself never does, it listens right after. */
  hearsTerm(): boolean {
    return this.#hears(constants.signals.SIGUSR2);
  }

  /** SIGHUP is no end of it. */
  hearsHup(): boolean {
    return this.#hears(constants.signals.SIGHUP);
  }

  #hears(signal: number): boolean {
    const status = quietly(() => readFileSync(`/proc/${this.life?.host}/status`, 'latin1')) ?? '';
    const caught = BigInt(`0x${/^SigCgt:\s+(\w+)/m.exec(status)?.[1] ?? '0'}`);
    return (caught & (1n << BigInt(signal - 1))) !== 0n;
  }

  write(name: string, text: string): string {
    const path = join(this.dir, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    chmodSync(path, 0o755);
    return path;
  }

  /** Ends everything in there. @param last what is to be done before its folder is removed */
  async close(last: () => void): Promise<void> {
    const all = [this.#init, this.#agent, this.life?.child ?? null, ...this.#helpers];
    const children = all.filter((child) => child !== null);
    if (this.#initHost > 0) quietly(() => process.kill(this.#initHost, 'SIGKILL'));
    for (const child of children)
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    for (const child of children) {
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
        await once(child, 'exit');
    }
    last();
    if (existsSync(this.dir)) rmSync(this.dir, { recursive: true, force: true });
  }
}

function follow(child: ChildProcess, host: number): Life {
  const events: Told[] = [];
  const tail: string[] = [];
  const history = new Map<string, string[]>();
  let over: number | string | null = null;
  const keep = (line: string): void => {
    tail.push(line.slice(0, 400));
    if (tail.length > 200) tail.shift();
  };
  lines(child.stdout, (line) => {
    const parsed = quietly(() => JSON.parse(line)) as Told | null;
    if (parsed?.event !== undefined && parsed.name === 'upkeep') {
      keep(line);
      events.push(parsed);
      if (typeof parsed.command === 'string') {
        const own = history.get(parsed.command) ?? [];
        history.set(parsed.command, [...own.slice(-40), line]);
      }
    } else if (parsed === null || !String(parsed.line).includes(' says line ')) keep(line);
  });
  lines(child.stderr, (line) => keep(`stderr: ${line}`));
  // unshare and nsenter tell of their child's death by a signal in a shell's way, or by the same signal.
  child.once('exit', (code, signal) => {
    over = signal ?? (code !== null && code > 128 ? (SIGNALS.get(code - 128) ?? code) : code);
  });
  return { child, host, events, tail, history, over: () => over };
}

function lines(stream: NodeJS.ReadableStream | null, take: (line: string) => void): void {
  let rest = '';
  stream?.setEncoding('utf8');
  stream?.on('error', () => {});
  stream?.on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop()!;
    for (const part of parts) take(part);
  });
}

export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
