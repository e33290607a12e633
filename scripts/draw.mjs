// Draws the statecharts from the machines themselves, and lists their transitions: `npm run draw` writes both, `--check` exits 1
// when something is out of date.
// A folder as argument stands in for docs/statecharts.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ELK from 'elkjs/lib/elk.bundled.js';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../', import.meta.url));
/** The states that a user learns; the rest is where an order or a limit leads. */
const MAIN = new Set(['command.running', 'command.missing', 'command.restarting', 'command.backoff']);

const TITLE = 13;
const TEXT = 10.5;
/** Of one character, in parts of the font's size: alike in all common monospaced fonts. */
const ADVANCE = 0.602;
const LINE = 14;
const WRAP = 30;

/** The machines, and what walks them, as one module: xstate/graph knows machines of its own xstate only. */
async function load() {
  const { outputFiles } = await build({
    stdin: {
      contents: `
        export { commandMachine } from './machines/command.ts';
        export { groupMachine } from './machines/group.ts';
        export { supervisorMachine } from './machines/supervisor.ts';
        export { toDirectedGraph } from 'xstate/graph';`,
      resolveDir: root,
    },
    bundle: true,
    format: 'esm',
    platform: 'node',
    write: false,
  });
  const code = Buffer.from(outputFiles[0].contents).toString('base64');
  return import(`data:text/javascript;base64,${code}`);
}

/** Everything the drawing needs of a machine: its states, and its transitions as lines of text. */
function read(graph) {
  const arrows = new Map();
  const states = [];

  function readState({ id, stateNode, edges, children }, parent) {
    const stays = [];
    const inner = [];
    const moves = [];
    // What toDirectedGraph leaves out: transitions that need no event.
    const always = (stateNode.always ?? []).map((transition) => ({
      transition,
      target: transition.target[0],
    }));
    for (const { transition, target } of [...edges, ...always]) {
      const text = labelOf(transition);
      moves.push({ text, to: transition.target === undefined ? null : target.id });
      if (transition.target === undefined) stays.push(text);
      else if (target.id.startsWith(`${id}.`) || isOrder(transition)) inner.push(`${text} → ${target.key}`);
      else {
        const key = `${id} ${target.id}`;
        const arrow = arrows.get(key) ?? { from: id, to: target.id, lines: [] };
        arrow.lines.push(text);
        arrows.set(key, arrow);
      }
    }
    states.push({
      id,
      parent,
      key: stateNode.key,
      final: stateNode.type === 'final',
      initial: stateNode.initial?.target?.[0]?.id ?? null,
      description: wrap(stateNode.description ?? '', WRAP),
      notes: [...inner, ...wrap(stays.length > 0 ? `stays: ${stays.join(', ')}` : '', 40)],
      children: children.map((child) => child.id),
      moves,
    });
    for (const child of children) readState(child, id);
  }

  readState(graph, null);
  return { states, arrows: [...arrows.values()] };
}

function labelOf({ eventType, guard, delay }) {
  const event = delay !== undefined ? `after ${delay}` : eventType === '' ? 'always' : eventType;
  return guard === undefined ? event : `${event} [${typeof guard === 'string' ? guard : guard.type}]`;
}

/** What somebody asks for; everything else is something that was seen, or time that went by. */
const isOrder = ({ eventType }) => eventType.startsWith('command.') && eventType !== 'command.rested';

function wrap(text, width) {
  const lines = [];
  for (const word of text.split(' ').filter(Boolean)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] += ` ${word}`;
    else lines.push(word);
  }
  return lines;
}

const widthOf = (lines, size) => Math.ceil(Math.max(0, ...lines.map((line) => line.length)) * size * ADVANCE);

const LAYOUT = {
  'elk.algorithm': 'layered',
  'elk.direction': 'DOWN',
  'elk.hierarchyHandling': 'INCLUDE_CHILDREN',
  'elk.edgeRouting': 'ORTHOGONAL',
  'elk.json.edgeCoords': 'ROOT',
  'elk.json.shapeCoords': 'ROOT',
  'elk.randomSeed': '1',
  'elk.edgeLabels.inline': 'true',
  'elk.layered.considerModelOrder.strategy': 'NODES_AND_EDGES',
  'elk.layered.cycleBreaking.strategy': 'DEPTH_FIRST',
  'elk.layered.nodePlacement.strategy': 'LINEAR_SEGMENTS',
  'elk.layered.spacing.nodeNodeBetweenLayers': '22',
  'elk.layered.spacing.edgeNodeBetweenLayers': '14',
  'elk.spacing.nodeNode': '28',
  'elk.spacing.edgeNode': '18',
  'elk.spacing.edgeEdge': '12',
  'elk.spacing.edgeLabel': '4',
};

/** A state as ELK lays it out: a box with its texts on top, its children below. */
function toBox(state, byId) {
  const head = LINE + 10 + (state.description.length + state.notes.length) * LINE;
  const width = Math.max(
    widthOf([state.key], TITLE),
    widthOf(state.description, TEXT),
    widthOf(state.notes, TEXT),
  );
  const children = state.children.map((id) => toBox(byId.get(id), byId));
  if (children.length === 0) return { id: state.id, width: width + 24, height: head + 6 };
  const widest = Math.max(...children.map((child) => child.width));
  const side = 16 + Math.max(0, (width - widest) / 2);
  return {
    id: state.id,
    children: [{ id: `${state.id}#initial`, width: 10, height: 10 }, ...children],
    // ELK knows no least width for a box with children: what they lack is padding.
    width: Math.max(widest, width) + 32,
    layoutOptions: { 'elk.padding': `[top=${head + 12},left=${side},bottom=16,right=${side}]` },
  };
}

async function layOut({ states, arrows }) {
  const byId = new Map(states.map((state) => [state.id, state]));
  const top = states[0];
  const starts = states
    .filter(({ initial }) => initial !== null)
    .map(({ id, initial }) => ({ from: `${id}#initial`, to: initial, lines: [] }));
  const edges = [...starts, ...arrows].map(({ from, to, lines }) => ({
    id: `${from} ${to}`,
    sources: [from],
    targets: [to],
    labels:
      lines.length === 0
        ? []
        : [{ text: lines.join('\n'), width: widthOf(lines, TEXT) + 8, height: lines.length * LINE + 2 }],
  }));
  return new ELK().layout({
    id: 'drawing',
    layoutOptions: { ...LAYOUT, 'elk.padding': '[top=16,left=16,bottom=16,right=16]' },
    children: toBox(top, byId).children,
    edges,
  });
}

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
const { commandMachine, groupMachine, supervisorMachine, toDirectedGraph } = await load();
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
for (const [name, title, machine] of [
  ['command', 'One command', commandMachine],
  ['group', 'A group of commands', groupMachine],
  ['supervisor', 'The supervisor', supervisorMachine],
]) {
  const chart = read(toDirectedGraph(machine));
  put(`${name}.svg`, toSvg(`Statechart: ${title}`, chart, await layOut(chart)));
  tables.push(toTable(title, chart));
}
put(
  'transitions.md',
  `# All transitions\n\nWritten from the machines by \`npm run draw\`. What the names mean: [states](../reference/states.md).\n\n${tables.join('\n')}`,
);
process.exitCode = stale ? 1 : 0;
