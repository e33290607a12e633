/** What of XState's inspection goes into a recording: what the machines are told from outside, and what comes of it. */
import type { ActorRefLike, AnyActorRef, InspectionEvent } from 'xstate';
import type { Became, Did, Heard } from './recording.ts';

type Untimed<T> = Omit<T, 'at' | 'time'>;
export type Traced = Untimed<Heard> | Untimed<Became> | Untimed<Did>;

export interface Trace {
  readonly inspect: (event: InspectionEvent) => void;
  /** When the machine of that path came into the first level of its state, monotonic ms. */
  readonly sinceOf: (path: string) => number;
  /** It is there from the beginning on, in that state. */
  readonly presume: (path: string, value: unknown, since: number) => void;
}

/** An actor, as far as XState shows it to nobody but itself. */
interface Ref extends ActorRefLike {
  readonly id: string;
  readonly _parent?: Ref;
}

const paths = new WeakMap<object, string>();

/** Ids below the root, with `/` between them. */
export function pathOf(actor: ActorRefLike): string {
  const ref = actor as Ref;
  let path = paths.get(ref);
  if (path === undefined) {
    const above = ref._parent === undefined ? null : pathOf(ref._parent);
    path = above === null ? '' : above === '' ? ref.id : `${above}/${ref.id}`;
    paths.set(ref, path);
  }
  return path;
}

/** Not a port: what it does is decided by machines/. */
export function isMachine(actor: ActorRefLike): boolean {
  const snapshot = (actor as Ref).getSnapshot() as object | undefined;
  return snapshot !== undefined && 'value' in snapshot;
}

/** Its children, by their ids. */
export function childrenOf(actor: AnyActorRef): Readonly<Record<string, AnyActorRef>> {
  return (actor.getSnapshot() as { children?: Record<string, AnyActorRef> }).children ?? {};
}

/** `running.ready.pausing` of `{running: {ready: 'pausing'}}`. */
function stateOf(value: unknown): string {
  if (typeof value === 'string') return value;
  const [[first, below] = ['', '']] = Object.entries(value as object);
  return `${first}.${stateOf(below)}`;
}

const PORT_ACTIONS: ReadonlySet<string> = new Set(['tell', 'signal', 'reload']);
const firstOf = (state: string): string => state.split('.', 1)[0]!;

/** @param now monotonic ms */
export function createTrace(emit: (what: Traced) => void, now: () => number): Trace {
  const states = new Map<string, { state: string; since: number }>();
  /** Ports that are being started just now: what they say is heard within the step that starts them. */
  const starting = new WeakSet<object>();

  function became(actor: ActorRefLike, snapshot: { status: string; value: unknown }): void {
    const of = pathOf(actor);
    const before = states.get(of);
    if (snapshot.status === 'stopped') {
      if (states.delete(of)) emit({ of, state: null });
      return;
    }
    const state = stateOf(snapshot.value);
    if (before?.state === state) return;
    const stays = before !== undefined && firstOf(before.state) === firstOf(state);
    states.set(of, { state, since: stays ? before.since : now() });
    emit({ of, state });
  }

  return {
    inspect(inspected) {
      const { actorRef } = inspected;
      switch (inspected.type) {
        case '@xstate.event': {
          const { event, sourceRef } = inspected;
          if (event.type === 'xstate.init') {
            if (!isMachine(actorRef)) starting.add(actorRef);
          } else if (isMachine(actorRef) && actorRef.getSnapshot().status === 'active') {
            const from = sourceRef as Ref | undefined;
            const to = pathOf(actorRef);
            if (from === undefined) emit({ to, from: null, event });
            else if (from === actorRef) emit({ to, from: 'timer', event });
            else if (!isMachine(from)) {
              emit({ to, from: from.id, event, ...(starting.has(from) ? { now: true } : {}) });
            }
          }
          break;
        }
        case '@xstate.snapshot': {
          const snapshot = inspected.snapshot as unknown as { status: string; value: unknown };
          if ('value' in snapshot) became(actorRef, snapshot);
          else starting.delete(actorRef);
          break;
        }
        case '@xstate.action': {
          const { type, params } = inspected.action;
          if (PORT_ACTIONS.has(type)) emit({ of: pathOf(actorRef), did: type, with: params });
          break;
        }
      }
    },
    sinceOf: (path) => states.get(path)?.since ?? now(),
    presume: (path, value, since) => void states.set(path, { state: stateOf(value), since }),
  };
}
