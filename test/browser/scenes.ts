/** What the fake inspector plays: fleets that nobody has the machine, or the patience, for. */
import { commandMachine } from '../../machines/command.ts';
import type { FleetMessage, Message } from '../../src/inspector/protocol.ts';
import type { Entry, Happening } from '../../src/output/journal.ts';
import { status } from '../inspector/made-status.ts';
import { actor, hello } from './fake.ts';

const UP = { running: { ready: 'unchecked' } };
const killed = { known: true, code: null, signal: 'SIGKILL', core: false };
const remains = { workers: 0, tagged: 0, sessions: 0 };

/** A thousand commands, all running but for every hundredth. */
export function thousand(): readonly Message[] {
  const names = Array.from({ length: 1_000 }, (_, index) => `worker-${String(index).padStart(4, '0')}`);
  const commands = names.map((name, index) =>
    index % 100 === 99
      ? status(name, {
          state: 'backoff',
          asWished: false,
          for: 200,
          restarts: 4,
          next: { what: 'retry', in: 600_000, text: 'retry 5' },
        })
      : status(name),
  );
  const now = Date.now();
  const entries: Entry[] = names.map((command, index) => ({
    number: index + 1,
    time: now - 60_000 + index,
    what: {
      type: 'command.transition',
      at: 0,
      command,
      from: null,
      to: 'running.ready',
      on: 'launcher.started',
    },
  }));
  return [
    hello(),
    actor('x:0', 'x:0', undefined, { id: 'supervisor', initial: 'a', states: { a: {} } }, 'a'),
    ...names.map((name, index) =>
      index === 0
        ? actor(`x:${index + 1}`, `command:${name}`, 'x:0', commandMachine.config, UP)
        : { ...actor(`x:${index + 1}`, `command:${name}`, 'x:0', null, UP), like: 'x:1' },
    ),
    { type: 'upkeep.entries', entries, gone: 0 },
    { type: 'upkeep.fleet', at: now, commands, names, groups: [] },
  ];
}

/** Somebody else's: one machine that has the name of one of upkeep's, one that is parallel, and one that is none. */
export function foreign(): readonly Message[] {
  const light = {
    id: 'command',
    initial: 'green',
    description: 'A traffic light.',
    states: {
      green: { description: 'Go.', after: { 30000: 'yellow' } },
      yellow: { after: { 3000: 'red' } },
      red: { initial: 'walk', states: { walk: { on: { HURRY: 'wait' } }, wait: {} }, on: { NEXT: 'green' } },
    },
  };
  const player = {
    id: 'player',
    type: 'parallel',
    states: {
      sound: { initial: 'on', states: { on: { on: { MUTE: 'off' } }, off: { on: { MUTE: 'on' } } } },
      film: {
        initial: 'paused',
        states: { paused: { on: { PLAY: 'playing' } }, playing: { type: 'final' } },
      },
    },
  };
  return [
    actor('a:0', 'light', undefined, light, 'green'),
    actor('a:1', 'player', 'a:0', player, { sound: 'on', film: 'paused' }),
    actor('a:2', 'fetch', 'a:1', null, undefined),
  ];
}

/** Six hours of a shop whose database is killed now and then, ended by a bad minute. @param now ms since 1970 */
export function hours(now: number): readonly Message[] {
  const names = ['db', 'cache', 'web', 'api', 'mailer', 'backup'];
  const entries: Entry[] = [];
  const happened: { time: number; what: Happening }[] = [];
  const tell = (time: number, what: Happening): void => void happened.push({ time, what });
  const move = (time: number, command: string, from: string | null, to: string, on: string): void =>
    tell(time, { type: 'command.transition', at: 0, command, from, to, on });
  const run = (time: number, command: string, pid: number, took: number | null): void => {
    tell(time, { type: 'command.launched', at: 0, command, pid, start: 1 });
    move(time + 40, command, 'restarting.launching', 'running.ready', 'after settle');
    const leader = { pid, startTicks: 1, name: command, rule: 'launcher', since: 0 } as const;
    tell(time + 40, { type: 'command.running', at: 0, command, leader, how: 'started', took });
  };
  const die = (time: number, command: string, pid: number, wait: number): void => {
    const { length } = happened;
    tell(time, {
      type: 'command.died',
      at: 0,
      command,
      id: { pid, startTicks: 1 },
      exit: killed,
      uptime: 1e6,
      restart: length,
      wait,
      remains,
    });
  };
  const began = now - 6 * 3_600_000;
  for (const [index, name] of names.entries()) {
    move(began + index * 20, name, null, 'restarting.launching', 'begin');
    run(began + index * 20, name, 100 + index, null);
  }
  for (let round = 1; round <= 40; round++) {
    const time = began + round * 530_000;
    const name = names[round % 4]!;
    die(time, name, 100 + round, 0);
    move(time, name, 'running.ready', 'restarting.launching', 'leader.exited');
    run(time + 200 + round * 13, name, 200 + round, 240 + round * 13);
  }
  const bad = now - 60_000;
  let at = bad;
  for (const wait of [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000]) {
    die(at, 'api', 500, wait);
    move(at, 'api', 'running.ready', 'backoff', 'leader.exited');
    move(at + wait, 'api', 'backoff', 'restarting.settling', 'after backoff');
    run(at + wait + 300, 'api', 600, wait + 340);
    at += wait + 1_400;
  }
  die(at, 'api', 700, 32_000);
  move(at, 'api', 'running.ready', 'backoff', 'leader.exited');
  tell(now - 30_000, { type: 'operator.ordered', at: 0, order: 'restart', commands: ['cache'] });
  tell(now - 30_000, { type: 'command.stopping', at: 0, command: 'cache', how: 'SIGTERM', idle: false });
  move(now - 30_000, 'cache', 'running.ready', 'stopping.terminating', 'command.restart');
  move(now - 27_500, 'cache', 'stopping.terminating', 'restarting.launching', 'lineage.counted');
  run(now - 27_400, 'cache', 800, null);
  tell(now - 20_000, {
    type: 'command.unhealthy',
    at: 0,
    command: 'web',
    reason: 'status 503',
    next: 'ignore',
  });
  tell(now - 9_000, { type: 'command.healthy', at: 0, command: 'web' });
  tell(now - 15_000, { type: 'operator.ordered', at: 0, order: 'signal SIGHUP', commands: ['mailer'] });
  happened.sort((a, b) => a.time - b.time);
  for (const [index, { time, what }] of happened.entries()) entries.push({ number: index + 1, time, what });
  const fleet: FleetMessage = {
    type: 'upkeep.fleet',
    at: now,
    names,
    groups: [
      { name: 'shop', parent: null, strategy: 'rest_for_one', commands: ['db', 'cache', 'web', 'api'] },
    ],
    commands: names.map((name) =>
      name === 'api'
        ? status(name, {
            group: 'shop',
            state: 'backoff',
            asWished: false,
            for: now - at,
            restarts: 17,
            next: { what: 'retry', in: Math.max(0, at + 32_000 - now), text: 'retry 8' },
          })
        : status(name, { group: name === 'mailer' || name === 'backup' ? null : 'shop', for: now - began }),
    ),
  };
  return [
    hello({ began, hostname: 'shop-7f9c' }),
    actor('x:0', 'x:0', undefined, { id: 'supervisor', initial: 'a', states: { a: {} } }, 'a'),
    ...names.map((name, index) =>
      actor(
        `x:${index + 1}`,
        `command:${name}`,
        'x:0',
        commandMachine.config,
        name === 'api' ? 'backoff' : UP,
      ),
    ),
    { type: 'upkeep.entries', entries, gone: 0 },
    fleet,
  ];
}
