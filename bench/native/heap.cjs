// Loaded in front of upkeep by the soak (node --require): whoever connects to the socket UPKEEP_SOAK_HEAP is told what is alive
// in upkeep's heap after a full collection, and how much of it is compiled code, in bytes. "snapshot FILE" writes a heap snapshot.
const { createServer } = require('node:net');
const v8 = require('node:v8');
const { runInNewContext } = require('node:vm');

const path = process.env.UPKEEP_SOAK_HEAP;
delete process.env.UPKEEP_SOAK_HEAP;
let collect;

const server = createServer({ allowHalfOpen: true }, (socket) => {
  socket.on('error', () => {});
  socket.setEncoding('utf8').once('data', (order) => {
    if (collect === undefined) {
      // Not at once: code that was compiled under other flags is refused, and upkeep's is.
      v8.setFlagsFromString('--expose-gc');
      collect = runInNewContext('gc');
    }
    collect();
    const { heapUsed } = process.memoryUsage();
    const { code_and_metadata_size: machine, bytecode_and_metadata_size: bytes } = v8.getHeapCodeStatistics();
    const [, file] = /^snapshot (.*)\n/.exec(order) ?? [];
    if (file !== undefined) v8.writeHeapSnapshot(file);
    socket.end(`${JSON.stringify({ heap: heapUsed, code: machine + bytes })}\n`);
  });
});
server.listen(path).unref();
