import fc from 'fast-check';

/** Properties are checked on the same values each time: a build may not depend on chance. UPKEEP_SEED=random, or a number, looks elsewhere. */
const wanted = process.env.UPKEEP_SEED ?? '1';
fc.configureGlobal(wanted === 'random' ? {} : { seed: Number(wanted) });
