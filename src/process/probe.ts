/**
 * Asks whether a service is ready, or well: one probe, once. When to ask again, and what follows from the answer, is
 * decided elsewhere.
 */
import { type Stats, stat } from 'node:fs';
import { connect } from 'node:net';
import type { Exit } from '../../machines/events.ts';
import type { Program } from './launch.ts';
import { findListener } from './listening.ts';
import type { Message, Notify } from './notify.ts';
import { type HttpProbe, probeHttp } from './probe-http.ts';
import { createLogWatch, type LogSource } from './probe-log.ts';

/** What is asked. All durations are in milliseconds. */
export type Probe =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | ({ readonly kind: 'http' } & HttpProbe)
  | { readonly kind: 'exec'; readonly program: Program }
  /** The pattern is in a line that the service has written since its launch. */
  | { readonly kind: 'log'; readonly pattern: string }
  /** The file is there; `fresh`: it was changed after the launch. */
  | { readonly kind: 'file'; readonly path: string; readonly fresh: boolean }
  /** Without a timeout: the service has said READY=1 since its launch. With one: it has given a sign of life within it. */
  | { readonly kind: 'notify' }
  | { readonly kind: 'listening'; readonly port: number }
  /** So long after the launch. */
  | { readonly kind: 'delay'; readonly ms: number };

export type ProbeResult = { readonly ok: true } | { readonly ok: false; readonly reason: string };

export interface Probes {
  /**
   * Runs a probe once. `log` and `notify` wait until what they wait for has happened.
   *
   * @param timeout ms after which it has failed; null: never
   * @param answer is called once, perhaps at once
   * @returns a function that ends it, and everything that it has started, without an answer
   */
  readonly run: (
    command: string,
    probe: Probe,
    timeout: number | null,
    answer: (result: ProbeResult) => void,
  ) => () => void;
  /** A new run of the service begins: what was heard of the one before is forgotten. */
  readonly launched: (command: string) => void;
  /** Whether `line` is of use. */
  readonly wantsLines: (command: string) => boolean;
  /** Takes what the service has written, in pieces as they come, which may be used again afterwards. */
  readonly line: (command: string, chunk: Buffer, stream: LogSource) => void;
}

/** Hears what services say of themselves that no probe asks for. */
export interface Hearer {
  /** How it is, for people: so often at most as `STATUS_EVERY` says, and before it is said that it ends. */
  readonly status: (command: string, status: string) => void;
  /** It is about to end. */
  readonly ending: (command: string) => void;
  /** Which process leads it, as it says. */
  readonly mainPid: (command: string, pid: number) => void;
}

export interface ProbesOptions {
  /** All probes of a command. */
  readonly probesOf: (command: string) => readonly Probe[];
  /** Runs a program that is no part of the service; `ended` is called once. The function that is returned kills it and all
   * that it has started; `gone` is called when that is there no more. */
  readonly runHelper: (
    command: string,
    program: Program,
    ended: (result: Exit | { readonly error: string }) => void,
  ) => (gone: () => void) => void;
  /** The living processes of the service. */
  readonly pidsOf: (command: string) => readonly number[];
  readonly notify: Pick<Notify, 'pathOf' | 'onMessage' | 'drain'>;
  readonly hearer: Hearer;
  /** Monotonic ms. */
  readonly now: () => number;
  /** What file times are compared with. ms. */
  readonly wallClock?: () => number;
  /** Where /proc is. */
  readonly root?: string;
}

/** How much a file's time may lag behind the clock: the kernel takes it from its last tick. */
const CLOCK_SLACK = 20;
/** A service may say how it is more often than anybody reads it: the newest is told in every so many ms. */
const STATUS_EVERY = 1_000;
/** What a timer bears. */
const LONGEST_TIMER = 2 ** 31 - 1;

const OK: ProbeResult = { ok: true };
const failure = (reason: string): ProbeResult => ({ ok: false, reason });

/** What is known of one command's present run. */
interface Run {
  /** Monotonic, and by the wall clock; null: it was running before. */
  launched: { readonly at: number; readonly wall: number } | null;
  /** Since when it is listened to: its launch, or when it was asked of first. */
  since: number;
  ready: boolean;
  /** When it gave its last sign of life. */
  lived: number | null;
  /** It wants to be taken for dead. */
  triggered: boolean;
  status: string | null;
  /** What was told of that last. */
  toldStatus: string | null;
  /** Something of it was told a moment ago. */
  hasTold: boolean;
  /** Who waits for READY=1. */
  readonly waiting: Set<() => void>;
}

/** Answers a probe; what it returns ends it. */
type Begin = (answer: (result: ProbeResult) => void) => () => void;

const nothing = (): void => {};

export function createProbes(options: ProbesOptions): Probes {
  const { probesOf, runHelper, pidsOf, notify, hearer, now, wallClock = Date.now, root = '/proc' } = options;
  const runs = new Map<string, Run>();
  const log = createLogWatch();
  /** Of commands whose program is being ended, which takes the kernel a moment: the one that is to follow; null: none is. */
  const ending = new Map<string, (() => void) | null>();

  function runOf(command: string): Run {
    let run = runs.get(command);
    if (run === undefined) {
      run = {
        launched: null,
        since: now(),
        ready: false,
        lived: null,
        triggered: false,
        status: null,
        toldStatus: null,
        hasTold: false,
        waiting: new Set(),
      };
      runs.set(command, run);
    }
    return run;
  }

  /** What is read now was said by the run before. */
  let isStale = false;

  notify.onMessage((command, message) => {
    const run = runOf(command);
    hear(run, message, now());
    if (isStale) return;
    if (message.mainPid !== null) hearer.mainPid(command, message.mainPid);
    if (!run.hasTold || message.stopping) tellStatus(command, run);
    if (message.stopping) hearer.ending(command);
  });

  function tellStatus(command: string, run: Run): void {
    const { status } = run;
    if (status === null || status === run.toldStatus) return;
    run.toldStatus = status;
    hearer.status(command, status);
    if (run.hasTold) return;
    run.hasTold = true;
    setTimeout(() => {
      run.hasTold = false;
      tellStatus(command, run);
    }, STATUS_EVERY).unref();
  }

  function choose(command: string, probe: Probe, timeout: number | null): Begin {
    switch (probe.kind) {
      case 'tcp':
        return (answer) => probeTcp(probe.host, probe.port, answer);
      case 'http':
        return (answer) => probeHttp(probe, (refused) => answer(verdict(refused)), whyOf);
      case 'exec':
        return (answer) => probeExec(command, probe.program, answer);
      case 'log':
        return (answer) => log.wait(command, probe.pattern, (refused) => answer(verdict(refused)));
      case 'file':
        return (answer) =>
          probeFile(probe.path, probe.fresh ? (runOf(command).launched?.wall ?? 0) : 0, answer);
      case 'notify':
        return (answer) => probeNotify(command, timeout, answer);
      case 'listening':
        return (answer) => {
          const found = findListener(pidsOf(command), probe.port, root);
          answer(verdict(found.listens ? null : found.reason));
          return nothing;
        };
      case 'delay':
        return (answer) => {
          const launched = runOf(command).launched?.at ?? now();
          return after(launched + probe.ms - now(), () => answer(OK));
        };
    }
  }

  /** There is one program of a command at a time: what the next one asks may be held by the one before. */
  function probeExec(command: string, program: Program, answer: (result: ProbeResult) => void): () => void {
    let end: ((gone: () => void) => void) | null = null;
    const begin = (): void => {
      end = runHelper(command, program, (result) => answer(ofExit(result)));
    };
    if (ending.has(command)) ending.set(command, begin);
    else begin();
    return () => {
      if (end === null) {
        if (ending.get(command) === begin) ending.set(command, null);
        return;
      }
      ending.set(command, null);
      end(() => {
        const next = ending.get(command);
        ending.delete(command);
        next?.();
      });
    };
  }

  function probeNotify(
    command: string,
    timeout: number | null,
    answer: (result: ProbeResult) => void,
  ): () => void {
    const path = notify.pathOf(command);
    if (typeof path !== 'string') {
      answer(failure(path.error));
      return nothing;
    }
    // What it has sent counts, though nobody has had the time to read it.
    notify.drain(command);
    const run = runOf(command);
    if (timeout !== null) {
      answer(verdict(deadness(run, timeout, now())));
      return nothing;
    }
    if (run.ready) {
      answer(OK);
      return nothing;
    }
    const told = (): void => answer(OK);
    run.waiting.add(told);
    return () => run.waiting.delete(told);
  }

  return {
    run(command, probe, timeout, answer) {
      let open = true;
      let end = nothing;
      let disarm = nothing;
      const close = (result: ProbeResult | null): void => {
        if (!open) return;
        open = false;
        disarm();
        end();
        if (result !== null) answer(result);
      };
      if (timeout !== null)
        disarm = after(timeout, () => close(failure(`it took longer than ${span(timeout)}`)));
      let stop = nothing;
      try {
        stop = choose(command, probe, timeout)(close);
      } catch (error) {
        // What whoever was answered throws is not ours.
        if (!open) throw error;
        close(failure((error as Error).message));
      }
      if (open) end = stop;
      else stop();
      return () => close(null);
    },
    launched(command) {
      isStale = true;
      notify.drain(command);
      isStale = false;
      const run = runOf(command);
      const nothingSaid = { ready: false, lived: null, triggered: false, status: null, toldStatus: null };
      Object.assign(run, { since: now(), ...nothingSaid });
      run.launched = { at: now(), wall: wallClock() };
      log.launched(
        command,
        probesOf(command).flatMap((probe) => (probe.kind === 'log' ? [probe.pattern] : [])),
      );
    },
    wantsLines: log.wants,
    line: log.push,
  };
}

function hear(run: Run, message: Message, at: number): void {
  if (message.status !== null) run.status = message.status;
  if (message.watchdog === 'trigger') run.triggered = true;
  if (message.ready || message.watchdog === 'alive') {
    run.lived = at;
    run.triggered = false;
  }
  if (!message.ready) return;
  run.ready = true;
  const waiting = [...run.waiting];
  run.waiting.clear();
  for (const told of waiting) told();
}

/** Why a service is taken for dead that should give a sign of life within `timeout`; null: it is not. */
function deadness(run: Run, timeout: number, at: number): string | null {
  const status = run.status ? ` (its status: ${run.status})` : '';
  if (run.triggered) return `it has said WATCHDOG=trigger${status}`;
  // Before the first sign it is given its time as well.
  const since = run.lived ?? run.since;
  return at - since <= timeout ? null : `it has not said WATCHDOG=1 for ${span(timeout)}${status}`;
}

function probeTcp(host: string, port: number, answer: (result: ProbeResult) => void): () => void {
  const socket = connect({ host, port });
  socket.on('connect', () => {
    // A port that nobody listens on may be the very one that the kernel has just given us: we would be talking to ourselves,
    // and a plain end would keep the port from the service for a minute.
    const self = socket.localPort === port && socket.localAddress === socket.remoteAddress;
    if (self) socket.resetAndDestroy();
    answer(self ? failure(`cannot connect to ${host}:${port}: nobody listens there`) : OK);
  });
  socket.on('error', (error) => answer(failure(`cannot connect to ${host}:${port}: ${whyOf(error)}`)));
  return () => socket.destroy();
}

type Looked = (error: NodeJS.ErrnoException | null, found: Stats) => void;
/** Who waits for a look at a file. There is one look at each at a time: it has one of Node's few threads, for as long as a
 * disk of another machine does not answer. */
const looks = new Map<string, Set<Looked>>();

function look(path: string, then: Looked): () => void {
  const waiting = looks.get(path) ?? new Set();
  waiting.add(then);
  if (!looks.has(path)) {
    looks.set(path, waiting);
    stat(path, (error, found) => {
      looks.delete(path);
      for (const told of waiting) told(error, found);
    });
  }
  return () => waiting.delete(then);
}

function probeFile(path: string, notBefore: number, answer: (result: ProbeResult) => void): () => void {
  return look(path, (error, found) => {
    if (error?.code === 'ENOENT') answer(failure(`there is no ${path}`));
    else if (error !== null) answer(failure(`cannot look at ${path}: ${error.message}`));
    else
      answer(verdict(found.mtimeMs >= notBefore - CLOCK_SLACK ? null : `${path} is older than the launch`));
  });
}

function ofExit(result: Exit | { readonly error: string }): ProbeResult {
  if ('error' in result) return failure(result.error);
  if (result.code === 0) return OK;
  if (result.signal !== null) return failure(`its program was killed by ${result.signal}`);
  return failure(
    result.code === null ? 'it is not known how its program ended' : `its program exited with ${result.code}`,
  );
}

const verdict = (refused: string | null): ProbeResult => (refused === null ? OK : failure(refused));

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there',
  ECONNRESET: 'the connection was reset',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'no name server answers',
  EHOSTUNREACH: 'there is no way to that host',
  ENETUNREACH: 'there is no way to that network',
  ETIMEDOUT: 'it does not answer',
};

/** Words for why a connection failed. */
export function whyOf(error: Error): string {
  // Of several addresses the first says most.
  const first = error instanceof AggregateError ? (error.errors[0] as Error) : error;
  return WORDS[(first as NodeJS.ErrnoException).code ?? ''] ?? first.message;
}

/** @returns a function that keeps it from happening */
function after(ms: number, then: () => void): () => void {
  const timer = setTimeout(then, Math.max(0, Math.min(LONGEST_TIMER, ms)));
  return () => clearTimeout(timer);
}

function span(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 100) / 10} s`;
}
