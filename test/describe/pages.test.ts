import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { completionScript } from '../../src/describe/completion.ts';
import { manualPage } from '../../src/describe/man.ts';
import { gistOf, optionsOf, PAGES, readHelp, usageOf } from '../../src/describe/pages.ts';
import { COMPLETION_SHELLS, CONTROL_VERBS } from '../../src/policy/options.ts';
import { COMMON_OPTIONS, VERB_OPTIONS } from '../../src/policy/verbs.ts';

const pageOf = (verb: string) => PAGES.find((page) => page.verb === verb)!;
const namesOf = (verb: string): string[] =>
  optionsOf(pageOf(verb))
    .flatMap(({ names }) => names)
    .sort();

test('a help text is taken apart: usage, text, lists and examples', () => {
  const text = `Usage: upkeep x [OPTION…] NAME
       upkeep x --all

Does this: and
that.

Options:
  -n, --lines N     the last
                    N lines
  --timeout DURATION
                    how long
  --log[=PATH]  where

Exit codes:
  0   fine
  64 bad words

Example:
  upkeep x a
`;
  expect(readHelp(text)).toEqual([
    { kind: 'usage', lines: ['upkeep x [OPTION…] NAME', 'upkeep x --all'] },
    { kind: 'text', text: 'Does this: and that.' },
    {
      kind: 'list',
      head: 'Options',
      items: [
        { head: '-n, --lines N', text: 'the last N lines' },
        { head: '--timeout DURATION', text: 'how long' },
        { head: '--log[=PATH]', text: 'where' },
      ],
    },
    {
      kind: 'list',
      head: 'Exit codes',
      items: [
        { head: '0', text: 'fine' },
        { head: '64', text: 'bad words' },
      ],
    },
    { kind: 'lines', head: 'Example', lines: ['  upkeep x a'] },
  ]);
});

describe('what is described', () => {
  test.each(CONTROL_VERBS)('%s has the options that it takes, with a value where one follows', (verb) => {
    const table = { ...COMMON_OPTIONS, ...VERB_OPTIONS[verb] };
    expect(namesOf(verb)).toEqual(Object.keys(table).sort());
    for (const { names, value, text } of optionsOf(pageOf(verb))) {
      for (const name of names) expect(value === '' ? 'none' : 'value', name).toBe(table[name]);
      expect(text).not.toBe('');
    }
  });

  test('run has the options that it takes', () => {
    const source = readFileSync('src/policy/options.ts', 'utf8');
    const table = [...source.matchAll(/^ {2}'(--?[\w-]+)': '(?:none|needed|optional)',$/gm)];
    expect(table.length).toBeGreaterThan(10);
    expect(namesOf('run')).toEqual(table.map(([, name]) => name).sort());
  });

  test.each(PAGES.map((page) => [page.verb, page] as const))(
    '%s: what it is for, in a few words',
    (_, page) => {
      expect(gistOf(page)).toMatch(/^[A-Z].{5,79}$/);
      expect(usageOf(page)[0]).toMatch(new RegExp(`^upkeep ${page.verb}\\b`));
    },
  );
});

test.each(COMPLETION_SHELLS)('the script for %s has every verb and every option', (shell) => {
  const script = completionScript(shell);
  for (const page of PAGES) {
    expect(script).toContain(page.verb);
    for (const { names } of optionsOf(page)) {
      for (const name of names) expect(script).toContain(shell === 'fish' ? name.replace(/^-+/, '') : name);
    }
  }
});

test('the manual page has all texts, and none of their signs does anything to it', () => {
  const page = manualPage('1.2.3');
  expect(page).toMatch(/^\.TH UPKEEP 1 "" "upkeep 1\.2\.3"/);
  expect(page).not.toMatch(/[^\x00-\x7f]/);
  for (const line of page.split('\n')) {
    if (/^[.']/.test(line)) expect(line).toMatch(/^\.(TH|SH|SS|PP|TP|nf|fi|br)\b/);
  }
  for (const { verb } of PAGES) expect(page).toContain(`\n.SS upkeep ${verb}\n`);
});
