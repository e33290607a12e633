/** Times and happenings in words. Pure. */
import type { Exit, PolicyDiff } from '../../../machines/events.ts';
import type { Happening } from '../../output/journal.ts';

/** @param ms a duration; at most three digits that matter */
export function duration(ms: number): string {
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms < 1) return ms === 0 ? '0 ms' : '<1 ms';
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 60_000) return `${Math.min(59, Math.round(ms / 1_000))} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return two(minutes, 'min', (ms - minutes * 60_000) / 1_000, 's');
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return two(hours, 'h', minutes - hours * 60, 'min');
  return two(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

function two(large: number, name: string, rest: number, restName: string): string {
  const whole = Math.floor(rest);
  return whole === 0 ? `${large} ${name}` : `${large} ${name} ${whole} ${restName}`;
}

const pad = (value: number, digits = 2): string => String(value).padStart(digits, '0');

/** Local time of day. @param step ms: what of it matters */
export function clock(time: number, step = 1): string {
  const date = new Date(time);
  const minutes = `${pad(date.getHours())}:${pad(date.getMinutes())}`;
  if (step >= 60_000) return minutes;
  const seconds = `${minutes}:${pad(date.getSeconds())}`;
  if (step >= 1_000) return seconds;
  return `${seconds}.${pad(date.getMilliseconds(), 3)}`;
}

/** Local date. */
export function day(time: number): string {
  const date = new Date(time);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}

function exitText(exit: Exit): string {
  if (!exit.known) return 'gone, status unknown';
  if (exit.signal !== null) return `killed by ${exit.signal}${exit.core ? ', core dumped' : ''}`;
  return `exited with status ${exit.code ?? 'unknown'}`;
}

/** What an entry says, in a few words, without the command's name. */
export function happeningText(what: Happening): string {
  switch (what.type) {
    case 'command.transition':
      return `${what.from ?? 'begins'} → ${what.to}, on ${what.on}`;
    case 'command.launched':
      return `launched: pid ${what.pid}, start ${what.start}`;
    case 'command.running':
      return `running: pid ${what.leader.pid} (${what.leader.name}), ${what.how}${what.took === null ? '' : ` after ${duration(what.took)}`}`;
    case 'command.died':
      return `died: pid ${what.id.pid} ${exitText(what.exit)} after ${duration(what.uptime)}${waitText(what.wait)}`;
    case 'command.failedStart':
      return `failed start ${what.failures}: ${what.reason}${what.exit === null ? '' : ` (${exitText(what.exit)})`}${waitText(what.wait)}`;
    case 'command.clearing':
      return `${what.signal} to what its dead leader left behind`;
    case 'command.stopping':
      return `stopping: ${what.how}`;
    case 'command.stopped':
      return `stopped${what.exit === null ? '' : ` (${exitText(what.exit)})`} after ${duration(what.took)}`;
    case 'command.failed':
      return `failed for good: ${what.reason}`;
    case 'command.waiting':
      return `waits for ${what.for.join(', ')}`;
    case 'command.ready':
      return `ready after ${duration(what.took)}`;
    case 'command.ending':
      return `says that it is about to end${what.status === null ? '' : `: ${what.status}`}`;
    case 'command.unhealthy':
      return `unhealthy: ${what.reason}`;
    case 'command.healthy':
      return 'healthy again';
    case 'command.completed':
      return `${what.success ? 'completed' : 'this run has failed'} after ${duration(what.took)}`;
    case 'command.scheduled':
      return `next run in ${duration(what.wait)}`;
    case 'command.overlapped':
      return `a run is due while the one before goes on: ${what.next}`;
    case 'command.reloading':
      return 'told to read its configuration again';
    case 'group.restarting':
      return `group ${what.group}: ${what.because}; restarts ${what.members.join(', ') || 'nobody else'}`;
    case 'group.failed':
      return `group ${what.group} gives up: ${what.reason}`;
    case 'operator.ordered':
      return `ordered: ${what.order}${what.commands.length === 0 ? '' : ` ${what.commands.join(', ')}`}`;
    case 'upkeep.started':
      return `upkeep ${what.version} is pid ${what.pid}`;
    case 'upkeep.notice':
      return what.message;
    case 'policy.reloaded':
      return `policy read again${changesText(what)}`;
    case 'supervisor.stopping':
      return `stopping everything: ${what.reason}`;
    case 'supervisor.stopped':
      return `stopped, with exit code ${what.code}`;
    default:
      // Of a newer upkeep.
      return (what as { type: string }).type;
  }
}

function changesText(diff: Pick<PolicyDiff, 'started' | 'stopped' | 'restarted' | 'adjusted'>): string {
  const changes = (['started', 'stopped', 'restarted', 'adjusted'] as const).flatMap((what) =>
    diff[what].length === 0 ? [] : [`${what} ${diff[what].join(', ')}`],
  );
  return changes.length === 0 ? '' : `: ${changes.join('; ')}`;
}

function waitText(wait: number | null): string {
  if (wait === null) return '';
  return wait === 0 ? '; restarted at once' : `; next try in ${duration(wait)}`;
}
