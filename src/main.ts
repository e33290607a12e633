/** argv, environment, OS signals, exit code. Nothing else touches them. */
import { writeSync } from 'node:fs';
import { helpText } from './policy/help.ts';
import { parseRunArguments, type RunRequest } from './policy/options.ts';
import { UsageError } from './policy/usage-error.ts';

declare const __VERSION__: string;

const EXIT_USAGE = 64;
const EXIT_CONFIGURATION = 78;
const EXIT_INTERNAL = 70;

async function main(): Promise<void> {
  let request: RunRequest;
  try {
    request = parseRunArguments(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return leave(EXIT_USAGE, `upkeep: ${error.message}\n`);
  }
  if (request.kind === 'version') return leave(0, `upkeep ${__VERSION__}\n`, 1);
  if (request.kind === 'help') return leave(0, helpText(request.topic), 1);

  const { supervise, StartError } = await import('./supervise.ts');
  const pending: string[] = [];
  let order = (reason: string): unknown => pending.push(reason);
  let notice = (_message: string): void => {};
  // From the first moment: a signal during start-up counts as well.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) process.on(signal, () => order(signal));
  process.on('SIGHUP', () => notice('SIGHUP: there is no policy file to read again; nothing has changed'));
  // Node would open its debugger on SIGUSR1, and SIGUSR2 would end us.
  for (const signal of ['SIGUSR1', 'SIGUSR2'] as const)
    process.on(signal, () => notice(`${signal} is ignored`));

  try {
    const supervision = await supervise(request.commands, request.options, process.env, __VERSION__);
    notice = supervision.notice;
    // A mistake of ours outside the root must not take the services down.
    const survive = (error: unknown): void =>
      notice(`a mistake in upkeep was survived: ${(error as Error)?.stack ?? error}`);
    process.on('uncaughtException', survive);
    process.on('unhandledRejection', survive);
    order = supervision.shutdown;
    for (const reason of pending) order(reason);
    process.exit(await supervision.done);
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    leave(EXIT_CONFIGURATION, `upkeep: ${error.message}\n`);
  }
}

function leave(code: number, text: string, fd = 2): void {
  try {
    writeSync(fd, text);
  } catch {
    // Nobody reads it.
  }
  process.exitCode = code;
}

main().catch((error) => leave(EXIT_INTERNAL, `upkeep: cannot go on: ${error?.stack ?? error}\n`));
