/** One entry of `on:`, checked by the schema, as the rest of upkeep knows it. */
import type { Report } from './convert.ts';
import { isGiven, type Path, writtenAt } from './document.ts';
import type { RawHook } from './schema.ts';
import type { Given, HookSpec } from './spec.ts';
import { didYouMean, shown } from './usage-error.ts';
import { readDuration, readProgram } from './values.ts';

/** `retries` of a webhook; a command is not run again. */
export const HOOK_DEFAULTS = { timeout: 10_000, retries: 3, interval: 1_000 };

/** What stands for a part of the notification in the texts of a body. */
const PLACEHOLDERS = ['event', 'command', 'group', 'message', 'host', 'hook', 'time', 'omitted'];

/**
 * @param expand the names that a name among `commands` stands for: its own, and those of a group's commands. Reports where
 * nobody has it
 */
export function hookOf(
  name: string,
  raw: RawHook,
  expand: (name: string, path: Path) => readonly string[],
  report: Report,
): HookSpec {
  const hasWebhook = isGiven(raw, 'webhook');
  if (hasWebhook === isGiven(raw, 'run')) {
    const got = hasWebhook ? 'both' : 'neither';
    report([], `expected webhook or run, got ${got}; write exactly one of them`, 'key');
  }
  const named = raw.commands === undefined ? null : listed(raw.commands);
  const single = typeof raw.commands === 'string';
  return {
    name,
    events: [...new Set(listed(raw.events))],
    commands:
      named === null
        ? null
        : [
            ...new Set(
              named.flatMap((one, index) => expand(one, single ? ['commands'] : ['commands', index])),
            ),
          ],
    webhook: raw.webhook === undefined ? null : webhookOf(raw.webhook, report),
    program: raw.run === undefined ? null : readProgram(raw.run),
    timeout: raw.timeout === undefined ? HOOK_DEFAULTS.timeout : readDuration(raw.timeout),
    retries: raw.retries ?? (raw.webhook === undefined ? 0 : HOOK_DEFAULTS.retries),
    interval: raw.interval === undefined ? HOOK_DEFAULTS.interval : readDuration(raw.interval),
  };
}

function webhookOf(raw: NonNullable<RawHook['webhook']>, report: Report): HookSpec['webhook'] {
  if (typeof raw === 'string') return { url: raw, headers: {}, body: null };
  const { url, headers = {}, body } = raw;
  if (body !== undefined) checkPlaceholders(body, ['webhook', 'body'], report);
  return {
    url: typeof url === 'string' ? url : { file: url.file },
    headers: Object.fromEntries(
      Object.entries(headers).map(([header, value]): [string, Given] => [
        header,
        typeof value === 'object' ? { file: value.file } : writtenAt(headers, header),
      ]),
    ),
    body: body ?? null,
  };
}

function checkPlaceholders(value: unknown, path: Path, report: Report): void {
  if (typeof value === 'string') {
    for (const [whole, word] of value.matchAll(/\{(\w+)\}/g)) {
      if (PLACEHOLDERS.includes(word!)) continue;
      const near = didYouMean(word!, PLACEHOLDERS) || `; write one of ${PLACEHOLDERS.join(', ')}`;
      report(path, `nothing is called ${shown(whole)} in a notification${near}`);
    }
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, one] of Object.entries(value)) {
      checkPlaceholders(one, [...path, Array.isArray(value) ? Number(key) : key], report);
    }
  }
}

function listed<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? value : [value as T];
}
