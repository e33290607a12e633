/** An HTTP server that anybody may connect to: what clients can take of it has bounds. */
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
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
 * Not listening yet. A client that misbehaves is told so, and hung up on; with too many, the one that came first is.
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
  answerUnreadable(server, LARGEST_HEAD, {
    type: 'text/plain; charset=utf-8',
    textOf: (why) => `${why}\n`,
    remedy: 'ask with curl, or a browser',
  });
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

/** How a server words its errors. */
interface Wording {
  /** Of the content. */
  readonly type: string;
  /** @param why "cannot …: why; what to do" */
  readonly textOf: (why: string) => string;
  /** What to do where it is no HTTP. */
  readonly remedy: string;
}

/** Tells whoever sends what is no request, or half of one, before it is hung up on. @param most bytes of a head */
export function answerUnreadable(server: Server, most: number, { type, textOf, remedy }: Wording): void {
  server.on('clientError', ({ code }: NodeJS.ErrnoException, stream) => {
    const client = stream as Socket;
    if (!client.writable || client.bytesWritten > 0) return void client.destroy();
    const [status, why] =
      code === 'HPE_HEADER_OVERFLOW'
        ? ([431, `its head is larger than ${most} bytes; send less`] as const)
        : code === 'ERR_HTTP_REQUEST_TIMEOUT'
          ? ([408, 'it did not come to its end; send all of it at once'] as const)
          : ([400, `it is no HTTP; ${remedy}`] as const);
    endWith(client, status, type, textOf(`cannot read the request: ${why}`));
  });
}

/** Answers where there is no request that Node would give a response to, and hangs up. */
export function endWith(client: Socket, status: number, type: string, text: string): void {
  const head = `content-type: ${type}\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close`;
  client.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head}\r\n\r\n${text}`);
}
