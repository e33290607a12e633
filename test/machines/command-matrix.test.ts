import { describe, expect, test } from 'vitest';
import type { AnyStateNode } from 'xstate';
import { getStateNodes } from 'xstate/graph';
import { commandMachine, IGNORED } from '../../machines/command.ts';
import type { CommandEvent } from '../../machines/events.ts';
import { type Harness, idOf, killedBy, left, NOTHING, process, startCommand, status } from './harness.ts';

/** A machine is at rest in these; in the other leaves it never stays. */
function restingLeaves(): string[] {
  const passesThrough = (node: AnyStateNode): boolean =>
    node.always?.some(({ guard }) => guard === undefined) ?? false;
  return getStateNodes(commandMachine)
    .filter((node) => node.type === 'atomic' && !passesThrough(node))
    .map((node) => node.path.join('.'));
}

/** How a fresh actor gets into each leaf. The leader on the books is process 7, where there is one. */
const REACH: Record<string, () => Harness> = {
  running: () => startCommand({ found: process(7) }),
  'missing.clearing.asking'() {
    const h = startCommand({ found: process(7) });
    h.advance(20_000);
    h.send({
      type: 'leader.exited',
      id: idOf(7),
      exit: killedBy('SIGKILL'),
      heir: null,
      remains: left({ workers: 2, tagged: 2 }),
    });
    return h;
  },
  'missing.clearing.killing'() {
    const h = REACH['missing.clearing.asking']!();
    h.advance(250);
    return h;
  },
  backoff() {
    const h = REACH['restarting.launching']!();
    h.send({ type: 'launch.failed', error: 'ENOENT', blame: 'command' });
    return h;
  },
  'restarting.launching': () => startCommand(),
  'restarting.settling'() {
    const h = startCommand();
    h.send({ type: 'launcher.started', ...idOf(7) });
    return h;
  },
  'restarting.lingering'() {
    const h = REACH['restarting.settling']!();
    h.send({ type: 'leader.exited', id: idOf(7), exit: status(0), heir: null, remains: NOTHING });
    return h;
  },
  'stopping.asking'() {
    const h = startCommand({ found: process(7), policy: { ownStop: true } });
    h.send({ type: 'command.stop', budget: 9_000, everything: false });
    return h;
  },
  'stopping.terminating'() {
    const h = startCommand({ found: process(7) });
    h.send({ type: 'command.stop', budget: 9_000, everything: false });
    return h;
  },
  'stopping.killing'() {
    const h = REACH['stopping.terminating']!();
    h.advance(8_500);
    return h;
  },
  stopped() {
    const h = REACH['stopping.terminating']!();
    h.send({ type: 'lineage.counted', remains: NOTHING });
    return h;
  },
  failed() {
    const h = startCommand({ policy: { giveUpAfter: 1 } });
    h.send({ type: 'launch.failed', error: 'ENOENT', blame: 'command' });
    return h;
  },
};

type Undated<T extends CommandEvent['type']> = Omit<Extract<CommandEvent, { type: T }>, 'at'>;
/** Every event type, in every shape that could make a difference; the first is the one that is meant. */
const EVENTS: { [T in CommandEvent['type']]: [Undated<T>, ...Undated<T>[]] } = {
  'command.start': [{ type: 'command.start' }],
  'command.restart': [{ type: 'command.restart' }],
  'command.stop': [
    { type: 'command.stop', budget: 9_000, everything: false },
    { type: 'command.stop', budget: 1, everything: true },
  ],
  'command.kill': [{ type: 'command.kill' }],
  'launcher.started': [{ type: 'launcher.started', ...idOf(70) }],
  'launch.failed': [
    { type: 'launch.failed', error: 'ENOENT', blame: 'command' },
    { type: 'launch.failed', error: 'EAGAIN', blame: 'system' },
  ],
  'leader.seen': [{ type: 'leader.seen', leader: process(8) }],
  'leader.exited': [
    { type: 'leader.exited', id: idOf(7), exit: status(1), heir: null, remains: left({ tagged: 1 }) },
    { type: 'leader.exited', id: idOf(7), exit: status(0), heir: null, remains: NOTHING },
    { type: 'leader.exited', id: idOf(7), exit: status(0), heir: process(8), remains: left({ tagged: 1 }) },
    { type: 'leader.exited', id: idOf(99), exit: status(0), heir: null, remains: left({ tagged: 1 }) },
  ],
  'lineage.counted': [
    { type: 'lineage.counted', remains: left({ workers: 1, tagged: 1, sessions: 1 }) },
    { type: 'lineage.counted', remains: NOTHING },
  ],
  'stopper.finished': [
    { type: 'stopper.finished', error: null },
    { type: 'stopper.finished', error: 'status 1' },
  ],
};
const TYPES = Object.keys(EVENTS) as CommandEvent['type'][];

/** What the meant shape of each handled event does: where it leads, and what is asked of the world. */
const HANDLED: Record<string, Partial<Record<CommandEvent['type'], readonly [string, ...string[]]>>> = {
  running: {
    'command.restart': ['stopping.terminating', 'command.stopping SIGTERM', 'SIGTERM tagged'],
    'command.stop': ['stopping.terminating', 'command.stopping SIGTERM', 'SIGTERM tagged'],
    'leader.exited': ['backoff', 'command.died 7 uptime 0 restart 1 wait 250'],
  },
  'missing.clearing.asking': {
    'command.start': ['missing.clearing.asking'],
    'command.restart': ['missing.clearing.asking'],
    'command.stop': ['stopping.terminating', 'command.stopping SIGTERM', 'SIGTERM tagged'],
    'lineage.counted': ['missing.clearing.asking'],
  },
  'missing.clearing.killing': {
    'command.start': ['missing.clearing.killing'],
    'command.restart': ['missing.clearing.killing'],
    'command.stop': ['stopping.terminating', 'command.stopping SIGTERM', 'SIGTERM tagged'],
    'lineage.counted': ['missing.clearing.killing'],
  },
  backoff: {
    'command.start': ['restarting.launching', 'launch'],
    'command.restart': ['restarting.launching', 'launch'],
    'command.stop': ['stopping.terminating', 'command.stopping SIGTERM', 'SIGTERM tagged'],
    'leader.seen': ['running', 'command.running adopted 8 took 0'],
    'lineage.counted': ['backoff'],
  },
  'restarting.launching': {
    'command.restart': ['stopping.terminating', 'command.stopping SIGTERM', 'SIGTERM tagged'],
    'command.stop': ['stopping.terminating', 'command.stopping SIGTERM', 'SIGTERM tagged'],
    'launcher.started': ['restarting.settling', 'command.launched 70 #1'],
    'launch.failed': ['backoff', 'command.failedStart null ENOENT failures 1 wait 250'],
  },
  'restarting.settling': {
    'command.restart': ['stopping.terminating', 'command.stopping SIGTERM', 'SIGTERM tagged'],
    'command.stop': ['stopping.terminating', 'command.stopping SIGTERM', 'SIGTERM tagged'],
    'leader.exited': [
      'missing.clearing.asking',
      'command.failedStart 7 exited failures 1 wait 0',
      'command.clearing SIGTERM 0/1',
      'SIGTERM tagged',
    ],
  },
  'restarting.lingering': {
    'command.restart': ['stopping.terminating', 'command.stopping SIGTERM', 'SIGTERM tagged'],
    'command.stop': ['stopping.terminating', 'command.stopping SIGTERM', 'SIGTERM tagged'],
    'leader.seen': ['running', 'command.running started 8 took 0'],
    'lineage.counted': ['restarting.lingering'],
  },
  'stopping.asking': {
    'command.start': ['stopping.asking'],
    'command.restart': ['stopping.asking'],
    'command.stop': ['stopping.asking'],
    'command.kill': ['stopping.killing', 'SIGKILL tagged', 'stopper ended'],
    'leader.exited': ['stopping.asking'],
    'lineage.counted': ['stopping.asking'],
    'stopper.finished': [
      'stopping.terminating',
      'info its stop command has finished',
      'SIGTERM tagged',
      'stopper ended',
    ],
  },
  'stopping.terminating': {
    'command.start': ['stopping.terminating'],
    'command.restart': ['stopping.terminating'],
    'command.stop': ['stopping.terminating'],
    'command.kill': ['stopping.killing', 'SIGKILL tagged'],
    'leader.exited': ['stopping.terminating'],
    'lineage.counted': ['stopping.terminating'],
  },
  'stopping.killing': {
    'command.start': ['stopping.killing'],
    'command.restart': ['stopping.killing'],
    'command.stop': ['stopping.killing'],
    'command.kill': ['stopping.killing', 'SIGKILL tagged'],
    'leader.exited': ['stopping.killing'],
    'lineage.counted': ['stopping.killing'],
  },
  stopped: {
    'command.start': ['restarting.launching', 'launch'],
    'command.restart': ['restarting.launching', 'launch'],
    'command.stop': ['stopping.terminating', 'command.stopping SIGTERM', 'SIGTERM tagged'],
    'lineage.counted': ['stopped'],
  },
  failed: {
    'command.start': ['restarting.launching', 'launch'],
    'command.restart': ['restarting.launching', 'launch'],
    'command.stop': ['stopping.terminating', 'command.stopping SIGTERM', 'SIGTERM tagged'],
    'lineage.counted': ['failed'],
  },
};

const LEAVES = restingLeaves();
const bare = (news: readonly string[]): string[] => news.map((line) => line.replace(/^\d+ /, ''));

test('the matrix has a row for every leaf, and no other', () => {
  expect(Object.keys(IGNORED).sort()).toEqual([...LEAVES].sort());
  expect(Object.keys(HANDLED).sort()).toEqual([...LEAVES].sort());
  expect(Object.keys(REACH).sort()).toEqual([...LEAVES].sort());
});

test('IGNORED names event types that exist, once each', () => {
  for (const row of Object.values(IGNORED)) {
    expect(row.filter((type) => !(TYPES as string[]).includes(type))).toEqual([]);
    expect(new Set(row).size).toBe(row.length);
  }
});

describe.each(LEAVES)('%s', (leaf) => {
  const reach = (): Harness => {
    const h = REACH[leaf]!();
    expect(h.state()).toBe(leaf);
    h.news();
    return h;
  };

  test.each(TYPES)('%s', (type) => {
    const handled = HANDLED[leaf]![type];
    expect(IGNORED[leaf]!.includes(type), 'either handled or ignored').toBe(handled === undefined);
    const accepts = getStateNodes(commandMachine)
      .filter((node) => leaf === node.path.join('.') || leaf.startsWith(`${node.path.join('.')}.`))
      .some((node) => node.ownEvents.includes(type));
    expect(accepts, 'the statechart has a transition for it').toBe(handled !== undefined);

    if (handled === undefined) {
      for (const event of EVENTS[type]) {
        const h = reach();
        const before = h.actor.getSnapshot();
        h.send(event as Parameters<Harness['send']>[0]);
        expect(h.actor.getSnapshot().value).toEqual(before.value);
        expect(h.context()).toBe(before.context);
        expect(h.news()).toEqual([]);
        h.stop();
      }
      return;
    }
    const h = reach();
    h.send(EVENTS[type][0] as Parameters<Harness['send']>[0]);
    const [state, ...effects] = handled;
    expect(h.state()).toBe(state);
    expect(bare(h.news())).toEqual(effects);
    h.stop();
  });
});

describe('a fact about another process', () => {
  const strangers = [
    { pid: 99, startTicks: 70 },
    { pid: 7, startTicks: 71 },
  ];
  test.each(['running', 'restarting.settling'].flatMap((leaf) => strangers.map((id) => ({ leaf, ...id }))))(
    '$leaf: the exit of $pid/$startTicks changes nothing',
    ({ leaf, ...id }) => {
      for (const heir of [null, process(8)]) {
        const h = REACH[leaf]!();
        h.news();
        const before = h.actor.getSnapshot();
        h.send({ type: 'leader.exited', id, exit: status(1), heir, remains: left({ tagged: 3 }) });
        expect(h.actor.getSnapshot().value).toEqual(before.value);
        expect(h.context()).toBe(before.context);
        expect(h.news()).toEqual([]);
      }
    },
  );

  test.each(
    ['stopping.asking', 'stopping.terminating', 'stopping.killing'].flatMap((leaf) =>
      strangers.map((id) => ({ leaf, ...id })),
    ),
  )('$leaf: the exit of $pid/$startTicks tells only what is left', ({ leaf, ...id }) => {
    const h = REACH[leaf]!();
    const before = h.context();
    h.send({ type: 'leader.exited', id, exit: status(3), heir: process(8), remains: left({ tagged: 3 }) });
    expect(h.state()).toBe(leaf);
    expect(h.context()).toEqual({ ...before, remains: left({ tagged: 3 }) });
  });
});
