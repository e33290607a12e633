/** WIRES what viewers are shown of a running upkeep. A bundle of its own, loaded with the first who connects. */
import { hostname } from 'node:os';
import type { Inside } from './control/inside.ts';
import { pageFiles } from './inspector/files.ts';
import { createHub } from './inspector/hub.ts';
import type { ProcessView } from './inspector/protocol.ts';
import { createInspector, type Inspector } from './inspector/server.ts';
import type { Actor } from './inspector/stately.ts';
import type { Standing } from './process/lineage.ts';
import type { ProcessTable } from './process/table.ts';

export interface LiveOptions {
  readonly root: Actor;
  readonly inside: Inside;
  readonly table: Pick<ProcessTable, 'refresh'>;
  /** What these processes are to commands, as far as rows tell. */
  readonly standings: () => readonly Standing[];
  /** Monotonic ms of start ticks. */
  readonly sinceOf: (startTicks: number) => number;
}

/** Of so many each is read anew for every look; of more, each is as old as the last scan. */
const MOST_READ = 500;

/** @param refusal why nothing can be ordered; null: it can */
export function createLive(
  options: LiveOptions,
  token: string,
  host: string,
  refusal: string | null,
): Inspector {
  const { root, inside } = options;
  // It is in the log, and what is logged is shown. JSON writes it as it is.
  const write = (value: unknown, key?: string): string =>
    JSON.stringify(inside.redactValue(value, key))?.replaceAll(token, '***');
  const routes = (): Promise<typeof import('./control/routes.ts')> => import('./control/routes.ts');
  return createInspector({
    source: createHub({
      root,
      inside,
      about: { mode: 'live', hostname: hostname(), from: null, to: null, at: null, replay: null },
      turns: async () => (await routes()).turnsOf(inside),
      processes: (rest) => processesOf(options, rest),
      wallClock: Date.now,
      redaction: { redact: (text) => inside.redact(text).replaceAll(token, '***'), write },
    }),
    files: pageFiles(),
    token,
    host,
    order:
      refusal ??
      (async ({ order, command, ...more }) =>
        (await routes()).answerPost(inside, `/v1/${order}`, { names: [command], ...more }, (what, names) =>
          inside.note(what, names, null, 'inspector'),
        )),
    write,
  });
}

async function processesOf(
  { inside, table, standings, sinceOf }: LiveOptions,
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
      // The world's own words, whatever else they mean to upkeep.
      name: inside.redact(row.comm),
      state: row.state,
      argv: row.argv.map(inside.redact),
      since: Math.round(inside.timeOf(sinceOf(row.startTicks))),
      command,
      part: row.pid === process.pid ? 'upkeep' : verdict === 'leader' && isStarting ? 'launcher' : verdict,
      because,
    };
  });
}
