import type { CommandContext } from '../../machines/command-books.ts';
import { DEFAULT_POLICY } from '../../machines/restart-policy.ts';
import { unwritten } from '../../machines/tree.ts';
import type { CommandView, Inside, Peer } from '../../src/control/inside.ts';
import type { CrashReport } from '../../src/output/crash.ts';
import { createJournal } from '../../src/output/journal.ts';
import { createRecent } from '../../src/output/recent.ts';
import { commandContext } from './context.ts';

/** An upkeep on paper: whatever it is asked is kept in `asked`. */
export interface PaperInside extends Inside {
  readonly asked: string[];
  readonly note: (order: string, names: readonly string[], by?: Peer | null) => void;
  readonly crashes: CrashReport[];
  /** Sets a command's state. */
  readonly put: (
    name: string,
    state: string,
    context?: Partial<CommandContext>,
    since?: number,
    more?: Partial<Pick<CommandView, 'wished' | 'gaveUp' | 'timers'>>,
  ) => void;
}

const NOW = 100_000;

export function createInside(
  change: Partial<PaperInside> = {},
  names: readonly string[] = ['web', 'db'],
): PaperInside {
  const asked: string[] = [];
  const crashes: CrashReport[] = [];
  const views = new Map<string, CommandView>();
  const put: PaperInside['put'] = (name, state, context = {}, since = 90_000, more = {}) =>
    void views.set(name, {
      state,
      since,
      wished: context.desired ?? 'up',
      gaveUp: null,
      timers: [],
      ...more,
      context: commandContext(name, context),
    });
  for (const name of names) put(name, 'running.ready');
  const journal = createJournal({ wallClock: () => 1_700_000_000_000 });
  return {
    asked,
    crashes,
    put,
    version: '1.2.3',
    now: () => NOW,
    timeOf: (at) => 1_700_000_000_000 + at - NOW,
    isEnding: () => false,
    names: () => [...views.keys()],
    groups: () =>
      unwritten(
        [...views.keys()].map((name) => ({
          name,
          policy: DEFAULT_POLICY,
          vital: false,
          requires: {},
          after: [],
        })),
      ),
    viewOf: (name) => views.get(name) ?? null,
    waitingFor: () => [],
    candidatesOf: () => [],
    crashesOf: () => crashes,
    grace: () => 9_000,
    probedOf: () => ({ ready: null, health: null }),
    note: (order, commands, by = null) =>
      journal.note({ type: 'operator.ordered', at: NOW, order, commands, by }),
    peerOf: () => ({ uid: 1000, pid: 42 }),
    order: (name, { type }) => asked.push(`${type} ${name}`),
    signal: (name, signal) => {
      asked.push(`${signal} ${name}`);
      return null;
    },
    shutdown: (reason) => asked.push(`shutdown ${reason}`),
    reload: async () => ({ status: 200, body: { message: 'done' } }),
    redact: (text) => text,
    journal,
    recent: createRecent({ limit: 4_096, wallClock: () => 1_700_000_000_000 }),
    ...change,
  };
}
