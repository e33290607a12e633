/** The threads in which Node reads and writes files, and looks names up. */
import { access } from 'node:fs';

/**
 * Has them made now. libuv makes them when the first of them is needed, and aborts where it can't: by then a service may have
 * taken all the processes that are allowed, and a thread counts as one.
 */
export function makeThreads(): void {
  access('/', () => {});
}
