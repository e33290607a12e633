/** docs/how-to/syslog.md: what daemons say by syslog(3) is in the log. */
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  hasProgram,
  type Line,
  Namespace,
  noNamespace,
  noOtherUser,
  UID,
  type Upkeep,
  until,
} from './namespace.ts';
import { ask, freePort, keep } from './policies.ts';

const missing = noNamespace ?? (['perl', 'logger'].every(hasProgram) ? null : 'perl and logger are needed');
const noSshd =
  missing ??
  noOtherUser ??
  (['sshd', 'ssh', 'ssh-keygen'].every(hasProgram) ? null : 'openssh-server is needed');

/** What of syslog was logged for a name. */
const messages = (upkeep: Upkeep, name: string): Line[] =>
  upkeep.said(name).filter(({ stream }) => stream === 'syslog');
const notices = (upkeep: Upkeep): string[] => upkeep.events('upkeep.notice').map(({ message }) => message);

/** Words that give the program a /dev of its own, in which there is no log. */
const withOwnDev = (dir: string): string[] => {
  const dev = join(dir, 'dev');
  const script = [
    `mkdir ${dev}`,
    `mount -t tmpfs none ${dev}`,
    `for name in null zero full random urandom tty; do : >${dev}/$name; mount --bind /dev/$name ${dev}/$name; done`,
    `mkdir ${dev}/pts`,
    `mount --bind /dev/pts ${dev}/pts`,
    `ln -s /proc/self/fd ${dev}/fd`,
    `ln -s pts/ptmx ${dev}/ptmx`,
    `mount --rbind ${dev} /dev`,
    'exec "$@"',
  ];
  return ['sh', '-ec', script.join('\n'), 'sh'];
};

/** A namespace, and the socket that its services are told of. */
function place(context: ConstructorParameters<typeof Namespace>[0]) {
  const inside = new Namespace(context);
  const socket = join(inside.dir, 'log');
  return {
    inside,
    socket,
    reporter: inside.install('reporter.pl', 'reporter.pl'),
    options: { args: [`--syslog=${socket}`, '--grace', '60s'], env: { SYSLOG_SOCKET: socket } },
  };
}

describe.skipIf(missing)(`syslog ${missing ?? ''}`, { concurrent: true }, () => {
  test('at /dev/log: what syslog(3) says in a daemon is a line of its command, and the socket is gone in the end', async (context) => {
    const inside = new Namespace(context);
    const reporter = inside.install('reporter.pl', 'reporter.pl');
    const upkeep = await inside.upkeep([`quiet: ${reporter} stay reporter`], {
      args: ['--syslog', '--grace', '60s'],
      prefix: withOwnDev(inside.dir),
    });
    const [pid] = await upkeep.daemons('quiet');
    const [line] = await upkeep.until('its line', () => {
      const found = messages(upkeep, 'quiet');
      return found.length > 0 && found;
    });
    expect(line).toEqual({
      time: expect.any(String),
      name: 'quiet',
      stream: 'syslog',
      facility: 'daemon',
      severity: 'notice',
      tag: 'reporter',
      procid: String(pid),
      pid,
      line: 'up',
    });
    // Who comes later asks for it, and reads what the plain log would have.
    const logs = await ask(inside, ['logs', '--socket', join(inside.dir, 'sock'), 'quiet']);
    expect(logs).toMatchObject({ code: 0, stdout: `quiet | reporter[${pid}]: up\n` });
    const test = (...words: string[]) =>
      new Promise((resolve) => inside.run(['test', ...words]).once('exit', resolve));
    expect(await test('-S', '/dev/log')).toBe(0);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });

  test('whoever has ended before its message is read is known all the same, where nobody else has reaped it', async (context) => {
    const { inside, reporter, options } = place(context);
    const upkeep = await inside.upkeep([`brief: ${reporter} brief nobody 5`], options);
    await upkeep.running('brief');
    // They are all dead when it goes on, and it hears of their messages and of their deaths at once.
    inside.kill(1, 'SIGSTOP');
    inside.write('go', '');
    await until('the dead', () => inside.zombies().filter(({ ppid }) => ppid === 1).length === 5);
    inside.kill(1, 'SIGCONT');
    await upkeep.until(
      'their messages',
      () => messages(upkeep, 'brief').length + messages(upkeep, 'upkeep').length === 5,
    );
    expect(
      messages(upkeep, 'brief')
        .map(({ line }) => line)
        .sort(),
    ).toEqual([1, 2, 3, 4, 5].map((number) => `brief ${number}`));
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });

  test('what a service says last comes before the news of its end, and in what is told of it', async (context) => {
    const { inside, reporter, options } = place(context);
    const upkeep = await inside.upkeep([`doomed: ${reporter} fatal nobody`], options);
    const failed = await upkeep.event('command.failedStart', 'doomed');
    expect(failed.lastLines).toEqual([
      expect.stringMatching(/^nobody\[\d+\]: fatal: there is no configuration$/),
    ]);
    const [said] = messages(upkeep, 'doomed');
    expect(said).toMatchObject({ severity: 'crit' });
    expect(upkeep.lines.indexOf(said!)).toBeLessThan(upkeep.lines.indexOf(failed));
  });

  test('of whoever upkeep does not know it is upkeep’s own line, or that of the command it is called after', async (context) => {
    const { inside, socket, reporter, options } = place(context);
    const upkeep = await inside.upkeep([`web: ${reporter} stay web`], { ...options, log: 'plain' });
    await upkeep.until('the socket', () => existsSync(socket));
    // It is nobody's child in there.
    inside.run(['logger', '--socket', socket, '-t', 'stranger', 'hello\x1b[2J']);
    inside.run(['logger', '--rfc5424', '--socket', socket, '--id=1234567', '-t', 'web', 'hello']);
    await upkeep.until('both', () =>
      ['upkeep | syslog: stranger: hello#033[2J', 'web | web[1234567]: hello'].every((line) =>
        upkeep.text.includes(line),
      ),
    );
    // Of another namespace, where its number means nothing.
    execFileSync('logger', ['--socket', socket, '-t', 'outside', 'hello']);
    await upkeep.until('it', () => upkeep.text.includes('upkeep | syslog: outside: hello'));
  });

  test('raw: it is written by upkeep, as in plain', async (context) => {
    const { inside, reporter, options } = place(context);
    const upkeep = await inside.upkeep([`quiet: ${reporter} stay me`], { ...options, log: 'raw' });
    await upkeep.until('its line', () => upkeep.text.some((line) => /^quiet \| me\[\d+\]: up$/.test(line)));
  });

  test('a socket that was left is replaced; one that somebody listens at is not, and all else goes on', async (context) => {
    const { inside, socket, reporter, options } = place(context);
    await inside.idleInit();
    const first = await inside.upkeep([`a: ${reporter} stay a`], options);
    await first.running('a');
    const { ino } = lstatSync(socket);
    const second = await inside.upkeep([`b: ${reporter} stay b`], {
      ...options,
      socket: join(inside.dir, 'other'),
    });
    await second.running('b');
    expect(notices(second)).toEqual([
      expect.stringMatching(
        `cannot listen for syslog messages at ${socket}: somebody listens at .* already .*; stop it, or`,
      ),
    ]);
    // What the second one's service has said is in the log of whoever listens.
    await first.until('it', () => messages(first, 'upkeep').some(({ tag }) => tag === 'b'));
    await second.stop();
    expect(lstatSync(socket).ino).toBe(ino);

    first.signal('SIGKILL');
    await first.ended();
    const third = await inside.upkeep([`a: ${reporter} stay a`, `c: ${reporter} stay c`], options);
    await third.until('its line', () => messages(third, 'c').length > 0);
    expect(notices(third).filter((text) => text.includes('syslog'))).toEqual([]);
    expect(await third.stop()).toMatchObject({ code: 0 });
    expect(existsSync(socket)).toBe(false);
  });

  test('without koffi there is none, which is told, and all else goes on', async (context) => {
    const { inside, options } = place(context);
    const upkeep = await inside.upkeep([inside.install('daemon.sh', 'alpha')], {
      ...options,
      env: { UPKEEP_NO_NATIVE: '1' },
    });
    await upkeep.running('alpha');
    expect(notices(upkeep).join('\n')).toMatch(/cannot listen for syslog messages at \S+: there is no koffi/);
  });

  test.skipIf(noOtherUser)(
    'without the right to make it there is none, which is told (needs root)',
    async (context) => {
      const { inside } = place(context);
      const upkeep = await inside.upkeep([inside.install('daemon.sh', 'alpha')], {
        args: ['--syslog=/log-of-upkeep-tests'],
        prefix: ['setpriv', `--reuid=${UID}`, `--regid=${UID}`, '--clear-groups'],
      });
      await upkeep.running('alpha');
      expect(notices(upkeep).join('\n')).toMatch(
        /cannot be bound \(EACCES\); .*start upkeep as root .*--syslog=PATH/,
      );
      expect(await upkeep.stop()).toMatchObject({ code: 0 });
    },
  );

  test('a policy has it where it says, from a reload on as well; a service can be ready by it', async (context) => {
    const policy = (syslog: string, port: string) => (inside: Namespace) =>
      `
      container: {syslog: ${syslog}}
      commands:
        a:
          run: ${inside.install('reporter.pl', 'reporter.pl')} stay me
          env: {SYSLOG_SOCKET: "${join(inside.dir, port)}"}
          ready: {log: '^up$'}
    `;
    const inside = new Namespace(context);
    const [one, two] = ['one', 'two'].map((name) => join(inside.dir, name));
    const kept = await keep(context, policy(one!, 'one'), { within: await inside.idleInit() });
    await kept.upkeep.event('command.ready', 'a');
    kept.rewrite(policy(two!, 'two'));
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await kept.upkeep.event('command.ready', 'a', 2);
    expect([one, two].map((path) => existsSync(path!))).toEqual([false, true]);
    kept.rewrite(policy('false', 'two'));
    expect(await kept.reload()).toMatchObject({ code: 0 });
    await until('no socket', () => !existsSync(two!));
    expect(await kept.upkeep.stop()).toMatchObject({ code: 0 });
  });
});

describe.skipIf(missing)(`a flood of syslog messages ${missing ?? ''}`, () => {
  test('holds up neither supervision nor the stop', async (context) => {
    const { inside, reporter, options } = place(context);
    const alpha = inside.install('daemon.sh', 'alpha');
    const upkeep = await inside.upkeep([`flood: ${reporter} flood flood`, `${alpha} --double`], options);
    const [, pid] = await upkeep.running('flood', 'alpha');
    await upkeep.until('a flood', () => messages(upkeep, 'flood').length > 1000);
    await inside.end(pid!);
    await upkeep.event('command.running', 'alpha', 2);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('when nobody reads the log, is dropped and counted: it costs no memory, and nobody waits', async (context) => {
    const { inside, reporter, options } = place(context);
    const alpha = inside.install('daemon.sh', 'alpha');
    const upkeep = await inside.upkeep([`flood: ${reporter} flood flood`, `${alpha} --double`], {
      ...options,
      unread: true,
    });
    const cpu = (): number => Math.max(0, ...inside.named('reporter.pl').map((row) => row.cpu));
    // The log has been full for long when it has used a second of CPU.
    await until('a second of it', () => cpu() > 100);
    const before = inside.residentOf(1);
    await until('three more seconds of it', () => cpu() > 400);
    expect(inside.residentOf(1)).toBeLessThan(before + 20 * 1024);

    const found = await until('alpha', () => inside.named('alpha').find(({ ppid }) => ppid === 1) ?? null);
    await inside.end(found.pid);
    await until(
      'another alpha',
      () => inside.named('alpha').find(({ ppid, pid }) => ppid === 1 && pid !== found.pid) ?? null,
    );

    upkeep.child.stdout!.resume();
    await upkeep.until('what was dropped', () =>
      notices(upkeep).some((text) =>
        /^\d{4,} syslog messages were dropped/.test(text.replace(/^warning: /, '')),
      ),
    );
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });
});

describe.skipIf(noSshd)(`sshd ${noSshd ?? ''}`, () => {
  test('says by syslog alone that it listens and who logs in, and so does who has logged in', async (context) => {
    const inside = new Namespace(context);
    const at = (name: string): string => join(inside.dir, name);
    const port = await freePort();
    for (const key of ['host', 'user'])
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at(key)]);
    const config = [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${at('host')}`,
      `AuthorizedKeysFile ${at('user.pub')}`,
      'PermitRootLogin prohibit-password',
      'StrictModes no',
      'UsePAM yes',
      'PidFile none',
    ];
    inside.write('sshd_config', `${config.join('\n')}\n`, 0o644);
    // It has a folder there that nobody else may write to.
    const ownRun = ['sh', '-ec', 'mount -t tmpfs -o mode=755 none /run; mkdir /run/sshd; exec "$@"', 'sh'];
    const upkeep = await inside.upkeep([`/usr/sbin/sshd -f ${at('sshd_config')}`], {
      args: ['--syslog', '--grace', '60s'],
      prefix: [...ownRun, ...withOwnDev(inside.dir)],
    });
    const [listener] = await upkeep.running('sshd');
    const line = (pattern: RegExp) =>
      upkeep.until(
        `${pattern}`,
        () => messages(upkeep, 'sshd').find((said) => pattern.test(said.line)) ?? null,
      );
    expect(await line(/^Server listening on 127\.0\.0\.1 port/)).toMatchObject({
      facility: 'auth',
      severity: 'info',
      tag: 'sshd',
      pid: listener,
    });
    expect(upkeep.said('sshd').every(({ stream }) => stream === 'syslog')).toBe(true);

    const talk =
      'use Sys::Syslog qw(:standard :macros setlogsock); setlogsock("native"); openlog("guest", "", LOG_USER); syslog(LOG_INFO, "I am in"); sleep 600';
    const words = [
      '-p',
      String(port),
      '-i',
      at('user'),
      '-o',
      'StrictHostKeyChecking=no',
      '-o',
      'UserKnownHostsFile=/dev/null',
      '-o',
      'BatchMode=yes',
      'root@127.0.0.1',
    ];
    inside.run(['ssh', ...words, `exec perl -e '${talk}'`]);
    const accepted = await line(/^Accepted publickey for root/);
    expect(accepted.pid).not.toBe(listener);
    // PAM has taken the tag from it: it is known by whom it descends from.
    const guest = await line(/^I am in$/);
    expect(guest).toMatchObject({ tag: 'guest', facility: 'user' });
    expect(inside.read(guest.pid, 'limits')).toMatch(/^Max file locks +unlimited/m);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });
});
