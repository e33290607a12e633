import { resolve } from 'node:path';
import type { ToldOfDeath } from './crash.ts';
import {
  createLineFormatter,
  type LineFormatter,
  type LineKind,
  type LogRecord,
  nameWidth,
  type StreamName,
} from './lines.ts';
import { createLogFile, type LogFile } from './log-file.ts';
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
  /** Takes out of upkeep's own words what nobody should be shown. */
  readonly redact?: (text: string) => string;
  /** The same of each text in what becomes JSON. */
  readonly redactValue?: <T>(value: T) => T;
  /** The same for what services write. */
  readonly redactBytes?: (lines: Buffer) => Buffer;
  /** What is to be told of the commands' files; in the log itself, where it is not given. */
  readonly notice?: (command: string | null, message: string, level: 'info' | 'warn') => void;
}

/** What one command's lines are to look like, and where they go beside the sink: what a policy's LogSpec says. */
export interface ServiceLogSpec {
  /** In front of each plain line; null: the command's name. An empty text: no prefix. */
  readonly prefix: string | null;
  /** null: as upkeep's own. */
  readonly format: LineKind | null;
  /** `size`, `count`: see FileLimits. `tee` false: to the file alone. */
  readonly file: {
    readonly path: string;
    readonly size: number;
    readonly count: number;
    readonly tee: boolean;
  } | null;
}

/** Where one service's lines go. */
export interface ServiceLog {
  /** false: what was given is in the log, but the service's streams must be paused until `onResume`. */
  push(chunk: Buffer, stream: StreamName): boolean;
  /** The same for what came out of one of the command's own log files. */
  pushFile(chunk: Buffer, path: string): boolean;
  /** The same for what came otherwise. */
  record(record: LogRecord): boolean;
  /** Writes out a last line without a newline: when nobody is left who could end it. */
  flushPartial(): void;
  /** Its last lines: at most 10, and 2 KiB together. */
  tail(): string[];
  /** A new run begins: `tail` is of it alone. */
  forgetTail(): void;
}

/** Puts upkeep's own events and the services' lines on one sink, line by line. */
export interface Log {
  tell(told: ToldOfDeath): void;
  /** What nobody's service has said: among upkeep's own lines. false: as `push`. */
  record(record: LogRecord): boolean;
  /** The same object for the same name, whatever starts and ends meanwhile. */
  service(name: string): ServiceLog;
  /** Looks otherwise, or goes elsewhere, from the command's next line on. null: as without a policy. A file that no command
   * has any more is written to its end and closed; commands with the same path share one, with the limits given last. */
  configure(name: string, spec: ServiceLogSpec | null): void;
  /** The commands' names have changed, and with them the width of their column. */
  rename(names: readonly string[]): void;
  /** Looks at once whether the commands' files are still where they were (they were rotated), and else begins new ones. */
  reopen(): void;
  /** Closes the commands' files, for good. Resolves when all that they were given is written, or cannot be, and after
   * `timeoutMs` in any case. What was lost is told: the sink is to be flushed after this. */
  closeFiles(timeoutMs: number): Promise<void>;
  /** Lines of the commands' files that were lost until now. */
  readonly lostInFiles: () => number;
  /** Calls `callback` each time paused services may go on. */
  onResume(callback: () => void): void;
}

const PLAIN: ServiceLogSpec = { prefix: null, format: null, file: null };

interface Service {
  readonly log: ServiceLog;
  readonly configure: (spec: ServiceLogSpec) => void;
  /** Formats anew what `configure` said. */
  readonly refresh: () => void;
  /** Of its file. */
  readonly path: () => string | null;
}

export function createLog(options: LogOptions): Log {
  const { format, sink, colour, redact, wallClock = () => new Date() } = options;
  const kind = format === 'json' ? 'json' : 'plain';
  const safe = options.redactBytes ?? ((lines: Buffer) => lines);
  let width = nameWidth(options.names);
  let own: LineFormatter | null = null;
  const services = new Map<string, Service>();
  const files = new Map<string, LogFile>();
  const closing = new Set<Promise<void>>();
  const onResume: (() => void)[] = [];
  const ctx: TellContext = { wallClock, tail: (command) => services.get(command)?.log.tail() ?? [] };

  let told = 0;
  let lostInFiles = 0;

  function tell(event: ToldOfDeath): void {
    if (kind === 'json') sink.write(Buffer.from(tellJson(event, ctx, ++told, options.redactValue)), true);
    else {
      const text = tellPlain(event, ctx);
      if (text !== null) sink.write(Buffer.from(redact?.(text) ?? text), true);
    }
  }

  function tellNotice(command: string | null, message: string, level: 'info' | 'warn'): void {
    tell({ type: 'upkeep.notice', at: performance.now(), command, level, message });
  }
  const notice = options.notice ?? tellNotice;

  sink.onLost((lines) => {
    tellNotice(
      null,
      `${lines === 1 ? '1 line was' : `${lines} lines were`} lost: the log could not be written fast enough, or not at all`,
      'warn',
    );
  });

  function usersOf(path: string): string[] {
    return [...services].filter(([, service]) => service.path() === path).map(([name]) => name);
  }

  function fileOf(path: string, limits: { size: number; count: number }): LogFile {
    const known = files.get(path);
    known?.limit(limits);
    if (known !== undefined) return known;
    const file = createLogFile(path, {
      ...limits,
      onLost(lines) {
        lostInFiles += lines;
      },
      onDrain() {
        for (const callback of onResume) callback();
      },
      notice(level, message) {
        const users = usersOf(path);
        notice(users.length === 1 ? users[0]! : null, message, level);
      },
    });
    files.set(path, file);
    return file;
  }

  function closeUnused(): void {
    for (const [path, file] of files) {
      if (usersOf(path).length > 0) continue;
      files.delete(path);
      const closed = file.close();
      closing.add(closed);
      void closed.then(() => closing.delete(closed));
    }
  }

  function createService(name: string): Service {
    let spec = PLAIN;
    let path: string | null = null;
    let file: LogFile | null = null;
    /** The formatter itself gives the file its lines: those on the sink have a prefix. */
    let twofold = false;
    const formatter = createLineFormatter(kind, name, { width, colour, wallClock, redact });

    function write(written: Buffer): boolean {
      // Of JSON they have taken it out themselves.
      const lines = (spec.format ?? kind) === 'json' ? written : safe(written);
      if (file === null) return sink.write(lines);
      const kept = twofold ? file.ready : file.write(lines);
      return spec.file?.tee === false ? kept : sink.write(lines) && kept;
    }

    function refresh(): void {
      const lineKind = spec.format ?? kind;
      const alone = spec.file?.tee === false;
      const prefix = alone ? '' : spec.prefix;
      const to = file;
      twofold = to !== null && lineKind === 'plain' && prefix !== '';
      const bare = twofold ? (lines: Buffer) => void to?.write(safe(lines)) : null;
      formatter.reformat(lineKind, { width, colour, wallClock, redact, prefix, bare });
    }

    return {
      log: {
        push: (chunk, stream) => write(formatter.push(chunk, stream)),
        pushFile: (chunk, from) => write(formatter.pushFile(chunk, from)),
        record: (record) => write(formatter.record(record)),
        flushPartial() {
          write(formatter.end());
        },
        tail: () => formatter.tail(),
        forgetTail: () => formatter.forgetTail(),
      },
      configure(newSpec) {
        spec = newSpec;
        path = spec.file === null ? null : resolve(spec.file.path);
        file = path === null ? null : fileOf(path, spec.file!);
        refresh();
      },
      refresh,
      path: () => path,
    };
  }

  function serviceOf(name: string): Service {
    const known = services.get(name);
    if (known !== undefined) return known;
    const service = createService(name);
    services.set(name, service);
    return service;
  }

  return {
    tell,
    record(record) {
      own ??= createLineFormatter(kind, 'upkeep', { wallClock, redact });
      const line = own.record(record);
      return sink.write(kind === 'json' ? line : safe(line));
    },
    service: (name) => serviceOf(name).log,
    configure(name, spec) {
      serviceOf(name).configure(spec ?? PLAIN);
      closeUnused();
    },
    rename(names) {
      width = nameWidth(names);
      for (const service of services.values()) service.refresh();
    },
    reopen() {
      for (const file of files.values()) file.reopen();
    },
    async closeFiles(timeoutMs) {
      let timer: NodeJS.Timeout | undefined;
      const timeout = new Promise<void>((late) => {
        timer = setTimeout(late, timeoutMs);
      });
      const closed = [...files.values()].map((file) => file.close());
      await Promise.race([Promise.all([...closed, ...closing]), timeout]);
      clearTimeout(timer);
    },
    lostInFiles: () => lostInFiles,
    onResume(callback) {
      onResume.push(callback);
      sink.onDrain(callback);
    },
  };
}
