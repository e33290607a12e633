/** `--http`: what orchestrators are answered, of real processes. */
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { freePort, Namespace, noNamespace, type Upkeep, until } from './namespace.ts';
import { keep } from './policies.ts';

type Series = Readonly<Record<string, number>>;

const get = (port: number, path: string): Promise<{ status: number; text: string } | null> =>
  fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } }).then(
    async (answer) => ({ status: answer.status, text: await answer.text() }),
    () => null,
  );

/** null: nobody answers. */
async function scrape(port: number): Promise<Series | null> {
  const answer = await get(port, '/metrics');
  if (answer?.status !== 200) return null;
  const lines = answer.text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    lines.map((line) => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end), Number(line.slice(end))];
    }),
  );
}

function seen(
  upkeep: Upkeep,
  port: number,
  what: string,
  check: (series: Series) => boolean,
): Promise<Series> {
  return upkeep.until(what, async () => {
    const series = await scrape(port);
    return series !== null && check(series) ? series : null;
  });
}

const noPromtool =
  spawnSync('promtool', ['--version']).error === undefined ? null : 'there is no promtool here';

describe.skipIf(noNamespace)(`--http ${noNamespace ?? ''}`, () => {
  test('counts and measures what becomes of services', async (context) => {
    const inside = new Namespace(context);
    const [alpha, beta] = ['alpha', 'beta'].map((name) => inside.install('daemon.sh', name));
    const port = await freePort();
    const upkeep = await inside.upkeep([alpha!, `${beta} --double`, 'sad: sh -c "exit 3"'], {
      args: [`--http=${port}`],
    });
    const [first] = await upkeep.running('alpha');
    const [second] = await upkeep.daemons('beta');
    const { length } = upkeep.events('command.running', 'beta');
    const before = await seen(
      upkeep,
      port,
      'all that runs',
      (series) =>
        series['upkeep_command_up{command="beta"}'] === 1 &&
        series['upkeep_command_up{command="alpha"}'] === 1,
    );
    expect(before).toMatchObject({
      'upkeep_command_restarts_total{command="alpha",reason="died"}': 0,
      'upkeep_command_up{command="sad"}': 0,
      'upkeep_command_state{command="alpha",state="running"}': 1,
      'upkeep_command_as_wished{command="sad"}': 0,
      'upkeep_log_lines_dropped_total{log="stdout"}': 0,
    });
    const kib = inside.residentOf(first!);
    const resident = before['upkeep_command_resident_memory_bytes{command="alpha"}']!;
    expect(resident).toBeGreaterThan(kib * 512);
    const age = Date.now() / 1_000 - before['upkeep_command_start_time_seconds{command="alpha"}']!;
    expect(age).toBeGreaterThan(0);
    expect(before['upkeep_command_processes{command="alpha"}']).toBeGreaterThan(0);
    // A daemon's launcher is Node's, the daemon itself is not.
    const orphans = before.upkeep_reaped_orphans_total!;

    for (const pid of [first!, second!]) await inside.end(pid);
    await upkeep.event('command.running', 'alpha', 2);
    await upkeep.event('command.running', 'beta', length + 1);
    const after = await seen(
      upkeep,
      port,
      'two restarts',
      (series) =>
        series['upkeep_command_restarts_total{command="alpha",reason="died"}'] === 1 &&
        series['upkeep_command_restarts_total{command="beta",reason="died"}'] === 1 &&
        series.upkeep_restart_seconds_count === 2,
    );
    expect(after).toMatchObject({
      'upkeep_command_exits_total{command="alpha",status="SIGKILL"}': 1,
      'upkeep_command_exits_total{command="beta",status="SIGKILL"}': 1,
      'upkeep_detection_seconds_count{source="kernel"}': 2,
    });
    expect(after['upkeep_command_exits_total{command="sad",status="3"}']).toBeGreaterThan(0);
    expect(after['upkeep_command_restarts_total{command="sad",reason="failed_start"}']).toBeGreaterThan(0);
    expect(after.upkeep_restart_seconds_sum).toBeGreaterThan(0);
    expect(after.upkeep_reaped_orphans_total).toBeGreaterThan(orphans);
    expect(after['upkeep_scan_seconds_count{look="newcomers"}']).toBeGreaterThan(0);
    expect(after.upkeep_event_loop_delay_seconds_count).toBeGreaterThan(0);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test.skipIf(noPromtool)(
    `is as promtool wants it, which needs promtool ${noPromtool ?? ''}`,
    async (context) => {
      const inside = new Namespace(context);
      const port = await freePort();
      const upkeep = await inside.upkeep([inside.install('daemon.sh', 'alpha')], {
        args: [`--http=${port}`],
      });
      const [pid] = await upkeep.running('alpha');
      await inside.end(pid!);
      await seen(upkeep, port, 'a restart', (series) => series.upkeep_restart_seconds_count === 1);
      const { text } = (await get(port, '/metrics'))!;
      const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
        input: text,
        encoding: 'utf8',
      });
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
    },
  );

  test('answers probes by what a policy says, from a reload on as well, and moves', async (context) => {
    const [one, two] = [await freePort(), await freePort()];
    const policy = (http: string, probe: string) => (inside: Namespace) =>
      `
      container: {http: ${http}}
      commands:
        a:
          run: ${inside.install('daemon.sh', 'alpha')}
          ready: {file: ${inside.dir}/${probe}, interval: 50ms}
    `;
    const inside = new Namespace(context);
    const kept = await keep(context, policy('false', 'up'), { within: await inside.idleInit() });
    await kept.upkeep.event('command.running', 'a');
    kept.rewrite(policy(String(one), 'up'));
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await until('an answer', async () => (await get(one!, '/readyz'))?.status === 503);
    expect(await get(one!, '/livez')).toMatchObject({ status: 200 });
    const failed = 'upkeep_command_probes_total{command="a",probe="ready",result="failed"}';
    await seen(kept.upkeep, one!, 'failed probes', (series) => series[failed]! > 0);
    inside.write('up', '');
    await until('readiness', async () => (await get(one!, '/readyz'))?.status === 200);
    const ok = 'upkeep_command_probes_total{command="a",probe="ready",result="ok"}';
    await seen(kept.upkeep, one!, 'the one that succeeded', (series) => series[ok] === 1);
    kept.rewrite(policy(`"127.0.0.1:${two}"`, 'up'));
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await until('an answer elsewhere', async () => (await get(two!, '/livez'))?.status === 200);
    expect(await get(one!, '/livez')).toBeNull();
    kept.rewrite(policy('false', 'up'));
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await until('nobody', async () => (await get(two!, '/livez')) === null);
    expect(await kept.upkeep.stop()).toMatchObject({ code: 0 });
  });

  test('a port that is taken is told, harms nothing, and is tried again', async (context) => {
    const inside = new Namespace(context);
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    context.onTestFinished(() => void holder.close());
    const { port } = holder.address() as { port: number };
    const upkeep = await inside.upkeep([inside.install('daemon.sh', 'alpha')], { args: [`--http=${port}`] });
    await upkeep.running('alpha');
    const said = await upkeep.until(
      'a word',
      () =>
        upkeep.events('upkeep.notice').find(({ message }) => /cannot answer probes/.test(message)) ?? null,
    );
    expect(said.message).toMatch(/at 127\.0\.0\.1:\d+: somebody listens there already; name another port/);
    holder.close();
    await upkeep.until('an answer', async () => (await get(port, '/livez'))?.status === 200);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });

  test('scraped as fast as it goes while 100 commands crash, all come back, and the counters say what happened', async (context) => {
    const inside = new Namespace(context);
    const port = await freePort();
    const names = Array.from({ length: 100 }, (_, index) => `c${index}`);
    const alpha = inside.install('daemon.sh', 'alpha');
    const upkeep = await inside.upkeep([...names.map((name) => `${name}: exit 7`), alpha], {
      args: [`--http=${port}`],
    });
    const [pid] = await upkeep.running('alpha');
    let over = false;
    const scrapers = Array.from({ length: 8 }, async () => {
      let answered = 0;
      while (!over) if ((await get(port, '/metrics'))?.status === 200) answered++;
      return answered;
    });
    await inside.end(pid!);
    await upkeep.event('command.running', 'alpha', 2);
    await Promise.all(names.map((name) => upkeep.event('command.failedStart', name, 4)));
    over = true;
    expect(Math.min(...(await Promise.all(scrapers)))).toBeGreaterThan(1);
    const series = await seen(upkeep, port, 'all restarts', (all) =>
      names.every(
        (name) => all[`upkeep_command_restarts_total{command="${name}",reason="failed_start"}`]! >= 3,
      ),
    );
    for (const name of names) {
      const exits = series[`upkeep_command_exits_total{command="${name}",status="7"}`]!;
      expect(exits).toBeGreaterThanOrEqual(4);
      expect(exits).toBeLessThanOrEqual(upkeep.events('command.failedStart', name).length + 1);
    }
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });
});
