import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CONTROL_VERBS, type ControlVerb } from '../../src/policy/options.ts';
import { UsageError } from '../../src/policy/usage-error.ts';
import { parseControl, VERB_OPTIONS } from '../../src/policy/verbs.ts';
import { verbHelp } from '../../src/policy/verbs-help.ts';

const verbs = fc.constantFrom(...CONTROL_VERBS);
const options = [...new Set(Object.values(VERB_OPTIONS).flatMap((each) => Object.keys(each)))];
const words = fc.array(
  fc.oneof(
    fc.constantFrom(...options, '--', '-', '', '30s', '100', 'web', 'HUP', '--json=x', '-n5', '--nope'),
    fc.constantFrom(...options).chain((option) => fc.string().map((value) => `${option}=${value}`)),
    fc.string(),
    fc.string({ unit: 'binary' }),
  ),
  { maxLength: 6 },
);

test('whatever is written, it is understood, or an error for whoever wrote it', () => {
  fc.assert(
    fc.property(verbs, words, (verb, argv) => {
      try {
        const request = parseControl(verb, argv);
        if (request !== null) expect(request.socket === null || request.socket !== '').toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError);
        expect((error as Error).message).toMatch(/^cannot .+: .+/s);
        expect((error as Error).message).not.toMatch(/\n/);
        expect((error as Error).message.length).toBeLessThan(1_000);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('names of any kind come through as they are', () => {
  const names = fc.array(
    fc.string({ minLength: 1 }).filter((name) => !name.startsWith('-')),
    { minLength: 1 },
  );
  fc.assert(
    fc.property(names, (given) => {
      expect(parseControl('status', given)).toMatchObject({ names: given });
      expect(parseControl('stop', ['--', ...given])).toMatchObject({ target: { names: given } });
    }),
  );
  expect(parseControl('stop', ['--', '--all'])).toMatchObject({ target: { names: ['--all'] } });
});

describe('a verb', () => {
  const waiting = { wait: true, timeout: null };
  test.each<[ControlVerb, string[], object | null]>([
    ['status', ['web', '-w'], { kind: 'status', names: ['web'], watch: true, json: false }],
    ['status', ['--json', '--socket=/x'], { names: [], json: true, socket: '/x' }],
    ['status', ['-h'], null],
    ['why', ['web'], { kind: 'why', name: 'web', json: false }],
    [
      'start',
      ['a', 'b', '--timeout', '1m30s'],
      { verb: 'start', target: { names: ['a', 'b'] }, timeout: 90_000 },
    ],
    ['stop', ['--all', '--no-wait'], { target: { all: true }, wait: false }],
    ['restart', ['--group', 'back'], { target: { group: 'back' }, ...waiting }],
    ['reload', [], { kind: 'reload', target: null, ...waiting }],
    ['reload', ['web', '--no-wait'], { kind: 'reload', target: { names: ['web'] }, wait: false }],
    ['reload', ['--group', 'back', '--timeout', '3s'], { target: { group: 'back' }, timeout: 3_000 }],
    ['reload', ['--all'], { target: { all: true } }],
    ['signal', ['web', 'hup'], { kind: 'signal', name: 'web', signal: 'SIGHUP' }],
    ['shutdown', [], { kind: 'shutdown', ...waiting }],
    ['logs', ['-n', '20', '-f', '--since', '5m'], { last: 20, follow: true, since: 300_000 }],
    ['logs', ['-n20'], { last: 20, names: [] }],
    ['events', ['--since', '41', '--json'], { since: 41, json: true, last: null }],
    ['health', ['--live', 'web'], { which: 'live', names: ['web'] }],
  ])('%s %j', (verb, argv, expected) => {
    const request = parseControl(verb, argv);
    if (expected === null) expect(request).toBeNull();
    else expect(request).toMatchObject(expected);
  });

  test.each<[ControlVerb, string[], RegExp]>([
    ['status', ['--json', '--watch'], /cannot watch as JSON/],
    ['status', ['--jsn'], /did you mean --json\?; see upkeep status --help$/],
    ['why', [], /no command is named/],
    ['why', ['a', 'b'], /2 are named/],
    ['start', [], /nobody is named/],
    ['start', ['a', '--all'], /exclude each other/],
    ['stop', ['--all', '--group', 'x'], /exclude each other/],
    ['reload', ['a', '--all'], /exclude each other/],
    ['stop', ['--timeout'], /needs a value; write --timeout 30s$/],
    ['stop', ['a', '--timeout', 'soon'], /cannot use "soon" for --timeout/],
    ['signal', ['web'], /takes a command and a signal/],
    ['signal', ['web', 'HUPP'], /did you mean HUP\?/],
    ['shutdown', ['web'], /takes no names.*upkeep stop web/],
    ['logs', ['-n', 'x'], /cannot use "x" for -n/],
    ['logs', ['--json=1'], /takes no value/],
    ['logs', ['--since'], /write --since 5m$/],
    ['events', ['--since'], /write --since 41$/],
    ['events', ['--since', '5m'], /is no number of an event/],
    ['health', ['--live', '--ready'], /both at once/],
  ])('%s %j is refused: %s', (verb, argv, message) => {
    expect(() => parseControl(verb, argv)).toThrow(message);
    expect(() => parseControl(verb, argv)).toThrow(UsageError);
  });
});

describe.each(CONTROL_VERBS)('the help of %s', (verb) => {
  const help = verbHelp(verb);

  test('fits 80 columns, and tells usage, exit codes and an example that can be given', () => {
    for (const line of help.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
    expect(help).toMatch(new RegExp(`^Usage: upkeep ${verb} `));
    expect(help).toMatch(/^Exit codes:\n {2}0 +\S/m);
    for (const code of ['7', '64', '70']) expect(help).toMatch(new RegExp(`^ {2}${code} +\\S`, 'm'));
    const examples = help
      .split(/^Examples?:\n/m)[1]!
      .trimEnd()
      .split('\n');
    expect(examples.length).toBeGreaterThan(0);
    for (const example of examples) {
      const words = /upkeep (.*?)(?: \||$)/.exec(example)?.[1]?.split(' ');
      if (words === undefined) expect(example).toMatch(/\["upkeep", "\w+"\]/);
      else expect(parseControl(words[0] as ControlVerb, words.slice(1))).not.toBeNull();
    }
  });

  test('has the options that there are, and no others', () => {
    const section = help.slice(help.indexOf('Options:'), help.indexOf('Exit codes:'));
    const told = [...section.matchAll(/^ {2}(-\S+?)(?:, (--?\S+))?(?: |$)/gm)].flatMap(([, ...each]) =>
      each.filter((option) => option !== undefined),
    );
    expect([...new Set(told)].sort()).toEqual(
      [...new Set([...Object.keys(VERB_OPTIONS[verb]), '--socket', '-h', '--help'])].sort(),
    );
  });
});
