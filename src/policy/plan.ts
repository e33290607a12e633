/** From what a policy says to what the machines decide by. Pure. */
import type { CommandPlan, PolicyDiff } from '../../machines/events.ts';
import type { CommandPolicy } from '../../machines/restart-policy.ts';
import { type GroupPlan, type SupervisorPlan, unwritten } from '../../machines/tree.ts';
import type { PolicyDiff as Difference } from './diff.ts';
import { DEFAULT_CONTAINER, extrasOf } from './extras.ts';
import type { RunOptions } from './options.ts';
import type { CommandSpec, Policy } from './spec.ts';

/** Failures in a row after which a command whose failure ends the container has failed for good, where the policy sets no limit. */
const VITAL_GIVES_UP_AFTER = 5;

/** @returns all groups at the top, the ones that nobody wrote last */
export function planOf(policy: Policy, options: Pick<RunOptions, 'exitOnFailed' | 'grace'>): SupervisorPlan {
  const { commands, groups, container } = policy;
  const plans = new Map(commands.map((spec) => [spec.name, commandPlan(spec, policy, options)]));
  const specs = new Map(groups.map((group) => [group.name, group]));
  const held = new Set(groups.flatMap(({ members }) => members));
  const build = (name: string): GroupPlan => {
    const { members, strategy, intensity, onFailed } = specs.get(name)!;
    return {
      name,
      members: members.map((member) => plans.get(member) ?? build(member)),
      strategy,
      intensity,
      vital: onFailed === 'exit',
    };
  };
  return {
    groups: [
      ...groups.filter(({ name }) => !held.has(name)).map(({ name }) => build(name)),
      ...unwritten([...plans.values()].filter(({ name }) => !held.has(name))),
    ],
    grace: container.grace ?? options.grace,
    exitWhen: container.exitWhen,
    exitCodeFrom: container.exitCodeFrom,
  };
}

function commandPlan(
  spec: CommandSpec,
  { container }: Policy,
  { exitOnFailed }: Pick<RunOptions, 'exitOnFailed'>,
): CommandPlan {
  const asked = exitOnFailed === true || (exitOnFailed !== false && exitOnFailed.includes(spec.name));
  const { machine, requires, after, onFailed } = extrasOf(spec);
  const vital = asked || onFailed === 'exit';
  return {
    name: spec.name,
    vital,
    policy: machinePolicy(machine, vital || container.exitWhen === 'any-failed'),
    requires,
    after,
  };
}

/** @param ends its failure for good ends the container, and so there has to be one */
function machinePolicy(policy: CommandPolicy, ends: boolean): CommandPolicy {
  // Whoever writes that a one-shot is tried without end means it.
  const unlimited = policy.kind === 'service' && policy.intensity === null && policy.restart !== 'never';
  return ends && unlimited ? { ...policy, giveUpAfter: VITAL_GIVES_UP_AFTER } : policy;
}

/** The policy of commands that were given as arguments alone. */
export function policyOf(commands: readonly CommandSpec[]): Policy {
  return { commands, groups: [], container: DEFAULT_CONTAINER, hooks: [] };
}

/** What the root is told of two policies' difference. */
export function toldDifference({
  added,
  removed,
  restarted,
  adjusted,
  unchanged,
  groupsChanged,
  containerChanged,
  hooksChanged,
  notes,
}: Difference): PolicyDiff {
  return {
    started: added,
    stopped: removed,
    restarted,
    adjusted,
    unchanged: unchanged.length,
    sections: [
      ...(groupsChanged ? ['groups'] : []),
      ...(containerChanged ? ['container'] : []),
      ...(hooksChanged ? ['on'] : []),
    ],
    notes,
  };
}
