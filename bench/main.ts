/** Measures upkeep and its peers side by side on this machine: npm run bench. */
import type { Figure, Measure } from './measure.ts';
import { crash } from './measures/crash.ts';
import { death } from './measures/death.ts';
import { idle } from './measures/idle.ts';
import { logs } from './measures/logs.ts';
import { masters } from './measures/masters.ts';
import { pid1 } from './measures/pid1.ts';
import { scan } from './measures/scan.ts';
import { start } from './measures/start.ts';
import { storms } from './measures/storm.ts';
import { HELP, parseRequest } from './options.ts';
import { PEERS, type Peer } from './peers.ts';
import { readable } from './statistics.ts';
import { makeTools } from './tools.ts';

const MEASURES: readonly Measure[] = [death, start, idle, scan, storms, logs, crash, pid1, masters];

const idOf = ({ name }: Peer): string => name.toLowerCase().replaceAll(' ', '-');

async function main(): Promise<void> {
  const request = parseRequest(
    process.argv.slice(2),
    MEASURES.map(({ name }) => name),
    PEERS.map(idOf),
  );
  if (request.help) return void process.stdout.write(HELP);
  const tools = await makeTools(request.upkeep);
  try {
    const figures: Figure[] = [];
    const record = (figure: Figure): void => {
      figures.push(figure);
      const value = figure.value === null ? '' : `${readable(figure.value)} ${figure.unit}`;
      const p99 = figure.p99 === null ? '' : `, p99 ${readable(figure.p99)}`;
      console.log(
        `${figure.measure} | ${figure.what} | ${figure.peer} | ${value}${p99} (${figure.runs})${figure.note === null ? '' : ` ${figure.note}`}`,
      );
    };
    const say = (text: string): void => {
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
    };
    const peers = PEERS.filter((peer) => request.peers === null || request.peers.includes(idOf(peer)));
    for (const measure of MEASURES) {
      if (request.only !== null && !request.only.includes(measure.name)) continue;
      await measure.run({ tools, peers, quick: request.quick, record, say });
    }
  } finally {
    tools.clean();
  }
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
