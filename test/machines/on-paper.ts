/** The command machine as pure logic: what it would do is written down, and none of it is carried out. */
import { expect } from 'vitest';
import {
  type AnyActorRef,
  createActor,
  createEmptyActor,
  type ExecutableActionObject,
  type SnapshotFrom,
} from 'xstate';
import { commandMachine } from '../../machines/command.ts';
import type { CommandEvent, Leader } from '../../machines/events.ts';
import type { CommandPolicy } from '../../machines/restart-policy.ts';
import { EXACT, type Harness, pathOf, process, startCommand } from './harness.ts';

export type State = SnapshotFrom<typeof commandMachine>;
export type AnyEvent = CommandEvent | { readonly type: `xstate.after.${string}` };

export interface Effects {
  readonly launch: boolean;
  readonly signals: readonly { readonly scope: string; readonly signal: string }[];
  readonly delays: readonly number[];
  readonly rested: number;
}

export interface Entrant {
  readonly policy: Partial<CommandPolicy>;
  readonly found: Leader | null;
}
export const ENTRANTS: Record<string, Entrant> = {
  'by default': { policy: {}, found: null },
  'with an own stop command, adopted': { policy: { ownStop: true }, found: process(6) },
  'that gives up': { policy: { giveUpAfter: 2 }, found: null },
};

const done: ExecutableActionObject[] = [];
const parent: AnyActorRef = createEmptyActor();
const self = createActor(commandMachine, {
  input: { name: 'svc', policy: EXACT, seed: 1, found: null },
  parent,
});
const scope = {
  self,
  id: self.id,
  sessionId: self.sessionId,
  system: self.system,
  logger: () => {},
  defer: () => {},
  emit: () => {},
  stopChild: () => {},
  actionExecutor: (action: ExecutableActionObject) => void done.push(action),
} as unknown as Parameters<typeof commandMachine.transition>[2];

export const transition = (state: State, event: AnyEvent): State =>
  commandMachine.transition(state, event as CommandEvent, scope) as State;

export const initial = ({ policy, found }: Entrant): State =>
  commandMachine.getInitialSnapshot(scope, {
    name: 'svc',
    policy: { ...EXACT, ...policy },
    seed: 1,
    found,
  }) as State;

export function step(from: State, event: AnyEvent): { to: State; effects: Effects } {
  done.length = 0;
  const to = transition(from, event);
  const paramsOf = (type: string) =>
    done.filter((action) => action.type === type).map((action) => action.params as never);
  return {
    to,
    effects: {
      launch: paramsOf('xstate.spawnChild').some(({ src }) => src === 'launch'),
      signals: paramsOf('signal'),
      delays: paramsOf('xstate.raise').map(({ delay }) => delay),
      rested: paramsOf('xstate.sendTo').length,
    },
  };
}

/** What can make a difference from here on; counters are bounded, times left out. */
export function serialize({ value, context }: State): string {
  const { desired, leader, failures, refusals, wait, remains, clear, cleared, stop, policy } = context;
  const path = pathOf(value);
  const parts = [path, desired, leader === null ? 'nobody' : 'leader'];
  // A stop forgets the failures, and a run what had to be cleared.
  if (!path.startsWith('stop'))
    parts.push(`${Math.min(failures, 2)},${Math.min(refusals, 1)},${Math.sign(wait)}`);
  if (/^(missing|backoff|restarting)/.test(path)) parts.push(clear, String(cleared));
  if (path !== 'running') parts.push(`${remains.workers},${remains.tagged},${remains.sessions}`);
  return [...parts, stop.everything, policy.giveUpAfter].join(' ');
}

/** The last moment that the state knows of. */
export const nowOf = ({ since, diedAt, stop }: State['context']): number =>
  Math.max(since, diedAt ?? since, stop.at);

/** The timers that can be next: those of a stop follow each other. */
export function timersOf(state: State): AnyEvent[] {
  const path = pathOf(state.value);
  const next = { asking: 'askFor', terminating: 'killAfter', killing: 'budget' };
  return state._nodes
    .flatMap((node) => node.after.map(({ eventType }) => eventType))
    .filter((type) => {
      if (!path.startsWith('stopping.')) return true;
      return type.startsWith(`xstate.after.${next[path.split('.')[1] as keyof typeof next]}.`);
    })
    .map((type) => ({ type: type as `xstate.after.${string}` }));
}

/** Lives the events on a real actor with fakes for all its ports; `each` sees it after every one of them, with
 * what it has asked of the world since the one before. */
export function replay(
  { policy, found }: Entrant,
  events: readonly AnyEvent[],
  each: (live: Harness, index: number, asked: Harness['effects']) => void,
): void {
  const live = startCommand({ policy, found });
  for (const [index, event] of events.entries()) {
    const read = live.effects.length;
    if (event.type.startsWith('xstate.after.')) fire(live, event.type);
    else live.send(event as CommandEvent);
    each(live, index, live.effects.slice(read));
  }
  live.stop();
}

/** The timer itself, whatever else is due before it. */
function fire({ actor, clock }: Harness, timer: string): void {
  let fired = false;
  const watch = actor.system.inspect((inspected) => {
    fired ||= inspected.type === '@xstate.event' && inspected.event.type === timer;
  });
  while (!fired) {
    if (clock.pending() === 0) expect.fail(`${timer} is awaited`);
    clock.step();
  }
  watch.unsubscribe();
}
