import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { hasProgram, noNamespace, noOtherUser } from './namespace.ts';
import { type Kept, keep } from './policies.ts';

const SERVICE = 'exec sleep 1000';
const noSetpriv = noOtherUser ?? (hasProgram('setpriv') ? null : 'setpriv is not installed');
const noPrlimit = noNamespace ?? (hasProgram('prlimit') ? null : 'prlimit is not installed');

/** What /proc/PID/status says of it. */
const statusOf = (text: string, key: string): string =>
  new RegExp(`^${key}:[ \\t]*(.*)$`, 'm').exec(text)![1]!.trim();

/** Waits until each has become what it runs: a shell, setpriv or prlimit may still be in between. */
const asSleep = ({ upkeep, inside }: Pick<Kept, 'upkeep' | 'inside'>, pids: readonly number[]) =>
  upkeep.until('their sleep', () => pids.every((pid) => inside.process(pid)?.comm === 'sleep'));

describe.skipIf(noNamespace)(`how commands are run ${noNamespace ?? ''}`, { concurrent: true }, () => {
  test.skipIf(noSetpriv)(`user, group and groups ${noSetpriv ?? ''}`, async (context) => {
    const kept = await keep(
      context,
      `
commands:
  named: {run: 'echo $HOME $USER $LOGNAME; ${SERVICE}', user: nobody}
  numbers: {run: ${SERVICE}, user: "1234:2345"}
  both: {run: ${SERVICE}, user: 1234, group: daemon}
  more: {run: ${SERVICE}, user: nobody, groups: [daemon, 77]}
  none: {run: ${SERVICE}, user: nobody, groups: []}
  own: {run: ${SERVICE}, group: 2345}
  plain: {run: ${SERVICE}}
`,
    );
    const { upkeep, inside } = kept;
    const names = ['named', 'numbers', 'both', 'more', 'none', 'own', 'plain'];
    const pids = await upkeep.running(...names);
    await asSleep(kept, pids);
    const status = Object.fromEntries(names.map((name, at) => [name, inside.read(pids[at]!, 'status')]));
    const four = (id: number) => Array(4).fill(id).join('\t');
    const id = (words: readonly string[]) => Number(execFileSync('id', words, { encoding: 'utf8' }).trim());
    const nobody = id(['-u', 'nobody']);
    const daemon = id(['-g', 'daemon']);
    expect(statusOf(status.named!, 'Uid')).toBe(four(nobody));
    expect(statusOf(status.named!, 'Gid')).toBe(four(id(['-g', 'nobody'])));
    expect(statusOf(status.numbers!, 'Uid')).toBe(four(1234));
    expect(statusOf(status.numbers!, 'Gid')).toBe(four(2345));
    expect(statusOf(status.both!, 'Gid')).toBe(four(daemon));
    expect(statusOf(status.more!, 'Groups')).toBe([daemon, 77].toSorted((a, b) => a - b).join(' '));
    expect(statusOf(status.none!, 'Groups')).toBe('');
    expect(statusOf(status.own!, 'Uid')).toBe(four(0));
    expect(statusOf(status.own!, 'Gid')).toBe(four(2345));
    expect(statusOf(status.plain!, 'Uid')).toBe(four(0));
    await upkeep.until('its line', () => upkeep.said('named').length > 0);
    expect(upkeep.said('named')[0]!.line).toMatch(/^\/\S* nobody nobody$/);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('a user or a group that is not there is told of, and tried again', async (context) => {
    const { upkeep } = await keep(
      context,
      `
commands:
  s: {run: ${SERVICE}, user: no-such-user}
  t: {run: ${SERVICE}, group: no-such-group}
`,
    );
    expect((await upkeep.event('command.failedStart', 's')).reason).toContain(
      'there is no user "no-such-user" in /etc/passwd',
    );
    expect((await upkeep.event('command.failedStart', 't')).reason).toContain(
      'there is no group "no-such-group" in /etc/group',
    );
    await upkeep.event('command.failedStart', 's', 2);
    expect(upkeep.events('command.launched')).toEqual([]);
  });

  test('umask, cwd and nice', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
defaults: {umask: "0077"}
commands:
  s: {run: '${SERVICE}', umask: "027", cwd: ${dir}, nice: 5}
  t: {run: '${SERVICE}'}
  gone: {run: '${SERVICE}', cwd: ${dir}/not-there}
`,
    );
    const { upkeep, inside } = kept;
    const [s, t] = await upkeep.running('s', 't');
    await asSleep(kept, [s!, t!]);
    expect(statusOf(inside.read(s!, 'status'), 'Umask')).toBe('0027');
    expect(statusOf(inside.read(t!, 'status'), 'Umask')).toBe('0077');
    const niceOf = (pid: number) => Number(inside.read(pid, 'stat').split(') ')[1]!.split(' ')[16]);
    const own = niceOf(1);
    expect(niceOf(s!)).toBe(5 < own ? 5 : Math.max(5, own));
    expect(niceOf(t!)).toBe(own);
    const words = inside.run(['readlink', `/proc/${s}/cwd`]);
    let cwd = '';
    words.stdout!.on('data', (text) => {
      cwd += text;
    });
    await upkeep.until('its folder', () => cwd.trim() === inside.dir);
    expect((await upkeep.event('command.failedStart', 'gone')).reason).toContain('not-there, is not there');
    // Upkeep's own are as they were.
    expect(statusOf(inside.read(1, 'status'), 'Umask')).toBe('0022');
  });

  test('env: a mapping or a list, over that of upkeep and of defaults', async (context) => {
    const kept = await keep(
      context,
      `
defaults: {env: {A: of-defaults, B: of-defaults}}
commands:
  map: {run: 'echo $A $B $C $V $N $E.; ${SERVICE}', env: {A: own, V: 1.10, N: true, E: ""}}
  list: {run: 'echo $A $B $C $X; ${SERVICE}', env: [B=own, "X=a=b c"]}
  words: {run: 'A=assigned sh -c "echo $A $B; ${SERVICE}"', env: {A: of-policy}}
  exact: {run: [sh, -c, 'echo "$1"; ${SERVICE}', sh, 'a  $A *'], env: {A: x}}
`,
      { env: { C: 'inherited', A: 'inherited' } },
    );
    const { upkeep } = kept;
    const said = async (name: string) => {
      await upkeep.until(`a line of ${name}`, () => upkeep.said(name).length > 0);
      return upkeep.said(name)[0]!.line;
    };
    expect(await said('map')).toBe('own of-defaults inherited 1.10 true .');
    expect(await said('list')).toBe('of-defaults own inherited a=b c');
    expect(await said('exact')).toBe('a  $A *');
    expect(await said('words')).toContain('of-defaults');
  });

  test('envFile: read at each start; the later wins, and env over all', async (context) => {
    const kept = await keep(
      context,
      (inside) => `
commands:
  s:
    run: 'echo $A $B $C; ${SERVICE}'
    envFile: [${inside.write('one.env', 'A=1\nB="1 one"\nC=1\n')}, ${inside.write('two.env', '# two\nB=2\nC=2\n')}, -${inside.dir}/absent.env]
    env: {C: own}
    backoff: {first: 20ms}
  t: {run: ${SERVICE}, envFile: ${inside.dir}/absent.env, backoff: {first: 20ms, max: 20ms}}
`,
    );
    const { upkeep, inside } = kept;
    const [pid] = await upkeep.running('s');
    await upkeep.until('its line', () => upkeep.said('s').length > 0);
    expect(upkeep.said('s')[0]!.line).toBe('1 2 own');
    inside.write('two.env', 'A=new\n');
    await inside.end(pid!);
    await upkeep.event('command.running', 's', 2);
    await upkeep.until('its line', () => upkeep.said('s').length > 1);
    expect(upkeep.said('s')[1]!.line).toBe('new 1 one own');
    expect((await upkeep.event('command.failedStart', 't')).reason).toContain('absent.env, is not there');
    inside.write('absent.env', 'A=1\n');
    await upkeep.running('t');
  });

  test('secrets: read from files, handed over, and never shown', async (context) => {
    const secret = 'correct-horse-battery';
    const kept = await keep(
      context,
      (inside) => `
commands:
  s:
    run: 'test "$PASSWORD" = ${secret.replace('horse', '"h"orse')} && test -z "$PASSWORD_FILE" && echo right; echo "it is $PASSWORD"; ${SERVICE}'
    secrets: {PASSWORD: {file: ${inside.write('password', `${secret}\n`, 0o600)}}}
  t:
    run: 'test "$TOKEN" = of-token-file && test -z "$TOKEN_FILE" && echo right; ${SERVICE}'
    secrets: [TOKEN]
    env: {TOKEN_FILE: ${inside.write('token', 'of-token-file\n', 0o600)}}
  u: {run: ${SERVICE}, secrets: {PASSWORD: {file: ${inside.dir}/password}}, cwd: /${secret}}
  v: {run: ${SERVICE}, secrets: [NOBODY_GIVES_IT]}
`,
    );
    const { upkeep } = kept;
    await upkeep.until('both', () => upkeep.said('s').length + upkeep.said('t').length === 3);
    expect(upkeep.said('s').map(({ line }) => line)).toEqual(['right', 'it is ***']);
    expect(upkeep.said('t')[0]!.line).toBe('right');
    expect((await upkeep.event('command.failedStart', 'v')).reason).toContain('NOBODY_GIVES_IT is not given');
    expect((await upkeep.event('command.failedStart', 'u')).reason).toContain('/***');
    expect(upkeep.text.join('\n')).not.toContain(secret);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });

  test.skipIf(noPrlimit)(`limits ${noPrlimit ?? ''}`, async (context) => {
    const { upkeep, inside } = await keep(
      context,
      `
defaults: {limits: {core: 0}}
commands:
  s: {run: ${SERVICE}, limits: {nofile: 321, nproc: {soft: 1000, hard: 2000}, stack: unlimited}}
  t: {run: ${SERVICE}}
`,
    );
    const [s, t] = await upkeep.running('s', 't');
    await asSleep({ upkeep, inside }, [s!, t!]);
    const limits = inside.read(s!, 'limits');
    expect(limits).toMatch(/^Max open files +321 +321 /m);
    expect(limits).toMatch(/^Max processes +1000 +2000 /m);
    expect(limits).toMatch(/^Max stack size +unlimited +unlimited /m);
    expect(limits).toMatch(/^Max core file size +0 +0 /m);
    expect(inside.read(t!, 'limits')).not.toMatch(/^Max open files +321 /m);
    // It is known by its tag all the same.
    await inside.end(s!);
    await upkeep.event('command.running', 's', 2);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test.skipIf(noPrlimit)(`each limit is the one of that name ${noPrlimit ?? ''}`, async (context) => {
    const wanted = {
      as: [8_589_934_592, 'Max address space'],
      core: [4_096, 'Max core file size'],
      cpu: [7_200, 'Max cpu time'],
      data: [4_294_967_296, 'Max data size'],
      fsize: [1_073_741_824, 'Max file size'],
      memlock: [16_384, 'Max locked memory'],
      msgqueue: [65_536, 'Max msgqueue size'],
      nice: [3, 'Max nice priority'],
      nofile: [322, 'Max open files'],
      nproc: [1_001, 'Max processes'],
      rss: [2_147_483_648, 'Max resident set'],
      rtprio: [2, 'Max realtime priority'],
      rttime: [900_000, 'Max realtime timeout'],
      sigpending: [77, 'Max pending signals'],
      stack: [4_194_304, 'Max stack size'],
    } as const;
    // Without CAP_SYS_RESOURCE nothing can be raised: where there is nothing at all, as of nice in most containers, nothing is asked for.
    const own = readFileSync('/proc/self/limits', 'latin1');
    const set = Object.entries(wanted).flatMap(([name, [value, title]]) => {
      const most = Number(
        new RegExp(`^${title} +\\S+ +(\\d+)`, 'm').exec(own)?.[1] ?? Number.POSITIVE_INFINITY,
      );
      return most === 0 ? [] : [[name, Math.min(value, most), title] as const];
    });
    expect(set.length).toBeGreaterThanOrEqual(13);
    const limits = set.map(([name, value]) => `${name}: ${value}`);
    const { upkeep, inside } = await keep(
      context,
      `
commands:
  s: {run: ${SERVICE}, limits: {${limits.join(', ')}}}
`,
    );
    const [s] = await upkeep.running('s');
    await asSleep({ upkeep, inside }, [s!]);
    const shown = inside.read(s!, 'limits');
    for (const [, value, title] of set)
      expect(shown).toMatch(new RegExp(`^${title} +${value} +${value} `, 'm'));
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test.skipIf(noSetpriv)(`noNewPrivileges and capabilities ${noSetpriv ?? ''}`, async (context) => {
    const { upkeep, inside } = await keep(
      context,
      `
commands:
  quiet: {run: ${SERVICE}, noNewPrivileges: true}
  few: {run: ${SERVICE}, capabilities: [NET_BIND_SERVICE, cap_kill]}
  none: {run: ${SERVICE}, capabilities: []}
  user: {run: ${SERVICE}, user: nobody, capabilities: [net_bind_service], noNewPrivileges: true}
  all: {run: ${SERVICE}}
`,
    );
    const names = ['quiet', 'few', 'none', 'user', 'all'];
    const pids = await upkeep.running(...names);
    await asSleep({ upkeep, inside }, pids);
    const [quiet, few, none, user, all] = pids.map((pid) => inside.read(pid, 'status'));
    expect(statusOf(quiet!, 'NoNewPrivs')).toBe('1');
    expect(statusOf(all!, 'NoNewPrivs')).toBe('0');
    const set = (...numbers: number[]) => numbers.reduce((sum, number) => sum | (1n << BigInt(number)), 0n);
    const capsOf = (text: string, which: string) => BigInt(`0x${statusOf(text, `Cap${which}`)}`);
    for (const which of ['Eff', 'Bnd']) {
      expect(capsOf(few!, which)).toBe(set(5, 10));
      expect(capsOf(none!, which)).toBe(0n);
      expect(capsOf(user!, which)).toBe(set(10));
    }
    expect(statusOf(user!, 'NoNewPrivs')).toBe('1');
    expect(statusOf(user!, 'Uid')).not.toMatch(/^0/);
    expect(capsOf(all!, 'Eff')).toBe(capsOf(inside.read(1, 'status'), 'Eff'));
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test.skipIf(noOtherUser)(
    `probes and stop commands have the command's rights ${noOtherUser ?? ''}`,
    async (context) => {
      const kept = await keep(context, (inside) => {
        chmodSync(inside.dir, 0o777);
        return `
commands:
  s:
    run: ${SERVICE}
    user: nobody
    env: {GREETING: hello}
    cwd: ${inside.dir}
    ready: {exec: 'echo $(id -un) $GREETING >> ready'}
    health: {exec: 'echo $(id -un) $GREETING >> health', every: 30ms}
    stop: 'echo $(id -un) $GREETING >> stop'
    reload: 'echo $(id -un) $GREETING >> reload'
`;
      });
      const { upkeep } = kept;
      await upkeep.running('s');
      await kept.written('health');
      expect(await kept.reload('s')).toMatchObject({ code: 0 });
      await kept.written('reload');
      expect(await upkeep.stop()).toMatchObject({ code: 0 });
      for (const file of ['ready', 'health', 'reload', 'stop']) {
        expect(kept.linesOf(file)[0], file).toBe('nobody hello');
      }
    },
  );
});
