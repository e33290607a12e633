/** Measures upkeep and its peers side by side on this machine: npm run bench. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Arena } from './arena.ts';
import { judge } from './goals.ts';
import { machine } from './machine.ts';
import type { Figure, Measure } from './measure.ts';
import { control } from './measures/control.ts';
import { crash } from './measures/crash.ts';
import { death } from './measures/death.ts';
import { idle } from './measures/idle.ts';
import { logs } from './measures/logs.ts';
import { masters } from './measures/masters.ts';
import { pid1 } from './measures/pid1.ts';
import { policy } from './measures/policy.ts';
import { scan } from './measures/scan.ts';
import { start } from './measures/start.ts';
import { storms } from './measures/storm.ts';
import { HELP, parseRequest, type Request } from './options.ts';
import { PEERS, type Peer } from './peers.ts';
import { cell, chartOf, goalsTable, page, type Results } from './report.ts';
import { makeTools, type Tools } from './tools.ts';

const MEASURES: readonly Measure[] = [
  death,
  start,
  idle,
  scan,
  storms,
  logs,
  crash,
  pid1,
  masters,
  policy,
  control,
];

const idOf = ({ name }: Peer): string => name.toLowerCase().replaceAll(' ', '-');

function list(tools: Tools): void {
  console.log('Measures:');
  for (const { name, title } of MEASURES) console.log(`  ${name.padEnd(14)} ${title}`);
  console.log('Peers:');
  for (const peer of PEERS) {
    const version = peer.version(tools);
    console.log(`  ${idOf(peer).padEnd(14)} ${version ?? `is missing: ${peer.install}`}`);
  }
}

/** Measures, and says every figure as soon as it is known. */
async function measure(request: Request, tools: Tools, keep: (results: Results) => void): Promise<Results> {
  const began = performance.now();
  const figures: Figure[] = [];
  const isTTY = process.stderr.isTTY === true;
  const say = (text: string): void => void process.stderr.write(isTTY ? `\r\x1b[K${text}` : `${text}\n`);
  const record = (figure: Figure): void => {
    figures.push(figure);
    if (isTTY) process.stderr.write('\r\x1b[K');
    console.log([figure.measure, figure.what, figure.peer, cell(figure)].join(' | '));
  };
  const wanted = PEERS.filter((peer) => request.peers === null || request.peers.includes(idOf(peer)));
  const versions = Object.fromEntries(wanted.map((peer) => [peer.name, peer.version(tools)]));
  const peers = wanted.filter(({ name }) => versions[name] !== null);
  const missing = wanted
    .filter((peer) => !peers.includes(peer))
    .map(({ name, install }) => ({ peer: name, install }));
  for (const { peer, install } of missing) console.log(`${peer} is missing: ${install}`);
  const results = (): Results => ({
    date: new Date().toISOString(),
    quick: request.quick,
    seconds: (performance.now() - began) / 1e3,
    machine: machine(),
    versions,
    missing,
    figures,
  });
  for (const one of MEASURES) {
    if (request.only !== null && !request.only.includes(one.name)) continue;
    try {
      await one.run({ tools, peers, quick: request.quick, record, say });
    } catch (error) {
      // The others are worth having; what is missing is seen in the page, and by the exit code.
      console.error(`cannot measure ${one.name}: ${(error as Error).stack}`);
      process.exitCode = 1;
    }
    if (isTTY) process.stderr.write('\r\x1b[K');
    // A run that is broken off has been worth something.
    keep(results());
  }
  return results();
}

function write(folder: string, results: Results): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(join(folder, 'results.md'), page(results, MEASURES));
  for (const { measure: name, title } of MEASURES.flatMap(({ tables }) => tables)) {
    if (!results.figures.some((figure) => figure.measure === name)) continue;
    writeFileSync(join(folder, `${name}.svg`), chartOf(results.figures, name, title));
  }
}

async function main(): Promise<void> {
  const request = parseRequest(
    process.argv.slice(2),
    MEASURES.map(({ name }) => name),
    PEERS.map(idOf),
  );
  if (request.help) {
    process.stdout.write(HELP);
    return;
  }
  const tools = await makeTools(request.upkeep);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      Arena.abandonAll();
      tools.clean();
      process.exit(1);
    });
  }
  try {
    if (request.list) return list(tools);
    const { out } = request;
    const results = await measure(request, tools, (sofar) => out !== null && write(out, sofar));
    const verdicts = judge(results.figures);
    if (verdicts.length > 0) console.log(`\n${goalsTable(verdicts)}\n`);
    if (out !== null) console.log(`the report is in ${join(out, 'results.md')}`);
  } finally {
    tools.clean();
  }
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
