/** Text in a terminal: how wide it is, and what of it may go there. Pure. */
import { stripVTControlCharacters } from 'node:util';

/** Columns, where nobody says how many. */
export const WIDTH = 80;

/** Of East Asia's and of pictures, which take two columns. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
/** They stand on the one before. */
const COMBINING = /[\p{Mn}\p{Me}\p{Cf}]/u;

export const BEYOND_ASCII = /[^ -~]/;
const widthOfOne = (point: string): number => (COMBINING.test(point) ? 0 : WIDE.test(point) ? 2 : 1);

/** Columns that it takes. */
export function widthOf(text: string): number {
  if (!BEYOND_ASCII.test(text)) return text.length;
  let width = 0;
  for (const point of text) width += widthOfOne(point);
  return width;
}

export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let short = '';
  let left = width - 1;
  for (const point of text) {
    left -= widthOfOne(point);
    if (left < 0) break;
    short += point;
  }
  return width > 0 ? `${short}…` : '';
}

export function pad(text: string, width: number): string {
  const taken = widthOf(text);
  return taken <= width ? text + ' '.repeat(width - taken) : pad(cut(text, width), width);
}

/** Nothing of what a process calls itself may steer the terminal. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[\x00-\x1f\x7f-\x9f]/g, ' ');
}
