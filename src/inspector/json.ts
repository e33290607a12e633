/** Any value as JSON, as far as somebody wants to look at it: what is large, deep or circular is cut, and says so. */

/** Entries of one list or one object. */
const MOST_ITEMS = 32;
/** Levels below the value. */
const MOST_DEPTH = 8;
/** Values in all. */
const MOST_VALUES = 2_000;
/** Characters of one text. */
const MOST_CHARACTERS = 2_000;

/** How nobody is shown what nobody should see. */
export interface Redaction {
  /** Takes it out of a text that is no JSON. */
  readonly redact: (text: string) => string;
  /** JSON without it. @param key under which the value stands. @returns undefined for what has no JSON */
  readonly write: (value: unknown, key?: string) => string;
}

/** Nothing is to be hidden. */
export const OPEN: Redaction = { redact: (text) => text, write: (value) => JSON.stringify(value) };

interface Budget {
  /** Values that may still come. */
  left: number;
  readonly redact: (text: string) => string;
}

/**
 * @param redact takes out what nobody should be shown, of a text that is cut: before half of it is left
 * @param write makes JSON of what is left, without what nobody should be shown
 * @returns JSON; `null` for what has none. Sets are lists, maps are objects, errors have a name and a message. Throws never
 */
export function jsonOf(
  value: unknown,
  redact: Budget['redact'] = (text) => text,
  write: (value: unknown) => string | undefined = JSON.stringify,
): string {
  try {
    return write(cut(value, MOST_DEPTH, { left: MOST_VALUES, redact })) ?? 'null';
  } catch (error) {
    return JSON.stringify(`cannot be shown: ${(error as Error).message}`);
  }
}

function cut(value: unknown, depth: number, budget: Budget): unknown {
  budget.left--;
  switch (typeof value) {
    case 'string':
      return value.length > MOST_CHARACTERS ? `${budget.redact(value).slice(0, MOST_CHARACTERS)}…` : value;
    case 'bigint':
      return String(value);
    case 'function':
      return { type: value.name };
    case 'object':
      break;
    default:
      return value;
  }
  if (value === null) return null;
  if (value instanceof Error) return { name: value.name, message: cut(value.message, depth, budget) };
  if ('toJSON' in value && typeof value.toJSON === 'function') return cut(value.toJSON(), depth - 1, budget);
  if (value instanceof Set) return list([...value], depth, budget);
  if (Array.isArray(value)) return list(value, depth, budget);
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  if (depth <= 0 || budget.left <= 0) return '{…}';
  const shown = entries.slice(0, MOST_ITEMS).map(([key, each]) => [key, cut(each, depth - 1, budget)]);
  if (entries.length > MOST_ITEMS) shown.push(['…', `${entries.length - MOST_ITEMS} more`]);
  return Object.fromEntries(shown);
}

function list(values: readonly unknown[], depth: number, budget: Budget): unknown {
  if (depth <= 0 || budget.left <= 0) return '[…]';
  const shown = values.slice(0, MOST_ITEMS).map((each) => cut(each, depth - 1, budget));
  return values.length > MOST_ITEMS ? [...shown, `… ${values.length - MOST_ITEMS} more`] : shown;
}
