/** The inspector's HTTP and WebSocket: the page, what is shown to viewers, and orders. Who may is decided here. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { textOf } from '../control/body.ts';
import { createBoundedServer, endWith } from '../control/bounded.ts';
import type { Answer } from '../control/inside.ts';
import { isLoopback } from '../control/listening.ts';
import type { PageFile } from './files.ts';
import type { Redaction } from './json.ts';
import type { Ordered, Wanted } from './protocol.ts';
import type { Shown, Source, Viewer } from './source.ts';

/** At once. */
const MOST_VIEWERS = 16;
/** Bytes of what a viewer says, and of an order. */
const LARGEST_WORD = 4 * 1024;
/** ms in which a viewer has to give a sign of life. */
const HEARTBEAT = 20_000;

/** Nothing from elsewhere, nothing inline, nowhere else to, in nobody's frame. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HEADERS: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

export interface InspectorOptions {
  readonly source: Source;
  readonly files: ReadonlyMap<string, PageFile>;
  readonly token: string;
  /** The IP address that it will listen on. */
  readonly host: string;
  /** Carries it out, and says what it has come to; text: nothing can be ordered, and why. */
  readonly order: ((ordered: Ordered) => Promise<Answer>) | string;
  /** JSON, without what nobody should be shown. */
  readonly write: Redaction['write'];
}

interface Reply {
  readonly status: number;
  readonly body: Buffer | string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What is refused to somebody, and why. */
class Refusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

const unreadable = (status: number, why: string): Refusal =>
  new Refusal(status, `cannot read the order: ${why}`);

export interface Inspector {
  /** Not listening yet. */
  readonly server: Server;
  /** Hangs up on everybody. */
  readonly close: () => void;
}

export function createInspector(options: InspectorOptions): Inspector {
  const { source, write } = options;
  const isToken = matcherOf(options.token);
  const sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: LARGEST_WORD,
    perMessageDeflate: false,
  });
  /** Those of whom nothing was heard since the last beat are in it with false. */
  const viewers = new Map<WebSocket, boolean>();
  let heart: NodeJS.Timeout | undefined;

  const server = createBoundedServer(
    (request, response) => {
      replyTo(request)
        .catch((error: unknown): Reply => {
          const refusal = error instanceof Refusal ? error : null;
          const why = `cannot answer: a mistake in upkeep: ${(error as Error).message}; please report it`;
          return {
            status: refusal?.status ?? 500,
            body: jsonError(refusal?.message ?? why),
            headers: { 'content-type': 'application/json', ...refusal?.headers },
          };
        })
        .then((reply) => send(response, reply, request.method === 'HEAD'))
        .catch(() => response.destroy());
    },
    (request, client, head) => {
      try {
        admit(request);
        const own = pathOf(request) === '/ws';
        sockets.handleUpgrade(request, client, head, (socket) => show(socket, client, own));
      } catch (error) {
        const { status = 500, message } = error as Partial<Refusal>;
        client.once('finish', () => client.destroy());
        endWith(client, status, 'application/json', jsonError(message ?? ''));
      }
    },
  );
  const jsonError = (error: string): string => `${write({ error })}\n`;

  /** @throws Refusal for who is no viewer */
  function admit(request: IncomingMessage): void {
    checkHost(request, options.host);
    const path = pathOf(request);
    if (path !== '/ws' && path !== '/')
      throw new Refusal(404, 'cannot show that: viewers connect to /ws or /');
    checkOrigin(request);
    if (!isToken(queryOf(request).get('token') ?? '')) throw new Refusal(401, NO_TOKEN);
    if (viewers.size >= MOST_VIEWERS) {
      throw new Refusal(
        503,
        `cannot show anything: there are ${MOST_VIEWERS} viewers already; close one of them`,
      );
    }
  }

  function show(socket: WebSocket, client: Socket, own: boolean): void {
    const viewer: Viewer = {
      own,
      orders: own && typeof options.order !== 'string',
      send(text) {
        if (socket.readyState === socket.OPEN) socket.send(text);
      },
      waiting: () => socket.bufferedAmount,
      hold: () => client.cork(),
      release: () => client.uncork(),
    };
    // It says when it is gone.
    socket.on('error', () => {});
    const shown: Shown = source.show(viewer);
    viewers.set(socket, true);
    heart ??= setInterval(beat, HEARTBEAT).unref();
    client.on('drain', shown.taken);
    socket.on('pong', () => viewers.set(socket, true));
    socket.on('message', (data) => {
      const wanted = wantedIn(String(data));
      if (wanted !== null) shown.want(wanted);
    });
    socket.on('close', () => {
      shown.end();
      viewers.delete(socket);
      if (viewers.size > 0) return;
      clearInterval(heart);
      heart = undefined;
    });
  }

  /** Who sleeps does not say that it is gone. */
  function beat(): void {
    for (const [socket, isAlive] of viewers) {
      if (!isAlive) {
        socket.terminate();
        continue;
      }
      viewers.set(socket, false);
      socket.ping();
    }
  }

  async function replyTo(request: IncomingMessage): Promise<Reply> {
    checkHost(request, options.host);
    const path = pathOf(request);
    if (path === '/ws') {
      // A browser does not tell its page why it was refused a WebSocket: it asks here.
      admit(request);
      throw new Refusal(426, 'cannot show that: viewers connect by WebSocket', { upgrade: 'websocket' });
    }
    const isOrder = path === '/order';
    const file = options.files.get(path);
    if (file === undefined && !isOrder) throw new Refusal(404, 'cannot answer: there is nothing there');
    const allowed = isOrder ? ['POST'] : ['GET', 'HEAD'];
    if (!allowed.includes(request.method ?? '')) {
      throw new Refusal(405, `cannot answer ${path}: it is asked for with ${allowed.join(' or ')}`, {
        allow: allowed.join(', '),
      });
    }
    if (file !== undefined) {
      return { status: 200, body: await file.read(), headers: { 'content-type': file.type } };
    }
    checkOrigin(request);
    if (!isToken(headerOf(request, 'x-upkeep-token'))) throw new Refusal(401, NO_TOKEN);
    const { order } = options;
    if (typeof order === 'string') throw new Refusal(403, order);
    if (!/^application\/json\b/.test(headerOf(request, 'content-type'))) {
      throw new Refusal(415, 'cannot read the order: it is no application/json');
    }
    const { status, body } = await order(orderIn(await textOf(request, LARGEST_WORD, unreadable)));
    return {
      status,
      body: `${write(body)}\n`,
      headers: { 'content-type': 'application/json' },
    };
  }

  return {
    server,
    close() {
      server.close();
      server.closeAllConnections();
      for (const socket of viewers.keys()) socket.terminate();
    },
  };
}

const NO_TOKEN = 'cannot let you in: the token is missing or wrong; open the address that upkeep has logged';

function send(response: ServerResponse, { status, body, headers }: Reply, headOnly: boolean): void {
  if (response.destroyed) return;
  response.writeHead(status, { ...HEADERS, 'content-length': Buffer.byteLength(body), ...headers });
  response.end(headOnly ? undefined : body);
}

/** Compares in a time that does not tell how much of it is right. */
function matcherOf(token: string): (given: string) => boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const right = digest(token);
  return (given) => timingSafeEqual(digest(given), right);
}

const headerOf = ({ headers }: IncomingMessage, name: string): string => String(headers[name] ?? '');
const pathOf = ({ url = '' }: IncomingMessage): string => url.split('?', 1)[0]!;
const queryOf = ({ url = '' }: IncomingMessage): URLSearchParams =>
  new URLSearchParams(url.split('?').slice(1).join('?'));

/**
 * That the browser knows us by an address, not by a name that somebody lets point here: his page would count as ours.
 *
 * @throws Refusal
 */
function checkHost(request: IncomingMessage, host: string): void {
  const name = hostnameIn(`http://${headerOf(request, 'host')}`);
  const isNear = name === 'localhost' || (name !== null && isLoopback(name));
  if (isNear || (name !== null && isIP(name) !== 0 && !isLoopback(host))) return;
  throw new Refusal(421, 'cannot answer: the inspector is known by its IP address, or as localhost');
}

/** That no other page has sent it. Programs that are no browsers say nothing of where they come from. @throws Refusal */
function checkOrigin(request: IncomingMessage): void {
  const { origin } = request.headers;
  if (origin === undefined || origin === `http://${headerOf(request, 'host')}`) return;
  throw new Refusal(403, "cannot let that page in: only the inspector's own page may ask");
}

/** null: it is no address of a server. */
function hostnameIn(address: string): string | null {
  try {
    const { hostname, username, pathname, search } = new URL(address);
    if (username !== '' || pathname !== '/' || search !== '') return null;
    return hostname.replace(/^\[|\]$/g, '');
  } catch {
    return null;
  }
}

/** null: it makes no sense. */
function wantedIn(text: string): Wanted | null {
  const said = jsonIn(text);
  if (said?.type === 'processes' && typeof said.wanted === 'boolean')
    return { type: 'processes', wanted: said.wanted };
  if (said?.type === 'seek' && Number.isFinite(said.at)) return { type: 'seek', at: said.at as number };
  return null;
}

/** @throws Refusal */
function orderIn(text: string): Ordered {
  const { order, command, signal } = jsonIn(text) ?? {};
  if (typeof command === 'string') {
    if (order === 'start' || order === 'stop' || order === 'restart' || order === 'reload')
      return { order, command };
    if (order === 'signal' && typeof signal === 'string') return { order, command, signal };
  }
  throw unreadable(400, 'it is as in {"order": "restart", "command": "web"}');
}

function jsonIn(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' ? (value as Record<string, unknown> | null) : null;
  } catch {
    return null;
  }
}
