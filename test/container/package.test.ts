import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { docker, run } from './docker.ts';
import { build, IMAGES } from './images.ts';

const root = join(import.meta.dirname, '..', '..');
const NODE = 'node:24-bookworm-slim';

/** Builds an image from what `fill` puts into a new folder. */
function buildFrom(tag: string, dockerfile: string, fill: (folder: string) => void): string {
  const folder = mkdtempSync(join(tmpdir(), 'upkeep-image-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  fill(folder);
  writeFileSync(join(folder, 'Dockerfile'), dockerfile);
  build(tag, folder);
  return tag;
}

/** upkeep, as npm has installed it globally, and the packages below it. */
async function installed(image: string): Promise<string[]> {
  const listing = ['npm', 'ls', '--global', '--all', '--parseable'];
  const { stdout } = await docker(['run', '--rm', image, ...listing]);
  const ours = stdout.split('\n').filter((path) => /\/node_modules\/upkeep(\/|$)/.test(path));
  return ours.map((path) => path.split('/node_modules/').at(-1)!);
}

test('the npm package installs globally where there is nothing but node and npm, no script run, and runs', async () => {
  const image = buildFrom(
    'upkeep-test/package',
    `FROM ${NODE}\nCOPY upkeep.tgz /tmp/upkeep.tgz\nRUN npm install --global --ignore-scripts /tmp/upkeep.tgz\n`,
    (folder) => {
      const pack = ['pack', '--silent', '--pack-destination', folder];
      const name = execFileSync('npm', pack, { cwd: root, encoding: 'utf8' }).trim().split('\n').at(-1)!;
      renameSync(join(folder, name), join(folder, 'upkeep.tgz'));
    },
  );
  const version = await docker(['run', '--rm', image, 'upkeep', '--version']);
  expect(version).toMatchObject({ code: 0, stdout: expect.stringMatching(/^upkeep \d+\.\d+\.\d+\n$/) });

  // Beside upkeep: koffi, its binary for this platform, and nobody else.
  const binary = expect.stringMatching(/^@koromix\/koffi-linux-\w+$/);
  expect(await installed(image)).toEqual(['upkeep', 'koffi', binary]);

  const box = await run(image, ['upkeep', 'run', '--log', 'json', 'sleep 1000']);
  const first = await box.until('sleep up', async () => (await box.eventsOf('command.running'))[0]);
  expect((await box.eventsOf('upkeep.started'))[0]).toMatchObject({
    pid: 1,
    lineage: 'tag',
    reaping: 'pid 1',
  });
  await box.must('sh', '-c', `kill -9 ${first.leader.pid}`);
  await box.until('sleep up again', async () => (await box.eventsOf('command.running'))[1]);
  expect((await box.stop()).code).toBe(0);
});

test('the notices of what is bundled are in the image as well', async () => {
  const page = '/usr/local/lib/upkeep/dist/THIRD-PARTY.md';
  const { code, stdout } = await docker(['run', '--rm', '--entrypoint', 'cat', IMAGES.upkeep, page]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^\| xstate \| [\d.]+ \| MIT \| bundled \|$/m);
});

describe("the README's two commands, on a clone of the last commit", () => {
  const fresh = () =>
    buildFrom(
      'upkeep-test/fresh',
      `FROM ${NODE}
RUN apt-get update && apt-get install --yes --no-install-recommends git perl procps python3 util-linux
COPY upkeep.git /upkeep.git
RUN git clone --quiet /upkeep.git /upkeep
WORKDIR /upkeep
RUN npm ci
`,
      (folder) => execFileSync('git', ['clone', '--quiet', '--bare', root, join(folder, 'upkeep.git')]),
    );

  test('npm ci && npm start: two servers that come back; Ctrl-C ends all of it in good order', async () => {
    const box = await run(fresh(), ['sleep', 'infinity'], ['--init']);
    // A terminal, and somebody who presses Ctrl-C in it.
    const terminal = ['script', '--quiet', '--return', '--command', 'npm start', '/dev/null'];
    const person = spawn('docker', ['exec', '--interactive', box.id, ...terminal], { stdio: 'pipe' });
    let shown = '';
    person.stdout.on('data', (chunk) => {
      shown = stripVTControlCharacters(shown + chunk);
    });
    const ended = new Promise<number | null>((resolve) => person.on('close', resolve));

    const kills = (name: string) =>
      [
        ...shown.matchAll(
          new RegExp(`^${name} .*(http:\\S+) answers; to see it come back: (kill -9 \\d+)`, 'gm'),
        ),
      ].map(([, url, kill]) => ({ url: url!, kill: kill! }));
    const answer = async (url: string) =>
      (
        await box.exec(
          'node',
          '-e',
          `fetch('${url}').then((r) => r.text()).then((text) => process.stdout.write(text))`,
        )
      ).stdout;

    for (const name of ['web', 'daemon']) {
      const first = await box.until(`${name} up:\n${shown}`, async () => kills(name)[0]);
      expect(await answer(first.url)).toMatch(new RegExp(`^${name}: pid \\d+\n$`));
      await box.must('sh', '-c', first.kill);
      const second = await box.until(`${name} up again`, async () => kills(name)[1]);
      expect(second.kill).not.toBe(first.kill);
      expect(await answer(second.url)).toContain(second.kill.replace('kill -9', 'pid'));
    }

    person.stdin.write('\x03');
    await ended; // with npm's exit code, which is that of a Ctrl-C
    expect(shown.match(/SIG(INT|TERM|KILL)$/gm), shown).toEqual(['SIGINT', 'SIGTERM', 'SIGTERM']);
    expect(shown).toMatch(/stopping everything, within 9 s: SIGINT/);
    expect(shown).toMatch(/upkeep \| stopped after .*, with exit code 0/);
  });

  const wanted = process.env.UPKEEP_TEST_FRESH === '1';
  const why = wanted ? '' : ' (skipped: takes minutes; UPKEEP_TEST_FRESH=1 runs it)';
  test.skipIf(!wanted)(`npm ci && npm test${why}`, { timeout: 1_800_000 }, async () => {
    // As on a machine of one's own: the tests make PID namespaces.
    const rights = [
      '--cap-add',
      'SYS_ADMIN',
      '--cap-add',
      'SYS_PTRACE',
      '--security-opt',
      'seccomp=unconfined',
    ];
    const box = await run(fresh(), ['npm', 'test'], ['--init', ...rights]);
    const { code } = await box.ended(1800);
    const log = stripVTControlCharacters(await box.log()).split('\n');
    expect(code, log.filter((line) => / FAIL |Error: | Tests /.test(line)).join('\n')).toBe(0);
  });
});
