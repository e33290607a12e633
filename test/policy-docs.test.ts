/** What is written of policy files is so: examples can be loaded, and the reference has every key with its default, and no other. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DEFAULT_POLICY } from '../machines/restart-policy.ts';
import { OCCASIONS } from '../src/output/occasions.ts';
import { HEALTH_DEFAULTS, LOG_FILE_DEFAULTS, READY_DEFAULTS } from '../src/policy/convert.ts';
import { loadPolicy } from '../src/policy/file.ts';
import { HOOK_DEFAULTS } from '../src/policy/hooks.ts';
import { policyJsonSchema } from '../src/policy/schema.ts';
import { readDuration, readSize } from '../src/policy/values.ts';

const root = join(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const pagesBelow = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => join(folder, path));

describe('an example', () => {
  const pages = [
    'README.md',
    'README.ja.md',
    'CHANGELOG.md',
    ...pagesBelow('docs'),
    ...pagesBelow('examples'),
  ];
  /** Files by their first line, as in `# upkeep.yaml`. */
  const filesOf = (page: string): { name: string; text: string }[] =>
    [...read(page).matchAll(/^```yaml\n(# (\S+\.yaml)\b[\s\S]*?)^```$/gm)].map(([, text, name]) => ({
      name: name!,
      text: text!,
    }));
  const examples = pages.flatMap((page) =>
    filesOf(page)
      .filter(({ name }) => name === 'upkeep.yaml')
      .map(({ text }, index) => ({ page, number: index + 1, text })),
  );

  test('is found', () => {
    expect(examples.length).toBeGreaterThan(10);
  });

  test.each(examples)('of $page can be loaded ($number)', ({ page, text }) => {
    const others = new Map(filesOf(page).map((file) => [file.name, file.text]));
    // Whatever it asks of the environment is there.
    const asked = [...others.values(), text].flatMap((file) => [...file.matchAll(/\$\{(\w+)/g)]);
    const env = Object.fromEntries(asked.map(([, name]) => [name!, '1']));
    const readFile = (path: string): string => (path === 'upkeep.yaml' ? text : others.get(path)!);
    expect(loadPolicy('upkeep.yaml', { env, readFile }).commands.length).toBeGreaterThan(0);
  });
});

interface Key {
  readonly path: string;
  /** What the schema says of its default, where that is a single word. */
  readonly otherwise: string | null;
}

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly anyOf?: readonly Schema[];
  readonly additionalProperties?: Schema | boolean;
  readonly description?: string;
}

const schema = policyJsonSchema() as Schema;
const branches = (node: Schema): readonly Schema[] => [node, ...(node.anyOf ?? []).flatMap(branches)];

/** The keys of a mapping, those of mappings in it too: `backoff.first`. What has names of the user's own has none of its own. */
function keysIn(node: Schema, prefix = ''): Key[] {
  return branches(node).flatMap(({ properties = {}, additionalProperties }) => [
    ...Object.entries(properties).flatMap(([key, value]) => [
      { path: prefix + key, otherwise: defaultIn(value) },
      ...keysIn(value, `${prefix}${key}.`),
    ]),
    ...(typeof additionalProperties === 'object' ? keysIn(additionalProperties, prefix) : []),
  ]);
}

function defaultIn({ description = '' }: Schema): string | null {
  return /Default: (\S+?)\.?$/.exec(description)?.[1] ?? null;
}

const top = schema.properties!;
const named = (section: 'commands' | 'groups' | 'on'): Schema => top[section]!.additionalProperties as Schema;
/** Soft and hard are said of all limits at once. */
const short = (path: string): string => path.replace(/^limits\.\w+\.(soft|hard)$/, 'limits.$1');
const unique = (paths: readonly string[]): string[] => [...new Set(paths)].sort();

/** Rows of the tables whose first column is called key, by key: the columns behind it. */
function rowsOf(page: string): Map<string, string[]> {
  const tables = [...page.matchAll(/^\| key \| (.*) \|\n\| ---.*\n((?:\|.*\n)+)/gm)];
  return new Map(
    tables.flatMap(([, , rows]) =>
      [...rows!.matchAll(/^\| `([^`]+)` \| (.*) \|$/gm)].map(([, key, rest]): [string, string[]] => [
        key!,
        rest!.split(' | '),
      ]),
    ),
  );
}

const page = (name: string) => rowsOf(read(`docs/reference/${name}.md`));
const PROBE = /^(?:ready|health)\.((?:tcp|http|exec|file|notify|listening|log|delay)\b.*)$/;
const ofCommand = keysIn(named('commands'));

describe.each([
  {
    what: 'the top level',
    keys: Object.keys(top).map((path): Key => ({ path, otherwise: null })),
    rows: page('policy'),
  },
  {
    what: 'a command',
    keys: ofCommand.map((key) => ({ ...key, path: short(key.path.replace(PROBE, '$1')) })),
    rows: new Map(
      ['policy-commands', 'policy-probes', 'policy-execution', 'policy-log'].flatMap((name) => [
        ...page(name),
      ]),
    ),
  },
  { what: 'a group', keys: keysIn(named('groups')), rows: page('policy-groups') },
  {
    what: 'the container',
    keys: keysIn(top.container!, 'container.'),
    rows: page('policy-container'),
  },
  { what: 'a hook', keys: keysIn(named('on')), rows: page('policy-on') },
])('the reference of $what', ({ keys, rows }) => {
  test('has every key, and no key that there is not', () => {
    expect(keys.length).toBeGreaterThan(2);
    expect(unique([...rows.keys()])).toEqual(unique(keys.map(({ path }) => path)));
  });

  test('has the defaults that the schema speaks of', () => {
    const told = keys.filter(({ otherwise }) => otherwise !== null);
    const wrong = told.filter(({ path, otherwise }) => {
      const [, shown = '', meaning = ''] = rows.get(path)!;
      return !shown.startsWith(otherwise!) && !`${shown} ${meaning}`.includes(`\`${otherwise}\``);
    });
    expect(wrong).toEqual([]);
  });
});

test('the probes of ready and of health are those of the reference', () => {
  const kinds = (of: string) =>
    unique(ofCommand.flatMap(({ path }) => (path.startsWith(`${of}.`) ? (PROBE.exec(path)?.[1] ?? []) : [])));
  const rows = [...page('policy-probes')].filter(([key]) => PROBE.test(`ready.${key}`));
  const shown = (of: string) =>
    unique(
      rows.filter(([key, [, kind]]) => !key.includes('.') && kind!.includes(`\`${of}\``)).map(([key]) => key),
    );
  for (const of of ['ready', 'health']) {
    expect(shown(of)).toEqual(kinds(of).filter((key) => !key.includes('.')));
  }
});

test('the events and the defaults of hooks are those of the code', () => {
  const text = read('docs/reference/policy-on.md');
  const events = [
    ...text.matchAll(
      /^\| `([\w.-]+)` \| .* \| `(?:command|group|operator|policy|upkeep|supervisor)\.\w+` \|$/gm,
    ),
  ];
  expect(events.map(([, event]) => event)).toEqual([...OCCASIONS]);
  const rows = page('policy-on');
  const shown = (key: string): string => /`([^`]+)`/.exec(rows.get(key)![1]!)![1]!;
  expect(readDuration(shown('timeout'))).toBe(HOOK_DEFAULTS.timeout);
  expect(readDuration(shown('interval'))).toBe(HOOK_DEFAULTS.interval);
  expect(Number(shown('retries'))).toBe(HOOK_DEFAULTS.retries);
});

test('the defaults of the reference are those of the code', () => {
  const rows = new Map([...page('policy-commands'), ...page('policy-probes'), ...page('policy-log')]);
  const shown = (key: string): string => /`([^`]+)`/.exec(rows.get(key)![1]!)![1]!;
  const { backoff, settle, startTimeout, linger, stable, successCodes, stragglers, overlap } = DEFAULT_POLICY;
  const durations = {
    'backoff.first': backoff.first,
    'backoff.max': backoff.max,
    'backoff.stable': stable,
    settle,
    startTimeout,
    linger,
    'ready.timeout': READY_DEFAULTS.timeout,
    'ready.interval': READY_DEFAULTS.interval,
    'health.every': HEALTH_DEFAULTS.every,
    'health.timeout': HEALTH_DEFAULTS.timeout,
    'health.grace': HEALTH_DEFAULTS.grace,
  };
  expect(Object.fromEntries(Object.keys(durations).map((key) => [key, readDuration(shown(key))]))).toEqual(
    durations,
  );
  const others = {
    'backoff.factor': backoff.factor,
    'backoff.jitter': backoff.jitter,
    successCodes: `[${successCodes.join(', ')}]`,
    overlap,
    'stop.signal': DEFAULT_POLICY.stopSignals[0]!.signal.replace('SIG', ''),
    'stop.stragglers': stragglers,
    'health.failures': HEALTH_DEFAULTS.failures,
    'health.successes': HEALTH_DEFAULTS.successes,
    'health.onUnhealthy': HEALTH_DEFAULTS.onUnhealthy,
    'log.file.count': LOG_FILE_DEFAULTS.count,
    'log.file.tee': LOG_FILE_DEFAULTS.tee,
  };
  expect(Object.fromEntries(Object.keys(others).map((key) => [key, shown(key)]))).toEqual(
    Object.fromEntries(Object.entries(others).map(([key, value]) => [key, String(value)])),
  );
  expect(readSize(shown('log.file.size'))).toBe(LOG_FILE_DEFAULTS.size);
});

test('how defaults are taken is told of every key of a command', () => {
  const reference = read('docs/reference/policy.md');
  const keys = (row: string): string[] =>
    [...new RegExp(`^\\| ${row}[^|]* \\| (.*) \\|$`, 'm').exec(reference)![1]!.matchAll(/`(\w+)`/g)].map(
      ([, key]) => key!,
    );
  const inDefaults = Object.keys(top.defaults!.properties!);
  const all = ofCommand.map(({ path }) => path).filter((path) => !path.includes('.'));
  expect(unique([...keys('key by key'), ...keys('as a whole')])).toEqual(unique(inDefaults));
  expect(unique(keys('not at all'))).toEqual(unique(all.filter((key) => !inDefaults.includes(key))));
  // Of these the schema says so itself.
  const byKey = /env, .* are taken key by key/.exec(top.defaults!.description!)![0];
  expect(keys('key by key').filter((key) => !byKey.includes(key))).toEqual([]);
});
