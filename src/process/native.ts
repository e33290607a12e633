/**
 * What Node lacks, reached through koffi without native code of our own. Everything of it sits here, behind plain
 * functions; `loadNative` answers null with the reason where it cannot be had, and upkeep then works by scanning.
 */
import { createRequire } from 'node:module';

/** How a child ended, from waitid(2). */
export interface WaitStatus {
  readonly pid: number;
  readonly code: number | null;
  /** Signal number. */
  readonly signal: number | null;
  readonly core: boolean;
  /** The most memory that it had in use at once (resident), or one of the children it waited for, bytes. */
  readonly peak: number;
}

export interface Native {
  /** PR_SET_CHILD_SUBREAPER: orphans below this process become its children. False where the kernel refuses. */
  becomeSubreaper(): boolean;
  /** The pid of the first child that waits to be reaped, without reaping it; 0: none. */
  peekZombie(): number;
  /** Reaps that one child. null: it is no child of ours, or lives. */
  reap(pid: number): WaitStatus | null;
  /** A child that was stopped or continued since the last call; null: none. */
  nextStop(): { pid: number; stopped: boolean } | null;
  /** A descriptor that becomes readable when the process ends, close-on-exec; -1 where there is none to be had. */
  pidfdOpen(pid: number): number;
  /** A descriptor that `write` of eight bytes makes readable, for waking a `poll`; -1: none to be had. */
  eventfd(): number;
  /** Waits, in a thread of its own, until one of the descriptors is readable; tells which are. */
  pollReadable(fds: readonly number[], then: (readable: number[]) => void): void;
  /** Whether a read would give something right now. */
  isReadable(fd: number): boolean;
  /** Soft and hard limit as [soft, hard]; null where it cannot be read. */
  getLocksLimit(): [bigint, bigint] | null;
  setLocksLimit(soft: bigint, hard: bigint): boolean;
  /** A pipe as [read, write], both close-on-exec, the read end non-blocking. null: no descriptors left. */
  pipe(): [number, number] | null;
  /** Lets others run first that wait for this CPU. */
  yieldCpu(): void;
  /** The user of the process at the other end of a connected socket of this machine; null: the kernel does not say. */
  peer(fd: number): { uid: number; pid: number } | null;
  /** Sets close-on-exec. */
  closeOnExec(fd: number): void;
  /** A datagram socket at this path, close-on-exec and non-blocking; or its errno, negative. */
  bindDatagram(path: string): number;
  /** Takes the next datagram of such a socket: its length, though no more than fits is written to `into`, and the pid of
   * whoever sent it (0: of another namespace). null: none waits. */
  receive(fd: number, into: Uint8Array): { length: number; pid: number } | null;
  /** Whether a datagram could be sent to this path just now: 0, or the errno, negative. Nothing is sent. */
  reachDatagram(path: string): number;
}

const RLIMIT_LOCKS = 10;
const PR_SET_CHILD_SUBREAPER = 36;
const P_ALL = 0;
const P_PID = 1;
const WNOHANG = 1;
const WSTOPPED = 2;
const WEXITED = 4;
const WCONTINUED = 8;
const WNOWAIT = 0x0100_0000;
const CLD_EXITED = 1;
const CLD_DUMPED = 3;
const CLD_CONTINUED = 6;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2_000_000;
const F_SETFD = 2;
const F_SETFL = 4;
const FD_CLOEXEC = 1;
const SYS_PIDFD_OPEN = 434;
/** By process.arch; elsewhere it is that of all newer architectures. */
const SYS_WAITID: Readonly<Record<string, number>> = { x64: 247, ppc64: 272 };
const SYS_WAITID_ELSEWHERE = 95;
const POLLIN = 1;
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_PASSCRED = 16;
const SO_PEERCRED = 17;
const SCM_CREDENTIALS = 2;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const EINVAL = 22;
/** What sun_path holds, less its final zero. */
const LONGEST_PATH = 107;
/** struct pollfd: int fd, short events, short revents. */
const POLLFD_BYTES = 8;

/** The header of a control message, size_t length, int level and type, and a struct ucred of which pid is the first. Not
 * a byte more: file descriptors that somebody sends find no room, and the kernel closes them. */
const CONTROL_BYTES = 32;
const CMSG_TYPE = 12;
const CMSG_PID = 16;

// siginfo_t on 64-bit Linux: si_signo, si_errno, si_code, padding, then si_pid, si_uid, si_status.
const SI_CODE = 8;
const SI_PID = 16;
const SI_STATUS = 24;

/** Longs in a struct rusage; the fifth is the peak of resident memory, KiB. */
const RUSAGE_LONGS = 18;
const RU_MAXRSS = 4;

/**
 * @returns the calls, or why there are none. UPKEEP_NO_NATIVE in the environment keeps koffi from being loaded, to
 *   see how upkeep does without.
 */
export function loadNative(env: NodeJS.ProcessEnv): Native | { missing: string } {
  if (process.platform !== 'linux') return { missing: `not on ${process.platform}` };
  if (env.UPKEEP_NO_NATIVE) return { missing: 'UPKEEP_NO_NATIVE is set' };
  if (!['x64', 'arm64', 'riscv64', 'loong64', 'ppc64'].includes(process.arch)) {
    return { missing: `no layout of siginfo_t known for ${process.arch}` };
  }
  try {
    return bind(loadKoffi(createRequire(import.meta.url)));
  } catch (error) {
    return { missing: `koffi cannot be loaded: ${(error as Error).message.split('\n')[0]}` };
  }
}

type Koffi = typeof import('koffi').default;

/** koffi's package finds out which of its packages holds the library for this platform. To ask for that one right away saves
 * a twentieth of upkeep's start; where it is not found, or is not what we know, koffi does it. */
function loadKoffi(require: NodeJS.Require): Koffi {
  try {
    const library = require(`@koromix/koffi-linux-${process.arch}`) as Partial<Koffi>;
    if (/^3\./.test(library.version ?? '') && typeof library.load === 'function') return library as Koffi;
  } catch {
    // Not where it was looked for.
  }
  return require('koffi') as Koffi;
}

function bind(koffi: typeof import('koffi').default): Native {
  const libc = koffi.load(null);
  const prctl = libc.func(
    'int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)',
  );
  // The C library's waitid keeps to itself what the child has used.
  const waitid = libc.func(
    'long syscall(long number, int type, uint32_t id, _Out_ uint8_t *info, int options, _Out_ uint64_t *usage)',
  );
  const getrlimit = libc.func('int getrlimit(int resource, _Out_ uint64_t *limit)');
  const setrlimit = libc.func('int setrlimit(int resource, const uint64_t *limit)');
  const pipe2 = libc.func('int pipe2(_Out_ int *fds, int flags)');
  const fcntl = libc.func('int fcntl(int fd, int command, int argument)');
  const syscall = libc.func('long syscall(long number, long a, long b)');
  const schedYield = libc.func('int sched_yield()');
  const eventfd = libc.func('int eventfd(unsigned int value, int flags)');
  const poll = libc.func('int poll(_Inout_ uint8_t *fds, unsigned long count, int timeout)');
  const info = new Uint8Array(128);
  const limits = new BigUint64Array(2);
  const view = new DataView(info.buffer);
  const single = new Uint8Array(POLLFD_BYTES);
  const one = new DataView(single.buffer);
  let getsockopt: ReturnType<typeof libc.func> | null = null;
  let bound: Datagrams | null = null;
  const datagrams = (): Datagrams => {
    bound ??= bindDatagrams(koffi, libc);
    return bound;
  };

  const waitidNumber = SYS_WAITID[process.arch] ?? SYS_WAITID_ELSEWHERE;
  const used = new BigUint64Array(RUSAGE_LONGS);
  const waited = (type: number, id: number, options: number, usage: BigUint64Array | null = null): number => {
    view.setInt32(SI_PID, 0, true);
    const failed = waitid(waitidNumber, type, id, info, options | WNOHANG, usage);
    return failed ? 0 : view.getInt32(SI_PID, true);
  };

  return {
    becomeSubreaper: () => prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) === 0,
    peekZombie: () => waited(P_ALL, 0, WEXITED | WNOWAIT),
    reap(pid) {
      if (waited(P_PID, pid, WEXITED, used) !== pid) return null;
      const how = view.getInt32(SI_CODE, true);
      const status = view.getInt32(SI_STATUS, true);
      const peak = Number(used[RU_MAXRSS]) * 1024;
      return how === CLD_EXITED
        ? { pid, code: status, signal: null, core: false, peak }
        : { pid, code: null, signal: status, core: how === CLD_DUMPED, peak };
    },
    nextStop() {
      const pid = waited(P_ALL, 0, WSTOPPED | WCONTINUED);
      return pid === 0 ? null : { pid, stopped: view.getInt32(SI_CODE, true) !== CLD_CONTINUED };
    },
    pidfdOpen: (pid) => Number(syscall(SYS_PIDFD_OPEN, pid, 0)),
    eventfd: () => eventfd(0, O_CLOEXEC | O_NONBLOCK),
    pollReadable(fds, then) {
      const list = new Uint8Array(fds.length * POLLFD_BYTES);
      const at = new DataView(list.buffer);
      for (const [index, fd] of fds.entries()) {
        at.setInt32(index * POLLFD_BYTES, fd, true);
        at.setInt16(index * POLLFD_BYTES + 4, POLLIN, true);
      }
      poll.async(list, fds.length, -1, () => {
        then(fds.filter((_, index) => at.getInt16(index * POLLFD_BYTES + 6, true) !== 0));
      });
    },
    isReadable(fd) {
      one.setInt32(0, fd, true);
      one.setInt16(4, POLLIN, true);
      return poll(single, 1, 0) > 0;
    },
    getLocksLimit() {
      const limit = new BigUint64Array(2);
      return getrlimit(RLIMIT_LOCKS, limit) === 0 ? [limit[0]!, limit[1]!] : null;
    },
    setLocksLimit(soft, hard) {
      limits[0] = soft;
      limits[1] = hard;
      return setrlimit(RLIMIT_LOCKS, limits) === 0;
    },
    pipe() {
      const fds = new Int32Array(2);
      if (pipe2(fds, O_CLOEXEC) !== 0) return null;
      const [read, write] = [fds[0]!, fds[1]!];
      // Only the read end: a writer that finds its stdout non-blocking would lose lines.
      fcntl(read, F_SETFL, O_NONBLOCK);
      return [read, write];
    },
    yieldCpu() {
      schedYield();
    },
    peer(fd) {
      // Bound when it is asked for: few ask, and each call that is bound makes every start longer.
      getsockopt ??= libc.func(
        'int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)',
      );
      // struct ucred: pid, uid, gid.
      const credentials = new Uint8Array(12);
      if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, [12]) !== 0) return null;
      const view = new DataView(credentials.buffer);
      return { uid: view.getUint32(4, true), pid: view.getInt32(0, true) };
    },
    closeOnExec(fd) {
      fcntl(fd, F_SETFD, FD_CLOEXEC);
    },
    bindDatagram: (path) => datagrams().bind(path),
    receive: (fd, into) => datagrams().receive(fd, into),
    reachDatagram: (path) => datagrams().reach(path),
  };
}

interface Datagrams {
  readonly bind: Native['bindDatagram'];
  readonly receive: Native['receive'];
  readonly reach: Native['reachDatagram'];
}

/** Apart from the rest: few need them, and each call that is bound makes every start longer. */
function bindDatagrams(koffi: Koffi, libc: ReturnType<Koffi['load']>): Datagrams {
  const socket = libc.func('int socket(int domain, int type, int protocol)');
  const bindTo = libc.func('int bind(int fd, const uint8_t *address, uint32_t length)');
  const connectTo = libc.func('int connect(int fd, const uint8_t *address, uint32_t length)');
  const setsockopt = libc.func(
    'int setsockopt(int fd, int level, int name, const int *value, uint32_t length)',
  );
  const recvmsg = libc.func('long recvmsg(int fd, _Inout_ uint64_t *message, int flags)');
  const close = libc.func('int close(int fd)');
  // What the kernel is given addresses of must stay where it is.
  const control = new Uint8Array(new ArrayBuffer(CONTROL_BYTES));
  const parts = new BigUint64Array(new ArrayBuffer(16));
  const told = new DataView(control.buffer);

  /** A new socket that `call` has given the path; or its errno, negative. */
  function socketAt(path: string, call: typeof bindTo): number {
    const name = Buffer.from(path);
    if (name.length > LONGEST_PATH) return -EINVAL;
    const fd = socket(AF_UNIX, SOCK_DGRAM | O_CLOEXEC | O_NONBLOCK, 0);
    if (fd < 0) return -koffi.errno();
    // struct sockaddr_un: the family in two bytes, and the path with a zero.
    const address = Buffer.concat([Buffer.from([AF_UNIX, 0]), name, Buffer.alloc(1)]);
    if (call(fd, address, address.length) === 0) return fd;
    const refused = -koffi.errno();
    close(fd);
    return refused;
  }

  return {
    bind(path) {
      const fd = socketAt(path, bindTo);
      if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_PASSCRED, [1], 4);
      return fd;
    },
    reach(path) {
      const fd = socketAt(path, connectTo);
      if (fd < 0) return fd;
      close(fd);
      return 0;
    },
    receive(fd, into) {
      parts.set([koffi.address(into), BigInt(into.length)]);
      control.fill(0);
      // struct msghdr: name and its length, parts and their number, control and its length, flags.
      const head = [0n, 0n, koffi.address(parts), 1n, koffi.address(control), BigInt(CONTROL_BYTES), 0n];
      const length = Number(recvmsg(fd, new BigUint64Array(head), MSG_DONTWAIT | MSG_TRUNC));
      if (length < 0) return null;
      const pid = told.getInt32(CMSG_TYPE, true) === SCM_CREDENTIALS ? told.getInt32(CMSG_PID, true) : 0;
      return { length, pid };
    },
  };
}
