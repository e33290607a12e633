import { expect, test } from 'vitest';
import { policyJsonSchema } from '../../src/policy/schema.ts';

const schema = policyJsonSchema() as {
  $schema: string;
  properties: Record<string, unknown>;
  patternProperties: object;
  additionalProperties: boolean;
};

test('it is of the draft that editors know, closed but for x-, and needs no other file', () => {
  expect(schema).toMatchObject({
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    additionalProperties: false,
    patternProperties: { '^x-': {} },
  });
  expect(Object.keys(schema.properties)).toEqual([
    'commands',
    'groups',
    'defaults',
    'container',
    'on',
    'include',
  ]);
  expect(JSON.stringify(schema)).not.toMatch(/"\$(?:id|ref)"/);
});

test('every key has a description of its own', () => {
  const missing: string[] = [];
  const visit = (node: unknown, path: string): void => {
    if (typeof node !== 'object' || node === null) return;
    const { properties } = node as { properties?: Record<string, { description?: string }> };
    for (const [key, value] of Object.entries(properties ?? {})) {
      const isSoftOrHard = key === 'soft' || key === 'hard';
      if (!isSoftOrHard && !/\.$/.test(value.description ?? '')) missing.push(`${path}.${key}`);
    }
    for (const [key, value] of Object.entries(node)) visit(value, `${path}.${key}`);
  };
  visit(schema, '');
  expect(missing).toEqual([]);
});

test('where a number or one of some words is meant, a variable may stand', () => {
  const text = JSON.stringify(schema);
  expect(text).toContain('{"anyOf":[{"type":"boolean"},{"type":"string","pattern":"\\\\$\\\\{"}]');
  expect(text).toContain('"enum":["always","on-failure","never"]},{"type":"string","pattern":"\\\\$\\\\{"}');
});
