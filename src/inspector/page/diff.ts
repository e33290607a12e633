/** What of two values differs, by path. Pure. */

export interface Difference {
  /** `stop.killed`. */
  readonly path: string;
  /** undefined: it was not there. */
  readonly before: unknown;
  /** undefined: it is not there any more. */
  readonly after: unknown;
}

const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** @param depth how far it goes into objects; what lies below is told as a whole */
export function difference(before: unknown, after: unknown, depth = 3, path = ''): readonly Difference[] {
  if (Object.is(before, after)) return [];
  if (depth > 0 && isPlain(before) && isPlain(after)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
    return [...keys].flatMap((key) =>
      difference(before[key], after[key], depth - 1, path === '' ? key : `${path}.${key}`),
    );
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ path, before, after }];
}
