/**
 * Which process belongs to which command, and what of that a machine must hear. Fed with what scans and the kernel
 * say, it answers with facts, and only where something changed: the one book of who is whose.
 */
import type {
  CommandFact,
  Exit,
  Leader,
  NamedFact,
  ProcessId,
  Remains,
  SignalScope,
} from '../../machines/events.ts';
import {
  areWorkers,
  chooseHeir,
  chooseLeader,
  type Fits,
  fitsOf,
  type Kin,
  nameCandidates,
  toLeader,
} from './matching.ts';
import { ownSurroundings, type Surroundings } from './surroundings.ts';
import { isDead, type ProcessRow, type ProcessTable, type TableChange } from './table.ts';
import type { Tags } from './tags.ts';

/** Why a process counts as a command's: its tag; its ancestry or its name where there are no tags; or descent from
 * a tagged process without a tag of its own, which is a session that PAM opened and no part of the service. */
type Via = 'tag' | 'ancestry' | 'name' | 'descent';

interface Member {
  row: ProcessRow;
  readonly via: Via;
  readonly command: string;
}

interface Service {
  readonly name: string;
  fits: Fits;
  /** Where a policy says how many processes it has to have. */
  muster: Muster | null;
  readonly members: Map<number, Member>;
  /** Grows whenever somebody joins or leaves, or the leader's end is told. */
  changes: number;
  leader: (Leader & { readonly session: number }) | null;
  /** The leader is what upkeep launched, or was left by it, and the start timeout is not over. */
  startingUntil: number;
  /** Who leads from the next look on, by the service's own word; null: nothing was said. */
  named: Member | null;
  /** When this leader became the leader. */
  leadsSince: number;
  /** Session of the last leader that died: who is left in it is a worker without a master. */
  deadSession: number;
  /** Its end, as the kernel told it, and when; said with the first look that began later. */
  ended: Exit | null;
  endedAt: number;
  /** One look has found it ended, or nothing left, while it is being counted. A second one has to agree: what was
   * forked in the midst of a look may have escaped it. */
  endSeen: boolean;
  /** Its end is known, but not what it left: a look that could not read everybody is to be followed by one that can. */
  blind: boolean;
  /** So it is, but only because nobody was listed. */
  hasty: boolean;
  emptySeen: boolean;
  /** Who was killed by a signal since the launch, before anybody took over from the launcher. */
  fallen: { readonly row: ProcessRow; readonly exit: Exit }[];
  /** The launcher left with status 0 and without an heir: whoever appears before this time may be the service. */
  awaitsUntil: number;
  /** When it was launched last, in ticks; nothing older can be what it left. */
  launchTicks: number;
  /** A signal was sent to these: counts are told until none of them is left. */
  counting: SignalScope | null;
  countingSince: number;
  /** The last count: when, at how many changes, and what was told. */
  countedAt: number;
  /** How many were left when it lost its leader without an heir; null: there is a leader, or never was one. */
  left: number | null;
  counted: number;
  told: Remains | null;
}

/** How many processes a service has of those that count. */
interface Muster {
  readonly least: number;
  readonly most: number;
  /** The last look: when, and at how many changes. */
  at: number;
  changes: number;
  /** There were enough of them once, with this leader. */
  complete: boolean;
  /** Since when there are too few; 0: there are not. */
  shortSince: number;
  crowded: boolean;
}

export interface LineageOptions {
  readonly table: ProcessTable;
  /** null where limits cannot be set or read: ancestry and name have to do. */
  readonly tags: Tags | null;
  readonly commands: readonly Kin[];
  /** This process. */
  readonly self: number;
  /** How long, ms, a launcher's departure still counts as a part of the start. */
  readonly startTimeout: number;
  /** How long, ms, a daemon may take to appear after its launcher has left. */
  readonly linger: number;
  /** With more than so many ms between two looks, everything was stopped meanwhile, or upkeep was. */
  readonly longestGap: number;
  /** Deaths of our own children are told by the kernel; without it, leaders are looked at in every scan. */
  readonly reaping: boolean;
  /** Monotonic ms. */
  readonly now: () => number;
  /** Monotonic ms at which a process with these start ticks began. */
  readonly sinceOf: (startTicks: number) => number;
  /** Hears of what is no fact for a machine. */
  readonly notice?: (command: string, message: string) => void;
  /** Where what rows do not tell is read. Default: here. */
  readonly surroundings?: Surroundings;
}

/** A process, and what it is to a command. */
export interface Evidence {
  readonly row: ProcessRow;
  /** `leader`: stands for it. `member`: is the command's. `refused`: is not. */
  readonly verdict: 'leader' | 'member' | 'refused';
  /** In words. */
  readonly because: string;
}

/** What a process is to the commands. */
export interface Standing {
  readonly row: ProcessRow;
  /** null: nobody's. */
  readonly command: string | null;
  /** `refused`: by its name it could be the command's, and is not. */
  readonly verdict: Evidence['verdict'] | null;
  readonly because: string | null;
}

export interface Lineage {
  /** One more command, with a tag of its own. What carries that tag, as it had been there before and was removed, is its
   * own again: whoever then leads is returned, and taken to lead. */
  readonly add: (kin: Kin) => Leader | null;
  /** One command, and its tag, less. What lives of it is forgotten, not ended. */
  readonly remove: (command: string) => void;
  /** Another rule for who may lead. Whoever leads does not change by it. */
  readonly revise: (kin: Kin) => void;
  /** Takes in a first look at the table: who carries which tag, and who leads. */
  readonly adopt: () => void;
  /** Commands that nobody stands for, with the processes that would by name; for two scans to agree on. */
  readonly candidatesByName: () => Map<string, ProcessRow[]>;
  /** Takes such a process, and what descends from it, for the command's. */
  readonly adoptByName: (command: string, row: ProcessRow) => void;
  readonly leaders: () => Record<string, Leader>;
  /** Who was started by this upkeep, in an earlier life, for a command that it is not given any more. */
  readonly forgotten: () => number[];
  /** A launcher was started. */
  readonly launched: (command: string, id: ProcessId) => void;
  /** The service says that this process leads it. It does from the next look on, if it is one of its own.
   * @returns why it does not; null: it does, or did already, or nobody leads who could be followed */
  readonly appoint: (command: string, pid: number) => string | null;
  /** A child of ours that is no service (a stop command): never to be taken for one. */
  readonly helper: (pid: number, alive: boolean) => void;
  /** A child of ours is about to be reaped: the last moment to find out whose it was. */
  readonly dying: (pid: number) => void;
  /** The kernel has told of an end. What follows from it is said by the next `digest`.
   * @returns true where somebody waits for it, so that a look is due */
  readonly exited: (pid: number, exit: Exit) => boolean;
  /** What follows from a scan and from the ends told since the last one. */
  readonly digest: (change: TableChange) => NamedFact[];
  /** A number that grows whenever one of the command's processes may have come or gone. */
  readonly changes: (command: string) => number;
  /** Who is the command's by the last look; nobody is looked at. */
  readonly membersOf: (command: string) => readonly ProcessId[];
  /** Living processes a signal is for, read anew just now. */
  readonly targets: (command: string, scope: SignalScope) => ProcessRow[];
  /** From now on every change of what is left of the command is told, the present count first. */
  readonly count: (command: string, scope: SignalScope) => void;
  /** Leaders whose end the kernel does not tell to us, because they are no children of ours. */
  readonly strangers: () => number[];
  /** It belongs to a command. */
  readonly isMember: (pid: number) => boolean;
  /** The command that this process stands for. */
  readonly ledBy: (pid: number) => string | null;
  /** The command that this process belongs to, read anew just now, or belonged to when it was there; null: not known. */
  readonly commandOf: (pid: number) => string | null;
  /** Who is, or by its name could be, the command's, read anew, and the rule that says so. Oldest first. */
  readonly evidenceOf: (command: string) => readonly Evidence[];
  /** All processes by the last look; nobody is looked at. Oldest first. */
  readonly standings: () => readonly Standing[];
  /** What the last look found has to be confirmed by another one, now. */
  readonly isUnsure: () => boolean;
  /** Something is being waited for that the kernel does not tell of: scan soon again. */
  readonly isAttentive: () => boolean;
}

/** How soon, ms, what has not changed is counted again. */
const RECOUNT = 100;
/** The same for how many processes a service has, as long as it runs. */
const MUSTER = 1_000;
/** Of so many is remembered whose they were: what a process has said last may be read when it is gone. */
const MOST_DEPARTED = 64;
/** So many names are compared at most to tell who is refused. */
const MOST_COMPARED = 5_000;
/** How far up a process is followed to one that is known. */
const MOST_ANCESTORS = 32;

const UNKNOWN_EXIT: Exit = { known: false, code: null, signal: null, core: false };

export function createLineage(options: LineageOptions): Lineage {
  const { table, tags, self, now, surroundings = ownSurroundings } = options;
  const services = new Map<string, Service>();
  /** Those whose number of processes is watched. */
  const bounded = new Set<Service>();
  const owners = new Map<number, Member>();
  const helpers = new Set<number>();
  /** Whose the last ones were that left. */
  const departed = new Map<number, string>();

  /** When the last look was digested. */
  let digestedAt = now();

  const parentOf = (row: ProcessRow): ProcessRow | undefined => table.rows.get(row.ppid);
  const ageOf = (row: ProcessRow): number => now() - options.sinceOf(row.startTicks);

  const fitsFor = (kin: Kin): Fits => fitsOf(kin, surroundings, parentOf, ageOf);

  function admit(kin: Kin): Service {
    const service: Service = {
      name: kin.name,
      fits: fitsFor(kin),
      muster: musterFor(kin),
      members: new Map(),
      changes: 0,
      leader: null,
      startingUntil: 0,
      named: null,
      leadsSince: 0,
      deadSession: -1,
      ended: null,
      endedAt: 0,
      endSeen: false,
      blind: false,
      hasty: false,
      emptySeen: false,
      fallen: [],
      awaitsUntil: 0,
      launchTicks: 0,
      counting: null,
      countingSince: 0,
      countedAt: 0,
      left: null,
      counted: 0,
      told: null,
    };
    services.set(kin.name, service);
    if (service.muster !== null) bounded.add(service);
    return service;
  }
  for (const kin of options.commands) admit(kin);

  function join(row: ProcessRow, service: Service, via: Via): void {
    leave(row.pid);
    const member: Member = { row, via, command: service.name };
    owners.set(row.pid, member);
    service.members.set(row.pid, member);
    service.changes++;
  }

  /** What only its name tells, and everything below it. */
  function joinWithBelow(row: ProcessRow, service: Service): void {
    join(row, service, 'name');
    for (const below of byAge(table.rows.values())) {
      if (owners.get(below.ppid)?.command === service.name && !owners.has(below.pid))
        join(below, service, 'name');
    }
  }

  function leave(pid: number): void {
    const member = owners.get(pid);
    if (member === undefined) return;
    owners.delete(pid);
    departed.set(pid, member.command);
    if (departed.size > MOST_DEPARTED) departed.delete(departed.keys().next().value!);
    const service = services.get(member.command)!;
    service.members.delete(pid);
    service.changes++;
  }

  /** A leader that has ended is no member any more. Its number may be somebody else's by now, and another command's. */
  function leaveLed(service: Service, { pid, startTicks }: ProcessId): void {
    const since = service.members.get(pid)?.row.startTicks;
    if (since !== undefined && [since, 0].includes(startTicks)) leave(pid);
  }

  /** Whose a process is, and why; null: nobody's. */
  function kinshipOf(row: ProcessRow): { readonly command: string; readonly via: Via } | null {
    const parent = owners.get(row.ppid);
    const tagged = tags?.commandOf(row.locks) ?? null;
    const descends = parent?.via === 'tag' || parent?.via === 'descent';
    if (tagged !== null) {
      // A tag that is not the parent's was not inherited: pam_limits copies that of PID 1, which may just have been
      // launching something else. Who opened the session is known by descent.
      const strange = descends && parent.command !== tagged;
      return strange ? { command: parent.command, via: 'descent' } : { command: tagged, via: 'tag' };
    }
    if (parent !== undefined) return { command: parent.command, via: descends ? 'descent' : parent.via };
    // Without tags, an orphan of ours is its session's.
    const kin =
      tags === null && row.session > 0
        ? [...owners.values()].find((other) => other.row.session === row.session)
        : undefined;
    return kin === undefined ? null : { command: kin.command, via: 'ancestry' };
  }

  /** It is somebody's already. Whose end is still to be told has no number any more that somebody younger has been given; and who
   * is older than the one that is known was read before that one came. */
  function isOwned({ pid, startTicks }: ProcessRow): boolean {
    const since = owners.get(pid)?.row.startTicks;
    return since !== undefined && (since === 0 || since >= startTicks);
  }

  /** Finds out whose a process is that was not there before. */
  function attribute(row: ProcessRow): void {
    if (row.pid === self || helpers.has(row.pid)) return;
    const kinship = kinshipOf(row);
    if (kinship !== null) join(row, services.get(kinship.command)!, kinship.via);
  }

  /** See `Lineage`. Takes nobody in: that is for a look to do. */
  function commandOf(pid: number): string | null {
    let found: string | null = null;
    for (
      let at = pid, steps = 0;
      found === null && at > 1 && at !== self && steps < MOST_ANCESTORS;
      steps++
    ) {
      // Null where the number has another process than before, and then the next one tells.
      const row = table.refresh(at) ?? table.refresh(at);
      const known = owners.get(at);
      if (row === null || row === 'unknown') return known?.command ?? departed.get(at) ?? null;
      const isKnown = known !== undefined && [0, row.startTicks].includes(known.row.startTicks);
      found = isKnown ? known.command : (kinshipOf(row)?.command ?? null);
      at = row.ppid;
    }
    return found;
  }

  /** Reads a process anew. null: gone, and its number may be somebody else's. 'unknown': it can't be read, and counts as alive. */
  function readAnew({ pid, startTicks }: ProcessRow): ProcessRow | null | 'unknown' {
    const row = table.refresh(pid);
    if (row === null || row === 'unknown') return row;
    return startTicks === 0 || row.startTicks === startTicks ? row : null;
  }

  /** Reads a member anew; false when it is dead or gone. */
  function isAlive(member: Member): boolean {
    const row = readAnew(member.row);
    if (row === 'unknown') return true;
    if (row === null) {
      leave(member.row.pid);
      return false;
    }
    member.row = row;
    return !isDead(row);
  }

  /** It is not dead by now: who is nobody's stays in the table until everybody is listed again. */
  function isThere(known: ProcessRow): boolean {
    const row = readAnew(known);
    return row === 'unknown' || (row !== null && !isDead(row));
  }

  /** Another upkeep's: two that restart and stop the same process would be no help to it. Or what a helper has started. */
  const isForeign = (row: ProcessRow): boolean => tags?.isForeign(row.locks) ?? false;

  const isService = (member: Member): boolean => member.via !== 'descent';

  function isWorker(service: Service, member: Member): boolean {
    // Where sessions are not known, whatever is left may hold the port.
    return isService(member) && (member.row.session === service.deadSession || member.row.session === 0);
  }

  /** A leader whose end is known is none of them, though it stays a member until that is told: its number may be a stranger's. */
  function living({ members, leader, ended }: Service): Member[] {
    const isOver = ({ row }: Member): boolean =>
      ended !== null && row.pid === leader?.pid && row.startTicks === leader.startTicks;
    return [...members.values()].filter((member) => !isOver(member) && isAlive(member));
  }

  /** Of its own, those that may lead at all. */
  function eligible(service: Service, rows: readonly ProcessRow[]): readonly ProcessRow[] {
    return rows.filter(service.fits.mayLead);
  }

  /** Who leads of those that are there already. */
  function leadFound(service: Service): Leader | null {
    const rows = living(service)
      .filter(isService)
      .map((member) => member.row);
    const row = chooseLeader(eligible(service, rows), service.fits.own);
    if (row === null) return null;
    const leader = lead(service, row, 'tag');
    service.startingUntil = leader.since + options.startTimeout;
    return leader;
  }

  function remainsOf(service: Service): Remains {
    const alive = living(service);
    return {
      workers: alive.filter((member) => isWorker(service, member)).length,
      tagged: alive.filter(isService).length,
      sessions: alive.filter((member) => !isService(member)).length,
    };
  }

  function lead(service: Service, row: ProcessRow, rule: Leader['rule']): Leader {
    const known = toLeader(row, rule, row.startTicks === 0 ? now() : options.sinceOf(row.startTicks));
    // No look may have read yet what a launcher is called: it goes by what it was launched for.
    const leader = rule === 'launcher' ? { ...known, name: service.name } : known;
    service.leader = { ...leader, session: row.session };
    service.leadsSince = now();
    service.left = null;
    service.ended = null;
    service.endSeen = false;
    service.awaitsUntil = 0;
    if (service.muster !== null) Object.assign(service.muster, { complete: false, shortSince: 0 });
    return leader;
  }

  const ruleOf = (via: Via): Leader['rule'] => (via === 'descent' ? 'ancestry' : via);

  /** The leader is gone: who takes over, and what is left. */
  function bury(service: Service, exit: Exit, at: number): CommandFact {
    const dead = service.leader!;
    leaveLed(service, dead);
    service.leader = null;
    const survivors = living(service).filter(isService);
    const session = sessionOf(dead.pid, dead.session, survivors);
    service.deadSession = session;
    // What ends right after it was found can be one more fork of a daemon, with a status or without.
    const justFound = !exit.known && at < service.leadsSince + options.linger;
    // Whom the service has named is no step on its way to the background.
    const starting = dead.rule !== 'notify' && (justFound || at < service.startingUntil);
    // Later, without a status, it may have been a launcher that an upkeep before this one started: its daemon has a
    // session of its own, while workers without a master are in that of the dead.
    const rows = survivors.map(({ row }) => row);
    const unlikely = starting && !justFound && !exit.known;
    const apart = unlikely || (dead.rule !== 'launcher' && areWorkers(rows, session));
    const heirRow = chooseHeir(
      { exit, starting },
      eligible(
        service,
        rows.filter((row) => !apart || row.session !== session),
      ),
      service.fits.own,
    );
    // In the launcher's own session are its helpers as well.
    const fallen = heirRow === null || heirRow.session === session ? null : masterOf(service, heirRow);
    const awaits = heirRow === null && starting && !apart && exit.code === 0;
    if (!awaits) service.fallen = [];
    if (fallen !== null) {
      // It has died before it could take over: that is how the start has ended.
      service.deadSession = heirRow!.session;
      return endWithout(service, dead, fallen.exit, at);
    }
    const heir = heirRow === null ? null : lead(service, heirRow, ruleOf(owners.get(heirRow.pid)!.via));
    if (awaits) service.awaitsUntil = at + options.linger;
    if (heir === null) return endWithout(service, dead, exit, at);
    return { type: 'leader.exited', at, id: idOf(dead), exit, heir, remains: remainsOf(service) };
  }

  /** Nobody takes over. */
  function endWithout(service: Service, dead: Leader, exit: Exit, at: number): CommandFact {
    const remains = remainsOf(service);
    service.left = remains.tagged;
    service.counted = service.changes;
    return { type: 'leader.exited', at, id: idOf(dead), exit, heir: null, remains };
  }

  /** The dead in whose session an heir is, and who was there before it: the heir is its worker. */
  function masterOf(service: Service, heir: ProcessRow): Service['fallen'][number] | null {
    const precedes = ({ row }: Service['fallen'][number]): boolean =>
      heir.session > 0 &&
      (row.session === heir.session || row.pid === heir.session) &&
      row.startTicks <= heir.startTicks;
    return service.fallen.find(precedes) ?? null;
  }

  /** True when a leader can die without the kernel telling us. */
  function mustBeLookedAt(leader: Leader): boolean {
    return !options.reaping || table.rows.get(leader.pid)?.ppid !== self;
  }

  /** Whoever appeared since the launch, was orphaned to us, and goes by the command's name. */
  function findAwaited(service: Service): { row: ProcessRow; via: Via } | null {
    const members = living(service).filter(isService);
    const rows = members.map(({ row }) => row);
    const known = chooseLeader(eligible(service, rows), service.fits.own);
    if (known !== null) return { row: known, via: owners.get(known.pid)!.via };
    const orphans = [...table.rows.values()].filter(
      (row) =>
        (row.ppid === self || row.ppid === 1) &&
        row.startTicks >= service.launchTicks &&
        !owners.has(row.pid) &&
        !helpers.has(row.pid) &&
        row.pid !== self &&
        !isForeign(row) &&
        service.fits.stranger(row) &&
        isThere(row),
    );
    const row = chooseLeader(orphans, service.fits.stranger);
    return row === null ? null : { row, via: 'name' };
  }

  function digest(change: TableChange): NamedFact[] {
    for (const row of change.vanished) forget(row);
    for (const row of byAge(change.appeared)) if (!isOwned(row)) attribute(row);

    const facts: NamedFact[] = [];
    const at = now();
    const missed = at - digestedAt > options.longestGap;
    for (const service of services.values()) {
      if (missed) forgive(service, at);
      if (isQuiet(service)) continue;
      const found = [
        // Before it ends, and as soon as there is one: a daemon may have named itself while its launcher was there.
        namingOf(service, at),
        endOf(service, change, at),
        ...arrivalOf(service, at),
        namingOf(service, at),
        countOf(service, change, at),
        lateOf(service, at),
      ];
      for (const fact of found) {
        if (fact !== null) facts.push({ command: service.name, fact });
      }
    }
    for (const service of bounded) {
      const fact = shortageOf(service, at);
      if (fact !== null) facts.push({ command: service.name, fact });
    }
    digestedAt = at;
    return facts;
  }

  /** While everything is stopped (`docker pause`) nobody gets anywhere, and while upkeep is, it does not learn who has: the time to
   * start in is made longer by that. */
  function forgive(service: Service, at: number): void {
    if (service.startingUntil <= digestedAt) return;
    const from = Math.max(digestedAt, service.startingUntil - options.startTimeout);
    service.startingUntil += Math.max(0, at - from - options.longestGap);
  }

  /** Another one leads from now on, by the service's own word. */
  function namingOf(service: Service, at: number): CommandFact | null {
    const { named, leader, ended, counting } = service;
    if (named === null || leader === null || counting !== null) return null;
    service.named = null;
    if (named.row.pid === leader.pid || owners.get(named.row.pid) !== named || !isAlive(named)) return null;
    if (ended !== null) leaveLed(service, leader);
    return { type: 'leader.named', at, leader: lead(service, named.row, 'notify') };
  }

  /** A service that has been too few for a while is as good as dead. How many it is nobody tells: it is looked at. */
  function shortageOf(service: Service, at: number): CommandFact | null {
    const { leader, muster, ended, counting } = service;
    if (leader === null || muster === null || ended !== null || counting !== null) return null;
    if (service.changes === muster.changes && at - muster.at < MUSTER) return null;
    const heads = living(service).filter((member) => isService(member) && service.fits.counted(member.row));
    muster.changes = service.changes;
    muster.at = at;
    const { least, most } = muster;
    const there = `there are ${heads.length} processes of it`;
    const crowded = heads.length > most;
    if (crowded && !muster.crowded) options.notice?.(service.name, `${there}, and ${most} at most should be`);
    muster.crowded = crowded;
    const enough = heads.length >= least;
    muster.complete ||= enough;
    if (enough || (!muster.complete && at < service.startingUntil)) muster.shortSince = 0;
    else if (muster.shortSince === 0) muster.shortSince = at;
    else if (at - muster.shortSince >= options.linger) {
      options.notice?.(service.name, `${there}, and ${least} at least should be: it counts as dead`);
      return depose(service, leader, at);
    }
    return null;
  }

  /** The leader lives, but what it stands for does not. It is left to be cleared away with its session. */
  function depose(service: Service, leader: NonNullable<Service['leader']>, at: number): CommandFact {
    service.leader = null;
    service.deadSession = sessionOf(leader.pid, leader.session, living(service));
    service.fallen = [];
    return endWithout(service, leader, UNKNOWN_EXIT, at);
  }

  /** It runs, Node will tell of its end, and nobody asks anything of it: as nearly all of them, nearly always. */
  function isQuiet({ leader, members, ended, counting, awaitsUntil, hasty, named }: Service): boolean {
    if (leader === null || leader.rule !== 'launcher' || ended !== null || counting !== null) return false;
    if (named !== null) return false;
    return awaitsUntil === 0 && !hasty && members.has(leader.pid);
  }

  /** The leader's end, when it is time to tell of it. */
  function endOf(service: Service, change: TableChange, at: number): CommandFact | null {
    const { leader } = service;
    if (leader === null) return null;
    const exit = service.ended ?? (isLost(service, leader) ? UNKNOWN_EXIT : null);
    // A look that began before its end may have missed what it forked last.
    const early = service.ended !== null && change.at < service.endedAt;
    service.hasty = isHasty(service, change, at);
    service.blind = service.hasty || (service.ended !== null && isBlind(change, service.endedAt, at));
    const alone = exit !== null && !early && service.counting !== null && !service.endSeen;
    service.endSeen = alone || (exit !== null && service.endSeen);
    if (exit === null || early || service.blind || alone) return null;
    const fact = bury(service, exit, at);
    // Two looks have agreed already.
    service.emptySeen = true;
    return fact;
  }

  /** Whoever has come in place of a launcher that left without an heir. */
  function arrivalOf(service: Service, at: number): CommandFact[] {
    if (at >= service.awaitsUntil) return [];
    const found = findAwaited(service);
    if (found === null) return [];
    if (!owners.has(found.row.pid)) joinWithBelow(found.row, service);
    // In the launcher's own session are its helpers as well.
    const fallen = found.row.session === service.deadSession ? null : masterOf(service, found.row);
    const row = fallen?.row ?? found.row;
    const seen: CommandFact = { type: 'leader.seen', at, leader: lead(service, row, ruleOf(found.via)) };
    service.fallen = [];
    // It has come and gone between two looks: what is there are its workers.
    return fallen === null ? [seen] : [seen, bury(service, fallen.exit, at)];
  }

  /** What is left of a service that a signal was sent to, where that has changed. */
  function countOf(service: Service, change: TableChange, at: number): CommandFact | null {
    const { counting } = service;
    if (counting === null || change.at < service.countingSince || !isCountDue(service, at)) return null;
    const remains = remainsOf(service);
    service.countedAt = at;
    service.counted = service.changes;
    // Its end, with the status, is about to be told, and says the same.
    if (isDying(service)) return null;
    const empty = inScope(remains, counting) === 0;
    const blind = empty && isBlind(change, service.countingSince, at);
    const alone = empty && (blind || !service.emptySeen);
    service.emptySeen = empty && !blind;
    if (alone) return null;
    if (empty) service.counting = null;
    if (service.told !== null && sameRemains(service.told, remains)) return null;
    service.told = remains;
    if (service.left !== null) service.left = remains.tagged;
    return { type: 'lineage.counted', at, remains };
  }

  /** More than was left at its end: what its launcher had just forked, and the look at the end has missed. It is to be cleared
   * before the next start. */
  function lateOf(service: Service, at: number): CommandFact | null {
    const { left, counting, awaitsUntil, changes } = service;
    if (left === null || counting !== null || at < awaitsUntil || changes === service.counted) return null;
    service.counted = changes;
    const remains = remainsOf(service);
    service.left = remains.tagged;
    return remains.tagged > left ? { type: 'lineage.counted', at, remains } : null;
  }

  /** Its launcher may still hand over to somebody, or has left, and somebody is awaited. */
  const isStarting = ({ leader, startingUntil, awaitsUntil }: Service): boolean =>
    leader === null ? now() < awaitsUntil : leader.rule === 'launcher' && now() < startingUntil;

  /** What is left may be what this look could not read. It is waited for a better one, but not for ever. */
  function isBlind(change: TableChange, since: number, at: number): boolean {
    return change.unread === true && at < since + options.linger;
  }

  /** That a launcher has left nobody is concluded from a list alone: to start a second one beside it would be worse. */
  function isHasty(service: Service, change: TableChange, at: number): boolean {
    if (change.unlisted !== true || service.ended?.code !== 0 || at >= service.startingUntil) return false;
    return !living(service).some((member) => isService(member) && member.row.pid !== service.leader?.pid);
  }

  /** Nothing is read again as long as nobody has come or gone, but for zombies, of which nobody tells. */
  function isCountDue(service: Service, at: number): boolean {
    return (
      service.emptySeen ||
      service.told === null ||
      service.changes !== service.counted ||
      at - service.countedAt >= RECOUNT
    );
  }

  /** The leader is dead, and the kernel will tell how it ended. */
  function isDying(service: Service): boolean {
    const { leader } = service;
    if (leader === null) return false;
    if (service.ended !== null) return true;
    const member = service.members.get(leader.pid);
    if (member !== undefined && !isDead(member.row)) return false;
    // Of several of its children that end at once, Node reaps all before it tells of the first.
    return (
      leader.rule === 'launcher' || (member !== undefined && options.reaping && member.row.ppid === self)
    );
  }

  /** A row has vanished; a leader's goes when its end is told. */
  function forget(row: ProcessRow): void {
    const member = owners.get(row.pid);
    if (member === undefined || (member.row.startTicks !== row.startTicks && row.startTicks !== 0)) return;
    if (services.get(member.command)!.leader?.pid !== row.pid) leave(row.pid);
  }

  /** True when the leader is gone or dead though nobody told of its end. */
  function isLost(service: Service, leader: Leader): boolean {
    const member = service.members.get(leader.pid);
    if (member === undefined) return true;
    // Node tells of what Node spawned.
    if (leader.rule === 'launcher') return false;
    const listed = table.rows.get(leader.pid);
    if (listed !== undefined && listed.startTicks === leader.startTicks && !mustBeLookedAt(leader))
      return false;
    if (isAlive(member)) return false;
    // Dead, but still to be reaped: a child of ours will be, by its number, and then its status is known.
    return !(options.reaping && member.row.ppid === self && owners.has(leader.pid));
  }

  return {
    add(kin) {
      if (services.has(kin.name)) throw new Error(`cannot add a command: "${kin.name}" is there already`);
      tags?.add(kin.name);
      const service = admit(kin);
      const isBack = [...table.rows.values()].some((row) => tags?.commandOf(row.locks) === kin.name);
      if (!isBack) return null;
      for (const row of byAge(table.rows.values())) if (!owners.has(row.pid)) attribute(row);
      return leadFound(service);
    },
    remove(command) {
      const service = services.get(command);
      if (service === undefined) return;
      for (const pid of [...service.members.keys()]) leave(pid);
      services.delete(command);
      bounded.delete(service);
      tags?.remove(command);
    },
    revise(kin) {
      const service = services.get(kin.name)!;
      service.fits = fitsFor(kin);
      service.muster = musterFor(kin);
      if (service.muster === null) bounded.delete(service);
      else bounded.add(service);
    },
    adopt() {
      for (const row of byAge(table.rows.values())) attribute(row);
      for (const service of services.values()) leadFound(service);
    },
    candidatesByName() {
      const foreign = [...table.rows.values()].filter(isForeign).map(({ pid }) => pid);
      const excluded = new Set([self, ...owners.keys(), ...helpers, ...ancestorsOf(self), ...foreign]);
      const found = new Map<string, ProcessRow[]>();
      for (const service of services.values()) {
        if (service.leader !== null || service.members.size > 0) continue;
        const rows = nameCandidates(table.rows.values(), service.fits.stranger, excluded).filter(
          (row) => !isDead(row),
        );
        if (rows.length > 0) found.set(service.name, rows);
      }
      return found;
    },
    adoptByName(command, row) {
      const service = services.get(command)!;
      joinWithBelow(row, service);
      lead(service, row, 'name');
    },
    leaders() {
      const found: Record<string, Leader> = {};
      for (const { name, leader } of services.values()) {
        if (leader === null) continue;
        const { session: _, ...known } = leader;
        found[name] = known;
      }
      return found;
    },
    forgotten: () =>
      [...table.rows.values()]
        .filter((row) => tags?.isForgotten(row.locks) && row.pid !== self)
        .map(({ pid }) => pid),
    launched(command, { pid, startTicks }) {
      const service = services.get(command)!;
      const listed = table.rows.get(pid);
      const row = listed?.startTicks === startTicks ? listed : launcherRow(pid, startTicks, self);
      join(row, service, tags === null ? 'ancestry' : 'tag');
      lead(service, { ...row, session: pid }, 'launcher');
      service.launchTicks = startTicks;
      service.named = null;
      service.fallen = [];
      service.startingUntil = now() + options.startTimeout;
      service.counting = null;
      service.told = null;
    },
    appoint(command, pid) {
      const service = services.get(command);
      if (service === undefined || (service.leader === null && now() >= service.awaitsUntil)) return null;
      if (service.leader?.pid === pid) {
        service.named = null;
        return null;
      }
      const known = owners.get(pid);
      if (known === undefined || !isAlive(known)) {
        const row = table.refresh(pid) ?? table.refresh(pid);
        if (row === null || row === 'unknown' || isDead(row)) return 'there is no such process';
        attribute(row);
      }
      const member = owners.get(pid);
      if (member?.command !== command || !isService(member)) return 'that is none of its processes';
      if (!service.fits.mayLead(member.row)) return 'by match it may not lead';
      service.named = member;
      return null;
    },
    helper(pid, alive) {
      if (alive) helpers.add(pid);
      else helpers.delete(pid);
    },
    dying(pid) {
      // Of use as long as somebody may have to take over from a launcher.
      if (owners.has(pid) || ![...services.values()].some(isStarting)) return;
      const row = table.refresh(pid);
      if (row !== null && row !== 'unknown') attribute(row);
    },
    exited(pid, exit) {
      const member = owners.get(pid);
      if (member === undefined) return false;
      // Where it was not listed yet, a list that is being read may be about to.
      const listed = table.rows.get(pid);
      if (listed === undefined || listed.startTicks === member.row.startTicks) table.ended(pid);
      const service = services.get(member.command)!;
      if (service.leader?.pid === pid) {
        service.ended = exit;
        service.endedAt = now();
        service.changes++;
      } else {
        if (exit.signal !== null && isService(member) && isStarting(service))
          service.fallen.push({ row: member.row, exit });
        leave(pid);
      }
      return service.ended !== null || service.counting !== null;
    },
    digest,
    changes: (command) => services.get(command)?.changes ?? 0,
    membersOf: (command) =>
      [...(services.get(command)?.members.values() ?? [])].filter(isService).map(({ row }) => idOf(row)),
    targets(command, scope) {
      const service = services.get(command);
      if (service === undefined) return [];
      return living(service)
        .filter((member) => {
          if (scope === 'everything') return true;
          return scope === 'tagged' ? isService(member) : isWorker(service, member);
        })
        .map(({ row }) => row);
    },
    count(command, scope) {
      const service = services.get(command)!;
      service.counting = scope;
      service.endSeen = false;
      service.emptySeen = false;
      service.countingSince = now();
      service.told = null;
    },
    strangers() {
      const found: number[] = [];
      for (const { leader } of services.values()) {
        if (leader !== null && leader.rule !== 'launcher' && mustBeLookedAt(leader)) found.push(leader.pid);
      }
      return found;
    },
    isMember: (pid) => owners.has(pid),
    ledBy(pid) {
      const member = owners.get(pid);
      return member !== undefined && services.get(member.command)!.leader?.pid === pid
        ? member.command
        : null;
    },
    commandOf,
    evidenceOf(command) {
      const service = services.get(command);
      if (service === undefined) return [];
      const above = new Set(ancestorsOf(self));
      const rows = [...table.rows.values(), ...unlistedOf(service.members)];
      return byAge(rows).flatMap(({ pid }): Evidence[] => {
        const row = table.refresh(pid);
        if (row === null || row === 'unknown') return [];
        const owner = owners.get(pid);
        if (owner?.command === command) {
          const verdict = service.leader?.pid === pid ? 'leader' : 'member';
          return [{ row, verdict, because: whyMember(service, owner, row) }];
        }
        const because = row.argv.length > 0 && service.fits.own(row) ? whyRefused(service, row, above) : null;
        return because === null ? [] : [{ row, verdict: 'refused', because }];
      });
    },
    standings() {
      const above = new Set(ancestorsOf(self));
      const strangers = table.rows.size - owners.size;
      const all = strangers * services.size <= MOST_COMPARED ? [...services.values()] : [];
      return byAge([...table.rows.values(), ...unlistedOf(owners)]).map((row): Standing => {
        const owner = owners.get(row.pid);
        if (owner !== undefined) {
          const service = services.get(owner.command)!;
          const verdict = service.leader?.pid === row.pid ? 'leader' : 'member';
          return { row, command: service.name, verdict, because: whyMember(service, owner, row) };
        }
        const service = row.argv.length > 0 ? all.find(({ fits }) => fits.own(row)) : undefined;
        const because = service === undefined ? null : whyRefused(service, row, above);
        if (because === null) return { row, command: null, verdict: null, because };
        return { row, command: service!.name, verdict: 'refused', because };
      });
    },
    isUnsure: () =>
      [...services.values()].some(
        ({ hasty, leader, counting, endSeen, emptySeen }) =>
          hasty || (counting !== null && ((leader !== null && endSeen) || emptySeen)),
      ),
    isAttentive: () =>
      [...services.values()].some(
        (service) => service.counting !== null || service.blind || now() < service.awaitsUntil,
      ),
  };

  /** A launcher may not have been listed yet. */
  function unlistedOf(members: ReadonlyMap<number, Member>): ProcessRow[] {
    return [...members.values()].map(({ row }) => row).filter(({ pid }) => !table.rows.has(pid));
  }

  function whyMember({ leader, deadSession }: Service, { via }: Member, row: ProcessRow): string {
    if (isDead(row)) return 'a zombie: it has ended, and its parent has not asked how';
    const how = OWNED_BY[via];
    if (leader?.pid === row.pid) return `${how}; ${LEADS_BY[leader.rule]}`;
    if (via === 'descent') return how;
    if (leader?.rule === 'launcher') return `${how}; the launcher is there, and leads as long as it stays`;
    if (leader !== null) return `${how}; the leader is another one`;
    return `${how}; ${row.session === deadSession ? 'a worker of the leader that died' : 'nobody leads'}`;
  }

  /** Why somebody of the command's name is not the command's; null: there is no reason to speak of it. */
  function whyRefused({ leader, name }: Service, row: ProcessRow, above: ReadonlySet<number>): string | null {
    const owner = owners.get(row.pid);
    if (row.pid === self || above.has(row.pid)) return null;
    if (helpers.has(row.pid)) return 'only its name fits: it is a helper (a probe, a stop command)';
    if (owner !== undefined)
      return `only its name fits: it belongs to ${owner.command}, ${OWNED_BY[owner.via]}`;
    if (isForeign(row)) return 'only its name fits: it carries the tag of another upkeep';
    return leader === null
      ? `only its name fits: upkeep did not start it, and adopts by name at its own start alone`
      : `only its name fits: ${name} has a leader that is known by more`;
  }

  function ancestorsOf(pid: number): number[] {
    const found: number[] = [];
    for (let row = table.rows.get(pid); row !== undefined; row = table.rows.get(row.ppid)) {
      if (found.includes(row.ppid)) break;
      found.push(row.ppid);
    }
    return found;
  }
}

const OWNED_BY: Readonly<Record<Via, string>> = {
  tag: "it carries the command's tag",
  ancestry: 'it descends from what upkeep started',
  name: 'its name fits',
  descent: 'a session that the service opened (a login, a job of cron): no part of the service',
};

const LEADS_BY: Readonly<Record<Leader['rule'], string>> = {
  launcher: 'upkeep started it, and it stayed',
  tag: 'it outlived its launcher, and its name fits best or it is the oldest',
  ancestry: 'it outlived its launcher',
  name: 'nothing better is known',
  notify: 'the service has said so itself (MAINPID)',
};

function musterFor({ match }: Kin): Muster | null {
  const count = match?.count ?? null;
  if (count === null) return null;
  const [least, most] = count;
  return { least, most, at: 0, changes: -1, complete: false, shortSince: 0, crowded: false };
}

const idOf = ({ pid, startTicks }: ProcessId): ProcessId => ({ pid, startTicks });

/** Parents before their children: the older one first, by pid where both began in the same tick. */
function byAge(rows: Iterable<ProcessRow>): ProcessRow[] {
  return [...rows].sort((a, b) => a.startTicks - b.startTicks || a.pid - b.pid);
}

/**
 * The session that a process was in when it died. It may have made its own after it was read: then that has its number, which
 * nobody else is given while anybody is in it.
 */
function sessionOf(pid: number, read: number, survivors: readonly Member[]): number {
  return survivors.some(({ row }) => row.session === pid) ? pid : read;
}

function inScope(remains: Remains, scope: SignalScope): number {
  if (scope === 'workers') return remains.workers;
  return remains.tagged + (scope === 'everything' ? remains.sessions : 0);
}

function sameRemains(a: Remains, b: Remains): boolean {
  return a.workers === b.workers && a.tagged === b.tagged && a.sessions === b.sessions;
}

/** A launcher that no scan has listed yet. */
function launcherRow(pid: number, startTicks: number, self: number): ProcessRow {
  return { pid, ppid: self, startTicks, state: 'R', session: pid, comm: '', argv: [], locks: null };
}
