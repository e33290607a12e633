/** An HTTP server that anybody may connect to: what clients can take of it has bounds. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** At once. */
const MOST_CLIENTS = 64;
/** Bytes of a request's head. */
const LARGEST_HEAD = 8 * 1024;
/** ms in which a request has to be there, and in which a client that does nothing is hung up on. */
const PATIENCE = 5_000;
/** ms in which an answer has to be taken. */
const TAKEN_WITHIN = 30_000;

/**
 * Not listening yet. A client that misbehaves is hung up on; with too many, the one that came first is.
 *
 * @param upgrade takes over a connection that asks for another protocol, and its bounds are its own then; without it such a
 *   request is one like others
 */
export function createBoundedServer(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  upgrade?: (request: IncomingMessage, client: Socket, head: Buffer) => void,
): Server {
  const clients = new Set<Socket>();
  const server = createServer(
    { maxHeaderSize: LARGEST_HEAD, connectionsCheckingInterval: 1_000 },
    (request, response) => {
      response.on('error', () => {});
      const late = setTimeout(() => response.destroy(), TAKEN_WITHIN).unref();
      response.on('close', () => clearTimeout(late));
      answer(request, response);
    },
  );
  server.headersTimeout = PATIENCE;
  server.requestTimeout = PATIENCE;
  server.keepAliveTimeout = PATIENCE;
  server.timeout = PATIENCE;
  server.on('clientError', (_, client) => client.destroy());
  server.on('connection', (client) => {
    // Whoever opens connections and says nothing must not keep others from being answered.
    for (const first of clients) {
      if (clients.size < MOST_CLIENTS) break;
      clients.delete(first);
      first.destroy();
    }
    clients.add(client);
    client.on('close', () => clients.delete(client));
  });
  if (upgrade !== undefined) {
    server.on('upgrade', (request, stream, head) => {
      const client = stream as Socket;
      client.on('error', () => {});
      clients.delete(client);
      upgrade(request, client, head);
    });
  }
  return server;
}

/** Why one can't listen, and what to do. @param instead another port, as on the command line */
export function whyNotListening({ code, message }: NodeJS.ErrnoException, instead: string): string {
  switch (code) {
    case 'EADDRINUSE':
      return `somebody listens there already; name another port, as in ${instead}`;
    case 'EACCES':
      return 'only root may listen at so low a port; name one from 1024 on';
    case 'EADDRNOTAVAIL':
      return 'this machine does not have that address; 0.0.0.0 is all that it has';
    default:
      return message;
  }
}
