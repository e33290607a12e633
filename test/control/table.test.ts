import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CommandStatus, type Status, statusOf } from '../../src/control/status.ts';
import { statusTable, type Table } from '../../src/control/table.ts';
import { widthOf } from '../../src/control/width.ts';
import { createInside } from './inside.ts';
import { Served } from './served.ts';

const plain: CommandStatus = statusOf(createInside(), null).commands[0]!;
const status = (commands: readonly Partial<CommandStatus>[], ending = false): Status => ({
  version: 1,
  upkeep: { version: '1', pid: 1, uptime: 5, ending },
  asWished: true,
  commands: commands.map((change) => ({ ...plain, ...change })),
});

const texts = fc.oneof(
  fc.string({ maxLength: 90, unit: 'grapheme' }),
  fc.stringMatching(/^[\w.-]{1,64}$/),
  fc.string({ maxLength: 40, unit: fc.constantFrom('漢', 'é', 'e\u0301', '🚀', 'x') }),
);
const commands = fc.array(
  fc.record({
    name: texts.map((text) => text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '')),
    state: fc.constantFrom('running', 'backoff', 'stopped', 'failed', 'waiting', 'restarting'),
    asWished: fc.boolean(),
    for: fc.nat(10 ** 12),
    restarts: fc.nat(10 ** 7),
    leader: fc.option(
      fc.record({
        pid: fc.nat(2 ** 22),
        name: fc.constant('x'),
        rule: fc.constant('tag' as const),
        uptime: fc.nat(10 ** 12),
      }),
    ),
    lastExit: fc.constantFrom(
      null,
      { known: true, code: 3, signal: null, core: false },
      { known: true, code: null, signal: 'SIGSEGV', core: true },
    ),
    next: fc.option(
      fc.record({
        what: fc.constant('release' as const),
        in: fc.option(fc.nat(10 ** 9)),
        text: texts.map((text) => text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '')),
      }),
    ),
  }),
  { maxLength: 12 },
);

const COLOUR = /\x1b\[\d+m/g;

describe('the table', () => {
  test('fits, whatever is in it: 80 columns, and fewer, and the rows where they are counted', () => {
    fc.assert(
      fc.property(
        commands,
        fc.oneof(fc.constant(80), fc.integer({ min: 12, max: 200 })),
        fc.boolean(),
        fc.option(fc.integer({ min: 3, max: 30 }), { nil: undefined }),
        (given, columns, colour, rows) => {
          const look = rows === undefined ? { columns, colour } : { columns, colour, rows };
          const table = statusTable(status(given, given.length % 2 === 1), look);
          const lines = table.replaceAll(COLOUR, '').split('\n');
          expect(lines.pop()).toBe('');
          for (const line of lines) expect(widthOf(line), line).toBeLessThanOrEqual(columns);
          if (rows !== undefined) expect(lines.length).toBeLessThanOrEqual(rows);
          if (colour) return;
          expect(table).not.toMatch(/\x1b/);
        },
      ),
    );
  });

  test('shows of each what there is', () => {
    const next = { what: 'retry', in: 1_200, text: 'retry 5' } as const;
    const lastExit = { known: true, code: 3, signal: null, core: false };
    const leader = { pid: 17, name: 'web', rule: 'tag', uptime: 182_000 } as const;
    const table = statusTable(
      status([
        { name: 'web', leader, for: 182_000 },
        { name: 'crash', state: 'backoff', detail: null, for: 820, restarts: 4, lastExit, next },
      ]),
      { columns: 80, colour: false },
    );
    expect(table).toBe(
      [
        'NAME   STATE    FOR    PID  UP    RESTARTS  LAST EXIT  NEXT',
        'web    running  3m2s   17   3m2s  0         -',
        'crash  backoff  820ms  -    -     4         3          retry 5 in 1.2 s',
        '',
      ].join('\n'),
    );
  });

  test('tells whom the OOM killer has ended', () => {
    const lastExit = { known: true, code: null, signal: 'SIGKILL', core: false };
    const cell = (lastOom: boolean | null) =>
      statusTable(status([{ lastExit, lastOom }]), { columns: 80, colour: false }).split('\n')[1]!;
    expect(cell(true)).toMatch(/ SIGKILL oom$/);
    for (const known of [false, null]) expect(cell(known)).toMatch(/ SIGKILL$/);
  });

  test('tells of a run that goes on how many were left out for it', () => {
    const next = { what: 'run', in: 22_000, text: 'due again' } as const;
    const of = (change: Partial<CommandStatus>) =>
      statusTable(status([{ next, ...change }]), { columns: 100, colour: false }).split('\n')[1]!;
    expect(of({ leftOut: 0 })).toMatch(/ {2}due again in 22 s$/);
    expect(of({ leftOut: 1 })).toMatch(/ {2}1 run left out, due again in 22 s$/);
    expect(of({ leftOut: 7, next: null })).toMatch(/ {2}7 runs left out$/);
    expect(of({ leftOut: 7, state: 'scheduled' })).not.toMatch(/left out/);
  });

  test('gives what comes next a line of its own before it cuts anything, and drops columns before it cuts names', () => {
    const name = 'a-name-that-is-as-long-as-it-can-be';
    const next = { what: 'release', in: null, text: 'waiting for something long: ready' } as const;
    const table = statusTable(status([{ name, next }]), { columns: 80, colour: false });
    expect(table).toMatch(new RegExp(`^${name}`, 'm'));
    expect(table).toMatch(/^ {2}→ waiting for something long: ready$/m);
    const narrow = statusTable(status([{ name }]), { columns: 24, colour: false });
    expect(narrow).toMatch(/^NAME\s+STATE$/m);
    expect(narrow).toMatch(/^a-name-that-is…/m);
  });

  test('that is too long shows those first that are not as they are wished to be', () => {
    const many = Array.from({ length: 50 }, (_, index) => ({ name: `c${index}`, asWished: index !== 40 }));
    const lines = statusTable(status(many), { columns: 80, colour: false, rows: 10 }).split('\n');
    expect(lines[1]).toMatch(/^c40 /);
    expect(lines.slice(0, -1)).toHaveLength(10);
    expect(lines.at(-2)).toBe('… and 42 more');
  });

  test('of nobody says so', () => {
    const table = statusTable(status([], true), { columns: 80, colour: false });
    expect(table).toMatch(/no command is there\neverything is being stopped\n$/);
  });
});

describe('over the socket', () => {
  test('it is the one of the whole status, in the width and with the rows that are asked for', async (context) => {
    const inside = createInside();
    inside.put('web', 'backoff', { failures: 2, wait: 1_000, reason: 'exited' });
    const served = await Served.of(inside);
    context.onTestFinished(() => served.close());
    const of = async (query: string) => (await served.get(`/v1/table${query}`)).body as unknown as Table;
    const drawn = (look: Parameters<typeof statusTable>[1]) => statusTable(statusOf(inside, null), look);
    expect(await of('')).toEqual({
      version: 1,
      asWished: false,
      table: drawn({ columns: 80, colour: false }),
    });
    expect((await of('?columns=30&colour')).table).toBe(drawn({ columns: 30, colour: true }));
    expect((await of('?columns=200&rows=2')).table).toBe(drawn({ columns: 200, colour: false, rows: 2 }));
    expect((await of('?name=web')).table).toBe(
      statusTable(statusOf(inside, ['web']), { columns: 80, colour: false }),
    );
    // Of no use to anybody, and harmless.
    for (const few of ['?columns=0', '?rows=0', '?columns=0&rows=0', `?columns=${Number.MAX_SAFE_INTEGER}`]) {
      expect(await of(few)).toMatchObject({ table: expect.any(String) });
    }
  });

  test('it refuses a width that is none, and names that are not there', async (context) => {
    const served = await Served.of(createInside());
    context.onTestFinished(() => served.close());
    for (const wrong of ['columns=', 'columns=wide', 'columns=-1', 'rows=1.5', 'rows=1e999']) {
      expect(await served.get(`/v1/table?${wrong}`), wrong).toMatchObject({
        status: 400,
        body: { error: expect.stringMatching(/^cannot use .* for (columns|rows): it is no whole number$/) },
      });
    }
    expect(await served.get('/v1/table?name=nobody')).toMatchObject({ status: 404 });
    expect(await served.post('/v1/table', {})).toMatchObject({ status: 405 });
  });

  test('a secret is taken out before it is cut: half of one is told by nobody', async (context) => {
    const inside = createInside({ redact: (text) => text.replaceAll('s3cr3t-of-the-house', '***') });
    inside.put('web', 'running', { said: 'the password is s3cr3t-of-the-house' });
    const served = await Served.of(inside);
    context.onTestFinished(() => served.close());
    for (const columns of [40, 46, 52, 60, 120]) {
      const { table } = (await served.get(`/v1/table?columns=${columns}`)).body as unknown as Table;
      expect(table).not.toContain('s3');
    }
    expect(((await served.get('/v1/table')).body as unknown as Table).table).toContain('the password is ***');
  });
});
