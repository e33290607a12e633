import { didYouMean, shown, UsageError } from './usage-error.ts';

/** Without SIG. */
export const SIGNALS: readonly string[] =
  'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS'.split(
    ' ',
  );

/** `SIGHUP` for HUP, hup and SIGHUP; null: it is no signal. */
export function signalOf(text: string): string | null {
  const name = text.toUpperCase().replace(/^SIG/, '');
  return SIGNALS.includes(name) ? `SIG${name}` : null;
}

/** `, did you mean …`, or nothing. */
export function likeSignal(text: string): string {
  return didYouMean(text.toUpperCase().replace(/^SIG/, ''), SIGNALS);
}

/** As signalOf. @throws UsageError where it is none */
export function readSignalName(text: string): string {
  const signal = signalOf(text);
  if (signal !== null) return signal;
  throw new UsageError(
    `cannot send ${shown(text)}: it is no signal${likeSignal(text)}; write, for instance, HUP or USR1`,
  );
}
