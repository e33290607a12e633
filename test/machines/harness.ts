/** One live command actor under a parent, with fakes for every port that write down what they were asked. */
import { type ActorRefFrom, createActor, type EventObject, fromCallback, setup } from 'xstate';
import { type CommandInput, commandMachine } from '../../machines/command.ts';
import type { CommandContext } from '../../machines/command-books.ts';
import type {
  CommandEvent,
  CommandReached,
  CommandRested,
  CommandRole,
  Exit,
  Leader,
  ProcessId,
  Remains,
  SupervisorEvent,
  Telling,
} from '../../machines/events.ts';
import { type CommandPolicy, DEFAULT_POLICY } from '../../machines/restart-policy.ts';
import { NO_ROLE } from '../../machines/tree.ts';
import { createSteppingClock, type SteppingClock } from './clock.ts';

export const NOTHING: Remains = { workers: 0, tagged: 0, sessions: 0 };
export const left = (remains: Partial<Remains>): Remains => ({ ...NOTHING, ...remains });
export const status = (code: number): Exit => ({ known: true, code, signal: null, core: false });
export const killedBy = (signal: string): Exit => ({ known: true, code: null, signal, core: false });

/** Without jitter every delay is exact. */
export const EXACT: CommandPolicy = { ...DEFAULT_POLICY, backoff: { ...DEFAULT_POLICY.backoff, jitter: 0 } };

export const idOf = (pid: number): ProcessId => ({ pid, startTicks: pid * 10 });
export function process(pid: number, since = 0, rule: Leader['rule'] = 'tag'): Leader {
  return { ...idOf(pid), name: 'svc', rule, since };
}

export type Effect =
  | {
      readonly at: number;
      readonly effect: Port | `${Exclude<Port, 'launch'>} ended`;
      readonly command: string;
    }
  | {
      readonly at: number;
      readonly effect: 'probe';
      readonly command: string;
      readonly which: 'ready' | 'health';
    }
  | { readonly at: number; readonly effect: 'probe ended' | 'reload'; readonly command: string }
  | { readonly at: number; readonly effect: 'reached'; readonly what: CommandReached['what'] }
  | { readonly at: number; readonly effect: 'signal'; readonly signal: string; readonly scope: string }
  | { readonly at: number; readonly effect: 'tell'; readonly told: Telling }
  | {
      readonly at: number;
      readonly effect: 'rested';
      readonly state: string;
      readonly left: number;
      readonly exit: Exit | null;
      /** When it says that it was. */
      readonly since: number;
    };

type Port = 'launch' | 'stopper' | 'schedule';

export type Harness = ReturnType<typeof startCommand>;

export interface HarnessOptions {
  readonly policy?: Partial<CommandPolicy>;
  readonly found?: Leader | null;
  readonly role?: Partial<CommandRole>;
  readonly rest?: CommandRested['state'] | null;
  readonly seed?: number;
  readonly clock?: SteppingClock;
  /** Answers an effect as the world would. */
  readonly world?: (effect: Effect) => void;
}

type Undated<T> = T extends unknown ? Omit<T, 'at'> : never;
export type UndatedEvent = Undated<CommandEvent>;

/** Who writes down what the actors of a system ask for. Making machines takes long, so all tests share these two. */
const recorders = new WeakMap<object, (effect: Undated<Effect>) => void>();

const command = commandMachine.provide({
  actors: {
    launch: fromCallback<EventObject, { command: string }>(({ system, input }) =>
      recorders.get(system)!({ effect: 'launch', ...input }),
    ),
    stopper: fromCallback<EventObject, { command: string }>(({ system, input }) => {
      const record = recorders.get(system)!;
      record({ effect: 'stopper', ...input });
      return () => record({ effect: 'stopper ended', ...input });
    }),
    probe: fromCallback<EventObject, { command: string; which: 'ready' | 'health' }>(({ system, input }) => {
      const record = recorders.get(system)!;
      record({ effect: 'probe', ...input });
      return () => record({ effect: 'probe ended', command: input.command });
    }),
    schedule: fromCallback<EventObject, { command: string }>(({ system, input }) => {
      const record = recorders.get(system)!;
      record({ effect: 'schedule', ...input });
      return () => record({ effect: 'schedule ended', ...input });
    }),
  },
  actions: {
    signal: ({ system }, { signal, scope }) => recorders.get(system)!({ effect: 'signal', signal, scope }),
    tell: ({ system }, told) => recorders.get(system)!({ effect: 'tell', told }),
    reload: ({ system }, params) => recorders.get(system)!({ effect: 'reload', ...params }),
  },
});

const parent = setup({
  types: {
    context: {} as { actor: ActorRefFrom<typeof commandMachine> },
    input: {} as CommandInput,
    events: {} as SupervisorEvent,
  },
  actors: { command },
}).createMachine({
  context: ({ spawn, input }) => ({ actor: spawn('command', { id: 'command', input }) }),
  on: {
    'command.rested': {
      actions: ({ event, system }) =>
        recorders.get(system)!({
          effect: 'rested',
          state: event.state,
          left: event.left,
          exit: event.exit,
          since: event.at,
        }),
    },
    'command.reached': {
      actions: ({ event, system }) => recorders.get(system)!({ effect: 'reached', what: event.what }),
    },
  },
});

export function startCommand(options: HarnessOptions = {}) {
  const clock = options.clock ?? createSteppingClock();
  const effects: Effect[] = [];
  const input: CommandInput = {
    name: 'svc',
    policy: { ...EXACT, ...options.policy },
    seed: options.seed ?? 1,
    found: options.found ?? null,
    role: { ...NO_ROLE, ...options.role },
    rest: options.rest ?? null,
  };
  const root = createActor(parent, { clock, input });
  recorders.set(root.system, (effect) => {
    const dated = { at: clock.now(), ...effect } as Effect;
    effects.push(dated);
    options.world?.(dated);
  });
  const errors: unknown[] = [];
  root.subscribe({ error: (error) => errors.push(error) });
  root.start();
  const { actor } = root.getSnapshot().context;

  let read = 0;
  const sent: CommandEvent[] = [];
  return {
    clock,
    effects,
    sent,
    actor,
    context: (): CommandContext => actor.getSnapshot().context,
    state: (): string => pathOf(actor.getSnapshot().value),
    /** Sends at the clock's time, unless the event is dated. */
    send(event: UndatedEvent | CommandEvent): void {
      const dated = { at: clock.now(), ...event } as CommandEvent;
      sent.push(dated);
      actor.send(dated);
      if (errors.length > 0) throw errors[0];
    },
    advance(ms: number): void {
      clock.advance(ms);
      if (errors.length > 0) throw errors[0];
    },
    /** What has happened since the last call, in short: see `short`. */
    news(): string[] {
      const news = effects.slice(read).map(short);
      read = effects.length;
      return news;
    },
    told: (): Telling[] => effects.flatMap((entry) => (entry.effect === 'tell' ? [entry.told] : [])),
    launches: (): number[] => effects.filter(({ effect }) => effect === 'launch').map(({ at }) => at),
    stop: (): void => void root.stop(),
  };
}

/** `missing.clearing.asking` for a nested state value. */
export function pathOf(value: unknown): string {
  if (typeof value === 'string') return value;
  const [[key, inner] = ['', '']] = Object.entries(value as Record<string, unknown>);
  return `${key}.${pathOf(inner)}`;
}

/** `120 launch`, `120 SIGTERM tagged`, `120 command.running started 7`, `120 rested stopped 0`. */
function short(entry: Effect): string {
  return `${entry.at} ${described(entry)}`;
}

function described(entry: Effect): string {
  switch (entry.effect) {
    case 'signal':
      return `${entry.signal} ${entry.scope}`;
    case 'rested':
      return `rested ${entry.state} ${entry.left}`;
    case 'tell':
      return toldInShort(entry.told);
    case 'probe':
      return `probe ${entry.which}`;
    case 'reached':
      return `reached ${entry.what}`;
    default:
      return entry.effect;
  }
}

function toldInShort(told: Telling): string {
  switch (told.type) {
    case 'command.launched':
      return `${told.type} ${told.pid} #${told.start}`;
    case 'command.running':
      return `${told.type} ${told.how} ${told.leader.pid} took ${told.took}`;
    case 'command.died':
      return `${told.type} ${told.id.pid} uptime ${told.uptime} restart ${told.restart} wait ${told.wait}`;
    case 'command.failedStart':
      return `${told.type} ${told.pid} ${told.reason} failures ${told.failures} wait ${told.wait}`;
    case 'command.stopping':
      return `${told.type} ${told.how}`;
    case 'command.stopped':
      return `${told.type} took ${told.took} left ${told.left}`;
    case 'command.failed':
      return `${told.type} ${told.reason}`;
    case 'command.clearing':
      return `${told.type} ${told.signal} ${told.remains.workers}/${told.remains.tagged}`;
    case 'command.ready':
      return `${told.type} took ${told.took}`;
    case 'command.unhealthy':
      return `${told.type} ${told.reason}: ${told.next}`;
    case 'command.completed':
      return `${told.type} ${told.success ? 'with success' : 'in vain'} ${told.exit?.code ?? told.exit?.signal ?? null} took ${told.took}`;
    case 'command.scheduled':
      return `${told.type} wait ${told.wait}`;
    case 'command.overlapped':
      return `${told.type} ${told.next}`;
    case 'upkeep.notice':
      return `${told.level} ${told.message}`;
    default:
      return told.type;
  }
}

export const launched = (h: Harness, pid: number): void => h.send({ type: 'launcher.started', ...idOf(pid) });
export const exits = (
  h: Harness,
  pid: number,
  exit: Exit,
  heir: Leader | null = null,
  remains = NOTHING,
): void => h.send({ type: 'leader.exited', id: idOf(pid), exit, heir, remains });
export const counted = (h: Harness, remains: Partial<Remains> = {}): void =>
  h.send({ type: 'lineage.counted', remains: left(remains) });
export const stop = (h: Harness, budget = 9_000, everything = false): void =>
  h.send({ type: 'command.stop', budget, everything });
