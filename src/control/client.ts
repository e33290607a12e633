/** Asks a running upkeep. */
import { request } from 'node:http';

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
    const asked = request({ socketPath: path, method, path: route, timeout, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', (error) => fail(error.message));
      response.on('end', () => {
        try {
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) });
        } catch {
          fail('what it answers is no JSON');
        }
      });
    });
    asked.on('timeout', () => asked.destroy(new Error('it does not answer')));
    asked.on('error', (error: NodeJS.ErrnoException) => fail(WHY[error.code ?? ''] ?? error.message));
    asked.end(body === null ? undefined : JSON.stringify(body));
  });
}

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
 * @param refused makes an error of an answer that is none
 * @param take false: no more
 * @returns whether the answer has come to its end, or nobody wanted more of it; false: upkeep has ended before that
 * @throws NobodyError, and what `refused` makes
 */
export function follow(
  path: string,
  route: string,
  refused: (reply: Reply) => Error,
  take: (line: string) => boolean,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: path, path: route, agent: false }, (response) => {
      const { statusCode = 0 } = response;
      let rest = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        rest += chunk;
        if (statusCode !== 200) return;
        const lines = rest.split('\n');
        rest = lines.pop()!;
        if (lines.every(take)) return;
        resolve(true);
        asked.destroy();
      });
      response.on('error', () => resolve(false));
      response.on('end', () => {
        if (statusCode === 200) return resolve(response.complete);
        try {
          reject(refused({ status: statusCode, body: JSON.parse(rest) }));
        } catch {
          reject(nobody(path, 'what it answers is no JSON'));
        }
      });
    });
    asked.on('error', (error: NodeJS.ErrnoException) =>
      reject(nobody(path, WHY[error.code ?? ''] ?? error.message)),
    );
    asked.end();
  });
}

function nobody(path: string, why: string): NobodyError {
  return new NobodyError(
    `cannot ask upkeep at ${path}: ${why}; see whether it runs there, or name its socket with --socket PATH`,
  );
}
