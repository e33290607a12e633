/** WIRES what only `--inspect` asks for: the page on which the statecharts are seen deciding, and what it is told. Nothing of it is
 * loaded for who does not ask. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { whyNotListening } from './control/bounded.ts';
import type { Inside } from './control/inside.ts';
import { pageFiles } from './inspector/files.ts';
import { createHub } from './inspector/hub.ts';
import type { ProcessView } from './inspector/protocol.ts';
import { createInspector, type Inspector, isLoopback, TOKEN_SIZE } from './inspector/server.ts';
import type { Actor } from './inspector/stately.ts';
import type { Standing } from './process/lineage.ts';
import type { ProcessTable } from './process/table.ts';

export interface InspectOptions {
  readonly root: Actor;
  readonly inside: Inside;
  readonly table: Pick<ProcessTable, 'refresh'>;
  /** What these processes are to commands, as far as rows tell. */
  readonly standings: () => readonly Standing[];
  /** Monotonic ms of start ticks. */
  readonly sinceOf: (startTicks: number) => number;
  readonly notice: (message: string, level: 'info' | 'warn') => void;
}

export interface Inspect {
  /** Listens at this `ADDRESS:PORT`. Why it can't is told, and it is tried again. */
  readonly listen: (address: string) => void;
  readonly close: () => void;
}

/** Between two tries to listen, ms. */
const RETRY = 5_000;
/** Of so many each is read anew for every look; of more, each is as old as the last scan. */
const MOST_READ = 500;

export function createInspect(options: InspectOptions): Inspect {
  const { root, inside, notice } = options;
  const token = randomBytes(TOKEN_SIZE).toString('base64url');
  // It is in the log, and what is logged is shown.
  const redact = (text: string): string => inside.redact(text).replaceAll(token, '***');
  const routes = (): Promise<typeof import('./control/routes.ts')> => import('./control/routes.ts');
  const source = createHub({
    root,
    inside,
    about: { mode: 'live', hostname: hostname(), from: null, to: null, replay: null },
    turns: async () => (await routes()).turnsOf(inside),
    processes: (rest) => processesOf(options, rest),
    wallClock: Date.now,
    redact,
  });
  let inspector: Inspector | null = null;
  let retry: NodeJS.Timeout | undefined;

  return {
    listen(address) {
      const at = address.lastIndexOf(':');
      const host = address.slice(0, at).replace(/[[\]]/g, '');
      const isNear = isLoopback(host);
      let told = false;
      const created = createInspector({
        source,
        files: pageFiles(),
        token,
        host,
        order: isNear
          ? async ({ order, command, ...more }) =>
              (await routes()).answerPost(inside, `/v1/${order}`, { names: [command], ...more })
          : `cannot order anything here: others can reach ${host}, and are only shown; write --inspect=PORT for who is on this machine`,
        redact,
      });
      inspector = created;
      const listen = (): void => void created.server.listen({ host, port: Number(address.slice(at + 1)) });
      created.server.on('listening', () => {
        const more = isNear ? '' : '; others can reach it, so nothing can be ordered there';
        notice(`the inspector is at http://${address}/#token=${token}${more}`, 'info');
      });
      created.server.on('error', (error: NodeJS.ErrnoException) => {
        const why = whyNotListening(error, '--inspect=9778');
        if (!told) notice(`cannot show the inspector at ${address}: ${why}; it is tried again`, 'warn');
        told = true;
        retry = setTimeout(listen, RETRY);
        retry.unref();
      });
      listen();
    },
    close() {
      clearTimeout(retry);
      inspector?.close();
    },
  };
}

async function processesOf(
  { inside, table, standings, sinceOf }: InspectOptions,
  rest: () => Promise<void>,
): Promise<readonly ProcessView[]> {
  const known = standings();
  if (known.length <= MOST_READ) {
    for (const { row } of known) {
      table.refresh(row.pid);
      await rest();
    }
  }
  return standings().map(({ row, command, verdict, because }): ProcessView => {
    const isStarting = command !== null && inside.viewOf(command)?.state.startsWith('restarting');
    return {
      pid: row.pid,
      ppid: row.ppid,
      name: row.comm,
      state: row.state,
      argv: row.argv,
      since: Math.round(inside.timeOf(sinceOf(row.startTicks))),
      command,
      part: row.pid === process.pid ? 'upkeep' : verdict === 'leader' && isStarting ? 'launcher' : verdict,
      because,
    };
  });
}
