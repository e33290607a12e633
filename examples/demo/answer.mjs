import { createServer } from 'node:http';

/**
 * Answers every request with this process's pid, on the first free loopback port from `port` on, and prints how to
 * kill it.
 */
export function answer(name, port) {
  const server = createServer((_, response) => response.end(`${name}: pid ${process.pid}\n`));
  let tries = 0;
  server.on('error', (error) => {
    if (error.code !== 'EADDRINUSE' || ++tries > 50) throw error;
    server.listen(port + tries, '127.0.0.1');
  });
  server.on('listening', () => {
    const url = `http://127.0.0.1:${server.address().port}/`;
    console.log(`${url} answers; to see it come back: kill -9 ${process.pid}`);
  });
  server.listen(port, '127.0.0.1');
}
