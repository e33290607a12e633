import fc from 'fast-check';

/** Properties are checked on the same values each time. */
fc.configureGlobal({ seed: 1 });
