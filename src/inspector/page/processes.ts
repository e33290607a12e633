/** The processes of the namespace as a tree, each with the command that owns it and the rule that says so. */
import type { ProcessView } from '../protocol.ts';
import { h, say, VirtualList } from './dom.ts';
import { type OwnerMark, ownerMarks, type ProcessRow, processRows, type Sign } from './process-tree.ts';
import type { Store } from './store.ts';
import { duration } from './words.ts';

export interface ProcessesPane {
  readonly element: HTMLElement;
  readonly show: () => void;
  readonly select: (command: string | null) => void;
}

const SIGNS: Readonly<Record<Sign, readonly [string, string]>> = {
  upkeep: ['upkeep', 'upkeep itself'],
  leader: ['leader', 'stands for its command'],
  launcher: ['launcher', 'started by upkeep, to start the service'],
  straggler: ['straggler', 'left behind: its command has no leader'],
  zombie: ['zombie', 'has ended, and waits for its parent to ask'],
  refused: ['refused', 'looks like the command, and is not it'],
};

export function createProcesses(store: Store, onSelect: (key: string) => void): ProcessesPane {
  let command: string | null = null;
  let chosen: number | null = null;
  let marks: ReadonlyMap<string, OwnerMark> = new Map();
  const closed = new Set<number>();
  const input = h('input', {
    type: 'search',
    class: 'search',
    placeholder: 'Name, pid or command',
    'aria-label': 'Filter processes by name, pid or command',
    autocomplete: 'off',
    spellcheck: 'false',
    input: () => show(),
  });
  const count = h('span', { class: 'quiet', role: 'status' });
  const detail = h('aside', { class: 'detail', 'aria-label': 'The process' });
  detail.hidden = true;
  const list = new VirtualList<ProcessRow>({
    role: 'tree',
    label: 'Processes',
    rowHeight: 44,
    key: ({ process }) => String(process.pid),
    draw,
    onSelect({ process }) {
      chosen = process.pid;
      if (process.command !== null) onSelect(`command:${process.command}`);
      drawDetail();
    },
    place: (row) => row,
    onExpand({ process }, expanded) {
      if (expanded) closed.delete(process.pid);
      else closed.add(process.pid);
      show();
    },
  });
  const element = h(
    'section',
    { class: 'pane processes', id: 'processes', 'aria-label': 'Processes' },
    h('div', { class: 'pane-head' }, input, count),
    h('div', { class: 'split' }, list.element, detail),
  );

  function show(): void {
    marks = ownerMarks(store.names);
    const rows = processRows(store.processes, input.value.trim(), closed);
    const zombies = store.processes.filter(({ state }) => state === 'Z').length;
    const ours = store.processes.filter((process) => process.command !== null).length;
    say(
      count,
      store.processesAt === 0
        ? 'asking …'
        : store.hello?.mode === 'recording'
          ? `${ours} leaders: all that the machines knew of processes`
          : `${store.processes.length} processes, ${ours} owned${zombies === 0 ? '' : `, ${zombies === 1 ? '1 zombie' : `${zombies} zombies`}`}`,
    );
    list.show(rows);
    drawDetail();
  }

  function draw({ process, level, expanded, sign }: ProcessRow, row: HTMLElement): void {
    row.style.setProperty('--level', String(level - 1));
    const { argv } = process;
    const isOurs = process.command !== null && process.command === command;
    const mark = process.command === null ? undefined : marks.get(process.command);
    row.dataset.hue = mark === undefined ? '' : String(mark.hue);
    row.dataset.pattern = mark === undefined ? '' : String(mark.pattern);
    const signature = `${process.pid} ${process.name} ${process.command} ${process.because} ${sign} ${expanded} ${isOurs} ${process.state}`;
    if (row.dataset.drawn === signature) return;
    row.dataset.drawn = signature;
    row.classList.toggle('ours', isOurs);
    row.replaceChildren(
      h('span', { class: expanded === null ? 'no-twist' : 'twist', 'aria-hidden': 'true' }),
      h('span', { class: 'owner-bar', 'aria-hidden': 'true' }),
      h('span', { class: 'pid' }, String(process.pid)),
      h(
        'span',
        { class: 'process-text' },
        h(
          'span',
          { class: 'route' },
          h('b', {}, process.name),
          sign !== null && h('span', { class: `sign sign-${sign}`, title: SIGNS[sign][1] }, SIGNS[sign][0]),
          h('span', { class: 'quiet argv' }, ` ${argv.join(' ')}`),
        ),
        h(
          'span',
          { class: 'effect quiet' },
          process.command === null
            ? (process.because ?? (sign === 'upkeep' ? 'upkeep itself' : 'nobody’s'))
            : `${process.command}${process.because === null ? '' : `: ${process.because}`}`,
        ),
      ),
    );
  }

  function drawDetail(): void {
    const shown = store.processes.find(({ pid }) => pid === chosen);
    detail.hidden = shown === undefined;
    if (shown === undefined) return;
    const facts: readonly (readonly [string, string])[] = [
      ['pid', shown.ppid === 0 ? String(shown.pid) : `${shown.pid}, child of ${shown.ppid}`],
      ['state', shown.state === '' ? 'not recorded' : stateText(shown)],
      ['since', `${duration(Math.max(0, store.processesAt - shown.since))}`],
      ['command', shown.command ?? 'nobody’s'],
      ['part', shown.part ?? 'none'],
      ['because', shown.because ?? 'no rule was asked'],
      ['argv', shown.argv.length === 0 ? 'not recorded' : shown.argv.join(' ')],
    ];
    detail.replaceChildren(
      h(
        'div',
        { class: 'detail-head' },
        h('h2', {}, shown.name),
        h(
          'button',
          {
            type: 'button',
            'aria-label': 'Close',
            click: () => {
              chosen = null;
              drawDetail();
            },
          },
          '✕',
        ),
      ),
      h('dl', {}, ...facts.flatMap(([name, text]) => [h('dt', {}, name), h('dd', {}, text)])),
    );
  }

  return {
    element,
    show,
    select(next) {
      command = next;
      show();
    },
  };
}

const STATES: Readonly<Record<string, string>> = {
  R: 'running',
  S: 'sleeping',
  D: 'waiting for the disk',
  T: 'stopped',
  t: 'traced',
  Z: 'zombie',
  I: 'idle',
  X: 'dead',
};
const stateText = ({ state }: ProcessView): string =>
  Object.hasOwn(STATES, state) ? `${state}: ${STATES[state]}` : state;
