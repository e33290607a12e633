/** `npm run chaos`: faults on real processes under upkeep, and an observer that is not upkeep. See docs/how-to/chaos.md. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { ASKING_KINDS } from './askers.ts';
import { type Outcome, runEpisode } from './episode.ts';
import { KINDS } from './faults.ts';
import { type ChaosOptions, parseOptions, USAGE } from './options.ts';
import { planEpisode, turnOf } from './plan.ts';
import { runPolicyEpisode } from './policy-episode.ts';
import { POLICY_KINDS } from './policy-faults.ts';
import { planPolicyEpisode } from './policy-plan.ts';
import { writeReport } from './report.ts';
import { quietly } from './table.ts';
import { FIXTURES, shake } from './world.ts';

const EXIT_USAGE = 64;

async function main(): Promise<number> {
  let options: ChaosOptions;
  try {
    options = parseOptions(
      process.argv.slice(2),
      [...KINDS, ...POLICY_KINDS, ...ASKING_KINDS, { name: 'policy' }].map(({ name }) => name),
      () => Math.floor(Math.random() * 2 ** 32),
    );
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return EXIT_USAGE;
  }
  const missing = whatIsMissing();
  if (missing !== null) {
    console.error(missing);
    return EXIT_USAGE;
  }
  const skipped = new Map<string, string>();
  for (const { name, needs } of KINDS) {
    const why = needs?.() ?? null;
    if (why !== null) skipped.set(name, why);
  }
  if (options.list) {
    for (const { name, about } of [...KINDS, ...POLICY_KINDS, ...ASKING_KINDS])
      console.log(
        `${name.padEnd(16)} ${about}${skipped.has(name) ? ` (not made: ${skipped.get(name)})` : ''}`,
      );
    return 0;
  }
  console.log(`seed ${options.seed}`);
  for (const [kind, why] of skipped) console.log(`not made: ${kind}: ${why}`);
  if (options.upkeep !== null) shake(options.upkeep);
  else execFileSync(process.execPath, ['scripts/build.mjs'], { stdio: 'inherit' });

  const begun = performance.now();
  const only = options.only?.filter((name) => name !== 'policy') ?? null;
  // Alone, it stands for all that can be made in episodes with a policy file.
  const wanted = (name: string): boolean => only === null || only.length === 0 || only.includes(name);
  const kinds = KINDS.filter(({ name }) => !skipped.has(name) && wanted(name));
  const policyKinds = [...kinds, ...POLICY_KINDS.filter(({ name }) => wanted(name))];
  const asking = ASKING_KINDS.map(({ name }) => name).filter(wanted);
  const isAbout = (some: readonly { readonly name: string }[]): boolean =>
    only === null || some.some(({ name }) => only.includes(name));
  const which =
    options.only?.includes('policy') || (!isAbout(KINDS) && isAbout(POLICY_KINDS))
      ? 'policy'
      : isAbout(POLICY_KINDS) || !isAbout(KINDS)
        ? 'both'
        : 'ordinary';
  const planOptions = {
    specials: kinds.filter(({ special }) => special).map(({ name }) => name),
    beside: new Set(kinds.filter(({ beside }) => beside).map(({ name }) => name)),
    service: '{dir}/service.pl',
    nginx: process.getuid!() === 0 && existsSync('/usr/sbin/nginx') ? 'nginx -p {dir} -c nginx.conf' : null,
    longest: Math.max(5_000, Math.min(60_000, (options.minutes ?? 60) * 20_000)),
  };
  let asked = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      asked = true;
    });
  const outcomes: Outcome[] = [];
  const made = (): number => outcomes.reduce((sum, outcome) => sum + totalOf(outcome), 0);
  const over = (): boolean =>
    asked ||
    (options.minutes !== null && performance.now() - begun > options.minutes * 60_000) ||
    (options.faults !== null && made() >= options.faults) ||
    (!options.keepGoing && outcomes.some(({ violations }) => violations.length > 0));
  for (let turn = 0; !over(); turn++) {
    const { policy, index } = options.episode ?? turnOf(turn, which);
    const outcome = policy
      ? await runPolicyEpisode(
          planPolicyEpisode(options.seed, index, planOptions.longest),
          policyKinds,
          asking,
          () => asked,
        )
      : await runEpisode(planEpisode(options.seed, index, planOptions), kinds, asking, () => asked);
    outcomes.push(outcome);
    tell(options.seed, outcome);
    if (options.episode !== null) break;
  }
  const seconds = (performance.now() - begun) / 1_000;
  const violations = outcomes.flatMap((outcome) => outcome.violations);
  console.log(
    `${made()} faults in ${outcomes.length} episodes and ${Math.round(seconds)} s (${Math.round((made() / seconds) * 60)} a minute); ${violations.length === 0 ? 'no violation' : `${violations.length} violations`}; seed ${options.seed}`,
  );
  if (options.report !== null) writeReport(options.report, { options, outcomes, skipped, seconds });
  return violations.length > 0 ? 1 : 0;
}

const totalOf = (outcome: Outcome): number =>
  [...outcome.faults].reduce((sum, [kind, count]) => sum + (kind.startsWith('(') ? 0 : count), 0);

function tell(seed: number, outcome: Outcome): void {
  const { label, special, asInit, commands, interval } = outcome.plan;
  console.log(
    `episode ${label}: ${special ?? 'ordinary'}, ${asInit ? 'as init' : 'beside an init'}, ${commands.length} commands, interval ${interval} ms: ${totalOf(outcome)} faults, ${outcome.violations.length === 0 ? 'no violation' : 'VIOLATED'}`,
  );
  if (outcome.violations.length === 0) return;
  for (const { invariant, what } of outcome.violations) console.log(`  ${invariant}: ${what}`);
  console.log(`  have it again: npm run chaos -- --seed ${seed} --episode ${label}`);
  if (outcome.recording !== null)
    console.log(`  look at it: node dist/upkeep.js inspect ${outcome.recording}`);
  console.log(outcome.account);
}

/** Why nothing can be done here; null: it can. */
function whatIsMissing(): string | null {
  if (!existsSync(FIXTURES))
    return `cannot run: there is no ${FIXTURES}; run it from the project's folder, as npm run chaos does`;
  if (process.getuid!() !== 0)
    return 'cannot run: PID namespaces that can be seen into need root; run it as root, or in a privileged container';
  for (const program of ['perl', 'unshare', 'nsenter', 'setpriv', 'prlimit']) {
    if (quietly(() => execFileSync('which', [program], { stdio: 'pipe' })) === null)
      return `cannot run: there is no ${program}; install perl and util-linux`;
  }
  try {
    execFileSync('unshare', ['--pid', '--net', '--fork', '--mount-proc', 'true'], { stdio: 'pipe' });
    return null;
  } catch (error) {
    return `cannot run: no namespace can be had here: ${(error as Error).message.split('\n').at(-1)}; run it as root, or in a privileged container`;
  }
}

process.exit(await main());
