/** When a cron schedule's next time is. */
import { Cron } from 'croner';
import type { ScheduleSpec } from './spec.ts';

/**
 * @param after ms since 1970
 * @param random in [0, 1): how much of the jitter is used
 * @returns ms since 1970; null: there is no such time
 */
export function nextRun(spec: ScheduleSpec, after: number, random: () => number): number | null {
  const cron = new Cron(spec.pattern, {
    paused: true,
    ...(spec.timezone === null ? {} : { timezone: spec.timezone }),
  });
  const next = cron.nextRun(new Date(after));
  return next === null ? null : next.getTime() + Math.round(random() * spec.jitter);
}
