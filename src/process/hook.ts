/** Delivers a notification, once: by an HTTP request, or to a command. Node's own http is loaded by the first request. */
import { readFile, stat } from 'node:fs/promises';
import type { ClientRequest } from 'node:http';
import type { Exit } from '../../machines/events.ts';
import type { Program } from './launch.ts';
import { whyOf } from './probe.ts';

/** A value, or the file that it is read from. */
type Given = string | { readonly file: string };

export interface Webhook {
  /** http:// or https://. */
  readonly url: Given;
  readonly headers: Readonly<Record<string, Given>>;
}

/** Why a try has failed: `reason; what to do`. */
interface Failure {
  readonly reason: string;
  /** Another try may go otherwise. */
  readonly again: boolean;
  /** ms that the other side asks to wait. */
  readonly after?: number;
}

export interface DeliveryOptions {
  /** ms that it may take. */
  readonly timeout: number;
  /** Hears once how it went; null: well. */
  readonly answer: (failure: Failure | null) => void;
}

/** Bytes of a file that a value is read from. */
const LONGEST_VALUE = 64 * 1024;

/**
 * Sends one POST request with JSON. Follows no redirect, keeps no connection, and does not read what the answer says.
 *
 * @param onSecrets hears, before it is sent, of what nobody should be shown
 * @returns a function that ends it without an answer
 */
export function post(
  webhook: Webhook,
  body: string,
  options: DeliveryOptions & {
    readonly agent: string;
    readonly onSecrets: (secrets: readonly string[]) => void;
  },
): () => void {
  const { timeout, agent, onSecrets, answer } = options;
  let ask: ClientRequest | null = null;
  let isOver = false;
  const end = (): void => {
    isOver = true;
    clearTimeout(timer);
    ask?.destroy();
  };
  const finish = (failure: Failure | null): void => {
    if (isOver) return;
    end();
    answer(failure);
  };
  let place = 'it';
  const timer = setTimeout(
    () =>
      finish({
        reason: `${place} has not answered within ${timeout} ms; make timeout longer, or see what keeps it`,
        again: true,
      }),
    timeout,
  );

  async function send(): Promise<void> {
    const address = await textOf(webhook.url, 'the address');
    const headers: Record<string, string> = {};
    for (const [name, given] of Object.entries(webhook.headers)) {
      headers[name] = await textOf(given, `the header ${name}`);
    }
    if (isOver) return;
    // Of `Bearer TOKEN` the token as well.
    const secrets = Object.values(headers).flatMap((value) => [value, ...value.split(' ').slice(1)]);
    onSecrets(typeof webhook.url === 'string' ? secrets : [...secrets, address]);
    if (!/^https?:\/\/[^/]/i.test(address) || !URL.canParse(address)) {
      throw new Error('its address is none; write one that begins with http:// or https://');
    }
    const url = new URL(address);
    place = url.host;
    const { request } = process.getBuiltinModule(url.protocol === 'https:' ? 'node:https' : 'node:http');
    ask = request(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': agent,
        ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
        'content-length': Buffer.byteLength(body),
      },
      // One of its own, which keeps nothing.
      agent: false,
    });
    ask.on('error', (error) =>
      finish({
        reason: `cannot reach ${place}: ${whyOf(error)}; see that it can be reached from here`,
        again: true,
      }),
    );
    ask.on('close', () =>
      finish({ reason: `${place} has closed the connection without an answer; look there`, again: true }),
    );
    ask.on('response', ({ statusCode = 0, headers: { 'retry-after': after } }) =>
      finish(refusalOf(place, statusCode, after)),
    );
    ask.end(body);
  }
  send().catch((error) => finish({ reason: (error as Error).message, again: false }));
  return end;
}

function refusalOf(place: string, status: number, retryAfter: string | undefined): Failure | null {
  if (status >= 200 && status < 300) return null;
  if (status >= 300 && status < 400) {
    return {
      reason: `${place} answered ${status}, a redirect, which is not followed; write the address that it leads to`,
      again: false,
    };
  }
  const again = status >= 500 || status === 429 || status === 408;
  return {
    reason: `${place} answered ${status}; ${again ? 'look there' : 'see that it is the right address, and what it wants to be sent'}`,
    again,
    after: /^\d+$/.test(retryAfter ?? '') ? Number(retryAfter) * 1_000 : 0,
  };
}

async function textOf(given: Given, what: string): Promise<string> {
  if (typeof given === 'string') return given;
  const { file } = given;
  try {
    // Who opens a pipe waits for somebody to write to it, and has one of Node's few threads.
    const found = await stat(file);
    if (!found.isFile()) throw new Error('it is no file');
    if (found.size > LONGEST_VALUE) throw new Error('it is too long');
    return (await readFile(file, 'utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(`cannot read ${what} from ${file}: ${code ?? message}; see that it is there`);
  }
}

/** Bytes of one variable; the kernel takes no more than 128 KiB. */
const LONGEST_VARIABLE = 16 * 1024;

/**
 * Runs a command with the notification on its stdin.
 *
 * @param run starts a program and returns what kills it, with all that it has started
 * @param variables for its environment
 * @returns a function that ends it without an answer
 */
export function tellCommand(
  program: Program,
  input: string,
  variables: Readonly<Record<string, string>>,
  run: (program: Program, ended: (result: Exit | { readonly error: string }) => void) => () => void,
  { timeout, answer }: DeliveryOptions,
): () => void {
  const { file, args, env } = program;
  const short = Object.entries(variables).map(([name, value]) => [
    name,
    value.replaceAll('\0', '').slice(0, LONGEST_VARIABLE),
  ]);
  const kill = run({ file, args, env: { ...env, ...Object.fromEntries(short) }, input }, (result) => {
    clearTimeout(timer);
    answer(failureOf(result));
  });
  const end = (): void => {
    clearTimeout(timer);
    kill();
  };
  const timer = setTimeout(() => {
    end();
    answer({
      reason: `it took longer than ${timeout} ms and was killed; make timeout longer, or see what keeps it`,
      again: true,
    });
  }, timeout);
  return end;
}

function failureOf(result: Exit | { readonly error: string }): Failure | null {
  if ('error' in result) return { reason: result.error, again: true };
  if (result.code === 0) return null;
  const how = result.signal === null ? `exited with status ${result.code}` : `was killed by ${result.signal}`;
  return { reason: `its command ${how}; try it by hand`, again: true };
}
