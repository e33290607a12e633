/** Users and groups, as the texts of /etc/passwd and /etc/group have them. */

export interface User {
  /** null: a number that has no entry. */
  readonly name: string | null;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string | null;
}

/** The highest number there is; the one behind it means "none". */
const LAST_ID = 0xffff_fffe;

/** @param wanted a name or a number; a number needs no entry, and is then its own group */
export function findUser(passwd: string, wanted: string): User | null {
  const entries = entriesOf(passwd, 7);
  const entry = entries.find(([name]) => name === wanted) ?? entries.find(([, , uid]) => uid === wanted);
  if (entry === undefined) {
    const uid = numberOf(wanted);
    // Not upkeep's own group, which is root's: whoever gives a number wants to be rid of that.
    return uid === null ? null : { name: null, uid, gid: uid, home: '/', shell: null };
  }
  const [name = '', , uid = '', gid = '', , home = '', shell = ''] = entry;
  const [uidNumber, gidNumber] = [numberOf(uid), numberOf(gid)];
  if (uidNumber === null || gidNumber === null) return null;
  return { name, uid: uidNumber, gid: gidNumber, home: home || '/', shell: shell || '/bin/sh' };
}

/** @param wanted a name or a number */
export function findGroup(group: string, wanted: string): number | null {
  const entry = entriesOf(group, 3).find(([name]) => name === wanted);
  return numberOf(entry?.[2] ?? wanted);
}

/** The groups that list the user as a member. */
export function groupsOf(group: string, user: string): number[] {
  return entriesOf(group, 4)
    .filter(([, , , members = '']) => members.split(',').includes(user))
    .map(([, , gid = '']) => numberOf(gid))
    .filter((gid) => gid !== null);
}

function entriesOf(text: string, fields: number): string[][] {
  return text
    .split('\n')
    .map((line) => line.trim().split(':'))
    .filter((entry) => entry.length >= fields);
}

function numberOf(text: string): number | null {
  return /^\d{1,10}$/.test(text) && Number(text) <= LAST_ID ? Number(text) : null;
}
