/** The format of a policy file. */
import { z } from 'zod';
import { OCCASIONS } from '../output/occasions.ts';
import { NAME } from './command.ts';
import { didYouMean, UsageError } from './usage-error.ts';
import {
  described,
  expectedText,
  HTTP_WHERE,
  LIMITS,
  readAccount,
  readAssignment,
  readCapability,
  readCron,
  readDuration,
  readEnvFile,
  readExitWhen,
  readHeaderName,
  readHeaderValue,
  readHttpAddress,
  readLimit,
  readPattern,
  readProgram,
  readReload,
  readSignal,
  readSignals,
  readSize,
  readStatus,
  readStopCommand,
  readStopLine,
  readTcp,
  readTimezone,
  readUmask,
  readUrl,
  readUser,
  VARIABLE,
} from './values.ts';

/** What a mistake of zod's is called here. */
export const expected = (what: string, hint = '') => ({
  error: ({ input }: { readonly input?: unknown }) => expectedText(what, input, hint),
});

/** The schema, and whatever its reader does not read. */
export function read<T extends z.ZodType>(schema: T, reader: (value: z.output<T>) => unknown): T {
  return schema.superRefine((value, context) => {
    try {
      reader(value);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
    }
  });
}

export const text = (what: string) => z.string(expected(what)).min(1, { ...expected(what), abort: true });
export const flag = () => z.boolean(expected('true or false'));
export const whole = (least: number, most: number = Number.MAX_SAFE_INTEGER) => {
  const error = ({ input }: { readonly input?: unknown }) => {
    const isOpen = most === Number.MAX_SAFE_INTEGER && !(typeof input === 'number' && input > most);
    return expectedText(`a whole number from ${least} ${isOpen ? 'on' : `to ${most}`}`, input);
  };
  // Whatever is wrong with it is told once.
  const once = { error, abort: true };
  return z.int(once).min(least, once).max(most, once);
};
/** A whole number that its reader looks at. */
const integer = (what: string) => z.int({ ...expected(what), abort: true });
const oneOf = <const T extends readonly string[]>(choices: T) =>
  z.enum(choices, {
    error: ({ input }) => {
      const hint = typeof input === 'string' ? didYouMean(input, choices) : '';
      return expectedText(`one of ${choices.join(', ')}`, input, hint);
    },
  });

const DURATION = 'a duration such as 500ms, 1.5s, 2m or 1h';
const duration = (least = 0) =>
  read(z.union([z.number(), z.string()], expected(DURATION)), (value) => readDuration(value, least));
const pattern = () => read(text('a regular expression'), readPattern);
const textOrNumber = (what: string) => z.union([text(what), whole(0)], expected(what));
const account = () => read(textOrNumber('a name or a number'), readAccount);

/** A list, or its only element. */
export const some = <T extends z.ZodType>(element: T, what: string) =>
  z.union([element, z.array(element, expected(what)).min(1, expected(what))], expected(what));

/** The same, where none at all says something too: programs that write policies need no case for it. */
const any = <T extends z.ZodType>(element: T, what: string) =>
  z.union([element, z.array(element, expected(what))], expected(what));

/** A mapping of these keys and no others. The keys are handed on to who tells of an unknown one. */
export const mapping = <T extends z.ZodRawShape>(
  shape: T,
  what = `a mapping such as {${Object.keys(shape)[0]}: …}`,
) =>
  z.strictObject(shape, {
    error: ({ code, input }) =>
      code === 'unrecognized_keys' ? Object.keys(shape).join(' ') : expectedText(what, input),
  });

/** A mapping of names of the user's own. */
export const named = <T extends z.ZodType>(value: T, name: RegExp, what: string) =>
  z.record(
    z.string().regex(name, {
      error: ({ input }) =>
        `cannot use the name ${described(input)}: a name is made of letters, digits, "_", "." and "-", begins with none of the last two, and has at most 64 characters; choose such a name`,
    }),
    value,
    expected(what),
  );

/** A mapping of headers. */
const headersOf = <T extends z.ZodType>(value: T) =>
  z.record(read(z.string(), readHeaderName), value, expected('a mapping of headers'));

/** A mapping of names of variables. */
const variables = <T extends z.ZodType>(value: T, what: string) =>
  z.record(
    z.string().regex(VARIABLE, {
      error: ({ input }) =>
        `cannot use the name ${described(input)}: a variable's name is made of letters, digits and "_", and begins with no digit; choose such a name`,
    }),
    value,
    expected(what),
  );

const COMMAND = 'a command, or a list of its words';
const commandLine = (reader: (value: string | readonly string[]) => unknown) =>
  read(
    z.union(
      [
        text(COMMAND),
        z.array(z.string(expected('a word, in quotes'))).min(1, { ...expected(COMMAND), abort: true }),
      ],
      expected(COMMAND),
    ),
    reader,
  );
const value = () =>
  z.union([z.string(), z.number(), z.boolean()], expected('a text, a number, true or false'));

const intensity = () =>
  mapping({
    restarts: whole(0).describe('So many restarts are borne; one more, and it has failed for good.'),
    within: duration(1).describe('The time within which they are counted.'),
  });

const STATUS = 'a status such as 200, "200-299", or a list of such';
const status = () =>
  z.union([integer('a status such as 200'), z.string()], expected('a status such as 200 or "200-299"'));

const http = () =>
  z.union(
    [
      read(text('an address'), readUrl),
      mapping({
        url: read(text('an address'), readUrl)
          .describe('The address, http:// or https://. This, or port and path.')
          .optional(),
        port: whole(1, 65_535).describe('The port on 127.0.0.1, instead of url.').optional(),
        path: z
          .string(expected('a path that begins with /'))
          .regex(/^\/\S*$/, {
            error: ({ input }) =>
              String(input).startsWith('/')
                ? expectedText('a path without spaces', input, 'write %20 for one')
                : expectedText('a path that begins with /', input),
          })
          .describe('The path, with port. Default: /.')
          .optional(),
        method: z
          .string(expected('a method such as GET'))
          .regex(/^[A-Z]+$/, expected('a method such as GET'))
          .describe('The method of the request. Default: GET.')
          .optional(),
        headers: headersOf(read(value(), readHeaderValue)).describe('Headers of the request.').optional(),
        status: read(
          z.union([status(), z.array(status()).min(1, expected(STATUS))], expected(STATUS)),
          readStatus,
        )
          .describe('Which status is a success: 200, "200-299", or a list of such. Default: 200-399.')
          .optional(),
        expectHeaders: headersOf(pattern())
          .describe('Headers that the answer must have: by name, a regular expression for the value.')
          .optional(),
        body: pattern().describe("A regular expression that the answer's body must match.").optional(),
      }),
    ],
    expected('an address, or a mapping with url, or port and path'),
  );

const healthProbes = {
  tcp: read(z.union([integer('a port, or host:port'), z.string()], expected('a port, or host:port')), readTcp)
    .describe('This TCP port takes a connection: a port on 127.0.0.1, or host:port.')
    .optional(),
  http: http().describe('This address answers with a success.').optional(),
  exec: commandLine(readProgram).describe('This command ends with status 0.').optional(),
  file: z
    .union(
      [
        text('the path of a file'),
        mapping({
          path: text('the path of a file').describe('The path.'),
          fresh: flag().describe('It was changed after the launch. Default: false.').optional(),
        }),
      ],
      expected('the path of a file'),
    )
    .describe('This file is there.')
    .optional(),
  notify: z
    .literal(true, expected('true'))
    .describe(
      'The service says so itself, as with sd_notify: READY=1; for health WATCHDOG=1, time and again.',
    )
    .optional(),
  listening: whole(1, 65_535).describe('The service itself listens on this TCP port.').optional(),
};
const readyProbes = {
  ...healthProbes,
  log: pattern().describe('A line of its output matches this regular expression.').optional(),
  delay: duration(1).describe('So long after its launch.').optional(),
};
const readyTimes = {
  timeout: duration(1).describe('From its launch until it has to be ready. Default: 60s.').optional(),
  interval: duration(10).describe('Between two tries. Default: 250ms.').optional(),
};
const healthTimes = {
  every: duration(10).describe('From the end of a probe to the next. Default: 30s.').optional(),
  timeout: duration(1).describe('A probe that takes longer has failed. Default: 5s.').optional(),
  failures: whole(1).describe('Failures in a row that make it unhealthy. Default: 3.').optional(),
  successes: whole(1).describe('Successes in a row that make it healthy again. Default: 1.').optional(),
  grace: duration().describe('Failures this soon after the start do not count. Default: 0.').optional(),
  onUnhealthy: oneOf(['restart', 'ignore', 'fail'])
    .describe('What is done when it is unhealthy. Default: restart.')
    .optional(),
};

/** Exactly one of the keys: for editors. The conversion says it to people. */
const exactlyOne = (keys: readonly string[]) => ({ oneOf: keys.map((key) => ({ required: [key] })) });

const milestone = () => oneOf(['started', 'ready', 'completed']);

const SIGNALS = 'signals and the time between them, as in [TERM, 5s, KILL]';
const stop = z
  .union(
    [
      commandLine(readStopLine),
      mapping({
        command: commandLine(readStopCommand)
          .describe('A command that stops it. Signals follow for what is left.')
          .optional(),
        signal: read(text('the name of a signal'), readSignal)
          .describe('What is sent to stop it. Default: TERM.')
          .optional(),
        signals: read(
          z.array(z.union([z.string(), z.number()], expected('a signal or a duration')), expected(SIGNALS)),
          readSignals,
        )
          .describe('Several signals and the time between them, as in [TERM, 5s, INT, 2s, KILL].')
          .optional(),
        timeout: duration(1)
          .describe(
            'The most that a stop of it may take; what is left then is killed. Default: all that is given for the stop.',
          )
          .optional(),
        stragglers: oneOf(['stop-workers', 'stop-all', 'keep'])
          .describe(
            'What of it is stopped before it is started again when its leader has died. Default: stop-workers.',
          )
          .optional(),
      }),
    ],
    expected('a command, or a mapping with command, signal or signals'),
  )
  .describe('How it is stopped: a command, or a mapping.');

const reload = z
  .union(
    [
      commandLine(readReload),
      mapping({
        signal: read(text('the name of a signal'), readSignal).describe('What is sent.').optional(),
        command: commandLine(readProgram).describe('What is run.').optional(),
        timeout: duration(1)
          .describe(
            'How long the command may take; it is ended then, with all that it has started. Default: 90s.',
          )
          .optional(),
      }).meta(exactlyOne(['signal', 'command'])),
    ],
    expected('a signal such as HUP, or a command'),
  )
  .describe('What `upkeep reload` does: a signal such as HUP, or a command.');

const secret = () =>
  mapping({ file: text('the path of a file').describe('The file that holds its value.').optional() });

const limit = () => {
  const what = 'a number, unlimited, or a mapping of soft and hard';
  const single = () => z.union([z.literal('unlimited'), whole(0)], expected('a number, or unlimited'));
  return read(
    z.union([z.literal('unlimited'), whole(0), mapping({ soft: single(), hard: single() })], expected(what)),
    readLimit,
  );
};

const size = () =>
  read(z.union([integer('a size such as 10MB'), z.string()], expected('a size such as 10MB')), readSize);

const log = mapping({
  prefix: z
    .union(
      [flag(), z.string().regex(/^[^\r\n]*$/, expected('a text in one line'))],
      expected('true, false, or a text'),
    )
    .describe(
      'In front of each plain line: true for its name, false for nothing, or a text in place of the name. Default: true.',
    )
    .optional(),
  format: oneOf(['plain', 'json']).describe('How its lines are written. Default: as --log says.').optional(),
  file: z
    .union(
      [
        text('the path of a file'),
        mapping({
          path: text('the path of a file').describe('The path.'),
          size: size()
            .describe('A file of this size is put aside and a new one begun; 0: never. Default: 10MB.')
            .optional(),
          count: whole(0, 1000).describe('How many full files are kept. Default: 3.').optional(),
          tee: flag().describe("Its lines go to upkeep's own output as well. Default: true.").optional(),
        }),
      ],
      expected('the path of a file'),
    )
    .describe('A file that its lines are written to.')
    .optional(),
  tail: any(text('the path of a file'), 'the path of a file, or a list of such')
    .describe('Files whose new lines are logged as its own.')
    .optional(),
}).describe('What becomes of its output.');

/** What can be said of one command, and of all in `defaults`. */
const shared = {
  autostart: flag()
    .describe('Whether it is started by itself, or waits for `upkeep start`. Default: true.')
    .optional(),
  restart: oneOf(['always', 'on-failure', 'never'])
    .describe(
      'When it is started again. Default: always for a service, on-failure (within its retries) for a oneshot and for a run of a schedule.',
    )
    .optional(),
  retries: z
    .union([whole(0), z.literal('unlimited')], expected('a whole number, or unlimited'))
    .describe(
      'How often a oneshot or a run of a schedule is tried again after a failure, until it has failed for good. Default: 0.',
    )
    .optional(),
  successCodes: some(whole(0, 255), 'a list of exit codes')
    .describe('Exit codes that are no failure. Default: [0].')
    .optional(),
  backoff: mapping({
    first: duration(1).describe('The wait after the first failure. Default: 250ms.').optional(),
    factor: z
      .number(expected('a number from 1 on'))
      .min(1, expected('a number from 1 on'))
      .max(1000, expected('a number up to 1000'))
      .describe('By how much it grows with each failure in a row. Default: 2.')
      .optional(),
    max: duration(1).describe('The longest wait. Default: 1m.').optional(),
    jitter: z
      .number(expected('a number from 0 to 1'))
      .min(0, expected('a number from 0 to 1'))
      .max(1, expected('a number from 0 to 1'))
      .describe('Up to this part of each wait is taken off by chance. Default: 0.2.')
      .optional(),
    stable: duration().describe('A run this long forgets all failures. Default: 10s.').optional(),
  })
    .describe('How long is waited before it is started again.')
    .optional(),
  intensity: intensity()
    .describe('More restarts than this make it fail for good. Default: no limit.')
    .optional(),
  onFailed: oneOf(['ignore', 'exit'])
    .describe('Whether its failure for good ends the container. Default: ignore.')
    .optional(),
  stop: stop.optional(),
  reload: reload.optional(),
  user: read(textOrNumber('a user, or user:group'), readUser)
    .describe("Who runs it: a name or a number, or user:group. Default: upkeep's own user.")
    .optional(),
  group: account().describe("The group it runs with. Default: the user's own.").optional(),
  groups: z
    .array(account(), expected('a list of groups'))
    .describe('Its supplementary groups. Default: those that /etc/group gives the user.')
    .optional(),
  umask: read(z.string(expected('three octal digits in quotes, as in "0027"')), readUmask)
    .describe('Its file mode mask, octal and in quotes: "0027".')
    .optional(),
  cwd: text('the path of a folder').describe('The folder it is run in.').optional(),
  env: z
    .union(
      [variables(value(), 'variables'), z.array(read(text('a variable, as in NAME=value'), readAssignment))],
      expected('a mapping of variables, or a list of NAME=value'),
    )
    .describe('Environment variables: a mapping, or a list of NAME=value.')
    .optional(),
  envFile: any(read(text('the path of a file'), readEnvFile), 'the path of a file, or a list of such')
    .describe('Files of NAME=value lines, read at each start. A leading "-": it may be missing.')
    .optional(),
  secrets: z
    .union(
      [
        z.array(
          z.string(expected('the name of a variable')).regex(VARIABLE, expected('the name of a variable')),
        ),
        variables(secret(), 'secrets'),
      ],
      expected('a list of variables, or a mapping of them to {file: …}'),
    )
    .describe(
      'Variables whose values are read from files and never shown: a list of names (NAME_FILE says where), or a mapping of names to {file}.',
    )
    .optional(),
  nice: whole(-20, 19).describe('Its niceness, -20 to 19.').optional(),
  limits: mapping(
    Object.fromEntries(
      LIMITS.map((name) => [name, limit().describe(`The limit that prlimit calls ${name}.`).optional()]),
    ),
    'a mapping such as {nofile: …}',
  )
    .describe('Limits as prlimit calls them: a number, unlimited, or {soft, hard}.')
    .optional(),
  noNewPrivileges: flag()
    .describe('Nothing it starts can gain rights, as sudo does. Default: false.')
    .optional(),
  capabilities: z
    .array(read(text('a capability'), readCapability), expected('a list of capabilities'))
    .describe('All that is left of its capabilities. Default: all.')
    .optional(),
  settle: duration(1)
    .describe('A launcher that lives this long is the service itself. Default: 1s.')
    .optional(),
  startTimeout: duration(1)
    .describe('How long a launcher that should return may take. Default: 30s.')
    .optional(),
  linger: duration(1)
    .describe('How long is waited for the daemon of a launcher that returned. Default: 2s.')
    .optional(),
  log: log.optional(),
};

const command = mapping(
  {
    run: commandLine(readProgram).describe(
      'What is run: a command line as in arguments of upkeep, or a list of words.',
    ),
    match: mapping({
      name: text('the name of a program').describe('The name of its program.').optional(),
      pattern: pattern().describe('A regular expression for its command line.').optional(),
      user: account().describe('The user it runs as.').optional(),
      parent: text('the name of a program').describe("The name of its parent's program.").optional(),
      pidFile: text('the path of a file').describe('The file that it writes its process id to.').optional(),
      count: z
        .tuple([whole(1), whole(1)], expected('the least and the most, as in [1, 4]'))
        .describe('How many such processes there are, at least and at most.')
        .optional(),
    })
      .describe('Which process is the service, where upkeep can not tell. All that is given must hold.')
      .optional(),
    kind: oneOf(['service', 'oneshot', 'cron'])
      .describe(
        'A service runs on, a oneshot runs to its end once, cron at the times of its schedule. Default: service; cron where there is a schedule.',
      )
      .optional(),
    schedule: z
      .union(
        [
          read(text('a schedule'), readCron),
          mapping({
            cron: read(text('a schedule'), readCron).describe('The times.').optional(),
            pattern: read(text('a schedule'), readCron).describe('The times; the same as cron.').optional(),
            timezone: read(text('a time zone'), readTimezone)
              .describe("The time zone, as in Europe/Berlin. Default: the container's.")
              .optional(),
          }).meta(exactlyOne(['cron', 'pattern'])),
        ],
        expected('a schedule such as "*/5 * * * *", or a mapping'),
      )
      .describe("When it is run: cron's five or six fields, @daily and the like.")
      .optional(),
    overlap: oneOf(['skip', 'queue', 'kill'])
      .describe('What is done when a run is due while the one before it goes on. Default: skip.')
      .optional(),
    jitter: duration().describe('Each run is put off by a random time up to this. Default: 0.').optional(),
    after: any(text('a name'), 'a name, or a list of names')
      .describe('Commands or groups that are started before it and stopped after it, and no more.')
      .optional(),
    requires: z
      .union(
        [any(text('a name'), 'a name'), z.record(z.string(), milestone(), expected('a mapping'))],
        expected('a name, a list of names, or a mapping of names to started, ready or completed'),
      )
      .describe(
        'Commands or groups that must be started, ready or completed before it is started. Default: completed for a oneshot, else ready.',
      )
      .optional(),
    ready: mapping({ ...readyProbes, ...readyTimes })
      .meta(exactlyOne(Object.keys(readyProbes)))
      .describe('When it counts as ready: exactly one probe.')
      .optional(),
    health: mapping({ ...healthProbes, ...healthTimes })
      .meta(exactlyOne(Object.keys(healthProbes)))
      .describe('Whether it is well: exactly one probe.')
      .optional(),
    ...shared,
  },
  'a command, or a mapping with run',
);

const defaults = mapping({
  ...shared,
  ready: mapping(readyTimes).describe('Times for every command that has ready.').optional(),
  health: mapping(healthTimes).describe('Times for every command that has health.').optional(),
});

const members = () =>
  z.array(text('a name'), expected('a list of names')).min(1, expected('a list of names'));
const group = mapping({
  members: members().describe('Names of commands or groups; each is in one group at most.'),
  strategy: oneOf(['one_for_one', 'one_for_all', 'rest_for_one'])
    .describe(
      'Who is restarted with a member: nobody, all, or those that come after it in the list. Default: one_for_one.',
    )
    .optional(),
  intensity: intensity()
    .describe(
      'More deaths than this, of all its members together, make it fail for good; starts that fail do not count. Default: no limit.',
    )
    .optional(),
  onFailed: oneOf(['ignore', 'exit'])
    .describe('Whether its failure for good ends the container. Default: ignore.')
    .optional(),
});

const container = mapping({
  grace: duration()
    .describe('The time in which everything stops when upkeep is asked to stop. Default: as --grace says.')
    .optional(),
  exitWhen: read(text('never, all-done, any-failed or "NAME done"'), readExitWhen)
    .describe(
      'When the container ends by itself: never, all-done, any-failed, or "NAME done". Default: never.',
    )
    .optional(),
  exitCodeFrom: text('the name of a command')
    .describe(
      "The command whose exit status is the container's when that ends by itself. Default: that of NAME with exitWhen: NAME done, else upkeep's own.",
    )
    .optional(),
  syslog: z
    .union([flag(), text('the path of a socket')], expected('true, false, or the path of a socket'))
    .describe(
      'Whether what programs send to syslog is logged: true for /dev/log, or the path of a socket. Default: as --syslog says.',
    )
    .optional(),
  http: z
    .union(
      [flag(), read(z.union([z.number(), text(HTTP_WHERE)], expected(HTTP_WHERE)), readHttpAddress)],
      expected(`true, false, ${HTTP_WHERE}`),
    )
    .describe(
      'Whether orchestrators are answered, at /livez, /readyz and /metrics: true for 127.0.0.1:8753, a port of 127.0.0.1, or ADDRESS:PORT. Default: as --http says.',
    )
    .optional(),
});

const EVENTS = `one of ${OCCASIONS.join(', ')}, or a list of such`;
/** Whoever has read the log writes `command.died`. */
const occasion = () =>
  z.enum(OCCASIONS, {
    error: ({ input }) => expectedText(EVENTS, input, nearOccasion(input)),
  });
const nearOccasion = (input: unknown): string =>
  typeof input === 'string' ? didYouMean(input.replace(/^command\./, ''), OCCASIONS) : '';

const fromFile = () =>
  mapping({ file: text('the path of a file').describe('The file that holds it.') }, 'a value, or {file: …}');
const given = () =>
  read(z.union([value(), fromFile()], expected('a value, or {file: …}')), (value) =>
    typeof value === 'object' ? value : readHeaderValue(value),
  );
const address = () => read(text('an address'), readUrl);

const hook = mapping(
  {
    events: z
      .union([occasion(), z.array(occasion(), expected(EVENTS)).min(1, expected(EVENTS))], {
        error: ({ input }) => expectedText(EVENTS, input, nearOccasion(input)),
      })
      .describe('What is told: started, died, failed and so on, or a list of such.'),
    commands: some(text('a name'), 'a name, or a list of names')
      .describe('Of which commands or groups. Default: all.')
      .optional(),
    webhook: z
      .union(
        [
          address(),
          mapping({
            url: z
              .union([address(), fromFile()], expected('an address, or {file: …}'))
              .describe('The address, http:// or https://, or {file} with the path of a file that holds it.'),
            headers: headersOf(given())
              .describe('Headers of the request: a value, or {file} with the path of a file that holds it.')
              .optional(),
            body: z
              .record(z.string(), z.unknown(), expected('a mapping'))
              .describe(
                'What is sent instead of the whole notification; {message} and the like are filled in.',
              )
              .optional(),
          }),
        ],
        expected('an address, or a mapping with url'),
      )
      .describe('An address that is sent a POST request with JSON. This, or run.')
      .optional(),
    run: commandLine(readProgram)
      .describe('A command that is run, with the same JSON on its stdin. This, or webhook.')
      .optional(),
    timeout: duration(1).describe('A try that takes longer has failed. Default: 10s.').optional(),
    retries: whole(0, 100)
      .describe('How often it is tried again. Default: 3 for a webhook, 0 for a command.')
      .optional(),
    interval: duration()
      .describe('The least time from the end of one notification to the next. Default: 1s.')
      .optional(),
  },
  'a mapping with events, and webhook or run',
).meta(exactlyOne(['webhook', 'run']));

/** A whole file, without its keys that begin with `x-`. */
export const policySchema = mapping(
  {
    commands: named(
      z.union(
        [read(text(COMMAND), (line) => readProgram(line)), command],
        expected('a command, or a mapping with run'),
      ),
      NAME,
      'a mapping of names to commands',
    )
      .describe('What is kept running: by name, a command line, or a mapping with run.')
      .optional(),
    groups: named(
      z.union([members(), group], expected('a list of names, or a mapping with members')),
      NAME,
      'a mapping of names to groups',
    )
      .describe('Commands that belong together: by name, a list of members, or a mapping.')
      .optional(),
    defaults: defaults
      .describe(
        'What holds for every command that does not say otherwise. env, secrets, limits, backoff, stop, log, and the times of ready and health are taken key by key, all else as a whole.',
      )
      .optional(),
    container: container.describe('What holds for the container as a whole.').optional(),
    on: named(hook, NAME, 'a mapping of names to hooks')
      .describe('Who is told of what happens: by name, a webhook or a command, and for which events.')
      .optional(),
    include: any(text('the path of a file'), 'the path of a file, or a list of such')
      .describe('Policy files that are read as well; paths are relative to this file.')
      .optional(),
  },
  'a mapping with commands',
);

export type RawCommand = z.infer<typeof command>;
export type RawDefaults = z.infer<typeof defaults>;
export type RawGroup = z.infer<typeof group>;
export type RawContainer = z.infer<typeof container>;
export type RawHook = z.infer<typeof hook>;

/** The JSON Schema (draft 2020-12) of a policy file, for editors. */
export function policyJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(policySchema, {
    target: 'draft-2020-12',
    override: ({ jsonSchema, path }) => {
      if (path.length === 0) jsonSchema.patternProperties = { '^x-': {} };
      // `port: ${PORT}` is a text before it is filled in.
      if (path.includes('propertyNames')) return;
      const { type } = jsonSchema;
      const single = type === 'number' || type === 'integer' || type === 'boolean';
      if (!single && jsonSchema.enum === undefined && jsonSchema.const === undefined && !jsonSchema.pattern)
        return;
      const { description, ...rest } = jsonSchema;
      for (const key of Object.keys(jsonSchema)) delete (jsonSchema as Record<string, unknown>)[key];
      if (description !== undefined) jsonSchema.description = description;
      jsonSchema.anyOf = [rest, { type: 'string', pattern: '\\$\\{' }];
    },
  });
  return { ...schema, title: 'upkeep policy' };
}
