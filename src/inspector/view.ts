/** What a running upkeep would let control know, of machines that run on paper. */
import { commandsOf } from '../../machines/tree.ts';
import type { Inside } from '../control/inside.ts';
import { isEnding, type States, waitingFor } from '../inside.ts';
import type { Journal } from '../output/journal.ts';
import type { Root } from './root.ts';

interface Paper extends Pick<Inside, 'version' | 'now' | 'timeOf' | 'crashesOf'> {
  readonly root: Root;
  readonly states: States;
  readonly journal: Journal;
}

const REFUSED = 'cannot order anything: nothing runs here';

/** Orders to it do nothing. */
export function insideOf({ root, states, journal, ...rest }: Paper): Inside {
  const plan = () => root.getSnapshot().context.plan;
  return {
    ...rest,
    isEnding: () => isEnding(root.getSnapshot()),
    names: () =>
      plan()
        .groups.flatMap(commandsOf)
        .map(({ name }) => name),
    groups: () => plan().groups,
    viewOf: (name) => states.viewOf(name, root.getSnapshot()),
    waitingFor: (name) => waitingFor(root.getSnapshot().context, name),
    candidatesOf: () => [],
    grace: () => plan().grace,
    probedOf: () => ({ ready: null, health: null }),
    note: () => {},
    peerOf: () => null,
    order: () => {},
    signal: () => REFUSED,
    shutdown: () => {},
    reload: async () => ({ status: 409, body: { error: REFUSED } }),
    redact: (text) => text,
    journal,
    recent: null,
  };
}
