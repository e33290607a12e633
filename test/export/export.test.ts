/** What holds for every policy, and the words behind the verb. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EXPORT_HELP } from '../../src/export/arguments.ts';
import { exportPolicy, runExport } from '../../src/export/export.ts';
import type { Policy } from '../../src/policy/spec.ts';
import { fileOf, load, rawPolicies } from '../policy/policies.ts';
import { composeProblems, documentsOf, kubernetesProblems, remarksOf, type Tree } from './schemas.ts';

describe('any policy', () => {
  /** Made up, and read once. */
  const policies = rawPolicies.map((raw): Policy => load(fileOf(raw)));
  const RUNS = { numRuns: 100 };

  test('for Compose: what its schema takes, with every command as a service', () => {
    fc.assert(
      fc.property(policies, (policy) => {
        const [document, ...more] = documentsOf(exportPolicy(policy, 'upkeep.yaml', 'x', 'compose'));
        expect(more).toEqual([]);
        expect(composeProblems(document!)).toEqual([]);
        expect(Object.keys(document!.services).sort()).toEqual(
          policy.commands.map(({ name }) => name).sort(),
        );
        for (const { depends_on = {} } of Object.values<Tree>(document!.services)) {
          for (const other of Object.keys(depends_on)) expect(document!.services).toHaveProperty([other]);
        }
      }),
      RUNS,
    );
  });

  test('for a Swarm: the same, of keys that it does not pass over', () => {
    /** Those that `docker stack deploy` leaves out or refuses. */
    const others =
      'build cap_file cgroup_parent container_name cpus devices expose external_links extends group_add ipc links mac_address mem_limit network_mode pid pids_limit pre_stop privileged profiles restart security_opt userns_mode depends_on'.split(
        ' ',
      );
    fc.assert(
      fc.property(policies, (policy) => {
        const [document] = documentsOf(exportPolicy(policy, 'upkeep.yaml', 'x', 'swarm'));
        expect(document!.version).toBe('3.8');
        expect(composeProblems(document!)).toEqual([]);
        const services = Object.entries<Tree>(document!.services);
        expect(services).toHaveLength(policy.commands.length);
        for (const [name, service] of services) {
          expect(name).toMatch(/^[a-zA-Z0-9](?:[a-zA-Z0-9_-]{0,48}[a-zA-Z0-9])?$/);
          expect(others.filter((key) => Object.hasOwn(service, key))).toEqual([]);
        }
      }),
      RUNS,
    );
  });

  test('for Kubernetes: what its schema takes, with a workload for every command', () => {
    fc.assert(
      fc.property(policies, (policy) => {
        const objects = documentsOf(exportPolicy(policy, 'upkeep.yaml', 'x', 'kubernetes'));
        for (const object of objects) expect(kubernetesProblems(object)).toEqual([]);
        const workloads = objects.filter(({ kind }) => kind !== 'Service');
        expect(workloads).toHaveLength(policy.commands.length);
        const names = workloads.map(({ metadata }) => metadata.name);
        expect(new Set(names).size).toBe(names.length);
        for (const name of names) expect(name).toMatch(/^[a-z](?:[a-z0-9-]{0,50}[a-z0-9])?$/);
        for (const { kind, metadata } of objects) {
          if (kind === 'Service') expect(names).toContain(metadata.name);
        }
      }),
      RUNS,
    );
  });

  test('is said without a line that is no comment and no YAML: whatever stands in its texts', () => {
    fc.assert(
      fc.property(policies, fc.constantFrom('compose', 'swarm', 'kubernetes'), (policy, engine) => {
        const text = exportPolicy(policy, 'a\nb: c', null, engine);
        expect(text).not.toMatch(/[\0-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]/);
        expect(remarksOf(text)[0]).toMatch(/^Made by upkeep export --\w+ of a\\nb: c: /);
        expect(documentsOf(text).length).toBeGreaterThan(0);
      }),
      RUNS,
    );
  });
});

describe('texts arrive as they are', () => {
  const texts = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !text.includes('\0'));
  /** As Compose and `docker stack deploy` fill variables in. */
  const filledIn = (text: string) => {
    expect(text.replaceAll('$$', '')).not.toContain('$');
    return text.replaceAll('$$', '$');
  };
  /** As the kubelet expands `$(NAME)`. */
  const expanded = (text: string) =>
    text.replace(/\$(\$|\([^)]*\)|)/g, (all, what: string) => {
      expect(what.startsWith('('), text).toBe(false);
      return what === '$' ? '$' : all;
    });
  const odd = fc.oneof(
    texts,
    fc.constantFrom(
      '$',
      '$$',
      '$(A)',
      '$$$(A)',
      `$\{A}`,
      '\u2028',
      '\u0085x',
      'a\nb',
      '\t',
      ' ',
      'yes',
      '010',
      '1:30',
    ),
  );

  test('for Compose and a Swarm', () => {
    fc.assert(
      fc.property(
        fc.array(odd, { maxLength: 3 }),
        odd,
        fc.constantFrom('compose', 'swarm'),
        (words, value, engine) => {
          const raw = { commands: { web: { run: ['a', ...words], env: { A: value } } } };
          const policy = load(fileOf(raw));
          const { web } = documentsOf(exportPolicy(policy, 'x', null, engine as 'compose'))[0]!.services;
          expect(web.entrypoint.map(filledIn)).toEqual(['a', ...words]);
          expect(filledIn(web.environment.A)).toBe(value);
        },
      ),
    );
  });

  test('for Kubernetes', () => {
    fc.assert(
      fc.property(fc.array(odd, { maxLength: 3 }), odd, (words, value) => {
        const raw = { commands: { web: { run: ['a', ...words], env: { A: value } } } };
        const [deployment] = documentsOf(exportPolicy(load(fileOf(raw)), 'x', null, 'kubernetes'));
        const [container] = deployment!.spec.template.spec.containers;
        expect(container.command.map(expanded)).toEqual(['a', ...words]);
        expect(expanded(container.env[0].value)).toBe(value);
      }),
    );
  });
});

describe('the words behind the verb', () => {
  const policy = load('commands: {web: nginx}');
  const ask = (...words: string[]) =>
    runExport(words, (file) => (file === 'bad.yaml' ? { error: 'cannot use bad.yaml: …' } : { policy }));

  test.each([
    ['--compose', 'services:'],
    ['--swarm', 'version: "3.8"'],
    ['--kubernetes', 'kind: Deployment'],
  ])('%s FILE', (flag, part) => {
    for (const words of [
      [flag, 'upkeep.yaml'],
      ['upkeep.yaml', flag],
      [flag, flag, 'upkeep.yaml'],
    ]) {
      expect(ask(...words)).toEqual({ text: expect.stringContaining(part) });
    }
  });

  test('--image names the image, and without it that is said where it is missing', () => {
    for (const words of [['--image', 'shop:1'], ['--image=shop:1']]) {
      const { text } = ask('--compose', 'upkeep.yaml', ...words) as { text: string };
      expect(documentsOf(text)[0]!.services.web.image).toBe('shop:1');
      expect(text).not.toContain('your-image');
    }
    const { text } = ask('--compose', 'upkeep.yaml') as { text: string };
    expect(text).toContain('image: your-image # put your image here\n');
    expect(remarksOf(text).join('\n')).toContain('your-image stands for that image');
  });

  test.each<[string[], RegExp]>([
    [[], /^upkeep: cannot export: it is not said for whom; give one of --compose, --kubernetes and --swarm/],
    [['upkeep.yaml'], /it is not said for whom/],
    [['--compose', '--swarm', 'upkeep.yaml'], /2 engines are given; give one of/],
    [['--compose'], /no file is given; write upkeep export --compose upkeep\.yaml/],
    [['--compose', 'a', 'b'], /2 files are given/],
    [['--compose', 'a', '--image'], /--image: it needs a value/],
    [['--compose', 'a', '--image='], /--image: it needs a value/],
    [['--image', '--compose', 'a'], /--image: it needs a value/],
    [['--compse', 'a'], /the option "--compse" with export: it is unknown, did you mean --compose\?/],
    [['--compose=a'], /"--compose"/],
  ])('%j is refused', (words, message) => {
    expect(ask(...words)).toEqual({ misuse: expect.stringMatching(message) });
    expect((ask(...words) as { misuse: string }).misuse).toMatch(/^upkeep: cannot .*\n$/);
  });

  test('what is wrong in the policy is said as check says it', () => {
    expect(ask('--compose', 'bad.yaml')).toEqual({ error: 'cannot use bad.yaml: …\n' });
  });

  test('--help', () => {
    for (const flag of ['--help', '-h']) expect(ask(flag)).toEqual({ text: EXPORT_HELP });
    for (const line of EXPORT_HELP.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    expect(EXPORT_HELP).toMatch(/^Example:$/m);
  });
});
