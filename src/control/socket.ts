/** The control socket: what makes an upkeep one of a kind on its machine. Two may not hold the same. */
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/**
 * Where the socket is when nobody says: /run, the user's runtime folder, or the temporary folder; the first that can be
 * written. The last of them where none can.
 */
export function defaultSocketPath(env: NodeJS.ProcessEnv): string {
  const uid = process.getuid?.() ?? 0;
  const runtime = env.XDG_RUNTIME_DIR;
  const folders = ['/run', ...(runtime ? [runtime] : []), tmpdir()];
  const folder = folders.find(isWritable) ?? tmpdir();
  return join(folder, folder === '/run' || folder === runtime ? 'upkeep.sock' : `upkeep-${uid}.sock`);
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** What sun_path holds, less its final zero. */
export const LONGEST_PATH = process.platform === 'linux' ? 107 : 103;

const MOST_TRIES = 10;
/** Characters of an answer that are looked at. */
const MOST_SAID = 4_096;

export type Claim =
  | { readonly server: Server }
  | { readonly holder: string }
  | { readonly impossible: string };

/**
 * Listens on the socket. A socket that nobody answers on is replaced.
 *
 * @param serve is given everybody who connects
 * @returns `holder`: another upkeep answers there (what it said); `impossible`: why there can be no socket
 */
export async function claimSocket(path: string, serve: (client: Socket) => void): Promise<Claim> {
  // Node would cut it, and listen somewhere else.
  if (Buffer.byteLength(path) > LONGEST_PATH) {
    return { impossible: `${path} is longer than the ${LONGEST_PATH} bytes that a socket's path may have` };
  }
  for (let tries = 0; ; tries++) {
    try {
      return { server: await listen(path, serve) };
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== 'EADDRINUSE' || tries === MOST_TRIES) return { impossible: message };
      const before = identityOf(path);
      const holder = await ask(path);
      if (holder !== null) return { holder };
      // Of several that find the same dead socket, only the first removes it: what is there now is alive.
      if (before === null || identityOf(path) !== before) continue;
      try {
        if (!lstatSync(path).isSocket()) return { impossible: `${path} is there and is no socket` };
        unlinkSync(path);
      } catch (refused) {
        return { impossible: (refused as Error).message };
      }
    }
  }
}

/** Nobody but its owner and root may connect. */
export function isPrivate(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat !== undefined && (stat.mode & 0o077) === 0;
}

/** Tells one file under a path from the next; null: there is none. */
function identityOf(path: string): string | null {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? null : `${stat.ino} ${stat.ctimeNs}`;
}

/** Node's own `recursive` never returns where a folder that is there refuses another with ENOENT, as /proc does. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  mkdirSync(folder, { mode: 0o700 });
}

function listen(path: string, serve: (client: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    try {
      makeFolder(dirname(path));
    } catch {
      // listen says what is wrong.
    }
    const server = createServer((client) => {
      client.on('error', () => {});
      serve(client);
    });
    server.once('error', reject);
    const mask = process.umask(0o177);
    server.listen(path, () => {
      try {
        chmodSync(path, 0o600);
      } catch {
        // The umask has seen to it where it can be seen to.
      }
      server.removeListener('error', reject);
      server.on('error', () => {});
      server.unref();
      resolve(server);
    });
    process.umask(mask);
  });
}

/** What whoever listens there says; null when nobody does. */
function ask(path: string): Promise<string | null> {
  return new Promise((resolve) => {
    const client = createConnection(path);
    let said = '';
    client.setEncoding('utf8');
    client.setTimeout(5_000, () => {
      client.destroy();
      resolve('something that does not answer');
    });
    // By hand: a whole HTTP client would be loaded for nothing else.
    client.write('GET /v1/about HTTP/1.1\r\nHost: upkeep\r\nConnection: close\r\n\r\n');
    client.on('data', (text: string) => {
      said = (said + text).slice(-MOST_SAID);
    });
    client.on('end', () => {
      const pid = /"pid":(\d+)/.exec(said)?.[1];
      resolve(pid === undefined ? 'something' : `upkeep ${pid}`);
    });
    client.on('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code === 'ECONNREFUSED' || error.code === 'ENOENT' ? null : `something (${error.code})`);
    });
  });
}
