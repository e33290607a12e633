import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PolicyError } from '../../src/policy/problems.ts';
import { load, told } from './policies.ts';

/** `web: x, db: y` … as commands, then further lines. */
const file = (commands: string, rest = ''): string => `commands: {${commands}}\n${rest}`;
const requiresOf = (text: string, name: string) =>
  load(text).commands.find((command) => command.name === name)?.policy?.requires;

describe('requires and after', () => {
  test('milestones suit what is required, unless one is given', () => {
    const text = `
commands:
  db: postgres
  migrate: {run: m, kind: oneshot, requires: db}
  a: {run: a, requires: [db, migrate], after: late}
  b: {run: b, requires: {db: started, migrate: started}}
  late: x
  ends: {run: e, restart: never}
  c: {run: c, requires: {ends: completed}}
`;
    expect(requiresOf(text, 'migrate')).toEqual({ db: 'ready' });
    expect(requiresOf(text, 'a')).toEqual({ db: 'ready', migrate: 'completed' });
    expect(requiresOf(text, 'b')).toEqual({ db: 'started', migrate: 'started' });
    expect(requiresOf(text, 'c')).toEqual({ ends: 'completed' });
    expect(load(text).commands[2]?.policy?.after).toEqual(['late']);
  });

  test('a group stands for all commands in it, and a name of its own counts more', () => {
    const text = `
commands:
  web: {run: x, requires: {back: started, db: ready}, after: [all, cache]}
  db: x
  cache: x
  once: {run: x, kind: oneshot}
  other: {run: x, requires: back}
groups:
  back: [db, inner]
  inner: [cache, once]
  all: [other]
`;
    expect(requiresOf(text, 'web')).toEqual({ db: 'ready', cache: 'started', once: 'started' });
    expect(requiresOf(text, 'other')).toEqual({ db: 'ready', cache: 'ready', once: 'completed' });
    expect(load(text).commands[0]?.policy?.after).toEqual(['other', 'cache']);
  });

  test('a name of its own counts more, wherever it stands', () => {
    for (const both of ['{db: started, g: ready}', '{g: ready, db: started}']) {
      const text = file(`web: {run: x, requires: ${both}}, db: y`, 'groups: {g: [db]}');
      expect(requiresOf(text, 'web'), both).toEqual({ db: 'started' });
    }
  });

  test('who may end for good can be awaited', () => {
    const text = file('a: {run: x, requires: {b: completed}}, b: {run: y, restart: on-failure}');
    expect(requiresOf(text, 'a')).toEqual({ b: 'completed' });
  });

  test.each(['kind: oneshot', 'restart: on-failure', 'restart: never'])('%s is done at some time', (rule) => {
    const text = file(`a: {run: x, ${rule}}`, 'container: {exitWhen: a done}');
    expect(load(text).container.exitWhen).toEqual({ done: 'a' });
  });

  test('of one that can’t be read itself, only its own mistake is told', () => {
    const rest = 'container: {exitWhen: b done}\ngroups: {g: [b]}';
    for (const requires of ['b', '{b: completed}', 'g']) {
      const text = file(`a: {run: x, requires: ${requires}}, b: [y]`, rest);
      expect(told(text), requires).toEqual([expect.stringContaining('commands.b:')]);
    }
  });

  test('circles that share no step are told each, at what leads into them', () => {
    const circles = (commands: string): string[] => told(file(commands)).map((text) => text.split(':')[2]!);
    const x = 'x: z';
    // Through one command, but by steps of their own.
    expect(
      circles('a: {run: x, requires: [b, c]}, b: {run: x, requires: a}, c: {run: x, requires: a}'),
    ).toHaveLength(2);
    // Who shares a step with another is broken with it.
    expect(
      circles(
        'a: {run: x, requires: b}, b: {run: x, requires: c}, c: {run: x, requires: [a, d]}, d: {run: x, requires: b}',
      ),
    ).toHaveLength(1);
    const place = (commands: string): string => told(file(commands))[0]!.replace(/^\S+ (\S+): .*$/, '$1');
    expect(place(`a: {run: x, requires: [x, b]}, b: {run: x, requires: a}, ${x}`)).toBe(
      'commands.a.requires.1',
    );
    expect(place(`a: {run: x, after: [x, b]}, b: {run: x, after: a}, ${x}`)).toBe('commands.a.after.1');
    expect(place(`a: {run: x, requires: x, after: b}, b: {run: x, after: a}, ${x}`)).toBe('commands.a.after');
  });

  test.each([
    [
      'web: {run: x, requires: dbx}, db: y',
      '',
      '1:36 commands.web.requires: no command or group is called "dbx", did you mean db?',
    ],
    [
      'web: {run: x, after: [db, no]}, db: y',
      '',
      '1:38 commands.web.after.1: no command or group is called "no"',
    ],
    ['a: {run: x, requires: a}', '', '1:34 commands.a.requires: it can not come before itself; take "a" out'],
    [
      'a: {run: x, after: g}, b: y',
      'groups: {g: [a, b]}',
      '1:31 commands.a.after: it is in the group "g" itself; take "g" out',
    ],
    [
      'a: {run: x, requires: {b: completed}}, b: y',
      '',
      '1:38 commands.a.requires.b: "b" is a service and never completes; use ready, or kind: oneshot there',
    ],
    [
      'a: {run: x, requires: b}, b: {run: y, schedule: "@daily"}',
      '',
      '1:34 commands.a.requires: "b" runs at the times of its schedule, and nobody can wait for that; take it out, or use after',
    ],
    [
      'a: {run: x, requires: g}, b: {run: y, schedule: "@daily"}',
      'groups: {g: [b]}',
      '1:34 commands.a.requires: "b" of that group runs at the times of its schedule, and nobody can wait for that; take it out, or use after',
    ],
    [
      'a: {run: x, requires: {b: done}}, b: y',
      '',
      '1:38 commands.a.requires.b: expected one of started, ready, completed, got "done"',
    ],
    [
      'a: {run: x, requires: b}, b: {run: y, after: [c]}, c: {run: z, requires: {a: started}}',
      '',
      '1:34 commands.a.requires: these wait for one another in a circle: a → b → c → a; take one of their requires or after out',
    ],
    [
      'a: {run: x, requires: g}, b: {run: y, after: a}',
      'groups: {g: [b]}',
      '1:34 commands.a.requires: these wait for one another in a circle: a → b → a; take one of their requires or after out',
    ],
  ])('%s %s', (commands, rest, message) => {
    expect(told(file(commands, rest))).toEqual([message]);
  });

  const graph = fc.integer({ min: 2, max: 12 }).chain((count) =>
    fc.record({
      count: fc.constant(count),
      edges: fc.array(fc.tuple(fc.nat(count - 1), fc.nat(count - 1), fc.boolean()), { maxLength: 30 }),
    }),
  );
  const fileOf = (count: number, edges: readonly (readonly [number, number, boolean])[]): string => {
    const named = (from: number, requires: boolean) =>
      [...new Set(edges.filter(([a, , how]) => a === from && how === requires).map(([, b]) => `c${b}`))].join(
        ', ',
      );
    return Array.from(
      { length: count },
      (_, i) => `  c${i}: {run: x, requires: [${named(i, true)}], after: [${named(i, false)}]}\n`,
    )
      .join('')
      .replace(/ (?:requires|after): \[\],?/g, '')
      .replace(/^/, 'commands:\n');
  };

  test('any graph without a cycle can be used', () => {
    fc.assert(
      fc.property(graph, ({ count, edges }) => {
        const forward = edges.filter(([from, to]) => from > to);
        expect(load(fileOf(count, forward)).commands).toHaveLength(count);
      }),
    );
  });

  test('any graph with a way back is refused, and the cycle that is named is one', () => {
    fc.assert(
      fc.property(graph, fc.nat(), ({ count, edges }, seed) => {
        const forward = edges.filter(([from, to]) => from > to);
        fc.pre(forward.length > 0);
        const [from, to] = forward[seed % forward.length]!;
        const all = [...forward, [to, from, seed % 2 === 0] as const];
        const pairs = new Set(all.map(([a, b]) => `c${a} c${b}`));
        try {
          load(fileOf(count, all));
        } catch (error) {
          if (!(error instanceof PolicyError)) throw error;
          expect(error.problems).toHaveLength(1);
          const [, way] = /in a circle: (.*);/.exec(error.problems[0]!.message)!;
          const cycle = way!.split(' → ');
          expect(cycle[0]).toBe(cycle.at(-1));
          for (const [index, name] of cycle.slice(0, -1).entries()) {
            expect(pairs).toContain(`${name} ${cycle[index + 1]}`);
          }
          return;
        }
        throw new Error('a cycle was not seen');
      }),
    );
  });
});

describe('groups', () => {
  test('defaults, and what can be said', () => {
    const text = file(
      'a: x, b: x, c: x',
      'groups: {one: [a], two: {members: [b, one], strategy: rest_for_one, intensity: {restarts: 3, within: 1m}, onFailed: exit}}',
    );
    expect(load(text).groups).toEqual([
      { name: 'one', members: ['a'], strategy: 'one_for_one', intensity: null, onFailed: 'ignore' },
      {
        name: 'two',
        members: ['b', 'one'],
        strategy: 'rest_for_one',
        intensity: { restarts: 3, within: 60_000 },
        onFailed: 'exit',
      },
    ]);
  });

  test.each([
    [
      'a: x',
      'groups: {a: [a]}',
      [
        '2:10 groups.a: a command is called "a" as well; give one of them another name',
        '2:14 groups.a.0: a group is no member of itself; take it out',
      ],
    ],
    ['a: x', 'groups: {g: [b]}', ['2:14 groups.g.0: no command or group is called "b"']],
    ['a: x', 'groups: {g: [a, a]}', ['2:17 groups.g.1: "a" is there twice; take one out']],
    [
      'a: x',
      'groups: {g: [a], h: {members: [a]}}',
      ['2:32 groups.h.members.0: "a" is in the group "g" already; it can be in one alone'],
    ],
    [
      'a: x',
      'groups: {g: [h], h: [g, a]}',
      ['2:10 groups.g: these groups are members of one another in a circle: g → h → g; take one out'],
    ],
    ['a: x', 'groups: {g: []}', ['2:13 groups.g: expected a list of names, got an empty list']],
    [
      'a: x',
      'groups: {g: {strategy: rest_for_one}}',
      ['2:10 groups.g.members: is missing: expected a list of names'],
    ],
    [
      'a: {run: x, requires: m}, m: {run: x, after: b}, b: x, c: x',
      'groups: {g: {members: [c, a, b], strategy: rest_for_one}}',
      [
        '2:10 groups.g: in rest_for_one the order of the members is that of their restart, but a is started after b, which comes later; put b in front of a',
      ],
    ],
  ])('%s %s', (commands, rest, messages) => {
    expect(told(file(commands, rest))).toEqual(messages);
  });

  test('in rest_for_one members may require earlier ones, and those of the same member one another', () => {
    const commands = 'a: {run: x, requires: b}, b: x, c: {run: x, requires: a}, d: {run: x, requires: c}';
    expect(
      load(file(commands, 'groups: {in: [a, b], g: {members: [in, c], strategy: rest_for_one}}')).groups,
    ).toHaveLength(2);
  });
});

describe('container', () => {
  test('what can be said', () => {
    const text = file(
      'a: {run: x, kind: oneshot}',
      'container: {grace: 20s, exitWhen: a done, exitCodeFrom: a}',
    );
    expect(load(text).container).toEqual({
      grace: 20_000,
      exitWhen: { done: 'a' },
      exitCodeFrom: 'a',
      syslog: null,
      http: null,
    });
  });

  test.each([
    ['true', '/dev/log'],
    ['false', false],
    ['/run/log', '/run/log'],
  ])('syslog: %s', (value, syslog) => {
    expect(load(file('a: x', `container: {syslog: ${value}}`)).container.syslog).toBe(syslog);
  });

  test.each([
    ['true', '127.0.0.1:8753'],
    ['false', false],
    ['9000', '127.0.0.1:9000'],
    ['"0.0.0.0:80"', '0.0.0.0:80'],
    ['"[::]:80"', '[::]:80'],
  ])('http: %s', (value, http) => {
    expect(load(file('a: x', `container: {http: ${value}}`)).container.http).toBe(http);
  });

  test.each([
    [
      'exitWhen: al-done',
      'container.exitWhen: expected never, all-done, any-failed or "NAME done", got "al-done", did you mean all-done?',
    ],
    ['exitWhen: b done', 'container.exitWhen: no command is called "b"'],
    [
      'exitWhen: a done',
      'container.exitWhen: "a" is started again whenever it ends and is never done; write restart: on-failure or never there',
    ],
    ['exitWhen: c done', 'container.exitWhen: "c" runs again and again and is never done; choose another'],
    [
      'exitCodeFrom: gg',
      'container.exitCodeFrom: no command is called "gg"; it is a group, write one command of it',
    ],
    ['http: 0', 'container.http: expected a port, or ADDRESS:PORT with an IP address, got 0'],
    [
      'http: "localhost:80"',
      'container.http: expected a port, or ADDRESS:PORT with an IP address, got "localhost:80"',
    ],
    ['syslog: 7', 'container.syslog: expected true, false, or the path of a socket, got 7'],
  ])('%s', (text, message) => {
    const lines = file('a: x, c: {run: x, schedule: "@daily"}', `container: {${text}}\ngroups: {gg: [a]}`);
    expect(told(lines).map((line) => line.replace(/^\S+ /, ''))).toEqual([message]);
  });
});

describe('log files', () => {
  const pair = (a: string, b: string): string =>
    `commands:\n  a: {run: x, log: {${a}}}\n  b: {run: y, log: {${b}}}\n`;

  test('may be shared, with one size and count', () => {
    expect(told(pair('file: /l/x', 'file: /l/../l/x'))).toEqual([]);
    expect(told('defaults: {log: {file: /l/x}}\ncommands: {a: x, b: y, c: z}')).toEqual([]);
    expect(told(pair('file: {path: /x, size: 5MB, tee: false}', 'file: {path: /x, size: 5MB}'))).toEqual([]);
    for (const other of ['size: 5MB', 'count: 1']) {
      expect(told(pair('file: /x', `file: {path: /x, ${other}}`))).toEqual([
        '3:27 commands.b.log.file: "a" writes to "/x" as well, with another size or count; give both the same, or each a file of its own',
      ]);
    }
  });

  test('are not followed', () => {
    expect(told(pair('file: /x', 'tail: [/y, //x]'))).toEqual([
      '3:27 commands.b.log.tail: "//x" is the log.file of "a": what upkeep writes there would be logged again; take it out',
    ]);
    expect(told(pair('file: /x, tail: /x', 'tail: /y'))).toEqual([
      '2:37 commands.a.log.tail: "/x" is its own log.file: what upkeep writes there would be logged again; take it out',
    ]);
    expect(told(pair('tail: /x', 'tail: /x'))).toEqual([]);
  });
});
