/** The WebSocket to upkeep: it comes back by itself. */
import type { Message, Ordered, Wanted } from '../protocol.ts';

/** `refused`: it answers, and lets nobody in. */
export type Link = 'connecting' | 'open' | 'lost' | 'refused';

export interface Connection {
  /** Takes the token of the address, if it has one, out of sight, and connects with it. @returns whether there was one */
  readonly admit: () => boolean;
  /** Lost where nobody listens. */
  readonly say: (wanted: Wanted) => void;
  /** @returns what was answered, in words, and whether it was done */
  readonly order: (ordered: Ordered) => Promise<{ readonly done: boolean; readonly text: string }>;
}

export interface ConnectionOptions {
  readonly onMessage: (message: Message) => void;
  /** @param why it is lost or refused, in words; null: nobody has said */
  readonly onLink: (link: Link, why: string | null) => void;
}

const KEY = 'upkeep-token';
/** ms; after each attempt that fails it is twice as long, up to the last. */
const FIRST_WAIT = 250;
const LAST_WAIT = 4_000;
/** Statuses of HTTP. */
const UNAUTHORIZED = 401;
const UPGRADE = 426;

/** The token that came with the address, which is taken out of sight. null: none did */
function takeToken(): string | null {
  const url = new URL(location.href);
  // Behind the hash it is sent to nobody.
  const inHash = /^#(?:.*&)?token=([^&]*)/.exec(url.hash)?.[1];
  const given = inHash === undefined ? url.searchParams.get('token') : decoded(inHash);
  if (given === null) return null;
  url.searchParams.delete('token');
  url.hash = url.hash.replace(/^#(.*&)?token=[^&]*&?/, '#$1').replace(/[#&]$/, '');
  history.replaceState(null, '', url);
  try {
    sessionStorage.setItem(KEY, given);
  } catch {
    // Nothing may be kept: it is asked for again when the page is loaded again.
  }
  return given;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Somebody wrote it by hand: it will be refused.
    return text;
  }
}

/** One that came before. */
function keptToken(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

export function connect({ onMessage, onLink }: ConnectionOptions): Connection {
  let token = takeToken() ?? keptToken();
  let wait = FIRST_WAIT;
  let socket: WebSocket | null = null;
  let timer = 0;
  let wantsProcesses = false;
  /** Why it was refused last. */
  let why: string | null = null;

  function open(): void {
    clearTimeout(timer);
    onLink('connecting', why);
    const own = new WebSocket(addressOf('ws:'));
    let wasOpen = false;
    socket = own;
    own.onopen = () => {
      wait = FIRST_WAIT;
      wasOpen = true;
      why = null;
      onLink('open', null);
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
      onLink('lost', why);
      if (wasOpen) again();
      else void ask(own);
    };
  }

  function again(): void {
    timer = window.setTimeout(open, wait);
    wait = Math.min(LAST_WAIT, 2 * wait);
  }

  /** A browser does not say why a WebSocket was refused: the same is asked for without one. */
  async function ask(refused: WebSocket): Promise<void> {
    let status = 0;
    let text: string | null = null;
    try {
      const answer = await fetch(addressOf('http:'), { cache: 'no-store' });
      status = answer.status;
      text = ((await answer.json().catch(() => ({}))) as { error?: string }).error ?? null;
    } catch {
      // Nobody is there.
    }
    if (socket !== refused) return;
    // It is let in now, or would have been.
    why = status === 0 || status === UPGRADE ? null : (text ?? `upkeep answers ${status}`);
    if (status === UNAUTHORIZED) why += ', or paste it over the one of this window';
    onLink(why === null ? 'lost' : 'refused', why);
    // A token does not become right again.
    if (status !== UNAUTHORIZED) again();
  }

  /** Of the WebSocket, with the token; `http:`: the same place, asked why. */
  function addressOf(protocol: 'ws:' | 'http:'): URL {
    const address = new URL('ws', location.href);
    if (protocol === 'ws:') address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    address.hash = '';
    address.search = token === null ? '' : `?token=${encodeURIComponent(token)}`;
    return address;
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
    admit() {
      const given = takeToken();
      if (given === null) return false;
      if (given === token && socket?.readyState === WebSocket.OPEN) return true;
      token = given;
      const before = socket;
      socket = null;
      before?.close();
      wait = FIRST_WAIT;
      open();
      return true;
    },
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
