/** The user asked for something that can't be done: exit code 64. The message reads "cannot …: why; what to do". */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A piece of the user's own text, quoted and short enough for a message of one line. */
export function shown(text: string): string {
  const points = [...text.slice(0, 200)];
  return JSON.stringify(points.length > 80 ? `${points.slice(0, 79).join('')}…` : text);
}

/** `, did you mean X?`, or nothing when no candidate is near. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  // One letter for another in `-i` or `x` would be a guess.
  const tolerance = word.length < 3 ? 0 : word.length < 4 ? 1 : 2;
  let best: string | null = null;
  let least = tolerance + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) > tolerance) continue;
    const distance = editDistance(word, candidate);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best === null ? '' : `, did you mean ${best}?`;
}

/** Insertions, deletions, replacements, and swaps of neighbours. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min(row[j - 1]! + 1, last[j]! + 1, last[j - 1]! + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, before[j - 2]! + 1);
      }
      row.push(cost);
    }
    before = last;
    last = row;
  }
  return last[b.length]!;
}
