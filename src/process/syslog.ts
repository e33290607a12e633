/** The socket that syslog(3) writes to: /dev/log, or one elsewhere. */
import { lstatSync, readlinkSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { getSystemErrorName } from 'node:util';
import { createDatagrams } from './datagrams.ts';
import type { Native } from './native.ts';

/** One message as it came. */
export interface RawMessage {
  /** At most the first `LONGEST_MESSAGE` bytes of it. */
  readonly text: string;
  /** Bytes that it had beyond them. */
  readonly cut: number;
  /** Who sent it, by its own credentials; it may be gone already. 0: not known. */
  readonly pid: number;
}

export interface SyslogSocket {
  /** Hands over, at once, what waits in the socket. Costs little, however often it is called. */
  readonly drain: () => void;
  /** Closes and removes the socket. */
  readonly close: () => void;
}

/** What is read of a message, in bytes: as much as rsyslog takes. */
export const LONGEST_MESSAGE = 8 * 1024;
/** How many messages `drain` hands over in one turn of the event loop: whoever sends without end must not hold it up. */
const MOST_DRAINED = 256;
/** As many as the kernel follows. */
const MOST_LINKS = 40;
const ROOT_ALONE = ['EACCES', 'EPERM'];

/**
 * Binds the socket, in place of one that nobody listens at. A link is followed, and never replaced: it may be another's /dev.
 *
 * @returns `error`: why there is none, and what to do
 */
export function openSyslogSocket(
  native: Pick<Native, 'bindDatagram' | 'receive' | 'eventfd' | 'pollReadable' | 'reachDatagram'>,
  path: string,
  deliver: (messages: readonly RawMessage[]) => void,
): SyslogSocket | { readonly error: string } {
  const target = targetOf(path);
  const place = target === resolve(path) ? target : `${target} (where ${path} leads)`;
  const reached = native.reachDatagram(target);
  const answer = reached === 0 ? 'OK' : getSystemErrorName(reached);
  if (answer === 'OK' || answer === 'EPROTOTYPE') {
    return {
      error: `somebody listens at ${place} already (a syslog daemon, or the host's journal); stop it, or have this one elsewhere with --syslog=PATH`,
    };
  }
  const datagrams = createDatagrams<RawMessage>(native, {
    longest: LONGEST_MESSAGE,
    parse: (bytes, length, pid) => ({
      text: bytes.toString('utf8'),
      cut: Math.max(0, length - LONGEST_MESSAGE),
      pid,
    }),
    deliver: (_, messages) => deliver(messages),
  });
  const refused = datagrams.open(target);
  if (refused !== null) {
    const forbidden = ROOT_ALONE.some((name) => refused.includes(name));
    const remedy =
      '; start upkeep as root (its commands can have users of their own), or, for programs that can be told where, have it elsewhere with --syslog=PATH';
    return { error: forbidden ? refused + remedy : refused };
  }

  let drained = 0;
  return {
    drain() {
      if (drained >= MOST_DRAINED) return;
      const count = datagrams.drain(target);
      if (count === 0) return;
      if (drained === 0) {
        setImmediate(() => {
          drained = 0;
        });
      }
      drained += count;
    },
    close: () => datagrams.close(target),
  };
}

/** Where a chain of links ends, whether anything is there or not. */
function targetOf(path: string): string {
  let target = resolve(path);
  for (let links = 0; links < MOST_LINKS; links++) {
    try {
      if (!lstatSync(target).isSymbolicLink()) break;
      target = resolve(dirname(target), readlinkSync(target));
    } catch {
      break;
    }
  }
  return target;
}
