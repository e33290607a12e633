/** A drawing of a machine that can be moved and zoomed, with a small one of the whole in its corner. */
import { arrowHead } from './arrow.ts';
import type { Lit } from './cards.ts';
import { h, s } from './dom.ts';
import type { Drawing } from './drawings.ts';
import type { Move } from './machine.ts';

export interface DrawingView extends Lit {
  readonly element: HTMLElement;
  /** Where the badges of a state hang: its box, in the drawing's measure. */
  readonly boxOf: (id: string) => Drawing['boxes'][number] | null;
  /** Where the label of a move stands, one line of it; null: it has none. */
  readonly labelOf: (move: Move) => { readonly x: number; readonly y: number; readonly width: number } | null;
  /** What is drawn over everything else. */
  readonly overlay: SVGGElement;
  /** Brings a state into sight, with its labels and with what holds it where there is room. `jump`: at once. */
  readonly lookAt: (id: string, jump?: boolean) => void;
  readonly showAll: () => void;
  readonly zoom: (factor: number) => void;
  /** Lights the same in the small one. */
  readonly light: (active: ReadonlySet<string>) => void;
}

/** px of the frame's edges that something else lies over. */
export interface Covered {
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  readonly left: number;
}

export const LINE = 14;
const LARGEST = 2.5;
/** px for each unit of the drawing, of what is followed: less can't be read, more is of no use. */
const LEAST_FOLLOWED = 0.62;
const MOST_FOLLOWED = 1;
/** Where there is no room for more than that state anyway. */
const MOST_FOLLOWED_NARROW = 1.3;
/** px of a frame's width. */
const NARROW = 500;
/** Around what is looked at, in the drawing's measure. */
const MARGIN = 24;
const MOVE_MS = 350;

/** @param onMoved the viewer has moved it by hand @param covered what is to be kept clear */
export function createDrawing(
  name: string,
  drawing: Drawing,
  onMoved: () => void,
  covered: () => Covered,
): DrawingView {
  const states = new Map<string, Element>();
  const arrows = new Map<string, Element[]>();
  const notes = new Map<string, Element>();
  const minis = new Map<string, Element>();
  const boxes = new Map(drawing.boxes.map((box) => [box.id, box]));
  const overlay = s('g', { class: 'overlay' });
  const head = `head-${name}`;

  const boxElements = drawing.boxes.map((box) => {
    let at = box.y + LINE + 4;
    const texts = [
      ...box.description.map((text) => ['dim', text] as const),
      ...box.notes.map((text) => ['note', text] as const),
    ].map(([kind, text]) => {
      at += LINE;
      const element = s('text', { class: kind, x: box.x + 12, y: at }, text);
      if (kind === 'note') notes.set(`${box.id} ${text}`, element);
      return element;
    });
    const group = s(
      'g',
      { class: 'state' },
      s('rect', { x: box.x, y: box.y, width: box.width, height: box.height, rx: 7 }),
      s('text', { class: 'state-name', x: box.x + 12, y: box.y + LINE + 4 }, box.key),
      ...texts,
    );
    states.set(box.id, group);
    return group;
  });
  const lines: Element[] = [];
  const labels: Element[] = [];
  for (const { from, to, d, label } of drawing.arrows) {
    const key = `${from} ${to}`;
    const path = s('path', { class: 'arrow', d, 'marker-end': `url(#${head})` });
    lines.push(path);
    arrows.set(key, [...(arrows.get(key) ?? []), path]);
    if (label === null) continue;
    const { x, y, width, height } = label;
    labels.push(s('rect', { class: 'label-back', x, y, width, height, rx: 3 }));
    for (const [index, text] of label.lines.entries()) {
      const element = s('text', { class: 'label', x: x + 4, y: y + LINE * (index + 0.8) }, text);
      labels.push(element);
      const own = `${key} ${text}`;
      arrows.set(own, [...(arrows.get(own) ?? []), element]);
    }
  }
  const svg = s(
    'svg',
    { class: 'drawing', 'aria-hidden': 'true' },
    arrowHead(head),
    ...boxElements,
    ...drawing.dots.map(([cx, cy]) => s('circle', { class: 'dot', cx, cy, r: 5 })),
    ...lines,
    ...labels,
    overlay,
  );

  const sight = s('rect', { class: 'mini-sight', rx: 12 });
  const mini = s(
    'svg',
    {
      class: 'mini',
      viewBox: `0 0 ${drawing.width} ${drawing.height}`,
      'aria-hidden': 'true',
      pointerdown: (event: PointerEvent) => {
        const { left, top, width, height } = mini.getBoundingClientRect();
        const x = ((event.clientX - left) / width) * drawing.width;
        const y = ((event.clientY - top) / height) * drawing.height;
        onMoved();
        glide({ x, y, scale: view.scale });
      },
    },
    ...drawing.boxes.map((box) => {
      const rect = s('rect', {
        class: 'mini-state',
        x: box.x,
        y: box.y,
        width: box.width,
        height: box.height,
        rx: 14,
      });
      minis.set(box.id, rect);
      return rect;
    }),
    sight,
  );
  const element = h(
    'div',
    {
      class: 'drawing-frame',
      tabindex: 0,
      role: 'group',
      'aria-label': `Statechart of ${name}: arrow keys move it, plus and minus zoom, 0 shows all of it`,
      wheel: (event: WheelEvent) => {
        event.preventDefault();
        onMoved();
        if (event.ctrlKey || event.metaKey)
          zoomAt(event.clientX, event.clientY, Math.exp(-event.deltaY / 150));
        else put({ ...view, x: view.x + event.deltaX / view.scale, y: view.y + event.deltaY / view.scale });
      },
      pointerdown: (event: PointerEvent) => drag(event),
      keydown: (event: KeyboardEvent) => key(event),
    },
    svg,
    mini,
  );

  /** The middle of what is in sight, in the drawing's measure, and px for each unit of it. */
  let view = { x: drawing.width / 2, y: drawing.height / 2, scale: 1 };
  let motion = 0;

  function put(next: typeof view): void {
    const { clientWidth: width, clientHeight: height } = element;
    const scale = Math.min(LARGEST, Math.max(smallest(), next.scale));
    view = {
      scale,
      x: Math.min(drawing.width, Math.max(0, next.x)),
      y: Math.min(drawing.height, Math.max(0, next.y)),
    };
    const shown = [view.x - width / scale / 2, view.y - height / scale / 2, width / scale, height / scale];
    svg.setAttribute('viewBox', shown.map((each) => each.toFixed(2)).join(' '));
    for (const [index, name] of ['x', 'y', 'width', 'height'].entries()) {
      sight.setAttribute(name, shown[index]!.toFixed(1));
    }
  }

  /** What nothing lies over: its size, and how far its middle is from the frame's; px. */
  function free(): {
    readonly width: number;
    readonly height: number;
    readonly dx: number;
    readonly dy: number;
  } {
    const { top, right, bottom, left } = covered();
    return {
      width: Math.max(40, element.clientWidth - left - right),
      height: Math.max(40, element.clientHeight - top - bottom),
      dx: (left - right) / 2,
      dy: (top - bottom) / 2,
    };
  }

  function smallest(): number {
    const { width, height } = free();
    return Math.min(1, width / drawing.width, height / drawing.height) || 0.1;
  }

  function glide(to: typeof view): void {
    cancelAnimationFrame(motion);
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) {
      put(to);
      return;
    }
    const from = view;
    const began = performance.now();
    const step = (): void => {
      const share = Math.min(1, (performance.now() - began) / MOVE_MS);
      const eased = 1 - (1 - share) ** 3;
      put({
        x: from.x + (to.x - from.x) * eased,
        y: from.y + (to.y - from.y) * eased,
        scale: from.scale + (to.scale - from.scale) * eased,
      });
      if (share < 1) motion = requestAnimationFrame(step);
    };
    step();
  }

  function zoomAt(clientX: number, clientY: number, factor: number): void {
    cancelAnimationFrame(motion);
    const { left, top, width, height } = element.getBoundingClientRect();
    const dx = clientX - left - width / 2;
    const dy = clientY - top - height / 2;
    const scale = Math.min(LARGEST, Math.max(smallest(), view.scale * factor));
    put({
      scale,
      x: view.x + dx / view.scale - dx / scale,
      y: view.y + dy / view.scale - dy / scale,
    });
  }

  const touches = new Map<number, { readonly x: number; readonly y: number }>();
  function drag(event: PointerEvent): void {
    if (event.button !== 0 || (event.target as Element).closest('.mini') !== null) return;
    cancelAnimationFrame(motion);
    touches.set(event.pointerId, { x: event.clientX, y: event.clientY });
    element.setPointerCapture(event.pointerId);
    const move = (next: PointerEvent): void => {
      const before = touches.get(next.pointerId);
      if (before === undefined) return;
      const other = [...touches].find(([id]) => id !== next.pointerId)?.[1];
      touches.set(next.pointerId, { x: next.clientX, y: next.clientY });
      onMoved();
      if (other === undefined) {
        put({
          ...view,
          x: view.x - (next.clientX - before.x) / view.scale,
          y: view.y - (next.clientY - before.y) / view.scale,
        });
      } else {
        const apart = (point: { x: number; y: number }): number =>
          Math.max(10, Math.hypot(point.x - other.x, point.y - other.y));
        const now = { x: next.clientX, y: next.clientY };
        zoomAt((now.x + other.x) / 2, (now.y + other.y) / 2, apart(now) / apart(before));
      }
    };
    const end = (last: PointerEvent): void => {
      if (last.pointerId !== event.pointerId) return;
      touches.delete(last.pointerId);
      element.removeEventListener('pointermove', move);
      element.removeEventListener('pointerup', end);
      element.removeEventListener('pointercancel', end);
    };
    if (touches.size === 1) element.addEventListener('pointermove', move);
    element.addEventListener('pointerup', end);
    element.addEventListener('pointercancel', end);
  }

  function key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = 60 / view.scale;
    const moves: Readonly<Record<string, readonly [number, number]>> = {
      ArrowLeft: [-by, 0],
      ArrowRight: [by, 0],
      ArrowUp: [0, -by],
      ArrowDown: [0, by],
    };
    const move = moves[event.key];
    if (move !== undefined) put({ ...view, x: view.x + move[0], y: view.y + move[1] });
    else if (event.key === '+' || event.key === '=') zoom(1.25);
    else if (event.key === '-') zoom(0.8);
    else if (event.key === '0') showAll();
    else return;
    onMoved();
    event.preventDefault();
  }

  const zoom = (factor: number): void => glide({ ...view, scale: view.scale * factor });
  function showAll(): void {
    const { dx, dy } = free();
    const scale = smallest();
    glide({ x: drawing.width / 2 - dx / scale, y: drawing.height / 2 - dy / scale, scale });
  }
  new ResizeObserver(() => put(view)).observe(element);

  return {
    element,
    states,
    overlay,
    moves({ from, to, label }: Move) {
      const key = `${from} ${to}`;
      const text = `${from} ${label} → ${(to ?? '').split('.').at(-1)}`;
      return [
        ...(arrows.get(key) ?? []),
        ...(arrows.get(`${key} ${label}`) ?? []),
        notes.get(text) ?? [],
      ].flat();
    },
    boxOf: (id) => boxes.get(id) ?? null,
    labelOf({ from, to, label: text }) {
      const arrow = drawing.arrows.find(
        (each) => each.from === from && each.to === to && each.label?.lines.includes(text) === true,
      );
      if (arrow?.label == null) return null;
      const { x, y, width, lines } = arrow.label;
      return { x, y: y + LINE * lines.indexOf(text), width };
    },
    lookAt(id, jump = false) {
      const box = boxes.get(id);
      if (box === undefined) return;
      const labels = drawing.arrows.flatMap(({ from, to, label }) =>
        label !== null && (from === id || to === id) ? [label] : [],
      );
      const parent = boxes.get(id.slice(0, id.lastIndexOf('.')));
      const { width, height, dx, dy } = free();
      const candidates = [
        { seen: [box, ...labels, ...(parent === undefined ? [] : [parent])], least: 0.85 },
        { seen: [box, ...labels], least: 0.7 },
        { seen: [box], least: 0 },
      ].map(({ seen, least }) => {
        const left = Math.min(...seen.map(({ x }) => x));
        const right = Math.max(...seen.map((each) => each.x + each.width));
        const top = Math.min(...seen.map(({ y }) => y));
        const bottom = Math.max(...seen.map((each) => each.y + each.height));
        const room = Math.min(width / (right - left + 2 * MARGIN), height / (bottom - top + 2 * MARGIN));
        return { x: (left + right) / 2, y: (top + bottom) / 2, room, least };
      });
      const { x, y, room } = candidates.find(({ room, least }) => room >= least)!;
      const most = element.clientWidth < NARROW ? MOST_FOLLOWED_NARROW : MOST_FOLLOWED;
      const scale = Math.min(most, Math.max(LEAST_FOLLOWED, room));
      const to = { x: x - dx / scale, y: y - dy / scale, scale };
      if (jump) put(to);
      else glide(to);
    },
    showAll,
    zoom,
    light(active) {
      for (const [id, rect] of minis) rect.classList.toggle('active', active.has(id));
    },
  };
}
