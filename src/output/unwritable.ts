/** Why a file can't be written, and what to do. */

/** Node's messages go on with the system call and the path. */
export function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  return code === 'ELOOP' ? 'it is a symbolic link' : message.split(',')[0]!;
}

/** @param otherwise what is advised where nothing better is known */
export function adviceOn({ code }: NodeJS.ErrnoException, otherwise: string): string {
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'make room';
    case 'ELOOP':
      return 'name the file that it leads to';
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return 'give upkeep the right to write there';
    default:
      return otherwise;
  }
}
