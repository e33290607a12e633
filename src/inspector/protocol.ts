/**
 * What a viewer is told, one JSON text a WebSocket message. The first three are the Stately inspection protocol as
 * `@statelyai/inspect` 0.7 sends it, so that any viewer of it can be used; what begins with `upkeep.` is for upkeep's own page,
 * and others ignore it.
 *
 * The page is at `/#token=TOKEN`. Its WebSocket, `/ws?token=TOKEN`, is told all of it; any other viewer connects to
 * `/?token=TOKEN`, and is told the first three alone.
 */
import type { CommandStatus } from '../control/status.ts';
import type { Entry } from '../output/journal.ts';

interface Inspected {
  /** Of the root actor. */
  readonly rootId: string;
  /** Of the actor that this is of. */
  readonly sessionId: string;
  /** Time of day, ms since 1970, as a text. */
  readonly createdAt: string;
  readonly id: string;
  readonly _version: string;
}

/** An actor is there. A late viewer gets one for each that there is, parents first, before anything else. */
export interface ActorMessage extends Inspected {
  readonly type: '@xstate.actor';
  /** The actor's id within its parent: `command:web`. */
  readonly name: string;
  readonly parentId: string | undefined;
  readonly snapshot: unknown;
  /** The machine's configuration, JSON; undefined: it is no machine, or that of `like`. */
  readonly definition: string | undefined;
  /** To upkeep's own page alone, where it was told the same definition before: the session that it was told with. */
  readonly like?: string;
}

/** `sourceId` sent `event` to `sessionId`. */
export interface EventMessage extends Inspected {
  readonly type: '@xstate.event';
  readonly event: { readonly type: string };
  readonly sourceId: string | undefined;
}

/** What became of it. */
export interface SnapshotMessage extends Inspected {
  readonly type: '@xstate.snapshot';
  readonly event: { readonly type: string };
  readonly snapshot: unknown;
  /** To upkeep's own page alone; absent: it is no machine, or this tells only how things are, after messages were missed. */
  readonly taken?: Taken;
}

/** What a machine did with one event, from its arrival until the machine was at rest again. */
export interface Taken {
  /** The transitions taken, in order, those without an event included. None: it has no use for the event. */
  readonly ways: readonly Way[];
  /** Types of the actions carried out, in order: XState's own too, as `xstate.raise`, but no `assign`, of which it does not tell. */
  readonly actions: readonly string[];
}

/** One transition of a definition. */
export interface Way {
  /** Id of the state that it leads from: `command.running.ready`, or the state's own where the definition gives it one. */
  readonly from: string;
  /** The event that it waits for, as the state names it: a key of `on`, wildcards included; `xstate.after.DELAY.STATE`,
   * `xstate.done.actor.ID` and the like; empty: `always`. */
  readonly event: string;
  /** Which of that state's transitions for that event, from 0 on. */
  readonly index: number;
}

export type StatelyMessage = ActorMessage | EventMessage | SnapshotMessage;

/** The first message to a viewer: whom it is talking to. */
export interface Hello {
  readonly type: 'upkeep.hello';
  readonly version: 1;
  /** upkeep's own. */
  readonly upkeep: string;
  /** `recording`: a file is shown, and nobody can be ordered anything. */
  readonly mode: 'live' | 'recording';
  /** Orders and signals are taken from this viewer. */
  readonly orders: boolean;
  readonly hostname: string;
  /** ms since 1970 when upkeep began. */
  readonly began: number;
  /** Of a recording, ms since 1970: what the scrubber spans. Of a live one all three are null. */
  readonly from: number | null;
  readonly to: number | null;
  /** Of a recording, ms since 1970: the time that is shown. */
  readonly at: number | null;
  /** What a replay of the recording came to; null: it is live. */
  readonly replay: { readonly differs: string | null } | null;
}

/** All commands and groups, anew whenever something of them has changed, and at least as often as a countdown needs no help. */
export interface FleetMessage {
  readonly type: 'upkeep.fleet';
  /** ms since 1970 of these data. */
  readonly at: number;
  /** Those that changed since the last such message to this viewer; the first has them all. */
  readonly commands: readonly CommandStatus[];
  /** In their order; null: as before. */
  readonly names: readonly string[] | null;
  /** In the order in which they nest, those at the top first; null: as before. */
  readonly groups: readonly FleetGroup[] | null;
}

export interface FleetGroup {
  readonly name: string;
  /** null: it is at the top. */
  readonly parent: string | null;
  readonly strategy: string;
  /** Names of commands directly in it. */
  readonly commands: readonly string[];
}

/** Transitions, launches, exits, probes and orders, as `upkeep events` tells them, oldest first. */
export interface EntriesMessage {
  readonly type: 'upkeep.entries';
  readonly entries: readonly Entry[];
  /** So many before these are kept no more. */
  readonly gone: number;
}

/** The namespace's processes: anew, about once a second, to who asked for them. */
export interface ProcessesMessage {
  readonly type: 'upkeep.processes';
  readonly at: number;
  readonly processes: readonly ProcessView[];
}

export interface ProcessView {
  readonly pid: number;
  readonly ppid: number;
  readonly name: string;
  /** One letter, as in /proc/PID/stat; `Z` is a zombie. */
  readonly state: string;
  readonly argv: readonly string[];
  /** ms since 1970. */
  readonly since: number;
  /** Whose it is; null: nobody's. */
  readonly command: string | null;
  readonly part: 'upkeep' | 'leader' | 'member' | 'launcher' | 'refused' | null;
  /** The rule that says so, in words; null: none was asked. */
  readonly because: string | null;
}

/** This viewer was too slow, and has missed so many messages. */
export interface MissedMessage {
  readonly type: 'upkeep.missed';
  readonly messages: number;
}

export type UpkeepMessage = Hello | FleetMessage | EntriesMessage | ProcessesMessage | MissedMessage;
export type Message = StatelyMessage | UpkeepMessage;

/** What a viewer may say. */
export type Wanted =
  /** Whether it is to be told `upkeep.processes`. */
  | { readonly type: 'processes'; readonly wanted: boolean }
  /** Of a recording: show what was at that time, ms since 1970. Everything is told anew. */
  | { readonly type: 'seek'; readonly at: number };

/** The body of `POST /order`, with the token in the header `x-upkeep-token`; answered like the control socket's orders. */
export type Ordered =
  | { readonly order: 'start' | 'stop' | 'restart' | 'reload'; readonly command: string }
  | { readonly order: 'signal'; readonly command: string; readonly signal: string };
