/** What the examples and the how-to page show is so. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { exportPolicy } from '../../src/export/export.ts';
import { load } from '../policy/policies.ts';
import { composeProblems, documentsOf, kubernetesProblems, remarksOf } from './schemas.ts';

const root = join(import.meta.dirname, '..', '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

test('the page shows what is exported', () => {
  const blocks = [...read('docs/how-to/grow.md').matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(
    ([, text]) => text!,
  );
  const policy = blocks.find((text) => text.startsWith('# upkeep.yaml\n'))!;
  const exported = blocks.find((text) => text.startsWith('# Made by upkeep export'))!;
  expect(exported).toBe(exportPolicy(load(policy), 'upkeep.yaml', 'shop:1.0', 'compose'));
});

describe('examples/kubernetes', () => {
  const files = readdirSync(join(root, 'examples/kubernetes')).filter((name) => name.endsWith('.yaml'));

  test.each(files)('%s is what Kubernetes takes', (name) => {
    const objects = documentsOf(read(`examples/kubernetes/${name}`));
    expect(objects.length).toBeGreaterThan(1);
    for (const object of objects) expect(kubernetesProblems(object)).toEqual([]);
  });

  test('the Service finds the pods, and its port', () => {
    const [deployment, service] = documentsOf(read('examples/kubernetes/deployment.yaml'));
    const { metadata, spec } = deployment!.spec.template;
    expect(metadata.labels).toMatchObject(service!.spec.selector);
    expect(deployment!.spec.selector.matchLabels).toEqual(service!.spec.selector);
    const [{ targetPort }] = service!.spec.ports;
    expect(spec.containers[0].ports.map(({ name }: { name: string }) => name)).toContain(targetPort);
  });

  test('there is time for the stop of upkeep, after the wait', () => {
    const { spec } = documentsOf(read('examples/kubernetes/deployment.yaml'))[0]!.spec.template;
    const [, wait] = spec.containers[0].lifecycle.preStop.exec.command;
    expect(spec.terminationGracePeriodSeconds).toBeGreaterThan(Number(wait) + 9);
  });
});

test('examples/swarm/stack.yaml is what Compose files are', () => {
  const [stack] = documentsOf(read('examples/swarm/stack.yaml'));
  expect(composeProblems(stack!)).toEqual([]);
});

test.each(['compose', 'kubernetes', 'swarm'] as const)(
  'the policies of examples/migrate for %s',
  (engine) => {
    const policies = readdirSync(join(root, 'examples/migrate')).map(
      (from) => `examples/migrate/${from}/upkeep.yaml`,
    );
    expect(policies.length).toBeGreaterThan(3);
    for (const path of policies) {
      const text = exportPolicy(load(read(path)), path, null, engine);
      const problems = documentsOf(text).flatMap(
        engine === 'kubernetes' ? kubernetesProblems : composeProblems,
      );
      expect(problems, path).toEqual([]);
      expect(remarksOf(text).length).toBeGreaterThan(1);
    }
  },
);
