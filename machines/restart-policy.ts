/** When a command is started again, and when not any more. Pure; every number is in milliseconds. */

export interface CommandPolicy {
  /** `oneshot` runs to its end once, `cron` at each time of its schedule; a `service` is not meant to end. */
  readonly kind: 'service' | 'oneshot' | 'cron';
  /** It is started as soon as it is known; else by an order alone. */
  readonly autostart: boolean;
  /** OTP's permanent, transient, temporary. */
  readonly restart: 'always' | 'on-failure' | 'never';
  /** Exit codes that are no failure. */
  readonly successCodes: readonly number[];
  /** A launcher alive this long is a foreground program. */
  readonly settle: number;
  /** How long a launcher that should return (an init script) may take before it counts as a foreground program. */
  readonly startTimeout: number;
  /** How long a launcher that left with status 0 is given for its daemon to appear. */
  readonly linger: number;
  /** A run this long forgets all failures. */
  readonly stable: number;
  /** How long workers without a master have between SIGTERM and SIGKILL. */
  readonly clear: number;
  readonly backoff: Backoff;
  /** Failures in a row after which the command has failed for good; null: never. */
  readonly giveUpAfter: number | null;
  /** More restarts than this make it fail for good; null: never. */
  readonly intensity: Intensity | null;
  readonly ready: ReadyPolicy | null;
  readonly health: HealthPolicy | null;
  /** What is sent to stop it, one after the other; SIGKILL comes at the end of the budget in any case. `wait`: until the
   * next one; null: as long as the budget bears. */
  readonly stopSignals: readonly { readonly signal: string; readonly wait: number | null }[];
  /** The most that a stop of it may take; null: all of what is given for the stop. */
  readonly stopTimeout: number | null;
  /** What of a service whose leader has died is stopped before it is started again. */
  readonly stragglers: 'stop-workers' | 'stop-all' | 'keep';
  /** What a run of a schedule does that is due while the one before it goes on. */
  readonly overlap: 'skip' | 'queue' | 'kill';
  /** The launcher is expected to return. */
  readonly returns: boolean;
  /** The service has a stop command of its own. */
  readonly ownStop: boolean;
}

/** `restarts` within `within` ms are borne. */
export interface Intensity {
  readonly restarts: number;
  readonly within: number;
}

/** Who else is restarted when a member of a group dies: nobody, all, those that come after it. */
export type Strategy = 'one_for_one' | 'one_for_all' | 'rest_for_one';

export interface ReadyPolicy {
  /** From the launch until it has to be ready. */
  readonly timeout: number;
  /** Between two tries. */
  readonly interval: number;
}

export interface HealthPolicy {
  /** From the end of a probe to the next. */
  readonly every: number;
  /** A probe that takes longer has failed. */
  readonly timeout: number;
  /** Failures in a row that make it unhealthy. */
  readonly failures: number;
  /** Successes in a row that make it healthy again. */
  readonly successes: number;
  /** Failures this soon after the start do not count. */
  readonly grace: number;
  readonly onUnhealthy: 'restart' | 'ignore' | 'fail';
}

export interface Backoff {
  readonly first: number;
  readonly factor: number;
  readonly max: number;
  /** Up to this part of a delay is taken off, so that commands which fail together do not retry together. */
  readonly jitter: number;
}

export const DEFAULT_POLICY: CommandPolicy = {
  kind: 'service',
  autostart: true,
  restart: 'always',
  successCodes: [0],
  settle: 1_000,
  startTimeout: 30_000,
  linger: 2_000,
  stable: 10_000,
  clear: 250,
  backoff: { first: 250, factor: 2, max: 60_000, jitter: 0.2 },
  giveUpAfter: null,
  intensity: null,
  ready: null,
  health: null,
  stopSignals: [{ signal: 'SIGTERM', wait: null }],
  stopTimeout: null,
  stragglers: 'stop-workers',
  overlap: 'skip',
  returns: false,
  ownStop: false,
};

/** setTimeout turns anything larger into 1 ms, and NaN as well: a hot loop. */
const LONGEST_DELAY = 2_147_483_647;

/**
 * The wait before the next try after `failures` failures in a row (1 for the first).
 *
 * @param seed any integer; two commands with different seeds jitter differently
 * @returns whole ms, at least 1, at most `backoff.max`; grows with `failures` as long as the jitter is below
 *   1 - 1/factor, which `DEFAULT_POLICY` keeps
 */
export function backoffDelay(backoff: Backoff, failures: number, seed: number): number {
  const grown = backoff.first * backoff.factor ** Math.max(0, failures - 1);
  // 0 * Infinity is NaN.
  const full = Number.isNaN(grown) ? backoff.max : Math.min(backoff.max, grown);
  return clampDelay(full * (1 - backoff.jitter * unitNoise(seed, failures)));
}

/** The least wait after a failure that is the system's (fork failed), not the command's. */
export const SYSTEM_BACKOFF_FLOOR = 1_000;

/** Any number as a delay that timers can keep: whole ms from 1 to 2^31-1. NaN counts as the longest. */
export function clampDelay(ms: number): number {
  if (Number.isNaN(ms)) return LONGEST_DELAY;
  return Math.min(LONGEST_DELAY, Math.max(1, Math.round(ms)));
}

/** True when a run of `uptime` was long enough that its end is no failure. */
export function wasStable(policy: CommandPolicy, uptime: number): boolean {
  return uptime >= policy.stable;
}

/** True when `failures` in a row are as many as the policy bears. */
export function givesUp(policy: CommandPolicy, failures: number): boolean {
  return policy.giveUpAfter !== null && failures >= policy.giveUpAfter;
}

/** What a run's end means for a command that was wished up: it is run again, has done what it was for, or is not tried again. */
export type Ending = 'again' | 'done' | 'failed';

/**
 * What follows from the end of a run.
 *
 * @param success the exit status is known, and is one of the policy's success codes
 */
export function endingOf({ kind, restart }: CommandPolicy, success: boolean): Ending {
  if (kind === 'service' && restart === 'always') return 'again';
  if (success) return 'done';
  return restart === 'never' ? 'failed' : 'again';
}

/** How many restarts count, and when that was. */
export interface Heat {
  readonly restarts: number;
  /** Monotonic ms. */
  readonly at: number;
}

export const NO_HEAT: Heat = { restarts: 0, at: 0 };

/**
 * One more restart. The ones before count less the older they are, half after `within`: so who dies a little more seldom than
 * a window would see is found out as well, and an accident of last week does not count.
 */
export function heated(intensity: Intensity, heat: Heat, at: number): Heat {
  const since = Math.max(0, at - heat.at);
  return { restarts: heat.restarts * 0.5 ** (since / Math.max(1, intensity.within)) + 1, at };
}

/** What is left of one restart after two windows: so old an accident is none. */
const FAINT = 0.25;

/** True when there were more restarts than the intensity bears. */
export function isTooHot(intensity: Intensity | null, heat: Heat): boolean {
  return intensity !== null && heat.restarts > intensity.restarts + FAINT;
}

/** What health probes have said: successes or failures in a row, and what was concluded. */
export interface HealthBook {
  readonly healthy: boolean;
  readonly inARow: number;
}

export const HEALTHY: HealthBook = { healthy: true, inARow: 0 };

/**
 * The book after one more probe.
 *
 * @param age ms since the run began; failures within the policy's grace do not count
 */
export function afterProbe(policy: HealthPolicy, book: HealthBook, ok: boolean, age: number): HealthBook {
  if (ok === book.healthy) return book.inARow === 0 ? book : { ...book, inARow: 0 };
  if (!ok && age < policy.grace) return book;
  const inARow = book.inARow + 1;
  const needed = ok ? policy.successes : policy.failures;
  return inARow >= needed ? { healthy: ok, inARow: 0 } : { ...book, inARow };
}

/** What an ordered stop may take: as long as its order says, or as the policy bears. */
export function stopBudget({ stopTimeout }: CommandPolicy, given: number): number {
  return stopTimeout === null ? given : Math.min(given, stopTimeout);
}

/** When, within a stop's budget, SIGTERM has had its time and SIGKILL follows. */
export function killAfter(budget: number): number {
  return Math.max(0, Math.max(budget - 500, budget * 0.8));
}

/** When a stop gives up on what SIGKILL did not end. However small the budget, the kernel is given time to end it. */
export function giveUpStopAfter(budget: number): number {
  return Math.max(budget, 1_000);
}

/** How long SIGKILL is given in any case, however late it was sent: upkeep itself may have been stopped. Where it was sent in
 * time, that is over a moment before the stop gives up. */
export function leastAfterKill(budget: number): number {
  return giveUpStopAfter(budget) - killAfter(budget) - 1;
}

/** When, within a stop's budget, the service's own stop command has had its time and SIGTERM follows. */
export function askFor(budget: number): number {
  return (budget * 2) / 3;
}

/** A number in [0, 1) that depends on nothing but its arguments (mulberry32). */
function unitNoise(seed: number, step: number): number {
  let x = (seed + Math.imul(step, 0x6d2b79f5)) | 0;
  x = Math.imul(x ^ (x >>> 15), x | 1);
  x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
  return ((x ^ (x >>> 14)) >>> 0) / 4_294_967_296;
}
