/** What comes from others: few packages, held by the lockfile, under known licences, and all of it listed in what is shipped. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');
const read = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8'));
const manifest = read('package.json');

interface Locked {
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly integrity?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
}
const { '': own, ...others } = read('package-lock.json').packages as Record<string, Locked>;
const locked = Object.entries(others).map(([folder, entry]) => ({
  name: folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length),
  ...entry,
}));
const nameOf = ({ name }: { name: string }): string => name;

describe('the lockfile', () => {
  test('is that of package.json', () => {
    const { name, version, dependencies, devDependencies, engines } = manifest;
    expect(own).toMatchObject({ name, version, dependencies, devDependencies, engines });
  });

  test('holds every package to its bytes', () => {
    expect(locked.length).toBeGreaterThan(50);
    expect(locked.filter(({ integrity }) => !integrity?.startsWith('sha512-')).map(nameOf)).toEqual([]);
  });

  test('has what every package asks for, on other platforms as well', () => {
    /** Whether somebody in that folder finds the package: in its own node_modules, or in one above. */
    const finds = (folder: string, name: string): boolean => {
      if (Object.hasOwn(others, `${folder === '' ? '' : `${folder}/`}node_modules/${name}`)) return true;
      return (
        folder !== '' && finds(folder.slice(0, Math.max(0, folder.lastIndexOf('node_modules/') - 1)), name)
      );
    };
    const missing = Object.entries(others).flatMap(([folder, { dependencies, optionalDependencies }]) =>
      Object.keys({ ...dependencies, ...optionalDependencies })
        .filter((name) => !finds(folder, name))
        .map((name) => `${folder} asks for ${name}`),
    );
    expect(missing).toEqual([]);
  });
});

describe('packages', () => {
  test('that are installed with upkeep: koffi and its binaries', () => {
    expect(Object.keys(manifest.dependencies)).toEqual(['koffi']);
    const installed = locked.filter(({ dev }) => dev !== true).map(nameOf);
    expect(installed.filter((name) => name !== 'koffi' && !name.startsWith('@koromix/koffi-'))).toEqual([]);
  });

  test('with an install script: it is denied, and all works without', () => {
    const withScript = locked.filter(({ hasInstallScript }) => hasInstallScript).map(nameOf);
    expect(withScript.length).toBeGreaterThan(0);
    const denied = Object.entries(manifest.allowScripts as Record<string, boolean>);
    expect(denied.sort()).toEqual(withScript.sort().map((name) => [name, false]));
  });

  test('for development: under licences that let us use them', () => {
    const allowed = [
      ...['0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'BSD-2-Clause', 'BSD-3-Clause', 'CC-BY-4.0', 'CC0-1.0'],
      ...['EPL-2.0 OR GPL-3.0-or-later', 'ISC', 'MIT', 'MIT OR Apache-2.0', 'MPL-2.0', 'Python-2.0'],
    ];
    const odd = locked.filter(({ license }) => !allowed.includes(license ?? 'none'));
    expect(odd.map(({ name, license }) => `${name}: ${license}`)).toEqual([]);
  });
});

describe('what is shipped', () => {
  // Where the bundle finds koffi.
  const cache = join(root, 'node_modules', '.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'supply-'));
  let bom: { components: { name: string; version: string; properties: { name: string }[] }[] };
  let page = '';
  beforeAll(() => {
    // It builds into the folder, and prints.
    const words = [join(root, 'scripts', 'sbom.mjs'), folder];
    bom = JSON.parse(
      execFileSync(process.execPath, words, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26 }),
    );
    page = readFileSync(join(folder, 'THIRD-PARTY.md'), 'utf8');
  }, 120_000);
  afterAll(() => rmSync(folder, { recursive: true }));

  const components = () => bom.components.map(({ name, version }) => `${name} ${version}`);

  test('has the notice of all that is bundled, and of koffi', () => {
    const rows = [
      ...page.matchAll(/^\| (\S+) \| ([\d.]+) \| ([\w.-]+) \| (bundled|installed beside it) \|$/gm),
    ];
    const bundled = rows.filter(([, , , , where]) => where === 'bundled').map(([, name]) => name);
    // What src/ and machines/ import, and what those import in turn.
    const imported = ['cross-spawn', 'execa', 'prom-client', 'ps-list', 'rxjs', 'xstate'];
    expect(bundled).toEqual(expect.arrayContaining(imported));
    for (const tool of ['esbuild', 'vitest', 'typescript', 'elkjs', 'knip'])
      expect(page).not.toContain(`| ${tool} `);
    for (const [, name, version] of rows.filter(([, , , , where]) => where === 'bundled')) {
      const text = page.split(`\n## ${name} ${version}\n`)[1]?.split('\n## ')[0];
      expect(text, name).toMatch(/copyright|apache license/i);
    }
    expect(page).toContain('\n## koffi ');
  });

  test('has the same packages in its bill of materials, none of them as a tool of development', () => {
    const rows = [...page.matchAll(/^\| (\S+) \| ([\d.]+) \| /gm)].map(
      ([, name, version]) => `${name} ${version}`,
    );
    expect(components().sort()).toEqual(rows.sort());
    const properties = bom.components.flatMap((component) => component.properties.map(({ name }) => name));
    expect(new Set(properties)).toEqual(new Set(['cdx:npm:package:bundled']));
  });
});

describe('the list of what is shipped', async () => {
  // A module without types.
  const shipped = await import(new URL('../scripts/shipped.mjs', import.meta.url).href);
  const page = (entry: object): string => shipped.thirdPartyPage([{ name: 'x', version: '1.0.0', ...entry }]);

  test('has packages of which a byte is in the bundle, each in the version that is', () => {
    const nested = Object.keys(others).find((folder) => folder.lastIndexOf('node_modules/') > 0)!;
    const inputs = {
      'src/main.ts': { bytesInOutput: 100 },
      'node_modules/@sec-ant/readable-stream/dist/index.js': { bytesInOutput: 1 },
      [`${nested}/index.js`]: { bytesInOutput: 1 },
      'node_modules/elkjs/lib/main.js': { bytesInOutput: 0 },
    };
    const packages = shipped.shippedPackages({ outputs: { 'dist/upkeep.js': { inputs } } });
    const bundled = packages.filter((entry: { bundled: boolean }) => entry.bundled);
    const found = bundled.map(({ name, version }: Locked & { name: string }) => `${name} ${version}`);
    const expected = ['node_modules/@sec-ant/readable-stream', nested].map(
      (folder) => `${folder.split('node_modules/').at(-1)} ${others[folder]!.version}`,
    );
    expect(found.sort()).toEqual(expected.sort());
  });

  test('refuses a licence that asks for more than its notice', () => {
    const text = 'Copyright somebody';
    expect(page({ license: 'MIT', bundled: true, text })).toContain(text);
    expect(() => page({ license: 'GPL-3.0-only', bundled: true, text })).toThrow(
      /^cannot ship x: its licence is GPL/,
    );
    expect(() => page({ license: undefined, bundled: false, text })).toThrow(
      /^cannot ship x: its licence is undef/,
    );
  });

  test('refuses a bundled package without the text of its licence', () => {
    expect(() => page({ license: 'MIT', bundled: true, text: null })).toThrow(
      /^cannot ship x: it brings no text/,
    );
    expect(page({ license: 'MIT', bundled: false, text: null })).toContain(
      '| x | 1.0.0 | MIT | installed beside it |',
    );
  });
});
