/** One episode: a world, its services, faults for a while, calm, and a stop; watched all the time. */
import { accountOf } from './account.ts';
import { Askers } from './askers.ts';
import { FairClock } from './fair-clock.ts';
import type { Kind, Scene, Setup } from './faults.ts';
import { Invariants, isAlive, type Seen, type Told, type Violation } from './invariants.ts';
import type { CommandPlan, EpisodePlan } from './plan.ts';
import { createRandom, seedOf } from './random.ts';
import { keepRecording, replayed } from './recorded.ts';
import { LOOPBACK, pause, type UpkeepOptions, World } from './world.ts';

export interface Outcome {
  readonly plan: {
    /** What `--episode` takes. */
    readonly label: string;
    readonly special: string | null;
    readonly asInit: boolean;
    readonly interval: number;
    readonly commands: { readonly length: number };
  };
  readonly faults: ReadonlyMap<string, number>;
  readonly checks: ReadonlyMap<string, number>;
  readonly longest: ReadonlyMap<string, number>;
  /** Upkeep's size: seconds since the episode began, KiB, open files. */
  readonly curve: readonly (readonly [number, number, number])[];
  readonly violations: readonly Violation[];
  /** What is needed to understand the violations; empty where there is none. */
  readonly account: string;
  /** Where upkeep's recording of a violation is; null: there is none. */
  readonly recording: string | null;
}

/** ms between two looks. */
const LOOK = 40;
/** The grace that upkeep is given for its end, ms: its default. */
const GRACE = 9_000;
const BOUNDS = { atOnce: 3_000, zombie: 1_000 + 2 * LOOK, memory: 300 * 1_024 };
const STOP = GRACE + BOUNDS.atOnce;
/** Faults that go on while everything is stopped. */
const IN_A_STOP = new Set([
  'leader-kill',
  'leader-stop',
  'worker-kill',
  'worker-stop',
  'launcher-kill',
  'orphans',
  'sigchld',
]);
/** A service that died more often in a row is mostly left alone: it rests for long. */
const OFTEN = 5;
/** Longer than upkeep needs to forget failures, ms. */
const FORGOTTEN = 14_000;
/** After so long, fair ms, upkeep is taken to know a leader even where it does not say so. */
const KNOWN = 3_000;
/** Fair ms until everything is up when no more faults are made: the longest wait, and the slowest start. */
const CALM = 60_000 + 12_000 + 10_000;

/** @param asking kinds of who asks upkeep: see askers.ts */
export async function runEpisode(
  plan: EpisodePlan,
  kinds: readonly Kind[],
  asking: readonly string[],
  stopAsked: () => boolean,
): Promise<Outcome> {
  const special = kinds.find(({ name }) => name === plan.special) ?? null;
  const episode = new Episode(plan, kinds, asking, special, stopAsked);
  return episode.run();
}

class Episode {
  readonly #plan: EpisodePlan;
  readonly #kinds: readonly Kind[];
  readonly #special: Kind | null;
  readonly #stopAsked: () => boolean;
  readonly #random;
  readonly #invariants: Invariants;
  #world: World;
  readonly #setup: Setup = {
    unshare: [],
    prefix: [],
    env: {},
    user: null,
    without: [],
    isVague: false,
    made: 0,
  };
  readonly #asking: readonly string[];
  #askers: Askers | null = null;
  #upkeepOptions: UpkeepOptions | null = null;
  readonly #faults = new Map<string, number>();
  readonly #recent: string[] = [];
  readonly #violations: Violation[] = [];
  readonly #curve: [number, number, number][] = [];
  readonly #hurt = new Map<string, { count: number; at: number }>();
  /** Whom upkeep calls the leader of a command, and since when, fair ms, a master has been there. */
  readonly #leaders = new Map<string, number>();
  readonly #firstSeen = new Map<string, number>();
  readonly #undo = new Set<{ due: number; undo: () => void }>();
  /** Connections that clients may hold, by how many groups of clients, and until when, fair ms, upkeep may know of them. */
  readonly #held = { count: 0, groups: 0, until: 0 };
  readonly #begun = performance.now();
  #account = '';
  #recording: string | null = null;
  readonly #clock = new FairClock();
  #sizedAt = 0;
  #processes: Seen[] = [];
  #impaired = 0;
  #deaf = 0;
  #deafUntil = 0;
  /** Exit codes that are right now; null: upkeep is to live. */
  #expected: readonly (number | string)[] | null = null;
  #ended = false;
  #stopping = false;
  /** A crash that is under way or being watched. */
  #crash: {
    masters: Map<string, Seen>;
    startAt: number;
    started: boolean;
    checkAt: number;
    running: Map<string, Told>;
    launched: Set<string>;
  } | null = null;

  constructor(
    plan: EpisodePlan,
    kinds: readonly Kind[],
    asking: readonly string[],
    special: Kind | null,
    stopAsked: () => boolean,
  ) {
    this.#plan = plan;
    this.#kinds = kinds;
    this.#asking = asking;
    this.#special = special;
    this.#stopAsked = stopAsked;
    this.#random = createRandom(seedOf(plan.seed, 1));
    this.#invariants = new Invariants(plan.commands, {
      ...BOUNDS,
      interval: plan.interval,
      files: 60 + 6 * plan.commands.length,
    });
    this.#world = new World({ asInit: plan.asInit, unshare: this.#setup.unshare });
  }

  async run(): Promise<Outcome> {
    try {
      if (this.#special?.name === 'startup-term') {
        await this.#startAndStop();
      } else {
        await this.#begin(this.#plan.commands);
        this.#special?.begin?.(this.#scene());
        await this.#makeFaults();
        await this.#calm();
        await this.#stop();
      }
    } catch (error) {
      this.#violate([
        { invariant: 'upkeep lives', what: `the episode could not be had: ${(error as Error).stack}` },
      ]);
    } finally {
      await this.#world.close(() => this.#replay());
      this.#special?.end?.(this.#plan.index);
      this.#noMoreAskers();
    }
    return {
      plan: { ...this.#plan, label: String(this.#plan.index) },
      faults: this.#faults,
      checks: this.#invariants.checks,
      longest: this.#invariants.longest,
      curve: this.#curve,
      violations: this.#violations,
      account: this.#account,
      recording: this.#recording,
    };
  }

  #replay(): void {
    const { recording } = this.#world;
    this.#violate(replayed(recording, this.#invariants.checks));
    if (this.#failed()) {
      this.#recording = keepRecording(
        recording,
        `upkeep-chaos-${this.#plan.seed}-${this.#plan.index}.record`,
      );
    }
  }

  /** Starts upkeep in its world. */
  async #begin(commands: readonly CommandPlan[]): Promise<void> {
    const { dir } = this.#world;
    this.#special?.prepare?.(this.#setup, this.#random, this.#plan.index, dir);
    for (let made = 0; made < this.#setup.made; made++) this.#count(this.#special!.name, 1);
    for (const { name, script } of commands) {
      if (script === null) continue;
      const text = `#!/bin/sh\ncase $1 in start) exec ${script.replaceAll('{dir}', dir)} ;; esac\n`;
      this.#world.write(`init.d/${name}`, text);
    }
    this.#world.write('nginx.conf', NGINX);
    this.#world.user = this.#setup.user;
    this.#noMoreAskers();
    this.#askers = this.#setup.isVague ? null : this.#askersFor(commands);
    const asked = this.#askers?.args ?? [];
    this.#upkeepOptions = {
      args: ['--interval', `${this.#plan.interval}ms`, ...asked],
      commands: commands.map(({ command }) => command.replaceAll('{dir}', dir)),
      env: this.#setup.env,
      prefix: [...(asked.length > 0 ? LOOPBACK : []), ...this.#setup.prefix],
      ...(this.#setup.stdout === undefined ? {} : { stdout: this.#setup.stdout }),
    };
    await this.#world.start(this.#upkeepOptions);
    this.#clock.follow(this.#world.life!);
  }

  #askersFor(commands: readonly CommandPlan[]): Askers {
    const { interval, operators, http, seed, special } = this.#plan;
    return new Askers({
      names: commands.map(({ name }) => name),
      before: () => [],
      interval,
      atOnce: BOUNDS.atOnce,
      rate: special === 'startup-term' ? 0 : operators,
      http,
      kinds: this.#asking,
      exact: true,
      seed,
      count: (kind, made) => this.#count(kind, made),
    });
  }

  #noMoreAskers(): void {
    this.#askers?.close();
    for (const checks of this.#askers?.checks ?? [])
      for (const [what, count] of checks)
        this.#invariants.checks.set(what, (this.#invariants.checks.get(what) ?? 0) + count);
    this.#askers = null;
  }

  /** Short lives, one after the other, each of them asked to end somewhere in its start. */
  async #startAndStop(): Promise<void> {
    while (performance.now() - this.#begun < this.#plan.length && !this.#failed() && !this.#stopAsked()) {
      const commands = this.#random.shuffled(this.#plan.commands).slice(0, this.#random.whole(2, 6));
      const delay = this.#random.between(0, 1_500);
      this.#invariants.restarted();
      this.#ended = false;
      this.#stopping = false;
      this.#expected = null;
      await this.#begin(commands);
      const due = performance.now() + delay;
      while (performance.now() < due && !this.#failed()) {
        this.#watch();
        await pause(Math.min(LOOK, Math.max(0, due - performance.now())));
      }
      if (this.#failed()) return;
      this.#count('startup-term', 1);
      await this.#stop();
      if (this.#failed()) return;
      await this.#world.close(() => this.#replay());
      this.#world = new World({ asInit: this.#random.chance(0.5) });
    }
  }

  #failed(): boolean {
    return this.#violations.length > 0;
  }

  async #makeFaults(): Promise<void> {
    const { length, rate } = this.#plan;
    const usable = this.#kinds.filter(
      ({ name, special, weight }) =>
        weight > 0 && (!special || name === this.#special?.name) && !this.#setup.without.includes(name),
    );
    let next = performance.now();
    while (performance.now() - this.#begun < length && !this.#failed() && !this.#stopAsked()) {
      this.#watch();
      // What has been missed in a stall is not made up for in one go.
      next = Math.max(next, performance.now() - 500);
      while (next <= performance.now()) {
        next += (-Math.log(1 - this.#random.next()) * 1_000) / rate;
        this.#hit(usable);
      }
      // Which upkeep would take an order nobody could tell, and one that just begins dies of what a Node bears.
      if (this.#crash === null && this.#world.hearsTerm()) this.#askers?.order(this.#world, []);
      await pause(LOOK);
    }
  }

  /** Makes one fault. */
  #hit(kinds: readonly Kind[]): void {
    if (kinds.length === 0 || this.#world.upkeepPid() === null) return;
    const kind = this.#random.weighted(kinds.map((one) => [one, one.weight] as const));
    // Nobody promises that a Node which begins bears it.
    if (kind.special && !this.#world.hearsTerm()) return;
    this.#count(kind.name, kind.inject(this.#scene()));
  }

  /** No more faults: everything has to come up. */
  async #calm(): Promise<void> {
    for (const { undo } of this.#undo) undo();
    this.#undo.clear();
    const since = this.#clock.now;
    while (!this.#failed()) {
      this.#watch();
      const missing = this.#invariants.missing(this.#processes);
      const settled =
        missing.length === 0 &&
        this.#crash === null &&
        this.#deaf === 0 &&
        performance.now() > this.#deafUntil;
      // Without its events nobody can tell how long it has to wait.
      if (settled || this.#stopAsked() || (missing.length === 0 && this.#deaf > 0)) break;
      if (this.#clock.now - since > CALM) {
        this.#violate([
          {
            invariant: 'up again in time',
            what: `without any more faults, ${missing.join(', ')} did not come up in ${CALM} fair ms`,
          },
        ]);
      }
      await pause(LOOK);
    }
  }

  async #stop(): Promise<void> {
    if (this.#failed()) return;
    const since = this.#clock.now;
    const { life } = this.#world;
    // Before it listens it can't hear: an init ignores the signal then, and anybody else dies of it.
    const listens = this.#world.hearsTerm();
    this.#expected = listens || this.#world.asInit ? [0] : [0, 'SIGTERM'];
    const shutdown = listens ? (this.#askers?.shutdown(this.#world) ?? null) : null;
    if (shutdown === null) this.#world.signal('SIGTERM');
    void shutdown?.then((code) => {
      // Among many clients it may have been hung up on.
      if (code !== 0 && !this.#stopping) this.#world.signal('SIGTERM');
    });
    let askedAt = this.#clock.now;
    const goesOn = this.#random.chance(0.5);
    while (life!.over() === null && !this.#failed()) {
      await pause(LOOK);
      this.#watch();
      if (!listens && !this.#stopping && this.#clock.now - askedAt > 500 && this.#world.signal('SIGTERM'))
        askedAt = this.#clock.now;
      if (goesOn) this.#hit(this.#kinds.filter(({ name }) => IN_A_STOP.has(name)));
      if (this.#clock.now - since > STOP)
        this.#violate(this.#invariants.stopTook(this.#clock.now - since, STOP));
    }
    if (this.#failed()) return;
    // Its last events may still be on their way.
    await pause(LOOK);
    this.#watch();
    this.#violate(this.#invariants.stopTook(this.#clock.now - since, STOP));
    if (!this.#world.asInit) this.#violate(this.#invariants.afterwards(this.#world.processes(null)));
  }

  /** One look, and all that has been told since the last. */
  #watch(): void {
    const now = performance.now();
    const { life } = this.#world;
    if (life === null) return;
    const upkeep = this.#world.upkeepPid();
    const processes = this.#world.processes(upkeep);
    const self = processes.find(({ pid }) => pid === upkeep);
    this.#clock.tick(life, processes, upkeep);
    this.#processes = processes;
    if (self?.state === 'T' && this.#undo.size === 0) this.#world.goOn();

    for (const { pid, startTicks, role } of processes) {
      const identity = `${pid} ${startTicks}`;
      if (role === 'master' && !this.#firstSeen.has(identity)) this.#firstSeen.set(identity, this.#clock.now);
    }
    for (const event of life.events.splice(0)) {
      if (event.event === 'command.running') this.#leaders.set(event.command, event.leader.pid);
      this.#violate(this.#askers?.told(event) ?? []);
      this.#violate(this.#invariants.told(event));
      if (event.event === 'supervisor.stopping') this.#stopping = true;
      if (this.#crash?.started) {
        if (event.event === 'command.running' && !this.#crash.running.has(event.command))
          this.#crash.running.set(event.command, event);
        if (event.event === 'command.launched') this.#crash.launched.add(event.command);
      }
    }
    const look = {
      fair: this.#clock.now,
      processes,
      upkeep: self === undefined ? null : upkeep,
      impaired: this.#impaired > 0,
      logged: this.#deaf === 0 && now > this.#deafUntil,
    };
    this.#violate(this.#invariants.look(look));
    this.#violate(this.#askers?.look(look) ?? []);
    if (this.#expected === null && upkeep !== null) {
      const excused = this.#impaired > 0 || self?.state === 'T' || this.#crash !== null;
      this.#violate(this.#askers?.tick(this.#world, this.#clock.now, excused) ?? []);
    }
    if (now - this.#sizedAt > 1_000 && upkeep !== null) {
      this.#sizedAt = now;
      const size = this.#world.size();
      if (size !== null) {
        this.#curve.push([Math.round((now - this.#begun) / 1_000), size.kib, size.files]);
        if (this.#held.groups === 0 && this.#clock.now > this.#held.until) this.#held.count = 0;
        const held = this.#held.count;
        this.#violate(this.#invariants.size(size.kib, size.files, held));
      }
    }
    for (const line of this.#world.heard.splice(0)) {
      const [what, pid, signal] = line.split(' ');
      if (what === 'harmed') this.#violate(this.#invariants.harmed(Number(pid), Number(signal)));
      if (what === 'reuse') this.#invariants.watchedStrangers(3);
      if (line === 'over') {
        this.#held.groups--;
        this.#held.until = this.#clock.now + BOUNDS.atOnce;
      }
      if (line === 'reuse yes') this.#count('(of these, pids that were used again)', 1);
    }
    for (const entry of this.#undo) {
      if (entry.due > now) continue;
      this.#undo.delete(entry);
      entry.undo();
    }
    if (life.over() !== null && !this.#ended && this.#crash === null) {
      this.#ended = true;
      this.#violate(this.#invariants.ended(life.over(), this.#expected));
    }
    this.#afterCrash(now);
  }

  #afterCrash(now: number): void {
    const crash = this.#crash;
    if (crash === null) return;
    if (!crash.started && now > crash.startAt && this.#world.life!.over() !== null) {
      crash.started = true;
      this.#invariants.restarted();
      this.#askers?.restarted();
      const starting = this.#world.start(this.#upkeepOptions!);
      starting.then(
        () => {
          this.#clock.follow(this.#world.life!);
          crash.checkAt = this.#clock.now + BOUNDS.atOnce;
        },
        (error) =>
          this.#violate([
            { invariant: 'upkeep lives', what: `it could not be started again: ${(error as Error).message}` },
          ]),
      );
    }
    if (this.#clock.now < crash.checkAt) return;
    const alive = new Map<string, number>();
    for (const [command, before] of crash.masters) {
      if (
        this.#processes.some(
          (process) =>
            process.pid === before.pid && process.startTicks === before.startTicks && isAlive(process),
        )
      )
        alive.set(command, before.pid);
    }
    this.#violate(this.#invariants.adopted(alive, crash.running, crash.launched));
    this.#crash = null;
  }

  #scene(): Scene {
    const { index } = this.#plan;
    return {
      world: this.#world,
      random: this.#random,
      index,
      processes: this.#processes,
      upkeep: this.#world.upkeepPid(),
      leader: (early = false) => this.#leader(early),
      later: (ms, undo) => void this.#undo.add({ due: performance.now() + ms, undo }),
      impaired: this.#impaired > 0,
      impair: () => {
        this.#impaired++;
        return () => setTimeout(() => this.#impaired--, 1_000);
      },
      deafen: () => {
        this.#deaf++;
        return () => {
          this.#deaf--;
          this.#deafUntil = performance.now() + 1_000;
        };
      },
      hold: (count) => {
        this.#held.count += count;
        this.#held.groups++;
      },
      crash: (ms) => this.#beginCrash(ms),
    };
  }

  #beginCrash(ms: number): boolean {
    if (this.#crash !== null) return false;
    const masters = new Map<string, Seen>();
    for (const process of this.#processes) {
      if (process.role === 'master' && process.command !== null && isAlive(process))
        masters.set(process.command, process);
    }
    if (!this.#world.signal('SIGKILL')) return false;
    this.#crash = {
      masters,
      startAt: performance.now() + ms,
      started: false,
      checkAt: Number.POSITIVE_INFINITY,
      running: new Map(),
      launched: new Set(),
    };
    return true;
  }

  /** A leader that may be hurt. @param early one that upkeep does not know yet, instead of one that it knows */
  #leader(early: boolean): Seen | null {
    const now = performance.now();
    const tired = (command: string): boolean => {
      const hurt = this.#hurt.get(command);
      return hurt !== undefined && hurt.count >= OFTEN && now - hurt.at < FORGOTTEN;
    };
    const known = (process: Seen): boolean =>
      this.#leaders.get(process.command!) === process.pid ||
      this.#leaders.get(process.command!) === process.ppid ||
      this.#clock.now - (this.#firstSeen.get(`${process.pid} ${process.startTicks}`) ?? this.#clock.now) >
        KNOWN;
    const masters = this.#processes.filter(
      (process) =>
        process.role === 'master' &&
        process.command !== null &&
        isAlive(process) &&
        process.state !== 'T' &&
        known(process) !== early,
    );
    const fresh = this.#random.chance(0.02) ? masters : masters.filter(({ command }) => !tired(command!));
    if (fresh.length === 0) return null;
    const victim = this.#random.pick(fresh);
    const hurt = this.#hurt.get(victim.command!);
    this.#hurt.set(victim.command!, {
      at: now,
      count: hurt !== undefined && now - hurt.at < FORGOTTEN ? hurt.count + 1 : 1,
    });
    return victim;
  }

  #count(kind: string, faults: number): void {
    if (faults === 0) return;
    this.#faults.set(kind, (this.#faults.get(kind) ?? 0) + faults);
    this.#recent.push(`${((performance.now() - this.#begun) / 1_000).toFixed(2)} s ${kind}`);
    if (this.#recent.length > 30) this.#recent.shift();
  }

  #violate(found: readonly Violation[]): void {
    if (found.length === 0) return;
    this.#violations.push(...found);
    if (this.#account !== '') return;
    const { life } = this.#world;
    const concerned = this.#plan.commands
      .map(({ name }) => name)
      .filter((name) => found.some(({ what }) => what.includes(name)));
    this.#account = accountOf({
      seconds: (performance.now() - this.#begun) / 1_000,
      fair: this.#clock.now,
      given: `commands:\n${this.#plan.commands.map(({ command }) => `  ${command}`).join('\n')}`,
      recent: this.#recent,
      orders: this.#askers?.operators.account ?? [],
      concerned,
      life,
      processes: this.#processes,
    });
  }
}

const NGINX = `worker_processes 3;
pid nginx.pid;
error_log stderr;
events {}
http { access_log off; server { listen 7999; location / { return 200; } } }
`;
