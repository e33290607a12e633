/** WIRES: the one place that provides, creates and starts actors. */
import type { Socket } from 'node:net';
import { execa } from 'execa';
import { Subject } from 'rxjs';
import { type AnyStateMachine, createActor } from 'xstate';
import { commandMachine } from '../machines/command.ts';
import { saidBefore } from '../machines/command-books.ts';
import type { CommandFact, Exit, Leader, PolicyDiff, Remains, Told } from '../machines/events.ts';
import { groupMachine } from '../machines/group.ts';
import { DEFAULT_POLICY } from '../machines/restart-policy.ts';
import { supervisorMachine } from '../machines/supervisor.ts';
import { groupNamed } from '../machines/tree.ts';
import { createClock } from './actors/clock.ts';
import { launchActor } from './actors/launch.ts';
import { probeActor } from './actors/probe.ts';
import { scanActor } from './actors/scan.ts';
import { scheduleActor } from './actors/schedule.ts';
import { stopperActor } from './actors/stopper.ts';
import type { Answer, Inside, Reloading } from './control/inside.ts';
import { createControl } from './control/server.ts';
import { claimSocket, defaultSocketPath, isPrivate } from './control/socket.ts';
import { exitCodeOf } from './exit-code.ts';
import type { createExtras } from './extras.ts';
import type { Http } from './http.ts';
import { candidateOf, createStates, isEnding, waitingFor } from './inside.ts';
import type { Inspect } from './inspect.ts';
import { createCrashes } from './output/crash.ts';
import { createJournal } from './output/journal.ts';
import { createLog } from './output/log.ts';
import { createProbeBook } from './output/probed.ts';
import { createRecent } from './output/recent.ts';
import { openSink } from './output/sink.ts';
import { differenceOf } from './output/tell.ts';
import { EXIT_INTERNAL } from './policy/exit-codes.ts';
import type { RunOptions } from './policy/options.ts';
import { planOf, toldDifference } from './policy/plan.ts';
import type { Read } from './policy/reader.ts';
import type { CommandSpec, Policy } from './policy/spec.ts';
import { createAutopsy } from './process/autopsy.ts';
import { clockOfTicks } from './process/clock.ts';
import { closeInherited, createRedactor, scrubEnvironment } from './process/environment.ts';
import { createLineage } from './process/lineage.ts';
import type { Kin } from './process/matching.ts';
import { loadNative } from './process/native.ts';
import { createDeathWatch } from './process/pidfd.ts';
import { createPrograms, type Runnable } from './process/programs.ts';
import { chooseReaping, createReaper } from './process/reap.ts';
import { scanProcesses } from './process/scan.ts';
import { createSignaller, endAll } from './process/signal.ts';
import { createStreams } from './process/streams.ts';
import { chooseTable } from './process/table-choose.ts';
import { chooseTagging } from './process/tagging.ts';
import { makeThreads } from './process/threads.ts';
import { createReloads, ENDING, refusal } from './reloads.ts';
import type { Syslog } from './syslog.ts';

export interface Supervision {
  /** Ends the container's life; the second call kills. */
  readonly shutdown: (reason: string) => void;
  /** Reads the policy again, if there is one. */
  readonly reload: () => void;
  /** A line in upkeep's own log. */
  readonly notice: (message: string) => void;
  /** Resolves with the exit code when everything is over and written. */
  readonly done: Promise<number>;
}

/** Policy files, and what only they ask for. */
export interface PolicyFiles {
  readonly createExtras: typeof createExtras;
  readonly read: () => Read;
  readonly diffPolicies: typeof import('./policy/diff.ts').diffPolicies;
  readonly nextRun: typeof import('./policy/schedule.ts').nextRun;
}

/** When it is counted first how many the OOM killer has ended, ms. */
const FIRST_COUNT = 100;

/** What start-up may refuse; afterwards nothing does. */
export class StartError extends Error {}

/**
 * Starts to supervise.
 *
 * @param files null: all commands were given as arguments
 * @throws StartError where another upkeep holds the socket, or the process table that was asked for can't be had
 */
export async function supervise(
  first: { readonly policy: Policy; readonly warnings: readonly string[] },
  options: RunOptions,
  env: NodeJS.ProcessEnv,
  version: string,
  files: PolicyFiles | null,
): Promise<Supervision> {
  const now = (): number => performance.now();
  let { policy } = first;
  let plan = planOf(policy, options);
  const { commands } = policy;
  const names = commands.map(({ name }) => name);
  const specs = new Map(commands.map((spec) => [spec.name, spec]));
  /** Commands that the policy names no more, and that have not stopped yet. */
  const leaving = new Map<string, CommandSpec>();
  const specOf = (name: string): CommandSpec => specs.get(name) ?? leaving.get(name)!;

  makeThreads();
  process.umask(0o022);
  const loaded = loadNative(env);
  const native = 'missing' in loaded ? null : loaded;
  if (native !== null) closeInherited(native);
  const { table, notices } = chooseTableOrRefuse(options.table);
  const socketPath = options.socket ?? defaultSocketPath(env);
  let inside: Inside | null = null;
  const peerOf: Inside['peerOf'] = (client) => native?.peer(descriptorOf(client)) ?? null;
  const control = createControl({
    version,
    inside: () => inside,
    uidOf: (client) => peerOf(client)?.uid ?? null,
    isPrivate: () => isPrivate(socketPath),
    ownUid: process.getuid?.() ?? 0,
  });
  const claim = options.control ? await claimSocket(socketPath, control) : { server: null };
  if ('holder' in claim) {
    throw new StartError(
      `cannot start: ${claim.holder} holds ${socketPath}; stop it first, or give this one a socket of its own with --socket PATH`,
    );
  }
  if ('impossible' in claim)
    notices.push(`there is no control socket: ${claim.impossible}; --socket PATH puts it elsewhere`);
  notices.push(...first.warnings);

  const raw = options.log === 'raw';
  const sink = openSink(1, { inherited: raw });
  const colour = sink.isTTY && !env.NO_COLOR;
  const redactor = createRedactor(
    (text) => specs.has(text) || leaving.has(text) || groupNamed(plan.groups, text) !== null,
  );
  const { redact, redactValue, redactBytes } = redactor;
  const log = createLog({ format: options.log, sink, colour, names, redact, redactValue, redactBytes });
  const journal = createJournal();
  const states = createStates(journal, now);
  const probed = createProbeBook();
  const recent = raw ? null : createRecent({ limit: options.logMemory });
  const streams = createStreams(native, (name, chunk, stream) => {
    extras.heard(name, chunk, stream);
    recent?.push(name, chunk, stream);
    return log.service(name).push(chunk, stream);
  });
  /** null: nobody has asked for it. */
  let syslog: Syslog | null = null;
  let http: Http | null = null;
  let inspect: Inspect | undefined;
  log.onResume(() => {
    streams.resume();
    extras.resume();
    syslog?.resume();
  });
  const finishLines = (name: string): void => {
    syslog?.drain();
    if (raw) return;
    streams.drain(name);
    extras.drain(name);
    log.service(name).flushPartial();
  };

  const autopsy = createAutopsy();
  // Not while everything is started: it can wait.
  setTimeout(autopsy.unexplained, FIRST_COUNT).unref();
  const crashes = createCrashes({
    examine: autopsy.examine,
    tail: (name) => log.service(name).tail().map(redactor.redact),
  });

  /** null: nobody has asked for it. */
  const recorder =
    options.record === null
      ? null
      : (await import('./inspector/record.ts')).createRecorder({
          path: options.record,
          size: options.recordSize,
          version,
          redact,
          redactValue,
          now,
          notice: (message, level) => notice(null, message, level),
        });

  /** Lines are read in the midst of a transition. */
  let isFinishing = false;
  const tell = (told: Told): void => {
    // What a process said last comes before what is said of its end.
    if (told.type === 'command.died' || told.type === 'command.failedStart') {
      isFinishing = true;
      finishLines(told.command);
      isFinishing = false;
    }
    const known = crashes.hear(told);
    log.tell(known);
    journal.note(known);
    recorder?.told(known);
    extras.told(known);
    if (told.type === 'command.running' && told.how === 'adopted') {
      streams.takeOver(told.command, told.leader.pid);
    }
    if (told.type === 'command.stopped' && leaving.has(told.command)) {
      leaving.delete(told.command);
      lineage.remove(told.command);
      launchedAs.delete(told.command);
      refusedPids.delete(told.command);
      autopsy.forget(told.command);
      crashes.forget(told.command);
      probed.forget(told.command);
      extras.forget(told.command);
      recent?.forget(told.command);
      // Its machine has one more transition to make.
      setImmediate(() => {
        if (specs.has(told.command)) return;
        journal.forget(told.command);
        states.forget(told.command);
      });
    }
  };
  const notice = (command: string | null, message: string, level: 'info' | 'warn' = 'warn'): void =>
    tell({ type: 'upkeep.notice', at: now(), command, level, message });

  const tellOfOthers = (count: number): void => {
    if (count === 0) return;
    const who = count === 1 ? '1 process that leads no command' : `${count} processes that lead no command`;
    notice(null, `the kernel has killed ${who}: memory has run out; raise its limit, or see which one grows`);
  };

  const tagging = chooseTagging(native, table.kind, socketPath, names);
  const reaping = chooseReaping(loaded);
  const sinceOf = clockOfTicks(now);
  const lineage = createLineage({
    table,
    tags: tagging.tags,
    commands: commands.map(kinOf),
    self: process.pid,
    startTimeout: DEFAULT_POLICY.startTimeout,
    linger: DEFAULT_POLICY.linger,
    longestGap: 2 * options.interval + 1_000,
    reaping: reaping.exact,
    now,
    sinceOf,
    notice,
  });

  const news = new Subject<void>();
  const signaller = createSignaller(lineage, now, sinceOf, table.lastPid, (name, pid, signal, error) =>
    notice(
      name,
      `cannot send ${signal} to pid ${pid}: ${error.message}; upkeep needs the same user, or CAP_KILL`,
    ),
  );

  const onEnd = (pid: number, exit: Exit, peak: number | null = null): void => {
    const led = lineage.ledBy(pid);
    // That it ends, or who leads instead, may be what it has said last.
    if (led !== null) extras.hearOut(led);
    autopsy.ended(led, pid, peak);
    if (led !== null) http?.ended(led, now());
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
  const onDying = (pid: number): void => {
    // As long as a sender is there, it is known whose it is.
    syslog?.drain();
    lineage.dying(pid);
  };
  const onReaped = (pid: number, exit: Exit, peak: number, taken: boolean): void => {
    if (!taken) http?.reaped();
    onEnd(pid, exit, peak);
  };
  const reaper = native === null ? null : createReaper(native, onDying, onReaped, onStop);
  const onStrangerEnd = (): void => {
    http?.alarmed(now());
    news.next();
  };
  const deathWatch = native === null ? null : createDeathWatch(native, onStrangerEnd);
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

  const runnableNow = (name: string): Runnable => {
    const spec = specOf(name);
    const { policy: more } = spec;
    if (more === null) return { ...spec, execution: null };
    return { ...spec, env: { ...extras.environmentOf(name), ...spec.env }, execution: more.execution };
  };
  /** Before the machines run, there is nobody to be told. */
  let inform = (_command: string, _fact: CommandFact): void => {};
  /** What was refused last, by command: a service may say it again and again. */
  const refusedPids = new Map<string, number>();
  function heedMainPid(name: string, pid: number): void {
    // What a run comes to is how its launcher ends.
    const { kind } = specOf(name).policy?.machine ?? DEFAULT_POLICY;
    const refused = kind === 'service' ? lineage.appoint(name, pid) : `a ${kind} is what was launched`;
    if (refused === null) news.next();
    if (refused === null || refusedPids.get(name) === pid) return;
    refusedPids.set(name, pid);
    notice(name, `it says that pid ${pid} leads it (MAINPID), which is passed over: ${refused}`);
  }
  /** What runs is helped and stopped with the rights and the environment that it was started with. */
  const launchedAs = new Map<string, Runnable>();
  const runnableOf = (name: string): Runnable => {
    const launched = launchedAs.get(name);
    if (launched === undefined) return name === '' ? OWN : runnableNow(name);
    // A policy that was read since may have a stop command where there was none.
    const { stop } = launched.stop === null ? specOf(name) : launched;
    return stop === launched.stop ? launched : { ...launched, stop };
  };
  let looks = 0;
  const programs = createPrograms({
    launchOptions: {
      execa,
      native,
      prefix: tagging.prefix,
      env: serviceEnv,
      onSecrets: redactor.learn,
    },
    runnableOf,
    streams: raw ? null : streams,
    tags: tagging.tags,
    table,
    lineage,
    signaller,
    ...(reaper !== null && { take: reaper.take }),
    onEnd,
    look: () => news.next(),
    looks: () => looks,
  });
  const extras =
    files?.createExtras({
      specOf,
      log,
      native,
      folder: `${socketPath}.d`,
      runHelper: (name, program, ended) => programs.run(name, program, ended, 'ignore'),
      runOwn: (program, ended) => programs.run('', program, ended, 'ignore'),
      version,
      redact: redactor.redact,
      onSecrets: redactor.learn,
      pidsOf: (name) => lineage.targets(name, 'tagged').map(({ pid }) => pid),
      hearer: {
        status: (name, status) => inform(name, { type: 'status.told', at: now(), status: redact(status) }),
        ending: (name) => inform(name, { type: 'end.announced', at: now() }),
        mainPid: heedMainPid,
      },
      now,
      notice,
    }) ?? NO_EXTRAS;
  for (const spec of commands) if (spec.policy !== null) extras.configure(spec);
  extras.setHooks(policy.hooks);
  const unheard = commands.filter(({ policy: more }) => raw && more?.ready?.kind === 'log');
  for (const { name } of unheard) {
    notices.push(
      `${name} cannot be found ready by its log: with --log raw upkeep does not see it; use --log plain or json, or another probe`,
    );
  }

  const command = equip(commandMachine, {
    actors: {
      launch: launchActor({
        now,
        start(name) {
          log.service(name).forgetTail();
          probed.forget(name);
          if (specOf(name).policy !== null) extras.launched(name);
          launchedAs.set(name, runnableNow(name));
          const launched = programs.start(name);
          if ('pid' in launched) autopsy.launched(launched.pid);
          return launched;
        },
      }),
      stopper: stopperActor({ now, run: programs.stop }),
      probe: probeActor({
        now,
        run: (name, which, answer) =>
          extras.probe(name, which, (reason) => {
            http?.probed(name, which, reason === null);
            probed.note(name, which, reason);
            // Found in them, it is an event behind the transition; in a recording it could not be told when it came, else.
            if (isFinishing) queueMicrotask(() => answer(reason));
            else answer(reason);
          }),
      }),
      schedule: scheduleActor({
        now,
        wallClock: Date.now,
        next: (name, after) => files?.nextRun(specOf(name).policy!.schedule!, after, Math.random) ?? null,
      }),
    },
    actions: {
      tell: (_, telling) => tell({ at: now(), ...telling }),
      signal: (_, { command: name, scope, signal }) => {
        signaller.send(name, scope, signal as NodeJS.Signals);
        news.next();
      },
      reload: (_, { command: name }) => reloads.begin(name),
    },
  });

  /** @returns why it is not sent; null: it is */
  function sendToLeader(name: string, signal: string): string | null {
    // Read anew: nobody else is to get it who has the number by now.
    const leader = lineage.targets(name, 'tagged').find(({ pid }) => lineage.ledBy(pid) === name);
    if (leader === undefined) return `it does not run; start it first: upkeep start ${name}`;
    try {
      process.kill(leader.pid, signal);
      return null;
    } catch (error) {
      return (error as Error).message;
    }
  }

  const reports = scanProcesses({
    table,
    lineage,
    news,
    interval: options.interval,
    onInterval() {
      // SIGCHLDs merge, and one may come before anybody listens.
      reaper?.sweep();
      tellOfOthers(autopsy.unexplained());
    },
    reaping: reaping.exact,
    adopt: options.adopt,
    now,
    afterLook(look) {
      looks++;
      if (look !== null) http?.looked(look.at, now(), look.unlisted !== true);
      signaller.pursue();
      deathWatch?.watch(lineage.strangers());
    },
    notice,
  });
  const supervisor = equip(supervisorMachine, {
    // What is invoked is not provided to: the root is given the group with the command in it.
    actors: {
      group: equip(groupMachine, {
        actors: { command },
        actions: { tell: (_, telling) => tell({ at: now(), ...telling }) },
      }),
      scan: scanActor(reports),
    },
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

  /** Hears syslog messages where the policy says now, or the options. */
  async function listenForSyslog(): Promise<void> {
    const pathNow = (): string | null => (policy.container.syslog ?? options.syslog) || null;
    if (syslog === null && pathNow() === null) return;
    const { createSyslog } = await import('./syslog.ts');
    syslog ??= createSyslog({
      native: loaded,
      log,
      commandOf: lineage.commandOf,
      commands: () => specs.values(),
      heard(name, { head, text }) {
        extras.heard(name, Buffer.from(`${text}\n`), 'syslog');
        recent?.push(name, Buffer.from(`${head}${text}\n`), 'syslog');
      },
      notice: (message) => notice(null, message),
    });
    syslog.listen(pathNow());
  }
  await listenForSyslog();

  /** Answers orchestrators where the policy says now, or the options. */
  async function serveHttp(): Promise<void> {
    const addressNow = (): string | null => (policy.container.http ?? options.http) || null;
    if (http === null && addressNow() === null) return;
    const { createHttp } = await import('./http.ts');
    http ??= createHttp({
      version,
      inside: () => inside,
      journal,
      table,
      membersOf: lineage.membersOf,
      dropped: () => ({ stdout: sink.dropped, file: log.lostInFiles(), syslog: syslog?.dropped() ?? 0 }),
      now,
      notice: (message, level) => notice(null, message, level),
    });
    http.listen(addressNow());
  }
  await serveHttp();
  const { createInspect } = options.inspect === null ? NOT_INSPECTED : await import('./inspect.ts');

  const input = { ...plan, seed: Math.floor(Math.random() * 2 ** 31) };
  const root = createActor(supervisor, { input, clock: createClock(now), inspect: states.inspect });
  recorder?.attach(root, input);

  /** Reads the policy again. What is wrong in it is returned, and then nothing changes.
   * @param accepted called before something does */
  function reload(
    accepted = (): void => {},
  ): { readonly diff: PolicyDiff } | { readonly error: string; readonly unusable?: true } {
    if (files === null)
      return { error: 'cannot reload: there is no policy file to read again; nothing has changed' };
    if (isEnding(root.getSnapshot())) return { error: ENDING };
    const read = files.read();
    if ('error' in read) return { error: `${read.error}\nnothing has changed`, unusable: true };
    const back = read.policy.commands.find(({ name }) => leaving.has(name));
    if (back !== undefined) {
      return { error: `cannot reload: ${back.name} is still being stopped; do it again when it has` };
    }
    accepted();
    for (const message of read.warnings) notice(null, message);
    const difference = files.diffPolicies(policy, read.policy);
    const { added, removed, restarted, adjusted } = difference;
    policy = read.policy;
    plan = planOf(policy, options);
    for (const name of removed) {
      leaving.set(name, specs.get(name)!);
      specs.delete(name);
    }
    for (const spec of policy.commands) specs.set(spec.name, spec);
    for (const name of added) lineage.add(kinOf(specOf(name)));
    for (const name of [...restarted, ...adjusted]) lineage.revise(kinOf(specOf(name)));
    for (const name of [...added, ...restarted, ...adjusted]) extras.configure(specOf(name));
    // Their processes stay, and are what the new policy would start.
    for (const name of adjusted) if (launchedAs.has(name)) launchedAs.set(name, runnableNow(name));
    log.rename([...specs.keys()]);
    extras.setHooks(policy.hooks);
    const { down } = root.getSnapshot().context;
    const diff = toldDifference({
      ...difference,
      // What an operator wants none of has no process to replace.
      restarted: restarted.filter((name) => !down.has(name)),
      adjusted: [...adjusted, ...restarted.filter((name) => down.has(name))],
    });
    const found = lineage.leaders();
    const before = [...specs.keys()].map((name) => [name, viewOf(name)] as const);
    root.send({ type: 'policy.changed', at: now(), plan, diff, found, remains: remainsWithout(found) });
    for (const [name, view] of before) {
      for (const fact of saidBefore(view?.context, viewOf(name)?.context, now())) inform(name, fact);
    }
    void listenForSyslog();
    void serveHttp();
    return { diff };
  }

  const viewOf = (name: string) => states.viewOf(name, root.getSnapshot());

  /** What is alive of commands that nobody leads. */
  function remainsWithout(found: Readonly<Record<string, Leader>>): Record<string, Remains> {
    const remains: Record<string, Remains> = {};
    for (const name of specs.keys()) {
      const tagged = Object.hasOwn(found, name) ? 0 : lineage.targets(name, 'tagged').length;
      if (tagged > 0) remains[name] = { workers: 0, tagged, sessions: 0 };
    }
    return remains;
  }

  const reloads = createReloads({
    howOf: (name) => specOf(name).policy?.reload ?? null,
    leaders: lineage.leaders,
    isEnding: () => isEnding(root.getSnapshot()),
    order: (name, at) =>
      root.send({ type: 'command.ordered', command: name, order: { type: 'command.reload', at } }),
    send: sendToLeader,
    run: programs.run,
    now,
    notice,
  });

  async function answerReload(wanted: readonly string[], how: Reloading): Promise<Answer> {
    if (wanted.length > 0) return reloads.tell(wanted, how);
    const result = reload(() => how.accepted([]));
    if ('error' in result) return refusal(result.error, result.unusable ? 422 : 409);
    return { status: 200, body: { message: `reloaded: ${differenceOf(result.diff)}`, ...result.diff } };
  }

  const done = new Promise<number>((resolve) => {
    const finish = (code: number, left: number, begun: number): void => {
      for (const name of [...specs.keys(), ...leaving.keys()]) finishLines(name);
      syslog?.listen(null);
      http?.listen(null);
      inspect?.close();
      const stopped = { type: 'supervisor.stopped', at: now(), code, took: now() - begun, left } as const;
      const rest = (): number => Math.min(1_000, plan.grace - (now() - begun));
      // What becomes of that is said before what is said last.
      extras.told(stopped);
      void extras
        .settle(Math.max(0, rest()))
        .then(() => {
          tell(stopped);
          process.removeListener('SIGCHLD', onChild);
          reaper?.close();
          if ('server' in claim) claim.server?.close();
          extras.close();
          // A reader that has stalled gets what is left of the budget, and no more.
          return log.closeFiles(Math.max(200, rest()));
        })
        .then(() => recorder?.close(Math.max(200, rest())))
        .then(() => sink.flush(Math.max(200, rest())))
        .then(() => resolve(code));
    };
    root.subscribe({
      complete: () => {
        const { output, context } = root.getSnapshot();
        finish(exitCodeOf(output!), output!.left, context.stoppedAt);
      },
      error: (error) => {
        notice(
          null,
          `cannot go on: ${(error as Error).stack ?? error}; the services are stopped, and upkeep exits with 70`,
        );
        const begun = now();
        const all = [...specs.keys(), ...leaving.keys()];
        void endAll(all, signaller, lineage, plan.grace, now).then((left) =>
          finish(EXIT_INTERNAL, left, begun),
        );
      },
    });
  });
  root.start();
  inform = (name, fact) => {
    if (root.getSnapshot().status !== 'active') return;
    root.send({ type: 'scan.changed', at: now(), facts: [{ command: name, fact }] });
  };

  const began = Date.now() - now();
  inside = {
    version,
    now,
    timeOf: (at) => began + at,
    isEnding: () => isEnding(root.getSnapshot()),
    names: () => [...specs.keys()],
    groups: () => plan.groups,
    viewOf: (name) => (specs.has(name) ? viewOf(name) : null),
    waitingFor: (name) => waitingFor(root.getSnapshot().context, name),
    crashesOf: crashes.of,
    probedOf: probed.of,
    candidatesOf: (name) => lineage.evidenceOf(name).map(candidateOf(sinceOf)),
    grace: () => plan.grace,
    note: (order, commands, by, via) =>
      tell({ type: 'operator.ordered', at: now(), order, commands, by, ...(via && { via }) }),
    peerOf,
    order: (name, order) => root.send({ type: 'command.ordered', command: name, order }),
    signal: sendToLeader,
    shutdown: (reason) => root.send({ type: 'shutdown.ordered', at: now(), reason }),
    reload: answerReload,
    redact,
    redactValue,
    journal,
    recent,
  };
  inspect = createInspect?.({
    root,
    inside,
    table,
    standings: lineage.standings,
    sinceOf,
    notice: (message, level) => notice(null, message, level),
  });
  inspect?.listen(options.inspect!);

  return {
    shutdown(reason) {
      root.send({ type: 'shutdown.ordered', at: now(), reason });
    },
    reload() {
      const result = reload();
      if ('error' in result) notice(null, `SIGHUP: ${result.error}`);
    },
    notice: (message) => notice(null, message, 'info'),
    done,
  };
}

/** Node does not say by itself. */
function descriptorOf(client: Socket): number {
  return (client as unknown as { _handle?: { fd?: number } | null })._handle?.fd ?? -1;
}

function chooseTableOrRefuse(wanted: RunOptions['table']): ReturnType<typeof chooseTable> {
  try {
    return chooseTable(wanted);
  } catch (error) {
    throw new StartError((error as Error).message);
  }
}

const NOT_INSPECTED = { createInspect: null };
const nothing = (): void => {};
/** Without a policy file nobody asks for more. */
const NO_EXTRAS: ReturnType<typeof createExtras> = {
  configure: nothing,
  forget: nothing,
  launched: nothing,
  environmentOf: () => ({}),
  probe: () => nothing,
  heard: nothing,
  hearOut: nothing,
  drain: nothing,
  resume: nothing,
  setHooks: nothing,
  told: nothing,
  settle: async () => {},
  close: nothing,
};
/** What no command is helped by runs with upkeep's own rights. */
const OWN: Runnable = { file: '', args: [], env: {}, stop: null, execution: null };

function kinOf({ name, fits, policy }: CommandSpec): Kin {
  return { name, fits, match: policy?.match ?? null };
}

/** What `machine.provide` returns, but in the machine itself: that builds each state a second time, and there is one of us. */
function equip<T extends AnyStateMachine>(machine: T, ports: Parameters<T['provide']>[0]): T {
  const { implementations } = machine;
  Object.assign(implementations.actors, ports.actors);
  Object.assign(implementations.actions, ports.actions);
  return machine;
}
