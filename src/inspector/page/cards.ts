/** A machine of which there is no drawing: its states as cards within cards. */
import { h } from './dom.ts';
import type { Machine, Move, StateNode } from './machine.ts';

export interface Lit {
  readonly element: HTMLElement | SVGElement;
  readonly states: ReadonlyMap<string, Element>;
  readonly moves: (move: Move) => readonly Element[];
}

export function createCards({ id, states }: Machine): Lit {
  const cards = new Map<string, Element>();
  const lines = new Map<Move, Element>();
  const nameOf = (target: string): string => target.slice(id.length + 1) || id;

  function card(state: StateNode): HTMLElement {
    const moves = state.moves.map((move) => {
      const line = h(
        'li',
        { class: 'move' },
        h('span', { class: 'move-label' }, move.label),
        move.to === null ? ' stays' : ` → ${nameOf(move.to)}`,
      );
      lines.set(move, line);
      return line;
    });
    const parent = states.get(state.parent ?? '');
    const marks = [
      parent?.initial === state.id ? 'initial' : '',
      state.kind === 'atomic' || state.kind === 'compound' ? '' : state.kind,
    ].filter(Boolean);
    const element = h(
      'div',
      { class: 'card', 'data-state': state.id },
      h(
        'p',
        { class: 'card-head' },
        h('b', {}, state.key),
        marks.length > 0 && h('span', { class: 'quiet' }, ` ${marks.join(', ')}`),
      ),
      state.description !== '' && h('p', { class: 'quiet' }, state.description),
      moves.length > 0 && h('ul', { class: 'moves' }, ...moves),
      state.children.length > 0 &&
        h('div', { class: 'cards' }, ...state.children.flatMap((child) => cardOf(child))),
    );
    cards.set(state.id, element);
    return element;
  }

  function cardOf(child: string): HTMLElement[] {
    const state = states.get(child);
    return state === undefined ? [] : [card(state)];
  }

  return {
    element: h(
      'div',
      { class: 'cards-root', tabindex: 0, role: 'group', 'aria-label': `States of ${id}` },
      ...cardOf(id),
    ),
    states: cards,
    moves: (move) => [lines.get(move) ?? []].flat(),
  };
}
