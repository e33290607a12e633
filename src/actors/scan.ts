/** process/scan as actor logic. */
import type { Observable } from 'rxjs';
import { fromEventObservable } from 'xstate';
import type { ScanReport } from '../../machines/events.ts';

/** Every report is an event for the root. */
export function scanActor(reports: Observable<ScanReport>) {
  return fromEventObservable<ScanReport, { commands: readonly string[] }>(() => reports);
}
