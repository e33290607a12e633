/** A recording, shown like a running upkeep: to each viewer as it was at the time that he has chosen. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { whyNotListening } from '../control/bounded.ts';
import { pageFiles } from './files.ts';
import { createHub } from './hub.ts';
import type { Recording } from './recording.ts';
import { differenceText, replay } from './replay.ts';
import { createInspector, type Inspector, TOKEN_SIZE } from './server.ts';
import type { Shown, Source, Viewer } from './source.ts';
import { verify } from './verify.ts';

/** `cannot show FILE at ADDRESS: why; what to do`. */
export class ShowError extends Error {}

const HOST = '127.0.0.1';

/** @param differs from where on the machines do otherwise today, in words; null: nowhere */
export function createPlayer(recording: Recording, differs: string | null): Source {
  const { from, to, parts } = recording;
  const { hostname } = parts[0]!.header;

  function showAt(time: number, viewer: Viewer): Shown {
    const replayed = replay(recording, { until: time });
    const { root, inside } = replayed;
    return createHub({
      root,
      inside,
      about: { mode: 'recording', hostname, from, to, replay: { differs } },
      turns: async () => () => null,
      processes: async () => [],
      wallClock: replayed.time,
      redact: inside.redact,
    }).show(viewer);
  }

  return {
    show(viewer) {
      let shown: Shown | null = showAt(to, viewer);
      /** null: it is shown already. */
      let wanted: number | null = null;
      const seek = (): void => {
        const time = wanted!;
        wanted = null;
        if (shown === null) return;
        shown.end();
        shown = showAt(time, viewer);
      };
      return {
        want(said) {
          if (said.type !== 'seek') return;
          // A scrubber that is drawn says much at once, and means where it ends.
          if (wanted === null) setImmediate(seek);
          wanted = Math.min(to, Math.max(from, said.at));
        },
        taken: () => shown?.taken(),
        end() {
          shown?.end();
          shown = null;
        },
      };
    },
  };
}

/**
 * Serves the page with the recording, for as long as the process lives.
 *
 * @param path for errors
 * @returns the server, and its address with a token
 * @throws ShowError where it can't listen
 */
export async function showRecording(
  recording: Recording,
  path: string,
  port: number,
): Promise<{ readonly inspector: Inspector; readonly address: string }> {
  const { difference } = verify(recording);
  const token = randomBytes(TOKEN_SIZE).toString('base64url');
  const inspector = createInspector({
    source: createPlayer(recording, difference === null ? null : differenceText(difference)),
    files: pageFiles(),
    token,
    host: HOST,
    order: 'cannot order anything: this is a recording',
    redact: (text) => text,
  });
  inspector.server.listen(port, HOST);
  try {
    await once(inspector.server, 'listening');
  } catch (error) {
    const why = whyNotListening(error as NodeJS.ErrnoException, '--port 9778');
    throw new ShowError(`cannot show ${path} at ${HOST}:${port}: ${why}`);
  }
  return { inspector, address: `http://${HOST}:${port}/#token=${token}` };
}
