/**
 * What must be true of commands that a policy file orders. Pure, as invariants.ts is: fed with looks, with upkeep's events, and
 * with the files that were written.
 */
import { isAlive, type Look, leadsAsWorker, type Seen, type Told, type Violation } from './invariants.ts';
import { staysInSession } from './plan.ts';
import { commandsIn, groupsOf, type Milestone, type PolicyFile, relationsOf } from './policy-plan.ts';
import { isWish, type Wishes } from './wishes.ts';

export interface PolicyBounds {
  /** Fair ms that what the policy does not name any more may live. */
  readonly unnamed: number;
  /** Fair ms that anything may take that should happen at once. */
  readonly atOnce: number;
}

/** Upkeep decides at once, but tells of what it starts when that has begun. ms of its own clock. */
const SLACK = 100;
/** Whoever is released waits for those that are launched before it, each for the exec of the other. */
const QUEUED = 1_000;
/** How long, fair ms, a group that gives up may be at it. */
const GIVING_UP = 30_000;
/** The longest that a probe may run, ms: a try at readiness has 5 s. Stop commands and what kills them have the grace. */
const LONGEST_PROBE = 5_000;
const LONGEST_STOPPER = 10_000;

type State =
  | 'down'
  | 'waiting'
  | 'launched'
  | 'running'
  | 'ready'
  | 'stopping'
  | 'stopped'
  | 'completed'
  | 'failed'
  | 'scheduled';

interface Book {
  state: State;
  /** Its state before that, when it was lost, by upkeep's own clock, ms. */
  lost: { readonly state: State; readonly at: number } | null;
  /** It has to wait for what it requires before its next start. */
  bound: boolean;
  /** It was tried to start it. */
  tried: boolean;
  /** Launched, and no end was told. */
  open: boolean;
  /** Somebody wants it to be stopped: a reload, its group, a probe. */
  doomed: boolean;
  /** Until when, fair ms, its group may be at giving up. */
  groupUntil: number;
  /** A reload or its group may start it though it rests. */
  wished: boolean;
  rivals: string;
  remains: string;
  probes: string;
  /** No file names it since, fair ms; null: one does. */
  unnamed: number | null;
  /** Whom upkeep calls its leader. */
  leader: number;
}

export class PolicyInvariants {
  readonly checks = new Map<Violation['invariant'], number>();
  readonly longest = new Map<string, number>();
  readonly #bounds: PolicyBounds;
  readonly #books = new Map<string, Book>();
  readonly #helpers = new Map<string, number>();
  #file: PolicyFile;
  /** Those that it may be: of several it says the same. */
  #followed: readonly PolicyFile[];
  /** Those that upkeep may read at the next reload, the newest last. */
  #written: PolicyFile[];
  readonly #wishes: Pick<Wishes, 'isDown' | 'isToStop' | 'gaveUp'>;
  #fair = 0;
  #stoppingAt: number | null = null;
  #hurried = false;

  /** @param wishes those of operators; of each event they hear first */
  constructor(
    file: PolicyFile,
    bounds: PolicyBounds,
    wishes: Pick<Wishes, 'isDown' | 'isToStop' | 'gaveUp'> = {
      isDown: () => false,
      isToStop: () => false,
      gaveUp: () => {},
    },
  ) {
    this.#bounds = bounds;
    this.#wishes = wishes;
    this.#file = file;
    this.#followed = [file];
    this.#written = [file];
    for (const name of Object.keys(file.commands)) this.#books.set(name, newBook());
  }

  /** The policy that upkeep follows now. */
  get file(): PolicyFile {
    return this.#file;
  }

  /** A file that upkeep may read from now on. */
  wrote(file: PolicyFile): void {
    this.#written.push(file);
  }

  /** ms */
  get #grace(): number {
    return Number.parseInt(this.#file.container.grace, 10) * 1_000;
  }

  /** It was told to stop once more: it kills now, in no order. */
  hurried(): void {
    this.#hurried = true;
  }

  stateOf(name: string): State {
    return this.#books.get(name)?.state ?? 'down';
  }

  #check(invariant: Violation['invariant']): void {
    this.checks.set(invariant, (this.checks.get(invariant) ?? 0) + 1);
  }

  /** Takes in a look at the process table. */
  look({ fair, processes, upkeep }: Pick<Look, 'fair' | 'processes' | 'upkeep'>): Violation[] {
    const found: Violation[] = [];
    this.#fair = fair;
    const own = new Map<string, Seen[]>();
    for (const process of processes) {
      if (process.command === null || !isAlive(process)) continue;
      const kin = own.get(process.command);
      if (kin === undefined) own.set(process.command, [process]);
      else kin.push(process);
    }
    for (const [name, mine] of own) {
      const book = this.#bookOf(name);
      const roots = (role: Seen['role']): string => {
        const those = mine.filter((process) => process.role === role);
        const free = those.filter(({ ppid }) => !those.some(({ pid }) => pid === ppid));
        // What is left of a probe whose first process was killed is still one.
        const runs = new Set(free.map((process) => process.helper ?? identityOf(process)));
        return runs.size > 1 ? free.map(identityOf).sort().join(', ') : '';
      };
      this.#check('one leader');
      const rivals = roots('master');
      if (rivals !== '' && rivals === book.rivals)
        found.push({ invariant: 'one leader', what: `${name} has more than one leader: ${rivals}` });
      book.rivals = rivals;
      this.#check('nothing beside what is left');
      const remains = leftBefore(mine).map(describe).join(', ');
      if (remains !== '' && remains === book.remains)
        found.push({
          invariant: 'nothing beside what is left',
          what: `${name} was launched beside what its last life has left: ${remains}`,
        });
      book.remains = remains;
      this.#check('one probe at a time');
      const probes = roots('probe');
      if (probes !== '' && probes === book.probes)
        found.push({ invariant: 'one probe at a time', what: `${name} has more than one probe: ${probes}` });
      book.probes = probes;
      if (book.unnamed === null) continue;
      this.#check('only what is named');
      const age = fair - book.unnamed;
      this.#most('longest life of what no policy names any more, ms', age);
      if (age > this.#bounds.unnamed)
        found.push({
          invariant: 'only what is named',
          what: `${name} is not in the policy for ${Math.round(age)} fair ms, and ${mine.map(describe).join(', ')} is there`,
        });
    }
    found.push(...this.#helpersOf(processes, upkeep));
    return found;
  }

  #helpersOf(processes: readonly Seen[], upkeep: number | null): Violation[] {
    const found: Violation[] = [];
    const now = new Set<string>();
    this.#check('no helper left over');
    for (const process of processes) {
      const { role, command } = process;
      if (!isAlive(process) || (role !== 'probe' && role !== 'stopper')) continue;
      const identity = identityOf(process);
      now.add(identity);
      const since = this.#helpers.get(identity) ?? this.#fair;
      this.#helpers.set(identity, since);
      const age = this.#fair - since;
      this.#most(`oldest ${role}, ms`, age);
      const most = (role === 'probe' ? LONGEST_PROBE : LONGEST_STOPPER) + this.#bounds.atOnce;
      if (upkeep === null || age <= most) continue;
      found.push({
        invariant: 'no helper left over',
        what: `a ${role} of ${command}, ${describe(process)}, is there for ${Math.round(age)} fair ms`,
      });
      this.#helpers.set(identity, Number.POSITIVE_INFINITY);
    }
    for (const identity of this.#helpers.keys()) if (!now.has(identity)) this.#helpers.delete(identity);
    return found;
  }

  #most(what: string, value: number): void {
    if (value > (this.longest.get(what) ?? 0)) this.longest.set(what, value);
  }

  #bookOf(name: string): Book {
    let book = this.#books.get(name);
    if (book === undefined) {
      book = { ...newBook(), unnamed: this.#fair };
      this.#books.set(name, book);
    }
    return book;
  }

  /** Takes in an event of upkeep's. */
  told(event: Told): Violation[] {
    switch (event.event) {
      case 'supervisor.stopping':
        this.#stoppingAt = event.at;
        return [];
      case 'policy.reloaded':
        return this.#reloaded(event);
      case 'operator.ordered':
        if (isWish(event.order)) this.#ordered(event.order, event.commands);
        return [];
      case 'group.restarting':
        for (const name of event.members as string[]) {
          const book = this.#bookOf(name);
          book.doomed = true;
          book.wished = true;
        }
        return [];
      case 'group.failed':
        this.#upset(commandsIn(this.#file, event.group)[0] ?? '');
        // None but those who hold it start it again.
        for (const name of commandsIn(this.#file, event.group)) {
          const book = this.#bookOf(name);
          if (book.state !== 'stopped' || this.#wishes.isDown(name)) continue;
          book.state = 'failed';
          this.#wishes.gaveUp(name, Date.parse(event.time));
        }
        return [];
      default:
        return typeof event.command === 'string' ? this.#toldOf(event.command, event) : [];
    }
  }

  #ordered(order: 'start' | 'stop' | 'restart', names: readonly string[]): void {
    for (const name of names) {
      if (!(name in this.#file.commands)) continue;
      const book = this.#bookOf(name);
      if (order !== 'start') book.doomed = true;
      if (order === 'stop') continue;
      book.wished = true;
      // Of several, it comes to each when it is its turn. What runs, or is being started, is not started by that.
      const isUp = book.state === 'launched' || book.state === 'running' || book.state === 'ready';
      if (order === 'start' ? !isUp : names.length === 1) book.bound = true;
    }
  }

  #toldOf(name: string, event: Told): Violation[] {
    const book = this.#bookOf(name);
    const to = (state: State): void => {
      if (book.state !== state) book.lost = { state: book.state, at: event.at };
      book.state = state;
    };
    switch (event.event) {
      case 'command.waiting':
        to('waiting');
        return [];
      case 'command.launched': {
        const found = this.#launched(name, book, event);
        book.bound = false;
        book.open = true;
        book.doomed = false;
        book.wished = false;
        to('launched');
        return found;
      }
      case 'command.running':
        book.leader = event.leader?.pid ?? 0;
        if (event.how === 'handover') return [];
        book.bound = false;
        book.tried = true;
        book.open = true;
        to(this.#file.commands[name]?.ready === undefined ? 'ready' : 'running');
        return [];
      case 'command.ready':
        to('ready');
        return [];
      case 'command.died':
        book.open = false;
        book.tried = true;
        to('down');
        this.#upset(name);
        return [];
      case 'command.failedStart':
        // One that was not ready in time is stopped.
        book.open = false;
        book.doomed = true;
        book.tried = true;
        to('down');
        return [];
      case 'command.unhealthy':
        if (event.next === 'ignore') return [];
        book.doomed = true;
        this.#upset(name);
        return [];
      case 'command.overlapped':
        if (event.next === 'kill') book.doomed = true;
        return [];
      case 'command.stopping': {
        const found = this.#stopping(name, book, event.at);
        to('stopping');
        return found;
      }
      case 'command.stopped':
        book.open = false;
        book.tried = true;
        book.doomed = false;
        // Each run of a schedule waits anew.
        book.bound ||= this.#file.commands[name]?.kind === 'cron';
        to('stopped');
        return [];
      case 'command.completed':
        book.open = false;
        book.tried = true;
        book.bound ||= this.#file.commands[name]?.kind === 'cron';
        to('completed');
        return [];
      case 'command.scheduled':
        return [];
      case 'command.failed':
        book.open = false;
        book.tried = true;
        to('failed');
        this.#upset(name);
        return [];
      default:
        return [];
    }
  }

  /** A death in a group may be one too many: all of it, and of what holds it, may be stopped. */
  #upset(name: string): void {
    for (const group of groupsOf(this.#file, name)) {
      const { strategy, intensity } = this.#file.groups[group]!;
      if (strategy === 'one_for_one' && intensity === undefined) continue;
      for (const other of commandsIn(this.#file, group)) {
        const book = this.#bookOf(other);
        book.groupUntil = this.#fair + GIVING_UP;
        book.wished = true;
      }
    }
  }

  #launched(name: string, book: Book, event: Told): Violation[] {
    const found: Violation[] = [];
    const command = this.#file.commands[name];
    this.#check('no start without a wish');
    const unwished = (why: string): void => {
      found.push({ invariant: 'no start without a wish', what: `${name} was launched, but ${why}` });
    };
    if (command === undefined) {
      if (this.#fair - (book.unnamed ?? 0) > this.#bounds.atOnce) unwished('the policy does not name it');
      return found;
    }
    if (this.#stoppingAt !== null && event.at - this.#stoppingAt > SLACK) unwished('upkeep is stopping');
    if (command.kind !== 'cron' && !book.wished && (book.state === 'completed' || book.state === 'failed'))
      unwished(`it had ${book.state}`);
    if (book.open)
      found.push({
        invariant: 'one leader',
        what: `${name} was launched for the ${event.start}. time, and its run before had not ended`,
      });
    if (!book.bound) return found;
    this.#check('what is required comes first');
    const { requires, after } = relationsOf(this.#file, name);
    for (const [other, milestone] of Object.entries(requires))
      if (!this.#hasReached(other, milestone, event.at))
        found.push({
          invariant: 'what is required comes first',
          what: `${name} was launched, but ${other} is ${this.stateOf(other)}, not ${milestone}`,
        });
    for (const other of after) {
      const kind = this.#file.commands[other]?.kind;
      const { tried, state } = this.#bookOf(other);
      const passed = kind === 'oneshot' ? isAtRest(state) : tried;
      if (kind === 'cron' || passed) continue;
      found.push({
        invariant: 'what is required comes first',
        what: `${name} was launched, but ${other}, which it comes after, was not (it is ${state})`,
      });
    }
    return found;
  }

  #hasReached(name: string, milestone: Milestone, at: number): boolean {
    const { state, lost } = this.#bookOf(name);
    const counts = (one: State): boolean => {
      if (one === 'completed') return true;
      if (milestone === 'completed') return false;
      return one === 'ready' || (milestone === 'started' && (one === 'running' || one === 'launched'));
    };
    return counts(state) || (lost !== null && at - lost.at <= QUEUED && counts(lost.state));
  }

  #stopping(name: string, book: Book, at: number): Violation[] {
    const found: Violation[] = [];
    if (this.#stoppingAt === null) {
      this.#check('no stop without a reason');
      if (!book.doomed && !this.#wishes.isToStop(name) && this.#fair > book.groupUntil)
        found.push({
          invariant: 'no stop without a reason',
          what: `${name} is stopped, and nobody wanted it`,
        });
      return found;
    }
    // Who is not up, and what only runs at its times, may be told at any time.
    const isUp = book.state === 'running' || book.state === 'ready';
    // When the time is up, all that is left is killed.
    const hurries = this.#hurried || at - this.#stoppingAt >= this.#grace - SLACK;
    // Its probe may have said before that it is of no use.
    const isLeft = hurries || !isUp || book.doomed;
    if (isLeft || this.#file.commands[name]?.kind === 'cron') return found;
    this.#check('stopped in order');
    for (const [other, { state }] of this.#books) {
      if (!(other in this.#file.commands)) continue;
      const { requires, after } = relationsOf(this.#file, other);
      if (!(name in requires) && !after.includes(name)) continue;
      if (state === 'running' || state === 'ready' || state === 'stopping')
        found.push({
          invariant: 'stopped in order',
          what: `${name} is stopped, but ${other}, which comes after it, is ${state}`,
        });
    }
    return found;
  }

  #reloaded(event: Told): Violation[] {
    this.#check('a reload does what the file says');
    const before = this.#file;
    const sets = (names: unknown): string => [...(names as string[])].sort().join(' ');
    const said = [
      sets(event.started),
      sets(event.stopped),
      sets([...event.restarted, ...event.adjusted]),
    ].join('; ');
    const fits = (file: PolicyFile): boolean =>
      this.#followed.some((one) => differenceOf(one, file) === said);
    const read = this.#written.filter(fits);
    const file = read.at(-1);
    if (file === undefined) {
      const could = this.#written.map((one) => differenceOf(before, one));
      return [
        {
          invariant: 'a reload does what the file says',
          what: `upkeep says of a reload "${said}" (started; stopped; changed), which no file does that was written: ${could.map((one) => `"${one}"`).join(', ')}`,
        },
      ];
    }
    this.#written = this.#written.slice(this.#written.indexOf(read[0]!));
    this.#followed = read;
    this.#file = file;
    for (const name of event.stopped as string[]) {
      const book = this.#bookOf(name);
      book.doomed = true;
      book.unnamed = this.#fair;
    }
    for (const name of event.started as string[]) this.#books.set(name, newBook());
    for (const name of event.restarted as string[]) {
      const book = this.#bookOf(name);
      book.doomed = true;
      book.wished = true;
      book.bound = true;
      book.tried = false;
    }
    for (const name of Object.keys(file.commands)) {
      const book = this.#bookOf(name);
      // Who moves is somebody else's from now on, and may be begun anew.
      if (placeOf(before, name) === placeOf(file, name)) continue;
      book.open = false;
      if (book.state === 'failed') book.wished = true;
    }
    return [];
  }

  /** A daemon that stays in the session of its launcher: see `Watched.inSession`. */
  #leadsAsWorker(process: Seen): boolean {
    const { run } = this.#file.commands[process.command ?? ''] ?? {};
    if (run === undefined) return false;
    return leadsAsWorker(process, staysInSession(run), this.#bookOf(process.command!).leader);
  }

  /** Commands that are not what they should be when nobody has done anything for a while. */
  missing(processes: readonly Seen[]): string[] {
    const masters = new Set(
      processes
        .filter((process) => isAlive(process))
        .filter((process) => process.role === 'master' || this.#leadsAsWorker(process))
        .map(({ command }) => command),
    );
    const found: string[] = [];
    const hopeless = new Set<string>();
    // In an order in which they can be started.
    for (const [name, { kind }] of Object.entries(this.#file.commands)) {
      const { requires, after } = relationsOf(this.#file, name);
      const { state } = this.#bookOf(name);
      const stuck =
        Object.entries(requires).some(([other, milestone]) => {
          // A oneshot has started only while it runs.
          const isOver = this.stateOf(other) === 'failed' || this.stateOf(other) === 'stopped';
          return hopeless.has(other) || isOver || (milestone === 'started' && this.stateOf(other) === 'down');
        }) || after.some((other) => hopeless.has(other));
      if (state === 'failed' || stuck || this.#wishes.isDown(name)) {
        hopeless.add(name);
        continue;
      }
      if (kind === 'cron') continue;
      if (kind === 'oneshot' ? state !== 'completed' : state !== 'ready' || !masters.has(name))
        found.push(`${name} (${state})`);
    }
    return found;
  }
}

const newBook = (): Book => ({
  state: 'down',
  lost: null,
  bound: true,
  tried: false,
  open: false,
  doomed: false,
  groupUntil: Number.NEGATIVE_INFINITY,
  wished: true,
  rivals: '',
  remains: '',
  probes: '',
  unnamed: null,
  leader: 0,
});

const isAtRest = (state: State): boolean =>
  state === 'completed' || state === 'failed' || state === 'stopped';

/** The outermost group that it is in, with all that is in it: that is made anew when anything of it is another. */
function placeOf(file: PolicyFile, name: string): string {
  const outer = groupsOf(file, name).at(-1);
  if (outer === undefined) return '';
  const structure = (member: string): unknown =>
    member in file.groups ? [member, file.groups[member]!.members.map(structure)] : member;
  return JSON.stringify(structure(outer));
}

/** Which commands come, which go, and which are others: sorted, as a text. */
export function differenceOf(before: PolicyFile, after: PolicyFile): string {
  const meaning = (file: PolicyFile, name: string): string => {
    const { requires: _, after: __, ...rest } = file.commands[name]!;
    const { requires, after: earlier } = relationsOf(file, name);
    return JSON.stringify([rest, Object.entries(requires).sort(), earlier]);
  };
  const names = Object.keys(after.commands).sort();
  return [
    names.filter((name) => !(name in before.commands)),
    Object.keys(before.commands)
      .filter((name) => !(name in after.commands))
      .sort(),
    names.filter((name) => name in before.commands && meaning(before, name) !== meaning(after, name)),
  ]
    .map((some) => some.join(' '))
    .join('; ');
}

/** Workers of a master that is gone, which are older than all of the life that has begun since. */
function leftBefore(mine: readonly Seen[]): Seen[] {
  const heads = mine.filter(({ role }) => role === 'launcher' || role === 'master');
  if (heads.length === 0) return [];
  const born = Math.min(...heads.map(({ startTicks }) => startTicks));
  return mine.filter(({ role, startTicks }) => role === 'worker' && startTicks < born);
}

const identityOf = ({ pid, startTicks }: Seen): string => `${pid}@${startTicks}`;

const describe = ({ pid, comm, state }: Seen): string => `${pid} (${comm}, ${state})`;
