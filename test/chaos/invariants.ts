/**
 * What must be true whatever happens, judged by what was seen. Pure: fed with looks at the process table, with upkeep's
 * own events and with a clock, it answers with violations.
 *
 * The clock is a *fair* one: it stands still while upkeep could not have acted (stopped, or waiting for a CPU) and while
 * nobody looked. So no verdict depends on how fast the machine is.
 */

/** A process as the observer sees it. `command`: whose it says it is; `role` as in fixtures/service.pl and probe.pl. */
export interface Seen {
  readonly pid: number;
  readonly ppid: number;
  readonly state: string;
  readonly startTicks: number;
  readonly comm: string;
  readonly command: string | null;
  readonly role: 'launcher' | 'master' | 'worker' | 'other' | 'probe' | 'stopper';
  /** The lineage tag it carries: the soft RLIMIT_LOCKS; null where it has none. */
  readonly tag: string | null;
  /** The same of what helps a service: each run of a probe, say, has another. */
  readonly helper?: string | null;
}

/** One look. */
export interface Look {
  /** Fair ms since the episode began; never goes back. */
  readonly fair: number;
  readonly processes: readonly Seen[];
  /** null: there is none now. */
  readonly upkeep: number | null;
  /** Upkeep has been robbed of what it needs to see or start anything; nothing is due while it lasts. */
  readonly impaired: boolean;
  /** Upkeep's events arrive. */
  readonly logged: boolean;
}

/** An event of upkeep's own, as `--log json` writes it. */
// biome-ignore lint/suspicious/noExplicitAny: the fields depend on the event.
export type Told = Record<string, any>;

export interface Watched {
  readonly name: string;
  /** How long, ms, it takes from its launch until it has a master. */
  readonly startup: number;
  /** Ends by itself again and again: nothing is due but its next start. */
  readonly crashes: boolean;
  /** Its daemon stays in the session of its launcher: where its master dies in the start, the oldest of its workers leads from then
   * on (docs/reference/matching.md). */
  readonly inSession?: boolean;
}

export interface Bounds {
  /** ms between two looks of upkeep's. */
  readonly interval: number;
  /** How long, fair ms, anything may take that should happen at once. */
  readonly atOnce: number;
  /** How old, fair ms, a zombie may get. */
  readonly zombie: number;
  /** KiB of resident memory. */
  readonly memory: number;
  readonly files: number;
}

export type Invariant =
  | 'one leader'
  | 'up again in time'
  | 'down means down'
  | 'no old zombie'
  | 'nothing left behind'
  | 'bounded memory'
  | 'bounded files'
  | 'counters without a gap'
  | 'strangers unharmed'
  | 'upkeep lives'
  | 'a stop ends in time'
  | 'adopts what lives'
  | 'what is required comes first'
  | 'stopped in order'
  | 'no start without a wish'
  | 'no stop without a reason'
  | 'nothing beside what is left'
  | 'one probe at a time'
  | 'no helper left over'
  | 'only what is named'
  | 'a reload does what the file says'
  | 'a wish holds'
  | 'an order is carried out'
  | 'an answer is true'
  | 'scrapes are answered'
  | 'scrapes fit what is told'
  | 'events without a gap'
  | 'what is recorded can be replayed';

export interface Violation {
  readonly invariant: Invariant;
  readonly what: string;
}

/** Clearing takes this long before SIGKILL, and as long again before it gives up (docs/reference/command-line.md). */
const CLEARING = 250 + 2_000;
const LINGER = 2_000;
/** What the stop of a command may take that is ordered, ms: the grace. */
const STOP = 9_000;

interface State {
  readonly watched: Watched;
  /** Until when, fair ms, it may be without a master. */
  dueAt: number;
  lastMaster: number;
  /** Two masters, as the look before saw them. */
  rivals: string;
  restarts: number;
  starts: number;
  stopped: boolean;
  /** The last order for it was to stop. */
  wishedDown: boolean;
  /** Whom upkeep calls its leader. */
  leader: number;
}

export class Invariants {
  /** How often each was checked. */
  readonly checks = new Map<Invariant, number>();
  /** The most that was seen of what is bounded: fair ms, KiB or numbers. */
  readonly longest = new Map<string, number>();
  readonly #states = new Map<string, State>();
  readonly #bounds: Bounds;
  readonly #zombies = new Map<string, number>();
  readonly #tags = new Map<string, string>();
  #fair = 0;
  #sequence: number | null = null;
  #stopping = false;
  #begun = false;

  constructor(commands: readonly Watched[], bounds: Bounds) {
    this.#bounds = bounds;
    for (const watched of commands) {
      this.#states.set(watched.name, {
        watched,
        dueAt: Number.POSITIVE_INFINITY,
        lastMaster: 0,
        rivals: '',
        restarts: 0,
        starts: 0,
        stopped: false,
        wishedDown: false,
        leader: 0,
      });
    }
  }

  #check(invariant: Invariant): void {
    this.checks.set(invariant, (this.checks.get(invariant) ?? 0) + 1);
  }

  #most(what: string, value: number): void {
    if (value > (this.longest.get(what) ?? 0)) this.longest.set(what, value);
  }

  /** Takes in a look at the process table. */
  look({ fair, processes, upkeep, impaired, logged }: Look): Violation[] {
    const found: Violation[] = [];
    const step = fair - this.#fair;
    this.#fair = fair;
    const own = new Map<string, Seen[]>();
    for (const process of processes) {
      const { command, tag } = process;
      if (command === null) continue;
      if (tag !== null) this.#tags.set(tag, command);
      if (!isAlive(process)) continue;
      const kin = own.get(command);
      if (kin === undefined) own.set(command, [process]);
      else kin.push(process);
    }
    for (const state of this.#states.values()) {
      const { name, crashes } = state.watched;
      const mine = own.get(name) ?? [];
      // What a master has just forked has its title for a moment.
      const named = mine.filter(({ role }) => role === 'master');
      const masters = named.filter(({ ppid }) => !named.some(({ pid }) => pid === ppid));

      this.#check('one leader');
      const rivals = masters.length > 1 ? masters.map(identityOf).sort().join(', ') : '';
      // Twice the same, for a process may have been seen in the middle of becoming somebody else.
      if (rivals !== '' && rivals === state.rivals)
        found.push({ invariant: 'one leader', what: `${name} has ${masters.length} leaders: ${rivals}` });
      state.rivals = rivals;

      // Before the end it may be started again: see wishes.ts.
      if (state.stopped && this.#stopping && logged) {
        this.#check('down means down');
        const up = processes.filter(
          (process) => isAlive(process) && process.tag !== null && this.#tags.get(process.tag) === name,
        );
        if (up.length > 0)
          found.push({
            invariant: 'down means down',
            what: `${name} was told to be stopped, and ${up.map(describe).join(', ')} is there`,
          });
      }

      const isLed =
        masters.length > 0 ||
        mine.some((process) => leadsAsWorker(process, state.watched.inSession, state.leader));
      if (isLed) {
        state.lastMaster = fair;
        state.dueAt = Math.max(state.dueAt === Number.POSITIVE_INFINITY ? 0 : state.dueAt, this.#noticed());
      }
      // What does not run cannot become a master, and is nobody's fault.
      const frozen = mine.some(({ state: letter }) => letter === 'T');
      if (frozen || impaired || !logged || upkeep === null) state.dueAt += step;
      if (!this.#begun || this.#stopping || upkeep === null || !logged || crashes) continue;
      if (state.wishedDown) {
        state.lastMaster = fair;
        continue;
      }
      this.#check('up again in time');
      if (!isLed) {
        this.#most('longest time without a leader, its waits included, ms', fair - state.lastMaster);
        if (fair > state.dueAt) {
          found.push({
            invariant: 'up again in time',
            what: `${name} has had no leader for ${Math.round(fair - state.lastMaster)} fair ms, ${Math.round(fair - state.dueAt)} longer than its policy allows`,
          });
          state.dueAt = Number.POSITIVE_INFINITY;
        }
      }
    }
    found.push(...this.#zombiesOf(processes, upkeep));
    return found;
  }

  #zombiesOf(processes: readonly Seen[], upkeep: number | null): Violation[] {
    const found: Violation[] = [];
    const now = new Set<string>();
    this.#check('no old zombie');
    for (const process of processes) {
      if (process.state !== 'Z' || upkeep === null || process.ppid !== upkeep) continue;
      const identity = identityOf(process);
      now.add(identity);
      const since = this.#zombies.get(identity) ?? this.#fair;
      this.#zombies.set(identity, since);
      const age = this.#fair - since;
      this.#most('oldest zombie, ms', age);
      if (age > this.#bounds.zombie) {
        found.push({
          invariant: 'no old zombie',
          what: `${describe(process)} is a zombie of upkeep's for ${Math.round(age)} fair ms`,
        });
        // Said once.
        this.#zombies.set(identity, Number.POSITIVE_INFINITY);
      }
    }
    for (const identity of this.#zombies.keys()) if (!now.has(identity)) this.#zombies.delete(identity);
    return found;
  }

  /** When the end of a leader that is there now must have been noticed. */
  #noticed(): number {
    return this.#fair + this.#bounds.interval + this.#bounds.atOnce;
  }

  #allow(state: State, ms: number): void {
    const before = state.dueAt === Number.POSITIVE_INFINITY ? 0 : state.dueAt;
    state.dueAt = Math.max(before, this.#fair + ms + this.#bounds.atOnce);
  }

  /** Takes in an event of upkeep's. */
  told(event: Told): Violation[] {
    const found: Violation[] = [];
    const gap = (what: string): void => {
      found.push({ invariant: 'counters without a gap', what });
    };
    if (typeof event.seq === 'number') {
      this.#check('counters without a gap');
      if (this.#sequence !== null && event.seq !== this.#sequence + 1)
        gap(`after event ${this.#sequence} came ${event.seq} (${event.event})`);
      this.#sequence = event.seq;
    }
    const state = this.#states.get(event.command);
    switch (event.event) {
      case 'upkeep.started':
        this.#begun = true;
        for (const each of this.#states.values()) this.#allow(each, each.watched.startup + LINGER);
        break;
      case 'supervisor.stopping':
        this.#stopping = true;
        break;
      case 'command.launched':
        if (state === undefined) break;
        this.#check('counters without a gap');
        if (event.start !== state.starts + 1)
          gap(`${event.command} was launched for the ${event.start}. time after the ${state.starts}.`);
        state.starts = event.start;
        state.stopped = false;
        this.#allow(state, state.watched.startup + LINGER);
        break;
      case 'command.died':
        if (state === undefined) break;
        this.#check('counters without a gap');
        // Where none follows, none is counted.
        if (event.restart !== state.restarts + (event.wait === null ? 0 : 1))
          gap(`restart ${event.restart} of ${event.command} followed ${state.restarts}`);
        state.restarts = event.restart;
        this.#allow(state, (event.wait ?? Number.POSITIVE_INFINITY) + CLEARING);
        break;
      case 'command.failedStart':
        if (state !== undefined) this.#allow(state, (event.wait ?? Number.POSITIVE_INFINITY) + CLEARING);
        break;
      case 'command.running':
        if (state === undefined) break;
        state.leader = event.leader?.pid ?? 0;
        // A launcher that stayed, or a daemon on its way.
        this.#allow(state, state.watched.startup);
        break;
      case 'command.stopped':
        if (state === undefined) break;
        state.stopped = event.left === 0;
        if (!state.wishedDown) this.#allow(state, state.watched.startup + LINGER);
        break;
      case 'operator.ordered':
        for (const name of event.commands as string[]) this.#ordered(name, event.order);
        break;
    }
    return found;
  }

  #ordered(name: string, order: string): void {
    const state = this.#states.get(name);
    if (state === undefined) return;
    if (order === 'stop') state.wishedDown = true;
    if (order !== 'start' && order !== 'restart') return;
    state.wishedDown = false;
    // It may have to be stopped before that.
    this.#allow(state, STOP + CLEARING + state.watched.startup + LINGER);
  }

  /** Upkeep has ended and another one begins: what it counts, it counts anew. */
  restarted(): void {
    this.#sequence = null;
    this.#begun = false;
    this.#stopping = false;
    for (const state of this.#states.values()) {
      state.restarts = 0;
      state.starts = 0;
      state.stopped = false;
      state.wishedDown = false;
    }
  }

  /** Events were lost, and that is as it must be: a new count begins. */
  logLost(): void {
    this.#sequence = null;
  }

  /** Upkeep's own size. `held`: connections that clients keep open. */
  size(kib: number, files: number, held: number): Violation[] {
    const found: Violation[] = [];
    this.#check('bounded memory');
    this.#check('bounded files');
    this.#most('most memory of upkeep (RSS), KiB', kib);
    this.#most('most open files of upkeep', files);
    if (kib > this.#bounds.memory)
      found.push({
        invariant: 'bounded memory',
        what: `upkeep has ${kib} KiB, of at most ${this.#bounds.memory}`,
      });
    if (files > this.#bounds.files + held)
      found.push({
        invariant: 'bounded files',
        what: `upkeep has ${files} open files, of at most ${this.#bounds.files} and ${held} for clients`,
      });
    return found;
  }

  /** Upkeep has ended. `expected`: exit codes that are right; null: it should not have ended. */
  ended(code: number | string | null, expected: readonly (number | string)[] | null): Violation[] {
    this.#check('upkeep lives');
    if (code !== null && expected?.includes(code)) return [];
    return [
      {
        invariant: 'upkeep lives',
        what: `upkeep has ended with ${code}, ${expected === null ? 'and nobody asked it to' : `not with ${expected.join(' or ')}`}`,
      },
    ];
  }

  /** A stop took so long, fair ms. */
  stopTook(ms: number, most: number): Violation[] {
    this.#check('a stop ends in time');
    this.#most('longest stop of everything, ms', ms);
    return ms <= most
      ? []
      : [
          {
            invariant: 'a stop ends in time',
            what: `the stop took ${Math.round(ms)} fair ms, of at most ${most}`,
          },
        ];
  }

  /** Upkeep is gone, and was the namespace's init or not: nobody with a tag may be there. */
  afterwards(processes: readonly Seen[]): Violation[] {
    this.#check('nothing left behind');
    const left = processes.filter((process) => process.tag !== null && isAlive(process));
    if (left.length === 0) return [];
    return [{ invariant: 'nothing left behind', what: `left behind: ${left.map(describe).join(', ')}` }];
  }

  /** A process that is no service's was signalled. */
  harmed(pid: number, signal: number): Violation[] {
    return [{ invariant: 'strangers unharmed', what: `the stranger ${pid} was ended by signal ${signal}` }];
  }

  /** So many strangers were watched. */
  watchedStrangers(count: number): void {
    for (let index = 0; index < count; index++) this.#check('strangers unharmed');
  }

  /** A new upkeep has begun beside services that live. `alive`: command to the pids of masters before and still after. */
  adopted(
    alive: ReadonlyMap<string, number>,
    running: ReadonlyMap<string, Told>,
    launched: ReadonlySet<string>,
  ): Violation[] {
    const found: Violation[] = [];
    for (const [command, pid] of alive) {
      this.#check('adopts what lives');
      const how = running.get(command)?.how;
      if (launched.has(command) || (how !== undefined && how !== 'adopted'))
        found.push({
          invariant: 'adopts what lives',
          what: `${command} lived as ${pid}, and the new upkeep ${launched.has(command) ? 'launched another' : `calls it ${how}`}`,
        });
    }
    return found;
  }

  /** Commands that should have a master and have none. */
  missing(processes: readonly Seen[]): string[] {
    const up = new Set(
      processes
        .filter((process) => {
          const state = this.#states.get(process.command ?? '');
          const leads = state !== undefined && leadsAsWorker(process, state.watched.inSession, state.leader);
          return isAlive(process) && (process.role === 'master' || leads);
        })
        .map(({ command }) => command),
    );
    return [...this.#states.values()]
      .filter(({ watched, wishedDown }) => !watched.crashes && !wishedDown && !up.has(watched.name))
      .map(({ watched }) => watched.name);
  }
}

/** Such a worker leads; upkeep says which. */
export function leadsAsWorker({ pid, role }: Seen, inSession: boolean | undefined, leader: number): boolean {
  return role === 'worker' && inSession === true && leader === pid;
}

/**
 * How much further the fair clock goes.
 *
 * @param gap ms since the last look
 * @param waited ms of it that upkeep waited for a CPU
 * @param stopped upkeep was stopped (SIGSTOP)
 * @param most ms between two looks that count; what is more is a stall of the observer
 * @param share of a CPU that everybody gets who wants one, from 0 to 1
 */
export function fairStep(gap: number, waited: number, stopped: boolean, most: number, share: number): number {
  if (stopped) return 0;
  const counts = Math.min(gap, most);
  return Math.max(0, Math.min(counts - waited, counts * share));
}

export const isAlive = ({ state }: Seen): boolean => state !== 'Z' && state !== 'X';

const identityOf = ({ pid, startTicks }: Seen): string => `${pid}@${startTicks}`;

const describe = ({ pid, comm, state }: Seen): string => `${pid} (${comm}, ${state})`;
