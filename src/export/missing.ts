/** What a policy says and no engine does, as remarks for the places where it is missing. */
import { isDeepStrictEqual } from 'node:util';
import { DEFAULT_POLICY } from '../../machines/restart-policy.ts';
import { formatDuration } from '../output/duration.ts';
import { extrasOf } from '../policy/extras.ts';
import type { CommandSpec, Policy } from '../policy/spec.ts';
import { quoteWord } from '../policy/words.ts';
import type { Engine } from './arguments.ts';
import { speaksOfLoopback, wordsOf } from './probes.ts';

/** Stands for an image that is not known. */
export const ANY_IMAGE = 'your-image';

/** What the whole file is about. */
export function headRemarks(policy: Policy, source: string, image: string | null, engine: Engine): string[] {
  const what = engine === 'kubernetes' ? 'a workload' : 'a service';
  return [
    `Made by upkeep export --${engine} of ${source}: ${what} for each of its commands, and all of one image.`,
    ...(image === null
      ? [
          `${ANY_IMAGE} stands for that image, with all the programs in it: write its name there, or export again with --image.`,
        ]
      : []),
    'What a policy does not know is not here: volumes, published ports, memory and CPU, more than one replica.',
    ...(policy.commands.length > 1
      ? ['Each container has a 127.0.0.1 of its own: the others are reached by their names.']
      : []),
    ...policy.groups.flatMap(({ name, members, strategy, intensity, onFailed }) => [
      ...(strategy === 'one_for_one'
        ? []
        : [
            `groups.${name}.strategy: ${strategy}: each of ${members.join(', ')} is restarted alone, whoever else dies.`,
          ]),
      ...(intensity === null
        ? []
        : [`groups.${name}.intensity: deaths of several are not counted together.`]),
      ...(onFailed === 'ignore' ? [] : [`groups.${name}.onFailed: exit: the others go on.`]),
    ]),
    ...containerRemarks(policy, engine),
    ...(policy.hooks.length === 0
      ? []
      : [
          `on: nobody tells ${policy.hooks.map(({ name }) => name).join(', ')}; have what watches the containers do that.`,
        ]),
  ];
}

function containerRemarks({ container }: Policy, engine: Engine): string[] {
  const { exitWhen, exitCodeFrom, syslog, http } = container;
  const said: string[] = [];
  if (exitWhen !== 'never') {
    const when = typeof exitWhen === 'object' ? `${exitWhen.done} done` : exitWhen;
    said.push(`container.exitWhen: ${when}: nobody ends the others then${instead(exitWhen, engine)}.`);
  }
  if (exitCodeFrom !== null) {
    const flag = engine === 'compose' ? `, but for docker compose up --exit-code-from ${exitCodeFrom}` : '';
    said.push(`container.exitCodeFrom: there is no exit code of all together${flag}.`);
  }
  if (syslog) said.push('container.syslog: nobody hears it; have the programs write to stdout.');
  if (http) said.push('container.http: nobody answers there; each service has a check of its own.');
  return said;
}

function instead(exitWhen: Policy['container']['exitWhen'], engine: Engine): string {
  if (engine !== 'compose') return '';
  if (exitWhen === 'any-failed') return ', but for docker compose up --abort-on-container-failure';
  return exitWhen === 'all-done' ? '; docker compose up without --detach does' : '';
}

/** Of where and with what rights a command runs. */
export function executionRemarks(command: CommandSpec): string[] {
  const { umask, nice, envFiles } = extrasOf(command).execution;
  const said: string[] = [];
  if (nice !== null) said.push(`nice: ${nice}: there is none; put nice -n ${nice} in front of the command`);
  if (umask !== null) {
    const octal = umask.toString(8).padStart(4, '0');
    said.push(`umask: "${octal}": it is 0022; have a shell set it: sh -c 'umask ${octal} && exec …'`);
  }
  for (const { path, optional } of envFiles) {
    said.push(
      `envFile: ${optional ? '-' : ''}${path}: is in the image, where nobody reads it; write its variables here`,
    );
  }
  return said;
}

/** Where a command or its variables name an address that is another one now. */
export function addressRemarks(policy: Policy, texts: readonly string[]): string[] {
  return policy.commands.length > 1 && speaksOfLoopback(texts)
    ? ['127.0.0.1 and localhost are this container alone: another command is reached by its name']
    : [];
}

/** Of when it is started again. @param waits how long the engine waits before it starts one again */
export function restartRemarks(command: CommandSpec, waits: string): string[] {
  const { machine, onFailed } = extrasOf(command);
  const { successCodes, backoff, stable } = machine;
  const said: string[] = [];
  if (!isDeepStrictEqual(successCodes, DEFAULT_POLICY.successCodes)) {
    said.push(`successCodes: ${successCodes.join(', ')}: 0 alone is a success`);
  }
  if (!isDeepStrictEqual(backoff, DEFAULT_POLICY.backoff) || stable !== DEFAULT_POLICY.stable) {
    said.push(`backoff: ${waits}`);
  }
  if (onFailed === 'exit') said.push('onFailed: exit: when it has failed for good, the others go on');
  return said;
}

/** Of its health, what is done about it aside. */
export function healthRemarks(command: CommandSpec): string[] {
  const { machine, health, execution } = extrasOf(command);
  const said: string[] = [];
  if (machine.health !== null && machine.health.successes > 1) {
    said.push(`health.successes: ${machine.health.successes}: one success makes it healthy again`);
  }
  if (health?.kind === 'exec' && Object.keys(execution.secrets).length > 0) {
    said.push('health.exec: it does not have the secrets in its variables');
  }
  return said;
}

/** Of its log, of how it reads its configuration again, and of how many it is. @param name in the engine */
export function otherRemarks(command: CommandSpec, engine: Engine, name: string): string[] {
  const { log, reload, match } = extrasOf(command);
  const said: string[] = [];
  if (log.file !== null) said.push(`log.file: ${log.file.path}: its log is the engine's`);
  for (const path of log.tail) {
    said.push(`log.tail: ${path}: nobody follows it; have it written to /dev/stdout`);
  }
  if (match?.count != null) {
    said.push(`match.count: ${match.count.join(' to ')} processes: nobody counts them`);
  }
  if (reload !== null) said.push(`reload: nobody asks it; by hand: ${byHand(reload, engine, name)}`);
  return said;
}

type Reload = NonNullable<ReturnType<typeof extrasOf>['reload']>;

function byHand(reload: Reload, engine: Engine, name: string): string {
  if ('program' in reload) {
    const words = wordsOf(reload.program).map(quoteWord).join(' ');
    if (engine === 'compose') return `docker compose exec ${name} ${words}`;
    return engine === 'swarm' ? `docker exec CONTAINER ${words}` : `kubectl exec deploy/${name} -- ${words}`;
  }
  const signal = reload.signal.replace(/^SIG/, '');
  if (engine === 'compose') return `docker compose kill --signal ${signal} ${name}`;
  if (engine === 'swarm') return `docker kill --signal ${signal} CONTAINER`;
  return `kubectl exec deploy/${name} -- kill -${signal} 1`;
}

/** Of how it is stopped, the first signal and the time aside. */
export function stopRemarks(command: CommandSpec): string[] {
  const { stopSignals } = extrasOf(command).machine;
  if (stopSignals.length < 2) return [];
  const [first, ...more] = stopSignals;
  const rest = more.map(
    ({ signal }, index) =>
      `${signal.slice(3)} after ${formatDuration((index === 0 ? first! : more[index - 1]!).wait ?? 0)}`,
  );
  return [
    `stop.signals: after ${first!.signal.slice(3)} comes KILL at the end of the time; not ${rest.join(', ')}`,
  ];
}

/** Of an init script, and why upkeep stays in its container. */
export const RETURNS =
  'An init script returns, and a container ends with its command: upkeep keeps this one running. A program in the foreground does not need it';

/** The command as the container's own. */
export function mainWords(command: CommandSpec): string[] {
  if (command.returns) return ['upkeep', 'run', `${command.name}: ${command.text}`];
  return [command.file, ...command.args];
}

/** Its variables, those in front of the command line included. */
export function variablesOf(command: CommandSpec): Readonly<Record<string, string>> {
  const { env } = extrasOf(command).execution;
  return command.returns ? env : { ...env, ...command.env };
}

/** The commands' names as the engine takes them, each once. @param clean makes such a name, which may be that of another one */
export function namesFor(
  { commands }: Policy,
  longest: number,
  clean: (name: string) => string,
): ReadonlyMap<string, string> {
  const taken = new Set<string>();
  const names = new Map<string, string>();
  // Those that can stay as they are come first.
  const same = commands.filter(({ name }) => name.length <= longest && clean(name) === name);
  for (const { name } of [...same, ...commands]) {
    if (names.has(name)) continue;
    let found = clean(name).slice(0, longest);
    for (let count = 2; taken.has(found); count++) {
      const suffix = `-${count}`;
      found = clean(name).slice(0, longest - suffix.length) + suffix;
    }
    taken.add(found);
    names.set(name, found);
  }
  return names;
}
