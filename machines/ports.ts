/**
 * What the machines need of the world, as typed placeholders. src/supervise.ts provides every one of them; a
 * placeholder that is still there when it runs says so.
 */
import { type EventObject, fromCallback, fromEventObservable } from 'xstate';
import type { ScanReport } from './events.ts';

const missing = (port: string): Error =>
  new Error(`cannot run: the port "${port}" was not provided; see src/supervise.ts`);

const callbackPort = <TInput>(port: string) =>
  fromCallback<EventObject, TInput>(() => {
    throw missing(port);
  });

/** Starts the launcher of `command`. Answers `launcher.started` or `launch.failed`, once. Leaving the state that
 * invoked it ends nothing: what was launched is the service, and whoever asks for it next, before there is an answer, is given
 * that one. */
export const launchPort = callbackPort<{ command: string }>('launch');

/** Runs the service's own stop command and answers `stopper.finished`. Ends it when the state is left. */
export const stopperPort = callbackPort<{ command: string }>('stopper');

/** Watches the process table for all commands: `scan.began` once, then `scan.changed` with edges. */
export const scanPort = fromEventObservable<ScanReport, { commands: readonly string[] }>(() => {
  throw missing('scan');
});

/** Runs the command's readiness or health probe once and answers `probe.finished`, once. Leaving the state ends the probe and
 * all that it started. */
export const probePort = callbackPort<{ command: string; which: 'ready' | 'health' }>('probe');

/** Tells when the command's schedule wants it to run: `schedule.planned`, and at that time `schedule.due`, again and again. */
export const schedulePort = callbackPort<{ command: string }>('schedule');
