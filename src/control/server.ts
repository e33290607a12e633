/** ASKS: what can be asked of a running upkeep, as HTTP with JSON over its socket. Nothing of it is loaded before somebody asks. */
import type { Socket } from 'node:net';
import type { Inside } from './inside.ts';
import type { createRoutes } from './routes.ts';

export interface ControlOptions {
  readonly version: string;
  /** null as long as there is nothing to ask. */
  readonly inside: () => Inside | null;
  /** Who is at the other end, by user; null: nobody can tell. The socket's own mode has to do then. */
  readonly uidOf: (client: Socket) => number | null;
  /** That mode lets in nobody but us and root. */
  readonly isPrivate: () => boolean;
  /** Who may ask besides root. */
  readonly ownUid: number;
}

/** Serves whoever connects and may; others are hung up on. */
export function createControl({
  version,
  inside,
  uidOf,
  isPrivate,
  ownUid,
}: ControlOptions): (client: Socket) => void {
  let routes: Promise<ReturnType<typeof createRoutes>> | null = null;
  return (client) => {
    const uid = uidOf(client);
    if (uid !== null && uid !== 0 && uid !== ownUid) {
      client.destroy();
      return;
    }
    client.unref();
    const isKnown = uid !== null || isPrivate();
    routes ??= import('./routes.ts').then(({ createRoutes }) => createRoutes(inside, version));
    routes.then(
      (serve) => serve(client, isKnown),
      () => client.destroy(),
    );
  };
}
