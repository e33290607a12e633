/** One container from one policy file: postgresql, a migration that requires it, an application that requires that, nginx in
 * front, cron. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Container, run } from './docker.ts';
import { IMAGES } from './images.ts';

const POLICY = ['--log', 'json', '--policy', '/etc/upkeep.yaml'];

/** Waits until nginx answers with what the application makes of the database. */
const serves = (box: Container, answer = 'hello: 1 notes') =>
  box.until(`"${answer}"`, async () => (await box.exec('curl', '-s', 'localhost')).stdout.trim() === answer);

const pidOf = async (box: Container, command: string): Promise<number> =>
  (await box.eventsOf('command.running', command)).at(-1)!.leader.pid;

/** The positions of these events in the log, first occurrence each. */
async function positions(box: Container, ...wanted: [type: string, command: string][]): Promise<number[]> {
  const events = await box.events();
  return wanted.map(([type, command]) =>
    events.findIndex((event) => event.type === type && 'command' in event && event.command === command),
  );
}

const increasing = (numbers: readonly number[]): boolean =>
  numbers.every((number, index) => number >= 0 && (index === 0 || number > numbers[index - 1]!));

describe('a stack from one policy file', () => {
  let box: Container;

  beforeAll(async () => {
    box = await run(IMAGES.stack, POLICY);
  });

  afterAll(() => box?.remove());

  test('starts in order', async () => {
    await serves(box);
    await box.until('web ready', async () => (await box.eventsOf('command.ready', 'web')).length > 0);
    const order = await positions(
      box,
      ['command.ready', 'db'],
      ['command.launched', 'migrate'],
      ['command.completed', 'migrate'],
      ['command.launched', 'app'],
      ['command.ready', 'app'],
      ['command.launched', 'web'],
      ['command.ready', 'web'],
    );
    expect(order.every((at) => at >= 0) && increasing(order), JSON.stringify(order)).toBe(true);
    expect(await box.eventsOf('command.failedStart')).toEqual([]);
    const users = Object.fromEntries((await box.processes()).map(({ pid, uid }) => [pid, uid] as const));
    expect(users[await pidOf(box, 'db')]).not.toBe(0);
    expect(users[await pidOf(box, 'app')]).toBe(33);
  });

  test('postgres is killed: its group restarts what comes after it, and nothing else', async () => {
    const [db, app, web, cron] = [
      await pidOf(box, 'db'),
      await pidOf(box, 'app'),
      await pidOf(box, 'web'),
      await pidOf(box, 'cron'),
    ];
    await box.must('sh', '-c', `kill -9 ${db}`);
    const [restarting] = await box.until('the strategy', async () => {
      const all = await box.eventsOf('group.restarting');
      return all.length > 0 ? all : null;
    });
    expect(restarting).toMatchObject({ group: 'stack', strategy: 'rest_for_one' });
    expect([...restarting!.members].sort()).toEqual(['app', 'web']);
    await box.until('all three anew', async () => {
      const now = [await pidOf(box, 'db'), await pidOf(box, 'app'), await pidOf(box, 'web')];
      return now[0] !== db && now[1] !== app && now[2] !== web;
    });
    await serves(box);
    expect(await pidOf(box, 'cron')).toBe(cron);
    expect(await box.eventsOf('command.completed', 'migrate')).toHaveLength(1);
  });

  test('a wrong file is refused whole, with nothing changed', async () => {
    const before = await box.processes();
    await box.must(
      'sh',
      '-c',
      'cp /etc/upkeep.yaml /tmp/right && sed -i "s/GREETING/GREETINGS: [/" /etc/upkeep.yaml',
    );
    const refused = await box.exec('upkeep', 'reload');
    expect(refused.code).toBe(78);
    expect(refused.stderr).toMatch(/upkeep\.yaml:\d+:\d+/);
    await box.must('cp', '/tmp/right', '/etc/upkeep.yaml');
    const services = (all: typeof before) => all.filter(({ ppid }) => ppid === 1).map(({ pid }) => pid);
    expect(services(await box.processes())).toEqual(services(before));
  });

  test('a reload that changes one variable restarts one command', async () => {
    const before = Object.fromEntries(
      await Promise.all(
        ['db', 'app', 'web', 'cron'].map(async (name) => [name, await pidOf(box, name)] as const),
      ),
    );
    await box.must('sed', '-i', 's/GREETING: hello/GREETING: good day/', '/etc/upkeep.yaml');
    expect(await box.must('upkeep', 'reload')).toMatch(/restarted app/);
    await serves(box, 'good day: 1 notes');
    await box.until('app anew', async () => (await pidOf(box, 'app')) !== before.app);
    for (const name of ['db', 'web', 'cron']) expect(await pidOf(box, name), name).toBe(before[name]);
  });

  test('docker stop stops in reverse, and leaves nothing undone', async () => {
    const { code, took } = await box.stop();
    console.log(`docker stop took ${took} ms`);
    const events = await box.events();
    const at = (type: string, name: string) =>
      events.findLastIndex((event) => event.type === type && 'command' in event && event.command === name);
    const order = [
      at('command.stopped', 'web'),
      at('command.stopping', 'app'),
      at('command.stopped', 'app'),
      at('command.stopping', 'db'),
      at('command.stopped', 'db'),
    ];
    expect(increasing(order), JSON.stringify(order)).toBe(true);
    expect(code).toBe(0);
    expect(await box.log()).toContain('database system is shut down');
  });
});

describe('an application that cannot work', () => {
  test('fails for good, and the container ends with its exit status', async () => {
    const box = await run(IMAGES.stack, POLICY);
    await serves(box);
    await box.must('touch', '/run/broken');
    await box.must('sh', '-c', `kill -9 ${await pidOf(box, 'app')}`);
    const { code } = await box.ended(60);
    expect(code).toBe(3);
    const [failed] = await box.eventsOf('command.failed');
    expect(failed).toMatchObject({ command: 'app' });
    expect(await box.log()).toContain('database system is shut down');
    await box.remove();
  });
});

describe('as somebody else than root', () => {
  const POLICY_OF_NODE = `
commands:
  app:
    run: node -e 'require("http").createServer((q, s) => s.end(process.env.GREETING)).listen(3000)'
    env: { GREETING: hello }
    ready: { http: "http://127.0.0.1:3000/" }
  after: { run: sleep 1000, requires: app, stop: { timeout: 1s } }
  other: { run: sleep 1000, user: www-data }
`;

  test('order, readiness and reload hold; another user is refused with what to do', async () => {
    const box = await run(
      IMAGES.stack,
      [
        '-c',
        `printf %s '${POLICY_OF_NODE.replaceAll("'", `'\\''`)}' >/tmp/p.yaml; exec upkeep run --log json --policy /tmp/p.yaml`,
      ],
      ['--user', '1000:1000', '--entrypoint', 'sh'],
    );
    await box.until('app ready', async () => (await box.eventsOf('command.ready', 'app')).length > 0);
    await box.until('after', async () => (await box.eventsOf('command.running', 'after')).length > 0);
    const refused = await box.until(
      'a refusal',
      async () => (await box.eventsOf('command.failedStart', 'other'))[0],
    );
    expect(refused.message).toMatch(/root/);
    const app = await pidOf(box, 'app');
    await box.must('sed', '-i', 's/hello/good day/', '/tmp/p.yaml');
    const socket = (
      await box.must('sh', '-c', 'ls /run/upkeep.sock /tmp/upkeep-1000.sock 2>/dev/null || true')
    ).trim();
    await box.must('upkeep', 'reload', '--socket', socket);
    await box.until('app anew', async () => (await pidOf(box, 'app')) !== app);
    const { code } = await box.stop();
    expect(code).toBe(0);
  });
});
