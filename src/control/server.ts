/** ASKS: what can be asked of a running upkeep, as HTTP with JSON over its socket. Nothing of it is loaded before somebody asks. */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Inside } from './inside.ts';

/** At once; more are refused. */
const MOST_CLIENTS = 64;

export interface ControlOptions {
  readonly version: string;
  /** null as long as there is nothing to ask. */
  readonly inside: () => Inside | null;
  /** Who is at the other end, by user; null: nobody can tell. The socket's own mode has to do then. */
  readonly uidOf: (client: Socket) => number | null;
  /** Who may ask besides root. */
  readonly ownUid: number;
}

/** Serves whoever connects; a client that misbehaves is hung up on. */
export function createControl({ version, inside, uidOf, ownUid }: ControlOptions): (client: Socket) => void {
  let server: Promise<Server> | null = null;
  let clients = 0;
  return (client) => {
    const uid = uidOf(client);
    if (clients >= MOST_CLIENTS || (uid !== null && uid !== 0 && uid !== ownUid)) {
      client.destroy();
      return;
    }
    clients++;
    client.unref();
    client.on('close', () => clients--);
    server ??= import('./routes.ts').then(({ createRoutes }) => createRoutes(inside, version));
    server.then(
      (http) => http.emit('connection', client),
      () => client.destroy(),
    );
  };
}
