import { expect, test } from 'vitest';
import type { Exit, Told } from '../../machines/events.ts';
import type { Happening } from '../../src/output/journal.ts';
import { type CommandSample, createMetrics, type Sample } from '../../src/output/metrics.ts';

const exit = (change: Partial<Exit> = {}): Exit => ({
  known: true,
  code: 0,
  signal: null,
  core: false,
  ...change,
});
const KILLED = exit({ code: null, signal: 'SIGKILL' });
const NOTHING = { workers: 0, tagged: 0, sessions: 0 };

const started = (...commands: string[]): Told => ({
  type: 'upkeep.started',
  at: 0,
  version: '1',
  pid: 1,
  commands,
  table: '',
  lineage: '',
  reaping: '',
});
const launched = (at: number, command = 'web'): Told => ({
  type: 'command.launched',
  at,
  command,
  pid: 7,
  start: 1,
});
const running = (at: number, command = 'web'): Told => ({
  type: 'command.running',
  at,
  command,
  leader: { pid: 7, startTicks: 7, name: command, rule: 'launcher', since: at },
  how: 'started',
  took: 0,
});
const died = (at: number, how = KILLED, command = 'web'): Told => ({
  type: 'command.died',
  at,
  command,
  id: { pid: 7, startTicks: 7 },
  exit: how,
  uptime: 1,
  restart: 1,
  wait: 0,
  remains: NOTHING,
});
const failedStart = (at: number, how: Exit | null, pid: number | null = 7): Told => ({
  type: 'command.failedStart',
  at,
  command: 'web',
  pid,
  reason: '',
  exit: how,
  failures: 1,
  wait: 0,
});
const stopped = (at: number, how: Exit | null): Told => ({
  type: 'command.stopped',
  at,
  command: 'web',
  exit: how,
  took: 1,
  left: 0,
  idle: false,
});
const ordered = (order: string): Told => ({ type: 'operator.ordered', at: 0, order, commands: ['web'] });
const reloaded = (change: object): Told => ({
  type: 'policy.reloaded',
  at: 0,
  started: [],
  stopped: [],
  restarted: [],
  adjusted: [],
  unchanged: 0,
  sections: [],
  notes: {},
  ...change,
});

const command = (name = 'web', change: Partial<CommandSample> = {}): CommandSample => ({
  name,
  state: 'running',
  asWished: true,
  since: 1_700_000_000.5,
  processes: 3,
  resident: 4096,
  ...change,
});
const sample = (...commands: CommandSample[]): Sample => ({
  commands: commands.length === 0 ? [command()] : commands,
  processes: 12,
  dropped: { stdout: 1, file: 2, syslog: 3 },
  self: { resident: 1_000, cpu: 1.5, since: 1_700_000_000 },
});

/** The value of each series, after these events. */
async function after(events: readonly Happening[], measured = sample()): Promise<Record<string, number>> {
  const metrics = createMetrics('1.2.3');
  for (const event of events) metrics.note(event);
  return seriesOf(await metrics.text(measured, async () => {}));
}

function seriesOf(text: string): Record<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    lines.map((line) => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end), Number(line.slice(end))];
    }),
  );
}

const restarts = (series: Record<string, number>): Record<string, number> =>
  Object.fromEntries(
    Object.entries(series).flatMap(([key, value]) => {
      const reason = /^upkeep_command_restarts_total\{command="web",reason="(\w+)"\}/.exec(key)?.[1];
      return reason === undefined || value === 0 ? [] : [[reason, value]];
    }),
  );
const exits = (series: Record<string, number>): Record<string, number> =>
  Object.fromEntries(
    Object.entries(series).flatMap(([key, value]) => {
      const status = /^upkeep_command_exits_total\{command="web",status="(\w+)"\}/.exec(key)?.[1];
      return status === undefined ? [] : [[status, value]];
    }),
  );

test('what is measured when it is asked for', async () => {
  expect(
    await after(
      [],
      sample(
        command(),
        command('db', { state: 'failed', since: null, resident: null, asWished: false, processes: 0 }),
      ),
    ),
  ).toMatchObject({
    'upkeep_info{version="1.2.3"}': 1,
    'upkeep_command_up{command="web"}': 1,
    'upkeep_command_up{command="db"}': 0,
    'upkeep_command_as_wished{command="web"}': 1,
    'upkeep_command_as_wished{command="db"}': 0,
    'upkeep_command_state{command="web",state="running"}': 1,
    'upkeep_command_state{command="db",state="failed"}': 1,
    'upkeep_command_start_time_seconds{command="web"}': 1_700_000_000.5,
    'upkeep_command_processes{command="web"}': 3,
    'upkeep_command_resident_memory_bytes{command="web"}': 4096,
    upkeep_processes: 12,
    'upkeep_log_lines_dropped_total{log="stdout"}': 1,
    'upkeep_log_lines_dropped_total{log="file"}': 2,
    'upkeep_log_lines_dropped_total{log="syslog"}': 3,
    process_resident_memory_bytes: 1_000,
    process_cpu_seconds_total: 1.5,
    process_start_time_seconds: 1_700_000_000,
  });
});

test('memory that nobody can tell is left out, and told again when it is known', async () => {
  const metrics = createMetrics('1');
  const text = async (resident: number | null): Promise<Record<string, number>> => {
    const measured = sample(command('web', { resident }));
    return seriesOf(
      await metrics.text({ ...measured, self: { ...measured.self, resident } }, async () => {}),
    );
  };
  const memory = [
    'process_resident_memory_bytes',
    'upkeep_command_resident_memory_bytes{command="web"}',
  ] as const;
  for (const bytes of [null, 5, null, 7]) {
    const series = await text(bytes);
    expect(memory.map((name) => series[name])).toEqual([bytes ?? undefined, bytes ?? undefined]);
    expect(series['upkeep_command_processes{command="web"}']).toBe(3);
  }
});

test('what is measured says nothing of before', async () => {
  const metrics = createMetrics('1');
  await metrics.text(sample(), async () => {});
  const next = sample(command('web', { state: 'backoff', since: null }));
  const series = seriesOf(await metrics.text(next, async () => {}));
  expect(Object.keys(series).filter((key) => /state|start_time_seconds\{/.test(key))).toEqual([
    'upkeep_command_state{command="web",state="backoff"}',
  ]);
  expect(series).toMatchObject({
    process_cpu_seconds_total: 1.5,
    'upkeep_log_lines_dropped_total{log="file"}': 2,
  });
});

test('a command that never restarted says so', async () => {
  expect(await after([started('web')])).toMatchObject({
    'upkeep_command_restarts_total{command="web",reason="died"}': 0,
  });
});

const begin = [started('web'), launched(0), running(1_000)];

test.each<[string, readonly Told[], Record<string, number>, Record<string, number>]>([
  ['a first start', begin, {}, {}],
  ['a death', [...begin, died(2_000), launched(2_001)], { died: 1 }, { SIGKILL: 1 }],
  [
    'failed starts',
    [
      ...begin,
      died(2_000, exit({ code: 3 })),
      launched(2_001),
      failedStart(2_100, exit({ code: 1 })),
      launched(2_200),
    ],
    { died: 1, failed_start: 1 },
    { 3: 1, 1: 1 },
  ],
  [
    'a launch that fails',
    [...begin.slice(0, 2), failedStart(5, exit()), failedStart(9, null, null)],
    {},
    { 0: 1 },
  ],
  [
    'a start that is not ready in time',
    [
      ...begin,
      failedStart(2_000, null),
      stopped(2_100, exit({ code: null, signal: 'SIGTERM' })),
      launched(2_200),
    ],
    { failed_start: 1 },
    { SIGTERM: 1 },
  ],
  [
    'an order to restart',
    [...begin, ordered('restart'), stopped(3_000, exit()), launched(3_001)],
    { order: 1 },
    { 0: 1 },
  ],
  [
    'an order to restart many, of whom one was back by itself before it came to it',
    [...begin, died(2_000), ordered('restart'), launched(2_100), stopped(3_000, exit()), launched(3_001)],
    { order: 2 },
    { SIGKILL: 1, 0: 1 },
  ],
  [
    'a stop that replaced a restart before it came to it',
    [
      ...begin,
      ...[ordered('restart'), launched(2_000)],
      ...[ordered('stop'), stopped(3_000, exit()), launched(3_001)],
    ],
    { order: 1 },
    { 0: 1 },
  ],
  ['an order to start what never ran', [started('web'), ordered('start'), launched(1)], {}, {}],
  ['an order to stop what had died', [...begin, died(2_000), stopped(2_100, KILLED)], {}, { SIGKILL: 1 }],
  [
    'bad health',
    [
      ...begin,
      { type: 'command.unhealthy', at: 2_000, command: 'web', reason: '', next: 'restart' },
      stopped(2_100, exit()),
      launched(2_200),
    ],
    { unhealthy: 1 },
    { 0: 1 },
  ],
  [
    'a group',
    [
      ...begin,
      {
        type: 'group.restarting',
        at: 2_000,
        group: 'g',
        strategy: 'one_for_all',
        because: 'db',
        members: ['web'],
      },
      stopped(2_100, exit()),
      launched(2_200),
    ],
    { group: 1 },
    { 0: 1 },
  ],
  [
    'a reload',
    [...begin, reloaded({ restarted: ['web'] }), stopped(2_100, exit()), launched(2_200)],
    { reload: 1 },
    { 0: 1 },
  ],
  [
    'a run of a schedule',
    [
      ...begin,
      { type: 'command.completed', at: 2_000, command: 'web', exit: exit(), success: true, took: 1 },
      launched(9_000),
    ],
    {},
    { 0: 1 },
  ],
  ['an end that nobody saw', [...begin, died(2_000, exit({ known: false, code: null }))], {}, { unknown: 1 }],
])('%s', async (_, events, expectedRestarts, expectedExits) => {
  const series = await after(events);
  expect(restarts(series)).toEqual(expectedRestarts);
  expect(exits(series)).toEqual(expectedExits);
});

test('how long it was down, waits and failed starts included; a stop is nothing to wait for', async () => {
  const series = await after([
    ...begin,
    died(2_000),
    launched(2_001),
    failedStart(2_100, KILLED),
    launched(2_200),
    running(3_500),
    died(4_000),
    stopped(4_100, null),
    launched(90_000),
    running(91_000),
  ]);
  expect(series).toMatchObject({ upkeep_restart_seconds_count: 1, upkeep_restart_seconds_sum: 1.5 });
});

test('detection: by the kernel where it told, else since the look before', async () => {
  const metrics = createMetrics('1');
  for (const event of begin) metrics.note(event);
  metrics.looked(1_000, 1_001, false);
  metrics.ended('web', 1_500);
  metrics.looked(1_501, 1_502, false);
  metrics.note(died(1_504));
  metrics.note(launched(1_505));
  metrics.note(running(2_000));
  metrics.looked(3_000, 3_020, true);
  metrics.looked(8_000, 8_020, true);
  metrics.note(died(8_030));
  metrics.note(launched(8_031));
  metrics.note(running(9_000));
  metrics.alarmed(9_990);
  metrics.looked(9_991, 9_999, true);
  metrics.note(died(10_000));
  const series = seriesOf(await metrics.text(sample(), async () => {}));
  expect(series).toMatchObject({
    'upkeep_detection_seconds_count{source="kernel"}': 2,
    'upkeep_detection_seconds_count{source="look"}': 1,
    'upkeep_detection_seconds_sum{source="look"}': 5.03,
    'upkeep_scan_seconds_count{look="newcomers"}': 2,
    'upkeep_scan_seconds_count{look="all"}': 3,
  });
  expect(series['upkeep_detection_seconds_sum{source="kernel"}']).toBeCloseTo(0.014, 6);
});

test('probes, orphans, a late event loop', async () => {
  const metrics = createMetrics('1');
  metrics.note(started('web'));
  metrics.probed('web', 'ready', false);
  metrics.probed('web', 'ready', true);
  metrics.probed('web', 'health', true);
  metrics.reaped();
  metrics.delayed(30);
  metrics.delayed(-1);
  expect(seriesOf(await metrics.text(sample(), async () => {}))).toMatchObject({
    'upkeep_command_probes_total{command="web",probe="ready",result="failed"}': 1,
    'upkeep_command_probes_total{command="web",probe="ready",result="ok"}': 1,
    'upkeep_command_probes_total{command="web",probe="health",result="ok"}': 1,
    upkeep_reaped_orphans_total: 1,
    upkeep_event_loop_delay_seconds_count: 2,
    'upkeep_event_loop_delay_seconds_bucket{le="0.025"}': 1,
  });
});

test('of a command that is gone nothing is kept', async () => {
  const metrics = createMetrics('1');
  for (const event of [...begin, died(2_000), launched(2_001)]) metrics.note(event);
  metrics.probed('web', 'ready', true);
  expect(await metrics.text(sample(), async () => {})).toContain('command="web"');
  expect(await metrics.text(sample(command('db')), async () => {})).not.toContain('command="web"');
});

test('the event loop turns between two metrics', async () => {
  let turns = 0;
  await createMetrics('1').text(sample(), async () => void turns++);
  expect(turns).toBeGreaterThan(15);
});
