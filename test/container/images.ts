import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** What the tests run. Built before them, from the newest sources; Docker's layer cache makes that cheap. */
export const IMAGES = {
  /** The project's own. */
  upkeep: 'upkeep-test/upkeep',
  /** Those of examples/. */
  apacheSshd: 'upkeep-test/apache-sshd',
  anyImage: 'upkeep-test/any-image',
  stack: 'upkeep-test/stack',
  /** Of examples/swarm and examples/kubernetes. */
  replica: 'upkeep-test/replica',
  /** Thirty daemons of Debian. */
  daemons: 'upkeep-test/daemons',
} as const;

const here = import.meta.dirname;
const root = join(here, '..', '..');

export default function setup(): void {
  must('an engine', join(here, 'engine.sh'));
  must('base images', join(here, 'base-images.sh'));
  build(IMAGES.upkeep, root);
  build(IMAGES.apacheSshd, join(root, 'examples', 'apache-sshd'));
  build(IMAGES.anyImage, join(root, 'examples', 'any-image'));
  build(IMAGES.stack, join(root, 'examples', 'stack'));
  build(IMAGES.replica, join(root, 'examples', 'swarm'));
  build(IMAGES.daemons, join(here, 'daemons'));
}

/** `docker build`, with the host's network: in the engine's own the archives may be out of reach. */
export function build(tag: string, folder: string): void {
  const from = performance.now();
  const before = idOf(tag);
  const using = tag === IMAGES.upkeep ? [] : ['--build-arg', `UPKEEP_IMAGE=${IMAGES.upkeep}`];
  must(tag, 'docker', 'build', '--network', 'host', '--tag', tag, ...using, folder);
  // What it was before would stay for ever, without a name.
  if (before !== '' && before !== idOf(tag)) spawnSync('docker', ['rmi', before]);
  console.log(`${tag}: ${((performance.now() - from) / 1000).toFixed(1)} s`);
}

function idOf(tag: string): string {
  return spawnSync('docker', ['images', '--quiet', '--no-trunc', tag], { encoding: 'utf8' }).stdout.trim();
}

function must(what: string, program: string, ...args: string[]): void {
  const { status, error, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (status === 0) return;
  const last = `${stdout ?? ''}\n${stderr ?? ''}`.split('\n').slice(-60).join('\n');
  throw new Error(`cannot make ${what}: ${error?.message ?? `${program} ended with ${status}`}\n${last}`);
}
