import type { Exit, Leader, PolicyDiff, Remains, Told } from '../../machines/events.ts';
import type { ToldOfDeath } from './crash.ts';
import { formatDuration } from './duration.ts';

/** What telling needs beside what is told. */
export interface TellContext {
  /** The time of day, taken at the moment of writing; `Told.at` is monotonic and says nothing to a reader. */
  readonly wallClock: () => Date;
  /** The last lines that a command wrote, oldest first. */
  readonly tail: (command: string) => readonly string[];
}

const PREFIX = 'upkeep | ';
const MOST_NAMES = 10;

/** The lines for a human, each with its newline, or null for what only machines care for. */
export function tellPlain(told: ToldOfDeath, ctx: TellContext): string | null {
  // `command.running`, `command.failedStart` or `command.failed` follows, and tells how it went.
  if (told.type === 'command.launched') return null;
  if ((told.type === 'command.stopping' || told.type === 'command.stopped') && told.idle) return null;
  const message = messageOf(told);
  // Of one that had been running they are in the log right before.
  const lines = told.type === 'command.failedStart' ? ctx.tail(told.command) : [];
  if (lines.length === 0) return plainLines(message);
  const quoted = lines.map((line) => `${PREFIX}${subject(told)}  > ${oneLine(line)}\n`);
  return `${PREFIX}${oneLine(message)}; its last lines:\n${quoted.join('')}`;
}

/** One JSON object and its newline: `time`, `name` (always "upkeep"), `seq` (1, 2, 3 …: a gap is a line that was lost),
 * `event`, the event's own fields, `message`. */
export function tellJson(told: ToldOfDeath, ctx: TellContext, seq: number): string {
  const { time, ...rest } = recordOf(told, ctx);
  return `${JSON.stringify({ time, name: 'upkeep', seq, ...rest })}\n`;
}

/** `time`, `event`, the event's own fields, `message`. */
export function recordOf(
  told: ToldOfDeath,
  ctx: TellContext,
): { readonly time: string; readonly message: string } {
  const { type, ...fields } = told;
  const lines = type === 'command.died' || type === 'command.failedStart' ? ctx.tail(told.command) : [];
  const record = {
    time: ctx.wallClock().toISOString(),
    event: type,
    ...fields,
    ...(lines.length > 0 && { lastLines: lines }),
    message: messageOf(told),
  };
  return record;
}

/** Every line of a message with the prefix: a message of several lines must not look like a service's. */
function plainLines(message: string): string {
  return message
    .split(/\r?\n/)
    .map((line) => `${PREFIX}${line}\n`)
    .join('');
}

function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]+/g, ' ');
}

function subject(told: Told): string {
  return 'command' in told && told.command !== null ? `${told.command}: ` : '';
}

/** One sentence for a human, most often on one line. */
export function messageOf(told: ToldOfDeath): string {
  return subject(told) + sentenceOf(told);
}

function sentenceOf(told: ToldOfDeath): string {
  switch (told.type) {
    case 'upkeep.started': {
      const { version, pid, commands, table, lineage, reaping } = told;
      return (
        `upkeep ${version} is pid ${pid}; keeps ${listOf(commands)} running; ` +
        `table: ${table}; lineage: ${lineage}; reaping: ${reaping}`
      );
    }
    case 'upkeep.notice':
      return told.level === 'warn' ? `warning: ${told.message}` : told.message;
    case 'command.launched':
      return `starting: pid ${told.pid}`;
    case 'command.running':
      return runningOf(told.how, told.leader, told.took);
    case 'command.died':
      return (
        `died: pid ${told.id.pid} ${howItEnded(told.exit)}${whoseDoing(told)} after ${formatDuration(told.uptime)}` +
        `${remainsOf(told.remains, ', leaving ')}; ${nextTry(`restart ${told.restart}`, told.wait)}`
      );
    case 'command.failedStart':
      return `cannot start: ${whyNotStarted(told.reason, told.exit)}${whoseDoing(told)}; ${nextTry(`failure ${told.failures}`, told.wait, 'tried again ')}`;
    case 'command.clearing':
      return `sends ${told.signal} to what its dead leader left behind${remainsOf(told.remains, ': ')}`;
    case 'command.stopping':
      return `stopping: ${told.how}`;
    case 'command.stopped':
      return `stopped${statusOf(told.exit)} after ${formatDuration(told.took)}${stillThere(told.left)}`;
    case 'command.failed':
      return `failed for good: ${told.reason}`;
    case 'command.waiting':
      return `waits for ${told.for.join(', ')}`;
    case 'command.ready':
      return `ready after ${formatDuration(told.took)}`;
    case 'command.ending':
      return `says that it is about to end (STOPPING=1)${told.status === null ? '' : `: ${told.status}`}`;
    case 'command.unhealthy':
      return `unhealthy: ${told.reason}; ${AFTER_UNHEALTHY[told.next]}`;
    case 'command.healthy':
      return 'healthy again';
    case 'command.completed':
      return `${told.success ? 'done' : 'this run has failed'}${endOf(told.exit)} after ${formatDuration(told.took)}`;
    case 'command.scheduled':
      return `its next run is in ${formatDuration(told.wait)}`;
    case 'command.overlapped':
      return `a run is due while the one before it goes on: ${AFTER_OVERLAP[told.next]}`;
    case 'command.reloading':
      return 'told to read its configuration again';
    case 'group.restarting':
      return `group ${told.group}: ${told.because}; ${told.strategy} restarts ${told.members.length === 0 ? 'nobody else' : told.members.join(', ')}`;
    case 'group.failed':
      return `group ${told.group} gives up: ${told.reason}; all of it is stopped`;
    case 'operator.ordered':
      return `ordered over the control socket${told.by == null ? '' : ` by ${whoText(told.by)}`}: ${told.order}${told.commands.length === 0 ? '' : ` ${told.commands.join(', ')}`}`;
    case 'policy.reloaded':
      return `policy read again: ${differenceOf(told)}`;
    case 'supervisor.stopping':
      return `stopping everything, within ${formatDuration(told.budget)}: ${told.reason}`;
    case 'supervisor.stopped':
      return `stopped after ${formatDuration(told.took)}, with exit code ${told.code}${stillThere(told.left)}`;
    default:
      return missing(told);
  }
}

/** `uid 0, pid 123`. */
export function whoText({ uid, pid }: { readonly uid: number; readonly pid: number }): string {
  return `uid ${uid}, ${pid === 0 ? 'from another PID namespace' : `pid ${pid}`}`;
}

const AFTER_UNHEALTHY = {
  restart: 'it is restarted',
  ignore: 'nothing follows, as the policy says',
  fail: 'it is given up, as the policy says',
} as const;

const AFTER_OVERLAP = {
  skip: 'it is left out',
  queue: 'it follows when that one has ended',
  kill: 'that one is stopped',
} as const;

function endOf(exit: Exit | null): string {
  return exit === null ? '' : `: it ${howItEnded(exit)}`;
}

/** `started web; restarted db (env); 3 unchanged`. */
export function differenceOf(diff: PolicyDiff): string {
  const parts = (['stopped', 'started', 'restarted', 'adjusted'] as const)
    .filter((kind) => diff[kind].length > 0)
    .map((kind) => `${kind} ${diff[kind].map((name) => name + keysOf(diff, name)).join(', ')}`);
  for (const section of diff.sections) parts.push(`${section} changed`);
  return `${parts.length === 0 ? 'nothing differs' : parts.join('; ')}; ${diff.unchanged} unchanged`;
}

function keysOf({ notes }: PolicyDiff, name: string): string {
  const keys = Object.hasOwn(notes, name) ? notes[name]! : [];
  return keys.length === 0 ? '' : ` (${keys.join(', ')})`;
}

/** Does not compile while a case is missing above. */
function missing(told: never): never {
  throw new Error(`cannot tell ${JSON.stringify(told)}: no sentence for it`);
}

function listOf(commands: readonly string[]): string {
  if (commands.length === 0) return 'nothing';
  const count = commands.length === 1 ? '1 command' : `${commands.length} commands`;
  return commands.length > MOST_NAMES ? count : `${commands.join(', ')} (${count})`;
}

const KNOWN_BY: Readonly<Record<Leader['rule'], string>> = {
  launcher: 'as it was launched',
  tag: 'by its tag',
  ancestry: 'by its descent',
  name: 'by its name only',
  notify: 'by its own word',
};

function runningOf(how: 'started' | 'adopted' | 'handover', leader: Leader, took: number | null): string {
  const process = `pid ${leader.pid} (${leader.name}`;
  const after = took === null ? '' : ` after ${formatDuration(took)}`;
  switch (how) {
    case 'started':
      return leader.rule === 'launcher'
        ? `running: ${process})${after}`
        : `running: ${process}, known ${KNOWN_BY[leader.rule]})${after}`;
    case 'adopted':
      return `running already: ${process}, known ${KNOWN_BY[leader.rule]})`;
    case 'handover':
      return `running on: ${process}, known ${KNOWN_BY[leader.rule]}) has taken over`;
  }
}

/** `exited with status 3`, `was killed by SIGKILL`. */
export function howItEnded(exit: Exit): string {
  if (!exit.known) return "is gone (exit status unknown: it was not upkeep's child)";
  if (exit.signal !== null) return `was killed by ${exit.signal}${exit.core ? ' (core dumped)' : ''}`;
  return `exited with status ${exit.code ?? 'unknown'}`;
}

/** ` (out of memory: the kernel's OOM killer; it had taken 512 MiB)`. */
function whoseDoing({ oom, peak }: ToldOfDeath): string {
  if (!oom) return '';
  const taken = peak == null ? '' : `; it had taken ${Math.round(peak / 2 ** 20)} MiB`;
  return ` (out of memory: the kernel's OOM killer${taken})`;
}

function whyNotStarted(reason: string, exit: Exit | null): string {
  if (exit === null || !exit.known) return reason;
  const ending = howItEnded(exit);
  // The reason may be no more than what the status says, and then the status says it better.
  if (reason === 'exited') return ending;
  return exit.code === 0 || reason.includes(ending) ? reason : `${reason} (${ending.replace(/^was /, '')})`;
}

function statusOf(exit: Exit | null): string {
  if (exit === null || !exit.known) return '';
  return exit.signal !== null ? ` (${exit.signal})` : ` (status ${exit.code ?? 'unknown'})`;
}

function nextTry(what: string, wait: number | null, verb = ''): string {
  if (wait === null) return verb === '' ? 'it is not restarted' : `${what}, not ${verb.trim()}`;
  return `${what}, ${verb}${wait === 0 ? 'now' : `in ${formatDuration(wait)}`}`;
}

function countOf(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** `tagged` holds the workers too. */
function remainsOf({ workers, tagged, sessions }: Remains, before: string): string {
  const parts: string[] = [];
  const processes = Math.max(workers, tagged);
  if (processes > 0) {
    const all = countOf(processes, 'process', 'processes');
    parts.push(workers > 0 ? `${all} (${countOf(workers, 'worker', 'workers')})` : all);
  }
  if (sessions > 0) parts.push(countOf(sessions, 'session', 'sessions'));
  return parts.length === 0 ? '' : before + parts.join(' and ');
}

function stillThere(left: number): string {
  return left === 0 ? '' : `; ${countOf(left, 'process is', 'processes are')} still there`;
}
