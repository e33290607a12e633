/**
 * The actor system in the words of the Stately inspection protocol. What XState tells its inspectors is known here and nowhere
 * else in the room: its next version changes it.
 */
import type { AnyActorRef, AnyTransitionDefinition, InspectionEvent } from 'xstate';
import { jsonOf } from './json.ts';
import type { StatelyMessage, Taken, Way } from './protocol.ts';

/** Of `@statelyai/inspect`, whose messages these are. */
const VERSION = '0.7.2';

/** For others it is only known by this room's functions. */
export type Actor = AnyActorRef;

/** What has happened to an actor; what there is to tell of it is made of it later, if anybody is to be told. */
export type Happening = { readonly at: number; readonly actor: Actor } & (
  | { readonly what: 'actor'; snapshot: unknown }
  | { readonly what: 'event'; readonly event: Event; readonly source: Actor | undefined }
  | {
      readonly what: 'snapshot';
      readonly event: Event;
      readonly snapshot: unknown;
      readonly taken: Taken | undefined;
    }
);

type Event = { readonly type: string };

/** Tells what happens from now on. @returns ends that */
export function observe(
  root: Actor,
  wallClock: () => number,
  hear: (happening: Happening) => void,
): () => void {
  /** Those that have no snapshot yet when they are told of. */
  const fresh = new WeakMap<object, { snapshot: unknown }>();
  /** What machines have done since they were last at rest. */
  const taking = new WeakMap<object, { ways: Way[]; actions: string[] }>();
  const takenBy = (actor: Actor): { ways: Way[]; actions: string[] } => {
    const taken = taking.get(actor) ?? { ways: [], actions: [] };
    taking.set(actor, taken);
    return taken;
  };
  const next = (event: InspectionEvent): void => {
    const actor = event.actorRef as Actor;
    const at = wallClock();
    switch (event.type) {
      case '@xstate.actor': {
        const happening: Happening = { at, actor, what: 'actor', snapshot: undefined };
        fresh.set(actor, happening);
        hear(happening);
        break;
      }
      case '@xstate.event': {
        const begun = fresh.get(actor);
        if (begun !== undefined) {
          begun.snapshot = actor.getSnapshot();
          fresh.delete(actor);
        }
        hear({ at, actor, what: 'event', event: event.event, source: event.sourceRef as Actor });
        break;
      }
      case '@xstate.microstep':
        takenBy(actor).ways.push(...event._transitions.map(wayOf));
        break;
      case '@xstate.action':
        takenBy(actor).actions.push(event.action.type);
        break;
      case '@xstate.snapshot': {
        const { event: of, snapshot } = event;
        const taken = machineOf(actor) === null ? undefined : takenBy(actor);
        taking.delete(actor);
        hear({ at, actor, what: 'snapshot', event: of, snapshot, taken });
      }
    }
  };
  // What an observer throws would stay in the mailbox of whoever was being observed, and nothing would be taken out of it again.
  const { unsubscribe } = root.system.inspect((event: InspectionEvent) => {
    try {
      next(event);
    } catch {
      // Somebody misses a message.
    }
  });
  return unsubscribe;
}

/** XState hands out the very transitions of its states. */
function wayOf(transition: AnyTransitionDefinition): Way {
  const { source, eventType } = transition;
  const others = eventType === '' ? source.always : source.transitions.get(eventType);
  return { from: source.id, event: eventType, index: others?.indexOf(transition) ?? 0 };
}

/** All that are there, parents first. */
export function actorsOf(root: Actor): Actor[] {
  const found: Actor[] = [root];
  for (const actor of found) {
    const { children = {} } = actor.getSnapshot() as {
      children?: Readonly<Record<string, Actor | undefined>>;
    };
    for (const child of Object.values(children)) if (child !== undefined) found.push(child);
  }
  return found;
}

export const sessionOf = (actor: Actor): string => actor.sessionId;
/** The actor's id within its parent. */
export const nameOf = (actor: Actor): string => actor.id;
/** The same for all actors of one machine; null: it is no machine. */
export const machineOf = (actor: Actor): object | null => {
  const { logic } = actor as { logic?: { config?: unknown } };
  return logic !== undefined && typeof logic.config === 'object' ? logic : null;
};
/** It has not come to its end, says this snapshot of it. */
export const isActive = (snapshot: unknown): boolean =>
  (snapshot as { readonly status?: string } | undefined)?.status === 'active';

export interface Scribe {
  /** The actor is there. `like`: in place of its definition, the session that was told with the same one. */
  readonly actor: (actor: Actor, at: number, snapshot: unknown, like?: string) => string;
  readonly event: (happening: Extract<Happening, { what: 'event' }>) => string;
  /** @param taken what upkeep's own page is told more */
  readonly snapshot: (actor: Actor, at: number, event: Event, snapshot: unknown, taken?: Taken) => string;
}

/** Writes messages. What does not change between two of them is written once. @param redact takes out what nobody should be shown */
export function createScribe(root: Actor, redact: (text: string) => string): Scribe {
  const definitions = new WeakMap<object, string>();
  const snapshots = new WeakMap<object, string>();
  const values = new WeakMap<object, string>();
  let last = 0;

  const message = (actor: Actor, at: number, type: StatelyMessage['type'], rest: string): string =>
    redact(
      `{"type":"${type}","rootId":${JSON.stringify(root.sessionId)},"sessionId":${JSON.stringify(actor.sessionId)},` +
        `"createdAt":"${at}","id":"${++last}","_version":"${VERSION}",${rest}}`,
    );
  const json = (value: unknown): string => jsonOf(value, redact);

  function definitionOf(machine: object): string {
    return memoised(definitions, machine, () => {
      const { config } = machine as { config: unknown };
      // The configuration itself is whole: whoever draws it needs all of it.
      const text = JSON.stringify(config, (_, value) =>
        typeof value === 'function' ? { type: value.name } : value,
      );
      return JSON.stringify(text);
    });
  }

  function snapshotOf(snapshot: unknown): string {
    if (typeof snapshot !== 'object' || snapshot === null) return json(snapshot);
    return memoised(snapshots, snapshot, () => objectOf(snapshot, partOf));
  }

  /** One part of a snapshot. */
  function partOf(key: string, value: unknown): string | null {
    // The machine, and XState's own.
    if (key === 'machine' || key.startsWith('_') || typeof value === 'function') return null;
    return key === 'context' && typeof value === 'object' && value !== null
      ? objectOf(value, (_, each) => textOf(each))
      : textOf(value);
  }

  /** Contexts are never changed, but made anew of parts of which most are the same. */
  function textOf(value: unknown): string {
    return typeof value === 'object' && value !== null
      ? memoised(values, value, () => json(value))
      : json(value);
  }

  return {
    actor(actor, at, snapshot, like) {
      const machine = machineOf(actor);
      const parent = (actor as { _parent?: Actor })._parent?.sessionId;
      const definition =
        like !== undefined
          ? `"like":${JSON.stringify(like)},`
          : machine === null
            ? ''
            : `"definition":${definitionOf(machine)},`;
      const above = parent === undefined ? '' : `"parentId":${JSON.stringify(parent)},`;
      const rest = `"name":${JSON.stringify(actor.id)},${above}${definition}"snapshot":${snapshotOf(snapshot)}`;
      return message(actor, at, '@xstate.actor', rest);
    },
    event({ actor, at, event, source }) {
      const from = source === undefined ? '' : `,"sourceId":${JSON.stringify(source.sessionId)}`;
      return message(actor, at, '@xstate.event', `"event":${json(event)}${from}`);
    },
    snapshot(actor, at, event, snapshot, taken) {
      const more = taken === undefined ? '' : `,"taken":${JSON.stringify(taken)}`;
      const rest = `"event":${json(event)},"snapshot":${snapshotOf(snapshot)}${more}`;
      return message(actor, at, '@xstate.snapshot', rest);
    },
  };
}

function objectOf(value: object, partOf: (key: string, value: unknown) => string | null): string {
  const parts: string[] = [];
  for (const [key, each] of Object.entries(value)) {
    const text = each === undefined ? null : partOf(key, each);
    if (text !== null) parts.push(`${JSON.stringify(key)}:${text}`);
  }
  return `{${parts.join(',')}}`;
}

function memoised<K extends object>(known: WeakMap<K, string>, key: K, make: () => string): string {
  let text = known.get(key);
  if (text === undefined) {
    text = make();
    known.set(key, text);
  }
  return text;
}
