const EXPRESSION = /^([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?])([\s\S]*))?$/;
/** `${A:-${B:-…}}`: nobody means more. */
const DEEPEST = 8;

/** An environment, as process.env is one. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Fills in `${NAME}`, `${NAME-default}` (where it is not set), `${NAME:-default}` (nor empty), `${NAME?message}` and
 * `${NAME:?message}`. `$$` is a dollar. Any other dollar stays: `$NAME` and `$(…)` are the shell's.
 *
 * @returns the text, and what is wrong with it: nothing, in most cases
 */
export function interpolate(text: string, env: Environment): { text: string; mistakes: string[] } {
  const mistakes: string[] = [];
  return { text: fill(text, env, mistakes, 0), mistakes };
}

/** The text that `interpolate` turns into the given one. */
export function escapeDollars(text: string): string {
  return text.replace(/\$\$+|\$(?=\{)/g, '$&$&');
}

function fill(text: string, env: Environment, mistakes: string[], depth: number): string {
  let filled = '';
  let at = 0;
  for (;;) {
    const dollar = text.indexOf('$', at);
    if (dollar < 0) return filled + text.slice(at);
    filled += text.slice(at, dollar);
    const next = text[dollar + 1];
    if (next !== '{') {
      filled += '$';
      at = dollar + (next === '$' ? 2 : 1);
      continue;
    }
    const end = closing(text, dollar + 2);
    if (end < 0 || depth > DEEPEST) {
      const why = end < 0 ? 'its brace is not closed' : 'there are too many in one another';
      mistakes.push(`cannot fill in ${brief(text.slice(dollar))}: ${why}; write $$ for a dollar that stays`);
      return filled;
    }
    filled += expand(text.slice(dollar + 2, end), env, mistakes, depth);
    at = end + 1;
  }
}

/** The index of the brace that closes what begins at `from`, or -1. */
function closing(text: string, from: number): number {
  let open = 1;
  for (let at = from; at < text.length; at++) {
    if (text[at] === '$' && (text[at + 1] === '$' || text[at + 1] === '{')) {
      at++;
      if (text[at] === '{') open++;
    } else if (text[at] === '}' && --open === 0) return at;
  }
  return -1;
}

function expand(expression: string, env: Environment, mistakes: string[], depth: number): string {
  const [, name, operator = '', operand = ''] = EXPRESSION.exec(expression) ?? [];
  if (name === undefined) {
    mistakes.push(
      `cannot fill in ${brief(`\${${expression}}`)}: only \${NAME}, \${NAME-default}, \${NAME:-default} and \${NAME:?message} are understood; write $\${ to leave it to the shell`,
    );
    return '';
  }
  const value = Object.hasOwn(env, name) ? env[name] : undefined;
  const missing = value === undefined || (value === '' && operator.startsWith(':'));
  if (!missing) return value;
  if (operator.endsWith('-')) return fill(operand, env, mistakes, depth + 1);
  const message = fill(operand, env, mistakes, depth + 1);
  const why = message === '' ? `it is ${value === '' ? 'empty' : 'not set'}` : message;
  mistakes.push(
    `cannot fill in \${${name}}: ${why}; set it, write \${${name}:-…} with a default, or $\${${name}} to leave it to the shell`,
  );
  return '';
}

function brief(text: string): string {
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}
