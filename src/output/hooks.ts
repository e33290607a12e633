/**
 * Chooses who is told of what happens, and queues it: one notification of a hook at a time is on its way, a bounded number
 * waits, and what is left out is counted. Nothing here takes longer than a lookup: what sends is given.
 */
import type { Told } from '../../machines/events.ts';
import { type Occasion, occasionOf } from './occasions.ts';
import { recordOf, type TellContext } from './tell.ts';

/** What a policy says of one hook, as far as it matters here. Durations are in ms. */
export interface Hook {
  readonly name: string;
  readonly events: readonly Occasion[];
  /** Names of commands and groups; null: all. */
  readonly commands: readonly string[] | null;
  readonly retries: number;
  readonly interval: number;
}

/** What is sent. */
export interface Notification {
  readonly version: 1;
  /** The same for each try of it. */
  readonly id: string;
  readonly hook: string;
  /** Of the container. */
  readonly host: string;
  /** The policy's word for it. */
  readonly on: Occasion;
  /** Events for this hook that it was told nothing of, since the last one that it took. */
  readonly omitted: number;
  readonly time: string;
  /** Whose event it is; null: no command's. */
  readonly command: string | null;
  readonly group: string | null;
  readonly message: string;
  /** The event as in the log's JSON. */
  readonly log: object;
}

/** Why a try has failed: `reason; what to do`. */
export interface Failure {
  readonly reason: string;
  /** Another try may go otherwise. */
  readonly again: boolean;
  /** ms that the other side asks to wait. */
  readonly after?: number;
}

export interface HooksOptions<T extends Hook> extends TellContext {
  /** Tries once to send it. What it returns ends that, without an answer. */
  readonly deliver: (
    hook: T,
    notification: Notification,
    answer: (failure: Failure | null) => void,
  ) => () => void;
  readonly host: string;
  /** Takes out of upkeep's own words what nobody should be shown. */
  readonly redact: (text: string) => string;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly random: () => number;
  readonly notice: (message: string) => void;
}

export interface Hooks<T extends Hook> {
  /** These and no others, from now on. A hook of the same name keeps what waits. */
  readonly configure: (hooks: readonly T[]) => void;
  readonly told: (told: Told) => void;
  /** Gives what waits and is on its way so many ms, and then ends it. Resolves as soon as there is nothing any more. */
  readonly settle: (ms: number) => Promise<void>;
}

/** Notifications that wait, of one hook. */
export const MOST_WAITING = 100;
/** ms before the first one of a burst: what follows from the event is done first, and what is superseded at once is not told. */
const SOON = 20;
/** ms before the first further try. It doubles with each, and up to a fifth is taken off by chance. */
const FIRST_RETRY = 1_000;
const LONGEST_RETRY = 60_000;
/** ms between two notices of one hook that fails. */
const NOTICE_PAUSE = 60_000;

interface Waiting {
  readonly on: Occasion;
  readonly told: Told;
  readonly record: ReturnType<typeof recordOf>;
}

interface State<T extends Hook> {
  hook: T;
  /** By what it is of, and then by word: of one kind the last is kept. What is of one command stays in its order, and the
   * commands take turns. */
  readonly waiting: Map<string, Map<Occasion, Waiting>>;
  size: number;
  omitted: number;
  /** Of the notification that is on its way: ends the try, or the wait for the next. */
  cancel: (() => void) | null;
  timer: NodeJS.Timeout | null;
  /** The next is not sent before that. */
  notBefore: number;
  /** When it was told last that it fails, and how many notifications have failed since. */
  noticed: number;
  failed: number;
}

export function createHooks<T extends Hook>(options: HooksOptions<T>): Hooks<T> {
  const { deliver, host, redact, now, random, notice } = options;
  const states = new Map<string, State<T>>();
  const began = options.wallClock().getTime().toString(36);
  let count = 0;
  let isEnding = false;
  let settled: (() => void) | null = null;

  function add(state: State<T>, subject: string, entry: Waiting): void {
    const own = state.waiting.get(subject) ?? new Map<Occasion, Waiting>();
    state.waiting.set(subject, own);
    if (own.delete(entry.on)) state.omitted++;
    else state.size++;
    own.set(entry.on, entry);
    if (state.size > MOST_WAITING) {
      take(state);
      state.omitted++;
    }
    pump(state);
  }

  /** Of whom has waited longest for a turn, the oldest. */
  function take(state: State<T>): Waiting {
    const { waiting } = state;
    const [subject, own] = waiting.entries().next().value!;
    const [on, entry] = own.entries().next().value!;
    own.delete(on);
    waiting.delete(subject);
    if (own.size > 0) waiting.set(subject, own);
    state.size--;
    return entry;
  }

  function pump(state: State<T>): void {
    if (state.cancel !== null || state.timer !== null || state.size === 0) return;
    const wait = isEnding ? 0 : Math.max(SOON, state.notBefore - now());
    state.timer = setTimeout(() => {
      state.timer = null;
      begin(state);
    }, wait);
  }

  function begin(state: State<T>): void {
    const { on, told, record } = take(state);
    const { time, message, ...log } = record;
    const whole: Notification = {
      version: 1,
      id: `${host}-${began}-${++count}`,
      hook: state.hook.name,
      host,
      on,
      omitted: state.omitted,
      time,
      command: 'command' in told ? told.command : null,
      group: 'group' in told ? told.group : null,
      message,
      log,
    };
    state.omitted = 0;
    const text = JSON.stringify(whole, (_, value) => (typeof value === 'string' ? redact(value) : value));
    attempt(state, JSON.parse(text) as Notification, 0);
  }

  function attempt(state: State<T>, notification: Notification, failures: number): void {
    let answered = false;
    const cancel = deliver(state.hook, notification, (failure) => {
      answered = true;
      if (failure?.again && failures < state.hook.retries) {
        const growing = Math.min(LONGEST_RETRY, FIRST_RETRY * 2 ** failures) * (1 - 0.2 * random());
        const wait = Math.max(growing, Math.min(LONGEST_RETRY, failure.after ?? 0));
        const timer = setTimeout(() => attempt(state, notification, failures + 1), wait);
        state.cancel = () => clearTimeout(timer);
        return;
      }
      if (failure !== null) {
        state.omitted += 1 + notification.omitted;
        tellOf(state, notification, failure.reason, failures + 1);
      } else state.failed = 0;
      state.cancel = null;
      state.notBefore = now() + state.hook.interval;
      pump(state);
      checkSettled();
    });
    if (!answered) state.cancel = cancel;
  }

  function tellOf(
    state: State<T>,
    { on, command, group }: Notification,
    reason: string,
    tries: number,
  ): void {
    state.failed++;
    if (now() - state.noticed < NOTICE_PAUSE) return;
    const subject = command ?? group;
    const what = subject === null ? on : `${on} of ${subject}`;
    const all = state.failed === 1 ? '' : `, nor of ${state.failed - 1} more`;
    notice(
      `cannot notify ${state.hook.name} of ${what}${all}: ${reason}${tries === 1 ? '' : ` (tried ${tries} times)`}`,
    );
    state.noticed = now();
    state.failed = 0;
  }

  function end(state: State<T>): void {
    state.cancel?.();
    if (state.timer !== null) clearTimeout(state.timer);
    states.delete(state.hook.name);
  }

  const isIdle = ({ cancel, size }: State<T>): boolean => cancel === null && size === 0;
  function checkSettled(): void {
    if (settled !== null && [...states.values()].every(isIdle)) settled();
  }

  return {
    configure(hooks) {
      const kept = new Set(hooks.map(({ name }) => name));
      for (const state of [...states.values()]) if (!kept.has(state.hook.name)) end(state);
      for (const hook of hooks) {
        const state = states.get(hook.name);
        if (state !== undefined) state.hook = hook;
        else {
          states.set(hook.name, {
            hook,
            waiting: new Map(),
            size: 0,
            omitted: 0,
            cancel: null,
            timer: null,
            notBefore: 0,
            noticed: Number.NEGATIVE_INFINITY,
            failed: 0,
          });
        }
      }
    },
    told(told) {
      const on = occasionOf(told);
      if (on === null) return;
      const subject = subjectOf(told);
      let record: Waiting['record'] | null = null;
      for (const state of states.values()) {
        const { events, commands } = state.hook;
        if (!events.includes(on)) continue;
        if (subject !== null && commands !== null && !commands.includes(subject)) continue;
        record ??= recordOf(told, options);
        add(state, subject ?? '', { on, told, record });
      }
    },
    settle(ms) {
      isEnding = true;
      for (const state of states.values()) {
        if (state.timer === null) continue;
        clearTimeout(state.timer);
        state.timer = null;
        pump(state);
      }
      return new Promise((resolve) => {
        const finish = (): void => {
          clearTimeout(timer);
          settled = null;
          const left = [...states.values()].filter((state) => !isIdle(state));
          for (const state of [...states.values()]) end(state);
          for (const { hook, size, cancel } of left) {
            const number = size + (cancel === null ? 0 : 1);
            notice(
              `${hook.name} was not notified of ${number === 1 ? '1 event' : `${number} events`}: there is no time left`,
            );
          }
          resolve();
        };
        const timer = setTimeout(finish, ms);
        settled = finish;
        checkSettled();
      });
    },
  };
}

/** Whose event it is; null: no command's, and no group's. */
function subjectOf(told: Told): string | null {
  if ('group' in told) return told.group;
  return 'command' in told ? told.command : null;
}

/** The parts of a notification that commands and bodies are given by name: an empty text where it has no such part. */
export function partsOf(notification: Notification): Readonly<Record<string, string>> {
  const { on, command, group, message, host, hook, time, omitted } = notification;
  return {
    event: on,
    command: command ?? '',
    group: group ?? '',
    message,
    host,
    hook,
    time,
    omitted: String(omitted),
  };
}

/** The same JSON, with `{message}` and the like filled in in its texts. */
export function filledIn(body: unknown, parts: Readonly<Record<string, string>>): unknown {
  return JSON.parse(JSON.stringify(body), (_, value) =>
    typeof value === 'string'
      ? value.replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(parts, name) ? parts[name]! : whole))
      : value,
  );
}
