/** Where the viewer is: the pane and what is selected, as the address's hash has it. */

export const PANES = ['fleet', 'chart', 'timeline', 'messages', 'processes'] as const;
export type Pane = (typeof PANES)[number];

export interface Place {
  readonly pane: Pane;
  /** `command:web`, `group:shop`, `root`, `actor:x:3`; null: nothing. */
  readonly selected: string | null;
}

/** @param hash `#timeline/command:web` */
export function readPlace(hash: string): Place {
  const [pane = '', ...rest] = hash.replace(/^#/, '').split('/');
  let selected: string | null = null;
  try {
    selected = rest.length === 0 ? null : decodeURIComponent(rest.join('/'));
  } catch {
    // Somebody wrote it by hand.
  }
  return {
    pane: PANES.find((each) => each === pane) ?? 'chart',
    selected: selected === '' ? null : selected,
  };
}

export function writePlace({ pane, selected }: Place): string {
  return selected === null ? `#${pane}` : `#${pane}/${encodeURIComponent(selected).replaceAll('%3A', ':')}`;
}
