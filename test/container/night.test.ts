/**
 * Four things go wrong in one container, as in docs/how-to/the-night.md, whose policy this is. What has happened to each is to be
 * told from status, why, logs and events alone.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Status } from '../../src/control/status.ts';
import { type Container, run } from './docker.ts';
import { IMAGES } from './images.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/how-to/the-night.md'), 'utf8');
const EACH_MINUTE = '"* * * * *"';
const EACH_SECOND = '"* * * * * *"';
/** That of the page; with runs that are due sooner, for whoever waits for them. */
const POLICY = /^```yaml\n(# upkeep\.yaml\n[\s\S]*?)^```$/m.exec(PAGE)![1]!.replace(EACH_MINUTE, EACH_SECOND);

// Keeps all that it is asked for, from when it is told that the night has begun. What it keeps is filled by the kernel in one go: a
// program that runs at its container's limit has its own code taken away and read again, and may stand still for ten minutes so
// before the kernel has given up to find any memory.
const SHOP = `
import { openSync, readSync } from 'node:fs';
import { createServer } from 'node:http';
const kept = [];
const zero = openSync('/dev/zero');
createServer((request, response) => response.end('ok')).listen(3000, () => console.log('serves on port 3000'));
const serve = () => {
  const answers = Buffer.allocUnsafeSlow(40 * 2 ** 20);
  readSync(zero, answers);
  kept.push(answers);
  console.log(40 * kept.length + ' answers are kept');
};
process.on('SIGUSR2', () => setInterval(serve, 20));
`;
// Whoever reads the file is not answered: it stands for one on a server that is gone.
const IMPORT = `#!/bin/sh
echo "reads /mnt/orders/today.csv"
cat /mnt/orders/today.csv >/srv/orders.csv
echo "done"
`;
const START = `
printf %s "$POLICY" >/etc/upkeep.yaml
printf %s "$SHOP" >/srv/shop.mjs
printf %s "$IMPORT" >/usr/local/bin/import-orders
chmod 755 /usr/local/bin/import-orders
mkdir -p /mnt/orders && mkfifo /mnt/orders/today.csv
mkdir -p /run/sshd && install -d -o postgres -g postgres /run/postgresql
mkdir -p -m 700 /root/.ssh && ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys
exec env -u POLICY -u SHOP -u IMPORT upkeep run --policy /etc/upkeep.yaml
`;
const DATA = '/var/lib/postgresql/15/main';
/** ms that a service has to have run to be started again at once. */
const STABLE = 10_000;

describe('a night', () => {
  let box: Container;
  let login: number;

  const ask = async (...words: string[]): Promise<string> => (await box.exec('upkeep', ...words)).stdout;
  /** As one line what was wrapped. */
  const asked = async (...words: string[]): Promise<string> =>
    (await ask(...words)).replaceAll(/\n {4,}(?=\S)/g, ' ');
  const commandOf = async (name: string) =>
    (JSON.parse(await ask('status', '--json', name)) as Status).commands[0]!;
  /** Where memory is short, the OOM killer may take whoever asks. */
  const commandSoon = async (name: string) => {
    try {
      return await commandOf(name);
    } catch (error) {
      if (error instanceof SyntaxError) return null;
      throw error;
    }
  };
  const becomes = (name: string, what: string, condition: (command: Status['commands'][0]) => boolean) =>
    box.until(
      `${name} ${what}`,
      async () => {
        const command = await commandSoon(name);
        return command !== null && condition(command) ? command : null;
      },
      120,
    );

  beforeAll(async () => {
    const files = { POLICY, SHOP, IMPORT };
    const env = Object.entries(files).map(([name, text]) => `--env=${name}=${text}`);
    const memory = ['--memory=320m', '--memory-swap=320m'];
    box = await run(IMAGES.daemons, ['-c', START], ['--entrypoint=sh', ...memory, ...env]);
    await box.until('the socket', async () => (await box.exec('upkeep', 'status')).stdout !== '');
    for (const name of ['db', 'shop', 'sshd']) {
      await becomes(name, 'stable', ({ ready, leader }) => ready === true && leader!.uptime > STABLE);
    }

    // Somebody is logged in.
    const words = 'ssh -n -o StrictHostKeyChecking=no root@localhost exec sleep 98765';
    await box.must('sh', '-c', `${words} >/tmp/session 2>&1 &`);
    const found = await box.until('the login', async () =>
      (await box.processes()).find(({ command }) => command === 'sleep 98765'),
    );
    login = found.pid;
    const session = /^ +\+ \d+ .* sleep 98765 a session that the service opened/m;
    await box.until('the login seen by upkeep', async () => session.test(await asked('why', 'sshd')));

    // The listener is killed, by whomever.
    const { leader } = await commandOf('sshd');
    await box.must('sh', '-c', `kill -9 ${leader!.pid}`);
    await becomes('sshd', 'back', ({ restarts, ready }) => restarts === 1 && ready === true);

    // Nothing can be written any more where the data is: a client that has been there before has that found out.
    const client = '(until test -e /tmp/dusk; do sleep 0.1; done; echo checkpoint) | psql';
    await box.must('sh', '-c', `su postgres -c '${client}' >/tmp/psql 2>&1 &`);
    await box.until('the client', async () =>
      (await box.processes()).some(({ command }) => /^postgres: .* idle$/.test(command)),
    );
    await box.must('chmod', '-R', 'a-w', DATA);
    await box.must('touch', '/tmp/dusk');
    await becomes('db', 'failing', ({ state, failures }) => state === 'backoff' && failures >= 3);

    // Customers come.
    await box.must('upkeep', 'signal', 'shop', 'USR2');
    // Whoever asks in there now takes memory as well, and may be taken for the culprit.
    await box.until('the end of the shop', async () => /^upkeep \| shop: died/m.test(await box.log()), 300);
    await becomes('shop', 'out of memory', ({ lastOom, ready }) => lastOom === true && ready === true);

    await becomes('import', 'late', ({ leftOut }) => leftOut >= 2);
  });

  test('status: each of the four is another than it was, and the lines fit', async () => {
    const table = await box.until('db in backoff, shop ready', async () => {
      const shown = await box.exec('upkeep', 'status');
      return shown.code === 3 && /^db +backoff/m.test(shown.stdout) ? shown.stdout : null;
    });
    expect(table).toMatch(/^NAME +STATE +FOR +PID +UP +RESTARTS +LAST EXIT/);
    expect(table).toMatch(/^db +backoff +\S+ +- +- +\d+ +1\n +→ retry \d+ in /m);
    expect(table).toMatch(/^shop +ready +\S+ +\d+ +\S+ +1 +SIGKILL oom$/m);
    expect(table).toMatch(/^sshd +ready +\S+ +\d+ +\S+ +1 +SIGKILL$/m);
    expect(table).toMatch(/^import +running +\S+ +\d+ +\S+ +0 +-\n +→ \d+ runs left out, due again in /m);
    for (const line of table.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  });

  test('db: it may not write, and says so itself', async () => {
    const cause = /FATAL: .*Permission denied/;
    const why = await asked('why', 'db');
    expect(why).toMatch(/^It is wished up .*, and that is not so\.$/m);
    expect(why).toMatch(/^Its last run exited with status 1\.$/m);
    expect(why).toMatch(/^ +\d+\. \S+ +exited with status 1; .*tried again after /m);
    expect(why).toMatch(cause);
    expect(await ask('logs', '-n', '20', 'db')).toMatch(cause);
    // It ran, until it died of it.
    expect(why).toMatch(/^ +1\. \S+ +was killed by SIGABRT/m);
    expect(await ask('logs', 'db')).toMatch(/PANIC: .*Permission denied/);
    const events = await ask('events', 'db');
    expect(events).toMatch(/db: died: pid \d+ was killed by SIGABRT.* after .*; restart 1, now$/m);
    expect(events).toMatch(/db: cannot start: exited with status 1; failure \d+, tried again in /);
  });

  test('shop: the kernel has ended it, for it had taken all memory', async () => {
    const why = await asked('why', 'shop');
    const oom = /was killed by SIGKILL; out of memory: the kernel's OOM killer; it had taken (\d+) MiB/.exec(
      why,
    );
    expect(Number(oom?.[1])).toBeGreaterThan(100);
    // What led there.
    expect(why).toMatch(/> \d+ answers are kept/);
    expect(await ask('logs', 'shop')).toMatch(/^shop \| \d+ answers are kept$/m);
    expect(await ask('events', 'shop')).toMatch(
      /shop: died: pid \d+ was killed by SIGKILL \(out of memory: the kernel's OOM killer; it had taken \d+ MiB\) after .*; restart 1, now$/m,
    );
  });

  test('import: a run hangs, in what it reads, and others were left out for it', async () => {
    const why = await asked('why', 'import');
    expect(why).toMatch(/^import is running .*, for /);
    expect(why).toMatch(/^\d+ runs that were due have been left out since its last one began\.$/m);
    expect(why).toMatch(/^ +\* \d+ \(parent 1, .* old\) \/bin\/sh \/usr\/local\/bin\/import-orders/m);
    expect(why).toMatch(/^ +\+ \d+ \(parent \d+, .* old\) cat \/mnt\/orders\/today\.csv/m);
    expect(await ask('logs', 'import')).toBe('import | reads /mnt/orders/today.csv\n');
    const events = await ask('events', 'import');
    expect(events).toMatch(/import: a run is due while the one before it goes on: it is left out$/m);
    expect(events).not.toMatch(/import: done/);
  });

  test('sshd: somebody has killed the listener; it was back at once, and who was logged in still is', async () => {
    const why = await asked('why', 'sshd');
    expect(why).toMatch(/was killed by SIGKILL; memory had not run out: somebody has sent it; after /);
    expect(why).toMatch(/^ +\+ \d+ .* sleep 98765 a session that the service opened/m);
    const logs = await ask('logs', 'sshd');
    expect(logs).toMatch(/^sshd \| sshd\[\d+\]: Accepted publickey for root from /m);
    expect(logs.match(/^sshd \| sshd\[\d+\]: Server listening on 0\.0\.0\.0 port 22\.$/gm)).toHaveLength(2);
    const events = await ask('events', 'sshd');
    expect(events).toMatch(
      /sshd: died: pid \d+ was killed by SIGKILL after .*, leaving \d+ sessions; restart 1, now$/m,
    );
    // How long nobody listened.
    expect(events).toMatch(/sshd: running: pid \d+ \(sshd\) after \d+(\.\d)? m?s$/m);
    expect((await box.processes()).find(({ pid }) => pid === login)?.command).toBe('sleep 98765');
    expect(await box.must('ssh', 'root@localhost', 'id -un')).toBe('root');
  });

  test('why fits 80 columns', async () => {
    for (const name of ['db', 'shop', 'import', 'sshd']) {
      for (const line of (await ask('why', name)).split('\n')) {
        expect(line.length, line).toBeLessThanOrEqual(80);
      }
    }
  });

  test('once the cause is gone, so is what came of it', async () => {
    await box.must('chmod', '-R', 'u+w', DATA);
    await box.must('upkeep', 'restart', 'db');
    expect(await box.must('upkeep', 'stop', 'import')).toBe('import: stopped');
    expect((await box.exec('upkeep', 'status')).code).toBe(0);
    expect((await box.stop()).code).toBe(0);
  });
});
