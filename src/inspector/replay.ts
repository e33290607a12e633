/**
 * Runs the machines again from a recording. They are pure: told the same, they do the same. The world's part is played from the
 * file, timers fire where they have fired, and what comes of it is held against what was recorded.
 */
import { Observable } from 'rxjs';
import {
  type ActorRefLike,
  type AnyActorRef,
  type EventObject,
  fromCallback,
  fromEventObservable,
  type InspectionEvent,
} from 'xstate';
import type { ScanReport, Telling } from '../../machines/events.ts';
import type { Inside } from '../control/inside.ts';
import { createStates } from '../inside.ts';
import { createCrashes, type ToldOfDeath } from '../output/crash.ts';
import { createJournal, type Journal } from '../output/journal.ts';
import type { Became, Did, Heard, Kept, Noted, Numbered, Part, Recording } from './recording.ts';
import { createRoot, type Ports, type Root } from './root.ts';
import { createTrace, pathOf, type Traced } from './trace.ts';
import { insideOf } from './view.ts';

export interface Replay {
  /** Time of day, ms since 1970, that is shown. */
  readonly time: () => number;
  /** The root as it was at that time: live, with all its actors below it, and nothing happens by itself. */
  readonly root: Root;
  /** What a running upkeep's inspector would be given: states, journal (entries with the times of day of the recording),
   * crashes. Orders to it do nothing. */
  readonly inside: Inside;
  /** The first line from which on the machines did something else than what was recorded; null: none so far. */
  readonly differs: () => Difference | null;
  /** Goes on to that time of day, in the same part of the recording; not backwards. By so many lines at most. @returns it is there */
  readonly advance: (until: number, most?: number) => boolean;
  /** What has agreed so far. */
  readonly counts: () => Counts;
  /** See Trace. */
  readonly sinceOf: (path: string) => number;
}

/** Where a replay and its recording part. */
export interface Difference {
  /** In the file. */
  readonly line: number;
  readonly recorded: string;
  readonly replayed: string;
}

export interface Counts {
  /** What reached the machines from outside. */
  readonly events: number;
  readonly transitions: number;
  /** Tellings, signals, reloads. */
  readonly effects: number;
  /** Machines that there were. */
  readonly machines: number;
}

export interface ReplayOptions {
  /** Time of day, ms since 1970; default: the end. */
  readonly until?: number;
  /** What is replayed, by its index; default: the part that this time is in. */
  readonly part?: number;
  /** As XState's `inspect`, from the first actor on. */
  readonly inspect?: (event: InspectionEvent) => void;
}

/** What is told by others than the machines. */
const FROM_OUTSIDE: ReadonlySet<string> = new Set([
  'upkeep.started',
  'upkeep.notice',
  'operator.ordered',
  'supervisor.stopped',
]);

const isFromOutside = (line: Numbered): boolean => 'told' in line && FROM_OUTSIDE.has(line.told.type);

/** The clock of timers is coarser than that of events, ms. */
const TOO_EARLY = 3;

/** The state of a recording at a time. Takes as long as it takes to run all that came before in that part: the journal has what was
 * told in the parts before, but not their transitions. */
export function replay(
  recording: Recording,
  { until = Number.POSITIVE_INFINITY, part = partAt(recording, until), inspect }: ReplayOptions = {},
): Replay {
  const before = recording.parts.slice(0, part).flatMap(({ lines }) => lines);
  const replayed = replayPart(recording.parts[part]!, inspect, before);
  replayed.advance(until);
  return replayed;
}

/** Index of the part that this time is in. */
export function partAt({ parts }: Recording, time: number): number {
  return Math.max(
    0,
    parts.findLastIndex(({ header }) => header.time <= time),
  );
}

/** For a human: where it differs, and in what. */
export function differenceText({ line, recorded, replayed }: Difference): string {
  return `line ${line}: recorded was ${recorded}, but the machines came to ${replayed}`;
}

/** One part of a recording, at its beginning. @param before lines of the parts before it, for the journal */
export function replayPart(
  { header, lines }: Part,
  inspect: (event: InspectionEvent) => void = () => {},
  before: readonly Numbered[] = [],
): Replay {
  let cursor = 0;
  let at = header.at;
  let time = header.time;
  /** When the last event reached a machine, and the latest that there was. */
  let cause: Pick<Numbered, 'at' | 'time'> = header;
  let latest = header.at;
  let difference: Difference | null = null;
  /** While what was there is put up again, nothing is news. */
  let restoring = 'root' in header.start;
  const counts = { events: 0, transitions: 0, effects: 0, machines: 0 };
  const actors = new Map<string, AnyActorRef>();
  const journal = createJournal({ wallClock: () => time });
  const heard: Journal = { ...journal, note: (what) => restoring || journal.note(what) };
  const states = createStates(heard, () => at);
  /** What was found out about a death that is being told. */
  let findings: ToldOfDeath | null = null;
  const crashes = createCrashes({
    examine: () => ({ oom: findings?.oom ?? null, peak: findings?.peak ?? null }),
    tail: () => [],
    wallClock: () => new Date(time),
  });
  const trace = createTrace(compare, () => (header.version === 1 ? at : cause.at));

  const note = (told: ToldOfDeath): void => heard.note(crashes.hear(told) as ToldOfDeath);

  function differ(line: Numbered | undefined, recorded: string, replayed: string): void {
    difference ??= { line: line?.line ?? lines.at(-1)?.line ?? 1, recorded, replayed };
  }

  /** Notices and the like: nothing that the machines did. */
  function skipNoted(): void {
    for (let line = lines[cursor]; line !== undefined && 'told' in line; line = lines[cursor]) {
      if (!isFromOutside(line)) differ(line, `${line.told.type} told`, 'nothing');
      noteNext();
    }
  }

  function noteNext(): void {
    const line = lines[cursor++] as Numbered & Noted;
    keepTime(line);
    note(line.told);
  }

  function keepTime(line: Numbered): void {
    const isOutcome = header.version > 1 && ('state' in line || 'did' in line);
    if (isOutcome ? line.at !== cause.at || line.time !== cause.time : line.at < latest) {
      const was = ({ at: ms, time: ofDay }: Pick<Numbered, 'at' | 'time'>): string => `at ${ms} ms, ${ofDay}`;
      differ(
        line,
        `${textOf(line)} ${was(line)}`,
        isOutcome ? `it ${was(cause)}` : `${latest} ms before that`,
      );
    }
    if ('to' in line) cause = line;
    latest = Math.max(latest, line.at);
    at = Math.max(at, line.at);
    time = Math.max(time, line.time);
  }

  function compare(what: Traced): void {
    if (restoring || 'to' in what) return;
    if ('state' in what) counts.transitions++;
    else counts.effects++;
    if (difference !== null) return;
    skipNoted();
    const line = lines[cursor];
    // What came of the last event may not have been written any more.
    if (line === undefined) return;
    keepTime(line);
    if (isSame(line, what)) cursor++;
    else differ(line, textOf(line), textOf(what));
  }

  /** What was told in other parts. */
  function recall(): void {
    for (const [index, line] of before.entries()) {
      const next = before[index + 1];
      at = line.at;
      time = line.time;
      if ('told' in line) {
        findings = line.told;
        journal.note(crashes.hear(line.told));
      } else if ('did' in line && line.did === 'tell') {
        const told = { at, ...(line.with as Telling) } as ToldOfDeath;
        // The line behind it has more to tell of the same.
        if (next === undefined || !('told' in next) || next.told.type !== told.type) {
          journal.note(crashes.hear(told));
        }
      }
    }
    findings = null;
    at = header.at;
    time = header.time;
  }
  recall();

  const ports: Ports = {
    launch: fromCallback<EventObject, { command: string }>(playPort),
    stopper: fromCallback<EventObject, { command: string }>(playPort),
    probe: fromCallback<EventObject, { command: string; which: 'ready' | 'health' }>(playPort),
    schedule: fromCallback<EventObject, { command: string }>(playPort),
    scan: fromEventObservable<ScanReport, { commands: readonly string[] }>(
      ({ self }) =>
        new Observable<ScanReport>((subscriber) =>
          playPort({ self, sendBack: (event) => subscriber.next(event as unknown as ScanReport) }),
        ),
    ),
    tell(telling: Telling) {
      const told = { ...telling, at } as ToldOfDeath;
      // What a service has said last is read first, and a notice may come of that.
      let next = cursor;
      for (let line = lines[next]; line !== undefined && isFromOutside(line); line = lines[next]) next++;
      const ahead = lines[next];
      const isFoundOut =
        difference === null && ahead !== undefined && 'told' in ahead && ahead.told.type === telling.type;
      if (isFoundOut) {
        while (lines[cursor] !== ahead) noteNext();
        findings = ahead.told;
        const { at: _, oom: __, peak: ___, ...recorded } = ahead.told;
        if (!agrees(plain(recorded), plain(telling))) {
          differ(ahead, JSON.stringify(recorded), JSON.stringify(telling));
        }
        keepTime(ahead);
        cursor++;
      }
      note(told);
      findings = null;
    },
    signal: () => {},
    reload: () => {},
  };

  /** What a port has said at once when it was started. */
  function playPort({
    self,
    sendBack,
  }: {
    self: ActorRefLike;
    sendBack: (event: EventObject) => void;
  }): void {
    const path = pathOf(self);
    const slash = path.lastIndexOf('/');
    const to = path.slice(0, Math.max(0, slash));
    const from = path.slice(slash + 1);
    for (;;) {
      skipNoted();
      const line = lines[cursor];
      if (line === undefined || !('to' in line) || !line.now || line.to !== to || line.from !== from) return;
      cursor++;
      counts.events++;
      keepTime(line);
      sendBack(line.event);
    }
  }

  const timers = createTimers(() => at);
  const root = createRoot(
    ports,
    'root' in header.start ? { kept: header.start.root } : header.start,
    timers.clock,
    (event) => {
      if (event.type === '@xstate.actor') {
        actors.set(pathOf(event.actorRef), event.actorRef as AnyActorRef);
        if (isMachineId((event.actorRef as AnyActorRef).id)) counts.machines++;
      }
      trace.inspect(event);
      // A command's state began when it was recorded to have.
      const now = at;
      if (restoring) at = trace.sinceOf(pathOf(event.actorRef));
      states.inspect(event);
      at = now;
      inspect(event);
    },
  );
  counts.machines++;
  // What a machine of ours cannot bear is a difference, and no end of ours.
  root.subscribe({
    error: (error) => differ(lines[cursor], 'no error', `an error: ${(error as Error).message ?? error}`),
  });
  timers.attach(root);
  if ('root' in header.start) {
    presume(header.start.root, '');
    root.start();
    for (const { of, event } of header.start.timers) {
      const actor = actors.get(of);
      // When it began is not known: it may fire at any time.
      if (actor !== undefined) root.system.scheduler.schedule(actor, actor, { type: event }, 0, event);
    }
    restoring = false;
  } else root.start();

  function presume(kept: Kept, path: string): void {
    trace.presume(path, kept.value, kept.since);
    for (const each of kept.machines) presume(each, path === '' ? each.id : `${path}/${each.id}`);
  }

  function play(line: Numbered & Heard): void {
    counts.events++;
    const actor = actors.get(line.to);
    if (actor === undefined) {
      differ(line, textOf(line), `no machine ${line.to}`);
      return;
    }
    if (line.from === 'timer') {
      const timer = timers.take(actor, line.event.type);
      if (timer !== null && timer.due <= line.at + TOO_EARLY) timer.fire();
      else {
        const why =
          timer === null ? 'no such timer' : `one that is due ${Math.round(timer.due - line.at)} ms later`;
        differ(line, textOf(line), why);
        actor.send(line.event);
      }
      return;
    }
    // XState shows who it is from.
    const source =
      line.from === null ? undefined : actors.get(line.to === '' ? line.from : `${line.to}/${line.from}`);
    if (line.from !== null && source?.getSnapshot().status !== 'active') {
      differ(line, textOf(line), `no ${line.from} that is under way`);
    }
    relay(source, actor, line.event);
  }

  function advance(until: number, most = Number.POSITIVE_INFINITY): boolean {
    const end = cursor + most;
    for (;;) {
      const line = lines[cursor];
      if (line === undefined || line.time > until) break;
      if (cursor >= end) return false;
      if ('told' in line) skipNoted();
      else if ('to' in line) {
        cursor++;
        keepTime(line);
        play(line);
      } else {
        // Nothing has come of the event before that is like it.
        differ(line, textOf(line), 'nothing');
        cursor++;
      }
    }
    if (Number.isFinite(until) && until > time) {
      at += until - time;
      time = until;
    }
    return true;
  }

  const inside = insideOf({
    root,
    states,
    journal,
    crashesOf: crashes.of,
    version: header.by,
    now: () => at,
    timeOf: (monotonic) => time - (at - monotonic),
  });

  return {
    time: () => time,
    root,
    inside,
    differs: () => difference,
    advance,
    counts: () => counts,
    sinceOf: trace.sinceOf,
  };
}

/** As if the source had sent it. */
function relay(source: AnyActorRef | undefined, actor: AnyActorRef, event: EventObject): void {
  const system = actor.system as unknown as {
    _relay: (source: AnyActorRef | undefined, target: AnyActorRef, event: EventObject) => void;
  };
  system._relay(source, actor, event);
}

const isMachineId = (id: string): boolean => /^(?:group|command):/.test(id);

/** Timers that fire when they are told to. */
function createTimers(now: () => number) {
  const pending = new Map<string, { readonly due: number; readonly fire: () => void }>();
  let key = '';
  const keyOf = (actor: ActorRefLike, id: string | undefined): string => `${actor.sessionId} ${id}`;
  return {
    clock: {
      setTimeout(fire: () => void, ms: number): string {
        pending.set(key, { due: now() + ms, fire });
        return key;
      },
      clearTimeout: (timer: string) => void pending.delete(timer),
    },
    /** XState does not tell its clock whose timer it is. */
    attach({ system: { scheduler } }: Root): void {
      const { schedule } = scheduler;
      scheduler.schedule = (source, target, event, delay, id) => {
        key = keyOf(source, id);
        schedule(source, target, event, delay, id);
      };
    },
    /** null: there is none. */
    take(actor: ActorRefLike, id: string) {
      const timer = pending.get(keyOf(actor, id)) ?? null;
      pending.delete(keyOf(actor, id));
      return timer;
    },
  };
}

function isSame(line: Numbered, what: Traced): boolean {
  if ('state' in what) return 'state' in line && line.of === what.of && line.state === what.state;
  if (!('did' in what) || !('did' in line)) return false;
  return line.of === what.of && line.did === what.did && agrees(plain(line.with), plain(what.with));
}

/** What was secret is three stars in what was recorded, and may be anything. */
function agrees(recorded: unknown, replayed: unknown): boolean {
  if (typeof recorded === 'string') return typeof replayed === 'string' && isText(recorded, replayed);
  if (typeof recorded !== 'object' || typeof replayed !== 'object') return recorded === replayed;
  if (recorded === null || replayed === null) return recorded === replayed;
  const [keys, others] = [Object.keys(recorded), Object.keys(replayed)];
  return (
    Array.isArray(recorded) === Array.isArray(replayed) &&
    keys.length === others.length &&
    keys.every(
      (key) =>
        Object.hasOwn(replayed, key) &&
        agrees((recorded as Record<string, unknown>)[key], (replayed as Record<string, unknown>)[key]),
    )
  );
}

/** That the text is what was recorded, with anything in place of three stars. */
export function isText(recorded: string, text: string): boolean {
  if (recorded === text) return true;
  const [first = '', ...rest] = recorded.split('***');
  const last = rest.pop();
  if (last === undefined || !text.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return text.endsWith(last) && text.length - last.length >= at;
}

/** As it comes out of a file: without what is undefined. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null));

const nameOf = (path: string): string => (path === '' ? 'the root' : path.slice(path.lastIndexOf('/') + 1));

function textOf(what: Traced | Numbered): string {
  if ('to' in what) {
    const { to, event } = what as Heard;
    return `${event.type} for ${nameOf(to)}`;
  }
  if ('state' in what) {
    const { of, state } = what as Became;
    return state === null ? `the end of ${nameOf(of)}` : `${nameOf(of)} in ${state}`;
  }
  if ('did' in what) {
    const { of, did, with: params } = what as Did;
    return `${did} ${JSON.stringify(params)} by ${nameOf(of)}`;
  }
  return `a notice`;
}
