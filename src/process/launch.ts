/** Starts launchers: the process that upkeep starts for a command, tagged, in a session of its own. */
import { accessSync, constants, statSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { resolve } from 'node:path';
import type { ResultPromise } from 'execa';
import type { Exit } from '../../machines/events.ts';
import { type Execution, ownSystem, type Rights, resolveExecution, type System } from './execution.ts';
import type { Native } from './native.ts';
import type { Stdio } from './streams.ts';

/** What to execute. */
export interface Program {
  readonly file: string;
  readonly args: readonly string[];
  /** Added to the services' environment. */
  readonly env: Readonly<Record<string, string>>;
  /** With whose rights, and where; null or left out: with upkeep's own, where upkeep is. */
  readonly execution?: Execution | null;
  /** What it reads from its stdin; left out: nothing. */
  readonly input?: string;
}

export type Launched = { readonly child: ResultPromise; readonly pid: number };
export type NotLaunched = { readonly error: string; readonly blame: 'command' | 'system' };

export interface LaunchOptions {
  readonly execa: typeof import('execa').execa;
  /** Sets the tag where it can be set on this process; null: `prefix` has to. */
  readonly native: Native | null;
  /** The words in front of a command that give it its tag. */
  readonly prefix: ((tag: bigint) => readonly string[]) | null;
  /** What the services inherit. */
  readonly env: NodeJS.ProcessEnv;
  /** Hears of what a program is given that nobody should be shown, before it is started. */
  readonly onSecrets?: (secrets: readonly string[]) => void;
  /** Where users, files and rights are looked up. Default: here. */
  readonly system?: System;
}

/**
 * Starts one program, synchronously as far as the new process is concerned: when this returns, it is there.
 *
 * @param tag the soft RLIMIT_LOCKS it is to inherit; null for none
 * @returns the child, or a promise of why there is none
 */
export function launch(
  options: LaunchOptions,
  program: Program,
  stdio: Stdio,
  tag: bigint | null,
): Launched | Promise<NotLaunched> {
  const { native, prefix, execa } = options;
  const rights = program.execution ? rightsOf(options, program, program.execution) : null;
  if (rights !== null && 'blame' in rights) return Promise.resolve(rights);
  const tagging = tag !== null && native === null ? (prefix?.(tag) ?? []) : [];
  const words = rights === null ? tagging : [...tagging, ...rights.words];
  const env = rights?.env ?? { ...options.env, ...program.env };
  // The words in front would be started all the same, and fail with a status of their own.
  const code = words.length === 0 ? null : obstacleTo(program.file, env, rights?.cwd ?? null);
  if (code !== null) return Promise.resolve(explain(program.file, { code }));
  const [file = program.file, ...args] = [...words, program.file, ...program.args];
  const spawn = () =>
    execa(file, args, {
      env,
      extendEnv: false,
      stdin: program.input === undefined ? 'ignore' : 'pipe',
      stdout: stdio.stdout,
      stderr: stdio.stderr,
      // The exit event drives the machines; execa's own promise waits for the end of stdio, which a daemon keeps.
      reject: false,
      buffer: false,
      // A session of its own: what a terminal or a shell sends to our group is not for the services.
      detached: true,
      cleanup: false,
      forceKillAfterDelay: false,
      ...rights?.identity,
      ...(rights !== null && rights.cwd !== null && { cwd: rights.cwd }),
    } as object) as unknown as ResultPromise;
  const limit = tag === null || native === null ? null : ownLimit(native);
  if (limit !== null) native?.setLocksLimit(tag!, limit[1]);
  let child: ResultPromise;
  try {
    child = rights === null ? spawn() : inheriting(rights, spawn);
  } catch (error) {
    if (error instanceof NiceRefused)
      return Promise.resolve({ error: `cannot run ${program.file}: ${error.message}`, blame: 'command' });
    // Where Node has no descriptors left it gives a child without stdio, at which execa stumbles.
    const code = /stdio/.test((error as Error).message) ? 'EMFILE' : '';
    return Promise.resolve(explain(program.file, { code, originalMessage: (error as Error).message }));
  } finally {
    if (limit !== null) native?.setLocksLimit(limit[0], limit[1]);
  }
  // The kernel has woken us at the new process's exec, often on its CPU: it would wait until we sleep.
  native?.yieldCpu();
  const { pid } = child;
  if (program.input !== undefined) {
    // It need not read it.
    child.stdin?.on('error', () => {});
    child.stdin?.end(program.input);
  }
  if (pid !== undefined) return { child, pid };
  return child.then((result) =>
    explain(program.file, result as unknown as { code?: string; originalMessage?: string }),
  );
}

function rightsOf(options: LaunchOptions, program: Program, execution: Execution): Rights | NotLaunched {
  const { system = ownSystem, onSecrets } = options;
  const rights = resolveExecution(execution, options.env, program.env, system);
  if ('error' in rights) {
    const blame = SHORTAGES[rights.code] === undefined ? 'command' : 'system';
    return { error: `cannot run ${program.file}: ${rights.error}`, blame };
  }
  onSecrets?.(rights.secrets);
  return rights;
}

/** Where a program is looked for without a PATH. */
const USUAL_PATH = '/usr/local/bin:/bin:/usr/bin';

/** Why the kernel would not find or execute a file; null where it would. */
function obstacleTo(file: string, env: NodeJS.ProcessEnv, cwd: string | null): string | null {
  const places = file.includes('/') ? [''] : (env.PATH ?? USUAL_PATH).split(':');
  let code = 'ENOENT';
  for (const place of places) {
    try {
      const path = resolve(cwd ?? '.', place, file);
      accessSync(path, constants.X_OK);
      if (statSync(path).isFile()) return null;
      code = 'EACCES';
    } catch (error) {
      const own = (error as NodeJS.ErrnoException).code ?? '';
      if (own !== 'ENOENT' && (places.length === 1 || own === 'EACCES')) code = own;
    }
  }
  return code;
}

class NiceRefused extends Error {}

/** Spawns while this process has what the new one is to inherit. */
function inheriting<T>({ umask, nice }: Rights, spawn: () => T): T {
  const before = umask === null ? null : process.umask(umask);
  let niceness: number | null = null;
  try {
    if (nice !== null) niceness = becomeAsNice(nice);
    return spawn();
  } finally {
    if (before !== null) process.umask(before);
    if (niceness !== null) setPriority(niceness);
  }
}

/** @returns what it was before */
function becomeAsNice(nice: number): number {
  const before = getPriority();
  try {
    setPriority(nice);
  } catch (error) {
    const { code } = (error as { info?: { code?: string } }).info ?? {};
    throw new NiceRefused(
      `its nice value ${nice} is below upkeep's ${before}, and the kernel does not permit that; start the container with --cap-add SYS_NICE, or ask for ${before} or more (${code ?? (error as Error).message})`,
    );
  }
  return before;
}

const ownLimits = new WeakMap<Native, [bigint, bigint] | null>();

/** This process's own limit, as it is between launches. */
function ownLimit(native: Native): [bigint, bigint] | null {
  let limit = ownLimits.get(native);
  if (limit === undefined) {
    limit = native.getLocksLimit();
    ownLimits.set(native, limit);
  }
  return limit;
}

/** Hears of the end of a child that Node spawned. */
export function onExit(child: ResultPromise, told: (exit: Exit) => void): void {
  // Nobody waits for the promise; that it settles must not trouble anybody.
  child.catch(() => {});
  child.on('exit', (code, signal) => told({ known: true, code, signal, core: false }));
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such program; check the path, or install it in the image',
  EACCES: 'it is not executable for this user; chmod +x it, or run it by its interpreter',
  ENOEXEC: 'it is no program that the kernel can run; a script needs a #! line',
  E2BIG: 'its arguments and environment are too long for the kernel; shorten them',
  ELOOP: 'its path is a loop of links; mend the links',
  ENOTDIR: 'a part of its path is no directory; check the path',
  ETXTBSY: 'its file is being written to; it is tried again',
  EPERM: 'the kernel does not permit it; check mount options, seccomp and capabilities',
};
/** The system's fault, not the command's. */
const SHORTAGES: Readonly<Record<string, string>> = {
  EAGAIN: 'no more processes are allowed (pids limit); raise --pids-limit, or stop something',
  ENOMEM: 'there is no memory for another process; raise the memory limit, or stop something',
  EMFILE: 'no file descriptors are left; raise the nofile limit',
  ENFILE: 'the system has no file descriptors left',
};

function explain(file: string, result: { code?: string; originalMessage?: string }): NotLaunched {
  const code = result.code ?? '';
  const shortage = SHORTAGES[code];
  const reason = shortage ?? REASONS[code] ?? result.originalMessage ?? 'no reason was given';
  return {
    error: `cannot run ${file}: ${reason}${code === '' ? '' : ` (${code})`}`,
    blame: shortage === undefined ? 'command' : 'system',
  };
}
