// Draws the statecharts from the machines themselves, and lists their transitions: `npm run draw` writes both, `--check` exits 1
// when something is out of date.
// A folder as argument stands in for docs/statecharts.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LINE, layOut, readCharts, TEXT, TITLE } from './chart.mjs';

const root = fileURLToPath(new URL('../', import.meta.url));
/** The states that a user learns; the rest is where an order or a limit leads. */
const MAIN = new Set(['command.running', 'command.missing', 'command.restarting', 'command.backoff']);

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const round = (number) => Math.round(number * 10) / 10;

/** Colours that stand on a background of their own: whoever shows the drawing need not know its theme. */
const STYLE = `
    text { font: ${TEXT}px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #24292f }
    .name { font-size: ${TITLE}px; font-weight: bold }
    .dim { fill: #57606a }
    .paper, .label { fill: #ffffff }
    .state { fill: #f6f8fa; stroke: #8c959f }
    .main { fill: #ddf4ff; stroke: #0969da; stroke-width: 2.5 }
    .arrow { fill: none; stroke: #57606a; stroke-width: 1.2 }
    .dot { fill: #57606a }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .dim { fill: #9da7b3 }
      .paper, .label { fill: #0d1117 }
      .state { fill: #161b22; stroke: #6e7681 }
      .main { fill: #0c2d4a; stroke: #4493f8 }
      .arrow { stroke: #9da7b3 }
      .dot { fill: #9da7b3 }
    }
  `;

function toSvg(title, { states }, { width, height, children, edges }) {
  const byId = new Map(states.map((state) => [state.id, state]));
  const boxes = [];
  const lines = [];
  const labels = [];

  function drawBox(box) {
    const { x, y, width, height } = box;
    const state = byId.get(box.id);
    if (state === undefined) {
      boxes.push(`<circle class="dot" cx="${round(x + 5)}" cy="${round(y + 5)}" r="5"/>`);
      return;
    }
    const rect = (inset, kind) =>
      `<rect class="${kind}" x="${round(x + inset)}" y="${round(y + inset)}" width="${round(width - 2 * inset)}" height="${round(height - 2 * inset)}" rx="7"/>`;
    boxes.push(rect(0, MAIN.has(state.id) ? 'state main' : 'state'));
    if (state.final) boxes.push(rect(3, 'state'));
    let at = y + LINE + 4;
    boxes.push(`<text class="name" x="${round(x + 12)}" y="${round(at)}">${escaped(state.key)}</text>`);
    for (const [kind, texts] of [
      ['dim', state.description],
      ['', state.notes],
    ]) {
      for (const text of texts) {
        at += LINE;
        boxes.push(
          `<text${kind && ` class="${kind}"`} x="${round(x + 12)}" y="${round(at)}">${escaped(text)}</text>`,
        );
      }
    }
    for (const child of box.children ?? []) drawBox(child);
  }
  for (const child of children) drawBox(child);

  for (const { sections = [], labels: texts = [] } of edges) {
    for (const { startPoint, bendPoints = [], endPoint } of sections) {
      const points = [startPoint, ...bendPoints, endPoint].map(({ x, y }) => `${round(x)} ${round(y)}`);
      lines.push(`<path class="arrow" d="M${points.join('L')}" marker-end="url(#head)"/>`);
    }
    for (const { text, x, y, width, height } of texts) {
      labels.push(
        `<rect class="label" x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" rx="3"/>`,
      );
      for (const [index, line] of text.split('\n').entries())
        labels.push(
          `<text x="${round(x + 4)}" y="${round(y + LINE * (index + 0.8))}">${escaped(line)}</text>`,
        );
    }
  }

  const size = `${Math.ceil(width)} ${Math.ceil(height)}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size}" width="${Math.ceil(width)}" height="${Math.ceil(height)}" role="img">
  <title>${escaped(title)}</title>
  <!-- Drawn from the machine by \`npm run draw\`. -->
  <style>${STYLE}</style>
  <marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path class="dot" d="M0 0.5L8 4L0 7.5z"/></marker>
  <rect class="paper" width="100%" height="100%" rx="8"/>
  ${[...boxes, ...lines, ...labels].join('\n  ')}
</svg>
`;
}

/** Every transition as a row, each state's in the order in which they are tried. */
function toTable(title, { states }) {
  const strip = (id) => id.slice(id.indexOf('.') + 1);
  const rows = states.flatMap(({ id, moves }) =>
    moves.map(
      ({ text, to }) => `| \`${strip(id)}\` | \`${text}\` | ${to === null ? 'stays' : `\`${strip(to)}\``} |`,
    ),
  );
  return `## ${title}\n\n| in | on | goes to |\n| --- | --- | --- |\n${rows.join('\n')}\n`;
}

const check = process.argv.includes('--check');
const folder =
  process.argv.slice(2).find((argument) => !argument.startsWith('-')) ?? join(root, 'docs', 'statecharts');
let stale = false;

function put(name, text) {
  const path = join(folder, name);
  const old = existsSync(path) ? readFileSync(path, 'utf8') : null;
  if (old === text) return;
  if (check) {
    const what = old === null ? 'is missing' : 'is older than its machine';
    console.error(`${path} ${what}: run \`npm run draw\` and commit what it writes`);
    stale = true;
  } else {
    mkdirSync(folder, { recursive: true });
    writeFileSync(path, text);
    console.log(`${path} is drawn anew`);
  }
}

const tables = [];
for (const [name, title, chart] of await readCharts()) {
  put(`${name}.svg`, toSvg(`Statechart: ${title}`, chart, await layOut(chart)));
  tables.push(toTable(title, chart));
}
put(
  'transitions.md',
  `# All transitions\n\nWritten from the machines by \`npm run draw\`. What the names mean: [states](../reference/states.md).\n\n${tables.join('\n')}`,
);
process.exitCode = stale ? 1 : 0;
