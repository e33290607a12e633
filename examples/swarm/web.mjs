// Says who answers. Where /run/broken is, /health says that all is not well: to see what becomes of a replica then.
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { hostname } from 'node:os';

const { PORT, VERSION } = process.env;
const server = createServer(({ url }, response) => {
  const well = url !== '/health' || !existsSync('/run/broken');
  response.statusCode = well ? 200 : 503;
  response.end(`version ${VERSION} on ${hostname()}\n`);
});
server.listen(Number(PORT), () => console.log(`version ${VERSION} serves on port ${PORT}`));
// What has been asked is answered still.
process.on('SIGTERM', () => server.close(() => process.exit(0)));
