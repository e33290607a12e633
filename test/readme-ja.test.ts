/** The Japanese readme says what the English one says: the same sections, commands, code, links, tables and numbers. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const read = (page: string): string => readFileSync(join(import.meta.dirname, '..', page), 'utf8');

interface Section {
  readonly headline: string;
  /** Without code blocks. */
  readonly prose: string;
  readonly blocks: readonly string[];
}

/** A page by its headlines; what stands above the first one is its title's. */
function sectionsOf(page: string): Section[] {
  const blocks: string[] = [];
  const withoutBlocks = page.replaceAll(/^```.*?^```$/gms, (block) => `\0${blocks.push(block) - 1}\0`);
  return withoutBlocks.split(/^(?=#+ )/m).map((text) => ({
    headline: text.slice(0, text.indexOf('\n')),
    prose: text.slice(text.indexOf('\n')).replaceAll(/\0\d+\0/g, ''),
    blocks: [...text.matchAll(/\0(\d+)\0/g)].map(([, index]) => blocks[Number(index)]!),
  }));
}

const all = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([found]) => found);
const levelOf = (headline: string): string => /^#*/.exec(headline)![0];
const codeIn = (text: string): string[] => all(text, /`[^`\n]+`/g);
const linksIn = (text: string): string[] => all(text, /(?<=\]\()[^)\s]+(?=\))/g);
/** Columns of each row. */
const tableIn = (text: string): number[] => all(text, /^\|.*\|$/gm).map((row) => row.split('|').length);
const numbersIn = (text: string): string[] => all(text.replaceAll(/\]\([^)]*\)/g, ']'), /\d+(?:[.,]\d+)*/g);
/** A block line by line without its comments, which are translated. */
const commandsIn = (block: string): string[] => block.split('\n').map((line) => line.replace(/\s+# .*$/, ''));
const sorted = (words: readonly string[]): string[] => [...words].sort();

test('what a page is compared by is read from it', () => {
  const page =
    '# A `b`\n\nx `c d` [e](f.md) 1,000 of 2.5\n\n```sh\nnpm start   # 7 times\n# no headline\n```\n\n## G\n| h | 3 |\n';
  const [first, second, ...others] = sectionsOf(page);
  expect(others).toEqual([]);
  expect([first, second].map((section) => levelOf(section!.headline))).toEqual(['#', '##']);
  expect(codeIn(first!.headline)).toEqual(['`b`']);
  expect(codeIn(first!.prose)).toEqual(['`c d`']);
  expect(linksIn(first!.prose)).toEqual(['f.md']);
  expect(numbersIn(first!.prose)).toEqual(['1,000', '2.5']);
  expect(first!.blocks.map(commandsIn)).toEqual([['```sh', 'npm start', '# no headline', '```']]);
  expect(tableIn(second!.prose)).toEqual([4]);
});

describe('README.ja.md', () => {
  const english = sectionsOf(read('README.md').replace('[日本語](README.ja.md)\n', ''));
  const japanese = sectionsOf(read('README.ja.md').replace('[English](README.md)\n', ''));

  test('and README.md lead to each other, at the top', () => {
    expect(read('README.md').split('\n')[2]).toBe('[日本語](README.ja.md)');
    expect(read('README.ja.md').split('\n')[2]).toBe('[English](README.md)');
  });

  test('has the same headlines: as many, of the same levels, with the same code', () => {
    const shape = (sections: Section[]) =>
      sections.map(({ headline }) => [levelOf(headline), ...codeIn(headline)]);
    expect(english.length).toBeGreaterThan(4);
    expect(shape(japanese)).toEqual(shape(english));
  });

  test.each(english.map((section, index) => ({ ...section, index })))('$headline', (section) => {
    const { prose = '', blocks = [] } = japanese[section.index] ?? {};
    expect(blocks.map(commandsIn), 'the commands').toEqual(section.blocks.map(commandsIn));
    expect(sorted(codeIn(prose)), 'the code in the text').toEqual(sorted(codeIn(section.prose)));
    expect(linksIn(prose), 'the links').toEqual(linksIn(section.prose));
    expect(tableIn(prose), 'the tables').toEqual(tableIn(section.prose));
    expect(sorted(numbersIn(prose)), 'the numbers').toEqual(sorted(numbersIn(section.prose)));
  });
});
