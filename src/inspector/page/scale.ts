/** The timeline's scale: what is in sight, moved and zoomed, and the ticks on it. Pure. All times are ms. */

export interface View {
  readonly from: number;
  readonly to: number;
}

/** The narrowest and the widest that can be in sight. */
export const NARROWEST = 20;
export const WIDEST = 14 * 24 * 3_600_000;

const STEPS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000,
  600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 10_800_000, 21_600_000, 43_200_000, 86_400_000,
] as const;

/** @param around the time that stays where it is @param factor below 1 shows less of it, larger */
export function zoomed({ from, to }: View, around: number, factor: number): View {
  const width = Math.min(WIDEST, Math.max(NARROWEST, (to - from) * factor));
  const share = (around - from) / (to - from);
  const start = around - share * width;
  return { from: start, to: start + width };
}

/** @param share of what is in sight; positive: later */
export function moved({ from, to }: View, share: number): View {
  const by = (to - from) * share;
  return { from: from + by, to: to + by };
}

/** The same width, with the present a little before its right end. */
export function following({ from, to }: View, now: number): View {
  const end = now + (to - from) * 0.03;
  return { from: end - (to - from), to: end };
}

/** As wide as it was, or as all of it; moved to lie inside of it. */
export function inside({ from, to }: View, all: View): View {
  const width = Math.min(to - from, all.to - all.from);
  const start = Math.min(all.to - width, Math.max(all.from, from));
  return { from: start, to: start + width };
}

/** Everything from the first to the last, with a margin. @param least its width */
export function fitted(first: number, last: number, least = 10_000): View {
  const width = Math.max(least, last - first);
  return { from: last - width * 1.02, to: last + width * 0.03 };
}

/**
 * @param width px that there are @param apart px between two ticks, at least
 * @param zone minutes by which local time is behind UTC: long steps begin at local midnight
 */
export function ticks(
  { from, to }: View,
  width: number,
  apart: number,
  zone = 0,
): { readonly step: number; readonly at: readonly number[] } {
  const least = ((to - from) / Math.max(1, width)) * apart;
  const days = Math.ceil(least / 86_400_000) * 86_400_000;
  const step = STEPS.find((each) => each >= least) ?? days;
  const shift = zone * 60_000;
  const at: number[] = [];
  for (let tick = Math.ceil((from - shift) / step) * step + shift; tick <= to; tick += step) at.push(tick);
  return { step, at };
}
