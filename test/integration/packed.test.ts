/** The npm package, as `npm pack` makes it of what was built before the tests. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
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

  const isChunk = (file: string): boolean => /^dist\/chunks\/[\w-]+\.js$/.test(file);

  test('holds the program, its pages and its notices, and nothing else', () => {
    const pages = [
      'CHANGELOG.md',
      'LICENSE',
      'README.ja.md',
      'README.md',
      'dist/THIRD-PARTY.md',
      'package.json',
    ];
    expect(files.filter((file) => !isChunk(file)).sort()).toEqual([...pages, 'dist/upkeep.js'].sort());
  });

  test('holds no code that is not imported from the program', () => {
    const reached = new Set<string>();
    const visit = (file: string): void => {
      if (reached.has(file)) return;
      reached.add(file);
      const text = readFileSync(join(inside, file), 'utf8');
      for (const other of files)
        if (isChunk(other) && text.includes(`/${other.split('/').at(-1)}"`)) visit(other);
    };
    visit('dist/upkeep.js');
    expect(reached.size).toBeGreaterThan(2);
    expect(files.filter((file) => file.endsWith('.js')).sort()).toEqual([...reached].sort());
  });

  test('runs from where it was unpacked', () => {
    const { version } = JSON.parse(readFileSync(join(inside, 'package.json'), 'utf8'));
    const { stdout, stderr } = spawnSync(process.execPath, [join(inside, 'dist', 'upkeep.js'), '--version'], {
      encoding: 'utf8',
    });
    expect({ stdout, stderr }).toEqual({ stdout: `upkeep ${version}\n`, stderr: '' });
  });
});
