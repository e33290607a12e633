// Greets whoever asks.
import { createServer } from 'node:http';

const { GREETING, PORT } = process.env;
const server = createServer((_, response) => response.end(`${GREETING}\n`));
server.listen(Number(PORT), () => console.log(`says ${GREETING} on port ${PORT}`));
process.on('SIGTERM', () => server.close(() => process.exit(0)));
