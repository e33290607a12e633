/** Who is connected: so many at once, each for a while, and with so many bytes unread. Nobody can keep others out, or fill the memory. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** At once; the next one takes the place of whoever has been there longest. */
const MOST_CLIENTS = 64;
/** Of them, those that follow logs or events. */
const MOST_FOLLOWERS = 32;
/** Bytes of answers that nobody has read yet. */
const MOST_UNREAD = 8 * 1024 * 1024;
/** ms for a question and its answer. */
const PATIENCE = 30_000;

export interface Clients {
  readonly admit: (client: Socket) => void;
  /** Its answer may take its time. */
  readonly waits: (client: Socket) => void;
  /** It stays as long as it likes. Of too many one gives way: the first that has not read what it was given, else the first. */
  readonly follows: (client: Socket) => void;
  /** So many bytes are on their way to a client. */
  readonly owe: (response: ServerResponse, bytes: number) => void;
}

export function createClients(): Clients {
  /** Those that are to be gone soon, the oldest first. */
  const passing = new Map<Socket, NodeJS.Timeout>();
  const followers = new Set<Socket>();
  const unread = new Map<ServerResponse, number>();
  let owed = 0;

  function leave(client: Socket): void {
    clearTimeout(passing.get(client));
    passing.delete(client);
    followers.delete(client);
  }

  return {
    admit(client) {
      if (passing.size + followers.size >= MOST_CLIENTS) {
        const [oldest] = passing.keys();
        oldest?.destroy();
        if (oldest !== undefined) leave(oldest);
      }
      const timer = setTimeout(() => client.destroy(), PATIENCE);
      timer.unref();
      passing.set(client, timer);
      client.on('close', () => leave(client));
    },
    waits(client) {
      clearTimeout(passing.get(client));
    },
    follows(client) {
      leave(client);
      if (followers.size >= MOST_FOLLOWERS) {
        const [first] = followers;
        const stalled = [...followers].find(({ writableLength }) => writableLength > 0);
        const other = stalled ?? first!;
        other.destroy();
        leave(other);
      }
      followers.add(client);
    },
    owe(response, bytes) {
      owed += bytes;
      unread.set(response, bytes);
      response.on('close', () => {
        owed -= unread.get(response) ?? 0;
        unread.delete(response);
      });
      for (const [other, size] of unread) {
        if (owed <= MOST_UNREAD || other === response) break;
        owed -= size;
        unread.delete(other);
        other.destroy();
      }
    },
  };
}
