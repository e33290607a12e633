const MINUTE = 60_000;
const HOUR = 3_600_000;

/** A length of time for people: `250 ms`, `7.2 s`, `3 m 2 s`, `4 h 5 m`, `2 d 3 h`. Takes milliseconds; less than
 * nothing counts as nothing.
 *
 * @param space between numbers and words; with none it is `3m2s`
 */
export function formatDuration(ms: number, space = ' '): string {
  const whole = Math.max(0, Math.round(ms));
  if (whole < 1000) return `${whole}${space}ms`;
  const tenths = Math.round(whole / 100);
  if (tenths < 600) return `${tenths / 10}${space}s`;
  // Rounded to the smaller of the two units before it is taken apart, so that 59 m 59.9 s is an hour.
  const seconds = Math.round(whole / 1000);
  if (seconds < 3_600) return inTwo(seconds, 60, 'm', 's', space);
  const minutes = Math.round(whole / MINUTE);
  if (minutes < 1_440) return inTwo(minutes, 60, 'h', 'm', space);
  return inTwo(Math.round(whole / HOUR), 24, 'd', 'h', space);
}

/** @param count of the smaller unit, of which the bigger one has `size` */
function inTwo(count: number, size: number, bigger: string, smaller: string, space: string): string {
  const rest = count % size;
  const head = `${Math.floor(count / size)}${space}${bigger}`;
  return rest === 0 ? head : `${head}${space}${rest}${space}${smaller}`;
}
