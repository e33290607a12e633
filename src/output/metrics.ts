/** What is counted and measured, for Prometheus. Only `--http` asks for it; until then nothing is counted. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Exit } from '../../machines/events.ts';
import type { Happening } from './journal.ts';

/** A command as it is now. Times are in seconds since 1970. */
export interface CommandSample {
  readonly name: string;
  readonly state: string;
  readonly asWished: boolean;
  /** When its leader began; null: it has none. */
  readonly since: number | null;
  readonly processes: number;
  /** Bytes; null: nobody can tell. */
  readonly resident: number | null;
}

/** What is measured when it is asked for. */
export interface Sample {
  readonly commands: readonly CommandSample[];
  /** Of the whole table. */
  readonly processes: number;
  /** Until now. */
  readonly dropped: { readonly stdout: number; readonly file: number; readonly syslog: number };
  /** upkeep itself: bytes (null: nobody can tell), seconds, seconds since 1970. */
  readonly self: { readonly resident: number | null; readonly cpu: number; readonly since: number };
}

export interface Metrics {
  /** Counts what was told, or what a command's machine has done. */
  readonly note: (what: Happening) => void;
  /** A look at the process table has ended. @param began monotonic ms @param all everybody was listed */
  readonly looked: (began: number, ended: number, all: boolean) => void;
  /** The kernel has told of the end of a command's leader, at this monotonic time in ms. */
  readonly ended: (command: string, at: number) => void;
  /** The kernel has told that a leader has ended which is no child of upkeep's. */
  readonly alarmed: (at: number) => void;
  readonly reaped: () => void;
  readonly probed: (command: string, probe: 'ready' | 'health', ok: boolean) => void;
  /** A timer of the event loop was late by so many ms. */
  readonly delayed: (ms: number) => void;
  /** In Prometheus' text format. `turn` is awaited between two metrics: all of them in one go would hold up the event loop. */
  readonly text: (sample: Sample, turn: () => Promise<void>) => Promise<string>;
  readonly contentType: string;
}

/** Seconds. */
const DETECTION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 10];
const RESTART_BUCKETS = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const LOOK_BUCKETS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1];
const DELAY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];

/** Why a command is started once more. */
type Reason = 'died' | 'failed_start' | 'unhealthy' | 'order' | 'group' | 'reload';

/** What is known of a command between two events. */
interface Book {
  /** Something was started or taken over, and its end has not been told. */
  alive: boolean;
  /** It has run before: what follows is a restart. */
  known: boolean;
  /** Why it will be started again. */
  reason: Reason | null;
  /** A restart was ordered, and it has not been stopped since: of many, it comes to each bit by bit. */
  due: boolean;
  /** Monotonic ms at which it died, as long as it is to come back. */
  diedAt: number | null;
  /** Monotonic ms at which the kernel told of its leader's end. */
  endedAt: number | null;
}

export function createMetrics(version: string): Metrics {
  const registry = new Registry();
  const common = { registers: [registry] };
  const perCommand = { ...common, labelNames: ['command'] };
  const info = new Gauge({
    ...common,
    name: 'upkeep_info',
    help: 'The running upkeep; always 1.',
    labelNames: ['version'],
  });
  info.set({ version }, 1);

  const up = new Gauge({ ...perCommand, name: 'upkeep_command_up', help: 'Whether the command runs.' });
  const asWished = new Gauge({
    ...perCommand,
    name: 'upkeep_command_as_wished',
    help: 'Whether the command is as it is wished to be: running, ready and healthy; done; or stopped by order, not by a group that gave up.',
  });
  const state = new Gauge({
    ...common,
    name: 'upkeep_command_state',
    help: 'The state that the command is in; always 1.',
    labelNames: ['command', 'state'],
  });
  const since = new Gauge({
    ...perCommand,
    name: 'upkeep_command_start_time_seconds',
    help: "When the command's leader began, in seconds since 1970.",
  });
  const processes = new Gauge({
    ...perCommand,
    name: 'upkeep_command_processes',
    help: "The command's living processes, by lineage.",
  });
  const resident = new Gauge({
    ...perCommand,
    name: 'upkeep_command_resident_memory_bytes',
    help: "Resident memory of the command's processes, by lineage; what they share counts for each of them.",
  });
  const restarts = new Counter({
    ...common,
    name: 'upkeep_command_restarts_total',
    help: 'How often the command was started once more, and why.',
    labelNames: ['command', 'reason'],
  });
  const exits = new Counter({
    ...common,
    name: 'upkeep_command_exits_total',
    help: 'How the command has ended: an exit status, a signal, or unknown.',
    labelNames: ['command', 'status'],
  });
  const probes = new Counter({
    ...common,
    name: 'upkeep_command_probes_total',
    help: "What the command's readiness and health probes came to.",
    labelNames: ['command', 'probe', 'result'],
  });
  const detection = new Histogram({
    ...common,
    name: 'upkeep_detection_seconds',
    help: 'From a death to what is done about it: from when the kernel told of it, or else from the last look before it.',
    labelNames: ['source'],
    buckets: DETECTION_BUCKETS,
  });
  const restart = new Histogram({
    ...common,
    name: 'upkeep_restart_seconds',
    help: 'From the death of a command until it runs again, waits and failed starts included.',
    buckets: RESTART_BUCKETS,
  });
  const looks = new Histogram({
    ...common,
    name: 'upkeep_scan_seconds',
    help: 'How long a look at the process table took: for newcomers, or at all of it.',
    labelNames: ['look'],
    buckets: LOOK_BUCKETS,
  });
  const everybody = new Gauge({
    ...common,
    name: 'upkeep_processes',
    help: 'Processes in the table, of whomever.',
  });
  const orphans = new Counter({
    ...common,
    name: 'upkeep_reaped_orphans_total',
    help: 'Processes that upkeep reaped and had not started itself: orphans, and daemons that left their launcher.',
  });
  const dropped = new Counter({
    ...common,
    name: 'upkeep_log_lines_dropped_total',
    help: 'Lines that could not be logged: on stdout, to files, of syslog.',
    labelNames: ['log'],
  });
  const delay = new Histogram({
    ...common,
    name: 'upkeep_event_loop_delay_seconds',
    help: "By how much timers of upkeep's event loop were late.",
    buckets: DELAY_BUCKETS,
  });
  const ownMemory = new Gauge({
    ...common,
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of upkeep itself.',
  });
  const ownCpu = new Counter({
    ...common,
    name: 'process_cpu_seconds_total',
    help: 'CPU time of upkeep itself.',
  });
  const ownStart = new Gauge({
    ...common,
    name: 'process_start_time_seconds',
    help: 'When upkeep began, in seconds since 1970.',
  });

  const books = new Map<string, Book>();
  let lookedAt = 0;
  /** Of the look before that one. */
  let seenAt = 0;
  let alarmedAt = 0;

  function bookOf(command: string): Book {
    let book = books.get(command);
    if (book === undefined) {
      book = { alive: false, known: false, reason: null, due: false, diedAt: null, endedAt: null };
      books.set(command, book);
      restarts.inc({ command, reason: 'died' }, 0);
    }
    return book;
  }

  function noteExit(command: string, book: Book, exit: Exit | null): void {
    if (book.alive && exit !== null) exits.inc({ command, status: statusOf(exit) });
    book.alive = false;
  }

  function noteDetection(book: Book, at: number): void {
    const told = book.endedAt ?? (alarmedAt >= seenAt && alarmedAt > 0 ? alarmedAt : null);
    const source = told === null ? 'look' : 'kernel';
    detection.observe({ source }, Math.max(0, at - (told ?? seenAt)) / 1_000);
    book.endedAt = null;
  }

  function note(what: Happening): void {
    switch (what.type) {
      case 'upkeep.started':
        for (const command of what.commands) bookOf(command);
        return;
      case 'command.launched': {
        const book = bookOf(what.command);
        if (book.known && book.reason !== null) restarts.inc({ command: what.command, reason: book.reason });
        Object.assign(book, { known: true, alive: true, reason: null, endedAt: null });
        return;
      }
      case 'command.running': {
        const book = bookOf(what.command);
        if (book.diedAt !== null) restart.observe((what.at - book.diedAt) / 1_000);
        Object.assign(book, { known: true, alive: true, diedAt: null, endedAt: null });
        return;
      }
      case 'command.died': {
        const book = bookOf(what.command);
        noteDetection(book, what.at);
        noteExit(what.command, book, what.exit);
        book.reason = 'died';
        book.diedAt = what.at;
        return;
      }
      case 'command.failedStart': {
        const book = bookOf(what.command);
        // One that was not ready in time is still to be ended.
        if (what.exit !== null || what.pid === null) noteExit(what.command, book, what.exit);
        book.reason = 'failed_start';
        return;
      }
      case 'command.unhealthy':
        if (what.next === 'restart') bookOf(what.command).reason = 'unhealthy';
        return;
      case 'command.stopped':
      case 'command.completed': {
        const book = bookOf(what.command);
        noteExit(what.command, book, what.exit);
        book.diedAt = null;
        if (what.type === 'command.completed') book.reason = null;
        // Meanwhile it may have been started by itself, for another reason.
        else if (book.due) book.reason ??= 'order';
        book.due = false;
        return;
      }
      case 'command.failed':
        bookOf(what.command).diedAt = null;
        return;
      case 'group.restarting':
        for (const command of what.members) bookOf(command).reason ??= 'group';
        return;
      case 'operator.ordered':
        if (what.order !== 'start' && what.order !== 'restart' && what.order !== 'stop') return;
        for (const command of what.commands) {
          const book = bookOf(command);
          book.due = what.order === 'restart';
          if (what.order !== 'stop') book.reason = 'order';
        }
        return;
      case 'policy.reloaded':
        for (const command of what.started) bookOf(command);
        for (const command of what.restarted) bookOf(command).reason = 'reload';
    }
  }

  /** Of commands that are there no more, nothing is kept: who reloads for ever would have us grow for ever. */
  async function forget(names: ReadonlySet<string>): Promise<void> {
    const gone = [...books.keys()].filter((name) => !names.has(name));
    if (gone.length === 0) return;
    for (const name of gone) books.delete(name);
    for (const counter of [restarts, exits, probes] as Counter<string>[]) {
      for (const { labels } of (await counter.get()).values) {
        if (!names.has(String(labels.command))) counter.remove(labels);
      }
    }
  }

  function take({ commands, processes: all, dropped: lines, self }: Sample): void {
    for (const gauge of [up, asWished, state, since, processes, resident]) gauge.reset();
    for (const command of commands) {
      const labels = { command: command.name };
      up.set(labels, command.state === 'running' ? 1 : 0);
      asWished.set(labels, command.asWished ? 1 : 0);
      state.set({ ...labels, state: command.state }, 1);
      if (command.since !== null) since.set(labels, command.since);
      processes.set(labels, command.processes);
      if (command.resident !== null) resident.set(labels, command.resident);
    }
    everybody.set(all);
    dropped.reset();
    for (const [log, count] of Object.entries(lines)) dropped.inc({ log }, count);
    if (self.resident === null) ownMemory.remove();
    else ownMemory.set(self.resident);
    ownCpu.reset();
    ownCpu.inc(self.cpu);
    ownStart.set(self.since);
  }

  return {
    note,
    looked(began, ended, all) {
      seenAt = lookedAt;
      lookedAt = began;
      looks.observe({ look: all ? 'all' : 'newcomers' }, Math.max(0, ended - began) / 1_000);
    },
    ended(command, at) {
      bookOf(command).endedAt = at;
    },
    alarmed(at) {
      alarmedAt = at;
    },
    reaped: () => orphans.inc(),
    probed: (command, probe, ok) => probes.inc({ command, probe, result: ok ? 'ok' : 'failed' }),
    delayed: (ms) => delay.observe(Math.max(0, ms) / 1_000),
    async text(sample, turn) {
      await forget(new Set(sample.commands.map(({ name }) => name)));
      take(sample);
      const parts: string[] = [];
      for (const { name } of registry.getMetricsAsArray()) {
        parts.push(await registry.getSingleMetricAsString(name));
        await turn();
      }
      return `${parts.join('\n\n')}\n`;
    },
    contentType: registry.contentType,
  };
}

function statusOf({ known, code, signal }: Exit): string {
  if (!known) return 'unknown';
  return signal ?? String(code);
}
