/** What is so where no policy file says otherwise. */
import { DEFAULT_POLICY } from '../../machines/restart-policy.ts';
import type { CommandExtras, CommandSpec, ContainerSpec, ExecutionSpec, LogSpec } from './spec.ts';

const DEFAULT_EXECUTION: ExecutionSpec = {
  user: null,
  group: null,
  groups: null,
  umask: null,
  cwd: null,
  env: {},
  envFiles: [],
  secrets: {},
  nice: null,
  limits: {},
  noNewPrivileges: false,
  capabilities: null,
};

const DEFAULT_LOG: LogSpec = { prefix: null, format: null, file: null, tail: [] };

export const DEFAULT_CONTAINER: ContainerSpec = {
  grace: null,
  exitWhen: 'never',
  exitCodeFrom: null,
  syslog: null,
  http: null,
};

/** What a policy file says of a command, or would say of one that was given otherwise. */
export function extrasOf({ policy, returns, stop }: CommandSpec): CommandExtras {
  return (
    policy ?? {
      machine: { ...DEFAULT_POLICY, returns, ownStop: stop !== null },
      requires: {},
      after: [],
      onFailed: 'ignore',
      match: null,
      ready: null,
      health: null,
      schedule: null,
      reload: null,
      execution: DEFAULT_EXECUTION,
      log: DEFAULT_LOG,
    }
  );
}
