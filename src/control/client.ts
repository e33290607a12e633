/** Asks a running upkeep. */
import { statSync } from 'node:fs';
import { type ClientRequest, type IncomingMessage, type RequestOptions, request } from 'node:http';
import { connect } from 'node:net';
import { LONGEST_PATH } from './socket.ts';

export interface Reply {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Nobody listens there, or not one that answers. */
export class NobodyError extends Error {}

/**
 * @param path of the socket
 * @param timeout ms without a byte
 * @throws NobodyError "cannot …: why; what to do"
 */
export function ask(
  path: string,
  method: 'GET' | 'POST',
  route: string,
  body: unknown,
  timeout: number,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(nobody(path, why));
    const asked = requestTo(path, { method, path: route, timeout }, fail, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => void chunks.push(chunk));
      response.on('error', (error) => fail(error.message));
      response.on('end', () => {
        try {
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(chunks).toString()) });
        } catch {
          fail('what it answers is no JSON');
        }
      });
    });
    asked?.on('timeout', () => asked.destroy(new Error(SILENT)));
    asked?.end(body === null ? undefined : JSON.stringify(body));
  });
}

const SILENT = 'it does not answer';

/** null: one can't even ask. */
function requestTo(
  path: string,
  options: RequestOptions,
  fail: (why: string) => void,
  take: (response: IncomingMessage) => void,
): ClientRequest | null {
  // Node would cut it, and ask somewhere else.
  if (Buffer.byteLength(path) > LONGEST_PATH) {
    fail(`that is longer than the ${LONGEST_PATH} bytes that a socket's path may have`);
    return null;
  }
  // Without an agent, which would find out what kind of address the host is: each connection is for one request.
  const createConnection = () => connect({ path, timeout: options.timeout });
  const asked = request({ ...options, createConnection }, take);
  asked.on('error', ({ code = '', message }: NodeJS.ErrnoException) =>
    fail(code === 'ECONNREFUSED' && isNoSocket(path) ? WHY.ENOTSOCK! : (WHY[code] ?? message)),
  );
  return asked;
}

/** Linux refuses a connection to any other file as it does to a socket that nobody listens on. */
const isNoSocket = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isSocket() === false;

const WHY: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket',
  ECONNREFUSED: 'nobody listens there',
  EACCES: 'only root and the user that upkeep runs as may',
  ECONNRESET: 'it hung up; it answers only root and the user that it runs as',
  EPIPE: 'it hung up; it answers only root and the user that it runs as',
  ENOTSOCK: 'it is no socket',
};

/**
 * Reads an answer of many lines, which may never end, and gives them one by one.
 *
 * @param patience ms that may pass before it begins and, unless it `goesOn`, between two pieces of it
 * @param refused makes an error of an answer that is none
 * @param take false: no more
 * @returns whether the answer has come to its end, or nobody wanted more of it; false: upkeep has ended before that
 * @throws NobodyError, and what `refused` makes
 */
export function follow(
  path: string,
  route: string,
  { patience, goesOn }: { readonly patience: number; readonly goesOn: boolean },
  refused: (reply: Reply) => Error,
  take: (line: string) => boolean,
): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  return new Promise<boolean>((resolve, reject) => {
    const fail = (why: string): void => reject(nobody(path, why));
    const asked = requestTo(path, { path: route }, fail, (response) => {
      const { statusCode = 0 } = response;
      let rest = '';
      const wait = goesOn && statusCode === 200 ? stopWaiting : beginWaiting;
      wait();
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        rest += chunk;
        if (statusCode !== 200) return;
        const lines = rest.split('\n');
        rest = lines.pop()!;
        if (lines.every(take)) return wait();
        resolve(true);
        asked?.destroy();
      });
      response.on('error', () => resolve(false));
      response.on('end', () => {
        if (statusCode === 200) return resolve(response.complete);
        try {
          reject(refused({ status: statusCode, body: JSON.parse(rest) }));
        } catch {
          fail('what it answers is no JSON');
        }
      });
    });
    function stopWaiting(): void {
      clearTimeout(timer);
    }
    /** A timer of our own: while `take` writes to somebody slow, the time of a socket goes on. */
    function beginWaiting(): void {
      clearTimeout(timer);
      timer = setTimeout(() => {
        fail(SILENT);
        asked?.destroy();
      }, patience);
    }
    beginWaiting();
    asked?.end();
  }).finally(() => clearTimeout(timer));
}

function nobody(path: string, why: string): NobodyError {
  return new NobodyError(
    `cannot ask upkeep at ${path}: ${why}; see whether it runs there, or name its socket with --socket PATH`,
  );
}
