import { describe, expect, test } from 'vitest';
import type { ExecutionSpec } from '../../src/policy/spec.ts';
import { type Execution, type Rights, resolveExecution, type System } from '../../src/process/execution.ts';

const NOTHING: ExecutionSpec = {
  user: null,
  group: null,
  groups: null,
  umask: null,
  cwd: null,
  env: {},
  envFiles: [],
  secrets: {},
  nice: null,
  limits: {},
  noNewPrivileges: false,
  capabilities: null,
};
const BASE = { PATH: '/bin', HOME: '/root', USER: 'root', SHELL: '/bin/zsh', A: 'base', B: 'base' };
const FILES: Record<string, string> = {
  '/etc/passwd': 'root:x:0:0::/root:/bin/bash\nwww:x:33:33::/var/www:/bin/sh\napp:x:50:60::/app:\n',
  '/etc/group': 'www:x:33:\napp:x:60:\nssl:x:101:app\n',
  '/proc/self/status': 'CapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n',
  '/proc/self/limits': 'Max open files            1024                 4096                 files     \n',
  '/proc/sys/fs/nr_open': '1048576\n',
  '/a.env': 'A=file\nB=file\nHOME=/file\n',
  '/b.env': 'B=second\n',
  '/bad.env': '\nx y\n',
  '/secret': 'hunter2\n',
};
const ALL_CAPABILITIES = 'CapEff:\t000001ffffffffff\n';

function system(of: Partial<System> & { files?: Record<string, string> } = {}): System {
  const files = { ...FILES, ...of.files };
  const missing = (path: string): Error => Object.assign(new Error(path), { code: 'ENOENT' });
  return {
    uid: () => 0,
    gid: () => 0,
    niceness: () => 0,
    readFile(path) {
      if (path.startsWith('/locked')) throw Object.assign(new Error(path), { code: 'EACCES' });
      if (path.startsWith('/full')) throw Object.assign(new Error(path), { code: 'EMFILE' });
      if (files[path] === undefined) throw missing(path);
      return files[path];
    },
    enter(folder) {
      if (folder === '/file') throw Object.assign(new Error(), { code: 'ENOTDIR' });
      if (folder === '/locked') throw Object.assign(new Error(), { code: 'EACCES' });
      if (folder !== '/srv') throw missing(folder);
    },
    tool: (name) => ({ path: `/usr/bin/${name}`, complete: true }),
    ...of,
  };
}

const resolve = (spec: Partial<Execution>, on = system(), assigned = {}) =>
  resolveExecution({ ...NOTHING, ...spec }, BASE, assigned, on);

function rights(...args: Parameters<typeof resolve>): Rights {
  const found = resolve(...args);
  if ('error' in found) throw new Error(found.error);
  return found;
}

function refusal(...args: Parameters<typeof resolve>): string {
  const found = resolve(...args);
  if (!('error' in found)) throw new Error('it was not refused');
  return found.error;
}

test('where nothing is asked for, nothing is done, and nothing is read', () => {
  const untouched = () => {
    throw new Error('it was looked at');
  };
  const on = system({
    uid: untouched,
    gid: untouched,
    readFile: untouched,
    enter: untouched,
    tool: untouched,
  });
  expect(rights({}, on, { C: '1' })).toEqual({
    words: [],
    env: { ...BASE, C: '1' },
    identity: null,
    umask: null,
    cwd: null,
    nice: null,
    secrets: [],
  });
});

describe('user and groups', () => {
  test('a user without other groups is what a spawn can do by itself', () => {
    expect(rights({ user: 'www' })).toMatchObject({ words: [], identity: { uid: 33, gid: 33 } });
    expect(rights({ user: '33' })).toMatchObject({ identity: { uid: 33, gid: 33 } });
    expect(rights({ user: '1234' })).toMatchObject({ identity: { uid: 1234, gid: 1234 } });
    expect(rights({ user: '1234', group: 'ssl' })).toMatchObject({ identity: { uid: 1234, gid: 101 } });
    expect(rights({ group: 'ssl' })).toMatchObject({ identity: { uid: 0, gid: 101 } });
    expect(rights({ user: 'app', groups: [] })).toMatchObject({ words: [], identity: { uid: 50, gid: 60 } });
  });

  test('other groups are set by setpriv: those of /etc/group, or those that are given', () => {
    expect(rights({ user: 'app' })).toMatchObject({
      words: ['/usr/bin/setpriv', '--reuid=50', '--regid=60', '--groups=60,101', '--'],
      identity: null,
    });
    expect(rights({ user: 'app', groups: ['www', '7'] }).words).toContain('--groups=33,7');
    expect(rights({ user: 'app', group: 'www' }).words).toContain('--groups=33,101');
    expect(rights({ groups: ['ssl'] }).words).toEqual(
      expect.arrayContaining(['--reuid=0', '--regid=0', '--groups=101']),
    );
    expect(rights({ user: 'app', groups: [], noNewPrivileges: true }).words).toContain('--clear-groups');
  });

  test('nobody is guessed', () => {
    expect(refusal({ user: 'none' })).toBe(
      'there is no user "none" in /etc/passwd; create it in the image (useradd, adduser), or give its number',
    );
    expect(refusal({ group: 'none' })).toContain('no group "none" in /etc/group');
    expect(refusal({ user: 'www', groups: ['ssl', 'none'] })).toContain('no group "none"');
  });

  test('an image without /etc/passwd has numbers', () => {
    const files = { '/etc/passwd': undefined, '/etc/group': undefined } as unknown as Record<string, string>;
    expect(rights({ user: '5', group: '6' }, system({ files })).identity).toEqual({ uid: 5, gid: 6 });
    expect(refusal({ user: 'www' }, system({ files }))).toContain('no user "www"');
  });

  test('only root becomes another; to stay what one is, is free', () => {
    const on = system({ uid: () => 50, gid: () => 60 });
    expect(rights({ user: 'app' }, on)).toMatchObject({ words: [], identity: null });
    expect(rights({ user: 'app' }, on).env.HOME).toBe('/app');
    for (const spec of [{ user: 'www' }, { group: 'www' }, { groups: [] }])
      expect(refusal(spec, on)).toMatch(/upkeep itself, which runs as uid 50, .* as root/);
  });

  test('HOME and the like are the user’s, unless they are given', () => {
    expect(rights({ user: 'app' }).env).toEqual({
      ...BASE,
      HOME: '/app',
      USER: 'app',
      LOGNAME: 'app',
      SHELL: '/bin/sh',
    });
    expect(rights({ user: 'app', env: { HOME: '/mine', SHELL: '/bin/ksh' } }).env).toMatchObject({
      HOME: '/mine',
      SHELL: '/bin/ksh',
    });
    expect(rights({ user: '1234' }).env).toEqual({ PATH: '/bin', A: 'base', B: 'base', HOME: '/' });
    expect(rights({ group: 'www' }).env).toEqual(BASE);
  });
});

describe('the environment', () => {
  test('upkeep’s, then files in their order, then the policy’s, then the command’s own', () => {
    const envFiles = ['/a.env', '/b.env'].map((path) => ({ path, optional: false }));
    expect(rights({ user: 'app', envFiles }).env).toMatchObject({ A: 'file', B: 'second', HOME: '/file' });
    expect(rights({ envFiles, env: { A: 'policy' } }, system(), { B: 'own' }).env).toMatchObject({
      A: 'policy',
      B: 'own',
    });
    expect(BASE.A).toBe('base');
  });

  test('a file may be missing where that is said', () => {
    expect(rights({ envFiles: [{ path: '/none', optional: true }] }).env).toEqual(BASE);
    expect(refusal({ envFiles: [{ path: '/none', optional: false }] })).toBe(
      'its env file, /none, is not there; create it, or mend its path (ENOENT)',
    );
    expect(refusal({ envFiles: [{ path: '/locked', optional: true }] })).toContain('may not be read');
    expect(refusal({ envFiles: [{ path: '/bad.env', optional: true }] })).toContain('/bad.env:2: ');
    expect(resolve({ envFiles: [{ path: '/full', optional: false }] })).toMatchObject({ code: 'EMFILE' });
  });

  test('a secret comes from its file, wherever that was named', () => {
    const secrets = { DB: { file: null } };
    for (const found of [
      rights({ secrets, env: { DB_FILE: '/secret' } }),
      rights({ secrets }, system(), { DB_FILE: '/secret' }),
      rights({ secrets: { DB: { file: '/secret' } } }),
    ]) {
      expect(found.env).toEqual({ ...BASE, DB: 'hunter2' });
      expect(found.secrets).toEqual(['hunter2']);
    }
    expect(refusal({ secrets: { DB: { file: '/none' } } })).toBe(
      'the file of its secret DB, /none, is not there; create it, or mend its path (ENOENT)',
    );
  });
});

describe('the folder', () => {
  test('has to be there', () => {
    expect(rights({ cwd: '/srv' }).cwd).toBe('/srv');
    expect(refusal({ cwd: '/none' })).toBe(
      'its folder, /none, is not there; create it in the image, or mend its path (ENOENT)',
    );
    expect(refusal({ cwd: '/file' })).toContain('is no folder');
    expect(refusal({ cwd: '/locked' })).toContain('cannot be entered');
  });
});

describe('capabilities', () => {
  test('of root are bound, those of another are ambient', () => {
    expect(rights({ capabilities: ['NET_BIND_SERVICE', 'cap_chown'] }).words).toEqual([
      '/usr/bin/setpriv',
      '--inh-caps=-all,+net_bind_service,+chown',
      '--ambient-caps=-all',
      '--bounding-set=-all,+net_bind_service,+chown',
      '--',
    ]);
    const { words } = rights({ user: 'www', capabilities: ['net_bind_service'], noNewPrivileges: true });
    expect(words).toEqual([
      '/usr/bin/setpriv',
      '--reuid=33',
      '--regid=33',
      '--groups=33',
      '--inh-caps=-all,+net_bind_service',
      '--ambient-caps=-all,+net_bind_service',
      '--bounding-set=-all,+net_bind_service',
      '--no-new-privs',
      '--',
    ]);
    expect(rights({ capabilities: [] }).words).toContain('--bounding-set=-all');
  });

  test('are those that there are, and that upkeep has', () => {
    expect(refusal({ capabilities: ['fly'] })).toContain('no capability "fly"');
    expect(refusal({ capabilities: ['sys_admin'] })).toBe(
      'upkeep cannot give the capability sys_admin, which it has not; start the container with --cap-add SYS_ADMIN',
    );
    const files = { '/proc/self/status': 'CapEff:\t0000000000000000\n' };
    expect(refusal({ capabilities: [] }, system({ files }))).toContain('--cap-add SETPCAP');
  });
});

describe('limits', () => {
  const nofile = (soft: string, hard: string) => ({ limits: { nofile: { soft, hard } } });

  test('are set by prlimit, before the user is another', () => {
    const limits = { nofile: { soft: '100', hard: '200' }, core: { soft: '0', hard: 'unlimited' } };
    const { words, identity } = rights({ limits, user: 'www', nice: 5 });
    expect(words.slice(0, 7)).toEqual([
      '/usr/bin/nice',
      '-n',
      '5',
      '/usr/bin/prlimit',
      '--nofile=100:200',
      '--core=0:unlimited',
      '--',
    ]);
    expect(words[7]).toBe('/usr/bin/setpriv');
    expect(identity).toBeNull();
  });

  test('are not above what upkeep may give', () => {
    expect(rights(nofile('10', '4096')).words).toContain('--nofile=10:4096');
    expect(refusal(nofile('10', '4097'))).toBe(
      'its limit nofile may not be raised to 4097, as upkeep has 4096; start the container with --ulimit nofile=4097, or ask for less',
    );
    const mighty = system({ files: { '/proc/self/status': ALL_CAPABILITIES } });
    expect(rights(nofile('10', '4097'), mighty).words).toContain('--nofile=10:4097');
    expect(refusal(nofile('10', 'unlimited'), mighty)).toContain('upkeep has 1048576');
  });

  test('are what they are called, in numbers, and not the tag', () => {
    expect(refusal(nofile('10', '9'))).toContain('10 above 9');
    expect(refusal(nofile('unlimited', '9'))).toContain('unlimited above 9');
    expect(refusal(nofile('many', '9'))).toContain('"many"');
    expect(refusal({ limits: { files: { soft: '1', hard: '1' } } })).toContain('no limit "files"');
    expect(refusal({ limits: { locks: { soft: '1', hard: '1' } } })).toContain('knows its processes by');
  });
});

describe('nice', () => {
  test('less important is what nice(1) can do for everybody; more important upkeep has to become', () => {
    expect(rights({ nice: 7 }, system({ niceness: () => 2 }))).toMatchObject({
      words: ['/usr/bin/nice', '-n', '5'],
      nice: null,
    });
    expect(rights({ nice: -5 })).toMatchObject({ words: [], nice: -5 });
    expect(rights({ nice: 0 })).toMatchObject({ words: [], nice: null });
  });
});

describe('a program that it takes', () => {
  test('has to be there, and util-linux’s', () => {
    const without = system({ tool: () => null });
    const busybox = system({ tool: (name) => ({ path: `/bin/${name}`, complete: false }) });
    const specs: [Partial<Execution>, string][] = [
      [{ user: 'app' }, 'setpriv'],
      [{ capabilities: [] }, 'setpriv'],
      [{ limits: { core: { soft: '0', hard: '0' } } }, 'prlimit'],
    ];
    for (const [spec, name] of specs) {
      expect(refusal(spec, without)).toBe(
        `the program ${name}, which it takes, is not there; install util-linux in the image`,
      );
      expect(refusal(spec, busybox)).toContain(`${name}, which it takes, at /bin/${name} lacks the options`);
    }
    expect(refusal({ nice: 1 }, without)).toContain('install coreutils');
    expect(rights({ user: 'www' }, without).identity).toEqual({ uid: 33, gid: 33 });
    // What busybox's can do.
    expect(rights({ noNewPrivileges: true }, busybox).words).toEqual([
      '/bin/setpriv',
      '--no-new-privs',
      '--',
    ]);
    expect(rights({ nice: 1 }, busybox).words).toEqual(['/bin/nice', '-n', '1']);
  });
});
