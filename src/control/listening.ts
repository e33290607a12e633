/** Where one listens. It loads no HTTP. */
import { isIP } from 'node:net';

/** Nobody reaches this IP address but from the same machine, or container. */
export function isLoopback(address: string): boolean {
  return address === '::1' || (isIP(address) === 4 && address.startsWith('127.'));
}

/** Why one can't listen, and what to do. @param instead another port, as on the command line */
export function whyNotListening({ code, message }: NodeJS.ErrnoException, instead: string): string {
  switch (code) {
    case 'EADDRINUSE':
      return `somebody listens there already; name another port, as in ${instead}`;
    case 'EACCES':
      return 'only root may listen at so low a port; name one from 1024 on';
    case 'EADDRNOTAVAIL':
      return 'this machine does not have that address; name one that it has, or 0.0.0.0 for all of them';
    default:
      return message;
  }
}
