import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createLineFormatter } from '../../src/output/lines.ts';
import { parseSyslog, recordOf, type SyslogMessage } from '../../src/output/syslog.ts';

const NOTHING: SyslogMessage = {
  facility: 'user',
  severity: 'notice',
  tag: null,
  procid: null,
  msgid: null,
  structured: null,
  text: '',
};
const BOM = '\ufeff';

describe('a message', () => {
  test.each<[string, string, Partial<SyslogMessage>]>([
    [
      'of glibc',
      '<38>Oct 11 22:14:15 sshd[123]: Server listening on :: port 22.',
      {
        facility: 'auth',
        severity: 'info',
        tag: 'sshd',
        procid: '123',
        text: 'Server listening on :: port 22.',
      },
    ],
    ['of a day with one digit', '<13>Oct  1 22:14:15 me: x', { tag: 'me', text: 'x' }],
    ['of Python, which ends it with a zero', '<14>hello\0', { severity: 'info', text: 'hello' }],
    [
      'of Perl, which ends it with a newline and a zero',
      '<13>Oct 11 22:14:15 a: x\n\0',
      { tag: 'a', text: 'x' },
    ],
    [
      'as it goes over a network',
      '<13>Oct 11 22:14:15 my.host postfix/smtpd[7]: connect',
      { tag: 'postfix/smtpd', procid: '7', text: 'connect' },
    ],
    ['with colons in its tag', '<13>Oct 11 22:14:15 My::App: x: y', { tag: 'My::App', text: 'x: y' }],
    ['without a space behind the tag', '<13>Oct 11 22:14:15 a:b c', { text: 'a:b c' }],
    ['with nothing behind the tag', '<13>Oct 11 22:14:15 a:', { tag: 'a' }],
    ['with blanks that are its own', '<13>Oct 11 22:14:15 a:  x ', { tag: 'a', text: ' x ' }],
    ['without a timestamp', '<13>a[1]: x', { tag: 'a', procid: '1', text: 'x' }],
    ['without a timestamp or a tag', '<13>my host a: x', { text: 'my host a: x' }],
    ['without a priority', 'a: x', { tag: 'a', text: 'x' }],
    ['of the most urgent', '<0>x', { facility: 'kern', severity: 'emerg', text: 'x' }],
    ['of the least urgent', '<191>x', { facility: 'local7', severity: 'debug', text: 'x' }],
    ['of no priority that there is', '<192>x', { text: '<192>x' }],
    ['of no number', '<1 3>x', { text: '<1 3>x' }],
    ['of several lines', '<13>a: x\n\ty\r\nz\n', { tag: 'a', text: 'x#012\ty#015#012z' }],
    [
      'with what a terminal would obey',
      '<13>a: \x1b[2J\0\x9b\r!\u2028',
      { tag: 'a', text: '#033[2J#000#233#015!#20050' },
    ],
    ['of nothing', '', {}],
    [
      'of RFC 5424',
      `<165>1 2003-10-11T22:14:15.003Z host evntslog 1x ID47 [a@1 b="c\\"\\]\\\\\\n" d=""][e] ${BOM}said`,
      {
        facility: 'local4',
        tag: 'evntslog',
        procid: '1x',
        msgid: 'ID47',
        structured: { 'a@1': { b: 'c"]\\\\n', d: '' }, e: {} },
        text: 'said',
      },
    ],
    ['of RFC 5424, with nothing said', '<13>1 - - - - - -', {}],
    ['of RFC 5424, with text alone', '<13>1 - - - - - -  x', { text: ' x' }],
    ['of RFC 5424, without a priority', '1 - - - - - - x', { text: '1 - - - - - - x' }],
    ['of RFC 5424, broken in its data', '<13>1 - - a - - [x y=z] t', { text: '1 - - a - - [x y=z] t' }],
    ['of RFC 5424, with data not ended', '<13>1 - - a - - [x', { text: '1 - - a - - [x' }],
    ['of another version', '<13>2 - - a - - - t', { text: '2 - - a - - - t' }],
  ])('%s is read', (_, raw, said) => {
    expect(parseSyslog(raw)).toEqual({ ...NOTHING, ...said });
  });

  test('with a name that means something to JavaScript is one like others', () => {
    const { structured } = parseSyslog('<13>1 - - - - - [__proto__ __proto__="x"] t');
    expect(JSON.stringify(structured)).toBe('{"__proto__":{"__proto__":"x"}}');
  });
});

const FACILITIES = 24;
const priority = fc.nat({ max: FACILITIES * 8 - 1 });
const ofCharacters = (characters: string, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...characters), minLength: 1, maxLength });
const WORD = 'abcXYZ019_-./()@';
const tag = ofCharacters(WORD, 40);
const procid = fc.option(ofCharacters('0123456789x', 10), { nil: null });
/** Without control characters. */
const text = fc
  .string({ unit: 'grapheme', maxLength: 60 })
  .filter((said) => !/[\p{Cc}\u2028\u2029]/u.test(said) && !said.startsWith(BOM));
const structured = fc.option(
  fc.dictionary(
    tag.map((id) => id.slice(0, 32)),
    fc.dictionary(
      tag.map((id) => id.slice(0, 32)),
      text,
      { maxKeys: 3 },
    ),
    {
      minKeys: 1,
      maxKeys: 3,
    },
  ),
  { nil: null },
);

describe('whatever comes', () => {
  test('any bytes are read, as a line without control characters, and it grows little by that', () => {
    const pieces = fc.oneof(
      fc.constantFrom(
        '<13>',
        '<',
        '1 ',
        '- ',
        '[',
        ']',
        '"',
        '\\',
        'a@1 ',
        'b="',
        'Oct 11 22:14:15 ',
        'x[1]: ',
        '\n',
        '\0',
        ' ',
      ),
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString()),
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), fc.nat(), fc.nat(), (parts, pid, cut) => {
        const raw = parts.join('');
        const message = parseSyslog(raw);
        for (const said of [message.tag, message.procid, message.msgid]) {
          expect(said ?? '').not.toMatch(/[\p{Cc}\s]/u);
        }
        expect(message.text).not.toMatch(/(?!\t)[\p{Cc}\u2028\u2029]/u);
        expect(message.text.length).toBeLessThanOrEqual(6 * raw.length);
        const record = recordOf(message, pid, cut);
        expect(JSON.parse(`{${record.label}}`)).toMatchObject({ stream: 'syslog' });
        for (const line of jsonLines(record)) expect(line.stream).toBe('syslog');
      }),
    );
  });

  test('long ones are read in no time: there is nothing to try again and again', () => {
    const most = 8 * 1024;
    const long = [
      '<13>'.repeat(most / 4),
      `<13>${'a'.repeat(most)}`,
      `<13>1 - - - - - ${'[a b="c"]'.repeat(most / 9)}x`,
      `<13>1 - - - - - [a${' b="c"'.repeat(most / 6)}`,
      `<13>1 - - - - - [a b="${'\\"'.repeat(most / 2)}`,
      `<13>Oct 11 22:14:15 ${'a:'.repeat(most / 2)}`,
      `<13>Oct 11 22:14:15 ${'a: '.repeat(most / 3)}`,
      `<13>${'\n'.repeat(most)}`,
      `<13>${'\0'.repeat(most)}x`,
    ];
    const begun = performance.now();
    for (const raw of long) for (let times = 0; times < 20; times++) parseSyslog(raw);
    // What goes wrong here takes minutes.
    expect(performance.now() - begun).toBeLessThan(20_000);
  });

  test('what is written as RFC 3164 says is read as it was', () => {
    const host = fc.option(ofCharacters('abc.-1', 20), { nil: null });
    fc.assert(
      fc.property(priority, host, tag, procid, text, (level, from, name, id, said) => {
        const raw = `<${level}>Feb  3 01:02:03 ${from === null ? '' : `${from} `}${name}${id === null ? '' : `[${id}]`}: ${said}`;
        const { facility, severity, ...rest } = parseSyslog(raw);
        expect(rest).toEqual({ tag: name, procid: id, msgid: null, structured: null, text: said });
        expect(parseSyslog(`<${level}>`)).toMatchObject({ facility, severity });
      }),
    );
  });

  test('what is written as RFC 5424 says is read as it was', () => {
    const word = fc.option(
      tag.map((said) => said.slice(0, 32)).filter((said) => said !== '-'),
      { nil: null },
    );
    fc.assert(
      fc.property(priority, word, word, word, structured, text, (level, name, id, kind, data, said) => {
        const escaped = (value: string): string => value.replaceAll(/["\\\]]/g, '\\$&');
        const elements = Object.entries(data ?? {}).map(
          ([element, parameters]) =>
            `[${element}${Object.entries(parameters)
              .map(([key, value]) => ` ${key}="${escaped(value)}"`)
              .join('')}]`,
        );
        const words = [name, id, kind].map((each) => each ?? '-').join(' ');
        const raw = `<${level}>1 2026-02-03T01:02:03.4+05:00 host ${words} ${data === null ? '-' : elements.join('')} ${said}`;
        expect(parseSyslog(raw)).toMatchObject({ tag: name, procid: id, msgid: kind, text: said });
        expect(JSON.stringify(parseSyslog(raw).structured)).toBe(JSON.stringify(data));
      }),
    );
  });

  test('each priority has a facility and a severity of its own', () => {
    const seen = new Set<string>();
    for (let level = 0; level < FACILITIES * 8; level++) {
      const { facility, severity } = parseSyslog(`<${level}>`);
      expect(facility).toEqual(expect.any(String));
      expect(severity).toEqual(expect.any(String));
      seen.add(`${facility}.${severity}`);
    }
    expect(seen.size).toBe(FACILITIES * 8);
  });
});

const jsonLines = (record: ReturnType<typeof recordOf>): Record<string, unknown>[] =>
  createLineFormatter('json', 'web', { wallClock: () => new Date(0) })
    .record(record)
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
const plainLines = (record: ReturnType<typeof recordOf>): string =>
  createLineFormatter('plain', 'web').record(record).toString();

describe('in the log', () => {
  const HEAD = {
    time: '1970-01-01T00:00:00.000Z',
    name: 'web',
    stream: 'syslog',
    facility: 'user',
    severity: 'notice',
  };

  test('it has its tag in plain lines, and fields in JSON', () => {
    const record = recordOf(parseSyslog('<13>Oct 11 22:14:15 a[7]: x'), 8, 0);
    expect(plainLines(record)).toBe('web | a[7]: x\n');
    expect(jsonLines(record)).toEqual([{ ...HEAD, tag: 'a', procid: '7', pid: 8, line: 'x' }]);
  });

  test('what is a JSON object itself is not quoted once more', () => {
    const record = recordOf(parseSyslog('<13>Oct 11 22:14:15 a: {"b":1}'), 0, 0);
    expect(plainLines(record)).toBe('web | a: {"b":1}\n');
    expect(jsonLines(record)).toEqual([{ ...HEAD, tag: 'a', data: { b: 1 } }]);
  });

  test('it has what RFC 5424 has besides', () => {
    const record = recordOf(parseSyslog('<13>1 - - a - m [e k="v"] x'), 0, 0);
    expect(jsonLines(record)).toEqual([
      { ...HEAD, tag: 'a', msgid: 'm', structured: { e: { k: 'v' } }, line: 'x' },
    ]);
  });

  test('without a tag it is its text alone', () => {
    expect(plainLines(recordOf(parseSyslog('<13>x'), 0, 0))).toBe('web | x\n');
    expect(plainLines(recordOf(parseSyslog('<13>1 - - - 7 - - x'), 0, 0))).toBe('web | [7]: x\n');
  });

  test('it says where it was cut', () => {
    expect(plainLines(recordOf(parseSyslog('<13>a: x'), 0, 12))).toBe('web | a: x … (12 more bytes)\n');
  });
});
