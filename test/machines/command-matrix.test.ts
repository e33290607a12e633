import { describe, expect, test } from 'vitest';
import type { AnyStateNode } from 'xstate';
import { getStateNodes } from 'xstate/graph';
import { commandMachine, IGNORED } from '../../machines/command.ts';
import type { CommandEvent } from '../../machines/events.ts';
import { NO_ROLE } from '../../machines/tree.ts';
import {
  EXACT,
  type Harness,
  idOf,
  killedBy,
  left,
  NOTHING,
  process,
  startCommand,
  status,
} from './harness.ts';

const READY = { timeout: 20_000, interval: 250 };
const HEALTH = {
  every: 30_000,
  timeout: 5_000,
  failures: 2,
  successes: 1,
  grace: 0,
  onUnhealthy: 'restart',
} as const;
const CRON = { kind: 'cron', restart: 'on-failure', giveUpAfter: 1 } as const;

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
  waiting: () => startCommand({ role: { waits: true } }),
  'running.starting.probing': () => startCommand({ found: process(7), policy: { ready: READY } }),
  'running.starting.pausing'() {
    const h = REACH['running.starting.probing']!();
    h.send({ type: 'probe.finished', reason: 'refused' });
    return h;
  },
  'running.ready.unchecked': () => startCommand({ found: process(7) }),
  'running.ending'() {
    const h = REACH['running.ready.unchecked']!();
    h.send({ type: 'end.announced' });
    return h;
  },
  'running.ready.pausing': () => startCommand({ found: process(7), policy: { health: HEALTH } }),
  'running.ready.probing'() {
    const h = REACH['running.ready.pausing']!();
    h.advance(30_000);
    return h;
  },
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
  'restarting.settling.probing'() {
    const h = startCommand({ policy: { ready: READY } });
    h.send({ type: 'launcher.started', ...idOf(7) });
    return h;
  },
  'restarting.settling.pausing'() {
    const h = REACH['restarting.settling.probing']!();
    h.send({ type: 'probe.finished', reason: 'refused' });
    return h;
  },
  'restarting.settling.patient'() {
    const h = startCommand();
    h.send({ type: 'launcher.started', ...idOf(7) });
    return h;
  },
  'restarting.lingering'() {
    const h = REACH['restarting.settling.patient']!();
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
  'completed.done'() {
    const h = startCommand({ found: process(7), policy: { kind: 'oneshot', restart: 'on-failure' } });
    h.send({ type: 'leader.exited', id: idOf(7), exit: status(0), heir: null, remains: NOTHING });
    return h;
  },
  scheduled: () => startCommand({ policy: CRON }),
  'failed.ended'() {
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
  'command.reload': [{ type: 'command.reload' }],
  'command.release': [{ type: 'command.release' }],
  'command.rejoin': [{ type: 'command.rejoin' }],
  'command.adjust': [
    { type: 'command.adjust', policy: EXACT, role: NO_ROLE },
    { type: 'command.adjust', policy: { ...EXACT, ready: READY, health: HEALTH }, role: NO_ROLE },
  ],
  'launcher.started': [{ type: 'launcher.started', ...idOf(70) }],
  'launch.failed': [
    { type: 'launch.failed', error: 'ENOENT', blame: 'command' },
    { type: 'launch.failed', error: 'EAGAIN', blame: 'system' },
  ],
  'leader.seen': [{ type: 'leader.seen', leader: process(8) }],
  'leader.named': [{ type: 'leader.named', leader: process(8, 0, 'notify') }],
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
  'probe.finished': [
    { type: 'probe.finished', reason: null },
    { type: 'probe.finished', reason: 'refused' },
  ],
  'status.told': [{ type: 'status.told', status: 'loading' }],
  'end.announced': [{ type: 'end.announced' }],
  'schedule.planned': [{ type: 'schedule.planned', wait: 5_000 }],
  'schedule.due': [{ type: 'schedule.due' }],
};
const TYPES = Object.keys(EVENTS) as CommandEvent['type'][];

const STOP = ['stopping.terminating', 'command.stopping SIGTERM', 'SIGTERM tagged'] as const;
/** What the machine as a whole answers. Where no row says otherwise the command goes on as it is. */
const BY_ALL: readonly CommandEvent['type'][] = [
  'command.adjust',
  'command.rejoin',
  'status.told',
  'schedule.planned',
  'schedule.due',
];

/** What the meant shape of each handled event does: where it leads, and what is asked of the world. */
const HANDLED: Record<string, Partial<Record<CommandEvent['type'], readonly [string, ...string[]]>>> = {
  waiting: {
    'command.start': ['waiting'],
    'command.restart': ['waiting'],
    'command.stop': STOP,
    'command.release': ['restarting.launching', 'launch'],
    // It requires nothing any more.
    'command.adjust': ['restarting.launching', 'launch'],
    'leader.seen': ['running.ready.unchecked', 'command.running adopted 8 took 0'],
    'lineage.counted': ['waiting'],
  },
  'running.starting.probing': {
    'leader.named': ['running.starting.probing', 'command.running handover 8 took null'],
    'end.announced': ['running.ending', 'command.ending', 'probe ended'],
    'command.restart': [...STOP, 'probe ended'],
    'command.stop': [...STOP, 'probe ended'],
    'command.reload': ['running.starting.probing', 'reload', 'command.reloading'],
    // It has no readiness of its own any more.
    'command.adjust': ['running.ready.unchecked', 'probe ended'],
    'leader.exited': [
      'missing.clearing.asking',
      'command.failedStart 7 it ended before it was ready failures 1 wait 0',
      'command.clearing SIGTERM 0/1',
      'SIGTERM tagged',
      'probe ended',
    ],
    'probe.finished': ['running.ready.unchecked', 'command.ready took 0', 'probe ended'],
  },
  'running.starting.pausing': {
    'leader.named': ['running.starting.pausing', 'command.running handover 8 took null'],
    'end.announced': ['running.ending', 'command.ending'],
    'command.restart': STOP,
    'command.stop': STOP,
    'command.reload': ['running.starting.pausing', 'reload', 'command.reloading'],
    'command.adjust': ['running.ready.unchecked'],
    'leader.exited': [
      'missing.clearing.asking',
      'command.failedStart 7 it ended before it was ready failures 1 wait 0',
      'command.clearing SIGTERM 0/1',
      'SIGTERM tagged',
    ],
  },
  'running.ready.pausing': {
    'leader.named': ['running.ready.pausing', 'command.running handover 8 took null'],
    'end.announced': ['running.ending', 'command.ending'],
    'command.restart': STOP,
    'command.stop': STOP,
    'command.reload': ['running.ready.pausing', 'reload', 'command.reloading'],
    'command.adjust': ['running.ready.unchecked'],
    'leader.exited': ['backoff', 'command.died 7 uptime 0 restart 1 wait 250'],
  },
  'running.ready.probing': {
    'leader.named': ['running.ready.probing', 'command.running handover 8 took null'],
    'end.announced': ['running.ending', 'command.ending', 'probe ended'],
    'command.restart': [...STOP, 'probe ended'],
    'command.stop': [...STOP, 'probe ended'],
    'command.reload': ['running.ready.probing', 'reload', 'command.reloading'],
    'command.adjust': ['running.ready.unchecked', 'probe ended'],
    'leader.exited': [
      'restarting.launching',
      'command.died 7 uptime 30000 restart 1 wait 0',
      'probe ended',
      'launch',
    ],
    'probe.finished': ['running.ready.pausing', 'probe ended'],
  },
  'running.ready.unchecked': {
    'leader.named': ['running.ready.unchecked', 'command.running handover 8 took null'],
    'end.announced': ['running.ending', 'command.ending'],
    'command.reload': ['running.ready.unchecked', 'reload', 'command.reloading'],
    'command.restart': STOP,
    'command.stop': STOP,
    'leader.exited': ['backoff', 'command.died 7 uptime 0 restart 1 wait 250'],
  },
  'running.ending': {
    'command.reload': ['running.ending', 'reload', 'command.reloading'],
    'command.restart': STOP,
    'command.stop': STOP,
    'leader.named': ['running.ready.unchecked', 'command.running handover 8 took null'],
    'leader.exited': ['backoff', 'command.died 7 uptime 0 restart 1 wait 250'],
    'end.announced': ['running.ending'],
  },
  'missing.clearing.asking': {
    'command.start': ['missing.clearing.asking'],
    'command.restart': ['missing.clearing.asking'],
    'command.stop': STOP,
    'lineage.counted': ['missing.clearing.asking'],
    'leader.seen': ['running.ready.unchecked', 'command.running adopted 8 took 0'],
  },
  'missing.clearing.killing': {
    'command.start': ['missing.clearing.killing'],
    'command.restart': ['missing.clearing.killing'],
    'command.stop': STOP,
    'lineage.counted': ['missing.clearing.killing'],
    'leader.seen': ['running.ready.unchecked', 'command.running adopted 8 took 250'],
  },
  backoff: {
    'command.start': ['restarting.launching', 'launch'],
    'command.restart': ['restarting.launching', 'launch'],
    'command.stop': STOP,
    'leader.seen': ['running.ready.unchecked', 'command.running adopted 8 took 0'],
    'lineage.counted': ['backoff'],
  },
  'restarting.launching': {
    'command.restart': STOP,
    'command.stop': STOP,
    'launcher.started': ['restarting.settling.patient', 'command.launched 70 #1'],
    'launch.failed': ['backoff', 'command.failedStart null ENOENT failures 1 wait 250'],
  },
  'restarting.settling.patient': {
    'leader.named': ['running.ready.unchecked', 'command.running started 8 took 0'],
    'end.announced': ['restarting.settling.patient'],
    'command.restart': STOP,
    'command.stop': STOP,
    'leader.exited': [
      'missing.clearing.asking',
      'command.failedStart 7 exited failures 1 wait 0',
      'command.clearing SIGTERM 0/1',
      'SIGTERM tagged',
    ],
  },
  'restarting.settling.probing': {
    'leader.named': [
      'running.starting.probing',
      'command.running started 8 took 0',
      'probe ended',
      'probe ready',
    ],
    'end.announced': ['restarting.settling.probing'],
    'command.restart': [...STOP, 'probe ended'],
    'command.stop': [...STOP, 'probe ended'],
    'leader.exited': [
      'missing.clearing.asking',
      'command.failedStart 7 exited failures 1 wait 0',
      'command.clearing SIGTERM 0/1',
      'SIGTERM tagged',
      'probe ended',
    ],
    'probe.finished': [
      'running.ready.unchecked',
      'command.running started 7 took null',
      'command.ready took 0',
      'probe ended',
    ],
  },
  'restarting.settling.pausing': {
    'leader.named': ['running.starting.probing', 'command.running started 8 took 0', 'probe ready'],
    'end.announced': ['restarting.settling.pausing'],
    'command.restart': STOP,
    'command.stop': STOP,
    'leader.exited': [
      'missing.clearing.asking',
      'command.failedStart 7 exited failures 1 wait 0',
      'command.clearing SIGTERM 0/1',
      'SIGTERM tagged',
    ],
  },
  'restarting.lingering': {
    'command.restart': STOP,
    'command.stop': STOP,
    'leader.seen': ['running.ready.unchecked', 'command.running started 8 took 0'],
    'lineage.counted': ['restarting.lingering'],
  },
  'stopping.asking': {
    'leader.named': ['stopping.asking'],
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
    'leader.named': ['stopping.terminating'],
    'command.start': ['stopping.terminating'],
    'command.restart': ['stopping.terminating'],
    'command.stop': ['stopping.terminating'],
    'command.kill': ['stopping.killing', 'SIGKILL tagged'],
    'leader.exited': ['stopping.terminating'],
    'lineage.counted': ['stopping.terminating'],
  },
  'stopping.killing': {
    'leader.named': ['stopping.killing'],
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
    'command.stop': STOP,
    'leader.seen': STOP,
    'lineage.counted': ['stopped'],
  },
  'completed.done': {
    'command.start': ['restarting.launching', 'launch'],
    'command.restart': ['restarting.launching', 'launch'],
    'command.stop': STOP,
    'lineage.counted': ['completed.done'],
  },
  scheduled: {
    'command.start': ['restarting.launching', 'launch'],
    'command.restart': ['restarting.launching', 'launch'],
    'command.stop': STOP,
    'lineage.counted': ['scheduled'],
    // It has no schedule any more.
    'command.adjust': ['scheduled', 'schedule ended'],
    'schedule.planned': ['scheduled', 'command.scheduled wait 5000'],
    'schedule.due': ['restarting.launching', 'launch'],
  },
  'failed.ended': {
    'command.start': ['restarting.launching', 'launch'],
    'command.restart': ['restarting.launching', 'launch'],
    'command.stop': STOP,
    'lineage.counted': ['failed.ended'],
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
    const handled = HANDLED[leaf]![type] ?? (BY_ALL.includes(type) ? ([leaf] as const) : undefined);
    expect(IGNORED[leaf]!.includes(type), 'either handled or ignored').toBe(handled === undefined);
    const accepts = [commandMachine.root, ...getStateNodes(commandMachine)]
      .filter(
        (node) =>
          node.path.length === 0 ||
          leaf === node.path.join('.') ||
          leaf.startsWith(`${node.path.join('.')}.`),
      )
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
  test.each(
    ['running.ready.unchecked', 'restarting.settling.patient'].flatMap((leaf) =>
      strangers.map((id) => ({ leaf, ...id })),
    ),
  )('$leaf: the exit of $pid/$startTicks changes nothing', ({ leaf, ...id }) => {
    for (const heir of [null, process(8)]) {
      const h = REACH[leaf]!();
      h.news();
      const before = h.actor.getSnapshot();
      h.send({ type: 'leader.exited', id, exit: status(1), heir, remains: left({ tagged: 3 }) });
      expect(h.actor.getSnapshot().value).toEqual(before.value);
      expect(h.context()).toBe(before.context);
      expect(h.news()).toEqual([]);
    }
  });

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
