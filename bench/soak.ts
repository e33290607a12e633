/** Lets services die and be restarted a million times, and looks whether upkeep grows: npm run soak. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { quietly, sleep, until } from './arena.ts';
import { machine } from './machine.ts';
import { parseSoak, SOAK_HELP, type SoakRequest } from './soak-options.ts';
import {
  type Account,
  judgeSoak,
  type Sample,
  type Soak,
  sentence,
  soakChart,
  soakPage,
} from './soak-report.ts';
import { compile } from './tools.ts';

/** Samples in a whole run: a short one has fewer, for each costs a collection. */
const samplesFor = (restarts: number): number => (restarts < 50_000 ? 20 : 100);
/** ms that a service lives at least: well above `settle`, so that most have been running. */
const LIFE = 60;
/** How services die. */
const DEATHS = ['exit', '9', 'exit', '15'];
/** A zombie that is there in two looks so far apart, ms, has not been reaped. */
const SECOND_LOOK = 1_000;
/** Without any restart for so long, ms, it does not go on. */
const PATIENCE = 60_000;
/** What upkeep is given for its end, ms; it needs at most 9 s. */
const STOP = 30_000;

const POLICY_FILE = 'machines/restart-policy.ts';
/** The one thing that differs from the upkeep that is shipped: every death is followed by a restart at once. */
const POLICY = `
export const DEFAULT_POLICY: CommandPolicy = {
  ...SHIPPED_POLICY,
  settle: 1,
  stable: 0,
  linger: 250,
  backoff: { first: 1, factor: 1, max: 1, jitter: 0 },
};
`;

/**
 * The build as it is always made, with another file mounted over the policy's while it runs.
 *
 * @returns the built upkeep.js; it is below the project, where koffi is found
 */
function buildUpkeep(folder: string): string {
  const shipped = readFileSync(POLICY_FILE, 'utf8');
  const own = shipped.replace('export const DEFAULT_POLICY:', 'const SHIPPED_POLICY:') + POLICY;
  if (!own.includes('const SHIPPED_POLICY:')) {
    throw new Error(
      `cannot build: ${POLICY_FILE} has no DEFAULT_POLICY that could be replaced; mend bench/soak.ts`,
    );
  }
  const replacement = join(folder, 'restart-policy.ts');
  writeFileSync(replacement, own);
  const dist = join(folder, 'dist');
  const script = 'mount --bind "$1" "$2" && exec "$3" scripts/build.mjs "$4"';
  try {
    execFileSync(
      'unshare',
      ['--mount', 'sh', '-c', script, 'sh', replacement, POLICY_FILE, process.execPath, dist],
      { stdio: 'inherit' },
    );
  } catch (error) {
    throw new Error(`cannot build upkeep with another policy: ${(error as Error).message}; it needs root`);
  }
  return join(dist, 'upkeep.js');
}

/** What upkeep tells, counted. */
class Told {
  events = 0;
  gaps = 0;
  exit = 0;
  signal = 0;
  unknown = 0;
  failedStarts = 0;
  left: number | null = null;
  version = '';
  readonly warnings = new Map<string, number>();
  /** Launches of each command, as upkeep counts them. */
  readonly #starts = new Map<string, number>();
  launches = 0;
  #seq = 0;

  hear(line: string): void {
    const told = JSON.parse(line);
    if (told.event === undefined) return;
    this.events++;
    if (told.seq !== this.#seq + 1) this.gaps++;
    this.#seq = told.seq;
    if (told.event === 'command.launched') {
      this.launches += told.start - (this.#starts.get(told.command) ?? 0);
      this.#starts.set(told.command, told.start);
    } else if (told.event === 'command.died') {
      if (!told.exit.known) this.unknown++;
      else if (told.exit.signal === null) this.exit++;
      else this.signal++;
    } else if (told.event === 'command.failedStart') this.failedStarts++;
    else if (told.event === 'upkeep.started') this.version = told.version;
    else if (told.event === 'supervisor.stopped') this.left = told.left;
    else if (told.level === 'warn') {
      const message = `${told.message}`.replaceAll(/\d+/g, 'N');
      this.warnings.set(message, (this.warnings.get(message) ?? 0) + 1);
    }
  }

  /** Launches beyond each command's first. */
  get restarts(): number {
    return this.launches - this.#starts.size;
  }

  account(exitCode: number | null): Account {
    const { events, gaps, restarts, exit, signal, unknown, failedStarts, left } = this;
    const warnings = [...this.warnings];
    return {
      events,
      gaps,
      restarts,
      deaths: { exit, signal, unknown },
      failedStarts,
      warnings,
      exitCode,
      left,
    };
  }
}

/** upkeep as PID 1 of a PID namespace of its own. */
class Soaked {
  readonly told = new Told();
  readonly closed: Promise<number | null>;
  readonly #unshare: ChildProcess;
  /** For sockets: their paths must be short. */
  readonly #dir = mkdtempSync(join(tmpdir(), 'upkeep-soak-'));
  readonly #heap = join(this.#dir, 'heap.sock');
  #pid = 0;
  #failed: Error | null = null;

  constructor(upkeep: string, mayfly: string, commands: number) {
    const services = Array.from({ length: commands }, (_, index) => {
      // Every kind dies every death.
      const kind = index % 2 === 0 ? 'run' : 'daemon';
      const death = DEATHS[Math.floor(index / 2) % DEATHS.length];
      return `${kind}${index + 1}: ${mayfly} ${kind} ${LIFE} ${death}`;
    });
    const [file, ...args] = [
      ...['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'],
      ...[process.execPath, '--require', resolve('bench/native/heap.cjs'), upkeep],
      ...['run', '--log', 'json', '--no-adopt', '--socket', join(this.#dir, 'upkeep.sock'), ...services],
    ];
    this.#unshare = spawn(file!, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { PATH: process.env.PATH, HOME: this.#dir, UPKEEP_SOAK_HEAP: this.#heap },
      // Ctrl-C is for the soak.
      detached: true,
    });
    this.#unshare.on('error', (error) => {
      this.#failed = error;
    });
    createInterface({ input: this.#unshare.stdout! }).on('line', (line) => {
      try {
        this.told.hear(line);
      } catch (error) {
        this.#failed = new Error(`cannot read the log: ${(error as Error).message}: ${line}`);
      }
    });
    this.closed = new Promise((resolve) => this.#unshare.on('close', resolve));
  }

  /** Waits until upkeep tells of its first launch. */
  async begin(): Promise<void> {
    const { pid } = this.#unshare;
    this.#pid = await until('the namespace', 10_000, () =>
      Number(quietly(() => readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim()) ?? 0),
    );
    await until('the first launch', 30_000, () => this.told.launches > 0);
  }

  /** Waits for so many restarts. @returns false when the time (ms, performance.now()) is over before */
  async reach(restarts: number, end: number): Promise<boolean> {
    let last = this.told.restarts;
    let progress = performance.now();
    for (;;) {
      const now = performance.now();
      if (now > end) return false;
      if (this.told.restarts >= restarts) return true;
      if (this.#failed !== null) throw this.#failed;
      if (this.#unshare.exitCode !== null)
        throw new Error('cannot go on: upkeep has ended; PID namespaces need root');
      if (this.told.restarts !== last) {
        last = this.told.restarts;
        progress = now;
      } else if (now > progress + PATIENCE) {
        throw new Error(
          `cannot go on: after ${last} restarts there were none for ${PATIENCE / 1e3} s; see which service is not restarted`,
        );
      }
      await sleep(10);
    }
  }

  /** @param at s since the first launch */
  async look(at: number): Promise<Sample> {
    const { restarts } = this.told;
    const proc = `/proc/${this.#pid}`;
    const rollup = readFileSync(`${proc}/smaps_rollup`, 'latin1');
    const bytes = (field: string): number =>
      Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1]) * 1_024;
    const files = readdirSync(`${proc}/fd`).length;
    const threads = readdirSync(`${proc}/task`).length;
    const before = this.#zombies();
    await sleep(SECOND_LOOK);
    const after = this.#zombies();
    const zombies = [...after].filter((one) => before.has(one)).length;
    // Last: what it collects must not be missing from the sizes above.
    const { heap, code } = await this.#ask('size');
    return {
      restarts,
      at,
      resident: bytes('Rss'),
      anonymous: bytes('Anonymous'),
      heap,
      data: heap - code,
      files,
      threads,
      zombies,
    };
  }

  /** Pid and start of those who are dead and not reaped. */
  #zombies(): Set<string> {
    const found = new Set<string>();
    const proc = `/proc/${this.#pid}/root/proc`;
    for (const name of readdirSync(proc)) {
      const stat = /^\d+$/.test(name) ? quietly(() => readFileSync(`${proc}/${name}/stat`, 'latin1')) : null;
      const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (fields?.[0] === 'Z') found.add(`${name} ${fields[19]}`);
    }
    return found;
  }

  async snapshot(file: string): Promise<void> {
    await this.#ask(`snapshot ${file}`);
  }

  async #ask(order: string): Promise<{ heap: number; code: number }> {
    const socket = connect(this.#heap);
    socket.end(`${order}\n`);
    return JSON.parse(await text(socket));
  }

  /** Stops it as `docker stop` does. @returns its exit code; null when it did not end in time */
  async stop(): Promise<number | null> {
    process.kill(this.#pid, 'SIGTERM');
    return Promise.race([
      this.closed,
      new Promise<null>((resolve) => setTimeout(resolve, STOP, null).unref()),
    ]);
  }

  /** Ends everybody inside, if that has not been done. */
  async close(): Promise<void> {
    if (this.#unshare.exitCode === null && this.#unshare.signalCode === null) {
      if (this.#pid > 0) quietly(() => process.kill(this.#pid, 'SIGKILL'));
      this.#unshare.kill('SIGKILL');
      await once(this.#unshare, 'exit');
    }
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

async function soak(request: SoakRequest, folder: string, onOpen: (soaked: Soaked) => void): Promise<Soak> {
  compile('mayfly', folder);
  const upkeep = buildUpkeep(folder);
  const soaked = new Soaked(upkeep, join(folder, 'mayfly'), request.commands);
  onOpen(soaked);
  const samples: Sample[] = [];
  const end = request.minutes === null ? Number.POSITIVE_INFINITY : performance.now() + request.minutes * 6e4;
  await soaked.begin();
  const began = performance.now();
  const keep = async (name: string): Promise<void> => {
    if (request.snapshots === null) return;
    mkdirSync(request.snapshots, { recursive: true });
    await soaked.snapshot(resolve(request.snapshots, `${name}.heapsnapshot`));
  };
  const steps = samplesFor(request.restarts);
  for (let step = 1; step <= steps; step++) {
    if (!(await soaked.reach((request.restarts * step) / steps, end))) break;
    const at = (performance.now() - began) / 1e3;
    const sample = await soaked.look(at);
    samples.push(sample);
    const { restarts, resident, heap, data, files } = sample;
    process.stderr.write(
      `${restarts} restarts, ${at.toFixed(0)} s: resident ${(resident / 1e6).toFixed(2)} MB, alive in the heap ${(heap / 1e6).toFixed(3)} MB, ${(data / 1e6).toFixed(3)} MB of it not code, ${files} files\n`,
    );
    if (step === steps / 5) await keep('warm');
  }
  await keep('end');
  const exitCode = await soaked.stop();
  if (samples.length === 0) {
    throw new Error(
      `cannot say anything: there were ${soaked.told.restarts} restarts, less than for one sample; give it more --minutes`,
    );
  }
  return {
    date: new Date().toISOString(),
    machine: machine(),
    versions: { upkeep: soaked.told.version, node: process.version.slice(1) },
    command: ['npm run soak', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(' '),
    commands: request.commands,
    wanted: request.restarts,
    samples,
    account: soaked.told.account(exitCode),
  };
}

async function main(): Promise<void> {
  const request = parseSoak(process.argv.slice(2));
  if (request.help) {
    process.stdout.write(SOAK_HELP);
    return;
  }
  const cache = resolve('node_modules/.cache/soak');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'run-'));
  let soaked: Soaked | null = null;
  const clean = async (): Promise<void> => {
    await soaked?.close();
    rmSync(folder, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void clean().finally(() => process.exit(1)));
  }
  try {
    const result = await soak(request, folder, (opened) => {
      soaked = opened;
    });
    const verdict = judgeSoak(result.samples, result.account);
    const { report } = request;
    if (report === null) console.log(`\n${soakPage(result, 'soak.svg')}`);
    else {
      const chart = report.replace(/(\.md)?$/, '.svg');
      mkdirSync(dirname(report), { recursive: true });
      writeFileSync(report, soakPage(result, basename(chart)));
      writeFileSync(chart, soakChart(result));
      console.log(`${sentence(result, verdict)}\nthe report is in ${report}`);
    }
    if (verdict.bounded === false || verdict.faults.length > 0) process.exitCode = 1;
  } finally {
    await clean();
  }
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
