/** Of a recording: what time is shown, and whether a replay of it comes to the same. */
import type { Connection } from './connection.ts';
import { h, say } from './dom.ts';
import type { Store } from './store.ts';
import { clock, day, duration } from './words.ts';

export interface Scrubber {
  readonly element: HTMLElement;
  readonly show: () => void;
  /** Who listens now has not heard yet which time is shown. */
  readonly again: () => void;
}

/** ms between two steps while it plays. */
const STEP = 250;

/** @param onSeek another time is shown */
export function createScrubber(store: Store, connection: Connection, onSeek: () => void): Scrubber {
  let playing = 0;
  let asked = 0;
  const slider = h('input', {
    type: 'range',
    step: 1,
    'aria-label': 'Time of the recording',
    input: () => seek(Number(slider.value)),
  });
  const time = h('output', { class: 'when' });
  const play = h('button', { type: 'button', 'aria-pressed': 'false', click: () => toggle() }, 'Play');
  const speed = h(
    'select',
    { 'aria-label': 'Speed' },
    ...[1, 4, 16, 64].map((times) => h('option', { value: times }, `${times}×`)),
  );
  const verdict = h('p', { class: 'verdict', role: 'status' });
  const element = h(
    'section',
    { class: 'scrubber', 'aria-label': 'Recording' },
    play,
    speed,
    slider,
    time,
    verdict,
  );

  function seek(at: number): void {
    store.at = at;
    showTime();
    onSeek();
    // Not for each step of the slider.
    clearTimeout(asked);
    asked = window.setTimeout(tell, 40);
  }

  const tell = (): void => connection.say({ type: 'seek', at: Math.round(store.now()) });

  function toggle(): void {
    if (playing !== 0) {
      stop();
      return;
    }
    const { from, to } = store.hello!;
    if (store.now() >= (to ?? 0)) seek(from ?? 0);
    play.setAttribute('aria-pressed', 'true');
    say(play, 'Stop');
    playing = window.setInterval(() => {
      const next = store.now() + STEP * Number(speed.value);
      const end = store.hello?.to ?? next;
      seek(Math.min(next, end));
      if (next >= end) stop();
    }, STEP);
  }

  function stop(): void {
    clearInterval(playing);
    playing = 0;
    play.setAttribute('aria-pressed', 'false');
    say(play, 'Play');
  }

  function showTime(): void {
    const { from, to } = store.hello!;
    const at = store.now();
    slider.value = String(at);
    say(time, `${day(at)} ${clock(at)}, ${duration(at - from!)} of ${duration(to! - from!)}`);
    slider.setAttribute('aria-valuetext', `${clock(at)}`);
  }

  return {
    element,
    again: tell,
    show() {
      const { hello } = store;
      element.hidden = hello?.mode !== 'recording' || hello.from === null || hello.to === null;
      if (element.hidden) return;
      slider.min = String(hello!.from);
      slider.max = String(hello!.to);
      showTime();
      const differs = hello!.replay?.differs;
      verdict.hidden = differs === undefined;
      verdict.classList.toggle('bad', typeof differs === 'string');
      say(
        verdict,
        typeof differs === 'string'
          ? `The replay differs: ${differs}`
          : 'Replayed: the machines decide the same again.',
      );
    },
  };
}
