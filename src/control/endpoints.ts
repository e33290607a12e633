/** What orchestrators ask for, over HTTP: /livez, /readyz and /metrics. Read only. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Health } from './health.ts';

/** At once. */
const MOST_CLIENTS = 64;
/** Bytes of a request's head. */
const LARGEST_HEAD = 8 * 1024;
/** ms in which a request has to be there, and in which a client that does nothing is hung up on. */
const PATIENCE = 5_000;
/** ms in which an answer has to be taken. */
const TAKEN_WITHIN = 30_000;

export interface EndpointsOptions {
  /** null: upkeep is just starting. */
  readonly health: (which: 'live' | 'ready') => Health | null;
  readonly metrics: () => Promise<string>;
  /** Of the metrics. */
  readonly contentType: string;
  /** Takes out what nobody should be shown. */
  readonly redact: (text: string) => string;
}

interface Reply {
  readonly status: number;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Not listening yet. A client that misbehaves is hung up on; with too many, the one that came first is. */
export function createEndpoints(options: EndpointsOptions): Server {
  const clients = new Set<Socket>();
  const server = createServer(
    { maxHeaderSize: LARGEST_HEAD, connectionsCheckingInterval: 1_000 },
    (request, response) => {
      response.on('error', () => {});
      const late = setTimeout(() => response.destroy(), TAKEN_WITHIN).unref();
      response.on('close', () => clearTimeout(late));
      replyTo(request, options).then(
        (reply) => send(response, reply),
        (error: Error) => send(response, { status: 500, text: `cannot answer: ${error.message}` }),
      );
    },
  );
  server.headersTimeout = PATIENCE;
  server.requestTimeout = PATIENCE;
  server.keepAliveTimeout = PATIENCE;
  server.timeout = PATIENCE;
  server.on('clientError', (_, client) => client.destroy());
  server.on('connection', (client) => {
    // Whoever opens connections and says nothing must not keep a probe from being answered.
    for (const first of clients) {
      if (clients.size < MOST_CLIENTS) break;
      clients.delete(first);
      first.destroy();
    }
    clients.add(client);
    client.on('close', () => clients.delete(client));
  });
  return server;
}

async function replyTo({ method, url = '' }: IncomingMessage, options: EndpointsOptions): Promise<Reply> {
  const path = url.split('?', 1)[0]!;
  const which = path === '/livez' ? 'live' : path === '/readyz' ? 'ready' : null;
  if (which === null && path !== '/metrics') {
    return { status: 404, text: 'cannot answer: there are /livez, /readyz and /metrics' };
  }
  if (method !== 'GET' && method !== 'HEAD') {
    return {
      status: 405,
      text: `cannot answer ${path}: it is asked for with GET or HEAD`,
      headers: { allow: 'GET, HEAD' },
    };
  }
  if (which === null) {
    return {
      status: 200,
      text: await options.metrics(),
      headers: { 'content-type': options.contentType },
    };
  }
  const health = options.health(which);
  if (health === null) return { status: 503, text: 'starting: upkeep itself is just starting' };
  return { status: health.ok ? 200 : 503, text: options.redact(health.text) };
}

function send(response: ServerResponse, { status, text, headers }: Reply): void {
  const body = text.endsWith('\n') ? text : `${text}\n`;
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-store',
    'content-length': Buffer.byteLength(body),
    ...headers,
  });
  response.end(body);
}
