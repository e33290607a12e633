#!/usr/bin/env node
// What dist/upkeep.js is made of: starts program.js, or client.js for a verb that only asks, with the code that was compiled when
// upkeep was built. On another version of Node that is refused, and compiled anew.
const { readFileSync, writeFileSync } = require('node:fs');
const { Script } = require('node:vm');

const [verb, ...words] = process.argv.slice(2);
const asks = __ASKING__.includes(verb);
const bundle = `${__dirname}/${asks ? 'client' : 'program'}`;
const filename = `${bundle}.js`;
const keep = process.env.UPKEEP_CODE_CACHE;
let cachedData;
try {
  if (keep === undefined) cachedData = readFileSync(`${bundle}.cache`);
} catch {
  // None was made, or it can't be read: then it takes a little longer.
}
// The bundle is ASCII, and as latin1 it takes no decoding and half the room.
const text = readFileSync(filename, 'latin1');
// program.js is such a function by itself.
const script = new Script(asks ? `(function (require, module) {${text}\n})` : text, { filename, cachedData });
if (keep !== undefined) process.on('exit', () => writeFileSync(keep, script.createCachedData()));
// Whoever only asks is gone before any of it matters.
else if (verb === 'run') {
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
const start = script.runInThisContext();
if (asks) {
  const client = {};
  start(require, client);
  // All has been written by then, and Node would take 10 ms to give back what it leaves.
  client.exports.ask(verb, words).then(process.exit);
} else start(require, filename);
