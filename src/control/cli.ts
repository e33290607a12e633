/** The verbs that ask a running upkeep: what they ask, print, and exit with. A bundle of its own. */
import { formatDuration } from '../output/duration.ts';
import type { ControlVerb } from '../policy/options.ts';
import { didYouMean, UsageError } from '../policy/usage-error.ts';
import { type ControlRequest, parseControl } from '../policy/verbs.ts';
import { verbHelp } from '../policy/verbs-help.ts';
import { ask, follow, NobodyError, type Reply } from './client.ts';
import { outcome, progressOf } from './outcome.ts';
import { eventLine, logLine, statusTable, whyText } from './show.ts';
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
/** ms between two looks at what an order has come to: at least, and at most. */
const LOOK = 100;
const LONGEST_LOOK = 1_000;
/** Of so many commands each is asked for by its name; of more, all. */
const MOST_NAMED = 50;
/** ms that an order may take to come true, unless said otherwise. */
const WAIT = 60_000;
/** ms that a shutdown may take beyond its grace. */
const OVER_GRACE = 5_000;
/** ms between two pictures of `--watch`. */
const WATCH = 500;
/** Columns where there is no terminal. */
const WIDTH = 80;

export interface Terminal {
  readonly env: NodeJS.ProcessEnv;
  /** What it shows at once, as it is now; null: it is none. */
  readonly size: () => { readonly columns: number; readonly rows: number } | null;
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
  const { out } = terminal;
  switch (request.kind) {
    case 'status':
      return request.watch ? watch(socket, request.names, terminal) : status(socket, request, terminal);
    case 'why': {
      const query = new URLSearchParams({ name: request.name });
      const body = await get(socket, `/v1/why?${query}`);
      const columns = terminal.size()?.columns ?? WIDTH;
      out(request.json ? `${JSON.stringify(body)}\n` : whyText(body as unknown as Why, columns));
      return 0;
    }
    case 'order':
      return order(socket, request, terminal);
    case 'signal': {
      const { name, signal } = request;
      await post(socket, '/v1/signal', { names: [name], signal });
      return 0;
    }
    case 'shutdown':
      return shutdown(socket, request, terminal);
    case 'reload':
      return reload(socket, request.names, terminal);
    case 'logs': {
      const { since } = request;
      const from = since === null ? null : Math.max(0, Date.now() - since);
      const width = Math.max(...request.names.map(({ length }) => length), 0);
      return read(socket, { ...request, since: from }, terminal, (line) => logLine(line, width));
    }
    case 'events':
      return read(socket, request, terminal, eventLine);
    case 'health':
      return health(socket, request, terminal);
  }
}

/** Shows lines or events as long as there are any. `shown`: a line of the answer, for people. */
async function read(
  socket: string,
  request: Extract<ControlRequest, { kind: 'logs' | 'events' }>,
  { out, error }: Terminal,
  shown: (line: string) => string,
): Promise<number> {
  const { kind, names, last, since, json, follow: goesOn } = request;
  const ended = await follow(
    socket,
    `/v1/${kind}?${queryOf(names, last, since, goesOn)}`,
    refusedBy,
    (line) => out(json ? `${line}\n` : shown(line)),
  );
  return afterStream(ended, error);
}

const named = (names: readonly string[]): URLSearchParams =>
  new URLSearchParams(names.map((name): [string, string] => ['name', name]));

function queryOf(
  names: readonly string[],
  last: number | null,
  since: number | null,
  goesOn: boolean,
): URLSearchParams {
  const query = named(names);
  if (last !== null) query.set('last', String(last));
  if (since !== null) query.set('since', String(since));
  if (goesOn) query.set('follow', '');
  return query;
}

function afterStream(ended: boolean, error: Terminal['error']): number {
  if (ended) return 0;
  error('upkeep: it has ended: nothing more will come\n');
  return EXIT_NOBODY;
}

/** What upkeep has refused, as an error that says what to exit with. */
function refusedBy({ status, body }: Reply): Error {
  const { error, names, unknown } = body as {
    error?: string;
    names?: readonly string[];
    unknown?: readonly string[];
  };
  const near = names === undefined ? '' : `${didYouMean(unknown?.[0] ?? '', names)}; ${listed(names)}`;
  return new Refused(CODES[status] ?? EXIT_INTERNAL, `${error}${near}`);
}

const CODES: Readonly<Record<number, number>> = {
  400: EXIT_USAGE,
  404: EXIT_NO_NAME,
  409: EXIT_NOT_SO,
  413: EXIT_USAGE,
  429: EXIT_NOT_SO,
  431: EXIT_USAGE,
  503: EXIT_NOBODY,
};

function listed(names: readonly string[]): string {
  if (names.length === 0) return 'there is none';
  const [first = '', ...more] = names;
  if (more.length === 0) return `there is ${first}`;
  if (names.length <= 10) return `there are ${names.join(', ')}`;
  return `there are ${names.length}: ${names.slice(0, 10).join(', ')}, …`;
}

/** Asks, and asks again while upkeep is just starting. */
async function askPatiently(
  socket: string,
  method: 'GET' | 'POST',
  route: string,
  body: unknown,
  patience: number,
): Promise<Reply> {
  const until = performance.now() + patience;
  for (;;) {
    const reply = await ask(socket, method, route, body, patience);
    if (reply.status !== 503 || performance.now() >= until) return reply;
    await sleep(LOOK);
  }
}

async function get(socket: string, route: string): Promise<Reply['body']> {
  const reply = await askPatiently(socket, 'GET', route, null, PATIENCE);
  if (reply.status >= 300) throw refusedBy(reply);
  return reply.body;
}

async function post(socket: string, route: string, body: unknown): Promise<Reply['body']> {
  const reply = await askPatiently(socket, 'POST', route, body, PATIENCE);
  if (reply.status >= 300) throw refusedBy(reply);
  return reply.body;
}

async function statusFor(socket: string, names: readonly string[]): Promise<Status> {
  const query = named(names);
  return (await get(socket, `/v1/status?${query}`)) as unknown as Status;
}

async function status(
  socket: string,
  { names, json }: { readonly names: readonly string[]; readonly json: boolean },
  { out, size, colour }: Terminal,
): Promise<number> {
  const found = await statusFor(socket, names);
  const look = { columns: size()?.columns ?? WIDTH, colour };
  out(json ? `${JSON.stringify(found)}\n` : statusTable(found, look));
  return found.asWished ? 0 : EXIT_NOT_AS_WISHED;
}

/** Draws the same again and again, in place. Ends when nobody looks, or upkeep is gone. */
async function watch(socket: string, names: readonly string[], terminal: Terminal): Promise<number> {
  const { out, error, size, colour } = terminal;
  for (let drawn = false; ; drawn = true) {
    let found: Status;
    try {
      found = await statusFor(socket, names);
    } catch (gone) {
      if (!drawn || !(gone instanceof NobodyError)) throw gone;
      error('upkeep: it has ended\n');
      return EXIT_NOBODY;
    }
    if (!out(picture(found, size(), colour))) return 0;
    await sleep(WATCH);
  }
}

/** What is drawn over what was drawn before. */
function picture(found: Status, size: ReturnType<Terminal['size']>, colour: boolean): string {
  if (size === null) return statusTable(found, { columns: WIDTH, colour });
  const table = statusTable(found, { columns: size.columns, colour, rows: size.rows - 1 });
  // Home, then each line to its end, then what is below.
  return `\x1b[H${table.replaceAll('\n', '\x1b[K\n')}\x1b[J`;
}

async function order(
  socket: string,
  request: Extract<ControlRequest, { kind: 'order' }>,
  { out, error, size }: Terminal,
): Promise<number> {
  const { verb, target, wait } = request;
  const timeout = request.timeout ?? WAIT;
  const answer = (await post(socket, `/v1/${verb}`, target)) as unknown as Pick<Ordered, 'before'>;
  if (!wait) return 0;
  const before = new Map(answer.before.map((command) => [command.name, command]));
  const open = new Map([...before.keys()].map((name) => [name, '']));
  const last = new Map<string, string>();
  const until = performance.now() + timeout;
  let failed = false;
  for (;;) {
    const asked = performance.now();
    for (const command of await stillThere(socket, open)) {
      const { name } = command;
      const result = outcome(verb, before.get(name)!, command);
      if (result === null) {
        const now = progressOf(command, false);
        last.set(name, progressOf(command, true));
        if (size() !== null && open.get(name) !== now) out(`${name}: ${now}\n`);
        open.set(name, now);
        continue;
      }
      open.delete(name);
      failed ||= !result.ok;
      if (result.ok) out(`${name}: ${result.text}\n`);
      else error(`upkeep: cannot ${verb} ${name}: ${result.text}\n`);
    }
    if (open.size === 0) return failed ? EXIT_NOT_SO : 0;
    const now = performance.now();
    if (now >= until) break;
    // Where the answer takes long, there is much to be told.
    await sleep(Math.min(until - now, LONGEST_LOOK, Math.max(LOOK, (now - asked) * 10)));
  }
  for (const name of open.keys()) {
    error(
      `upkeep: cannot ${verb} ${name} within ${formatDuration(timeout)}: ${last.get(name) ?? 'it is there no more'}; it goes on, see upkeep why ${name}\n`,
    );
  }
  return EXIT_NOT_SO;
}

interface Ordered {
  readonly before: readonly CommandStatus[];
}

/** What is to be waited for, as it is now. */
async function stillThere(
  socket: string,
  open: ReadonlyMap<string, unknown>,
): Promise<readonly CommandStatus[]> {
  const { upkeep, commands } = await statusFor(socket, open.size > MOST_NAMED ? [] : [...open.keys()]);
  if (upkeep.ending) throw new Refused(EXIT_NOT_SO, 'cannot wait for it: everything is being stopped');
  return commands.filter(({ name }) => open.has(name));
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

async function reload(socket: string, names: readonly string[], { out }: Terminal): Promise<number> {
  const reply = await askPatiently(socket, 'POST', '/v1/reload', { names }, RELOAD_PATIENCE);
  // That of the policy is refused for what is in the file.
  if (reply.status === 409 && names.length === 0)
    throw new Refused(EXIT_CONFIGURATION, String(reply.body.error));
  if (reply.status >= 300) throw refusedBy(reply);
  out(`${reply.body.message}\n`);
  return 0;
}

async function shutdown(
  socket: string,
  { wait, timeout }: Extract<ControlRequest, { kind: 'shutdown' }>,
  { error }: Terminal,
): Promise<number> {
  const { grace, pid } = await post(socket, '/v1/shutdown', {});
  if (!wait) return 0;
  const patience = timeout ?? Number(grace) + OVER_GRACE;
  if (await isGone(socket, pid, patience)) return 0;
  error(
    `upkeep: cannot shut down within ${formatDuration(patience)}: upkeep ${pid} is still there; it goes on\n`,
  );
  return EXIT_NOT_SO;
}

/** Nobody answers there any more, or another one. */
async function isGone(socket: string, pid: unknown, timeout: number): Promise<boolean> {
  const until = performance.now() + timeout;
  for (;;) {
    try {
      const { body } = await ask(socket, 'GET', '/v1/about', null, PATIENCE);
      if (body.pid !== pid) return true;
    } catch (error) {
      if (error instanceof NobodyError) return true;
      throw error;
    }
    if (performance.now() >= until) return false;
    await sleep(LOOK);
  }
}

const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
