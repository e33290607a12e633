/** argv, environment, OS signals, exit code. Nothing else touches them. */
import { isatty } from 'node:tty';
import { EXIT_CONFIGURATION, EXIT_USAGE } from './policy/exit-codes.ts';
import { helpText } from './policy/help.ts';
import { parseRunArguments, RUN_DEFAULTS, type RunRequest } from './policy/options.ts';
import { policyOf } from './policy/plan.ts';
import type { Read } from './policy/reader.ts';
import { UsageError } from './policy/usage-error.ts';
import type { PolicyFiles } from './supervise.ts';
import { conclude, leave, write } from './terminal.ts';

declare const __VERSION__: string;

async function main(): Promise<number> {
  let request: RunRequest;
  try {
    request = parseRunArguments(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return leave(EXIT_USAGE, `upkeep: ${error.message}\n`);
  }
  switch (request.kind) {
    case 'version':
      return leave(0, `upkeep ${__VERSION__}\n`, 1);
    case 'help':
      return leave(0, helpText(request.topic), 1);
    case 'check':
      return check(request.file, request.json);
    case 'export':
      return exportPolicy(request.words);
    case 'inspect': {
      const { runInspect } = await import('./inspector/inspect.ts');
      const { code, text } = await runInspect(
        request.words,
        isatty(2) ? (text) => write(2, text) : undefined,
      );
      return leave(code, text, text.startsWith('upkeep: ') ? 2 : 1);
    }
    case 'simulate': {
      const { runSimulate } = await import('./inspector/simulate.ts');
      return runSimulate(request.words, {
        env: process.env,
        version: __VERSION__,
        out: (text) => write(1, text),
        error: (text) => write(2, text),
      });
    }
    case 'completion': {
      const { completionScript } = await import('./describe/completion.ts');
      return leave(0, completionScript(request.shell), 1);
    }
    case 'control': {
      const { ask } = await import('./ask.ts');
      return ask(request.verb, request.words);
    }
    case 'run':
      return run(request);
  }
}

async function check(file: string, json: boolean): Promise<number> {
  const { checkFile } = await import('./policy/reader.ts');
  const { ok, text } = checkFile(file, json, process.env);
  return leave(ok ? 0 : EXIT_CONFIGURATION, text, ok || json ? 1 : 2);
}

async function exportPolicy(words: readonly string[]): Promise<number> {
  const { readSources } = await import('./policy/reader.ts');
  const { runExport } = await import('./export/export.ts');
  const exported = runExport(words, (policy) =>
    readSources({ commands: [], policy, procfile: null }, RUN_DEFAULTS, process.env),
  );
  if ('text' in exported) return leave(0, exported.text, 1);
  if ('misuse' in exported) return leave(EXIT_USAGE, exported.misuse);
  return leave(EXIT_CONFIGURATION, exported.error);
}

async function run(request: Extract<RunRequest, { kind: 'run' }>): Promise<number> {
  const { supervise, StartError } = await import('./supervise.ts');
  const { options } = request;
  const pending: string[] = [];
  let order = (reason: string): unknown => pending.push(reason);
  let notice = (_message: string): void => {};
  let hangUp = (): void => {};
  // From the first moment: a signal during start-up counts as well.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) process.on(signal, () => order(signal));
  process.on('SIGHUP', () => hangUp());
  // Node would open its debugger on SIGUSR1, and SIGUSR2 would end us.
  for (const signal of ['SIGUSR1', 'SIGUSR2'] as const)
    process.on(signal, () => notice(`${signal} is ignored`));

  let files: PolicyFiles | null = null;
  let first: Read = { policy: policyOf(request.commands), warnings: [] };
  if (request.policy !== null || request.procfile !== null) {
    const { readSources, ...more } = await import('./policy/reader.ts');
    files = { ...more, read: () => readSources(request, options, process.env) };
    first = files.read();
  }
  if ('error' in first) return leave(EXIT_CONFIGURATION, `upkeep: ${first.error}\n`);

  try {
    const supervision = await supervise(first, options, process.env, __VERSION__, files);
    notice = supervision.notice;
    hangUp = supervision.reload;
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
    return leave(EXIT_CONFIGURATION, `upkeep: ${error.message}\n`);
  }
}

void conclude(main());
