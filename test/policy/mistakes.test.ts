/** That all mistakes are told at once, each where it is, and in words that say what to do. */
import { describe, expect, test } from 'vitest';
import { loadPolicy } from '../../src/policy/file.ts';
import { loadProcfile } from '../../src/policy/procfile.ts';
import { load, problemsOf, told, type World } from './policies.ts';

/** The paths of what is told. */
const paths = (text: string, world: World = {}): string[] => problemsOf(text, world).map(({ path }) => path);
/** `path: message` of what is told of one command, the path below it. */
const wrong = (lines: string): string[] =>
  problemsOf(`commands: {x: {run: prog, ${lines}}}`).map(
    ({ path, message }) => `${path.replace('commands.x.', '')}: ${message}`,
  );

describe('all at once', () => {
  const circle = 'commands: {a: {run: x, requires: b}, b: {run: y, requires: [a, nope]}}';
  const ofCircle = ['commands.a.requires', 'commands.b.requires.1'];

  test.each(['container:', 'defaults: 5', 'on:', 'groups: {g: {members: [a], strategy: x}}'])(
    '%s, and what commands say of one another',
    (section) => {
      const [name] = /^\w+/.exec(section)!;
      expect(paths(`${circle}\n${section}`).filter((path) => !path.startsWith(name))).toEqual(ofCircle);
      expect(paths(`${circle}\n${section}`)).toHaveLength(3);
    },
  );

  test('where names are missing, nobody is told that there is no such name', () => {
    for (const rest of ['groups: 5', 'include: a.yaml']) {
      const found = paths(`${circle}\n${rest}`, { files: { 'a.yaml': 'commands: [' } });
      expect(found).toContain('commands.a.requires');
      expect(found).not.toContain('commands.b.requires.1');
    }
  });

  test.each<[string, string[]]>([
    ['{ready: {tcp: 1, http: "http://x"}, nice: 99}', ['ready', 'nice']],
    ['{ready: {tcp: 1, http: "http://x", timeout: soon}}', ['ready', 'ready.timeout']],
    ['{kind: cron, nice: 99}', ['kind', 'nice']],
    [
      '{nice: 99, stop: {signal: INT, signals: [x], tmeout: 1}}',
      ['nice', 'stop.signal', 'stop.signals', 'stop.tmeout'],
    ],
    ['{reload: {signal: HUP, command: 5}}', ['reload', 'reload.command']],
    ['{health: {http: {url: "http://x", port: 0}}}', ['health.http', 'health.http.port']],
    ['{kind: oneshot, schedule: "* * *"}', ['schedule', 'schedule']],
    ['{user: "a:b", group: c, umask: 1}', ['group', 'umask']],
  ])('%s', (raw, expected) => {
    expect(paths(`commands: {x: ${raw.replace('{', '{run: y, ')}}`).map((path) => path.slice(11))).toEqual(
      expected,
    );
  });

  test('what is wrong is not missing as well, and nothing follows from it', () => {
    for (const [raw, ...expected] of [
      ['ready: {tcp: 0}', 'ready.tcp'],
      ['ready: {delay: 2m, timeout: soon}', 'ready.timeout'],
      ['kind: onshot, retries: 3', 'kind'],
      ['kind: cron, schedule: x', 'schedule'],
      ['schedule: x, overlap: skip', 'schedule'],
      ['backoff: {first: 5m, max: soon}', 'backoff.max'],
      ['stop: {signal: TREM}', 'stop.signal'],
      ['reload: {command: 5}', 'reload.command'],
      ['schedule: {cron: 5}', 'schedule.cron'],
      ['match: {name: 5}', 'match.name'],
      ['intensity: {restarts: 5}', 'intensity.within'],
      ['ready: {http: {port: 0}}', 'ready.http.port'],
    ] as const) {
      expect(wrong(raw).map((line) => line.split(':')[0])).toEqual(expected);
    }
    // It may be a oneshot, or end by itself, for all that is known.
    const target = (raw: string, rest = '') =>
      paths(`commands: {a: {run: x, requires: {b: completed}}, b: {run: y, ${raw}}}\n${rest}`);
    expect(target('kind: onshot')).toEqual(['commands.b.kind']);
    expect(target('restart: nver')).toEqual(['commands.b.restart']);
    expect(target('kind: cron')).toEqual(['commands.b.kind']);
    expect(target('nice: 99')).toEqual(['commands.a.requires.b', 'commands.b.nice']);
    expect(target('', 'defaults: {restart: nver}')).toEqual(['defaults.restart']);
    expect(paths('defaults: {ready: {timeout: soon}}\ncommands: {a: {run: x, ready: {delay: 2m}}}')).toEqual([
      'defaults.ready.timeout',
    ]);
    expect(paths('commands: {a: x}\non: {p: {events: died, webhook: {url: 5}}}')).toEqual([
      'on.p.webhook.url',
    ]);
  });

  test('a circle of commands that have other mistakes', () => {
    expect(
      paths('commands: {a: {run: x, requires: b, kind: zz}, b: {run: x, requires: a, nice: 99}}'),
    ).toEqual(['commands.a.requires', 'commands.a.kind', 'commands.b.nice']);
  });

  test('every circle', () => {
    const pair = (a: string, b: string) => `${a}: {run: x, requires: ${b}}, ${b}: {run: x, after: ${a}}`;
    expect(
      paths(`commands: {${pair('a', 'b')}, ${pair('c', 'd')}}\ngroups: {g: [h], h: [g], i: [j], j: [i]}`),
    ).toEqual(['commands.a.requires', 'commands.c.requires', 'groups.g', 'groups.i']);
    expect(
      paths('commands: {a: {run: x, after: b}, b: {run: x, after: [a, c]}, c: {run: x, after: b}}'),
    ).toEqual(['commands.a.after', 'commands.b.after.1']);
  });

  test('every contradiction to the order of a group', () => {
    const commands = 'a: {run: x, requires: b}, b: x, c: {run: x, after: d}, d: x';
    const group = 'groups: {g: {members: [a, b, c, d], strategy: rest_for_one}}';
    expect(told(`commands: {${commands}}\n${group}`).map((line) => line.split('; ')[1])).toEqual([
      'put b in front of a',
      'put d in front of c',
    ]);
  });

  test('names that nobody has, in groups with other mistakes', () => {
    expect(paths('commands: {a: x}\ngroups: {g: {members: [a, b], strategy: z}}')).toEqual([
      'groups.g.members.1',
      'groups.g.strategy',
    ]);
  });

  test('what is wrong in the defaults is told once, and there', () => {
    const commands =
      'commands: {a: x, b: y, c: {run: z, backoff: {jitter: 0}, env: {B: 1}, stop: {timeout: 1s}}}';
    for (const [raw, path] of [
      ['backoff: {first: 5m, max: 1s}', 'backoff'],
      ['stop: {signal: TERM, signals: [INT]}', 'stop.signal'],
      ['stop: {}', 'stop'],
      ['user: "a:b", group: c', 'group'],
      ['env: {T: a}, secrets: [T]', 'secrets'],
      ['env: [T=a, T=b]', 'env.1'],
      ['reload: {}', 'reload'],
    ]) {
      expect(paths(`defaults: {${raw}}\n${commands}`)).toEqual([`defaults.${path}`]);
    }
    // What a command adds to that is its own.
    expect(
      paths('defaults: {env: {T: a}}\ncommands: {a: {run: x, secrets: [T]}, b: {run: y, env: {T: b}}}'),
    ).toEqual(['commands.a.secrets']);
    expect(paths('defaults: {secrets: [T]}\ncommands: {a: x, b: {run: y, env: {T: b}}}')).toEqual([
      'commands.b.env',
    ]);
  });
});

describe('variables in quotes', () => {
  const env = { F: 'true', P: '80', ID: '5' };

  test('are numbers and flags where these are meant, and texts where those are', () => {
    const text = `{"defaults": {"noNewPrivileges": "\${F}"}, "commands": {"a": {
      "run": "x", "nice": "\${N:-5}", "successCodes": [0, "\${ID}"], "ready": {"listening": "\${P}"},
      "cwd": "\${ID}", "env": {"A": "\${ID}"}, "log": {"prefix": "\${F}"}, "limits": {"nofile": "\${P}"}
    }}, "container": {"http": "\${F}"}}`;
    const policy = load(text, { env });
    expect(policy.container.http).toBe('127.0.0.1:8753');
    expect(policy.commands[0]!.policy).toMatchObject({
      machine: { successCodes: [0, 5] },
      ready: { port: 80 },
      execution: {
        nice: 5,
        cwd: '5',
        env: { A: '5' },
        noNewPrivileges: true,
        limits: { nofile: { soft: '80' } },
      },
      log: { prefix: 'true' },
    });
    expect(
      load(`x-n: &n "\${ID}"\ncommands: {a: {run: x, nice: *n, cwd: *n}}`, { env }).commands[0]!.policy,
    ).toMatchObject({ execution: { nice: 5, cwd: '5' } });
  });

  test('that are none are told as they are', () => {
    expect(told(`commands: {a: {run: x, nice: "\${N:-99}"}, b: {run: x, nice: "\${N:-z}"}}`)).toEqual([
      '1:30 commands.a.nice: expected a whole number from -20 to 19, got 99',
      '1:61 commands.b.nice: expected a whole number from -20 to 19, got "z"',
    ]);
    // What is no variable is what it was written as.
    expect(wrong('nice: "5"')).toEqual(['nice: expected a whole number from -20 to 19, got "5"']);
  });
});

const signals = 'signals and the time between them, as in [TERM, 5s, KILL]';
const most = '9007199254740991';
test.each<[string, ...string[]]>([
  // Words that look like a signal.
  [
    'reload: SIGHPU',
    'reload: expected a signal such as HUP, or a command, got "SIGHPU", did you mean HUP? Write {signal: …} for that; its path, or {command: SIGHPU}, where it is a program',
  ],
  [
    'stop: SIGTREM',
    'stop: expected a command, got "SIGTREM", did you mean TERM? Write {signal: …} for that; its path, or {command: SIGTREM}, where it is a program',
  ],
  ['stop: [KIL]', expect.stringContaining('did you mean KILL?')],
  ['stop: KIL -x, reload: sync'],
  ['stop: /bin/KIL, reload: {command: HPU}'],
  // Twice the same, and what comes too late.
  ['env: [A=1, B=2, A=2]', 'env.2: A is there twice; take one out'],
  [
    'stop: {signals: [KILL, 5s, TERM]}',
    'stop.signals: expected KILL at the end, got "TERM"; nothing is left that could be sent another signal',
  ],
  // What is no such thing at all.
  ['stop: {signals: TERM}', `stop.signals: expected ${signals}, got "TERM"`],
  ['stop: {signals: [[x]]}', 'stop.signals.0: expected a signal or a duration, got a list'],
  ['stop: {signals: [TERM, null, KILL]}', 'stop.signals.1: expected a signal or a duration, got nothing'],
  [
    'ready: {http: {port: 1, status: [[]]}}',
    'ready.http.status.0: expected a status such as 200 or "200-299", got an empty list',
  ],
  [
    'ready: {http: {port: 1, status: []}}',
    'ready.http.status: expected a status such as 200, "200-299", or a list of such, got an empty list',
  ],
  // Out of all bounds, and told once.
  ['ready: {tcp: 1e30}', 'ready.tcp: expected a port, or host:port, got 1e+30'],
  ['log: {file: {path: /x, size: 1e30}}', 'log.file.size: expected a size such as 10MB, got 1e+30'],
  ['kind: oneshot, retries: 1e30', `retries: expected a whole number from 0 to ${most}, got 1e+30`],
  [
    'intensity: {restarts: 1e30, within: 1m}',
    `intensity.restarts: expected a whole number from 0 to ${most}, got 1e+30`,
  ],
  ['limits: {nofile: 1e30}', `limits.nofile: expected a whole number from 0 to ${most}, got 1e+30`],
  ['group: -1', 'group: expected a whole number from 0 on, got -1'],
  [
    'backoff: {first: 99999999999999}',
    'backoff.first: expected a duration of at most 24d, got 99999999999999',
  ],
  // Nearly right.
  [
    'ready: {http: {port: 1, path: "/a b"}}',
    'ready.http.path: expected a path without spaces, got "/a b"; write %20 for one',
  ],
  ['ready: {http: {port: 1, path: a}}', 'ready.http.path: expected a path that begins with /, got "a"'],
  [
    'schedule: "@dayly"',
    'schedule: expected a schedule such as "*/5 * * * *" or @daily, got "@dayly", did you mean @daily?',
  ],
  ['schedule: "@Daily"'],
  [
    'schedule: {cron: "@daily", timezone: Europe/Berln}',
    'schedule.timezone: expected a time zone such as Europe/Berlin, got "Europe/Berln", did you mean Europe/Berlin?',
  ],
  // A value in the place of a mapping.
  ['backoff: 5s', 'backoff: expected a mapping such as {first: …}, got "5s"'],
  ['intensity: 5', 'intensity: expected a mapping such as {restarts: …}, got 5'],
  ['ready: 8080', 'ready: expected a mapping such as {tcp: …}, got 8080'],
  ['match: foo', 'match: expected a mapping such as {name: …}, got "foo"'],
  ['secrets: {A: /run/x}', 'secrets.A: expected a mapping such as {file: …}, got "/run/x"'],
  ['limits: 5', 'limits: expected a mapping such as {nofile: …}, got 5'],
  // What is no probe for health.
  [
    'health: {log: x}',
    'health.log: is no probe for health: that a line was written once says nothing of how it is now; use it in ready, and here tcp, http, exec, file, notify or listening',
  ],
  [
    'health: {tcp: 1, delay: 5s}',
    'health.delay: is no probe for health: that some time has passed says nothing of how it is now; use it in ready, and here grace for failures soon after the start',
  ],
  // What no request and no line can have.
  [
    'ready: {http: {port: 1, headers: {"a b": y}}}',
    'ready.http.headers.a b: cannot use the header "a b": its name is made of letters, digits, and any of !#$%&\'*+-.^_`|~; choose such a name',
  ],
  [
    'ready: {http: {port: 1, headers: {A: "x\\ny", B: ü, C: 5}}}',
    'ready.http.headers.A: cannot use this value for a header: it has a line break in it, or something else that no header can have; take that out',
  ],
  [
    'ready: {http: {port: 1, expectHeaders: {"a:": y}}}',
    expect.stringContaining('expectHeaders.a:: cannot use the header "a:": '),
  ],
  ['log: {prefix: "a\\nb"}', 'log.prefix: expected a text in one line, got "a\\nb"'],
])('%s', (lines, ...messages) => {
  expect(wrong(lines)).toEqual(messages);
});

test('headers of a webhook are looked at as well', () => {
  const headers = '{"a b": {file: /x}, B: "x\\ny", C: {file: /x}}';
  expect(
    paths(`commands: {a: x}\non: {p: {events: died, webhook: {url: "http://x", headers: ${headers}}}}`),
  ).toEqual(['on.p.webhook.headers.a b', 'on.p.webhook.headers.B']);
});

test('the commonest slip has a remedy, and what is too deep a place', () => {
  expect(told('commands:\n  a: x\n  b: sh -c "a: b"\n')).toEqual([
    '3:6 it can not be read as YAML: Nested mappings are not allowed in compact mappings; put a text that has ": " in it in quotes as a whole',
  ]);
  const [deep] = problemsOf(`commands:\n  a: ${'['.repeat(200)}`);
  expect(deep).toMatchObject({ line: 2, message: 'it is nested too deeply; make it flat' });
  expect(deep!.column).toBeGreaterThan(70);
});

describe('the encoding of a file', () => {
  const read = (bytes: Uint8Array) => () => {
    loadPolicy('upkeep.yaml', { env: {}, readFile: () => bytes });
  };

  test('is UTF-8', () => {
    const policy = loadPolicy('upkeep.yaml', {
      env: {},
      readFile: () => Buffer.from('\uFEFFcommands: {a: echo ä€\uFFFD😀}'),
    });
    expect(policy.commands[0]!.args).toEqual(['ä€\uFFFD😀']);
  });

  test.each<[string, Uint8Array, string]>([
    [
      'Latin-1',
      Buffer.from('commands:\n  a: ä\n', 'latin1'),
      '2:6: the byte 0xe4 is no UTF-8; save the file as UTF-8',
    ],
    ['after others', Buffer.from([...Buffer.from('a: äö\nb: '), 0xff]), '2:4: the byte 0xff is no UTF-8;'],
    ['cut off', Buffer.from([...Buffer.from('a: '), 0xe2, 0x82]), '1:4: the byte 0xe2 is no UTF-8;'],
    [
      'half a character',
      Buffer.from([...Buffer.from('a: '), 0xef, 0xbf, 0x41]),
      '1:4: the byte 0xef is no UTF-8;',
    ],
    ['UTF-16', Buffer.from('\uFEFFcommands: {a: b}', 'utf16le'), '1:1: it is in UTF-16; save it as UTF-8'],
    ['UTF-16 without a mark', Buffer.from('commands: {a: b}', 'utf16le'), '1:1: it is in UTF-16;'],
    ['UTF-16, big end first', Buffer.from('\uFEFFa: b', 'utf16le').swap16(), '1:1: it is in UTF-16;'],
  ])('%s', (_, bytes, message) => {
    expect(read(bytes)).toThrow(`\nupkeep.yaml:${message}`);
  });

  test('of an included file, and of a Procfile', () => {
    const bad = Buffer.from('# ä\n', 'latin1');
    const readFile = (path: string) => (path === 'a.yaml' ? bad : 'include: a.yaml\ncommands: {b: c}');
    expect(() => loadPolicy('upkeep.yaml', { env: {}, readFile })).toThrow('\na.yaml:1:3: the byte 0xe4 ');
    expect(() => loadProcfile('Procfile', { readFile: () => bad })).toThrow('\nProcfile:1:3: the byte 0xe4 ');
  });
});
