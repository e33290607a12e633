import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseCommands } from '../../src/policy/command.ts';
import { escapeDollars } from '../../src/policy/interpolate.ts';
import { mergeSources } from '../../src/policy/merge.ts';
import { printPolicy } from '../../src/policy/print.ts';
import { fileOf, load, rawPolicies } from './policies.ts';

describe('what is printed is read as the same', () => {
  test('of any policy', () => {
    fc.assert(
      fc.property(rawPolicies, (raw) => {
        const policy = load(fileOf(raw));
        const text = printPolicy(policy);
        const again = load(text);
        expect(again).toEqual(policy);
        expect(printPolicy(again)).toBe(text);
      }),
      { numRuns: 300 },
    );
  });

  test('JSON is YAML', () => {
    fc.assert(
      fc.property(rawPolicies, (raw) => {
        const text = fileOf(raw);
        const json = JSON.stringify(JSON.parse(JSON.stringify(raw)), (_, value) =>
          typeof value === 'string' ? escapeDollars(value) : value,
        );
        expect(load(json)).toEqual(load(text));
      }),
    );
  });
});

test('defaults are left out, and a command that has nothing else is its line', () => {
  expect(
    printPolicy(load('commands: {web: "nginx -g \'daemon off;\'", db: {run: postgres, restart: always}}')),
  ).toBe(
    `commands:
  web: nginx -g 'daemon off;'
  db: postgres
`,
  );
});

test.each(['\n', ' \n', ' \n ', '\t\n', 'a\nb\n', ' a\n b', 'x\n\n\n', '  \n  x'])(
  'the text %j keeps each blank',
  (text) => {
    const policy = load(JSON.stringify({ commands: { web: 'x' }, defaults: { env: { A: text } } }));
    expect(load(printPolicy(policy))).toEqual(policy);
  },
);

test('commands keep their order, whatever they are called', () => {
  const policy = load('commands: {web: x, "7": y, a: z}');
  expect(policy.commands.map(({ name }) => name)).toEqual(['web', '7', 'a']);
  expect(printPolicy(policy)).toBe('commands:\n  web: x\n  "7": y\n  a: z\n');
});

test('what was given as arguments becomes a file', () => {
  const policy = mergeSources(
    parseCommands(['/etc/init.d/cron start', `app: echo \${HOME} $$`, 'x: y: z']),
    [],
    null,
  );
  const text = printPolicy(policy);
  expect(text).toBe(`commands:
  cron: /etc/init.d/cron start
  app: echo $\${HOME} $$$$
  x:
    - "y:"
    - z
`);
});
