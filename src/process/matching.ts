/** Who stands for a command: the rules, as pure functions of what a scan saw. */
import { basename } from 'node:path/posix';
import type { Exit, Leader } from '../../machines/events.ts';
import type { Surroundings } from './surroundings.ts';
import type { ProcessRow } from './table.ts';

/** What lineage needs to know of a command. */
export interface Kin {
  readonly name: string;
  /** The names that a leader goes by. */
  readonly fits: readonly string[];
  /** What a policy asks of a leader. */
  readonly match?: Match | null;
}

/** What a policy can ask of a leader; see there. */
export interface Match {
  readonly name: string | null;
  readonly pattern: string | null;
  readonly user: string | null;
  readonly parent: string | null;
  readonly pidFile: string | null;
  readonly count: readonly [number, number] | null;
}

/** Whether a process is one that a command looks for. */
export type Fit = (row: ProcessRow) => boolean;

/** Whom a command looks for. */
export interface Fits {
  /** Who of its own may lead: all that is given holds. */
  readonly mayLead: Fit;
  /** Who of them leads before others: one of the command's own name, where no other is given. */
  readonly own: Fit;
  /** Among others: a number in a file is no reason by itself to take a stranger. */
  readonly stranger: Fit;
  /** Of whom there have to be so many. */
  readonly counted: Fit;
}

const anybody: Fit = () => true;

/** A pid file is younger than the process that it names; start ticks and a file's time are known to 10 ms or so. */
const PID_FILE_SLACK = 1_000;

/**
 * Puts a command's rules together.
 *
 * @param parentOf the row of a row's parent
 * @param ageOf how old, ms, a process is
 */
export function fitsOf(
  { fits, match = null }: Kin,
  surroundings: Surroundings,
  parentOf: (row: ProcessRow) => ProcessRow | undefined,
  ageOf: (row: ProcessRow) => number,
): Fits {
  const byName: Fit = (row) => fitsName(row, fits);
  if (match === null) return { mayLead: anybody, own: byName, stranger: byName, counted: byName };
  const { name, pattern, user, parent, pidFile } = match;
  const expression = pattern === null ? null : new RegExp(pattern);
  const isNamed = name !== null || pattern !== null;
  const naming: Fit = (row) =>
    (name === null || fitsName(row, [name])) && (expression === null || expression.test(row.argv.join(' ')));
  const besides: Fit = (row) => {
    const above = parent === null ? undefined : parentOf(row);
    if (parent !== null && (above === undefined || !fitsName(above, [parent]))) return false;
    if (user === null) return true;
    const uid = surroundings.uidOf(user);
    return uid !== null && surroundings.ownerOf(row.pid) === uid;
  };
  const filed: Fit = (row) => {
    if (pidFile === null) return true;
    const found = surroundings.pidIn(pidFile);
    // A file that is older than the process is of another one that had its number.
    if (found === null || found.pid !== row.pid) return false;
    return row.startTicks === 0 || ageOf(row) >= found.age - PID_FILE_SLACK;
  };
  // To run as a user, say, is enough for one of its own; a stranger has to have the name as well.
  const given = isNamed ? naming : anybody;
  const named = isNamed ? naming : byName;
  const mayLead: Fit = (row) => given(row) && filed(row) && besides(row);
  const isTold = isNamed || user !== null || parent !== null;
  return {
    mayLead,
    own: (row) => mayLead(row) && (pidFile !== null || named(row)),
    stranger: (row) => mayLead(row) && named(row),
    counted: (row) => (isTold ? given(row) : byName(row)) && besides(row),
  };
}

/** The kernel keeps 15 bytes of a name. */
const COMM_BYTES = 15;

/** True when the process goes by one of the names, whole: by its comm, confirmed where comm is cut; by the first
 * word of its command line, up to the ':' or space of a rewritten title; or by the script that it interprets. */
export function fitsName(row: ProcessRow, fits: readonly string[]): boolean {
  const names = namesOf(row);
  return fits.some((fit) => names.includes(fit) || fitsComm(row, fit, names));
}

/** A long name is known by its first 15 bytes, unless the command line says that it is another one. */
function fitsComm(row: ProcessRow, fit: string, names: readonly string[]): boolean {
  const bytes = Buffer.from(fit);
  if (bytes.length <= COMM_BYTES) return false;
  const cut = bytes.subarray(0, COMM_BYTES).toString();
  return row.comm === cut && !names.some((name) => name !== cut && name.startsWith(cut));
}

/** Every name that a process may be known by, the most telling one first. An interpreter is known by its script. */
function namesOf(row: ProcessRow): string[] {
  const [first = '', ...rest] = row.argv;
  const program = basename(first.replace(/^-/, '').split(/[: ]/, 1)[0]!);
  if (isInterpreter(program)) {
    const script = rest.find((word) => !word.startsWith('-'));
    // comm is the script's name where the kernel started it by its #! line.
    const comm = isInterpreter(row.comm) ? [] : [row.comm];
    return script === undefined ? [program, ...comm] : [basename(script), ...comm];
  }
  return [row.comm, program];
}

const INTERPRETERS = new Set(
  'sh bash dash ash zsh ksh busybox python perl ruby node nodejs php lua tclsh java deno bun env'.split(' '),
);

/** With a version behind its name or without: python, python3, python3.11. */
function isInterpreter(name: string): boolean {
  return INTERPRETERS.has(name.replace(/[\d.]+$/, ''));
}

/**
 * The one of `candidates` (living processes of one service) that stands for it: one whose name fits, else any;
 * among those a root (whose parent is none of them) before the others; then the oldest.
 */
export function chooseLeader(candidates: readonly ProcessRow[], fits: Fit): ProcessRow | null {
  const pids = new Set(candidates.map(({ pid }) => pid));
  const rank = (row: ProcessRow): [number, number, number, number] => [
    fits(row) ? 0 : 1,
    pids.has(row.ppid) ? 1 : 0,
    row.startTicks,
    row.pid,
  ];
  let best: ProcessRow | null = null;
  for (const row of candidates) if (best === null || precedes(rank(row), rank(best))) best = row;
  return best;
}

function precedes(a: readonly number[], b: readonly number[]): boolean {
  for (const [index, value] of a.entries()) if (value !== b[index]) return value < b[index]!;
  return false;
}

/** How the process that is gone came to its end, for the question of who takes over. */
export interface Departure {
  readonly exit: Exit;
  /** It was the process that upkeep started, or one that such a launcher left, within the start timeout. */
  readonly starting: boolean;
}

/**
 * Who has taken over from the launcher or leader that is gone, if anybody has. While a service is starting,
 * whoever a process that left with status 0 leaves behind is the service (a daemon, after each fork of it).
 * Later a leader that left with status 0 hands over only to another master: of fitting name, no child of the
 * service's own, and with children (nginx, told to upgrade its binary). Death by a signal hands over nothing.
 */
export function chooseHeir(
  departure: Departure,
  survivors: readonly ProcessRow[],
  fits: Fit,
): ProcessRow | null {
  const { exit, starting } = departure;
  if (exit.known && exit.code !== 0) return null;
  if (starting) return chooseLeader(survivors, fits);
  const parents = new Set(survivors.map(({ ppid }) => ppid));
  const masters = survivors.filter((row) => parents.has(row.pid) && fits(row));
  return chooseLeader(masters, fits);
}

/** True for what a master leaves in its session: several, none of them with children of its own. A daemon's fork leaves one. */
export function areWorkers(survivors: readonly ProcessRow[], session: number): boolean {
  const left = survivors.filter((row) => row.session === session && session > 0);
  const parents = new Set(left.map(({ ppid }) => ppid));
  return left.length > 1 && left.every(({ pid }) => !parents.has(pid));
}

/**
 * Whom a cold start may take for a command by name alone: the processes that fit and whose parent does not.
 * More than one cannot be told apart.
 */
export function nameCandidates(
  rows: Iterable<ProcessRow>,
  fits: Fit,
  excluded: ReadonlySet<number>,
): ProcessRow[] {
  const fitting = new Map<number, ProcessRow>();
  for (const row of rows) {
    if (excluded.has(row.pid) || row.argv.length === 0 || !fits(row)) continue;
    fitting.set(row.pid, row);
  }
  return [...fitting.values()].filter((row) => !fitting.has(row.ppid));
}

/** A row as the machines know it. `since` is monotonic ms. */
export function toLeader(row: ProcessRow, rule: Leader['rule'], since: number): Leader {
  return { pid: row.pid, startTicks: row.startTicks, name: namesOf(row)[0]!, rule, since };
}
