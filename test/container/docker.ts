import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { Told } from '../../machines/events.ts';

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** One process as seen inside the container. */
export interface Seen {
  readonly pid: number;
  readonly ppid: number;
  readonly session: number;
  readonly state: string;
  readonly uid: number;
  readonly comm: string;
  /** Its words, joined by a space; empty for a zombie. */
  readonly command: string;
}

/** A line of upkeep's own in the JSON log. */
export type Event = Told & { readonly time: string; readonly message: string };
type EventOf<T extends Told['type']> = Event & { readonly event: T; readonly type: T };

/** Runs the docker command line. Rejects only when it can't be started. @param end when its stdin ends: at once. */
export function docker(args: readonly string[], end: Promise<void> = Promise.resolve()): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn('docker', args, { stdio: 'pipe' });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk) => out.push(chunk));
    child.stderr.on('data', (chunk) => err.push(chunk));
    child.on('error', reject);
    child.on('close', (code) =>
      resolve({
        code: code ?? 1,
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
      }),
    );
    child.stdin.on('error', () => {}); // nobody read it
    end.then(() => child.stdin.end());
  });
}

/** As `docker`, but @throws when it fails. @returns what it printed, trimmed. */
export async function dockerOk(args: readonly string[], end?: Promise<void>): Promise<string> {
  const { code, stdout, stderr } = await docker(args, end);
  if (code !== 0) {
    const what = args.map((arg) => (arg.length > 100 ? '…' : arg)).join(' ');
    throw new Error(`docker ${what} ended with ${code}: ${stderr || stdout}`);
  }
  return stdout.trim();
}

export interface Container {
  readonly id: string;
  /** `docker exec`. */
  exec(...argv: string[]): Promise<Result>;
  /** As `exec`, but @throws when it fails. @returns stdout, trimmed. */
  must(...argv: string[]): Promise<string>;
  /** Runs a verb of inside.mjs in the container. @returns what it printed, parsed as JSON. */
  inside<T>(verb: string, ...args: string[]): Promise<T>;
  /** As `inside`, for verbs that go on until they are finished. */
  insideUntilFinished<T>(verb: string, ...args: string[]): { finish(): Promise<T> };
  /** Who is there, zombies included; without the one that looks. */
  processes(): Promise<Seen[]>;
  /** stdout and stderr of PID 1. */
  log(): Promise<string>;
  /** upkeep's own lines, of a container that was started with `--log json`. */
  events(): Promise<Event[]>;
  eventsOf<T extends Told['type']>(type: T, command?: string): Promise<EventOf<T>[]>;
  /** Waits until `condition` gives something truthy. @throws after `seconds`, with the last of the log. */
  until<T>(what: string, condition: () => Promise<T>, seconds?: number): Promise<NonNullable<T>>;
  /** `docker stop`, with time enough for the engine's own part on a busy machine. @returns the container's exit code and what
   * it took in ms. */
  stop(): Promise<{ code: number; took: number }>;
  /** Waits for the container's end. */
  ended(seconds?: number): Promise<{ code: number }>;
  remove(): Promise<void>;
}

const INSIDE = readFileSync(join(import.meta.dirname, 'inside.mjs'), 'utf8');
const started = new Set<string>();

afterAll(async () => {
  for (const id of [...started]) await remove(id);
});

async function remove(id: string): Promise<void> {
  started.delete(id);
  await docker(['rm', '--force', '--volumes', id]);
}

/** `docker run -d`. It is removed when the test file has ended. @param options of `docker run`. */
export async function run(
  image: string,
  args: readonly string[],
  options: readonly string[] = [],
): Promise<Container> {
  const id = await dockerOk(['run', '--detach', ...options, image, ...args]);
  started.add(id);

  const exec = (...argv: string[]) => docker(['exec', id, ...argv]);
  const must = (...argv: string[]) => dockerOk(['exec', id, ...argv]);

  function insideUntilFinished<T>(verb: string, ...args: string[]) {
    let finished = () => {};
    const end = new Promise<void>((resolve) => {
      finished = resolve;
    });
    const node = ['node', '--input-type=module', '--eval', INSIDE, '--', verb, ...args];
    const printed = dockerOk(['exec', '--interactive', id, ...node], end);
    printed.catch(() => {}); // told by finish()
    return {
      async finish() {
        finished();
        return JSON.parse(await printed) as T;
      },
    };
  }

  async function log(): Promise<string> {
    const { stdout, stderr } = await docker(['logs', id]);
    return stdout + stderr;
  }

  async function events(): Promise<Event[]> {
    const { stdout } = await docker(['logs', id]);
    return stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as { name?: string; event?: string })
      .filter(({ name, event }) => name === 'upkeep' && event !== undefined)
      .map((event) => ({ ...event, type: event.event })) as unknown as Event[];
  }

  async function eventsOf<T extends Told['type']>(type: T, command?: string): Promise<EventOf<T>[]> {
    const all = await events();
    return all.filter(
      (event) =>
        event.type === type && (command === undefined || ('command' in event && event.command === command)),
    ) as EventOf<T>[];
  }

  async function until<T>(what: string, condition: () => Promise<T>, seconds = 30): Promise<NonNullable<T>> {
    const deadline = performance.now() + seconds * 1000;
    for (;;) {
      const got = await condition();
      if (got) return got;
      if (performance.now() > deadline) {
        const last = (await log()).split('\n').slice(-40).join('\n');
        throw new Error(`not within ${seconds} s: ${what}. The log ends with:\n${last}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async function ended(seconds = 30) {
    const code = await until(
      'the end of the container',
      async () => {
        const state = await dockerOk(['inspect', '--format', '{{.State.Status}} {{.State.ExitCode}}', id]);
        return /^exited (\d+)$/.exec(state)?.[1];
      },
      seconds,
    );
    return { code: Number(code) };
  }

  return {
    id,
    exec,
    must,
    inside: <T>(verb: string, ...args: string[]) => insideUntilFinished<T>(verb, ...args).finish(),
    insideUntilFinished,
    processes: () => insideUntilFinished<Seen[]>('processes').finish(),
    log,
    events,
    eventsOf,
    until,
    ended,
    async stop() {
      const from = performance.now();
      await dockerOk(['stop', '-t', '60', id]);
      const took = Math.round(performance.now() - from);
      return { ...(await ended()), took };
    },
    remove: () => remove(id),
  };
}
