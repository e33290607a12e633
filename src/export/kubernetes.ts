/** A policy as objects of Kubernetes: a Deployment, Job or CronJob for each command, and a Service where a port is known. */
import { extrasOf } from '../policy/extras.ts';
import type { CommandSpec, ExecutionSpec, Policy, ProbeSpec } from '../policy/spec.ts';
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
import { isLoopback, portOf, portOfUrl, questionOf, unanswerable, unasked } from './probes.ts';
import { Mapping, mapping, print, type Value } from './remarked.ts';

interface Context {
  readonly policy: Policy;
  readonly image: string | null;
  readonly names: ReadonlyMap<string, string>;
  readonly commands: ReadonlyMap<string, CommandSpec>;
}

/** Of a CronJob's name; the ends of its jobs' names take the rest of 63. */
const LONGEST_NAME = 52;
/** For as often as one likes. */
const MANY = 2_147_483_647;
/** upkeep's, where the policy says nothing; in ms. */
const GRACE = 9_000;
/** A try of a readiness probe may take so long, in s. */
const TRY = 5;
/** A run that is later than this, in s, is left out. */
const LATEST_START = 60;
/** What waits for others; it has nc. */
const WAITING_IMAGE = 'busybox:1.37';
const LABEL = 'app.kubernetes.io/name';

/** @param source the policy file's name, for the remarks */
export function printObjects(policy: Policy, source: string, image: string | null): string {
  const context: Context = {
    policy,
    image,
    names: namesFor(policy, LONGEST_NAME, objectName),
    commands: new Map(policy.commands.map((command) => [command.name, command])),
  };
  const objects = policy.commands.flatMap((command) => [
    workloadOf(command, context),
    ...serviceOf(command, context),
  ]);
  // Everything but a program's words and variables is left alone by Kubernetes, and those are escaped where they are.
  return print(headRemarks(policy, source, image, 'kubernetes'), objects);
}

/** Small letters, digits and -, beginning with a letter: the name is one in the DNS, too. */
function objectName(name: string): string {
  const clean = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, LONGEST_NAME - 2)
    .replace(/-+$/, '');
  return /^[a-z]/.test(clean) ? clean : `c-${clean}`.replace(/-+$/, '');
}

/** `$(NAME)` is filled in by Kubernetes, and `$$` is a dollar. */
function literal(text: string): string {
  return text.replace(/\$\$+|\$(?=\()/g, '$&$&');
}

function workloadOf(command: CommandSpec, context: Context): Mapping {
  const { machine, schedule } = extrasOf(command);
  const name = context.names.get(command.name)!;
  const object = new Mapping();
  const head = (version: string, kind: string) => {
    if (name !== command.name) object.say(`${command.name} in the policy: Kubernetes takes no such name`);
    return object
      .put('apiVersion', version)
      .put('kind', kind)
      .put('metadata', mapping({ name, labels: mapping({ [LABEL]: name }) }));
  };
  if (schedule !== null) return head('batch/v1', 'CronJob').put('spec', cronOf(command, context));
  if (machine.kind === 'oneshot' || machine.restart === 'never') {
    const job = jobOf(command, context);
    if (!machine.autostart) job.put('suspend', true, 'until somebody wants it');
    return head('batch/v1', 'Job').put('spec', job);
  }
  const spec = new Mapping()
    .put('replicas', machine.autostart ? 1 : 0, machine.autostart ? null : 'none until somebody wants it')
    .put('selector', mapping({ matchLabels: mapping({ [LABEL]: name }) }))
    .put(
      'strategy',
      new Mapping().put('type', 'Recreate', 'never two at once; RollingUpdate where two may run'),
    );
  spec.put('template', templateOf(command, context, null));
  return head('apps/v1', 'Deployment').put('spec', spec);
}

function cronOf(command: CommandSpec, context: Context): Mapping {
  const { schedule, machine } = extrasOf(command);
  const { pattern, timezone, jitter } = schedule!;
  const spec = new Mapping();
  const { fields, remark } = fieldsOf(pattern);
  if (remark !== null) spec.say(remark);
  spec.put('schedule', fields ?? '0 0 1 1 *').put('timeZone', timezone ?? undefined);
  if (fields === null || !machine.autostart) spec.put('suspend', true);
  if (jitter > 0) spec.say('jitter: Kubernetes starts it at the time itself');
  if (machine.overlap === 'queue') spec.say('overlap: queue: a run that is due meanwhile is left out');
  spec.put('concurrencyPolicy', machine.overlap === 'kill' ? 'Replace' : 'Forbid');
  return spec
    .put('startingDeadlineSeconds', LATEST_START)
    .put('jobTemplate', mapping({ spec: jobOf(command, context) }));
}

/** The fields as Kubernetes takes them; null: it can't. */
function fieldsOf(pattern: string): { readonly fields: string | null; readonly remark: string | null } {
  const text = pattern.trim().toLowerCase();
  if (/^@(?:yearly|annually|monthly|weekly|daily|midnight|hourly)$/.test(text))
    return { fields: text, remark: null };
  const all = text.split(/\s+/);
  const [day, ...others] = all.slice(-5).reverse();
  const plain = /^(?:\*|[0-9a-z]+(?:-[0-9a-z]+)?)(?:\/\d+)?$/;
  const usable = [day ?? '', ...others].every((field) => field.split(',').every((part) => plain.test(part)));
  // L, the last day, and the like; and a week that begins or ends with the other Sunday.
  const week = day?.split(',').map((part) => (part === '7' ? '0' : part)) ?? [];
  const extra = /(?:^|[\s,-])(?:\d*l|\d+w|lw)(?=[\s,-]|$)/.test(text);
  if (all.length < 5 || !usable || extra || week.some((part) => /7/.test(part.replace(/\/.*/, '')))) {
    return {
      fields: null,
      remark: `schedule: ${pattern}: Kubernetes can't say that; it is suspended, write another`,
    };
  }
  const fields = [...others.toReversed(), week.join(',')].join(' ');
  const seconds = all.length === 6 && all[0] !== '0';
  return {
    fields,
    remark: seconds ? `schedule: ${pattern}: Kubernetes knows no seconds; it is run at the minute` : null,
  };
}

function jobOf(command: CommandSpec, context: Context): Mapping {
  const { machine } = extrasOf(command);
  const { kind, restart, giveUpAfter, intensity } = machine;
  const job = new Mapping();
  if (intensity !== null) job.say('intensity: a Job counts tries alone');
  const retries =
    kind === 'service' || restart === 'never' ? 0 : giveUpAfter === null ? MANY : giveUpAfter - 1;
  job.say(...restartRemarks(command, 'a Job waits 10 s, and twice as long each time, up to 6 min'));
  return job.put('backoffLimit', retries).put('template', templateOf(command, context, 'Never'));
}

/** @param restart the pod's restartPolicy; null: as a Deployment has it */
function templateOf(command: CommandSpec, context: Context, restart: 'Never' | null): Mapping {
  const { policy, names } = context;
  const { execution, machine } = extrasOf(command);
  const pod = new Mapping();
  if (restart === null) {
    pod.say(...restartRemarks(command, 'Kubernetes waits 10 s, and twice as long each time, up to 5 min'));
    if (machine.restart === 'on-failure') {
      pod.say('restart: on-failure: a Deployment starts it again when it has ended well, too');
    }
    if (machine.intensity !== null) pod.say('intensity: Kubernetes has no limit for that');
  } else pod.put('restartPolicy', restart);
  pod.put('securityContext', groupsOf(execution));
  pod.put('initContainers', waitingFor(command, context, pod));
  pod.put('containers', [containerOf(command, context)]);
  const { stopTimeout } = machine;
  pod.put('terminationGracePeriodSeconds', seconds(stopTimeout ?? policy.container.grace ?? GRACE));
  const label = mapping({ [LABEL]: names.get(command.name)! });
  return mapping({ metadata: mapping({ labels: label }), spec: pod });
}

function groupsOf({ groups }: ExecutionSpec): Mapping {
  const context = new Mapping();
  const wanted = [...new Set(groups ?? [])];
  const numbers = wanted.filter(isNumber);
  for (const group of wanted) {
    if (!isNumber(group))
      context.say(`groups: ${group}: Kubernetes takes numbers alone: getent group ${group}`);
  }
  return context.put('supplementalGroups', numbers.length > 0 ? numbers.map(Number) : undefined);
}

const isNumber = (text: string): boolean => /^\d{1,9}$/.test(text);

/** Containers that end when what is required can be reached; what can't be waited for is said in the pod. */
function waitingFor(
  command: CommandSpec,
  { names, commands }: Context,
  pod: Mapping,
): readonly Value[] | undefined {
  const { requires, after } = extrasOf(command);
  const waiting: Value[] = [];
  for (const [other, milestone] of Object.entries(requires)) {
    const port = portOf(commands.get(other)!);
    const name = names.get(other)!;
    if (milestone === 'completed') {
      pod.say(
        `requires: ${other}: completed: a pod can't wait for a Job; before this one: kubectl wait --for=condition=complete job/${name}`,
      );
    } else if (port === null) {
      pod.say(`requires: ${other}: ${milestone}: no probe tells its port, so nobody waits for it`);
    } else {
      const loop = `until nc -z -w 2 ${name} ${port}; do sleep 1; done`;
      waiting.push(
        new Mapping()
          .put('name', `wait-for-${name}`)
          .put('image', WAITING_IMAGE)
          .put('command', ['sh', '-c', loop]),
      );
    }
  }
  for (const other of after.filter((one) => !Object.hasOwn(requires, one))) {
    pod.say(`after: ${other}: Kubernetes starts all at once`);
  }
  return waiting.length > 0 ? waiting : undefined;
}

function containerOf(command: CommandSpec, context: Context): Mapping {
  const { image, policy, names } = context;
  const { execution } = extrasOf(command);
  const name = names.get(command.name)!;
  const container = new Mapping()
    .put('name', name)
    .put('image', image ?? ANY_IMAGE, image === null ? 'put your image here' : null);
  if (command.returns) container.say(RETURNS);
  const variables = variablesOf(command);
  container.say(...addressRemarks(policy, [...command.args, ...Object.values(variables)]));
  container.put('command', mainWords(command).map(literal));
  container.put('workingDir', execution.cwd ?? undefined);
  container.say(...executionRemarks(command));
  container.put('env', environmentOf(command, name, container));
  for (const [limit, { soft }] of Object.entries(execution.limits)) {
    container.say(`limits.${limit}: ${soft}: Kubernetes sets no such limits; have a shell or prlimit do it`);
  }
  container.put('securityContext', securityOf(execution));
  const port = portOf(command);
  if (port !== null) container.put('ports', [mapping({ containerPort: port })]);
  putProbes(container, command);
  putStop(container, command);
  return container.say(...otherRemarks(command, 'kubernetes', name));
}

function environmentOf(command: CommandSpec, name: string, container: Mapping): readonly Value[] | undefined {
  const plain = Object.entries(variablesOf(command)).map(([variable, value]) =>
    mapping({ name: variable, value: literal(value) }),
  );
  const secret = Object.entries(extrasOf(command).execution.secrets).map(([variable, { file }]) => {
    const reference = mapping({ name, key: variable });
    return new Mapping()
      .say(
        `secrets.${variable}: kubectl create secret generic ${name} --from-file=${variable}=${file === null ? 'FILE' : quoteWord(file)}`,
      )
      .put('name', variable)
      .put('valueFrom', mapping({ secretKeyRef: reference }));
  });
  if (secret.length > 1) container.say(`secrets: all of ${name} are keys of one secret`);
  const all = [...plain, ...secret];
  return all.length > 0 ? all : undefined;
}

function securityOf({ user, group, noNewPrivileges, capabilities }: ExecutionSpec): Mapping {
  const context = new Mapping();
  const uid = user === 'root' ? '0' : user;
  const known = uid !== null && isNumber(uid);
  if (known) context.put('runAsUser', Number(uid));
  else if (uid !== null) {
    context.say(
      `user: ${uid}: Kubernetes takes a number alone: write runAsUser, as id -u ${uid} says it in the image`,
    );
  }
  if (group !== null) {
    if (known && isNumber(group)) context.put('runAsGroup', Number(group));
    else context.say(`group: ${group}: as a number, and with a user: write runAsGroup`);
  }
  if (noNewPrivileges) context.put('allowPrivilegeEscalation', false);
  if (capabilities === null) return context;
  const names = capabilities.map((one) => one.toUpperCase());
  if (names.length > 0 && uid !== null && uid !== '0') {
    context.say(`capabilities: ${uid} has them only where the program's file gives them (setcap)`);
  }
  return context.put('capabilities', mapping({ drop: ['ALL'], add: names.length > 0 ? names : undefined }));
}

function putProbes(container: Mapping, command: CommandSpec): void {
  const { ready, health, machine } = extrasOf(command);
  if (ready !== null && machine.ready !== null) {
    const asked = handlerOf('ready', ready);
    container.say(...asked.remarks);
    if (asked.handler !== null) {
      const period = seconds(machine.ready.interval);
      const tries = Math.max(1, Math.ceil(machine.ready.timeout / 1000 / period));
      container.put('startupProbe', probe(asked.handler, { period, timeout: TRY, failures: tries }));
      container.say('Asked as long as it runs; upkeep asks until the first success');
      container.put(
        'readinessProbe',
        probe(asked.handler, { period: Math.max(period, TRY), timeout: TRY, failures: 3 }),
      );
    }
  }
  if (health === null || machine.health === null) return;
  const asked = handlerOf('health', health);
  const { every, timeout, failures, grace, onUnhealthy } = machine.health;
  container.say(...asked.remarks);
  if (asked.handler === null) return;
  container.say(...healthRemarks(command));
  if (onUnhealthy === 'ignore') {
    container.say('health.onUnhealthy: ignore: there is no probe that only tells');
    return;
  }
  if (onUnhealthy === 'fail') container.say('health.onUnhealthy: fail: Kubernetes starts it again');
  const times = { period: seconds(every), timeout: seconds(timeout), failures };
  container.put('livenessProbe', probe(asked.handler, times, grace > 0 ? seconds(grace) : undefined));
}

interface Handler {
  readonly key: 'exec' | 'httpGet' | 'tcpSocket';
  readonly value: Mapping;
}

function handlerOf(
  key: string,
  asked: ProbeSpec,
): { readonly handler: Handler | null; readonly remarks: readonly string[] } {
  const pod = `${key}: asked at the pod's address: it has to listen there, and not on 127.0.0.1 alone`;
  switch (asked.kind) {
    case 'listening':
      return { handler: { key: 'tcpSocket', value: mapping({ port: asked.port }) }, remarks: [pod] };
    case 'tcp': {
      const own = isLoopback(asked.host);
      const value = mapping({ host: own ? undefined : asked.host, port: asked.port });
      return { handler: { key: 'tcpSocket', value }, remarks: own ? [pod] : [] };
    }
    case 'http': {
      const url = new URL(asked.url);
      if (asked.method !== 'GET' || url.username !== '') break;
      const own = isLoopback(url.hostname);
      const headers = Object.entries(asked.headers).map(([name, value]) => mapping({ name, value }));
      const value = mapping({
        host: own ? undefined : url.hostname.replace(/^\[|\]$/g, ''),
        path: url.pathname + url.search,
        port: portOfUrl(url),
        scheme: url.protocol === 'https:' ? 'HTTPS' : undefined,
        httpHeaders: headers.length > 0 ? headers : undefined,
      });
      return { handler: { key: 'httpGet', value }, remarks: [...(own ? [pod] : []), ...unasked(key, asked)] };
    }
    case 'notify':
    case 'log':
    case 'delay':
      return { handler: null, remarks: [unanswerable(key, asked.kind)] };
  }
  const { words, remarks } = questionOf(key, asked);
  if (words === null) return { handler: null, remarks };
  return { handler: { key: 'exec', value: mapping({ command: words.map(literal) }) }, remarks };
}

function probe(
  { key, value }: Handler,
  { period, timeout, failures }: { period: number; timeout: number; failures: number },
  delay?: number,
): Mapping {
  return mapping({
    [key]: value,
    initialDelaySeconds: delay,
    periodSeconds: period,
    timeoutSeconds: timeout,
    failureThreshold: failures,
  });
}

function putStop(container: Mapping, command: CommandSpec): void {
  const { stop, returns } = command;
  if (returns) return;
  const signal = extrasOf(command).machine.stopSignals[0]?.signal ?? 'SIGTERM';
  container.say(...stopRemarks(command));
  if (signal !== 'SIGTERM') {
    container.say(
      `stop.signal: ${signal.slice(3)}: Kubernetes sends what the image says: STOPSIGNAL ${signal}`,
    );
  }
  if (stop === null) return;
  const exec = mapping({ command: [stop.file, ...stop.args] });
  container.put('lifecycle', mapping({ preStop: mapping({ exec }) }));
}

/** Whole ones, at least 1. */
function seconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000));
}

function serviceOf(command: CommandSpec, { names }: Context): Mapping[] {
  const port = portOf(command);
  if (port === null) return [];
  const name = names.get(command.name)!;
  const spec = mapping({ selector: mapping({ [LABEL]: name }), ports: [mapping({ port })] });
  const object = mapping({ apiVersion: 'v1', kind: 'Service' });
  return [object.put('metadata', mapping({ name })).put('spec', spec)];
}
