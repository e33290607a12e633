import { createServer } from 'node:net';
import { expect, test, vi } from 'vitest';
import { createHttp } from '../src/http.ts';
import { createInside } from './control/inside.ts';

/** Of processes and lines that there are none of. */
const nothing: Pick<Parameters<typeof createHttp>[0], 'version' | 'table' | 'membersOf' | 'dropped'> = {
  version: '1.2.3',
  table: { kind: 'ps-list', rows: new Map() },
  membersOf: () => [],
  dropped: () => ({ stdout: 0, file: 0, syslog: 0 }),
};

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('before the process table has been read nobody is told that all is ready', async (context) => {
  const port = await freePort();
  let isRead = false;
  const inside = createInside();
  const { viewOf } = inside;
  const answers = { ...inside, viewOf: (name: string) => (isRead ? viewOf(name) : null) };
  let at = 0;
  const listening = new Promise<void>((resolve) => {
    const http = createHttp({
      ...nothing,
      inside: () => answers,
      journal: inside.journal,
      // What was found before is too old each time.
      now: () => (at += 10_000),
      notice: () => resolve(),
    });
    http.listen(`127.0.0.1:${port}`);
    context.onTestFinished(() => http.listen(null));
  });
  await listening;
  const statusOf = (path: string): Promise<number> =>
    fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } }).then(
      ({ status }) => status,
    );
  expect([await statusOf('/readyz'), await statusOf('/livez'), await statusOf('/metrics')]).toEqual([
    503, 200, 500,
  ]);
  isRead = true;
  expect([await statusOf('/readyz'), await statusOf('/metrics')]).toEqual([200, 200]);
});

test('without file descriptors a scrape is answered nevertheless', async (context) => {
  const port = await freePort();
  const inside = createInside();
  const http = createHttp({
    ...nothing,
    inside: () => inside,
    journal: inside.journal,
    now: () => 0,
    notice: () => {},
  });
  http.listen(`127.0.0.1:${port}`);
  context.onTestFinished(() => http.listen(null));
  // Node opens a file to learn it.
  const spy = vi.spyOn(process.memoryUsage, 'rss').mockImplementation(() => {
    throw new Error('EMFILE: too many open files, uv_resident_set_memory');
  });
  context.onTestFinished(() => spy.mockRestore());
  const scrape = () =>
    fetch(`http://127.0.0.1:${port}/metrics`, { headers: { connection: 'close' } }).catch(() => null);
  const answer = await vi.waitFor(async () => (await scrape())!.text(), { timeout: 60_000 });
  expect(answer).toMatch(/^process_start_time_seconds /m);
  expect(answer).not.toMatch(/^process_resident_memory_bytes /m);
});
