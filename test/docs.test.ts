/** The documentation says what is: names, defaults and links are held against the code. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { commandMachine } from '../machines/command.ts';
import { groupMachine } from '../machines/group.ts';
import { supervisorMachine } from '../machines/supervisor.ts';
import { formatDuration } from '../src/output/duration.ts';
import { helpText } from '../src/policy/help.ts';
import { parseRunArguments, RUN_DEFAULTS } from '../src/policy/options.ts';
import { readLine } from '../src/policy/words.ts';

const root = join(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const REFERENCE = {
  commandLine: read('docs/reference/command-line.md'),
  exits: read('docs/reference/signals-and-exit-codes.md'),
  log: read('docs/reference/log-format.md'),
  states: read('docs/reference/states.md'),
};

/** The part of a page below a headline, up to the next one of the same rank. */
function section(page: string, headline: string): string {
  const from = page.indexOf(`\n## ${headline}\n`);
  expect(from, `the headline "${headline}"`).toBeGreaterThan(-1);
  const to = page.indexOf('\n## ', from + 4);
  return page.slice(from, to < 0 ? undefined : to);
}

/** The rows of the tables in it, by their first column's code. */
function rowsOf(text: string): Map<string, string> {
  return new Map([...text.matchAll(/^\| `([^`]+)` \| (.*) \|$/gm)].map(([, key, rest]) => [key!, rest!]));
}

describe('the log format', () => {
  const source = read('machines/events.ts');
  const union = source.slice(source.indexOf('export type Told'), source.indexOf('export type Telling'));
  const told = union.split(/(?=readonly type: ')/).slice(1);
  const rows = rowsOf(section(REFERENCE.log, 'Events'));

  test('is read from the vocabulary as a whole', () => {
    expect(told.length).toBeGreaterThan(10);
  });

  test.each(told.map((text) => [/'([^']+)'/.exec(text)![1]!, text]))(
    'has %s with all its fields',
    (type, text) => {
      const row = rows.get(type);
      expect(row).toBeDefined();
      const fields = [...text.matchAll(/readonly (\w+):/g)].map(([, field]) => field!).slice(1);
      // `message` is on every event, and the sentence of a notice is its message.
      const missing = fields.filter((field) => field !== 'message' && !row!.includes(`\`${field}\``));
      expect(missing).toEqual([]);
    },
  );

  test('has no event that is never told', () => {
    const types = told.map((text) => /'([^']+)'/.exec(text)![1]!);
    expect([...rows.keys()].filter((event) => !types.includes(event))).toEqual([]);
  });
});

describe('the command line', () => {
  const options = [
    ...read('src/policy/options.ts').matchAll(/^ {2}'(--?[\w-]+)': '(?:none|needed|optional)',$/gm),
  ];
  const table = section(REFERENCE.commandLine, 'Options of `run`');

  test('is read from the options as a whole', () => {
    expect(options.map(([, option]) => option)).toEqual(
      expect.arrayContaining(['--interval', '-h', '--socket']),
    );
  });

  test.each(options.map(([, option]) => option!))('has %s', (option) => {
    expect(table).toMatch(new RegExp(`\\|[^|\n]*\`${option}[\`\\[ ]`));
  });

  test('has no option that there is not', () => {
    const known = options.map(([, option]) => option!);
    const shown = [...table.matchAll(/`(--?[a-z][\w-]*)/g)].map(([, option]) => option!);
    expect(shown.filter((option) => !known.includes(option))).toEqual([]);
  });

  const asText = (value: unknown, key: string): string => {
    if (typeof value !== 'number') return String(value);
    return key === 'logMemory' || key === 'recordSize' ? `${value / 1024}k` : formatDuration(value);
  };

  test('the defaults of run: all of them, as they are', () => {
    const rows = rowsOf(section(REFERENCE.commandLine, 'Defaults of `run`'));
    const shown = [...rows].map(([key, rest]) => [key, rest.split(' | ')[0]]);
    const actual = Object.entries(RUN_DEFAULTS).map(([key, value]) => [key, asText(value, key)]);
    expect(Object.fromEntries(shown)).toEqual(Object.fromEntries(actual));
  });
});

test('the exit codes are those of the help', () => {
  const help = helpText('run').split('Exit codes:')[1]!;
  const codes = [...help.matchAll(/^ {2}(\d+) /gm)].map(([, code]) => code!);
  const table = section(REFERENCE.exits, 'Exit codes');
  const shown = [...table.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => code!);
  expect(codes.length).toBeGreaterThan(4);
  expect(shown).toEqual(codes);
});

describe('the states', () => {
  interface Node {
    readonly states: Readonly<Record<string, Node>>;
  }
  const statesBelow = ({ states }: Node): string[] =>
    Object.entries(states).flatMap(([name, state]) => [name, ...statesBelow(state)]);
  const machines = [commandMachine, groupMachine, supervisorMachine];
  const names = machines.flatMap((machine) => [
    ...Object.keys(machine.implementations.guards),
    ...machine.root.events.filter((event) => !event.startsWith('xstate.')),
    ...statesBelow(machine.root),
    ...Object.keys(machine.implementations.delays),
  ]);

  test.each([...new Set(names)])('explain %s', (name) => {
    expect(REFERENCE.states).toContain(`\`${name}\``);
  });
});

test('the image is checked as the reference says, and so is one of another base', () => {
  const check = /^HEALTHCHECK .*$/m;
  const [shown] = check.exec(section(read('docs/reference/control.md'), 'health'))!;
  for (const path of ['Dockerfile', 'examples/any-image/Dockerfile', 'docs/how-to/another-image.md']) {
    expect(check.exec(read(path))?.[0], path).toBe(shown);
  }
});

describe('every page', () => {
  const below = (folder: string): string[] =>
    readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? below(path) : path.endsWith('.md') ? [path] : [];
    });
  const pages = [
    'README.md',
    'README.ja.md',
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    ...below('docs'),
    ...below('examples'),
  ];
  const prose = (page: string): string => read(page).replaceAll(/^```.*?^```$/gms, '');
  const anchors = (page: string): string[] =>
    [...prose(page).matchAll(/^#+ (.*)$/gm)].map(([, headline]) =>
      headline!
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    );

  test.each(pages)('%s: every link leads somewhere', (page) => {
    const links = [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!);
    const broken = links.filter((link) => {
      if (/^https?:/.test(link)) return false;
      const [path, anchor] = link.split('#') as [string, string?];
      const target = path === '' ? page : join(dirname(page), path);
      if (path.startsWith('/') || !existsSync(join(root, target))) return true;
      return anchor !== undefined && !anchors(target).includes(anchor);
    });
    expect(broken).toEqual([]);
  });

  test.each(pages)('%s: every command that it shows can be given', (page) => {
    const scripts = JSON.parse(read('package.json')).scripts as Record<string, string>;
    const asked = [...read(page).matchAll(/npm (?:run |(?=start|test))([\w:]+)/g)].map(
      ([, script]) => script!,
    );
    expect(asked.filter((script) => !Object.hasOwn(scripts, script))).toEqual([]);
    for (const [line] of read(page).matchAll(/(?<=^(?:\$ )?)upkeep run .*$/gm)) {
      if (/…|\[OPTION/.test(line)) continue;
      const words = readLine(line).commands[0]!.map(({ text }) => text);
      expect(parseRunArguments(words.slice(1)).kind).toBe('run');
    }
  });

  test('of the documentation is reached from the readme', () => {
    const reached = new Set<string>();
    const visit = (page: string): void => {
      if (reached.has(page)) return;
      reached.add(page);
      for (const [, link] of prose(page).matchAll(/\]\(([^)#\s]+\.md)/g)) {
        if (!/^https?:/.test(link!)) visit(join(dirname(page), link!));
      }
    };
    visit('README.md');
    expect(pages.filter((page) => !reached.has(page))).toEqual([]);
  });
});
