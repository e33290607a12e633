/** ASKS: what can be asked of a running upkeep, as HTTP with JSON over its socket. Nothing of it is loaded before somebody asks. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** What a request comes to. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export interface ControlOptions {
  readonly version: string;
  /** Reads the policy again; without names the whole of it, with names these commands' own configuration. */
  readonly reload: (names: readonly string[]) => Promise<Answer>;
}

/** Bytes of a request's body. */
const LARGEST_BODY = 64 * 1024;
/** At once; more are refused. */
const MOST_CLIENTS = 64;

/** Serves whoever connects; a client that misbehaves is hung up on. */
export function createControl(options: ControlOptions): (client: Socket) => void {
  let server: Promise<Server> | null = null;
  let clients = 0;
  return (client) => {
    if (clients >= MOST_CLIENTS) {
      client.destroy();
      return;
    }
    clients++;
    client.unref();
    client.on('close', () => clients--);
    server ??= load(options);
    server.then(
      (http) => http.emit('connection', client),
      () => client.destroy(),
    );
  };
}

async function load(options: ControlOptions): Promise<Server> {
  const { createServer } = await import('node:http');
  const server = createServer((request, response) => {
    answer(options, request)
      .catch((error: Error): Answer => ({ status: 500, body: { error: error.message } }))
      .then(({ status, body }) => send(response, status, body));
  });
  server.headersTimeout = 5_000;
  server.requestTimeout = 10_000;
  server.keepAliveTimeout = 1_000;
  server.on('clientError', (_, client) => client.destroy());
  return server;
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.on('error', () => {});
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}

async function answer(options: ControlOptions, request: IncomingMessage): Promise<Answer> {
  const path = (request.url ?? '').split('?', 1)[0];
  if (path === '/v1/about') {
    if (request.method !== 'GET') return wrongMethod('GET');
    return { status: 200, body: { version: 1, upkeep: options.version, pid: process.pid } };
  }
  if (path === '/v1/reload') {
    if (request.method !== 'POST') return wrongMethod('POST');
    const names = namesOf(await bodyOf(request));
    if (names === null) {
      return { status: 400, body: { error: 'cannot read the request: it is no {"names": [NAME, …]}' } };
    }
    return options.reload(names);
  }
  return { status: 404, body: { error: `cannot answer ${shortened(path ?? '')}: there is nothing there` } };
}

const wrongMethod = (right: string): Answer => ({
  status: 405,
  body: { error: `cannot answer: it is asked for with ${right}` },
});

const shortened = (text: string): string => (text.length > 100 ? `${text.slice(0, 100)}…` : text);

/** @throws Error for a body that is too large or breaks off */
async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LARGEST_BODY)
      throw new Error(`cannot read the request: it is larger than ${LARGEST_BODY} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The names in `{"names": […]}`; no body: none. null: it is something else. */
function namesOf(body: string): readonly string[] | null {
  if (body.trim() === '') return [];
  try {
    const { names = [] } = JSON.parse(body) as { names?: unknown };
    return Array.isArray(names) && names.every((name) => typeof name === 'string') ? names : null;
  } catch {
    return null;
  }
}
