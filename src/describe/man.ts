/** The manual page upkeep(1), made of the help texts when upkeep is built. */
import { helpText } from '../policy/help.ts';
import { type Block, PAGES, readHelp, usageOf } from './pages.ts';

/** @returns roff, for the macros of man */
export function manualPage(version: string): string {
  const top = readHelp(helpText(null));
  const [about] = top.filter((block) => block.kind === 'text');
  return [
    `.TH UPKEEP 1 "" "upkeep ${escaped(version)}" "User Commands"`,
    '.SH NAME',
    'upkeep \\- keeps several commands running inside one container',
    '.SH SYNOPSIS',
    ...PAGES.flatMap((page) => usageOf(page).flatMap((usage) => ['.br', escaped(usage)])).slice(1),
    '.SH DESCRIPTION',
    ...(about === undefined ? [] : [escaped(about.text)]),
    '.SH VERBS',
    ...PAGES.flatMap(({ verb, blocks }) => [`.SS upkeep ${verb}`, ...blocks.flatMap(roffOf)]),
    '.SH FILES',
    '.TP',
    '/run/upkeep.sock',
    'The control socket, where nothing else is said and that can be written.',
    '',
  ].join('\n');
}

function roffOf(block: Block): string[] {
  switch (block.kind) {
    case 'usage':
      return ['.nf', ...block.lines.map(escaped), '.fi'];
    case 'text':
      return ['.PP', escaped(block.text)];
    case 'list':
      return [
        '.PP',
        `${escaped(block.head)}:`,
        ...block.items.flatMap(({ head, text }) => ['.TP', `\\fB${escaped(head)}\\fR`, escaped(text)]),
      ];
    case 'lines':
      return ['.PP', `${escaped(block.head)}:`, '.PP', '.nf', ...block.lines.map(escaped), '.fi'];
  }
}

/** As text that roff takes for nothing else. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(
      /[^\x00-\x7f]/gu,
      (sign) => `\\[u${sign.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}]`,
    )
    .replace(/^(?=[.'])/, '\\&');
}
