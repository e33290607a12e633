/** WIRES what only `--http` asks for: the endpoints for orchestrators, and what is counted for them. Nothing of it is loaded for
 * who does not ask. */
import type { Server } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import type { ProcessId } from '../machines/events.ts';
import { createEndpoints } from './control/endpoints.ts';
import { type Health, hasBegun, healthOf } from './control/health.ts';
import type { Inside } from './control/inside.ts';
import { whyNotListening } from './control/listening.ts';
import { briefOf, type CommandBrief, statusOf } from './control/status.ts';
import type { Journal } from './output/journal.ts';
import { type CommandSample, createMetrics, type Metrics, type Sample } from './output/metrics.ts';
import { createResident } from './process/resident.ts';
import type { ProcessTable } from './process/table.ts';

export interface HttpOptions {
  readonly version: string;
  /** null as long as there is nothing to ask. */
  readonly inside: () => Inside | null;
  readonly journal: Journal;
  readonly table: Pick<ProcessTable, 'kind' | 'rows'>;
  readonly membersOf: (command: string) => readonly ProcessId[];
  /** Lines that could not be logged until now. */
  readonly dropped: () => Sample['dropped'];
  /** Monotonic ms. */
  readonly now: () => number;
  readonly notice: (message: string, level: 'info' | 'warn') => void;
}

export interface Http extends Pick<Metrics, 'looked' | 'ended' | 'alarmed' | 'reaped' | 'probed'> {
  /** Listens at this `ADDRESS:PORT` from now on, and nowhere else; null: nowhere. Why it can't is told, and it is tried again. */
  readonly listen: (address: string | null) => void;
}

/** At how many ms of work the event loop may turn. */
const SLICE = 4;
/** Commands of which the status is asked at once. */
const STATUS_SLICE = 50;
/** How old, in ms, what was measured may be: whoever scrapes again and again costs no more than one who does it every second. */
const FRESH = 1_000;
/** The same for what probes are answered. */
const HEALTH_FRESH = 100;
/** Between two looks at how late timers are, ms. */
const BEAT = 500;
/** Between two tries to listen, ms. */
const RETRY = 5_000;

export function createHttp(options: HttpOptions): Http {
  const { version, inside, journal, table, membersOf, now, notice } = options;
  const metrics = createMetrics(version);
  const resident = table.kind === 'procfs' ? createResident() : null;
  let address: string | null = null;
  let server: Server | null = null;
  let retry: NodeJS.Timeout | undefined;
  let beat: NodeJS.Timeout | undefined;

  let counted = 0;
  const unfollow = journal.follow(count);
  count();

  /** Whatever is wrong with it must not reach whoever told. */
  function count(): void {
    try {
      const { entries, gone } = journal.since(counted);
      counted += gone + entries.length;
      for (const { what } of entries) metrics.note(what);
    } catch (error) {
      unfollow();
      notice(
        `cannot count any more: a mistake in upkeep: ${(error as Error).message}; please report it`,
        'warn',
      );
    }
  }

  async function sample(known: Inside): Promise<Sample> {
    const commands: CommandSample[] = [];
    const names = known.names();
    const began = known.timeOf(0) / 1_000;
    let end = performance.now() + SLICE;
    const rest = async (): Promise<void> => {
      if (performance.now() < end) return;
      await turn();
      end = performance.now() + SLICE;
    };
    for (let from = 0; from < names.length; from += STATUS_SLICE) {
      const { commands: found } = briefOf(known, names.slice(from, from + STATUS_SLICE));
      await rest();
      for (const status of found) {
        let processes = 0;
        let bytes = resident === null ? null : 0;
        for (const id of membersOf(status.name)) {
          const own = resident === null ? null : resident(id);
          if (own === 'gone') continue;
          processes++;
          bytes = own === null || bytes === null ? null : bytes + own;
          await rest();
        }
        commands.push(sampleOf(known, status, processes, bytes));
      }
    }
    const { user, system } = process.cpuUsage();
    return {
      commands,
      processes: table.rows.size,
      dropped: options.dropped(),
      self: { resident: ownResident(), cpu: (user + system) / 1e6, since: began },
    };
  }

  /** Until the process table has been read, nobody could be found who lacks something. */
  const begun = (): Inside | null => {
    const known = inside();
    return known !== null && hasBegun(known) ? known : null;
  };
  const text = kept(FRESH, async () => {
    const known = begun();
    if (known === null) throw new Error('upkeep is just starting; ask again');
    return metrics.text(await sample(known), turn);
  });
  const health = (which: 'live' | 'ready'): (() => Health | null) =>
    kept(HEALTH_FRESH, () => {
      const known = which === 'ready' ? begun() : inside();
      return known === null ? null : healthOf(statusOf(known, null), which);
    });
  const probes = { live: health('live'), ready: health('ready') };

  /** What was found, as long as it is new enough. */
  function kept<T>(ms: number, find: () => T): () => T {
    let found: T | null = null;
    let at = 0;
    return () => {
      if (found === null || now() - at >= ms) {
        at = now();
        found = find();
        // What failed is found anew.
        if (found instanceof Promise) found.catch(() => (found = null));
      }
      return found;
    };
  }

  function open(where: string): void {
    let told = false;
    const at = where.lastIndexOf(':');
    const host = where.slice(0, at).replace(/[[\]]/g, '');
    const endpoints = createEndpoints({
      health: (which) => probes[which](),
      metrics: text,
      contentType: metrics.contentType,
      redact: (shown) => inside()?.redact(shown) ?? shown,
    });
    const listen = (): void => void endpoints.listen({ host, port: Number(where.slice(at + 1)) });
    endpoints.on('listening', () =>
      notice(`answers probes and scrapes at http://${where}: /livez, /readyz, /metrics`, 'info'),
    );
    endpoints.on('error', (error: NodeJS.ErrnoException) => {
      if (!told)
        notice(
          `cannot answer probes at ${where}: ${whyNotListening(error, '--http=8754')}; it is tried again`,
          'warn',
        );
      told = true;
      if (server !== endpoints) return;
      retry = setTimeout(listen, RETRY);
      retry.unref();
    });
    server = endpoints;
    listen();

    let due = now() + BEAT;
    beat = setInterval(() => {
      const late = now() - due;
      metrics.delayed(late);
      due = now() + BEAT;
    }, BEAT);
    beat.unref();
  }

  function close(): void {
    clearTimeout(retry);
    clearInterval(beat);
    server?.close();
    server?.closeAllConnections();
    server = null;
  }

  return {
    listen(where) {
      if (where === address) return;
      close();
      address = where;
      if (where !== null) open(where);
    },
    ...metrics,
  };
}

/** Bytes; null: it can't be read. Node opens a file for it, and there may be no file descriptors left. */
function ownResident(): number | null {
  try {
    return process.memoryUsage.rss();
  } catch {
    return null;
  }
}

function sampleOf(
  { timeOf, now }: Inside,
  { name, state, asWished, leader }: CommandBrief,
  processes: number,
  bytes: number | null,
): CommandSample {
  const since = leader === null ? null : timeOf(now() - leader.uptime) / 1_000;
  return { name, state, asWished, since, processes, resident: bytes };
}
