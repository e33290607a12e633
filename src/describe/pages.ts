/** DESCRIBES: the help texts taken apart, so that what is made of them says what they say. */
import { EXPORT_HELP } from '../export/arguments.ts';
import { INSPECT_HELP, SIMULATE_HELP } from '../inspector/arguments.ts';
import { helpText } from '../policy/help.ts';
import { CONTROL_VERBS } from '../policy/options.ts';
import { verbHelp } from '../policy/verbs-help.ts';

/** A line of a list: an option, or an exit code, and what it means. */
export interface Item {
  /** `-n, --lines N`. */
  readonly head: string;
  readonly text: string;
}

export type Block =
  | { readonly kind: 'usage'; readonly lines: readonly string[] }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'list'; readonly head: string; readonly items: readonly Item[] }
  /** Lines as they are: examples. */
  | { readonly kind: 'lines'; readonly head: string; readonly lines: readonly string[] };

export interface Page {
  readonly verb: string;
  readonly blocks: readonly Block[];
}

export interface Option {
  /** `--lines`, `-n`. */
  readonly names: readonly string[];
  /** What stands for its value: `N`, `plain|json|raw`, `[=PATH]`; empty: it takes none. */
  readonly value: string;
  readonly text: string;
}

export function readHelp(text: string): Block[] {
  return text
    .trimEnd()
    .split(/\n{2,}/)
    .map((block): Block => {
      const lines = block.split('\n');
      const [first = '', ...rest] = lines;
      if (first.startsWith('Usage: ')) {
        return { kind: 'usage', lines: [first.slice('Usage: '.length), ...rest.map((line) => line.trim())] };
      }
      if (!first.endsWith(':') || !rest[0]?.startsWith('  ')) return { kind: 'text', text: joined(lines) };
      const head = first.slice(0, -1);
      if (head.startsWith('Example'))
        return { kind: 'lines', head, lines: rest.map((line) => line.trimEnd()) };
      return { kind: 'list', head, items: itemsOf(rest) };
    });
}

function itemsOf(lines: readonly string[]): Item[] {
  const items: { head: string; text: string }[] = [];
  for (const line of lines) {
    // Two blanks, or a number, are in front of what it means.
    const [, head, text = ''] = /^ {2}(\d+(?= )|\S.*?(?= {2}|$)) *(.*)$/.exec(line) ?? [];
    const last = items.at(-1);
    if (head !== undefined) items.push({ head, text });
    else if (last !== undefined) last.text = joined([last.text, line]);
  }
  return items;
}

const joined = (lines: readonly string[]): string =>
  lines
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join(' ');

/** Of every verb, in the order in which they are learnt. */
export const PAGES: readonly Page[] = [
  { verb: 'run', text: helpText('run') },
  { verb: 'check', text: helpText('check') },
  { verb: 'export', text: EXPORT_HELP },
  { verb: 'simulate', text: SIMULATE_HELP },
  { verb: 'inspect', text: INSPECT_HELP },
  ...CONTROL_VERBS.map((verb) => ({ verb, text: verbHelp(verb) })),
  { verb: 'completion', text: helpText('completion') },
].map(({ verb, text }) => ({ verb, blocks: readHelp(text) }));

/** The options of a verb, as its help has them. */
export function optionsOf({ blocks }: Page): Option[] {
  return blocks.flatMap((block) => {
    if (block.kind !== 'list' || !block.head.startsWith('Options')) return [];
    return block.items.flatMap(({ head, text }): Option[] => {
      const [, names, value = ''] = /^(--?\w[\w-]*(?:, --?\w[\w-]*)*) ?(.*)$/.exec(head) ?? [];
      return names === undefined ? [] : [{ names: names.split(', '), value, text }];
    });
  });
}

/** What a verb does, in some words. */
export function gistOf({ blocks }: Page): string {
  const text = blocks.find((block) => block.kind === 'text')?.text ?? '';
  return text.split(/[.,:;](?:\s|$)/, 1)[0]!;
}

export function usageOf({ blocks }: Page): readonly string[] {
  return blocks.flatMap((block) => (block.kind === 'usage' ? block.lines : []));
}
