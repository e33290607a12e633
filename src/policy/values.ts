/**
 * Single values as a policy file has them, read into what the rest of upkeep works with. Each reader throws a UsageError
 * that says what was expected: the schema asks it whether a value can be used, and the conversion asks it for the result.
 */
import { Cron } from 'croner';
import { parseNamed, parseWords } from './command.ts';
import { parseDuration, parseHttpAddress, parseSize } from './options.ts';
import { likeSignal, signalOf } from './signals.ts';
import type { CommandSpec, ExecutionSpec, ProgramSpec } from './spec.ts';
import { didYouMean, shown, UsageError } from './usage-error.ts';

/** What is to be executed: a command line, or its words. */
export type RawCommandLine = string | readonly string[];

/** Longer than this, timers can't wait. */
const LONGEST_DURATION = 2_147_483_647;

/** What prlimit calls the limits of a process; locks is upkeep's own, for the tag. */
export const LIMITS =
  'as core cpu data fsize memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'.split(' ');

const CAPABILITIES =
  'audit_control audit_read audit_write block_suspend bpf checkpoint_restore chown dac_override dac_read_search fowner fsetid ipc_lock ipc_owner kill lease linux_immutable mac_admin mac_override mknod net_admin net_bind_service net_broadcast net_raw perfmon setfcap setgid setpcap setuid sys_admin sys_boot sys_chroot sys_module sys_nice sys_pacct sys_ptrace sys_rawio sys_resource sys_time sys_tty_config syslog wake_alarm'.split(
    ' ',
  );

/** What a value looks like, for "expected …, got …". */
export function described(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (typeof value === 'string') return shown(value);
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  return typeof value === 'object' ? 'a mapping' : String(value);
}

/** `expected …, got …`; or that it is missing. */
export function expectedText(what: string, value: unknown, hint = ''): string {
  const tail = hint === '' || hint.startsWith(',') ? hint : `; ${hint}`;
  return value === undefined
    ? `is missing: expected ${what}${tail}`
    : `expected ${what}, got ${described(value)}${tail}`;
}

function unexpected(what: string, value: unknown, hint = ''): UsageError {
  return new UsageError(expectedText(what, value, hint));
}

/** ms. A number is in seconds. */
export function readDuration(value: string | number, least = 0): number {
  let ms: number;
  try {
    ms = parseDuration(String(value), 'it');
  } catch {
    const isLong = Number.parseFloat(String(value)) > LONGEST_DURATION;
    if (isLong) throw unexpected('a duration of at most 24d', value);
    throw unexpected('a duration such as 500ms, 1.5s, 2m or 1h', value);
  }
  if (ms < least) throw unexpected(`a duration of at least ${least}ms`, value);
  if (ms > LONGEST_DURATION) throw unexpected('a duration of at most 24d', value);
  return ms;
}

/** Bytes. `k`, `M`, `G` are powers of 1024, with or without `B` or `iB`. */
export function readSize(value: string | number): number {
  const bytes = parseSize(String(value));
  if (bytes !== null) return bytes;
  throw unexpected('a size such as 512k, 10MB or 1GB', value);
}

/** `SIGHUP` for HUP and SIGHUP. */
export function readSignal(value: string): string {
  const signal = signalOf(value);
  if (signal !== null) return signal;
  throw unexpected('the name of a signal such as TERM or SIGQUIT', value, likeSignal(value));
}

/** Is it the name of a signal? */
function isSignal(value: string): boolean {
  return signalOf(value.trim()) !== null;
}

/** `[TERM, 5s, INT, 2s, KILL]`: signals, and how long is waited between two of them. */
export function readSignals(
  values: readonly (string | number)[],
): { readonly signal: string; readonly wait: number | null }[] {
  const steps: { signal: string; wait: number | null }[] = [];
  for (const [index, value] of values.entries()) {
    if (index % 2 === 0) {
      if (typeof value === 'number' || /^[\d.]/.test(value)) {
        throw unexpected('the name of a signal such as TERM', value);
      }
      if (steps.at(-1)?.signal === 'SIGKILL') {
        throw unexpected('KILL at the end', value, 'nothing is left that could be sent another signal');
      }
      steps.push({ signal: readSignal(value), wait: null });
    } else {
      if (typeof value === 'string' && isSignal(value)) {
        throw unexpected('a duration between two signals, as in [TERM, 5s, KILL]', value);
      }
      steps[steps.length - 1]!.wait = readDuration(value);
    }
  }
  if (values.length % 2 === 0) {
    throw unexpected(
      'signals and the time between them, as in [TERM, 5s, KILL]',
      values,
      'end it with a signal',
    );
  }
  return steps;
}

/** A command line or words, as they are executed. */
export function readProgram(value: RawCommandLine): ProgramSpec {
  const { text, file, args, env } = readCommandLine('command', value);
  return { text, file, args, env };
}

/** A command line or words, as a command of that name. */
export function readCommandLine(name: string, value: RawCommandLine): CommandSpec {
  return typeof value === 'string' ? parseNamed(name, value) : parseWords(name, value);
}

/** A command that stops a service. */
export function readStopCommand(value: RawCommandLine): { file: string; args: readonly string[] } {
  const { text, file, args, env } = readProgram(value);
  // What stops a service is given no variables of its own; a shell sets them as well.
  return Object.keys(env).length === 0 ? { file, args } : { file: '/bin/sh', args: ['-c', text] };
}

/** A string where a command stands alone and a signal may be meant. */
export function readStopLine(value: RawCommandLine): { file: string; args: readonly string[] } {
  refuseSignal(value, 'a command');
  return readStopCommand(value);
}

/** `HUP`, or a command. */
export function readReload(value: RawCommandLine): { signal: string } | { program: ProgramSpec } {
  if (typeof value === 'string' && /^(?:SIG)?[A-Z][A-Z0-9]+$/.test(value) && isSignal(value)) {
    return { signal: readSignal(value) };
  }
  refuseSignal(value, 'a signal such as HUP, or a command');
  return { program: readProgram(value) };
}

/** @throws UsageError where a command begins as a signal does, or is nearly one and nothing else */
function refuseSignal(value: RawCommandLine, what: string): void {
  const [first = '', ...more] = typeof value === 'string' ? [value] : value;
  const command = first.trim();
  if (isSignal(command)) {
    throw unexpected(
      what,
      command,
      `write {signal: ${command}}, or {command: ${command}} where it is a program`,
    );
  }
  // Hardly any program is called so.
  const isMeant = more.length === 0 && /^(?:[A-Z][A-Z0-9]+|sig\w+)$/.test(command);
  const near = isMeant ? likeSignal(command) : '';
  if (near === '') return;
  const remedy = `Write {signal: …} for that; its path, or {command: ${command}}, where it is a program`;
  throw unexpected(what, command, `${near} ${remedy}`);
}

/** A regular expression's source. */
export function readPattern(value: string): string {
  try {
    new RegExp(value);
    return value;
  } catch (error) {
    const why = (error as Error).message.replace(/.*: /, '').toLowerCase();
    throw unexpected('a regular expression', value, why);
  }
}

/** `5432`, `db:5432`, `[::1]:5432`. */
export function readTcp(value: string | number): { host: string; port: number } {
  const text = String(value);
  const [, host, digits] = /^(?:(\[[^\]\s]+\]|[^:\s[\]]+):)?(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (!(port >= 1 && port <= 65_535)) throw unexpected('a port, or host:port', value);
  return { host: host?.replace(/^\[|\]$/g, '') ?? '127.0.0.1', port };
}

export const HTTP_WHERE = 'a port, or ADDRESS:PORT with an IP address';

/** `8753`, `0.0.0.0:8753`, `"[::]:8753"`: as `ADDRESS:PORT`. */
export function readHttpAddress(value: string | number): string {
  const address = parseHttpAddress(String(value));
  if (address === null) throw unexpected(HTTP_WHERE, value);
  return address;
}

/** An address that begins with http:// or https://. */
export function readUrl(value: string): string {
  if (/^https?:\/\/[^/]/i.test(value) && URL.canParse(value)) return value;
  throw unexpected('an address such as http://127.0.0.1:8080/health', value);
}

/** The name of a header, as a request can have it. */
export function readHeaderName(value: string): string {
  if (/^[\w!#$%&'*+.^`|~-]+$/.test(value)) return value;
  throw new UsageError(
    `cannot use the header ${shown(value)}: its name is made of letters, digits, and any of !#$%&'*+-.^_\`|~; choose such a name`,
  );
}

/** The value of a header. It may be a password, and is not shown. */
export function readHeaderValue(value: string | number | boolean): string {
  const text = String(value);
  if (/^[\t\x20-\x7e\x80-\xff]*$/.test(text)) return text;
  throw new UsageError(
    'cannot use this value for a header: it has a line break in it, or something else that no header can have; take that out',
  );
}

/** `200`, `"200-299"`, or a list of such. */
export function readStatus(value: string | number | readonly (string | number)[]): [number, number][] {
  return (typeof value === 'object' ? value : [value]).map((one) => {
    const [, from = '', to = from] = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(String(one)) ?? [];
    if (from === '' || Number(to) < Number(from)) throw unexpected('a status such as 200 or "200-299"', one);
    return [Number(from), Number(to)];
  });
}

/** `"0027"`, octal. */
export function readUmask(value: string): number {
  if (/^0?[0-7]{1,3}$/.test(value)) return Number.parseInt(value, 8);
  throw unexpected('three octal digits in quotes, as in "0027"', value);
}

/** `www-data`, `www-data:www`, `1000:1000`. */
export function readUser(value: string | number): { user: string; group: string | null } {
  const [user = '', group = null, more] = String(value).split(':');
  if (user === '' || group === '' || more !== undefined || /\s/.test(String(value)) || Number(value) < 0) {
    throw unexpected('a user, or user:group', value);
  }
  return { user, group };
}

/** A user or group by its name or number. */
export function readAccount(value: string | number): string {
  const text = String(value);
  if (text === '' || /[\s:]/.test(text) || Number(value) < 0) throw unexpected('a name or a number', value);
  return text;
}

/** `net_bind_service` for that, NET_BIND_SERVICE and cap_net_bind_service. */
export function readCapability(value: string): string {
  const name = value.toLowerCase().replace(/^cap_/, '');
  if (CAPABILITIES.includes(name)) return name;
  throw unexpected('a capability such as net_bind_service', value, didYouMean(name, CAPABILITIES));
}

type RawLimit = number | 'unlimited';

/** `1024`, `unlimited`, or soft and hard apart. */
export function readLimit(
  value: RawLimit | { readonly soft: RawLimit; readonly hard: RawLimit },
): ExecutionSpec['limits'][string] {
  const { soft, hard } = typeof value === 'object' ? value : { soft: value, hard: value };
  if (hard !== 'unlimited' && (soft === 'unlimited' || soft > hard)) {
    throw new UsageError(`expected a soft limit that is not above the hard one, got ${soft} and ${hard}`);
  }
  return { soft: String(soft), hard: String(hard) };
}

/** A leading dash: the file may be missing. */
export function readEnvFile(value: string): { path: string; optional: boolean } {
  const optional = value.startsWith('-');
  const path = optional ? value.slice(1) : value;
  if (path === '') throw unexpected('the path of a file', value);
  return { path, optional };
}

/** `A=b`. */
export function readAssignment(value: string): [name: string, value: string] {
  const equals = value.indexOf('=');
  if (equals > 0 && VARIABLE.test(value.slice(0, equals))) {
    return [value.slice(0, equals), value.slice(equals + 1)];
  }
  throw unexpected('a variable and its value, as in NAME=value', value);
}

/** What names of environment variables are made of. */
export const VARIABLE = /^[A-Za-z_][A-Za-z0-9_.-]*$/;

const NICKNAMES = ['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly'];

/** Cron's five or six fields, or a nickname. */
export function readCron(value: string): string {
  const fields = value.trim().split(/\s+/);
  const nickname = value.trim().toLowerCase();
  const isNickname = nickname.startsWith('@');
  if (isNickname && !NICKNAMES.includes(nickname)) {
    const near = didYouMean(nickname, NICKNAMES) || `write one of ${NICKNAMES.join(', ')}`;
    throw unexpected('a schedule such as "*/5 * * * *" or @daily', value, near);
  }
  if (fields.length === 5 || fields.length === 6 || isNickname) {
    try {
      // Any day will do: no pattern comes round more seldom than a leap day on a certain weekday.
      if (new Cron(value).nextRun(new Date(Date.UTC(2024, 0, 1))) !== null) return value;
    } catch (error) {
      const why = (error as Error).message.replace(/^CronPattern: /, '');
      throw unexpected('a schedule such as "*/5 * * * *" or @daily', value, why);
    }
    throw unexpected('a schedule such as "*/5 * * * *" or @daily', value, 'that day never comes');
  }
  throw unexpected('a schedule such as "*/5 * * * *" or @daily', value);
}

/** As in Europe/Berlin. */
export function readTimezone(value: string): string {
  try {
    new Intl.DateTimeFormat('en', { timeZone: value });
    return value;
  } catch {
    const near = didYouMean(value, Intl.supportedValuesOf('timeZone'));
    throw unexpected('a time zone such as Europe/Berlin', value, near);
  }
}

/** `never`, `all-done`, `any-failed`, or `NAME done`. */
export function readExitWhen(value: string): 'never' | 'all-done' | 'any-failed' | { done: string } {
  if (value === 'never' || value === 'all-done' || value === 'any-failed') return value;
  const [, done] = /^(\S+) +done$/.exec(value) ?? [];
  if (done !== undefined) return { done };
  throw unexpected(
    'never, all-done, any-failed or "NAME done"',
    value,
    didYouMean(value, ['never', 'all-done', 'any-failed']),
  );
}
