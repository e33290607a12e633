import type { Told } from '../../machines/events.ts';
import { createLineFormatter, nameWidth, type StreamName } from './lines.ts';
import type { Sink } from './sink.ts';
import { type TellContext, tellJson, tellPlain } from './tell.ts';

/** `raw`: the services write to upkeep's stdout themselves, only upkeep's own events come here, told as in `plain`. */
export type LogFormat = 'plain' | 'json' | 'raw';

export interface LogOptions {
  readonly format: LogFormat;
  readonly sink: Sink;
  /** Colours the services' names. */
  readonly colour: boolean;
  /** The commands' names, for the width of their column. */
  readonly names: readonly string[];
  readonly wallClock?: () => Date;
}

/** Where one service's lines go. */
export interface ServiceLog {
  /** false: what was given is in the log, but the service's streams must be paused until `onResume`. */
  push(chunk: Buffer, stream: StreamName): boolean;
  /** Writes out a last line without a newline: when nobody is left who could end it. */
  flushPartial(): void;
  /** Its last lines: at most 10, and 2 KiB together. */
  tail(): string[];
  /** A new run begins: `tail` is of it alone. */
  forgetTail(): void;
}

/** Puts upkeep's own events and the services' lines on one sink, line by line. */
export interface Log {
  tell(told: Told): void;
  /** The same object for the same name, whatever starts and ends meanwhile. */
  service(name: string): ServiceLog;
  /** Calls `callback` each time paused services may go on. */
  onResume(callback: () => void): void;
}

export function createLog({ format, sink, colour, names, wallClock = () => new Date() }: LogOptions): Log {
  const kind = format === 'json' ? 'json' : 'plain';
  const lineOptions = { width: nameWidth(names), colour, wallClock };
  const services = new Map<string, ServiceLog>();
  const ctx: TellContext = { wallClock, tail: (command) => services.get(command)?.tail() ?? [] };

  let told = 0;

  function tell(event: Told): void {
    const text = kind === 'json' ? tellJson(event, ctx, ++told) : tellPlain(event, ctx);
    if (text !== null) sink.write(Buffer.from(text), true);
  }

  sink.onLost((lines) => {
    tell({
      type: 'upkeep.notice',
      at: performance.now(),
      command: null,
      level: 'warn',
      message: `${lines === 1 ? '1 line was' : `${lines} lines were`} lost: the log could not be written fast enough, or not at all`,
    });
  });

  function createService(name: string): ServiceLog {
    const formatter = createLineFormatter(kind, name, lineOptions);
    return {
      push: (chunk, stream) => sink.write(formatter.push(chunk, stream)),
      flushPartial() {
        sink.write(formatter.end());
      },
      tail: () => formatter.tail(),
      forgetTail: () => formatter.forgetTail(),
    };
  }

  return {
    tell,
    service(name) {
      const known = services.get(name);
      if (known !== undefined) return known;
      const service = createService(name);
      services.set(name, service);
      return service;
    },
    onResume: (callback) => sink.onDrain(callback),
  };
}
