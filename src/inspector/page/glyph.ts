/** The shape of a state, as a small picture beside its name. */
import { s } from './dom.ts';
import type { Look } from './looks.ts';

export function glyph({ kind, path }: Look): SVGSVGElement {
  return s(
    'svg',
    { class: `glyph k-${kind}`, viewBox: '0 0 12 12', width: 12, height: 12, 'aria-hidden': 'true' },
    s('path', { d: path, 'fill-rule': 'evenodd' }),
  );
}
