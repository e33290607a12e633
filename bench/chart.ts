/** Bar charts as SVG, readable in a light and a dark surrounding. Pure. */
import { readable } from './statistics.ts';

export interface Bar {
  readonly label: string;
  /** null: there is no number; the note stands instead. */
  readonly value: number | null;
  readonly note: string;
  /** The one that the chart is about. */
  readonly own: boolean;
}

export interface Group {
  readonly title: string;
  readonly unit: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 820;
const LEFT = 260;
const BAR = 16;
const STEP = 22;
const HEAD = 34;
const ROOM_FOR_NUMBER = 150;

const STYLE = `
    text { font: 12px system-ui, sans-serif; fill: #1f2328 }
    .title { font-size: 15px; font-weight: 600 }
    .group { font-weight: 600 }
    .dim { fill: #59636e }
    .paper { fill: #ffffff }
    .bar { fill: #afb8c1 }
    .own { fill: #0969da }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .dim { fill: #9da7b3 }
      .paper { fill: #0d1117 }
      .bar { fill: #6e7681 }
      .own { fill: #4493f8 }
    }
  `;

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
const round = (value: number): number => Math.round(value * 10) / 10;

/**
 * @param groups each with a scale of its own, logarithmic where its values differ by more than a hundredfold
 * @returns an SVG document
 */
export function barChart(title: string, groups: readonly Group[]): string {
  const parts: string[] = [`<text class="title" x="16" y="26">${escaped(title)}</text>`];
  let y = 44;
  for (const { title: name, unit, bars } of groups) {
    const lengthOf = scale(bars.flatMap(({ value }) => (value === null ? [] : [value])));
    const how = lengthOf.logarithmic ? `${unit}, logarithmic` : unit;
    parts.push(
      `<text class="group" x="16" y="${y + 16}">${escaped(name)}<tspan class="dim" font-weight="400">${how === '' ? '' : ` (${escaped(how)})`}</tspan></text>`,
    );
    y += HEAD - 8;
    for (const bar of sorted(bars)) {
      parts.push(`<text x="${LEFT - 8}" y="${y + 12}" text-anchor="end">${escaped(bar.label)}</text>`);
      const length = bar.value === null ? 0 : lengthOf.of(bar.value);
      if (bar.value !== null) {
        parts.push(
          `<rect class="${bar.own ? 'own' : 'bar'}" x="${LEFT}" y="${y}" width="${round(Math.max(1, length))}" height="${BAR}" rx="2"/>`,
        );
      }
      const text = bar.value === null ? bar.note : readable(bar.value);
      parts.push(
        `<text${bar.value === null ? ' class="dim"' : ''} x="${round(LEFT + length + 6)}" y="${y + 12}">${escaped(text)}</text>`,
      );
      y += STEP;
    }
    y += 12;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img">
  <title>${escaped(title)}</title>
  <!-- Drawn from results.json by \`npm run bench\`. -->
  <style>${STYLE}</style>
  <rect class="paper" width="100%" height="100%" rx="8"/>
  ${parts.join('\n  ')}
</svg>
`;
}

/** The least first; who has no number comes last. */
function sorted(bars: readonly Bar[]): Bar[] {
  return [...bars].sort(
    (a, b) => (a.value ?? Number.POSITIVE_INFINITY) - (b.value ?? Number.POSITIVE_INFINITY),
  );
}

function scale(values: readonly number[]): {
  readonly logarithmic: boolean;
  readonly of: (value: number) => number;
} {
  const room = WIDTH - LEFT - ROOM_FOR_NUMBER;
  const most = Math.max(0, ...values);
  const least = Math.min(...values.filter((value) => value > 0));
  if (most === 0) return { logarithmic: false, of: () => 0 };
  if (most / least <= 100) return { logarithmic: false, of: (value) => (room * value) / most };
  // The least one still has a length.
  const from = Math.log10(least) - 0.5;
  const span = Math.log10(most) - from;
  return { logarithmic: true, of: (value) => (value <= 0 ? 0 : (room * (Math.log10(value) - from)) / span) };
}
