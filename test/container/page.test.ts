import { beforeAll, describe, expect, test } from 'vitest';
import { type Container, run } from './docker.ts';
import { IMAGES } from './images.ts';
import { leaders, SERVICES } from './services.ts';

// What the page shows: docker run IMAGE "/usr/sbin/sshd" "/etc/init.d/apache2 start".
const SSHD = SERVICES.ssh!;
const APACHE = SERVICES.apache2!;

interface Outage {
  readonly old: number;
  readonly now: number | null;
  /** ms */
  readonly away: number | null;
}

describe('apache2 and sshd in one container', () => {
  let box: Container;

  const leader = async (pattern: RegExp) => {
    const found = leaders(await box.processes(), pattern);
    return found.length === 1 ? found[0]! : null;
  };
  const answers = async () =>
    (await box.exec('curl', '--silent', '--output', '/dev/null', 'localhost')).code === 0;
  const zombies = async () => (await box.processes()).filter(({ state }) => state === 'Z');
  const noZombies = () => box.until('no zombie', async () => (await zombies()).length === 0, 5);

  /** Apache serves with one root-owned leader and nobody but its own workers. */
  async function onlyOneSet() {
    const all = (await box.processes()).filter(({ command }) => APACHE.test(command));
    const [root, ...others] = all.filter(({ uid }) => uid === 0);
    expect(others).toEqual([]);
    expect(root!.ppid).toBe(1);
    const workers = all.filter(({ uid }) => uid !== 0);
    expect(workers.length).toBeGreaterThan(0);
    expect(new Set(workers.map(({ ppid }) => ppid))).toEqual(new Set([root!.pid]));
  }

  /** A service that has run for 10 s is restarted at once, a younger one after a wait. */
  const stable = () =>
    box.until('apache2 stable', async () => {
      const { pid } = (await leader(APACHE)) ?? {};
      const { stdout } = await box.exec('ps', '-o', 'etimes=', '-p', String(pid));
      const running = [...(await box.log()).matchAll(/apache2: running: pid (\d+)/g)].at(-1)?.[1];
      return Number(running) === pid && Number(stdout) > 11;
    });

  beforeAll(async () => {
    box = await run(IMAGES.apacheSshd, ['/usr/sbin/sshd', '/etc/init.d/apache2 start']);
    await box.until('sshd up', () => leader(SSHD));
    await box.until('apache2 serving', answers);
    // A key of its own, as one would mount it.
    await box.must(
      'sh',
      '-c',
      `mkdir -p -m 700 /root/.ssh && ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519 &&
       cp /root/.ssh/id_ed25519.pub /etc/ssh/authorized_keys`,
    );
  });

  test('ps shows upkeep as PID 1, both services, and apache2 with its workers', async () => {
    const lines = (await box.must('ps', '-ef')).split('\n').map((line) => line.trim().split(/\s+/));
    const shown = lines.map(([user, pid, ppid, , , , , ...command]) => ({
      user,
      pid,
      ppid,
      command: command.join(' '),
    }));
    expect(shown.find(({ pid }) => pid === '1')!.command).toMatch(/^node .*upkeep run \/usr\/sbin\/sshd/);
    expect(shown.filter(({ command }) => SSHD.test(command))).toMatchObject([{ user: 'root', ppid: '1' }]);
    const apache = shown.filter(({ user, command }) => user === 'root' && APACHE.test(command));
    expect(apache).toMatchObject([{ ppid: '1' }]);
    const workers = shown.filter(({ user, command }) => user === 'www-data' && APACHE.test(command));
    expect(workers.length).toBeGreaterThan(0);
    for (const { ppid } of workers) expect(ppid).toBe(apache[0]!.pid);
    await noZombies();
  });

  test('a key opens an ssh login', async () => {
    expect(await box.must('ssh', '-o', 'StrictHostKeyChecking=no', 'root@localhost', 'id -un')).toBe('root');
    await noZombies();
  });

  test('a login without the key is refused', async () => {
    const { code } = await box.exec(
      ...'ssh -o StrictHostKeyChecking=no -o BatchMode=yes -o IdentityFile=/dev/null root@localhost true'.split(
        ' ',
      ),
    );
    expect(code).toBe(255);
  });

  test.each([
    { name: 'service apache2 stop', command: 'service apache2 stop', died: /exited with status 0/ },
    {
      name: 'kill -9 of the leader, its workers left behind',
      command: 'kill -9 LEADER',
      died: /was killed by SIGKILL/,
    },
    { name: 'kill -SEGV of the leader', command: 'kill -SEGV LEADER', died: /was killed by SIGSEGV/ },
  ])('serves again within 1 s after $name', async ({ command, died }) => {
    await stable();
    const { old, now, away } = await box.inside<Outage>('outage', '80', APACHE.source, command);
    console.log(`${command}: pid ${old} was away for ${away} ms, then pid ${now}`);
    expect(now).not.toBeNull();
    expect(away).toBeLessThan(1000);
    await onlyOneSet();
    await noZombies();
    await box.until('its death in the log', async () =>
      new RegExp(`apache2: died: pid ${old} ${died.source}`).test(await box.log()),
    );
  });

  test('a login survives the listener, and a new listener takes new logins', async () => {
    const counter = async () =>
      Number(await box.must('sh', '-c', 'tail -n 1 /tmp/session 2>/dev/null || true'));
    const count = 'i=1; while :; do echo $i; i=$((i+1)); sleep 0.05; done';
    await box.must('sh', '-c', `ssh -n root@localhost '${count}' >/tmp/session 2>&1 &`);
    await box.until('the session counts', async () => (await counter()) > 3);
    const old = (await leader(SSHD))!;
    await box.must('kill', '-9', String(old.pid));
    const now = await box.until(
      'a new listener',
      async () => {
        const found = await leader(SSHD);
        return found !== null && found.pid !== old.pid ? found : null;
      },
      10,
    );
    expect(await box.must('ssh', 'root@localhost', 'id -un')).toBe('root');
    const then = await counter();
    await box.until('the session goes on counting', async () => (await counter()) > then + 20);
    expect((await leader(SSHD))!.pid).toBe(now.pid);
    expect(await box.log()).toMatch(new RegExp(`sshd: died: pid ${old.pid} was killed by SIGKILL`));
  });

  test('docker stop ends it, the login included, with exit code 0', async () => {
    const { code, took } = await box.stop();
    console.log(`docker stop took ${took} ms`);
    expect(code).toBe(0);
    expect(took).toBeLessThan(3000);
  });
});
