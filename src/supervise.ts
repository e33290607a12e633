/** WIRES: the one place that provides, creates and starts actors. */
import { execa } from 'execa';
import { Subject } from 'rxjs';
import { createActor } from 'xstate';
import { commandMachine } from '../machines/command.ts';
import type { Exit, Told } from '../machines/events.ts';
import { type CommandPlan, groupMachine } from '../machines/group.ts';
import { DEFAULT_POLICY } from '../machines/restart-policy.ts';
import { EXIT_INTERNAL, supervisorMachine } from '../machines/supervisor.ts';
import { launchActor } from './actors/launch.ts';
import { scanActor } from './actors/scan.ts';
import { stopperActor } from './actors/stopper.ts';
import { claimSocket, defaultSocketPath } from './control/socket.ts';
import { createLog } from './output/log.ts';
import { openSink } from './output/sink.ts';
import type { RunOptions } from './policy/options.ts';
import type { CommandSpec } from './policy/spec.ts';
import { clockOfTicks } from './process/clock.ts';
import { closeInherited, scrubEnvironment } from './process/environment.ts';
import { createLineage } from './process/lineage.ts';
import { loadNative } from './process/native.ts';
import { createDeathWatch } from './process/pidfd.ts';
import { createPrograms } from './process/programs.ts';
import { chooseReaping, createReaper } from './process/reap.ts';
import { scanProcesses } from './process/scan.ts';
import { createSignaller, endAll } from './process/signal.ts';
import { createStreams } from './process/streams.ts';
import { chooseTable } from './process/table-choose.ts';
import { chooseTagging } from './process/tagging.ts';

export interface Supervision {
  /** Ends the container's life; the second call kills. */
  readonly shutdown: (reason: string) => void;
  /** A line in upkeep's own log. */
  readonly notice: (message: string) => void;
  /** Resolves with the exit code when everything is over and written. */
  readonly done: Promise<number>;
}

/** What start-up may refuse; afterwards nothing does. */
export class StartError extends Error {}

/** Failures in a row after which a command that may end the container has failed for good. */
const VITAL_GIVES_UP_AFTER = 5;

/**
 * Starts to supervise.
 *
 * @throws StartError where another upkeep holds the socket, or the process table that was asked for can't be had
 */
export async function supervise(
  commands: readonly CommandSpec[],
  options: RunOptions,
  env: NodeJS.ProcessEnv,
  version: string,
): Promise<Supervision> {
  const now = (): number => performance.now();
  const names = commands.map(({ name }) => name);

  process.umask(0o022);
  const loaded = loadNative(env);
  const native = 'missing' in loaded ? null : loaded;
  if (native !== null) closeInherited(native);
  const { table, notices } = chooseTableOrRefuse(options.table);
  const socketPath = options.socket ?? defaultSocketPath(env);
  const claim = await claimSocket(socketPath);
  if ('holder' in claim) {
    throw new StartError(
      `cannot start: ${claim.holder} holds ${socketPath}; stop it first, or give this one a socket of its own with --socket PATH`,
    );
  }
  if ('impossible' in claim)
    notices.push(`there is no control socket: ${claim.impossible}; --socket PATH puts it elsewhere`);

  const raw = options.log === 'raw';
  const sink = openSink(1, { inherited: raw });
  const colour = sink.isTTY && !env.NO_COLOR;
  const log = createLog({ format: options.log, sink, colour, names });
  const streams = createStreams(native, (name, chunk, stream) => log.service(name).push(chunk, stream));
  log.onResume(() => streams.resume());
  const finishLines = (name: string): void => {
    if (raw) return;
    streams.drain(name);
    log.service(name).flushPartial();
  };

  const tell = (told: Told): void => {
    // What a process said last comes before what is said of its end.
    if (told.type === 'command.died' || told.type === 'command.failedStart') finishLines(told.command);
    log.tell(told);
    if (told.type === 'command.running' && told.how === 'adopted') {
      streams.takeOver(told.command, told.leader.pid);
    }
  };
  const notice = (command: string | null, message: string, level: 'info' | 'warn' = 'warn'): void =>
    tell({ type: 'upkeep.notice', at: now(), command, level, message });

  const tagging = chooseTagging(native, table.kind, socketPath, names);
  const reaping = chooseReaping(loaded);
  const sinceOf = clockOfTicks(now);
  const lineage = createLineage({
    table,
    tags: tagging.tags,
    commands,
    self: process.pid,
    startTimeout: DEFAULT_POLICY.startTimeout,
    linger: DEFAULT_POLICY.linger,
    reaping: reaping.exact,
    now,
    sinceOf,
  });

  const news = new Subject<void>();
  const signaller = createSignaller(lineage, now, sinceOf, (name, pid, signal, error) =>
    notice(
      name,
      `cannot send ${signal} to pid ${pid}: ${error.message}; upkeep needs the same user, or CAP_KILL`,
    ),
  );

  const onEnd = (pid: number, exit: Exit): void => {
    if (lineage.exited(pid, exit)) news.next();
  };
  const onStop = (pid: number, stopped: boolean): void => {
    const name = lineage.ledBy(pid);
    if (name === null) return;
    const message = stopped
      ? `pid ${pid} is stalled: it was stopped (SIGSTOP, or a debugger); it is there, but does nothing until kill -CONT ${pid}`
      : `pid ${pid} goes on`;
    notice(name, message, stopped ? 'warn' : 'info');
  };
  const reaper = native === null ? null : createReaper(native, lineage.dying, onEnd, onStop);
  const deathWatch = native === null ? null : createDeathWatch(native, () => news.next());
  const onChild = (): void => {
    if (reaper === null) news.next();
    else reaper.sweep();
  };
  process.on('SIGCHLD', onChild);

  const { env: serviceEnv, dropped } = scrubEnvironment(env);
  if (dropped.includes('NODE_OPTIONS')) {
    notices.push(
      'NODE_OPTIONS is for upkeep alone; for a service write it in its command: "NODE_OPTIONS=… node app.js"',
    );
  }

  const runnables = new Map(
    commands.map((spec) => [spec.name, { ...spec, execution: spec.policy?.execution ?? null }]),
  );
  const programs = createPrograms({
    launchOptions: { execa, native, prefix: tagging.prefix, env: serviceEnv },
    runnableOf: (name) => runnables.get(name)!,
    streams: raw ? null : streams,
    tags: tagging.tags,
    table,
    lineage,
    signaller,
    onEnd,
  });
  const command = commandMachine.provide({
    actors: {
      launch: launchActor({
        now,
        start(name) {
          log.service(name).forgetTail();
          return programs.start(name);
        },
      }),
      stopper: stopperActor({ now, run: programs.stop }),
    },
    actions: {
      tell: (_, telling) => tell({ at: now(), ...telling }),
      signal: (_, { command: name, scope, signal }) => {
        signaller.send(name, scope, signal as NodeJS.Signals);
        news.next();
      },
    },
  });

  const reports = scanProcesses({
    table,
    lineage,
    news,
    interval: options.interval,
    // SIGCHLDs merge, and one may come before anybody listens.
    onInterval: () => reaper?.sweep(),
    reaping: reaping.exact,
    adopt: options.adopt,
    now,
    afterLook() {
      signaller.pursue();
      deathWatch?.watch(lineage.strangers());
    },
    notice,
  });
  const supervisor = supervisorMachine.provide({
    // A machine that provides is not provided to: the root is given the group with the command in it.
    actors: { group: groupMachine.provide({ actors: { command } }), scan: scanActor(reports) },
    actions: { tell: (_, telling) => tell({ at: now(), ...telling }) },
  });

  tell({
    type: 'upkeep.started',
    at: now(),
    version,
    pid: process.pid,
    commands: names,
    table: table.kind,
    lineage: tagging.how,
    reaping: reaping.how,
  });
  for (const message of notices) notice(null, message);

  const root = createActor(supervisor, {
    input: {
      commands: commands.map((spec) => planOf(spec, options)),
      grace: options.grace,
      seed: Math.floor(Math.random() * 2 ** 31),
    },
  });

  const done = new Promise<number>((resolve) => {
    const finish = (code: number, left: number, begun: number): void => {
      for (const name of names) finishLines(name);
      const took = now() - begun;
      tell({ type: 'supervisor.stopped', at: now(), code, took, left });
      process.removeListener('SIGCHLD', onChild);
      reaper?.close();
      if ('server' in claim) claim.server.close();
      // A reader that has stalled gets what is left of the budget, and no more.
      void sink.flush(Math.max(200, Math.min(1_000, options.grace - took))).then(() => resolve(code));
    };
    root.subscribe({
      complete: () => {
        const { output, context } = root.getSnapshot();
        finish(output!.code, output!.left, context.stoppedAt);
      },
      error: (error) => {
        notice(
          null,
          `cannot go on: ${(error as Error).stack ?? error}; the services are stopped, and upkeep exits with 70`,
        );
        const begun = now();
        void endAll(names, signaller, lineage, options.grace, now).then((left) =>
          finish(EXIT_INTERNAL, left, begun),
        );
      },
    });
  });
  root.start();

  return {
    shutdown(reason) {
      root.send({ type: 'shutdown.ordered', at: now(), reason });
    },
    notice: (message) => notice(null, message, 'info'),
    done,
  };
}

function chooseTableOrRefuse(wanted: RunOptions['table']): ReturnType<typeof chooseTable> {
  try {
    return chooseTable(wanted);
  } catch (error) {
    throw new StartError((error as Error).message);
  }
}

function planOf(spec: CommandSpec, { exitOnFailed }: RunOptions): CommandPlan {
  const vital = exitOnFailed === true || (exitOnFailed !== false && exitOnFailed.includes(spec.name));
  return {
    name: spec.name,
    vital,
    policy: {
      ...DEFAULT_POLICY,
      returns: spec.returns,
      ownStop: spec.stop !== null,
      giveUpAfter: vital ? VITAL_GIVES_UP_AFTER : null,
    },
  };
}
