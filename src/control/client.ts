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
  EACCES: 'only the user that upkeep runs as may',
  ENOTSOCK: 'it is no socket',
};

/**
 * Reads an answer of many lines, which may never end, and gives them one by one.
 *
 * @param refused makes an error of an answer that is none
 * @param take false: no more
 * @throws NobodyError, and what `refused` makes
 */
export function follow(
  path: string,
  route: string,
  refused: (reply: Reply) => Error,
  take: (line: string) => boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: path, path: route, agent: false }, (response) => {
      let rest = '';
      let ended = false;
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        rest += chunk;
        if (response.statusCode !== 200) return;
        const lines = rest.split('\n');
        rest = lines.pop()!;
        for (const line of lines) {
          if (ended || take(line)) continue;
          ended = true;
          asked.destroy();
          resolve();
        }
      });
      response.on('error', () => resolve());
      response.on('end', () => {
        if (response.statusCode === 200) return resolve();
        try {
          reject(refused({ status: response.statusCode ?? 0, body: JSON.parse(rest) }));
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
