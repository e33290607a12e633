/** What a row of the process table does not tell, read when a rule asks for it. */
import { readFileSync, statSync } from 'node:fs';
import { findUser } from './users.ts';

export interface Surroundings {
  /** The user whose rights a process has; null: gone, or not to be read. */
  readonly ownerOf: (pid: number) => number | null;
  /** A user's number; null: there is no such user. */
  readonly uidOf: (user: string) => number | null;
  /** The number in a pid file, and how old, ms, the file is; null: there is none. */
  readonly pidIn: (path: string) => { readonly pid: number; readonly age: number } | null;
}

/** Those of this container. */
export const ownSurroundings: Surroundings = {
  ownerOf(pid) {
    // Not the owner of /proc/PID, which is root for whoever has changed its user since it was executed.
    const uids = /^Uid:\s+\d+\s+(\d+)/m.exec(textOf(`/proc/${pid}/status`))?.[1];
    return uids === undefined ? null : Number(uids);
  },
  uidOf: (user) => findUser(textOf('/etc/passwd'), user)?.uid ?? null,
  pidIn(path) {
    try {
      const pid = /^\s*(\d+)/.exec(readFileSync(path, 'latin1'))?.[1];
      return pid === undefined ? null : { pid: Number(pid), age: Date.now() - statSync(path).mtimeMs };
    } catch {
      return null;
    }
  },
};

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
