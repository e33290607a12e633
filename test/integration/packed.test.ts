/** The npm package, as `npm pack` makes it of what was built before the tests. */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..', '..');

describe('the npm package', () => {
  const folder = mkdtempSync(join(tmpdir(), 'upkeep-packed-'));
  const inside = join(folder, 'package');
  let files: string[] = [];
  beforeAll(() => {
    // Without its script, which would build once more.
    const words = ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder];
    const name = execFileSync('npm', words, { cwd: root, encoding: 'utf8' }).trim().split('\n').at(-1)!;
    execFileSync('tar', ['-xzf', join(folder, name), '-C', folder]);
    files = readdirSync(inside, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(inside.length + 1));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('holds the program, its pages and its notices, and nothing else', () => {
    // No code cache: it is for one version of Node, and nobody can read what is in it.
    const program = [
      ...[
        'client.js',
        'completion.js',
        'control.js',
        'export.js',
        'http.js',
        'inspect.js',
        'inspector-live.js',
        'inspector.js',
        'package.json',
        'policy.js',
        'program.js',
        'record.js',
        'simulate.js',
        'syslog.js',
      ],
      ...['upkeep.1', 'upkeep.js', 'upkeep.schema.json'],
      ...['charts.json', 'icon.svg', 'index.html', 'page.css', 'page.js'].map((name) => `inspector/${name}`),
    ].map((name) => `dist/${name}`);
    const pages = ['CHANGELOG.md', 'LICENSE', 'README.ja.md', 'README.md', 'dist/THIRD-PARTY.md'];
    expect(files.sort()).toEqual([...pages, ...program, 'package.json'].sort());
  });

  test('keeps apart what not everybody asks for: the program does not hold it', () => {
    const read = (name: string): string => readFileSync(join(inside, 'dist', name), 'utf8');
    for (const [name, word] of [
      ['policy.js', 'draft-2020-12'],
      ['export.js', 'startupProbe'],
      ['http.js', '# TYPE '],
      ['inspector.js', 'the inspector is at'],
      ['inspector-live.js', 'Switching Protocols'],
      ['record.js', 'it is something else than a recording'],
      ['inspect.js', 'the same again: '],
      ['simulate.js', 'simulation.ended'],
      ['syslog.js', 'solaris-cron'],
    ] as const) {
      expect(read(name)).toContain(word);
      expect(read('program.js')).not.toContain(word);
    }
  });

  test('who only asks waits for what asks alone', () => {
    const alone = join(folder, 'alone');
    mkdirSync(alone);
    for (const name of ['upkeep.js', 'client.js', 'package.json'])
      copyFileSync(join(inside, 'dist', name), join(alone, name));
    const run = (...words: string[]) =>
      spawnSync(process.execPath, [join(alone, 'upkeep.js'), ...words], { encoding: 'utf8' });
    expect(run('status', '--socket', join(alone, 'none'))).toMatchObject({
      status: 7,
      stdout: '',
      stderr: expect.stringMatching(/^upkeep: cannot ask upkeep at .*: there is no such socket; /),
    });
    expect(run('why', '--help')).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^Usage: upkeep why/),
    });
  });

  test('runs from where it was unpacked', () => {
    const { version } = JSON.parse(readFileSync(join(inside, 'package.json'), 'utf8'));
    const { stdout, stderr } = spawnSync(process.execPath, [join(inside, 'dist', 'upkeep.js'), '--version'], {
      encoding: 'utf8',
    });
    expect({ stdout, stderr }).toEqual({ stdout: `upkeep ${version}\n`, stderr: '' });
  });
});
