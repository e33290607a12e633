/** With whose rights a command runs, and where: what a policy asks for, as what a launch has to do. */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { getPriority } from 'node:os';
import { parseEnvFile, Refused, revealSecrets, type Secrets } from './environment.ts';
import { findProgram } from './tagging.ts';
import { findGroup, findUser, groupsOf } from './users.ts';

/** What a policy can ask for; see there. */
export interface Execution {
  readonly user: string | null;
  readonly group: string | null;
  readonly groups: readonly string[] | null;
  readonly umask: number | null;
  readonly cwd: string | null;
  readonly env: Readonly<Record<string, string>>;
  readonly envFiles: readonly { readonly path: string; readonly optional: boolean }[];
  readonly secrets: Secrets;
  readonly nice: number | null;
  readonly limits: Readonly<Record<string, { readonly soft: string; readonly hard: string }>>;
  readonly noNewPrivileges: boolean;
  readonly capabilities: readonly string[] | null;
}

/** What a launch has to do. */
export interface Rights {
  /** In front of the command; each executes the next one, so that the pid stays. */
  readonly words: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Whom the new process becomes before it executes anything; null where that is not asked for, or the words do it. */
  readonly identity: { readonly uid: number; readonly gid: number } | null;
  readonly umask: number | null;
  readonly cwd: string | null;
  /** What the new process has to inherit; null: upkeep's own, or the words set it. */
  readonly nice: number | null;
  /** Values that nobody should be shown. */
  readonly secrets: readonly string[];
}

/** What it depends on besides. */
export interface System {
  readonly uid: () => number;
  readonly gid: () => number;
  readonly niceness: () => number;
  readonly readFile: (path: string) => string;
  /** Throws where the path is no folder that can be entered. */
  readonly enter: (folder: string) => void;
  /** `complete`: util-linux's, not one with a few of its options. */
  readonly tool: (name: string) => { readonly path: string; readonly complete: boolean } | null;
}

/** By path: it takes a process to find out. */
const complete = new Map<string, boolean>();

/** This process and its container. */
export const ownSystem: System = {
  uid: () => process.geteuid?.() ?? 0,
  gid: () => process.getegid?.() ?? 0,
  niceness: () => getPriority(),
  readFile: (path) => readFileSync(path, 'utf8'),
  enter(folder) {
    if (!statSync(folder).isDirectory()) throw Object.assign(new Error('no folder'), { code: 'ENOTDIR' });
    accessSync(folder, constants.X_OK);
  },
  tool(name) {
    const path = findProgram(name);
    if (path === null) return null;
    if (!complete.has(path)) complete.set(path, isOfUtilLinux(path));
    return { path, complete: complete.get(path)! };
  },
};

function isOfUtilLinux(path: string): boolean {
  try {
    return execFileSync(path, ['--version'], {
      encoding: 'latin1',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).includes('util-linux');
  } catch {
    return false;
  }
}

/**
 * Finds out what a launch has to do. To be asked at each: any of the files may have changed.
 *
 * @param base what services inherit
 * @param assigned the command's own `A=1` assignments
 * @returns or why it cannot be done, as `why; what to do`
 */
export function resolveExecution(
  spec: Execution,
  base: NodeJS.ProcessEnv,
  assigned: Readonly<Record<string, string>>,
  system: System,
): Rights | { readonly error: string; readonly code: string } {
  try {
    const identity = identityOf(spec, system);
    const limits = limitWords(spec, system);
    const { words, nice } = niceOf(spec, system);
    // Whoever is not root any more cannot raise a limit, so they are set before.
    const plain = limits.length === 0 && !spec.noNewPrivileges && spec.capabilities === null;
    const bySpawn = plain && identity?.groups.every((gid) => gid === identity.gid);
    const env = { ...base, ...userVariables(spec, system) };
    for (const { path, optional } of spec.envFiles) Object.assign(env, readEnvFile(path, optional, system));
    Object.assign(env, spec.env, assigned);
    for (const [name, value] of Object.entries(env)) if (value === undefined) delete env[name];
    const secrets = revealSecrets(env, spec.secrets, (path, what) => read(system, path, what));
    if (spec.cwd !== null) checkFolder(spec.cwd, system);
    return {
      words: [...words, ...limits, ...(bySpawn ? [] : privilegeWords(spec, identity, system))],
      env,
      identity: bySpawn && identity != null ? { uid: identity.uid, gid: identity.gid } : null,
      umask: spec.umask,
      cwd: spec.cwd,
      nice,
      secrets,
    };
  } catch (error) {
    if (error instanceof Refused) return { error: error.message, code: error.code };
    throw error;
  }
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? '';

function read(system: System, path: string, what: string): string {
  try {
    return system.readFile(path);
  } catch (error) {
    const code = codeOf(error);
    const reason =
      code === 'ENOENT' || code === 'ENOTDIR'
        ? 'is not there; create it, or mend its path'
        : code === 'EACCES' || code === 'EPERM'
          ? 'may not be read by upkeep; change its owner or its mode'
          : `cannot be read: ${(error as Error).message}; look at it with the same user`;
    throw new Refused(`${what}, ${path}, ${reason}${code === '' ? '' : ` (${code})`}`, code);
  }
}

function readEnvFile(path: string, optional: boolean, system: System): Record<string, string> {
  try {
    return parseEnvFile(read(system, path, 'its env file'), path);
  } catch (error) {
    if (optional && codeOf(error) === 'ENOENT') return {};
    throw error;
  }
}

function checkFolder(folder: string, system: System): void {
  try {
    system.enter(folder);
  } catch (error) {
    const code = codeOf(error);
    const reason =
      code === 'ENOTDIR'
        ? 'is no folder; mend its path'
        : code === 'ENOENT'
          ? 'is not there; create it in the image, or mend its path'
          : 'cannot be entered by upkeep; change its owner or its mode';
    throw new Refused(`its folder, ${folder}, ${reason} (${code})`, code);
  }
}

interface Identity {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/** A file without which there are simply no entries. */
function entriesOf(path: string, system: System): string {
  try {
    return system.readFile(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return '';
    throw new Refused(`${path} cannot be read; change its mode (${codeOf(error)})`, codeOf(error));
  }
}

function userOf(user: string, system: System): NonNullable<ReturnType<typeof findUser>> {
  const found = findUser(entriesOf('/etc/passwd', system), user);
  if (found !== null) return found;
  throw new Refused(
    `there is no user "${user}" in /etc/passwd; create it in the image (useradd, adduser), or give its number`,
  );
}

function groupOf(group: string, system: System): number {
  const found = findGroup(entriesOf('/etc/group', system), group);
  if (found !== null) return found;
  throw new Refused(
    `there is no group "${group}" in /etc/group; create it in the image (groupadd, addgroup), or give its number`,
  );
}

/** Whom the command's processes are to be; null: whoever upkeep is. */
function identityOf({ user, group, groups }: Execution, system: System): Identity | null {
  if (user === null && group === null && groups === null) return null;
  const own = { uid: system.uid(), gid: system.gid() };
  const found = userOf(user ?? String(own.uid), system);
  const uid = user === null ? own.uid : found.uid;
  const gid = group !== null ? groupOf(group, system) : user === null ? own.gid : found.gid;
  if (own.uid !== 0) {
    if (uid === own.uid && gid === own.gid && groups === null) return null;
    throw new Refused(
      `it is to run as another user or with other groups, and upkeep itself, which runs as uid ${own.uid}, may not change them; start the container as root (no USER in its image, no --user), or take user, group and groups away`,
    );
  }
  const others =
    groups !== null
      ? groups.map((name) => groupOf(name, system))
      : found.name === null
        ? []
        : groupsOf(entriesOf('/etc/group', system), found.name);
  // As initgroups(3) does, the own one first.
  return { uid, gid, groups: groups === null ? [...new Set([gid, ...others])] : [...new Set(others)] };
}

/** What a login would set; undefined: what upkeep has there is of another user. */
function userVariables({ user }: Execution, system: System): NodeJS.ProcessEnv {
  if (user === null) return {};
  const { name, home, shell } = userOf(user, system);
  const named = name ?? undefined;
  return { HOME: home, USER: named, LOGNAME: named, SHELL: shell ?? undefined };
}

function toolOf(name: string, system: System, enough = false): string {
  const tool = system.tool(name);
  if (tool !== null && (tool.complete || enough)) return tool.path;
  const why = tool === null ? 'is not there' : `at ${tool.path} lacks the options (it is not util-linux's)`;
  throw new Refused(`the program ${name}, which it takes, ${why}; install util-linux in the image`);
}

/** As setpriv(1) and prlimit(1) call them; their place is their number. */
const CAPABILITIES =
  `chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service
   net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin
   sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override
   mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore`.split(/\s+/);

/** True where it is not known. */
function mayUse(capability: string, system: System): boolean {
  let status: string;
  try {
    status = system.readFile('/proc/self/status');
  } catch {
    return true;
  }
  const bits = /^CapEff:\s*([\da-f]+)/im.exec(status)?.[1];
  return (
    bits === undefined || ((BigInt(`0x${bits}`) >> BigInt(CAPABILITIES.indexOf(capability))) & 1n) === 1n
  );
}

function capabilitiesOf(wanted: readonly string[], system: System): string[] {
  const names = wanted.map((name) => name.toLowerCase().replace(/^cap_/, ''));
  for (const name of names) {
    if (!CAPABILITIES.includes(name))
      throw new Refused(`there is no capability "${name}"; see capabilities(7) for their names`);
    if (!mayUse(name, system))
      throw new Refused(
        `upkeep cannot give the capability ${name}, which it has not; start the container with --cap-add ${name.toUpperCase()}`,
      );
  }
  if (!mayUse('setpcap', system))
    throw new Refused(
      'upkeep may not take capabilities away; start the container as root and with --cap-add SETPCAP',
    );
  return names;
}

/** The words that make it what it is to be, and with what rights. */
function privilegeWords(spec: Execution, identity: Identity | null, system: System): string[] {
  const { noNewPrivileges, capabilities } = spec;
  const options: string[] = [];
  if (identity !== null) {
    const { uid, gid, groups } = identity;
    const list = groups.length === 0 ? '--clear-groups' : `--groups=${groups.join(',')}`;
    options.push(`--reuid=${uid}`, `--regid=${gid}`, list);
  }
  if (capabilities !== null) {
    const set = ['-all', ...capabilitiesOf(capabilities, system).map((name) => `+${name}`)].join(',');
    const isRoot = (identity?.uid ?? system.uid()) === 0;
    // Whoever is not root has in an executed program those alone that are ambient; root has all that are bound.
    options.push(`--inh-caps=${set}`, `--ambient-caps=${isRoot ? '-all' : set}`, `--bounding-set=${set}`);
  }
  const busyboxDoes = options.length === 0;
  if (noNewPrivileges) options.push('--no-new-privs');
  return options.length === 0 ? [] : [toolOf('setpriv', system, busyboxDoes), ...options, '--'];
}

/** How prlimit(1) calls a limit, and /proc. `locks` is not among them: it is the tag by which upkeep knows its own. */
const LIMITS: Readonly<Record<string, string>> = {
  as: 'address space',
  core: 'core file size',
  cpu: 'cpu time',
  data: 'data size',
  fsize: 'file size',
  memlock: 'locked memory',
  msgqueue: 'msgqueue size',
  nice: 'nice priority',
  nofile: 'open files',
  nproc: 'processes',
  rss: 'resident set',
  rtprio: 'realtime priority',
  rttime: 'realtime timeout',
  sigpending: 'pending signals',
  stack: 'stack size',
};

function limitWords({ limits }: Execution, system: System): string[] {
  const entries = Object.entries(limits);
  if (entries.length === 0) return [];
  const options = entries.map(([name, { soft, hard }]) => {
    if (LIMITS[name] === undefined) {
      throw new Refused(
        name === 'locks'
          ? 'its limit "locks" is what upkeep knows its processes by, and is enforced by no kernel; take it away'
          : `there is no limit "${name}"; there are ${Object.keys(LIMITS).join(', ')}`,
      );
    }
    for (const value of [soft, hard]) {
      if (!/^(?:\d{1,19}|unlimited)$/.test(value))
        throw new Refused(`its limit ${name} is "${value}"; write a number, or unlimited`);
    }
    if (amount(soft) > amount(hard))
      throw new Refused(`its limit ${name} has ${soft} above ${hard}; the first may not be above the second`);
    const most = mostOf(name, system);
    if (amount(hard) > amount(most)) {
      throw new Refused(
        `its limit ${name} may not be raised to ${hard}, as upkeep has ${most}; start the container with --ulimit ${name}=${hard}, or ask for less`,
      );
    }
    return `--${name}=${soft}:${hard}`;
  });
  return [toolOf('prlimit', system), ...options, '--'];
}

const amount = (value: string): number => (value === 'unlimited' ? Number.POSITIVE_INFINITY : Number(value));

/** The highest value that upkeep may set. */
function mostOf(name: string, system: System): string {
  try {
    if (mayUse('sys_resource', system)) {
      // Not even root may go beyond that.
      return name === 'nofile' ? system.readFile('/proc/sys/fs/nr_open').trim() : 'unlimited';
    }
    const row = new RegExp(`^Max ${LIMITS[name]} +\\S+ +(\\S+)`, 'm').exec(
      system.readFile('/proc/self/limits'),
    );
    return row?.[1] ?? 'unlimited';
  } catch {
    return 'unlimited';
  }
}

function niceOf({ nice }: Execution, system: System): { words: string[]; nice: number | null } {
  if (nice === null) return { words: [], nice };
  const own = system.niceness();
  if (nice === own) return { words: [], nice: null };
  // nice(1) starts the program all the same where it is refused, so it is asked for what nobody is refused; what
  // makes it more important upkeep takes on itself for the moment: the way back is then refused to nobody.
  if (nice < own) return { words: [], nice };
  const tool = system.tool('nice');
  if (tool === null)
    throw new Refused('the program nice, which it takes, is not there; install coreutils in the image');
  return { words: [tool.path, '-n', String(nice - own)], nice: null };
}
