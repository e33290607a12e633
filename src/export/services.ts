/** A policy as the services of a Compose file, for Docker Compose or for a Swarm's `docker stack deploy`. */
import { extrasOf } from '../policy/extras.ts';
import type { CommandSpec, Policy } from '../policy/spec.ts';
import { quoteWord } from '../policy/words.ts';
import {
  ANY_IMAGE,
  addressRemarks,
  executionRemarks,
  headRemarks,
  healthRemarks,
  mainWords,
  namesFor,
  otherRemarks,
  RETURNS,
  restartRemarks,
  stopRemarks,
  variablesOf,
} from './missing.ts';
import { questionOf } from './probes.ts';
import { Mapping, mapping, print, type Value } from './remarked.ts';

type Engine = 'compose' | 'swarm';

interface Context {
  readonly policy: Policy;
  readonly engine: Engine;
  readonly image: string | null;
  readonly names: ReadonlyMap<string, string>;
  readonly commands: ReadonlyMap<string, CommandSpec>;
  /** The name of a secret in the file, by the variable and the path that the policy has it at. */
  readonly secrets: Map<string, string>;
}

/** A try of a readiness probe may take so long, in ms. */
const TRY = 5_000;
/** Asked more often than this, in ms, a container's check takes more than the service. */
const SHORTEST_INTERVAL = 1_000;

/** @param source the policy file's name, for the remarks */
export function printServices(policy: Policy, source: string, image: string | null, engine: Engine): string {
  const context: Context = {
    policy,
    engine,
    image,
    names: namesFor(policy, engine === 'swarm' ? 50 : 64, engine === 'swarm' ? swarmName : (name) => name),
    commands: new Map(policy.commands.map((command) => [command.name, command])),
    secrets: new Map(),
  };
  const services = new Mapping();
  for (const command of policy.commands) {
    services.put(context.names.get(command.name)!, serviceOf(command, context));
  }
  const whole = new Mapping();
  if (engine === 'swarm') whole.put('version', '3.8');
  whole.put('services', services).put('secrets', secretsOf(context));
  return print(headRemarks(policy, source, image, engine), [whole], (text) => text.replaceAll('$', '$$$$'));
}

/** Letters, digits, - and _, the last no end: the name is one in the DNS, too. */
function swarmName(name: string): string {
  return name.replace(/[^A-Za-z0-9_-]/g, '-').replace(/^[_-]+|[_-]+$/g, '') || 'command';
}

function serviceOf(command: CommandSpec, context: Context): Mapping {
  const { image, engine, policy, names } = context;
  const { execution, machine, schedule } = extrasOf(command);
  const { cwd, noNewPrivileges, capabilities, groups } = execution;
  const name = names.get(command.name)!;
  const service = new Mapping();
  if (name !== command.name) service.say(`${command.name} in the policy: a Swarm takes no such name`);
  if (schedule !== null) service.say(...scheduleRemarks(command, name, engine));
  service.put('image', image ?? ANY_IMAGE, image === null ? 'put your image here' : null);

  const words = mainWords(command);
  const variables = variablesOf(command);
  if (command.returns) service.say(RETURNS);
  service.say(...addressRemarks(policy, [...command.args, ...Object.values(variables)]));
  const secrets = revealed(command, context);
  service.say(...secrets.remarks).put('entrypoint', secrets.wrap(words));
  service.say(...executionRemarks(command));
  service.put('environment', mapping(variables));
  service.put('secrets', secrets.mounts);
  service.put('working_dir', cwd ?? undefined);
  putUser(service, command);
  if (groups !== null && groups.length > 0) {
    if (engine === 'compose') service.put('group_add', [...new Set(groups)]);
    else service.say(`groups: ${groups.join(', ')}: a Swarm gives no supplementary groups`);
  }
  service.put('ulimits', limitsOf(command, service));
  if (noNewPrivileges) {
    if (engine === 'compose') service.put('security_opt', ['no-new-privileges:true']);
    else service.say('noNewPrivileges: true: a Swarm has no such option');
  }
  if (capabilities !== null) {
    service.put('cap_drop', ['ALL']);
    if (capabilities.length > 0) {
      if (execution.user !== null && !/^(?:root|0)$/.test(execution.user)) {
        service.say(
          `capabilities: ${execution.user} has them only where the program's file gives them (setcap)`,
        );
      }
      service.put(
        'cap_add',
        capabilities.map((one) => one.toUpperCase()),
      );
    }
  }
  putDependencies(service, command, context);
  putHealthcheck(service, command, engine);
  if (engine === 'compose') putRestart(service, command);
  putStop(service, command, context);
  if (engine === 'compose') {
    if (schedule !== null) service.put('profiles', ['scheduled']);
    else if (!machine.autostart) service.put('profiles', ['manual'], `docker compose up -d ${name}`);
  }
  if (engine === 'swarm') service.put('deploy', deployOf(command, machine.kind === 'cron'));
  return service.say(...otherRemarks(command, engine, name));
}

function putUser(service: Mapping, command: CommandSpec): void {
  const { user, group } = extrasOf(command).execution;
  if (user !== null) service.put('user', group === null ? user : `${user}:${group}`);
  else if (group !== null) service.say(`group: ${group}: takes a user as well; write user: "USER:${group}"`);
}

function scheduleRemarks(command: CommandSpec, name: string, engine: Engine): string[] {
  const { schedule, machine } = extrasOf(command);
  const { pattern, timezone, jitter } = schedule!;
  const run =
    engine === 'compose'
      ? `docker compose run --rm ${name}`
      : `docker service update --detach --force --replicas 1 STACK_${name}`;
  const what = engine === 'compose' ? 'Compose' : 'a Swarm';
  return [
    `schedule: ${pattern}${timezone === null ? '' : ` (${timezone})`}: ${what} has no schedules; from the host's cron: ${run}`,
    ...(jitter > 0 ? ['jitter: that is up to the host'] : []),
    ...(machine.overlap === 'skip' ? [] : [`overlap: ${machine.overlap}: that is up to the host`]),
  ];
}

/** How a command comes to have the values of its secrets in its variables: a shell reads the files. */
function revealed(
  command: CommandSpec,
  { secrets, engine }: Context,
): {
  readonly wrap: (words: readonly string[]) => readonly string[];
  readonly mounts: readonly Value[] | undefined;
  readonly remarks: readonly string[];
} {
  const wanted = Object.entries(extrasOf(command).execution.secrets);
  if (wanted.length === 0) return { wrap: (words) => words, mounts: undefined, remarks: [] };
  const exports: string[] = [];
  const mounts: Value[] = [];
  const remarks: string[] = [];
  for (const [variable, { file }] of wanted) {
    const id = secretId(variable, file, secrets);
    const path = file?.startsWith('/') ? file : `/run/secrets/${id}`;
    mounts.push(path === `/run/secrets/${id}` ? id : mapping({ source: id, target: path }));
    // A secret that is missing is a start that fails.
    if (/^\w+$/.test(variable)) exports.push(`${variable}="$(cat ${quoteWord(path)})" && export ${variable}`);
    else remarks.push(`secrets.${variable}: no shell can set a variable of that name; its file is ${path}`);
  }
  if (exports.length > 0) {
    const who = engine === 'compose' ? 'Compose' : 'A Swarm';
    remarks.push(
      `secrets: ${who} gives files alone: a shell, which the image has to have, puts them into variables`,
    );
  }
  return {
    wrap: (words) =>
      exports.length === 0 ? words : ['/bin/sh', '-c', `${exports.join(' && ')} && exec "$0" "$@"`, ...words],
    mounts,
    remarks,
  };
}

/** The same for the same variable with the same file. */
function secretId(variable: string, file: string | null, secrets: Map<string, string>): string {
  const key = JSON.stringify([variable, file]);
  const before = secrets.get(key);
  if (before !== undefined) return before;
  const taken = new Set(secrets.values());
  let id = variable.toLowerCase();
  for (let count = 2; taken.has(id); count++) id = `${variable.toLowerCase()}-${count}`;
  secrets.set(key, id);
  return id;
}

function secretsOf({ secrets, engine }: Context): Mapping {
  const all = new Mapping();
  for (const id of secrets.values()) {
    if (engine === 'swarm') {
      all.put(id, mapping({ external: true }), `docker secret create ${id} FILE`);
    } else all.put(id, mapping({ file: `./secrets/${id}` }));
  }
  return all;
}

function limitsOf(command: CommandSpec, service: Mapping): Mapping {
  const limits = new Mapping();
  for (const [name, { soft, hard }] of Object.entries(extrasOf(command).execution.limits)) {
    // As Docker calls them; its own start would not survive a small address space.
    if (name === 'as') service.say(`limits.as: ${soft}: Docker does not set that one`);
    else limits.put(name, mapping({ soft: amount(soft), hard: amount(hard) }));
  }
  return limits;
}

const amount = (limit: string): number => (limit === 'unlimited' ? -1 : Number(limit));

function putDependencies(service: Mapping, command: CommandSpec, context: Context): void {
  const { engine, names, commands } = context;
  const { requires, after } = extrasOf(command);
  const later = after.filter((other) => !Object.hasOwn(requires, other));
  if (engine === 'swarm') {
    const all = [
      ...Object.entries(requires).map(([other, milestone]) => `requires: ${other}: ${milestone}`),
      ...later.map((other) => `after: ${other}`),
    ];
    for (const one of all) {
      service.say(
        `${one}: a Swarm starts all at once; it has to wait by itself, or to end and be started again`,
      );
    }
    return;
  }
  const dependencies = new Mapping();
  for (const [other, milestone] of Object.entries(requires)) {
    const { ready, machine } = extrasOf(commands.get(other)!);
    let condition = { started: 'service_started', completed: 'service_completed_successfully' }[
      milestone as string
    ];
    if (condition === undefined) {
      const asks = askedOf(commands.get(other)!).words !== null;
      condition = ready !== null && asks ? 'service_healthy' : 'service_started';
      if (ready !== null && !asks) {
        dependencies.say(`requires: ${other}: ready: nobody can tell when it is (see there)`);
      }
    }
    if (milestone !== 'completed' && machine.kind === 'oneshot') {
      dependencies.say(`requires: ${other}: ${milestone}: it may be done before that is seen`);
    }
    dependencies.put(names.get(other)!, mapping({ condition }));
  }
  for (const other of later) {
    if (extrasOf(commands.get(other)!).machine.kind === 'cron') {
      dependencies.say(`after: ${other}: nobody knows when it is run`);
    } else {
      const { kind } = extrasOf(commands.get(other)!).machine;
      if (kind === 'oneshot') dependencies.say(`after: ${other}: its end is not waited for`);
      dependencies.put(names.get(other)!, mapping({ condition: 'service_started', required: false }));
    }
  }
  service.put('depends_on', dependencies);
}

/** A container has one check: that of the health, else that of readiness. */
function askedOf(
  command: CommandSpec,
): ReturnType<typeof questionOf> & { readonly by: 'ready' | 'health' | null } {
  const { ready, health } = extrasOf(command);
  const healths = health === null ? null : questionOf('health', health);
  const readys = ready === null ? null : questionOf('ready', ready);
  const remarks = [
    ...(healths?.words === null ? healths.remarks : []),
    ...(readys?.words === null ? readys.remarks : []),
  ];
  if (healths?.words != null) {
    const other = readys?.words != null && readys.words.join('\0') !== healths.words.join('\0');
    return {
      by: 'health',
      words: healths.words,
      remarks: [
        ...remarks,
        ...(other ? ['ready: a container has one check, and that is the one of health'] : []),
        ...healths.remarks,
      ],
    };
  }
  if (readys?.words != null) {
    const note = 'ready: this is asked as long as the container runs';
    return { by: 'ready', words: readys.words, remarks: [...remarks, note, ...readys.remarks] };
  }
  return { by: null, words: null, remarks };
}

function putHealthcheck(service: Mapping, command: CommandSpec, engine: Engine): void {
  const { machine } = extrasOf(command);
  const { by, words, remarks } = askedOf(command);
  service.say(...remarks);
  if (words === null || by === null) {
    // What is run by upkeep can be asked by the image's own check.
    if (!command.returns) {
      service.put('healthcheck', new Mapping().put('disable', true, "the image's own may ask upkeep"));
    }
    return;
  }
  const check = new Mapping().put('test', ['CMD', ...words]);
  if (by === 'health' && machine.health !== null) {
    const { every, timeout, failures, grace, onUnhealthy } = machine.health;
    const readiness = machine.ready === null ? 0 : machine.ready.timeout;
    check.put('interval', duration(every)).put('timeout', duration(timeout)).put('retries', failures);
    if (grace + readiness > 0) check.put('start_period', duration(grace + readiness));
    service.say(...healthRemarks(command));
    if (engine === 'compose' && onUnhealthy !== 'ignore') {
      service.say(`health.onUnhealthy: ${onUnhealthy}: Docker only says that it is unhealthy`);
    }
    if (engine === 'swarm' && onUnhealthy !== 'restart') {
      service.say(`health.onUnhealthy: ${onUnhealthy}: a Swarm replaces what is unhealthy`);
    }
  } else if (machine.ready !== null) {
    const interval = Math.max(SHORTEST_INTERVAL, machine.ready.interval);
    const retries = Math.max(1, Math.ceil(machine.ready.timeout / interval));
    check.put('interval', duration(interval)).put('timeout', duration(TRY)).put('retries', retries);
  }
  service.put('healthcheck', check);
}

function putRestart(service: Mapping, command: CommandSpec): void {
  const { kind, restart, intensity, giveUpAfter } = extrasOf(command).machine;
  service.say(...restartRemarks(command, 'Docker waits 100 ms, and twice as long each time, up to 1 min'));
  if (kind === 'cron') {
    if (giveUpAfter !== 1) service.say('retries: docker compose run does not try again');
    return;
  }
  if (kind === 'oneshot') {
    if (intensity !== null) service.say('intensity: Docker counts tries alone');
    service.put('restart', restart === 'never' || giveUpAfter === 1 ? 'no' : tries(giveUpAfter));
    return;
  }
  if (intensity !== null) {
    service.say(
      restart === 'on-failure'
        ? 'intensity.within: Docker counts failures until a run has lasted 10 s'
        : 'intensity: Docker has no limit for that',
    );
  }
  const words = {
    always: 'always',
    'on-failure':
      intensity === null
        ? 'on-failure'
        : intensity.restarts === 0
          ? 'no'
          : `on-failure:${intensity.restarts}`,
    never: 'no',
  };
  service.put('restart', words[restart]);
}

function tries(giveUpAfter: number | null): string {
  return giveUpAfter === null ? 'on-failure' : `on-failure:${giveUpAfter - 1}`;
}

function deployOf(command: CommandSpec, cron: boolean): Mapping {
  const { kind, autostart, restart, intensity, giveUpAfter } = extrasOf(command).machine;
  const policy = new Mapping();
  if (kind === 'service') {
    const never = restart === 'never' || intensity?.restarts === 0;
    policy.put(
      'condition',
      never ? 'none' : { always: 'any', 'on-failure': 'on-failure' }[restart as string],
    );
    if (intensity !== null && !never) {
      policy.put('max_attempts', intensity.restarts).put('window', duration(intensity.within));
    }
  } else if (cron || restart === 'never' || giveUpAfter === 1) policy.put('condition', 'none');
  else {
    policy.put('condition', 'on-failure');
    if (giveUpAfter !== null) policy.put('max_attempts', giveUpAfter - 1);
  }
  const deploy = new Mapping();
  if (cron) deploy.put('replicas', 0, 'none until its time has come');
  else if (!autostart) deploy.put('replicas', 0, 'none until somebody wants it');
  deploy.say(...restartRemarks(command, 'a Swarm waits 5 s each time, or as long as delay says'));
  if (cron && giveUpAfter !== 1) deploy.say('retries: that is up to the host');
  if (kind !== 'service' && intensity !== null) deploy.say('intensity: a Swarm counts tries alone');
  return deploy.put('restart_policy', policy);
}

function putStop(service: Mapping, command: CommandSpec, { policy, engine }: Context): void {
  const { stopSignals, stopTimeout } = extrasOf(command).machine;
  const { stop, returns } = command;
  const signal = stopSignals[0]?.signal ?? 'SIGTERM';
  // upkeep in there is asked by SIGTERM, and knows how an init script is asked.
  if (!returns) {
    service.say(...stopRemarks(command));
    if (signal !== 'SIGTERM') service.put('stop_signal', signal);
  }
  const time = stopTimeout ?? policy.container.grace;
  if (time !== null) service.put('stop_grace_period', duration(time));
  if (stop === null || returns) return;
  const words = [stop.file, ...stop.args];
  if (engine === 'compose') service.put('pre_stop', [mapping({ command: words })]);
  else service.say(`stop.command: ${words.map(quoteWord).join(' ')}: a Swarm sends signals alone`);
}

/** As Go reads it. */
function duration(ms: number): string {
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}
