/** All that the page has been told, as it is now. It knows no window and no socket. */
import type { CommandStatus } from '../../control/status.ts';
import type { Entry } from '../../output/journal.ts';
import type { FleetGroup, Hello, Message, ProcessView, SnapshotMessage, Taken } from '../protocol.ts';
import { Lanes } from './lanes.ts';
import { activeIn, type Machine, movesNamed, readMachine, valueText } from './machine.ts';
import { enteredBy } from './timers.ts';

export interface Actor {
  readonly sessionId: string;
  /** `command:web`. */
  readonly name: string;
  readonly parentId: string | undefined;
  /** null: it is none. */
  readonly machine: Machine | null;
  snapshot: Snapshot;
  /** When each of its active states was entered, ms since 1970, as far as that was seen. */
  entered: ReadonlyMap<string, number>;
  /** What its last event made of it; null: nothing yet. */
  last: Sent | null;
}

export interface Snapshot {
  readonly status: string;
  /** undefined: it is no machine. */
  readonly value: unknown;
  readonly context: unknown;
}

/** One event, and what it caused. */
export interface Sent {
  /** 1, 2, 3 … of this page. */
  readonly number: number;
  /** ms since 1970. */
  readonly time: number;
  readonly to: string;
  /** Session id; null: somebody from outside. */
  readonly from: string | null;
  /** What the two are called: who is no machine is soon forgotten. */
  readonly fromName: string;
  readonly toName: string;
  readonly event: { readonly type: string };
  /** null: not known yet. `taken`: by which way; undefined: nobody has told. */
  became: {
    readonly before: Snapshot;
    readonly after: Snapshot;
    readonly taken: Taken | undefined;
  } | null;
}

export interface Command {
  status: CommandStatus;
  /** ms since 1970 of these data. */
  at: number;
}

/** What has changed since somebody looked. */
export type Topic = 'hello' | 'fleet' | 'actors' | 'messages' | 'entries' | 'processes' | 'missed';

/** What is called so has no actor. */
export const OUTSIDE = 'outside';
/** So many events are kept. */
const KEPT = 5_000;

export class Store {
  hello: Hello | null = null;
  /** By session id. */
  readonly actors = new Map<string, Actor>();
  /** Session ids, by the name of the command or group. */
  readonly commandActors = new Map<string, string>();
  readonly groupActors = new Map<string, string>();
  rootId: string | null = null;
  readonly commands = new Map<string, Command>();
  names: readonly string[] = [];
  groups: readonly FleetGroup[] = [];
  /** Whether there has been any news of a fleet: without, these are somebody else's machines. */
  hasFleet = false;
  readonly sent: Sent[] = [];
  lanes = new Lanes();
  readonly entries: Entry[] = [];
  /** Entries that nobody keeps any more. */
  gone = 0;
  processes: readonly ProcessView[] = [];
  processesAt = 0;
  /** Messages that this page has missed. */
  missed = 0;
  /** By how many ms the other side's clock is ahead. */
  #ahead: number | null = null;
  #number = 0;
  readonly #pending = new Map<string, Sent[]>();
  readonly #changed = new Set<Topic>();
  readonly #machines = new Map<string, Machine | null>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** ms since 1970 as the other side counts it; of a recording, the time that is shown. */
  now(): number {
    if (this.hello?.mode === 'recording') return this.at ?? this.hello.to ?? this.#now();
    return this.#now() + (this.#ahead ?? 0);
  }

  /** Of a recording, what time is shown. */
  at: number | null = null;

  /** @returns what has changed since this was asked last */
  changes(): ReadonlySet<Topic> {
    const changed = new Set(this.#changed);
    this.#changed.clear();
    return changed;
  }

  get isChanged(): boolean {
    return this.#changed.size > 0;
  }

  apply(message: Message): void {
    switch (message.type) {
      case 'upkeep.hello':
        this.#begin(message);
        break;
      case 'upkeep.fleet':
        this.hasFleet = true;
        this.#measure(message.at);
        for (const status of message.commands) this.commands.set(status.name, { status, at: message.at });
        if (message.names !== null) {
          this.names = message.names;
          const there = new Set(message.names);
          for (const name of this.commands.keys()) if (!there.has(name)) this.commands.delete(name);
        }
        if (message.groups !== null) this.groups = message.groups;
        this.#changed.add('fleet');
        break;
      case 'upkeep.entries':
        this.#note(message.entries, message.gone);
        break;
      case 'upkeep.processes':
        this.processes = message.processes;
        this.processesAt = message.at;
        this.#changed.add('processes');
        break;
      case 'upkeep.missed':
        this.missed += message.messages;
        this.#changed.add('missed');
        break;
      case '@xstate.actor': {
        const { sessionId, name, parentId, definition } = message;
        const known = this.actors.get(sessionId);
        this.actors.set(sessionId, {
          sessionId,
          name,
          parentId,
          machine:
            message.like === undefined
              ? this.#machineOf(definition)
              : (this.actors.get(message.like)?.machine ?? null),
          snapshot: snapshotIn(message.snapshot),
          entered: new Map(),
          last: known?.last ?? null,
        });
        if (parentId === undefined) this.rootId ??= sessionId;
        if (name.startsWith('command:')) this.commandActors.set(name.slice('command:'.length), sessionId);
        else if (name.startsWith('group:')) {
          this.groupActors.set(name.replace(/^group:(?:\d+:)?/, ''), sessionId);
        }
        this.#changed.add('actors');
        break;
      }
      case '@xstate.event': {
        const time = Number(message.createdAt) || this.now();
        const sent = this.#send(message.sessionId, message.sourceId ?? null, message.event, time);
        const waiting = this.#pending.get(message.sessionId) ?? [];
        waiting.push(sent);
        // Of an actor that is no machine nothing may ever be told.
        if (waiting.length > 50) waiting.shift();
        this.#pending.set(message.sessionId, waiting);
        break;
      }
      case '@xstate.snapshot':
        this.#become(message);
        break;
      default:
      // Of a newer upkeep, or of somebody else.
    }
  }

  /** Everything is told anew; of one upkeep, what the timeline has shown stays. */
  #begin(hello: Hello): void {
    const before = this.hello;
    const stays =
      before !== null &&
      before.hostname === hello.hostname &&
      before.mode === hello.mode &&
      (hello.mode === 'recording'
        ? before.from === hello.from && before.to === hello.to
        : before.began === hello.began);
    this.hello = hello;
    // What is shown again is shown at the time that was chosen.
    if (hello.mode === 'recording') this.at = stays ? (this.at ?? hello.at) : hello.at;
    this.actors.clear();
    this.commandActors.clear();
    this.groupActors.clear();
    this.commands.clear();
    this.#pending.clear();
    this.rootId = null;
    this.names = [];
    this.groups = [];
    this.hasFleet = false;
    this.processes = [];
    if (!stays) {
      this.lanes = new Lanes();
      this.entries.length = 0;
      this.gone = 0;
      this.missed = 0;
    }
    if (!stays || hello.mode === 'recording') this.sent.length = 0;
    for (const topic of ['hello', 'fleet', 'actors', 'messages', 'entries', 'processes'] as const) {
      this.#changed.add(topic);
    }
  }

  #note(entries: readonly Entry[], gone: number): void {
    const last = this.lanes.last;
    const news = entries.filter(({ number }) => number > last);
    this.lanes.add(news);
    this.entries.push(...news);
    if (this.entries.length > 2 * KEPT) this.entries.splice(0, this.entries.length - KEPT);
    this.gone += gone;
    this.#changed.add('entries');
  }

  #measure(at: number): void {
    const ahead = at - this.#now();
    // A message is never early: the least that it was late is nearest to the truth.
    this.#ahead = this.#ahead === null ? ahead : Math.max(this.#ahead, ahead);
  }

  #machineOf(definition: string | undefined): Machine | null {
    if (definition === undefined) return null;
    let machine = this.#machines.get(definition);
    if (machine === undefined) {
      machine = readMachine(definition);
      this.#machines.set(definition, machine);
    }
    return machine;
  }

  #send(to: string, from: string | null, event: { readonly type: string }, time: number): Sent {
    const sent: Sent = {
      number: ++this.#number,
      time,
      to,
      from,
      fromName: from === null ? OUTSIDE : this.#nameOf(from),
      toName: this.#nameOf(to),
      event,
      became: null,
    };
    this.sent.push(sent);
    if (this.sent.length > 1.2 * KEPT) this.sent.splice(0, this.sent.length - KEPT);
    this.#changed.add('messages');
    return sent;
  }

  #nameOf(session: string): string {
    const actor = this.actors.get(session);
    return actor === undefined ? actorTitle(session) : this.titleOf(actor);
  }

  /** How a person calls it. The root of upkeep's own machines has no name but its session's. */
  titleOf({ sessionId, name }: Actor): string {
    return this.hello !== null && sessionId === this.rootId ? 'upkeep' : actorTitle(name);
  }

  #become({ sessionId, event, snapshot: raw, createdAt, taken }: SnapshotMessage): void {
    const actor = this.actors.get(sessionId);
    if (actor === undefined) return;
    const waiting = this.#pending.get(sessionId) ?? [];
    const index = waiting.findIndex((sent) => sent.event.type === event.type);
    const [found] = index < 0 ? [] : waiting.splice(index, 1);
    const after = snapshotIn(raw);
    const before = actor.snapshot;
    this.#changed.add('actors');
    if (event.type === '') {
      // How things are, after something was missed.
      actor.snapshot = after;
      actor.entered = new Map();
      this.#pending.delete(sessionId);
      return;
    }
    const changes = valueText(before.value) !== valueText(after.value);
    // Nobody sent what a machine tells itself: a delay that has passed.
    const sent =
      found ?? (changes ? this.#send(sessionId, sessionId, event, Number(createdAt) || this.now()) : null);
    actor.snapshot = after;
    const { machine } = actor;
    if (machine !== null) {
      const moves = taken === undefined ? [] : movesNamed(machine, taken);
      const [was, is] = [activeIn(machine, before.value), activeIn(machine, after.value)];
      actor.entered = enteredBy(actor.entered, was, is, Number(createdAt) || this.now(), moves);
    }
    if (sent !== null) {
      sent.became = { before, after, taken };
      actor.last = sent;
    }
    this.#changed.add('messages');
    if (after.status !== 'active' && actor.machine === null && actor.parentId !== undefined) {
      this.actors.delete(sessionId);
      this.#pending.delete(sessionId);
    }
  }
}

function snapshotIn(raw: unknown): Snapshot {
  if (typeof raw !== 'object' || raw === null)
    return { status: 'active', value: undefined, context: undefined };
  const { status, value, context } = raw as Partial<Snapshot>;
  return { status: typeof status === 'string' ? status : 'active', value, context };
}

/** `web`, `group shop`, `supervisor`: how a person calls it. */
function actorTitle(name: string): string {
  if (name.startsWith('command:')) return name.slice('command:'.length);
  const group = /^group:(?:\d+:)?(.*)$/.exec(name);
  if (group !== null) return `group ${group[1]}`;
  // XState's own name for who is invoked by a state.
  const invoked = /^\d+\..*?([^.]+)$/.exec(name);
  return invoked === null ? name : `invoked by ${invoked[1]}`;
}
