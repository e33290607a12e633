/** Starts launchers: the process that upkeep starts for a command, tagged, in a session of its own. */
import type { ResultPromise } from 'execa';
import type { Exit } from '../../machines/events.ts';
import type { Native } from './native.ts';
import type { Stdio } from './streams.ts';

/** What to execute. */
export interface Program {
  readonly file: string;
  readonly args: readonly string[];
  /** Added to the services' environment. */
  readonly env: Readonly<Record<string, string>>;
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
  const words = tag !== null && native === null ? (prefix?.(tag) ?? []) : [];
  const [file = program.file, ...args] = [...words, program.file, ...program.args];
  const limit = tag === null || native === null ? null : ownLimit(native);
  if (limit !== null) native?.setLocksLimit(tag!, limit[1]);
  let child: ResultPromise;
  try {
    child = execa(file, args, {
      env: { ...options.env, ...program.env },
      extendEnv: false,
      stdin: 'ignore',
      stdout: stdio.stdout,
      stderr: stdio.stderr,
      // The exit event drives the machines; execa's own promise waits for the end of stdio, which a daemon keeps.
      reject: false,
      buffer: false,
      // A session of its own: what a terminal or a shell sends to our group is not for the services.
      detached: true,
      cleanup: false,
      forceKillAfterDelay: false,
    } as object) as unknown as ResultPromise;
  } catch (error) {
    // Where Node has no descriptors left it gives a child without stdio, at which execa stumbles.
    const code = /stdio/.test((error as Error).message) ? 'EMFILE' : '';
    return Promise.resolve(explain(program.file, { code, originalMessage: (error as Error).message }));
  } finally {
    if (limit !== null) native?.setLocksLimit(limit[0], limit[1]);
  }
  // The kernel has woken us at the new process's exec, often on its CPU: it would wait until we sleep.
  native?.yieldCpu();
  const { pid } = child;
  if (pid !== undefined) return { child, pid };
  return child.then((result) =>
    explain(program.file, result as unknown as { code?: string; originalMessage?: string }),
  );
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
