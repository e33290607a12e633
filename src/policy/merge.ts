import { DEFAULT_CONTAINER } from './extras.ts';
import type { CommandSpec, Policy } from './spec.ts';
import { shown, UsageError } from './usage-error.ts';

/**
 * All that one upkeep is to do, wherever it was said: in a policy file, a Procfile, in arguments.
 *
 * @throws UsageError when two of them have a command of the same name
 */
export function mergeSources(
  argumentCommands: readonly CommandSpec[],
  procfileCommands: readonly CommandSpec[],
  policy: Policy | null,
): Policy {
  const owners = new Map<string, string>();
  const claim = (names: readonly { readonly name: string }[], source: string): void => {
    for (const { name } of names) {
      const other = owners.get(name);
      if (other !== undefined && other !== source) {
        throw new UsageError(
          `cannot use the name ${shown(name)} for two: it is that of ${other} and of ${source}; give one of them another name`,
        );
      }
      owners.set(name, source);
    }
  };
  claim(policy?.commands ?? [], 'a command in the policy file');
  claim(policy?.groups ?? [], 'a group in the policy file');
  claim(procfileCommands, 'a command in the Procfile');
  claim(argumentCommands, 'a command among the arguments');
  return {
    commands: [...(policy?.commands ?? []), ...procfileCommands, ...argumentCommands],
    groups: policy?.groups ?? [],
    container: policy?.container ?? DEFAULT_CONTAINER,
    hooks: policy?.hooks ?? [],
  };
}
