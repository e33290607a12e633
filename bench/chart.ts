/** Charts as SVG, readable in a light and a dark surrounding. Pure. */
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
    .line { fill: none; stroke: #0969da; stroke-width: 1.5 }
    .axis { stroke: #afb8c1 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .dim { fill: #9da7b3 }
      .paper { fill: #0d1117 }
      .bar { fill: #6e7681 }
      .own { fill: #4493f8 }
      .line { stroke: #4493f8 }
      .axis { stroke: #6e7681 }
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
  return drawing(title, y, 'npm run bench', parts);
}

export interface Curve {
  readonly title: string;
  readonly unit: string;
  /** x and y, both at least 0, by rising x. */
  readonly points: readonly (readonly [number, number])[];
}

const PLOT_LEFT = 70;
const PLOT_WIDTH = 660;
const PLOT_HEIGHT = 110;

/**
 * Curves below each other, over the same x. All scales begin at 0.
 *
 * @param along what x counts: `restarts`
 * @param madeBy the command that draws it
 * @returns an SVG document
 */
export function lineChart(title: string, along: string, curves: readonly Curve[], madeBy: string): string {
  const parts: string[] = [`<text class="title" x="16" y="26">${escaped(title)}</text>`];
  const width = Math.max(1, ...curves.flatMap(({ points }) => points.map(([x]) => x)));
  let y = 44;
  for (const { title: name, unit, points } of curves) {
    const most = Math.max(0, ...points.map((point) => point[1]));
    const top = y + 28;
    const bottom = top + PLOT_HEIGHT;
    const at = ([x, value]: readonly [number, number]): string =>
      `${round(PLOT_LEFT + (PLOT_WIDTH * x) / width)},${round(bottom - (PLOT_HEIGHT * value) / (most || 1))}`;
    const last = points.at(-1);
    parts.push(
      `<text class="group" x="16" y="${y + 16}">${escaped(name)}<tspan class="dim" font-weight="400"> (${escaped(unit)})</tspan></text>`,
      `<path class="axis" fill="none" d="M${PLOT_LEFT} ${top}V${bottom}H${PLOT_LEFT + PLOT_WIDTH}"/>`,
      `<text x="${PLOT_LEFT - 8}" y="${top + 8}" text-anchor="end">${readable(most)}</text>`,
      `<text x="${PLOT_LEFT - 8}" y="${bottom}" text-anchor="end">0</text>`,
      `<polyline class="line" points="${points.map(at).join(' ')}"/>`,
    );
    if (last !== undefined) {
      const [x, end] = at(last).split(',').map(Number) as [number, number];
      parts.push(`<text x="${round(x + 6)}" y="${round(end + 4)}">${readable(last[1])}</text>`);
    }
    y = bottom + 14;
  }
  parts.push(
    `<text class="dim" x="${PLOT_LEFT + PLOT_WIDTH}" y="${y + 4}" text-anchor="end">${readable(width)} ${escaped(along)}</text>`,
  );
  return drawing(title, y + 16, madeBy, parts);
}

function drawing(title: string, height: number, madeBy: string, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
  <title>${escaped(title)}</title>
  <!-- Drawn by \`${madeBy}\`. -->
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
