/** Any policy, whatever happens: what must hold, holds. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CommandPlan, Milestone } from '../../machines/events.ts';
import { type Heat, heated, isTooHot, NO_HEAT } from '../../machines/restart-policy.ts';
import { commandsOf, type GroupPlan, unwritten } from '../../machines/tree.ts';
import { command, group, oneshot, startWorld, type World, type WorldOptions } from './supervisor-world.ts';

const RUNS = 300;

interface Shape {
  readonly isOneshot: boolean;
  readonly links: readonly { readonly to: number; readonly how: Milestone | 'after' }[];
  readonly place: 'loose' | 'g' | 'h' | 'i' | 'j';
  readonly giveUpAfter: number | null;
  readonly stopTimeout: number | null;
  readonly found: boolean;
  /** It has a readiness probe. */
  readonly isProbed: boolean;
  /** Nobody starts it but an order. */
  readonly rests: boolean;
  readonly run: { readonly ms: number; readonly code: number };
}

const shape: fc.Arbitrary<Shape> = fc.record({
  isOneshot: fc.boolean(),
  links: fc.array(
    fc.record({ to: fc.nat(6), how: fc.constantFrom('started', 'ready', 'completed', 'after' as const) }),
    { maxLength: 2 },
  ),
  place: fc.constantFrom('loose', 'g', 'h', 'i', 'j'),
  giveUpAfter: fc.constantFrom(null, null, null, 2),
  stopTimeout: fc.constantFrom(null, null, 50, 5_000),
  found: fc.boolean(),
  isProbed: fc.boolean(),
  rests: fc.constantFrom(false, false, false, true),
  run: fc.record({ ms: fc.integer({ min: 1, max: 200 }), code: fc.constantFrom(0, 0, 0, 1) }),
});

const rules = fc.record({
  strategy: fc.constantFrom('one_for_one', 'one_for_all', 'rest_for_one'),
  intensity: fc.constantFrom(null, { restarts: 1, within: 1_000 }, { restarts: 4, within: 1_000 }),
});

interface Policy {
  readonly shapes: readonly (Shape | null)[];
  readonly rules: Readonly<
    Record<'g' | 'h' | 'i' | 'j', { strategy: GroupPlan['strategy']; intensity: GroupPlan['intensity'] }>
  >;
}

const policies: fc.Arbitrary<Policy> = fc.record({
  shapes: fc.array(fc.option(shape, { freq: 8 }), { minLength: 1, maxLength: 7 }),
  rules: fc.record({ g: rules, h: rules, i: rules, j: rules }) as fc.Arbitrary<Policy['rules']>,
});

/** `i` is a group in `g`, `j` one in `i`. What others want to see completed is a one-shot. */
function worldOf({ shapes, rules: of }: Policy): WorldOptions {
  const nameOf = (at: number): string => `c${at}`;
  const wanted = new Set(
    shapes.flatMap((each) => each?.links.flatMap(({ to, how }) => (how === 'completed' ? [to] : [])) ?? []),
  );
  const at = new Map<Shape['place'], CommandPlan[]>();
  shapes.forEach((each, index) => {
    if (each === null) return;
    const links = each.links.filter(({ to }) => to < index && shapes[to] !== null);
    const make = each.isOneshot || wanted.has(index) ? oneshot : command;
    const plan = make(nameOf(index), {
      requires: Object.fromEntries(
        links.flatMap(({ to, how }) => (how === 'after' ? [] : [[nameOf(to), how]])),
      ),
      after: links.flatMap(({ to, how }) => (how === 'after' ? [nameOf(to)] : [])),
      policy: {
        autostart: !each.rests,
        giveUpAfter: each.giveUpAfter,
        stopTimeout: each.stopTimeout,
        ready: each.isProbed && make === command ? { timeout: 1_000, interval: 5 } : null,
      },
    });
    at.set(each.place, [...(at.get(each.place) ?? []), plan]);
  });
  const make = (name: 'g' | 'h' | 'i' | 'j', below: readonly GroupPlan[] = []): GroupPlan[] => {
    const members = [...(at.get(name) ?? []), ...below];
    return members.length === 0
      ? []
      : [{ ...group(name, of[name].strategy, members), intensity: of[name].intensity }];
  };
  return {
    groups: [...make('g', make('i', make('j'))), ...make('h')],
    commands: at.get('loose') ?? [],
  };
}

function start(policy: Policy): World {
  const options = worldOf(policy);
  const services = [...options.groups!, ...unwritten(options.commands!)]
    .flatMap(commandsOf)
    .flatMap(({ name, policy: { kind } }) => (kind === 'service' ? [name] : []));
  const found = services.filter((name) => policy.shapes[Number(name.slice(1))]!.found);
  const w = startWorld({ ...options, isRead: false }, found);
  policy.shapes.forEach((each, at) => {
    const plan = w.root.getSnapshot().context.plans[`c${at}`];
    if (each !== null && plan?.policy.kind === 'oneshot') w.runs.set(`c${at}`, each.run);
  });
  w.read();
  return w;
}

const stateOf = (w: World, name: string): string => w.state(name);

/** What the command has reached, by its own actor. */
function has(w: World, name: string, how: Milestone | 'after'): boolean {
  const state = stateOf(w, name);
  const isOver = state.startsWith('completed');
  if (how === 'completed') return isOver;
  if (how !== 'after') return isOver || state.startsWith(how === 'ready' ? 'running.ready' : 'running');
  const { kind } = w.root.getSnapshot().context.plans[name]!.policy;
  return isOver || /^(stopped|failed)/.test(state) || (kind === 'service' && state.startsWith('running'));
}

/** Nobody stands still that could go on. */
function checkRest(w: World, what: string): void {
  const { plans, groups, leaving } = w.root.getSnapshot().context;
  expect([...leaving], what).toEqual([]);
  for (const [name, plan] of Object.entries(plans)) {
    const actor = w.actorOf(name)!.getSnapshot();
    expect(stateOf(w, name), `${what}: ${name}`).toMatch(/^(running|waiting|stopped|failed|completed)/);
    if (actor.matches('waiting')) {
      expect(actor.context.held, `${what}: ${name} is held`).toBe(false);
      const links = [
        ...Object.entries(plan.requires),
        ...plan.after.map((other) => [other, 'after'] as const),
      ];
      const open = links.filter(([other, how]) => Object.hasOwn(plans, other) && !has(w, other, how));
      expect(open.length, `${what}: ${name} waits for nothing`).toBeGreaterThan(0);
    }
  }
  const names = ['g', 'h', 'i', 'j'].map((name) => w.groupState(name));
  for (const state of names) expect(['tending', 'failed', 'nobody', 'closed'], what).toContain(state);
  expect(groups.length, what).toBeGreaterThanOrEqual(0);
}

/** Ends it, and holds it to its budget. */
function checkEnd(w: World, mayBeLeft: boolean): void {
  const began = w.clock.now();
  w.shutdown();
  while (w.output() === null && w.clock.now() - began < 9_000 + 2_000) w.advance(50);
  expect(w.output(), 'it ends in time').not.toBeNull();
  if (mayBeLeft) return;
  expect(w.clock.now() - began).toBeLessThanOrEqual(9_000 + 50);
  expect(w.output()).toEqual({ code: 0, exit: null, left: 0 });
  expect(w.alive()).toEqual([]);
}

test('every member of every graph is started after what it requires, and stopped before it', () => {
  fc.assert(
    fc.property(policies, fc.integer({ min: 0, max: 2_000 }), (policy, wait) => {
      const w = start(policy);
      const { plans } = w.root.getSnapshot().context;
      const found = new Set(w.alive());
      w.advance(wait);
      const upAtEnd = new Set(w.alive().filter((name) => w.state(name).startsWith('running.ready')));
      const mark = w.log.length;
      checkEnd(w, false);
      const lineOf = (what: string, from = 0): number => {
        const line = w.log.slice(from).findIndex((each) => each.endsWith(` ${what}`));
        return line < 0 ? -1 : line + from;
      };
      for (const [name, { requires, after }] of Object.entries(plans)) {
        const started = lineOf(`start ${name}`);
        for (const [other, how] of Object.entries(requires)) {
          if (started < 0 || found.has(name)) continue;
          if (how !== 'completed' && found.has(other)) continue;
          const what = how === 'completed' ? `end ${other}` : `start ${other}`;
          const before = lineOf(what);
          expect(before, `${what} before ${name}`).toBeGreaterThanOrEqual(0);
          expect(before, `${what} before ${name}`).toBeLessThan(started);
        }
        for (const other of after) {
          const first = lineOf(`start ${other}`);
          if (started >= 0 && first >= 0 && !found.has(name) && !found.has(other))
            expect(first).toBeLessThan(started);
        }
        for (const other of [...Object.keys(requires), ...after]) {
          // What runs to its own end may come to it before its turn.
          if (!upAtEnd.has(name) || !upAtEnd.has(other) || w.runs.has(other)) continue;
          const ended = lineOf(`end ${name}`, mark);
          const told = w.log.findIndex(
            (each, at) => at >= mark && / SIG/.test(each) && each.endsWith(` ${other}`),
          );
          if (told >= 0) expect(ended, `${name} ends before ${other} is stopped`).toBeLessThan(told);
        }
      }
    }),
    { numRuns: RUNS },
  );
});

type Act =
  | { readonly act: 'die' | 'stop' | 'start' | 'restart' | 'break' | 'mend' | 'trap'; readonly at: number }
  | { readonly act: 'wait'; readonly ms: number }
  | { readonly act: 'reload'; readonly policy: Policy; readonly restarted: readonly number[] }
  | {
      readonly act: 'regroup';
      readonly rules: Policy['rules'];
      /** null: they stay where they are. */
      readonly places: readonly Shape['place'][] | null;
      readonly restarted: readonly number[];
    };

const acts: fc.Arbitrary<readonly Act[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        act: fc.constantFrom('die', 'die', 'stop', 'start', 'restart', 'break', 'mend', 'trap'),
        at: fc.nat(6),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ act: fc.constant('wait' as const), ms: fc.constantFrom(1, 5, 12, 40, 300) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        act: fc.constant('reload' as const),
        policy: policies,
        restarted: fc.subarray([0, 1, 2, 3, 4, 5, 6]),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        act: fc.constant('regroup' as const),
        rules: fc.record({ g: rules, h: rules, i: rules, j: rules }) as fc.Arbitrary<Policy['rules']>,
        places: fc.option(
          fc.array(fc.constantFrom('loose', 'g', 'h', 'i', 'j'), { minLength: 7, maxLength: 7 }),
        ),
        restarted: fc.oneof(fc.constant([]), fc.subarray([0, 1, 2, 3, 4, 5, 6])),
      }),
    },
  ),
  { maxLength: 25 },
) as fc.Arbitrary<readonly Act[]>;

/** Nobody is in a book of the root whom no policy knows. */
function checkBooks(w: World): void {
  const { plans, groupOf, reached, down, waiting, leaving } = w.root.getSnapshot().context;
  const names = [Object.keys(groupOf), Object.keys(reached), [...down], [...waiting], [...leaving]].flat();
  expect(names.filter((name) => !Object.hasOwn(plans, name))).toEqual([]);
}

function live(w: World, first: Policy, all: readonly Act[]): void {
  let policy = first;
  const reload = (next: Policy, restarted: readonly number[]): void => {
    const before = w.root.getSnapshot().context;
    const options = worldOf(next);
    const names = Object.keys(before.plans);
    next.shapes.forEach((each, at) => {
      if (each !== null) w.runs.delete(`c${at}`);
    });
    policy = next;
    w.reload(options, { adjusted: names, restarted: restarted.map((at) => `c${at}`) });
    next.shapes.forEach((each, at) => {
      const plan = w.root.getSnapshot().context.plans[`c${at}`];
      if (each !== null && plan?.policy.kind === 'oneshot') w.runs.set(`c${at}`, each.run);
    });
  };
  for (const each of all) {
    switch (each.act) {
      case 'wait':
        w.advance(each.ms);
        break;
      case 'reload':
        reload(each.policy, each.restarted);
        break;
      case 'regroup':
        reload(
          {
            rules: each.rules,
            shapes: policy.shapes.map((old, at) =>
              old === null ? null : { ...old, place: each.places?.[at] ?? old.place },
            ),
          },
          each.restarted,
        );
        break;
      default: {
        const name = `c${each.at}`;
        if (each.act === 'break') w.broken.add(name);
        else if (each.act === 'mend') w.broken.delete(name);
        else if (each.act === 'trap') w.dies.set(name, 60);
        else if (!Object.hasOwn(w.root.getSnapshot().context.plans, name)) break;
        else if (w.root.getSnapshot().context.leaving.has(name)) break;
        else w[each.act](name);
      }
    }
    checkBooks(w);
  }
}

test('whatever dies, is ordered or read anew: one leader each, none against the wish, nobody stuck, and an end in time', () => {
  fc.assert(
    fc.property(policies, acts, fc.boolean(), (policy, all, isAtRest) => {
      const w = start(policy);
      live(w, policy, all);
      if (isAtRest) {
        w.broken.clear();
        for (const [name, { ms }] of w.runs) w.runs.set(name, { ms, code: 0 });
        w.advance(30_000);
        checkRest(w, 'after a while');
      }
      checkEnd(w, false);
    }),
    { numRuns: RUNS * 2 },
  );
});

test('a group gives up exactly when it is hotter than its intensity bears', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('one_for_one', 'one_for_all', 'rest_for_one' as const),
      fc.record({ restarts: fc.nat(4), within: fc.integer({ min: 1, max: 5_000 }) }),
      fc.array(fc.tuple(fc.nat(2), fc.integer({ min: 300, max: 4_000 })), { maxLength: 12 }),
      (strategy, intensity, deaths) => {
        const names = ['a', 'b', 'c'];
        const w = startWorld(
          {
            groups: [
              group(
                'g',
                strategy,
                names.map((name) => command(name)),
                { intensity },
              ),
            ],
          },
          names,
        );
        let heat: Heat = NO_HEAT;
        for (const [at, wait] of deaths) {
          w.advance(wait);
          expect(w.alive()).toEqual(names);
          heat = heated(intensity, heat, w.clock.now());
          w.die(names[at]!);
          expect(w.groupState('g') === 'failing').toBe(isTooHot(intensity, heat));
          if (isTooHot(intensity, heat)) break;
        }
        w.advance(500);
        expect(w.groupState('g')).toBe(isTooHot(intensity, heat) ? 'failed' : 'tending');
        expect(w.alive()).toEqual(isTooHot(intensity, heat) ? [] : names);
      },
    ),
    { numRuns: RUNS },
  );
});
