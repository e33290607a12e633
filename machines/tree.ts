/** What a policy's commands and groups look like to the machines: a tree of groups, and everybody's part in it. Pure. */
import type { CommandPlan, CommandRole } from './events.ts';
import type { Before } from './order.ts';
import type { Intensity, Strategy } from './restart-policy.ts';

export interface GroupPlan {
  /** `#0`, `#1` … for groups that nobody wrote. */
  readonly name: string;
  readonly members: readonly (CommandPlan | GroupPlan)[];
  readonly strategy: Strategy;
  /** More deaths than this make it give up; null: never. */
  readonly intensity: Intensity | null;
  /** Its giving up ends the container. */
  readonly vital: boolean;
}

/** When the container ends by itself. */
export type ExitWhen = 'never' | 'all-done' | 'any-failed' | { readonly done: string };

export interface SupervisorPlan {
  /** Every command is in one of them. */
  readonly groups: readonly GroupPlan[];
  /** ms for the whole of a shutdown. */
  readonly grace: number;
  readonly exitWhen: ExitWhen;
  /** Whose exit status becomes the container's, when it ends by itself; null: nobody's. */
  readonly exitCodeFrom: string | null;
}

/** By command; who is not in it has none to speak of. */
export type Roles = Readonly<Record<string, CommandRole>>;

export const NO_ROLE: CommandRole = { waits: false, watched: false, grouped: false };

export function isGroup(member: CommandPlan | GroupPlan): member is GroupPlan {
  return 'members' in member;
}

/** All commands at or below it, in order. */
export function commandsOf(member: CommandPlan | GroupPlan): readonly CommandPlan[] {
  return isGroup(member) ? member.members.flatMap(commandsOf) : [member];
}

/** The group of that name, wherever in these it is. */
export function groupNamed(groups: readonly GroupPlan[], name: string): GroupPlan | null {
  for (const group of groups) {
    const found = group.name === name ? group : groupNamed(group.members.filter(isGroup), name);
    if (found !== null) return found;
  }
  return null;
}

/** The container is nothing without it, or without something in it that is wished up. */
export function isVital(group: GroupPlan, isDown: (command: string) => boolean): boolean {
  return (
    group.vital ||
    group.members.some((member) =>
      isGroup(member) ? isVital(member, isDown) : member.vital && !isDown(member.name),
    )
  );
}

/** Who comes before whom. */
export function beforeOf(commands: readonly Pick<CommandPlan, 'name' | 'requires' | 'after'>[]): Before {
  return new Map(commands.map(({ name, requires, after }) => [name, [...Object.keys(requires), ...after]]));
}

/** As many as the root of a thousand commands has groups. */
export const GROUP_SIZE = 32;

/** Groups that nobody wrote, for these commands; the first is called `#from`. */
export function unwritten(commands: readonly CommandPlan[], from = 0): GroupPlan[] {
  const groups: GroupPlan[] = [];
  for (let at = 0; at < commands.length; at += GROUP_SIZE) {
    groups.push({
      name: `#${from + groups.length}`,
      members: commands.slice(at, at + GROUP_SIZE),
      strategy: 'one_for_one',
      intensity: null,
      vital: false,
    });
  }
  return groups;
}

/** Everybody's part, from who requires whom and from the groups. */
export function rolesOf(groups: readonly GroupPlan[]): Roles {
  const awaited = new Set<string>();
  const roles: [string, CommandRole][] = [];
  for (const { requires, after } of groups.flatMap(commandsOf)) {
    for (const name of Object.keys(requires)) awaited.add(name);
    for (const name of after) awaited.add(name);
  }
  const visit = ({ members, strategy, intensity }: GroupPlan): void => {
    for (const member of members) {
      if (isGroup(member)) {
        visit(member);
        continue;
      }
      const grouped = strategy !== 'one_for_one';
      const waits = Object.keys(member.requires).length > 0 || member.after.length > 0;
      const watched = grouped || waits || intensity !== null || awaited.has(member.name);
      if (waits || watched) roles.push([member.name, { waits, watched, grouped }]);
    }
  };
  for (const group of groups) visit(group);
  return Object.fromEntries(roles);
}

/** Somebody has written it; the others are upkeep's own, for want of groups. */
export const isWritten = ({ name }: GroupPlan): boolean => !name.startsWith('#');

/** Who is in it and in what nesting, without the rules. */
function structureOf(member: CommandPlan | GroupPlan): unknown {
  return isGroup(member) ? [member.name, member.members.map(structureOf)] : member.name;
}

/** What has to be done to the groups that are there for them to be those of a new plan. */
export interface Regrouping {
  /** To be made. */
  readonly made: readonly GroupPlan[];
  /** Groups that somebody wrote, and that are not to be any more what they are. */
  readonly closed: readonly GroupPlan[];
  /** Groups that stay, and follow these rules. */
  readonly adjusted: readonly GroupPlan[];
  /** Commands that stay where they are. */
  readonly stay: ReadonlySet<string>;
  /** Commands that leave their group for one that is made. */
  readonly moved: ReadonlySet<string>;
  /** Commands that the new plan does not have. */
  readonly removed: ReadonlySet<string>;
}

/**
 * Groups that somebody wrote stay when the same commands are in them in the same nesting; what was in no group and still is in none
 * stays where it is.
 *
 * @param from the number of the first group to be made that nobody wrote
 */
export function regrouping(
  before: readonly GroupPlan[],
  after: readonly GroupPlan[],
  from: number,
): Regrouping {
  const structures = (groups: readonly GroupPlan[]): ReadonlyMap<string, string> =>
    new Map(groups.filter(isWritten).map((group) => [group.name, JSON.stringify(structureOf(group))]));
  const old = structures(before);
  const now = structures(after);
  const stays = ({ name }: GroupPlan): boolean => old.has(name) && old.get(name) === now.get(name);

  const namesIn = (groups: readonly GroupPlan[]): ReadonlySet<string> =>
    new Set(groups.flatMap(commandsOf).map(({ name }) => name));
  const loose = (groups: readonly GroupPlan[]): readonly CommandPlan[] =>
    groups.filter((group) => !isWritten(group)).flatMap(commandsOf);
  const were = namesIn(before);
  const are = namesIn(after);
  const wereLoose = new Set(loose(before).map(({ name }) => name));
  const written = after.filter(isWritten);
  const adjusted = written.filter(stays);
  const stay = new Set([
    ...namesIn(adjusted),
    ...loose(after).flatMap(({ name }) => (wereLoose.has(name) ? [name] : [])),
  ]);
  const newLoose = loose(after).filter(({ name }) => !wereLoose.has(name));
  return {
    made: [...written.filter((group) => !stays(group)), ...unwritten(newLoose, from)],
    closed: before.filter((group) => isWritten(group) && !stays(group)),
    adjusted,
    stay,
    moved: new Set([...were].filter((name) => are.has(name) && !stay.has(name))),
    removed: new Set([...were].filter((name) => !are.has(name))),
  };
}
