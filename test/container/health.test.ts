/** The image's own HEALTHCHECK, as Docker shows it. */
import { expect, test } from 'vitest';
import { type Container, dockerOk, run } from './docker.ts';
import { IMAGES } from './images.ts';

// Well while /run/well is there.
const POLICY = `
commands:
  web:
    run: sleep 100000
    ready: { file: /run/well, timeout: 1h }
    health: { file: /run/well, every: 100ms, failures: 1, onUnhealthy: ignore }
`;
const START = 'printf %s "$POLICY" >/etc/upkeep.yaml && exec upkeep run --policy /etc/upkeep.yaml';

interface Health {
  readonly Status: string;
  readonly FailingStreak: number;
  readonly Log: readonly { readonly Output: string }[];
}

const healthOf = async (box: Container): Promise<Health> =>
  JSON.parse(await dockerOk(['inspect', '--format', '{{json .State.Health}}', box.id]));

/** Waits until `docker inspect` has that state, its last check that answer, and `docker ps` those words. */
async function becomes(box: Container, state: string, answer: string, words: string): Promise<void> {
  await box.until(
    `${state} in docker inspect: ${answer}`,
    async () => {
      const { Status, Log } = await healthOf(box);
      return Status === state && Log.at(-1)?.Output.trim() === answer;
    },
    120,
  );
  const shown = await dockerOk(['ps', '--filter', `id=${box.id}`, '--format', '{{.Status}}']);
  expect(shown).toContain(`(${words})`);
}

test('a container is starting, healthy, unhealthy, healthy: as all that it keeps running is', async () => {
  const box = await run(
    IMAGES.upkeep,
    ['-c', START],
    [
      '--entrypoint=sh',
      `--env=POLICY=${POLICY}`,
      // However slow the machine is, it does not end in between.
      '--health-start-period=1h',
      '--health-interval=500ms',
      '--health-timeout=1m',
    ],
  );
  await becomes(box, 'starting', 'starting: web is not ready', 'health: starting');
  await box.must('touch', '/run/well');
  await becomes(box, 'healthy', 'ready', 'healthy');
  await box.must('rm', '/run/well');
  await becomes(box, 'unhealthy', 'degraded: web is unhealthy', 'unhealthy');
  expect((await healthOf(box)).FailingStreak).toBeGreaterThanOrEqual(3);
  await box.must('touch', '/run/well');
  await becomes(box, 'healthy', 'ready', 'healthy');
  await box.remove();
});
