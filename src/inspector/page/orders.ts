/** Orders and signals for what is selected, where they are taken from this viewer. */
import type { Connection } from './connection.ts';
import { h, say } from './dom.ts';
import type { Store } from './store.ts';

export interface OrdersBar {
  readonly element: HTMLElement;
  readonly show: () => void;
  /** @param isChosen by the viewer himself: nobody else's choice is ordered anything */
  readonly select: (command: string | null, isChosen: boolean) => void;
}

const SIGNALS = ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGINT', 'SIGTERM', 'SIGKILL', 'SIGSTOP', 'SIGCONT'];

export function createOrders(store: Store, connection: Connection): OrdersBar {
  /** What is ordered; null: nothing is chosen. */
  let command: string | null = null;
  const whom = h('span', { class: 'whom' });
  const answer = h('span', { class: 'answer', role: 'status' });
  const signal = h(
    'select',
    { 'aria-label': 'Signal' },
    ...SIGNALS.map((name) => h('option', { value: name }, name)),
  );
  const button = (text: string, click: () => void): HTMLButtonElement =>
    h('button', { type: 'button', click }, text);
  const order = (verb: 'start' | 'stop' | 'restart' | 'reload') => () => {
    if (command !== null) void send({ order: verb, command });
  };
  const element = h(
    'section',
    { class: 'orders', 'aria-label': 'Try it' },
    whom,
    button('Start', order('start')),
    button('Stop', order('stop')),
    button('Restart', order('restart')),
    button('Reload', order('reload')),
    signal,
    button('Send', () => {
      if (command !== null) void send({ order: 'signal', command, signal: signal.value });
    }),
    answer,
  );

  async function send(ordered: Parameters<Connection['order']>[0]): Promise<void> {
    const what = ordered.order === 'signal' ? ordered.signal : ordered.order;
    say(answer, `${what} …`);
    answer.classList.remove('bad');
    const { done, text } = await connection.order(ordered);
    say(answer, done ? `${what} ${ordered.command}: ${text}` : text);
    answer.classList.toggle('bad', !done);
  }

  function show(): void {
    element.hidden = store.hello?.orders !== true;
    whom.replaceChildren(
      ...(command === null
        ? [h('span', { class: 'quiet' }, 'Try it: choose a command')]
        : [h('span', { class: 'quiet' }, 'Try it on '), h('b', { title: command }, command)]),
    );
    // It stays where it is: what lies below must not move under the pointer.
    for (const each of element.querySelectorAll('button, select')) {
      each.toggleAttribute('disabled', command === null);
    }
  }

  return {
    element,
    show,
    select(next, isChosen) {
      const ordered = isChosen ? next : null;
      if (ordered === command) return;
      say(answer, '');
      command = ordered;
      show();
    },
  };
}
