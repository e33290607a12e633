const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
] as const;

/** A length of time for people: `250 ms`, `7.2 s`, `3 m 2 s`, `4 h 5 m`, `2 d 3 h`. Takes milliseconds; less than
 * nothing counts as nothing. */
export function formatDuration(ms: number): string {
  const whole = Math.max(0, Math.round(ms));
  if (whole < 1000) return `${whole} ms`;
  const tenths = Math.round(whole / 100);
  if (tenths < 600) return `${tenths / 10} s`;
  // Rounded to the smaller of the two units before it is taken apart, so that 59 m 59.9 s is an hour.
  const [seconds, first] = roundedTo(whole);
  const [unit, size] = UNITS[first]!;
  const rest = (seconds % size) / UNITS[first + 1]![1];
  const head = `${Math.floor(seconds / size)} ${unit}`;
  return rest === 0 ? head : `${head} ${rest} ${UNITS[first + 1]![0]}`;
}

/** Whole seconds, a multiple of the smaller unit shown, and the index of the bigger one. */
function roundedTo(ms: number): [seconds: number, unit: number] {
  for (let unit = UNITS.length - 2; unit > 0; unit--) {
    const smaller = UNITS[unit + 1]![1];
    const seconds = Math.round(ms / 1000 / smaller) * smaller;
    if (seconds < UNITS[unit - 1]![1]) return [seconds, unit];
  }
  return [Math.round(ms / 3_600_000) * 3_600, 0];
}
