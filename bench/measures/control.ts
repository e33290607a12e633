/** What it costs to ask a running upkeep: upkeep's own, so nobody is beside it. */
import { get } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type Arena, sleep } from '../arena.ts';
import { allBorn, nameOf, namesOf, plain, socketOf, withPolicy } from '../kept.ts';
import { type Context, figure, type Measure } from '../measure.ts';

const ASKED = 1_000;
const KILLED = 10;
const PATIENCE = 60_000;
const SIGKILL = 9;

/** A port that was free just now. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('cannot find a free port');
  return address.port;
}

/** @returns ms until the whole answer was there; @throws Error where it is no success */
function asked(
  where: { socketPath: string; path: string } | { port: number; path: string },
): Promise<number> {
  const from = performance.now();
  return new Promise((resolve, reject) => {
    get(where, (response) => {
      response.resume().on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(performance.now() - from);
        else reject(new Error(`${where.path} was answered with ${response.statusCode}`));
      });
    }).on('error', reject);
  });
}

/** Somebody follows what happens, and somebody scrapes every second. @returns ends the latter; the arena ends the former */
async function busy({ tools }: Context, arena: Arena, port: number): Promise<() => void> {
  const words = [tools.node('upkeep'), tools.upkeep, 'events', '-f', '--socket', socketOf(arena)];
  await arena.run(words, join(arena.dir, 'events'));
  const timer = setInterval(() => void asked({ port, path: '/metrics' }).catch(() => {}), 1_000);
  await sleep(2_000);
  return () => clearInterval(timer);
}

async function statuses(context: Context): Promise<void> {
  const { tools, quick, record, say } = context;
  const port = await freePort();
  const measure = async (arena: Arena): Promise<void> => {
    await allBorn(arena, namesOf(ASKED));
    await sleep(3_000);
    const runs = quick ? 3 : 15;
    for (const beside of ['', ', while one follows events and one scrapes']) {
      const end = beside === '' ? () => {} : await busy(context, arena, port);
      const [whole, answer]: [number[], number[]] = [[], []];
      for (let round = 0; round < runs; round++) {
        say(`status of ${ASKED}${beside}, run ${round + 1}`);
        const words = [tools.node('upkeep'), tools.upkeep, 'status', '--socket', socketOf(arena)];
        const { pid, at } = await arena.run(words, join(arena.dir, 'status'));
        const exit = await arena.exited(pid, PATIENCE);
        if (exit === null) throw new Error('upkeep status does not end');
        whole.push((exit.at - at) / 1e6);
        answer.push(await asked({ socketPath: socketOf(arena), path: '/v1/status' }));
      }
      end();
      record(figure('control', `status of ${ASKED}${beside}`, 'upkeep status', 'ms', whole));
      record(figure('control', `status of ${ASKED}${beside}`, 'the answer alone', 'ms', answer));
    }
  };
  await withPolicy(context, plain(ASKED), measure, [`--http=127.0.0.1:${port}`]);
}

async function deaths(context: Context): Promise<void> {
  const { quick, record, say } = context;
  const port = await freePort();
  const measure = async (arena: Arena): Promise<void> => {
    await allBorn(arena, namesOf(KILLED));
    await sleep(3_000);
    for (const beside of ['nobody asks', 'one follows events and one scrapes']) {
      const end = beside === 'nobody asks' ? () => {} : await busy(context, arena, port);
      const took: number[] = [];
      for (let round = 0; round < (quick ? 5 : 50); round++) {
        say(`death while ${beside}, run ${round + 1}`);
        const name = nameOf(round % KILLED);
        const before = arena.births.length;
        const at = await arena.kill(arena.latest().get(name)!.pid, SIGKILL);
        took.push(((await allBorn(arena, [name], before)) - at) / 1e6);
        await sleep(300);
      }
      end();
      record(figure('control', `death to new process, while ${beside}`, 'upkeep', 'ms', took));
    }
  };
  const often = plain(KILLED, () => ({ backoff: { stable: 0 } }));
  await withPolicy(context, often, measure, [`--http=127.0.0.1:${port}`]);
}

async function run(context: Context): Promise<void> {
  if (!context.peers.some(({ name }) => name === 'upkeep')) return;
  await statuses(context);
  await deaths(context);
}

export const control: Measure = {
  name: 'control',
  title: 'Whoever asks',
  how: `\`upkeep status\` of ${ASKED} commands: from fork(2) to its exit, and the answer alone, as another program gets it over the socket. Once with nobody else there, once while \`upkeep events -f\` runs and /metrics is scraped every second. Then SIGKILL of one of ${KILLED} to its new process's first action, with nobody and with those two; a command that dies is started again without a wait here (\`stable: 0\`).`,
  tables: [{ measure: 'control', title: 'Whoever asks' }],
  run,
};
