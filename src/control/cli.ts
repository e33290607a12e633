/** The verbs that ask a running upkeep: what they ask, print, and exit with. A bundle of its own. */
import { formatDuration } from '../output/duration.ts';
import { EXIT_CONFIGURATION, EXIT_INTERNAL, EXIT_USAGE } from '../policy/exit-codes.ts';
import type { ControlVerb } from '../policy/options.ts';
import { didYouMean, UsageError } from '../policy/usage-error.ts';
import { type ControlRequest, type OrderVerb, parseControl } from '../policy/verbs.ts';
import { verbHelp } from '../policy/verbs-help.ts';
import { ask, follow, NobodyError, type Reply } from './client.ts';
import type { Reloaded } from './inside.ts';
import { outcome, progressOf } from './outcome.ts';
import { eventLine, logLine, whyText } from './show.ts';
import { defaultSocketPath } from './socket.ts';
import type { CommandStatus, Status } from './status.ts';
import type { Look, Table } from './table.ts';
import type { Why } from './why.ts';
import { WIDTH } from './width.ts';

const EXIT_NOT_SO = 1;
const EXIT_NOT_AS_WISHED = 3;
const EXIT_NO_NAME = 4;
const EXIT_NOBODY = 7;

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
    const code = codeOf(error);
    const text = code === null ? `cannot go on: ${(error as Error).stack}` : (error as Error).message;
    terminal.error(`upkeep: ${text}\n`);
    return code ?? EXIT_INTERNAL;
  }
}

/** null: it is a mistake of ours. */
function codeOf(error: unknown): number | null {
  if (error instanceof UsageError) return EXIT_USAGE;
  if (error instanceof NobodyError) return EXIT_NOBODY;
  return error instanceof Refused ? error.code : null;
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
      return reload(socket, request, terminal);
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
    { patience: PATIENCE, goesOn },
    refusedBy,
    (line) => out(json ? `${line}\n` : shown(line)),
  );
  if (ended) return 0;
  if (await isGone(socket, null, 0)) {
    error('upkeep: it has ended: nothing more will come\n');
    return EXIT_NOBODY;
  }
  error(`upkeep: cannot show more: it hung up, for too many others follow; write upkeep ${kind} -f again\n`);
  return EXIT_NOT_SO;
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
  403: EXIT_NOBODY,
  404: EXIT_NO_NAME,
  409: EXIT_NOT_SO,
  413: EXIT_USAGE,
  422: EXIT_CONFIGURATION,
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

async function post(
  socket: string,
  route: string,
  body: unknown,
  patience = PATIENCE,
): Promise<Reply['body']> {
  const reply = await askPatiently(socket, 'POST', route, body, patience);
  if (reply.status >= 300) throw refusedBy(reply);
  return reply.body;
}

async function statusFor(socket: string, names: readonly string[]): Promise<Status> {
  return (await get(socket, `/v1/status?${named(names)}`)) as unknown as Status;
}

async function tableFor(
  socket: string,
  names: readonly string[],
  { columns, colour, rows }: Look,
): Promise<Table> {
  const query = named(names);
  query.set('columns', String(columns));
  if (rows !== undefined) query.set('rows', String(rows));
  if (colour) query.set('colour', '');
  return (await get(socket, `/v1/table?${query}`)) as unknown as Table;
}

async function status(
  socket: string,
  { names, json }: { readonly names: readonly string[]; readonly json: boolean },
  { out, size, colour }: Terminal,
): Promise<number> {
  if (json) {
    const found = await statusFor(socket, names);
    out(`${JSON.stringify(found)}\n`);
    return endOf(found);
  }
  const found = await tableFor(socket, names, { columns: size()?.columns ?? WIDTH, colour });
  out(found.table);
  return endOf(found);
}

const endOf = ({ asWished }: { readonly asWished: boolean }): number => (asWished ? 0 : EXIT_NOT_AS_WISHED);

/** Draws the same again and again, in place. Ends when nobody looks, or upkeep is gone. */
async function watch(socket: string, names: readonly string[], terminal: Terminal): Promise<number> {
  const { out, error, size, colour } = terminal;
  for (let drawn = false; ; drawn = true) {
    const screen = size();
    const look =
      screen === null
        ? { columns: WIDTH, colour }
        : { columns: screen.columns, colour, rows: screen.rows - 1 };
    let found: Table;
    try {
      found = await tableFor(socket, names, look);
    } catch (gone) {
      if (!drawn || !(gone instanceof NobodyError)) throw gone;
      error('upkeep: it has ended\n');
      return EXIT_NOBODY;
    }
    if (!out(screen === null ? found.table : inPlace(found.table))) return 0;
    await sleep(WATCH);
  }
}

/** Drawn over what was drawn before: home, then each line to its end, then what is below. */
const inPlace = (table: string): string => `\x1b[H${table.replaceAll('\n', '\x1b[K\n')}\x1b[J`;

async function order(
  socket: string,
  request: Extract<ControlRequest, { kind: 'order' }>,
  terminal: Terminal,
): Promise<number> {
  const { verb, target, wait, timeout } = request;
  const { before } = (await post(socket, `/v1/${verb}`, target)) as unknown as Ordered;
  if (!wait) return 0;
  return awaitAll(
    socket,
    before.map((command): Expected => [verb, command]),
    timeout ?? WAIT,
    terminal,
  );
}

/** What is to come true, and of a command as it was before. */
type Expected = readonly [verb: OrderVerb, before: CommandStatus];

/** Waits until all of it is so, and tells what has become of each. */
async function awaitAll(
  socket: string,
  expected: readonly Expected[],
  timeout: number,
  { out, error, size }: Terminal,
): Promise<number> {
  if (expected.length === 0) return 0;
  const orders = new Map(expected.map((each) => [each[1].name, each]));
  const open = new Map([...orders.keys()].map((name) => [name, '']));
  const last = new Map<string, string>();
  const until = performance.now() + timeout;
  let failed = false;
  for (;;) {
    const asked = performance.now();
    for (const command of await stillThere(socket, open)) {
      const { name } = command;
      const [verb, before] = orders.get(name)!;
      const result = outcome(verb, before, command);
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
      `upkeep: cannot ${orders.get(name)![0]} ${name} within ${formatDuration(timeout)}: ${last.get(name) ?? 'it is there no more'}; it goes on, see upkeep why ${name}\n`,
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

async function reload(
  socket: string,
  { target, wait, timeout: given }: Extract<ControlRequest, { kind: 'reload' }>,
  terminal: Terminal,
): Promise<number> {
  const timeout = given ?? WAIT;
  if (target !== null) return reloadOwn(socket, { ...target, wait: wait ? timeout : 0 }, terminal);
  const { message, before } = await post(socket, '/v1/reload', {}, RELOAD_PATIENCE);
  terminal.out(`${message}\n`);
  if (!wait) return 0;
  const expected = (before as Ordered['before']).map(
    // Of one that nobody led nothing has to stop, and nothing that it was counts.
    (command): Expected =>
      command.leader === null ? ['start', { ...command, state: 'missing' }] : ['restart', command],
  );
  return awaitAll(socket, expected, timeout, terminal);
}

/** Has commands read their own configuration. */
async function reloadOwn(
  socket: string,
  asked: { readonly wait: number },
  { out, error }: Terminal,
): Promise<number> {
  const { wait } = asked;
  const { message, commands } = await post(socket, '/v1/reload', asked, PATIENCE + wait);
  if (wait === 0) out(`${message}\n`);
  let failed = false;
  for (const { name, ok, text } of commands as readonly (Reloaded & { readonly name: string })[]) {
    if (ok === null && wait === 0) continue;
    failed ||= ok !== true;
    if (ok === true && wait > 0) out(`${name}: ${text}\n`);
    else if (ok === false) error(`upkeep: cannot reload ${name}: ${text}\n`);
    else if (ok === null) {
      error(`upkeep: cannot reload ${name} within ${formatDuration(wait)}: ${text}; it goes on\n`);
    }
  }
  return failed ? EXIT_NOT_SO : 0;
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

/** Nobody answers there any more, or another one; `pid` null: whoever it is. */
async function isGone(socket: string, pid: unknown, timeout: number): Promise<boolean> {
  const until = performance.now() + timeout;
  for (;;) {
    try {
      const { body } = await ask(socket, 'GET', '/v1/about', null, PATIENCE);
      if (pid !== null && body.pid !== pid) return true;
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
