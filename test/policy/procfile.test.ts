import { expect, test } from 'vitest';
import { PolicyError } from '../../src/policy/problems.ts';
import { loadProcfile } from '../../src/policy/procfile.ts';
import { readerOf } from './policies.ts';

const read = (text: string) => loadProcfile('Procfile', { readFile: readerOf({ Procfile: text }) });
function problems(text: string): string[] {
  try {
    read(text);
    return [];
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return error.message.split('\n').slice(1);
  }
}

test('names and commands, in the order of the file', () => {
  const commands = read(`\uFEFF# what runs
web: bundle exec puma -p $PORT\r
worker:sleep 5

  release-1: /etc/init.d/x start
`);
  expect(commands).toMatchObject([
    { name: 'web', text: 'bundle exec puma -p $PORT', shell: true, fits: ['puma'], policy: null },
    { name: 'worker', file: 'sleep', args: ['5'], shell: false },
    { name: 'release-1', returns: true },
  ]);
});

test('every mistake is told with its line', () => {
  expect(problems('web: x\nnothing\n\n-a: y\nweb: z\nb:\nc: a "b\nd: x \\')).toEqual([
    'Procfile:2:1: expected a name and a command, as in web: nginx, got "nothing"',
    'Procfile:4:1: cannot use the name "-a": a name is made of letters, digits, "_", "." and "-", begins with none of the last two, and has at most 64 characters; choose such a name',
    'Procfile:5:1: web: the name is there twice, first in line 1; choose another',
    'Procfile:6:1: b: cannot use the command "": there is nothing in it; write a program and its arguments',
    'Procfile:7:1: c: cannot read the command "a \\"b": a double quote is not closed; close it, or write \\" for a double quote',
    'Procfile:8:1: d: cannot read the command "x \\\\": it ends with a backslash; write two for a backslash',
  ]);
  // What could be read as a line in its middle is none, and nothing else is said beside a mistake.
  for (const text of ['two words: x', 'web: a\u2028b']) {
    expect(problems(text), text).toEqual([expect.stringContaining('expected a name and a command')]);
  }
  expect(read('web: echo \uFEFFx')[0]!.text).toBe('echo \uFEFFx');
  expect(problems('# nothing')).toEqual([
    'Procfile: there is no command in it; write, for instance, web: nginx',
  ]);
  expect(() => loadProcfile('no', { readFile: readerOf({}) })).toThrow(
    'no: there is no such file; look at its path',
  );
});
