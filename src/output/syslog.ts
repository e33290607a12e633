/** What syslog messages say: those of RFC 5424, those of RFC 3164, and whatever else is sent. */
import type { LogRecord } from './lines.ts';

export interface SyslogMessage {
  readonly facility: string;
  readonly severity: string;
  /** The program's name as it says it; null: it says none. */
  readonly tag: string | null;
  /** What it says is its process id, or whatever else it puts there. */
  readonly procid: string | null;
  readonly msgid: string | null;
  /** Structured data: parameters by the id of their element. */
  readonly structured: Readonly<Record<string, Readonly<Record<string, string>>>> | null;
  /** One line, without control characters. */
  readonly text: string;
}

const FACILITIES = [
  ...['kern', 'user', 'mail', 'daemon', 'auth', 'syslog', 'lpr', 'news', 'uucp', 'cron', 'authpriv', 'ftp'],
  ...['ntp', 'security', 'console', 'solaris-cron'],
  ...['local0', 'local1', 'local2', 'local3', 'local4', 'local5', 'local6', 'local7'],
] as const;
const SEVERITIES = ['emerg', 'alert', 'crit', 'err', 'warning', 'notice', 'info', 'debug'] as const;
/** user.notice: what is taken where none is said. */
const NO_PRIORITY = 13;
const MOST_PRIORITY = 191;

const PRIORITY = /^<(\d{1,3})>/;
/** Month, day, time of day: RFC 3164's, which says no year. */
const TIMESTAMP = /^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d /;
const TAG = '([^\\s[\\]]{1,256}?)(?:\\[([^\\s[\\]]{1,128})\\])?:(?: |$)';
const TAGGED = new RegExp(`^${TAG}`);
/** As it goes over a network. syslog(3) writes no host. */
const HOST_TAGGED = new RegExp(`^[^\\s:[\\]]{1,255} ${TAG}`);
/** Version, timestamp, host, program, process, message id, and what follows. */
const RFC5424 = /^1 \S{1,64} \S{1,255} (\S{1,48}) (\S{1,128}) (\S{1,32}) (?=-|\[)/;
const ELEMENT = /\[([^\s=\]"]{1,32})((?: [^\s=\]"]{1,32}="(?:[^"\\\]]|\\.)*")*)\]/sy;
const PARAMETER = / ([^\s=\]"]+)="((?:[^"\\\]]|\\.)*)"/gs;
const BYTE_ORDER_MARK = '\ufeff';

/** Reads a message. What is no message in either form is text as a whole. */
export function parseSyslog(raw: string): SyslogMessage {
  const said = PRIORITY.exec(raw);
  const known = said !== null && Number(said[1]) <= MOST_PRIORITY;
  const priority = known ? Number(said[1]) : NO_PRIORITY;
  const rest = known ? raw.slice(said[0].length) : raw;
  return {
    facility: FACILITIES[priority >> 3]!,
    severity: SEVERITIES[priority & 7]!,
    ...((known ? parse5424(rest) : null) ?? parse3164(rest)),
  };
}

type Said = Omit<SyslogMessage, 'facility' | 'severity'>;

function parse5424(rest: string): Said | null {
  const header = RFC5424.exec(rest);
  if (header === null) return null;
  let at = header[0].length;
  let structured: SyslogMessage['structured'] = null;
  if (rest[at] === '-') at++;
  else {
    const elements: [string, Record<string, string>][] = [];
    ELEMENT.lastIndex = at;
    for (let element = ELEMENT.exec(rest); element !== null; element = ELEMENT.exec(rest)) {
      elements.push([clean(element[1]!), parametersOf(element[2]!)]);
      at += element[0].length;
    }
    structured = Object.fromEntries(elements);
  }
  if (at < rest.length && rest[at] !== ' ') return null;
  const text = rest.slice(at + 1);
  const [tag, procid, msgid] = header.slice(1).map((word) => (word === '-' ? null : clean(word))) as [
    string | null,
    string | null,
    string | null,
  ];
  return {
    tag,
    procid,
    msgid,
    structured,
    text: lineOf(text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text),
  };
}

function parametersOf(text: string): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(PARAMETER)].map(([, name, value]) => [
      clean(name!),
      clean(value!.replaceAll(/\\(["\\\]])/g, '$1')),
    ]),
  );
}

function parse3164(rest: string): Said {
  const time = TIMESTAMP.exec(rest);
  const content = time === null ? rest : rest.slice(time[0].length);
  const tagged = TAGGED.exec(content) ?? (time === null ? null : HOST_TAGGED.exec(content));
  const [head, tag, procid] = tagged ?? [''];
  return {
    tag: tag === undefined ? null : clean(tag),
    procid: procid === undefined ? null : clean(procid),
    msgid: null,
    structured: null,
    text: lineOf(content.slice(head.length)),
  };
}

/** One line, without the end that many senders write behind it. */
function lineOf(text: string): string {
  let end = text.length;
  while (end > 0 && '\r\n\0'.includes(text[end - 1]!)) end--;
  return clean(text.slice(0, end));
}

/** Control characters as rsyslog writes them: `#012` for a newline. A message of many lines would be as many times its fields. */
function clean(text: string): string {
  return text.replaceAll(
    /[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]/g,
    (character) => `#${character.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
}

/**
 * What a log shows of it.
 *
 * @param pid of whoever sent it; 0: not known
 * @param cut how many bytes of it were not read
 */
export function recordOf(message: SyslogMessage, pid: number, cut: number): LogRecord {
  const { facility, severity, tag, procid, msgid, structured, text } = message;
  const fields = {
    stream: 'syslog',
    facility,
    severity,
    ...(tag !== null && { tag }),
    ...(procid !== null && { procid }),
    ...(pid > 0 && { pid }),
    ...(msgid !== null && { msgid }),
    ...(structured !== null && { structured }),
  };
  const name = (tag ?? '') + (procid === null ? '' : `[${procid}]`);
  return {
    head: name === '' ? '' : `${name}: `,
    text: cut === 0 ? text : `${text} … (${cut} more bytes)`,
    label: JSON.stringify(fields).slice(1, -1),
  };
}
