/** One peer at work in an arena of its own. */
import { join } from 'node:path';
import { Arena, type Ran, sleep } from './arena.ts';
import type { Command, Options, Peer, Plan } from './peers.ts';
import type { Tools } from './tools.ts';

const DEFAULTS: Options = { log: 'none', everySecond: false };

interface StartOptions extends Partial<Options> {
  /** A file or FIFO for what the peer writes. */
  readonly stdout?: string;
}

/** ms */
interface Stopped {
  readonly took: number;
  /** Processes that are there after it. */
  readonly left: number;
}

export class Running {
  readonly peer: Peer;
  readonly arena: Arena;
  readonly plan: Plan;
  readonly commands: readonly Command[];
  readonly main: Ran;

  private constructor(peer: Peer, arena: Arena, commands: readonly Command[], plan: Plan, main: Ran) {
    this.peer = peer;
    this.arena = arena;
    this.plan = plan;
    this.commands = commands;
    this.main = main;
  }

  static async start(
    tools: Tools,
    peer: Peer,
    make: (arena: Arena) => readonly Command[],
    { stdout, ...options }: StartOptions = {},
  ): Promise<Running> {
    const arena = await Arena.open(tools);
    const commands = make(arena);
    const plan = peer.plan(arena, commands, { ...DEFAULTS, ...options });
    // What it says is kept: whoever looks into a failure finds it in the folder.
    const main = await arena.run(plan.words, stdout ?? join(arena.dir, 'said'));
    return new Running(peer, arena, commands, plan, main);
  }

  /** Waits until each command has been born. @returns ms from the start to the last first birth; null if that took too long */
  async allUp(timeout: number): Promise<number | null> {
    const { arena, commands, main } = this;
    const firsts = new Map<string, number>();
    let read = 0;
    return arena.heard(timeout, () => {
      for (; read < arena.births.length; read++) {
        const { name, at } = arena.births[read]!;
        if (!firsts.has(name)) firsts.set(name, at);
      }
      return firsts.size < commands.length ? null : (Math.max(...firsts.values()) - main.at) / 1e6;
    });
  }

  /** SIGKILLs whoever bears the name, and waits for the next. @returns ms between; null if none came in time */
  async killed(name: string, timeout: number): Promise<number | null> {
    const { arena } = this;
    const old = arena.latest().get(name);
    if (old === undefined) return null;
    const before = arena.births.length;
    const at = await arena.kill(old.pid, 9);
    let read = before;
    const next = await arena.heard(timeout, () => {
      for (; read < arena.births.length; read++)
        if (arena.births[read]!.name === name) return arena.births[read];
      return null;
    });
    return next === null ? null : (next.at - at) / 1e6;
  }

  /** Stops it as its documentation says. @returns null if it was not over in time; then it is ended the hard way */
  async stop(timeout: number): Promise<Stopped | null> {
    const { arena, main, plan } = this;
    const end = performance.now() + timeout;
    const left = (): number => Math.max(0, end - performance.now());
    const aloneBefore = arena.alone.length;
    let from = 0;
    for (const step of plan.stop) {
      if ('wait' in step) await arena.heard(left(), () => arena.alone[aloneBefore]);
      else {
        const at = 'run' in step ? (await arena.run(step.run)).at : await arena.kill(main.pid, step.signal);
        from ||= at;
      }
    }
    const gone = await arena.exited(main.pid, left());
    if (gone === null) return null;
    let last = gone.at;
    const services =
      arena.services().filter(({ state }) => state !== 'Z').length > 0 || arena.alone.length > aloneBefore;
    if (services) {
      const at = await arena.heard(left(), () => arena.alone.at(aloneBefore));
      if (at === null) return null;
      last = Math.max(last, at);
    }
    // Helpers that outlive the main process are the stage's to reap.
    while (arena.processes().length > 0 && left() > 0) await sleep(5);
    last = Math.max(last, ...arena.exits.slice(-1).map(({ at }) => at));
    return { took: (last - from) / 1e6, left: arena.processes().length };
  }

  close(): Promise<void> {
    return this.arena.close();
  }
}

/** `count` small services, in the foreground or as daemons. */
export function services(count: number, daemons = false): (arena: Arena) => Command[] {
  return ({ dir, fifo, tools }) =>
    Array.from({ length: count }, (_, index) => {
      const name = `s${`${index + 1}`.padStart(4, '0')}`;
      const pattern = ` ${name}`;
      const pidFile = join(dir, `${name}.pid`);
      return daemons
        ? { name, words: [tools.svc, 'daemon', fifo, name, pidFile], pattern, daemon: { pidFile } }
        : { name, words: [tools.svc, 'run', fifo, name], pattern, daemon: null };
    });
}
