/** All machines as they are, for a part of a recording to begin with. */
import type { AnyActorRef } from 'xstate';
import { encoded, type Kept, type KeptTimer } from './recording.ts';
import type { Root } from './root.ts';
import { childrenOf, isMachine, pathOf } from './trace.ts';

/** A machine, and all that there are below it. @param sinceOf see Kept.since, by path */
export function keptOf(actor: AnyActorRef, sinceOf: (path: string) => number): Kept {
  const { value, context, status, output } = actor.getSnapshot() as Pick<
    Kept,
    'value' | 'context' | 'status' | 'output'
  >;
  const children = Object.values(childrenOf(actor));
  const isAlive = (child: AnyActorRef): boolean =>
    (child.getSnapshot() as { status: string }).status === 'active';
  return {
    id: actor.id,
    value,
    context,
    status,
    output,
    since: sinceOf(pathOf(actor)),
    machines: children.filter(isMachine).map((child) => keptOf(child, sinceOf)),
    ports: children
      .filter((child) => !isMachine(child) && isAlive(child))
      .map((child) => ({
        id: child.id,
        src: child.src as string,
        input: (child.getSnapshot() as { input?: unknown }).input,
      })),
  };
}

export function timersOf({ system }: Root): KeptTimer[] {
  return Object.values(system.getSnapshot()._scheduledEvents).map(({ target, event }) => ({
    of: pathOf(target),
    event: event.type,
  }));
}

/** What a machine was, by its path and what is told apart of it: a text for each, to be compared. @param isTimed since when, too */
export function factsOf(kept: Kept, isTimed: boolean, path = ''): Map<string, string> {
  const facts = new Map<string, string>();
  const add = (what: string, value: unknown): void => {
    facts.set(
      `${what} of ${path === '' ? 'the root' : kept.id}`,
      JSON.stringify(encoded(value)) ?? 'undefined',
    );
  };
  add('the state', kept.value);
  if (isTimed) add('the time of the state', kept.since);
  add('what is under way', kept.ports.map(({ id }) => id).sort());
  for (const [key, value] of Object.entries(kept.context as object)) add(key, value);
  for (const each of kept.machines) {
    for (const [what, text] of factsOf(each, isTimed, `${path}/${each.id}`)) facts.set(what, text);
  }
  return facts;
}
