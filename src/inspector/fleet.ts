/** All commands and groups, and what of them has changed since the last look. */
import { type GroupPlan, isGroup, isWritten } from '../../machines/tree.ts';
import type { Inside } from '../control/inside.ts';
import type { Turn } from '../control/orders.ts';
import { type CommandStatus, statusOf } from '../control/status.ts';
import type { FleetGroup, FleetMessage } from './protocol.ts';

/** Commands of which the status is asked at once. */
const AT_ONCE = 32;

export interface Fleet {
  /** The command may not be as it was. */
  readonly changed: (name: string) => void;
  /** Nor may whoever waits for others, or who there is at all. */
  readonly moved: () => void;
  readonly isDue: () => boolean;
  /**
   * @param anew everything is asked for
   * @param rest is awaited between two parts of the work
   * @returns `changes` since the last look, null: there are none; `whole`: everything, null: it was not asked for
   */
  readonly look: (
    anew: boolean,
    rest: () => Promise<unknown>,
  ) => Promise<{ readonly changes: FleetMessage | null; readonly whole: FleetMessage | null }>;
  /** Nobody looks any more. */
  readonly forget: () => void;
}

export function createFleet(
  inside: Inside,
  turnOf: (name: string) => Turn | null,
  wallClock: () => number,
): Fleet {
  const dirty = new Set<string>();
  /** By command, what was seen last, but for what the time alone changes. */
  const seen = new Map<string, string>();
  /** Those that others decide of. */
  const depending = new Set<string>();
  let hasMoved = false;
  let names: readonly string[] = [];
  let plans: readonly GroupPlan[] | null = null;

  function note(status: CommandStatus): boolean {
    const { name } = status;
    if (status.state === 'waiting' || status.ordered !== null) depending.add(name);
    else depending.delete(name);
    const text = JSON.stringify(timeless(status));
    if (seen.get(name) === text) return false;
    seen.set(name, text);
    return true;
  }

  return {
    changed: (name) => void dirty.add(name),
    moved() {
      hasMoved = true;
    },
    isDue: () => hasMoved || dirty.size > 0,
    async look(anew, rest) {
      const before = names;
      names = inside.names();
      const sameNames = names.length === before.length && names.every((name, at) => name === before[at]);
      const sameGroups = plans === inside.groups();
      plans = inside.groups();
      if (!sameNames) {
        const there = new Set(names);
        for (const name of before)
          if (!there.has(name)) for (const book of [seen, depending]) book.delete(name);
      }
      const asked = anew ? names : [...new Set([...dirty, ...depending])];
      dirty.clear();
      hasMoved = false;
      const all: CommandStatus[] = [];
      const changed: CommandStatus[] = [];
      const at = wallClock();
      for (let from = 0; from < asked.length; from += AT_ONCE) {
        if (from > 0) await rest();
        for (const status of statusOf(inside, asked.slice(from, from + AT_ONCE), turnOf).commands) {
          all.push(status);
          if (note(status)) changed.push(status);
        }
      }
      const groups = groupsIn(plans, null);
      const same = changed.length === 0 && sameNames && sameGroups;
      return {
        changes: same
          ? null
          : {
              type: 'upkeep.fleet',
              at,
              commands: changed,
              names: sameNames ? null : names,
              groups: sameGroups ? null : groups,
            },
        whole: anew ? { type: 'upkeep.fleet', at, commands: all, names, groups } : null,
      };
    },
    forget() {
      dirty.clear();
      seen.clear();
      depending.clear();
      names = [];
      plans = null;
    },
  };
}

function timeless(status: CommandStatus): CommandStatus {
  const { leader, next } = status;
  return {
    ...status,
    for: 0,
    leader: leader && { ...leader, uptime: 0 },
    next: next && { ...next, in: next.in === null ? null : 0 },
  };
}

/** Those that somebody wrote, in the order in which they nest. */
function groupsIn(plans: readonly GroupPlan[], parent: string | null): FleetGroup[] {
  return plans.flatMap((plan) => {
    const below = plan.members.filter(isGroup);
    if (!isWritten(plan)) return groupsIn(below, parent);
    const commands = plan.members.flatMap((member) => (isGroup(member) ? [] : [member.name]));
    const { name, strategy } = plan;
    return [{ name, parent, strategy, commands }, ...groupsIn(below, name)];
  });
}
