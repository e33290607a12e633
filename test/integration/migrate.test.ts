/**
 * The examples of migrations, run as in a container: their files in /srv, a /run and a network of their own. What they come
 * from is run where it can be: supervisord and s6. Compose takes images of others, and cfe-docker an image of its own.
 */
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { splitWords } from '../../src/policy/words.ts';
import {
  type Cleanup,
  hasProgram,
  type Line,
  Namespace,
  noOtherUser,
  type Upkeep,
  until,
} from './namespace.ts';

const EXAMPLES = join(import.meta.dirname, '../../examples/migrate');
/** $1 is the folder that becomes /srv; what follows is executed. */
const CONTAINER = `
mount -t tmpfs -o mode=755 tmpfs /run && mount --bind "$1" /srv && ip link set lo up || exit
if test -e /srv/web; then mount --bind /srv /etc/init.d; fi
shift; exec "$@"`;

/** Why a container's surroundings cannot be had here; null: they can. */
const noContainer =
  noOtherUser ??
  ['ip', 'python3', 'start-stop-daemon']
    .map((name) => (hasProgram(name) ? null : `needs ${name}`))
    .find(Boolean) ??
  null;

/** The example's files, and what to put in front of a program that is to have them. */
function install(context: Cleanup, from: string): { inside: Namespace; srv: string; prefix: string[] } {
  const inside = new Namespace(context);
  const srv = join(inside.dir, 'srv');
  cpSync(join(EXAMPLES, from), srv, { recursive: true });
  return { inside, srv, prefix: ['unshare', '--net', 'sh', '-c', CONTAINER, 'sh', srv] };
}

/** The example under upkeep. */
class Migrated {
  readonly inside: Namespace;
  readonly upkeep: Upkeep;

  constructor(inside: Namespace, upkeep: Upkeep) {
    this.inside = inside;
    this.upkeep = upkeep;
  }

  static async start(
    context: Cleanup,
    from: string,
    args: readonly string[] = ['--policy', '/srv/upkeep.yaml'],
    {
      commands = [],
      env = {},
    }: { commands?: readonly string[]; env?: Readonly<Record<string, string>> } = {},
  ): Promise<Migrated> {
    const { inside, prefix } = install(context, from);
    return new Migrated(
      inside,
      await inside.upkeep(commands, { prefix, env, args: ['--grace', '60s', ...args] }),
    );
  }

  /** Where the first of such events stands in the log. */
  place(event: string, command: string): number {
    const place = this.upkeep.lines.findIndex((line) => line.event === event && line.command === command);
    expect(place, `${event} of ${command}`).toBeGreaterThan(-1);
    return place;
  }

  /** The events, each `event command`, come in this order. */
  inOrder(...events: string[]): void {
    const places = events.map((text) => {
      const [event, command] = text.split(' ');
      return this.place(`command.${event}`, command!);
    });
    expect(places, events.join(', ')).toEqual(places.toSorted((a, b) => a - b));
  }

  pidOf(command: string): number {
    return this.upkeep.events('command.running', command).at(-1)!.leader.pid;
  }

  /** Kills the leader. @returns the pid of the one that follows */
  async restarted(command: string): Promise<number> {
    const before = this.upkeep.events('command.running', command).length;
    const pid = this.pidOf(command);
    await this.inside.end(pid);
    const { leader } = await this.upkeep.event('command.running', command, before + 1);
    expect(leader.pid).not.toBe(pid);
    return leader.pid;
  }

  /** What a program says in there: of the network, too. */
  async ask(...words: string[]): Promise<string> {
    return this.upkeep.until(`an answer to ${words.join(' ')}`, () => answer(this.inside, words));
  }

  async said(command: string, text: string): Promise<Line> {
    return this.upkeep.until(`"${text}" of ${command}`, () =>
      this.upkeep.said(command).find(({ line }) => line === text),
    );
  }

  environment(command: string): string[] {
    return this.inside.read(this.pidOf(command), 'environ').split('\0');
  }

  async stop(): Promise<void> {
    expect(await this.upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  }
}

/** @returns what it wrote; null where it failed */
async function answer(inside: Namespace, words: readonly string[]): Promise<string | null> {
  const child = inside.run(['nsenter', '-t', '1', '-n', ...words]);
  let text = '';
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return code === 0 ? text : null;
}

/** What the address answers, by a program that is in every image with Python. */
const get = (url: string): string[] => [
  'python3',
  '-c',
  'import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode(), end="")',
  url,
];
const talk = (port: number): string[] => [
  'python3',
  '-c',
  'import socket, sys; c = socket.create_connection(("127.0.0.1", int(sys.argv[1]))); c.sendall(b"schema\\n"); print(c.recv(99).decode(), end="")',
  String(port),
];
const serving = (row: { argv: readonly string[] }): boolean => row.argv.includes('http.server');

describe.skipIf(noContainer)(`from supervisord ${noContainer ?? ''}`, { concurrent: true }, () => {
  test('upkeep.yaml does the same', async (context) => {
    const services = await Migrated.start(context, 'supervisord');
    const { upkeep, inside } = services;
    await upkeep.running('web', 'worker-1', 'worker-2');
    services.inOrder('completed prepare', 'launched web', 'launched worker-1');
    services.inOrder('launched web', 'launched worker-2');
    expect(await services.ask(...get('http://127.0.0.1:8000/'))).toBe('hello\n');
    await services.said('worker-2', 'worker 2 looks into mail');
    expect(inside.read(services.pidOf('worker-1'), 'status')).toMatch(/^Umask:\t0027$/m);
    expect(inside.read(services.pidOf('web'), 'status')).not.toMatch(/^Uid:\t0/m);

    await services.restarted('web');
    expect(await services.ask(...get('http://127.0.0.1:8000/'))).toBe('hello\n');
    await services.stop();
    services.inOrder('stopped worker-1', 'stopping web');
    services.inOrder('stopped worker-2', 'stopping web');
    await services.said('web', 'Keyboard interrupt received, exiting.');
  });

  test('a program that fails again and again ends the container', async (context) => {
    const { inside, srv, prefix } = install(context, 'supervisord');
    // On a slow machine four deaths may take longer than the ten seconds.
    const text = readFileSync(join(srv, 'upkeep.yaml'), 'utf8');
    inside.write('srv/upkeep.yaml', text.replace('within: 10s', 'within: 10m'), 0o644);
    const args = ['--grace', '60s', '--policy', '/srv/upkeep.yaml'];
    const services = new Migrated(inside, await inside.upkeep([], { prefix, args }));
    const { upkeep } = services;
    await upkeep.running('web', 'worker-1', 'worker-2');
    for (const count of [1, 2, 3]) {
      await services.restarted('web');
      expect(upkeep.events('command.died', 'web')).toHaveLength(count);
    }
    await services.inside.end(services.pidOf('web'));
    expect(await upkeep.ended()).toEqual({ code: 10, signal: null });
    const failed = upkeep.events('command.failed', 'web');
    expect(failed.map(({ reason }) => reason)).toEqual(['more than 3 restarts in 10 min']);
  });

  test.skipIf(!hasProgram('supervisord'))(
    'supervisord.conf, as it was (needs supervisord)',
    async (context) => {
      const peer = await Peer.start(context, 'supervisord', ['supervisord', '-c', '/srv/supervisord.conf']);
      await peer.wrote(/^prepared$/m);
      await peer.wrote(/^worker 1 looks into mail$/m);
      await peer.wrote(/^worker 2 looks into mail$/m);
      // Before, SIGINT would find Python still at its beginning.
      await peer.wrote(/^Serving HTTP/m);
      await peer.killAndAwait(serving);
      await peer.wrote(/^Serving HTTP[\s\S]*^Serving HTTP/m);
      await peer.stop((row) => row.comm === 'supervisord');
      expect(peer.text).toContain('Keyboard interrupt received, exiting.');
    },
  );
});

describe.skipIf(noContainer)(`from s6-overlay ${noContainer ?? ''}`, { concurrent: true }, () => {
  test('upkeep.yaml does the same', async (context) => {
    const services = await Migrated.start(context, 's6-overlay');
    const { upkeep } = services;
    await upkeep.running('store', 'web');
    services.inOrder('completed prepare', 'launched store', 'ready store', 'launched web');
    // It says so when it has loaded, and not before.
    expect(upkeep.events('command.ready', 'store')[0]!.took).toBeGreaterThanOrEqual(500);
    expect(await services.ask(...talk(7000))).toBe('stored\n');

    // Without the removal of the lock it would not come back.
    await services.restarted('store');
    await upkeep.event('command.ready', 'store', 2);
    expect(await services.ask(...talk(7000))).toBe('stored\n');
    await services.stop();
    services.inOrder('stopped web', 'stopping store');
    await services.said('store', 'saved');
  });

  test('upkeep-finish.yaml runs the finish script after each end', async (context) => {
    const services = await Migrated.start(context, 's6-overlay', ['--policy', '/srv/upkeep-finish.yaml']);
    const { upkeep, inside } = services;
    await upkeep.event('command.ready', 'store');
    const [store] = inside.named('python3');
    await inside.end(store!.pid);
    await services.said('store', 'the store ended with 137, signal ');
    await upkeep.event('command.ready', 'store', 2);
    expect(inside.read(inside.named('python3')[0]!.pid, 'status')).not.toMatch(/^Uid:\t0/m);
    await services.stop();
    await services.said('store', 'saved');
    await services.said('store', 'the store ended with 0, signal ');
  });

  // s6-rc, which keeps the order, is no package of Debian 12: its part is done by hand here.
  test.skipIf(!hasProgram('s6-svscan'))('the longruns, as they were (needs s6)', async (context) => {
    const peer = await Peer.start(context, 's6-overlay', [
      'sh',
      '-c',
      `mkdir /run/service && cp -r /srv/s6-rc.d/store /srv/s6-rc.d/web /run/service && $(cat /srv/s6-rc.d/prepare/up) || exit
       { until s6-svwait -U /run/service/store; do sleep 0.1; done; echo the store is ready; } 2>/dev/null &
       exec s6-svscan /run/service`,
    ]);
    await peer.wrote(/^prepared$[\s\S]*^loaded$[\s\S]*^the store is ready$/m);
    await peer.killAndAwait((row) => row.argv.includes('/srv/store.py'));
    await peer.wrote(/^the store ended with 256, signal 9$/m);
    await peer.killAndAwait(serving);
    await peer.wrote(/^loaded$[\s\S]*^loaded$/m);
    await peer.stop((row) => row.comm === 's6-svscan');
    expect(peer.text).toMatch(/^saved$[\s\S]*^the store ended with 0, signal 0$/m);
  });
});

describe.skipIf(noContainer)(`from Compose ${noContainer ?? ''}`, { concurrent: true }, () => {
  test('upkeep.yaml does the same', async (context) => {
    const services = await Migrated.start(context, 'compose');
    const { upkeep, inside } = services;
    await upkeep.running('cache', 'api', 'ticker');
    services.inOrder('ready cache', 'launched migrate', 'completed migrate', 'launched api');
    services.inOrder('running api', 'launched ticker');
    expect(await services.ask(...talk(6000))).toBe('2\n');
    expect(await services.ask(...get('http://127.0.0.1:8080/'))).toBe('hello\n');
    expect(services.environment('api')).toEqual(expect.arrayContaining(['PORT=8080', 'GREETING=hello']));
    expect(inside.read(services.pidOf('cache'), 'status')).not.toMatch(/^Uid:\t0/m);
    await services.restarted('cache');
    expect(await services.ask(...talk(6000))).toBe('\n');
    await services.restarted('api');
    expect(upkeep.events('command.launched', 'migrate')).toHaveLength(1);
    expect(upkeep.events('command.launched', 'ticker')).toHaveLength(1);
    await services.stop();
    services.inOrder('stopped ticker', 'stopping api', 'stopped api', 'stopping cache');
    await services.said('cache', 'told to stop by SIGINT');
  });

  test('variables are filled in from the environment; who ends well is not started again', async (context) => {
    const services = await Migrated.start(context, 'compose', undefined, { env: { GREETING: 'good day' } });
    const { upkeep, inside } = services;
    await upkeep.running('ticker');
    expect(await services.ask(...get('http://127.0.0.1:8080/'))).toBe('good day\n');
    inside.kill(services.pidOf('api'), 'SIGTERM');
    expect(await upkeep.event('command.completed', 'api')).toMatchObject({ success: true });
    await services.stop();
    expect(upkeep.events('command.launched', 'api')).toHaveLength(1);
  });
});

describe.skipIf(noContainer)(`from a Procfile ${noContainer ?? ''}`, { concurrent: true }, () => {
  test('upkeep.yaml does the same', async (context) => {
    const services = await Migrated.start(context, 'procfile');
    const { upkeep } = services;
    await upkeep.running('web', 'worker-1', 'worker-2', 'clock');
    for (const name of ['web', 'worker-1', 'worker-2', 'clock']) {
      services.inOrder('completed release', `launched ${name}`);
    }
    await upkeep.event('command.ready', 'web');
    expect(await services.ask(...get('http://127.0.0.1:5000/'))).toBe('hello\n');
    await services.said('worker-2', 'looks into mail');
    await services.restarted('web');
    await services.restarted('worker-1');
    expect(upkeep.events('command.launched', 'release')).toHaveLength(1);
    await services.stop();
  });

  test('without its release a Procfile is used as it is', async (context) => {
    const { inside, srv, prefix } = install(context, 'procfile');
    const text = readFileSync(join(srv, 'Procfile'), 'utf8');
    inside.write('srv/Procfile', text.replace(/^release:.*\n/m, ''), 0o644);
    inside.write('srv/public/index.html', 'hello\n', 0o644);
    const words = ['sh', '-c', 'cd /srv && exec "$@"', 'sh'];
    const upkeep = await inside.upkeep([], {
      prefix: [...prefix, ...words],
      env: { PORT: '5000', QUEUE: 'mail' },
      args: ['--procfile', 'Procfile'],
    });
    const services = new Migrated(inside, upkeep);
    await upkeep.running('web', 'worker', 'clock');
    expect(await services.ask(...get('http://127.0.0.1:5000/'))).toBe('hello\n');
    await services.said('worker', 'looks into mail');
    await services.restarted('web');
    await services.stop();
  });
});

describe.skipIf(noContainer)(`from cfe-docker ${noContainer ?? ''}`, { concurrent: true }, () => {
  /** The arguments behind the image's name. */
  const commandsOf = (file: string): string[] => {
    const line = splitWords(readFileSync(join(EXAMPLES, 'cfe-docker', file), 'utf8'));
    const words = 'words' in line ? line.words : [];
    return words.slice(words.indexOf('services') + 2);
  };

  test('the commands are the same', () => {
    expect(commandsOf('upkeep.sh')).toHaveLength(2);
    expect(commandsOf('upkeep.sh')).toEqual(commandsOf('cfe-docker.sh'));
  });

  test.for(['upkeep.sh', 'upkeep.yaml'])('%s does the same', async (file, context) => {
    const services = await (file === 'upkeep.sh'
      ? Migrated.start(context, 'cfe-docker', [], { commands: commandsOf(file) })
      : Migrated.start(context, 'cfe-docker'));
    const { upkeep } = services;
    await upkeep.running('api', 'web');
    if (file === 'upkeep.yaml') services.inOrder('ready api', 'launched web');
    expect(await services.ask(...talk(7000))).toBe('hello\n');
    expect(await services.ask(...get('http://127.0.0.1:8000/web'))).toContain('start-stop-daemon');
    await services.restarted('api');
    await services.restarted('web');
    expect(await services.ask(...talk(7000))).toBe('hello\n');
    expect(await services.ask(...get('http://127.0.0.1:8000/web'))).toContain('start-stop-daemon');
    await services.stop();
    expect(upkeep.events('command.stopping', 'web')[0]!.how).toBe('its own stop command');
  });
});

/** The example under whom it was written for. */
class Peer {
  readonly inside: Namespace;
  text = '';
  private isSilent = false;

  private constructor(inside: Namespace) {
    this.inside = inside;
  }

  static async start(context: Cleanup, from: string, words: readonly string[]): Promise<Peer> {
    const { inside, prefix } = install(context, from);
    await inside.idleInit();
    const peer = new Peer(inside);
    // What the services are given is a pipe, as in a container: a socket can't be opened by the name /dev/stdout.
    const piped = ['sh', '-c', '"$@" 2>&1 | cat', 'sh'];
    const child = inside.run(['unshare', '--mount', ...prefix, ...piped, ...words]);
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        peer.text += chunk;
      });
    }
    child.once('close', () => {
      peer.isSilent = true;
    });
    return peer;
  }

  async until<T>(what: string, check: () => T): Promise<Exclude<Awaited<T>, false | null | undefined>> {
    return until(what, check, () => `${this.text.slice(-2_000)}\n${this.inside.describe()}`) as never;
  }

  async wrote(pattern: RegExp): Promise<void> {
    await this.until(String(pattern), () => pattern.test(this.text));
  }

  /** Kills the one process that is meant, and waits for the next. */
  async killAndAwait(isMeant: (row: { argv: readonly string[] }) => boolean): Promise<void> {
    const find = () => this.inside.processes().find((row) => row.state !== 'Z' && isMeant(row));
    const first = await this.until('the service', find);
    await this.inside.end(first.pid);
    await this.until('the service again', () => {
      const next = find();
      return next !== undefined && next.startTicks !== first.startTicks && next;
    });
  }

  /** Asks it to stop and waits until nobody is left but the init, and all that they wrote is in `text`. */
  async stop(isPeer: (row: { comm: string }) => boolean): Promise<void> {
    this.inside.kill(this.inside.processes().find(isPeer)!.pid, 'SIGTERM');
    await this.until('the end of all', () =>
      this.inside.processes().every(({ pid, comm, state }) => pid === 1 || comm === 'sleep' || state === 'Z'),
    );
    await this.until('the end of what they wrote', () => this.isSilent);
  }
}
