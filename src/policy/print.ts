/** A policy as the text of a file that says the same. */
import { isDeepStrictEqual } from 'node:util';
import { stringify } from 'yaml';
import { type CommandPolicy, DEFAULT_POLICY, type Intensity } from '../../machines/restart-policy.ts';
import { HEALTH_DEFAULTS, LOG_FILE_DEFAULTS, READY_DEFAULTS } from './convert.ts';
import { HOOK_DEFAULTS } from './hooks.ts';
import { escapeDollars } from './interpolate.ts';
import { HTTP_ADDRESS, SYSLOG_PATH } from './options.ts';
import type {
  CommandExtras,
  CommandSpec,
  ContainerSpec,
  ExecutionSpec,
  GroupSpec,
  HookSpec,
  LogSpec,
  Policy,
  ProbeSpec,
  ProgramSpec,
} from './spec.ts';
import { type RawCommandLine, readCommandLine, readProgram } from './values.ts';

/** The policy as YAML that loadPolicy reads as the same policy. What is as it is by default is left out. */
export function printPolicy(policy: Policy): string {
  const whole = some({
    commands: Object.fromEntries(policy.commands.map((command) => [command.name, printCommand(command)])),
    groups: orNothing(Object.fromEntries(policy.groups.map((group) => [group.name, printGroup(group)]))),
    container: orNothing(printContainer(policy.container)),
    on: orNothing(Object.fromEntries(policy.hooks.map((hook) => [hook.name, printHook(hook)]))),
  });
  // As pairs, or names such as 7 would come first.
  const ordered = {
    ...whole,
    commands: new Map(policy.commands.map(({ name }) => [name, (whole.commands as Texts)[name]])),
    ...(whole.groups !== undefined && {
      groups: new Map(policy.groups.map(({ name }) => [name, (whole.groups as Texts)[name]])),
    }),
    ...(whole.on !== undefined && {
      on: new Map(policy.hooks.map(({ name }) => [name, (whole.on as Texts)[name]])),
    }),
  };
  // Without block texts: of a text of blanks and line ends, the package's own would lose some.
  return stringify(escaped(ordered), { blockQuote: false, lineWidth: 0, aliasDuplicateObjects: false });
}

type Texts = Record<string, unknown>;

function printCommand(spec: CommandSpec): unknown {
  const run = commandLine(spec, (line) => {
    const { stop: _, policy: __, ...read } = readCommandLine(spec.name, line);
    const { stop: ___, policy: ____, ...wanted } = spec;
    return isDeepStrictEqual(read, wanted);
  });
  if (spec.policy === null) return run;
  const { policy } = spec;
  const { machine } = policy;
  const derived = readCommandLine(spec.name, run).stop;
  const said = some({
    run,
    kind: machine.kind === 'service' ? undefined : machine.kind,
    ...printSchedule(policy),
    autostart: unless(machine.autostart, true),
    requires: orNothing(policy.requires),
    after: orNothing(policy.after),
    match: policy.match === null ? undefined : some(policy.match),
    ready: printReady(policy),
    health: printHealth(policy),
    restart:
      machine.restart === (machine.kind === 'service' ? 'always' : 'on-failure')
        ? undefined
        : machine.restart,
    retries: printRetries(machine),
    successCodes: isDeepStrictEqual(machine.successCodes, DEFAULT_POLICY.successCodes)
      ? undefined
      : machine.successCodes,
    backoff: orNothing(
      some({
        first: unless(machine.backoff.first, DEFAULT_POLICY.backoff.first, printDuration),
        factor: unless(machine.backoff.factor, DEFAULT_POLICY.backoff.factor),
        max: unless(machine.backoff.max, DEFAULT_POLICY.backoff.max, printDuration),
        jitter: unless(machine.backoff.jitter, DEFAULT_POLICY.backoff.jitter),
        stable: unless(machine.stable, DEFAULT_POLICY.stable, printDuration),
      }),
    ),
    intensity: printIntensity(machine.intensity),
    onFailed: unless(policy.onFailed, 'ignore'),
    stop: printStop(spec, machine, derived),
    reload: printReload(policy.reload),
    ...printExecution(policy.execution),
    settle: unless(machine.settle, DEFAULT_POLICY.settle, printDuration),
    startTimeout: unless(machine.startTimeout, DEFAULT_POLICY.startTimeout, printDuration),
    linger: unless(machine.linger, DEFAULT_POLICY.linger, printDuration),
    log: orNothing(printLog(policy.log)),
  });
  return Object.keys(said).length === 1 && typeof run === 'string' ? run : said;
}

/** The line as it was written where that is read as the same, else its words. */
function commandLine(program: ProgramSpec, isSame: (line: RawCommandLine) => boolean): RawCommandLine {
  try {
    if (isSame(program.text)) return program.text;
  } catch {
    // As words it has no quotes that could be open, and no name in front.
  }
  return [program.file, ...program.args];
}

function printProgram(program: ProgramSpec): RawCommandLine {
  return commandLine(program, (line) => isDeepStrictEqual(readProgram(line), program));
}

function printSchedule({ schedule, machine }: CommandExtras): Texts {
  return {
    schedule:
      schedule === null || schedule.timezone === null
        ? schedule?.pattern
        : { cron: schedule.pattern, timezone: schedule.timezone },
    jitter: schedule === null ? undefined : unless(schedule.jitter, 0, printDuration),
    overlap: unless(machine.overlap, DEFAULT_POLICY.overlap),
  };
}

function printRetries({ kind, restart, giveUpAfter }: CommandPolicy): unknown {
  if (kind === 'service' || restart === 'never') return undefined;
  return giveUpAfter === null ? 'unlimited' : unless(giveUpAfter - 1, 0);
}

function printReady({ ready, machine }: CommandExtras): unknown {
  if (ready === null || machine.ready === null) return undefined;
  return some({
    ...printProbe(ready),
    timeout: unless(machine.ready.timeout, READY_DEFAULTS.timeout, printDuration),
    interval: unless(machine.ready.interval, READY_DEFAULTS.interval, printDuration),
  });
}

function printHealth({ health: probe, machine: { health } }: CommandExtras): unknown {
  if (probe === null || health === null) return undefined;
  return some({
    ...printProbe(probe),
    every: unless(health.every, HEALTH_DEFAULTS.every, printDuration),
    timeout: unless(health.timeout, HEALTH_DEFAULTS.timeout, printDuration),
    failures: unless(health.failures, HEALTH_DEFAULTS.failures),
    successes: unless(health.successes, HEALTH_DEFAULTS.successes),
    grace: unless(health.grace, HEALTH_DEFAULTS.grace, printDuration),
    onUnhealthy: unless(health.onUnhealthy, HEALTH_DEFAULTS.onUnhealthy),
  });
}

function printProbe(probe: ProbeSpec): Texts {
  switch (probe.kind) {
    case 'tcp': {
      const host = probe.host.includes(':') ? `[${probe.host}]` : probe.host;
      return { tcp: host === '127.0.0.1' ? probe.port : `${host}:${probe.port}` };
    }
    case 'http': {
      const { kind: _, status, ...rest } = probe;
      const said = some({
        url: rest.url,
        method: unless(rest.method, 'GET'),
        headers: orNothing(rest.headers),
        status: isDeepStrictEqual(status, [[200, 399]])
          ? undefined
          : status.map(([from, to]) => (from === to ? from : `${from}-${to}`)),
        expectHeaders: orNothing(rest.expectHeaders),
        body: rest.body,
      });
      return { http: Object.keys(said).length === 1 ? rest.url : said };
    }
    case 'exec':
      return { exec: printProgram(probe.program) };
    case 'log':
      return { log: probe.pattern };
    case 'file':
      return { file: probe.fresh ? { path: probe.path, fresh: true } : probe.path };
    case 'notify':
      return { notify: true };
    case 'listening':
      return { listening: probe.port };
    case 'delay':
      return { delay: printDuration(probe.ms) };
  }
}

function printStop(spec: CommandSpec, machine: CommandPolicy, derived: CommandSpec['stop']): unknown {
  const { stop } = spec;
  const signals = machine.stopSignals;
  const usual = isDeepStrictEqual(signals, DEFAULT_POLICY.stopSignals);
  // Whoever names a signal or a command does without the one that follows from the command line.
  const says = !usual || !isDeepStrictEqual(stop, derived);
  const command = says && stop !== null ? [stop.file, ...stop.args] : undefined;
  const single = signals.length === 1 ? printSignal(signals[0]!.signal) : undefined;
  return orNothing(
    some({
      command,
      signal: says && (!usual || stop === null) ? single : undefined,
      signals:
        says && single === undefined
          ? signals.flatMap(({ signal, wait }) => [
              printSignal(signal),
              ...(wait === null ? [] : [printDuration(wait)]),
            ])
          : undefined,
      timeout: unless(machine.stopTimeout, DEFAULT_POLICY.stopTimeout, (ms) => printDuration(ms!)),
      stragglers: unless(machine.stragglers, DEFAULT_POLICY.stragglers),
    }),
  );
}

function printReload(reload: CommandExtras['reload']): unknown {
  if (reload === null) return undefined;
  return 'signal' in reload
    ? { signal: printSignal(reload.signal) }
    : { command: printProgram(reload.program), timeout: printDuration(reload.timeout) };
}

function printExecution(execution: ExecutionSpec): Texts {
  const { envFiles, secrets, limits, umask } = execution;
  const secretNames = Object.keys(secrets);
  return {
    user: execution.user,
    group: execution.group,
    groups: execution.groups,
    umask: umask === null ? undefined : umask.toString(8).padStart(4, '0'),
    cwd: execution.cwd,
    env: orNothing(execution.env),
    envFile: orNothing(envFiles.map(({ path, optional }) => (optional ? `-${path}` : path))),
    secrets: secretNames.every((name) => secrets[name]!.file === null)
      ? orNothing(secretNames)
      : Object.fromEntries(secretNames.map((name) => [name, some(secrets[name]!)])),
    nice: execution.nice,
    limits: orNothing(
      Object.fromEntries(
        Object.entries(limits).map(([name, { soft, hard }]) => [name, printLimit(soft, hard)]),
      ),
    ),
    noNewPrivileges: unless(execution.noNewPrivileges, false),
    capabilities: execution.capabilities,
  };
}

function printLimit(soft: string, hard: string): unknown {
  const one = (text: string) => (text === 'unlimited' ? text : Number(text));
  return soft === hard ? one(soft) : { soft: one(soft), hard: one(hard) };
}

function printLog({ prefix, format, file, tail }: LogSpec): Texts {
  return some({
    prefix: prefix === '' ? false : prefix,
    format,
    file:
      file === null
        ? undefined
        : some({
            path: file.path,
            size: unless(file.size, LOG_FILE_DEFAULTS.size),
            count: unless(file.count, LOG_FILE_DEFAULTS.count),
            tee: unless(file.tee, LOG_FILE_DEFAULTS.tee),
          }),
    tail: orNothing(tail),
  });
}

function printGroup({ members, strategy, intensity, onFailed }: GroupSpec): unknown {
  return some({
    members,
    strategy: unless(strategy, 'one_for_one'),
    intensity: printIntensity(intensity),
    onFailed: unless(onFailed, 'ignore'),
  });
}

function printContainer({ grace, exitWhen, exitCodeFrom, syslog, http }: ContainerSpec): Texts {
  return some({
    grace: grace === null ? undefined : printDuration(grace),
    exitWhen: typeof exitWhen === 'object' ? `${exitWhen.done} done` : unless(exitWhen, 'never'),
    exitCodeFrom,
    syslog: syslog === SYSLOG_PATH ? true : syslog,
    http: http === HTTP_ADDRESS ? true : http,
  });
}

function printHook({ webhook, program, ...hook }: HookSpec): unknown {
  return some({
    events: hook.events,
    commands: hook.commands,
    webhook:
      webhook === null
        ? undefined
        : typeof webhook.url === 'string' &&
            webhook.body === null &&
            Object.keys(webhook.headers).length === 0
          ? webhook.url
          : some({ url: webhook.url, headers: orNothing(webhook.headers), body: webhook.body }),
    run: program === null ? undefined : printProgram(program),
    timeout: unless(hook.timeout, HOOK_DEFAULTS.timeout, printDuration),
    retries: unless(hook.retries, webhook === null ? 0 : HOOK_DEFAULTS.retries),
    interval: unless(hook.interval, HOOK_DEFAULTS.interval, printDuration),
  });
}

function printIntensity(intensity: Intensity | null): unknown {
  return intensity === null
    ? undefined
    : { restarts: intensity.restarts, within: printDuration(intensity.within) };
}

function printSignal(signal: string): string {
  return signal.replace(/^SIG/, '');
}

/** As one writes it: 1500ms, 5s, 2m. */
function printDuration(ms: number): string {
  if (ms === 0 || ms % 1000 !== 0) return `${ms}ms`;
  if (ms % 60_000 !== 0) return `${ms / 1000}s`;
  return ms % 3_600_000 === 0 ? `${ms / 3_600_000}h` : `${ms / 60_000}m`;
}

function unless<T>(value: T, usual: T, print: (value: T) => unknown = (same) => same): unknown {
  return value === usual ? undefined : print(value);
}

/** Undefined where there is nothing in it. */
function orNothing<T extends object>(value: T): T | undefined {
  return Object.keys(value).length === 0 ? undefined : value;
}

/** Without what is null or undefined. */
function some(value: object): Texts {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined && one !== null));
}

/** Every text such that filling in variables gives it back. */
function escaped(value: unknown): unknown {
  if (typeof value === 'string') return escapeDollars(value);
  if (Array.isArray(value)) return value.map(escaped);
  if (value instanceof Map) return new Map([...value].map(([key, one]) => [key, escaped(one)]));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, escaped(one)]));
}
