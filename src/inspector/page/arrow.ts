import { s } from './dom.ts';

/** The head of arrows, for a drawing that has no other of this id: `marker-end` is `url(#id)`. */
export function arrowHead(id: string): SVGDefsElement {
  return s(
    'defs',
    {},
    s(
      'marker',
      {
        id,
        viewBox: '0 0 8 8',
        refX: 7,
        refY: 4,
        markerWidth: 9,
        markerHeight: 9,
        markerUnits: 'userSpaceOnUse',
        orient: 'auto',
      },
      s('path', { d: 'M0 0.5L8 4L0 7.5z', class: 'arrow-head' }),
    ),
  );
}
