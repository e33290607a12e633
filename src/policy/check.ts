/** What a policy comes to, for its author to read at a glance. Shows no value of a variable, and no command line. */
import { basename } from 'node:path/posix';
import { longestStop, startLevels, stopPlan } from '../../machines/order.ts';
import type { Intensity } from '../../machines/restart-policy.ts';
import { formatDuration } from '../output/duration.ts';
import { extrasOf } from './extras.ts';
import { RUN_DEFAULTS } from './options.ts';
import { beforeOf } from './relations.ts';
import type { CommandSpec, Given, GroupSpec, HookSpec, Policy, ProbeSpec } from './spec.ts';
import { shown } from './usage-error.ts';

const COLUMNS = 80;

/**
 * What is no mistake, and most likely not meant.
 *
 * @param grace ms for the stop where the policy does not say
 */
export function policyWarnings(policy: Policy, grace: number = RUN_DEFAULTS.grace): string[] {
  const warnings: string[] = [];
  const { budget, ms, steps } = stopBudget(policy, grace);
  if (ms > budget) {
    warnings.push(
      `stopping may take ${formatDuration(ms)} (${steps.join(', then ')}), but ${formatDuration(budget)} are given: all have less, and what is left then is killed; make container.grace longer, or the stops shorter`,
    );
  }
  const resting = new Set(
    policy.commands.filter((command) => !extrasOf(command).machine.autostart).map(({ name }) => name),
  );
  for (const command of policy.commands) {
    const awaited = Object.keys(extrasOf(command).requires).filter((name) => resting.has(name));
    if (awaited.length === 0 || resting.has(command.name)) continue;
    warnings.push(
      `${command.name} requires ${listOf(awaited)}, with autostart: false: it waits for upkeep start ${awaited.length === 1 ? awaited[0] : 'of each'}; write after instead where it can do without`,
    );
  }
  const endless = policy.commands.filter((command) => {
    const { kind, restart } = extrasOf(command).machine;
    return kind === 'cron' || (kind === 'service' && restart === 'always');
  });
  if (policy.container.exitWhen === 'all-done' && endless.length > 0) {
    warnings.push(
      `container.exitWhen is all-done, but ${listOf(endless.map(({ name }) => name))} ${endless.length === 1 ? 'is' : 'are'} never done: the container does not end by itself; write restart: on-failure or never there`,
    );
  }
  const unstarted = policy.commands
    .filter((command) => resting.has(command.name) && !endless.includes(command))
    .map(({ name }) => name);
  if (policy.container.exitWhen === 'all-done' && unstarted.length > 0) {
    warnings.push(
      `container.exitWhen is all-done, but with autostart: false ${listOf(unstarted)} ${unstarted.length === 1 ? 'is' : 'are'} not done before upkeep start and its run: the container does not end by itself before that`,
    );
  }
  for (const command of policy.commands) {
    const { machine, onFailed } = extrasOf(command);
    if (onFailed !== 'exit') continue;
    if (machine.kind === 'cron') {
      warnings.push(
        `${command.name} is run by a schedule and never fails for good: its onFailed: exit has no effect`,
      );
    } else if (machine.kind === 'oneshot' && machine.giveUpAfter === null && machine.intensity === null) {
      warnings.push(`${command.name} is tried without end: its onFailed: exit has no effect`);
    }
  }
  for (const { name, strategy, intensity, onFailed } of policy.groups) {
    if (onFailed !== 'exit' || strategy !== 'one_for_one' || intensity !== null) continue;
    warnings.push(
      `group ${name} never gives up: its onFailed: exit has no effect; write an intensity, or onFailed: exit at the commands`,
    );
  }
  for (const command of policy.commands) {
    const { health, machine } = extrasOf(command);
    if (
      health?.kind !== 'notify' ||
      machine.health === null ||
      machine.health.timeout >= machine.health.every
    )
      continue;
    warnings.push(
      `${command.name} is looked at every ${formatDuration(machine.health.every)}, but has to give a sign of life every ${formatDuration(machine.health.timeout)}: health.timeout is what counts for notify`,
    );
  }
  return warnings;
}

/** For people; lines of at most 80 columns, but for words that are longer. Ends with a line break. */
export function checkReport(policy: Policy, warnings: readonly string[]): string {
  const commands = new Map(policy.commands.map((command) => [command.name, command]));
  const levels = startLevels(beforeOf(policy.commands));
  const width = Math.min(24, Math.max(...policy.commands.map(({ name }) => name.length)));
  const digits = String(levels.length).length;
  const lines: string[] = [counted(policy.commands.length, 'command'), '', 'Start order'];
  for (const [index, level] of levels.entries()) {
    for (const [position, name] of level.entries()) {
      const number = position === 0 ? String(index + 1) : '';
      const head = `  ${number.padStart(digits)}  ${name.padEnd(width)}  `;
      const { kind } = extrasOf(commands.get(name)!).machine;
      lines.push(...wrapped(`${head}${kind.padEnd(7)}  `, describeCommand(commands.get(name)!)));
    }
  }
  if (policy.groups.length > 0) {
    const widest = Math.min(24, Math.max(...policy.groups.map(({ name }) => name.length)));
    lines.push('', 'Groups');
    for (const group of policy.groups) {
      lines.push(...wrapped(`  ${group.name.padEnd(widest)}  `, describeGroup(group)));
    }
  }
  if (policy.hooks.length > 0) {
    const widest = Math.min(24, Math.max(...policy.hooks.map(({ name }) => name.length)));
    lines.push('', 'Notifications');
    for (const hook of policy.hooks) {
      lines.push(...wrapped(`  ${hook.name.padEnd(widest)}  `, describeHook(hook)));
    }
  }
  lines.push('', 'Stop', ...wrapped('  ', describeStop(policy)));
  lines.push('', 'End of the container', ...describeEnd(policy).flatMap((line) => wrapped('  ', [line])));
  if (warnings.length > 0) {
    lines.push('', 'Warnings', ...warnings.flatMap((warning) => wrapped('  - ', [warning])));
  }
  return `${lines.join('\n')}\n`;
}

/** The same for programs: JSON. */
export function checkJson(policy: Policy, warnings: readonly string[]): string {
  const { ms, chain } = stopBudget(policy);
  const commands = policy.commands.map((command) => {
    const { machine, requires, after, onFailed, ready, health, schedule } = extrasOf(command);
    const { kind, restart, giveUpAfter, intensity, stopTimeout } = machine;
    return {
      name: command.name,
      kind,
      restart,
      giveUpAfter,
      intensity,
      requires,
      after,
      ready: ready?.kind ?? null,
      health: health?.kind ?? null,
      schedule,
      stopTimeout,
      onFailed,
    };
  });
  const { groups, container } = policy;
  const levels = startLevels(beforeOf(policy.commands));
  const whole = {
    version: 1,
    ok: true,
    commands,
    levels,
    groups,
    on: policy.hooks.map(({ webhook, program, ...hook }) => ({
      ...hook,
      webhook: webhook === null ? null : placeOf(webhook.url),
      run: program === null ? null : basename(program.file),
    })),
    stop: { longest: ms, chain },
    container,
    warnings,
  };
  return `${JSON.stringify(whole, null, 2)}\n`;
}

/**
 * The longest that stopping may take: what is set aside for each command that is stopped one after the other, or as much as its
 * signals wait. With more than `budget` there is less for each.
 */
function stopBudget(policy: Policy, grace: number = RUN_DEFAULTS.grace) {
  const before = beforeOf(policy.commands);
  const budget = policy.container.grace ?? grace;
  const stops = new Map(policy.commands.map((command) => [command.name, extrasOf(command).machine] as const));
  const { own } = stopPlan(before, (name) => stops.get(name)!.stopTimeout, budget);
  const awaited = new Set([...before.values()].flat());
  const boundOf = (name: string): number => {
    const { kind, stopTimeout, stopSignals } = stops.get(name)!;
    const waits = stopSignals.reduce((sum, { wait }) => sum + (wait ?? 0), 0);
    // It has ended when something runs that comes after it.
    const least = kind === 'oneshot' && awaited.has(name) ? 0 : own.get(name)!;
    return stopTimeout ?? Math.max(waits, least);
  };
  const longest = longestStop(before, boundOf);
  const chain = longest.chain.filter((name) => boundOf(name) > 0);
  const steps = chain.map((name) => `${name} ${formatDuration(boundOf(name))}`);
  return { budget, ms: Math.round(longest.ms), chain, steps };
}

function describeCommand(command: CommandSpec): string[] {
  const { machine, requires, after, ready, health, schedule, onFailed } = extrasOf(command);
  const said: string[] = [];
  if (!machine.autostart) said.push('waits for upkeep start');
  if (schedule !== null) {
    const zone = schedule.timezone === null ? '' : ` (${schedule.timezone})`;
    said.push(`at ${schedule.pattern}${zone}`, `overlap: ${machine.overlap}`);
  }
  if (machine.kind === 'service') {
    if (machine.restart !== 'always') said.push(`restart: ${machine.restart}`);
  } else if (machine.giveUpAfter === null) said.push('tried again without end');
  else if (machine.giveUpAfter > 1) said.push(counted(machine.giveUpAfter - 1, 'retry'));
  if (machine.intensity !== null) said.push(describeIntensity(machine.intensity));
  const required = Object.entries(requires).map(([name, milestone]) => `${name} ${milestone}`);
  if (required.length > 0) said.push(`requires ${required.join(', ')}`);
  const later = after.filter((name) => !Object.hasOwn(requires, name));
  if (later.length > 0) said.push(`after ${later.join(', ')}`);
  if (ready !== null) said.push(`ready: ${describeProbe(ready)}`);
  if (health !== null) {
    said.push(`health: ${describeProbe(health)} every ${formatDuration(machine.health?.every ?? 0)}`);
  }
  if (machine.stopTimeout !== null) said.push(`stops within ${formatDuration(machine.stopTimeout)}`);
  if (onFailed === 'exit') said.push('its failure ends the container');
  return said;
}

function describeProbe(probe: ProbeSpec): string {
  switch (probe.kind) {
    case 'tcp':
      return `tcp ${probe.host === '127.0.0.1' ? '' : `${probe.host}:`}${probe.port}`;
    case 'http': {
      // No user, no password, no query: there may be a secret in them.
      const { host, pathname } = new URL(probe.url);
      return `http ${host}${pathname}`;
    }
    case 'file':
      return `file ${/[\s\p{Cc}]/u.test(probe.path) ? shown(probe.path) : probe.path}`;
    case 'listening':
      return `listening on ${probe.port}`;
    case 'delay':
      return `after ${formatDuration(probe.ms)}`;
    default:
      return probe.kind;
  }
}

function describeGroup({ members, strategy, intensity, onFailed }: GroupSpec): string[] {
  const said = [`${strategy}: ${members.join(', ')}`];
  if (intensity !== null) said.push(describeIntensity(intensity));
  if (onFailed === 'exit') said.push('its failure ends the container');
  return said;
}

function describeHook({
  events,
  commands,
  webhook,
  program,
  timeout,
  retries,
  interval,
}: HookSpec): string[] {
  const said = [`${events.join(', ')}${commands === null ? '' : ` of ${listOf(commands)}`}`];
  if (webhook !== null) said.push(`POST to ${placeOf(webhook.url)}`);
  if (program !== null) said.push(`runs ${basename(program.file)}`);
  const tries = retries === 0 ? 'once' : `with ${counted(retries, 'retry')}`;
  said.push(`${tries}, ${formatDuration(timeout)} each`);
  if (interval > 0) said.push(`every ${formatDuration(interval)} at most`);
  return said;
}

/** No more of an address than its host: with some services the path is the password. */
function placeOf(url: Given): string {
  return typeof url === 'string'
    ? new URL(url).host
    : `an address from ${/\s/.test(url.file) ? shown(url.file) : url.file}`;
}

function describeIntensity({ restarts, within }: Intensity): string {
  return `at most ${counted(restarts, 'restart')} within ${formatDuration(within)}`;
}

function describeStop(policy: Policy): string[] {
  const { grace } = policy.container;
  const { budget, ms, steps } = stopBudget(policy);
  const said = ['in the reverse order'];
  const within = formatDuration(budget);
  said.push(grace === null ? `within the time that --grace gives, ${within} by default` : `within ${within}`);
  // What has no bounds, and nobody before or after it, takes what there is.
  if (steps.length > 1 || (steps.length > 0 && ms !== budget))
    said.push(`may take ${formatDuration(ms)}: ${steps.join(', then ')}`);
  return said;
}

function describeEnd({ commands, groups, container }: Policy): string[] {
  const { exitWhen, exitCodeFrom } = container;
  const said = ['when it is asked to stop'];
  if (exitWhen === 'all-done') said.push('when all commands are done');
  if (exitWhen === 'any-failed') said.push('when any command has failed for good');
  if (typeof exitWhen === 'object') said.push(`when ${exitWhen.done} is done`);
  const vital = [
    ...commands.filter((command) => extrasOf(command).onFailed === 'exit'),
    ...groups.filter(({ onFailed }) => onFailed === 'exit'),
  ].map(({ name }) => name);
  if (vital.length > 0)
    said.push(`when ${listOf(vital)} ${vital.length === 1 ? 'has' : 'have'} failed for good`);
  if (exitCodeFrom !== null) said.push(`with the exit status of ${exitCodeFrom}`);
  return said;
}

function counted(count: number, what: string): string {
  const plural = what.endsWith('y') ? `${what.slice(0, -1)}ies` : `${what}s`;
  return `${count} ${count === 1 ? what : plural}`;
}

/** `a, b and c`; of many the first ones. */
function listOf(names: readonly string[]): string {
  const told = names.length > 6 ? [...names.slice(0, 5), `${names.length - 5} more`] : names;
  return told.length < 2 ? told.join('') : `${told.slice(0, -1).join(', ')} and ${told.at(-1)}`;
}

/** Lines that begin with the head, or with as much space, and hold the parts, broken at spaces. */
function wrapped(head: string, parts: readonly string[]): string[] {
  const indent = ' '.repeat(Math.min(head.length, 40));
  const lines: string[] = [];
  let line = head;
  let empty = true;
  for (const word of parts.join('; ').split(' ')) {
    if (!empty && line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = indent;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, line].map((one) => one.trimEnd());
}
