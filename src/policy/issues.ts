/** What zod finds wrong, as problems at their places. */
import type { z } from 'zod';
import type { Path } from './document.ts';
import { didYouMean } from './usage-error.ts';

/** Keys that one would look for, and why there are none. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'health.log':
    'is no probe for health: that a line was written once says nothing of how it is now; use it in ready, and here tcp, http, exec, file, notify or listening',
  'health.delay':
    'is no probe for health: that some time has passed says nothing of how it is now; use it in ready, and here grace for failures soon after the start',
};

/**
 * Tells of one issue, or of what is wrong within it.
 *
 * @param spoilt is told of every path that leads to what can't be looked at any more
 */
export function tellIssue(
  issue: z.core.$ZodIssue,
  tell: (path: Path, message: string, at?: 'key' | 'value') => void,
  spoilt: (path: Path) => void = () => {},
  above: Path = [],
): void {
  const path = [...above, ...(issue.path as (string | number)[])];
  if (issue.code === 'invalid_union') {
    // A mapping that is wrong inside is told of by what is wrong in it.
    const meant = issue.errors.find((branch) => !branch.some(isOfAnotherType));
    if (meant !== undefined) {
      for (const inner of meant) tellIssue(inner, tell, spoilt, path);
      return;
    }
  }
  if (issue.code === 'unrecognized_keys') {
    const known = issue.message.split(' ');
    for (const key of issue.keys) {
      const elsewhere = ELSEWHERE[`${path.at(-1)}.${key}`];
      const near = didYouMean(key, known) || `; the keys here are ${known.join(', ')}`;
      tell([...path, key], elsewhere ?? `unknown key${near}`, 'key');
    }
    return;
  }
  spoilt(path);
  if (issue.code === 'invalid_key') {
    tell(path, issue.issues[0]?.message ?? issue.message, 'key');
    return;
  }
  tell(path, issue.message);
}

/** Is the value no such thing at all? Then another branch of the union may tell more. */
function isOfAnotherType(issue: z.core.$ZodIssue): boolean {
  if (issue.path.length > 0) return false;
  if (issue.code === 'invalid_union') return issue.errors.every((branch) => branch.some(isOfAnotherType));
  return issue.code === 'invalid_type' || issue.code === 'invalid_value';
}
