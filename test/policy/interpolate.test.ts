import fc from 'fast-check';
import { expect, test } from 'vitest';
import { escapeDollars, interpolate } from '../../src/policy/interpolate.ts';

const env = { A: 'a', EMPTY: '', B_2: '$C {', __proto__: 'x' };
const filled = (text: string): string => {
  const { text: result, mistakes } = interpolate(text, env);
  expect(mistakes).toEqual([]);
  return result;
};
const mistakesIn = (text: string): string[] => interpolate(text, env).mistakes;

test.each([
  ['', ''],
  ['x', 'x'],
  [`\${A}`, 'a'],
  [`<\${A}\${A}>`, '<aa>'],
  [`\${EMPTY}`, ''],
  [`\${B_2}`, '$C {'],
  [`\${NO-x}`, 'x'],
  [`\${NO:-x}`, 'x'],
  [`\${NO:-}`, ''],
  [`\${EMPTY-x}`, ''],
  [`\${EMPTY:-x}`, 'x'],
  [`\${A:-x}`, 'a'],
  [`\${A:?must be set}`, 'a'],
  [`\${EMPTY?x}`, ''],
  [`\${NO:-\${A}}b`, 'ab'],
  [`\${NO:-\${NO:-x}}}`, 'x}'],
  [`\${NO:-$\${A}}`, `\${A}`],
  // A dollar that closes nothing, and one of two, opens nothing.
  [`\${NO:-$}x`, '$x'],
  [`\${NO:-$$}x`, '$x'],
  [`\${NO:-$\${A}b`, `\${Ab`],
  ['$$', '$'],
  ['$$$', '$$'],
  [`$\${A}`, `\${A}`],
  [`$$\${A}`, '$a'],
])('%j is %j', (text, expected) => {
  expect(filled(text)).toBe(expected);
});

test.each(['$A', '$(date)', '$1 $? $@ $', 'x$', '`$A`', '$[', "'$A'"])('%s is left for the shell', (text) => {
  expect(filled(text)).toBe(text);
});

test('what is not set is a mistake that says what to write', () => {
  expect(mistakesIn(`\${NO} and \${NEITHER}`)).toEqual([
    `cannot fill in \${NO}: it is not set; set it, write \${NO:-…} with a default, or $\${NO} to leave it to the shell`,
    `cannot fill in \${NEITHER}: it is not set; set it, write \${NEITHER:-…} with a default, or $\${NEITHER} to leave it to the shell`,
  ]);
  expect(mistakesIn(`\${NO:?we need it}`)[0]).toContain(`cannot fill in \${NO}: we need it; `);
  expect(mistakesIn(`\${EMPTY:?}`)[0]).toContain(`cannot fill in \${EMPTY}: it is empty; `);
  expect(mistakesIn(`\${constructor}`)[0]).toContain('it is not set');
});

test.each([`\${A#x}`, `\${}`, `\${A+x}`, `\${1}`, `\${A-B}\${A/x/y}`])(
  '%s is a mistake that says what is understood',
  (text) => {
    expect(mistakesIn(text)).toHaveLength(1);
    expect(mistakesIn(text)[0]).toContain(
      `only \${NAME}, \${NAME-default}, \${NAME:-default} and \${NAME:?message}`,
    );
  },
);

test('a brace that is not closed, and too many in one another, are mistakes', () => {
  expect(mistakesIn(`x\${A`)).toEqual([
    `cannot fill in \${A: its brace is not closed; write $$ for a dollar that stays`,
  ]);
  const deep = `\${N:-`.repeat(5000) + '}'.repeat(5000);
  expect(mistakesIn(deep)[0]).toContain('there are too many in one another');
});

test.each([8, 9, 10])('%i in one another', (depth) => {
  for (const operator of [':-', ':?']) {
    const nested = `\${N${operator}`.repeat(depth) + '}'.repeat(depth);
    const isTooDeep = mistakesIn(nested).some((mistake) => mistake.includes('too many in one another'));
    expect(isTooDeep, nested).toBe(depth > 9);
  }
});

test('what can’t be filled in is left out, and told in forty characters', () => {
  expect(interpolate(`<\${A#x}\${NO}>`, env).text).toBe('<>');
  for (const [length, shown] of [
    [40, `\${A#${'x'.repeat(35)}}`],
    [41, `\${A#${'x'.repeat(35)}…`],
  ] as const) {
    const text = `\${A#${'x'.repeat(length - 5)}}`;
    expect(text).toHaveLength(length);
    expect(mistakesIn(text)[0]!.startsWith(`cannot fill in ${shown}:`), mistakesIn(text)[0]).toBe(true);
  }
});

test('whatever a text is, escaped it is filled in as itself', () => {
  const text = fc
    .array(fc.oneof(fc.constantFrom('$', '{', '}', `\${A}`, ':-'), fc.string({ maxLength: 3 })))
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, (given) => filled(escapeDollars(given)) === given),
    { numRuns: 1000 },
  );
});

test('any text is filled in or has mistakes', () => {
  const text = fc
    .array(fc.oneof(fc.constantFrom('$', '{', '}', `\${`, 'A', ':', '-', '?'), fc.string({ maxLength: 2 })))
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, (given) => {
      const { text: result, mistakes } = interpolate(given, env);
      return (
        typeof result === 'string' && mistakes.every((mistake) => mistake.startsWith('cannot fill in $'))
      );
    }),
    { numRuns: 1000 },
  );
});
