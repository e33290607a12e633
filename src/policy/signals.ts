import { didYouMean, shown, UsageError } from './usage-error.ts';

/** Without SIG. */
export const SIGNALS: readonly string[] =
  'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS'.split(
    ' ',
  );

/** `SIGHUP` for HUP, hup and SIGHUP. @throws UsageError */
export function readSignalName(text: string): string {
  const name = text.toUpperCase().replace(/^SIG/, '');
  if (SIGNALS.includes(name)) return `SIG${name}`;
  throw new UsageError(
    `cannot send ${shown(text)}: it is no signal${didYouMean(name, SIGNALS)}; write, for instance, HUP or USR1`,
  );
}
