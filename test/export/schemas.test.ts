/** The helpers find what is wrong. */
import { describe, expect, test } from 'vitest';
import { composeProblems, documentsOf, kubernetesProblems, remarksOf, type Tree } from './schemas.ts';

const deployment = (pod: Tree): Tree => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', labels: { a: 'b' } },
  spec: {
    selector: { matchLabels: { a: 'b' } },
    template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'web', ...pod }] } },
  },
});

describe('kubernetes', () => {
  test('what is right', () => {
    const probe = { httpGet: { path: '/', port: 80 }, periodSeconds: 1 };
    expect(
      kubernetesProblems(deployment({ image: 'x', env: [{ name: 'A', value: 'b' }], livenessProbe: probe })),
    ).toEqual([]);
  });

  test.each<[string, Tree, RegExp]>([
    ['a type', { image: 3 }, /image/],
    ['a key', { image: 'x', livenesProbe: {} }, /containers\[0\]\.livenesProbe/],
    ['a key deep within', { readinessProbe: { httpGet: { port: 80, pth: '/' } } }, /pth/],
    ['what is missing', { env: [{ value: 'x' }] }, /name/],
  ])('what is wrong: %s', (_, pod, problem) => {
    expect(kubernetesProblems(deployment(pod)).join()).toMatch(problem);
  });

  test('another kind', () => {
    expect(kubernetesProblems({ apiVersion: 'v1', kind: 'Deployment' })).toEqual([
      'there is no v1 Deployment',
    ]);
  });
});

describe('compose', () => {
  test('what is right', () => {
    expect(composeProblems({ services: { web: { image: 'x', stop_grace_period: '1500ms' } } })).toEqual([]);
  });

  test.each<[string, Tree, RegExp]>([
    ['a key', { imge: 'x' }, /imge/],
    ['a condition', { depends_on: { db: { condition: 'ready' } } }, /depends_on/],
    ['a type', { restart: 3 }, /restart/],
  ])('what is wrong: %s', (_, web, problem) => {
    expect(composeProblems({ services: { web } }).join()).toMatch(problem);
  });
});

test('what is another value for an older reader', () => {
  expect(documentsOf('a: "yes"\n')).toEqual([{ a: 'yes' }]);
  for (const text of ['a: yes\n', 'a: 1:30\n', 'a: 010\n'])
    expect(() => documentsOf(text)).toThrow('YAML 1.1');
  expect(() => documentsOf('a: [')).toThrow();
});

test('remarks', () => {
  expect(remarksOf('# one\n#  more\na: 1\n  # two\n  - # three\n    x: "# no"\n')).toEqual([
    'one more',
    'two',
    'three',
  ]);
});
