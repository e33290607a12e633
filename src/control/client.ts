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
    const fail = (why: string): void =>
      reject(
        new NobodyError(
          `cannot ask upkeep at ${path}: ${why}; see whether it runs there, or name its socket with --socket PATH`,
        ),
      );
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
