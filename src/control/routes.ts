/** The routes of the control socket: what is asked for, and what it comes to. A bundle of its own. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { CommandOrder } from '../../machines/events.ts';
import { stopBudget } from '../../machines/restart-policy.ts';
import { commandsOf, groupNamed } from '../../machines/tree.ts';
import { healthOf } from './health.ts';
import type { Answer, Inside } from './inside.ts';
import { statusOf } from './status.ts';
import { streamEvents, streamLogs } from './streams.ts';
import { whyOf } from './why.ts';

/** Bytes of a request's body. */
const LARGEST_BODY = 64 * 1024;
/** Bytes of a request's head: a thousand names have their place in the body. */
const LARGEST_HEAD = 64 * 1024;

interface Route {
  readonly method: 'GET' | 'POST';
  readonly answer: (inside: Inside, asked: Asked) => Answer | Promise<Answer> | Stream;
}

interface Asked {
  readonly query: URLSearchParams;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Writes an answer that may never end. */
type Stream = (response: ServerResponse) => void;

/** @throws never: what is wrong with a request is said to whoever sent it */
export function createRoutes(inside: () => Inside | null, version: string): Server {
  const server = createServer({ maxHeaderSize: LARGEST_HEAD }, (request, response) => {
    response.on('error', () => {});
    answer(inside(), version, request)
      .catch((error: unknown): Answer => {
        if (error instanceof Refusal) return error.answer;
        return refused(
          500,
          `cannot answer: a mistake in upkeep: ${(error as Error).message}; please report it`,
        );
      })
      .then((result) => {
        if (typeof result === 'function') result(response);
        else send(response, result, inside()?.redact);
      });
  });
  server.headersTimeout = 5_000;
  server.requestTimeout = 10_000;
  server.keepAliveTimeout = 1_000;
  server.on('clientError', (_, client) => client.destroy());
  return server;
}

class Refusal extends Error {
  readonly answer: Answer;
  constructor(status: number, error: string, more: object = {}) {
    super(error);
    this.answer = { status, body: { error, ...more } };
  }
}

const refused = (status: number, error: string): Answer => ({ status, body: { error } });

function send(
  response: ServerResponse,
  { status, body }: Answer,
  redact: (text: string) => string = (text) => text,
): void {
  const text = `${redact(JSON.stringify(body))}\n`;
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

async function answer(
  inside: Inside | null,
  version: string,
  request: IncomingMessage,
): Promise<Answer | Stream> {
  const [path = '', search = ''] = (request.url ?? '').split('?', 2);
  // Of use as soon as somebody holds the socket.
  if (path === '/v1/about' && request.method === 'GET') {
    return { status: 200, body: { version: 1, upkeep: version, pid: process.pid } };
  }
  const route = Object.hasOwn(ROUTES, path) ? ROUTES[path]! : null;
  if (route === null) throw new Refusal(404, `cannot answer ${shortened(path)}: there is nothing there`);
  if (request.method !== route.method) {
    throw new Refusal(405, `cannot answer ${path}: it is asked for with ${route.method}`);
  }
  const body = route.method === 'POST' ? bodyIn(await textOf(request)) : {};
  if (inside === null) throw new Refusal(503, 'cannot answer yet: upkeep is just starting; ask again');
  return route.answer(inside, { query: new URLSearchParams(search), body });
}

const ROUTES: Readonly<Record<string, Route>> = {
  '/v1/about': { method: 'GET', answer: () => ({ status: 200, body: {} }) },
  '/v1/status': {
    method: 'GET',
    answer(inside, { query }) {
      return { status: 200, body: statusOf(inside, namesInQuery(inside, query)) };
    },
  },
  '/v1/health': {
    method: 'GET',
    answer(inside, { query }) {
      const which = query.get('which') ?? 'ready';
      if (which !== 'ready' && which !== 'live') {
        throw new Refusal(400, `cannot check ${shortened(which)}: it is ready or live`);
      }
      return { status: 200, body: healthOf(statusOf(inside, namesInQuery(inside, query)), which) };
    },
  },
  '/v1/why': {
    method: 'GET',
    answer(inside, { query }) {
      const [name, ...more] = query.getAll('name');
      if (name === undefined || more.length > 0) throw new Refusal(400, 'cannot say why: name one command');
      known(inside, [name]);
      return { status: 200, body: whyOf(inside, name) };
    },
  },
  '/v1/events': {
    method: 'GET',
    answer: (inside, { query }) =>
      streamEvents(inside, {
        names: namesInQuery(inside, query),
        since: numberIn(query, 'since'),
        last: numberIn(query, 'last'),
        follow: query.has('follow'),
      }),
  },
  '/v1/logs': {
    method: 'GET',
    answer(inside, { query }) {
      if (inside.recent === null) {
        throw new Refusal(
          409,
          'cannot show lines: with --log raw services write past upkeep; use --log plain or json',
        );
      }
      return streamLogs(inside.recent, inside.redact, {
        names: namesInQuery(inside, query, ['upkeep']),
        since: numberIn(query, 'since'),
        last: numberIn(query, 'last'),
        follow: query.has('follow'),
      });
    },
  },
  '/v1/start': order('start', (_, at) => ({ type: 'command.start', at })),
  '/v1/restart': order('restart', (_, at) => ({ type: 'command.restart', at })),
  '/v1/stop': order('stop', (inside, at, name) => ({
    type: 'command.stop',
    at,
    budget: stopBudget(inside.viewOf(name)!.context.policy, inside.grace()),
    everything: false,
  })),
  '/v1/reload': {
    method: 'POST',
    answer(inside, { body }) {
      const names = stringsIn(body, 'names');
      inside.note('reload', names);
      return inside.reload(names);
    },
  },
  '/v1/signal': {
    method: 'POST',
    answer(inside, { body }) {
      const { signal } = body;
      if (typeof signal !== 'string' || !/^SIG[A-Z0-9+]+$/.test(signal)) {
        throw new Refusal(400, 'cannot send that: name a signal, as in {"signal": "SIGHUP"}');
      }
      const names = chosen(inside, body);
      inside.note(`signal ${signal}`, names);
      const failed = names.flatMap((name) => {
        const why = inside.signal(name, signal);
        return why === null ? [] : [`cannot send ${signal} to ${name}: ${why}`];
      });
      if (failed.length > 0) throw new Refusal(409, failed.join('\n'));
      return { status: 200, body: { commands: names } };
    },
  },
  '/v1/shutdown': {
    method: 'POST',
    answer(inside) {
      inside.note('shutdown', []);
      inside.shutdown('upkeep shutdown');
      return { status: 202, body: { grace: inside.grace() } };
    },
  },
};

/** An order for commands. What it comes to is seen in their status: `starts` tells this run from the one before. */
function order(verb: string, orderOf: (inside: Inside, at: number, name: string) => CommandOrder): Route {
  return {
    method: 'POST',
    answer(inside, { body }) {
      const names = chosen(inside, body);
      if (inside.isEnding()) {
        throw new Refusal(409, `cannot ${verb} anything: everything is being stopped`);
      }
      const before = statusOf(inside, names);
      inside.note(verb, names);
      const at = inside.now();
      for (const name of names) inside.order(name, orderOf(inside, at, name));
      return { status: 202, body: { before: before.commands } };
    },
  };
}

/** The commands that a request is for: `{"names": […]}`, `{"group": NAME}` or `{"all": true}`. */
function chosen(inside: Inside, body: Asked['body']): readonly string[] {
  const names = stringsIn(body, 'names');
  const { group, all } = body;
  if (all === true) return inside.names();
  if (group !== undefined) {
    const found = typeof group === 'string' ? groupNamed(inside.groups(), group) : null;
    if (found === null || group === '' || String(group).startsWith('#')) {
      throw new Refusal(404, `cannot find the group ${shortened(String(group))}: no group has that name`);
    }
    return commandsOf(found).map(({ name }) => name);
  }
  if (names.length === 0)
    throw new Refusal(400, 'cannot tell for whom that is: name commands, a group, or all');
  known(inside, names);
  return [...new Set(names)];
}

/** @throws Refusal for a name that no command has */
function known(inside: Inside, names: readonly string[], besides: readonly string[] = []): void {
  const there = new Set([...inside.names(), ...besides]);
  const unknown = names.filter((name) => !there.has(name));
  if (unknown.length === 0) return;
  const which = unknown.slice(0, 3).map(shortened).join(', ');
  throw new Refusal(404, `cannot find ${which}: no command has that name`, { names: inside.names() });
}

/** null: all of them. */
function namesInQuery(
  inside: Inside,
  query: URLSearchParams,
  besides: readonly string[] = [],
): readonly string[] | null {
  const names = query.getAll('name');
  if (names.length === 0) return null;
  known(inside, names, besides);
  return [...new Set(names)];
}

/** A whole number that is not negative; null: it is not given. */
function numberIn(query: URLSearchParams, key: string): number | null {
  const text = query.get(key);
  if (text === null) return null;
  const value = Number(text);
  if (text === '' || !Number.isSafeInteger(value) || value < 0) {
    throw new Refusal(400, `cannot use ${shortened(text)} for ${key}: it is no whole number`);
  }
  return value;
}

function stringsIn(body: Asked['body'], key: string): readonly string[] {
  const value = body[key] ?? [];
  if (!Array.isArray(value) || !value.every((each) => typeof each === 'string')) {
    throw new Refusal(400, `cannot read the request: ${key} is no list of texts`);
  }
  return value;
}

const shortened = (text: string): string => (text.length > 100 ? `${text.slice(0, 100)}…` : text);

/** @throws Refusal for a body that is too large or breaks off */
async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > LARGEST_BODY) break;
      chunks.push(chunk);
    }
  } catch (error) {
    throw new Refusal(400, `cannot read the request: ${(error as Error).message}`);
  }
  if (size > LARGEST_BODY) {
    throw new Refusal(413, `cannot read the request: it is larger than ${LARGEST_BODY} bytes`);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** An object; no body: an empty one. */
function bodyIn(text: string): Asked['body'] {
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Said below.
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Asked['body'];
  throw new Refusal(400, 'cannot read the request: its body is no JSON object');
}
