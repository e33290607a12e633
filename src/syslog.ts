/** WIRES what only `--syslog` asks for: the socket, whose a message is, and the log. Nothing of it is loaded for who does not ask. */
import type { LogRecord } from './output/lines.ts';
import type { Log } from './output/log.ts';
import { parseSyslog, recordOf } from './output/syslog.ts';
import type { CommandSpec } from './policy/spec.ts';
import type { Native } from './process/native.ts';
import { openSyslogSocket, type RawMessage, type SyslogSocket } from './process/syslog.ts';

export interface SyslogOptions {
  readonly native: Native | { readonly missing: string };
  readonly log: Log;
  /** The command that a process belongs or belonged to; null: not known. */
  readonly commandOf: (pid: number) => string | null;
  /** The commands there are just now. */
  readonly commands: () => Iterable<Pick<CommandSpec, 'name' | 'fits'>>;
  /** Hears what a command has said. */
  readonly heard: (command: string, record: LogRecord) => void;
  readonly notice: (message: string) => void;
}

export interface Syslog {
  /** Listens here from now on, and nowhere else; null: nowhere. What was dropped until now is told, and also why it can't
   * listen there. */
  readonly listen: (path: string | null) => void;
  /** Logs, at once, what waits in the socket. */
  readonly drain: () => void;
  /** Messages that were dropped until now. */
  readonly dropped: () => number;
  /** The log takes lines again. */
  readonly resume: () => void;
}

/** How often it is told at most what was dropped, ms. */
const REPORT_EVERY = 10_000;

export function createSyslog(options: SyslogOptions): Syslog {
  const { native, log, commands, notice } = options;
  let path: string | null = null;
  /** null: there is none. */
  let socket: SyslogSocket | null = null;
  /** Whose lines the log has no room for; null: nobody's. A sender is never made to wait: it would stand still in syslog(3). */
  const stalled = new Set<string | null>();
  let dropped = 0;
  /** Of which it has been told. */
  let droppedBefore = 0;
  let timer: NodeJS.Timeout | null = null;

  function deliver(messages: readonly RawMessage[]): void {
    // Most of a turn's messages are of one sender; he can't have become another one meanwhile.
    let sender = 0;
    let owner: string | null = null;
    for (const { text, cut, pid } of messages) {
      // As long as upkeep's own lines wait as well, it is not even read whose it is.
      if (stalled.has(null)) {
        dropped++;
        continue;
      }
      const message = parseSyslog(text);
      if (pid !== sender) owner = pid > 0 ? options.commandOf(pid) : null;
      sender = pid;
      const command = owner ?? (message.tag === null ? null : commandOfTag(message.tag));
      if (stalled.has(command)) {
        dropped++;
        continue;
      }
      const record = recordOf(message, pid, cut);
      if (command !== null) options.heard(command, record);
      const goesOn =
        command === null
          ? log.record({ ...record, head: `syslog: ${record.head}` })
          : log.service(command).record(record);
      if (!goesOn) stalled.add(command);
    }
  }

  /** A sender that is gone, or of another namespace, is known by the name that it gives itself. */
  function commandOfTag(tag: string): string | null {
    // As in postfix/smtpd.
    const names = [tag, tag.split('/', 1)[0]!];
    let fitting: string | null = null;
    for (const { name, fits } of commands()) {
      if (names.includes(name)) return name;
      if (fits.some((fit) => names.includes(fit))) fitting ??= name;
    }
    return fitting;
  }

  function report(): void {
    if (dropped === 0) return;
    notice(
      `${dropped === 1 ? '1 syslog message was' : `${dropped} syslog messages were`} dropped: the log could not be written fast enough`,
    );
    droppedBefore += dropped;
    dropped = 0;
  }

  /** Not as long as the log is full: it would only become fuller. */
  function reportSoon(): void {
    if (timer !== null || dropped === 0 || stalled.size > 0) return;
    report();
    timer = setTimeout(() => {
      timer = null;
      reportSoon();
    }, REPORT_EVERY);
    timer.unref();
  }

  function open(at: string): void {
    const opened =
      'missing' in native
        ? { error: `there is no koffi (${native.missing}); have the programs log to files, and follow those` }
        : openSyslogSocket(native, at, deliver);
    if ('error' in opened) notice(`cannot listen for syslog messages at ${at}: ${opened.error}`);
    else socket = opened;
  }

  function close(): void {
    socket?.drain();
    socket?.close();
    socket = null;
    if (timer !== null) clearTimeout(timer);
    timer = null;
    report();
  }

  return {
    listen(at) {
      if (at === path) return;
      close();
      path = at;
      if (at !== null) open(at);
    },
    drain: () => socket?.drain(),
    dropped: () => droppedBefore + dropped,
    resume() {
      stalled.clear();
      reportSoon();
    },
  };
}
