// Answers with what the database holds. Where /run/broken is, it ends at once: to see what upkeep does then.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { promisify } from 'node:util';

const { GREETING, PORT } = process.env;
if (existsSync('/run/broken')) {
  console.error('cannot serve: /run/broken is there; remove it');
  process.exit(3);
}

const query = async (sql) => {
  const { stdout } = await promisify(execFile)('psql', [
    '--no-psqlrc',
    '--tuples-only',
    '--no-align',
    '--command',
    sql,
    'host=127.0.0.1 user=app password=app dbname=postgres',
  ]);
  return stdout.trim();
};

const server = createServer(async ({ url }, response) => {
  try {
    const count = url === '/health' ? await query('select 1') : await query('select count(*) from notes');
    response.end(url === '/health' ? 'ok\n' : `${GREETING}: ${count} notes\n`);
  } catch (error) {
    response.statusCode = 503;
    response.end(`${error.message.trim().split('\n').at(-1)}\n`);
  }
});
server.listen(Number(PORT), '127.0.0.1', () => console.log(`serves on port ${PORT}`));
process.on('SIGTERM', () => server.close(() => process.exit(0)));
