import { describe, expect, test } from 'vitest';
import { type Line, noNamespace } from './namespace.ts';
import { keep } from './policies.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const BACKOFF = 'backoff: {first: 20ms, max: 20ms}';

describe.skipIf(noNamespace)(`kinds of commands ${noNamespace ?? ''}`, { concurrent: true }, () => {
  test('a oneshot runs to its end once', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  once: {run: 'echo x >> ${dir}/runs; exit 0', kind: oneshot}
  then: {run: '${dir}/never-there || exec sleep 1000', requires: once}
`,
    );
    const { upkeep } = kept;
    expect(await upkeep.event('command.completed', 'once')).toMatchObject({
      success: true,
      exit: { code: 0 },
    });
    await upkeep.running('then');
    expect(upkeep.events('command.launched', 'once')).toHaveLength(1);
    expect(kept.linesOf('runs')).toEqual(['x']);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('a oneshot that takes longer than a launcher may is no service all the same', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  once: {run: 'until test -e ${dir}/go; do sleep 0.05; done', kind: oneshot, settle: 20ms}
`,
    );
    await kept.upkeep.running('once');
    expect(kept.upkeep.events('command.completed', 'once')).toEqual([]);
    kept.touch('go');
    expect(await kept.upkeep.event('command.completed', 'once')).toMatchObject({ success: true });
  });

  test('a oneshot is not tried again without retries', async (context) => {
    const { upkeep } = await keep(context, `commands: {once: {run: 'exit 3', kind: oneshot}}`);
    expect(await upkeep.event('command.failed', 'once')).toMatchObject({
      reason: 'it exited with status 3',
    });
    expect(upkeep.events('command.launched')).toHaveLength(1);
  });

  test('nor is one that is unhealthy, and that is said', async (context) => {
    const { upkeep } = await keep(
      context,
      `
commands:
  once: {run: exec sleep 1000, kind: oneshot, health: {exec: 'false', every: 50ms, failures: 2}}
`,
    );
    expect(await upkeep.event('command.unhealthy', 'once')).toMatchObject({
      next: 'fail',
      message: expect.stringContaining('it is given up'),
    });
    await upkeep.event('command.failed', 'once');
    expect(upkeep.events('command.launched')).toHaveLength(1);
  });

  test('retries: so often a oneshot is tried again, until it has failed for good', async (context) => {
    const { upkeep } = await keep(
      context,
      `
commands:
  once: {run: 'exit 3', kind: oneshot, retries: 2, settle: 1h, ${BACKOFF}}
`,
    );
    expect(await upkeep.event('command.failed', 'once')).toMatchObject({ reason: '3 failures in a row' });
    expect(upkeep.events('command.launched')).toHaveLength(3);
    expect(upkeep.events('command.failedStart').map(({ wait }) => wait === null)).toEqual([
      false,
      false,
      true,
    ]);
  });

  test.for(['2', 'unlimited'])('retries: %s, and one of them succeeds', async (retries, context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  once:
    run: 'echo x >> ${dir}/runs; test $(wc -l < ${dir}/runs) = 3'
    kind: oneshot
    retries: ${retries}
    ${BACKOFF}
`,
    );
    expect(await kept.upkeep.event('command.completed', 'once')).toMatchObject({ success: true });
    expect(kept.linesOf('runs')).toHaveLength(3);
    expect(kept.upkeep.events('command.failed')).toEqual([]);
  });

  test('a schedule runs its command time and again, and tells when', async (context) => {
    const { upkeep } = await keep(context, `commands: {tick: {run: 'true', schedule: '* * * * * *'}}`);
    const done = await upkeep.event('command.completed', 'tick', 3);
    expect(done).toMatchObject({ success: true, exit: { code: 0 } });
    for (const { wait } of upkeep.events('command.scheduled', 'tick')) {
      expect(wait).toBeLessThanOrEqual(1_000);
    }
    // Only one that still went on may have been overlapped.
    const before = (line: Line, type: string): number =>
      upkeep.events(type, 'tick').filter((each) => upkeep.lines.indexOf(each) < upkeep.lines.indexOf(line))
        .length;
    for (const line of upkeep.events('command.overlapped')) {
      expect(before(line, 'command.launched')).toBe(before(line, 'command.completed') + 1);
    }
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('a run of a schedule that fails is tried as often as retries say; the next one comes', async (context) => {
    const { upkeep } = await keep(
      context,
      `
commands:
  tick: {run: 'exit 5', schedule: {cron: '*/2 * * * * *'}, retries: 1, ${BACKOFF}}
`,
    );
    const first = await upkeep.event('command.completed', 'tick');
    expect(first).toMatchObject({ success: false, exit: { code: 5 } });
    await upkeep.event('command.completed', 'tick', 2);
    const lines = upkeep.lines.slice(0, upkeep.lines.indexOf(first));
    expect(lines.filter(({ event }) => event === 'command.launched')).toHaveLength(2);
    expect(upkeep.events('command.failed')).toEqual([]);
  });

  const held = (dir: string): string =>
    `'echo $$$$ >> ${dir}/runs; until test -e ${dir}/go; do sleep 0.05; done'`;

  test('overlap: skip leaves out what is due while a run goes on', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `commands: {tick: {run: ${held(dir)}, schedule: '* * * * * *'}}`,
    );
    const { upkeep } = kept;
    expect(await upkeep.event('command.overlapped', 'tick', 2)).toMatchObject({ next: 'skip' });
    expect(upkeep.events('command.launched')).toHaveLength(1);
    kept.touch('go');
    await upkeep.event('command.completed', 'tick', 2);
    const [first, second] = upkeep.events('command.launched');
    expect(second!.start).toBe(2);
    expect(second!.pid).not.toBe(first!.pid);
  });

  test('overlap: queue has what was due follow, once', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `commands: {tick: {run: ${held(dir)}, schedule: '*/5 * * * * *', overlap: queue}}`,
    );
    const { upkeep } = kept;
    const overlapped = await upkeep.event('command.overlapped', 'tick', 2);
    expect(overlapped.next).toBe('queue');
    expect(upkeep.events('command.launched')).toHaveLength(1);
    const planned = upkeep.events('command.scheduled').length;
    kept.touch('go');
    await upkeep.event('command.completed', 'tick', 2);
    // It has not waited for the schedule's next time, and two that were due are one run.
    const at = upkeep.lines.indexOf(upkeep.events('command.launched', 'tick')[1]!);
    const before = upkeep.lines.slice(0, at).filter(({ event }) => event === 'command.scheduled');
    expect(before.length - planned).toBeLessThanOrEqual(1);
    await upkeep.event('command.completed', 'tick', 3);
    expect(upkeep.lines.slice(at).some(({ event }) => event === 'command.scheduled')).toBe(true);
  });

  test('overlap: kill stops the run that goes on, and begins the one that is due', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  tick: {run: 'echo $$$$ >> ${dir}/runs; exec sleep 1000', schedule: '*/2 * * * * *', overlap: kill}
`,
    );
    const { upkeep } = kept;
    expect(await upkeep.event('command.overlapped', 'tick')).toMatchObject({ next: 'kill' });
    const [first, second] = await kept.written('runs', 2);
    expect(second).not.toBe(first);
    expect(kept.inside.isAlive(Number(first))).toBe(false);
    await upkeep.event('command.stopped', 'tick');
    expect(kept.place('command.overlapped', 'tick')).toBeLessThan(kept.place('command.stopped', 'tick'));
  });

  test('timezone: the same times are others elsewhere', async (context) => {
    const { upkeep } = await keep(
      context,
      `
commands:
  here: {run: 'true', schedule: {cron: '0 12 * * *', timezone: Etc/UTC}}
  there: {run: 'true', schedule: {pattern: '0 12 * * *', timezone: Asia/Tokyo}}
`,
    );
    const here = await upkeep.event('command.scheduled', 'here');
    const there = await upkeep.event('command.scheduled', 'there');
    const apart = (here.at + here.wait - there.at - there.wait + DAY) % DAY;
    expect(Math.abs(apart - 9 * HOUR)).toBeLessThan(10_000);
  });

  test('jitter: a run is put off by chance', async (context) => {
    const { upkeep } = await keep(
      context,
      `
commands:
  sharp: {run: 'true', schedule: '0 0 * * *'}
  spread: {run: 'true', schedule: '0 0 * * *', jitter: 20d}
`,
    );
    const sharp = await upkeep.event('command.scheduled', 'sharp');
    const spread = await upkeep.event('command.scheduled', 'spread');
    expect(spread.wait - sharp.wait).toBeGreaterThan(1_000);
    expect(spread.wait - sharp.wait).toBeLessThan(20 * DAY + 10_000);
  });
});
