/** What a new policy changes. */
import { isDeepStrictEqual } from 'node:util';
import { extrasOf } from './extras.ts';
import type { CommandSpec, Policy } from './spec.ts';

export interface PolicyDiff {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Something of the process itself is another: what runs has to be started anew. */
  readonly restarted: readonly string[];
  /** Something that upkeep decides by is another: what runs may run on. */
  readonly adjusted: readonly string[];
  readonly unchanged: readonly string[];
  readonly groupsChanged: boolean;
  readonly containerChanged: boolean;
  readonly hooksChanged: boolean;
  /** Of those restarted and adjusted, the keys of the policy file that say something else: never their values. */
  readonly notes: Readonly<Record<string, readonly string[]>>;
}

/** Compares commands by their names. */
export function diffPolicies(before: Policy, after: Policy): PolicyDiff {
  const old = new Map(before.commands.map((command) => [command.name, command]));
  const kept = new Set(after.commands.map(({ name }) => name));
  const added: string[] = [];
  const restarted: string[] = [];
  const adjusted: string[] = [];
  const unchanged: string[] = [];
  const notes: [string, string[]][] = [];
  for (const command of after.commands) {
    const { name } = command;
    const other = old.get(name);
    if (other === undefined) {
      added.push(name);
      continue;
    }
    const ofProcess = differing(processKeys(other), processKeys(command));
    const ofRules = differing(ruleKeys(other), ruleKeys(command));
    if (ofProcess.length > 0) restarted.push(name);
    else if (ofRules.length > 0) adjusted.push(name);
    else unchanged.push(name);
    if (ofProcess.length + ofRules.length > 0) notes.push([name, [...new Set([...ofProcess, ...ofRules])]]);
  }
  return {
    added,
    removed: before.commands.map(({ name }) => name).filter((name) => !kept.has(name)),
    restarted,
    adjusted,
    unchanged,
    groupsChanged: !isDeepStrictEqual(before.groups, after.groups),
    containerChanged: !isDeepStrictEqual(before.container, after.container),
    hooksChanged: !isDeepStrictEqual(before.hooks, after.hooks),
    notes: Object.fromEntries(notes),
  };
}

type Keys = Readonly<Record<string, unknown>>;

/** What a process is started with, by keys of the policy file. */
function processKeys(command: CommandSpec): Keys {
  const { execution, machine } = extrasOf(command);
  const { env, envFiles: envFile, limits, secrets, ...rest } = execution;
  return {
    run: [command.file, command.args, command.env, command.shell],
    kind: machine.kind,
    ...rest,
    ...prefixed('env', env),
    envFile,
    ...prefixed('secrets', secrets),
    ...prefixed('limits', limits),
  };
}

/** What upkeep decides by, by keys of the policy file. */
function ruleKeys(command: CommandSpec): Keys {
  const { machine, execution: _, ready, health, ...rest } = extrasOf(command);
  const { restart, successCodes, settle, startTimeout, linger, intensity, overlap } = machine;
  return {
    run: [command.text, command.fits, command.returns],
    ...rest,
    autostart: machine.autostart,
    restart,
    successCodes,
    settle,
    startTimeout,
    linger,
    intensity,
    overlap,
    retries: machine.giveUpAfter,
    backoff: [machine.backoff, machine.stable],
    ready: [ready, machine.ready],
    health: [health, machine.health],
    stop: [command.stop, machine.stopSignals, machine.stopTimeout, machine.stragglers],
  };
}

function prefixed(key: string, values: Keys): Keys {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`${key}.${name}`, value]));
}

function differing(before: Keys, after: Keys): string[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].filter((key) => !isDeepStrictEqual(before[key], after[key]));
}
