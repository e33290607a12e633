/** The verbs that ask a running upkeep: what they ask, print, and exit with. A bundle of its own. */
import { formatDuration } from '../output/duration.ts';
import type { ControlVerb } from '../policy/options.ts';
import { didYouMean, UsageError } from '../policy/usage-error.ts';
import { type ControlRequest, parseControl, type Target } from '../policy/verbs.ts';
import { verbHelp } from '../policy/verbs-help.ts';
import { ask, follow, NobodyError, type Reply } from './client.ts';
import { eventLine, howEnded, logLine, statusTable, whyText } from './show.ts';
import { defaultSocketPath } from './socket.ts';
import type { CommandStatus, Status } from './status.ts';
import type { Why } from './why.ts';

const EXIT_NOT_SO = 1;
const EXIT_NOT_AS_WISHED = 3;
const EXIT_NO_NAME = 4;
const EXIT_NOBODY = 7;
const EXIT_USAGE = 64;
const EXIT_INTERNAL = 70;
const EXIT_CONFIGURATION = 78;

/** ms without an answer. */
const PATIENCE = 10_000;
/** A new policy may have to be read, and everybody's stop to begin. */
const RELOAD_PATIENCE = 30_000;
/** ms between two looks at what an order has come to. */
const LOOK = 100;
/** ms between two pictures of `--watch`. */
const WATCH = 500;

export interface Terminal {
  readonly env: NodeJS.ProcessEnv;
  /** Its width; null: it is none. */
  readonly columns: number | null;
  readonly colour: boolean;
  /** @returns false: nobody reads it any more */
  readonly out: (text: string) => boolean;
  readonly error: (text: string) => boolean;
}

/** What the answer to a verb cannot be; said, and exited with. */
class Refused extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** Runs one verb. @returns the exit code */
export async function runVerb(
  verb: ControlVerb,
  words: readonly string[],
  terminal: Terminal,
): Promise<number> {
  try {
    const request = parseControl(verb, words);
    if (request === null) {
      terminal.out(verbHelp(verb));
      return 0;
    }
    return await run(request, request.socket ?? defaultSocketPath(terminal.env), terminal);
  } catch (error) {
    const code =
      error instanceof UsageError
        ? EXIT_USAGE
        : error instanceof NobodyError
          ? EXIT_NOBODY
          : error instanceof Refused
            ? error.code
            : EXIT_INTERNAL;
    const text =
      code === EXIT_INTERNAL ? `cannot go on: ${(error as Error).stack}` : (error as Error).message;
    terminal.error(`upkeep: ${text}\n`);
    return code;
  }
}

async function run(request: ControlRequest, socket: string, terminal: Terminal): Promise<number> {
  const { out, error } = terminal;
  switch (request.kind) {
    case 'status':
      return request.watch ? watch(socket, request.names, terminal) : status(socket, request, terminal);
    case 'why': {
      const query = new URLSearchParams({ name: request.name });
      const body = await get(socket, `/v1/why?${query}`);
      out(request.json ? `${JSON.stringify(body)}\n` : whyText(body as unknown as Why));
      return 0;
    }
    case 'order':
      return order(socket, request, terminal);
    case 'signal': {
      const { name, signal } = request;
      await post(socket, '/v1/signal', { names: [name], signal });
      return 0;
    }
    case 'shutdown': {
      const { grace } = await post(socket, '/v1/shutdown', {});
      if (!request.wait) return 0;
      return (await isGone(socket, Math.max(request.timeout, Number(grace))))
        ? 0
        : fail(error, 'it has not ended in time');
    }
    case 'reload': {
      const { message } = await post(socket, '/v1/reload', { names: request.names }, RELOAD_PATIENCE);
      out(`${message}\n`);
      return 0;
    }
    case 'logs': {
      const { names, last, since, json } = request;
      const query = queryOf(names, {
        last,
        since: since === null ? null : Date.now() - since,
        follow: request.follow,
      });
      const width = Math.max(...names.map(({ length }) => length), 0);
      await follow(socket, `/v1/logs?${query}`, refusedBy, (line) =>
        out(json ? `${line}\n` : logLine(line, width)),
      );
      return 0;
    }
    case 'events': {
      const { names, last, since, json } = request;
      const query = queryOf(names, { last, since, follow: request.follow });
      await follow(socket, `/v1/events?${query}`, refusedBy, (line) =>
        out(json ? `${line}\n` : eventLine(line)),
      );
      return 0;
    }
    case 'health':
      return health(socket, request, terminal);
  }
}

const named = (names: readonly string[]): URLSearchParams =>
  new URLSearchParams(names.map((name): [string, string] => ['name', name]));

function queryOf(
  names: readonly string[],
  { last, since, follow: goesOn }: { last: number | null; since: number | null; follow: boolean },
): URLSearchParams {
  const query = named(names);
  if (last !== null) query.set('last', String(last));
  if (since !== null) query.set('since', String(since));
  if (goesOn) query.set('follow', '');
  return query;
}

/** What upkeep has refused, as an error that says what to exit with. */
function refusedBy({ status, body }: Reply): Error {
  const names = Array.isArray(body.names) ? (body.names as string[]) : [];
  const asked = /^cannot find (\S+):/.exec(String(body.error))?.[1] ?? '';
  const code = status === 404 ? EXIT_NO_NAME : status === 409 ? EXIT_NOT_SO : EXIT_INTERNAL;
  const there = names.length === 0 ? '' : `${didYouMean(asked, names)}; there is ${listed(names)}`;
  return new Refused(code, `${body.error}${there}`);
}

const listed = (names: readonly string[]): string =>
  names.length <= 10 ? names.join(', ') : `${names.slice(0, 10).join(', ')} … (${names.length})`;

async function get(socket: string, route: string): Promise<Reply['body']> {
  const reply = await ask(socket, 'GET', route, null, PATIENCE);
  if (reply.status >= 300) throw refusedBy(reply);
  return reply.body;
}

async function post(
  socket: string,
  route: string,
  body: unknown,
  patience = PATIENCE,
): Promise<Reply['body']> {
  const reply = await ask(socket, 'POST', route, body, patience);
  if (reply.status < 300) return reply.body;
  // A reload is refused for what is in the file.
  if (route === '/v1/reload' && reply.status === 409)
    throw new Refused(EXIT_CONFIGURATION, String(reply.body.error));
  throw refusedBy(reply);
}

async function statusFor(socket: string, names: readonly string[]): Promise<Status> {
  const query = named(names);
  return (await get(socket, `/v1/status?${query}`)) as unknown as Status;
}

async function status(
  socket: string,
  { names, json }: { readonly names: readonly string[]; readonly json: boolean },
  { out, columns, colour }: Terminal,
): Promise<number> {
  const found = await statusFor(socket, names);
  out(json ? `${JSON.stringify(found)}\n` : statusTable(found, { columns: columns ?? 80, colour }));
  return found.asWished ? 0 : EXIT_NOT_AS_WISHED;
}

/** Draws the same again and again, in place. Ends when nobody looks, or upkeep is gone. */
async function watch(
  socket: string,
  names: readonly string[],
  { out, columns, colour }: Terminal,
): Promise<number> {
  for (;;) {
    const found = await statusFor(socket, names);
    const table = statusTable(found, { columns: columns ?? 80, colour });
    // Home, then each line to its end, then what is below.
    const picture = columns === null ? table : `\x1b[H${table.replaceAll('\n', '\x1b[K\n')}\x1b[J`;
    if (!out(picture)) return 0;
    await sleep(WATCH);
  }
}

async function order(
  socket: string,
  request: Extract<ControlRequest, { kind: 'order' }>,
  { out, error, columns }: Terminal,
): Promise<number> {
  const { verb, target, wait, timeout } = request;
  const { before } = (await post(socket, `/v1/${verb}`, bodyOf(target))) as unknown as {
    before: readonly CommandStatus[];
  };
  if (!wait) return 0;
  const names = before.map(({ name }) => name);
  const starts = new Map(before.map((command) => [command.name, command.starts]));
  const open = new Map(names.map((name) => [name, '']));
  const until = performance.now() + timeout;
  let failed = false;
  for (;;) {
    for (const command of await stillThere(socket, [...open.keys()])) {
      const result = outcome(verb, command, starts.get(command.name)!);
      if (result === null) {
        const now = progressOf(command);
        if (columns !== null && open.get(command.name) !== now) out(`${command.name}: ${now}\n`);
        open.set(command.name, now);
        continue;
      }
      open.delete(command.name);
      failed ||= !result.ok;
      if (result.ok) out(`${command.name}: ${result.text}\n`);
      else error(`upkeep: cannot ${verb} ${command.name}: ${result.text}\n`);
    }
    if (open.size === 0) return failed ? EXIT_NOT_SO : 0;
    if (performance.now() >= until) break;
    await sleep(LOOK);
  }
  for (const [name, last] of open) {
    error(
      `upkeep: cannot ${verb} ${name} within ${formatDuration(timeout)}: ${last}; it goes on, see upkeep why ${name}\n`,
    );
  }
  return EXIT_NOT_SO;
}

/** None where upkeep has ended meanwhile. */
async function stillThere(socket: string, names: readonly string[]): Promise<readonly CommandStatus[]> {
  const { upkeep, commands } = await statusFor(socket, names);
  if (upkeep.ending) throw new Refused(EXIT_NOT_SO, 'cannot wait for it: everything is being stopped');
  return commands;
}

function bodyOf(target: Target): object {
  return target;
}

/** What an order has come to; null: it is not over. */
function outcome(
  verb: 'start' | 'stop' | 'restart',
  command: CommandStatus,
  starts: number,
): { readonly ok: boolean; readonly text: string } | null {
  const { state, asWished, desired, leader, reason } = command;
  if (verb === 'stop') {
    if (desired === 'down' && state === 'stopped') return { ok: true, text: 'stopped' };
    return desired === 'up' ? { ok: false, text: 'somebody has started it meanwhile' } : null;
  }
  if (desired === 'down') return { ok: false, text: 'somebody has stopped it meanwhile' };
  if (state === 'failed') return { ok: false, text: `it has failed for good: ${reason}` };
  if (verb === 'restart' && command.starts === starts && state !== 'scheduled') return null;
  if (!asWished) return null;
  const how = state === 'running' && leader !== null ? `running: pid ${leader.pid}` : state;
  return { ok: true, text: command.ready === true ? `${how}, ready` : how };
}

function progressOf({ state, detail, reason, next, lastExit }: CommandStatus): string {
  const parts = [detail === null ? state : `${state} (${detail})`];
  if (state === 'backoff' || state === 'missing') {
    if (reason !== null && reason !== 'exited') parts.push(reason);
    else if (lastExit !== null) parts.push(howEnded(lastExit));
  }
  if (next !== null) parts.push(next.text);
  return parts.join(', ');
}

async function health(
  socket: string,
  { which, names, json }: Extract<ControlRequest, { kind: 'health' }>,
  { out }: Terminal,
): Promise<number> {
  const query = named(names);
  query.set('which', which);
  const body = await get(socket, `/v1/health?${query}`);
  out(json ? `${JSON.stringify(body)}\n` : `${body.text}\n`);
  return body.ok === true ? 0 : EXIT_NOT_SO;
}

async function isGone(socket: string, timeout: number): Promise<boolean> {
  const until = performance.now() + timeout;
  while (performance.now() < until) {
    try {
      await ask(socket, 'GET', '/v1/about', null, PATIENCE);
    } catch (error) {
      if (error instanceof NobodyError) return true;
      throw error;
    }
    await sleep(LOOK);
  }
  return false;
}

function fail(error: Terminal['error'], text: string): number {
  error(`upkeep: cannot shut down: ${text}\n`);
  return EXIT_NOT_SO;
}

const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
