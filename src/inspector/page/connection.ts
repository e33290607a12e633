/** The WebSocket to upkeep: it comes back by itself. */
import type { Message, Ordered, Wanted } from '../protocol.ts';

export type Link = 'connecting' | 'open' | 'lost';

export interface Connection {
  /** Lost where nobody listens. */
  readonly say: (wanted: Wanted) => void;
  /** @returns what was answered, in words, and whether it was done */
  readonly order: (ordered: Ordered) => Promise<{ readonly done: boolean; readonly text: string }>;
}

export interface ConnectionOptions {
  readonly onMessage: (message: Message) => void;
  readonly onLink: (link: Link) => void;
}

const KEY = 'upkeep-token';
/** ms; after each attempt that fails it is twice as long, up to the last. */
const FIRST_WAIT = 250;
const LAST_WAIT = 4_000;

/** The token that came with the address, which is taken out of sight; one that came before, else. */
function takeToken(): string | null {
  const url = new URL(location.href);
  // Behind the hash it is sent to nobody.
  const inHash = /^#(?:.*&)?token=([^&]*)/.exec(url.hash)?.[1];
  const given = inHash === undefined ? url.searchParams.get('token') : decodeURIComponent(inHash);
  try {
    if (given === null) return sessionStorage.getItem(KEY);
    sessionStorage.setItem(KEY, given);
  } catch {
    // Nothing may be kept: it is asked for again when the page is loaded again.
  }
  url.searchParams.delete('token');
  url.hash = url.hash.replace(/^#(.*&)?token=[^&]*&?/, '#$1').replace(/[#&]$/, '');
  history.replaceState(null, '', url);
  return given;
}

export function connect({ onMessage, onLink }: ConnectionOptions): Connection {
  const token = takeToken();
  const address = new URL('ws', location.href);
  address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  address.hash = '';
  address.search = token === null ? '' : `?token=${encodeURIComponent(token)}`;
  let wait = FIRST_WAIT;
  let socket: WebSocket | null = null;
  let timer = 0;
  let wantsProcesses = false;

  function open(): void {
    clearTimeout(timer);
    onLink('connecting');
    const own = new WebSocket(address);
    socket = own;
    own.onopen = () => {
      wait = FIRST_WAIT;
      onLink('open');
      if (wantsProcesses) say({ type: 'processes', wanted: true });
    };
    own.onmessage = ({ data }) => {
      let message: Message;
      try {
        message = JSON.parse(String(data)) as Message;
      } catch {
        return;
      }
      onMessage(message);
    };
    own.onclose = () => {
      if (socket !== own) return;
      onLink('lost');
      timer = window.setTimeout(open, wait);
      wait = Math.min(LAST_WAIT, 2 * wait);
    };
  }

  function say(wanted: Wanted): void {
    if (wanted.type === 'processes') wantsProcesses = wanted.wanted;
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(wanted));
  }

  // Who wakes up need not wait.
  const wake = (): void => {
    if (socket === null || socket.readyState !== WebSocket.CLOSED) return;
    wait = FIRST_WAIT;
    open();
  };
  addEventListener('online', wake);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') wake();
  });
  open();

  return {
    say,
    async order(ordered) {
      try {
        const answer = await fetch('order', {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-upkeep-token': token ?? '' },
          body: JSON.stringify(ordered),
        });
        if (answer.ok) return { done: true, text: 'ordered' };
        const { error } = (await answer.json().catch(() => ({}))) as { error?: string };
        return { done: false, text: error ?? `refused: ${answer.status} ${answer.statusText}` };
      } catch {
        return { done: false, text: 'cannot order: upkeep does not answer' };
      }
    },
  };
}
