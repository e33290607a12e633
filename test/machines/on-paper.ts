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
import { stopStep } from '../../machines/command-books.ts';
import type { CommandEvent, CommandReached, CommandRole, Leader } from '../../machines/events.ts';
import type { CommandPolicy } from '../../machines/restart-policy.ts';
import { NO_ROLE } from '../../machines/tree.ts';
import { EXACT, type Harness, pathOf, process, startCommand } from './harness.ts';

export type State = SnapshotFrom<typeof commandMachine>;
export type AnyEvent = CommandEvent | { readonly type: `xstate.after.${string}` };

export interface Effects {
  readonly launch: boolean;
  readonly signals: readonly { readonly scope: string; readonly signal: string }[];
  readonly delays: readonly number[];
  readonly rested: number;
  readonly reached: readonly CommandReached['what'][];
  readonly probes: number;
}

export interface Entrant {
  readonly policy: Partial<CommandPolicy>;
  readonly found: Leader | null;
  readonly role?: CommandRole;
}

const READY = { timeout: 20_000, interval: 250 };
const HEALTH = { every: 30_000, timeout: 5_000, failures: 2, successes: 2, grace: 0 };
export const ENTRANTS: Record<string, Entrant> = {
  'by default': { policy: {}, found: null },
  'with an own stop command, adopted': { policy: { ownStop: true }, found: process(6) },
  'that gives up': { policy: { giveUpAfter: 2 }, found: null },
  'that runs once, with a retry': {
    policy: { kind: 'oneshot', restart: 'on-failure', giveUpAfter: 2 },
    found: null,
  },
  'of a schedule, that skips': {
    policy: { kind: 'cron', restart: 'on-failure', giveUpAfter: 2, overlap: 'skip' },
    found: null,
  },
  'of a schedule, that queues': {
    policy: { kind: 'cron', restart: 'on-failure', giveUpAfter: 1, overlap: 'queue' },
    found: null,
  },
  'of a schedule, that kills': {
    policy: { kind: 'cron', restart: 'on-failure', giveUpAfter: 2, overlap: 'kill' },
    found: null,
    role: { ...NO_ROLE, waits: true },
  },
  'with readiness': { policy: { ready: READY }, found: null },
  'with readiness, that returns, found': { policy: { ready: READY, returns: true }, found: process(6) },
  'with health, restarted': {
    policy: { health: { ...HEALTH, onUnhealthy: 'restart' }, giveUpAfter: 3 },
    found: null,
  },
  'with health, ignored': { policy: { health: { ...HEALTH, onUnhealthy: 'ignore' } }, found: null },
  'with health, failing': {
    policy: { ready: READY, health: { ...HEALTH, onUnhealthy: 'fail' } },
    found: null,
  },
  'never restarted': { policy: { restart: 'never' }, found: null },
  'restarted on failure': { policy: { restart: 'on-failure', successCodes: [0, 3] }, found: null },
  'of a bounded intensity': { policy: { intensity: { restarts: 2, within: 60_000 } }, found: null },
  'with signals in steps': {
    policy: {
      stopSignals: [
        { signal: 'SIGTERM', wait: 5_000 },
        { signal: 'SIGINT', wait: 2_000 },
        { signal: 'SIGKILL', wait: null },
      ],
    },
    found: null,
  },
  'in a group, that waits for others': {
    policy: { health: { ...HEALTH, onUnhealthy: 'restart' }, giveUpAfter: 2 },
    found: null,
    role: { waits: true, watched: true, grouped: true },
  },
};

/** What a machine is made with. */
const inputOf = ({ policy, found, role = NO_ROLE }: Entrant) => ({
  name: 'svc',
  policy: { ...EXACT, ...policy },
  seed: 1,
  found,
  role,
  rest: null,
});

const done: ExecutableActionObject[] = [];
const parent: AnyActorRef = createEmptyActor();
const self = createActor(commandMachine, {
  input: inputOf({ policy: {}, found: null }),
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

export const initial = (entrant: Entrant): State =>
  commandMachine.getInitialSnapshot(scope, inputOf(entrant)) as State;

export function step(from: State, event: AnyEvent): { to: State; effects: Effects } {
  done.length = 0;
  const to = transition(from, event);
  const paramsOf = (type: string) =>
    done.filter((action) => action.type === type).map((action) => action.params as never);
  const toParent = paramsOf('xstate.sendTo').map(
    ({ event: sent }) => sent as { type: string; what: CommandReached['what'] },
  );
  const begun = paramsOf('xstate.spawnChild').map(({ src }) => src as string);
  return {
    to,
    effects: {
      launch: begun.includes('launch'),
      signals: paramsOf('signal'),
      delays: paramsOf('xstate.raise').map(({ delay }) => delay),
      rested: toParent.filter(({ type }) => type === 'command.rested').length,
      reached: toParent.filter(({ type }) => type === 'command.reached').map(({ what }) => what),
      probes: begun.filter((src) => src === 'probe').length,
    },
  };
}

/** What can make a difference from here on; counters are bounded, times left out. */
export function serialize({ value, context }: State): string {
  const { desired, leader, failures, refusals, wait, remains, clear, cleared, stop, policy } = context;
  const { heat, doomed, bound, held, isReady, health, queued, endsSince } = context;
  const path = pathOf(value);
  const parts = [path, desired, leader === null ? 'nobody' : 'leader'];
  // A stop by order forgets the failures, and a run what had to be cleared.
  if (!path.startsWith('stop') || stop.faulted) {
    parts.push(`${Math.min(failures, policy.giveUpAfter ?? 2)},${Math.min(refusals, 1)},${Math.sign(wait)}`);
    if (policy.intensity !== null) parts.push(`${Math.min(Math.ceil(heat.restarts), 4)}`);
    if (doomed) parts.push('doomed');
  }
  if (/^(missing|backoff|restarting)/.test(path)) parts.push(String(clear), String(cleared));
  if (!path.startsWith('running')) parts.push(`${remains.workers},${remains.tagged},${remains.sessions}`);
  if (path.startsWith('stopping')) parts.push(`${stop.step},${stop.faulted},${stop.forGood},${stop.killed}`);
  parts.push(...(bound ? ['bound'] : []), ...(held ? ['held'] : []), ...(queued ? ['queued'] : []));
  if (path.startsWith('restarting.settling') && endsSince !== null) parts.push('ending');
  if (path.startsWith('running')) parts.push(isReady ? 'ready' : '', `${health.healthy},${health.inARow}`);
  return [...parts, stop.everything, policy.giveUpAfter].join(' ');
}

/** The last moment that the state knows of. */
export const nowOf = ({ since, diedAt, stop }: State['context']): number =>
  Math.max(since, diedAt ?? since, stop.at);

/** The timers that can be next: those of a stop follow each other. */
export function timersOf(state: State): AnyEvent[] {
  const path = pathOf(state.value);
  const terminating = stopStep(state.context).wait === null ? 'killAfter' : 'nextSignal';
  const killing = state.context.stop.killed === null ? 'budget' : 'leastAfterKill';
  const next = { asking: 'askFor', terminating, killing };
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
  { policy, found, role = NO_ROLE }: Entrant,
  events: readonly AnyEvent[],
  each: (live: Harness, index: number, asked: Harness['effects']) => void,
): void {
  const live = startCommand({ policy, found, role });
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
