/** The routes of the control socket: what is asked for, and what it comes to. A bundle of its own. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { commandsOf, type GroupPlan, groupNamed, isGroup, isWritten } from '../../machines/tree.ts';
import { likeSignal, signalOf } from '../policy/signals.ts';
import type { OrderVerb } from '../policy/verbs.ts';
import { textOf } from './body.ts';
import { answerUnreadable, endWith } from './bounded.ts';
import { createClients } from './clients.ts';
import { hasBegun, healthOf } from './health.ts';
import type { Answer, Inside, Peer } from './inside.ts';
import { createOrders, type Orders } from './orders.ts';
import { briefOf, statusOf } from './status.ts';
import { streamEvents, streamLogs } from './streams.ts';
import { statusTable, type Table } from './table.ts';
import { whyOf } from './why.ts';
import { WIDTH } from './width.ts';

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
  readonly orders: Orders;
  /** Who asks; null: nobody can tell. */
  readonly by: Peer | null;
  /** The answer may take its time. */
  readonly takesTime: () => void;
}

/** An answer that is written bit by bit. */
interface Stream {
  /** It never ends. */
  readonly follow: boolean;
  readonly write: (response: ServerResponse) => void;
}

/** One for each upkeep: an order replaces what earlier ones have not come to, whoever gave them. */
const ordersBy = new WeakMap<Inside, Orders>();

function ordersOf(inside: Inside): Orders {
  const orders = ordersBy.get(inside) ?? createOrders(inside);
  ordersBy.set(inside, orders);
  return orders;
}

/** What orders are still to come for a command. */
export const turnsOf = (inside: Inside): Orders['turnOf'] => ordersOf(inside).turnOf;

/** What a POST to the socket would be answered, for those who are asked elsewhere. Rejects never. @param note see Inside */
export async function answerPost(
  inside: Inside,
  path: string,
  body: Asked['body'],
  note: Inside['note'] = inside.note,
): Promise<Answer> {
  try {
    return (await ROUTES[path]!.answer(
      { ...started(inside), note },
      {
        query: new URLSearchParams(),
        body,
        orders: ordersOf(inside),
        by: null,
        takesTime: () => {},
      },
    )) as Answer;
  } catch (error) {
    return answerOf(error);
  }
}

/**
 * @returns serves a client, and knows whether it is one that may ask; @throws never: what is wrong with a request is said to
 *   whoever sent it
 */
export function createRoutes(
  inside: () => Inside | null,
  version: string,
): (client: Socket, isKnown: boolean) => void {
  const clients = createClients();
  const strangers = new WeakSet<Socket>();
  // Of a request without a Host Node would say nothing.
  const options = { maxHeaderSize: LARGEST_HEAD, requireHostHeader: false };
  const http = createServer(options, (request, response) => {
    serve(request, response, (now) => {
      if (strangers.has(request.socket)) throw UNKNOWN;
      return answer(now, version, request, () => clients.waits(request.socket));
    });
  });
  // Whoever sends the next request without having read an answer would have all answers kept in memory.
  http.maxRequestsPerSocket = 1;
  answerUnreadable(http, LARGEST_HEAD, {
    type: JSON_TYPE,
    textOf: (error) => `${JSON.stringify({ error })}\n`,
    remedy: 'ask with upkeep, or with curl --unix-socket',
  });
  http.on('checkExpectation', (request, response) =>
    serve(request, response, () => {
      throw unreadable(417, `it expects ${readable(String(request.headers.expect))}; leave that out`);
    }),
  );
  http.on('connect', (_, stream) => {
    const error = 'cannot connect to anybody: this is no proxy; ask with GET or POST';
    endWith(stream as Socket, 405, JSON_TYPE, `${JSON.stringify({ error })}\n`);
  });

  function serve(
    request: IncomingMessage,
    response: ServerResponse,
    find: (now: Inside | null) => Promise<Answer | Stream>,
  ): void {
    response.on('error', () => {});
    response.shouldKeepAlive = false;
    const now = inside();
    Promise.resolve(now)
      .then(find)
      .catch(answerOf)
      .then((result) => {
        // Who has left meanwhile will not say so again.
        if (response.destroyed || response.socket === null) return;
        if ('status' in result) return send(result);
        if (result.follow) clients.follows(request.socket);
        else clients.waits(request.socket);
        result.write(response);
      })
      .catch(() => response.destroy());

    function send({ status, body }: Answer): void {
      const text = `${JSON.stringify(now?.redactValue(body) ?? body)}\n`;
      const length = Buffer.byteLength(text);
      clients.owe(response, length);
      response.writeHead(status, { 'content-type': JSON_TYPE, 'content-length': length });
      response.end(text);
    }
  }

  return (client, isKnown) => {
    if (!isKnown) strangers.add(client);
    clients.admit(client);
    http.emit('connection', client);
  };
}

const JSON_TYPE = 'application/json';

const unreadable = (status: number, why: string): Refusal =>
  new Refusal(status, `cannot read the request: ${why}`);

class Refusal extends Error {
  readonly answer: Answer;
  constructor(status: number, error: string, more: object = {}) {
    super(error);
    this.answer = { status, body: { error, ...more } };
  }
}

const UNKNOWN = new Refusal(
  403,
  'cannot answer: without koffi nobody can tell who asks, and the mode of the socket lets others in as well; chmod 600 it',
);

function answerOf(error: unknown): Answer {
  if (error instanceof Refusal) return error.answer;
  const why = `a mistake in upkeep: ${(error as Error).message}; please report it`;
  return { status: 500, body: { error: `cannot answer: ${why}` } };
}

async function answer(
  inside: Inside | null,
  version: string,
  request: IncomingMessage,
  takesTime: Asked['takesTime'],
): Promise<Answer | Stream> {
  if (request.httpVersion !== '1.0' && request.headers.host === undefined) {
    throw unreadable(400, 'it names no host; send one of any name, as in Host: upkeep');
  }
  const [path = '', search = ''] = (request.url ?? '').split('?', 2);
  // Of use as soon as somebody holds the socket.
  if (path === '/v1/about' && request.method === 'GET') {
    return { status: 200, body: { version: 1, upkeep: version, pid: process.pid } };
  }
  const route = Object.hasOwn(ROUTES, path) ? ROUTES[path]! : null;
  if (route === null) throw new Refusal(404, `cannot answer ${readable(path)}: there is nothing there`);
  if (request.method !== route.method) {
    throw new Refusal(405, `cannot answer ${path}: it is asked for with ${route.method}`);
  }
  const body = route.method === 'POST' ? bodyIn(await textOf(request, LARGEST_BODY, unreadable)) : {};
  const now = started(inside);
  const by = route.method === 'POST' ? now.peerOf(request.socket) : null;
  const query = new URLSearchParams(search);
  return route.answer(now, { query, body, orders: ordersOf(now), by, takesTime });
}

/** @throws Refusal until the process table has been read: before, there is nothing to tell of anybody */
function started(inside: Inside | null): Inside {
  if (inside === null || !hasBegun(inside)) {
    throw new Refusal(503, 'cannot answer yet: upkeep is just starting; ask again');
  }
  return inside;
}

const ROUTES: Readonly<Record<string, Route>> = {
  '/v1/about': { method: 'GET', answer: () => ({ status: 200, body: {} }) },
  '/v1/status': {
    method: 'GET',
    answer(inside, { query, orders }) {
      return { status: 200, body: statusOf(inside, namesInQuery(inside, query), orders.turnOf) };
    },
  },
  '/v1/table': {
    method: 'GET',
    answer(inside, { query, orders }) {
      const look = {
        columns: numberIn(query, 'columns') ?? WIDTH,
        colour: query.has('colour'),
        rows: numberIn(query, 'rows') ?? Number.POSITIVE_INFINITY,
      };
      // Before it is drawn: of what was cut nobody would know that it is a secret.
      const brief = inside.redactValue(briefOf(inside, namesInQuery(inside, query), orders.turnOf));
      const { version, asWished } = brief;
      const table: Table = { version, asWished, table: statusTable(brief, look) };
      return { status: 200, body: table };
    },
  },
  '/v1/health': {
    method: 'GET',
    answer(inside, { query }) {
      const which = query.get('which') ?? 'ready';
      if (which !== 'ready' && which !== 'live') {
        throw new Refusal(400, `cannot check ${readable(which)}: it is ready or live`);
      }
      return { status: 200, body: healthOf(statusOf(inside, namesInQuery(inside, query)), which) };
    },
  },
  '/v1/why': {
    method: 'GET',
    answer(inside, { query, orders }) {
      const [name, ...more] = query.getAll('name');
      if (name === undefined || more.length > 0) throw new Refusal(400, 'cannot say why: name one command');
      known(inside, [name]);
      return { status: 200, body: whyOf(inside, name, orders.turnOf) };
    },
  },
  '/v1/events': {
    method: 'GET',
    answer(inside, { query }) {
      const since = numberIn(query, 'since');
      const until = inside.journal.last();
      if (since !== null && since > until) {
        throw new Refusal(
          409,
          `cannot go on behind event ${since}: the last one is ${until}; upkeep has begun anew since then, and so have the numbers; ask without since`,
        );
      }
      const names = namesInQuery(inside, query);
      const follow = query.has('follow');
      const write = streamEvents(inside, { names, since, last: numberIn(query, 'last'), follow });
      return { follow, write };
    },
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
      const names = namesInQuery(inside, query);
      const since = numberIn(query, 'since');
      const follow = query.has('follow');
      const last = numberIn(query, 'last');
      const write = streamLogs(inside.recent, inside.redact, { names, since, last, follow });
      return { follow, write };
    },
  },
  '/v1/start': order('start'),
  '/v1/restart': order('restart'),
  '/v1/stop': order('stop'),
  '/v1/reload': {
    method: 'POST',
    async answer(inside, { body, orders, by, takesTime }) {
      const { wait = 0 } = body;
      if (typeof wait !== 'number' || !(wait >= 0)) {
        throw new Refusal(400, 'cannot wait for that: wait is no number of milliseconds');
      }
      const names = targetIn(inside, body);
      const accepted = (told: readonly string[]): void => inside.note('reload', told, by);
      if (names !== null) {
        takesTime();
        return inside.reload(names, { wait, able: stringsIn(body, 'names').length === 0, accepted });
      }
      const earlier = new Map(statusOf(inside, null).commands.map((command) => [command.name, command]));
      const answer = await inside.reload([], { wait: 0, able: false, accepted });
      if (answer.status !== 200) return answer;
      const done = answer.body as { readonly started?: string[]; readonly restarted?: string[] };
      const { started = [], restarted = [] } = done;
      const { commands } = statusOf(inside, [...started, ...restarted], orders.turnOf);
      const before = commands.flatMap((command) => {
        if (command.desired === 'down') return [];
        const old = earlier.get(command.name) ?? command;
        if (old === command || old.leader === null) return [{ ...command, leader: null }];
        // Who moves to another group is counted anew.
        return [{ ...old, starts: Math.min(old.starts, command.starts) }];
      });
      return { status: 200, body: { ...done, before } };
    },
  },
  '/v1/signal': {
    method: 'POST',
    answer(inside, { body, by }) {
      const { signal } = body;
      if (typeof signal !== 'string' || !/^SIG[A-Z0-9+]+$/.test(signal)) {
        throw new Refusal(400, 'cannot send that: name a signal, as in {"signal": "SIGHUP"}');
      }
      if (signalOf(signal) === null) {
        const near = likeSignal(signal) || '; write, for instance, SIGHUP or SIGUSR1';
        throw new Refusal(400, `cannot send ${shortened(signal)}: it is no signal${near}`);
      }
      const names = chosen(inside, body);
      const sent: string[] = [];
      const failed = names.flatMap((name) => {
        const why = inside.signal(name, signal);
        if (why === null) sent.push(name);
        return why === null ? [] : [`cannot send ${signal} to ${name}: ${why}`];
      });
      if (sent.length > 0) inside.note(`signal ${signal}`, sent, by);
      if (failed.length > 0) throw new Refusal(409, failed.join('\n'));
      return { status: 200, body: { commands: names } };
    },
  },
  '/v1/shutdown': {
    method: 'POST',
    answer(inside, { by }) {
      inside.note('shutdown', [], by);
      inside.shutdown('upkeep shutdown');
      return { status: 202, body: { grace: inside.grace(), pid: process.pid } };
    },
  },
};

/** An order for commands. What it comes to is seen in their status: `starts` tells this run from the one before. */
function order(verb: OrderVerb): Route {
  return {
    method: 'POST',
    answer(inside, { body, orders, by }) {
      const names = chosen(inside, body);
      if (inside.isEnding()) {
        throw new Refusal(409, `cannot ${verb} anything: everything is being stopped`);
      }
      const before = statusOf(inside, names, orders.turnOf);
      inside.note(verb, names, by);
      orders.give(verb, names);
      return { status: 202, body: { before: before.commands } };
    },
  };
}

/** The commands that a request is for. */
function chosen(inside: Inside, body: Asked['body']): readonly string[] {
  const names = targetIn(inside, body);
  if (names === null) throw new Refusal(400, 'cannot tell for whom that is: name commands, a group, or all');
  return names;
}

/** `{"names": […]}`, `{"group": NAME}` or `{"all": true}`; null: none of them. */
function targetIn(inside: Inside, body: Asked['body']): readonly string[] | null {
  const names = stringsIn(body, 'names');
  const { group, all = false } = body;
  if (typeof all !== 'boolean') throw unreadable(400, 'all is neither true nor false');
  if ([names.length > 0, group !== undefined, all].filter(Boolean).length > 1) {
    throw new Refusal(400, 'cannot tell for whom that is: names, group and all exclude each other');
  }
  if (all) return inside.names();
  if (group !== undefined) {
    const found = typeof group === 'string' ? groupNamed(inside.groups(), group) : null;
    if (found === null || !isWritten(found)) throw noGroup(inside, String(group));
    return commandsOf(found).map(({ name }) => name);
  }
  known(inside, names);
  return names.length === 0 ? null : [...new Set(names)];
}

function noGroup(inside: Inside, group: string): Refusal {
  const isCommand = inside.names().includes(group);
  const why = isCommand ? `${readable(group)} is a command; leave --group out` : 'no group has that name';
  return new Refusal(404, `cannot find the group ${readable(group)}: ${why}`, {
    unknown: [shortened(group)],
    names: groupsIn(inside.groups()),
  });
}

/** The names of those that somebody wrote. */
function groupsIn(groups: readonly GroupPlan[]): readonly string[] {
  return groups.flatMap((group) => {
    const below = groupsIn(group.members.filter(isGroup));
    return isWritten(group) ? [group.name, ...below] : below;
  });
}

/** @throws Refusal for a name that no command has */
function known(inside: Inside, names: readonly string[]): void {
  const there = new Set(inside.names());
  const unknown = names.filter((name) => !there.has(name)).slice(0, 3);
  if (unknown.length === 0) return;
  const which = unknown.map(readable).join(', ');
  throw new Refusal(404, `cannot find ${which}: no command has that name`, {
    unknown: unknown.map(shortened),
    names: inside.names(),
  });
}

/** null: all of them. */
function namesInQuery(inside: Inside, query: URLSearchParams): readonly string[] | null {
  const names = query.getAll('name');
  if (names.length === 0) return null;
  known(inside, names);
  return [...new Set(names)];
}

/** A whole number that is not negative; null: it is not given. */
function numberIn(query: URLSearchParams, key: string): number | null {
  const text = query.get(key);
  if (text === null) return null;
  const value = Number(text);
  if (text === '' || !Number.isSafeInteger(value) || value < 0) {
    throw new Refusal(400, `cannot use ${readable(text)} for ${key}: it is no whole number`);
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
/** Quoted where it does not look like a name. */
const readable = (text: string): string =>
  /^[\w.-]+$/.test(text) ? shortened(text) : JSON.stringify(shortened(text));

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
  throw unreadable(400, 'its body is no JSON object');
}
