import { describe, expect, test } from 'vitest';
import { commandMachine } from '../../../machines/command.ts';
import { activeIn, readMachine } from '../../../src/inspector/page/machine.ts';
import { enteredBy, timersOf } from '../../../src/inspector/page/timers.ts';

const command = readMachine(JSON.stringify(commandMachine.config))!;
const light = readMachine(
  JSON.stringify({
    id: 'light',
    initial: 'green',
    states: {
      green: { after: { 30000: [{ guard: 'g', target: 'red' }, 'green'] } },
      red: { after: { rest: 'green' } },
    },
  }),
)!;

describe('delays that run', () => {
  test('of somebody else’s machines are as long as the definition says', () => {
    const timers = timersOf(light, activeIn(light, 'green'), {}, new Map([['light.green', 1_000]]), 0);
    expect(timers).toMatchObject([{ name: 'after 30000', due: 31_000, whole: 30_000 }]);
    expect(timers[0]!.moves).toHaveLength(2);
  });

  test('that nobody knows the length or the beginning of are not shown', () => {
    expect(timersOf(light, activeIn(light, 'red'), {}, new Map([['light.red', 1_000]]), 0)).toEqual([]);
    expect(timersOf(light, activeIn(light, 'green'), {}, new Map(), 0)).toEqual([]);
  });

  test.each([
    [{ running: { ready: 'pausing' } }, 'after healthInterval', 30],
    [{ running: { starting: 'pausing' } }, 'after readyInterval', 20],
    [{ restarting: { settling: 'patient' } }, 'after settle', 1],
    [{ missing: { clearing: 'asking' } }, 'after clear', 3],
    // The run is 100 ms old.
    [{ running: { starting: 'pausing' } }, 'after readyTimeout', 400],
    ['backoff', 'after backoff', 8],
  ])('of upkeep’s own %j: %s', (value, name, whole) => {
    const policy = {
      settle: 1,
      linger: 2,
      clear: 3,
      ready: { interval: 20, timeout: 500 },
      health: { every: 30 },
    };
    const active = activeIn(command, value);
    const entered = enteredBy(new Map(), new Set(), active, 1_000, []);
    expect(timersOf(command, active, { policy, wait: 8, since: 300 }, entered, 600)).toContainEqual(
      expect.objectContaining({ name, due: 1_000 + whole }),
    );
  });

  test('what stays was entered when it was, but for what is entered again', () => {
    const [was, is] = [
      activeIn(command, { restarting: { settling: 'patient' } }),
      activeIn(command, { restarting: { settling: 'pausing' } }),
    ];
    const before = enteredBy(new Map(), new Set(), was, 1_000, []);
    const after = enteredBy(before, was, is, 2_000, []);
    expect([
      after.get('command.restarting.settling'),
      after.get('command.restarting.settling.pausing'),
    ]).toEqual([1_000, 2_000]);
    const again = { ...command.states.get('command.backoff')!.moves[0]!, to: 'command.restarting.settling' };
    expect(enteredBy(before, was, is, 2_000, [again]).get('command.restarting.settling')).toBe(2_000);
    // Nobody was there when it was entered.
    expect(enteredBy(new Map(), was, was, 2_000, []).size).toBe(0);
  });
});
