import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');
const drawings = join(root, 'docs', 'statecharts');
const copy = mkdtempSync(join(tmpdir(), 'upkeep-drawings-'));
afterAll(() => rmSync(copy, { recursive: true }));

function check(folder: string): { status: number | null; said: string } {
  const script = join(root, 'scripts', 'draw.mjs');
  const { status, stderr } = spawnSync(process.execPath, [script, '--check', folder], { encoding: 'utf8' });
  return { status, said: stderr };
}

describe('the drawings of the statecharts', () => {
  test('show the machines as they are', { timeout: 300_000 }, () => {
    expect(check(drawings)).toEqual({ status: 0, said: '' });
  });

  test('are found out when they are older than their machine', { timeout: 300_000 }, () => {
    cpSync(drawings, copy, { recursive: true });
    const path = join(copy, 'command.svg');
    writeFileSync(path, readFileSync(path, 'utf8').replace('leader.exited [isOurs]', 'leader.exited'));
    const { status, said } = check(copy);
    expect(status).toBe(1);
    expect(said).toMatch(/^\S+command\.svg is older than its machine: run `npm run draw`/);
    expect(said).not.toContain('supervisor.svg');
  });

  test.each(['command', 'supervisor'])('%s: no label lies on another one', (name) => {
    const svg = readFileSync(join(drawings, `${name}.svg`), 'utf8');
    const labels = [
      ...svg.matchAll(/class="label" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"/g),
    ].map((match) => match.slice(1).map(Number) as [number, number, number, number]);
    expect(labels.length).toBeGreaterThan(2);
    for (const [index, [x, y, width, height]] of labels.entries()) {
      for (const [otherX, otherY, otherWidth, otherHeight] of labels.slice(index + 1)) {
        const apart =
          x + width <= otherX ||
          otherX + otherWidth <= x ||
          y + height <= otherY ||
          otherY + otherHeight <= y;
        expect(apart).toBe(true);
      }
    }
  });
});
