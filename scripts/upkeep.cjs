#!/usr/bin/env node
// What dist/upkeep.js is made of: starts program.js, with the code that was compiled when upkeep was built. On another
// version of Node that is refused, and compiled anew.
const { readFileSync, writeFileSync } = require('node:fs');
const { Script } = require('node:vm');

const filename = `${__dirname}/program.js`;
const keep = process.env.UPKEEP_CODE_CACHE;
let cachedData;
try {
  if (keep === undefined) cachedData = readFileSync(`${__dirname}/program.cache`);
} catch {
  // None was made, or it can't be read: then it takes a little longer.
}
// The bundle is ASCII, and as latin1 it takes no decoding and half the room.
const script = new Script(readFileSync(filename, 'latin1'), { filename, cachedData });
if (keep !== undefined) process.on('exit', () => writeFileSync(keep, script.createCachedData()));
// Whoever only asks is gone before any of it matters.
else if (process.argv[2] === 'run') {
  // Not sooner: code that was compiled under other flags is refused.
  const { setFlagsFromString } = require('node:v8');
  // V8 throws away compiled code that has not run for a while. A death after a quiet night is to be answered just as fast.
  setFlagsFromString('--no-flush-bytecode');
  // Its optimizing compiler takes four megabytes for good when it has run once. A flood of lines is worth that, a start is not.
  setFlagsFromString('--no-opt');
  // That of Node 20 is asked for a reason thirty times as good; later ones have another in front of it, which goes.
  setFlagsFromString(
    Number.parseInt(process.versions.v8, 10) < 12 ? '--interrupt-budget=2000000' : '--no-maglev',
  );
  setTimeout(() => setFlagsFromString('--opt'), 1000).unref();
}
script.runInThisContext()(require, filename);
