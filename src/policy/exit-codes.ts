/** What every verb exits with for the same reason, as in sysexits.h; what a container ends with else, the root machine decides. */
export const EXIT_USAGE = 64;
/** A mistake of ours. */
export const EXIT_INTERNAL = 70;
/** What is said cannot be written. */
export const EXIT_UNWRITABLE = 74;
/** A file that cannot be used. */
export const EXIT_CONFIGURATION = 78;
