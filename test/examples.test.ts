/** The examples can be used, and the documents show them as they are. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { policyWarnings } from '../src/policy/check.ts';
import { loadPolicy } from '../src/policy/file.ts';
import { loadProcfile } from '../src/policy/procfile.ts';
import type { CommandExtras, CommandSpec, Policy } from '../src/policy/spec.ts';

const root = join(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const below = (folder: string): string[] =>
  readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? below(path) : [path];
  });
const load = (path: string, text?: string): Policy =>
  loadPolicy(path, { env: {}, readFile: (name) => (name === path ? (text ?? read(name)) : read(name)) });

const MIGRATIONS = 'examples/migrate';
const examples = below('examples');
const policies = examples.filter((path) => /\/upkeep[^/]*\.yaml$/.test(path));
const pages = ['README.md', ...below('docs').filter((path) => path.endsWith('.md'))];

describe('policy files', () => {
  test.each(policies)('%s can be used, and nothing in it is odd', (path) => {
    expect(policyWarnings(load(path))).toEqual([]);
  });

  const blocks = pages
    .filter((page) => /\/migrate[^/]*\.md$/.test(page))
    .flatMap((page) =>
      [...read(page).matchAll(/^```yaml\n(commands:[\s\S]*?)^```$/gm)].map(([, text]) => ({
        page,
        text: text!,
      })),
    );
  test.each(blocks)('$page: what it shows can be used', ({ page, text }) => {
    expect(policyWarnings(load(`${page}.yaml`, text))).toEqual([]);
  });
});

describe('quotations', () => {
  /** A link that stands alone, and the block below it. */
  const quoted = pages.flatMap((page) =>
    [...read(page).matchAll(/^\[[^\]\n]+\]\(([^)\n]+)\)\n\n```\w*\n([\s\S]*?)^```$/gm)].map(
      ([, link, text]) => ({
        page,
        path: join(dirname(page), link!),
        text: text!,
      }),
    ),
  );

  test.each(quoted)('$page shows $path as it is', ({ path, text }) => {
    expect(text).toBe(read(path));
  });

  const programs = /\.(?:py|mjs|sh|env)$|\/web$/;
  const shown = examples.filter(
    (path) =>
      path.startsWith(`${MIGRATIONS}/`) &&
      !path.includes('/s6-rc.d/') &&
      (!programs.test(path) || path.includes('/cfe-docker/upkeep') || path.endsWith('/cfe-docker.sh')),
  );
  test.each(shown)('%s is shown', (path) => {
    expect(shown.length).toBeGreaterThan(8);
    expect(quoted.map((quotation) => quotation.path)).toContain(path);
  });

  test('the tree of s6-overlay is shown as it is', () => {
    const folder = `${MIGRATIONS}/s6-overlay/`;
    const listed = new Map(
      [...read('docs/how-to/migrate-s6-overlay.md').matchAll(/^(s6-rc\.d\/\S+) *(.*)$/gm)].map(
        ([, path, rest]) => [path!, rest!],
      ),
    );
    const tree = examples.filter((path) => path.startsWith(`${folder}s6-rc.d/`));
    const members = tree
      .filter((path) => path.includes('/user/contents.d/'))
      .map((path) => path.split('/').at(-1)!);
    expect(listed.get('s6-rc.d/user/contents.d/')).toBe(members.toSorted().join(', '));
    const others = tree.filter((path) => !path.includes('/user/')).map((path) => path.slice(folder.length));
    expect([...listed.keys()].filter((path) => !path.endsWith('/')).toSorted()).toEqual(others.toSorted());
    for (const path of others) {
      const text = read(folder + path).trimEnd();
      expect(listed.get(path), path).toBe(text.includes('\n') ? 'below' : text);
      if (text.includes('\n')) expect(quoted.map((quotation) => quotation.path)).toContain(folder + path);
    }
  });
});

/** What is in code in the first column of the page's tables. */
function explained(from: string): string[] {
  const rows = [...read(`docs/how-to/migrate-${from}.md`).matchAll(/^\| (.*?) \| /gm)];
  return rows.flatMap(([, first]) => [...first!.matchAll(/`([^`]+)`/g)].map(([, code]) => code!));
}

/** Nothing of the original is left out of the page's tables. */
function expectExplained(from: string, names: readonly string[]): void {
  const known = explained(from);
  const has = (name: string) =>
    known.some((code) => code === name || (/^[=:]/.test(code.slice(name.length)) && code.startsWith(name)));
  expect(names.length).toBeGreaterThan(3);
  expect(names.filter((name) => !has(name))).toEqual([]);
}

const migrated = (from: string): Map<string, CommandSpec & { policy: CommandExtras }> =>
  new Map(
    load(`${MIGRATIONS}/${from}/upkeep.yaml`).commands.map((command) => [
      command.name,
      command as CommandSpec & { policy: CommandExtras },
    ]),
  );

describe('migrations say all that the original says', () => {
  test('supervisord', () => {
    const lines = read(`${MIGRATIONS}/supervisord/supervisord.conf`).split('\n');
    expectExplained('supervisord', [
      ...new Set(lines.flatMap((line) => /^(\w+)=/.exec(line)?.[1] ?? [])),
      '[supervisord]',
      '[eventlistener:x]',
    ]);
    const programs = lines.flatMap((line) => /^\[program:(\w+)\]$/.exec(line)?.[1] ?? []);
    const commands = [...migrated('supervisord').keys()];
    expect([...new Set(commands.map((name) => name.replace(/-\d$/, '')))]).toEqual(programs);
  });

  test('s6-overlay', () => {
    const tree = examples.filter((path) => path.startsWith(`${MIGRATIONS}/s6-overlay/s6-rc.d/`));
    const parts = tree.map((path) => path.split('/s6-rc.d/')[1]!.split('/'));
    expectExplained('s6-overlay', [...new Set(parts.map(([, file]) => file!))]);
    const commands = migrated('s6-overlay');
    const services = new Set(parts.map(([service]) => service!));
    services.delete('user');
    expect(new Set(commands.keys())).toEqual(services);
    for (const [service, folder, other] of parts) {
      if (folder !== 'dependencies.d' || other === 'base') continue;
      expect(Object.keys(commands.get(service!)!.policy.requires), service).toContain(other);
    }
  });

  test('Compose', () => {
    const { services } = parse(read(`${MIGRATIONS}/compose/compose.yaml`)) as {
      services: Record<string, Record<string, unknown>>;
    };
    expectExplained('compose', [
      ...new Set(Object.values(services).flatMap((service) => Object.keys(service))),
    ]);
    const commands = migrated('compose');
    expect([...commands.keys()]).toEqual(Object.keys(services));
    const milestones = {
      service_started: 'started',
      service_healthy: 'ready',
      service_completed_successfully: 'completed',
    };
    for (const [name, { command, depends_on = {} }] of Object.entries(services)) {
      const expected = Array.isArray(depends_on)
        ? depends_on.map((other) => [other, 'started'])
        : Object.entries(depends_on as Record<string, { condition: keyof typeof milestones }>).map(
            ([other, { condition }]) => [other, milestones[condition]],
          );
      const migratedOne = commands.get(name)!;
      expect(migratedOne.policy.requires, name).toEqual(Object.fromEntries(expected));
      expect(migratedOne.text, name).toBe(Array.isArray(command) ? command.join(' ') : command);
    }
  });

  test('Procfile', () => {
    const original = loadProcfile(`${MIGRATIONS}/procfile/Procfile`, { readFile: read });
    const commands = migrated('procfile');
    expect(new Set([...commands.keys()].map((name) => name.replace(/-\d$/, '')))).toEqual(
      new Set(original.map(({ name }) => name)),
    );
    for (const { name, text } of original) {
      expect((commands.get(name) ?? commands.get(`${name}-1`))!.text, name).toBe(text);
    }
  });
});
