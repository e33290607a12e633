/** Numbers of many runs made one. */

/** The value below which the part `p` (0 to 1) of the values lies, by the nearest rank; NaN of none. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? Number.NaN;
}

/** The middle one, or the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  if (sorted.length === 0) return Number.NaN;
  return Number.isInteger(half) ? (sorted[half - 1]! + sorted[half]!) / 2 : sorted[Math.floor(half)]!;
}

/** A number as people read it: three digits that count, thousands apart, never a power of ten. */
export function readable(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString('en-GB');
  if (size === 0) return '0';
  const digits = size >= 10 ? 1 : size >= 0.1 ? 2 : 3;
  return `${Number(value.toFixed(digits))}`;
}

/** A new order of the same, by a generator of numbers from 0 to 1. */
export function shuffled<T>(items: readonly T[], random: () => number = Math.random): T[] {
  const rest = [...items];
  const taken: T[] = [];
  while (rest.length > 0) taken.push(...rest.splice(Math.floor(random() * rest.length), 1));
  return taken;
}
