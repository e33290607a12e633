/** Orders for several commands: who needs others is stopped before them, and started after them. */
import { type Before, startLevels, stoppable } from '../../machines/order.ts';
import { stopBudget } from '../../machines/restart-policy.ts';
import { beforeOf, commandsOf } from '../../machines/tree.ts';
import type { OrderVerb } from '../policy/verbs.ts';
import type { Inside } from './inside.ts';

/** ms of orders at once: of a thousand, others want to be heard in between. What they launch takes turns of its own. */
const SLICE = 20;

/** A command's part in an order that is still being carried out. */
export interface Turn {
  readonly order: OrderVerb;
  /** Who has to be stopped before it is; empty: nobody. */
  readonly behind: readonly string[];
  /** It is sent as soon as those before it have been, whatever becomes of them. */
  readonly queued?: true;
}

export interface Orders {
  /** Later orders replace what earlier ones have not come to. */
  readonly give: (verb: OrderVerb, names: readonly string[]) => void;
  /** null: nothing is to come. */
  readonly turnOf: (name: string) => Turn | null;
}

/** A stop, or a restart, of commands of which some need others. */
interface Plan {
  readonly order: 'stop' | 'restart';
  readonly before: Before;
  /** By command, who of them needs it. */
  readonly needing: ReadonlyMap<string, readonly string[]>;
  /** Who has not been stopped yet. */
  readonly unrested: Set<string>;
  /** Those of them that have been told. */
  readonly told: Set<string>;
  /** Who is started when all rest. */
  readonly again: Set<string>;
}

export function createOrders(inside: Inside): Orders {
  const plans = new Set<Plan>();
  let unfollow: (() => void) | null = null;
  let isDue = false;
  /** What is to be sent, by command, and for which order. */
  const queue = new Map<string, { readonly verb: OrderVerb; readonly send: () => void }>();
  let isDraining = false;

  const beforeNow = (): Before => beforeOf(inside.groups().flatMap(commandsOf));

  /** Sends in turn; `drain` has to follow. */
  function send(
    verb: OrderVerb,
    name: string,
    type: 'command.start' | 'command.stop' | 'command.restart',
  ): void {
    queue.delete(name);
    queue.set(name, {
      verb,
      send: () => (type === 'command.stop' ? stop(name) : inside.order(name, { type, at: inside.now() })),
    });
  }

  function drain(): void {
    const until = inside.now() + SLICE;
    for (const [name, { send }] of queue) {
      queue.delete(name);
      send();
      if (inside.now() > until) break;
    }
    if (queue.size === 0 || isDraining) return;
    isDraining = true;
    setImmediate(() => {
      isDraining = false;
      if (inside.isEnding()) queue.clear();
      drain();
    });
  }

  function stop(name: string): void {
    const view = inside.viewOf(name);
    if (view === null) return;
    const budget = stopBudget(view.context.policy, inside.grace());
    inside.order(name, { type: 'command.stop', at: inside.now(), budget, everything: false });
  }

  function forget(name: string): void {
    queue.delete(name);
    for (const plan of plans) {
      plan.unrested.delete(name);
      plan.told.delete(name);
      plan.again.delete(name);
    }
  }

  function begin(order: Plan['order'], names: readonly string[], before: Before): void {
    const again = new Set(order === 'restart' ? names : []);
    const unrested = new Set(names);
    const needing = needingIn(before, unrested);
    plans.add({ order, before, needing, unrested, told: new Set(), again });
    unfollow ??= inside.journal.follow(() => {
      if (isDue) return;
      isDue = true;
      // Not within whatever the news came from.
      setImmediate(() => {
        isDue = false;
        advance();
      });
    });
    advance();
  }

  function advance(): void {
    if (inside.isEnding()) plans.clear();
    for (const plan of plans) proceed(plan);
    drain();
    if (plans.size > 0) return;
    unfollow?.();
    unfollow = null;
  }

  function proceed(plan: Plan): void {
    const { before, unrested, told, again } = plan;
    for (const name of told) {
      if (queue.has(name)) continue;
      const view = inside.viewOf(name);
      // Somebody may have started it meanwhile by other means, or it is not there any more.
      if (view !== null && view.context.desired === 'down' && view.state !== 'stopped') continue;
      if (view?.context.desired !== 'down') again.delete(name);
      told.delete(name);
      unrested.delete(name);
    }
    for (const name of stoppable(before, unrested)) {
      if (told.has(name)) continue;
      told.add(name);
      send(plan.order, name, 'command.stop');
    }
    if (unrested.size > 0) return;
    plans.delete(plan);
    for (const name of inOrder(before, again)) send('restart', name, 'command.start');
  }

  return {
    give(verb, names) {
      for (const name of names) forget(name);
      const before = beforeNow();
      const set = new Set(names);
      if (verb === 'start') {
        for (const name of inOrder(before, set)) send(verb, name, 'command.start');
      } else if (verb === 'stop') {
        if (stoppable(before, set).length < set.size) begin(verb, names, before);
        else for (const name of names) send(verb, name, 'command.stop');
      } else {
        // A schedule's command is run by a restart: nobody is to wait for that.
        const chained = new Set(related(before, new Set(names.filter((name) => !isCron(name)))));
        for (const name of names) if (!chained.has(name)) send(verb, name, 'command.restart');
        if (chained.size > 0) begin(verb, [...chained], before);
      }
      drain();
    },
    turnOf(name) {
      for (const { order, needing, unrested, told, again } of plans) {
        if (!unrested.has(name) && !again.has(name)) continue;
        if (!unrested.has(name) || told.has(name)) return { order, behind: [] };
        return { order, behind: (needing.get(name) ?? []).filter((other) => unrested.has(other)) };
      }
      const verb = queue.get(name)?.verb;
      return verb === undefined ? null : { order: verb, behind: [], queued: true };
    },
  };

  function isCron(name: string): boolean {
    return inside.viewOf(name)?.context.policy.kind === 'cron';
  }
}

/** Those first that others need. */
function inOrder(before: Before, names: ReadonlySet<string>): readonly string[] {
  return startLevels(before)
    .flat()
    .filter((name) => names.has(name));
}

/** Those that need others of these, or that others of these need. */
function related(before: Before, names: ReadonlySet<string>): readonly string[] {
  const needing = needingIn(before, names);
  const needy = new Set([...needing.values()].flat());
  return [...names].filter((name) => needing.has(name) || needy.has(name));
}

/** By those that others of these need, if only by way of others: who does. */
function needingIn(before: Before, names: ReadonlySet<string>): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const name of names) {
    for (const earlier of allBefore(before, name)) {
      if (names.has(earlier)) found.set(earlier, [...(found.get(earlier) ?? []), name]);
    }
  }
  return found;
}

function allBefore(before: Before, name: string): ReadonlySet<string> {
  const found = new Set<string>();
  const open = [name];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (const earlier of before.get(at) ?? []) {
      if (found.has(earlier)) continue;
      found.add(earlier);
      open.push(earlier);
    }
  }
  return found;
}
