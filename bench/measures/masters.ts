/** nginx and apache2: the master dies, the workers stay on its port. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type Arena, type Row, sleep } from '../arena.ts';
import { type Context, figure, type Measure } from '../measure.ts';
import type { Command, Peer } from '../peers.ts';
import { Running } from '../running.ts';

interface Server {
  readonly name: string;
  readonly program: string;
  readonly comm: string;
  /** @returns the words that start it */
  readonly configure: (folder: string, port: number, foreground: boolean) => readonly string[];
  readonly pattern: string;
}

const SERVERS: readonly Server[] = [
  {
    name: 'nginx',
    program: '/usr/sbin/nginx',
    comm: 'nginx',
    pattern: 'nginx: master',
    configure(folder, port, foreground) {
      const path = join(folder, 'nginx.conf');
      writeFileSync(
        path,
        `daemon ${foreground ? 'off' : 'on'};
worker_processes 2;
pid ${join(folder, 'pid')};
error_log ${join(folder, 'error.log')};
events {}
http { access_log off; server { listen 127.0.0.1:${port}; location / { return 200 "served\\n"; } } }
`,
      );
      return ['/usr/sbin/nginx', '-c', path];
    },
  },
  {
    name: 'apache2',
    program: '/usr/sbin/apache2',
    comm: 'apache2',
    pattern: '/usr/sbin/apache2',
    configure(folder, port, foreground) {
      const path = join(folder, 'apache2.conf');
      const modules = '/usr/lib/apache2/modules';
      writeFileSync(
        path,
        `ServerName localhost
LoadModule mpm_prefork_module ${modules}/mod_mpm_prefork.so
LoadModule authz_core_module ${modules}/mod_authz_core.so
Listen 127.0.0.1:${port}
PidFile ${join(folder, 'pid')}
DefaultRuntimeDir ${folder}
ErrorLog ${join(folder, 'error.log')}
DocumentRoot ${folder}
User www-data
Group www-data
`,
      );
      return ['/usr/sbin/apache2', '-f', path, ...(foreground ? ['-DFOREGROUND'] : [])];
    },
  },
];

const PATIENCE = 20_000;
/** It had a long life. */
const LIFE = 12_000;
/** A new master that has been there for so long serves: nginx tries for 2.5 s to get a port, but has no workers meanwhile. */
const STEADY = 1_000;
const LOOK = 5;

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, agent: false, timeout: 500 }, (response) => {
      response.resume();
      resolve(response.statusCode !== undefined);
    });
    request.on('error', () => resolve(false)).on('timeout', () => request.destroy());
  });
}

/** The master that has workers; null: there is none. */
function masterOf(rows: readonly Row[], comm: string): number | null {
  const own = rows.filter((row) => row.comm === comm && row.state !== 'Z');
  const pids = new Set(own.map(({ pid }) => pid));
  const parents = new Set(own.map(({ ppid }) => ppid));
  return own.find(({ pid, ppid }) => parents.has(pid) && !pids.has(ppid))?.pid ?? null;
}

interface Scene {
  readonly running: Running;
  readonly server: Server;
  readonly port: number;
}

async function begin({ tools }: Context, peer: Peer, server: Server): Promise<Scene> {
  const port = await freePort();
  const make = (arena: Arena): Command[] => {
    const folder = join(arena.dir, 'server');
    mkdirSync(folder);
    const pidFile = join(folder, 'pid');
    const words = server.configure(folder, port, !peer.daemons);
    return [{ name: server.name, words, pattern: server.pattern, daemon: peer.daemons ? { pidFile } : null }];
  };
  return { running: await Running.start(tools, peer, make), server, port };
}

async function killMaster({ record, quick }: Context, { running, server, port }: Scene): Promise<void> {
  const { arena, peer } = running;
  const say = (note: string): void => record(figure('masters', server.name, peer, 'ms', [], note));
  const old = masterOf(arena.processes(), server.comm);
  if (old === null || !(await answers(port))) return say('does not serve at all');
  const killedAt = performance.now();
  await arena.kill(old, 9);
  let since = { pid: 0, at: 0 };
  const patience = quick ? PATIENCE / 2 : Math.max(PATIENCE, peer.patience);
  while (performance.now() - killedAt < patience) {
    const now = performance.now();
    const master = masterOf(arena.processes(), server.comm);
    if (master === null || master === old || !(await answers(port))) since = { pid: 0, at: 0 };
    else if (since.pid !== master) since = { pid: master, at: now };
    else if (now - since.at > STEADY)
      return record(figure('masters', server.name, peer, 'ms', [since.at - killedAt]));
    await sleep(LOOK);
  }
  say(`not within ${patience / 1e3} s`);
}

async function run(context: Context): Promise<void> {
  const servers = SERVERS.filter(({ program }) => existsSync(program));
  for (const { name } of SERVERS.filter((server) => !servers.includes(server))) {
    context.record(figure('masters', name, 'all', 'ms', [], `not installed; apt-get install ${name}`));
  }
  context.say(`nginx and apache2: all start, and have ${LIFE / 1e3} s of quiet`);
  const pairs = servers.flatMap((server) => context.peers.map((peer) => ({ server, peer })));
  const scenes = await Promise.all(pairs.map(({ server, peer }) => begin(context, peer, server)));
  try {
    await sleep(LIFE);
    context.say('nginx and apache2: the masters are killed');
    await Promise.all(scenes.map((scene) => killMaster(context, scene)));
  } finally {
    for (const { running } of scenes) await running.close();
  }
}

export const masters: Measure = {
  name: 'masters',
  title: 'nginx and apache2, the master killed and the workers left',
  how: `Side by side; after ${LIFE / 1e3} s of quiet the master gets SIGKILL. It serves anew when a new master with workers of its own is there and HTTP answers (looked at every ${LOOK} ms), and both stay for a second. Who keeps daemons is given the daemon, the others the foreground form.`,
  tables: [{ measure: 'masters', title: 'Master killed: until it serves anew' }],
  run,
};
