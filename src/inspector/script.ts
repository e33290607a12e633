/** The script of a simulation: how starts turn out, and what happens when. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Exit } from '../../machines/events.ts';
import { NAME } from '../policy/command.ts';
import { problemAt, readDocument } from '../policy/document.ts';
import { readText } from '../policy/file.ts';
import { tellIssue } from '../policy/issues.ts';
import { parseDuration } from '../policy/options.ts';
import { PolicyError, type Problem } from '../policy/problems.ts';
import { expected, flag, mapping, named, read, some, text, whole } from '../policy/schema.ts';
import { didYouMean, UsageError } from '../policy/usage-error.ts';
import { expectedText, readSignal } from '../policy/values.ts';

/** How one start turns out. Times in ms, from the launch on; null: as is usual for a command of its kind. */
export interface Start {
  /** So many starts in a row. */
  readonly times: number;
  /** Why nothing can be started at all; null: it can. */
  readonly error: string | null;
  /** When the launcher leaves, with the service in the background. `false`: it stays. */
  readonly background: number | false | null;
  /** When it ends by itself. `false`: it does not. */
  readonly lives: number | false | null;
  readonly exit: Exit | null;
  /** When its readiness probe begins to succeed. `false`: never. */
  readonly ready: number | false | null;
  /** When its health probe begins to fail. */
  readonly unhealthy: number | null;
}

export interface Behaviour {
  /** In turn; the last one holds for all that follow. */
  readonly starts: readonly Start[];
  /** After the last one comes the first one again. */
  readonly cycle: boolean;
  /** It runs already when upkeep begins. */
  readonly found: boolean;
  /** ms from a signal to its end. */
  readonly stopTakes: number;
  /** Nothing but SIGKILL ends it. */
  readonly deaf: boolean;
  /** ms that its own stop command takes. */
  readonly ownStopTakes: number;
  /** ms that a probe takes. */
  readonly probeTakes: number;
}

export type Act =
  | { readonly act: 'dies'; readonly command: string; readonly exit: Exit }
  | {
      readonly act: 'hangs' | 'unhealthy' | 'healthy' | 'start' | 'stop' | 'restart' | 'reloads';
      readonly command: string;
    }
  | { readonly act: 'reload'; readonly policy: string }
  | { readonly act: 'shutdown'; readonly reason: string };

export type Scheduled = Act & {
  /** ms. */
  readonly at: number;
  /** ms from one time to the next; null: once. */
  readonly every: number | null;
};

export interface Script {
  /** ms of virtual time; null: it does not say. */
  readonly until: number | null;
  readonly seed: number;
  /** Time of day at which it begins, ms since 1970. */
  readonly begins: number;
  readonly commands: ReadonlyMap<string, Behaviour>;
  readonly events: readonly Scheduled[];
}

const USUAL: Start = {
  times: 1,
  error: null,
  background: null,
  lives: null,
  exit: null,
  ready: null,
  unhealthy: null,
};

export const USUAL_BEHAVIOUR: Behaviour = {
  starts: [USUAL],
  cycle: false,
  found: false,
  stopTakes: 50,
  deaf: false,
  ownStopTakes: 100,
  probeTakes: 10,
};

/** No zone, and nobody's birthday: the same on every machine. */
const BEGINS = Date.UTC(2026, 0, 1);

export const NO_SCRIPT: Script = { until: null, seed: 1, begins: BEGINS, commands: new Map(), events: [] };

const TIME = 'a time such as 500ms, 1.5s, 2m or 1h';
const time = () =>
  read(z.union([z.number(), z.string()], expected(TIME)), (value) => {
    try {
      parseDuration(String(value), 'it');
    } catch {
      throw new UsageError(expectedText(TIME, value));
    }
  });
const timeOrNever = () =>
  z.union([z.literal(false, expected(`${TIME}, or false`)), time()], expected(`${TIME}, or false`));
const signal = () => read(text('the name of a signal'), readSignal);
const exit = { exit: whole(0, 255).optional(), signal: signal().optional() };

const start = mapping({
  times: whole(1).optional(),
  error: text('why it cannot be started').optional(),
  background: timeOrNever().optional(),
  lives: timeOrNever().optional(),
  ...exit,
  ready: timeOrNever().optional(),
  unhealthy: time().optional(),
});

const behaviour = mapping({
  starts: some(start, 'how a start turns out, or a list of that').optional(),
  cycle: flag().optional(),
  found: flag().optional(),
  stop: mapping({ takes: time().optional(), deaf: flag().optional(), own: time().optional() }).optional(),
  probe: time().optional(),
});

const ACTS = ['dies', 'hangs', 'unhealthy', 'healthy', 'start', 'stop', 'restart', 'reloads'] as const;
const ofCommand = () => text('the name of a command').optional();
const event = mapping({
  at: time(),
  every: time().optional(),
  dies: ofCommand(),
  ...exit,
  hangs: ofCommand(),
  unhealthy: ofCommand(),
  healthy: ofCommand(),
  start: ofCommand(),
  stop: ofCommand(),
  restart: ofCommand(),
  reloads: ofCommand(),
  reload: text('the path of a policy file').optional(),
  shutdown: text('a reason, such as SIGTERM').optional(),
});

const schema = mapping({
  until: time().optional(),
  seed: whole(0).optional(),
  begins: read(text('a time such as 2026-01-01T00:00:00Z'), (value) => {
    if (Number.isNaN(Date.parse(value))) {
      throw new UsageError(expectedText('a time such as 2026-01-01T00:00:00Z', value));
    }
  }).optional(),
  commands: named(behaviour, NAME, 'a mapping of names').optional(),
  events: z.array(event, expected('a list')).optional(),
});

type RawEvent = z.infer<typeof event>;

/**
 * Reads a script, YAML or JSON.
 *
 * @param names commands that there are
 * @param refuse what is wrong with a policy that is to be read on the way; null: nothing
 * @throws PolicyError with every mistake that was found
 */
export function readScript(
  path: string,
  env: NodeJS.ProcessEnv,
  names: readonly string[],
  refuse: (policy: string) => string | null,
): Script {
  const problems: Problem[] = [];
  const content = readText(path, (file) => readFileSync(file, 'utf8'));
  if ('why' in content) {
    throw new PolicyError([{ file: path, line: 0, column: 0, path: '', message: content.why }]);
  }
  const whole = readDocument(
    content.text,
    path,
    env,
    problems,
    'write events: and below it, for instance, - { at: 10s, dies: web }',
  );
  if (whole === null) throw new PolicyError(problems);
  const report = (
    at: readonly (string | number)[],
    message: string,
    which: 'key' | 'value' = 'value',
  ): void => {
    const problem = problemAt(whole, at, message, which);
    if (problem !== null) problems.push(problem);
  };
  const { data, error } = schema.safeParse(whole);
  for (const issue of error?.issues ?? []) tellIssue(issue, report);
  if (data === undefined) throw new PolicyError(inOrder(problems));

  const known = (name: string, at: readonly (string | number)[], which: 'key' | 'value' = 'value'): void => {
    if (names.includes(name)) return;
    report(
      at,
      `there is no command ${name}${didYouMean(name, names) || `; the commands are ${names.join(', ')}`}`,
      which,
    );
  };
  for (const name of Object.keys(data.commands ?? {})) known(name, ['commands', name], 'key');
  const events = (data.events ?? []).flatMap((raw, index): Scheduled[] => {
    const acts = [...ACTS, 'reload', 'shutdown'] as const;
    const given = acts.filter((key) => raw[key] !== undefined);
    if (given.length !== 1) {
      const what =
        given.length === 0 ? 'it is not said what happens' : `${given.join(' and ')} exclude each other`;
      report(['events', index], `${what}; write one of ${acts.join(', ')}`);
      return [];
    }
    const key = given[0]!;
    if (key !== 'dies' && (raw.exit !== undefined || raw.signal !== undefined)) {
      report(
        ['events', index, raw.exit === undefined ? 'signal' : 'exit'],
        'only what dies has it; take it out',
        'key',
      );
    }
    if (key !== 'reload' && key !== 'shutdown') known(raw[key]!, ['events', index, key]);
    const wrong = key === 'reload' ? refuse(raw.reload!) : null;
    if (wrong !== null) report(['events', index, key], `this policy cannot be read again: ${wrong}`);
    return [
      {
        ...actOf(key, raw),
        at: ms(raw.at),
        every: raw.every === undefined ? null : Math.max(1, ms(raw.every)),
      },
    ];
  });
  if (problems.length > 0) throw new PolicyError(inOrder(problems));
  return {
    until: data.until === undefined ? null : ms(data.until),
    seed: data.seed ?? 1,
    begins: data.begins === undefined ? BEGINS : Date.parse(data.begins),
    commands: new Map(Object.entries(data.commands ?? {}).map(([name, raw]) => [name, behaviourOf(raw)])),
    events,
  };
}

const inOrder = (problems: readonly Problem[]): Problem[] =>
  problems.toSorted((a, b) => a.line - b.line || a.column - b.column);

const ms = (value: string | number): number => parseDuration(String(value), 'it');
const msOr = (value: string | number | false | undefined): number | false | null =>
  value === undefined ? null : value === false ? false : ms(value);

function exitOf({ exit, signal }: { exit?: number | undefined; signal?: string | undefined }): Exit | null {
  if (signal !== undefined) return { known: true, code: null, signal: readSignal(signal), core: false };
  return exit === undefined ? null : { known: true, code: exit, signal: null, core: false };
}

const KILLED: Exit = { known: true, code: null, signal: 'SIGKILL', core: false };

function actOf(key: (typeof ACTS)[number] | 'reload' | 'shutdown', raw: RawEvent): Act {
  if (key === 'reload') return { act: 'reload', policy: raw.reload! };
  if (key === 'shutdown') return { act: 'shutdown', reason: raw.shutdown! };
  const command = raw[key]!;
  return key === 'dies' ? { act: key, command, exit: exitOf(raw) ?? KILLED } : { act: key, command };
}

function behaviourOf({ starts, cycle, found, stop, probe }: z.infer<typeof behaviour>): Behaviour {
  const list = starts === undefined ? [] : Array.isArray(starts) ? starts : [starts];
  return {
    starts: list.length === 0 ? [USUAL] : list.map(startOf),
    cycle: cycle ?? false,
    found: found ?? false,
    stopTakes: stop?.takes === undefined ? USUAL_BEHAVIOUR.stopTakes : ms(stop.takes),
    deaf: stop?.deaf ?? false,
    ownStopTakes: stop?.own === undefined ? USUAL_BEHAVIOUR.ownStopTakes : ms(stop.own),
    probeTakes: probe === undefined ? USUAL_BEHAVIOUR.probeTakes : ms(probe),
  };
}

function startOf(raw: z.infer<typeof start>): Start {
  return {
    times: raw.times ?? 1,
    error: raw.error ?? null,
    background: msOr(raw.background),
    lives: msOr(raw.lives),
    exit: exitOf(raw),
    ready: msOr(raw.ready),
    unhealthy: raw.unhealthy === undefined ? null : ms(raw.unhealthy),
  };
}
