/** What `upkeep health` tells, for HEALTHCHECK and probes. Pure. */
import type { Inside } from './inside.ts';
import { type CommandStatus, groupText, predicateOf, STATUS_VERSION, type Status, wordOf } from './status.ts';

/**
 * `starting`: something is not yet as it is wished to be, for the first time, and nothing speaks against that it will be.
 * `ready`: all of it is. `degraded`: something is not, and is tried again. `failed`: something, or a group, has failed for good.
 */
export type HealthState = 'starting' | 'ready' | 'degraded' | 'failed';

export interface Health {
  readonly version: typeof STATUS_VERSION;
  readonly state: HealthState;
  /** The answer to what was asked: `ready` or `live`. */
  readonly ok: boolean;
  /** One line for a human. */
  readonly text: string;
  /** Who is not as wished. */
  readonly commands: readonly { readonly name: string; readonly state: string }[];
}

/** The process table has been read: until then there is nothing to tell of anybody. */
export function hasBegun(inside: Inside): boolean {
  const [first] = inside.names();
  return first === undefined || inside.isEnding() || inside.viewOf(first) !== null;
}

/** @param which `live`: nothing has failed for good, and the end has not begun */
export function healthOf({ commands, upkeep }: Status, which: 'ready' | 'live'): Health {
  const lacking = commands.filter(({ asWished }) => !asWished);
  const state = stateOf(lacking);
  const ok = !upkeep.ending && (which === 'live' ? state !== 'failed' : state === 'ready');
  const who = lacking.map(whatOf).join(', ');
  const ending = upkeep.ending ? 'everything is being stopped' : '';
  return {
    version: STATUS_VERSION,
    state,
    ok,
    text: [state, [who, ending].filter((part) => part !== '').join('; ')]
      .filter((part) => part !== '')
      .join(': '),
    commands: lacking.map((command) => ({ name: command.name, state: command.state })),
  };
}

function whatOf(command: CommandStatus): string {
  const { name, gaveUp } = command;
  const why = gaveUp === null ? '' : ` (${groupText(gaveUp)})`;
  return `${name} is ${predicateOf(wordOf(command))}${why}`;
}

function stateOf(lacking: readonly CommandStatus[]): HealthState {
  if (lacking.length === 0) return 'ready';
  if (lacking.some(({ state, gaveUp }) => state === 'failed' || gaveUp !== null)) return 'failed';
  return lacking.every(isBeginning) ? 'starting' : 'degraded';
}

/** Its first start is under way, or waits for somebody's. */
function isBeginning({
  starts,
  failures,
  restarts,
  state,
  detail,
  desired,
  healthy,
}: CommandStatus): boolean {
  return (
    desired === 'up' &&
    failures === 0 &&
    restarts === 0 &&
    starts <= 1 &&
    state !== 'stopping' &&
    detail !== 'ending' &&
    healthy !== false
  );
}
