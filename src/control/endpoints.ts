/** What orchestrators ask for, over HTTP: /livez, /readyz and /metrics. Read only. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createBoundedServer } from './bounded.ts';
import type { Health } from './health.ts';

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

/** Not listening yet. */
export function createEndpoints(options: EndpointsOptions): Server {
  return createBoundedServer((request, response) => {
    replyTo(request, options).then(
      (reply) => send(response, reply),
      (error: Error) => send(response, { status: 500, text: `cannot answer: ${error.message}` }),
    );
  });
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
