// The statecharts of upkeep's machines, read from the machines themselves and laid out.
import { fileURLToPath } from 'node:url';
import ELK from 'elkjs/lib/elk.bundled.js';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../', import.meta.url));
export const TITLE = 13;
export const TEXT = 10.5;
/** Of one character, in parts of the font's size: alike in all common monospaced fonts. */
const ADVANCE = 0.602;
export const LINE = 14;
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

/** Everything a drawing needs of a machine: its states, and its transitions as lines of text. */
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
      orders: inner,
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

export async function layOut({ states, arrows }) {
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

/** @returns `[id, title, chart]` of each machine; what a chart holds, `layOut` takes */
export async function readCharts() {
  const { commandMachine, groupMachine, supervisorMachine, toDirectedGraph } = await load();
  return [
    ['command', 'One command', commandMachine],
    ['group', 'A group of commands', groupMachine],
    ['supervisor', 'The supervisor', supervisorMachine],
  ].map(([id, title, machine]) => [id, title, read(toDirectedGraph(machine))]);
}

const round = (number) => Math.round(number * 10) / 10;

/** The drawings for the inspector's page, by the machine's id: `Drawings` in src/inspector/page/drawings.ts. What stays where it
 * is is left out. */
export async function drawingsForPage() {
  const drawings = {};
  for (const [id, , chart] of await readCharts()) {
    const states = chart.states.map((state) => ({ ...state, notes: state.orders }));
    const byId = new Map(states.map((state) => [state.id, state]));
    const { width, height, children, edges } = await layOut({ ...chart, states });
    const boxes = [];
    const dots = [];
    const visit = (box) => {
      const state = byId.get(box.id);
      if (state === undefined) dots.push([round(box.x + 5), round(box.y + 5)]);
      else {
        const { key, description, notes } = state;
        const [x, y, width, height] = [box.x, box.y, box.width, box.height].map(round);
        boxes.push({ id: box.id, x, y, width, height, key, description, notes });
      }
      for (const child of box.children ?? []) visit(child);
    };
    for (const box of children) visit(box);
    const arrows = edges.map(({ id: edge, sections = [], labels: [label] }) => {
      const [from, to] = edge.split(' ');
      const d = sections
        .map(({ startPoint, bendPoints = [], endPoint }) =>
          [startPoint, ...bendPoints, endPoint].map(({ x, y }) => `${round(x)} ${round(y)}`).join('L'),
        )
        .map((points) => `M${points}`)
        .join('');
      const texts = label && {
        ...Object.fromEntries(['x', 'y', 'width', 'height'].map((name) => [name, round(label[name])])),
        lines: label.text.split('\n'),
      };
      return { from, to, d, label: texts ?? null };
    });
    drawings[id] = {
      width: Math.ceil(width),
      height: Math.ceil(height),
      states: states.map((state) => state.id),
      boxes,
      dots,
      arrows,
    };
  }
  return drawings;
}
