/** A recording, shown like a running upkeep: to each viewer as it was at the time that he has chosen. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Inside } from '../control/inside.ts';
import { whyNotListening } from '../control/listening.ts';
import { pageFiles } from './files.ts';
import { createHub } from './hub.ts';
import { OPEN } from './json.ts';
import type { ProcessView } from './protocol.ts';
import type { Part, Recording } from './recording.ts';
import { differenceText, partAt, type Replay, replay as replayUntil } from './replay.ts';
import { createInspector, type Inspector } from './server.ts';
import { MUCH_WAITING, type Shown, type Source, type Viewer } from './source.ts';
import { type Verdict, verifyInTurns } from './verify.ts';

/** `cannot show FILE at ADDRESS: why; what to do`. */
export class ShowError extends Error {}

const HOST = '127.0.0.1';

/** Events before the time that is shown that a viewer is told one by one. */
const TOLD_BEFORE = 300;
/** Of those, at once: more when they are taken. */
const AT_ONCE = 20;

/** A part of the recording, run for one viewer up to a time. */
interface Playing {
  readonly part: number;
  readonly replayed: Replay;
  readonly shown: Shown;
  /** ms since 1970: everything up to then has happened. */
  reached: number;
  /** The viewer knows how things were in the beginning. */
  isKnown: boolean;
}

export interface Player extends Source {
  /** From where on the machines do otherwise today, in words; null: nowhere. Who looks is told everything anew. */
  readonly know: (differs: string | null) => void;
}

/** @param differs see know; undefined: it is not known yet */
export function createPlayer(recording: Recording, differs?: string | null): Player {
  const { from, to, parts } = recording;
  const { hostname } = parts[0]!.header;
  const opensAt = openingOf(recording);
  const times = parts.map(timesOfEvents);
  let replayDiffers = differs;
  /** Of each viewer, tells him everything anew. */
  const anew = new Set<() => void>();

  function play(viewer: Viewer): Shown {
    /** null: it is gone. */
    let playing: Playing | null = null;
    let target = opensAt;
    let isDue = false;
    let wantsProcesses = false;

    function begin(): void {
      const part = partAt(recording, target);
      const events = times[part]!;
      const reached = (events[countUntil(events, target) - TOLD_BEFORE] ?? parts[part]!.header.time) - 1;
      const replayed = replayUntil(recording, { part, until: reached });
      const { root, inside } = replayed;
      const replay = replayDiffers === undefined ? null : { differs: replayDiffers };
      const hub = createHub({
        root,
        inside,
        about: { mode: 'recording', hostname, from, to, at: target, replay },
        turns: async () => () => null,
        processes: async () => leadersIn(inside),
        wallClock: replayed.time,
        redaction: OPEN,
      });
      const shown = hub.show(viewer, () => {
        if (playing?.shown !== shown) return;
        playing.isKnown = true;
        schedule();
      });
      playing = { part, replayed, shown, reached, isKnown: false };
      shown.want({ type: 'processes', wanted: wantsProcesses });
    }

    function schedule(): void {
      if (isDue) return;
      isDue = true;
      setImmediate(goOn);
    }

    function goOn(): void {
      isDue = false;
      if (playing === null) return;
      const { part, replayed, reached, isKnown } = playing;
      const events = times[part]!;
      const count = countUntil(events, reached);
      const isFar =
        target < reached ||
        partAt(recording, target) !== part ||
        countUntil(events, target) - count > 2 * TOLD_BEFORE;
      if (isFar) {
        restart();
      } else if (isKnown && reached < target && viewer.waiting() <= MUCH_WAITING) {
        playing.reached = Math.min(target, events[count + AT_ONCE - 1] ?? target);
        replayed.advance(playing.reached);
        schedule();
      }
    }

    function restart(): void {
      playing?.shown.end();
      begin();
    }

    begin();
    anew.add(restart);
    return {
      want(said) {
        if (said.type === 'processes') {
          wantsProcesses = said.wanted;
          playing?.shown.want(said);
        } else {
          target = Math.min(to, Math.max(from, said.at));
          // A scrubber that is drawn says much at once, and means where it ends.
          schedule();
        }
      },
      taken() {
        playing?.shown.taken();
        schedule();
      },
      end() {
        anew.delete(restart);
        playing?.shown.end();
        playing = null;
      },
    };
  }

  return {
    show: play,
    know(found) {
      replayDiffers = found;
      for (const restart of anew) restart();
    },
  };
}

/** What is shown first: how it was right before the event by which upkeep ended, if it did. In its end nothing is left. */
function openingOf({ parts, from, to }: Recording): number {
  let ending: number | null = null;
  for (const { header, lines } of parts) {
    if ('input' in header.start) ending = null;
    let event = header.time;
    for (const line of lines) {
      if ('to' in line) event = line.time;
      else if ('state' in line && line.of === '' && /^(?:stopping|killing)/.test(line.state ?? '')) {
        ending ??= event;
      }
    }
  }
  return ending === null ? to : Math.max(from, ending - 1);
}

/** When events reached machines, ms since 1970. The clock may have been set back meanwhile; here it stands still then. */
function timesOfEvents({ header, lines }: Part): readonly number[] {
  let last = header.time;
  return lines.flatMap((line) => {
    last = Math.max(last, line.time);
    return 'to' in line ? [last] : [];
  });
}

/** How many of them, which rise, are not later. */
function countUntil(times: readonly number[], time: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** All that the machines know of processes. */
function leadersIn({ names, viewOf, timeOf }: Inside): ProcessView[] {
  return names().flatMap((command) => {
    const leader = viewOf(command)?.context.leader ?? null;
    if (leader === null) return [];
    const { pid, name, since } = leader;
    return [
      {
        pid,
        ppid: 0,
        name,
        state: '',
        argv: [],
        since: Math.round(timeOf(since)),
        command,
        part: 'leader',
        because: `a leader by the rule "${leader.rule}"`,
      },
    ];
  });
}

interface Showing {
  readonly inspector: Inspector;
  readonly address: string;
  /** The page has been told it. */
  readonly verdict: Promise<Verdict>;
}

/**
 * Serves the page with the recording, for as long as the process lives.
 *
 * @param path for errors
 * @returns the server, its address with a token, and what is found meanwhile
 * @throws ShowError where it can't listen
 */
export async function showRecording(recording: Recording, path: string, port: number): Promise<Showing> {
  const player = createPlayer(recording);
  const token = randomBytes(32).toString('base64url');
  const inspector = createInspector({
    source: player,
    files: pageFiles(),
    token,
    host: HOST,
    order: 'cannot order anything: this is a recording',
    write: OPEN.write,
  });
  inspector.server.listen(port, HOST);
  try {
    await once(inspector.server, 'listening');
  } catch (error) {
    const why = whyNotListening(error as NodeJS.ErrnoException, '--port 9778');
    throw new ShowError(`cannot show ${path} at ${HOST}:${port}: ${why}`);
  }
  const verdict = verifyInTurns(recording).then((found) => {
    player.know(found.difference === null ? null : differenceText(found.difference));
    return found;
  });
  return { inspector, address: `http://${HOST}:${port}/#token=${token}`, verdict };
}
