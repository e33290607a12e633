import { NAME, parseNamed } from './command.ts';
import { readText, type Surroundings } from './file.ts';
import { PolicyError, type Problem } from './problems.ts';
import type { CommandSpec } from './spec.ts';
import { shown, UsageError } from './usage-error.ts';

/**
 * Reads a Procfile: lines of `name: command`; empty ones and those that begin with `#` say nothing.
 *
 * @throws PolicyError with every mistake that was found
 */
export function loadProcfile(path: string, { readFile }: Pick<Surroundings, 'readFile'>): CommandSpec[] {
  const content = readText(path, readFile);
  const problems: Problem[] = [];
  const tell = (line: number, name: string, message: string): void => {
    problems.push({ file: path, line, column: line === 0 ? 0 : 1, path: name, message });
  };
  if ('why' in content) {
    const { why, line, column } = content;
    throw new PolicyError([{ file: path, line, column, path: '', message: why }]);
  }

  const lines = new Map<string, number>();
  const commands: CommandSpec[] = [];
  for (const [index, raw] of content.text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const line = index + 1;
    const text = raw.trim();
    if (text === '' || text.startsWith('#')) continue;
    const [, name, command] = /^([^\s:]+):\s*(.*)$/.exec(text) ?? [];
    if (name === undefined || command === undefined) {
      tell(line, '', `expected a name and a command, as in web: nginx, got ${shown(text)}`);
      continue;
    }
    if (!NAME.test(name)) {
      const rule =
        'letters, digits, "_", "." and "-", begins with none of the last two, and has at most 64 characters';
      tell(line, '', `cannot use the name ${shown(name)}: a name is made of ${rule}; choose such a name`);
      continue;
    }
    const first = lines.get(name);
    if (first !== undefined) {
      tell(line, name, `the name is there twice, first in line ${first}; choose another`);
      continue;
    }
    lines.set(name, line);
    try {
      commands.push(parseNamed(name, command));
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      tell(line, name, error.message);
    }
  }
  if (problems.length === 0 && commands.length === 0) {
    tell(0, '', 'there is no command in it; write, for instance, web: nginx');
  }
  if (problems.length > 0) throw new PolicyError(problems);
  return commands;
}
