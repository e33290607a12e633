/** What upkeep inherited and no service should: see `scrubEnvironment` and `closeInherited`. */
import { readdirSync } from 'node:fs';
import type { Native } from './native.ts';

/** Set by Node, npm and process managers for this very process. */
const JUNK =
  /^(?:NODE_OPTIONS|NODE_CHANNEL_FD|NODE_CHANNEL_SERIALIZATION_MODE|NODE_UNIQUE_ID|NODE_V8_COVERAGE|INIT_CWD|npm_.*|LISTEN_(?:FDS|FDNAMES|PID)|NOTIFY_SOCKET|WATCHDOG_(?:PID|USEC)|UPKEEP_NO_NATIVE)$/;

/** A copy of the environment for services, and the names that were left out of it. */
export function scrubEnvironment(env: NodeJS.ProcessEnv): { env: NodeJS.ProcessEnv; dropped: string[] } {
  const kept: NodeJS.ProcessEnv = {};
  const dropped: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (JUNK.test(name)) dropped.push(name);
    else kept[name] = value;
  }
  return { env: kept, dropped };
}

/** Keeps descriptors that whoever started upkeep left open from reaching the services. */
export function closeInherited(native: Native): void {
  let names: string[];
  try {
    names = readdirSync('/proc/self/fd');
  } catch {
    return;
  }
  for (const name of names) if (Number(name) > 2) native.closeOnExec(Number(name));
}
