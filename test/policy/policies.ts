/** Policies for tests: files that are not there, and all that can stand in one. */
import fc from 'fast-check';
import { stringify } from 'yaml';
import { OCCASIONS } from '../../src/output/occasions.ts';
import { loadPolicy } from '../../src/policy/file.ts';
import { escapeDollars } from '../../src/policy/interpolate.ts';
import { PolicyError, type Problem } from '../../src/policy/problems.ts';
import type { Policy } from '../../src/policy/spec.ts';
import { LIMITS } from '../../src/policy/values.ts';

export interface World {
  readonly env?: Readonly<Record<string, string>>;
  /** Further files, by path. */
  readonly files?: Readonly<Record<string, string>>;
}

/** Reads the text as upkeep.yaml. */
export function load(text: string, { env = {}, files = {} }: World = {}): Policy {
  return loadPolicy('upkeep.yaml', { env, readFile: readerOf({ 'upkeep.yaml': text, ...files }) });
}

export function readerOf(files: Readonly<Record<string, string>>): (path: string) => string {
  return (path) => {
    if (Object.hasOwn(files, path)) return files[path]!;
    throw Object.assign(new Error(`ENOENT: no such file or directory, open '${path}'`), { code: 'ENOENT' });
  };
}

/** What is wrong with it; nothing where it can be read. */
export function problemsOf(text: string, world: World = {}): readonly Problem[] {
  try {
    load(text, world);
    return [];
  } catch (error) {
    if (error instanceof PolicyError) return error.problems;
    throw error;
  }
}

/** As `line:column path: message`. */
export function told(text: string, world: World = {}): string[] {
  return problemsOf(text, world).map(
    ({ line, column, path, message }) => `${line}:${column} ${path === '' ? '' : `${path}: `}${message}`,
  );
}

const oneOf = fc.constantFrom;
const duration = fc.oneof(
  fc.integer({ min: 10, max: 100_000 }).map((ms) => `${ms}ms`),
  fc.integer({ min: 1, max: 100 }).map((minutes) => `${minutes}m`),
  fc.integer({ min: 1, max: 1000 }),
);
/** Texts with whatever has a meaning somewhere on the way. */
const word = fc
  .array(
    fc.oneof(
      fc.string({ minLength: 1, maxLength: 4 }),
      oneOf(
        '$',
        '$$',
        '${',
        '}',
        '\n',
        ': ',
        '#',
        "'",
        '1.10',
        'true',
        'null',
        '<<',
        '&a',
        '*a',
        '"',
        '\\',
        '-',
        'ü',
      ),
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map((parts) => parts.join(''));
const inOneLine = word.map((text) => text.replaceAll('\n', ' '));
/** What a header can have. */
const headerText = inOneLine.map((text) => text.replaceAll(/[^\x20-\x7e\x80-\xff]/g, '.'));
const program = oneOf('nginx', '/usr/sbin/sshd', 'node', '/etc/init.d/apache2', 'service', 'cd', 'if');
const commandLine = fc.oneof(
  oneOf(
    'nginx -g "daemon off;"',
    '/etc/init.d/cron start',
    'A=1 node x.js',
    'cd /srv && exec node x.js $PORT',
    'exec python3 app.py',
    'echo $$',
  ),
  fc.tuple(program, fc.array(word, { maxLength: 3 })).map(([first, rest]) => [first, ...rest]),
);
const http = fc.oneof(
  fc.constant('http://127.0.0.1:8080/health'),
  fc.record(
    {
      url: oneOf('https://[::1]/x?y=$' + '{Z}', 'http://db:80'),
      method: oneOf('HEAD', 'POST'),
      headers: fc.dictionary(fc.constantFrom('Host', 'X-A'), fc.oneof(headerText, fc.integer())),
      status: fc.oneof(fc.constant(204), fc.constant('200-299'), fc.constant([200, '300-301'])),
      expectHeaders: fc.dictionary(oneOf('Content-Type', 'x-b'), oneOf('json$', '^a')),
      body: oneOf('ok$', '\\$\\{'),
    },
    { requiredKeys: ['url'] },
  ),
  fc.record(
    { port: fc.integer({ min: 1, max: 65_535 }), path: fc.constant('/up') },
    { requiredKeys: ['port'] },
  ),
);
const probe = fc.oneof(
  fc.record({ tcp: oneOf<string | number>(80, 'db:5432', '[::1]:22', '8080') }),
  fc.record({ http }),
  fc.record({ exec: commandLine }),
  fc.record({
    file: fc.oneof(word, fc.record({ path: word, fresh: fc.boolean() }, { requiredKeys: ['path'] })),
  }),
  fc.record({ notify: fc.constant(true) }),
  fc.record({ listening: fc.integer({ min: 1, max: 65_535 }) }),
);
const readyProbe = fc.oneof(
  probe,
  fc.record({ log: oneOf('ready$', '^x') }),
  fc.record({ delay: fc.constant('10ms') }),
);
const maybe = <T extends Record<string, fc.Arbitrary<unknown>>>(shape: T) =>
  fc.record(shape, { requiredKeys: [] });
/** A path that is in no other folder. */
const within = (folder: string) => word.map((name) => `/${folder}/${name.replaceAll('.', '…')}`);
const signal = oneOf('TERM', 'SIGINT', 'quit', 'KILL');
const intensity = fc.record({ restarts: fc.nat(10), within: duration });
const limit = fc.oneof(
  fc.nat(100),
  fc.constant('unlimited'),
  fc.record({ soft: fc.nat(10), hard: fc.oneof(fc.constant('unlimited'), fc.constant(11)) }),
);

/** Whatever `defaults` and a command share. */
const shared = {
  autostart: fc.boolean(),
  restart: oneOf('on-failure', 'never'),
  successCodes: fc.oneof(fc.constant(3), fc.array(fc.nat(255), { minLength: 1, maxLength: 3 })),
  backoff: maybe({
    first: fc.constant('50ms'),
    factor: fc.double({ min: 1, max: 10, noNaN: true }),
    max: fc.constant('2m'),
    jitter: fc.double({ min: 0, max: 1, noNaN: true }),
    stable: duration,
  }),
  intensity,
  onFailed: oneOf('ignore', 'exit'),
  stop: fc.oneof(
    commandLine,
    fc
      .tuple(
        fc.oneof(
          fc.record({ command: commandLine }),
          fc.record({ signal }),
          fc.record({ signals: fc.constant(['TERM', '5s', 'INT', 2, 'KILL']) }),
          fc.record({ command: commandLine, signals: fc.constant(['HUP', '1ms', 'TERM']) }),
          fc.record({ timeout: duration }),
        ),
        maybe({ timeout: duration, stragglers: oneOf('stop-all', 'keep') }),
      )
      .map(([how, rest]) => ({ ...how, ...rest })),
  ),
  reload: fc.oneof(
    fc.constant('HUP'),
    commandLine,
    fc.record({ signal }),
    fc.record({ command: commandLine }),
    fc.record({ command: commandLine, timeout: oneOf('1ms', '2m') }),
  ),
  user: oneOf<string | number>('www-data', 'www:data', 1000, '7:8'),
  groups: fc.array(oneOf<string | number>('a', 5), { maxLength: 2 }),
  umask: oneOf('0027', '077', '0'),
  cwd: word,
  env: fc.oneof(
    fc.dictionary(oneOf('A', 'PATH', 'x.y'), fc.oneof(word, fc.integer(), fc.boolean())),
    fc.uniqueArray(
      word.map((text) => `A_${text.length}=${text}`),
      { maxLength: 2, selector: (text) => text.split('=')[0] },
    ),
  ),
  envFile: fc.oneof(
    word.filter((text) => text !== '-'),
    fc.constant(['-/etc/a', '/etc/b']),
  ),
  secrets: fc.oneof(fc.constant(['S']), fc.dictionary(oneOf('S', 'T'), maybe({ file: word }))),
  nice: fc.integer({ min: -20, max: 19 }),
  limits: fc.dictionary(oneOf(...LIMITS), limit, { maxKeys: 3 }),
  noNewPrivileges: fc.boolean(),
  capabilities: fc.array(oneOf('NET_BIND_SERVICE', 'cap_chown', 'kill'), { maxLength: 2 }),
  settle: duration,
  startTimeout: duration,
  linger: duration,
  log: maybe({
    prefix: fc.oneof(fc.boolean(), inOneLine),
    format: oneOf('plain', 'json'),
    file: fc.oneof(
      within('logs'),
      fc
        .record(
          {
            path: within('logs'),
            size: oneOf<string | number>('10MB', '512k', 7),
            count: fc.nat(9),
            tee: fc.boolean(),
          },
          { requiredKeys: ['path'] },
        )
        // Who shares a file says the same of it.
        .map((file) => ({ ...file, path: `${file.path}.${file.size}.${file.count}` })),
    ),
    // What upkeep writes is not followed.
    tail: fc.oneof(within('tails'), fc.array(within('tails'), { minLength: 1, maxLength: 2 })),
  }),
};
const readyTimes = { timeout: fc.constant('3m'), interval: duration };
const healthTimes = {
  every: duration,
  timeout: duration,
  failures: fc.integer({ min: 1, max: 9 }),
  successes: fc.integer({ min: 1, max: 9 }),
  grace: duration,
  onUnhealthy: oneOf('restart', 'ignore', 'fail'),
};

const kind = fc.oneof(
  fc.record({}),
  fc.record({ kind: fc.constant('service') }),
  fc
    .record(
      {
        kind: fc.constant('oneshot'),
        retries: fc.oneof(fc.integer({ min: 0, max: 5 }), fc.constant('unlimited')),
      },
      { requiredKeys: ['kind'] },
    )
    .map((given) => ({ ...given, restart: 'on-failure' })),
  fc.record(
    {
      schedule: fc.oneof(
        fc.constant('*/5 * * * *'),
        fc.record(
          { cron: oneOf('@daily', '0 0 1 1 *'), timezone: fc.constant('Europe/Berlin') },
          { requiredKeys: ['cron'] },
        ),
      ),
      overlap: oneOf('skip', 'queue', 'kill'),
      jitter: duration,
    },
    { requiredKeys: ['schedule'] },
  ),
);

const command = fc.oneof(
  commandLine.filter((line) => typeof line === 'string'),
  fc
    .tuple(
      fc.record({ run: commandLine }),
      maybe({
        match: fc.record(
          {
            name: word,
            pattern: oneOf('^a', 'b$'),
            user: oneOf<string | number>('x', 3),
            parent: word,
            pidFile: word,
            count: fc.constant([1, 3]),
          },
          { requiredKeys: ['name'] },
        ),
        ready: fc.tuple(readyProbe, maybe(readyTimes)).map(([one, times]) => ({ ...one, ...times })),
        health: fc.tuple(probe, maybe(healthTimes)).map(([one, times]) => ({ ...one, ...times })),
        ...shared,
      }),
      kind,
    )
    .map(([run, rest, how]) => ({ ...run, ...rest, ...how })),
);

/** No part of a notification is called as what stands in braces by chance. */
const bodyText = word.map((text) => text.replaceAll(/\{(\w+)\}/g, '$1'));
const webhook = fc.oneof(
  fc.constant('https://hooks.example.com/a?b=$' + '{C}'),
  fc.record(
    {
      url: fc.oneof(fc.constant('http://[::1]:9000'), fc.record({ file: word })),
      headers: fc.dictionary(
        oneOf('Authorization', 'X-A'),
        fc.oneof(headerText, fc.record({ file: word }), fc.integer(), fc.boolean()),
      ),
      body: fc.dictionary(
        oneOf('text', 'more'),
        fc.oneof(
          bodyText,
          fc.integer(),
          fc.constant(null),
          fc.array(bodyText),
          fc.constant({ a: '{message} {}' }),
        ),
      ),
    },
    { requiredKeys: ['url'] },
  ),
);
const hookShared = {
  commands: fc.constantFrom('first', ['first'], undefined),
  timeout: duration,
  retries: fc.nat(9),
  interval: duration,
};
/** `first` among its commands stands for the first name there is. */
const hook = fc
  .tuple(
    fc.record({ events: fc.oneof(oneOf(...OCCASIONS), fc.subarray([...OCCASIONS], { minLength: 1 })) }),
    fc.oneof(fc.record({ webhook }), fc.record({ run: commandLine })),
    maybe(hookShared),
  )
  .map(([events, how, rest]): Record<string, unknown> => ({ ...events, ...how, ...rest }));

const milestone = oneOf('started', 'ready');
const NAMES = ['web', 'db', '7', 'cache', 'a.b', 'constructor'];

/** What a file may hold, as plain values, without mistakes. */
export const rawPolicies = fc
  .tuple(
    fc.subarray(NAMES, { minLength: 1 }),
    fc.array(command, { minLength: NAMES.length, maxLength: NAMES.length }),
    // Of each command, what the ones before it are to it.
    fc.array(
      fc.array(fc.oneof(fc.constant(null), milestone, fc.constant('after')), { minLength: 6, maxLength: 6 }),
      {
        minLength: 6,
        maxLength: 6,
      },
    ),
    maybe({ defaults: maybe({ ...shared, ready: maybe(readyTimes), health: maybe(healthTimes) }) }),
    maybe({
      intensity,
      onFailed: oneOf('ignore', 'exit'),
      strategy: oneOf('one_for_all', 'rest_for_one', 'one_for_one'),
    }),
    maybe({
      container: maybe({
        grace: duration,
        exitWhen: oneOf('never', 'all-done', 'any-failed'),
        syslog: fc.constantFrom(true, false, '/dev/log', '/run/log', 'true'),
        http: fc.constantFrom(true, false, 80, '8753', '127.0.0.1:8753', '0.0.0.0:80', '[::1]:80'),
      }),
    }),
    fc.dictionary(oneOf('pager', '7', 'a.b'), hook, { maxKeys: 2 }),
  )
  .map(([names, commands, relations, defaults, group, container, hooks]) => {
    const isCron = (index: number): boolean =>
      typeof commands[index] === 'object' && 'schedule' in commands[index]!;
    const entries = names.map((name, index): [string, unknown] => {
      const said = commands[index]!;
      const mapping = (typeof said === 'string' ? { run: said } : said) as object;
      const earlier = names.slice(0, index).map((other, at) => [other, relations[index]![at], at] as const);
      const requires = earlier.filter(([, how, at]) => how !== null && how !== 'after' && !isCron(at));
      const after = earlier.filter(([, how]) => how === 'after').map(([other]) => other);
      const fitted = {
        ...mapping,
        ...(requires.length > 0 && {
          requires: Object.fromEntries(requires.map(([other, how]) => [other, how])),
        }),
        ...(after.length > 0 && { after }),
      };
      return [name, index % 2 === 0 && requires.length + after.length === 0 ? said : fitted];
    });
    return {
      ...defaults,
      commands: Object.fromEntries(entries),
      ...(names.length > 2 && {
        groups: { all: { members: names, ...group }, outer: ['all'] },
        container: { ...(container.container as object), exitCodeFrom: names[0] },
      }),
      ...(Object.keys(hooks).length > 0 && {
        on: Object.fromEntries(
          Object.entries(hooks).map(([name, { commands: of, ...rest }]) => {
            const first = names.length > 2 ? 'all' : names[0];
            const whose = of === undefined ? {} : { commands: Array.isArray(of) ? [first, names[0]] : first };
            return [name, { ...rest, ...whose }];
          }),
        ),
      }),
    };
  });

/** Plain values as a file, in which dollars mean themselves. */
export function fileOf(raw: unknown): string {
  const escaped = (value: unknown): unknown => {
    if (typeof value === 'string') return escapeDollars(value);
    if (Array.isArray(value)) return value.map(escaped);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, escaped(one)]));
  };
  return stringify(escaped(raw), { lineWidth: 0, aliasDuplicateObjects: false });
}
