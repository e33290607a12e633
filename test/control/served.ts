/** The control socket of an upkeep on paper, and clients of any manners. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ask, follow, type Reply } from '../../src/control/client.ts';
import { createControl } from '../../src/control/server.ts';
import type { PaperInside } from './inside.ts';

const PATIENCE = 60_000;

export class Served {
  readonly path: string;
  /** The server's ends. */
  readonly sockets = new Set<Socket>();
  readonly #dir = mkdtempSync(join(tmpdir(), 'upkeep-served-'));
  readonly #server: Server;
  readonly #clients: Socket[] = [];

  private constructor(inside: PaperInside | null) {
    this.path = join(this.#dir, 'sock');
    const control = createControl({
      version: '1.2.3',
      inside: () => inside,
      uidOf: () => null,
      isPrivate: () => true,
      ownUid: 0,
    });
    this.#server = createServer((client) => {
      client.on('error', () => {});
      this.sockets.add(client);
      client.on('close', () => this.sockets.delete(client));
      control(client);
    });
  }

  static async of(inside: PaperInside | null): Promise<Served> {
    const served = new Served(inside);
    await new Promise<void>((resolve) => served.#server.listen(served.path, resolve));
    return served;
  }

  get(route: string): Promise<Reply> {
    return ask(this.path, 'GET', route, null, PATIENCE);
  }

  post(route: string, body: unknown): Promise<Reply> {
    return ask(this.path, 'POST', route, body, PATIENCE);
  }

  /** All lines of an answer that ends. */
  async lines(route: string): Promise<Record<string, unknown>[]> {
    const found: Record<string, unknown>[] = [];
    const refused = ({ status }: Reply): Error => new Error(`refused with ${status}`);
    await follow(
      this.path,
      route,
      { patience: PATIENCE, goesOn: false },
      refused,
      (line) => found.push(JSON.parse(line)) > 0,
    );
    return found;
  }

  /** Connects, and writes that. It reads nothing before it is told to. */
  connect(text: string | Buffer = ''): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const client = createConnection(this.path);
      this.#clients.push(client);
      client.once('error', reject);
      client.once('connect', () => {
        client.on('error', () => {});
        if (text.length > 0) client.write(text);
        resolve(client);
      });
    });
  }

  /** Bytes that wait in this process for clients to read. */
  unread(): number {
    return [...this.sockets].reduce((sum, { writableLength }) => sum + writableLength, 0);
  }

  close(): void {
    for (const client of this.#clients) client.destroy();
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
    rmSync(this.#dir, { recursive: true });
  }
}

/** What a client is sent, until it is hung up on. */
export async function answerTo(client: Socket): Promise<string> {
  let text = '';
  client.setEncoding('utf8');
  client.on('data', (chunk: string) => {
    text += chunk;
  });
  await new Promise((resolve) => (client.destroyed ? resolve(null) : client.once('close', resolve)));
  return text;
}
