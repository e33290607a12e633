/** WIRES what only a policy file asks for: probes, sockets for sd_notify, files that are followed, notifications. Nothing is made
 * for who asks for nothing. */
import { hostname } from 'node:os';
import type { Exit, Told } from '../machines/events.ts';
import {
  createHooks,
  type Failure,
  filledIn,
  type Hooks,
  type Notification,
  partsOf,
} from './output/hooks.ts';
import type { Log } from './output/log.ts';
import { createTail, type Tail } from './output/tail.ts';
import type { CommandSpec, HookSpec, ProbeSpec } from './policy/spec.ts';
import { post, tellCommand } from './process/hook.ts';
import type { Program } from './process/launch.ts';
import type { Native } from './process/native.ts';
import { createNotify, type Notify } from './process/notify.ts';
import { createProbes, type Probes, type ProbesOptions } from './process/probe.ts';
import type { LogSource } from './process/probe-log.ts';

export interface ExtrasOptions extends Pick<ProbesOptions, 'runHelper' | 'pidsOf' | 'hearer' | 'now'> {
  readonly specOf: (command: string) => CommandSpec;
  readonly log: Log;
  readonly native: Native | null;
  /** Where sockets for sd_notify are made. */
  readonly folder: string;
  /** Runs a program that helps no command, with upkeep's own rights, as `runHelper` does. */
  readonly runOwn: (
    program: Program,
    ended: (result: Exit | { readonly error: string }) => void,
  ) => () => void;
  readonly version: string;
  readonly redact: (text: string) => string;
  /** Hears of what nobody should be shown. */
  readonly onSecrets: (secrets: readonly string[]) => void;
  readonly notice: (command: string | null, message: string) => void;
}

export interface Extras {
  /** Follows what the command's policy says from now on. */
  readonly configure: (spec: CommandSpec) => void;
  readonly forget: (command: string) => void;
  /** A new run begins. */
  readonly launched: (command: string) => void;
  /** What the command's processes are told besides. */
  readonly environmentOf: (command: string) => Readonly<Record<string, string>>;
  /** Runs the command's probe once, as actors/probe.ts wants it. */
  readonly probe: (
    command: string,
    which: 'ready' | 'health',
    answer: (reason: string | null) => void,
  ) => () => void;
  /** What the service has written. */
  readonly heard: (command: string, chunk: Buffer, stream: LogSource) => void;
  /** Hears, at once, what the service has said of itself by sd_notify. */
  readonly hearOut: (command: string) => void;
  /** Reads, at once, what a service that just died has said last in its files. */
  readonly drain: (command: string) => void;
  readonly resume: () => void;
  /** Notifies these of what is told from now on, and nobody else. */
  readonly setHooks: (hooks: readonly HookSpec[]) => void;
  readonly told: (told: Told) => void;
  /** Gives notifications so many ms more. */
  readonly settle: (ms: number) => Promise<void>;
  readonly close: () => void;
}

/** A readiness probe that asks, ms. Others wait for what is told to them, as long as the policy lets them. */
const TRY_TIMEOUT = 5_000;
const TOLD: readonly ProbeSpec['kind'][] = ['log', 'notify', 'delay'];

export function createExtras(options: ExtrasOptions): Extras {
  const { specOf, log, native, folder, notice } = options;
  const tails = new Map<string, Tail>();
  /** Who was launched by this upkeep: what others have said before was not heard. */
  const launchedHere = new Set<string>();
  let notify: Notify | null = null;
  let probes: Probes | null = null;
  let hooks: Hooks<HookSpec> | null = null;

  const theNotify = (): Notify => {
    notify ??= createNotify(native, folder);
    return notify;
  };
  const theProbes = (): Probes => {
    probes ??= createProbes({
      ...options,
      probesOf: (command) => probesOf(specOf(command)),
      notify: theNotify(),
    });
    return probes;
  };

  const theHooks = (): Hooks<HookSpec> => {
    hooks ??= createHooks({
      ...options,
      deliver,
      host: hostname(),
      tail: (command) => log.service(command).tail(),
      wallClock: () => new Date(),
      random: Math.random,
      notice: (message) => notice(null, message),
    });
    return hooks;
  };

  function deliver(
    { webhook, program, timeout }: HookSpec,
    notification: Notification,
    answer: (failure: Failure | null) => void,
  ): () => void {
    const how = { timeout, answer };
    if (webhook === null) {
      const variables = Object.entries(partsOf(notification)).map(([name, value]) => [
        `UPKEEP_${name.toUpperCase()}`,
        value,
      ]);
      return tellCommand(
        program!,
        JSON.stringify(notification),
        Object.fromEntries(variables),
        options.runOwn,
        how,
      );
    }
    const { body } = webhook;
    return post(
      webhook,
      JSON.stringify(body === null ? notification : filledIn(body, partsOf(notification))),
      {
        ...how,
        agent: `upkeep/${options.version}`,
        onSecrets: options.onSecrets,
      },
    );
  }

  return {
    configure(spec) {
      const { name, policy } = spec;
      const logSpec = policy?.log ?? null;
      const plain =
        logSpec === null || (logSpec.prefix === null && logSpec.format === null && logSpec.file === null);
      log.configure(name, plain ? null : logSpec);
      // A service that an upkeep before this one started has the socket's path already.
      if (isNotified(spec)) {
        theProbes();
        theNotify().pathOf(name);
      }
      const paths = logSpec?.tail ?? [];
      const tail = tails.get(name);
      if (tail !== undefined) tail.follow(paths);
      else if (paths.length > 0) {
        const follow = createTail(paths, (path, chunk) => log.service(name).pushFile(chunk, path), {
          notice: (message) => notice(name, message),
        });
        tails.set(name, follow);
      }
    },
    forget(command) {
      tails.get(command)?.close();
      tails.delete(command);
      log.configure(command, null);
      notify?.forget(command);
      launchedHere.delete(command);
    },
    launched(command) {
      if (probesOf(specOf(command)).length === 0) return;
      launchedHere.add(command);
      theProbes().launched(command);
    },
    environmentOf(command) {
      const spec = specOf(command);
      const { policy } = spec;
      if (!isNotified(spec)) return {};
      const path = theNotify().pathOf(command);
      // Its probe will say why.
      if (typeof path !== 'string') return {};
      const watchdog = policy?.health?.kind === 'notify' ? policy.machine.health : null;
      return {
        NOTIFY_SOCKET: path,
        ...(watchdog === null ? {} : { WATCHDOG_USEC: String(watchdog.timeout * 1_000) }),
      };
    },
    probe(command, which, answer) {
      const { policy } = specOf(command);
      const spec = which === 'ready' ? policy?.ready : policy?.health;
      const heardNothing =
        !launchedHere.has(command) && spec !== null && spec !== undefined && TOLD.includes(spec.kind);
      if (spec === null || spec === undefined || (heardNothing && which === 'ready')) {
        answer(null);
        return () => {};
      }
      const timeout =
        which === 'health'
          ? (policy?.machine.health?.timeout ?? TRY_TIMEOUT)
          : TOLD.includes(spec.kind)
            ? null
            : TRY_TIMEOUT;
      return theProbes().run(command, spec, timeout, (result) => answer(result.ok ? null : result.reason));
    },
    heard(command, chunk, stream) {
      if (probes?.wantsLines(command)) probes.line(command, chunk, stream);
    },
    hearOut: (command) => notify?.drain(command),
    drain: (command) => tails.get(command)?.drain(),
    resume() {
      for (const tail of tails.values()) tail.resume();
    },
    setHooks(specs) {
      if (hooks !== null || specs.length > 0) theHooks().configure(specs);
    },
    told: (told) => hooks?.told(told),
    settle: async (ms) => hooks?.settle(ms),
    close() {
      for (const tail of tails.values()) tail.close();
      notify?.close();
    },
  };
}

function isNotified(spec: CommandSpec): boolean {
  return probesOf(spec).some(({ kind }) => kind === 'notify');
}

function probesOf({ policy }: CommandSpec): ProbeSpec[] {
  return [policy?.ready, policy?.health].flatMap((probe) => (probe ? [probe] : []));
}
