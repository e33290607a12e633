/** A server like the inspector's, that plays what it is given: for what is rare, large or long ago. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Hello, Message, StatelyMessage, Taken, Wanted } from '../../src/inspector/protocol.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
};
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export interface Fake {
  readonly url: string;
  /** To everybody. */
  readonly tell: (...messages: readonly Message[]) => void;
  /** What viewers have said. */
  readonly heard: readonly Wanted[];
  /** Bodies of orders, with the token that came with each. */
  readonly orders: readonly { readonly token: string; readonly body: unknown }[];
  readonly viewers: () => number;
  /** Hangs up on all viewers. */
  readonly drop: () => void;
  readonly close: () => Promise<void>;
}

/**
 * @param folder the built page's
 * @param opening what each viewer is told first, made when it comes
 * @param answer what follows from what a viewer says
 */
export async function fakeInspector(
  folder: string,
  opening: () => readonly Message[],
  answer: (wanted: Wanted) => readonly Message[] = () => [],
): Promise<Fake> {
  const heard: Wanted[] = [];
  const orders: { token: string; body: unknown }[] = [];
  const viewers = new Set<WebSocket>();
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?', 1)[0]!;
    if (path === '/order') {
      let text = '';
      request.on('data', (chunk) => {
        text += chunk;
      });
      request.on('end', () => {
        orders.push({ token: String(request.headers['x-upkeep-token']), body: JSON.parse(text) });
        response.writeHead(202, { 'content-type': 'application/json' }).end('{}');
      });
      return;
    }
    const name = path === '/' ? 'index.html' : path.slice(1);
    try {
      const body = readFileSync(join(folder, name));
      response.writeHead(200, {
        'content-type': TYPES[extname(name)] ?? 'application/octet-stream',
        'content-security-policy': POLICY,
      });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => {
    viewers.add(socket);
    socket.on('close', () => viewers.delete(socket));
    for (const message of opening()) socket.send(JSON.stringify(message));
    socket.on('message', (data) => {
      const wanted = JSON.parse(String(data)) as Wanted;
      heard.push(wanted);
      for (const message of answer(wanted)) socket.send(JSON.stringify(message));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    tell(...messages) {
      for (const message of messages) {
        const text = JSON.stringify(message);
        for (const socket of viewers) socket.send(text);
      }
    },
    heard,
    orders,
    viewers: () => viewers.size,
    drop() {
      for (const socket of viewers) socket.terminate();
    },
    close() {
      for (const socket of viewers) socket.terminate();
      sockets.close();
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

export function hello(more: Partial<Hello> = {}): Hello {
  return {
    type: 'upkeep.hello',
    version: 1,
    upkeep: '0.1.0',
    mode: 'live',
    orders: false,
    hostname: 'fake',
    began: Date.now() - 60_000,
    from: null,
    to: null,
    at: null,
    replay: null,
    ...more,
  };
}

const inspected = () => ({ rootId: 'x:0', createdAt: String(Date.now()), id: '1', _version: '0.7.2' });

/** @param definition a machine's configuration; null: it is no machine */
export function actor(
  sessionId: string,
  name: string,
  parentId: string | undefined,
  definition: object | null,
  value: unknown,
): StatelyMessage {
  return {
    ...inspected(),
    type: '@xstate.actor',
    sessionId,
    name,
    parentId,
    definition: definition === null ? undefined : JSON.stringify(definition),
    snapshot: { status: 'active', value, context: {} },
  };
}

/** An event and the state that it led to. @param taken undefined: by which way is not told */
export function moved(
  sessionId: string,
  type: string,
  value: unknown,
  context: object = {},
  taken?: Taken,
): readonly StatelyMessage[] {
  return [
    { ...inspected(), type: '@xstate.event', sessionId, event: { type }, sourceId: 'x:0' },
    {
      ...inspected(),
      type: '@xstate.snapshot',
      sessionId,
      event: { type },
      snapshot: { status: 'active', value, context },
      ...(taken === undefined ? {} : { taken }),
    },
  ];
}
