/** The machines, with other ports than src/supervise.ts gives them. */
import { type Actor, createActor, type InspectionEvent } from 'xstate';
import { commandMachine } from '../../machines/command.ts';
import type { SignalScope, Telling } from '../../machines/events.ts';
import { groupMachine } from '../../machines/group.ts';
import type { launchPort, probePort, scanPort, schedulePort, stopperPort } from '../../machines/ports.ts';
import { type SupervisorInput, supervisorMachine } from '../../machines/supervisor.ts';
import type { Kept } from './recording.ts';

export interface Ports {
  readonly launch: typeof launchPort;
  readonly stopper: typeof stopperPort;
  readonly probe: typeof probePort;
  readonly schedule: typeof schedulePort;
  readonly scan: typeof scanPort;
  readonly tell: (telling: Telling) => void;
  readonly signal: (command: string, scope: SignalScope, signal: string) => void;
  readonly reload: (command: string) => void;
}

export interface Clock {
  readonly setTimeout: (fire: () => void, ms: number) => unknown;
  readonly clearTimeout: (timer: never) => void;
}

export type Root = Actor<typeof supervisorMachine>;

/** A root that is not started yet, from its beginning or as it was. */
export function createRoot(
  { launch, stopper, probe, schedule, scan, tell, signal, reload }: Ports,
  from: { readonly input: SupervisorInput } | { readonly kept: Kept },
  clock: Clock,
  inspect: (event: InspectionEvent) => void,
): Root {
  const command = commandMachine.provide({
    actors: { launch, stopper, probe, schedule },
    actions: {
      tell: (_, telling) => tell(telling),
      signal: (_, params) => signal(params.command, params.scope, params.signal),
      reload: (_, params) => reload(params.command),
    },
  });
  const group = groupMachine.provide({
    actors: { command },
    actions: { tell: (_, telling) => tell(telling) },
  });
  const supervisor = supervisorMachine.provide({
    actors: { group, scan },
    actions: { tell: (_, telling) => tell(telling) },
  });
  const start = 'input' in from ? { input: from.input } : { snapshot: persisted(from.kept, group) };
  return createActor(supervisor, { ...start, clock, inspect } as never) as Root;
}

/** As XState wants a snapshot. A group within a group has no name that it could be found by. */
function persisted({ value, context, status, output, machines, ports }: Kept, group: unknown): unknown {
  const children = [
    ...machines.map((kept) => [
      kept.id,
      {
        snapshot: persisted(kept, group),
        src: kept.id.startsWith('group:') ? group : 'command',
        syncSnapshot: false,
      },
    ]),
    ...ports.map(({ id, src, input }) => [
      id,
      {
        snapshot: { status: 'active', output: undefined, error: undefined, input },
        src,
        syncSnapshot: false,
      },
    ]),
  ];
  return {
    status,
    output,
    error: undefined,
    value,
    // XState puts the actors themselves into it.
    context: structuredClone(context),
    historyValue: {},
    children: Object.fromEntries(children),
  };
}
