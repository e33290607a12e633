import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/policy/usage-error.ts';
import { quoteWord, readLine, splitWords } from '../../src/policy/words.ts';

const SHELL = { needsShell: true };

describe('splitWords', () => {
  test.each<[string, string[]]>([
    ['', []],
    [' \t\n ', []],
    ['# only a comment', []],
    ['nginx', ['nginx']],
    ['  nginx\t-g  x  ', ['nginx', '-g', 'x']],
    ['\n# first\n\nnginx # last\n', ['nginx']],
    ["nginx -g 'daemon  off;'", ['nginx', '-g', 'daemon  off;']],
    ['a "" \'\'', ['a', '', '']],
    [`a"b c"'d e'f`, ['ab cd ef']],
    [`a "it's" 'say "x"'`, ['a', "it's", 'say "x"']],
    ['a\\ b \\\\ \\\' \\" \\$x \\| \\*', ['a b', '\\', "'", '"', '$x', '|', '*']],
    ['a "\\$x \\` \\" \\\\ \\n \\a"', ['a', '$x ` " \\ \\n \\a']],
    ["a '\\'", ['a', '\\']],
    ['a \\\n b', ['a', 'b']],
    ['a\\\nb "c\\\nd" \'e\\\nf\'', ['ab', 'cd', 'e\\\nf']],
    ['a "x\ny"', ['a', 'x\ny']],
    ['a b#c "#d" \\#e', ['a', 'b#c', '#d', '#e']],
    ['a \\\n#b', ['a']],
    ['a "5$" "$ " "|&;<>()*?[~"', ['a', '5$', '$ ', '|&;<>()*?[~']],
    ['a b~ "~" \\~ {} {x,y} ! if', ['a', 'b~', '~', '~', '{}', '{x,y}', '!', 'if']],
    ["'if' x", ['if', 'x']],
    ['i\\f x', ['if', 'x']],
    ['exec nginx', ['exec', 'nginx']],
    ['A=1 B="x y" prog C=x', ['A=1', 'B=x y', 'prog', 'C=x']],
    ['a\u00a0b\r', ['a\u00a0b\r']],
    ['\\A=1 "B"=2', ['A=1', 'B=2']],
  ])('%j', (text, words) => {
    expect(splitWords(text)).toEqual({ words });
  });

  test.each([
    'a | b',
    'a & b',
    'a &',
    'a;',
    'a < b',
    'a > b',
    'a 2>&1',
    '(a)',
    'a $b',
    'a "$b"',
    `a "\${b}"`,
    'a "$(b)"',
    'a "`b`"',
    'a `b`',
    'a "$?"',
    'a $((1 + 2))',
    'a *.c',
    'a x?',
    'a [xy]',
    '~/bin/a',
    'a ~',
    'A=~/x a',
    'A=/x:~/y a',
    'a B=~',
    'a\nb',
    'a\n\n # c\n b',
    'if a',
    '! a',
    '{ a',
    'while true',
    'case x in',
    'cd /',
    'A=1 export B',
    "'cd' /",
    '. x',
    ':',
    'source x',
    'eval "a b"',
    'wait',
    'a "x$(echo "a b")y"',
    // What is wrong behind the first sign that it takes a shell is for the shell to tell.
    "cat <<E\nit's\nE",
    'a | b "',
    'a | b \\',
  ])('%j takes a shell', (text) => {
    expect(splitWords(text)).toEqual(SHELL);
  });

  test.each([
    ["a 'b", /^cannot read the command "a 'b": a single quote is not closed; close it/],
    ['a "b', /double quote is not closed/],
    ['a "b\\"', /double quote is not closed/],
    ['a \\', /it ends with a backslash; write two/],
    ['"a\\', /double quote is not closed/],
  ])('%j is refused', (text, message) => {
    expect(() => splitWords(text)).toThrow(UsageError);
    expect(() => splitWords(text)).toThrow(message);
  });

  test('an error shows no more than a line of a long command', () => {
    const long = `${'a\n'.repeat(5000)}`.replaceAll('\n', '  ');
    expect(() => splitWords(`${long}'`)).toThrow(/^.{1,200}$/);
  });
});

/** The same word, written in the way that the style says. */
function written(word: string, style: number): string {
  // No style but quotes keeps a newline; no style but these keeps an empty word.
  if (style === 0 || (style === 2 && (word === '' || word.includes('\n')))) return quoteWord(word);
  if (style === 1) return `"${word.replace(/["$`\\]/g, '\\$&')}"`;
  if (style === 2) return word.replace(/[\s\S]/gu, '\\$&');
  if (style === 3) return [...word].map((char, i) => written(char, i % 3)).join('') || "''";
  return `${written(word.slice(0, 1), 1)}\\\n${written(word.slice(1), 0)}`;
}

test('words that were quoted come back', () => {
  const word = fc.string({
    unit: fc.oneof(fc.constantFrom(...`'"\\ $\`#=~*|;\n\t{}!a`), fc.string({ maxLength: 1 })),
  });
  const pieces = fc.array(fc.tuple(word, fc.nat(4), fc.constantFrom(' ', '\t', '  ', ' \\\n')));
  fc.assert(
    fc.property(pieces, (list) => {
      // The first word is fixed: a builtin in its place would take a shell.
      const text = `prog${list.map(([value, style, space]) => space + written(value, style)).join('')}`;
      expect(splitWords(text)).toEqual({ words: ['prog', ...list.map(([value]) => value)] });
    }),
    { numRuns: 1000 },
  );
});

const shellText = fc.string({ unit: fc.constantFrom(...`''""\\\\  \tabn#=~$-\n`), maxLength: 24 });

test('/bin/sh splits what is plain into the same words', () => {
  fc.assert(
    fc.property(fc.array(shellText, { minLength: 200, maxLength: 400 }), (texts) => {
      const plain: { text: string; words: string[] }[] = [];
      for (const text of texts.map((end) => `p ${end}`)) {
        try {
          const split = splitWords(text);
          if ('words' in split) plain.push({ text, words: split.words });
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
        }
      }
      expect(plain.length).toBeGreaterThan(0);
      // Ends each text's words with \1, so that one disagreement doesn't spoil the others.
      const lines = plain.map(({ text }) => `${text}\nprintf '\\1'`);
      const script = ['p() { printf "%s\\0" p "$@"; }', ...lines].join('\n');
      const { stdout, stderr } = spawnSync('/bin/sh', ['-c', script], { encoding: 'utf8' });
      expect(stderr).toBe('');
      const seen = stdout
        .split('\u0001')
        .slice(0, -1)
        .map((words) => words.split('\0').slice(0, -1));
      expect(plain.map(({ text }, i) => [text, seen[i]])).toEqual(
        plain.map(({ text, words }) => [text, words]),
      );
    }),
    { numRuns: 20 },
  );
});

test('/bin/sh refuses the quotes that are refused here', () => {
  const texts = fc
    .sample(shellText, { numRuns: 600, seed: 7 })
    .filter((text) => {
      try {
        splitWords(text);
        return false;
      } catch (error) {
        return /quote/.test((error as Error).message);
      }
    })
    .slice(0, 100);
  expect(texts.length).toBeGreaterThan(50);
  const script = 'for t; do (eval ": $t") 2>/dev/null && printf "%s\\0" "$t"; done; true';
  const { stdout, status } = spawnSync('/bin/sh', ['-c', script, 'sh', ...texts], { encoding: 'utf8' });
  expect(status).toBe(0);
  expect(stdout).toBe('');
});

describe('readLine', () => {
  const heads = (text: string) => readLine(text).commands.map((words) => words.map((word) => word.text));

  test.each<[string, string[][]]>([
    [
      'cd /x && exec a -b > /log 2>&1',
      [
        ['cd', '/x'],
        ['exec', 'a', '-b'],
      ],
    ],
    ['a 2>/dev/null <in >&2 b', [['a', 'b']]],
    ['a <<-E\n', [['a']]],
    ['a >&- b', [['a', 'b']]],
    ['f() { a; }; f', [['{', 'a'], ['}'], ['f']]],
    ['x=$(a "$(b ")")" \')\' | c) d; e', [['x=$(a "$(b ")")" \')\' | c)', 'd'], ['e']]],
    ['a `b | c` d', [['a', '`b | c`', 'd']]],
    [`a \${b:-"}"} c`, [['a', `\${b:-"}"}`, 'c']]],
    ['a "$(b', [['a', '$(b']]],
  ])('%j', (text, expected) => {
    expect(heads(text)).toEqual(expected);
    expect(readLine(text).needsShell).toBe(true);
  });

  test('knows what a shell would expand', () => {
    const [words] = readLine(`a $b "c$d" '$e' f*`).commands;
    expect(words!.map((word) => word.literal)).toEqual([true, false, false, true, false]);
  });
});
