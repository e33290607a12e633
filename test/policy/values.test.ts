/** Each value of a policy file: what it is read as, or what is said of it. */
import { describe, expect, test } from 'vitest';
import * as values from '../../src/policy/values.ts';

type Reader = (value: never) => unknown;
const readers = { ...values };

const read = (reader: Reader, value: unknown): unknown => reader(value as never);

/** What is said. */
function refusal(reader: Reader, value: unknown): string {
  try {
    read(reader, value);
  } catch (error) {
    expect((error as Error).name).toBe('UsageError');
    return (error as Error).message;
  }
  throw new Error(`${JSON.stringify(value)} was taken`);
}

const DURATION = 'expected a duration such as 500ms, 1.5s, 2m or 1h, got';
const LONGEST = 'expected a duration of at most 24d, got';
const SIGNAL = 'expected the name of a signal such as TERM';
const CRON = 'expected a schedule such as "*/5 * * * *" or @daily, got';
const USER = 'expected a user, or user:group, got';
const ACCOUNT = 'expected a name or a number, got';
const TCP = 'expected a port, or host:port, got';
const HTTP = 'expected a port, or ADDRESS:PORT with an IP address, got';
const URL = 'expected an address such as http://127.0.0.1:8080/health, got';
const STATUS = 'expected a status such as 200 or "200-299", got';
const UMASK = 'expected three octal digits in quotes, as in "0027", got';
const EXIT_WHEN = 'expected never, all-done, any-failed or "NAME done", got';

const true_ = { file: '/bin/true', args: [] as string[] };

describe('is read as', () => {
  test.each<[keyof typeof values, unknown, unknown]>([
    ['readDuration', 2, 2_000],
    ['readDuration', '1.5s', 1_500],
    ['readDuration', '0', 0],
    ['readDuration', 2_147_483.647, 2_147_483_647],
    ['readSize', '512k', 524_288],
    ['readSize', 12, 12],
    ['readSignal', 'hup', 'SIGHUP'],
    ['readSignals', ['TERM'], [{ signal: 'SIGTERM', wait: null }]],
    ['readSignals', ['USR1'], [{ signal: 'SIGUSR1', wait: null }]],
    [
      'readSignals',
      ['TERM', '5s', 'INT', 2, 'KILL'],
      [
        { signal: 'SIGTERM', wait: 5_000 },
        { signal: 'SIGINT', wait: 2_000 },
        { signal: 'SIGKILL', wait: null },
      ],
    ],
    ['readProgram', '/bin/true', { text: '/bin/true', ...true_, env: {} }],
    ['readProgram', ['/bin/true'], { text: '/bin/true', ...true_, env: {} }],
    ['readStopCommand', '/bin/true', true_],
    ['readStopCommand', 'A=b /bin/true', { file: '/bin/sh', args: ['-c', 'A=b /bin/true'] }],
    ['readStopLine', ['/bin/true'], true_],
    // More than a word: it can't be meant as one.
    ['readStopLine', 'TEMR now', { file: 'TEMR', args: ['now'] }],
    ['readStopLine', ['TEMR', 'now'], { file: 'TEMR', args: ['now'] }],
    // Not written as signals are.
    ...['halt', 'kall', 'xTERM', 'TERMx'].map((file): [keyof typeof values, unknown, unknown] => [
      'readStopLine',
      file,
      { file, args: [] },
    ]),
    ['readReload', 'HUP', { signal: 'SIGHUP' }],
    ['readReload', 'SIGUSR1', { signal: 'SIGUSR1' }],
    ['readReload', '/bin/true', { program: { text: '/bin/true', ...true_, env: {} } }],
    ['readPattern', '^a.*b$', '^a.*b$'],
    ['readTcp', 5432, { host: '127.0.0.1', port: 5_432 }],
    ['readTcp', '1', { host: '127.0.0.1', port: 1 }],
    ['readTcp', '65535', { host: '127.0.0.1', port: 65_535 }],
    ['readTcp', 'db:5432', { host: 'db', port: 5_432 }],
    ['readTcp', '[::1]:5432', { host: '::1', port: 5_432 }],
    ['readHttpAddress', 8753, '127.0.0.1:8753'],
    ['readHttpAddress', '[::]:8753', '[::]:8753'],
    ['readUrl', 'http://a', 'http://a'],
    ['readUrl', 'HTTPS://a:1/b', 'HTTPS://a:1/b'],
    ['readHeaderName', "X-a!#$%&'*+.^_`|~1", "X-a!#$%&'*+.^_`|~1"],
    ['readHeaderValue', '', ''],
    ['readHeaderValue', 'a\t \x7e\x80\xff', 'a\t \x7e\x80\xff'],
    ['readHeaderValue', true, 'true'],
    ['readStatus', 200, [[200, 200]]],
    ['readStatus', '200-299', [[200, 299]]],
    [
      'readStatus',
      [200, '300-300', '500-599'],
      [
        [200, 200],
        [300, 300],
        [500, 599],
      ],
    ],
    ['readUmask', '0027', 0o27],
    ['readUmask', '7', 7],
    ['readUmask', '777', 0o777],
    ['readUser', 'www', { user: 'www', group: null }],
    ['readUser', 'www:data', { user: 'www', group: 'data' }],
    ['readUser', 0, { user: '0', group: null }],
    ['readAccount', 'www', 'www'],
    ['readAccount', 0, '0'],
    ['readCapability', 'net_bind_service', 'net_bind_service'],
    ['readCapability', 'CAP_NET_ADMIN', 'net_admin'],
    ['readLimit', 1_024, { soft: '1024', hard: '1024' }],
    ['readLimit', 'unlimited', { soft: 'unlimited', hard: 'unlimited' }],
    ['readLimit', { soft: 1, hard: 2 }, { soft: '1', hard: '2' }],
    ['readLimit', { soft: 2, hard: 2 }, { soft: '2', hard: '2' }],
    ['readLimit', { soft: 1, hard: 'unlimited' }, { soft: '1', hard: 'unlimited' }],
    ['readEnvFile', '/a', { path: '/a', optional: false }],
    ['readEnvFile', '-/a', { path: '/a', optional: true }],
    ['readAssignment', 'A=b=c', ['A', 'b=c']],
    ['readAssignment', '_a.b-1=', ['_a.b-1', '']],
    ['readCron', '*/5 * * * *', '*/5 * * * *'],
    ['readCron', ' 0 */5 * * * * ', ' 0 */5 * * * * '],
    ['readCron', '*/5  *  * * *', '*/5  *  * * *'],
    ['readCron', '@Daily', '@Daily'],
    ['readCron', ' @daily ', ' @daily '],
    // Comes round every 28 years at times.
    ['readCron', '0 0 29 2 *', '0 0 29 2 *'],
    ['readTimezone', 'Europe/Berlin', 'Europe/Berlin'],
    ['readExitWhen', 'never', 'never'],
    ['readExitWhen', 'all-done', 'all-done'],
    ['readExitWhen', 'any-failed', 'any-failed'],
    ['readExitWhen', 'web  done', { done: 'web' }],
  ])('%s %o: %o', (reader, value, expected) => {
    expect(read(readers[reader] as Reader, value)).toEqual(expected);
  });
});

describe('is refused', () => {
  test.each<[keyof typeof values, unknown, string]>([
    ['readDuration', 'soon', `${DURATION} "soon"`],
    ['readDuration', '2147483647q', `${DURATION} "2147483647q"`],
    ['readDuration', '', `${DURATION} ""`],
    ['readDuration', -1, `${DURATION} -1`],
    ['readDuration', '25d', `${LONGEST} "25d"`],
    ['readDuration', 2_147_483.648, `${LONGEST} 2147483.648`],
    ['readDuration', '9'.repeat(30), `${LONGEST} "${'9'.repeat(30)}"`],
    ['readSize', 'much', 'expected a size such as 512k, 10MB or 1GB, got "much"'],
    ['readSignal', 'TEMR', `${SIGNAL} or SIGQUIT, got "TEMR", did you mean TERM?`],
    ['readSignal', 'no', `${SIGNAL} or SIGQUIT, got "no"`],
    ['readSignals', [5], `${SIGNAL}, got 5`],
    ['readSignals', [-5], `${SIGNAL}, got -5`],
    ['readSignals', ['5s'], `${SIGNAL}, got "5s"`],
    ['readSignals', ['.5s'], `${SIGNAL}, got ".5s"`],
    [
      'readSignals',
      ['KILL', '5s', 'TERM'],
      'expected KILL at the end, got "TERM"; nothing is left that could be sent another signal',
    ],
    [
      'readSignals',
      ['TERM', ' KILL '],
      'expected a duration between two signals, as in [TERM, 5s, KILL], got " KILL "',
    ],
    ['readSignals', ['TERM', 'x', 'KILL'], `${DURATION} "x"`],
    [
      'readSignals',
      ['TERM', '5s'],
      'expected signals and the time between them, as in [TERM, 5s, KILL], got a list; end it with a signal',
    ],
    [
      'readSignals',
      [],
      'expected signals and the time between them, as in [TERM, 5s, KILL], got an empty list; end it with a signal',
    ],
    [
      'readStopLine',
      ' TERM ',
      'expected a command, got "TERM"; write {signal: TERM}, or {command: TERM} where it is a program',
    ],
    [
      'readStopLine',
      ['TERM', 'now'],
      'expected a command, got "TERM"; write {signal: TERM}, or {command: TERM} where it is a program',
    ],
    [
      'readStopLine',
      'TEMR',
      'expected a command, got "TEMR", did you mean TERM? Write {signal: …} for that; its path, or {command: TEMR}, where it is a program',
    ],
    [
      'readReload',
      ['sighub'],
      'expected a signal such as HUP, or a command, got "sighub", did you mean HUP? Write {signal: …} for that; its path, or {command: sighub}, where it is a program',
    ],
    [
      'readReload',
      'hup',
      'expected a signal such as HUP, or a command, got "hup"; write {signal: hup}, or {command: hup} where it is a program',
    ],
    [
      'readReload',
      ['HUP'],
      'expected a signal such as HUP, or a command, got "HUP"; write {signal: HUP}, or {command: HUP} where it is a program',
    ],
    [
      'readReload',
      ' HUP',
      'expected a signal such as HUP, or a command, got "HUP"; write {signal: HUP}, or {command: HUP} where it is a program',
    ],
    [
      'readReload',
      'HUP ',
      'expected a signal such as HUP, or a command, got "HUP"; write {signal: HUP}, or {command: HUP} where it is a program',
    ],
    ['readStopLine', [], 'cannot use the command "": there is no word in it; write the program first'],
    ['readPattern', 'a(', 'expected a regular expression, got "a("; unterminated group'],
    ['readTcp', 0, `${TCP} 0`],
    ['readTcp', '65536', `${TCP} "65536"`],
    ['readTcp', '100000', `${TCP} "100000"`],
    ['readTcp', '000080', `${TCP} "000080"`],
    ['readTcp', 'x1', `${TCP} "x1"`],
    ['readTcp', '1x', `${TCP} "1x"`],
    ['readTcp', '::1:5432', `${TCP} "::1:5432"`],
    ['readTcp', ':5432', `${TCP} ":5432"`],
    ['readTcp', 'a b:1', `${TCP} "a b:1"`],
    ['readHttpAddress', 'db:80', `${HTTP} "db:80"`],
    ['readUrl', 'ftp://a', `${URL} "ftp://a"`],
    ['readUrl', 'http:///a', `${URL} "http:///a"`],
    ['readUrl', 'http://a:b', `${URL} "http://a:b"`],
    ['readUrl', 'xhttp://a', `${URL} "xhttp://a"`],
    [
      'readHeaderName',
      'a b',
      'cannot use the header "a b": its name is made of letters, digits, and any of !#$%&\'*+-.^_`|~; choose such a name',
    ],
    [
      'readHeaderValue',
      'secret\n',
      'cannot use this value for a header: it has a line break in it, or something else that no header can have; take that out',
    ],
    ['readStatus', '99', `${STATUS} "99"`],
    ['readStatus', 600, `${STATUS} 600`],
    ['readStatus', '1200', `${STATUS} "1200"`],
    ['readStatus', '2000', `${STATUS} "2000"`],
    ['readStatus', '299-200', `${STATUS} "299-200"`],
    ['readStatus', [200, 'ok'], `${STATUS} "ok"`],
    ['readUmask', '8', `${UMASK} "8"`],
    ['readUmask', '10027', `${UMASK} "10027"`],
    ['readUmask', 'x7', `${UMASK} "x7"`],
    ['readUser', '', `${USER} ""`],
    ['readUser', ':www', `${USER} ":www"`],
    ['readUser', 'www:', `${USER} "www:"`],
    ['readUser', 'a:b:c', `${USER} "a:b:c"`],
    ['readUser', 'a:b:', `${USER} "a:b:"`],
    ['readUser', 'a b', `${USER} "a b"`],
    ['readUser', -1, `${USER} -1`],
    ['readAccount', '', `${ACCOUNT} ""`],
    ['readAccount', 'a:b', `${ACCOUNT} "a:b"`],
    ['readAccount', 'a b', `${ACCOUNT} "a b"`],
    ['readAccount', -1, `${ACCOUNT} -1`],
    [
      'readCapability',
      'cap_sys_amdin',
      'expected a capability such as net_bind_service, got "cap_sys_amdin", did you mean sys_admin?',
    ],
    [
      'readCapability',
      'sys_cap_admin',
      'expected a capability such as net_bind_service, got "sys_cap_admin"',
    ],
    ['readLimit', { soft: 3, hard: 2 }, 'expected a soft limit that is not above the hard one, got 3 and 2'],
    [
      'readLimit',
      { soft: 'unlimited', hard: 2 },
      'expected a soft limit that is not above the hard one, got unlimited and 2',
    ],
    ['readEnvFile', '', 'expected the path of a file, got ""'],
    ['readEnvFile', '-', 'expected the path of a file, got "-"'],
    ['readAssignment', 'A', 'expected a variable and its value, as in NAME=value, got "A"'],
    ['readAssignment', 'AB', 'expected a variable and its value, as in NAME=value, got "AB"'],
    ['readAssignment', '=b', 'expected a variable and its value, as in NAME=value, got "=b"'],
    ['readAssignment', '1A=b', 'expected a variable and its value, as in NAME=value, got "1A=b"'],
    ['readCron', '@dayly', `${CRON} "@dayly", did you mean @daily?`],
    ['readCron', ' @dayly ', `${CRON} " @dayly ", did you mean @daily?`],
    [
      'readCron',
      '@reboot',
      `${CRON} "@reboot"; write one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly`,
    ],
    ['readCron', '* * * *', `${CRON} "* * * *"`],
    ['readCron', '* * * * * * *', `${CRON} "* * * * * * *"`],
    ['readCron', '0 0 30 2 *', `${CRON} "0 0 30 2 *"; that day never comes`],
    [
      'readTimezone',
      'Europe/Berlni',
      'expected a time zone such as Europe/Berlin, got "Europe/Berlni", did you mean Europe/Berlin?',
    ],
    ['readExitWhen', 'all-doen', `${EXIT_WHEN} "all-doen", did you mean all-done?`],
    ['readExitWhen', 'nevr', `${EXIT_WHEN} "nevr", did you mean never?`],
    ['readExitWhen', 'any-faild', `${EXIT_WHEN} "any-faild", did you mean any-failed?`],
    ['readExitWhen', 'a b done', `${EXIT_WHEN} "a b done"`],
    ['readExitWhen', 'web done now', `${EXIT_WHEN} "web done now"`],
  ])('%s %o: %s', (reader, value, message) => {
    expect(refusal(readers[reader] as Reader, value)).toBe(message);
  });

  test('a field of a schedule, with the reason', () => {
    expect(refusal(values.readCron, '61 * * * *')).toMatch(
      /^expected a schedule .*, got "61 \* \* \* \*"; invalid value for minute: 61$/i,
    );
  });

  test('a duration that is less than it has to be', () => {
    const least = (value: string) => values.readDuration(value, 100);
    expect(least('100ms')).toBe(100);
    expect(refusal(least, '99ms')).toBe('expected a duration of at least 100ms, got "99ms"');
  });
});

test('a command keeps the name that it is given', () => {
  expect(values.readCommandLine('web', '/bin/true').name).toBe('web');
  expect(values.readCommandLine('web', ['/bin/true', 'a b'])).toMatchObject({ name: 'web', args: ['a b'] });
});

test('what was expected, and what a value looks like', () => {
  const { expectedText } = values;
  expect([null, 'a', [], [1], {}, 3, true].map(values.described)).toEqual([
    'nothing',
    '"a"',
    'an empty list',
    'a list',
    'a mapping',
    '3',
    'true',
  ]);
  expect(values.described(undefined)).toBe('nothing');
  expect(expectedText('x', undefined)).toBe('is missing: expected x');
  expect(expectedText('x', undefined, 'write it')).toBe('is missing: expected x; write it');
  expect(expectedText('x', null, ', did you?')).toBe('expected x, got nothing, did you?');
});
