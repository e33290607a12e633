/** `upkeep simulate`: a policy, run on virtual time. A bundle of its own. */
import { existsSync } from 'node:fs';
import { type CommandStatus, statusOf, wordOf } from '../control/status.ts';
import { entryLine } from '../control/streams.ts';
import { formatDuration } from '../output/duration.ts';
import type { Entry } from '../output/journal.ts';
import { messageOf } from '../output/tell.ts';
import { EXIT_CONFIGURATION, EXIT_USAGE } from '../policy/exit-codes.ts';
import { RUN_DEFAULTS } from '../policy/options.ts';
import { PolicyError } from '../policy/problems.ts';
import { diffPolicies, nextRun, readSources } from '../policy/reader.ts';
import { UsageError } from '../policy/usage-error.ts';
import { parseSimulate, SIMULATE_HELP, type SimulateRequest } from './arguments.ts';
import { createRecorder } from './record.ts';
import { NO_SCRIPT, readScript } from './script.ts';
import { type SimulationEnd, simulate } from './simulation.ts';

export interface SimulateSurroundings {
  readonly env: NodeJS.ProcessEnv;
  /** upkeep's own. */
  readonly version: string;
  /** @returns false: nobody reads it */
  readonly out: (text: string) => boolean;
  readonly error: (text: string) => void;
  /** Events after which it is cut off. */
  readonly most?: number;
}

/** ms of virtual time, where nobody says how many. */
const USUALLY = 600_000;
/** Entries after which a simulation ends: more than anybody reads. */
const MOST = 50_000;
/** ms for the recording to be written. */
const WRITTEN_WITHIN = 60_000;

/** @param words those behind the verb. @returns the exit code */
export async function runSimulate(
  words: readonly string[],
  surroundings: SimulateSurroundings,
): Promise<number> {
  const { out, error } = surroundings;
  try {
    const request = parseSimulate(words);
    if (request === null) {
      out(SIMULATE_HELP);
      return 0;
    }
    return await show(request, surroundings);
  } catch (thrown) {
    if (!(thrown instanceof UsageError) && !(thrown instanceof PolicyError)) throw thrown;
    error(`upkeep: ${thrown.message}\n`);
    return thrown instanceof UsageError ? EXIT_USAGE : EXIT_CONFIGURATION;
  }
}

async function show(
  request: SimulateRequest,
  { env, version, out, error, most = MOST }: SimulateSurroundings,
): Promise<number> {
  const readPolicy = (path: string) =>
    readSources({ commands: [], policy: path, procfile: null }, RUN_DEFAULTS, env);
  const read = readPolicy(request.policy);
  if ('error' in read) {
    error(`upkeep: ${read.error}\n`);
    return EXIT_CONFIGURATION;
  }
  const names = read.policy.commands.map(({ name }) => name);
  const script =
    request.script === null
      ? NO_SCRIPT
      : readScript(request.script, env, names, (path) => {
          const found = readPolicy(path);
          if (!('error' in found)) return null;
          // Of several lines the first only says whose mistakes follow.
          const [first, ...mistakes] = found.error.trimEnd().split('\n');
          return mistakes.join('; ') || first!;
        });
  const { record } = request;
  if (record !== null && existsSync(record)) {
    throw new UsageError(
      `cannot record to ${record}: it is there already; name another file, or remove that one`,
    );
  }
  let hasFailed = false;
  const lines: string[] = [];
  const flush = (): void => void (lines.length > 0 && out(`${lines.splice(0).join('\n')}\n`));
  const end = simulate({
    policy: read.policy,
    script,
    until: request.until ?? script.until ?? USUALLY,
    run: RUN_DEFAULTS,
    version,
    readPolicy,
    diffPolicies,
    nextRun,
    most,
    onEntry(entry) {
      const line = request.json ? entryLine(entry) : rowOf(entry);
      if (line !== null) lines.push(line);
      if (lines.length >= 1_000) flush();
    },
    ...(record !== null && {
      recorder: (now) =>
        createRecorder({
          path: record,
          size: Number.POSITIVE_INFINITY,
          most: Number.POSITIVE_INFINITY,
          version,
          redact: (text) => text,
          redactValue: (value) => value,
          now,
          wallClock: () => script.begins + now(),
          notice(message, level) {
            if (level === 'warn') hasFailed = true;
            error(`upkeep: ${message}\n`);
          },
        }),
    }),
  });
  flush();
  out(request.json ? `${JSON.stringify(summaryOf(end))}\n` : endText(end, most));
  await end.recorder?.close(WRITTEN_WITHIN);
  return hasFailed ? EXIT_CONFIGURATION : 0;
}

/** `0:00:12.345  web: died: …`; null: nothing that a human cares for. */
function rowOf({ what }: Entry): string | null {
  return what.type === 'command.transition' ? null : `${clockText(what.at).padStart(11)}  ${messageOf(what)}`;
}

/** `0:00:12.345`, `3d 1:00:00.000`. */
function clockText(ms: number): string {
  const two = (value: number, digits = 2): string => String(Math.floor(value)).padStart(digits, '0');
  const days = Math.floor(ms / 86_400_000);
  const rest = `${Math.floor((ms / 3_600_000) % 24)}:${two((ms / 60_000) % 60)}:${two((ms / 1_000) % 60)}.${two(ms % 1_000, 3)}`;
  return days === 0 ? rest : `${days}d ${rest}`;
}

interface Summary {
  readonly event: 'simulation.ended';
  readonly at: number;
  readonly exitCode: number | null;
  readonly limited: boolean;
  /** Events of the script that have not come about. */
  readonly left: number;
  readonly commands: readonly CommandStatus[];
}

function summaryOf({ at, code, isLimited, left, inside }: SimulationEnd): Summary {
  const { commands } = statusOf(inside, null);
  return { event: 'simulation.ended', at, exitCode: code, limited: isLimited, left: left.length, commands };
}

function endText(end: SimulationEnd, most: number): string {
  const { commands, at, exitCode, limited } = summaryOf(end);
  const width = Math.min(24, Math.max(0, ...commands.map(({ name }) => name.length)));
  const rows = commands.map((status) => {
    const { name, restarts, failures, next } = status;
    const said = [wordOf(status)];
    if (restarts > 0) said.push(restarts === 1 ? '1 restart' : `${restarts} restarts`);
    if (failures > 0 && status.state !== 'running')
      said.push(failures === 1 ? '1 failure in a row' : `${failures} failures in a row`);
    if (next !== null) said.push(next.in === null ? next.text : `${next.text} in ${formatDuration(next.in)}`);
    return `  ${name.padEnd(width)}  ${said.join('; ')}\n`;
  });
  const over =
    exitCode === null ? 'and upkeep would go on' : `and upkeep has ended with exit code ${exitCode}`;
  const why = limited
    ? `\nCut off: more than ${most} events. Take a shorter --until, or a script in which less happens.\n`
    : '';
  const [next] = end.left.toSorted((a, b) => a.at - b.at);
  const others =
    next === undefined
      ? ''
      : `\n${end.left.length === 1 ? '1 event' : `${end.left.length} events`} of the script did not come about, the first at ${formatDuration(next.at)} (${next.act}): ${exitCode === null ? 'take a longer --until' : 'upkeep had ended'}.\n`;
  return `\nAfter ${formatDuration(at)} this is so, ${over}:\n${rows.join('')}${why}${others}`;
}
