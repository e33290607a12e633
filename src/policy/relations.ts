/** What commands and groups of a policy say of one another. */
import { resolve } from 'node:path/posix';
import type { Milestone } from '../../machines/events.ts';
import { type Before, findCycle } from '../../machines/order.ts';
import type { CommandPolicy } from '../../machines/restart-policy.ts';
import { beforeOf as plansBefore } from '../../machines/tree.ts';
import type { Draft, References } from './convert.ts';
import type { Path } from './document.ts';
import { extrasOf } from './extras.ts';
import { hookOf } from './hooks.ts';
import { HTTP_ADDRESS, SYSLOG_PATH } from './options.ts';
import type { RawContainer, RawGroup, RawHook } from './schema.ts';
import type { CommandExtras, CommandSpec, ContainerSpec, GroupSpec, HookSpec, Policy } from './spec.ts';
import { didYouMean, shown } from './usage-error.ts';
import { readDuration, readExitWhen, readHttpAddress } from './values.ts';

/** Whoever has more has these first. */
const MOST_CYCLES = 20;

/** A mistake at a path from the top of the policy. */
type Report = (path: Path, message: string, at?: 'key' | 'value') => void;

/** What was read of all files. Of a command or group that has mistakes there is what is left without them, or nothing. */
export interface Parts {
  readonly commandNames: readonly string[];
  readonly groupNames: readonly string[];
  /** There may be more names than these. */
  readonly namesMissing: boolean;
  readonly drafts: ReadonlyMap<string, Draft>;
  /** Of commands of which it is known when they end, and what then. */
  readonly machines: ReadonlyMap<string, CommandPolicy>;
  readonly references: ReadonlyMap<string, References>;
  readonly groups: ReadonlyMap<string, RawGroup | readonly string[]>;
  readonly container: RawContainer;
  readonly hooks: ReadonlyMap<string, RawHook>;
}

/** Puts the parts of a policy together, and reports what does not fit. */
export function related(parts: Parts, report: Report): Policy {
  const known = new Names(parts, report);
  const groups = groupsOf(parts, known, report);
  const membersOf = expander(parts, groups);
  const relations = new Map(
    [...parts.references].map(([name, references]) => [
      name,
      relationsOf(name, references, parts, known, membersOf, report),
    ]),
  );
  const commands = [...parts.drafts].map(([name, draft]) => ({
    ...draft,
    policy: { ...draft.policy, ...relations.get(name) },
  }));
  const before = plansBefore(
    [...relations].map(([name, { requires, after }]) => ({ name, requires, after })),
  );
  checkCycles(before, parts, membersOf, report);
  for (const group of groups) checkSequence(group, before, membersOf, report);
  checkLogFiles(parts.drafts, report);
  return {
    commands,
    groups,
    container: containerOf(parts, known, report),
    hooks: hooksOf(parts, known, membersOf, report),
  };
}

/** By command, those that are started before it. */
export function beforeOf(commands: readonly CommandSpec[]): Before {
  return plansBefore(
    commands.map((command) => {
      const { requires, after } = extrasOf(command);
      return { name: command.name, requires, after };
    }),
  );
}

/** The names of commands that a group has, those of groups in it too; null: it is no group. */
type MembersOf = (name: string) => readonly string[] | null;

class Names {
  readonly commands: ReadonlySet<string>;
  readonly groups: ReadonlySet<string>;
  readonly #report: Report;
  readonly #missing: boolean;

  constructor({ commandNames, groupNames, namesMissing }: Parts, report: Report) {
    this.#missing = namesMissing;
    this.commands = new Set(commandNames);
    this.groups = new Set(groupNames);
    this.#report = report;
    for (const name of groupNames) {
      if (!this.commands.has(name)) continue;
      report(
        ['groups', name],
        `a command is called ${shown(name)} as well; give one of them another name`,
        'key',
      );
    }
  }

  /** Is it a command or, where that may be, a group? Reports when not. */
  has(name: string, path: Path, groupsToo: boolean): boolean {
    if (this.commands.has(name) || (groupsToo && this.groups.has(name))) return true;
    if (this.#missing) return false;
    const what = groupsToo ? 'command or group' : 'command';
    const all = [...this.commands, ...(groupsToo ? this.groups : [])];
    const isGroup = !groupsToo && this.groups.has(name) ? '; it is a group, write one command of it' : '';
    this.#report(path, `no ${what} is called ${shown(name)}${isGroup || didYouMean(name, all)}`);
    return false;
  }
}

function groupsOf(parts: Parts, known: Names, report: Report): GroupSpec[] {
  const owners = new Map<string, string>();
  const groups: GroupSpec[] = [];
  for (const [name, raw] of parts.groups) {
    const isList = Array.isArray(raw);
    const given: Partial<RawGroup> = isList ? { members: raw } : (raw as RawGroup);
    const base: Path = isList ? ['groups', name] : ['groups', name, 'members'];
    if (given.members === undefined) continue;
    const members: string[] = [];
    for (const [index, member] of given.members.entries()) {
      const path = [...base, index];
      if (!known.has(member, path, true)) continue;
      const owner = owners.get(member);
      if (member === name) report(path, 'a group is no member of itself; take it out');
      else if (owner === name) report(path, `${shown(member)} is there twice; take one out`);
      else if (owner !== undefined) {
        report(path, `${shown(member)} is in the group ${shown(owner)} already; it can be in one alone`);
      } else {
        owners.set(member, name);
        members.push(member);
      }
    }
    const { strategy = 'one_for_one', intensity, onFailed = 'ignore' } = given;
    groups.push({
      name,
      members,
      strategy,
      intensity:
        intensity === undefined
          ? null
          : { restarts: intensity.restarts, within: readDuration(intensity.within) },
      onFailed,
    });
  }
  for (const cycle of cyclesIn(new Map(groups.map(({ name, members }) => [name, members])))) {
    report(
      ['groups', cycle[0]!],
      `these groups are members of one another in a circle: ${cycle.join(' → ')}; take one out`,
      'key',
    );
  }
  return groups;
}

function expander(parts: Parts, groups: readonly GroupSpec[]): MembersOf {
  const members = new Map(groups.map((group) => [group.name, group.members]));
  const known = new Map<string, readonly string[]>();
  const names = new Set(parts.groupNames);
  const expand = (name: string, above: ReadonlySet<string>): readonly string[] => {
    const found = known.get(name);
    if (found !== undefined) return found;
    const commands = (members.get(name) ?? []).flatMap((member) => {
      if (!names.has(member)) return [member];
      return above.has(member) ? [] : expand(member, new Set([...above, member]));
    });
    known.set(name, commands);
    return commands;
  };
  return (name) => (names.has(name) ? expand(name, new Set([name])) : null);
}

function relationsOf(
  name: string,
  references: References,
  parts: Parts,
  known: Names,
  membersOf: MembersOf,
  report: Report,
): Pick<CommandExtras, 'requires' | 'after'> {
  const itself = (other: string, path: Path): boolean => {
    const members = membersOf(other);
    if (other !== name && !members?.includes(name)) return false;
    const why =
      members === null ? 'it can not come before itself' : `it is in the group ${shown(other)} itself`;
    report(path, `${why}; take ${shown(other)} out`);
    return true;
  };

  // What a command says of another one by its name counts more than what it says of its group.
  const ofGroups = new Map<string, Milestone>();
  const byName = new Map<string, Milestone>();
  for (const [other, milestone, below] of references.requires) {
    const path = ['commands', name, ...below];
    if (!known.has(other, path, true) || itself(other, path)) continue;
    const members = membersOf(other);
    for (const required of members ?? [other]) {
      const target = parts.machines.get(required);
      const reached = milestone ?? (target?.kind === 'oneshot' ? 'completed' : 'ready');
      const called = members === null ? shown(required) : `${shown(required)} of that group`;
      if (target?.kind === 'cron') {
        report(
          path,
          `${called} runs at the times of its schedule, and nobody can wait for that; take it out, or use after`,
        );
      } else if (reached === 'completed' && target?.kind === 'service' && target.restart === 'always') {
        report(path, `${called} is a service and never completes; use ready, or kind: oneshot there`);
      } else (members === null ? byName : ofGroups).set(required, reached);
    }
  }
  const after = new Set<string>();
  for (const [other, below] of references.after) {
    const path = ['commands', name, ...below];
    if (!known.has(other, path, true) || itself(other, path)) continue;
    for (const earlier of membersOf(other) ?? [other]) after.add(earlier);
  }
  return { requires: Object.fromEntries([...ofGroups, ...byName]), after: [...after] };
}

/** Cycles that share no step: each is broken at a place of its own. */
function cyclesIn(before: Before): (readonly string[])[] {
  const left = new Map(before);
  const cycles: (readonly string[])[] = [];
  while (cycles.length < MOST_CYCLES) {
    const cycle = findCycle(left);
    if (cycle === null) break;
    cycles.push(cycle);
    for (const [index, name] of cycle.slice(0, -1).entries()) {
      left.set(
        name,
        left.get(name)!.filter((other) => other !== cycle[index + 1]),
      );
    }
  }
  return cycles;
}

function checkCycles(before: Before, parts: Parts, membersOf: MembersOf, report: Report): void {
  for (const cycle of cyclesIn(before)) {
    const [name, other] = cycle as [string, string];
    const { requires, after } = parts.references.get(name)!;
    const leads = (given: string): boolean => given === other || (membersOf(given)?.includes(other) ?? false);
    const required = requires.find(([given]) => leads(given))?.[2];
    const path = required ?? after.find(([given]) => leads(given))?.[1] ?? [];
    report(
      ['commands', name, ...path],
      `these wait for one another in a circle: ${cycle.join(' → ')}; take one of their requires or after out`,
    );
  }
}

/** In a rest_for_one group the later members depend on the earlier ones, and not the other way round. */
function checkSequence(group: GroupSpec, before: Before, membersOf: MembersOf, report: Report): void {
  if (group.strategy !== 'rest_for_one') return;
  const positions = new Map<string, number>();
  for (const [index, member] of group.members.entries()) {
    for (const command of membersOf(member) ?? [member]) positions.set(command, index);
  }
  // From the first one on: whoever is reached from a member is looked at once.
  const reached = new Set<string>();
  for (const [name, position] of positions) {
    const pending = [name];
    while (pending.length > 0) {
      for (const earlier of before.get(pending.pop()!) ?? []) {
        if (reached.has(earlier)) continue;
        reached.add(earlier);
        const other = positions.get(earlier);
        if (other === undefined || other <= position) {
          pending.push(earlier);
          continue;
        }
        // What comes before that one is looked at when its turn comes.
        report(
          ['groups', group.name],
          `in rest_for_one the order of the members is that of their restart, but ${name} is started after ${earlier}, which comes later; put ${earlier} in front of ${name}`,
          'key',
        );
      }
    }
  }
}

/** Commands may write to one file, but not each up to a size of its own; and nobody logs what is written for having been logged. */
function checkLogFiles(drafts: Parts['drafts'], report: Report): void {
  const writers = new Map<string, { name: string; size: number; count: number }>();
  for (const [name, { policy }] of drafts) {
    const { file } = policy.log;
    if (file === null) continue;
    const { size, count } = file;
    const path = resolve(file.path);
    const first = writers.get(path);
    if (first === undefined) writers.set(path, { name, size, count });
    else if (first.size !== size || first.count !== count) {
      report(
        ['commands', name, 'log', 'file'],
        `${shown(first.name)} writes to ${shown(file.path)} as well, with another size or count; give both the same, or each a file of its own`,
      );
    }
  }
  for (const [name, { policy }] of drafts) {
    for (const path of policy.log.tail) {
      const writer = writers.get(resolve(path));
      if (writer === undefined) continue;
      const whose = writer.name === name ? 'its own log.file' : `the log.file of ${shown(writer.name)}`;
      report(
        ['commands', name, 'log', 'tail'],
        `${shown(path)} is ${whose}: what upkeep writes there would be logged again; take it out`,
      );
    }
  }
}

function hooksOf({ hooks }: Parts, known: Names, membersOf: MembersOf, report: Report): HookSpec[] {
  return [...hooks].map(([name, raw]) => {
    const expand = (given: string, below: Path): readonly string[] =>
      known.has(given, ['on', name, ...below], true) ? [given, ...(membersOf(given) ?? [])] : [];
    return hookOf(name, raw, expand, (path, message, at) => report(['on', name, ...path], message, at));
  });
}

function containerOf({ container, machines }: Parts, known: Names, report: Report): ContainerSpec {
  const exitWhen = container.exitWhen === undefined ? 'never' : readExitWhen(container.exitWhen);
  if (typeof exitWhen === 'object' && known.has(exitWhen.done, ['container', 'exitWhen'], false)) {
    const target = machines.get(exitWhen.done);
    if (target?.kind === 'cron' || (target?.kind === 'service' && target.restart === 'always')) {
      const why = target.kind === 'cron' ? 'runs again and again' : 'is started again whenever it ends';
      const remedy = target.kind === 'cron' ? 'choose another' : 'write restart: on-failure or never there';
      report(['container', 'exitWhen'], `${shown(exitWhen.done)} ${why} and is never done; ${remedy}`);
    }
  }
  if (container.exitCodeFrom !== undefined) {
    known.has(container.exitCodeFrom, ['container', 'exitCodeFrom'], false);
  }
  return {
    grace: container.grace === undefined ? null : readDuration(container.grace),
    exitWhen,
    exitCodeFrom: container.exitCodeFrom ?? null,
    syslog: container.syslog === true ? SYSLOG_PATH : (container.syslog ?? null),
    http: httpOf(container.http),
  };
}

function httpOf(said: RawContainer['http']): ContainerSpec['http'] {
  if (said === undefined) return null;
  if (typeof said === 'boolean') return said && HTTP_ADDRESS;
  return readHttpAddress(said);
}
