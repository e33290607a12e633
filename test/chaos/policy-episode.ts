/** An episode of lives of upkeep, each from a policy file that changes while faults are made. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { accountOf } from './account.ts';
import { Askers } from './askers.ts';
import type { Outcome } from './episode.ts';
import { FairClock } from './fair-clock.ts';
import type { Kind } from './faults.ts';
import { Invariants, isAlive, type Seen, type Told, type Violation } from './invariants.ts';
import { ORDINARY, POLICY_KINDS, type PolicyKind, type PolicyScene } from './policy-faults.ts';
import { PolicyInvariants } from './policy-invariants.ts';
import {
  changed,
  damaged,
  type LifePlan,
  type PolicyEpisodePlan,
  type PolicyFile,
  relationsOf,
  textOf,
} from './policy-plan.ts';
import { createRandom, type Random, seedOf } from './random.ts';
import { keepRecording, replayed } from './recorded.ts';
import { quietly } from './table.ts';
import { LOOPBACK, pause, World } from './world.ts';

/** ms between two looks. */
const LOOK = 40;
const BOUNDS = { atOnce: 3_000, zombie: 1_000 + 2 * LOOK, memory: 300 * 1_024 };
/** Fair ms until everything is as it should be when no more faults are made. */
const CALM = 40_000;
/** How long, fair ms, it has to stay so. */
const STEADY = 500;
/** A service that died more often in a row is mostly left alone for a while, ms. */
const OFTEN = 4;
const FORGOTTEN = 8_000;
/** Fair ms that what is not named any more may live: the grace that it is given, and a second. */
const UNNAMED = 10_000;
/** @param asking kinds of who asks upkeep: see askers.ts */
export async function runPolicyEpisode(
  plan: PolicyEpisodePlan,
  kinds: readonly (Kind | PolicyKind)[],
  asking: readonly string[],
  stopAsked: () => boolean,
): Promise<Outcome> {
  const sum: Results = {
    faults: new Map(),
    checks: new Map(),
    longest: new Map(),
    curve: [],
    violations: [],
    account: '',
    recording: null,
    begun: performance.now(),
  };
  const weighted = kinds
    .filter((kind) => !('special' in kind) && kind.weight > 0)
    .map((kind) => [kind, ORDINARY[kind.name] ?? kind.weight] as const);
  for (const [index, life] of plan.lives.entries()) {
    if (sum.violations.length > 0 || stopAsked()) break;
    await new PolicyLife(plan, life, index, weighted, asking, sum, stopAsked).run();
  }
  const { violations, account, recording, curve, faults, checks, longest } = sum;
  return {
    plan: {
      label: `p${plan.index}`,
      special: 'policy',
      asInit: plan.lives.at(-1)!.asInit,
      interval: plan.interval,
      commands: Object.keys(plan.lives.at(-1)!.file.commands),
    },
    faults,
    checks,
    longest,
    curve,
    violations,
    account,
    recording,
  };
}

interface Results {
  readonly faults: Map<string, number>;
  readonly checks: Map<string, number>;
  readonly longest: Map<string, number>;
  readonly curve: [number, number, number][];
  readonly violations: Violation[];
  account: string;
  recording: string | null;
  readonly begun: number;
}

type Weighted = readonly (readonly [Kind | PolicyKind, number])[];

class PolicyLife {
  readonly #plan: PolicyEpisodePlan;
  readonly #life: LifePlan;
  readonly #kinds: Weighted;
  readonly #sum: Results;
  readonly #stopAsked: () => boolean;
  readonly #random: Random;
  readonly #world: World;
  readonly #clock = new FairClock();
  readonly #general: Invariants;
  readonly #policy: PolicyInvariants;
  readonly #askers: Askers;
  readonly #recent: string[] = [];
  readonly #undo = new Set<{ due: number; undo: () => void }>();
  readonly #hurt = new Map<string, { count: number; at: number }>();
  /** Whom upkeep calls the leader of a command. */
  readonly #leaders = new Map<string, number>();
  readonly #seen = new Set<string>();
  readonly #begun = performance.now();
  #file: PolicyFile;
  #text: string;
  #commandsMade: number;
  /** Of what was written. */
  #version = 0;
  #processes: Seen[] = [];
  #sizedAt = 0;
  #expected: readonly (number | string)[] | null = null;
  #ended = false;
  #started = false;
  /** Something was told of a command: the process table has been read. */
  #hasLooked = false;
  #stopping = false;

  constructor(
    plan: PolicyEpisodePlan,
    life: LifePlan,
    index: number,
    kinds: Weighted,
    asking: readonly string[],
    sum: Results,
    stopAsked: () => boolean,
  ) {
    this.#plan = plan;
    this.#life = life;
    this.#kinds = kinds;
    this.#sum = sum;
    this.#stopAsked = stopAsked;
    this.#random = createRandom(seedOf(plan.seed, 1 + index));
    this.#world = new World({ asInit: life.asInit });
    this.#file = life.file;
    this.#text = textOf(life.file);
    this.#commandsMade = Object.keys(life.file.commands).length;
    // Its commands are not watched by these rules.
    this.#general = new Invariants([], { ...BOUNDS, interval: plan.interval, files: 400 });
    this.#askers = new Askers({
      names: Object.keys(life.file.commands),
      before: (name) => this.#before(name),
      interval: plan.interval,
      atOnce: BOUNDS.atOnce,
      rate: life.operators,
      http: life.http,
      kinds: asking,
      exact: false,
      seed: seedOf(plan.seed, 1 + index),
      count: (kind, made) => this.#count(kind, made),
    });
    this.#policy = new PolicyInvariants(
      life.file,
      { unnamed: UNNAMED, atOnce: BOUNDS.atOnce },
      this.#askers.wishes,
    );
  }

  async run(): Promise<void> {
    try {
      await this.#begin();
      await this.#makeFaults();
      if (this.#life.end === 'calm') await this.#calm();
      await this.#stop();
    } catch (error) {
      this.#violate([
        { invariant: 'upkeep lives', what: `the episode could not be had: ${(error as Error).stack}` },
      ]);
    } finally {
      await this.#world.close(() => this.#replay());
      this.#askers.close();
    }
    for (const checks of [this.#general.checks, this.#policy.checks, ...this.#askers.checks])
      for (const [what, count] of checks)
        this.#sum.checks.set(what, (this.#sum.checks.get(what) ?? 0) + count);
    for (const { longest } of [this.#general, this.#policy]) {
      for (const [what, value] of longest)
        this.#sum.longest.set(what, Math.max(this.#sum.longest.get(what) ?? 0, value));
    }
  }

  #replay(): void {
    const { recording } = this.#world;
    this.#violate(replayed(recording, this.#sum.checks));
    if (this.#failed) {
      this.#sum.recording = keepRecording(
        recording,
        `upkeep-chaos-${this.#plan.seed}-p${this.#plan.index}.record`,
      );
    }
  }

  /** Who is started before a command by the policy that upkeep follows. */
  #before(name: string): readonly string[] {
    const { file } = this.#policy;
    if (!(name in file.commands)) return [];
    const { requires, after } = relationsOf(file, name);
    return [...Object.keys(requires), ...after];
  }

  get #failed(): boolean {
    return this.#sum.violations.length > 0;
  }

  async #begin(): Promise<void> {
    const { dir } = this.#world;
    mkdirSync(join(dir, 'state'));
    for (const name of Object.keys(this.#file.commands)) this.#flag('well', name, '');
    this.#write(this.#text);
    await this.#world.start({
      args: [
        ...['--interval', `${this.#plan.interval}ms`, '--policy', join(dir, 'upkeep.yaml')],
        ...this.#askers.args,
      ],
      commands: [],
      prefix: LOOPBACK,
    });
    this.#clock.follow(this.#world.life!);
  }

  /** Another file in one go, as an editor does it. */
  #write(text: string): void {
    const path = join(this.#world.dir, 'upkeep.yaml');
    writeFileSync(`${path}.new`, text.replaceAll('{dir}', this.#world.dir));
    renameSync(`${path}.new`, path);
    this.#text = text;
    this.#version++;
  }

  #flag(flag: string, command: string, text: string | null): void {
    const path = join(this.#world.dir, 'state', `${flag}-${command}`);
    if (text === null) rmSync(path, { force: true });
    else writeFileSync(path, text);
  }

  async #makeFaults(): Promise<void> {
    const { end, length } = this.#life;
    let next = performance.now();
    // Ends that wait for something take it from a third of the time on.
    const due = performance.now() + length;
    const patient = performance.now() + length / 3;
    while (performance.now() < due && !this.#failed && !this.#stopAsked()) {
      const events = this.#watch();
      const awaited = end === 'waiting' ? 'command.waiting' : end === 'group' ? 'group.restarting' : null;
      if (performance.now() > patient && events.some(({ event }) => event === awaited)) return;
      next = Math.max(next, performance.now() - 500);
      while (next <= performance.now()) {
        next += (-Math.log(1 - this.#random.next()) * 1_000) / this.#plan.rate;
        this.#hit(this.#kinds);
      }
      if (this.#world.hearsTerm()) this.#askers.order(this.#world, Object.keys(this.#policy.file.groups));
      await pause(Math.min(LOOK, Math.max(0, due - performance.now())));
    }
    if (end !== 'reload' || this.#failed || !this.#started) return;
    for (const change of ['env', 'add', 'remove'] as const)
      if (this.#random.chance(0.5)) this.#change(change);
    if (this.#ask()) this.#count('reload and stop', 1);
    await pause(this.#random.between(0, 400));
  }

  #hit(kinds: Weighted): void {
    if (kinds.length === 0 || this.#world.upkeepPid() === null) return;
    const kind = this.#random.weighted(kinds);
    // Which of two files it reads at its start nobody could tell.
    if (POLICY_KINDS.includes(kind) && !this.#started) {
      if (kind.name.startsWith('reload') && this.#ask()) this.#count('reload before the start', 1);
      return;
    }
    this.#count(kind.name, kind.inject(this.#scene()));
  }

  async #calm(): Promise<void> {
    for (const { undo } of this.#undo) undo();
    this.#undo.clear();
    for (const name of Object.keys(this.#file.commands)) {
      for (const flag of ['sick', 'late', 'hang', 'fail']) this.#flag(flag, name, null);
      this.#flag('well', name, '');
    }
    const since = this.#clock.now;
    let steadySince: number | null = null;
    while (!this.#failed && !this.#stopAsked()) {
      this.#watch();
      const missing = this.#policy.missing(this.#processes);
      if (missing.length > 0) steadySince = null;
      else steadySince ??= this.#clock.now;
      if (steadySince !== null && this.#clock.now - steadySince > STEADY) break;
      if (this.#clock.now - since > CALM)
        this.#violate([
          {
            invariant: 'up again in time',
            what: `without any more faults, ${missing.join(', ')} did not come up in ${CALM} fair ms`,
          },
        ]);
      await pause(LOOK);
    }
  }

  async #stop(): Promise<void> {
    if (this.#failed) return;
    const most = Number.parseInt(this.#file.container.grace, 10) * 1_000 + BOUNDS.atOnce;
    const since = this.#clock.now;
    const { life } = this.#world;
    // Before it listens it can't hear: an init ignores the signal then, and anybody else dies of it.
    const listens = this.#world.hearsTerm();
    this.#expected = listens || this.#world.asInit ? [0] : [0, 'SIGTERM'];
    const shutdown = listens ? this.#askers.shutdown(this.#world) : null;
    if (shutdown === null) this.#world.signal('SIGTERM');
    void shutdown?.then((code) => {
      // Among many clients it may have been hung up on.
      if (code !== 0 && !this.#stopping) this.#world.signal('SIGTERM');
    });
    let askedAt = this.#clock.now;
    const goesOn = this.#random.chance(0.5);
    const hurries = listens && this.#random.chance(0.15) ? this.#random.between(0, 2_000) : null;
    let hurried = false;
    while (life!.over() === null && !this.#failed) {
      await pause(LOOK);
      this.#watch();
      if (!listens && !this.#stopping && this.#clock.now - askedAt > 500 && this.#world.signal('SIGTERM'))
        askedAt = this.#clock.now;
      if (hurries !== null && !hurried && this.#clock.now - since > hurries && this.#stopping) {
        hurried = true;
        this.#policy.hurried();
        // What is killed has a second, and may be without a CPU for longer.
        this.#expected = [0, 1];
        this.#world.signal('SIGTERM');
      }
      if (goesOn && this.#random.chance(0.3)) this.#hit(this.#kinds);
      if (this.#clock.now - since > most)
        this.#violate(this.#general.stopTook(this.#clock.now - since, most));
    }
    if (this.#failed) return;
    // Its last events may still be on their way.
    await pause(LOOK);
    this.#watch();
    this.#violate(this.#general.stopTook(this.#clock.now - since, most));
    if (!this.#world.asInit) {
      const left = this.#world.processes(null);
      this.#violate(this.#general.afterwards(left));
      const helpers = left.filter(({ role }) => role === 'probe' || role === 'stopper').filter(isAlive);
      if (helpers.length > 0)
        this.#violate([
          {
            invariant: 'no helper left over',
            what: `left behind: ${helpers.map(({ pid, comm }) => `${pid} (${comm})`).join(', ')}`,
          },
        ]);
    }
  }

  /** One look, and all that has been told since the last. */
  #watch(): readonly Told[] {
    const now = performance.now();
    const { life } = this.#world;
    if (life === null) return [];
    const upkeep = this.#world.upkeepPid();
    const processes = this.#world.processes(upkeep);
    const self = processes.find(({ pid }) => pid === upkeep);
    this.#clock.tick(life, processes, upkeep);
    this.#processes = processes;
    if (self?.state === 'T' && this.#undo.size === 0) this.#world.goOn();
    const look = { fair: this.#clock.now, processes, upkeep: self === undefined ? null : upkeep };
    this.#violate(this.#general.look({ ...look, impaired: false, logged: true }));
    this.#violate(this.#policy.look(look));
    this.#violate(this.#askers.look({ ...look, impaired: false, logged: true }));
    if (this.#expected === null && upkeep !== null)
      this.#violate(this.#askers.tick(this.#world, this.#clock.now, self?.state === 'T'));
    const events = life.events.splice(0);
    for (const event of events) {
      if (event.event === 'command.running') this.#leaders.set(event.command, event.leader.pid);
      if (event.event === 'upkeep.started') this.#started = true;
      if (typeof event.command === 'string') this.#hasLooked = true;
      if (event.event === 'supervisor.stopping') this.#stopping = true;
      this.#violate(this.#general.told(event));
      this.#violate(this.#askers.told(event));
      this.#violate(this.#policy.told(event));
    }
    if (now - this.#sizedAt > 1_000 && upkeep !== null) {
      this.#sizedAt = now;
      const size = this.#world.size();
      if (size !== null) {
        this.#sum.curve.push([Math.round((now - this.#sum.begun) / 1_000), size.kib, size.files]);
        this.#violate(this.#general.size(size.kib, size.files, 0));
      }
    }
    for (const line of this.#world.heard.splice(0)) {
      const [what, pid, signal] = line.split(' ');
      if (what === 'harmed') this.#violate(this.#general.harmed(Number(pid), Number(signal)));
      if (what === 'reuse') this.#general.watchedStrangers(3);
    }
    for (const entry of this.#undo) {
      if (entry.due > now) continue;
      this.#undo.delete(entry);
      entry.undo();
    }
    if (life.over() !== null && !this.#ended) {
      this.#ended = true;
      this.#violate(this.#general.ended(life.over(), this.#expected));
    }
    return events;
  }

  #scene(): PolicyScene {
    return {
      world: this.#world,
      random: this.#random,
      index: this.#plan.index,
      processes: this.#processes,
      upkeep: this.#world.upkeepPid(),
      leader: (early = false) => this.#leader(early),
      later: (ms, undo) => void this.#undo.add({ due: performance.now() + ms, undo }),
      impaired: false,
      impair: () => () => {},
      deafen: () => () => {},
      hold: () => {},
      crash: () => false,
      file: this.#file,
      flag: (flag, command, text) => this.#flag(flag, command, text),
      change: (change) => this.#change(change),
      damage: (damage) => this.#write(damaged(this.#random, this.#file, damage)),
      mend: () => this.#write(textOf(this.#file)),
      ask: () => this.#ask(),
    };
  }

  #change(change: Parameters<typeof changed>[2]): boolean {
    const file = changed(this.#random, this.#file, change, this.#commandsMade);
    if (file === null) return false;
    this.#commandsMade++;
    this.#file = file;
    for (const name of Object.keys(file.commands)) {
      if (this.#seen.has(name)) continue;
      this.#seen.add(name);
      this.#flag('well', name, '');
    }
    this.#policy.wrote(file);
    this.#write(textOf(file));
    return true;
  }

  #ask(): boolean {
    if (!this.#world.hearsHup() || !this.#world.hearsTerm()) return false;
    const how = this.#random.weighted([
      ['signal', 5],
      ['socket', 4],
      ['program', 1],
    ] as const);
    if (how === 'signal') return this.#world.signal('SIGHUP');
    if (how === 'program') {
      this.#world.reload();
      return true;
    }
    const version = this.#version;
    const hasLooked = this.#hasLooked;
    const isRight = this.#text === textOf(this.#file);
    const asked = request(
      { socketPath: this.#world.socket, path: '/v1/reload', method: 'POST' },
      (answer) => {
        let body = '';
        answer.setEncoding('utf8');
        answer.on('data', (text: string) => {
          body += text;
        });
        answer.on('error', () => {});
        answer.on('end', () => {
          const status = answer.statusCode ?? 0;
          const error = String((quietly(() => JSON.parse(body)) as { error?: string } | null)?.error);
          // Somebody may have written another one meanwhile, or it may have been told to stop before it heard of this.
          if (version !== this.#version || this.#expected !== null || this.#ended || !this.#started) return;
          if (status === 503 && !hasLooked) return;
          if (isRight ? status === 200 || error.includes('is still being stopped') : status === 422) return;
          this.#violate([
            {
              invariant: 'a reload does what the file says',
              what: `a file that is ${isRight ? 'right' : 'wrong'} was answered with ${status}: ${body}`,
            },
          ]);
        });
      },
    );
    asked.on('error', () => {});
    asked.end();
    return true;
  }

  /** A leader that may be hurt. @param early one that upkeep does not know yet, instead of one that it knows */
  #leader(early: boolean): Seen | null {
    const now = performance.now();
    const tired = (command: string): boolean => {
      const hurt = this.#hurt.get(command);
      return hurt !== undefined && hurt.count >= OFTEN && now - hurt.at < FORGOTTEN;
    };
    const masters = this.#processes.filter(
      (process) =>
        process.role === 'master' &&
        process.command !== null &&
        isAlive(process) &&
        process.state !== 'T' &&
        (this.#leaders.get(process.command) === process.pid) !== early &&
        !tired(process.command),
    );
    if (masters.length === 0) return null;
    const victim = this.#random.pick(masters);
    const hurt = this.#hurt.get(victim.command!);
    this.#hurt.set(victim.command!, {
      at: now,
      count: hurt !== undefined && now - hurt.at < FORGOTTEN ? hurt.count + 1 : 1,
    });
    return victim;
  }

  #count(kind: string, faults: number): void {
    if (faults === 0) return;
    this.#sum.faults.set(kind, (this.#sum.faults.get(kind) ?? 0) + faults);
    const at = ((performance.now() - this.#begun) / 1_000).toFixed(2);
    this.#recent.push(`${at} s (${new Date().toISOString().slice(17, 23)}) ${kind}`);
    if (this.#recent.length > 30) this.#recent.shift();
  }

  #violate(found: readonly Violation[]): void {
    if (found.length === 0) return;
    this.#sum.violations.push(...found);
    if (this.#sum.account !== '') return;
    const names = new Set([...Object.keys(this.#policy.file.commands), ...Object.keys(this.#file.commands)]);
    // Whom they wait for as well.
    const named = new Set(
      [...names]
        .filter((name) => name in this.#file.commands && found.some(({ what }) => what.includes(name)))
        .flatMap((name) => Object.keys(relationsOf(this.#file, name).requires)),
    );
    const { end, asInit } = this.#life;
    this.#sum.account = accountOf({
      seconds: (performance.now() - this.#begun) / 1_000,
      fair: this.#clock.now,
      given: `a life that ends at ${end}, ${asInit ? 'as init' : 'beside an init'}; the policy that upkeep follows:\n${textOf(this.#policy.file)}${this.#file === this.#policy.file ? '' : `\nand the newest:\n${textOf(this.#file)}`}`,
      recent: this.#recent,
      orders: this.#askers.operators.account,
      concerned: [...names].filter(
        (name) => found.some(({ what }) => what.includes(name)) || named.has(name),
      ),
      life: this.#world.life,
      processes: this.#processes,
    });
  }
}
