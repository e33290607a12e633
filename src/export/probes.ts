/** What a policy's probes are for those who ask from outside of upkeep. */
import { extrasOf } from '../policy/extras.ts';
import type { CommandSpec, ProbeSpec, ProgramSpec } from '../policy/spec.ts';

type Http = Extract<ProbeSpec, { kind: 'http' }>;

/** A program to run in the service's container that ends with 0 for yes; null: there is none. What it does not ask is in the remarks. */
export interface Question {
  readonly words: readonly string[] | null;
  readonly remarks: readonly string[];
}

/** The words of a program, with the variables that are set for it. */
export function wordsOf({ file, args, env }: Pick<ProgramSpec, 'file' | 'args' | 'env'>): string[] {
  const set = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return [...(set.length > 0 ? ['env', ...set] : []), file, ...args];
}

/** The probe as a program. @param key `ready` or `health`, for the remarks */
export function questionOf(key: string, probe: ProbeSpec): Question {
  switch (probe.kind) {
    case 'exec':
      return { words: wordsOf(probe.program), remarks: [] };
    case 'listening':
      return { words: listens(probe.port), remarks: [] };
    case 'tcp':
      return isLoopback(probe.host)
        ? { words: listens(probe.port), remarks: [] }
        : {
            words: ['nc', '-z', '-w', '5', probe.host, String(probe.port)],
            remarks: [`${key}: this takes nc in the image`],
          };
    case 'http':
      return {
        words: curl(probe),
        remarks: [`${key}: this takes curl in the image`, ...unasked(key, probe)],
      };
    case 'file':
      return {
        words: ['test', '-e', probe.path],
        remarks: probe.fresh ? [`${key}.file.fresh: a file of an earlier run in this container counts`] : [],
      };
    case 'notify':
    case 'log':
    case 'delay':
      return { words: null, remarks: [unanswerable(key, probe.kind)] };
  }
}

/** Why nobody but upkeep can ask that. */
export function unanswerable(key: string, kind: 'notify' | 'log' | 'delay'): string {
  const why = {
    notify: 'there is nobody to notify; have the service asked by a command, a port or an address',
    log: 'nobody reads its log for that; have the service asked by a command, a port or an address',
    delay: 'a time alone is no check; have the service asked by a command, a port or an address',
  };
  return `${key}.${kind}: ${why[kind]}`;
}

/** What is expected of an answer that only upkeep looks at. */
export function unasked(key: string, probe: Http): string[] {
  const parts = [
    ...(probe.status.length === 1 && probe.status[0]![0] === 200 && probe.status[0]![1] === 399
      ? []
      : ['status']),
    ...(Object.keys(probe.expectHeaders).length > 0 ? ['expectHeaders'] : []),
    ...(probe.body !== null ? ['body'] : []),
  ];
  if (parts.length === 0) return [];
  return [
    `${key}.http: ${parts.join(', ')} of the answer: not looked at; any status from 200 to 399 is well`,
  ];
}

/** The port at which a command is reached, as far as its probes tell. */
export function portOf(command: CommandSpec): number | null {
  const { ready, health } = extrasOf(command);
  for (const probe of [ready, health]) {
    if (probe?.kind === 'listening') return probe.port;
    if (probe?.kind === 'tcp' && isLoopback(probe.host)) return probe.port;
    if (probe?.kind === 'http') {
      const url = new URL(probe.url);
      if (isLoopback(url.hostname)) return portOfUrl(url);
    }
  }
  return null;
}

export function portOfUrl({ port, protocol }: URL): number {
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
}

export function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d+){3}|\[?::1\]?)$/i.test(host);
}

/** What upkeep's `listening` looks at: the kernel's table, in which 0A is LISTEN. Of one container, it is the service's own. */
function listens(port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return ['grep', '-qs', `:${hex} [0-9A-F]*:0000 0A`, '/proc/net/tcp', '/proc/net/tcp6'];
}

function curl({ url, method, headers }: Http): string[] {
  const { protocol, hostname } = new URL(url);
  return [
    'curl',
    '-fsS',
    ...(protocol === 'https:' && isLoopback(hostname) ? ['-k'] : []),
    ...(method === 'GET' ? [] : method === 'HEAD' ? ['-I'] : ['-X', method]),
    ...Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
    // No globs: `[::1]` is an address.
    '-g',
    '-o',
    '/dev/null',
    url,
  ];
}

/** Where a command speaks of its own container and most likely means another command. */
export function speaksOfLoopback(texts: readonly string[]): boolean {
  return texts.some((text) => /\blocalhost\b|\b127\.0\.0\.1\b|\[::1\]/.test(text));
}
