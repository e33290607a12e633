/**
 * A running upkeep, shown to any number of viewers. With the first it begins to observe the actors, with the last it ends that:
 * without any it costs nothing. Whoever takes slowly misses messages and is told how many, and then how things are; nobody waits
 * for a viewer.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { commandsOf, groupNamed } from '../../machines/tree.ts';
import type { Inside } from '../control/inside.ts';
import type { Turn } from '../control/orders.ts';
import { createFleet } from './fleet.ts';
import type {
  EntriesMessage,
  Hello,
  MissedMessage,
  ProcessesMessage,
  ProcessView,
  Wanted,
} from './protocol.ts';
import { MOST_WAITING, MUCH_WAITING, type Shown, type Source, type Viewer } from './source.ts';
import {
  type Actor,
  actorsOf,
  createScribe,
  type Happening,
  isActive,
  machineOf,
  nameOf,
  observe,
  type Scribe,
  sessionOf,
} from './stately.ts';

/** ms of work at once. */
const SLICE = 4;
/** Happenings that wait to be told. */
const MOST_QUEUED = 20_000;
/** ms between two looks at the commands' states. */
const FLEET = 250;
/** ms between two looks at the processes, at least; and how much longer than the look itself. */
const PROCESSES = 1_000;
const PROCESSES_SHARE = 20;
/** Of the journal, in one message. */
const MOST_ENTRIES = 128;
const COMMAND = 'command:';

export interface HubOptions {
  readonly root: Actor;
  readonly inside: Inside;
  /** Whom a viewer is talking to. */
  readonly about: About;
  /** What of several orders is still to come; resolved when somebody looks. */
  readonly turns: () => Promise<(name: string) => Turn | null>;
  /** All processes. `rest` is to be awaited now and then. */
  readonly processes: (rest: () => Promise<void>) => Promise<readonly ProcessView[]>;
  /** ms since 1970. */
  readonly wallClock: () => number;
  /** Takes out what nobody should be shown. */
  readonly redact: (text: string) => string;
}

export type About = Pick<Hello, 'mode' | 'hostname' | 'from' | 'to' | 'at' | 'replay'>;

interface Watching {
  readonly viewer: Viewer;
  /** Sessions of actors that it knows. */
  readonly told: Set<string>;
  /** By machine, the session that was told with its definition; upkeep's own page alone. */
  readonly definitions: Map<object, string>;
  /** Whom it has to be told of before it is told what happens; null: nobody. */
  todo: Set<Actor> | null;
  /** Since it is behind. */
  missed: number;
  isBehind: boolean;
  /** The last one of the journal that it knows. */
  entry: number;
  knowsFleet: boolean;
  /** Once. */
  onTold: (() => void) | null;
  wantsProcesses: boolean;
}

export function createHub(options: HubOptions): Source {
  const { root, inside, wallClock, redact } = options;
  const { journal } = inside;
  const watching = new Set<Watching>();
  let turnOf: (name: string) => Turn | null = () => null;
  let scribe: Scribe;
  let queue: Happening[] = [];
  let isDue = false;
  let end = (): void => {};
  /** The last entry that was looked at for orders. */
  let looked = 0;
  const fleet = createFleet(inside, (name) => turnOf(name), wallClock);
  let fleetTimer: NodeJS.Timeout | undefined;
  let isCounting = false;
  let processTimer: NodeJS.Timeout | undefined;

  function begin(): void {
    scribe = createScribe(root, redact);
    looked = journal.last();
    const unobserve = observe(root, wallClock, hear);
    const unfollow = journal.follow(schedule);
    end = () => {
      unobserve();
      unfollow();
      clearTimeout(fleetTimer);
      fleetTimer = undefined;
      clearTimeout(processTimer);
      processTimer = undefined;
      queue = [];
      fleet.forget();
    };
    void options.turns().then(
      (found) => {
        turnOf = found;
      },
      () => {},
    );
  }

  /** In the midst of whatever an actor does: only noted. */
  function hear(happening: Happening): void {
    if (queue.length < MOST_QUEUED) queue.push(happening);
    else {
      // Everybody is told how things are instead.
      for (const each of watching) fallBehind(each, queue.length + 1, actorsOf(root));
      queue = [];
    }
    schedule();
  }

  function fallBehind(each: Watching, missed: number, actors: readonly Actor[]): void {
    if (each.todo === null) {
      each.todo = new Set();
      each.isBehind = true;
      each.missed = 0;
    }
    for (const actor of actors) each.todo.add(actor);
    if (each.isBehind) each.missed += missed;
  }

  function schedule(): void {
    if (isDue || watching.size === 0) return;
    isDue = true;
    setImmediate(work);
  }

  function work(): void {
    isDue = false;
    if (watching.size === 0) return;
    const viewers = [...watching].map(({ viewer }) => viewer);
    for (const viewer of viewers) viewer.hold();
    try {
      if (!tell(performance.now() + SLICE)) schedule();
    } finally {
      for (const viewer of viewers) viewer.release();
    }
  }

  /** @returns false: there is more */
  function tell(until: number): boolean {
    let told = 0;
    const taken = queue;
    try {
      while (told < taken.length && performance.now() < until) tellHappening(taken[told++]!);
    } finally {
      if (taken === queue) queue = told === taken.length ? [] : taken.slice(told);
    }
    lookForOrders();
    // Only then is what they are told of newer than all that has happened.
    if (queue.length > 0) return false;
    for (const each of watching) {
      if (!catchUp(each, until)) return false;
      tellEntries(each);
    }
    return true;
  }

  function tellHappening(happening: Happening): void {
    const { actor } = happening;
    if (happening.what === 'snapshot') {
      const name = nameOf(actor);
      if (name.startsWith(COMMAND)) fleet.changed(name.slice(COMMAND.length));
      else if (actor === root) fleet.moved();
      planFleet();
    }
    /** By whether it is for upkeep's own page. */
    const texts = new Map<boolean, string>();
    for (const each of watching) {
      if (each.todo !== null || each.viewer.waiting() > MOST_WAITING) {
        fallBehind(each, 1, [actor]);
        continue;
      }
      if (happening.what === 'actor') {
        tellActor(each, actor, happening.at, happening.snapshot ?? actor.getSnapshot());
        continue;
      }
      // It may have come while more happened than is kept.
      if (!each.told.has(sessionOf(actor)) && isActive(actor.getSnapshot())) {
        tellActor(each, actor, happening.at, actor.getSnapshot());
      }
      const { own } = each.viewer;
      const text = texts.get(own) ?? textOf(happening, own);
      texts.set(own, text);
      each.viewer.send(text);
      if (happening.what === 'snapshot' && !isActive(happening.snapshot)) each.told.delete(sessionOf(actor));
    }
  }

  function textOf(happening: Exclude<Happening, { what: 'actor' }>, own: boolean): string {
    if (happening.what === 'event') return scribe.event(happening);
    const { actor, at, event, snapshot, taken } = happening;
    return scribe.snapshot(actor, at, event, snapshot, own ? taken : undefined);
  }

  function tellActor(each: Watching, actor: Actor, at: number, snapshot: unknown): void {
    const session = sessionOf(actor);
    const machine = machineOf(actor);
    const like = machine === null ? undefined : each.definitions.get(machine);
    each.viewer.send(scribe.actor(actor, at, snapshot, like));
    each.told.add(session);
    if (machine !== null && like === undefined && each.viewer.own) each.definitions.set(machine, session);
  }

  /** Tells how things are with whom there is to tell of. @returns false: there is more, and it would be taken */
  function catchUp(each: Watching, until: number): boolean {
    if (each.todo === null) return true;
    for (const actor of each.todo) {
      if (each.viewer.waiting() > MUCH_WAITING) return true;
      if (performance.now() >= until) return false;
      each.todo.delete(actor);
      const snapshot = actor.getSnapshot();
      const isKnown = each.told.has(sessionOf(actor));
      if (isKnown) each.viewer.send(scribe.snapshot(actor, wallClock(), { type: '' }, snapshot));
      else if (isActive(snapshot) || actor === root) tellActor(each, actor, wallClock(), snapshot);
      if (!isActive(snapshot)) each.told.delete(sessionOf(actor));
    }
    each.todo = null;
    if (each.isBehind && each.viewer.own) say(each, { type: 'upkeep.missed', messages: each.missed });
    each.isBehind = false;
    if (each.viewer.own && !each.knowsFleet) planFleet();
    each.onTold?.();
    each.onTold = null;
    return true;
  }

  function tellEntries(each: Watching): void {
    if (!each.viewer.own || each.todo !== null) return;
    while (each.entry < journal.last() && each.viewer.waiting() <= MUCH_WAITING) {
      const { entries, gone } = journal.since(each.entry, MOST_ENTRIES);
      say(each, { type: 'upkeep.entries', entries, gone });
      each.entry += gone + entries.length;
    }
  }

  /** Whom an order is for may have to wait for its turn, and its machine hears nothing of it yet. */
  function lookForOrders(): void {
    if (looked === journal.last()) return;
    const { entries } = journal.since(looked);
    looked = journal.last();
    for (const { what } of entries) {
      if (what.type === 'operator.ordered') for (const name of what.commands) fleet.changed(name);
      if (what.type === 'group.failed') {
        // What it had stopped stays so from now on: their own machines hear nothing of it.
        const group = groupNamed(inside.groups(), what.group);
        if (group !== null) for (const { name } of commandsOf(group)) fleet.changed(name);
      }
      if (what.type === 'policy.reloaded') fleet.moved();
    }
    planFleet();
  }

  function say(
    { viewer }: Watching,
    message: Hello | EntriesMessage | MissedMessage | ProcessesMessage,
  ): void {
    viewer.send(redact(JSON.stringify(message)));
  }

  function planFleet(): void {
    if (fleetTimer !== undefined) return;
    if (!fleet.isDue() && ![...watching].some(needsFleet)) return;
    fleetTimer = setTimeout(() => {
      tellFleet().finally(() => {
        fleetTimer = undefined;
        if (watching.size > 0) planFleet();
      });
    }, FLEET);
    fleetTimer.unref();
  }

  const needsFleet = ({ viewer, todo, knowsFleet }: Watching): boolean =>
    viewer.own && todo === null && !knowsFleet && viewer.waiting() <= MUCH_WAITING;

  async function tellFleet(): Promise<void> {
    const anew = [...watching].some(needsFleet);
    const found = await fleet.look(anew, turn);
    let changes: string | null = null;
    let whole: string | null = null;
    for (const each of watching) {
      if (needsFleet(each) && found.whole !== null) {
        whole ??= redact(JSON.stringify(found.whole));
        each.viewer.send(whole);
        each.knowsFleet = true;
      } else if (each.knowsFleet && found.changes !== null) {
        changes ??= redact(JSON.stringify(found.changes));
        if (each.viewer.waiting() <= MUCH_WAITING) each.viewer.send(changes);
        // It is told everything when it has taken what waits.
        else each.knowsFleet = false;
      }
    }
  }

  const wantsProcesses = (): boolean => [...watching].some((each) => each.wantsProcesses);

  async function tellProcesses(): Promise<void> {
    let spent = 0;
    let began = performance.now();
    const rest = async (): Promise<void> => {
      const now = performance.now();
      if (now - began < SLICE) return;
      spent += now - began;
      await turn();
      began = performance.now();
    };
    const processes = await options.processes(rest);
    const message: ProcessesMessage = { type: 'upkeep.processes', at: wallClock(), processes };
    const text = redact(JSON.stringify(message));
    for (const { viewer, wantsProcesses: wants } of watching) {
      if (wants && viewer.waiting() <= MUCH_WAITING) viewer.send(text);
    }
    spent += performance.now() - began;
    planProcesses(Math.max(PROCESSES, spent * PROCESSES_SHARE));
  }

  function planProcesses(within: number): void {
    clearTimeout(processTimer);
    processTimer = undefined;
    if (!wantsProcesses()) return;
    processTimer = setTimeout(() => {
      if (isCounting) return;
      isCounting = true;
      tellProcesses().finally(() => {
        isCounting = false;
      });
    }, within);
    processTimer.unref();
  }

  function helloTo({ orders }: Viewer): Hello {
    return {
      type: 'upkeep.hello',
      version: 1,
      upkeep: inside.version,
      orders,
      began: Math.round(inside.timeOf(0)),
      ...options.about,
    };
  }

  return {
    show(viewer, onTold): Shown {
      if (watching.size === 0) begin();
      const each: Watching = {
        viewer,
        told: new Set(),
        definitions: new Map(),
        todo: new Set(actorsOf(root)),
        missed: 0,
        isBehind: false,
        entry: 0,
        knowsFleet: false,
        onTold: onTold ?? null,
        wantsProcesses: false,
      };
      watching.add(each);
      if (viewer.own) say(each, helloTo(viewer));
      schedule();
      return {
        want(wanted: Wanted) {
          if (wanted.type !== 'processes' || each.wantsProcesses === wanted.wanted) return;
          each.wantsProcesses = wanted.wanted;
          if (!isCounting) planProcesses(0);
        },
        taken() {
          schedule();
          planFleet();
        },
        end() {
          watching.delete(each);
          if (watching.size === 0) end();
        },
      };
    },
  };
}
