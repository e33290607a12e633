/** One command of a policy file, checked by the schema, as the rest of upkeep knows it. */
import type { Milestone } from '../../machines/events.ts';
import { type Backoff, type CommandPolicy, DEFAULT_POLICY } from '../../machines/restart-policy.ts';
import { isGiven, isMapping, isTakenOut, keysOf, type Path, writtenAt } from './document.ts';
import type { RawCommand, RawDefaults } from './schema.ts';
import type { CommandExtras, CommandSpec, ExecutionSpec, LogSpec, ProbeSpec } from './spec.ts';
import {
  readAccount,
  readAssignment,
  readCapability,
  readCommandLine,
  readCron,
  readDuration,
  readEnvFile,
  readLimit,
  readProgram,
  readReload,
  readSignal,
  readSignals,
  readSize,
  readStatus,
  readStopCommand,
  readStopLine,
  readTcp,
  readUmask,
  readUser,
} from './values.ts';

/** ms; as long as systemd gives by default. */
const RELOAD_TIMEOUT = 90_000;

/** Stands for a command line that is wrong, so that the rest can be looked at. */
const NO_COMMAND = 'true';

/** A mistake at the path below the command: at its value, or at the key itself. */
export type Report = (path: Path, message: string, at?: 'key' | 'value') => void;

/** A command that says nothing of others yet. */
export type Draft = CommandSpec & { readonly policy: CommandExtras };

/** What a command says of others, by names of commands and groups. */
export interface References {
  /** null: as suits the kind of what is required. */
  readonly requires: readonly (readonly [name: string, milestone: Milestone | null, path: Path])[];
  readonly after: readonly (readonly [name: string, path: Path])[];
}

export const READY_DEFAULTS = { timeout: 60_000, interval: 250 };
export const HEALTH_DEFAULTS = {
  every: 30_000,
  timeout: 5_000,
  failures: 3,
  successes: 1,
  grace: 0,
  onUnhealthy: 'restart',
} as const;
export const LOG_FILE_DEFAULTS = { size: 10 * 1024 * 1024, count: 3, tee: true };

type Defined<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };

/** What a command of the file says, with the defaults of the file and then those of upkeep. */
export function draftOf(
  name: string,
  given: string | RawCommand,
  defaults: RawDefaults,
  report: Report,
): Draft {
  const raw: RawCommand = typeof given === 'string' ? { run: given } : given;
  const kind = raw.kind ?? (isGiven(raw, 'schedule') ? 'cron' : 'service');
  if (!isTakenOut(raw, 'kind')) checkKind(raw, kind, report);
  const base = readCommandLine(name, raw.run ?? NO_COMMAND);
  const stop = stopOf(raw.stop, defaults.stop, base.stop, report);
  const restart =
    kind === 'service' ? (raw.restart ?? defaults.restart ?? 'always') : (raw.restart ?? 'on-failure');
  const retries = restart === 'never' ? 0 : (raw.retries ?? defaults.retries ?? 0);
  if (restart === 'never' && raw.retries !== undefined && raw.retries !== 0) {
    report(['retries'], 'with restart: never nothing is tried again; take one of them out', 'key');
  }
  const intensity = raw.intensity ?? defaults.intensity;
  const successCodes = raw.successCodes ?? defaults.successCodes;
  const timing = { ...DEFAULT_POLICY, ...stop.machine, ...backoffOf(raw, defaults, report) };
  const machine: CommandPolicy = {
    ...timing,
    kind,
    restart,
    successCodes: successCodes === undefined ? DEFAULT_POLICY.successCodes : listed(successCodes),
    settle: milliseconds(raw.settle ?? defaults.settle, DEFAULT_POLICY.settle),
    startTimeout: milliseconds(raw.startTimeout ?? defaults.startTimeout, DEFAULT_POLICY.startTimeout),
    linger: milliseconds(raw.linger ?? defaults.linger, DEFAULT_POLICY.linger),
    giveUpAfter: kind === 'service' || retries === 'unlimited' ? null : retries + 1,
    intensity:
      intensity === undefined
        ? null
        : { restarts: intensity.restarts, within: readDuration(intensity.within) },
    ready: raw.ready === undefined ? null : readyTimes(raw.ready, defaults.ready, report),
    health: raw.health === undefined ? null : healthTimes(raw.health, defaults.health),
    overlap: raw.overlap ?? 'skip',
    autostart: raw.autostart ?? defaults.autostart ?? true,
    returns: base.returns,
    ownStop: stop.command !== null,
  };
  const policy: CommandExtras = {
    machine,
    requires: {},
    after: [],
    onFailed: raw.onFailed ?? defaults.onFailed ?? 'ignore',
    match: matchOf(raw.match, report),
    ready: raw.ready === undefined ? null : probeOf(raw.ready, 'ready', report),
    health: raw.health === undefined ? null : probeOf(raw.health, 'health', report),
    schedule: scheduleOf(raw, report),
    reload: reloadOf(raw.reload, report) ?? reloadOf(defaults.reload, toldAlready),
    execution: executionOf(raw, defaults, report),
    log: logOf(raw.log, defaults.log),
  };
  return { ...base, stop: stop.command, policy };
}

/** Tells of what is wrong within the defaults, whatever commands there are. */
export function checkDefaults(defaults: RawDefaults, report: Report): void {
  backoffOf(defaults, {}, report);
  stopOf(defaults.stop, undefined, null, report);
  reloadOf(defaults.reload, report);
  executionOf(defaults, {}, report);
}
const toldAlready: Report = () => {};

/** What a command says of others, each with its path below the command. */
export function referencesOf(raw: Pick<RawCommand, 'requires' | 'after'>): References {
  return {
    requires: requiresOf(raw.requires),
    after: listed(raw.after ?? []).map((other, index) => [
      other,
      typeof raw.after === 'string' ? ['after'] : ['after', index],
    ]),
  };
}

function checkKind(raw: RawCommand, kind: CommandPolicy['kind'], report: Report): void {
  if (isGiven(raw, 'schedule') && kind !== 'cron') {
    report(['schedule'], `a ${kind} has no schedule; write kind: cron, or take schedule out`, 'key');
  }
  if (kind === 'cron' && !isGiven(raw, 'schedule')) {
    report(['kind'], 'cron takes a schedule; write, for instance, schedule: "*/5 * * * *"');
  }
  if (kind === 'service' && isGiven(raw, 'retries')) {
    report(['retries'], 'a service is not tried a number of times; use intensity, or kind: oneshot', 'key');
  }
  if (kind !== 'service' && raw.restart === 'always') {
    const what =
      kind === 'oneshot' ? 'a oneshot runs to its end once' : 'cron runs it at the times of its schedule';
    report(['restart'], `${what}; use on-failure with retries, or never`);
  }
  for (const key of ['overlap', 'jitter'] as const) {
    if (kind !== 'cron' && isGiven(raw, key)) {
      report([key], `a ${kind} has no schedule for it; write schedule, or take ${key} out`, 'key');
    }
  }
}

function backoffOf(
  raw: RawDefaults,
  defaults: RawDefaults,
  report: Report,
): { backoff: Backoff; stable: number } {
  const given = { ...defined(defaults.backoff), ...defined(raw.backoff) };
  const backoff: Backoff = {
    first: milliseconds(given.first, DEFAULT_POLICY.backoff.first),
    factor: given.factor ?? DEFAULT_POLICY.backoff.factor,
    max: milliseconds(given.max, DEFAULT_POLICY.backoff.max),
    jitter: given.jitter ?? DEFAULT_POLICY.backoff.jitter,
  };
  const own = defined(raw.backoff);
  const isOwn = own.first !== undefined || own.max !== undefined;
  const isUnsure = [own, defined(defaults.backoff)].some(
    (said) => isTakenOut(said, 'first') || isTakenOut(said, 'max'),
  );
  if (backoff.first > backoff.max && isOwn && !isUnsure) {
    report(['backoff'], 'first is longer than max; make max at least as long', 'key');
  }
  return { backoff, stable: milliseconds(given.stable, DEFAULT_POLICY.stable) };
}

type RawStop = Exclude<RawCommand['stop'], undefined>;

function stopOf(
  own: RawStop | undefined,
  inherited: RawStop | undefined,
  derived: CommandSpec['stop'],
  report: Report,
): {
  command: CommandSpec['stop'];
  machine: Pick<CommandPolicy, 'stopSignals' | 'stopTimeout' | 'stragglers'>;
} {
  const ours = stopParts(own);
  const theirs = stopParts(inherited);
  const said = isMapping(own) ? (own as Exclude<RawStop, string | readonly string[]>) : {};
  if (isGiven(said, 'signal') && isGiven(said, 'signals')) {
    report(['stop', 'signal'], 'signal and signals say the same; take one out', 'key');
  }
  if (isMapping(own) && keysOf(own).length === 0) {
    report(['stop'], 'there is nothing in it; write command, signal, signals, timeout or stragglers');
  }
  const says = (parts: StopParts) =>
    parts.command !== undefined || parts.signal !== undefined || parts.signals !== undefined;
  const how = says(ours) ? ours : theirs;
  const signals =
    how.signals ??
    (how.signal === undefined ? DEFAULT_POLICY.stopSignals : [{ signal: how.signal, wait: null }]);
  return {
    command: how.command ?? (says(how) ? null : derived),
    machine: {
      stopSignals: signals,
      stopTimeout: ours.timeout ?? theirs.timeout ?? DEFAULT_POLICY.stopTimeout,
      stragglers: ours.stragglers ?? theirs.stragglers ?? DEFAULT_POLICY.stragglers,
    },
  };
}

type StopParts = ReturnType<typeof stopParts>;

function stopParts(raw: RawStop | undefined): Defined<{
  command: NonNullable<CommandSpec['stop']>;
  signal: string;
  signals: CommandPolicy['stopSignals'];
  timeout: number;
  stragglers: CommandPolicy['stragglers'];
}> {
  if (raw === undefined) return {};
  if (typeof raw === 'string' || Array.isArray(raw)) return { command: readStopLine(raw) };
  return {
    ...(raw.command !== undefined && { command: readStopCommand(raw.command) }),
    ...(raw.signal !== undefined && { signal: readSignal(raw.signal) }),
    ...(raw.signals !== undefined && { signals: readSignals(raw.signals) }),
    ...(raw.timeout !== undefined && { timeout: readDuration(raw.timeout) }),
    ...(raw.stragglers !== undefined && { stragglers: raw.stragglers }),
  };
}

function readyTimes(
  raw: NonNullable<RawCommand['ready']>,
  defaults: RawDefaults['ready'],
  report: Report,
): CommandPolicy['ready'] {
  const timeout = milliseconds(raw.timeout ?? defaults?.timeout, READY_DEFAULTS.timeout);
  const isUnsure = [raw, defined(defaults)].some((said) => isTakenOut(said, 'timeout'));
  if (!isUnsure && raw.delay !== undefined && readDuration(raw.delay) >= timeout) {
    report(['ready', 'delay'], 'it has to be ready before that; make timeout longer than delay');
  }
  return { timeout, interval: milliseconds(raw.interval ?? defaults?.interval, READY_DEFAULTS.interval) };
}

function healthTimes(
  raw: NonNullable<RawCommand['health']>,
  defaults: RawDefaults['health'],
): CommandPolicy['health'] {
  const given = { ...defined(defaults), ...defined(raw) };
  return {
    every: milliseconds(given.every, HEALTH_DEFAULTS.every),
    timeout: milliseconds(given.timeout, HEALTH_DEFAULTS.timeout),
    failures: given.failures ?? HEALTH_DEFAULTS.failures,
    successes: given.successes ?? HEALTH_DEFAULTS.successes,
    grace: milliseconds(given.grace, HEALTH_DEFAULTS.grace),
    onUnhealthy: given.onUnhealthy ?? HEALTH_DEFAULTS.onUnhealthy,
  };
}

const PROBES = ['tcp', 'http', 'exec', 'log', 'file', 'notify', 'listening', 'delay'] as const;

/** The probe; where there is none, or more than one, that is told. */
function probeOf(
  raw: NonNullable<RawCommand['ready']>,
  key: 'ready' | 'health',
  report: Report,
): ProbeSpec | null {
  const choices = PROBES.filter((probe) => key === 'ready' || (probe !== 'log' && probe !== 'delay'));
  const [kind, ...more] = choices.filter((probe) => isGiven(raw, probe));
  if (kind === undefined || more.length > 0) {
    // Why these are no choice was told.
    if (kind === undefined && (isGiven(raw, 'log') || isGiven(raw, 'delay'))) return null;
    const got = kind === undefined ? 'none' : [kind, ...more].join(' and ');
    report([key], `expected one probe, got ${got}; write exactly one of ${choices.join(', ')}`, 'key');
    return null;
  }
  if (raw[kind] === undefined) return null;
  switch (kind) {
    case 'tcp':
      return { kind, ...readTcp(raw.tcp!) };
    case 'http':
      return httpOf(raw.http!, [key, 'http'], report);
    case 'exec':
      return { kind, program: readProgram(raw.exec!) };
    case 'log':
      return { kind, pattern: raw.log! };
    case 'file': {
      const file = raw.file!;
      return typeof file === 'string'
        ? { kind, path: file, fresh: false }
        : { kind, path: file.path, fresh: file.fresh ?? false };
    }
    case 'notify':
      return { kind };
    case 'listening':
      return { kind, port: raw.listening! };
    case 'delay':
      return { kind, ms: readDuration(raw.delay!) };
  }
}

type RawHttp = NonNullable<NonNullable<RawCommand['ready']>['http']>;

function httpOf(raw: RawHttp, path: Path, report: Report): ProbeSpec {
  const given: Exclude<RawHttp, string> = typeof raw === 'string' ? { url: raw } : raw;
  const hasUrl = isGiven(given, 'url');
  if (hasUrl === isGiven(given, 'port')) {
    report(path, `expected url, or port and path, got ${hasUrl ? 'both' : 'neither'}`);
  } else if (hasUrl && isGiven(given, 'path')) {
    report([...path, 'path'], 'the path is part of url; put it there', 'key');
  }
  return {
    kind: 'http',
    url: given.url ?? `http://127.0.0.1:${given.port}${given.path ?? '/'}`,
    method: given.method ?? 'GET',
    headers: textsOf(given.headers ?? {}),
    status: given.status === undefined ? [[200, 399]] : readStatus(given.status),
    expectHeaders: Object.fromEntries(
      Object.entries(given.expectHeaders ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
    ),
    body: given.body ?? null,
  };
}

function matchOf(raw: RawCommand['match'], report: Report): CommandExtras['match'] {
  if (raw === undefined) return null;
  if (keysOf(raw).length === 0) {
    report(['match'], 'there is nothing in it; write name, pattern, user, parent, pidFile or count');
  }
  if (raw.count !== undefined && raw.count[0] > raw.count[1]) {
    report(['match', 'count'], 'the least is more than the most; write the least first, as in [1, 4]');
  }
  return {
    name: raw.name ?? null,
    pattern: raw.pattern ?? null,
    user: raw.user === undefined ? null : readAccount(raw.user),
    parent: raw.parent ?? null,
    pidFile: raw.pidFile ?? null,
    count: raw.count ?? null,
  };
}

function scheduleOf(raw: RawCommand, report: Report): CommandExtras['schedule'] {
  if (raw.schedule === undefined) return null;
  const given: Exclude<RawCommand['schedule'], string | undefined> =
    typeof raw.schedule === 'string' ? { cron: raw.schedule } : raw.schedule;
  const hasCron = isGiven(given, 'cron');
  if (hasCron === isGiven(given, 'pattern')) {
    report(['schedule'], `expected cron, got ${hasCron ? 'pattern as well' : 'none'}`);
  }
  return {
    pattern: readCron(given.cron ?? given.pattern ?? '@daily'),
    timezone: given.timezone ?? null,
    jitter: milliseconds(raw.jitter, 0),
  };
}

function reloadOf(raw: RawCommand['reload'], report: Report): CommandExtras['reload'] {
  if (raw === undefined) return null;
  if (typeof raw === 'string' || Array.isArray(raw)) {
    const read = readReload(raw);
    return 'signal' in read ? read : { ...read, timeout: RELOAD_TIMEOUT };
  }
  const hasSignal = isGiven(raw, 'signal');
  if (hasSignal === isGiven(raw, 'command')) {
    report(['reload'], `expected signal or command, got ${hasSignal ? 'both' : 'neither'}`);
    return null;
  }
  if (hasSignal && isGiven(raw, 'timeout')) {
    report(['reload', 'timeout'], 'a signal takes no time; take it out', 'key');
  }
  if (raw.signal !== undefined) return { signal: readSignal(raw.signal) };
  if (raw.command === undefined) return null;
  return { program: readProgram(raw.command), timeout: milliseconds(raw.timeout, RELOAD_TIMEOUT) };
}

function executionOf(raw: RawDefaults, defaults: RawDefaults, report: Report): ExecutionSpec {
  const whose = isGiven(raw, 'user') ? raw : { ...defined(defaults), ...defined(raw) };
  const account = whose.user === undefined ? { user: null, group: null } : readUser(whose.user);
  if (account.group !== null && raw.group !== undefined && raw.user !== undefined) {
    report(['group'], 'user names a group already; take one out', 'key');
  }
  const ownEnv = envOf(raw.env, report);
  const ownSecrets = secretsOf(raw.secrets);
  const env = { ...envOf(defaults.env, toldAlready), ...ownEnv };
  const secrets = { ...secretsOf(defaults.secrets), ...ownSecrets };
  for (const name of Object.keys(secrets)) {
    const key = Object.hasOwn(ownSecrets, name) ? 'secrets' : 'env';
    // What the defaults alone say is told there.
    if (!Object.hasOwn(env, name) || (key === 'env' && !Object.hasOwn(ownEnv, name))) continue;
    report([key], `${name} is in env and in secrets; take one out`, 'key');
  }
  const umask = raw.umask ?? defaults.umask;
  const groups = whose.groups;
  const capabilities = raw.capabilities ?? defaults.capabilities;
  return {
    user: account.user,
    group: whose.group === undefined ? account.group : readAccount(whose.group),
    groups: groups === undefined ? null : groups.map(readAccount),
    umask: umask === undefined ? null : readUmask(umask),
    cwd: raw.cwd ?? defaults.cwd ?? null,
    env,
    envFiles: listed(raw.envFile ?? defaults.envFile ?? []).map(readEnvFile),
    secrets,
    nice: raw.nice ?? defaults.nice ?? null,
    limits: Object.fromEntries(
      Object.entries({ ...defined(defaults.limits), ...defined(raw.limits) }).map(([name, limit]) => [
        name,
        readLimit(limit!),
      ]),
    ),
    noNewPrivileges: raw.noNewPrivileges ?? defaults.noNewPrivileges ?? false,
    capabilities: capabilities === undefined ? null : [...new Set(capabilities.map(readCapability))],
  };
}

function envOf(raw: RawDefaults['env'], report: Report): Record<string, string> {
  if (raw === undefined) return {};
  if (!Array.isArray(raw)) return textsOf(raw);
  const env = new Map<string, string>();
  for (const [index, assignment] of raw.entries()) {
    const [name, value] = readAssignment(assignment);
    if (env.has(name)) report(['env', index], `${name} is there twice; take one out`);
    env.set(name, value);
  }
  return Object.fromEntries(env);
}

/** Values as they were written: 1.10 stays that. */
function textsOf(raw: object): Record<string, string> {
  return Object.fromEntries(Object.keys(raw).map((name) => [name, writtenAt(raw, name)]));
}

function secretsOf(raw: RawCommand['secrets']): ExecutionSpec['secrets'] {
  if (raw === undefined) return {};
  if (Array.isArray(raw)) return Object.fromEntries(raw.map((name) => [name, { file: null }]));
  return Object.fromEntries(Object.entries(raw).map(([name, { file }]) => [name, { file: file ?? null }]));
}

function logOf(raw: RawCommand['log'], defaults: RawDefaults['log']): LogSpec {
  const given = { ...defined(defaults), ...defined(raw) };
  const file = typeof given.file === 'string' ? { path: given.file } : given.file;
  return {
    prefix: typeof given.prefix === 'string' ? given.prefix : given.prefix === false ? '' : null,
    format: given.format ?? null,
    file:
      file === undefined
        ? null
        : {
            path: file.path,
            size: file.size === undefined ? LOG_FILE_DEFAULTS.size : readSize(file.size),
            count: file.count ?? LOG_FILE_DEFAULTS.count,
            tee: file.tee ?? LOG_FILE_DEFAULTS.tee,
          },
    tail: listed(given.tail ?? []),
  };
}

function requiresOf(raw: RawCommand['requires']): References['requires'] {
  if (raw === undefined) return [];
  if (typeof raw === 'string') return [[raw, null, ['requires']]];
  if (Array.isArray(raw)) return raw.map((name, index) => [name, null, ['requires', index]]);
  return Object.entries(raw).map(([name, milestone]) => [name, milestone, ['requires', name]]);
}

function milliseconds(value: string | number | undefined, otherwise: number): number {
  return value === undefined ? otherwise : readDuration(value);
}

function listed<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? value : [value as T];
}

/** TypeScript does not know that zod leaves out what is not given. */
function defined<T extends object>(value: T | undefined): Defined<T> {
  return (value ?? {}) as Defined<T>;
}
