import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatDuration } from '../../src/output/duration.ts';
import { helpText } from '../../src/policy/help.ts';
import {
  checkNames,
  parseDuration,
  parseRunArguments,
  RUN_DEFAULTS,
  type RunOptions,
} from '../../src/policy/options.ts';
import { UsageError } from '../../src/policy/usage-error.ts';

function run(...argv: string[]) {
  const request = parseRunArguments(['run', ...argv]);
  if (request.kind !== 'run') throw new Error(`not a run: ${request.kind}`);
  return request;
}

describe('verbs', () => {
  test.each<[string[], unknown]>([
    [['--help'], { kind: 'help', topic: null }],
    [['-h'], { kind: 'help', topic: null }],
    [['help'], { kind: 'help', topic: null }],
    [['help', '--help'], { kind: 'help', topic: null }],
    [['help', '-h'], { kind: 'help', topic: null }],
    [['help', 'run'], { kind: 'help', topic: 'run' }],
    [['export', '--swarm', 'x', '-h'], { kind: 'export', words: ['--swarm', 'x', '-h'] }],
    [['help', 'export'], { kind: 'export', words: ['--help'] }],
    [['run', '--help'], { kind: 'help', topic: 'run' }],
    [['run', '--log', 'json', '-h', 'nginx'], { kind: 'help', topic: 'run' }],
    [['--version'], { kind: 'version' }],
    [['-V'], { kind: 'version' }],
    [['run', '-V'], { kind: 'version' }],
  ])('%j', (argv, request) => {
    expect(parseRunArguments(argv)).toEqual(request);
  });
});

test('the defaults', () => {
  expect(run('nginx')).toMatchObject({ kind: 'run', options: RUN_DEFAULTS, commands: [{ name: 'nginx' }] });
  expect(RUN_DEFAULTS).toEqual({
    interval: 5000,
    grace: 9000,
    log: 'plain',
    exitOnFailed: false,
    adopt: true,
    table: null,
    socket: null,
    control: true,
    logMemory: 65_536,
    syslog: null,
    http: null,
    inspect: null,
    record: null,
    recordSize: 16_777_216,
  });
});

test.each<[string[], Partial<RunOptions>]>([
  [['--interval', '50ms'], { interval: 50 }],
  [['--interval=1h'], { interval: 3_600_000 }],
  [['--interval', '1s', '--interval', '2s'], { interval: 2000 }],
  [['--grace', '0'], { grace: 0 }],
  [['--grace=1.5s'], { grace: 1500 }],
  [['--log', 'raw'], { log: 'raw' }],
  [['--log=json'], { log: 'json' }],
  [['--exit-on-failed'], { exitOnFailed: true }],
  [['--exit-on-failed=web'], { exitOnFailed: ['web'] }],
  [['--exit-on-failed=web,b', '--exit-on-failed=web'], { exitOnFailed: ['web', 'b'] }],
  [['--exit-on-failed=web', '--exit-on-failed'], { exitOnFailed: true }],
  [['--no-adopt'], { adopt: false }],
  [['--no-adopt', '--adopt'], { adopt: true }],
  [['--process-table', 'ps-list'], { table: 'ps-list' }],
  [['--process-table=procfs'], { table: 'procfs' }],
  [['--socket', '/x y'], { socket: '/x y' }],
  [['--no-control'], { control: false }],
  [['--log-memory', '256k'], { logMemory: 262_144 }],
  [['--log-memory=1M'], { logMemory: 1_048_576 }],
  [['--record', '/var/log/record'], { record: '/var/log/record' }],
  [['--record-size=64k', '--record', 'r'], { record: 'r', recordSize: 65_536 }],
  [['--syslog'], { syslog: '/dev/log' }],
  [['--syslog=/run/log'], { syslog: '/run/log' }],
  [['--http'], { http: '127.0.0.1:8753' }],
  [['--http=9000'], { http: '127.0.0.1:9000' }],
  [['--http=0.0.0.0:1'], { http: '0.0.0.0:1' }],
  [['--http=[::1]:65535'], { http: '[::1]:65535' }],
  [['--inspect'], { inspect: '127.0.0.1:9777' }],
  [['--inspect=9778'], { inspect: '127.0.0.1:9778' }],
  [['--inspect=0.0.0.0:9777'], { inspect: '0.0.0.0:9777' }],
  [['--socket=-a=b'], { socket: '-a=b' }],
])('%j', (argv, options) => {
  for (const end of [[], ['--']]) {
    const request = run(...argv, ...end, 'web: a', 'b');
    expect(request.options).toEqual({ ...RUN_DEFAULTS, ...options });
    expect(request.commands.map(({ name }) => name)).toEqual(['web', 'b']);
  }
});

test('behind -- everything is a command', () => {
  expect(run('--', 'a', '--help', '--', '-x').commands.map(({ file }) => file)).toEqual([
    'a',
    '--help',
    '--',
    '-x',
  ]);
});

test.each<[string[], RegExp]>([
  [[], /^cannot start: no verb is given; write, for instance, upkeep run "/],
  [['rnu', 'nginx'], /no such verb, did you mean run\?; .* upkeep run "rnu"/],
  [['/usr/sbin/sshd', 'b c'], /looks like a command; write upkeep run "\/usr\/sbin\/sshd" "b c"$/],
  [['nginx -g x'], /upkeep run "nginx -g x"$/],
  [['--hepl'], /"--hepl": it is unknown, did you mean --help\?/],
  [['--log', 'json'], /cannot use --log here: it is an option of run; write upkeep run --log/],
  [['--socket', '/x', 'status'], /"--socket" in front of the verb: .*; write upkeep status --socket \/x$/],
  [['--json', '--socket=/x y', 'status', 'web'], /write upkeep status --json '--socket=\/x y' web$/],
  [['-w', 'status'], /"-w" in front of the verb: .*; write upkeep status -w$/],
  [['-f', 'logs', 'web'], /write upkeep logs -f web$/],
  [['--grace', '5s', 'run', 'nginx'], /write upkeep run --grace 5s nginx$/],
  [['--interval', '5s', 'nginx', 'check'], /it is an option of run/],
  [['help', 'rum'], /no such verb, did you mean run\?/],
  [['help', 'run', 'x'], /help takes one/],
  [['run'], /^cannot run: no command is given; write, for instance, upkeep run "/],
  [['run', '--'], /no command is given/],
  [['run', '--log', 'json'], /no command is given/],
  [['run', ''], /there is nothing in it/],
  [['run', '--intervall', '1s', 'a'], /"--intervall": it is unknown, did you mean --interval\?/],
  [['run', '--intervall=1s', 'a'], /did you mean --interval\?/],
  [['run', '-x', 'a'], /"-x": it is unknown; .* put -- first: upkeep run -- "-x"/],
  [['run', '-h=x', 'a'], /it is unknown/],
  [['run', '--constructor', 'a'], /it is unknown/],
  [['run', '--interval'], /it needs a value; write --interval 5s/],
  [['run', '--log', '--adopt', 'a'], /--log: it needs a value; write --log json/],
  [['run', '--socket=', 'a'], /it needs a value/],
  [
    ['run', '--http', '9000', 'a'],
    /cannot use "9000" as a command: it is an address; write --http=9000, or, if/,
  ],
  [['run', '--syslog', '/dev/log', 'a'], /"\/dev\/log" as a command: .*; write --syslog=\/dev\/log, or, if/],
  [['run', '--syslog', '/tmp/log.sock', 'a'], /it is the path of a socket; write --syslog=\/tmp\/log.sock/],
  [['run', '--inspect', '127.0.0.1:1', 'a'], /write --inspect=127.0.0.1:1, or, .* --inspect -- 127.0.0.1:1$/],
  [
    ['run', '--log-memory', '10', 'a'],
    /cannot use "10" for --log-memory: it is no size from 1k to 1G; write, for instance, --log-memory 256k/,
  ],
  [['run', '--record-size', '1M', 'a'], /nothing is recorded; write --record FILE as well/],
  [
    ['run', '--record-size', '1k', 'a'],
    /cannot use "1k" for --record-size: it is no size from 64k to 1G; write, for instance, --record-size 64M/,
  ],
  [['run', '--record'], /cannot use --record: it needs a value; write --record \/var\/log\/upkeep\.record/],
  [
    ['run', '--syslog=', 'a'],
    /cannot use "--syslog=": the path is empty; write --syslog alone for \/dev\/log, or --syslog=PATH/,
  ],
  ...[
    '',
    '0',
    '65536',
    ':80',
    'localhost:80',
    '::1:80',
    '1.2.3:80',
    '[1.2.3.4:80',
    '0.0.0.0',
    '80a',
    '8 0',
  ].map(
    (value) =>
      [
        ['run', `--http=${value}`, 'a'],
        /cannot use "--http=.*": it is neither a port nor ADDRESS:PORT .*; write --http alone for 127\.0\.0\.1:8753, or/,
      ] as [string[], RegExp],
  ),
  [
    ['run', '--inspect=localhost:9777', 'a'],
    /cannot use "--inspect=localhost:9777": it is neither a port nor ADDRESS:PORT .*; write --inspect alone for 127\.0\.0\.1:9777, or --inspect=PORT/,
  ],
  [['run', '--adopt=no', 'a'], /--adopt takes no value; write --adopt or --no-adopt alone/],
  [['run', '--help=x', 'a'], /--help takes no value/],
  [['run', '--interval', '49ms', 'a'], /"49ms" for --interval: the least is 50 ms/],
  [['run', '--interval', '61m', 'a'], /the most is 1 h/],
  [['run', '--grace', '3601', 'a'], /for --grace: the most is 1 h; write something from 0 ms to 1 h/],
  [['run', '--grace', 'soon', 'a'], /"soon" for --grace: it is no duration; write a number and a unit/],
  [['run', '--log', 'jsn', 'a'], /did you mean json\?; write one of plain, json, raw/],
  [['run', '--process-table', 'proc', 'a'], /write one of procfs, ps-list/],
  [['run', '--exit-on-failed=', 'a'], /a name is empty/],
  [['run', '--exit-on-failed=a,', 'a'], /a name is empty/],
  [['run', '--exit-on-failed=wbe', 'web: a', 'b'], /"wbe": .*did you mean web\?; the names are web, b$/],
])('%j is refused', (argv, message) => {
  expect(() => parseRunArguments(argv)).toThrow(UsageError);
  expect(() => parseRunArguments(argv)).toThrow(message);
});

test('forgotten quotes are told from a command that begins with a dash', () => {
  const wrong = () => run('b c', 'nginx', '-g', 'daemon off;');
  expect(wrong).toThrow(UsageError);
  expect(wrong).toThrow('cannot use "-g" behind the command "nginx": options go before the first command');
  expect(wrong).toThrow(`quote the whole command: upkeep run "b c" "nginx -g 'daemon off;'"; `);
  expect(wrong).toThrow('put -- first: upkeep run -- "b c" "nginx" "-g" "daemon off;"');
  expect(() => run('nginx', '--interval', '5s')).toThrow(
    'the option "--interval" behind the command "nginx"',
  );
});

describe('durations', () => {
  test.each<[string, number]>([
    ['500ms', 500],
    ['5s', 5000],
    ['1.5s', 1500],
    ['.5s', 500],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['0', 0],
    ['7', 7000],
    ['0.25', 250],
    ['1m30s', 90_000],
    ['3 m 2 s', 182_000],
    ['2 d 3 h', 183_600_000],
    ['1.0006s', 1001],
  ])('%s', (text, ms) => {
    expect(parseDuration(text, 'x')).toBe(ms);
  });

  test.each([
    '',
    ' ',
    's',
    '-1s',
    '1x',
    '1 2',
    '5s 3m',
    '1s1s',
    '1e3',
    '1,5s',
    '0x10',
    '5 parsecs',
    'Infinity',
  ])('%j is none', (text) => {
    expect(() => parseDuration(text, '--x')).toThrow(UsageError);
    expect(() => parseDuration(text, '--x')).toThrow('for --x: it is no duration; write');
  });

  test('too long to be counted', () => {
    expect(() => parseDuration('9'.repeat(400), '--x')).toThrow(/it is too long/);
  });

  test('what is shown can be read, and is off by no more than its last digit', () => {
    fc.assert(
      fc.property(fc.oneof(fc.nat(2000), fc.nat(200_000), fc.nat(10_000_000), fc.nat()), (ms) => {
        const read = parseDuration(formatDuration(ms), 'x');
        const digit =
          ms < 1000 ? 0 : ms < 60_000 ? 50 : ms < 3_600_000 ? 500 : ms < 86_400_000 ? 30_000 : 1_800_000;
        expect(Math.abs(read - ms)).toBeLessThanOrEqual(digit);
        expect(formatDuration(read)).toBe(formatDuration(ms));
      }),
      { numRuns: 2000 },
    );
  });
});

test('whatever is given: a UsageError or a request', () => {
  const word = fc.oneof(
    fc.constantFrom(
      'run',
      'help',
      'export',
      '--',
      '-',
      '--interval',
      '--grace=',
      '--log',
      'json',
      '--exit-on-failed=a',
    ),
    fc.constantFrom('-h', '--adopt', '5s', 'a', 'a: b', 'x -y', '--socket', '-V'),
    fc.string({ unit: 'binary' }),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), fc.boolean(), (words, verb) => {
      try {
        expect(['run', 'help', 'version', 'check', 'export', 'reload']).toContain(
          parseRunArguments(verb ? ['run', ...words] : words).kind,
        );
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
        expect(error.message).toMatch(/^cannot [^\n]+: .+; .+$/s);
      }
    }),
    { numRuns: 500 },
  );
});

describe('where commands come from', () => {
  test('a policy file, a Procfile and arguments add up', () => {
    const request = parseRunArguments(['run', '--policy', 'p.yaml', '--procfile=Procfile', 'a']);
    expect(request).toMatchObject({ kind: 'run', policy: 'p.yaml', procfile: 'Procfile' });
    expect(parseRunArguments(['run', '--policy', 'p.yaml'])).toMatchObject({ commands: [] });
    expect(parseRunArguments(['run', 'a'])).toMatchObject({ policy: null, procfile: null });
  });

  test('names that only the file knows are looked at later', () => {
    const request = parseRunArguments(['run', '--exit-on-failed=db', '--policy', 'p.yaml', 'a']);
    if (request.kind !== 'run') throw new Error('it is a run');
    expect(() => checkNames(request.options, [{ name: 'db' }])).not.toThrow();
    expect(() => checkNames(request.options, [{ name: 'dbs' }])).toThrow(/"db".*dbs/);
  });

  test.each([
    [['run', '--policy', 'a', '--policy', 'b'], /twice/],
    [['run', '--policy'], /needs a value; write --policy upkeep\.yaml/],
    [['run', '--procfile='], /needs a value/],
  ])('%j is refused', (words, why) => {
    expect(() => parseRunArguments(words)).toThrow(why);
  });
});

describe('the other verbs', () => {
  test('check takes a file', () => {
    expect(parseRunArguments(['check', 'f'])).toEqual({ kind: 'check', file: 'f', json: false });
    expect(parseRunArguments(['check', '--json', 'f'])).toEqual({ kind: 'check', file: 'f', json: true });
  });

  test('the words behind a verb that asks are for whoever asks', () => {
    expect(parseRunArguments(['reload', 'a', '--socket', '/s'])).toEqual({
      kind: 'control',
      verb: 'reload',
      words: ['a', '--socket', '/s'],
    });
    expect(parseRunArguments(['help', 'status'])).toEqual({
      kind: 'control',
      verb: 'status',
      words: ['--help'],
    });
  });

  test.each(['check'] as const)('%s has its own help', (verb) => {
    expect(parseRunArguments([verb, '--help'])).toEqual({ kind: 'help', topic: verb });
    expect(parseRunArguments(['help', verb])).toEqual({ kind: 'help', topic: verb });
    for (const line of helpText(verb).split('\n')) expect([...line].length, line).toBeLessThanOrEqual(80);
    expect(helpText(verb)).toMatch(/^Example:$/m);
  });

  test.each([
    [['check'], /no file is given; write upkeep check/],
    [['check', 'a', 'b'], /2 files are given/],
    [['check', '--jsn', 'a'], /did you mean --json/],
  ])('%j is refused', (words, why) => {
    expect(() => parseRunArguments(words)).toThrow(why);
  });
});

describe('help', () => {
  test.each(['run', null] as const)('%s fits 80 columns and tells exit codes and examples', (topic) => {
    const text = helpText(topic);
    for (const line of text.split('\n')) expect([...line].length, line).toBeLessThanOrEqual(80);
    expect(text).toMatch(/[^\n]\n$/);
    for (const code of [0, 10, 64, 70, 78]) expect(text).toMatch(new RegExp(`^  ${code} +[a-z]`, 'm'));
  });

  test('every option of run is in its help, and every option in the help is one', () => {
    const shown = new Set(helpText('run').match(/(?<=^ {2}(?:-\w, )?(?:--adopt, )?)--[a-z-]{2,}/gm));
    expect(shown).toContain('--no-adopt');
    const values: Record<string, string> = {
      '--interval': '1s',
      '--grace': '1s',
      '--log': 'raw',
      '--log-memory': '1M',
      '--policy': 'upkeep.yaml',
      '--process-table': 'procfs',
      '--procfile': 'Procfile',
      '--record': 'record',
      '--record-size': '1M',
      '--socket': '/x',
    };
    expect([...shown].sort()).toEqual(
      [
        ...Object.keys(values),
        '--adopt',
        '--exit-on-failed',
        '--help',
        '--http',
        '--inspect',
        '--no-adopt',
        '--no-control',
        '--syslog',
        '--version',
      ].sort(),
    );
    for (const option of shown) {
      const value = values[option];
      expect(() =>
        parseRunArguments(['run', '--record=r', option, ...(value ? [value] : []), 'a']),
      ).not.toThrow();
    }
  });
});
