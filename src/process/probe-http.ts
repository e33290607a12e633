/** Asks a service by HTTP. Node's own http is loaded by the first probe: most containers have none. */
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { compilePattern, type Pattern, TAKES_TOO_LONG } from './patterns.ts';

export interface HttpProbe {
  /** http:// or https://. */
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Inclusive ranges; a success is in one of them. */
  readonly status: readonly (readonly [number, number])[];
  /** Sources of regular expressions that response headers have to match, by lower-case name. */
  readonly expectHeaders: Readonly<Record<string, string>>;
  /** A regular expression's source. */
  readonly body: string | null;
}

/** How much of a body is read. Bytes. */
const LONGEST_BODY = 64 * 1024;
const LONGEST_SHOWN = 60;

/**
 * Sends one request, follows no redirect, and keeps no connection.
 *
 * @param answer hears once why it failed, or null
 * @param explain words for a connection's error
 * @returns a function that ends it
 * @throws Error where the request or a pattern cannot be used
 */
export function probeHttp(
  probe: HttpProbe,
  answer: (refused: string | null) => void,
  explain: (error: Error) => string,
): () => void {
  const url = new URL(probe.url);
  const patterns = patternsOf(probe);
  const { request } = process.getBuiltinModule(url.protocol === 'https:' ? 'node:https' : 'node:http');
  const ask: ClientRequest = request(url, {
    method: probe.method,
    headers: { ...probe.headers },
    // One of its own, which keeps nothing.
    agent: false,
    // Who could stand in between there has the machine.
    rejectUnauthorized: !isLoopback(url.hostname),
  });
  const failed = (error: Error): void =>
    answer(
      `cannot ask ${url.host}: ${explain(error)}; see that it listens there, and speaks ${url.protocol.slice(0, -1)}`,
    );
  ask.on('error', failed);
  const closed = (): void => answer(`${url.host} has closed the connection before its answer was complete`);
  ask.on('close', closed);
  ask.on('response', (response) => {
    // A body that ends with the connection is read to its end after that.
    ask.off('close', closed);
    response.on('close', closed);
    response.on('error', failed);
    const refused = refusalOf(probe, patterns, response.statusCode!, response.headers);
    if (refused !== null || patterns.body === null) answer(refused);
    else readBody(response, (body) => answer(refusalOfBody(patterns.body!, body)));
  });
  ask.end();
  return () => ask.destroy();
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d+){3}$/.test(hostname);
}

interface Patterns {
  readonly headers: readonly (readonly [string, Pattern])[];
  readonly body: Pattern | null;
}
const compiled = new WeakMap<HttpProbe, Patterns>();

function patternsOf(probe: HttpProbe): Patterns {
  let patterns = compiled.get(probe);
  if (patterns === undefined) {
    patterns = {
      headers: Object.entries(probe.expectHeaders).map(([name, source]) => [name, compilePattern(source)]),
      body: probe.body === null ? null : compilePattern(probe.body),
    };
    compiled.set(probe, patterns);
  }
  return patterns;
}

function refusalOf(
  probe: HttpProbe,
  patterns: Patterns,
  status: number,
  headers: IncomingHttpHeaders,
): string | null {
  if (!probe.status.some(([least, most]) => status >= least && status <= most)) {
    const redirects = status >= 300 && status < 400 && headers.location !== undefined;
    return `it answered ${status}${redirects ? `, a redirect to ${shown(headers.location!)}, which is not followed` : ''}`;
  }
  for (const [name, pattern] of patterns.headers) {
    const value = [headers[name] ?? []].flat().join(', ');
    if (headers[name] === undefined) return `its answer has no header ${name}`;
    const found = pattern([value]);
    if (found === 'too long') return `the pattern for the header ${name} ${TAKES_TOO_LONG}`;
    if (!found) return `the header ${name} of its answer is ${shown(value)}`;
  }
  return null;
}

function refusalOfBody(pattern: Pattern, body: string): string | null {
  const found = pattern([body]);
  if (found === 'too long') return `the pattern for the body ${TAKES_TOO_LONG}`;
  return found ? null : `the body of its answer does not match: ${shown(body)}`;
}

/** A service's words, in one line of a log. */
function shown(text: string): string {
  const line = text.replace(/[\x00-\x1f\x7f-\x9f]+/g, ' ').trim();
  return JSON.stringify(line.length > LONGEST_SHOWN ? `${line.slice(0, LONGEST_SHOWN)}…` : line);
}

function readBody(response: IncomingMessage, then: (body: string) => void): void {
  const chunks: Buffer[] = [];
  let length = 0;
  const finish = (): void => then(Buffer.concat(chunks).toString('utf8', 0, LONGEST_BODY));
  response.on('data', (chunk: Buffer) => {
    if (length >= LONGEST_BODY) return;
    chunks.push(chunk);
    length += chunk.length;
    if (length >= LONGEST_BODY) finish();
  });
  response.on('end', finish);
}
