/** WIRES what only `--inspect` asks for. Nothing of it is loaded for who does not ask; and for who does, nothing but what listens,
 * until somebody connects. */
import { closeSync, openSync, readSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { isLoopback, whyNotListening } from './control/listening.ts';
import type { LiveOptions } from './inspect-live.ts';
import type { Inspector } from './inspector/server.ts';

export interface InspectOptions extends LiveOptions {
  readonly notice: (message: string, level: 'info' | 'warn') => void;
}

export interface Inspect {
  /** Listens at this `ADDRESS:PORT`. Why it can't is told, and it is tried again. */
  readonly listen: (address: string) => void;
  readonly close: () => void;
}

/** Between two tries to listen, ms. */
const RETRY = 5_000;
/** Bytes of a token: nobody guesses that. */
const TOKEN_SIZE = 32;

/** Of the kernel: node:crypto takes two megabytes, for whoever nobody looks at as well. */
function randomBytes(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  const source = openSync('/dev/urandom', 'r');
  try {
    // So few are read whole.
    readSync(source, bytes);
  } finally {
    closeSync(source);
  }
  return bytes;
}

export function createInspect(options: InspectOptions): Inspect {
  const { notice } = options;
  const token = randomBytes(TOKEN_SIZE).toString('base64url');
  let server: Server | null = null;
  let inspector: Promise<Inspector> | null = null;
  let retry: NodeJS.Timeout | undefined;

  async function open(host: string): Promise<Inspector> {
    const { createLive } = await import('./inspect-live.ts');
    const refusal = `cannot order anything here: others can reach ${host}, and are only shown; write --inspect=PORT for who is on this machine`;
    const live = createLive(options, token, host, isLoopback(host) ? null : refusal);
    // It is given connections, and begins to look after their time as if it listened.
    live.server.emit('listening');
    return live;
  }

  return {
    listen(address) {
      const at = address.lastIndexOf(':');
      const host = address.slice(0, at).replace(/[[\]]/g, '');
      let told = false;
      const serve = (client: Socket): void => {
        client.on('error', () => {});
        inspector ??= open(host);
        inspector.then(
          (live) => live.server.emit('connection', client),
          () => client.destroy(),
        );
      };
      const listening = createServer(serve);
      const listen = (): void => void listening.listen({ host, port: Number(address.slice(at + 1)) });
      listening.on('listening', () => {
        const more = isLoopback(host) ? '' : '; others can reach it, so nothing can be ordered there';
        notice(`the inspector is at http://${address}/#token=${token}${more}`, 'info');
      });
      listening.on('error', (error: NodeJS.ErrnoException) => {
        const why = whyNotListening(error, '--inspect=9778');
        if (!told) notice(`cannot show the inspector at ${address}: ${why}; it is tried again`, 'warn');
        told = true;
        retry = setTimeout(listen, RETRY);
        retry.unref();
      });
      server = listening;
      listen();
    },
    close() {
      clearTimeout(retry);
      server?.close();
      void inspector?.then((live) => live.close());
    },
  };
}
