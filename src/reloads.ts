/** WIRES what becomes of commands that are told to read their own configuration again. */
import { clampDelay } from '../machines/restart-policy.ts';
import type { Answer, Reloaded, Reloading } from './control/inside.ts';
import { formatDuration } from './output/duration.ts';
import { howItEnded } from './output/tell.ts';
import type { CommandExtras } from './policy/spec.ts';
import type { Programs } from './process/programs.ts';

export interface ReloadsOptions {
  /** null: its policy does not say. */
  readonly howOf: (command: string) => CommandExtras['reload'];
  /** Of all commands that run. */
  readonly leaders: () => Readonly<Record<string, unknown>>;
  readonly isEnding: () => boolean;
  /** Gives its machine the order, which calls `begin` where it is taken. */
  readonly order: (command: string, at: number) => void;
  /** @returns why it is not sent to its leader; null: it is */
  readonly send: (command: string, signal: string) => string | null;
  readonly run: Programs['run'];
  /** Monotonic ms. */
  readonly now: () => number;
  readonly notice: (command: string, message: string, level?: 'info' | 'warn') => void;
}

export interface Reloads {
  /** Has one read its configuration: by a signal, or by a command, which ends the one before it. */
  readonly begin: (command: string) => void;
  /** Tells these, and answers what has become of each; 409 where one can't be told, and then nobody is. */
  readonly tell: (wanted: readonly string[], how: Reloading) => Promise<Answer>;
}

export const ENDING = 'cannot reload: everything is being stopped; nothing has changed';
const MUTE = 'its policy does not say how';
const UNDER_WAY: Reloaded = { ok: null, text: 'its reload command has not ended' };
const UNHEARD: Reloaded = { ok: false, text: 'it is being stopped or started' };

export const refusal = (error: string, status = 409): Answer => ({ status, body: { error } });

export function createReloads(options: ReloadsOptions): Reloads {
  const { howOf, leaders, isEnding, order, send, run, now, notice } = options;
  /** Each ends the reload command of that name, and says why. */
  const underWay = new Map<string, (why: string) => void>();
  /** What becomes of them; each is taken by whoever has asked for it. */
  const begun = new Map<string, Promise<Reloaded>>();

  async function reload(name: string): Promise<Reloaded> {
    const how = howOf(name);
    if (how === null) return { ok: false, text: MUTE };
    if ('signal' in how) {
      const refused = send(name, how.signal);
      if (refused === null) return { ok: true, text: `${how.signal} is sent` };
      const text = `cannot send ${how.signal} to its leader: ${refused}`;
      notice(name, text);
      return { ok: false, text };
    }
    // Two at once would be one too many, and the one before may be what hangs.
    underWay.get(name)?.('another reload has ended its reload command');
    return new Promise((resolve) => {
      const finish = (ok: boolean, text: string): void => {
        clearTimeout(late);
        underWay.delete(name);
        resolve({ ok, text });
      };
      const tellEnd = (ok: boolean, text: string): void => {
        finish(ok, text);
        notice(name, text, ok ? 'info' : 'warn');
      };
      const late = setTimeout(() => {
        const text = `its reload command did not finish within ${formatDuration(how.timeout)}, and was ended`;
        underWay.get(name)?.(text);
        notice(name, text);
      }, how.timeout).unref();
      const end = run(name, how.program, (result) => {
        if ('error' in result) tellEnd(false, `its reload command cannot be run: ${result.error}`);
        else if (result.code !== 0) tellEnd(false, `its reload command ${howItEnded(result)}`);
        else tellEnd(true, 'its reload command has finished');
      });
      underWay.set(name, (why) => {
        finish(false, why);
        end();
      });
    });
  }

  return {
    begin: (name) => void begun.set(name, reload(name)),
    async tell(wanted, { wait, able, accepted }) {
      if (isEnding()) return refusal(ENDING);
      const led = leaders();
      const whyNot = (name: string): string | null => {
        if (howOf(name) === null) return `${MUTE}; write reload: HUP, say, or a command`;
        if (Object.hasOwn(led, name)) return null;
        return 'it does not run; when it is started, it reads its configuration anyway';
      };
      const told = able ? wanted.filter((name) => whyNot(name) === null) : wanted;
      if (told.length === 0) {
        return refusal(
          'cannot reload anybody: of nobody who runs the policy says how; write reload: HUP, say',
        );
      }
      for (const name of told) {
        const why = whyNot(name);
        if (why !== null) return refusal(`cannot reload ${name}: ${why}`);
      }
      accepted(told);
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<Reloaded>((resolve) => {
        timer = setTimeout(resolve, clampDelay(wait), UNDER_WAY).unref();
      });
      const ends = told.map((name) => {
        begun.delete(name);
        order(name, now());
        return Promise.race([begun.get(name) ?? UNHEARD, late]);
      });
      const commands = (await Promise.all(ends)).map((end, index) => ({ name: told[index]!, ...end }));
      clearTimeout(timer);
      return { status: 200, body: { message: `told ${told.join(', ')} to reload`, commands } };
    },
  };
}
