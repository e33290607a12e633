/** A mistake in a policy or Procfile, and where it is. */
export interface Problem {
  readonly file: string;
  /** From 1; 0: the file as a whole. */
  readonly line: number;
  readonly column: number;
  /** As in `commands.web.ready.http`; empty: the file as a whole. */
  readonly path: string;
  readonly message: string;
}

/** What was read can't be used: exit code 78. Holds every mistake that was found. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const files = [...new Set(problems.map(({ file }) => file))].join(', ');
    const mistakes = problems.length === 1 ? 'a mistake' : `${problems.length} mistakes`;
    super(
      [
        `cannot use ${files}: there ${problems.length === 1 ? 'is' : 'are'} ${mistakes} in it; put this right:`,
        ...problems.map(formatProblem),
      ].join('\n'),
    );
    this.problems = problems;
  }
}

/** One line: `upkeep.yaml:3:5: commands.web.ready: unknown key …`. */
function formatProblem({ file, line, column, path, message }: Problem): string {
  const place = line === 0 ? file : `${file}:${line}:${column}`;
  return [place, path, message].filter((part) => part !== '').join(': ');
}
